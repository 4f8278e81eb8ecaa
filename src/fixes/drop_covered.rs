//! An action, a resource or a condition value that another one of the same list covers adds nothing: a list means any of its members, under `Not...` too.
//! Of negated operators only what stands there twice goes, and no text with a policy variable goes but for that. Effect: same meaning.
//!
//! Each is compared with each, so not for policies beyond [`super::MAX_POLICY_BYTES`] or [`super::MAX_STATEMENTS`].

use super::known::{self, has_variable, value_covers};
use super::wildcard::{action_covers, resource_covers};
use super::{Rewrite, Scale, counted};
use crate::policy::{Clause, Policy, Scalar, Scalars, Values};

pub(super) const REWRITE: Rewrite = Rewrite {
    rule: "drop-covered",
    title: |dropped| format!("drop {} covered by others of the same list", counted(dropped, "entry").replace("entrys", "entries")),
    apply: rewrite,
    says_what: true,
};

fn rewrite(policy: &mut Policy, _scale: &mut Scale<'_>) -> Vec<String> {
    let mut dropped = Vec::new();
    for statement in policy.statements_mut() {
        if known::known(statement).is_none() {
            continue;
        }
        for clause in &mut statement.clauses {
            match clause {
                Clause::Action(values) | Clause::NotAction(values) => texts(values, action_covers, &mut dropped),
                Clause::Resource(values) | Clause::NotResource(values) => texts(values, resource_covers, &mut dropped),
                Clause::Condition(operators) => {
                    for (operator, keys) in operators {
                        for (_, values) in keys {
                            scalars(operator, values, &mut dropped);
                        }
                    }
                }
                Clause::Sid(_) | Clause::Effect(_) | Clause::Other(..) => {}
            }
        }
    }
    dropped
}

fn texts(values: &mut Values, covers: fn(&str, &str) -> bool, dropped: &mut Vec<String>) {
    let Values::Many(texts) = values else { return };
    let before = texts.len();
    let kept = shorten(std::mem::take(texts), |wide, narrow| covers(wide, narrow), String::as_str, dropped);
    *values = if kept.len() < before { known::values(kept) } else { Values::Many(kept) };
}

fn scalars(operator: &str, values: &mut Scalars, dropped: &mut Vec<String>) {
    let Scalars::Many(many) = values else { return };
    let before = many.len();
    let kept = shorten(std::mem::take(many), |wide, narrow| value_covers(operator, wide, narrow), Scalar::text, dropped);
    *values = if kept.len() < before { known::scalars(kept) } else { Scalars::Many(kept) };
}

fn shorten<T>(all: Vec<T>, covers: impl Fn(&T, &T) -> bool, text: fn(&T) -> &str, dropped: &mut Vec<String>) -> Vec<T> {
    let covers = |wide: &T, narrow: &T| text(wide) == text(narrow) || (!has_variable(text(narrow)) && covers(wide, narrow));
    let mut kept: Vec<T> = Vec::with_capacity(all.len());
    let mut say = |narrow: &T, wide: &T| {
        dropped.push(if text(narrow) == text(wide) {
            format!("`{}` stands there twice", text(narrow))
        } else {
            format!("`{}` is covered by `{}`", text(narrow), text(wide))
        });
    };
    for one in all {
        if let Some(wide) = kept.iter().find(|wide| covers(wide, &one)) {
            say(&one, wide);
            continue;
        }
        kept.retain(|narrow| {
            let covered = covers(&one, narrow);
            if covered {
                say(narrow, &one);
            }
            !covered
        });
        kept.push(one);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten;
    use super::*;

    fn condition(operator: &str, values: &str) -> Option<String> {
        let whole = |values: &str| {
            format!(r#"{{"Statement":{{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{{"{operator}":{{"k":{values}}}}}}}}}"#)
        };
        let (before, after) = whole("#").split_once('#').map(|(before, after)| (before.to_owned(), after.to_owned())).unwrap();
        let (rewritten, _) = rewritten(&REWRITE, &whole(values))?;
        Some(rewritten.strip_prefix(&before).unwrap().strip_suffix(&after).unwrap().to_owned())
    }

    #[test]
    fn condition_values_are_covered_as_their_operator_compares() {
        for (operator, before, after) in [
            ("StringEquals", r#"["a","a*","a"]"#, Some(r#"["a","a*"]"#)),
            ("StringEquals", r#"["a","A"]"#, None),
            ("StringEqualsIgnoreCase", r#"["a","A"]"#, Some(r#""a""#)),
            ("StringLike", r#"["home/x","home/*"]"#, Some(r#""home/*""#)),
            ("ForAnyValue:StringLikeIfExists", r#"["home/x","home/*"]"#, Some(r#""home/*""#)),
            ("StringNotLike", r#"["home/x","home/*"]"#, None),
            ("StringNotLike", r#"["home/*","home/*"]"#, Some(r#""home/*""#)),
            ("StringLike", r#"["${aws:username}","*"]"#, None),
            ("ForAnyValue:StringNotLike", r#"["home/x","home/*"]"#, None),
            ("StringLike", r#"["${aws:username}/x","*/x"]"#, None),
            ("ArnLike", r#"["arn:aws:s3:::b","arn:aws:s3:*"]"#, None),
            ("ArnLike", r#"["arn:aws:sns:eu:1:t","arn:aws:sns:*:*:t"]"#, Some(r#""arn:aws:sns:*:*:t""#)),
            ("NumericLessThan", r#"["1","01"]"#, None),
            ("Bool", r#"[true,"true"]"#, Some("true")),
            ("unknownOperator", r#"["a","*"]"#, None),
        ] {
            assert_eq!(condition(operator, before).as_deref(), after, "{operator} {before}");
        }
    }

    #[test]
    fn a_statement_with_an_unknown_element_stays_as_it_is() {
        assert_eq!(
            rewritten(&REWRITE, r#"{"Statement":{"Effect":"Allow","Action":["s3:*","s3:GetObject"],"Resource":"*","Actions":"x"}}"#),
            None
        );
    }
}
