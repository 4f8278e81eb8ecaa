//! The fast reader against a plain one that parses whole texts with serde_json: same number of records, same STS records.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod programs;
#[path = "plain/records.rs"]
mod records;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use packtrail::record::{Damage, Kind, Limits, Offset, Outcome, Reader, Reason};
use packtrail::trail::{self, Entry};
use proptest::prelude::*;
use records::{Node, Plain, hold, in_chunks_of, text_of};
use serde_json::{Value, json};

/// What either reader finds in a file.
#[derive(Debug, PartialEq)]
struct Content {
    records: usize,
    sts: Vec<Node>,
}

/// What the plain reader finds in a file of sound JSON.
fn plain(file: &[u8]) -> Content {
    let (text, inflates) = text_of(file);
    let plain = Plain::of(&text);
    assert!(inflates && plain.whole, "{}", String::from_utf8_lossy(&text));
    Content { records: plain.units.len(), sts: plain.calls().into_iter().map(|(_, record)| record).collect() }
}

fn node(value: &Value) -> Node {
    Node::of(value.to_string().as_bytes()).unwrap()
}

fn limits() -> Limits {
    Limits::for_threads(1)
}

fn fast_with(reader: &mut Reader, file: &[u8]) -> (Content, Outcome) {
    let mut sts = Vec::new();
    let mut numbers = BTreeSet::new();
    let outcome = reader.read_from(&mut &*file, Some(file.len() as u64), &mut |found| {
        assert!(numbers.insert(found.record), "one number, one record");
        sts.extend(Node::of(found.json.as_bytes()).filter(Node::is_sts));
    });
    assert!(numbers.last().is_none_or(|last| *last <= outcome.records));
    (Content { records: usize::try_from(outcome.records).unwrap(), sts }, outcome)
}

fn fast(limits: Limits, file: &[u8]) -> (Content, Outcome) {
    fast_with(&mut Reader::new(limits), file)
}

/// Both readers agree on an undamaged file, in one go and in chunks.
fn agree(file: &[u8]) -> Outcome {
    plain(file);
    hold(file, &[1, 7, 64, 1000, 1 << 18]).outcome
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[test]
fn real_logs_read_the_same_fast_and_plain() {
    let mut directories = vec![data().join("grycap"), data().join("invictus")];
    directories.extend(std::env::var_os("PACKTRAIL_LOGS").map(PathBuf::from));
    for directory in directories {
        let sources = [directory.to_str().unwrap().to_owned()];
        let (mut files, mut records, mut sts) = (0, 0, 0);
        let mut reader = Reader::new(limits());
        let mut chunked = Reader::new(in_chunks_of(333));
        for entry in trail::list(&sources, &trail::Reach::default()).unwrap() {
            let Entry::File(file) = entry else { panic!("{entry:?}") };
            let bytes = fs::read(&file.location).unwrap();
            let (content, outcome) = fast_with(&mut reader, &bytes);
            if outcome.kind == Kind::NotALog {
                assert!(["LICENSE", "README.md"].iter().any(|name| file.location.ends_with(name)), "{}", file.location);
                continue;
            }
            assert_eq!(outcome.kind, Kind::CloudTrail, "{}", file.location);
            assert_eq!(content, plain(&bytes), "{}", file.location);
            let (content_in_chunks, outcome) = fast_with(&mut chunked, &bytes);
            assert!(outcome.damage.is_none());
            assert_eq!(content, content_in_chunks, "{}", file.location);
            let mut again = 0;
            reader.read(&file, &mut |_| again += 1);
            assert!(again >= content.sts.len());
            files += 1;
            records += content.records;
            sts += content.sts.len();
        }
        println!("{}: {files} files, {records} records, {sts} STS records", directory.display());
        assert!(files > 0 && sts > 0);
    }
}

fn sts_record(name: &str) -> Value {
    json!({
        "eventVersion": "1.08", "userIdentity": {"type": "IAMUser", "accountId": "111122223333"}, "eventTime": "2026-09-20T10:00:00Z",
        "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "eventCategory": "Management",
        "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/reader", "roleSessionName": name, "policy": "{\"Statement\":[{\"Sid\":\"}],{\"}]}"},
    })
}

fn s3_record(key: &str) -> Value {
    json!({
        "eventVersion": "1.08", "eventSource": "s3.amazonaws.com", "eventName": "PutObject", "eventCategory": "Data",
        "requestParameters": {"bucketName": "data", "key": key, "nested": [sts_record("within"), {"eventSource": "sts.amazonaws.com"}]},
    })
}

fn envelope(record: &Value) -> Value {
    json!({"version": "0", "id": "1", "detail-type": "AWS API Call via CloudTrail", "source": "aws.sts", "account": "111122223333", "resources": [], "detail": record})
}

fn looked_up(record: &Value) -> Value {
    json!({"EventId": "1", "EventName": record["eventName"], "EventSource": record["eventSource"], "Resources": [{}], "CloudTrailEvent": record.to_string()})
}

fn expect(file: &[u8], records: usize, sts: usize) {
    for file in [file.to_vec(), gzip(file)] {
        assert_eq!(agree(&file).kind, Kind::CloudTrail);
        let (content, _) = fast(limits(), &file);
        assert_eq!((content.records, content.sts.len()), (records, sts), "{}", String::from_utf8_lossy(&file));
    }
}

