//! The scheduled job: whatever a run is ended by, the report is that of one run over everything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "generator/mod.rs"]
mod generator;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use generator::{Rng, organisation};
use packtrail::findings::findings;
use packtrail::fixes::Advice;
use packtrail::packing::Profile;
use packtrail::report::{self, Format, Layout, Report, Scratch};
use packtrail::scan::{Filter, Recorder, Scan, Scanner, scan};
use packtrail::state::{Counts, Files, Settings, State, StateError};
use packtrail::trail::{self, Day, LogFile, Memory, Reach, Store, StoreError};
use proptest::prelude::*;
use serde_json::{Value, json};

// A trail of small files: copies in other accounts' logs, addenda, records without ids, damage, files that are no logs.

const ACCOUNTS: [&str; 2] = ["111122223333", "444455556666"];
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// The call of this number, as one of its copies tells it.
fn record(number: u64, copy: &mut Rng) -> Value {
    // Every tenth record updates the one before it: the same call once more.
    let updates = number % 10 == 9;
    let mut call = Rng::new(number - u64::from(updates));
    let account = ACCOUNTS[copy.whole(0, 1) as usize];
    let time = 1_789_000_000 + call.whole(0, 9 * 86_400);
    let role = format!("arn:aws:iam::{}:role/r{}", ACCOUNTS[call.whole(0, 1) as usize], call.whole(0, 2));
    let mut record = json!({
        "eventVersion": "1.11",
        "eventSource": "sts.amazonaws.com",
        "eventName": call.pick(&["AssumeRole", "AssumeRole", "AssumeRole", "GetSessionToken", "GetFederationToken"]),
        "eventTime": generator::records::timestamp(time),
        "awsRegion": REGIONS[call.whole(0, 1) as usize],
        "recipientAccountId": account,
        "userIdentity": match copy.whole(0, 2) {
            0 => json!({ "type": "AWSAccount", "principalId": "AROAEXAMPLE:x", "accountId": ACCOUNTS[0] }),
            1 => json!({ "type": "IAMUser", "arn": format!("arn:aws:iam::{}:user/u{}", ACCOUNTS[0], number % 3) }),
            _ => json!({ "type": "AWSService", "invokedBy": "lambda.amazonaws.com" }),
        },
        "requestParameters": Value::Null,
        "responseElements": Value::Null,
    });
    if !call.chance(8.0) {
        record["eventID"] =
            json!(if call.chance(80.0) { format!("00000000-0000-4000-8000-{number:012x}") } else { format!("id {number}") });
    }
    if call.chance(20.0) {
        record["sharedEventID"] = json!(format!("shared {number}"));
    }
    if updates {
        record["addendum"] = json!({ "reason": "UPDATED_DATA", "originalEventID": format!("00000000-0000-4000-8000-{:012x}", number - 1) });
    }
    if copy.chance(85.0) {
        let policy = format!(
            r#"{{ "Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:Get*","Resource":"{}"}}]}}"#,
            "x".repeat(number as usize % 40)
        );
        let tags: Vec<Value> =
            (0..number % 4).map(|at| json!({ "key": format!("k{at}"), "value": "v".repeat(number as usize % 60) })).collect();
        record["requestParameters"] = json!({ "roleArn": role, "roleSessionName": "secret-name", "tags": tags });
        if call.chance(50.0) {
            record["requestParameters"]["policy"] = json!(policy);
        }
    }
    match call.whole(0, 9) {
        0 | 1 => {
            record["errorCode"] = json!("PackedPolicyTooLargeException");
            record["errorMessage"] =
                json!(format!("Packed policy consumes {}% of allotted space, please use smaller policy.", 100 + number % 50));
        }
        2 => record["errorCode"] = json!("AccessDenied"),
        3 | 4 => {
            record["responseElements"] =
                json!({ "packedPolicySize": 20 + number % 70, "credentials": { "sessionToken": "secret".repeat(100) } })
        }
        5 if copy.chance(50.0) => {}
        _ => {
            let size = 700 + number % 3000;
            record["responseElements"] =
                json!({ "sessionTokenSize": size, "sessionTokenUtilization": 100 * size / 4096, "packedPolicySize": 100 * size / 4096 });
        }
    }
    record
}

