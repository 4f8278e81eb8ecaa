//! What an IAM policy means, written down once more: a plain evaluator of one document on one request, and policies, edits and requests to try.
//!
//! It shares nothing with the crate. What the documentation of AWS leaves open is a [`Reading`].

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// What a document decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Denied,
    Nothing,
}

/// A request; keys in lower case.
#[derive(Clone, Debug)]
pub struct Request {
    pub action: String,
    pub resource: String,
    pub context: Vec<(String, Vec<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    Always,
    Never,
    AtSegmentEnd,
}

/// One answer to every open question.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Whether wildcards cross the colons of an ARN.
    pub crossing: Crossing,
    /// Whether a variable without a value voids the statement, or only its pattern fails.
    pub void: bool,
    /// Whether a plain negated operator on several values needs one that fails, or all.
    pub one_fails: bool,
    /// Whether ARNs in conditions have no letter case.
    pub arn_any_case: bool,
    /// Whether keys with no value, or only empty ones, are null, and hold for `ForAllValues:`.
    pub empty_is_null: bool,
    /// Whether a key with an empty list counts as absent.
    pub empty_is_absent: bool,
    /// Whether wildcards in a variable's value are wildcards.
    pub wild_values: bool,
}

/// Every combination of the readings that policies commonly meet, the rest spread over them.
pub fn readings() -> Vec<Reading> {
    let mut readings = Vec::new();
    for crossing in [Crossing::Always, Crossing::Never, Crossing::AtSegmentEnd] {
        for bits in 0..4_u32 {
            let (void, one_fails) = (bits & 1 == 1, bits & 2 == 2);
            for odd in [false, true] {
                let turn = odd ^ (crossing == Crossing::Never);
                readings.push(Reading {
                    crossing,
                    void,
                    one_fails,
                    arn_any_case: odd,
                    empty_is_null: turn ^ void,
                    empty_is_absent: turn ^ one_fails,
                    wild_values: odd ^ void,
                });
            }
        }
    }
    readings
}

/// A part of a pattern, when variables are filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Just(char),
    One,
    Many,
}

fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(list).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

struct Evaluation<'a> {
    request: &'a Request,
    reading: Reading,
    variables: bool,
}

/// What a document of known form decides.
pub fn decide(document: &Value, request: &Request, reading: Reading) -> Verdict {
    let variables = document.get("Version").is_some_and(|version| version == "2012-10-17");
    let evaluation = Evaluation { request, reading, variables };
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.as_slice(),
        one => std::slice::from_ref(one),
    };
    let applies = |effect: &str| statements.iter().any(|one| one["Effect"] == effect && evaluation.statement(one));
    if applies("Deny") {
        Verdict::Denied
    } else if applies("Allow") {
        Verdict::Allowed
    } else {
        Verdict::Nothing
    }
}

