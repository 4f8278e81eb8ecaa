//! `packtrail estimate` as its users meet it: the built command, and the one call of the library.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use packtrail::packing::{Asked, CallerKind, Operation, Profile, Regime, Request, estimate, pack, percent};
use serde_json::{Value, json};

/// Runs `packtrail estimate` with `input` on its standard input.
fn run(input: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_packtrail"))
        .arg("estimate")
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

/// The JSON answer for the request in `input`.
fn answer(input: &str, arguments: &[&str]) -> Value {
    let ran = run(input, &[&["--from-event", "-", "--json"], arguments].concat());
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

/// `where: message` of every problem.
fn problems(answer: &Value) -> Vec<String> {
    let told = answer["problems"].as_array().unwrap().iter();
    told.map(|one| format!("{}: {}", one["where"].as_str().unwrap(), one["message"].as_str().unwrap())).collect()
}

fn part<'a>(answer: &'a Value, part: &str) -> Vec<&'a Value> {
    answer["parts"].as_array().unwrap().iter().filter(|row| row["part"] == part).collect()
}

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]},{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"arn:aws:dynamodb:eu-west-1:111122223333:table/orders"}]}"#;

fn skeleton() -> Value {
    json!({
        "RoleArn": "arn:aws:iam::111122223333:role/app",
        "RoleSessionName": "jane",
        "PolicyArns": [{ "arn": "arn:aws:iam::aws:policy/ReadOnlyAccess" }],
        "Policy": POLICY,
        "DurationSeconds": 3600,
        "Tags": [{ "Key": "team", "Value": "payments" }, { "Key": "Cost", "Value": "" }],
        "TransitiveTagKeys": ["TEAM"],
        "ExternalId": "",
        "SerialNumber": "",
        "TokenCode": "",
        "SourceIdentity": "jane.doe",
        "ProvidedContexts": [{ "ProviderArn": "", "ContextAssertion": "" }]
    })
}

/// `value` as Python prints it.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        Value::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("'{key}': {}", python(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

fn record(name: &str, parameters: &Value, response: &Value) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/broker", "accountId": "111122223333" },
        "eventTime": "2026-09-20T10:00:00Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "requestParameters": parameters,
        "responseElements": response,
        "eventID": "73f2922c-c39f-7c69-9c9c-3e1e72e95e0e",
        "recipientAccountId": "111122223333"
    })
}

#[test]
fn one_request_is_one_answer_however_it_is_written() {
    let direct = {
        let directory = tempfile::tempdir().unwrap();
        let policy = directory.path().join("policy.json");
        fs::write(&policy, POLICY).unwrap();
        let ran = run(
            "",
            &[
                "--policy",
                policy.to_str().unwrap(),
                "--policy-arn=arn:aws:iam::aws:policy/ReadOnlyAccess",
                "--tag=team=payments",
                "--tag=Cost=",
                "--session-name=jane",
                "--source-identity=jane.doe",
                "--json",
            ],
        );
        serde_json::from_slice::<Value>(&ran.stdout).unwrap()
    };
    assert_eq!(direct["problems"], json!([]));
    let request = skeleton();
    let call = format!(
        "# assumed by the broker\nanswer = boto3.client.assume_role(**{}, RoleSessionName='ja' \"ne\",)",
        python(&request).replace("'RoleSessionName': 'jane', ", "")
    );
    let dumped: Value = serde_json::from_str(POLICY).unwrap();
    let dumps = python(&request).replace(&python(&Value::from(POLICY)), &format!("json.dumps({}, separators=(',', ':'))", python(&dumped)));
    for written in [request.to_string(), format!("{request:#}"), format!("\u{feff}{request}"), python(&request), call, dumps] {
        let told = answer(&written, &[]);
        assert_eq!(told, direct, "{written}");
    }
    let recorded = json!({
        "roleArn": "arn:aws:iam::111122223333:role/app", "roleSessionName": "jane", "policy": POLICY, "sourceIdentity": "jane.doe",
        "policyArns": [{ "arn": "arn:aws:iam::aws:policy/ReadOnlyAccess" }],
        "tags": [{ "value": "payments", "key": "team" }, { "key": "Cost", "value": "" }]
    });
    assert_eq!(answer(&recorded.to_string(), &[]), direct);
    let whole = record("AssumeRole", &recorded, &json!({ "packedPolicySize": 50 }));
    let told = answer(&whole.to_string(), &["--caller-kind", "AssumedRole", "--regime", "session-token"]);
    assert_eq!((&told["parts"], &told["limits"][0]), (&direct["parts"], &direct["limits"][0]));
}

