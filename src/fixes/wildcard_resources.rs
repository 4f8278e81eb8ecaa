//! Resources that an `Allow` lists and that begin alike become one with a wildcard: what they have in common, up to the end of a path segment or, where
//! that does not do, of a part of a name, and `*`. That allows everything else that begins so: needs review, and it is said what is added.
//!
//! A `Deny` and a `NotResource` stay as they are. Nothing is cut before the name: not in the service, the region or the account, and never so that all
//! resources of a type are meant.

use std::collections::BTreeMap;

use super::known::{self, Set};
use super::{Change, Context, Effect, Proposal, Scale, State, counted, join, reaching};
use crate::packing::Packer;
use crate::policy::{Clause, Effect as PolicyEffect, Policy};

const PATH: [char; 2] = ['/', ':'];
const NAME: [char; 5] = ['/', ':', '-', '_', '.'];

/// Of the prefixes that replace the longest texts, so many are weighed at a time.
const MOST_WEIGHED: usize = 8;

/// The beginning of several resources of a statement.
struct Prefix {
    statement: usize,
    text: String,
    replaced: Vec<String>,
}

pub(super) fn rule(context: &Context<'_>, state: &State) -> Vec<Proposal> {
    let Some(policy) = state.policy.as_ref().filter(|policy| known::is_plain(policy)) else { return Vec::new() };
    let mut proposals: Vec<Proposal> = Vec::new();
    for cuts in [PATH.as_slice(), NAME.as_slice()] {
        let steps = steps(context, policy, cuts);
        let documents: Vec<&Policy> = steps.iter().map(|(_, policy)| policy).collect();
        for count in reaching(context, state, &documents) {
            let found = steps.get(..count).and_then(|steps| proposal(context, state, steps));
            proposals.extend(found.filter(|one| proposals.iter().all(|other| other.asked != one.asked)));
        }
    }
    proposals
}

/// One prefix after the other, each the one that saves most, with the policy it leaves.
fn steps(context: &Context<'_>, policy: &Policy, cuts: &[char]) -> Vec<(Prefix, Policy)> {
    let mut scale = Scale { packer: Packer::new(), sizing: context.sizing };
    let mut steps = Vec::new();
    let mut now = policy.clone();
    let mut bytes = scale.bytes(&now);
    loop {
        let mut found: Vec<Prefix> = now
            .statements()
            .enumerate()
            .filter_map(|(index, statement)| {
                let known = known::known(statement).filter(|known| known.effect == PolicyEffect::Allow)?;
                match known.resources {
                    Set::Of(texts) if texts.len() > 1 => Some(prefixes(index, texts, cuts)),
                    _ => None,
                }
            })
            .flatten()
            .collect();
        // The longest first: it adds least.
        found.sort_by_key(|one| std::cmp::Reverse((one.text.matches(PATH).count(), one.replaced.len(), one.text.len())));
        found.truncate(MOST_WEIGHED);
        let weighed = found.into_iter().map(|one| {
            let changed = replaced(&now, &one);
            (scale.bytes(&changed), one, changed)
        });
        let Some((least, best, changed)) = weighed.into_iter().find(|(least, ..)| *least < bytes) else { return steps };
        (bytes, now) = (least, changed.clone());
        steps.push((best, changed));
    }
}

/// What two or more of the resources begin with, cut behind one of `cuts`; of prefixes of the same resources the longest.
fn prefixes(statement: usize, texts: &[String], cuts: &[char]) -> Vec<Prefix> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for text in texts {
        let Some(name) = name_start(text) else { continue };
        let plain = text.find(['*', '?']).unwrap_or(text.len()).min(text.find("${").unwrap_or(text.len()));
        for (at, letter) in text.char_indices() {
            if at >= name && at < plain && cuts.contains(&letter) {
                found.entry(text.get(..at + letter.len_utf8()).unwrap_or_default()).or_default().push(text.clone());
            }
        }
    }
    let mut longest: Vec<Prefix> = Vec::new();
    for (text, replaced) in found {
        // In order of their texts, so that a longer one comes right behind a shorter one.
        longest.retain(|shorter| shorter.replaced != replaced);
        longest.push(Prefix { statement, text: text.to_owned(), replaced });
    }
    longest.retain(|prefix| prefix.replaced.len() > 1);
    longest
}

/// Where a name may first be cut: behind the first letter of an S3 bucket's name, or of what follows the type of the resource.
fn name_start(arn: &str) -> Option<usize> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, service, _, _, resource] = parts.as_slice() else { return None };
    let before = arn.len() - resource.len();
    if *service == "s3" {
        return Some(before + 1);
    }
    resource.find(PATH).map(|end| before + end + 2)
}

fn replaced(policy: &Policy, prefix: &Prefix) -> Policy {
    let mut changed = policy.clone();
    if let Some(statement) = changed.statements_mut().nth(prefix.statement) {
        for clause in &mut statement.clauses {
            let Clause::Resource(values) = clause else { continue };
            let mut texts: Vec<String> = Vec::new();
            let mut is_in = false;
            for text in values.as_slice() {
                if !prefix.replaced.contains(text) {
                    texts.push(text.clone());
                } else if !is_in {
                    is_in = true;
                    texts.push(format!("{}*", prefix.text));
                }
            }
            *values = known::values(texts);
        }
    }
    changed
}

