//! What a record tells of its call, against a plain reader that takes each field from a whole `serde_json::Value` by the letter of the rules.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "plain/calls.rs"]
mod plain;
mod programs;

use packtrail::packing::{CallerKind, Operation};
use packtrail::sts_call;
use plain::{HIDDEN, Told, sorted, told};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Parses `text`, which is JSON, both ways and compares all that the rules say.
fn compare(text: &str) -> Result<(), TestCaseError> {
    let caller = plain::compare(text).map_err(TestCaseError::fail)?;
    prop_assert!(caller.is_none_or(|caller| !caller.contains(HIDDEN)), "a session's name is shown: {text}");
    Ok(())
}

// Records.

type Fields = Vec<(&'static str, BoxedStrategy<Option<Value>>)>;

/// A field that is there so often, of these values.
fn field(name: &'static str, often: f64, values: impl Strategy<Value = Value> + 'static) -> (&'static str, BoxedStrategy<Option<Value>>) {
    (name, if often < 1.0 { prop::option::weighted(often, values).boxed() } else { values.prop_map(Some).boxed() })
}

fn one_of(values: &[&'static str]) -> BoxedStrategy<Value> {
    select(values.to_vec()).prop_map(Value::from).boxed()
}

/// An object of those fields that are there, in any order.
fn object(fields: Fields) -> BoxedStrategy<Value> {
    let (names, values): (Vec<&'static str>, Vec<BoxedStrategy<Option<Value>>>) = fields.into_iter().unzip();
    (values, any::<prop::sample::Index>())
        .prop_map(move |(values, first)| {
            let mut there: Vec<(String, Value)> =
                names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?))).collect();
            if !there.is_empty() {
                let first = first.index(there.len());
                there.rotate_left(first);
            }
            Value::Object(Map::from_iter(there))
        })
        .boxed()
}

fn short_text() -> BoxedStrategy<String> {
    prop::string::string_regex("[a-zA-Z0-9 ._:/=+@é\"\\\\\u{1F600}-]{0,12}").unwrap().boxed()
}

/// Tags in both shapes.
fn any_tags() -> BoxedStrategy<Value> {
    let pairs = || prop::collection::vec((short_text().prop_map(|key| format!("{key}k")), short_text(), any::<bool>()), 0..4);
    let list = pairs().prop_map(|pairs| {
        let tag = |(key, value, key_first)| {
            if key_first { json!({ "key": key, "value": value }) } else { json!({ "value": value, "key": key }) }
        };
        Value::Array(pairs.into_iter().map(tag).collect())
    });
    let object = pairs().prop_map(|pairs| Value::Object(pairs.into_iter().map(|(key, value, _)| (key, Value::from(value))).collect()));
    prop_oneof![list, object].boxed()
}

/// A count as a number or as a text.
fn any_count(below: u32) -> BoxedStrategy<Value> {
    prop_oneof![4 => (0..below).prop_map(Value::from), 1 => (0..below).prop_map(|count| Value::from(count.to_string()))].boxed()
}

