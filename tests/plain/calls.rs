//! A plain reader of calls, which takes each field from a whole `serde_json::Value` by the letter of the rules.
//!
//! Shared by `tests/call_oracle.rs` and the fuzzers.

#![allow(dead_code, reason = "each user of this module takes a part of it")]

use chrono::DateTime;
use packtrail::packing::{CallerKind, Operation, Regime};
use packtrail::sts_call::{self, Outcome, StsCall};
use serde::de::IgnoredAny;
use serde_json::Value;

/// A name in principal ids and ARNs that no caller may show.
pub const HIDDEN: &str = "hidden-session";

/// What both readers tell of a call.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub operation: Operation,
    pub time: i64,
    pub event_id: Option<String>,
    pub shared_event_id: Option<String>,
    pub updates_event_id: Option<String>,
    pub outcome: Outcome,
    pub error_code: Option<String>,
    pub role_arn: Option<String>,
    pub caller_kind: CallerKind,
    pub account_id: Option<String>,
    pub region: Option<String>,
    pub regime: Option<Regime>,
    pub observed_percent: Option<Percent>,
    pub session_token_bytes: Option<u32>,
    pub policy_chars: Option<u32>,
    pub session_name_bytes: Option<u16>,
    pub source_identity_bytes: Option<u16>,
    pub minimum_token_bytes: Option<u16>,
    pub service_linked: bool,
    pub answered: bool,
    pub request: Option<Asked>,
}

/// Points of a limit. serde_json may read a number of many digits as a neighbour of the nearest `f64`.
#[derive(Debug)]
pub struct Percent(f64);

impl PartialEq for Percent {
    fn eq(&self, other: &Percent) -> bool {
        (self.0 - other.0).abs() <= 1e-14 * self.0.abs().max(other.0.abs())
    }
}

/// A request; the order of tags and ARNs means nothing.
#[derive(Debug, PartialEq)]
pub struct Asked {
    policy: Option<String>,
    policy_arns: Vec<String>,
    tags: Vec<(String, String)>,
    inherited_tags: Vec<(String, String)>,
}

/// `list` in order.
pub fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

/// What packtrail tells of a call.
pub fn told(call: &StsCall<'_>) -> Told {
    let own = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
    Told {
        operation: call.session.operation,
        time: call.time,
        event_id: own(&call.event_id),
        shared_event_id: own(&call.shared_event_id),
        updates_event_id: own(&call.updates_event_id),
        outcome: call.outcome,
        error_code: own(&call.error_code),
        role_arn: own(&call.role_arn),
        caller_kind: call.session.caller_kind,
        account_id: own(&call.account_id),
        region: own(&call.region),
        regime: call.regime,
        observed_percent: call.observed_percent.map(Percent),
        session_token_bytes: call.session_token_bytes,
        policy_chars: call.policy_chars,
        session_name_bytes: call.session.session_name_bytes,
        source_identity_bytes: call.session.source_identity_bytes,
        minimum_token_bytes: call.session.minimum_token_bytes,
        service_linked: call.session.service_linked,
        answered: call.answered,
        request: call.request.as_ref().map(|request| Asked {
            policy: request.policy.clone(),
            policy_arns: sorted(request.policy_arns.clone()),
            tags: sorted(request.tags.clone()),
            inherited_tags: sorted(request.inherited_tags.clone()),
        }),
    }
}

/// A text; one that is empty, and a field of another type, is absent.
fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A number, or a text that holds one; never negative.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    number.filter(|number| number.is_finite() && *number >= 0.0)
}

/// A number without a fraction, up to `most`.
fn count(value: &Value, most: u32) -> Option<u32> {
    number(value).filter(|number| number.fract() == 0.0 && *number <= f64::from(most)).map(|number| number as u32)
}

