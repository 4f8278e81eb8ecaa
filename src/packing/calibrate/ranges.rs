//! How far the fitted engine is off on requests it has not seen: ranges that hold nine in ten of them, and the errors that a profile states.
//!
//! The ranges are those of split conformal prediction: the requests held out are as likely to be far off as those to come, whatever the engine's errors are
//! made of, so the range that holds the right share of the former holds it of the latter.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use rayon::prelude::*;

use super::super::range::{Content, Range};
use super::super::{Basis, KindBasis, Measured, Parts, Regime, Sizing, percent, token, with_packer};
use super::model::{FIGURES, Group, group};
use super::search::{Found, most_scored};
use super::{FOLDS, Policies, Row, Spread, least, parts_of};

/// The share of requests that a range is to hold.
const SHARE: f64 = 0.9;
/// How likely a range is to hold that share at least of what is to come, over the chance of what was held out.
const CONFIDENCE: f64 = 0.8;
/// One request in so many more that the figures before the fit size rightly makes it worse than they are; fewer are chance.
const CLEARLY_WORSE: usize = 10;
/// With fewer requests held out, no range holds that share for sure.
const LEAST_HELD_OUT: usize = 9;
/// From so many on, the range may lie more to one side.
const MANY_HELD_OUT: usize = 100;
/// Sizes this much further off than the range of their kind are outliers: bytes.
const OUTLIER_BYTES: f64 = 12.0;

/// What one row shows.
struct Score {
    content: Content,
    policy: Option<u64>,
    /// How far the true size is above the recomputed one, bytes; negative for below, 0 where the label allows both.
    off_bytes: f64,
    /// Whether the label allows the recomputed size itself, whatever the range of the token's base.
    is_hit: bool,
    policy_bytes: f64,
    /// Observed less recomputed percentage, in whole points as STS logs them; None without a percentage.
    error_percent: Option<f64>,
}

/// The size of an error to expect of such content: what makes errors of large and small policies comparable. Bytes, and bytes for each byte of policy.
fn scale(content: Content) -> (f64, f64) {
    match content {
        Content::Nothing | Content::Tags | Content::WebIdentityTags | Content::PolicyArns => (1.0, 0.0),
        Content::PlainPolicy => (1.0, 0.01),
        Content::CompressedPolicy | Content::Text => (2.0, 0.02),
    }
}

/// Measures a fit by the rows held out in turn: the sizing with its ranges; what the basis says of kinds and outliers. The figures of `prior` stay where the
/// fit is no better: labels that contradict each other, or that hidden bytes are in most of, teach nothing.
pub(super) fn measure(found: Found, prior: &Sizing, (rows, folds): (&[Row], &[u8]), policies: &Policies, basis: &mut Basis) -> Sizing {
    let Found { sizing: fitted, without } = found;
    // What is read off without a fit stays.
    let before = match fitted.regime {
        Regime::PackedPolicy => prior.clone(),
        Regime::SessionToken => Sizing { limit_bytes: fitted.limit_bytes, rounding: fitted.rounding, ..prior.clone() },
    };
    let step = rows.len().div_ceil(most_scored(fitted.codec)).max(1);
    let looked_at: Vec<(&Row, u8)> = rows.iter().zip(folds.iter().copied()).step_by(step).collect();
    // Every fold has the same plain form and codec: each policy is packed once for all of them.
    let measured = measured(&looked_at, policies, &fitted);
    let measured_before = if fitted.compresses_like(&before) { None } else { Some(self::measured(&looked_at, policies, &before)) };
    let measured_before = measured_before.as_ref().unwrap_or(&measured);
    let mut scores = Vec::with_capacity(looked_at.len());
    let mut scores_before = Vec::with_capacity(looked_at.len());
    for (fold, (sizing, groups)) in (0..FOLDS).zip(&without) {
        let held_out: Vec<&Row> = looked_at.iter().filter(|&&(_, one)| one == fold).map(|&(row, _)| row).collect();
        scores.extend(scores_of(sizing, groups, &held_out, &measured));
        scores_before.extend(scores_of(&before, groups, &held_out, measured_before));
    }
    let hits = |scores: &[Score]| scores.iter().filter(|score| score.is_hit).count();
    let mut sizing = fitted;
    if hits(&scores) + scores.len() / CLEARLY_WORSE < hits(&scores_before) {
        sizing = before;
        scores = scores_before;
        let read_off = |name: &str| sizing.regime == Regime::SessionToken && matches!(name, "limit_bytes" | "rounding");
        let stays = |name: &&&str| !read_off(name) || basis.at_prior.iter().any(|one| one == **name);
        basis.at_prior = FIGURES.iter().filter(stays).map(|&name| name.to_owned()).collect();
    }
    sizing.ranges.clear();
    for content in Content::ALL {
        let own: Vec<&Score> = scores.iter().filter(|score| score.content == content).collect();
        if own.is_empty() {
            continue;
        }
        let range = range(content, &one_of_each(&own));
        let (low, high) = range.as_ref().map_or((0.0, 0.0), |range| (f64::from(range.low_bytes), f64::from(range.high_bytes)));
        basis.outliers_above += own.iter().filter(|score| score.off_bytes > OUTLIER_BYTES + high).count() as u64;
        basis.outliers_below += own.iter().filter(|score| score.off_bytes < -OUTLIER_BYTES - low).count() as u64;
        sizing.ranges.extend(range);
        let mut errors: Vec<f64> = own.iter().filter_map(|score| score.error_percent).map(f64::abs).collect();
        errors.sort_unstable_by(f64::total_cmp);
        let hundredths = |value: f64| (value * 100.0).round() / 100.0;
        basis.kinds.push(KindBasis {
            content,
            requests: own.len() as u64,
            logged: errors.len() as u64,
            mean_error_percent: (!errors.is_empty()).then(|| hundredths(errors.iter().sum::<f64>() / errors.len() as f64)),
            p90_error_percent: errors.get((errors.len() * 9).div_ceil(10).saturating_sub(1)).copied().map(hundredths),
            worst_error_percent: errors.last().copied().map(hundredths),
        });
    }
    sizing
}

