//! The trend of a series: how fast it grows, by what, and when it reaches the limit.

use super::fit::{self, Line, Middle, Spot, Z_95};
use super::stretches::{STRETCH_LEAST, noise, one_step, stretches, without_spikes};
use super::{Day, Part};

/// A date further than this many days after the end of the window is not told.
pub const FORECAST_DAYS: i32 = 365;

/// A series without a sized call for more than this many days before the end of the window gets no date: nothing says that what grew
/// is still in use.
pub const SILENT_DAYS: i32 = 30;

/// Only this many days before the last sized day are fitted: what happened more than a year ago says little of the next one.
const FIT_DAYS: i32 = 366;

/// Sized days it takes for a slope, and the days from the first to the last of them.
const LEAST_SPOTS: usize = 10;
const LEAST_SPAN_DAYS: f64 = 13.0;

/// Mann-Kendall score at which growth counts: 1 in 1,000 two-sided, so that an account with a thousand level series hears of about one
/// that is not so. The usual 1 in 20 would make 25.
const SCORE_LEAST: f64 = 3.290_527;

/// The same for a slope in its own standard errors. Signs alone, as Mann and Kendall count them, cannot tell a few steep weeks from a
/// few that happen to be in order; how steep they are can. Student's 1 in 1,000 at [`LEAST_SPOTS`] spots is 5; the rest allows for
/// dependence that so few spots hide.
const ERRORS_LEAST: f64 = 7.0;

/// Rise over the fitted stretch below which growth does not matter, in points. Two points are 9 bytes of the packed-policy limit, less
/// than what one call differs from the next.
const RISE_LEAST_PERCENT: f64 = 2.0;

/// Steps up, and none down, that make a staircase of separate stretches growth.
const STEPS_LEAST: usize = 3;

/// How a series moves. All None and false where there are too few days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trend {
    /// Slope of the daily 95th percentile over the stretch from `since` to the last sized day, points a day; None with too few days.
    pub slope_percent_per_day: Option<f64>,
    /// Lower end of the slope's 95 % interval.
    pub slope_low: Option<f64>,
    /// Upper end of the slope's 95 % interval.
    pub slope_high: Option<f64>,
    /// True when the series grows, beyond what chance, weekdays and serial dependence explain, by an amount that matters.
    pub growing: bool,
    /// True when it shrinks, by the same measure.
    pub shrinking: bool,
    /// First day of the stretch that was fitted, hence the day since when a growing series grows; None with too few days.
    pub since: Option<i32>,
    /// Last day with a size; None when no call has one.
    pub last_day: Option<i32>,
    /// First day on which the level reaches 100 %; None when not growing, silent for more than [`SILENT_DAYS`], or later than
    /// [`FORECAST_DAYS`] after the end of the window. The end of the window where the level is there already.
    pub limit_day: Option<i32>,
    /// Earlier end of the date's 95 % interval; never before the end of the window. None when `limit_day` is.
    pub limit_day_low: Option<i32>,
    /// Later end of the date's 95 % interval; None when `limit_day` is, or beyond [`FORECAST_DAYS`].
    pub limit_day_high: Option<i32>,
    /// The part that grew most; None when not growing.
    pub driver: Option<Part>,
    /// What `driver` grew by, points a day.
    pub driver_slope_percent_per_day: Option<f64>,
}

/// The trend of `days` (oldest first), with dates counted from `window_end_day`, the last day of the window.
pub fn trend(days: &[Day], window_end_day: i32) -> Trend {
    let Some(last_day) = days.iter().rev().find(|day| day.p95_percent.is_some()).map(|day| day.day) else {
        return Trend::default();
    };
    let recent: Vec<&Day> = days.iter().filter(|day| day.p95_percent.is_some() && last_day.saturating_sub(day.day) < FIT_DAYS).collect();
    let spots: Vec<Spot> = recent.iter().filter_map(|day| Some(Spot { day: f64::from(day.day), percent: day.p95_percent? })).collect();
    let unknown = Trend { last_day: Some(last_day), ..Trend::default() };
    if spots.len() < LEAST_SPOTS || span(&spots) < LEAST_SPAN_DAYS {
        return unknown;
    }
    let Some(course) = course(&spots) else {
        return unknown;
    };
    let Course { line, start, is_step } = course;
    let fitted = recent.get(start..).unwrap_or_default();
    let since = fitted.first().map(|day| day.day);
    let rise = line.slope * since.map_or(0.0, |since| f64::from(last_day.saturating_sub(since)));
    let matters = !is_step && is_significant(&line) && rise.abs() >= RISE_LEAST_PERCENT;
    let growing = matters && line.slope_low > 0.0;
    let mut trend = Trend {
        slope_percent_per_day: Some(line.slope),
        slope_low: Some(line.slope_low),
        slope_high: Some(line.slope_high),
        growing,
        shrinking: matters && line.slope_high < 0.0,
        since,
        ..unknown
    };
    if growing {
        if let Some((part, slope)) = driver(fitted) {
            trend.driver = Some(part);
            trend.driver_slope_percent_per_day = Some(slope);
        }
        if window_end_day.saturating_sub(last_day) <= SILENT_DAYS {
            let [low, day, high] = crossing(&line);
            trend.limit_day = day_in_reach(day, window_end_day);
            trend.limit_day_low = trend.limit_day.and_then(|_| day_in_reach(low, window_end_day));
            trend.limit_day_high = trend.limit_day.and_then(|_| day_in_reach(high, window_end_day));
        }
    }
    trend
}

