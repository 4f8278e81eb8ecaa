//! Many small objects from an S3 that answers each request after 30 ms: `cargo bench --bench s3`.
//!
//! Prints one table: the ideal, which is objects x 30 ms / 32 requests at once, `packtrail analyze s3://...`, and `aws s3 sync` followed by a run over the
//! copy. `AWS_CLI` names the AWS CLI (default `aws`; left out where there is none), `OBJECTS` and `RUNS` change the numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

const LATENCY: Duration = Duration::from_millis(30);
const AT_ONCE: u32 = 32;

/// Keys in order, with their objects.
struct Bucket {
    objects: Vec<(String, Bytes)>,
    requests: AtomicUsize,
}

impl Bucket {
    /// Log files of about 2 KB, each with one call among other records, of 4 accounts in 5 regions.
    fn with(count: usize) -> Bucket {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut objects: Vec<(String, Bytes)> = (0..count)
            .map(|number| {
                let account = ["111122223333", "444455556666", "777788889999", "123456789012"][number % 4];
                let region = ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-south-1"][number / 4 % 5];
                let (day, minute) = (1 + number / 20 % 28, number / 560);
                let mut records = vec![serde_json::json!({
                    "eventVersion": "1.08", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "eventType": "AwsApiCall",
                    "eventTime": format!("2026-09-{day:02}T{:02}:{:02}:00Z", minute / 60 % 24, minute % 60),
                    "userIdentity": {"type": "IAMUser", "arn": format!("arn:aws:iam::{account}:user/u"), "accountId": account},
                    "awsRegion": region, "recipientAccountId": account, "eventID": format!("{:016x}{:016x}", next(), next()),
                    "requestParameters": {"roleArn": format!("arn:aws:iam::{account}:role/r"), "roleSessionName": "s"},
                    "responseElements": {"packedPolicySize": number % 60, "credentials": {"accessKeyId": "A"}},
                })];
                for _ in 0..26 {
                    records.push(serde_json::json!({
                        "eventVersion": "1.08", "eventSource": "ec2.amazonaws.com", "eventName": "DescribeInstances", "awsRegion": region,
                        "eventID": format!("{:016x}{:016x}", next(), next()), "requestID": format!("{:016x}{:016x}", next(), next()),
                        "userIdentity": {"type": "AssumedRole", "accountId": account, "principalId": format!("AROA{:016X}", next())},
                    }));
                }
                let text = serde_json::json!({ "Records": records }).to_string();
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(text.as_bytes()).unwrap();
                let key = format!(
                    "AWSLogs/o-example/{account}/CloudTrail/{region}/2026/09/{day:02}/{account}_CloudTrail_{region}_202609{day:02}T{:02}{:02}Z_{:016x}.json.gz",
                    minute / 60 % 24,
                    minute % 60,
                    next()
                );
                (key, Bytes::from(gzip.finish().unwrap()))
            })
            .collect();
        objects.sort();
        Bucket { objects, requests: AtomicUsize::new(0) }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let query = request.uri().query().unwrap_or_default();
        if query.contains("list-type=2") {
            return Response::new(Full::new(Bytes::from(self.list(query))));
        }
        let key = request.uri().path().strip_prefix("/trail/").unwrap_or_default();
        match self.objects.binary_search_by(|(one, _)| one.as_str().cmp(key)) {
            Ok(at) => Response::builder()
                .header("etag", format!("\"{at:032x}\""))
                .header("last-modified", "Tue, 15 Sep 2026 00:00:00 GMT")
                .body(Full::new(self.objects[at].1.clone()))
                .unwrap(),
            Err(_) => Response::builder().status(404).body(Full::default()).unwrap(),
        }
    }

