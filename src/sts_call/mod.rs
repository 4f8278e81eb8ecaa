//! One CloudTrail record to a typed STS call.
//!
//! The record decides by its own top-level `eventSource` and `eventName`; the same words nested anywhere else mean nothing.
//! Of the credentials only the length of the session token leaves this room.

mod asked;
mod caller;
mod literal;
mod quick;
mod shape;

use std::borrow::Cow;

use chrono::DateTime;

use crate::packing::{Operation, Regime, Request, Session};
use crate::record::Strings;
use serde_json::value::RawValue;
use shape::{Addendum, Identity, Parameters, Parts, Record, Response};

pub use asked::{AskedError, Asking, Observed, read as read_asked, usual_caller};
pub use caller::Knowledge;
pub use quick::RequestTexts;

/// A session token shorter than this was redacted or cut: its length says nothing. Bytes.
///
/// The shortest real token on record has 288 bytes (GetSessionToken); published records replace tokens by a few words.
const SHORTEST_TOKEN_BYTES: usize = 200;

/// How STS answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A session was granted.
    Granted,
    /// Refused because the request packs to more than the limit: `PackedPolicyTooLarge`.
    RefusedForSize,
    /// Refused for any other reason.
    RefusedOtherwise,
}

/// One STS call as its record tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct StsCall<'a> {
    /// `eventTime`, seconds since 1970-01-01 UTC.
    pub time: i64,
    /// `eventID`; None when the record has none.
    pub event_id: Option<Cow<'a, str>>,
    /// `sharedEventID`: the same in every account's copy of one call.
    pub shared_event_id: Option<Cow<'a, str>>,
    /// `addendum.originalEventID` of an addendum that updates an earlier record; None otherwise.
    pub updates_event_id: Option<Cow<'a, str>>,
    /// How STS answered.
    pub outcome: Outcome,
    /// `errorCode`; None when granted.
    pub error_code: Option<Cow<'a, str>>,
    /// The role assumed; None for operations that assume none and for refusals that do not log it.
    pub role_arn: Option<Cow<'a, str>>,
    /// The principal behind the session, never a session name.
    pub caller: Option<Cow<'a, str>>,
    /// How well the record knows the caller.
    pub caller_knowledge: Knowledge,
    /// `recipientAccountId`, 12 digits; None in records of 2013 and 2014, which have none.
    pub account_id: Option<Cow<'a, str>>,
    /// `awsRegion`.
    pub region: Option<Cow<'a, str>>,
    /// The limit STS applied, as far as this record alone tells: None for refusals.
    pub regime: Option<Regime>,
    /// What STS logged, points of the limit: `packedPolicySize`, `sessionTokenUtilization`, or the percentage in a refusal's message.
    pub observed_percent: Option<f64>,
    /// `sessionTokenSize`, else the length of the logged token. Bytes of token text; None when missing or redacted.
    pub session_token_bytes: Option<u32>,
    /// Characters of the inline policy as sent, white space included; None without one.
    pub policy_chars: Option<u32>,
    /// What was asked for; None when the record does not show it (AccessDenied logs null parameters).
    pub request: Option<Request>,
    /// What the call adds to its request.
    pub session: Session,
    /// The record shows STS's answer (`responseElements`); without it a granted call looks like one of the old regime.
    pub answered: bool,
    /// A part of the record (parameters, response, identity) could not be read and counts as absent.
    pub damaged: bool,
}

/// Why a record that says it is an STS call could not be read as one. The message never quotes the record.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The record is no JSON object of the expected form.
    #[error("record is no valid JSON: {}", without_content(.0))]
    Json(#[source] serde_json::Error),
    /// `eventTime` is missing or no RFC 3339 time.
    #[error("STS record without a readable eventTime")]
    Time,
}

