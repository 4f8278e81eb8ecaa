//! What the fixes of policies save, on policies drawn by seed and on those of real logs; and that what is called the same meaning is.
//!
//! `cargo test --test savings -- --nocapture` prints the tables. `PACKTRAIL_CASES` sets how many random policies are proven (100), `PACKTRAIL_LOGS` names a
//! folder of log files whose policies are measured too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod drawn;
mod meaning;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use drawn::{KINDS, Kind, draw};
use meaning::{Dice, decide, readings};
use packtrail::fixes::{Advice, Effect, Fix, Subject, Suggestions, suggestions};
use packtrail::packing::{Asked, CallerKind, Operation, Profile, Regime, Request, Session, pack};
use packtrail::proof::{Actions, Comparison, compare};
use serde_json::Value;

/// Policies drawn for the tables, as many of each kind.
const DRAWN: usize = 200;

/// Requests that a policy and its rewrites are asked for.
const REQUESTS: usize = 40;

fn suggested(policy: &str, operation: Operation, target_percent: f64) -> Suggestions {
    let request = Request { policy: Some(policy.to_owned()), ..Request::default() };
    let session = Session { session_name_bytes: Some(12), ..Session::new(operation, CallerKind::IamUser) };
    let asked = Asked { request, session, ..Asked::new(operation, CallerKind::IamUser) };
    let profile = Profile::builtin();
    let advice = advice(target_percent);
    suggestions(Subject { asked: &asked, peers: &[], calls: &[] }, profile.sizing(Regime::PackedPolicy), &advice)
}

fn advice(target_percent: f64) -> Advice {
    thread_local! {
        static ADVICE: Advice = Advice::default();
    }
    ADVICE.with(|advice| Advice { target_percent, ..advice.clone() })
}

fn packed_bytes(policy: &str) -> u32 {
    let request = Request { policy: Some(policy.to_owned()), ..Request::default() };
    pack(&request, Profile::builtin().sizing(Regime::PackedPolicy)).packed_bytes()
}

/// What a policy takes, what it takes by rewrites of the same meaning, by these and wildcards, and by anything.
struct Saved {
    before: u32,
    same: u32,
    widened: u32,
    all: u32,
}

impl Saved {
    fn of(policy: &str) -> Saved {
        let before = packed_bytes(policy);
        // A target that nothing reaches lets the search go as far as it can.
        let found = suggested(policy, Operation::AssumeRole, 0.1);
        let least = |fixes: &mut dyn Iterator<Item = &Fix>| before - fixes.map(|fix| fix.saved_bytes).max().unwrap_or(0);
        let is_text = |fix: &&Fix| fix.asked.request.policy.is_some();
        let same = least(&mut found.smallest_same_meaning.iter());
        Saved {
            before,
            same,
            widened: least(&mut found.fixes.iter().filter(is_text)).min(same),
            all: least(&mut found.fixes.iter()).min(same),
        }
    }

    fn percents(&self) -> [f64; 3] {
        [self.same, self.widened, self.all].map(|after| 100.0 * (1.0 - f64::from(after) / f64::from(self.before.max(1))))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count => f64::midpoint(values[(count - 1) / 2], values[count / 2]),
    }
}

fn print_row(name: &str, saved: &[Saved]) {
    let of = |pick: fn(&Saved) -> u32| median(saved.iter().map(|one| f64::from(pick(one))).collect());
    let percents = |at: usize| median(saved.iter().map(|one| one.percents()[at]).collect());
    println!(
        "{name:28} {:>4} | {:>6.1} {:>6.1} {:>6.1} {:>6.1} | {:>5.1} {:>5.1} {:>5.1}",
        saved.len(),
        of(|one| one.before),
        of(|one| one.same),
        of(|one| one.widened),
        of(|one| one.all),
        percents(0),
        percents(1),
        percents(2)
    );
}

const HEAD: &str = "                                n | median packed bytes        | median saved %\n\
                    policies                          | before   same   wild    all |  same  wild   all";

#[test]
fn drawn_policies_get_smaller_and_the_table_says_by_how_much() {
    println!("{HEAD}");
    let mut all = Vec::new();
    for kind in KINDS {
        let saved: Vec<Saved> = (0..DRAWN / KINDS.len()).map(|number| Saved::of(&draw(kind, number as u64))).collect();
        print_row(kind.name(), &saved);
        assert!(saved.iter().all(|one| one.widened <= one.same && one.same <= one.before));
        if kind != Kind::Admin {
            assert!(median(saved.iter().map(|one| one.percents()[0]).collect()) > 0.0, "{}", kind.name());
        }
        all.extend(saved);
    }
    print_row("all drawn", &all);
}

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| files(entry, found));
    } else if path.to_string_lossy().contains(".json") || path.extension().is_some_and(|extension| extension == "ndjson") {
        found.push(path.to_owned());
    }
}

