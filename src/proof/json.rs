//! JSON as it is written: members in order, repeated ones kept, numbers as their text.

use serde_json::value::RawValue;

/// How deep lists and objects may nest; a policy needs six levels.
const MAX_DEPTH: usize = 32;

/// One JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As written, since `1` and `1.0` may not be one value to STS.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Where a text stops being JSON, and what is wrong there.
#[derive(Debug)]
pub(super) struct Broken {
    pub line: usize,
    pub column: usize,
    pub what: &'static str,
}

/// Reads a whole text. serde_json judges whether it is JSON, so that the reader below only has to take it apart.
pub(super) fn parse(text: &str) -> Result<Json, Broken> {
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        return Err(Broken { line: error.line(), column: error.column(), what: "not JSON" });
    }
    let mut reader = Reader { text, at: 0 };
    reader.value(0).map_err(|what| {
        let read = text.get(..reader.at).unwrap_or(text);
        let line = read.matches('\n').count() + 1;
        let column = read.chars().rev().take_while(|&character| character != '\n').count() + 1;
        Broken { line, column, what }
    })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The next byte after white space, left in place.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(&mut self, depth: usize) -> Result<Json, &'static str> {
        if depth > MAX_DEPTH {
            return Err("nested too deep");
        }
        match self.peek().ok_or("the text ends")? {
            b'{' => {
                let mut members = Vec::new();
                self.items(b'}', |reader| {
                    let name = reader.string()?;
                    reader.peek();
                    reader.at += 1;
                    members.push((name, reader.value(depth + 1)?));
                    Ok(())
                })?;
                Ok(Json::Object(members))
            }
            b'[' => {
                let mut items = Vec::new();
                self.items(b']', |reader| {
                    items.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Json::List(items))
            }
            b'"' => self.string().map(Json::Text),
            _ => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)).collect();
                self.at += word.len();
                Ok(match word.as_str() {
                    "null" => Json::Null,
                    "true" => Json::Bool(true),
                    "false" => Json::Bool(false),
                    _ => Json::Number(word),
                })
            }
        }
    }

    /// What stands between brackets, one call an item.
    fn items(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Result<(), &'static str>) -> Result<(), &'static str> {
        self.at += 1;
        loop {
            match self.peek().ok_or("the text ends")? {
                b',' => self.at += 1,
                byte if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => item(self)?,
            }
        }
    }

    fn string(&mut self) -> Result<String, &'static str> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let quoted = end.and_then(|end| rest.get(..end + 2)).ok_or("a string does not end")?;
        let text = serde_json::from_str(quoted).map_err(|_| "a string holds half a surrogate pair")?;
        self.at += quoted.len();
        Ok(text)
    }
}
