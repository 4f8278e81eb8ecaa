//! Policies of one caller that differ only in values are one managed policy with a [policy variable] for each value, `${aws:PrincipalTag/KEY}`, and a session tag for each
//! variable: what was packed whole for every session becomes an ARN and some short tags.
//!
//! The template is found over all requests of the caller that are known, and covers a request only where its values, put in the places of the variables, give the request's
//! policy again. Requests of another shape keep their inline policy. Somebody must say that the values seen are all that differs in those to come: needs review.
//!
//! [policy variable]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html

mod align;
mod names;

use std::collections::{HashMap, HashSet};

use super::tag_reads::{Reads, sender};
use super::{Change, Context, Effect, Proposal, State, Subject, counted, join, managed_policy, moderate_policy, short_hash, stored_policy};
use crate::packing::limits::{TAGS, is_tag_value, same_key};
use crate::packing::{Asked, Operation, Request};
use crate::policy::{Clause, Effect as PolicyEffect, Element, Policy};
use align::{Document, Leaf, Piece, Token, leaves_mut, parts, pieces};
use names::{Guess, guess};

/// Characters of a value that are shown.
const SHOWN_CHARS: usize = 40;

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let own = &state.asked.request;
    let policy = state.policy.as_ref()?;
    state.tags()?;
    // A policy that was rewritten is like no peer's: the template is that of the policies as they are sent.
    if own.policy != context.subject.asked.request.policy {
        return None;
    }
    // The call itself is among its peers, as it was before other changes.
    let others = context.subject.peers.iter().filter(|peer| *peer != own && **peer != context.subject.asked.request);
    let known: Vec<&Request> = std::iter::once(own).chain(others).collect();
    if known.len() < 2 || !takes_variables(policy, own.policy.as_deref()?) {
        return None;
    }
    let policies: Vec<(&Request, Policy)> = known
        .iter()
        .filter_map(|request| {
            let policy = moderate_policy(request)?;
            takes_variables(&policy, request.policy.as_deref()?).then_some((*request, policy))
        })
        .collect();
    let templates = Template::of(&policies)?;
    let tags = templates.tags(context, state)?;
    proposal(context, state, policy, &templates, &tags, known.len())
}

/// Whether variables can be added: the policy is of the version that has them, or has no text that would become one.
fn takes_variables(policy: &Policy, text: &str) -> bool {
    let has_them = policy.elements.iter().any(|element| matches!(element, Element::Version(version) if version == "2012-10-17"));
    has_them || !text.contains('$')
}

/// What the policies of several requests have in common.
struct Template<'a> {
    /// The requests it covers, the one that is to change first.
    requests: Vec<&'a Request>,
    /// Each leaf of the document with its pieces.
    leaves: Vec<(Leaf<'a>, Vec<Piece<'a>>)>,
}

/// A tag that fills holes.
struct Filler<'a> {
    key: String,
    /// The value for each request the template covers.
    values: Vec<&'a str>,
    /// Whether the requests pass or inherit it already.
    passed: bool,
}

