//! Statements as rules see them: only those whose meaning is known, and when one of them covers another.
//!
//! A document or a statement with an unknown or repeated element is left alone, and so is nothing else because of it: what it means is not
//! clear, so nothing is said to be covered by it.

use std::collections::BTreeSet;

use super::wildcard::{action_covers, actions_overlap, resource_covers, resources_overlap};
use crate::policy::{
    Clause, Comparison, Effect, Element, Operator, Piece, Policy, Scalar, Scalars, SetPrefix, Statement, Statements, Values, pieces,
};

/// The keys of a condition operator, with their values.
pub(super) type Keys = Vec<(String, Scalars)>;

/// A list of a statement: what is in it, or what is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Set<'a> {
    Of(&'a [String]),
    Not(&'a [String]),
}

/// A statement whose elements are each known and stand once, with an effect, actions and resources.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub effect: Effect,
    pub actions: Set<'a>,
    pub resources: Set<'a>,
    /// Empty where there is none.
    pub condition: &'a [(String, Keys)],
}

/// The list of statements of a document that says nothing unknown or twice; None for another, and where one statement stands alone.
pub(super) fn statements(policy: &mut Policy) -> Option<&mut Vec<Statement>> {
    if !is_plain(policy) {
        return None;
    }
    policy.elements.iter_mut().find_map(|element| match element {
        Element::Statement(Statements::Many(many)) => Some(many),
        _ => None,
    })
}

/// Whether a document has only known elements, each once.
pub(super) fn is_plain(policy: &Policy) -> bool {
    let count = |is: fn(&Element) -> bool| policy.elements.iter().filter(|element| is(element)).count();
    count(|element| matches!(element, Element::Other(..))) == 0
        && count(|element| matches!(element, Element::Version(_))) <= 1
        && count(|element| matches!(element, Element::Id(_))) <= 1
        && count(|element| matches!(element, Element::Statement(_))) == 1
}

/// The elements of `statement` that decide; None where one stands twice, is not known or is missing.
pub(super) fn known(statement: &Statement) -> Option<Known<'_>> {
    let (mut effect, mut actions, mut resources, mut condition) = (None, None, None, None);
    for clause in &statement.clauses {
        let twice = match clause {
            Clause::Sid(_) => false,
            Clause::Effect(stated) => effect.replace(*stated).is_some(),
            Clause::Action(values) => actions.replace(Set::Of(values.as_slice())).is_some(),
            Clause::NotAction(values) => actions.replace(Set::Not(values.as_slice())).is_some(),
            Clause::Resource(values) => resources.replace(Set::Of(values.as_slice())).is_some(),
            Clause::NotResource(values) => resources.replace(Set::Not(values.as_slice())).is_some(),
            Clause::Condition(operators) => condition.replace(operators.as_slice()).is_some() || repeats(operators),
            Clause::Other(..) => true,
        };
        if twice {
            return None;
        }
    }
    let known = Known { effect: effect?, actions: actions?, resources: resources?, condition: condition.unwrap_or_default() };
    (!known.actions.texts().is_empty() && !known.resources.texts().is_empty()).then_some(known)
}

/// Whether an operator, or a key of one, stands twice.
fn repeats(operators: &[(String, Keys)]) -> bool {
    let twice =
        |names: Vec<String>| (1..names.len()).any(|at| names.get(..at).zip(names.get(at)).is_some_and(|(all, one)| all.contains(one)));
    twice(operators.iter().map(|(operator, _)| operator.clone()).collect())
        || operators.iter().any(|(_, keys)| twice(keys.iter().map(|(key, _)| key.to_ascii_lowercase()).collect()))
}

impl<'a> Set<'a> {
    pub(super) fn texts(self) -> &'a [String] {
        match self {
            Set::Of(texts) | Set::Not(texts) => texts,
        }
    }

    /// Whether everything in `narrow` is in this one.
    fn covers(self, narrow: Set<'_>, covers: fn(&str, &str) -> bool, overlap: fn(&str, &str) -> bool) -> bool {
        match (self, narrow) {
            (Set::Of(wide), Set::Of(narrow)) => narrow.iter().all(|one| wide.iter().any(|many| covers(many, one))),
            (Set::Of(wide), Set::Not(_)) => wide.iter().any(|many| many == "*"),
            (Set::Not(wide), Set::Of(narrow)) => narrow.iter().all(|one| !wide.iter().any(|left_out| overlap(left_out, one))),
            (Set::Not(wide), Set::Not(narrow)) => wide.iter().all(|one| narrow.iter().any(|many| covers(many, one))),
        }
    }
}

impl<'a> Known<'a> {
    /// Whether whatever `narrow` applies to, this one applies to as well; their effects do not count.
    pub(super) fn covers(&self, narrow: &Known<'_>) -> bool {
        self.actions.covers(narrow.actions, action_covers, actions_overlap)
            && self.resources.covers(narrow.resources, resource_covers, resources_overlap)
            && implies(narrow.condition, self.condition)
    }

