//! Kept calls to findings: each series (role x caller x operation) against the limit in force and the ceilings behind STS, judged, with fixes.

mod old_calls;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::cmp::Ordering;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::fixes::{self, Advice, Fix, Subject};
use crate::packing::{Asked, CallerKind, Ceiling, Estimate, Operation, Parts, Regime, Request, STS, Session, Sizing, percent, token_bytes};
use crate::scan::{Call, Facts, Name, Names, RequestId, Scan, Slot};
use crate::sts_call::Outcome;
use crate::trends::{self, Day, Point, Refusal, Status, Trend, Verdict};

pub use old_calls::{OldCalls, Today, old_calls, today};

/// One series with everything the tables show of it.
pub struct Finding {
    /// The role assumed; [`Name::NONE`] for operations that assume none.
    pub role: Name,
    /// The principal behind the sessions.
    pub caller: Name,
    /// What was called.
    pub operation: Operation,
    /// Kind of the caller in the latest call.
    pub caller_kind: CallerKind,
    /// The regime whose limit is in force for the series: that of its latest call, today's where that is unknown.
    pub regime: Regime,
    /// The ceiling that is nearest, which trend, verdict, worst call and fixes are about; None where STS's own limit is.
    pub ceiling: Option<Ceiling>,
    /// Seconds since 1970-01-01 UTC of the first call.
    pub first_seen: i64,
    /// Seconds since 1970-01-01 UTC of the last call.
    pub last_seen: i64,
    /// The days that have calls, oldest first, against STS's limit in force.
    pub days: Vec<Day>,
    /// Slope, forecast and driver.
    pub trend: Trend,
    /// Status, reason and sizes.
    pub verdict: Verdict,
    /// The call with the largest size, the earliest of equals; None when no call has a size.
    pub worst: Option<Slot>,
    /// False where nobody can change the request: the caller is an AWS service.
    pub actionable: bool,
    /// The call that `fixes` change: the largest whose request is known. None where the status asks for no fixes.
    pub asked: Option<Asked>,
    /// Suggested changes to that call, best first; empty where the status asks for none.
    pub fixes: Vec<Fix>,
    /// What is often advised and saves nothing here.
    pub notes: Vec<String>,
    /// All its refusals for size are of the old regime, and none would be refused today.
    pub old_failure: bool,
}

/// What is said of a finding with [`Finding::old_failure`].
pub const OLD_FAILURE: &str = "what was refused is an old failure that would no longer fail today";

impl Finding {
    /// The name of the limit that is nearest: [`STS`] or a ceiling's.
    pub fn limit_name(&self) -> &str {
        self.ceiling.as_ref().map_or(STS, |ceiling| ceiling.name.as_str())
    }

    /// The figures that sizes of the finding are computed by, with the limit it is about.
    pub fn sizing<'a>(&self, scan: &'a Scan) -> Cow<'a, Sizing> {
        match &self.ceiling {
            None => Cow::Borrowed(scan.requests.sizing(self.regime)),
            Some(ceiling) => Cow::Owned(Sizing { limit_bytes: ceiling.bytes, ..scan.requests.sizing(Regime::SessionToken).clone() }),
        }
    }

    /// Why the series stands as it does, in words: the verdict's reason, and whether that is over.
    pub fn reason(&self) -> Cow<'_, str> {
        let reason = &self.verdict.reason;
        if self.old_failure { Cow::Owned(format!("{reason}; {OLD_FAILURE}")) } else { Cow::Borrowed(reason) }
    }
}

/// The limit in force for a call whose regime is unknown: today's.
pub const REGIME_TODAY: Regime = Regime::SessionToken;

/// The engine's view of one call.
#[derive(Clone, Copy, Debug)]
pub struct Recomputed {
    /// Points of the limit of the call's regime (today's where it is unknown), with its range.
    pub percent: Estimate,
    /// The whole percentage that STS would log.
    pub whole_percent: f64,
    /// Packed bytes of the request's parts under that regime.
    pub parts: Parts,
    /// What else is known of the request.
    pub facts: Facts,
}

