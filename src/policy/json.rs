//! JSON text to a value that keeps what a policy's size depends on: the order of keys, repeated keys, and numbers as written.

use super::ParseError;

/// A JSON value, as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The number's text, so that `1.0` and `1e400` survive.
    Number(String),
    /// A text, its escapes resolved.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// Keys in the order of the text, repeated ones kept.
    Object(Vec<(String, Json)>),
}

/// Arrays and objects nested deeper than this are refused: no policy needs ten levels, and the reader calls itself for each.
const MAX_DEPTH: u32 = 64;

/// Reads one JSON value that is all of `text`.
///
/// # Errors
/// When `text` is no JSON; the error carries the line and the column, both from 1, the column in characters.
pub fn parse(text: &str) -> Result<Json, ParseError> {
    let mut reader = Reader::new(text);
    reader.skip_white_space();
    let value = reader.value(0)?;
    reader.skip_white_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.error("trailing characters")),
    }
}

pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    /// Where it stands: bytes of the text.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    pub(super) fn skip_white_space(&mut self) {
        self.at += self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    pub(super) fn error(&self, message: &'static str) -> ParseError {
        self.error_at(self.at, message)
    }

    pub(super) fn error_at(&self, at: usize, message: &'static str) -> ParseError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.bytes().filter(|&byte| byte == b'\n').count();
        let column = 1 + before.get(line_start..).unwrap_or_default().chars().count();
        ParseError { message, line, column }
    }

    pub(super) fn value(&mut self, depth: u32) -> Result<Json, ParseError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("unexpected end of text")),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, ParseError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: u32) -> Result<Json, ParseError> {
        let mut members = Vec::new();
        self.members(&mut |reader, key, _| {
            members.push((key, reader.value(depth + 1)?));
            Ok(())
        })?;
        Ok(Json::Object(members))
    }

    /// Reads an object; `each` gets each key, where it stands, and must read the value behind it.
    pub(super) fn members(&mut self, each: &mut dyn FnMut(&mut Self, String, usize) -> Result<(), ParseError>) -> Result<(), ParseError> {
        self.at += 1;
        self.skip_white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let place = self.at;
            let key = self.string()?;
            self.skip_white_space();
            if self.peek() != Some(b':') {
                return Err(self.error("expected `:`"));
            }
            self.at += 1;
            self.skip_white_space();
            each(self, key, place)?;
            self.skip_white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("expected `,` or `}`")),
            }
            self.skip_white_space();
        }
    }

    fn array(&mut self, depth: u32) -> Result<Json, ParseError> {
        let mut items = Vec::new();
        self.items(&mut |reader| {
            items.push(reader.value(depth + 1)?);
            Ok(())
        })?;
        Ok(Json::Array(items))
    }

    /// Reads a list; `each` must read one of its values.
    pub(super) fn items(&mut self, each: &mut dyn FnMut(&mut Self) -> Result<(), ParseError>) -> Result<(), ParseError> {
        self.at += 1;
        self.skip_white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            self.skip_white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("expected `,` or `]`")),
            }
            self.skip_white_space();
        }
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn number(&mut self) -> Result<Json, ParseError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return Err(self.error_at(start, "invalid number"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.error_at(start, "invalid number"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.error_at(start, "invalid number"));
            }
        }
        Ok(Json::Number(self.text.get(start..self.at).unwrap_or_default().to_owned()))
    }

    fn string(&mut self) -> Result<String, ParseError> {
        let opening = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let plain = self.rest().iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count();
            // The run ends before an ASCII byte or at the end, so it ends between characters.
            out.push_str(self.text.get(self.at..self.at + plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error_at(opening, "string without an end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let start = self.at;
        self.at += 1;
        let letter = self.peek().ok_or_else(|| self.error_at(start, "string without an end"))?;
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode_escape(start)?,
            _ => return Err(self.error_at(start, "invalid escape")),
        })
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, ParseError> {
        let invalid = "invalid unicode escape";
        let unit = self.four_hex_digits().ok_or_else(|| self.error_at(start, invalid))?;
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit).ok_or_else(|| self.error_at(start, invalid));
        }
        if !self.rest().starts_with(b"\\u") {
            return Err(self.error_at(start, invalid));
        }
        self.at += 2;
        match self.four_hex_digits() {
            Some(low @ 0xdc00..=0xdfff) => char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)),
            _ => None,
        }
        .ok_or_else(|| self.error_at(start, invalid))
    }

    fn four_hex_digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}

