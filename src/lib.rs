//! packtrail: which AWS STS calls in CloudTrail fail, or will fail, with `PackedPolicyTooLarge`.
//!
//! ```text
//! Source --trail--> log file bytes --record--> Record --sts_call--> StsCall --packing--> PackedSize
//!        --scan--> Scan{calls, coverage} --trends--> Trends --fixes--> Fix --report--> CSV, Parquet, JSON, terminal
//! ```
//!
//! With `default-features = false` only [`policy`] and [`packing`] remain: the engine that prices one request, for use in other programs. The feature `read` adds
//! the line from log files on disk to STS calls.

pub mod packing;
pub mod policy;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod findings;
#[cfg(feature = "fixes")]
pub mod fixes;
#[cfg(feature = "fixes")]
pub mod proof;
#[cfg(feature = "read")]
pub mod record;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod scan;
#[cfg(feature = "cli")]
pub mod state;
#[cfg(feature = "read")]
pub mod sts_call;
#[cfg(feature = "read")]
pub mod trail;
#[cfg(feature = "cli")]
pub mod trends;

/// Keeps the example in README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
