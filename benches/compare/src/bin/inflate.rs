//! The floor under any reader of a trail: every file below a folder read and inflated, nothing else.
//!
//! `inflate DIR [THREADS]`: the largest file first, by as many threads as there are cores, each with one decompressor and two buffers
//! it keeps. Prints files, bytes as they lie there and bytes inflated.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::{env, thread};

use libdeflater::{DecompressionError, Decompressor};

/// What libdeflate can make of one byte at most (RFC 1951: 258 bytes of a match for two bits), rounded up.
const MOST_OF_ONE_BYTE: usize = 1032;
/// Header and trailer of a gzip member (RFC 1952).
const LEAST_MEMBER_BYTES: usize = 18;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (directory, threads) = match arguments.as_slice() {
        [directory] => (directory, cores),
        [directory, threads] => match threads.parse() {
            Ok(threads) if threads > 0 => (directory, threads),
            _ => return usage(),
        },
        _ => return usage(),
    };
    match run(Path::new(directory), threads) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inflate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: inflate DIR [THREADS]");
    ExitCode::from(2)
}

fn run(directory: &Path, threads: usize) -> io::Result<()> {
    let mut files = Vec::new();
    walk(directory, &mut files)?;
    files.sort_unstable_by(|a, b| b.cmp(a));
    let (next, bytes, inflated) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> io::Result<()> {
                    let (mut decompressor, mut packed, mut text) = (Decompressor::new(), Vec::new(), Vec::new());
                    while let Some((length, path)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        read(path, *length as usize, &mut packed)
                            .and_then(|packed| inflate(&mut decompressor, packed, &mut text))
                            .map(|out| inflated.fetch_add(out, Ordering::Relaxed))
                            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
                        bytes.fetch_add(*length, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(io::Error::other("a thread died"))))
    })?;
    println!("{} files, {} bytes, {} inflated", files.len(), bytes.into_inner(), inflated.into_inner());
    Ok(())
}

/// The `.gz` files below `directory` with their sizes.
fn walk(directory: &Path, files: &mut Vec<(u64, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "gz") {
            files.push((entry.metadata()?.len(), path));
        }
    }
    Ok(())
}

/// The whole file, in a buffer that only grows.
fn read<'a>(path: &Path, length: usize, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    let packed = &mut buffer[..length];
    File::open(path)?.read_exact(packed)?;
    Ok(packed)
}

/// Inflates every member of `packed`, one after another into the same buffer; bytes inflated.
fn inflate(decompressor: &mut Decompressor, packed: &[u8], text: &mut Vec<u8>) -> io::Result<u64> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "not whole gzip members");
    // Of a file of one member, the last four bytes are how much it inflates to (modulo 4 GiB).
    let told = packed.last_chunk().map(|bytes| u32::from_le_bytes(*bytes)).ok_or_else(damaged)? as usize;
    let mut room = told.min(packed.len().saturating_mul(MOST_OF_ONE_BYTE));
    let (mut total, mut rest) = (0, packed);
    loop {
        if text.len() < room {
            text.resize(room, 0);
        }
        match decompressor.gzip_decompress(rest, text) {
            Ok(length) => {
                total += length as u64;
                match next_member(rest, length) {
                    Some(next) => rest = next,
                    None => return Ok(total),
                }
            }
            Err(DecompressionError::InsufficientSpace) if text.len() < packed.len().saturating_mul(MOST_OF_ONE_BYTE) => {
                room = (2 * text.len()).max(1 << 20);
            }
            Err(_) => return Err(damaged()),
        }
    }
}

/// What follows the first member of `packed`, which inflates to `length` bytes; None at the end. libdeflate does not say where the member
/// ended, so the end is where its length stands and another member's header follows.
fn next_member(packed: &[u8], length: usize) -> Option<&[u8]> {
    let told = (length as u32).to_le_bytes();
    (LEAST_MEMBER_BYTES..packed.len().saturating_sub(LEAST_MEMBER_BYTES))
        .find(|at| packed[*at..].starts_with(&[0x1f, 0x8b, 8]) && packed[..*at].ends_with(&told))
        .map(|at| &packed[at..])
}
