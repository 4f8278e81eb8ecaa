//! Request to packed size, by part: the engine.
//!
//! ```
//! use packtrail::packing::{CallerKind, Operation, Profile, Regime, Request, Session, pack, percent};
//!
//! let request = Request { tags: vec![("team".to_owned(), "payments".to_owned())], ..Request::default() };
//! let session = Session { session_name_bytes: Some(6), ..Session::new(Operation::AssumeRole, CallerKind::IamUser) };
//! let profile = Profile::builtin();
//! let sizing = profile.sizing(Regime::PackedPolicy);
//! let parts = pack(&request, sizing);
//! assert_eq!(parts.tag_bytes, 4 + 8 + 3);
//! assert_eq!(percent(&parts, &session, sizing).value.floor(), 3.0);
//! ```
//!
//! Pure: no I/O, no clock, no state but a compressor kept per thread. AWS does not publish how STS packs; what public records show, and
//! how sure it is, stands in `docs/packing.md`.

mod basis;
#[cfg(feature = "calibrate")]
pub mod calibrate;
mod ceiling;
mod codec;
mod estimate;
pub mod limits;
mod plain;
mod profile;
mod profile_json;
mod range;
mod token;

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use crate::policy::Policy;
use codec::Encoder;

pub use basis::{Basis, KindBasis};
pub use ceiling::{Ceiling, CeilingError, STS, repeated_name};
pub use codec::{Codec, UnknownCodec};
pub use estimate::{Answer, Asked, OfCeiling, Size, estimate};
pub use plain::PlainForm;
pub use profile::{Compression, Profile, Rounding, Sizing, TokenBase};
pub use profile_json::ProfileError;
pub use range::{Content, Margins, Range};

/// An STS operation that returns a session token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Of a role, by a principal with AWS credentials.
    AssumeRole,
    /// Of a role, by a SAML assertion.
    AssumeRoleWithSaml,
    /// Of a role, by a web identity token (OIDC, Cognito).
    AssumeRoleWithWebIdentity,
    /// Of an IAM user, restricted by session policies.
    GetFederationToken,
    /// Of the root of a member account.
    AssumeRoot,
    /// Of an IAM user or the root, with all their rights.
    GetSessionToken,
}

impl Operation {
    /// Every operation, in the order of this type.
    pub const ALL: [Operation; 6] = [
        Operation::AssumeRole,
        Operation::AssumeRoleWithSaml,
        Operation::AssumeRoleWithWebIdentity,
        Operation::GetFederationToken,
        Operation::AssumeRoot,
        Operation::GetSessionToken,
    ];

    /// Whether the session has a name: GetSessionToken and AssumeRoot take none.
    pub fn names_its_session(self) -> bool {
        !matches!(self, Operation::GetSessionToken | Operation::AssumeRoot)
    }

    /// The name as CloudTrail's `eventName` and the STS API spell it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::AssumeRole => "AssumeRole",
            Operation::AssumeRoleWithSaml => "AssumeRoleWithSAML",
            Operation::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Operation::GetFederationToken => "GetFederationToken",
            Operation::AssumeRoot => "AssumeRoot",
            Operation::GetSessionToken => "GetSessionToken",
        }
    }
}

/// What kind of principal called: `userIdentity.type` of the CloudTrail record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallerKind {
    /// An IAM user.
    IamUser,
    /// A session of a role.
    AssumedRole,
    /// A role itself.
    Role,
    /// A session of GetFederationToken.
    FederatedUser,
    /// Somebody with a SAML assertion.
    SamlUser,
    /// Somebody with a web identity token.
    WebIdentityUser,
    /// A service of AWS: nobody can change what it sends.
    AwsService,
    /// A principal of another account, whose details the record withholds.
    AwsAccount,
    /// The root of an account.
    Root,
    /// A user of IAM Identity Center.
    IdentityCenterUser,
    /// None of these, or not told.
    Unknown,
}

