//! Who stands behind a session belongs in the source identity, which is logged with every later call and cannot be changed by chaining.
//! Under the old limit it does not count; in the session token it takes its text and an overhead, so that moving a tag seldom pays.
//!
//! The trust policy must allow `sts:SetSourceIdentity`, and policies that read the tag must read `aws:SourceIdentity`, as the inline policy here does: needs review.
//! Not for requests of more than [`super::MAX_TAGS`] tags. See [source identity](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html).

use super::tag_reads::{Reads, readers, redirect, transitive_keys};
use super::{Change, Context, Effect, Proposal, State, join, short_hash};
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
    if Reads::of_inline(state).any {
        return None;
    }
    let fits = |(key, value): &&(String, String)| names_an_identity(key) && is_source_identity(value);
    // A session has one source identity: the tag that takes most, with others that say the same.
    let (_, identity) = tags.iter().filter(fits).max_by_key(|(key, value)| one_tag_bytes(key, value, context.sizing))?;
    let moves = |key: &str, value: &str| names_an_identity(key) && value == identity;
    let keys: Vec<&str> = tags.iter().filter(|(key, value)| moves(key, value)).map(|(key, _)| key.as_str()).collect();
    let moved: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    let mut policy = state.policy.clone();
    let references: usize = keys.iter().map(|key| policy.as_mut().map_or(0, |policy| redirect(policy, key, "aws:SourceIdentity"))).sum();
    let inline = if references > 0 { "the inline policy reads aws:SourceIdentity instead" } else { "" };
    let changed: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (*key, None)).collect();
    let shown = if context.advice.redact { short_hash(identity) } else { identity.clone() };
    Some(Proposal {
        change: Change {
            rule: "use-source-identity",
            effect: Effect::NeedsReview,
            title: format!("pass {} as the source identity instead of a session tag", moved.join(" and ")),
            detail: join([
                format!("SourceIdentity={shown}"),
                "the role's trust policy must allow sts:SetSourceIdentity, and that of every role that the session goes on to, since the source identity stays with \
                 it and cannot be changed; a session that has one already cannot set another"
                    .to_owned(),
                inline.to_owned(),
                format!("{}, by reading aws:SourceIdentity (sts:SourceIdentity in trust policies)", readers(context, &keys)),
                provider(session.operation).to_owned(),
            ]),
        },
        asked: Asked {
            request: Request {
                policy: policy.filter(|_| references > 0).map_or_else(|| state.asked.request.policy.clone(), |policy| Some(policy.to_string())),
                tags: tags.iter().filter(|(key, value)| !moves(key, value)).cloned().collect(),
                ..state.asked.request.clone()
            },
            transitive_tag_keys: transitive_keys(&state.asked, &changed),
            session: Session { source_identity_bytes: u16::try_from(identity.len()).ok(), ..state.asked.session },
            source_identity: Some(identity.clone()),
            ..state.asked.clone()
        },
        documents: Vec::new(),
    })
}

/// Where an identity provider sets the source identity; empty where the caller passes it.
pub(super) fn provider(operation: Operation) -> &'static str {
    match operation {
        Operation::AssumeRoleWithSaml => {
            "the identity provider sends it: in the SAML attribute `https://aws.amazon.com/SAML/Attributes/SourceIdentity`, and the tag no longer"
        }
        Operation::AssumeRoleWithWebIdentity => {
            "the identity provider sends it: in the OIDC claim `https://aws.amazon.com/source_identity`, and the tag no longer"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use crate::fixes::tests::{only, suggested};
    use crate::packing::{CallerKind, Operation, Profile, Regime, Request, Session};

    #[test]
    fn the_inline_policy_reads_the_source_identity_instead_of_the_tag() {
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:PrincipalTag/user}/*"}}"#;
        let request = Request {
            policy: Some(policy.to_owned()),
            tags: vec![("user".to_owned(), "anna@example.com".to_owned())],
            ..Request::default()
        };
        let session = Session::new(Operation::AssumeRoleWithWebIdentity, CallerKind::WebIdentityUser);
        let found = suggested(&request, &session, Profile::builtin().sizing(Regime::PackedPolicy), true);
        let fix = only(&found, "use-source-identity");
        assert_eq!(fix.asked.request.policy.as_deref(), Some(policy.replace("aws:PrincipalTag/user", "aws:SourceIdentity").as_str()));
        assert!(fix.asked.request.tags.is_empty());
        assert!(!fix.detail().contains("anna") && fix.detail().contains("`https://aws.amazon.com/source_identity`"), "{}", fix.detail());
    }
}
