//! What a fit rests on: counts, the period, and how far the fitted engine was off on calls held out of it.

use super::range::Content;

/// What a fit of one regime's figures rests on. Requests are distinct ones: equal requests count once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Basis {
    /// Calls whose record tells a percentage or the length of the token.
    pub calls: u64,
    /// Distinct requests among them.
    pub requests: u64,
    /// Distinct requests that were looked at; fewer than `requests` where there were too many.
    pub requests_sampled: u64,
    /// Distinct policies among them.
    pub policies: u64,
    /// First UTC day with such a call, `YYYY-MM-DD`.
    pub from_day: String,
    /// Last UTC day with such a call, `YYYY-MM-DD`.
    pub through_day: String,
    /// Requests that the fit leaves aside because they are much larger than it says: hidden inherited tags, what a console added.
    pub outliers_above: u64,
    /// Requests that the fit leaves aside because they are much smaller than it says.
    pub outliers_below: u64,
    /// Tokens padded by `minimumSessionTokenSize`, which tell no more than a bound.
    pub padded: u64,
    /// Refusals whose percentage may speak of the tags alone or the policy alone; they are left out.
    pub ambiguous: u64,
    /// What stayed as it was before the fit since no call tells it apart, by field name.
    pub at_prior: Vec<String>,
    /// By kind of content.
    pub kinds: Vec<KindBasis>,
}

impl Basis {
    /// False where nothing was fitted: there were too few labelled requests, or a fit explained no more than the figures before it.
    pub fn is_fitted(&self) -> bool {
        let kept = |name: &str| self.at_prior.iter().any(|one| one == name);
        !self.kinds.is_empty() && !["tag_overhead_bytes", "policy_arn_bytes", "token_bases", "codec"].into_iter().all(kept)
    }

    /// How far from the percentage logged on requests held out of the fit, on average over all kinds, points of the limit; None where none was held out.
    pub fn mean_error_percent(&self) -> Option<f64> {
        let weighed = self.kinds.iter().filter_map(|kind| Some((kind.logged as f64, kind.mean_error_percent?)));
        let (requests, sum) = weighed.fold((0.0, 0.0), |(all, sum), (requests, mean)| (all + requests, requests.mul_add(mean, sum)));
        (requests > 0.0).then(|| sum / requests)
    }
}

/// What a fit rests on for one kind of content. Errors are in points of the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KindBasis {
    /// The kind.
    pub content: Content,
    /// Distinct requests, each held out of a fit to others: all whose label tells, but with a codec so slow that a million would take minutes.
    pub requests: u64,
    /// How many of them logged a percentage, which the errors are measured by.
    pub logged: u64,
    /// How far from the percentage logged, on average; None where none was logged.
    pub mean_error_percent: Option<f64>,
    /// At most this far in nine of ten.
    pub p90_error_percent: Option<f64>,
    /// At most this far in all.
    pub worst_error_percent: Option<f64>,
}
