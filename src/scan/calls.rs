//! The kept calls, each once, compact and shared over many threads.
//!
//! Two copies of one call merge by a rule that does not depend on which came first, so the outcome is the same for any number of threads.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashTable;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};

use super::locations::Locations;
use super::names::{Lately, Name, Names, ReadNames};
use super::requests::{RequestId, hexadecimal};
use crate::packing::{CallerKind, Operation, Regime, Session};
use crate::sts_call::{Knowledge, Outcome};

/// Characters of a UUID.
pub const UUID_CHARS: usize = 36;

/// `eventID`: a UUID in all real records, any text in edited ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventId {
    /// In its canonical lower-case form.
    Uuid([u8; 16]),
    /// Any other text; [`Name::NONE`] when the record has none.
    Text(Name),
}

impl EventId {
    /// `text` as an id.
    pub fn new(text: Option<&str>, names: &Names) -> EventId {
        match text {
            None => EventId::Text(Name::NONE),
            Some(text) => uuid(text).map_or_else(|| EventId::Text(names.intern(text)), EventId::Uuid),
        }
    }

    /// The id as the record spells it; None when it has none.
    pub fn text(self, names: &Names) -> Option<String> {
        match self {
            EventId::Text(name) => names.text(name).map(|text| text.to_string()),
            EventId::Uuid(_) => self.text_in(&names.read(), &mut [0; UUID_CHARS]).map(str::to_owned),
        }
    }

    /// As [`EventId::text`], made in `buffer` where it is not among `names`.
    pub fn text_in<'a>(self, names: &'a ReadNames<'_>, buffer: &'a mut [u8; UUID_CHARS]) -> Option<&'a str> {
        match self {
            EventId::Text(name) => names.text(name),
            EventId::Uuid(bytes) => {
                let digits: [u8; 32] = hexadecimal(&bytes);
                *buffer = [b'-'; UUID_CHARS];
                for (to, from, chars) in [(0, 0, 8), (9, 8, 4), (14, 12, 4), (19, 16, 4), (24, 20, 12)] {
                    buffer.get_mut(to..to + chars)?.copy_from_slice(digits.get(from..from + chars)?);
                }
                str::from_utf8(buffer).ok()
            }
        }
    }

    /// By the text, none last.
    fn order(self, other: EventId, names: &Names) -> Ordering {
        match (self, other) {
            // Canonical UUIDs sort as their bytes.
            (EventId::Uuid(a), EventId::Uuid(b)) => a.cmp(&b),
            (a, b) if a == b => Ordering::Equal,
            (a, b) => match (a.text(names), b.text(names)) {
                (Some(a), Some(b)) => a.cmp(&b),
                (a, b) => b.is_some().cmp(&a.is_some()),
            },
        }
    }
}

/// No digit in [`DIGITS`].
const NO_DIGIT: u8 = 0xff;

/// What each lower-case hexadecimal digit stands for: which one comes next nobody knows, so that a branch on it is guessed wrong every other time.
#[allow(clippy::indexing_slicing)] // checked when it is compiled
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

/// The bytes of a UUID in canonical lower-case form, so that the text can be made again exactly.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; UUID_CHARS] = text.as_bytes().try_into().ok()?;
    let mut out = [0_u8; 16];
    let mut others = 0;
    let mut to = 0;
    for (from, chars) in [(0, 8), (9, 4), (14, 4), (19, 4), (24, 12)] {
        let (pairs, _) = text.get(from..from + chars)?.as_chunks::<2>();
        for ([high, low], byte) in pairs.iter().zip(out.get_mut(to..)?) {
            let (high, low) = (DIGITS.get(usize::from(*high))?, DIGITS.get(usize::from(*low))?);
            others |= high | low;
            *byte = high << 4 | low & 15;
        }
        to += chars / 2;
    }
    let dashes = [8, 13, 18, 23].iter().all(|&at| text.get(at) == Some(&b'-'));
    (others < 16 && dashes).then_some(out)
}

/// The texts that calls stand for.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) names: Names,
    pub(super) locations: Locations,
}

impl Texts {
    /// The order of the places of two calls: by the file's name, then the record.
    fn place_order(&self, a: &Call, b: &Call) -> Ordering {
        self.locations.order(a.file, b.file).then_with(|| a.record.cmp(&b.record))
    }
}