#[test]
fn an_untouched_skeleton_passes_nothing() {
    let untouched = json!({
        "RoleArn": "", "RoleSessionName": "", "PolicyArns": [{ "arn": "" }], "Policy": "", "DurationSeconds": 0,
        "Tags": [{ "Key": "", "Value": "" }], "TransitiveTagKeys": [""], "ExternalId": "", "SerialNumber": "", "TokenCode": "",
        "SourceIdentity": "", "ProvidedContexts": [{ "ProviderArn": "", "ContextAssertion": "" }]
    });
    let told = answer(&untouched.to_string(), &[]);
    assert_eq!(told["packed_bytes"], 0);
    assert_eq!(problems(&told), ["role_arn: AssumeRole needs `RoleArn`", "session_name: AssumeRole needs `RoleSessionName`"]);
    assert_eq!(problems(&answer(&untouched.to_string(), &["--session-name", "jane"])).len(), 1);
}

#[test]
fn the_operation_is_told_by_the_parameters_unless_it_is_given() {
    for (request, operation) in [
        (json!({ "RoleArn": "", "PrincipalArn": "", "SAMLAssertion": "" }), "AssumeRoleWithSAML"),
        (json!({ "RoleArn": "", "RoleSessionName": "", "WebIdentityToken": "", "ProviderId": "" }), "AssumeRoleWithWebIdentity"),
        (json!({ "Name": "jane", "Policy": POLICY }), "GetFederationToken"),
        (json!({ "TargetPrincipal": "", "TaskPolicyArn": { "arn": "" } }), "AssumeRoot"),
        (json!({ "DurationSeconds": 900, "SerialNumber": "", "TokenCode": "" }), "GetSessionToken"),
        (json!({ "RoleArn": "", "Tags": [] }), "AssumeRole"),
    ] {
        assert_eq!(answer(&request.to_string(), &[])["operation"], operation);
        assert_eq!(answer(&request.to_string(), &["--operation", "AssumeRole"])["operation"], "AssumeRole");
    }
    assert_eq!(answer("sts.get_session_token()", &[])["operation"], "GetSessionToken");
    assert_eq!(answer("get_federation_token(Name='jane', Policy='{}')", &[])["operation"], "GetFederationToken");
}

#[test]
fn options_beside_a_request_replace_and_add() {
    let directory = tempfile::tempdir().unwrap();
    let policy = directory.path().join("policy.json");
    fs::write(&policy, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#).unwrap();
    let told = answer(
        &skeleton().to_string(),
        &[
            "--policy",
            policy.to_str().unwrap(),
            "--tag=TEAM=x",
            "--tag=new=1",
            "--policy-arn=arn:aws:iam::111122223333:policy/own",
            "--session-name=somebody-else",
            "--inherited-tag=project=atlas",
        ],
    );
    assert_eq!(problems(&told), Vec::<String>::new());
    let names = |kind: &str| part(&told, kind).iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names("statement"), ["statement 1"]);
    assert_eq!(names("tags").len(), 3);
    assert!(names("tags").contains(&"TEAM".to_owned()) && !names("tags").contains(&"team".to_owned()));
    assert_eq!(names("policy_arns").len(), 2);
    assert_eq!(part(&told, "session_name")[0]["bytes"], 13);
    assert_eq!(names("inherited_tags"), ["project"]);
}

