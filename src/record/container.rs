//! The containers of records: goes through them value by value, parsing no more than their own level.

use super::candidate::{self, Inner, Sieve};
use super::damage::{Damage, Place, Reason};
use super::members::{RawStr, string_end};
use super::skim::{self, Shapes, Skimmed};
use super::structure::{Scan, Scanner};
use super::text::{Step, Stop, Text};
use super::{Found, Kind, Outcome};

/// How much of the text's beginning may tell that it was a log before something happened to it.
const HEAD_BYTES: usize = 256;

/// How a record's `userIdentity` begins.
const USER_IDENTITY: &str = "\"userIdentity\":{\"";

/// A file with more broken lines is none of JSON lines. It bounds the work too: to find that a line is broken may take as long as a value may be.
const MAX_BROKEN_LINES: u64 = 1000;

/// What is prepared once for many files.
#[derive(Default)]
pub struct Scratch {
    sieve: Sieve,
    shapes: Shapes,
}

/// What reading one text came to.
pub struct Summary {
    kind: Kind,
    records: u64,
    unusual: u64,
    damage: Option<Damage>,
}

impl Summary {
    pub fn into_outcome(self, text: &Text<'_>) -> Outcome {
        Outcome {
            kind: self.kind,
            records: self.records,
            unusual: self.unusual,
            bytes_read: text.bytes_read(),
            bytes_inflated: text.bytes_inflated(),
            damage: self.damage,
        }
    }
}

/// Reads `text` to its end or to the damage in it.
pub fn read(text: &mut Text<'_>, scratch: &mut Scratch, sink: &mut dyn FnMut(Found<'_>)) -> Summary {
    let mut run = Run {
        text,
        sieve: &scratch.sieve,
        shapes: &mut scratch.shapes,
        sink,
        records: 0,
        unusual: 0,
        seen: None,
        container: false,
        lines: Lines::default(),
        head: [0; HEAD_BYTES],
        head_bytes: 0,
    };
    run.keep_head();
    let stop = run.values().err();
    run.into_summary(stop)
}

struct Run<'r, 'a> {
    text: &'r mut Text<'a>,
    sieve: &'r Sieve,
    shapes: &'r mut Shapes,
    sink: &'r mut dyn FnMut(Found<'_>),
    /// Objects found whole where records stand.
    records: u64,
    /// Those of them that quicker ways left to the exact one.
    unusual: u64,
    /// What those objects are: a CloudTrail record's kind once there was one, else that of the first.
    seen: Option<Kind>,
    /// A list of records was begun under its key.
    container: bool,
    lines: Lines,
    /// The text's first bytes, and how many.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
}

fn has(text: &[u8], part: &str) -> bool {
    memchr::memmem::find(text, part.as_bytes()).is_some()
}

/// Whether the text is one of JSON lines, and which of them are broken.
#[derive(Default)]
struct Lines {
    /// Of the values so far: whether each was an object on a line of its own. `None` before the first.
    all: Option<bool>,
    /// Where the line begins that the white space read last leads to.
    start: u64,
    broken: u64,
    first_broken: Option<Damage>,
}

/// A whole value in the window.
struct Value {
    start: u64,
    end: u64,
    backslash: bool,
    non_ascii: bool,
}

