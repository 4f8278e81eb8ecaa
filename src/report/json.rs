//! A table as a JSON array with one row a line, and `summary.json`.

use std::fs::File;
use std::io::{BufWriter, Write};

use chrono::{DateTime, Utc};
use polars::prelude::*;
use serde_json::{Map, Value, json};

use super::csv::rfc3339;
use super::frame::two_decimals;
use super::output::TableWriter;
use crate::findings::{Finding, OldCalls, old_calls};
use crate::packing::{Ceiling, Regime};
use crate::scan::{Coverage, Scan};
use crate::state::Counts;
use crate::sts_call::Outcome;
use crate::trends::Status;

/// Writes batches of one table as a JSON array.
pub(super) struct Json {
    file: BufWriter<File>,
    first: bool,
}

impl Json {
    pub(super) fn new(file: File) -> Json {
        Json { file: BufWriter::new(file), first: true }
    }
}

impl TableWriter for Json {
    fn write(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        let columns = frame.columns();
        for row in 0..frame.height() {
            self.file.write_all(if std::mem::take(&mut self.first) { b"[\n" } else { b",\n" })?;
            let mut object = Map::new();
            for column in columns {
                object.insert(column.name().to_string(), value(&column.get(row)?));
            }
            serde_json::to_writer(&mut self.file, &object).map_err(std::io::Error::from)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> PolarsResult<()> {
        self.file.write_all(if self.first { b"[]\n" } else { b"\n]\n" })?;
        self.file.into_inner().map(drop).map_err(|error| PolarsError::from(error.into_error()))
    }
}

fn value(cell: &AnyValue<'_>) -> Value {
    match cell {
        AnyValue::String(text) => Value::from(*text),
        AnyValue::StringOwned(text) => Value::from(text.as_str()),
        AnyValue::Boolean(flag) => Value::from(*flag),
        AnyValue::Int64(number) => Value::from(*number),
        AnyValue::Float64(number) => Value::from(*number),
        AnyValue::Datetime(micros, _, _) => Value::from(rfc3339(*micros)),
        AnyValue::DatetimeOwned(micros, _, _) => Value::from(rfc3339(*micros)),
        AnyValue::Date(day) => Value::from(super::date_text(*day)),
        _ => Value::Null,
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
    let time = |seconds: i64| rfc3339(seconds.saturating_mul(1_000_000));
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
        "window": { "from": from.map(time), "to": to.map(time) },
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
