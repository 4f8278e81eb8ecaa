//! What people may rely on, rule by rule: made-up trails through the library, the tables as they are written, values worked out by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use chrono::{DateTime, Days, NaiveDate};
use packtrail::findings::findings;
use packtrail::fixes::Advice;
use packtrail::packing::Profile;
use packtrail::report::{Format, Layout, Place, Report, Scratch};
use packtrail::scan::{Coverage, Filter, Scan, scan};
use packtrail::trail;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The account of most roles.
const HOME: &str = "111122223333";
/// The account of most callers.
const AWAY: &str = "444455556666";
const THIRD: &str = "777788889999";
const ROLE: &str = "arn:aws:iam::111122223333:role/etl";
const OTHER_ROLE: &str = "arn:aws:iam::111122223333:role/other";
const TOO_LONG: &str = "Serialized token too large for session";

/// One record of a call. By default a granted AssumeRole by an IAM user of [`AWAY`] with a session name of 6 bytes and no policy or tag, in
/// eu-west-1, its token redacted and no size logged: 549 + 6 bytes, 740 characters of base64, 18.07 % of 4,096.
#[derive(Clone, Debug)]
struct Event(Value);

impl Event {
    fn new(operation: &str) -> Event {
        Event(json!({
            "eventVersion": "1.11",
            "userIdentity": user("jane"),
            "eventTime": "2026-09-20T10:00:00Z",
            "eventSource": "sts.amazonaws.com",
            "eventName": operation,
            "awsRegion": "eu-west-1",
            "requestParameters": { "roleSessionName": "worker" },
            "responseElements": { "credentials": { "sessionToken": "HIDDEN_DUE_TO_SECURITY_REASONS" } },
            "recipientAccountId": HOME,
            "eventCategory": "Management"
        }))
    }

    fn assume_role(role: &str) -> Event {
        Event::new("AssumeRole")
            .with(|record| record["requestParameters"]["roleArn"] = json!(role))
            .account(role.split(':').nth(4).unwrap())
    }

    fn with(mut self, change: impl FnOnce(&mut Value)) -> Event {
        change(&mut self.0);
        self
    }

    fn id(self, id: &str) -> Event {
        self.with(|record| record["eventID"] = json!(id))
    }

    fn shared(self, id: &str) -> Event {
        self.with(|record| record["sharedEventID"] = json!(id))
    }

    fn at(self, time: &str) -> Event {
        self.with(|record| record["eventTime"] = json!(time))
    }

    /// At ten o'clock so many days after 1 June 2026.
    fn on_day(self, day: u64) -> Event {
        self.at(&format!("{}T10:00:00Z", date(day)))
    }

    fn region(self, region: &str) -> Event {
        self.with(|record| record["awsRegion"] = json!(region))
    }

    fn account(self, account: &str) -> Event {
        self.with(|record| record["recipientAccountId"] = json!(account))
    }

    fn caller(self, identity: Value) -> Event {
        self.with(|record| record["userIdentity"] = identity)
    }

    fn tags(self, tags: &[(&str, &str)]) -> Event {
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        self.with(|record| record["requestParameters"]["tags"] = json!(tags))
    }

    fn without_parameters(self) -> Event {
        self.with(|record| record["requestParameters"] = Value::Null)
    }

    /// Granted in the old regime: this packed size, the token redacted.
    fn granted_old(self, percent: u32) -> Event {
        self.with(|record| record["responseElements"]["packedPolicySize"] = json!(percent))
    }

    /// The token as it was, by its length.
    fn token(self, bytes: usize) -> Event {
        self.with(|record| record["responseElements"]["credentials"]["sessionToken"] = json!("t".repeat(bytes)))
    }

    /// Granted in the new regime: a token of so many bytes, itself redacted.
    fn granted_new(self, bytes: u32) -> Event {
        self.with(|record| {
            let response = &mut record["responseElements"];
            response["sessionTokenSize"] = json!(bytes);
            response["sessionTokenUtilization"] = json!(100 * bytes / 4096);
            response["packedPolicySize"] = json!(100 * bytes / 4096);
        })
    }

    /// Refused for size with this message.
    fn refused(self, message: &str) -> Event {
        self.with(|record| {
            record["errorCode"] = json!("PackedPolicyTooLargeException");
            record["errorMessage"] = json!(message);
            record["responseElements"] = Value::Null;
        })
    }

    /// Refused for size at this percentage.
    fn refused_at(self, percent: u32) -> Event {
        self.refused(&format!("Packed policy consumes {percent}% of allotted space, please use smaller policy."))
    }

    /// Refused for want of permission: CloudTrail logs neither parameters nor response, but the role stands among the resources.
    fn denied(self) -> Event {
        let role = self.0["requestParameters"]["roleArn"].clone();
        self.without_parameters().with(|record| {
            record["errorCode"] = json!("AccessDenied");
            record["errorMessage"] = json!("not authorized to perform sts:AssumeRole; consumes 3% of patience");
            record["responseElements"] = Value::Null;
            record["resources"] = json!([{ "accountId": HOME, "type": "AWS::IAM::Role", "ARN": role }]);
        })
    }

    /// An addendum that updates the record `original`.
    fn updates(self, original: &str) -> Event {
        self.with(|record| {
            record["addendum"] = json!({ "reason": "UPDATED_DATA", "updatedFields": "responseElements", "originalEventID": original });
        })
    }
}

fn user(name: &str) -> Value {
    json!({ "type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": format!("arn:aws:iam::{AWAY}:user/{name}"), "accountId": AWAY })
}

fn role_session() -> Value {
    let mut identity = session_without_issuer();
    identity["sessionContext"] = json!({ "sessionIssuer": { "type": "Role", "arn": format!("arn:aws:iam::{AWAY}:role/team/vendor") } });
    identity
}

fn session_without_issuer() -> Value {
    json!({ "type": "AssumedRole", "principalId": "AROAEXAMPLE:hidden", "arn": format!("arn:aws:sts::{AWAY}:assumed-role/vendor/hidden"), "accountId": AWAY })
}

fn principal_elsewhere() -> Value {
    json!({ "type": "AWSAccount", "principalId": "AROAEXAMPLE:hidden", "accountId": AWAY })
}

fn account_elsewhere() -> Value {
    json!({ "type": "AWSAccount", "accountId": AWAY })
}

fn nobody() -> Value {
    json!({})
}

/// So many days after 1 June 2026.
fn date(day: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 6, 1).unwrap().checked_add_days(Days::new(day)).unwrap()
}

fn instant(time: &str) -> i64 {
    DateTime::parse_from_rfc3339(time).unwrap().timestamp()
}

fn since(time: &str) -> Filter {
    Filter { since: Some(instant(time)), ..Filter::default() }
}

fn until(time: &str) -> Filter {
    Filter { until: Some(instant(time)), ..Filter::default() }
}

fn roles(pattern: &str) -> Filter {
    Filter { roles: vec![glob::Pattern::new(pattern).unwrap()], ..Filter::default() }
}

fn accounts(account: &str) -> Filter {
    Filter { accounts: vec![account.to_owned()], ..Filter::default() }
}

fn regions(region: &str) -> Filter {
    Filter { regions: vec![region.to_owned()], ..Filter::default() }
}

/// The tables of one run, their locations relative to the trail.
#[derive(Debug)]
struct Tables {
    events: Vec<Value>,
    principals: Vec<Value>,
    daily: Vec<Value>,
    coverage: Coverage,
}

impl Tables {
    fn event(&self, id: &str) -> &Value {
        let mut found = self.events.iter().filter(|row| row["event_id"] == id);
        let row = found.next().unwrap_or_else(|| panic!("no event {id} in {:#?}", self.events));
        assert!(found.next().is_none(), "event {id} stands twice");
        row
    }

    /// One column of the events, in order.
    fn column(&self, name: &str) -> Vec<Value> {
        assert!(self.events.iter().all(|row| row.get(name).is_some()), "no column {name}");
        self.events.iter().map(|row| row[name].clone()).collect()
    }

    /// The findings of a role.
    fn of_role(&self, role: &str) -> &Value {
        let mut found = self.principals.iter().filter(|row| row["role_arn"] == role);
        let row = found.next().unwrap_or_else(|| panic!("no finding for {role} in {:#?}", self.principals));
        assert!(found.next().is_none(), "{role} has several findings");
        row
    }

    fn only(&self) -> &Value {
        assert_eq!(self.principals.len(), 1, "{:#?}", self.principals);
        &self.principals[0]
    }