/// The distinct policy documents in the log files under `folder`, with the parameter that holds them: session policies, and whatever else has statements.
fn logged_policies(folder: &Path) -> BTreeSet<(String, String)> {
    let mut paths = Vec::new();
    files(folder, &mut paths);
    let mut policies = BTreeSet::new();
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        let mut text = String::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        let mut records = Vec::new();
        for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>().map_while(Result::ok) {
            match value.get("Records").and_then(Value::as_array) {
                Some(many) => records.extend(many.iter().cloned()),
                None => records.push(value),
            }
        }
        for record in &records {
            for (name, value) in record["requestParameters"].as_object().into_iter().flatten() {
                let document = match value {
                    Value::String(text) if text.trim_start().starts_with('{') => text.clone(),
                    Value::Object(_) => value.to_string(),
                    _ => continue,
                };
                if serde_json::from_str::<Value>(&document).is_ok_and(|value| value.get("Statement").is_some()) {
                    let session = record["eventSource"] == "sts.amazonaws.com";
                    policies.insert((if session { "session policy".to_owned() } else { name.clone() }, document));
                }
            }
        }
    }
    policies
}

#[test]
fn session_policies_of_real_logs_get_smaller_and_the_table_says_by_how_much() {
    let shipped = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
    let folder = std::env::var_os("PACKTRAIL_LOGS").map_or(shipped, PathBuf::from);
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (kind, policy) in logged_policies(&folder) {
        kinds.entry(kind).or_default().push(policy);
    }
    let points: Vec<Value> = serde_json::from_str(include_str!("data/packing-points.json")).unwrap();
    let texts = points.iter().filter_map(|point| point["policy"].as_str()).map(str::to_owned);
    kinds.insert("public points".to_owned(), texts.collect());
    println!("{HEAD}");
    for (kind, policies) in &kinds {
        let saved: Vec<Saved> = policies.iter().map(|policy| Saved::of(policy)).collect();
        print_row(kind, &saved);
        assert!(saved.iter().all(|one| one.same <= one.before));
        for policy in policies {
            check(policy, 7);
        }
    }
    assert!(!kinds["session policy"].is_empty() && kinds["public points"].len() > 5);
}

#[test]
fn the_policy_of_rds_says_what_each_rule_would_bring() {
    let points: Vec<Value> = serde_json::from_str(include_str!("data/packing-points.json")).unwrap();
    let point = points.iter().find(|point| point["id"] == "rds-91").unwrap();
    let policy = point["policy"].as_str().unwrap();
    // A service sends it, so nobody can change it: priced as if an IAM user did.
    let found = suggested(policy, Operation::AssumeRole, 70.0);
    println!("rds-91: {} bytes", packed_bytes(policy));
    for fix in &found.fixes {
        println!("{:>6.1} % {:>4} bytes less  {:14} {}: {}", fix.after.value, fix.saved_bytes, fix.effect.name(), fix.rule(), fix.title());
    }
    let same = found.smallest_same_meaning.unwrap();
    println!("{:>6.1} % {:>4} bytes less  smallest of the same meaning: {}", same.after.value, same.saved_bytes, same.rule());
    assert_eq!(same.effect, Effect::SameMeaning);
    assert!(found.fixes[0].after.value < 70.0);
}

/// Every rewrite of `policy` that is said to keep its meaning is proven and decides alike.
fn check(policy: &str, seed: u64) {
    let found = suggested(policy, Operation::AssumeRole, 0.1);
    let reached = suggested(policy, Operation::AssumeRole, 70.0);
    let mut seen = BTreeSet::new();
    let fixes = found.fixes.iter().chain(&reached.fixes).chain(&found.smallest_same_meaning);
    for fix in fixes.filter(|fix| fix.effect == Effect::SameMeaning) {
        let after = fix.asked.request.policy.as_deref().unwrap();
        if !seen.insert(after.to_owned()) {
            continue;
        }
        assert_eq!(compare(policy, after, Actions::Any), Comparison::Same, "{}\n{policy}\n{after}", fix.rule());
        let (one, other): (Value, Value) = (serde_json::from_str(policy).unwrap(), serde_json::from_str(after).unwrap());
        let aim = drawn::Aim::at([&one, &other]);
        let mut dice = Dice(seed + 1);
        for _ in 0..REQUESTS {
            let request = aim.request(&mut dice);
            for reading in readings() {
                assert_eq!(
                    decide(&one, &request, reading),
                    decide(&other, &request, reading),
                    "{} on {request:?} under {reading:?}\n{policy}\n{after}",
                    fix.rule()
                );
            }
        }
    }
}

