//! Findings to files and to the terminal: one file of code per form.

mod alike;
mod apply;
mod athena;
mod columns;
mod csv;
mod folder;
mod json;
mod output;
mod parquet;
mod place;
mod rows;
mod terminal;
#[cfg(test)]
mod tests;
mod texts;

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;

use chrono::NaiveDate;
use polars::prelude::PolarsError;

use crate::findings::{Finding, recompute, shown, shown_text};
use crate::fixes::Fix;
use crate::scan::{Call, ReadNames, Scan, Slot, UUID_CHARS};
use crate::sts_call::Outcome;
use crate::trail::StoreError;
use crate::trends::{Day, SECONDS_PER_DAY};
use alike::{Alike, Common};
use apply::{Folders, folder_names, folder_of};
use output::Output;
use place::{Claim, Written};
use rows::Cell;

pub use apply::write_folders;
pub use athena::{LocationError, athena};
pub use columns::{Column, DAILY, EVENTS, FIXES, Kind, PRINCIPALS, TABLES, Table};
pub use folder::{Case, PartChange, before, detail, folder, folder_name, part_changes};
pub use json::{Run, summary};
pub use place::{Hold, Place, Scratch};
pub use terminal::{Style, print, tame};

/// A form of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Comma separated values, RFC 4180.
    Csv,
    /// Apache Parquet, zstd.
    Parquet,
    /// A JSON array, one row a line.
    Json,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Json => "json",
        }
    }
}

/// How the files of a report are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One file a table: `events.parquet`.
    Flat,
    /// A dataset partitioned by UTC day, as Hive, Athena and DuckDB read it: `events/day=2026-09-15/events.parquet`, and whole tables in folders of their own.
    Hive,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system refused.
    #[error("{}", .path.display())]
    Io {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread that writes ended before its time.
    #[error("a thread that writes the report ended before its time")]
    Thread,
    /// The store refused.
    #[error(transparent)]
    Store(StoreError),
    /// A table could not be built or encoded.
    #[error("table `{table}`")]
    Table {
        /// Its name.
        table: &'static str,
        /// What polars said.
        source: PolarsError,
    },
}

/// A report being written. Opened before the work, so that a place that cannot be written fails early.
pub struct Report {
    place: Place,
    claim: Claim,
    layout: Layout,
    events: Output,
    principals: Output,
    daily: Output,
    fixes: Output,
}

impl Report {
    /// Opens the files of a report for `place`, in a folder of their own until all are complete. `scratch` gets that folder, for whoever ends the run early.
    ///
    /// # Errors
    /// [`ReportError::Io`] when the folder or a file in it cannot be written.
    pub fn open(place: Place, formats: &[Format], layout: Layout, scratch: &Scratch) -> Result<Report, ReportError> {
        let claim = place.claim(scratch)?;
        let output = |table: Table| Output::create(&claim.path, table, formats, layout);
        let (events, principals, daily, fixes) = (output(EVENTS)?, output(PRINCIPALS)?, output(DAILY)?, output(FIXES)?);
        Ok(Report { place, claim, layout, events, principals, daily, fixes })
    }