    fn day(&self, day: &str) -> &Value {
        let found: Vec<&Value> = self.daily.iter().filter(|row| row["day"] == day).collect();
        assert_eq!(found.len(), 1, "{day} in {:#?}", self.daily);
        found[0]
    }
}

/// The cells of a row by column.
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

/// One thread reads the largest file first: the order of reading can be chosen.
fn one_thread() -> &'static rayon::ThreadPool {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap())
}

fn four_threads() -> &'static rayon::ThreadPool {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap())
}

fn scan_dir(dir: &Path, filter: &Filter) -> Scan {
    scan_on(one_thread(), dir, filter)
}

fn scan_on(pool: &rayon::ThreadPool, dir: &Path, filter: &Filter) -> Scan {
    let listing = trail::list(&[dir.to_str().unwrap().to_owned()], &trail::Reach::default()).unwrap();
    let scan = pool.install(|| scan(listing, filter, Profile::builtin(), &|_| ()));
    let coverage = &scan.coverage;
    assert_eq!(coverage.unreadable, []);
    assert_eq!(
        coverage.sts_calls,
        scan.calls.len() as u64 + coverage.filtered + coverage.duplicates,
        "every call is accounted for: {coverage:?}"
    );
    assert_eq!(coverage.files_listed, coverage.files_read + coverage.files_skipped());
    scan
}

/// Writes one file; `padding` makes it larger, so that it is read earlier.
fn write_file(dir: &Path, name: &str, events: &[Event], padding: usize) {
    let records: Vec<&Value> = events.iter().map(|event| &event.0).collect();
    fs::write(dir.join(name), format!("{}{}", json!({ "Records": records }), " ".repeat(padding))).unwrap();
}

