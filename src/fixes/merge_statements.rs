//! Two statements that differ in their actions only, in their resources only, or in the values of one condition key only are one with both: the union of
//! "A on R" and "B on R" is "A or B on R". Effect: same meaning, for `Allow` and for `Deny`, where everything else is equal.
//!
//! It does not hold for `NotAction`, `NotResource` and negated operators, whose lists say what is left out, nor for `ForAllValues`: two values of a request
//! may fit one statement each and together neither; nor for `Null`; nor where they have different policy variables, since one that is missing may void the
//! statement it stands in.
//!
//! Each statement is compared with each, so not for policies beyond [`super::MAX_POLICY_BYTES`] or [`super::MAX_STATEMENTS`].

use super::known::{self, Keys, Known, Set, same_scalars, same_values};
use super::{Rewrite, Scale, counted};
use crate::policy::{Clause, Element, Policy, Scalar, Statement, Statements};

pub(super) const REWRITE: Rewrite = Rewrite {
    rule: "merge-statements",
    title: |merged| {
        format!("merge {} into others that differ in actions, resources or one condition value only", counted(merged, "statement"))
    },
    apply: rewrite,
    says_what: true,
};

/// Up to this many statements, of the pairs that can be merged the one is taken that saves most; beyond, the first.
const MOST_WEIGHED: usize = 24;

fn rewrite(policy: &mut Policy, scale: &mut Scale<'_>) -> Vec<String> {
    let mut said = Vec::new();
    let Some(statements) = known::statements(policy) else { return said };
    if statements.len() > MOST_WEIGHED {
        merge_first(statements, &mut said);
        return said;
    }
    while let Some((first, second, merged)) = best_merge(policy, scale) {
        let Some(statements) = known::statements(policy) else { break };
        let named = |at: usize| statements.get(at).map_or_else(String::new, |one| known::name(one, at));
        said.push(format!("{} into {}", named(second), named(first)));
        put(statements, first, second, merged);
    }
    said
}

fn put(statements: &mut Vec<Statement>, first: usize, second: usize, merged: Statement) {
    statements.remove(second);
    if let Some(place) = statements.get_mut(first) {
        *place = merged;
    }
}

/// The merge that leaves the fewest packed bytes.
fn best_merge(policy: &Policy, scale: &mut Scale<'_>) -> Option<(usize, usize, Statement)> {
    let statements: Vec<&Statement> = policy.statements().collect();
    let mut best: Option<(u32, (usize, usize, Statement))> = None;
    for (first, one) in statements.iter().enumerate() {
        for (second, other) in statements.iter().enumerate().skip(first + 1) {
            let Some(merged) = merge(one, other) else { continue };
            let mut changed = policy.clone();
            for element in &mut changed.elements {
                if let Element::Statement(Statements::Many(many)) = element {
                    put(many, first, second, merged.clone());
                }
            }
            let bytes = scale.bytes(&changed);
            if best.as_ref().is_none_or(|(least, _)| bytes < *least) {
                best = Some((bytes, (first, second, merged)));
            }
        }
    }
    best.map(|(_, found)| found)
}

/// Merges the first pair that can be, until there is none.
fn merge_first(statements: &mut Vec<Statement>, said: &mut Vec<String>) {
    let mut first = 0;
    while first < statements.len() {
        let mut second = first + 1;
        while second < statements.len() {
            if !merge_into(statements, first, second, said) {
                second += 1;
                continue;
            }
            // Only what just changed can make a pair that was none before: with an earlier statement, or with any behind it.
            while let Some(earlier) = (0..first).find(|&earlier| merge_into(statements, earlier, first, said)) {
                first = earlier;
            }
            second = first + 1;
        }
        first += 1;
    }
}

/// Merges the statement at `second` into the one at `first` if that can be.
fn merge_into(statements: &mut Vec<Statement>, first: usize, second: usize, said: &mut Vec<String>) -> bool {
    let pair = statements.get(first).zip(statements.get(second));
    let Some((merged, names)) = pair
        .and_then(|(one, other)| Some((merge(one, other)?, format!("{} into {}", known::name(other, second), known::name(one, first)))))
    else {
        return false;
    };
    said.push(names);
    put(statements, first, second, merged);
    true
}

/// Where two statements differ: in nothing, or in one thing.
enum Difference {
    None,
    Actions,
    Resources,
    /// Of the operator at the first place, the key at the second.
    Values(usize, usize),
}

fn merge(one: &Statement, other: &Statement) -> Option<Statement> {
    let (left, right) = (known::known(one)?, known::known(other)?);
    if left.effect != right.effect || left.variables() != right.variables() {
        return None;
    }
    let difference = difference(&left, &right)?;
    let mut merged = one.clone();
    for clause in &mut merged.clauses {
        match (&difference, clause) {
            (Difference::Actions, Clause::Action(values)) => *values = known::values(union(values.as_slice(), right.actions.texts())),
            (Difference::Resources, Clause::Resource(values)) => *values = known::values(union(values.as_slice(), right.resources.texts())),
            (Difference::Values(operator, key), Clause::Condition(operators)) => {
                let (operator, keys) = operators.get_mut(*operator)?;
                let (key, values) = keys.get_mut(*key)?;
                let (_, more) = right.condition.iter().find(|(other, _)| other == operator)?;
                let (_, more) = more.iter().find(|(other, _)| other.eq_ignore_ascii_case(key))?;
                let mut all: Vec<Scalar> = values.as_slice().to_vec();
                for value in more.as_slice() {
                    if !all.iter().any(|one| one.text() == value.text()) {
                        all.push(value.clone());
                    }
                }
                *values = known::scalars(all);
            }
            _ => {}
        }
    }
    Some(merged)
}

