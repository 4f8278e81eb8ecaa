//! Finds, lists and opens log files: on disk, on standard input and, with the feature `cli`, in S3.
//!
//! [`list`] walks lazily, so that a trail of millions of small files costs no memory for its listing.

use std::sync::Arc;

mod file;
mod layout;
mod listing;
#[cfg(feature = "cli")]
mod s3;
#[cfg(not(feature = "cli"))]
#[path = "without_s3.rs"]
mod s3;
#[cfg(feature = "cli")]
mod store;

pub use file::{Content, LogFile};
pub use layout::{Day, Delivery, delivery};
pub use listing::{Entry, Folder, Listing, list};
pub use s3::Body;
#[cfg(feature = "cli")]
pub use store::{Lock, Store, StoreError, Tag};

/// Which log files matter, as far as their location tells.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Files that may hold events at or after this time, seconds since 1970-01-01 UTC; all when None.
    pub since: Option<i64>,
    /// Files that may hold events before this time, seconds since 1970-01-01 UTC; all when None.
    pub until: Option<i64>,
    /// Logs of these accounts; of all when empty.
    pub accounts: Vec<String>,
    /// Logs of these regions; of all when empty.
    pub regions: Vec<String>,
    /// Not the files whose locations begin with one of these: what the run itself writes.
    pub except: Vec<String>,
}

/// How S3 is reached.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// The AWS profile; the default chain's when None.
    pub profile_name: Option<String>,
    /// A role to assume first.
    pub role_arn: Option<String>,
    /// The requester pays for requests and transfer.
    pub requester_pays: bool,
    /// Requests in flight at most.
    pub requests: usize,
    /// Bytes fetched and not yet read, at most.
    pub bytes: usize,
}

impl Default for S3Options {
    fn default() -> S3Options {
        S3Options { profile_name: None, role_arn: None, requester_pays: false, requests: 32, bytes: 64 << 20 }
    }
}

impl Wanted {
    fn excepts(&self, location: &str) -> bool {
        self.except.iter().any(|place| location.starts_with(place.as_str()))
    }
}

/// What listing needs to know besides the sources.
#[derive(Clone, Default)]
pub struct Reach {
    /// Which files matter.
    pub wanted: Wanted,
    /// How S3 is reached.
    pub s3: S3Options,
    /// What earlier runs have read: left out of the listing.
    pub memory: Option<Arc<dyn Memory>>,
}

/// What earlier runs have read.
pub trait Memory: Send + Sync {
    /// True when this file was read before as it is now (by location, size and stamp): it is not listed.
    fn knows(&self, file: &LogFile) -> bool;

    /// The first day of `folder` (a [`Delivery::folder`]) within `from..=through` whose listing may have changed since; None when none has. Where `from` is None and no
    /// day was listed before, the answer is [`Day::MIN`].
    fn first_open_day(&self, folder: &str, from: Option<Day>, through: Option<Day>) -> Option<Day>;
}

/// Why a trail cannot be listed at all: wrong usage, found before anything is read.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// No file or directory has this name, and no file matches it as a glob.
    #[error("no such file or directory: `{0}`")]
    Missing(String),
    /// The name exists nowhere as it stands and is no valid glob.
    #[error("invalid glob `{pattern}`")]
    Glob {
        /// The source as given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: glob::PatternError,
    },
    /// S3 cannot be reached, does not know the bucket or the credentials, or denies everything.
    #[error("{location}: {reason}")]
    S3 {
        /// The source as given.
        location: String,
        /// What is wrong, in one line.
        reason: String,
    },
}