fn tables_of(dir: &Path, filter: &Filter) -> Tables {
    let scan = scan_dir(dir, filter);
    let findings = one_thread().install(|| findings(&scan, filter.until, &[], &Advice::default()));
    let out = tempfile::tempdir().unwrap();
    Report::open(Place::Directory(out.path().to_owned()), &[Format::Json], Layout::Flat, &Scratch::default())
        .unwrap()
        .write(&scan, &findings, &|| "{}".to_owned(), false)
        .unwrap();
    let table = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(out.path().join(format!("{name}.json"))).unwrap();
        serde_json::from_str(&text.replace(&format!("{}/", dir.display()), "")).unwrap()
    };
    let tables = Tables { events: table("events"), principals: table("principals"), daily: table("daily"), coverage: scan.coverage };
    let calls = |rows: &[Value]| rows.iter().map(|row| row["calls"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(calls(&tables.principals), tables.events.len() as u64, "every event is in one series");
    assert_eq!(calls(&tables.daily), tables.events.len() as u64, "every event is in one day");
    tables
}

/// Files by name; records without an id get `call-1`, `call-2` and so on.
fn analyze_files(files: &[(&str, Vec<Event>)], filter: &Filter) -> Tables {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (name, events) in files {
        let events: Vec<Event> = events
            .iter()
            .map(|event| {
                count += 1;
                if event.0.get("eventID").is_some() { event.clone() } else { event.clone().id(&format!("call-{count:04}")) }
            })
            .collect();
        write_file(dir.path(), name, &events, 0);
    }
    tables_of(dir.path(), filter)
}

fn analyze_only(events: &[Event], filter: &Filter) -> Tables {
    analyze_files(&[("log.json", events.to_vec())], filter)
}

fn analyze(events: &[Event]) -> Tables {
    analyze_only(events, &Filter::default())
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(count - 1);
    (0..count).flat_map(|at| shorter.iter().map(move |rest| [&rest[..at], &[count - 1][..], &rest[at..]].concat())).collect()
}

/// One copy a file. Read in every order, then named in every order (so that places differ), then in one file in every order: the kept
/// calls are the same each time, but for their places where these were exchanged.
#[track_caller]
fn in_every_order(copies: &[Event]) -> Tables {
    let by_reading: Vec<Tables> = permutations(copies.len())
        .iter()
        .map(|order| {
            let dir = tempfile::tempdir().unwrap();
            for (at, copy) in copies.iter().enumerate() {
                let earlier = order.iter().position(|&one| one == at).unwrap();
                write_file(dir.path(), &format!("{at}.json"), std::slice::from_ref(copy), 4096 * (copies.len() - earlier));
            }
            tables_of(dir.path(), &Filter::default())
        })
        .collect();
    let without_place = |rows: &[Value]| -> Vec<Value> {
        let mut rows = rows.to_vec();
        rows.iter_mut().for_each(|row| row["location"] = Value::Null);
        rows
    };
    let first = &by_reading[0];
    for tables in &by_reading {
        assert_eq!(tables.events, first.events, "the order of reading matters");
        assert_eq!(tables.principals, first.principals, "the order of reading matters");
        assert_eq!((tables.coverage.duplicates, tables.coverage.filtered), (first.coverage.duplicates, 0));
    }
    for order in permutations(copies.len()) {
        let copies: Vec<Event> = order.iter().map(|&at| copies[at].clone()).collect();
        let dir = tempfile::tempdir().unwrap();
        for (at, copy) in copies.iter().enumerate() {
            write_file(dir.path(), &format!("{at}.json"), std::slice::from_ref(copy), 0);
        }
        let apart = tables_of(dir.path(), &Filter::default());
        assert_eq!(without_place(&apart.events), without_place(&first.events), "the names of the files matter");
        assert_eq!(apart.principals, first.principals, "the names of the files matter");
        let dir = tempfile::tempdir().unwrap();
        write_file(dir.path(), "log.json", &copies, 0);
        let together = tables_of(dir.path(), &Filter::default());
        assert_eq!(without_place(&together.events), without_place(&first.events), "the order within a file matters");
    }
    by_reading.into_iter().next().unwrap()
}

// Regimes of refusals.

#[test]
fn a_refusal_takes_the_regime_of_the_nearest_granted_call_in_time() {
    let tables = analyze(&[
        Event::assume_role(ROLE).at("2026-09-20T10:00:00Z").granted_new(1024),
        Event::assume_role(OTHER_ROLE).at("2026-09-20T10:10:00Z").granted_old(50),
        Event::assume_role(ROLE).id("before all").at("2026-09-20T09:00:00Z").refused_at(118),
        Event::assume_role(ROLE).id("nearer the new").at("2026-09-20T10:04:59Z").refused_at(118),
        Event::assume_role(ROLE).id("nearer the old").at("2026-09-20T10:05:01Z").refused_at(118),
        Event::assume_role(ROLE).id("after all").at("2026-09-22T10:00:00Z").denied(),
    ]);
    assert_eq!(tables.event("before all")["regime"], "session-token");
    assert_eq!(tables.event("nearer the new")["regime"], "session-token");
    assert_eq!(tables.event("nearer the old")["regime"], "packed-policy");
    assert_eq!(tables.event("after all")["regime"], "packed-policy", "any refusal has one, not only those for size");
}

#[test]
fn of_two_equally_near_granted_calls_the_earlier_gives_the_regime() {
    let (new, old) = (Event::assume_role(ROLE).granted_new(1024), Event::assume_role(ROLE).granted_old(50));
    let refused = Event::assume_role(ROLE).id("between").at("2026-09-20T10:05:00Z").refused_at(118);
    for (first, second, regime) in [(&new, &old, "session-token"), (&old, &new, "packed-policy")] {
        let (first, second) = (first.clone().at("2026-09-20T10:00:00Z"), second.clone().at("2026-09-20T10:10:00Z"));
        for events in [[&first, &second, &refused], [&refused, &second, &first]] {
            assert_eq!(analyze(&events.map(Clone::clone)).event("between")["regime"], regime);
        }
    }
}

#[test]
fn a_granted_call_of_another_region_does_not_give_a_regime() {
    let tables = analyze(&[
        Event::assume_role(ROLE).at("2026-09-20T10:00:01Z").region("us-east-1").granted_new(1024),
        Event::assume_role(ROLE).at("2026-09-01T10:00:00Z").granted_old(50),
        Event::assume_role(ROLE).id("near").refused_at(118),
    ]);
    assert_eq!(tables.event("near")["regime"], "packed-policy");
}

#[test]
fn a_refusal_in_a_region_without_granted_calls_has_no_regime_and_is_judged_by_todays_limit() {
    let tables = analyze(&[
        Event::assume_role(OTHER_ROLE).region("us-east-1").granted_old(50),
        Event::assume_role(ROLE).id("alone").refused(TOO_LONG),
    ]);
    assert_cells(
        tables.event("alone"),
        json!({ "regime": null, "observed_percent": null, "residual_percent": null, "recomputed_percent": 18.07, "packed_bytes": 0 }),
    );
    assert_cells(
        tables.of_role(ROLE),
        json!({ "status": "failing", "latest_percent": 18.07, "max_percent": 18.07, "worst_event_id": "alone" }),
    );

    let logged = analyze(&[Event::assume_role(ROLE).refused_at(118)]);
    assert_cells(logged.only(), json!({ "latest_percent": 118.0, "max_percent": 118.0 }));
    assert_cells(&logged.events[0], json!({ "regime": null, "observed_percent": 118.0, "residual_percent": 100.0 }));
}

#[test]
fn the_regime_of_a_refusal_hangs_on_no_filter() {
    let trail = [
        Event::assume_role(OTHER_ROLE).granted_old(50),
        Event::assume_role(ROLE).id("refused").at("2026-09-20T10:01:00Z").refused(TOO_LONG),
        Event::assume_role(OTHER_ROLE).at("2026-09-20T11:00:00Z").granted_new(1024),
        Event::assume_role("arn:aws:iam::444455556666:role/there").at("2026-09-20T10:01:02Z").granted_new(1024),
    ];
    let whole = analyze(&trail[..3]);
    assert_eq!(whole.event("refused")["regime"], "packed-policy");
    for filter in [roles("*role/etl"), since("2026-09-20T10:00:30Z"), until("2026-09-20T10:30:00Z"), regions("eu-west-1"), accounts(HOME)] {
        let some = analyze_only(&trail[..3], &filter);
        assert_eq!(some.event("refused"), whole.event("refused"), "{filter:?}");
    }
    let whole = analyze(&trail);
    assert_eq!(whole.event("refused")["regime"], "session-token");
    let some = analyze_only(&trail, &accounts(HOME));
    assert_eq!(some.event("refused"), whole.event("refused"));
    assert_eq!((some.events.len(), some.coverage.filtered), (3, 1));
}

#[test]
fn of_granted_calls_in_the_same_second_no_filter_decides_which_gives_the_regime() {
    for [old, new] in [["a", "b"], ["b", "a"]] {
        for time in ["2026-09-20T09:59:00Z", "2026-09-20T10:01:00Z"] {
            let trail = [
                Event::assume_role(OTHER_ROLE).id(old).granted_old(50),
                Event::assume_role(ROLE).id(new).granted_new(1024),
                Event::assume_role(ROLE).id("refused").at(time).refused_at(118),
            ];
            let regime = |filter: &Filter| analyze_only(&trail, filter).event("refused")["regime"].clone();
            assert_eq!(regime(&roles("*role/etl")), regime(&Filter::default()), "the old one is {old}, the refusal at {time}");
        }
    }
}

// The limit in force.

#[test]
fn a_granted_call_shows_its_regime_by_its_fields() {
    let tables = analyze(&[
        Event::assume_role(ROLE).id("bare"),
        Event::assume_role(ROLE).id("old").granted_old(40),
        Event::assume_role(ROLE).id("new").granted_new(1024),
        Event::assume_role(ROLE).id("size alone").with(|record| record["responseElements"]["sessionTokenSize"] = json!(1024)),
        Event::assume_role(ROLE).id("utilization alone").with(|record| record["responseElements"]["sessionTokenUtilization"] = json!(25)),
    ]);
    for (id, regime, observed, token) in [
        ("bare", "packed-policy", Value::Null, Value::Null),
        ("old", "packed-policy", json!(40.0), Value::Null),
        ("new", "session-token", json!(25.0), json!(1024)),
        ("size alone", "session-token", Value::Null, json!(1024)),
        ("utilization alone", "session-token", json!(25.0), Value::Null),
    ] {
        assert_cells(tables.event(id), json!({ "regime": regime, "observed_percent": observed, "session_token_bytes": token }));
    }
}

#[test]
fn once_a_series_is_in_the_new_regime_its_old_calls_weigh_what_their_tokens_weighed() {
    let tables = analyze(&[
        Event::assume_role(ROLE).at("2026-09-01T10:00:00Z").granted_old(91).token(1024),
        Event::assume_role(ROLE).id("worst").at("2026-09-02T10:00:00Z").granted_old(99).token(2048),
        Event::assume_role(ROLE).id("latest").at("2026-09-20T10:00:00Z").granted_new(1228),
    ]);
    assert_cells(
        tables.only(),
        json!({
            "status": "ok", "latest_percent": 50.0, "p95_percent": 50.0, "max_percent": 50.0,
            "max_session_token_bytes": 2048, "worst_event_id": "worst"
        }),
    );
    assert_cells(
        tables.day("2026-09-01"),
        json!({ "p50_percent": 25.0, "p95_percent": 25.0, "max_percent": 25.0, "max_session_token_bytes": 1024 }),
    );
    assert_cells(tables.day("2026-09-20"), json!({ "p95_percent": 29.98 }));
    assert_cells(tables.event("worst"), json!({ "observed_percent": 99.0, "regime": "packed-policy", "session_token_bytes": 2048 }));
}

#[test]
fn a_series_wholly_in_the_old_regime_is_judged_by_the_old_limit() {
    let tables = analyze(&[
        Event::assume_role(OTHER_ROLE).at("2026-09-21T10:00:00Z").granted_new(1024),
        Event::assume_role(ROLE).granted_old(91).token(1024),
    ]);
    assert_cells(
        tables.of_role(ROLE),
        json!({ "status": "critical", "latest_percent": 91.0, "max_percent": 91.0, "max_session_token_bytes": 1024 }),
    );
    assert_cells(tables.of_role(OTHER_ROLE), json!({ "status": "ok", "latest_percent": 25.0 }));
}

#[test]
fn a_refusal_that_is_the_latest_call_sets_the_limit_in_force() {
    let tables = analyze(&[
        Event::assume_role(ROLE).id("new").at("2026-09-18T10:00:00Z").granted_new(3072),
        Event::assume_role(OTHER_ROLE).at("2026-09-20T10:00:00Z").region("eu-south-1").granted_old(5),
        Event::assume_role(ROLE).id("refused").at("2026-09-20T10:00:01Z").region("eu-south-1").refused_at(103),
    ]);
    assert_eq!(tables.event("refused")["regime"], "packed-policy");
    // Nothing is packed in the new call: none of the old limit.
    assert_cells(tables.day("2026-09-18"), json!({ "max_percent": 0.0, "max_session_token_bytes": 3072 }));
    assert_cells(tables.of_role(ROLE), json!({ "max_percent": 103.0, "worst_event_id": "refused" }));
}

/// Twenty old days with redacted tokens, then twenty new ones with sizes: the new ones of these days have tokens of `tokens`.
fn across_the_change(tokens: [u32; 3]) -> Vec<Event> {
    let old = (0..20).flat_map(|day| (0..3).map(move |_| Event::assume_role(ROLE).on_day(day).granted_old(40)));
    let new = (20..40).flat_map(|day| tokens.map(|bytes| Event::assume_role(ROLE).on_day(day).granted_new(bytes)));
    old.chain(new).collect()
}

#[test]
fn a_level_series_with_redacted_tokens_runs_level_through_the_change() {
    for bytes in [600, 740, 1400, 2900] {
        let tables = analyze(&across_the_change([bytes; 3]));
        let before = tables.day("2026-06-20")["p95_percent"].as_f64().unwrap();
        let after = tables.day("2026-06-21")["p95_percent"].as_f64().unwrap();
        assert!((before - after).abs() < 2.0, "{bytes} bytes: {before} before, {after} after");
        assert_cells(tables.only(), json!({ "status": "ok", "slope_percent_per_day": 0.0, "limit_date": null, "driver": null }));
    }
}

#[test]
fn old_calls_without_token_are_the_engines_estimate_shifted_by_the_series_own_median() {
    // The engine says 740 bytes: off by 200, 260 and 900 bytes, 260 in the median.
    let mut trail = across_the_change([940, 1000, 1640]);
    // 60 bytes of tag: 820 bytes of token by the engine.
    trail.push(Event::assume_role(ROLE).id("tagged").at("2026-05-01T10:00:00Z").granted_old(52).tags(&[("k", &"v".repeat(56))]));
    trail.push(Event::assume_role(ROLE).id("refused").at("2026-05-02T10:00:00Z").refused_at(118));
    trail.push(Event::assume_role(OTHER_ROLE).at("2026-05-02T10:00:00Z").granted_old(52));
    let tables = analyze(&trail);
    assert_cells(tables.day("2026-06-20"), json!({ "p50_percent": 24.41, "p95_percent": 24.41 }));
    assert_cells(tables.day("2026-05-01"), json!({ "p95_percent": 26.37, "max_session_token_bytes": null, "max_packed_bytes": 60 }));
    assert_eq!(tables.event("refused")["regime"], "packed-policy");
    assert_cells(
        tables.of_role(ROLE),
        json!({ "status": "ok", "max_percent": 40.04, "max_session_token_bytes": 1640, "refused_calls": 1 }),
    );
}

#[test]
fn an_old_token_that_was_logged_is_not_shifted() {
    let mut trail = across_the_change([1400; 3]);
    trail.push(Event::assume_role(ROLE).at("2026-05-01T10:00:00Z").granted_old(52).token(1024));
    assert_cells(analyze(&trail).day("2026-05-01"), json!({ "p95_percent": 25.0, "max_session_token_bytes": 1024 }));
}

// Sizes.

#[test]
fn percentiles_go_by_nearest_rank() {
    let of_sizes = |sizes: std::ops::RangeInclusive<u32>| {
        // Out of order on purpose.
        let trail: Vec<Event> = sizes.rev().map(|percent| Event::assume_role(ROLE).granted_old(percent)).collect();
        analyze(&trail)
    };
    let twenty = of_sizes(1..=20);
    assert_cells(twenty.only(), json!({ "calls": 20, "latest_percent": 19.0, "p95_percent": 19.0, "max_percent": 20.0 }));
    assert_cells(twenty.day("2026-09-20"), json!({ "calls": 20, "p50_percent": 10.0, "p95_percent": 19.0, "max_percent": 20.0 }));
    let more = of_sizes(1..=21);
    assert_cells(more.only(), json!({ "p95_percent": 20.0 }));
    assert_cells(more.day("2026-09-20"), json!({ "p50_percent": 11.0, "p95_percent": 20.0, "max_percent": 21.0 }));
    assert_cells(of_sizes(7..=7).day("2026-09-20"), json!({ "p50_percent": 7.0, "p95_percent": 7.0, "max_percent": 7.0 }));
    assert_cells(of_sizes(7..=8).day("2026-09-20"), json!({ "p50_percent": 7.0, "p95_percent": 8.0 }));
}

#[test]
fn latest_percent_looks_at_the_last_seven_days_that_have_calls_however_far_apart() {
    let day = |day, percent| Event::assume_role(ROLE).on_day(day).granted_old(percent);
    let mut trail = vec![day(0, 80)];
    trail.extend((1..=7).map(|week| day(week * 9, 10 + u32::try_from(week).unwrap())));
    let tables = analyze(&trail);
    assert_cells(tables.only(), json!({ "status": "ok", "latest_percent": 17.0, "p95_percent": 80.0, "max_percent": 80.0 }));
    let six = analyze(&trail[..7]);
    assert_cells(six.only(), json!({ "status": "warning", "latest_percent": 80.0 }));
}

#[test]
fn a_day_with_calls_that_have_no_size_is_a_day_that_has_calls() {
    let mut trail = vec![Event::assume_role(ROLE).on_day(0).granted_old(80)];
    trail.extend((1..=6).map(|day| Event::assume_role(ROLE).on_day(day).denied()));
    assert_cells(analyze(&trail).only(), json!({ "status": "warning", "latest_percent": 80.0 }));
    trail.push(Event::assume_role(ROLE).on_day(7).denied());
    assert_cells(analyze(&trail).only(), json!({ "status": "ok", "latest_percent": null, "p95_percent": 80.0 }));
}

#[test]
fn in_the_new_regime_the_exact_share_counts_and_not_the_whole_points_logged() {
    for (bytes, percent, status) in [(3687, 90.01, "critical"), (3686, 89.99, "warning"), (3072, 75.0, "warning"), (3071, 74.98, "ok")] {
        let tables = analyze(&[Event::assume_role(ROLE).granted_new(bytes)]);
        assert_cells(tables.only(), json!({ "latest_percent": percent, "max_percent": percent, "status": status }));
    }
}

#[test]
fn calls_without_a_size_leave_percentiles_alone() {
    let trail = [
        Event::assume_role(ROLE).granted_old(30),
        Event::assume_role(ROLE).denied(),
        Event::assume_role(ROLE).denied(),
        Event::assume_role(ROLE).denied(),
    ];
    let tables = analyze(&trail);
    assert_cells(tables.only(), json!({ "calls": 4, "latest_percent": 30.0, "p95_percent": 30.0, "max_percent": 30.0 }));
    assert_cells(tables.day("2026-09-20"), json!({ "calls": 4, "refused_calls": 0, "p50_percent": 30.0, "p95_percent": 30.0 }));
    let none = analyze(&trail[1..]);
    assert_cells(
        none.only(),
        json!({
            "status": "ok", "calls": 3, "refused_calls": 0, "latest_percent": null, "p95_percent": null, "max_percent": null,
            "max_session_token_bytes": null, "worst_event_id": null
        }),
    );
    assert_cells(
        none.day("2026-09-20"),
        json!({ "p50_percent": null, "p95_percent": null, "max_percent": null, "max_packed_bytes": null }),
    );
}

#[test]
fn what_sts_did_not_log_is_recomputed() {
    // 15 bytes of tags: 3.26 % of 460 bytes; with 6 bytes of name 570 bytes, 760 characters of token.
    let tagged = || Event::assume_role(ROLE).tags(&[("team", "payments")]);
    let old = analyze(&[tagged()]);
    assert_cells(old.only(), json!({ "latest_percent": 3.26, "max_percent": 3.26, "max_session_token_bytes": null }));
    assert_cells(
        &old.events[0],
        json!({ "observed_percent": null, "recomputed_percent": 3.26, "residual_percent": null, "tag_bytes": 15, "packed_bytes": 15, "tag_count": 1 }),
    );
    let new = analyze(&[tagged().with(|record| record["responseElements"] = json!({ "sessionTokenUtilization": 20 }))]);
    assert_cells(new.only(), json!({ "latest_percent": 20.0 }));
    assert_cells(&new.events[0], json!({ "observed_percent": 20.0, "recomputed_percent": 18.55, "residual_percent": 2.0 }));
}

#[test]
fn the_residual_is_what_sts_logged_less_the_whole_points_recomputed() {
    let tagged = || Event::assume_role(ROLE).tags(&[("team", "payments")]);
    let tables = analyze(&[
        tagged().id("old").granted_old(5),
        tagged().id("below").granted_old(2),
        tagged().id("new").granted_new(820),
        tagged().id("refused").at("2026-09-01T10:00:00Z").refused("Packed size of session tags consumes 498% of allotted space."),
        tagged().id("denied").denied(),
    ]);
    for (id, observed, residual) in [
        ("old", json!(5.0), json!(2.0)),
        ("below", json!(2.0), json!(-1.0)),
        ("new", json!(20.0), json!(2.0)),
        ("denied", Value::Null, Value::Null),
    ] {
        assert_cells(tables.event(id), json!({ "observed_percent": observed, "residual_percent": residual }));
    }
    assert_eq!(tables.event("refused")["observed_percent"], 498.0);
}

#[test]
fn refused_calls_counts_refusals_for_size_alone_while_refused_covers_every_error() {
    let invalid = Event::assume_role(ROLE).id("invalid").with(|record| {
        record["errorCode"] = json!("ValidationError");
        record["errorMessage"] = json!("consumes 97% of something");
        record["responseElements"] = Value::Null;
    });
    let other_code =
        Event::assume_role(ROLE).id("api name").refused_at(101).with(|record| record["errorCode"] = json!("PackedPolicyTooLarge"));
    let tables = analyze(&[
        Event::assume_role(ROLE).id("granted").granted_old(30),
        Event::assume_role(ROLE).id("denied").denied(),
        invalid,
        other_code,
        Event::assume_role(ROLE).id("too long").refused(TOO_LONG),
    ]);
    assert_cells(tables.only(), json!({ "calls": 5, "refused_calls": 2, "status": "failing" }));
    assert_cells(tables.day("2026-09-20"), json!({ "calls": 5, "refused_calls": 2 }));
    for (id, outcome, code) in [
        ("granted", "granted", Value::Null),
        ("denied", "refused", json!("AccessDenied")),
        ("invalid", "refused", json!("ValidationError")),
        ("api name", "refused", json!("PackedPolicyTooLarge")),
        ("too long", "refused", json!("PackedPolicyTooLargeException")),
    ] {
        assert_cells(tables.event(id), json!({ "outcome": outcome, "error_code": code }));
    }
    assert_cells(tables.event("invalid"), json!({ "observed_percent": null }));
    assert_cells(tables.event("too long"), json!({ "observed_percent": null }));
}

#[test]
fn a_series_tells_its_first_its_last_and_its_worst_call() {
    let tables = analyze(&[
        Event::assume_role(ROLE).id("b").at("2026-09-12T08:00:00Z").granted_old(60),
        Event::assume_role(ROLE).id("c").at("2026-09-20T23:59:59Z").granted_old(20),
        Event::assume_role(ROLE).id("a").at("2026-09-01T00:00:00Z").granted_old(10),
    ]);
    assert_cells(
        tables.only(),
        json!({ "first_seen": "2026-09-01T00:00:00Z", "last_seen": "2026-09-20T23:59:59Z", "worst_event_id": "b", "max_percent": 60.0 }),
    );
}

#[test]
fn a_token_shorter_than_200_characters_is_redacted_but_a_size_is_a_size() {
    let tables = analyze(&[
        Event::assume_role(ROLE).id("short").token(199),
        Event::assume_role(ROLE).id("long enough").token(200),
        Event::assume_role(ROLE).id("both").granted_new(1000).token(1200),
        Event::assume_role(ROLE).id("none").with(|record| record["responseElements"] = Value::Null),
    ]);
    for (id, bytes) in [("short", Value::Null), ("long enough", json!(200)), ("both", json!(1000)), ("none", Value::Null)] {
        assert_cells(tables.event(id), json!({ "session_token_bytes": bytes }));
    }
}

// Statuses.

#[test]
fn a_level_gives_a_status() {
    for (percent, status) in [(100, "critical"), (90, "critical"), (89, "warning"), (75, "warning"), (74, "ok"), (0, "ok")] {
        assert_cells(analyze(&[Event::assume_role(ROLE).granted_old(percent)]).only(), json!({ "status": status }));
    }
}

#[test]
fn a_series_fails_until_it_has_seven_utc_days_with_granted_calls_since_its_last_size_refusal() {
    let granted = |time: &str| Event::assume_role(ROLE).at(time).granted_old(10);
    let mut trail = vec![
        Event::assume_role(ROLE).at("2026-09-01T10:00:00Z").refused_at(118),
        // The day of the refusal is no day without one; six more follow, not in a row, with gaps and with several calls.
        granted("2026-09-01T23:59:59Z"),
        granted("2026-09-02T00:00:00Z"),
        granted("2026-09-02T12:00:00Z"),
        granted("2026-09-04T12:00:00Z"),
        granted("2026-09-05T12:00:00Z"),
        granted("2026-09-11T12:00:00Z"),
        granted("2026-09-12T12:00:00Z"),
        granted("2026-09-13T12:00:00Z"),
        // A day with nothing granted does not count.
        Event::assume_role(ROLE).at("2026-09-14T10:00:00Z").denied(),
        // Nor does what another role does.
        Event::assume_role(OTHER_ROLE).at("2026-09-15T10:00:00Z").granted_old(10),
    ];
    assert_cells(analyze(&trail).of_role(ROLE), json!({ "status": "failing", "refused_calls": 1 }));
    trail.push(granted("2026-09-16T23:00:00Z"));
    assert_cells(analyze(&trail).of_role(ROLE), json!({ "status": "ok", "refused_calls": 1, "max_percent": 118.0 }));
    trail.push(Event::assume_role(ROLE).at("2026-09-16T01:00:00Z").refused(TOO_LONG));
    assert_cells(analyze(&trail).of_role(ROLE), json!({ "status": "failing", "refused_calls": 2 }));
}

#[test]
fn a_refusal_outside_the_window_does_not_fail_a_series() {
    let trail = [
        Event::assume_role(ROLE).at("2026-09-01T10:00:00Z").refused_at(118),
        Event::assume_role(ROLE).at("2026-09-02T10:00:00Z").granted_old(10),
    ];
    assert_cells(analyze(&trail).only(), json!({ "status": "failing" }));
    assert_cells(analyze_only(&trail, &since("2026-09-02T00:00:00Z")).only(), json!({ "status": "ok", "refused_calls": 0, "calls": 1 }));
}

/// A point a day from 20.5 % on 1 June to 64.5 % on 15 July: reaches 100 % in the middle of 19 August, so that 20 August is the first day.
fn growing() -> Vec<Event> {
    (0..45).map(|day| Event::assume_role(ROLE).on_day(day).granted_new(((20.5 + day as f64) * 40.96).round() as u32)).collect()
}

#[test]
fn days_to_the_limit_count_from_the_day_of_until() {
    for (end, status) in [
        ("2026-07-20T00:00:00Z", "watch"),
        ("2026-07-21T00:00:00Z", "warning"),
        ("2026-08-12T00:00:00Z", "warning"),
        ("2026-08-13T00:00:00Z", "critical"),
    ] {
        assert_cells(analyze_only(&growing(), &until(end)).only(), json!({ "limit_date": "2026-08-20", "status": status, "calls": 45 }));
    }
}

#[test]
fn without_until_days_to_the_limit_count_from_the_newest_kept_call() {
    let other = |time: &str| Event::assume_role(OTHER_ROLE).at(time).granted_new(1024);
    for (newest, status) in [
        (other("2026-07-20T23:59:59Z"), "watch"),
        (other("2026-07-21T00:00:00Z"), "warning"),
        (other("2026-08-12T23:59:59Z"), "warning"),
        (other("2026-08-13T00:00:00Z"), "critical"),
    ] {
        let trail: Vec<Event> = growing().into_iter().chain([newest]).collect();
        assert_cells(analyze(&trail).of_role(ROLE), json!({ "limit_date": "2026-08-20", "status": status }));
        assert_cells(analyze_only(&trail, &roles("*role/etl")).only(), json!({ "limit_date": "2026-08-20", "status": "watch" }));
    }
}

// One call, many copies.

#[test]
fn the_same_event_in_two_files_is_one_call_at_the_smaller_place() {
    let one = Event::assume_role(ROLE).id("e1").granted_old(30);
    let tables = in_every_order(&[one.clone(), one.clone(), one]);
    assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 2));
    assert_eq!(tables.event("e1")["location"], "0.json#1");
}

