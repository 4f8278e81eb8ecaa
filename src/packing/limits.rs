//! The limits a request must respect: the two that refuse a session for its size, and those in plain characters and of form.
//!
//! Sources: the API reference of [AssumeRole], [GetFederationToken] and [Tag], the [quotas of IAM and STS], the [rules for tagging], and for
//! session policies the [grammar of IAM policies].
//!
//! [AssumeRole]: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
//! [GetFederationToken]: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
//! [Tag]: https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html
//! [rules for tagging]: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
//! [grammar of IAM policies]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
//! [quotas of IAM and STS]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html

mod document;

use std::collections::{HashMap, HashSet};

use super::{Operation, Regime, Request};
use crate::policy::Policy;

#[cfg(feature = "read")]
pub(crate) use document::closest;

/// The limit a regime sets, and since when it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegimeLimit {
    /// The regime that has this limit.
    pub regime: Regime,
    /// 100 % in bytes: of packed content, or of the session token's text.
    pub limit_bytes: u32,
    /// The first day the limit was seen, `YYYY-MM-DD`; None where it is as old as the records.
    pub since: Option<&'static str>,
    /// What shows it.
    pub source: &'static str,
}

/// The limits known, older first. AWS has changed them once and may again: a [`super::Profile`] carries the figures in use.
pub const REGIME_LIMITS: [RegimeLimit; 2] = [
    RegimeLimit {
        regime: Regime::PackedPolicy,
        limit_bytes: 460,
        since: None,
        source: "session tags in public records, from nine of 250 letters at 498 % to two of two letters at 2 %",
    },
    RegimeLimit {
        regime: Regime::SessionToken,
        limit_bytes: 4096,
        since: Some("2026-09-11"),
        source: "sessionTokenSize and sessionTokenUtilization in public records; announced 2026-09-15",
    },
];

/// Characters of the inline policy and of all managed policy ARNs together.
pub const POLICY_AND_ARN_CHARS: u32 = 2048;
/// Managed policy ARNs of a request.
pub const POLICY_ARNS: u32 = 10;
/// Session tags of a request.
pub const TAGS: u32 = 50;
/// Characters of a tag's key.
pub const TAG_KEY_CHARS: u32 = 128;
/// Characters of a tag's value.
pub const TAG_VALUE_CHARS: u32 = 256;
/// Characters of a role session name.
pub const SESSION_NAME_CHARS: u32 = 64;
/// Characters of the name of a federated user.
pub const FEDERATED_USER_NAME_CHARS: u32 = 32;
/// Characters of a source identity.
pub const SOURCE_IDENTITY_CHARS: u32 = 64;
/// Least characters of a role session name, a federated user's name and a source identity.
pub const NAME_MIN_CHARS: u32 = 2;
/// Characters of an ARN.
pub const ARN_CHARS: u32 = 2048;
/// The most bytes `minimumSessionTokenSize` may ask for.
pub const MINIMUM_TOKEN_BYTES: u32 = 4096;

/// What one call passes beside its request; None where unknown or not passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// The role session name, or the name of the federated user.
    pub session_name: Option<&'a str>,
    /// The source identity.
    pub source_identity: Option<&'a str>,
    /// The role to assume: managed policies must stand in its account.
    pub role_arn: Option<&'a str>,
    /// Account of the IAM user that calls GetFederationToken: managed policies must stand there. 12 digits.
    pub account_id: Option<&'a str>,
    /// Keys of the tags that are to be transitive.
    pub transitive_tag_keys: &'a [String],
    /// `minimumSessionTokenSize`, bytes of token.
    pub minimum_token_bytes: Option<u32>,
}

/// How much of a limit in plain characters (or of a limit in number) a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainLimit {
    /// `policy_and_arn_chars`, `policy_arns`, `tags`, `tag_key_chars`, `tag_value_chars` (the longest each), `session_name_chars`,
    /// `source_identity_chars`.
    pub name: &'static str,
    /// Characters, ARNs or tags passed.
    pub used: u32,
    /// The most STS takes.
    pub max: u32,
}

