//! A small organisation: three accounts, two regions, ninety days across the change of regime, every archetype.

use std::collections::BTreeMap;

use chrono::DateTime;
use packtrail::packing::{Operation, Request};
use packtrail::trends::{Part, Point, Refusal, Status};

use super::Rng;
use super::json::{Json, gzip, log_file};
use super::records::{
    Answer, Call, Caller, FIRST_DAY, PACKED_LIMIT_BYTES, Sizes, TOKEN_LIMIT_BYTES, hex, other_event, passes_anything, records, tags,
};

/// Last day of the window: 2026-10-12.
pub const LAST_DAY: i32 = 20_738;

const PAYMENTS: &str = "111122223333";
const DATA: &str = "444455556666";
const SHARED: &str = "777788889999";
const EAST: &str = "us-east-1";
const WEST: &str = "eu-west-1";

/// Days of one log file.
const FILE_DAYS: i32 = 4;

/// When the region began to judge by the session token: in the east on 2026-09-11 at 17:00, in the west on 2026-09-15 at 08:00 UTC.
fn change_of_regime(region: &str) -> i64 {
    if region == EAST { 1_789_146_000 } else { 1_789_459_200 }
}

/// What one series of the sample should be called.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// What the series shows, in words.
    pub story: &'static str,
    pub role_arn: Option<String>,
    pub caller: String,
    pub operation: Operation,
    pub status: Status,
    pub driver: Option<Part>,
}

/// Packed bytes a call should have, by part.
#[derive(Clone, Copy, Debug, Default)]
struct Want {
    policy: f64,
    arns: usize,
    tags: f64,
    inherited: f64,
}

/// One series of the sample.
struct Scenario {
    story: &'static str,
    status: Status,
    driver: Option<Part>,
    account: &'static str,
    region: &'static str,
    caller: Caller,
    operation: Operation,
    role: Option<&'static str>,
    /// Days of the window with calls, both included.
    days: (i32, i32),
    /// Calls a day, from and to.
    calls: (i64, i64),
    /// Deviation of tags and inherited tags, bytes.
    noise: f64,
    /// What weekends lack, bytes.
    weekend: f64,
    want: fn(f64) -> Want,
}

