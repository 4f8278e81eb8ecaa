//! EKS Pod Identity gives its sessions six transitive tags of its own, some 250 bytes, which every session made with them inherits. The association can do without them, all or
//! none: policies that read one of them must not. Where the inline policy does, there is no such change. Needs review. Not for requests of more than [`super::MAX_TAGS`] tags.
//!
//! See [session tags of EKS Pod Identity](https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html) and, for `disableSessionTags`, the
//! [API reference](https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdatePodIdentityAssociation.html).

use super::stored_policy::shell_word;
use super::tag_reads::{Reads, readers, transitive_keys};
use super::{Change, Context, Document, Effect, Proposal, State, join};
use crate::packing::{Asked, Request};

const KEYS: [&str; 6] = [
    "eks-cluster-arn",
    "eks-cluster-name",
    "kubernetes-namespace",
    "kubernetes-service-account",
    "kubernetes-pod-name",
    "kubernetes-pod-uid",
];

/// Whether EKS Pod Identity gives a tag with this key.
pub(super) fn is_key(key: &str) -> bool {
    KEYS.iter().any(|known| key.eq_ignore_ascii_case(known))
}

/// Whether the tags of `request` are those of EKS Pod Identity.
pub(super) fn has_tags(request: &Request) -> bool {
    KEYS.iter().all(|key| value(request, key).is_some())
}

fn value<'a>(request: &'a Request, key: &str) -> Option<&'a str> {
    let mut tags = request.tags.iter().chain(&request.inherited_tags);
    tags.find(|(own, _)| own.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
}

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    state.tags()?;
    let request = &state.asked.request;
    let reads = Reads::of_inline(state);
    if !has_tags(request) || KEYS.iter().any(|key| reads.reads(key)) {
        return None;
    }
    let without = |tags: &[(String, String)]| tags.iter().filter(|(key, _)| !is_key(key)).cloned().collect();
    let changed: Vec<(&str, Option<&str>)> = KEYS.iter().map(|key| (*key, None)).collect();
    Some(Proposal {
        change: Change {
            rule: "disable-pod-identity-tags",
            effect: Effect::NeedsReview,
            title: "switch off the session tags of the EKS Pod Identity association (disableSessionTags)".to_owned(),
            detail: join([
                "disable-session-tags.sh does it for the pod's service account; every pod of the association and every session made with theirs is then without the six tags"
                    .to_owned(),
                "CloudTrail no longer tells the pods apart by them".to_owned(),
                readers(context, &KEYS),
            ]),
        },
        asked: Asked {
            request: Request { tags: without(&request.tags), inherited_tags: without(&request.inherited_tags), ..request.clone() },
            transitive_tag_keys: transitive_keys(&state.asked, &changed),
            ..state.asked.clone()
        },
        documents: vec![Document { name: "disable-session-tags.sh".to_owned(), text: script(request) }],
    })
}

fn script(request: &Request) -> String {
    let word = |option: &str, key: &str| format!("--{option}={}", shell_word(value(request, key).unwrap_or_default()));
    let region = value(request, "eks-cluster-arn").and_then(|arn| arn.split(':').nth(3)).unwrap_or_default();
    let cluster = format!("--region={} {}", shell_word(region), word("cluster-name", "eks-cluster-name"));
    format!(
        "#!/bin/sh\n# Switches off the session tags of the EKS Pod Identity association of one service account.\nset -eu\n\
         id=$(aws eks list-pod-identity-associations {cluster} {} {} \\\n  --query 'associations[0].associationId' --output text)\n\
         aws eks update-pod-identity-association {cluster} --association-id=\"$id\" --disable-session-tags\n",
        word("namespace", "kubernetes-namespace"),
        word("service-account", "kubernetes-service-account"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixes::tests::{ADVICE, SIZING, suggested};
    use crate::fixes::{Subject, inherited_tags};
    use crate::packing::{CallerKind, Operation, Session};

    /// As a session that inherits them has them, in the words of a public record.
    fn request() -> Request {
        let values = [
            "arn:aws:eks:us-west-2:111122223333:cluster/workshop",
            "work'shop",
            "ns-a",
            "sa1",
            "app1",
            "0cda7f85-c1f9-4dee-b6e9-a0b50c8f3012",
        ];
        Request {
            inherited_tags: KEYS.iter().zip(values).map(|(key, value)| ((*key).to_owned(), value.to_owned())).collect(),
            ..Request::default()
        }
    }

    fn proposal(request: Request) -> Option<Proposal> {
        let asked = Asked { request, ..Asked::new(Operation::AssumeRole, CallerKind::AssumedRole) };
        let context = Context::new(Subject { asked: &asked, peers: &[], calls: &[] }, &SIZING, &ADVICE);
        let state = State::new(asked.clone(), &context);
        assert!(inherited_tags::rule(&context, &state).is_none());
        rule(&context, &state)
    }

    #[test]
    fn the_association_does_without_its_tags_unless_the_inline_policy_reads_one() {
        let found = proposal(request()).unwrap();
        assert_eq!(found.asked.request, Request::default());
        let script = &found.documents[0].text;
        assert!(
            script.contains(r"--region='us-west-2' --cluster-name='work'\''shop' --namespace='ns-a' --service-account='sa1'"),
            "{script}"
        );
        assert!(!found.change.detail.contains("app1"));
        let policy =
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"${aws:PrincipalTag/kubernetes-namespace}"}}"#;
        assert!(proposal(Request { policy: Some(policy.to_owned()), ..request() }).is_none());
        let mut partial = request();
        partial.inherited_tags.truncate(5);
        assert!(!has_tags(&partial));
    }

    #[test]
    fn the_service_s_own_call_gets_no_fix_and_the_chained_one_does() {
        let rules = |caller| {
            let session = Session::new(Operation::AssumeRole, caller);
            suggested(&request(), &session, &SIZING, false).iter().map(crate::fixes::Fix::rule).collect::<Vec<_>>()
        };
        assert!(rules(CallerKind::AwsService).is_empty());
        assert!(rules(CallerKind::AssumedRole).contains(&"disable-pod-identity-tags".to_owned()));
    }
}
