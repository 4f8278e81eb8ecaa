//! The figures of the engine, as data: what a calibration on a user's own logs replaces.

use super::basis::Basis;
use super::codec::Codec;
use super::limits::REGIME_LIMITS;
use super::plain::PlainForm;
use super::range::{Margins, Range};
use super::{CallerKind, Operation, Regime};

/// The figures of the engine for both regimes. [`Profile::builtin`] rests on public records, a calibrated one on a user's own logs.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// How sessions were sized until September 2026.
    pub packed_policy: Sizing,
    /// How they are sized since.
    pub session_token: Sizing,
}

/// How one regime sizes a session: limit, overheads, token bases, and how sure each of them is.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizing {
    /// The regime.
    pub regime: Regime,
    /// 100 %, bytes of packed content in [`Regime::PackedPolicy`], of the session token's text in [`Regime::SessionToken`].
    pub limit_bytes: u32,
    /// How STS makes a whole number of a percentage.
    pub rounding: Rounding,
    /// What a session tag takes beside its key and its value.
    pub tag_overhead_bytes: u32,
    /// What an inherited tag takes beside its key and its value.
    pub inherited_tag_overhead_bytes: u32,
    /// What a managed policy ARN takes, whatever its length.
    pub policy_arn_bytes: f32,
    /// What a managed policy ARN takes for each of its characters.
    pub policy_arn_char_bytes: f32,
    /// The plain form of a policy.
    pub plain_form: PlainForm,
    /// What each statement of a policy that is not compressed takes beside the plain form.
    pub plain_statement_bytes: f32,
    /// What a policy that is not compressed takes beside the plain form and its statements.
    pub plain_policy_bytes: f32,
    /// The codec of policies that are compressed.
    pub codec: Codec,
    /// Which policies are compressed.
    pub compression: Compression,
    /// What each statement of a compressed policy takes beside what the codec gives.
    pub compressed_statement_bytes: f32,
    /// What a compressed policy takes beside what the codec gives and its statements.
    pub compressed_policy_bytes: f32,
    /// What the token takes for each byte of session name, before base64.
    pub session_name_factor: f32,
    /// What is assumed of a session name that is not known.
    pub unknown_session_name_bytes: u32,
    /// What the token takes for each byte of source identity, before base64.
    pub source_identity_factor: f32,
    /// What a source identity takes in the token beside its text, before base64.
    pub source_identity_overhead_bytes: u32,
    /// How far the cost of a source identity may be off, to either side, before base64.
    pub source_identity_margin_bytes: f32,
    /// What a token takes before session name and content; the first entry that matches a call counts.
    pub token_bases: Vec<TokenBase>,
    /// How far the packed content may be off, by part, where it was not measured.
    pub margins: Margins,
    /// How far the packed content was off on calls held out of a fit, by kind of content. Empty without a fit.
    pub ranges: Vec<Range>,
    /// What a fit rests on; None for figures from public records alone.
    pub basis: Option<Basis>,
}

/// How STS makes a whole number of a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The whole number below: what public records show.
    Down,
    /// The nearest whole number.
    Nearest,
    /// The whole number above.
    Up,
}

impl Rounding {
    /// Every way, the likeliest first.
    pub const ALL: [Rounding; 3] = [Rounding::Down, Rounding::Nearest, Rounding::Up];

    /// `down`, `nearest` or `up`.
    pub fn name(self) -> &'static str {
        match self {
            Rounding::Down => "down",
            Rounding::Nearest => "nearest",
            Rounding::Up => "up",
        }
    }

    /// The whole number that STS logs for `percent`.
    pub fn whole(self, percent: f64) -> f64 {
        match self {
            Rounding::Down => percent.floor(),
            Rounding::Nearest => percent.round(),
            Rounding::Up => percent.ceil(),
        }
    }
}

/// Which policies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Those that are smaller then.
    WhenSmaller,
    /// All.
    Always,
}

impl Compression {
    /// `when smaller` or `always`.
    pub fn name(self) -> &'static str {
        match self {
            Compression::WhenSmaller => "when smaller",
            Compression::Always => "always",
        }
    }
}

/// What a token takes for its envelope and for what the session is, before base64: all but session name, packed content and source identity.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenBase {
    /// None: any.
    pub operation: Option<Operation>,
    /// None: any.
    pub caller_kind: Option<CallerKind>,
    /// Whether the role is a service-linked one; None: any.
    pub service_linked: Option<bool>,
    /// What is most likely.
    pub bytes: u32,
    /// Least the base may be.
    pub low_bytes: u32,
    /// Most the base may be.
    pub high_bytes: u32,
    /// What shows it.
    pub source: String,
}

impl TokenBase {
    fn matches(&self, operation: Operation, caller_kind: CallerKind, service_linked: bool) -> bool {
        self.operation.is_none_or(|one| one == operation)
            && self.caller_kind.is_none_or(|one| one == caller_kind)
            && self.service_linked.is_none_or(|one| one == service_linked)
    }
}