impl CallerKind {
    /// Every kind, in the order of this type.
    pub const ALL: [CallerKind; 11] = [
        CallerKind::IamUser,
        CallerKind::AssumedRole,
        CallerKind::Role,
        CallerKind::FederatedUser,
        CallerKind::SamlUser,
        CallerKind::WebIdentityUser,
        CallerKind::AwsService,
        CallerKind::AwsAccount,
        CallerKind::Root,
        CallerKind::IdentityCenterUser,
        CallerKind::Unknown,
    ];

    /// The text of `userIdentity.type`.
    pub fn name(self) -> &'static str {
        match self {
            CallerKind::IamUser => "IAMUser",
            CallerKind::AssumedRole => "AssumedRole",
            CallerKind::Role => "Role",
            CallerKind::FederatedUser => "FederatedUser",
            CallerKind::SamlUser => "SAMLUser",
            CallerKind::WebIdentityUser => "WebIdentityUser",
            CallerKind::AwsService => "AWSService",
            CallerKind::AwsAccount => "AWSAccount",
            CallerKind::Root => "Root",
            CallerKind::IdentityCenterUser => "IdentityCenterUser",
            CallerKind::Unknown => "Unknown",
        }
    }
}

/// Which limit STS applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Regime {
    /// Until September 2026: a limit on the packed session policy, managed policy ARNs and session tags.
    PackedPolicy,
    /// Since September 2026: one limit on the whole session token.
    SessionToken,
}

impl Regime {
    /// Both regimes, older first.
    pub const ALL: [Regime; 2] = [Regime::PackedPolicy, Regime::SessionToken];

    /// `packed-policy` or `session-token`.
    pub fn name(self) -> &'static str {
        match self {
            Regime::PackedPolicy => "packed-policy",
            Regime::SessionToken => "session-token",
        }
    }
}

/// A name that stands for no operation, caller kind or regime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{name}`, expected one of {expected}")]
pub struct UnknownName {
    what: &'static str,
    name: String,
    expected: String,
}

macro_rules! named {
    ($type:ty, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl $type {
            /// What `name` stands for; None for any other text. Quicker to say no than parsing, which says what was expected.
            pub fn named(name: &str) -> Option<$type> {
                <$type>::ALL.into_iter().find(|one| one.name() == name)
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                <$type>::named(name).ok_or_else(|| UnknownName {
                    what: $what,
                    name: name.to_owned(),
                    expected: <$type>::ALL.map(|one| format!("`{one}`")).join(", "),
                })
            }
        }
    };
}

named!(Operation, "operation");
named!(CallerKind, "caller kind");
named!(Regime, "regime");

/// The parts of a request that STS packs: what one call shares with every other call that passes the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Request {
    /// The inline session policy as sent, white space included; None when none was passed.
    pub policy: Option<String>,
    /// ARNs of the managed policies passed as session policies.
    pub policy_arns: Vec<String>,
    /// Session tags passed in this request, key and value.
    pub tags: Vec<(String, String)>,
    /// Transitive tags inherited from the calling session (role chaining).
    pub inherited_tags: Vec<(String, String)>,
}

/// What one call adds to its request: it counts in the token, not in the packed policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The operation called.
    pub operation: Operation,
    /// Who called.
    pub caller_kind: CallerKind,
    /// True when the role assumed is a service-linked role (path `/aws-service-role/`), whose tokens have another base.
    pub service_linked: bool,
    /// Length of the role session name (or federated user name) in bytes; None when unknown.
    pub session_name_bytes: Option<u16>,
    /// Length of the source identity in bytes; None when none was passed.
    pub source_identity_bytes: Option<u16>,
    /// `minimumSessionTokenSize` of the request, bytes of token, 0 to 4096; None when not passed.
    pub minimum_token_bytes: Option<u16>,
}

impl Session {
    /// A call of which nothing else is known.
    pub fn new(operation: Operation, caller_kind: CallerKind) -> Session {
        Session {
            operation,
            caller_kind,
            service_linked: false,
            session_name_bytes: None,
            source_identity_bytes: None,
            minimum_token_bytes: None,
        }
    }
}

