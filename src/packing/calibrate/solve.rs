//! The figures that put most sums into their windows: robust least squares first, then one figure after another by the windows themselves.

use rayon::prelude::*;

use super::model::{self, ARN, ARN_CHAR, BASES, Bound, IDENTITY_CHAR, LIMIT, Mode, Model, NAME, Sizes, Terms};
use super::stab::{self, Wish};

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    pub figures: Vec<f64>,
    /// Which figures the bounds tell; the others are at their prior.
    pub told: Vec<bool>,
    /// How badly sums miss their windows; smaller is better.
    pub loss: f64,
}

/// Bounds that one thread takes at a time; fixed, so that sums are the same for any number of threads.
const CHUNK: usize = 8192;
/// How much worse figures at their priors may make the loss.
const TOLD_TOGETHER: f64 = 0.02;
/// More bounds than this are not looked at one figure after another.
const POLISHED_BOUNDS: usize = 100_000;

/// How much care a solution is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// To tell candidates apart.
    Quick,
    /// To keep: what the bounds do not tell stays at its prior, the rest is brought to where most windows hold.
    Full,
}

impl Effort {
    /// Steps of least squares, the first third of them by absolute values.
    fn steps(self) -> usize {
        match self {
            Effort::Quick => 9,
            Effort::Full => 24,
        }
    }
}

/// What `of` makes of each chunk of `bounds`, in their order. One chunk alone is not worth waking another thread, and most models are one.
fn of_chunks<T: Send>(bounds: &[Bound], of: impl Fn(&[Bound]) -> T + Send + Sync) -> Vec<T> {
    if bounds.len() <= CHUNK { bounds.chunks(CHUNK).map(of).collect() } else { bounds.par_chunks(CHUNK).map(of).collect() }
}

/// How badly the bounds miss, in bytes: grows as the logarithm of the distance, so that one that is far off counts little more than one that is off.
pub(super) fn loss(model: &Model, sizes: &Sizes, mode: Mode, figures: &[f64]) -> f64 {
    let miss = |bound: &Bound| {
        let (residual, half) = bound.residual(figures, sizes, mode);
        let outside = (residual.abs() - half).max(0.0);
        (outside * outside).ln_1p()
    };
    let sum: f64 = of_chunks(&model.bounds, |chunk| chunk.iter().map(miss).sum::<f64>()).into_iter().sum();
    sum / model.bounds.len().max(1) as f64
}

/// The share of bounds that hold, among those that do not miss by far, and the share of those that do.
pub(super) fn held(model: &Model, sizes: &Sizes, mode: Mode, figures: &[f64]) -> (f64, f64) {
    let (mut inside, mut near) = (0_usize, 0_usize);
    for bound in &model.bounds {
        let (residual, half) = bound.residual(figures, sizes, mode);
        inside += usize::from(residual.abs() <= half * 1.000_001);
        near += usize::from(residual.abs() <= half + 12.0);
    }
    (inside as f64 / near.max(1) as f64, 1.0 - near as f64 / model.bounds.len().max(1) as f64)
}

/// Fits the figures of `model` from `start` on. That a byte of name or of source identity takes a byte is given up only where that explains clearly more: a
/// factor near one fits noise as well as a base that is a byte off.
pub(super) fn solve_plainly(model: &Model, sizes: &Sizes, mode: Mode, start: &[f64]) -> Solution {
    let free = solve(model, sizes, mode, start, Effort::Full);
    if !free.told.get(NAME).is_some_and(|&told| told) && !free.told.get(IDENTITY_CHAR).is_some_and(|&told| told) {
        return free;
    }
    let mut bound = model.clone();
    for figure in [NAME, IDENTITY_CHAR] {
        set(&mut bound.deviation, figure, 1e-6);
    }
    let mut plain = solve(&bound, sizes, mode, start, Effort::Full);
    for figure in [NAME, IDENTITY_CHAR] {
        if let (Some(slot), Some(&prior)) = (plain.figures.get_mut(figure), model.prior.get(figure)) {
            *slot = prior;
        }
        // That no other factor explains more is told by the same bounds.
        set(&mut plain.told, figure, free.told.get(figure) == Some(&true));
    }
    plain.loss = loss(model, sizes, mode, &plain.figures);
    if plain.loss <= free.loss + TOLD_TOGETHER { plain } else { free }
}