    /// Writes the tables, the folders of fixes and `summary.json`; only when all are complete they get their names, the summary last. Until then an earlier
    /// report stands whole. `summary` gives the text of that file, meanwhile.
    ///
    /// # Errors
    /// [`ReportError`] when a table cannot be encoded or a file not written.
    pub fn write(self, scan: &Scan, findings: &[Finding], summary: &(dyn Fn() -> String + Sync), redact: bool) -> Result<(), ReportError> {
        let Report { place, claim, layout, events: all_events, principals: all_principals, daily: all_daily, fixes: all_fixes } = self;
        let rest = || {
            let mut tables = all_principals.fill(findings, |_| None, |findings, row| principals(scan, findings, redact, row))?;
            let days = days(scan, findings);
            tables.extend(all_daily.fill(&days, |(day, _)| Some(day.day), |days, row| daily(scan, days, redact, row))?);
            let ranked = ranked(scan, findings, redact);
            tables.extend(all_fixes.fill(&ranked, |_| None, |ranked, row| fixes(scan, ranked, redact, row))?);
            Ok((tables, Folders::of_report(&claim.path, scan, findings, redact)?, summary()))
        };
        let write = || {
            let (events, rest) = rayon::join(|| write_events(all_events, scan, redact), rest);
            let mut tables = events?;
            let (others, folders, summary) = rest?;
            tables.extend(others);
            let summary_file = Written { key: "summary.json".to_owned(), path: claim.path.join("summary.json") };
            fs::write(&summary_file.path, summary).map_err(|source| ReportError::Io { path: summary_file.path.clone(), source })?;
            sync(tables.iter().chain([&summary_file]))?;
            Ok((tables, folders, summary_file))
        };
        let written = write();
        // Before the result is looked at: a run that is being ended fails for want of its folder, which is not what is to be said.
        let _held = claim.hold();
        let (tables, folders, summary) = written?;
        let by_day: Vec<&str> = TABLES.iter().filter(|table| layout == Layout::Hive && table.by_day).map(|table| table.name).collect();
        place.publish(&tables, &by_day, &folders, &summary)
    }
}

/// Files that are made safe at once: each waits for the same disk, which takes them together.
const SYNCED_AT_ONCE: usize = 16;

/// Makes `files` safe from a loss of power.
fn sync<'a>(files: impl Iterator<Item = &'a Written>) -> Result<(), ReportError> {
    let files: Vec<&Written> = files.collect();
    let sync = |file: &&Written| {
        let synced = File::options().append(true).open(&file.path).and_then(|opened| opened.sync_all());
        synced.map_err(|source| ReportError::Io { path: file.path.clone(), source })
    };
    thread::scope(|scope| {
        let each = files.len().div_ceil(SYNCED_AT_ONCE).max(1);
        let threads: Vec<_> = files.chunks(each).map(|files| scope.spawn(move || files.iter().try_for_each(sync))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err(ReportError::Thread)))
    })
}

fn count(value: impl Into<i64>) -> Cell<'static> {
    Cell::Count(Some(value.into()))
}

fn count_of(value: Option<u32>) -> Cell<'static> {
    Cell::Count(value.map(i64::from))
}

/// The UTC day of a call.
fn day_of(scan: &Scan, slot: Slot) -> Option<i32> {
    i32::try_from(scan.calls.get(slot)?.time.div_euclid(SECONDS_PER_DAY)).ok()
}

/// The columns of the table of calls that hold the same for many of them: all but time, id and place.
const COMMON: Range<usize> = 2..EVENTS.columns.len() - 1;

/// Writes the table of calls. What many calls have in common is made once for all of them, where that is so.
fn write_events(output: Output, scan: &Scan, redact: bool) -> Result<Vec<Written>, ReportError> {
    let slots = scan.calls.slots();
    let likeness = |slot: &Slot| scan.calls.get(*slot).map(Call::likeness);
    let Some(alike) = output.may_share().then(|| Alike::of(slots, likeness)).flatten() else {
        let rows = |slots: &[Slot], row: &mut dyn FnMut(&[Cell<'_>])| {
            let names = scan.names.read();
            each_call(scan, &names, slots.iter().map(|&slot| (slot, ())), |(), call, [time, event_id, location]| {
                with_common(scan, &names, call, redact, |common| {
                    let mut whole = [Cell::Flag(false); EVENTS.columns.len()];
                    let cells = [time, event_id].into_iter().chain(common.iter().copied()).chain([location]);
                    whole.iter_mut().zip(cells).for_each(|(to, cell)| *to = cell);
                    row(&whole);
                });
            });
        };
        return output.fill(slots, |slot| day_of(scan, *slot), rows);
    };
    let mut common = Common::new(EVENTS, COMMON);
    let names = scan.names.read();
    for call in alike.first.iter().filter_map(|&slot| scan.calls.get(slot)) {
        with_common(scan, &names, call, redact, |cells| common.push(cells));
    }
    let rows = |items: &[(Slot, u32)], row: &mut dyn FnMut(&[Cell<'_>])| {
        each_call(scan, &names, items.iter().copied(), |number, _, [time, event_id, location]| {
            row(&[time, event_id, Cell::Common(number), location]);
        });
    };
    output.with_common(common).fill(&alike.items, |(slot, _)| day_of(scan, *slot), rows)
}

/// The time, id and place of each of `calls`.
fn each_call<N>(scan: &Scan, names: &ReadNames<'_>, calls: impl Iterator<Item = (Slot, N)>, mut with: impl FnMut(N, &Call, [Cell<'_>; 3])) {
    let mut location = String::new();
    for (slot, number) in calls {
        let Some(call) = scan.calls.get(slot) else { continue };
        let mut uuid = [0; UUID_CHARS];
        let event_id = call.event_id.text_in(names, &mut uuid);
        location.clear();
        scan.write_location(call, &mut location);
        with(number, call, [Cell::Time(Some(call.time)), Cell::Text(event_id), Cell::Text(Some(&location))]);
    }
}

