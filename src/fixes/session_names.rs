//! In the session token the role session name takes its text, and the source identity its text and an overhead. Under the limit on the token both count; under the older
//! limit neither did. Names are logged with every call of the session and may be compared in policies: needs review.
//!
//! See [condition keys of IAM and STS](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html).

use super::{Change, Context, Effect, Proposal, State, join, short_hash};
use crate::packing::limits::is_name_char;
use crate::packing::{Asked, Operation, Regime, Session};

/// Characters that tell sessions apart well enough: a word, and eight hex digits.
const SHORT_CHARS: usize = 16;

/// Shortens the session's name, or that of the federated user.
pub(super) fn shorten_session_name(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let asked = &state.asked;
    let session = asked.session();
    let bytes = usize::from(session.session_name_bytes?);
    if context.sizing.regime != Regime::SessionToken || bytes <= SHORT_CHARS || !session.operation.names_its_session() {
        return None;
    }
    let short = asked.session_name.as_deref().map(shorter);
    let parameter = if session.operation == Operation::GetFederationToken { "Name" } else { "RoleSessionName" };
    let sent = match session.operation {
        Operation::AssumeRoleWithSaml => {
            "the identity provider sends it in the SAML attribute `https://aws.amazon.com/SAML/Attributes/RoleSessionName`"
        }
        _ => "",
    };
    Some(Proposal {
        change: Change {
            rule: "shorten-session-name",
            effect: Effect::NeedsReview,
            title: format!("pass a session name of {SHORT_CHARS} characters instead of {bytes}"),
            detail: join([
                shown(context, parameter, asked.session_name.as_deref(), short.as_deref()),
                "it must still tell sessions apart where logs are read: it stands in the ARN of the session".to_owned(),
                inline_reads(state, &["aws:userid", "sts:rolesessionname", "aws:username"]),
                "policies that compare aws:userid, the session's ARN or, in the role's trust policy, sts:RoleSessionName must know the new form".to_owned(),
                sent.to_owned(),
            ]),
        },
        asked: Asked {
            session: Session { session_name_bytes: u16::try_from(SHORT_CHARS).ok(), ..asked.session },
            session_name: short,
            ..asked.clone()
        },
        documents: Vec::new(),
    })
}

/// Shortens the source identity.
pub(super) fn shorten_source_identity(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let asked = &state.asked;
    let session = asked.session();
    let bytes = usize::from(session.source_identity_bytes?);
    if context.sizing.regime != Regime::SessionToken || bytes <= SHORT_CHARS {
        return None;
    }
    // The part of an e-mail address before its domain names the person as well.
    let local =
        |text: &str| text.split_once('@').map(|(local, _)| local.to_owned()).filter(|local| (2..=SHORT_CHARS).contains(&local.len()));
    let short = asked.source_identity.as_deref().map(|text| local(text).unwrap_or_else(|| shorter(text)));
    let chars = short.as_ref().map_or(SHORT_CHARS, String::len);
    Some(Proposal {
        change: Change {
            rule: "shorten-source-identity",
            effect: Effect::NeedsReview,
            title: format!("pass a source identity of {chars} characters instead of {bytes}"),
            detail: join([
                shown(context, "SourceIdentity", asked.source_identity.as_deref(), short.as_deref()),
                "it must still name one person or workload; a session that got it by role chaining has it from the first session, where it is set".to_owned(),
                inline_reads(state, &["aws:sourceidentity", "sts:sourceidentity"]),
                "policies that compare aws:SourceIdentity or sts:SourceIdentity must know the new one".to_owned(),
                super::source_identity::provider(session.operation).split(", and").next().unwrap_or_default().to_owned(),
            ]),
        },
        asked: Asked {
            session: Session { source_identity_bytes: u16::try_from(chars).ok(), ..asked.session },
            source_identity: short,
            ..asked.clone()
        },
        documents: Vec::new(),
    })
}

fn shown(context: &Context<'_>, parameter: &str, long: Option<&str>, short: Option<&str>) -> String {
    match (long, short) {
        (Some(_), Some(_)) if context.advice.redact => String::new(),
        (Some(long), Some(short)) => format!("{parameter}=`{short}` for example, in the place of `{long}`"),
        _ => String::new(),
    }
}

/// The inline policy's own references to what changes; `keys` in lower case.
fn inline_reads(state: &State, keys: &[&str]) -> String {
    let text = state.asked.request.policy.as_deref().unwrap_or_default().to_lowercase();
    let read: Vec<&str> = keys.iter().copied().filter(|key| text.contains(key)).collect();
    if read.is_empty() { String::new() } else { format!("the inline policy reads {}: change it with the name", read.join(" and ")) }
}

