//! The command line: options, progress, exit codes.

mod advice;
mod analyze;
mod calibrate;
mod estimate;
mod fix;
mod input;
mod log;
mod signals;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use log::Log;
use serde_json::json;

use crate::report;

/// Finds the AWS STS calls in CloudTrail that fail, or will fail, with PackedPolicyTooLarge.
#[derive(Parser)]
#[command(name = "packtrail", version, about, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done, nothing at or over --fail-on
  1   failed
  2   wrong usage, or a named source does not exist
  3   no log file found
  4   done, but some input could not be read; what is written rests on the rest, and it is said which
  10  done, and a finding is at or over --fail-on (wins over 4)
  130, 143  stopped by Ctrl-C or SIGTERM; an earlier report stands as it was";

#[derive(Subcommand)]
enum Command {
    /// Read CloudTrail logs; report which roles and callers fail, are about to, or drift there
    Analyze(analyze::Options),
    /// Price one request: how large its session is, by part, against which limit
    Estimate(estimate::Options),
    /// Make one request smaller: what can be changed, what it brings, what has to be looked at
    Fix(fix::Options),
    /// Fit the engine's figures to the calls in your own logs; write them as a profile
    Calibrate(calibrate::Options),
    /// Print every table and column, with type, unit and meaning
    Schema {
        /// Print instead the statements that make the tables in Amazon Athena over a report written there with --layout hive
        #[arg(long, value_name = "s3://...")]
        athena: Option<String>,
    },
}

/// How a command ended; the process exits with its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Usage,
    NoLogs,
    Unread,
    OverLimit,
}

impl End {
    fn code(self) -> u8 {
        match self {
            End::Done => 0,
            End::Usage => 2,
            End::NoLogs => 3,
            End::Unread => 4,
            End::OverLimit => 10,
        }
    }
}

/// Runs the command in `args` (the program's name first) and returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() && asks_for_json(&args) {
                let text = error.render().to_string();
                let line = text.lines().next().unwrap_or_default();
                return ExitCode::from(usage(Log::Json, &line.strip_prefix("error: ").unwrap_or(line)).code());
            }
            // --help and --version come this way too, with code 0. A closed pipe is no reason to fail.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut log = Log::Text;
    let ended = match cli.command {
        Command::Analyze(options) => {
            log = options.input.log_format;
            analyze::run(&options)
        }
        Command::Calibrate(options) => {
            log = options.input.log_format;
            calibrate::run(&options)
        }
        Command::Estimate(options) => estimate::run(&options),
        Command::Fix(options) => fix::run(&options),
        Command::Schema { athena: None } => print(&report::schema()).map(|()| End::Done),
        Command::Schema { athena: Some(location) } => match report::athena(&location) {
            Ok(text) => print(&text).map(|()| End::Done),
            Err(error) => Ok(usage(log, &format!("--athena: {error}"))),
        },
    };
    match ended {
        Ok(end) => ExitCode::from(end.code()),
        Err(error) => {
            log.error(&format!("{error:#}"), json!({ "exit_code": 1 }));
            ExitCode::from(1)
        }
    }
}

/// Whether JSON lines are asked for by arguments that could not be understood as a whole.
fn asks_for_json(args: &[OsString]) -> bool {
    args.iter().any(|one| one == "--log-format=json")
        || args.iter().zip(args.iter().skip(1)).any(|(option, value)| option == "--log-format" && value == "json")
}

/// Writes to stdout; a reader that closed the pipe has seen enough.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Says on stderr what is wrong with the way the command was called.
fn usage(log: Log, message: &dyn std::fmt::Display) -> End {
    log.error(&message.to_string(), json!({ "exit_code": End::Usage.code() }));
    End::Usage
}
