//! What one statement says and another of the same effect says as well is said twice: the whole statement goes, or the actions and resources that are
//! covered. A condition counts as covered where the other statement has none, or asks for less. Effect: same meaning, for `Allow` and for `Deny`.
//!
//! Each statement is compared with each, so not for policies beyond [`super::MAX_POLICY_BYTES`] or [`super::MAX_STATEMENTS`].

use super::known::{self, Known, Set, has_variable};
use super::{Rewrite, Scale, counted};
use crate::policy::{Clause, Effect, Policy, Statement};

pub(super) const REWRITE: Rewrite = Rewrite {
    rule: "drop-covered-statements",
    title: |dropped| format!("drop {} covered by other statements", counted(dropped, "part").replace("part", "statement or part of one")),
    apply: |policy, _scale: &mut Scale<'_>| drop_parts(policy, |wide, narrow| wide == narrow, "is covered by"),
    says_what: true,
};

/// Drops what `decides`, given the effects of the covering and the covered statement, says another statement makes needless; says what went and why.
pub(super) fn drop_parts(policy: &mut Policy, decides: fn(Effect, Effect) -> bool, why: &str) -> Vec<String> {
    let mut dropped = Vec::new();
    let Some(statements) = known::statements(policy) else { return dropped };
    let names: Vec<String> = statements.iter().enumerate().map(|(index, statement)| known::name(statement, index)).collect();
    let mut gone = vec![false; statements.len()];
    for index in 0..statements.len() {
        let Some(statement) = statements.get(index) else { break };
        let Some(narrow) = known::known(statement) else { continue };
        let others: Vec<(&str, Known<'_>)> = statements
            .iter()
            .zip(&names)
            .zip(&gone)
            .enumerate()
            .filter(|(other, (_, gone))| *other != index && !**gone)
            .filter_map(|(_, ((other, name), _))| Some((name.as_str(), known::known(other)?)))
            .filter(|(_, wide)| decides(wide.effect, narrow.effect) && wide.variables().is_subset(&narrow.variables()))
            .collect();
        let name = names.get(index).map_or("", String::as_str);
        let coverer = |piece: &Known<'_>| others.iter().find(|(_, wide)| wide.covers(piece)).map(|(name, _)| *name);
        if let Some(by) = coverer(&narrow) {
            dropped.push(format!("{name} {why} {by}"));
            if let Some(place) = gone.get_mut(index) {
                *place = true;
            }
            continue;
        }
        let mut changed = statement.clone();
        for of_actions in [true, false] {
            let part = shorten(&mut changed, of_actions, &coverer);
            dropped.extend(part.into_iter().map(|(text, by)| format!("`{text}` of {name} {why} {by}")));
        }
        if let Some(place) = statements.get_mut(index) {
            *place = changed;
        }
    }
    let mut gone = gone.into_iter();
    statements.retain(|_| !gone.next().unwrap_or(false));
    dropped
}

/// Drops each action, or each resource, that is covered with all the rest of the statement; at least one stays.
fn shorten<'a>(statement: &mut Statement, of_actions: bool, coverer: &dyn Fn(&Known<'_>) -> Option<&'a str>) -> Vec<(String, &'a str)> {
    let Some(known) = known::known(statement) else { return Vec::new() };
    let Set::Of(texts) = (if of_actions { known.actions } else { known.resources }) else { return Vec::new() };
    if texts.len() < 2 {
        return Vec::new();
    }
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for text in texts {
        let alone = Set::Of(std::slice::from_ref(text));
        let piece = if of_actions { Known { actions: alone, ..known } } else { Known { resources: alone, ..known } };
        // Without a variable the statement might hold where it did not.
        match coverer(&piece).filter(|_| !has_variable(text)) {
            Some(by) => dropped.push((text.clone(), by)),
            None => kept.push(text.clone()),
        }
    }
    if dropped.is_empty() || kept.is_empty() {
        return Vec::new();
    }
    for clause in &mut statement.clauses {
        match clause {
            Clause::Action(values) if of_actions => *values = known::values(std::mem::take(&mut kept)),
            Clause::Resource(values) if !of_actions => *values = known::values(std::mem::take(&mut kept)),
            _ => {}
        }
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten_statements;
    use super::*;

    const WIDE: &str = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;

    #[test]
    fn a_statement_that_another_covers_goes_and_it_is_said_which() {
        for narrow in [
            r#"{"Effect":"Allow","Action":["s3:GetObject","S3:put*"],"Resource":"arn:aws:s3:::b/${aws:username}"}"#,
            r#"{"Effect":"Allow","Action":"s3:GetObject","NotResource":"b"}"#,
            r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}"#,
            WIDE,
        ] {
            let (after, dropped) = rewritten_statements(&REWRITE, &[narrow, WIDE]).unwrap();
            assert_eq!((after, dropped), (vec![WIDE.to_owned()], vec!["statement 1 is covered by statement 2".to_owned()]), "{narrow}");
        }
    }

    #[test]
    fn parts_that_another_statement_covers_go() {
        let (after, dropped) =
            rewritten_statements(&REWRITE, &[WIDE, r#"{"Effect":"Allow","Action":["ec2:Run*","s3:GetObject"],"Resource":"b","Sid":"X"}"#])
                .unwrap();
        assert_eq!(after, [WIDE, r#"{"Effect":"Allow","Action":"ec2:Run*","Resource":"b","Sid":"X"}"#]);
        assert_eq!(dropped, ["`s3:GetObject` of statement `X` is covered by statement 1"]);
    }

    #[test]
    fn a_list_of_what_is_left_out_is_compared_the_other_way_round() {
        let not = |actions: &str| format!(r#"{{"Effect":"Deny","NotAction":{actions},"Resource":"*"}}"#);
        let covered = |one: &str, other: &str| rewritten_statements(&REWRITE, &[one, other]).map(|(after, _)| after);
        let (wide, narrow) = (not(r#""s3:Get*""#), not(r#"["s3:*","ec2:*"]"#));
        assert_eq!(covered(&wide, &narrow), Some(vec![wide.clone()]));
        assert_eq!(covered(&not(r#""s3:Get*""#), &not(r#""ec2:*""#)), None);
        let one = r#"{"Effect":"Deny","Action":"ec2:RunInstances","Resource":"*"}"#;
        assert_eq!(covered(one, &wide), Some(vec![wide.clone()]));
        assert_eq!(covered(r#"{"Effect":"Deny","Action":"s3:*Object","Resource":"*"}"#, &wide), None);
    }

    #[test]
    fn what_is_not_covered_for_sure_stays() {
        for (one, other) in [
            (r#"{"Effect":"Deny","Action":"s3:GetObject","Resource":"b"}"#, WIDE),
            (r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"b","Principal":"x"}"#, WIDE),
            (
                r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"b"}"#,
                r#"{"Effect":"Allow","Action":"s3:*","Resource":["*","${aws:username}"]}"#,
            ),
            (
                r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":["c","${aws:username}"]}"#,
                r#"{"Effect":"Allow","Action":"s3:*","Resource":"${aws:username}"}"#,
            ),
            (
                r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#,
                r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"k":"a"}}}"#,
            ),
            (
                r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringNotEquals":{"k":"a"}}}"#,
                r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"k":["a","b"]}}}"#,
            ),
            (
                r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"k":"a"}}}"#,
                r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEqualsIfExists":{"k":"a"},"Bool":{"t":"true"}}}"#,
            ),
        ] {
            assert_eq!(rewritten_statements(&REWRITE, &[one, other]), None, "{one} {other}");
        }
    }

    #[test]
    fn a_condition_that_asks_for_less_covers_one_that_asks_for_more() {
        let narrow =
            r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringLike":{"K":"a/x"},"Bool":{"t":"true"}}}"#;
        let wide = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringLike":{"k":["a/*","b"]}}}"#;
        assert_eq!(rewritten_statements(&REWRITE, &[narrow, wide]).unwrap().0, [wide]);
    }
}
