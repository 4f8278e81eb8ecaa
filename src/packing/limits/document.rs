//! What STS would refuse a session policy for, its size apart.
//!
//! Sources: the [grammar of IAM policies], the pages of its elements behind it, and the messages of `MalformedPolicyDocument`. A session policy is
//! written like an identity-based one: no statement may name a principal. What the pages leave open is not held against a policy.
//!
//! [grammar of IAM policies]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html

use std::collections::HashMap;

use crate::policy::{Clause, Comparison, Element, Policy, Statement, Values};

const VERSIONS: [&str; 2] = ["2008-10-17", "2012-10-17"];
const ELEMENTS: [&str; 3] = ["Version", "Id", "Statement"];
const CLAUSES: [&str; 7] = ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"];

/// Calls `push` with the place in `policy`, `Statement[1].Effect` for example, empty for all of it, and what is wrong there.
pub(super) fn check(policy: &Policy, push: &mut dyn FnMut(&str, String)) {
    let names = || policy.elements.iter().map(element_name);
    repeated(names(), "", push);
    for element in &policy.elements {
        match element {
            Element::Version(version) if !VERSIONS.contains(&version.as_str()) => {
                push("Version", "the policy language has the versions 2012-10-17 and 2008-10-17".to_owned());
            }
            Element::Version(_) | Element::Id(_) | Element::Statement(_) => {}
            Element::Other(name, _) => match name.as_str() {
                "Version" | "Id" => push(name, "takes a text".to_owned()),
                "Statement" => push(name, "takes a statement or a list of statements, each an object".to_owned()),
                _ => push(&quoted(name), unknown(name, &ELEMENTS)),
            },
        }
    }
    if !names().any(|name| name == "Statement") {
        push("", "there is no `Statement`".to_owned());
    }
    if policy.elements.iter().any(|element| matches!(element, Element::Statement(statements) if statements.as_slice().is_empty())) {
        push("Statement", "there is no statement in it".to_owned());
    }

    let mut sids = HashMap::new();
    for (index, statement) in policy.statements().enumerate() {
        let place = format!("Statement[{index}]");
        check_statement(statement, &place, push);
        for clause in &statement.clauses {
            if let Clause::Sid(sid) = clause
                && !sid.is_empty()
                && let Some(first) = sids.insert(sid, index)
            {
                push(&format!("{place}.Sid"), format!("`{}` is the Sid of Statement[{first}] already", brief(sid)));
                sids.insert(sid, first);
            }
        }
    }
}

fn check_statement(statement: &Statement, place: &str, push: &mut dyn FnMut(&str, String)) {
    let names = || statement.clauses.iter().map(clause_name);
    let has = |wanted: &str| names().any(|name| name == wanted);
    repeated(names(), place, push);
    if !has("Effect") {
        push(place, "there is no `Effect`".to_owned());
    }
    for (one, other) in [("Action", "NotAction"), ("Resource", "NotResource")] {
        match (has(one), has(other)) {
            (true, true) => push(place, format!("has both `{one}` and `{other}`")),
            (false, false) => push(place, format!("there is neither `{one}` nor `{other}`")),
            _ => {}
        }
    }
    for clause in &statement.clauses {
        let name = clause_name(clause);
        let mut push = |message: String| push(&format!("{place}.{}", quoted(name)), message);
        match clause {
            Clause::Sid(sid) if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                push(format!("`{}` has other characters than letters and digits", brief(sid)));
            }
            Clause::Action(values) | Clause::NotAction(values) => check_values(values, action_problem, &mut push),
            Clause::Resource(values) | Clause::NotResource(values) => check_values(values, resource_problem, &mut push),
            Clause::Condition(operators) => {
                for (operator, _) in operators.iter().filter(|(operator, _)| !is_operator(operator)) {
                    push(format!("`{}` is no condition operator", brief(operator)));
                }
            }
            Clause::Sid(_) | Clause::Effect(_) => {}
            Clause::Other(name, _) => push(match name.as_str() {
                "Sid" => "takes a text".to_owned(),
                "Effect" => "takes `Allow` or `Deny`, spelled so".to_owned(),
                "Action" | "NotAction" | "Resource" | "NotResource" => "takes a text or a list of texts".to_owned(),
                "Condition" => "takes operators, each with keys, each with a value or a list of values".to_owned(),
                "Principal" | "NotPrincipal" => "a session policy names no principal".to_owned(),
                _ => unknown(name, &CLAUSES),
            }),
        }
    }
}

