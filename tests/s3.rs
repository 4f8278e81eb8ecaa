//! Sources and stores in S3 against disk: a server in process that checks signatures, a proxy before it that misbehaves, and the endpoint in
//! `PACKTRAIL_TEST_S3` (a moto server) for the tests that are ignored where nobody starts one, as `.ci/run` does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "s3/library.rs"]
mod library;
#[path = "s3/server.rs"]
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;
use server::{ACCESS_KEY, Act, Proxy, SECRET_KEY, Seen, Server, escape, plain, put, refusal, tree};

const TABLES: [&str; 4] = ["events", "principals", "daily", "fixes"];
const REGION_FOLDER: &str = "AWSLogs/o-exampleorg/777788889999/CloudTrail/eu-west-1";

/// A command with nothing of AWS in its environment but keys and the endpoint.
fn command(program: &Path, url: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("AWS_") || text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
    command
}

/// What a run came to.
struct Ran {
    code: i32,
    stderr: String,
    out: tempfile::TempDir,
}

impl Ran {
    /// By the built-in figures: a fit to the calls would take most of the time, and depends on what was read, not on where it lay.
    fn of(command: Command, sources: &[&str], more: &[&str]) -> Ran {
        Ran::fitted(command, sources, &[more, &["--profile", "none"]].concat())
    }

    fn fitted(mut command: Command, sources: &[&str], more: &[&str]) -> Ran {
        let out = tempfile::tempdir().unwrap();
        let directory = out.path().join("out");
        let Output { status, stderr, .. } =
            command.arg("analyze").args(sources).arg("--out").arg(&directory).args(["--format", "csv"]).args(more).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(!stderr.contains(SECRET_KEY) && !stderr.contains(ACCESS_KEY), "{stderr}");
        Ran { code: status.code().unwrap(), stderr, out }
    }

    fn path(&self) -> PathBuf {
        self.out.path().join("out")
    }

    fn table(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(format!("{name}.csv"))).unwrap()
    }

    fn coverage(&self) -> Value {
        let summary: Value = serde_json::from_str(&fs::read_to_string(self.path().join("summary.json")).unwrap()).unwrap();
        summary["coverage"].clone()
    }

    fn unreadable(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let coverage = self.coverage();
        coverage["unreadable"].as_array().unwrap().iter().map(|one| (text(&one["location"]), text(&one["reason"]))).collect()
    }

    /// Failed with one line, which is given, and left no report.
    fn failed(&self) -> String {
        assert_eq!((self.code, self.stderr.lines().count()), (1, 1), "{}", self.stderr);
        assert!(!self.path().join("summary.json").exists());
        self.stderr.trim_end().to_owned()
    }
}

fn packtrail(url: &str, sources: &[&str], more: &[&str]) -> Ran {
    Ran::of(command(Path::new(env!("CARGO_BIN_EXE_packtrail")), url), sources, more)
}

/// Says that a run over S3 gave what one over the same files on disk gives, but for the names of places.
fn same(s3: &Ran, disk: &Ran, s3_name: &str, disk_name: &str) {
    assert_eq!(s3.code, disk.code, "{}", s3.stderr);
    for table in TABLES {
        let renamed = s3.table(table).replace(s3_name, disk_name);
        let on_disk = disk.table(table);
        if let Some((s3, disk)) = renamed.lines().zip(on_disk.lines()).find(|(s3, disk)| s3 != disk) {
            panic!("{table}:\n{s3}\n{disk}");
        }
        assert_eq!(renamed.len(), on_disk.len(), "{table}");
    }
    // Folders without management events are left out in S3 and counted on disk.
    let (mut in_s3, mut on_disk) = (s3.coverage(), disk.coverage());
    for coverage in [&mut in_s3, &mut on_disk] {
        let digests = coverage["skipped"].as_object_mut().unwrap().remove("digest").map_or(0, |count| count.as_u64().unwrap());
        for count in ["files_listed", "files_skipped"] {
            coverage[count] = (coverage[count].as_u64().unwrap() - digests).into();
        }
    }
    assert_eq!(in_s3.to_string().replace(s3_name, disk_name), on_disk.to_string());
}

