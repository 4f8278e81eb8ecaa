//! Two statements that differ in their actions only, or in their resources only, are one with both: the union of "A on R" and "B on R" is
//! "A or B on R". That holds for `Allow` and `Deny`, and only when everything else is equal, the condition included. It does not hold for
//! `NotAction` and `NotResource`, whose lists say what is left out.
//!
//! Each statement is compared with each, so not for policies beyond [`super::MAX_POLICY_BYTES`] or [`super::MAX_STATEMENTS`].

use super::{Context, Proposal, State, counted};
use crate::policy::{Clause, Effect, Element, Policy, Scalars, Statement, Statements, Values};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let mut policy = state.policy.clone()?;
    let merged = rewrite(&mut policy);
    (merged > 0).then(|| {
        let title = format!("merge {} into others that differ in actions or resources only", counted(merged, "statement"));
        state.rewritten("merge-statements", title, String::new(), &policy, context)
    })
}

/// Merges as many statements as it can, and says how many went.
pub(super) fn rewrite(policy: &mut Policy) -> usize {
    let mut gone = 0;
    for element in &mut policy.elements {
        if let Element::Statement(Statements::Many(statements)) = element {
            gone += merge_all(statements);
        }
    }
    gone
}

/// Merges the first pair that can be, until there is none, and says how many statements went.
fn merge_all(statements: &mut Vec<Statement>) -> usize {
    let before = statements.len();
    let mut first = 0;
    while first < statements.len() {
        let mut second = first + 1;
        while second < statements.len() {
            if !merge_into(statements, first, second) {
                second += 1;
                continue;
            }
            // Only what just changed can make a pair that was none before: with an earlier statement, or with any behind it.
            while let Some(earlier) = (0..first).find(|&earlier| merge_into(statements, earlier, first)) {
                first = earlier;
            }
            second = first + 1;
        }
        first += 1;
    }
    before - statements.len()
}

/// Merges the statement at `second` into the one at `first` if that can be.
fn merge_into(statements: &mut Vec<Statement>, first: usize, second: usize) -> bool {
    let pair = statements.get(first).zip(statements.get(second));
    let Some(merged) = pair.and_then(|(one, other)| merge(one, other)) else { return false };
    statements.remove(second);
    if let Some(place) = statements.get_mut(first) {
        *place = merged;
    }
    true
}

/// The keys of a condition operator, with their values.
type Keys = Vec<(String, Scalars)>;

/// The elements of a statement that decide; none where one stands twice or is not known, since it is not clear what they mean.
#[derive(Default)]
struct Known<'a> {
    effect: Option<Effect>,
    action: Option<&'a Values>,
    not_action: Option<&'a Values>,
    resource: Option<&'a Values>,
    not_resource: Option<&'a Values>,
    condition: Option<&'a [(String, Keys)]>,
}

fn known(statement: &Statement) -> Option<Known<'_>> {
    let mut known = Known::default();
    for clause in &statement.clauses {
        let twice = match clause {
            Clause::Sid(_) => false,
            Clause::Effect(effect) => known.effect.replace(*effect).is_some(),
            Clause::Action(values) => known.action.replace(values).is_some(),
            Clause::NotAction(values) => known.not_action.replace(values).is_some(),
            Clause::Resource(values) => known.resource.replace(values).is_some(),
            Clause::NotResource(values) => known.not_resource.replace(values).is_some(),
            Clause::Condition(condition) => known.condition.replace(condition).is_some(),
            Clause::Other(..) => true,
        };
        if twice {
            return None;
        }
    }
    Some(known)
}

fn same(one: Option<&Values>, other: Option<&Values>) -> bool {
    let sorted = |values: &Values| {
        let mut texts = values.as_slice().to_vec();
        texts.sort_unstable();
        texts.dedup();
        texts
    };
    match (one, other) {
        (Some(one), Some(other)) => sorted(one) == sorted(other),
        (None, None) => true,
        _ => false,
    }
}

fn merge(one: &Statement, other: &Statement) -> Option<Statement> {
    let (left, right) = (known(one)?, known(other)?);
    let alike = left.effect.is_some()
        && left.effect == right.effect
        && left.condition == right.condition
        && same(left.not_action, right.not_action)
        && same(left.not_resource, right.not_resource);
    if !alike {
        return None;
    }
    let same_resource = same(left.resource, right.resource);
    let same_action = same(left.action, right.action);
    let union_of = match (left.action, right.action, left.resource, right.resource) {
        _ if same_action && same_resource => return Some(one.clone()),
        (Some(_), Some(actions), _, _) if same_resource => Clause::Action(actions.clone()),
        (_, _, Some(_), Some(resources)) if same_action => Clause::Resource(resources.clone()),
        _ => return None,
    };
    let mut merged = one.clone();
    for clause in &mut merged.clauses {
        match (clause, &union_of) {
            (Clause::Action(values), Clause::Action(more)) | (Clause::Resource(values), Clause::Resource(more)) => {
                let mut texts = values.as_slice().to_vec();
                for text in more.as_slice() {
                    if !texts.contains(text) {
                        texts.push(text.clone());
                    }
                }
                *values = Values::Many(texts);
            }
            _ => {}
        }
    }
    Some(merged)
}