/// Whether it is an operator in any letter case: IAM's pages write one, and do not say that another is refused.
fn is_operator(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let bare = ["forallvalues:", "foranyvalue:"].iter().find_map(|prefix| lower.strip_prefix(prefix)).unwrap_or(&lower);
    let names = |bare: &str| Comparison::ALL.iter().any(|one| one.name().eq_ignore_ascii_case(bare));
    names(bare) || bare.strip_suffix("ifexists").is_some_and(names)
}

fn check_values(values: &Values, problem: fn(&str) -> Option<&'static str>, push: &mut dyn FnMut(String)) {
    if values.as_slice().is_empty() {
        push("the list is empty".to_owned());
    }
    for text in values.as_slice() {
        if let Some(problem) = problem(text) {
            push(format!("`{}` {problem}", brief(text)));
        }
    }
}

fn action_problem(action: &str) -> Option<&'static str> {
    match action.bytes().filter(|&byte| byte == b':').count() {
        1 => None,
        0 if !action.is_empty() && action.bytes().all(|byte| byte == b'*') => None,
        0 => Some("is no action: expected service:Action, or *"),
        _ => Some("is no action: it has more than one colon"),
    }
}

fn resource_problem(resource: &str) -> Option<&'static str> {
    // A variable may stand for anything.
    let fits = resource.starts_with("arn:") || resource.starts_with("${");
    let any = !resource.is_empty() && resource.bytes().all(|byte| byte == b'*');
    (!fits && !any).then_some("is no resource: expected an ARN, or *")
}

fn element_name(element: &Element) -> &str {
    match element {
        Element::Version(_) => "Version",
        Element::Id(_) => "Id",
        Element::Statement(_) => "Statement",
        Element::Other(name, _) => name,
    }
}

fn clause_name(clause: &Clause) -> &str {
    match clause {
        Clause::Sid(_) => "Sid",
        Clause::Effect(_) => "Effect",
        Clause::Action(_) => "Action",
        Clause::NotAction(_) => "NotAction",
        Clause::Resource(_) => "Resource",
        Clause::NotResource(_) => "NotResource",
        Clause::Condition(_) => "Condition",
        Clause::Other(name, _) => name,
    }
}

/// A key that is no plain word, in brackets, so that a place stays one word.
fn quoted(name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { name.to_owned() } else { format!("[{:?}]", brief(name)) }
}

/// As much of a text as a message needs.
fn brief(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    match closest(name, known) {
        Some(meant) => format!("no policy has this element; is `{meant}` meant"),
        None => "no policy has this element".to_owned(),
    }
}

/// The name of `known` that `name` is a slip of: one that differs in case, in an `s` at its end, or in a letter or two.
pub(crate) fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).map(|one| one.to_ascii_lowercase()).collect::<Vec<char>>();
    let name = plain(name);
    let distance = |one: &&&str| differing(&name, &plain(one));
    known.iter().min_by_key(distance).filter(|best| distance(best) <= if name.len() < 5 { 1 } else { 2 }).copied()
}

