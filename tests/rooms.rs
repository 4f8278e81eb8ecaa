//! The order of the rooms and their doors, as ARCHITECTURE.md draws them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Lowest floor first: a room uses only rooms before it. `lib.rs` and `main.rs` are no rooms.
const ROOMS: [&str; 13] =
    ["policy", "proof", "packing", "trail", "record", "sts_call", "scan", "state", "trends", "fixes", "findings", "report", "cli"];

/// Heavy crates and the rooms that may name them.
const DOORS: [(&str, &[&str]); 26] = [
    ("libdeflater", &["policy", "packing", "record"]),
    ("flate2", &["packing", "record"]),
    ("walkdir", &["trail"]),
    ("aws_config", &["trail"]),
    ("aws_sdk_s3", &["trail"]),
    ("aws_smithy_http_client", &["trail"]),
    ("tokio", &["trail"]),
    ("multiversion", &["record"]),
    ("wide", &["record"]),
    ("simdutf8", &["record"]),
    ("memchr", &["record"]),
    ("hashbrown", &["scan", "report"]),
    ("polars", &["report", "state"]),
    ("polars_arrow", &["report"]),
    ("polars_parquet", &["report"]),
    ("similar", &["report"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("console", &["cli"]),
    ("signal_hook", &["cli"]),
    ("glob", &["trail", "scan", "cli"]),
    ("anyhow", &["cli"]),
    ("lzma_rust2", &["packing"]),
    ("zstd", &["packing"]),
    ("rayon", &["packing", "scan", "state", "findings", "report", "cli"]),
    ("sha2", &["scan", "state", "fixes"]),
];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

/// The code of a room: its files without tests, comments and blank lines.
fn code(room: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for path in [root.join(room), root.join(format!("{room}.rs"))] {
        if path.exists() {
            sources(&path, &mut files);
        }
    }
    assert!(!files.is_empty(), "room {room} stands in src");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
            (path, lines.join("\n"))
        })
        .filter(|(path, _)| path.file_name().unwrap() != "tests.rs")
        .collect()
}

#[test]
fn every_folder_of_src_is_a_room() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(["lib", "main"].contains(&&*name) || ROOMS.contains(&&*name), "`{name}` is no room");
    }
}

#[test]
fn a_room_uses_only_rooms_below_it() {
    for (floor, room) in ROOMS.iter().enumerate() {
        for (path, code) in code(room) {
            for above in &ROOMS[floor + 1..] {
                assert!(!code.contains(&format!("crate::{above}")), "{} uses `{above}`", path.display());
            }
            // Grouped imports would hide a room from this test.
            assert!(!code.contains("use crate::{"), "{} imports several rooms at once", path.display());
        }
    }
}

#[test]
fn a_heavy_crate_is_named_only_behind_its_door() {
    for room in ROOMS {
        for (path, code) in code(room) {
            for (name, doors) in DOORS {
                let named = code.contains(&format!("use {name}::")) || code.contains(&format!("{name}::"));
                assert!(!named || doors.contains(&room), "{} names `{name}`", path.display());
            }
        }
    }
}