fn base(
    operation: Option<Operation>,
    caller_kind: Option<CallerKind>,
    service_linked: Option<bool>,
    (low_bytes, bytes, high_bytes): (u32, u32, u32),
    source: &str,
) -> TokenBase {
    TokenBase { operation, caller_kind, service_linked, bytes, low_bytes, high_bytes, source: source.to_owned() }
}

/// From the lengths of the tokens in public records; a token of N characters of base64 is 3N/4 bytes.
fn builtin_token_bases() -> Vec<TokenBase> {
    let service = Some(CallerKind::AwsService);
    vec![
        base(
            Some(Operation::GetSessionToken),
            None,
            None,
            (210, 215, 252),
            "one record of 2026 (288 characters) by an IAM user; one of 2018 by the root user had 336",
        ),
        base(Some(Operation::GetFederationToken), None, None, (517, 523, 530), "one record of 2023 and one of 2026 by IAM users"),
        base(
            Some(Operation::AssumeRole),
            service,
            Some(true),
            (512, 636, 652),
            "13 records of 2023: rolesanywhere 512, inspector2 641, rds 633 and 650",
        ),
        base(
            Some(Operation::AssumeRole),
            service,
            None,
            (508, 526, 974),
            "six records of 2023 and 2024: pods.eks 508 and 520, lambda 533; ec2 instance profiles 974",
        ),
        base(
            Some(Operation::AssumeRole),
            Some(CallerKind::IamUser),
            None,
            (543, 549, 556),
            "six records of 2023 (545) and two of 2026 (553) whose caller is not told",
        ),
        base(Some(Operation::AssumeRole), None, None, (505, 549, 620), "as for an IAM user: no record with a whole token is known"),
        base(
            Some(Operation::AssumeRoot),
            None,
            None,
            (400, 569, 960),
            "as for AssumeRole with a session name of 20 bytes: no record is known",
        ),
        base(None, None, None, (500, 560, 800), "as for AssumeRole: no record with a whole token is known"),
    ]
}

impl Sizing {
    /// The figures that fit the public records.
    fn builtin(regime: Regime) -> Sizing {
        let limit_bytes = REGIME_LIMITS.iter().find(|limit| limit.regime == regime).map_or(0, |limit| limit.limit_bytes);
        Sizing {
            regime,
            limit_bytes,
            rounding: Rounding::Down,
            tag_overhead_bytes: 3,
            inherited_tag_overhead_bytes: 3,
            policy_arn_bytes: 7.0,
            policy_arn_char_bytes: 0.0,
            plain_form: PlainForm { element_bytes: 1, list_bytes: 1, length_bytes: 1 },
            plain_statement_bytes: 0.0,
            plain_policy_bytes: 0.0,
            codec: Codec::Libdeflate(3),
            compression: Compression::WhenSmaller,
            compressed_statement_bytes: 12.0,
            compressed_policy_bytes: 0.0,
            session_name_factor: 1.0,
            unknown_session_name_bytes: 20,
            source_identity_factor: 1.0,
            source_identity_overhead_bytes: 25,
            source_identity_margin_bytes: 8.0,
            token_bases: builtin_token_bases(),
            margins: Margins::builtin(),
            ranges: Vec::new(),
            basis: None,
        }
    }

    /// What the token of such a call takes before session name and content; the last entry where none matches, None where there is no entry.
    pub fn token_base(&self, operation: Operation, caller_kind: CallerKind, service_linked: bool) -> Option<&TokenBase> {
        let fits = |base: &&TokenBase| base.matches(operation, caller_kind, service_linked);
        self.token_bases.iter().find(fits).or(self.token_bases.last())
    }

    /// True when both regimes' policies go the same way to their compressed size, so that one compression serves both.
    pub(super) fn compresses_like(&self, other: &Sizing) -> bool {
        (self.codec, self.plain_form) == (other.codec, other.plain_form)
    }
}

impl Profile {
    /// The figures that fit the public records. Where they come from and how sure they are stands in `docs/packing.md`.
    pub fn builtin() -> Profile {
        Profile { packed_policy: Sizing::builtin(Regime::PackedPolicy), session_token: Sizing::builtin(Regime::SessionToken) }
    }

    /// How `regime` sizes a session.
    pub fn sizing(&self, regime: Regime) -> &Sizing {
        match regime {
            Regime::PackedPolicy => &self.packed_policy,
            Regime::SessionToken => &self.session_token,
        }
    }

    /// Limit of `regime` in bytes: of packed content, or of session token.
    pub fn limit_bytes(&self, regime: Regime) -> u32 {
        self.sizing(regime).limit_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_finds_a_base_within_its_own_range() {
        let profile = Profile::builtin();
        for operation in Operation::ALL {
            for caller_kind in CallerKind::ALL {
                for service_linked in [false, true] {
                    let base = profile.session_token.token_base(operation, caller_kind, service_linked).unwrap();
                    assert!(base.low_bytes <= base.bytes && base.bytes <= base.high_bytes);
                }
            }
        }
        let service = |linked| profile.session_token.token_base(Operation::AssumeRole, CallerKind::AwsService, linked).unwrap().bytes;
        assert_eq!((service(true), service(false)), (636, 526));
    }
}
