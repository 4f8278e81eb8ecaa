//! Ceilings behind STS, and old records under today's limit: the built command over small trails, values worked out by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::111122223333:role/etl";
const OTHER: &str = "arn:aws:iam::111122223333:role/other";
const TODAY_BYTES: f64 = 4096.0;

fn packtrail() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_packtrail"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
}

fn date(day: u64) -> String {
    NaiveDate::from_ymd_opt(2026, 8, 1).unwrap().checked_add_days(Days::new(day)).unwrap().to_string()
}

/// A granted AssumeRole so many days after 1 August 2026 by an IAM user with a session name of 6 bytes, nothing passed, its token redacted: 740 bytes by
/// the engine.
fn call(role: &str, day: u64) -> Value {
    json!({
        "eventVersion": "1.11", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "awsRegion": "eu-west-1",
        "eventTime": format!("{}T10:00:00Z", date(day)), "recipientAccountId": "111122223333",
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/jane" },
        "requestParameters": { "roleArn": role, "roleSessionName": "worker" },
        "responseElements": { "credentials": { "sessionToken": "HIDDEN_DUE_TO_SECURITY_REASONS" } }
    })
}

/// Granted in the new regime with a token of so many bytes.
fn new(role: &str, day: u64, bytes: u32) -> Value {
    let mut call = call(role, day);
    call["responseElements"]["sessionTokenSize"] = json!(bytes);
    call["responseElements"]["sessionTokenUtilization"] = json!(100 * bytes / 4096);
    call["responseElements"]["packedPolicySize"] = json!(100 * bytes / 4096);
    call
}

/// Granted in the old regime at this percentage, with a token of so many characters.
fn old(role: &str, day: u64, percent: u32, characters: usize) -> Value {
    let mut call = call(role, day);
    call["responseElements"]["packedPolicySize"] = json!(percent);
    call["responseElements"]["credentials"]["sessionToken"] = json!("t".repeat(characters));
    call
}

/// Refused for its size; `tags` are values of tags with one letter as key.
fn refused(role: &str, day: u64, percent: u32, tags: &[usize]) -> Value {
    let tags: Vec<Value> = ('a'..).zip(tags).map(|(key, &chars)| json!({ "key": key.to_string(), "value": "v".repeat(chars) })).collect();
    let mut call = call(role, day);
    call["requestParameters"]["tags"] = json!(tags);
    call["errorCode"] = json!("PackedPolicyTooLargeException");
    call["errorMessage"] = json!(format!("Packed policy consumes {percent}% of allotted space, please use smaller policy."));
    call["responseElements"] = Value::Null;
    call
}

/// What a run said and wrote.
struct Ran {
    output: Output,
    out: tempfile::TempDir,
}

impl Ran {
    fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    fn said(&self, words: &str) -> bool {
        self.stdout().split_whitespace().collect::<Vec<_>>().join(" ").contains(words)
    }

    fn code(&self) -> i32 {
        self.output.status.code().unwrap()
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.out.path().join(file)).unwrap()
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.text(file)).unwrap()
    }

    /// The finding of a role.
    #[track_caller]
    fn finding(&self, role: &str) -> Value {
        let rows = self.json("principals.json");
        let mut found = rows.as_array().unwrap().iter().filter(|row| row["role_arn"] == role);
        let row = found.next().unwrap_or_else(|| panic!("no finding for {role}")).clone();
        assert!(found.next().is_none());
        row
    }

    fn reason(&self, role: &str) -> String {
        self.finding(role)["reason"].as_str().unwrap().to_owned()
    }

    fn old_calls(&self) -> Value {
        self.json("summary.json")["regimes"]["packed-policy"]["under_the_limit_today"].clone()
    }
}

fn write(calls: &[Value], file: &Path) {
    let number = |(at, call): (usize, &Value)| {
        let mut call = call.clone();
        call["eventID"] = json!(format!("call-{at:04}"));
        call
    };
    let records: Vec<Value> = calls.iter().enumerate().map(number).collect();
    fs::write(file, json!({ "Records": records }).to_string()).unwrap();
}