impl Run<'_, '_> {
    fn into_summary(mut self, mut stop: Option<Stop>) -> Summary {
        let (records, unusual) = (self.records, self.unusual);
        let kind = match (self.seen, &stop) {
            (Some(seen), _) => seen,
            (None, None) if self.container => Kind::CloudTrail,
            (None, None) => Kind::NotALog,
            (None, Some(_)) if self.container => Kind::CloudTrail,
            // Nothing whole came before the damage. What was begun may tell.
            (None, Some(stop)) => match (self.text.held(stop).map_or(Kind::Unknown, candidate::kind_of), &stop.reason) {
                (Kind::Unknown, Reason::Expected(_) | Reason::Bracket | Reason::Control | Reason::Utf8) => Kind::NotALog,
                (Kind::NotALog, Reason::Io(_) | Reason::GzipBomb { .. } | Reason::Long(_) | Reason::Depth(_)) => Kind::Unknown,
                (kind, _) => kind,
            },
        };
        let kind = match &stop {
            Some(_) if kind == Kind::NotALog && self.begins_like_a_log() => Kind::Unknown,
            // Brackets and strings are sound, but the list has another key, or its only record has lost its keys.
            None if kind == Kind::NotALog && self.begins_like_a_log() && (!self.container || has(&self.head(), USER_IDENTITY)) => {
                // The object was taken for a record.
                self.records = 0;
                stop = Some(self.text.stop_at(0, Reason::Expected("records under `Records`")));
                Kind::Unknown
            }
            _ => kind,
        };
        let read = matches!(kind, Kind::CloudTrail | Kind::Unknown);
        let end = stop.map(|stop| self.damage(stop));
        let damage = match self.lines.first_broken.take() {
            Some(first) => Some(Damage { skipped_lines: self.lines.broken, end: end.map(Box::new), ..first }),
            None => end,
        };
        Summary { kind, records, unusual, damage: damage.filter(|_| read) }
    }

    fn damage(&self, stop: Stop) -> Damage {
        let place = Place { offset: Some(stop.offset), records: self.records };
        Damage { place, reason: stop.reason, skipped_lines: 0, end: None }
    }

    fn keep_head(&mut self) {
        while self.text.from(0).len() < HEAD_BYTES {
            match self.text.more() {
                Ok(true) => {}
                Ok(false) => break,
                Err(stop) => {
                    self.text.put_back(stop);
                    break;
                }
            }
        }
        let text = self.text.from(0);
        let head = text.get(..HEAD_BYTES).unwrap_or(text);
        if let Some(kept) = self.head.get_mut(..head.len()) {
            kept.copy_from_slice(head);
        }
        self.head_bytes = head.len();
    }

    /// Whether the text's first bytes are those of a log, but for a byte or so. S3 writes notifications of the same shape, in version 2.
    fn begins_like_a_log(&self) -> bool {
        let head = self.head();
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
        let begins = head.starts_with(b"{\"Records\":[{") || has(head, "{\"eventVersion\":\"1.") || has(head, USER_IDENTITY);
        matches!(head.first(), Some(b'{' | b'[')) && begins && !has(head, "\"eventVersion\":\"2.")
    }

    /// The text's first bytes without white space.
    fn head(&self) -> Vec<u8> {
        self.head.iter().take(self.head_bytes).copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    }

    /// The values of the text, one after another.
    fn values(&mut self) -> Step<()> {
        loop {
            let first = self.next_byte()?;
            let start = self.text.position();
            let own_line = self.lines.start == start;
            let step = match first {
                None => return Ok(()),
                // Once a line was left out, what does not begin a line may be a piece of what was broken.
                Some(b'{') if own_line || self.lines.broken == 0 => self.object().map(|one_line| own_line && one_line),
                Some(b'[') if self.lines.broken == 0 => {
                    // What is read of an array is not held.
                    self.lines.all = Some(false);
                    self.advance(1);
                    self.list(true).map(|()| false)
                }
                // A byte order mark, at the start or where files were joined.
                Some(0xef) if self.begins_with(&[0xef, 0xbb, 0xbf])? => {
                    self.advance(3);
                    if own_line {
                        self.lines.start = self.text.position();
                    }
                    continue;
                }
                Some(_) => Err(self.expected("a json object or array")),
            };
            match step {
                Ok(line) => self.lines.all = Some(line && self.lines.all.unwrap_or(true)),
                Err(stop) => self.leave_out_line(start, stop)?,
            }
        }
    }

