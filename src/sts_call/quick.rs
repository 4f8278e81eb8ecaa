//! The usual record in one pass over its text, without a copy of any of it: all of the grammar is checked, and what matters is borrowed.
//!
//! Whatever is unusual (a key that stands twice or has escapes in it, a text where an object is expected, anything that is no JSON) is left to serde_json,
//! which decides what it means; so this reader gives up rather than guess.

use std::borrow::Cow;

use super::shape::{self, Addendum, Identity, Number, Parameters, Record, Response};
use crate::packing::Request;
use crate::record::{Span, Strings};

/// Values nested deeper than this are left to serde_json.
const MAX_DEPTH: u32 = 60;

/// A record taken apart.
#[derive(Default)]
pub(super) struct Quick<'a> {
    pub record: Record<'a>,
    pub identity: Identity<'a>,
    /// None where the record has no object of request parameters.
    pub parameters: Option<Parameters<'a>>,
    /// What of the parameters makes the request.
    pub texts: RequestTexts<'a>,
    pub response: Response<'a>,
    pub addendum: Addendum<'a>,
    /// `responseElements` is an object.
    pub answered: bool,
    /// The list `resources`, as it stands in the record.
    pub resources: Option<&'a str>,
}

/// The parts of a request as they stand in a record: enough to know it again without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestTexts<'a> {
    /// Between its quotes.
    policy: Option<&'a str>,
    /// JSON lists or objects.
    policy_arns: Option<&'a str>,
    tags: Option<&'a str>,
    principal_tags: Option<&'a str>,
    incoming_transitive_tags: Option<&'a str>,
}

impl RequestTexts<'_> {
    /// Writes the parts to `key`, each with its length, so that only equal ones give equal keys.
    pub fn write_key(&self, key: &mut Vec<u8>) {
        for part in [self.policy, self.policy_arns, self.tags, self.principal_tags, self.incoming_transitive_tags] {
            match part {
                Some(text) => {
                    key.extend_from_slice(&(text.len() as u64).to_le_bytes());
                    key.extend_from_slice(text.as_bytes());
                }
                None => key.extend_from_slice(&u64::MAX.to_le_bytes()),
            }
        }
    }

    /// The request, and the characters of its policy as sent; None where [`super::parse`] has to see to it.
    pub fn read(&self) -> Option<(Request, Option<u32>)> {
        let parts = shape::Parts::default();
        let policy = match self.policy {
            Some(inner) => Some(unescaped(inner)?).filter(|policy| !policy.is_empty()),
            None => None,
        };
        let mut tags = parts.tags(self.tags);
        tags.extend(parts.tags(self.principal_tags));
        let policy_chars = policy.as_deref().map(super::chars);
        let request = Request {
            policy: policy.map(Cow::into_owned),
            policy_arns: parts.policy_arns(self.policy_arns),
            tags,
            inherited_tags: parts.tags(self.incoming_transitive_tags),
        };
        (!parts.failed()).then_some((request, policy_chars))
    }
}

/// The value of a string whose text between its quotes is `inner`; None where an escape in it is no sound one.
fn unescaped(inner: &str) -> Option<Cow<'_, str>> {
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(&format!("\"{inner}\"")).ok().map(Cow::Owned)
}

/// Takes `record` apart; None where serde_json has to.
pub(super) fn read<'a>(record: &'a str, strings: &mut Strings) -> Option<Quick<'a>> {
    if !strings.follow(record) {
        return None;
    }
    let mut json = Json { text: record, strings, next: 0, at: 0 };
    let mut quick = Quick::default();
    json.record(&mut quick)?;
    json.white_space();
    (json.at == record.len()).then_some(quick)
}

struct Json<'a, 's> {
    text: &'a str,
    /// The strings of the text, all of them sound.
    strings: &'s Strings,
    /// How many of them begin before `at`.
    next: usize,
    at: usize,
}