impl Evaluation<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        self.request.context.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, values)| values.clone())
    }

    fn statement(&self, statement: &Value) -> bool {
        let action = |value: &Value| list(value).iter().any(|pattern| self.action(pattern));
        let resource = |value: &Value| list(value).iter().any(|pattern| self.pattern(pattern, &self.request.resource, 5, true, false));
        let element = |name: &str, not: &str, matches: &dyn Fn(&Value) -> bool| match (statement.get(name), statement.get(not)) {
            (Some(value), _) => matches(value),
            (_, Some(value)) => !matches(value),
            _ => false,
        };
        let holds =
            |(operator, keys): (&String, &Value)| keys.as_object().unwrap().iter().all(|(key, values)| self.test(operator, key, values));
        element("Action", "NotAction", &action)
            && element("Resource", "NotResource", &resource)
            && statement.get("Condition").is_none_or(|condition| condition.as_object().unwrap().iter().all(holds))
            && !(self.reading.void && self.unresolved(statement))
    }

    /// Whether some variable of a statement has no value.
    fn unresolved(&self, statement: &Value) -> bool {
        let mut texts: Vec<String> = ["Resource", "NotResource"].iter().filter_map(|name| statement.get(name)).flat_map(list).collect();
        for keys in statement.get("Condition").and_then(Value::as_object).into_iter().flat_map(Map::values) {
            texts.extend(keys.as_object().unwrap().values().flat_map(list));
        }
        texts.iter().any(|text| self.fill(text, true).is_none())
    }

    fn action(&self, pattern: &str) -> bool {
        let parts: Vec<Part> = wild(&pattern.to_ascii_lowercase());
        pattern == "*" || self.parts_match(&parts, &self.request.action.to_ascii_lowercase(), 1)
    }

    /// The parts of a pattern; None where a variable has no value.
    fn fill(&self, text: &str, wildcards: bool) -> Option<Vec<Part>> {
        if !self.variables {
            return Some(if wildcards { wild(text) } else { text.chars().map(Part::Just).collect() });
        }
        let mut parts = Vec::new();
        let mut pieces = text.split("${");
        let plain = |text: &str| if wildcards { wild(text) } else { text.chars().map(Part::Just).collect() };
        parts.extend(plain(pieces.next().unwrap()));
        for piece in pieces {
            let (inner, rest) = piece.split_once('}').unwrap();
            match inner {
                "*" | "?" | "$" => parts.extend(inner.chars().map(Part::Just)),
                _ => {
                    let (key, default) = inner.split_once(',').map_or((inner, None), |(key, default)| (key, Some(default)));
                    let value = self.values(key.trim()).filter(|values| values.len() == 1).map(|values| values[0].clone());
                    let default = default.map(|default| default.trim().trim_matches('\'').to_owned());
                    let value = value.or(default)?;
                    parts.extend(if self.reading.wild_values && wildcards {
                        wild(&value)
                    } else {
                        value.chars().map(Part::Just).collect()
                    });
                }
            }
            parts.extend(plain(rest));
        }
        Some(parts)
    }

    fn pattern(&self, pattern: &str, text: &str, segments: usize, bare: bool, any_case: bool) -> bool {
        if bare && pattern == "*" {
            return true;
        }
        let Some(mut parts) = self.fill(pattern, true) else { return false };
        let mut text = text.to_owned();
        if any_case {
            text = text.to_ascii_lowercase();
            for part in &mut parts {
                if let Part::Just(letter) = part {
                    *letter = letter.to_ascii_lowercase();
                }
            }
        }
        self.parts_match(&parts, &text, segments)
    }

    /// `segments`: how many colons have a segment before them that wildcards may have to stay in.
    fn parts_match(&self, parts: &[Part], text: &str, segments: usize) -> bool {
        let text: Vec<char> = text.chars().collect();
        match self.reading.crossing {
            Crossing::Always => glob(parts, &text, &|_| true),
            Crossing::Never => {
                let colons = |place: &usize| parts[..*place].iter().filter(|part| **part == Part::Just(':')).count();
                let mut parts_left = parts;
                let mut text_left = &text[..];
                for _ in 0..segments {
                    let end = parts_left.iter().position(|part| *part == Part::Just(':'));
                    let text_end = text_left.iter().position(|letter| *letter == ':');
                    match (end, text_end) {
                        (Some(end), Some(text_end)) => {
                            if !glob(&parts_left[..end], &text_left[..text_end], &|_| true) {
                                return false;
                            }
                            parts_left = &parts_left[end + 1..];
                            text_left = &text_left[text_end + 1..];
                        }
                        (None, None) => return glob(parts_left, text_left, &|_| true),
                        _ => return false,
                    }
                }
                debug_assert!(colons(&parts.len()) >= segments);
                glob(parts_left, text_left, &|_| true)
            }
            Crossing::AtSegmentEnd => glob(parts, &text, &|left: usize| {
                let place = parts.len() - left;
                let before = parts[..place].iter().filter(|part| **part == Part::Just(':')).count();
                let ends = matches!(parts.get(place + 1), None | Some(Part::Just(':')));
                before >= segments || (ends && parts[place] == Part::Many)
            }),
        }
    }

    fn test(&self, operator: &str, key: &str, values: &Value) -> bool {
        let wanted = list(values);
        let present = self.values(key).filter(|values| !(values.is_empty() && self.reading.empty_is_absent));
        if operator == "Null" {
            let null = present.is_none_or(|values| values.iter().all(String::is_empty) && self.reading.empty_is_null);
            return null == (wanted[0] == "true");
        }
        let (set, rest) = operator.split_once(':').unwrap_or(("", operator));
        let (base, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |base| (base, true));
        let negated = base.contains("Not");
        let base = base.replace("Not", "");
        let Some(values) = present else {
            return if_exists || set == "ForAllValues" || (negated && set.is_empty());
        };
        if set == "ForAllValues" && self.reading.empty_is_null && values.iter().all(String::is_empty) {
            return true;
        }
        let matched = |value: &String| wanted.iter().any(|wanted| self.value(&base, wanted, value));
        match (set, negated) {
            ("ForAllValues", false) => values.iter().all(matched),
            ("ForAllValues", true) => !values.iter().any(matched),
            ("ForAnyValue", false) | ("", false) => values.iter().any(matched),
            ("ForAnyValue", true) => values.iter().any(|value| !matched(value)),
            (_, true) if self.reading.one_fails => values.iter().any(|value| !matched(value)),
            (_, true) => !values.iter().any(matched),
            _ => panic!("{operator}"),
        }
    }

    fn value(&self, operator: &str, wanted: &str, value: &str) -> bool {
        let order = |one: &str, other: &str| match (one.parse::<f64>(), other.parse::<f64>()) {
            (Ok(one), Ok(other)) => one.partial_cmp(&other),
            _ => None,
        };
        match operator {
            "StringEquals" => self.fill(wanted, false).is_some_and(|parts| parts == value.chars().map(Part::Just).collect::<Vec<_>>()),
            "StringEqualsIgnoreCase" => self.fill(wanted, false).is_some_and(|parts| {
                parts.len() == value.chars().count()
                    && parts
                        .iter()
                        .zip(value.chars())
                        .all(|(part, letter)| matches!(part, Part::Just(other) if other.eq_ignore_ascii_case(&letter)))
            }),
            "StringLike" => self.fill(wanted, true).is_some_and(|parts| glob(&parts, &value.chars().collect::<Vec<_>>(), &|_| true)),
            "ArnLike" | "ArnEquals" => self.pattern(wanted, value, 5, false, self.reading.arn_any_case),
            "Bool" => wanted.eq_ignore_ascii_case(value),
            "BinaryEquals" => wanted.trim_end_matches('=') == value.trim_end_matches('='),
            "IpAddress" => {
                let (network, width) = wanted.split_once('/').unwrap_or((wanted, "32"));
                let bits = |text: &str| text.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
                let (Some(network), Some(address), Ok(width)) = (bits(network), bits(value), width.parse::<u32>()) else { return false };
                (network ^ address).leading_zeros() >= width
            }
            "NumericEquals" | "DateEquals" => order(value, wanted).map_or(value == wanted, |order| order.is_eq()),
            "NumericLessThan" => order(value, wanted).is_some_and(|order| order.is_lt()),
            "NumericLessThanEquals" => order(value, wanted).is_some_and(|order| order.is_le()),
            "NumericGreaterThan" => order(value, wanted).is_some_and(|order| order.is_gt()),
            "NumericGreaterThanEquals" => order(value, wanted).is_some_and(|order| order.is_ge()),
            "DateLessThan" => value < wanted,
            "DateGreaterThan" => value > wanted,
            other => panic!("{other}"),
        }
    }
}