#[test]
fn a_pasted_call_with_slips_is_priced_and_every_slip_is_named() {
    let call = r#"
response = sts_client.assume_role(
    RoleArn="arn:aws:iam::111122223333:role/app",
    RoleSessionName="jane doe",
    Policy=json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Sid": "Read", "Effect": "allow", "Actions": ["s3:GetObject"], "Resource": "*"}],
    }),
    Tags=[{"Key": "team", "Value": "payments"}, {"Key": "Team", "Value": "x"}, {"key": "cost", "Vlaue": 12}, {"Key": "a#"}],
    PolicyArn=["arn:aws:iam::aws:policy/ReadOnlyAccess"],
    TransitiveTagKeys=["team", "nope"],
    DurationSeconds="3600",
    tokenCode="123",
)"#;
    let told = answer(call, &[]);
    assert_eq!(part(&told, "tags").len(), 4);
    assert_eq!(
        problems(&told),
        [
            "tags[2]: `key` should be `Key`",
            "tags[2]: `Vlaue` should be `Value`",
            "tags[2].value: a number, where a text is expected",
            "tags[3]: there is no `Value`",
            "PolicyArn: AssumeRole takes no such parameter, and it is not weighed; is `PolicyArns` meant",
            "duration_seconds: a text, where a whole number is expected",
            "tokenCode: the API spells it `TokenCode`",
            "token_code: 3 characters, 6 are needed",
            "policy.Statement[0]: there is neither `Action` nor `NotAction`",
            "policy.Statement[0].Effect: takes `Allow` or `Deny`, spelled so",
            "policy.Statement[0].Actions: no policy has this element; is `Action` meant",
            "tags[1].key: tag key `Team` is passed twice; case does not tell keys apart",
            "tags[3].key: tag key `a#` has a character that is not allowed",
            "transitive_tag_keys[1]: `nope` is not among the tags passed",
            "session_name: character ` ` is not allowed",
        ]
    );
}

