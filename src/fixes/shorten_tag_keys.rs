//! A tag's key is packed like its value, byte for byte. Whoever reads the tag (`aws:PrincipalTag/key` in policies, the caller's rules,
//! reports) must learn the new key: needs review. The inline policy learns it here. Not for requests of more than [`super::MAX_TAGS`] tags, since each key is compared with
//! each.

use super::tag_reads::{Reads, readers, redirect, sender, transitive_keys};
use super::{Change, Context, Effect, Proposal, State, counted, join, without_effect};
use crate::packing::{Asked, Request};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let request = &state.asked.request;
    let tags = state.tags()?;
    let reads = Reads::of_inline(state);
    if reads.any {
        return None;
    }
    // Case does not tell keys apart; see `limits::same_key`.
    let inherited: Vec<String> = request.inherited_tags.iter().map(|(key, _)| key.to_lowercase()).collect();
    let mut lower: Vec<String> = tags.iter().map(|(key, _)| key.to_lowercase()).collect();
    let mut renamed: Vec<(&str, String)> = Vec::new();
    for (index, (key, _)) in tags.iter().enumerate() {
        let taken = |short: &str| {
            let short = short.to_lowercase();
            let others = lower.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, key)| key);
            // A policy that reads the short key already would read another tag by it.
            let read = context.advice.readers.as_ref().is_some_and(|readers| readers.of_key(&short)) || reads.keys.contains(&short);
            read || others.chain(&inherited).any(|other| *other == short)
        };
        let Some(short) = candidates(key).find(|short| short.len() < key.len() && !taken(short)) else { continue };
        if let Some(place) = lower.get_mut(index) {
            *place = short.to_lowercase();
        }
        renamed.push((key, short));
    }
    if renamed.is_empty() {
        return None;
    }
    let mut policy = state.policy.clone();
    let mut references = 0;
    for (key, short) in &renamed {
        references += policy.as_mut().map_or(0, |policy| redirect(policy, key, &format!("aws:PrincipalTag/{short}")));
    }
    let new_key = |key: &str| renamed.iter().find(|(old, _)| *old == key).map_or(key, |(_, short)| short).to_owned();
    let changed: Vec<(&str, Option<&str>)> = renamed.iter().map(|(key, short)| (*key, Some(short.as_str()))).collect();
    let keys: Vec<&str> = renamed.iter().map(|(key, _)| *key).collect();
    let told: Vec<String> =
        renamed.iter().map(|(key, short)| format!("`{key}` to `{short}` ({} bytes less)", key.len() - short.len())).collect();
    Some(Proposal {
        change: Change {
            rule: "shorten-tag-keys",
            effect: Effect::NeedsReview,
            title: format!("shorten {}", counted(renamed.len(), "tag key")),
            detail: join([
                told.join(", "),
                if references > 0 {
                    format!("the inline policy reads them by the new keys ({})", counted(references, "place"))
                } else {
                    String::new()
                },
                readers(context, &keys),
                sender(state.asked.session.operation, &keys),
                without_effect::letter_case(request).unwrap_or_default(),
            ]),
        },
        asked: Asked {
            request: Request {
                policy: policy.filter(|_| references > 0).map_or_else(|| request.policy.clone(), |policy| Some(policy.to_string())),
                tags: tags.iter().map(|(key, value)| (new_key(key), value.clone())).collect(),
                ..request.clone()
            },
            transitive_tag_keys: transitive_keys(&state.asked, &changed),
            ..state.asked.clone()
        },
        documents: Vec::new(),
    })
}

/// Short keys for `key`, best first: the initials of its words (the first two letters of a single word), then with a number.
fn candidates(key: &str) -> impl Iterator<Item = String> + use<> {
    let words = words(key);
    let initials: String = match words.as_slice() {
        [word] => word.chars().take(2).collect(),
        many => many.iter().filter_map(|word| word.chars().next()).take(4).collect(),
    };
    let stem = if initials.is_empty() { "t".to_owned() } else { initials.to_lowercase() };
    std::iter::once(stem.clone()).chain((2..100).map(move |number| format!("{stem}{number}")))
}

