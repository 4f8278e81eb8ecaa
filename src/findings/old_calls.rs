//! What the calls of the old regime weigh under today's limit, and which of its failures are over.

use std::collections::BTreeMap;

use super::{REGIME_TODAY, recompute};
use crate::packing::{Regime, token_bytes};
use crate::scan::{Call, Scan, Slot};
use crate::sts_call::Outcome;
use crate::trends::WARNING_PERCENT;

/// What would become of a call that was refused for its size under the old limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Today {
    /// Granted: within today's limit by the upper end of the engine's range.
    Granted,
    /// Refused: above it by the lower end.
    Refused,
    /// The range holds the limit, or the request was not logged.
    Unknown,
}

/// What today's limit makes of a call that was refused for its size under the old one; None for every other call.
pub fn today(scan: &Scan, call: &Call) -> Option<Today> {
    if call.regime != Some(Regime::PackedPolicy) || call.outcome != Outcome::RefusedForSize {
        return None;
    }
    let sizing = scan.requests.sizing(REGIME_TODAY);
    let limit = f64::from(sizing.limit_bytes);
    let token = scan.requests.facts(call.request).map(|facts| token_bytes(&facts.parts(REGIME_TODAY), &call.session(), sizing));
    Some(match token {
        Some(token) if token.high <= limit => Today::Granted,
        Some(token) if token.low > limit => Today::Refused,
        _ => Today::Unknown,
    })
}

/// True when every call of `slots` that was refused for its size was so under the old limit, and would be granted today.
pub(super) fn would_all_be_granted_today(scan: &Scan, slots: &[Slot]) -> bool {
    let calls = slots.iter().filter_map(|&slot| scan.calls.get(slot));
    calls.filter(|call| call.outcome == Outcome::RefusedForSize).all(|call| today(scan, call) == Some(Today::Granted))
}

/// The calls of the old regime under today's limit.
#[derive(Clone, Debug, Default)]
pub struct OldCalls {
    /// How many tokens have which length, in bytes.
    tokens: BTreeMap<u32, u64>,
    /// Today's limit, bytes of session token.
    pub limit_bytes: u32,
    /// Granted calls below a warning under the old limit whose token is at a warning or above under today's.
    pub fine_then_warning_today: u64,
    /// Calls refused for their size that would be granted today.
    pub refused_then_granted_today: u64,
    /// Calls refused for their size that would be refused today as well.
    pub refused_then_and_today: u64,
    /// Calls refused for their size of which that cannot be told.
    pub refused_then_unknown_today: u64,
}

impl OldCalls {
    /// How many log their token's length.
    pub fn with_token_length(&self) -> u64 {
        self.tokens.values().sum()
    }

    /// Calls refused for their size.
    pub fn refused(&self) -> u64 {
        self.refused_then_granted_today + self.refused_then_and_today + self.refused_then_unknown_today
    }

    /// The percentile of what their tokens weigh, by nearest rank, points of today's limit; None when no length is known.
    pub fn percentile(&self, percent: u64) -> Option<f64> {
        let wanted = (self.with_token_length() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let at_rank = |(_, count): &(&u32, &u64)| {
            seen += **count;
            seen >= wanted
        };
        self.tokens.iter().find(at_rank).map(|(&bytes, _)| self.points(bytes))
    }

    fn points(&self, bytes: u32) -> f64 {
        100.0 * f64::from(bytes) / f64::from(self.limit_bytes)
    }
}

/// What the calls of the old regime weigh today.
pub fn old_calls(scan: &Scan) -> OldCalls {
    let mut old = OldCalls { limit_bytes: scan.requests.sizing(REGIME_TODAY).limit_bytes, ..OldCalls::default() };
    for (_, call) in scan.calls.iter().filter(|(_, call)| call.regime == Some(Regime::PackedPolicy)) {
        match today(scan, call) {
            Some(Today::Granted) => old.refused_then_granted_today += 1,
            Some(Today::Refused) => old.refused_then_and_today += 1,
            Some(Today::Unknown) => old.refused_then_unknown_today += 1,
            None => {}
        }
        let Some(bytes) = call.session_token_bytes else { continue };
        *old.tokens.entry(bytes).or_default() += 1;
        if old.points(bytes) >= WARNING_PERCENT && percent_then(scan, call).is_none_or(|then| then < WARNING_PERCENT) {
            old.fine_then_warning_today += 1;
        }
    }
    old
}

/// What `call` took of the limit of its own regime; None where nobody knows, as for one that passed nothing to pack.
fn percent_then(scan: &Scan, call: &Call) -> Option<f64> {
    call.observed_percent().or_else(|| recompute(scan, call).map(|it| it.percent.value))
}
