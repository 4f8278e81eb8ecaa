//! How often statuses, dates and drivers are right, over series with known truth.
//!
//! `cargo test --test trend_truth -- --nocapture` prints the tables that stand in `docs/trends.md`.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod generator;

use generator::organisation::{LAST_DAY, ground_truth, sample_series};
use generator::series::{Archetype, Noise, Series, WINDOW_END_DAY, series};
use packtrail::trends::{Part, Point, Status, Trend, Verdict, daily, judge, trend};

const SEEDS: u64 = 100;

fn assess(points: &mut [Point], window_end_day: i32) -> (Trend, Verdict) {
    let days = daily(points);
    let trend = trend(&days, window_end_day);
    let verdict = judge(points, &days, &trend, window_end_day);
    (trend, verdict)
}

/// What became of the series of one kind.
#[derive(Default)]
struct Row {
    name: String,
    cases: usize,
    right: usize,
    called_growing: usize,
    /// Called warning or worse though its level is not.
    alarms: usize,
    growing: usize,
    driver_right: usize,
    /// Days between true and forecast crossing; infinite where no date was told.
    errors: Vec<f64>,
    /// Dates told with a range, and those whose range holds the truth.
    ranges: usize,
    covered: usize,
}

impl Row {
    fn add(&mut self, made: &Series, trend: &Trend, verdict: &Verdict) {
        let truth = &made.truth;
        self.cases += 1;
        self.right += usize::from(verdict.status == truth.status);
        self.called_growing += usize::from(trend.growing);
        self.alarms += usize::from(verdict.status <= Status::Warning && truth.level_status > Status::Warning && !truth.growing);
        if truth.growing {
            self.growing += 1;
            self.driver_right += usize::from(trend.driver == truth.driver);
        }
        // A series that fails already has no date to miss.
        if let (Some(day), true) = (truth.limit_day, made.archetype != Archetype::FailingNow) {
            self.errors.push(trend.limit_day.map_or(f64::INFINITY, |found| f64::from((found - day).abs())));
            if let Some(low) = trend.limit_day_low {
                self.ranges += 1;
                self.covered += usize::from((low..=trend.limit_day_high.unwrap_or(i32::MAX)).contains(&day));
            }
        }
    }

    fn merge(&mut self, other: &Row) {
        self.cases += other.cases;
        self.right += other.right;
        self.called_growing += other.called_growing;
        self.alarms += other.alarms;
        self.growing += other.growing;
        self.driver_right += other.driver_right;
        self.errors.extend(&other.errors);
        self.ranges += other.ranges;
        self.covered += other.covered;
    }

    fn status_right_percent(&self) -> f64 {
        percent(self.right, self.cases)
    }

    fn median_error_days(&self) -> f64 {
        let mut errors = self.errors.clone();
        errors.sort_by(f64::total_cmp);
        errors[errors.len() / 2]
    }