/// Appends `text` as a JSON string, in as few characters as can be.
///
/// Escaped is what JSON demands, and what STS does not take in the text of a policy: [characters beyond U+00FF].
///
/// [characters beyond U+00FF]: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                out.push_str("\\u00");
                for nibble in [u32::from(control) >> 4, u32::from(control) & 15] {
                    out.push(char::from_digit(nibble, 16).unwrap_or('0'));
                }
            }
            beyond if beyond > '\u{ff}' => {
                for unit in beyond.encode_utf16(&mut [0; 2]) {
                    out.push_str("\\u");
                    for shift in [12, 8, 4, 0] {
                        out.push(char::from_digit(u32::from(*unit) >> shift & 15, 16).unwrap_or('0'));
                    }
                }
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

impl Json {
    /// Appends this value without white space.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Number(number) => out.push_str(number),
            Json::String(text) => write_string(text, out),
            Json::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn as_serde(value: &Json) -> Option<serde_json::Value> {
        Some(match value {
            Json::Null => serde_json::Value::Null,
            Json::Bool(flag) => (*flag).into(),
            Json::Number(text) => serde_json::from_str(text).ok()?,
            Json::String(text) => text.as_str().into(),
            Json::Array(items) => items.iter().map(as_serde).collect::<Option<Vec<_>>>()?.into(),
            Json::Object(members) => {
                serde_json::Value::Object(members.iter().map(|(key, value)| Some((key.clone(), as_serde(value)?))).collect::<Option<_>>()?)
            }
        })
    }

    #[test]
    fn an_error_names_line_and_column() {
        let error = parse("{\n  \"é\": 1,\n  \"Effect\" \"Allow\"\n}").unwrap_err();
        assert_eq!(error.to_string(), "expected `:` at line 3 column 12");
        assert_eq!(parse("").unwrap_err().to_string(), "unexpected end of text at line 1 column 1");
        assert_eq!(parse("{} x").unwrap_err().to_string(), "trailing characters at line 1 column 4");
        assert_eq!(parse("[\"a").unwrap_err().to_string(), "string without an end at line 1 column 2");
    }

    #[test]
    fn keys_keep_their_order_and_their_repeats() {
        let Json::Object(members) = parse(r#"{"b":1,"a":2,"b":3}"#).unwrap() else { panic!() };
        assert_eq!(members.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b", "a", "b"]);
    }

    #[test]
    fn nesting_beyond_the_limit_is_an_error_not_an_overflow() {
        assert!(parse(&"[".repeat(1_000_000)).unwrap_err().to_string().starts_with("nested too deeply"));
    }

    #[test]
    fn escapes_become_their_characters() {
        assert_eq!(parse(r#""\u003d\ud83d\ude00\/\n""#).unwrap(), Json::String("=😀/\n".to_owned()));
        assert!(parse(r#""\ud83d""#).is_err());
        assert!(parse(r#""\udc00""#).is_err());
    }

    proptest! {
        #[test]
        fn texts_are_accepted_and_read_as_serde_json_does(text in r#"[\[\]{}:,"\\ tfn0-9eE.+\-aulrs\n]{0,24}"#) {
            let plain = serde_json::from_str::<serde_json::Value>(&text).ok();
            match (parse(&text), plain) {
                (Ok(ours), Some(theirs)) => prop_assert_eq!(as_serde(&ours), Some(theirs)),
                // A number beyond f64 is JSON all the same.
                (Ok(_), None) => prop_assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap_err().to_string().contains("out of range")),
                (Err(error), Some(_)) => prop_assert!(false, "refused: {}", error),
                (Err(_), None) => {}
            }
        }

        #[test]
        fn strings_survive_printing(text in any::<String>()) {
            let mut printed = String::new();
            write_string(&text, &mut printed);
            prop_assert_eq!(parse(&printed).unwrap(), Json::String(text.clone()));
            prop_assert!(printed.chars().all(|character| ('\u{20}'..='\u{ff}').contains(&character)), "STS takes no other characters");
            prop_assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), text);
        }
    }
}