/// Files by name.
fn made_trail(seed: u64, files: usize) -> Vec<(String, Vec<u8>)> {
    let mut rng = Rng::new(seed);
    (0..files)
        .map(|at| {
            let (account, region) = (ACCOUNTS[rng.whole(0, 1) as usize], REGIONS[rng.whole(0, 1) as usize]);
            let records: Vec<Value> = (0..rng.whole(0, 6)).map(|_| record(rng.bits() % 60, &mut rng)).collect();
            // Delivered on the day of the last event or later.
            let last = records.iter().map(|record| record["eventTime"].as_str().unwrap()[8..10].parse::<i64>().unwrap()).max();
            let day = last.unwrap_or(10) + rng.whole(0, 2);
            let mut name = format!(
                "AWSLogs/{account}/CloudTrail/{region}/2026/09/{day:02}/{account}_CloudTrail_{region}_202609{day:02}T0005Z_{at:016x}.json.gz"
            );
            let mut bytes = generator::json::gzip(json!({ "Records": records }).to_string().as_bytes());
            match rng.whole(0, 19) {
                0 => bytes.truncate(bytes.len() - 9),
                1 => bytes = b"no log at all".to_vec(),
                2 => bytes = generator::json::gzip(br#"{"awsAccountId":"111122223333","digestStartTime":"2026-10-12T00:00:00Z","logFiles":[]}"#),
                3 | 4 => name = format!("copies/{at}.json.gz"),
                5 => name = name.replace("/CloudTrail/", "/CloudTrail-Digest/"),
                _ => {}
            }
            (name, bytes)
        })
        .collect()
}

fn put(dir: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A directory where syncing costs nothing, if there is such a place: what survives a process needs no disk.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

// Runs through the library.

/// The tables as CSV, and what is counted.
type Tables = BTreeMap<String, String>;

fn tables(scan: &Scan, until: Option<i64>) -> Tables {
    let findings = findings(scan, until, &[], &Advice::default());
    let out = scratch();
    Report::open(report::Place::Directory(out.path().to_owned()), &[Format::Csv], Layout::Flat, &Scratch::default())
        .unwrap()
        .write(scan, &findings, &|| "{}".to_owned(), false)
        .unwrap();
    let mut made: Tables = ["events", "principals", "daily", "fixes"]
        .into_iter()
        .map(|name| (name.to_owned(), fs::read_to_string(out.path().join(format!("{name}.csv"))).unwrap()))
        .collect();
    let coverage = &scan.coverage;
    assert_eq!(coverage.files_listed, coverage.files_read + coverage.files_skipped() + coverage.unreadable.len() as u64);
    assert_eq!(coverage.sts_calls, scan.calls.len() as u64 + coverage.filtered + coverage.duplicates);
    made.insert("coverage".to_owned(), format!("{coverage:#?} {} requests", scan.requests.len()));
    made
}

fn listing(trail: &Path, memory: Option<Arc<dyn Memory>>) -> trail::Listing {
    trail::list(&[trail.to_str().unwrap().to_owned()], &Reach { memory, ..Reach::default() }).unwrap()
}

/// One run over everything, without a state.
fn whole(trail: &Path, filter: &Filter) -> Tables {
    tables(&scan(listing(trail, None), filter, Profile::builtin(), &|_| ()), filter.until)
}

fn job(trail: &Path, state: &Arc<State>, filter: &Filter) -> Result<Tables, StateError> {
    let memory: Arc<dyn Memory> = Arc::<State>::clone(state);
    let scanner = Scanner::new(filter.clone());
    scanner.read(listing(trail, Some(memory)), Some(&**state), &|_| ());
    state.commit()?;
    state.recall(&scanner)?;
    Ok(tables(&scanner.gather().pack(Profile::builtin()), filter.until))
}

/// Writes after every few calls and keeps few segments, so that little data goes through everything.
fn small() -> Settings {
    Settings {
        calls: 5,
        objects: 4,
        request_bytes: 1_500,
        segment_rows: 12,
        segments: 2,
        request_segments: 3,
        superseded: 1,
        now: 1_789_900_000,
        ..Settings::default()
    }
}

/// A place in memory that can lose its power at any step.
#[derive(Default)]
struct Place {
    files: BTreeMap<String, Vec<u8>>,
    /// Counts the manifests written.
    tag: u64,
    /// Steps until the power fails.
    power: Option<u64>,
    steps: u64,
}

/// One run's access to a place. Nothing but the manifest's tag keeps runs apart, as in S3.
struct Hand {
    place: Arc<Mutex<Place>>,
    seen: Mutex<u64>,
}

impl Hand {
    fn new(place: &Arc<Mutex<Place>>) -> Box<Hand> {
        Box::new(Hand { place: Arc::clone(place), seen: Mutex::default() })
    }

    fn step<T>(&self, act: impl FnOnce(&mut Place) -> T) -> Result<T, StoreError> {
        let mut place = self.place.lock().unwrap();
        place.steps += 1;
        match &mut place.power {
            Some(0) => Err(StoreError::Io { location: "memory".to_owned(), source: io::Error::other("power cut") }),
            Some(left) => {
                *left -= 1;
                Ok(act(&mut place))
            }
            None => Ok(act(&mut place)),
        }
    }
}

impl Files for Hand {
    fn location(&self, key: &str) -> String {
        format!("memory/{key}")
    }

    fn lock(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn manifest(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.step(|place| {
            *self.seen.lock().unwrap() = place.tag;
            place.files.get("manifest.json").cloned()
        })
    }

    fn replace_manifest(&self, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.step(|place| {
            let mut seen = self.seen.lock().unwrap();
            if *seen != place.tag {
                return Err(StoreError::Taken { location: "memory".to_owned() });
            }
            place.tag += 1;
            *seen = place.tag;
            place.files.insert("manifest.json".to_owned(), bytes);
            Ok(())
        })?
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.step(|place| place.files.get(key).cloned())
    }

    fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.step(|place| {
            assert!(place.files.insert(key.to_owned(), bytes).is_none(), "{key} is written once");
        })
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        self.step(|place| place.files.keys().cloned().collect())
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.step(|place| {
            place.files.remove(key);
        })
    }
}

fn opened(place: &Arc<Mutex<Place>>, settings: Settings) -> Result<Arc<State>, StateError> {
    State::open_with(Hand::new(place), None, settings)
}

fn run(trail: &Path, place: &Arc<Mutex<Place>>) -> Result<Tables, StateError> {
    job(trail, &opened(place, small())?, &Filter::default())
}

/// What the manifest says, and that nothing else lies in the place.
fn manifest(place: &Mutex<Place>) -> Value {
    let files = &place.lock().unwrap().files;
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let mut named: BTreeSet<&str> = ["calls", "objects", "requests"]
        .iter()
        .flat_map(|table| manifest["state"][table].as_array().unwrap())
        .map(|segment| segment["key"].as_str().unwrap())
        .collect();
    named.insert("manifest.json");
    assert_eq!(named, files.keys().map(String::as_str).collect());
    manifest["state"].clone()
}

#[track_caller]
fn assert_same(made: &Tables, expected: &Tables, what: &str) {
    for (name, expected) in expected {
        let line = made[name].lines().zip(expected.lines()).find(|(made, expected)| made != expected);
        assert!(made[name] == *expected, "{what}: {name} differs, first in {line:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn any_split_of_a_trail_into_runs_in_any_order_gives_the_tables_of_one_run(seed in any::<u64>(), cuts in proptest::collection::vec(1..12_usize, 1..6), large in any::<bool>()) {
        let dir = scratch();
        let mut files = made_trail(seed, 30);
        files.sort_by_cached_key(|(name, _)| seed ^ name.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte)));
        let place = Arc::default();
        let mut rest = files.as_slice();
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (some, others) = rest.split_at(cut.min(rest.len()));
            rest = others;
            put(dir.path(), some);
            let state = opened(&place, if large { Settings::default() } else { small() }).unwrap();
            assert_same(&job(dir.path(), &state, &Filter::default()).unwrap(), &whole(dir.path(), &Filter::default()), "after a run");
            drop(state);
            manifest(&place);
        }
        // Filters choose among what is remembered.
        let until = Some(1_789_000_000 + 6 * 86_400);
        for filter in [
            Filter { roles: vec![glob::Pattern::new("*r1").unwrap()], ..Filter::default() },
            Filter { accounts: vec![ACCOUNTS[0].to_owned()], regions: vec![REGIONS[0].to_owned()], ..Filter::default() },
            Filter { since: Some(1_789_000_000 + 3 * 86_400), until, ..Filter::default() },
        ] {
            let state = opened(&place, small()).unwrap();
            let made = job(dir.path(), &state, &filter).unwrap();
            prop_assert_eq!(state.counts().files_new, 0);
            assert_same(&made, &whole(dir.path(), &filter), "with a filter");
        }
    }
}

