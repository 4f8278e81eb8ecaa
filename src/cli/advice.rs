//! What fixes are to reach and what they may rest on: the same options wherever fixes are looked for.

use std::path::PathBuf;

use clap::Args;

use super::estimate::{Refused, read_text};
use crate::fixes::{Advice, TARGET_PERCENT};
use crate::policy::ActionList;

#[derive(Args)]
pub(super) struct AdviceOptions {
    /// Percentage of the limit that fixes are to come down to, above 0 to 100
    #[arg(long, value_name = "PERCENT", default_value_t = TARGET_PERCENT, value_parser = target)]
    pub(super) target: f64,

    /// File with the IAM actions there are, for wildcards: {"s3": ["GetObject", ...], ...}; by default a list that packtrail ships, of 2026-09-26
    #[arg(long, value_name = "FILE")]
    actions: Option<PathBuf>,
}

fn target(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|percent: &f64| *percent > 0.0 && *percent <= 100.0).ok_or("expected a percentage above 0, 100 at most")
}

impl AdviceOptions {
    /// Reads the files that are named.
    pub(super) fn advice(&self, redact: bool) -> Result<Advice, Refused> {
        let actions = match &self.actions {
            None => ActionList::shipped(),
            Some(path) => {
                let (text, name) = (read_text("--actions", path)?, path.to_string_lossy());
                ActionList::from_json(&text, name.clone())
                    .map_err(|error| Refused::Failed(anyhow::Error::new(error).context(format!("--actions `{name}`"))))?
            }
        };
        Ok(Advice { target_percent: self.target, actions, redact })
    }
}