/// The category and place of a JSON error without the text serde_json may quote, since that could be a token.
fn without_content(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Io => "read error",
        serde_json::error::Category::Syntax => "syntax error",
        serde_json::error::Category::Data => "unexpected type",
        serde_json::error::Category::Eof => "unexpected end",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

/// The STS call `record` holds; None when it is a record of something else.
///
/// Where a key stands twice the last one counts, as in every JSON library. A part of the record that cannot be read counts as absent and marks the call as
/// damaged.
///
/// # Errors
/// [`CallError`] when the text is no JSON, or an STS call has no readable time.
pub fn parse(record: &str) -> Result<Option<StsCall<'_>>, CallError> {
    match parse_but_request(record, &mut Strings::default()) {
        Some(Ok(Some((call, texts)))) => match texts.map(|texts| texts.read()) {
            Some(Some((request, policy_chars))) => Ok(Some(StsCall { request: Some(request), policy_chars, ..call })),
            Some(None) => parse_slowly(record),
            None => Ok(Some(call)),
        },
        Some(Ok(None)) => Ok(None),
        Some(Err(error)) => Err(error),
        None => parse_slowly(record),
    }
}

/// A call without its request, and the texts that make the request; without them where the record does not show it.
pub type Unread<'a> = (StsCall<'a>, Option<RequestTexts<'a>>);

/// As [`parse`], but leaves the request to be read by who has not seen its like before: `request` and `policy_chars` of the call are None. None of a record
/// that only [`parse`] can tell. `strings` is memory to work in, used again for the next record.
///
/// # Errors
/// [`CallError`] when an STS call has no readable time.
pub fn parse_but_request<'a>(record: &'a str, strings: &mut Strings) -> Option<Result<Option<Unread<'a>>, CallError>> {
    let quick::Quick { record, identity, parameters, texts, response, addendum, answered, resources } = quick::read(record, strings)?;
    let parts = Parts::default();
    let fields = Fields { identity, parameters: parameters.as_ref(), response, addendum, answered, resources };
    let call = call(&record, fields, &parts);
    let texts = parameters.is_some().then_some(texts);
    (!parts.failed()).then_some(call.map(|call| call.map(|call| (call, texts))))
}

/// Reads any record, whatever is unusual about it.
fn parse_slowly(record: &str) -> Result<Option<StsCall<'_>>, CallError> {
    let parts = Parts::default();
    let first = match serde_json::from_str::<Record<'_>>(record) {
        Ok(parsed) => whole_call(&parsed, &parts).map(Some),
        Err(error) => Err(CallError::Json(error)),
    };
    match first {
        Ok(Some(call)) if !parts.failed() => return Ok(call),
        Ok(_) | Err(CallError::Json(_)) => {}
        Err(error) => return Err(error),
    }
    // Something is unusual, a key that stands twice for example: through a whole value, where the last one counts at every level.
    let text = match serde_json::from_str::<serde_json::Value>(record) {
        Ok(value) => value.to_string(),
        Err(_) => return first.map(|call| call.flatten().map(|call| StsCall { damaged: true, ..call })),
    };
    let parsed = serde_json::from_str::<Record<'_>>(&text).map_err(CallError::Json)?;
    let parts = Parts::default();
    let call = whole_call(&parsed, &parts)?.map(StsCall::into_owned);
    Ok(call.map(|call| StsCall { damaged: parts.failed(), ..call }))
}

/// The operation a record's event name stands for, if it is one that returns a session token.
fn operation(record: &Record<'_>) -> Option<Operation> {
    // Insight, network activity and aggregated events may name an STS operation and are no call; old records have no category.
    if record.event_category.as_deref().is_some_and(|category| category != "Management") {
        return None;
    }
    let source = record.event_source.as_deref()?;
    // China has its own suffix: sts.amazonaws.com.cn.
    if source != "sts.amazonaws.com" && source != "sts.amazonaws.com.cn" {
        return None;
    }
    Operation::named(record.event_name.as_deref()?)
}