fn scenarios() -> Vec<Scenario> {
    let usual = |story, status, account, region, caller, role, want| Scenario {
        story,
        status,
        driver: None,
        account,
        region,
        caller,
        operation: Operation::AssumeRole,
        role: Some(role),
        days: (0, 89),
        calls: (4, 7),
        noise: 12.0,
        weekend: 30.0,
        want,
    };
    vec![
        Scenario {
            operation: Operation::AssumeRoleWithWebIdentity,
            ..usual(
                "GitHub Actions: level, one step in August",
                Status::Ok,
                PAYMENTS,
                EAST,
                Caller::GitHub { account: PAYMENTS, repository: "example/infrastructure" },
                "payments-deployer",
                |day| Want { tags: if day < 30.0 { 130.0 } else { 210.0 }, ..Want::default() },
            )
        },
        Scenario {
            noise: 3.0,
            weekend: 0.0,
            ..usual(
                "EKS Pod Identity: level",
                Status::Ok,
                PAYMENTS,
                EAST,
                Caller::Service { name: "pods.eks.amazonaws.com" },
                "checkout-pod",
                |_| Want { tags: 262.0, ..Want::default() },
            )
        },
        Scenario {
            days: (0, 50),
            ..usual(
                "RDS: high but level under the old limit, gone since",
                Status::Critical,
                DATA,
                EAST,
                Caller::Service { name: "rds.amazonaws.com" },
                "aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS",
                |_| Want { policy: 425.0, ..Want::default() },
            )
        },
        Scenario {
            days: (63, 89),
            noise: 25.0,
            ..usual(
                "tenants as tags: high but level",
                Status::Warning,
                DATA,
                WEST,
                Caller::Role { account: DATA, name: "query-gateway" },
                "tenant-reader",
                |_| Want { tags: 1890.0, ..Want::default() },
            )
        },
        Scenario {
            driver: Some(Part::Tags),
            weekend: 20.0,
            ..usual(
                "project list in tags: linear growth, across accounts",
                Status::Watch,
                PAYMENTS,
                EAST,
                Caller::Role { account: DATA, name: "platform-broker" },
                "data-platform",
                |day| Want { tags: 30.0 + 6.2 * day, ..Want::default() },
            )
        },
        Scenario {
            driver: Some(Part::InheritedTags),
            days: (63, 89),
            noise: 20.0,
            ..usual(
                "tags inherited through a chain of roles: linear growth",
                Status::Warning,
                SHARED,
                WEST,
                Caller::Role { account: SHARED, name: "pipeline-entry" },
                "pipeline-worker",
                |day| Want { tags: 60.0, inherited: 230.0 + 43.0 * (day - 63.0), ..Want::default() },
            )
        },
        Scenario {
            driver: Some(Part::Tags),
            days: (62, 89),
            noise: 15.0,
            ..usual(
                "entitlements as tags: about to fail",
                Status::Critical,
                SHARED,
                EAST,
                Caller::User { account: SHARED, name: "entitlement-sync" },
                "app-session",
                |day| Want { tags: 450.0 + 62.0 * (day - 62.0), ..Want::default() },
            )
        },
        Scenario {
            driver: Some(Part::Policy),
            ..usual(
                "a statement more every few days: step growth by policy",
                Status::Watch,
                DATA,
                EAST,
                Caller::Role { account: DATA, name: "export-service" },
                "export-writer",
                |day| Want { policy: 40.0 + 6.4 * (day / 5.0).floor() * 5.0, ..Want::default() },
            )
        },
        Scenario {
            driver: Some(Part::Policy),
            days: (63, 89),
            noise: 15.0,
            ..usual(
                "policy grows beside large tags",
                Status::Warning,
                PAYMENTS,
                WEST,
                Caller::User { account: PAYMENTS, name: "ledger-batch" },
                "ledger-writer",
                |day| Want { policy: 60.0 + 20.0 * (day - 63.0), tags: 1350.0, ..Want::default() },
            )
        },
        Scenario {
            operation: Operation::AssumeRoleWithSaml,
            weekend: 150.0,
            noise: 20.0,
            ..usual(
                "people by SAML: weekdays differ",
                Status::Ok,
                SHARED,
                EAST,
                Caller::Saml { account: SHARED, provider: "ExampleIdP" },
                "analysts",
                |_| Want { tags: 260.0, ..Want::default() },
            )
        },
        usual(
            "tags being cut: shrinking",
            Status::Ok,
            DATA,
            EAST,
            Caller::Role { account: DATA, name: "legacy-importer" },
            "import-landing",
            |day| Want { tags: 400.0 - 3.3 * day, ..Want::default() },
        ),
        usual(
            "level, with one call of 97 %",
            Status::Ok,
            PAYMENTS,
            EAST,
            Caller::User { account: PAYMENTS, name: "report-runner" },
            "report-reader",
            |_| Want { tags: 310.0, ..Want::default() },
        ),
        Scenario {
            operation: Operation::AssumeRoot,
            days: (75, 75),
            calls: (1, 1),
            role: None,
            ..usual("root access audited once", Status::Ok, DATA, EAST, Caller::User { account: DATA, name: "root-auditor" }, "", |_| {
                Want::default()
            })
        },
        Scenario {
            driver: Some(Part::Tags),
            days: (63, 89),
            noise: 20.0,
            ..usual(
                "feature flags as tags: failing now",
                Status::Failing,
                PAYMENTS,
                EAST,
                Caller::Role { account: PAYMENTS, name: "storefront" },
                "storefront-session",
                |day| Want { tags: 1300.0 + 48.0 * (day - 63.0), ..Want::default() },
            )
        },
        usual(
            "failed in August, then fixed",
            Status::Ok,
            SHARED,
            WEST,
            Caller::Role { account: SHARED, name: "crm-sync" },
            "crm-reader",
            |day| Want { tags: if day < 34.0 { 300.0 + 5.6 * day } else { 180.0 }, ..Want::default() },
        ),
        Scenario {
            operation: Operation::GetFederationToken,
            role: None,
            noise: 0.0,
            ..usual(
                "federation broker: level policy",
                Status::Ok,
                SHARED,
                EAST,
                Caller::User { account: SHARED, name: "federation-broker" },
                "",
                |_| Want { policy: 150.0, ..Want::default() },
            )
        },
        Scenario {
            days: (0, 24),
            ..usual(
                "given up in August while it failed",
                Status::Failing,
                DATA,
                WEST,
                Caller::User { account: DATA, name: "etl-prototype" },
                "etl-staging",
                |day| Want { policy: 120.0, tags: 100.0, inherited: if day < 12.0 { 90.0 } else { 245.0 }, ..Want::default() },
            )
        },
        Scenario {
            operation: Operation::GetSessionToken,
            role: None,
            ..usual("MFA sessions of a person", Status::Ok, PAYMENTS, EAST, Caller::User { account: PAYMENTS, name: "alice" }, "", |_| {
                Want::default()
            })
        },
        Scenario {
            driver: Some(Part::Tags),
            ..usual(
                "level for two months, growing since mid-September",
                Status::Watch,
                SHARED,
                EAST,
                Caller::Role { account: SHARED, name: "catalog-api" },
                "catalog-reader",
                |day| Want { tags: 200.0 + 30.0 * (day - 62.0).max(0.0), ..Want::default() },
            )
        },
        usual(
            "managed policies as session policies: level",
            Status::Ok,
            DATA,
            WEST,
            Caller::Role { account: DATA, name: "notebook-server" },
            "notebook-user",
            |_| Want { arns: 3, tags: 70.0, ..Want::default() },
        ),
    ]
}