fn wild(text: &str) -> Vec<Part> {
    let part = |letter| match letter {
        '*' => Part::Many,
        '?' => Part::One,
        other => Part::Just(other),
    };
    text.chars().map(part).collect()
}

/// `crosses`: whether the wildcard with this many parts from it to the end takes colons.
fn glob(parts: &[Part], text: &[char], crosses: &dyn Fn(usize) -> bool) -> bool {
    let takes = |letter: &char| *letter != ':' || crosses(parts.len());
    match (parts.first(), text.first()) {
        (None, left) => left.is_none(),
        (Some(Part::Many), left) => {
            glob(&parts[1..], text, crosses) || left.is_some_and(|letter| takes(letter) && glob(parts, &text[1..], crosses))
        }
        (Some(Part::One), Some(letter)) => takes(letter) && glob(&parts[1..], &text[1..], crosses),
        (Some(Part::Just(wanted)), Some(letter)) => wanted == letter && glob(&parts[1..], &text[1..], crosses),
        (Some(_), None) => false,
    }
}

// Policies.

fn joined(head: &'static str, pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(select(pieces), 1..=most).prop_map(move |pieces| format!("{head}{}", pieces.concat()))
}

fn action() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => joined("s3:", &["Get", "Put", "Object", "Tag", "*", "?"], 3),
        3 => select(vec!["s3:GetObject", "s3:PutObject", "s3:Get*", "s3:*", "S3:getobject", "s3:GetObjectTag"]).prop_map(str::to_owned),
        1 => select(vec!["*", "*:*", "ec2:*", "s*:Get*", "s3:a:*", "?3:*"]).prop_map(str::to_owned),
    ]
}