#[test]
fn the_smaller_place_goes_by_its_text_whatever_the_order_of_the_sources() {
    let dir = tempfile::tempdir().unwrap();
    let one = Event::assume_role(ROLE).id("e1").granted_old(30);
    write_file(dir.path(), "a.json", std::slice::from_ref(&one), 0);
    write_file(dir.path(), "b.json", &[one], 4096);
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for sources in [[path("a.json"), path("b.json")], [path("b.json"), path("a.json")]] {
        let scan = one_thread()
            .install(|| scan(trail::list(&sources, &trail::Reach::default()).unwrap(), &Filter::default(), Profile::builtin(), &|_| ()));
        let (_, call) = scan.calls.iter().next().unwrap();
        assert_eq!(scan.location(call), format!("{}#1", path("a.json")));
    }
}

#[test]
fn the_same_event_is_one_call_also_where_only_one_copy_has_a_shared_id() {
    let one = Event::assume_role(ROLE).id("e1").granted_old(30);
    let tables = in_every_order(&[one.clone(), one.clone().shared("s1")]);
    assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 1));
    let elsewhere = one.clone().id("e2").shared("s1").account(AWAY);
    let tables = in_every_order(&[one.clone(), one.clone().shared("s1"), elsewhere.clone()]);
    assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 2));
    assert_cells(tables.event("e1"), json!({ "account_id": HOME }));
    let again = elsewhere.clone().with(|record| record["sharedEventID"] = Value::Null);
    let tables = in_every_order(&[one.clone(), one.shared("s1"), elsewhere, again]);
    assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 3));
}

