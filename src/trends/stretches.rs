//! Where the course of a series changes.

use super::fit::{Spot, deviation, running_median};

/// Least spots in a stretch: a week. A shorter change is not told from a spike.
pub(super) const STRETCH_LEAST: usize = 7;

/// Noise below this is not believed, in points: what STS logs is rounded down to whole points before September 2026.
const NOISE_LEAST_PERCENT: f64 = 0.5;

/// Price of one more stretch, in units of the noise variance times the logarithm of the number of spots. The Bayesian criterion takes
/// 3 (a level, a slope and a place); the double and a little more allows for noise that depends on the day before.
const STRETCH_PRICE: f64 = 7.0;

/// Lag of the differences that tell the noise: far enough that neighbouring days hardly depend on each other, near enough that only
/// a few of the differences see a change of course.
const NOISE_LAG: usize = 3;

/// Standard deviation of the days about their course, points.
pub(super) fn noise(spots: &[Spot]) -> f64 {
    let differences: Vec<f64> = spots.iter().zip(spots.iter().skip(NOISE_LAG)).map(|(one, later)| later.percent - one.percent).collect();
    (deviation(&differences) / std::f64::consts::SQRT_2).max(NOISE_LEAST_PERCENT)
}

/// The spots with spikes cut: each no further than 3 deviations from the running median.
pub(super) fn without_spikes(spots: &[Spot], noise: f64) -> Vec<Spot> {
    let reach = 3.0 * noise;
    let cut = |(spot, level): (&Spot, f64)| Spot { day: spot.day, percent: spot.percent.clamp(level - reach, level + reach) };
    spots.iter().zip(running_median(spots)).map(cut).collect()
}

/// Index of the first spot of each stretch, oldest first: the first is 0.
///
/// The cheapest division into straight stretches, a line each and no join asked for, by optimal partitioning (Jackson et al. 2005):
/// squared distances in units of the noise variance plus [`STRETCH_PRICE`] a stretch. `spots` are without spikes.
pub(super) fn stretches(spots: &[Spot], noise: f64) -> Vec<usize> {
    let count = spots.len();
    if count < 2 * STRETCH_LEAST {
        return vec![0];
    }
    let price = STRETCH_PRICE * (count as f64).ln();
    let sums = Sums::prefixes(spots);
    let mut best = vec![-price];
    let mut from = vec![0];
    for (end, upto) in sums.iter().enumerate().skip(1) {
        let begins = sums.iter().zip(&best).take((end + 1).saturating_sub(STRETCH_LEAST)).enumerate();
        let costs = begins.map(|(begin, (before, cost))| (begin, cost + price + upto.less(before).squares() / (noise * noise)));
        let (begin, cost) = costs.min_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or((0, f64::INFINITY));
        best.push(cost);
        from.push(begin);
    }
    let mut starts = Vec::new();
    let mut end = count;
    while end > 0 {
        end = from.get(end).copied().unwrap_or(0);
        starts.push(end);
    }
    starts.reverse();
    starts
}

/// Index of the first spot after the step, when one step explains `spots` better than a line does: a deployment that made requests
/// larger once, not growth.
pub(super) fn one_step(spots: &[Spot]) -> Option<usize> {
    const SIDE_LEAST: usize = 3;
    let sums = Sums::prefixes(spots);
    let all = sums.last()?;
    let inner = sums.iter().enumerate().take((sums.len()).saturating_sub(SIDE_LEAST)).skip(SIDE_LEAST);
    let steps = inner.map(|(index, before)| (index, before.about_mean() + all.less(before).about_mean()));
    let (index, squares) = steps.min_by(|one, other| one.1.total_cmp(&other.1))?;
    (squares < all.squares()).then_some(index)
}

/// Running sums of spots, from which the squared distances from a line follow at once.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Sums {
    fn prefixes(spots: &[Spot]) -> Vec<Sums> {
        let origin = spots.first().copied().unwrap_or(Spot { day: 0.0, percent: 0.0 });
        let mut sums = vec![Sums::default()];
        sums.extend(spots.iter().scan(Sums::default(), |sum, spot| {
            let (x, y) = (spot.day - origin.day, spot.percent - origin.percent);
            *sum = Sums { n: sum.n + 1.0, x: sum.x + x, y: sum.y + y, xx: sum.xx + x * x, xy: sum.xy + x * y, yy: sum.yy + y * y };
            Some(*sum)
        }));
        sums
    }

    fn less(&self, before: &Sums) -> Sums {
        Sums {
            n: self.n - before.n,
            x: self.x - before.x,
            y: self.y - before.y,
            xx: self.xx - before.xx,
            xy: self.xy - before.xy,
            yy: self.yy - before.yy,
        }
    }

    fn about_mean(&self) -> f64 {
        if self.n > 0.0 { (self.yy - self.y * self.y / self.n).max(0.0) } else { 0.0 }
    }

    fn squares(&self) -> f64 {
        let x = self.xx - self.x * self.x / self.n;
        let xy = self.xy - self.x * self.y / self.n;
        if x > 0.0 { (self.about_mean() - xy * xy / x).max(0.0) } else { self.about_mean() }
    }
}
