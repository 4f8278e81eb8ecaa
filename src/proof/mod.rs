//! Whether two session policies mean the same: the judge of every rewrite that claims to keep the meaning.
//!
//! It shares no code with what rewrites. It reads the JSON itself, and what it is not sure to understand it does not judge.
//!
//! # What is compared
//!
//! A request is an action, a resource and a context. A document decides on it in one of three ways, see [`Decision`]. An explicit deny and a mere lack of an
//! allow are kept apart, since [a resource policy that names the session](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html)
//! grants past the second and not past the first. [`Comparison::Same`] says that both documents decide alike on every request.
//!
//! # Method
//!
//! 1. All action patterns of both documents read a text at once, as one automaton of sets of places. It gives every set of patterns that some text matches,
//!    with a short text for each; nothing else about an action matters. So do the resource patterns, and the string and ARN patterns of each context key. With
//!    [`Actions::Known`] the actions are gone through instead.
//! 2. A condition key is absent, or has values. Of its values it matters only which of those sets are among them: one Boolean variable for each, "some value is
//!    of this set". Plain, `ForAnyValue:` and `ForAllValues:` operators, negated or not, are functions of these. Numbers, dates, addresses, Booleans, binary values
//!    and strings without letter case are variables by operator, key and value as written, which may be true in any combination.
//! 3. For each pair of an action set and a resource set both documents are two Boolean functions, denied and allowed-but-not-denied. They are decision
//!    diagrams, so equal functions are the same node. Where two differ in a combination that a context can have, a request is made from it, and a plain
//!    evaluator that shares no more than the reader and the single-pattern matcher decides on it.
//!
//! # Readings
//!
//! AWS's documentation leaves some things open. `Same` is said only when it holds under every combination of these, and `Differs` only with one request on which
//! the documents differ under each combination (the decisions shown are those under the first):
//!
//! * wildcards in the first five segments of a [resource](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html), in an ARN of
//!   a condition and in the service of an action: cross a colon, do not, or `*` does so only at a segment's end;
//! * a [variable without a value](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html): its text matches nothing, or its whole
//!   statement applies to nothing. A text with a variable otherwise matches freely within what it matches with a `*` in the variable's place; equal texts match alike;
//! * a plain negated operator on [several values](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_multi-value-conditions.html): all of them
//!   must fail to match, or one;
//! * the letters of [ARNs in conditions](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html): with or without case;
//! * a key that is there without values: counts as present or absent, as null or not, each for itself; an empty text: a value, or
//!   [none to `Null` and `ForAllValues:`](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html).
//!
//! # Limits
//!
//! A statement of a form not known here (see `document`) is not judged: both documents must have it word for word, and the rest is compared. A document
//! that is no JSON or no policy is [`Comparison::Undecided`], unless both are one and the same value. So is what would need too many states or combinations. Whether STS
//! accepts a document is not judged.

mod automaton;
mod diagram;
mod document;
mod equivalence;
mod evaluate;
mod json;
mod pattern;

#[cfg(test)]
mod tests;

use std::fmt;

use json::Broken;

/// The actions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actions<'a> {
    /// Every text is an action.
    Any,
    /// Only these are, each as `service:Name`; the letter case is that of the witness.
    Known(&'a [String]),
}

/// Whether two documents mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Both decide alike on every request, under every open reading.
    Same,
    /// They do not, as this request shows under every open reading.
    Differs(Box<Witness>),
    /// Neither was shown; why, in words, with the place.
    Undecided(String),
}