fn any_identity() -> BoxedStrategy<Value> {
    let kinds: Vec<&'static str> = CallerKind::ALL.map(CallerKind::name).into_iter().chain(["SomethingNew", "iamuser"]).collect();
    (prop::option::weighted(0.95, select(kinds)), select(vec!["aws", "aws-cn", "aws-us-gov"]))
        .prop_flat_map(|(kind, partition)| {
            let arn = match kind {
                Some("IAMUser") => format!("arn:{partition}:iam::111122223333:user/team/jane"),
                Some("FederatedUser") => format!("arn:{partition}:sts::111122223333:federated-user/broker"),
                Some("Root") => format!("arn:{partition}:iam::111122223333:root"),
                _ => format!("arn:{partition}:sts::111122223333:assumed-role/vendor/{HIDDEN}"),
            };
            let issuer = format!("arn:{partition}:iam::111122223333:role/path/vendor");
            let context = object(vec![
                field("attributes", 0.5, Just(json!({ "mfaAuthenticated": "false", "arn": "no" }))),
                field(
                    "sessionIssuer",
                    0.8,
                    object(vec![field("type", 0.9, one_of(&["Role", "IAMUser"])), field("arn", 0.8, Just(Value::from(issuer)))]),
                ),
            ]);
            object(vec![
                field("type", 1.0, Just(kind.map_or(Value::Null, Value::from))),
                field("principalId", 0.7, Just(Value::from(format!("AROAEXAMPLE:{HIDDEN}")))),
                field("arn", 0.7, Just(Value::from(arn))),
                field("accountId", 0.7, one_of(&["111122223333"])),
                field(
                    "identityProvider",
                    0.5,
                    one_of(&["arn:aws:iam::111122223333:oidc-provider/ci.example", "cognito-identity.amazonaws.com"]),
                ),
                field("invokedBy", 0.3, one_of(&["pods.eks.amazonaws.com", "ec2.amazonaws.com"])),
                field("sessionContext", 0.6, prop_oneof![4 => context, 1 => Just(Value::Null)]),
                field("onBehalfOf", 0.2, Just(json!({ "userId": "94482488-3041-7051", "identityStoreArn": "arn:x" }))),
            ])
        })
        .boxed()
}

fn any_parameters() -> BoxedStrategy<Value> {
    let arns = prop::collection::vec(one_of(&["arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::111122223333:policy/p"]), 0..3)
        .prop_map(|arns| Value::Array(arns.into_iter().map(|arn| json!({ "arn": arn })).collect()));
    let policies = one_of(&["{\n  \"Version\": \"2012-10-17\", \"Statement\": []\n}", "{\"Version\":\"2012-10-17\"}", "größe"]);
    object(vec![
        field("roleArn", 0.8, one_of(&["arn:aws:iam::444455556666:role/etl", "arn:aws-cn:iam::444455556666:role/aws-service-role/x/Y"])),
        field("roleSessionName", 0.8, one_of(&[HIDDEN, "ab"])),
        field("name", 0.2, one_of(&["bob", "größe"])),
        field("sourceIdentity", 0.3, one_of(&["jane@example.com"])),
        field("principalArn", 0.4, one_of(&["arn:aws:iam::111122223333:saml-provider/corp"])),
        field("durationSeconds", 0.5, Just(json!(3600))),
        field("policy", 0.4, policies),
        field("policyArns", 0.4, arns),
        field("tags", 0.5, any_tags()),
        field("principalTags", 0.3, any_tags()),
        field("incomingTransitiveTags", 0.3, any_tags()),
        field("minimumSessionTokenSize", 0.2, any_count(4097)),
        field("transitiveTagKeys", 0.2, Just(json!(["team"]))),
    ])
}

fn any_response() -> BoxedStrategy<Value> {
    let token = select(vec![0_usize, 30, 199, 200, 752, 1400]).prop_map(|length| Value::from("t".repeat(length)));
    let credentials = object(vec![
        field("accessKeyId", 0.8, one_of(&["ASIAEXAMPLE"])),
        field("sessionToken", 0.8, token),
        field("expiration", 0.8, one_of(&["Sep 20, 2026, 11:00:00 AM", "Sep 20, 2026 11:00:00 AM"])),
    ]);
    object(vec![
        field("packedPolicySize", 0.5, any_count(101)),
        field("sessionTokenSize", 0.3, any_count(4097)),
        field("sessionTokenUtilization", 0.3, any_count(101)),
        field("credentials", 0.8, prop_oneof![9 => credentials, 1 => Just(Value::Null)]),
        field("assumedRoleUser", 0.5, Just(json!({ "arn": "arn:aws:sts::444455556666:assumed-role/etl/x", "packedPolicySize": 99 }))),
    ])
}

