//! Advice that circulates and saves nothing here.

use crate::packing::Request;
use crate::packing::limits::POLICY_AND_ARN_CHARS;
use crate::policy::Policy;

/// Notes on advice that would do nothing for `request`: one sentence each, only where somebody might try it.
///
/// `white_space_chars` is the white space the policy was sent with, where `request` holds it without; 0 where it holds it as sent.
pub fn without_effect(request: &Request, white_space_chars: u32) -> Vec<String> {
    let white_space = if white_space_chars > 0 { Some(white_space_note()) } else { white_space(request) };
    white_space.into_iter().chain(letter_case(request)).collect()
}

fn white_space_note() -> String {
    let limit = POLICY_AND_ARN_CHARS;
    format!(
        "removing white space from the policy saves 0 bytes: STS packs the policy without it (it counts in the {limit} plain characters only)"
    )
}

/// White space in the policy: STS packs the document, not its text.
pub(super) fn white_space(request: &Request) -> Option<String> {
    let text = request.policy.as_deref()?;
    let has_white_space = text.contains([' ', '\t', '\n', '\r']) && Policy::parse(text).ok()?.to_string().len() < text.len();
    has_white_space.then(white_space_note)
}

/// Upper case in tags: a letter is a byte in either case, and tags are not compressed.
pub(super) fn letter_case(request: &Request) -> Option<String> {
    let has_upper_case = |text: &str| text.chars().any(char::is_uppercase);
    request
        .tags
        .iter()
        .any(|(key, value)| has_upper_case(key) || has_upper_case(value))
        .then(|| "writing tags in lower case saves 0 bytes: a letter takes one byte in either case".to_owned())
}