fn disk(source: &Path, more: &[&str]) -> Ran {
    packtrail("http://127.0.0.1:9", &[source.to_str().unwrap()], more)
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

/// The keys of the samples' log files.
fn logs() -> Vec<String> {
    tree(&samples()).into_iter().map(|(key, _)| key).filter(|key| !key.contains("Digest")).collect()
}

/// A server with the samples in bucket `trail`.
fn with_samples() -> Server {
    let server = Server::start();
    server.put_all(&samples());
    server
}

/// A log file with one call.
fn log(id: u32, time: &str, account: &str, region: &str) -> Vec<u8> {
    let call = serde_json::json!({
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": format!("arn:aws:iam::{account}:user/u"), "accountId": account},
        "eventTime": time,
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "awsRegion": region,
        "requestParameters": {"roleArn": format!("arn:aws:iam::{account}:role/r"), "roleSessionName": "s"},
        "responseElements": {"packedPolicySize": 5, "credentials": {"sessionToken": "x".repeat(300)}},
        "eventID": format!("00000000-0000-0000-0000-{id:012}"),
        "eventType": "AwsApiCall",
        "recipientAccountId": account,
    });
    serde_json::json!({ "Records": [call] }).to_string().into_bytes()
}

/// The key of a delivery.
fn key(account: &str, region: &str, day: &str, minute: &str, number: usize) -> String {
    let compact = day.replace('/', "");
    format!("AWSLogs/{account}/CloudTrail/{region}/{day}/{account}_CloudTrail_{region}_{compact}T{minute}Z_{number:016}.json.gz")
}

#[test]
fn tables_from_s3_equal_those_from_disk() {
    let server = with_samples();
    let fitted = |url: &str, source: &str| Ran::fitted(command(Path::new(env!("CARGO_BIN_EXE_packtrail")), url), &[source], &[]);
    let on_disk = fitted("http://127.0.0.1:9", samples().to_str().unwrap());
    let root = format!("{}/", samples().display());
    same(&fitted(&server.url, "s3://trail"), &on_disk, "s3://trail/", &root);
    let slow = Proxy::before(&server.url, |_, _| Act::Wait(Duration::from_millis(30)));
    same(&fitted(&slow.url, "s3://trail/"), &on_disk, "s3://trail/", &root);
    // Each object is asked for once.
    assert_eq!(slow.gets(), logs().len());
}

#[test]
fn filters_change_no_row_that_they_keep() {
    let server = with_samples();
    let root = format!("{}/", samples().display());
    for filters in [vec!["--since", "2026-08-01"], vec!["--region", "us-east-1", "--since", "2026-08-10T12:00:00Z"]] {
        let (s3, disk) = (packtrail(&server.url, &["s3://trail"], &filters), disk(&samples(), &filters));
        for table in TABLES {
            assert_eq!(s3.table(table).replace("s3://trail/", &root), disk.table(table), "{filters:?}");
        }
        let listed = |ran: &Ran| ran.coverage()["files_listed"].as_u64().unwrap();
        assert!(listed(&s3) < listed(&disk), "{filters:?}");
    }
    // Of accounts only the logs are read; on disk those of others are looked at too, for copies of the same calls that know more.
    let s3 = packtrail(&server.url, &["s3://trail"], &["--account", "444455556666"]);
    let disk = disk(&samples().join("AWSLogs/o-exampleorg/444455556666"), &[]);
    for table in TABLES {
        assert_eq!(s3.table(table).replace("s3://trail/", &root), disk.table(table));
    }
}

#[test]
fn a_source_is_any_level_of_the_layout() {
    let server = Server::start();
    for (key, bytes) in tree(&samples()) {
        server.put(&format!("some/team/{key}"), &bytes);
    }
    let copy = server.bucket();
    let object = tree(&copy).iter().find(|(key, _)| key.contains(REGION_FOLDER)).unwrap().0.clone();
    let region = format!("some/team/{REGION_FOLDER}");
    for level in [
        "",
        "some",
        "some/team/",
        "some/team/AWSLogs",
        "some/team/AWSLogs/o-exampleorg/",
        "some/team/AWSLogs/o-exampleorg/777788889999",
        "some/team/AWSLogs/o-exampleorg/777788889999/CloudTrail",
        &region,
        &format!("{region}/2026"),
        &format!("{region}/2026/08/"),
        &format!("{region}/2026/08/20"),
        &object,
    ] {
        let s3 = packtrail(&server.url, &[&format!("s3://trail/{level}")], &[]);
        same(&s3, &disk(&copy.join(level), &[]), "s3://trail/", &format!("{}/", copy.display()));
    }
    // A part of a name is no source.
    for nothing in ["some/team/AWSLogs/o-ex", "other", "some/team/AWSLogs/o-exampleorg/777788889999/CloudTrail/eu-west-1/2027/"] {
        let ran = packtrail(&server.url, &[&format!("s3://trail/{nothing}")], &[]);
        assert_eq!(ran.code, 3, "{nothing}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("packtrail: no log file found in `s3://trail/"), "{}", ran.stderr);
    }
}

#[test]
fn overlapping_sources_give_each_file_once() {
    let server = with_samples();
    let object = logs()[7].clone();
    let object = format!("s3://trail/{object}");
    let region = format!("s3://trail/{REGION_FOLDER}/");
    let ran = packtrail(&server.url, &[&region, "s3://trail", &object, "s3://trail/AWSLogs"], &[]);
    same(&ran, &disk(&samples(), &[]), "s3://trail/", &format!("{}/", samples().display()));
    // On disk and in S3 at once the calls are the same ones.
    let both = packtrail(&server.url, &["samples", "s3://trail"], &[]);
    assert_eq!(both.coverage()["files_read"].as_u64().unwrap() as usize, 2 * logs().len());
    assert_eq!(both.table("daily"), ran.table("daily"));
}

/// A trail of 3 accounts in 2 regions with 2 files a day; digests beside it.
fn trail(server: &Server, days: impl Iterator<Item = u32>) {
    let mut id = 0;
    for day in days {
        let day = format!("2026/{:02}/{:02}", 1 + day / 28, 1 + day % 28);
        for account in ["111122223333", "444455556666", "777788889999"] {
            for region in ["eu-west-1", "us-east-1"] {
                for file in 0..2 {
                    id += 1;
                    let time = format!("{}T11:00:00Z", day.replace('/', "-"));
                    server.put(&key(account, region, &day, "1200", file), &log(id, &time, account, region));
                }
                server.put(&format!("AWSLogs/{account}/CloudTrail-Digest/{region}/{day}/digest.json.gz"), b"{}");
            }
        }
    }
}

#[test]
fn the_number_of_list_requests_depends_on_the_window_alone() {
    let window = ["--since", "2026-03-10", "--until", "2026-03-12"];
    let mut counts = Vec::new();
    for days in [60..80, 20..140] {
        let server = Server::start();
        trail(&server, days);
        let proxy = Proxy::before(&server.url, |_, _| Act::Pass);
        let ran = packtrail(&proxy.url, &["s3://trail"], &window);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        // 9 to 13 March are listed, by name 9 March 23:00 to 13 March 00:05: of 10, 11, 12 March two files in six regions' folders.
        assert_eq!(proxy.gets(), 3 * 6 * 2);
        assert!(proxy.log().iter().all(|seen| !seen.prefix().contains("Digest")));
        counts.push(proxy.lists());

        // One account, one region.
        let proxy = Proxy::before(&server.url, |_, _| Act::Pass);
        let more = [&window[..], &["--account", "111122223333", "--region", "us-east-1"]].concat();
        assert_eq!(packtrail(&proxy.url, &["s3://trail"], &more).code, 0);
        assert_eq!((proxy.lists(), proxy.gets()), (1 + 2 + 1 + 1, 3 * 2));
    }
    // What the source is; the bucket and AWSLogs; each account; each region's folder.
    assert_eq!(counts, [1 + 2 + 3 + 3 * 2; 2]);
}

#[test]
fn a_folder_is_listed_a_thousand_keys_a_request() {
    let server = Server::start();
    for day in ["2026/03/08", "2026/03/10", "2026/03/20"] {
        for file in 0..1100 {
            server.put(&key("111122223333", "us-east-1", day, "1200", file), b"{\"Records\":[]}");
        }
    }
    let proxy = Proxy::before(&server.url, |_, _| Act::Pass);
    let folder = "s3://trail/AWSLogs/111122223333/CloudTrail/us-east-1/";
    let ran = packtrail(&proxy.url, &[folder], &["--since", "2026-03-10", "--until", "2026-03-12"]);
    assert_eq!((ran.code, proxy.gets()), (0, 1100), "{}", ran.stderr);
    assert_eq!(proxy.lists(), 1 + 2);
}

#[test]
fn keys_may_hold_any_characters() {
    let server = Server::start();
    let names = [
        "a b",
        "a+b",
        "a%20b",
        "100%",
        "é",
        "e\u{301}",
        "日本",
        "#1",
        "a?b",
        "a&b=c",
        "a=b",
        "~!@$'()*,;:",
        "a\\b",
        "\"quoted\"",
        "<x>",
        "..a",
        ".hidden",
        "a|b^c`d{e}[f]",
    ];
    for (at, name) in names.iter().enumerate() {
        let id = u32::try_from(at).unwrap();
        server.put(&format!("odd {name}/{name}.json"), &log(id, "2026-03-01T00:00:00Z", "111122223333", "us-east-1"));
    }
    let ran = packtrail(&server.url, &["s3://trail"], &[]);
    same(&ran, &disk(&server.bucket(), &[]), "s3://trail/", &format!("{}/", server.bucket().display()));
    for name in names {
        let one = packtrail(&server.url, &[&format!("s3://trail/odd {name}/{name}.json")], &[]);
        assert_eq!((one.code, one.coverage()["files_read"].as_u64()), (0, Some(1)), "{name}: {}", one.stderr);
        let folder = packtrail(&server.url, &[&format!("s3://trail/odd {name}")], &[]);
        assert_eq!((folder.code, folder.coverage()["files_read"].as_u64()), (0, Some(1)), "{name}: {}", folder.stderr);
    }
}

#[test]
fn what_is_no_log_is_skipped_or_named_as_on_disk() {
    let server = Server::start();
    let good = log(1, "2026-03-01T00:00:00Z", "111122223333", "us-east-1");
    server.put(&key("111122223333", "us-east-1", "2026/03/01", "0005", 1), &good);
    server.put("readme.txt", b"not a log\n");
    server.put("empty.json.gz", b"");
    server.put("cut.json", &good[..good.len() - 20]);
    server.put("damaged.json.gz", b"\x1f\x8b\x08\x00rubbish rubbish rubbish");
    let root = format!("{}/", server.bucket().display());
    let ran = packtrail(&server.url, &["s3://trail"], &[]);
    assert_eq!(ran.code, 4);
    same(&ran, &disk(&server.bucket(), &[]), "s3://trail/", &root);
    // Named ones are unreadable.
    let ran = packtrail(&server.url, &["s3://trail/readme.txt", "s3://trail/empty.json.gz"], &[]);
    assert_eq!(ran.code, 4);
    assert!(ran.unreadable().iter().all(|(_, reason)| reason == "no CloudTrail log"), "{:?}", ran.unreadable());
    assert_eq!(ran.unreadable().len(), 2);
}

#[test]
fn markers_of_folders_are_no_files() {
    let server = with_samples();
    let proxy = Proxy::before(&server.url, |seen, _| {
        if seen.is_list() && seen.uri.query().unwrap().contains("prefix=AWSLogs%2Fo-exampleorg%2F&") {
            return Act::Edit(|text| {
                let marker = "<Contents><Key>AWSLogs/o-exampleorg/</Key><Size>0</Size></Contents><IsTruncated>";
                text.replacen("<IsTruncated>", marker, 1)
            });
        }
        Act::Pass
    });
    let ran = packtrail(&proxy.url, &["s3://trail"], &[]);
    same(&ran, &disk(&samples(), &[]), "s3://trail/", &format!("{}/", samples().display()));
    assert!(proxy.log().iter().all(|seen| !seen.is_get() || !seen.key().ends_with('/')));
}

#[test]
fn keys_listed_twice_are_read_once() {
    let server = with_samples();
    let proxy = Proxy::before(&server.url, |seen, _| {
        if !seen.is_list() {
            return Act::Pass;
        }
        Act::Edit(|text| {
            let Some(start) = text.find("<Contents>") else { return text };
            let end = text.rfind("</Contents>").unwrap() + "</Contents>".len();
            format!("{}{}{}", &text[..end], &text[start..end], &text[end..])
        })
    });
    let ran = packtrail(&proxy.url, &["s3://trail"], &[]);
    same(&ran, &disk(&samples(), &[]), "s3://trail/", &format!("{}/", samples().display()));
    assert_eq!(proxy.gets(), logs().len());
}

/// Runs over the samples behind a proxy that does `act` to the first request for everything; the tables are as from disk.
fn survives(act: impl Fn(&Seen) -> Act + Send + Sync + 'static) {
    let server = with_samples();
    let proxy = Proxy::before(&server.url, move |seen, before| if before == 0 { act(seen) } else { Act::Pass });
    let ran = packtrail(&proxy.url, &["s3://trail"], &[]);
    same(&ran, &disk(&samples(), &[]), "s3://trail/", &format!("{}/", samples().display()));
    assert!(proxy.log().len() > logs().len() * 2, "something was asked for twice");
}

#[test]
fn throttling_is_waited_out() {
    survives(|_| refusal(503, "SlowDown"));
}

#[test]
fn errors_of_the_server_are_tried_again() {
    survives(|_| refusal(500, "InternalError"));
}

#[test]
fn resets_are_tried_again() {
    survives(|_| Act::Reset);
}

#[test]
fn silence_is_not_waited_for() {
    let server = with_samples();
    let silent = logs().swap_remove(0);
    let key = silent.clone();
    let proxy = Proxy::before(
        &server.url,
        move |seen, before| {
            if seen.key() == key && before == 0 { Act::Wait(Duration::from_secs(120)) } else { Act::Pass }
        },
    );
    let began = Instant::now();
    let ran = packtrail(&proxy.url, &["s3://trail"], &[]);
    assert_eq!((ran.code, proxy.log().iter().filter(|seen| seen.key() == silent).count()), (0, 2), "{}", ran.stderr);
    // Asked again after 30 s without a byte, long before the answer.
    assert!(began.elapsed() < Duration::from_secs(110));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_run_that_waits_for_s3_and_leaves_no_report() {
    let server = with_samples();
    let proxy = Proxy::before(&server.url, |seen, _| if seen.is_list() { Act::Pass } else { Act::Wait(Duration::from_secs(120)) });
    let out = tempfile::tempdir().unwrap();
    let mut command = command(Path::new(env!("CARGO_BIN_EXE_packtrail")), &proxy.url);
    let mut run = command.args(["analyze", "s3://trail", "--quiet", "--out"]).arg(out.path()).spawn().unwrap();
    let began = Instant::now();
    while proxy.gets() == 0 && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(100), "long before an answer");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn no_more_than_32_requests_are_in_flight() {
    const ANSWER: Duration = Duration::from_millis(300);
    let server = with_samples();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let times = std::sync::Arc::clone(&asked);
    let proxy = Proxy::before(&server.url, move |_, _| {
        times.lock().unwrap().push(Instant::now());
        Act::Wait(ANSWER)
    });
    assert_eq!(packtrail(&proxy.url, &["s3://trail"], &[]).code, 0);
    let asked = asked.lock().unwrap();
    // Each takes at least so long: what was asked within that time was in flight together.
    let most = asked.iter().map(|from| asked.iter().filter(|at| (*from..*from + ANSWER).contains(*at)).count()).max();
    assert!(most.is_some_and(|most| (17..=32).contains(&most)), "{most:?}");
}

#[test]
fn a_body_that_breaks_off_is_continued() {
    survives(|seen| if seen.is_get() { Act::Cut(700) } else { Act::Cut(100) });
    survives(|seen| if seen.is_get() { Act::Cut(0) } else { Act::Pass });
}

#[test]
fn a_short_body_is_noticed_by_its_length_and_continued() {
    survives(|seen| if seen.is_get() { Act::Shorten(700) } else { Act::Pass });
}

#[test]
fn a_large_object_that_breaks_off_again_and_again_is_read_whole() {
    let server = Server::start();
    let mut text = Vec::new();
    for id in 0..16_000 {
        let one: Value = serde_json::from_slice(&log(id, "2026-03-01T00:00:00Z", "111122223333", "us-east-1")).unwrap();
        text.extend_from_slice(one["Records"][0].to_string().as_bytes());
        text.push(b'\n');
    }
    assert!(text.len() > 12 << 20, "{}", text.len());
    server.put("large.ndjson", &text);
    // The range differs each time, and so each request is the first of its kind; the rest of it is shorter.
    let proxy = Proxy::before(&server.url, |seen, _| {
        let from = seen
            .headers
            .get("range")
            .map_or(0, |range| range.to_str().unwrap().trim_start_matches("bytes=").trim_end_matches('-').parse::<u64>().unwrap());
        if seen.is_get() && from < 10 << 20 { Act::Cut(3_000_000) } else { Act::Pass }
    });
    let ran = packtrail(&proxy.url, &["s3://trail"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    same(&ran, &disk(&server.bucket(), &[]), "s3://trail/", &format!("{}/", server.bucket().display()));
    assert_eq!(ran.coverage()["records"].as_u64(), Some(16_000));
    assert!(proxy.gets() >= 4);
}

#[test]
fn what_never_comes_whole_is_unreadable_and_the_rest_is_read() {
    let server = with_samples();
    let keys = logs();
    let (vanished, denied, archived, short, broken) =
        (keys[3].clone(), keys[8].clone(), keys[13].clone(), keys[21].clone(), keys[34].clone());
    let names = [vanished.clone(), denied.clone(), archived.clone(), short.clone(), broken.clone()];
    let proxy = Proxy::before(&server.url, move |seen, _| match seen.key() {
        key if !seen.is_get() => {
            let _ = key;
            Act::Pass
        }
        key if key == names[0] => refusal(404, "NoSuchKey"),
        key if key == names[1] => refusal(403, "AccessDenied"),
        key if key == names[2] => Act::Answer(
            403,
            vec![],
            "<Error><Code>InvalidObjectState</Code><Message>m</Message><StorageClass>GLACIER</StorageClass></Error>".to_owned(),
        ),
        key if key == names[3] => Act::Shorten(10),
        key if key == names[4] => refusal(500, "InternalError"),
        _ => Act::Pass,
    });
    let mut command = command(Path::new(env!("CARGO_BIN_EXE_packtrail")), &proxy.url);
    command.env("AWS_MAX_ATTEMPTS", "2");
    let ran = Ran::of(command, &["s3://trail"], &[]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let unreadable = ran.unreadable();
    let reason = |key: &str| &unreadable.iter().find(|(location, _)| *location == format!("s3://trail/{key}")).unwrap().1;
    assert_eq!(reason(&vanished), "vanished since it was listed");
    assert_eq!(reason(&denied), "access denied, s3:GetObject (and kms:Decrypt, where the object is encrypted with a key of KMS) is needed");
    assert_eq!(reason(&archived), "archived in GLACIER, restore it first");
    assert!(reason(&short).starts_with("body ends after "), "{}", reason(&short));
    assert_eq!(reason(&broken), "S3 answers 500 InternalError again and again");
    let coverage = ran.coverage();
    assert_eq!(unreadable.len(), 5);
    assert_eq!(coverage["files_read"].as_u64().unwrap() as usize, keys.len() - 5);
    assert_eq!(coverage["files_listed"].as_u64().unwrap() as usize, keys.len());
    assert_eq!(ran.stderr.lines().count(), 5);
}

#[test]
fn a_huge_object_that_is_no_log_is_not_downloaded() {
    let server = with_samples();
    let huge = fs::File::create(server.bucket().join("AWSLogs/huge.bin")).unwrap();
    huge.set_len(5 << 30).unwrap();
    let proxy = Proxy::before(
        &server.url,
        |seen, _| if seen.is_get() && seen.key().ends_with("huge.bin") { Act::Zeros(5 << 30) } else { Act::Pass },
    );
    let ran = packtrail(&proxy.url, &["s3://trail"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.coverage()["skipped"]["no_log"].as_u64(), Some(1));
    let sent = proxy.sent.load(Ordering::Relaxed);
    assert!(sent < 16 << 20, "{sent} bytes were sent");
}

#[test]
fn a_denied_folder_is_named_and_the_rest_is_read() {
    let server = with_samples();
    let proxy = Proxy::before(
        &server.url,
        |seen, _| if seen.prefix().contains("/444455556666/") { refusal(403, "AccessDenied") } else { Act::Pass },
    );
    let ran = packtrail(&proxy.url, &["s3://trail"], &[]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let denied = &ran.coverage()["denied"];
    assert_eq!(
        *denied,
        serde_json::json!([{
            "prefix": "s3://trail/AWSLogs/o-exampleorg/444455556666/CloudTrail/",
            "reason": "access denied, s3:ListBucket is needed",
        }])
    );
    assert_eq!(ran.stderr, "packtrail: s3://trail/AWSLogs/o-exampleorg/444455556666/CloudTrail/: access denied, s3:ListBucket is needed\n");
    // Where nothing else was read there is nothing to report.
    let proxy = Proxy::before(&server.url, |seen, _| if seen.is_list() { refusal(403, "AccessDenied") } else { Act::Pass });
    let ran = packtrail(&proxy.url, &["s3://trail"], &[]);
    assert_eq!(ran.failed(), "packtrail: s3://trail/: access denied, s3:ListBucket is needed");
    // Who may not list may read what is named.
    let object = logs()[7].clone();
    let ran = packtrail(&proxy.url, &[&format!("s3://trail/{object}")], &[]);
    assert_eq!((ran.code, ran.coverage()["files_read"].as_u64()), (0, Some(1)), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_reached_is_told_in_one_line() {
    let server = with_samples();
    let program = Path::new(env!("CARGO_BIN_EXE_packtrail"));
    let changed = |changes: &[(&str, Option<&str>)], more: &[&str]| {
        let mut command = command(program, &server.url);
        for (name, value) in changes {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ran::of(command, &["s3://trail/AWSLogs/"], more).failed()
    };
    let wrong = changed(&[("AWS_SECRET_ACCESS_KEY", Some("wrong-wrong-wrong"))], &[]);
    assert_eq!(wrong, "packtrail: s3://trail/AWSLogs/: wrong secret access key for this access key");
    let unknown = changed(&[("AWS_ACCESS_KEY_ID", Some("AKIAUNKNOWN"))], &[]);
    assert!(unknown.starts_with("packtrail: s3://trail/AWSLogs/: ") && !unknown.contains("AKIAUNKNOWN"), "{unknown}");

    let begun = Instant::now();
    let none = changed(&[("AWS_ACCESS_KEY_ID", None), ("AWS_SECRET_ACCESS_KEY", None)], &[]);
    assert_eq!(
        none,
        "packtrail: s3://trail/AWSLogs/: no credentials found: neither in AWS_* variables nor in a profile, nor from this machine's role"
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
    let profile = changed(&[("AWS_ACCESS_KEY_ID", None), ("AWS_SECRET_ACCESS_KEY", None)], &["--profile-name", "audit"]);
    assert!(profile.starts_with("packtrail: s3://trail/AWSLogs/: ") && profile.contains("audit"), "{profile}");

    let closed = changed(&[("AWS_ENDPOINT_URL", Some("http://127.0.0.1:1")), ("AWS_MAX_ATTEMPTS", Some("1"))], &[]);
    assert!(closed.starts_with("packtrail: s3://trail/AWSLogs/: cannot reach S3: ") && closed.contains("refused"), "{closed}");

    let bucket = packtrail(&server.url, &["s3://no-such-bucket/AWSLogs"], &[]);
    assert_eq!(bucket.failed(), "packtrail: s3://no-such-bucket/AWSLogs: no such bucket");
    for code in ["ExpiredToken", "InvalidAccessKeyId", "RequestTimeTooSkewed"] {
        let proxy = Proxy::before(&server.url, move |_, _| refusal(if code == "ExpiredToken" { 400 } else { 403 }, code));
        let line = packtrail(&proxy.url, &["s3://trail"], &[]).failed();
        assert!(line.starts_with("packtrail: s3://trail: "), "{line}");
    }
}

#[test]
fn keys_of_a_profile_are_used() {
    let server = with_samples();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let url = &server.url;
    // The endpoint of S3 alone, as AWS_ENDPOINT_URL_S3 is too.
    let text = format!(
        "[profile audit]\nregion = eu-west-1\nservices = own\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n[services own]\ns3 =\n  endpoint_url = {url}\n"
    );
    fs::write(&path, text).unwrap();
    let mut from_profile = command(Path::new(env!("CARGO_BIN_EXE_packtrail")), url);
    from_profile
        .env_remove("AWS_ENDPOINT_URL")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_CONFIG_FILE", &path);
    let ran = Ran::of(from_profile, &["s3://trail"], &["--profile-name", "audit"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);

    let mut for_s3 = command(Path::new(env!("CARGO_BIN_EXE_packtrail")), url);
    for_s3.env_remove("AWS_ENDPOINT_URL").env("AWS_ENDPOINT_URL_S3", url);
    let ran = Ran::of(for_s3, &["s3://trail"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn the_bucket_is_followed_to_its_region() {
    let server = with_samples();
    let elsewhere = |seen: &Seen| !seen.headers["authorization"].to_str().unwrap().contains("/eu-central-1/s3/");
    let header = Proxy::before(&server.url, move |seen, _| {
        if elsewhere(seen) {
            let region = vec![("x-amz-bucket-region", "eu-central-1".to_owned())];
            return Act::Answer(301, region, "<Error><Code>PermanentRedirect</Code><Message>m</Message></Error>".to_owned());
        }
        Act::Pass
    });
    let body = Proxy::before(&server.url, move |seen, _| {
        if elsewhere(seen) {
            let text = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-central-1</Region></Error>";
            return Act::Answer(400, vec![], text.to_owned());
        }
        Act::Pass
    });
    for proxy in [header, body] {
        let ran = packtrail(&proxy.url, &["s3://trail"], &[]);
        same(&ran, &disk(&samples(), &[]), "s3://trail/", &format!("{}/", samples().display()));
        assert_eq!(proxy.log().iter().filter(|seen| elsewhere(seen)).count(), 1);
    }
}

#[test]
fn requester_pays_and_path_style_reach_every_request() {
    let server = with_samples();
    for (more, payer) in [(&["--request-payer"][..], true), (&["--request-payer=requester"], true), (&[], false)] {
        let proxy = Proxy::before(&server.url, |_, _| Act::Pass);
        let ran = packtrail(&proxy.url, &["s3://trail"], more);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        for seen in proxy.log() {
            assert_eq!(seen.headers.get("x-amz-request-payer").is_some_and(|value| value == "requester"), payer);
            assert!(seen.uri.path().starts_with("/trail/"), "{}", seen.uri);
        }
    }
}

#[test]
fn a_role_is_assumed_for_sources() {
    let server = with_samples();
    let role = "arn:aws:iam::111122223333:role/audit";
    let sts = |seen: &Seen| seen.method == "POST" && seen.uri.path() == "/";
    let proxy = Proxy::before(&server.url, move |seen, _| {
        if sts(seen) {
            let text = format!(
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser>\
                 <Arn>arn:aws:sts::111122223333:assumed-role/audit/packtrail</Arn>\
                 <AssumedRoleId>AROAEXAMPLE:packtrail</AssumedRoleId></AssumedRoleUser><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId>\
                 <SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>of-the-role</SessionToken>\
                 <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
            );
            return Act::Answer(200, vec![("content-type", "text/xml".to_owned())], text);
        }
        Act::Pass
    });
    let ran = packtrail(&proxy.url, &["s3://trail"], &["--role-arn", role]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (asked, rest): (Vec<Seen>, Vec<Seen>) = proxy.log().into_iter().partition(sts);
    assert_eq!(asked.len(), 1);
    assert!(rest.iter().all(|seen| seen.headers["x-amz-security-token"] == "of-the-role"));

    let refusing = Proxy::before(&server.url, move |seen, _| {
        if sts(seen) {
            let text = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: \
                        arn:aws:sts::111122223333:assumed-role/x/secret-session is not authorized</Message></Error></ErrorResponse>";
            return Act::Answer(403, vec![], text.to_owned());
        }
        Act::Pass
    });
    let line = packtrail(&refusing.url, &["s3://trail"], &["--role-arn", role]).failed();
    assert_eq!(line, "packtrail: s3://trail: cannot get credentials: AccessDenied");
}

/// Day by day with source, state and report in one bucket, against a run over everything without a state.
fn nightly(url: &str, bucket: &str, put: &dyn Fn(&str, &[u8])) {
    let today = chrono::Utc::now().date_naive();
    let mut number = 0;
    let mut deliver = |ago: u64, account: &str| {
        let day = today - chrono::Days::new(ago);
        number += 1;
        let key = key(account, "us-east-1", &day.format("%Y/%m/%d").to_string(), "1200", number);
        put(&key, &log(u32::try_from(number).unwrap(), &format!("{day}T11:00:00Z"), account, "us-east-1"));
    };
    let source = format!("s3://{bucket}/AWSLogs");
    let state = format!("s3://{bucket}/audit/state");
    for run in 0..3 {
        match run {
            0 => (1..9).for_each(|ago| ["111122223333", "444455556666"].iter().for_each(|account| deliver(ago, account))),
            // Today's, one that comes late, and a new account.
            1 => [(0, "111122223333"), (2, "444455556666"), (8, "777788889999")].iter().for_each(|&(ago, account)| deliver(ago, account)),
            _ => {}
        }
        let remembered = packtrail(url, &[&source], &["--state", &state]);
        let whole = packtrail(url, &[&source], &[]);
        assert_eq!((remembered.code, whole.code), (0, 0), "{}{}", remembered.stderr, whole.stderr);
        for table in TABLES {
            assert_eq!(remembered.table(table), whole.table(table), "run {run}");
        }
        assert_eq!(remembered.coverage(), whole.coverage(), "run {run}");
        let summary: Value = serde_json::from_slice(&fs::read(remembered.path().join("summary.json")).unwrap()).unwrap();
        let counts = [&summary["state"]["files_new"], &summary["state"]["files_known"]].map(|count| count.as_u64().unwrap());
        assert_eq!(counts, [[16, 0], [3, 16], [0, 19]][run]);
    }
}

#[test]
fn a_nightly_job_in_s3_reports_as_one_run_over_everything() {
    let server = Server::start();
    nightly(&server.url, "trail", &|key, bytes| server.put(key, bytes));
}

#[test]
fn a_nightly_job_outlasts_what_servers_do() {
    let server = Server::start();
    // Of each kind of request the first one for a key is refused, or its body breaks off.
    let proxy = Proxy::before(&server.url, |seen, before| match before {
        0 if seen.is_get() && !seen.is_list() => Act::Cut(10),
        0 => refusal(503, "SlowDown"),
        _ => Act::Pass,
    });
    nightly(&proxy.url, "trail", &|key, bytes| server.put(key, bytes));
}

#[test]
fn of_two_runs_on_one_state_in_s3_the_one_that_is_overtaken_says_so() {
    let server = with_samples();
    let state = ["--state", "s3://trail/audit/state"];
    let source = ["s3://trail/AWSLogs"];
    // Answers so slowly that the other run begins and ends meanwhile.
    let slow =
        Proxy::before(&server.url, |seen, _| if seen.key().contains("AWSLogs") { Act::Wait(Duration::from_secs(2)) } else { Act::Pass });
    let (overtaken, other) = std::thread::scope(|scope| {
        let overtaken = scope.spawn(|| packtrail(&slow.url, &source, &state));
        let begun = Instant::now();
        while slow.gets() == 0 && slow.lists() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(20));
        }
        let other = packtrail(&server.url, &source, &state);
        (overtaken.join().unwrap(), other)
    });
    assert_eq!(other.code, 0, "{}", other.stderr);
    let line = overtaken.failed();
    assert!(line.starts_with("packtrail: s3://trail/audit/state") && line.ends_with("another run is using it"), "{line}");
    let again = packtrail(&server.url, &source, &state);
    same(&again, &packtrail(&server.url, &source, &[]), "", "");
}

#[test]
fn a_report_in_s3_is_the_one_on_disk() {
    let server = with_samples();
    for layout in ["flat", "hive"] {
        let local = tempfile::tempdir().unwrap();
        let remote = format!("s3://trail/reports/{layout}");
        for out in [local.path().to_str().unwrap(), &remote] {
            let mut command = command(Path::new(env!("CARGO_BIN_EXE_packtrail")), &server.url);
            let ran = command.args(["analyze", "s3://trail/AWSLogs", "--layout", layout, "--out", out]).output().unwrap();
            assert_eq!((ran.status.code(), String::from_utf8(ran.stderr).unwrap()), (Some(0), String::new()));
        }
        let files = |root: &Path| -> Vec<(String, Vec<u8>)> { tree(root).into_iter().filter(|(key, _)| key != "summary.json").collect() };
        let uploaded = server.bucket().join("reports").join(layout);
        assert!(uploaded.join("summary.json").exists());
        assert!(files(local.path()) == files(&uploaded), "{layout}");
    }
}

/// The endpoint that `.ci/run` starts, a moto server.
fn moto() -> String {
    std::env::var("PACKTRAIL_TEST_S3").expect("PACKTRAIL_TEST_S3 is the endpoint of a moto server")
}

/// Any keys do there, but there must be some.
const ANYBODY: (&str, &str) =
    ("authorization", "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0");

/// A new bucket there with these files.
fn moto_bucket(url: &str, name: &str, files: &[(String, Vec<u8>)]) {
    let (status, body) = plain("PUT", &format!("{url}/{name}"), &[ANYBODY], vec![]);
    assert!(status == 200 || status == 409, "{status} {body}");
    for (key, bytes) in files {
        let (status, body) = plain("PUT", &format!("{url}/{name}/{}", escape(key)), &[ANYBODY], bytes.clone());
        assert_eq!(status, 200, "{body}");
    }
}

#[test]
#[ignore = "needs the server that .ci/run starts"]
fn another_implementation_of_s3_gives_the_same() {
    let url = moto();
    moto_bucket(&url, "samples", &tree(&samples()));
    let on_disk = disk(&samples(), &[]);
    let root = format!("{}/", samples().display());
    same(&packtrail(&url, &["s3://samples"], &[]), &on_disk, "s3://samples/", &root);
    same(
        &packtrail(&url, &["s3://samples/AWSLogs/"], &["--role-arn", "arn:aws:iam::111122223333:role/audit"]),
        &on_disk,
        "s3://samples/",
        &root,
    );

    // A marker of a folder, an archived object, odd keys, more than a page of keys.
    let good = log(1, "2026-03-01T00:00:00Z", "111122223333", "us-east-1");
    let mut files = vec![("AWSLogs/".to_owned(), vec![]), ("odd é+%20 &?#/x y.json".to_owned(), good.clone())];
    files.extend((0..1100).map(|file| (key("111122223333", "us-east-1", "2026/03/01", "1200", file), b"{\"Records\":[]}".to_vec())));
    moto_bucket(&url, "various", &files);
    let (status, _) = plain("PUT", &format!("{url}/various/cold.json"), &[ANYBODY, ("x-amz-storage-class", "GLACIER")], good);
    assert_eq!(status, 200);
    let ran = packtrail(&url, &["s3://various"], &[]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert_eq!(ran.unreadable(), [("s3://various/cold.json".to_owned(), "archived in GLACIER, restore it first".to_owned())]);
    assert_eq!(ran.coverage()["files_read"].as_u64(), Some(1101));
    assert_eq!(packtrail(&url, &["s3://no-such-bucket"], &[]).failed(), "packtrail: s3://no-such-bucket: no such bucket");

    let bucket = format!("nightly-{}", std::process::id());
    moto_bucket(&url, &bucket, &[]);
    nightly(&url, &bucket, &|key, bytes| moto_bucket(&url, &bucket, &[(key.to_owned(), bytes.to_vec())]));
}

#[test]
fn buckets_that_only_disk_has_are_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.json", &log(1, "2026-03-01T00:00:00Z", "111122223333", "us-east-1"));
    assert_eq!(disk(folder.path(), &[]).code, 0);
    let ran = packtrail("http://127.0.0.1:9", &["s3://", "s3:///x"], &[]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
}