/// What the engine says of `call`; None when its request is not known.
pub fn recompute(scan: &Scan, call: &Call) -> Option<Recomputed> {
    let facts = scan.requests.facts(call.request)?;
    let regime = call.regime.unwrap_or(REGIME_TODAY);
    let (parts, sizing) = (facts.parts(regime), scan.requests.sizing(regime));
    let percent = percent(&parts, &call.session(), sizing);
    Some(Recomputed { percent, whole_percent: sizing.rounding.whole(percent.value), parts, facts })
}

/// By how many bytes the tokens of a series differ from what the engine says: the median over its calls whose token is known, 0 without any.
///
/// The engine's base of a token is a guess for many callers, but the same for all calls of one series, so where a token was redacted the others tell.
fn token_offset(scan: &Scan, slots: &[Slot]) -> f64 {
    let difference = |slot: &Slot| {
        let call = scan.calls.get(*slot)?;
        let logged = call.session_token_bytes?;
        let facts = scan.requests.facts(call.request)?;
        let regime = call.regime.unwrap_or(REGIME_TODAY);
        Some(f64::from(logged) - token_bytes(&facts.parts(regime), &call.session(), scan.requests.sizing(regime)).value)
    };
    let mut differences: Vec<f64> = slots.iter().filter_map(difference).collect();
    if differences.is_empty() {
        return 0.0;
    }
    let middle = differences.len() / 2;
    *differences.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// What a series is measured against.
#[derive(Clone, Copy)]
struct Limit<'a> {
    /// What is measured and how: packed content, or the token.
    sizing: &'a Sizing,
    /// None for STS's own limit, which is that of `sizing`.
    ceiling: Option<&'a Ceiling>,
}

impl Limit<'_> {
    fn bytes(&self) -> f64 {
        f64::from(self.ceiling.map_or(self.sizing.limit_bytes, |ceiling| ceiling.bytes))
    }

    fn points(&self, bytes: f64) -> f64 {
        100.0 * bytes / self.bytes()
    }
}

/// The size of `call` against `limit`, in points: what STS logged where it can be expressed so, else what the engine says.
///
/// The token's length joins the regimes: a call of the old one weighs under the new limit what its token weighed. Where that was not logged, it is what the
/// engine says and `offset` bytes, which only then are asked for. A call that was not granted has no token that could break anything behind STS.
fn size_percent(call: &Call, parts: Option<&Parts>, session: &Session, limit: Limit<'_>, offset: &dyn Fn() -> f64) -> Option<f64> {
    if limit.ceiling.is_some() && call.outcome != Outcome::Granted {
        return None;
    }
    match limit.sizing.regime {
        Regime::SessionToken => {
            if let Some(bytes) = call.session_token_bytes {
                return Some(limit.points(f64::from(bytes)));
            }
            if call.regime != Some(Regime::PackedPolicy)
                && let Some(observed) = call.observed_percent()
            {
                // Against STS's own limit the factor is 1, and what was logged stays what it is.
                return Some(observed * (f64::from(limit.sizing.limit_bytes) / limit.bytes()));
            }
            parts.map(|parts| limit.points((token_bytes(parts, session, limit.sizing).value + offset()).max(0.0)))
        }
        Regime::PackedPolicy => {
            if call.regime != Some(Regime::SessionToken)
                && let Some(observed) = call.observed_percent()
            {
                return Some(observed);
            }
            parts.map(|parts| percent(parts, session, limit.sizing).value)
        }
    }
}

