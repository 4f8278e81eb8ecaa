//! Distinct requests, each kept once in a compact form and packed once.

use std::sync::{Mutex, PoisonError};

use hashbrown::HashTable;
use sha2::{Digest, Sha256};

use crate::packing::{Parts, Profile, Request, pack};

/// SHA-256 of a canonical request: role, policy without white space, ARNs and tags in order; not the session name.
pub type Fingerprint = [u8; 32];

/// Stands for a distinct request of one scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u32);

impl RequestId {
    /// No request is known.
    pub const NONE: RequestId = RequestId(u32::MAX);
}

const SHARDS: u32 = 64;

struct Stored {
    fingerprint: Fingerprint,
    parts: Parts,
    policy_arns: u8,
    tags: u16,
    inherited_tags: u16,
    body: Box<[u8]>,
}

#[derive(Default)]
struct Shard {
    by_fingerprint: HashTable<u32>,
    stored: Vec<Stored>,
}

/// The distinct requests of a scan.
pub struct Requests {
    shards: Vec<Mutex<Shard>>,
    profile: Profile,
}

/// What the tables show of a request without unpacking it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// SHA-256 of the canonical request.
    pub fingerprint: Fingerprint,
    /// Packed bytes by part.
    pub parts: Parts,
    /// Managed policy ARNs passed.
    pub policy_arns: u8,
    /// Session tags passed.
    pub tags: u16,
    /// Transitive tags inherited.
    pub inherited_tags: u16,
}

impl Requests {
    /// No requests yet; each new one is packed by `profile`.
    pub fn new(profile: Profile) -> Requests {
        Requests { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), profile }
    }

    /// The figures the requests are packed by.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    fn shard(&self, at: u32) -> Option<std::sync::MutexGuard<'_, Shard>> {
        let shard = self.shards.get(usize::try_from(at).ok()?)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The id of `request` made for `role_arn`, packed now if it is new.
    pub fn intern(&self, role_arn: Option<&str>, mut request: Request) -> RequestId {
        canonicalise(&mut request);
        let body = encode(&request);
        let mut digest = Sha256::new();
        let role = role_arn.unwrap_or_default().as_bytes();
        digest.update([u8::from(role_arn.is_some())]);
        digest.update(length(role.len()));
        digest.update(role);
        digest.update(&body);
        let fingerprint: Fingerprint = digest.finalize().into();

        let [a, b, c, d, e, f, g, h, first, ..] = fingerprint;
        let hash = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let at = u32::from(first) % SHARDS;
        let find = |shard: &Shard| {
            shard.by_fingerprint.find(hash, |&at| shard.stored.get(at as usize).is_some_and(|one| one.fingerprint == fingerprint)).copied()
        };
        let Some(shard) = self.shard(at) else { return RequestId::NONE };
        let known = find(&shard);
        drop(shard);
        if let Some(index) = known {
            return RequestId(index * SHARDS + at);
        }

        // Packing compresses: not under the lock.
        let parts = pack(&request, &self.profile);
        let Some(mut shard) = self.shard(at) else { return RequestId::NONE };
        if let Some(index) = find(&shard) {
            return RequestId(index * SHARDS + at);
        }
        let Ok(index) = u32::try_from(shard.stored.len()) else { return RequestId::NONE };
        let Shard { by_fingerprint, stored } = &mut *shard;
        stored.push(Stored {
            fingerprint,
            parts,
            policy_arns: u8::try_from(request.policy_arns.len()).unwrap_or(u8::MAX),
            tags: u16::try_from(request.tags.len()).unwrap_or(u16::MAX),
            inherited_tags: u16::try_from(request.inherited_tags.len()).unwrap_or(u16::MAX),
            body,
        });
        by_fingerprint.insert_unique(hash, index, |&at| {
            stored.get(at as usize).map_or(0, |one| {
                let [a, b, c, d, e, f, g, h, ..] = one.fingerprint;
                u64::from_le_bytes([a, b, c, d, e, f, g, h])
            })
        });
        RequestId(index * SHARDS + at)
    }

    fn stored<T>(&self, id: RequestId, see: impl FnOnce(&Stored) -> T) -> Option<T> {
        if id == RequestId::NONE {
            return None;
        }
        let shard = self.shard(id.0 % SHARDS)?;
        shard.stored.get((id.0 / SHARDS) as usize).map(see)
    }

    /// What the tables show of `id`; None for [`RequestId::NONE`].
    pub fn facts(&self, id: RequestId) -> Option<Facts> {
        self.stored(id, |one| Facts {
            fingerprint: one.fingerprint,
            parts: one.parts,
            policy_arns: one.policy_arns,
            tags: one.tags,
            inherited_tags: one.inherited_tags,
        })
    }

    /// The request itself, its policy without white space; None for [`RequestId::NONE`].
    pub fn request(&self, id: RequestId) -> Option<Request> {
        self.stored(id, |one| decode(&one.body)).flatten()
    }

    /// How many distinct requests there are.
    pub fn len(&self) -> usize {
        (0..SHARDS).filter_map(|at| self.shard(at)).map(|shard| shard.stored.len()).sum()
    }

    /// True when no request was seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        let requests = Requests::new(Profile::builtin());
        let id = requests.intern(Some("arn:aws:iam::111122223333:role/r"), request());
        let back = requests.request(id).unwrap();
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
        let requests = Requests::new(Profile::builtin());
        let first = requests.intern(Some("r"), request());
        let mut turned = request();
        turned.tags.reverse();
        turned.policy_arns.reverse();
        turned.policy = Some("{\n\t\"Version\":\"2012-10-17\"\r\n}".to_owned());
        assert_eq!(requests.intern(Some("r"), turned), first);
        assert_ne!(requests.intern(Some("s"), request()), first);
        assert_ne!(requests.intern(None, request()), first);
        assert_eq!(requests.len(), 3);
    }

    #[test]
    fn texts_that_run_together_alike_are_not_the_same_request() {
        let requests = Requests::new(Profile::builtin());
        let tag = |key: &str, value: &str| Request { tags: vec![(key.to_owned(), value.to_owned())], ..Request::default() };
        assert_ne!(requests.intern(None, tag("ab", "c")), requests.intern(None, tag("a", "bc")));
    }
}
