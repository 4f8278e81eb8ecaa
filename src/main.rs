//! The `packtrail` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    packtrail::cli::run(std::env::args_os())
}
