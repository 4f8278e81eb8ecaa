//! What a document decides on one request, by going through its statements: the check of every witness.

use std::net::IpAddr;

use super::document::{Document, Kind, Quantifier, Statement, Test, Value};
use super::pattern::{self, Manner, Piece};
use super::{Colons, Decision, Reading};

/// A request.
pub(super) struct Request<'a> {
    pub action: &'a str,
    pub resource: &'a str,
    /// Keys in lower case with their values.
    pub context: &'a [(String, Vec<String>)],
}

impl Request<'_> {
    fn values(&self, key: &str) -> Option<&[String]> {
        self.context.iter().find(|(other, _)| other == key).map(|(_, values)| values.as_slice())
    }
}

/// How action patterns match.
pub(super) fn action_manner(colons: Colons) -> Manner {
    Manner { segments: 1, bare: true, any_case: true, colons }
}

/// How resource patterns match.
pub(super) fn resource_manner(colons: Colons) -> Manner {
    Manner { segments: 5, bare: true, any_case: false, colons }
}

/// How the patterns of a string or ARN condition match.
pub(super) fn value_manner(kind: Kind, reading: Reading) -> Manner {
    let arn = kind == Kind::Arn;
    Manner { segments: if arn { 5 } else { 0 }, bare: false, any_case: arn && reading.arn_any_case, colons: reading.colons }
}

/// The decision; None where this evaluator does not know, so that nothing is claimed.
pub(super) fn decide(document: &Document, request: &Request<'_>, reading: Reading) -> Option<Decision> {
    let applies = |deny: bool| {
        let statements = document.statements.iter().filter(move |statement| statement.deny == deny);
        any(statements.map(|statement| statement_applies(statement, request, reading)))
    };
    if applies(true)? {
        Some(Decision::DeniedExplicitly)
    } else if applies(false)? {
        Some(Decision::Allowed)
    } else {
        Some(Decision::NotAllowed)
    }
}

/// Whether one of several holds, when some are unknown.
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = false,
        }
    }
    known.then_some(false)
}

fn not(part: Option<bool>) -> Option<bool> {
    part.map(|holds| !holds)
}

fn statement_applies(statement: &Statement, request: &Request<'_>, reading: Reading) -> Option<bool> {
    let action = any(statement.actions.patterns.iter().map(|pieces| {
        let tokens = pattern::tokens(pieces, action_manner(reading.colons));
        Some(pattern::matches(&tokens, request.action))
    }))?;
    if action == statement.actions.negated {
        return Some(false);
    }
    let resource = any(statement
        .resources
        .patterns
        .iter()
        .map(|pieces| text_matches(pieces, request.resource, resource_manner(reading.colons), request)));
    let resource = if statement.resources.negated { not(resource) } else { resource };
    let void = reading.void && statement.variables().iter().any(|key| !matches!(request.values(key), Some(values) if values.len() == 1));
    let fails = std::iter::once(not(resource))
        .chain(std::iter::once(Some(void)))
        .chain(statement.tests.iter().map(|test| not(test_holds(test, request, reading))));
    not(any(fails))
}

/// A text against a pattern whose variables take their values from the request.
fn text_matches(pieces: &[Piece], text: &str, manner: Manner, request: &Request<'_>) -> Option<bool> {
    let mut filled = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let Piece::Variable { key, default } = piece else {
            filled.push(piece.clone());
            continue;
        };
        // A key of several values cannot be a variable, so that it has no value then.
        let value = match request.values(key) {
            Some([value]) => value,
            _ => match default {
                Some(default) => default,
                None => return Some(false),
            },
        };
        // What wildcards and colons in a value do is not documented.
        if value.contains(['*', '?', ':', '$']) {
            return None;
        }
        filled.extend(value.chars().map(Piece::Char));
    }
    Some(pattern::matches(&pattern::tokens(&filled, manner), text))
}

