//! `packtrail estimate`.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::log::Log;
use super::{End, usage};
use crate::findings::REGIME_TODAY;
use crate::packing::{self, CallerKind, Estimate, Operation, Profile, Regime, Request, Session, limits};

#[derive(Args)]
pub(super) struct Options {
    /// File with the inline session policy, - for standard input
    #[arg(long, value_name = "FILE|-")]
    policy: Option<PathBuf>,

    /// ARN of a managed policy passed as session policy
    #[arg(long, value_name = "ARN")]
    policy_arn: Vec<String>,

    /// Session tag
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,

    /// Transitive tag inherited from the calling session
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    inherited_tag: Vec<(String, String)>,

    /// Source identity
    #[arg(long, value_name = "S")]
    source_identity: Option<String>,

    /// Role session name, or the name of the federated user
    #[arg(long, value_name = "S")]
    session_name: Option<String>,

    /// minimumSessionTokenSize of the request, 0 to 4096
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(0..=4096))]
    minimum_session_token_size: Option<u16>,

    /// The STS operation
    #[arg(long, value_name = "NAME", default_value = "AssumeRole", value_parser = operation)]
    operation: Operation,

    /// Who calls: a userIdentity.type of CloudTrail
    #[arg(long, value_name = "KIND", default_value = "AssumedRole", value_parser = caller_kind)]
    caller_kind: CallerKind,

    /// packed-policy (until September 2026) or session-token; the one in force today by default
    #[arg(long, value_name = "NAME", value_parser = regime)]
    regime: Option<Regime>,

    /// Exit with 10 above this percentage of the limit
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_over: Option<f64>,

    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn tag(text: &str) -> Result<(String, String), &'static str> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or("expected KEY=VALUE")
}

fn percent(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|percent: &f64| percent.is_finite() && *percent >= 0.0).ok_or("expected a percentage")
}

fn operation(text: &str) -> Result<Operation, String> {
    text.parse::<Operation>().map_err(|error| error.to_string())
}

fn caller_kind(text: &str) -> Result<CallerKind, String> {
    text.parse::<CallerKind>().map_err(|error| error.to_string())
}

fn regime(text: &str) -> Result<Regime, String> {
    text.parse::<Regime>().map_err(|error| error.to_string())
}

pub(super) fn run(options: &Options) -> anyhow::Result<End> {
    let policy = match &options.policy {
        None => None,
        Some(path) => match read(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(usage(Log::Text, &format!("--policy: no such file: `{}`", path.display())));
            }
            Err(error) => return Err(error).with_context(|| format!("--policy: cannot read `{}`", path.display())),
        },
    };
    let request = Request {
        policy,
        policy_arns: options.policy_arn.clone(),
        tags: options.tag.clone(),
        inherited_tags: options.inherited_tag.clone(),
    };
    let bytes = |text: &Option<String>| text.as_ref().map(|text| u16::try_from(text.len()).unwrap_or(u16::MAX));
    let session = Session {
        operation: options.operation,
        caller_kind: options.caller_kind,
        service_linked: false,
        session_name_bytes: bytes(&options.session_name),
        source_identity_bytes: bytes(&options.source_identity),
        minimum_token_bytes: options.minimum_session_token_size,
    };
    let profile = Profile::builtin();
    let regime = options.regime.unwrap_or(REGIME_TODAY);
    let priced = Priced::new(&request, &session, regime, &profile);
    let names = limits::Names { session_name: options.session_name.as_deref(), source_identity: options.source_identity.as_deref() };
    let plain = limits::plain_limits(&request, names, options.operation);
    let problems = limits::problems(&request, names, options.operation);

    if options.json {
        let other = Regime::ALL.into_iter().find(|&one| one != regime).unwrap_or(regime);
        let mut answer = priced.json();
        if let Value::Object(answer) = &mut answer {
            answer.insert(
                "limits".to_owned(),
                plain.iter().map(|one| json!({ "name": one.name, "used": one.used, "max": one.max })).collect(),
            );
            answer
                .insert("problems".to_owned(), problems.iter().map(|one| json!({ "where": one.place, "message": one.message })).collect());
            answer.insert("other_regime".to_owned(), Priced::new(&request, &session, other, &profile).json());
        }
        super::print(&format!("{answer:#}\n"))?;
    } else {
        super::print(&text(&priced, &plain, &problems))?;
    }
    let over = options.fail_over.is_some_and(|most| priced.percent.value > most);
    Ok(if over { End::OverLimit } else { End::Done })
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(path)?;
    }
    // A byte order mark is no part of the policy: the AWS CLI and SDKs that read such a file drop it too.
    let text = String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// One request against one limit.
