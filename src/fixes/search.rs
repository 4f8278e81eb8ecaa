//! The search for the smallest set of changes that brings a call under the target, and the list that comes of it.
//!
//! First the rewrites that keep the meaning: each alone, all together until none finds anything more, and, where all of them reach the target, the fewest that
//! do. Then, where they do not, the rules that need review on top of them: each rule alone, then level by level on the best of what was found, each rule once
//! a set. Every set is priced by the engine; what is listed is proven.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::proven::{Verdict, proven};
use super::{
    Change, Context, Effect, Fix, MOST_FIXES, Price, Proof, Proposal, REWRITES, RULES, Scale, State, Suggestions, is_possible, join, pack,
    price, short_hash, without_effect,
};
use crate::packing::Packer;

/// Rounds of rewrites: one makes room for another, but seldom twice.
const MOST_ROUNDS: usize = 4;

/// Subsets of the rewrites that are tried for the fewest that suffice.
const MOST_SUBSETS: usize = 100;

/// Changes that need review in one set.
const MOST_REVIEWS: usize = 4;

/// Sets that the next level builds on.
const BEAM: usize = 8;

/// Single changes that are listed at most, so that sets have a place too.
const MOST_SINGLES: usize = 8;

/// Sets that are listed at most, beside the smallest of the same meaning.
const MOST_SETS: usize = 4;

/// Alternatives of the same rules that are listed.
const MOST_ALTERNATIVES: usize = 2;

/// A set of rewrites, by their places in [`REWRITES`]; in a candidate also of rules, behind them.
type Mask = u64;

/// Changes that were made at once.
#[derive(Clone)]
struct Step {
    changes: Vec<Change>,
    proof: Proof,
    before: Option<String>,
    after: Option<String>,
}

/// A changed call.
#[derive(Clone)]
struct Candidate {
    state: State,
    steps: Vec<Step>,
    mask: Mask,
    reviews: usize,
    /// How much its rules ask of people: their places in [`RULES`], and of their alternatives.
    intrusion: usize,
    price: Price,
}

impl Candidate {
    fn changes(&self) -> impl Iterator<Item = &Change> {
        self.steps.iter().flat_map(|step| &step.changes)
    }

    fn effect(&self) -> Effect {
        self.changes().map(|change| change.effect).max().unwrap_or(Effect::SameMeaning)
    }

    fn bytes(&self) -> u32 {
        self.price.changeable_bytes
    }

    fn value(&self) -> f64 {
        self.price.percent.value
    }

    fn is_single(&self) -> bool {
        self.mask.count_ones() == 1
    }
}

struct Search<'a> {
    context: &'a Context<'a>,
    scale: Scale<'a>,
    /// The call as it is.
    start: Candidate,
    pool: Vec<Candidate>,
    proofs: HashMap<(String, String, bool), Verdict>,
}

pub(super) fn run(context: &Context<'_>) -> Suggestions {
    let state = State::new(context.subject.asked.clone(), context);
    let price = price(&state.asked, &state.parts, context.sizing);
    let start = Candidate { state, steps: Vec::new(), mask: 0, reviews: 0, intrusion: 0, price };
    let scale = Scale { packer: Packer::new(), sizing: context.sizing };
    let mut search = Search { context, scale, start, pool: Vec::new(), proofs: HashMap::new() };
    let bases = search.same_meaning();
    search.reviews(bases);
    let smallest_same_meaning = search.smallest_same_meaning();
    Suggestions {
        fixes: search.list(smallest_same_meaning.as_ref()),
        smallest_same_meaning: smallest_same_meaning.map(|found| search.fix(found)),
    }
}

