//! Ctrl-C and SIGTERM: the run ends at once and leaves nothing half-written.

use std::io;

use super::log::Log;
use crate::report::Scratch;

/// Ends the process with 130 (Ctrl-C) or 143 (SIGTERM) as soon as such a signal comes, whatever the other threads are doing, once what is in `scratch` has been
/// removed. While a finished report is being put in its place that comes first, so that it does not end up half old and half new; a second signal ends that, too.
#[cfg(unix)]
pub(super) fn watch(scratch: Scratch, log: Log) -> io::Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::json;
    use signal_hook::consts::{SIGINT, SIGTERM};

    let told = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&told))?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
        if scratch.is_busy() {
            told.store(true, Ordering::SeqCst);
            log.cut_short("the report is being put in its place; once more to stop at once", json!({ "signal": name }));
        }
        let _kept = scratch.remove();
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