#[test]
fn after_a_crash_at_any_step_the_next_run_gives_the_tables_of_an_uninterrupted_one() {
    let dir = scratch();
    let files = made_trail(5, 16);
    let base = Arc::default();
    put(dir.path(), &files[..9]);
    run(dir.path(), &base).unwrap();
    put(dir.path(), &files[9..]);
    // Two of the files change as well.
    put(dir.path(), &[(files[0].0.clone(), files[12].1.clone()), (files[1].0.clone(), b"{\"Records\":[]}  ".to_vec())]);
    let expected = whole(dir.path(), &Filter::default());
    let steps = |place: &Arc<Mutex<Place>>| place.lock().unwrap().steps;
    let copy = |power| {
        let files = base.lock().unwrap().files.clone();
        Arc::new(Mutex::new(Place { files, power, ..Place::default() }))
    };
    let calm = copy(None);
    assert_same(&run(dir.path(), &calm).unwrap(), &expected, "without a crash");
    assert!(steps(&calm) > 75, "{} steps", steps(&calm));
    // A step that is done but not known to be is as though the power failed before the next.
    let mut crashes = 0;
    for step in 0.. {
        let place = copy(Some(step));
        let ended = run(dir.path(), &place);
        let failed = place.lock().unwrap().power.take() == Some(0) && ended.is_err();
        if !failed {
            assert_same(&ended.unwrap(), &expected, "in the end");
            break;
        }
        crashes += 1;
        let after = format!("after a crash at step {step}");
        assert_same(&run(dir.path(), &place).unwrap_or_else(|error| panic!("{after}: {error}")), &expected, &after);
        manifest(&place);
    }
    assert!(crashes > 75, "{crashes} crashes");
}

#[test]
fn of_two_runs_without_a_lock_the_one_that_opened_first_loses() {
    let dir = scratch();
    let files = made_trail(6, 30);
    put(dir.path(), &files[..10]);
    let place = Arc::default();
    run(dir.path(), &place).unwrap();
    put(dir.path(), &files[10..]);
    let expected = whole(dir.path(), &Filter::default());

    // The second opens while the first reads.
    let first = opened(&place, small()).unwrap();
    let second = opened(&place, small()).unwrap();
    let error = job(dir.path(), &first, &Filter::default()).unwrap_err();
    assert_eq!(error.to_string(), "memory: another run is using it");
    assert_same(&job(dir.path(), &second, &Filter::default()).unwrap(), &expected, "the second");
    drop((first, second));
    assert_same(&run(dir.path(), &place).unwrap(), &expected, "a third");
    manifest(&place);

    // The second opens, and tidies up, after the first has written, before it reports.
    let first = opened(&place, Settings::default()).unwrap();
    first.commit().unwrap();
    put(dir.path(), &[("copies/more.json".to_owned(), json!({ "Records": [record(1, &mut Rng::new(1))] }).to_string().into_bytes())]);
    let settings = Settings { segments: 0, segment_rows: usize::MAX, request_segments: 0, ..small() };
    job(dir.path(), &opened(&place, settings).unwrap(), &Filter::default()).unwrap();
    let error = first.recall(&Scanner::new(Filter::default())).unwrap_err();
    assert_eq!(error.to_string(), "memory: another run is using it");
}

