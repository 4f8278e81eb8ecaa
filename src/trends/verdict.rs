//! The status of a series, and the sentence that says why.

use chrono::{Datelike, NaiveDate, TimeDelta};

use super::daily::{count, day_of, percentile, size};
use super::{Day, Part, Point, Status, Trend};
use crate::packing::Ceiling;

/// At this share of the limit a series is critical.
pub const CRITICAL_PERCENT: f64 = 90.0;
/// At this share of the limit a series is worth a warning.
pub const WARNING_PERCENT: f64 = 75.0;
/// Forecast to reach the limit within this many days of the end of the window: critical.
pub const CRITICAL_DAYS: i32 = 7;
/// Forecast to reach the limit within this many days of the end of the window: warning.
pub const WARNING_DAYS: i32 = 30;
/// The days with calls that `latest_percent` looks at.
pub const LATEST_DAYS: usize = 7;
/// UTC days with granted calls and no size refusal that end a failure.
pub const HEALED_DAYS: usize = 7;

/// How a series stands, with its sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How it stands.
    pub status: Status,
    /// Why, in words, without a full stop.
    pub reason: String,
    /// Calls of the series.
    pub calls: u32,
    /// Calls refused for their size.
    pub refused_calls: u32,
    /// 95th percentile by nearest rank over the calls of the last 7 days that have calls, points of the limit; None when none of them
    /// has a size.
    pub latest_percent: Option<f64>,
    /// 95th percentile by nearest rank over all calls, points of the limit; None when no call has a size.
    pub p95_percent: Option<f64>,
    /// Largest size, points of the limit; None when no call has a size.
    pub max_percent: Option<f64>,
    /// Longest session token, bytes; None when none was logged.
    pub max_session_token_bytes: Option<u32>,
}

/// The status of a series: its `points` in any order, the `days` and the `trend` made of them, judged at `window_end_day`, the last
/// day of the window.
pub fn judge(points: &[Point], days: &[Day], trend: &Trend, window_end_day: i32) -> Verdict {
    let latest_percent = percentile(&mut sizes_since(points, latest_from(days)), 95);
    let refusals = Refusals::of(days);
    let status = status(refusals.as_ref(), latest_percent, trend, window_end_day);
    let reason = reason(status, refusals.as_ref(), latest_percent, trend, window_end_day);
    verdict(status, reason, latest_percent, points, days)
}

/// The same against a ceiling, with `points`, `days` and `trend` in points of it.
///
/// Nobody refuses a token that is too large for what stands behind STS: it is granted, and breaks there. So refusals for size, which are STS's,
/// do not make a series failing here, and a single token above the ceiling among those of the latest days makes it critical.
pub fn judge_ceiling(points: &[Point], days: &[Day], trend: &Trend, window_end_day: i32, ceiling: &Ceiling) -> Verdict {
    let since = latest_from(days);
    let mut latest = sizes_since(points, since);
    let above = latest.iter().filter(|&&size| size > 100.0).count();
    let latest_percent = percentile(&mut latest, 95);
    let status = if above > 0 { Status::Critical } else { status(None, latest_percent, trend, window_end_day) };
    let mut told = Vec::new();
    if above > 0 {
        let (Ceiling { name, bytes }, count, since) = (ceiling, latest.len(), date(since, window_end_day));
        told.push(format!("STS grants tokens that {name} does not take: {above} of {count} since {since} are above its {bytes} bytes"));
    }
    told.push(reason(status, None, latest_percent, trend, window_end_day));
    told.extend(Refusals::of(days).map(|refusals| refusals.told(window_end_day)));
    verdict(status, told.join("; "), latest_percent, points, days)
}