#[test]
fn different_calls_stay_apart() {
    let one = |id| Event::assume_role(ROLE).id(id).granted_old(30);
    assert_eq!(in_every_order(&[one("e1"), one("e2").shared("s1"), one("e3").shared("s2")]).events.len(), 3);
    // An event id that is another call's shared id is no link.
    assert_eq!(in_every_order(&[one("e1"), one("e2").shared("e1")]).events.len(), 2);
}

#[test]
fn copies_in_two_and_three_accounts_give_the_row_of_the_roles_account() {
    let copy = |id, account| Event::assume_role(ROLE).id(id).shared("s1").account(account).granted_old(30);
    for ids in [["a", "b", "c"], ["c", "b", "a"]] {
        let copies = [copy(ids[0], HOME), copy(ids[1], AWAY), copy(ids[2], THIRD)];
        for count in [2, 3] {
            let tables = in_every_order(&copies[..count]);
            assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, count as u64 - 1));
            assert_cells(tables.event(ids[0]), json!({ "account_id": HOME, "location": "0.json#1" }));
        }
    }
    let tables = in_every_order(&[copy("c", THIRD), copy("b", AWAY)]);
    assert_cells(tables.event("b"), json!({ "account_id": AWAY }));
}

#[test]
fn the_row_is_that_of_the_roles_account_also_where_only_another_copy_names_the_role() {
    let home = Event::assume_role(ROLE).id("z").shared("s1").without_parameters().granted_old(30);
    let away = Event::assume_role(ROLE).id("a").shared("s1").account(AWAY).granted_old(30);
    let tables = in_every_order(&[home, away]);
    assert_cells(tables.event("z"), json!({ "account_id": HOME, "role_arn": ROLE, "packed_bytes": 0 }));
}