/// Fits the figures of `model` from `start` on.
pub(super) fn solve(model: &Model, sizes: &Sizes, mode: Mode, start: &[f64], effort: Effort) -> Solution {
    let mut free = vec![true; model.prior.len()];
    if !model.bounds.iter().any(|bound| bound.group.is_none()) {
        // No percentage of packed content: nothing tells that limit.
        set(&mut free, LIMIT, false);
    }
    let mut figures = start.to_vec();
    settle_bases(model, sizes, mode, &mut figures);
    if effort == Effort::Quick {
        squares(model, sizes, mode, &mut figures, &free, effort);
        return Solution { loss: loss(model, sizes, mode, &figures), figures, told: free };
    }
    // What the bounds do not tell goes back to its prior, and the others find their place without it: first what refines another figure, since of two that
    // the bounds do not tell apart the simpler one is to stay.
    let mut kept = None;
    for refining in [true, false] {
        let deviation = squares(model, sizes, mode, &mut figures, &free, effort);
        kept.get_or_insert_with(|| (figures.clone(), free.clone()));
        for (figure, free) in free.iter_mut().enumerate().filter(|&(figure, _)| !refining || model::is_refining(figure)) {
            let told = deviation.get(figure).zip(model.deviation.get(figure)).is_some_and(|(&after, &before)| after < 0.3 * before);
            if *free && !told {
                *free = false;
                if let Some((slot, &prior)) = figures.get_mut(figure).zip(model.prior.get(figure)) {
                    *slot = prior;
                }
            }
        }
    }
    squares(model, sizes, mode, &mut figures, &free, effort);
    if let Some((all, all_free)) = kept
        && loss(model, sizes, mode, &all) < loss(model, sizes, mode, &figures) - TOLD_TOGETHER
    {
        // None of them is told alone, but together they are: which form of a policy counts may hang on them.
        (figures, free) = (all, all_free);
    }
    let mut solution = Solution { loss: 0.0, figures, told: free };
    snap(model, sizes, mode, &mut solution);
    for _ in 0..3 {
        sharpen(model, sizes, mode, &mut solution);
    }
    solution.loss = loss(model, sizes, mode, &solution.figures);
    solution
}

fn set<T>(values: &mut [T], at: usize, value: T) {
    if let Some(slot) = values.get_mut(at) {
        *slot = value;
    }
}

/// Puts each base of a token where the median of its bounds has it: a prior may be hundreds of bytes off.
fn settle_bases(model: &Model, sizes: &Sizes, mode: Mode, figures: &mut [f64]) {
    let mut residuals: Vec<Vec<f64>> = vec![Vec::new(); model.groups.len()];
    for bound in &model.bounds {
        if let Some(list) = bound.group.and_then(|group| residuals.get_mut(group)) {
            list.push(bound.residual(figures, sizes, mode).0);
        }
    }
    for (group, mut list) in residuals.into_iter().enumerate() {
        list.sort_unstable_by(f64::total_cmp);
        if let (Some(&median), Some(base)) = (list.get(list.len() / 2), figures.get_mut(BASES + group)) {
            *base -= median;
        }
    }
}

/// The normal equations of a chunk of bounds, lower triangle, with the sizes of the residuals in half windows.
struct Sums {
    matrix: Vec<f64>,
    right: Vec<f64>,
    scaled: Vec<f64>,
}