    /// Goes behind the line that `start` lies in, where the value begins in which `stop` was met, if this is a text of JSON lines: there a line feed always ends a record,
    /// whatever is wrong before it. Else fails with `stop`, as it does for what is wrong with the file rather than with its text.
    fn leave_out_line(&mut self, start: u64, stop: Stop) -> Step<()> {
        let in_lines = self.lines.all == Some(true) && !self.container && self.lines.broken < MAX_BROKEN_LINES;
        if !in_lines || stop.sound.is_none() {
            return Err(stop);
        }
        // The text is held from there on, or the position has not moved.
        self.text.go_to(start);
        self.text.release();
        let behind = loop {
            let window = self.text.from(self.text.position());
            match memchr::memchr(b'\n', window) {
                Some(at) => break self.text.position() + at as u64 + 1,
                None => self.advance(window.len() as u64),
            }
            match self.text.more() {
                Ok(true) => {}
                Ok(false) => return Err(stop),
                Err(worse) => {
                    self.text.put_back(worse);
                    return Err(stop);
                }
            }
        };
        self.text.go_to(behind);
        self.lines.start = behind;
        self.lines.broken += 1;
        if self.lines.first_broken.is_none() {
            self.lines.first_broken = Some(self.damage(stop));
        }
        Ok(())
    }

    /// An object that stands by itself: it has a list of records, or is a record (in an envelope or not). True where it is a record without
    /// a line feed in it.
    fn object(&mut self) -> Step<bool> {
        self.text.hold();
        let start = self.text.position();
        if self.records > 0
            && !self.container
            && let Some(one_line) = self.line(start)?
        {
            return Ok(one_line);
        }
        self.advance(1);
        let mut container = false;
        let mut first = true;
        loop {
            match self.next_byte()? {
                Some(b'}') if first => break,
                Some(b'"') => {}
                _ => return Err(self.expected("a key")),
            }
            first = false;
            let held = self.text.hold();
            let key = self.string()?;
            let list = matches!(RawStr::new(self.text.between(key.start + 1, key.end - 1)).value().as_deref(), Some("Records" | "Events"));
            if held {
                self.text.release();
            }
            if self.next_byte()? != Some(b':') {
                return Err(self.expected("`:`"));
            }
            self.advance(1);
            if self.next_byte()? == Some(b'[') && list {
                // From here on the object need not be kept in memory.
                self.text.release();
                container = true;
                self.container = true;
                self.advance(1);
                self.list(false)?;
            } else {
                self.skip()?;
            }
            match self.next_byte()? {
                Some(b',') => self.advance(1),
                Some(b'}') => break,
                _ => return Err(self.expected("`,` or `}`")),
            }
        }
        self.advance(1);
        let mut one_line = false;
        if !container {
            let end = self.text.position();
            let bytes = self.text.between(start, end);
            let value = Value { start, end, backslash: memchr::memchr(b'\\', bytes).is_some(), non_ascii: !bytes.is_ascii() };
            one_line = memchr::memchr(b'\n', bytes).is_none();
            self.record(&value)?;
        }
        self.text.release();
        Ok(one_line)
    }

    /// After a first record that stands by itself more will follow, and looking for the end of one is faster than going through its keys. `None`, and
    /// nothing happened, where the object may after all be something else; else whether it has no line feed in it.
    fn line(&mut self, start: u64) -> Step<Option<bool>> {
        let value = match self.brackets() {
            Ok(value) => value,
            // If this is a container after all, the records in it that are whole count, and it may be as long as it likes.
            Err(stop) => {
                self.text.put_back(stop);
                self.text.go_to(start);
                return Ok(None);
            }
        };
        let bytes = self.text.between(start, value.end);
        let doubtful = value.backslash
            || memchr::memmem::find(bytes, b"\"Records\"").is_some()
            || memchr::memmem::find(bytes, b"\"Events\"").is_some();
        if doubtful {
            self.text.go_to(start);
            return Ok(None);
        }
        let one_line = memchr::memchr(b'\n', bytes).is_none();
        self.record(&value)?;
        self.text.release();
        Ok(Some(one_line))
    }