/// One of the scores for each policy, since requests of one policy are off by the same; all where there are too few policies for a range.
fn one_of_each<'a>(scores: &[&'a Score]) -> Vec<&'a Score> {
    let mut seen = HashSet::new();
    let ones: Vec<&Score> = scores.iter().copied().filter(|score| score.policy.is_none_or(|policy| seen.insert(policy))).collect();
    if ones.len() < LEAST_HELD_OUT { scores.to_vec() } else { ones }
}

/// Distinct policies by hash, packed.
type PackedPolicies = HashMap<u64, Measured, BuildHasherDefault<Spread>>;

/// The policies of the rows under plain form and codec of `sizing`.
fn measured(rows: &[(&Row, u8)], policies: &Policies, sizing: &Sizing) -> PackedPolicies {
    let mut wanted: Vec<u64> = rows.iter().filter(|(row, _)| !row.is_ambiguous()).filter_map(|(row, _)| row.policy).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let found: Vec<(u64, Measured)> = wanted
        .par_iter()
        .filter_map(|&hash| {
            let text = policies.get(&hash)?;
            Some((hash, with_packer(|packer| packer.measure(text, sizing))))
        })
        .collect();
    found.into_iter().collect()
}

fn scores_of(sizing: &Sizing, groups: &[Group], rows: &[&Row], measured: &PackedPolicies) -> Vec<Score> {
    rows.par_iter()
        .filter(|row| !row.is_ambiguous())
        .filter_map(|row| {
            let measured = row.policy.and_then(|hash| measured.get(&hash)).copied();
            let parts = parts_of(row, measured, sizing)?;
            // A base that only the rows held out tell is known to the fit to all, not to this one.
            score(sizing, row, &parts, groups.binary_search(&group(row)).is_ok())
        })
        .collect()
}

