//! `packtrail fix`.

mod text;

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::{Value, json};

use super::advice::AdviceOptions;
use super::estimate::text::Beside;
use super::estimate::{Question, Refused, RequestOptions, places, told, two_decimals};
use super::log::Log;
use super::{End, signals, usage};
use crate::fixes::{Fix, Subject, Suggestions, suggestions};
use crate::packing::{Answer, Asked, CallerKind, Estimate, Profile, Regime, STS, Sizing, estimate, pack, percent};
use crate::policy;
use crate::report::{self, Case, Place, Scratch};
use crate::sts_call::{Asking, Observed, Outcome};

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    request: RequestOptions,

    #[command(flatten)]
    advice: AdviceOptions,

    /// Directory for a folder with each fix: policy, diff, request, commands, and a page that explains it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What is known of a request when its fixes are looked for.
struct Found<'a> {
    asked: &'a Asked,
    answer: &'a Answer,
    regime: Regime,
    sizing: &'a Sizing,
    limit_name: &'a str,
    target_percent: f64,
    before: Estimate,
    fixes: &'a [Fix],
    /// The smallest the request gets by changes that keep its meaning.
    smallest_same_meaning: Option<&'a Fix>,
    /// Names of the folders written, in the order of `fixes`; empty without --out.
    folders: &'a [String],
}

impl Found<'_> {
    /// Why there are no fixes; None where there are.
    fn reason(&self) -> Option<&'static str> {
        let request = &self.asked.request;
        let has_tags = !(request.tags.is_empty() && request.inherited_tags.is_empty());
        let passes_nothing = request.policy.is_none() && request.policy_arns.is_empty() && !has_tags;
        match () {
            () if !self.fixes.is_empty() => None,
            () if self.asked.session.caller_kind == CallerKind::AwsService => {
                Some("an AWS service makes this request: nobody here can change it")
            }
            () if passes_nothing => Some("it passes no policy and no tags that could be made smaller"),
            () if self.before.value < self.target_percent => Some("it is under the target as it is, and no rule makes it smaller"),
            () => Some("no rule makes it smaller"),
        }
    }
}

pub(super) fn run(options: &Options) -> anyhow::Result<End> {
    let read = || Ok((options.request.question()?, options.advice.advice(false)?));
    let (question, advice) = match read() {
        Ok(read) => read,
        Err(Refused::Usage(message)) => return Ok(usage(Log::Text, &message)),
        Err(Refused::Failed(error)) => return Err(error),
    };
    let Question { asking, regime, profile, policy_source, as_recorded } = question;
    let Asking { asked, problems, observed } = asking;
    // What STS granted is a policy, whatever the grammar says of it.
    let granted = observed.is_some_and(|observed| observed.outcome == Outcome::Granted);
    if let (Some(policy), Some(source), false) = (&asked.request.policy, policy_source, granted) {
        policy::check(policy).context(source)?;
    }
    let answer = estimate(&asked, &profile);
    let (sizing, limit_name) = nearest(&answer, regime, &profile);
    let Suggestions { mut fixes, mut smallest_same_meaning } =
        suggestions(Subject { asked: &asked, peers: &[], calls: &[] }, &sizing, &advice);
    let recomputed = percent(&pack(&asked.request, &sizing), &asked.session(), &sizing);
    let shift =
        observed.filter(|_| as_recorded).map_or(0.0, |observed| unexplained_percent(observed, recomputed.value, &sizing, limit_name));
    let moved = |points: f64| (points + shift).max(0.0);
    let before = Estimate { value: moved(recomputed.value), low: moved(recomputed.low), high: moved(recomputed.high) };
    for fix in fixes.iter_mut().chain(&mut smallest_same_meaning) {
        fix.before_percent = moved(fix.before_percent);
        fix.after = Estimate { value: moved(fix.after.value), low: moved(fix.after.low), high: moved(fix.after.high) };
    }

    let case = Case { asked: &asked, caller: None, sizing: &sizing, limit_name };
    let folders = match &options.out {
        Some(out) => write_folders(out.clone(), case, &fixes)?,
        None => Vec::new(),
    };
    let (problems, notes) = told(&answer, problems, observed);
    let found = Found {
        asked: &asked,
        answer: &answer,
        regime,
        sizing: &sizing,
        limit_name,
        target_percent: advice.target_percent,
        before,
        fixes: &fixes,
        smallest_same_meaning: smallest_same_meaning.as_ref(),
        folders: &folders,
    };
    let beside = Beside { problems: &problems, notes: &notes, observed };
    if options.json {
        super::print(&format!("{:#}\n", object(&found, &beside)))?;
    } else {
        let width = io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1).max(40));
        super::print(&text::answer(&found, &beside, options.out.as_deref(), width))?;
    }
    Ok(End::Done)
}

