//! Distinct requests, each kept once in a compact form and, when all are known, packed once.

use std::hash::Hasher;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashTable;
use rayon::prelude::*;
use rustc_hash::FxHasher;
use sha2::{Digest, Sha256};

use crate::packing::{Parts, Profile, Regime, Request, Sizing, pack_both};
use crate::sts_call::RequestTexts;

/// SHA-256 of a canonical request: role, policy without white space, ARNs and tags in order; not the session name.
pub type Fingerprint = [u8; 32];

/// `bytes` as lower-case hexadecimal digits; `DIGITS` is twice their number.
pub(super) fn hexadecimal<const DIGITS: usize>(bytes: &[u8]) -> [u8; DIGITS] {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
    let mut text = [0; DIGITS];
    for (digits, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *digits = [digit(byte >> 4), digit(byte & 15)];
    }
    text
}

/// Stands for a distinct request of one scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u32);

impl RequestId {
    /// No request is known.
    pub const NONE: RequestId = RequestId(u32::MAX);
}

const SHARDS: u32 = 64;

#[derive(Default)]
struct Stored {
    fingerprint: Fingerprint,
    parts: [Parts; 2],
    policy_arns: u8,
    tags: u16,
    inherited_tags: u16,
    /// Empty while the request is only reserved.
    body: Box<[u8]>,
}

impl Stored {
    fn new(fingerprint: Fingerprint, request: &Request, body: Box<[u8]>) -> Stored {
        Stored {
            fingerprint,
            parts: [Parts::default(); 2],
            policy_arns: u8::try_from(request.policy_arns.len()).unwrap_or(u8::MAX),
            tags: u16::try_from(request.tags.len()).unwrap_or(u16::MAX),
            inherited_tags: u16::try_from(request.inherited_tags.len()).unwrap_or(u16::MAX),
            body,
        }
    }

    fn is_reserved(&self) -> bool {
        self.body.is_empty()
    }
}

/// Where the request of a fingerprint is looked for.
#[derive(Clone, Copy)]
struct Place {
    shard: u32,
    hash: u64,
}

impl Place {
    fn of(fingerprint: &Fingerprint) -> Place {
        let [a, b, c, d, e, f, g, h, first, ..] = *fingerprint;
        Place { shard: u32::from(first) % SHARDS, hash: u64::from_le_bytes([a, b, c, d, e, f, g, h]) }
    }

    fn id(self, index: u32) -> RequestId {
        RequestId(index * SHARDS + self.shard)
    }
}

#[derive(Default)]
struct Shard {
    by_fingerprint: HashTable<u32>,
    stored: Vec<Stored>,
    reserved: usize,
}

impl Shard {
    fn find(&self, place: Place, fingerprint: &Fingerprint) -> Option<u32> {
        self.by_fingerprint.find(place.hash, |&at| self.stored.get(at as usize).is_some_and(|one| one.fingerprint == *fingerprint)).copied()
    }

    fn push(&mut self, place: Place, one: Stored) -> Option<u32> {
        let index = u32::try_from(self.stored.len()).ok()?;
        self.stored.push(one);
        let Shard { by_fingerprint, stored, .. } = self;
        by_fingerprint.insert_unique(place.hash, index, |&at| stored.get(at as usize).map_or(0, |one| Place::of(&one.fingerprint).hash));
        Some(index)
    }
}

/// The fingerprint of `request` made for `role_arn`; the request becomes what its equals become: its policy without white space, ARNs and tags in order.
pub fn fingerprint(role_arn: Option<&str>, request: &mut Request) -> Fingerprint {
    canonical(role_arn, request).0
}

fn canonical(role_arn: Option<&str>, request: &mut Request) -> (Fingerprint, Box<[u8]>) {
    canonicalise(request);
    let body = encode(request);
    let mut digest = Sha256::new();
    let role = role_arn.unwrap_or_default().as_bytes();
    digest.update([u8::from(role_arn.is_some())]);
    digest.update(length(role.len()));
    digest.update(role);
    digest.update(&body);
    (digest.finalize().into(), body)
}

/// Takes the distinct requests of a scan from many threads.
pub(super) struct Interner {
    shards: Vec<Mutex<Shard>>,
}

/// The distinct requests of a scan, when all have come: read without locks.
pub struct Requests {
    shards: Vec<Shard>,
    profile: Profile,
}

