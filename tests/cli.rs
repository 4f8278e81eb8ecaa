//! The built command over `samples/` and over made-up input, as a user meets it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "generator/mod.rs"]
mod generator;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use polars::prelude::{AnyValue, DataFrame, ParquetReader, SerReader, TimeUnit};
use serde_json::{Value, json};

fn packtrail() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_packtrail"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

fn analyze(source: &Path, out: &Path, more: &[&str]) -> Output {
    packtrail().arg("analyze").arg(source).arg("--out").arg(out).args(more).output().unwrap()
}

fn summary(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The rows of a CSV file by RFC 4180, an empty cell as None; the header apart.
fn csv(path: &Path) -> (Vec<String>, Vec<Vec<Option<String>>>) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with("\r\n"), "{} ends in a line break", path.display());
    let mut rows = vec![Vec::new()];
    let (mut cell, mut quoted, mut in_quotes) = (String::new(), false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if in_quotes && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => {
                in_quotes = !in_quotes;
                quoted = true;
            }
            ',' | '\r' if !in_quotes => {
                let value = std::mem::take(&mut cell);
                rows.last_mut().unwrap().push((quoted || !value.is_empty()).then_some(value));
                quoted = false;
                if character == '\r' {
                    assert_eq!(characters.next(), Some('\n'));
                    rows.push(Vec::new());
                }
            }
            _ => cell.push(character),
        }
    }
    assert_eq!(rows.pop(), Some(Vec::new()));
    let header = rows.remove(0).into_iter().map(Option::unwrap).collect();
    (header, rows)
}

fn parquet(path: &Path) -> DataFrame {
    ParquetReader::new(fs::File::open(path).unwrap()).finish().unwrap()
}

/// A cell of a frame as CSV should show it.
fn shown(value: &AnyValue<'_>) -> Option<String> {
    let guard = |text: &str| if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    match value {
        AnyValue::Null => None,
        AnyValue::String(text) => Some(guard(text)),
        AnyValue::StringOwned(text) => Some(guard(text.as_str())),
        AnyValue::Boolean(flag) => Some(flag.to_string()),
        AnyValue::Int64(number) => Some(number.to_string()),
        AnyValue::Float64(number) => Some(format!("{number:.2}")),
        AnyValue::Date(day) => Some(chrono::NaiveDate::from_epoch_days(*day).unwrap().to_string()),
        AnyValue::Datetime(micros, TimeUnit::Microseconds, Some(zone)) if zone.to_string() == "UTC" => Some(instant(*micros)),
        AnyValue::DatetimeOwned(micros, TimeUnit::Microseconds, Some(zone)) if zone.to_string() == "UTC" => Some(instant(*micros)),
        other => panic!("a cell of type {}", other.dtype()),
    }
}

fn instant(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

const TABLES: [&str; 4] = ["events", "principals", "daily", "fixes"];

fn tool_finds(out: &Path) -> Vec<BTreeMap<String, Option<String>>> {
    let (header, rows) = csv(&out.join("principals.csv"));
    rows.into_iter().map(|row| header.iter().cloned().zip(row).collect()).collect()
}

#[test]
fn the_samples_give_the_reports_in_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let ran = analyze(Path::new("samples"), out.path(), &[]);
    assert_eq!((ran.status.code(), text(&ran.stderr)), (Some(0), String::new()));
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    made.insert("stdout.txt".to_owned(), text(&ran.stdout).replace(&*out.path().to_string_lossy(), "reports"));
    for table in TABLES {
        made.insert(format!("{table}.csv"), fs::read_to_string(out.path().join(format!("{table}.csv"))).unwrap());
    }
    let mut summary = summary(out.path());
    for moving in ["started", "finished", "version"] {
        assert!(summary[moving].is_string());
        summary[moving] = json!("");
    }
    made.insert("summary.json".to_owned(), format!("{summary:#}\n"));
    for (path, bytes) in snapshot(&out.path().join("apply")) {
        made.insert(format!("apply/{}", path.to_string_lossy()), text(&bytes));
    }
    let rewrite = std::env::var_os("PACKTRAIL_REWRITE_REPORTS").is_some();
    if rewrite {
        let _ = fs::remove_dir_all(root.join("reports/apply"));
    } else {
        let kept: Vec<String> = snapshot(&root.join("reports")).into_keys().map(|path| path.to_string_lossy().into_owned()).collect();
        assert_eq!(kept, made.keys().cloned().collect::<Vec<_>>());
    }
    for (name, made) in made {
        let path = root.join("reports").join(&name);
        if rewrite {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &made).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        if kept != made {
            let line = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made);
            panic!(
                "reports/{name} is not what the samples give (from line {line:?}); look, then set PACKTRAIL_REWRITE_REPORTS=1 to accept"
            );
        }
    }
}

#[test]
fn the_picture_in_readme_is_what_the_samples_give() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, picture) = readme.split_once("$ packtrail analyze samples\n").unwrap();
    let (picture, _) = picture.split_once("\n\n…\n```").unwrap();
    assert!(picture.lines().count() > 10);
    assert!(fs::read_to_string(root.join("reports/stdout.txt")).unwrap().starts_with(picture));
}