fn score(sizing: &Sizing, row: &Row, parts: &Parts, is_base_known: bool) -> Option<Score> {
    let packed = f64::from(parts.packed_bytes());
    let may_tell_token = is_base_known && !row.is_padded() && !row.is_without_name();
    let (off_bytes, is_hit) = match (sizing.regime, row.percent, row.token_bytes) {
        (Regime::PackedPolicy, Some(logged), _) => {
            let one_percent = f64::from(sizing.limit_bytes) / 100.0;
            let from = least(sizing.rounding, logged) * one_percent;
            let off_bytes = outside(packed, from, from + one_percent);
            Some((off_bytes, off_bytes == 0.0))
        }
        (_, _, Some(bytes)) if may_tell_token => Some(token_off(sizing, row, packed, f64::from(bytes))),
        _ => None,
    }?;
    let error_percent = row
        .percent
        .filter(|_| sizing.regime == Regime::PackedPolicy || may_tell_token)
        .map(|logged| logged - sizing.rounding.whole(percent(parts, &row.session, sizing).value));
    Some(Score {
        content: Content::of(parts, &row.session),
        policy: row.policy,
        off_bytes,
        is_hit,
        policy_bytes: f64::from(parts.policy_bytes),
        error_percent,
    })
}

/// How far the packed content is off by the token's length, beyond what the range of the token's base allows; and whether it is not off even without that.
fn token_off(sizing: &Sizing, row: &Row, packed: f64, token_bytes: f64) -> (f64, bool) {
    let base = token::base_bytes(&row.session, sizing);
    let beside = token::session_name_bytes(&row.session, sizing).value + token::source_identity_bytes(&row.session, sizing);
    let sum = packed + beside;
    let (from, to) = (0.75 * token_bytes - 2.5, 0.75 * token_bytes + 0.5);
    let (low, high) = (outside(sum + base.low, from, to), outside(sum + base.high, from, to));
    let off_bytes = if low > 0.0 && high > 0.0 {
        low.min(high)
    } else if low < 0.0 && high < 0.0 {
        low.max(high)
    } else {
        0.0
    };
    (off_bytes, outside(sum + base.value, from, to) == 0.0)
}

/// How far the window lies above `value`; negative where below, 0 where it holds it.
fn outside(value: f64, from: f64, to: f64) -> f64 {
    if value < from {
        from - value
    } else if value >= to {
        to - value
    } else {
        0.0
    }
}

/// The range that holds the share of `scores` that is asked for; None of too few.
///
/// On average over all samples of requests held out, the range of split conformal prediction does. One that does for most samples is wider by the chance of
/// a sample; it is taken as far as it holds no outliers for that.
fn range(content: Content, scores: &[&Score]) -> Option<Range> {
    let count = scores.len();
    if count < LEAST_HELD_OUT {
        return None;
    }
    let (bytes, share) = scale(content);
    let mut scaled: Vec<f64> = scores.iter().map(|score| score.off_bytes / share.mul_add(score.policy_bytes, bytes)).collect();
    scaled.sort_unstable_by(f64::total_cmp);
    let usual = ((SHARE * (count + 1) as f64).ceil() as usize).min(count);
    let sure = inside(count).max(usual);
    let (low, high) = if count < MANY_HELD_OUT {
        let mut sizes: Vec<f64> = scaled.iter().map(|value| value.abs()).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let least = sizes.get(usual - 1).copied()?;
        let size = sizes.get(usual - 1..sure)?.iter().copied().filter(|size| (size - least) * bytes <= OUTLIER_BYTES).fold(least, f64::max);
        (size, size)
    } else {
        let narrowest = |inside: usize| {
            // One more, since the narrowest of all ranges is a lucky one.
            let inside = (inside + 1).min(count);
            let width = |first: usize| {
                let (from, to) = (scaled.get(first)?.min(0.0), scaled.get(first + inside - 1)?.max(0.0));
                Some((from.abs(), to))
            };
            (0..=count - inside).filter_map(width).min_by(|a, b| (a.0 + a.1).total_cmp(&(b.0 + b.1)))
        };
        let least = narrowest(usual)?;
        let is_near = |range: &(f64, f64)| (range.0 - least.0).max(range.1 - least.1) * bytes <= OUTLIER_BYTES;
        // Wider ones hold more: the last that is near is found by halving.
        let (mut near, mut far) = (usual, sure + 1);
        while far - near > 1 {
            let middle = usize::midpoint(near, far);
            if narrowest(middle).as_ref().is_some_and(is_near) { near = middle } else { far = middle }
        }
        narrowest(near)?
    };
    // To a hundredth of a byte, and never inwards.
    #[allow(clippy::cast_possible_truncation)]
    let outwards = |value: f64| ((value * 100.0).ceil() / 100.0).max(0.0) as f32;
    #[allow(clippy::cast_possible_truncation)]
    let outwards_share = |value: f64| ((value * 10_000.0).ceil() / 10_000.0).max(0.0) as f32;
    Some(Range {
        content,
        requests: count as u64,
        low_bytes: outwards(low * bytes),
        high_bytes: outwards(high * bytes),
        low_share: outwards_share(low * share),
        high_share: outwards_share(high * share),
    })
}