fn resource() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        6 => joined("arn:aws:s3:::", &["a", "b", "A", "/", "*", "*", "?", ":"], 4),
        1 => joined("arn:aws:s3:::", &["a", "/", "*", "${aws:username}", "${aws:userid}", "${aws:Username}", "${k:t, 'd'}", "${*}", "${?}"], 3),
        2 => joined("arn:aws:", &["s3", ":", ":", "*", "?", "x", "b", ":::"], 6),
        1 => select(vec!["arn:aws:s3:*:*:a", "arn:*:a", "arn:aws:s3*", "arn:aws:*:::a", "a*", ""]).prop_map(str::to_owned),
    ]
}

const KEYS: [&str; 4] = ["aws:username", "k:t", "aws:TagKeys", "K:T"];

fn operator() -> impl Strategy<Value = (String, Value)> {
    let strings = joined("", &["a", "b", "A", "*", "?", "", "/"], 3);
    let more_strings = prop_oneof![4 => strings, 1 => select(vec!["", "${aws:username}", "${k:t,'d'}/*", "a${aws:userid}", "${*}"]).prop_map(str::to_owned)];
    let arns = prop_oneof![
        joined("arn:aws:s3:::", &["a", "b", "A", "*", "?"], 3),
        joined("arn:", &["aws", ":", "*", ":::", "a", "?"], 6),
        Just("*".to_owned())
    ];
    let numbers = select(vec![json!("1"), json!(1), json!("2"), json!(2), json!("10"), json!("-1")]);
    let some =
        |values: BoxedStrategy<Value>| prop_oneof![values.clone(), prop::collection::vec(values, 1..4).prop_map(Value::Array)].boxed();
    let of = |names: Vec<&'static str>, values: BoxedStrategy<Value>| {
        let set = prop_oneof![6 => Just(""), 1 => Just("ForAnyValue:"), 1 => Just("ForAllValues:")];
        let tail = prop_oneof![5 => Just(""), 1 => Just("IfExists")];
        (set, select(names), tail, some(values)).prop_map(|(set, name, tail, values)| (format!("{set}{name}{tail}"), values)).boxed()
    };
    prop_oneof![
        6 => of(vec!["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"], more_strings.prop_map(Value::String).boxed()),
        2 => of(vec!["ArnLike", "ArnEquals", "ArnNotLike"], arns.prop_map(Value::String).boxed()),
        2 => of(vec!["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan"], numbers.boxed()),
        1 => of(vec!["IpAddress", "NotIpAddress"], select(vec![json!("10.0.0.0/8"), json!("10.0.0.0/16"), json!("10.1.2.3")]).boxed()),
        1 => of(vec!["DateLessThan", "DateGreaterThan"], select(vec![json!("2026-01-01T00:00:00Z"), json!("2027-01-01T00:00:00Z")]).boxed()),
        1 => of(vec!["Bool"], select(vec![json!(true), json!("true"), json!("false")]).boxed()),
        1 => of(vec!["BinaryEquals"], select(vec![json!("AA=="), json!("AB==")]).boxed()),
        2 => select(vec![json!(true), json!("true"), json!("false"), json!(["true"])]).prop_map(|value| ("Null".to_owned(), value)),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    prop::collection::vec((operator(), select(&KEYS[..])), 0..4).prop_map(|tests| {
        let mut condition = Map::new();
        for ((operator, values), key) in tests {
            let keys = condition.entry(operator).or_insert_with(|| json!({})).as_object_mut().unwrap();
            if !keys.keys().any(|other| other.eq_ignore_ascii_case(key)) {
                keys.insert(key.to_owned(), values);
            }
        }
        Value::Object(condition)
    })
}

