//! One series of calls (role x caller x operation) to its days, its trend and its status.
//!
//! Pure statistics on typed data: no tables, no I/O, no clock. Days are `i32` since 1970-01-01 UTC, sizes are points of the limit in
//! force for the series (`_percent`, unrounded), slopes are points a day. A caller expresses earlier calls against that limit before it
//! comes here.
//!
//! ```text
//! points --daily--> days --trend--> slope, interval, forecast, driver --judge--> status and reason
//! ```
//!
//! # Method
//!
//! The daily 95th percentile is cleared of weekday effects, cut where its course changes, and the last stretch is fitted by the
//! Theil-Sen slope (Theil 1950, Sen 1968). Growth counts when the Mann-Kendall test (Mann 1945, Kendall 1975), its variance widened
//! for serial dependence, rejects "no growth" at 1 in 1,000 and the growth is large enough to matter. `docs/trends.md` holds the
//! reasons, the sources and the table of how often this is right.

mod daily;
mod fit;
mod forecast;
mod stretches;
mod verdict;

use std::fmt;
use std::str::FromStr;

pub use daily::{Day, SECONDS_PER_DAY, daily, percentile};
pub use forecast::{FORECAST_DAYS, SILENT_DAYS, Trend, trend};
pub use verdict::{
    CRITICAL_DAYS, CRITICAL_PERCENT, HEALED_DAYS, LATEST_DAYS, Verdict, WARNING_DAYS, WARNING_PERCENT, judge, judge_ceiling,
};

/// How a series stands, worst first: `Failing < Critical` in the order of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// A call was refused for size in the window, and there are not yet 7 UTC days with granted calls and no size refusal since.
    Failing,
    /// Latest size at 90 % of the limit or above, or forecast to reach it within 7 days.
    Critical,
    /// Latest size at 75 % of the limit or above, or forecast to reach it within 30 days.
    Warning,
    /// A significant upward trend that reaches the limit later than that.
    Watch,
    /// Nothing to do.
    Ok,
}

impl Status {
    /// Every status, worst first.
    pub const ALL: [Status; 5] = [Status::Failing, Status::Critical, Status::Warning, Status::Watch, Status::Ok];

    /// The name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Status::Failing => "failing",
            Status::Critical => "critical",
            Status::Warning => "warning",
            Status::Watch => "watch",
            Status::Ok => "ok",
        }
    }
}

/// What a session's size is made of, in the order of [`Point::parts_percent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The inline session policy.
    Policy,
    /// The managed policy ARNs.
    PolicyArns,
    /// The session tags passed.
    Tags,
    /// The transitive tags inherited from the calling session.
    InheritedTags,
    /// What the request does not explain: the token's envelope, session name, source identity, or a request that was not logged.
    Other,
}

impl Part {
    /// Every part, in the order of this type.
    pub const ALL: [Part; 5] = [Part::Policy, Part::PolicyArns, Part::Tags, Part::InheritedTags, Part::Other];

    /// The value of the `driver` column.
    pub fn name(self) -> &'static str {
        match self {
            Part::Policy => "policy",
            Part::PolicyArns => "policy_arns",
            Part::Tags => "tags",
            Part::InheritedTags => "inherited_tags",
            Part::Other => "other",
        }
    }
}

/// How STS answered a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Granted.
    None,
    /// Refused because the session was too large.
    Size,
    /// Refused for any other reason.
    Other,
}

/// One call of a series, expressed against the limit in force for the series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Event time, seconds since 1970-01-01 UTC.
    pub time: i64,
    /// Size in points of the limit, unrounded, may be above 100; None where neither STS nor the engine knows it.
    pub percent: Option<f64>,
    /// How STS answered.
    pub refusal: Refusal,
    /// Length of the session token, bytes; None when it was not logged.
    pub token_bytes: Option<u32>,
    /// Packed policy, ARNs and tags, bytes; None when the request was not logged.
    pub packed_bytes: Option<u32>,
    /// What each [`Part`] takes, in points of the limit, in the order of [`Part::ALL`].
    pub parts_percent: [f32; 5],
}

/// A text that names no status or part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{name}`, expected one of {expected}")]
pub struct UnknownName {
    what: &'static str,
    name: String,
    expected: String,
}

macro_rules! named {
    ($type:ty, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                <$type>::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| UnknownName {
                    what: $what,
                    name: name.to_owned(),
                    expected: <$type>::ALL.map(|one| format!("`{one}`")).join(", "),
                })
            }
        }
    };
}

named!(Status, "status");
named!(Part, "part");

#[cfg(test)]
mod tests;