/// The cells of `call` in the columns [`COMMON`]: the same for all calls of one [`Call::likeness`].
fn with_common(scan: &Scan, names: &ReadNames<'_>, call: &Call, redact: bool, with: impl FnOnce(&[Cell<'_>; COMMON.end - COMMON.start])) {
    let text = |name| names.text(name);
    let caller = text(call.caller).map(|caller| shown_text(caller, redact));
    let recomputed = recompute(scan, call);
    let observed = call.observed_percent();
    let parts = recomputed.map(|it| it.parts);
    let fingerprint = recomputed.map(|it| it.facts.fingerprint_digits());
    with(&[
        Cell::Text(Some(call.operation.name())),
        Cell::Text(Some(if call.outcome == Outcome::Granted { "granted" } else { "refused" })),
        Cell::Text(text(call.error_code)),
        Cell::Text(text(call.role)),
        Cell::Text(caller.as_deref()),
        Cell::Text(Some(call.caller_kind.name())),
        Cell::Text(text(call.account)),
        Cell::Text(text(call.region)),
        Cell::Text(call.regime.map(|regime| regime.name())),
        Cell::Decimal(observed),
        count_of(call.session_token_bytes),
        Cell::Decimal(recomputed.map(|it| it.percent.value)),
        Cell::Decimal(recomputed.map(|it| it.percent.low)),
        Cell::Decimal(recomputed.map(|it| it.percent.high)),
        Cell::Decimal(observed.zip(recomputed).map(|(observed, it)| observed - it.whole_percent)),
        count_of(parts.map(|parts| parts.packed_bytes())),
        count_of(parts.map(|parts| parts.policy_bytes)),
        count_of(parts.map(|parts| parts.policy_arn_bytes)),
        count_of(parts.map(|parts| parts.tag_bytes)),
        count_of(parts.map(|parts| parts.inherited_tag_bytes)),
        count_of(call.policy_chars),
        count_of(recomputed.map(|it| u32::from(it.facts.policy_arns))),
        count_of(recomputed.map(|it| u32::from(it.facts.tags))),
        count_of(recomputed.map(|it| u32::from(it.facts.inherited_tags))),
        Cell::Text(fingerprint.as_ref().and_then(|digits| str::from_utf8(digits).ok())),
    ]);
}

