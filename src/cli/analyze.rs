//! `packtrail analyze`.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{End, usage};
use crate::findings::findings;
use crate::packing::Profile;
use crate::report::{self, Format, Report, Run, Style};
use crate::scan::{Filter, Progress, scan};
use crate::trail::{self, Reach, S3Options, TrailError, Wanted};
use crate::trends::Status;

#[derive(Args)]
pub(super) struct Options {
    /// Log files, directories (walked), globs, - for standard input, or s3://bucket/prefix
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,

    /// Directory for the tables and summary.json
    #[arg(long, value_name = "DIR", default_value = "reports")]
    out: PathBuf,

    /// Forms of the tables
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Form::Csv, Form::Parquet])]
    format: Vec<Form>,

    /// Only calls at or after this time: RFC 3339, or a date (00:00 UTC)
    #[arg(long, value_name = "T", value_parser = time)]
    since: Option<i64>,

    /// Only calls before this time: RFC 3339, or a date (00:00 UTC)
    #[arg(long, value_name = "T", value_parser = time)]
    until: Option<i64>,

    /// Only calls for roles whose ARN matches
    #[arg(long, value_name = "GLOB", value_parser = glob::Pattern::new)]
    role: Vec<glob::Pattern>,

    /// Only records delivered to this account
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Vec<String>,

    /// Only calls made in this region
    #[arg(long, value_name = "NAME")]
    region: Vec<String>,

    /// Exit with 10 when a finding has this status or a worse one
    #[arg(long, value_name = "STATUS", value_parser = status)]
    fail_on: Option<Status>,

    /// Replace tag values, session names and policy texts in every output by short hashes
    #[arg(long)]
    redact: bool,

    /// Profile of the AWS configuration, for S3
    #[arg(long, value_name = "NAME")]
    profile_name: Option<String>,

    /// Role to assume before sources in S3 are read
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,

    /// Pay for requests to sources in buckets whose owner does not
    #[arg(long, value_name = "requester", num_args = 0..=1, require_equals = true, default_missing_value = "requester", value_parser = ["requester"])]
    request_payer: Option<String>,

    /// Threads to read with; all cores by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// No summary and no progress, only errors
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Csv,
    Parquet,
    Json,
}

impl From<Form> for Format {
    fn from(form: Form) -> Format {
        match form {
            Form::Csv => Format::Csv,
            Form::Parquet => Format::Parquet,
            Form::Json => Format::Json,
        }
    }
}

fn status(text: &str) -> Result<Status, String> {
    text.parse::<Status>().map_err(|error| error.to_string())
}

fn account(text: &str) -> Result<String, &'static str> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) { Ok(text.to_owned()) } else { Err("expected 12 digits") }
}

/// Seconds since 1970-01-01 UTC of an RFC 3339 time or a date.
fn time(text: &str) -> Result<i64, &'static str> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp());
    }
    text.parse::<NaiveDate>()
        .ok()
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .map(|time| time.and_utc().timestamp())
        .ok_or("expected an RFC 3339 time or a date such as 2026-09-15")
}

