//! What is said on stderr: for people, or one JSON object a line for whatever collects the logs of unattended runs.

use std::io::{self, IsTerminal, Write};

use chrono::{SecondsFormat, Utc};
use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::report::tame;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Log {
    Text,
    Json,
}

impl Log {
    /// Something is wrong: `message` in one line, `fields` for machines.
    pub(super) fn error(self, message: &str, fields: Value) {
        match self {
            Log::Text => {
                let _ = writeln!(io::stderr(), "packtrail: {}", tame(message));
            }
            Log::Json => line("error", message, fields),
        }
    }

    /// What machines want to know though nothing is wrong; people have read the summary.
    pub(super) fn info(self, message: &str, fields: Value) {
        if self == Log::Json {
            line("info", message, fields);
        }
    }

    /// As [`Log::error`], from beside the thread that may be drawing a progress bar.
    pub(super) fn cut_short(self, message: &str, fields: Value) {
        if self == Log::Text && io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
        self.error(message, fields);
    }
}

/// One line in one write, so that lines of several threads do not mix.
fn line(level: &str, message: &str, fields: Value) {
    let mut object = Map::new();
    object.insert("time".to_owned(), Value::from(Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)));
    object.insert("level".to_owned(), Value::from(level));
    object.insert("message".to_owned(), Value::from(message));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    let _ = io::stderr().write_all(format!("{}\n", Value::Object(object)).as_bytes());
}
