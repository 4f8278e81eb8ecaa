//! Which plain form, codec and level: candidates raced on more and more policies, each with the figures that suit it best.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::super::codec::{Codec, Encoder};
use super::super::{Basis, Compression, PlainForm, Regime, Rounding, Sizing, TokenBase};
use super::model::{self, BASES, Bound, COMPRESSED_POLICY, COMPRESSED_STATEMENT, FIGURES, Group, LIMIT, Mode, Model, Sizes};
use super::solve::{self, Effort, Solution};
use super::{FOLDS, Policies, Row, spread, token_limit};
use crate::policy::Policy;

/// The distinct policies of the rows, in an order that says nothing, so that the first so many are a sample.
pub(super) struct Library<'a> {
    pub index: HashMap<u64, usize>,
    texts: Vec<&'a str>,
    /// The first ones, which are measured again and again; None for a text that is no policy document.
    parsed: Vec<Option<Policy>>,
}

/// With fewer distinct policies the codec is not looked for.
const LEAST_POLICIES: usize = 12;
/// Policies of the rounds of the race, and how many candidates go on to the next.
const ROUNDS: [(usize, usize); 3] = [(32, 12), (128, 4), (512, 1)];
/// How much better, in points of loss, something other than the prior must be.
const CLEARLY: f64 = 0.01;
/// How much better another rounding must be: half a percent looks much like a few bytes of overhead.
const MORE_THAN_CLEARLY: f64 = 0.03;