fn any_record() -> BoxedStrategy<Value> {
    let names: Vec<&'static str> = Operation::ALL.map(Operation::name).into_iter().chain(["GetCallerIdentity"]).collect();
    let or_null = |values: BoxedStrategy<Value>| prop_oneof![5 => values, 1 => Just(Value::Null)];
    object(vec![
        field("eventVersion", 1.0, one_of(&["1.08", "1.11"])),
        field(
            "eventSource",
            1.0,
            prop_oneof![9 => Just(json!("sts.amazonaws.com")), 1 => one_of(&["sts.amazonaws.com.cn", "s3.amazonaws.com"])],
        ),
        field("eventName", 1.0, one_of(&names)),
        field("eventCategory", 0.7, prop_oneof![9 => Just(json!("Management")), 1 => Just(json!("Insight"))]),
        field("eventTime", 1.0, one_of(&["2026-09-20T10:00:00Z", "1969-12-31T23:59:59Z", "2026-09-20T10:00:00.5+02:00"])),
        field("eventID", 0.9, one_of(&["73f2922c-c39f-7c69-9c9c-3e1e72e95e0e", "e-1"])),
        field("sharedEventID", 0.4, one_of(&["11112222-3333-4444-5555-666677778888", "s-1"])),
        field("awsRegion", 0.9, one_of(&["eu-west-1", "us-east-1"])),
        field("recipientAccountId", 0.9, one_of(&["444455556666", "111122223333"])),
        field("errorCode", 0.4, one_of(&["PackedPolicyTooLargeException", "PackedPolicyTooLarge", "AccessDenied", "ValidationError"])),
        field(
            "errorMessage",
            0.5,
            one_of(&[
                "Packed policy consumes 118% of allotted space, please use smaller policy.",
                "Packed size of session tags consumes 498% of allotted space.",
                "Serialized token too large for session",
            ]),
        ),
        field("userIdentity", 0.9, or_null(any_identity())),
        field("requestParameters", 0.9, or_null(any_parameters())),
        field("responseElements", 0.9, or_null(any_response())),
        field(
            "resources",
            0.4,
            Just(json!([
                { "ARN": "arn:aws:iam::444455556666:policy/p", "accountId": "444455556666" },
                { "accountId": "444455556666", "type": "AWS::IAM::Role", "ARN": "arn:aws:iam::444455556666:role/among" }
            ])),
        ),
        field(
            "addendum",
            0.2,
            object(vec![
                field("reason", 0.9, one_of(&["UPDATED_DATA", "DELIVERY_DELAY"])),
                field("originalEventID", 0.9, one_of(&["e-0"])),
            ]),
        ),
        field("additionalEventData", 0.3, Just(json!({ "eventName": "AssumeRole", "eventSource": "sts.amazonaws.com", "eventID": "no" }))),
    ])
}

/// Every place in `value` that holds an object member, as a path.
fn members(value: &Value, under: &[String], found: &mut Vec<Vec<String>>) {
    let mut visit = |key: String, value: &Value, is_member: bool| {
        let path = [under, &[key]].concat();
        if is_member {
            found.push(path.clone());
        }
        members(value, &path, found);
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| visit(key.clone(), value, true)),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| visit(at.to_string(), value, false)),
        _ => {}
    }
}

fn at<'a>(value: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(value, |value, key| match value {
        Value::Object(object) => object.get_mut(key).unwrap(),
        Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
        _ => unreachable!(),
    })
}

/// A value of any type that a field may hold by mistake; numbers only where no number is meant.
fn odd_value() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!({})),
        Just(json!([])),
        Just(json!(["text"])),
        Just(json!(["text", "text", "text", "text", "text", "text", "text"])),
        Just(json!([["text"], { "key": "k", "value": "v", "arn": "a" }, { "ARN": "arn:aws:iam::444455556666:role/odd" }, null, 5])),
        Just(json!({ "key": { "key": [] }, "value": "v", "arn": {}, "type": [1] })),
    ]
    .boxed()
}

/// What a record must have to be an STS call at all.
const NEEDED: [&str; 4] = ["eventSource", "eventName", "eventTime", "eventCategory"];

/// How to write a value as JSON: which characters to escape, which members to write twice.
struct Writer<'a> {
    /// Consumed one bit at a time, over and over.
    bits: &'a [bool],
    next: usize,
    escapes: bool,
    repeats: bool,
    white_space: bool,
}

