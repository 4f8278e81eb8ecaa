//! S3: a synchronous face over the AWS SDK. Async code starts and ends in this folder.

mod client;
mod errors;
mod fetch;
mod listing;
mod objects;

use std::future::Future;
use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

pub(super) use errors::{Cause, Failure};
pub use fetch::Body;
pub(super) use fetch::Fetched;
pub(super) use listing::{Remote, list};
pub(super) use objects::{Condition, Objects};

/// Splits `s3://bucket/key` into bucket and key; None for what is no such location.
pub(super) fn split(location: &str) -> Option<(&str, &str)> {
    let rest = location.strip_prefix("s3://")?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then_some((bucket, key))
}

/// What all of the process' requests run on: two threads are enough to keep many requests in flight, and inflating keeps the others busy.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(2).thread_name("s3").enable_all().build());
    made.as_ref().map_err(|error| io::Error::new(error.kind(), format!("cannot start threads: {error}")))
}

/// Waits for `work`; never called from within the runtime.
fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime().map_err(|error| Failure::other(error.to_string()))?.block_on(work)
}
