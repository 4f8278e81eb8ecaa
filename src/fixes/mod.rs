//! What can be changed in a request to make it smaller, each change weighed by packing the changed request.
//!
//! One file per rule; each says why its change is possible and what it may break. A rule gives a changed request or nothing; pricing,
//! ranking and redaction are here.

mod drop_covered;
mod drop_sids;
mod drop_tags;
mod lower_minimum;
mod managed_policy;
mod merge_statements;
mod shorten_tag_keys;
mod source_identity;
mod wildcard;
mod without_effect;

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::packing::limits::{Names, problems};
use crate::packing::{CallerKind, Estimate, Parts, Regime, Request, Session, Sizing, pack, percent, token_bytes};
use crate::policy::Policy;

pub use without_effect::without_effect;

/// Under this percentage of the limit a call is no longer worth a warning: what fixes aim at.
pub const TARGET_PERCENT: f64 = 75.0;

/// Policies longer than this get no rules, bytes. STS takes 2,048 characters, so only an edited log has one, and comparing its statements with
/// one another would take long.
pub const MAX_POLICY_BYTES: usize = 8 << 10;

/// Policies with more statements get no rules either.
pub const MAX_STATEMENTS: usize = 200;

/// Requests with more tags, inherited ones counted, get no rules about tags: STS takes 50.
pub const MAX_TAGS: usize = 200;

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
    /// Bytes saved, at least 1: packed ones, and in the session token those of the source identity and of padding too, before base64.
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
    /// The request's policy; None when it has none, one that is no policy document, or one beyond [`MAX_POLICY_BYTES`] or [`MAX_STATEMENTS`].
    policy: Option<Policy>,
    parts: Parts,
    sizing: &'a Sizing,
    redact: bool,
}

/// The changes that bring the call down by something that counts against the limit, best first; none of them breaks a limit in plain
/// characters that the request kept.
///
/// First those that bring it under [`TARGET_PERCENT`]: of them the ones that keep the meaning, then the ones that leave the least. Then
/// those that do not, by what they leave. A call by an AWS service gets none, since nobody can change it. Beyond [`MAX_POLICY_BYTES`],
/// [`MAX_STATEMENTS`] and [`MAX_TAGS`] the policy, or the tags, are left alone. With `redact`, titles and details show short hashes for tag
/// values and policy texts.
pub fn suggest(request: &Request, session: &Session, sizing: &Sizing, redact: bool) -> Vec<Fix> {
    if session.caller_kind == CallerKind::AwsService {
        return Vec::new();
    }
    let context = Context { request, session, policy: moderate_policy(request), parts: pack(request, sizing), sizing, redact };
    let rewrites = [drop_sids::rule(&context), drop_covered::rule(&context), merge_statements::rule(&context)];
    let mut fixes: Vec<Fix> = rewrites.into_iter().flatten().filter_map(|proposal| price(proposal, &context)).collect();
    if let Some(together) = all_rewrites(&context).and_then(|proposal| price(proposal, &context))
        && fixes.len() > 1
        && fixes.iter().all(|one| one.saved_bytes < together.saved_bytes)
    {
        fixes.push(together);
    }
    let reviews = [
        managed_policy::rule(&context),
        source_identity::rule(&context),
        shorten_tag_keys::rule(&context),
        drop_tags::rule(&context),
        lower_minimum::rule(&context),
    ];
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

fn moderate_policy(request: &Request) -> Option<Policy> {
    let text = request.policy.as_deref().filter(|text| text.len() <= MAX_POLICY_BYTES)?;
    let policy = Policy::parse(text).ok()?;
    (policy.statements().count() <= MAX_STATEMENTS).then_some(policy)
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

impl<'a> Context<'a> {
    /// The tags passed; None where there are more than [`MAX_TAGS`] with the inherited ones.
    fn tags(&self) -> Option<&'a [(String, String)]> {
        has_moderate_tags(self.request).then_some(self.request.tags.as_slice())
    }

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

fn has_moderate_tags(request: &Request) -> bool {
    request.tags.len().saturating_add(request.inherited_tags.len()) <= MAX_TAGS
}

/// What the call takes that a fix can change: packed content, and in the session token the source identity and the padding. Bytes before
/// base64.
fn changeable_bytes(parts: &Parts, session: &Session, sizing: &Sizing) -> u32 {
    if sizing.regime == Regime::PackedPolicy {
        return parts.packed_bytes();
    }
    let identity = session.source_identity_bytes.map_or(0, |bytes| u32::from(bytes).saturating_add(sizing.source_identity_overhead_bytes));
    let unpadded = Session { minimum_token_bytes: None, ..*session };
    let padding_chars = token_bytes(parts, session, sizing).value - token_bytes(parts, &unpadded, sizing).value;
    parts.packed_bytes().saturating_add(identity).saturating_add((padding_chars * 3.0 / 4.0).max(0.0) as u32)
}

/// How many problems of each kind `request` has with the limits in plain characters. A kind is a message without what it quotes and counts.
fn problem_kinds(request: &Request, session: &Session) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for problem in problems(request, Names::default(), session.operation) {
        let message = &problem.message;
        let (before, after) = match (message.find('`'), message.rfind('`')) {
            (Some(first), Some(last)) => (message.get(..first).unwrap_or_default(), message.get(last..).unwrap_or_default()),
            _ => (message.as_str(), ""),
        };
        let is_fixed = |word: &&str| !word.starts_with("U+") && !word.contains(|one: char| one.is_ascii_digit());
        let kind: Vec<&str> = before.split(' ').chain(after.split(' ')).filter(is_fixed).collect();
        *kinds.entry(format!("{}: {}", problem.part, kind.join(" "))).or_default() += 1;
    }
    kinds
}

/// Whether `request` breaks a limit in plain characters that the one before it kept.
fn adds_problems(request: &Request, context: &Context<'_>) -> bool {
    // Beyond this the tags are as they were, and the policy too, or gone: telling problems with tags compares each with each.
    let concerned = |one: &Request| Request {
        tags: if has_moderate_tags(one) { one.tags.clone() } else { Vec::new() },
        inherited_tags: if has_moderate_tags(one) { one.inherited_tags.clone() } else { Vec::new() },
        ..one.clone()
    };
    let after = problem_kinds(&concerned(request), context.session);
    if after.is_empty() {
        return false;
    }
    let before = problem_kinds(&concerned(context.request), context.session);
    after.iter().any(|(kind, count)| before.get(kind).is_none_or(|had| had < count))
}

/// The fix that a proposal is; None where it brings nothing that counts against the limit, or breaks another one.
fn price(proposal: Proposal, context: &Context<'_>) -> Option<Fix> {
    let Context { session, sizing, .. } = *context;
    let parts = pack(&proposal.request, sizing);
    let before_bytes = changeable_bytes(&context.parts, session, sizing);
    let after_bytes = changeable_bytes(&parts, &proposal.session, sizing);
    let saved_bytes = before_bytes.checked_sub(after_bytes).filter(|&bytes| bytes > 0)?;
    let before_percent = percent(&context.parts, session, sizing).value;
    let after = percent(&parts, &proposal.session, sizing);
    // A token that is padded stays as large as its padding says, and base64 counts three bytes at a time.
    if after.value >= before_percent || adds_problems(&proposal.request, context) {
        return None;
    }
    Some(Fix {
        rule: proposal.rule,
        title: proposal.title,
        effect: proposal.effect,
        before_percent,
        after,
        saved_bytes,
        detail: proposal.detail,
        request: proposal.request,
        session: proposal.session,
    })
}

#[cfg(test)]
mod tests;
