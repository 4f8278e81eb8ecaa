//! `packtrail calibrate`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::input::{Bar, Input, tell_unread};
use super::log::Log;
use super::{End, signals, usage};
use crate::packing::calibrate::{LEAST_REQUESTS, MOST_REQUESTS};
use crate::packing::{Basis, Profile, Regime, Sizing};
use crate::report::Scratch;
use crate::scan::Scanner;
use crate::trail::{self, Reach, TrailError};

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) input: Input,

    /// File to write the profile to, for --profile of analyze and estimate; one that is there is replaced
    #[arg(long, value_name = "PROFILE.json")]
    out: PathBuf,
}

pub(super) fn run(options: &Options) -> anyhow::Result<End> {
    let (input, log) = (&options.input, options.input.log_format);
    if let Err(message) = input.check() {
        return Ok(usage(log, &message));
    }
    let directory = options.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Ok(usage(log, &format!("--out: no such directory: `{}`", directory.display())));
    }
    if options.out.is_dir() {
        return Ok(usage(log, &format!("--out: `{}` is a directory, a file is wanted", options.out.display())));
    }
    signals::watch(Scratch::default(), log).context("cannot watch for signals")?;
    input.start_threads()?;

    let reach = Reach { wanted: input.wanted(None), s3: input.s3(), memory: None };
    let listing = match trail::list(&input.sources, &reach) {
        Ok(listing) => listing,
        Err(error @ TrailError::S3 { .. }) => return Err(error.into()),
        Err(error @ (TrailError::Missing { .. } | TrailError::Glob { .. })) => return Ok(usage(log, &error)),
    };
    let bar = Bar::new(input, &input.sources, &reach);
    let scanner = Scanner::new(input.filter());
    scanner.read(listing, None, &|progress| bar.show(progress));
    bar.clear();
    let gathered = scanner.gather();
    if let Some(end) = tell_unread(gathered.coverage(), input)? {
        return Ok(end);
    }
    let profile = gathered.calibration(MOST_REQUESTS).fit(&Profile::builtin());
    write(&options.out, &profile).with_context(|| format!("cannot write `{}`", options.out.display()))?;

    let unread = !gathered.coverage().unreadable.is_empty() || !gathered.coverage().denied.is_empty();
    let end = if unread { End::Unread } else { End::Done };
    if !input.quiet {
        if log == Log::Text {
            super::print(&text(&profile, &options.out))?;
        }
        let requests = |regime: Regime| profile.sizing(regime).basis.as_ref().map_or(0, |basis| basis.requests);
        log.info(
            "done",
            json!({
                "packed_policy_requests": requests(Regime::PackedPolicy),
                "session_token_requests": requests(Regime::SessionToken),
                "unreadable": gathered.coverage().unreadable.len(),
                "exit_code": end.code(),
            }),
        );
    }
    Ok(end)
}

/// Writes the profile beside its place and puts it there at once: what reads it never sees a half of it.
fn write(path: &Path, profile: &Profile) -> anyhow::Result<()> {
    let text = format!("{:#}\n", profile.to_json());
    // A pipe or a device takes the text; a file in its place would break what else uses it.
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Ok(std::fs::write(path, text)?);
    }
    // A link stays one: what it leads to is replaced.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().context("a file name is missing")?.to_string_lossy().into_owned();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    let written = (|| -> anyhow::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        Ok(())
    })();
    if written.is_err() {
        // Nothing may be left of what failed; that it cannot be removed either is not what to tell.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn text(profile: &Profile, out: &Path) -> String {
    let mut text = String::new();
    for regime in Regime::ALL {
        let sizing = profile.sizing(regime);
        match &sizing.basis {
            Some(basis) if basis.is_fitted() => fitted(&mut text, sizing, basis),
            basis => {
                let requests = basis.as_ref().map_or(0, |basis| basis.requests);
                // The same parts make up both regimes: what one shows serves the other, all but its limit.
                let is_fitted = |other: &Regime| profile.sizing(*other).basis.as_ref().is_some_and(Basis::is_fitted);
                let origin = match Regime::ALL.iter().find(|other| is_fitted(other)) {
                    Some(other) => format!("but for limit and rounding the figures are those of {other}"),
                    None => "the figures are those of public records".to_owned(),
                };
                let reason = if basis.as_ref().is_some_and(|basis| !basis.kinds.is_empty()) {
                    format!("a fit to {requests} distinct labelled requests explains no more of those held out")
                } else {
                    format!("too few of {requests} distinct labelled requests tell a size (at least {LEAST_REQUESTS})")
                };
                let _ = writeln!(text, "{regime}: not fitted, {reason}; {origin}\n");
            }
        }
    }
    let _ = writeln!(text, "Profile: {}", out.display());
    text
}

fn fitted(text: &mut String, sizing: &Sizing, basis: &Basis) {
    let Basis { calls, requests, requests_sampled, from_day, through_day, .. } = basis;
    let sampled = if requests_sampled < requests { format!(" (a sample of {requests_sampled})") } else { String::new() };
    let _ = writeln!(text, "{}: {calls} labelled calls, {requests} distinct requests{sampled}, {from_day} to {through_day}", sizing.regime);
    let _ = writeln!(
        text,
        "  limit {} bytes; {} bytes a tag; {} a policy ARN and {} for each of its characters",
        sizing.limit_bytes, sizing.tag_overhead_bytes, sizing.policy_arn_bytes, sizing.policy_arn_char_bytes
    );
    let _ = writeln!(
        text,
        "  policies: {}, {}, {} bytes a statement and {} a policy more",
        sizing.codec,
        sizing.compression.name(),
        sizing.compressed_statement_bytes,
        sizing.compressed_policy_bytes
    );
    let _ = writeln!(text, "  off on requests held out of the fit in turn, points of the limit:");
    let points = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let _ = writeln!(text, "    {:<18} {:>8} {:>6} {:>6} {:>6}", "content", "requests", "mean", "p90", "worst");
    for kind in &basis.kinds {
        let _ = writeln!(
            text,
            "    {:<18} {:>8} {:>6} {:>6} {:>6}",
            kind.content.name(),
            kind.requests,
            points(kind.mean_error_percent),
            points(kind.p90_error_percent),
            points(kind.worst_error_percent)
        );
    }
    let left_aside = basis.outliers_above + basis.outliers_below;
    let _ = writeln!(text, "  {left_aside} outliers, {} padded tokens, {} ambiguous refusals left aside", basis.padded, basis.ambiguous);
    if !basis.at_prior.is_empty() {
        let _ = writeln!(text, "  not told by these calls, as before: {}", basis.at_prior.join(", "));
    }
    text.push('\n');
}
