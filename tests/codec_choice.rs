//! Which codec fits the public points of session policies: candidates compared by leave-one-out.
//!
//! `cargo test --test codec_choice -- --nocapture` prints the table of `docs/packing.md`.
//!
//! The model: a policy takes the smaller of its plain form and `codec(plain form) + b x statements + c`. Each point is recomputed with
//! `b` and `c` fitted to the others only; its error is how far that lies outside the window of one percent that STS logged.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test")]

use std::io::Write;

use packtrail::packing::{Profile, Request, one_tag_bytes};
use packtrail::policy::Policy;
use serde_json::Value;

struct Point {
    plain: Vec<u8>,
    statements: f64,
    /// What STS logged says of the policy's size: bytes, from and below.
    window: (f64, f64),
    /// Complete points count twice as much as reconstructed ones in a fit.
    complete: bool,
}

impl Point {
    fn middle(&self) -> f64 {
        (self.window.0 + self.window.1) / 2.0
    }

    fn weight(&self) -> f64 {
        if self.complete { 1.0 } else { 0.5 }
    }

    /// So small that no codec would be used.
    fn is_plain(&self) -> bool {
        self.plain.len() <= 100
    }
}

fn points() -> Vec<Point> {
    let sizing = Profile::builtin().packed_policy;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/packing-points.json");
    let points: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let with_policy = points.iter().filter(|point| point["regime"] == "packed-policy" && point["policy"].is_string());
    with_policy
        .map(|point| {
            let request = Request { policy: point["policy"].as_str().map(str::to_owned), ..Request::default() };
            let mut plain = Vec::new();
            let statements = sizing.plain_form.write(&Policy::parse(&request.policy.unwrap()).unwrap(), &mut plain);
            let tag = |tag: &Value| one_tag_bytes(tag["key"].as_str().unwrap(), tag["value"].as_str().unwrap(), &sizing);
            let tags: u32 = point["tags"].as_array().unwrap().iter().map(tag).sum();
            let arns = point["policy_arns"].as_array().unwrap().len() as f64;
            let one_percent = f64::from(sizing.limit_bytes) / 100.0;
            let from = point["percent"].as_f64().unwrap() * one_percent - f64::from(tags);
            Point {
                plain,
                statements: f64::from(statements),
                window: (
                    from - arns * f64::from(sizing.policy_arn_bytes + sizing.margins.policy_arn_high_bytes),
                    from + one_percent - arns * f64::from(sizing.policy_arn_bytes - sizing.margins.policy_arn_low_bytes),
                ),
                complete: point["grade"].as_str().unwrap().starts_with("complete"),
            }
        })
        .collect()
}

type Codec = Box<dyn Fn(&[u8]) -> usize>;

fn candidates() -> Vec<(String, Codec)> {
    let mut candidates: Vec<(String, Codec)> = Vec::new();
    for level in [1, 2, 3, 4, 6, 9, 12] {
        let codec = move |plain: &[u8]| {
            let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
            let mut out = vec![0; compressor.deflate_compress_bound(plain.len())];
            compressor.deflate_compress(plain, &mut out).unwrap()
        };
        candidates.push((format!("libdeflate {level}"), Box::new(codec)));
    }
    for level in [1, 2, 6, 9] {
        let codec = move |plain: &[u8]| {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap().len()
        };
        candidates.push((format!("zlib-rs {level}"), Box::new(codec)));
    }
    for (literal_context, position) in [(3, 2), (3, 0), (0, 0)] {
        let codec = move |plain: &[u8]| {
            let mut options = lzma_rust2::LzmaOptions::with_preset(6);
            options.dict_size = 4096;
            options.lc = literal_context;
            options.pb = position;
            let mut writer = lzma_rust2::LzmaWriter::new_no_header(Vec::new(), &options, true).unwrap();
            writer.write_all(plain).unwrap();
            writer.finish().unwrap().len()
        };
        candidates.push((format!("LZMA lc={literal_context} pb={position}"), Box::new(codec)));
    }
    for level in [1, 3, 19] {
        candidates.push((format!("zstd {level}"), Box::new(move |plain: &[u8]| zstd::bulk::compress(plain, level).unwrap().len())));
    }
    for quality in [5, 11] {
        let codec = move |plain: &[u8]| {
            let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, quality, 16);
            writer.write_all(plain).unwrap();
            writer.into_inner().len()
        };
        candidates.push((format!("brotli {quality}"), Box::new(codec)));
    }
    let bzip2 = |plain: &[u8]| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().len()
    };
    candidates.push(("bzip2".to_owned(), Box::new(bzip2)));
    candidates
}

/// Which constants are fitted beside the codec.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Constants {
    /// None: the 18 bytes of gzip's header and trailer.
    Gzip,
    /// `c` for each policy.
    PerPolicy,
    /// `b` for each statement.
    PerStatement,
    /// Both.
    Both,
}

