//! A managed policy passed by its ARN takes a few bytes, whatever it says. The text must then be the same for every session, and the
//! policy must stand in the account of the role (for GetFederationToken: of the user). Not for policies far beyond what STS takes, as no rule
//! about policies is: see [`super::MAX_POLICY_BYTES`].
//!
//! See [session policies](https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session).

use super::{Change, Context, Effect, Proposal, State, short_hash};
use crate::packing::limits::{POLICY_AND_ARN_CHARS, POLICY_ARNS, policy_and_arn_chars};
use crate::packing::{Asked, Operation, Request};

/// Stands for the ARN of a policy that is yet to be created, in the form of one; as long as one with a name of 20 characters.
const ARN: &str = "arn:aws:iam::000000000000:policy/NAME-OF-THE-POLICY";

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let text = state.asked.request.policy.as_deref()?;
    let policy = state.policy.as_ref()?;
    let mut request = Request { policy: None, ..state.asked.request.clone() };
    request.policy_arns.push(ARN.to_owned());
    let fits = request.policy_arns.len() <= POLICY_ARNS as usize && policy_and_arn_chars(&request) <= POLICY_AND_ARN_CHARS;
    if !fits {
        return None;
    }
    let account = match state.asked.session.operation {
        Operation::GetFederationToken => "user's",
        _ => "role's",
    };
    // One public example tells what an ARN takes; a user's own logs tell better.
    let told = context
        .sizing
        .basis
        .as_ref()
        .is_some_and(|basis| basis.is_fitted() && !basis.at_prior.iter().any(|name| name == "policy_arn_bytes"));
    let source = if told { "what an ARN takes is fitted to these logs" } else { "what an ARN takes is known from one example only" };
    let peers = context.subject.peers;
    let alike = peers.iter().filter(|peer| peer.policy.as_deref() == Some(text)).count();
    let same = if peers.is_empty() { String::new() } else { format!(" and is so in {alike} of {} known requests", peers.len()) };
    let shown = if context.advice.redact { short_hash(text) } else { policy.to_string() };
    Some(Proposal {
        change: Change {
            rule: "use-managed-policy",
            effect: Effect::NeedsReview,
            title: format!(
                "create the policy as a managed policy in the {account} account and pass its ARN instead of the inline document"
            ),
            detail: format!(
                "the text must be the same for every session (policy variables such as ${{aws:PrincipalTag/...}} may stand in for what differs){same}; \
                 {source}; policy: {shown}"
            ),
        },
        asked: Asked { request, ..state.asked.clone() },
        documents: Vec::new(),
    })
}
