//! A fix as a folder of files: what somebody needs to review it and to carry it out.
//!
//! Names in a request are anybody's choice, so nothing here trusts them: in a page they are escaped, in a script they stand in comments alone, made harmless.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use similar::TextDiff;

use super::terminal::tame;
use crate::fixes::{Change, Document, Effect, Fix};
use crate::packing::limits::same_key;
use crate::packing::{Asked, Estimate, Operation, Regime, STS, Sizing, pack, part_rows, percent};
use crate::policy::Policy;

/// A call and the limit it is held against.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The call as it is.
    pub asked: &'a Asked,
    /// The principal behind it, as people name it; None where that is not known.
    pub caller: Option<&'a str>,
    /// Figures of the regime that judges the call, with the limit to stay under.
    pub sizing: &'a Sizing,
    /// [`STS`], or the name of a ceiling.
    pub limit_name: &'a str,
}

/// One part of a call before and after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartChange {
    /// As in [`crate::packing::PartRow::part`].
    pub part: &'static str,
    /// The tag's key, the managed policy's ARN, else the part's name in words.
    pub name: String,
    /// Packed bytes before; None where the part was not there.
    pub before_bytes: Option<u32>,
    /// Packed bytes after; None where the part is gone.
    pub after_bytes: Option<u32>,
}

impl PartChange {
    /// False where the change leaves the part as large as it was.
    pub fn is_change(&self) -> bool {
        self.before_bytes != self.after_bytes
    }
}

/// Every part of the two calls with its packed bytes under `sizing`, largest before first, then what is new.
pub fn part_changes(before: &Asked, after: &Asked, sizing: &Sizing) -> Vec<PartChange> {
    let rows = |asked: &Asked| part_rows(&asked.request, &asked.session(), sizing);
    let mut new = rows(after);
    let mut changes: Vec<PartChange> = rows(before)
        .into_iter()
        .map(|row| {
            let same = new.iter().position(|other| other.part == row.part && other.name == row.name);
            let after_bytes = same.map(|at| new.remove(at).bytes);
            PartChange { part: row.part, name: row.name, before_bytes: Some(row.bytes), after_bytes }
        })
        .collect();
    changes.extend(new.into_iter().map(|row| PartChange {
        part: row.part,
        name: row.name,
        before_bytes: None,
        after_bytes: Some(row.bytes),
    }));
    changes.sort_by_key(|change| std::cmp::Reverse(change.before_bytes));
    changes
}

/// The size of the call before the fix, with its range. Points of the limit.
pub fn before(case: Case<'_>, fix: &Fix) -> Estimate {
    let engine = percent(&pack(&case.asked.request, case.sizing), &case.asked.session(), case.sizing);
    // What STS logged may differ from what the engine says, by the same before and after.
    let shift = fix.before_percent - engine.value;
    let moved = |points: f64| if shift == 0.0 { points } else { (points + shift).max(0.0) };
    Estimate { value: fix.before_percent, low: moved(engine.low), high: moved(engine.high) }
}

