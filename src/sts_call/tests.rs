use serde_json::{Value, json};

use super::*;

/// A record with the fields every management event has; `with` is laid over it.
fn record(with: Value) -> String {
    let mut record = json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": "AROAEXAMPLE:jane",
            "arn": "arn:aws:sts::111122223333:assumed-role/vendor/jane",
            "accountId": "111122223333",
            "sessionContext": { "sessionIssuer": { "type": "Role", "arn": "arn:aws:iam::111122223333:role/path/vendor" } }
        },
        "eventTime": "2026-09-20T10:00:00Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "awsRegion": "eu-west-1",
        "requestParameters": { "roleArn": "arn:aws:iam::444455556666:role/etl", "roleSessionName": "jane" },
        "responseElements": { "credentials": { "sessionToken": "x".repeat(1000) } },
        "eventID": "73f2922c-c39f-7c69-9c9c-3e1e72e95e0e",
        "recipientAccountId": "444455556666"
    });
    lay_over(&mut record, with);
    record.to_string()
}

fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

fn call_of(with: Value) -> StsCall<'static> {
    parse(&record(with)).unwrap().unwrap().into_owned()
}

#[test]
fn every_operation_that_gives_a_session_is_a_call_and_no_other_is() {
    for operation in Operation::ALL {
        assert_eq!(call_of(json!({ "eventName": operation.name() })).session.operation, operation);
    }
    for other in ["GetCallerIdentity", "DecodeAuthorizationMessage", "assumerole", ""] {
        assert!(parse(&record(json!({ "eventName": other }))).unwrap().is_none());
    }
    assert!(parse(&record(json!({ "eventCategory": "Insight" }))).unwrap().is_none());
    assert!(parse(&record(json!({ "eventCategory": "Management" }))).unwrap().is_some());
    assert!(parse(&record(json!({ "eventSource": "s3.amazonaws.com" }))).unwrap().is_none());
    assert!(parse(&record(json!({ "eventSource": "sts.amazonaws.com.cn" }))).unwrap().is_some());
}

#[test]
fn a_whole_record_nested_in_parameters_is_not_a_call() {
    let inner: Value = serde_json::from_str(&record(json!({}))).unwrap();
    let outer = record(json!({
        "eventSource": "lambda.amazonaws.com",
        "eventName": "Invoke",
        "requestParameters": { "payload": inner, "key": "\"eventName\":\"AssumeRole\"" }
    }));
    assert!(parse(&outer).unwrap().is_none());
}

#[test]
fn only_the_length_of_the_token_is_kept_and_a_redacted_one_has_none() {
    assert_eq!(call_of(json!({})).session_token_bytes, Some(1000));
    assert_eq!(
        call_of(json!({ "responseElements": { "credentials": { "sessionToken": "FwoGZXIvYXdzE...." } } })).session_token_bytes,
        None
    );
    assert_eq!(call_of(json!({ "responseElements": { "credentials": null } })).session_token_bytes, None);
    assert_eq!(call_of(json!({ "responseElements": { "sessionTokenSize": 752 } })).session_token_bytes, Some(752));
}

#[test]
fn the_regime_shows_in_the_fields_of_a_granted_call() {
    assert_eq!(call_of(json!({})).regime, Some(Regime::PackedPolicy));
    let old = call_of(json!({ "responseElements": { "packedPolicySize": 91 } }));
    assert_eq!((old.regime, old.observed_percent), (Some(Regime::PackedPolicy), Some(91.0)));
    let new = call_of(json!({ "responseElements": { "packedPolicySize": 19, "sessionTokenSize": 800, "sessionTokenUtilization": 19 } }));
    assert_eq!((new.regime, new.observed_percent, new.session_token_bytes), (Some(Regime::SessionToken), Some(19.0), Some(800)));
    let bare = call_of(json!({ "responseElements": { "sessionTokenUtilization": 7 } }));
    assert_eq!((bare.regime, bare.observed_percent), (Some(Regime::SessionToken), Some(7.0)));
}

#[test]
fn both_error_codes_and_the_three_messages_are_understood() {
    for code in ["PackedPolicyTooLargeException", "PackedPolicyTooLarge"] {
        for (message, percent) in [
            ("Packed policy consumes 118% of allotted space, please use smaller policy.", Some(118.0)),
            ("Packed size of session tags consumes 498% of allotted space.", Some(498.0)),
            ("Serialized token too large for session", None),
        ] {
            let call = call_of(json!({ "errorCode": code, "errorMessage": message, "responseElements": null }));
            assert_eq!((call.outcome, call.observed_percent, call.regime), (Outcome::RefusedForSize, percent, None));
            assert_eq!(call.error_code.as_deref(), Some(code));
        }
    }
}

