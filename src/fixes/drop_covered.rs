//! An action or resource that another one of the same list covers adds nothing: a list means any of its members, under `Not...` too.
//! Each is compared with each, so not for policies beyond [`super::MAX_POLICY_BYTES`] or [`super::MAX_STATEMENTS`].

use super::wildcard::{action_covers, resource_covers};
use super::{Context, Proposal, State, counted};
use crate::policy::{Clause, Policy, Values};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let mut policy = state.policy.clone()?;
    let dropped = rewrite(&mut policy);
    if dropped.is_empty() {
        return None;
    }
    let what = if context.advice.redact { String::new() } else { dropped.join(", ") };
    let title = format!("drop {} covered by others of the same statement", counted(dropped.len(), "action or resource"));
    Some(state.rewritten("drop-covered", title.replace("action or resources", "actions or resources"), what, &policy, context))
}

/// Drops what is covered within its own list, and says what and by what.
pub(super) fn rewrite(policy: &mut Policy) -> Vec<String> {
    let mut dropped = Vec::new();
    for statement in policy.statements_mut() {
        for clause in &mut statement.clauses {
            match clause {
                Clause::Action(values) | Clause::NotAction(values) => shorten(values, action_covers, &mut dropped),
                Clause::Resource(values) | Clause::NotResource(values) => shorten(values, resource_covers, &mut dropped),
                _ => {}
            }
        }
    }
    dropped
}

fn shorten(values: &mut Values, covers: fn(&str, &str) -> bool, dropped: &mut Vec<String>) {
    let Values::Many(texts) = values else { return };
    let mut kept: Vec<String> = Vec::with_capacity(texts.len());
    let before = dropped.len();
    for text in texts.drain(..) {
        if let Some(wide) = kept.iter().find(|wide| covers(wide, &text)) {
            dropped.push(format!("`{text}` is covered by `{wide}`"));
            continue;
        }
        kept.retain(|narrow| {
            let covered = covers(&text, narrow);
            if covered {
                dropped.push(format!("`{narrow}` is covered by `{text}`"));
            }
            !covered
        });
        kept.push(text);
    }
    let changed = dropped.len() > before;
    *values = match (changed, kept.len()) {
        (true, 1) => kept.pop().map_or_else(|| Values::Many(Vec::new()), Values::One),
        _ => Values::Many(kept),
    };
}