/// How a policy takes its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyForm {
    /// There is no policy.
    #[default]
    None,
    /// By its plain form.
    Plain,
    /// Compressed.
    Compressed,
    /// As a text that is no policy document.
    Text,
}

/// Packed bytes of each part of a request under one regime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The session policy, compressed where that is smaller. Bytes.
    pub policy_bytes: u32,
    /// The managed policy ARNs. Bytes.
    pub policy_arn_bytes: u32,
    /// The session tags passed. Bytes.
    pub tag_bytes: u32,
    /// The transitive tags inherited. Bytes.
    pub inherited_tag_bytes: u32,
    /// Managed policy ARNs passed, 255 for more.
    pub policy_arns: u8,
    /// How the policy takes its bytes.
    pub policy_form: PolicyForm,
}

impl Parts {
    /// Sum of the four parts. Bytes.
    pub fn packed_bytes(&self) -> u32 {
        [self.policy_arn_bytes, self.tag_bytes, self.inherited_tag_bytes].into_iter().fold(self.policy_bytes, u32::saturating_add)
    }
}

/// A size with the range it lies in with 90 % confidence. In points of the limit, or in bytes, as the function that gives it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// What is most likely.
    pub value: f64,
    /// The lower end of the range.
    pub low: f64,
    /// The upper end of the range.
    pub high: f64,
}

/// Packed bytes of each part of `request` under the regime of `sizing`.
///
/// Never fails: a policy that is no JSON object is weighed as text, with a range that says so.
pub fn pack(request: &Request, sizing: &Sizing) -> Parts {
    with_packer(|packer| packer.pack(request, sizing))
}

/// Packed bytes of each part of `request` under both regimes, in the order of [`Regime::ALL`]; compressed once where both do it alike.
pub fn pack_both(request: &Request, profile: &Profile) -> [Parts; 2] {
    with_packer(|packer| packer.pack_both(request, profile))
}

fn with_packer<T>(pack: impl FnOnce(&mut Packer) -> T) -> T {
    thread_local! {
        static PACKER: RefCell<Packer> = RefCell::new(Packer::new());
    }
    PACKER.with_borrow_mut(pack)
}

/// Packs requests one after another with one compressor and one buffer; [`pack`] keeps one per thread.
#[derive(Default)]
pub struct Packer {
    encoders: Vec<Encoder>,
    plain: Vec<u8>,
}

/// A policy as both of its forms. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Measured {
    plain_bytes: u32,
    compressed_bytes: u32,
    /// None for a text that is no policy document.
    statements: Option<u32>,
}

/// Compressors kept: one for each regime.
const ENCODERS: usize = 2;

impl Packer {
    /// A packer with nothing allocated yet.
    pub fn new() -> Packer {
        Packer::default()
    }

    /// Packed bytes of each part of `request`, as [`pack`] gives them.
    pub fn pack(&mut self, request: &Request, sizing: &Sizing) -> Parts {
        let measured = request.policy.as_deref().map(|text| self.measure(text, sizing));
        parts(request, measured, sizing)
    }

    /// Packed bytes of each part of `request` under both regimes, as [`pack_both`] gives them.
    pub fn pack_both(&mut self, request: &Request, profile: &Profile) -> [Parts; 2] {
        let (old, new) = (&profile.packed_policy, &profile.session_token);
        let first = request.policy.as_deref().map(|text| self.measure(text, old));
        let second = if old.compresses_like(new) { first } else { request.policy.as_deref().map(|text| self.measure(text, new)) };
        [parts(request, first, old), parts(request, second, new)]
    }

    /// Packed bytes of `policy` alone, as [`Parts::policy_bytes`] of a request that passes its text.
    pub fn policy_bytes(&mut self, policy: &Policy, sizing: &Sizing) -> u32 {
        self.plain.clear();
        let statements = sizing.plain_form.write(policy, &mut self.plain);
        policy_bytes(self.measured(Some(statements), sizing), sizing).0
    }

