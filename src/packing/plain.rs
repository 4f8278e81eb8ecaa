//! The plain binary form of a session policy: what STS packs when it does not pay to compress, and what it compresses when it does.
//!
//! One byte for each element (`Version`, `Id`, each statement, `Sid`, `Effect` with its value, `Action`, ..., `Condition`), one byte for
//! each list of strings, and each string as one byte of length and its text. JSON's white space, quotes and brackets do not count.
//! The public points that show it stand in `tests/data/packing-points.json`: `{"Effect":"Allow","Action":"*","Resource":"*"}` takes
//! 4 % (20 bytes here) and the same with `["ec2:DescribeVpcEndpoints"]` and `["*"]` 9 % (45 bytes here) of 460 bytes.

use crate::policy::{Clause, Effect, Element, Json, Policy, Scalar, Scalars, Statement, Values};

/// What the plain form spends beside the texts. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainForm {
    /// Each element of the document or of a statement; the value of `Effect` is in it.
    pub element_bytes: u8,
    /// Each list of strings; a string alone has none.
    pub list_bytes: u8,
    /// The length before each string of up to 255 bytes. A longer one, of which no record is known, is taken to need two more.
    pub length_bytes: u8,
}

/// Stands for an element in the plain form. STS's own codes are not known; what counts for the codec is that equal elements are equal bytes.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Code {
    Version = 1,
    Id,
    Statement,
    Allow,
    Deny,
    Sid,
    Action,
    NotAction,
    Resource,
    NotResource,
    Condition,
    Other,
    Null,
    True,
    False,
    Object,
}

impl PlainForm {
    /// Appends the plain form of `policy` to `out` and gives the number of statements.
    pub fn write(&self, policy: &Policy, out: &mut Vec<u8>) -> u32 {
        let mut statements = 0;
        for element in &policy.elements {
            match element {
                Element::Version(version) => self.text_element(Code::Version, version, out),
                Element::Id(id) => self.text_element(Code::Id, id, out),
                Element::Statement(list) => {
                    for statement in list.as_slice() {
                        statements += 1;
                        self.statement(statement, out);
                    }
                }
                Element::Other(name, value) => self.other(name, value, out),
            }
        }
        statements
    }

    fn statement(&self, statement: &Statement, out: &mut Vec<u8>) {
        self.element(Code::Statement, out);
        for clause in &statement.clauses {
            match clause {
                Clause::Sid(sid) => self.text_element(Code::Sid, sid, out),
                Clause::Effect(Effect::Allow) => self.element(Code::Allow, out),
                Clause::Effect(Effect::Deny) => self.element(Code::Deny, out),
                Clause::Action(values) => self.values(Code::Action, values, out),
                Clause::NotAction(values) => self.values(Code::NotAction, values, out),
                Clause::Resource(values) => self.values(Code::Resource, values, out),
                Clause::NotResource(values) => self.values(Code::NotResource, values, out),
                Clause::Condition(operators) => {
                    self.element(Code::Condition, out);
                    for (operator, keys) in operators {
                        self.string(operator, out);
                        for (key, values) in keys {
                            self.string(key, out);
                            self.scalars(values, out);
                        }
                    }
                }
                Clause::Other(name, value) => self.other(name, value, out),
            }
        }
    }

    fn repeat(byte: u8, count: u8, out: &mut Vec<u8>) {
        out.extend(std::iter::repeat_n(byte, usize::from(count)));
    }

    fn element(&self, code: Code, out: &mut Vec<u8>) {
        Self::repeat(code as u8, self.element_bytes, out);
    }

    fn text_element(&self, code: Code, text: &str, out: &mut Vec<u8>) {
        self.element(code, out);
        self.string(text, out);
    }

    fn list(&self, items: usize, out: &mut Vec<u8>) {
        Self::repeat(u8::try_from(items).unwrap_or(u8::MAX), self.list_bytes, out);
    }

