//! A document without `Version` is read as one of 2008-10-17. So that version can go, and 2012-10-17 where the document uses nothing that came with
//! it. Of what came with it AWS names [policy variables], as an example: a document with a condition keeps its version too, since condition keys and
//! operators are what grew since. Effect: same meaning.
//!
//! [policy variables]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html

use super::{Rewrite, Scale, known};
use crate::policy::{Element, Policy};

pub(super) const REWRITE: Rewrite = Rewrite {
    rule: "drop-version",
    title: |_| "drop the Version, which the policy does not need".to_owned(),
    apply: rewrite,
    says_what: true,
};

fn rewrite(policy: &mut Policy, _scale: &mut Scale<'_>) -> Vec<String> {
    if !known::is_plain(policy) {
        return Vec::new();
    }
    let Some(at) = policy.elements.iter().position(|element| matches!(element, Element::Version(_))) else { return Vec::new() };
    let why = match policy.elements.get(at) {
        Some(Element::Version(version)) if version == "2008-10-17" => "a policy without Version is read as one of 2008-10-17",
        Some(Element::Version(version)) if version == "2012-10-17" && is_old(policy) => {
            "a policy without Version is read as one of 2008-10-17, which differs in policy variables, and this one has neither variables nor conditions"
        }
        _ => return Vec::new(),
    };
    policy.elements.remove(at);
    vec![why.to_owned()]
}

/// Whether nothing in the document looks like a variable or a condition.
fn is_old(policy: &Policy) -> bool {
    policy.statements().all(|statement| {
        known::known(statement).is_some_and(|known| {
            let mut texts = known.actions.texts().iter().chain(known.resources.texts());
            known.condition.is_empty() && texts.all(|text| !text.contains('$'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten;
    use super::*;

    fn after(version: &str, rest: &str) -> Option<String> {
        let text = format!(r#"{{"Version":"{version}","Statement":{{"Effect":"Allow","Action":"s3:*","Resource":{rest}}}}}"#);
        rewritten(&REWRITE, &text).map(|(after, _)| after)
    }

    #[test]
    fn the_version_that_is_the_default_goes_whatever_the_policy_says() {
        let bare = |rest: &str| Some(format!(r#"{{"Statement":{{"Effect":"Allow","Action":"s3:*","Resource":{rest}}}}}"#));
        assert_eq!(after("2008-10-17", r#""b/${aws:username}""#), bare(r#""b/${aws:username}""#));
        assert_eq!(after("2012-10-17", r#""b/*""#), bare(r#""b/*""#));
    }

    #[test]
    fn a_version_that_variables_or_conditions_may_need_stays() {
        assert_eq!(after("2012-10-17", r#""b/${aws:username}""#), None);
        assert_eq!(after("2012-10-17", r#""*","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#), None);
        assert_eq!(after("2012-10-17", r#""*","Unknown":1"#), None);
        assert_eq!(after("2020-01-01", r#""*""#), None);
    }
}
