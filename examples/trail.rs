//! Makes trails to look at and to measure with.
//!
//! `cargo run --example trail -- samples DIR` writes the sample organisation that `samples/` holds;
//! `cargo run --example trail -- corpus DIR FILES RECORDS_PER_FILE STS_SHARE DISTINCT_REQUESTS` writes a large corpus.

#[path = "../tests/generator/mod.rs"]
mod generator;

use std::path::Path;
use std::{env, fs, process};

use generator::corpus::{Shape, corpus};
use generator::organisation::sample_organisation;

/// The seed of `samples/`.
const SEED: u64 = 2026;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let written = match arguments.as_slice() {
        ["samples", directory] => write(directory, sample_organisation(SEED).into_iter()),
        ["corpus", directory, files, records, share, distinct] => {
            let shape = Shape {
                files: number(files),
                records_per_file: number(records),
                sts_share: share.parse().unwrap_or_else(|_| usage()),
                distinct_requests: number(distinct),
            };
            write(directory, corpus(SEED, shape))
        }
        _ => usage(),
    };
    if let Err(error) = written {
        eprintln!("trail: {error}");
        process::exit(1);
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| usage())
}

fn usage() -> ! {
    eprintln!("usage: trail samples DIR | trail corpus DIR FILES RECORDS_PER_FILE STS_SHARE DISTINCT_REQUESTS");
    process::exit(2);
}

fn write(directory: &str, files: impl Iterator<Item = (String, Vec<u8>)>) -> std::io::Result<()> {
    for (path, bytes) in files {
        let path = Path::new(directory).join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    Ok(())
}
