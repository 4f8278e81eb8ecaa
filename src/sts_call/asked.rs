//! A request as somebody has it at hand: a CloudTrail record, the AWS CLI's JSON skeleton, keyword arguments of boto3.
//!
//! Parameters are those of the [STS API reference], as `aws sts assume-role --generate-cli-skeleton` and its siblings print them. What a skeleton
//! leaves empty counts as not passed. Of assertions, tokens and keys nothing but their length is looked at, and no error and no problem quotes the
//! value of a parameter.
//!
//! [STS API reference]: https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html

use serde_json::{Map, Value};

use super::literal::{self, LiteralError, python_json};
use super::{CallError, Outcome, StsCall, parse};
use crate::packing::limits::{closest, duration_problem, parameter_problem};
use crate::packing::{Asked, CallerKind, Operation, Regime};
use crate::record::{Found, Kind, Limits, Reader};

/// A request that was read, and what is known beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asking {
    /// What is asked for.
    pub asked: Asked,
    /// What is wrong with the form it was written in, or with parameters that weigh nothing: where, and what.
    pub problems: Vec<(String, String)>,
    /// What STS logged; None for a request that is not from a record.
    pub observed: Option<Observed>,
}

/// What STS logged of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// How STS answered.
    pub outcome: Outcome,
    /// The limit STS applied; None for refusals, which do not tell.
    pub regime: Option<Regime>,
    /// `packedPolicySize`, `sessionTokenUtilization` or the percentage of a refusal's message, points of the limit; None where none was logged.
    pub percent: Option<f64>,
    /// Size of the session token, bytes; None where it was not logged.
    pub session_token_bytes: Option<u32>,
    /// False where the record does not show what was asked for.
    pub request_shown: bool,
}

/// Why no request could be read. Never quotes what was read.
#[derive(Debug, thiserror::Error)]
pub enum AskedError {
    /// Neither JSON nor a Python literal.
    #[error("neither JSON nor Python: {0}")]
    Literal(LiteralError),
    /// No text.
    #[error("not UTF-8")]
    NotText,
    /// JSON, but no object.
    #[error("expected an object with the parameters of an STS request, or a CloudTrail record")]
    NoObject,
    /// Records, but none of a call that returns a session.
    #[error("{records} CloudTrail records, none of an STS call that returns a session")]
    NoCall {
        /// Records there are.
        records: u64,
    },
    /// Several calls.
    #[error("{calls} STS calls, the first two are records {first} and {second}: expected one")]
    SeveralCalls {
        /// Calls there are.
        calls: usize,
        /// Number of the first call's record, from 1.
        first: u64,
        /// Number of the second call's record, from 1.
        second: u64,
    },
    /// An STS call that could not be read.
    #[error("record {record}: {why}")]
    Call {
        /// Number of the record, from 1.
        record: u64,
        /// Why. No source, since that of a JSON error may quote the record.
        why: CallError,
    },
}

/// A parameter of the API: its name, and the place where problems name it.
struct Parameter {
    name: &'static str,
    place: &'static str,
}

const fn parameter(name: &'static str, place: &'static str) -> Parameter {
    Parameter { name, place }
}

const PARAMETERS: [Parameter; 20] = [
    parameter("RoleArn", "role_arn"),
    parameter("RoleSessionName", "session_name"),
    parameter("PolicyArns", "policy_arns"),
    parameter("Policy", "policy"),
    parameter("DurationSeconds", "duration_seconds"),
    parameter("Tags", "tags"),
    parameter("TransitiveTagKeys", "transitive_tag_keys"),
    parameter("ExternalId", "external_id"),
    parameter("SerialNumber", "serial_number"),
    parameter("TokenCode", "token_code"),
    parameter("SourceIdentity", "source_identity"),
    parameter("ProvidedContexts", "provided_contexts"),
    parameter("MinimumSessionTokenSize", "minimum_session_token_size"),
    parameter("PrincipalArn", "principal_arn"),
    parameter("SAMLAssertion", "saml_assertion"),
    parameter("WebIdentityToken", "web_identity_token"),
    parameter("ProviderId", "provider_id"),
    parameter("Name", "session_name"),
    parameter("TargetPrincipal", "target_principal"),
    parameter("TaskPolicyArn", "task_policy_arn"),
];

