//! The engine fitted to a user's own logs, by the built command: over a trail whose STS takes another budget than the built-in figures say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "generator/mod.rs"]
mod generator;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use generator::Rng;
use generator::json::{Fields, Json, gzip};
use generator::records::{Answer, Call, Caller, records};
use packtrail::packing::{Operation, Profile, Request, pack};
use serde_json::{Value, json};

/// How STS sizes sessions in these trails: 460, 3, 7 and 549 by the built-in figures.
const LIMIT: u32 = 800;
const TAG_OVERHEAD: u32 = 5;
const POLICY_ARN: u32 = 20;
const TOKEN_BASE: u32 = 700;
/// Calls of a trail; the first half is of the regime until September 2026.
const CALLS: u64 = 900;
const ACCOUNTS: [&str; 2] = ["111122223333", "444455556666"];
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// The call of this number, with so many bytes that no record shows.
fn call(number: u64, hidden: u32) -> Call {
    call_rounded(number, hidden, |bytes| 100 * bytes / LIMIT)
}

/// The same, the percentage of packed bytes made a whole number in another way.
fn call_rounded(number: u64, hidden: u32, whole: fn(u32) -> u32) -> Call {
    let mut rng = Rng::new(number);
    let account = *rng.pick(&ACCOUNTS);
    let text = |rng: &mut Rng, longest: i64| -> String {
        let length = rng.whole(0, longest);
        (0..length).map(|_| *rng.pick(&['a', 'b', 'c', 'd', 'e', '/', '-', '7'])).collect()
    };
    let kind = rng.whole(0, 3);
    // Where tags are all there is, refusals tell the limit too: beside a policy they may speak of either.
    let (tags, longest) = if kind > 1 { (rng.whole(1, 8), 240) } else { (rng.whole(-1, 4), 100) };
    let mut request = Request {
        tags: (0..tags).map(|at| (format!("tag{at}"), format!("SECRET{}", text(&mut rng, longest)))).collect(),
        ..Request::default()
    };
    match kind {
        0 => {
            let arn = |at: i64| format!("arn:aws:iam::{account}:policy/SECRET{at}");
            request.policy_arns = (0..rng.whole(1, 5)).map(arn).collect();
        }
        1 => {
            let statement = |rng: &mut Rng| {
                let actions: Vec<&str> = (0..rng.whole(1, 6))
                    .map(|_| {
                        *rng.pick(&[
                            "s3:GetObject",
                            "s3:ListBucket",
                            "sqs:SendMessage",
                            "kms:Decrypt",
                            "ec2:RunInstances",
                            "dynamodb:Query",
                        ])
                    })
                    .collect();
                json!({ "Effect": "Allow", "Action": actions, "Resource": format!("arn:aws:s3:::SECRET-{}/*", text(rng, 40)) })
            };
            let statements: Vec<Value> = (0..rng.whole(1, 4)).map(|_| statement(&mut rng)).collect();
            request.policy = Some(json!({ "Version": "2012-10-17", "Statement": statements }).to_string());
        }
        _ => {}
    }
    let tag_bytes: u32 = request.tags.iter().map(|(key, value)| (key.len() + value.len()) as u32 + TAG_OVERHEAD).sum();
    // What STS does to policies is as the built-in figures have it.
    let policy = Request { policy: request.policy.clone(), ..Request::default() };
    let policy_bytes = pack(&policy, &Profile::builtin().packed_policy).policy_bytes;
    let packed = tag_bytes + POLICY_ARN * request.policy_arns.len() as u32 + policy_bytes + hidden;
    let session_name = format!("SECRET{}", text(&mut rng, 30));
    let token_bytes = (TOKEN_BASE + session_name.len() as u32 + packed).div_ceil(3) * 4;
    let percent = whole(packed);
    let (old, time) = (number % CALLS < CALLS / 2, 1_785_000_000 + (number % CALLS) as i64 * 7000);
    let answer = if old && percent > 100 {
        Answer::TooLarge { message: format!("Packed policy consumes {percent}% of allotted space, please use smaller policy.") }
    } else if old {
        Answer::GrantedPacked { percent: (packed > 0).then_some(percent), token_bytes }
    } else {
        Answer::GrantedToken { token_bytes }
    };
    let region = REGIONS[rng.whole(0, 1) as usize];
    Call {
        time,
        account,
        region,
        operation: Operation::AssumeRole,
        caller: Caller::User { account, name: "deployer" },
        role_arn: Some(format!("arn:aws:iam::{account}:role/{}", *rng.pick(&["etl-day", "etl-night", "web"]))),
        session_name,
        request,
        answer,
    }
}

