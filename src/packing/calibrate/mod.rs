//! Labelled calls to a profile: the engine that fits itself to a user's own logs.
//!
//! ```
//! use packtrail::packing::calibrate::{Calibration, Seen};
//! use packtrail::packing::{CallerKind, Operation, Profile, Regime, Request, Session};
//!
//! let mut calibration = Calibration::new();
//! let session = Session { session_name_bytes: Some(6), ..Session::new(Operation::AssumeRole, CallerKind::IamUser) };
//! for length in 1..200 {
//!     // A user's own logs: here STS takes 5 bytes for each tag beside its texts, of 800 in all. Whole percentages below 100 do not tell 799 from 800.
//!     let request = Request { tags: vec![("team".to_owned(), "x".repeat(length)); 2], ..Request::default() };
//!     let packed_bytes = 2 * (4 + length + 5);
//!     let percent = Some((packed_bytes * 100 / 800) as f64);
//!     calibration.add(&request, &session, &Seen { regime: Regime::PackedPolicy, percent, token_bytes: None, refused: false, time: 0 });
//! }
//! let profile = calibration.fit(&Profile::builtin());
//! assert_eq!(profile.packed_policy.tag_overhead_bytes, 5);
//! assert!((799..=800).contains(&profile.packed_policy.limit_bytes));
//! ```
//!
//! A fit is deterministic: it depends neither on the order of the calls nor on the number of threads. How it works and how well stands in
//! `docs/calibration.md`.

mod model;
mod ranges;
mod search;
mod solve;
mod stab;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use super::limits::REGIME_LIMITS;
use super::{Basis, Measured, Parts, PolicyForm, Profile, Regime, Request, Rounding, Session, Sizing};
use search::Library;

/// What STS logged of one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The limit STS applied.
    pub regime: Regime,
    /// The percentage STS logged, in points of the limit: `packedPolicySize`, `sessionTokenUtilization`, or that of a refusal's message.
    pub percent: Option<f64>,
    /// Length of the session token's text in bytes: `sessionTokenSize`, or that of the logged token.
    pub token_bytes: Option<u32>,
    /// STS refused the call for its size.
    pub refused: bool,
    /// When, seconds since 1970-01-01 UTC.
    pub time: i64,
}

/// A shorter token is none: the shortest on record has 288 characters.
const LEAST_TOKEN_BYTES: u32 = 200;
/// With fewer distinct requests of a regime whose label tells their size nothing is fitted for it.
pub const LEAST_REQUESTS: usize = 40;
/// Beyond this many distinct labelled requests a sample of them is kept.
pub const MOST_REQUESTS: usize = 1_000_000;
/// Beyond this many bytes of distinct policies a sample of them is kept.
const MOST_POLICY_BYTES: usize = 1 << 30;

/// A distinct labelled request: one that differs in what is packed, in the session or in the regime.
#[derive(Clone, Copy, Debug)]
struct Row {
    key: u64,
    regime: Regime,
    session: Session,
    /// Hash of the policy; None without one.
    policy: Option<u64>,
    tags: u32,
    tag_text_bytes: u32,
    inherited_tags: u32,
    inherited_text_bytes: u32,
    policy_arns: u32,
    policy_arn_chars: u32,
    calls: u64,
    first: i64,
    last: i64,
    /// The first call's, until more come.
    hash: u64,
    /// What STS logged; of several calls what most of them were told.
    percent: Option<f64>,
    token_bytes: Option<u32>,
    refused: bool,
}

/// What STS logged of one call, with a hash that makes a sample of calls fair.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Label {
    hash: u64,
    percent: Option<f64>,
    token_bytes: Option<u32>,
    refused: bool,
}

impl Label {
    fn new(seen: &Seen) -> Label {
        let Seen { percent, token_bytes, refused, .. } = *seen;
        let hash = [seen.time as u64, percent.map_or(u64::MAX, f64::to_bits), token_bytes.map_or(u64::MAX, u64::from)]
            .into_iter()
            .fold(u64::from(refused), mix);
        Label { hash, percent, token_bytes, refused }
    }

