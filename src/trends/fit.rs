//! Robust fitting: weekday effects, the Theil-Sen line, and what serial dependence does to its certainty.

/// Two-sided 95 % point of the normal distribution.
pub(super) const Z_95: f64 = 1.959_964;

/// Median absolute deviation to standard deviation, for normal noise.
const MAD_TO_DEVIATION: f64 = 1.4826;

/// Sized days of one weekday that it takes to tell its effect from noise.
const WEEKDAY_LEAST: usize = 3;

/// A line is not believed to be more certain than this spread allows, in points: the deviation of rounding down to whole points.
const SPREAD_LEAST_PERCENT: f64 = 0.29;

/// The size of one day: `day` since 1970-01-01 UTC, `percent` in points of the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spot {
    pub day: f64,
    pub percent: f64,
}

/// Median of `values` in any order (mean of the middle two); None when there are none.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    if values.is_empty() {
        return None;
    }
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if !even {
        return Some(upper);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some((lower + upper) / 2.0)
}

/// Standard deviation of `values` about their median, by the median absolute deviation; 0 when there are none.
pub(super) fn deviation(values: &[f64]) -> f64 {
    let Some(middle) = median(&mut values.to_vec()) else {
        return 0.0;
    };
    let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    median(&mut distances).unwrap_or(0.0) * MAD_TO_DEVIATION
}

/// Median of the spots within 3 days of each spot: a level that neither a spike of up to 3 days nor a slope moves.
pub(super) fn running_median(spots: &[Spot]) -> Vec<f64> {
    spots
        .iter()
        .map(|centre| {
            let near = spots.iter().filter(|spot| (spot.day - centre.day).abs() <= 3.0);
            let mut near: Vec<f64> = near.map(|spot| spot.percent).collect();
            median(&mut near).unwrap_or(centre.percent)
        })
        .collect()
}

/// `spots` without their weekday effects, and how many effects were taken out.
///
/// Classical decomposition made robust: the effect of a weekday is the median distance of its days from the running median of the
/// week around them, found by backfitting, centred so that the level stays the average over the week. A weekday with too few days
/// keeps its values.
pub(super) fn without_weekdays(spots: &[Spot]) -> (Vec<Spot>, usize) {
    let (Some(first), Some(last)) = (spots.first(), spots.last()) else {
        return (Vec::new(), 0);
    };
    // At the ends the week around a day is cut off, which a slope would turn into an effect.
    let inner = |spot: &Spot| spot.day - 3.0 >= first.day && spot.day + 3.0 <= last.day;
    let mut effects = [0.0; 7];
    let mut known = 0;
    let adjusted = |effects: &[f64; 7]| -> Vec<Spot> {
        let effect = |spot: &Spot| effects.get(weekday(spot)).copied().unwrap_or(0.0);
        spots.iter().map(|spot| Spot { day: spot.day, percent: spot.percent - effect(spot) }).collect()
    };
    for _ in 0..4 {
        let level = running_median(&adjusted(&effects));
        let mut distances: [Vec<f64>; 7] = Default::default();
        for (spot, level) in spots.iter().zip(&level).filter(|(spot, _)| inner(spot)) {
            if let Some(list) = distances.get_mut(weekday(spot)) {
                list.push(spot.percent - level);
            }
        }
        let found = distances.map(|mut list| if list.len() < WEEKDAY_LEAST { None } else { median(&mut list) });
        known = found.iter().flatten().count();
        if known < 2 {
            return (spots.to_vec(), 0);
        }
        let centre = found.iter().flatten().sum::<f64>() / known as f64;
        effects = found.map(|effect| effect.map_or(0.0, |effect| effect - centre));
    }
    (adjusted(&effects), known)
}

fn weekday(spot: &Spot) -> usize {
    // 1970-01-01 was a Thursday; which number a weekday has does not matter here.
    spot.day.rem_euclid(7.0) as usize
}

/// A line through the middle of some spots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// Theil-Sen slope, points a day.
    pub slope: f64,
    /// 95 % interval of the slope.
    pub slope_low: f64,
    pub slope_high: f64,
    /// Mean day of the spots, where errors of slope and level are independent.
    pub centre_day: f64,
    /// Level at `centre_day`: the median of the spots moved there along the slope. Points of the limit.
    pub centre_percent: f64,
    /// Standard error of `centre_percent`.
    pub centre_error: f64,
    /// Standard error of `slope`, from the spread of the spots about the line.
    pub slope_error: f64,
    /// Mann-Kendall score in standard deviations, serial dependence counted; positive when growing.
    pub score: f64,
    /// Spots fitted.
    pub count: usize,
}

