//! A session policy as managed policies: the documents, the commands that create them, and the ARNs to pass.
//!
//! IAM counts at most 6,144 characters of a managed policy, white space left out, and STS takes ten ARNs, all of the account of the role (for GetFederationToken:
//! of the user). Several session policies allow what any of them allows and deny what any of them denies, as the statements of one do, so that a document may be
//! split between statements. See the [quotas of IAM](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html) and
//! [session policies](https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session).

use serde_json::json;

use super::Document;
use crate::packing::limits::{Names, is_name_char, problems};
use crate::packing::{Asked, Operation, Request};
use crate::policy::{Element, Policy, Statement, Statements};

/// Characters of a managed policy, white space left out.
const MANAGED_POLICY_CHARS: usize = 6144;

/// Stands for an account that is not known; of the length of one, so that an ARN with it is priced like a real one.
pub(super) const UNKNOWN_ACCOUNT: &str = "000000000000";

/// Characters of a role's name that go into a policy's name, of which IAM takes 128.
const ROLE_NAME_CHARS: usize = 64;

/// Managed policies that say what a session policy said.
pub(super) struct Stored {
    /// The ARNs to pass.
    pub(super) arns: Vec<String>,
    /// The policies, the shell script and the Terraform file that create them.
    pub(super) documents: Vec<Document>,
    /// `role` or `user`: whose account they stand in.
    pub(super) of: &'static str,
    /// The account, 12 digits; None where [`UNKNOWN_ACCOUNT`] stands in the ARNs.
    pub(super) account: Option<String>,
}

impl Stored {
    /// What has to be said of where the policies stand.
    pub(super) fn note(&self) -> String {
        match &self.account {
            Some(account) => format!("the managed policies must stand in account {account}, that of the {}", self.of),
            None => format!("put the account of the {}, where the managed policies must stand, in the place of {UNKNOWN_ACCOUNT}", self.of),
        }
    }
}

/// Managed policies for `policy`, to be passed with `asked`; None where the document is one that IAM would not store.
pub(super) fn store(policy: &Policy, asked: &Asked) -> Option<Stored> {
    let texts = split(policy)?;
    let home = Home::of(asked);
    let mut names: Vec<String> = Vec::with_capacity(texts.len());
    let mut arns: Vec<String> = Vec::with_capacity(texts.len());
    let mut number = 0;
    while arns.len() < texts.len() {
        number += 1;
        let name = if texts.len() == 1 && number == 1 { home.policy_name.clone() } else { format!("{}-{number}", home.policy_name) };
        let arn = home.arn(&name);
        if !asked.request.policy_arns.contains(&arn) {
            names.push(name);
            arns.push(arn);
        }
    }
    let files: Vec<String> = (1..=texts.len()).map(|number| format!("managed-policy-{number}.json")).collect();
    let mut documents: Vec<Document> =
        files.iter().zip(&texts).map(|(name, text)| Document { name: name.clone(), text: pretty(text) }).collect();
    documents.push(Document { name: "create.sh".to_owned(), text: script(&home, &names, &files) });
    documents.push(Document { name: "main.tf".to_owned(), text: terraform(&names, &files) });
    Some(Stored { arns, documents, of: home.of, account: home.account })
}

/// What the caller then passes, as `--cli-input-json` takes it: ARNs and tags, and the inline policy that is left.
pub(super) fn parameters(request: &Request) -> Document {
    let mut parameters = serde_json::Map::new();
    if let Some(policy) = &request.policy {
        parameters.insert("Policy".to_owned(), json!(policy));
    }
    let arns: Vec<_> = request.policy_arns.iter().map(|arn| json!({ "arn": arn })).collect();
    parameters.insert("PolicyArns".to_owned(), json!(arns));
    if !request.tags.is_empty() {
        let tags: Vec<_> = request.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        parameters.insert("Tags".to_owned(), json!(tags));
    }
    Document { name: "session-parameters.json".to_owned(), text: pretty(&serde_json::Value::Object(parameters).to_string()) }
}

/// Where managed policies must stand, and what they are called.
struct Home {
    partition: String,
    account: Option<String>,
    of: &'static str,
    policy_name: String,
}

