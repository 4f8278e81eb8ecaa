//! Parts and session to the size of the session token.
//!
//! The token is base64 of an envelope with a ciphertext in it. The ciphertext grows by one byte for each byte of session name, of packed
//! content and of source identity; the rest hangs on who calls what, and is a figure of the profile. Shown by the lengths of the tokens
//! in public records.

use super::{Estimate, Parts, Session, Sizing, limits, range};

/// Size of the session token's text, in bytes (a multiple of 4), with its range.
pub(super) fn token_bytes(parts: &Parts, session: &Session, sizing: &Sizing) -> Estimate {
    let base = base_bytes(session, sizing);
    let name = session_name_bytes(session, sizing);
    let identity = source_identity_bytes(session, sizing);
    let identity_margin = if session.source_identity_bytes.is_some() { f64::from(sizing.source_identity_margin_bytes) } else { 0.0 };
    let packed = f64::from(parts.packed_bytes());
    let (low_margin, high_margin) = range::content_margin(parts, session, sizing);
    let text = |bytes: f64| base64_chars(bytes).max(f64::from(session.minimum_token_bytes.unwrap_or(0)));
    Estimate {
        value: text(base.value + name.value + packed + identity),
        low: text((base.low + name.low + (packed - low_margin).max(0.0) + identity - identity_margin).max(0.0)),
        high: text(base.high + name.high + packed + high_margin + identity + identity_margin),
    }
}

/// What a minimum size adds to the token, before base64.
pub(super) fn padding_bytes(parts: &Parts, session: &Session, sizing: &Sizing) -> u32 {
    let unpadded = Session { minimum_token_bytes: None, ..*session };
    let more = token_bytes(parts, session, sizing).value - token_bytes(parts, &unpadded, sizing).value;
    (more * 3.0 / 4.0).floor() as u32
}

/// Characters of base64, padding included, for so many bytes.
fn base64_chars(bytes: f64) -> f64 {
    (bytes / 3.0).ceil() * 4.0
}

/// What the token takes before session name and content, with its range.
pub(super) fn base_bytes(session: &Session, sizing: &Sizing) -> Estimate {
    match sizing.token_base(session.operation, session.caller_kind, session.service_linked) {
        Some(base) => Estimate { value: base.bytes.into(), low: base.low_bytes.into(), high: base.high_bytes.into() },
        None => Estimate { value: 0.0, low: 0.0, high: sizing.limit_bytes.into() },
    }
}

/// Bytes of the session name in the token, with its range.
pub(super) fn session_name_bytes(session: &Session, sizing: &Sizing) -> Estimate {
    if !session.operation.names_its_session() {
        return Estimate { value: 0.0, low: 0.0, high: 0.0 };
    }
    let bytes = |bytes: u32| f64::from(sizing.session_name_factor) * f64::from(bytes);
    match session.session_name_bytes {
        Some(known) => Estimate { value: bytes(known.into()), low: bytes(known.into()), high: bytes(known.into()) },
        None => Estimate {
            value: bytes(sizing.unknown_session_name_bytes),
            low: bytes(limits::NAME_MIN_CHARS),
            high: bytes(limits::SESSION_NAME_CHARS),
        },
    }
}

/// Bytes of the source identity in the token.
pub(super) fn source_identity_bytes(session: &Session, sizing: &Sizing) -> f64 {
    session.source_identity_bytes.map_or(0.0, |bytes| {
        f64::from(sizing.source_identity_factor).mul_add(f64::from(bytes), f64::from(sizing.source_identity_overhead_bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{CallerKind, Operation, Profile, percent};
    use super::*;

    fn session(operation: Operation, caller_kind: CallerKind, session_name_bytes: u16) -> Session {
        Session {
            operation,
            caller_kind,
            service_linked: false,
            session_name_bytes: Some(session_name_bytes),
            source_identity_bytes: None,
            minimum_token_bytes: None,
        }
    }

    fn packed(tag_bytes: u32) -> Parts {
        Parts { tag_bytes, ..Parts::default() }
    }

    fn assert_in_range(parts: &Parts, session: &Session, seen: f64) {
        let size = token_bytes(parts, session, &Profile::builtin().session_token);
        assert!(size.low <= seen && seen <= size.high, "{seen} is not in {size:?}");
    }

    #[test]
    fn the_lengths_of_real_tokens_lie_in_the_range() {
        let user = session(Operation::AssumeRole, CallerKind::IamUser, 30);
        assert_in_range(&packed(0), &user, 768.0);
        let service = |name| session(Operation::AssumeRole, CallerKind::AwsService, name);
        assert_in_range(&packed(0), &service(31), 752.0);
        assert_in_range(&packed(0), &service(19), 1324.0);
        assert_in_range(&packed(259), &service(56), 1116.0);
        let linked = |name| Session { service_linked: true, ..service(name) };
        assert_in_range(&packed(0), &linked(28), 720.0);
        assert_in_range(&packed(0), &linked(31), 896.0);
        assert_in_range(&packed(0), &linked(32), 900.0);
        assert_in_range(&packed(420), &linked(13), 1420.0);
        assert_in_range(&packed(90), &linked(36), 1036.0);
        assert_in_range(&packed(20), &session(Operation::GetFederationToken, CallerKind::IamUser, 16), 752.0);
        assert_in_range(&packed(0), &session(Operation::GetSessionToken, CallerKind::Root, 0), 336.0);
        assert_in_range(&packed(0), &session(Operation::GetSessionToken, CallerKind::IamUser, 0), 288.0);
    }

    #[test]
    fn an_unknown_session_name_widens_the_range() {
        let known = session(Operation::AssumeRole, CallerKind::IamUser, 20);
        let unknown = Session { session_name_bytes: None, ..known };
        let sizing = Profile::builtin().session_token;
        let (known, unknown) = (token_bytes(&packed(0), &known, &sizing), token_bytes(&packed(0), &unknown, &sizing));
        assert_eq!(known.value, unknown.value);
        assert!(unknown.low < known.low && unknown.high > known.high);
    }

    #[test]
    fn a_minimum_size_pads_the_token_and_no_more() {
        let plain = session(Operation::AssumeRole, CallerKind::IamUser, 10);
        let sizing = Profile::builtin().session_token;
        let padded = Session { minimum_token_bytes: Some(2048), ..plain };
        let size = token_bytes(&packed(0), &padded, &sizing);
        assert_eq!((size.low, size.value, size.high), (2048.0, 2048.0, 2048.0));
        let small = Session { minimum_token_bytes: Some(100), ..plain };
        assert_eq!(token_bytes(&packed(0), &small, &sizing), token_bytes(&packed(0), &plain, &sizing));
    }

    #[test]
    fn web_identity_tags_may_be_above_their_sum() {
        let sizing = Profile::builtin().packed_policy;
        let web = session(Operation::AssumeRoleWithWebIdentity, CallerKind::WebIdentityUser, 20);
        let size = percent(&packed(168), &web, &sizing);
        assert!(size.low < 43.0 && 43.0 < size.high);
        let untagged = percent(&packed(0), &web, &sizing);
        assert_eq!(untagged.high, 0.0);
    }
}
