//! `proof::compare` against a plain evaluator of policies, on random policies, random edits of them and requests aimed at both.
//!
//! `PACKTRAIL_CASES` sets how many pairs each test tries, with more requests for each; 80 unless set.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "meaning/mod.rs"]
mod meaning;

use std::cell::RefCell;
use std::collections::BTreeMap;

use meaning::{Aim, Dice, EDITS, Request, Verdict, decide, edit, policy, readings};
use packtrail::proof::{Actions, Comparison, Decision, Witness, compare};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use serde_json::Value;

fn cases() -> u32 {
    std::env::var("PACKTRAIL_CASES").map_or(80, |cases| cases.parse().unwrap())
}

/// Requests on which the documents of a pair called the same must agree.
fn requests() -> usize {
    if std::env::var("PACKTRAIL_CASES").is_ok() { 1_000 } else { 200 }
}

/// Readings tried on one request, of the two dozen.
const READINGS: usize = 4;

fn verdict(decision: Decision) -> Verdict {
    match decision {
        Decision::Allowed => Verdict::Allowed,
        Decision::DeniedExplicitly => Verdict::Denied,
        Decision::NotAllowed => Verdict::Nothing,
    }
}

/// A pair to compare: a policy, the same edited, and a seed for requests.
type Pair = (Value, Vec<(usize, [usize; 3])>, u64);

fn pairs(most: usize) -> impl Strategy<Value = Pair> {
    let edit = (0..EDITS.len(), [0_usize..64, 0_usize..64, 0_usize..64]);
    (policy(), prop::collection::vec(edit, 1..=most), 1_u64..)
}

fn edited(before: &Value, edits: &[(usize, [usize; 3])]) -> (Value, Vec<&'static str>) {
    let mut after = before.clone();
    let mut made = Vec::new();
    for &(kind, at) in edits {
        // An edit that has no place is tried at others, so that few pairs are no pairs.
        for turn in 0..6 {
            let mut trial = after.clone();
            if edit(&mut trial, kind, [at[0] + turn, at[1] + turn / 2, at[2] + turn]) {
                after = trial;
                made.push(EDITS[kind]);
                break;
            }
        }
    }
    (after, made)
}

/// No request may tell the documents apart under any reading.
fn agree(before: &Value, after: &Value, seed: u64, actions: Option<&[&str]>) -> Result<(), TestCaseError> {
    let (aim, mut dice, readings) = (Aim::at([before, after]), Dice(seed), readings());
    for _ in 0..requests() {
        let mut request = aim.request(&mut dice);
        if let Some(actions) = actions {
            request.action = actions[dice.roll(actions.len())].to_owned();
        }
        for _ in 0..READINGS {
            let reading = readings[dice.roll(readings.len())];
            let [one, other] = [before, after].map(|document| decide(document, &request, reading));
            prop_assert_eq!(one, other, "called the same\n{}\n{}\n{:?}\n{:?}", before, after, request, reading);
        }
    }
    Ok(())
}

/// The request of a witness tells the documents apart under every reading, and as it says under the first.
fn confirmed(before: &Value, after: &Value, witness: &Witness) -> Result<(), TestCaseError> {
    let context = witness.context.iter().map(|(key, values)| (key.to_lowercase(), values.clone())).collect();
    let request = Request { action: witness.action.clone(), resource: witness.resource.clone(), context };
    for (number, reading) in readings().into_iter().enumerate() {
        let [one, other] = [before, after].map(|document| decide(document, &request, reading));
        prop_assert_ne!(one, other, "no difference\n{}\n{}\n{}\n{:?}", before, after, witness, reading);
        if number == 0 {
            prop_assert_eq!([one, other], [verdict(witness.before), verdict(witness.after)], "{}\n{}\n{}", before, after, witness);
        }
    }
    Ok(())
}

/// How pairs were judged: same, different, undecided; by edit and in all.
#[derive(Default)]
struct Counts {
    all: [usize; 3],
    by_edit: BTreeMap<&'static str, [usize; 3]>,
    reasons: BTreeMap<String, usize>,
}