#[test]
fn the_samples_are_judged_as_they_were_made() {
    let out = tempfile::tempdir().unwrap();
    analyze(Path::new("samples"), out.path(), &["--format", "csv"]);
    let findings = tool_finds(out.path());
    let truth = generator::organisation::ground_truth();
    assert_eq!(findings.len(), truth.len());
    for expected in truth {
        let found = findings
            .iter()
            .find(|row| {
                row["role_arn"].as_deref() == expected.role_arn.as_deref()
                    && row["caller"].as_deref() == Some(&expected.caller)
                    && row["operation"].as_deref() == Some(expected.operation.name())
            })
            .unwrap_or_else(|| panic!("no finding for {expected:?}"));
        assert_eq!(found["status"].as_deref(), Some(expected.status.name()), "{}", expected.story);
        assert_eq!(found["driver"].as_deref(), expected.driver.map(|part| part.name()), "{}", expected.story);
    }
}

#[test]
fn the_samples_are_what_the_generator_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut total = 0;
    for (path, bytes) in generator::organisation::sample_organisation(2026) {
        let kept = fs::read(root.join(&path)).unwrap_or_default();
        total += kept.len();
        assert_eq!(inflate(&kept), inflate(&bytes), "{path}: make the samples anew with the example `trail`");
    }
    assert!(total <= 3_000_000, "{total} bytes of samples");
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut text).unwrap();
    text
}

#[test]
fn csv_parquet_and_json_hold_the_same_cells() {
    let out = tempfile::tempdir().unwrap();
    analyze(Path::new("samples"), out.path(), &["--format", "csv,parquet,json"]);
    for table in TABLES {
        let (header, rows) = csv(&out.path().join(format!("{table}.csv")));
        let frame = parquet(&out.path().join(format!("{table}.parquet")));
        let array: Value = serde_json::from_str(&fs::read_to_string(out.path().join(format!("{table}.json"))).unwrap()).unwrap();
        let names: Vec<String> = frame.get_column_names().iter().map(|name| name.to_string()).collect();
        assert_eq!(header, names);
        assert_eq!((rows.len(), array.as_array().unwrap().len()), (frame.height(), frame.height()));
        assert!(frame.height() > 0, "{table} has rows");
        for (at, row) in rows.iter().enumerate() {
            for (column, cell) in frame.columns().iter().zip(row) {
                let value = column.get(at).unwrap();
                assert_eq!(shown(&value), *cell, "{table} row {at} {}", column.name());
                assert_eq!(array[at][column.name().as_str()].is_null(), cell.is_none());
            }
        }
    }
}

#[test]
fn every_file_and_every_call_is_accounted_for() {
    let out = tempfile::tempdir().unwrap();
    analyze(Path::new("samples"), out.path(), &["--role", "*session*", "--format", "csv"]);
    let coverage = &summary(out.path())["coverage"];
    let count = |name: &str| coverage[name].as_u64().unwrap();
    assert_eq!(
        count("files_listed"),
        count("files_read") + count("files_skipped") + coverage["unreadable"].as_array().unwrap().len() as u64
    );
    assert_eq!(count("sts_calls"), count("kept_calls") + count("filtered") + count("duplicates"));
    assert!(count("filtered") > 0 && count("duplicates") > 0 && count("files_skipped") > 0);
    let (header, rows) = csv(&out.path().join("events.csv"));
    assert_eq!(rows.len() as u64, count("kept_calls"));
    let role = header.iter().position(|name| name == "role_arn").unwrap();
    assert!(rows.iter().all(|row| row[role].as_deref().unwrap().contains("session")));
}

#[test]
fn threads_change_nothing() {
    let run = |threads: &str| {
        let out = tempfile::tempdir().unwrap();
        analyze(Path::new("samples"), out.path(), &["--threads", threads, "--format", "csv"]);
        TABLES.map(|table| fs::read_to_string(out.path().join(format!("{table}.csv"))).unwrap())
    };
    assert_eq!(run("1"), run("5"));
}

#[test]
fn since_and_until_bound_the_window_and_until_excludes() {
    let out = tempfile::tempdir().unwrap();
    analyze(Path::new("samples"), out.path(), &["--since", "2026-08-01", "--until", "2026-08-02T00:00:00Z", "--format", "csv"]);
    let (header, rows) = csv(&out.path().join("events.csv"));
    assert_eq!(header[0], "event_time");
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row[0].as_deref().unwrap().starts_with("2026-08-01T")));
    let window = &summary(out.path())["window"];
    assert_eq!((&window["from"], &window["to"]), (&json!("2026-08-01T00:00:00Z"), &json!("2026-08-02T00:00:00Z")));
}