#[test]
fn the_caller_comes_from_the_copy_that_knows_it_better() {
    let ranked = [
        (role_session(), json!("arn:aws:iam::444455556666:role/team/vendor"), "AssumedRole"),
        (session_without_issuer(), json!("arn:aws:iam::444455556666:role/vendor"), "AssumedRole"),
        (principal_elsewhere(), json!("AROAEXAMPLE"), "AWSAccount"),
        (account_elsewhere(), json!(AWAY), "AWSAccount"),
        (nobody(), Value::Null, "Unknown"),
    ];
    let copy = |id: &str, account: &str, identity: &Value| {
        Event::assume_role(ROLE).id(id).shared("s1").account(account).caller(identity.clone()).granted_old(30)
    };
    for (better, (identity, caller, kind)) in ranked.iter().enumerate() {
        for (worse, ..) in &ranked[better..] {
            for (home, away) in [(identity, worse), (worse, identity)] {
                let tables = in_every_order(&[copy("a", HOME, home), copy("b", AWAY, away)]);
                assert_eq!(tables.events.len(), 1);
                assert_cells(tables.event("a"), json!({ "caller": caller, "caller_kind": kind, "account_id": HOME }));
            }
        }
    }
    let by_a_user =
        in_every_order(&[copy("a", HOME, &account_elsewhere()), copy("b", AWAY, &user("jane")), copy("c", THIRD, &principal_elsewhere())]);
    assert_cells(by_a_user.event("a"), json!({ "caller": "arn:aws:iam::444455556666:user/jane", "caller_kind": "IAMUser" }));
}

#[test]
fn of_two_copies_that_know_the_caller_equally_well_the_row_in_the_roles_account_names_it() {
    let copy = |id, account, name| Event::assume_role(ROLE).id(id).shared("s1").account(account).caller(user(name)).granted_old(30);
    for (home, away) in [("jane", "bob"), ("bob", "jane")] {
        let tables = in_every_order(&[copy("b", HOME, home), copy("a", AWAY, away)]);
        assert_cells(tables.event("b"), json!({ "caller": format!("arn:aws:iam::444455556666:user/{home}") }));
    }
}

#[test]
fn what_the_row_lacks_comes_from_the_next_copy_by_precedence() {
    let copy = |id, account| Event::assume_role(ROLE).id(id).shared("s1").account(account);
    let row = copy("z", HOME).denied().with(|record| {
        record["errorCode"] = Value::Null;
        record["responseElements"] = Value::Null;
    });
    let next = copy("a", AWAY).tags(&[("k", "1")]).granted_old(30).token(1024);
    let last = copy("b", THIRD).tags(&[("k", "123456789")]).granted_old(60).token(2048);
    let tables = in_every_order(&[row.clone(), next.clone(), last]);
    assert_eq!(tables.events.len(), 1);
    assert_cells(
        tables.event("z"),
        json!({
            "account_id": HOME, "role_arn": ROLE, "tag_count": 1, "tag_bytes": 5, "observed_percent": 30.0, "session_token_bytes": 1024,
            "regime": "packed-policy", "outcome": "granted", "location": "0.json#1"
        }),
    );
    // Each field from the first copy that has it.
    let without_token = next.with(|record| record["responseElements"] = json!({ "packedPolicySize": 30 }));
    let without_size = copy("b", THIRD).token(2048);
    let tables = in_every_order(&[row, without_token, without_size]);
    assert_cells(tables.event("z"), json!({ "tag_bytes": 5, "observed_percent": 30.0, "session_token_bytes": 2048 }));
}

#[test]
fn a_row_without_response_is_in_the_regime_its_other_copy_shows() {
    let row = Event::assume_role(ROLE).id("z").shared("s1").with(|record| record["responseElements"] = Value::Null);
    let other = Event::assume_role(ROLE).id("a").shared("s1").account(AWAY).granted_new(1024);
    let tables = in_every_order(&[row, other]);
    assert_cells(tables.event("z"), json!({ "regime": "session-token", "observed_percent": 25.0, "session_token_bytes": 1024 }));
    assert_cells(tables.only(), json!({ "latest_percent": 25.0 }));
}

#[test]
fn an_addendum_that_updates_replaces_its_original_and_a_late_one_does_not() {
    let original = Event::assume_role(ROLE).id("b").granted_old(10);
    for id in ["a", "c"] {
        let update = Event::assume_role(ROLE).id(id).updates("b").granted_old(20);
        let tables = in_every_order(&[original.clone(), update.clone()]);
        assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 1));
        assert_cells(tables.event(id), json!({ "observed_percent": 20.0, "location": "1.json#1" }));
        // Copies of either change nothing.
        let tables = in_every_order(&[original.clone(), update.clone(), original.clone(), update]);
        assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 3));
        assert_cells(tables.event(id), json!({ "observed_percent": 20.0, "location": "1.json#1" }));
    }
    let late = Event::assume_role(ROLE).id("c").granted_old(20).with(|record| {
        record["addendum"] = json!({ "reason": "DELIVERY_DELAY", "originalEventID": "b" });
    });
    assert_eq!(in_every_order(&[original.clone(), late]).events.len(), 2);
    let lone = Event::assume_role(ROLE).id("c").updates("of another trail").granted_old(20);
    assert_eq!(in_every_order(&[original, lone]).events.len(), 2);
}

#[test]
fn a_chain_of_addenda_leaves_the_last() {
    for [first, second, third] in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"], ["a", "c", "b"]] {
        for minute in [0, 5] {
            let at = |step: u32| format!("2026-09-20T10:{:02}:00Z", 30 + step * minute);
            let tables = in_every_order(&[
                Event::assume_role(ROLE).id(first).at(&at(0)).granted_old(10),
                Event::assume_role(ROLE).id(second).at(&at(1)).updates(first).granted_old(20),
                Event::assume_role(ROLE).id(third).at(&at(2)).updates(second).granted_old(30),
            ]);
            assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 2));
            assert_cells(tables.event(third), json!({ "observed_percent": 30.0, "location": "2.json#1" }));
        }
    }
}

#[test]
fn of_two_addenda_to_one_record_the_smaller_event_id_stays() {
    for times in [["2026-09-20T10:00:00Z", "2026-09-20T11:00:00Z"], ["2026-09-20T11:00:00Z", "2026-09-20T10:00:00Z"]] {
        for original in ["a", "z"] {
            let tables = in_every_order(&[
                Event::assume_role(ROLE).id(original).granted_old(10),
                Event::assume_role(ROLE).id("b").at(times[0]).updates(original).granted_old(20),
                Event::assume_role(ROLE).id("c").at(times[1]).updates(original).granted_old(30),
            ]);
            assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 2));
            assert_cells(tables.event("b"), json!({ "observed_percent": 20.0, "event_time": times[0] }));
        }
    }
}

