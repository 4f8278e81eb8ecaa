//! `Sid` and `Id` name things for people; they decide nothing in a session policy, and are packed all the same. Effect: same meaning.
//!
//! A document with an unknown element keeps its `Id`, and a statement with one its `Sid`, since what is not known may refer to them.

use super::{Rewrite, Scale, counted, known};
use crate::policy::{Clause, Element, Policy};

pub(super) const REWRITE: Rewrite = Rewrite {
    rule: "drop-sids",
    title: |dropped| format!("drop {} from the policy", counted(dropped, "Sid or Id element")),
    apply: rewrite,
    says_what: false,
};

fn rewrite(policy: &mut Policy, _scale: &mut Scale<'_>) -> Vec<String> {
    let mut dropped = Vec::new();
    if known::is_plain(policy) {
        policy.elements.retain(|element| match element {
            Element::Id(id) => {
                dropped.push(format!("Id `{id}`"));
                false
            }
            _ => true,
        });
    }
    for statement in policy.statements_mut() {
        if statement.clauses.iter().any(|clause| matches!(clause, Clause::Other(..))) {
            continue;
        }
        statement.clauses.retain(|clause| match clause {
            Clause::Sid(sid) => {
                dropped.push(format!("Sid `{sid}`"));
                false
            }
            _ => true,
        });
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten;
    use super::*;

    #[test]
    fn names_go_and_everything_else_stays() {
        let text = r#"{"Id":"mine","Statement":[{"Sid":"A","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"b","Sid":""}]}"#;
        let (after, dropped) = rewritten(&REWRITE, text).unwrap();
        assert_eq!(
            after,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"b"}]}"#
        );
        assert_eq!(dropped, ["Id `mine`", "Sid `A`", "Sid ``"]);
    }

    #[test]
    fn what_an_unknown_element_may_refer_to_stays() {
        let text = r#"{"Id":"mine","See":"mine","Statement":{"Sid":"A","Effect":"Allow","Action":"s3:*","Resource":"*","Like":"A"}}"#;
        assert_eq!(rewritten(&REWRITE, text), None);
    }
}
