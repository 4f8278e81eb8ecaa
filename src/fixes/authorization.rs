//! The answer of `aws iam get-account-authorization-details`: which policies of an account read which tags.
//!
//! It has the account's users, groups, roles and managed policies, with the documents as JSON or, as the [API] sends them, as URL-encoded text. It has neither the
//! policies of AWS Organizations nor those of resources, nor what reads tags in CloudTrail.
//!
//! [API]: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Deserializer, Value};

use super::tag_reads::Reads;

/// Which policies of an account read which tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagReaders {
    source: String,
    /// Places by key in lower case.
    by_key: BTreeMap<String, Vec<String>>,
    /// Places that may read any tag.
    of_any: Vec<String>,
    accounts: BTreeSet<String>,
    policies: BTreeSet<String>,
}

/// Why a text is no answer of `aws iam get-account-authorization-details`. Never quotes it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizationDetailsError {
    /// No JSON.
    #[error("no JSON: line {line} column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// JSON of another kind.
    #[error(
        "not the answer of `aws iam get-account-authorization-details`: expected an object with `UserDetailList`, `GroupDetailList`, \
         `RoleDetailList` and `Policies`, and `{missing}` is no list in it"
    )]
    Kind {
        /// The list that is not there.
        missing: &'static str,
    },
    /// The answer says that more follows, which is not there.
    #[error("the answer is cut off: it says `IsTruncated`, and the pages that follow are missing")]
    Truncated,
    /// A policy document that is neither JSON nor URL-encoded JSON.
    #[error("the policy document of {place} is no JSON: line {line} column {column} of it")]
    Document {
        /// The policy and whose it is.
        place: String,
        /// In the document, from 1.
        line: usize,
        /// In the document, from 1.
        column: usize,
    },
}

const LISTS: [&str; 4] = ["UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"];

impl TagReaders {
    /// Reads an answer, or its pages one after the other. `source` names it in what is said of it.
    ///
    /// # Errors
    /// [`AuthorizationDetailsError`] when `text` is none, or one that is not whole.
    pub fn from_json(text: &str, source: impl Into<String>) -> Result<TagReaders, AuthorizationDetailsError> {
        let mut readers = TagReaders {
            source: source.into(),
            by_key: BTreeMap::new(),
            of_any: Vec::new(),
            accounts: BTreeSet::new(),
            policies: BTreeSet::new(),
        };
        let missing = |missing| AuthorizationDetailsError::Kind { missing };
        let mut is_truncated = None;
        for page in Deserializer::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).into_iter::<Value>() {
            let page = page.map_err(|error| AuthorizationDetailsError::Json { line: error.line(), column: error.column() })?;
            let mut lists = [const { &Vec::new() }; LISTS.len()];
            for (list, name) in lists.iter_mut().zip(LISTS) {
                *list = page.get(name).and_then(Value::as_array).ok_or_else(|| missing(name))?;
            }
            for entity in lists.into_iter().flatten() {
                readers.entity(entity)?;
            }
            is_truncated = Some(page.get("IsTruncated").and_then(Value::as_bool).unwrap_or(false));
        }
        match is_truncated {
            None => Err(missing(LISTS[0])),
            Some(true) => Err(AuthorizationDetailsError::Truncated),
            Some(false) => Ok(readers),
        }
    }

    /// What it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The policies that read the tag `key`, those that may read any among them: the ARN of a managed policy, `NAME of ARN` for an inline policy, `trust policy of ARN`.
    /// Letter case does not count.
    pub fn of(&self, key: &str) -> impl Iterator<Item = &str> {
        let places = self.by_key.get(&key.to_lowercase());
        places.into_iter().flatten().chain(&self.of_any).map(String::as_str)
    }

    /// Whether any policy may read the tag `key`.
    pub fn read(&self, key: &str) -> bool {
        self.of(key).next().is_some()
    }

    /// Whether a policy names the tag `key`, those that may read any left out.
    pub(super) fn of_key(&self, key: &str) -> bool {
        self.by_key.contains_key(&key.to_lowercase())
    }

    /// Whether it is an answer of the account, 12 digits.
    pub fn knows_account(&self, account: &str) -> bool {
        self.accounts.contains(account)
    }

    /// Whether the document of the managed policy with this ARN is in it.
    pub fn knows_policy(&self, arn: &str) -> bool {
        self.policies.contains(arn)
    }

    fn entity(&mut self, entity: &Value) -> Result<(), AuthorizationDetailsError> {
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let arn = text(entity, "Arn");
        self.accounts.extend(arn.split(':').nth(4).filter(|account| account.len() == 12).map(str::to_owned));
        if let Some(document) = entity.get("AssumeRolePolicyDocument") {
            self.document(document, format!("trust policy of {arn}"))?;
        }
        let items = |name: &str| entity.get(name).and_then(Value::as_array).into_iter().flatten();
        for inline in ["UserPolicyList", "GroupPolicyList", "RolePolicyList"].into_iter().flat_map(items) {
            if let Some(document) = inline.get("PolicyDocument") {
                self.document(document, format!("{} of {arn}", text(inline, "PolicyName")))?;
            }
        }
        let default = entity.get("DefaultVersionId").and_then(Value::as_str);
        for version in items("PolicyVersionList") {
            let is_default = version.get("IsDefaultVersion").and_then(Value::as_bool);
            let is_default = is_default.or_else(|| Some(version.get("VersionId")?.as_str() == default)).unwrap_or(true);
            if let Some(document) = version.get("Document").filter(|_| is_default) {
                self.document(document, arn.clone())?;
                self.policies.insert(arn.clone());
            }
        }
        Ok(())
    }

    fn document(&mut self, document: &Value, place: String) -> Result<(), AuthorizationDetailsError> {
        let decoded;
        let document = match document {
            Value::String(text) => {
                // Plain JSON begins with a brace, which URL-encoding would have hidden.
                let text = if text.trim_start().starts_with('{') { text.clone() } else { url_decoded(text) };
                decoded = serde_json::from_str(&text).map_err(|error| AuthorizationDetailsError::Document {
                    place: place.clone(),
                    line: error.line(),
                    column: error.column(),
                })?;
                &decoded
            }
            other => other,
        };
        let reads = Reads::of(document);
        for key in reads.keys {
            self.by_key.entry(key).or_default().push(place.clone());
        }
        if reads.any {
            self.of_any.push(place);
        }
        Ok(())
    }
}