fn point(scan: &Scan, call: &Call, limit: Limit<'_>, offset: &dyn Fn() -> f64) -> Point {
    let regime = limit.sizing.regime;
    let parts = scan.requests.facts(call.request).map(|facts| facts.parts(regime));
    let size = size_percent(call, parts.as_ref(), &call.session(), limit, offset);
    // In a token three packed bytes become four characters of base64.
    let points_per_byte = match regime {
        Regime::PackedPolicy => 100.0 / limit.bytes(),
        Regime::SessionToken => 100.0 / limit.bytes() * 4.0 / 3.0,
    };
    let mut parts_percent = [0.0_f32; 5];
    if let Some(parts) = &parts {
        let bytes = [parts.policy_bytes, parts.policy_arn_bytes, parts.tag_bytes, parts.inherited_tag_bytes];
        let known: f64 = bytes.iter().map(|&bytes| f64::from(bytes) * points_per_byte).sum();
        let other = size.map_or(0.0, |size| size - known);
        // Shares in points for a comparison between parts: 32 bits are plenty.
        #[allow(clippy::cast_possible_truncation)]
        for (share, value) in parts_percent.iter_mut().zip(bytes.iter().map(|&bytes| f64::from(bytes) * points_per_byte).chain([other])) {
            *share = value as f32;
        }
    } else if let Some(size) = size {
        let [.., other] = &mut parts_percent;
        #[allow(clippy::cast_possible_truncation)]
        {
            *other = size as f32;
        }
    }
    Point {
        time: call.time,
        percent: size,
        refusal: match call.outcome {
            Outcome::Granted => Refusal::None,
            Outcome::RefusedForSize => Refusal::Size,
            Outcome::RefusedOtherwise => Refusal::Other,
        },
        token_bytes: call.session_token_bytes,
        packed_bytes: parts.map(|parts| parts.packed_bytes()),
        parts_percent,
    }
}

/// Calls that one thread puts into series at a time.
const GROUPED_CALLS: usize = 1 << 16;

/// The calls of `slots` by series, in their order.
fn series(scan: &Scan, slots: &[Slot]) -> FxHashMap<(Name, Name, Operation), Vec<Slot>> {
    let of = |slots: &[Slot]| {
        let mut series: FxHashMap<_, Vec<Slot>> = FxHashMap::default();
        for &slot in slots {
            if let Some(call) = scan.calls.get(slot) {
                series.entry((call.role, call.caller, call.operation)).or_default().push(slot);
            }
        }
        series
    };
    let parts: Vec<_> = slots.par_chunks(GROUPED_CALLS).map(of).collect();
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or_default();
    for (key, slots) in parts.flatten() {
        all.entry(key).or_default().extend(slots);
    }
    all
}

/// Every series of `scan`, each by the nearest of STS's limit in force and `ceilings`; worst status first, then largest size, then by name.
/// `until` is the end of the window when the user set one. Fixes are looked for as `advice` says.
pub fn findings(scan: &Scan, until: Option<i64>, ceilings: &[Ceiling], advice: &Advice) -> Vec<Finding> {
    let slots = scan.calls.slots();
    let newest = slots.last().and_then(|&slot| scan.calls.get(slot)).map(|call| call.time);
    let end = until.or(newest).unwrap_or_default();
    let end_day = i32::try_from(end.div_euclid(trends::SECONDS_PER_DAY)).unwrap_or(i32::MAX);

    // Of equally near limits the first stands.
    let mut ceilings: Vec<&Ceiling> = ceilings.iter().collect();
    ceilings.sort_by(|one, other| one.name.cmp(&other.name));

    let mut series: Vec<Vec<Slot>> = series(scan, slots).into_values().collect();
    // The longest series first, for an even load.
    series.sort_by_key(|slots| std::cmp::Reverse(slots.len()));
    let mut findings: Vec<Finding> =
        series.into_par_iter().with_max_len(1).filter_map(|slots| finding(scan, &slots, end_day, &ceilings, advice)).collect();
    let text = |name: Name| scan.names.text(name);
    findings.sort_by(|a, b| {
        by_worst(&a.verdict, &b.verdict)
            .then_with(|| text(a.role).cmp(&text(b.role)))
            .then_with(|| text(a.caller).cmp(&text(b.caller)))
            .then_with(|| a.operation.name().cmp(b.operation.name()))
    });
    findings
}

/// A series against one limit.
struct Judged {
    trend: Trend,
    verdict: Verdict,
    worst: Option<Slot>,
}

