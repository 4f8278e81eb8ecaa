//! Kept calls to findings: each series (role x caller x operation) against the limit in force, judged, with fixes.

use rustc_hash::FxHashMap;

use crate::fixes::{self, Fix};
use crate::packing::{CallerKind, Estimate, Operation, Parts, Regime, Session, Sizing, percent, token_bytes};
use crate::scan::{Call, Facts, Name, Names, Scan, Slot};
use crate::sts_call::Outcome;
use crate::trends::{self, Day, Point, Refusal, Status, Trend, Verdict};

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
    /// Seconds since 1970-01-01 UTC of the first call.
    pub first_seen: i64,
    /// Seconds since 1970-01-01 UTC of the last call.
    pub last_seen: i64,
    /// The days that have calls, oldest first.
    pub days: Vec<Day>,
    /// Slope, forecast and driver.
    pub trend: Trend,
    /// Status, reason and sizes.
    pub verdict: Verdict,
    /// The call with the largest size, the earliest of equals; None when no call has a size.
    pub worst: Option<Slot>,
    /// False where nobody can change the request: the caller is an AWS service.
    pub actionable: bool,
    /// Suggested changes to the worst request, best first; empty where the status asks for none.
    pub fixes: Vec<Fix>,
    /// What is often advised and saves nothing here.
    pub notes: Vec<String>,
}

impl Finding {
    /// What the findings are ordered by: latest size, or the largest where the last days have none. Points of the limit.
    fn size_percent(&self) -> f64 {
        self.verdict.latest_percent.or(self.verdict.max_percent).unwrap_or(-1.0)
    }
}

/// The limit in force for a call whose regime is unknown: today's.
pub const REGIME_TODAY: Regime = Regime::SessionToken;

/// The engine's view of one call.
#[derive(Clone, Copy, Debug)]
pub struct Recomputed {
    /// Points of the limit of the call's regime (today's where it is unknown), with its range.
    pub percent: Estimate,
    /// Packed bytes of the request's parts under that regime.
    pub parts: Parts,
    /// What else is known of the request.
    pub facts: Facts,
}

/// What the engine says of `call`; None when its request is not known.
pub fn recompute(scan: &Scan, call: &Call) -> Option<Recomputed> {
    let facts = scan.requests.facts(call.request)?;
    let regime = call.regime.unwrap_or(REGIME_TODAY);
    Some(Recomputed {
        percent: percent(&facts.parts(regime), &call.session(), scan.requests.sizing(regime)),
        parts: facts.parts(regime),
        facts,
    })
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
    differences.sort_unstable_by(f64::total_cmp);
    differences.get(differences.len() / 2).copied().unwrap_or(0.0)
}

/// The size of `call` against the limit of `regime`, in points: what STS logged where it can be expressed so, else what the engine says.
///
/// The token's length joins the regimes: a call of the old one weighs under the new limit what its token weighed. Where that was not logged, it is what the
/// engine says and `offset` bytes.
fn size_percent(call: &Call, parts: Option<&Parts>, session: &Session, sizing: &Sizing, offset: f64) -> Option<f64> {
    let limit = f64::from(sizing.limit_bytes);
    match sizing.regime {
        Regime::SessionToken => {
            if let Some(bytes) = call.session_token_bytes {
                return Some(100.0 * f64::from(bytes) / limit);
            }
            if call.regime != Some(Regime::PackedPolicy)
                && let Some(observed) = call.observed_percent()
            {
                return Some(observed);
            }
            parts.map(|parts| 100.0 * (token_bytes(parts, session, sizing).value + offset).max(0.0) / limit)
        }
        Regime::PackedPolicy => {
            if call.regime != Some(Regime::SessionToken)
                && let Some(observed) = call.observed_percent()
            {
                return Some(observed);
            }
            parts.map(|parts| percent(parts, session, sizing).value)
        }
    }
}

