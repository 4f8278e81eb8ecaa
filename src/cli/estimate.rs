//! `packtrail estimate`.

mod asking;
pub(in crate::cli) mod text;

use std::io::{self, IsTerminal};

use clap::Args;
use serde_json::{Value, json};

use super::log::Log;
use super::{End, usage};
use crate::packing::limits::Problem;
use crate::packing::{Answer, Regime, Size, estimate};
use crate::sts_call::{Asking, Observed, Outcome};
use text::Beside;

pub(in crate::cli) use asking::{Question, Refused, RequestOptions, figures, read_text};

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    request: RequestOptions,

    /// Exit with 10 above this percentage of the limit, or of the nearest ceiling
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_over: Option<f64>,

    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn percent(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|percent: &f64| percent.is_finite() && *percent >= 0.0).ok_or("expected a percentage")
}

pub(super) fn run(options: &Options) -> anyhow::Result<End> {
    let Question { asking, regime, profile, .. } = match options.request.question() {
        Ok(question) => question,
        Err(Refused::Usage(message)) => return Ok(usage(Log::Text, &message)),
        Err(Refused::Failed(error)) => return Err(error),
    };
    let Asking { asked, problems, observed } = asking;
    let answer = estimate(&asked, &profile);
    let (problems, notes) = told(&answer, problems, observed);
    let beside = Beside { problems: &problems, notes: &notes, observed };
    if options.json {
        super::print(&format!("{:#}\n", object(&answer, regime, &beside)))?;
    } else {
        let width = io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1).max(40));
        super::print(&text::answer(&answer, &asked.session(), regime, &beside, width))?;
    }
    let (name, points) = answer.size(regime).nearest();
    match options.fail_over {
        Some(most) if points > most => {
            let message = format!("`{name}`: {points:.1} % is over --fail-over {most} %");
            Log::Text.error(&message, json!({}));
            Ok(End::OverLimit)
        }
        _ => Ok(End::Done),
    }
}

/// Problems and notes about a request, `problems` of its form first: places and messages.
pub(in crate::cli) fn told(answer: &Answer, mut problems: Vec<Told>, observed: Option<Observed>) -> (Vec<Told>, Vec<Told>) {
    let told = |list: &[Problem]| -> Vec<Told> { list.iter().map(|one| (one.place.clone(), one.message.clone())).collect() };
    problems.extend(told(&answer.problems));
    let notes = if observed.is_some_and(|observed| !observed.request_shown) {
        let message = "the record does not show what was asked for: this is a call that asks for nothing";
        vec![("requestParameters".to_owned(), message.to_owned())]
    } else {
        told(&answer.notes)
    };
    (problems, notes)
}

/// A place in a request and what is to be said of it.
pub(in crate::cli) type Told = (String, String);

/// As members of an answer in JSON.
pub(in crate::cli) fn places(list: &[Told]) -> Value {
    list.iter().map(|(place, message)| json!({ "where": place, "message": message })).collect()
}

fn object(answer: &Answer, regime: Regime, beside: &Beside<'_>) -> Value {
    let limits = answer.limits.iter().map(|one| json!({ "name": one.name, "used": one.used, "max": one.max, "left": one.left() }));
    let mut object = size(answer, answer.size(regime));
    if let Value::Object(members) = &mut object {
        let mut insert = |name: &str, value| members.insert(name.to_owned(), value);
        insert("limits", limits.collect());
        insert("problems", places(beside.problems));
        insert("notes", places(beside.notes));
        if let Some(observed) = beside.observed {
            let Observed { outcome, regime, percent, session_token_bytes, .. } = observed;
            insert("outcome", json!(if outcome == Outcome::Granted { "granted" } else { "refused" }));
            insert("observed_regime", json!(regime.map(Regime::name)));
            insert("observed_percent", json!(percent));
            insert("observed_session_token_bytes", json!(session_token_bytes));
        }
        if let Some(other) = answer.sizes.iter().find(|one| one.regime != regime) {
            insert("other_regime", size(answer, other));
        }
    }
    object
}

pub(in crate::cli) fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn size(answer: &Answer, size: &Size) -> Value {
    let (limit_name, limit_percent) = size.nearest();
    let parts = size.parts.iter().map(|row| json!({ "part": row.part, "name": row.name, "bytes": row.bytes }));
    let ceilings = size.ceilings.iter().map(|one| {
        json!({
            "name": one.ceiling.name,
            "bytes": one.ceiling.bytes,
            "percent": two_decimals(one.percent.value),
            "low": two_decimals(one.percent.low),
            "high": two_decimals(one.percent.high),
        })
    });
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A size, which saturates.
    let token_bytes = size.token_bytes.value.round() as u64;
    json!({
        "regime": size.regime.name(),
        "operation": answer.operation.name(),
        "limit_bytes": size.limit_bytes,
        "recomputed_percent": two_decimals(size.percent.value),
        "recomputed_low_percent": two_decimals(size.percent.low),
        "recomputed_high_percent": two_decimals(size.percent.high),
        "packed_bytes": size.packed_bytes,
        "session_token_bytes": token_bytes,
        "limit_name": limit_name,
        "limit_percent": two_decimals(limit_percent),
        "ceilings": ceilings.collect::<Vec<_>>(),
        "parts": parts.collect::<Vec<_>>(),
    })
}
