//! The figures of the engine, as data: what a calibration on a user's own logs can replace.

use super::limits::REGIME_LIMITS;
use super::plain::PlainForm;
use super::{CallerKind, Operation, Regime};

/// The figures of the engine: limits, overheads, token bases. [`Profile::builtin`] rests on public records.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// 100 % of [`Regime::PackedPolicy`], bytes of packed content.
    pub packed_policy_limit_bytes: u32,
    /// 100 % of [`Regime::SessionToken`], bytes of the session token's text.
    pub session_token_limit_bytes: u32,
    /// What a tag takes beside its key and its value.
    pub tag_overhead_bytes: u32,
    /// What a managed policy ARN takes, with its range in `policy_arn_low_bytes` and `policy_arn_high_bytes`.
    pub policy_arn_bytes: u32,
    /// Least a managed policy ARN may take.
    pub policy_arn_low_bytes: u32,
    /// Most a managed policy ARN may take.
    pub policy_arn_high_bytes: u32,
    /// The plain form of a policy.
    pub plain_form: PlainForm,
    /// Level of libdeflate, 0 to 12, for policies that are smaller compressed.
    pub deflate_level: u8,
    /// What each statement of a compressed policy takes beside the deflate stream.
    pub compressed_statement_bytes: f32,
    /// What a compressed policy takes beside the deflate stream and its statements.
    pub compressed_policy_bytes: f32,
    /// How far a compressed policy may be off, to either side.
    pub compressed_spread_bytes: f32,
    /// Plain forms of up to this size are taken as exact.
    pub plain_exact_bytes: u32,
    /// How far a larger policy that is not compressed may be above its plain form.
    pub plain_high_spread_bytes: f32,
    /// How far AssumeRoleWithWebIdentity with session tags may be above: one record, issued by Cognito, takes 30 to 34 bytes more than
    /// its tags, and nothing shows why.
    pub web_identity_tags_high_spread_bytes: f32,
    /// What a source identity takes in the token beside its text, before base64.
    pub source_identity_overhead_bytes: u32,
    /// How far the cost of a source identity may be off, to either side, before base64: one record.
    pub source_identity_spread_bytes: f32,
    /// What is assumed of a session name that is not known.
    pub unknown_session_name_bytes: u32,
    /// What a token takes before session name and content; the first entry that matches a call counts.
    pub token_bases: Vec<TokenBase>,
}

/// What a token takes for its envelope and for what the session is, before base64: all but session name, packed content and source identity.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    pub source: &'static str,
}

impl TokenBase {
    fn matches(&self, operation: Operation, caller_kind: CallerKind, service_linked: bool) -> bool {
        self.operation.is_none_or(|one| one == operation)
            && self.caller_kind.is_none_or(|one| one == caller_kind)
            && self.service_linked.is_none_or(|one| one == service_linked)
    }
}

const fn base(
    operation: Option<Operation>,
    caller_kind: Option<CallerKind>,
    service_linked: Option<bool>,
    (low_bytes, bytes, high_bytes): (u32, u32, u32),
    source: &'static str,
) -> TokenBase {
    TokenBase { operation, caller_kind, service_linked, bytes, low_bytes, high_bytes, source }
}

/// From the lengths of the tokens in public records; a token of N characters of base64 is 3N/4 bytes.
const TOKEN_BASES: [TokenBase; 8] = [
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
        Some(CallerKind::AwsService),
        Some(true),
        (512, 636, 652),
        "13 records of 2023: rolesanywhere 512, inspector2 641, rds 633 and 650",
    ),
    base(
        Some(Operation::AssumeRole),
        Some(CallerKind::AwsService),
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
    base(Some(Operation::AssumeRoot), None, None, (400, 549, 900), "as for AssumeRole: no record is known"),
    base(None, None, None, (500, 560, 800), "as for AssumeRole: no record with a whole token is known"),
];

/// For a call that matches no entry, which a profile without a last catch-all entry may have.
const ANY_TOKEN_BASE: TokenBase = base(None, None, None, (200, 549, 1000), "no entry");

