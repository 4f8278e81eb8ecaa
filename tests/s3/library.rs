//! The library's own face: stores, limits of memory, what earlier runs have read. Each test runs again in a process of its own, since the SDK takes its
//! keys from the environment.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use packtrail::trail::{self, Day, Entry, LogFile, Memory, Reach, S3Options, Store, StoreError, Wanted};

use super::server::{Act, Proxy, Server};
use super::{command, key, log, moto, moto_bucket};

/// Runs the test `name` of this module again with S3 at `url`, unless this is that run.
fn child(name: &str, url: &str) {
    let mut command = command(&std::env::current_exe().unwrap(), url);
    let ran = command
        .args(["--exact", &format!("library::{name}"), "--nocapture", "--include-ignored"])
        .env("PACKTRAIL_CHILD", name)
        .output()
        .unwrap();
    assert!(
        ran.status.success() && String::from_utf8_lossy(&ran.stdout).contains("1 passed"),
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}

fn is_child(name: &str) -> bool {
    std::env::var("PACKTRAIL_CHILD").is_ok_and(|child| child == name)
}

/// What every store does.
fn contract(location: &str, in_s3: bool) {
    let store = Store::open(location, &S3Options::default(), true).unwrap();
    assert_eq!(store.get("a").unwrap().map(|(bytes, _)| bytes), None);
    assert_eq!(store.list("").unwrap(), Vec::<String>::new());
    store.put("calls/day=2026-09-15/b c+é.parquet", b"one".to_vec()).unwrap();
    store.put("calls/day=2026-09-14/a.parquet", b"two".to_vec()).unwrap();
    store.put("objects/empty", vec![]).unwrap();
    assert_eq!(store.get("calls/day=2026-09-15/b c+é.parquet").unwrap().unwrap().0, b"one");
    assert_eq!(store.get("objects/empty").unwrap().unwrap().0, b"");
    assert_eq!(store.list("").unwrap(), ["calls/day=2026-09-14/a.parquet", "calls/day=2026-09-15/b c+é.parquet", "objects/empty"]);
    assert_eq!(store.list("calls/day=2026-09-15").unwrap(), ["calls/day=2026-09-15/b c+é.parquet"]);
    store.put("calls/day=2026-09-14/a.parquet", b"three".to_vec()).unwrap();
    assert_eq!(store.get("calls/day=2026-09-14/a.parquet").unwrap().unwrap().0, b"three");
    store.delete("calls/day=2026-09-14/a.parquet").unwrap();
    store.delete("calls/day=2026-09-14/a.parquet").unwrap();
    assert_eq!(store.list("calls/day=2026-09-14").unwrap(), Vec::<String>::new());
    assert!(store.location("x/y").ends_with("x/y") && store.location("x/y").starts_with(location));

    // Whoever writes first wins.
    let lock = store.lock().unwrap();
    let tag = store.replace("manifest.json", b"1".to_vec(), None).unwrap();
    let tag = store.replace("manifest.json", b"2".to_vec(), Some(&tag)).unwrap();
    assert_eq!(store.get("manifest.json").unwrap().unwrap(), (b"2".to_vec(), tag.clone()));
    if in_s3 {
        assert!(matches!(store.replace("manifest.json", b"other".to_vec(), None), Err(StoreError::Taken { .. })));
        store.put("manifest.json", b"3".to_vec()).unwrap();
        let lost = store.replace("manifest.json", b"other".to_vec(), Some(&tag)).unwrap_err();
        assert!(matches!(&lost, StoreError::Taken { location } if location.ends_with("manifest.json")), "{lost}");
        store.delete("manifest.json").unwrap();
        assert!(matches!(store.replace("manifest.json", b"other".to_vec(), Some(&tag)), Err(StoreError::Taken { .. })));
    } else {
        let other = Store::open(location, &S3Options::default(), true).unwrap();
        assert!(matches!(other.lock(), Err(StoreError::Taken { .. })));
    }
    drop(lock);

    // Files, in one request and in parts.
    let folder = tempfile::tempdir().unwrap();
    for bytes in [0, 1000, 66 << 20] {
        let path = folder.path().join("table.parquet");
        let content: Vec<u8> = (0..bytes).map(|at: u32| u8::try_from(at % 251).unwrap()).collect();
        fs::write(&path, &content).unwrap();
        store.put_file("report/table.parquet", &path).unwrap();
        assert!(store.get("report/table.parquet").unwrap().unwrap().0 == content, "{bytes}");
    }
}

#[test]
fn a_store_on_disk_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(folder.path().join("state").to_str().unwrap(), false);
}

