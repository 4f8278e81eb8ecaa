//! Ctrl-C and SIGTERM: the run ends at once and leaves nothing half-written.

use std::io;

use super::log::Log;
use crate::report::Scratch;

/// Ends the process with 130 (Ctrl-C) or 143 (SIGTERM) as soon as such a signal comes, whatever the other threads are doing, once what is in `scratch` has been
/// removed. While a finished report is being put in its place that comes first, so that it does not end up half old and half new; a second signal ends that, too.
#[cfg(unix)]
pub(super) fn watch(scratch: Scratch, log: Log) -> io::Result<()> {
    use std::thread;
    use std::time::Duration;

    use serde_json::json;
    use signal_hook::consts::{SIGINT, SIGTERM};

    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
        let mut held = scratch.hold();
        if held.is_none() {
            log.cut_short("the report is being put in its place; once more to stop at once", json!({ "signal": name }));
        }
        while held.is_none() && signals.pending().next().is_none() {
            thread::sleep(Duration::from_millis(10));
            held = scratch.hold();
        }
        scratch.remove();
        let code = 128 + signal;
        log.cut_short(&format!("stopped by {name}"), json!({ "signal": name, "exit_code": code }));
        std::process::exit(code)
    })?;
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn watch(_: Scratch, _: Log) -> io::Result<()> {
    Ok(())
}
