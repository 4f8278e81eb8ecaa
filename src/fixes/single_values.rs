//! A list of one text, one value or one statement means what stands in it. Effect: same meaning. A list takes a byte in the packed form.

use super::{Rewrite, Scale, counted};
use crate::policy::{Clause, Element, Policy, Scalars, Statements, Values};

pub(super) const REWRITE: Rewrite = Rewrite {
    rule: "single-values",
    title: |lists| format!("write {} of one as a value", counted(lists, "list")),
    apply: rewrite,
    says_what: false,
};

fn rewrite(policy: &mut Policy, _scale: &mut Scale<'_>) -> Vec<String> {
    let mut written = Vec::new();
    for statement in policy.statements_mut() {
        if statement.clauses.iter().any(|clause| matches!(clause, Clause::Other(..))) {
            continue;
        }
        for clause in &mut statement.clauses {
            match clause {
                Clause::Action(values) | Clause::NotAction(values) | Clause::Resource(values) | Clause::NotResource(values) => {
                    if let Values::Many(texts) = values
                        && let [one] = texts.as_mut_slice()
                    {
                        written.push(format!("`{one}`"));
                        *values = Values::One(std::mem::take(one));
                    }
                }
                Clause::Condition(operators) => {
                    for (_, values) in operators.iter_mut().flat_map(|(_, keys)| keys) {
                        if let Scalars::Many(many) = values
                            && let [one] = many.as_slice()
                        {
                            written.push(format!("`{}`", one.text()));
                            *values = Scalars::One(one.clone());
                        }
                    }
                }
                Clause::Sid(_) | Clause::Effect(_) | Clause::Other(..) => {}
            }
        }
    }
    for element in &mut policy.elements {
        // Brackets take plain characters only, so this is no reason of its own.
        if let Element::Statement(statements) = element
            && let Statements::Many(many) = statements
            && let [one] = many.as_mut_slice()
            && !written.is_empty()
        {
            *statements = Statements::One(std::mem::take(one));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten;
    use super::*;

    #[test]
    fn lists_of_one_become_values_and_others_stay() {
        let text =
            r#"{"Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["a","b"],"Condition":{"StringLike":{"k":["x"],"l":[]}}}]}"#;
        let (after, written) = rewritten(&REWRITE, text).unwrap();
        assert_eq!(
            after,
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":["a","b"],"Condition":{"StringLike":{"k":"x","l":[]}}}}"#
        );
        assert_eq!(written, ["`s3:*`", "`x`"]);
    }

    #[test]
    fn a_statement_with_an_unknown_element_stays_as_it_is() {
        assert_eq!(rewritten(&REWRITE, r#"{"Statement":{"Effect":"Allow","Action":["s3:*"],"Resource":"*","Principal":["x"]}}"#), None);
    }
}