    /// The elements of an array of records, behind its opening bracket. Elements that are no objects are no records. In a `bare` array, one that
    /// stands by itself, whole logs may stand too.
    fn list(&mut self, bare: bool) -> Step<()> {
        if self.next_byte()? == Some(b']') {
            self.advance(1);
            return Ok(());
        }
        let mut skim = true;
        loop {
            let byte = self.next_byte()?;
            if byte == Some(b'{') && bare {
                self.object()?;
            } else if byte == Some(b'{') {
                let passed = if skim { self.skim() } else { Skimmed::default() };
                skim &= !passed.controls;
                if let Some(length) = passed.record {
                    let start = self.text.position();
                    if passed.call {
                        self.candidate(start, start + length as u64)?;
                    }
                    self.records += 1;
                    self.advance(length as u64);
                } else {
                    self.text.hold();
                    let value = self.brackets()?;
                    self.record(&value)?;
                    self.text.release();
                }
            } else {
                self.skip()?;
            }
            match self.next_byte()? {
                Some(b',') => self.advance(1),
                Some(b']') => {
                    self.advance(1);
                    return Ok(());
                }
                _ => return Err(self.expected("`,` or `]`")),
            }
        }
    }

    /// Passes over the records from here on that cannot be calls; over none of a file that is something else, or may be.
    fn skim(&mut self) -> Skimmed {
        if !matches!(self.seen, None | Some(Kind::CloudTrail)) {
            return Skimmed::default();
        }
        let text = self.text.from(self.text.position());
        let passed = skim::skim(text, self.sieve, self.shapes);
        if self.seen.is_none() {
            // Begins with a whole record, or is empty.
            let records = text.get(..passed.bytes + passed.record.unwrap_or(0)).unwrap_or_default();
            if candidate::kind_of(records) != Kind::CloudTrail {
                return Skimmed::default();
            }
            self.seen = Some(Kind::CloudTrail);
        }
        self.records += passed.records;
        self.unusual += u64::from(passed.unusual);
        self.advance(passed.bytes as u64);
        passed
    }

    /// One object that stands where records stand.
    fn record(&mut self, value: &Value) -> Step<()> {
        let bytes = self.text.between(value.start, value.end);
        self.check_utf8(value)?;
        if self.seen != Some(Kind::CloudTrail) {
            let kind = candidate::kind_of(bytes);
            // An object without any key is none of the others either.
            let kind = if kind == Kind::Unknown { Kind::NotALog } else { kind };
            if self.seen.is_none() || kind == Kind::CloudTrail {
                self.seen = Some(kind);
            }
        }
        if self.sieve.lets_through(bytes, value.backslash) {
            self.candidate(value.start, value.end)?;
        }
        self.records += 1;
        Ok(())
    }

    /// Hands over the record from `start` to `end`, or the one in it.
    fn candidate(&mut self, start: u64, end: u64) -> Step<()> {
        let bytes = self.text.between(start, end);
        let bad = || self.text.stop_at(start, Reason::Expected("a record as json text"));
        let record = self.records + 1;
        match candidate::unwrap(bytes) {
            Inner::Itself => (self.sink)(Found { record, json: simdutf8::basic::from_utf8(bytes).map_err(|_| bad())? }),
            Inner::Object(inner) => (self.sink)(Found { record, json: simdutf8::basic::from_utf8(inner).map_err(|_| bad())? }),
            Inner::Text(inner) => (self.sink)(Found { record, json: &inner }),
            Inner::BadText => return Err(bad()),
        }
        Ok(())
    }

    /// Skips any value.
    fn skip(&mut self) -> Step<()> {
        let byte = self.next_byte()?;
        let held = self.text.hold();
        match byte {
            Some(b'{' | b'[') => {
                let value = self.brackets()?;
                self.check_utf8(&value)?;
            }
            Some(b'"') => {
                self.string()?;
            }
            Some(b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => {
                while let Some(byte) = self.text.peek()?
                    && (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))
                {
                    self.advance(1);
                }
            }
            _ => return Err(self.expected("a value")),
        }
        if held {
            self.text.release();
        }
        Ok(())
    }