/// A point, and its plain form compressed, in bytes.
type Compressed<'a> = (&'a Point, f64);

/// `(b, c)` by weighted least squares to the middle of the windows.
fn fit<'a>(points: impl Iterator<Item = Compressed<'a>>, constants: Constants) -> (f64, f64) {
    let rows: Vec<(f64, f64, f64)> = points
        .filter(|(point, _)| !point.is_plain())
        .map(|(point, compressed)| (point.weight(), point.statements, point.middle() - compressed))
        .collect();
    let sum = |term: &dyn Fn(f64, f64) -> f64| rows.iter().map(|&(weight, x, y)| weight * term(x, y)).sum::<f64>();
    let (weights, x, y) = (sum(&|_, _| 1.0), sum(&|x, _| x), sum(&|_, y| y));
    let (xx, xy) = (sum(&|x, _| x * x), sum(&|x, y| x * y));
    match constants {
        Constants::Gzip => (0.0, 18.0),
        Constants::PerPolicy => (0.0, y / weights),
        Constants::PerStatement => (xy / xx, 0.0),
        Constants::Both => {
            let slope = ((weights * xy - x * y) / (weights * xx - x * x)).max(0.0);
            (slope, (y - slope * x) / weights)
        }
    }
}

/// How far outside its window the point is recomputed, in points of the limit.
fn error_percent((point, compressed): Compressed<'_>, (b, c): (f64, f64)) -> f64 {
    let bytes = b.mul_add(point.statements, compressed + c).min(point.plain.len() as f64);
    let outside = if bytes < point.window.0 { bytes - point.window.0 } else { (bytes - point.window.1).max(0.0) };
    100.0 * outside / f64::from(Profile::builtin().packed_policy.limit_bytes)
}

fn root_mean_square(errors: impl Iterator<Item = f64>) -> f64 {
    let errors: Vec<f64> = errors.collect();
    (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt()
}

struct Outcome {
    name: String,
    constants: Constants,
    fitted: (f64, f64),
    /// Points of the limit, root mean square over the complete points, over all, and each.
    complete: f64,
    all: f64,
    errors: Vec<f64>,
}

fn outcomes() -> Vec<Outcome> {
    let points = points();
    let mut outcomes = Vec::new();
    for (name, codec) in candidates() {
        let compressed: Vec<Compressed<'_>> = points.iter().map(|point| (point, codec(&point.plain) as f64)).collect();
        for constants in [Constants::Gzip, Constants::PerPolicy, Constants::PerStatement, Constants::Both] {
            let errors: Vec<f64> = (0..points.len())
                .map(|left_out| {
                    let others = compressed.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, one)| *one);
                    error_percent(compressed[left_out], fit(others, constants))
                })
                .collect();
            outcomes.push(Outcome {
                name: name.clone(),
                constants,
                fitted: fit(compressed.iter().copied(), constants),
                complete: root_mean_square(points.iter().zip(&errors).filter(|(point, _)| point.complete).map(|(_, error)| *error)),
                all: root_mean_square(errors.iter().copied()),
                errors: points.iter().zip(errors).filter(|(point, _)| !point.is_plain()).map(|(_, error)| error).collect(),
            });
        }
    }
    outcomes
}

#[test]
fn the_codec_of_the_profile_is_as_good_as_the_best() {
    let outcomes = outcomes();
    println!("| codec | constants | b | c | complete | all | awscli-36 | rds-91 | vmpoppy-118 | polaris-118 | evalai-28 |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for one in &outcomes {
        let errors: Vec<String> = one.errors.iter().map(|error| format!("{error:+.1}")).collect();
        let (b, c) = one.fitted;
        let constants = match one.constants {
            Constants::Gzip => "gzip's 18 bytes",
            Constants::PerPolicy => "c",
            Constants::PerStatement => "b",
            Constants::Both => "b, c",
        };
        println!("| {} | {constants} | {b:.1} | {c:.1} | {:.2} | {:.2} | {} |", one.name, one.complete, one.all, errors.join(" | "));
    }
    let profile = Profile::builtin().packed_policy;
    let chosen_name = profile.codec.to_string();
    let chosen = outcomes.iter().find(|one| one.name == chosen_name && one.constants == Constants::PerStatement).unwrap();
    // Seven points, three of them reconstructed, do not tell half a point from another half.
    let best = outcomes.iter().map(|one| one.all).fold(f64::INFINITY, f64::min);
    assert!(chosen.all < best + 0.75, "{} against {best}", chosen.all);
    assert!((chosen.fitted.0 - f64::from(profile.compressed_statement_bytes)).abs() < 0.5, "{:?}", chosen.fitted);
    assert!(profile.compressed_policy_bytes == 0.0);
}
