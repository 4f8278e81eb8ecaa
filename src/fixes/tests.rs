use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::packing::{Operation, Profile};
use crate::policy::{Clause, Effect as PolicyEffect, Element, Scalar, Scalars, Statement, Statements, Values};

/// Made once: the list of actions is long.
pub(super) static ADVICE: LazyLock<Advice> = LazyLock::new(Advice::default);
pub(super) static SIZING: LazyLock<Sizing> = LazyLock::new(|| Profile::builtin().sizing(Regime::PackedPolicy).clone());

fn session() -> Session {
    Session { session_name_bytes: Some(12), ..Session::new(Operation::AssumeRole, CallerKind::IamUser) }
}

fn with_policy(policy: &str) -> Request {
    Request { policy: Some(policy.to_owned()), ..Request::default() }
}

fn with_tags(tags: &[(&str, &str)]) -> Request {
    Request { tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(), ..Request::default() }
}

pub(super) fn suggested(request: &Request, session: &Session, sizing: &Sizing, redact: bool) -> Vec<Fix> {
    let asked = Asked { request: request.clone(), session: *session, ..Asked::new(session.operation, session.caller_kind) };
    suggest(Subject { asked: &asked, peers: &[], calls: &[] }, sizing, &Advice { redact, ..ADVICE.clone() })
}

/// What is suggested for a policy by an IAM user's call, under the older limit.
pub(super) fn suggested_by(policy: &str, advice: &Advice) -> Vec<Fix> {
    let asked = Asked { request: with_policy(policy), session: session(), ..Asked::new(session().operation, session().caller_kind) };
    suggest(Subject { asked: &asked, peers: &[], calls: &[] }, Profile::builtin().sizing(Regime::PackedPolicy), advice)
}

/// The fix that is `rule` alone.
pub(super) fn only<'a>(fixes: &'a [Fix], rule: &str) -> &'a Fix {
    fixes.iter().find(|fix| fix.rule() == rule).unwrap_or_else(|| panic!("no {rule}"))
}

fn all(request: &Request) -> Suggestions {
    let session = session();
    let asked = Asked { request: request.clone(), session, ..Asked::new(session.operation, session.caller_kind) };
    suggestions(Subject { asked: &asked, peers: &[], calls: &[] }, Profile::builtin().sizing(Regime::PackedPolicy), &Advice::default())
}

fn fixes(request: &Request) -> Vec<Fix> {
    suggested(request, &session(), Profile::builtin().sizing(Regime::PackedPolicy), false)
}

fn fix(request: &Request, rule: &str) -> Fix {
    only(&fixes(request), rule).clone()
}

fn rules(request: &Request) -> Vec<String> {
    fixes(request).iter().map(Fix::rule).collect()
}

/// What a rewrite makes of a policy, and what it says; None where it finds nothing to do.
pub(super) fn rewritten(rewrite: &Rewrite, text: &str) -> Option<(String, Vec<String>)> {
    let mut policy = Policy::parse(text).unwrap();
    let profile = Profile::builtin();
    let mut scale = Scale { packer: Packer::new(), sizing: profile.sizing(Regime::PackedPolicy) };
    let said = (rewrite.apply)(&mut policy, &mut scale);
    if said.is_empty() {
        assert_eq!(policy, Policy::parse(text).unwrap(), "what says nothing changes nothing");
        return None;
    }
    let after = policy.to_string();
    assert_eq!((rewrite.apply)(&mut policy, &mut scale), [""; 0], "done once, there is nothing left: {after}");
    Some((after, said))
}