/// A request on which two documents decide differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The action, `service:Name` if such a one shows it.
    pub action: String,
    /// The resource; the shortest text that shows it, which may be no whole ARN.
    pub resource: String,
    /// The context keys that are present, each with its values, by key; all others are absent.
    pub context: Vec<(String, Vec<String>)>,
    /// What the document before decides.
    pub before: Decision,
    /// What the document after decides.
    pub after: Decision,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` on `{}`", self.action, self.resource)?;
        for (number, (key, values)) in self.context.iter().enumerate() {
            write!(f, "{} `{key}` = ", if number == 0 { " with" } else { " and" })?;
            match values.as_slice() {
                [] => write!(f, "no value")?,
                values => write!(f, "`{}`", values.join("`, `"))?,
            }
        }
        write!(f, ": {} before, {} after", self.before, self.after)
    }
}

/// What one document decides on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Some `Allow` applies and no `Deny`.
    Allowed,
    /// Some `Deny` applies; nothing grants past it.
    DeniedExplicitly,
    /// Nothing applies; a resource policy that names the session may still grant it.
    NotAllowed,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Decision::Allowed => "allowed",
            Decision::DeniedExplicitly => "denied explicitly",
            Decision::NotAllowed => "not allowed",
        })
    }
}

/// Whether the documents mean the same. Both are whole texts of JSON.
pub fn compare(before: &str, after: &str, actions: Actions<'_>) -> Comparison {
    let read = |side: Side, text: &str| json::parse(text).map_err(|broken| Doubt::Broken(side, broken));
    let judged = || -> Result<Option<Witness>, Doubt> {
        let (before, after) = (read(Side::Before, before)?, read(Side::After, after)?);
        if before == after {
            return Ok(None);
        }
        let (before, after) = (document::read(Side::Before, &before)?, document::read(Side::After, &after)?);
        equivalence::difference(&before, &after, actions)
    };
    match judged() {
        Ok(None) => Comparison::Same,
        Ok(Some(witness)) => Comparison::Differs(Box::new(witness)),
        Err(doubt) => Comparison::Undecided(doubt.to_string()),
    }
}

/// Which of the two documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Side::Before => "before",
            Side::After => "after",
        })
    }
}

/// Why a comparison ends without a verdict.
#[derive(Debug, thiserror::Error)]
enum Doubt {
    #[error("{0}: {what} at line {line}, column {column}", what = .1.what, line = .1.line, column = .1.column)]
    Broken(Side, Broken),
    #[error("{0}: {1}")]
    Document(Side, String),
    #[error("{0}: {1}: {2}, and the other document has no equal part")]
    Unpaired(Side, String, String),
    #[error("{0}: {1}: {2}, and the documents differ elsewhere")]
    DiffersBeside(Side, String, String),
    #[error("parts of unknown meaning stand in documents of different versions: {0}: {1}")]
    Versions(String, String),
    #[error("the list of actions is empty")]
    NoActions,
    #[error("too many {0}")]
    TooMany(&'static str),
    #[error("`{action}` on `{resource}` may be decided differently{reading}, and no one request shows it under every reading")]
    Unconfirmed { action: String, resource: String, reading: Reading },
}

/// How wildcards treat the colons that separate the segments of an ARN or the service of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colons {
    Crossed,
    Kept,
    /// `*` crosses where it ends a segment: "can expand to match beyond the colon boundaries", says the page on resources.
    CrossedAtEnds,
}

/// One choice in everything that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    colons: Colons,
    /// Whether ARNs in conditions have no letter case.
    arn_any_case: bool,
    /// Whether a variable without a value keeps its whole statement from applying.
    void: bool,
    /// Whether one value that fails to match is enough for a plain negated operator.
    one_fails: bool,
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.colons {
            Colons::Crossed => "",
            Colons::Kept => " where wildcards stop at colons",
            Colons::CrossedAtEnds => " where `*` crosses colons at the end of a segment alone",
        })?;
        for (said, holds) in [
            (" where ARNs in conditions have no letter case", self.arn_any_case),
            (" where a variable without a value voids its statement", self.void),
            (" where a negated operator needs one value that fails to match", self.one_fails),
        ] {
            f.write_str(if holds { said } else { "" })?;
        }
        Ok(())
    }
}