/// The parameters `operation` takes: those it needs, and the others.
fn taken(operation: Operation) -> (&'static [&'static str], &'static [&'static str]) {
    match operation {
        Operation::AssumeRole => (
            &["RoleArn", "RoleSessionName"],
            &[
                "PolicyArns",
                "Policy",
                "DurationSeconds",
                "Tags",
                "TransitiveTagKeys",
                "ExternalId",
                "SerialNumber",
                "TokenCode",
                "SourceIdentity",
                "ProvidedContexts",
                "MinimumSessionTokenSize",
            ],
        ),
        Operation::AssumeRoleWithSaml => {
            (&["RoleArn", "PrincipalArn", "SAMLAssertion"], &["PolicyArns", "Policy", "DurationSeconds", "MinimumSessionTokenSize"])
        }
        Operation::AssumeRoleWithWebIdentity => (
            &["RoleArn", "RoleSessionName", "WebIdentityToken"],
            &["ProviderId", "PolicyArns", "Policy", "DurationSeconds", "MinimumSessionTokenSize"],
        ),
        Operation::GetFederationToken => (&["Name"], &["Policy", "PolicyArns", "DurationSeconds", "Tags", "MinimumSessionTokenSize"]),
        Operation::AssumeRoot => (&["TargetPrincipal", "TaskPolicyArn"], &["DurationSeconds", "MinimumSessionTokenSize"]),
        Operation::GetSessionToken => (&[], &["DurationSeconds", "SerialNumber", "TokenCode", "MinimumSessionTokenSize"]),
    }
}

/// Whether `limits::problems` tells that `operation` does not take the parameter, however it is passed.
fn told_of_any_request(name: &str, operation: Operation) -> bool {
    match operation {
        Operation::AssumeRoot | Operation::GetSessionToken => {
            matches!(name, "RoleSessionName" | "Name" | "Policy" | "PolicyArns" | "Tags" | "TransitiveTagKeys" | "SourceIdentity")
        }
        Operation::GetFederationToken => matches!(name, "TransitiveTagKeys" | "SourceIdentity"),
        _ => false,
    }
}

/// boto3's methods and the operations behind them.
const METHODS: [(&str, Operation); 6] = [
    ("assume_role", Operation::AssumeRole),
    ("assume_role_with_saml", Operation::AssumeRoleWithSaml),
    ("assume_role_with_web_identity", Operation::AssumeRoleWithWebIdentity),
    ("get_federation_token", Operation::GetFederationToken),
    ("assume_root", Operation::AssumeRoot),
    ("get_session_token", Operation::GetSessionToken),
];

/// Who calls `operation`, where nothing else tells.
pub fn usual_caller(operation: Operation) -> CallerKind {
    match operation {
        Operation::AssumeRole | Operation::AssumeRoot => CallerKind::AssumedRole,
        Operation::AssumeRoleWithSaml => CallerKind::SamlUser,
        Operation::AssumeRoleWithWebIdentity => CallerKind::WebIdentityUser,
        Operation::GetFederationToken | Operation::GetSessionToken => CallerKind::IamUser,
    }
}

/// The request in `bytes`: a log file or an event with one record of an STS call, a CLI skeleton, or keyword arguments.
///
/// The operation is `operation`, else what the call or the parameters tell, else AssumeRole. `beside` are parameters that are passed in another
/// way, by their names in the API: they are not missing.
///
/// # Errors
/// [`AskedError`] when there is no request, or more than one.
pub fn read(bytes: &[u8], operation: Option<Operation>, beside: &[&str]) -> Result<Asking, AskedError> {
    if let Some(asking) = from_records(bytes, operation)? {
        return Ok(asking);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| AskedError::NotText)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let literal = literal::read(text, &METHODS.map(|(name, _)| name)).map_err(AskedError::Literal)?;
    if literal.python
        && let Some(asking) = from_records(literal.value.to_string().as_bytes(), operation)?
    {
        return Ok(asking);
    }
    let Value::Object(mut members) = literal.value else { return Err(AskedError::NoObject) };
    let method = literal.method.and_then(|method| METHODS.into_iter().find(|(name, _)| *name == method));
    let mut told = operation.or(method.map(|(_, operation)| operation));
    // A record cut down to what was asked.
    if let Some(Value::Object(parameters)) = members.remove("requestParameters") {
        told = told.or_else(|| members.get("eventName")?.as_str()?.parse().ok());
        members = parameters;
    }
    Ok(from_parameters(&members, told, beside))
}