impl PlainLimit {
    /// What may still be added; negative where the limit is exceeded.
    pub fn left(&self) -> i64 {
        i64::from(self.max) - i64::from(self.used)
    }
}

/// What STS would refuse a request for, other than its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The part: `policy`, `policy_arns`, `tags`, `transitive_tag_keys`, `session_name`, `source_identity`, `role_arn`,
    /// `minimum_session_token_size`.
    pub part: &'static str,
    /// The part and the place in it: `policy line 3 column 7`, `policy.Statement[1].Effect`, `tags[4].value`; numbers in brackets from 0.
    pub place: String,
    /// What is wrong, in lower case, user input in backticks; values of tags are never quoted.
    pub message: String,
}

impl Problem {
    fn new(part: &'static str, message: String) -> Problem {
        Problem { part, place: part.to_owned(), message }
    }
}

fn chars(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// Characters of the inline policy, as sent, and of all managed policy ARNs: what [`POLICY_AND_ARN_CHARS`] limits. White space counts.
pub fn policy_and_arn_chars(request: &Request) -> u32 {
    let arns = request.policy_arns.iter().map(|arn| chars(arn));
    arns.fold(request.policy.as_deref().map_or(0, chars), u32::saturating_add)
}

fn session_name_max(operation: Operation) -> u32 {
    match operation {
        Operation::GetFederationToken => FEDERATED_USER_NAME_CHARS,
        _ => SESSION_NAME_CHARS,
    }
}

/// Whether sessions of `operation` can be restricted by session policies and carry tags.
fn takes_policies_and_tags(operation: Operation) -> bool {
    !matches!(operation, Operation::AssumeRoot | Operation::GetSessionToken)
}

/// The limits in plain characters and in number that concern `operation` and what `request` and `names` pass, each with what is used of it.
pub fn plain_limits(request: &Request, names: Names<'_>, operation: Operation) -> Vec<PlainLimit> {
    let mut limits = Vec::new();
    let mut push = |name, used, max| limits.push(PlainLimit { name, used, max });
    let takes = takes_policies_and_tags(operation);
    if takes || request.policy.is_some() || !request.policy_arns.is_empty() {
        push("policy_and_arn_chars", policy_and_arn_chars(request), POLICY_AND_ARN_CHARS);
        push("policy_arns", count(&request.policy_arns), POLICY_ARNS);
    }
    if takes || !request.tags.is_empty() {
        push("tags", count(&request.tags), TAGS);
    }
    if !request.tags.is_empty() {
        push("tag_key_chars", request.tags.iter().map(|(key, _)| chars(key)).max().unwrap_or(0), TAG_KEY_CHARS);
        push("tag_value_chars", request.tags.iter().map(|(_, value)| chars(value)).max().unwrap_or(0), TAG_VALUE_CHARS);
    }
    if let Some(name) = names.session_name {
        push("session_name_chars", chars(name), session_name_max(operation));
    }
    if let Some(identity) = names.source_identity {
        push("source_identity_chars", chars(identity), SOURCE_IDENTITY_CHARS);
    }
    limits
}

/// What STS would refuse a call of `operation` with `request` and `names` for, other than its size: limits in plain characters, character
/// sets, repeated keys, the form of policy and ARNs, and what the operation does not take.
///
/// Takes time in proportion to the request.
pub fn problems(request: &Request, names: Names<'_>, operation: Operation) -> Vec<Problem> {
    let mut problems = Vec::new();
    policy_problems(request, names, operation, &mut problems);
    tag_problems(request, names, &mut problems);
    name_problems(names, operation, &mut problems);
    untaken(request, names, operation, &mut problems);
    problems
}

fn policy_problems(request: &Request, names: Names<'_>, operation: Operation, problems: &mut Vec<Problem>) {
    let used = policy_and_arn_chars(request);
    if used > POLICY_AND_ARN_CHARS {
        let message = format!("policy and policy ARNs have {used} characters, at most {POLICY_AND_ARN_CHARS} are allowed");
        problems.push(Problem::new("policy", message));
    }
    if let Some(text) = &request.policy {
        let mut push = |place: String, message| problems.push(Problem { part: "policy", place, message });
        if text.is_empty() {
            push("policy".to_owned(), "the policy is empty".to_owned());
        } else {
            match Policy::parse(text) {
                Err(error) => {
                    push(format!("policy line {} column {}", error.line(), error.column()), format!("no policy document: {error}"))
                }
                Ok(policy) => document::check(&policy, &mut |place, message| match place {
                    "" => push("policy".to_owned(), message),
                    place => push(format!("policy.{place}"), message),
                }),
            }
        }
        if let Some((at, outside)) = text.char_indices().find(|&(_, one)| !is_policy_char(one)) {
            let (line, column) = line_and_column(text, at);
            let message = format!("character U+{:04X} is not allowed in a policy", u32::from(outside));
            problems.push(Problem { part: "policy", place: format!("policy line {line} column {column}"), message });
        }
    }
    if count(&request.policy_arns) > POLICY_ARNS {
        let message = format!("{} policy ARNs, at most {POLICY_ARNS} are allowed", request.policy_arns.len());
        problems.push(Problem::new("policy_arns", message));
    }
    let home = home(names, operation);
    for (index, arn) in request.policy_arns.iter().enumerate() {
        if let Some(message) = policy_arn_problem(arn, home) {
            problems.push(Problem { part: "policy_arns", place: format!("policy_arns[{index}]"), message });
        }
    }
}

/// Line and column of the byte at `at`, both from 1, the column in characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or(before);
    (1 + before.bytes().filter(|&byte| byte == b'\n').count(), 1 + line.chars().count())
}