    /// By what STS logged, then by hash.
    fn order(&self, other: &Label) -> Ordering {
        let value = |label: &Label| (label.percent.map(f64::to_bits), label.token_bytes, label.refused, label.hash);
        value(self).cmp(&value(other))
    }

    fn is_alike(&self, other: &Label) -> bool {
        (self.percent, self.token_bytes, self.refused) == (other.percent, other.token_bytes, other.refused)
    }
}

/// Calls of one request that have a say in what stands for all of them: those with the smallest hashes.
const LABELS: usize = 9;

/// What most of `labels` say; of equals the smallest.
fn most_frequent(labels: &[Label]) -> Option<Label> {
    let mut labels = labels.to_vec();
    labels.sort_unstable_by(Label::order);
    let runs: Vec<&[Label]> = labels.chunk_by(Label::is_alike).collect();
    // The last of the largest is the first in the other direction.
    runs.into_iter().rev().max_by_key(|run| run.len()).and_then(|run| run.first().copied())
}

impl Row {
    fn label(&self) -> Label {
        let Row { hash, percent, token_bytes, refused, .. } = *self;
        Label { hash, percent, token_bytes, refused }
    }

    /// True where the percentage of a refusal may speak of the tags alone or of the policy alone.
    fn is_ambiguous(&self) -> bool {
        self.refused && self.tags + self.inherited_tags > 0 && (self.policy.is_some() || self.policy_arns > 0)
    }

    /// True where `minimumSessionTokenSize` set the token's length, which then tells no more than a bound.
    fn is_padded(&self) -> bool {
        let minimum = self.session.minimum_token_bytes.map_or(0, u32::from);
        minimum > 0 && self.token_bytes.is_some_and(|bytes| bytes < minimum + 4)
    }

    /// True where the label says how large something is.
    fn tells(&self) -> bool {
        let tells_token = !self.is_padded() && !self.is_without_name();
        let tells_content = self.regime == Regime::PackedPolicy && self.percent.is_some();
        !self.is_ambiguous() && (tells_content || tells_token)
    }

    /// True where the length of the session name is needed and not known.
    fn is_without_name(&self) -> bool {
        self.session.session_name_bytes.is_none() && self.session.operation.names_its_session()
    }
}

/// Distinct policies by hash.
type Policies = HashMap<u64, Box<str>, BuildHasherDefault<Spread>>;

/// For keys that are spread already.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes, self.0);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// What is packed, hashed, and the numbers that count.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    key: u64,
    policy: Option<u64>,
    tags: u32,
    tag_text_bytes: u32,
    inherited_tags: u32,
    inherited_text_bytes: u32,
    policy_arns: u32,
    policy_arn_chars: u32,
}

/// Takes labelled calls, one for each request, and fits a profile to them.
pub struct Calibration {
    most: usize,
    rows: HashMap<u64, Row, BuildHasherDefault<Spread>>,
    labels: HashMap<u64, Vec<Label>, BuildHasherDefault<Spread>>,
    /// Distinct policies by hash.
    policies: Policies,
    policy_bytes: usize,
    /// Rows and policies are kept whose hash, spread, has this many leading zeros.
    row_level: u32,
    policy_level: u32,
    calls: [u64; 2],
}

impl Default for Calibration {
    fn default() -> Calibration {
        Calibration::new()
    }
}

impl Calibration {
    /// No calls yet; keeps a million distinct labelled requests at most.
    pub fn new() -> Calibration {
        Calibration::with_most(MOST_REQUESTS)
    }

    /// No calls yet. Of more than `most` distinct labelled requests a sample is kept, which depends on what they are alone.
    pub fn with_most(most: usize) -> Calibration {
        Calibration {
            most,
            rows: HashMap::default(),
            labels: HashMap::default(),
            policies: HashMap::default(),
            policy_bytes: 0,
            row_level: 0,
            policy_level: 0,
            calls: [0; 2],
        }
    }

    /// Takes a call: what was asked for and what STS logged. A call of which STS logged no size tells nothing.
    pub fn add(&mut self, request: &Request, session: &Session, seen: &Seen) {
        let content = self.content(request);
        self.add_again(&content, session, seen);
    }