fn proposal(context: &Context<'_>, state: &State, steps: &[(Prefix, Policy)]) -> Option<Proposal> {
    let (_, policy) = steps.last()?;
    let last: Vec<&Prefix> = steps
        .iter()
        .map(|(one, _)| one)
        .enumerate()
        .filter(|(at, one)| {
            let later = steps.get(at + 1..).unwrap_or_default();
            !later.iter().any(|(other, _)| other.statement == one.statement && one.text.starts_with(&other.text))
        })
        .map(|(_, one)| one)
        .collect();
    let count = |one: &Prefix| {
        let all = state.policy.iter().flat_map(Policy::statements).nth(one.statement);
        let texts = all.and_then(known::known).map_or(&[][..], |known| known.resources.texts());
        texts.iter().filter(|text| text.starts_with(&one.text)).count()
    };
    let each = last.iter().map(|one| format!("`{0}*` for {1} resources adds every other one that begins with `{0}`", one.text, count(one)));
    let shown =
        if context.advice.redact { "everything else that begins alike is added".to_owned() } else { each.collect::<Vec<_>>().join("; ") };
    let resources: usize = last.iter().map(|one| count(one)).sum();
    Some(Proposal {
        change: Change {
            rule: "wildcard-resources",
            effect: Effect::NeedsReview,
            title: format!("replace {resources} allowed resources by {} for what they begin with", counted(last.len(), "wildcard")),
            detail: join([shown]),
        },
        asked: state.with_policy(policy),
        documents: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use crate::fixes::tests::suggested_by;
    use crate::fixes::{Advice, Effect, Fix};

    fn found(effect: &str, element: &str, resources: &[&str], redact: bool) -> Vec<Fix> {
        let list = resources.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(",");
        let statement = format!(r#"{{"Effect":"{effect}","Action":"s3:GetObject","{element}":[{list}]}}"#);
        let fixes =
            suggested_by(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#), &Advice { redact, ..Advice::default() });
        fixes.into_iter().filter(|fix| fix.rule() == "wildcard-resources").collect()
    }

    fn resources(list: &[&str]) -> Vec<String> {
        let policies = found("Allow", "Resource", list, false).into_iter().filter_map(|fix| fix.asked.request.policy);
        policies.map(|policy| policy.split_once(r#""Resource":"#).unwrap().1.trim_end_matches("}]}").to_owned()).collect()
    }

    #[test]
    fn resources_that_begin_alike_are_cut_at_the_end_of_a_segment_first() {
        let lake = ["arn:aws:s3:::lake/sales/2024/*", "arn:aws:s3:::lake/sales/2025/*", "arn:aws:s3:::other/x"];
        assert_eq!(resources(&lake), [r#"["arn:aws:s3:::lake/sales/*","arn:aws:s3:::other/x"]"#]);
        assert_eq!(resources(&["arn:aws:s3:::team-a", "arn:aws:s3:::team-b"]), [r#""arn:aws:s3:::team-*""#]);
        let fix = &found("Allow", "Resource", &lake, false)[0];
        assert_eq!(
            (fix.title().as_str(), fix.effect),
            ("replace 2 allowed resources by 1 wildcard for what they begin with", Effect::NeedsReview)
        );
        assert!(
            fix.detail().starts_with(
                "`arn:aws:s3:::lake/sales/*` for 2 resources adds every other one that begins with `arn:aws:s3:::lake/sales/`; policy: "
            ),
            "{}",
            fix.detail()
        );
    }

    #[test]
    fn neither_the_account_nor_the_type_of_a_resource_is_cut_away() {
        for pair in [
            ["arn:aws:dynamodb:eu-west-1:111122223333:table/Orders", "arn:aws:dynamodb:eu-west-1:111122223333:table/Users"],
            ["arn:aws:sqs:eu-west-1:111122223333:orders", "arn:aws:sqs:eu-west-1:111122223333:users"],
            ["arn:aws:s3:::orders", "arn:aws:s3:::users"],
            ["arn:aws:s3:::${aws:username}/a", "arn:aws:s3:::${aws:username}/b"],
            ["arn:aws:s3:::*/a", "arn:aws:s3:::*/b"],
            ["a/b/c", "a/b/d"],
        ] {
            assert_eq!(resources(&pair), [""; 0], "{pair:?}");
        }
        let tables =
            ["arn:aws:dynamodb:eu-west-1:111122223333:table/team-Orders", "arn:aws:dynamodb:eu-west-1:111122223333:table/team-Users"];
        assert_eq!(resources(&tables), [r#""arn:aws:dynamodb:eu-west-1:111122223333:table/team-*""#]);
    }

    #[test]
    fn what_denies_and_what_leaves_out_is_left_alone() {
        let lake = ["arn:aws:s3:::lake/sales/2024/*", "arn:aws:s3:::lake/sales/2025/*"];
        assert_eq!(found("Deny", "Resource", &lake, false), []);
        assert_eq!(found("Allow", "NotResource", &lake, false), []);
        assert!(found("Allow", "Resource", &lake, true).iter().all(|fix| !fix.detail().contains("lake")));
    }
}