/// The parts of a record that are objects themselves.
struct Fields<'r, 'a> {
    identity: Identity<'a>,
    parameters: Option<&'r Parameters<'a>>,
    response: Response<'a>,
    addendum: Addendum<'a>,
    answered: bool,
    resources: Option<&'a str>,
}

/// The call that a record tells, its request included.
fn whole_call<'a>(record: &Record<'a>, parts: &Parts) -> Result<Option<StsCall<'a>>, CallError> {
    if operation(record).is_none() {
        return Ok(None);
    }
    let get = |raw: Option<&'a RawValue>| raw.map(RawValue::get);
    let parameters: Option<Parameters<'a>> = parts.object(get(record.request_parameters));
    let mut response: Response<'a> = parts.object(get(record.response_elements)).unwrap_or_default();
    let mut identity: Identity<'a> = parts.object(get(record.user_identity)).unwrap_or_default();
    let credentials: shape::Credentials<'a> = parts.object(get(response.credentials)).unwrap_or_default();
    response.logged_token_bytes = credentials.session_token.as_deref().map(str::len);
    let context: shape::SessionContext<'a> = parts.object(get(identity.session_context)).unwrap_or_default();
    identity.issuer_arn = parts.object::<shape::Issuer<'a>>(get(context.session_issuer)).and_then(|issuer| issuer.arn);
    identity.user_id = parts.object::<shape::OnBehalfOf<'a>>(get(identity.on_behalf_of)).and_then(|user| user.user_id);
    let fields = Fields {
        identity,
        parameters: parameters.as_ref(),
        response,
        addendum: parts.object(get(record.addendum)).unwrap_or_default(),
        answered: record.response_elements.is_some_and(|raw| raw.get().starts_with('{')),
        resources: get(record.resources),
    };
    let Some(call) = call(record, fields, parts)? else { return Ok(None) };
    let policy_chars = parameters.as_ref().and_then(|it| it.policy.as_deref()).map(chars);
    Ok(Some(StsCall { request: parameters.map(|parameters| request(parameters, parts)), policy_chars, ..call }))
}

/// The call that a record tells, but for its request.
fn call<'a>(record: &Record<'a>, fields: Fields<'_, 'a>, parts: &Parts) -> Result<Option<StsCall<'a>>, CallError> {
    let Some(operation) = operation(record) else { return Ok(None) };
    let time = record.event_time.as_deref().and_then(|text| DateTime::parse_from_rfc3339(text).ok()).ok_or(CallError::Time)?.timestamp();
    let Fields { identity, parameters, response, addendum, answered, resources } = fields;

    let error_code = record.error_code.clone();
    let outcome = match error_code.as_deref() {
        None => Outcome::Granted,
        Some("PackedPolicyTooLargeException" | "PackedPolicyTooLarge") => Outcome::RefusedForSize,
        Some(_) => Outcome::RefusedOtherwise,
    };

    let utilization = response.session_token_utilization.percent();
    let token_size = response.session_token_size.count();
    let packed = response.packed_policy_size.percent();
    let (regime, observed_percent) = match outcome {
        Outcome::Granted if utilization.is_some() || token_size.is_some() => (Some(Regime::SessionToken), packed.or(utilization)),
        Outcome::Granted => (Some(Regime::PackedPolicy), packed),
        Outcome::RefusedForSize => (None, record.error_message.as_deref().and_then(percent_in_message)),
        Outcome::RefusedOtherwise => (None, None),
    };

    let logged_token_bytes = response.logged_token_bytes.filter(|&bytes| bytes >= SHORTEST_TOKEN_BYTES);
    let session_token_bytes = token_size.or(logged_token_bytes.and_then(|bytes| u32::try_from(bytes).ok()));

    let assumes = matches!(operation, Operation::AssumeRole | Operation::AssumeRoleWithSaml | Operation::AssumeRoleWithWebIdentity);
    let role_arn = parameters.and_then(|it| it.role_arn.clone()).or_else(|| role_among(resources, parts)).filter(|_| assumes);
    let caller = caller::caller(&identity, parameters);
    let session = Session {
        operation,
        caller_kind: caller.kind,
        service_linked: role_arn.as_deref().is_some_and(|arn| arn.contains(":role/aws-service-role/")),
        session_name_bytes: parameters.and_then(|it| it.role_session_name.as_deref().or(it.name.as_deref())).map(short_length),
        source_identity_bytes: parameters.and_then(|it| it.source_identity.as_deref()).map(short_length),
        minimum_token_bytes: parameters.and_then(|it| it.minimum_session_token_size.count()).and_then(|bytes| u16::try_from(bytes).ok()),
    };
    Ok(Some(StsCall {
        time,
        event_id: record.event_id.clone(),
        shared_event_id: record.shared_event_id.clone(),
        // Only an addendum that updates replaces; one for late delivery is the record itself, come late.
        updates_event_id: (addendum.reason.as_deref() == Some("UPDATED_DATA")).then_some(addendum.original_event_id).flatten(),
        outcome,
        error_code,
        role_arn,
        caller: caller.name,
        caller_knowledge: caller.knowledge,
        account_id: record.recipient_account_id.clone(),
        region: record.aws_region.clone(),
        regime,
        observed_percent,
        session_token_bytes,
        policy_chars: None,
        request: None,
        session,
        answered,
        damaged: false,
    }))
}

