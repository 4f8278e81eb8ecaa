//! Trails with known truth, the same for the same seed.
//!
//! [`series`] makes the calls of one series as the trends see them, with the status, date and driver that a perfect judge would give.
//! [`organisation`] writes whole log files of a small organisation and says what each of its series should be called; [`corpus`] writes
//! as many as a bench wants. Sizes are those the engine gives to the requests, account ids are those of documentation, session tokens
//! filler of the right length.

// Shared by tests, benches and the maker of the samples: none uses all of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod corpus;
pub mod json;
pub mod organisation;
pub mod records;
pub mod rng;
pub mod series;

pub use rng::Rng;