impl<'a> Template<'a> {
    /// The template of the first policy and all that fit it; None where no other does, or nothing differs.
    fn of(policies: &'a [(&'a Request, Policy)]) -> Option<Template<'a>> {
        let ((own, policy), others) = policies.split_first()?;
        let own_parts = parts(policy);
        let (document, leaves) = Document::of(&own_parts);
        let mut aligned = vec![(*own, document.clone())];
        for (request, policy) in others {
            aligned.extend(document.align(&own_parts, &parts(policy)).map(|document| (*request, document)));
        }
        // Values of as many segments have smaller holes; where many have not, the holes are larger.
        let alike: Vec<_> = aligned.iter().filter(|(_, other)| document.has_segments_of(other)).cloned().collect();
        if alike.len() == aligned.len() {
            return Template::of_aligned(alike, &leaves);
        }
        match (Template::of_aligned(alike, &leaves), Template::of_aligned(aligned, &leaves)) {
            (Some(alike), Some(any)) if any.requests.len() * 3 > alike.requests.len() * 4 => Some(any),
            (alike, any) => alike.or(any),
        }
    }

    /// The template of documents that align, without those whose values no tag can hold. `texts` are the leaves of the first, with their stretches.
    fn of_aligned(mut policies: Vec<(&'a Request, Document<'a>)>, texts: &[(Leaf<'a>, usize)]) -> Option<Template<'a>> {
        while policies.len() > 1 {
            let documents: Vec<&Document<'a>> = policies.iter().map(|(_, document)| document).collect();
            let mut from = 0;
            let leaves: Vec<(Leaf<'a>, Vec<Piece<'a>>)> = texts
                .iter()
                .map(|(leaf, tokens)| {
                    from += tokens;
                    (*leaf, pieces(&documents, from - tokens, from))
                })
                .collect();
            let holes = || leaves.iter().flat_map(|(_, pieces)| pieces).filter_map(hole);
            let fits = |at: usize| {
                holes().all(|values| values.get(at).is_some_and(|value| fills(value))) && gives(&leaves, at, documents.get(at).copied())
            };
            let fitting: Vec<bool> = (0..policies.len()).map(fits).collect();
            if !fitting.first().is_some_and(|fits| *fits) || holes().next().is_none() {
                return None;
            }
            if fitting.iter().all(|fits| *fits) {
                return Some(Template { requests: policies.iter().map(|(request, _)| *request).collect(), leaves });
            }
            let mut keep = fitting.into_iter();
            policies.retain(|_| keep.next().unwrap_or(false));
        }
        None
    }

    /// How many of the caller's calls it covers, in words; empty where that is not known.
    fn calls(&self, context: &Context<'_>) -> String {
        let Subject { asked, peers, calls } = context.subject;
        if calls.is_empty() {
            return String::new();
        }
        let covers = |peer: &Request| *peer == asked.request || self.requests.iter().any(|one| std::ptr::eq(*one, peer));
        let covered: u64 = peers.iter().zip(calls).filter(|(peer, _)| covers(peer)).map(|(_, calls)| calls).sum();
        format!(" ({covered} of {} calls)", calls.iter().sum::<u64>())
    }

    /// The tags that fill the holes; None where they would be more than a request takes.
    fn tags(&self, context: &Context<'_>, state: &State) -> Option<Vec<Filler<'a>>> {
        let mut columns: Vec<(&Vec<&'a str>, Guess)> = Vec::new();
        let mut at: HashMap<&Vec<&'a str>, usize> = HashMap::new();
        for (leaf, pieces) in &self.leaves {
            for (index, piece) in pieces.iter().enumerate() {
                let Some(values) = hole(piece) else { continue };
                let guess = guess(leaf, pieces.get(..index).unwrap_or_default());
                match at.get(values).and_then(|&at| columns.get_mut(at)) {
                    Some((_, best)) => {
                        if guess > *best {
                            *best = guess;
                        }
                    }
                    None => {
                        at.insert(values, columns.len());
                        columns.push((values, guess));
                    }
                }
            }
        }
        let reads = Reads::of_inline(state);
        let mut taken: HashSet<String> = self
            .requests
            .iter()
            .flat_map(|request| request.tags.iter().chain(&request.inherited_tags))
            .map(|(key, _)| key.to_lowercase())
            .collect();
        let mut fillers: Vec<Filler<'a>> = Vec::with_capacity(columns.len());
        for (values, guess) in columns {
            if let Some(key) = self.passed(values) {
                fillers.push(Filler { key: key.to_owned(), values: values.clone(), passed: true });
                continue;
            }
            let read_elsewhere = |key: &str| context.advice.readers.as_ref().is_some_and(|readers| readers.of_key(key));
            let free = |key: &String| !taken.contains(key) && !reads.reads(key) && !read_elsewhere(key);
            let key = std::iter::once(guess.name.clone()).chain((2..1000).map(|number| format!("{}{number}", guess.name))).find(free)?;
            taken.insert(key.clone());
            fillers.push(Filler { key, values: values.clone(), passed: false });
        }
        let new = fillers.iter().filter(|filler| !filler.passed).count();
        let most = self.requests.iter().map(|request| request.tags.len()).max().unwrap_or_default();
        (most + new <= TAGS as usize).then_some(fillers)
    }

    /// A tag that every request has with its value among `values`.
    fn passed(&self, values: &[&str]) -> Option<&'a str> {
        let tags = |request: &'a Request| request.tags.iter().chain(&request.inherited_tags);
        let (first, value) = (self.requests.first()?, values.first()?);
        let candidates = tags(first).filter(|(_, own)| own == value).map(|(key, _)| key.as_str());
        candidates.into_iter().find(|key| {
            self.requests
                .iter()
                .zip(values)
                .all(|(request, value)| tags(request).any(|(other, own)| own == value && (other == key || same_key(other, key))))
        })
    }

    /// `policy`, the first request's, with variables in the holes.
    fn document(&self, policy: &Policy, tags: &[Filler<'_>]) -> Policy {
        let mut document = policy.clone();
        for (text, (_, pieces)) in leaves_mut(&mut document).into_iter().zip(&self.leaves) {
            *text = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => (*text).to_owned(),
                    Piece::Hole(values) => {
                        let key = tags.iter().find(|tag| tag.values == *values).map_or("", |tag| tag.key.as_str());
                        format!("${{aws:PrincipalTag/{key}}}")
                    }
                })
                .collect();
        }
        document.elements.retain(|element| !matches!(element, Element::Id(_) | Element::Version(_)));
        document.elements.insert(0, Element::Version("2012-10-17".to_owned()));
        for statement in document.statements_mut() {
            // What a Sid says of one session would be wrong of the others.
            statement.clauses.retain(|clause| !matches!(clause, Clause::Sid(_)));
        }
        document
    }
}

fn hole<'p, 'a>(piece: &'p Piece<'a>) -> Option<&'p Vec<&'a str>> {
    match piece {
        Piece::Hole(values) => Some(values),
        Piece::Text(_) => None,
    }
}

/// Whether a tag can hold `value` and a variable give it back: something, without white space at its ends that may be trimmed.
fn fills(value: &str) -> bool {
    !value.is_empty() && value.trim() == value && is_tag_value(value)
}

/// Whether the template with the values of the document `at` is that document.
fn gives(leaves: &[(Leaf<'_>, Vec<Piece<'_>>)], at: usize, document: Option<&Document<'_>>) -> bool {
    let Some(document) = document else { return false };
    let pieces = leaves.iter().flat_map(|(_, pieces)| pieces).map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Hole(values) => values.get(at).copied().unwrap_or_default(),
    });
    let texts = document.tokens.iter().map(|token| match token {
        Token::Fixed(text) | Token::Open(text) => *text,
    });
    pieces.flat_map(str::bytes).eq(texts.flat_map(str::bytes))
}