    /// Takes what a request packs, for [`Calibration::add_again`].
    pub fn content(&mut self, request: &Request) -> Content {
        let policy = request.policy.as_deref().map(|text| (hash_policy(text), text));
        if let Some((hash, text)) = policy
            && is_sampled(hash, self.policy_level)
            && !self.policies.contains_key(&hash)
        {
            self.policy_bytes += text.len();
            self.policies.insert(hash, text.into());
            self.cut_policies();
        }
        let tags = |tags: &[(String, String)]| {
            // Neither the order of tags nor that of ARNs matters.
            let hash =
                tags.iter().fold(0_u64, |sum, (key, value)| sum.wrapping_add(spread(hash(key.as_bytes(), hash(value.as_bytes(), 1)))));
            (hash, count(tags.len()), tags.iter().map(|(key, value)| count(key.len() + value.len())).fold(0, u32::saturating_add))
        };
        let (tags_hash, tag_count, tag_text_bytes) = tags(&request.tags);
        let (inherited_hash, inherited_tags, inherited_text_bytes) = tags(&request.inherited_tags);
        let arns_hash = request.policy_arns.iter().fold(0_u64, |sum, arn| sum.wrapping_add(spread(hash(arn.as_bytes(), 2))));
        let key = [policy.map_or(0, |(hash, _)| hash), tags_hash, inherited_hash, arns_hash].into_iter().fold(3, mix);
        Content {
            key,
            policy: policy.map(|(hash, _)| hash),
            tags: tag_count,
            tag_text_bytes,
            inherited_tags,
            inherited_text_bytes,
            policy_arns: count(request.policy_arns.len()),
            policy_arn_chars: request.policy_arns.iter().map(|arn| count(arn.len())).fold(0, u32::saturating_add),
        }
    }

    /// Takes a call of a request whose content was taken before.
    pub fn add_again(&mut self, content: &Content, session: &Session, seen: &Seen) {
        let seen = &Seen { token_bytes: seen.token_bytes.filter(|&bytes| bytes >= LEAST_TOKEN_BYTES), ..*seen };
        if seen.percent.is_none() && seen.token_bytes.is_none() {
            return;
        }
        let regime = seen.regime;
        if let Some(calls) = self.calls.get_mut(regime as usize) {
            *calls += 1;
        }
        let length = |length: Option<u16>| length.map_or(u64::MAX, u64::from);
        let key = [
            regime as u64,
            session.operation as u64,
            session.caller_kind as u64,
            u64::from(session.service_linked),
            length(session.session_name_bytes),
            length(session.source_identity_bytes),
            length(session.minimum_token_bytes),
        ]
        .into_iter()
        .fold(content.key, mix);
        if !is_sampled(key, self.row_level) {
            return;
        }
        let label = Label::new(seen);
        let row = Row {
            key,
            regime,
            session: *session,
            policy: content.policy,
            tags: content.tags,
            tag_text_bytes: content.tag_text_bytes,
            inherited_tags: content.inherited_tags,
            inherited_text_bytes: content.inherited_text_bytes,
            policy_arns: content.policy_arns,
            policy_arn_chars: content.policy_arn_chars,
            calls: 1,
            first: seen.time,
            last: seen.time,
            hash: label.hash,
            percent: seen.percent,
            token_bytes: seen.token_bytes,
            refused: seen.refused,
        };
        match self.rows.entry(key) {
            Entry::Vacant(place) => {
                place.insert(row);
            }
            Entry::Occupied(mut kept) => {
                let kept = kept.get_mut();
                kept.calls += 1;
                kept.first = kept.first.min(row.first);
                kept.last = kept.last.max(row.last);
                let labels = self.labels.entry(key).or_insert_with(|| vec![kept.label()]);
                let at = labels.partition_point(|one| one.hash < label.hash);
                if at < LABELS {
                    labels.insert(at, label);
                    labels.truncate(LABELS);
                }
            }
        }
        self.cut_rows();
    }

