//! packtrail: which AWS STS calls in CloudTrail fail, or will fail, with `PackedPolicyTooLarge`.
//!
//! ```text
//! Source --trail--> log file bytes --record--> Record --sts_call--> StsCall --packing--> PackedSize
//!        --scan--> Scan{calls, coverage} --trends--> Trends --fixes--> Fix --report--> CSV, Parquet, JSON, terminal
//! ```
//!
//! With `default-features = false` only [`policy`] and [`packing`] remain: the engine that prices one request, for use in other programs.

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
#[cfg(feature = "cli")]
pub mod record;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "cli")]
pub mod scan;
#[cfg(feature = "cli")]
pub mod state;
#[cfg(feature = "cli")]
pub mod sts_call;
#[cfg(feature = "cli")]
pub mod trail;
#[cfg(feature = "cli")]
pub mod trends;

/// Keeps the example in README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
