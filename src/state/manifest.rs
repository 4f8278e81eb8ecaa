//! The one file that says what a state consists of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::days::{Range, read_some_day, write_some_day};
use crate::trail::Day;

/// The version of the format this program writes, and the only one it reads.
pub(super) const VERSION: u64 = 1;
const FORMAT: &str = "packtrail-state";

/// What a state consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: String,
    version: u64,
    /// How many runs have opened the state: each run's own number.
    pub(super) run: u64,
    /// The number of the next segment.
    pub(super) next: u64,
    /// What was before this day has been pruned.
    #[serde(serialize_with = "write_some_day", deserialize_with = "read_some_day")]
    pub(super) kept_from: Option<Day>,
    pub(super) calls: Vec<Segment>,
    pub(super) objects: Vec<Segment>,
    pub(super) requests: Vec<Segment>,
    /// Segments of requests with a lower number were written together, without what no call refers to.
    pub(super) requests_packed: u64,
    /// Files that changed: what segments of a lower number than this say of them is past.
    pub(super) superseded: BTreeMap<String, u64>,
    /// Days that need not be listed again, by folder.
    pub(super) listed: BTreeMap<String, Vec<Range>>,
}

/// One Parquet file, never written again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Segment {
    pub(super) key: String,
    /// Its place in the order in which segments were written.
    pub(super) number: u64,
    /// The day of its calls, or of the delivery of its objects; None for what has none.
    #[serde(serialize_with = "write_some_day", deserialize_with = "read_some_day")]
    pub(super) day: Option<Day>,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    /// Of a segment of objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sums: Option<Sums>,
}

/// What the objects of a segment come to; damaged ones are only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sums {
    pub(super) read: u64,
    pub(super) skipped: BTreeMap<String, u64>,
    pub(super) damaged: u64,
    pub(super) records: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_inflated: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer<'a> {
    checksum: String,
    #[serde(borrow)]
    state: &'a RawValue,
}

/// Why bytes are no manifest this program reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Written by a newer program, in a format of this version.
    Newer(u64),
    /// What is wrong.
    Damaged(&'static str),
}

impl Default for Manifest {
    fn default() -> Manifest {
        Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            run: 0,
            next: 1,
            kept_from: None,
            calls: Vec::new(),
            objects: Vec::new(),
            requests: Vec::new(),
            requests_packed: 0,
            superseded: BTreeMap::new(),
            listed: BTreeMap::new(),
        }
    }
}

impl Manifest {
    /// The bytes of the file.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let state = serde_json::to_string(self)?;
        Ok(format!("{{\"checksum\":\"{}\",\"state\":{state}}}", sha256(state.as_bytes())).into_bytes())
    }

    /// What the bytes of the file say.
    pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, Unusable> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u64,
        }

        let outer: Outer<'_> = serde_json::from_slice(bytes).map_err(|_| Unusable::Damaged("no manifest of a state"))?;
        let state = outer.state.get();
        if sha256(state.as_bytes()) != outer.checksum {
            return Err(Unusable::Damaged("its checksum is another"));
        }
        let head: Head = serde_json::from_str(state).map_err(|_| Unusable::Damaged("no manifest of a state"))?;
        if head.format != FORMAT {
            return Err(Unusable::Damaged("no manifest of a state"));
        }
        if head.version > VERSION {
            return Err(Unusable::Newer(head.version));
        }
        serde_json::from_str(state).map_err(|_| Unusable::Damaged("it lacks a part"))
    }

    /// All segments.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.calls.iter().chain(&self.objects).chain(&self.requests)
    }

    /// True when what a segment of this number says of the file at `location` is past.
    pub(super) fn is_past(&self, location: &str, number: u64) -> bool {
        !self.superseded.is_empty() && self.superseded.get(location).is_some_and(|&before| number < before)
    }
}

/// In hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// In lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The inverse of [`hex`]; None for anything else.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0_u8; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != out.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Manifest {
        let mut manifest = Manifest { run: 3, next: 9, kept_from: Some(20_000), ..Manifest::default() };
        let segment = |number, day| Segment {
            key: format!("calls/x-{number}.parquet"),
            number,
            day,
            rows: 5,
            bytes: 100,
            sha256: sha256(b"x"),
            sums: None,
        };
        manifest.calls.push(segment(1, Some(-1)));
        manifest.objects.push(Segment { sums: Some(Sums::default()), ..segment(2, None) });
        manifest.superseded.insert("a \"b\"".to_owned(), 2);
        manifest.listed.insert("f/".to_owned(), vec![Range { from: Day::MIN, through: 4 }, Range { from: 9, through: 10 }]);
        manifest
    }

    #[test]
    fn a_manifest_comes_back_as_it_was() {
        assert_eq!(Manifest::parse(&some().bytes().unwrap()), Ok(some()));
    }

    #[test]
    fn a_manifest_with_any_byte_flipped_or_cut_anywhere_is_no_manifest() {
        let bytes = some().bytes().unwrap();
        for at in 0..bytes.len() {
            for bit in [1, 4, 32] {
                let mut flipped = bytes.clone();
                flipped[at] ^= bit;
                assert!(matches!(Manifest::parse(&flipped), Err(Unusable::Damaged(_))), "byte {at} flipped by {bit}");
            }
            assert!(Manifest::parse(&bytes[..at]).is_err(), "cut at byte {at}");
        }
    }

    #[test]
    fn a_newer_version_is_told_whatever_else_it_has() {
        let state = "{\"format\":\"packtrail-state\",\"version\":2,\"more\":[1]}";
        let text = format!("{{\"checksum\":\"{}\",\"state\":{state}}}", sha256(state.as_bytes()));
        assert_eq!(Manifest::parse(text.as_bytes()), Err(Unusable::Newer(2)));
    }

    #[test]
    fn hexadecimal_digits_come_back_as_bytes() {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 8).unwrap());
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        assert_eq!(unhex("0g"), None);
    }
}
