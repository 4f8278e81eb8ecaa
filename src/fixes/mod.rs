//! What can be changed in a request to make it smaller, each change weighed by packing the changed request.
//!
//! One file per rule; each says why its change is possible and what it may break. A rule gives a changed request or nothing; pricing,
//! ranking and redaction are here.

mod drop_covered;
mod drop_sids;
mod drop_tags;
mod managed_policy;
mod merge_statements;
mod shorten_tag_keys;
mod source_identity;
mod wildcard;
mod without_effect;

use std::fmt;

use sha2::{Digest, Sha256};

use crate::packing::{CallerKind, Estimate, Parts, Profile, Regime, Request, Session, pack, percent};
use crate::policy::Policy;

pub use without_effect::without_effect;

/// Under this percentage of the limit a call is no longer worth a warning: what fixes aim at.
pub const TARGET_PERCENT: f64 = 75.0;

/// Whether a change keeps what the session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The session may do exactly what it could before.
    SameMeaning,
    /// Somebody has to look: policies, tags or callers elsewhere may depend on what changes.
    NeedsReview,
}

impl Effect {
    /// `same-meaning` or `needs-review`.
    pub fn name(self) -> &'static str {
        match self {
            Effect::SameMeaning => "same-meaning",
            Effect::NeedsReview => "needs-review",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A change to a request, and what it brings.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// The rule's name, in kebab case.
    pub rule: &'static str,
    /// What to do, in one line.
    pub title: String,
    /// Whether the session may do the same as before.
    pub effect: Effect,
    /// Percent of the limit the request takes as it is.
    pub before_percent: f64,
    /// Percent of the limit the changed request takes, with its range.
    pub after: Estimate,
    /// Packed bytes saved, at least 1; in the session token, before base64.
    pub saved_bytes: u32,
    /// How to do it: the rewritten policy without white space, the tags concerned with their bytes.
    pub detail: String,
    /// The changed request, never redacted.
    pub request: Request,
    /// The session of the changed request: its source identity may be new.
    pub session: Session,
}

/// What a rule proposes, before it is priced.
struct Proposal {
    rule: &'static str,
    effect: Effect,
    title: String,
    detail: String,
    request: Request,
    session: Session,
}

/// What a rule sees.
struct Context<'a> {
    request: &'a Request,
    session: &'a Session,
    /// The request's policy; None when it has none or one that is no policy document.
    policy: Option<Policy>,
    parts: Parts,
    regime: Regime,
    profile: &'a Profile,
    redact: bool,
}

/// The changes that make the call smaller by at least a byte, best first.
///
/// First those that bring it under [`TARGET_PERCENT`]: of them the ones that keep the meaning, then the ones that leave the least. Then
/// those that do not, by what they leave. A call by an AWS service gets none, since nobody can change it. With `redact`, titles and
/// details show short hashes for tag values and policy texts.
pub fn suggest(request: &Request, session: &Session, regime: Regime, profile: &Profile, redact: bool) -> Vec<Fix> {
    if session.caller_kind == CallerKind::AwsService {
        return Vec::new();
    }
    let context = Context {
        request,
        session,
        policy: request.policy.as_deref().and_then(|text| Policy::parse(text).ok()),
        parts: pack(request, profile),
        regime,
        profile,
        redact,
    };
    let rewrites = [drop_sids::rule(&context), drop_covered::rule(&context), merge_statements::rule(&context)];
    let mut fixes: Vec<Fix> = rewrites.into_iter().flatten().filter_map(|proposal| price(proposal, &context)).collect();
    if let Some(together) = all_rewrites(&context).and_then(|proposal| price(proposal, &context))
        && fixes.len() > 1
        && fixes.iter().all(|one| one.saved_bytes < together.saved_bytes)
    {
        fixes.push(together);
    }
    let reviews =
        [managed_policy::rule(&context), source_identity::rule(&context), shorten_tag_keys::rule(&context), drop_tags::rule(&context)];
    fixes.extend(reviews.into_iter().flatten().filter_map(|proposal| price(proposal, &context)));
    fixes.sort_by(|one, other| {
        let misses_target = |fix: &Fix| fix.after.value >= TARGET_PERCENT;
        misses_target(one).cmp(&misses_target(other)).then_with(|| {
            let by_effect = one.effect.cmp(&other.effect);
            let by_size = one.after.value.total_cmp(&other.after.value);
            if misses_target(one) { by_size.then(by_effect) } else { by_effect.then(by_size) }
        })
    });
    fixes
}

/// Every rewrite that keeps the meaning, one after the other: merging makes new duplicates, so they are dropped after it.
fn all_rewrites(context: &Context<'_>) -> Option<Proposal> {
    let mut policy = context.policy.clone()?;
    drop_sids::rewrite(&mut policy);
    drop_covered::rewrite(&mut policy);
    merge_statements::rewrite(&mut policy);
    drop_covered::rewrite(&mut policy);
    Some(context.rewritten("all-same-meaning", "apply every rewrite that keeps the policy's meaning", String::new(), &policy))
}

impl Context<'_> {
    /// A proposal that changes nothing but the policy, and keeps its meaning.
    fn rewritten(&self, rule: &'static str, title: impl Into<String>, what: String, policy: &Policy) -> Proposal {
        let text = policy.to_string();
        let shown = if self.redact { format!("policy {}", short_hash(&text)) } else { format!("policy: {text}") };
        let mut detail = join([what, shown]);
        if let Some(note) = without_effect::white_space(self.request) {
            detail = join([detail, note]);
        }
        Proposal {
            rule,
            effect: Effect::SameMeaning,
            title: title.into(),
            detail,
            request: Request { policy: Some(text), ..self.request.clone() },
            session: *self.session,
        }
    }
}

fn join(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// `1 tag`, `2 tags`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Stands for a text that may not be shown: the first 8 hex digits of its SHA-256.
pub fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// What the call takes that a fix can change: packed content, and in the session token the source identity. Bytes before base64.
fn changeable_bytes(parts: &Parts, session: &Session, regime: Regime, profile: &Profile) -> u32 {
    let identity = match (regime, session.source_identity_bytes) {
        (Regime::SessionToken, Some(bytes)) => u32::from(bytes) + profile.source_identity_overhead_bytes,
        _ => 0,
    };
    parts.packed_bytes().saturating_add(identity)
}

fn price(proposal: Proposal, context: &Context<'_>) -> Option<Fix> {
    let Context { session, regime, profile, .. } = *context;
    let parts = pack(&proposal.request, profile);
    let before_bytes = changeable_bytes(&context.parts, session, regime, profile);
    let after_bytes = changeable_bytes(&parts, &proposal.session, regime, profile);
    let saved_bytes = before_bytes.checked_sub(after_bytes).filter(|&bytes| bytes > 0)?;
    Some(Fix {
        rule: proposal.rule,
        title: proposal.title,
        effect: proposal.effect,
        before_percent: percent(&context.parts, session, regime, profile).value,
        after: percent(&parts, &proposal.session, regime, profile),
        saved_bytes,
        detail: proposal.detail,
        request: proposal.request,
        session: proposal.session,
    })
}

#[cfg(test)]
mod tests;