    /// Takes all that `other`, which keeps as many requests, has taken: the same as if its calls had come here.
    pub fn absorb(&mut self, other: Calibration) {
        for (calls, more) in self.calls.iter_mut().zip(other.calls) {
            *calls += more;
        }
        self.row_level = self.row_level.max(other.row_level);
        self.policy_level = self.policy_level.max(other.policy_level);
        let (row_level, policy_level) = (self.row_level, self.policy_level);
        self.rows.retain(|&key, _| is_sampled(key, row_level));
        self.labels.retain(|&key, _| is_sampled(key, row_level));
        self.policies.retain(|&hash, _| is_sampled(hash, policy_level));

        let mut labels = other.labels;
        for (key, row) in other.rows.into_iter().filter(|&(key, _)| is_sampled(key, row_level)) {
            let more = labels.remove(&key);
            match self.rows.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(row);
                    if let Some(more) = more {
                        self.labels.insert(key, more);
                    }
                }
                Entry::Occupied(mut kept) => {
                    let kept = kept.get_mut();
                    kept.calls += row.calls;
                    kept.first = kept.first.min(row.first);
                    kept.last = kept.last.max(row.last);
                    let labels = self.labels.entry(key).or_insert_with(|| vec![kept.label()]);
                    labels.extend(more.unwrap_or_else(|| vec![row.label()]));
                    labels.sort_by_key(|label| label.hash);
                    labels.truncate(LABELS);
                }
            }
        }
        self.policies.extend(other.policies.into_iter().filter(|&(hash, _)| is_sampled(hash, policy_level)));
        self.policy_bytes = self.policies.values().map(|text| text.len()).sum();
        self.cut_rows();
        self.cut_policies();
    }

    /// Halves the sample of rows while there are too many. What is left depends on their hashes alone, not on the order in which they came.
    fn cut_rows(&mut self) {
        while self.rows.len() > self.most {
            self.row_level += 1;
            let level = self.row_level;
            self.rows.retain(|&key, _| is_sampled(key, level));
            self.labels.retain(|&key, _| is_sampled(key, level));
        }
    }

    fn cut_policies(&mut self) {
        while self.policy_bytes > MOST_POLICY_BYTES {
            self.policy_level += 1;
            let level = self.policy_level;
            self.policies.retain(|&hash, _| is_sampled(hash, level));
            self.policy_bytes = self.policies.values().map(|text| text.len()).sum();
        }
    }

    /// Distinct labelled requests of `regime` at hand.
    pub fn requests(&self, regime: Regime) -> usize {
        self.rows.values().filter(|row| row.regime == regime).count()
    }

    /// Fits the figures of `prior` to the calls taken. What no call tells apart stays as it is there. A regime with fewer than [`LEAST_REQUESTS`] distinct
    /// labelled requests is not fitted: it takes the figures of packed content and token from the other one, if that was, and keeps its own limit, since
    /// the same parts make up both. The fit is told in the basis of each sizing.
    pub fn fit(&self, prior: &Profile) -> Profile {
        let labelled = |row: &Row| match self.labels.get(&row.key).and_then(|labels| most_frequent(labels)) {
            Some(Label { percent, token_bytes, refused, .. }) => Row { percent, token_bytes, refused, ..*row },
            None => *row,
        };
        let mut rows: Vec<Row> = self.rows.values().map(labelled).collect();
        rows.sort_unstable_by_key(|row| row.key);
        let of = |regime: Regime| -> Vec<Row> { rows.iter().filter(|row| row.regime == regime).copied().collect() };
        let (old, new) = (of(Regime::PackedPolicy), of(Regime::SessionToken));
        let policies = |rows: &[Row]| {
            let mut hashes: Vec<u64> = rows.iter().filter_map(|row| row.policy).collect();
            hashes.sort_unstable();
            hashes.dedup();
            hashes.len()
        };
        // The regime that knows more of policies goes first; what it finds is what the other starts from.
        let old_first = (policies(&old), old.len()) >= (policies(&new), new.len());
        let (first, second) = if old_first { (old, new) } else { (new, old) };
        let (one, other) =
            if old_first { (Regime::PackedPolicy, Regime::SessionToken) } else { (Regime::SessionToken, Regime::PackedPolicy) };
        let one = self.fit_regime(&first, prior.sizing(one));
        let is_fitted = one.basis.as_ref().is_some_and(|basis| basis.is_fitted());
        let start = if is_fitted { start_from(&one, prior.sizing(other)) } else { prior.sizing(other).clone() };
        let other = self.fit_regime(&second, &start);
        if old_first { Profile { packed_policy: one, session_token: other } } else { Profile { packed_policy: other, session_token: one } }
    }

    fn fit_regime(&self, rows: &[Row], prior: &Sizing) -> Sizing {
        let mut basis = self.basis(rows, prior.regime);
        if rows.iter().filter(|row| row.tells()).count() < LEAST_REQUESTS {
            basis.at_prior = model::FIGURES.iter().map(|&name| name.to_owned()).collect();
            return Sizing { basis: (basis.calls > 0).then_some(basis), ..prior.clone() };
        }
        let library = Library::new(rows, &self.policies);
        let folds = folds(rows, &self.policies);
        let found = search::fit(rows, &folds, &library, prior, &mut basis);
        let sizing = ranges::measure(found, prior, (rows, &folds), &self.policies, &mut basis);
        Sizing { basis: Some(basis), ..sizing }
    }

    /// What can be counted before a fit.
    fn basis(&self, rows: &[Row], regime: Regime) -> Basis {
        let day = |seconds: Option<i64>| seconds.map(day).unwrap_or_default();
        Basis {
            calls: self.calls.get(regime as usize).copied().unwrap_or_default(),
            requests: (rows.len() as u64) << self.row_level,
            requests_sampled: rows.len() as u64,
            from_day: day(rows.iter().map(|row| row.first).min()),
            through_day: day(rows.iter().map(|row| row.last).max()),
            padded: rows.iter().filter(|row| row.is_padded()).count() as u64,
            ambiguous: rows.iter().filter(|row| row.is_ambiguous()).count() as u64,
            ..Basis::default()
        }
    }
}