fn test_holds(test: &Test, request: &Request<'_>, reading: Reading) -> Option<bool> {
    let values = request.values(&test.key);
    if test.kind == Kind::Null {
        let expected = test.values.first().is_some_and(|value| value.text == "true");
        return match values {
            None => Some(expected),
            // A key without a value that says something may count as null or not.
            Some(values) if values.iter().all(String::is_empty) => None,
            Some(_) => Some(!expected),
        };
    }
    let Some(values) = values else {
        return Some(match test.quantifier {
            Quantifier::Plain => test.negated || test.if_exists,
            Quantifier::AnyValue => test.if_exists,
            Quantifier::AllValues => true,
        });
    };
    if values.is_empty() && test.quantifier != Quantifier::AllValues {
        return None;
    }
    let matched = |value: &String| any(test.values.iter().map(|wanted| value_matches(test.kind, wanted, value, request, reading)));
    let failed = |value: &String| not(matched(value));
    if test.quantifier == Quantifier::AllValues {
        let fails = if test.negated { any(values.iter().map(matched)) } else { any(values.iter().map(failed)) };
        return if fails != Some(false) && values.iter().all(String::is_empty) { None } else { not(fails) };
    }
    match (test.quantifier, test.negated) {
        (_, false) => any(values.iter().map(matched)),
        (Quantifier::Plain, true) if !reading.one_fails => not(any(values.iter().map(matched))),
        (_, true) => any(values.iter().map(failed)),
    }
}

fn value_matches(kind: Kind, wanted: &Value, value: &str, request: &Request<'_>, reading: Reading) -> Option<bool> {
    let (wanted_text, text) = (wanted.text.as_str(), value);
    match kind {
        Kind::Equals | Kind::Like | Kind::Arn => text_matches(&wanted.pieces, text, value_manner(kind, reading), request),
        Kind::Null => None,
        Kind::Other("StringEqualsIgnoreCase") => {
            let manner = Manner { segments: 0, bare: false, any_case: true, colons: Colons::Crossed };
            if text.is_ascii() && wanted_text.is_ascii() { text_matches(&wanted.pieces, text, manner, request) } else { None }
        }
        Kind::Other("Bool") => {
            let known = ["true", "false"];
            (known.contains(&wanted_text) && known.contains(&text)).then_some(wanted_text == text)
        }
        Kind::Other("IpAddress") => {
            let (network, prefix) = wanted_text.split_once('/').map_or((wanted_text, None), |(network, prefix)| (network, Some(prefix)));
            let (network, address): (IpAddr, IpAddr) = (network.parse().ok()?, text.parse().ok()?);
            let (network, address, width) = match (network, address) {
                (IpAddr::V4(network), IpAddr::V4(address)) => (u32::from(network).into(), u32::from(address).into(), 32),
                (IpAddr::V6(network), IpAddr::V6(address)) => (u128::from(network), u128::from(address), 128),
                _ => return Some(false),
            };
            let prefix: u32 = prefix.map_or(Some(width), |prefix| prefix.parse().ok())?;
            let dropped = width.checked_sub(prefix)?;
            Some((network ^ address).checked_shr(dropped).unwrap_or(0) == 0)
        }
        Kind::Other(name) => {
            let order = if name.starts_with("Numeric") {
                number(text)?.partial_cmp(&number(wanted_text)?)?
            } else if name.starts_with("Date") {
                date(text)?.cmp(date(wanted_text)?)
            } else {
                // Binary values: one text is one value, two texts may be.
                return (text == wanted_text).then_some(true);
            };
            Some(match name.trim_start_matches("Numeric").trim_start_matches("Date") {
                "Equals" => order.is_eq(),
                "LessThan" => order.is_lt(),
                "LessThanEquals" => order.is_le(),
                "GreaterThan" => order.is_gt(),
                "GreaterThanEquals" => order.is_ge(),
                _ => return None,
            })
        }
    }
}

/// Integers that every reader takes for the same number.
fn number(text: &str) -> Option<f64> {
    text.parse::<i32>().ok().map(f64::from)
}

/// Times of one form, which sort as texts.
fn date(text: &str) -> Option<&str> {
    let form = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
    let pattern = b"0000-00-00T00:00:00Z";
    (text.len() == pattern.len() && text.bytes().zip(*pattern).all(form)).then_some(text)
}