fn check(pairs: impl Strategy<Value = Pair>, actions: Option<&[&str]>) -> Counts {
    let names: Option<Vec<String>> = actions.map(|actions| actions.iter().map(|name| (*name).to_owned()).collect());
    let counts = RefCell::new(Counts::default());
    let mut runner = TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
    let result = runner.run(&pairs, |(before, edits, seed)| {
        let (after, made) = edited(&before, &edits);
        prop_assume!(!made.is_empty() && before != after);
        let known = names.as_ref().map_or(Actions::Any, |names| Actions::Known(names));
        let verdict = compare(&before.to_string(), &after.to_string(), known);
        let mut counts = counts.borrow_mut();
        let place = match &verdict {
            Comparison::Same => 0,
            Comparison::Differs(_) => 1,
            Comparison::Undecided(_) => 2,
        };
        counts.all[place] += 1;
        if let [edit] = made[..] {
            counts.by_edit.entry(edit).or_default()[place] += 1;
        }
        match verdict {
            Comparison::Same => agree(&before, &after, seed, actions)?,
            Comparison::Differs(witness) => {
                prop_assert!(actions.is_none_or(|actions| actions.contains(&witness.action.as_str())));
                confirmed(&before, &after, &witness)?;
            }
            Comparison::Undecided(why) => {
                let reason = why.split('`').step_by(2).collect::<Vec<_>>().join("..");
                *counts.reasons.entry(reason).or_default() += 1;
                if std::env::var("PACKTRAIL_UNDECIDED").is_ok() {
                    println!("{made:?} {why}\n  {before}\n  {after}");
                }
            }
        }
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, (before, edits, seed))) => {
            panic!("{why}\nseed {seed}, {edits:?}\n{before}\n{}", edited(&before, &edits).0)
        }
        Err(other) => panic!("{other}"),
    }
    counts.into_inner()
}

fn print(counts: &Counts) {
    println!("same, different, undecided: {:?}", counts.all);
    for (edit, counts) in &counts.by_edit {
        println!("{edit:<45} {counts:?}");
    }
    for (reason, count) in &counts.reasons {
        println!("{count:>5} {reason}");
    }
}

#[test]
fn no_request_refutes_a_verdict_on_one_edit() {
    let counts = check(pairs(1), None);
    print(&counts);
    let [same, different, undecided] = counts.all;
    let all = same + different + undecided;
    assert!(same * 5 > all, "{:?}", counts.all);
    assert!(different * 4 > all, "{:?}", counts.all);
    assert!(undecided * 4 < all, "{:?}", counts.all);
}

#[test]
fn no_request_refutes_a_verdict_on_several_edits() {
    let counts = check(pairs(4), None);
    print(&counts);
    let [same, different, undecided] = counts.all;
    assert!(same > 0 && different > 0 && undecided * 3 < same + different + undecided, "{:?}", counts.all);
}

#[test]
fn no_request_refutes_a_verdict_among_known_actions() {
    let known = ["s3:GetObject", "s3:PutObject", "s3:GetTag", "s3:PutTagObject", "s3:ObjectGet", "ec2:Get", "sqs:Get"];
    let counts = check(pairs(2), Some(&known));
    print(&counts);
    let [same, different, undecided] = counts.all;
    assert!(same > 0 && different > 0 && undecided * 3 < same + different + undecided, "{:?}", counts.all);
}

#[test]
fn two_policies_that_have_nothing_to_do_with_each_other_are_told_apart() {
    let counts = RefCell::new([0_usize; 3]);
    let mut runner = TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
    let result = runner.run(&(policy(), policy(), 1_u64..), |(before, after, seed)| {
        match compare(&before.to_string(), &after.to_string(), Actions::Any) {
            Comparison::Same => {
                counts.borrow_mut()[0] += 1;
                agree(&before, &after, seed, None)
            }
            Comparison::Differs(witness) => {
                counts.borrow_mut()[1] += 1;
                confirmed(&before, &after, &witness)
            }
            Comparison::Undecided(_) => {
                counts.borrow_mut()[2] += 1;
                Ok(())
            }
        }
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let [same, different, undecided] = counts.into_inner();
    println!("{same} {different} {undecided}");
    assert!(different > 9 * (same + undecided));
}