/// The line a series follows now, from the spot at `start` on.
struct Course {
    line: Line,
    start: usize,
    /// One step rather than a slope.
    is_step: bool,
}

fn course(spots: &[Spot]) -> Option<Course> {
    let (level, weekdays) = fit::without_weekdays(spots);
    let noise = noise(&level);
    let smooth = without_spikes(&level, noise);
    let starts = stretches(&smooth, noise);
    let pieces = cut(&level, &starts);
    let middles: Vec<Middle> = pieces.iter().filter_map(|piece| fit::middle(piece)).collect();
    let dependence = fit::dependence(&residuals(&pieces, &middles));
    // Effects were taken out of all spots; a stretch pays its share.
    let fitted = |count: usize| weekdays as f64 * count as f64 / level.len() as f64;

    // Of one stretch alone it is the line of the run.
    let several = pieces.iter().filter(|_| pieces.len() > 1);
    let lines: Vec<Line> = several.filter_map(|piece| fit::line(piece, dependence, fitted(piece.len()))).collect();
    // The longest run of stretches up to now that one line fits: a break that chance made costs no certainty.
    for (index, start) in starts.iter().copied().enumerate() {
        let run = level.get(start..)?;
        let line = fit::line(run, dependence, fitted(run.len()))?;
        if index + 1 < starts.len() && !lines.iter().skip(index).all(|piece| agrees(&line, piece)) {
            continue;
        }
        let is_step = one_step(smooth.get(start..)?).is_some();
        if (is_step || !is_significant(&line) || line.slope < 0.0)
            && pieces.len() >= STEPS_LEAST
            && let Some(start) = staircase(&pieces, noise).or_else(|| staircase_but_newest(&level, &smooth, noise))
        {
            let stairs = level.get(start..)?;
            let middle = fit::middle(stairs)?;
            let dependence = fit::dependence(&residuals(&[stairs], &[middle]));
            let line = fit::line(stairs, dependence, fitted(stairs.len()))?;
            return Some(Course { line, start, is_step: false });
        }
        return Some(Course { line, start, is_step });
    }
    None
}

/// True when chance, weekdays and serial dependence do not explain the slope.
fn is_significant(line: &Line) -> bool {
    line.count >= LEAST_SPOTS && (line.score.abs() >= SCORE_LEAST || line.slope.abs() >= ERRORS_LEAST * line.slope_error)
}

/// True when `piece`, fitted alone, does not contradict `line`: slope and level lie within its 95 % intervals.
fn agrees(line: &Line, piece: &Line) -> bool {
    let off = (line.at(piece.centre_day) - piece.centre_percent).abs();
    (piece.slope_low..=piece.slope_high).contains(&line.slope) && off <= Z_95 * piece.centre_error
}

fn residuals(pieces: &[&[Spot]], middles: &[Middle]) -> Vec<Vec<f64>> {
    let of = |(piece, middle): (&&[Spot], &Middle)| piece.iter().map(|spot| spot.percent - middle.at(spot.day)).collect();
    pieces.iter().zip(middles).map(of).collect()
}

