//! What an `Allow` allows and a `Deny` of the same policy denies in every case is denied: the allowing statement goes, or the actions and resources that
//! are denied. The `Deny` stays as it is. Effect: same meaning.
//!
//! Each statement is compared with each, so not for policies beyond [`super::MAX_POLICY_BYTES`] or [`super::MAX_STATEMENTS`].

use super::drop_covered_statements::drop_parts;
use super::{Rewrite, Scale, counted};
use crate::policy::Effect;

pub(super) const REWRITE: Rewrite = Rewrite {
    rule: "drop-denied",
    title: |dropped| format!("drop {} that the policy denies anyway", counted(dropped, "part").replace("part", "allowed part")),
    apply: |policy, _scale: &mut Scale<'_>| {
        drop_parts(policy, |deny, allow| (deny, allow) == (Effect::Deny, Effect::Allow), "is denied in every case by")
    },
    says_what: true,
};

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten_statements;
    use super::*;

    #[test]
    fn what_is_denied_in_every_case_need_not_be_allowed() {
        let deny = r#"{"Effect":"Deny","Action":["iam:*","s3:Delete*"],"Resource":"*"}"#;
        let allow = r#"{"Effect":"Allow","Action":["iam:GetUser","s3:*","s3:DeleteObject"],"Resource":"*"}"#;
        let only = r#"{"Effect":"Allow","Action":"iam:GetUser","Resource":"u"}"#;
        let (after, dropped) = rewritten_statements(&REWRITE, &[deny, allow, only]).unwrap();
        assert_eq!(after, [deny, r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#]);
        assert_eq!(
            dropped,
            [
                "`iam:GetUser` of statement 2 is denied in every case by statement 1",
                "`s3:DeleteObject` of statement 2 is denied in every case by statement 1",
                "statement 3 is denied in every case by statement 1"
            ]
        );
    }

    #[test]
    fn what_is_denied_in_some_cases_stays() {
        let allow = r#"{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}"#;
        for deny in [
            r#"{"Effect":"Deny","Action":"iam:*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}}"#,
            r#"{"Effect":"Deny","Action":"iam:*","Resource":"arn:aws:iam::*:role/*"}"#,
            r#"{"Effect":"Deny","NotAction":"iam:*","Resource":"*"}"#,
        ] {
            assert_eq!(rewritten_statements(&REWRITE, &[allow, deny]), None, "{deny}");
        }
    }
}
