//! A table as a JSON array with one row a line, and `summary.json`.

use std::fs::File;
use std::io::{self, Write};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::columns::Column;
use super::csv::rfc3339;
use super::rows::{Cell, two_decimals};
use crate::findings::{Finding, OldCalls, old_calls};
use crate::packing::{Ceiling, Regime};
use crate::scan::{Coverage, Scan};
use crate::state::Counts;
use crate::sts_call::Outcome;
use crate::trends::Status;

/// Writes one table as a JSON array.
pub(super) struct Json {
    file: File,
    first: bool,
}

/// Rows of a table as JSON objects, each behind a comma and on a line of its own.
pub(super) struct Rows {
    columns: &'static [Column],
    text: Vec<u8>,
}

impl Json {
    pub(super) fn new(file: File) -> Json {
        Json { file, first: true }
    }

    pub(super) fn write(&mut self, rows: &Rows) -> io::Result<()> {
        match rows.text.split_first() {
            Some((_comma, text)) if std::mem::take(&mut self.first) => {
                self.file.write_all(b"[")?;
                self.file.write_all(text)
            }
            _ => self.file.write_all(&rows.text),
        }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.write_all(if self.first { b"[]\n" } else { b"\n]\n" })
    }
}

impl Rows {
    pub(super) fn new(columns: &'static [Column]) -> Rows {
        Rows { columns, text: Vec::new() }
    }

    /// Takes one row: a cell per column, in order.
    pub(super) fn push(&mut self, row: &[Cell<'_>]) {
        self.text.extend_from_slice(b",\n{");
        for (at, (column, cell)) in self.columns.iter().zip(row).enumerate() {
            self.text.extend_from_slice(if at > 0 { b",\"" } else { b"\"" });
            self.text.extend_from_slice(column.name.as_bytes());
            self.text.extend_from_slice(b"\":");
            self.text.extend_from_slice(value(cell).to_string().as_bytes());
        }
        self.text.push(b'}');
    }
}

fn value(cell: &Cell<'_>) -> Value {
    match *cell {
        Cell::Text(Some(text)) => Value::from(text),
        Cell::Time(Some(seconds)) => Value::from(rfc3339(seconds)),
        Cell::Date(Some(day)) => Value::from(super::date_text(day)),
        Cell::Count(Some(number)) => Value::from(number),
        Cell::Decimal(Some(number)) => Value::from(two_decimals(number)),
        Cell::Flag(flag) => Value::from(flag),
        // Of no number: rows of JSON have all their cells.
        Cell::Text(None) | Cell::Time(None) | Cell::Date(None) | Cell::Count(None) | Cell::Decimal(None) | Cell::Common(_) => Value::Null,
    }
}

/// When a run began and ended, and what it was told.
#[derive(Clone, Debug)]
pub struct Run {
    /// When the run began.
    pub started: DateTime<Utc>,
    /// When its results were complete.
    pub finished: DateTime<Utc>,
    /// The sources as the user named them.
    pub sources: Vec<String>,
    /// `--since`, seconds since 1970-01-01 UTC.
    pub since: Option<i64>,
    /// `--until`, seconds since 1970-01-01 UTC.
    pub until: Option<i64>,
    /// The ceilings, as the user named them.
    pub ceilings: Vec<Ceiling>,
    /// Where the state lies and what it had, with `--state`.
    pub state: Option<(String, Counts)>,
}

/// The text of `summary.json`.
pub fn summary(run: &Run, scan: &Scan, findings: &[Finding]) -> String {
    let mut times = scan.calls.iter().map(|(_, call)| call.time);
    let (oldest, newest) = (times.next(), times.next_back());
    let from = run.since.or(oldest);
    // With one call, `next_back` finds the iterator already empty.
    let to = run.until.or(newest).or(oldest);

    let mut regimes = [[0_u64; 3]; 3];
    for (_, call) in scan.calls.iter() {
        let regime = match call.regime {
            Some(Regime::PackedPolicy) => 0,
            Some(Regime::SessionToken) => 1,
            None => 2,
        };
        let outcome = match call.outcome {
            Outcome::Granted => 0,
            Outcome::RefusedForSize => 1,
            Outcome::RefusedOtherwise => 2,
        };
        if let Some(count) = regimes.get_mut(regime).and_then(|row| row.get_mut(outcome)) {
            *count += 1;
        }
    }
    let profile = scan.requests.profile();
    let regime = |name: Option<Regime>, [granted, for_size, otherwise]: [u64; 3]| {
        json!({
            "limit_bytes": name.map(|name| profile.limit_bytes(name)),
            "granted": granted,
            "refused_for_size": for_size,
            "refused_otherwise": otherwise,
        })
    };
    let [old, new, unknown] = regimes;
    let today = old_calls(scan);
    let mut old = regime(Some(Regime::PackedPolicy), old);
    if let Value::Object(old) = &mut old {
        old.insert("under_the_limit_today".to_owned(), under_the_limit_today(&today));
    }
    let count = |status: Status| findings.iter().filter(|finding| finding.verdict.status == status).count();
    let statuses: Map<String, Value> =
        Status::ALL.into_iter().map(|status| (status.name().to_owned(), Value::from(count(status)))).collect();

    let nearest = |ceiling: &Ceiling| findings.iter().filter(|finding| finding.ceiling.as_ref() == Some(ceiling)).count();
    let ceilings: Vec<Value> = run
        .ceilings
        .iter()
        .map(|ceiling| json!({ "name": ceiling.name, "limit_bytes": ceiling.bytes, "findings_nearest": nearest(ceiling) }))
        .collect();

    let summary = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": run.started.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "finished": run.finished.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "sources": run.sources,
        "window": { "from": from.map(rfc3339), "to": to.map(rfc3339) },
        "coverage": coverage(&scan.coverage, scan.calls.len()),
        "state": run.state.as_ref().map(|(location, counts)| json!({
            "location": location,
            "files_new": counts.files_new,
            "files_known": counts.files_known,
        })),
        "statuses": statuses,
        "ceilings": ceilings,
        "requests": scan.requests.len(),
        "profile": profile.to_json(),
        "regimes": {
            "packed-policy": old,
            "session-token": regime(Some(Regime::SessionToken), new),
            "unknown": regime(None, unknown),
            "refused_before_but_within_the_limit_today": today.refused_then_granted_today,
        },
    });
    let mut text = serde_json::to_string_pretty(&summary).unwrap_or_default();
    text.push('\n');
    text
}

