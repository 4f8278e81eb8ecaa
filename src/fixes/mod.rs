//! What can be changed in a call to make its session smaller: each change weighed by packing the changed request, and each that is said to keep the meaning proven
//! to by [`crate::proof`].
//!
//! One file per rule; each says why its change is possible and what it may break. A rewrite changes a policy in place and keeps its meaning; a rule gives
//! changed calls or nothing. Pricing and redaction are here, search, ranking and proof in `search` and `proven`.

mod audit_reference;
mod authorization;
mod drop_covered;
mod drop_covered_statements;
mod drop_denied;
mod drop_sids;
mod drop_tags;
mod drop_unread_tags;
mod drop_version;
mod inherited_tags;
mod known;
mod lower_minimum;
mod managed_policy;
mod merge_statements;
mod order;
mod pod_identity;
mod proven;
mod search;
mod session_names;
mod shorten_tag_keys;
mod shorten_tag_values;
mod single_values;
mod source_identity;
mod stored_policy;
mod tag_reads;
mod template;
mod wildcard;
mod wildcard_actions;
mod wildcard_resources;
mod without_effect;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use sha2::{Digest, Sha256};

use crate::packing::limits::{Names, problems};
use crate::packing::{Asked, CallerKind, Estimate, Operation, Packer, Parts, Regime, Request, Session, Sizing, pack, percent, token_bytes};
use crate::policy::{ActionList, Policy};

pub use authorization::{AuthorizationDetailsError, TagReaders};
pub use without_effect::without_effect;

/// The percentage of the limit that fixes aim at unless another is asked for.
pub const TARGET_PERCENT: f64 = 70.0;

/// Policies longer than this get no rules, bytes. STS takes 2,048 characters, so only an edited log has one, and comparing its statements with
/// one another would take long.
pub const MAX_POLICY_BYTES: usize = 8 << 10;

/// Policies with more statements get no rules either.
pub const MAX_STATEMENTS: usize = 200;

/// The most fixes that are suggested for a call.
pub const MOST_FIXES: usize = 12;

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

/// The call to make smaller.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What is asked of STS. Names that are not known are None; their lengths may be, in its session.
    pub asked: &'a Asked,
    /// Every distinct request of the same caller for the same role by the same operation that is known, this one among them; empty where only this one is.
    pub peers: &'a [Request],
    /// How many calls made each of `peers`, in their order; empty where that is not known.
    pub calls: &'a [u64],
}

/// What fixes are to reach, and how they are judged and shown.
#[derive(Clone, Debug)]
pub struct Advice {
    /// Percent of the limit to come down to, above 0 to 100.
    pub target_percent: f64,
    /// The actions a wildcard may match.
    pub actions: ActionList,
    /// Whether titles and details show short hashes for tag values, session names and policy texts. Changed calls and documents are never redacted.
    pub redact: bool,
    /// Which policies read which tags; None where that is not known.
    pub readers: Option<TagReaders>,
}

impl Default for Advice {
    fn default() -> Advice {
        Advice { target_percent: TARGET_PERCENT, actions: ActionList::shipped(), redact: false, readers: None }
    }
}

/// A file that a fix needs: a managed policy to create, say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its file name, such as `managed-policy.json`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// One change of a fix.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The rule's name, in kebab case.
    pub rule: &'static str,
    /// Whether the session may do the same as before it.
    pub effect: Effect,
    /// What to do, in one line.
    pub title: String,
    /// What goes, what comes, what depends on it; empty where the title says all.
    pub detail: String,
}

/// Changes to a call that belong together, and what they bring.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// The changes in the order in which they are made; at least one.
    pub changes: Vec<Change>,
    /// Whether the session may do the same as before: the worst of the changes'.
    pub effect: Effect,
    /// Percent of the limit the call takes as it is.
    pub before_percent: f64,
    /// Percent of the limit the changed call takes, with its range.
    pub after: Estimate,
    /// Bytes saved, at least 1: packed ones, and in the session token those of names and of padding too, before base64.
    pub saved_bytes: u32,
    /// The changed call, never redacted.
    pub asked: Asked,
    /// The files it needs, never redacted.
    pub documents: Vec<Document>,
}

impl Fix {
    /// The names of its rules, joined by ` + `.
    pub fn rule(&self) -> String {
        self.changes.iter().map(|change| change.rule).collect::<Vec<_>>().join(" + ")
    }