/// Where managed policies must stand: partition, where it is known, and account.
#[derive(Clone, Copy)]
struct Home<'a> {
    partition: Option<&'a str>,
    account: &'a str,
    of: &'static str,
}

fn home<'a>(names: Names<'a>, operation: Operation) -> Option<Home<'a>> {
    if operation == Operation::GetFederationToken {
        return names.account_id.map(|account| Home { partition: None, account, of: "user" });
    }
    let role = Arn::parse(names.role_arn?).filter(Arn::is_role)?;
    Some(Home { partition: Some(role.partition), account: role.account, of: "role" })
}

/// An ARN of IAM.
struct Arn<'a> {
    partition: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Arn<'a>> {
        let mut fields = text.splitn(6, ':');
        match (fields.next(), fields.next(), fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some("arn"), Some(partition), Some("iam"), Some(""), Some(account), Some(resource)) if is_partition(partition) => {
                Some(Arn { partition, account, resource })
            }
            _ => None,
        }
    }

    /// `role/`, a path and a name.
    fn is_role(&self) -> bool {
        is_account(self.account) && self.resource.strip_prefix("role/").is_some_and(|rest| is_path_and_name(rest, 64))
    }

    /// `policy/`, a path and a name.
    fn is_policy(&self) -> bool {
        (is_account(self.account) || self.account == "aws")
            && self.resource.strip_prefix("policy/").is_some_and(|rest| is_path_and_name(rest, 128))
    }
}