fn point(scan: &Scan, call: &Call, regime: Regime, offset: f64) -> Point {
    let sizing = scan.requests.sizing(regime);
    let parts = scan.requests.facts(call.request).map(|facts| facts.parts(regime));
    let size = size_percent(call, parts.as_ref(), &call.session(), sizing, offset);
    let limit = f64::from(sizing.limit_bytes);
    // In a token three packed bytes become four characters of base64.
    let points_per_byte = match regime {
        Regime::PackedPolicy => 100.0 / limit,
        Regime::SessionToken => 100.0 / limit * 4.0 / 3.0,
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

/// Every series of `scan`, worst status first, then largest size, then by name. `until` is the end of the window when the user set one.
pub fn findings(scan: &Scan, until: Option<i64>, redact: bool) -> Vec<Finding> {
    let mut series: FxHashMap<(Name, Name, Operation), Vec<Slot>> = FxHashMap::default();
    let mut newest = None;
    for (slot, call) in scan.calls.iter() {
        series.entry((call.role, call.caller, call.operation)).or_default().push(slot);
        newest = Some(call.time);
    }
    let end = until.or(newest).unwrap_or_default();
    let end_day = i32::try_from(end.div_euclid(trends::SECONDS_PER_DAY)).unwrap_or(i32::MAX);

    let mut series: Vec<_> = series.into_iter().collect();
    // The longest series first, for an even load.
    series.sort_by_key(|(_, slots)| std::cmp::Reverse(slots.len()));
    let mut findings: Vec<Finding> = {
        use rayon::prelude::*;
        series.into_par_iter().with_max_len(1).filter_map(|(_, slots)| finding(scan, &slots, end_day, redact)).collect()
    };
    let text = |name: Name| scan.names.text(name);
    findings.sort_by(|a, b| {
        a.verdict
            .status
            .cmp(&b.verdict.status)
            .then_with(|| b.size_percent().total_cmp(&a.size_percent()))
            .then_with(|| text(a.role).cmp(&text(b.role)))
            .then_with(|| text(a.caller).cmp(&text(b.caller)))
            .then_with(|| a.operation.name().cmp(b.operation.name()))
    });
    findings
}

fn finding(scan: &Scan, slots: &[Slot], end_day: i32, redact: bool) -> Option<Finding> {
    let first = scan.calls.get(*slots.first()?)?;
    let latest = scan.calls.get(*slots.last()?)?;
    let regime = latest.regime.unwrap_or(REGIME_TODAY);
    let offset = if regime == Regime::SessionToken { token_offset(scan, slots) } else { 0.0 };
    let mut worst: Option<(Slot, f64)> = None;
    let mut points = Vec::with_capacity(slots.len());
    for &slot in slots {
        let point = point(scan, scan.calls.get(slot)?, regime, offset);
        if let Some(size) = point.percent
            && worst.is_none_or(|(_, largest)| size > largest)
        {
            worst = Some((slot, size));
        }
        points.push(point);
    }
    let days = trends::daily(&mut points);
    let trend = trends::trend(&days, end_day);
    let verdict = trends::judge(&points, &days, &trend, end_day);
    let actionable = latest.caller_kind != CallerKind::AwsService;
    let mut finding = Finding {
        role: latest.role,
        caller: latest.caller,
        operation: latest.operation,
        caller_kind: latest.caller_kind,
        regime,
        first_seen: first.time,
        last_seen: latest.time,
        days,
        trend,
        verdict,
        worst: worst.map(|(slot, _)| slot),
        actionable,
        fixes: Vec::new(),
        notes: Vec::new(),
    };
    if actionable && finding.verdict.status <= Status::Warning {
        add_fixes(scan, &mut finding, slots, redact);
    }
    Some(finding)
}

/// Prices changes to the largest request of the series that is known.
fn add_fixes(scan: &Scan, finding: &mut Finding, slots: &[Slot], redact: bool) {
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
    finding.fixes = fixes::suggest(&request, &call.session(), scan.requests.sizing(finding.regime), redact);
    let white_space = call
        .policy_chars
        .zip(request.policy.as_ref())
        .map_or(0, |(sent, policy)| sent.saturating_sub(u32::try_from(policy.chars().count()).unwrap_or(u32::MAX)));
    finding.notes = fixes::without_effect(&request, white_space);
    // Who reads the table alone is told as well.
    if let Some(best) = finding.fixes.first_mut() {
        for note in &finding.notes {
            best.detail.push_str("; note: ");
            best.detail.push_str(note);
        }
    }
}

/// The text of `name`, with what `--redact` hides in it replaced: the name in a federated user's ARN is a session name.
pub fn shown(names: &Names, name: Name, redact: bool) -> Option<String> {
    let text = names.text(name)?;
    match text.split_once(":federated-user/") {
        Some((account, user)) if redact => Some(format!("{account}:federated-user/{}", fixes::short_hash(user))),
        _ => Some(text.to_string()),
    }
}
