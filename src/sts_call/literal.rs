//! What people paste: JSON, or what Python programs hold in its place.
//!
//! Python's literals (either quotes, raw and triple-quoted texts, texts side by side or joined with `+`, tuples, `True`, `None`, comments, trailing
//! commas), keyword arguments, and the calls that need no run to know their value: `dict(...)`, `json.dumps(...)`, and a call of the SDK itself.
//! Nothing is evaluated beyond that; an error names line and column and never quotes the text, which may hold secrets.

use serde_json::{Map, Number, Value};

/// A value and, where it stood in a call of the SDK, the name of the method.
#[derive(Debug, PartialEq)]
pub(super) struct Literal {
    pub value: Value,
    /// `assume_role` of `sts.assume_role(...)`.
    pub method: Option<String>,
    /// False for JSON.
    pub python: bool,
}

/// Why a text could not be read. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct LiteralError {
    message: &'static str,
    line: usize,
    column: usize,
}

/// Values nested deeper than this are refused: no request needs ten levels, and the reader calls itself for each.
const MAX_DEPTH: u32 = 64;

/// Reads one value, call or list of keyword arguments that is all of `text`. `methods` are the calls whose arguments are the value.
pub(super) fn read(text: &str, methods: &[&str]) -> Result<Literal, LiteralError> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(Literal { value, method: None, python: false });
    }
    let mut reader = Reader { text, at: 0, methods, method: None };
    let value = reader.top()?;
    Ok(Literal { value, method: reader.method, python: true })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    methods: &'a [&'a str],
    method: Option<String>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Passes over `token` if it stands here.
    fn eat(&mut self, token: &str) -> bool {
        let there = self.rest().starts_with(token);
        if there {
            self.at += token.len();
        }
        there
    }

    /// Passes over white space, comments and line continuations.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            if self.peek() == Some('#') {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else if !self.eat("\\\n") && !self.eat("\\\r\n") {
                return;
            }
        }
    }

    fn error(&self, message: &'static str) -> LiteralError {
        self.error_at(self.at, message)
    }

    fn error_at(&self, at: usize, message: &'static str) -> LiteralError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or(before);
        LiteralError { message, line: 1 + before.matches('\n').count(), column: 1 + line.chars().count() }
    }

    /// A value, an assignment of one, or keyword arguments as they stand between the brackets of a call.
    fn top(&mut self) -> Result<Value, LiteralError> {
        self.skip();
        let start = self.at;
        let assigned = !self.name().is_empty() && {
            self.skip();
            self.peek() == Some('=')
        };
        self.at = start;
        let value = if assigned {
            let mut arguments = self.arguments(None, 0)?;
            let only = arguments.len() == 1;
            match arguments.values_mut().next() {
                // `request = {...}`, `answer = sts.assume_role(...)`
                Some(one @ Value::Object(_)) if only => one.take(),
                _ => Value::Object(arguments),
            }
        } else {
            self.value(0)?
        };
        self.skip();
        if self.at < self.text.len() { Err(self.error("trailing characters")) } else { Ok(value) }
    }

    /// A name with dots in it; empty where none stands here.
    fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let inside = |one: char| one.is_alphanumeric() || one == '_' || one == '.';
        let end = rest.find(|one| !inside(one)).unwrap_or(rest.len());
        let name = rest.get(..end).filter(|name| !name.starts_with(|one: char| one.is_ascii_digit() || one == '.')).unwrap_or_default();
        self.at += name.len();
        name
    }

    /// A value, or texts joined by `+`.
    fn value(&mut self, depth: u32) -> Result<Value, LiteralError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        let mut value = self.operand(depth)?;
        while let Value::String(all) = &mut value {
            let behind = self.at;
            self.skip();
            if !self.eat("+") {
                self.at = behind;
                break;
            }
            self.skip();
            let start = self.at;
            match self.operand(depth)? {
                Value::String(right) => all.push_str(&right),
                _ => return Err(self.error_at(start, "expected a text after `+`")),
            }
        }
        Ok(value)
    }

    fn operand(&mut self, depth: u32) -> Result<Value, LiteralError> {
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.list("]", depth).map(|(items, _)| Value::Array(items)),
            Some('(') => {
                let (mut items, comma) = self.list(")", depth)?;
                // Brackets around one value are none of its own.
                Ok(if items.len() == 1 && !comma { items.remove(0) } else { Value::Array(items) })
            }
            Some('-' | '+' | '0'..='9' | '.') => self.number(),
            Some('"' | '\'') => self.texts(),
            Some(one) if one.is_alphabetic() || one == '_' => self.word(depth),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("unexpected end of text")),
        }
    }

    fn object(&mut self, depth: u32) -> Result<Value, LiteralError> {
        self.at += 1;
        let mut members = Map::new();
        loop {
            self.skip();
            if self.eat("}") {
                return Ok(Value::Object(members));
            }
            if self.eat("**") {
                self.merge(&mut members, depth)?;
            } else {
                let start = self.at;
                let Value::String(key) = self.value(depth + 1)? else {
                    return Err(self.error_at(start, "expected a key in quotes"));
                };
                self.skip();
                if !self.eat(":") {
                    return Err(self.error("expected `:`"));
                }
                self.skip();
                let value = self.value(depth + 1)?;
                members.insert(key, value);
            }
            self.skip();
            if !self.eat(",") && self.peek() != Some('}') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    /// The members of the object that stands here, after `**`.
    fn merge(&mut self, members: &mut Map<String, Value>, depth: u32) -> Result<(), LiteralError> {
        self.skip();
        let start = self.at;
        match self.value(depth + 1)? {
            Value::Object(more) => members.extend(more),
            _ => return Err(self.error_at(start, "expected an object after `**`")),
        }
        Ok(())
    }

    /// The items between brackets, and whether a comma stood behind the last one.
    fn list(&mut self, close: &'static str, depth: u32) -> Result<(Vec<Value>, bool), LiteralError> {
        self.at += 1;
        let mut items = Vec::new();
        let mut comma = false;
        loop {
            self.skip();
            if self.eat(close) {
                return Ok((items, comma));
            }
            if !items.is_empty() && !comma {
                return Err(self.error(if close == "]" { "expected `,` or `]`" } else { "expected `,` or `)`" }));
            }
            items.push(self.value(depth + 1)?);
            self.skip();
            comma = self.eat(",");
        }
    }

    /// Keyword arguments up to `close`, which is passed over, or to the end of the text.
    fn arguments(&mut self, close: Option<&str>, depth: u32) -> Result<Map<String, Value>, LiteralError> {
        let mut arguments = Map::new();
        loop {
            self.skip();
            match close {
                Some(close) if self.eat(close) => return Ok(arguments),
                None if self.at == self.text.len() => return Ok(arguments),
                _ => {}
            }
            let start = self.at;
            if self.eat("**") {
                self.merge(&mut arguments, depth)?;
            } else {
                let name = self.name().to_owned();
                self.skip();
                if name.is_empty() || self.rest().starts_with("==") || !self.eat("=") {
                    return Err(self.error_at(start, "expected an argument with its name, as in `Name=value`"));
                }
                self.skip();
                let value = self.value(depth + 1)?;
                arguments.insert(name, value);
            }
            self.skip();
            let ended = close.map_or(self.at == self.text.len(), |close| self.rest().starts_with(close));
            if !self.eat(",") && !ended {
                return Err(self.error(if close.is_some() { "expected `,` or `)`" } else { "expected `,`" }));
            }
        }
    }

    fn word(&mut self, depth: u32) -> Result<Value, LiteralError> {
        let start = self.at;
        let name = self.name();
        // `r"..."`, `u'...'`, `f"..."`
        if matches!(self.peek(), Some('"' | '\'')) {
            self.at = start;
            return self.texts();
        }
        match name {
            "True" | "true" => return Ok(Value::Bool(true)),
            "False" | "false" => return Ok(Value::Bool(false)),
            "None" | "null" => return Ok(Value::Null),
            _ => {}
        }
        let behind = self.at;
        self.skip();
        if !self.eat("(") {
            self.at = behind;
            return Err(self.error_at(start, "the value of a variable is not known here: write the value itself"));
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        match last {
            "dumps" => self.dumps(depth),
            "dict" => self.arguments(Some(")"), depth + 1).map(Value::Object),
            method if self.methods.contains(&method) => {
                self.method = Some(method.to_owned());
                self.arguments(Some(")"), depth + 1).map(Value::Object)
            }
            _ => Err(self.error_at(start, "the value of a call is not known here: write the value itself")),
        }
    }

    /// `json.dumps(value, ...)`, behind the bracket: the text that Python makes of the value.
    fn dumps(&mut self, depth: u32) -> Result<Value, LiteralError> {
        self.skip();
        let value = self.value(depth + 1)?;
        self.skip();
        let arguments = match self.eat(",") {
            true => self.arguments(Some(")"), depth + 1)?,
            false if self.eat(")") => Map::new(),
            false => return Err(self.error("expected `,` or `)`")),
        };
        let indent = match arguments.get("indent") {
            Some(Value::Number(count)) => count.as_u64().map(|count| " ".repeat(usize::try_from(count).unwrap_or(0).min(16))),
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        };
        let separators = match arguments.get("separators").and_then(Value::as_array).map(Vec::as_slice) {
            Some([Value::String(items), Value::String(keys)]) => (items.as_str(), keys.as_str()),
            _ if indent.is_some() => (",", ": "),
            _ => (", ", ": "),
        };
        let style = Style {
            separators,
            indent: indent.as_deref(),
            ascii: arguments.get("ensure_ascii") != Some(&Value::Bool(false)),
            sorted: arguments.get("sort_keys") == Some(&Value::Bool(true)),
        };
        let mut out = String::new();
        style.write(&value, 0, &mut out);
        Ok(Value::String(out))
    }

    fn number(&mut self) -> Result<Value, LiteralError> {
        let start = self.at;
        let negative = self.eat("-");
        let _ = !negative && self.eat("+");
        let rest = self.rest();
        let end = rest.find(|one: char| !one.is_ascii_alphanumeric() && !matches!(one, '.' | '_')).unwrap_or(rest.len());
        let digits = rest.get(..end).unwrap_or_default().replace('_', "");
        self.at += end;
        let text = if negative { format!("-{digits}") } else { digits };
        let number = text.parse::<i64>().map(Number::from).ok().or_else(|| Number::from_f64(text.parse().ok()?));
        number.map(Value::Number).ok_or_else(|| self.error_at(start, "invalid number"))
    }

    /// Texts side by side, which are one, and what is joined to them.
    fn texts(&mut self) -> Result<Value, LiteralError> {
        let mut all = self.text()?;
        loop {
            let behind = self.at;
            self.skip();
            if !self.text_begins() {
                self.at = behind;
                return Ok(Value::String(all));
            }
            let start = self.at;
            all.push_str(&self.text()?);
            let behind = self.at;
            self.skip();
            // What looks like two texts side by side is a value and the next key, and a comma is missing.
            if self.peek() == Some(':') {
                return Err(self.error_at(start, "expected `,` or `}`"));
            }
            self.at = behind;
        }
    }

    /// Whether a quote stands here, perhaps behind a prefix.
    fn text_begins(&self) -> bool {
        let rest = self.rest().trim_start_matches(|one: char| one.is_ascii_alphabetic());
        self.rest().len() - rest.len() <= 2 && rest.starts_with(['"', '\''])
    }

    fn text(&mut self) -> Result<String, LiteralError> {
        let start = self.at;
        let mut raw = false;
        while let Some(prefix) = self.peek().filter(char::is_ascii_alphabetic) {
            match prefix.to_ascii_lowercase() {
                'r' => raw = true,
                'u' | 'b' => {}
                'f' | 't' => return Err(self.error_at(start, "the value of an f-string is not known here: write the value itself")),
                _ => return Err(self.error_at(start, "expected a value")),
            }
            self.at += 1;
        }
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|&quote| self.eat(quote)).unwrap_or("\"");
        let mut out = String::new();
        loop {
            if self.eat(quote) {
                return Ok(out);
            }
            let at = self.at;
            match self.next() {
                None => return Err(self.error_at(start, "text without an end")),
                Some('\n' | '\r') if quote.len() == 1 => return Err(self.error_at(start, "text without an end in its line")),
                Some('\\') if raw => {
                    out.push('\\');
                    out.extend(self.next());
                }
                Some('\\') => self.escape(at, &mut out)?,
                Some(other) => out.push(other),
            }
        }
    }

    fn escape(&mut self, start: usize, out: &mut String) -> Result<(), LiteralError> {
        let Some(letter) = self.next() else { return Err(self.error_at(start, "text without an end")) };
        let character = match letter {
            '\n' => return Ok(()),
            '\r' => {
                self.eat("\n");
                return Ok(());
            }
            '\\' | '\'' | '"' => letter,
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'a' => '\u{7}',
            '0'..='7' => {
                let more = self.rest().bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let digits = self.text.get(start + 1..self.at + more).unwrap_or_default();
                self.at += more;
                u32::from_str_radix(digits, 8).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            'x' => self.code(2, start)?,
            'u' => self.code(4, start)?,
            'U' => self.code(8, start)?,
            'N' => return Err(self.error_at(start, "a character by its name is not known here: write the character itself")),
            // Python leaves the backslash of what is no escape.
            other => {
                out.push('\\');
                other
            }
        };
        out.push(character);
        Ok(())
    }

    /// The character of so many hexadecimal digits, or of two such escapes that make one character.
    fn code(&mut self, digits: usize, start: usize) -> Result<char, LiteralError> {
        let invalid = "invalid escape";
        let unit = self.hex(digits).ok_or_else(|| self.error_at(start, invalid))?;
        if (0xd800..0xdc00).contains(&unit) && self.eat("\\u") {
            let low = self.hex(4).filter(|low| (0xdc00..0xe000).contains(low));
            let low = low.ok_or_else(|| self.error_at(start, invalid))?;
            return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)).ok_or_else(|| self.error_at(start, invalid));
        }
        char::from_u32(unit).ok_or_else(|| self.error_at(start, invalid))
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let text = self.rest().get(..digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        self.at += digits;
        u32::from_str_radix(text, 16).ok()
    }
}

/// How Python's `json.dumps` prints.
struct Style<'a> {
    separators: (&'a str, &'a str),
    indent: Option<&'a str>,
    ascii: bool,
    sorted: bool,
}