/// Requests of a wanted size.
struct Builder {
    sizes: Sizes,
    /// For each seed the policies of one, two, ... resources with their packed bytes.
    policies: BTreeMap<u64, Vec<(u32, String)>>,
}

impl Builder {
    fn request(&mut self, want: Want, policy_seed: u64) -> Request {
        let mut request = Request::default();
        if want.policy > 0.0 {
            let sizes = &mut self.sizes;
            let table = self.policies.entry(policy_seed).or_insert_with(|| policies(sizes, policy_seed));
            let near = table.iter().min_by(|one, other| {
                let off = |bytes: u32| (f64::from(bytes) - want.policy).abs();
                off(one.0).total_cmp(&off(other.0))
            });
            request.policy = near.map(|(_, text)| text.clone());
        }
        const ARNS: [&str; 3] = ["AmazonS3ReadOnlyAccess", "AmazonAthenaFullAccess", "AWSGlueConsoleFullAccess"];
        request.policy_arns = ARNS.iter().take(want.arns).map(|name| format!("arn:aws:iam::aws:policy/{name}")).collect();
        request.tags = tags("scope", want.tags);
        request.inherited_tags = tags("chain", want.inherited);
        request
    }
}

/// Policies that grow by a resource each, a statement every four, up to what STS takes in plain characters.
fn policies(sizes: &mut Sizes, seed: u64) -> Vec<(u32, String)> {
    let mut rng = Rng::new(seed);
    let mut resources: Vec<String> = Vec::new();
    let mut table = Vec::new();
    loop {
        resources.push(format!("arn:aws:s3:::export-{}/*", hex(&mut rng, 20)));
        let statements: Vec<String> = resources
            .chunks(4)
            .enumerate()
            .map(|(index, some)| {
                let list = some.iter().map(|arn| format!("\"{arn}\"")).collect::<Vec<_>>().join(",");
                let action = ["s3:GetObject", "s3:PutObject", "s3:ListBucket"][index % 3];
                format!("{{\"Sid\":\"Export{index}\",\"Effect\":\"Allow\",\"Action\":[\"{action}\"],\"Resource\":[{list}]}}")
            })
            .collect();
        let text = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}", statements.join(","));
        if text.len() > 2048 {
            return table;
        }
        let request = Request { policy: Some(text.clone()), ..Request::default() };
        table.push((sizes.parts(&request).packed_bytes(), text));
    }
}

/// One series of the sample: what it should be called, and its calls as the trends see them.
pub struct SampleSeries {
    pub expected: Expected,
    pub points: Vec<Point>,
}

/// What [`sample_organisation`] of any seed should be judged as, a line for each role, caller and operation.
pub fn ground_truth() -> Vec<Expected> {
    let mut truth: Vec<Expected> = scenarios().iter().map(expected).collect();
    // Refusals that log no request: a caller without a role, and nothing to measure.
    truth.push(Expected {
        story: "a user without permission",
        role_arn: None,
        caller: denied_caller().shown(),
        operation: Operation::AssumeRole,
        status: Status::Ok,
        driver: None,
    });
    truth
}

fn denied_caller() -> Caller {
    Caller::User { account: SHARED, name: "intern" }
}

fn expected(scenario: &Scenario) -> Expected {
    Expected {
        story: scenario.story,
        role_arn: role_arn(scenario),
        caller: scenario.caller.shown(),
        operation: scenario.operation,
        status: scenario.status,
        driver: scenario.driver,
    }
}

fn role_arn(scenario: &Scenario) -> Option<String> {
    scenario.role.map(|role| format!("arn:aws:iam::{}:role/{role}", scenario.account))
}

