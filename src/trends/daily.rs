//! Calls to days.

use super::{Point, Refusal};

/// Seconds in a UTC day.
pub const SECONDS_PER_DAY: i64 = 86_400;

/// One UTC day of a series that has calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// Days since 1970-01-01 UTC.
    pub day: i32,
    /// Calls of the day, refused ones included. At least 1.
    pub calls: u32,
    /// Calls STS granted.
    pub granted: u32,
    /// Calls refused for their size; other refusals are in `calls` alone.
    pub refused_calls: u32,
    /// Median size by nearest rank, points of the limit; None when no call of the day has a size.
    pub p50_percent: Option<f64>,
    /// 95th percentile by nearest rank, points of the limit; None when no call of the day has a size. What trends are fitted to.
    pub p95_percent: Option<f64>,
    /// Largest size, points of the limit; None when no call of the day has a size.
    pub max_percent: Option<f64>,
    /// Longest session token, bytes; None when none was logged.
    pub max_session_token_bytes: Option<u32>,
    /// Largest packed request, bytes; None when no request was logged.
    pub max_packed_bytes: Option<u32>,
    /// The parts of the call that stands at `p95_percent`, points of the limit, so that they add up to what the trend is fitted to;
    /// zeros when no call of the day has a size.
    pub parts_percent: [f32; 5],
}

/// The UTC day of `time` (seconds since 1970-01-01 UTC).
pub(super) fn day_of(time: i64) -> i32 {
    let day = time.div_euclid(SECONDS_PER_DAY);
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

/// The days that have calls, oldest first. Sorts `points` by time.
pub fn daily(points: &mut [Point]) -> Vec<Day> {
    points.sort_by_key(|point| point.time);
    points.chunk_by(|one, next| day_of(one.time) == day_of(next.time)).filter_map(one_day).collect()
}

fn one_day(points: &[Point]) -> Option<Day> {
    let day = day_of(points.first()?.time);
    let mut sized: Vec<(f64, &Point)> = points.iter().filter_map(|point| Some((size(point)?, point))).collect();
    // Stable on purpose: of equal sizes the later call stands last.
    sized.sort_by(|one, other| one.0.total_cmp(&other.0));
    let at = |percent: u64| rank(sized.len(), percent).and_then(|rank| sized.get(rank));
    Some(Day {
        day,
        calls: count(points.len()),
        granted: count(points.iter().filter(|point| point.refusal == Refusal::None).count()),
        refused_calls: count(points.iter().filter(|point| point.refusal == Refusal::Size).count()),
        p50_percent: at(50).map(|one| one.0),
        p95_percent: at(95).map(|one| one.0),
        max_percent: sized.last().map(|one| one.0),
        max_session_token_bytes: points.iter().filter_map(|point| point.token_bytes).max(),
        max_packed_bytes: points.iter().filter_map(|point| point.packed_bytes).max(),
        parts_percent: at(95).map_or([0.0; 5], |one| one.1.parts_percent),
    })
}

/// The size of a call; None also for what is no number, so that one bad value cannot spoil a series.
pub(super) fn size(point: &Point) -> Option<f64> {
    point.percent.filter(|percent| percent.is_finite())
}

/// The percentile of `values` by nearest rank: the smallest value that at least `percent` of 100 values do not exceed. Sorts
/// `values`; None when there are none.
pub fn percentile(values: &mut [f64], percent: u64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(rank(values.len(), percent)?).copied()
}

/// Index of the nearest rank among `len` sorted values; None when there are none.
fn rank(len: usize, percent: u64) -> Option<usize> {
    let wanted = (len as u64 * percent.min(100)).div_ceil(100).max(1);
    usize::try_from(wanted - 1).ok().filter(|index| *index < len)
}

pub(super) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
