//! Any record as a call, parsed fast and plain.
//!
//! The first byte of an input says what the rest is: a program that writes a record, or its text.

#![no_main]

#[path = "../../tests/plain/calls.rs"]
mod plain;
#[path = "../../tests/programs/mod.rs"]
mod programs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_first() else { return };
    let program = mode % 4 != 0;
    let written = if program { programs::calls::record(rest, true) } else { rest.to_vec() };
    let Ok(text) = String::from_utf8(written) else { return };
    match plain::hold(&text) {
        Ok(caller) => assert!(!program || caller.is_none_or(|caller| !caller.contains(plain::HIDDEN)), "a session's name is shown: {text}"),
        Err(difference) => panic!("{difference}"),
    }
});