#[test]
fn account_and_region_filters_keep_only_what_they_name() {
    let out = tempfile::tempdir().unwrap();
    analyze(Path::new("samples"), out.path(), &["--account", "111122223333", "--region", "us-east-1", "--format", "csv"]);
    let (header, rows) = csv(&out.path().join("events.csv"));
    let at = |name: &str| header.iter().position(|one| one == name).unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!((row[at("account_id")].as_deref(), row[at("region")].as_deref()), (Some("111122223333"), Some("us-east-1")));
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let code = |ran: &Output| ran.status.code().unwrap();

    let missing = analyze(Path::new("no/such/path"), &out, &[]);
    assert_eq!(code(&missing), 2);
    assert_eq!(text(&missing.stderr), "packtrail: no such file or directory: `no/such/path`\n");
    assert!(!out.exists(), "nothing is written for a source that is not there");

    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let none = analyze(&empty, &out, &[]);
    assert_eq!(code(&none), 3);
    assert!(text(&none.stderr).contains("no log file found"));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "no half of a report");

    assert_eq!(code(&analyze(Path::new("samples"), &out, &["--fail-on", "failing"])), 10);
    assert_eq!(code(&analyze(Path::new("samples"), &out, &["--fail-on", "failing", "--role", "no-such-role"])), 0);
    assert_eq!(code(&analyze(Path::new("samples"), &out, &["--fail-on", "soon"])), 2);
    assert_eq!(code(&analyze(Path::new("samples"), &out, &["--since", "2026-08-02", "--until", "2026-08-01"])), 2);
    assert_eq!(code(&packtrail().arg("analyze").output().unwrap()), 2);
    assert_eq!(code(&packtrail().arg("--help").output().unwrap()), 0);

    let file_in_the_way = directory.path().join("file");
    fs::write(&file_in_the_way, "").unwrap();
    let blocked = analyze(Path::new("samples"), &file_in_the_way, &[]);
    assert_eq!(code(&blocked), 1);
    assert!(text(&blocked.stderr).starts_with("packtrail: cannot write the report: "), "{}", text(&blocked.stderr));
}

#[test]
fn a_truncated_file_costs_itself_and_its_end_only() {
    let directory = tempfile::tempdir().unwrap();
    let (logs, out) = (directory.path().join("logs"), directory.path().join("out"));
    fs::create_dir(&logs).unwrap();
    let mut files: Vec<PathBuf> = walk(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").as_path());
    files.retain(|path| !path.to_string_lossy().contains("Digest"));
    files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    for (at, path) in files.iter().take(3).enumerate() {
        let bytes = fs::read(path).unwrap();
        let end = if at == 1 { bytes.len() / 10 * 9 } else { bytes.len() };
        fs::write(logs.join(format!("{at}.json.gz")), &bytes[..end]).unwrap();
    }
    let ran = analyze(&logs, &out, &["--fail-on", "failing"]);
    let coverage = &summary(&out)["coverage"];
    let unreadable = coverage["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), 1);
    assert!(unreadable[0]["location"].as_str().unwrap().ends_with("1.json.gz"));
    assert!(unreadable[0]["records_read"].as_u64().unwrap() > 0, "{unreadable:?}");
    assert_eq!(coverage["files_read"], 2);
    let reason = unreadable[0]["reason"].as_str().unwrap();
    assert!(text(&ran.stderr).contains(reason), "the place stands on stderr too");
    assert!(matches!(ran.status.code(), Some(4 | 10)));
    assert_eq!(analyze(&logs, &out, &[]).status.code(), Some(4));
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// One call whose every secret and every text that `--redact` hides is a word of its own.
fn telling_record(event_id: &str, policy: &str) -> Value {
    json!({
        "eventVersion": "1.11", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
        "eventTime": "2026-09-20T10:00:00Z", "awsRegion": "us-east-1", "eventID": event_id, "recipientAccountId": "111122223333",
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/jane", "accessKeyId": "AKIASECRETCALLER0000" },
        "requestParameters": {
            "roleArn": "arn:aws:iam::111122223333:role/etl", "roleSessionName": "hidden-session-name",
            "policy": policy,
            "tags": [{ "key": "owner", "value": "hidden-tag-value@example.com" }, { "key": "UserEmail", "value": "hidden-mail@example.com" }],
            "incomingTransitiveTags": { "chain": "hidden-inherited-value" }
        },
        "responseElements": {
            "packedPolicySize": 97, "sessionTokenSize": 4000, "sessionTokenUtilization": 97,
            "credentials": { "accessKeyId": "ASIASECRETSESSION000", "secretAccessKey": "secretkeysecretkey", "sessionToken": "SECRETTOKEN".repeat(364) }
        }
    })
}

/// Everything a run wrote, Parquet read back to text.
fn everything(ran: &Output, out: &Path) -> String {
    let mut all = text(&ran.stdout) + &text(&ran.stderr);
    for path in walk(out) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => {
                let frame = parquet(&path);
                for column in frame.columns() {
                    for at in 0..frame.height() {
                        all.push_str(&shown(&column.get(at).unwrap()).unwrap_or_default());
                        all.push('\n');
                    }
                }
            }
            _ => all.push_str(&fs::read_to_string(&path).unwrap()),
        }
    }
    all
}

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"HiddenSid","Effect":"Allow","Action":["s3:GetObject","s3:Get*"],"Resource":"arn:aws:s3:::hidden-bucket/*"}]}"#;

