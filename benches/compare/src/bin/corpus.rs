//! Makes the corpora that run.py measures with.
//!
//! `corpus DIR FILES RECORDS_PER_FILE STS_SHARE DISTINCT_REQUESTS` writes what `cargo run --example trail -- corpus` with the same
//! arguments does, byte for byte, by all cores and without building the command. With one more argument the same records lie in one
//! file: `one-member`, one JSON object in one gzip member; `members`, what `cat` makes of the files.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, mpsc};
use std::{env, thread};

use flate2::Compression;
use flate2::write::GzEncoder;

use generator::corpus::{Shape, texts};
use generator::json::gzip;

#[path = "../../../../tests/generator"]
#[allow(dead_code)] // tests use the rest
mod generator {
    pub mod corpus;
    pub mod json;
    pub mod records;
    pub mod rng;

    pub use rng::Rng;
}

/// The seed of `examples/trail.rs`.
const SEED: u64 = 2026;
/// Texts made and not yet packed, so that memory stays small.
const WAITING: usize = 8;

const START: &str = "{\"Records\":[";
const END: &str = "]}";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some((directory, shape, form)) = read(&arguments) else {
        eprintln!("usage: corpus DIR FILES RECORDS_PER_FILE STS_SHARE DISTINCT_REQUESTS [one-member|members]");
        return ExitCode::from(2);
    };
    let directory = Path::new(directory);
    let written = match form {
        None => files(directory, shape),
        Some("members") => members(directory, shape),
        Some(_) => one_member(directory, shape),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read<'a>(arguments: &[&'a str]) -> Option<(&'a str, Shape, Option<&'a str>)> {
    let (of_shape, form) = match arguments {
        [of_shape @ .., form @ ("one-member" | "members")] => (of_shape, Some(*form)),
        of_shape => (of_shape, None),
    };
    let [directory, files, records_per_file, sts_share, distinct_requests] = of_shape else { return None };
    let shape = Shape {
        files: files.parse().ok()?,
        records_per_file: records_per_file.parse().ok()?,
        sts_share: sts_share.parse().ok()?,
        distinct_requests: distinct_requests.parse().ok()?,
    };
    Some((directory, shape, form))
}

/// Each text packed by one of several threads, and then written by it.
fn files(directory: &Path, shape: Shape) -> io::Result<()> {
    let (sender, receiver) = mpsc::sync_channel::<(String, String)>(WAITING);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        let pack = || -> io::Result<()> {
            loop {
                let next = receiver.lock().map_err(|_| io::Error::other("a thread died"))?.recv();
                let Ok((path, text)) = next else { return Ok(()) };
                let path = directory.join(path);
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::write(path, gzip(text.as_bytes()))?;
            }
        };
        let workers: Vec<_> = (0..thread::available_parallelism().map_or(1, usize::from)).map(|_| scope.spawn(pack)).collect();
        for made in texts(SEED, shape) {
            // Fails when every worker has, and then their error is the one to tell.
            if sender.send(made).is_err() {
                break;
            }
        }
        drop(sender);
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(io::Error::other("a thread died"))))
    })
}

fn members(directory: &Path, shape: Shape) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut file = BufWriter::new(File::create(directory.join("members.json.gz"))?);
    for (_, text) in texts(SEED, shape) {
        file.write_all(&gzip(text.as_bytes()))?;
    }
    file.flush()
}

fn one_member(directory: &Path, shape: Shape) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let file = BufWriter::new(File::create(directory.join("one-member.json.gz"))?);
    let mut member = GzEncoder::new(file, Compression::new(6));
    member.write_all(START.as_bytes())?;
    for (number, (_, text)) in texts(SEED, shape).enumerate() {
        if number > 0 {
            member.write_all(b",")?;
        }
        let records = text.strip_prefix(START).and_then(|text| text.strip_suffix(END));
        member.write_all(records.ok_or_else(|| io::Error::other("the generator writes another form"))?.as_bytes())?;
    }
    member.write_all(END.as_bytes())?;
    member.finish()?.flush()
}
