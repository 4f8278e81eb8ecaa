//! A session policy as a typed document: parse it, print it minified.
//!
//! The document keeps the order of its elements, repeated elements, elements it does not know, and whether a value stood alone or in a
//! list, so that printing gives the text that was parsed without its white space.
//!
//! The elements are those of the [grammar of IAM policies]; an element with an unknown name or an unexpected shape is kept as
//! [`Element::Other`] or [`Clause::Other`] rather than refused: what STS accepted is not ours to reject.
//!
//! [grammar of IAM policies]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html

#[cfg(feature = "fixes")]
mod actions;
mod check;
mod json;
mod operator;
mod print;
mod read;
mod variables;

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "fixes")]
pub use actions::{ActionList, ActionListError};
pub use check::check;
pub use json::Json;
pub use operator::{Comparison, Operator, SetPrefix, UnknownOperator};
pub use variables::{Piece, pieces};

/// A policy document: its elements in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The elements, repeated ones too.
    pub elements: Vec<Element>,
}

/// An element of the document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// `"Version"`: the policy language's.
    Version(String),
    /// `"Id"`: a name for people.
    Id(String),
    /// `"Statement"`.
    Statement(Statements),
    /// Any other name, or a known one whose value has another shape.
    Other(String, Json),
}

/// The statements of a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Statements {
    /// `"Statement": {...}`
    One(Statement),
    /// `"Statement": [...]`
    Many(Vec<Statement>),
}

/// A statement: its elements in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Statement {
    /// The elements, repeated ones too.
    pub clauses: Vec<Clause>,
}

/// An element of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Clause {
    /// `"Sid"`: a name for people.
    Sid(String),
    /// `"Effect"`.
    Effect(Effect),
    /// `"Action"`: any of these.
    Action(Values),
    /// `"NotAction"`: none of these.
    NotAction(Values),
    /// `"Resource"`: any of these.
    Resource(Values),
    /// `"NotResource"`: none of these.
    NotResource(Values),
    /// `"Condition"`. Operators in the order of the text, each with its keys and their values.
    Condition(Vec<(String, Vec<(String, Scalars)>)>),
    /// Any other name, or a known one whose value has another shape.
    Other(String, Json),
}

/// What a statement does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Allows it, unless another statement denies it.
    Allow,
    /// Denies it, whatever else allows it.
    Deny,
}

/// Actions or resources: a text alone or a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Values {
    /// A text alone.
    One(String),
    /// A list of texts.
    Many(Vec<String>),
}

/// Values of a condition key: one alone or a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scalars {
    /// A value alone.
    One(Scalar),
    /// A list of values.
    Many(Vec<Scalar>),
}

/// A value of a condition key. IAM compares its text; `true` and `"true"` are one length in the packed form but not in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// A text.
    String(String),
    /// `true` or `false` without quotes.
    Bool(bool),
    /// The number as written.
    Number(String),
}

/// A text that is no policy document: no JSON, or no JSON object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct ParseError {
    message: &'static str,
    line: usize,
    column: usize,
}

impl ParseError {
    /// The line of the text, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in that line, in characters, from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl Policy {
    /// Reads a policy document.
    ///
    /// # Errors
    /// When `text` is no JSON object; the error carries line and column.
    pub fn parse(text: &str) -> Result<Policy, ParseError> {
        read::policy(text)
    }

    /// Every statement, in order.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.elements
            .iter()
            .filter_map(|element| match element {
                Element::Statement(statements) => Some(statements.as_slice()),
                _ => None,
            })
            .flatten()
    }

    /// Every statement, in order, to change in place.
    pub fn statements_mut(&mut self) -> impl Iterator<Item = &mut Statement> {
        self.elements
            .iter_mut()
            .filter_map(|element| match element {
                Element::Statement(statements) => Some(statements.as_mut_slice()),
                _ => None,
            })
            .flatten()
    }
}

impl FromStr for Policy {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Policy, ParseError> {
        Policy::parse(text)
    }
}

/// Prints the document as JSON without white space.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print::policy(self))
    }
}

impl Statements {
    /// The statements, in order.
    pub fn as_slice(&self) -> &[Statement] {
        match self {
            Statements::One(statement) => std::slice::from_ref(statement),
            Statements::Many(statements) => statements,
        }
    }

    /// The statements, in order, to change in place.
    pub fn as_mut_slice(&mut self) -> &mut [Statement] {
        match self {
            Statements::One(statement) => std::slice::from_mut(statement),
            Statements::Many(statements) => statements,
        }
    }
}

impl Values {
    /// The texts, in order.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Values::One(text) => std::slice::from_ref(text),
            Values::Many(texts) => texts,
        }
    }
}

impl Scalars {
    /// The values, in order.
    pub fn as_slice(&self) -> &[Scalar] {
        match self {
            Scalars::One(value) => std::slice::from_ref(value),
            Scalars::Many(values) => values,
        }
    }
}

impl Scalar {
    /// The value as IAM compares it.
    pub fn text(&self) -> &str {
        match self {
            Scalar::String(text) | Scalar::Number(text) => text,
            Scalar::Bool(true) => "true",
            Scalar::Bool(false) => "false",
        }
    }
}

impl Effect {
    /// `Allow` or `Deny`.
    pub fn name(self) -> &'static str {
        match self {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
        }
    }
}
