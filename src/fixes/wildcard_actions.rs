//! Actions that an `Allow` lists become wildcards that match exactly them and no other action known today. AWS adds actions every week, and one that a
//! wildcard matches is then allowed as well: needs review.
//!
//! A `Deny` and a `NotAction` stay as they are: nothing else is to be denied, or allowed, tomorrow. Wildcards begin and end with whole words of an action
//! (`ec2:Describe*`, `ec2:*Volume`), so that they can be read.

use std::collections::BTreeSet;

use super::known::{self, Set};
use super::wildcard::action_covers;
use super::{Change, Context, Effect, Proposal, Scale, State, counted, join, reaching};
use crate::packing::Packer;
use crate::policy::{ActionList, Clause, Effect as PolicyEffect, Policy};

/// Of the wildcards that replace the longest texts, so many are weighed at a time.
const MOST_WEIGHED: usize = 8;

/// The wildcards that fit a list of actions, each with the entries that it takes the place of.
pub(super) type Found = Vec<(String, Vec<String>)>;

/// A wildcard and what it takes the place of.
#[derive(Clone)]
struct Wildcard {
    statement: usize,
    pattern: String,
    replaced: Vec<String>,
}

pub(super) fn rule(context: &Context<'_>, state: &State) -> Vec<Proposal> {
    let Some(policy) = state.policy.as_ref().filter(|policy| known::is_plain(policy)) else { return Vec::new() };
    let mut scale = Scale { packer: Packer::new(), sizing: context.sizing };
    let mut steps: Vec<(Wildcard, Policy)> = Vec::new();
    let mut now = policy.clone();
    let mut bytes = scale.bytes(&now);
    loop {
        let mut found: Vec<Wildcard> = now
            .statements()
            .enumerate()
            .filter_map(|(index, statement)| {
                let known = known::known(statement).filter(|known| known.effect == PolicyEffect::Allow)?;
                match known.actions {
                    Set::Of(texts) if texts.len() > 1 => {
                        let mut memory = context.wildcards.borrow_mut();
                        let found = match memory.get(texts) {
                            Some(found) => found,
                            None => memory.entry(texts.to_vec()).or_insert(wildcards(texts, &context.advice.actions)),
                        };
                        Some(
                            found
                                .iter()
                                .map(|(pattern, replaced)| Wildcard {
                                    statement: index,
                                    pattern: pattern.clone(),
                                    replaced: replaced.clone(),
                                })
                                .collect::<Vec<_>>(),
                        )
                    }
                    _ => None,
                }
            })
            .flatten()
            .collect();
        found.sort_by_key(|one| {
            std::cmp::Reverse(one.replaced.iter().map(|text| text.len() + 1).sum::<usize>() - one.pattern.len().min(255))
        });
        found.truncate(MOST_WEIGHED);
        let weighed = found.into_iter().map(|one| {
            let changed = replaced(&now, &one);
            (scale.bytes(&changed), one, changed)
        });
        let Some((least, best, changed)) = weighed.min_by_key(|(bytes, ..)| *bytes).filter(|(least, ..)| *least < bytes) else { break };
        (bytes, now) = (least, changed.clone());
        steps.push((best, changed));
    }
    let documents: Vec<&Policy> = steps.iter().map(|(_, policy)| policy).collect();
    let enough = reaching(context, state, &documents);
    enough.into_iter().filter_map(|count| steps.get(..count)).filter_map(|steps| proposal(context, state, steps)).collect()
}

fn proposal(context: &Context<'_>, state: &State, steps: &[(Wildcard, Policy)]) -> Option<Proposal> {
    let (_, policy) = steps.last()?;
    // A wildcard may have taken in another one.
    let last: Vec<&Wildcard> = steps
        .iter()
        .map(|(one, _)| one)
        .enumerate()
        .filter(|(at, one)| {
            let later = steps.get(at + 1..).unwrap_or_default();
            !later.iter().any(|(other, _)| other.statement == one.statement && other.replaced.contains(&one.pattern))
        })
        .map(|(_, one)| one)
        .collect();
    let source = context.advice.actions.source();
    let each = last.iter().map(|one| {
        let actions: Vec<String> = named(one, steps).iter().map(|text| format!("`{text}`")).collect();
        format!("`{}` for {}", one.pattern, actions.join(", "))
    });
    let count: usize = last.iter().map(|one| named(one, steps).len()).sum();
    let shown = if context.advice.redact { String::new() } else { each.collect::<Vec<_>>().join("; ") };
    Some(Proposal {
        change: Change {
            rule: "wildcard-actions",
            effect: Effect::NeedsReview,
            title: format!("replace {count} allowed actions by {}", counted(last.len(), "wildcard")),
            detail: join([
                shown,
                format!("by {source} they match no other action; actions that AWS adds later may match and are then allowed too"),
            ]),
        },
        asked: state.with_policy(policy),
        documents: Vec::new(),
    })
}

