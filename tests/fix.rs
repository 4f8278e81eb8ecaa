//! `packtrail fix` as its users meet it: the built command.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// Runs `packtrail fix` with `input` on its standard input.
fn run(input: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_packtrail"))
        .arg("fix")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Wrong usage ends the command before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What is printed for the request in `input`.
fn said(input: &Value, arguments: &[&str]) -> String {
    let ran = run(&input.to_string(), &[&["--from-event", "-"], arguments].concat());
    assert_eq!((ran.status.code(), text(&ran.stderr)), (Some(0), String::new()));
    text(&ran.stdout)
}

/// The JSON answer for the request in `input`.
fn answer(input: &Value, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(input, &[&["--json"], arguments].concat())).unwrap()
}

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"ReadTheLogs","Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]},{"Sid":"ReadTheOrders","Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::orders","arn:aws:s3:::orders/*"]}]}"#;

fn request() -> Value {
    json!({
        "RoleArn": "arn:aws:iam::111122223333:role/app",
        "RoleSessionName": "jane",
        "Policy": POLICY,
        "Tags": [{ "Key": "entitlements", "Value": "x".repeat(250) }, { "Key": "team", "Value": "payments" }],
        "TransitiveTagKeys": ["entitlements"],
        "SourceIdentity": "jane.doe"
    })
}

fn record(parameters: &Value, response: &Value, kind: &str) -> Value {
    json!({
        "eventVersion": "1.11", "userIdentity": { "type": kind, "arn": "arn:aws:iam::111122223333:user/broker", "accountId": "111122223333" },
        "eventTime": "2026-09-20T10:00:00Z", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "awsRegion": "eu-west-1",
        "requestParameters": parameters, "responseElements": response, "eventID": "73f2922c", "recipientAccountId": "111122223333"
    })
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Every file below `directory`, with its text.
fn files(directory: &Path) -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(directory, &mut found);
    found.sort();
    let key = |path: &Path| path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (key(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_answer_in_json_has_every_member_it_promises_best_first() {
    let told = answer(&request(), &["--ceiling=proxy=1600"]);
    assert_eq!(
        names(&told),
        [
            "regime",
            "operation",
            "limit_name",
            "limit_bytes",
            "before_percent",
            "before_low_percent",
            "before_high_percent",
            "target_percent",
            "fixes",
            "smallest_same_meaning",
            "reason",
            "problems",
            "notes"
        ]
    );
    assert_eq!((&told["limit_name"], &told["limit_bytes"], &told["target_percent"]), (&json!("proxy"), &json!(1600), &json!(70.0)));
    assert_eq!((&told["reason"], &told["problems"]), (&Value::Null, &json!([])));
    let before = told["before_percent"].as_f64().unwrap();
    let fixes = told["fixes"].as_array().unwrap();
    assert!(fixes.len() > 2);
    for fix in fixes {
        assert_eq!(
            names(fix),
            [
                "rule",
                "title",
                "effect",
                "after_percent",
                "after_low_percent",
                "after_high_percent",
                "saved_bytes",
                "policy",
                "policy_arns",
                "tags",
                "inherited_tags",
                "session_name",
                "source_identity",
                "minimum_session_token_size",
                "detail",
                "changes",
                "parts",
                "documents",
                "folder"
            ]
        );
        let number = |name: &str| fix[name].as_f64().unwrap();
        assert!(number("after_low_percent") <= number("after_percent") && number("after_percent") <= number("after_high_percent"));
        assert!(number("after_percent") < before && number("saved_bytes") > 0.0);
        assert!(["same-meaning", "needs-review"].contains(&fix["effect"].as_str().unwrap()));
        // What is saved is what the parts say.
        let sum = |name: &str| fix["parts"].as_array().unwrap().iter().filter_map(|part| part[name].as_u64()).sum::<u64>();
        assert_eq!(sum("before_bytes") - sum("after_bytes"), fix["saved_bytes"].as_u64().unwrap(), "{}", fix["rule"]);
        if let Some(policy) = fix["policy"].as_str() {
            assert!(serde_json::from_str::<Value>(policy).unwrap().is_object());
        }
    }
    let with_policy = |expected: bool| fixes.iter().filter(|fix| fix["policy"].is_null() != expected).count();
    assert!(with_policy(true) > 0 && with_policy(false) > 0, "a fix that drops the policy says null");
    let reaches = |fix: &Value| fix["after_percent"].as_f64().unwrap() < 70.0;
    assert!(fixes.windows(2).all(|two| reaches(&two[0]) || !reaches(&two[1])), "those that reach the target come first");
}

#[test]
fn each_fix_is_priced_as_estimate_prices_the_changed_request() {
    for fix in answer(&request(), &["--ceiling=proxy=1600"])["fixes"].as_array().unwrap() {
        let mut changed =
            json!({ "RoleArn": "arn:aws:iam::111122223333:role/app", "RoleSessionName": fix["session_name"], "Tags": fix["tags"] });
        changed["PolicyArns"] = fix["policy_arns"].as_array().unwrap().iter().map(|arn| json!({ "arn": arn })).collect();
        for (name, value) in [("Policy", &fix["policy"]), ("SourceIdentity", &fix["source_identity"])] {
            if !value.is_null() {
                changed[name] = value.clone();
            }
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_packtrail"))
            .args(["estimate", "--json", "--from-event", "-", "--ceiling=proxy=1600"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(changed.to_string().as_bytes()).unwrap();
        let priced: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(priced["ceilings"][0]["percent"], fix["after_percent"], "{}", fix["rule"]);
        // An ARN that is yet to be filled in apart, STS takes what is proposed.
        let mut problems =
            priced["problems"].as_array().unwrap().iter().filter(|one| !one["message"].to_string().contains(":000000000000:"));
        assert_eq!(problems.next(), None, "{}", fix["rule"]);
    }
}

#[test]
fn people_get_the_size_by_part_and_each_fix_with_what_to_send() {
    let told = said(&request(), &["--target=30", "--ceiling=proxy=1600"]);
    assert!(told.lines().next().unwrap().ends_with(" of 4,096 bytes of token, since September 2026"), "{told}");
    assert!(told.contains("\nWhat each part costs") && told.contains("  tag entitlements\n"), "{told}");
    assert!(told.contains("% of ceiling proxy; none of these reaches the target of 30 %. Best first:\n\n1. "), "{told}");
    assert!(told.contains(", needs review, ") && told.contains(", same meaning, ") && told.contains(" bytes saved\n"), "{told}");
    assert!(
        told.contains("   policy to send:\n{\"Version\":\"2012-10-17\"") && told.contains("   no inline policy is sent any more\n"),
        "{told}"
    );
    assert!(!told.contains('█') && !told.contains('…'), "a pipe gets everything and no bars");
    let under = said(&request(), &[]);
    assert!(under.contains(" %, under the target of 70 % as it is. What would make it smaller still, best first:\n"), "{under}");
}

#[test]
fn where_nothing_can_be_changed_it_is_said_why() {
    let service = record(&json!({ "roleArn": "arn:aws:iam::111122223333:role/app", "policy": POLICY }), &Value::Null, "AWSService");
    let nothing = json!({ "RoleArn": "arn:aws:iam::111122223333:role/app", "RoleSessionName": "jane" });
    for (input, more, why) in [
        (&service, &[][..], "an AWS service makes this request: nobody here can change it"),
        (&nothing, &[], "it passes no policy and no tags that could be made smaller"),
    ] {
        let told = answer(input, more);
        assert_eq!((&told["fixes"], &told["reason"]), (&json!([]), &json!(why)));
        assert!(said(input, more).contains(&format!("Nothing to change: {why}.\n")));
        let out = tempfile::tempdir().unwrap();
        said(input, &[more, &["--out", out.path().to_str().unwrap()]].concat());
        assert_eq!(files(out.path()), []);
    }
}

#[test]
fn a_federated_user_and_the_old_limit_get_fixes_too() {
    let mut federated = json!({ "Name": "jane", "Policy": POLICY, "Tags": request()["Tags"] });
    let told = answer(&federated, &["--regime=packed-policy"]);
    assert_eq!(
        (&told["operation"], &told["regime"], &told["limit_bytes"]),
        (&json!("GetFederationToken"), &json!("packed-policy"), &json!(460))
    );
    assert!(told["before_percent"].as_f64().unwrap() > 70.0 && !told["fixes"].as_array().unwrap().is_empty());
    federated["MinimumSessionTokenSize"] = json!(4000);
    let told = answer(&federated, &[]);
    assert!(told["before_percent"].as_f64().unwrap() > 95.0);
    assert!(told["fixes"].as_array().unwrap().iter().any(|fix| fix["minimum_session_token_size"].is_null()), "{told}");
}

#[test]
fn a_recorded_call_is_priced_from_what_sts_logged() {
    let parameters = json!({ "roleArn": "arn:aws:iam::111122223333:role/app", "roleSessionName": "jane", "policy": POLICY,
        "tags": [{ "key": "entitlements", "value": "x".repeat(250) }] });
    let response = json!({ "sessionTokenSize": 3600, "sessionTokenUtilization": 87, "packedPolicySize": 87 });
    let told = answer(&record(&parameters, &response, "IAMUser"), &[]);
    assert_eq!(told["before_percent"], 87.89);
    assert!(told["fixes"][0]["after_percent"].as_f64().unwrap() > 60.0, "what STS adds stays");
    let printed = said(&record(&parameters, &response, "IAMUser"), &[]);
    assert!(printed.contains("STS granted this and logged 87 % and a session token of 3,600 bytes\n"), "{printed}");
    // A request that is changed by an option is not what STS logged.
    assert!(answer(&record(&parameters, &response, "IAMUser"), &["--tag=a=b"])["before_percent"].as_f64().unwrap() < 60.0);
}

#[test]
fn a_policy_or_a_file_that_cannot_be_read_is_named_with_its_place_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (policy, actions, out) = (path("policy.json"), path("actions.json"), path("out"));
    let refused = |code: i32, input: &str, arguments: &[&str]| {
        let ran = run(input, &[arguments, &["--out", &out]].concat());
        assert_eq!((ran.status.code(), text(&ran.stdout)), (Some(code), String::new()), "{}", text(&ran.stderr));
        assert!(!Path::new(&out).exists());
        text(&ran.stderr)
    };
    fs::write(&policy, "{\n  \"Statement\": [,\n").unwrap();
    let told = refused(1, "", &["--policy", &policy]);
    assert!(told.starts_with(&format!("packtrail: --policy `{policy}`: ")) && told.contains("line 2 column 17"), "{told}");
    let told = refused(1, "{\"Statement\": oops}", &["--policy", "-"]);
    assert!(told.starts_with("packtrail: --policy `-`: ") && told.contains("line 1 column 15"), "{told}");
    let told = refused(1, &json!({ "RoleArn": "", "Policy": "[1]" }).to_string(), &["--from-event", "-"]);
    assert!(told.starts_with("packtrail: --from-event `-`: policy: ") && told.contains("line 1 column 1"), "{told}");
    let told = refused(1, "{\"Statement\": {\"Effect\": \"allow\",\n \"Action\": \"*\", \"Resource\": \"*\"}}", &["--policy", "-"]);
    assert_eq!(told, "packtrail: --policy `-`: expected Allow or Deny at line 1 column 26\n");
    fs::write(&actions, "{\n \"s3\": [,").unwrap();
    assert_eq!(refused(1, "", &["--actions", &actions]), format!("packtrail: --actions `{actions}`: no JSON: line 2 column 9\n"));
    fs::write(&actions, "{\"s3\": \"GetObject\"}").unwrap();
    assert!(refused(1, "", &["--actions", &actions]).contains("expected an object with a list of action names for each service prefix"));
    assert!(refused(2, "", &["--actions", "no-such-file"]).contains("--actions: no such file: `no-such-file`"));
    let details = path("details.json");
    fs::write(&details, "{\"UserDetailList\": []\n").unwrap();
    let told = refused(1, "", &["--authorization-details", &details]);
    assert_eq!(told, format!("packtrail: --authorization-details `{details}`: no JSON: line 2 column 0\n"));
    fs::write(&details, "{\"UserDetailList\": []}").unwrap();
    assert!(refused(1, "", &["--authorization-details", &details]).contains("expected an object with `UserDetailList`"));
    for target in ["0", "-1", "100.5", "NaN", "much"] {
        assert!(refused(2, "", &[&format!("--target={target}")]).contains("expected a percentage above 0, 100 at most"));
    }
}

#[test]
fn out_holds_a_folder_for_each_fix_that_can_be_used_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let told = answer(&request(), &["--out", out.to_str().unwrap()]);
    let before = directory.path().join("before.json");
    fs::write(&before, format!("{:#}\n", serde_json::from_str::<Value>(POLICY).unwrap())).unwrap();
    for fix in told["fixes"].as_array().unwrap() {
        let folder = out.join(fix["folder"].as_str().unwrap());
        let read = |name: &str| fs::read_to_string(folder.join(name));
        let page = read("README.md").unwrap();
        for section in ["\n## What changes\n", "\n## Before and after\n", "\n## What to do\n", "\n## Files\n"] {
            assert_eq!(page.matches(section).count(), 1, "{page}");
        }
        assert_eq!(page.contains("**Needs review.**"), fix["effect"] == "needs-review");
        assert_eq!(read("policy.json").ok().as_deref(), fix["policy"].as_str());
        let request: Value = serde_json::from_str(&read("request.json").unwrap()).unwrap();
        assert_eq!((&request["RoleSessionName"], &request["SourceIdentity"]), (&json!("jane"), &json!("jane.doe")));
        assert_eq!(request.get("Policy").unwrap_or(&Value::Null), &fix["policy"]);
        let keys = |of: &Value, key: &str| of.as_array().map_or(Vec::new(), |all| all.iter().map(|one| one[key].clone()).collect());
        assert_eq!(keys(&request["Tags"], "Key"), keys(&fix["tags"], "Key"));
        assert_eq!(fix["policy"] != POLICY, folder.join("policy.diff").exists());
        if folder.join("policy.diff").exists() && !fix["policy"].is_null() {
            let patched =
                Command::new("patch").arg("-o").arg(directory.path().join("patched")).arg(&before).arg(folder.join("policy.diff")).output();
            // Where there is no patch, the diff is tested as text in its room.
            if let Ok(patched) = patched {
                assert!(patched.status.success(), "{}", text(&patched.stdout));
                assert_eq!(fs::read_to_string(directory.path().join("patched")).unwrap(), read("policy.pretty.json").unwrap());
            }
        }
        for (name, _) in files(&folder) {
            if name.ends_with(".sh") {
                let checked = Command::new("bash").arg("-n").arg(folder.join(&name)).output();
                assert!(checked.is_ok_and(|checked| checked.status.success()), "{name}");
            }
            if name.ends_with(".json") {
                serde_json::from_str::<Value>(&read(&name).unwrap()).unwrap();
            }
            assert!(page.contains(&format!("- `{name}`: ")) || name == "README.md", "{name} is explained");
        }
    }
    // Of what it wrote before, it leaves nothing that no longer is.
    fs::write(out.join("own"), "").unwrap();
    let nothing = json!({ "RoleArn": "arn:aws:iam::111122223333:role/app", "RoleSessionName": "jane" });
    said(&nothing, &["--out", out.to_str().unwrap()]);
    assert_eq!(files(&out), [("own".to_owned(), String::new())]);
}

#[test]
fn an_answer_about_the_account_tells_which_tags_nobody_reads() {
    let details = tempfile::NamedTempFile::new().unwrap();
    let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole",
        "Condition": { "StringEquals": { "aws:RequestTag/team": "payments" } } }] });
    let role = json!({ "RoleName": "app", "Arn": "arn:aws:iam::111122223333:role/app", "AssumeRolePolicyDocument": trust, "RolePolicyList": [],
        "AttachedManagedPolicies": [] });
    let answer_of_iam =
        json!({ "UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [role], "Policies": [], "IsTruncated": false });
    fs::write(details.path(), answer_of_iam.to_string()).unwrap();
    let with = answer(&request(), &["--authorization-details", details.path().to_str().unwrap()]);
    let keys = |told: &Value| -> Vec<String> {
        told["fixes"].as_array().unwrap().iter().map(|fix| fix["rule"].as_str().unwrap().to_owned()).collect()
    };
    assert!(keys(&with).iter().any(|rule| rule.contains("drop-unread-tags")), "{:?}", keys(&with));
    assert!(!keys(&answer(&request(), &[])).iter().any(|rule| rule.contains("drop-unread-tags")));
}

#[test]
fn secrets_of_a_record_reach_neither_text_nor_json_nor_files() {
    let parameters = json!({ "roleArn": "arn:aws:iam::111122223333:role/app", "roleSessionName": "jane", "policy": POLICY, "tokenCode": "SECRETCODE",
        "tags": [{ "key": "entitlements", "value": "x".repeat(250) }] });
    let response =
        json!({ "packedPolicySize": 80, "credentials": { "accessKeyId": "ASIASECRET", "sessionToken": "SECRETTOKEN".repeat(60) } });
    let out = tempfile::tempdir().unwrap();
    let event = record(&parameters, &response, "IAMUser");
    let mut all = said(&event, &["--out", out.path().to_str().unwrap()]) + &said(&event, &["--json"]);
    all.extend(files(out.path()).into_iter().map(|(_, text)| text));
    assert!(all.contains("entitlements") && !all.contains("SECRET"), "{all}");
}

#[test]
fn what_sts_would_refuse_anyway_is_said_beside_the_fixes() {
    let mut call = request();
    call["Tags"][1]["Key"] = json!("ENTITLEMENTS");
    let told = answer(&call, &[]);
    assert_eq!(told["problems"][0]["where"], "tags[1].key");
    assert!(said(&call, &[]).contains("STS would refuse this: tags[1].key: "));
}

#[test]
fn the_picture_in_readme_is_what_is_said() {
    let table = |name: &str| format!("arn:aws:dynamodb:eu-west-1:111122223333:table/{name}");
    let statement = |sid: &str, of: &str| json!({ "Sid": sid, "Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:Query"], "Resource": table(of) });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement("Orders", "orders"), statement("Receipts", "receipts")] });
    let entitlements = "orders:read orders:write receipts:read receipts:write invoices:read";
    let request = json!({
        "RoleArn": "arn:aws:iam::111122223333:role/orders-session",
        "RoleSessionName": "jane",
        "Policy": policy.to_string(),
        "Tags": [{ "Key": "entitlements", "Value": entitlements }, { "Key": "team", "Value": "payments" }]
    });
    let told = said(&request, &["--ceiling=eks-authenticator=1450"]);
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, picture) = readme.split_once("--ceiling eks-authenticator=1450 --out smaller\n```\n\n```text\n").unwrap();
    let (picture, _) = picture.split_once("\n```").unwrap();
    let mut lines = told.lines();
    for shown in picture.lines().filter(|line| *line != "…") {
        let is_shown = |line: &str| shown.strip_suffix('…').map_or(line == shown, |start| line.starts_with(start));
        assert!(lines.any(is_shown), "README shows `{shown}`, and this is said:\n{told}");
    }
    assert!(picture.lines().count() > 15);
}