#[test]
fn a_store_in_s3_keeps_the_contract() {
    if is_child("a_store_in_s3_keeps_the_contract") {
        contract("s3://trail/some/state", true);
        for (location, expected) in
            [("s3://no-such-bucket/x", "s3://no-such-bucket/x: no such bucket"), ("s3://", "s3://: no bucket named")]
        {
            let error = Store::open(location, &S3Options::default(), true).unwrap_err();
            let reason = std::error::Error::source(&error).unwrap();
            assert_eq!(format!("{error}: {reason}"), expected);
        }
        return;
    }
    let server = Server::start();
    server.put("some/state-of-others/file", b"1");
    // The first of each kind of request is refused.
    let proxy = Proxy::before(&server.url, |_, before| if before == 0 { super::refusal(503, "SlowDown") } else { Act::Pass });
    child("a_store_in_s3_keeps_the_contract", &server.url);
    child("a_store_in_s3_keeps_the_contract", &{
        fs::remove_dir_all(server.bucket()).unwrap();
        server.put("some/state-of-others/file", b"1");
        proxy.url.clone()
    });
}

#[test]
#[ignore = "needs the server that .ci/run starts"]
fn a_store_in_another_implementation_keeps_the_contract() {
    if is_child("a_store_in_another_implementation_keeps_the_contract") {
        contract(&format!("s3://stores/{}", std::process::id()), true);
        return;
    }
    let url = moto();
    moto_bucket(&url, "stores", &[]);
    child("a_store_in_another_implementation_keeps_the_contract", &url);
}

/// A write whose answer is lost is sent again, and fails by its own success.
#[test]
fn a_conditional_write_whose_answer_is_lost_is_no_defeat() {
    if is_child("a_conditional_write_whose_answer_is_lost_is_no_defeat") {
        let store = Store::open("s3://trail/state", &S3Options::default(), true).unwrap();
        let tag = store.replace("manifest.json", b"mine".to_vec(), None).unwrap();
        let tag = store.replace("manifest.json", b"mine again".to_vec(), Some(&tag)).unwrap();
        assert_eq!(store.get("manifest.json").unwrap().unwrap(), (b"mine again".to_vec(), tag));
        return;
    }
    let server = Server::start();
    let proxy = Proxy::before(&server.url, |seen, before| if seen.method == "PUT" && before % 2 == 0 { Act::Lose } else { Act::Pass });
    child("a_conditional_write_whose_answer_is_lost_is_no_defeat", &proxy.url);
    assert_eq!(proxy.log().iter().filter(|seen| seen.method == "PUT").count(), 4);
}

fn read(file: &LogFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.open().unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn bytes_and_requests_in_flight_are_bounded() {
    const NAME: &str = "bytes_and_requests_in_flight_are_bounded";
    if is_child(NAME) {
        let s3 = S3Options { requests: 4, bytes: 1 << 20, ..S3Options::default() };
        let mut listing = trail::list(&["s3://trail".to_owned()], &Reach { s3, ..Reach::default() }).unwrap();
        assert_eq!(listing.ahead(), 1);
        // Nobody reads: what may be in flight comes, and no more.
        std::thread::sleep(Duration::from_secs(2));
        let mut files = 0;
        let mut large = 0;
        for entry in &mut listing {
            let Entry::File(file) = entry else { panic!("{entry:?}") };
            let bytes = read(&file);
            assert_eq!(bytes.len() as u64, file.bytes.unwrap());
            assert!(file.open().is_err(), "content is kept no longer than it is read");
            files += 1;
            large += usize::from(bytes.len() > 1 << 20);
        }
        assert_eq!((files, large), (102, 2));
        return;
    }
    let server = Server::start();
    for number in 0..100 {
        server.put(&format!("logs/{number:03}"), &vec![b' '; 64 << 10]);
    }
    server.put("logs/large-1", &vec![b' '; 5 << 20]);
    server.put("logs/large-2", &vec![b' '; 5 << 20]);
    let gets = Arc::new(AtomicUsize::new(0));
    let (counted, watched) = (Arc::clone(&gets), Arc::clone(&gets));
    let proxy = Proxy::before(&server.url, move |seen, _| {
        counted.fetch_add(usize::from(seen.is_get()), Ordering::Relaxed);
        Act::Wait(Duration::from_millis(5))
    });
    // From the first request on, for less than the child's pause.
    let watcher = std::thread::spawn(move || {
        while watched.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(1200));
        watched.load(Ordering::Relaxed)
    });
    child(NAME, &proxy.url);
    let unread = watcher.join().unwrap();
    // 1 MiB holds 15 objects of 64 KiB with what they cost besides.
    assert!((1..=15).contains(&unread), "{unread} objects were fetched before the first was read");
    assert_eq!(proxy.gets(), 102);
}

/// Remembers some files, and that folders were listed up to some day.
#[derive(Default)]
struct Known {
    files: BTreeSet<String>,
    open: Option<Day>,
    asked: Mutex<Vec<String>>,
}