fn proposal(
    context: &Context<'_>,
    state: &State,
    policy: &Policy,
    template: &Template<'_>,
    tags: &[Filler<'_>],
    known: usize,
) -> Option<Proposal> {
    let own = &state.asked.request;
    let document = template.document(policy, tags);
    let stored = stored_policy::store(&document, &state.asked)?;
    let mut request = managed_policy::with_arns(own, &stored.arns)?;
    for tag in tags.iter().filter(|tag| !tag.passed) {
        request.tags.push((tag.key.clone(), (*tag.values.first()?).to_owned()));
    }
    let covered = template.requests.len();
    let texts = template.requests.iter().filter_map(|request| request.policy.as_deref()).collect::<HashSet<_>>().len();
    let redact = context.advice.redact;
    let new: Vec<&str> = tags.iter().filter(|tag| !tag.passed).map(|tag| tag.key.as_str()).collect();
    let title = format!(
        "pass one managed policy for {} with {} in the place of the {} that differ",
        counted(covered, "request"),
        match tags {
            [tag] if !redact => format!("${{aws:PrincipalTag/{}}}", tag.key),
            tags => counted(tags.len(), "tag"),
        },
        if tags.len() == 1 { "values" } else { "texts" },
    );
    let left = match known - covered {
        0 => String::new(),
        others => format!("{} of another shape must keep the inline policy", counted(others, "request")),
    };
    let denies = policy.statements().any(|statement| statement.clauses.contains(&Clause::Effect(PolicyEffect::Deny)));
    let unresolved = if denies {
        "a statement does not apply, and denies nothing, to a session without the tags it reads"
    } else {
        "a statement does not apply to a session without the tags it reads"
    };
    let detail = join([
        format!("covers {covered} of {known} known requests{}, with {}", template.calls(context), counted(texts, "text")),
        if redact { String::new() } else { holes(tags) },
        format!("PolicyArns: {}", stored.arns.join(", ")),
        stored.note(),
        if new.is_empty() { String::new() } else { allowed_by(state.asked.session.operation).to_owned() },
        if redact { String::new() } else { sender(state.asked.session.operation, &new) },
        unresolved.to_owned(),
        left,
        managed_policy::arn_price(context.sizing).to_owned(),
        if redact { format!("template {}", short_hash(&document.to_string())) } else { format!("template: {document}") },
    ]);
    let mut documents = stored.documents;
    documents.push(stored_policy::parameters(&request));
    Some(Proposal {
        change: Change { rule: "use-policy-template", effect: Effect::NeedsReview, title, detail },
        asked: Asked { request, ..state.asked.clone() },
        documents,
    })
}

/// Each tag with the value it has here and how many it takes.
fn holes(tags: &[Filler<'_>]) -> String {
    let shown: Vec<String> = tags
        .iter()
        .map(|tag| {
            let value: String = tag.values.first().map_or(String::new(), |value| value.chars().take(SHOWN_CHARS).collect());
            let cut = if tag.values.first().is_some_and(|whole| whole.len() > value.len()) { "..." } else { "" };
            let distinct = tag.values.iter().collect::<HashSet<_>>().len();
            let passed = if tag.passed { ", which is passed already" } else { "" };
            format!("`{}`=`{value}{cut}` ({}{passed})", tag.key, counted(distinct, "value"))
        })
        .collect();
    format!("tags: {}", shown.join(", "))
}

fn allowed_by(operation: Operation) -> &'static str {
    match operation {
        Operation::GetFederationToken => "the user's policies must allow sts:TagSession",
        _ => "the role's trust policy must allow sts:TagSession",
    }
}

#[cfg(test)]
mod tests;
