//! What stands in for S3 where its client is not built: no location in S3 can be listed, so no file there can be opened.

use std::convert::Infallible;
use std::io::{self, Read};

use super::{Entry, Reach, TrailError};

/// The bytes of an object in S3: there are none without the feature `cli`.
#[derive(Debug)]
pub struct Body(Infallible);

impl Read for Body {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

/// The content of a log file in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trail) struct Fetched(Infallible);

impl Fetched {
    pub(in crate::trail) fn open(&self) -> io::Result<Body> {
        match self.0 {}
    }
}

/// What lies in S3 under some sources.
#[derive(Debug)]
pub(in crate::trail) struct Remote(Infallible);

impl Iterator for Remote {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        match self.0 {}
    }
}

/// Fails for the first of `sources`: it names no bucket, or one that cannot be reached.
pub(in crate::trail) fn list(sources: &[&str], _: &Reach) -> Result<Remote, TrailError> {
    let location = sources.first().copied().unwrap_or_default().to_owned();
    if location.strip_prefix("s3://").is_none_or(|path| path.is_empty() || path.starts_with('/')) {
        return Err(TrailError::Missing(location));
    }
    Err(TrailError::S3 { location, reason: "this build reads no S3: it lacks the feature `cli`".to_owned() })
}