impl Home {
    fn of(asked: &Asked) -> Home {
        let federated = asked.session.operation == Operation::GetFederationToken;
        let role = asked.role_arn.as_deref().filter(|_| !federated).map(fields);
        // Policies that are passed already stand where new ones must.
        let passed = || asked.request.policy_arns.iter().map(|arn| fields(arn)).find(|(_, account, _)| is_account(account));
        let account = match &role {
            Some((_, account, _)) => Some(*account),
            None => asked.account_id.as_deref().filter(|_| federated),
        };
        let account = account.filter(|account| is_account(account)).or_else(|| passed().map(|(_, account, _)| account));
        let any_arn = || asked.request.policy_arns.first().map(|arn| fields(arn).0);
        let partition = role.as_ref().map(|(partition, ..)| *partition).or_else(any_arn).filter(|text| is_partition(text)).unwrap_or("aws");
        let role_name = role.and_then(|(_, _, resource)| resource.rsplit('/').next()).unwrap_or_default();
        let role_name: String = role_name.chars().filter(|&one| is_name_char(one)).take(ROLE_NAME_CHARS).collect();
        Home {
            partition: partition.to_owned(),
            account: account.map(str::to_owned),
            of: if federated { "user" } else { "role" },
            policy_name: if role_name.is_empty() { "session-policy".to_owned() } else { format!("{role_name}-session") },
        }
    }

    fn arn(&self, name: &str) -> String {
        format!("arn:{}:iam::{}:policy/{name}", self.partition, self.account.as_deref().unwrap_or(UNKNOWN_ACCOUNT))
    }
}

/// Partition, account and resource of an ARN, empty where it has none.
fn fields(arn: &str) -> (&str, &str, &str) {
    let mut fields = arn.splitn(6, ':');
    (fields.nth(1).unwrap_or_default(), fields.nth(2).unwrap_or_default(), fields.next().unwrap_or_default())
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_partition(text: &str) -> bool {
    text.starts_with("aws") && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())
}

/// The documents that say what `policy` says, minified, each within what IAM stores.
fn split(policy: &Policy) -> Option<Vec<String>> {
    let text = policy.to_string();
    let of_policy = Request { policy: Some(text.clone()), ..Request::default() };
    // A document that STS finds fault with, its length apart, IAM would not store either.
    let faulty = problems(&of_policy, Names::default(), Operation::AssumeRole).iter().any(|problem| problem.place.starts_with("policy."));
    if faulty || policy.statements().next().is_none() {
        return None;
    }
    let version = version(policy, &text);
    let document = |statements: &[Statement]| {
        let elements = vec![Element::Version(version.to_owned()), Element::Statement(Statements::Many(statements.to_vec()))];
        latin(&Policy { elements }.to_string())
    };
    let mut documents = Vec::new();
    let mut together: Vec<Statement> = Vec::new();
    for statement in policy.statements() {
        together.push(statement.clone());
        if document(&together).len() > MANAGED_POLICY_CHARS {
            let last = together.pop()?;
            if together.is_empty() {
                return None;
            }
            documents.push(document(&together));
            together = vec![last];
            if document(&together).len() > MANAGED_POLICY_CHARS {
                return None;
            }
        }
    }
    documents.push(document(&together));
    Some(documents)
}

/// The policy's version; where it states none, one under which it means the same: without variables both do.
fn version<'a>(policy: &'a Policy, text: &str) -> &'a str {
    let stated = policy.elements.iter().find_map(|element| match element {
        Element::Version(version) => Some(version.as_str()),
        _ => None,
    });
    stated.unwrap_or(if text.contains("${") { "2008-10-17" } else { "2012-10-17" })
}