fn analyze(calls: &[Value], more: &[&str]) -> Ran {
    let logs = tempfile::tempdir().unwrap();
    write(calls, &logs.path().join("log.json"));
    let out = tempfile::tempdir().unwrap();
    // A place that is the same in every run: it stands in the reports.
    let output = packtrail()
        .current_dir(logs.path())
        .args(["analyze", "log.json", "--format", "csv,json", "--out"])
        .arg(out.path())
        .args(more)
        .output()
        .unwrap();
    Ran { output, out }
}

#[track_caller]
fn assert_cells(row: &Value, expected: Value) {
    for (column, expected) in expected.as_object().unwrap() {
        let cell = row.get(column).unwrap_or_else(|| panic!("no column {column}"));
        let same = match (cell.as_f64(), expected.as_f64()) {
            (Some(cell), Some(expected)) => (cell - expected).abs() < 1e-9,
            _ => cell == expected,
        };
        assert!(same, "{column} is {cell}, expected {expected}, in {row:#}");
    }
}

// Ceilings.

#[test]
fn a_series_that_is_fine_for_sts_is_critical_for_what_stands_behind_it() {
    let trail: Vec<Value> = (45..75).map(|day| new(ROLE, day, 2600)).collect();
    let without = analyze(&trail, &["--fail-on", "critical"]);
    assert_eq!(without.code(), 0);
    assert_cells(&without.finding(ROLE), json!({ "status": "ok", "limit_name": "sts", "latest_percent": 63.48 }));
    assert_eq!(without.json("summary.json")["ceilings"], json!([]));

    let ran = analyze(&trail, &["--ceiling", "eks-authenticator=2500", "--fail-on", "critical"]);
    assert_eq!(ran.code(), 10, "--fail-on counts ceilings");
    let reason = "STS grants tokens that eks-authenticator does not take: 7 of 7 since 8 October are above its 2500 bytes; latest size 104.0 %; no growth";
    assert_cells(
        &ran.finding(ROLE),
        json!({
            "status": "critical", "limit_name": "eks-authenticator", "latest_percent": 104.0, "p95_percent": 104.0, "max_percent": 104.0,
            "max_session_token_bytes": 2600, "refused_calls": 0, "reason": reason, "limit_date": null
        }),
    );
    assert!(ran.said("1 critical"), "{}", ran.stdout());
    assert!(ran.said(&format!("AssumeRole, ceiling eks-authenticator of 2,500 bytes: {reason}")), "{}", ran.stdout());
    let summary = ran.json("summary.json");
    assert_eq!(summary["ceilings"], json!([{ "name": "eks-authenticator", "limit_bytes": 2500, "findings_nearest": 1 }]));
    assert_eq!((&summary["statuses"]["critical"], &summary["statuses"]["ok"]), (&json!(1), &json!(0)));
    assert_eq!(ran.text("daily.csv"), without.text("daily.csv"), "days are against STS's limit");
    assert_eq!(ran.text("events.csv"), without.text("events.csv"));
}

#[test]
fn statuses_against_a_ceiling_begin_where_those_of_sts_do() {
    for (bytes, percent, status) in
        [(1499, 74.95, "ok"), (1500, 75.0, "warning"), (1799, 89.95, "warning"), (1800, 90.0, "critical"), (2000, 100.0, "critical")]
    {
        let ran = analyze(&[new(ROLE, 60, bytes)], &["--ceiling", "proxy=2000"]);
        assert_cells(
            &ran.finding(ROLE),
            json!({ "status": status, "latest_percent": percent, "limit_name": "proxy", "reason": format!("latest size {percent:.1} %; too few days for a trend") }),
        );
    }
}