    /// What to do, in one line.
    pub fn title(&self) -> String {
        self.changes.iter().map(|change| change.title.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// How to do it, and what depends on it.
    pub fn detail(&self) -> String {
        join(self.changes.iter().map(|change| change.detail.clone()))
    }
}

/// What can be done for a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suggestions {
    /// What [`suggest`] gives.
    pub fixes: Vec<Fix>,
    /// The rewrites that leave the fewest bytes of those that keep the policy's meaning; None where none saves any.
    pub smallest_same_meaning: Option<Fix>,
}

/// Rewrites of the policy that keep its meaning, in the order in which they are made: what names statements is said before names go.
const REWRITES: [Rewrite; 8] = [
    drop_covered::REWRITE,
    drop_covered_statements::REWRITE,
    drop_denied::REWRITE,
    merge_statements::REWRITE,
    single_values::REWRITE,
    drop_sids::REWRITE,
    drop_version::REWRITE,
    order::REWRITE,
];

macro_rules! rules {
    ($($module:ident :: $rule:ident $(proven by $proof:ident)?,)*) => {
        &[$(Rule {
            propose: |context, state| $module::$rule(context, state).into_iter().collect(),
            proof: rules!(@proof $($proof)?),
        },)*]
    };
    (@proof) => { Proof::OfEffect };
    (@proof $proof:ident) => { Proof::$proof };
}

/// Rules whose changes somebody has to look at, the least intrusive first.
const RULES: &[Rule] = rules![
    lower_minimum::rule,
    session_names::shorten_session_name,
    wildcard_actions::rule proven by KnownActions,
    drop_unread_tags::rule,
    pod_identity::rule,
    shorten_tag_values::rule,
    shorten_tag_keys::rule,
    session_names::shorten_source_identity,
    source_identity::rule,
    managed_policy::rule,
    template::rule,
    audit_reference::rule,
    inherited_tags::rule,
    wildcard_resources::rule,
    drop_tags::rule,
];

/// A rewrite of a policy that keeps its meaning.
struct Rewrite {
    /// Its name, in kebab case.
    rule: &'static str,
    /// What to do, in one line, for so many of what `apply` says.
    title: fn(usize) -> String,
    /// Changes the policy, and says what it did, one text a change; nothing where there is nothing to do.
    apply: fn(&mut Policy, &mut Scale<'_>) -> Vec<String>,
    /// Whether what it did belongs into the detail.
    says_what: bool,
}

/// A rule about a call.
struct Rule {
    propose: fn(&Context<'_>, &State) -> Vec<Proposal>,
    proof: Proof,
}

/// What is proven of a rule's changes to the policy.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Proof {
    /// The meaning is the same where the change says so, else nothing.
    OfEffect,
    /// The meaning is the same over the actions known today.
    KnownActions,
}

/// Weighs policies, one after another.
struct Scale<'a> {
    packer: Packer,
    sizing: &'a Sizing,
}

impl Scale<'_> {
    /// Packed bytes of the policy.
    fn bytes(&mut self, policy: &Policy) -> u32 {
        self.packer.policy_bytes(policy, self.sizing)
    }
}

/// A call on its way to a smaller one, with what rules want to know of it.
#[derive(Clone)]
struct State {
    asked: Asked,
    /// The request's policy; None when it has none, one that is no policy document, or one beyond [`MAX_POLICY_BYTES`] or [`MAX_STATEMENTS`].
    policy: Option<Policy>,
    parts: Parts,
    documents: Vec<Document>,
}

/// What a rule proposes, before it is proven and priced.
struct Proposal {
    change: Change,
    asked: Asked,
    documents: Vec<Document>,
}

/// What a rule sees besides the call it is to change.
struct Context<'a> {
    subject: Subject<'a>,
    /// Figures of the regime that judges the call, with the limit to stay under.
    sizing: &'a Sizing,
    advice: &'a Advice,
    /// The wildcards that fit a list of actions, each with what it takes the place of: the search asks for the same lists again and again.
    wildcards: RefCell<HashMap<Vec<String>, wildcard_actions::Found>>,
}

impl<'a> Context<'a> {
    fn new(subject: Subject<'a>, sizing: &'a Sizing, advice: &'a Advice) -> Context<'a> {
        Context { subject, sizing, advice, wildcards: RefCell::default() }
    }
}

/// The changes that bring the call down by something that counts against the limit, best first; none of them breaks a limit in plain
/// characters that the request kept.
///
/// `sizing` has the figures of the regime that judges the call, with the limit to stay under. First the smallest sets of changes that bring it under the
/// target: of them those that keep the meaning, then the ones of fewer changes, then the least intrusive. Then what does not bring it there, by what it
/// leaves; where nothing does, the first is the best that was found, and says so. Each rule stands alone in the list too where it brings something, and a
/// set does not where fewer of its changes bring as much. At most [`MOST_FIXES`].
///
/// A call by an AWS service gets none, since nobody can change it. Beyond [`MAX_POLICY_BYTES`], [`MAX_STATEMENTS`] and [`MAX_TAGS`] the policy, or the
/// tags, are left alone.
pub fn suggest(subject: Subject<'_>, sizing: &Sizing, advice: &Advice) -> Vec<Fix> {
    suggestions(subject, sizing, advice).fixes
}

/// What [`suggest`] gives, and the smallest the call gets with its meaning kept.
pub fn suggestions(subject: Subject<'_>, sizing: &Sizing, advice: &Advice) -> Suggestions {
    if subject.asked.session.caller_kind == CallerKind::AwsService {
        return Suggestions::default();
    }
    search::run(&Context::new(subject, sizing, advice))
}

fn moderate_policy(request: &Request) -> Option<Policy> {
    let text = request.policy.as_deref().filter(|text| text.len() <= MAX_POLICY_BYTES)?;
    let policy = Policy::parse(text).ok()?;
    (policy.statements().count() <= MAX_STATEMENTS).then_some(policy)
}

impl State {
    fn new(asked: Asked, context: &Context<'_>) -> State {
        let policy = moderate_policy(&asked.request);
        let parts = pack(&asked.request, context.sizing);
        State { asked, policy, parts, documents: Vec::new() }
    }