/// `value` as Python's `json.dumps` prints it when nothing else is asked for.
pub(super) fn python_json(value: &Value) -> String {
    let mut out = String::new();
    Style { separators: (", ", ": "), indent: None, ascii: true, sorted: false }.write(value, 0, &mut out);
    out
}

impl Style<'_> {
    fn write(&self, value: &Value, depth: usize, out: &mut String) {
        match value {
            Value::Array(items) => self.block(('[', ']'), items.iter(), depth, out, |style, item, out| style.write(item, depth + 1, out)),
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if self.sorted {
                    members.sort_by_key(|(key, _)| *key);
                }
                self.block(('{', '}'), members.into_iter(), depth, out, |style, (key, value), out| {
                    style.text(key, out);
                    out.push_str(style.separators.1);
                    style.write(value, depth + 1, out);
                });
            }
            Value::String(text) => self.text(text, out),
            Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        }
    }

    fn block<T>(
        &self,
        (open, close): (char, char),
        items: impl ExactSizeIterator<Item = T>,
        depth: usize,
        out: &mut String,
        mut write: impl FnMut(&Self, T, &mut String),
    ) {
        out.push(open);
        let empty = items.len() == 0;
        let line = |depth: usize, out: &mut String| {
            if let Some(indent) = self.indent.filter(|_| !empty) {
                out.push('\n');
                out.push_str(&indent.repeat(depth));
            }
        };
        for (index, item) in items.enumerate() {
            if index > 0 {
                out.push_str(self.separators.0);
            }
            line(depth + 1, out);
            write(self, item, out);
        }
        line(depth, out);
        out.push(close);
    }

    fn text(&self, text: &str, out: &mut String) {
        let quoted = Value::from(text).to_string();
        if !self.ascii {
            out.push_str(&quoted);
            return;
        }
        let mut units = [0; 2];
        for one in quoted.chars() {
            if one.is_ascii() && one != '\u{7f}' {
                out.push(one);
            } else {
                for unit in one.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Any value, and how Python's `repr` writes it.
    fn written() -> impl Strategy<Value = (Value, String)> {
        let leaf = prop_oneof![
            Just((Value::Null, "None".to_owned())),
            any::<bool>().prop_map(|flag| (Value::Bool(flag), if flag { "True" } else { "False" }.to_owned())),
            any::<i64>().prop_map(|number| (Value::from(number), number.to_string())),
            any::<String>().prop_map(|text| (Value::from(text.as_str()), repr(&text))),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| {
                    let (values, texts): (Vec<_>, Vec<_>) = items.into_iter().unzip();
                    (Value::Array(values), format!("[{}]", texts.join(", ")))
                }),
                prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|members| {
                    let texts: Vec<String> = members.iter().map(|(key, (_, text))| format!("{}: {text}", repr(key))).collect();
                    let values = members.into_iter().map(|(key, (value, _))| (key, value)).collect();
                    (Value::Object(values), format!("{{{}}}", texts.join(", ")))
                }),
            ]
        })
    }

    fn repr(text: &str) -> String {
        let mut out = String::from("'");
        for one in text.chars() {
            match one {
                '\'' | '\\' => out.extend(['\\', one]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                control if u32::from(control) < 256 && control.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(control))),
                other => out.push(other),
            }
        }
        out.push('\'');
        out
    }

    proptest! {
        #[test]
        fn what_python_prints_is_read_back((expected, text) in written()) {
            prop_assert_eq!(value(&text), expected);
        }

        #[test]
        fn json_dumps_is_json_of_the_same_value((expected, text) in written()) {
            let Value::String(dumped) = value(&format!("json.dumps({text}, indent=1)")) else { panic!() };
            prop_assert_eq!(serde_json::from_str::<Value>(&dumped).unwrap(), expected);
        }

        #[test]
        fn no_text_is_too_odd(text in r#"[\[\](){}:,'"\\ =+*rbuf#.a0N\n-]{0,32}"#) {
            let _ = read(&text, &[]);
        }
    }

    fn value(text: &str) -> Value {
        read(text, &["assume_role"]).unwrap().value
    }

    fn error(text: &str) -> String {
        read(text, &["assume_role"]).unwrap_err().to_string()
    }

    #[test]
    fn json_is_read_as_json() {
        let literal = read(r#"{"a": ["\/", 1.5, null, true], "b": "\ud83d\ude00"}"#, &[]).unwrap();
        assert_eq!(literal, Literal { value: json!({ "a": ["/", 1.5, null, true], "b": "😀" }), method: None, python: false });
    }

    #[test]
    fn python_literals_are_read_as_python_reads_them() {
        assert_eq!(
            value("{'a': True, \"b\": None, # why\n 'c': (1, -2_000,), 'd': ('x'),}"),
            json!({ "a": true, "b": null, "c": [1, -2000], "d": "x" })
        );
        assert_eq!(value("['a' \"b\"\n r'\\d' u'e', 'f' + 'g']"), json!(["ab\\de", "fg"]));
        assert_eq!(
            value(
                r#"'''{"a":
 'b'}''' "#
            ),
            json!("{\"a\":\n 'b'}")
        );
        assert_eq!(
            value(
                r#"["\x41\u00e9\101\d\'", '\
b']"#
            ),
            json!(["AéA\\d'", "b"])
        );
        assert_eq!(value("{**{'a': 1}, 'b': 2}"), json!({ "a": 1, "b": 2 }));
    }

    #[test]
    fn a_call_of_the_sdk_and_its_arguments_alone_are_both_read() {
        let literal = read("answer = boto3.client('sts').x", &["assume_role"]);
        assert!(literal.is_err());
        let literal =
            read("answer = sts.assume_role(RoleArn='r', Tags=[dict(Key='a', Value='b')], **{'Policy': 'p'},)", &["assume_role"]).unwrap();
        assert_eq!(literal.value, json!({ "RoleArn": "r", "Tags": [{ "Key": "a", "Value": "b" }], "Policy": "p" }));
        assert_eq!(literal.method.as_deref(), Some("assume_role"));
        assert_eq!(value("RoleArn='r',\n    Policy='p',\n"), json!({ "RoleArn": "r", "Policy": "p" }));
        assert_eq!(value("request = {'RoleArn': 'r'}"), json!({ "RoleArn": "r" }));
        assert_eq!(value("RoleArn='r'"), json!({ "RoleArn": "r" }));
    }

    #[test]
    fn json_dumps_gives_the_text_that_python_gives() {
        // As Python 3.11 printed them.
        assert_eq!(value("json.dumps({'a': ['é', 1], 'b': {}})"), json!(r#"{"a": ["\u00e9", 1], "b": {}}"#));
        assert_eq!(value("json.dumps({'a': [1, 2]}, separators=(',', ':'))"), json!(r#"{"a":[1,2]}"#));
        assert_eq!(value("json.dumps({'b': [1], 'a': []}, indent=2, sort_keys=True)"), json!("{\n  \"a\": [],\n  \"b\": [\n    1\n  ]\n}"));
        assert_eq!(value("json.dumps('é', ensure_ascii=False)"), json!("\"é\""));
    }

    #[test]
    fn an_error_names_line_and_column_and_quotes_nothing() {
        for (text, expected) in [
            ("", "unexpected end of text at line 1 column 1"),
            ("{'a': 1\n 'b': 2}", "expected `,` or `}` at line 2 column 2"),
            ("{'a' 1}", "expected `:` at line 1 column 6"),
            ("{1: 2}", "expected a key in quotes at line 1 column 2"),
            ("['a', \n  'b", "text without an end at line 2 column 3"),
            ("{'a': 'é\n'}", "text without an end in its line at line 1 column 7"),
            ("{'a': policy}", "the value of a variable is not known here: write the value itself at line 1 column 7"),
            ("{'a': f'{x}'}", "the value of an f-string is not known here: write the value itself at line 1 column 7"),
            ("{'a': load('x')}", "the value of a call is not known here: write the value itself at line 1 column 7"),
            ("sts.assume_role('r')", "expected an argument with its name, as in `Name=value` at line 1 column 17"),
            ("[1 2]", "expected `,` or `]` at line 1 column 4"),
            ("{'a': 12ab}", "invalid number at line 1 column 7"),
            ("{} {}", "trailing characters at line 1 column 4"),
            ("{'a': '\\u12'}", "invalid escape at line 1 column 8"),
            ("[,]", "expected a value at line 1 column 2"),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
        assert!(error(&"[".repeat(100_000)).starts_with("nested too deeply"));
        assert_eq!(value(&format!("'a'{}", "+'a'".repeat(100_000))), "a".repeat(100_001));
        assert!(error(&"('a'+".repeat(100_000)).starts_with("nested too deeply"));
    }
}
