//! What trends cost by call: `cargo bench --bench trend`.
//!
//! Series of every kind the generator knows, to days, slope, date and status.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../tests/generator/mod.rs"]
mod generator;

use std::hint::black_box;
use std::time::Instant;

use generator::series::{Archetype, Noise, series};
use packtrail::trends::{Part, Point, SECONDS_PER_DAY, daily, judge, trend};

const ROUNDS: usize = 15;

fn main() {
    let made: Vec<Vec<Point>> =
        Archetype::ALL.into_iter().map(|archetype| series(archetype, Part::Policy, Noise::serial(1.0 / 3.0, 0.5), 1).points).collect();
    let calls: usize = made.iter().map(Vec::len).sum();
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let mut made = made.clone();
            let start = Instant::now();
            for points in &mut made {
                let days = daily(points);
                let last = points.last().map_or(0, |point| i32::try_from(point.time.div_euclid(SECONDS_PER_DAY)).unwrap());
                let trend = trend(&days, last + 1);
                black_box(judge(points, &days, &trend, last + 1));
            }
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times[ROUNDS / 2];
    println!("{} series, {calls} calls: {:.2} ms, {:.0} ns a call", made.len(), median * 1e3, median * 1e9 / calls as f64);
}
