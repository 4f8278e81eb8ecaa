//! Who stands behind a session belongs in the source identity, which is logged with every later call and cannot be changed by chaining.
//! Under the old limit it does not count; in the session token it takes its text and an overhead, so that moving a tag seldom pays.
//!
//! The trust policy must allow `sts:SetSourceIdentity`, and rules that read the tag must read `sts:SourceIdentity`: needs review.
//! Not for requests of more than [`super::MAX_TAGS`] tags. See [source identity](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html).

use super::{Change, Context, Effect, Proposal, State, short_hash};
use crate::packing::limits::is_source_identity;
use crate::packing::{Asked, Operation, Request, Session, one_tag_bytes};

/// Keys, without case and punctuation, that say who a person or a workload is.
const IDENTITY_KEYS: [&str; 20] = [
    "user",
    "username",
    "userid",
    "useremail",
    "usermail",
    "email",
    "mail",
    "actor",
    "owner",
    "sessionowner",
    "sessionuser",
    "login",
    "upn",
    "subject",
    "sub",
    "identity",
    "requester",
    "requestedby",
    "operator",
    "principal",
];

fn names_an_identity(key: &str) -> bool {
    let plain: String = key.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    IDENTITY_KEYS.contains(&plain.as_str())
}

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let session = state.asked.session();
    let takes_identity =
        matches!(session.operation, Operation::AssumeRole | Operation::AssumeRoleWithSaml | Operation::AssumeRoleWithWebIdentity);
    if !takes_identity || session.source_identity_bytes.is_some() {
        return None;
    }
    let tags = state.tags()?;
    let fits = |(key, value): &&(String, String)| names_an_identity(key) && is_source_identity(value);
    // A session has one source identity: the tag that takes most, with others that say the same.
    let (_, identity) = tags.iter().filter(fits).max_by_key(|(key, value)| one_tag_bytes(key, value, context.sizing))?;
    let moves = |key: &str, value: &str| names_an_identity(key) && value == identity;
    let moved: Vec<String> = tags.iter().filter(|(key, value)| moves(key, value)).map(|(key, _)| format!("`{key}`")).collect();
    let shown = if context.advice.redact { short_hash(identity) } else { identity.clone() };
    Some(Proposal {
        change: Change {
            rule: "use-source-identity",
            effect: Effect::NeedsReview,
            title: format!("pass {} as the source identity instead of a session tag", moved.join(" and ")),
            detail: format!(
                "SourceIdentity={shown}; the role's trust policy must allow sts:SetSourceIdentity, and policies that read the tag must read \
                 sts:SourceIdentity; it stays with the session through role chaining"
            ),
        },
        asked: Asked {
            request: Request {
                tags: tags.iter().filter(|(key, value)| !moves(key, value)).cloned().collect(),
                ..state.asked.request.clone()
            },
            session: Session { source_identity_bytes: u16::try_from(identity.len()).ok(), ..state.asked.session },
            source_identity: Some(identity.clone()),
            ..state.asked.clone()
        },
        documents: Vec::new(),
    })
}
