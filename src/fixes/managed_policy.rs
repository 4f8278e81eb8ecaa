//! A managed policy passed by its ARN takes a few bytes, whatever it says. The text must then be the same for every session that passes it, and the
//! policy must stand in the account of the role (for GetFederationToken: of the user). Not for policies far beyond what STS takes, as no rule
//! about policies is: see [`super::MAX_POLICY_BYTES`].
//!
//! See [session policies](https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session).

use std::collections::HashSet;

use super::{Change, Context, Effect, Proposal, State, counted, join, short_hash, stored_policy};
use crate::packing::limits::{POLICY_AND_ARN_CHARS, POLICY_ARNS, policy_and_arn_chars};
use crate::packing::{Asked, Request, Sizing};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let text = state.asked.request.policy.as_deref()?;
    let policy = state.policy.as_ref()?;
    let stored = stored_policy::store(policy, &state.asked)?;
    let request = with_arns(&state.asked.request, &stored.arns)?;
    let shown = if context.advice.redact { short_hash(text) } else { policy.to_string() };
    let title = format!(
        "create the policy as {} in the {}'s account and pass {} instead of the inline document",
        if stored.arns.len() == 1 { "a managed policy".to_owned() } else { format!("{} managed policies", stored.arns.len()) },
        stored.of,
        if stored.arns.len() == 1 { "its ARN" } else { "their ARNs" },
    );
    let detail = join([
        format!("PolicyArns: {}", stored.arns.join(", ")),
        stored.note(),
        sameness(context),
        arn_price(context.sizing).to_owned(),
        format!("policy: {shown}"),
    ]);
    let mut documents = stored.documents;
    documents.push(stored_policy::parameters(&request));
    Some(Proposal {
        change: Change { rule: "use-managed-policy", effect: Effect::NeedsReview, title, detail },
        asked: Asked { request, ..state.asked.clone() },
        documents,
    })
}

/// `request` with managed policies in the place of its inline one; None where STS would not take as many.
pub(super) fn with_arns(request: &Request, arns: &[String]) -> Option<Request> {
    let mut changed = Request { policy: None, ..request.clone() };
    changed.policy_arns.extend_from_slice(arns);
    let fits = changed.policy_arns.len() <= POLICY_ARNS as usize && policy_and_arn_chars(&changed) <= POLICY_AND_ARN_CHARS;
    fits.then_some(changed)
}

/// What the price of an ARN rests on: one public example tells it, a user's own logs tell better.
pub(super) fn arn_price(sizing: &Sizing) -> &'static str {
    let told =
        sizing.basis.as_ref().is_some_and(|basis| basis.is_fitted() && !basis.at_prior.iter().any(|name| name == "policy_arn_bytes"));
    if told { "what an ARN takes is fitted to these logs" } else { "what an ARN takes is known from one example only" }
}

/// In how many requests of the caller the policy has this text.
fn sameness(context: &Context<'_>) -> String {
    let must = "the text must be the same for every session that passes it";
    let peers = context.subject.peers;
    if peers.is_empty() {
        return must.to_owned();
    }
    // As it was sent, before other changes.
    let alike = peers.iter().filter(|peer| peer.policy == context.subject.asked.request.policy).count();
    let texts: HashSet<&str> = peers.iter().filter_map(|peer| peer.policy.as_deref()).collect();
    let others = match texts.len() {
        0 | 1 => String::new(),
        several => format!(" ({} in all: one managed policy for each, where an account has 1,500 by default)", counted(several, "text")),
    };
    format!("{must}: it is in {alike} of {} known requests{others}", peers.len())
}

#[cfg(test)]
mod tests {
    use crate::fixes::tests::only;
    use crate::fixes::{Advice, Fix, Subject, suggest};
    use crate::packing::{Asked, CallerKind, Operation, Profile, Regime, Request};
    use crate::policy::Policy;

    fn policy(bucket: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::{bucket}","arn:aws:s3:::{bucket}/*"]}}]}}"#
        )
    }

    fn managed(asked: &Asked, peers: &[Request], redact: bool) -> Fix {
        let advice = Advice { redact, ..Advice::default() };
        let found = suggest(Subject { asked, peers, calls: &[] }, Profile::builtin().sizing(Regime::PackedPolicy), &advice);
        only(&found, "use-managed-policy").clone()
    }

    fn asked(policy: &str) -> Asked {
        Asked {
            request: Request { policy: Some(policy.to_owned()), ..Request::default() },
            role_arn: Some("arn:aws-cn:iam::111122223333:role/app".to_owned()),
            ..Asked::new(Operation::AssumeRole, CallerKind::IamUser)
        }
    }

    #[test]
    fn the_call_passes_arns_and_the_documents_say_what_the_policy_said() {
        let fix = managed(&asked(&policy("b")), &[], false);
        assert_eq!(fix.asked.request.policy_arns, ["arn:aws-cn:iam::111122223333:policy/app-session"]);
        assert_eq!(fix.asked.request.policy, None);
        let names: Vec<&str> = fix.documents.iter().map(|document| document.name.as_str()).collect();
        assert_eq!(names, ["managed-policy-1.json", "create.sh", "main.tf", "session-parameters.json"]);
        assert_eq!(Policy::parse(&fix.documents[0].text), Policy::parse(&policy("b")));
        assert!(fix.detail().starts_with("PolicyArns: arn:aws-cn:iam::111122223333:policy/app-session; "), "{}", fix.detail());
    }

    #[test]
    fn it_is_told_how_many_requests_share_the_text() {
        let peers: Vec<Request> = ["b", "b", "c"].iter().map(|bucket| asked(&policy(bucket)).request).collect();
        let detail = managed(&asked(&policy("b")), &peers, false).detail();
        assert!(detail.contains("it is in 2 of 3 known requests (2 texts in all: one managed policy for each"), "{detail}");
    }

    #[test]
    fn a_redacted_policy_stands_in_the_documents_alone() {
        let fix = managed(&asked(&policy("secret")), &[], true);
        assert!(!fix.title().contains("secret") && !fix.detail().contains("secret"));
        assert!(fix.documents[0].text.contains("secret"));
    }
}
