//! The door to the proof that two policies mean the same: [`crate::proof`], which shares no code with the rules.

use crate::proof::{Actions, Comparison, compare};

/// What a proof says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// They mean the same.
    Same,
    /// They do not.
    Differs,
    /// It cannot be told, and why.
    Undecided(String),
}

/// Compares two policies over every action there may be, or over those of `actions` alone.
pub(super) fn proven(before: &str, after: &str, actions: Option<&[String]>) -> Verdict {
    match compare(before, after, actions.map_or(Actions::Any, Actions::Known)) {
        Comparison::Same => Verdict::Same,
        Comparison::Differs(_) => Verdict::Differs,
        Comparison::Undecided(reason) => Verdict::Undecided(reason),
    }
}
