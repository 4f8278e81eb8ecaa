//! What one call costs to read: `cargo bench --no-default-features --features read --bench parse`.
//!
//! A record of AssumeRole with a session policy, a tag and a token, read but for its request, read whole, and by serde_json to a value.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Instant;

use packtrail::record::Strings;
use packtrail::sts_call;

const ROUNDS: usize = 41;
const CALLS: u32 = 2_000;

fn main() {
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::data/*","arn:aws:s3:::data"]}]}"#;
    let record = serde_json::json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROAEXAMPLE:vendor", "arn": "arn:aws:sts::111122223333:assumed-role/vendor/vendor",
            "accountId": "111122223333",
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/vendor", "userName": "vendor"}}
        },
        "eventTime": "2026-09-20T11:00:00Z", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "awsRegion": "eu-central-1",
        "requestParameters": {
            "roleArn": "arn:aws:iam::111122223333:role/reader", "roleSessionName": "catalog-141803", "policy": policy, "durationSeconds": 3600,
            "tags": [{"key": "tenant", "value": "p0000:p0007:p0014"}]
        },
        "responseElements": {"credentials": {"sessionToken": "FILLER".repeat(250), "expiration": "Sep 20, 2026, 12:00:00 PM"}, "packedPolicySize": 41},
        "eventID": "73f2922c-c39f-7c69-9c9c-3e1e72e95e0e", "recipientAccountId": "111122223333", "eventCategory": "Management"
    })
    .to_string();
    println!("a record of {} bytes", record.len());
    let strings = RefCell::new(Strings::default());
    report("read but for its request", &record, |record| {
        drop(black_box(sts_call::parse_but_request(record, &mut strings.borrow_mut()).unwrap().unwrap()));
    });
    report("read whole", &record, |record| drop(black_box(sts_call::parse(record).unwrap())));
    report("serde_json to a value", &record, |record| drop(black_box(serde_json::from_str::<serde_json::Value>(record).unwrap())));
}

fn report(what: &str, record: &str, work: impl Fn(&str)) {
    let mut nanoseconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| work(black_box(record)));
            start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
        })
        .collect();
    nanoseconds.sort_by(f64::total_cmp);
    let median = nanoseconds[ROUNDS / 2];
    println!("{what:<28} {median:>8.0} ns {:>6.2} GB/s", record.len() as f64 / median);
}