/// What the tables show of a request without unpacking it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// SHA-256 of the canonical request.
    pub fingerprint: Fingerprint,
    /// Packed bytes by part, in the order of [`Regime::ALL`].
    parts: [Parts; 2],
    /// Managed policy ARNs passed.
    pub policy_arns: u8,
    /// Session tags passed.
    pub tags: u16,
    /// Transitive tags inherited.
    pub inherited_tags: u16,
}

impl Facts {
    /// The fingerprint as 64 hexadecimal digits in ASCII.
    pub fn fingerprint_digits(&self) -> [u8; 64] {
        hexadecimal(&self.fingerprint)
    }

    /// Packed bytes by part under `regime`.
    pub fn parts(&self, regime: Regime) -> Parts {
        let [old, new] = self.parts;
        match regime {
            Regime::PackedPolicy => old,
            Regime::SessionToken => new,
        }
    }
}

impl Default for Interner {
    fn default() -> Interner {
        Interner { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Interner {
    fn shard(&self, at: u32) -> Option<std::sync::MutexGuard<'_, Shard>> {
        let shard = self.shards.get(usize::try_from(at).ok()?)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The id of `request` made for `role_arn`.
    pub(super) fn intern(&self, role_arn: Option<&str>, mut request: Request) -> RequestId {
        let (fingerprint, body) = canonical(role_arn, &mut request);
        let place = Place::of(&fingerprint);
        let Some(mut shard) = self.shard(place.shard) else { return RequestId::NONE };
        let index = shard.find(place, &fingerprint).or_else(|| shard.push(place, Stored::new(fingerprint, &request, body)));
        index.map_or(RequestId::NONE, |index| place.id(index))
    }

    /// The id of the request of this fingerprint, which [`Interner::fill`] will bring if it is not there.
    pub(super) fn reserve(&self, fingerprint: &Fingerprint) -> RequestId {
        let place = Place::of(fingerprint);
        let Some(mut shard) = self.shard(place.shard) else { return RequestId::NONE };
        let index = shard.find(place, fingerprint).or_else(|| {
            shard.reserved += 1;
            shard.push(place, Stored { fingerprint: *fingerprint, ..Stored::default() })
        });
        index.map_or(RequestId::NONE, |index| place.id(index))
    }

    /// True when the request of this fingerprint was reserved and has not come.
    pub(super) fn is_reserved(&self, fingerprint: &Fingerprint) -> bool {
        let place = Place::of(fingerprint);
        let Some(shard) = self.shard(place.shard) else { return false };
        shard.find(place, fingerprint).and_then(|index| shard.stored.get(index as usize)).is_some_and(Stored::is_reserved)
    }

    /// How many reserved requests have not come.
    pub(super) fn reserved(&self) -> usize {
        (0..SHARDS).filter_map(|at| self.shard(at)).map(|shard| shard.reserved).sum()
    }

    /// Takes `request`, made for `role_arn`, where it was reserved. False where it was not.
    pub(super) fn fill(&self, role_arn: Option<&str>, mut request: Request) -> bool {
        let (fingerprint, body) = canonical(role_arn, &mut request);
        if !self.is_reserved(&fingerprint) {
            return false;
        }
        let filled = Stored::new(fingerprint, &request, body);
        let place = Place::of(&fingerprint);
        let Some(mut shard) = self.shard(place.shard) else { return false };
        let Some(index) = shard.find(place, &fingerprint) else { return false };
        let Some(stored) = shard.stored.get_mut(index as usize).filter(|stored| stored.is_reserved()) else { return false };
        *stored = filled;
        shard.reserved -= 1;
        true
    }

    /// All that have come, not yet packed.
    pub(super) fn finish(self) -> Requests {
        let shard = |shard: Mutex<Shard>| {
            let shard = shard.into_inner().unwrap_or_else(PoisonError::into_inner);
            // Nothing is looked for by fingerprint any more.
            Shard { by_fingerprint: HashTable::new(), ..shard }
        };
        Requests { shards: self.shards.into_iter().map(shard).collect(), profile: Profile::builtin() }
    }
}

impl Requests {
    /// Packs every request by `profile`. Which figures fit is known only when all requests are.
    pub(super) fn pack(&mut self, profile: Profile) {
        self.shards.par_iter_mut().flat_map(|shard| &mut shard.stored).for_each(|stored| {
            if let Some(request) = decode(&stored.body) {
                stored.parts = pack_both(&request, &profile);
            }
        });
        self.profile = profile;
    }

    /// The figures the requests are packed by.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// How the engine sizes a session under `regime`.
    pub fn sizing(&self, regime: Regime) -> &Sizing {
        self.profile.sizing(regime)
    }

    fn stored(&self, id: RequestId) -> Option<&Stored> {
        if id == RequestId::NONE {
            return None;
        }
        self.shards.get((id.0 % SHARDS) as usize)?.stored.get((id.0 / SHARDS) as usize)
    }

    /// What the tables show of `id`; None for [`RequestId::NONE`].
    pub fn facts(&self, id: RequestId) -> Option<Facts> {
        self.stored(id).map(|one| Facts {
            fingerprint: one.fingerprint,
            parts: one.parts,
            policy_arns: one.policy_arns,
            tags: one.tags,
            inherited_tags: one.inherited_tags,
        })
    }

    /// The request itself, its policy without white space; None for [`RequestId::NONE`].
    pub fn request(&self, id: RequestId) -> Option<Request> {
        decode(&self.stored(id)?.body)
    }

    /// How many distinct requests there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.stored.len()).sum()
    }

    /// True when no request was seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What one thread remembers of requests by their texts, so that one seen before is known again without being read.
#[derive(Default)]
pub(super) struct Remembered {
    by_text: HashTable<Text>,
    /// Bytes of the texts.
    bytes: usize,
    /// The text looked for.
    text: Vec<u8>,
}

struct Text {
    hash: u64,
    text: Box<[u8]>,
    id: RequestId,
    policy_chars: Option<u32>,
}

/// Beyond this many bytes of texts all are forgotten: logs repeat what is near.
const REMEMBERED_BYTES: usize = 1 << 20;

impl Remembered {
    /// The id of the request that `texts` make, made for `role_arn`, and the characters of its policy as sent; None where the texts have to be read with
    /// the whole record.
    pub(super) fn id(&mut self, requests: &Interner, role_arn: Option<&str>, texts: &RequestTexts<'_>) -> Option<(RequestId, Option<u32>)> {
        self.text.clear();
        texts.write_key(&mut self.text);
        self.text.push(u8::from(role_arn.is_some()));
        self.text.extend_from_slice(role_arn.unwrap_or_default().as_bytes());
        let mut hasher = FxHasher::default();
        hasher.write(&self.text);
        let hash = hasher.finish();
        if let Some(known) = self.by_text.find(hash, |one| *one.text == *self.text) {
            return Some((known.id, known.policy_chars));
        }
        let (request, policy_chars) = texts.read()?;
        let id = requests.intern(role_arn, request);
        if self.bytes + self.text.len() > REMEMBERED_BYTES {
            self.by_text.clear();
            self.bytes = 0;
        }
        self.bytes += self.text.len();
        let text = Text { hash, text: self.text.as_slice().into(), id, policy_chars };
        self.by_text.insert_unique(hash, text, |one| one.hash);
        Some((id, policy_chars))
    }
}

/// Equal requests become equal: STS sees neither the policy's white space nor the order of ARNs and tags.
fn canonicalise(request: &mut Request) {
    if let Some(text) = &mut request.policy {
        drop_white_space(text);
    }
    request.policy_arns.sort_unstable();
    request.tags.sort_unstable();
    request.inherited_tags.sort_unstable();
}

/// Drops the JSON white space of `text` (outside its strings), also where the text is no valid JSON.
fn drop_white_space(text: &mut String) {
    let (mut in_string, mut escaped) = (false, false);
    text.retain(|character| {
        if in_string {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
            return true;
        }
        in_string = character == '"';
        !matches!(character, ' ' | '\t' | '\n' | '\r')
    });
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// Length-prefixed, so that no two requests share a form.
fn encode(request: &Request) -> Box<[u8]> {
    let tags = |tags: &[(String, String)]| tags.iter().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>() + 4;
    let arns = request.policy_arns.iter().map(|arn| arn.len() + 4).sum::<usize>() + 4;
    let policy = request.policy.as_ref().map_or(1, |policy| policy.len() + 5);
    let mut body = Vec::with_capacity(policy + arns + tags(&request.tags) + tags(&request.inherited_tags));
    let text = |body: &mut Vec<u8>, text: &str| {
        body.extend_from_slice(&length(text.len()));
        body.extend_from_slice(text.as_bytes());
    };
    match &request.policy {
        Some(policy) => {
            body.push(1);
            text(&mut body, policy);
        }
        None => body.push(0),
    }
    body.extend_from_slice(&length(request.policy_arns.len()));
    for arn in &request.policy_arns {
        text(&mut body, arn);
    }
    for list in [&request.tags, &request.inherited_tags] {
        body.extend_from_slice(&length(list.len()));
        for (key, value) in list {
            text(&mut body, key);
            text(&mut body, value);
        }
    }
    body.into_boxed_slice()
}

/// The inverse of [`encode`]; None only for bytes it did not write.
fn decode(body: &[u8]) -> Option<Request> {
    struct Cursor<'a>(&'a [u8]);

    impl Cursor<'_> {
        fn byte(&mut self) -> Option<u8> {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            Some(byte)
        }

        fn count(&mut self) -> Option<usize> {
            let (bytes, rest) = self.0.split_first_chunk::<4>()?;
            self.0 = rest;
            usize::try_from(u32::from_le_bytes(*bytes)).ok()
        }

        fn text(&mut self) -> Option<String> {
            let length = self.count()?;
            let (bytes, rest) = self.0.split_at_checked(length)?;
            self.0 = rest;
            String::from_utf8(bytes.to_vec()).ok()
        }

        fn tags(&mut self) -> Option<Vec<(String, String)>> {
            let count = self.count()?;
            (0..count).map(|_| Some((self.text()?, self.text()?))).collect()
        }
    }

    let mut cursor = Cursor(body);
    let policy = match cursor.byte()? {
        0 => None,
        _ => Some(cursor.text()?),
    };
    let arns = cursor.count()?;
    let policy_arns = (0..arns).map(|_| cursor.text()).collect::<Option<_>>()?;
    Some(Request { policy, policy_arns, tags: cursor.tags()?, inherited_tags: cursor.tags()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            policy: Some("{\"Version\" : \"2012-10-17\"}".to_owned()),
            policy_arns: vec!["arn:b".to_owned(), "arn:a".to_owned()],
            tags: vec![("team".to_owned(), "blue".to_owned()), ("a".to_owned(), String::new())],
            inherited_tags: vec![("x".to_owned(), "é".to_owned())],
        }
    }

    #[test]
    fn a_request_comes_back_as_it_was_but_for_order_and_white_space() {
        let requests = Interner::default();
        let id = requests.intern(Some("arn:aws:iam::111122223333:role/r"), request());
        let back = requests.finish().request(id).unwrap();
        assert_eq!(back.policy.as_deref(), Some("{\"Version\":\"2012-10-17\"}"));
        assert_eq!(back.policy_arns, ["arn:a", "arn:b"]);
        assert_eq!(back.tags.len(), 2);
        assert_eq!(back.inherited_tags, request().inherited_tags);
    }

    #[test]
    fn white_space_inside_texts_stays() {
        let mut text = "{ \"a b\" :\t\"c \\\" d\\\\\" , \"e\": [ 1,\r\n2 ] }".to_owned();
        drop_white_space(&mut text);
        assert_eq!(text, "{\"a b\":\"c \\\" d\\\\\",\"e\":[1,2]}");
    }

    #[test]
    fn order_and_white_space_make_no_other_request_but_the_role_does() {
        let requests = Interner::default();
        let first = requests.intern(Some("r"), request());
        let mut turned = request();
        turned.tags.reverse();
        turned.policy_arns.reverse();
        turned.policy = Some("{\n\t\"Version\":\"2012-10-17\"\r\n}".to_owned());
        assert_eq!(requests.intern(Some("r"), turned), first);
        assert_ne!(requests.intern(Some("s"), request()), first);
        assert_ne!(requests.intern(None, request()), first);
        assert_eq!(requests.finish().len(), 3);
    }

    #[test]
    fn texts_that_run_together_alike_are_not_the_same_request() {
        let requests = Interner::default();
        let tag = |key: &str, value: &str| Request { tags: vec![(key.to_owned(), value.to_owned())], ..Request::default() };
        assert_ne!(requests.intern(None, tag("ab", "c")), requests.intern(None, tag("a", "bc")));
    }
}