#[test]
fn two_runs_that_begin_a_state_at_once_make_one() {
    let place: Arc<Mutex<Place>> = Arc::default();
    let hands = [Hand::new(&place), Hand::new(&place)];
    for hand in &hands {
        assert_eq!(hand.manifest().unwrap(), None);
    }
    assert!(hands[0].replace_manifest(vec![1]).is_ok());
    assert!(matches!(hands[1].replace_manifest(vec![2]), Err(StoreError::Taken { .. })));
}

// Files as they come and go.

#[test]
fn a_file_that_changed_counts_as_it_is_now() {
    let dir = scratch();
    let place = Arc::default();
    let text = |numbers: &[u64]| {
        let records: Vec<Value> = numbers.iter().map(|&number| record(number, &mut Rng::new(number))).collect();
        json!({ "Records": records }).to_string().into_bytes()
    };
    let name = |at: u64| format!("copies/{at}.json");
    put(dir.path(), &[(name(0), text(&[1, 2])), (name(1), text(&[3]))]);
    run(dir.path(), &place).unwrap();
    for (round, content) in [text(&[4]), text(&[1, 5, 6, 7, 8, 9, 10, 11]), b"no log".to_vec(), text(&[12, 13])].into_iter().enumerate() {
        put(dir.path(), &[(name(0), content.clone()), (name(round as u64 + 2), text(&[20 + round as u64]))]);
        if round == 3 {
            // Beyond what is kept of changes: all of it is written anew.
            put(dir.path(), &[(name(1), content)]);
        }
        let state = opened(&place, small()).unwrap();
        assert_same(&job(dir.path(), &state, &Filter::default()).unwrap(), &whole(dir.path(), &Filter::default()), "changed");
        let listed = round as u64 + 3;
        let new = if round == 3 { 3 } else { 2 };
        assert_eq!(state.counts(), Counts { files_new: new, files_known: listed - new });
        drop(state);
        let changed = manifest(&place)["superseded"].as_object().unwrap().len();
        assert_eq!(changed, usize::from(round < 3));
    }
}

#[test]
fn a_damaged_file_is_remembered_with_its_reason() {
    let dir = scratch();
    let records: Vec<Value> = (0..9).map(|number| record(number, &mut Rng::new(number))).collect();
    let text = json!({ "Records": records }).to_string();
    put(dir.path(), &[("copies/cut.json".to_owned(), text.as_bytes()[..text.len() - 200].to_vec())]);
    let place = Arc::default();
    let expected = whole(dir.path(), &Filter::default());
    assert!(expected["coverage"].contains("text ends within a value"));
    for _ in 0..2 {
        assert_same(&run(dir.path(), &place).unwrap(), &expected, "damaged");
    }
    assert_eq!(
        opened(&place, small())
            .map(|state| job(dir.path(), &state, &Filter::default()).map(|_| state.counts().files_new))
            .unwrap()
            .unwrap(),
        0
    );
}

/// Removes a file when it has been listed.
struct Vanishing(Arc<State>, PathBuf);

impl Memory for Vanishing {
    fn knows(&self, file: &LogFile) -> bool {
        if file.location == self.1.to_str().unwrap() {
            fs::remove_file(&self.1).unwrap();
        }
        self.0.knows(file)
    }

    fn first_open_day(&self, folder: &str, from: Option<Day>, through: Option<Day>) -> Option<Day> {
        self.0.first_open_day(folder, from, through)
    }
}

#[test]
fn a_file_that_vanished_is_told_and_tried_again() {
    let dir = scratch();
    let files: Vec<(String, Vec<u8>)> = made_trail(9, 12);
    let (name, bytes) = files.iter().find(|(name, _)| name.contains("/CloudTrail/")).unwrap().clone();
    put(dir.path(), &files);
    let expected = whole(dir.path(), &Filter::default());
    let place = Arc::default();
    let later = Settings { now: 1_800_000_000, ..small() };
    let state = opened(&place, later).unwrap();
    let scanner = Scanner::new(Filter::default());
    let memory = Vanishing(Arc::clone(&state), dir.path().join(&name));
    scanner.read(listing(dir.path(), Some(Arc::new(memory))), Some(&*state), &|_| ());
    let folder = dir.path().join(&name).ancestors().nth(4).unwrap().to_str().unwrap().to_owned() + "/";
    let delivered = trail::delivery(dir.path().join(&name).to_str().unwrap()).unwrap().day;
    state.listed(&folder, None, delivered + 2);
    state.commit().unwrap();
    state.recall(&scanner).unwrap();
    let scan = scanner.gather().pack(Profile::builtin());
    tables(&scan, None);
    let unreadable = scan.coverage.unreadable.iter().find(|one| one.location.ends_with(&name)).unwrap();
    assert!(unreadable.reason.contains("No such file"), "{}", unreadable.reason);
    assert_eq!(unreadable.records_read, 0);
    drop((state, scan));
    put(dir.path(), &[(name, bytes)]);
    let state = opened(&place, small()).unwrap();
    assert_eq!(state.first_open_day(&folder, None, None), Some(delivered), "its day is listed again");
    assert_same(&job(dir.path(), &state, &Filter::default()).unwrap(), &expected, "when it is back");
    assert_eq!(state.counts().files_new, 1);
}

