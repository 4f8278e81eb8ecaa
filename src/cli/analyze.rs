//! `packtrail analyze`.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::log::Log;
use super::{End, signals, usage};
use crate::findings::{Finding, findings};
use crate::packing::Profile;
use crate::report::{self, Format, Layout, Place, Report, Run, Scratch, Style};
use crate::scan::{Coverage, Filter, Progress, Recorder, Scan, Scanner};
use crate::state::State;
use crate::trail::{self, Memory, Reach, S3Options, Store, TrailError, Wanted};
use crate::trends::Status;

#[derive(Args)]
pub(super) struct Options {
    /// Log files, directories (walked), globs, - for standard input, or s3://bucket/prefix
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,

    /// Directory for the tables and summary.json, or s3://bucket/prefix/
    #[arg(long, value_name = "DIR|s3://...", default_value = "reports")]
    out: PathBuf,

    /// Forms of the tables; csv,parquet by default, parquet alone with --layout hive
    #[arg(long, value_enum, value_delimiter = ',')]
    format: Vec<Form>,

    /// One file a table, or a Parquet dataset partitioned by day for Athena, Grafana and the like
    #[arg(long, value_enum, default_value = "flat")]
    layout: Arrangement,

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

    /// Where to keep what was read, so that the next run reads only what is new; the report covers all of it
    #[arg(long, value_name = "DIR|s3://...")]
    state: Option<String>,

    /// Forget calls and files of more than N days before the end of the window
    #[arg(long, value_name = "N", requires = "state", value_parser = clap::value_parser!(u16).range(1..))]
    keep_days: Option<u16>,

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

    /// What stderr is for: text for people, or a JSON object a line for unattended runs, counts last and nothing on stdout
    #[arg(long, value_enum, default_value = "text")]
    pub(super) log_format: Log,
}

#[derive(Clone, Copy, ValueEnum)]
enum Arrangement {
    Flat,
    Hive,
}

impl From<Arrangement> for Layout {
    fn from(arrangement: Arrangement) -> Layout {
        match arrangement {
            Arrangement::Flat => Layout::Flat,
            Arrangement::Hive => Layout::Hive,
        }
    }
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
    let log = options.log_format;
    let formats = match check(options) {
        Ok(formats) => formats,
        Err(message) => return Ok(usage(log, &message)),
    };
    let scratch = Scratch::default();
    signals::watch(scratch.clone(), log).context("cannot watch for signals")?;
    if let Some(threads) = options.threads {
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global().context("cannot start threads")?;
    }

    let s3 = s3(options);
    let sources = sources(options).context("cannot tell where sources lie")?;
    let state = options.state.as_deref().map(|location| open_state(location, &s3, options, started)).transpose()?;
    let wanted = Wanted { except: own_places(options, &sources)?, ..wanted(options, state.as_deref()) };
    let reach = Reach { wanted, s3, memory: state.clone().map(|state| state as Arc<dyn Memory>) };
    let listing = match trail::list(&sources, &reach) {
        Ok(listing) => listing,
        Err(error @ TrailError::S3 { .. }) => return Err(error.into()),
        Err(error @ (TrailError::Missing { .. } | TrailError::Glob { .. })) => return Ok(usage(log, &error)),
    };
    let out = options.out.to_string_lossy();
    let report = Report::open(place(options, &reach.s3)?, &formats, options.layout.into(), &scratch).context("cannot write the report")?;

    let bar = Bar::new(options, &sources, &reach);
    let scanner = Scanner::new(filter(options));
    scanner.read(listing, state.as_deref().map(|state| state as &dyn Recorder), &|progress| bar.show(progress));
    bar.clear();
    if let Some(state) = &state {
        state.commit()?;
        state.recall(&scanner)?;
    }
    let scan = scanner.finish(|_, _| Profile::builtin());
    if let Some(end) = tell_unread(&scan.coverage, options)? {
        return Ok(end);
    }

    let findings = findings(&scan, options.until, options.redact);
    let run = Run {
        started,
        finished: Utc::now(),
        sources: options.sources.clone(),
        since: options.since,
        until: options.until,
        state: state.map(|state| (state.location(), state.counts())),
    };
    report.write(&scan, &findings, &report::summary(&run, &scan, &findings), options.redact).context("cannot write the report")?;
    if !options.quiet && log == Log::Text {
        let mut text = Vec::new();
        report::print(&mut text, &run, &scan, &findings, out.trim_end_matches('/'), options.redact, style())?;
        super::print(&String::from_utf8_lossy(&text))?;
    }

    let over = options.fail_on.is_some_and(|limit| findings.iter().any(|finding| finding.verdict.status <= limit));
    let end = if over {
        End::OverLimit
    } else if scan.coverage.unreadable.is_empty() && scan.coverage.denied.is_empty() {
        End::Done
    } else {
        End::Unread
    };
    if !options.quiet {
        log.info("done", counts(&scan, &findings, end));
    }
    Ok(end)
}

/// What clap does not check; the forms to write.
fn check(options: &Options) -> Result<Vec<Format>, &'static str> {
    if let (Some(since), Some(until)) = (options.since, options.until)
        && since >= until
    {
        return Err("--since must be before --until");
    }
    if options.state.is_some() && options.sources.iter().any(|source| source == "-") {
        return Err("--state cannot tell what it has read of standard input: name files");
    }
    formats(&options.format, options.layout.into())
}