/// The one STS call among the records in `bytes`; None when they hold no record.
fn from_records(bytes: &[u8], operation: Option<Operation>) -> Result<Option<Asking>, AskedError> {
    let mut calls = Vec::new();
    let mut failed = None;
    let mut sink = |found: Found<'_>| match parse(found.json) {
        Ok(Some(call)) => calls.push((found.record, of_call(call, operation))),
        Ok(None) => {}
        Err(why) => failed = failed.take().or(Some(AskedError::Call { record: found.record, why })),
    };
    let outcome = Reader::new(Limits::for_threads(1)).read_from(&mut &*bytes, u64::try_from(bytes.len()).ok(), &mut sink);
    let several = calls.len();
    match (calls.first(), calls.get(1), failed) {
        (Some((first, _)), Some((second, _)), _) => {
            return Err(AskedError::SeveralCalls { calls: several, first: *first, second: *second });
        }
        (_, _, Some(failed)) => return Err(failed),
        _ => {}
    }
    match calls.pop() {
        Some((_, asking)) => Ok(Some(asking)),
        None if outcome.kind == Kind::CloudTrail && outcome.damage.is_none() => Err(AskedError::NoCall { records: outcome.records }),
        None => Ok(None),
    }
}

fn of_call(call: StsCall<'_>, operation: Option<Operation>) -> Asking {
    let account = |arn: &str| arn.split(':').nth(4).filter(|account| account.len() == 12).map(str::to_owned);
    let observed = Observed {
        outcome: call.outcome,
        regime: call.regime,
        percent: call.observed_percent,
        session_token_bytes: call.session_token_bytes,
        request_shown: call.request.is_some(),
    };
    let mut session = call.session;
    session.operation = operation.unwrap_or(session.operation);
    let asked = Asked {
        session,
        role_arn: call.role_arn.map(|arn| arn.into_owned()),
        account_id: call.caller.as_deref().and_then(account).or(call.account_id.map(|id| id.into_owned())),
        request: call.request.unwrap_or_default(),
        ..Asked::new(session.operation, session.caller_kind)
    };
    Asking { asked, problems: Vec::new(), observed: Some(observed) }
}

/// The operation that takes parameters of these names.
fn inferred(named: &[&str]) -> Operation {
    let any = |names: &[&str]| names.iter().any(|name| named.contains(name));
    if any(&["SAMLAssertion", "PrincipalArn"]) {
        Operation::AssumeRoleWithSaml
    } else if any(&["WebIdentityToken", "ProviderId"]) {
        Operation::AssumeRoleWithWebIdentity
    } else if any(&["TargetPrincipal", "TaskPolicyArn"]) {
        Operation::AssumeRoot
    } else if any(&["Name"]) && !any(&["RoleArn"]) {
        Operation::GetFederationToken
    } else if any(&["SerialNumber", "TokenCode"]) && !any(&["RoleArn", "RoleSessionName", "ExternalId", "SourceIdentity"]) {
        Operation::GetSessionToken
    } else {
        Operation::AssumeRole
    }
}

/// The parameter that `key` names: as the API spells it, or beginning in lower case, as CloudTrail does.
fn known(key: &str) -> Option<&'static Parameter> {
    let lower_first = |name: &str| match name {
        "SAMLAssertion" => "sAMLAssertion".to_owned(),
        _ => name.chars().take(1).flat_map(char::to_lowercase).chain(name.chars().skip(1)).collect(),
    };
    PARAMETERS.iter().find(|one| one.name == key || lower_first(one.name) == key)
}

/// True for what the CLI's skeleton holds before it is filled in.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// What a problem says of a key: its beginning, if it is long.
fn shown(key: &str) -> String {
    match key.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", key.get(..end).unwrap_or_default()),
        None => key.to_owned(),
    }
}

/// Notes problems while a request is read.
struct Form {
    problems: Vec<(String, String)>,
    /// Whether names begin in lower case, as CloudTrail writes them.
    recorded: bool,
}