impl Writer<'_> {
    fn flip(&mut self) -> bool {
        self.next += 1;
        self.bits[self.next % self.bits.len()]
    }

    fn text(&mut self, text: &str, out: &mut String) {
        if !(self.escapes && self.flip()) {
            out.push_str(&Value::from(text).to_string());
            return;
        }
        out.push('"');
        for character in text.chars() {
            if character.is_control() || matches!(character, '"' | '\\') || self.flip() {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            } else {
                out.push(character);
            }
        }
        out.push('"');
    }

    fn value(&mut self, value: &Value, out: &mut String) {
        match value {
            Value::String(text) => self.text(text, out),
            Value::Array(list) => {
                out.push('[');
                for (at, value) in list.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    self.value(value, out);
                }
                out.push(']');
            }
            Value::Object(object) => {
                out.push('{');
                for (at, (key, value)) in object.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    // An earlier member of the same key means nothing.
                    if self.repeats && self.flip() && self.flip() {
                        self.text(key, out);
                        out.push_str(if self.flip() { ":\"earlier\"," } else { ":{\"arn\":\"earlier\",\"arn\":7}," });
                    }
                    if self.white_space && self.flip() {
                        out.push_str("\n\t ");
                    }
                    self.text(key, out);
                    out.push_str(if self.white_space && self.flip() { " :\r\n" } else { ":" });
                    self.value(value, out);
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }
}

fn write(record: &Value, bits: &[bool], escapes: bool, repeats: bool, white_space: bool) -> String {
    let mut text = String::new();
    Writer { bits, next: 0, escapes, repeats, white_space }.value(record, &mut text);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *record, "written as meant");
    text
}

