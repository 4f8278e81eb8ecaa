//! Awkward series, one by one. How often the usual ones are right is measured by `tests/trend_truth.rs`.

use super::*;

/// 2026-10-12, a Monday.
const END: i32 = 20_738;

fn call(day: i32, percent: Option<f64>, refusal: Refusal) -> Point {
    let time = i64::from(day) * SECONDS_PER_DAY + 3_600;
    let parts_percent = [0.0, 0.0, percent.unwrap_or(0.0) as f32, 0.0, 0.0];
    Point { time, percent, refusal, token_bytes: None, packed_bytes: None, parts_percent }
}

fn granted(day: i32, percent: f64) -> Point {
    call(day, Some(percent), Refusal::None)
}

fn assess(points: Vec<Point>) -> (Trend, Verdict) {
    assess_at(points, END)
}

fn assess_at(mut points: Vec<Point>, window_end_day: i32) -> (Trend, Verdict) {
    let days = daily(&mut points);
    let trend = trend(&days, window_end_day);
    let verdict = judge(&points, &days, &trend, window_end_day);
    (trend, verdict)
}

/// One call on each of the last `len` days, of the size `percent` gives to the days since the first.
fn course(len: i32, percent: impl Fn(i32) -> f64) -> Vec<Point> {
    (0..len).map(|day| granted(END - len + 1 + day, percent(day) + jitter(day))).collect()
}

/// Noise without a pattern, within half a point either way.
fn jitter(day: i32) -> f64 {
    f64::from((day * 7_919 + 13) * (day + 3) % 101) / 101.0 - 0.5
}

#[test]
fn percentiles_go_by_nearest_rank() {
    let mut twenty: Vec<f64> = (1..=20).rev().map(f64::from).collect();
    assert_eq!(percentile(&mut twenty, 95), Some(19.0));
    assert_eq!(percentile(&mut twenty, 50), Some(10.0));
    assert_eq!(percentile(&mut twenty, 100), Some(20.0));
    assert_eq!(percentile(&mut [7.0], 95), Some(7.0));
    assert_eq!(percentile(&mut [], 95), None);
}

#[test]
fn a_day_holds_what_its_calls_say() {
    let mut points = vec![
        granted(END, 40.0),
        Point { token_bytes: Some(900), packed_bytes: Some(120), ..granted(END, 50.0) },
        call(END, None, Refusal::Size),
        call(END, Some(104.0), Refusal::Size),
        call(END, None, Refusal::Other),
        granted(END - 1, 10.0),
    ];
    let days = daily(&mut points);
    assert_eq!(days.iter().map(|day| day.day).collect::<Vec<_>>(), [END - 1, END]);
    let day = &days[1];
    assert_eq!((day.calls, day.granted, day.refused_calls), (5, 2, 2));
    assert_eq!((day.p50_percent, day.p95_percent, day.max_percent), (Some(50.0), Some(104.0), Some(104.0)));
    assert_eq!((day.max_session_token_bytes, day.max_packed_bytes), (Some(900), Some(120)));
    assert_eq!(day.parts_percent[Part::Tags as usize], 104.0);
}

#[test]
fn calls_before_1970_and_sizes_that_are_no_numbers_do_no_harm() {
    let mut points = vec![Point { time: -1, ..granted(0, f64::NAN) }];
    let days = daily(&mut points);
    assert_eq!((days[0].day, days[0].p95_percent), (-1, None));
}

#[test]
fn no_calls_and_calls_without_a_size_are_ok() {
    let (trend, verdict) = assess(Vec::new());
    assert_eq!((trend, verdict.status, verdict.latest_percent), (Trend::default(), Status::Ok, None));
    let (trend, verdict) = assess((0..60).map(|day| call(END - day, None, Refusal::Other)).collect());
    assert_eq!((trend.slope_percent_per_day, verdict.status, verdict.latest_percent), (None, Status::Ok, None));
    assert_eq!(verdict.reason, "no size known; too few days for a trend");
}

#[test]
fn one_call_has_no_slope() {
    let (trend, verdict) = assess(vec![granted(END - 3, 41.26)]);
    assert_eq!((trend.slope_percent_per_day, verdict.status, verdict.latest_percent), (None, Status::Ok, Some(41.26)));
    assert_eq!(verdict.reason, "latest size 41.3 %; too few days for a trend");
}

#[test]
fn nine_days_have_no_slope_and_two_weeks_of_steep_growth_are_growth() {
    assert_eq!(assess(course(9, |day| 20.0 + 3.0 * f64::from(day))).0.slope_percent_per_day, None);
    let (trend, verdict) = assess(course(14, |day| 20.0 + 2.0 * f64::from(day)));
    assert!(trend.growing, "{trend:?}");
    assert_eq!(verdict.status, Status::Warning);
}