/// Where a staircase that still goes on begins, as an index of the first spot: at least [`STEPS_LEAST`] steps up with none down
/// between stretches that do not fall, the last of them not longer ago than the pace of the others allows.
fn staircase(pieces: &[&[Spot]], noise: f64) -> Option<usize> {
    let middles: Vec<Middle> = pieces.iter().filter_map(|piece| fit::middle(piece)).collect();
    let mut steps = Vec::new();
    for ((before, after), (low, high)) in pieces.iter().zip(pieces.iter().skip(1)).zip(middles.iter().zip(middles.iter().skip(1))).rev() {
        let day = (before.last()?.day + after.first()?.day) / 2.0;
        let step = high.at(day) - low.at(day);
        let fall = -(low.slope * span(before)).min(high.slope * span(after));
        if step < noise || fall > noise.max(step / 2.0) {
            break;
        }
        steps.push(day);
    }
    let (newest, oldest) = (steps.first()?, steps.last()?);
    if steps.len() < STEPS_LEAST {
        return None;
    }
    let pace = steps.iter().zip(steps.iter().skip(1)).map(|(later, earlier)| later - earlier).fold(0.0, f64::max);
    let last_day = pieces.last()?.last()?.day;
    if last_day - newest > 1.5 * pace {
        return None;
    }
    // The level before the first step belongs to the stairs for as long as a stair lasts.
    Some(pieces.iter().copied().flatten().take_while(|spot| spot.day < oldest - pace).count())
}

/// The same where the newest step is too near to the end to make a stretch of its own: it must not have gone down.
fn staircase_but_newest(level: &[Spot], smooth: &[Spot], noise: f64) -> Option<usize> {
    let (before, _) = smooth.split_at_checked(smooth.len().checked_sub(STRETCH_LEAST)?)?;
    let starts = stretches(before, noise);
    let pieces = cut(level.get(..before.len())?, &starts);
    let median = |spots: &[Spot]| fit::median(&mut spots.iter().map(|spot| spot.percent).collect::<Vec<f64>>());
    let newest = median(level.get(before.len()..)?)?;
    if newest < median(pieces.last()?)? - noise { None } else { staircase(&pieces, noise) }
}

/// The spots of each stretch.
fn cut<'a>(spots: &'a [Spot], starts: &[usize]) -> Vec<&'a [Spot]> {
    let ends = starts.iter().copied().skip(1).chain([spots.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| spots.get(*start..end)).collect()
}

fn span(spots: &[Spot]) -> f64 {
    match (spots.first(), spots.last()) {
        (Some(first), Some(last)) => last.day - first.day,
        _ => 0.0,
    }
}

/// The day on which `line` reaches 100 %, between the ends of its 95 % interval; infinite for never.
///
/// The interval holds the days on which the level may be 100 % given the errors of level and slope (Fieller 1954: inverse regression).
fn crossing(line: &Line) -> [f64; 3] {
    let gap = 100.0 - line.centre_percent;
    // Student's distribution instead of the normal one, to first order.
    let wide = Z_95 * (1.0 + (Z_95 * Z_95 + 1.0) / (4.0 * (line.count as f64 - 2.0).max(1.0)));
    let slope_reach = wide * (line.slope_high - line.slope_low) / (2.0 * Z_95);
    let centre_reach = wide * line.centre_error;
    let a = line.slope * line.slope - slope_reach * slope_reach;
    let b = gap * line.slope;
    let c = gap * gap - centre_reach * centre_reach;
    let root = (b * b - a * c).max(0.0).sqrt();
    let [low, high] = if a > 0.0 { [(b - root) / a, (b + root) / a] } else { [c / (b + root), f64::INFINITY] };
    [low, gap / line.slope, high].map(|days| line.centre_day + days)
}

/// `day` rounded up to the first whole day, not before the end of the window; None beyond [`FORECAST_DAYS`].
fn day_in_reach(day: f64, window_end_day: i32) -> Option<i32> {
    let ahead = (day - f64::from(window_end_day)).ceil().max(0.0);
    (ahead <= f64::from(FORECAST_DAYS)).then(|| window_end_day.saturating_add(ahead as i32))
}

/// The part that grew most over `days`, and its slope in points a day; None where none grew.
fn driver(days: &[&Day]) -> Option<(Part, f64)> {
    let slope = |index: usize| {
        let share = |day: &&Day| Some(Spot { day: f64::from(day.day), percent: f64::from(*day.parts_percent.get(index)?) });
        let spots: Vec<Spot> = days.iter().filter_map(share).collect();
        // Most series have parts that are always 0.
        let varies = spots.windows(2).any(|pair| pair.first().map(|spot| spot.percent) != pair.last().map(|spot| spot.percent));
        if varies { fit::slope(&spots) } else { None }
    };
    let slopes = Part::ALL.into_iter().enumerate().filter_map(|(index, part)| Some((part, slope(index)?)));
    slopes.filter(|(_, slope)| *slope > 0.0).max_by(|one, other| one.1.total_cmp(&other.1))
}
