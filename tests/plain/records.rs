//! A plain reader of logs, serde_json on whole texts, and what the fast reader must find where that one reads a text: the same, up to the first
//! place that is no JSON.
//!
//! Shared by `tests/oracle.rs` and the fuzzers.

#![allow(dead_code, reason = "each user of this module takes a part of it")]

use std::fmt;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use packtrail::record::{Kind, Limits, Outcome, Reader, Reason};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A JSON value with every member of its objects, also those whose key stands twice.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A text.
    Text(String),
    /// A number, true, false or null.
    Other(Value),
    /// An array.
    List(Vec<Node>),
    /// An object, its members in the order of the text.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// The value in `text`; None where that is no JSON.
    pub fn of(text: &[u8]) -> Option<Node> {
        let mut units = Vec::new();
        let mut from = serde_json::Deserializer::from_slice(text);
        let node = Seed { place: Place::Value, units: &mut units }.deserialize(&mut from).ok()?;
        from.end().ok().map(|()| node)
    }

    /// The members of an object, the last first; none of what is no object.
    fn members(&self) -> impl Iterator<Item = (&str, &Node)> {
        let members = if let Node::Object(members) = self { members.as_slice() } else { &[] };
        members.iter().rev().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of the last member of this name.
    fn get(&self, name: &str) -> Option<&Node> {
        self.members().find_map(|(key, value)| (key == name).then_some(value))
    }

    fn text(&self) -> Option<&str> {
        if let Node::Text(text) = self { Some(text) } else { None }
    }

    /// Whether a record of this form is a call to STS that gives a session, in any partition.
    pub fn is_sts(&self) -> bool {
        let among = |key: &str, texts: &[&str]| self.get(key).and_then(Node::text).is_some_and(|text| texts.contains(&text));
        among("eventSource", &["sts.amazonaws.com", "sts.amazonaws.com.cn"])
            && among(
                "eventName",
                &["AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "GetFederationToken", "GetSessionToken"],
            )
    }

    /// Whether it has one of a record's own keys.
    fn is_record(&self) -> bool {
        ["eventVersion", "eventSource", "eventName"].iter().any(|key| self.get(key).is_some())
    }

    /// Whether it is a record of CloudTrail's management or data events beyond doubt.
    fn is_cloudtrail(&self) -> bool {
        let elsewhere = ["insightDetails", "digestStartTime", "digestS3Bucket", "digestPublicKeyFingerprint", "eventCategory"];
        let notification = |value: &Node| value.text().is_some_and(|source| source.starts_with("aws:"));
        self.is_record()
            && !elsewhere.iter().any(|key| self.get(key).is_some())
            && !self.members().any(|(key, value)| key == "eventSource" && notification(value))
    }

    /// The record that stands where records stand: this object, if it has a record's own keys, else what it is an envelope of. None where that is no JSON.
    fn unwrap(&self) -> Option<Node> {
        let last =
            |name: &str, fits: fn(&Node) -> bool| self.members().find(|(key, value)| *key == name && fits(value)).map(|(_, value)| value);
        if self.is_record() {
            return Some(self.clone());
        }
        match last("CloudTrailEvent", |value| matches!(value, Node::Text(_) | Node::Object(_))) {
            Some(Node::Text(text)) => Node::of(text.as_bytes()),
            Some(record) => Some(record.clone()),
            None => Some(last("detail", |value| matches!(value, Node::Object(_))).unwrap_or(self).clone()),
        }
    }
}

/// What a value stands for by the place it stands in.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Itself.
    Value,
    /// An object by itself: a record, or what has lists of records.
    Alone,
    /// An array by itself, of records or of whole logs.
    Bare,
    /// The array under `Records` or `Events`.
    Records,
}

/// Reads one value and notes the records in it as soon as each was read.
struct Seed<'u> {
    place: Place,
    units: &'u mut Vec<Node>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("json")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Other(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Other(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Other(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Other(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Other(Value::Null))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        let place = if self.place == Place::Bare { Place::Alone } else { Place::Value };
        while let Some(element) = elements.next_element_seed(Seed { place, units: &mut *self.units })? {
            if self.place == Place::Records && matches!(element, Node::Object(_)) {
                self.units.push(element.clone());
            }
            list.push(element);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        let mut lists = false;
        while let Some(key) = map.next_key::<String>()? {
            let records = self.place == Place::Alone && ["Records", "Events"].contains(&key.as_str());
            let place = if records { Place::Records } else { Place::Value };
            let value = map.next_value_seed(Seed { place, units: &mut *self.units })?;
            lists |= records && matches!(value, Node::List(_));
            members.push((key, value));
        }
        if self.place == Place::Alone && !lists {
            self.units.push(Node::Object(members.clone()));
        }
        Ok(Node::Object(members))
    }
}