/// What the policy listed of what `one` takes in, wildcards of ours resolved.
fn named(one: &Wildcard, steps: &[(Wildcard, Policy)]) -> Vec<String> {
    let mut texts = Vec::new();
    for text in &one.replaced {
        let ours = steps.iter().map(|(other, _)| other).find(|other| other.statement == one.statement && other.pattern == *text);
        match ours.filter(|other| other.pattern != one.pattern) {
            Some(other) => texts.extend(named(other, steps)),
            None => texts.push(text.clone()),
        }
    }
    texts
}

/// The policy with a wildcard in the place of the first action that it replaces.
fn replaced(policy: &Policy, wildcard: &Wildcard) -> Policy {
    let mut changed = policy.clone();
    if let Some(statement) = changed.statements_mut().nth(wildcard.statement) {
        for clause in &mut statement.clauses {
            let Clause::Action(values) = clause else { continue };
            let mut texts: Vec<String> = Vec::new();
            let mut is_in = false;
            for text in values.as_slice() {
                if !wildcard.replaced.contains(text) {
                    texts.push(text.clone());
                } else if !is_in {
                    is_in = true;
                    texts.push(wildcard.pattern.clone());
                }
            }
            *values = known::values(texts);
        }
    }
    changed
}

/// Every wildcard that takes the place of two entries or more of a list of actions and matches no known action that the list does not, with those entries.
fn wildcards(texts: &[String], list: &ActionList) -> Found {
    let services: BTreeSet<String> =
        texts.iter().filter_map(|text| text.split_once(':')).map(|(service, _)| service.to_ascii_lowercase()).collect();
    let mut found = Vec::new();
    for service in services {
        let entries: Vec<&String> = texts
            .iter()
            .filter(|text| text.split_once(':').is_some_and(|(prefix, name)| prefix.eq_ignore_ascii_case(&service) && !name.contains('$')))
            .collect();
        if entries.len() < 2 {
            continue;
        }
        let known = of_service(list, &service);
        let matches = |entry: &str, action: &str| match entry.contains(['*', '?']) {
            true => action_covers(entry, action),
            false => entry.eq_ignore_ascii_case(action),
        };
        let listed: Vec<bool> = known.iter().map(|action| entries.iter().any(|entry| matches(entry, action))).collect();
        // Concrete actions that are on no list may be misspelled or new: nothing tells what a wildcard would do about them.
        let is_known = |entry: &str| known.iter().any(|action| matches(entry, action));
        let entries: Vec<&String> = entries.into_iter().filter(|entry| is_known(entry)).collect();
        for pattern in patterns(&entries) {
            // Actions have no wildcards of their own, so that what one matches is told by its ends.
            let (before, behind) = pattern.split_once('*').unwrap_or((&pattern, ""));
            let fits = |action: &str| fits(action.get(service.len() + 1..).unwrap_or_default(), before, behind);
            if known.iter().zip(&listed).any(|(action, listed)| !listed && fits(action)) {
                continue;
            }
            let replaced: Vec<String> = entries.iter().filter(|entry| fits(entry)).map(|entry| (*entry).clone()).collect();
            if replaced.len() > 1 {
                let spelled = replaced.first().and_then(|text| text.split_once(':')).map_or(service.as_str(), |(prefix, _)| prefix);
                found.push((format!("{spelled}:{pattern}"), replaced));
            }
        }
    }
    found
}

/// Whether a name begins and ends so, in any letter case. A `*` in it is a letter that neither end has.
fn fits(name: &str, before: &str, behind: &str) -> bool {
    let name = name.as_bytes();
    let (start, end) = (name.get(..before.len()), name.len().checked_sub(behind.len()).and_then(|at| name.get(at..)));
    name.len() >= before.len() + behind.len()
        && start.is_some_and(|start| start.eq_ignore_ascii_case(before.as_bytes()))
        && end.is_some_and(|end| end.eq_ignore_ascii_case(behind.as_bytes()))
}

/// The known actions of a service, given in lower case.
fn of_service<'a>(list: &'a ActionList, service: &str) -> &'a [String] {
    let all = list.all();
    let prefix = format!("{service}:");
    let start = all.partition_point(|action| action.to_ascii_lowercase() < prefix);
    let rest = all.get(start..).unwrap_or_default();
    let starts = |action: &String| action.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(&prefix));
    let count = rest.iter().take_while(|action| starts(action)).count();
    rest.get(..count).unwrap_or_default()
}