    /// The tags passed; None where there are more than [`MAX_TAGS`] with the inherited ones.
    fn tags(&self) -> Option<&[(String, String)]> {
        has_moderate_tags(&self.asked.request).then_some(self.asked.request.tags.as_slice())
    }

    /// The call with another policy.
    fn with_policy(&self, policy: &Policy) -> Asked {
        Asked { request: Request { policy: Some(policy.to_string()), ..self.asked.request.clone() }, ..self.asked.clone() }
    }
}

/// How many of `documents`, each of which goes further than the one before, are worth proposing in place of the policy: as many as bring the call under
/// the target, where some do, and all.
fn reaching(context: &Context<'_>, state: &State, documents: &[&Policy]) -> Vec<usize> {
    let reaches = |policy: &Policy| {
        let asked = state.with_policy(policy);
        let parts = pack(&asked.request, context.sizing);
        price(&asked, &parts, context.sizing).percent.value < context.advice.target_percent
    };
    let mut counts: Vec<usize> = documents.iter().position(|policy| reaches(policy)).map(|at| at + 1).into_iter().collect();
    if !documents.is_empty() && !counts.contains(&documents.len()) {
        counts.push(documents.len());
    }
    counts
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

/// What the call takes that a fix can change: packed content, and in the session token names and padding. Bytes before base64.
fn changeable_bytes(parts: &Parts, session: &Session, sizing: &Sizing) -> u32 {
    if sizing.regime == Regime::PackedPolicy {
        return parts.packed_bytes();
    }
    let names = sizing_of_names(session, sizing);
    let unpadded = Session { minimum_token_bytes: None, ..*session };
    let padding_chars = token_bytes(parts, session, sizing).value - token_bytes(parts, &unpadded, sizing).value;
    parts.packed_bytes().saturating_add(names).saturating_add((padding_chars * 3.0 / 4.0).max(0.0) as u32)
}

fn sizing_of_names(session: &Session, sizing: &Sizing) -> u32 {
    let rows = crate::packing::part_rows(&Request::default(), session, sizing);
    rows.iter().filter(|row| matches!(row.part, "session_name" | "source_identity")).map(|row| row.bytes).sum()
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
fn adds_problems(request: &Request, before: &State) -> bool {
    // Beyond this the tags are as they were, and the policy too, or gone: telling problems with tags compares each with each.
    let concerned = |one: &Request| Request {
        tags: if has_moderate_tags(one) { one.tags.clone() } else { Vec::new() },
        inherited_tags: if has_moderate_tags(one) { one.inherited_tags.clone() } else { Vec::new() },
        ..one.clone()
    };
    let session = &before.asked.session;
    let after = problem_kinds(&concerned(request), session);
    if after.is_empty() {
        return false;
    }
    let had = problem_kinds(&concerned(&before.asked.request), session);
    after.iter().any(|(kind, count)| had.get(kind).is_none_or(|had| had < count))
}

/// Where a call stands: percent of the limit, and what of it a fix can change.
#[derive(Clone, Copy, Debug)]
struct Price {
    percent: Estimate,
    changeable_bytes: u32,
}

fn price(asked: &Asked, parts: &Parts, sizing: &Sizing) -> Price {
    let session = asked.session();
    Price { percent: percent(parts, &session, sizing), changeable_bytes: changeable_bytes(parts, &session, sizing) }
}

/// Whether `after` may be proposed in place of `before`: it breaks no limit in plain characters that the other kept, and a federation token, whose session
/// without a policy could do nothing, keeps one.
fn is_possible(after: &Asked, before: &State) -> bool {
    let has_policy = |asked: &Asked| asked.request.policy.is_some() || !asked.request.policy_arns.is_empty();
    let loses_all = before.asked.session.operation == Operation::GetFederationToken && has_policy(&before.asked) && !has_policy(after);
    !loses_all && !adds_problems(&after.request, before)
}

#[cfg(test)]
mod tests;