    /// The object or array that begins here; goes behind its end. The text must be held.
    fn brackets(&mut self) -> Step<Value> {
        let start = self.text.position();
        let mut scanner = Scanner::default();
        let mut scanned = start;
        let end = loop {
            match scanner.scan(self.text.from(scanned)) {
                Scan::End(end) => break scanned + end as u64,
                Scan::Bad(at, reason) => {
                    return Err(self.text.stop_at(scanned + at as u64, reason));
                }
                Scan::More(bytes) => scanned += bytes as u64,
            }
            let stop = match self.text.more() {
                Ok(true) => continue,
                Ok(false) => None,
                Err(stop) => Some(stop),
            };
            // The last bytes before the end, or before the damage, may hold the value's.
            match (scanner.scan_tail(self.text.from(scanned)), stop) {
                (Scan::More(_), Some(stop)) => return Err(stop),
                (Scan::More(_), None) => {
                    return Err(self.text.stop_at(self.text.bytes_inflated(), Reason::TextTruncated));
                }
                (scan, stop) => {
                    // Whatever is wrong with the file comes after what was found here.
                    stop.into_iter().for_each(|stop| self.text.put_back(stop));
                    match scan {
                        Scan::Bad(at, reason) => {
                            return Err(self.text.stop_at(scanned + at as u64, reason));
                        }
                        Scan::End(end) | Scan::More(end) => break scanned + end as u64,
                    }
                }
            }
        };
        self.text.go_to(end);
        Ok(Value { start, end, backslash: scanner.backslash, non_ascii: scanner.non_ascii })
    }

    /// The string that begins here, with its quotes; goes behind it. The text must be held.
    fn string(&mut self) -> Step<Value> {
        let start = self.text.position();
        let inner = start + 1;
        let length = loop {
            if let Some(length) = string_end(self.text.from(inner)) {
                break length as u64;
            }
            if !self.text.more()? {
                return Err(self.text.stop_at(self.text.bytes_inflated(), Reason::TextTruncated));
            }
        };
        let bytes = self.text.between(inner, inner + length);
        if let Some(at) = bytes.iter().position(|byte| *byte < b' ') {
            return Err(self.text.stop_at(inner + at as u64, Reason::Control));
        }
        let value = Value { start, end: inner + length + 1, backslash: true, non_ascii: !bytes.is_ascii() };
        self.check_utf8(&value)?;
        self.text.go_to(value.end);
        Ok(value)
    }

    fn check_utf8(&self, value: &Value) -> Step<()> {
        if value.non_ascii
            && let Err(error) = simdutf8::compat::from_utf8(self.text.between(value.start, value.end))
        {
            return Err(self.text.stop_at(value.start + error.valid_up_to() as u64, Reason::Utf8));
        }
        Ok(())
    }

    /// The next byte that is no white space, not yet consumed; `None` at the end of the text.
    fn next_byte(&mut self) -> Step<Option<u8>> {
        loop {
            let window = self.text.from(self.text.position());
            let white = window.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
            let byte = window.get(white).copied();
            if let Some(at) = window.get(..white).and_then(|white| memchr::memrchr(b'\n', white)) {
                self.lines.start = self.text.position() + at as u64 + 1;
            }
            self.advance(white as u64);
            if byte.is_some() || !self.text.more()? {
                return Ok(byte);
            }
        }
    }

    fn begins_with(&mut self, bytes: &[u8]) -> Step<bool> {
        while self.text.from(self.text.position()).len() < bytes.len() {
            if !self.text.more()? {
                return Ok(false);
            }
        }
        Ok(self.text.from(self.text.position()).starts_with(bytes))
    }

    fn advance(&mut self, bytes: u64) {
        self.text.go_to(self.text.position() + bytes);
    }

    /// Something else than `what` stands here, or nothing at all.
    fn expected(&self, what: &'static str) -> Stop {
        let position = self.text.position();
        let reason = if self.text.from(position).is_empty() { Reason::TextTruncated } else { Reason::Expected(what) };
        self.text.stop_at(position, reason)
    }
}