/// The words of a key: parted by punctuation, or by an upper-case letter behind a lower-case one.
pub(super) fn words(key: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut after_lower_case = false;
    for character in key.chars() {
        let starts_word = !character.is_alphanumeric() || (character.is_uppercase() && after_lower_case);
        if starts_word && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_alphanumeric() {
            word.push(character);
        }
        after_lower_case = character.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixes::tests::{ADVICE, SIZING, only};
    use crate::fixes::{Advice, Fix, Subject, TagReaders, suggest};
    use crate::packing::{CallerKind, Operation, Profile, Regime};

    #[test]
    fn short_keys_come_from_the_words_of_the_key() {
        let first = |key| candidates(key).next().unwrap();
        assert_eq!(first("kubernetes-service-account"), "ksa");
        assert_eq!(first("CostCenter"), "cc");
        assert_eq!(first("department"), "de");
        assert_eq!(first("--"), "t");
        assert_eq!(candidates("team").nth(1).unwrap(), "te2");
    }

    fn shortened(request: &Request, readers: Option<TagReaders>) -> Fix {
        let asked = Asked {
            request: request.clone(),
            transitive_tag_keys: vec!["DEPARTMENT".to_owned(), "other".to_owned()],
            ..Asked::new(Operation::AssumeRoleWithSaml, CallerKind::SamlUser)
        };
        let advice = Advice { readers, ..Advice::default() };
        let found = suggest(Subject { asked: &asked, peers: &[], calls: &[] }, Profile::builtin().sizing(Regime::PackedPolicy), &advice);
        only(&found, "shorten-tag-keys").clone()
    }

    #[test]
    fn the_inline_policy_reads_the_new_key_and_the_assertion_is_named() {
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:principaltag/Department}/*","Condition":{"StringEquals":{"aws:PrincipalTag/de2":"x"}}}}"#;
        let request =
            Request { policy: Some(policy.to_owned()), tags: vec![("department".to_owned(), "x".to_owned())], ..Request::default() };
        let readers = r#"{"UserDetailList":[],"GroupDetailList":[],"RoleDetailList":[],"Policies":[{"Arn":"arn:aws:iam::111122223333:policy/p","PolicyVersionList":[{"IsDefaultVersion":true,"Document":{"Condition":{"Null":{"aws:PrincipalTag/de":"true","aws:PrincipalTag/department":"true"}}}}]}]}"#;
        let fix = shortened(&request, Some(TagReaders::from_json(readers, "details.json").unwrap()));
        // `de` is read by another policy, `de2` by the inline one.
        assert_eq!(fix.asked.request.tags[0].0, "de3");
        assert_eq!(fix.asked.request.policy.unwrap(), policy.replace("aws:principaltag/Department", "aws:PrincipalTag/de3"));
        assert_eq!(fix.asked.transitive_tag_keys, ["de3", "other"]);
        let detail = shortened(&request, None).detail();
        assert!(detail.contains("the inline policy reads them by the new keys (1 place)"), "{detail}");
        assert!(detail.contains("SAML/Attributes/PrincipalTag:department`"), "{detail}");
    }

    proptest! {
        #[test]
        fn shortened_keys_stay_unique_and_never_grow(keys in proptest::collection::hash_set("[a-cA-CÜü]{1,3}([-_ ][a-cA-C]{1,4}){0,3}", 1..50)) {
            let mut seen = std::collections::HashSet::new();
            let tags: Vec<_> = keys.into_iter().filter(|key| seen.insert(key.to_lowercase())).map(|key| (key, "v".to_owned())).collect();
            let asked = Asked { request: Request { tags: tags.clone(), ..Request::default() }, ..Asked::new(Operation::AssumeRole, CallerKind::IamUser) };
            let context = Context::new(Subject { asked: &asked, peers: &[], calls: &[] }, &SIZING, &ADVICE);
            if let Some(proposal) = rule(&context, &State::new(asked.clone(), &context)) {
                let after = proposal.asked.request.tags;
                let distinct: std::collections::HashSet<String> = after.iter().map(|(key, _)| key.to_lowercase()).collect();
                prop_assert_eq!(distinct.len(), tags.len());
                for ((old, value), (new, same)) in tags.iter().zip(&after) {
                    prop_assert!(new.len() <= old.len() && !new.is_empty() && value == same);
                }
            }
        }
    }
}
