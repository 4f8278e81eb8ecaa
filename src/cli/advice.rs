//! What fixes are to reach and what they may rest on: the same options wherever fixes are looked for.

use std::path::{Path, PathBuf};

use clap::Args;

use super::estimate::{Refused, read_text};
use crate::fixes::{Advice, TARGET_PERCENT, TagReaders};
use crate::policy::ActionList;

#[derive(Args)]
pub(super) struct AdviceOptions {
    /// Percentage of the limit that fixes are to come down to, above 0 to 100
    #[arg(long, value_name = "PERCENT", default_value_t = TARGET_PERCENT, value_parser = target)]
    pub(super) target: f64,

    /// File with the IAM actions there are, for wildcards: {"s3": ["GetObject", ...], ...}; by default a list that packtrail ships, of 2026-09-26
    #[arg(long, value_name = "FILE")]
    actions: Option<PathBuf>,

    /// File with the answer of `aws iam get-account-authorization-details`: it tells which policies read which tags
    #[arg(long, value_name = "FILE")]
    authorization_details: Option<PathBuf>,
}

fn target(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|percent: &f64| *percent > 0.0 && *percent <= 100.0).ok_or("expected a percentage above 0, 100 at most")
}

impl AdviceOptions {
    /// Reads the files that are named.
    pub(super) fn advice(&self, redact: bool) -> Result<Advice, Refused> {
        let failed =
            |option: &str, path: &Path, error: anyhow::Error| Refused::Failed(error.context(format!("{option} `{}`", path.display())));
        let actions = match &self.actions {
            None => ActionList::shipped(),
            Some(path) => ActionList::from_json(&read_text("--actions", path)?, path.to_string_lossy())
                .map_err(|error| failed("--actions", path, error.into()))?,
        };
        let readers = match &self.authorization_details {
            None => None,
            Some(path) => {
                let readers = TagReaders::from_json(&read_text("--authorization-details", path)?, path.to_string_lossy());
                Some(readers.map_err(|error| failed("--authorization-details", path, error.into()))?)
            }
        };
        Ok(Advice { target_percent: self.target, actions, redact, readers })
    }
}
