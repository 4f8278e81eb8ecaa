//! Which tags a policy document reads, and what must change elsewhere when a tag does.
//!
//! A session's tags are read as `aws:PrincipalTag/KEY`, a condition key or a [policy variable], in any letter case. Tags of the request that makes the session are read by the
//! role's trust policy as `aws:RequestTag/KEY`, by name in `aws:TagKeys` and, the transitive ones, in `sts:TransitiveTagKeys`. See [session tags].
//!
//! [policy variable]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
//! [session tags]: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Context, State};
use crate::packing::limits::same_key;
use crate::packing::{Asked, Operation};
use crate::policy::{Clause, Policy, Scalar, Scalars, Values};

const PRINCIPAL_TAG: &str = "aws:principaltag/";
const REQUEST_TAG: &str = "aws:requesttag/";
/// Condition keys whose values are keys of tags.
const OF_KEYS: [&str; 2] = ["aws:tagkeys", "sts:transitivetagkeys"];

/// The tags that a document reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// Their keys in lower case: letter case does not tell keys apart.
    pub(super) keys: BTreeSet<String>,
    /// Whether it may read any tag, as where a key holds a wildcard.
    pub(super) any: bool,
}

impl Reads {
    /// What `document` reads, in any of its elements.
    pub(super) fn of(document: &Value) -> Reads {
        let mut reads = Reads::default();
        reads.value(document);
        reads
    }

    /// What the inline policy of `state` reads; a text that is no document may read anything it looks like reading.
    pub(super) fn of_inline(state: &State) -> Reads {
        let Some(text) = &state.asked.request.policy else { return Reads::default() };
        match serde_json::from_str(text) {
            Ok(document) => Reads::of(&document),
            Err(_) => Reads { any: text.to_lowercase().contains("tag"), ..Reads::default() },
        }
    }

    /// Whether the tag `key` is read.
    pub(super) fn reads(&self, key: &str) -> bool {
        self.any || self.keys.contains(&key.to_lowercase())
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.variables(text),
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    self.condition_key(name, value);
                    self.value(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn condition_key(&mut self, name: &str, value: &Value) {
        let name = name.to_lowercase();
        if let Some(key) = name.strip_prefix(PRINCIPAL_TAG).or_else(|| name.strip_prefix(REQUEST_TAG)) {
            self.key(key);
        } else if OF_KEYS.contains(&name.as_str()) {
            let one = std::slice::from_ref(value);
            for key in value.as_array().map_or(one, Vec::as_slice) {
                match key.as_str() {
                    Some(key) => self.key(&key.to_lowercase()),
                    None => self.any = true,
                }
            }
        }
    }

    fn variables(&mut self, text: &str) {
        for variable in variables(text) {
            let variable = variable.to_lowercase();
            if let Some(key) = variable.strip_prefix(PRINCIPAL_TAG).or_else(|| variable.strip_prefix(REQUEST_TAG)) {
                self.key(key);
            }
        }
    }

    fn key(&mut self, key: &str) {
        if key.contains(['*', '?', '$']) {
            self.any = true;
        } else {
            self.keys.insert(key.to_owned());
        }
    }
}

/// The names in the `${...}` of `text`, without default values.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).map(|rest| {
        let name = rest.split_once('}').map_or(rest, |(name, _)| name);
        name.split_once(',').map_or(name, |(name, _)| name).trim()
    })
}

/// Makes `policy` read `to` where it read the session tag `key`, and says how often it did. `to` is a condition key that is a variable too.
pub(super) fn redirect(policy: &mut Policy, key: &str, to: &str) -> usize {
    let from = format!("{PRINCIPAL_TAG}{}", key.to_lowercase());
    let mut changed = 0;
    for clause in policy.statements_mut().flat_map(|statement| &mut statement.clauses) {
        let texts: &mut [String] = match clause {
            Clause::Resource(values) | Clause::NotResource(values) => match values {
                Values::One(text) => std::slice::from_mut(text),
                Values::Many(texts) => texts,
            },
            Clause::Condition(operators) => {
                for (name, scalars) in operators.iter_mut().flat_map(|(_, keys)| keys) {
                    if name.to_lowercase() == from {
                        to.clone_into(name);
                        changed += 1;
                    }
                    let scalars = match scalars {
                        Scalars::One(scalar) => std::slice::from_mut(scalar),
                        Scalars::Many(scalars) => scalars,
                    };
                    for scalar in scalars {
                        if let Scalar::String(text) = scalar {
                            changed += redirect_text(text, &from, to);
                        }
                    }
                }
                continue;
            }
            _ => continue,
        };
        changed += texts.iter_mut().map(|text| redirect_text(text, &from, to)).sum::<usize>();
    }
    changed
}

fn redirect_text(text: &mut String, from: &str, to: &str) -> usize {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut changed = 0;
    for part in parts {
        out.push_str("${");
        let end = part.find(['}', ',']).unwrap_or(part.len());
        match part.split_at_checked(end) {
            Some((name, rest)) if name.trim().to_lowercase() == from => {
                changed += 1;
                out.push_str(to);
                out.push_str(rest);
            }
            _ => out.push_str(part),
        }
    }
    if changed > 0 {
        *text = out;
    }
    changed
}

