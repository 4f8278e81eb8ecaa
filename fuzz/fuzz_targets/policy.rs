//! Any text as a session policy: what is parsed is printed so that it parses to the same, and means to JSON what the text means.

#![no_main]

use libfuzzer_sys::fuzz_target;
use packtrail::policy::{Policy, check};
use serde_json::Value;

fuzz_target!(|text: &str| {
    let _ = check(text);
    let Ok(policy) = Policy::parse(text) else { return };
    let printed = policy.to_string();
    assert_eq!(Policy::parse(&printed).as_ref(), Ok(&policy), "{printed}");
    assert_eq!(printed, Policy::parse(&printed).map(|again| again.to_string()).unwrap_or_default());
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    if let Some(before) = value(text) {
        assert_eq!(value(&printed), Some(before), "{printed}");
    }
});