#[test]
fn of_several_limits_the_nearest_is_named() {
    let trail = [new(ROLE, 60, 2300), old(OTHER, 60, 95, 1200)];
    let nearest = |ceilings: &[&str]| {
        let more: Vec<&str> = ceilings.iter().flat_map(|ceiling| ["--ceiling", ceiling]).collect();
        let ran = analyze(&trail, &more);
        let counts: Vec<u64> =
            ran.json("summary.json")["ceilings"].as_array().unwrap().iter().map(|one| one["findings_nearest"].as_u64().unwrap()).collect();
        let named = |role| ran.finding(role)["limit_name"].as_str().unwrap().to_owned();
        (named(ROLE), named(OTHER), counts)
    };
    let answer = |role: &str, other: &str, counts: &[u64]| (role.to_owned(), other.to_owned(), counts.to_vec());
    assert_eq!(nearest(&["wide=3000", "narrow=2500"]), answer("narrow", "sts", &[0, 1]));
    assert_eq!(nearest(&["narrow=2500", "wide=3000"]), answer("narrow", "sts", &[1, 0]));
    // As near as each other: by name, and STS's own before either.
    assert_eq!(nearest(&["b=2500", "a=2500"]), answer("a", "sts", &[0, 1]));
    assert_eq!(nearest(&["same=4096"]), answer("sts", "sts", &[0]));
    assert_eq!(nearest(&["far=8192"]), answer("sts", "sts", &[0]));
    // Of one status the larger percentage: 1,200 bytes are 96 % of 1,250 and 95 % of the old limit.
    assert_eq!(nearest(&["tight=1250"]), answer("tight", "tight", &[2]));
}

#[test]
fn drift_towards_a_ceiling_gets_its_date() {
    // 1,500 bytes and 20 more a day: 2,280 on the 40th day, 2,500 eleven days later and 4,096 after three months.
    let trail: Vec<Value> =
        (40..80).flat_map(|day| (0..4).map(move |_| new(ROLE, day, 1500 + 20 * (u32::try_from(day).unwrap() - 40)))).collect();
    assert_cells(&analyze(&trail, &[]).finding(ROLE), json!({ "status": "watch", "limit_name": "sts" }));
    let ran = analyze(&trail, &["--ceiling", "eks-authenticator=2500"]);
    let finding = ran.finding(ROLE);
    // 2,280 bytes are 91 % of it: critical by size.
    assert_cells(
        &finding,
        json!({ "status": "critical", "limit_name": "eks-authenticator", "latest_percent": 91.2, "slope_percent_per_day": 0.8, "driver": "other", "limit_date": date(79 + 11) }),
    );
    let wider = analyze(&trail, &["--ceiling", "wider=3100"]).finding(ROLE);
    assert_cells(&wider, json!({ "status": "watch", "limit_name": "wider" }));
    let by_date = analyze(&trail, &["--ceiling", "between=2800"]).finding(ROLE);
    assert_cells(&by_date, json!({ "status": "warning", "limit_name": "between", "limit_date": date(79 + 26) }));
}

#[test]
fn an_old_series_meets_a_ceiling_by_the_length_of_its_tokens() {
    let trail = [old(ROLE, 3, 40, 2400), old(ROLE, 4, 40, 2000)];
    let ran = analyze(&trail, &["--ceiling", "eks-authenticator=2500"]);
    assert_cells(
        &ran.finding(ROLE),
        json!({ "status": "critical", "limit_name": "eks-authenticator", "latest_percent": 96.0, "max_percent": 96.0, "worst_event_id": "call-0000" }),
    );
    assert_eq!(ran.json("daily.json")[0]["max_percent"], 40.0);
    assert_cells(&analyze(&trail, &[]).finding(ROLE), json!({ "status": "ok", "limit_name": "sts", "latest_percent": 40.0 }));
}

#[test]
fn where_tokens_are_redacted_the_engine_tells_shifted_by_the_tokens_of_the_series_that_are_known() {
    let mut trail = vec![call(ROLE, 3)];
    trail[0]["responseElements"]["packedPolicySize"] = json!(1);
    let ran = analyze(&trail, &["--ceiling", "proxy=1000"]);
    assert_cells(&ran.finding(ROLE), json!({ "latest_percent": 74.0, "limit_name": "proxy", "max_session_token_bytes": null }));
    // The token of the same request is 100 bytes larger than the engine says: so are the others'.
    trail.push(old(ROLE, 13, 1, 840));
    let days: Vec<Value> = (4..11)
        .map(|day| {
            let mut one = trail[0].clone();
            one["eventTime"] = call(ROLE, day)["eventTime"].clone();
            one
        })
        .collect();
    trail.splice(0..0, days);
    let shifted = analyze(&trail, &["--ceiling", "proxy=1000"]);
    assert_cells(&shifted.finding(ROLE), json!({ "latest_percent": 84.0, "p95_percent": 84.0, "limit_name": "proxy" }));
    // Nothing but whole points of STS's limit is known: 50 of 4,096 bytes.
    let mut points = call(ROLE, 60);
    points["responseElements"] = json!({ "sessionTokenUtilization": 50 });
    assert_cells(&analyze(&[points], &["--ceiling", "proxy=2500"]).finding(ROLE), json!({ "latest_percent": 81.92, "status": "warning" }));
}