fn principals(scan: &Scan, findings: &[Finding], redact: bool, row: &mut dyn FnMut(&[Cell<'_>])) {
    for finding in findings {
        let role = scan.names.text(finding.role);
        let caller = shown(&scan.names, finding.caller, redact);
        let worst = finding.worst.and_then(|slot| scan.calls.get(slot)).and_then(|call| call.event_id.text(&scan.names));
        let (verdict, trend) = (&finding.verdict, &finding.trend);
        let best = finding.fixes.first();
        let best_title = best.map(Fix::title);
        row(&[
            Cell::Text(role.as_deref()),
            Cell::Text(caller.as_deref()),
            Cell::Text(Some(finding.caller_kind.name())),
            Cell::Text(Some(finding.operation.name())),
            Cell::Text(Some(verdict.status.name())),
            Cell::Text(Some(&finding.reason())),
            count(verdict.calls),
            count(verdict.refused_calls),
            Cell::Time(Some(finding.first_seen)),
            Cell::Time(Some(finding.last_seen)),
            Cell::Decimal(verdict.latest_percent),
            Cell::Decimal(verdict.p95_percent),
            Cell::Decimal(verdict.max_percent),
            count_of(verdict.max_session_token_bytes),
            Cell::Decimal(trend.slope_percent_per_day),
            Cell::Decimal(trend.slope_low),
            Cell::Decimal(trend.slope_high),
            Cell::Date(trend.limit_day),
            Cell::Date(trend.limit_day_low),
            Cell::Date(trend.limit_day_high),
            Cell::Text(Some(finding.limit_name())),
            Cell::Text(trend.driver.map(|part| part.name())),
            Cell::Text(worst.as_deref()),
            Cell::Flag(finding.actionable),
            Cell::Text(best_title.as_deref()),
            Cell::Decimal(best.map(|fix| fix.after.value)),
        ]);
    }
}

/// The rows of the table of days: by day, then role, caller and operation.
fn days<'a>(scan: &Scan, findings: &'a [Finding]) -> Vec<(&'a Day, &'a Finding)> {
    let mut days: Vec<_> = findings
        .iter()
        .flat_map(|finding| finding.days.iter().map(move |day| (day, finding)))
        .map(|(day, finding)| (day, finding, scan.names.text(finding.role), scan.names.text(finding.caller)))
        .collect();
    days.sort_by(|(day_a, a, role_a, caller_a), (day_b, b, role_b, caller_b)| {
        day_a
            .day
            .cmp(&day_b.day)
            .then_with(|| role_a.cmp(role_b))
            .then_with(|| caller_a.cmp(caller_b))
            .then_with(|| a.operation.name().cmp(b.operation.name()))
    });
    days.into_iter().map(|(day, finding, ..)| (day, finding)).collect()
}

fn daily(scan: &Scan, days: &[(&Day, &Finding)], redact: bool, row: &mut dyn FnMut(&[Cell<'_>])) {
    for (day, finding) in days {
        let role = scan.names.text(finding.role);
        let caller = shown(&scan.names, finding.caller, redact);
        row(&[
            Cell::Date(Some(day.day)),
            Cell::Text(role.as_deref()),
            Cell::Text(caller.as_deref()),
            Cell::Text(Some(finding.operation.name())),
            count(day.calls),
            count(day.refused_calls),
            Cell::Decimal(day.p50_percent),
            Cell::Decimal(day.p95_percent),
            Cell::Decimal(day.max_percent),
            count_of(day.max_session_token_bytes),
            count_of(day.max_packed_bytes),
        ]);
    }
}

/// A fix of a finding, its rank from 1, and its folder.
struct Ranked<'a> {
    finding: &'a Finding,
    rank: u32,
    fix: &'a Fix,
    folder: Option<String>,
}

/// The rows of the table of fixes: by finding, then rank.
fn ranked<'a>(scan: &Scan, findings: &'a [Finding], redact: bool) -> Vec<Ranked<'a>> {
    let of_finding = |(finding, parent): (&'a Finding, Option<String>)| {
        (1_u32..).zip(&finding.fixes).map(move |(rank, fix)| {
            let folder = folder_of(parent.as_deref(), rank as usize, fix);
            Ranked { finding, rank, fix, folder }
        })
    };
    findings.iter().zip(folder_names(scan, findings, redact)).flat_map(of_finding).collect()
}