/// The text that is URL-encoded by RFC 3986, in which `+` is a plus; what is no escape stays as it is.
fn url_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.extend(u8::try_from(16 * high + low));
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reads(key: &str) -> Value {
        json!({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {format!("aws:PrincipalTag/{key}"): "x"}}}]})
    }

    fn encoded(document: &Value) -> String {
        document
            .to_string()
            .bytes()
            .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    }

    fn answer() -> Value {
        json!({
            "UserDetailList": [{"UserName": "anna", "Arn": "arn:aws:iam::111122223333:user/anna", "UserPolicyList": [{"PolicyName": "own", "PolicyDocument": reads("user")}]}],
            "GroupDetailList": [{"Arn": "arn:aws:iam::111122223333:group/g", "GroupPolicyList": [{"PolicyName": "g", "PolicyDocument": encoded(&reads("Gruppe/ü+1"))}]}],
            "RoleDetailList": [{
                "Arn": "arn:aws:iam::111122223333:role/app",
                "AssumeRolePolicyDocument": {"Statement": {"Condition": {"StringEquals": {"aws:RequestTag/Project": "p"}, "Null": {"aws:TagKeys": "k*"}}}},
                "RolePolicyList": [{"PolicyName": "inline", "PolicyDocument": reads("team").to_string()}],
            }],
            "Policies": [{
                "Arn": "arn:aws:iam::111122223333:policy/p",
                "DefaultVersionId": "v2",
                "PolicyVersionList": [
                    {"VersionId": "v1", "IsDefaultVersion": false, "Document": reads("old")},
                    {"VersionId": "v2", "IsDefaultVersion": true, "Document": reads("Team")},
                ],
            }],
        })
    }

    #[test]
    fn every_kind_of_policy_is_read_in_every_form() {
        let mut answer = answer();
        let readers = |answer: &Value| TagReaders::from_json(&answer.to_string(), "details.json").unwrap();
        let any = "trust policy of arn:aws:iam::111122223333:role/app";
        assert_eq!(readers(&answer).of("whatever").collect::<Vec<_>>(), [any]);
        answer["RoleDetailList"][0]["AssumeRolePolicyDocument"]["Statement"]["Condition"].as_object_mut().unwrap().remove("Null");
        let readers = readers(&answer);
        let of = |key: &str| readers.of(key).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of("USER"), ["own of arn:aws:iam::111122223333:user/anna"]);
        assert_eq!(of("gruppe/Ü+1"), ["g of arn:aws:iam::111122223333:group/g"]);
        assert_eq!(of("project"), ["trust policy of arn:aws:iam::111122223333:role/app"]);
        assert_eq!(of("team"), ["inline of arn:aws:iam::111122223333:role/app", "arn:aws:iam::111122223333:policy/p"]);
        assert!(!readers.read("old") && !readers.read("whatever"));
        assert!(readers.knows_account("111122223333") && !readers.knows_account("444455556666"));
        assert!(
            readers.knows_policy("arn:aws:iam::111122223333:policy/p") && !readers.knows_policy("arn:aws:iam::aws:policy/ReadOnlyAccess")
        );
    }

    #[test]
    fn pages_are_read_together_and_must_all_be_there() {
        let (mut first, mut last) = (answer(), answer());
        first["IsTruncated"] = json!(true);
        last["IsTruncated"] = json!(false);
        last["UserDetailList"][0]["UserPolicyList"][0]["PolicyDocument"] = reads("second");
        let readers = TagReaders::from_json(&format!("{first}\n{last}"), "x").unwrap();
        assert!(readers.read("user") && readers.read("second"));
        let cut = TagReaders::from_json(&first.to_string(), "x").unwrap_err();
        assert!(cut.to_string().contains("IsTruncated"));
    }

    #[test]
    fn another_kind_of_file_is_refused_with_what_is_wrong() {
        let error = |text: &str| TagReaders::from_json(text, "x").unwrap_err().to_string();
        assert_eq!(error("{\n \"UserDetailList\": ]"), "no JSON: line 2 column 20");
        assert!(error("").contains("`UserDetailList` is no list in it"));
        assert!(error("[]").contains("`UserDetailList` is no list in it"));
        assert!(
            error(r#"{"UserDetailList":[],"GroupDetailList":[],"RoleDetailList":{},"Policies":[]}"#)
                .contains("`RoleDetailList` is no list")
        );
        let mut broken = answer();
        broken["RoleDetailList"][0]["RolePolicyList"][0]["PolicyDocument"] = json!("{\"a\":");
        assert_eq!(
            error(&broken.to_string()),
            "the policy document of inline of arn:aws:iam::111122223333:role/app is no JSON: line 1 column 5 of it"
        );
    }
}