/// `calls` as log files of 50 records, by name.
fn files(calls: &[Call]) -> Vec<(String, Vec<u8>)> {
    let file = |(at, calls): (usize, &[Call])| {
        // Records of a call are the same wherever it stands: ids too.
        let record = |call: &Call| records(call, &mut Rng::new(call.time as u64)).remove(0).1;
        let list: Vec<Json> = calls.iter().map(record).collect();
        let mut text = String::new();
        Json::from(Fields::new().with("Records", list)).write(&mut text);
        (format!("{at:03}.json.gz"), gzip(text.as_bytes()))
    };
    calls.chunks(50).enumerate().map(file).collect()
}

fn put(directory: &Path, files: &[(String, Vec<u8>)]) {
    fs::create_dir_all(directory).unwrap();
    for (name, bytes) in files {
        fs::write(directory.join(name), bytes).unwrap();
    }
}

fn all_calls() -> Vec<Call> {
    (0..CALLS).map(|number| call(number, 0)).collect()
}

/// A directory for one test, with a trail of `calls` in `logs`.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(calls: &[Call]) -> Bench {
        let bench = Bench(tempfile::tempdir().unwrap());
        put(&bench.path("logs"), &files(calls));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the command in the directory.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_packtrail"));
        command.current_dir(self.0.path()).args(arguments).output().unwrap()
    }

    /// Runs a command that is to succeed, and gives what it printed.
    fn done(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!((ran.status.code(), text(&ran.stderr)), (Some(0), String::new()), "{arguments:?}");
        text(&ran.stdout)
    }

    /// Runs a command that is to end with `code`, and gives what it complained of.
    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {}", text(&ran.stderr));
        assert!(!text(&ran.stderr).contains("panicked"), "{}", text(&ran.stderr));
        text(&ran.stderr)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// The profile of `logs`, as text.
    fn calibrated(&self, more: &[&str]) -> String {
        self.done(&[&["calibrate", "logs", "--out", "made.json", "--quiet"], more].concat());
        self.read("made.json")
    }

    /// The events of a report as numbers by column.
    fn events(&self, report: &str) -> Vec<BTreeMap<String, f64>> {
        let text = self.read(&format!("{report}/events.csv"));
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<String>>());
        let header = lines.next().unwrap();
        lines.map(|row| header.iter().cloned().zip(row).filter_map(|(name, cell)| Some((name, cell.parse().ok()?))).collect()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asserts that `sizing` of a profile's JSON has the figures of the trails.
fn assert_is_theirs(profile: &Value) {
    for regime in ["packed-policy", "session-token"] {
        let sizing = &profile[regime];
        assert_eq!(sizing["tag_overhead_bytes"], json!(TAG_OVERHEAD), "{regime}");
        assert!(
            (sizing["policy_arn_bytes"].as_f64().unwrap() - f64::from(POLICY_ARN)).abs() < 0.6,
            "{regime}: {}",
            sizing["policy_arn_bytes"]
        );
        assert_eq!(sizing["codec"], json!("libdeflate 3"), "{regime}");
        let base = &sizing["token_bases"][0];
        assert_eq!((&base["operation"], &base["caller_kind"]), (&json!("AssumeRole"), &json!("IAMUser")), "{regime}");
        assert!(base["bytes"].as_u64().unwrap().abs_diff(u64::from(TOKEN_BASE)) <= 1, "{regime}: {base}");
    }
    assert_eq!(profile["packed-policy"]["limit_bytes"], json!(LIMIT));
    assert_eq!(profile["session-token"]["limit_bytes"], json!(4096));
}

/// Asserts that nearly all labelled events of a report are covered by their ranges and recomputed to the point.
fn assert_recomputed(events: &[BTreeMap<String, f64>]) {
    let labelled: Vec<_> = events.iter().filter(|event| event.contains_key("observed_percent")).collect();
    assert!(labelled.len() > 700, "{} of {} events are labelled", labelled.len(), events.len());
    let share = |holds: &dyn Fn(&BTreeMap<String, f64>) -> bool| {
        labelled.iter().filter(|event| holds(event)).count() as f64 / labelled.len() as f64
    };
    let covered = share(&|event| (event["recomputed_low_percent"]..=event["recomputed_high_percent"]).contains(&event["observed_percent"]));
    let exact = share(&|event| event["residual_percent"] == 0.0);
    assert!(covered >= 0.9 && exact >= 0.95, "{covered:.3} covered, {exact:.3} exact");
}

#[test]
fn a_profile_has_the_figures_of_the_logs_and_every_command_goes_by_them() {
    let bench = Bench::new(&all_calls());
    let told = bench.done(&["calibrate", "logs", "--out", "p.json"]);
    assert!(told.contains("packed-policy: ") && told.contains("  limit 800 bytes; 5 bytes a tag;"), "{told}");
    assert!(told.ends_with("Profile: p.json\n"), "{told}");
    assert_is_theirs(&bench.json("p.json"));

    let fitted = bench.done(&["analyze", "logs", "--out", "fitted", "--format", "csv"]);
    let named = bench.done(&["analyze", "logs", "--out", "named", "--format", "csv", "--profile", "p.json"]);
    let plain = bench.done(&["analyze", "logs", "--out", "plain", "--format", "csv", "--profile", "none"]);
    assert!(fitted.contains("sizes by figures fitted to ") && named.contains("sizes by figures fitted to "));
    assert!(plain.contains("sizes by the built-in figures"));
    assert_recomputed(&bench.events("fitted"));
    for table in ["events", "principals", "daily", "fixes"] {
        assert_eq!(bench.read(&format!("fitted/{table}.csv")), bench.read(&format!("named/{table}.csv")), "{table}");
    }
    assert_eq!(bench.json("fitted/summary.json")["profile"], bench.json("p.json"));
    assert_eq!(bench.json("named/summary.json")["profile"], bench.json("p.json"));
    assert_eq!(bench.json("plain/summary.json")["profile"], Profile::builtin().to_json());
    let off = bench.events("plain").iter().filter(|event| event.get("residual_percent").is_some_and(|points| *points != 0.0)).count();
    assert!(off > 700, "the built-in figures are those of another STS: {off} calls are off");

    // One tag of 3 and 192 bytes: 200 of 800.
    let tag = format!("key={}", "v".repeat(192));
    let estimate = |profile: &str| -> Value {
        let said =
            bench.done(&["estimate", "--tag", &tag, "--session-name", "jane", "--caller-kind", "IAMUser", "--json", "--profile", profile]);
        serde_json::from_str(&said).unwrap()
    };
    let (own, other) = (estimate("p.json"), estimate("none"));
    assert_eq!((&own["other_regime"]["recomputed_percent"], &own["other_regime"]["packed_bytes"]), (&json!(25.0), &json!(200)));
    assert_eq!((&other["other_regime"]["limit_bytes"], &other["other_regime"]["packed_bytes"]), (&json!(460), &json!(198)));
    assert!(own["session_token_bytes"].as_u64().unwrap().abs_diff(u64::from((TOKEN_BASE + 4 + 200).div_ceil(3) * 4)) <= 4, "{own}");
}

#[test]
fn a_profile_is_the_same_to_the_byte_for_any_order_number_of_threads_and_split() {
    let calls = all_calls();
    let bench = Bench::new(&calls);
    let one = bench.calibrated(&["--threads", "1"]);
    assert_eq!(bench.calibrated(&["--threads", "8"]), one);

    // The same calls in the opposite order, in files of other names, and each file of the second half a copy of one of the first.
    let mut backwards = calls.clone();
    backwards.reverse();
    let files = files(&backwards);
    let (left, right) = files.split_at(files.len() / 2);
    put(&bench.path("left"), left);
    put(&bench.path("right"), right);
    put(&bench.path("right/copies"), left);
    bench.done(&["calibrate", "right", "left", "--out", "split.json", "--quiet"]);
    assert_eq!(bench.read("split.json"), one);
    bench.done(&["analyze", "left", "right", "--out", "report", "--format", "csv", "--quiet"]);
    assert_eq!(bench.json("report/summary.json")["profile"], serde_json::from_str::<Value>(&one).unwrap());
}

#[test]
fn runs_with_a_state_over_a_growing_trail_give_the_tables_of_one_run_over_all() {
    let bench = Bench::new(&all_calls());
    let all: Vec<PathBuf> = fs::read_dir(bench.path("logs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    fs::create_dir(bench.path("growing")).unwrap();
    for (at, path) in all.iter().enumerate() {
        fs::rename(path, bench.path("growing").join(path.file_name().unwrap())).unwrap();
        if at == all.len() / 3 || at + 1 == all.len() {
            bench.done(&["analyze", "growing", "--state", "state", "--out", "kept", "--format", "csv", "--quiet"]);
        }
    }
    let growing = bench.path("growing");
    bench.done(&["analyze", growing.to_str().unwrap(), "--out", "once", "--format", "csv", "--quiet"]);
    for table in ["events", "principals", "daily", "fixes"] {
        assert_eq!(bench.read(&format!("kept/{table}.csv")), bench.read(&format!("once/{table}.csv")), "{table}");
    }
    assert_eq!(bench.json("kept/summary.json")["profile"], bench.json("once/summary.json")["profile"]);
    assert_is_theirs(&bench.json("kept/summary.json")["profile"]);
    assert_recomputed(&bench.events("kept"));
}

#[test]
fn of_few_labelled_calls_nothing_is_fitted_and_both_commands_say_so() {
    let calls: Vec<Call> = (0..30).map(|number| call(number, 0)).collect();
    let bench = Bench::new(&calls);
    let told = bench.done(&["calibrate", "logs", "--out", "p.json"]);
    assert!(told.contains("packed-policy: not fitted, ") && told.contains("at least 40"), "{told}");
    assert!(told.contains("session-token: not fitted, too few of 0 distinct labelled requests"), "{told}");
    let told = bench.done(&["analyze", "logs", "--out", "report", "--format", "csv"]);
    assert!(told.contains("sizes by the built-in figures"), "{told}");

    let mut profile = Profile::from_json(&bench.read("p.json")).unwrap();
    let basis = profile.packed_policy.basis.take().unwrap();
    assert!(basis.requests > 20 && basis.kinds.is_empty() && basis.at_prior.len() == 17, "{basis:?}");
    assert_eq!(profile, Profile::builtin());
    // Calls that tell nothing of either regime.
    bench.done(&["analyze", "logs", "--out", "named", "--profile", "p.json", "--format", "csv", "--quiet"]);
    assert_eq!(bench.read("named/events.csv"), bench.read("report/events.csv"));
}

#[test]
fn a_regime_without_calls_of_its_own_takes_what_the_other_one_shows() {
    let calls: Vec<Call> = all_calls().into_iter().filter(|call| !matches!(call.answer, Answer::GrantedToken { .. })).collect();
    let bench = Bench::new(&calls);
    let told = bench.done(&["calibrate", "logs", "--out", "p.json"]);
    assert_is_theirs(&bench.json("p.json"));
    assert_eq!(bench.json("p.json")["session-token"]["basis"], Value::Null);
    let (_, of_tokens) = told.split_once("session-token: ").unwrap();
    assert!(!of_tokens.contains("those of public records") && of_tokens.contains("packed-policy"), "{told}");
}

#[test]
fn what_the_filters_leave_out_is_left_out_of_the_fit() {
    let calls = all_calls();
    let bench = Bench::new(&calls);
    let day = generator::records::timestamp(calls[450].time);
    type Keeps<'a> = &'a dyn Fn(&Call) -> bool;
    let filters: [(&[&str], Keeps); 5] = [
        (&["--since", &day], &|call| call.time >= calls[450].time),
        (&["--until", &day], &|call| call.time < calls[450].time),
        (&["--role", "*:role/etl-*"], &|call| call.role_arn.as_ref().unwrap().contains(":role/etl-")),
        (&["--account", ACCOUNTS[0]], &|call| call.account == ACCOUNTS[0]),
        (&["--region", REGIONS[1]], &|call| call.region == REGIONS[1]),
    ];
    for (options, keeps) in filters {
        let kept: Vec<Call> = calls.iter().filter(|call| keeps(call)).cloned().collect();
        assert!(kept.len() > 200 && kept.len() < 800, "{options:?}");
        let alone = Bench::new(&kept);
        assert_eq!(bench.calibrated(options), alone.calibrated(&[]), "{options:?}");
    }
    assert!(
        bench
            .ends(2, &["calibrate", "logs", "--out", "p.json", "--since", "2026-09-02", "--until", "2026-09-01"])
            .contains("--since must be before")
    );
}

#[test]
fn calls_with_hidden_bytes_do_not_move_the_figures_and_are_counted() {
    let hidden = |number: u64| if number % 10 == 3 { 240 + (number % 7) as u32 * 20 } else { 0 };
    let bench = Bench::new(&(0..CALLS).map(|number| call(number, hidden(number))).collect::<Vec<Call>>());
    let profile: Value = serde_json::from_str(&bench.calibrated(&[])).unwrap();
    assert_is_theirs(&profile);
    for regime in ["packed-policy", "session-token"] {
        let basis = &profile[regime]["basis"];
        let above = basis["outliers_above"].as_u64().unwrap();
        assert!(
            (35..=45).contains(&above) && basis["outliers_below"] == json!(0),
            "{regime}: {above} of 45; {} {basis}",
            profile[regime]["token_bases"][0]
        );
    }
    bench.done(&["analyze", "logs", "--out", "report", "--format", "csv", "--quiet"]);
    let exact = bench.events("report").iter().filter(|event| event.get("residual_percent") == Some(&0.0)).count();
    assert!(exact >= 750, "{exact} calls to the point");
}

#[test]
fn residuals_are_those_of_the_rounding_that_was_found() {
    let bench = Bench::new(&(0..CALLS).map(|number| call_rounded(number, 0, |bytes| (100 * bytes).div_ceil(LIMIT))).collect::<Vec<Call>>());
    bench.done(&["analyze", "logs", "--out", "report", "--format", "csv", "--quiet"]);
    let profile = &bench.json("report/summary.json")["profile"];
    assert_eq!((&profile["packed-policy"]["rounding"], &profile["session-token"]["rounding"]), (&json!("up"), &json!("down")));
    assert!(profile["packed-policy"]["limit_bytes"].as_u64().unwrap().abs_diff(u64::from(LIMIT)) <= 1);
    assert_recomputed(&bench.events("report"));
}

/// STS's own figures, and tokens that take 25, 50 and 75 % to the byte.
#[test]
fn a_token_at_a_whole_percentage_moves_no_limit() {
    let calls: Vec<Call> = (0..60_i64)
        .map(|number| {
            // The token base is 549, the session name 4 bytes, the tag's key and overhead 4.
            let content = if number % 20 == 19 { [211, 979, 1747][number as usize / 20] } else { number as usize + 1 };
            let token_bytes = (549 + 4 + 4 + content as u32).div_ceil(3) * 4;
            let request = Request { tags: vec![("k".to_owned(), "v".repeat(content))], ..Request::default() };
            Call {
                time: 1_790_000_000 + number,
                session_name: "jane".to_owned(),
                request,
                answer: Answer::GrantedToken { token_bytes },
                ..call(1, 0)
            }
        })
        .collect();
    let profile: Value = serde_json::from_str(&Bench::new(&calls).calibrated(&[])).unwrap();
    assert_eq!(profile["session-token"]["limit_bytes"], json!(4096));
}

#[test]
fn a_profile_holds_nothing_of_what_the_calls_say() {
    let bench = Bench::new(&all_calls());
    let ran = bench.run(&["calibrate", "logs", "--out", "p.json"]);
    let written = [bench.read("p.json"), text(&ran.stdout), text(&ran.stderr)].concat();
    // Tokens, policies, tags, names, then what is no secret but has no place in a profile either.
    for kept in ["FAKETOKEN", "ASIAEXAMPLE", "SECRET", "tag0", "s3:", "arn:", "deployer", "etl-", ACCOUNTS[0], "us-east-1", "logs/"] {
        assert!(!written.contains(kept), "{kept}");
    }
}

#[test]
fn a_profile_that_cannot_be_used_is_refused_with_the_reason() {
    let bench = Bench::new(&[call(1, 0)]);
    let profile = Profile::builtin().to_json();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut profile = profile.clone();
        change(&mut profile);
        profile.to_string()
    };
    let damaged = changed(&|profile| profile["packed-policy"]["limit_bytes"] = json!("800"));
    let cases = [
        ("damaged.json", damaged, "damaged profile: `packed-policy.limit_bytes`: expected a whole number of its range"),
        ("cut.json", profile.to_string()[..200].to_owned(), "no profile: EOF while parsing"),
        ("newer.json", changed(&|profile| profile["packtrail_profile"] = json!(2)), "profile of version 2, written by a newer packtrail"),
        (
            "unknown.json",
            changed(&|profile| profile["session-token"]["more"] = json!(1)),
            "damaged profile: `session-token.more`: not a member of version 1",
        ),
        ("other.json", "{\"Records\":[]}".to_owned(), "no profile: the member `packtrail_profile`"),
        ("empty.json", String::new(), "no profile: EOF"),
    ];
    for (name, content, reason) in cases {
        fs::write(bench.path(name), content).unwrap();
        for command in [&["analyze", "logs", "--out", "report"][..], &["estimate", "--tag", "a=b"]] {
            let said = bench.ends(1, &[command, &["--profile", name]].concat());
            assert!(said.starts_with(&format!("packtrail: --profile `{name}`: {reason}")) && said.lines().count() == 1, "{said}");
        }
    }
    for command in [&["analyze", "logs", "--out", "report"][..], &["estimate", "--tag", "a=b"]] {
        assert!(bench.ends(2, &[command, &["--profile", "missing.json"]].concat()).contains("missing.json"));
        assert!(bench.ends(1, &[command, &["--profile", "logs"]].concat()).contains("`logs`"));
    }
    assert!(!bench.path("report").exists());
    // As a text editor or a shell of Windows may have saved it.
    fs::write(bench.path("bom.json"), format!("\u{feff}{}", format!("{profile:#}").replace('\n', "\r\n"))).unwrap();
    bench.done(&["estimate", "--tag", "a=b", "--profile", "bom.json"]);
}

#[test]
fn calibrate_says_what_is_wrong_and_leaves_nothing_half_done() {
    let bench = Bench::new(&all_calls()[..100]);
    let listing = || -> BTreeSet<String> {
        fs::read_dir(bench.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let before = listing();
    // Told before anything is read, hence before what is wrong with the source.
    for (out, reason) in [
        ("nowhere/p.json", "no such directory: `nowhere`"),
        ("logs", "`logs` is a directory, a file is wanted"),
        ("logs/", "`logs/` is a directory, a file is wanted"),
    ] {
        assert_eq!(bench.ends(2, &["calibrate", "no-source", "--out", out]), format!("packtrail: --out: {reason}\n"));
    }
    assert!(bench.ends(2, &["calibrate", "no-source", "--out", "p.json"]).contains("`no-source`"));
    assert!(bench.ends(2, &["calibrate", "logs"]).contains("--out"));
    fs::create_dir(bench.path("empty")).unwrap();
    assert_eq!(bench.ends(3, &["calibrate", "empty", "--out", "p.json"]), "packtrail: no log file found in `empty` (0 files skipped)\n");
    fs::remove_dir(bench.path("empty")).unwrap();
    // Nobody can write there, not even root.
    assert!(bench.ends(1, &["calibrate", "logs", "--out", "/proc/p.json"]).starts_with("packtrail: cannot write `/proc/p.json`: "));
    assert_eq!(listing(), before);

    fs::write(bench.path("p.json"), "x".repeat(1 << 20)).unwrap();
    bench.done(&["calibrate", "logs", "--out", "p.json", "--quiet"]);
    Profile::from_json(&bench.read("p.json")).unwrap();
    assert_eq!(listing().len(), before.len() + 1);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("p.json", bench.path("link.json")).unwrap();
        fs::write(bench.path("p.json"), "").unwrap();
        bench.done(&["calibrate", "logs", "--out", "link.json", "--quiet"]);
        assert!(bench.path("link.json").is_symlink());
        assert_eq!(bench.done(&["calibrate", "logs", "--out", "/dev/stdout", "--quiet"]), bench.read("p.json"));
    }
    // A profile among the logs is none of them.
    bench.done(&["calibrate", "logs", "--out", "logs/p.json", "--quiet"]);
    bench.done(&["calibrate", "logs", "--out", "logs/p.json", "--quiet"]);
    assert_eq!(bench.read("logs/p.json"), bench.read("p.json"));
}

#[test]
fn a_file_that_cannot_be_read_costs_that_file_only() {
    let calls = all_calls();
    let bench = Bench::new(&calls[..calls.len() - 50]);
    let whole = bench.calibrated(&[]);
    let (name, bytes) = files(&calls).pop().unwrap();
    fs::write(bench.path("logs").join(&name), &bytes[..40]).unwrap();
    let said = bench.ends(4, &["calibrate", "logs", "--out", "p.json", "--quiet"]);
    assert!(said.contains(&name) && said.lines().count() == 1, "{said}");
    assert_eq!(bench.read("p.json"), whole);
}

#[test]
fn unattended_runs_say_everything_in_json_lines_and_quiet_ones_nothing() {
    let bench = Bench::new(&all_calls()[..100]);
    fs::write(bench.path("logs/damaged.json.gz"), &gzip(b"{\"Records\":[]}")[..15]).unwrap();
    let lines = |ran: &Output| -> Vec<Value> {
        assert!(ran.stdout.is_empty());
        text(&ran.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let ran = bench.run(&["calibrate", "logs", "--out", "p.json", "--log-format", "json"]);
    let said = lines(&ran);
    assert_eq!((ran.status.code(), said.len()), (Some(4), 2), "{said:?}");
    assert_eq!(said[0]["level"], json!("error"));
    let done = said[1].as_object().unwrap();
    let requests = &bench.json("p.json")["packed-policy"]["basis"]["requests"];
    let expected = json!({ "level": "info", "message": "done", "packed_policy_requests": requests, "session_token_requests": 0, "unreadable": 1, "exit_code": 4 });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(done[name], *value, "{done:?}");
    }
    let ran = bench.run(&["calibrate", "logs", "--out", "nowhere/p.json", "--log-format", "json"]);
    assert_eq!(lines(&ran)[0]["exit_code"], json!(2));

    fs::remove_file(bench.path("logs/damaged.json.gz")).unwrap();
    for more in [&["--quiet"][..], &["--quiet", "--log-format", "json"]] {
        assert_eq!(bench.done(&[&["calibrate", "logs", "--out", "p.json"], more].concat()), "");
    }
}

/// The paths of all members below `value`, `[]` for the items of lists.
fn members(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                found.insert(place.clone());
                members(value, &place, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, &format!("{place}[]"), found)),
        _ => {}
    }
}

#[test]
fn the_page_on_profiles_names_every_member_and_no_other() {
    let bench = Bench::new(&all_calls());
    let profile: Value = serde_json::from_str(&bench.calibrated(&[])).unwrap();
    let mut written = BTreeSet::new();
    for regime in ["packed-policy", "session-token"] {
        members(&profile[regime], "", &mut written);
    }
    let top: BTreeSet<&str> = profile.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(top, BTreeSet::from(["packtrail_profile", "packed-policy", "session-token"]));
    written.extend(top.into_iter().map(str::to_owned));
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/profile.md")).unwrap();
    let named: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(named, written);
}