/// Whole words of an entry before and behind a `*`, for each of them.
fn patterns(entries: &[&String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in entries {
        let Some((_, name)) = entry.split_once(':') else { continue };
        if name.contains(['*', '?']) {
            continue;
        }
        let cuts: Vec<usize> = std::iter::once(0).chain(word_starts(name)).chain(std::iter::once(name.len())).collect();
        for (at, &end) in cuts.iter().enumerate() {
            for &start in cuts.get(at + 1..).unwrap_or_default() {
                let (before, behind) = (name.get(..end).unwrap_or_default(), name.get(start..).unwrap_or_default());
                found.insert(format!("{before}*{behind}"));
            }
        }
        // All of its words may be the beginning of others.
        found.insert(format!("{name}*"));
    }
    found
}

/// Where words start behind the first: at a capital behind a letter that is none.
fn word_starts(name: &str) -> impl Iterator<Item = usize> {
    let bytes = name.as_bytes();
    bytes
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| matches!(pair, [before, letter] if letter.is_ascii_uppercase() && !before.is_ascii_uppercase()))
        .map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixes::tests::suggested_by;
    use crate::fixes::{Advice, Fix};

    fn list() -> ActionList {
        let text = r#"{"s3":["GetObject","GetObjectAcl","GetBucketAcl","PutObject","PutBucketAcl","DeleteObject"],"ec2":["RunInstances","StopInstances"]}"#;
        ActionList::from_json(text, "the test's list").unwrap()
    }

    fn fix(statement: &str, redact: bool) -> Option<Fix> {
        let advice = Advice { actions: list(), redact, ..Advice::default() };
        let fixes = suggested_by(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#), &advice);
        fixes.into_iter().find(|fix| fix.rule() == "wildcard-actions")
    }

    fn actions(list: &str) -> Option<String> {
        let fix = fix(&format!(r#"{{"Effect":"Allow","Action":{list},"Resource":"*"}}"#), false)?;
        let policy = fix.asked.request.policy?;
        Some(policy.split_once(r#""Action":"#)?.1.split_once(r#","Resource""#)?.0.to_owned())
    }

    #[test]
    fn a_wildcard_matches_what_is_listed_and_nothing_else_that_is_known() {
        assert_eq!(actions(r#"["s3:GetObject","s3:GetObjectAcl"]"#).as_deref(), Some(r#""s3:GetObject*""#));
        assert_eq!(
            actions(r#"["s3:GetObject","s3:GetObjectAcl","s3:GetBucketAcl","ec2:RunInstances"]"#).as_deref(),
            Some(r#"["s3:Get*","ec2:RunInstances"]"#)
        );
        assert_eq!(
            actions(r#"["s3:GetBucketAcl","S3:putbucketacl","s3:GetObject"]"#).as_deref(),
            Some(r#"["s3:*BucketAcl","s3:GetObject"]"#)
        );
        assert_eq!(actions(r#"["ec2:RunInstances","ec2:StopInstances"]"#).as_deref(), Some(r#""ec2:*""#));
        assert_eq!(actions(r#"["s3:GetObject","s3:PutObject"]"#), None, "every wildcard for both matches DeleteObject or an Acl");
        assert_eq!(actions(r#"["s3:GetObject","s3:GetObjectTorrents"]"#), None, "one of them is no known action");
    }

    #[test]
    fn what_denies_and_what_leaves_out_is_left_alone() {
        let both = r#""Resource":"*","Sid":"A""#;
        assert_eq!(fix(&format!(r#"{{"Effect":"Deny","Action":["s3:GetObject","s3:GetObjectAcl"],{both}}}"#), false), None);
        assert_eq!(fix(&format!(r#"{{"Effect":"Allow","NotAction":["s3:GetObject","s3:GetObjectAcl"],{both}}}"#), false), None);
        assert_eq!(fix(&format!(r#"{{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectAcl"],{both},"Other":1}}"#), false), None);
    }

    #[test]
    fn every_wildcard_and_the_date_of_the_list_are_named_unless_they_are_hidden() {
        let statement = r#"{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectAcl","s3:GetBucketAcl"],"Resource":"*"}"#;
        let told = fix(statement, false).unwrap();
        assert_eq!((told.title().as_str(), told.effect), ("replace 3 allowed actions by 1 wildcard", Effect::NeedsReview));
        assert!(
            told.detail().starts_with(
                "`s3:Get*` for `s3:GetObject`, `s3:GetObjectAcl`, `s3:GetBucketAcl`; by the test's list they match no other action; \
                 actions that AWS adds later may match and are then allowed too; policy: "
            ),
            "{}",
            told.detail()
        );
        let hidden = fix(statement, true).unwrap();
        assert!(!hidden.detail().contains("s3:") && hidden.detail().contains("the test's list"), "{}", hidden.detail());
    }
}