/// What the calls of the old regime weigh today.
fn under_the_limit_today(old: &OldCalls) -> Value {
    let percentile = |percent| old.percentile(percent).map(two_decimals);
    json!({
        "limit_bytes": old.limit_bytes,
        "with_token_length": old.with_token_length(),
        "median_percent": percentile(50),
        "p95_percent": percentile(95),
        "max_percent": percentile(100),
        "fine_before_but_warning_today": old.fine_then_warning_today,
        "refused_for_size": {
            "granted_today": old.refused_then_granted_today,
            "refused_today": old.refused_then_and_today,
            "unknown": old.refused_then_unknown_today,
        },
    })
}

fn coverage(coverage: &Coverage, kept: usize) -> Value {
    json!({
        "files_listed": coverage.files_listed,
        "files_read": coverage.files_read,
        "files_skipped": coverage.files_skipped(),
        "skipped": coverage.skipped,
        "bytes_read": coverage.bytes_read,
        "bytes_inflated": coverage.bytes_inflated,
        "records": coverage.records,
        "sts_calls": coverage.sts_calls,
        "filtered": coverage.filtered,
        "duplicates": coverage.duplicates,
        "kept_calls": kept,
        "unreadable": coverage.unreadable.iter().map(|one| json!({
            "location": one.location,
            "reason": one.reason,
            "records_read": one.records_read,
        })).collect::<Vec<_>>(),
        "denied": coverage.denied.iter().map(|one| json!({ "prefix": one.prefix, "reason": one.reason })).collect::<Vec<_>>(),
    })
}