fn element(name: &'static str, not: &'static str, texts: BoxedStrategy<String>) -> impl Strategy<Value = (String, Value)> {
    let value = prop_oneof![texts.clone().prop_map(Value::String), prop::collection::vec(texts, 1..4).prop_map(|texts| json!(texts))];
    (prop_oneof![6 => Just(name), 1 => Just(not)], value).prop_map(|(name, value)| (name.to_owned(), value))
}

fn statement() -> impl Strategy<Value = Value> {
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    let condition = prop_oneof![2 => Just(None), 2 => condition().prop_map(Some)];
    (effect, element("Action", "NotAction", action().boxed()), element("Resource", "NotResource", resource().boxed()), condition).prop_map(
        |(effect, action, resource, condition)| {
            let mut statement = Map::from_iter([("Effect".to_owned(), json!(effect)), action, resource]);
            if let Some(condition) = condition {
                statement.insert("Condition".to_owned(), condition);
            }
            Value::Object(statement)
        },
    )
}

/// Policies whose patterns meet often.
pub fn policy() -> impl Strategy<Value = Value> {
    let version = prop_oneof![4 => Just(Some("2012-10-17")), 1 => Just(Some("2008-10-17")), 1 => Just(None)];
    (version, prop::collection::vec(statement(), 1..5)).prop_map(|(version, statements)| {
        let mut policy = Map::from_iter([("Statement".to_owned(), Value::Array(statements))]);
        if let Some(version) = version {
            policy.insert("Version".to_owned(), json!(version));
        }
        Value::Object(policy)
    })
}

// Edits. Some keep the meaning, some do not, some only where they are lucky.

/// The names of all edits, for counts by edit.
pub const EDITS: [&str; 25] = [
    "drop a statement",
    "repeat a statement",
    "reverse statements",
    "merge two statements, whatever differs",
    "merge statements that differ in one element",
    "drop a deny",
    "drop a pattern",
    "add a covered pattern",
    "widen a pattern",
    "narrow a pattern",
    "change an action's letter case",
    "change a resource's letter case",
    "complement actions",
    "complement resources",
    "drop the version",
    "drop a condition",
    "drop a condition's value",
    "negate an operator",
    "toggle IfExists",
    "toggle a set operator",
    "split a statement by its patterns",
    "split a statement by a condition's values",
    "change a key's letter case",
    "unquote or quote values",
    "reverse lists, name statements",
];

fn texts(statement: &Value, name: &str) -> Option<(String, Vec<String>)> {
    [name.to_owned(), format!("Not{name}")].into_iter().find_map(|name| Some((name.clone(), list(statement.get(&name)?))))
}