    fn print(&self) {
        let share = |part: usize, whole: usize| if whole == 0 { String::new() } else { format!("{:.1} %", percent(part, whole)) };
        let error = if self.errors.is_empty() { String::new() } else { format!("{}", self.median_error_days()) };
        println!(
            "| {} | {} | {} | {} | {error} | {} | {} |",
            self.name,
            self.cases,
            share(self.right, self.cases),
            share(self.called_growing, self.cases),
            share(self.covered, self.ranges),
            share(self.driver_right, self.growing),
        );
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

fn rows(noise: Noise) -> Vec<(Archetype, Row)> {
    let mut rows = Vec::new();
    for archetype in Archetype::ALL {
        let parts: &[Part] = match archetype {
            Archetype::Linear | Archetype::Step => &[Part::Policy, Part::Tags, Part::InheritedTags],
            _ => &[Part::Policy],
        };
        for part in parts {
            let by = if parts.len() > 1 { format!(", by {}", part.name().replace('_', " ")) } else { String::new() };
            let mut row = Row { name: format!("{}{by}", archetype.name()), ..Row::default() };
            for seed in 1..=SEEDS {
                let mut made = series(archetype, *part, noise, seed);
                let (trend, verdict) = assess(&mut made.points, WINDOW_END_DAY);
                row.add(&made, &trend, &verdict);
            }
            rows.push((archetype, row));
        }
    }
    rows
}

fn check(noise: Noise, title: &str) {
    let rows = rows(noise);
    let mut asked = Row { name: "**all that the generator must tell apart**".to_owned(), ..Row::default() };
    let mut all = Row { name: "**with the three harder kinds**".to_owned(), ..Row::default() };
    println!("\n{title}\n");
    println!("| series | cases | status right | called growing | median error of the date, days | range holds the date | driver right |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (archetype, row) in &rows {
        row.print();
        all.merge(row);
        if !matches!(archetype, Archetype::LateStart | Archetype::Stopped | Archetype::OneStep) {
            asked.merge(row);
        }
    }
    asked.print();
    all.print();

    for (archetype, row) in &rows {
        // Growth of a few points over the last few weeks can hide in noise; every other kind stands alone.
        let least = if *archetype == Archetype::LateStart { 90.0 } else { 95.0 };
        assert!(row.status_right_percent() >= least, "{}: {} % of statuses are right", row.name, row.status_right_percent());
        assert_eq!(row.alarms, 0, "{}: called warning or worse", row.name);
        if matches!(archetype, Archetype::Linear | Archetype::Step) {
            assert!(row.median_error_days() <= 3.0, "{}: the date is {} days off", row.name, row.median_error_days());
            assert!(percent(row.covered, row.ranges) >= 85.0, "{}: {} of {} dates in range", row.name, row.covered, row.ranges);
            assert!(percent(row.driver_right, row.growing) >= 95.0, "{}: {} drivers right", row.name, row.driver_right);
        }
    }
    for row in [&asked, &all] {
        assert!(row.status_right_percent() >= 98.0 && row.median_error_days() <= 2.0, "{}", row.name);
        assert!(percent(row.covered, row.ranges) >= 90.0, "{}: {} of {} dates in range", row.name, row.covered, row.ranges);
        assert!(percent(row.driver_right, row.growing) >= 95.0, "{}: {} drivers right", row.name, row.driver_right);
    }
}

#[test]
fn statuses_dates_and_drivers_are_right_over_100_seeds() {
    check(Noise::Independent, "Every call scatters on its own:");
    check(Noise::Serial, "A third of the variance is shared by a day's calls, and half of that share lives on the next day:");
}

/// What a user with a thousand level series sees: how many are called growing.
#[test]
fn of_a_thousand_level_series_at_most_a_handful_are_watched() {
    let kinds = [Noise::Independent, Noise::Serial].into_iter().flat_map(|noise| {
        [Archetype::Flat, Archetype::Seasonal].into_iter().flat_map(move |archetype| (1..=250).map(move |seed| (noise, archetype, seed)))
    });
    let watched = kinds.filter(|(noise, archetype, seed)| {
        let mut made = series(*archetype, Part::Tags, *noise, 10_000 + seed);
        trend(&daily(&mut made.points), WINDOW_END_DAY).growing
    });
    let watched = watched.count();
    println!("{watched} of 1,000 level series are called growing");
    assert!(watched <= 5, "{watched} false alarms");
}

#[test]
fn the_series_of_the_sample_are_what_they_are_made_to_be() {
    let mut seen = 0;
    for seed in 1..=5 {
        for mut made in sample_series(seed) {
            let (trend, verdict) = assess(&mut made.points, LAST_DAY);
            let expected = made.expected;
            assert_eq!((verdict.status, trend.driver), (expected.status, expected.driver), "{}: {}", expected.story, verdict.reason);
            assert!(ground_truth().contains(&expected));
            seen += 1;
        }
    }
    assert_eq!(seen, 5 * (ground_truth().len() - 1));
}
