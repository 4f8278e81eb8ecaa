//! The answer for people.

use std::fmt::Write as _;

use crate::packing::{Answer, Estimate, PartRow, Regime, Session, Size};
use crate::report::tame;
use crate::sts_call::{Observed, Outcome};

/// Columns of the bar of the largest part.
pub(in crate::cli) const BAR_CHARS: usize = 30;
/// A terminal narrower than this has no room for bars.
pub(in crate::cli) const BARS_FROM_WIDTH: usize = 70;
/// Parts and problems listed on a terminal; a file or a pipe gets all of them.
const ROWS: usize = 30;

/// Columns of the terminal; None for a file or a pipe, which gets no bars and nothing cut.
pub(in crate::cli) type Width = Option<usize>;

/// Everything the answer says, the limit of `regime` first.
pub(super) fn answer(answer: &Answer, session: &Session, regime: Regime, beside: &Beside<'_>, width: Width) -> String {
    let mut out = String::new();
    sizes(&mut out, answer, regime);
    if let Some(observed) = beside.observed {
        let _ = writeln!(out, "\n{}", logged(observed));
    }
    parts(&mut out, answer.size(regime), session, width);
    if !answer.limits.is_empty() {
        out.push_str("\nLimits in plain characters and in number\n");
    }
    for limit in &answer.limits {
        let left = match limit.left() {
            left @ 0.. => format!("{} left", grouped(left.unsigned_abs())),
            over => format!("{} too many", grouped(over.unsigned_abs())),
        };
        let of = format!("{} of {}", grouped(limit.used.into()), grouped(limit.max.into()));
        let _ = writeln!(out, "  {of:>15}  {left:>14}  {}", limit_words(limit.name));
    }
    refusals(&mut out, beside, width);
    out
}

/// What STS would refuse the request for, and what is seldom meant.
pub(in crate::cli) fn refusals(out: &mut String, beside: &Beside<'_>, width: Width) {
    let refuses = match beside.observed.map(|observed| observed.outcome) {
        Some(Outcome::Granted) => "STS granted this, though by its documentation it would refuse",
        _ => "STS would refuse this",
    };
    let shown = width.map_or(usize::MAX, |_| ROWS);
    for (index, (place, message)) in beside.problems.iter().enumerate().take(shown) {
        let blank = if index == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{blank}{refuses}: {}: {}", tame(place), tame(message));
    }
    if beside.problems.len() > shown {
        let _ = writeln!(out, "and {} more, which --json lists", beside.problems.len() - shown);
    }
    for (index, (place, message)) in beside.notes.iter().enumerate() {
        let blank = if index == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{blank}note: {}: {}", tame(place), tame(message));
    }
}

/// What is told beside the sizes: places and messages.
pub(in crate::cli) struct Beside<'a> {
    pub(in crate::cli) problems: &'a [(String, String)],
    pub(in crate::cli) notes: &'a [(String, String)],
    pub(in crate::cli) observed: Option<Observed>,
}

/// A line for each limit: the regime asked for, the ceilings, the other regime.
pub(in crate::cli) fn sizes(out: &mut String, answer: &Answer, regime: Regime) {
    let mut row = |percent: Estimate, used: &str, words: &str| {
        let range = format!("{:.1} to {:.1} %", percent.low, percent.high);
        let _ = writeln!(out, "{:>6.1} %  {range:>16}  {used:>5} of {words}", percent.value);
    };
    let mut limit = |size: &Size| {
        let max = grouped(size.limit_bytes.into());
        match size.regime {
            Regime::PackedPolicy => {
                row(size.percent, &grouped(size.packed_bytes.into()), &format!("{max} bytes packed, until September 2026"));
            }
            Regime::SessionToken => {
                row(size.percent, &whole(size.token_bytes.value), &format!("{max} bytes of token, since September 2026"))
            }
        }
        for one in size.ceilings.iter().filter(|_| size.regime == regime) {
            let words = format!("{} bytes of token, ceiling {}", grouped(one.ceiling.bytes.into()), tame(&one.ceiling.name));
            row(one.percent, &whole(size.token_bytes.value), &words);
        }
    };
    limit(answer.size(regime));
    answer.sizes.iter().filter(|other| other.regime != regime).for_each(&mut limit);
}

pub(in crate::cli) fn logged(observed: Observed) -> String {
    let mut words = match observed.outcome {
        Outcome::Granted => "STS granted this and logged".to_owned(),
        Outcome::RefusedForSize => "STS refused this for its size and logged".to_owned(),
        Outcome::RefusedOtherwise => "STS refused this, not for its size, and logged".to_owned(),
    };
    let percent = observed.percent.map(|percent| format!(" {percent} %"));
    let bytes = observed.session_token_bytes.map(|bytes| format!(" a session token of {} bytes", grouped(bytes.into())));
    match (percent, bytes) {
        (None, None) => words.push_str(" no size"),
        (Some(percent), None) => words.push_str(&percent),
        (None, Some(bytes)) => words.push_str(&bytes),
        (Some(percent), Some(bytes)) => words.extend([percent, " and".to_owned(), bytes]),
    }
    if observed.regime.is_none() && observed.outcome == Outcome::RefusedForSize {
        words.push_str("; the record does not tell which limit that is of");
    }
    words
}