/// The files of the folder for `fix`, `README.md` first.
pub fn folder(case: Case<'_>, fix: &Fix) -> Vec<Document> {
    let mut files = Vec::new();
    let mut file = |name: &str, text: String| files.push(Document { name: name.to_owned(), text });
    let (old, new) = (case.asked.request.policy.as_deref(), fix.asked.request.policy.as_deref());
    if let Some(policy) = new {
        // Its white space counts in the plain characters, a line break at the end included.
        file("policy.json", minified(policy));
        file("policy.pretty.json", pretty(policy));
    }
    if old != new {
        let text = |policy: Option<&str>| policy.map(pretty).unwrap_or_default();
        let name = |policy: Option<&str>, name: &'static str| if policy.is_some() { name } else { "/dev/null" };
        file("policy.diff", diff(&text(old), &text(new), name(old, "a/policy.pretty.json"), name(new, "b/policy.pretty.json")));
    }
    let (before, after) = (request(case.asked, None), request(&fix.asked, new.map(minified).as_deref()));
    file("request.json", json_text(&after));
    let apart = |value: &Value| json_text(&without_policy(value));
    if apart(&before) != apart(&after) {
        file("request.diff", diff(&apart(&before), &apart(&after), "a/request.json", "b/request.json"));
    }
    for document in &fix.documents {
        let name = safe_name(&document.name, MOST_NAME_CHARS);
        let taken = |name: &str| name == "README.md" || name == "commands.sh" || files.iter().any(|file| file.name == name);
        let name = if taken(&name) { format!("more-{name}") } else { name };
        files.push(Document { name, text: document.text.clone() });
    }
    let script = script(case, fix, files.iter().any(|file| file.name == CREATE));
    files.push(Document { name: "commands.sh".to_owned(), text: script });
    let page = page(case, fix, &files);
    files.insert(0, Document { name: "README.md".to_owned(), text: page });
    files
}

/// Characters of a file's or folder's name at most.
pub(super) const MOST_NAME_CHARS: usize = 64;

