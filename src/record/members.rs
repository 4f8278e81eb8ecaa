//! The members of one JSON object in memory, its own level only.

use std::borrow::Cow;

use memchr::memchr2;

use super::structure::{Scan, Scanner};

/// A string as it stands in the text, without its quotes.
#[derive(Clone, Copy, Debug)]
pub struct RawStr<'a>(&'a [u8]);

impl<'a> RawStr<'a> {
    /// The string whose text between its quotes is `inner`.
    pub fn new(inner: &'a [u8]) -> RawStr<'a> {
        RawStr(inner)
    }

    /// The string's value as bytes; `None` where an escape in it is wrong. For keys, whose text has most often been checked.
    pub fn bytes(self) -> Option<Cow<'a, [u8]>> {
        if memchr::memchr(b'\\', self.0).is_none() {
            return Some(Cow::Borrowed(self.0));
        }
        Some(Cow::Owned(self.value()?.into_owned().into_bytes()))
    }

    /// The string's value; `None` where an escape in it is wrong.
    pub fn value(self) -> Option<Cow<'a, str>> {
        let plain = memchr::memchr(b'\\', self.0).is_none();
        if plain {
            return simdutf8::basic::from_utf8(self.0).ok().map(Cow::Borrowed);
        }
        let mut quoted = Vec::with_capacity(self.0.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(self.0);
        quoted.push(b'"');
        serde_json::from_slice::<String>(&quoted).ok().map(Cow::Owned)
    }
}

/// A member's value as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub enum RawValue<'a> {
    /// A string, without its quotes.
    Str(RawStr<'a>),
    /// An object, with its brackets.
    Object(&'a [u8]),
    /// Anything else.
    Other,
}

/// Goes through the members of an object; ends early where the text does, or where it is no JSON.
pub struct Members<'a> {
    text: &'a [u8],
}

impl<'a> Members<'a> {
    /// The members of the object that `text` begins with.
    pub fn of(text: &'a [u8]) -> Members<'a> {
        Members { text: text.strip_prefix(b"{").unwrap_or_default() }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (RawStr<'a>, RawValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.text.trim_ascii_start();
        let text = text.strip_prefix(b",").unwrap_or(text).trim_ascii_start();
        let (key, text) = split_string(text)?;
        let text = text.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let (value, text) = match text.first()? {
            b'"' => {
                let (value, text) = split_string(text)?;
                (RawValue::Str(value), text)
            }
            b'{' | b'[' => {
                let mut scanner = Scanner::default();
                let end = match scanner.scan(text) {
                    Scan::More(scanned) => match scanner.scan_tail(text.get(scanned..)?) {
                        Scan::End(end) => scanned + end,
                        _ => return None,
                    },
                    Scan::End(end) => end,
                    Scan::Bad(..) => return None,
                };
                let (value, rest) = text.split_at_checked(end)?;
                (if value.starts_with(b"{") { RawValue::Object(value) } else { RawValue::Other }, rest)
            }
            _ => {
                let end = text.iter().position(|byte| matches!(byte, b',' | b'}'))?;
                (RawValue::Other, text.get(end..)?)
            }
        };
        self.text = text;
        Some((key, value))
    }
}

/// The string that `text` begins with, and what follows its closing quote; `None` where there is none.
fn split_string(text: &[u8]) -> Option<(RawStr<'_>, &[u8])> {
    let inner = text.strip_prefix(b"\"")?;
    let end = string_end(inner)?;
    let (value, rest) = inner.split_at_checked(end)?;
    Some((RawStr(value), rest.strip_prefix(b"\"")?))
}

/// Where the closing quote stands in the text that follows an opening one.
pub fn string_end(inner: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', inner.get(at..)?)?;
        if inner.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}
