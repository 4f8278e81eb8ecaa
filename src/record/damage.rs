use std::fmt;
use std::io;

/// Where reading ended and why: `truncated gzip stream at byte 1234, after record 41`.
#[derive(Debug, thiserror::Error)]
#[error("{reason}{place}")]
pub struct Damage {
    /// Where.
    pub place: Place,
    /// Why.
    #[source]
    pub reason: Reason,
}

/// A place in a log file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Offset in bytes, from 0; `None` where the file could not be opened.
    pub offset: Option<Offset>,
    /// Records that were found whole before it.
    pub records: u64,
}

/// An offset in bytes, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// Into the file as it is stored.
    File(u64),
    /// Into the text the file inflates to.
    Text(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            None => return Ok(()),
            Some(Offset::File(byte)) => write!(f, " at byte {byte}")?,
            Some(Offset::Text(byte)) => write!(f, " at byte {byte} of the inflated text")?,
        }
        match self.records {
            0 => f.write_str(", before the first record"),
            records => write!(f, ", after record {records}"),
        }
    }
}

/// What is wrong with a log file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It cannot be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("truncated gzip stream")]
    GzipTruncated,
    /// Its compressed bytes make no sense, or its checksum does not fit what they inflate to.
    #[error("damaged gzip stream")]
    GzipDamaged,
    /// Bytes other than zeros follow the last gzip member.
    #[error("bytes that are no gzip follow the gzip stream")]
    GzipTrailer,
    /// It inflates to far more than any log would.
    #[error("gzip stream inflates to more than {ratio} times its size")]
    GzipBomb {
        /// The limit.
        ratio: u64,
    },
    #[error("text ends within a value")]
    TextTruncated,
    /// Something else than JSON's grammar wants here.
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("bracket closed that was not opened")]
    Bracket,
    #[error("values nested deeper than {0}")]
    Depth(usize),
    /// A character below U+0020 in a string, or other than white space between values.
    #[error("control character")]
    Control,
    #[error("invalid utf-8")]
    Utf8,
    /// A record, or another single value, is too large to be one of CloudTrail's.
    #[error("value longer than {0} bytes")]
    Long(usize),
}
