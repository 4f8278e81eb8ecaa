//! How well a profile recomputes calls.

use packtrail::packing::{Profile, Regime, pack, percent};

use super::trail::{Example, Outlier};

/// Of the calls of one regime that have a percentage. Points of the limit, shares in percent; NaN without calls.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    pub calls: usize,
    /// Mean distance of recomputed from observed, without hidden outliers.
    pub error: f64,
    /// The same with them.
    pub error_with_outliers: f64,
    /// Nine in ten calls are not further off; without hidden outliers.
    pub p90: f64,
    /// Calls whose range holds what was observed, outliers too.
    pub covered: usize,
    /// Median width of the ranges.
    pub width: f64,
}

impl Score {
    pub fn coverage(&self) -> f64 {
        100.0 * self.covered as f64 / self.calls as f64
    }
}

pub fn score<'a>(profile: &Profile, examples: impl IntoIterator<Item = &'a Example>, regime: Regime) -> Score {
    let sizing = profile.sizing(regime);
    let (mut all, mut clean, mut widths, mut covered) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for one in examples.into_iter().filter(|one| one.logged.regime == regime) {
        let Some(observed) = one.logged.percent else { continue };
        let size = percent(&pack(&one.request, sizing), &one.session, sizing);
        let error = (observed - sizing.rounding.whole(size.value)).abs();
        all.push(error);
        if !one.outlier.is_some_and(Outlier::is_hidden) {
            clean.push(error);
        }
        widths.push(size.high - size.low);
        covered += usize::from(size.low <= observed && observed <= size.high);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    Score {
        calls: all.len(),
        error: mean(&clean),
        error_with_outliers: mean(&all),
        p90: quantile(&mut clean, 0.9),
        covered,
        width: quantile(&mut widths, 0.5),
    }
}

/// Sorts `values`; NaN where there are none.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len().saturating_sub(1) as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}