/// Applies an edit; `at` chooses where. False where there is no place for it.
pub fn edit(document: &mut Value, kind: usize, at: [usize; 3]) -> bool {
    let [first, second, third] = at;
    if EDITS[kind] == "drop the version" {
        return document.as_object_mut().unwrap().remove("Version").is_some();
    }
    let statements = document["Statement"].as_array_mut().unwrap();
    let count = statements.len();
    let (one, other) = (first % count, second % count);
    let element = if third.is_multiple_of(2) { "Action" } else { "Resource" };
    match EDITS[kind] {
        "drop a statement" if count > 1 => drop(statements.remove(one)),
        "repeat a statement" => statements.insert(other, statements[one].clone()),
        "reverse statements" if count > 1 => statements.reverse(),
        "merge two statements, whatever differs" | "merge statements that differ in one element" if one != other => {
            let (a, b) = (statements[one].clone(), statements[other].clone());
            let members = ["Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];
            let differing = members.iter().filter(|name| a.get(name) != b.get(name)).count();
            if EDITS[kind] == "merge statements that differ in one element"
                && (differing != 1 || a["Effect"] != b["Effect"] || a.get("Condition") != b.get("Condition"))
            {
                return false;
            }
            let mut merged = a.clone();
            for name in ["Action", "Resource"] {
                let ((name, mut texts_a), (name_b, texts_b)) = (texts(&a, name).unwrap(), texts(&b, name).unwrap());
                if name != name_b {
                    return false;
                }
                // Complements merge by what both leave out.
                if name.starts_with("Not") {
                    texts_a.retain(|text| texts_b.contains(text));
                    if texts_a.is_empty() {
                        return false;
                    }
                } else {
                    texts_a.extend(texts_b);
                }
                merged[&name] = json!(texts_a);
            }
            if let (Some(a), Some(Value::Object(b))) = (merged.get_mut("Condition"), b.get("Condition")) {
                for (operator, keys) in b {
                    for (key, values) in keys.as_object().unwrap() {
                        if let Some(mine) = a.get_mut(operator).and_then(|keys| keys.get_mut(key)) {
                            let both: Vec<Value> = [mine.clone(), values.clone()]
                                .into_iter()
                                .flat_map(|one| if let Value::Array(items) = one { items } else { vec![one] })
                                .collect();
                            *mine = if operator == "Null" { both[0].clone() } else { Value::Array(both) };
                        }
                    }
                }
            }
            statements[one] = merged;
            statements.remove(other);
        }
        "drop a deny" => {
            let Some(place) = statements.iter().position(|one| one["Effect"] == "Deny") else { return false };
            if count == 1 {
                return false;
            }
            statements.remove(place);
        }
        "drop a pattern" | "add a covered pattern" | "widen a pattern" | "narrow a pattern" | "split a statement by its patterns" => {
            let (name, mut patterns) = texts(&statements[one], element).unwrap();
            let place = second % patterns.len();
            let pattern = patterns[place].clone();
            match EDITS[kind] {
                "drop a pattern" if patterns.len() > 1 => drop(patterns.remove(place)),
                "add a covered pattern" if pattern.contains(['*', '?']) && !pattern.contains("${") && pattern != "*" => {
                    let with = ["", "a", "b/", "Get"][third / 2 % 4];
                    patterns.push(pattern.replacen('*', with, 1).replace('?', "x"));
                }
                "widen a pattern" if pattern.len() > 4 && pattern.is_ascii() && !pattern.contains("${") => {
                    let kept = pattern.len() - 1 - third / 2 % 3;
                    patterns[place] = format!("{}*", &pattern[..kept]);
                    if !patterns[place].contains(':') {
                        return false;
                    }
                }
                "narrow a pattern" if pattern.contains('*') && pattern != "*" => patterns[place] = pattern.replacen('*', "?", 1),
                "split a statement by its patterns" if patterns.len() > 1 && !name.starts_with("Not") => {
                    let rest = patterns.split_off(1);
                    let mut tail = statements[one].clone();
                    tail[&name] = json!(rest);
                    statements.push(tail);
                }
                _ => return false,
            }
            statements[one][&name] = json!(patterns);
        }
        "change an action's letter case" | "change a resource's letter case" => {
            let name = if EDITS[kind].contains("action") { "Action" } else { "Resource" };
            let (name, mut patterns) = texts(&statements[one], name).unwrap();
            if patterns.iter().any(|pattern| pattern.contains("${")) {
                return false;
            }
            for pattern in &mut patterns {
                *pattern = if second.is_multiple_of(2) { pattern.to_ascii_uppercase() } else { pattern.to_ascii_lowercase() };
            }
            statements[one][&name] = json!(patterns);
        }
        "complement actions" | "complement resources" => {
            let name = if EDITS[kind].contains("actions") { "Action" } else { "Resource" };
            let (name, patterns) = texts(&statements[one], name).unwrap();
            let to = name.strip_prefix("Not").map_or_else(|| format!("Not{name}"), str::to_owned);
            let members = statements[one].as_object_mut().unwrap();
            members.remove(&name);
            members.insert(to, json!(patterns));
        }
        "reverse lists, name statements" => {
            let (name, mut patterns) = texts(&statements[one], element).unwrap();
            patterns.reverse();
            statements[one][&name] = json!(patterns);
            statements[one]["Sid"] = json!(format!("S{second}"));
        }
        _ => return edit_condition(statements, one, EDITS[kind], second, third),
    }
    true
}

fn edit_condition(statements: &mut Vec<Value>, one: usize, kind: &str, second: usize, third: usize) -> bool {
    let whole = statements[one].clone();
    let Some(condition) = statements[one].get_mut("Condition").and_then(Value::as_object_mut) else { return false };
    if condition.is_empty() {
        return false;
    }
    let operator = condition.keys().nth(second % condition.len()).unwrap().clone();
    let keys = condition[&operator].as_object_mut().unwrap();
    let key = keys.keys().nth(third % keys.len()).unwrap().clone();
    let mut values = if let Value::Array(items) = &keys[&key] { items.clone() } else { vec![keys[&key].clone()] };
    match kind {
        "drop a condition" => drop(condition.remove(&operator)),
        "drop a condition's value" if values.len() > 1 => {
            values.remove(third % values.len());
            keys[&key] = Value::Array(values);
        }
        "split a statement by a condition's values" if values.len() > 1 => {
            let rest = values.split_off(1);
            keys[&key] = Value::Array(values);
            let mut tail = whole;
            tail["Condition"][&operator][&key] = Value::Array(rest);
            statements.push(tail);
        }
        "change a key's letter case" => {
            let values = keys.remove(&key).unwrap();
            keys.insert(key.to_ascii_uppercase(), values);
        }
        "unquote or quote values" => {
            for value in &mut values {
                *value = match &*value {
                    Value::String(text) if text == "true" => json!(true),
                    Value::String(text) if text == "1" => json!(1),
                    Value::String(text) => json!(text),
                    other => json!(other.to_string()),
                };
            }
            if values.len() == 1 && operator != "Null" {
                keys[&key] = values.remove(0);
            } else {
                keys[&key] = Value::Array(values);
            }
        }
        "negate an operator" | "toggle IfExists" | "toggle a set operator" if operator != "Null" => {
            let to = match kind {
                "negate an operator" if operator.contains("Not") => operator.replace("Not", ""),
                "negate an operator" => ["StringEquals", "StringLike", "NumericEquals", "IpAddress", "ArnLike"]
                    .iter()
                    .filter(|name| operator.contains(*name))
                    .map(|name| {
                        operator.replace(name, &name.replace("Equals", "NotEquals").replace("Like", "NotLike").replace("Ip", "NotIp"))
                    })
                    .next()
                    .unwrap_or_else(|| operator.clone()),
                "toggle IfExists" => operator.strip_suffix("IfExists").map_or_else(|| format!("{operator}IfExists"), str::to_owned),
                _ => match operator.split_once(':') {
                    Some(("ForAnyValue", rest)) if third.is_multiple_of(2) => format!("ForAllValues:{rest}"),
                    Some((_, rest)) => rest.to_owned(),
                    None => format!("{}{operator}", ["ForAnyValue:", "ForAllValues:"][third % 2]),
                },
            };
            if condition.contains_key(&to) {
                return false;
            }
            let keys = condition.remove(&operator).unwrap();
            condition.insert(to, keys);
        }
        _ => return false,
    }
    true
}

// Requests.

/// A small generator of numbers, so that thousands of requests cost little.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }
}