#[test]
fn every_container_is_told_by_its_content() {
    let (a, b, other) = (sts_record("a"), sts_record("b"), s3_record("\"eventName\":\"AssumeRole\",\"eventSource\":\"sts.amazonaws.com\""));
    expect(json!({"Records": [a, other, b]}).to_string().as_bytes(), 3, 2);
    expect(json!({"zone": {"Records": [a]}, "Records": [a, other], "x": [1, "]}", null], "a": -1.5e3}).to_string().as_bytes(), 2, 1);
    expect(json!({"Records": []}).to_string().as_bytes(), 0, 0);
    expect(json!([a, other, 1, "x", null, [a]]).to_string().as_bytes(), 2, 1);
    expect(json!({"Events": [looked_up(&a), looked_up(&other)], "NextToken": "x"}).to_string().as_bytes(), 2, 1);
    expect(json!([envelope(&a), envelope(&other), looked_up(&b), a]).to_string().as_bytes(), 4, 3);
    expect(envelope(&a).to_string().as_bytes(), 1, 1);
    expect(a.to_string().as_bytes(), 1, 1);
    expect(format!("{a}\n{other}\n{}\r\n{}", envelope(&b), looked_up(&b)).as_bytes(), 4, 3);
    expect(format!("{a}{b}{other}").as_bytes(), 3, 2);
    expect(format!("{other}\n{}\n{a}", json!({"Records": [a, b]})).as_bytes(), 4, 3);
    expect(format!("{}\n{}", json!({"Records": [a]}), json!({"Records": [other, b]})).as_bytes(), 3, 2);
    expect(serde_json::to_string_pretty(&json!({"Records": [a, other, b]})).unwrap().as_bytes(), 3, 2);
    expect(format!("\u{feff}{a}").as_bytes(), 1, 1);
    // What `jq -s` makes of whole logs.
    expect(json!([{"Records": [a, other]}, {"Records": []}, b, {"Events": [looked_up(&a)]}, [a]]).to_string().as_bytes(), 4, 3);
    expect(serde_json::to_string_pretty(&json!([{"Records": [a, other]}, {"Records": [b]}])).unwrap().as_bytes(), 3, 2);
    expect(json!([[], {"Records": []}]).to_string().as_bytes(), 0, 0);
    expect(format!("\u{feff}{}\n\n \t", json!({"Records": [a]})).as_bytes(), 1, 1);
}

#[test]
fn a_byte_order_mark_may_stand_where_files_were_joined() {
    let file = format!("\u{feff}{}\n\u{feff}{}", sts_record("a"), sts_record("b"));
    for chunk_bytes in [1, 64, 1 << 18] {
        let (content, outcome) = fast(in_chunks_of(chunk_bytes), file.as_bytes());
        assert_eq!((content.sts.len(), outcome.damage.is_none()), (2, true));
    }
}