/// What the plain reader finds.
#[derive(Debug)]
pub struct Plain {
    /// The objects that stand where records stand, in order, up to the first place that is no JSON.
    pub units: Vec<Node>,
    /// There is no such place.
    pub whole: bool,
}

impl Plain {
    /// Reads a text.
    pub fn of(text: &[u8]) -> Plain {
        let mut units = Vec::new();
        let mut rest = text;
        let whole = loop {
            let white = rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
            rest = &rest[white..];
            if let Some(behind) = rest.strip_prefix(b"\xef\xbb\xbf") {
                rest = behind;
                continue;
            }
            let place = match rest.first() {
                None => break true,
                Some(b'{') => Place::Alone,
                Some(b'[') => Place::Bare,
                Some(_) => break false,
            };
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
            let sound = values.next().is_some_and(|value| value.is_ok());
            let value = if sound { &rest[..values.byte_offset()] } else { rest };
            let mut from = serde_json::Deserializer::from_slice(value);
            if (Seed { place, units: &mut units }).deserialize(&mut from).is_err() || !sound {
                break false;
            }
            rest = &rest[value.len()..];
        };
        Plain { units, whole }
    }

    /// The calls to STS among the first `records` records, each with its number.
    pub fn calls(&self) -> Vec<(u64, Node)> {
        let calls = (1..).zip(&self.units).filter_map(|(number, unit)| Some((number, unit.unwrap()?)));
        calls.filter(|(_, record)| record.is_sts()).collect()
    }
}

/// What a text of JSON lines holds, some of them broken.
#[derive(Debug, Default)]
struct Lines {
    /// The records on the lines that are one object each.
    units: Vec<Node>,
    /// The lines that end within a string, or before that have what no JSON has.
    broken: u64,
}

impl Lines {
    /// None where the text is not such a one beyond doubt.
    fn of(text: &[u8]) -> Option<Lines> {
        let mut lines = Lines::default();
        // A last line that is broken ends the reading.
        let lines_of_text = text.strip_suffix(b"\n")?.split(|byte| *byte == b'\n');
        for line in lines_of_text {
            match Node::of(line) {
                _ if line.iter().all(|byte| b" \t\r".contains(byte)) => {}
                Some(unit @ Node::Object(_)) if line.starts_with(b"{") => {
                    let list = |(key, value): (&str, &Node)| ["Records", "Events"].contains(&key) && matches!(value, Node::List(_));
                    if unit.members().any(list) {
                        return None;
                    }
                    lines.units.push(unit);
                }
                None if !lines.units.is_empty() && is_broken(line) && !may_list(line) => lines.broken += 1,
                _ => return None,
            }
        }
        (lines.broken < 1000).then_some(lines)
    }
}

/// Whether a line may open a list of records: then the text is none of lines.
fn may_list(line: &[u8]) -> bool {
    let has = |part: &[u8]| line.windows(part.len()).any(|window| window == part);
    has(b"Records") || has(b"Events") || has(b"\\u")
}

/// Whether nothing of a line could be a value that goes on behind it: it begins like none, ends in a string, or closes what it has not opened.
fn is_broken(line: &[u8]) -> bool {
    if !line.starts_with(b"{") {
        return line.first().is_some_and(|byte| !b"[ \t\r\xef".contains(byte));
    }
    let (mut open, mut in_string, mut escaped) = (Vec::new(), false, false);
    for &byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => open.push(byte),
            b'}' | b']' if open.pop() != Some(if byte == b'}' { b'{' } else { b'[' }) => return true,
            b'}' | b']' if open.is_empty() => return false,
            _ => {}
        }
    }
    in_string
}

/// The text that `file` holds as far as it can be inflated, and whether that is all of it.
pub fn text_of(file: &[u8]) -> (Vec<u8>, bool) {
    if !file.starts_with(&[0x1f, 0x8b]) {
        return (file.to_vec(), true);
    }
    let mut text = Vec::new();
    let whole = MultiGzDecoder::new(file).read_to_end(&mut text).is_ok();
    (text, whole)
}

/// What the fast reader finds in a file.
#[derive(Debug)]
pub struct Fast {
    /// The calls to STS, each with the number of its record.
    pub calls: Vec<(u64, Node)>,
    /// What it says of the file.
    pub outcome: Outcome,
}

/// A file that gives no more than `most` bytes at a time, as pipes do.
struct Pieces<'a> {
    file: &'a [u8],
    most: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.most);
        self.file.read(&mut buffer[..most])
    }
}

impl Fast {
    /// Reads a file whose size is known, in one go where `limits` allow it.
    pub fn of(file: &[u8], limits: Limits) -> Fast {
        Fast::from(&mut &*file, Some(file.len() as u64), limits)
    }

    /// Reads a file of unknown size of which no more than `chunk_bytes` are to be had at a time.
    pub fn in_pieces(file: &[u8], chunk_bytes: usize) -> Fast {
        Fast::from(&mut Pieces { file, most: chunk_bytes }, None, in_chunks_of(chunk_bytes))
    }