pub(in crate::cli) fn parts(out: &mut String, size: &Size, session: &Session, width: Width) {
    let Some(largest) = size.parts.first() else { return };
    let unit = match size.regime {
        Regime::PackedPolicy => "",
        Regime::SessionToken => ", before base64 makes 4 of 3",
    };
    let _ = writeln!(out, "\nWhat each part costs: bytes that go when it goes{unit}");
    let shown = width.map_or(usize::MAX, |_| ROWS);
    let rows: Vec<(&PartRow, String)> = size.parts.iter().take(shown).map(|row| (row, tame(&part_words(row, session)))).collect();
    let bars = width.filter(|&width| width >= BARS_FROM_WIDTH && rows.len() > 1);
    for (row, words) in &rows {
        let bytes = grouped(row.bytes.into());
        let line = match bars {
            Some(_) => format!("  {bytes:>6}  {:<BAR_CHARS$}  {words}", bar(row.bytes, largest.bytes)),
            None => format!("  {bytes:>6}  {words}"),
        };
        let _ = writeln!(out, "{}", cut(line.trim_end(), width));
    }
    let left = size.parts.get(rows.len()..).unwrap_or_default();
    if !left.is_empty() {
        let bytes: u64 = left.iter().map(|row| u64::from(row.bytes)).sum();
        let _ = writeln!(out, "  {:>6}  {} more parts, which --json lists", grouped(bytes), left.len());
    }
    if size.parts.iter().filter(|row| row.part == "statement").count() > 1 {
        out.push_str("Statements of a compressed policy share what they have in common: they do not add up to the policy.\n");
    }
}

fn part_words(row: &PartRow, session: &Session) -> String {
    match row.part {
        "session_name" if session.session_name_bytes.is_none() => "session name, taken to be of a usual length".to_owned(),
        part => named(part, &row.name),
    }
}

/// What a row of that kind and name is called.
pub(in crate::cli) fn named(part: &str, name: &str) -> String {
    match part {
        "tags" => format!("tag {name}"),
        "inherited_tags" => format!("inherited tag {name}"),
        "statement" if name.starts_with("statement ") => format!("policy {name}"),
        "statement" => format!("policy statement {name}"),
        _ => name.to_owned(),
    }
}

/// `bytes` as blocks, eighths of them at the end, so that small parts can be told apart too.
pub(in crate::cli) fn bar(bytes: u32, most: u32) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (u64::from(bytes) * BAR_CHARS as u64 * 8).div_ceil(u64::from(most.max(1)));
    let eighths = usize::try_from(eighths).unwrap_or(usize::MAX);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS.get(eighths % 8).copied().unwrap_or_default())
}

/// `line`, or as much of it as the terminal has columns for.
pub(in crate::cli) fn cut(line: &str, width: Width) -> String {
    match width {
        Some(width) if line.chars().count() > width => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        _ => line.to_owned(),
    }
}

fn limit_words(name: &str) -> &str {
    match name {
        "policy_and_arn_chars" => "characters of policy and policy ARNs, white space included",
        "policy_arns" => "policy ARNs",
        "tags" => "tags",
        "tag_key_chars" => "characters of the longest tag key",
        "tag_value_chars" => "characters of the longest tag value",
        "session_name_chars" => "characters of the session name",
        "source_identity_chars" => "characters of the source identity",
        other => other,
    }
}

fn whole(bytes: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A size, which saturates.
    grouped(bytes.round() as u64)
}

/// `12,345`.
pub(in crate::cli) fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{Asked, CallerKind, Operation, Profile, Request, estimate};

    fn shown(width: Width) -> String {
        let policy =
            r#"{"Statement":[{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
        let asked = Asked {
            request: Request {
                policy: Some(policy.to_owned()),
                policy_arns: vec![format!("arn:aws:iam::111122223333:policy/{}", "p".repeat(80))],
                tags: vec![("te\u{1b}am".to_owned(), "x".to_owned())],
                ..Request::default()
            },
            ceilings: vec!["proxy=700".parse().unwrap()],
            ..Asked::new(Operation::AssumeRole, CallerKind::IamUser)
        };
        let beside = Beside { problems: &[], notes: &[], observed: None };
        answer(&estimate(&asked, &Profile::builtin()), &asked.session(), Regime::SessionToken, &beside, width)
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_but_those_that_wrap_as_sentences() {
        let text = shown(Some(72));
        let parts = text.split("What each").nth(1).unwrap().split("Statements of").next().unwrap();
        assert!(parts.lines().all(|line| line.chars().count() <= 72), "{text}");
        assert!(parts.contains('█') && parts.contains('…'), "{text}");
        assert!(!shown(Some(50)).contains('█'));
    }

    #[test]
    fn a_pipe_gets_whole_names_and_no_bars() {
        let text = shown(None);
        assert!(text.contains(&"p".repeat(80)) && !text.contains('█') && !text.contains('…'), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains("policy statement A\n") && text.contains("policy statement 2\n"), "{text}");
        assert!(text.contains("do not add up to the policy"));
    }

    #[test]
    fn a_bar_shows_the_smallest_part_and_never_more_than_the_largest() {
        assert_eq!(bar(1, 100_000), "▏");
        assert_eq!(bar(0, 10), "");
        assert_eq!(bar(10, 10), "█".repeat(BAR_CHARS));
    }
}