#[test]
fn an_object_with_a_records_own_keys_is_that_record_whatever_it_holds() {
    let (sts, text) = (sts_record("a"), sts_record("a").to_string());
    let own = r#""eventVersion":"1.08","eventSource":"s3.amazonaws.com","eventName":"PutObject""#;
    for nested in
        [format!(r#""detail":{sts}"#), format!(r#""CloudTrailEvent":{}"#, Value::from(text.clone())), format!(r#""CloudTrailEvent":{sts}"#)]
    {
        for object in [format!("{{{nested},{own}}}"), format!("{{{own},{nested}}}"), format!(r#"{{{nested},"eventName":null}}"#)] {
            expect(object.as_bytes(), 1, 0);
        }
        expect(format!(r#"{{{nested},"EventName":"x","source":"aws.s3"}}"#).as_bytes(), 1, 1);
        let call = r#""eventSource":"sts.amazonaws.com","eventName":"AssumeRole""#;
        expect(format!("{{{},{call}}}", nested.replace("sts.amazonaws.com", "s3.amazonaws.com")).as_bytes(), 1, 1);
    }
    let other = s3_record("x");
    expect(format!(r#"{{"detail":{other},"CloudTrailEvent":{}}}"#, Value::from(text)).as_bytes(), 1, 1);
    expect(format!(r#"{{"detail":{sts},"CloudTrailEvent":{other}}}"#).as_bytes(), 1, 0);
    // What the file is hangs on the same.
    expect(format!(r#"{{"detail":{{"eventCategory":"Insight"}},{own}}}"#).as_bytes(), 1, 0);
}

#[test]
fn a_damaged_byte_in_a_log_never_makes_it_no_log() {
    let (text, _) = three();
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).unwrap()).unwrap();
    for text in [text, pretty, format!("\u{feff}{}", json!({"Records": [sts_record("a")]}))] {
        let first = text.find('{').unwrap();
        for at in first + 1..text.len().min(600) {
            for byte in [0, b' ', b'}', b'{', b'"', b'x', b'\\', 0xff] {
                let mut damaged = text.clone().into_bytes();
                damaged[at] = byte;
                for limits in [limits(), in_chunks_of(1)] {
                    let (_, outcome) = fast(limits, &damaged);
                    let told = outcome.kind == Kind::CloudTrail || (outcome.kind == Kind::Unknown && outcome.damage.is_some());
                    assert!(told, "byte {byte} at {at}: {outcome:?}");
                }
            }
        }
    }
    let (_, outcome) = fast(limits(), json!({"Recordz": [sts_record("a")]}).to_string().as_bytes());
    assert_eq!(damage(&outcome).to_string(), "expected records under `Records` at byte 0, before the first record");
}

#[test]
fn a_broken_line_costs_itself_only() {
    let (a, b, other) = (sts_record("a").to_string(), sts_record("b").to_string(), s3_record("x").to_string());
    let cut = &a[..a.len() / 2];
    let unclosed = &other[..other.len() - 1];
    for broken in [cut, unclosed, "oops", "}", "{\"a\":\u{1}1}", "{\"a\":[1}}", "{}}"] {
        let file = format!("{a}\n{other}\n{broken}\n{b}\r\n{other}\n{a}");
        for limits in [limits(), in_chunks_of(1), in_chunks_of(100)] {
            let (content, outcome) = fast(limits, file.as_bytes());
            let whole = u64::from(broken == "{}}");
            assert_eq!((outcome.records, content.sts.len()), (5 + whole, 3), "{broken}");
            let damage = damage(&outcome);
            assert_eq!((damage.skipped_lines, damage.place.records), (1, 2 + whole), "{damage}");
            assert!(damage.end.is_none() && damage.to_string().ends_with("; that line is left out"), "{damage}");
        }
    }
    // A file that ends within a line, after other broken ones; a gzip stream that does.
    let file = format!("{a}\n{cut}\n{b}\noops\n{cut}");
    let (content, outcome) = fast(limits(), file.as_bytes());
    assert_eq!((content.sts.len(), damage(&outcome).skipped_lines), (2, 2));
    assert!(
        damage(&outcome).to_string().ends_with(&format!(
            "after record 1; 2 lines are left out; then text ends within a value at byte {}, after record 2",
            file.len()
        ))
    );
    let file = gzip(format!("{a}\n{cut}\n{b}\n").as_bytes());
    let (content, outcome) = fast(limits(), &file[..file.len() - 4]);
    assert_eq!(content.sts.len(), 2);
    assert!(matches!(damage(&outcome).end.as_ref().unwrap().reason, Reason::GzipTruncated));
    // A line longer than any record.
    let file = format!("{a}\n{{\"a\":\"{}\"}}\n{b}\n", "x".repeat(20 << 20));
    let mut reader = Reader::new(in_chunks_of(1 << 18));
    let (content, outcome) = fast_with(&mut reader, file.as_bytes());
    assert_eq!((content.sts.len(), damage(&outcome).skipped_lines), (2, 1));
    assert!(matches!(damage(&outcome).reason, Reason::Long(_)) && reader.buffer_bytes() <= 40 << 20);
}

#[test]
fn reading_goes_on_behind_a_break_only_where_lines_are_records() {
    let (a, b) = (sts_record("a"), sts_record("b"));
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    let broken = |text: String| text.replace("1.08", "1.\u{1}8");
    for file in [
        format!("{}\n{}\n{a}\n", broken(a.to_string()), b),
        format!("{}\n{}\n{}\n", pretty(&a), broken(pretty(&b)), pretty(&a)),
        format!("{a}\n[{}]\n{b}\n", broken(b.to_string())),
        format!("{}\n{}\n{b}\n", json!({"Records": [a]}), broken(json!({"Records": [b]}).to_string())),
        format!("[{a},\n{},\n{b}]", broken(b.to_string())),
    ] {
        let (_, outcome) = fast(limits(), file.as_bytes());
        let (_, chunked) = fast(in_chunks_of(1), file.as_bytes());
        assert_eq!(outcome.damage.as_ref().map(ToString::to_string), chunked.damage.as_ref().map(ToString::to_string));
        assert!(outcome.records <= 2, "{file}");
    }
    // More broken lines than a file of JSON lines has.
    let file = format!("{a}\n{}{b}", "oops\n".repeat(2000));
    let (content, outcome) = fast(limits(), file.as_bytes());
    assert_eq!((content.sts.len(), damage(&outcome).skipped_lines, damage(&outcome).end.is_some()), (1, 1000, true));
}

#[test]
fn escapes_hide_nothing() {
    let plain = sts_record("a").to_string();
    for (from, to) in [
        ("sts.amazonaws.com", r"\u0073ts.amazonaws.com"),
        ("sts.amazonaws.com", r"sts\u002Eamazonaws.com"),
        ("sts.amazonaws.com", r"sts.amazonaws\u002ecom"),
        ("sts.amazonaws.com", r"\u0073\u0074\u0073\u002e\u0061\u006d\u0061\u007a\u006f\u006e\u0061\u0077\u0073\u002e\u0063\u006f\u006D"),
        ("\"eventSource\"", r#""\u0065ventSource""#),
        ("\"eventSource\"", r#""event\u0053ource""#),
        ("\"eventVersion\"", r#""event\u0056ersion""#),
    ] {
        let escaped = plain.replace(from, to);
        assert_ne!(escaped, plain);
        expect(format!(r#"{{"Records":[{escaped}]}}"#).as_bytes(), 1, 1);
        expect(format!(r#"{{"R\u0065cords":[{escaped}]}}"#).as_bytes(), 1, 1);
        expect(format!(r#"{{"\u0045vents":[{{"CloudTrailEvent":{}}}]}}"#, Value::from(escaped.clone())).as_bytes(), 1, 1);
        expect(format!(r#"{{"source":"aws.sts","d\u0065tail":{escaped}}}"#).as_bytes(), 1, 1);
        expect(format!("{plain}\n{escaped}\n{escaped}").as_bytes(), 3, 3);
        // The escape's own characters escaped once more.
        let text = Value::from(escaped).to_string();
        for (from, to) in [(r"\\u", r"\u005cu"), (r"\\u00", r"\\\u007500"), (r"\\u00", r"\\u\u00300"), (r"\\u00", r"\\u0\u0030")] {
            let twice = text.replace(from, to);
            assert_ne!(text, twice);
            expect(format!(r#"[{{"Username":"x","CloudTrailEv\u0065nt":{twice}}}]"#).as_bytes(), 1, 1);
        }
    }
}

#[test]
fn records_that_cannot_be_calls_are_counted_and_not_handed_over() {
    let mut other = s3_record(r"year=2026&part=1<2>'/");
    other["requestParameters"]["nested"] = Value::Null;
    let other = other.to_string().replace('=', r"\u003d").replace('&', r"\u0026").replace('/', r"\/");
    let file = format!("{{\"Records\":[{other},{},{other}]}}", sts_record("a"));
    let mut numbers = Vec::new();
    let outcome = Reader::new(limits()).read_from(&mut file.as_bytes(), None, &mut |found| numbers.push(found.record));
    assert_eq!((outcome.records, numbers), (3, vec![2]));
}

#[test]
fn several_gzip_members_are_read_to_the_end() {
    let (a, b) = (sts_record("a").to_string(), sts_record("b").to_string());
    let mut file = gzip(format!("{a}\n").as_bytes());
    file.extend(gzip(b""));
    file.extend(gzip(b.as_bytes()));
    agree(&file);
    assert_eq!(plain(&file).sts.len(), 2);
    // The same member twice has the trailer of a single one.
    let twice = gzip(a.as_bytes()).repeat(2);
    agree(&twice);
    assert_eq!(plain(&twice).sts.len(), 2);
    // Tapes and block devices pad with zeros.
    let mut padded = gzip(a.as_bytes());
    padded.extend([0; 1000]);
    let (content, outcome) = fast(limits(), &padded);
    assert_eq!((content.sts.len(), outcome.damage.is_none()), (1, true));
}

#[test]
fn files_without_management_events_are_told_apart() {
    let kind = |text: &str| {
        let (_, outcome) = fast(limits(), text.as_bytes());
        let (_, in_chunks) = fast(in_chunks_of(1), text.as_bytes());
        assert_eq!(outcome.kind, in_chunks.kind);
        assert!(outcome.damage.is_none() && in_chunks.damage.is_none());
        outcome.kind
    };
    assert_eq!(
        kind(r#"{"awsAccountId":"111122223333","digestStartTime":"2026-09-20T10:00:00Z","logFiles":[{"s3Bucket":"b"}]}"#),
        Kind::Digest
    );
    assert_eq!(
        kind(r#"{"Records":[{"eventVersion":"1.07","eventType":"AwsCloudTrailInsight","insightDetails":{},"eventCategory":"Insight"}]}"#),
        Kind::Insight
    );
    assert_eq!(
        kind(r#"{"Records":[{"eventVersion":"1.09","eventSource":"kms.amazonaws.com","eventCategory":"NetworkActivity"}]}"#),
        Kind::NetworkActivity
    );
    assert_eq!(
        kind(r#"{"Records":[{"eventVersion":"1.0","eventType":"AwsAggregatedEvent","eventCategory":"Aggregated"}]}"#),
        Kind::Aggregated
    );
    assert_eq!(kind(&format!(r#"[{{"eventVersion":"1.07","eventCategory":"Insight"}},{}]"#, sts_record("a"))), Kind::CloudTrail);
    assert_eq!(kind(r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put"}]}"#), Kind::NotALog);
    assert_eq!(kind(r#"{"fileVersion":"1.0","configurationItems":[{"eventName":"x"}]}"#), Kind::NotALog);
    assert_eq!(kind(&envelope(&json!({"instance-id": "i-1", "state": "running"})).to_string()), Kind::NotALog);
    assert_eq!(kind("{\"name\":\"x\"}\n{\"name\":\"y\"}\n"), Kind::NotALog);
    for text in [
        "",
        " \n",
        "{}",
        "[]",
        "[1,2]",
        "null",
        "17",
        "\"Records\"",
        "hello",
        "[section]\nkey=value\n",
        "{ // comment\n}",
        "\u{feff}",
        "\0\0\0\0",
        "{\"a\":1,\"b\":[\"trunc",
    ] {
        assert_eq!(kind(text), Kind::NotALog, "{text}");
    }
    assert_eq!(kind(std::str::from_utf8(&[b'a'; 10_000]).unwrap()), Kind::NotALog);
}

fn damage(outcome: &Outcome) -> &Damage {
    outcome.damage.as_ref().unwrap_or_else(|| panic!("no damage: {outcome:?}"))
}

/// Three STS records, and where each ends.
fn three() -> (String, Vec<usize>) {
    let mut text = String::from("{\"Records\":[");
    let mut ends = Vec::new();
    for name in ["first", "se\"cond", "third"] {
        text.push_str(&sts_record(name).to_string());
        ends.push(text.len());
        text.push(',');
    }
    text.pop();
    text.push_str("]}");
    (text, ends)
}

#[test]
fn a_text_cut_anywhere_gives_the_records_before_the_cut() {
    let (text, ends) = three();
    for cut in 0..text.len() {
        for limits in [limits(), in_chunks_of(1), in_chunks_of(100)] {
            let (content, outcome) = fast(limits, &text.as_bytes()[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!((content.records, content.sts.len()), (whole, whole), "cut at {cut}");
            match cut {
                0 => assert_eq!(outcome.kind, Kind::NotALog),
                // Less than the first key.
                1..12 => assert_eq!(outcome.kind, Kind::Unknown),
                _ => assert_eq!(outcome.kind, Kind::CloudTrail),
            }
            if cut > 0 {
                let damage = damage(&outcome);
                assert!(matches!(damage.reason, Reason::TextTruncated), "{damage}");
                assert_eq!((damage.place.offset, damage.place.records), (Some(Offset::File(cut as u64)), whole as u64));
            }
        }
    }
}

#[test]
fn a_gzip_stream_cut_anywhere_gives_the_records_before_the_cut() {
    let (text, ends) = three();
    let file = gzip(text.as_bytes());
    for cut in 2..file.len() {
        let mut inflated = Vec::new();
        MultiGzDecoder::new(&file[..cut]).read_to_end(&mut inflated).unwrap_err();
        for limits in [limits(), in_chunks_of(1), in_chunks_of(100)] {
            let (content, outcome) = fast(limits, &file[..cut]);
            let whole = ends.iter().filter(|end| **end <= inflated.len()).count();
            assert!(content.sts.len() >= whole, "cut at {cut}: {} of {whole}", content.sts.len());
            assert_eq!(content.records, content.sts.len());
            let damage = damage(&outcome);
            assert!(matches!(damage.reason, Reason::GzipTruncated), "{damage}");
            assert_eq!(damage.place.offset, Some(Offset::File(cut as u64)));
            assert!(matches!(outcome.kind, Kind::CloudTrail | Kind::Unknown));
        }
    }
}

#[test]
fn a_damaged_byte_in_a_gzip_stream_never_goes_unnoticed_or_panics() {
    let (text, _) = three();
    let file = gzip(text.as_bytes());
    for at in 10..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x55;
        for limits in [limits(), in_chunks_of(64)] {
            let (_, outcome) = fast(limits, &damaged);
            assert!(outcome.damage.is_some() || outcome.kind == Kind::NotALog, "byte {at}: {outcome:?}");
        }
    }
}

#[test]
fn a_gzip_header_may_have_every_optional_field() {
    let (text, _) = three();
    let file = |name_bytes: usize| {
        let mut encoder = flate2::GzBuilder::new()
            .filename(vec![b'n'; name_bytes])
            .comment("c")
            .extra(vec![0x1f; 300])
            .write(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    agree(&file(30_000));
    let mut joined = file(10);
    joined.extend(gzip(text.as_bytes()));
    agree(&joined);
    let (content, outcome) = fast(in_chunks_of(64), &file(100_000));
    assert!(content.sts.is_empty() && matches!(damage(&outcome).reason, Reason::GzipDamaged));
}

#[test]
fn what_follows_the_gzip_stream_is_damage_unless_it_is_zeros() {
    let (text, _) = three();
    for garbage in [&b"garbage"[..], b"\x1f", b"\0\0x", b"{\"Records\":[]}"] {
        let mut file = gzip(text.as_bytes());
        let end = file.len();
        file.extend(garbage);
        for limits in [limits(), in_chunks_of(64)] {
            let (content, outcome) = fast(limits, &file);
            assert_eq!(content.sts.len(), 3);
            assert!(matches!(damage(&outcome).reason, Reason::GzipTrailer));
            let at = end + garbage.iter().position(|byte| *byte != 0).unwrap();
            assert_eq!(damage(&outcome).place.offset, Some(Offset::File(at as u64)));
        }
    }
}

#[test]
fn a_second_member_with_a_broken_header_is_damage_though_it_inflates_to_as_much_as_the_first() {
    let logs = ["a", "b"].map(|name| gzip(json!({"Records": [sts_record(name)]}).to_string().as_bytes()));
    for at in 0..3 {
        let mut file = logs.concat();
        file[logs[0].len() + at] ^= 0xff;
        // As much, and even the same.
        for file in [file.clone(), [&file[..logs[0].len() + 3], &logs[0][3..]].concat()] {
            for limits in [limits(), in_chunks_of(64)] {
                let (content, outcome) = fast(limits, &file);
                assert_eq!(content.sts.len(), 1);
                assert!(matches!(damage(&outcome).reason, Reason::GzipTrailer | Reason::GzipDamaged), "{outcome:?}");
            }
        }
    }
}

#[test]
fn bytes_between_a_gzip_members_data_and_its_checksum_are_damage() {
    let mut file = gzip(sts_record("a").to_string().as_bytes());
    file.insert(file.len() - 8, 0);
    for limits in [limits(), in_chunks_of(64)] {
        let (_, outcome) = fast(limits, &file);
        assert!(matches!(damage(&outcome).reason, Reason::GzipDamaged), "{outcome:?}");
    }
}

/// A log whose third record is `bad`.
fn after_two(bad: &[u8]) -> Vec<u8> {
    let (a, b) = (sts_record("a"), sts_record("b"));
    let mut file = format!("{{\"Records\":[{a},{b},").into_bytes();
    file.extend(bad);
    file.extend(format!(",{a}]}}").as_bytes());
    file
}

fn damage_after_two(bad: &[u8], reason: impl Fn(&Reason) -> bool) {
    let file = after_two(bad);
    for file in [file.clone(), gzip(&file)] {
        for limits in [limits(), in_chunks_of(1 << 16)] {
            let mut reader = Reader::new(limits);
            let (content, outcome) = fast_with(&mut reader, &file);
            assert_eq!((content.records, content.sts.len(), outcome.kind), (2, 2, Kind::CloudTrail));
            assert_eq!(damage(&outcome).place.records, 2);
            assert!(reason(&damage(&outcome).reason), "{}", damage(&outcome));
            assert!(reader.buffer_bytes() <= 40 << 20, "{} bytes", reader.buffer_bytes());
        }
    }
}

#[test]
fn hostile_records_cost_the_rest_of_their_file_only() {
    let control = |reason: &Reason| matches!(reason, Reason::Control);
    damage_after_two(b"{\"a\":\"\0\"}", control);
    damage_after_two(b"{\"a\":\"b\nc\"}", control);
    damage_after_two(b"{\"a\":\0\"\"}", control);
    damage_after_two(b"\0", |reason| matches!(reason, Reason::Expected(_)));
    damage_after_two(b"{\"a\":\"\xff\xfe\"}", |reason| matches!(reason, Reason::Utf8));
    damage_after_two(b"{\"a\":\"\xed\xa0\x80\"}", |reason| matches!(reason, Reason::Utf8));
    damage_after_two(b"{\"a\":[1,2}}", |reason| matches!(reason, Reason::Bracket));
    damage_after_two(b"}", |reason| matches!(reason, Reason::Expected(_)));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    damage_after_two(deep.as_bytes(), |reason| matches!(reason, Reason::Depth(_)));
    let long = |reason: &Reason| matches!(reason, Reason::Long(_));
    damage_after_two(format!("{{\"a\":\"{}\"}}", "x".repeat(100 << 20)).as_bytes(), long);
    damage_after_two(format!("\"{}\"", "x".repeat(100 << 20)).as_bytes(), long);
}

#[test]
fn hostile_texts_that_only_begin_like_a_log_are_damage_too() {
    for text in
        ["[".repeat(10_000), "{\"a\":".repeat(10_000), format!("{{\"a\":\"{}\"}}", "x".repeat(20 << 20)), " ".repeat(20 << 20) + "["]
    {
        let (_, outcome) = fast(in_chunks_of(1 << 18), text.as_bytes());
        assert_eq!(outcome.kind, Kind::Unknown);
        assert!(outcome.damage.is_some());
    }
}

#[test]
fn a_record_of_the_deepest_nesting_is_still_read() {
    for (depth, whole) in [(125, true), (126, false)] {
        let record = format!(
            "{{\"eventSource\":\"sts.amazonaws.com\",\"eventName\":\"AssumeRole\",\"a\":[{}{}]}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let (content, outcome) = fast(limits(), format!("{{\"Records\":[{record}]}}").as_bytes());
        assert_eq!((content.sts.len(), outcome.damage.is_none()), (usize::from(whole), whole));
    }
}

#[test]
fn a_gzip_bomb_is_damage_and_takes_little_memory() {
    // 400 MiB of white space between two records, in members of 16 MiB that compress a thousandfold.
    let mut file = gzip(format!("{{\"Records\":[{},", sts_record("a")).as_bytes());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; 16 << 20]).unwrap();
    file.extend(encoder.finish().unwrap().repeat(25));
    let mut reader = Reader::new(limits());
    let (content, outcome) = fast_with(&mut reader, &file);
    assert_eq!(content.sts.len(), 1);
    assert!(matches!(damage(&outcome).reason, Reason::GzipBomb { ratio: 200 }), "{}", damage(&outcome));
    assert!(outcome.bytes_inflated <= (256 << 20) + (1 << 20));
    assert!(reader.buffer_bytes() <= 2 << 20, "{} bytes", reader.buffer_bytes());
}

#[test]
fn a_long_log_is_read_through_a_small_window() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"{\"Records\":[").unwrap();
    let (record, other) = (sts_record("a").to_string(), s3_record("k").to_string());
    let mut records = 0;
    let mut bytes = 0;
    while bytes < 100 << 20 {
        let text = format!("{}{record}{}", if records == 0 { "" } else { "," }, format!(",{other}").repeat(9));
        encoder.write_all(text.as_bytes()).unwrap();
        records += 10;
        bytes += text.len();
    }
    encoder.write_all(b"]}").unwrap();
    let file = encoder.finish().unwrap();
    let mut reader = Reader::new(in_chunks_of(1 << 18));
    let mut sts = 0;
    let outcome = reader.read_from(&mut &*file, Some(file.len() as u64), &mut |found| sts += u64::from(found.json == record));
    assert!(outcome.damage.is_none());
    assert_eq!((outcome.records, sts), (records, records / 10));
    assert!(reader.buffer_bytes() <= 1 << 20, "{} bytes", reader.buffer_bytes());
}

#[test]
fn a_reader_gives_back_what_a_long_record_took() {
    let mut reader = Reader::new(limits());
    let record = json!({"eventSource": "sts.amazonaws.com", "eventName": "GetSessionToken", "a": "x".repeat(12 << 20)}).to_string();
    let file = gzip(format!("{record}\n{record}").as_bytes());
    let (content, _) = fast_with(&mut reader, &file);
    assert_eq!(content.sts.len(), 2);
    assert!(reader.buffer_bytes() <= 33 << 20, "{} bytes", reader.buffer_bytes());
}

#[test]
fn damage_names_its_place_and_reason() {
    let (text, _) = three();
    let file = gzip(text.as_bytes());
    let (_, outcome) = fast(limits(), &file[..file.len() - 4]);
    assert_eq!(damage(&outcome).to_string(), format!("truncated gzip stream at byte {}, after record 3", file.len() - 4));
    let (_, outcome) = fast(limits(), &text.as_bytes()[..40]);
    assert_eq!(damage(&outcome).to_string(), "text ends within a value at byte 40, before the first record");
    let (_, outcome) = fast(limits(), &gzip(&after_two(b"oops")));
    assert!(damage(&outcome).to_string().starts_with("expected a value at byte "), "{}", damage(&outcome));
    assert!(damage(&outcome).to_string().ends_with(" of the inflated text, after record 2"), "{}", damage(&outcome));
}

/// Records that are no calls, of the kinds that could lead a reader astray about where they end or what follows them.
fn odd_records() -> Vec<String> {
    let with = |member: &str| format!(r#"{{"eventVersion":"1.08","eventSource":"s3.amazonaws.com","eventName":"x",{member}}}"#);
    let mut odd: Vec<String> = [
        r#""a":"}],{""#,
        r#""a":"]}","b":[["}{",{}],[]]"#,
        r#""a":"\\""#,
        r#""a":"\\\"}""#,
        r#""a":"\"","\\":"\"},{\"eventSource\":\"sts.amazonaws.com\"""#,
        r#""a":"größe 😀 \u2028","é":"\ud83d\ude00""#,
        r#""b":"sts.amazonaws.com","eventSource" : "sts.amazonaws.com.example""#,
        r#""requestParameters":{"eventSource":"sts.amazonaws.com","Records":[{"eventSource":"sts.amazonaws.com"}]}"#,
        r#""detail":{"eventSource":"sts.amazonaws.com"},"CloudTrailEvent":"{}""#,
        "\"a\":\r\n\t{ }\n,\"b\" : [ 1 , -2.5e3 , null ]\n",
    ]
    .into_iter()
    .map(with)
    .collect();
    odd.extend((0..6).map(|pairs| with(&format!(r#""a":"{}""#, r"\\".repeat(30 + pairs)))));
    odd.extend((0..6).map(|quotes| with(&format!(r#""a":"{}""#, "\\\"".repeat(30 + quotes)))));
    odd.push(with(&format!(r#""a":{}{}"#, "[".repeat(100), "]".repeat(100))));
    odd.push("{}".to_owned());
    odd
}

#[test]
fn a_call_is_found_at_every_offset_behind_thousands_of_bytes_of_others() {
    let call = sts_record("a").to_string();
    let hidden = call.replace("sts.amazonaws.com", "sts\\u002eamazonaws.com").replace("eventSource", "event\\u0053ource");
    let plain = s3_record("k")["requestParameters"]["key"].to_string();
    let plain = format!(r#"{{"eventVersion":"1.08","eventSource":"s3.amazonaws.com","requestParameters":{{"key":{plain}}}}}"#);
    for odd in odd_records() {
        for shift in 0..64 {
            let padded = plain.replace("\"k\"", &format!("\"{}\"", "k".repeat(shift)));
            let mut records = vec![&padded, &plain, &odd, &plain, &call, &odd, &odd, &hidden, &plain];
            records.extend([&plain; 30]);
            records.extend([&call, &odd, &hidden, &odd, &call]);
            let records: Vec<&str> = records.into_iter().map(String::as_str).collect();
            let log = hold(format!("{{\"Records\":[{}]}}", records.join(",")).as_bytes(), &[64, 4096]);
            let lines = hold(records.join("\n").as_bytes(), &[64, 4096]);
            for fast in [log, lines] {
                assert_eq!((fast.outcome.records, fast.calls.len()), (44, 5), "{shift}: {odd}");
            }
        }
    }
}

/// Strings that look like structure, like keys, like calls.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9:/]{0,80}",
        1 => Just("sts.amazonaws.com".to_owned()),
        1 => Just(r#"","eventSource":"sts.amazonaws.com","eventName":"AssumeRole"}]},{""#.to_owned()),
        1 => Just(sts_record("text").to_string()),
        1 => r#"["\\/{}\[\],: ]{0,70}"#,
        1 => r"\\{0,130}",
        1 => any::<String>(),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z]{1,10}",
        1 => prop::sample::select(vec!["Records", "Events", "detail", "CloudTrailEvent", "eventSource", "eventName", ""]).prop_map(str::to_owned),
        1 => text(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn record() -> impl Strategy<Value = Value> {
    let source = prop::sample::select(vec![
        "sts.amazonaws.com",
        "s3.amazonaws.com",
        "xsts.amazonaws.com",
        "sts.amazonaws.com.cn",
        "STS.amazonaws.com",
    ]);
    let name = prop_oneof![
        2 => prop::sample::select(vec!["AssumeRole", "AssumeRoleWithSAML", "AssumeRoot", "GetFederationToken", "GetSessionToken"]).prop_map(str::to_owned),
        1 => text(),
    ];
    let nested = prop_oneof![value(), Just(json!([sts_record("nested")]))];
    (source, name, nested, value()).prop_map(|(source, name, parameters, response)| {
        json!({"eventVersion": "1.08", "eventSource": source, "eventName": name, "requestParameters": parameters, "responseElements": response, "eventCategory": "Management"})
    })
}

/// How a value is written: white space, key order and escapes at random.
fn write(value: &Value, choices: &mut impl FnMut(u32) -> u32, out: &mut String) {
    let space = |choices: &mut dyn FnMut(u32) -> u32, out: &mut String| match choices(12) {
        0 => out.push(' '),
        1 => out.push_str("\r\n\t"),
        2 => out.push_str(&" ".repeat(choices(90) as usize)),
        _ => {}
    };
    match value {
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                space(choices, out);
                write(element, choices, out);
                space(choices, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for last in (1..members.len()).rev() {
                members.swap(last, choices(u32::try_from(last).unwrap() + 1) as usize);
            }
            out.push('{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                space(choices, out);
                write_string(key, choices, out);
                space(choices, out);
                out.push(':');
                space(choices, out);
                write(value, choices, out);
                space(choices, out);
            }
            out.push('}');
        }
        Value::String(text) => write_string(text, choices, out),
        other => out.push_str(&other.to_string()),
    }
}

fn write_string(text: &str, choices: &mut impl FnMut(u32) -> u32, out: &mut String) {
    let escaping = choices(4) == 0;
    out.push('"');
    for character in text.chars() {
        match character {
            _ if escaping && choices(6) == 0 => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&if choices(2) == 0 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") });
                }
            }
            '/' if choices(3) == 0 => out.push_str("\\/"),
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..' ' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn written(value: &Value, choices: &mut impl FnMut(u32) -> u32) -> String {
    let mut out = String::new();
    write(value, choices, &mut out);
    out
}

/// A file of some records in some container, and how it is stored.
fn file() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let records = prop::collection::vec((record(), 0..7_u8, record()), 0..6);
    (records, 0..8_u8, any::<u64>(), prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..4_u8, 1..300_usize).prop_map(
        |(records, container, seed, cuts, storage, chunk_bytes)| {
            let mut state = seed | 1;
            let mut choices = move |below: u32| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                u32::try_from((state >> 32) % u64::from(below)).unwrap()
            };
            let units: Vec<Value> = records
                .iter()
                .map(|(record, wrapping, nested)| match wrapping {
                    0 => record.clone(),
                    1 => envelope(record),
                    // Nested in what is a record itself, by all of a record's own keys or by one.
                    2 | 3 => {
                        let text = Value::from(written(nested, &mut choices));
                        let own = ["eventVersion", "eventSource", "eventName"][choices(3) as usize];
                        let mut outer = if *wrapping == 2 { record.clone() } else { json!({own: record[own]}) };
                        match choices(4) {
                            0 => outer["detail"] = nested.clone(),
                            1 => outer["CloudTrailEvent"] = nested.clone(),
                            2 => outer["CloudTrailEvent"] = text,
                            _ => (outer["detail"], outer["CloudTrailEvent"]) = (nested.clone(), text),
                        }
                        outer
                    }
                    4 => json!({"detail": nested, "EventName": "x", "CloudTrailEvent": record}),
                    _ => {
                        let text = written(record, &mut choices);
                        json!({"EventId": "1", "EventName": "x", "CloudTrailEvent": text})
                    }
                })
                .collect();
            let text = match container {
                0 => written(&json!({"Records": units}), &mut choices),
                1 => written(&json!({"Events": units, "NextToken": "x"}), &mut choices),
                2 => written(&json!({"note": {"Records": [1]}, "Records": units, "version": "1"}), &mut choices),
                3 => written(&Value::from(units), &mut choices),
                4 => units.iter().map(|unit| written(unit, &mut choices) + "\n").collect(),
                5 => {
                    let logs: Vec<Value> = units.chunks(2).map(|some| json!({"Records": some})).chain(units.first().cloned()).collect();
                    written(&Value::from(logs), &mut choices)
                }
                _ => {
                    units.iter().map(|unit| written(unit, &mut choices)).collect::<String>()
                        + &written(&json!({"Records": units}), &mut choices)
                }
            };
            let text = if storage & 1 == 1 { format!("\u{feff}{text}") } else { text };
            let mut file = text.into_bytes();
            if storage & 2 == 2 {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(file.len() + 1)).collect();
                cuts.extend([0, file.len()]);
                cuts.sort_unstable();
                file = cuts.windows(2).flat_map(|cut| gzip(&file[cut[0]..cut[1]])).collect();
            }
            (file, chunk_bytes)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_log_reads_the_same_fast_and_plain((file, chunk_bytes) in file()) {
        let plain = plain(&file);
        for limits in [limits(), in_chunks_of(chunk_bytes), in_chunks_of(1)] {
            let (fast, outcome) = fast(limits, &file);
            prop_assert!(outcome.damage.is_none(), "{:?}\n{}", outcome.damage, String::from_utf8_lossy(&file));
            prop_assert_eq!(&fast, &plain, "{}", String::from_utf8_lossy(&file));
        }
    }

    #[test]
    fn any_log_that_a_program_writes_reads_the_same_fast_and_plain(program in prop::collection::vec(any::<u8>(), 0..400)) {
        let log = programs::logs::log(&program, false);
        prop_assert!(Plain::of(&log.text).whole, "{}", String::from_utf8_lossy(&log.text));
        hold(&log.text, &[1, log.chunk_bytes, 4096]);
        hold(&log.gzip, &[log.chunk_bytes, 4096]);
    }

    #[test]
    fn any_damaged_log_that_a_program_writes_reads_the_same_up_to_the_damage(program in prop::collection::vec(any::<u8>(), 0..400)) {
        let log = programs::logs::log(&program, true);
        hold(&log.text, &[1, log.chunk_bytes, 4096]);
        hold(&log.gzip, &[log.chunk_bytes, 4096]);
    }

    #[test]
    fn a_line_damaged_anywhere_costs_no_other(records in prop::collection::vec(record(), 2..6), which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in prop::option::of(any::<u8>()), chunk_bytes in 1..300_usize) {
        let mut lines: Vec<Vec<u8>> = records.iter().map(|record| record.to_string().into_bytes()).collect();
        let which = 1 + which.index(lines.len() - 1);
        let at = at.index(lines[which].len());
        match byte {
            // A line feed makes two lines of one.
            Some(byte) => lines[which][at] = if byte == b'\n' { b' ' } else { byte },
            None => lines[which].truncate(at),
        }
        let file = lines.join(&b'\n');
        let others: Vec<_> = records.iter().enumerate().filter(|(index, _)| *index != which).map(|(_, record)| node(record)).filter(Node::is_sts).collect();
        for limits in [limits(), in_chunks_of(chunk_bytes)] {
            let (content, outcome) = fast(limits, &file);
            for other in &others {
                prop_assert!(content.sts.contains(other), "{:?}\n{}", outcome.damage, String::from_utf8_lossy(&file));
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut file in prop_oneof![prop::collection::vec(any::<u8>(), 0..300), file().prop_map(|(file, _)| file)], at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        if !file.is_empty() {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let (in_one_go, outcome) = fast(limits(), &file);
        for chunk_bytes in [1, 77] {
            let (in_chunks, chunked) = fast(in_chunks_of(chunk_bytes), &file);
            prop_assert_eq!(&in_one_go, &in_chunks);
            prop_assert_eq!(outcome.kind, chunked.kind);
            prop_assert_eq!(outcome.damage.as_ref().map(ToString::to_string), chunked.damage.as_ref().map(ToString::to_string));
        }
    }
}