fn bits() -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(any::<bool>(), 61)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_record_is_read_as_the_plain_reader_reads_it(record in any_record()) {
        compare(&record.to_string())?;
    }

    #[test]
    fn white_space_and_escapes_change_nothing(record in any_record(), bits in bits()) {
        compare(&write(&record, &bits, true, false, true))?;
    }

    #[test]
    fn of_a_repeated_key_the_last_counts_at_every_level(record in any_record(), bits in bits()) {
        compare(&write(&record, &bits, false, true, false))?;
    }

    #[test]
    fn repeated_keys_escapes_and_white_space_together_change_nothing(record in any_record(), bits in bits()) {
        compare(&write(&record, &bits, true, true, true))?;
    }

    #[test]
    fn any_record_that_a_program_writes_is_read_as_the_plain_reader_reads_it(program in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8(programs::calls::record(&program, false)).unwrap();
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        let caller = plain::hold(&text).map_err(TestCaseError::fail)?;
        prop_assert!(caller.is_none_or(|caller| !caller.contains(HIDDEN)), "a session's name is shown: {}", text);
    }

    #[test]
    fn a_field_of_another_type_is_absent_and_takes_no_other_with_it(record in any_record(), odd in odd_value(), place in any::<prop::sample::Index>()) {
        let mut places = Vec::new();
        members(&record, &[], &mut places);
        places.retain(|path| !NEEDED.contains(&path[0].as_str()));
        let mut record = record;
        *at(&mut record, &places[place.index(places.len())]) = odd;
        compare(&record.to_string())?;
    }

    #[test]
    fn an_odd_element_of_a_list_takes_no_other_with_it(record in any_record(), odd in odd_value(), list in select(vec!["tags", "principalTags", "incomingTransitiveTags", "policyArns", "resources"]), first in any::<bool>()) {
        let mut record = record;
        let owner = if list == "resources" { Some(&mut record) } else { record.get_mut("requestParameters") };
        if let Some(Value::Array(list)) = owner.and_then(|owner| owner.get_mut(list)) {
            list.insert(if first { 0 } else { list.len() }, odd);
        }
        compare(&record.to_string())?;
    }

    #[test]
    fn a_part_that_cannot_be_read_costs_that_part_and_marks_the_call(
        record in any_record(),
        part in select(vec!["userIdentity", "requestParameters", "responseElements", "addendum"]),
    ) {
        // Half of a surrogate pair is no text: no reader of JSON can give the object that holds it.
        let mut without = record.clone();
        without.as_object_mut().unwrap().remove(part);
        let expected = plain::call(&without).map(|expected| Told { answered: record["responseElements"].is_object() || part == "responseElements", ..expected });
        let mut broken = record;
        broken[part] = match part {
            "userIdentity" => json!({ "type": "LONE", "arn": "arn:aws:iam::111122223333:user/jane" }),
            "requestParameters" => json!({ "policy": "{}", "roleArn": "LONE" }),
            "responseElements" => json!({ "credentials": { "sessionToken": "LONE" } }),
            _ => json!({ "reason": "LONE", "originalEventID": "e-0" }),
        };
        let text = broken.to_string().replace("LONE", "\\ud83d");
        prop_assert!(serde_json::from_str::<Value>(&text).is_err());
        let call = sts_call::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(call.is_some(), expected.is_some());
        if let (Some(call), Some(expected)) = (call, expected) {
            prop_assert!(call.damaged);
            prop_assert_eq!(told(&call), expected);
        }
    }

    #[test]
    fn no_text_makes_the_reader_fail_other_than_by_an_error(record in any_record(), cut in any::<prop::sample::Index>(), junk in short_text()) {
        let text = record.to_string();
        let cut = (0..=cut.index(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap();
        prop_assert!(sts_call::parse(&text[..cut]).is_err());
        let _ = sts_call::parse(&format!("{}{junk}{}", &text[..cut], &text[cut..]));
    }
}

/// A record with every field that is read, granted or refused.
fn full_record(operation: &str, refused: bool) -> Value {
    let mut record = json!({
        "eventSource": "sts.amazonaws.com",
        "eventName": operation,
        "eventCategory": "Management",
        "eventTime": "2026-09-20T10:00:00Z",
        "eventID": "e-1",
        "sharedEventID": "s-1",
        "awsRegion": "eu-west-1",
        "recipientAccountId": "444455556666",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": format!("AROAEXAMPLE:{HIDDEN}"),
            "arn": format!("arn:aws:sts::111122223333:assumed-role/vendor/{HIDDEN}"),
            "accountId": "111122223333",
            "sessionContext": { "sessionIssuer": { "type": "Role", "arn": "arn:aws:iam::111122223333:role/path/vendor" } }
        },
        "requestParameters": {
            "roleArn": "arn:aws:iam::444455556666:role/etl",
            "roleSessionName": HIDDEN,
            "sourceIdentity": "jane",
            "policy": "{}",
            "policyArns": [{ "arn": "arn:aws:iam::aws:policy/ReadOnlyAccess" }, { "arn": "arn:aws:iam::aws:policy/Other" }],
            "tags": [{ "key": "a", "value": "1" }, { "key": "b", "value": "2" }],
            "principalTags": { "c": "3", "d": "4" },
            "incomingTransitiveTags": { "e": "5", "f": "6" },
            "minimumSessionTokenSize": 1024
        },
        "resources": [{ "ARN": "arn:aws:iam::444455556666:policy/p" }, { "ARN": "arn:aws:iam::444455556666:role/among" }],
        "addendum": { "reason": "UPDATED_DATA", "originalEventID": "e-0" }
    });
    if refused {
        record["errorCode"] = json!("PackedPolicyTooLarge");
        record["errorMessage"] = json!("Packed policy consumes 118% of allotted space, please use smaller policy.");
    } else {
        record["responseElements"] = json!({ "packedPolicySize": 25, "sessionTokenUtilization": 25, "sessionTokenSize": 1024, "credentials": { "sessionToken": "t".repeat(1024) } });
    }
    record
}

/// Every member of a full record in turn is `odd`: the places where that is read otherwise than by the plain reader.
fn misread(odd: &Value) -> Vec<String> {
    let mut misread = Vec::new();
    for (operation, refused) in [("AssumeRole", false), ("AssumeRole", true), ("GetFederationToken", false)] {
        let record = full_record(operation, refused);
        let mut places = Vec::new();
        members(&record, &[], &mut places);
        for path in places {
            if NEEDED.contains(&path[0].as_str()) {
                continue;
            }
            let mut record = record.clone();
            *at(&mut record, &path) = odd.clone();
            if compare(&record.to_string()).is_err() {
                misread.push(path.join("."));
            }
        }
    }
    misread.sort();
    misread.dedup();
    misread
}