#[test]
fn one_token_above_a_ceiling_is_critical_however_few_they_are() {
    let mut trail: Vec<Value> = (0..50).map(|at| new(ROLE, 60 + at % 5, 1000)).collect();
    trail.push(new(ROLE, 62, 2504));
    let ran = analyze(&trail, &["--ceiling", "eks-authenticator=2500"]);
    assert_cells(
        &ran.finding(ROLE),
        json!({ "status": "critical", "latest_percent": 40.0, "max_percent": 100.16, "worst_event_id": "call-0050" }),
    );
    assert!(
        ran.reason(ROLE)
            .starts_with("STS grants tokens that eks-authenticator does not take: 1 of 51 since 30 September are above its 2500 bytes")
    );
    trail.extend((65..72).map(|day| new(ROLE, day, 1000)));
    let later = analyze(&trail, &["--ceiling", "eks-authenticator=2500"]);
    assert_cells(&later.finding(ROLE), json!({ "status": "ok", "latest_percent": 40.0 }));
}

#[test]
fn what_sts_refused_has_no_token_that_breaks_anything_behind_it() {
    let mut trail = vec![new(ROLE, 50, 1600), refused(ROLE, 51, 130, &[250; 9])];
    trail.extend((52..58).map(|day| new(ROLE, day, 1600)));
    let failing = analyze(&trail, &["--ceiling", "eks-authenticator=1500"]);
    assert_cells(&failing.finding(ROLE), json!({ "status": "failing", "limit_name": "sts", "max_percent": 130.0 }));
    trail.push(new(ROLE, 58, 1600));
    let healed = analyze(&trail, &["--ceiling", "eks-authenticator=2000"]);
    assert_cells(
        &healed.finding(ROLE),
        json!({
            "status": "warning", "limit_name": "eks-authenticator", "latest_percent": 80.0, "max_percent": 80.0, "calls": 9, "refused_calls": 1,
            "reason": "latest size 80.0 %; too few days for a trend; refused for size once on 21 September, 7 days with granted calls since"
        }),
    );
}

#[test]
fn fixes_are_priced_against_the_limit_the_finding_is_about() {
    let mut large = new(ROLE, 60, 2300);
    large["requestParameters"]["tags"] = json!([
        { "key": "a", "value": "v".repeat(250) }, { "key": "b", "value": "v".repeat(250) },
        { "key": "c", "value": "v".repeat(250) }, { "key": "d", "value": "v".repeat(250) }
    ]);
    let ran = analyze(&[large], &["--ceiling", "eks-authenticator=2500"]);
    // 549 + 6 + 4 x 254 bytes, and without two of the tags: 2,096 and 1,420 characters of base64. The 204 that are there and not explained stay.
    assert_cells(
        &ran.finding(ROLE),
        json!({ "status": "critical", "latest_percent": 92.0, "best_fix": "drop the largest 2 tags", "best_fix_percent": 64.96 }),
    );
    assert_cells(&ran.json("fixes.json")[0], json!({ "before_percent": 92.0, "after_percent": 64.96 }));
}

#[test]
fn a_ceiling_that_is_nowhere_near_changes_no_table() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let run = |more: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let output =
            packtrail().arg("analyze").arg(&samples).args(["--format", "csv,json", "--out"]).arg(out.path()).args(more).output().unwrap();
        Ran { output, out }
    };
    let (without, far) = (run(&[]), run(&["--ceiling", "far=4294967295"]));
    for table in ["events", "principals", "daily", "fixes"] {
        for form in ["csv", "json"] {
            let file = format!("{table}.{form}");
            assert!(without.text(&file) == far.text(&file), "{file}");
        }
    }
    let in_place = |ran: &Ran| ran.stdout().replace(&*ran.out.path().to_string_lossy(), "reports");
    assert_eq!(in_place(&without), in_place(&far));
}