/// A refusal may log no parameters but still name the role among its resources.
fn role_among<'a>(resources: Option<&'a str>, parts: &Parts) -> Option<Cow<'a, str>> {
    let resources: Vec<shape::Resource<'a>> = parts.objects(resources);
    resources.into_iter().filter_map(|one| one.arn).find(|arn| arn.starts_with("arn:") && arn.contains(":role/"))
}

/// Characters of a policy.
fn chars(policy: &str) -> u32 {
    u32::try_from(policy.chars().count()).unwrap_or(u32::MAX)
}

fn short_length(text: &str) -> u16 {
    u16::try_from(text.len()).unwrap_or(u16::MAX)
}

fn request(parameters: Parameters<'_>, parts: &Parts) -> Request {
    fn get(raw: Option<&RawValue>) -> Option<&str> {
        raw.map(RawValue::get)
    }
    // SAML and web identity log the tags of the assertion as `principalTags`, the others log `tags`.
    let mut tags = parts.tags(get(parameters.tags));
    tags.extend(parts.tags(get(parameters.principal_tags)));
    Request {
        policy: parameters.policy.map(Cow::into_owned),
        policy_arns: parts.policy_arns(get(parameters.policy_arns)),
        tags,
        inherited_tags: parts.tags(get(parameters.incoming_transitive_tags)),
    }
}

/// The number in "... consumes 118% of allotted space": points of the limit.
fn percent_in_message(message: &str) -> Option<f64> {
    let (_, rest) = message.split_once("consumes ")?;
    let (number, _) = rest.split_once('%')?;
    number.trim().parse::<f64>().ok().filter(|percent| percent.is_finite() && *percent >= 0.0)
}

impl StsCall<'_> {
    /// The same call, borrowing nothing.
    fn into_owned(self) -> StsCall<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        StsCall {
            time: self.time,
            event_id: own(self.event_id),
            shared_event_id: own(self.shared_event_id),
            updates_event_id: own(self.updates_event_id),
            outcome: self.outcome,
            error_code: own(self.error_code),
            role_arn: own(self.role_arn),
            caller: own(self.caller),
            caller_knowledge: self.caller_knowledge,
            account_id: own(self.account_id),
            region: own(self.region),
            regime: self.regime,
            observed_percent: self.observed_percent,
            session_token_bytes: self.session_token_bytes,
            policy_chars: self.policy_chars,
            request: self.request,
            session: self.session,
            answered: self.answered,
            damaged: self.damaged,
        }
    }
}

#[cfg(test)]
mod tests;