fn tags(value: &Value) -> Vec<(String, String)> {
    let pair = |key: &str, value: &Value| (key.to_owned(), value.as_str().unwrap_or_default().to_owned());
    match value {
        Value::Array(list) => list.iter().filter_map(|tag| Some(pair(tag["key"].as_str()?, &tag["value"]))).collect(),
        Value::Object(object) => object.iter().map(|(key, value)| pair(key, value)).collect(),
        _ => Vec::new(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Whether a record says that it is a call to STS which returns a session; what its time says does not matter.
fn operation(record: &Value) -> Option<Operation> {
    if text(&record["eventCategory"]).is_some_and(|category| category != "Management") {
        return None;
    }
    if !["sts.amazonaws.com", "sts.amazonaws.com.cn"].map(Value::from).contains(&record["eventSource"]) {
        return None;
    }
    record["eventName"].as_str()?.parse().ok()
}

fn time(record: &Value) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(record["eventTime"].as_str()?).ok()?.timestamp())
}

/// The call that a record is; None where it is none, or has no time.
pub fn call(record: &Value) -> Option<Told> {
    let operation = operation(record)?;
    let (parameters, response, identity) = (&record["requestParameters"], &record["responseElements"], &record["userIdentity"]);

    let error_code = text(&record["errorCode"]);
    let outcome = match error_code.as_deref() {
        None => Outcome::Granted,
        Some("PackedPolicyTooLarge" | "PackedPolicyTooLargeException") => Outcome::RefusedForSize,
        Some(_) => Outcome::RefusedOtherwise,
    };
    let size = count(&response["sessionTokenSize"], u32::MAX);
    let utilization = number(&response["sessionTokenUtilization"]);
    let regime = match outcome {
        Outcome::Granted if size.is_some() || utilization.is_some() => Some(Regime::SessionToken),
        Outcome::Granted => Some(Regime::PackedPolicy),
        _ => None,
    };
    let observed_percent = match outcome {
        Outcome::Granted => number(&response["packedPolicySize"]).or(utilization),
        Outcome::RefusedForSize => text(&record["errorMessage"]).and_then(|message| {
            let from = message.find("consumes ")? + "consumes ".len();
            let to = from + message[from..].find('%')?;
            message[from..to].trim().parse::<f64>().ok().filter(|percent| percent.is_finite() && *percent >= 0.0)
        }),
        Outcome::RefusedOtherwise => None,
    };
    let token = response["credentials"]["sessionToken"].as_str().map(str::len).filter(|length| *length >= 200);

    let assumes = operation.name().starts_with("AssumeRoleWith") || operation == Operation::AssumeRole;
    let is_role = |arn: &String| arn.starts_with("arn:") && arn.contains(":role/");
    let named = |one: &Value| text(&one["ARN"]).or_else(|| text(&one["arn"]));
    let among = || list(&record["resources"]).iter().filter_map(named).find(is_role);
    let role_arn = text(&parameters["roleArn"]).or_else(among).filter(|_| assumes);

    let kind = text(&identity["type"]).map(|name| name.parse().unwrap_or(CallerKind::Unknown));
    let caller_kind = kind.unwrap_or(if text(&identity["invokedBy"]).is_some() { CallerKind::AwsService } else { CallerKind::Unknown });

    let policy = text(&parameters["policy"]);
    let bytes = |text: Option<String>| text.map(|text| u16::try_from(text.len()).unwrap_or(u16::MAX));
    Some(Told {
        operation,
        time: time(record)?,
        event_id: text(&record["eventID"]),
        shared_event_id: text(&record["sharedEventID"]),
        updates_event_id: text(&record["addendum"]["originalEventID"]).filter(|_| record["addendum"]["reason"] == "UPDATED_DATA"),
        outcome,
        error_code,
        service_linked: role_arn.as_deref().is_some_and(|arn| arn.contains(":role/aws-service-role/")),
        role_arn,
        caller_kind,
        account_id: text(&record["recipientAccountId"]),
        region: text(&record["awsRegion"]),
        regime,
        observed_percent: observed_percent.map(Percent),
        session_token_bytes: size.or(token.and_then(|length| u32::try_from(length).ok())),
        policy_chars: policy.as_ref().and_then(|policy| u32::try_from(policy.chars().count()).ok()),
        session_name_bytes: bytes(text(&parameters["roleSessionName"]).or_else(|| text(&parameters["name"]))),
        source_identity_bytes: bytes(text(&parameters["sourceIdentity"])),
        minimum_token_bytes: count(&parameters["minimumSessionTokenSize"], u16::MAX.into()).and_then(|bytes| bytes.try_into().ok()),
        answered: response.is_object(),
        request: parameters.is_object().then(|| Asked {
            policy,
            policy_arns: sorted(list(&parameters["policyArns"]).iter().filter_map(|one| text(&one["arn"])).collect()),
            tags: sorted([tags(&parameters["tags"]), tags(&parameters["principalTags"])].concat()),
            inherited_tags: sorted(tags(&parameters["incomingTransitiveTags"])),
        }),
    })
}

/// The caller where the rules name one; None where they are silent.
pub fn caller(record: &Value) -> Option<String> {
    let identity = &record["userIdentity"];
    let issuer = || text(&identity["sessionContext"]["sessionIssuer"]["arn"]);
    let session = || text(&identity["arn"]).filter(|arn| arn.contains(":assumed-role/"));
    // What STS made is a session, but for a federated user.
    let of_sts = |arn: &str| {
        let fields: Vec<&str> = arn.splitn(6, ':').collect();
        fields.get(2) == Some(&"sts") && !fields.get(5).is_some_and(|resource| resource.starts_with("federated-user/"))
    };
    let arn = || text(&identity["arn"]).filter(|arn| !arn.contains(":assumed-role/") && !of_sts(arn));
    match identity["type"].as_str()? {
        "AssumedRole" => issuer().or_else(|| {
            let session = session()?;
            let fields: Vec<&str> = session.splitn(6, ':').collect();
            let [scheme, partition, service, _, account, resource] = fields.try_into().ok()?;
            let role = resource.strip_prefix("assumed-role/").filter(|_| [scheme, service] == ["arn", "sts"])?.split('/').next()?;
            Some(format!("arn:{partition}:iam::{account}:role/{role}"))
        }),
        "IAMUser" => arn(),
        "FederatedUser" => issuer().or_else(arn),
        "WebIdentityUser" => text(&identity["identityProvider"]),
        "SAMLUser" => text(&record["requestParameters"]["principalArn"]),
        "AWSService" => text(&identity["invokedBy"]),
        "AWSAccount" => {
            let id = text(&identity["principalId"])?;
            id.split(':').next().filter(|id| !id.is_empty()).map(str::to_owned)
        }
        "Root" => match text(&identity["arn"]) {
            Some(_) => arn(),
            None => Some(format!("arn:aws:iam::{}:root", text(&identity["accountId"])?)),
        },
        _ => None,
    }
}

/// Parses `record`, which is JSON, both ways and gives the caller's name where there is one.
///
/// # Errors
/// What differs, with the record.
pub fn compare(record: &str) -> Result<Option<String>, String> {
    let value: Value = serde_json::from_str(record).map_err(|error| error.to_string())?;
    let timeless = operation(&value).is_some() && time(&value).is_none();
    let call = match sts_call::parse(record) {
        Ok(_) if timeless => return Err(format!("a call without a time is none: {record}")),
        Ok(call) => call,
        Err(_) if timeless || !value.is_object() => return Ok(None),
        Err(error) => return Err(format!("{error}: {record}")),
    };
    let (found, expected) = (call.as_ref().map(told), self::call(&value));
    if found != expected {
        return Err(format!("{found:#?}\nwhere the plain reader has\n{expected:#?}\nof {record}"));
    }
    let Some(call) = call else { return Ok(None) };
    let name = call.caller.map(|name| name.into_owned());
    match caller(&value) {
        _ if call.damaged => Err(format!("nothing is damaged in {record}")),
        Some(caller) if name.as_ref() != Some(&caller) => Err(format!("{name:?} instead of {caller:?} called in {record}")),
        _ if name.as_deref() == Some("") => Err(format!("a caller without a name in {record}")),
        _ => Ok(name),
    }
}

/// Says what is wrong with how any text is parsed: one that is JSON as the plain reader does, others as an error where they are no JSON at all.
///
/// # Errors
/// What is wrong, with the record.
pub fn hold(record: &str) -> Result<Option<String>, String> {
    if let Ok(value) = serde_json::from_str::<Value>(record) {
        // No rule says which of a resource's ARNs counts where it has one under each of both names.
        let twice = list(&value["resources"]).iter().any(|one| one.get("ARN").is_some() && one.get("arn").is_some());
        return if twice { sts_call::parse(record).map(|_| None).or(Ok(None)) } else { compare(record) };
    }
    match (serde_json::from_str::<IgnoredAny>(record), sts_call::parse(record)) {
        (Err(_), Ok(_)) => Err(format!("what is no JSON is parsed: {record}")),
        _ => Ok(None),
    }
}