struct Priced {
    regime: Regime,
    operation: Operation,
    limit_bytes: u32,
    percent: Estimate,
    packed_bytes: u32,
    token: Estimate,
    rows: Vec<packing::PartRow>,
}

impl Priced {
    fn new(request: &Request, session: &Session, regime: Regime, profile: &Profile) -> Priced {
        let sizing = profile.sizing(regime);
        let parts = packing::pack(request, sizing);
        Priced {
            regime,
            operation: session.operation,
            limit_bytes: profile.limit_bytes(regime),
            percent: packing::percent(&parts, session, sizing),
            packed_bytes: parts.packed_bytes(),
            token: packing::token_bytes(&parts, session, sizing),
            rows: packing::part_rows(request, session, sizing),
        }
    }

    fn json(&self) -> Value {
        let two_decimals = |value: f64| (value * 100.0).round() / 100.0;
        json!({
            "regime": self.regime.name(),
            "operation": self.operation.name(),
            "recomputed_percent": two_decimals(self.percent.value),
            "recomputed_low_percent": two_decimals(self.percent.low),
            "recomputed_high_percent": two_decimals(self.percent.high),
            "packed_bytes": self.packed_bytes,
            "session_token_bytes": self.token.value.round() as u64,
            "parts": self.rows.iter().map(|row| json!({ "part": row.part, "name": row.name, "bytes": row.bytes })).collect::<Vec<_>>(),
        })
    }
}

fn text(priced: &Priced, plain: &[limits::PlainLimit], problems: &[limits::Problem]) -> String {
    let mut out = String::new();
    let of = match priced.regime {
        Regime::PackedPolicy => "of packed policy, ARNs and tags",
        Regime::SessionToken => "of session token",
    };
    let _ = writeln!(
        out,
        "{:.1} % of {} bytes {of} (between {:.1} and {:.1} %), {} regime",
        priced.percent.value, priced.limit_bytes, priced.percent.low, priced.percent.high, priced.regime
    );
    let _ = writeln!(
        out,
        "packed {} bytes, session token about {:.0} bytes ({:.0} to {:.0})",
        priced.packed_bytes, priced.token.value, priced.token.low, priced.token.high
    );
    let mut rows: Vec<_> = priced.rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
    let most = rows.first().map_or(1, |row| row.bytes.max(1));
    if !rows.is_empty() {
        let _ = writeln!(out, "\nPacked bytes by part");
    }
    for row in rows {
        let bar = "#".repeat(usize::try_from(u64::from(row.bytes) * 30 / u64::from(most)).unwrap_or(0));
        let name = if row.part == "tags" || row.part == "inherited_tags" || row.part == "policy_arns" {
            format!("{} {}", row.part, row.name)
        } else {
            row.name.clone()
        };
        let _ = writeln!(out, "  {:>5}  {bar:<30}  {name}", row.bytes);
    }
    if !plain.is_empty() {
        let _ = writeln!(out, "\nLimits in plain characters and in number");
    }
    for limit in plain {
        let _ = writeln!(out, "  {:>5} of {:>5}  {}", limit.used, limit.max, limit.name);
    }
    for problem in problems {
        let _ = writeln!(out, "\nSTS would refuse this: {}: {}", problem.place, problem.message);
    }
    out
}