impl Profile {
    /// The figures that fit the public records. Where they come from and how sure they are stands in `docs/packing.md`.
    pub fn builtin() -> Profile {
        let [packed_policy, session_token] = REGIME_LIMITS;
        Profile {
            packed_policy_limit_bytes: packed_policy.limit_bytes,
            session_token_limit_bytes: session_token.limit_bytes,
            tag_overhead_bytes: 3,
            policy_arn_bytes: 7,
            policy_arn_low_bytes: 4,
            policy_arn_high_bytes: 19,
            plain_form: PlainForm { element_bytes: 1, list_bytes: 1, length_bytes: 1 },
            deflate_level: 3,
            compressed_statement_bytes: 12.0,
            compressed_policy_bytes: 0.0,
            compressed_spread_bytes: 12.0,
            plain_exact_bytes: 64,
            plain_high_spread_bytes: 9.0,
            web_identity_tags_high_spread_bytes: 34.0,
            source_identity_overhead_bytes: 25,
            source_identity_spread_bytes: 8.0,
            unknown_session_name_bytes: 20,
            token_bases: TOKEN_BASES.to_vec(),
        }
    }

    /// Limit of `regime` in bytes: of packed content, or of session token.
    pub fn limit_bytes(&self, regime: Regime) -> u32 {
        match regime {
            Regime::PackedPolicy => self.packed_policy_limit_bytes,
            Regime::SessionToken => self.session_token_limit_bytes,
        }
    }

    /// What the token of such a call takes before session name and content.
    pub fn token_base(&self, operation: Operation, caller_kind: CallerKind, service_linked: bool) -> TokenBase {
        let fits = |base: &&TokenBase| base.matches(operation, caller_kind, service_linked);
        self.token_bases.iter().find(fits).copied().unwrap_or(ANY_TOKEN_BASE)
    }

    /// Every figure under its field's name, for a report. Null where an entry of `token_bases` matches any.
    pub fn to_json(&self) -> serde_json::Value {
        let token_bases: Vec<_> = self
            .token_bases
            .iter()
            .map(|base| {
                serde_json::json!({
                    "operation": base.operation.map(Operation::name),
                    "caller_kind": base.caller_kind.map(CallerKind::name),
                    "service_linked": base.service_linked,
                    "bytes": base.bytes,
                    "low_bytes": base.low_bytes,
                    "high_bytes": base.high_bytes,
                    "source": base.source,
                })
            })
            .collect();
        serde_json::json!({
            "packed_policy_limit_bytes": self.packed_policy_limit_bytes,
            "session_token_limit_bytes": self.session_token_limit_bytes,
            "tag_overhead_bytes": self.tag_overhead_bytes,
            "policy_arn_bytes": self.policy_arn_bytes,
            "policy_arn_low_bytes": self.policy_arn_low_bytes,
            "policy_arn_high_bytes": self.policy_arn_high_bytes,
            "plain_form": {
                "element_bytes": self.plain_form.element_bytes,
                "list_bytes": self.plain_form.list_bytes,
                "length_bytes": self.plain_form.length_bytes,
            },
            "deflate_level": self.deflate_level,
            "compressed_statement_bytes": self.compressed_statement_bytes,
            "compressed_policy_bytes": self.compressed_policy_bytes,
            "compressed_spread_bytes": self.compressed_spread_bytes,
            "plain_exact_bytes": self.plain_exact_bytes,
            "plain_high_spread_bytes": self.plain_high_spread_bytes,
            "web_identity_tags_high_spread_bytes": self.web_identity_tags_high_spread_bytes,
            "source_identity_overhead_bytes": self.source_identity_overhead_bytes,
            "source_identity_spread_bytes": self.source_identity_spread_bytes,
            "unknown_session_name_bytes": self.unknown_session_name_bytes,
            "token_bases": token_bases,
        })
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
                    let base = profile.token_base(operation, caller_kind, service_linked);
                    assert!(base.low_bytes <= base.bytes && base.bytes <= base.high_bytes);
                    assert_ne!(base.source, ANY_TOKEN_BASE.source);
                }
            }
        }
        assert_eq!(profile.token_base(Operation::AssumeRole, CallerKind::AwsService, true).bytes, 636);
        assert_eq!(profile.token_base(Operation::AssumeRole, CallerKind::AwsService, false).bytes, 526);
    }

    #[test]
    fn the_json_has_every_field() {
        let json = Profile::builtin().to_json();
        let debug = format!("{:?}", Profile::builtin());
        for name in json.as_object().unwrap().keys() {
            assert!(debug.contains(&format!("{name}: ")), "{name}");
        }
        assert_eq!(json.as_object().unwrap().len(), 18);
        assert_eq!(json["token_bases"][0]["caller_kind"], serde_json::Value::Null);
    }
}
