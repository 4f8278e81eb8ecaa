use super::automaton;
use super::pattern::{Manner, Token, matches, read, tokens};
use super::*;

/// A document of version 2012-10-17 with these statements.
fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

/// One statement on these actions and resources, each given as JSON, and the rest of its members.
fn statement(effect: &str, action: &str, resource: &str, rest: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":{action},"Resource":{resource}{rest}}}"#)
}

fn allow(action: &str, resource: &str) -> String {
    statement("Allow", action, resource, "")
}

/// `s3:GetObject` on everything under a condition.
fn on(condition: &str) -> String {
    policy(&statement("Allow", r#""s3:GetObject""#, r#""*""#, &format!(r#","Condition":{{{condition}}}"#)))
}

/// The same denied.
fn off(condition: &str) -> String {
    policy(&format!(
        "{},{}",
        allow(r#""*""#, r#""*""#),
        statement("Deny", r#""s3:GetObject""#, r#""*""#, &format!(r#","Condition":{{{condition}}}"#))
    ))
}

#[track_caller]
fn same(before: &str, after: &str) {
    for (before, after) in [(before, after), (after, before)] {
        assert_eq!(compare(before, after, Actions::Any), Comparison::Same, "\n{before}\n{after}");
    }
}

#[track_caller]
fn differs(before: &str, after: &str) -> Witness {
    let [there, _] = [(before, after), (after, before)].map(|(before, after)| match compare(before, after, Actions::Any) {
        Comparison::Differs(witness) => *witness,
        other => panic!("{other:?}\n{before}\n{after}"),
    });
    assert_ne!(there.before, there.after);
    there
}

#[track_caller]
fn undecided(before: &str, after: &str) -> String {
    let [there, _] = [(before, after), (after, before)].map(|(before, after)| match compare(before, after, Actions::Any) {
        Comparison::Undecided(why) => why,
        other => panic!("{other:?}\n{before}\n{after}"),
    });
    there
}

#[track_caller]
fn not_same(before: &str, after: &str) {
    for (before, after) in [(before, after), (after, before)] {
        assert_ne!(compare(before, after, Actions::Any), Comparison::Same, "\n{before}\n{after}");
    }
}

#[test]
fn how_a_document_is_written_means_nothing() {
    let plain = policy(&allow(r#""s3:GetObject""#, r#""arn:aws:s3:::b/*""#));
    same(&plain, &policy(&allow(r#"["s3:GetObject"]"#, r#"["arn:aws:s3:::b/*","arn:aws:s3:::b/*"]"#)));
    same(&plain, &policy(&statement("Allow", r#""s3:GetObject""#, r#""arn:aws:s3:::b/*""#, r#","Sid":"Read","Condition":{}"#)));
    same(
        &plain,
        r#"{"Id":"x","Statement":{"Resource":"arn:aws:s3:::b\u002f*","Action":"s3:\u0047etObject","Effect":"Allow"}, "Version":"2008-10-17"}"#,
    );
    same(&plain, r#"{"Statement":{"Resource":"arn:aws:s3:::b/*","Action":"s3:GetObject","Effect":"Allow"}}"#);
    let twice = format!("{0},{0}", allow(r#""s3:GetObject""#, r#""arn:aws:s3:::b/*""#));
    same(&plain, &policy(&twice));
}

#[test]
fn statements_that_differ_in_one_element_merge_and_those_that_differ_in_two_do_not() {
    let two = |a: &str, b: &str, c: &str, d: &str| policy(&format!("{},{}", allow(a, b), allow(c, d)));
    let (get, put) = (r#""s3:GetObject""#, r#""s3:PutObject""#);
    let (one, other) = (r#""arn:aws:s3:::a/*""#, r#""arn:aws:s3:::b/*""#);
    let (actions, resources) = (format!("[{get},{put}]"), format!("[{one},{other}]"));
    same(&two(get, one, put, one), &policy(&allow(&actions, one)));
    same(&two(get, one, get, other), &policy(&allow(get, &resources)));
    let witness = differs(&two(get, one, put, other), &policy(&allow(&actions, &resources)));
    assert_eq!((witness.before, witness.after), (Decision::NotAllowed, Decision::Allowed));
}

#[test]
fn actions_have_no_letter_case_and_resources_do() {
    let with = |action: &str, resource: &str| policy(&allow(action, resource));
    same(&with(r#""S3:getobject""#, r#""*""#), &with(r#""s3:GetObject""#, r#""*""#));
    differs(&with(r#""s3:GetObject""#, r#""arn:aws:s3:::b/A""#), &with(r#""s3:GetObject""#, r#""arn:aws:s3:::b/a""#));
    differs(&with(r#"["s3:GetObject"]"#, r#""*""#), &with(r#"["s3:GetObject","s3:getObjectAcl"]"#, r#""*""#));
}

#[test]
fn what_a_wildcard_covers_may_go() {
    let with = |action: &str, resource: &str| policy(&allow(action, resource));
    same(&with(r#"["s3:Get*","s3:GetObject"]"#, r#""*""#), &with(r#""s3:Get*""#, r#""*""#));
    same(&with(r#""s3:*""#, r#"["arn:aws:s3:::b*","arn:aws:s3:::b?c"]"#), &with(r#""s3:*""#, r#""arn:aws:s3:::b*""#));
    same(&with(r#""s3:*""#, r#"["*","x"]"#), &with(r#""s3:*""#, r#""*""#));
    same(&with(r#"["s3:?*","s3:"]"#, r#""*""#), &with(r#""s3:*""#, r#""*""#));
    differs(&with(r#""s3:?*""#, r#""*""#), &with(r#""s3:*""#, r#""*""#));
    differs(&with(r#""s3:*""#, r#""arn:aws:s3:::b?""#), &with(r#""s3:*""#, r#""arn:aws:s3:::b*""#));
    differs(&with(r#""s3:*""#, r#""arn:aws:s3:::a*b*c""#), &with(r#""s3:*""#, r#""arn:aws:s3:::a*c""#));
}

#[test]
fn a_wildcard_before_the_sixth_segment_may_or_may_not_cross_colons() {
    let with = |resource: &str| policy(&allow(r#""s3:*""#, resource));
    let why = undecided(&with(r#"["arn:aws:s3:*:b","arn:aws:s3:x:y:b"]"#), &with(r#""arn:aws:s3:*:b""#));
    assert!(why.contains("where wildcards stop at colons"), "{why}");
    // A last star that crosses would cover the second.
    undecided(&with(r#"["arn:aws:s3*","arn:aws:s3:::b"]"#), &with(r#""arn:aws:s3*""#));
    undecided(&with(r#"["arn:aws:?3:::b","arn:aws::3:::b"]"#), &with(r#""arn:aws:?3:::b""#));
    same(&with(r#"["arn:aws:s3:*:*:b","arn:aws:s3:x:y:b"]"#), &with(r#""arn:aws:s3:*:*:b""#));
    same(&with(r#"["arn:aws:s3:::b*","arn:aws:s3:::b:c:d"]"#), &with(r#""arn:aws:s3:::b*""#));
    differs(&with(r#""arn:aws:s3:*:*:b""#), &with(r#""arn:aws:s3:*:*:c""#));
    let act = |action: &str| policy(&allow(action, r#""*""#));
    not_same(&act(r#"["s*t","s3:Get"]"#.replace("s*t", "s*:t").as_str()), &act(r#""s*:t""#));
    undecided(&act(r#"["s*:Get","s3:x:Get"]"#), &act(r#""s*:Get""#));
    same(&act(r#"["s*:Get","s3:Get"]"#), &act(r#""s*:Get""#));
}

#[test]
fn explicit_denies_count_apart_from_missing_allows() {
    let everything = allow(r#""*""#, r#""*""#);
    let get = allow(r#""s3:Get*""#, r#""*""#);
    let deny = statement("Deny", r#""s3:GetObject""#, r#""*""#, "");
    let witness = differs(&policy(&format!("{everything},{deny}")), &policy(&everything));
    assert_eq!((witness.before, witness.after), (Decision::DeniedExplicitly, Decision::Allowed));
    // Nothing allows it, and yet the deny counts: a resource policy may allow it.
    let list = allow(r#""s3:ListBucket""#, r#""*""#);
    let witness = differs(&policy(&format!("{list},{deny}")), &policy(&list));
    assert_eq!((witness.before, witness.after), (Decision::DeniedExplicitly, Decision::NotAllowed));
    // What is allowed within a deny does not.
    let allowed = allow(r#""s3:GetObject""#, r#""*""#);
    same(&policy(&format!("{list},{allowed},{deny}")), &policy(&format!("{list},{deny}")));
    differs(&policy(&format!("{get},{deny}")), &policy(&get.replace("Get*", "GetObject?*")));
    same(&policy(&format!("{deny},{get}")), &policy(&format!("{get},{deny}")));
}

#[test]
fn the_other_action_and_resource_are_complements() {
    let not = |member: &str, value: &str| {
        policy(&format!(
            r#"{{"Effect":"Allow",{},"{member}":{value}}}"#,
            if member.contains("Action") { r#""Resource":"*""# } else { r#""Action":"*""# }
        ))
    };
    same(&not("NotAction", r#"["s3:*","s3:GetObject"]"#), &not("NotAction", r#""S3:*""#));
    differs(&not("NotAction", r#""s3:*""#), &not("Action", r#""s3:*""#));
    differs(&not("NotAction", r#""s3:*""#), &not("NotAction", r#"["s3:*","ec2:*"]"#));
    differs(&not("NotResource", r#""arn:aws:s3:::b""#), &not("Resource", r#""*""#));
    same(&not("NotResource", r#"["arn:aws:s3:::b*","arn:aws:s3:::b1"]"#), &not("NotResource", r#""arn:aws:s3:::b*""#));
    // Two complements cover all unless their patterns meet.
    let two = |a: &str, b: &str| {
        policy(&format!(r#"{{"Effect":"Allow","Resource":"*","NotAction":"{a}"}},{{"Effect":"Allow","Resource":"*","NotAction":"{b}"}}"#))
    };
    same(&two("s3:Get*", "s3:Put*"), &not("Action", r#""*""#));
    differs(&two("s3:Get*", "s3:*Tagging"), &not("NotAction", r#""s3:Get*Tagging""#));
    same(&two("s3:Get*", "s3:*Tagging"), &not("NotAction", r#"["s3:Get*Tagging","s3:Getagging"]"#));
}

#[test]
fn known_actions_let_a_wildcard_stand_for_them() {
    let known: Vec<String> = ["s3:GetObject", "s3:GetObjectAcl", "s3:PutObject", "ec2:RunInstances"].map(str::to_owned).to_vec();
    let with = |action: &str| policy(&allow(action, r#""*""#));
    let judge = |before: &str, after: &str| compare(&with(before), &with(after), Actions::Known(&known));
    assert_eq!(judge(r#"["s3:GetObject","s3:GetObjectAcl"]"#, r#""s3:G*""#), Comparison::Same);
    assert_eq!(judge(r#"["s3:getobject","S3:GetObjectAcl","s3:PutObject"]"#, r#""s3:*""#), Comparison::Same);
    assert_eq!(judge(r#""ec2:*""#, r#""e*:*""#), Comparison::Same);
    let Comparison::Differs(witness) = judge(r#""s3:GetObject""#, r#""s3:G*""#) else { panic!("differs") };
    assert_eq!(witness.to_string(), "`s3:GetObjectAcl` on `x`: not allowed before, allowed after");
    assert!(matches!(compare(&with(r#""s3:*""#), &with(r#""*""#), Actions::Known(&[])), Comparison::Undecided(_)));
}

#[test]
fn version_decides_whether_variables_are_any() {
    let with =
        |version: &str, resource: &str| format!(r#"{{{version}"Statement":[{{"Effect":"Allow","Action":"s3:*","Resource":{resource}}}]}}"#);
    let (new, old) = (r#""Version":"2012-10-17","#, r#""Version":"2008-10-17","#);
    let variable = r#""arn:aws:s3:::b/${aws:username}/*""#;
    same(&with(old, variable), &with("", variable));
    not_same(&with(new, variable), &with("", variable));
    same(&with(new, r#""arn:aws:s3:::b/*""#), &with("", r#""arn:aws:s3:::b/*""#));
    same(&with(new, variable), &with(new, &variable.replace("username", "UserName")));
    differs(&with(new, variable), &with(new, &variable.replace("username", "userid")));
    same(
        &with(new, r#""arn:aws:s3:::b/${$}{x}${?}""#),
        &with(old, r#""arn:aws:s3:::b/${x}?""#).replace("x}?", "x}${q}").replace(old, new).replace("${x}${q}", "${$}{x}${?}"),
    );
    // An escaped star is a character.
    differs(&with(new, r#""arn:aws:s3:::b/${*}""#), &with(new, r#""arn:aws:s3:::b/*""#));
    same(&with(new, r#"["arn:aws:s3:::b/${*}","arn:aws:s3:::b/*"]"#), &with(new, r#""arn:aws:s3:::b/*""#));
    assert!(undecided(&with(new, r#""arn:aws:s3:::b/${a""#), &with(new, r#""*""#)).contains("statement 1"));
    let other = with(r#""Version":"2020-01-01","#, variable);
    assert!(undecided(&other, &with(new, variable)).contains("`Version`"));
}

#[test]
fn a_variable_without_a_value_fails_or_voids_its_statement() {
    let with = |resource: &str| policy(&allow(r#""s3:*""#, resource));
    // Covered where it matches; where it has no value the other text may no longer be allowed.
    let why = undecided(&with(r#"["arn:aws:s3:::b/*","arn:aws:s3:::b/${aws:username}"]"#), &with(r#""arn:aws:s3:::b/*""#));
    assert!(why.contains("voids its statement"), "{why}");
    same(&with(r#"["arn:aws:s3:::b/*","arn:aws:s3:::b/${aws:username,'x'}"]"#), &with(r#""arn:aws:s3:::b/*""#));
    same(
        &policy(&format!("{},{}", allow(r#""s3:*""#, r#""arn:aws:s3:::b/*""#), allow(r#""s3:*""#, r#""arn:aws:s3:::b/${aws:username}""#))),
        &with(r#""arn:aws:s3:::b/*""#),
    );
    // Two texts with variables are two texts.
    not_same(&with(r#"["arn:aws:s3:::b/${a:x}","arn:aws:s3:::b/${a:y}"]"#), &with(r#""arn:aws:s3:::b/${a:x}""#));
    differs(&with(r#""arn:aws:s3:::b/${a:x}""#), &with(r#""arn:aws:s3:::c/${a:x}""#));
    differs(&with(r#""arn:aws:s3:::b/${a:x,'1'}""#), &with(r#""arn:aws:s3:::b/${a:x,'2'}""#));
    // Merging lists binds one statement to the other's variable.
    let two =
        policy(&format!("{},{}", allow(r#""s3:*""#, r#""arn:aws:s3:::c""#), allow(r#""s3:*""#, r#""arn:aws:s3:::b/${aws:username}""#)));
    undecided(&two, &with(r#"["arn:aws:s3:::c","arn:aws:s3:::b/${aws:username}"]"#));
}

#[test]
fn values_are_alternatives_and_keys_and_operators_are_all_required() {
    same(&on(r#""StringEquals":{"a:k":["x","y"]}"#), &on(r#""StringEquals":{"A:K":["y","x","y"]}"#));
    let split = |one: &str, other: &str| {
        let allow = |condition: &str| statement("Allow", r#""s3:GetObject""#, r#""*""#, &format!(r#","Condition":{{{condition}}}"#));
        policy(&format!("{},{}", allow(one), allow(other)))
    };
    same(&split(r#""StringEquals":{"a:k":"x"}"#, r#""StringEquals":{"a:k":"y"}"#), &on(r#""StringEquals":{"a:k":["x","y"]}"#));
    differs(&split(r#""StringEquals":{"a:k":"x"}"#, r#""StringEquals":{"a:l":"y"}"#), &on(r#""StringEquals":{"a:k":"x","a:l":"y"}"#));
    same(&on(r#""StringEquals":{"a:k":"x","a:l":"y"}"#), &on(r#""StringEquals":{"a:l":"y"},"StringLike":{"a:k":"x"}"#));
    differs(&on(r#""StringEquals":{"a:k":"x","a:l":"y"}"#), &on(r#""StringEquals":{"a:l":"y"}"#));
    differs(&on(r#""StringEquals":{"a:k":"x"}"#), &on(r#""StringEquals":{"a:k":"X"}"#));
    same(&on(r#""StringEqualsIgnoreCase":{"a:k":"x"}"#), &on(r#""StringEqualsIgnoreCase":{"a:k":"X"}"#));
    differs(&on(r#""StringEqualsIgnoreCase":{"a:k":"x"}"#), &on(r#""StringEqualsIgnoreCase":{"a:k":"y"}"#));
    same(&on(r#""StringLike":{"a:k":["x*","xy"]}"#), &on(r#""StringLike":{"a:k":"x*"}"#));
    differs(&on(r#""StringEquals":{"a:k":["x*","xy"]}"#), &on(r#""StringEquals":{"a:k":"x*"}"#));
}

#[test]
fn negated_operators_exclude_all_values_and_hold_without_the_key() {
    let split = |one: &str, other: &str| {
        let allow = |condition: &str| statement("Allow", r#""s3:GetObject""#, r#""*""#, &format!(r#","Condition":{{{condition}}}"#));
        policy(&format!("{},{}", allow(one), allow(other)))
    };
    let both = on(r#""StringNotEquals":{"a:k":["x","y"]}"#);
    differs(&split(r#""StringNotEquals":{"a:k":"x"}"#, r#""StringNotEquals":{"a:k":"y"}"#), &both);
    differs(&both, &on(r#""StringNotEquals":{"a:k":"x"}"#));
    same(&on(r#""StringNotLike":{"a:k":["x*","xy"]}"#), &on(r#""StringNotLike":{"a:k":"x*"}"#));
    same(&on(r#""StringNotEquals":{"a:k":"x"}"#), &on(r#""StringNotEqualsIfExists":{"a:k":"x"}"#));
    let witness = differs(&on(r#""StringNotEquals":{"a:k":"x"}"#), &on(r#""StringNotEquals":{"a:k":"x"},"Null":{"a:k":"false"}"#));
    assert_eq!(witness.context, []);
    // With several values it is open whether one that differs is enough.
    not_same(&on(r#""StringNotEquals":{"a:k":["x","y"]}"#), &on(r#""StringNotEquals":{"a:k":"x"},"StringNotLike":{"a:k":"y"}"#));
    same(&on(r#""StringNotEquals":{"a:k":["x"]}"#), &on(r#""StringNotEquals":{"a:k":"x"},"StringNotLike":{"a:k":"x"}"#));
}

#[test]
fn absent_keys_fail_unless_if_exists_says_otherwise() {
    let witness = differs(&on(r#""StringEquals":{"a:k":"x"}"#), &on(r#""StringEqualsIfExists":{"a:k":"x"}"#));
    assert_eq!((witness.context.len(), witness.after), (0, Decision::Allowed));
    same(&on(r#""StringEquals":{"a:k":"x"}"#), &on(r#""StringEquals":{"a:k":"x"},"Null":{"a:k":false}"#));
    same(&on(r#""StringEquals":{"a:k":"x"}"#), &on(r#""StringEqualsIfExists":{"a:k":"x"},"StringLike":{"a:k":"x*"}"#));
    differs(&on(r#""Null":{"a:k":"true"}"#), &on(r#""Null":{"a:k":"false"}"#));
    same(&on(r#""Null":{"a:k":"true"}"#), &on(r#""Null":{"a:k":true}"#));
    differs(&on(r#""NumericLessThan":{"a:k":"5"}"#), &on(r#""NumericLessThanIfExists":{"a:k":"5"}"#));
}

#[test]
fn set_operators_ask_for_one_value_or_for_all() {
    let with = |operator: &str, values: &str| on(&format!(r#""{operator}":{{"aws:TagKeys":{values}}}"#));
    same(&with("ForAnyValue:StringEquals", r#""x""#), &with("StringEquals", r#""x""#));
    differs(&with("ForAnyValue:StringEquals", r#""x""#), &with("ForAllValues:StringEquals", r#""x""#));
    same(&with("ForAllValues:StringEquals", r#""x""#), &with("ForAllValues:StringEqualsIfExists", r#""x""#));
    differs(&with("ForAnyValue:StringEquals", r#""x""#), &with("ForAnyValue:StringEqualsIfExists", r#""x""#));
    differs(&with("ForAnyValue:StringNotEquals", r#""x""#), &with("ForAllValues:StringNotEquals", r#""x""#));
    differs(&with("ForAllValues:StringEquals", r#"["x","y"]"#), &with("ForAllValues:StringEquals", r#""x""#));
    same(&with("ForAllValues:StringLike", r#"["x*","xy"]"#), &with("ForAllValues:StringLike", r#""x*""#));
    // All values x or all y is less than all values among x and y.
    let split = |operator: &str| {
        let one = |value: &str| {
            statement("Allow", r#""s3:GetObject""#, r#""*""#, &format!(r#","Condition":{{"{operator}":{{"aws:TagKeys":"{value}"}}}}"#))
        };
        policy(&format!("{},{}", one("x"), one("y")))
    };
    let witness = differs(&split("ForAllValues:StringEquals"), &with("ForAllValues:StringEquals", r#"["x","y"]"#));
    assert_eq!(witness.context, [("aws:TagKeys".to_owned(), vec!["x".to_owned(), "y".to_owned()])]);
    same(&split("ForAnyValue:StringEquals"), &with("ForAnyValue:StringEquals", r#"["x","y"]"#));
    same(&split("ForAnyValue:NumericEquals"), &with("ForAnyValue:NumericEquals", r#"["x","y"]"#));
    not_same(&split("ForAllValues:NumericEquals"), &with("ForAllValues:NumericEquals", r#"["x","y"]"#));
}

#[test]
fn values_without_quotation_marks_are_the_same_values() {
    same(&on(r#""Bool":{"a:k":true}"#), &on(r#""Bool":{"a:k":["true"]}"#));
    same(&on(r#""NumericEquals":{"a:k":1}"#), &on(r#""NumericEquals":{"a:k":"1"}"#));
    assert!(undecided(&on(r#""NumericEquals":{"a:k":1.0}"#), &on(r#""NumericEquals":{"a:k":1}"#)).contains("`a:k`"));
    differs(&on(r#""Bool":{"a:k":true}"#), &on(r#""Bool":{"a:k":false}"#));
    differs(&on(r#""NumericLessThan":{"a:k":10}"#), &on(r#""NumericLessThanEquals":{"a:k":10}"#));
    differs(&on(r#""NumericLessThan":{"a:k":10}"#), &on(r#""NumericLessThan":{"a:k":11}"#));
    differs(&on(r#""IpAddress":{"aws:SourceIp":"203.0.113.0/24"}"#), &on(r#""NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}"#));
    differs(&on(r#""IpAddress":{"aws:SourceIp":"203.0.113.0/24"}"#), &on(r#""IpAddress":{"aws:SourceIp":"10.0.0.0/8"}"#));
    same(
        &on(r#""IpAddress":{"aws:SourceIp":["203.0.113.0/24","10.0.0.0/8"]}"#),
        &on(r#""IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]}"#),
    );
    differs(
        &on(r#""DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}"#),
        &on(r#""DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}"#),
    );
    undecided(&on(r#""BinaryEquals":{"a:k":"AA=="}"#), &on(r#""BinaryEquals":{"a:k":"AB=="}"#));
}

#[test]
fn arns_in_conditions_match_by_segment_or_not() {
    let with = |operator: &str, value: &str| on(&format!(r#""{operator}":{{"aws:SourceArn":{value}}}"#));
    same(&with("ArnLike", r#""arn:aws:sns:*:111122223333:t""#), &with("ArnEquals", r#""arn:aws:sns:*:111122223333:t""#));
    same(&with("ArnLike", r#"["arn:aws:sns:*:*:t","arn:aws:sns:x:y:t"]"#), &with("ArnLike", r#""arn:aws:sns:*:*:t""#));
    undecided(&with("ArnLike", r#"["arn:aws:sns:*:t","arn:aws:sns:x:y:t"]"#), &with("ArnLike", r#""arn:aws:sns:*:t""#));
    // A colon tells a star that stops there from one that does not, where no pattern waits for it.
    undecided(&with("StringLike", r#""a*""#), &on(r#""StringLike":{"aws:SourceArn":"a*"},"ArnLike":{"aws:SourceArn":"a*"}"#));
    let resources = |list: &str| policy(&allow(r#""s3:*""#, list));
    undecided(&resources(r#"["a*","a${k:t,'d'}*"]"#), &resources(r#""a*""#));
    // Whether letters count is open.
    undecided(&with("ArnLike", r#""arn:aws:sns:x:y:T""#), &with("ArnLike", r#""arn:aws:sns:x:y:t""#));
    differs(&with("ArnLike", r#""arn:aws:sns:x:y:a""#), &with("ArnLike", r#""arn:aws:sns:x:y:b""#));
    not_same(&with("ArnLike", r#""arn:aws:sns:x:y:*""#), &with("StringLike", r#""arn:aws:sns:x:y:*""#));
}

#[test]
fn variables_in_conditions_are_texts_of_their_own() {
    let with = |operator: &str, value: &str| on(&format!(r#""{operator}":{{"s3:prefix":{value}}}"#));
    same(&with("StringLike", r#""${aws:username}/*""#), &with("StringLike", r#""${AWS:UserName}/*""#));
    not_same(&with("StringLike", r#""${aws:username}/*""#), &with("StringLike", r#""${aws:userid}/*""#));
    undecided(&with("StringLike", r#"["${aws:username}/*","*"]"#), &with("StringLike", r#""*""#));
    same(&with("StringLike", r#"["${aws:username,'n'}/*","*"]"#), &with("StringLike", r#""*""#));
    // The same text is another one where `${` begins nothing.
    for operator in ["StringEquals", "StringLike", "StringEqualsIgnoreCase"] {
        for text in [r#""${*}""#, r#""${aws:username}""#] {
            not_same(&with(operator, text), &with(operator, text).replace("2012", "2008"));
        }
    }
    assert!(undecided(&with("NumericEquals", r#""${aws:username}""#), &with("NumericEquals", r#""1""#)).contains("statement 1"));
}

#[test]
fn an_empty_text_may_count_as_no_value() {
    same(&on(r#""StringLike":{"a:k":"?*"}"#), &on(r#""StringLike":{"a:k":"?*"},"Null":{"a:k":"false"}"#));
    undecided(&on(r#""StringLike":{"a:k":"*"}"#), &on(r#""StringLike":{"a:k":"*"},"Null":{"a:k":"false"}"#));
    undecided(
        &on(r#""StringEquals":{"a:k":""},"ForAllValues:StringLike":{"a:k":"?"}"#),
        &on(r#""StringEquals":{"a:k":"x"},"StringLike":{"a:k":"y"},"ForAllValues:StringLike":{"a:k":["z","w"]}"#),
    );
}

#[test]
fn an_empty_text_may_be_null_and_a_number_or_a_date_all_the_same() {
    not_same(&on(r#""Null":{"a:k":true},"NumericLessThan":{"a:k":"1"}"#), &on(r#""Null":{"a:k":true},"NumericEquals":{"a:k":"1"}"#));
    not_same(&on(r#""Null":{"a:k":true},"StringEquals":{"a:k":""}"#), &on(r#""Null":{"a:k":true},"StringEquals":{"a:k":"x"}"#));
    same(&on(r#""Null":{"a:k":true},"StringEquals":{"a:k":"y"}"#), &on(r#""Null":{"a:k":true},"StringEquals":{"a:k":"x"}"#));
}

#[test]
fn conditions_on_a_deny_count_too() {
    same(&off(r#""StringNotEquals":{"a:k":"x"}"#), &off(r#""StringNotEqualsIfExists":{"a:k":["x"]}"#));
    let witness = differs(&off(r#""StringNotEquals":{"a:k":"x"}"#), &off(r#""StringNotEquals":{"a:k":["x","y"]}"#));
    assert_eq!(witness.to_string(), "`s3:GetObject` on `x` with `a:k` = `y`: denied explicitly before, allowed after");
    differs(&off(r#""StringEquals":{"a:k":"x"}"#), &off(r#""StringEquals":{"a:l":"x"}"#));
}

#[test]
fn parts_of_unknown_meaning_must_be_the_same_word_for_word() {
    let odd = |member: &str| statement("Allow", r#""s3:GetObject""#, r#""*""#, member);
    let (one, two) = (allow(r#"["s3:Get*","s3:GetObject"]"#, r#""*""#), allow(r#""s3:Get*""#, r#""*""#));
    for member in [
        r#","Principal":"*""#,
        r#","sid":"x""#,
        r#","Resource":"y""#,
        r#","NotResource":"y""#,
        r#","Condition":{"StringMatches":{"a:k":"x"}}"#,
        r#","Condition":{"stringEquals":{"a:k":"x"}}"#,
        r#","Condition":{"NullIfExists":{"a:k":"true"}}"#,
        r#","Condition":{"Null":{"a:k":["true","false"]}}"#,
        r#","Condition":{"StringEquals":{"a:k":[]}}"#,
        r#","Condition":{"StringEquals":{"a:k":"x","A:k":"x"}}"#,
        r#","Condition":{"StringEquals":{"a:k":"x"},"StringEquals":{"a:k":"y"}}"#,
        r#","Condition":{"StringEquals":{"a:k":null}}"#,
        r#","Condition":{"StringEquals":{"a:${aws:username}":"x"}}"#,
        r#","Condition":[]"#,
        r#","Sid":1"#,
    ] {
        let odd = odd(member);
        same(
            &policy(&format!("{one},{odd}")),
            &policy(&format!(
                "{},{two}",
                odd.replacen('{', r#"{"Sid":"a","#, 1).replace(
                    r#""Sid":"a","Effect":"Allow","Action":"s3:GetObject","Resource":"*","Sid":1"#,
                    r#""Effect":"Allow","Action":"s3:GetObject","Resource":"*","Sid":1"#
                )
            )),
        );
        let why = undecided(&policy(&format!("{one},{odd}")), &policy(&two));
        assert!(why.contains("statement 2"), "{why}");
        undecided(&policy(&format!("{one},{odd}")), &policy(&format!("{},{odd}", allow(r#""s3:Put*""#, r#""*""#))));
        undecided(&policy(&format!("{one},{odd},{odd}")), &policy(&format!("{two},{odd}")));
        let other = policy(&format!("{one},{odd}")).replace("2012", "2008");
        undecided(&other, &policy(&format!("{two},{odd}")));
    }
    let without = |statement: &str| undecided(&policy(statement), &policy(&one));
    assert!(without(r#"{"Effect":"Allow","Action":"s3:*"}"#).contains("neither `Resource` nor `NotResource`"));
    assert!(without(r#"{"Action":"s3:*","Resource":"*"}"#).contains("`Effect`"));
    assert!(without(r#"{"Effect":"allow","Action":"s3:*","Resource":"*"}"#).contains("`Effect`"));
    assert!(without(r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#).contains("`Action` is empty"));
    assert!(without(r#"{"Effect":"Allow","Action":"s3*","Resource":"*"}"#).contains("`s3*` is no action"));
    assert!(without(r#"{"Effect":"Allow","Action":"s3:*","Resource":1}"#).contains("`Resource`"));
    assert!(without("7").contains("no object"));
    let extra = |member: &str| policy(&one).replacen('{', &format!("{{{member},"), 1);
    same(&extra(r#""statement":1"#), &extra(r#""statement":1"#).replace("[\"s3:Get*\",\"s3:GetObject\"]", "\"s3:Get*\""));
    assert!(undecided(&extra(r#""statement":1"#), &policy(&one)).contains("`statement`"));
    assert!(undecided(&extra(r#""Id":1"#), &policy(&one)).contains("`Id`"));
    assert!(undecided(&extra(r#""Version":"2012-10-17""#), &policy(&one)).contains("repeated"));
    assert!(undecided(&extra(r#""Statement":[]"#), &policy(&one)).contains("repeated"));
    assert!(undecided(r#"{"Statement":[]}"#, &policy(&one)).contains("no statement"));
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    let good = policy(&allow(r#""s3:*""#, r#""*""#));
    assert_eq!(undecided("{\n  \"Version\": oops}", &good), "before: not JSON at line 2, column 14");
    let Comparison::Undecided(why) = compare(&good, "", Actions::Any) else { panic!("undecided") };
    assert_eq!(why, "after: not JSON at line 1, column 0");
    undecided("", "");
    assert!(undecided("{\"Id\":\n \"\\ud800\"}", &good).contains("surrogate pair at line 2, column 2"));
    assert!(undecided(&"[".repeat(100_000), &good).contains("not JSON"));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(undecided(&deep, &deep).contains("nested too deep"));
    assert!(undecided("[]", &good).contains("a policy is an object"));
    // One text is one meaning, known or not.
    same("{\"Statement\": [1, 2.50, \"\\\\\\\"\" ]}", "{\"Statement\":[1,2.50,\"\\u005c\\\"\"]}");
    assert!(undecided("{\"Statement\":[1,2.5]}", "{\"Statement\":[1,2.50]}").contains("statement 2"));
}

#[test]
fn too_much_to_compare_is_undecided_and_soon() {
    // Every order of twelve letters is a state of its own.
    let patterns: Vec<String> = ('a'..='l').map(|letter| format!("\"arn:aws:s3:::*{letter}*\"")).collect();
    let many = patterns.join(",");
    let with = |resources: &str| policy(&allow(r#""s3:*""#, &format!("[{resources}]")));
    let spread: Vec<String> = patterns.iter().enumerate().map(|(number, pattern)| allow(&format!("\"s3:A{number}\""), pattern)).collect();
    same(&with(&many), &with(&format!("{many},\"arn:aws:s3:::ab\"")));
    let long: Vec<String> = (0..14)
        .map(|turn| format!("\"arn:aws:s3:::*{}*{}*\"", ["a", "b", "ab"][turn % 3].repeat(turn + 1), "ba".repeat(15 - turn)))
        .collect();
    let long = long.join(",");
    assert!(undecided(&with(&long), &with(&format!("{long},\"x\""))).contains("too many combinations of resource patterns"));
    same(&policy(&spread.join(",")), &policy(&spread.iter().rev().cloned().collect::<Vec<_>>().join(",")));
}

#[test]
fn the_automaton_finds_the_sets_that_single_patterns_match() {
    let written = ["", "*", "a*", "*a", "?b*", "a*b*c", "ab:c", "*:*", "a?:", "A*", "**", "?", "a:*:c"];
    for colons in [Colons::Crossed, Colons::Kept, Colons::CrossedAtEnds] {
        for any_case in [false, true] {
            let manner = Manner { segments: 2, bare: true, any_case, colons };
            let patterns: Vec<Vec<Token>> = written.iter().map(|text| tokens(&read(text, true, false).unwrap(), manner)).collect();
            let classes = automaton::classes(&patterns, "patterns").unwrap();
            for class in &classes {
                let matched: Vec<usize> = (0..patterns.len()).filter(|&number| matches(&patterns[number], &class.example)).collect();
                assert_eq!(matched, class.matched, "{}", class.example);
            }
            // Every short text is of a class.
            let mut texts = vec![String::new()];
            for length in 0..5 {
                let longer: Vec<String> = texts
                    .iter()
                    .filter(|text| text.len() == length)
                    .flat_map(|text| "abcAz:".chars().map(move |c| format!("{text}{c}")))
                    .collect();
                texts.extend(longer);
            }
            for text in texts {
                let matched: Vec<usize> = (0..patterns.len()).filter(|&number| matches(&patterns[number], &text)).collect();
                assert!(classes.iter().any(|class| class.matched == matched), "`{text}`");
            }
        }
    }
}