#[test]
fn an_empty_text_is_absent_wherever_it_stands() {
    // But for the keys and values of tags: the value of a tag may be empty.
    assert_eq!(misread(&json!("")), Vec::<String>::new());
}

#[test]
fn a_value_of_another_type_is_absent_wherever_it_stands() {
    let odd = [
        json!(null),
        json!(true),
        json!({}),
        json!([]),
        json!(["text"]),
        json!(["text", "text", "text", "text", "text", "text", "text", "text"]),
        json!([["text"], { "key": "k", "value": "v", "arn": "a" }, { "ARN": "arn:aws:iam::444455556666:role/odd" }, null, 5]),
        json!({ "key": { "key": [] }, "value": "v", "ARN": [], "type": [1] }),
    ];
    let misread: Vec<(String, Vec<String>)> =
        odd.iter().map(|odd| (odd.to_string(), misread(odd))).filter(|(_, places)| !places.is_empty()).collect();
    assert!(misread.is_empty(), "{misread:#?}");
}

/// An STS call with these parameters, as text.
fn with_parameters(parameters: &str) -> String {
    format!(
        r#"{{"eventSource":"sts.amazonaws.com","eventName":"AssumeRole","eventTime":"2026-09-20T10:00:00Z","requestParameters":{parameters}}}"#
    )
}

#[test]
fn a_broken_escape_in_one_tag_marks_the_call_and_leaves_the_role() {
    let text = with_parameters(r#"{"roleArn":"arn:aws:iam::444455556666:role/etl","tags":[{"key":"a","value":"\ud83d"}]}"#);
    let call = sts_call::parse(&text).unwrap().unwrap();
    assert!(call.damaged);
    assert_eq!(call.role_arn.as_deref(), Some("arn:aws:iam::444455556666:role/etl"));
}

#[test]
fn a_broken_escape_beside_a_repeated_key_loses_no_call() {
    let text = with_parameters(r#"{"roleArn":"x","roleArn":"arn:aws:iam::444455556666:role/etl","tags":[{"key":"a","value":"\ud83d"}]}"#);
    let call = sts_call::parse(&text).unwrap().unwrap();
    assert!(call.damaged);
}

#[test]
fn a_broken_escape_where_nothing_is_read_changes_nothing() {
    let whole = with_parameters(r#"{"roleArn":"arn:aws:iam::444455556666:role/etl"}"#);
    let broken = whole.replacen('{', r#"{"userAgent":"\ud83d","#, 1);
    let call = sts_call::parse(&broken).unwrap().unwrap();
    assert_eq!(told(&call), told(&sts_call::parse(&whole).unwrap().unwrap()));
}

#[test]
fn a_number_as_text_may_be_escaped() {
    let plain = sts_call::parse(&with_parameters(r#"{"minimumSessionTokenSize":"1024"}"#)).unwrap().unwrap().session;
    let escaped = sts_call::parse(&with_parameters(r#"{"minimumSessionTokenSize":"\u0031024"}"#)).unwrap().unwrap().session;
    assert_eq!((plain.minimum_token_bytes, escaped.minimum_token_bytes), (Some(1024), Some(1024)));
}

#[test]
fn of_a_repeated_tag_the_last_counts() {
    for name in ["tags", "principalTags"] {
        let text = with_parameters(&format!(r#"{{"{name}":{{"a":"1","b":"2","a":"3"}}}}"#));
        let tags = sts_call::parse(&text).unwrap().unwrap().request.unwrap().tags;
        assert_eq!(sorted(tags), [("a".to_owned(), "3".to_owned()), ("b".to_owned(), "2".to_owned())], "{name}");
    }
}

#[test]
fn a_list_is_no_object() {
    for parameters in [r#"["arn:aws:iam::444455556666:role/etl","name"]"#, r#"[]"#, r#""text""#, "5", "null"] {
        let text = with_parameters(parameters);
        let call = sts_call::parse(&text).unwrap().unwrap();
        assert_eq!((call.role_arn, call.request, call.damaged), (None, None, false), "{parameters}");
    }
}