#[test]
fn redact_keeps_the_names_of_ceilings() {
    let ran = analyze(&[new(ROLE, 60, 2600)], &["--ceiling", "eks-authenticator=2500", "--redact"]);
    assert_cells(&ran.finding(ROLE), json!({ "limit_name": "eks-authenticator" }));
    assert!(ran.text("principals.csv").contains(",eks-authenticator,") && ran.stdout().contains("eks-authenticator"));
}

#[test]
fn ceilings_hold_for_what_a_state_remembers_and_are_not_remembered_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let trail = [new(ROLE, 60, 2600)];
    let log = directory.path().join("log.json");
    write(&trail, &log);
    for (ceiling, limit) in [(None, "sts"), (Some("proxy=2500"), "proxy"), (None, "sts")] {
        let out = tempfile::tempdir().unwrap();
        let mut command = packtrail();
        command.arg("analyze").arg(&log).arg("--state").arg(&state).args(["--format", "json", "--out"]).arg(out.path());
        let output = command.args(ceiling.iter().flat_map(|ceiling| ["--ceiling", ceiling])).output().unwrap();
        let ran = Ran { output, out };
        assert_cells(&ran.finding(ROLE), json!({ "limit_name": limit }));
    }
}

#[test]
fn a_ceiling_that_is_none_is_wrong_usage() {
    let trail = [new(ROLE, 60, 2600)];
    for (ceilings, why) in [
        (&["proxy"][..], "expected NAME=BYTES, such as eks-authenticator=2500"),
        (&["=2500"], "expected NAME=BYTES, such as eks-authenticator=2500"),
        (&["sts=2500"], "`sts` is the name of STS's own limit"),
        (&["proxy=0"], "`0` is no number of bytes"),
        (&["proxy=2.5k"], "`2.5k` is no number of bytes"),
        (&["proxy=a=1"], "`a=1` is no number of bytes"),
        (&["proxy=2500", "other=1", "proxy=2600"], "--ceiling: `proxy` is given twice"),
    ] {
        let more: Vec<&str> = ceilings.iter().flat_map(|ceiling| ["--ceiling", ceiling]).collect();
        let ran = analyze(&trail, &more);
        let stderr = String::from_utf8(ran.output.stderr.clone()).unwrap();
        assert_eq!(ran.code(), 2, "{ceilings:?}");
        assert!(stderr.contains(why), "{stderr}");
        assert_eq!(fs::read_dir(ran.out.path()).unwrap().count(), 0, "nothing is written");
    }
}

// Old records, new limit.

#[test]
fn old_calls_are_weighed_under_todays_limit_by_the_length_of_their_tokens() {
    let lengths = [1000, 1024, 1200, 2048];
    let mut trail: Vec<Value> = (0..).zip(lengths).map(|(day, length)| old(ROLE, day, 40, length)).collect();
    // Redacted, and refused: no length.
    trail.push(call(ROLE, 5));
    trail.push(new(OTHER, 60, 4000));
    let ran = analyze(&trail, &[]);
    assert_eq!(
        ran.old_calls(),
        json!({
            "limit_bytes": TODAY_BYTES as u32, "with_token_length": 4, "median_percent": 25.0, "p95_percent": 50.0, "max_percent": 50.0,
            "fine_before_but_warning_today": 0, "refused_for_size": { "granted_today": 0, "refused_today": 0, "unknown": 0 }
        })
    );
    let told = "By the length of their tokens, calls of the old regime (4) take 25 % of today's 4,096 bytes in the median, 50 % at most.";
    assert!(ran.said(told), "{}", ran.stdout());
    assert!(!ran.stdout().contains("Calls refused"));

    let none = analyze(&[new(ROLE, 60, 4000)], &[]);
    assert!(!none.stdout().contains("old regime"));
    assert_cells(&none.old_calls(), json!({ "with_token_length": 0, "median_percent": null, "p95_percent": null, "max_percent": null }));
}

#[test]
fn a_call_that_was_fine_under_the_old_limit_may_not_be_under_todays() {
    // 3,072 bytes are 75 % of 4,096.
    let trail = [old(ROLE, 1, 74, 3072), old(ROLE, 2, 74, 3071), old(ROLE, 3, 75, 3400), old(OTHER, 4, 10, 4000)];
    let ran = analyze(&trail, &[]);
    assert_cells(&ran.old_calls(), json!({ "fine_before_but_warning_today": 2 }));
    assert!(ran.said("97 % at most; at 75 % or more though fine then: 2."), "{}", ran.stdout());
}