#[test]
fn a_large_file_given_up_half_way_leaves_nothing() {
    let dir = scratch();
    let place = Arc::default();
    let state = opened(&place, small()).unwrap();
    let file = LogFile::at(dir.path().join("a.json"), false, Some(1), 1);
    let texts: Vec<String> = (0..40).map(|number| record(number, &mut Rng::new(number)).to_string()).collect();
    let mut recording = state.file(&file);
    for (at, text) in (1..).zip(&texts) {
        recording.call(at, packtrail::sts_call::parse(text).unwrap().unwrap());
    }
    assert!(place.lock().unwrap().files.len() > 4, "some of it was written");
    drop(recording);
    state.unreached(&file);
    state.commit().unwrap();
    drop(state);
    let manifest = manifest(&place);
    assert_eq!((manifest["calls"].clone(), manifest["objects"].clone()), (json!([]), json!([])));
}

const FOLDER: &str = "s3://b/AWSLogs/111122223333/CloudTrail/us-east-1/";

#[test]
fn a_day_is_listed_again_until_it_is_long_enough_past() {
    let place = Arc::default();
    let today = 20_700;
    let on = |day: Day| opened(&place, Settings { now: i64::from(day) * 86_400 + 5, ..small() }).unwrap();
    let state = on(today);
    assert_eq!(state.first_open_day(FOLDER, None, Some(today)), Some(Day::MIN));
    assert_eq!(state.first_open_day(FOLDER, Some(5), None), Some(5));
    state.listed(FOLDER, None, today);
    state.listed("other/", Some(today - 10), today - 8);
    state.commit().unwrap();
    drop(state);
    let state = on(today + 1);
    // The day that ended three days ago is the last that is closed.
    assert_eq!(state.first_open_day(FOLDER, None, Some(today + 1)), Some(today - 3));
    assert_eq!(state.first_open_day(FOLDER, Some(today), None), Some(today));
    assert_eq!(state.first_open_day(FOLDER, None, Some(today - 4)), None);
    assert_eq!(state.first_open_day("other/", None, None), Some(Day::MIN));
    assert_eq!(state.first_open_day("other/", Some(today - 9), None), Some(today - 7));
    state.listed(FOLDER, Some(today - 3), today + 1);
    state.commit().unwrap();
    drop(state);
    assert_eq!(on(today + 1).first_open_day(FOLDER, None, None), Some(today - 2));
    let listed = manifest(&place)["listed"][FOLDER].clone();
    assert_eq!(listed, json!([{ "from": null, "through": "2026-09-01" }]));
}

#[test]
fn what_is_before_the_days_to_keep_is_forgotten_and_not_read_again() {
    let dir = scratch();
    let files = made_trail(11, 40);
    put(dir.path(), &files[..30]);
    let place = Arc::default();
    run(dir.path(), &place).unwrap();
    let from = 1_789_000_000_i64.div_euclid(86_400) as Day + 5;
    let since = Filter { since: Some(i64::from(from) * 86_400), ..Filter::default() };
    put(dir.path(), &files[30..]);
    for new in [true, false] {
        let state = State::open_with(Hand::new(&place), Some(from), small()).unwrap();
        let made = job(dir.path(), &state, &Filter::default()).unwrap();
        let expected = whole(dir.path(), &since);
        assert_eq!(made["events"].lines().count(), expected["events"].lines().count());
        assert_eq!(state.counts().files_new > 0, new);
        drop(state);
        let manifest = manifest(&place);
        let day = |segment: &Value| segment["day"].as_str().map(str::to_owned);
        let first = chrono::NaiveDate::from_epoch_days(from).unwrap().to_string();
        for table in ["calls", "objects"] {
            let days: Vec<_> = manifest[table].as_array().unwrap().iter().filter_map(day).collect();
            assert!(!days.is_empty() && days.iter().all(|day| *day >= first), "{days:?}");
        }
        assert_eq!(manifest["kept_from"], json!(first));
    }
    // It does not come back.
    let state = State::open_with(Hand::new(&place), Some(from - 3), small()).unwrap();
    assert_eq!(state.kept_from(), Some(from));
    job(dir.path(), &state, &Filter::default()).unwrap();
    assert_eq!(state.counts().files_new, 0);
}