#[test]
fn equal_sizes_have_slope_zero_and_no_trend() {
    let (trend, verdict) = assess((0..90).map(|day| granted(END - day, 56.0)).collect());
    assert_eq!((trend.slope_percent_per_day, trend.slope_low, trend.slope_high), (Some(0.0), Some(0.0), Some(0.0)));
    assert!(!trend.growing && !trend.shrinking && trend.limit_day.is_none() && trend.driver.is_none());
    assert_eq!(verdict.reason, "latest size 56.0 %; no growth");
}

#[test]
fn a_point_more_once_a_month_is_rounding_and_no_trend() {
    let (trend, _) = assess((0..90).map(|day| granted(END - 89 + day, if day < 60 { 40.0 } else { 41.0 })).collect());
    assert!(!trend.growing, "{trend:?}");
}

#[test]
fn growth_is_found_without_weekends_and_the_date_is_right() {
    let mut points = course(90, |day| 30.0 + 0.6 * f64::from(day));
    points.retain(|point| (point.time / SECONDS_PER_DAY + 3) % 7 < 5);
    let (trend, verdict) = assess(points);
    // 83.4 on the last day, so 16.6 / 0.6 = 28 days on.
    let (day, low, high) = (trend.limit_day.unwrap(), trend.limit_day_low.unwrap(), trend.limit_day_high.unwrap());
    assert!((day - (END + 28)).abs() <= 1, "{}", day - END);
    assert!(low <= day && day <= high);
    assert_eq!((verdict.status, trend.driver), (Status::Warning, Some(Part::Tags)));
}

#[test]
fn one_outlier_of_400_percent_moves_nothing() {
    let mut points = course(90, |day| 30.0 + 0.3 * f64::from(day));
    let (plain, _) = assess(points.clone());
    points.push(granted(END - 20, 400.0));
    let (trend, verdict) = assess(points);
    assert!((plain.slope_percent_per_day.unwrap() - trend.slope_percent_per_day.unwrap()).abs() < 0.01);
    assert!((plain.limit_day.unwrap() - trend.limit_day.unwrap()).abs() <= 1);
    assert_eq!((verdict.status, verdict.max_percent), (Status::Watch, Some(400.0)));
    let mut level = course(90, |_| 30.0);
    level.push(granted(END - 20, 400.0));
    assert_eq!(assess(level).1.status, Status::Ok);
}

#[test]
fn a_weekday_pattern_is_no_trend() {
    for len in [14, 17, 20, 30, 90] {
        let (trend, _) = assess(course(len, |day| 40.0 + [0.0, 1.0, 2.0, 3.0, 4.0, -4.0, -6.0][(day % 7) as usize]));
        assert!(!trend.growing && !trend.shrinking, "{len} days: {trend:?}");
    }
}

#[test]
fn one_step_is_no_growth_wherever_it_stands() {
    for step in (3..87).step_by(3) {
        let (trend, verdict) = assess(course(90, |day| if day < step { 30.0 } else { 42.0 }));
        assert!(!trend.growing, "step on day {step}: {trend:?}");
        assert_eq!((verdict.status, trend.limit_day), (Status::Ok, None));
    }
}

#[test]
fn a_step_every_few_days_or_every_two_weeks_is_growth() {
    for (days, height) in [(3, 1.0), (5, 2.0), (10, 5.0), (14, 8.0)] {
        let (trend, _) = assess(course(90, |day| 20.0 + f64::from(day / days) * height));
        assert!(trend.growing, "every {days} days: {trend:?}");
        let slope = height / f64::from(days);
        assert!((trend.slope_percent_per_day.unwrap() - slope).abs() < 0.1 * slope, "every {days} days: {trend:?}");
    }
}

#[test]
fn a_staircase_that_stopped_is_no_growth() {
    let (trend, verdict) = assess(course(90, |day| 20.0 + f64::from((day / 10).min(4)) * 8.0));
    assert!(!trend.growing, "{trend:?}");
    assert_eq!(verdict.status, Status::Ok);
}

#[test]
fn growth_that_started_late_is_told_by_its_own_slope_and_date() {
    let (trend, _) = assess(course(90, |day| 30.0 + f64::from((day - 60).max(0))));
    assert!(trend.growing);
    assert!((trend.slope_percent_per_day.unwrap() - 1.0).abs() < 0.1, "{trend:?}");
    assert!((trend.since.unwrap() - (END - 29)).abs() <= 5, "{}", END - trend.since.unwrap());
    assert!((trend.limit_day.unwrap() - (END + 41)).abs() <= 4, "{trend:?}");
}