fn s3(options: &Options) -> S3Options {
    S3Options {
        profile_name: options.profile_name.clone(),
        role_arn: options.role_arn.clone(),
        requester_pays: options.request_payer.is_some(),
        ..S3Options::default()
    }
}

/// The sources as named; with a state by absolute paths, since it knows files by their locations.
fn sources(options: &Options) -> io::Result<Vec<String>> {
    let locate = |source: &String| if options.state.is_some() { absolute(source) } else { Ok(source.clone()) };
    options.sources.iter().map(locate).collect()
}

fn absolute(location: &str) -> io::Result<String> {
    if location.starts_with("s3://") {
        return Ok(location.to_owned());
    }
    Ok(std::path::absolute(location)?.to_string_lossy().into_owned())
}

/// Where this run writes, as far as that lies below a source: state and report are no logs to be read in the next run.
fn own_places(options: &Options, sources: &[String]) -> io::Result<Vec<String>> {
    let out = options.out.to_string_lossy();
    let mut places = Vec::new();
    for place in [options.state.as_deref(), Some(&*out)].into_iter().flatten() {
        if place.starts_with("s3://") || options.state.is_some() {
            let place = format!("{}/", absolute(place)?.trim_end_matches('/'));
            // A source in one of them is meant to be read.
            if !sources.iter().any(|source| format!("{source}/").starts_with(&place)) {
                places.push(place);
            }
        }
    }
    Ok(places)
}

/// What the listing may leave out; of the days that a state does not keep, everything.
fn wanted(options: &Options, state: Option<&State>) -> Wanted {
    let kept_from = state.and_then(State::kept_from).map(|day| i64::from(day) * 86_400);
    Wanted {
        since: options.since.max(kept_from),
        until: options.until,
        accounts: options.account.clone(),
        regions: options.region.clone(),
        ..Wanted::default()
    }
}

fn filter(options: &Options) -> Filter {
    Filter {
        since: options.since,
        until: options.until,
        roles: options.role.clone(),
        accounts: options.account.clone(),
        regions: options.region.clone(),
    }
}

fn open_state(location: &str, s3: &S3Options, options: &Options, now: DateTime<Utc>) -> anyhow::Result<Arc<State>> {
    let end = options.until.unwrap_or(i64::MAX).min(now.timestamp());
    let keep_from = options.keep_days.and_then(|days| i32::try_from(end.div_euclid(86_400) - i64::from(days)).ok());
    Ok(State::open(Store::open(location, s3, true)?, keep_from)?)
}

fn place(options: &Options, s3: &S3Options) -> anyhow::Result<Place> {
    match options.out.to_str().filter(|out| out.starts_with("s3://")) {
        Some(out) => Ok(Place::Store(Store::open(out, s3, false).context("cannot write the report")?)),
        None => Ok(Place::Directory(options.out.clone())),
    }
}

/// Names what was not read. How the run ends where nothing was read at all; an error where that is because everything was denied.
fn tell_unread(coverage: &Coverage, options: &Options) -> anyhow::Result<Option<End>> {
    let log = options.log_format;
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
    let sources = options.sources.iter().map(|source| format!("`{source}`")).collect::<Vec<_>>().join(", ");
    log.error(
        &format!("no log file found in {sources} ({} files skipped)", coverage.files_skipped()),
        json!({ "files": coverage.files_listed, "skipped": coverage.files_skipped(), "exit_code": End::NoLogs.code() }),
    );
    Ok(Some(End::NoLogs))
}

/// The forms asked for, or the usual ones of the layout.
fn formats(asked: &[Form], layout: Layout) -> Result<Vec<Format>, &'static str> {
    let mut formats: Vec<Format> = asked.iter().copied().map(Format::from).collect();
    formats.sort_unstable();
    formats.dedup();
    match layout {
        Layout::Flat if formats.is_empty() => Ok(vec![Format::Csv, Format::Parquet]),
        Layout::Flat => Ok(formats),
        Layout::Hive if formats.is_empty() || formats == [Format::Parquet] => Ok(vec![Format::Parquet]),
        Layout::Hive => Err("--layout hive is Parquet: leave out --format, or give --format parquet"),
    }
}

/// The counts of a run, for its last line.
fn counts(scan: &Scan, findings: &[Finding], end: End) -> Value {
    let coverage = &scan.coverage;
    let mut counts = json!({
        "calls": scan.calls.len(),
        "findings": findings.len(),
        "files": coverage.files_listed,
        "read": coverage.files_read,
        "skipped": coverage.files_skipped(),
        "unreadable": coverage.unreadable.len(),
        "denied": coverage.denied.len(),
        "records": coverage.records,
        "duplicates": coverage.duplicates,
        "filtered": coverage.filtered,
        "bytes_read": coverage.bytes_read,
    });
    if let Value::Object(counts) = &mut counts {
        for status in Status::ALL {
            let count = findings.iter().filter(|finding| finding.verdict.status == status).count();
            counts.insert(status.name().to_owned(), Value::from(count));
        }
        counts.insert("exit_code".to_owned(), Value::from(end.code()));
    }
    counts
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
    over: Arc<AtomicBool>,
}

impl Bar {
    fn new(options: &Options, sources: &[String], reach: &Reach) -> Bar {
        let over = Arc::new(AtomicBool::new(false));
        if options.quiet || options.log_format == Log::Json || !io::stderr().is_terminal() {
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