fn difference(left: &Known<'_>, right: &Known<'_>) -> Option<Difference> {
    let same = |one: Set<'_>, other: Set<'_>| {
        std::mem::discriminant(&one) == std::mem::discriminant(&other) && same_values(one.texts(), other.texts())
    };
    let condition = different_values(left.condition, right.condition);
    match (same(left.actions, right.actions), same(left.resources, right.resources), condition) {
        (true, true, Some(None)) => Some(Difference::None),
        (false, true, Some(None)) if matches!((left.actions, right.actions), (Set::Of(_), Set::Of(_))) => Some(Difference::Actions),
        (true, false, Some(None)) if matches!((left.resources, right.resources), (Set::Of(_), Set::Of(_))) => Some(Difference::Resources),
        (true, true, Some(Some((operator, key)))) => Some(Difference::Values(operator, key)),
        _ => None,
    }
}

/// The one place where two conditions have other values, if they are equal but for that; None where they differ in more, or in a way that cannot be
/// joined. In any order of operators and keys.
fn different_values(left: &[(String, Keys)], right: &[(String, Keys)]) -> Option<Option<(usize, usize)>> {
    if left.len() != right.len() {
        return None;
    }
    let mut found = None;
    for (at_operator, (operator, keys)) in left.iter().enumerate() {
        let (_, others) = right.iter().find(|(other, _)| other == operator)?;
        if keys.len() != others.len() {
            return None;
        }
        for (at_key, (key, values)) in keys.iter().enumerate() {
            let (_, more) = others.iter().find(|(other, _)| other.eq_ignore_ascii_case(key))?;
            if same_scalars(values, more) {
                continue;
            }
            let joins = known::joins_values(operator).is_some() && !values.as_slice().is_empty() && !more.as_slice().is_empty();
            if !joins || found.replace((at_operator, at_key)).is_some() {
                return None;
            }
        }
    }
    Some(found)
}

fn union(one: &[String], other: &[String]) -> Vec<String> {
    let mut all = one.to_vec();
    for text in other {
        if !all.contains(text) {
            all.push(text.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten_statements;
    use super::*;

    fn with_condition(condition: &str) -> String {
        format!(r#"{{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{condition}}}"#)
    }

    #[test]
    fn values_of_one_condition_key_are_joined_where_any_of_them_is_meant() {
        let merged = |one: &str, other: &str| {
            rewritten_statements(&REWRITE, &[&with_condition(one), &with_condition(other)]).map(|(after, _)| after)
        };
        for operator in ["StringEquals", "StringLikeIfExists", "ForAnyValue:StringEquals", "NumericLessThan", "Bool", "ArnLike"] {
            let condition = |key: &str, values: &str| format!(r#"{{"{operator}":{{"{key}":{values},"x":"y"}}}}"#);
            assert_eq!(
                merged(&condition("k", r#""a""#), &condition("K", r#"["b","a"]"#)),
                Some(vec![with_condition(&condition("k", r#"["a","b"]"#))]),
                "{operator}"
            );
            let both = |values: &str| format!(r#"{{"{operator}":{{"k":{values},"x":{values}}}}}"#);
            assert_eq!(merged(&both(r#""a""#), &both(r#""b""#)), None, "{operator}");
        }
        for operator in ["StringNotEquals", "ForAllValues:StringEquals", "Null", "ForAnyValue:StringNotLike", "notKnown", "NotIpAddress"] {
            let condition = |value: &str| format!(r#"{{"{operator}":{{"k":"{value}"}}}}"#);
            assert_eq!(merged(&condition("a"), &condition("b")), None, "{operator}");
        }
    }

    #[test]
    fn conditions_in_another_order_are_equal() {
        let one = r#"{"Effect":"Allow","Action":"s3:Get*","Resource":"*","Condition":{"Bool":{"a":"true","b":"true"},"StringLike":{"k":["x","y"]}}}"#;
        let other = r#"{"Effect":"Allow","Action":"s3:Put*","Resource":"*","Condition":{"StringLike":{"k":["y","x"]},"Bool":{"B":true,"a":"true"}}}"#;
        let (after, said) = rewritten_statements(&REWRITE, &[one, other]).unwrap();
        assert_eq!(after, [one.replace(r#""s3:Get*""#, r#"["s3:Get*","s3:Put*"]"#)]);
        assert_eq!(said, ["statement 2 into statement 1"]);
    }

    #[test]
    fn of_several_merges_the_one_that_saves_most_comes_first() {
        let long = "arn:aws:s3:::a-bucket-with-a-long-name-that-stands-twice/and-a-path/*";
        let one = format!(r#"{{"Effect":"Allow","Action":"s3:GetObject","Resource":"{long}"}}"#);
        let short = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"b"}"#;
        let other = format!(r#"{{"Effect":"Allow","Action":"s3:PutObject","Resource":"{long}"}}"#);
        let (after, _) = rewritten_statements(&REWRITE, &[&one, short, &other]).unwrap();
        assert_eq!(after, [one.replace(r#""s3:GetObject""#, r#"["s3:GetObject","s3:PutObject"]"#).as_str(), short]);
    }
}