    fn measure(&mut self, text: &str, sizing: &Sizing) -> Measured {
        self.plain.clear();
        let statements = match Policy::parse(text) {
            Ok(policy) => Some(sizing.plain_form.write(&policy, &mut self.plain)),
            Err(_) => {
                self.plain.extend_from_slice(text.as_bytes());
                None
            }
        };
        self.measured(statements, sizing)
    }

    /// Both forms of what stands in the buffer.
    fn measured(&mut self, statements: Option<u32>, sizing: &Sizing) -> Measured {
        let at = self.encoders.iter().position(|encoder| encoder.codec() == sizing.codec).unwrap_or_else(|| {
            // The older goes: what is asked for again is more likely to be among the newer.
            if self.encoders.len() >= ENCODERS {
                self.encoders.remove(0);
            }
            self.encoders.push(Encoder::new(sizing.codec));
            self.encoders.len() - 1
        });
        let plain_bytes = length(self.plain.len());
        let compressed = self.encoders.get_mut(at).filter(|_| sizing.codec != Codec::None);
        let compressed_bytes = compressed.map_or(plain_bytes, |encoder| length(encoder.compressed_bytes(&self.plain)));
        Measured { plain_bytes, compressed_bytes, statements }
    }
}

/// What a policy takes: its plain form or, where it is smaller, what the codec makes of it; each with its overheads.
fn policy_bytes(measured: Measured, sizing: &Sizing) -> (u32, PolicyForm) {
    let Measured { plain_bytes, compressed_bytes, statements } = measured;
    let Some(statements) = statements else { return (compressed_bytes.min(plain_bytes), PolicyForm::Text) };
    let beside = |bytes: u32, each: f32, all: f32| bytes.saturating_add_signed(each.mul_add(statements as f32, all).round() as i32);
    let plain = beside(plain_bytes, sizing.plain_statement_bytes, sizing.plain_policy_bytes);
    let compressed = beside(compressed_bytes, sizing.compressed_statement_bytes, sizing.compressed_policy_bytes);
    match (sizing.codec, sizing.compression) {
        (Codec::None, _) => (plain, PolicyForm::Plain),
        (_, Compression::WhenSmaller) if plain <= compressed => (plain, PolicyForm::Plain),
        _ => (compressed, PolicyForm::Compressed),
    }
}