impl Line {
    /// Level on `day`, points of the limit.
    pub fn at(&self, day: f64) -> f64 {
        self.centre_percent + self.slope * (day - self.centre_day)
    }
}

/// The Theil-Sen slope of `spots`, oldest first, in points a day; None for less than 2 days.
pub(super) fn slope(spots: &[Spot]) -> Option<f64> {
    median(&mut slopes(spots).0)
}

/// The middle of some spots, without how certain it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Middle {
    /// As of the [`Line`].
    pub slope: f64,
    centre_day: f64,
    centre_percent: f64,
}

impl Middle {
    /// As [`Line::at`].
    pub fn at(&self, day: f64) -> f64 {
        self.centre_percent + self.slope * (day - self.centre_day)
    }

    /// Through `spots`, by their Theil-Sen slope; with it the level of each spot, moved to the middle day along that slope, in any order.
    fn of(spots: &[Spot], slope: f64) -> Option<(Middle, Vec<f64>)> {
        let centre_day = spots.iter().map(|spot| spot.day).sum::<f64>() / spots.len() as f64;
        let mut levels: Vec<f64> = spots.iter().map(|spot| spot.percent - slope * (spot.day - centre_day)).collect();
        let centre_percent = median(&mut levels)?;
        Some((Middle { slope, centre_day, centre_percent }, levels))
    }
}

/// The slope of each two spots of different days, and by how many of them more rise than fall.
fn slopes(spots: &[Spot]) -> (Vec<f64>, f64) {
    let count = spots.len();
    let mut slopes = Vec::with_capacity(count * count.saturating_sub(1) / 2);
    let mut kendall = 0.0;
    for (index, one) in spots.iter().enumerate() {
        for other in spots.iter().skip(index + 1) {
            let (days, rise) = (other.day - one.day, other.percent - one.percent);
            if days > 0.0 {
                slopes.push(rise / days);
                kendall += if rise == 0.0 { 0.0 } else { rise.signum() };
            }
        }
    }
    (slopes, kendall)
}

/// What [`line`] goes through, at less than half the cost; None for less than 3 spots or days.
pub(super) fn middle(spots: &[Spot]) -> Option<Middle> {
    let (mut slopes, _) = slopes(spots);
    let slope = median(&mut slopes).filter(|_| spots.len() >= 3)?;
    Middle::of(spots, slope).map(|(middle, _)| middle)
}

/// The value that stands at `rank` when `values` are sorted, from 0. A [`median`] was taken of them, so that it is looked for on its own side of the middle.
fn ranked(values: &mut [f64], rank: usize) -> Option<f64> {
    let middle = values.len() / 2;
    let (below, upper) = values.split_at_mut_checked(middle)?;
    let (side, rank) = if rank < middle { (below, rank) } else { (upper, rank - middle) };
    (rank < side.len()).then(|| *side.select_nth_unstable_by(rank, f64::total_cmp).1)
}

/// The Theil-Sen line (Sen 1968) through `spots`, oldest first; None for less than 3 spots or days.
///
/// `dependence` is the correlation of neighbouring days, `fitted` the number of effects already taken out of the values: both widen
/// the intervals and lower the score (Hamed & Rao 1998, with the dependence of a first-order process).
pub(super) fn line(spots: &[Spot], dependence: f64, fitted: f64) -> Option<Line> {
    let count = spots.len();
    if count < 3 {
        return None;
    }
    let (mut slopes, kendall) = slopes(spots);
    let slope = median(&mut slopes)?;
    let n = count as f64;
    let freedom = n / (n - fitted).max(1.0);
    let kendall_deviation = (kendall_variance(spots) * kendall_inflation(count, dependence) * freedom).sqrt();
    // Continuity correction, as usual for a sum of signs.
    let score = if kendall_deviation > 0.0 { kendall.signum() * (kendall.abs() - 1.0).max(0.0) / kendall_deviation } else { 0.0 };

    let pairs = slopes.len() as f64;
    let reach = Z_95 * kendall_deviation;
    let low_rank = ((pairs - reach) / 2.0 - 1.0).floor().clamp(0.0, pairs - 1.0);
    let high_rank = ((pairs + reach) / 2.0).ceil().clamp(0.0, pairs - 1.0);
    let slope_low = ranked(&mut slopes, low_rank as usize)?;
    let slope_high = ranked(&mut slopes, high_rank as usize)?;

    let (Middle { centre_day, centre_percent, .. }, levels) = Middle::of(spots, slope)?;
    let spread = deviation(&levels);
    // The variance of a median is pi/2 that of a mean.
    let mean_inflation = (1.0 + dependence) / (1.0 - dependence);
    let centre_error = spread * (std::f64::consts::FRAC_PI_2 * mean_inflation * freedom / n).sqrt();
    let days_squared: f64 = spots.iter().map(|spot| (spot.day - centre_day).powi(2)).sum();
    let slope_error = (spread.max(SPREAD_LEAST_PERCENT).powi(2) * mean_inflation * freedom / days_squared).sqrt();
    Some(Line { slope, slope_low, slope_high, centre_day, centre_percent, centre_error, slope_error, score, count })
}