/// As [`rewritten`], of the statements of a document.
pub(super) fn rewritten_statements(rewrite: &Rewrite, statements: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
    let whole = |text: &str| format!(r#"{{"Statement":[{text}]}}"#);
    let (after, said) = rewritten(rewrite, &whole(&statements.join(",")))?;
    let policy = Policy::parse(&after).unwrap();
    let one = |statement: &Statement| {
        let alone = Policy { elements: vec![Element::Statement(Statements::Many(vec![statement.clone()]))] }.to_string();
        alone.strip_prefix(r#"{"Statement":["#).unwrap().strip_suffix("]}").unwrap().to_owned()
    };
    Some((policy.statements().map(one).collect(), said))
}

fn document(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

const READ: &str = r#"{"Sid":"Read","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#;
const WRITE: &str = r#"{"Sid":"Write","Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::b/*"]}"#;

#[test]
fn sids_are_dropped_and_priced() {
    let fix = fix(&with_policy(&document(READ)), "drop-sids");
    assert_eq!(fix.effect, Effect::SameMeaning);
    assert_eq!(fix.saved_bytes, 1 + 1 + 4);
    assert_eq!(fix.title(), "drop 1 Sid or Id element from the policy");
    let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}"#;
    assert_eq!(fix.asked.request.policy.as_deref(), Some(text));
    assert_eq!(fix.detail(), format!("policy: {text}"));
    assert!((fix.before_percent - fix.after.value - 100.0 * 6.0 / 460.0).abs() < 1e-9);
}

#[test]
fn covered_actions_and_resources_are_dropped_with_what_covers_them() {
    let statement =
        r#"{"Effect":"Allow","Action":["s3:GetObject","S3:get*","s3:PutObject","s3:GetObject"],"Resource":["*","arn:aws:s3:::b/*"]}"#;
    let fix = fix(&with_policy(&document(statement)), "drop-covered");
    assert_eq!(
        fix.asked.request.policy.as_deref(),
        Some(document(r#"{"Effect":"Allow","Action":["S3:get*","s3:PutObject"],"Resource":"*"}"#).as_str())
    );
    assert_eq!(fix.title(), "drop 3 entries covered by others of the same list");
    assert!(fix.detail().starts_with("`s3:GetObject` is covered by `S3:get*`, `s3:GetObject` is covered by `S3:get*`"), "{}", fix.detail());
}

#[test]
fn statements_that_differ_in_one_list_are_merged() {
    let merged = fix(&with_policy(&document(&[READ, WRITE].join(","))), "merge-statements");
    assert_eq!(
        merged.asked.request.policy.as_deref(),
        Some(
            document(r#"{"Sid":"Read","Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::b/*"}"#).as_str()
        )
    );
}

#[test]
fn statements_that_differ_in_more_are_left_alone() {
    let pairs = [
        [READ, r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::c/*"}"#],
        [READ, r#"{"Effect":"Deny","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}"#],
        [
            READ,
            r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}"#,
        ],
        [READ, r#"{"Effect":"Allow","NotAction":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}"#],
        [READ, r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*","Principal":"*"}"#],
        [READ, r#"{"Effect":"Allow","Action":"s3:PutObject","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#],
        [
            r#"{"Effect":"Allow","NotAction":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}"#,
            r#"{"Effect":"Allow","NotAction":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#,
        ],
    ];
    for pair in pairs {
        assert!(!rules(&with_policy(&document(&pair.join(",")))).contains(&"merge-statements".to_owned()), "{pair:?}");
    }
}

#[test]
fn all_rewrites_together_save_more_than_each() {
    let request = with_policy(&document(&[READ, WRITE].join(",")));
    let together = fix(&request, "merge-statements + drop-sids + drop-version");
    assert_eq!(together.effect, Effect::SameMeaning);
    let sets: Vec<_> = fixes(&request).into_iter().filter(|one| one.effect == Effect::SameMeaning && one.changes.len() == 1).collect();
    assert_eq!(sets.len(), 4, "single-values is no part of the set: merging writes a value where there is one");
    for one in sets {
        assert!(one.saved_bytes < together.saved_bytes, "{}", one.rule());
    }
    assert_eq!(all(&request).smallest_same_meaning, Some(together));
}

#[test]
fn a_managed_policy_replaces_the_document_but_never_the_eleventh_arn() {
    let mut request = with_policy(&document(&[READ, WRITE].join(",")));
    let managed = fix(&request, "use-managed-policy");
    assert_eq!(managed.effect, Effect::NeedsReview);
    assert_eq!((managed.asked.request.policy.as_deref(), managed.asked.request.policy_arns.len()), (None, 1));
    assert!(managed.title().contains("in the role's account"));
    request.policy_arns = vec!["arn:aws:iam::111122223333:policy/p".to_owned(); 10];
    assert!(!rules(&request).contains(&"use-managed-policy".to_owned()));
}

#[test]
fn a_federation_token_always_keeps_a_policy() {
    let federated = Session::new(Operation::GetFederationToken, CallerKind::IamUser);
    for regime in Regime::ALL {
        for fix in suggested(&with_policy(&document(&[READ, WRITE].join(","))), &federated, Profile::builtin().sizing(regime), false) {
            assert!(fix.asked.request.policy.is_some() || !fix.asked.request.policy_arns.is_empty(), "{}", fix.rule());
            assert_ne!(fix.rule(), "use-source-identity");
        }
    }
}

#[test]
fn short_tag_keys_never_meet_another_key() {
    let mut request = with_tags(&[("department", "1"), ("DE", "2"), ("cost-center", "3")]);
    request.inherited_tags = vec![("CC".to_owned(), "4".to_owned())];
    let fix = fix(&request, "shorten-tag-keys");
    let keys: Vec<_> = fix.asked.request.tags.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["de2", "DE", "cc2"]);
    assert_eq!(fix.saved_bytes, 7 + 8);
    assert!(fix.detail().contains("`department` to `de2` (7 bytes less)"));
    assert!(fix.detail().ends_with("writing tags in lower case saves 0 bytes: a letter takes one byte in either case"));
}

#[test]
fn an_identity_tag_moves_to_the_source_identity_where_that_pays() {
    let request = with_tags(&[("user", "anna@example.com"), ("e-mail", "anna@example.com"), ("team", "x")]);
    let moved = fix(&request, "use-source-identity");
    assert_eq!(moved.asked.request.tags, [("team".to_owned(), "x".to_owned())]);
    assert_eq!(moved.asked.session.source_identity_bytes, Some(16));
    assert_eq!(moved.saved_bytes, 23 + 25);
    let in_token = |request: &Request| {
        let found = suggested(request, &session(), Profile::builtin().sizing(Regime::SessionToken), false);
        found.into_iter().find(|fix| fix.rule() == "use-source-identity").map(|fix| fix.saved_bytes)
    };
    assert_eq!(in_token(&request), Some(48 - 16 - 25));
    assert_eq!(in_token(&with_tags(&[("user", "anna@example.com")])), None);
    assert!(!rules(&with_tags(&[("user", "a b")])).contains(&"use-source-identity".to_owned()));
    assert!(!rules(&with_tags(&[("user", "x")])).contains(&"use-source-identity".to_owned()));
}

#[test]
fn the_fewest_largest_tags_that_reach_the_target_are_dropped() {
    let (large, small) = ("v".repeat(200), "v".repeat(90));
    let request = with_tags(&[("a", &small), ("b", &large), ("c", &small)]);
    let fix = fix(&request, "drop-largest-tags");
    assert_eq!(fix.asked.request.tags.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert!(fix.detail().starts_with("`b` (204 bytes); policies that read them"), "{}", fix.detail());
    assert!(fix.after.value < TARGET_PERCENT);
}

#[test]
fn what_reaches_the_target_comes_first_and_keeps_the_meaning_if_it_can() {
    let long_sid = READ.replace("Read", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567");
    let request = Request { tags: vec![("team".to_owned(), "v".repeat(250))], ..with_policy(&document(&long_sid)) };
    let found = fixes(&request);
    assert!(found[0].before_percent > TARGET_PERCENT);
    assert_eq!((found[0].rule().as_str(), found[0].effect), ("drop-sids", Effect::SameMeaning));
    assert!(found[0].after.value < TARGET_PERCENT && found.iter().any(|fix| fix.after.value < found[0].after.value));
}

#[test]
fn calls_by_aws_services_get_no_fixes() {
    let service = Session::new(Operation::AssumeRole, CallerKind::AwsService);
    assert_eq!(suggested(&with_policy(&document(READ)), &service, Profile::builtin().sizing(Regime::PackedPolicy), false), []);
}

#[test]
fn redaction_leaves_no_policy_text_and_no_tag_value() {
    let secret = READ.replace("arn:aws:s3:::b/*", "arn:aws:s3:::secret-bucket/*").replace("Read", "SecretSid");
    let double = secret.replace("\"s3:GetObject\"", "[\"s3:SecretAction\",\"s3:*\"]");
    let mut request = with_policy(&document(&[secret, double].join(", ")));
    request.tags = vec![("user".to_owned(), "secret@example.com".to_owned()), ("team".to_owned(), "secret-team".to_owned())];
    for regime in Regime::ALL {
        let found = suggested(&request, &session(), Profile::builtin().sizing(regime), true);
        assert!(found.len() >= 6);
        for fix in found {
            let shown = format!("{} {}", fix.title(), fix.detail()).to_lowercase();
            assert!(!shown.contains("secret"), "{shown}");
        }
    }
}

#[test]
fn advice_without_effect_is_named_only_where_it_applies() {
    assert!(without_effect(&with_policy(&document(READ)), 0).is_empty());
    assert!(without_effect(&with_tags(&[("team", "x y")]), 0).is_empty());
    assert_eq!(without_effect(&with_policy(&document(READ)), 7).len(), 1);
    let both = Request { policy: Some(document(READ).replace(',', ", ")), ..with_tags(&[("Team", "x")]) };
    assert_eq!(without_effect(&both, 0).len(), 2);
    assert!(fix(&both, "drop-sids").detail().contains("removing white space from the policy saves 0 bytes"));
}

#[test]
fn a_text_that_is_no_policy_is_left_alone() {
    assert_eq!(fixes(&with_policy("{ \"Statement\": ")), []);
    assert_eq!(fixes(&Request::default()), []);
}

#[test]
fn requests_far_beyond_what_sts_takes_are_weighed_and_left_alone() {
    let statement = |number: usize| format!(r#"{{"Sid":"S{number}","Effect":"Allow","Action":"s3:Get{number}","Resource":"b{number}"}}"#);
    let mut statements = String::with_capacity(17 << 20);
    for number in 0.. {
        statements.push_str(&statement(number));
        if statements.len() >= 16 << 20 {
            break;
        }
        statements.push(',');
    }
    let tags: Vec<_> = (0..100_000).map(|number| (format!("department-{number:06}"), "x".to_owned())).collect();
    let request = Request { tags, ..with_policy(&document(&statements)) };
    for regime in Regime::ALL {
        assert_eq!(suggested(&request, &session(), Profile::builtin().sizing(regime), false), []);
    }
    let parts = pack(&request, &Profile::builtin().packed_policy);
    assert_eq!(parts.tag_bytes, 100_000 * (17 + 1 + 3));
    assert!(parts.policy_bytes > 1 << 20);
    assert_eq!(without_effect(&request, 0).len(), 0);
}

#[test]
fn the_rules_end_just_beyond_their_bounds() {
    let statements = |count: usize| vec![r#"{"Sid":"a","Effect":"Deny"}"#; count].join(",");
    assert!(!rules(&with_policy(&document(&statements(MAX_STATEMENTS)))).is_empty());
    assert_eq!(rules(&with_policy(&document(&statements(MAX_STATEMENTS + 1)))), [""; 0]);
    let of_bytes = |bytes: usize| {
        let empty = document(&READ.replace("Read", "")).len();
        document(&READ.replace("Read", &"S".repeat(bytes - empty)))
    };
    assert!(rules(&with_policy(&of_bytes(MAX_POLICY_BYTES))).contains(&"drop-sids".to_owned()));
    assert_eq!(rules(&with_policy(&of_bytes(MAX_POLICY_BYTES + 1))), [""; 0]);
    let tags = |count: usize| Request {
        tags: (1..count).map(|number| (format!("department-{number}"), "x".to_owned())).collect(),
        inherited_tags: vec![("team".to_owned(), "x".to_owned())],
        ..Request::default()
    };
    assert_eq!(rules(&tags(MAX_TAGS)), ["drop-largest-tags", "shorten-tag-keys", "stop-inheriting-tags"]);
    assert_eq!(rules(&tags(MAX_TAGS + 1)), [""; 0]);
}

#[test]
fn a_fix_never_breaks_a_limit_in_plain_characters() {
    // What STS takes only escaped stays escaped, and is escaped where it was not.
    for letter in [r"\u20ac", "€"] {
        let after = fix(&with_policy(&document(&READ.replace("b/*", &format!("b/{letter}/*")))), "drop-sids").asked.request.policy.unwrap();
        assert!(after.contains(r"b/\u20ac/*"), "{after}");
    }
    // A document that loses its white space and a Sid may fit; one that is rewritten never grows beyond what STS takes.
    for fix in fixes(&with_policy(&document(&READ.replace("b/*", &"€".repeat(400))))) {
        assert!(fix.asked.request.policy.is_none_or(|text| text.len() <= 2048), "a letter is six characters when it is escaped");
    }
    // Other problems that remain do not keep a fix back.
    let tags: Vec<_> = (0..60).map(|number| (format!("department-{number}#"), "x".to_owned())).collect();
    let many = Request { tags, ..Request::default() };
    assert_eq!(rules(&many), ["drop-largest-tags", "shorten-tag-keys"]);
}

/// A plain evaluator: what a policy decides about one action on one resource, with each condition true or not.
fn decide(policy: &Policy, action: &str, resource: &str, holds: &HashMap<String, bool>) -> Option<PolicyEffect> {
    let mut decision = None;
    for statement in policy.statements() {
        let mut effect = None;
        let applies = statement.clauses.iter().all(|clause| match clause {
            Clause::Effect(stated) => {
                effect = Some(*stated);
                true
            }
            Clause::Action(values) => any_matches(values, action, true),
            Clause::NotAction(values) => !any_matches(values, action, true),
            Clause::Resource(values) => any_matches(values, resource, false),
            Clause::NotResource(values) => !any_matches(values, resource, false),
            Clause::Condition(condition) => condition
                .iter()
                .flat_map(|(_, keys)| keys)
                .all(|(_, values)| values.as_slice().iter().any(|value| holds.get(value.text()).copied().unwrap_or(false))),
            Clause::Sid(_) | Clause::Other(..) => true,
        });
        match (applies, effect) {
            (true, Some(PolicyEffect::Deny)) => return Some(PolicyEffect::Deny),
            (true, Some(PolicyEffect::Allow)) => decision = Some(PolicyEffect::Allow),
            _ => {}
        }
    }
    decision
}

fn any_matches(values: &Values, text: &str, ignore_case: bool) -> bool {
    values.as_slice().iter().any(|pattern| {
        if ignore_case {
            super::wildcard::tests::glob(pattern.to_lowercase().as_bytes(), text.to_lowercase().as_bytes())
        } else {
            super::wildcard::tests::glob(pattern.as_bytes(), text.as_bytes())
        }
    })
}

const ACTIONS: [&str; 8] = ["*", "s3:*", "s3:Get*", "S3:getobject", "s3:GetObject", "s3:PutObject", "ec2:Describe?pcs", "ec2:*"];
const RESOURCES: [&str; 7] =
    ["*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/a*", "arn:aws:s3:::b/ab", "arn:aws:s3:::c", "arn:aws:s3:::*", "arn:*:b/ab"];

fn texts(from: &'static [&'static str]) -> impl Strategy<Value = Values> {
    let text = move || select(from).prop_map(str::to_owned);
    prop_oneof![text().prop_map(Values::One), vec(text(), 1..5).prop_map(Values::Many)]
}

fn statement() -> impl Strategy<Value = Statement> {
    let condition = select(vec!["true", "false"]).prop_map(|value| {
        let values = Scalars::One(Scalar::String(value.to_owned()));
        Clause::Condition(vec![("Bool".to_owned(), vec![("aws:SecureTransport".to_owned(), values)])])
    });
    let actions = prop_oneof![3 => texts(&ACTIONS).prop_map(Clause::Action), 1 => texts(&ACTIONS).prop_map(Clause::NotAction)];
    let resources = prop_oneof![3 => texts(&RESOURCES).prop_map(Clause::Resource), 1 => texts(&RESOURCES).prop_map(Clause::NotResource)];
    let effect = prop_oneof![Just(PolicyEffect::Allow), Just(PolicyEffect::Deny)].prop_map(Clause::Effect);
    let sid = prop::option::of("[a-z]{1,6}".prop_map(Clause::Sid));
    (sid, effect, actions, resources, prop::option::weighted(0.2, condition)).prop_map(|(sid, effect, actions, resources, condition)| {
        Statement { clauses: sid.into_iter().chain([effect, actions, resources]).chain(condition).collect() }
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    vec(statement(), 1..7).prop_map(|statements| Policy {
        elements: vec![Element::Version("2012-10-17".to_owned()), Element::Statement(Statements::Many(statements))],
    })
}

fn nasty_tags() -> impl Strategy<Value = Vec<(String, String)>> {
    let key = prop_oneof![
        select(vec!["user", "Department", "change-ticket", "eks-cluster-arn", "kubernetes-pod-uid", "ref", "É€", "a'b\"c", "${x}", ""])
            .prop_map(str::to_owned),
        "[a-zA-Z-]{1,40}",
    ];
    let value = prop_oneof![
        select(vec![
            "arn:aws-us-gov:eks:us-gov-west-1:111122223333:cluster/x",
            "production",
            "anna@example.com",
            "$(x) '\"",
            "",
            "https://"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    vec((key, value), 0..50)
}

fn nasty_policies() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        Just(Some("{\"Statement\": aws:PrincipalTag/user".to_owned())),
        Just(Some("[]".to_owned())),
        Just(Some(document(&READ.replace("b/*", "${aws:PrincipalTag/user}/${aws:PrincipalTag/É€}/é\u{20ac}")))),
        Just(Some(document(&READ.replace("b/*", "b/one/*")))),
        Just(Some(document(&READ.replace("b/*", "b/$two/*")))),
    ]
}

fn nasty_asked() -> impl Strategy<Value = Asked> {
    let operation = select(Operation::ALL.to_vec());
    let kind = select(vec![CallerKind::IamUser, CallerKind::SamlUser, CallerKind::AwsService]);
    let role = select(vec!["arn:aws-us-gov:iam::111122223333:role/a/b", "arn:aws-cn:iam::1:role/x'y", "", "role"]);
    let name = prop::option::of(prop_oneof![any::<String>(), "[a-z-]{0,70}"]);
    let arns = vec(select(vec!["arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws-us-gov:iam::111122223333:policy/b-session", "x"]), 0..11);
    (operation, kind, role, name, nasty_policies(), arns, nasty_tags(), nasty_tags()).prop_map(
        |(operation, kind, role, name, policy, arns, tags, inherited_tags)| Asked {
            request: Request { policy, policy_arns: arns.into_iter().map(str::to_owned).collect(), tags, inherited_tags },
            role_arn: Some(role.to_owned()),
            source_identity: name.clone(),
            session_name: name,
            transitive_tag_keys: vec!["USER".to_owned(), "department".to_owned()],
            ..Asked::new(operation, kind)
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_asked_fixes_save_break_no_limit_and_leave_a_federated_user_a_policy(asked in nasty_asked(), regime in select(Regime::ALL.to_vec())) {
        let peers = [asked.request.clone(), with_policy(&document(&READ.replace("b/*", "b/other/*")))];
        let profile = Profile::builtin();
        let before = Sizing::clone(profile.sizing(regime));
        let found = suggest(Subject { asked: &asked, peers: &peers, calls: &[] }, &before, &ADVICE);
        prop_assert!(asked.session.caller_kind != CallerKind::AwsService || found.is_empty());
        let kinds = problem_kinds(&asked.request, &asked.session);
        for fix in found {
            prop_assert!(fix.saved_bytes > 0 && fix.after.value < fix.before_percent, "{}", fix.rule());
            for (kind, count) in problem_kinds(&fix.asked.request, &fix.asked.session) {
                prop_assert!(kinds.get(&kind).is_some_and(|had| *had >= count), "{} {}", fix.rule(), kind);
            }
            let had = asked.request.policy.is_some() || !asked.request.policy_arns.is_empty();
            let has = fix.asked.request.policy.is_some() || !fix.asked.request.policy_arns.is_empty();
            prop_assert!(!had || has, "{}", fix.rule());
            // A key that was transitive is so by its new name, or gone.
            let transitive = |key: &String| fix.asked.request.tags.iter().any(|(own, _)| own.to_lowercase() == key.to_lowercase());
            let was = |key: &String| asked.request.tags.iter().all(|(own, _)| own.to_lowercase() != key.to_lowercase());
            for key in &fix.asked.transitive_tag_keys {
                prop_assert!(transitive(key) || was(key), "{} {}", fix.rule(), key);
            }
        }
    }

    #[test]
    fn same_meaning_rules_decide_as_before_and_weigh_less(policy in policies(), truths in any::<[bool; 2]>()) {
        let request = with_policy(&policy.to_string());
        let holds = HashMap::from([("true".to_owned(), truths[0]), ("false".to_owned(), truths[1])]);
        let before_bytes = pack(&request, &Profile::builtin().packed_policy).packed_bytes();
        for fix in fixes(&request) {
            prop_assert!(pack(&fix.asked.request, &Profile::builtin().packed_policy).packed_bytes() + fix.saved_bytes == before_bytes);
            if fix.effect == Effect::SameMeaning {
                let rewritten = Policy::parse(fix.asked.request.policy.as_deref().unwrap()).unwrap();
                for action in ["s3:GetObject", "S3:GETOBJECT", "s3:PutObject", "ec2:DescribeVpcs", "iam:GetUser"] {
                    for resource in ["arn:aws:s3:::b/ab", "arn:aws:s3:::b/x", "arn:aws:s3:::c", "arn:aws:sqs:eu:1:b/ab", "x"] {
                        prop_assert_eq!(
                            decide(&rewritten, action, resource, &holds),
                            decide(&policy, action, resource, &holds),
                            "{} on {} by {}", action, resource, fix.rule()
                        );
                    }
                }
            }
        }
    }
}