/// The beginning of `text` and a hash of it all, so that names that differed still do.
fn shorter(text: &str) -> String {
    let hash = short_hash(text);
    let head: String = text.chars().filter(|&one| is_name_char(one)).take(SHORT_CHARS - 1 - hash.len()).collect();
    let head = head.trim_end_matches(['-', '.', '_', '@', '=', '+', ',']);
    // Always of the full length, that of the name which is known only by it.
    format!("{head:-<width$}{hash}", width = SHORT_CHARS - hash.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixes::tests::ADVICE;
    use crate::fixes::{Advice, Fix, Subject, suggest};
    use crate::packing::{CallerKind, Profile, Request};

    fn asked(name: &str, identity: Option<&str>) -> Asked {
        Asked {
            session_name: Some(name.to_owned()),
            source_identity: identity.map(str::to_owned),
            ..Asked::new(Operation::AssumeRole, CallerKind::AssumedRole)
        }
    }

    fn fixes(asked: &Asked, regime: Regime, redact: bool) -> Vec<Fix> {
        let advice = Advice { redact, ..ADVICE.clone() };
        let found = suggest(Subject { asked, peers: &[], calls: &[] }, Profile::builtin().sizing(regime), &advice);
        found.into_iter().filter(|fix| fix.changes.len() == 1).collect()
    }

    fn find(found: &[Fix], rule: &str) -> Option<Fix> {
        found.iter().find(|fix| fix.rule() == rule).cloned()
    }

    const NAME: &str = "deploy-pipeline-0cda7f85-c1f9-4dee-b6e9-a0b50c8f3012";

    #[test]
    fn long_names_are_shortened_where_they_count() {
        let asked = asked(NAME, Some("anna.schmidt@subsidiary.example.com"));
        let found = fixes(&asked, Regime::SessionToken, false);
        let name = find(&found, "shorten-session-name").unwrap();
        assert_eq!(name.asked.session_name.as_ref().map(String::len), Some(16));
        assert_eq!(name.asked.session().session_name_bytes, Some(16));
        assert!(name.detail().contains(NAME) && name.saved_bytes == 52 - 16, "{}", name.saved_bytes);
        let identity = find(&found, "shorten-source-identity").unwrap();
        assert_eq!(identity.asked.source_identity.as_deref(), Some("anna.schmidt"));
        assert_eq!(identity.asked.session().source_identity_bytes, Some(12));
        assert_eq!(fixes(&asked, Regime::PackedPolicy, false), []);
    }

    #[test]
    fn a_name_known_by_its_length_is_shortened_by_length() {
        let mut unnamed = asked("", None);
        unnamed.session_name = None;
        unnamed.session.session_name_bytes = Some(60);
        let fix = find(&fixes(&unnamed, Regime::SessionToken, false), "shorten-session-name").unwrap();
        assert_eq!((fix.asked.session_name.clone(), fix.asked.session().session_name_bytes), (None, Some(16)));
        unnamed.session.session_name_bytes = Some(16);
        assert_eq!(fixes(&unnamed, Regime::SessionToken, false), []);
    }

    #[test]
    fn names_are_hidden_where_asked_for_and_readers_are_told() {
        let mut asked = asked(NAME, Some("anna.schmidt@subsidiary.example.com"));
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/${aws:userId}/*"}}"#;
        asked.request = Request { policy: Some(policy.to_owned()), ..Request::default() };
        let found = fixes(&asked, Regime::SessionToken, true);
        assert!(find(&found, "shorten-session-name").unwrap().detail().contains("the inline policy reads aws:userid"));
        for fix in found.iter().filter(|fix| fix.rule().starts_with("shorten-s")) {
            for text in [fix.title(), fix.detail()] {
                assert!(!text.contains("deploy") && !text.contains("anna") && !text.contains(&short_hash(NAME)), "{text}");
            }
        }
    }

    #[test]
    fn short_names_differ_where_long_ones_did_and_are_names() {
        let names = ["a-very-long-session-name-1", "a-very-long-session-name-2", "éééééééééééééééééééé", "-----------------------"];
        let short: std::collections::HashSet<String> = names.iter().map(|name| shorter(name)).collect();
        assert_eq!(short.len(), names.len());
        assert!(short.iter().all(|name| name.len() == SHORT_CHARS && name.chars().all(is_name_char)), "{short:?}");
    }
}