fn judged(scan: &Scan, slots: &[Slot], limit: Limit<'_>, offset: &dyn Fn() -> f64, end_day: i32) -> Option<(Judged, Vec<Day>)> {
    let mut worst: Option<(Slot, f64)> = None;
    let mut points = Vec::with_capacity(slots.len());
    for &slot in slots {
        let point = point(scan, scan.calls.get(slot)?, limit, offset);
        if let Some(size) = point.percent
            && worst.is_none_or(|(_, largest)| size > largest)
        {
            worst = Some((slot, size));
        }
        points.push(point);
    }
    let days = trends::daily(&mut points);
    let trend = trends::trend(&days, end_day);
    let verdict = match limit.ceiling {
        None => trends::judge(&points, &days, &trend, end_day),
        Some(ceiling) => trends::judge_ceiling(&points, &days, &trend, end_day, ceiling),
    };
    Some((Judged { trend, verdict, worst: worst.map(|(slot, _)| slot) }, days))
}

fn finding(scan: &Scan, slots: &[Slot], end_day: i32, ceilings: &[&Ceiling], advice: &Advice) -> Option<Finding> {
    let first = scan.calls.get(*slots.first()?)?;
    let latest = scan.calls.get(*slots.last()?)?;
    let regime = latest.regime.unwrap_or(REGIME_TODAY);
    let in_force = Limit { sizing: scan.requests.sizing(regime), ceiling: None };
    // Few series have a call that it is needed for.
    let offset = LazyCell::new(|| token_offset(scan, slots));
    let offset: &dyn Fn() -> f64 = &|| *offset;
    let (mut nearest, days) = judged(scan, slots, in_force, offset, end_day)?;
    let mut nearest_ceiling = None;
    for &ceiling in ceilings {
        // Nothing is worse than what fails at STS.
        if nearest.verdict.status == Status::Failing {
            break;
        }
        let limit = Limit { sizing: scan.requests.sizing(Regime::SessionToken), ceiling: Some(ceiling) };
        let (judged, _) = judged(scan, slots, limit, offset, end_day)?;
        if by_worst(&judged.verdict, &nearest.verdict).is_lt() {
            (nearest, nearest_ceiling) = (judged, Some(ceiling.clone()));
        }
    }
    let Judged { trend, verdict, worst } = nearest;
    let actionable = latest.caller_kind != CallerKind::AwsService;
    let mut finding = Finding {
        role: latest.role,
        caller: latest.caller,
        operation: latest.operation,
        caller_kind: latest.caller_kind,
        regime,
        ceiling: nearest_ceiling,
        first_seen: first.time,
        last_seen: latest.time,
        days,
        trend,
        old_failure: verdict.refused_calls > 0 && old_calls::would_all_be_granted_today(scan, slots),
        verdict,
        worst,
        actionable,
        asked: None,
        fixes: Vec::new(),
        notes: Vec::new(),
    };
    if actionable && finding.verdict.status <= Status::Warning {
        add_fixes(scan, &mut finding, slots, advice);
    }
    Some(finding)
}

/// Worst status first, then largest size: the latest, or the largest where the last days have none.
fn by_worst(one: &Verdict, other: &Verdict) -> Ordering {
    let size = |verdict: &Verdict| verdict.latest_percent.or(verdict.max_percent).unwrap_or(-1.0);
    one.status.cmp(&other.status).then_with(|| size(other).total_cmp(&size(one)))
}

/// Distinct requests of a series that its fixes look at, the earliest; at some two kilobytes each.
const MOST_PEERS: usize = 5_000;