/// What identifies a call among all copies of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of the text `sharedEventID` or, without one, `eventID`, which reads as `own`; of the place when there is neither.
    fn new(shared_event_id: Option<&str>, (event_id, own): (Option<&str>, EventId), location: &str, record: u32) -> Key {
        let hashed = |text: &str| first_half(text.as_bytes());
        match (shared_event_id, event_id, own) {
            // Turned over, so that a shared id never meets an equal event id.
            (Some(shared), _, _) => Key(uuid(shared).unwrap_or_else(|| hashed(shared)).map(|byte| !byte)),
            (None, _, EventId::Uuid(own)) => Key(own),
            (None, Some(own), EventId::Text(_)) => Key(hashed(own)),
            // With a byte that no event id has, so that the place never is one.
            (None, None, EventId::Text(_)) => Key(hashed(&format!("{location}\0#{record}"))),
        }
    }

    fn hash(self) -> u64 {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.0;
        // UUIDs are random but for a few bits; the multiplication spreads made-up ones as well.
        let mixed = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ u64::from_le_bytes([i, j, k, l, m, n, o, p]).rotate_left(32);
        mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

fn first_half(bytes: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut half = [0; 16];
    half.copy_from_slice(digest.split_at(16).0);
    half
}

/// One kept call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// What the copies of this call share.
    pub key: Key,
    /// `eventID` of the kept copy.
    pub event_id: EventId,
    /// Seconds since 1970-01-01 UTC.
    pub time: i64,
    /// Number of the log file among those that hold calls, in no order.
    pub file: u32,
    /// Number of the record in its file, from 1.
    pub record: u32,
    /// The role assumed.
    pub role: Name,
    /// The principal behind the session.
    pub caller: Name,
    /// `recipientAccountId`.
    pub account: Name,
    /// `awsRegion`.
    pub region: Name,
    /// `errorCode`.
    pub error_code: Name,
    /// The distinct request.
    pub request: RequestId,
    /// Bytes of session token; None when not logged.
    pub session_token_bytes: Option<u32>,
    /// Characters of the inline policy as sent; None without one.
    pub policy_chars: Option<u32>,
    observed_percent: f32,
    session_name_bytes: u16,
    source_identity_bytes: u16,
    minimum_token_bytes: u16,
    /// What was called.
    pub operation: Operation,
    /// `userIdentity.type`.
    pub caller_kind: CallerKind,
    caller_knowledge: Knowledge,
    caller_in_role_account: bool,
    /// How STS answered.
    pub outcome: Outcome,
    /// The limit STS applied; filled for refusals after the scan.
    pub regime: Option<Regime>,
    /// The role is a service-linked one.
    pub service_linked: bool,
    /// Account of the role, as far as this copy or one it was compared with names the role.
    role_account: Name,
    /// An addendum that updates an earlier record.
    pub updates: bool,
}

/// All of a [`Call`] that its size and its row in a table depend on, but for when it was made, its id and where its record stands. Equal for most calls of one
/// workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Likeness {
    names: [Name; 5],
    request: RequestId,
    session_token_bytes: Option<u32>,
    policy_chars: Option<u32>,
    percent_bits: u32,
    lengths: [u16; 3],
    operation: Operation,
    caller_kind: CallerKind,
    outcome: Outcome,
    regime: Option<Regime>,
    service_linked: bool,
}

/// No value in a `u16` field; no real length reaches it.
const NO_LENGTH: u16 = u16::MAX;

impl Call {
    /// What STS logged, in points of the limit of the call's regime; None when it logged none.
    pub fn observed_percent(&self) -> Option<f64> {
        (!self.observed_percent.is_nan()).then_some(f64::from(self.observed_percent))
    }

    /// What calls of one workload have in common.
    pub fn likeness(&self) -> Likeness {
        Likeness {
            names: [self.role, self.caller, self.account, self.region, self.error_code],
            request: self.request,
            session_token_bytes: self.session_token_bytes,
            policy_chars: self.policy_chars,
            percent_bits: self.observed_percent.to_bits(),
            lengths: [self.session_name_bytes, self.source_identity_bytes, self.minimum_token_bytes],
            operation: self.operation,
            caller_kind: self.caller_kind,
            outcome: self.outcome,
            regime: self.regime,
            service_linked: self.service_linked,
        }
    }

    /// What the call adds to its request.
    pub fn session(&self) -> Session {
        let length = |length: u16| (length != NO_LENGTH).then_some(length);
        Session {
            operation: self.operation,
            caller_kind: self.caller_kind,
            service_linked: self.service_linked,
            session_name_bytes: length(self.session_name_bytes),
            source_identity_bytes: length(self.source_identity_bytes),
            minimum_token_bytes: length(self.minimum_token_bytes),
        }
    }