impl Memory for Known {
    fn knows(&self, file: &LogFile) -> bool {
        assert!(file.stamp != 0 && file.bytes.is_some());
        self.files.contains(&file.location)
    }

    fn first_open_day(&self, folder: &str, from: Option<Day>, _: Option<Day>) -> Option<Day> {
        self.asked.lock().unwrap().push(folder.to_owned());
        match (self.open, from) {
            (Some(open), from) => Some(open.max(from.unwrap_or(open))),
            (None, Some(from)) => Some(from),
            (None, None) => Some(Day::MIN),
        }
    }
}

/// A folder and the days of it that were listed.
type Folder = (String, Option<Day>, Day);

fn listed(memory: Known, wanted: Wanted) -> (Vec<String>, Vec<Folder>, Arc<Known>) {
    let memory = Arc::new(memory);
    let reach = Reach { memory: Some(memory.clone()), wanted, ..Reach::default() };
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in trail::list(&["s3://trail".to_owned()], &reach).unwrap() {
        match entry {
            Entry::File(file) => {
                assert!(!folders.iter().any(|(folder, ..): &Folder| file.location.starts_with(folder.as_str())));
                files.push(file.location);
            }
            Entry::Listed { folder, from, through } => folders.push((folder, from, through)),
            Entry::Denied { prefix, .. } => files.push(format!("!{prefix}")),
            other => panic!("{other:?}"),
        }
    }
    files.sort();
    folders.sort();
    (files, folders, memory)
}

#[test]
fn what_was_read_before_is_left_out() {
    const NAME: &str = "what_was_read_before_is_left_out";
    let folder = |region: &str| format!("s3://trail/AWSLogs/111122223333/CloudTrail/{region}/");
    let file = |region: &str, day: &str| format!("s3://trail/{}", key("111122223333", region, day, "1200", 1));
    // 10 March 2026.
    let tenth = 20_522;
    if is_child(NAME) {
        let (files, folders, memory) = listed(Known::default(), Wanted::default());
        assert_eq!(files.len(), 2 * 5 + 1);
        let today = i32::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400).unwrap();
        assert_eq!(folders, [(folder("eu-west-1"), None, today), (folder("us-east-1"), None, today)]);
        assert_eq!(memory.asked.lock().unwrap().len(), 2);

        let known = Known { files: BTreeSet::from([file("us-east-1", "2026/03/11")]), open: Some(tenth), ..Known::default() };
        let (files, folders, _) = listed(known, Wanted::default());
        let days = |region: &str, days: &[&str]| days.iter().map(|day| file(region, day)).collect::<Vec<_>>();
        let mut expected = days("eu-west-1", &["2026/03/10", "2026/03/11", "2026/03/12"]);
        expected.extend(days("us-east-1", &["2026/03/10", "2026/03/12"]));
        expected.push("s3://trail/notes.txt".to_owned());
        assert_eq!(files, expected);
        assert_eq!(folders[0], (folder("eu-west-1"), Some(tenth), today));

        // Days are read whole where they are remembered.
        let wanted = Wanted {
            since: Some(i64::from(tenth) * 86_400 + 86_000),
            until: Some(i64::from(tenth) * 86_400 + 86_001),
            ..Wanted::default()
        };
        let (files, folders, _) = listed(Known::default(), wanted);
        assert_eq!(files.len(), 2 * 2 + 1);
        assert_eq!(folders[0], (folder("eu-west-1"), Some(tenth), tenth + 1));
        return;
    }
    let server = Server::start();
    for region in ["eu-west-1", "us-east-1"] {
        for day in 8..=12 {
            let bytes = log(day, "2026-03-08T00:00:00Z", "111122223333", region);
            server.put(&key("111122223333", region, &format!("2026/03/{day:02}"), "1200", 1), &bytes);
        }
    }
    server.put("notes.txt", b"x");
    child(NAME, &server.url);
}

#[test]
fn a_folder_that_was_not_listed_to_its_end_is_not_said_to_be() {
    const NAME: &str = "a_folder_that_was_not_listed_to_its_end_is_not_said_to_be";
    if is_child(NAME) {
        let (files, folders, _) = listed(Known::default(), Wanted::default());
        assert_eq!(files, ["!s3://trail/AWSLogs/111122223333/CloudTrail/us-east-1/"]);
        assert_eq!(folders, []);
        return;
    }
    let server = Server::start();
    server.put(&key("111122223333", "us-east-1", "2026/03/01", "1200", 1), b"x");
    let proxy =
        Proxy::before(
            &server.url,
            |seen, _| {
                if seen.prefix().ends_with("us-east-1/") { super::refusal(403, "AccessDenied") } else { Act::Pass }
            },
        );
    child(NAME, &proxy.url);
    assert!(Path::new(&server.bucket()).exists());
}