/// How many letters must change, come or go to make `one` into `other`: after Levenshtein. Both are short.
fn differing(one: &[char], other: &[char]) -> usize {
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.iter().enumerate() {
        let mut next = vec![above + 1];
        for ((diagonal, up), other) in row.iter().zip(row.iter().skip(1)).zip(other) {
            let left = next.last().copied().unwrap_or(0);
            next.push((diagonal + usize::from(letter != other)).min(up + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

fn repeated<'a>(names: impl Iterator<Item = &'a str>, place: &str, push: &mut dyn FnMut(&str, String)) {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for name in names {
        let count = seen.entry(name).or_default();
        *count += 1;
        if *count == 2 {
            push(place, format!("`{}` stands there twice", brief(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let mut told = Vec::new();
        check(&Policy::parse(text).unwrap(), &mut |place, message| told.push(format!("{place}: {message}")));
        told
    }

    fn statement(clauses: &str) -> Vec<String> {
        told(&format!(r#"{{"Version":"2012-10-17","Statement":[{{{clauses}}}]}}"#))
    }

    #[test]
    fn policies_that_aws_takes_are_not_held_up() {
        for clauses in [
            r#""Effect":"Allow","Action":"*","Resource":"*""#,
            r#""Sid":"","Effect":"Deny","NotAction":["s3:Get*"],"NotResource":["arn:aws:s3:::a/${aws:username}/*"]"#,
            r#""Sid":"One1","Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":true}}"#,
        ] {
            assert_eq!(statement(clauses), Vec::<String>::new(), "{clauses}");
        }
        assert_eq!(told(r#"{"Id":"x","Statement":{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:s3:::b"}}"#), Vec::<String>::new());
    }

    #[test]
    fn what_a_document_lacks_or_has_too_much_is_named_with_its_place() {
        assert_eq!(told("{}"), [": there is no `Statement`"]);
        assert_eq!(
            told(r#"{"version":"2012-10-17","Version":"2012-10-18","Id":7,"Statement":[]}"#),
            [
                "version: no policy has this element; is `Version` meant",
                "Version: the policy language has the versions 2012-10-17 and 2008-10-17",
                "Id: takes a text",
                "Statement: there is no statement in it",
            ]
        );
        assert_eq!(told(r#"{"Statement":["a"]}"#), ["Statement: takes a statement or a list of statements, each an object"]);
        assert_eq!(
            told(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"},"Statement":[]}"#),
            [": `Statement` stands there twice", "Statement: there is no statement in it"]
        );
    }

    #[test]
    fn every_rule_of_a_statement_is_checked() {
        for (clauses, expected) in [
            (r#""Action":"*","Resource":"*""#, "Statement[0]: there is no `Effect`"),
            (r#""Effect":"allow","Action":"*","Resource":"*""#, "Statement[0].Effect: takes `Allow` or `Deny`, spelled so"),
            (r#""Effect":"Allow","Resource":"*""#, "Statement[0]: there is neither `Action` nor `NotAction`"),
            (r#""Effect":"Allow","Action":"*""#, "Statement[0]: there is neither `Resource` nor `NotResource`"),
            (r#""Effect":"Allow","Action":"*","NotAction":"*","Resource":"*""#, "Statement[0]: has both `Action` and `NotAction`"),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Principal":"*""#,
                "Statement[0].Principal: a session policy names no principal",
            ),
            (r#""Effect":"Allow","Action":"s3","Resource":"*""#, "Statement[0].Action: `s3` is no action: expected service:Action, or *"),
            (
                r#""Effect":"Allow","Action":"a:b:c","Resource":"*""#,
                "Statement[0].Action: `a:b:c` is no action: it has more than one colon",
            ),
            (r#""Effect":"Allow","Action":[],"Resource":"*""#, "Statement[0].Action: the list is empty"),
            (r#""Effect":"Allow","Action":"*","Resource":["b"]"#, "Statement[0].Resource: `b` is no resource: expected an ARN, or *"),
            (r#""Effect":"Allow","Action":"*","Resource":{}"#, "Statement[0].Resource: takes a text or a list of texts"),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Condition":[]"#,
                "Statement[0].Condition: takes operators, each with keys, each with a value or a list of values",
            ),
            (
                r#""Effect":"Allow","Action":"*","Resource":"*","Sid":"a b""#,
                "Statement[0].Sid: `a b` has other characters than letters and digits",
            ),
            (
                r#""Effect":"Allow","Actions":"*","Action":"*","Resource":"*""#,
                "Statement[0].Actions: no policy has this element; is `Action` meant",
            ),
            (r#""Effect":"Allow","Effect":"Allow","Action":"*","Resource":"*""#, "Statement[0]: `Effect` stands there twice"),
            (r#""Effect":"Allow","Action":"*","Resource":"*","a b":1"#, "Statement[0].[\"a b\"]: no policy has this element"),
        ] {
            assert_eq!(statement(clauses), [expected]);
        }
    }

    #[test]
    fn a_sid_stands_for_one_statement() {
        let statement = r#"{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"}"#;
        assert_eq!(
            told(&format!(r#"{{"Statement":[{statement},{statement},{statement}]}}"#)),
            ["Statement[1].Sid: `A` is the Sid of Statement[0] already", "Statement[2].Sid: `A` is the Sid of Statement[0] already"]
        );
    }
}
