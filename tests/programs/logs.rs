//! Log files written by programs of bytes.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{CALL, Program, Writer};

/// A log, and how it is stored and read.
#[derive(Debug)]
pub struct Log {
    /// The text.
    pub text: Vec<u8>,
    /// The text in one gzip member or several; damaged where the program says so.
    pub gzip: Vec<u8>,
    /// Bytes to inflate at a time.
    pub chunk_bytes: usize,
}

/// The log that `bytes` writes. Where `hostile` does not hold, its text is always JSON.
pub fn log(bytes: &[u8], hostile: bool) -> Log {
    let mut writer = Writer::new(Program::new(bytes));
    let style = writer.program.byte();
    writer.spaced = style & 1 == 1;
    writer.hostile = hostile && style & 2 == 2;
    let damaged = hostile && style & 12 == 12;
    let chunk_bytes = match writer.program.below(256) {
        few @ 0..192 => 1 + few,
        many => 64 * many,
    };
    let storage = writer.program.byte();
    if style & 16 == 16 {
        writer.put("\u{feff}");
    }
    container(&mut writer);
    let Writer { mut program, out: mut text, .. } = writer;
    if damaged {
        damage(&mut program, &mut text);
    }
    let mut cuts: Vec<usize> = (0..storage % 3).map(|_| program.far_below(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    let mut gzip: Vec<u8> = cuts.windows(2).flat_map(|cut| gzip(&text[cut[0]..cut[1]])).collect();
    if hostile && storage >= 224 {
        damage(&mut program, &mut gzip);
    }
    Log { text, gzip, chunk_bytes }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
    encoder.write_all(text).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn damage(program: &mut Program<'_>, bytes: &mut Vec<u8>) {
    let at = program.far_below(bytes.len());
    match program.below(6) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, program.byte()),
        2 => drop(bytes.drain(at..bytes.len().min(at + 1 + program.below(80)))),
        3 => bytes.push(program.byte()),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = program.one_of(b"\"\\{}[],:\n \0\xffY");
            }
        }
    }
}

fn container(writer: &mut Writer<'_>) {
    match writer.program.below(10) {
        0 | 1 => records_under(writer, "Records"),
        2 => records_under(writer, "Events"),
        3 => units_in_brackets(writer),
        4 | 5 => lines(writer, &["\n", "\r\n", "\n\n", "\n \t"]),
        6 => lines(writer, &["", "\n", " ", "\u{feff}", "\n\u{feff}"]),
        7 => {
            // Whole logs in an array.
            let logs = writer.program.below(4);
            writer.list(logs, |writer, _| match writer.program.below(3) {
                0 => records_under(writer, "Records"),
                1 => unit(writer),
                _ => writer.value(),
            });
        }
        8 => unit(writer),
        _ => {
            // Logs and records one after another.
            for _ in 0..1 + writer.program.below(4) {
                match writer.program.below(4) {
                    0 => records_under(writer, "Records"),
                    1 => units_in_brackets(writer),
                    2 => writer.put("\n"),
                    _ => unit(writer),
                }
            }
        }
    }
    writer.space();
}

/// An object with records under `name`, and other members before and after, some of the same name.
fn records_under(writer: &mut Writer<'_>, name: &str) {
    let around = writer.program.byte();
    let (before, after) = if around < 192 { (0, 0) } else { (usize::from(around & 3), usize::from(around >> 2 & 3)) };
    writer.object(before + 1 + after, |writer, index| {
        if index == before {
            let escapes = around & 16 == 16 && around >= 192;
            writer.name(name, escapes);
            writer.colon();
            units_in_brackets(writer);
        } else {
            writer.key();
            writer.colon();
            writer.value();
        }
    });
}

fn units_in_brackets(writer: &mut Writer<'_>) {
    let units = units(writer);
    writer.list(units, |writer, _| element(writer));
}

fn units(writer: &mut Writer<'_>) -> usize {
    writer.program.below(16)
}

fn lines(writer: &mut Writer<'_>, ends: &[&str]) {
    let end = writer.program.one_of(ends);
    for _ in 0..units(writer) {
        unit(writer);
        writer.put(end);
        if writer.hostile && writer.program.seldom(12) {
            let junk = writer.program.one_of(&["oops\n", "}\n", "{\"a\":1", "{\"a\":\"\n", "17\n", "\"x\"\n", "\n", "]", "{}}\n"]);
            writer.put(junk);
        }
    }
}

/// What stands in a list of records: most often a record.
fn element(writer: &mut Writer<'_>) {
    if writer.program.seldom(12) { writer.value() } else { unit(writer) }
}

