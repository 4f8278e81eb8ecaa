//! Any log, fast and plain: the same records, counted and found, in one go and in pieces, as text and inflated.
//!
//! The first byte of an input says what the rest is: a program that writes a log, a text, or a file as it is stored.

#![no_main]

#[path = "../../tests/programs/mod.rs"]
mod programs;
#[path = "../../tests/plain/records.rs"]
mod records;

use libfuzzer_sys::fuzz_target;
use records::{hold, same};

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_first() else { return };
    match mode % 8 {
        0 => drop(hold(rest, &[1 + usize::from(mode / 8)])),
        1 => {
            // Inflated or not.
            let file = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0], rest].concat();
            hold(&file, &[1 + usize::from(mode / 8)]);
        }
        _ => {
            let log = programs::logs::log(rest, true);
            let fast = hold(&log.text, &[log.chunk_bytes]);
            // Inflating takes most of the time, and is to be looked at less often.
            if mode % 8 == 2 {
                let inflated = hold(&log.gzip, &[log.chunk_bytes]);
                if records::text_of(&log.gzip) == (log.text, true) {
                    same(&inflated, &fast, "inflated");
                }
            }
        }
    }
});
