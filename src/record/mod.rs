//! Inflates a log file, finds its records fast, and hands over those that may be STS calls as JSON text.
//!
//! The JSON of other records is never parsed: one pass over the text finds where each record ends, and a record whose text holds neither
//! `sts.amazonaws.com` and the name of a call nor an escape that could hide them cannot be a call to STS.
//!
//! Containers are told apart by content: `{"Records":[...]}`, JSON lines or objects one after another, an array of these, the answer of
//! `aws cloudtrail lookup-events` (`Events[].CloudTrailEvent` as text) and EventBridge envelopes (`detail`); plain or gzip, of one member or several.

mod blocks;
mod candidate;
mod container;
mod damage;
mod members;
mod skim;
mod strings;
mod structure;
mod text;

use std::io::Read;

use crate::trail::LogFile;

pub use damage::{Damage, Offset, Place, Reason};
pub use strings::{Span, Strings};

/// One record that may be an STS call. Whether it is one, its own top-level `eventSource` tells.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its number in the file, from 1, other records counted.
    pub record: u64,
    /// Its JSON text. Brackets and strings are sound and it is UTF-8; the grammar between them has not been checked.
    pub json: &'a str,
}

/// What a file is, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Holds at least one CloudTrail record, or is an empty log (`{"Records":[]}`).
    CloudTrail,
    /// A digest of log files.
    Digest,
    /// Insight events only.
    Insight,
    /// Network activity events only.
    NetworkActivity,
    /// Aggregated events only.
    Aggregated,
    /// No CloudTrail log: empty, not JSON from its first character, or JSON none of whose objects has the keys of a CloudTrail record. A file that
    /// begins like a log all the same is [`Kind::Unknown`].
    NotALog,
    /// Could not be read as far as to tell: always comes with damage.
    Unknown,
}

/// What reading one file came to.
#[derive(Debug)]
pub struct Outcome {
    /// What the file is.
    pub kind: Kind,
    /// Records counted, whatever they are.
    pub records: u64,
    /// Those of them in which something is unusual (control characters, escapes of letters, other characters than ASCII, deep nesting), so that they were
    /// followed bracket by bracket. Slower, and no less right.
    pub unusual: u64,
    /// Bytes read from the file.
    pub bytes_read: u64,
    /// Bytes of JSON text looked at; equals `bytes_read` for a plain file.
    pub bytes_inflated: u64,
    /// Why reading ended before the file did, or left out lines of it; everything before that place counts, and what could be read after it. Always `None` where `kind` says that there was nothing to be read
    /// (neither [`Kind::CloudTrail`] nor [`Kind::Unknown`]).
    pub damage: Option<Damage>,
}

/// How much memory one [`Reader`] may use, and what it takes for hostile.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A gzip file that inflates to at most this many bytes is inflated in one go, which is faster.
    pub whole_bytes: usize,
    /// The longest record or other single value, in bytes; a longer one is damage. CloudTrail's own limit is 1 MiB.
    pub value_bytes: usize,
    /// How much text is inflated at a time where a file is not inflated in one go.
    pub chunk_bytes: usize,
    /// A gzip file may always inflate to this many bytes...
    pub bomb_bytes: u64,
    /// ...and beyond that to this many times its own size.
    pub bomb_ratio: u64,
}

impl Limits {
    /// The limits where `threads` readers work at once, so that all of them stay below about 200 MiB together on up to 48 threads.
    pub fn for_threads(threads: usize) -> Limits {
        const MIB: usize = 1 << 20;
        let share = 96 * MIB / threads.max(1);
        Limits {
            whole_bytes: share.min(16 * MIB),
            value_bytes: share.clamp(2 * MIB, 16 * MIB),
            chunk_bytes: 256 << 10,
            bomb_bytes: 256 << 20,
            bomb_ratio: 200,
        }
    }
}

/// Reads log files one after another, its buffers used again; one per thread.
pub struct Reader {
    limits: Limits,
    buffers: text::Buffers,
    scratch: container::Scratch,
}

impl Reader {
    /// A reader with empty buffers.
    pub fn new(limits: Limits) -> Reader {
        Reader { limits, buffers: text::Buffers::default(), scratch: container::Scratch::default() }
    }

    /// Reads one file to its end, or to the damage in it, and gives each record that may be an STS call to `sink`.
    pub fn read(&mut self, file: &LogFile, sink: &mut dyn FnMut(Found<'_>)) -> Outcome {
        match file.open() {
            Ok(mut content) => self.read_from(&mut content, file.bytes, sink),
            Err(error) => Outcome {
                kind: Kind::Unknown,
                records: 0,
                unusual: 0,
                bytes_read: 0,
                bytes_inflated: 0,
                damage: Some(Damage { place: Place::default(), reason: Reason::Io(error), skipped_lines: 0, end: None }),
            },
        }
    }

    /// Like [`Reader::read`], from anything that gives bytes; `bytes` is their number where it is known beforehand.
    pub fn read_from(&mut self, content: &mut dyn Read, bytes: Option<u64>, sink: &mut dyn FnMut(Found<'_>)) -> Outcome {
        let mut text = text::Text::open(&mut self.buffers, &self.limits, content, bytes);
        let summary = container::read(&mut text, &mut self.scratch, sink);
        let outcome = summary.into_outcome(&text);
        self.buffers.shrink(&self.limits);
        outcome
    }

    /// Bytes of memory the buffers hold now.
    pub fn buffer_bytes(&self) -> usize {
        self.buffers.capacity_bytes()
    }
}