#[test]
fn what_is_called_the_same_meaning_is_proven_and_decides_alike() {
    let cases = std::env::var("PACKTRAIL_CASES").ok().map_or(100, |cases| cases.parse::<u64>().unwrap());
    for number in 0..cases {
        let kind = KINDS[number as usize % KINDS.len()];
        check(&draw(kind, 1_000_000 + number), number);
    }
}

#[test]
fn a_rewriter_broken_on_purpose_is_caught() {
    let whole = |statements: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let on = |rest: &str| format!(r#"{{"Effect":"Allow",{rest}}}"#);
    let where_ = |condition: &str| on(&format!(r#""Action":"s3:*","Resource":"*","Condition":{condition}"#));
    for (broken, before, after) in [
        (
            "merges what is left out",
            whole(&[on(r#""NotAction":"iam:*","Resource":"*""#), on(r#""NotAction":"s3:*","Resource":"*""#)].join(",")),
            whole(&on(r#""NotAction":["iam:*","s3:*"],"Resource":"*""#)),
        ),
        (
            "merges statements that differ in two lists",
            whole(&[on(r#""Action":"s3:*","Resource":"a""#), on(r#""Action":"ec2:*","Resource":"b""#)].join(",")),
            whole(&on(r#""Action":["s3:*","ec2:*"],"Resource":["a","b"]"#)),
        ),
        (
            "merges values that must all fit",
            whole(&[where_(r#"{"ForAllValues:StringEquals":{"k":"a"}}"#), where_(r#"{"ForAllValues:StringEquals":{"k":"b"}}"#)].join(",")),
            whole(&where_(r#"{"ForAllValues:StringEquals":{"k":["a","b"]}}"#)),
        ),
        (
            "merges values that must not fit",
            whole(&[where_(r#"{"StringNotEquals":{"k":"a"}}"#), where_(r#"{"StringNotEquals":{"k":"b"}}"#)].join(",")),
            whole(&where_(r#"{"StringNotEquals":{"k":["a","b"]}}"#)),
        ),
        (
            "drops the wide action and keeps the narrow one",
            whole(&on(r#""Action":["s3:Get*","s3:GetObject"],"Resource":"*""#)),
            whole(&on(r#""Action":"s3:GetObject","Resource":"*""#)),
        ),
        (
            "drops a resource that differs in letter case",
            whole(&on(r#""Action":"s3:*","Resource":["arn:aws:s3:::b/x","arn:aws:s3:::B/*"]"#)),
            whole(&on(r#""Action":"s3:*","Resource":"arn:aws:s3:::B/*""#)),
        ),
        (
            "drops the version that a variable needs",
            whole(&on(r#""Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*""#)),
            format!(r#"{{"Statement":[{}]}}"#, on(r#""Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*""#)),
        ),
        (
            "drops what is denied under a condition only",
            whole(
                &[
                    on(r#""Action":["s3:*","ec2:*"],"Resource":"*""#),
                    where_(r#"{"Bool":{"aws:SecureTransport":"false"}}"#).replace("Allow", "Deny"),
                ]
                .join(","),
            ),
            whole(
                &[on(r#""Action":"ec2:*","Resource":"*""#), where_(r#"{"Bool":{"aws:SecureTransport":"false"}}"#).replace("Allow", "Deny")]
                    .join(","),
            ),
        ),
        (
            "drops a statement that a conditional one covers",
            whole(&[where_(r#"{"StringEquals":{"k":"a"}}"#), on(r#""Action":"s3:GetObject","Resource":"*""#)].join(",")),
            whole(&where_(r#"{"StringEquals":{"k":"a"}}"#)),
        ),
        (
            "keeps the first of a list of two",
            whole(&on(r#""Action":["s3:GetObject","s3:PutObject"],"Resource":"*""#)),
            whole(&on(r#""Action":"s3:GetObject","Resource":"*""#)),
        ),
    ] {
        let verdict = compare(&before, &after, Actions::Any);
        assert!(matches!(verdict, Comparison::Differs(_)), "{broken}: {verdict:?}");
    }
    // A wildcard that takes in one action too many is caught over the known actions as well.
    let advice = advice(70.0);
    let before = whole(&on(r#""Action":["s3:GetObject","s3:GetObjectAcl"],"Resource":"*""#));
    let after = whole(&on(r#""Action":"s3:GetObject*","Resource":"*""#));
    assert!(matches!(compare(&before, &after, Actions::Known(advice.actions.all())), Comparison::Differs(_)));
}
