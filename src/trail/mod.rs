//! Finds, lists and opens log files: on disk and on standard input.
//!
//! [`list`] walks lazily, so that a trail of millions of small files costs no memory for its listing.

mod file;
mod listing;

pub use file::{Content, LogFile};
pub use listing::{Entry, Folder, Listing, list};

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
}