    fn string(&self, text: &str, out: &mut Vec<u8>) {
        match u8::try_from(text.len()) {
            Ok(length) => Self::repeat(length, self.length_bytes, out),
            Err(_) => {
                Self::repeat(u8::MAX, self.length_bytes, out);
                // No policy STS takes is longer than 2,048 characters, so two bytes hold any length.
                out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
        out.extend(text.as_bytes());
    }

    fn values(&self, code: Code, values: &Values, out: &mut Vec<u8>) {
        self.element(code, out);
        if let Values::Many(texts) = values {
            self.list(texts.len(), out);
        }
        for text in values.as_slice() {
            self.string(text, out);
        }
    }

    fn scalars(&self, values: &Scalars, out: &mut Vec<u8>) {
        if let Scalars::Many(many) = values {
            self.list(many.len(), out);
        }
        for value in values.as_slice() {
            self.string(Scalar::text(value), out);
        }
    }

    fn other(&self, name: &str, value: &Json, out: &mut Vec<u8>) {
        self.text_element(Code::Other, name, out);
        self.json(value, out);
    }

    fn json(&self, value: &Json, out: &mut Vec<u8>) {
        match value {
            Json::Null => self.element(Code::Null, out),
            Json::Bool(true) => self.element(Code::True, out),
            Json::Bool(false) => self.element(Code::False, out),
            Json::Number(text) | Json::String(text) => self.string(text, out),
            Json::Array(items) => {
                self.list(items.len(), out);
                for item in items {
                    self.json(item, out);
                }
            }
            Json::Object(members) => {
                self.element(Code::Object, out);
                for (key, value) in members {
                    self.string(key, out);
                    self.json(value, out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: PlainForm = PlainForm { element_bytes: 1, list_bytes: 1, length_bytes: 1 };

    fn bytes(text: &str) -> usize {
        let mut out = Vec::new();
        FORM.write(&Policy::parse(text).unwrap(), &mut out);
        out.len()
    }

    #[test]
    fn the_smallest_policies_fit_their_windows() {
        // 4 % of 460 bytes is 18.4 up to 23, 9 % is 41.4 up to 46.
        assert_eq!(bytes(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#), 20);
        assert_eq!(
            bytes(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:DescribeVpcEndpoints"],"Resource":["*"]}]}"#),
            45
        );
    }

    #[test]
    fn white_space_counts_nothing_and_every_other_element_counts() {
        let bare = bytes(r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#);
        assert_eq!(bytes("{ \"Statement\" :\n{\"Effect\":\"Deny\",\t\"Action\":\"*\",\"Resource\":\"*\"}}"), bare);
        assert_eq!(bytes(r#"{"Statement":{"Sid":"abc","Effect":"Deny","Action":"*","Resource":"*"}}"#), bare + 1 + 4);
        assert_eq!(
            bytes(r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"k":["a","b"],"n":7}}}}"#),
            bare + 1 + 5 + 2 + 1 + 2 + 2 + 2 + 2
        );
    }

    #[test]
    fn a_string_beyond_one_byte_of_length_takes_two_more() {
        let policy = |text: &str| format!(r#"{{"Statement":{{"Resource":"{text}"}}}}"#);
        assert_eq!(bytes(&policy(&"a".repeat(255))), 2 + 1 + 255);
        assert_eq!(bytes(&policy(&"a".repeat(256))), 2 + 3 + 256);
    }

    #[test]
    fn unknown_elements_are_weighed_too() {
        assert_eq!(bytes(r#"{"Statement":[{"Principal":{"AWS":["*",null,true]}}]}"#), 1 + 1 + 10 + 1 + 4 + 1 + 2 + 1 + 1);
    }

    #[test]
    fn statements_are_counted_over_the_document() {
        let mut out = Vec::new();
        assert_eq!(FORM.write(&Policy::parse(r#"{"Statement":[{},{},{}]}"#).unwrap(), &mut out), 3);
    }
}
