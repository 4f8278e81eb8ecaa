//! A transitive tag is passed on to every session that is made with the session that has it, and is packed in each. It can be left out only where the first session is made: this
//! call cannot. Policies of the roles further on may read it: needs review. Tags that the inline policy reads stay. Not for requests of more than [`super::MAX_TAGS`] tags.
//!
//! See [chaining roles with session tags](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining).

use super::pod_identity;
use super::tag_reads::{Reads, readers};
use super::{Change, Context, Effect, Proposal, State, counted, join};
use crate::packing::{Asked, Request, one_tag_bytes};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    state.tags()?;
    let request = &state.asked.request;
    let reads = Reads::of_inline(state);
    // Those of EKS can only be left out all at once, in their own way.
    let of_pod = pod_identity::has_tags(request);
    let known = context.advice.readers.as_ref();
    let (gone, kept): (Vec<_>, Vec<_>) = request.inherited_tags.iter().cloned().partition(|(key, _)| {
        !reads.reads(key) && known.is_none_or(|readers| !readers.read(key)) && !(of_pod && pod_identity::is_key(key))
    });
    if gone.is_empty() {
        return None;
    }
    let keys: Vec<&str> = gone.iter().map(|(key, _)| key.as_str()).collect();
    let told: Vec<String> =
        gone.iter().map(|(key, value)| format!("`{key}` ({} bytes)", one_tag_bytes(key, value, context.sizing))).collect();
    Some(Proposal {
        change: Change {
            rule: "stop-inheriting-tags",
            effect: Effect::NeedsReview,
            title: format!("make {} not transitive where the first session is made", counted(gone.len(), "inherited tag")),
            detail: join([
                told.join(", "),
                "leave the keys out of TransitiveTagKeys in the call that makes the calling session, or the first of its chain (where an identity provider sends them: the SAML \
                 attribute `https://aws.amazon.com/SAML/Attributes/TransitiveTagKeys`, or `transitive_tag_keys` in the OIDC claim `https://aws.amazon.com/tags`); the first \
                 session keeps the tags, and this call stays as it is"
                    .to_owned(),
                readers(context, &keys),
            ]),
        },
        asked: Asked { request: Request { inherited_tags: kept, ..request.clone() }, ..state.asked.clone() },
        documents: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixes::Subject;
    use crate::fixes::tests::{ADVICE, SIZING};
    use crate::packing::{CallerKind, Operation};

    #[test]
    fn inherited_tags_that_the_inline_policy_does_not_read_are_stopped_at_their_source() {
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"${aws:PrincipalTag/team}"}}"#;
        let request = Request {
            policy: Some(policy.to_owned()),
            tags: vec![("own".to_owned(), "x".to_owned())],
            inherited_tags: vec![("Team".to_owned(), "hidden".to_owned()), ("cost".to_owned(), "hidden".to_owned())],
            ..Request::default()
        };
        let asked = Asked { request: request.clone(), ..Asked::new(Operation::AssumeRole, CallerKind::AssumedRole) };
        let context = Context::new(Subject { asked: &asked, peers: &[], calls: &[] }, &SIZING, &ADVICE);
        let proposal = rule(&context, &State::new(asked.clone(), &context)).unwrap();
        assert_eq!(proposal.asked.request, Request { inherited_tags: request.inherited_tags[..1].to_vec(), ..request });
        assert!(proposal.change.detail.starts_with("`cost` (") && !proposal.change.detail.contains("hidden"), "{}", proposal.change.detail);
    }
}