impl Form {
    fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems.push((place.into(), message.into()));
    }

    /// `value` as a text; what is none is told and read as its text where it has one.
    fn text(&mut self, place: &str, value: &Value) -> Option<String> {
        let read = match value {
            Value::String(text) => return Some(text.clone()),
            Value::Null => return None,
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Array(_) | Value::Object(_) => None,
        };
        self.problem(place, format!("{}, where a text is expected", kind(value)));
        read
    }

    /// The elements of a list; one that stands alone is told and read as a list of it.
    fn items<'a>(&mut self, place: &str, value: &'a Value) -> &'a [Value] {
        match value {
            Value::Array(items) => items,
            other => {
                self.problem(place, format!("{}, where a list is expected", kind(other)));
                std::slice::from_ref(other)
            }
        }
    }

    /// The members `names` of an element; one that is spelled otherwise is told and taken for it, others are told.
    fn members<'a, const N: usize>(&mut self, place: &str, members: &'a Map<String, Value>, names: [&str; N]) -> [Option<&'a Value>; N] {
        let mut found = [None; N];
        for (key, value) in members {
            let named = names.iter().position(|name| name == key);
            let meant = || closest(key, &names).and_then(|meant| names.iter().position(|name| *name == meant));
            match named.or_else(meant).and_then(|at| Some((found.get_mut(at)?, names.get(at)?))) {
                Some((slot, name)) => {
                    if key != name && !(self.recorded && *key == name.to_lowercase()) {
                        self.problem(place, format!("`{}` should be `{name}`", shown(key)));
                    }
                    *slot = Some(value);
                }
                None => self.problem(place, format!("`{}` is no member of it", shown(key))),
            }
        }
        found
    }

    fn policy_arns(&mut self, value: &Value) -> Vec<String> {
        let mut arns = Vec::new();
        for (index, item) in self.items("policy_arns", value).iter().enumerate().filter(|(_, item)| !is_empty(item)) {
            let place = format!("policy_arns[{index}]");
            let arn = match item {
                Value::Object(members) => self.members(&place, members, ["arn"])[0],
                text => {
                    self.problem(&place, format!("{}, where an object is expected: {{\"arn\": ...}}", kind(text)));
                    Some(text).filter(|text| text.is_string())
                }
            };
            arns.extend(arn.and_then(|arn| self.text(&place, arn)));
        }
        arns
    }

    fn tags(&mut self, value: &Value) -> Vec<(String, String)> {
        let mut tags = Vec::new();
        if let Value::Object(pairs) = value
            && !(pairs.contains_key("Key") || pairs.contains_key("key"))
        {
            self.problem("tags", "an object, where a list is expected: [{\"Key\": ..., \"Value\": ...}]");
            for (key, value) in pairs {
                tags.extend(self.text(&format!("tags.{}", shown(key)), value).map(|value| (key.clone(), value)));
            }
            return tags;
        }
        for (index, item) in self.items("tags", value).iter().enumerate().filter(|(_, item)| !is_empty(item)) {
            let place = format!("tags[{index}]");
            let Value::Object(members) = item else {
                self.problem(&place, format!("{}, where an object is expected: {{\"Key\": ..., \"Value\": ...}}", kind(item)));
                continue;
            };
            let [key, value] = self.members(&place, members, ["Key", "Value"]);
            let mut text = |name: &str, value: Option<&Value>| {
                if value.is_none_or(Value::is_null) {
                    self.problem(&place, format!("there is no `{name}`"));
                }
                value.and_then(|value| self.text(&format!("{place}.{}", name.to_lowercase()), value)).unwrap_or_default()
            };
            tags.push((text("Key", key), text("Value", value)));
        }
        tags
    }

    fn policy(&mut self, value: &Value) -> Option<String> {
        match value {
            Value::Object(_) => {
                self.problem("policy", "an object, where its JSON text is expected; weighed as json.dumps writes it");
                Some(python_json(value))
            }
            other => {
                let text = self.text("policy", other)?;
                if text.starts_with("file://") || text.starts_with("fileb://") {
                    self.problem("policy", "names a file, which only the AWS CLI opens: pass it with --policy");
                }
                Some(text)
            }
        }
    }

    /// A whole number; a text that holds one is told and read as it.
    fn number(&mut self, place: &str, value: &Value) -> Option<i64> {
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        if !value.is_i64() && !value.is_u64() {
            self.problem(
                place,
                format!("{}, where a whole number is expected", if value.is_number() { "a fraction" } else { kind(value) }),
            );
        }
        number
    }

    fn contexts(&mut self, value: &Value) {
        let items = self.items("provided_contexts", value);
        if items.len() > 5 {
            self.problem("provided_contexts", format!("{} contexts, at most 5 are allowed", items.len()));
        }
        for (index, item) in items.iter().enumerate().filter(|(_, item)| !is_empty(item)) {
            let place = format!("provided_contexts[{index}]");
            let Value::Object(members) = item else {
                self.problem(&place, format!("{}, where an object is expected", kind(item)));
                continue;
            };
            for name in ["ProviderArn", "ContextAssertion"] {
                if let Some(text) = members.get(name).and_then(Value::as_str)
                    && let Some(message) = parameter_problem(name, text)
                {
                    self.problem(format!("{place}.{name}"), message);
                }
            }
        }
    }
}

