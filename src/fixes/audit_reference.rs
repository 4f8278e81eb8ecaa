//! Tags for people who read logs, why a session was made and for which change, belong where such things are kept: the session passes one short tag that refers to them. Whoever
//! reads the logs must look there, and something must write it: needs review. An identity provider cannot write it, so not for its sessions. Not for requests of
//! more than [`super::MAX_TAGS`] tags.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::drop_unread_tags::of_account;
use super::shorten_tag_keys::words;
use super::stored_policy::pretty;
use super::tag_reads::{Reads, readers, transitive_keys};
use super::{Change, Context, Document, Effect, Proposal, State, counted, join};
use crate::packing::{Asked, Operation, Request};

/// Words in the keys of tags that are there to be read by people.
const AUDIT_WORDS: [&str; 24] = [
    "approver",
    "audit",
    "branch",
    "build",
    "change",
    "comment",
    "commit",
    "correlation",
    "description",
    "incident",
    "job",
    "justification",
    "note",
    "pipeline",
    "purpose",
    "reason",
    "repo",
    "repository",
    "run",
    "sha",
    "ticket",
    "trace",
    "url",
    "workflow",
];

/// Hex digits of a reference: two sets of tags in 2^32 share one by chance.
const REFERENCE_CHARS: usize = 16;

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    if !matches!(state.asked.session.operation, Operation::AssumeRole | Operation::GetFederationToken) {
        return None;
    }
    let tags = state.tags()?;
    let reads = Reads::of_inline(state);
    let account = of_account(context, &state.asked);
    let is_audit = |key: &str| words(key).iter().any(|word| AUDIT_WORDS.contains(&word.to_lowercase().as_str()));
    let moves = |key: &str| is_audit(key) && !reads.reads(key) && account.is_none_or(|readers| !readers.read(key));
    let (moved, mut kept): (Vec<_>, Vec<_>) = tags.iter().cloned().partition(|(key, _)| moves(key));
    if moved.is_empty() {
        return None;
    }
    let inherited = &state.asked.request.inherited_tags;
    let free = |key: &String| {
        let taken = kept.iter().chain(inherited).any(|(other, _)| other.to_lowercase() == *key);
        !taken && !reads.reads(key) && context.advice.readers.as_ref().is_none_or(|readers| !readers.of_key(key))
    };
    let key = std::iter::once("ref".to_owned()).chain((2..1000).map(|number| format!("ref{number}"))).find(free)?;
    let reference = reference(&moved);
    let keys: Vec<&str> = moved.iter().map(|(key, _)| key.as_str()).collect();
    let members: serde_json::Map<_, _> = moved.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let written = json!({ "ref": reference, "tags": members }).to_string();
    let changed: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (*key, None)).collect();
    let transitive_tag_keys = transitive_keys(&state.asked, &changed);
    kept.push((key.clone(), reference.clone()));
    let shown = if context.advice.redact { String::new() } else { format!("={reference}") };
    let named: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    let title = format!("pass a reference in the place of {} that people read", counted(moved.len(), "tag"));
    Some(Proposal {
        change: Change {
            rule: "use-audit-reference",
            effect: Effect::NeedsReview,
            title,
            detail: join([
                format!("`{key}`{shown} for {}", named.join(", ")),
                "the caller writes what it refers to where audits look it up, as audit-reference.json shows; any identifier that they know there does as well, such as the \
                 ticket's"
                    .to_owned(),
                readers(context, &keys),
            ]),
        },
        asked: Asked {
            request: Request { tags: kept, ..state.asked.request.clone() },
            transitive_tag_keys,
            ..state.asked.clone()
        },
        documents: vec![Document { name: "audit-reference.json".to_owned(), text: pretty(&written) }],
    })
}

/// Stands for `tags`: the beginning of their SHA-256, whatever their order, so that equal ones are written once.
fn reference(tags: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = tags.iter().collect();
    sorted.sort();
    let mut digest = Sha256::new();
    for text in sorted.into_iter().flat_map(|(key, value)| [key, value]) {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    digest.finalize().iter().take(REFERENCE_CHARS / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixes::tests::{ADVICE, SIZING};
    use crate::fixes::{Advice, Subject};
    use crate::packing::CallerKind;

    fn proposal(tags: &[(&str, &str)], redact: bool) -> Option<Proposal> {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let asked = Asked { request: Request { tags, ..Request::default() }, ..Asked::new(Operation::AssumeRole, CallerKind::IamUser) };
        let advice = Advice { redact, ..ADVICE.clone() };
        let context = Context::new(Subject { asked: &asked, peers: &[], calls: &[] }, &SIZING, &advice);
        rule(&context, &State::new(asked.clone(), &context))
    }

    #[test]
    fn tags_that_people_read_become_one_that_refers_to_them() {
        let proposal =
            proposal(&[("REF", "x"), ("change-ticket", "CHG \"1\""), ("team", "y"), ("buildUrl", "https://example.com")], true).unwrap();
        let tags = &proposal.asked.request.tags;
        assert_eq!(tags.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["REF", "team", "ref2"]);
        let written: serde_json::Value = serde_json::from_str(&proposal.documents[0].text).unwrap();
        assert_eq!(written, json!({"ref": tags[2].1, "tags": {"change-ticket": "CHG \"1\"", "buildUrl": "https://example.com"}}));
        assert!(!proposal.change.detail.contains("CHG") && !proposal.change.detail.contains(&tags[2].1));
    }

    #[test]
    fn equal_tags_have_one_reference_and_others_another() {
        let of = |tags: &[(&str, &str)]| proposal(tags, false).unwrap().asked.request.tags[0].1.clone();
        assert_eq!(of(&[("reason", "a"), ("ticket", "b")]), of(&[("ticket", "b"), ("reason", "a")]));
        assert_ne!(of(&[("reason", "a"), ("ticket", "b")]), of(&[("reason", "ab"), ("ticket", "")]));
        assert!(proposal(&[("team", "a"), ("runner", "b")], false).is_none());
    }
}
