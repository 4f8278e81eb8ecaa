use std::fmt;
use std::io;

/// What is wrong with a file first, where, and what it cost: `truncated gzip stream at byte 1234, after record 41`.
#[derive(Debug, thiserror::Error)]
#[error("{reason}{place}{}{}", Skipped(*skipped_lines), Ended(end.as_deref()))]
pub struct Damage {
    /// Where.
    pub place: Place,
    /// Why.
    #[source]
    pub reason: Reason,
    /// Lines of a file of JSON lines that were left out, this being the first of them; 0 where reading ended here.
    pub skipped_lines: u64,
    /// What reading ended at after lines were left out; `None` where it went on to the end of the file, or ended here.
    pub end: Option<Box<Damage>>,
}

/// How many lines were left out, unless none was.
struct Skipped(u64);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str("; that line is left out"),
            lines => write!(f, "; {lines} lines are left out"),
        }
    }
}

/// What reading ended at, if it did.
struct Ended<'a>(Option<&'a Damage>);

impl fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |end| write!(f, "; then {end}"))
    }
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
    /// It ends before its last gzip member does.
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
    /// Its text ends inside a string, an object or a list.
    #[error("text ends within a value")]
    TextTruncated,
    /// Something else than JSON's grammar wants here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A `}` or `]` that closes nothing, or the other kind of bracket.
    #[error("bracket closed that was not opened")]
    Bracket,
    /// Objects and lists in one another beyond this depth.
    #[error("values nested deeper than {0}")]
    Depth(usize),
    /// A character below U+0020 in a string, or other than white space between values.
    #[error("control character")]
    Control,
    /// Bytes that are no UTF-8.
    #[error("invalid utf-8")]
    Utf8,
    /// A record, or another single value, is too large to be one of CloudTrail's.
    #[error("value longer than {0} bytes")]
    Long(usize),
}
