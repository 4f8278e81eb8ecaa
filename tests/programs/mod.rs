//! Texts written by programs of bytes: what a fuzzer mutates, and what proptest draws, in terms of JSON rather than of characters.
//!
//! A program that has ended goes on with zeros, and a zero always means the plainest choice, so that shorter programs write plainer texts.

#![allow(dead_code, reason = "each user of this module takes a part of it")]

pub mod calls;
pub mod logs;

/// A program, read from its start.
pub struct Program<'a> {
    bytes: &'a [u8],
}

impl<'a> Program<'a> {
    pub fn new(bytes: &'a [u8]) -> Program<'a> {
        Program { bytes }
    }

    /// Whether all of it was read.
    pub fn ended(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *byte
    }

    /// A number below `end`, which is 1 to 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// A number below `end` that may be large.
    pub fn far_below(&mut self, end: usize) -> usize {
        let far = u32::from_be_bytes([0, self.byte(), self.byte(), self.byte()]);
        if end == 0 { 0 } else { far as usize % end }
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True once in `often` choices.
    pub fn seldom(&mut self, often: usize) -> bool {
        self.below(often) == often - 1
    }
}

/// A call to STS as a nested value or as text in a string.
pub const CALL: &str = r#"{"eventVersion":"1.08","eventSource":"sts.amazonaws.com","eventName":"AssumeRole","requestParameters":{"roleArn":"arn:aws:iam::111122223333:role/reader"}}"#;

/// Writes JSON as a program says.
pub struct Writer<'a> {
    pub program: Program<'a>,
    pub out: Vec<u8>,
    /// White space may stand between tokens.
    pub spaced: bool,
    /// What is no JSON may be written.
    pub hostile: bool,
    /// How deep values may nest by choice.
    pub depth: usize,
}

impl<'a> Writer<'a> {
    pub fn new(program: Program<'a>) -> Writer<'a> {
        Writer { program, out: Vec::new(), spaced: false, hostile: false, depth: 6 }
    }

    pub fn put(&mut self, text: impl AsRef<[u8]>) {
        self.out.extend_from_slice(text.as_ref());
    }

    pub fn repeat(&mut self, text: &str, times: usize) {
        for _ in 0..times {
            self.put(text);
        }
    }

    pub fn space(&mut self) {
        if !self.spaced {
            return;
        }
        match self.program.below(9) {
            6 => self.put(" "),
            7 => self.put("\r\n\t"),
            8 => {
                let spaces = self.program.below(200);
                self.repeat(" ", spaces);
            }
            _ => {}
        }
    }

    /// `text`, which has no character that must be escaped, as a string; where `escapes` holds, with one of its characters or all of them escaped.
    pub fn name(&mut self, text: &str, escapes: bool) {
        self.put("\"");
        self.escaped(text, escapes);
        self.put("\"");
    }

    fn escaped(&mut self, text: &str, escapes: bool) {
        let which = if escapes { self.program.byte() } else { 0 };
        for (at, byte) in text.bytes().enumerate() {
            let escape = match which {
                0 => false,
                255 => true,
                which => at == usize::from(which / 2) % text.len(),
            };
            match escape {
                true if which & 1 == 1 => self.put(format!("\\u{byte:04x}")),
                true => self.put(format!("\\u{byte:04X}")),
                false => self.put([byte]),
            }
        }
    }

    /// A string of anything that strings may hold.
    pub fn text(&mut self) {
        self.put("\"");
        for _ in 0..8 {
            let pieces = if self.hostile { 22 } else { 17 };
            match self.program.below(pieces) {
                0 => break,
                1 => {
                    let length = self.program.below(256);
                    self.repeat("x", length);
                }
                2 => {
                    let text =
                        self.program.one_of(&["sts.amazonaws.com", "AssumeRole", "GetFederationToken", "GetSessionToken", "AssumeRoot"]);
                    self.put(text);
                }
                3 => self.escaped("sts.amazonaws.com", true),
                4 => self.put(r#"\",\"eventSource\":\"sts.amazonaws.com\"}]},{\""#),
                5 => {
                    let pairs = self.program.below(100);
                    self.repeat(r"\\", pairs);
                }
                6 => {
                    let quotes = self.program.below(70);
                    self.repeat("\\\"", quotes);
                }
                7 => {
                    let text = self.program.one_of(&["}", "]", "{", "[", "},{", "]}", "{}[]", ",:", "Y_y\u{7f}"]);
                    let times = self.program.below(80);
                    self.repeat(text, times);
                }
                8 => {
                    let text = self.program.one_of(&["é", "\u{2028}", "😀", "\u{feff}", "größe"]);
                    let times = self.program.below(40);
                    self.repeat(text, times);
                }
                9 => self.put(r"\ud83d\ude00"),
                10 => self.put(CALL.replace('"', "\\\"")),
                11 => {
                    let text = self.program.one_of(&["\\/", "\\n", "\\t", "\\b", "\\f", "\\r"]);
                    self.put(text);
                }
                12 => {
                    let text = self.program.one_of(&["\\u003d", "\\u0026", "\\u0027", "\\u003c", "\\u003E"]);
                    self.put(text);
                }
                13 => {
                    let text = self.program.one_of(&["\\u0000", "\\u0022", "\\u005c", "\\u005C\\\"", "\\u0073", "\\u002e"]);
                    self.put(text);
                }
                14 => {
                    let text = self.program.one_of(&[
                        r#"\"Records\":["#,
                        r#"\"Events\""#,
                        "Records",
                        "eventSource",
                        "ts.",
                        "sts",
                        "amazonaws.com",
                    ]);
                    self.put(text);
                }
                15 => {
                    let character = self.program.byte() % 0x60 + b' ';
                    if !b"\"\\\x7f".contains(&character) {
                        self.put([character]);
                    }
                }
                16 => self.put("\\\\\\\""),
                17 => self.put("\\ud83d"),
                18 => {
                    let byte = self.program.below(32) as u8;
                    self.put([byte]);
                }
                19 => {
                    let bytes = self.program.one_of(&[&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f", b"\x80"]);
                    self.put(bytes);
                }
                20 => {
                    let bytes = self.program.one_of(&["\\x", "\\u12", "\\u00g0", "\\u\\u003000", "\"", "\\"]);
                    self.put(bytes);
                }
                _ => {
                    let byte = self.program.byte();
                    self.put([byte]);
                }
            }
        }
        self.put("\"");
    }

    /// A key: of a record, of what holds records, or any other.
    pub fn key(&mut self) {
        let name = self.program.one_of(&[
            "a",
            "eventSource",
            "eventName",
            "eventVersion",
            "detail",
            "CloudTrailEvent",
            "Records",
            "Events",
            "eventCategory",
            "userIdentity",
            "insightDetails",
            "",
        ]);
        match name {
            "" => self.text(),
            name => {
                let escapes = self.program.seldom(8);
                self.name(name, escapes);
            }
        }
    }

    /// Any value.
    pub fn value(&mut self) {
        let choices = if self.hostile { 15 } else { 12 };
        match self.program.below(choices) {
            0 => self.put("null"),
            1 => self.text(),
            2 => {
                let number = self.program.one_of(&["0", "-1.5e3", "12345678901234567890", "true", "false", "1E-7", "25"]);
                self.put(number);
            }
            3..=5 if self.depth > 0 => {
                self.depth -= 1;
                let members = self.program.below(5);
                self.object(members, |writer, _| {
                    writer.key();
                    writer.colon();
                    writer.value();
                });
                self.depth += 1;
            }
            6 | 7 if self.depth > 0 => {
                self.depth -= 1;
                let elements = self.program.below(6);
                self.list(elements, |writer, _| writer.value());
                self.depth += 1;
            }
            8 => self.put(CALL),
            9 => {
                let depth = self.program.below(if self.hostile { 130 } else { 100 });
                self.repeat("[", depth);
                self.put("1");
                self.repeat("]", depth);
            }
            10 => self.put(r#"[{"eventSource":"sts.amazonaws.com"},{"Records":[{}]}]"#),
            11 => {
                let empty = self.program.one_of(&["{}", "[]", "\"\""]);
                self.put(empty);
            }
            12 => {
                let wrong =
                    self.program.one_of(&["[}", "{]", "]", "}", "[", "{", "{\"a\":[1}}", "[1,2}", "{\"a\"}", "{,}", "[1,]", "\"a\":"]);
                self.put(wrong);
            }
            13 => {
                let wrong =
                    self.program.one_of(&["Y", "_", "y", "\x7f", "nul", "NaN", "x", "'", "/*", "01", "\0", "\u{c}", "-", "1e999", ""]);
                self.put(wrong);
            }
            14 => {
                let byte = self.program.byte();
                self.put([byte]);
            }
            _ => self.put("{}"),
        }
    }

    pub fn colon(&mut self) {
        self.space();
        self.put(":");
        self.space();
    }

    /// An object of so many members.
    pub fn object(&mut self, members: usize, write: impl FnMut(&mut Self, usize)) {
        self.brackets("{", "}", members, write);
    }

    /// An array of so many elements.
    pub fn list(&mut self, elements: usize, write: impl FnMut(&mut Self, usize)) {
        self.brackets("[", "]", elements, write);
    }

    fn brackets(&mut self, open: &str, close: &str, count: usize, mut write: impl FnMut(&mut Self, usize)) {
        self.put(open);
        for index in 0..count {
            if index > 0 {
                self.put(",");
            }
            self.space();
            write(self, index);
            self.space();
        }
        self.put(close);
    }
}
