//! Request to packed size, by part: the engine.
//!
//! ```
//! use packtrail::packing::{CallerKind, Operation, Profile, Regime, Request, Session, pack, percent};
//!
//! let request = Request { tags: vec![("team".to_owned(), "payments".to_owned())], ..Request::default() };
//! let session = Session { session_name_bytes: Some(6), ..Session::new(Operation::AssumeRole, CallerKind::IamUser) };
//! let profile = Profile::builtin();
//! let parts = pack(&request, &profile);
//! assert_eq!(parts.tag_bytes, 4 + 8 + 3);
//! assert_eq!(percent(&parts, &session, Regime::PackedPolicy, &profile).value.floor(), 3.0);
//! ```
//!
//! Pure: no I/O, no clock, no state but a compressor kept per thread. AWS does not publish how STS packs; what public records show, and
//! how sure it is, stands in `docs/packing.md`.

mod ceiling;
mod codec;
pub mod limits;
mod plain;
mod profile;
mod token;

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use crate::policy::Policy;
use codec::Deflate;

pub use ceiling::{Ceiling, CeilingError, STS, repeated_name};
pub use plain::PlainForm;
pub use profile::{Profile, TokenBase};

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

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                <$type>::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| UnknownName {
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

/// Packed bytes of each part of a request: the same parts make up both regimes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// The session policy, compressed where that is smaller. Bytes.
    pub policy_bytes: u32,
    /// The managed policy ARNs. Bytes.
    pub policy_arn_bytes: u32,
    /// The session tags passed. Bytes.
    pub tag_bytes: u32,
    /// The transitive tags inherited. Bytes.
    pub inherited_tag_bytes: u32,
    /// How far the sum may be from the truth on the low side. Bytes, never negative.
    pub low_spread_bytes: f32,
    /// How far the sum may be from the truth on the high side. Bytes, never negative.
    pub high_spread_bytes: f32,
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

/// Packed bytes of each part of `request`.
///
/// Never fails: a policy that is no JSON object is weighed as text, with a range that says so.
pub fn pack(request: &Request, profile: &Profile) -> Parts {
    thread_local! {
        // A compressor is 20 times as dear to make as a policy to compress.
        static PACKER: RefCell<Packer> = RefCell::new(Packer::new());
    }
    PACKER.with_borrow_mut(|packer| packer.pack(request, profile))
}

/// Packs requests one after another with one compressor and one buffer; [`pack`] keeps one per thread.
#[derive(Default)]
pub struct Packer {
    deflate: Option<Deflate>,
    plain: Vec<u8>,
}

/// What a policy takes and how far that may be off. Bytes.
struct PackedPolicy {
    bytes: u32,
    low_spread_bytes: f32,
    high_spread_bytes: f32,
}

impl Packer {
    /// A packer with nothing allocated yet.
    pub fn new() -> Packer {
        Packer::default()
    }

    /// Packed bytes of each part of `request`, as [`pack`] gives them.
    pub fn pack(&mut self, request: &Request, profile: &Profile) -> Parts {
        let policy = request
            .policy
            .as_deref()
            .map_or(PackedPolicy { bytes: 0, low_spread_bytes: 0.0, high_spread_bytes: 0.0 }, |text| self.policy(text, profile));
        let arns = length(request.policy_arns.len());
        let arn_spread = |from: u32, to: u32| arns as f32 * to.saturating_sub(from) as f32;
        Parts {
            policy_bytes: policy.bytes,
            policy_arn_bytes: arns.saturating_mul(profile.policy_arn_bytes),
            tag_bytes: tags_bytes(&request.tags, profile),
            inherited_tag_bytes: tags_bytes(&request.inherited_tags, profile),
            low_spread_bytes: policy.low_spread_bytes + arn_spread(profile.policy_arn_low_bytes, profile.policy_arn_bytes),
            high_spread_bytes: policy.high_spread_bytes + arn_spread(profile.policy_arn_bytes, profile.policy_arn_high_bytes),
        }
    }

    fn policy(&mut self, text: &str, profile: &Profile) -> PackedPolicy {
        let Ok(policy) = Policy::parse(text) else { return self.text(text, profile) };
        self.plain.clear();
        let statements = profile.plain_form.write(&policy, &mut self.plain);
        let plain_bytes = length(self.plain.len());
        let beside = profile.compressed_statement_bytes.mul_add(statements as f32, profile.compressed_policy_bytes);
        let compressed_bytes = self.deflate(profile.deflate_level, None) + beside.round().max(0.0) as u32;
        if compressed_bytes < plain_bytes {
            PackedPolicy {
                bytes: compressed_bytes,
                low_spread_bytes: profile.compressed_spread_bytes,
                high_spread_bytes: profile.compressed_spread_bytes,
            }
        } else {
            let exact = plain_bytes <= profile.plain_exact_bytes;
            let high_spread_bytes = if exact { 0.0 } else { profile.plain_high_spread_bytes };
            PackedPolicy { bytes: plain_bytes, low_spread_bytes: 0.0, high_spread_bytes }
        }
    }

    /// A text that is no policy document: STS would refuse it, so any size between nothing and its own is as good.
    fn text(&mut self, text: &str, profile: &Profile) -> PackedPolicy {
        let plain_bytes = length(text.len());
        let bytes = self.deflate(profile.deflate_level, Some(text)).min(plain_bytes);
        PackedPolicy { bytes, low_spread_bytes: bytes as f32 / 2.0, high_spread_bytes: (plain_bytes - bytes) as f32 }
    }

    /// Length of the deflate stream of `text`, or of the plain form at hand.
    fn deflate(&mut self, level: u8, text: Option<&str>) -> u32 {
        let kept = self.deflate.take().filter(|deflate| deflate.has_level(level));
        let deflate = self.deflate.insert(kept.unwrap_or_else(|| Deflate::new(level)));
        length(deflate.compressed_bytes(text.map_or(self.plain.as_slice(), str::as_bytes)))
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Bytes a tag takes: its key and value as UTF-8, never compressed, and an overhead. Being transitive costs nothing.
pub fn one_tag_bytes(key: &str, value: &str, profile: &Profile) -> u32 {
    length(key.len() + value.len()).saturating_add(profile.tag_overhead_bytes)
}

fn tags_bytes(tags: &[(String, String)], profile: &Profile) -> u32 {
    tags.iter().fold(0, |sum, (key, value)| sum.saturating_add(one_tag_bytes(key, value, profile)))
}

/// Size of the session token's text, in bytes (a multiple of 4), with its range.
pub fn token_bytes(parts: &Parts, session: &Session, profile: &Profile) -> Estimate {
    token::token_bytes(parts, session, profile)
}

/// Percent of the limit of `regime` that the call takes, unrounded, with its range. STS logs the integer below.
///
/// GetSessionToken and AssumeRoot pack nothing: 0 in [`Regime::PackedPolicy`].
pub fn percent(parts: &Parts, session: &Session, regime: Regime, profile: &Profile) -> Estimate {
    let bytes = match regime {
        Regime::PackedPolicy => {
            let packed = f64::from(parts.packed_bytes());
            let (low_spread, high_spread) = token::content_spread(parts, session, profile);
            Estimate { value: packed, low: (packed - low_spread).max(0.0), high: packed + high_spread }
        }
        Regime::SessionToken => token_bytes(parts, session, profile),
    };
    let points = |bytes: f64| 100.0 * bytes / f64::from(profile.limit_bytes(regime));
    Estimate { value: points(bytes.value), low: points(bytes.low), high: points(bytes.high) }
}

/// A row of what makes up a call's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// `policy`, `policy_arns`, `tags`, `inherited_tags`, `session_name`, `source_identity`, `base`.
    pub part: &'static str,
    /// The tag's key, the managed policy's ARN, else the part's name in words.
    pub name: String,
    /// Packed bytes. In the token each three of them are four characters.
    pub bytes: u32,
}

/// Every part of a call with its packed bytes: the policy as one row, each managed policy ARN and each tag one row.
///
/// In [`Regime::PackedPolicy`] they sum to [`Parts::packed_bytes`]. In [`Regime::SessionToken`] session name, source identity and the
/// token's base are rows too, and the sum, over 3, rounded up, times 4, is [`token_bytes`] unless a minimum size pads it.
pub fn part_rows(request: &Request, session: &Session, regime: Regime, profile: &Profile) -> Vec<PartRow> {
    let mut rows = Vec::new();
    let mut push = |part, name: &str, bytes| rows.push(PartRow { part, name: name.to_owned(), bytes });
    if request.policy.is_some() {
        push("policy", "session policy", pack(request, profile).policy_bytes);
    }
    for arn in &request.policy_arns {
        push("policy_arns", arn, profile.policy_arn_bytes);
    }
    for (part, tags) in [("tags", &request.tags), ("inherited_tags", &request.inherited_tags)] {
        for (key, value) in tags {
            push(part, key, one_tag_bytes(key, value, profile));
        }
    }
    if regime == Regime::SessionToken {
        let name = token::session_name_bytes(session, profile).value as u32;
        if name > 0 {
            push("session_name", "session name", name);
        }
        if session.source_identity_bytes.is_some() {
            push("source_identity", "source identity", token::source_identity_bytes(session, profile) as u32);
        }
        push("base", "token base", profile.token_base(session.operation, session.caller_kind, session.service_linked).bytes);
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

    fn many_statements(count: usize) -> String {
        let statement =
            r#"{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket","s3:PutObject"],"Resource":"arn:aws:s3:::some-bucket/*"}"#;
        format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, vec![statement; count].join(","))
    }

    #[test]
    fn a_request_of_tags_is_exact_and_counts_inherited_ones_apart() {
        let request = Request { tags: vec![tag("a", "é")], inherited_tags: vec![tag("bb", "cc")], ..Request::default() };
        let parts = pack(&request, &Profile::builtin());
        assert_eq!(parts, Parts { tag_bytes: 6, inherited_tag_bytes: 7, ..Parts::default() });
        assert_eq!(parts.packed_bytes(), 13);
    }

    #[test]
    fn white_space_in_a_policy_weighs_nothing() {
        let profile = Profile::builtin();
        let minified = many_statements(3);
        let pretty = minified.replace('{', "{\n\t").replace("\":", "\" : ").replace("],", " ],\r\n");
        assert_eq!(pack(&policy(&minified), &profile), pack(&policy(&pretty), &profile));
    }

    #[test]
    fn a_policy_is_never_more_than_its_plain_form_and_compressed_ones_have_a_range() {
        let profile = Profile::builtin();
        let small = pack(&policy(&many_statements(1)), &profile);
        let large = pack(&policy(&many_statements(12)), &profile);
        assert_eq!(small.low_spread_bytes, 0.0);
        assert!(large.policy_bytes < 6 * small.policy_bytes);
        assert_eq!((large.low_spread_bytes, large.high_spread_bytes), (12.0, 12.0));
    }

    #[test]
    fn a_text_that_is_no_document_is_weighed_with_a_wide_range() {
        let parts = pack(&policy("{\"Statement\": oops, oops, oops, oops, oops, oops"), &Profile::builtin());
        assert!(parts.policy_bytes > 0);
        assert!(parts.low_spread_bytes > 0.0 && parts.high_spread_bytes > 0.0);
        assert_eq!(pack(&policy(""), &Profile::builtin()).policy_bytes, 0);
    }

    #[test]
    fn managed_policy_arns_carry_their_uncertainty() {
        let request = Request { policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned(); 2], ..Request::default() };
        let parts = pack(&request, &Profile::builtin());
        assert_eq!((parts.policy_arn_bytes, parts.low_spread_bytes, parts.high_spread_bytes), (14, 6.0, 24.0));
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
        let parts = pack(&request, &profile);
        let sum = |regime| part_rows(&request, &session, regime, &profile).iter().map(|row| row.bytes).sum::<u32>();
        assert_eq!(sum(Regime::PackedPolicy), parts.packed_bytes());
        assert_eq!(f64::from(sum(Regime::SessionToken).div_ceil(3) * 4), token_bytes(&parts, &session, &profile).value);
    }

    #[test]
    fn one_packer_serves_profiles_of_several_levels() {
        let (three, nine) = (Profile::builtin(), Profile { deflate_level: 9, ..Profile::builtin() });
        let request = policy(&many_statements(9));
        let mut packer = Packer::new();
        let first = packer.pack(&request, &three);
        packer.pack(&request, &nine);
        assert_eq!(packer.pack(&request, &three), first);
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