#[test]
fn forms_that_the_sdk_refuses_are_read_all_the_same() {
    let told = answer(
        &json!({
            "RoleArn": "arn:aws:iam::111122223333:role/app", "RoleSessionName": "jane",
            "Policy": { "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } },
            "PolicyArns": ["arn:aws:iam::444455556666:policy/a"],
            "Tags": { "team": "payments" },
            "DurationSeconds": 60,
            "MinimumSessionTokenSize": 5000,
            "ProvidedContexts": ["x"]
        })
        .to_string(),
        &[],
    );
    assert_eq!((part(&told, "tags").len(), part(&told, "policy_arns").len(), part(&told, "statement").len()), (1, 1, 1));
    assert_eq!(
        problems(&told),
        [
            "policy: an object, where its JSON text is expected; weighed as json.dumps writes it",
            "policy_arns[0]: a text, where an object is expected: {\"arn\": ...}",
            "tags: an object, where a list is expected: [{\"Key\": ..., \"Value\": ...}]",
            "duration_seconds: 60 seconds, 900 to 43200 are allowed",
            "provided_contexts[0]: a text, where an object is expected",
            "policy_arns[0]: `arn:aws:iam::444455556666:policy/a` is not in the account of the role, `111122223333`",
            "minimum_session_token_size: 5000 bytes, 0 to 4096 are allowed",
        ]
    );
}

#[test]
fn what_an_operation_does_not_take_is_told_once() {
    let told = |operation: &str| problems(&answer(&skeleton().to_string(), &["--operation", operation]));
    assert_eq!(
        told("GetSessionToken"),
        [
            "role_arn: GetSessionToken takes no `RoleArn`",
            "policy: GetSessionToken takes no session policy",
            "policy_arns: GetSessionToken takes no managed policies",
            "tags: GetSessionToken takes no tags",
            "transitive_tag_keys: GetSessionToken takes no transitive tags",
            "session_name: GetSessionToken takes no session name",
            "source_identity: GetSessionToken takes no source identity",
        ]
    );
    assert_eq!(
        told("AssumeRoleWithWebIdentity"),
        [
            "tags: AssumeRoleWithWebIdentity takes no `Tags`: it stands in the assertion or the token",
            "transitive_tag_keys: AssumeRoleWithWebIdentity takes no `TransitiveTagKeys`: it stands in the assertion or the token",
            "source_identity: AssumeRoleWithWebIdentity takes no `SourceIdentity`: it stands in the assertion or the token",
            "web_identity_token: AssumeRoleWithWebIdentity needs `WebIdentityToken`",
        ]
    );
    // Tags given as options stand for those of the token.
    assert_eq!(run("", &["--operation=AssumeRoleWithWebIdentity", "--tag=team=a", "--fail-over=99"]).status.code(), Some(0));
    assert!(!text(&run("", &["--operation=AssumeRoleWithWebIdentity", "--tag=team=a"]).stdout).contains("refuse"));
}

#[test]
fn a_record_is_answered_beside_what_sts_logged() {
    let parameters = json!({ "name": "jane", "policy": POLICY, "policyArns": [{ "arn": "arn:aws:iam::444455556666:policy/a" }] });
    let response = json!({ "packedPolicySize": 41, "credentials": { "sessionToken": "x".repeat(904), "accessKeyId": "ASIAEXAMPLE" } });
    let record = record("GetFederationToken", &parameters, &response);
    let told = answer(&record.to_string(), &[]);
    assert_eq!(told["regime"], "packed-policy");
    assert_eq!(told["operation"], "GetFederationToken");
    assert_eq!(
        (&told["outcome"], &told["observed_percent"], &told["observed_session_token_bytes"], &told["observed_regime"]),
        (&json!("granted"), &json!(41.0), &json!(904), &json!("packed-policy"))
    );
    assert_eq!(problems(&told), ["policy_arns[0]: `arn:aws:iam::444455556666:policy/a` is not in the account of the user, `111122223333`"]);
    assert_eq!(part(&told["other_regime"], "session_name")[0]["bytes"], 4, "the length of the name is known, though not its text");
    let said = text(&run(&record.to_string(), &["--from-event", "-"]).stdout);
    assert!(said.contains("STS granted this and logged 41 % and a session token of 904 bytes\n"), "{said}");
    assert!(said.contains("STS granted this, though by its documentation it would refuse: policy_arns[0]: "), "{said}");

    // The other containers of one record, and Python's way to print it.
    let other =
        json!({ "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventTime": "2026-09-20T10:00:00Z", "eventVersion": "1.11" });
    for written in [json!({ "Records": [other, record] }).to_string(), format!("{other}\n{record}\n"), python(&record)] {
        assert_eq!(answer(&written, &[]), told, "{written}");
    }
    let refused = {
        let mut refused = record.clone();
        refused["responseElements"] = Value::Null;
        refused["errorCode"] = json!("PackedPolicyTooLargeException");
        refused["errorMessage"] = json!("Packed policy consumes 118% of allotted space, please use smaller policy.");
        refused
    };
    let said = text(&run(&refused.to_string(), &["--from-event", "-"]).stdout);
    assert!(said.contains("STS refused this for its size and logged 118 %; the record does not tell which limit that is of\n"), "{said}");
    let denied = {
        let mut denied = record;
        denied["requestParameters"] = Value::Null;
        denied["responseElements"] = Value::Null;
        denied["errorCode"] = json!("AccessDenied");
        denied
    };
    let told = answer(&denied.to_string(), &[]);
    assert_eq!(told["outcome"], "refused");
    assert_eq!(told["notes"][0]["message"], "the record does not show what was asked for: this is a call that asks for nothing");
}

#[test]
fn what_is_no_single_request_is_told_so() {
    let call = record("AssumeRole", &json!({}), &json!({}));
    let other =
        json!({ "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventTime": "2026-09-20T10:00:00Z", "eventVersion": "1.11" });
    let mut untimed = call.clone();
    untimed["eventTime"] = json!("soon");
    for (input, expected) in [
        (
            json!({ "Records": [other, call, other, call, call] }).to_string(),
            "3 STS calls, the first two are records 2 and 4: expected one",
        ),
        (json!({ "Records": [other, other] }).to_string(), "2 CloudTrail records, none of an STS call that returns a session"),
        (untimed.to_string(), "record 1: STS record without a readable eventTime"),
        ("[1, 2]".to_owned(), "expected an object with the parameters of an STS request, or a CloudTrail record"),
        (
            "{\n 'RoleArn': role,\n}".to_owned(),
            "neither JSON nor Python: the value of a variable is not known here: write the value itself at line 2 column 13",
        ),
        ("{\"RoleArn\": \"a\"\n \"Tags\": []}".to_owned(), "neither JSON nor Python: expected `,` or `}` at line 2 column 2"),
        (String::new(), "neither JSON nor Python: unexpected end of text at line 1 column 1"),
    ] {
        let ran = run(&input, &["--from-event", "-"]);
        assert_eq!(text(&ran.stderr), format!("packtrail: --from-event `-`: {expected}\n"));
        assert_eq!((ran.status.code(), ran.stdout.len()), (Some(1), 0), "{input}");
    }
}

#[test]
fn secrets_reach_no_output() {
    const SECRETS: [&str; 6] = ["SECRETassertion", "SECRETtoken", "SECRETkey", "SECRETcontext", "SECRETcode", "SECRETexternal"];
    let secret = |at: usize| SECRETS[at].repeat(40);
    let requests = [
        json!({ "RoleArn": "r", "PrincipalArn": secret(0), "SAMLAssertion": secret(0), "SAMLAssertionn": secret(0) }).to_string(),
        json!({ "RoleArn": "r", "WebIdentityToken": [secret(1)], "aws_session_token": secret(1) }).to_string(),
        json!({ "SecretAccessKey": secret(2), "Tags": secret(2), "PolicyArns": { "secret": secret(2) }, "DurationSeconds": secret(2) })
            .to_string(),
        json!({ "ProvidedContexts": [{ "ContextAssertion": secret(3) }], "TokenCode": secret(4), "ExternalId": format!("é{}", secret(5)) })
            .to_string(),
        format!("{{'WebIdentityToken': '{}', oops}}", secret(1)),
        format!("{{'Tags': [{{'Key': 'a', 'Value': '{}#'}}], 'SerialNumber': {} }}", secret(1), secret(2)),
        // Records: whole, broken, and with a number where a text belongs.
        record(
            "AssumeRole",
            &json!({ "roleArn": "r" }),
            &json!({ "credentials": { "sessionToken": secret(1), "accessKeyId": secret(2) } }),
        )
        .to_string(),
        record("AssumeRole", &json!({}), &json!({ "credentials": { "sessionToken": secret(1) } }))
            .to_string()
            .replace("\"recipientAccountId\"", "oops"),
        format!(
            "{{\"eventSource\":\"sts.amazonaws.com\",\"eventName\":\"AssumeRole\",\"eventTime\":\"2026\",\"requestParameters\":\"{}\"}}",
            secret(2)
        ),
        format!("{{\"Records\":\"{}\"}}", secret(2)),
        secret(1),
        format!("\"{}", secret(1)),
    ];
    for request in requests {
        for json in [&["--from-event", "-", "--json"] as &[&str], &["--from-event", "-"]] {
            let ran = run(&request, json);
            let said = text(&ran.stdout) + &text(&ran.stderr);
            assert!(!said.contains("SECRET"), "{request}\n{said}");
        }
    }
}

#[test]
fn ceilings_are_named_and_the_gate_holds_for_the_nearest_limit() {
    let tags = ["--tag=team=payments", "--session-name=jane"];
    let told = |more: &[&str]| run("", &[&tags, more].concat());
    let ran = told(&["--json", "--ceiling=eks-authenticator=2500", "--ceiling=proxy=800"]);
    let answer: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let token = answer["session_token_bytes"].as_f64().unwrap();
    let ceiling = &answer["ceilings"][1];
    assert_eq!((&ceiling["name"], &ceiling["bytes"]), (&json!("proxy"), &json!(800)));
    assert!((ceiling["percent"].as_f64().unwrap() - 100.0 * token / 800.0).abs() < 0.01);
    assert!(ceiling["low"].as_f64().unwrap() < ceiling["percent"].as_f64().unwrap());
    assert_eq!((&answer["limit_name"], &answer["limit_percent"]), (&json!("proxy"), &ceiling["percent"]));
    assert_eq!(answer["other_regime"]["ceilings"].as_array().unwrap().len(), 2);

    let over = told(&["--ceiling=proxy=800", "--fail-over=80"]);
    assert_eq!(over.status.code(), Some(10));
    assert_eq!(text(&over.stderr), format!("packtrail: `proxy`: {:.1} % is over --fail-over 80 %\n", 100.0 * token / 800.0));
    assert_eq!(told(&["--fail-over=80"]).status.code(), Some(0));
    let sts = told(&["--fail-over=10"]);
    assert_eq!((sts.status.code(), text(&sts.stderr).starts_with("packtrail: `sts`: ")), (Some(10), true));

    for (wrong, expected) in [
        (&["--ceiling=a=1", "--ceiling=a=2"] as &[&str], "--ceiling: `a` is given twice"),
        (&["--ceiling=sts=4096"], "is the name of STS's own limit"),
        (&["--ceiling==1"], "expected NAME=BYTES"),
        (&["--ceiling=a=0"], "expected a whole number"),
        (&["--fail-over=-1"], "expected a percentage"),
        (&["--policy", "-", "--from-event", "-"], "cannot both be read from standard input"),
        (&["--from-event", "no-such-file"], "--from-event: no such file: `no-such-file`"),
        (&["--profile", "no-such-file"], "--profile: no such file: `no-such-file`"),
        (&["--minimum-session-token-size", "5000"], "5000 is not in 0..=4096"),
    ] {
        let ran = told(wrong);
        assert_eq!((ran.status.code(), ran.stdout.len()), (Some(2), 0), "{wrong:?}");
        assert!(text(&ran.stderr).contains(expected), "{}", text(&ran.stderr));
    }
}

#[test]
fn a_profile_brings_its_own_limit_and_a_damaged_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("profile.json");
    let mut profile = Profile::builtin();
    profile.session_token.limit_bytes = 8192;
    fs::write(&path, format!("{:#}", profile.to_json())).unwrap();
    let told = |profile: &str| {
        let ran = run("", &["--tag=team=payments", "--json", "--profile", profile]);
        (ran.status.code(), serde_json::from_slice::<Value>(&ran.stdout).unwrap_or_default(), text(&ran.stderr))
    };
    let (_, builtin, _) = told("none");
    let (code, doubled, _) = told(path.to_str().unwrap());
    assert_eq!((code, &doubled["limit_bytes"]), (Some(0), &json!(8192)));
    assert!((builtin["recomputed_percent"].as_f64().unwrap() - 2.0 * doubled["recomputed_percent"].as_f64().unwrap()).abs() < 0.011);
    for damaged in ["{}", "{\"packtrail_profile\": 99}", "no profile"] {
        fs::write(&path, damaged).unwrap();
        let (code, _, said) = told(path.to_str().unwrap());
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with(&format!("packtrail: --profile `{}`: ", path.display())), "{said}");
    }
}