#[test]
fn growth_that_was_fixed_or_turned_is_never_watched() {
    let fixed = course(90, |day| if day < 70 { 20.0 + f64::from(day) } else { 30.0 });
    let level = course(90, |day| 20.0 + f64::from(day.min(50)));
    let falling = course(90, |day| 60.0 - 0.4 * f64::from(day));
    for points in [fixed, level, falling] {
        let (trend, verdict) = assess(points);
        assert!(!trend.growing && trend.limit_day.is_none() && trend.driver.is_none(), "{trend:?}");
        assert_eq!(verdict.status, Status::Ok);
    }
}

#[test]
fn shrinking_is_told() {
    let (trend, verdict) = assess(course(90, |day| 60.0 - 0.4 * f64::from(day)));
    assert!(trend.shrinking);
    assert!(verdict.reason.ends_with("shrank 2.8 points a week since 15 July"), "{}", verdict.reason);
}

#[test]
fn growth_at_the_limit_already_crosses_at_the_end_of_the_window() {
    let (trend, verdict) = assess(course(90, |day| 30.0 + 0.8 * f64::from(day)));
    assert_eq!((trend.limit_day, trend.limit_day_low, trend.limit_day_high), (Some(END), Some(END), Some(END)));
    assert_eq!(verdict.status, Status::Critical);
}

#[test]
fn a_date_beyond_a_year_is_not_told_but_the_series_is_watched() {
    let (trend, verdict) = assess(course(90, |day| 20.0 + 0.1 * f64::from(day)));
    assert_eq!((trend.limit_day, trend.limit_day_low, trend.limit_day_high), (None, None, None));
    assert_eq!(verdict.status, Status::Watch);
    assert!(verdict.reason.ends_with("100 % is more than a year away"), "{}", verdict.reason);
}

#[test]
fn a_series_silent_for_more_than_thirty_days_has_no_date() {
    // 70 % on its last day, so 100 % 50 days on.
    let points = course(90, |day| 16.6 + 0.6 * f64::from(day));
    let (trend, verdict) = assess_at(points.clone(), END + 30);
    assert!((trend.limit_day.unwrap() - (END + 50)).abs() <= 2, "{trend:?}");
    assert_eq!(verdict.status, Status::Warning);
    for silent in [31, 60, 365, 3_650, 1_000_000, i32::MAX - END] {
        let (trend, verdict) = assess_at(points.clone(), END + silent);
        assert!(trend.growing && trend.driver.is_some());
        assert_eq!((trend.limit_day, trend.limit_day_low, trend.limit_day_high), (None, None, None));
        assert_eq!(verdict.status, Status::Watch);
    }
    let reason = assess_at(points.clone(), END + 60).1.reason;
    assert_eq!(reason, "tags grew 4.2 points a week from 15 July to 12 October; no size known after that");
    let reason = assess_at(points, END + 365).1.reason;
    assert_eq!(reason, "tags grew 4.2 points a week from 15 July 2026 to 12 October 2026; no size known after that");
}

#[test]
fn days_to_the_limit_count_from_the_end_of_the_window() {
    // 70 % on its last day and half a point a day: 100 % on the 60th day after it.
    let points = course(90, |day| 25.5 + 0.5 * f64::from(day));
    let (plain, verdict) = assess_at(points.clone(), END);
    assert_eq!(verdict.status, Status::Watch);
    let limit_day = plain.limit_day.unwrap();
    assert!((limit_day - (END + 60)).abs() <= 2, "{plain:?}");
    // The date stays; what it is worth changes with the days left until it.
    let steep = course(90, |day| 5.0 + f64::from(day) * 0.9);
    let far = assess_at(steep.clone(), END).0.limit_day.unwrap();
    assert!((far - (END + 17)).abs() <= 2, "{}", far - END);
    for (ahead, status) in [(0, Status::Critical), (7, Status::Critical), (8, Status::Warning)] {
        let (trend, verdict) = assess_at(steep.clone(), far - ahead);
        assert_eq!((trend.limit_day, verdict.status), (Some(far), status), "{ahead} days ahead");
    }
    for (end, status) in [(END, Status::Watch), (limit_day - 31, Status::Watch), (limit_day - 30, Status::Warning)] {
        let (trend, verdict) = assess_at(points.clone(), end);
        assert_eq!((trend.limit_day, verdict.status), (Some(limit_day), status), "{} days ahead", limit_day - end);
    }
}

