//! The summary on stdout: worst first, and no more than fits.

use std::fmt::Write as _;
use std::io;

use super::date_text;
use super::json::Run;
use crate::findings::{Finding, OLD_FAILURE, old_calls, shown};
use crate::packing::{Profile, Regime};
use crate::scan::Scan;
use crate::trends::{Day, Status, WARNING_PERCENT};

/// How to write for the reader at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Colours, by ANSI sequences.
    pub colour: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// Findings to show.
    pub findings: usize,
}

impl Style {
    /// For a pipe or a file.
    pub const PLAIN: Style = Style { colour: false, width: 100, findings: 10 };

    fn paint(self, status: Status, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match status {
            Status::Failing => "1;31",
            Status::Critical => "31",
            Status::Warning => "33",
            Status::Watch => "36",
            Status::Ok => "32",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn faint(self, text: &str) -> String {
        if self.colour { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Days the sparkline shows: the last ones of the series.
const SPARK_DAYS: i32 = 60;
/// Characters of the sparkline.
const SPARK_CHARS: i32 = 20;

/// Writes the summary of a run to `out`. `directory` is where the tables went.
///
/// # Errors
/// Whatever `out` gives.
pub fn print(
    out: &mut dyn io::Write,
    run: &Run,
    scan: &Scan,
    findings: &[Finding],
    directory: &str,
    redact: bool,
    style: Style,
) -> io::Result<()> {
    let mut text = String::new();
    head(&mut text, run, scan, findings, style);
    let needing = findings.iter().take_while(|finding| finding.verdict.status < Status::Ok).count();
    let shown_count = needing.min(style.findings);
    for finding in findings.iter().take(shown_count) {
        one(&mut text, scan, finding, redact, style);
    }
    if needing == 0
        && let Some(largest) = findings.first()
    {
        let _ = writeln!(text, "\nNothing fails, nothing is about to. Nearest to its limit:");
        one(&mut text, scan, largest, redact, style);
    }
    text.push('\n');
    if needing > shown_count {
        let _ = writeln!(text, "{} more need attention: see the table principals in {directory}/", needing - shown_count);
    }
    for unreadable in scan.coverage.unreadable.iter().take(5) {
        let _ = writeln!(text, "not read to its end: {}", tame(&format!("{}: {}", unreadable.location, unreadable.reason)));
    }
    if scan.coverage.unreadable.len() > 5 {
        let _ = writeln!(text, "and {} more files: see {directory}/summary.json", scan.coverage.unreadable.len() - 5);
    }
    for denied in scan.coverage.denied.iter().take(5) {
        let _ = writeln!(text, "not listed: {}", tame(&format!("{}: {}", denied.prefix, denied.reason)));
    }
    if scan.coverage.denied.len() > 5 {
        let _ = writeln!(text, "and {} more folders: see {directory}/summary.json", scan.coverage.denied.len() - 5);
    }
    let _ = writeln!(text, "{}", style.faint(&format!("Tables, days and fixes: {directory}/")));
    out.write_all(text.as_bytes())
}

/// Which figures sizes are recomputed by, and how far they are off on requests held out of the fit.
fn figures_told(profile: &Profile) -> String {
    let fitted: Vec<String> = [(Regime::PackedPolicy, "old"), (Regime::SessionToken, "new")]
        .into_iter()
        .filter_map(|(regime, name)| {
            let basis = profile.sizing(regime).basis.as_ref().filter(|basis| basis.is_fitted())?;
            let off = basis.mean_error_percent().map(|points| format!(" ({points:.2} points off on average)")).unwrap_or_default();
            Some(format!("{} requests of the {name} regime{off}", grouped(basis.requests_sampled)))
        })
        .collect();
    if fitted.is_empty() { "sizes by the built-in figures".to_owned() } else { format!("sizes by figures fitted to {}", fitted.join(", ")) }
}

fn head(text: &mut String, run: &Run, scan: &Scan, findings: &[Finding], style: Style) {
    let coverage = &scan.coverage;
    let day = |time: i64| i32::try_from(time.div_euclid(86_400)).map(date_text).unwrap_or_default();
    let mut times = scan.calls.iter().map(|(_, call)| call.time);
    let oldest = times.next();
    let window = match (run.since.or(oldest), run.until.map(|until| until - 1).or_else(|| times.next_back()).or(oldest)) {
        (Some(from), Some(to)) => format!(", {} to {}", day(from), day(to)),
        _ => String::new(),
    };
    let _ = writeln!(
        text,
        "{} STS calls of {} roles and callers{window}\n{}",
        grouped(scan.calls.len() as u64),
        grouped(findings.len() as u64),
        style.faint(&format!(
            "{} records in {} files, {} inflated; {} duplicates, {} left out by filters; {} files skipped, {} damaged",
            grouped(coverage.records),
            grouped(coverage.files_listed),
            bytes(coverage.bytes_inflated),
            grouped(coverage.duplicates),
            grouped(coverage.filtered),
            grouped(coverage.files_skipped()),
            grouped(coverage.unreadable.len() as u64),
        ))
    );
    let _ = writeln!(text, "{}", style.faint(&figures_told(scan.requests.profile())));
    let counts: Vec<String> = Status::ALL
        .into_iter()
        .map(|status| {
            let count = findings.iter().filter(|finding| finding.verdict.status == status).count();
            let label = format!("{count} {status}");
            if count > 0 { style.paint(status, &label) } else { style.faint(&label) }
        })
        .collect();
    let _ = writeln!(text, "\n{}", counts.join("   "));
    let told = old_calls_told(scan);
    if !told.is_empty() {
        text.push('\n');
    }
    for line in told.iter().flat_map(|sentence| wrapped(sentence, style.width)) {
        let _ = writeln!(text, "{line}");
    }
}

/// What the calls of the old regime weigh today, in no sentence, one or two.
fn old_calls_told(scan: &Scan) -> Vec<String> {
    let old = old_calls(scan);
    let mut told = Vec::new();
    if let (Some(median), Some(max)) = (old.percentile(50), old.percentile(100)) {
        let high = match old.fine_then_warning_today {
            0 => String::new(),
            count => format!("; at {WARNING_PERCENT:.0} % or more though fine then: {}", grouped(count)),
        };
        told.push(format!(
            "By the length of their tokens, calls of the old regime ({}) take {:.0} % of today's {} bytes in the median, {:.0} % at most{high}.",
            grouped(old.with_token_length()),
            median.floor(),
            grouped(old.limit_bytes.into()),
            max.floor(),
        ));
    }
    if old.refused() > 0 {
        let answers = [(old.refused_then_and_today, "still would"), (old.refused_then_unknown_today, "cannot be told")];
        let rest: String =
            answers.iter().filter(|(count, _)| *count > 0).map(|(count, answer)| format!(", {} {answer}", grouped(*count))).collect();
        told.push(format!(
            "Calls refused for size in the old regime: {}; of these {} would no longer fail today{rest}.",
            grouped(old.refused()),
            grouped(old.refused_then_granted_today),
        ));
    }
    told
}

/// A finding in a few lines.
fn one(text: &mut String, scan: &Scan, finding: &Finding, redact: bool, style: Style) {
    let verdict = &finding.verdict;
    let name = |name| shown(&scan.names, name, redact).unwrap_or_else(|| "(not logged)".to_owned());
    let caller = name(finding.caller);
    let subject = if finding.role.is_some() { format!("{} <- {}", short(&name(finding.role)), short(&caller)) } else { short(&caller) };
    // Cut like STS cuts, so that 89.6 is not shown as the 90 it is not.
    let percent =
        verdict.latest_percent.or(verdict.max_percent).map_or_else(|| "   ? ".to_owned(), |percent| format!("{:>4.0} %", percent.floor()));
    let limit = match (&finding.ceiling, finding.regime) {
        (Some(ceiling), _) => format!("ceiling {} of {} bytes", ceiling.name, grouped(ceiling.bytes.into())),
        (None, Regime::PackedPolicy) => "limit on the packed policy".to_owned(),
        (None, Regime::SessionToken) => "limit on the session token".to_owned(),
    };
    let date = match (finding.trend.limit_day, finding.trend.limit_day_low, finding.trend.limit_day_high) {
        (Some(day), low, high) => {
            let (low, high) = (low.unwrap_or(day), high.map_or_else(|| "later".to_owned(), date_text));
            format!("100 % on {} ({} to {high})", date_text(day), date_text(low))
        }
        _ => String::new(),
    };
    let status = style.paint(verdict.status, &format!("{:<8}", verdict.status.name()));
    let _ = writeln!(text, "\n{}", format!("{status} {percent}  {:<20}  {date}", sparkline(&finding.days)).trim_end());
    let mut line = |mark: &str, words: &str| {
        let words = &tame(words);
        for (at, part) in wrapped(words, style.width.saturating_sub(2 + mark.chars().count())).iter().enumerate() {
            let mark = if at == 0 { mark.to_owned() } else { " ".repeat(mark.chars().count()) };
            let _ = writeln!(text, "  {mark}{part}");
        }
    };
    line("", &subject);
    line("", &format!("{}, {limit}: {}", finding.operation, verdict.reason));
    if finding.old_failure {
        line("note: ", OLD_FAILURE);
    }
    match finding.fixes.first() {
        Some(fix) => {
            let review = if fix.effect == crate::fixes::Effect::NeedsReview { ", needs review" } else { "" };
            line("fix: ", &format!("{} -> {:.0} %{review}", fix.title(), fix.after.value));
        }
        None if !finding.actionable => line("", "an AWS service makes this request: nobody here can change it"),
        None => {}
    }
    for note in &finding.notes {
        line("note: ", note);
    }
}

/// `text` with what a terminal would obey (control characters, changes of writing direction) written out.
pub fn tame(text: &str) -> String {
    let obeyed = |character: char| {
        character.is_control() || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(obeyed) {
        return text.to_owned();
    }
    text.chars().map(|character| if obeyed(character) { character.escape_default().to_string() } else { character.to_string() }).collect()
}

/// The part of an ARN that tells it from others: account and resource.
fn short(arn: &str) -> String {
    let mut fields = arn.splitn(6, ':');
    match (fields.next(), fields.nth(3), fields.next()) {
        (Some("arn"), Some(account), Some(resource)) => format!("{account}:{resource}"),
        _ => arn.to_owned(),
    }
}

/// The daily 95th percentile of the last days, from the lowest to the highest of them; a gap where no call has a size.
fn sparkline(days: &[Day]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some(last) = days.last().map(|day| day.day) else { return String::new() };
    let first = days.first().map_or(last, |day| day.day).max(last - SPARK_DAYS + 1);
    let span = last - first + 1;
    let chars = SPARK_CHARS.min(span);
    let mut buckets: Vec<Option<f64>> = vec![None; usize::try_from(chars).unwrap_or(0)];
    for day in days.iter().filter(|day| day.day >= first) {
        let at = usize::try_from((day.day - first) * chars / span).unwrap_or(0);
        if let (Some(bucket), Some(percent)) = (buckets.get_mut(at), day.p95_percent) {
            *bucket = Some(bucket.map_or(percent, |before| before.max(percent)));
        }
    }
    let sized = buckets.iter().flatten();
    let (low, high) = sized.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
    // A level series is not to look like a mountain range: at least ten points from bottom to top.
    let height = (high - low).max(10.0);
    buckets
        .iter()
        .map(|bucket| match bucket {
            None => ' ',
            Some(value) => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 7
                let level = ((value - low) / height * 7.0).round().clamp(0.0, 7.0) as usize;
                LEVELS.get(level).copied().unwrap_or(' ')
            }
        })
        .collect()
}

/// `words` on two lines of `width` characters at most; what does not fit is cut, and shown to be.
fn wrapped(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        let count = lines.len();
        let Some(line) = lines.last_mut() else { break };
        let used = line.chars().count();
        if used == 0 {
            line.push_str(word);
        } else if used + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else if count < 2 {
            lines.push(word.to_owned());
        } else {
            line.push_str(" …");
            break;
        }
    }
    for line in &mut lines {
        if line.chars().count() > width {
            *line = line.chars().take(width.saturating_sub(1)).chain(['…']).collect();
        }
    }
    lines
}

/// `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(count: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // For people.
    let count = count as f64;
    if count >= 1e9 {
        format!("{:.1} GB", count / 1e9)
    } else if count >= 1e6 {
        format!("{:.1} MB", count / 1e6)
    } else {
        format!("{:.0} kB", count / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(tame("role/\u{1b}[31m\u{7}\n\u{202e}x"), "role/\\u{1b}[31m\\u{7}\\n\\u{202e}x");
        assert_eq!(tame("rôle ▁…"), "rôle ▁…");
    }

    #[test]
    fn long_words_take_two_lines_and_show_that_they_were_cut() {
        assert_eq!(wrapped("a few words that go on and on", 12), ["a few words", "that go on …"]);
        assert_eq!(wrapped("short", 12), ["short"]);
        assert_eq!(wrapped("averyveryverylongword", 8), ["averyve…"]);
    }
}