fn fixes(scan: &Scan, fixes: &[Ranked<'_>], redact: bool, row: &mut dyn FnMut(&[Cell<'_>])) {
    for Ranked { finding, rank, fix, folder } in fixes {
        let role = scan.names.text(finding.role);
        let caller = shown(&scan.names, finding.caller, redact);
        row(&[
            Cell::Text(role.as_deref()),
            Cell::Text(caller.as_deref()),
            Cell::Text(Some(finding.operation.name())),
            count(*rank),
            Cell::Text(Some(&fix.rule())),
            Cell::Text(Some(&fix.title())),
            Cell::Text(Some(fix.effect.name())),
            Cell::Decimal(Some(fix.before_percent)),
            Cell::Decimal(Some(fix.after.value)),
            Cell::Decimal(Some(fix.after.low)),
            Cell::Decimal(Some(fix.after.high)),
            count(fix.saved_bytes),
            Cell::Text(Some(&fix.detail())),
            Cell::Text(folder.as_deref()),
        ]);
    }
}

/// `2026-07-15` for days since 1970-01-01.
fn date_text(day: i32) -> String {
    NaiveDate::from_epoch_days(day).map(|date| date.to_string()).unwrap_or_default()
}

/// What stands in `summary.json`.
const SUMMARY: [(&str, &str); 11] = [
    ("version", "of packtrail"),
    ("started, finished", "when the run began and when its results were complete, UTC"),
    ("sources", "as named on the command line"),
    ("window", "from and to: --since and --until, else the first and the last kept call"),
    (
        "coverage",
        "files_listed = files_read + files_skipped + unreadable; skipped by kind; bytes_read, bytes_inflated; records; sts_calls = kept_calls + filtered + duplicates; unreadable: location, reason, records_read; denied",
    ),
    ("state", "with --state: where it lies, how many files were read now and how many known before; else null"),
    ("statuses", "findings by status, each by its nearest limit"),
    ("ceilings", "with --ceiling: name, limit_bytes, and how many findings it is the nearest limit of; else empty"),
    ("requests", "distinct requests among the kept calls and their copies"),
    ("profile", "the figures of the engine: limits and overheads in bytes"),
    (
        "regimes",
        "by regime: its limit in bytes, calls granted, refused for size and otherwise; under_the_limit_today: what the calls of the old regime take of today's limit by the length of their tokens, how many were below a warning and are not, and what would become of those refused for size; and how many of these stay within today's limit",
    ),
];

/// What `packtrail schema` prints: every table, every column, its type and its meaning, and summary.json.
pub fn schema() -> String {
    let mut text = String::new();
    for table in TABLES {
        text.push_str(&format!("{}: {}\n", table.name, table.rows));
        let name_width = table.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
        for column in table.columns {
            text.push_str(&format!("  {:name_width$}  {:29}  {}\n", column.name, column.kind.name(), column.meaning));
        }
        text.push('\n');
    }
    text.push_str("summary.json: one object about the whole run\n");
    for (name, meaning) in SUMMARY {
        text.push_str(&format!("  {name:22}  {meaning}\n"));
    }
    text.push('\n');
    text.push_str(
        "Percentages are points of the limit, two decimals; sizes are bytes; times are UTC; account ids are text. Empty (null) means unknown, never 0.\n\
         CSV: RFC 4180, and a text cell that starts with = + - @ tab or CR gets a leading '. Parquet: the types above, zstd.\n\
         apply/: for the three best fixes of a finding a folder each, which the column folder of fixes names: README.md explains the fix, policy.json is the\n\
         policy to send, policy.pretty.json the same to read, policy.diff what changes in it, request.json the whole request for the AWS CLI, request.diff\n\
         what else changes, commands.sh the commands, and beside them what the fix needs. None with --redact, since they show what it hides.\n\
         --layout hive: a Parquet file a UTC day for events and daily, events/day=2026-09-15/events.parquet, and principals/ and fixes/ whole; the\n\
         column day is then the partition, also of events, where it is the day of event_time. packtrail schema --athena prints the tables for Athena.\n",
    );
    text
}