fn parts(request: &Request, measured: Option<Measured>, sizing: &Sizing) -> Parts {
    let (policy_bytes, policy_form) = measured.map_or((0, PolicyForm::None), |measured| policy_bytes(measured, sizing));
    let arns = request.policy_arns.iter().map(|arn| one_policy_arn_bytes(arn, sizing));
    Parts {
        policy_bytes,
        policy_arn_bytes: arns.sum::<f64>().round() as u32,
        tag_bytes: tags_bytes(&request.tags, sizing.tag_overhead_bytes),
        inherited_tag_bytes: tags_bytes(&request.inherited_tags, sizing.inherited_tag_overhead_bytes),
        policy_arns: u8::try_from(request.policy_arns.len()).unwrap_or(u8::MAX),
        policy_form,
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Bytes a session tag takes: its key and value as UTF-8, never compressed, and an overhead. Being transitive costs nothing.
pub fn one_tag_bytes(key: &str, value: &str, sizing: &Sizing) -> u32 {
    tag_bytes(key, value, sizing.tag_overhead_bytes)
}

fn tag_bytes(key: &str, value: &str, overhead_bytes: u32) -> u32 {
    length(key.len() + value.len()).saturating_add(overhead_bytes)
}

fn tags_bytes(tags: &[(String, String)], overhead_bytes: u32) -> u32 {
    tags.iter().fold(0, |sum, (key, value)| sum.saturating_add(tag_bytes(key, value, overhead_bytes)))
}

/// Bytes a managed policy ARN takes; those of a request are summed before they are rounded.
pub fn one_policy_arn_bytes(arn: &str, sizing: &Sizing) -> f64 {
    f64::from(sizing.policy_arn_char_bytes).mul_add(arn.len() as f64, f64::from(sizing.policy_arn_bytes))
}

/// Size of the session token's text, in bytes (a multiple of 4), with its range.
pub fn token_bytes(parts: &Parts, session: &Session, sizing: &Sizing) -> Estimate {
    token::token_bytes(parts, session, sizing)
}

/// Percent of the limit of the regime of `sizing` that the call takes, unrounded, with its range. STS logs a whole number: `low` is the one it would log
/// at the lower end, so that what it logs lies in the range.
///
/// GetSessionToken and AssumeRoot pack nothing: 0 in [`Regime::PackedPolicy`].
pub fn percent(parts: &Parts, session: &Session, sizing: &Sizing) -> Estimate {
    let bytes = match sizing.regime {
        Regime::PackedPolicy => {
            let packed = f64::from(parts.packed_bytes());
            let (low_margin, high_margin) = range::content_margin(parts, session, sizing);
            Estimate { value: packed, low: (packed - low_margin).max(0.0), high: packed + high_margin }
        }
        Regime::SessionToken => token_bytes(parts, session, sizing),
    };
    let points = |bytes: f64| 100.0 * bytes / f64::from(sizing.limit_bytes.max(1));
    let (low, high) = (points(bytes.low), points(bytes.high));
    Estimate { value: points(bytes.value), low: low.min(sizing.rounding.whole(low)), high: high.max(sizing.rounding.whole(high)) }
}

/// A row of what makes up a call's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// `policy`, `policy_arns`, `tags`, `inherited_tags`, `session_name`, `source_identity`, `base`; `statement` in a [`Size`].
    pub part: &'static str,
    /// The tag's key, the managed policy's ARN, the statement's Sid or number, else the part's name in words.
    pub name: String,
    /// Packed bytes. In the token each three of them are four characters.
    pub bytes: u32,
}

/// Every part of a call with its packed bytes: the policy as one row, each managed policy ARN and each tag one row.
///
/// In [`Regime::PackedPolicy`] they sum to [`Parts::packed_bytes`]. In [`Regime::SessionToken`] session name, source identity and the
/// token's base are rows too, and what a minimum size pads; the sum, over 3, rounded up, times 4, is [`token_bytes`]. Where a figure is no whole
/// number of bytes, each row is rounded, and the sum may be off by one for each row.
pub fn part_rows(request: &Request, session: &Session, sizing: &Sizing) -> Vec<PartRow> {
    rows(request, &pack(request, sizing), session, sizing)
}

/// As [`part_rows`], of a request whose `parts` are known.
fn rows(request: &Request, parts: &Parts, session: &Session, sizing: &Sizing) -> Vec<PartRow> {
    let mut rows = Vec::new();
    let mut push = |part, name: &str, bytes| rows.push(PartRow { part, name: name.to_owned(), bytes });
    if request.policy.is_some() {
        push("policy", "session policy", parts.policy_bytes);
    }
    for arn in &request.policy_arns {
        push("policy_arns", arn, one_policy_arn_bytes(arn, sizing).round() as u32);
    }
    let tags = [
        ("tags", &request.tags, sizing.tag_overhead_bytes),
        ("inherited_tags", &request.inherited_tags, sizing.inherited_tag_overhead_bytes),
    ];
    for (part, tags, overhead_bytes) in tags {
        for (key, value) in tags {
            push(part, key, tag_bytes(key, value, overhead_bytes));
        }
    }
    if sizing.regime == Regime::SessionToken {
        let name = token::session_name_bytes(session, sizing).value.round() as u32;
        if name > 0 {
            push("session_name", "session name", name);
        }
        if session.source_identity_bytes.is_some() {
            push("source_identity", "source identity", token::source_identity_bytes(session, sizing).round() as u32);
        }
        push("base", "token base", token::base_bytes(session, sizing).value as u32);
        let padding = token::padding_bytes(parts, session, sizing);
        if padding > 0 {
            push("padding", "minimum token size", padding);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    fn policy(text: &str) -> Request {
        Request { policy: Some(text.to_owned()), ..Request::default() }
    }

    fn old() -> Sizing {
        Profile::builtin().packed_policy
    }

    fn points(request: &Request, sizing: &Sizing) -> Estimate {
        percent(&pack(request, sizing), &Session::new(Operation::AssumeRole, CallerKind::IamUser), sizing)
    }

    fn many_statements(count: usize) -> String {
        let statement =
            r#"{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket","s3:PutObject"],"Resource":"arn:aws:s3:::some-bucket/*"}"#;
        format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, vec![statement; count].join(","))
    }

    #[test]
    fn a_request_of_tags_is_exact_and_counts_inherited_ones_apart() {
        let request = Request { tags: vec![tag("a", "é")], inherited_tags: vec![tag("bb", "cc")], ..Request::default() };
        let parts = pack(&request, &old());
        assert_eq!(parts, Parts { tag_bytes: 6, inherited_tag_bytes: 7, ..Parts::default() });
        assert_eq!(parts.packed_bytes(), 13);
    }

    #[test]
    fn white_space_in_a_policy_weighs_nothing() {
        let sizing = old();
        let minified = many_statements(3);
        let pretty = minified.replace('{', "{\n\t").replace("\":", "\" : ").replace("],", " ],\r\n");
        assert_eq!(pack(&policy(&minified), &sizing), pack(&policy(&pretty), &sizing));
    }

    #[test]
    fn a_policy_is_never_more_than_its_plain_form_and_compressed_ones_have_a_range() {
        let sizing = old();
        let (one, many) = (policy(&many_statements(1)), policy(&many_statements(12)));
        let (small, large) = (pack(&one, &sizing), pack(&many, &sizing));
        assert_eq!((small.policy_form, large.policy_form), (PolicyForm::Plain, PolicyForm::Compressed));
        assert!(large.policy_bytes < 6 * small.policy_bytes);
        let size = points(&many, &sizing);
        let bytes = f64::from(large.policy_bytes);
        assert_eq!((size.low, size.high), ((100.0 * (bytes - 12.0) / 460.0).floor(), 100.0 * (bytes + 12.0) / 460.0));
    }

    #[test]
    fn what_sts_logs_of_the_recomputed_size_lies_in_the_range() {
        let request = Request { tags: vec![tag("team", "payments")], ..Request::default() };
        for rounding in Rounding::ALL {
            let sizing = Sizing { rounding, ..old() };
            let size = points(&request, &sizing);
            assert!(size.low <= rounding.whole(size.value) && rounding.whole(size.value) <= size.high, "{size:?}");
        }
    }

    #[test]
    fn ranges_of_held_out_calls_take_the_place_of_margins() {
        let range =
            Range { content: Content::CompressedPolicy, requests: 50, low_bytes: 1.0, high_bytes: 2.0, low_share: 0.0, high_share: 0.1 };
        let sizing = Sizing { ranges: vec![range], rounding: Rounding::Up, ..old() };
        let request = policy(&many_statements(12));
        let bytes = f64::from(pack(&request, &sizing).policy_bytes);
        let size = points(&request, &sizing);
        assert!((size.low - 100.0 * (bytes - 1.0) / 460.0).abs() < 1e-3);
        assert_eq!(size.high, (100.0 * (bytes + 2.0 + 0.1 * bytes) / 460.0).ceil());
    }

    #[test]
    fn a_policy_may_always_or_never_be_compressed() {
        let one = policy(&many_statements(1));
        let (never, always) = (Sizing { codec: Codec::None, ..old() }, Sizing { compression: Compression::Always, ..old() });
        assert_eq!(pack(&policy(&many_statements(12)), &never).policy_form, PolicyForm::Plain);
        let compressed = pack(&one, &always);
        assert_eq!(compressed.policy_form, PolicyForm::Compressed);
        let dearer = Sizing { compressed_statement_bytes: 20.5, compressed_policy_bytes: 4.0, ..always };
        assert_eq!(pack(&one, &dearer).policy_bytes, compressed.policy_bytes + 13);
        let plain = Sizing { plain_statement_bytes: 2.0, plain_policy_bytes: 1.0, ..never };
        assert_eq!(pack(&one, &plain).policy_bytes, pack(&one, &Sizing { codec: Codec::None, ..old() }).policy_bytes + 3);
    }

    #[test]
    fn a_text_that_is_no_document_is_weighed_with_a_wide_range() {
        let text = policy("{\"Statement\": oops, oops, oops, oops, oops, oops");
        let size = points(&text, &old());
        assert!(size.low < size.value / 1.5 && size.high > size.value * 1.9);
        assert_eq!(pack(&policy(""), &old()).policy_bytes, 0);
    }

    #[test]
    fn managed_policy_arns_carry_their_uncertainty_and_may_cost_by_length() {
        let request = Request { policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned(); 2], ..Request::default() };
        let size = points(&request, &old());
        assert_eq!(pack(&request, &old()).policy_arn_bytes, 14);
        assert_eq!((size.low, size.high), ((800.0_f64 / 460.0).floor(), 3800.0 / 460.0));
        let by_length = Sizing { policy_arn_bytes: 1.0, policy_arn_char_bytes: 0.5, ..old() };
        assert_eq!(pack(&request, &by_length).policy_arn_bytes, 2 * (1 + 19));
    }

    #[test]
    fn the_rows_sum_to_the_size_in_both_regimes() {
        let profile = Profile::builtin();
        let request = Request {
            policy: Some(many_statements(4)),
            policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
            tags: vec![tag("team", "payments"), tag("env", "prod")],
            inherited_tags: vec![tag("cost", "12")],
        };
        let session = Session {
            session_name_bytes: Some(11),
            source_identity_bytes: Some(9),
            ..Session::new(Operation::AssumeRole, CallerKind::IamUser)
        };
        let sum = |sizing: &Sizing| part_rows(&request, &session, sizing).iter().map(|row| row.bytes).sum::<u32>();
        let [old, new] = pack_both(&request, &profile);
        assert_eq!(sum(&profile.packed_policy), old.packed_bytes());
        assert_eq!(f64::from(sum(&profile.session_token).div_ceil(3) * 4), token_bytes(&new, &session, &profile.session_token).value);
    }

    #[test]
    fn one_packer_serves_sizings_of_several_levels_and_both_regimes_at_once() {
        let (three, nine) = (old(), Sizing { codec: Codec::Libdeflate(9), ..old() });
        let request = policy(&many_statements(9));
        let mut packer = Packer::new();
        let first = packer.pack(&request, &three);
        for level in [9, 1, 2, 12] {
            packer.pack(&request, &Sizing { codec: Codec::Libdeflate(level), ..old() });
        }
        assert_eq!(packer.pack(&request, &three), first);
        let profile = Profile { session_token: Sizing { regime: Regime::SessionToken, ..nine }, ..Profile::builtin() };
        assert_eq!(packer.pack_both(&request, &profile), [first, pack(&request, &profile.session_token)]);
        assert_eq!(packer.pack_both(&request, &Profile::builtin()), [first, first]);
    }

    #[test]
    fn names_and_their_types_agree() {
        for operation in Operation::ALL {
            assert_eq!(operation.name().parse(), Ok(operation));
        }
        assert_eq!("AssumeRoleWithSAML".parse(), Ok(Operation::AssumeRoleWithSaml));
        let error = "packed".parse::<Regime>().unwrap_err();
        assert_eq!(error.to_string(), "unknown regime `packed`, expected one of `packed-policy`, `session-token`");
    }
}
