use proptest::collection::vec;
use proptest::prelude::*;

use crate::fixes::tests::{ADVICE, SIZING, only};
use crate::fixes::{Advice, Context, Fix, State, Subject, TagReaders, suggest};
use crate::packing::{Asked, CallerKind, Operation, Profile, Regime, Request};
use crate::policy::Policy;

const ROLE: &str = "arn:aws-us-gov:iam::111122223333:role/broker";

fn policy(bucket: &str, prefix: &str, table: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws-us-gov:s3:::{bucket}/tenants/{prefix}/*"}},{{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws-us-gov:s3:::{bucket}","Condition":{{"StringLike":{{"s3:prefix":["tenants/{prefix}/*"]}}}}}},{{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:Query"],"Resource":"arn:aws-us-gov:dynamodb:us-gov-west-1:111122223333:table/{table}"}}]}}"#
    )
}

fn request(policy: &str, tags: &[(&str, &str)]) -> Request {
    Request {
        policy: Some(policy.to_owned()),
        tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..Request::default()
    }
}

fn fixes(peers: &[Request], operation: Operation, advice: &Advice) -> Vec<Fix> {
    let asked = Asked { request: peers[0].clone(), role_arn: Some(ROLE.to_owned()), ..Asked::new(operation, CallerKind::AssumedRole) };
    suggest(Subject { asked: &asked, peers, calls: &vec![2; peers.len()] }, Profile::builtin().sizing(Regime::PackedPolicy), advice)
}

fn template(peers: &[Request]) -> Option<Fix> {
    fixes(peers, Operation::AssumeRole, &ADVICE).into_iter().find(|fix| fix.rule() == "use-policy-template")
}

fn document(fix: &Fix) -> String {
    Policy::parse(&fix.documents[0].text).unwrap().to_string()
}

/// The document with the tags of `request` in the places of its variables.
fn substituted(document: &str, tags: &[(String, String)]) -> String {
    tags.iter().fold(document.to_owned(), |text, (key, value)| text.replace(&format!("${{aws:PrincipalTag/{key}}}"), value))
}

#[test]
fn policies_that_differ_in_a_tenant_become_one_with_a_tag() {
    let peers: Vec<Request> = ["acme", "globex", "initech"].iter().map(|tenant| request(&policy("data", tenant, "t"), &[])).collect();
    let fix = template(&peers).unwrap();
    assert_eq!(fix.asked.request.policy, None);
    assert_eq!(fix.asked.request.policy_arns, ["arn:aws-us-gov:iam::111122223333:policy/broker-session"]);
    assert_eq!(fix.asked.request.tags, [("tenant".to_owned(), "acme".to_owned())]);
    assert_eq!(
        fix.title(),
        "pass one managed policy for 3 requests with ${aws:PrincipalTag/tenant} in the place of the values that differ"
    );
    assert_eq!(document(&fix), policy("data", "${aws:PrincipalTag/tenant}", "t"));
    let detail = fix.detail();
    assert!(
        detail.starts_with("covers 3 of 3 known requests (6 of 6 calls), with 3 texts; tags: `tenant`=`acme` (3 values); PolicyArns: "),
        "{detail}"
    );
    assert!(detail.contains("the role's trust policy must allow sts:TagSession"));
}

#[test]
fn a_tag_that_is_passed_already_fills_its_hole_and_others_share_one() {
    let peers: Vec<Request> = ["acme", "globex", "initech"]
        .iter()
        .map(|tenant| request(&policy(&format!("data-{tenant}"), tenant, &format!("orders-{tenant}")), &[("Customer", tenant)]))
        .collect();
    let fix = template(&peers).unwrap();
    assert_eq!(fix.asked.request.tags, peers[0].tags);
    let variable = "${aws:PrincipalTag/Customer}";
    assert_eq!(document(&fix), policy(&format!("data-{variable}"), variable, &format!("orders-{variable}")));
    assert!(!fix.detail().contains("TagSession"));
}

#[test]
fn a_key_that_is_passed_inherited_or_read_is_not_taken() {
    let read = r#","Condition":{"StringEquals":{"aws:PrincipalTag/tenant2":"x"}}}]}"#;
    let mut peers: Vec<Request> =
        ["a", "b"].iter().map(|tenant| request(&policy("data", tenant, "t").replace("}]}", read), &[("Tenant", "same")])).collect();
    peers[1].inherited_tags = vec![("TENANT3".to_owned(), "x".to_owned())];
    assert_eq!(template(&peers).unwrap().asked.request.tags[1].0, "tenant4");
    let details = r#"{"UserDetailList":[],"GroupDetailList":[],"RoleDetailList":[{"Arn":"arn:aws:iam::111122223333:role/x","AssumeRolePolicyDocument":{"Statement":{"Condition":{"Null":{"aws:RequestTag/tenant4":"false"}}}}}],"Policies":[]}"#;
    let advice = Advice { readers: Some(TagReaders::from_json(details, "details.json").unwrap()), ..Advice::default() };
    let found = fixes(&peers, Operation::AssumeRole, &advice);
    assert_eq!(only(&found, "use-policy-template").asked.request.tags[1].0, "tenant5");
}

#[test]
fn what_no_variable_can_hold_is_not_covered() {
    let one = request(&policy("data", "acme", "t"), &[]);
    let differing = [
        // A wildcard would be a star.
        policy("data", "*", "t"),
        policy("data", "glo?bex", "t"),
        policy("data", "${aws:username}", "t"),
        policy("data", "globex(1)", "t"),
        // Not in an action, a region, an account, a partition, nor where a list is longer.
        policy("data", "globex", "t").replace("GetItem", "PutItem"),
        policy("data", "globex", "t").replace("us-gov-west-1", "us-gov-east-1"),
        policy("data", "globex", "t").replace("111122223333", "444455556666"),
        policy("data", "globex", "t").replace("dynamodb:Query\"", "dynamodb:Query\",\"dynamodb:Scan\""),
        policy("data", "globex", "t").replace("\"Allow\"", "\"Deny\""),
        policy("data", &"g".repeat(257), "t"),
        "no policy".to_owned(),
    ];
    for other in &differing {
        assert_eq!(template(&[one.clone(), request(other, &[])]).map(|fix| document(&fix)), None, "{other}");
    }
    let mut peers = vec![one, request(&policy("data", "globex", "t"), &[])];
    peers.extend(differing.iter().map(|text| request(text, &[])));
    let fix = template(&peers).unwrap();
    assert!(fix.detail().starts_with("covers 2 of 13 known requests (4 of 26 calls), with 2 texts"), "{}", fix.detail());
    assert!(fix.detail().contains("11 requests of another shape must keep the inline policy"));
}

#[test]
fn a_policy_of_the_old_version_must_have_no_text_that_becomes_a_variable() {
    let old = |tenant: &str| policy("data", tenant, "${aws:username}").replace("2012-10-17", "2008-10-17");
    assert_eq!(template(&[request(&old("a"), &[]), request(&old("b"), &[])]), None);
    let plain = |tenant: &str| policy("data", tenant, "t").replace(r#""Version":"2012-10-17","#, "");
    let fix = template(&[request(&plain("a"), &[]), request(&plain("b"), &[])]).unwrap();
    assert!(document(&fix).starts_with(r#"{"Version":"2012-10-17""#));
}

#[test]
fn one_request_or_equal_ones_have_no_template() {
    let one = request(&policy("data", "acme", "t"), &[]);
    assert_eq!(template(std::slice::from_ref(&one)), None);
    assert_eq!(template(&[one.clone(), request(&policy("data", "acme", "t"), &[("a", "b")])]), None);
    let full: Vec<(String, String)> = (0..50).map(|number| (format!("k{number}"), "v".to_owned())).collect();
    let peers = [one, request(&policy("data", "globex", "t"), &[])].map(|request| Request { tags: full.clone(), ..request });
    assert_eq!(template(&peers), None);
}

#[test]
fn the_identity_provider_s_claim_and_the_user_s_policies_are_named() {
    let peers: Vec<Request> = ["acme", "globex"].iter().map(|tenant| request(&policy("data", tenant, "t"), &[])).collect();
    let detail = |operation| only(&fixes(&peers, operation, &ADVICE), "use-policy-template").detail();
    assert!(detail(Operation::AssumeRoleWithSaml).contains("SAML/Attributes/PrincipalTag:tenant`"));
    assert!(detail(Operation::AssumeRoleWithWebIdentity).contains("`https://aws.amazon.com/tags`"));
    assert!(detail(Operation::GetFederationToken).contains("the user's policies must allow sts:TagSession"));
}

#[test]
fn redaction_leaves_documents_alone() {
    let peers: Vec<Request> =
        ["secretone", "secrettwo"].iter().map(|tenant| request(&policy("secretbucket", tenant, "secretable"), &[])).collect();
    let found = fixes(&peers, Operation::AssumeRole, &Advice { redact: true, ..Advice::default() });
    let fix = only(&found, "use-policy-template");
    for shown in [fix.title(), fix.detail()] {
        assert!(!shown.contains("secret") && !shown.contains("tenant"), "{shown}");
    }
    assert!(document(fix).contains("secretbucket"));
}

proptest! {
    #[test]
    fn each_request_s_tags_in_the_template_give_its_policy(
        values in vec(("[a-c]{1,2}(-[a-c0-2]{1,2})?", "[a-cé0-9]{1,3}(/[a-c]{1,2}){0,2}", "[a-cA-Z.=@+ ]{1,4}"), 2..7),
    ) {
        let peers: Vec<Request> = values.iter().map(|(bucket, prefix, table)| request(&policy(bucket, prefix, table), &[("k", bucket)])).collect();
        let mut documents = Vec::new();
        for own in &peers {
            let asked = Asked { request: own.clone(), ..Asked::new(Operation::AssumeRole, CallerKind::IamUser) };
            let context = Context::new(Subject { asked: &asked, peers: &peers, calls: &[] }, &SIZING, &ADVICE);
            let Some(proposal) = super::rule(&context, &State::new(asked.clone(), &context)) else { continue };
            let document = Policy::parse(&proposal.documents[0].text).unwrap().to_string();
            prop_assert_eq!(Some(substituted(&document, &proposal.asked.request.tags)), own.policy.clone());
            documents.push(document);
        }
        // What covers all is the same for all, whichever is asked about.
        if documents.len() == peers.len() && values.iter().all(|(_, prefix, _)| !prefix.contains('/')) {
            documents.dedup();
            prop_assert_eq!(documents.len(), 1);
        }
    }
}