/// Figures and name of the limit that is nearest: that of STS in `regime`, or a ceiling.
fn nearest<'a>(answer: &'a Answer, regime: Regime, profile: &'a Profile) -> (Cow<'a, Sizing>, &'a str) {
    let of_sts = (Cow::Borrowed(profile.sizing(regime)), STS);
    let ceilings = &answer.size(Regime::SessionToken).ceilings;
    let mut most = answer.size(regime).percent.value;
    ceilings.iter().fold(of_sts, |nearest, one| {
        if one.percent.value <= most {
            return nearest;
        }
        most = one.percent.value;
        (Cow::Owned(Sizing { limit_bytes: one.ceiling.bytes, ..profile.session_token.clone() }), &one.ceiling.name)
    })
}

/// How far what STS logged is from what the engine says, in points of the limit: what no change to the request that is logged can save. 0 where the engine is
/// right, STS logged no size, or not one of that limit.
fn unexplained_percent(observed: Observed, engine: f64, sizing: &Sizing, limit_name: &str) -> f64 {
    let bytes = observed.session_token_bytes.filter(|_| sizing.regime == Regime::SessionToken);
    if let Some(bytes) = bytes {
        return 100.0 * f64::from(bytes) / f64::from(sizing.limit_bytes.max(1)) - engine;
    }
    let logged = observed.percent.filter(|_| limit_name == STS && observed.regime == Some(sizing.regime));
    // A percentage is logged as a whole number: the engine is right where it says the same.
    logged.filter(|logged| sizing.rounding.whole(engine) != logged.round()).map_or(0.0, |logged| logged - engine)
}

/// Writes a folder for each fix; returns their names.
fn write_folders(out: PathBuf, case: Case<'_>, fixes: &[Fix]) -> anyhow::Result<Vec<String>> {
    let scratch = Scratch::default();
    signals::watch(scratch.clone(), Log::Text).context("cannot watch for signals")?;
    let folders: Vec<_> = (1..).zip(fixes).map(|(rank, fix)| (report::folder_name(rank, fix), report::folder(case, fix))).collect();
    report::write_folders(&Place::Directory(out), &folders, &scratch).map_err(|error| anyhow!(error).context("cannot write the fixes"))?;
    Ok(folders.into_iter().map(|(name, _)| name).collect())
}

fn object(found: &Found<'_>, beside: &Beside<'_>) -> Value {
    let fixes: Vec<Value> = found.fixes.iter().enumerate().map(|(at, fix)| one(found, fix, found.folders.get(at))).collect();
    json!({
        "regime": found.sizing.regime.name(),
        "operation": found.answer.operation.name(),
        "limit_name": found.limit_name,
        "limit_bytes": found.sizing.limit_bytes,
        "before_percent": two_decimals(found.before.value),
        "before_low_percent": two_decimals(found.before.low),
        "before_high_percent": two_decimals(found.before.high),
        "target_percent": found.target_percent,
        "fixes": fixes,
        "smallest_same_meaning": found.smallest_same_meaning.map(|fix| one(found, fix, None)),
        "reason": found.reason(),
        "problems": places(beside.problems),
        "notes": places(beside.notes),
    })
}

fn one(found: &Found<'_>, fix: &Fix, folder: Option<&String>) -> Value {
    let Asked { request, session_name, source_identity, .. } = &fix.asked;
    let pair = |(key, value): &(String, String)| json!({ "Key": key, "Value": value });
    let (tags, inherited) = (request.tags.iter().map(pair), request.inherited_tags.iter().map(pair));
    let changes = fix
        .changes
        .iter()
        .map(|change| json!({ "rule": change.rule, "effect": change.effect.name(), "title": change.title, "detail": change.detail }));
    let parts = report::part_changes(found.asked, &fix.asked, found.sizing).into_iter().map(|change| {
        json!({ "part": change.part, "name": change.name, "before_bytes": change.before_bytes, "after_bytes": change.after_bytes })
    });
    json!({
        "rule": fix.rule(),
        "title": fix.title(),
        "effect": fix.effect.name(),
        "after_percent": two_decimals(fix.after.value),
        "after_low_percent": two_decimals(fix.after.low),
        "after_high_percent": two_decimals(fix.after.high),
        "saved_bytes": fix.saved_bytes,
        "policy": request.policy,
        "policy_arns": request.policy_arns,
        "tags": tags.collect::<Vec<_>>(),
        "inherited_tags": inherited.collect::<Vec<_>>(),
        "session_name": session_name,
        "source_identity": source_identity,
        "minimum_session_token_size": fix.asked.session.minimum_token_bytes,
        "detail": fix.detail(),
        "changes": changes.collect::<Vec<_>>(),
        "parts": parts.collect::<Vec<_>>(),
        "documents": fix.documents.iter().map(|document| &document.name).collect::<Vec<_>>(),
        "folder": folder,
    })
}
