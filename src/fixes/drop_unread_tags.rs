//! A tag that no policy reads decides nothing: it takes room for what is only logged, if that. Which tags are read tells the answer of
//! `aws iam get-account-authorization-details`; it does not have the policies of AWS Organizations nor those of resources: needs review.
//! Not for requests of more than [`super::MAX_TAGS`] tags.

use super::authorization::TagReaders;
use super::tag_reads::{Reads, sender, transitive_keys};
use super::{Change, Context, Effect, Proposal, State, counted, join};
use crate::packing::{Asked, Operation, Request, one_tag_bytes};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let readers = of_account(context, &state.asked)?;
    let tags = state.tags()?;
    let reads = Reads::of_inline(state);
    let (kept, unread): (Vec<_>, Vec<_>) = tags.iter().partition(|(key, _)| reads.reads(key) || readers.read(key));
    if unread.is_empty() {
        return None;
    }
    let keys: Vec<&str> = unread.iter().map(|(key, _)| key.as_str()).collect();
    let told: Vec<String> =
        unread.iter().map(|(key, value)| format!("`{key}` ({} bytes)", one_tag_bytes(key, value, context.sizing))).collect();
    let unknown: Vec<String> =
        state.asked.request.policy_arns.iter().filter(|arn| !readers.knows_policy(arn)).map(|arn| format!("`{arn}`")).collect();
    let not_there = if unknown.is_empty() { String::new() } else { format!(", nor {}, which the call passes", unknown.join(", ")) };
    let changed: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (*key, None)).collect();
    Some(Proposal {
        change: Change {
            rule: "drop-unread-tags",
            effect: Effect::NeedsReview,
            title: format!("drop {} that no policy reads", counted(unread.len(), "tag")),
            detail: join([
                told.join(", "),
                format!(
                    "{} does not have the policies of AWS Organizations and of resources{not_there}, nor what reads the tags in CloudTrail: look there",
                    readers.source()
                ),
                "a role's own tag of the same key then takes effect".to_owned(),
                sender(state.asked.session.operation, &keys),
            ]),
        },
        asked: Asked {
            request: Request { tags: kept.into_iter().cloned().collect(), ..state.asked.request.clone() },
            transitive_tag_keys: transitive_keys(&state.asked, &changed),
            ..state.asked.clone()
        },
        documents: Vec::new(),
    })
}

/// What is known of the account that the session belongs to; None where nothing is. An account that is not told is taken for that of the file.
pub(super) fn of_account<'a>(context: &'a Context<'_>, asked: &Asked) -> Option<&'a TagReaders> {
    let readers = context.advice.readers.as_ref()?;
    let account = match asked.session.operation {
        Operation::GetFederationToken => asked.account_id.as_deref(),
        _ => asked.role_arn.as_deref().and_then(|arn| arn.split(':').nth(4)),
    };
    account.is_none_or(|account| readers.knows_account(account)).then_some(readers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixes::tests::{ADVICE, SIZING};
    use crate::fixes::{Advice, Subject};
    use crate::packing::CallerKind;

    const DETAILS: &str = r#"{"UserDetailList":[],"GroupDetailList":[],"RoleDetailList":[{"Arn":"arn:aws:iam::111122223333:role/app","AssumeRolePolicyDocument":"%7B%22Statement%22%3A%7B%22Condition%22%3A%7B%22Null%22%3A%7B%22aws%3ARequestTag%2Fteam%22%3A%22false%22%7D%7D%7D%7D"}],"Policies":[]}"#;

    fn kept(role: &str, redact: bool) -> Option<(Vec<String>, String)> {
        let tags = ["Team", "cost", "secret"].map(|key| (key.to_owned(), "hidden".to_owned())).to_vec();
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"${aws:PrincipalTag/cost}"}}"#;
        let arns = vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()];
        let request = Request { policy: Some(policy.to_owned()), policy_arns: arns, tags, ..Request::default() };
        let asked = Asked { request, role_arn: Some(role.to_owned()), ..Asked::new(Operation::AssumeRole, CallerKind::IamUser) };
        let advice = Advice { redact, readers: Some(TagReaders::from_json(DETAILS, "details.json").unwrap()), ..ADVICE.clone() };
        let context = Context::new(Subject { asked: &asked, peers: &[], calls: &[] }, &SIZING, &advice);
        let proposal = rule(&context, &State::new(asked.clone(), &context))?;
        Some((proposal.asked.request.tags.into_iter().map(|(key, _)| key).collect(), proposal.change.detail))
    }

    #[test]
    fn what_neither_the_account_nor_the_inline_policy_reads_goes() {
        let (kept, detail) = kept("arn:aws:iam::111122223333:role/app", true).unwrap();
        assert_eq!(kept, ["Team", "cost"]);
        assert!(detail.starts_with("`secret` (15 bytes); details.json does not have"), "{detail}");
        assert!(detail.contains("nor `arn:aws:iam::aws:policy/ReadOnlyAccess`, which the call passes") && !detail.contains("hidden"));
    }

    #[test]
    fn another_account_s_answer_says_nothing() {
        assert_eq!(kept("arn:aws:iam::444455556666:role/app", false), None);
    }
}