/// `aws`, `aws-cn`, `aws-us-gov`, `aws-iso-b`, ...: AWS adds partitions, so their form is checked and not their names.
fn is_partition(text: &str) -> bool {
    text.strip_prefix("aws").is_some_and(|rest| {
        rest.is_empty() || (rest.starts_with('-') && rest.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()))
    })
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name of up to `max` characters behind a path of up to 512, each as the [quotas of IAM](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html) have it.
fn is_path_and_name(text: &str, max: usize) -> bool {
    let (path, name) = text.rsplit_once('/').unwrap_or(("", text));
    (1..=max).contains(&name.len())
        && name.chars().all(is_name_char)
        && path.len() <= 512
        && path.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

fn policy_arn_problem(arn: &str, home: Option<Home<'_>>) -> Option<String> {
    if chars(arn) > ARN_CHARS {
        return Some(format!("the ARN has {} characters, at most {ARN_CHARS} are allowed", chars(arn)));
    }
    let Some(parsed) = Arn::parse(arn).filter(Arn::is_policy) else {
        return Some(format!("`{arn}` is no ARN of a managed policy"));
    };
    let home = home?;
    if home.partition.is_some_and(|partition| partition != parsed.partition) {
        return Some(format!("`{arn}` is in another partition than the role"));
    }
    let elsewhere = parsed.account != "aws" && parsed.account != home.account;
    elsewhere.then(|| format!("`{arn}` is not in the account of the {}, `{}`", home.of, home.account))
}

fn tag_problems(request: &Request, names: Names<'_>, problems: &mut Vec<Problem>) {
    if count(&request.tags) > TAGS {
        problems.push(Problem::new("tags", format!("{} tags, at most {TAGS} are allowed", request.tags.len())));
    }
    let inherited: HashSet<String> = request.inherited_tags.iter().map(|(key, _)| folded(key)).collect();
    let mut passed = HashSet::new();
    for (index, (key, value)) in request.tags.iter().enumerate() {
        let mut push = |member: &str, message| {
            problems.push(Problem { part: "tags", place: format!("tags[{index}].{member}"), message });
        };
        if key.is_empty() {
            push("key", "a tag key is empty".to_owned());
        }
        if chars(key) > TAG_KEY_CHARS {
            push("key", format!("tag key `{key}` has {} characters, at most {TAG_KEY_CHARS} are allowed", chars(key)));
        }
        if chars(value) > TAG_VALUE_CHARS {
            push("value", format!("value of tag `{key}` has {} characters, at most {TAG_VALUE_CHARS} are allowed", chars(value)));
        }
        if !key.chars().all(is_tag_char) {
            push("key", format!("tag key `{key}` has a character that is not allowed"));
        }
        if !value.chars().all(is_tag_char) {
            push("value", format!("value of tag `{key}` has a character that is not allowed"));
        }
        if is_reserved(key) {
            push("key", format!("tag key `{key}` begins with `aws:`, which is reserved"));
        }
        if is_reserved(value) {
            push("value", format!("value of tag `{key}` begins with `aws:`, which is reserved"));
        }
        let folded = folded(key);
        if inherited.contains(&folded) {
            push("key", format!("tag `{key}` is inherited from the calling session and may not be passed again"));
        }
        if !passed.insert(folded) {
            push("key", format!("tag key `{key}` is passed twice; case does not tell keys apart"));
        }
    }
    for (index, key) in names.transitive_tag_keys.iter().enumerate().filter(|(_, key)| !passed.contains(&folded(key))) {
        let place = format!("transitive_tag_keys[{index}]");
        problems.push(Problem { part: "transitive_tag_keys", place, message: format!("`{key}` is not among the tags passed") });
    }
}

fn name_problems(names: Names<'_>, operation: Operation, problems: &mut Vec<Problem>) {
    let mut push = |part, message| problems.push(Problem::new(part, message));
    for (part, text, max) in [
        ("session_name", names.session_name, session_name_max(operation)),
        ("source_identity", names.source_identity, SOURCE_IDENTITY_CHARS),
    ] {
        if let Some(message) = text.and_then(|text| name_problem(text, max)) {
            push(part, message);
        }
    }
    if names.source_identity.is_some_and(is_reserved) {
        push("source_identity", "a source identity may not begin with `aws:`".to_owned());
    }
    if let Some(role) = names.role_arn.filter(|arn| Arn::parse(arn).is_none_or(|arn| !arn.is_role())) {
        push("role_arn", format!("`{role}` is no ARN of a role"));
    }
    if let Some(bytes) = names.minimum_token_bytes.filter(|&bytes| bytes > MINIMUM_TOKEN_BYTES) {
        push("minimum_session_token_size", format!("{bytes} bytes, 0 to {MINIMUM_TOKEN_BYTES} are allowed"));
    }
}

/// What is passed and `operation` does not take. A session by SAML or web identity has the tags and the source identity of its assertion.
fn untaken(request: &Request, names: Names<'_>, operation: Operation, problems: &mut Vec<Problem>) {
    let restricted = takes_policies_and_tags(operation);
    let none = [
        ("policy", request.policy.is_some() && !restricted, "session policy"),
        ("policy_arns", !request.policy_arns.is_empty() && !restricted, "managed policies"),
        ("tags", !request.tags.is_empty() && !restricted, "tags"),
        (
            "transitive_tag_keys",
            !names.transitive_tag_keys.is_empty() && (!restricted || operation == Operation::GetFederationToken),
            "transitive tags",
        ),
        ("session_name", names.session_name.is_some() && !restricted, "session name"),
        (
            "source_identity",
            names.source_identity.is_some() && (!restricted || operation == Operation::GetFederationToken),
            "source identity",
        ),
    ];
    for (part, passed, what) in none {
        if passed {
            problems.push(Problem::new(part, format!("{operation} takes no {what}")));
        }
    }
}

/// What is not refused but seldom meant: an ARN that is passed twice, a federated session without any session policy.
pub fn notes(request: &Request, operation: Operation) -> Vec<Problem> {
    let mut notes = Vec::new();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, arn) in request.policy_arns.iter().enumerate() {
        let first = *seen.entry(arn).or_insert(index);
        if first != index {
            let message = format!("`{arn}` is policy_arns[{first}] already: it restricts nothing more and counts again");
            notes.push(Problem { part: "policy_arns", place: format!("policy_arns[{index}]"), message });
        }
    }
    if operation == Operation::GetFederationToken && request.policy.is_none() && request.policy_arns.is_empty() {
        let message = "without any session policy a federated user's session has no permissions of its own".to_owned();
        notes.push(Problem::new("policy", message));
    }
    notes
}

