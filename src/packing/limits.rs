//! The limits a request must respect: the two that refuse a session for its size, and those in plain characters.
//!
//! Sources: the API reference of [AssumeRole] and [GetFederationToken], and the [quotas of IAM and STS].
//!
//! [AssumeRole]: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
//! [GetFederationToken]: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
//! [quotas of IAM and STS]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html

use super::{Operation, Regime, Request};
use crate::policy::Policy;

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

/// The names one call passes beside its request; None where unknown or not passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// The role session name, or the name of the federated user.
    pub session_name: Option<&'a str>,
    /// The source identity.
    pub source_identity: Option<&'a str>,
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

/// What STS would refuse a request for, other than its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The part: `policy`, `policy_arns`, `tags`, `inherited_tags`, `session_name`, `source_identity`.
    pub place: &'static str,
    /// What is wrong, in lower case, user input in backticks.
    pub message: String,
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

/// The limits in plain characters and in number that concern what `request` and `names` pass, each with what is used of it.
pub fn plain_limits(request: &Request, names: Names<'_>, operation: Operation) -> Vec<PlainLimit> {
    let mut limits = Vec::new();
    let mut push = |name, used, max| limits.push(PlainLimit { name, used, max });
    if request.policy.is_some() || !request.policy_arns.is_empty() {
        push("policy_and_arn_chars", policy_and_arn_chars(request), POLICY_AND_ARN_CHARS);
        push("policy_arns", count(&request.policy_arns), POLICY_ARNS);
    }
    if !request.tags.is_empty() {
        push("tags", count(&request.tags), TAGS);
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

/// What STS would refuse `request` and `names` for, other than the packed size: limits in plain characters, character sets, repeated keys.
pub fn problems(request: &Request, names: Names<'_>, operation: Operation) -> Vec<Problem> {
    let mut problems = Vec::new();
    policy_problems(request, &mut problems);
    tag_problems(request, &mut problems);
    let mut name = |place, text: Option<&str>, max| {
        if let Some(message) = text.and_then(|text| name_problem(text, max)) {
            problems.push(Problem { place, message });
        }
    };
    name("session_name", names.session_name, session_name_max(operation));
    name("source_identity", names.source_identity, SOURCE_IDENTITY_CHARS);
    if names.source_identity.is_some_and(|identity| identity.starts_with("aws:")) {
        problems.push(Problem { place: "source_identity", message: "a source identity may not begin with `aws:`".to_owned() });
    }
    problems
}

fn policy_problems(request: &Request, problems: &mut Vec<Problem>) {
    let used = policy_and_arn_chars(request);
    if used > POLICY_AND_ARN_CHARS {
        let message = format!("policy and policy ARNs have {used} characters, at most {POLICY_AND_ARN_CHARS} are allowed");
        problems.push(Problem { place: "policy", message });
    }
    if let Some(policy) = &request.policy {
        if let Err(error) = Policy::parse(policy) {
            problems.push(Problem { place: "policy", message: format!("no policy document: {error}") });
        }
        if let Some(outside) = policy.chars().find(|&one| !is_policy_char(one)) {
            let message = format!("character U+{:04X} is not allowed in a policy", u32::from(outside));
            problems.push(Problem { place: "policy", message });
        }
    }
    if count(&request.policy_arns) > POLICY_ARNS {
        let message = format!("{} policy ARNs, at most {POLICY_ARNS} are allowed", request.policy_arns.len());
        problems.push(Problem { place: "policy_arns", message });
    }
    for arn in request.policy_arns.iter().filter(|arn| !is_policy_arn(arn)) {
        problems.push(Problem { place: "policy_arns", message: format!("`{arn}` is no ARN of a managed policy") });
    }
}

fn tag_problems(request: &Request, problems: &mut Vec<Problem>) {
    let mut push = |message| problems.push(Problem { place: "tags", message });
    if count(&request.tags) > TAGS {
        push(format!("{} tags, at most {TAGS} are allowed", request.tags.len()));
    }
    for (index, (key, value)) in request.tags.iter().enumerate() {
        if key.is_empty() {
            push("a tag key is empty".to_owned());
        }
        if chars(key) > TAG_KEY_CHARS {
            push(format!("tag key `{key}` has {} characters, at most {TAG_KEY_CHARS} are allowed", chars(key)));
        }
        if chars(value) > TAG_VALUE_CHARS {
            push(format!("value of tag `{key}` has {} characters, at most {TAG_VALUE_CHARS} are allowed", chars(value)));
        }
        if !key.chars().all(is_tag_char) {
            push(format!("tag key `{key}` has a character that is not allowed"));
        }
        if !value.chars().all(is_tag_char) {
            push(format!("value of tag `{key}` has a character that is not allowed"));
        }
        if request.tags.iter().take(index).any(|(earlier, _)| same_key(earlier, key)) {
            push(format!("tag key `{key}` is passed twice; case does not tell keys apart"));
        }
        if request.inherited_tags.iter().any(|(inherited, _)| same_key(inherited, key)) {
            push(format!("tag `{key}` is inherited from the calling session and may not be passed again"));
        }
    }
}

/// Whether two tag keys are one to STS, which does not tell case apart.
pub(crate) fn same_key(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn is_policy_char(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}')
}

fn is_policy_arn(arn: &str) -> bool {
    arn.starts_with("arn:") && arn.contains(":iam::") && arn.contains(":policy/")
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`
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
    name_problem(text, SOURCE_IDENTITY_CHARS).is_none() && !text.starts_with("aws:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            policy: Some("{ }".to_owned()),
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
        let names = Names { session_name: Some("deploy"), source_identity: Some("anna@example.com") };
        assert_eq!(problems(&request(), names, Operation::AssumeRole), []);
        let limits = plain_limits(&request(), names, Operation::AssumeRole);
        let used: Vec<_> = limits.iter().map(|limit| (limit.name, limit.used, limit.max)).collect();
        assert_eq!(
            used,
            [
                ("policy_and_arn_chars", 3 + 34, 2048),
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
        let long = Request { policy: Some(format!("{{{}}}", " ".repeat(2047))), ..Request::default() };
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
            problems(&Request::default(), Names { session_name, source_identity }, operation).len()
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
        let outside = Request { policy: Some("{\"Id\":\"€\"}".to_owned()), ..Request::default() };
        assert_eq!(messages(&outside), ["character U+20AC is not allowed in a policy"]);
    }
}
