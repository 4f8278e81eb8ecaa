//! One series of calls with known truth, as the trends see it.

use std::sync::OnceLock;

use packtrail::trends::{Part, Point, Refusal, Status};

use super::Rng;

/// Days of a series.
pub const DAYS: i32 = 90;
/// Last day of the window: 2026-10-12.
pub const WINDOW_END_DAY: i32 = 20_738;
/// Deviation of single calls, points.
pub const NOISE_PERCENT: f64 = 2.0;
/// From the lowest to the highest weekday, points.
pub const WEEKDAY_SWING_PERCENT: f64 = 5.0;
/// A true latest size nearer than this to 75 or 90 % has no certain status, points: about two standard errors of a 95th percentile of
/// 140 calls that scatter on their own, a little more than one where days share noise. `trend_truth` measures both, and what happens
/// nearer than this.
pub const LEVEL_MARGIN_PERCENT: f64 = 1.0;
/// The size of a spike that does not fail, and of one that could not have been granted.
const SPIKE_PERCENT: f64 = 95.0;
const IMPOSSIBLE_PERCENT: f64 = 300.0;

/// How a series moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Archetype {
    Flat,
    HighFlat,
    Linear,
    Step,
    /// Twice the weekday swing of the others.
    Seasonal,
    Shrinking,
    Spike,
    /// One call of the last 7 days is of 95 %, or of 300 % and denied for another reason.
    SpikyCall,
    /// The same of all calls of one day of the last 7: the latest size is that of the spike.
    SpikyDay,
    /// One call of the last 7 days is refused for its size.
    RefusedCall,
    SingleCall,
    FailingNow,
    FailedThenFixed,
    /// Level for two months, then growing.
    LateStart,
    /// Growing for a month and a half, then level.
    Stopped,
    /// One deployment made requests larger, once.
    OneStep,
}

impl Archetype {
    pub const ALL: [Archetype; 16] = [
        Archetype::Flat,
        Archetype::HighFlat,
        Archetype::Linear,
        Archetype::Step,
        Archetype::Seasonal,
        Archetype::Shrinking,
        Archetype::Spike,
        Archetype::SpikyCall,
        Archetype::SpikyDay,
        Archetype::RefusedCall,
        Archetype::SingleCall,
        Archetype::FailingNow,
        Archetype::FailedThenFixed,
        Archetype::LateStart,
        Archetype::Stopped,
        Archetype::OneStep,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Archetype::Flat => "flat",
            Archetype::HighFlat => "high but flat",
            Archetype::Linear => "linear",
            Archetype::Step => "step growth",
            Archetype::Seasonal => "seasonal",
            Archetype::Shrinking => "shrinking",
            Archetype::Spike => "spike",
            Archetype::SpikyCall => "spike of one call last week",
            Archetype::SpikyDay => "spike of one day last week",
            Archetype::RefusedCall => "one call refused last week",
            Archetype::SingleCall => "single call",
            Archetype::FailingNow => "failing now",
            Archetype::FailedThenFixed => "failed then fixed",
            Archetype::LateStart => "late start",
            Archetype::Stopped => "growth stopped",
            Archetype::OneStep => "one old step",
        }
    }
}

/// How the calls of a series scatter: each on its own, and all of a day together. Deviations, points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    of_calls: f64,
    /// Of the first day's share.
    of_days: f64,
    /// How much of a day's share lives on the next day, and the deviation of what joins it.
    carried: f64,
    joins: f64,
}

impl Noise {
    /// Each call on its own, deviation [`NOISE_PERCENT`].
    pub const INDEPENDENT: Noise = Noise { of_calls: NOISE_PERCENT, of_days: 0.0, carried: 0.0, joins: 0.0 };
    /// A random walk of 0.3 points a day below calls that scatter on their own.
    pub const WALK: Noise = Noise { of_calls: NOISE_PERCENT, of_days: 0.0, carried: 1.0, joins: 0.3 };

    /// The same deviation in sum, but the calls of a day share `shared` of the variance, and `carried` of that share lives on the next
    /// day.
    pub fn serial(shared: f64, carried: f64) -> Noise {
        let of_days = NOISE_PERCENT * shared.sqrt();
        Noise { of_calls: NOISE_PERCENT * (1.0 - shared).sqrt(), of_days, carried, joins: of_days * (1.0 - carried * carried).sqrt() }
    }

    /// Deviation of a call about its course.
    fn in_sum(self) -> f64 {
        self.of_calls.hypot(self.of_days)
    }
}