/// What requests on two documents are aimed at.
pub struct Aim {
    actions: Vec<String>,
    resources: Vec<String>,
    keys: Vec<(String, Vec<String>)>,
}

impl Aim {
    /// The patterns and values of these documents.
    pub fn at(documents: [&Value; 2]) -> Aim {
        let mut aim = Aim { actions: Vec::new(), resources: Vec::new(), keys: Vec::new() };
        for key in ["aws:username", "k:t", "aws:tagkeys", "aws:userid"] {
            aim.keys.push((key.to_owned(), vec!["u".to_owned()]));
        }
        for document in documents {
            for statement in document["Statement"].as_array().unwrap() {
                aim.actions.extend(texts(statement, "Action").unwrap().1);
                aim.resources.extend(texts(statement, "Resource").unwrap().1);
                for keys in statement.get("Condition").and_then(Value::as_object).into_iter().flat_map(Map::values) {
                    for (key, values) in keys.as_object().unwrap() {
                        let aimed = aim.keys.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(key)).unwrap();
                        aimed.1.extend(list(values));
                    }
                }
            }
        }
        aim
    }

    /// One request: patterns with wildcards filled in, or nearly.
    pub fn request(&self, dice: &mut Dice) -> Request {
        let mut context = Vec::new();
        for (key, patterns) in &self.keys {
            let count = dice.pick(&[0, 1, 1, 1, 2, 2, 3, 9]);
            match count {
                0 => {}
                9 if dice.roll(3) == 0 => context.push((key.clone(), Vec::new())),
                9 => context.push((key.clone(), vec![String::new()])),
                _ => {
                    let values = (0..count).map(|_| near(&dice.pick(patterns), &context, dice)).collect();
                    context.push((key.clone(), values));
                }
            }
        }
        let action = near(&dice.pick(&self.actions), &context, dice);
        let resource = near(&dice.pick(&self.resources), &context, dice);
        Request { action, resource, context }
    }
}