#[test]
fn a_refusal_without_parameters_keeps_what_is_known() {
    let call =
        call_of(json!({ "errorCode": "AccessDenied", "errorMessage": "consumes 3%", "requestParameters": null, "responseElements": null }));
    assert_eq!(call.outcome, Outcome::RefusedOtherwise);
    assert_eq!((call.role_arn, call.request, call.observed_percent, call.policy_chars), (None, None, None, None));
    let named = call_of(json!({
        "errorCode": "AccessDenied", "requestParameters": null,
        "resources": [{ "accountId": "444455556666", "type": "AWS::IAM::Role", "ARN": "arn:aws:iam::444455556666:role/etl" }]
    }));
    assert_eq!(named.role_arn.as_deref(), Some("arn:aws:iam::444455556666:role/etl"));
}

#[test]
fn tags_are_read_as_list_and_as_object_in_either_order_of_key_and_value() {
    let request = call_of(json!({ "requestParameters": {
        "tags": [{ "value": "1", "key": "a" }, { "key": "b", "value": "2" }],
        "incomingTransitiveTags": { "c": "3" },
        "policyArns": [{ "arn": "arn:aws:iam::aws:policy/ReadOnlyAccess" }],
        "policy": "{ \"Version\": \"2012-10-17\" }"
    } }))
    .request
    .unwrap();
    assert_eq!(request.tags, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    assert_eq!(request.inherited_tags, [("c".to_owned(), "3".to_owned())]);
    assert_eq!(request.policy_arns, ["arn:aws:iam::aws:policy/ReadOnlyAccess"]);
    assert_eq!(request.policy.as_deref(), Some("{ \"Version\": \"2012-10-17\" }"));

    let web = call_of(json!({ "requestParameters": { "principalTags": { "actor": "x" }, "tags": [] } })).request.unwrap();
    assert_eq!(web.tags, [("actor".to_owned(), "x".to_owned())]);
}

#[test]
fn the_caller_is_the_principal_behind_the_session() {
    let caller = |identity: Value| {
        let mut value: Value = serde_json::from_str(&record(json!({}))).unwrap();
        value["userIdentity"] = identity;
        parse(&value.to_string()).unwrap().unwrap().into_owned().caller.map(std::borrow::Cow::into_owned)
    };
    for (identity, expected) in [
        (
            json!({ "type": "AssumedRole", "arn": "arn:aws-cn:sts::111122223333:assumed-role/vendor/jane" }),
            "arn:aws-cn:iam::111122223333:role/vendor",
        ),
        (
            json!({ "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/bob", "principalId": "AIDAEXAMPLE" }),
            "arn:aws:iam::111122223333:user/bob",
        ),
        (
            json!({ "type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/jane",
                    "sessionContext": { "sessionIssuer": { "arn": "arn:aws:iam::111122223333:user/broker" } } }),
            "arn:aws:iam::111122223333:user/broker",
        ),
        (
            json!({ "type": "WebIdentityUser", "principalId": "x:y:z", "identityProvider": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com" }),
            "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com",
        ),
        (json!({ "type": "AWSService", "invokedBy": "pods.eks.amazonaws.com" }), "pods.eks.amazonaws.com"),
        (json!({ "type": "AWSAccount", "principalId": "AROAEXAMPLE:jane", "accountId": "111122223333" }), "AROAEXAMPLE"),
        (json!({ "type": "AWSAccount", "accountId": "111122223333" }), "111122223333"),
        (json!({ "type": "Root", "accountId": "111122223333" }), "arn:aws:iam::111122223333:root"),
        (
            json!({ "type": "AWSService", "arn": "arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForX/hidden" }),
            "arn:aws:iam::111122223333:role/AWSServiceRoleForX",
        ),
        (
            json!({ "type": "IdentityCenterUser", "arn": "arn:aws:sts::111122223333:assumed-role/sso/hidden" }),
            "arn:aws:iam::111122223333:role/sso",
        ),
        (
            json!({ "type": "AssumedRole", "principalId": "AROAEXAMPLE:hidden", "sessionContext": { "sessionIssuer": { "arn": "" } } }),
            "AROAEXAMPLE",
        ),
        (json!({ "type": "Unknown", "principalId": "AROAEXAMPLE:jane" }), "AROAEXAMPLE"),
        (
            json!({ "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:Cassumed-role/vendor/hidden", "principalId": "AROAEXAMPLE:hidden" }),
            "AROAEXAMPLE",
        ),
        (json!({ "type": "Unknown", "arn": "arn:aws:sts::111122223333:session/hidden", "accountId": "111122223333" }), "111122223333"),
        (
            json!({ "type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/jane" }),
            "arn:aws:sts::111122223333:federated-user/jane",
        ),
    ] {
        assert_eq!(caller(identity.clone()).as_deref(), Some(expected), "{identity}");
    }
    let saml = call_of(json!({
        "userIdentity": { "type": "SAMLUser", "identityProvider": "https://idp.example" },
        "requestParameters": { "principalArn": "arn:aws:iam::111122223333:saml-provider/corp" }
    }));
    assert_eq!(saml.caller.as_deref(), Some("arn:aws:iam::111122223333:saml-provider/corp"));
}

#[test]
fn escapes_unusual_types_and_repeated_keys_are_read() {
    let text =
        record(json!({})).replace("\"eventSource\"", "\"event\\u0053ource\"").replace("sts.amazonaws.com", "\\u0073ts.amazonaws\\u002ecom");
    assert!(parse(&text).unwrap().is_some());
    let odd = call_of(
        json!({ "requestParameters": { "tags": "none", "policy": 7, "policyArns": {} }, "responseElements": { "packedPolicySize": "12" } }),
    );
    assert_eq!(odd.request.unwrap(), Request::default());
    assert_eq!(odd.observed_percent, Some(12.0));
    let twice = record(json!({})).replacen('{', "{\"eventName\":\"GetCallerIdentity\",", 1);
    assert!(parse(&twice).unwrap().is_some(), "the last of two equal keys counts");
    let inside = record(json!({ "responseElements": { "packedPolicySize": 12 } }))
        .replace("\"roleArn\":", "\"roleArn\":\"first\",\"roleArn\":")
        .replace("\"packedPolicySize\":", "\"packedPolicySize\":1,\"packedPolicySize\":")
        .replace("\"type\":\"AssumedRole\"", "\"type\":\"Root\",\"type\":\"AssumedRole\"");
    let call = parse(&inside).unwrap().unwrap();
    assert_eq!(call.role_arn.as_deref(), Some("arn:aws:iam::444455556666:role/etl"));
    assert_eq!(
        (call.observed_percent, call.session.caller_kind, call.damaged),
        (Some(12.0), crate::packing::CallerKind::AssumedRole, false)
    );
}

#[test]
fn a_part_that_cannot_be_read_is_absent_and_marks_the_call() {
    let text = record(json!({ "requestParameters": { "tags": [{ "key": "a", "value": "LONE" }] } })).replace("LONE", "\\ud800");
    let call = parse(&text).unwrap().unwrap();
    assert!(call.damaged);
    assert_eq!(call.request.unwrap().tags, []);
    assert_eq!(call.role_arn.as_deref(), Some("arn:aws:iam::444455556666:role/etl"));
    let odd = call_of(json!({ "requestParameters": { "tags": [5, { "key": "a", "value": "b" }, null] } }));
    assert_eq!((odd.request.unwrap().tags, odd.damaged), (vec![("a".to_owned(), "b".to_owned())], false));
}

#[test]
fn an_addendum_that_updates_names_the_record_it_replaces() {
    let updates =
        call_of(json!({ "addendum": { "reason": "UPDATED_DATA", "updatedFields": "requestParameters", "originalEventID": "e-1" } }));
    assert_eq!(updates.updates_event_id.as_deref(), Some("e-1"));
    let late = call_of(json!({ "addendum": { "reason": "DELIVERY_DELAY", "originalEventID": "e-1" } }));
    assert_eq!(late.updates_event_id, None);
}

#[test]
fn an_error_says_where_but_never_quotes_the_record() {
    let broken = record(json!({})).replace("\"recipientAccountId\"", "recipientAccountId");
    let message = parse(&broken).unwrap_err().to_string();
    assert!(message.starts_with("record is no valid JSON: syntax error at line 1 column"), "{message}");
    assert!(!message.contains("xxx"));
    assert!(matches!(parse(&record(json!({ "eventTime": "soon" }))), Err(CallError::Time)));
}