/// JSON with the characters that IAM does not take in a document escaped: those beyond U+00FF, which stand in texts alone.
fn latin(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if u32::from(character) <= 0xff {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// Minified JSON with line breaks and indentation, which IAM does not count.
pub(super) fn pretty(minified: &str) -> String {
    let mut out = String::with_capacity(minified.len() * 2);
    let mut depth = 0_usize;
    let (mut in_text, mut escaped) = (false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut characters = minified.chars().peekable();
    while let Some(character) = characters.next() {
        if in_text {
            out.push(character);
            in_text = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '{' | '[' => {
                out.push(character);
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => {
                in_text = other == '"';
                out.push(other);
            }
        }
    }
    out.push('\n');
    out
}

fn script(home: &Home, names: &[String], files: &[String]) -> String {
    let mut out =
        "#!/bin/sh\n# Creates the managed policies and prints the ARNs to pass as PolicyArns.\nset -eu\ncd \"$(dirname \"$0\")\"\n"
            .to_owned();
    match &home.account {
        Some(account) => out.push_str(&format!(
            "account=$(aws sts get-caller-identity --query Account --output text)\nif [ \"$account\" != {account} ]; then\n  \
             echo \"the policies must stand in account {account}, and this is $account\" >&2\n  exit 1\nfi\n"
        )),
        None => out.push_str(&format!("# Run it in the account of the {}.\n", home.of)),
    }
    for (name, file) in names.iter().zip(files) {
        out.push_str(&format!(
            "aws iam create-policy --policy-name={} --policy-document={} --query Policy.Arn --output text\n",
            shell_word(name),
            shell_word(&format!("file://{file}"))
        ));
    }
    out
}

fn terraform(names: &[String], files: &[String]) -> String {
    let mut out = String::new();
    for (number, (name, file)) in (1..).zip(names.iter().zip(files)) {
        out.push_str(&format!(
            "resource \"aws_iam_policy\" \"session_{number}\" {{\n  name   = {}\n  policy = file(\"${{path.module}}/{file}\")\n}}\n\n",
            hcl_string(name)
        ));
    }
    let arns: Vec<String> = (1..=names.len()).map(|number| format!("aws_iam_policy.session_{number}.arn")).collect();
    out.push_str(&format!("output \"session_policy_arns\" {{\n  value = [{}]\n}}\n", arns.join(", ")));
    out
}

/// `text` as one word of a POSIX shell.
pub(super) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `text` as a string of HCL, in which nothing is interpolated.
fn hcl_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('"');
    out.replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::packing::CallerKind;

    const STATEMENT: &str = r#"{"Sid":"Read","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#;

    fn policy(statements: usize) -> Policy {
        let statements: Vec<String> = (0..statements).map(|number| STATEMENT.replace("Read", &format!("S{number}"))).collect();
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))).unwrap()
    }

    fn asked(role: Option<&str>) -> Asked {
        Asked { role_arn: role.map(str::to_owned), ..Asked::new(Operation::AssumeRole, CallerKind::IamUser) }
    }

    fn text<'a>(stored: &'a Stored, name: &str) -> &'a str {
        &stored.documents.iter().find(|document| document.name == name).unwrap().text
    }

    #[test]
    fn the_policies_stand_in_the_role_s_account_and_partition() {
        let stored = store(&policy(1), &asked(Some("arn:aws-us-gov:iam::111122223333:role/team/app"))).unwrap();
        assert_eq!(stored.arns, ["arn:aws-us-gov:iam::111122223333:policy/app-session"]);
        assert_eq!(stored.note(), "the managed policies must stand in account 111122223333, that of the role");
        assert!(text(&stored, "create.sh").contains("--policy-name='app-session' --policy-document='file://managed-policy-1.json'"));
        assert!(
            text(&stored, "create.sh").contains("!= 111122223333 ]; then\n  echo \"the policies must stand in account 111122223333, and")
        );
        let terraform = text(&stored, "main.tf");
        assert!(terraform.contains("name   = \"app-session\"\n  policy = file(\"${path.module}/managed-policy-1.json\")"), "{terraform}");
    }

    #[test]
    fn a_federated_user_s_policies_stand_in_the_user_s_account() {
        let mut federated = asked(Some("arn:aws:iam::111122223333:role/other"));
        federated.session.operation = Operation::GetFederationToken;
        federated.account_id = Some("444455556666".to_owned());
        federated.request.policy_arns = vec!["arn:aws-cn:iam::aws:policy/ReadOnlyAccess".to_owned()];
        assert_eq!(store(&policy(1), &federated).unwrap().arns, ["arn:aws-cn:iam::444455556666:policy/session-policy"]);
    }

    #[test]
    fn an_unknown_account_is_left_to_be_filled_in() {
        let stored = store(&policy(1), &asked(None)).unwrap();
        assert_eq!(stored.arns, ["arn:aws:iam::000000000000:policy/session-policy"]);
        assert!(stored.note().contains("in the place of 000000000000"));
        let mut told = asked(None);
        told.request.policy_arns = vec!["arn:aws:iam::777788889999:policy/session-policy".to_owned()];
        assert_eq!(store(&policy(1), &told).unwrap().arns, ["arn:aws:iam::777788889999:policy/session-policy-2"]);
    }

    #[test]
    fn nothing_in_a_role_s_name_reaches_a_shell_or_terraform() {
        let stored = store(&policy(1), &asked(Some("arn:aws;:iam::1:role/a'$(x)`\"${y}"))).unwrap();
        assert_eq!(stored.arns, ["arn:aws:iam::000000000000:policy/axy-session"]);
        assert_eq!(shell_word("a'b"), r"'a'\''b'");
        assert_eq!(hcl_string("a\"${b}%{c}\\\n"), "\"a\\\"$${b}%%{c}\\\\\\n\"");
    }

    #[test]
    fn a_long_policy_is_split_between_statements() {
        let long = policy(100);
        let stored = store(&long, &asked(None)).unwrap();
        let documents: Vec<Policy> =
            stored.documents.iter().filter(|one| one.name.ends_with(".json")).map(|one| Policy::parse(&one.text).unwrap()).collect();
        assert_eq!((documents.len(), stored.arns.len()), (2, 2));
        assert!(documents.iter().all(|one| one.to_string().len() <= 6144));
        let joined: Vec<_> = documents.iter().flat_map(Policy::statements).cloned().collect();
        assert_eq!(joined, long.statements().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn what_iam_would_not_store_is_not_written() {
        for text in [
            r#"{"Version":"2012-10-17"}"#,
            r#"{"Version":"2012-10-17","Statement":[]}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"s3:Get*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*","Principal":"*"}}"#,
        ] {
            assert!(store(&Policy::parse(text).unwrap(), &asked(None)).is_none(), "{text}");
        }
        let long = STATEMENT.replace("b/*", &"b".repeat(7000));
        assert!(store(&Policy::parse(&format!(r#"{{"Statement":{long}}}"#)).unwrap(), &asked(None)).is_none());
    }

    #[test]
    fn a_policy_without_version_keeps_its_meaning() {
        let stated = |resource: &str| {
            let policy = Policy::parse(&format!(r#"{{"Id":"x","Statement":{}}}"#, STATEMENT.replace("b/*", resource))).unwrap();
            split(&policy).unwrap().remove(0)
        };
        assert!(stated("b/*").starts_with(r#"{"Version":"2012-10-17","Statement":[{"Sid""#));
        assert!(stated("${aws:username}").starts_with(r#"{"Version":"2008-10-17""#));
        assert!(stated("b€😀").contains(r"b\u20ac\ud83d\ude00"));
    }

    #[test]
    fn what_the_caller_passes_is_what_the_cli_takes() {
        let request = Request {
            policy_arns: vec!["arn:aws:iam::111122223333:policy/a".to_owned()],
            tags: vec![("team".to_owned(), "a \"b\"".to_owned())],
            ..Request::default()
        };
        let value: serde_json::Value = serde_json::from_str(&parameters(&request).text).unwrap();
        assert_eq!(
            value,
            json!({"PolicyArns": [{"arn": "arn:aws:iam::111122223333:policy/a"}], "Tags": [{"Key": "team", "Value": "a \"b\""}]})
        );
    }

    proptest! {
        #[test]
        fn indented_json_says_the_same(value in vec((any::<String>(), vec(any::<String>(), 0..3)), 0..4)) {
            let members: serde_json::Map<_, _> = value.into_iter().map(|(key, texts)| (key, json!(texts))).collect();
            let value = serde_json::Value::Object(members);
            let back: serde_json::Value = serde_json::from_str(&pretty(&latin(&value.to_string()))).unwrap();
            prop_assert_eq!(back, value);
        }
    }
}