#[test]
fn an_addendum_finds_its_original_also_where_that_gave_way_to_another_accounts_copy() {
    let kept = Event::assume_role(ROLE).id("b").shared("s1").caller(account_elsewhere()).granted_old(10);
    let dropped = Event::assume_role(ROLE).id("a").shared("s1").account(AWAY).granted_old(10);
    let update = Event::assume_role(ROLE).id("c").updates("a").account(AWAY).granted_old(20);
    let tables = in_every_order(&[kept.clone(), dropped.clone(), update.clone()]);
    assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 2));
    assert_cells(tables.event("c"), json!({ "observed_percent": 20.0, "caller": "arn:aws:iam::444455556666:user/jane" }));
    // The same where the addendum carries the shared id itself.
    let tables = in_every_order(&[kept, dropped, update.shared("s1")]);
    assert_cells(tables.event("c"), json!({ "observed_percent": 20.0, "caller": "arn:aws:iam::444455556666:user/jane" }));
}

#[test]
fn an_addendum_finds_its_original_also_where_a_copy_lacks_its_shared_id() {
    let copy = |id, account| Event::assume_role(ROLE).id(id).shared("s1").account(account).granted_old(10);
    let unshared = Event::assume_role(ROLE).id("b").granted_old(10);
    for original in ["a", "b"] {
        let update = Event::assume_role(ROLE).id("c").updates(original).granted_old(20);
        let tables = in_every_order(&[copy("b", HOME), copy("a", AWAY), unshared.clone(), update]);
        assert_eq!((tables.events.len(), tables.coverage.duplicates), (1, 3));
        assert_cells(tables.event("c"), json!({ "observed_percent": 20.0 }));
    }
}

// Filters.

#[test]
fn account_filters_by_the_kept_row_and_not_by_its_copies() {
    let trail = [
        Event::assume_role(ROLE).id("home").shared("s1").caller(account_elsewhere()).granted_old(30),
        Event::assume_role(ROLE).id("away").shared("s1").account(AWAY).granted_old(30).token(1024),
        Event::assume_role("arn:aws:iam::444455556666:role/there").id("there").granted_old(20),
    ];
    let whole = analyze(&trail);
    assert_eq!(whole.column("event_id"), ["home", "there"]);
    let home = analyze_only(&trail, &accounts(HOME));
    assert_eq!(home.events, [whole.event("home").clone()]);
    assert_cells(home.only(), json!({ "caller": "arn:aws:iam::444455556666:user/jane", "max_session_token_bytes": 1024 }));
    assert_eq!((home.coverage.sts_calls, home.coverage.duplicates, home.coverage.filtered), (3, 1, 1));
    let away = analyze_only(&trail, &accounts(AWAY));
    assert_eq!(away.events, [whole.event("there").clone()]);
    assert!(analyze_only(&trail, &accounts(THIRD)).events.is_empty());
}

#[test]
fn a_filter_by_role_keeps_what_a_copy_without_the_role_tells() {
    let bare = Event::assume_role(ROLE).id("a").without_parameters().granted_old(30).token(1024);
    let other = |id| Event::assume_role(ROLE).id(id).with(|record| record["responseElements"] = Value::Null);
    // The other account's copy, and an addendum that came with the parameters.
    for trail in [[bare.clone().shared("s1").account(AWAY), other("b").shared("s1")], [bare, other("b").updates("a")]] {
        let whole = analyze(&trail);
        assert_cells(whole.event("b"), json!({ "role_arn": ROLE, "observed_percent": 30.0, "session_token_bytes": 1024 }));
        assert_eq!(analyze_only(&trail, &roles("*role/etl")).events, whole.events);
        assert!(analyze_only(&trail, &roles("*role/other")).events.is_empty());
    }
}

#[test]
fn a_call_with_a_part_that_cannot_be_read_is_kept_and_its_file_named() {
    let dir = tempfile::tempdir().unwrap();
    let [damaged, whole] =
        [("LONE", "damaged"), ("fine", "whole")].map(|(value, id)| Event::assume_role(ROLE).id(id).tags(&[("k", value)]).0);
    // Half of a surrogate pair.
    fs::write(dir.path().join("log.json"), json!({ "Records": [damaged, whole] }).to_string().replace("LONE", "\\ud83d")).unwrap();
    let listing = trail::list(&[dir.path().to_str().unwrap().to_owned()], &trail::Reach::default()).unwrap();
    let scan = one_thread().install(|| scan(listing, &Filter::default(), Profile::builtin(), &|_| ()));
    let ids: Vec<Option<String>> = scan.calls.iter().map(|(_, call)| call.event_id.text(&scan.names)).collect();
    assert_eq!(ids, [Some("damaged".to_owned()), Some("whole".to_owned())]);
    let coverage = &scan.coverage;
    assert_eq!((coverage.sts_calls, coverage.records, coverage.files_listed, coverage.files_read), (2, 2, 1, 0));
    let [unreadable] = &coverage.unreadable[..] else { panic!("{:?}", coverage.unreadable) };
    assert!(unreadable.location.ends_with("log.json") && unreadable.reason.starts_with("record 1: "), "{unreadable:?}");
}

#[test]
fn a_copy_without_response_shows_no_regime_where_another_copy_has_it_whatever_the_filter() {
    let bare = Event::assume_role(OTHER_ROLE).id("a").shared("s1").with(|record| record["responseElements"] = Value::Null);
    let whole = Event::assume_role(OTHER_ROLE).id("b").shared("s1").account(AWAY).granted_new(1024);
    let refused = Event::assume_role(ROLE).id("refused").at("2026-09-20T10:03:00Z").refused_at(118);
    let trail = [bare, whole, refused];
    assert_cells(analyze(&trail).event("refused"), json!({ "regime": "session-token" }));
    for filter in [roles("*role/etl"), since("2026-09-20T10:01:00Z"), accounts(HOME)] {
        assert_cells(analyze_only(&trail, &filter).event("refused"), json!({ "regime": "session-token" }));
    }
}

#[test]
fn since_is_included_and_until_is_not() {
    let trail = [
        Event::assume_role(ROLE).id("a").at("2026-09-20T09:59:59Z"),
        Event::assume_role(ROLE).id("b").at("2026-09-20T10:00:00Z"),
        Event::assume_role(ROLE).id("c").at("2026-09-20T10:00:01Z"),
    ];
    assert_eq!(analyze_only(&trail, &since("2026-09-20T10:00:00Z")).column("event_id"), ["b", "c"]);
    assert_eq!(analyze_only(&trail, &until("2026-09-20T10:00:00Z")).column("event_id"), ["a"]);
}

/// Everything the scan tells of each kept call, a line a call, in order.
fn lines(scan: &Scan) -> Vec<String> {
    let text = |name| scan.names.text(name).map_or_else(|| "-".to_owned(), |text| text.to_string());
    scan.calls
        .iter()
        .map(|(_, call)| {
            let place = scan.location(call);
            format!(
                "{} {:?} role={} caller={} account={} region={} {:?} {:?} {:?} {:?} {:?} {:?} {}",
                call.time,
                call.event_id.text(&scan.names),
                text(call.role),
                text(call.caller),
                text(call.account),
                text(call.region),
                call.operation,
                call.outcome,
                call.regime,
                call.observed_percent(),
                call.session_token_bytes,
                scan.requests.facts(call.request).map(|facts| facts.parts(packtrail::packing::Regime::SessionToken).packed_bytes()),
                place.rsplit('/').next().unwrap(),
            )
        })
        .collect()
}

/// A call as one or more accounts tell it: what it was is the same in all copies, what of it a copy shows is not.
fn any_call(number: usize, partial: bool) -> impl Strategy<Value = Vec<Event>> {
    let account = || prop::sample::select(vec![HOME, AWAY, THIRD]);
    let what =
        (account(), prop::sample::select(vec!["etl", "other"]), prop::sample::select(vec!["eu-west-1", "us-east-1"]), 0..6_u32, 0..7_u32);
    let copy = (account(), 0..5_usize, prop::bool::weighted(0.8), prop::bool::weighted(0.8), 1..3_usize);
    let update = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<bool>()));
    (what, prop::collection::vec(copy, 1..4), any::<bool>(), update).prop_map(
        move |((home, role, region, minute, kind), copies, turned, update)| {
            let several = copies.len() > 1;
            let mut events = Vec::new();
            for (at, (account, caller, parameters, response, times)) in copies.into_iter().enumerate() {
                let letter = if turned { char::from(b'z' - at as u8) } else { char::from(b'a' + at as u8) };
                let event = Event::assume_role(&format!("arn:aws:iam::{home}:role/{role}"))
                    .id(&format!("{letter}{number}"))
                    .region(region)
                    .at(&format!("2026-09-20T10:0{minute}:00Z"))
                    .caller(
                        [role_session(), session_without_issuer(), principal_elsewhere(), account_elsewhere(), nobody()][caller].clone(),
                    );
                let event = match kind {
                    0 => event.granted_old(30),
                    1 => event.granted_old(40).token(1024),
                    2 | 3 => event.granted_new(1024),
                    4 => event.refused_at(118),
                    5 => event.denied(),
                    _ => event.tags(&[("k", "v")]),
                };
                let event = if parameters { event } else { event.without_parameters() };
                let event = if response || !partial { event } else { event.with(|record| record["responseElements"] = Value::Null) };
                let event = event.account(account);
                for time in 0..times {
                    let unshared = partial && time > 0;
                    events.push(if several && !unshared { event.clone().shared(&format!("s{number}")) } else { event.clone() });
                }
            }
            if let Some((original, smaller)) = update {
                let original = events[original.index(events.len())].clone();
                let updated = original.0["eventID"].as_str().unwrap();
                let update = original.clone().id(&format!("{}{number}", if smaller { "A" } else { "~" })).updates(updated);
                events.push(update.with(|record| record["sharedEventID"] = Value::Null));
            }
            events
        },
    )
}