/// What a perfect judge would say.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    pub status: Status,
    /// What the sizes alone call for: the status without trend and refusals.
    pub level_status: Status,
    pub growing: bool,
    /// The 95th percentile of the sizes that the last 7 days draw from, points.
    pub latest_percent: f64,
    /// First day on which the noise-free daily 95th percentile, averaged over the week around it, is at 100 %; None when it is not
    /// within 365 days.
    pub limit_day: Option<i32>,
    pub driver: Option<Part>,
    /// Of a growing series, points a day.
    pub slope_percent_per_day: f64,
}

/// The calls of one series, in order of time, with their truth.
pub struct Series {
    pub archetype: Archetype,
    pub points: Vec<Point>,
    pub truth: Truth,
}

/// The course of a series without noise and weekdays, by days since its first.
struct Course {
    start: f64,
    slope: f64,
    /// Grows from this day on, to that one.
    from: f64,
    to: f64,
    /// Days a stair lasts; 0 for a ramp.
    stair: f64,
    /// One jump: day and height.
    jump: (f64, f64),
}

impl Course {
    fn level(&self, day: f64) -> f64 {
        let mut grown = (day.min(self.to) - self.from).max(0.0);
        if self.stair > 0.0 {
            grown = (grown / self.stair).floor() * self.stair;
        }
        self.start + self.slope * grown + if day >= self.jump.0 { self.jump.1 } else { 0.0 }
    }

    fn week(&self, day: i32) -> f64 {
        (day - 3..=day + 3).map(|day| self.level(f64::from(day))).sum::<f64>() / 7.0
    }
}

/// One series of `archetype` that grows, if it grows, by `part`. Its status is certain: see [`LEVEL_MARGIN_PERCENT`].
pub fn series(archetype: Archetype, part: Part, noise: Noise, seed: u64) -> Series {
    let mut rng = Rng::new(seed.wrapping_mul(1_000_003) ^ ((archetype as u64) << 40) ^ ((part as u64) << 50));
    drawn(archetype, part, noise, &mut rng, |distance| distance >= LEVEL_MARGIN_PERCENT)
}

/// A high but flat series whose latest size is nearer than [`LEVEL_MARGIN_PERCENT`] to 75 or 90 %.
pub fn series_near_a_border(noise: Noise, seed: u64) -> Series {
    drawn(Archetype::HighFlat, Part::Policy, noise, &mut Rng::new(seed << 32), |distance| distance < LEVEL_MARGIN_PERCENT)
}

/// The first draw whose latest size stands right to the nearer of 75 and 90 %, and that is what its archetype says.
fn drawn(archetype: Archetype, part: Part, noise: Noise, rng: &mut Rng, stands: impl Fn(f64) -> bool) -> Series {
    loop {
        if let Some(series) = attempt(archetype, part, noise, rng, &stands) {
            return series;
        }
    }
}

fn attempt(archetype: Archetype, part: Part, noise: Noise, rng: &mut Rng, stands: impl Fn(f64) -> bool) -> Option<Series> {
    let weekdays = weekdays(archetype, rng);
    let top = top_of_calls(noise);
    let course = course(archetype, top, rng);
    let last = DAYS - 1;
    let growing = matches!(archetype, Archetype::Linear | Archetype::Step | Archetype::LateStart | Archetype::FailingNow);
    let limit_day = (1..=365).find(|ahead| growing && course.week(last + ahead) + top >= 100.0);
    let latest = match archetype {
        Archetype::SpikyDay => SPIKE_PERCENT,
        _ => latest_of(&course, &weekdays, noise),
    };
    if archetype != Archetype::FailingNow && !stands((latest - 75.0).abs().min((latest - 90.0).abs())) {
        return None;
    }
    if limit_day.is_some_and(|ahead| (ahead - 7).abs() < 3 || (ahead - 30).abs() < 3) {
        return None;
    }
    let level_status = match latest {
        _ if archetype == Archetype::SingleCall => Status::Ok,
        latest if latest >= 90.0 => Status::Critical,
        latest if latest >= 75.0 => Status::Warning,
        _ => Status::Ok,
    };
    let by_date = match limit_day {
        Some(..=7) => Status::Critical,
        Some(..=30) => Status::Warning,
        _ if growing => Status::Watch,
        _ => Status::Ok,
    };
    let points = points(archetype, part, noise, &course, &weekdays, rng);
    // Every day but a single call's has granted calls, so 7 days after a refusal have them when 7 days are left.
    let refused = points.iter().rev().find(|point| point.refusal == Refusal::Size).map(|point| point.time.div_euclid(86_400));
    let failing = refused.is_some_and(|day| i64::from(WINDOW_END_DAY) - day < 7);
    // Near the limit noise alone makes calls fail: such a draw is another archetype's.
    if failing != matches!(archetype, Archetype::FailingNow | Archetype::RefusedCall) {
        return None;
    }
    if archetype == Archetype::FailedThenFixed && refused.is_none() {
        return None;
    }
    let status = if failing { Status::Failing } else { level_status.min(by_date) };
    let truth = Truth {
        status,
        level_status,
        growing,
        latest_percent: latest,
        limit_day: limit_day.map(|ahead| WINDOW_END_DAY + ahead),
        driver: growing.then_some(part),
        slope_percent_per_day: if growing { course.slope } else { 0.0 },
    };
    Some(Series { archetype, points, truth })
}