/// The transitive tag keys of `asked` after each key of `changed` got its new name, or went.
pub(super) fn transitive_keys(asked: &Asked, changed: &[(&str, Option<&str>)]) -> Vec<String> {
    let renamed = |key: &String| match changed.iter().find(|(old, _)| same_key(old, key)) {
        Some((_, new)) => new.map(str::to_owned),
        None => Some(key.clone()),
    };
    asked.transitive_tag_keys.iter().filter_map(renamed).collect()
}

/// Where the tags `keys` are set when an identity provider sends them; empty where the caller passes them itself.
///
/// See [passing session tags](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-saml).
pub(super) fn sender(operation: Operation, keys: &[&str]) -> String {
    match operation {
        Operation::AssumeRoleWithSaml => {
            let attributes: Vec<String> =
                keys.iter().map(|key| format!("`https://aws.amazon.com/SAML/Attributes/PrincipalTag:{key}`")).collect();
            format!("the identity provider sends them: change its SAML attributes {}", attributes.join(", "))
        }
        Operation::AssumeRoleWithWebIdentity => {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            format!(
                "the identity provider sends them: change {} under `principal_tags` of the OIDC claim `https://aws.amazon.com/tags`",
                keys.join(", ")
            )
        }
        _ => String::new(),
    }
}

/// Most places named for one tag.
const MOST_PLACES: usize = 4;

/// Which policies read the tags `keys`, as far as `context` tells.
pub(super) fn readers(context: &Context<'_>, keys: &[&str]) -> String {
    let Some(readers) = &context.advice.readers else {
        return "policies that read them as aws:PrincipalTag/KEY or aws:RequestTag/KEY must change with them; --authorization-details tells \
                which do"
            .to_owned();
    };
    let mut told = Vec::new();
    for key in keys {
        let places: Vec<&str> = readers.of(key).collect();
        if let Some(more) = places.get(MOST_PLACES..).filter(|more| !more.is_empty()) {
            let first = places.get(..MOST_PLACES).unwrap_or_default().join(", ");
            told.push(format!("`{key}` is read by {first} and {} more", more.len()));
        } else if !places.is_empty() {
            told.push(format!("`{key}` is read by {}", places.join(", ")));
        }
    }
    if told.is_empty() {
        format!("no policy in {} reads them", readers.source())
    } else {
        format!("{}: they must change with it", told.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> Reads {
        Reads::of(&serde_json::from_str(text).unwrap())
    }

    fn keys(text: &str) -> Vec<String> {
        let reads = reads(text);
        assert!(!reads.any, "{text}");
        reads.keys.into_iter().collect()
    }

    #[test]
    fn condition_keys_and_variables_are_read_in_any_letter_case() {
        assert_eq!(keys(r#"{"Condition":{"StringEquals":{"AWS:principaltag/Team":"x"}}}"#), ["team"]);
        assert_eq!(
            keys(r#"{"Resource":["arn:aws:s3:::${aws:PrincipalTag/Cost Center}/${ aws:principalTag/b, 'c'}/*"]}"#),
            ["b", "cost center"]
        );
        assert_eq!(keys(r#"{"Condition":{"StringEquals":{"s3:prefix":"${aws:RequestTag/p}","aws:RequestTag/q":"x"}}}"#), ["p", "q"]);
        assert_eq!(
            keys(r#"{"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["A","b"],"sts:TransitiveTagKeys":"c"}}}"#),
            ["a", "b", "c"]
        );
        assert_eq!(keys(r#"{"Resource":"${aws:PrincipalTag/unclosed","Action":"iam:PrincipalTag/x"}"#), ["unclosed"]);
    }

    #[test]
    fn a_wildcard_reads_every_tag() {
        for text in
            [r#"{"StringLike":{"aws:TagKeys":["team*"]}}"#, r#"{"Null":{"aws:PrincipalTag/${x}":"true"}}"#, r#"{"a":{"aws:TagKeys":[1]}}"#]
        {
            assert!(reads(text).reads("anything"), "{text}");
        }
        assert!(!reads(r#"{"StringLike":{"s3:prefix":"team*"}}"#).reads("team"));
    }

    #[test]
    fn a_policy_learns_where_a_tag_has_gone() {
        let text = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::${aws:principaltag/Team}/${aws:PrincipalTag/Team, 'x'}","${aws:PrincipalTag/Teams}"],"Condition":{"StringEquals":{"aws:PrincipalTag/team":"a","s3:prefix":"${aws:RequestTag/team}"}}}}"#;
        let mut policy = Policy::parse(text).unwrap();
        assert_eq!(redirect(&mut policy, "TEAM", "aws:SourceIdentity"), 3);
        let changed = text
            .replace("aws:principaltag/Team}", "aws:SourceIdentity}")
            .replace("aws:PrincipalTag/Team,", "aws:SourceIdentity,")
            .replace("aws:PrincipalTag/team", "aws:SourceIdentity");
        assert_eq!(policy.to_string(), changed);
        assert_eq!(redirect(&mut policy, "team", "aws:SourceIdentity"), 0);
    }

    #[test]
    fn what_an_identity_provider_sends_is_changed_there() {
        assert!(sender(Operation::AssumeRoleWithSaml, &["a", "b"]).contains("SAML/Attributes/PrincipalTag:a`, `https"));
        assert!(sender(Operation::AssumeRoleWithWebIdentity, &["a"]).contains("`https://aws.amazon.com/tags`"));
        assert_eq!(sender(Operation::AssumeRole, &["a"]), "");
    }
}