/// The records of some calls, in any order. Where they are `partial`, copies may lack their response, and of the same event
/// in two files one lacks its shared id.
fn any_trail(partial: bool) -> impl Strategy<Value = Vec<Event>> {
    let call = move |number| any_call(number, partial);
    (call(1), call(2), call(3), call(4), 1..5_usize).prop_map(|(a, b, c, d, calls)| [a, b, c, d][..calls].concat()).prop_shuffle()
}

/// Each filter gives exactly those rows of the unfiltered run that it names, and no row changes.
fn filters_only_choose(events: &[Event], files: usize) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    for file in 0..files {
        let own: Vec<Event> = events.iter().skip(file).step_by(files).cloned().collect();
        write_file(dir.path(), &format!("{file}.json"), &own, 0);
    }
    let whole = scan_dir(dir.path(), &Filter::default());
    prop_assert_eq!(whole.coverage.filtered, 0);
    let all = lines(&whole);
    for (filter, name) in [
        (accounts(HOME), " account=111122223333 "),
        (accounts(AWAY), " account=444455556666 "),
        (regions("us-east-1"), " region=us-east-1 "),
        (roles("*:role/etl"), ":role/etl "),
        (roles("arn:aws:iam::777788889999:*"), " role=arn:aws:iam::777788889999:role/"),
        (since("2026-09-20T10:00:00Z"), ""),
        (until("2026-09-20T10:00:00Z"), "nothing"),
    ] {
        let some = scan_dir(dir.path(), &filter);
        let expected: Vec<String> = all.iter().filter(|line| line.contains(name)).cloned().collect();
        prop_assert_eq!(lines(&some), expected, "{:?} of {:#?}", filter, all);
    }
    let late = lines(&scan_dir(dir.path(), &since("2026-09-20T10:03:00Z")));
    let early = lines(&scan_dir(dir.path(), &until("2026-09-20T10:03:00Z")));
    prop_assert_eq!([early, late].concat(), all);
    Ok(())
}

/// One record a file, read in the order of the listing, backwards and shuffled: the same calls, one for each call that was made.
fn order_does_not_matter(events: &[Event], seed: u64) -> Result<(), TestCaseError> {
    let run = |pool: &rayon::ThreadPool, bytes: &dyn Fn(usize) -> usize| {
        let dir = tempfile::tempdir().unwrap();
        for (at, event) in events.iter().enumerate() {
            write_file(dir.path(), &format!("{at:02}.json"), std::slice::from_ref(event), bytes(at));
        }
        let scan = scan_on(pool, dir.path(), &Filter::default());
        (lines(&scan), scan.coverage.duplicates)
    };
    let first = run(one_thread(), &|_| 0);
    // The number of the call is the end of its ids.
    let made: BTreeSet<char> = events.iter().map(|event| event.0["eventID"].as_str().unwrap().chars().next_back().unwrap()).collect();
    prop_assert_eq!(first.0.len(), made.len(), "{:#?}", first.0);
    prop_assert_eq!(&run(four_threads(), &|_| 0), &first);
    prop_assert_eq!(&run(one_thread(), &|at| 2048 * at), &first);
    prop_assert_eq!(&run(one_thread(), &|at| 2048 * (seed.rotate_left(u32::try_from(at).unwrap() * 5) % 16) as usize), &first);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_chooses_rows_and_changes_none(events in any_trail(false), files in 1..4_usize) {
        filters_only_choose(&events, files)?;
    }

    #[test]
    fn each_call_is_kept_once_whatever_the_order_of_reading(events in any_trail(false), seed in any::<u64>()) {
        order_does_not_matter(&events, seed)?;
    }

    #[test]
    fn each_call_is_kept_once_also_where_copies_are_partial(events in any_trail(true), seed in any::<u64>()) {
        order_does_not_matter(&events, seed)?;
    }
}

// Orders.

#[test]
fn events_stand_by_time_then_by_event_id() {
    let tables = analyze_files(
        &[
            ("1.json", vec![Event::assume_role(ROLE).id("b"), Event::assume_role(ROLE).id("a"), Event::assume_role(ROLE).id("B")]),
            (
                "2.json",
                vec![
                    Event::assume_role(ROLE).id("y").at("2026-09-20T10:00:01Z"),
                    Event::assume_role(ROLE).id("z").at("2026-09-20T09:59:59Z"),
                ],
            ),
        ],
        &Filter::default(),
    );
    assert_eq!(tables.column("event_id"), ["z", "B", "a", "b", "y"]);
}

#[test]
fn findings_stand_worst_status_first_then_by_largest_percent() {
    let role = |name: &str| format!("arn:aws:iam::{HOME}:role/{name}");
    let mut trail: Vec<Event> = [("ok low", 1), ("ok high", 74), ("warning", 80), ("critical low", 90), ("critical high", 99)]
        .map(|(name, percent)| Event::assume_role(&role(name)).on_day(44).granted_old(percent))
        .to_vec();
    trail.push(Event::assume_role(&role("failing low")).on_day(44).refused_at(101));
    trail.push(Event::assume_role(&role("failing high")).on_day(44).refused_at(300));
    trail.extend(growing());
    let tables = analyze(&trail);
    let order: Vec<&str> = tables.principals.iter().map(|row| row["role_arn"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    assert_eq!(order, ["failing high", "failing low", "critical high", "critical low", "warning", "etl", "ok high", "ok low"]);
    let statuses: Vec<&str> = tables.principals.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["failing", "failing", "critical", "critical", "warning", "watch", "ok", "ok"]);
}

#[test]
fn days_stand_by_day_then_by_role_caller_and_operation() {
    let by = |role: &str, name: &str, day| Event::assume_role(role).caller(user(name)).on_day(day).granted_old(90);
    let federation = Event::new("GetFederationToken").caller(user("zoe")).on_day(0);
    let tables = analyze(&[
        by(OTHER_ROLE, "jane", 0),
        by(ROLE, "jane", 1),
        by(ROLE, "jane", 0).granted_old(1),
        by(ROLE, "bob", 0),
        federation,
        by(ROLE, "bob", 0).with(|record| record["eventName"] = json!("AssumeRoleWithWebIdentity")),
    ]);
    let order: Vec<String> = tables
        .daily
        .iter()
        .map(|row| {
            let last = |column: &str| row[column].as_str().map_or("-", |text| text.rsplit('/').next().unwrap());
            format!("{} {} {} {}", last("day"), last("role_arn"), last("caller"), last("operation"))
        })
        .collect();
    assert_eq!(
        order,
        [
            "2026-06-01 - zoe GetFederationToken",
            "2026-06-01 etl bob AssumeRole",
            "2026-06-01 etl bob AssumeRoleWithWebIdentity",
            "2026-06-01 etl jane AssumeRole",
            "2026-06-01 other jane AssumeRole",
            "2026-06-02 etl jane AssumeRole",
        ]
    );
}

#[test]
fn a_call_that_assumes_no_role_has_none() {
    let role = |operation: &str| {
        analyze(&[Event::new(operation).with(|record| record["requestParameters"]["roleArn"] = json!(ROLE))]).events[0]["role_arn"].clone()
    };
    assert_eq!(role("GetFederationToken"), Value::Null);
    assert_eq!(role("GetSessionToken"), Value::Null);
    assert_eq!(role("AssumeRoleWithSAML"), ROLE);
}