/// `text` as a file name that no shell, URL or file system takes for anything else: letters, digits, `-`, `_` and single dots, at most `most` of them.
pub(super) fn safe_name(text: &str, most: usize) -> String {
    let mut name = String::new();
    for character in text.chars() {
        let safe = if character.is_ascii_alphanumeric() || matches!(character, '_' | '.') { character } else { '-' };
        let repeated = matches!(safe, '-' | '.') && name.ends_with(['-', '.']);
        if name.len() < most && !repeated && !(name.is_empty() && matches!(safe, '-' | '.')) {
            name.push(safe);
        }
    }
    let name = name.trim_end_matches(['-', '.']);
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

/// The folder of the fix of that rank: `1-drop-sids-and-merge-statements`.
pub fn folder_name(rank: usize, fix: &Fix) -> String {
    format!("{rank}-{}", safe_name(&fix.rule().replace(" + ", "-and-"), MOST_NAME_CHARS))
}

fn minified(policy: &str) -> String {
    Policy::parse(policy).map_or_else(|_| policy.to_owned(), |policy| policy.to_string())
}

/// `policy` as `jq .` prints it, its numbers and repeated keys as they are; a text that is no policy as it is.
fn pretty(policy: &str) -> String {
    let Ok(policy) = Policy::parse(policy) else { return format!("{policy}\n") };
    let (mut out, mut depth, mut quoted, mut escaped, mut opened) = (String::new(), 0_usize, false, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for character in policy.to_string().chars() {
        if quoted {
            out.push(character);
            (quoted, escaped) = (escaped || character != '"', !escaped && character == '\\');
            continue;
        }
        let closes = matches!(character, '}' | ']');
        depth = if closes { depth.saturating_sub(1) } else { depth };
        if opened != closes {
            line(&mut out, depth);
        }
        opened = matches!(character, '{' | '[');
        out.push(character);
        match character {
            '{' | '[' => depth += 1,
            ',' => line(&mut out, depth),
            ':' => out.push(' '),
            '"' => quoted = true,
            _ => {}
        }
    }
    out.push('\n');
    out
}

fn json_text(value: &Value) -> String {
    format!("{value:#}\n")
}

fn diff(before: &str, after: &str, before_name: &str, after_name: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().header(before_name, after_name).to_string()
}

/// What begins so in a request is to be filled in.
const PLACEHOLDER: &str = "REPLACE-WITH-";

/// Stands for an account that is not known in the ARNs of managed policies that are to be created.
const NO_ACCOUNT: &str = "000000000000";

/// The parameters of the call as `--cli-input-json` of the AWS CLI takes them; what is not known but needed as a placeholder.
///
/// Source: the skeletons that `aws sts assume-role --generate-cli-skeleton` and its siblings print.
fn request(asked: &Asked, policy: Option<&str>) -> Value {
    let session = asked.session();
    let mut members = Map::new();
    let mut insert = |name: &str, value: Value| members.insert(name.to_owned(), value);
    let placeholder = |what: &str| Value::from(format!("{PLACEHOLDER}{what}"));
    let known = |text: &Option<String>, what: &str| text.as_deref().map_or_else(|| placeholder(what), Value::from);
    match session.operation {
        Operation::AssumeRole | Operation::AssumeRoleWithSaml | Operation::AssumeRoleWithWebIdentity => {
            insert("RoleArn", known(&asked.role_arn, "THE-ROLE-ARN"));
        }
        Operation::AssumeRoot => {
            insert("TargetPrincipal", placeholder("THE-MEMBER-ACCOUNT"));
            insert("TaskPolicyArn", json!({ "arn": format!("{PLACEHOLDER}THE-TASK-POLICY-ARN") }));
        }
        Operation::GetFederationToken | Operation::GetSessionToken => {}
    }
    match session.operation {
        Operation::AssumeRole => {
            insert("RoleSessionName", known(&asked.session_name, "THE-SESSION-NAME"));
        }
        Operation::AssumeRoleWithWebIdentity => {
            insert("RoleSessionName", known(&asked.session_name, "THE-SESSION-NAME"));
            insert("WebIdentityToken", placeholder("THE-TOKEN"));
        }
        Operation::AssumeRoleWithSaml => {
            insert("PrincipalArn", placeholder("THE-PROVIDER-ARN"));
            insert("SAMLAssertion", placeholder("THE-ASSERTION"));
        }
        Operation::GetFederationToken => {
            insert("Name", known(&asked.session_name, "THE-NAME"));
        }
        Operation::AssumeRoot | Operation::GetSessionToken => {}
    }
    if !asked.request.policy_arns.is_empty() {
        insert("PolicyArns", asked.request.policy_arns.iter().map(|arn| json!({ "arn": arn })).collect());
    }
    if let Some(policy) = policy {
        insert("Policy", Value::from(policy));
    }
    // The tags of an assertion or a web identity token come from the identity provider and are no parameter.
    if matches!(session.operation, Operation::AssumeRole | Operation::GetFederationToken) {
        let tags = &asked.request.tags;
        if !tags.is_empty() {
            insert("Tags", tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect());
        }
        let passed = |key: &&String| tags.iter().any(|(tag, _)| same_key(tag, key));
        let transitive: Vec<&String> = asked.transitive_tag_keys.iter().filter(passed).collect();
        if !transitive.is_empty() {
            insert("TransitiveTagKeys", json!(transitive));
        }
    }
    if session.operation == Operation::AssumeRole && session.source_identity_bytes.is_some() {
        insert("SourceIdentity", known(&asked.source_identity, "THE-SOURCE-IDENTITY"));
    }
    if let Some(bytes) = session.minimum_token_bytes {
        insert("MinimumSessionTokenSize", Value::from(bytes));
    }
    Value::Object(members)
}

fn without_policy(request: &Value) -> Value {
    let mut rest = request.clone();
    if let Value::Object(members) = &mut rest {
        members.shift_remove("Policy");
    }
    rest
}

/// The AWS CLI's command for `operation`.
fn command(operation: Operation) -> &'static str {
    match operation {
        Operation::AssumeRole => "assume-role",
        Operation::AssumeRoleWithSaml => "assume-role-with-saml",
        Operation::AssumeRoleWithWebIdentity => "assume-role-with-web-identity",
        Operation::GetFederationToken => "get-federation-token",
        Operation::AssumeRoot => "assume-root",
        Operation::GetSessionToken => "get-session-token",
    }
}

/// The document of a fix that creates what its request relies on.
const CREATE: &str = "create.sh";

/// Commands that create what the fix needs and try the request. Nothing runs unless it is named.
fn script(case: Case<'_>, fix: &Fix, creates: bool) -> String {
    let mut text = format!(
        "#!/bin/sh\n# {}\n# README.md says what this changes and what depends on it.\nset -eu\ncd \"$(dirname \"$0\")\"\ncase \"${{1:-}}\" in\n",
        tame(&fix.title())
    );
    if creates {
        let _ = write!(text, "create)\n    sh ./{CREATE}\n    ;;\n");
    }
    let _ = write!(
        text,
        "try)\n    if grep -E '{PLACEHOLDER}|:{NO_ACCOUNT}:' request.json >&2; then\n        echo 'Fill this in first, in request.json.' >&2\n        exit 1\n    fi\n    \
         # Shows what STS makes of the size, and none of the credentials.\n    \
         aws sts {} --cli-input-json 'file://request.json' \\\n        \
         --query '{{PackedPolicySize:PackedPolicySize,SessionTokenUtilization:SessionTokenUtilization}}'\n    ;;\n",
        command(case.asked.session.operation),
    );
    let words = if creates { "create|try" } else { "try" };
    let _ = write!(text, "*)\n    echo 'usage: sh commands.sh {words}' >&2\n    exit 2\n    ;;\nesac\n");
    text
}

/// `text` in a page: nothing in it is taken for markup, but what stands between backticks is set as code.
fn prose(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    // A backtick without another opens nothing.
    let paired = pieces.len() - usize::from(pieces.len().is_multiple_of(2));
    let mut out = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        if at >= paired {
            out.push_str("\\`");
        }
        out.push_str(&if at % 2 == 1 && at < paired { code(piece) } else { escaped(piece) });
    }
    out
}