/// An object that stands where records stand, or a run of records with nothing remarkable in between, which ends with one.
fn unit(writer: &mut Writer<'_>) {
    match writer.program.below(13) {
        0..=2 => writer.put(CALL),
        3 => record(writer),
        4 => {
            writer.depth = 3;
            record(writer);
            writer.depth = 6;
        }
        // Others of a length that shifts all that follows.
        5 => other(writer),
        6 => {
            let (times, comma) = (writer.program.below(24), if writer.out.ends_with(b"\n") { "\n" } else { "," });
            // Between lines a comma would be damage.
            if comma == "," && !within_list(&writer.out) {
                return other(writer);
            }
            for _ in 0..times {
                other(writer);
                writer.put(comma);
            }
            other(writer);
        }
        7 => {
            writer.put(r#"{"version":"0","source":"aws.sts","detail":"#);
            record(writer);
            writer.put("}");
        }
        8 => {
            // A record as text in another document, its escapes escaped once more.
            let begun = writer.out.len();
            record(writer);
            let inner = writer.out.split_off(begun);
            writer.put(r#"{"EventId":"1","EventName":"x","CloudTrailEvent":""#);
            for byte in inner {
                match byte {
                    b'"' | b'\\' => writer.put([b'\\', byte]),
                    0..b' ' => writer.put(format!("\\u{byte:04x}")),
                    byte => writer.put([byte]),
                }
            }
            writer.put("\"}");
        }
        9 => {
            writer.put(r#"{"CloudTrailEvent":"#);
            record(writer);
            writer.put("}");
        }
        // Keys and values of any kind: envelopes of envelopes, records that hold records, keys that stand twice.
        10 => {
            let members = writer.program.below(6);
            writer.object(members, |writer, _| {
                writer.key();
                writer.colon();
                writer.value();
            });
        }
        11 => {
            let own = writer.program.one_of(&["eventName", "eventVersion", "eventSource"]);
            writer.put(format!("{{\"{own}\":\"x\",\"detail\":{CALL},\"CloudTrailEvent\":{CALL}}}"));
        }
        _ => {
            let small = writer.program.one_of(&[
                "{}",
                r#"{"a":{}}"#,
                r#"{"eventSource":"sts.amazonaws.com"}"#,
                r#"{"eventVersion":"1.07","eventCategory":"Insight"}"#,
                r#"{"eventSource":"aws:s3","eventVersion":"2.1"}"#,
                r#"{"digestStartTime":"x"}"#,
                r#"{"userIdentity":{"type":"sts.amazonaws.com"}}"#,
                r#"{"eventVersion":"1.09","eventCategory":"NetworkActivity"}"#,
            ]);
            writer.put(small);
        }
    }
}

/// Whether what is written next is an element of a list.
fn within_list(text: &[u8]) -> bool {
    let before = text.iter().rposition(|byte| !b" \t\r\n".contains(byte)).and_then(|at| text.get(at));
    matches!(before, Some(b'[' | b','))
}

/// A record that is no call and shows nothing remarkable.
fn other(writer: &mut Writer<'_>) {
    let length = writer.program.byte();
    writer.put(r#"{"eventVersion":"1.08","eventSource":"s3.amazonaws.com","eventName":"GetObject","requestParameters":{"key":""#);
    writer.repeat("k", length.into());
    writer.put(r#""},"responseElements":null}"#);
}

/// A record with its own keys and others in an order of the program's.
fn record(writer: &mut Writer<'_>) {
    let first = writer.program.below(5);
    let more = writer.program.below(4);
    writer.object(5 + more, |writer, index| match (index + first) % (5 + more) {
        0 => {
            let escapes = writer.program.seldom(6);
            writer.name("eventSource", escapes);
            writer.colon();
            let source = writer.program.one_of(&[
                "sts.amazonaws.com",
                "s3.amazonaws.com",
                "sts.amazonaws.com.cn",
                "xsts.amazonaws.com",
                "STS.amazonaws.com",
                "sts.amazonaws.com.example",
                "sts.amazonaws.co",
                "sts.amazonaws",
                "",
            ]);
            let escapes = writer.program.seldom(4);
            if source.is_empty() { writer.text() } else { writer.name(source, escapes) }
        }
        1 => {
            writer.put(r#""eventVersion":"1.08""#);
        }
        2 => {
            writer.put(r#""eventName":"#);
            writer.text();
        }
        3 => {
            writer.put(r#""requestParameters":"#);
            writer.value();
        }
        4 => {
            let length = writer.program.byte();
            writer.put(r#""userAgent":""#);
            writer.repeat("u", length.into());
            writer.put("\"");
        }
        _ => {
            writer.key();
            writer.colon();
            writer.value();
        }
    });
}
