//! Reading log files against mapping them: `cargo bench --bench read`.
//!
//! 20,000 files of 2 KB and two of 50 MB, in the page cache, each byte looked at once; and a gzip file
//! that compresses as well as logs do, inflated piece by piece from either.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(unsafe_code)] // the only place that maps a file, to show why nothing else does

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::bufread::GzDecoder;
use memmap2::Mmap;

const ROUNDS: usize = 9;
const CHUNK: usize = 64 << 10;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let small: Vec<PathBuf> = (0..20_000)
        .map(|number| {
            let path = directory.path().join(format!("small-{number}"));
            fs::write(&path, noise(2_000, number)).unwrap();
            path
        })
        .collect();
    let large: Vec<PathBuf> = (0..2)
        .map(|number| {
            let path = directory.path().join(format!("large-{number}"));
            fs::write(&path, noise(50_000_000, number)).unwrap();
            path
        })
        .collect();

    for (what, paths) in [("20,000 files of 2 KB", &small), ("2 files of 50 MB", &large)] {
        let bytes: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        let (mut whole, mut chunk) = (Vec::new(), vec![0; CHUNK]);
        let [in_one, by_chunks, mapped] = medians([
            &mut || paths.iter().map(|path| read_whole(path, &mut whole)).sum(),
            &mut || paths.iter().map(|path| read_chunks(path, &mut chunk)).sum(),
            &mut || paths.iter().map(|path| touch(&map(path))).sum(),
        ]);
        report(what, "read whole into one buffer", bytes, in_one);
        report(what, "read by 64 KiB", bytes, by_chunks);
        report(what, "mapped", bytes, mapped);
    }

    let gzip = directory.path().join("large.gz");
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).unwrap());
    // Words in random order compress about as well as logs do.
    let words: Vec<String> = (0..64).map(|number| format!("\"word-{number}\":\"{}\",", "value".repeat(number % 7))).collect();
    let text: Vec<u8> = noise(8_000_000, 7).into_iter().flat_map(|byte| words[usize::from(byte % 64)].bytes()).collect();
    let mut file = vec![0; compressor.gzip_compress_bound(text.len())];
    let length = compressor.gzip_compress(&text, &mut file).unwrap();
    fs::write(&gzip, &file[..length]).unwrap();
    println!("gzip file of {length} bytes that inflates to {}", text.len());
    let what = "gzip file, inflated";
    let [by_chunks, mapped] =
        medians([&mut || inflate(BufReader::with_capacity(CHUNK, File::open(&gzip).unwrap())), &mut || inflate(&map(&gzip)[..])]);
    report(what, "read by 64 KiB", length as u64, by_chunks);
    report(what, "mapped", length as u64, mapped);
}

fn read_whole(path: &Path, buffer: &mut Vec<u8>) -> u64 {
    let mut file = File::open(path).unwrap();
    let bytes = usize::try_from(file.metadata().unwrap().len()).unwrap();
    if buffer.len() <= bytes {
        buffer.resize(bytes + 1, 0);
    }
    let mut filled = 0;
    loop {
        match file.read(&mut buffer[filled..]).unwrap() {
            0 => return touch(&buffer[..filled]),
            read => filled += read,
        }
    }
}

fn read_chunks(path: &Path, buffer: &mut [u8]) -> u64 {
    let mut file = File::open(path).unwrap();
    let mut sum = 0_u64;
    loop {
        match file.read(buffer).unwrap() {
            0 => return sum,
            read => sum = sum.wrapping_add(touch(&buffer[..read])),
        }
    }
}

fn map(path: &Path) -> Mmap {
    let file = File::open(path).unwrap();
    // SAFETY: the file lies in a temporary directory of this process, and nothing writes to it while it is mapped.
    unsafe { Mmap::map(&file) }.unwrap()
}

/// Looks at every byte.
fn touch(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0, |sum, chunk| sum.wrapping_add(chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))))
}

fn inflate(file: impl std::io::BufRead) -> u64 {
    std::io::copy(&mut GzDecoder::new(file), &mut std::io::sink()).unwrap()
}

/// The median time of each way of working, in turn, so that what else the machine does hits all of them alike.
fn medians<const N: usize>(mut works: [&mut dyn FnMut() -> u64; N]) -> [Duration; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (work, times) in works.iter_mut().zip(&mut times) {
            let start = Instant::now();
            black_box(work());
            times.push(start.elapsed());
        }
    }
    times.map(|mut times| {
        times.sort();
        times[ROUNDS / 2]
    })
}

fn report(what: &str, how: &str, bytes: u64, time: Duration) {
    let seconds = time.as_secs_f64();
    println!("{what:<22} {how:<28} {:>9.2} ms {:>7.0} MB/s", seconds * 1e3, bytes as f64 / seconds / 1e6);
}

/// Bytes that differ from one seed to the next.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