/// A string of the text.
struct Str<'a> {
    /// Between its quotes.
    inner: &'a str,
    escapes: bool,
}

/// Sets a field that stands once.
fn once<T>(seen: &mut u32, bit: u32, field: &mut T, value: T) -> Option<()> {
    let bit = 1 << bit;
    if *seen & bit != 0 {
        return None;
    }
    *seen |= bit;
    *field = value;
    Some(())
}

impl<'a> Json<'a, '_> {
    fn record(&mut self, quick: &mut Quick<'a>) -> Option<()> {
        let mut seen = 0;
        let Quick { record, identity, parameters, texts, response, addendum, answered, resources } = quick;
        self.object(|json, key| {
            let seen = &mut seen;
            match key {
                "eventSource" => once(seen, 0, &mut record.event_source, json.text()?),
                "eventName" => once(seen, 1, &mut record.event_name, json.text()?),
                "eventCategory" => once(seen, 2, &mut record.event_category, json.text()?),
                "eventTime" => once(seen, 3, &mut record.event_time, json.text()?),
                "eventID" => once(seen, 4, &mut record.event_id, json.text()?),
                "sharedEventID" => once(seen, 5, &mut record.shared_event_id, json.text()?),
                "awsRegion" => once(seen, 6, &mut record.aws_region, json.text()?),
                "recipientAccountId" => once(seen, 7, &mut record.recipient_account_id, json.text()?),
                "errorCode" => once(seen, 8, &mut record.error_code, json.text()?),
                "errorMessage" => once(seen, 9, &mut record.error_message, json.text()?),
                "userIdentity" => {
                    once(seen, 10, &mut (), ())?;
                    json.object_or_none(|json| json.identity(identity)).map(drop)
                }
                "requestParameters" => {
                    once(seen, 11, &mut (), ())?;
                    let mut read = Parameters::default();
                    if json.object_or_none(|json| json.parameters(&mut read, texts))? {
                        *parameters = Some(read);
                    }
                    Some(())
                }
                "responseElements" => {
                    let object = json.object_or_none(|json| json.response(response))?;
                    once(seen, 12, answered, object)
                }
                "resources" => once(seen, 13, resources, json.raw(b'[')?),
                "addendum" => {
                    once(seen, 14, &mut (), ())?;
                    json.object_or_none(|json| json.addendum(addendum)).map(drop)
                }
                _ => json.skip(1),
            }
        })
    }

    fn identity(&mut self, identity: &mut Identity<'a>) -> Option<()> {
        let mut seen = 0;
        self.object(|json, key| {
            let seen = &mut seen;
            match key {
                "type" => once(seen, 0, &mut identity.kind, json.text()?),
                "arn" => once(seen, 1, &mut identity.arn, json.text()?),
                "accountId" => once(seen, 2, &mut identity.account_id, json.text()?),
                "principalId" => once(seen, 3, &mut identity.principal_id, json.text()?),
                "identityProvider" => once(seen, 4, &mut identity.identity_provider, json.text()?),
                "invokedBy" => once(seen, 5, &mut identity.invoked_by, json.text()?),
                "sessionContext" => {
                    once(seen, 6, &mut (), ())?;
                    json.object_or_none(|json| json.nested("sessionIssuer", "arn", &mut identity.issuer_arn)).map(drop)
                }
                "onBehalfOf" => {
                    let mut user_id = None;
                    json.object_or_none(|json| json.member("userId", &mut user_id))?;
                    once(seen, 7, &mut identity.user_id, user_id)
                }
                _ => json.skip(2),
            }
        })
    }

    fn parameters(&mut self, parameters: &mut Parameters<'a>, texts: &mut RequestTexts<'a>) -> Option<()> {
        let mut seen = 0;
        self.object(|json, key| {
            let seen = &mut seen;
            match key {
                "roleArn" => once(seen, 0, &mut parameters.role_arn, json.text()?),
                "roleSessionName" => once(seen, 1, &mut parameters.role_session_name, json.text()?),
                "name" => once(seen, 2, &mut parameters.name, json.text()?),
                "sourceIdentity" => once(seen, 3, &mut parameters.source_identity, json.text()?),
                "principalArn" => once(seen, 4, &mut parameters.saml_provider_arn, json.text()?),
                "policy" => once(seen, 5, &mut texts.policy, json.text_or_none()?.map(|text| text.inner)),
                "policyArns" => once(seen, 6, &mut texts.policy_arns, json.raw(b'[')?),
                "tags" => once(seen, 7, &mut texts.tags, json.list_or_object()?),
                "principalTags" => once(seen, 8, &mut texts.principal_tags, json.list_or_object()?),
                "incomingTransitiveTags" => once(seen, 9, &mut texts.incoming_transitive_tags, json.list_or_object()?),
                "minimumSessionTokenSize" => once(seen, 10, &mut parameters.minimum_session_token_size, json.number()?),
                _ => json.skip(2),
            }
        })
    }

    fn response(&mut self, response: &mut Response<'a>) -> Option<()> {
        let mut seen = 0;
        self.object(|json, key| {
            let seen = &mut seen;
            match key {
                "packedPolicySize" => once(seen, 0, &mut response.packed_policy_size, json.number()?),
                "sessionTokenSize" => once(seen, 1, &mut response.session_token_size, json.number()?),
                "sessionTokenUtilization" => once(seen, 2, &mut response.session_token_utilization, json.number()?),
                "credentials" => {
                    let mut token = None;
                    json.object_or_none(|json| json.member("sessionToken", &mut token))?;
                    once(seen, 3, &mut response.logged_token_bytes, token.as_deref().map(str::len))
                }
                _ => json.skip(2),
            }
        })
    }

    fn addendum(&mut self, addendum: &mut Addendum<'a>) -> Option<()> {
        let mut seen = 0;
        self.object(|json, key| match key {
            "reason" => once(&mut seen, 0, &mut addendum.reason, json.text()?),
            "originalEventID" => once(&mut seen, 1, &mut addendum.original_event_id, json.text()?),
            _ => json.skip(2),
        })
    }

    /// The text of one member of an object.
    fn member(&mut self, name: &str, field: &mut Option<Cow<'a, str>>) -> Option<()> {
        let mut seen = 0;
        self.object(|json, key| if key == name { once(&mut seen, 0, field, json.text()?) } else { json.skip(3) })
    }

    /// The text of one member of an object in an object.
    fn nested(&mut self, outer: &str, name: &str, field: &mut Option<Cow<'a, str>>) -> Option<()> {
        let mut seen = 0;
        self.object(|json, key| {
            if key != outer {
                return json.skip(3);
            }
            once(&mut seen, 0, &mut (), ())?;
            json.object_or_none(|json| json.member(name, field)).map(drop)
        })
    }

    /// Reads the object that begins here by `read`; false, and passed over, where the value is of another type.
    fn object_or_none(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<bool> {
        if self.peek() == Some(b'{') {
            read(self)?;
            return Some(true);
        }
        self.skip(2)?;
        Some(false)
    }

    /// The members of the object that begins here, each key as it stands; `value` reads the value and nothing else. None where a key has escapes.
    #[inline]
    fn object(&mut self, mut value: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        self.white_space();
        if self.eat(b'}') {
            return Some(());
        }
        loop {
            let key = self.string()?;
            if key.escapes {
                return None;
            }
            self.white_space();
            self.expect(b':')?;
            self.white_space();
            value(self, key.inner)?;
            self.white_space();
            if self.eat(b'}') {
                return Some(());
            }
            self.expect(b',')?;
            self.white_space();
        }
    }

    /// Goes behind the value that begins here, whatever it is; most are strings.
    #[inline]
    fn skip(&mut self, depth: u32) -> Option<()> {
        match self.next_string() {
            Some(_) => Some(()),
            None => self.skip_other(depth),
        }
    }

    /// Goes behind the value that begins here, which is no string.
    fn skip_other(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'{' if depth < MAX_DEPTH => {
                self.at += 1;
                self.white_space();
                if self.eat(b'}') {
                    return Some(());
                }
                loop {
                    self.next_string()?;
                    self.white_space();
                    self.expect(b':')?;
                    self.white_space();
                    self.skip(depth + 1)?;
                    self.white_space();
                    if self.eat(b'}') {
                        return Some(());
                    }
                    self.expect(b',')?;
                    self.white_space();
                }
            }
            b'[' if depth < MAX_DEPTH => {
                self.at += 1;
                self.white_space();
                if self.eat(b']') {
                    return Some(());
                }
                loop {
                    self.skip(depth + 1)?;
                    self.white_space();
                    if self.eat(b']') {
                        return Some(());
                    }
                    self.expect(b',')?;
                    self.white_space();
                }
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' | b'0'..=b'9' => self.digits_and_more(),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        if !self.rest().starts_with(word.as_bytes()) {
            return None;
        }
        self.at += word.len();
        Some(())
    }

    /// A number by the grammar of JSON.
    fn digits_and_more(&mut self) -> Option<()> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Some(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Option<()> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        (digits > 0).then_some(())
    }

    /// A text that is absent where it is empty or null; None where it is anything else.
    fn text(&mut self) -> Option<Option<Cow<'a, str>>> {
        let Some(text) = self.text_or_none()? else { return Some(None) };
        if text.inner.is_empty() {
            return Some(None);
        }
        if text.escapes { Some(Some(unescaped(text.inner)?)) } else { Some(Some(Cow::Borrowed(text.inner))) }
    }

    /// A string; none where there is a null, None where there is anything else.
    fn text_or_none(&mut self) -> Option<Option<Str<'a>>> {
        match self.peek()? {
            b'"' => self.string().map(Some),
            b'n' => self.word("null").map(|()| None),
            _ => None,
        }
    }

    /// A number or a string that holds one.
    fn number(&mut self) -> Option<Number> {
        match self.peek()? {
            b'"' => {
                let text = self.string()?;
                (!text.escapes).then(|| Number::of(text.inner))
            }
            _ => {
                let start = self.at;
                self.skip(2)?;
                Some(Number::of(self.text.get(start..self.at)?))
            }
        }
    }

    fn list_or_object(&mut self) -> Option<Option<&'a str>> {
        let bracket = self.peek().filter(|byte| *byte == b'{').unwrap_or(b'[');
        self.raw(bracket)
    }

    /// The value that begins here as it stands; none where it does not begin with `bracket`.
    fn raw(&mut self, bracket: u8) -> Option<Option<&'a str>> {
        let (start, wanted) = (self.at, self.peek() == Some(bracket));
        self.skip(2)?;
        if wanted { Some(Some(self.text.get(start..self.at)?)) } else { Some(None) }
    }

    /// The string that begins here.
    #[inline]
    fn string(&mut self) -> Option<Str<'a>> {
        let Span { start, end, escapes } = self.next_string()?;
        Some(Str { inner: self.text.get(start + 1..end)?, escapes })
    }

    /// Goes behind the string that begins here. Where it ends does not depend on where the one before it did, so that the processor need not wait for that.
    #[inline]
    fn next_string(&mut self) -> Option<Span> {
        let string = self.strings.get(self.next).filter(|string| string.start == self.at)?;
        self.next += 1;
        self.at = string.end + 1;
        Some(string)
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    #[inline]
    fn white_space(&mut self) {
        // As a rule there is none.
        if self.peek() <= Some(b' ') {
            self.pass_white_space();
        }
    }

    #[cold]
    fn pass_white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }
}