    fn from(content: &mut dyn Read, bytes: Option<u64>, limits: Limits) -> Fast {
        let mut calls = Vec::new();
        let mut before = 0;
        let outcome = Reader::new(limits).read_from(content, bytes, &mut |found| {
            assert!(found.record > before, "record {} comes after record {before}", found.record);
            before = found.record;
            if let Some(record) = Node::of(found.json.as_bytes()).filter(Node::is_sts) {
                calls.push((found.record, record));
            }
        });
        assert!(
            before <= outcome.records || without_list(&outcome),
            "record {before} was handed over, {} were counted: {outcome:?}",
            outcome.records
        );
        Fast { calls, outcome }
    }

    /// Where and why reading ended, as people are told; the same for a text and what inflates to it.
    fn damage(&self) -> Option<String> {
        self.outcome.damage.as_ref().map(|damage| damage.to_string().replace(" of the inflated text", ""))
    }
}

/// Whether objects were counted at first that turned out to be no records.
fn without_list(outcome: &Outcome) -> bool {
    outcome.kind == Kind::Unknown && outcome.damage.as_ref().is_some_and(|damage| is_without_list(&damage.reason))
}

fn is_without_list(reason: &Reason) -> bool {
    matches!(reason, Reason::Expected("records under `Records`"))
}

/// Limits under which nothing is read in one go and the window slides by `chunk_bytes`.
pub fn in_chunks_of(chunk_bytes: usize) -> Limits {
    Limits { whole_bytes: 0, chunk_bytes, ..Limits::for_threads(1) }
}

/// Panics where the fast reader finds anything else in `file` than the plain one, in one go or in pieces.
pub fn hold(file: &[u8], chunk_bytes: &[usize]) -> Fast {
    let (text, inflates) = text_of(file);
    let plain = Plain::of(&text);
    let fast = Fast::of(file, Limits::for_threads(1));
    let counted = plain.units.len() as u64;
    let calls = plain.calls();
    let outcome = &fast.outcome;
    if inflates && plain.whole {
        assert_eq!(fast.calls, calls, "calls in a sound text");
        if !without_list(outcome) {
            assert_eq!(outcome.records, counted, "records in a sound text");
            assert!(outcome.damage.is_none() && outcome.kind != Kind::Unknown, "damage in a sound text: {outcome:?}");
            assert_eq!(outcome.bytes_read, file.len() as u64);
            assert_eq!(outcome.bytes_inflated, text.len() as u64);
        }
    } else {
        // What stands behind the damage is found or not: the fast reader does not look at all that is wrong between brackets and strings.
        assert!(
            outcome.records >= counted || without_list(outcome),
            "{} of {counted} records before the damage: {outcome:?}",
            outcome.records
        );
        let before: Vec<_> = fast.calls.iter().filter(|(record, _)| *record <= counted).cloned().collect();
        assert_eq!(before, calls, "calls before the damage");
        assert!(outcome.damage.is_some() || !matches!(outcome.kind, Kind::Unknown), "{outcome:?}");
    }
    if inflates
        && !plain.whole
        && let Some(lines) = Lines::of(&text)
    {
        // A broken line costs itself only.
        let (counted, broken) = (lines.units.len() as u64, lines.broken);
        let calls = Plain { units: lines.units, whole: false }.calls();
        assert_eq!((outcome.records, &fast.calls), (counted, &calls), "records on whole lines");
        if let Some(damage) = &outcome.damage {
            // Nor ends it the reading, unless the lines are found to be no records at the end.
            let read_to_end = damage.end.as_ref().is_none_or(|end| is_without_list(&end.reason));
            assert!(read_to_end && (damage.skipped_lines == broken || without_list(outcome)), "{broken} broken lines: {damage}");
        }
    }
    if plain.units.iter().any(Node::is_cloudtrail) {
        assert_eq!(outcome.kind, Kind::CloudTrail);
    }
    for &chunk_bytes in chunk_bytes {
        let chunked = Fast::in_pieces(file, chunk_bytes);
        same(&chunked, &fast, &format!("in chunks of {chunk_bytes}"));
        // Behind damage that ends the reading nothing more is asked for.
        let read = (chunked.outcome.bytes_read, chunked.outcome.bytes_inflated);
        assert!(read == (outcome.bytes_read, outcome.bytes_inflated) || !plain.whole || !inflates, "in chunks of {chunk_bytes}");
    }
    fast
}

/// Panics unless two ways of reading the same text came to the same.
pub fn same(one: &Fast, other: &Fast, how: &str) {
    assert_eq!(one.calls, other.calls, "calls {how}");
    assert_eq!(one.outcome.records, other.outcome.records, "records {how}");
    assert_eq!(one.outcome.kind, other.outcome.kind, "kind {how}");
    assert_eq!(one.damage(), other.damage(), "damage {how}");
}