    /// The call a record tells, with its texts in `names`; `file` is the number of `location`.
    pub(super) fn new(
        call: &crate::sts_call::StsCall<'_>,
        request: RequestId,
        (file, location): (u32, &str),
        record: u32,
        (names, lately): (&Names, &mut Lately),
    ) -> Call {
        let mut name = |text: Option<&str>| lately.intern_some(text, names);
        let length = |length: Option<u16>| length.unwrap_or(NO_LENGTH);
        let role_account = call.role_arn.as_deref().and_then(|arn| arn.split(':').nth(4));
        let caller_in_role_account = role_account.is_some() && role_account == call.account_id.as_deref();
        let event_id = EventId::new(call.event_id.as_deref(), names);
        Call {
            key: Key::new(call.shared_event_id.as_deref(), (call.event_id.as_deref(), event_id), location, record),
            event_id,
            time: call.time,
            file,
            record,
            role: name(call.role_arn.as_deref()),
            caller: name(call.caller.as_deref()),
            account: name(call.account_id.as_deref()),
            region: name(call.region.as_deref()),
            error_code: name(call.error_code.as_deref()),
            request,
            session_token_bytes: call.session_token_bytes,
            policy_chars: call.policy_chars,
            // STS logs whole numbers; up to here 32 bits hold each of them exactly, and no real percentage comes near.
            #[allow(clippy::cast_possible_truncation)]
            observed_percent: call.observed_percent.filter(|&percent| percent <= 16_777_216.0).map_or(f32::NAN, |percent| percent as f32),
            session_name_bytes: length(call.session.session_name_bytes),
            source_identity_bytes: length(call.session.source_identity_bytes),
            minimum_token_bytes: length(call.session.minimum_token_bytes),
            operation: call.session.operation,
            caller_kind: call.session.caller_kind,
            caller_knowledge: call.caller_knowledge,
            caller_in_role_account,
            outcome: call.outcome,
            regime: call.regime,
            service_linked: call.session.service_linked,
            role_account: name(role_account),
            updates: call.updates_event_id.is_some(),
        }
    }

    /// Which of two copies' rows is kept: smaller wins. Which account holds the role either of them may tell.
    fn precedence(&self, other: &Call, texts: &Texts) -> Ordering {
        let home = if self.role_account.is_some() { self.role_account } else { other.role_account };
        let at_home = |call: &Call| home.is_some() && call.account == home;
        (other.updates, at_home(other))
            .cmp(&(self.updates, at_home(self)))
            .then_with(|| self.event_id.order(other.event_id, &texts.names))
            .then_with(|| texts.place_order(self, other))
    }

    /// Takes the caller of `other` where that copy knows it better; of two that know as much the copy in the role's account, then the smaller text, so that
    /// it does not matter in which order copies come.
    fn learn_caller(&mut self, other: &Call, names: &Names) {
        let order = (other.caller_knowledge, other.caller_in_role_account)
            .cmp(&(self.caller_knowledge, self.caller_in_role_account))
            .then_with(|| names.text(self.caller).cmp(&names.text(other.caller)));
        if order.is_gt() {
            self.caller = other.caller;
            self.caller_kind = other.caller_kind;
            self.caller_knowledge = other.caller_knowledge;
            self.caller_in_role_account = other.caller_in_role_account;
        }
    }

    /// True when `other` has something that this copy lacks (the caller aside).
    fn lacks(&self, other: &Call) -> bool {
        (self.request == RequestId::NONE && other.request != RequestId::NONE)
            || (!self.role.is_some() && other.role.is_some())
            || (self.session_token_bytes.is_none() && other.session_token_bytes.is_some())
            || (self.observed_percent.is_nan() && !other.observed_percent.is_nan())
            || (self.regime != other.regime && other.regime == Some(Regime::SessionToken))
    }

    /// Fills what this copy lacks from `other`, a copy that gave way to it.
    fn fill(&mut self, other: &Call) {
        if self.request == RequestId::NONE {
            self.request = other.request;
            self.policy_chars = other.policy_chars;
            self.session_name_bytes = other.session_name_bytes;
            self.source_identity_bytes = other.source_identity_bytes;
            self.minimum_token_bytes = other.minimum_token_bytes;
        }
        if !self.role.is_some() {
            self.role = other.role;
            self.role_account = other.role_account;
            self.service_linked = other.service_linked;
        }
        self.session_token_bytes = self.session_token_bytes.or(other.session_token_bytes);
        if self.observed_percent.is_nan() {
            self.observed_percent = other.observed_percent;
        }
        // A copy without its response looks like one of the old regime.
        if self.regime.is_some() && other.regime == Some(Regime::SessionToken) {
            self.regime = other.regime;
        }
    }

    /// One call out of copies of it, the one that is kept first, the others in the order in which they fill what it lacks; None of none.
    fn combine(copies: &[Call], names: &Names) -> Option<Call> {
        let (first, others) = copies.split_first()?;
        let mut row = *first;
        for other in others {
            row.fill(other);
            row.learn_caller(other, names);
        }
        Some(row)
    }

    /// By event time, then event id, then place: the order of the events table.
    fn order(&self, other: &Call, texts: &Texts) -> Ordering {
        self.time
            .cmp(&other.time)
            .then_with(|| self.event_id.order(other.event_id, &texts.names))
            .then_with(|| texts.place_order(self, other))
    }
}

/// Where a kept call lies; valid for one [`Calls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(u32);

const SHARDS: u32 = 64;
/// Calls are kept in chunks, so that growing never copies them and no capacity lies idle.
const CHUNK: usize = 1024;
/// Calls that are laid down before what held them is given back: 8 MB.
const LAID_DOWN: usize = 64 * CHUNK;