/// The calls of each scenario with what the trends should see of them.
fn calls(seed: u64) -> Vec<(Scenario, Vec<(Call, Point)>)> {
    let mut builder = Builder { sizes: Sizes::new(), policies: BTreeMap::new() };
    let mut made = Vec::new();
    for (number, scenario) in scenarios().into_iter().enumerate() {
        let mut rng = Rng::new(seed ^ ((number as u64 + 1) << 32));
        let mut calls = Vec::new();
        for day in scenario.days.0..=scenario.days.1 {
            let date = FIRST_DAY + day;
            // 1970-01-01 was a Thursday.
            let weekend = (date + 3).rem_euclid(7) >= 5;
            let count = rng.whole(scenario.calls.0, scenario.calls.1);
            for index in 0..count {
                let time = i64::from(date) * 86_400 + rng.whole(0, 86_399);
                let mut want = (scenario.want)(f64::from(day));
                let scatter = rng.normal() * scenario.noise - if weekend { scenario.weekend } else { 0.0 };
                if want.tags > 0.0 {
                    want.tags = (want.tags + scatter).max(20.0);
                } else if want.inherited > 0.0 {
                    want.inherited = (want.inherited + scatter).max(20.0);
                }
                if scenario.story.contains("one call") && day == 77 && index == 0 {
                    want.tags = 2410.0;
                }
                let request = builder.request(want, number as u64);
                calls.push(answered(&scenario, time, request, &mut builder.sizes, &mut rng));
            }
        }
        calls.sort_by_key(|(call, _)| call.time);
        made.push((scenario, calls));
    }
    made
}

/// A call of `scenario` with the answer STS would give, and its point against the limit in force for the series.
fn answered(scenario: &Scenario, time: i64, request: Request, sizes: &mut Sizes, rng: &mut Rng) -> (Call, Point) {
    let session_name = match scenario.operation {
        Operation::AssumeRoleWithWebIdentity => "GitHubActions".to_owned(),
        Operation::AssumeRoleWithSaml => format!("{}@example.com", rng.pick(&["bea", "carl", "dora", "emil"])),
        Operation::GetSessionToken | Operation::AssumeRoot => String::new(),
        Operation::GetFederationToken => "reporting".to_owned(),
        Operation::AssumeRole => match scenario.caller {
            Caller::Service { name: "rds.amazonaws.com" } => "SLRManagement".to_owned(),
            Caller::Service { .. } => format!("eks-main-checkout-{}", hex(rng, 8)),
            _ => format!("{}-{}", scenario.role.unwrap_or_default(), hex(rng, 6)),
        },
    };
    let mut call = Call {
        time,
        account: scenario.account,
        region: scenario.region,
        operation: scenario.operation,
        caller: scenario.caller.clone(),
        role_arn: role_arn(scenario),
        session_name,
        request,
        answer: Answer::Denied,
    };
    let parts = sizes.parts(&call.request);
    let packed = parts.packed_bytes();
    // The envelope varies by a few bytes from call to call.
    let token = sizes.token(&parts, &call) + 4 * rng.whole(0, 1) as u32;
    let last_day = i64::from(FIRST_DAY + scenario.days.1) * 86_400;
    let judged_by_token = last_day >= change_of_regime(scenario.region);
    let serialized = || "Serialized token too large for session".to_owned();
    let packed_percent = 100 * packed / PACKED_LIMIT_BYTES;
    let token_percent = 100 * token / TOKEN_LIMIT_BYTES;
    call.answer = if time >= change_of_regime(scenario.region) {
        if token > TOKEN_LIMIT_BYTES {
            let message = format!("Packed policy consumes {token_percent}% of allotted space, please use smaller policy.");
            Answer::TooLarge { message }
        } else {
            Answer::GrantedToken { token_bytes: token }
        }
    } else if packed > PACKED_LIMIT_BYTES {
        let message = match (&call.request.policy, rng.chance(30.0)) {
            (_, true) => serialized(),
            (Some(_), _) => format!("Packed policy consumes {packed_percent}% of allotted space, please use smaller policy."),
            (None, _) => format!("Packed size of session tags consumes {packed_percent}% of allotted space."),
        };
        Answer::TooLarge { message }
    } else {
        Answer::GrantedPacked { percent: passes_anything(&call.request).then_some(packed_percent), token_bytes: token }
    };
    let refusal = if matches!(call.answer, Answer::TooLarge { .. }) { Refusal::Size } else { Refusal::None };
    let limit = f64::from(if judged_by_token { TOKEN_LIMIT_BYTES } else { PACKED_LIMIT_BYTES });
    let in_points = |bytes: f64| 100.0 * bytes / limit * if judged_by_token { 4.0 / 3.0 } else { 1.0 };
    let percent = if judged_by_token { 100.0 * f64::from(token) / limit } else { f64::from(packed_percent) };
    let bytes = [parts.policy_bytes, parts.policy_arn_bytes, parts.tag_bytes, parts.inherited_tag_bytes];
    let [policy, arns, tags, inherited] = bytes.map(|bytes| in_points(f64::from(bytes)));
    let rest = (percent - policy - arns - tags - inherited).max(0.0);
    let point = Point {
        time,
        percent: Some(percent),
        refusal,
        token_bytes: (refusal == Refusal::None).then_some(token),
        packed_bytes: Some(packed),
        parts_percent: [policy, arns, tags, inherited, rest].map(|points| points as f32),
    };
    (call, point)
}

