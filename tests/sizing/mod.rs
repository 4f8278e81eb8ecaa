//! What the engine that fits itself is put to: sizing functions it does not know, and trails of calls that they sized.
//!
//! [`hidden::Hidden`] is such a function, drawn by seed; [`trail::trail`] makes what an organisation's calls would log under it. Nothing here uses the
//! engine's own sizes, so that one judges the other.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod codec;
pub mod hidden;
pub mod plain;
pub mod policies;
pub mod requests;
#[path = "../generator/rng.rs"]
pub mod rng;
pub mod score;
pub mod trail;