const OVER: &str = "what was refused is an old failure that would no longer fail today";

#[test]
fn an_old_failure_that_would_no_longer_fail_today_is_said_to_be_one_in_every_form() {
    // Tags of 508 bytes, 110 % of the old limit: a token of 1,420 bytes today.
    let trail = [old(ROLE, 1, 40, 1024), refused(ROLE, 2, 110, &[251, 251])];
    let ran = analyze(&trail, &[]);
    let reason = format!("refused for size once on 3 August; {OVER}");
    assert_cells(&ran.finding(ROLE), json!({ "status": "failing", "limit_name": "sts", "reason": reason }));
    assert!(ran.text("principals.csv").contains(&reason));
    assert!(ran.said(&format!("note: {OVER}")), "{}", ran.stdout());
    assert!(ran.said("Calls refused for size in the old regime: 1; of these 1 would no longer fail today."), "{}", ran.stdout());
    assert_eq!(ran.json("summary.json")["regimes"]["refused_before_but_within_the_limit_today"], 1);
    assert_eq!(ran.old_calls()["refused_for_size"], json!({ "granted_today": 1, "refused_today": 0, "unknown": 0 }));

    // Also where the series has long been in the new regime, and where a ceiling is nearer.
    let mut healed = trail.to_vec();
    healed.extend((60..70).map(|day| new(ROLE, day, 1640)));
    for (more, limit) in [(&[][..], "sts"), (&["--ceiling", "proxy=2000"], "proxy")] {
        let ran = analyze(&healed, more);
        assert_cells(&ran.finding(ROLE), json!({ "limit_name": limit, "refused_calls": 1 }));
        assert!(ran.reason(ROLE).contains("refused for size once") && ran.reason(ROLE).ends_with(OVER), "{}", ran.reason(ROLE));
    }
}

#[test]
fn a_failure_that_would_fail_today_or_of_which_nobody_knows_is_not_said_to_be_over() {
    // 12 tags of 250 characters: 3,048 bytes packed, 4,804 of token. 9 of them and
    // one of 227: 2,517 bytes and 4,096, from 4,088 to 4,108.
    let (granted, too_large, unknown) = (&[251, 251][..], &[250; 12][..], &[250, 250, 250, 250, 250, 250, 250, 250, 250, 227][..]);
    for (tags, counts) in [(too_large, [1, 1, 0]), (unknown, [1, 0, 1])] {
        let ran = analyze(&[old(ROLE, 1, 40, 1024), refused(ROLE, 2, 110, granted), refused(ROLE, 3, 600, tags)], &[]);
        let [granted, refused, unknown] = counts;
        assert_eq!(ran.old_calls()["refused_for_size"], json!({ "granted_today": granted, "refused_today": refused, "unknown": unknown }));
        assert!(!ran.reason(ROLE).contains(OVER) && !ran.stdout().contains(OVER));
    }
    let mut not_logged = refused(ROLE, 3, 110, granted);
    not_logged["requestParameters"] = Value::Null;
    not_logged["resources"] = json!([{ "type": "AWS::IAM::Role", "ARN": ROLE }]);
    let ran = analyze(&[old(ROLE, 1, 40, 1024), refused(ROLE, 2, 600, too_large), not_logged], &[]);
    assert_eq!(ran.old_calls()["refused_for_size"], json!({ "granted_today": 0, "refused_today": 1, "unknown": 1 }));
    assert!(
        ran.said("Calls refused for size in the old regime: 2; of these 0 would no longer fail today, 1 still would, 1 cannot be told."),
        "{}",
        ran.stdout()
    );

    // A refusal of the new regime is no old failure, whatever the engine says of it.
    let ran = analyze(&[old(ROLE, 1, 40, 1024), refused(ROLE, 2, 110, granted), new(ROLE, 60, 1500), refused(ROLE, 61, 110, granted)], &[]);
    assert!(!ran.reason(ROLE).contains(OVER), "{}", ran.reason(ROLE));
    assert_eq!(ran.old_calls()["refused_for_size"], json!({ "granted_today": 1, "refused_today": 0, "unknown": 0 }));
}