/// The series of the sample, without their records.
pub fn sample_series(seed: u64) -> Vec<SampleSeries> {
    let series = calls(seed).into_iter().map(|(scenario, calls)| SampleSeries {
        expected: expected(&scenario),
        points: calls.into_iter().map(|(_, point)| point).collect(),
    });
    series.collect()
}

/// The files of the sample, as paths below its root and gzipped bytes: log files by account, region and four days, and two digests.
pub fn sample_organisation(seed: u64) -> Vec<(String, Vec<u8>)> {
    let mut rng = Rng::new(seed);
    // By account, region and number of the file.
    let mut files: BTreeMap<(&str, &str, i32), Vec<Json>> = BTreeMap::new();
    let mut put = |account, region, time: i64, record| {
        let day = (time.div_euclid(86_400) as i32 - FIRST_DAY).clamp(0, LAST_DAY - FIRST_DAY);
        files.entry((account, region, day / FILE_DAYS)).or_default().push(record);
    };
    for (_, calls) in calls(seed) {
        for (call, _) in calls {
            for (account, record) in records(&call, &mut rng) {
                put(account, call.region, call.time, record.clone());
                // The same event, delivered again in the next file.
                if rng.chance(1.0) {
                    put(account, call.region, call.time + 86_400 * i64::from(FILE_DAYS), record);
                }
            }
        }
    }
    for day in FIRST_DAY..=LAST_DAY {
        for account in [PAYMENTS, DATA, SHARED] {
            for region in [EAST, WEST] {
                for _ in 0..rng.whole(1, 4) {
                    let time = i64::from(day) * 86_400 + rng.whole(0, 86_399);
                    put(account, region, time, other_event(time, account, region, &mut rng));
                }
            }
        }
        if rng.chance(20.0) {
            let time = i64::from(day) * 86_400 + rng.whole(0, 86_399);
            let call = Call {
                time,
                account: SHARED,
                region: EAST,
                operation: Operation::AssumeRole,
                caller: denied_caller(),
                role_arn: Some(format!("arn:aws:iam::{SHARED}:role/analysts")),
                session_name: "intern".to_owned(),
                request: Request::default(),
                answer: Answer::Denied,
            };
            put(SHARED, EAST, time, records(&call, &mut rng).remove(0).1);
        }
    }
    let mut written: Vec<(String, Vec<u8>)> = files
        .into_iter()
        .map(|((account, region, number), mut records)| {
            // CloudTrail writes records in no order of time.
            records.sort_by_cached_key(|_| rng.bits());
            let day = (FIRST_DAY + number * FILE_DAYS + FILE_DAYS).min(LAST_DAY + 1);
            (path(account, region, "CloudTrail", day, &mut rng), gzip(log_file(&records).as_bytes()))
        })
        .collect();
    for account in [PAYMENTS, DATA] {
        let digest = format!("{{\"awsAccountId\":\"{account}\",\"digestStartTime\":\"2026-10-12T00:00:00Z\",\"logFiles\":[]}}");
        written.push((path(account, EAST, "CloudTrail-Digest", LAST_DAY, &mut rng), gzip(digest.as_bytes())));
    }
    written
}

fn path(account: &str, region: &str, kind: &str, day: i32, rng: &mut Rng) -> String {
    let date = DateTime::from_timestamp(i64::from(day) * 86_400, 0).unwrap();
    let (folder, stamp) = (date.format("%Y/%m/%d"), date.format("%Y%m%dT0005Z"));
    let unique: String = hex(rng, 16);
    format!("AWSLogs/o-exampleorg/{account}/{kind}/{region}/{folder}/{account}_{kind}_{region}_{stamp}_{unique}.json.gz")
}