#[test]
fn text_for_a_pipe_lists_everything_with_neither_bars_nor_cuts() {
    let keys: Vec<String> = (0..45).map(|number| format!("--tag=a-rather-long-tag-key-with-a-number-{number}=value")).collect();
    let arguments: Vec<&str> = keys.iter().map(String::as_str).chain(["--ceiling=proxy=2000", "--tag=esc\u{1b}[31m=x"]).collect();
    let said = text(&run("", &arguments).stdout);
    assert_eq!(said.matches("  tag a-rather-long-tag-key-with-a-number-").count(), 45, "{said}");
    assert!(!said.contains('█') && !said.contains('…') && !said.contains('\u{1b}'), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[..3].iter().all(|line| line.chars().count() <= 80), "{said}");
    assert!(lines[0].ends_with(" of 4,096 bytes of token, since September 2026"), "{}", lines[0]);
    assert!(lines[1].ends_with(" of 2,000 bytes of token, ceiling proxy"), "{}", lines[1]);
    assert!(lines[2].ends_with(" of 460 bytes packed, until September 2026"), "{}", lines[2]);
    assert!(said.contains("        46 of 50          4 left  tags\n"), "{said}");
}

#[test]
fn the_library_says_in_one_call_what_its_parts_say() {
    let request = Request { policy: Some(POLICY.to_owned()), tags: vec![("team".to_owned(), "payments".to_owned())], ..Request::default() };
    let asked = Asked { request, session_name: Some("jane".to_owned()), ..Asked::new(Operation::AssumeRole, CallerKind::IamUser) };
    let profile = Profile::builtin();
    let answer = estimate(&asked, &profile);
    for regime in Regime::ALL {
        let sizing = profile.sizing(regime);
        assert_eq!(answer.size(regime).percent, percent(&pack(&asked.request, sizing), &asked.session(), sizing));
    }
    assert_eq!(estimate(&asked, &profile), answer, "nothing is remembered");
}