/// How many of `count` held-out requests a range must hold to hold [`SHARE`] of those to come with [`CONFIDENCE`]; all where no number is sure enough.
///
/// Sorted by how far they are off, the share that the `k`th of `n` bounds is distributed as Beta(k, n - k + 1), whatever the errors are made of, so it is at least `s`
/// as often as Binomial(n, 1 - s) is above n - k (Vovk, *Conditional validity of inductive conformal predictors*, 2012).
fn inside(count: usize) -> usize {
    let n = count as f64;
    // The chance of so many outside, by its logarithm: for many requests the first ones are too small for a number.
    let mut chance = n * SHARE.ln();
    let mut sum = chance.exp();
    let mut outside = 0_usize;
    while sum <= 1.0 - CONFIDENCE && outside < count {
        let k = outside as f64;
        chance += ((n - k) / (k + 1.0) * (1.0 - SHARE) / SHARE).ln();
        sum += chance.exp();
        outside += 1;
    }
    // The last one counted was one too many.
    count - outside.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(off: impl Iterator<Item = f64>) -> Vec<Score> {
        off.map(|off_bytes| Score {
            content: Content::Tags,
            policy: None,
            off_bytes,
            is_hit: off_bytes == 0.0,
            policy_bytes: 0.0,
            error_percent: None,
        })
        .collect()
    }

    fn range_of(scores: &[Score]) -> Option<(f32, f32)> {
        range(Content::Tags, &scores.iter().collect::<Vec<_>>()).map(|range| (range.low_bytes, range.high_bytes))
    }

    #[test]
    fn few_requests_give_no_range_some_a_symmetric_one_and_many_the_narrowest() {
        assert_eq!(range_of(&scores((0..8).map(f64::from))), None);
        assert_eq!(range_of(&scores((0..19).map(f64::from))), Some((18.0, 18.0)));
        let (low, high) = range_of(&scores((0..1000).map(f64::from))).unwrap();
        assert_eq!((low, high), (0.0, 909.0));
    }

    /// Of 28 requests all must be inside to be sure enough, of 29 all but one: 0.9^28 + 28 * 0.1 * 0.9^27 is 0.215, and 0.9^29 + 29 * 0.1 * 0.9^28 0.199.
    #[test]
    fn as_many_are_inside_as_make_nine_in_ten_likely() {
        assert_eq!([9, 15, 16, 28, 29, 100, 200, 1000].map(inside), [9, 15, 16, 28, 28, 94, 185, 909]);
        assert!((900_200..900_300).contains(&inside(1_000_000)), "{}", inside(1_000_000));
    }

    #[test]
    fn a_range_is_widened_for_the_chance_of_its_sample_but_not_up_to_outliers() {
        let three_of = |count: usize, off: f64| scores((0..count).map(move |at| if at < 3 { off } else { 0.0 }));
        assert_eq!(range_of(&three_of(40, 10.0)), Some((10.0, 10.0)));
        assert_eq!(range_of(&three_of(40, 200.0)), Some((0.0, 0.0)));
        let eight_of = |off: f64| scores((0..100).map(move |at| if at < 8 { off } else { 0.0 }));
        assert_eq!(range_of(&eight_of(10.0)), Some((0.0, 10.0)));
        assert_eq!(range_of(&eight_of(200.0)), Some((0.0, 0.0)));
    }

    #[test]
    fn an_exact_engine_has_no_range_whatever_one_in_ten_do() {
        assert_eq!(range_of(&scores((0..1000).map(|at| if at % 11 == 0 { 500.0 } else { 0.0 }))), Some((0.0, 0.0)));
    }

    #[test]
    fn windows_hold_their_start_and_not_their_end() {
        assert_eq!([outside(4.0, 5.0, 6.0), outside(5.0, 5.0, 6.0), outside(6.0, 5.0, 6.0), outside(8.0, 5.0, 6.0)], [1.0, 0.0, 0.0, -2.0]);
    }
}