impl Search<'_> {
    fn reaches(&self, candidate: &Candidate) -> bool {
        candidate.value() < self.context.advice.target_percent
    }

    /// Whether the candidate is smaller than the call as it is, and possible.
    ///
    /// A token that is padded stays as large as its padding says, and base64 counts three bytes at a time.
    fn helps(&self, candidate: &Candidate) -> bool {
        let start = &self.start;
        candidate.bytes() < start.bytes() && candidate.value() < start.value() && is_possible(&candidate.state.asked, &start.state)
    }

    /// The call with the rewrites of `mask` made until none finds anything more; None where none finds anything.
    fn rewrite(&mut self, mask: Mask) -> Option<Candidate> {
        let mut policy = self.start.state.policy.clone()?;
        let mut said: [Vec<String>; REWRITES.len()] = Default::default();
        for round in 0..=MOST_ROUNDS {
            let mut changed = false;
            for (place, (rewrite, said)) in REWRITES.iter().zip(&mut said).enumerate() {
                // An order is chosen for what is left, so it comes once and last.
                let is_last = place + 1 == REWRITES.len();
                if mask >> place & 1 == 0 || is_last != (round == MOST_ROUNDS) {
                    continue;
                }
                let more = (rewrite.apply)(&mut policy, &mut self.scale);
                changed |= !more.is_empty();
                said.extend(more);
            }
            if !changed && round + 1 < MOST_ROUNDS && mask >> (REWRITES.len() - 1) & 1 == 0 {
                break;
            }
        }
        let redact = self.context.advice.redact;
        let made = || REWRITES.iter().zip(&said).enumerate().filter(|(_, (_, said))| !said.is_empty());
        let changes: Vec<Change> = made()
            .map(|(_, (rewrite, said))| Change {
                rule: rewrite.rule,
                effect: Effect::SameMeaning,
                title: (rewrite.title)(said.len()),
                detail: if rewrite.says_what && !redact { said.join(", ") } else { String::new() },
            })
            .collect();
        let mask = made().fold(0, |mask, (place, _)| mask | 1 << place);
        if changes.is_empty() {
            return None;
        }
        let asked = self.start.state.with_policy(&policy);
        let step = Step {
            changes,
            proof: Proof::OfEffect,
            before: self.start.state.asked.request.policy.clone(),
            after: asked.request.policy.clone(),
        };
        let parts = pack(&asked.request, self.context.sizing);
        let price = price(&asked, &parts, self.context.sizing);
        let state = State { asked, policy: Some(policy), parts, documents: Vec::new() };
        Some(Candidate { state, steps: vec![step], mask, reviews: 0, intrusion: 0, price })
    }

    /// Adds the sets of rewrites worth having, and gives those that reviews may build on.
    fn same_meaning(&mut self) -> Vec<Candidate> {
        let all: Mask = (1 << REWRITES.len()) - 1;
        let singles: Vec<Candidate> = (0..REWRITES.len()).filter_map(|place| self.rewrite(1 << place)).collect();
        let Some(whole) = self.rewrite(all) else { return Vec::new() };
        let places: Vec<usize> = (0..REWRITES.len()).filter(|place| whole.mask >> place & 1 == 1).collect();
        // Not every rewrite of the whole need bring something, and some may take more than it brings where the policy is compressed.
        let mut smallest = whole.clone();
        for place in &places {
            if let Some(without) = self.rewrite(smallest.mask & !(1 << place))
                && without.bytes() <= smallest.bytes()
            {
                smallest = without;
            }
        }
        let mut bases: Vec<Candidate> = singles.into_iter().filter(|single| single.is_single()).collect();
        let start_reaches = self.reaches(&self.start);
        let one_reaches = bases.iter().any(|one| self.reaches(one) && self.helps(one));
        if !start_reaches && !one_reaches && self.reaches(&smallest) {
            bases.extend(self.fewest(&places));
        }
        bases.push(smallest);
        let helpful: Vec<Candidate> = bases.iter().filter(|one| self.helps(one)).cloned().collect();
        self.pool.extend(helpful);
        bases
    }

    /// The sets of the fewest rewrites that reach the target.
    fn fewest(&mut self, places: &[usize]) -> Vec<Candidate> {
        let mut tried = 0;
        for size in 2..places.len() as u32 {
            let mut found = Vec::new();
            for pick in 1_u64..1 << places.len() {
                if pick.count_ones() != size || tried >= MOST_SUBSETS {
                    continue;
                }
                tried += 1;
                let mask = places.iter().enumerate().filter(|(bit, _)| pick >> bit & 1 == 1).fold(0, |mask, (_, place)| mask | 1 << place);
                found.extend(self.rewrite(mask).filter(|one| self.reaches(one)));
            }
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// Adds what rules that need review bring, alone and on top of `bases`.
    fn reviews(&mut self, bases: Vec<Candidate>) {
        let alone = self.level(std::slice::from_ref(&self.start));
        self.pool.extend(alone.iter().cloned());
        let enough = |search: &Self| search.reaches(&search.start) || search.pool.iter().any(|one| search.reaches(one));
        if self.reaches(&self.start) || self.pool.iter().any(|one| one.effect() == Effect::SameMeaning && self.reaches(one)) {
            return;
        }
        let mut frontier = bases;
        for _ in 0..MOST_REVIEWS {
            let mut found = self.level(&frontier);
            if frontier.iter().all(|one| one.reviews == 0) {
                found.extend(alone.iter().cloned());
            }
            self.pool.extend(found.iter().filter(|one| one.mask.count_ones() > 1).cloned());
            // A set of more changes than one that reaches the target is of no use.
            if enough(self) || found.is_empty() {
                return;
            }
            found.sort_by(|one, other| one.value().total_cmp(&other.value()).then(one.mask.count_ones().cmp(&other.mask.count_ones())));
            // What fewer changes bring as well leads nowhere new.
            let does_as_much = |fewer: &Candidate, one: &Candidate| {
                fewer.mask != one.mask && fewer.mask & one.mask == fewer.mask && fewer.bytes() <= one.bytes()
            };
            found.retain(|one| !self.pool.iter().any(|fewer| does_as_much(fewer, one)));
            let mut seen = Vec::new();
            found.retain(|one| {
                let is_new = !seen.contains(&(one.mask, one.bytes()));
                seen.push((one.mask, one.bytes()));
                is_new
            });
            found.truncate(BEAM);
            frontier = found;
        }
    }

    /// What each rule that is not in it yet makes of each of `bases`.
    fn level(&self, bases: &[Candidate]) -> Vec<Candidate> {
        let mut found = Vec::new();
        for base in bases {
            for (place, rule) in RULES.iter().enumerate() {
                let bit: Mask = 1 << (REWRITES.len() + place);
                if base.mask & bit != 0 {
                    continue;
                }
                for (alternative, proposal) in (rule.propose)(self.context, &base.state).into_iter().enumerate() {
                    let Some(next) = self.follow(base, proposal, rule.proof, bit, place * 16 + alternative) else { continue };
                    if next.bytes() < base.bytes() && self.helps(&next) {
                        found.push(next);
                    }
                }
            }
        }
        found
    }

    fn follow(&self, base: &Candidate, proposal: Proposal, proof: Proof, bit: Mask, intrusion: usize) -> Option<Candidate> {
        let Proposal { change, asked, documents } = proposal;
        let mut state = if asked.request == base.state.asked.request {
            State { asked, ..base.state.clone() }
        } else {
            State { documents: base.state.documents.clone(), ..State::new(asked, self.context) }
        };
        state.documents.extend(documents);
        let (before, after) = (base.state.asked.request.policy.clone(), state.asked.request.policy.clone());
        let price = price(&state.asked, &state.parts, self.context.sizing);
        let mut steps = base.steps.clone();
        steps.push(Step { changes: vec![change], proof, before, after });
        Some(Candidate { state, steps, mask: base.mask | bit, reviews: base.reviews + 1, intrusion: base.intrusion + intrusion, price })
    }

    fn verdict(&mut self, before: &str, after: &str, over_known: bool) -> Verdict {
        match self.proofs.entry((before.to_owned(), after.to_owned(), over_known)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => {
                let actions = over_known.then(|| self.context.advice.actions.all());
                place.insert(proven(before, after, actions)).clone()
            }
        }
    }

    /// The candidate with its claims proven; what is not decided needs review. None where it changes what it says it keeps.
    fn proven(&mut self, mut candidate: Candidate) -> Option<Candidate> {
        let redact = self.context.advice.redact;
        for step in &mut candidate.steps {
            let claims_same = step.changes.iter().all(|change| change.effect == Effect::SameMeaning);
            if step.before == step.after || !(claims_same || step.proof == Proof::KnownActions) {
                continue;
            }
            let verdict = match (&step.before, &step.after) {
                (Some(before), Some(after)) => self.verdict(before, after, step.proof == Proof::KnownActions),
                _ => Verdict::Undecided("one of them has no policy".to_owned()),
            };
            match verdict {
                Verdict::Same => {}
                Verdict::Differs => return None,
                Verdict::Undecided(reason) => {
                    let note = if redact { String::new() } else { format!(": {reason}") };
                    for change in &mut step.changes {
                        change.effect = Effect::NeedsReview;
                    }
                    if let Some(last) = step.changes.last_mut() {
                        last.detail = join([std::mem::take(&mut last.detail), format!("not proven to mean the same{note}")]);
                    }
                }
            }
        }
        Some(candidate)
    }

    /// The candidate of the fewest bytes that is proven to keep the meaning.
    fn smallest_same_meaning(&mut self) -> Option<Candidate> {
        let mut same: Vec<Candidate> = self.pool.iter().filter(|one| one.effect() == Effect::SameMeaning).cloned().collect();
        same.sort_by_key(|one| (one.bytes(), one.mask.count_ones()));
        same.into_iter().find_map(|one| self.proven(one).filter(|one| one.effect() == Effect::SameMeaning))
    }

    fn list(&mut self, smallest: Option<&Candidate>) -> Vec<Fix> {
        let mut pool = std::mem::take(&mut self.pool);
        pool.sort_by(|one, other| self.rank(one, other));
        let smallest_mask = smallest.map(|one| one.mask);
        let is_needless = |one: &Candidate| {
            let within = |other: &&Candidate| other.mask != one.mask && other.mask & one.mask == other.mask;
            pool.iter().filter(within).any(|fewer| {
                let does_as_much = fewer.bytes() <= one.bytes();
                does_as_much || (self.reaches(fewer) && Some(one.mask) != smallest_mask)
            })
        };
        let kept: Vec<bool> = pool.iter().map(|one| one.is_single() || !is_needless(one)).collect();
        let (mut singles, mut sets) = (0, 0);
        let mut listed: Vec<Candidate> = Vec::new();
        for (one, kept) in pool.into_iter().zip(kept) {
            let alike = listed.iter().filter(|other| other.mask == one.mask);
            let is_new = alike.clone().count() < MOST_ALTERNATIVES && alike.clone().all(|other| other.state.asked != one.state.asked);
            let is_smallest = Some(one.mask) == smallest_mask;
            let has_place = match one.is_single() {
                true => singles < MOST_SINGLES,
                false => sets < MOST_SETS || is_smallest,
            };
            if !(kept && is_new && has_place && listed.len() < MOST_FIXES) {
                continue;
            }
            let Some(one) = self.proven(one) else { continue };
            match one.is_single() {
                true => singles += 1,
                false => sets += 1,
            }
            listed.push(one);
        }
        listed.sort_by(|one, other| self.rank(one, other));
        let best_misses = listed.first().is_some_and(|best| !self.reaches(best));
        let mut fixes: Vec<Fix> = listed.into_iter().map(|one| self.fix(one)).collect();
        if best_misses && let Some(last) = fixes.first_mut().and_then(|best| best.changes.last_mut()) {
            let note = format!("no set of changes was found that reaches {} %, this one comes nearest", self.context.advice.target_percent);
            last.detail = join([std::mem::take(&mut last.detail), note]);
        }
        fixes
    }

    /// Best first.
    fn rank(&self, one: &Candidate, other: &Candidate) -> std::cmp::Ordering {
        let misses = |candidate: &Candidate| !self.reaches(candidate);
        let by_count = one.mask.count_ones().cmp(&other.mask.count_ones());
        let by_effect = one.effect().cmp(&other.effect());
        let by_size = one.value().total_cmp(&other.value());
        misses(one).cmp(&misses(other)).then_with(|| match misses(one) {
            true => by_size.then(by_effect).then(by_count).then(one.intrusion.cmp(&other.intrusion)),
            false => by_effect.then(by_count).then(one.intrusion.cmp(&other.intrusion)).then(by_size),
        })
    }

    fn fix(&self, candidate: Candidate) -> Fix {
        let effect = candidate.effect();
        let Candidate { state, steps, price, .. } = candidate;
        let policy = state.asked.request.policy.as_deref();
        let last_rewrite = steps.iter().rposition(|step| step.before != step.after && step.after.as_deref() == policy);
        let mut changes = Vec::new();
        for (place, mut step) in steps.into_iter().enumerate() {
            if let (true, Some(text), Some(last)) = (Some(place) == last_rewrite, policy, step.changes.last_mut()) {
                let shown = if self.context.advice.redact { format!("policy {}", short_hash(text)) } else { format!("policy: {text}") };
                let note = without_effect::white_space(&self.start.state.asked.request).unwrap_or_default();
                last.detail = join([std::mem::take(&mut last.detail), shown, note]);
            }
            changes.append(&mut step.changes);
        }
        Fix {
            changes,
            effect,
            before_percent: self.start.value(),
            after: price.percent,
            saved_bytes: self.start.bytes().saturating_sub(price.changeable_bytes),
            asked: state.asked,
            documents: state.documents,
        }
    }
}