    /// Every policy variable in its resources and condition values.
    ///
    /// A variable whose key a request lacks fits nothing; whether it voids the whole statement is not documented. So a statement may take over what another
    /// says only where it asks for no other variables.
    pub(super) fn variables(&self) -> BTreeSet<&'a str> {
        let values = self.condition.iter().flat_map(|(_, keys)| keys).flat_map(|(_, values)| values.as_slice()).map(Scalar::text);
        let texts = self.resources.texts().iter().map(String::as_str).chain(values);
        texts.filter(|text| has_variable(text)).flat_map(variables).collect()
    }
}

/// Whether a text may have policy variables.
pub(super) fn has_variable(text: &str) -> bool {
    text.contains("${")
}

fn variables(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Variable { key, .. } => Some(key),
        Piece::Text(_) | Piece::Letter(_) => None,
    })
}

/// Whether `wide` holds wherever `narrow` does: each of its keys is asked for in `narrow` too, by the same operator and for no other values.
fn implies(narrow: &[(String, Keys)], wide: &[(String, Keys)]) -> bool {
    wide.iter().all(|(operator, keys)| {
        let Some((_, asked)) = narrow.iter().find(|(other, _)| other == operator) else { return keys.is_empty() };
        keys.iter().all(|(key, values)| {
            asked.iter().find(|(other, _)| other.eq_ignore_ascii_case(key)).is_some_and(|(_, narrower)| {
                same_scalars(narrower, values)
                    || (takes_any_of(operator).is_some()
                        && !narrower.as_slice().is_empty()
                        && narrower.as_slice().iter().all(|one| values.as_slice().iter().any(|many| value_covers(operator, many, one))))
            })
        })
    })
}

/// The operator, where several values of it mean any of them: where more values let more requests through.
pub(super) fn takes_any_of(operator: &str) -> Option<Operator> {
    operator.parse().ok().filter(|operator: &Operator| !operator.base.is_negated() && operator.base != Comparison::Null)
}

/// The operator, where two statements that differ in its values alone are one with both: not where all values of a request must fit, since each of them
/// may then fit another statement.
pub(super) fn joins_values(operator: &str) -> Option<Operator> {
    takes_any_of(operator).filter(|operator| operator.set != Some(SetPrefix::ForAllValues))
}

/// Whether, for `operator`, every request value that fits the policy value `narrow` fits `wide`.
pub(super) fn value_covers(operator: &str, wide: &Scalar, narrow: &Scalar) -> bool {
    let (wide, narrow) = (wide.text(), narrow.text());
    if wide == narrow {
        return true;
    }
    let Ok(operator) = operator.parse::<Operator>() else { return false };
    // Several values of a negated operator mean none of them; the pages once said otherwise, so nothing rests on it.
    match operator.base {
        Comparison::StringEqualsIgnoreCase => !has_variable(wide) && wide.eq_ignore_ascii_case(narrow),
        Comparison::StringLike => resource_covers(wide, narrow),
        Comparison::ArnEquals | Comparison::ArnLike => arn_covers(wide, narrow),
        _ => false,
    }
}

/// Each of the six parts of an ARN is compared by itself.
fn arn_covers(wide: &str, narrow: &str) -> bool {
    if has_variable(wide) || has_variable(narrow) {
        return false;
    }
    let (wide, narrow): (Vec<&str>, Vec<&str>) = (wide.splitn(6, ':').collect(), narrow.splitn(6, ':').collect());
    wide.len() == 6 && narrow.len() == 6 && wide.iter().zip(&narrow).all(|(wide, narrow)| resource_covers(wide, narrow))
}

pub(super) fn same_values(one: &[String], other: &[String]) -> bool {
    sorted(one) == sorted(other)
}

pub(super) fn same_scalars(one: &Scalars, other: &Scalars) -> bool {
    let texts = |values: &Scalars| values.as_slice().iter().map(|value| value.text().to_owned()).collect::<Vec<_>>();
    sorted(&texts(one)) == sorted(&texts(other))
}

fn sorted(texts: &[String]) -> Vec<&str> {
    let mut sorted: Vec<&str> = texts.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

/// A text alone where there is one, a list where there are several.
pub(super) fn values(mut texts: Vec<String>) -> Values {
    match (texts.len(), texts.pop()) {
        (1, Some(one)) => Values::One(one),
        (_, last) => {
            texts.extend(last);
            Values::Many(texts)
        }
    }
}

/// A value alone where there is one, a list where there are several.
pub(super) fn scalars(mut many: Vec<Scalar>) -> Scalars {
    match (many.len(), many.pop()) {
        (1, Some(one)) => Scalars::One(one),
        (_, last) => {
            many.extend(last);
            Scalars::Many(many)
        }
    }
}

/// What a statement is called: its Sid, or its number from 1.
pub(super) fn name(statement: &Statement, index: usize) -> String {
    let sid = statement.clauses.iter().find_map(|clause| match clause {
        Clause::Sid(sid) if !sid.is_empty() => Some(sid),
        _ => None,
    });
    sid.map_or_else(|| format!("statement {}", index + 1), |sid| format!("statement `{sid}`"))
}