/// Robust least squares to the middles of the windows, with the priors; gives the deviation of each figure after it.
fn squares(model: &Model, sizes: &Sizes, mode: Mode, figures: &mut [f64], free: &[bool], effort: Effort) -> Vec<f64> {
    let count = figures.len();
    let at: Vec<usize> = (0..count).filter(|&figure| free.get(figure) == Some(&true)).collect();
    let mut place = vec![usize::MAX; count];
    for (position, &figure) in at.iter().enumerate() {
        set(&mut place, figure, position);
    }
    let size = at.len();
    let steps = effort.steps();
    let mut spread = f64::INFINITY;
    let mut deviation = model.deviation.clone();
    for step in 0..steps {
        // By absolute values first, which no half of outliers moves; then what is far off does not count at all.
        let by_size = step < steps / 3;
        let reach = (6.0 * spread).max(3.0);
        let weight = |scaled: f64| {
            if by_size {
                1.0 / scaled.abs().max(1.0)
            } else {
                let share = scaled / reach;
                if share.abs() < 1.0 { (1.0 - share * share).powi(2) } else { 0.0 }
            }
        };
        let current: &[f64] = figures;
        let chunks = of_chunks(&model.bounds, |bounds| sums(bounds, current, (sizes, mode), (&place, size), weight));
        let (mut matrix, mut right, mut scaled) = (vec![0.0; size * size], vec![0.0; size], Vec::new());
        for mut chunk in chunks {
            matrix.iter_mut().zip(chunk.matrix).for_each(|(sum, value)| *sum += value);
            right.iter_mut().zip(chunk.right).for_each(|(sum, value)| *sum += value);
            scaled.append(&mut chunk.scaled);
        }
        for (position, &figure) in at.iter().enumerate() {
            let (Some(&prior), Some(&deviation)) = (model.prior.get(figure), model.deviation.get(figure)) else { continue };
            let precision = 1.0 / (deviation * deviation).max(1e-12);
            if let Some(slot) = matrix.get_mut(position * size + position) {
                *slot += precision;
            }
            if let Some(slot) = right.get_mut(position) {
                *slot += precision * prior;
            }
        }
        let Some(factor) = cholesky(&matrix, size) else { break };
        let found = substitute(&factor, &right, size);
        let mut moved = 0.0_f64;
        for (&figure, &value) in at.iter().zip(&found) {
            // No limit is a fraction of the one before that small.
            let least = model.prior.get(LIMIT).map_or(1.0, |prior| prior / 20.0);
            let value = if figure == LIMIT { value.max(least) } else { value };
            if let Some(slot) = figures.get_mut(figure) {
                moved = moved.max((*slot - value).abs());
                *slot = value;
            }
        }
        spread = median(&mut scaled);
        if step + 1 == steps || (!by_size && moved < 1e-6) {
            if effort == Effort::Full {
                let variance = (1.4826 * spread).powi(2).max(1.0 / 3.0);
                for (&figure, own) in at.iter().zip(diagonal_of_inverse(&factor, size)) {
                    set(&mut deviation, figure, (own * variance).sqrt());
                }
            }
            break;
        }
    }
    deviation
}

fn sums(
    bounds: &[Bound],
    figures: &[f64],
    (sizes, mode): (&Sizes, Mode),
    (place, size): (&[usize], usize),
    weight: impl Fn(f64) -> f64,
) -> Sums {
    let mut sums = Sums { matrix: vec![0.0; size * size], right: vec![0.0; size], scaled: Vec::with_capacity(bounds.len()) };
    let mut used: Vec<(usize, f64)> = Vec::with_capacity(12);
    let mut terms = Terms::default();
    for bound in bounds {
        let (known, half) = bound.terms(figures, sizes, mode, &mut terms);
        used.clear();
        // What is not free counts as known.
        let (mut fixed, mut sum) = (known, 0.0);
        for (figure, factor) in terms.iter() {
            let value = factor * figures.get(figure).copied().unwrap_or_default();
            match place.get(figure) {
                Some(&position) if position != usize::MAX => {
                    used.push((position, factor));
                    sum += value;
                }
                _ => fixed += value,
            }
        }
        let half = half.max(1e-9);
        let scaled = (fixed + sum) / half;
        sums.scaled.push(scaled.abs());
        let weight = weight(scaled) / (half * half);
        if weight == 0.0 {
            continue;
        }
        for &(row, factor) in &used {
            if let Some(slot) = sums.right.get_mut(row) {
                *slot -= weight * factor * fixed;
            }
            let Some(entries) = sums.matrix.get_mut(row * size..=row * size + row) else { continue };
            for &(column, other) in &used {
                if let Some(slot) = entries.get_mut(column) {
                    *slot += weight * factor * other;
                }
            }
        }
    }
    sums
}

fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    if middle >= values.len() {
        return 0.0;
    }
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// The lower triangle whose product with its transpose is `matrix`, given by its lower triangle; None where that is not positive definite.
fn cholesky(matrix: &[f64], size: usize) -> Option<Vec<f64>> {
    let mut lower = vec![0.0; size * size];
    for row in 0..size {
        for column in 0..=row {
            let mut sum = *matrix.get(row * size + column)?;
            for k in 0..column {
                sum -= lower.get(row * size + k)? * lower.get(column * size + k)?;
            }
            let value = if row == column {
                if sum.is_nan() || sum <= 0.0 {
                    return None;
                }
                sum.sqrt()
            } else {
                sum / *lower.get(column * size + column)?
            };
            *lower.get_mut(row * size + column)? = value;
        }
    }
    Some(lower)
}

