//! The typed document to JSON without white space.

use super::json::{Json, write_string};
use super::{Clause, Element, Policy, Scalar, Scalars, Statement, Statements, Values};

pub(super) fn policy(policy: &Policy) -> String {
    let mut out = String::new();
    block(&mut out, '{', '}', &policy.elements, element);
    out
}

fn block<T>(out: &mut String, open: char, close: char, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(close);
}

fn key(out: &mut String, name: &str) {
    write_string(name, out);
    out.push(':');
}

fn member(out: &mut String, name: &str, value: &Json) {
    key(out, name);
    value.write(out);
}

fn text_member(out: &mut String, name: &str, text: &str) {
    key(out, name);
    write_string(text, out);
}

fn element(out: &mut String, element: &Element) {
    match element {
        Element::Version(version) => text_member(out, "Version", version),
        Element::Id(id) => text_member(out, "Id", id),
        Element::Statement(statements) => {
            key(out, "Statement");
            match statements {
                Statements::One(one) => statement(out, one),
                Statements::Many(many) => block(out, '[', ']', many, statement),
            }
        }
        Element::Other(name, value) => member(out, name, value),
    }
}

fn statement(out: &mut String, statement: &Statement) {
    block(out, '{', '}', &statement.clauses, clause);
}

fn clause(out: &mut String, clause: &Clause) {
    match clause {
        Clause::Sid(sid) => text_member(out, "Sid", sid),
        Clause::Effect(effect) => text_member(out, "Effect", effect.name()),
        Clause::Action(actions) => values(out, "Action", actions),
        Clause::NotAction(actions) => values(out, "NotAction", actions),
        Clause::Resource(resources) => values(out, "Resource", resources),
        Clause::NotResource(resources) => values(out, "NotResource", resources),
        Clause::Condition(operators) => {
            key(out, "Condition");
            block(out, '{', '}', operators, |out, (operator, keys)| {
                key(out, operator);
                block(out, '{', '}', keys, |out, (name, scalars)| {
                    key(out, name);
                    match scalars {
                        Scalars::One(one) => scalar(out, one),
                        Scalars::Many(many) => block(out, '[', ']', many, scalar),
                    }
                });
            });
        }
        Clause::Other(name, value) => member(out, name, value),
    }
}

fn values(out: &mut String, name: &str, values: &Values) {
    key(out, name);
    match values {
        Values::One(text) => write_string(text, out),
        Values::Many(texts) => block(out, '[', ']', texts, |out, text| write_string(text, out)),
    }
}

fn scalar(out: &mut String, scalar: &Scalar) {
    match scalar {
        Scalar::String(text) => write_string(text, out),
        Scalar::Bool(_) | Scalar::Number(_) => out.push_str(scalar.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Effect;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z:*]{0,12}", any::<String>()]
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            any::<i32>().prop_map(|number| Json::Number(number.to_string())),
            text().prop_map(Json::String),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![vec(inner.clone(), 0..4).prop_map(Json::Array), vec((text(), inner), 0..4).prop_map(Json::Object)]
        })
    }

    fn texts() -> impl Strategy<Value = Values> {
        prop_oneof![text().prop_map(Values::One), vec(text(), 0..4).prop_map(Values::Many)]
    }

    fn scalars() -> impl Strategy<Value = Scalars> {
        let one = prop_oneof![
            text().prop_map(Scalar::String),
            any::<bool>().prop_map(Scalar::Bool),
            any::<i16>().prop_map(|number| Scalar::Number(number.to_string())),
        ];
        prop_oneof![one.clone().prop_map(Scalars::One), vec(one, 0..3).prop_map(Scalars::Many)]
    }

    fn clause() -> impl Strategy<Value = Clause> {
        prop_oneof![
            text().prop_map(Clause::Sid),
            prop_oneof![Just(Effect::Allow), Just(Effect::Deny)].prop_map(Clause::Effect),
            texts().prop_map(Clause::Action),
            texts().prop_map(Clause::NotAction),
            texts().prop_map(Clause::Resource),
            texts().prop_map(Clause::NotResource),
            vec((text(), vec((text(), scalars()), 0..3)), 0..3).prop_map(Clause::Condition),
            ("Principal[a-z]{0,3}", json()).prop_map(|(name, value)| Clause::Other(name, value)),
        ]
    }

    fn document() -> impl Strategy<Value = Policy> {
        let statement = || vec(clause(), 0..6).prop_map(|clauses| Statement { clauses });
        let element = prop_oneof![
            text().prop_map(Element::Version),
            text().prop_map(Element::Id),
            statement().prop_map(|one| Element::Statement(Statements::One(one))),
            vec(statement(), 0..3).prop_map(|many| Element::Statement(Statements::Many(many))),
            ("x[a-z]{0,3}", json()).prop_map(|(name, value)| Element::Other(name, value)),
        ];
        vec(element, 0..4).prop_map(|elements| Policy { elements })
    }

    proptest! {
        #[test]
        fn a_printed_document_parses_to_itself(policy in document()) {
            let printed = policy.to_string();
            prop_assert_eq!(Policy::parse(&printed).unwrap(), policy);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok());
        }

        #[test]
        fn printing_drops_nothing_but_white_space(value in json()) {
            let mut text = String::from("{\"Statement\":");
            value.write(&mut text);
            text.push('}');
            let before: serde_json::Value = serde_json::from_str(&text).unwrap();
            let spaced = serde_json::to_string_pretty(&before).unwrap();
            let after: serde_json::Value = serde_json::from_str(&Policy::parse(&spaced).unwrap().to_string()).unwrap();
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn a_pretty_policy_is_printed_without_white_space_in_its_own_order() {
        let pretty = "{\n \"Statement\": [ { \"Resource\": \"*\", \"Effect\": \"Allow\", \"Action\": [ \"s3:GetObject\" ],\n\
                      \"Condition\": {\"Bool\": {\"aws:SecureTransport\": true}} } ],\n \"Version\": \"2012-10-17\" }";
        assert_eq!(
            Policy::parse(pretty).unwrap().to_string(),
            r#"{"Statement":[{"Resource":"*","Effect":"Allow","Action":["s3:GetObject"],"Condition":{"Bool":{"aws:SecureTransport":true}}}],"Version":"2012-10-17"}"#
        );
    }

    #[test]
    fn a_list_is_no_policy() {
        assert_eq!(Policy::parse("[]").unwrap_err().to_string(), "a policy is a JSON object at line 1 column 1");
    }
}
