//! `packtrail analyze`.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::advice::AdviceOptions;
use super::estimate::{Refused, figures};
use super::input::{Bar, Input, tell_unread};
use super::log::Log;
use super::{End, signals, usage};
use crate::findings::{Finding, findings};
use crate::packing::{Ceiling, Profile, repeated_name};
use crate::report::{self, Format, Layout, Place, Report, Run, Scratch, Style};
use crate::scan::{Recorder, Scan, Scanner};
use crate::state::State;
use crate::trail::{self, Memory, Reach, S3Options, Store, TrailError, Wanted};
use crate::trends::Status;

/// Distinct labelled requests to fit to at most: plenty, and a second's work.
const MOST_REQUESTS: usize = 20_000;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) input: Input,

    /// Directory for the tables and summary.json, or s3://bucket/prefix/
    #[arg(long, value_name = "DIR|s3://...", default_value = "reports")]
    out: PathBuf,

    /// Forms of the tables; csv,parquet by default, parquet alone with --layout hive
    #[arg(long, value_enum, value_delimiter = ',')]
    format: Vec<Form>,

    /// One file a table, or a Parquet dataset partitioned by day for Athena, Grafana and the like
    #[arg(long, value_enum, default_value = "flat")]
    layout: Arrangement,

    /// Where to keep what was read, so that the next run reads only what is new; the report covers all of it
    #[arg(long, value_name = "DIR|s3://...")]
    state: Option<String>,

    /// Forget calls and files of more than N days before the end of the window
    #[arg(long, value_name = "N", requires = "state", value_parser = clap::value_parser!(u16).range(1..))]
    keep_days: Option<u16>,

    /// Exit with 10 when a finding has this status or a worse one
    #[arg(long, value_name = "STATUS", value_parser = status)]
    fail_on: Option<Status>,

    /// Replace tag values, session names and policy texts in every output by short hashes; writes no folders of fixes, which show them
    #[arg(long)]
    redact: bool,

    #[command(flatten)]
    advice: AdviceOptions,

    /// The most bytes of session token that something behind STS takes, such as eks-authenticator=2500; findings go by the nearest limit
    #[arg(long, value_name = "NAME=BYTES")]
    ceiling: Vec<Ceiling>,

    /// Recompute sizes by a profile that `packtrail calibrate` wrote, or by the built-in figures (none); by default by figures fitted to the calls read
    #[arg(long, value_name = "FILE|none")]
    profile: Option<PathBuf>,
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

pub(super) fn run(options: &Options) -> anyhow::Result<End> {
    let (started, clock) = (Utc::now(), Instant::now());
    let (input, log) = (&options.input, options.input.log_format);
    let formats = match check(options) {
        Ok(formats) => formats,
        Err(message) => return Ok(usage(log, &message)),
    };
    let scratch = Scratch::default();
    signals::watch(scratch.clone(), log).context("cannot watch for signals")?;
    let read = || Ok((figures(options.profile.as_deref())?, options.advice.advice(options.redact)?));
    let (figures, advice) = match read() {
        Ok(read) => read,
        Err(Refused::Usage(message)) => return Ok(usage(log, &message)),
        Err(Refused::Failed(error)) => return Err(error),
    };
    input.start_threads()?;

    let s3 = input.s3();
    let sources = sources(options).context("cannot tell where sources lie")?;
    let state = options.state.as_deref().map(|location| open_state(location, &s3, options, started)).transpose()?;
    let wanted = Wanted { except: own_places(options, &sources)?, ..input.wanted(state.as_deref().and_then(State::kept_from)) };
    let reach = Reach { wanted, s3, memory: state.clone().map(|state| state as Arc<dyn Memory>) };
    let listing = match trail::list(&sources, &reach) {
        Ok(listing) => listing,
        Err(error @ TrailError::S3 { .. }) => return Err(error.into()),
        Err(error @ (TrailError::Missing { .. } | TrailError::Glob { .. })) => return Ok(usage(log, &error)),
    };
    let out = options.out.to_string_lossy();
    let report = Report::open(place(options, &reach.s3)?, &formats, options.layout.into(), &scratch).context("cannot write the report")?;

    let bar = Bar::new(input, &sources, &reach);
    let scanner = Scanner::new(input.filter());
    scanner.read(listing, state.as_deref().map(|state| state as &dyn Recorder), &|progress| bar.show(progress));
    bar.clear();
    let read_seconds = clock.elapsed().as_secs_f64();
    if let Some(state) = &state {
        state.commit()?;
        state.recall(&scanner)?;
    }
    let gathered = scanner.gather();
    let profile = figures.unwrap_or_else(|| gathered.calibration(MOST_REQUESTS).fit(&Profile::builtin()));
    let scan = gathered.pack(profile);
    if let Some(end) = tell_unread(&scan.coverage, input)? {
        return Ok(end);
    }

    let findings = findings(&scan, options.input.until, &options.ceiling, &advice);
    let run = Run {
        started,
        finished: Utc::now(),
        sources: options.input.sources.clone(),
        since: options.input.since,
        until: options.input.until,
        ceilings: options.ceiling.clone(),
        state: state.map(|state| (state.location(), state.counts())),
    };
    report.write(&scan, &findings, &|| report::summary(&run, &scan, &findings), options.redact).context("cannot write the report")?;
    if !options.input.quiet && log == Log::Text {
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
    if !options.input.quiet {
        let mut counts = counts(&scan, &findings, end);
        if let Value::Object(counts) = &mut counts {
            counts.insert("read_seconds".to_owned(), milliseconds(read_seconds));
            counts.insert("seconds".to_owned(), milliseconds(clock.elapsed().as_secs_f64()));
        }
        log.info("done", counts);
    }
    Ok(end)
}

/// What clap does not check; the forms to write.
fn check(options: &Options) -> Result<Vec<Format>, String> {
    options.input.check()?;
    if let Some(name) = repeated_name(&options.ceiling) {
        return Err(format!("--ceiling: `{name}` is given twice"));
    }
    if options.state.is_some() && options.input.sources.iter().any(|source| source == "-") {
        return Err("--state cannot tell what it has read of standard input: name files".to_owned());
    }
    Ok(formats(&options.format, options.layout.into())?)
}

/// The sources as named; with a state by absolute paths, since it knows files by their locations.
fn sources(options: &Options) -> io::Result<Vec<String>> {
    let locate = |source: &String| if options.state.is_some() { absolute(source) } else { Ok(source.clone()) };
    options.input.sources.iter().map(locate).collect()
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

fn open_state(location: &str, s3: &S3Options, options: &Options, now: DateTime<Utc>) -> anyhow::Result<Arc<State>> {
    let end = options.input.until.unwrap_or(i64::MAX).min(now.timestamp());
    let keep_from = options.keep_days.and_then(|days| i32::try_from(end.div_euclid(86_400) - i64::from(days)).ok());
    Ok(State::open(Store::open(location, s3, true)?, keep_from)?)
}

fn place(options: &Options, s3: &S3Options) -> anyhow::Result<Place> {
    match options.out.to_str().filter(|out| out.starts_with("s3://")) {
        Some(out) => Ok(Place::Store(Store::open(out, s3, false).context("cannot write the report")?)),
        None => Ok(Place::Directory(options.out.clone())),
    }
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

/// Seconds to the millisecond.
fn milliseconds(seconds: f64) -> Value {
    Value::from((seconds * 1000.0).round() / 1000.0)
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
        "unusual": coverage.unusual,
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