fn course(archetype: Archetype, top: f64, rng: &mut Rng) -> Course {
    let last = f64::from(DAYS - 1);
    let flat = Course { start: 0.0, slope: 0.0, from: 0.0, to: f64::INFINITY, stair: 0.0, jump: (f64::INFINITY, 0.0) };
    match archetype {
        Archetype::Flat
        | Archetype::Seasonal
        | Archetype::Spike
        | Archetype::SpikyCall
        | Archetype::SpikyDay
        | Archetype::RefusedCall
        | Archetype::SingleCall => Course { start: rng.between(10.0, 64.0), ..flat },
        Archetype::HighFlat => Course { start: rng.between(72.0, 95.0), ..flat },
        Archetype::Shrinking => {
            let slope = rng.between(0.1, 0.6);
            Course { start: rng.between(8.0, 62.0) + slope * last, slope: -slope, ..flat }
        }
        Archetype::Linear | Archetype::Step | Archetype::LateStart => {
            let (near, far) = *rng.pick(&[(2.0, 4.0), (10.0, 27.0), (10.0, 27.0), (33.0, 120.0), (33.0, 300.0)]);
            let ahead = rng.between(near, far);
            let from = if archetype == Archetype::LateStart { rng.between(50.0, 68.0).round() } else { 0.0 };
            let days = last - from + ahead;
            let slope = rng.between(0.12, ((95.0 - top) / days).clamp(0.13, 2.5));
            let stair = if archetype == Archetype::Step { rng.between(3.0, 8.0).round() } else { 0.0 };
            Course { start: 100.0 - top - slope * days, slope, from, stair, ..flat }
        }
        Archetype::Stopped => {
            let to = rng.between(40.0, 60.0).round();
            let slope = rng.between(0.2, 0.8);
            Course { start: rng.between(10.0, 30.0), slope, to, ..flat }
        }
        Archetype::OneStep => {
            Course { start: rng.between(10.0, 50.0), jump: (rng.between(20.0, 70.0).round(), rng.between(5.0, 20.0)), ..flat }
        }
        Archetype::FailingNow => {
            let slope = rng.between(0.3, 0.8);
            let over = rng.between(1.0, 8.0);
            Course { start: 100.0 - top - slope * (last - over), slope, ..flat }
        }
        Archetype::FailedThenFixed => {
            let to = rng.between(40.0, 60.0).round();
            let slope = rng.between(0.4, 1.0);
            let peak = rng.between(98.0, 104.0);
            Course { start: peak - slope * to, slope, to, jump: (to + 1.0, rng.between(30.0, 60.0) - peak), ..flat }
        }
    }
}

/// What each weekday adds, 0 on average: weekends low, or any order.
fn weekdays(archetype: Archetype, rng: &mut Rng) -> [f64; 7] {
    let swing = if archetype == Archetype::Seasonal { 2.0 * WEEKDAY_SWING_PERCENT } else { WEEKDAY_SWING_PERCENT };
    let mut offsets = [0.0; 7];
    if rng.chance(50.0) {
        // Day 2 since 1970-01-01 was a Saturday.
        offsets = std::array::from_fn(|weekday| if weekday == 2 || weekday == 3 { -swing } else { 0.0 });
    } else {
        let raw: [f64; 7] = std::array::from_fn(|_| rng.unit());
        let (low, high) = raw.iter().fold((1.0, 0.0), |(low, high): (f64, f64), one| (low.min(*one), high.max(*one)));
        offsets = std::array::from_fn(|weekday| (raw[weekday] - low) / (high - low) * swing + offsets[weekday]);
    }
    let mean = offsets.iter().sum::<f64>() / 7.0;
    offsets.map(|offset| offset - mean)
}

fn calls_of_day(rng: &mut Rng) -> i64 {
    rng.whole(15, 25)
}

/// What the 95th percentile of a day adds to its level, on average.
fn top_of_calls(noise: Noise) -> f64 {
    static TOP: OnceLock<f64> = OnceLock::new();
    noise.of_calls * TOP.get_or_init(top_of_normals)
}

fn top_of_normals() -> f64 {
    let mut rng = Rng::new(95);
    let draws = 4_000;
    let sum: f64 = (0..draws).map(|_| nearest_rank((0..calls_of_day(&mut rng)).map(|_| rng.normal()).collect(), 95).unwrap()).sum();
    sum / f64::from(draws)
}