#[test]
fn requests_that_no_call_refers_to_any_more_are_dropped() {
    let dir = scratch();
    let place = Arc::default();
    for (at, file) in made_trail(12, 30).into_iter().enumerate() {
        put(dir.path(), &[file]);
        let from = (at == 29).then_some(1_789_000_000_i64.div_euclid(86_400) as Day + 8);
        let state =
            State::open_with(Hand::new(&place), from, Settings { request_segments: if at == 29 { 0 } else { 99 }, ..small() }).unwrap();
        job(dir.path(), &state, &Filter::default()).unwrap();
    }
    let manifest = manifest(&place);
    let rows = |table: &str| manifest[table].as_array().unwrap().iter().map(|segment| segment["rows"].as_u64().unwrap()).sum::<u64>();
    assert!(rows("requests") <= rows("calls") && rows("calls") < 20, "{} requests of {} calls", rows("requests"), rows("calls"));
}

// The built binary.

fn packtrail() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_packtrail"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
}

fn analyze(trail: &Path, out: &Path, more: &[&str]) -> Output {
    packtrail().arg("analyze").arg(trail).arg("--out").arg(out).args(["--format", "csv", "--quiet"]).args(more).output().unwrap()
}

/// For runs whose figures do not matter: a fit to the calls takes most of a run's time.
const UNFITTED: [&str; 2] = ["--profile", "none"];

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The tables in `out`, and the coverage.
fn written(out: &Path) -> Tables {
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let mut made: Tables =
        ["events", "principals", "daily", "fixes"].into_iter().map(|name| (name.to_owned(), read(&format!("{name}.csv")))).collect();
    made.insert("coverage".to_owned(), summary(out)["coverage"].to_string());
    made
}

fn summary(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap()
}

/// Every file below `dir` but the lock, which is empty.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() == "lock" {
                assert_eq!(fs::read(&path).unwrap(), b"");
            } else {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_nightly_job_over_a_growing_trail_reports_as_one_run_over_all_of_it() {
    let dir = scratch();
    let (trail, out) = (dir.path().join("trail"), dir.path().join("out"));
    let state = dir.path().join("state");
    let with_state = ["--state", state.to_str().unwrap()];
    let mut files = organisation::sample_organisation(3);
    let mut rng = Rng::new(4);
    files.sort_by_cached_key(|_| rng.bits());
    let mut known = 0;
    for some in files.chunks(files.len() / 3) {
        put(&trail, some);
        let ran = analyze(&trail, &out, &with_state);
        assert_eq!((ran.status.code(), stderr(&ran)), (Some(0), String::new()));
        let made = written(&out);
        let new = some.iter().filter(|(name, _)| !name.contains("Digest")).count();
        assert_eq!(summary(&out)["state"], json!({ "location": state.to_str().unwrap(), "files_new": new, "files_known": known }));
        known += new;
        assert_eq!(analyze(&trail, &out, &[]).status.code(), Some(0));
        assert_same(&made, &written(&out), "a night");
        assert!(summary(&out)["state"].is_null());
    }
    for filter in [vec![], vec!["--role", "*session*"], vec!["--since", "2026-09-01", "--until", "2026-10-01", "--region", "us-east-1"]] {
        let filter = [&filter[..], &UNFITTED].concat();
        assert_eq!(analyze(&trail, &out, &[&with_state[..], &filter].concat()).status.code(), Some(0));
        let made = written(&out);
        assert_eq!(summary(&out)["state"]["files_new"], 0);
        analyze(&trail, &out, &filter);
        assert_same(&made, &written(&out), "a filter");
    }
    // The trail may go; the report stays. Nothing of what is secret is kept.
    for (path, bytes) in contents(&state) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("secret-name") && !text.contains("sessionToken\""), "{}", path.display());
    }
}

#[test]
fn the_state_is_for_its_owner_alone() {
    let dir = scratch();
    let trail = dir.path().join("trail");
    put(&trail, &made_trail(1, 5));
    let state = dir.path().join("deep/state");
    analyze(&trail, &dir.path().join("out"), &["--state", state.to_str().unwrap()]);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&state).unwrap().permissions()) & 0o777, 0o700);
}

