//! Findings to files and to the terminal: one file of code per form.

mod columns;
mod csv;
mod frame;
mod json;
mod parquet;
mod terminal;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use polars::prelude::{DataFrame, PolarsError, PolarsResult};

use crate::findings::{Finding, recompute, shown};
use crate::scan::Scan;
use crate::sts_call::Outcome;
use frame::{Cell, Rows};

pub use columns::{Column, DAILY, EVENTS, FIXES, Kind, PRINCIPALS, TABLES, Table};
pub use json::{Run, summary};
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

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A table could not be built or encoded.
    #[error("table `{table}`: {source}")]
    Table {
        /// Its name.
        table: &'static str,
        /// What polars said.
        source: PolarsError,
    },
}

/// One form of one table being written.
trait TableWriter {
    fn write(&mut self, frame: &DataFrame) -> PolarsResult<()>;
    fn finish(self: Box<Self>) -> PolarsResult<File>;
}

/// A file under a temporary name that gets its own when it is complete, so that no reader ever sees half of it.
struct Pending {
    temporary: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Pending {
    fn create(directory: &Path, name: &str) -> Result<(Pending, File), ReportError> {
        let path = directory.join(name);
        let temporary = directory.join(format!(".{name}.{}.tmp", std::process::id()));
        let file = File::create(&temporary).map_err(|source| ReportError::Io { path: path.clone(), source })?;
        Ok((Pending { temporary, path, done: false }, file))
    }

    fn finish(mut self, file: &File) -> Result<(), ReportError> {
        file.sync_all()
            .and_then(|()| fs::rename(&self.temporary, &self.path))
            .map_err(|source| ReportError::Io { path: self.path.clone(), source })?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            // Best effort: the run already failed for another reason.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// One table in all its forms.
struct Output {
    table: &'static Table,
    writers: Vec<(Box<dyn TableWriter>, Pending)>,
}

impl Output {
    fn create(directory: &Path, table: &'static Table, formats: &[Format]) -> Result<Output, ReportError> {
        let broken = |source| ReportError::Table { table: table.name, source };
        let mut writers: Vec<(Box<dyn TableWriter>, Pending)> = Vec::new();
        for format in formats {
            let (pending, file) = Pending::create(directory, &format!("{}.{}", table.name, format.extension()))?;
            let writer: Box<dyn TableWriter> = match format {
                Format::Csv => Box::new(csv::Csv::new(file)),
                Format::Parquet => Box::new(parquet::Parquet::new(file, &Rows::new(table).frame().map_err(broken)?).map_err(broken)?),
                Format::Json => Box::new(json::Json::new(file)),
            };
            writers.push((writer, pending));
        }
        let mut output = Output { table, writers };
        // An empty table still has its header.
        output.write(Rows::new(table))?;
        Ok(output)
    }

    fn write(&mut self, rows: Rows) -> Result<(), ReportError> {
        let broken = |source| ReportError::Table { table: self.table.name, source };
        let frame = rows.frame().map_err(broken)?;
        for (writer, _) in &mut self.writers {
            writer.write(&frame).map_err(broken)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), ReportError> {
        for (writer, pending) in self.writers {
            let file = writer.finish().map_err(|source| ReportError::Table { table: self.table.name, source })?;
            pending.finish(&file)?;
        }
        Ok(())
    }

    /// Takes rows and writes them in batches, so that memory does not grow with the table.
    fn fill(mut self, rows: impl FnOnce(&mut dyn FnMut(&[Cell<'_>]))) -> Result<(), ReportError> {
        let mut batch = Rows::new(self.table);
        let mut failed = None;
        rows(&mut |row: &[Cell<'_>]| {
            batch.push(row);
            if batch.len() == BATCH_ROWS && failed.is_none() {
                let full = std::mem::replace(&mut batch, Rows::new(self.table));
                failed = self.write(full).err();
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if batch.len() > 0 {
            self.write(batch)?;
        }
        self.finish()
    }
}

/// Rows a batch: a Parquet row group, some 10 MB while it is built.
const BATCH_ROWS: usize = 32_768;

/// Where the report goes. Made before the work, so that a path that cannot be written fails early.
pub struct Report {
    directory: PathBuf,
    events: Output,
    principals: Output,
    daily: Output,
    fixes: Output,
    summary: (Pending, File),
}

impl Report {
    /// Opens every file of the report in `directory`, which is made if need be.
    ///
    /// # Errors
    /// [`ReportError::Io`] when the directory or a file in it cannot be written.
    pub fn open(directory: &Path, formats: &[Format]) -> Result<Report, ReportError> {
        fs::create_dir_all(directory).map_err(|source| ReportError::Io { path: directory.to_owned(), source })?;
        Ok(Report {
            directory: directory.to_owned(),
            events: Output::create(directory, &EVENTS, formats)?,
            principals: Output::create(directory, &PRINCIPALS, formats)?,
            daily: Output::create(directory, &DAILY, formats)?,
            fixes: Output::create(directory, &FIXES, formats)?,
            summary: Pending::create(directory, "summary.json")?,
        })
    }

    /// The directory the report goes to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes the tables and `summary.json`, each under its name only when complete.
    ///
    /// # Errors
    /// [`ReportError`] when a table cannot be encoded or a file not written; what was complete by then stays.
    pub fn write(self, scan: &Scan, findings: &[Finding], summary: &str, redact: bool) -> Result<(), ReportError> {
        self.events.fill(|row| events(scan, redact, row))?;
        self.principals.fill(|row| principals(scan, findings, redact, row))?;
        self.daily.fill(|row| daily(scan, findings, redact, row))?;
        self.fixes.fill(|row| fixes(scan, findings, redact, row))?;
        let (pending, mut file) = self.summary;
        file.write_all(summary.as_bytes()).map_err(|source| ReportError::Io { path: pending.path.clone(), source })?;
        pending.finish(&file)
    }
}

fn count(value: impl Into<i64>) -> Cell<'static> {
    Cell::Count(Some(value.into()))
}

fn count_of(value: Option<u32>) -> Cell<'static> {
    Cell::Count(value.map(i64::from))
}

fn events(scan: &Scan, redact: bool, row: &mut dyn FnMut(&[Cell<'_>])) {
    for (_, call) in scan.calls.iter() {
        let text = |name| scan.names.text(name);
        let (role, account, region, error) = (text(call.role), text(call.account), text(call.region), text(call.error_code));
        let caller = shown(&scan.names, call.caller, redact);
        let event_id = call.event_id.text(&scan.names);
        let recomputed = recompute(scan, call);
        let observed = call.observed_percent();
        let parts = recomputed.map(|it| it.facts.parts);
        let fingerprint = recomputed.map(|it| hexadecimal(&it.facts.fingerprint));
        let location = scan.location(call);
        row(&[
            Cell::Time(Some(call.time)),
            Cell::Text(event_id.as_deref()),
            Cell::Text(Some(call.operation.name())),
            Cell::Text(Some(if call.outcome == Outcome::Granted { "granted" } else { "refused" })),
            Cell::Text(error.as_deref()),
            Cell::Text(role.as_deref()),
            Cell::Text(caller.as_deref()),
            Cell::Text(Some(call.caller_kind.name())),
            Cell::Text(account.as_deref()),
            Cell::Text(region.as_deref()),
            Cell::Text(call.regime.map(|regime| regime.name())),
            Cell::Decimal(observed),
            count_of(call.session_token_bytes),
            Cell::Decimal(recomputed.map(|it| it.percent.value)),
            Cell::Decimal(recomputed.map(|it| it.percent.low)),
            Cell::Decimal(recomputed.map(|it| it.percent.high)),
            Cell::Decimal(observed.zip(recomputed).map(|(observed, it)| observed - it.percent.value.floor())),
            count_of(parts.map(|parts| parts.packed_bytes())),
            count_of(parts.map(|parts| parts.policy_bytes)),
            count_of(parts.map(|parts| parts.policy_arn_bytes)),
            count_of(parts.map(|parts| parts.tag_bytes)),
            count_of(parts.map(|parts| parts.inherited_tag_bytes)),
            count_of(call.policy_chars),
            count_of(recomputed.map(|it| u32::from(it.facts.policy_arns))),
            count_of(recomputed.map(|it| u32::from(it.facts.tags))),
            count_of(recomputed.map(|it| u32::from(it.facts.inherited_tags))),
            Cell::Text(fingerprint.as_deref()),
            Cell::Text(Some(&location)),
        ]);
    }
}

fn principals(scan: &Scan, findings: &[Finding], redact: bool, row: &mut dyn FnMut(&[Cell<'_>])) {
    for finding in findings {
        let role = scan.names.text(finding.role);
        let caller = shown(&scan.names, finding.caller, redact);
        let worst = finding.worst.and_then(|slot| scan.calls.get(slot)).and_then(|call| call.event_id.text(&scan.names));
        let (verdict, trend) = (&finding.verdict, &finding.trend);
        let best = finding.fixes.first();
        row(&[
            Cell::Text(role.as_deref()),
            Cell::Text(caller.as_deref()),
            Cell::Text(Some(finding.caller_kind.name())),
            Cell::Text(Some(finding.operation.name())),
            Cell::Text(Some(verdict.status.name())),
            Cell::Text(Some(&verdict.reason)),
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
            Cell::Text(Some("sts")),
            Cell::Text(trend.driver.map(|part| part.name())),
            Cell::Text(worst.as_deref()),
            Cell::Flag(finding.actionable),
            Cell::Text(best.map(|fix| fix.title.as_str())),
            Cell::Decimal(best.map(|fix| fix.after.value)),
        ]);
    }
}

fn daily(scan: &Scan, findings: &[Finding], redact: bool, row: &mut dyn FnMut(&[Cell<'_>])) {
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
    for (day, finding, role, _) in days {
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

fn fixes(scan: &Scan, findings: &[Finding], redact: bool, row: &mut dyn FnMut(&[Cell<'_>])) {
    for finding in findings {
        let role = scan.names.text(finding.role);
        let caller = shown(&scan.names, finding.caller, redact);
        for (rank, fix) in (1_i64..).zip(&finding.fixes) {
            row(&[
                Cell::Text(role.as_deref()),
                Cell::Text(caller.as_deref()),
                Cell::Text(Some(finding.operation.name())),
                count(rank),
                Cell::Text(Some(fix.rule)),
                Cell::Text(Some(&fix.title)),
                Cell::Text(Some(fix.effect.name())),
                Cell::Decimal(Some(fix.before_percent)),
                Cell::Decimal(Some(fix.after.value)),
                Cell::Decimal(Some(fix.after.low)),
                Cell::Decimal(Some(fix.after.high)),
                count(fix.saved_bytes),
                Cell::Text(Some(&fix.detail)),
            ]);
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

/// `2026-07-15` for days since 1970-01-01.
fn date_text(day: i32) -> String {
    NaiveDate::from_epoch_days(day).map(|date| date.to_string()).unwrap_or_default()
}

/// What stands in `summary.json`.
const SUMMARY: [(&str, &str); 9] = [
    ("version", "of packtrail"),
    ("started, finished", "when the run began and when its results were complete, UTC"),
    ("sources", "as named on the command line"),
    ("window", "from and to: --since and --until, else the first and the last kept call"),
    (
        "coverage",
        "files_listed = files_read + files_skipped + unreadable; skipped by kind; bytes_read, bytes_inflated; records; sts_calls = kept_calls + filtered + duplicates; unreadable: location, reason, records_read; denied",
    ),
    ("statuses", "findings by status"),
    ("requests", "distinct requests among the kept calls and their copies"),
    ("profile", "the figures of the engine: limits and overheads in bytes"),
    (
        "regimes",
        "by regime: its limit in bytes, calls granted, refused for size and otherwise; and how many calls refused for size under the old limit stay within today's",
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
         CSV: RFC 4180, and a text cell that starts with = + - @ tab or CR gets a leading '. Parquet: the types above, zstd.\n",
    );
    text
}