    fn list(&self, query: &str) -> String {
        let parameter = |name: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.map(|value| value.replace("%2F", "/").replace("%2f", "/"))
        };
        let prefix = parameter("prefix").unwrap_or_default();
        let most = parameter("max-keys").map_or(1000, |most| most.parse::<usize>().unwrap());
        let after = parameter("start-after").unwrap_or_default();
        let mut at = match parameter("continuation-token") {
            Some(token) => token.parse().unwrap(),
            None => self.objects.partition_point(|(key, _)| *key < prefix || (!after.is_empty() && *key <= after)),
        };
        let (mut contents, mut prefixes, mut count) = (String::new(), String::new(), 0);
        while let Some((key, object)) = self.objects.get(at).filter(|(key, _)| key.starts_with(&prefix)) {
            if count == most {
                break;
            }
            count += 1;
            let below = &key[prefix.len()..];
            if let Some((folder, _)) = below.split_once('/').filter(|_| query.contains("delimiter=")) {
                let folder = format!("{prefix}{folder}/");
                prefixes += &format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>");
                at = self.objects.partition_point(|(key, _)| *key < folder || key.starts_with(&folder));
                continue;
            }
            contents += &format!(
                "<Contents><Key>{key}</Key><LastModified>2026-09-15T00:00:00.000Z</LastModified><ETag>&quot;{at:032x}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                object.len()
            );
            at += 1;
        }
        let more = self.objects.get(at).is_some_and(|(key, _)| key.starts_with(&prefix));
        let token = if more { format!("<NextContinuationToken>{at}</NextContinuationToken>") } else { String::new() };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>trail</Name>\
             <Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{more}</IsTruncated>{token}{contents}{prefixes}</ListBucketResult>"
        )
    }
}

/// Serves the bucket on a free port, on a thread of its own.
fn serve(bucket: Arc<Bucket>) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let bucket = Arc::clone(&bucket);
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let answer = bucket.answer(&request);
                        async move {
                            tokio::time::sleep(LATENCY).await;
                            Ok::<_, Infallible>(answer)
                        }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
    });
    format!("http://{}", receiver.recv().unwrap())
}

/// Runs a program against the server and gives the seconds it took and what it said.
fn timed(program: &Path, url: &str, arguments: &[&str]) -> f64 {
    let begun = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .envs([("AWS_ENDPOINT_URL", url), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")])
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{}", program.display());
    begun.elapsed().as_secs_f64()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

fn main() {
    let (count, runs) = (number("OBJECTS", 20_000), number("RUNS", 3));
    let bucket = Arc::new(Bucket::with(count));
    let bytes: usize = bucket.objects.iter().map(|(_, object)| object.len()).sum();
    let url = serve(Arc::clone(&bucket));
    let packtrail = Path::new(env!("CARGO_BIN_EXE_packtrail"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let copy = folder.path().join("copy");
    let copy = copy.to_str().unwrap();

    let ideal = count as f64 * LATENCY.as_secs_f64() / f64::from(AT_ONCE);
    println!("{count} objects of {} bytes, each request answered after {} ms; medians of {runs}\n", bytes / count, LATENCY.as_millis());
    println!("{:44} {:>9} {:>9} {:>9}", "", "seconds", "x ideal", "requests");
    println!("{:44} {ideal:9.1} {:9.2} {count:9}", "ideal, 32 at once", 1.0);
    let row = |name: &str, run: &dyn Fn() -> f64| {
        let mut requests = 0;
        let seconds = (0..runs).map(|_| {
            bucket.requests.store(0, Ordering::Relaxed);
            let seconds = run();
            requests = bucket.requests.load(Ordering::Relaxed);
            seconds
        });
        let seconds = median(seconds.collect());
        println!("{name:44} {seconds:9.1} {:9.2} {requests:9}", seconds / ideal);
        seconds
    };
    row("packtrail analyze s3://trail", &|| timed(packtrail, &url, &["analyze", "s3://trail", "--out", out, "--quiet"]));
    let aws = std::env::var("AWS_CLI").unwrap_or_else(|_| "aws".to_owned());
    if Command::new(&aws).arg("--version").stdout(Stdio::null()).status().is_ok() {
        let sync = row("aws s3 sync s3://trail copy", &|| {
            let _ = std::fs::remove_dir_all(copy);
            timed(Path::new(&aws), &url, &["s3", "sync", "--quiet", "s3://trail", copy])
        });
        let local = row("packtrail analyze copy", &|| timed(packtrail, &url, &["analyze", copy, "--out", out, "--quiet"]));
        println!("{:44} {:9.1} {:9.2}", "aws s3 sync and packtrail", sync + local, (sync + local) / ideal);
    }
}
