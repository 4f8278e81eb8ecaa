//! `Sid` and `Id` name things for people; they decide nothing in a session policy, and are packed all the same. Not for policies
//! beyond [`super::MAX_POLICY_BYTES`] or [`super::MAX_STATEMENTS`].

use super::{Context, Proposal, State, counted};
use crate::policy::{Clause, Element, Policy};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let mut policy = state.policy.clone()?;
    let dropped = rewrite(&mut policy);
    (dropped > 0).then(|| {
        let title = format!("drop {} from the policy", counted(dropped, "Sid or Id element"));
        state.rewritten("drop-sids", title, String::new(), &policy, context)
    })
}

/// Drops every `Sid` and `Id`, and says how many.
pub(super) fn rewrite(policy: &mut Policy) -> usize {
    let elements = policy.elements.len();
    policy.elements.retain(|element| !matches!(element, Element::Id(_)));
    let mut dropped = elements - policy.elements.len();
    for statement in policy.statements_mut() {
        let clauses = statement.clauses.len();
        statement.clauses.retain(|clause| !matches!(clause, Clause::Sid(_)));
        dropped += clauses - statement.clauses.len();
    }
    dropped
}
