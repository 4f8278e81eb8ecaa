//! A policy document with what this room vouches for; what it does not know is set aside word for word.
//!
//! The forms are those of the [grammar](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html), where a list of one may be written as
//! its item. Names of elements, effects and operators are taken only in the letter case of that page.

use super::json::Json;
use super::pattern::{self, Piece};
use super::{Doubt, Side};

/// A document.
pub(super) struct Document {
    pub side: Side,
    /// Whether `${` begins a variable: the version is 2012-10-17; [without one it is 2008-10-17](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html).
    pub variables: bool,
    pub statements: Vec<Statement>,
    pub odd: Vec<Odd>,
}

/// A part whose meaning is not known.
pub(super) struct Odd {
    /// The part, without what means nothing.
    pub json: Json,
    pub place: String,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub deny: bool,
    pub actions: Matched,
    pub resources: Matched,
    pub tests: Vec<Test>,
}

impl Statement {
    /// The keys of its variables that have no default, lower case.
    pub(super) fn variables(&self) -> Vec<&str> {
        let texts = self.resources.patterns.iter().chain(self.tests.iter().flat_map(|test| test.values.iter().map(|value| &value.pieces)));
        let mut keys: Vec<&str> = texts
            .flatten()
            .filter_map(|piece| match piece {
                Piece::Variable { key, default: None } => Some(key.as_str()),
                _ => None,
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    /// What matches none of the patterns, instead of one.
    pub negated: bool,
    pub patterns: Vec<Vec<Piece>>,
}

/// One key under one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Test {
    pub quantifier: Quantifier,
    pub kind: Kind,
    pub negated: bool,
    pub if_exists: bool,
    /// Lower case.
    pub key: String,
    /// As it is written.
    pub written: String,
    pub values: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Plain,
    AnyValue,
    AllValues,
}

/// How a value is compared; negation apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Equals,
    Like,
    /// `ArnEquals` and `ArnLike`, which "behave identically".
    Arn,
    Null,
    /// By the name of the operator that is not negated.
    Other(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Value {
    /// As far as it has letter case: lower case where that means nothing.
    pub text: String,
    /// Its characters, wildcards and variables, as its operator reads them.
    pub pieces: Vec<Piece>,
}

/// The operator of a name without set operator and `IfExists`, and whether it is negated.
/// All are on [one page](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html).
fn operator(name: &str) -> Option<(Kind, bool)> {
    Some(match name {
        "StringEquals" => (Kind::Equals, false),
        "StringNotEquals" => (Kind::Equals, true),
        "StringLike" => (Kind::Like, false),
        "StringNotLike" => (Kind::Like, true),
        "ArnEquals" | "ArnLike" => (Kind::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Kind::Arn, true),
        "Null" => (Kind::Null, false),
        "StringEqualsIgnoreCase" => (Kind::Other("StringEqualsIgnoreCase"), false),
        "StringNotEqualsIgnoreCase" => (Kind::Other("StringEqualsIgnoreCase"), true),
        "NumericEquals" => (Kind::Other("NumericEquals"), false),
        "NumericNotEquals" => (Kind::Other("NumericEquals"), true),
        "NumericLessThan" => (Kind::Other("NumericLessThan"), false),
        "NumericLessThanEquals" => (Kind::Other("NumericLessThanEquals"), false),
        "NumericGreaterThan" => (Kind::Other("NumericGreaterThan"), false),
        "NumericGreaterThanEquals" => (Kind::Other("NumericGreaterThanEquals"), false),
        "DateEquals" => (Kind::Other("DateEquals"), false),
        "DateNotEquals" => (Kind::Other("DateEquals"), true),
        "DateLessThan" => (Kind::Other("DateLessThan"), false),
        "DateLessThanEquals" => (Kind::Other("DateLessThanEquals"), false),
        "DateGreaterThan" => (Kind::Other("DateGreaterThan"), false),
        "DateGreaterThanEquals" => (Kind::Other("DateGreaterThanEquals"), false),
        "Bool" => (Kind::Other("Bool"), false),
        "BinaryEquals" => (Kind::Other("BinaryEquals"), false),
        "IpAddress" => (Kind::Other("IpAddress"), false),
        "NotIpAddress" => (Kind::Other("IpAddress"), true),
        _ => return None,
    })
}

/// Reads a document. Statements that are not understood are set aside; without knowing which statements there are, nothing is.
pub(super) fn read(side: Side, json: &Json) -> Result<Document, Doubt> {
    let doubt = |why: &str| Doubt::Document(side, why.to_owned());
    let Json::Object(members) = json else {
        return Err(doubt("a policy is an object"));
    };
    let mut document = Document { side, variables: false, statements: Vec::new(), odd: Vec::new() };
    document.variables = match once(members, "Version").map_err(|why| doubt(&why))? {
        None => false,
        Some(Json::Text(version)) if version == "2008-10-17" => false,
        Some(Json::Text(version)) if version == "2012-10-17" => true,
        Some(_) => return Err(doubt("`Version` is neither 2012-10-17 nor 2008-10-17")),
    };
    for (name, value) in members {
        let known = match name.as_str() {
            "Version" | "Statement" => true,
            "Id" => matches!(value, Json::Text(_)),
            _ => false,
        };
        if !known {
            let json = Json::Object(vec![(name.clone(), value.clone())]);
            document.odd.push(Odd { json, place: format!("`{name}`"), why: "an element of unknown meaning".to_owned() });
        }
    }
    let statements = match once(members, "Statement").map_err(|why| doubt(&why))? {
        Some(Json::List(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(one @ Json::Object(_)) => std::slice::from_ref(one),
        _ => return Err(doubt("no statement")),
    };
    for (number, json) in statements.iter().enumerate() {
        match statement(json, document.variables) {
            Ok(statement) => document.statements.push(statement),
            Err(why) => document.odd.push(Odd { json: without_sid(json), place: format!("statement {}", number + 1), why }),
        }
    }
    Ok(document)
}

/// The member of this name, which must not be repeated.
fn once<'a>(members: &'a [(String, Json)], name: &str) -> Result<Option<&'a Json>, String> {
    let mut found = members.iter().filter(|(other, _)| other == name).map(|(_, value)| value);
    let first = found.next();
    if found.next().is_some() { Err(format!("`{name}` is repeated")) } else { Ok(first) }
}

/// A [`Sid`](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html) is a name and no more.
fn without_sid(json: &Json) -> Json {
    match json {
        Json::Object(members) => {
            Json::Object(members.iter().filter(|(name, value)| name != "Sid" || !matches!(value, Json::Text(_))).cloned().collect())
        }
        other => other.clone(),
    }
}

fn statement(json: &Json, variables: bool) -> Result<Statement, String> {
    let Json::Object(members) = json else {
        return Err("no object".to_owned());
    };
    for (name, value) in members {
        match name.as_str() {
            "Effect" | "Action" | "NotAction" | "Resource" | "NotResource" | "Condition" => {}
            "Sid" if matches!(value, Json::Text(_)) => {}
            _ => return Err(format!("`{name}` is of unknown meaning")),
        }
    }
    once(members, "Sid")?;
    let deny = match once(members, "Effect")? {
        Some(Json::Text(effect)) if effect == "Allow" => false,
        Some(Json::Text(effect)) if effect == "Deny" => true,
        _ => return Err("`Effect` is neither `Allow` nor `Deny`".to_owned()),
    };
    let actions = matched(members, "Action", "NotAction", action)?;
    let resources = matched(members, "Resource", "NotResource", |text| {
        pattern::read(text, true, variables).ok_or_else(|| format!("`{text}` has a variable of unknown form"))
    })?;
    let mut tests = Vec::new();
    match once(members, "Condition")? {
        None => {}
        Some(Json::Object(operators)) => {
            for (place, (name, keys)) in operators.iter().enumerate() {
                if operators.iter().skip(place + 1).any(|(other, _)| other == name) {
                    return Err(format!("`{name}` is repeated"));
                }
                operator_tests(name, keys, variables, &mut tests)?;
            }
        }
        Some(_) => return Err("`Condition` is no object".to_owned()),
    }
    Ok(Statement { deny, actions, resources, tests })
}

/// One element and its negation, of which just one must be there.
fn matched(
    members: &[(String, Json)],
    name: &str,
    not: &str,
    read: impl Fn(&str) -> Result<Vec<Piece>, String>,
) -> Result<Matched, String> {
    let (negated, json) = match (once(members, name)?, once(members, not)?) {
        (Some(json), None) => (false, json),
        (None, Some(json)) => (true, json),
        (None, None) => return Err(format!("neither `{name}` nor `{not}`")),
        (Some(_), Some(_)) => return Err(format!("both `{name}` and `{not}`")),
    };
    let name = if negated { not } else { name };
    let mut patterns = Vec::new();
    for item in items(json) {
        let Json::Text(text) = item else {
            return Err(format!("`{name}` holds what is no text"));
        };
        let pattern = read(text)?;
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    if patterns.is_empty() { Err(format!("`{name}` is empty")) } else { Ok(Matched { negated, patterns }) }
}

fn items(json: &Json) -> &[Json] {
    match json {
        Json::List(items) => items,
        one => std::slice::from_ref(one),
    }
}

/// An action is `*` or a service, a colon and a name, [without letter case](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html);
/// variables have no place in it. Letters beyond ASCII might fold in more than one way.
fn action(text: &str) -> Result<Vec<Piece>, String> {
    if !text.is_ascii() || text.contains('$') || (text != "*" && !text.contains(':')) {
        return Err(format!("`{text}` is no action"));
    }
    pattern::read(text, true, false).ok_or_else(|| format!("`{text}` is no action"))
}

fn operator_tests(name: &str, keys: &Json, variables: bool, tests: &mut Vec<Test>) -> Result<(), String> {
    let (quantifier, rest) = match (name.strip_prefix("ForAnyValue:"), name.strip_prefix("ForAllValues:")) {
        (Some(rest), _) => (Quantifier::AnyValue, rest),
        (_, Some(rest)) => (Quantifier::AllValues, rest),
        _ => (Quantifier::Plain, name),
    };
    let (base, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |base| (base, true));
    let unknown = || format!("`{name}` is no operator known here");
    let (kind, negated) = operator(base).ok_or_else(unknown)?;
    if kind == Kind::Null && (if_exists || quantifier != Quantifier::Plain) {
        return Err(unknown());
    }
    let Json::Object(keys) = keys else {
        return Err(format!("`{name}` holds no object"));
    };
    for (place, (written, json)) in keys.iter().enumerate() {
        let key = written.to_ascii_lowercase();
        if keys.iter().skip(place + 1).any(|(other, _)| other.eq_ignore_ascii_case(written)) {
            return Err(format!("`{written}` is repeated"));
        }
        if key.is_empty() || !key.is_ascii() || variables && key.contains("${") {
            return Err(format!("`{written}` is no key known here"));
        }
        let mut values = Vec::new();
        for item in items(json) {
            let value = value(kind, item, variables).ok_or_else(|| format!("`{written}` holds a value of unknown meaning"))?;
            if !values.contains(&value) {
                values.push(value);
            }
        }
        if values.is_empty() || kind == Kind::Null && values.len() > 1 {
            return Err(format!("`{written}` holds {}", if values.is_empty() { "no value" } else { "both true and false" }));
        }
        values.sort_unstable();
        tests.push(Test { quantifier, kind, negated, if_exists, key, written: written.clone(), values });
    }
    Ok(())
}

/// A value; `true` and `1` are their texts, as the grammar says of quotation marks.
fn value(kind: Kind, json: &Json, variables: bool) -> Option<Value> {
    let text = match json {
        Json::Text(text) => text.clone(),
        Json::Bool(holds) => holds.to_string(),
        // Other spellings of numbers might be read as another text.
        Json::Number(text) if text.parse::<i64>().is_ok_and(|number| number.to_string() == *text) => text.clone(),
        _ => return None,
    };
    let has_variable = variables && text.contains("${");
    let (text, pieces) = match kind {
        Kind::Equals => {
            let pieces = pattern::read(&text, false, variables)?;
            (text, pieces)
        }
        Kind::Like | Kind::Arn => {
            let pieces = pattern::read(&text, true, variables)?;
            (text, pieces)
        }
        Kind::Null => match text.as_str() {
            "true" | "false" => (text, Vec::new()),
            _ => return None,
        },
        Kind::Other("StringEqualsIgnoreCase") => {
            let text = text.to_ascii_lowercase();
            let pieces = pattern::read(&text, false, variables)?;
            (text, pieces)
        }
        // The page on variables knows them in strings and ARNs alone.
        Kind::Other(_) if has_variable => return None,
        Kind::Other(_) => {
            let pieces = pattern::read(&text, false, false)?;
            (text, pieces)
        }
    };
    Some(Value { text, pieces })
}
