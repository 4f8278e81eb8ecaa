//! JSON to the typed document.

use super::json::{self, Json};
use super::{Clause, Effect, Element, ParseError, Policy, Scalar, Scalars, Statement, Statements, Values};

pub(super) fn policy(text: &str) -> Result<Policy, ParseError> {
    match json::parse(text)? {
        Json::Object(members) => Ok(Policy { elements: members.into_iter().map(element).collect() }),
        _ => Err(ParseError { message: "a policy is a JSON object", line: 1, column: 1 }),
    }
}

fn element((name, value): (String, Json)) -> Element {
    match (name.as_str(), value) {
        ("Version", Json::String(version)) => Element::Version(version),
        ("Id", Json::String(id)) => Element::Id(id),
        ("Statement", Json::Object(members)) => Element::Statement(Statements::One(statement(members))),
        ("Statement", Json::Array(items)) if items.iter().all(|item| matches!(item, Json::Object(_))) => {
            let objects = items.into_iter().filter_map(|item| match item {
                Json::Object(members) => Some(statement(members)),
                _ => None,
            });
            Element::Statement(Statements::Many(objects.collect()))
        }
        (_, value) => Element::Other(name, value),
    }
}

fn statement(members: Vec<(String, Json)>) -> Statement {
    Statement { clauses: members.into_iter().map(clause).collect() }
}

fn clause((name, value): (String, Json)) -> Clause {
    match (name.as_str(), value) {
        ("Sid", Json::String(sid)) => Clause::Sid(sid),
        ("Effect", Json::String(effect)) if effect == "Allow" => Clause::Effect(Effect::Allow),
        ("Effect", Json::String(effect)) if effect == "Deny" => Clause::Effect(Effect::Deny),
        ("Action", value) => values(name, value, Clause::Action),
        ("NotAction", value) => values(name, value, Clause::NotAction),
        ("Resource", value) => values(name, value, Clause::Resource),
        ("NotResource", value) => values(name, value, Clause::NotResource),
        ("Condition", Json::Object(operators)) if operators.iter().all(|(_, keys)| is_condition_block(keys)) => {
            Clause::Condition(operators.into_iter().map(|(operator, keys)| (operator, condition_keys(keys))).collect())
        }
        (_, value) => Clause::Other(name, value),
    }
}

fn values(name: String, value: Json, make: fn(Values) -> Clause) -> Clause {
    match value {
        Json::String(text) => make(Values::One(text)),
        Json::Array(items) if items.iter().all(|item| matches!(item, Json::String(_))) => {
            let texts = items.into_iter().filter_map(|item| match item {
                Json::String(text) => Some(text),
                _ => None,
            });
            make(Values::Many(texts.collect()))
        }
        other => Clause::Other(name, other),
    }
}

fn is_scalar(value: &Json) -> bool {
    matches!(value, Json::String(_) | Json::Bool(_) | Json::Number(_))
}

fn is_condition_block(keys: &Json) -> bool {
    let Json::Object(keys) = keys else { return false };
    keys.iter().all(|(_, value)| match value {
        Json::Array(items) => items.iter().all(is_scalar),
        one => is_scalar(one),
    })
}

fn condition_keys(keys: Json) -> Vec<(String, Scalars)> {
    let Json::Object(keys) = keys else { return Vec::new() };
    keys.into_iter()
        .filter_map(|(key, value)| {
            let values = match value {
                Json::Array(items) => Scalars::Many(items.into_iter().filter_map(scalar).collect()),
                one => Scalars::One(scalar(one)?),
            };
            Some((key, values))
        })
        .collect()
}

fn scalar(value: Json) -> Option<Scalar> {
    match value {
        Json::String(text) => Some(Scalar::String(text)),
        Json::Bool(flag) => Some(Scalar::Bool(flag)),
        Json::Number(text) => Some(Scalar::Number(text)),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
