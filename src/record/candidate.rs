//! Whether a record may be an STS call, told from its text without parsing it; and what a record's own keys say it is.

use std::borrow::Cow;

use memchr::arch::all::packedpair::HeuristicFrequencyRank;
use memchr::memmem::{Finder, FinderBuilder};

use super::Kind;
use super::members::{Members, RawValue};

/// What `eventSource` of a call to STS reads.
pub const STS: &[u8] = b"sts.amazonaws.com";

/// What the names of the calls have in common that give a session: `AssumeRole` with its kin and `AssumeRoot`, `GetFederationToken`, `GetSessionToken`.
const NAMES: [&[u8]; 3] = [b"AssumeRo", b"GetFederationToken", b"GetSessionToken"];

/// Looks for text that every STS call has.
pub struct Sieve {
    sts: Finder<'static>,
    names: [Finder<'static>; 3],
    escape: Finder<'static>,
}

/// Makes the search look for a `t` two characters before a full stop: every record has `amazonaws`, whose letters are rare elsewhere.
struct Ranks;

impl HeuristicFrequencyRank for Ranks {
    fn rank(&self, byte: u8) -> u8 {
        match byte {
            b't' => 0,
            b'.' => 1,
            _ => 255,
        }
    }
}

impl Default for Sieve {
    fn default() -> Sieve {
        Sieve {
            sts: FinderBuilder::new().build_forward_with_ranker(Ranks, STS),
            names: NAMES.map(Finder::new),
            escape: Finder::new(b"\\u00"),
        }
    }
}

impl Sieve {
    /// Whether `record` may be an STS call, or hold one as an envelope does. `backslash` says whether it has a backslash at all.
    ///
    /// In the text of an STS call `sts.amazonaws.com` and the call's name stand as they are, or some character of them is escaped. JSON has one escape for a letter or a full
    /// stop, `\u00` and two hexadecimal digits. Where the record is itself a string in another document (`CloudTrailEvent`), that escape may in turn have
    /// its backslash, its `u` or its digits escaped the same way. So a record is let through as well if an escape in it gives a letter, a digit, a full
    /// stop or a backslash; the ones that CloudTrail writes (`\u003d`, `\u0026`, `\u0027`, `\u003c`, `\u003e`) give none of these.
    #[inline]
    pub fn lets_through(&self, record: &[u8], backslash: bool) -> bool {
        (self.sts.find(record).is_some() && self.names_call(record)) || (backslash && self.hides(record))
    }

    /// Whether the name of a call that gives a session stands in `record`, as it is.
    pub fn names_call(&self, record: &[u8]) -> bool {
        self.names.iter().any(|name| name.find(record).is_some())
    }

    fn hides(&self, record: &[u8]) -> bool {
        self.escape.find_iter(record).any(|at| hides(record.get(at..).unwrap_or_default()))
    }
}

/// Whether the escape that `text` begins with gives a character that the text of an STS call may have, or part of another escape of one. False for escapes of
/// any other characters than the first 256.
#[inline]
pub fn hides(text: &[u8]) -> bool {
    let Some(digits) = text.strip_prefix(b"\\u00") else { return false };
    let digits = digits.get(..2).and_then(|digits| str::from_utf8(digits).ok());
    let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
        // Not two digits: no sound escape, or one whose digits are escaped themselves.
        return true;
    };
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'\\'
}

/// The record that a JSON object is or holds.
pub enum Inner<'a> {
    /// The object itself.
    Itself,
    /// `detail` of an EventBridge envelope, or `CloudTrailEvent` where that is an object.
    Object(&'a [u8]),
    /// `CloudTrailEvent` of an element of a `lookup-events` answer.
    Text(Cow<'a, str>),
    /// `CloudTrailEvent` that is no sound JSON string.
    BadText,
}

/// Unwraps a record from what `lookup-events` or EventBridge put around it, by the object's own keys, in whatever order they stand: one with a
/// record's keys is that record, whatever else it holds.
pub fn unwrap(object: &[u8]) -> Inner<'_> {
    let (mut event, mut detail) = (None, None);
    for (key, value) in Members::of(object) {
        match (key.bytes().as_deref(), value) {
            // A record's keys; most often the first.
            (Some(b"eventVersion" | b"eventSource" | b"eventName"), _) => return Inner::Itself,
            (Some(b"CloudTrailEvent"), RawValue::Str(text)) => {
                event = Some(text.value().map_or(Inner::BadText, Inner::Text));
            }
            (Some(b"CloudTrailEvent"), RawValue::Object(record)) => event = Some(Inner::Object(record)),
            (Some(b"detail"), RawValue::Object(record)) => detail = Some(Inner::Object(record)),
            _ => {}
        }
    }
    event.or(detail).unwrap_or(Inner::Itself)
}

/// What an object's own keys say it is; the object may be cut short. [`Kind::Unknown`] where not even one key is whole.
///
/// Sources: AWS CloudTrail user guide, "CloudTrail record contents" and its pages for Insights, network activity and aggregated events, and "CloudTrail
/// digest file structure".
pub fn kind_of(object: &[u8]) -> Kind {
    let mut kind = Kind::Unknown;
    let (mut event, mut detail) = (None, None);
    for (key, value) in Members::of(object) {
        if kind == Kind::Unknown {
            kind = Kind::NotALog;
        }
        let text = || match value {
            RawValue::Str(text) => text.value(),
            _ => None,
        };
        match key.bytes().as_deref() {
            Some(b"eventCategory") => match text().as_deref() {
                Some("Insight") => return Kind::Insight,
                Some("NetworkActivity") => return Kind::NetworkActivity,
                Some("Aggregated") => return Kind::Aggregated,
                _ => kind = Kind::CloudTrail,
            },
            Some(b"insightDetails") => return Kind::Insight,
            Some(b"digestStartTime" | b"digestS3Bucket" | b"digestPublicKeyFingerprint") => {
                return Kind::Digest;
            }
            // S3 and SQS notifications have the same shape, and such a source.
            Some(b"eventSource") if text().is_some_and(|source| source.starts_with("aws:")) => {
                return Kind::NotALog;
            }
            Some(b"eventVersion" | b"eventSource" | b"eventName") => kind = Kind::CloudTrail,
            Some(b"CloudTrailEvent") => match (text(), value) {
                (Some(text), _) => event = Some(text),
                (None, RawValue::Object(record)) => event = Some(String::from_utf8_lossy(record)),
                _ => {}
            },
            Some(b"detail") => {
                if let RawValue::Object(record) = value {
                    detail = Some(record);
                }
            }
            _ => {}
        }
    }
    match (kind, event, detail) {
        (Kind::CloudTrail, ..) | (_, None, None) => kind,
        (_, Some(record), _) => kind_of(record.as_bytes()),
        (_, None, Some(record)) => kind_of(record),
    }
}
