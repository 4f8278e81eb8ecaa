//! How far packed content may be off: margins by part from public records, or ranges by kind of content as calls held out of a fit show them.

use super::{Operation, Parts, PolicyForm, Session, Sizing};

/// What a session's content is made of, by the part that is hardest to size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Content {
    /// Neither policy, ARNs nor tags.
    Nothing,
    /// Tags, passed or inherited, and nothing else.
    Tags,
    /// Tags that come with a web identity token, and nothing else.
    WebIdentityTags,
    /// Managed policy ARNs and no inline policy.
    PolicyArns,
    /// A policy that is not compressed.
    PlainPolicy,
    /// A policy that is compressed.
    CompressedPolicy,
    /// A text that is no policy document.
    Text,
}

impl Content {
    /// Every kind, in the order of this type.
    pub const ALL: [Content; 7] = [
        Content::Nothing,
        Content::Tags,
        Content::WebIdentityTags,
        Content::PolicyArns,
        Content::PlainPolicy,
        Content::CompressedPolicy,
        Content::Text,
    ];

    /// The kind in lower case with underscores.
    pub fn name(self) -> &'static str {
        match self {
            Content::Nothing => "nothing",
            Content::Tags => "tags",
            Content::WebIdentityTags => "web_identity_tags",
            Content::PolicyArns => "policy_arns",
            Content::PlainPolicy => "plain_policy",
            Content::CompressedPolicy => "compressed_policy",
            Content::Text => "text",
        }
    }

    /// The kind of content that `parts` are in a call such as `session`.
    pub fn of(parts: &Parts, session: &Session) -> Content {
        match parts.policy_form {
            PolicyForm::Text => Content::Text,
            PolicyForm::Compressed => Content::CompressedPolicy,
            PolicyForm::Plain => Content::PlainPolicy,
            PolicyForm::None if parts.policy_arns > 0 => Content::PolicyArns,
            PolicyForm::None if parts.tag_bytes > 0 && session.operation == Operation::AssumeRoleWithWebIdentity => {
                Content::WebIdentityTags
            }
            PolicyForm::None if parts.tag_bytes > 0 || parts.inherited_tag_bytes > 0 => Content::Tags,
            PolicyForm::None => Content::Nothing,
        }
    }
}

/// How far parts may be off where no call of the user's own tells. All in bytes, never negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margins {
    /// A managed policy ARN may take less.
    pub policy_arn_low_bytes: f32,
    /// A managed policy ARN may take more.
    pub policy_arn_high_bytes: f32,
    /// Plain forms of up to this size are taken as exact.
    pub plain_exact_bytes: u32,
    /// A larger policy that is not compressed may take more.
    pub plain_high_bytes: f32,
    /// A compressed policy may take more or less.
    pub compressed_bytes: f32,
    /// AssumeRoleWithWebIdentity with session tags may take more: one record, issued by Cognito, takes 30 to 34 bytes more than its tags, and
    /// nothing shows why.
    pub web_identity_tags_high_bytes: f32,
}

impl Margins {
    /// As public records show them: `docs/packing.md`.
    pub(super) fn builtin() -> Margins {
        Margins {
            policy_arn_low_bytes: 3.0,
            policy_arn_high_bytes: 12.0,
            plain_exact_bytes: 64,
            plain_high_bytes: 9.0,
            compressed_bytes: 12.0,
            web_identity_tags_high_bytes: 34.0,
        }
    }

    fn of(&self, parts: &Parts, session: &Session) -> (f64, f64) {
        let policy_bytes = f64::from(parts.policy_bytes);
        let (policy_low, policy_high) = match parts.policy_form {
            PolicyForm::None => (0.0, 0.0),
            PolicyForm::Plain if parts.policy_bytes <= self.plain_exact_bytes => (0.0, 0.0),
            PolicyForm::Plain => (0.0, f64::from(self.plain_high_bytes)),
            PolicyForm::Compressed => (f64::from(self.compressed_bytes), f64::from(self.compressed_bytes)),
            // STS would refuse it: any size between nothing and its own is as good.
            PolicyForm::Text => (policy_bytes / 2.0, policy_bytes * 2.0),
        };
        let arns = f64::from(parts.policy_arns);
        let web_identity_tags = session.operation == Operation::AssumeRoleWithWebIdentity && parts.tag_bytes > 0;
        let more = if web_identity_tags { f64::from(self.web_identity_tags_high_bytes) } else { 0.0 };
        (policy_low + arns * f64::from(self.policy_arn_low_bytes), policy_high + arns * f64::from(self.policy_arn_high_bytes) + more)
    }
}

/// How far calls of one kind of content, held out of a fit, were off: nine in ten lie within.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The kind.
    pub content: Content,
    /// How many held-out requests show it.
    pub requests: u64,
    /// How far below the recomputed size the true one may lie, bytes.
    pub low_bytes: f32,
    /// How far above, bytes.
    pub high_bytes: f32,
    /// How much further below for each byte of policy.
    pub low_share: f32,
    /// How much further above for each byte of policy.
    pub high_share: f32,
}

/// How far the packed content may be off in this session, low and high side, bytes.
pub(super) fn content_margin(parts: &Parts, session: &Session, sizing: &Sizing) -> (f64, f64) {
    let content = Content::of(parts, session);
    match sizing.ranges.iter().find(|range| range.content == content) {
        Some(range) => {
            let policy_bytes = f64::from(parts.policy_bytes);
            (
                f64::from(range.low_share).mul_add(policy_bytes, f64::from(range.low_bytes)),
                f64::from(range.high_share).mul_add(policy_bytes, f64::from(range.high_bytes)),
            )
        }
        None => sizing.margins.of(parts, session),
    }
}