#[test]
fn a_size_refusal_fails_until_seven_days_with_granted_calls_have_passed() {
    let with = |granted_days: i32| {
        let mut points = vec![call(END - 20, Some(101.0), Refusal::Size), granted(END - 20, 50.0)];
        points.extend((0..granted_days).map(|day| granted(END - day, 50.0)));
        // A refusal of another kind neither fails nor heals.
        points.push(call(END - 10, None, Refusal::Other));
        assess(points).1
    };
    assert_eq!(with(6).status, Status::Failing);
    assert_eq!(with(7).status, Status::Ok);
    assert_eq!((with(0).status, with(0).refused_calls), (Status::Failing, 1));
    assert_eq!(with(6).reason, "refused for size once on 22 September, 6 days with granted calls since");
    assert_eq!(with(7).reason, "refused for size once on 22 September, 7 days with granted calls since; latest size 50.0 %");
}

#[test]
fn latest_looks_at_the_last_seven_days_that_have_calls() {
    let mut points: Vec<Point> = (0..6).map(|week| granted(END - 7 * week, 50.0)).collect();
    points.push(granted(END - 7 * 6, 92.0));
    points.push(granted(END - 7 * 7, 99.0));
    assert_eq!(assess(points.clone()).1.latest_percent, Some(92.0));
    assert_eq!(assess(points.clone()).1.status, Status::Critical);
    // A day with calls counts although none has a size.
    points.push(call(END - 1, None, Refusal::Other));
    assert_eq!(assess(points).1.latest_percent, Some(50.0));
}

#[test]
fn levels_are_judged_at_75_and_90_percent() {
    let status = |percent| assess(vec![granted(END, percent)]).1.status;
    assert_eq!([74.99, 75.0, 89.99, 90.0].map(status), [Status::Ok, Status::Warning, Status::Warning, Status::Critical]);
}

#[test]
fn a_reason_reads_like_a_sentence() {
    let reason = |points: Vec<Point>, window_end_day: i32| assess_at(points, window_end_day).1.reason;
    let grows = || course(72, |day| 52.0 + 0.45 * f64::from(day));
    let moved = |mut points: Vec<Point>, part: Part, share: f32| {
        for point in &mut points {
            let whole = point.parts_percent[Part::Tags as usize];
            point.parts_percent[Part::Tags as usize] = whole * (1.0 - share);
            point.parts_percent[part as usize] = whole * share;
        }
        points
    };
    assert_eq!(
        reason(grows(), END),
        "tags grew 3.2 points a week since 2 August; crosses 100 % between 16 and 18 November; latest size 83.8 %"
    );
    assert_eq!(
        reason(moved(grows(), Part::Other, 1.0), END),
        "what the request does not explain grew 3.2 points a week since 2 August; crosses 100 % between 16 and 18 November; \
         latest size 83.8 %"
    );
    assert_eq!(
        reason(moved(grows(), Part::InheritedTags, 0.6), END),
        "size grew 3.2 points a week, above all by inherited tags, since 2 August; crosses 100 % between 16 and 18 November; \
         latest size 83.8 %"
    );
    assert_eq!(
        reason(course(90, |day| 31.0 + 0.8 * f64::from(day)), END),
        "tags grew 5.6 points a week since 15 July; has crossed 100 %; latest size 102.4 %"
    );
    // At 97 % on the last day, and 8 days later nobody has called since.
    assert_eq!(
        reason(course(90, |day| 25.6 + 0.8 * f64::from(day)), END + 8),
        "tags grew 5.6 points a week since 15 July; crosses 100 % about now; latest size 97.0 %"
    );
    assert_eq!(
        reason(course(90, |day| 20.0 + 0.25 * f64::from(day)), END),
        "tags grew 1.8 points a week since 15 July; crosses 100 % between 27 May and 2 June 2027"
    );
    let mut refused = course(90, |_| 40.0);
    refused.push(call(END - 1, None, Refusal::Size));
    assert_eq!(reason(refused, END), "refused for size once on 11 October, 1 day with granted calls since");
}

#[test]
fn names_go_both_ways() {
    for status in Status::ALL {
        assert_eq!(status.name().parse(), Ok(status));
    }
    for part in Part::ALL {
        assert_eq!(part.name().parse(), Ok(part));
    }
    assert!(Status::Failing < Status::Critical && Status::Watch < Status::Ok);
    let error = "bad".parse::<Status>().unwrap_err().to_string();
    assert_eq!(error, "unknown status `bad`, expected one of `failing`, `critical`, `warning`, `watch`, `ok`");
}