/// The figures of `other`, with those of packed content and token as `one` has them: the same parts make up both regimes.
fn start_from(one: &Sizing, other: &Sizing) -> Sizing {
    Sizing {
        regime: other.regime,
        limit_bytes: other.limit_bytes,
        rounding: other.rounding,
        margins: other.margins,
        ranges: Vec::new(),
        basis: None,
        ..one.clone()
    }
}

/// Parts of the rows, each of which is held out of a fit to the others.
const FOLDS: u8 = 3;

/// A template with a larger share of the policies than one in so many is what most new policies are of, too.
const LARGE_TEMPLATE: usize = 8;

/// The part of each row. Rows that share a policy stay together, so that a policy held out was not seen, as long as there are enough policies. So do policies
/// that seem to be of one template, since a fit is off by much the same on all of them and those to come may be of another one.
fn folds(rows: &[Row], policies: &Policies) -> Vec<u8> {
    let mut hashes: Vec<u64> = rows.iter().filter_map(|row| row.policy).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let by_policy = hashes.len() >= 30;
    let templates: HashMap<u64, u64, BuildHasherDefault<Spread>> = if by_policy {
        hashes.iter().filter_map(|hash| Some((*hash, template(policies.get(hash)?)?))).collect()
    } else {
        HashMap::default()
    };
    let mut sizes: HashMap<u64, usize, BuildHasherDefault<Spread>> = HashMap::default();
    templates.values().for_each(|&template| *sizes.entry(template).or_default() += 1);
    let of_template = |policy: u64| {
        let small = |template: &u64| sizes.get(template).is_some_and(|&size| size * LARGE_TEMPLATE <= hashes.len());
        templates.get(&policy).copied().filter(small).unwrap_or(policy)
    };
    let fold = |row: &Row| {
        let unit = row.policy.filter(|_| by_policy).map_or(row.key, of_template);
        (spread(unit ^ 0x5851_f42d_4c95_7f2d) % u64::from(FOLDS)) as u8
    };
    rows.iter().map(fold).collect()
}