fn verdict(status: Status, reason: String, latest_percent: Option<f64>, points: &[Point], days: &[Day]) -> Verdict {
    let mut sizes: Vec<f64> = points.iter().filter_map(size).collect();
    Verdict {
        status,
        reason,
        calls: count(points.len()),
        refused_calls: days.iter().fold(0, |sum, day| sum.saturating_add(day.refused_calls)),
        latest_percent,
        p95_percent: percentile(&mut sizes, 95),
        max_percent: sizes.last().copied(),
        max_session_token_bytes: days.iter().filter_map(|day| day.max_session_token_bytes).max(),
    }
}

/// The first of the days that `latest_percent` looks at.
fn latest_from(days: &[Day]) -> i32 {
    days.iter().rev().take(LATEST_DAYS).next_back().map_or(i32::MAX, |day| day.day)
}

fn sizes_since(points: &[Point], day: i32) -> Vec<f64> {
    points.iter().filter(|point| day_of(point.time) >= day).filter_map(size).collect()
}

/// The size refusals of a series that has some.
struct Refusals {
    calls: u32,
    first_day: i32,
    last_day: i32,
    /// Days with granted calls after the last day with a size refusal.
    granted_days_since: usize,
}

impl Refusals {
    fn of(days: &[Day]) -> Option<Refusals> {
        let refused = || days.iter().filter(|day| day.refused_calls > 0);
        let last_day = refused().next_back()?.day;
        Some(Refusals {
            calls: refused().fold(0, |sum, day| sum.saturating_add(day.refused_calls)),
            first_day: refused().next()?.day,
            last_day,
            granted_days_since: days.iter().filter(|day| day.day > last_day && day.granted > 0).count(),
        })
    }

    fn healed(&self) -> bool {
        self.granted_days_since >= HEALED_DAYS
    }

    /// In words.
    fn told(&self, window_end_day: i32) -> String {
        let date = |day: i32| date(day, window_end_day);
        let times = if self.calls == 1 { "once".to_owned() } else { format!("{} times", self.calls) };
        let when = if self.first_day == self.last_day {
            format!("on {}", date(self.last_day))
        } else {
            format!("since {}, last on {}", date(self.first_day), date(self.last_day))
        };
        let healing = match self.granted_days_since {
            0 => String::new(),
            1 => ", 1 day with granted calls since".to_owned(),
            days => format!(", {days} days with granted calls since"),
        };
        format!("refused for size {times} {when}{healing}")
    }
}

fn status(refusals: Option<&Refusals>, latest_percent: Option<f64>, trend: &Trend, window_end_day: i32) -> Status {
    let at_least = |limit: f64| latest_percent.is_some_and(|latest| latest >= limit);
    let within = |days: i32| trend.limit_day.is_some_and(|day| day.saturating_sub(window_end_day) <= days);
    if refusals.is_some_and(|refusals| !refusals.healed()) {
        Status::Failing
    } else if at_least(CRITICAL_PERCENT) || within(CRITICAL_DAYS) {
        Status::Critical
    } else if at_least(WARNING_PERCENT) || within(WARNING_DAYS) {
        Status::Warning
    } else if trend.growing {
        Status::Watch
    } else {
        Status::Ok
    }
}

fn reason(status: Status, refusals: Option<&Refusals>, latest_percent: Option<f64>, trend: &Trend, window_end_day: i32) -> String {
    let latest = match latest_percent {
        Some(latest) => format!("latest size {latest:.1} %"),
        None => "no size known".to_owned(),
    };
    let refused = refusals.map(|refusals| refusals.told(window_end_day));
    let movement = movement(trend, latest_percent, window_end_day);
    match (status, refused) {
        (Status::Failing, Some(refused)) if trend.growing => format!("{refused}; {movement}"),
        (Status::Failing, Some(refused)) => refused,
        (Status::Watch, _) => movement,
        (Status::Critical | Status::Warning, _) if trend.growing => format!("{movement}; {latest}"),
        (Status::Ok, Some(refused)) => format!("{refused}; {latest}"),
        _ => format!("{latest}; {movement}"),
    }
}

