//! Log files by the thousand, for benches.

use packtrail::packing::{Operation, Request};

use super::Rng;
use super::json::{Json, gzip, log_file};
use super::records::{Answer, Call, Caller, FIRST_DAY, Sizes, other_event, records, tags};

const ACCOUNTS: [&str; 3] = ["111122223333", "444455556666", "777788889999"];
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
const ROLES: [&str; 5] = ["orders", "billing", "search", "catalog", "ledger"];

/// What a corpus is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub files: usize,
    pub records_per_file: usize,
    /// Share of records that are STS calls with a session token, from 0 to 1.
    pub sts_share: f64,
    /// Different requests (policies and tags) among the calls, at least 1.
    pub distinct_requests: usize,
}

/// The files of a corpus, one by one, as paths below its root and gzipped bytes.
pub fn corpus(seed: u64, shape: Shape) -> impl Iterator<Item = (String, Vec<u8>)> {
    texts(seed, shape).map(|(path, text)| (path, gzip(text.as_bytes())))
}

/// The same, with the JSON text as it is before gzip.
pub fn texts(seed: u64, shape: Shape) -> impl Iterator<Item = (String, String)> {
    let mut rng = Rng::new(seed);
    let mut sizes = Sizes::new();
    (0..shape.files).map(move |file| {
        let (account, region) = (ACCOUNTS[file % 3], REGIONS[file / 3 % 2]);
        let minute = file as i64 * 5;
        let start = i64::from(FIRST_DAY) * 86_400 + minute * 60;
        let made: Vec<Json> = (0..shape.records_per_file)
            .map(|_| {
                let time = start + rng.whole(0, 299);
                if rng.chance(shape.sts_share * 100.0) {
                    let number = rng.whole(0, shape.distinct_requests.max(1) as i64 - 1) as u64;
                    records(&call(time, account, region, number, &mut sizes), &mut rng).remove(0).1
                } else {
                    other_event(time, account, region, &mut rng)
                }
            })
            .collect();
        let (day, of_day) = (minute / 1440, minute % 1440);
        let stamp = format!("{:02}{:02}", of_day / 60, of_day % 60);
        let path = format!(
            "AWSLogs/{account}/CloudTrail/{region}/2026/07/{:02}/{account}_CloudTrail_{region}_202607{:02}T{stamp}Z_{file:016}.json.gz",
            15 + day % 17,
            15 + day % 17
        );
        (path, log_file(&made))
    })
}

/// A granted call that passes request `number`.
fn call(time: i64, account: &'static str, region: &'static str, number: u64, sizes: &mut Sizes) -> Call {
    let mut request_rng = Rng::new(number);
    let buckets: Vec<String> =
        (0..request_rng.whole(1, 6)).map(|_| format!("\"arn:aws:s3:::data-{}/*\"", super::records::hex(&mut request_rng, 12))).collect();
    let resources = buckets.join(",");
    let policy = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:ListBucket\"],\"Resource\":[{resources}]}}]}}"
    );
    let request = Request { policy: Some(policy), tags: tags("scope", request_rng.between(40.0, 250.0)), ..Request::default() };
    let role = ROLES[number as usize % ROLES.len()];
    let mut call = Call {
        time,
        account,
        region,
        operation: Operation::AssumeRole,
        caller: Caller::Role { account, name: ROLES[(number as usize / 5) % ROLES.len()] },
        role_arn: Some(format!("arn:aws:iam::{account}:role/{role}-session")),
        session_name: format!("{role}-{:06}", time % 1_000_000),
        request,
        answer: Answer::Denied,
    };
    let parts = sizes.parts(&call.request);
    call.answer = Answer::GrantedToken { token_bytes: sizes.token(&parts, &call) };
    call
}