#[test]
fn no_token_or_key_reaches_any_output_also_when_the_record_is_broken() {
    let directory = tempfile::tempdir().unwrap();
    let (logs, out) = (directory.path().join("logs"), directory.path().join("out"));
    fs::create_dir(&logs).unwrap();
    let good = telling_record("e-1", POLICY).to_string();
    let broken = telling_record("e-2", POLICY).to_string();
    // Broken at every kind of place around the token: inside it, behind it, in its key.
    let token = broken.find("SECRETTOKEN").unwrap();
    for (at, text) in [
        broken[..token + 500].to_owned(),
        broken.replace("SECRETTOKENSECRETTOKEN\"", "SECRETTOKEN\u{1}SECRETTOKEN\""),
        broken.replace("\"sessionToken\":", "\"sessionToken\" "),
        broken.replace("\"eventTime\":\"2026-09-20T10:00:00Z\"", "\"eventTime\":\"SECRETTOKEN\""),
        broken.replace("\"sessionToken\":\"", "\"sessionToken\":{\"a\":\"").replace("TOKEN\"}", "TOKEN\"}}"),
        broken.replace("\"userIdentity\":", "\"userIdentity\":tru"),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(logs.join(format!("{at}.json")), format!("{{\"Records\":[{good},{text}]}}")).unwrap();
    }
    for more in [&["--format", "csv,parquet,json"][..], &["--format", "csv,parquet,json", "--redact"]] {
        let ran = analyze(&logs, &out, more);
        assert_eq!(ran.status.code(), Some(4));
        let all = everything(&ran, &out);
        assert!(all.contains("arn:aws:iam::111122223333:role/etl"));
        for secret in ["SECRETTOKEN", "AKIASECRET", "ASIASECRET", "secretkey", "hidden-session-name"] {
            assert!(!all.contains(secret), "{secret} was written");
        }
        assert_eq!(all.contains("hidden-"), !more.contains(&"--redact"));
    }
}

#[test]
fn redact_hides_tag_values_session_names_and_policies_and_keeps_sizes() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.json");
    let mut federated = telling_record("e-2", POLICY);
    federated["userIdentity"] = json!({ "type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/hidden-user" });
    fs::write(&log, json!({ "Records": [telling_record("e-1", POLICY), federated] }).to_string()).unwrap();
    let run = |more: &[&str]| {
        let out = directory.path().join("out");
        let ran = analyze(&log, &out, &[&["--format", "csv,parquet,json"][..], more].concat());
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        (everything(&ran, &out), csv(&out.join("events.csv")).1)
    };
    let (open, open_events) = run(&[]);
    let (redacted, redacted_events) = run(&["--redact"]);
    assert!(open.contains("hidden-bucket") && open.contains("federated-user/hidden-user"));
    for hidden in ["hidden-", "HiddenSid", "s3:Get"] {
        assert!(!redacted.contains(hidden), "{hidden} was written");
    }
    let sizes = |rows: &[Vec<Option<String>>]| rows.iter().map(|row| row[11..26].to_vec()).collect::<Vec<_>>();
    assert_eq!(sizes(&open_events), sizes(&redacted_events));
}

#[test]
fn advice_that_does_nothing_is_said_to_do_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (log, out) = (directory.path().join("log.json"), directory.path().join("out"));
    let spaced = POLICY.replace(',', " ,\n\t ");
    fs::write(&log, json!({ "Records": [telling_record("e-1", &spaced)] }).to_string()).unwrap();
    let ran = analyze(&log, &out, &["--format", "csv"]);
    for place in [text(&ran.stdout).split_whitespace().collect::<Vec<_>>().join(" "), fs::read_to_string(out.join("fixes.csv")).unwrap()] {
        assert!(place.contains("note: removing white space from the policy saves 0 bytes"), "{place}");
        assert!(place.contains("note: writing tags in lower case saves 0 bytes"), "{place}");
    }
}

#[test]
fn standard_input_and_globs_are_sources_and_a_named_file_that_is_no_log_is_unreadable() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let line = telling_record("e-1", POLICY).to_string();
    let mut child = packtrail()
        .args(["analyze", "-", "--quiet", "--out"])
        .arg(&out)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{line}\n{line}\n").as_bytes()).unwrap();
    let ran = child.wait_with_output().unwrap();
    assert_eq!((ran.status.code(), ran.stdout.len(), ran.stderr.len()), (Some(0), 0, 0), "--quiet says nothing");
    let coverage = summary(&out)["coverage"].clone();
    assert_eq!((&coverage["sts_calls"], &coverage["duplicates"]), (&json!(2), &json!(1)));
    assert_eq!(csv(&out.join("events.csv")).1[0].last().unwrap().as_deref(), Some("'-#1"));

    fs::write(directory.path().join("a.ndjson"), &line).unwrap();
    fs::write(directory.path().join("b.txt"), "no log").unwrap();
    let glob = directory.path().join("*.ndjson");
    assert_eq!(analyze(&glob, &out, &[]).status.code(), Some(0));
    assert_eq!(summary(&out)["coverage"]["files_listed"], 1);
    let named = analyze(&directory.path().join("b.txt"), &out, &[]);
    assert_eq!(named.status.code(), Some(4));
    assert!(text(&named.stderr).contains("b.txt: no CloudTrail log"));
}