fn substitute(lower: &[f64], right: &[f64], size: usize) -> Vec<f64> {
    let entry = |row: usize, column: usize| lower.get(row * size + column).copied().unwrap_or_default();
    let mut solution = right.to_vec();
    for row in 0..size {
        let sum: f64 = (0..row).map(|column| entry(row, column) * solution.get(column).copied().unwrap_or_default()).sum();
        if let Some(slot) = solution.get_mut(row) {
            *slot = (*slot - sum) / entry(row, row);
        }
    }
    for row in (0..size).rev() {
        let sum: f64 = (row + 1..size).map(|column| entry(column, row) * solution.get(column).copied().unwrap_or_default()).sum();
        if let Some(slot) = solution.get_mut(row) {
            *slot = (*slot - sum) / entry(row, row);
        }
    }
    solution
}

fn diagonal_of_inverse(lower: &[f64], size: usize) -> Vec<f64> {
    (0..size)
        .map(|at| {
            let unit: Vec<f64> = (0..size).map(|row| if row == at { 1.0 } else { 0.0 }).collect();
            substitute(lower, &unit, size).get(at).copied().unwrap_or(f64::INFINITY)
        })
        .collect()
}

/// Figures that are likely to be round become so where that costs nothing.
fn snap(model: &Model, sizes: &Sizes, mode: Mode, solution: &mut Solution) {
    let before = loss(model, sizes, mode, &solution.figures);
    let mut best = before;
    let told: Vec<usize> = (0..solution.figures.len()).filter(|&figure| solution.told.get(figure) == Some(&true)).collect();
    // All at once first: one alone may cost what all together do not.
    let round = |figures: &[f64]| {
        let mut rounded = figures.to_vec();
        for &figure in &told {
            if let Some(value) = rounded.get_mut(figure) {
                *value = round_figure(figure, *value);
            }
        }
        if told.contains(&ARN) && rounded.get(ARN_CHAR) != Some(&0.0) {
            set(&mut rounded, ARN, figures.get(ARN).copied().unwrap_or_default());
        }
        rounded
    };
    let rounded = round(&solution.figures);
    if rounded != solution.figures {
        let after = loss(model, sizes, mode, &rounded);
        if after <= best + 0.02 {
            solution.figures = rounded;
            best = after;
        }
    }
    for figure in told {
        let mut trial = solution.figures.clone();
        if let Some(value) = trial.get_mut(figure) {
            *value = round_figure(figure, *value);
        }
        if trial == solution.figures {
            continue;
        }
        let after = loss(model, sizes, mode, &trial);
        if after <= best {
            solution.figures = trial;
            best = after;
        }
    }
}

fn round_figure(figure: usize, value: f64) -> f64 {
    match figure {
        NAME | IDENTITY_CHAR if (value - 1.0).abs() < 0.1 => 1.0,
        ARN_CHAR => (value * 20.0).round() / 20.0,
        figure if model::is_whole(figure) => value.round(),
        _ => value,
    }
}

/// Puts one figure after another where most windows hold, as long as that is no worse.
fn sharpen(model: &Model, sizes: &Sizes, mode: Mode, solution: &mut Solution) {
    let step = model.bounds.len().div_ceil(POLISHED_BOUNDS).max(1);
    let mut best = loss(model, sizes, mode, &solution.figures);
    for figure in 0..solution.figures.len() {
        if solution.told.get(figure) != Some(&true) {
            continue;
        }
        let windows: Vec<(f64, f64)> = model
            .bounds
            .iter()
            .step_by(step)
            .filter(|bound| figure < BASES || bound.group == Some(figure - BASES))
            .filter_map(|bound| bound.window(figure, &solution.figures, sizes, mode))
            .collect();
        let (Some(&prior), Some(&now)) = (model.prior.get(figure), solution.figures.get(figure)) else { continue };
        let Some(point) = stab::best(windows, &Wish { prior, near: now, whole: model::is_whole(figure) }) else { continue };
        if point.value == now {
            continue;
        }
        let mut trial = solution.figures.clone();
        set(&mut trial, figure, point.value);
        let after = loss(model, sizes, mode, &trial);
        if after <= best {
            solution.figures = trial;
            best = after;
        }
    }
}