/// Variance of the Mann-Kendall sum for independent values, ties counted (Kendall 1975).
fn kendall_variance(spots: &[Spot]) -> f64 {
    let mut values: Vec<f64> = spots.iter().map(|spot| spot.percent).collect();
    values.sort_by(f64::total_cmp);
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let ties: f64 = values.chunk_by(|one, other| one == other).map(|tied| term(tied.len() as f64)).sum();
    (term(values.len() as f64) - ties) / 18.0
}

/// What serial dependence multiplies that variance by: the formula of Hamed & Rao (1998), the rank correlations being those of a
/// first-order process with correlation `dependence` at lag 1.
fn kendall_inflation(count: usize, dependence: f64) -> f64 {
    let n = count as f64;
    let mut correlation = 1.0;
    let mut sum = 0.0;
    for lag in 1..count.saturating_sub(2) {
        correlation *= dependence;
        let ranks = 6.0 / std::f64::consts::PI * (correlation / 2.0).asin();
        let left = n - lag as f64;
        sum += left * (left - 1.0) * (left - 2.0) * ranks;
    }
    1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * sum
}

/// Correlation of neighbouring residuals, from 0 to 0.9, over stretches that each had a line taken out.
///
/// Residuals are cut at 3 deviations so that a spike neither hides nor makes dependence. A fitted line takes dependence away with it;
/// the estimate is corrected for that, after Kendall (1954), for the level and the slope of each stretch.
pub(super) fn dependence(stretches: &[Vec<f64>]) -> f64 {
    let all: Vec<f64> = stretches.iter().flatten().copied().collect();
    let reach = 3.0 * deviation(&all);
    let (mut products, mut squares) = (0.0, 0.0);
    for stretch in stretches {
        let cut: Vec<f64> = stretch.iter().map(|residual| residual.clamp(-reach, reach)).collect();
        products += cut.iter().zip(cut.iter().skip(1)).map(|(one, next)| one * next).sum::<f64>();
        squares += cut.iter().map(|residual| residual * residual).sum::<f64>();
    }
    if squares <= 0.0 {
        return 0.0;
    }
    let raw = products / squares;
    let corrected = raw + stretches.len() as f64 * (2.0 + 4.0 * raw.max(0.0)) / all.len() as f64;
    corrected.clamp(0.0, 0.9)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranks_are_those_of_the_sorted_values(
            mut values in proptest::collection::vec(prop_oneof![-5.0_f64..5.0, (-3_i32..3).prop_map(f64::from)], 1..60),
            ranks in proptest::collection::vec(0_usize..60, 1..6),
        ) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let middle = values.len() / 2;
            let expected = if values.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] };
            prop_assert_eq!(median(&mut values), Some(expected));
            for rank in ranks {
                prop_assert_eq!(ranked(&mut values, rank), sorted.get(rank).copied());
            }
        }

        #[test]
        fn a_line_goes_through_the_middle(rises in proptest::collection::vec(-3_i32..4, 0..40), gap in 1_i32..4) {
            let mut percent = 50.0;
            let spots: Vec<Spot> = (0..)
                .zip(&rises)
                .map(|(at, rise)| {
                    percent += f64::from(*rise);
                    Spot { day: f64::from(at * gap), percent }
                })
                .collect();
            let (line, middle) = (line(&spots, 0.3, 1.0), middle(&spots));
            prop_assert_eq!(line.is_some(), middle.is_some());
            prop_assert_eq!(line.is_some(), spots.len() >= 3);
            if let (Some(line), Some(middle)) = (line, middle) {
                prop_assert_eq!(Some(line.slope), slope(&spots));
                prop_assert_eq!(line.at(7.0).to_bits(), middle.at(7.0).to_bits());
                prop_assert!(line.slope_low <= line.slope && line.slope <= line.slope_high);
            }
        }
    }
}
