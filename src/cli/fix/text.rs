//! The answer for people.

use std::fmt::Write as _;
use std::path::Path;

use super::Found;
use crate::cli::estimate::text::{BAR_CHARS, BARS_FROM_WIDTH, Beside, Width, bar, cut, grouped, logged, named, parts, refusals, sizes};
use crate::fixes::{Effect, Fix};
use crate::packing::{Estimate, STS};
use crate::report::{detail, part_changes, tame};

/// The size as it is, by part, then each fix; `out` is where their folders lie.
pub(super) fn answer(found: &Found<'_>, beside: &Beside<'_>, out: Option<&Path>, width: Width) -> String {
    let mut text = String::new();
    sizes(&mut text, found.answer, found.regime);
    if let Some(observed) = beside.observed {
        let _ = writeln!(text, "\n{}", logged(observed));
    }
    parts(&mut text, found.answer.size(found.sizing.regime), &found.asked.session(), width);
    refusals(&mut text, beside, width);
    text.push('\n');
    text.push_str(&goal(found));
    for (at, fix) in found.fixes.iter().enumerate() {
        one(&mut text, at, fix, found, width);
    }
    if let Some(out) = out.filter(|_| !found.folders.is_empty()) {
        let _ = writeln!(
            text,
            "\nPolicies, diffs, requests, commands and a page for each fix: {}/",
            tame(out.to_string_lossy().trim_end_matches('/'))
        );
    }
    text
}

/// Where the request stands, and where it is to go.
fn goal(found: &Found<'_>) -> String {
    let target = found.target_percent;
    let limit = if found.limit_name == STS { String::new() } else { format!(" of ceiling {}", tame(found.limit_name)) };
    let now = format!("It takes {:.1} %{limit}", found.before.value);
    match found.reason() {
        Some(reason) => format!("{now}. Nothing to change: {reason}.\n"),
        None if found.before.value < target => {
            format!("{now}, under the target of {target} % as it is. What would make it smaller still, best first:\n")
        }
        None => {
            let reach = found.fixes.iter().filter(|fix| fix.after.value < target).count();
            let reach = match reach {
                0 => format!("none of these reaches the target of {target} %"),
                1 => format!("1 of these reaches the target of {target} %"),
                many => format!("{many} of these reach the target of {target} %"),
            };
            format!("{now}; {reach}. Best first:\n")
        }
    }
}

fn range(estimate: Estimate) -> String {
    format!("{:.1} % ({:.1} to {:.1})", estimate.value, estimate.low, estimate.high)
}

fn one(text: &mut String, at: usize, fix: &Fix, found: &Found<'_>, width: Width) {
    let effect = match fix.effect {
        Effect::SameMeaning => "same meaning",
        Effect::NeedsReview => "needs review",
    };
    let saved = grouped(fix.saved_bytes.into());
    let _ = writeln!(text, "\n{}. {:.1} % -> {}, {effect}, {saved} bytes saved", at + 1, fix.before_percent, range(fix.after));
    for change in &fix.changes {
        let review = if change.effect == Effect::NeedsReview && fix.effect != change.effect { " (needs review)" } else { "" };
        let _ = writeln!(text, "   {}{review} [{}]", tame(&change.title), change.rule);
        let detail = detail(found.asked, fix, change);
        if !detail.is_empty() {
            let _ = writeln!(text, "     {}", tame(&detail));
        }
    }
    let rows = part_changes(found.asked, &fix.asked, found.sizing);
    let (changed, same): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.is_change());
    let most = changed.iter().filter_map(|row| row.before_bytes.max(row.after_bytes)).max().unwrap_or(0);
    let bars = width.is_some_and(|width| width >= BARS_FROM_WIDTH);
    let _ = writeln!(text, "   {:>6}  {:>6}", "before", "after");
    for row in changed {
        let bytes = |bytes: Option<u32>| bytes.map_or_else(|| "-".to_owned(), |bytes| grouped(bytes.into()));
        let (before, after, words) = (bytes(row.before_bytes), bytes(row.after_bytes), tame(&named(row.part, &row.name)));
        let line = if bars {
            format!("   {before:>6}  {after:>6}  {:<BAR_CHARS$}  {words}", shrunk(row.before_bytes, row.after_bytes, most))
        } else {
            format!("   {before:>6}  {after:>6}  {words}")
        };
        let _ = writeln!(text, "{}", cut(&line, width));
    }
    if !same.is_empty() {
        let bytes: u64 = same.iter().filter_map(|row| row.after_bytes).map(u64::from).sum();
        let parts = if same.len() == 1 { "1 other part".to_owned() } else { format!("{} other parts", same.len()) };
        let _ = writeln!(text, "   {0:>6}  {0:>6}  {parts}, as they are", grouped(bytes));
    }
    let (old, new) = (&found.asked.request.policy, &fix.asked.request.policy);
    match new {
        Some(policy) if old != new => {
            let _ = writeln!(text, "   policy to send:\n{}", tame(policy));
        }
        None if old.is_some() => text.push_str("   no inline policy is sent any more\n"),
        _ => {}
    }
}

/// What is left of a part as blocks, and what goes of it shaded.
fn shrunk(before: Option<u32>, after: Option<u32>, most: u32) -> String {
    let left = bar(after.unwrap_or(0), most);
    let whole = bar(before.unwrap_or(0), most).chars().count();
    let gone = whole.saturating_sub(left.chars().count());
    format!("{left}{}", "░".repeat(gone))
}