/// What policies of one template have in common, hashed: their actions and condition keys, the texts with one colon and nothing that ARNs, times and
/// addresses have. None where there are none.
fn template(policy: &str) -> Option<u64> {
    let is_name = |text: &&str| {
        text.split_once(':').is_some_and(|(service, name)| {
            !service.is_empty()
                && service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'?' | b'-'))
        })
    };
    // Quotation marks part a text from what is between; an escaped one only makes pieces that are no names.
    let mut names: Vec<u64> = policy.split('"').filter(is_name).map(|name| hash(name.as_bytes(), 4)).collect();
    names.sort_unstable();
    // A statement for each of a list of resources is one of the template.
    names.dedup();
    (!names.is_empty()).then(|| names.into_iter().fold(5, mix))
}

/// The limit and rounding of the session-token regime, which tokens and percentages of the same calls tell without any model: the limit that most of them
/// agree on. None where no call has both.
fn token_limit(rows: &[Row], prior: &Sizing) -> Option<(u32, Rounding)> {
    let mut best: Option<(u32, stab::Point, Rounding)> = None;
    for rounding in Rounding::ALL {
        let windows: Vec<(f64, f64)> = rows
            .iter()
            .filter(|row| !row.refused)
            .filter_map(|row| row.percent.zip(row.token_bytes))
            .filter_map(|(percent, bytes)| {
                let least = least(rounding, percent);
                let at = |percent: f64| if percent > 0.0 { 100.0 * f64::from(bytes) / percent } else { f64::INFINITY };
                // Limits are whole numbers: half way before the first that rounds so, to half way behind the last. A percentage that is whole itself
                // is rounded to itself, so either end may be in or out.
                let (from, to) = match rounding {
                    Rounding::Up => (at(least + 1.0).ceil(), at(least).ceil()),
                    Rounding::Down | Rounding::Nearest => (at(least + 1.0).floor() + 1.0, at(least).floor() + 1.0),
                };
                from.is_finite().then_some((from - 0.5, to - 0.5))
            })
            .collect();
        // The known limits first.
        let known = REGIME_LIMITS.iter().find(|limit| limit.regime == prior.regime).map(|limit| f64::from(limit.limit_bytes));
        let wish = stab::Wish { prior: f64::from(prior.limit_bytes), near: known.unwrap_or(f64::from(prior.limit_bytes)), whole: true };
        let Some(point) = stab::best(windows, &wish) else { continue };
        if best.as_ref().is_none_or(|(_, other, other_rounding)| {
            // A rounding other than the one before must explain clearly more.
            let lead = if *other_rounding == prior.rounding { other.count + 1 + other.count / 50 } else { other.count + 1 };
            point.count >= lead
        }) {
            best = Some((point.value.round().max(1.0) as u32, point, rounding));
        }
    }
    best.map(|(limit, _, rounding)| (limit, rounding))
}

/// The least percentage that `rounding` makes `whole` of.
fn least(rounding: Rounding, whole: f64) -> f64 {
    match rounding {
        Rounding::Down => whole,
        Rounding::Nearest => whole - 0.5,
        Rounding::Up => whole - 1.0,
    }
}