pub(super) fn run(options: &Options) -> anyhow::Result<End> {
    let started = Utc::now();
    if let (Some(since), Some(until)) = (options.since, options.until)
        && since >= until
    {
        return Ok(usage(&"--since must be before --until"));
    }
    let reach = Reach {
        wanted: Wanted { since: options.since, until: options.until, accounts: options.account.clone(), regions: options.region.clone() },
        s3: S3Options {
            profile_name: options.profile_name.clone(),
            role_arn: options.role_arn.clone(),
            requester_pays: options.request_payer.is_some(),
            ..S3Options::default()
        },
        memory: None,
    };
    let listing = match trail::list(&options.sources, &reach) {
        Ok(listing) => listing,
        Err(error @ TrailError::S3 { .. }) => return Err(error.into()),
        Err(error @ (TrailError::Missing { .. } | TrailError::Glob { .. })) => return Ok(usage(&error)),
    };
    let mut formats: Vec<Format> = options.format.iter().copied().map(Format::from).collect();
    formats.sort_unstable();
    formats.dedup();
    if let Some(threads) = options.threads {
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global().context("cannot start threads")?;
    }
    let report = Report::open(&options.out, &formats).context("cannot write the report")?;

    let filter = Filter {
        since: options.since,
        until: options.until,
        roles: options.role.clone(),
        accounts: options.account.clone(),
        regions: options.region.clone(),
    };
    let bar = Bar::new(options);
    let scan = scan(listing, &filter, Profile::builtin(), &|progress| bar.show(progress));
    bar.clear();
    for unreadable in &scan.coverage.unreadable {
        let _ = writeln!(io::stderr(), "packtrail: {}", report::tame(&format!("{}: {}", unreadable.location, unreadable.reason)));
    }
    if scan.coverage.files_read == 0 && scan.coverage.unreadable.is_empty() {
        if let Some(denied) = scan.coverage.denied.first() {
            anyhow::bail!("{}: {}", denied.prefix, denied.reason);
        }
        let _ = writeln!(
            io::stderr(),
            "packtrail: no log file found in {} ({} files skipped)",
            options.sources.iter().map(|source| format!("`{source}`")).collect::<Vec<_>>().join(", "),
            scan.coverage.files_skipped()
        );
        return Ok(End::NoLogs);
    }
    for denied in &scan.coverage.denied {
        let _ = writeln!(io::stderr(), "packtrail: {}", report::tame(&format!("{}: {}", denied.prefix, denied.reason)));
    }

    let findings = findings(&scan, options.until, options.redact);
    let run = Run { started, finished: Utc::now(), sources: options.sources.clone(), since: options.since, until: options.until };
    report.write(&scan, &findings, &report::summary(&run, &scan, &findings), options.redact).context("cannot write the report")?;
    if !options.quiet {
        let mut text = Vec::new();
        report::print(&mut text, &run, &scan, &findings, &options.out.to_string_lossy(), options.redact, style())?;
        super::print(&String::from_utf8_lossy(&text))?;
    }

    let over = options.fail_on.is_some_and(|limit| findings.iter().any(|finding| finding.verdict.status <= limit));
    Ok(if over {
        End::OverLimit
    } else if scan.coverage.unreadable.is_empty() && scan.coverage.denied.is_empty() {
        End::Done
    } else {
        End::Unread
    })
}

fn style() -> Style {
    if !io::stdout().is_terminal() {
        return Style::PLAIN;
    }
    let (height, width) = console::Term::stdout().size();
    // A finding takes about five lines and a blank one; the head and the foot eight.
    let findings = (usize::from(height).saturating_sub(8) / 6).clamp(3, 12);
    Style { colour: console::colors_enabled(), width: usize::from(width).max(40), findings }
}

/// Progress on a terminal; nothing elsewhere.
struct Bar {
    bar: ProgressBar,
    files: AtomicU64,
    bytes: AtomicU64,
    over: std::sync::Arc<AtomicBool>,
}

impl Bar {
    fn new(options: &Options) -> Bar {
        let over = std::sync::Arc::new(AtomicBool::new(false));
        if options.quiet || !io::stderr().is_terminal() {
            return Bar { bar: ProgressBar::hidden(), files: AtomicU64::new(0), bytes: AtomicU64::new(0), over };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = |template: &str| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style("{spinner} {msg} files  {bytes}  {bytes_per_sec}"));
        // What is in S3 is listed once: each request costs.
        if options.sources.iter().any(|source| source.starts_with("s3://")) {
            return Bar { bar, files: AtomicU64::new(0), bytes: AtomicU64::new(0), over };
        }
        // Counted beside the reading, so that reading never waits for the count.
        let (sources, counter, stop) = (options.sources.clone(), bar.clone(), std::sync::Arc::clone(&over));
        std::thread::spawn(move || {
            let Ok(listing) = trail::list(&sources, &Reach::default()) else { return };
            let mut total = 0;
            for entry in listing {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if let trail::Entry::File(file) = entry {
                    total += file.bytes.unwrap_or(0);
                }
            }
            counter.set_length(total);
            counter.set_style(style("{spinner} {msg} files  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {wide_bar}"));
        });
        Bar { bar, files: AtomicU64::new(0), bytes: AtomicU64::new(0), over }
    }

    fn show(&self, progress: Progress) {
        if !self.bar.is_hidden() {
            // Threads report in no order: the figures never go back.
            let files = self.files.fetch_max(progress.files, Ordering::Relaxed).max(progress.files);
            let bytes = self.bytes.fetch_max(progress.bytes, Ordering::Relaxed).max(progress.bytes);
            self.bar.set_message(files.to_string());
            self.bar.set_position(bytes);
        }
    }

    fn clear(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }
}
