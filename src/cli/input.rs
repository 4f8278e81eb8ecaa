//! What to read: sources, filters, and how; the same for every command that reads logs.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::End;
use super::log::Log;
use crate::scan::{Coverage, Filter, Progress};
use crate::trail::{self, Reach, S3Options, Wanted};

#[derive(Args)]
pub(super) struct Input {
    /// Log files, directories (walked), globs, - for standard input, or s3://bucket/prefix
    #[arg(required = true, value_name = "SOURCE")]
    pub(super) sources: Vec<String>,

    /// Only calls at or after this time: RFC 3339, or a date (00:00 UTC)
    #[arg(long, value_name = "T", value_parser = time)]
    pub(super) since: Option<i64>,

    /// Only calls before this time: RFC 3339, or a date (00:00 UTC)
    #[arg(long, value_name = "T", value_parser = time)]
    pub(super) until: Option<i64>,

    /// Only calls for roles whose ARN matches
    #[arg(long, value_name = "GLOB", value_parser = glob::Pattern::new)]
    role: Vec<glob::Pattern>,

    /// Only records delivered to this account
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Vec<String>,

    /// Only calls made in this region
    #[arg(long, value_name = "NAME")]
    region: Vec<String>,

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
    pub(super) quiet: bool,

    /// What stderr is for: text for people, or a JSON object a line for unattended runs, counts last and nothing on stdout
    #[arg(long, value_enum, default_value = "text")]
    pub(super) log_format: Log,
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

impl Input {
    /// What clap does not check.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since >= until => Err("--since must be before --until"),
            _ => Ok(()),
        }
    }

    /// Sets how many threads read, for the whole process.
    pub(super) fn start_threads(&self) -> anyhow::Result<()> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global().context("cannot start threads")?;
        }
        Ok(())
    }

    pub(super) fn s3(&self) -> S3Options {
        S3Options {
            profile_name: self.profile_name.clone(),
            role_arn: self.role_arn.clone(),
            requester_pays: self.request_payer.is_some(),
            ..S3Options::default()
        }
    }

    /// What the listing may leave out; of the days before `kept_from`, everything.
    pub(super) fn wanted(&self, kept_from: Option<trail::Day>) -> Wanted {
        Wanted {
            since: self.since.max(kept_from.map(|day| i64::from(day) * 86_400)),
            until: self.until,
            accounts: self.account.clone(),
            regions: self.region.clone(),
            ..Wanted::default()
        }
    }

    pub(super) fn filter(&self) -> Filter {
        Filter {
            since: self.since,
            until: self.until,
            roles: self.role.clone(),
            accounts: self.account.clone(),
            regions: self.region.clone(),
        }
    }
}

/// Names what was not read. How the run ends where nothing was read at all; an error where that is because everything was denied.
pub(super) fn tell_unread(coverage: &Coverage, input: &Input) -> anyhow::Result<Option<End>> {
    let log = input.log_format;
    for one in &coverage.unreadable {
        log.error(
            &format!("{}: {}", one.location, one.reason),
            json!({ "location": one.location, "reason": one.reason, "records_read": one.records_read }),
        );
    }
    let nothing = coverage.files_read == 0 && coverage.unreadable.is_empty();
    let (denied, fatal) = match coverage.denied.split_last() {
        Some((last, others)) if nothing => (others, Some(last)),
        _ => (coverage.denied.as_slice(), None),
    };
    for one in denied {
        log.error(&format!("{}: {}", one.prefix, one.reason), json!({ "prefix": one.prefix, "reason": one.reason }));
    }
    if let Some(one) = fatal {
        bail!("{}: {}", one.prefix, one.reason);
    }
    if !nothing {
        return Ok(None);
    }
    let sources = input.sources.iter().map(|source| format!("`{source}`")).collect::<Vec<_>>().join(", ");
    log.error(
        &format!("no log file found in {sources} ({} files skipped)", coverage.files_skipped()),
        json!({ "files": coverage.files_listed, "skipped": coverage.files_skipped(), "exit_code": End::NoLogs.code() }),
    );
    Ok(Some(End::NoLogs))
}

/// Progress on a terminal; nothing elsewhere.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Asked of the bar itself, it takes a lock.
    shown: bool,
    files: AtomicU64,
    bytes: AtomicU64,
    over: Arc<AtomicBool>,
}

impl Bar {
    pub(super) fn new(input: &Input, sources: &[String], reach: &Reach) -> Bar {
        let over = Arc::new(AtomicBool::new(false));
        if input.quiet || input.log_format == Log::Json || !io::stderr().is_terminal() {
            return Bar { bar: ProgressBar::hidden(), shown: false, files: AtomicU64::new(0), bytes: AtomicU64::new(0), over };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = |template: &str| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style("{spinner} {msg} files  {bytes}  {bytes_per_sec}"));
        // What is in S3 is listed once: each request costs.
        if input.sources.iter().any(|source| source.starts_with("s3://")) {
            return Bar { bar, shown: true, files: AtomicU64::new(0), bytes: AtomicU64::new(0), over };
        }
        // Counted beside the reading, so that reading never waits for the count.
        let (sources, reach, counter, stop) = (sources.to_vec(), reach.clone(), bar.clone(), Arc::clone(&over));
        std::thread::spawn(move || {
            let Ok(listing) = trail::list(&sources, &reach) else { return };
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
        Bar { bar, shown: true, files: AtomicU64::new(0), bytes: AtomicU64::new(0), over }
    }

    pub(super) fn show(&self, progress: Progress) {
        if self.shown {
            // Threads report in no order: the figures never go back.
            let files = self.files.fetch_max(progress.files, Ordering::Relaxed).max(progress.files);
            let bytes = self.bytes.fetch_max(progress.bytes, Ordering::Relaxed).max(progress.bytes);
            self.bar.set_message(files.to_string());
            self.bar.set_position(bytes);
        }
    }

    pub(super) fn clear(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }
}