fn from_parameters(members: &Map<String, Value>, operation: Option<Operation>, beside: &[&str]) -> Asking {
    let named: Vec<&str> = members.keys().filter_map(|key| known(key)).map(|one| one.name).collect();
    let operation = operation.unwrap_or_else(|| inferred(&named));
    let (needed, others) = taken(operation);
    let all: Vec<&str> = needed.iter().chain(others).copied().collect();
    let is_recorded = |key: &str| key.starts_with(|first: char| first.is_ascii_lowercase());
    // CloudTrail's spelling throughout, or a slip.
    let recorded = !named.is_empty() && members.keys().filter(|key| known(key).is_some()).all(|key| is_recorded(key));

    let mut form = Form { problems: Vec::new(), recorded };
    let mut asked = Asked::new(operation, usual_caller(operation));
    for (key, value) in members {
        let Some(Parameter { name, place }) = known(key) else {
            match key.as_str() {
                "principalTags" => asked.request.tags.extend(form.tags_as_logged(value)),
                "incomingTransitiveTags" => asked.request.inherited_tags = form.tags_as_logged(value),
                _ => form.unknown(key, operation, &all),
            }
            continue;
        };
        if key != name && !recorded {
            form.problem(shown(key), format!("the API spells it `{name}`"));
        }
        if is_empty(value) {
            continue;
        }
        if !all.contains(name) && !told_of_any_request(name, operation) {
            let asserted = matches!(operation, Operation::AssumeRoleWithSaml | Operation::AssumeRoleWithWebIdentity)
                && matches!(*name, "RoleSessionName" | "Tags" | "TransitiveTagKeys" | "SourceIdentity");
            let hint = if asserted { ": it stands in the assertion or the token" } else { "" };
            form.problem(*place, format!("{operation} takes no `{name}`{hint}"));
        }
        match *name {
            "RoleArn" => asked.role_arn = form.text(place, value),
            "RoleSessionName" | "Name" => asked.session_name = form.text(place, value),
            "SourceIdentity" => asked.source_identity = form.text(place, value),
            "PolicyArns" => asked.request.policy_arns = form.policy_arns(value),
            "Policy" => asked.request.policy = form.policy(value),
            "Tags" => asked.request.tags.extend(form.tags(value)),
            "TransitiveTagKeys" => {
                let keys = form.items(place, value).iter().filter(|key| !is_empty(key));
                asked.transitive_tag_keys = keys.filter_map(|key| key.as_str()).map(str::to_owned).collect();
            }
            "DurationSeconds" => {
                if let Some(message) = form.number(place, value).and_then(|seconds| duration_problem(seconds, operation)) {
                    form.problem(*place, message);
                }
            }
            "MinimumSessionTokenSize" => {
                let bytes = form.number(place, value);
                asked.session.minimum_token_bytes = bytes.and_then(|bytes| u16::try_from(bytes).ok());
                if bytes.is_some() && asked.session.minimum_token_bytes.is_none() {
                    form.problem(*place, "0 to 4096 bytes are allowed");
                }
            }
            "ProvidedContexts" => form.contexts(value),
            "TaskPolicyArn" => {
                let arn = value.as_object().and_then(|members| form.members(place, members, ["arn"])[0]);
                if !arn.and_then(Value::as_str).is_some_and(|arn| arn.contains(":iam::aws:policy/root-task/")) {
                    form.problem(*place, "expected {\"arn\": ...} with a policy of AWS under root-task/");
                }
            }
            // What weighs nothing: its form is all that counts.
            _ => {
                if let Some(message) = form.text(place, value).and_then(|text| parameter_problem(name, &text)) {
                    form.problem(*place, message);
                }
            }
        }
    }
    for name in needed.iter().filter(|name| !beside.contains(name)) {
        if !members.iter().any(|(key, value)| known(key).is_some_and(|one| one.name == *name) && !is_empty(value)) {
            let place = PARAMETERS.iter().find(|one| one.name == *name).map_or(*name, |one| one.place);
            form.problem(place, format!("{operation} needs `{name}`"));
        }
    }
    Asking { asked, problems: form.problems, observed: None }
}

impl Form {
    /// Tags as CloudTrail logs them: an object or a list.
    fn tags_as_logged(&mut self, value: &Value) -> Vec<(String, String)> {
        match value {
            Value::Object(pairs) => pairs.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
            other => self.tags(other),
        }
    }

    fn unknown(&mut self, key: &str, operation: Operation, all: &[&str]) {
        let message = match closest(key, all) {
            Some(meant) => format!("{operation} takes no such parameter, and it is not weighed; is `{meant}` meant"),
            None => format!("{operation} takes no such parameter, and it is not weighed"),
        };
        self.problem(shown(key), message);
    }
}