/// Parts of a row whose policy, if it has one, was `measured` under plain form and codec of `sizing`; None where it was not.
fn parts_of(row: &Row, measured: Option<Measured>, sizing: &Sizing) -> Option<Parts> {
    let (policy_bytes, policy_form) = match (row.policy, measured) {
        (Some(_), None) => return None,
        (Some(_), Some(measured)) => super::policy_bytes(measured, sizing),
        (None, _) => (0, PolicyForm::None),
    };
    let arn_bytes = f64::from(sizing.policy_arn_bytes)
        .mul_add(row.policy_arns.into(), f64::from(sizing.policy_arn_char_bytes) * f64::from(row.policy_arn_chars));
    Some(Parts {
        policy_arn_bytes: arn_bytes.round() as u32,
        tag_bytes: row.tag_text_bytes + row.tags * sizing.tag_overhead_bytes,
        inherited_tag_bytes: row.inherited_text_bytes + row.inherited_tags * sizing.inherited_tag_overhead_bytes,
        policy_arns: u8::try_from(row.policy_arns).unwrap_or(u8::MAX),
        policy_bytes,
        policy_form,
    })
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// `YYYY-MM-DD` of a time in seconds since 1970-01-01 UTC, in the Gregorian calendar.
fn day(seconds: i64) -> String {
    let mut days = seconds.div_euclid(86_400);
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    // 400 years have 146,097 days.
    let mut year = 1970 + 400 * days.div_euclid(146_097);
    days = days.rem_euclid(146_097);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

/// A hash that is the same on every machine and in every version: a profile must not change with the compiler. FNV-1a.
fn hash(bytes: &[u8], start: u64) -> u64 {
    bytes.iter().fold(start ^ 0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The hash of a policy without the JSON white space outside its strings.
fn hash_policy(text: &str) -> u64 {
    let (mut in_string, mut escaped) = (false, false);
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in text.as_bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        } else {
            in_string = byte == b'"';
        }
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    spread(hash)
}

/// Spreads what differs over all bits: the finaliser of SplitMix64.
fn spread(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn mix(hash: u64, value: u64) -> u64 {
    spread(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(value))
}

fn is_sampled(hash: u64, level: u32) -> bool {
    spread(hash ^ 0xd1b5_4a32_d192_ed03).leading_zeros() >= level
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// A call of one of some forty requests, told by three numbers; what STS logged differs between calls of one request.
    fn take(calibration: &mut Calibration, (request, logged, time): (u8, u8, i64)) {
        let policy = (request % 4 > 0).then(|| format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}", request % 20));
        let tags = (0..request % 3).map(|tag| (tag.to_string(), "value".to_owned())).collect();
        let seen = Seen {
            regime: if request % 2 == 0 { Regime::PackedPolicy } else { Regime::SessionToken },
            percent: (logged % 5 > 0).then(|| f64::from(logged % 7)),
            token_bytes: (logged % 3 > 0).then(|| 800 + u32::from(logged % 4)),
            refused: logged % 11 == 0,
            time,
        };
        let session = Session::new(crate::packing::Operation::AssumeRole, crate::packing::CallerKind::AssumedRole);
        calibration.add(&Request { policy, tags, ..Request::default() }, &session, &seen);
    }

    /// All that a fit looks at.
    fn taken(calibration: &Calibration) -> String {
        let mut rows: Vec<String> = calibration
            .rows
            .values()
            .map(|row| {
                let label = calibration.labels.get(&row.key).and_then(|labels| most_frequent(labels)).unwrap_or_else(|| row.label());
                let Row { key, regime, policy, tags, calls, first, last, .. } = row;
                format!("{key} {regime:?} {policy:?} {tags} {calls} {first} {last} {label:?}")
            })
            .collect();
        rows.sort_unstable();
        let mut policies: Vec<_> = calibration.policies.iter().collect();
        policies.sort_unstable();
        format!(
            "{rows:?} {policies:?} {:?} {} {} {}",
            calibration.calls, calibration.policy_bytes, calibration.row_level, calibration.policy_level
        )
    }

    proptest! {
        #[test]
        fn calls_taken_apart_and_joined_are_those_taken_together(
            calls in proptest::collection::vec((any::<u8>(), any::<u8>(), 0_i64..1_000_000), 0..400),
            cut in any::<proptest::sample::Index>(),
            most in 1_usize..60,
        ) {
            let of = |calls: &[(u8, u8, i64)]| {
                let mut calibration = Calibration::with_most(most);
                calls.iter().for_each(|&call| take(&mut calibration, call));
                calibration
            };
            let (first, second) = calls.split_at(cut.index(calls.len() + 1));
            let mut joined = of(first);
            joined.absorb(of(second));
            prop_assert_eq!(taken(&joined), taken(&of(&calls)));
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_789_084_800, "2026-09-11"), (-1, "1969-12-31")] {
            assert_eq!(day(seconds), text);
        }
        assert_eq!(day(4_107_542_400), "2100-03-01");
    }

    #[test]
    fn white_space_and_order_make_no_other_content() {
        let request = |policy: &str, tags: [&str; 2]| Request {
            policy: Some(policy.to_owned()),
            tags: tags.map(|key| (key.to_owned(), "v".to_owned())).to_vec(),
            ..Request::default()
        };
        let mut calibration = Calibration::new();
        let one = calibration.content(&request("{ \"a\": \"b \\\" c\" }", ["x", "y"]));
        assert_eq!(calibration.content(&request("{\"a\":\"b \\\" c\"}\n", ["y", "x"])).key, one.key);
        assert_ne!(calibration.content(&request("{\"a\":\"b \\\"c\"}", ["y", "x"])).key, one.key);
        assert_eq!(calibration.policies.len(), 2);
    }

    #[test]
    fn policies_of_one_template_stay_together_unless_most_are_of_it() {
        let policy = |action: &str, bucket: usize| {
            format!(
                r#"{{"Statement":[{{"Effect":"Allow","Action":["s3:{action}"],"Resource":"arn:aws:s3:::b{bucket}/*","Condition":{{"StringEquals":{{"aws:RequestedRegion":"eu-west-1"}}}}}}]}}"#
            )
        };
        assert_eq!(template(&policy("A", 1)), template(&policy("A", 2)));
        assert_ne!(template(&policy("A", 1)), template(&policy("B", 1)));
        assert_eq!(template(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b"}}"#), None);
        let folds_of = |own: usize, others: usize| {
            let mut calibration = Calibration::new();
            let session = Session::new(super::super::Operation::AssumeRole, super::super::CallerKind::IamUser);
            let seen = Seen { regime: Regime::PackedPolicy, percent: Some(9.0), token_bytes: None, refused: false, time: 0 };
            let texts = (0..own).map(|at| policy("Own", at)).chain((0..others).map(|at| policy(&format!("Get{at}"), at)));
            let own: HashSet<u64> = texts
                .enumerate()
                .filter_map(|(at, text)| {
                    calibration.add(&Request { policy: Some(text.clone()), ..Request::default() }, &session, &seen);
                    (at < own).then(|| hash_policy(&text))
                })
                .collect();
            let rows: Vec<Row> = calibration.rows.values().copied().collect();
            let folds = folds(&rows, &calibration.policies);
            let of_own = rows.iter().zip(folds).filter(|(row, _)| own.contains(&row.policy.unwrap()));
            of_own.map(|(_, fold)| fold).collect::<HashSet<u8>>().len()
        };
        assert_eq!((folds_of(10, 90), folds_of(60, 40)), (1, usize::from(FOLDS)));
    }

    #[test]
    fn the_limit_on_tokens_is_read_off_and_stays_where_it_is_not_told_apart() {
        let row = |percent: u32, bytes: u32| {
            let mut calibration = Calibration::new();
            let seen =
                Seen { regime: Regime::SessionToken, percent: Some(percent.into()), token_bytes: Some(bytes), refused: false, time: 0 };
            let session = Session::new(super::super::Operation::GetSessionToken, super::super::CallerKind::IamUser);
            calibration.add(&Request::default(), &session, &seen);
            calibration.rows.into_values().next().unwrap()
        };
        let limit = |limit: u32, rounding: Rounding| {
            let rows: Vec<Row> =
                (200..1000).step_by(4).map(|bytes| row(rounding.whole(f64::from(100 * bytes) / f64::from(limit)) as u32, bytes)).collect();
            token_limit(&rows, &Profile::builtin().session_token).unwrap()
        };
        assert_eq!(limit(4096, Rounding::Down), (4096, Rounding::Down));
        assert_eq!(limit(2048, Rounding::Nearest), (2048, Rounding::Nearest));
        assert_eq!(limit(6000, Rounding::Up), (6000, Rounding::Up));
        assert_eq!(token_limit(&[row(18, 760)], &Profile::builtin().session_token), Some((4096, Rounding::Down)));
        assert_eq!(token_limit(&[], &Profile::builtin().session_token), None);
    }
}