impl<'a> Library<'a> {
    pub(super) fn new(rows: &[Row], texts: &'a Policies) -> Library<'a> {
        let mut policies: Vec<(u64, &str)> =
            rows.iter().filter_map(|row| row.policy).filter_map(|hash| Some((hash, texts.get(&hash)?.as_ref()))).collect();
        policies.sort_unstable_by_key(|&(hash, _)| (spread(hash), hash));
        policies.dedup_by_key(|policy| policy.0);
        let index = policies.iter().enumerate().map(|(at, &(hash, _))| (hash, at)).collect();
        let texts: Vec<&str> = policies.into_iter().map(|policy| policy.1).collect();
        let raced = ROUNDS.last().map_or(0, |round| round.0);
        let parsed = texts.iter().take(raced).map(|text| Policy::parse(text).ok()).collect();
        Library { index, texts, parsed }
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Sizes of the first `most` policies, of those that are raced.
    fn sizes(&self, form: PlainForm, codec: Codec, most: usize) -> Sizes {
        let policies = self.parsed.get(..most.min(self.parsed.len())).unwrap_or_default();
        Sizes { of: measured(policies, codec, |policy, encoder, plain| measure(policy.as_ref()?, form, codec, encoder, plain)) }
    }

    /// Sizes of the policies that `bounds` speak of.
    fn sizes_for(&self, form: PlainForm, codec: Codec, bounds: &[Bound]) -> Sizes {
        let mut wanted: Vec<usize> = bounds.iter().map(|bound| bound.policy).filter(|&policy| policy < self.len()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let found = measured(&wanted, codec, |&at, encoder, plain| {
            let policy = Policy::parse(self.texts.get(at)?).ok()?;
            measure(&policy, form, codec, encoder, plain)
        });
        let mut of = vec![None; self.len()];
        for (at, sizes) in wanted.into_iter().zip(found) {
            if let Some(slot) = of.get_mut(at) {
                *slot = sizes;
            }
        }
        Sizes { of }
    }
}

/// Plain form, compressed and statements of one policy.
type Measured = (f64, f64, f64);

fn measure(policy: &Policy, form: PlainForm, codec: Codec, encoder: &mut Encoder, plain: &mut Vec<u8>) -> Option<Measured> {
    plain.clear();
    let statements = form.write(policy, plain);
    let compressed = if codec == Codec::None { plain.len() } else { encoder.compressed_bytes(plain) };
    Some((plain.len() as f64, compressed as f64, f64::from(statements)))
}

fn measured<T: Sync>(
    policies: &[T],
    codec: Codec,
    measure: impl Fn(&T, &mut Encoder, &mut Vec<u8>) -> Option<Measured> + Sync,
) -> Vec<Option<Measured>> {
    // A part for each thread at most: an encoder is dear to make.
    let part = policies.len().div_ceil(rayon::current_num_threads()).max(16);
    let parts: Vec<Vec<_>> = policies
        .par_chunks(part)
        .map(|chunk| {
            let (mut encoder, mut plain) = (Encoder::new(codec), Vec::new());
            chunk.iter().map(|policy| measure(policy, &mut encoder, &mut plain)).collect()
        })
        .collect();
    parts.concat()
}

/// Bounds that the last fit looks at: more would change no figure.
const FITTED_BOUNDS: usize = 50_000;

/// How many requests are packed to see how good the fit is: all, unless the codec takes so long that a million would take minutes.
pub(super) fn most_scored(codec: Codec) -> usize {
    match codec {
        Codec::None | Codec::Libdeflate(_) | Codec::Zlib(_) => usize::MAX,
        Codec::Zstd(level) if level < 10 => usize::MAX,
        Codec::Zstd(_) | Codec::Lzma { .. } => 25_000,
    }
}

#[derive(Clone, Debug)]
struct Choice {
    form: PlainForm,
    codec: Codec,
    mode: Mode,
    solution: Solution,
}

impl Choice {
    /// What choices are compared by. To take the smaller of two forms can be bent to take always the same one, so it must be better to be chosen.
    fn rank(&self) -> f64 {
        self.solution.loss + if self.mode == Mode::Smaller { CLEARLY } else { 0.0 }
    }
}

fn mode_of(sizing: &Sizing) -> Mode {
    match (sizing.codec, sizing.compression) {
        (Codec::None, _) => Mode::Plain,
        (_, Compression::WhenSmaller) => Mode::Smaller,
        (_, Compression::Always) => Mode::Always,
    }
}

/// A fit, and the same fit without each part of the rows in turn.
pub(super) struct Found {
    pub sizing: Sizing,
    /// In the order of the folds; with the groups whose base of the token its rows tell.
    pub without: Vec<(Sizing, Vec<Group>)>,
}

/// The figures that fit `rows` best, ranges aside.
pub(super) fn fit(rows: &[Row], folds: &[u8], library: &Library<'_>, prior: &Sizing, basis: &mut Basis) -> Found {
    let read_off = if prior.regime == Regime::SessionToken { token_limit(rows, prior) } else { None };
    let (limit_bytes, rounding) = read_off.unwrap_or((prior.limit_bytes, prior.rounding));
    let prior = &Sizing { limit_bytes, rounding, ..prior.clone() };
    let model = |rounding: Rounding| Model::new(rows, folds, &library.index, prior, rounding, limit_bytes);

    let (choice, codec_told) = choose(&model(rounding), library, prior);
    let sample = |model: &Model| {
        let most = FITTED_BOUNDS.min(most_scored(choice.codec));
        let step = model.bounds.len().div_ceil(most).max(1);
        model.of(model.bounds.iter().step_by(step).copied().collect())
    };
    let sampled = sample(&model(rounding));
    let sizes = library.sizes_for(choice.form, choice.codec, &sampled.bounds);
    let under = |rounding: Rounding| sample(&model(rounding)).with(|bound| bound.is_measured(&sizes));
    let (rounding, solution) = round(&under, prior, &sizes, &choice);
    let model = under(rounding);

    basis.policies = library.len() as u64;
    basis.at_prior = at_prior(&model, &solution, prior.regime, read_off.is_some(), codec_told);
    let sizing = |model: &Model, solution: &Solution| Sizing {
        rounding,
        plain_form: choice.form,
        codec: choice.codec,
        compression: choice.mode.compression(),
        source_identity_margin_bytes: if solution.told.get(model::IDENTITY) == Some(&true) {
            0.0
        } else {
            prior.source_identity_margin_bytes
        },
        token_bases: model::token_bases(prior, bases(model, &sizes, choice.mode, solution)),
        ..model::sizing(prior, &solution.figures)
    };
    let without = (0..FOLDS).into_par_iter().map(|fold| {
        let others = model.with(|bound| bound.fold != fold);
        let solution = solve::solve_plainly(&others, &sizes, choice.mode, &solution.figures);
        let told = others.bounds.iter().filter_map(|bound| others.groups.get(bound.group?).copied());
        let mut groups: Vec<Group> = told.collect();
        groups.sort_unstable();
        groups.dedup();
        (sizing(&others, &solution), groups)
    });
    Found { without: without.collect(), sizing: sizing(&model, &solution) }
}

/// What the bounds do not tell, by name, in the order of [`FIGURES`].
fn at_prior(model: &Model, solution: &Solution, regime: Regime, limit_read_off: bool, codec_told: bool) -> Vec<String> {
    let told = |figure: usize| solution.told.get(figure) == Some(&true);
    let tells_tokens = model.bounds.iter().any(|bound| bound.group.is_some());
    let limit_told = if regime == Regime::SessionToken { limit_read_off } else { told(LIMIT) };
    let is_told = |(at, name): (usize, &str)| match name {
        "limit_bytes" | "rounding" => limit_told,
        "token_bases" => tells_tokens,
        "plain_form" | "codec" | "compression" => codec_told,
        _ => told(at),
    };
    FIGURES.iter().enumerate().filter(|&(at, name)| !is_told((at, name))).map(|(_, &name)| name.to_owned()).collect()
}

/// The bounds of the first `policies` policies, some of each, and of some rows without a policy: enough to tell candidates apart.
fn thin(model: &Model, policies: usize) -> Model {
    let mut of_policy = vec![0_u8; policies];
    let mut bare = 0_usize;
    let bounds = model.bounds.iter().filter(|bound| match of_policy.get_mut(bound.policy) {
        Some(count) => {
            *count = count.saturating_add(1);
            *count <= 4
        }
        None if bound.policy == usize::MAX => {
            bare += 1;
            bare <= 400
        }
        None => false,
    });
    model.of(bounds.copied().collect())
}

/// Plain form, codec and whether all policies are compressed, with figures to start from; and whether the policies tell these.
fn choose(model: &Model, library: &Library<'_>, prior: &Sizing) -> (Choice, bool) {
    let last = ROUNDS.last().map_or(0, |round| round.0).min(library.len());
    let thinned = thin(model, last);
    let sizes = library.sizes(prior.plain_form, prior.codec, last);
    let own = suit(&thinned, &sizes, (prior.plain_form, prior.codec), Some(mode_of(prior)), Effort::Full);
    let own = own.into_iter().next().unwrap_or_else(|| Choice {
        form: prior.plain_form,
        codec: prior.codec,
        mode: mode_of(prior),
        solution: Solution { figures: model.prior.clone(), told: Vec::new(), loss: f64::INFINITY },
    });
    if library.len() < LEAST_POLICIES {
        return (own, false);
    }
    let explains = |choice: &Choice, sizes: &Sizes, model: &Model| {
        let (inside, far) = solve::held(model, sizes, choice.mode, &choice.solution.figures);
        inside >= 0.97 && far <= 0.1
    };
    let compressed = |choice: &Choice, sizes: &Sizes| {
        let figure = |at: usize| choice.solution.figures.get(at).copied().unwrap_or_default();
        let smaller = |&(plain, compressed, statements): &(f64, f64, f64)| {
            compressed + figure(COMPRESSED_STATEMENT).mul_add(statements, figure(COMPRESSED_POLICY)) < plain
        };
        choice.mode == Mode::Always || sizes.of.iter().flatten().filter(|sizes| smaller(sizes)).count() >= LEAST_POLICIES / 2
    };
    if explains(&own, &sizes, &thinned) && (own.mode == Mode::Plain || compressed(&own, &sizes)) {
        return (own, true);
    }

    let mut best = race(model, library, prior.plain_form);
    if let Some(first) = best.first().cloned() {
        let form = better_form(model, library, &best);
        if form.form != first.form {
            // Another form may suit another codec.
            best = race(model, library, form.form);
            best.push(form);
        }
    }
    let Some(best) = best.into_iter().min_by(|a, b| a.rank().total_cmp(&b.rank())) else { return (own, false) };
    if own.solution.loss <= best.solution.loss + CLEARLY {
        return (own, false);
    }
    (best, true)
}

/// Every candidate codec under one plain form, through the rounds; the last ones with the loss on the most policies, best first.
fn race(model: &Model, library: &Library<'_>, form: PlainForm) -> Vec<Choice> {
    let mut runners: Vec<(Codec, Option<Mode>)> = Codec::candidates().into_iter().map(|codec| (codec, None)).collect();
    let mut choices = Vec::new();
    for (policies, places) in ROUNDS {
        let policies = policies.min(library.len());
        let thinned = thin(model, policies);
        let mut sized: Vec<(Codec, Option<Mode>, Sizes)> =
            runners.par_iter().map(|&(codec, mode)| (codec, mode, library.sizes(form, codec, policies))).collect();
        // Levels that make the same of every policy are one; the order of candidates says which.
        let mut seen = HashSet::new();
        sized.retain(|(_, mode, sizes)| seen.insert((*mode, sizes.key())));
        let effort = if places == 1 { Effort::Full } else { Effort::Quick };
        let found: Vec<Vec<Choice>> =
            sized.par_iter().map(|(codec, mode, sizes)| suit(&thinned, sizes, (form, *codec), *mode, effort)).collect();
        choices = found.concat();
        choices.sort_by(|a, b| a.rank().total_cmp(&b.rank()));
        choices.truncate(places.max(2));
        runners = choices.iter().map(|choice| (choice.codec, Some(choice.mode))).collect();
    }
    choices
}

/// The best of `choices` under the neighbours of its plain form, step by step while that helps.
fn better_form(model: &Model, library: &Library<'_>, choices: &[Choice]) -> Choice {
    let policies = ROUNDS.get(1).map_or(0, |round| round.0).min(library.len());
    let thinned = thin(model, policies);
    let walk = |choice: &Choice| {
        let mut best =
            evaluate(&thinned, library, policies, (choice.form, choice.codec), Some(choice.mode), Effort::Quick).into_iter().next()?;
        loop {
            let around: Vec<Choice> = neighbours(best.form)
                .into_par_iter()
                .map(|form| evaluate(&thinned, library, policies, (form, best.codec), Some(best.mode), Effort::Quick))
                .collect::<Vec<_>>()
                .concat();
            let next = around.into_iter().min_by(|a, b| a.rank().total_cmp(&b.rank()))?;
            if next.solution.loss >= best.solution.loss - CLEARLY {
                return Some(best);
            }
            best = next;
        }
    };
    let walked: Vec<Choice> = choices.iter().take(2).filter_map(walk).collect();
    walked.into_iter().min_by(|a, b| a.rank().total_cmp(&b.rank())).or_else(|| choices.first().cloned()).unwrap_or_else(|| Choice {
        form: PlainForm { element_bytes: 1, list_bytes: 1, length_bytes: 1 },
        codec: Codec::None,
        mode: Mode::Plain,
        solution: Solution { figures: model.prior.clone(), told: Vec::new(), loss: f64::INFINITY },
    })
}

/// Forms that differ in one overhead or in two by one byte each; none takes more than three.
fn neighbours(form: PlainForm) -> Vec<PlainForm> {
    let moved = |bytes: u8, by: i8| bytes.checked_add_signed(by).filter(|&bytes| bytes <= 3);
    let mut forms = Vec::new();
    for (element, list, length) in (-1..=1).flat_map(|one| (-1..=1).flat_map(move |two| (-1..=1).map(move |three| (one, two, three)))) {
        let steps = [element, list, length].iter().filter(|&&by: &&i8| by != 0).count();
        if let (1 | 2, Some(element_bytes), Some(list_bytes), Some(length_bytes)) =
            (steps, moved(form.element_bytes, element), moved(form.list_bytes, list), moved(form.length_bytes, length))
        {
            forms.push(PlainForm { element_bytes, list_bytes, length_bytes });
        }
    }
    forms
}

/// One form and codec with the figures that suit them best, for each way to decide what is compressed, or for one.
fn evaluate(
    thinned: &Model,
    library: &Library<'_>,
    policies: usize,
    (form, codec): (PlainForm, Codec),
    mode: Option<Mode>,
    effort: Effort,
) -> Vec<Choice> {
    let sizes = library.sizes(form, codec, policies);
    suit(thinned, &sizes, (form, codec), mode, effort)
}

fn suit(thinned: &Model, sizes: &Sizes, (form, codec): (PlainForm, Codec), mode: Option<Mode>, effort: Effort) -> Vec<Choice> {
    let modes: &[Mode] = match (mode, codec) {
        (Some(Mode::Plain), _) | (None, Codec::None) => &[Mode::Plain],
        (Some(Mode::Smaller), _) => &[Mode::Smaller],
        (Some(Mode::Always), _) => &[Mode::Always],
        (None, _) => &[Mode::Smaller, Mode::Always],
    };
    let model = thinned.with(|bound| bound.is_measured(sizes));
    let solve = |mode: Mode| {
        // Where both forms are near each other, which one counts hangs on where the search starts.
        let starts: &[(f64, f64)] = match (mode, effort) {
            (Mode::Smaller, Effort::Full) => &[(12.0, 0.0), (0.0, 0.0), (25.0, 35.0)],
            (Mode::Smaller, Effort::Quick) => &[(8.0, 8.0), (25.0, 35.0)],
            _ => &[(12.0, 0.0)],
        };
        let start = |&(each, all): &(f64, f64)| {
            let mut figures = model.prior.clone();
            if let Some(slot) = figures.get_mut(COMPRESSED_STATEMENT) {
                *slot = each;
            }
            if let Some(slot) = figures.get_mut(COMPRESSED_POLICY) {
                *slot = all;
            }
            solve::solve(&model, sizes, mode, &figures, effort)
        };
        let solutions: Vec<Solution> = starts.par_iter().map(start).collect();
        solutions.into_iter().min_by(|a, b| a.loss.total_cmp(&b.loss)).map(|solution| Choice { form, codec, mode, solution })
    };
    modes.iter().filter_map(|&mode| solve(mode)).collect()
}

/// The figures, and the way percentages of packed content are rounded: another than the prior's where that explains clearly more.
fn round(under: &(dyn Fn(Rounding) -> Model + Sync), prior: &Sizing, sizes: &Sizes, choice: &Choice) -> (Rounding, Solution) {
    let solve = |model: &Model| solve::solve_plainly(model, sizes, choice.mode, &choice.solution.figures);
    let model = under(prior.rounding);
    let mut best = (prior.rounding, solve(&model));
    if prior.regime == Regime::SessionToken || !model.bounds.iter().any(|bound| bound.group.is_none()) {
        return best;
    }
    if best.1.loss <= MORE_THAN_CLEARLY {
        // No loss is below 0.
        return best;
    }
    let others: Vec<Rounding> = Rounding::ALL.into_iter().filter(|&rounding| rounding != prior.rounding).collect();
    let others: Vec<(Rounding, Solution)> = others.into_par_iter().map(|rounding| (rounding, solve(&under(rounding)))).collect();
    for (rounding, solution) in others {
        if solution.loss < best.1.loss - MORE_THAN_CLEARLY {
            best = (rounding, solution);
        }
    }
    best
}

/// The bases of tokens that the rows tell, with the range in which most of them lie.
fn bases(model: &Model, sizes: &Sizes, mode: Mode, solution: &Solution) -> Vec<TokenBase> {
    let mut misses: Vec<Vec<f64>> = vec![Vec::new(); model.groups.len()];
    for bound in &model.bounds {
        if let Some(list) = bound.group.and_then(|group| misses.get_mut(group)) {
            let (residual, half) = bound.residual(&solution.figures, sizes, mode);
            // What is observed less what the figures say; nothing within the window.
            list.push(if residual.abs() <= half { 0.0 } else { -residual });
        }
    }
    let base = |(at, mut misses): (usize, Vec<f64>)| {
        let &(operation, caller_kind, service_linked) = model.groups.get(at)?;
        let bytes = solution.figures.get(BASES + at).filter(|_| !misses.is_empty())?.round().max(0.0);
        misses.sort_unstable_by(f64::total_cmp);
        // Of few tokens none may show how far others are off.
        let floor = if misses.len() < 10 { 12.0 } else { 0.0 };
        // The narrowest range that holds four in five: outliers are to widen the ranges of what they are outliers of, not every base.
        let inside = (misses.len() * 4).div_ceil(5);
        let width = |first: usize| Some((misses.get(first)?.min(0.0), misses.get(first + inside - 1)?.max(0.0)));
        let narrowest = (0..=misses.len() - inside).filter_map(width).min_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0)))?;
        let (low, high) = (narrowest.0.min(-floor), narrowest.1.max(floor));
        Some(TokenBase {
            operation: Some(operation),
            caller_kind: Some(caller_kind),
            service_linked: Some(service_linked),
            bytes: bytes as u32,
            low_bytes: (bytes + low).floor().max(0.0) as u32,
            high_bytes: (bytes + high).ceil() as u32,
            source: format!("{} tokens", misses.len()),
        })
    };
    misses.into_iter().enumerate().filter_map(base).collect()
}