#[derive(Default)]
struct Shard {
    by_key: HashTable<u32>,
    chunks: Vec<Vec<Call>>,
    len: u32,
    duplicates: u64,
    /// Copies that gave way but have what the kept one lacks, with the place of that. Merged at the end, when it is known which copy is kept.
    spares: Vec<(u32, Call)>,
    /// Event ids of copies that gave way to another event id, so that an addendum to them still finds the call.
    aliases: Vec<(EventId, u32)>,
    /// Updating addenda and the event id each replaces.
    addenda: Vec<(EventId, u32)>,
}

impl Shard {
    fn get(&self, index: u32) -> Option<&Call> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Call> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    fn push(&mut self, call: Call) -> u32 {
        let index = self.len;
        let chunk = index as usize / CHUNK;
        if self.chunks.len() <= chunk {
            // The first chunk starts small, since a shard may hold little.
            self.chunks.push(Vec::with_capacity(if chunk == 0 { 16 } else { CHUNK }));
        }
        if let Some(chunk) = self.chunks.get_mut(chunk) {
            chunk.push(call);
        }
        self.len += 1;
        index
    }

    /// Puts the calls, all of which `indexes` names, in that order.
    fn arrange(&mut self, indexes: &[u32]) {
        let chunk = |indexes: &[u32]| indexes.iter().filter_map(|&index| self.get(index).copied()).collect();
        let chunks: Vec<Vec<Call>> = indexes.chunks(CHUNK).map(chunk).collect();
        self.chunks = chunks;
    }

    /// Merges `call` into the copy of it at `index`.
    fn merge(&mut self, index: u32, call: Call, texts: &Texts) {
        self.duplicates += 1;
        let Some(kept) = self.get_mut(index) else { return };
        let (mut row, mut gone) = if kept.precedence(&call, texts).is_le() { (*kept, call) } else { (call, *kept) };
        row.learn_caller(&gone, &texts.names);
        *kept = row;
        if gone.event_id != row.event_id {
            self.aliases.push((gone.event_id, index));
        }
        // While no copy names the role, the one that gave way may yet turn out to stand in its account.
        if row.lacks(&gone) || !row.role_account.is_some() {
            // The caller has been seen to.
            gone.caller_knowledge = Knowledge::Nothing;
            self.spares.push((index, gone));
        }
    }

    /// Combines each kept call with the copies that gave way to it, now that all of them are known.
    fn merge_spares(&mut self, texts: &Texts) {
        let mut spares = std::mem::take(&mut self.spares);
        spares.sort_by_key(|&(index, _)| index);
        for group in spares.chunk_by(|(a, _), (b, _)| a == b) {
            let Some(&(index, _)) = group.first() else { continue };
            let Some(&kept) = self.get(index) else { continue };
            let mut copies: Vec<Call> = std::iter::once(kept).chain(group.iter().map(|&(_, spare)| spare)).collect();
            let home = copies.iter().map(|copy| copy.role_account).find(|account| account.is_some()).unwrap_or(Name::NONE);
            copies.iter_mut().for_each(|copy| copy.role_account = home);
            copies.sort_by(|a, b| a.precedence(b, texts));
            let Some(row) = Call::combine(&copies, &texts.names) else { continue };
            if row.event_id != kept.event_id {
                self.aliases.push((kept.event_id, index));
            }
            if let Some(place) = self.get_mut(index) {
                *place = row;
            }
        }
    }
}

/// Takes calls from many threads.
pub struct Collector {
    shards: Vec<Mutex<Shard>>,
}