/// Every file below `directory` with its bytes.
fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    walk(directory).into_iter().map(|path| (path.strip_prefix(directory).unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

/// Waits until `ready`, or fails: nothing here may hang.
fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !ready() {
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "{what} takes too long");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// A run that waits for more on standard input (kept open by the child) or on a named pipe, with its temporary files in `out`.
#[cfg(unix)]
fn waiting(source: &Path, out: &Path, more: &[&str]) -> std::process::Child {
    let mut child = packtrail()
        .arg("analyze")
        .arg(source)
        .arg("--out")
        .arg(out)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if source == Path::new("-") {
        let line = telling_record("e-1", POLICY).to_string();
        child.stdin.as_mut().unwrap().write_all(format!("{line}\n{}", &line[..100]).as_bytes()).unwrap();
    }
    wait_for("opening the report", || out.join(".packtrail-0.tmp").join("lock").exists());
    std::thread::sleep(std::time::Duration::from_millis(100));
    child
}

#[cfg(unix)]
fn signal(child: &mut std::process::Child, name: &str) -> Output {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
    let mut status = None;
    wait_for("ending the run", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    std::io::Read::read_to_end(child.stdout.as_mut().unwrap(), &mut stdout).unwrap();
    std::io::Read::read_to_end(child.stderr.as_mut().unwrap(), &mut stderr).unwrap();
    Output { status: status.unwrap(), stdout, stderr }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_that_waits_for_input_and_leaves_the_earlier_report_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for layout in ["flat", "hive"] {
        let out = directory.path().join(layout);
        analyze(Path::new("samples"), &out, &["--layout", layout]);
        let before = snapshot(&out);
        assert!(before.len() >= 5);
        for source in [&pipe, Path::new("-")] {
            for (name, code) in [("INT", 130), ("TERM", 143)] {
                let ran = signal(&mut waiting(source, &out, &["--layout", layout]), name);
                assert_eq!(ran.status.code(), Some(code));
                assert_eq!((text(&ran.stderr), ran.stdout.len()), (format!("packtrail: stopped by SIG{name}\n"), 0));
                assert!(snapshot(&out) == before, "the earlier report stands");
                assert_eq!(fs::read_dir(&out).unwrap().filter(|one| one.as_ref().unwrap().path().ends_with(".packtrail-0.tmp")).count(), 0);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn what_a_killed_run_leaves_goes_with_the_next_and_another_run_at_the_same_time_is_not_disturbed() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let killed = signal(&mut waiting(Path::new("-"), &out, &[]), "KILL");
    assert_eq!(killed.status.code(), None);
    assert!(out.join(".packtrail-0.tmp/events.csv").exists());
    fs::write(out.join(".packtrail-0.tmp/left"), "").unwrap();

    let mut first = waiting(Path::new("-"), &out, &[]);
    wait_for("taking the place of the killed run", || !out.join(".packtrail-0.tmp/left").exists());
    assert_eq!(analyze(Path::new("samples"), &out, &[]).status.code(), Some(0));
    let calls = summary(&out)["coverage"]["kept_calls"].as_u64().unwrap();
    assert!(calls > 1);
    first.stdin.take().unwrap().write_all(b"").unwrap();
    let mut ended = None;
    wait_for("the first run", || {
        ended = first.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(4), "its input broke off");
    assert_eq!(summary(&out)["coverage"]["kept_calls"], 1, "the last to end stands");
    let names: Vec<_> = snapshot(&out).into_keys().filter(|path| !path.starts_with("apply")).collect();
    assert_eq!(names.len(), 9, "{names:?}");
    assert!(!out.join(".packtrail-0.tmp").exists());
}

/// The partitions of a table in hive layout, by day.
fn partitions(out: &Path, table: &str) -> BTreeMap<String, DataFrame> {
    let mut found = BTreeMap::new();
    for day in fs::read_dir(out.join(table)).unwrap() {
        let day = day.unwrap().path();
        let name = day.file_name().unwrap().to_str().unwrap().strip_prefix("day=").unwrap().to_owned();
        assert_eq!(fs::read_dir(&day).unwrap().count(), 1);
        found.insert(name, parquet(&day.join(format!("{table}.parquet"))));
    }
    found
}

fn rows(frame: &DataFrame) -> Vec<Vec<Option<String>>> {
    (0..frame.height()).map(|at| frame.columns().iter().map(|column| shown(&column.get(at).unwrap())).collect()).collect()
}

#[test]
fn the_hive_layout_holds_the_same_rows_a_file_for_each_day() {
    let directory = tempfile::tempdir().unwrap();
    let (flat, hive) = (directory.path().join("flat"), directory.path().join("hive"));
    assert_eq!(analyze(Path::new("samples"), &flat, &["--format", "parquet"]).status.code(), Some(0));
    assert_eq!(analyze(Path::new("samples"), &hive, &["--layout", "hive"]).status.code(), Some(0));
    for table in ["principals", "fixes"] {
        let name = format!("{table}.parquet");
        assert_eq!(fs::read(hive.join(table).join(&name)).unwrap(), fs::read(flat.join(&name)).unwrap());
    }
    for (table, in_path) in [("events", 0), ("daily", 1)] {
        let whole = parquet(&flat.join(format!("{table}.parquet")));
        let mut joined = Vec::new();
        for (day, frame) in partitions(&hive, table) {
            assert!(frame.height() > 0);
            assert_eq!(frame.width() + in_path, whole.width(), "the column day of daily is in the path alone");
            for row in rows(&frame) {
                if in_path == 1 {
                    joined.push([vec![Some(day.clone())], row].concat());
                } else {
                    assert!(row[0].as_deref().unwrap().starts_with(&day));
                    joined.push(row);
                }
            }
        }
        assert!(joined == rows(&whole), "{table}");
    }
    assert!(hive.join("summary.json").exists());
    assert!(!hive.join("events.csv").exists());
}

#[test]
fn partitions_that_a_later_run_does_not_have_go_and_nothing_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    analyze(Path::new("samples"), &out, &["--layout", "hive", "--until", "2026-08-03"]);
    let first: Vec<String> = partitions(&out, "events").into_keys().collect();
    assert!(first.len() > 10 && first[0] == "2026-07-15", "{first:?}");
    let (own, in_a_partition) = (out.join("events/day=2026-07-16.bak"), out.join("daily/day=2026-07-15/notes.txt"));
    fs::write(&own, "").unwrap();
    fs::write(&in_a_partition, "").unwrap();
    analyze(Path::new("samples"), &out, &["--layout", "hive", "--since", "2026-08-01", "--until", "2026-08-03"]);
    assert!(own.exists() && in_a_partition.exists());
    fs::remove_file(own).unwrap();
    assert!(!out.join("daily/day=2026-07-15/daily.parquet").exists());
    fs::remove_dir_all(in_a_partition.parent().unwrap()).unwrap();
    for table in ["events", "daily"] {
        assert_eq!(partitions(&out, table).into_keys().collect::<Vec<_>>(), ["2026-08-01", "2026-08-02"], "{table}");
    }
}

/// The column `folder` of the table of fixes with the rank beside it, by what else names the finding.
fn folders(out: &Path) -> Vec<(String, i64, Option<String>)> {
    let (header, rows) = csv(&out.join("fixes.csv"));
    let at = |name: &str| header.iter().position(|one| one == name).unwrap();
    assert_eq!(header.last().unwrap(), "folder");
    rows.into_iter()
        .map(|row| {
            let cell = |name: &str| row[at(name)].clone().unwrap_or_default();
            let finding = [cell("role_arn"), cell("caller"), cell("operation")].join(" ");
            (finding, cell("rank").parse().unwrap(), row[at("folder")].clone())
        })
        .collect()
}

#[test]
fn the_three_best_fixes_of_a_finding_have_a_folder_each_and_the_table_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    analyze(Path::new("samples"), &out, &["--format", "csv"]);
    let rows = folders(&out);
    assert!(rows.iter().any(|(_, rank, _)| *rank > 3) && rows.iter().any(|(_, rank, _)| *rank == 3));
    let mut named = Vec::new();
    for (finding, rank, folder) in &rows {
        assert_eq!(folder.is_some(), *rank <= 3, "{finding}");
        let Some(folder) = folder else { continue };
        assert!(folder.bytes().all(|one| one.is_ascii_alphanumeric() || b"-_./".contains(&one)) && folder.len() < 200, "{folder}");
        let files = snapshot(&out.join(folder));
        for name in ["README.md", "request.json", "commands.sh"] {
            assert!(files.contains_key(Path::new(name)), "{folder} has {name}");
        }
        for (path, bytes) in files {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => drop(serde_json::from_slice::<Value>(&bytes).unwrap()),
                Some("sh") => {
                    let checked = Command::new("bash").arg("-n").arg(out.join(folder).join(&path)).output();
                    assert!(checked.is_ok_and(|checked| checked.status.success()), "{folder} {}", path.display());
                }
                _ => {}
            }
            named.push(Path::new(folder).join(path).to_string_lossy().into_owned());
        }
    }
    named.sort();
    let manifest: Value = serde_json::from_str(&fs::read_to_string(out.join("apply/packtrail-files.json")).unwrap()).unwrap();
    assert_eq!(manifest["files"], json!(named));

    // A finding's folder is called so in whatever report it stands.
    let (role, first) = (rows[0].0.split(' ').next().unwrap(), rows[0].2.as_deref().unwrap().split('/').nth(1).unwrap());
    analyze(Path::new("samples"), &out, &["--format", "csv", "--role", role]);
    let fewer = folders(&out);
    assert!(fewer.len() < rows.len() && fewer.iter().any(|(_, _, folder)| folder.as_deref().is_some_and(|folder| folder.contains(first))));
    // The others are gone, and what is not packtrail's is not.
    let own = out.join("apply").join(first).join("notes.txt");
    fs::write(&own, "mine").unwrap();
    assert!(named.iter().any(|name| !out.join(name).exists()));
    analyze(Path::new("samples"), &out, &["--format", "csv", "--redact"]);
    assert!(folders(&out).iter().all(|(_, _, folder)| folder.is_none()));
    assert_eq!(snapshot(&out.join("apply")).into_keys().collect::<Vec<_>>(), [Path::new(first).join("notes.txt")]);
    assert_eq!(fs::read_to_string(own).unwrap(), "mine");
}

#[test]
fn options_about_fixes_reach_the_report_and_files_that_are_none_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let (out, actions) = (directory.path().join("out"), directory.path().join("actions.json"));
    let first = |more: &[&str]| {
        let ran = analyze(Path::new("samples"), &out, &[&["--format", "csv"][..], more].concat());
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        fs::read_to_string(out.join("fixes.csv")).unwrap()
    };
    assert_eq!(first(&[]), first(&["--target", "70"]));
    assert_ne!(first(&[]), first(&["--target", "45"]));
    fs::write(&actions, "{\"s3\":\n [1]}").unwrap();
    let named = actions.to_str().unwrap();
    fs::remove_dir_all(&out).unwrap();
    let ran = analyze(Path::new("samples"), &out, &["--actions", named]);
    assert_eq!((ran.status.code(), out.exists()), (Some(1), false));
    assert!(text(&ran.stderr).starts_with(&format!("packtrail: --actions `{named}`: expected ")), "{}", text(&ran.stderr));
    assert_eq!(analyze(Path::new("samples"), &out, &["--target", "0"]).status.code(), Some(2));
}

#[test]
fn the_hive_layout_is_parquet_alone() {
    let directory = tempfile::tempdir().unwrap();
    for (formats, code) in [("csv", 2), ("csv,parquet", 2), ("parquet", 0)] {
        let out = directory.path().join(formats);
        let ran = analyze(Path::new("samples"), &out, &["--layout", "hive", "--format", formats, "--since", "2026-10-01"]);
        assert_eq!((ran.status.code(), out.exists()), (Some(code), code == 0), "{}", text(&ran.stderr));
    }
}

#[test]
fn the_statements_for_athena_need_a_location_in_s3() {
    let schema = |location: &str| packtrail().args(["schema", "--athena", location]).output().unwrap();
    let ran = schema("s3://audit-reports/packtrail/");
    assert_eq!((ran.status.code(), text(&ran.stdout).matches("CREATE EXTERNAL TABLE").count()), (Some(0), 4));
    let wrong = schema("reports");
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(text(&wrong.stderr), "packtrail: --athena: expected s3://bucket/prefix/, not `reports`\n");
}

/// What a run with `--log-format json` said, a JSON object a line.
fn lines(ran: &Output) -> Vec<Value> {
    assert_eq!(text(&ran.stdout), "", "nothing on stdout");
    let lines: Vec<Value> = text(&ran.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(chrono::DateTime::parse_from_rfc3339(line["time"].as_str().unwrap()).is_ok(), "{line}");
        assert!(line["message"].is_string() && matches!(line["level"].as_str(), Some("info" | "error")), "{line}");
    }
    lines
}

#[test]
fn an_unattended_run_says_everything_in_json_lines_and_its_counts_last() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let json_log = |source: &Path, more: &[&str]| {
        let ran = analyze(source, &out, &[&["--log-format", "json"][..], more].concat());
        (ran.status.code().unwrap(), lines(&ran))
    };
    let (code, said) = json_log(Path::new("samples"), &["--fail-on", "failing"]);
    assert_eq!((code, said.len()), (10, 1), "{said:?}");
    let (done, coverage, statuses) = (&said[0], summary(&out)["coverage"].clone(), summary(&out)["statuses"].clone());
    assert_eq!((&done["level"], &done["message"], &done["exit_code"]), (&json!("info"), &json!("done"), &json!(10)));
    for (field, counted) in [("calls", "kept_calls"), ("files", "files_listed"), ("read", "files_read"), ("skipped", "files_skipped")] {
        assert_eq!(done[field], coverage[counted], "{field}");
    }
    for (status, count) in statuses.as_object().unwrap() {
        assert_eq!(&done[status], count);
    }
    assert_eq!((&done["unreadable"], &done["denied"], &done["unusual"]), (&json!(0), &json!(0), &json!(0)));
    assert!(done["read_seconds"].as_f64().unwrap() <= done["seconds"].as_f64().unwrap());

    // One file that is damaged, with what a terminal would obey in its name.
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("bad\u{1b}[2J.json"), format!("{{\"Records\":[{},", telling_record("e-1", POLICY))).unwrap();
    // And one with a record that has to be followed bracket by bracket.
    let odd = format!("{{\"p\":\"é{}\"}}", "p".repeat(200));
    fs::write(logs.join("odd.json"), format!("{{\"Records\":[{},{odd}]}}", telling_record("e-2", POLICY))).unwrap();
    let (code, said) = json_log(&logs, &[]);
    assert_eq!((code, said.len(), &said[1]["unusual"]), (4, 2, &json!(1)), "{said:?}");
    assert_eq!(said[0]["level"], "error");
    assert!(said[0]["location"].as_str().unwrap().ends_with("bad\u{1b}[2J.json"));
    assert_eq!((&said[0]["records_read"], &said[0]["reason"]), (&json!(1), &summary(&out)["coverage"]["unreadable"][0]["reason"]));
    assert_eq!((&said[1]["unreadable"], &said[1]["exit_code"]), (&json!(1), &json!(4)));
    let (code, said) = json_log(&logs, &["--quiet"]);
    assert_eq!((code, said.len()), (4, 1), "errors alone: {said:?}");

    // However a run ends, its last line tells the exit code.
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (source, more, expected) in [
        (empty.as_path(), &[][..], 3),
        (Path::new("no/such/path"), &[], 2),
        (Path::new("samples"), &["--layout", "hive", "--format", "json"], 2),
        (Path::new("samples"), &["--out", "/dev/null/out"], 1),
        (Path::new("samples"), &["--since", "yesterday"], 2),
    ] {
        let mut command = packtrail();
        command.arg("analyze").arg(source).args(["--log-format", "json"]).args(more);
        if !more.contains(&"--out") {
            command.arg("--out").arg(&out);
        }
        let ran = command.output().unwrap();
        let said = lines(&ran);
        assert_eq!((ran.status.code(), said.len()), (Some(expected), 1), "{said:?}");
        assert_eq!((&said[0]["level"], &said[0]["exit_code"]), (&json!("error"), &json!(expected)));
    }
    #[cfg(unix)]
    {
        let ran = signal(&mut waiting(Path::new("-"), &out, &["--log-format", "json"]), "TERM");
        let said = lines(&ran);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!((&said[0]["message"], &said[0]["exit_code"]), (&json!("stopped by SIGTERM"), &json!(143)));
    }
}

#[test]
fn estimate_prices_a_request_and_is_a_gate() {
    let directory = tempfile::tempdir().unwrap();
    let policy = directory.path().join("policy.json");
    fs::write(&policy, POLICY).unwrap();
    let estimate = |more: &[&str]| packtrail().arg("estimate").arg("--policy").arg(&policy).args(more).output().unwrap();
    let ran = estimate(&["--tag", "a=b", "--session-name", "jane", "--regime", "packed-policy", "--json"]);
    let answer: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&answer["regime"], &answer["operation"]), (&json!("packed-policy"), &json!("AssumeRole")));
    // Statements are shares of the policy.
    let parts = answer["parts"].as_array().unwrap().iter().filter(|part| part["part"] != "statement");
    let bytes: u64 = parts.map(|part| part["bytes"].as_u64().unwrap()).sum();
    assert_eq!(answer["packed_bytes"], bytes);
    let percent = answer["recomputed_percent"].as_f64().unwrap();
    assert!((percent - 100.0 * bytes as f64 / 460.0).abs() < 0.01);
    assert!(
        answer["recomputed_low_percent"].as_f64().unwrap() <= percent && percent <= answer["recomputed_high_percent"].as_f64().unwrap()
    );
    assert_eq!(answer["other_regime"]["regime"], "session-token");
    assert_eq!(answer["problems"], json!([]));

    assert_eq!(estimate(&["--fail-over", "5"]).status.code(), Some(10));
    assert_eq!(estimate(&["--fail-over", "99"]).status.code(), Some(0));
    let refused = estimate(&["--tag", "a=1", "--tag", "A=2"]);
    assert!(text(&refused.stdout).contains("STS would refuse this: tags[1].key: "), "{}", text(&refused.stdout));
    assert_eq!(packtrail().args(["estimate", "--policy", "no-such-file"]).output().unwrap().status.code(), Some(2));
    assert_eq!(packtrail().args(["estimate", "--tag", "no-equals-sign"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn schema_names_every_column_of_every_table() {
    let out = tempfile::tempdir().unwrap();
    analyze(Path::new("samples"), out.path(), &["--format", "csv"]);
    let schema = text(&packtrail().arg("schema").output().unwrap().stdout);
    for table in TABLES {
        let (_, section) = schema.split_once(&format!("{table}: ")).unwrap();
        let section = section.split("\n\n").next().unwrap();
        let named: Vec<&str> = section.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(named, csv(&out.path().join(format!("{table}.csv"))).0);
    }
    let (_, section) = schema.split_once("summary.json: ").unwrap();
    for key in summary(out.path()).as_object().unwrap().keys() {
        assert!(section.contains(key.as_str()), "{key} is explained");
    }
}

#[test]
fn what_the_project_made_names_documentation_accounts_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = ["111122223333", "444455556666", "777788889999"];
    for path in walk(&root.join("samples")) {
        let text = String::from_utf8(inflate(&fs::read(&path).unwrap())).unwrap();
        for (_, after) in text.match_indices("arn:aws:iam::").map(|(at, found)| text.split_at(at + found.len())) {
            let account: String = after.chars().take_while(char::is_ascii_digit).collect();
            assert!(account.is_empty() || known.contains(&&*account), "{}: account {account}", path.display());
        }
    }
}