fn folded(key: &str) -> String {
    key.to_lowercase()
}

/// Whether two tag keys are one to STS, which does not tell case apart.
pub fn same_key(one: &str, other: &str) -> bool {
    folded(one) == folded(other)
}

/// Whether `text` begins with the prefix that AWS keeps for itself, in any case.
fn is_reserved(text: &str) -> bool {
    text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

fn is_policy_char(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}')
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`; a few marks and symbols that Unicode counts as alphabetic pass here too.
fn is_tag_char(character: char) -> bool {
    character.is_alphanumeric()
        || (character.is_whitespace() && !character.is_control())
        || matches!(character, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
}

/// `[\w+=,.@-]`, the character set of role session names and source identities.
pub(crate) fn is_name_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '+' | '=' | ',' | '.' | '@' | '-')
}

fn name_problem(text: &str, max: u32) -> Option<String> {
    let used = chars(text);
    if !(NAME_MIN_CHARS..=max).contains(&used) {
        return Some(format!("{used} characters, {NAME_MIN_CHARS} to {max} are allowed"));
    }
    let outside = text.chars().find(|&one| !is_name_char(one))?;
    Some(format!("character `{outside}` is not allowed"))
}

/// Whether `text` may be a source identity.
pub fn is_source_identity(text: &str) -> bool {
    name_problem(text, SOURCE_IDENTITY_CHARS).is_none() && !is_reserved(text)
}

/// Whether `text` may be the value of a tag; an empty one may.
pub fn is_tag_value(text: &str) -> bool {
    chars(text) <= TAG_VALUE_CHARS && text.chars().all(is_tag_char) && !is_reserved(text)
}

/// The form of the parameters that weigh nothing and are in no [`Request`]: least and most characters, and the characters beside letters and
/// digits; None where any are allowed.
const FORMS: [(&str, u32, u32, Option<&str>); 9] = [
    ("ExternalId", 2, 1224, Some("_+=,.@:/-")),
    ("SerialNumber", 9, 256, Some("_+=/:,.@-")),
    ("TokenCode", 6, 6, Some("")),
    ("PrincipalArn", 20, ARN_CHARS, None),
    ("SAMLAssertion", 4, 100_000, None),
    ("WebIdentityToken", 4, 20_000, None),
    ("ProviderId", 4, 2048, None),
    ("ContextAssertion", 4, 2048, None),
    ("ProviderArn", 20, ARN_CHARS, None),
];

/// What is wrong with the form of `text` as the parameter `name` (spelled as in the API), one that weighs nothing; None where nothing is or
/// the parameter is not known. Never quotes the text: it may be a secret.
pub fn parameter_problem(name: &str, text: &str) -> Option<String> {
    let (_, min, max, beside) = *FORMS.iter().find(|(known, ..)| *known == name)?;
    let used = chars(text);
    if !(min..=max).contains(&used) {
        return Some(if min == max {
            format!("{used} characters, {min} are needed")
        } else {
            format!("{used} characters, {min} to {max} are allowed")
        });
    }
    let allowed = |one: char| match name {
        "TokenCode" => one.is_ascii_digit(),
        _ => one.is_ascii_alphanumeric() || beside.is_none_or(|beside| beside.contains(one)),
    };
    (beside.is_some() && !text.chars().all(allowed)).then(|| "has a character that is not allowed".to_owned())
}

/// What is wrong with a session of `seconds` by `operation`; None where nothing is. A role may set less than the most.
pub fn duration_problem(seconds: i64, operation: Operation) -> Option<String> {
    let (min, max) = match operation {
        Operation::AssumeRole | Operation::AssumeRoleWithSaml | Operation::AssumeRoleWithWebIdentity => (900, 43_200),
        Operation::GetFederationToken | Operation::GetSessionToken => (900, 129_600),
        Operation::AssumeRoot => (0, 900),
    };
    (!(min..=max).contains(&seconds)).then(|| format!("{seconds} seconds, {min} to {max} are allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

    fn request() -> Request {
        Request {
            policy: Some(POLICY.to_owned()),
            policy_arns: vec!["arn:aws:iam::111122223333:policy/a".to_owned()],
            tags: vec![("team".to_owned(), "a b".to_owned())],
            inherited_tags: vec![("Cost".to_owned(), "1".to_owned())],
        }
    }

    fn messages(request: &Request) -> Vec<String> {
        problems(request, Names::default(), Operation::AssumeRole).into_iter().map(|one| one.message).collect()
    }

    #[test]
    fn a_plain_request_has_no_problems_and_lists_what_it_uses() {
        let names = Names { session_name: Some("deploy"), source_identity: Some("anna@example.com"), ..Names::default() };
        assert_eq!(problems(&request(), names, Operation::AssumeRole), []);
        let limits = plain_limits(&request(), names, Operation::AssumeRole);
        let used: Vec<_> = limits.iter().map(|limit| (limit.name, limit.used, limit.max)).collect();
        assert_eq!(
            used,
            [
                ("policy_and_arn_chars", 60 + 34, 2048),
                ("policy_arns", 1, 10),
                ("tags", 1, 50),
                ("tag_key_chars", 4, 128),
                ("tag_value_chars", 3, 256),
                ("session_name_chars", 6, 64),
                ("source_identity_chars", 16, 64)
            ]
        );
    }

    #[test]
    fn white_space_counts_in_plain_characters() {
        let long = Request { policy: Some(format!("{POLICY}{}", " ".repeat(2049 - POLICY.len()))), ..Request::default() };
        assert_eq!(messages(&long), ["policy and policy ARNs have 2049 characters, at most 2048 are allowed"]);
    }

    #[test]
    fn each_rule_about_tags_is_checked() {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let bad = Request {
            tags: vec![tag("team", "x"), tag("TEAM", "y"), tag("cost", "z"), tag("a#", "ü"), tag("", &"v".repeat(257))],
            ..request()
        };
        assert_eq!(
            messages(&bad),
            [
                "tag key `TEAM` is passed twice; case does not tell keys apart",
                "tag `cost` is inherited from the calling session and may not be passed again",
                "tag key `a#` has a character that is not allowed",
                "a tag key is empty",
                "value of tag `` has 257 characters, at most 256 are allowed",
            ]
        );
    }

    #[test]
    fn names_are_checked_for_length_and_characters() {
        let check = |session_name: Option<&str>, source_identity: Option<&str>, operation| {
            problems(&Request::default(), Names { session_name, source_identity, ..Names::default() }, operation).len()
        };
        assert_eq!(check(Some("ok"), Some("aws:me"), Operation::AssumeRole), 2);
        assert_eq!(check(Some("a"), None, Operation::AssumeRole), 1);
        assert_eq!(check(Some("a b"), None, Operation::AssumeRole), 1);
        let long = "a".repeat(33);
        assert_eq!(check(Some(&long), None, Operation::AssumeRole), 0);
        assert_eq!(check(Some(&long), None, Operation::GetFederationToken), 1);
    }

    #[test]
    fn a_policy_that_is_no_json_is_named_with_its_place() {
        let broken = Request { policy: Some("{\n\"a\" 1}".to_owned()), ..Request::default() };
        assert_eq!(messages(&broken), ["no policy document: expected `:` at line 2 column 5"]);
        assert_eq!(places(&broken), ["policy line 2 column 5"]);
        let outside = Request { policy: Some(POLICY.replace("{\"Statement\"", "{\n\"Id\":\"é€\",\"Statement\"")), ..Request::default() };
        assert_eq!(messages(&outside), ["character U+20AC is not allowed in a policy"]);
        assert_eq!(places(&outside), ["policy line 2 column 8"]);
        let empty = Request { policy: Some(String::new()), ..Request::default() };
        assert_eq!(messages(&empty), ["the policy is empty"]);
    }

    fn places(request: &Request) -> Vec<String> {
        problems(request, Names::default(), Operation::AssumeRole).into_iter().map(|one| one.place).collect()
    }

    #[test]
    fn a_place_names_the_element_the_index_and_the_member() {
        let tags: Vec<_> = (0..51).map(|number| (format!("k{number}"), "v".to_owned())).collect();
        let mut bad = Request {
            policy: Some(POLICY.replace("Allow", "allow")),
            policy_arns: vec!["arn:aws:iam::aws:policy/a".to_owned(), "a".to_owned()],
            tags,
            inherited_tags: Vec::new(),
        };
        if let Some((_, value)) = bad.tags.get_mut(4) {
            *value = "#".to_owned();
        }
        assert_eq!(places(&bad), ["policy.Statement[0].Effect", "policy_arns[1]", "tags", "tags[4].value"]);
    }

    #[test]
    fn what_begins_with_aws_is_reserved_in_any_case() {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let bad = Request { tags: vec![tag("AWS:team", "x"), tag("b", "aws:x"), tag("awsome", "aws")], ..Request::default() };
        assert_eq!(
            messages(&bad),
            ["tag key `AWS:team` begins with `aws:`, which is reserved", "value of tag `b` begins with `aws:`, which is reserved"]
        );
    }

    #[test]
    fn the_arn_of_a_managed_policy_has_a_form_and_a_home() {
        let role = "arn:aws:iam::111122223333:role/app";
        let told = |arn: &str, role_arn| {
            let request = Request { policy_arns: vec![arn.to_owned()], ..Request::default() };
            let names = Names { role_arn, ..Names::default() };
            problems(&request, names, Operation::AssumeRole).into_iter().map(|one| one.message).collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        for arn in ["arn:aws:iam::111122223333:policy/path/a-b", "arn:aws:iam::aws:policy/service-role/X"] {
            assert_eq!(told(arn, Some(role)), none);
        }
        assert_eq!(told("arn:aws-us-gov:iam::444455556666:policy/a", None), none);
        for arn in [
            "arn:aws:iam::1111:policy/a",
            "arn:aws:iam::111122223333:role/a",
            "arn:aws:iam::111122223333:policy/",
            "arn:aws:iam::111122223333:policy/a b",
            "arn:azure:iam::111122223333:policy/a",
            "ReadOnlyAccess",
            "",
        ] {
            assert_eq!(told(arn, None), [format!("`{arn}` is no ARN of a managed policy")]);
        }
        assert_eq!(
            told("arn:aws:iam::444455556666:policy/a", Some(role)),
            ["`arn:aws:iam::444455556666:policy/a` is not in the account of the role, `111122223333`"]
        );
        assert_eq!(
            told("arn:aws-cn:iam::111122223333:policy/a", Some(role)),
            ["`arn:aws-cn:iam::111122223333:policy/a` is in another partition than the role"]
        );
        assert_eq!(told("arn:aws:iam::aws:policy/a", Some("app")), ["`app` is no ARN of a role"]);
        let long = format!("arn:aws:iam::111122223333:policy/{}", "a".repeat(2048));
        assert!(told(&long, None).contains(&"the ARN has 2081 characters, at most 2048 are allowed".to_owned()));
        let request = Request { policy_arns: vec!["arn:aws:iam::444455556666:policy/a".to_owned()], ..Request::default() };
        let names = Names { account_id: Some("111122223333"), ..Names::default() };
        let told = problems(&request, names, Operation::GetFederationToken);
        assert_eq!(
            told.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(),
            ["`arn:aws:iam::444455556666:policy/a` is not in the account of the user, `111122223333`"]
        );
    }

    #[test]
    fn an_operation_is_told_what_it_does_not_take() {
        let keys = ["team".to_owned(), "other".to_owned()];
        let names = Names {
            session_name: Some("jane"),
            source_identity: Some("jane"),
            transitive_tag_keys: &keys,
            minimum_token_bytes: Some(4097),
            ..Names::default()
        };
        let told = |operation| problems(&request(), names, operation).into_iter().map(|one| one.message).collect::<Vec<_>>();
        let always = ["`other` is not among the tags passed", "4097 bytes, 0 to 4096 are allowed"];
        assert_eq!(told(Operation::AssumeRole), always);
        assert_eq!(told(Operation::AssumeRoleWithSaml), always);
        assert_eq!(
            told(Operation::GetFederationToken),
            [always[0], always[1], "GetFederationToken takes no transitive tags", "GetFederationToken takes no source identity"]
        );
        assert_eq!(
            told(Operation::GetSessionToken)[2..],
            ["session policy", "managed policies", "tags", "transitive tags", "session name", "source identity"]
                .map(|what| format!("GetSessionToken takes no {what}"))
        );
        assert_eq!(told(Operation::AssumeRoot).len(), 8);
    }

    #[test]
    fn parameters_that_weigh_nothing_have_a_form_too_and_are_never_quoted() {
        for (name, text, expected) in [
            ("ExternalId", "a", Some("1 characters, 2 to 1224 are allowed")),
            ("ExternalId", "a:b/c", None),
            ("ExternalId", "a b", Some("has a character that is not allowed")),
            ("TokenCode", "12345", Some("5 characters, 6 are needed")),
            ("TokenCode", "12345a", Some("has a character that is not allowed")),
            ("SerialNumber", "arn:aws:iam::111122223333:mfa/jane", None),
            ("SAMLAssertion", "PHA", Some("3 characters, 4 to 100000 are allowed")),
            ("WebIdentityToken", "e y.J", None),
            ("Unheard", "", None),
        ] {
            assert_eq!(parameter_problem(name, text).as_deref(), expected, "{name}");
        }
        assert_eq!(duration_problem(899, Operation::AssumeRole).as_deref(), Some("899 seconds, 900 to 43200 are allowed"));
        assert_eq!(duration_problem(129_600, Operation::GetSessionToken), None);
    }

    #[test]
    fn what_is_seldom_meant_is_noted() {
        let arn = "arn:aws:iam::aws:policy/a".to_owned();
        let twice = Request { policy_arns: vec![arn.clone(), "arn:aws:iam::aws:policy/b".to_owned(), arn], ..Request::default() };
        let told = notes(&twice, Operation::AssumeRole);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].place, "policy_arns[2]");
        assert_eq!(notes(&Request::default(), Operation::AssumeRole), []);
        let told = notes(&Request::default(), Operation::GetFederationToken);
        assert_eq!(told[0].message, "without any session policy a federated user's session has no permissions of its own");
    }

    #[test]
    fn many_tags_take_time_in_proportion_to_their_number() {
        let tags: Vec<_> = (0..200_000).map(|number| (format!("Key{number}"), "v".to_owned())).collect();
        let many = Request { inherited_tags: tags.clone(), tags, ..Request::default() };
        let start = std::time::Instant::now();
        assert_eq!(problems(&many, Names::default(), Operation::AssumeRole).len(), 200_001);
        // Each with each would be 4 * 10^10 comparisons.
        assert!(start.elapsed().as_secs() < 60);
    }
}