impl Default for Collector {
    fn default() -> Self {
        Collector { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Collector {
    /// Keeps `call`, or merges it into the copy already kept. `replaces` is the event id an updating addendum replaces.
    pub fn insert(&self, call: Call, replaces: Option<EventId>, texts: &Texts) {
        let hash = call.key.hash();
        // The table takes its bits from both ends of the hash; the shard from the middle.
        #[allow(clippy::cast_possible_truncation)]
        let at = (hash >> 24) as u32 % SHARDS;
        let Some(shard) = self.shards.get(at as usize) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shard.by_key.find(hash, |&index| shard.get(index).is_some_and(|one| one.key == call.key)).copied();
        let index = if let Some(index) = known {
            shard.merge(index, call, texts);
            index
        } else {
            let index = shard.push(call);
            let Shard { by_key, chunks, .. } = &mut *shard;
            by_key.insert_unique(hash, index, |&index| {
                let index = index as usize;
                chunks.get(index / CHUNK).and_then(|chunk| chunk.get(index % CHUNK)).map_or(0, |one| one.key.hash())
            });
            index
        };
        if let Some(original) = replaces {
            shard.addenda.push((original, index));
        }
    }

    /// All calls, copies and addenda merged, in the order of the events table.
    pub fn finish(self, texts: &Texts) -> Calls {
        let mut shards: Vec<Shard> =
            self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
        let duplicates = shards.iter().map(|shard| shard.duplicates).sum();
        shards.par_iter_mut().for_each(|shard| {
            shard.by_key = HashTable::new();
            shard.merge_spares(texts);
        });
        let places = sorted(&shards, texts);
        let mut calls = Calls { duplicates, ..Calls::lay_down(shards, &places) };
        let moved = calls.merge_equal_event_ids(texts);
        calls.apply_addenda(&moved, texts);
        calls
    }
}

/// Where a call lies while they come: a shard, and a place in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place(u32);

impl Place {
    fn new(shard: u32, index: u32) -> Place {
        Place(index * SHARDS + shard)
    }

    fn shard(self) -> usize {
        (self.0 % SHARDS) as usize
    }

    fn index(self) -> u32 {
        self.0 / SHARDS
    }

    fn call(self, shards: &[Shard]) -> Option<&Call> {
        shards.get(self.shard())?.get(self.index())
    }
}

/// The places of all calls in the order of the events table.
fn sorted(shards: &[Shard], texts: &Texts) -> Vec<Place> {
    let numbered = (0_u32..).zip(shards).flat_map(|(at, shard)| (0..shard.len).map(move |index| (0, Place::new(at, index))));
    // With the time at hand few calls have to be looked at.
    let mut order: Vec<(i64, Place)> = numbered.collect();
    order.par_iter_mut().for_each(|(time, place)| *time = place.call(shards).map_or(i64::MAX, |call| call.time));
    order.par_sort_unstable_by(|&(time, place), &(other_time, other)| {
        time.cmp(&other_time).then_with(|| match (place.call(shards), other.call(shards)) {
            (Some(a), Some(b)) => a.order(b, texts),
            _ => Ordering::Equal,
        })
    });
    order.into_iter().map(|(_, place)| place).collect()
}

/// The one that stands for all slots that `parents` joins with `slot`.
fn root(parents: &FxHashMap<Slot, Slot>, mut slot: Slot) -> Slot {
    while let Some(&parent) = parents.get(&slot) {
        slot = parent;
    }
    slot
}

/// The kept calls of a scan, by event time, then event id.
pub struct Calls {
    /// In that order, so that whoever goes through them goes through memory.
    chunks: Vec<Vec<Call>>,
    /// Those that stand.
    order: Vec<Slot>,
    duplicates: u64,
    /// As of the [`Shard`]s.
    aliases: Vec<(EventId, Slot)>,
    addenda: Vec<(EventId, Slot)>,
}

impl Calls {
    /// How many calls were kept.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True when none was kept.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many further copies of kept calls were met.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    fn at(&self, slot: Slot) -> Option<&Call> {
        let at = slot.0 as usize;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    fn at_mut(&mut self, slot: Slot) -> Option<&mut Call> {
        let at = slot.0 as usize;
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    /// Puts the calls of all shards in the order of `places`: each shard's first, then all of them together, so that never all calls are held twice.
    fn lay_down(mut shards: Vec<Shard>, places: &[Place]) -> Calls {
        let mut indexes: Vec<Vec<u32>> = shards.iter().map(|shard| Vec::with_capacity(shard.len as usize)).collect();
        for place in places {
            if let Some(indexes) = indexes.get_mut(place.shard()) {
                indexes.push(place.index());
            }
        }
        shards.par_iter_mut().zip(indexes).for_each(|(shard, indexes)| shard.arrange(&indexes));

        let number = |at: usize| Slot(u32::try_from(at).unwrap_or(u32::MAX));
        let loose = |of: fn(&Shard) -> &[(EventId, u32)]| {
            let own =
                (0_u32..).zip(&shards).flat_map(move |(at, shard)| of(shard).iter().map(move |&(id, index)| (id, Place::new(at, index))));
            own.collect::<Vec<_>>()
        };
        let (aliases, addenda) = (loose(|shard| &shard.aliases), loose(|shard| &shard.addenda));
        let mut slots: FxHashMap<Place, Slot> = aliases.iter().chain(&addenda).map(|&(_, place)| (place, number(usize::MAX))).collect();
        if !slots.is_empty() {
            for (at, place) in places.iter().enumerate() {
                if let Some(slot) = slots.get_mut(place) {
                    *slot = number(at);
                }
            }
        }
        let laid_down =
            |loose: Vec<(EventId, Place)>| loose.into_iter().filter_map(|(id, place)| Some((id, *slots.get(&place)?))).collect();

        // How many calls of each shard have been laid down.
        let mut cursors = [0_u32; SHARDS as usize];
        let mut chunks: Vec<Vec<Call>> = Vec::with_capacity(places.len().div_ceil(CHUNK));
        for places in places.chunks(LAID_DOWN) {
            let before = places.chunks(CHUNK).map(|places| {
                let before = cursors;
                for place in places {
                    if let Some(cursor) = cursors.get_mut(place.shard()) {
                        *cursor += 1;
                    }
                }
                before
            });
            let parts: Vec<_> = places.chunks(CHUNK).zip(before.collect::<Vec<_>>()).collect();
            chunks.par_extend(parts.into_par_iter().with_max_len(1).map(|(places, mut cursors)| {
                let next = |place: &Place| {
                    let cursor = cursors.get_mut(place.shard())?;
                    let call = shards.get(place.shard())?.get(*cursor).copied();
                    *cursor += 1;
                    call
                };
                let mut chunk = Vec::with_capacity(places.len());
                chunk.extend(places.iter().filter_map(next));
                chunk
            }));
            for (shard, &cursor) in shards.iter_mut().zip(&cursors) {
                shard.chunks.iter_mut().take(cursor as usize / CHUNK).for_each(|chunk| *chunk = Vec::new());
            }
        }
        Calls {
            chunks,
            order: (0..places.len()).map(number).collect(),
            duplicates: 0,
            aliases: laid_down(aliases),
            addenda: laid_down(addenda),
        }
    }

    /// Merges calls of one event id that had different keys: one copy lost its `sharedEventID` on the way. Returns where those that fell away went.
    fn merge_equal_event_ids(&mut self, texts: &Texts) -> FxHashMap<Slot, Slot> {
        let mut pairs: Vec<(Slot, Slot)> = Vec::new();
        // In order, equal event ids stand side by side.
        for (&before, &slot) in self.order.iter().zip(self.order.iter().skip(1)) {
            if let (Some(a), Some(b)) = (self.at(before), self.at(slot))
                && a.event_id == b.event_id
                && a.event_id != EventId::Text(Name::NONE)
            {
                pairs.push((before, slot));
            }
        }
        // An id that gave way to another one may stand elsewhere on its own.
        let mut aliases: FxHashMap<EventId, Slot> = FxHashMap::default();
        for &(id, slot) in &self.aliases {
            match aliases.insert(id, slot) {
                Some(other) if other != slot => pairs.push((other, slot)),
                _ => {}
            }
        }
        if !aliases.is_empty() {
            for &slot in &self.order {
                if let Some(&other) = self.at(slot).and_then(|call| aliases.get(&call.event_id)).filter(|&&other| other != slot) {
                    pairs.push((other, slot));
                }
            }
        }
        if pairs.is_empty() {
            return FxHashMap::default();
        }

        let mut parents: FxHashMap<Slot, Slot> = FxHashMap::default();
        for (a, b) in pairs {
            let (a, b) = (root(&parents, a), root(&parents, b));
            if a != b {
                parents.insert(b, a);
            }
        }
        let mut groups: FxHashMap<Slot, Vec<(Call, Slot)>> = FxHashMap::default();
        for slot in parents.iter().flat_map(|(&a, &b)| [a, b]).collect::<FxHashSet<_>>() {
            if let Some(&call) = self.at(slot) {
                groups.entry(root(&parents, slot)).or_default().push((call, slot));
            }
        }
        let mut gone: FxHashMap<Slot, Slot> = FxHashMap::default();
        for mut copies in groups.into_values() {
            copies.sort_by(|(a, _), (b, _)| a.precedence(b, texts));
            let calls: Vec<Call> = copies.iter().map(|(call, _)| *call).collect();
            let Some(&(_, kept)) = copies.first() else { continue };
            if let (Some(merged), Some(place)) = (Call::combine(&calls, &texts.names), self.at_mut(kept)) {
                *place = merged;
            }
            gone.extend(copies.iter().skip(1).map(|&(_, slot)| (slot, kept)));
        }
        self.duplicates += gone.len() as u64;
        self.order.retain(|slot| !gone.contains_key(slot));
        gone
    }

    /// Lets each updating addendum take the place of the record it updates.
    fn apply_addenda(&mut self, moved: &FxHashMap<Slot, Slot>, texts: &Texts) {
        /// What a chain of addenda goes back to.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        enum Root {
            Call(Slot),
            /// The record itself was not read.
            Missing(EventId),
        }

        let stands = |slot: Slot| moved.get(&slot).copied().unwrap_or(slot);
        let mut targets: FxHashMap<Slot, EventId> = FxHashMap::default();
        targets.extend(std::mem::take(&mut self.addenda).into_iter().map(|(original, slot)| (stands(slot), original)));
        let mut originals: FxHashMap<EventId, Option<Slot>> = targets.values().map(|&original| (original, None)).collect();
        if !originals.is_empty() {
            // Those that fell away too, by their own ids.
            let own = self.chunks.iter().flatten().zip(0_u32..).map(|(call, at)| (call.event_id, Slot(at)));
            for (id, slot) in self.aliases.iter().copied().chain(own) {
                if let Some(found) = originals.get_mut(&id) {
                    *found = Some(stands(slot));
                }
            }
        }
        self.aliases = Vec::new();

        let found = |id: EventId| originals.get(&id).copied().flatten();
        let mut groups: FxHashMap<Root, Vec<(Slot, usize)>> = FxHashMap::default();
        for (&slot, &original) in &targets {
            if found(original) == Some(slot) {
                // A copy with the same `sharedEventID`: merged already.
                continue;
            }
            let (mut root, mut depth) = (original, 1);
            // Chains are short; one that goes round ends here too.
            while let Some(next) = found(root).and_then(|slot| targets.get(&slot)).filter(|_| depth <= targets.len()) {
                root = *next;
                depth += 1;
            }
            groups.entry(found(root).map_or(Root::Missing(root), Root::Call)).or_default().push((slot, depth));
        }
        let replaced: FxHashSet<Slot> = targets.values().filter_map(|&original| found(original)).collect();
        let mut gone: FxHashSet<Slot> = FxHashSet::default();
        for (root, mut members) in groups {
            if let Root::Call(slot) = root {
                members.push((slot, 0));
            }
            // Of those that nothing updates the smallest event id stands; the others fill what it lacks, the latest word first.
            let mut copies: Vec<(bool, usize, Call, Slot)> =
                members.into_iter().filter_map(|(slot, depth)| Some((replaced.contains(&slot), depth, *self.at(slot)?, slot))).collect();
            copies.sort_by(|(a_replaced, a_depth, a, _), (b_replaced, b_depth, b, _)| {
                a_replaced
                    .cmp(b_replaced)
                    .then_with(|| if *a_replaced { b_depth.cmp(a_depth) } else { Ordering::Equal })
                    .then_with(|| a.event_id.order(b.event_id, &texts.names))
                    .then_with(|| texts.place_order(a, b))
            });
            copies.dedup_by_key(|(_, _, _, slot)| *slot);
            let calls: Vec<Call> = copies.iter().map(|(_, _, call, _)| *call).collect();
            let Some((_, _, _, first)) = copies.first().copied() else { continue };
            if let (Some(merged), Some(place)) = (Call::combine(&calls, &texts.names), self.at_mut(first)) {
                *place = merged;
            }
            gone.extend(copies.iter().skip(1).map(|(_, _, _, slot)| *slot));
        }
        self.duplicates += gone.len() as u64;
        self.order.retain(|slot| !gone.contains(slot));
    }

    /// Keeps the calls that `keep` says; returns how many it did not.
    pub(super) fn retain(&mut self, keep: impl Fn(&Call) -> bool) -> u64 {
        let before = self.order.len();
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&slot| self.at(slot).is_some_and(&keep));
        self.order = order;
        (before - self.order.len()) as u64
    }

    /// The call at `slot`.
    pub fn get(&self, slot: Slot) -> Option<&Call> {
        self.at(slot)
    }

    /// Where the calls lie, in order.
    pub fn slots(&self) -> &[Slot] {
        &self.order
    }

    /// The calls in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Slot, &Call)> {
        self.order.iter().filter_map(|&slot| Some((slot, self.at(slot)?)))
    }

    pub(super) fn set_regime(&mut self, slot: Slot, regime: Option<Regime>) {
        if let Some(call) = self.at_mut(slot) {
            call.regime = regime;
        }
    }
}

// Many millions of calls are held at once.
const _: () = assert!(size_of::<Call>() <= 128);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sts_call;