/// The smallest of `values` that at least `percent` of 100 of them do not exceed: the definition, word by word.
pub fn nearest_rank(mut values: Vec<f64>, percent: usize) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let reaches = |(index, _): &(usize, &f64)| 100 * (index + 1) >= percent * values.len();
    values.iter().enumerate().find(reaches).map(|(_, value)| *value)
}

/// The 95th percentile of what the calls of the last 7 days are drawn from, by bisection.
fn latest_of(course: &Course, weekdays: &[f64; 7], noise: Noise) -> f64 {
    let level = |ago: i32| course.level(f64::from(DAYS - 1 - ago)) + weekdays[(WINDOW_END_DAY - ago).rem_euclid(7) as usize];
    let below = |percent: f64| (0..7).map(|ago| normal_below((percent - level(ago)) / noise.in_sum())).sum::<f64>() / 7.0;
    let (mut low, mut high) = (-100.0, 300.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if below(middle) < 0.95 { low = middle } else { high = middle }
    }
    high
}

/// How often a normal deviate is below `x`: Abramowitz & Stegun 26.2.17, right to 7 digits.
fn normal_below(x: f64) -> f64 {
    const TERMS: [f64; 5] = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let above = density * TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    if x < 0.0 { above } else { 1.0 - above }
}

fn points(archetype: Archetype, part: Part, noise: Noise, course: &Course, weekdays: &[f64; 7], rng: &mut Rng) -> Vec<Point> {
    let mut points = Vec::new();
    let mut of_day = rng.normal() * noise.of_days;
    let spike_days: Vec<i32> = (0..rng.whole(1, 3)).map(|_| rng.whole(0, i64::from(DAYS) - 9) as i32).collect();
    let single = rng.whole(0, i64::from(DAYS) - 1) as i32;
    let fixed = 0.3 * course.start.clamp(0.0, 40.0);
    let recent_day = rng.whole(i64::from(DAYS) - 7, i64::from(DAYS) - 1) as i32;
    let recent_percent = match archetype {
        Archetype::RefusedCall => rng.between(101.0, 300.0),
        _ => *rng.pick(&[SPIKE_PERCENT, IMPOSSIBLE_PERCENT]),
    };
    for day in 0..DAYS {
        of_day = noise.carried * of_day + noise.joins * rng.normal();
        let date = WINDOW_END_DAY - (DAYS - 1) + day;
        let calls = match archetype {
            Archetype::SingleCall => i64::from(day == single),
            _ => calls_of_day(rng),
        };
        // Half of the spikes are one call, the others a day's.
        let spike = if archetype == Archetype::Spike && spike_days.contains(&day) { rng.between(30.0, 120.0) } else { 0.0 };
        let whole_day = rng.chance(50.0);
        let mut times: Vec<i64> = (0..calls).map(|_| rng.whole(0, 86_399)).collect();
        times.sort_unstable();
        for (call, second) in times.into_iter().enumerate() {
            let weekday = weekdays[date.rem_euclid(7) as usize];
            let scatter = rng.normal() * noise.of_calls + of_day;
            let level = course.level(f64::from(day));
            let is_recent_spike = day == recent_day
                && match archetype {
                    Archetype::SpikyCall | Archetype::RefusedCall => call == 0,
                    Archetype::SpikyDay => true,
                    _ => false,
                };
            let spike = match is_recent_spike {
                true => recent_percent - (level + weekday + scatter),
                false if whole_day || call == 0 => spike,
                false => 0.0,
            };
            let percent = (level + weekday + scatter + spike).max(1.0);
            let refusal = match percent > 100.0 {
                true if is_recent_spike && archetype != Archetype::RefusedCall => Refusal::Other,
                true => Refusal::Size,
                false => Refusal::None,
            };
            let refused = refusal != Refusal::None;
            // What does not grow is shared out unevenly, and what scatters lies in other parts than what grows too.
            let mut parts_percent = [0.0f32; 5];
            parts_percent[Part::Other as usize] = (fixed + 0.5 * scatter) as f32;
            parts_percent[Part::Tags as usize] += (0.2 * level.min(course.start) + 0.5 * scatter + weekday + spike) as f32;
            let rest = percent - parts_percent.iter().map(|part| f64::from(*part)).sum::<f64>();
            parts_percent[part as usize] += rest as f32;
            // One refusal in four is of the kind that tells no percentage.
            let untold = refusal == Refusal::Size && rng.chance(25.0);
            points.push(Point {
                time: i64::from(date) * 86_400 + second,
                percent: (!untold).then_some(percent),
                refusal,
                token_bytes: (!refused).then_some((percent * 40.96) as u32),
                packed_bytes: Some((percent * 4.6) as u32),
                parts_percent,
            });
        }
    }
    points
}
