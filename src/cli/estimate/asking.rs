//! The options that say what is asked of STS, and what they come to.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::findings::REGIME_TODAY;
use crate::packing::limits::same_key;
use crate::packing::{Asked, CallerKind, Ceiling, Operation, Profile, Regime, repeated_name};
use crate::sts_call::{self, Asking};

/// What a request is, where it comes from and what it is held against.
#[derive(Args)]
pub(in crate::cli) struct RequestOptions {
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

    /// The STS operation; AssumeRole unless --from-event tells another
    #[arg(long, value_name = "NAME", value_parser = operation)]
    operation: Option<Operation>,

    /// Who calls: a userIdentity.type of CloudTrail; by default the usual caller of the operation
    #[arg(long, value_name = "KIND", value_parser = caller_kind)]
    caller_kind: Option<CallerKind>,

    /// File with the request, - for standard input: a CloudTrail record, a skeleton of the AWS CLI, keyword arguments of boto3. Other options replace
    /// what it says, --tag and --inherited-tag by key; --policy-arn adds
    #[arg(long, value_name = "FILE|-")]
    from_event: Option<PathBuf>,

    /// packed-policy (until September 2026) or session-token; by default the one that judged the record, else the one in force today
    #[arg(long, value_name = "NAME", value_parser = regime)]
    regime: Option<Regime>,

    /// Size by a profile that `packtrail calibrate` wrote; by default, and with none, by the built-in figures
    #[arg(long, value_name = "FILE|none")]
    profile: Option<PathBuf>,

    /// Limit of a system behind STS, in bytes of session token
    #[arg(long, value_name = "NAME=BYTES")]
    ceiling: Vec<Ceiling>,
}

fn tag(text: &str) -> Result<(String, String), &'static str> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or("expected KEY=VALUE")
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

/// Why the options come to nothing.
pub(in crate::cli) enum Refused {
    /// The command was called wrongly.
    Usage(String),
    /// What was named could not be read.
    Failed(anyhow::Error),
}

/// The figures that `--profile` names: those of a file, or the built-in ones for `none`; None where it is not given.
pub(in crate::cli) fn figures(profile: Option<&Path>) -> Result<Option<Profile>, Refused> {
    let Some(path) = profile else { return Ok(None) };
    if path == Path::new("none") {
        return Ok(Some(Profile::builtin()));
    }
    let text = read_text("--profile", path)?;
    Profile::from_json(&text).map(Some).with_context(|| format!("--profile `{}`", path.display())).map_err(Refused::Failed)
}

/// What the options come to.
pub(in crate::cli) struct Question {
    /// The request, options laid over what was read.
    pub(in crate::cli) asking: Asking,
    /// The regime asked for.
    pub(in crate::cli) regime: Regime,
    /// The figures to answer with.
    pub(in crate::cli) profile: Profile,
    /// Where the policy comes from, in words for an error: the option and its file. None where there is no policy.
    pub(in crate::cli) policy_source: Option<String>,
    /// Whether the request is that of a record, and no option changes what is asked.
    pub(in crate::cli) as_recorded: bool,
}

impl RequestOptions {
    /// Reads the files that are named.
    pub(in crate::cli) fn question(&self) -> Result<Question, Refused> {
        if self.policy.as_deref().is_some_and(is_stdin) && self.from_event.as_deref().is_some_and(is_stdin) {
            return Err(Refused::Usage("--policy and --from-event cannot both be read from standard input".to_owned()));
        }
        if let Some(name) = repeated_name(&self.ceiling) {
            return Err(Refused::Usage(format!("--ceiling: `{name}` is given twice")));
        }
        let profile = figures(self.profile.as_deref())?.unwrap_or_else(Profile::builtin);
        let asking = self.asking()?;
        let regime = self.regime.or(asking.observed.and_then(|observed| observed.regime)).unwrap_or(REGIME_TODAY);
        let source = |option: &str, path: &Path| format!("{option} `{}`", path.display());
        let policy_source = match (&self.policy, &self.from_event) {
            (Some(path), _) => Some(source("--policy", path)),
            (None, Some(path)) => asking.asked.request.policy.as_ref().map(|_| source("--from-event", path) + ": policy"),
            (None, None) => None,
        };
        let changes = self.policy.is_some()
            || self.source_identity.is_some()
            || self.session_name.is_some()
            || self.minimum_session_token_size.is_some()
            || self.operation.is_some()
            || self.caller_kind.is_some()
            || !(self.policy_arn.is_empty() && self.tag.is_empty() && self.inherited_tag.is_empty());
        let as_recorded = asking.observed.is_some_and(|observed| observed.request_shown) && !changes;
        Ok(Question { asking, regime, profile, policy_source, as_recorded })
    }

    fn asking(&self) -> Result<Asking, Refused> {
        let mut asking = match &self.from_event {
            Some(path) => {
                // The name of a federated user is passed as Name, that of a role's session as RoleSessionName.
                let beside: &[&str] = if self.session_name.is_some() { &["RoleSessionName", "Name"] } else { &[] };
                let bytes = read("--from-event", path)?;
                sts_call::read_asked(&bytes, self.operation, beside)
                    .with_context(|| format!("--from-event `{}`", path.display()))
                    .map_err(Refused::Failed)?
            }
            None => {
                let operation = self.operation.unwrap_or(Operation::AssumeRole);
                Asking { asked: Asked::new(operation, sts_call::usual_caller(operation)), problems: Vec::new(), observed: None }
            }
        };
        let Asked { request, session, session_name, source_identity, ceilings, .. } = &mut asking.asked;
        if let Some(path) = &self.policy {
            request.policy = Some(read_text("--policy", path)?);
        }
        request.policy_arns.extend(self.policy_arn.iter().cloned());
        lay_over(&mut request.tags, &self.tag);
        lay_over(&mut request.inherited_tags, &self.inherited_tag);
        for (known, given) in [(session_name, &self.session_name), (source_identity, &self.source_identity)] {
            if given.is_some() {
                known.clone_from(given);
            }
        }
        session.minimum_token_bytes = self.minimum_session_token_size.or(session.minimum_token_bytes);
        session.caller_kind = self.caller_kind.unwrap_or(session.caller_kind);
        ceilings.clone_from(&self.ceiling);
        Ok(asking)
    }
}

/// Puts `given` in the place of the tags of the same key, and behind them what is new. Of two given tags with one key both stay: that is a mistake to be
/// told.
fn lay_over(tags: &mut Vec<(String, String)>, given: &[(String, String)]) {
    tags.retain(|(key, _)| !given.iter().any(|(new, _)| same_key(key, new)));
    tags.extend(given.iter().cloned());
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    let outcome = if is_stdin(path) { io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes) } else { std::fs::read(path) };
    outcome.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Refused::Usage(format!("{option}: no such file: `{}`", path.display())),
        _ => Refused::Failed(anyhow::Error::new(error).context(format!("{option}: cannot read `{}`", path.display()))),
    })
}

/// The text of the file that `option` names.
pub(in crate::cli) fn read_text(option: &str, path: &Path) -> Result<String, Refused> {
    let bytes = read(option, path)?;
    let text =
        String::from_utf8(bytes).map_err(|_| Refused::Failed(anyhow::anyhow!("{option}: cannot read `{}`: not UTF-8", path.display())))?;
    // A byte order mark is no part of the policy: the AWS CLI and SDKs that read such a file drop it too.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