/// `text` with everything escaped that Markdown could take for markup.
fn escaped(text: &str) -> String {
    let plain = [',', '.', ':', ';', '\'', '/', '-', '(', ')', '=', '%'];
    let mut out = String::new();
    for character in tame(text).chars() {
        if character.is_ascii_punctuation() && !plain.contains(&character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// `text` as code in a page.
fn code(text: &str) -> String {
    let text = tame(text);
    if text.trim().is_empty() {
        return "(empty)".to_owned();
    }
    let longest = text.split(|one| one != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest > 0 { format!("{fence} {text} {fence}") } else { format!("{fence}{text}{fence}") }
}

fn limit_words(case: Case<'_>) -> String {
    let bytes = case.sizing.limit_bytes;
    match (case.limit_name, case.sizing.regime) {
        (STS, Regime::PackedPolicy) => format!("the limit of STS on the packed policy ({bytes} bytes, until September 2026)"),
        (STS, Regime::SessionToken) => format!("the limit of STS on the session token ({bytes} bytes)"),
        (name, _) => format!("the ceiling {} on the session token ({bytes} bytes)", code(name)),
    }
}

fn range(estimate: Estimate) -> String {
    format!("{:.1} % ({:.1} to {:.1} %)", estimate.value, estimate.low, estimate.high)
}

/// What `change` of `fix` says beyond its title, without the policies themselves, which stand beside it.
pub fn detail(asked: &Asked, fix: &Fix, change: &Change) -> String {
    let policies = [&asked.request.policy, &fix.asked.request.policy];
    policies.into_iter().flatten().fold(change.detail.clone(), |detail, policy| {
        let shown = format!("policy: {}", minified(policy));
        detail.replace(&format!("; {shown}"), "").replace(&format!("{shown}; "), "").replace(&shown, "")
    })
}

/// The page that explains the fix.
fn page(case: Case<'_>, fix: &Fix, files: &[Document]) -> String {
    let operation = case.asked.session.operation;
    let mut text = format!("# {}\n\n", prose(&fix.title()));
    let role = case.asked.role_arn.as_deref().map(|role| format!(" of {}", code(role))).unwrap_or_default();
    let caller = case.caller.map(|caller| format!(" by {}", code(caller))).unwrap_or_default();
    let before = before(case, fix);
    let _ = writeln!(
        text,
        "{operation}{role}{caller} takes {} of {}. With this fix it takes **{}**: {} bytes less. In brackets is the range that holds with 90 % confidence.\n",
        range(before),
        limit_words(case),
        range(fix.after),
        fix.saved_bytes
    );
    text.push_str(match fix.effect {
        Effect::SameMeaning => {
            "**Same meaning.** The session may do exactly what it could before; nothing outside the request has to change.\n"
        }
        Effect::NeedsReview => {
            "**Needs review.** Policies, callers or logs elsewhere may depend on what goes. Somebody who knows them has to look before this is rolled \
             out; what to look for stands with each change.\n"
        }
    });
    text.push_str("\n## What changes\n\n");
    for (number, change) in (1..).zip(&fix.changes) {
        let gap = if number > 1 { "\n" } else { "" };
        let _ = writeln!(text, "{gap}{number}. {} ({}, {})", prose(&change.title), code(change.rule), change.effect);
        let detail = detail(case.asked, fix, change);
        if !detail.is_empty() {
            let _ = writeln!(text, "\n   {}", prose(&detail));
        }
    }
    sizes(&mut text, case, fix, before);
    text.push_str("\n## What to do\n\n");
    for (number, step) in (1..).zip(steps(case, fix, files)) {
        let _ = writeln!(text, "{number}. {step}");
    }
    text.push_str("\n## Files\n\n");
    for file in files {
        let _ = writeln!(text, "- `{}`: {}", file.name, meaning(&file.name));
    }
    text
}

fn sizes(text: &mut String, case: Case<'_>, fix: &Fix, before: Estimate) {
    let unit = match case.sizing.regime {
        Regime::PackedPolicy => "Packed bytes",
        Regime::SessionToken => "Bytes of the token, before base64 makes 4 of 3",
    };
    let _ = writeln!(text, "\n## Before and after\n\n{unit}:\n\n| part | before | after |\n|---|---:|---:|");
    for change in part_changes(case.asked, &fix.asked, case.sizing) {
        let bytes = |bytes: Option<u32>| bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let (old, new) = (bytes(change.before_bytes), bytes(change.after_bytes));
        let mark = if change.is_change() { "**" } else { "" };
        let _ = writeln!(text, "| {} | {old} | {mark}{new}{mark} |", part_words(&change));
    }
    let _ = writeln!(text, "| of the limit | {} | **{}** |", range(before), range(fix.after));
    let engine = percent(&pack(&case.asked.request, case.sizing), &case.asked.session(), case.sizing);
    let shift = before.value - engine.value;
    if shift.abs() >= 0.05 {
        let _ = writeln!(
            text,
            "\nWhat STS logged is {:.1} points {} than these parts account for; the same is taken to hold after the fix.",
            shift.abs(),
            if shift > 0.0 { "more" } else { "less" }
        );
    }
}

fn part_words(change: &PartChange) -> String {
    // In a table a `|` ends a cell also in code.
    let name = if change.name.contains('|') { escaped(&change.name) } else { code(&change.name) };
    match change.part {
        "tags" => format!("tag {name}"),
        "inherited_tags" => format!("inherited tag {name}"),
        "policy_arns" => format!("managed policy {name}"),
        _ => escaped(&change.name),
    }
}

/// What is to be done, told by how the calls differ and not by the rules, so that no change can go unsaid.
fn steps(case: Case<'_>, fix: &Fix, files: &[Document]) -> Vec<String> {
    let (old, new) = (case.asked, &fix.asked);
    let mut steps = Vec::new();
    if fix.effect == Effect::NeedsReview {
        steps.push("Review what changes, above.".to_owned());
    }
    let own: Vec<&str> = files
        .iter()
        .map(|file| file.name.as_str())
        .filter(|name| fix.documents.iter().any(|document| name.ends_with(&safe_name(&document.name, MOST_NAME_CHARS))))
        .collect();
    if !own.is_empty() {
        let names: Vec<String> = own.iter().map(|name| format!("`{name}`")).collect();
        let creates = files.iter().any(|file| file.name == CREATE);
        let how = if creates { ": `sh commands.sh create` does so with the AWS CLI" } else { "" };
        steps.push(format!("Carry out what comes with the fix, {}{how}.", names.join(", ")));
    }
    if old.request.policy != new.request.policy {
        steps.push(match &new.request.policy {
            Some(_) => {
                "Where the request is made, pass the text of `policy.json` as `Policy`. `policy.diff` shows what differs.".to_owned()
            }
            None => "Where the request is made, pass no `Policy` any more.".to_owned(),
        });
    }
    if old.request.policy_arns != new.request.policy_arns {
        steps.push(format!(
            "Pass the `PolicyArns` of `request.json`; in ARNs with account {NO_ACCOUNT} put the account and the name of your own policy."
        ));
    }
    if old.request.tags != new.request.tags {
        let keys = |from: &Asked, to: &Asked| -> Vec<String> {
            let missing = |(key, value): &&(String, String)| !to.request.tags.iter().any(|other| (&other.0, &other.1) == (key, value));
            from.request.tags.iter().filter(missing).map(|(key, _)| code(key)).collect()
        };
        let (gone, come) = (keys(old, new), keys(new, old));
        let mut step = "Change the session tags".to_owned();
        if !gone.is_empty() {
            let _ = write!(step, "; no longer pass {}", gone.join(", "));
        }
        if !come.is_empty() {
            let _ = write!(step, "; pass {} as in `request.json`", come.join(", "));
        }
        steps.push(format!("{step}."));
    }
    if old.request.inherited_tags != new.request.inherited_tags {
        steps.push("Change the inherited tags where the calling session is made: they are no part of this request.".to_owned());
    }
    if old.session().source_identity_bytes != new.session().source_identity_bytes || old.source_identity != new.source_identity {
        steps.push("Pass the `SourceIdentity` of `request.json`; the role's trust policy must allow `sts:SetSourceIdentity`.".to_owned());
    }
    if old.session().session_name_bytes != new.session().session_name_bytes || old.session_name != new.session_name {
        steps.push("Choose the session name as said above.".to_owned());
    }
    if old.session.minimum_token_bytes != new.session.minimum_token_bytes {
        steps.push(match new.session.minimum_token_bytes {
            Some(bytes) => format!("Pass {bytes} as `MinimumSessionTokenSize`."),
            None => "Pass no `MinimumSessionTokenSize` any more.".to_owned(),
        });
    }
    let mut step =
        "Try it: `sh commands.sh try` makes the request of `request.json` with your credentials and shows what STS makes of its size."
            .to_owned();
    if case.asked.session_name.is_none() {
        step.push_str(" Of a logged request neither its names nor duration, external ID, MFA code and transitive tag keys are kept: pass them as you do today.");
    }
    steps.push(step);
    steps
}

fn meaning(name: &str) -> &'static str {
    match name {
        "policy.json" => "the session policy to send, without white space",
        "policy.pretty.json" => "the same to read, as `jq .` prints it",
        "policy.diff" => "what differs from the policy as it is, both as `jq .` prints them",
        "request.json" => "the whole request, for `--cli-input-json` of the AWS CLI",
        "request.diff" => "what differs from the request as it is, its policy apart",
        "commands.sh" => "the commands; without a word behind it, it does nothing",
        CREATE => "creates the managed policies with the AWS CLI",
        "main.tf" => "the same for Terraform",
        "session-parameters.json" => "policy, ARNs and tags to pass, for `--cli-input-json`",
        _ if name.starts_with("managed-policy") => "a managed policy to create",
        _ if name.ends_with(".sh") => "commands for this fix",
        _ => "for this fix, see what changes",
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::packing::{CallerKind, Profile, Request};

    fn asked(policy: Option<&str>, tags: &[(&str, &str)]) -> Asked {
        Asked {
            request: Request {
                policy: policy.map(str::to_owned),
                tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
                ..Request::default()
            },
            role_arn: Some("arn:aws:iam::111122223333:role/app".to_owned()),
            ..Asked::new(Operation::AssumeRole, CallerKind::IamUser)
        }
    }

    fn fix(title: &str, after: Asked, documents: &[&str]) -> Fix {
        Fix {
            changes: vec![Change { rule: "a-rule", effect: Effect::NeedsReview, title: title.to_owned(), detail: title.to_owned() }],
            effect: Effect::NeedsReview,
            before_percent: 90.0,
            after: Estimate { value: 60.0, low: 58.0, high: 63.0 },
            saved_bytes: 100,
            asked: after,
            documents: documents.iter().map(|name| Document { name: (*name).to_owned(), text: "true\n".to_owned() }).collect(),
        }
    }

    fn files(before: &Asked, fix: &Fix) -> Vec<Document> {
        let profile = Profile::builtin();
        folder(Case { asked: before, caller: Some("somebody"), sizing: &profile.session_token, limit_name: STS }, fix)
    }

    fn text<'a>(files: &'a [Document], name: &str) -> Option<&'a str> {
        files.iter().find(|file| file.name == name).map(|file| file.text.as_str())
    }

    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Action":["s3:Get*","s3:Put*"],"Resource":"a\"b{[,:]}\\"},{"Effect":"Deny","Action":[],"Resource":"*","Condition":{"NumericLessThan":{"x":1.50}}}]}"#;

    #[test]
    fn a_readable_policy_is_laid_out_as_jq_does_it_with_its_numbers_as_they_are() {
        let lines = pretty(POLICY);
        assert!(lines.starts_with("{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\n      \"Sid\": \"A\",\n"), "{lines}");
        assert!(lines.contains("\"Action\": [],\n") && lines.contains("\"x\": 1.50\n") && lines.ends_with("  ]\n}\n"), "{lines}");
        assert_eq!(minified(&lines), POLICY);
        assert_eq!(pretty("{}"), "{}\n");
    }

    #[test]
    fn a_changed_policy_has_a_diff_and_a_dropped_one_has_no_file_but_that() {
        let before = asked(Some(POLICY), &[("team", "blue")]);
        let changed = files(&before, &fix("drop a Sid", asked(Some(&POLICY.replace(r#""Sid":"A","#, "")), &[("team", "blue")]), &[]));
        assert!(text(&changed, "policy.diff").unwrap().contains("\n-      \"Sid\": \"A\",\n"));
        assert_eq!(text(&changed, "request.diff"), None);
        assert!(!text(&changed, "policy.json").unwrap().contains(['\n', ' ']));
        let dropped = files(&before, &fix("use a managed policy", asked(None, &[("team", "blue")]), &[]));
        assert_eq!((text(&dropped, "policy.json"), text(&dropped, "policy.pretty.json")), (None, None));
        assert!(text(&dropped, "policy.diff").unwrap().starts_with("--- a/policy.pretty.json\n+++ /dev/null\n"));
        assert!(!text(&dropped, "request.json").unwrap().contains("\"Policy\""));
        let tags = files(&before, &fix("drop a tag", asked(Some(POLICY), &[]), &[]));
        assert_eq!(text(&tags, "policy.diff"), None);
        assert!(text(&tags, "request.diff").unwrap().contains("\n-      \"Key\": \"team\",\n"));
        assert!(text(&tags, "README.md").unwrap().contains("no longer pass `team`."));
    }

    #[test]
    fn every_operation_has_the_parameters_it_needs_and_no_others() {
        for (operation, names) in [
            (Operation::AssumeRole, &["RoleArn", "RoleSessionName", "Policy", "Tags", "SourceIdentity"][..]),
            (Operation::AssumeRoleWithSaml, &["RoleArn", "PrincipalArn", "SAMLAssertion", "Policy"]),
            (Operation::AssumeRoleWithWebIdentity, &["RoleArn", "RoleSessionName", "WebIdentityToken", "Policy"]),
            (Operation::GetFederationToken, &["Name", "Policy", "Tags"]),
        ] {
            let mut call = asked(Some(POLICY), &[("team", "blue")]);
            call.session.operation = operation;
            call.source_identity = Some("jane".to_owned());
            let Value::Object(members) = request(&call, call.request.policy.as_deref()) else { panic!() };
            assert_eq!(members.keys().collect::<Vec<_>>(), names, "{operation}");
        }
        let mut call = asked(None, &[("Team", "blue")]);
        call.transitive_tag_keys = vec!["team".to_owned(), "gone".to_owned()];
        assert_eq!(request(&call, None)["TransitiveTagKeys"], json!(["team"]));
        assert_eq!(request(&call, None)["RoleSessionName"], "REPLACE-WITH-THE-SESSION-NAME");
    }

    #[test]
    fn documents_of_a_fix_keep_their_names_and_take_nobody_elses() {
        let before = asked(Some(POLICY), &[]);
        let all = files(&before, &fix("x", asked(None, &[]), &["create.sh", "main.tf", "README.md", "../policy.diff", "request.json"]));
        let names: Vec<&str> = all.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "README.md",
                "policy.diff",
                "request.json",
                "create.sh",
                "main.tf",
                "more-README.md",
                "more-policy.diff",
                "more-request.json",
                "commands.sh"
            ]
        );
        assert!(text(&all, "commands.sh").unwrap().contains("create)\n    sh ./create.sh\n"));
        assert!(text(&all, "README.md").unwrap().contains("`sh commands.sh create`"));
    }

    proptest! {
        #[test]
        fn a_name_of_a_file_is_safe_whatever_it_is_made_of(text in any::<String>(), most in 1_usize..80) {
            let name = safe_name(&text, most);
            prop_assert!(!name.is_empty() && name.len() <= most.max("unnamed".len()));
            prop_assert!(name.bytes().all(|one| one.is_ascii_alphanumeric() || b"-_.".contains(&one)));
            prop_assert!(!name.starts_with(['-', '.']) && !name.ends_with('.') && !name.contains(".."));
            prop_assert_eq!(safe_name(&name, usize::MAX), name);
        }

        #[test]
        fn whatever_names_hold_a_page_shows_them_as_text(title in "[<>`|*_\\\\\\[\\]()#!&~\\x00\\n\u{202e}a-c ]{0,24}") {
            let before = asked(Some(POLICY), &[(&title, "x"), ("other", "y")]);
            let all = files(&before, &fix(&title, asked(Some(POLICY), &[("other", "y")]), &[]));
            let page = text(&all, "README.md").unwrap();
            // Nothing breaks a line, so that headings and rows of the table are ours alone.
            prop_assert_eq!(page.lines().filter(|line| line.starts_with('#')).count(), 5);
            prop_assert!(page.lines().filter(|line| line.starts_with("| ")).all(|line| line.replace("\\|", "").matches('|').count() == 4));
            let bare = page.split('`').step_by(2).collect::<String>();
            prop_assert!(title.contains('`') || !bare.replace("\\<", "").contains('<'));
            prop_assert!(!page.contains(['\u{202e}', '\0']), "{}", page);
        }
    }

    #[cfg(unix)]
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_title_is_a_comment_of_the_script_whatever_is_in_it(title in "[\"'$`();&|<>\\\\\\n\\r\\x00#!{}a-c ]{0,32}") {
            let script = script_of(&title);
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("commands.sh");
            std::fs::write(&path, &script).unwrap();
            let ran = Command::new("sh").arg(&path).output().unwrap();
            prop_assert_eq!(ran.status.code(), Some(2), "{}", script);
            prop_assert_eq!(String::from_utf8_lossy(&ran.stderr), "usage: sh commands.sh try\n");
            prop_assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    fn script_of(title: &str) -> String {
        let before = asked(None, &[("team", "blue")]);
        let all = files(&before, &fix(title, asked(None, &[]), &[]));
        text(&all, "commands.sh").unwrap().to_owned()
    }
}