#[test]
fn wrong_usage_is_told_before_anything_is_read() {
    let dir = scratch();
    let state = dir.path().join("state");
    let ran = packtrail().args(["analyze", "-", "--state", state.to_str().unwrap()]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert_eq!(stderr(&ran), "packtrail: --state cannot tell what it has read of standard input: name files\n");
    let ran = packtrail().args(["analyze", "samples", "--keep-days", "5"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(!state.exists());
}

#[test]
fn of_two_runs_on_one_disk_the_second_says_so_and_ends() {
    let dir = scratch();
    let (trail, state) = (dir.path().join("trail"), dir.path().join("state"));
    put(&trail, &made_trail(2, 5));
    let first = State::open(Store::disk(&state, true).unwrap(), None).unwrap();
    let before = contents(&state);
    let ran = analyze(&trail, &dir.path().join("out"), &["--state", state.to_str().unwrap()]);
    assert_eq!((ran.status.code(), stderr(&ran)), (Some(1), format!("packtrail: {}/: another run is using it\n", state.display())));
    assert_eq!(contents(&state), before);
    drop(first);
    let ran = analyze(&trail, &dir.path().join("out"), &["--state", state.to_str().unwrap()]);
    assert_ne!(ran.status.code(), Some(1), "{}", stderr(&ran));
}

/// Runs over a state that `spoil` has changed: exit 1, one line that has `told`, and not a byte of it is touched.
#[track_caller]
fn refused(dir: &Path, spoil: impl FnOnce(&Path), told: &[&str]) {
    let state = dir.join("spoilt");
    let _ = fs::remove_dir_all(&state);
    for (path, bytes) in contents(&dir.join("state")) {
        let path = state.join(path.strip_prefix(dir.join("state")).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    spoil(&state);
    let before = contents(&state);
    let ran = analyze(&dir.join("trail"), &dir.join("out"), &["--state", state.to_str().unwrap()]);
    assert_eq!(ran.status.code(), Some(1), "{}", stderr(&ran));
    assert_eq!(stderr(&ran).lines().count(), 1, "{}", stderr(&ran));
    for told in told {
        assert!(stderr(&ran).contains(told), "{}", stderr(&ran));
    }
    let mut after = contents(&state);
    // Who opened the state and how often is all that a run may have written.
    let (old, new) = (before.get(&state.join("manifest.json")), after.get(&state.join("manifest.json")).cloned());
    if let (Some(old), Some(new)) = (old, new)
        && *old != new
    {
        let strip = |bytes: &[u8]| {
            serde_json::from_slice::<Value>(bytes).map(|mut value| {
                value["checksum"] = Value::Null;
                value["state"]["run"] = Value::Null;
                value
            })
        };
        assert_eq!(strip(old).unwrap(), strip(&new).unwrap());
        after.insert(state.join("manifest.json"), old.clone());
    }
    assert_eq!(after, before, "nothing was overwritten");
}

#[test]
fn a_state_that_is_damaged_newer_or_none_is_refused_and_left_as_it_is() {
    let dir = scratch();
    let dir = dir.path();
    put(&dir.join("trail"), &made_trail(21, 25));
    let ran = analyze(&dir.join("trail"), &dir.join("out"), &["--state", dir.join("state").to_str().unwrap()]);
    assert_ne!(ran.status.code(), Some(1), "{}", stderr(&ran));
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let one_of = |state: &Path, table: &str| contents(&state.join(table)).into_keys().next().unwrap();
    for table in ["calls", "objects", "requests"] {
        refused(dir, |state| flip(&one_of(state, table)), &[&format!("spoilt/{table}/"), "the state is damaged: its checksum is another"]);
        refused(
            dir,
            |state| fs::remove_file(one_of(state, table)).unwrap(),
            &[&format!("spoilt/{table}/"), "the state is damaged: the file is missing"],
        );
    }
    refused(dir, |state| flip(&state.join("manifest.json")), &["manifest.json: the state is damaged"]);
    refused(
        dir,
        |state| fs::write(state.join("manifest.json"), "").unwrap(),
        &["manifest.json: the state is damaged: no manifest of a state"],
    );
    refused(
        dir,
        |state| fs::remove_file(state.join("manifest.json")).unwrap(),
        &["manifest.json: the state is damaged: there is no such file, but `calls/"],
    );
    let newer = |state: &Path| {
        let inner = r#"{"format":"packtrail-state","version":2}"#;
        let checksum: String = {
            use sha2::Digest;
            sha2::Sha256::digest(inner).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        fs::write(state.join("manifest.json"), format!(r#"{{"checksum":"{checksum}","state":{inner}}}"#)).unwrap();
    };
    refused(dir, newer, &["manifest.json: written by a newer packtrail (format 2, this one reads 1)"]);
    let foreign = |state: &Path| {
        fs::remove_dir_all(state).unwrap();
        fs::create_dir(state).unwrap();
        fs::write(state.join("thesis.tex"), "precious").unwrap();
    };
    refused(dir, foreign, &["spoilt is no state of packtrail: it holds `thesis.tex`, but no manifest.json"]);
    assert!(!dir.join("spoilt/lock").exists());
}

#[test]
fn keep_days_counts_back_from_the_end_of_the_window() {
    let dir = scratch();
    let (trail, out, state) = (dir.path().join("trail"), dir.path().join("out"), dir.path().join("state"));
    put(&trail, &organisation::sample_organisation(3));
    let until = [&["--until", "2026-10-01"][..], &UNFITTED].concat();
    let more = [&["--state", state.to_str().unwrap(), "--keep-days", "10"][..], &until].concat();
    assert_eq!(analyze(&trail, &out, &more).status.code(), Some(0));
    let made = written(&out);
    let days = || fs::read_dir(state.join("calls")).unwrap().map(|day| day.unwrap().file_name().into_string().unwrap()).min();
    assert_eq!(days().unwrap(), "day=2026-09-21");
    analyze(&trail, &out, &[&["--since", "2026-09-21"][..], &until].concat());
    let expected = written(&out);
    for table in ["events", "principals", "daily", "fixes"] {
        assert_eq!(made[table], expected[table], "{table}");
    }
    assert_eq!(analyze(&trail, &out, &more).status.code(), Some(0));
    assert_eq!(summary(&out)["state"]["files_new"], 0);
}

// Killed.

/// What the processes that are killed do: a run with a state that writes all the time.
#[test]
#[ignore = "the process that another test kills"]
fn a_run_to_be_killed() {
    let (trail, state) = (std::env::var("PACKTRAIL_TEST_TRAIL").unwrap(), std::env::var("PACKTRAIL_TEST_STATE").unwrap());
    let store = Store::disk(Path::new(&state), true).unwrap();
    let state = State::open_set(store, None, Settings { segment_rows: 30, ..small() }).unwrap();
    job(Path::new(&trail), &state, &Filter::default()).unwrap();
}

#[test]
fn after_sigkill_at_a_hundred_random_moments_the_next_run_gives_the_tables_of_an_uninterrupted_one() {
    let dir = scratch();
    let (trail, out) = (dir.path().join("trail"), dir.path().join("out"));
    let files = made_trail(31, 40);
    put(&trail, &files);
    let (base, state) = (dir.path().join("base"), dir.path().join("state"));
    let with_state = [&["--state", state.to_str().unwrap()][..], &UNFITTED].concat();
    // The state knows a third of the trail when the runs begin.
    for (name, _) in &files[13..] {
        fs::remove_file(trail.join(name)).unwrap();
    }
    analyze(&trail, &out, &[&["--state", base.to_str().unwrap()][..], &UNFITTED].concat());
    put(&trail, &files[13..]);
    analyze(&trail, &out, &UNFITTED);
    let expected = written(&out);
    let again = || {
        let _ = fs::remove_dir_all(&state);
        put(
            &state,
            &contents(&base)
                .into_iter()
                .map(|(path, bytes)| (path.strip_prefix(&base).unwrap().to_str().unwrap().to_owned(), bytes))
                .collect::<Vec<_>>(),
        );
    };
    let child = |built: bool| {
        let mut command = if built {
            let mut command = packtrail();
            command
                .arg("analyze")
                .arg(&trail)
                .arg("--out")
                .arg(dir.path().join("killed"))
                .args(&with_state)
                .args(["--quiet", "--format", "csv"]);
            command
        } else {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "a_run_to_be_killed", "--ignored", "--quiet"]);
            command
        };
        command.env("PACKTRAIL_TEST_TRAIL", &trail).env("PACKTRAIL_TEST_STATE", &state);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut lasts = [false, true].map(|built| {
        again();
        let began = Instant::now();
        assert!(child(built).wait().unwrap().code().is_some_and(|code| code == 4 || code == 0));
        began.elapsed()
    });
    let mut rng = Rng::new(32);
    let mut killed = 0;
    let mut halfway = 0;
    while killed < 100 {
        let built = rng.chance(30.0);
        again();
        let before = contents(&state);
        let mut process = child(built);
        std::thread::sleep(Duration::from_secs_f64(lasts[usize::from(built)].as_secs_f64() * rng.between(0.0, 1.05)));
        process.kill().unwrap();
        if process.wait().unwrap().code().is_some() {
            // It had ended.
            lasts[usize::from(built)] = lasts[usize::from(built)].mul_f64(0.98);
            continue;
        }
        killed += 1;
        halfway += u32::from(contents(&state) != before);
        let ran = analyze(&trail, &out, &with_state);
        assert_ne!(ran.status.code(), Some(1), "{}", stderr(&ran));
        assert_same(&written(&out), &expected, "after a kill");
        let left = contents(&state).into_keys().filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.')).count();
        assert_eq!(left, 0, "temporary files are gone");
    }
    assert!(halfway > 50, "{halfway} of 100 kills came after something was written");
}

#[test]
fn a_file_is_the_same_however_its_path_is_written_and_wherever_the_job_starts() {
    let dir = scratch();
    let (out, state) = (dir.path().join("out"), dir.path().join("state"));
    // Without event ids: such calls are told apart by their place alone.
    let log = |hour: u32| {
        let mut record = record(u64::from(hour), &mut Rng::new(u64::from(hour)));
        for id in ["eventID", "sharedEventID", "addendum"] {
            record.as_object_mut().unwrap().remove(id);
        }
        json!({ "Records": [record] }).to_string().into_bytes()
    };
    for (place, hour) in [("a", 1), ("b", 2)] {
        put(&dir.path().join(place), &[("logs/x.json".to_owned(), log(hour))]);
    }
    let absolute = dir.path().join("a/logs");
    for (place, source, calls) in
        [("a", "logs", 1), ("a", "./logs", 1), ("a", "logs/", 1), ("b", "logs", 2), ("b", absolute.to_str().unwrap(), 2)]
    {
        let mut command = packtrail();
        command.current_dir(dir.path().join(place)).args(["analyze", source, "--quiet", "--out"]).arg(&out).arg("--state").arg(&state);
        let ran = command.output().unwrap();
        assert_eq!((ran.status.code(), stderr(&ran)), (Some(0), String::new()));
        assert_eq!(summary(&out)["coverage"]["kept_calls"], calls, "{place} {source}");
    }
}

#[test]
fn what_a_job_writes_below_its_source_is_not_read_as_logs() {
    let dir = scratch();
    put(dir.path(), &made_trail(5, 10));
    let (out, state) = (dir.path().join("audit/report"), dir.path().join("audit/state"));
    for _ in 0..3 {
        analyze(dir.path(), &out, &["--state", state.to_str().unwrap()]);
        let listed = &summary(&out)["coverage"]["files_listed"];
        assert_eq!(*listed, 10);
    }
}
