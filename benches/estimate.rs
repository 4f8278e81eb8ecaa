//! Estimates a second on one core: `cargo bench --bench estimate --no-default-features`.
//!
//! A request of a policy of four statements and five tags, of about the size that STS begins to refuse. Where only tags change, the policy is packed once;
//! where the policy changes, each is packed anew. Beside them the whole answer of `estimate`, with every part priced under both regimes.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use packtrail::packing::{
    Asked, CallerKind, Operation, Parts, Profile, Request, Session, Sizing, estimate, one_tag_bytes, pack, pack_both, percent,
};

/// Distinct requests, so that nothing is priced twice in a row.
const REQUESTS: usize = 512;
const RUNS: usize = 15;
const STATEMENTS: usize = 4;

fn main() {
    let profile = Profile::builtin();
    let requests: Vec<Request> = (0..REQUESTS).map(request).collect();
    let session = Session { session_name_bytes: Some(12), ..Session::new(Operation::AssumeRole, CallerKind::AssumedRole) };
    let sizing = &profile.session_token;
    println!("{REQUESTS} requests a run, median of {RUNS} runs, one core");

    let policy = Request { tags: Vec::new(), ..request(0) };
    let kept = pack(&policy, sizing);
    report("only tags change, the policy packed once", &requests, |request| {
        percent(&Parts { tag_bytes: tag_bytes(request, sizing), ..kept }, &session, sizing).value
    });
    let statements = policy.policy.map_or(0, |text| text.len());
    println!("  (the policies have {STATEMENTS} statements, {statements} bytes of text)");
    report("a policy packed anew, one regime", &requests, |request| percent(&pack(request, sizing), &session, sizing).value);
    report("a policy packed anew, both regimes", &requests, |request| {
        let [old, new] = pack_both(request, &profile);
        percent(&old, &session, &profile.packed_policy).value + percent(&new, &session, &profile.session_token).value
    });
    let asked: Vec<Asked> = requests
        .iter()
        .map(|request| Asked { request: request.clone(), session, ..Asked::new(session.operation, session.caller_kind) })
        .collect();
    report("the whole answer: both regimes, every part, every rule", &asked, |asked| estimate(asked, &profile).sizes.len() as f64);
    let bare: Vec<Asked> =
        asked.iter().map(|one| Asked { request: Request { policy: None, ..one.request.clone() }, ..one.clone() }).collect();
    report("the whole answer of requests that pass only tags", &bare, |asked| estimate(asked, &profile).sizes.len() as f64);
}

fn tag_bytes(request: &Request, sizing: &Sizing) -> u32 {
    request.tags.iter().map(|(key, value)| one_tag_bytes(key, value, sizing)).sum()
}

fn report<T>(what: &str, items: &[T], work: impl Fn(&T) -> f64) {
    let mut seconds: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            for item in items {
                black_box(work(black_box(item)));
            }
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(RUNS / 2).copied().unwrap_or(f64::NAN);
    println!("{what:<56} {:>12.0} a second", items.len() as f64 / median);
}

/// One of many requests that differ in their policy and in their tags.
fn request(number: usize) -> Request {
    let statements: Vec<String> = (0..STATEMENTS)
        .map(|statement| {
            format!(
                r#"{{"Sid":"Part{statement}","Effect":"Allow","Action":["s3:GetObject","s3:ListBucket","s3:PutObject"],"Resource":["arn:aws:s3:::tenant-{number}-{statement}","arn:aws:s3:::tenant-{number}-{statement}/*"]}}"#
            )
        })
        .collect();
    Request {
        policy: Some(format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))),
        tags: ["tenant", "team", "project", "cost-center", "user"].map(|key| (key.to_owned(), format!("{key}-{number}"))).to_vec(),
        ..Request::default()
    }
}
