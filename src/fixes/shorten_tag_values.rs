//! A tag's value is packed byte for byte. Some values carry what nobody needs: the head of an ARN, the scheme of a URL, the hyphens of a UUID, the long name of an
//! environment. Whoever compares the value must compare the short one: needs review. Tags that the inline policy reads are left alone, and so are those whose values would no
//! longer be told apart among the caller's requests. Not for requests of more than [`super::MAX_TAGS`] tags.

use std::collections::HashMap;

use super::tag_reads::{Reads, readers, sender};
use super::{Change, Context, Effect, Proposal, State, counted, join};
use crate::packing::limits::same_key;
use crate::packing::{Asked, Request};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let request = &state.asked.request;
    let tags = state.tags()?;
    let reads = Reads::of_inline(state);
    let mut shortened: Vec<(&str, &str, String)> = Vec::new();
    for (key, value) in tags {
        if let Some(short) = shorter(value).filter(|_| !reads.reads(key) && stays_distinct(context, key)) {
            shortened.push((key, value, short));
        }
    }
    if shortened.is_empty() {
        return None;
    }
    let keys: Vec<&str> = shortened.iter().map(|(key, ..)| *key).collect();
    let told: Vec<String> = shortened
        .iter()
        .map(|(key, value, short)| {
            let less = value.len() - short.len();
            if context.advice.redact {
                format!("`{key}` ({less} bytes less)")
            } else {
                format!("`{key}`: `{value}` to `{short}` ({less} bytes less)")
            }
        })
        .collect();
    let new_value =
        |key: &str, value: &str| shortened.iter().find(|(changed, ..)| *changed == key).map_or(value, |(_, _, short)| short).to_owned();
    Some(Proposal {
        change: Change {
            rule: "shorten-tag-values",
            effect: Effect::NeedsReview,
            title: format!("shorten {}", counted(shortened.len(), "tag value")),
            detail: join([told.join(", "), readers(context, &keys), sender(state.asked.session.operation, &keys)]),
        },
        asked: Asked {
            request: Request { tags: tags.iter().map(|(key, value)| (key.clone(), new_value(key, value))).collect(), ..request.clone() },
            ..state.asked.clone()
        },
        documents: Vec::new(),
    })
}

/// Names of environments and what they are often called for short.
const ENVIRONMENTS: [(&str, &str); 5] =
    [("production", "prod"), ("development", "dev"), ("staging", "stg"), ("testing", "test"), ("integration", "int")];

/// `value` without what nobody needs; None where it has nothing of the kind.
fn shorter(value: &str) -> Option<String> {
    if let Some((_, short)) = ENVIRONMENTS.iter().find(|(long, _)| value.eq_ignore_ascii_case(long)) {
        return Some((*short).to_owned());
    }
    if value.starts_with("arn:") {
        let resource = value.splitn(6, ':').nth(5)?;
        return resource.rsplit(['/', ':']).next().filter(|name| !name.is_empty()).map(str::to_owned);
    }
    if let Some(rest) = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://")) {
        return Some(rest.trim_end_matches('/').to_owned()).filter(|rest| !rest.is_empty());
    }
    is_uuid(value).then(|| value.replace('-', ""))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether the short values of the tag `key` differ where the long ones do, in all requests that are known.
fn stays_distinct(context: &Context<'_>, key: &str) -> bool {
    let mut long: HashMap<String, &str> = HashMap::new();
    let tags = context.subject.peers.iter().chain([&context.subject.asked.request]).flat_map(|peer| &peer.tags);
    tags.filter(|(other, _)| other == key || same_key(other, key)).all(|(_, value)| {
        let short = shorter(value).unwrap_or_else(|| value.clone());
        *long.entry(short).or_insert(value) == value
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixes::Subject;
    use crate::fixes::tests::{ADVICE, SIZING};
    use crate::packing::{CallerKind, Operation};

    fn request(tags: &[(&str, &str)]) -> Request {
        Request { tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(), ..Request::default() }
    }

    fn values(own: &Request, peers: &[Request]) -> Option<Vec<String>> {
        let asked = Asked { request: own.clone(), ..Asked::new(Operation::AssumeRole, CallerKind::IamUser) };
        let context = Context::new(Subject { asked: &asked, peers, calls: &[] }, &SIZING, &ADVICE);
        let proposal = rule(&context, &State::new(asked.clone(), &context))?;
        Some(proposal.asked.request.tags.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn values_lose_what_nobody_needs() {
        let own = request(&[
            ("cluster", "arn:aws-cn:eks:cn-north-1:111122223333:cluster/main"),
            ("repo", "https://example.com/team/app/"),
            ("id", "0cda7f85-c1f9-4dee-b6e9-a0b50c8f3012"),
            ("env", "Production"),
            ("plain", "x"),
        ]);
        let short = ["main", "example.com/team/app", "0cda7f85c1f94deeb6e9a0b50c8f3012", "prod", "x"];
        assert_eq!(values(&own, &[]).unwrap(), short);
        for value in ["arn:aws:s3:::b/", "arn:aws", "https://", "0cda7f85-c1f9-4dee-b6e9-a0b50c8f30é", "products"] {
            assert_eq!(values(&request(&[("k", value)]), &[]), None, "{value}");
        }
    }

    #[test]
    fn values_that_would_become_one_and_those_that_are_compared_stay() {
        let own = request(&[("Cluster", "arn:aws:eks:eu-west-1:111122223333:cluster/main")]);
        let other = request(&[("cluster", "arn:aws:eks:eu-west-2:111122223333:cluster/main")]);
        assert_eq!(values(&own, &[own.clone(), other]), None);
        let policy =
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/cluster":"x"}}}}"#;
        assert_eq!(values(&Request { policy: Some(policy.to_owned()), ..own }, &[]), None);
    }
}