/// What the trend says, in words.
fn movement(trend: &Trend, latest_percent: Option<f64>, window_end_day: i32) -> String {
    let (Some(slope), Some(since)) = (trend.slope_percent_per_day, trend.since) else {
        return "too few days for a trend".to_owned();
    };
    if trend.shrinking {
        return format!("shrank {} since {}", weekly(-slope), date(since, window_end_day));
    }
    if !trend.growing {
        return "no growth".to_owned();
    }
    // A driver that explains most of the growth is told with its own figure, so that the sentence is true of it.
    let grew = match (trend.driver, trend.driver_slope_percent_per_day) {
        (Some(part), Some(own)) if own >= 0.7 * slope && own <= 1.3 * slope => {
            format!("{} grew {}", noun(part), weekly(own))
        }
        (Some(part), _) => format!("size grew {}, above all by {},", weekly(slope), noun(part)),
        (None, _) => format!("size grew {}", weekly(slope)),
    };
    let crosses = match (trend.limit_day, trend.limit_day_low, trend.limit_day_high) {
        (None, ..) if trend.last_day.is_some_and(|last| window_end_day.saturating_sub(last) > super::SILENT_DAYS) => {
            let last = last_date(trend, window_end_day);
            return format!("{grew} from {} to {last}; no size known after that", date(since, window_end_day));
        }
        (None, ..) => "100 % is more than a year away".to_owned(),
        (Some(day), ..) if day <= window_end_day && latest_percent.is_some_and(|latest| latest >= 100.0) => "has crossed 100 %".to_owned(),
        // The last calls are not there yet, but the line is by the end of the window.
        (Some(day), ..) if day <= window_end_day => "crosses 100 % about now".to_owned(),
        (Some(_), Some(low), Some(high)) if low < high => {
            format!("crosses 100 % between {}", dates(low, high, window_end_day))
        }
        (Some(_), Some(low), None) => {
            format!("crosses 100 % on {} or later", date(low, window_end_day))
        }
        (Some(day), ..) => format!("crosses 100 % on {}", date(day, window_end_day)),
    };
    format!("{grew} since {}; {crosses}", date(since, window_end_day))
}

fn noun(part: Part) -> &'static str {
    match part {
        Part::Policy => "policy",
        Part::PolicyArns => "policy ARNs",
        Part::Tags => "tags",
        Part::InheritedTags => "inherited tags",
        Part::Other => "what the request does not explain",
    }
}

/// A slope in points a day, told by the week.
fn weekly(slope: f64) -> String {
    let points = slope * 7.0;
    if points < 0.1 { format!("{points:.2} points a week") } else { format!("{points:.1} points a week") }
}

fn last_date(trend: &Trend, window_end_day: i32) -> String {
    trend.last_day.map_or_else(String::new, |last| date(last, window_end_day))
}

/// `2 August`, with the year where it is not that of the end of the window.
fn date(day: i32, window_end_day: i32) -> String {
    let Some(date) = civil(day) else {
        return format!("day {day}");
    };
    if civil(window_end_day).is_some_and(|end| end.year() == date.year()) {
        format!("{} {}", date.day(), month(date))
    } else {
        format!("{} {} {}", date.day(), month(date), date.year())
    }
}

/// `9 and 20 November`, `28 October and 3 November`, `27 May and 2 June 2027`.
fn dates(low: i32, high: i32, window_end_day: i32) -> String {
    let later = date(high, window_end_day);
    match (civil(low), civil(high)) {
        (Some(one), Some(other)) if one.year() != other.year() => format!("{} and {later}", date(low, window_end_day)),
        (Some(one), Some(other)) if one.month() != other.month() => format!("{} {} and {later}", one.day(), month(one)),
        (Some(one), Some(_)) => format!("{} and {later}", one.day()),
        _ => format!("{} and {later}", date(low, window_end_day)),
    }
}

fn civil(day: i32) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(i64::from(day))?)
}

fn month(date: NaiveDate) -> &'static str {
    const MONTHS: [&str; 12] =
        ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    MONTHS.get(date.month0() as usize).copied().unwrap_or_default()
}