    const A: &str = "00000000-0000-0000-0000-00000000000a";
    const B: &str = "00000000-0000-0000-0000-00000000000b";

    /// A record; the parts that matter to merging are arguments.
    struct Made {
        event_id: &'static str,
        shared: Option<&'static str>,
        account: &'static str,
        identity: &'static str,
        addendum: Option<&'static str>,
        token: usize,
    }

    const PLAIN: Made = Made {
        event_id: A,
        shared: None,
        account: "111122223333",
        identity: r#"{"type":"AWSAccount","principalId":"AROAEXAMPLE:x","accountId":"444455556666"}"#,
        addendum: None,
        token: 300,
    };

    const KNOWS: &str = r#"{"type":"IAMUser","arn":"arn:aws:iam::444455556666:user/jane"}"#;

    fn insert(collector: &Collector, texts: &Texts, location: &str, made: &Made) {
        let shared = made.shared.map(|id| format!(r#""sharedEventID":"{id}","#)).unwrap_or_default();
        let addendum =
            made.addendum.map(|id| format!(r#""addendum":{{"reason":"UPDATED_DATA","originalEventID":"{id}"}},"#)).unwrap_or_default();
        let text = format!(
            r#"{{"eventSource":"sts.amazonaws.com","eventName":"AssumeRole","eventTime":"2026-09-20T10:00:00Z",{shared}{addendum}
                "eventID":"{}","recipientAccountId":"{}","userIdentity":{},
                "requestParameters":{{"roleArn":"arn:aws:iam::111122223333:role/r"}},
                "responseElements":{{"credentials":{{"sessionToken":"{}"}}}}}}"#,
            made.event_id,
            made.account,
            made.identity,
            "t".repeat(made.token),
        );
        let call = sts_call::parse(&text).unwrap().unwrap();
        let replaces = call.updates_event_id.as_deref().map(|id| EventId::new(Some(id), &texts.names));
        let file = (texts.locations.insert(location), location);
        collector.insert(Call::new(&call, RequestId::NONE, file, 1, (&texts.names, &mut Lately::default())), replaces, texts);
    }

    /// The kept calls as (event id, caller, file, token bytes), whatever the order of arrival.
    fn kept(made: &[Made]) -> Vec<(String, String, usize, Option<u32>)> {
        let run = |order: &mut dyn Iterator<Item = (usize, &Made)>| {
            let (collector, texts) = (Collector::default(), Texts::default());
            for (file, one) in order {
                insert(&collector, &texts, &file.to_string(), one);
            }
            let calls = collector.finish(&texts);
            let Texts { names, locations } = texts;
            let locations = locations.finish();
            assert_eq!(calls.len() + usize::try_from(calls.duplicates()).unwrap(), made.len());
            calls
                .iter()
                .map(|(_, call)| {
                    let mut file = String::new();
                    locations.write(call.file, &mut file);
                    let file = file.parse().unwrap();
                    (call.event_id.text(&names).unwrap(), names.text(call.caller).unwrap().to_string(), file, call.session_token_bytes)
                })
                .collect::<Vec<_>>()
        };
        let forward = run(&mut made.iter().enumerate());
        let backward = run(&mut made.iter().enumerate().rev());
        assert_eq!(forward, backward);
        forward
    }

    #[test]
    fn the_same_event_in_two_files_is_one_call_at_the_smaller_place() {
        assert_eq!(kept(&[PLAIN, PLAIN]), [(A.to_owned(), "AROAEXAMPLE".to_owned(), 0, Some(300))]);
    }

    #[test]
    fn copies_in_two_accounts_give_the_row_of_the_roles_account_and_the_caller_of_the_copy_that_knows() {
        let copies = [
            Made { event_id: A, shared: Some("s"), account: "444455556666", identity: KNOWS, ..PLAIN },
            Made { event_id: B, shared: Some("s"), account: "111122223333", token: 0, ..PLAIN },
        ];
        assert_eq!(kept(&copies), [(B.to_owned(), "arn:aws:iam::444455556666:user/jane".to_owned(), 1, Some(300))]);
    }

    #[test]
    fn an_addendum_replaces_its_original_also_when_that_gave_way_to_another_copy() {
        const C: &str = "00000000-0000-0000-0000-00000000000c";
        let updated = Made { event_id: C, addendum: Some(A), token: 400, ..PLAIN };
        assert_eq!(kept(&[PLAIN, updated]), [(C.to_owned(), "AROAEXAMPLE".to_owned(), 1, Some(400))]);
        let copies = [
            Made { event_id: A, shared: Some("s"), account: "444455556666", identity: KNOWS, ..PLAIN },
            Made { event_id: B, shared: Some("s"), ..PLAIN },
            Made { event_id: C, addendum: Some(A), token: 400, ..PLAIN },
        ];
        assert_eq!(kept(&copies), [(C.to_owned(), "arn:aws:iam::444455556666:user/jane".to_owned(), 2, Some(400))]);
    }

    #[test]
    fn an_addendum_without_its_original_is_a_call_of_its_own() {
        let lone = Made { event_id: B, addendum: Some("elsewhere"), ..PLAIN };
        assert_eq!(kept(&[PLAIN, lone]).len(), 2);
    }

    #[test]
    fn event_ids_come_back_as_they_were_spelt() {
        let names = Names::default();
        for text in [
            A,
            "73f2922c-c39f-7c69-9c9c-3e1e72e95e0e",
            "73F2922C-C39F-7C69-9C9C-3E1E72E95E0E",
            "x",
            "73f2922c-c39f-7c69-9c9c-3e1e72e95e0",
            "",
        ] {
            assert_eq!(EventId::new(Some(text), &names).text(&names).as_deref(), Some(text));
        }
        assert_eq!(EventId::new(None, &names).text(&names), None);
    }

    proptest::proptest! {
        #[test]
        fn an_id_comes_back_whatever_is_wrong_with_it(
            bytes in proptest::prelude::any::<[u8; 16]>(),
            at in 0_usize..UUID_CHARS,
            other in proptest::option::of("[0-9a-gA-F -]|é"),
        ) {
            let names = Names::default();
            let mut text = EventId::Uuid(bytes).text(&names).unwrap();
            if let Some(other) = &other {
                text.replace_range(at..=at, other);
            }
            let id = EventId::new(Some(&text), &names);
            assert_eq!(id.text(&names).as_deref(), Some(text.as_str()));
            assert!(other.is_some() || id == EventId::Uuid(bytes));
        }
    }
}