/// A text that a pattern matches, or one beside it.
fn near(pattern: &str, context: &[(String, Vec<String>)], dice: &mut Dice) -> String {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if let Some((inner, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}'))
            && dice.roll(8) > 0
        {
            let name = inner.split(',').next().unwrap();
            let value = context.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, values)| values.first());
            match (inner, value) {
                ("*" | "?" | "$", _) => text.push_str(inner),
                (_, Some(value)) => text.push_str(value),
                _ => text.push('d'),
            }
            rest = after;
            continue;
        }
        match letter {
            '*' => text.push_str(dice.pick(&["", "", "a", "b", "x", "Get", "Object", "a/b", "::", "x:y", "A", "Tag", "/", ":"])),
            '?' => text.push_str(dice.pick(&["a", "b", "x", ":", "/", ""])),
            other => text.push(other),
        }
        rest = &rest[letter.len_utf8()..];
    }
    match dice.roll(12) {
        0 => drop(text.pop()),
        1 => text.push('x'),
        2 => text = text.to_ascii_uppercase(),
        3 => text = text.to_ascii_lowercase(),
        4 if !text.is_empty() => drop(text.remove(0)),
        5 => {
            if let Ok(number) = text.parse::<i64>() {
                text = (number + 1).to_string();
            }
        }
        6 => text = text.replace("10.0.0.0/8", "10.9.9.9").replace("10.0.0.0/16", "10.0.9.9"),
        _ => {}
    }
    text
}