/// Prices changes to the largest request of the series that is known.
fn add_fixes(scan: &Scan, finding: &mut Finding, slots: &[Slot], advice: &Advice) {
    let known = |slot: &Slot| scan.calls.get(*slot).is_some_and(|call| scan.requests.facts(call.request).is_some());
    // A refusal may log no request: then the largest request that is logged stands for the series.
    let largest = finding.worst.filter(known).or_else(|| {
        let packed = |slot: &Slot| {
            scan.calls
                .get(*slot)
                .and_then(|call| scan.requests.facts(call.request))
                .map_or(0, |facts| facts.parts(finding.regime).packed_bytes())
        };
        slots.iter().copied().filter(known).max_by_key(packed)
    });
    let Some(call) = largest.and_then(|slot| scan.calls.get(slot)) else { return };
    let Some(request) = scan.requests.request(call.request) else { return };
    let sizing = finding.sizing(scan);
    let session = call.session();
    let asked = Asked {
        request,
        session,
        role_arn: scan.names.text(finding.role).map(|role| role.to_string()),
        // Managed policies of a federated session stand in the account of the user who asks for it.
        account_id: scan
            .names
            .text(finding.caller)
            .filter(|_| session.operation == Operation::GetFederationToken)
            .and_then(|caller| caller.split(':').nth(4).filter(|account| account.len() == 12).map(str::to_owned)),
        ..Asked::new(session.operation, session.caller_kind)
    };
    let mut calls_of: FxHashMap<RequestId, u64> = FxHashMap::default();
    let mut distinct = Vec::new();
    for call in slots.iter().filter_map(|slot| scan.calls.get(*slot)) {
        let calls = calls_of.entry(call.request).or_default();
        if *calls == 0 {
            distinct.push(call.request);
        }
        *calls += 1;
    }
    let known = distinct.into_iter().filter_map(|id| Some((scan.requests.request(id)?, calls_of.get(&id).copied()?)));
    let (peers, calls): (Vec<Request>, Vec<u64>) = known.take(MOST_PEERS).unzip();
    finding.fixes = fixes::suggest(Subject { asked: &asked, peers: &peers, calls: &calls }, &sizing, advice);
    let request = &asked.request;
    let shift = unexplained_percent(scan, call, finding);
    for fix in &mut finding.fixes {
        fix.before_percent = (fix.before_percent + shift).max(0.0);
        let after = &mut fix.after;
        (after.value, after.low, after.high) =
            ((after.value + shift).max(0.0), (after.low + shift).max(0.0), (after.high + shift).max(0.0));
    }
    let white_space = call
        .policy_chars
        .zip(request.policy.as_ref())
        .map_or(0, |(sent, policy)| sent.saturating_sub(u32::try_from(policy.chars().count()).unwrap_or(u32::MAX)));
    finding.notes = fixes::without_effect(request, white_space);
    // Who reads the table alone is told as well.
    if let Some(last) = finding.fixes.first_mut().and_then(|best| best.changes.last_mut()) {
        for note in &finding.notes {
            last.detail.push_str("; note: ");
            last.detail.push_str(note);
        }
    }
    finding.asked = Some(asked);
}

/// How far the size that STS logged of `call` is from what the engine says, in points of the finding's limit: what no fix of the request that is logged can save,
/// hidden inherited tags for example. 0 where the engine is right or STS logged none.
fn unexplained_percent(scan: &Scan, call: &Call, finding: &Finding) -> f64 {
    let sizing = scan.requests.sizing(if finding.ceiling.is_some() { Regime::SessionToken } else { finding.regime });
    let limit = Limit { sizing, ceiling: finding.ceiling.as_ref() };
    let Some(parts) = scan.requests.facts(call.request).map(|facts| facts.parts(sizing.regime)) else { return 0.0 };
    let session = call.session();
    let engine = match sizing.regime {
        Regime::PackedPolicy => percent(&parts, &session, sizing).value,
        Regime::SessionToken => limit.points(token_bytes(&parts, &session, sizing).value),
    };
    let Some(size) = size_percent(call, Some(&parts), &session, limit, &|| 0.0) else { return 0.0 };
    // A percentage is logged as a whole number: the engine is right where it says the same.
    let is_whole = sizing.regime == Regime::PackedPolicy || call.session_token_bytes.is_none();
    if is_whole && sizing.rounding.whole(engine) == size.round() { 0.0 } else { size - engine }
}

/// The text of `name`, with what `--redact` hides in it replaced: the name in a federated user's ARN is a session name.
pub fn shown(names: &Names, name: Name, redact: bool) -> Option<String> {
    names.text(name).map(|text| shown_text(&text, redact).into_owned())
}

/// As [`shown`], of a text.
pub fn shown_text(text: &str, redact: bool) -> Cow<'_, str> {
    match Some(text).filter(|_| redact).and_then(|text| text.split_once(":federated-user/")) {
        Some((account, user)) => Cow::Owned(format!("{account}:federated-user/{}", fixes::short_hash(user))),
        None => Cow::Borrowed(text),
    }
}
