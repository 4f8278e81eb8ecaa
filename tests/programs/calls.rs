//! Records of calls to STS written by programs of bytes.

use super::{Program, Writer};

/// A member that is read, or one beside it that is not.
#[derive(Clone, Copy)]
enum Member {
    Text(&'static [&'static str]),
    Count,
    Object(&'static [(&'static str, Member)]),
    /// Objects of these members.
    Objects(&'static [(&'static str, Member)]),
    /// As a list of pairs or as an object.
    Tags,
    /// A text this long at most.
    Long,
    Any,
}

use Member::{Any, Count, Long, Object, Objects, Tags, Text};

/// A name in principal ids and ARNs that no caller may show.
const SESSION_ARNS: [&str; 3] = [
    "arn:aws:sts::111122223333:assumed-role/vendor/hidden-session",
    "arn:aws-cn:sts::111122223333:assumed-role/vendor/hidden-session",
    "arn:aws:sts::111122223333:assumed-role/vendor/a/hidden-session",
];

const RECORD: [(&str, Member); 20] = [
    ("eventVersion", Text(&["1.08", "1.11"])),
    ("userIdentity", Object(&IDENTITY)),
    (
        "eventTime",
        Text(&[
            "2026-09-20T10:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-09-20T10:00:00.5+02:00",
            "2026-09-20 10:00:00Z",
            "2026",
            "2026-02-30T10:00:00Z",
        ]),
    ),
    ("eventSource", Text(&["sts.amazonaws.com", "sts.amazonaws.com.cn", "s3.amazonaws.com", "sts.amazonaws.co"])),
    (
        "eventName",
        Text(&[
            "AssumeRole",
            "AssumeRoleWithSAML",
            "AssumeRoleWithWebIdentity",
            "GetFederationToken",
            "AssumeRoot",
            "GetSessionToken",
            "GetCallerIdentity",
            "assumerole",
        ]),
    ),
    ("awsRegion", Text(&["eu-west-1", "us-east-1"])),
    ("sourceIPAddress", Text(&["192.0.2.1"])),
    ("requestParameters", Object(&PARAMETERS)),
    ("responseElements", Object(&RESPONSE)),
    ("additionalEventData", Any),
    ("eventID", Text(&["73f2922c-c39f-7c69-9c9c-3e1e72e95e0e", "e-1", "größe"])),
    ("sharedEventID", Text(&["11112222-3333-4444-5555-666677778888"])),
    ("recipientAccountId", Text(&["444455556666", "111122223333"])),
    ("eventCategory", Text(&["Management", "Insight", "Data"])),
    ("resources", Objects(&RESOURCE)),
    ("errorCode", Text(&["AccessDenied", "PackedPolicyTooLarge", "PackedPolicyTooLargeException"])),
    (
        "errorMessage",
        Text(&[
            "Packed policy consumes 118% of allotted space, please use smaller policy.",
            "consumes 1.5e2 %",
            "consumes consumes 3%",
            "consumes -1%",
            "consumes inf%",
            "consumes 118 of",
            "%consumes 7%%",
        ]),
    ),
    (
        "addendum",
        Object(&[("reason", Text(&["UPDATED_DATA", "DELIVERY_DELAY"])), ("originalEventID", Text(&["e-0"])), ("updatedFields", Any)]),
    ),
    ("tlsDetails", Any),
    ("a", Any),
];

const IDENTITY: [(&str, Member); 9] = [
    (
        "type",
        Text(&[
            "AssumedRole",
            "IAMUser",
            "FederatedUser",
            "WebIdentityUser",
            "SAMLUser",
            "AWSService",
            "AWSAccount",
            "Root",
            "Role",
            "IdentityCenterUser",
            "iamuser",
        ]),
    ),
    ("principalId", Text(&["AROAEXAMPLE:hidden-session", "AIDAEXAMPLE", ":hidden-session"])),
    ("arn", Text(&SESSION_ARNS)),
    ("accountId", Text(&["111122223333"])),
    ("identityProvider", Text(&["arn:aws:iam::111122223333:oidc-provider/ci.example", "cognito-identity.amazonaws.com"])),
    ("invokedBy", Text(&["pods.eks.amazonaws.com", "ec2.amazonaws.com"])),
    (
        "sessionContext",
        Object(&[
            ("attributes", Any),
            (
                "sessionIssuer",
                Object(&[
                    ("type", Text(&["Role"])),
                    ("arn", Text(&["arn:aws:iam::111122223333:role/path/vendor"])),
                    ("userName", Text(&["vendor"])),
                ]),
            ),
        ]),
    ),
    ("onBehalfOf", Object(&[("userId", Text(&["94482488-3041-7051"])), ("identityStoreArn", Any)])),
    ("userName", Any),
];

const PARAMETERS: [(&str, Member); 14] = [
    ("roleArn", Text(&["arn:aws:iam::444455556666:role/etl", "arn:aws-cn:iam::444455556666:role/aws-service-role/x/Y"])),
    ("roleSessionName", Text(&["hidden-session", "ab", "größe"])),
    ("name", Text(&["bob"])),
    ("sourceIdentity", Text(&["jane@example.com"])),
    ("principalArn", Text(&["arn:aws:iam::111122223333:saml-provider/corp"])),
    ("durationSeconds", Count),
    ("policy", Long),
    ("policyArns", Objects(&[("arn", Text(&["arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::111122223333:policy/p"]))])),
    ("tags", Tags),
    ("principalTags", Tags),
    ("incomingTransitiveTags", Tags),
    ("minimumSessionTokenSize", Count),
    ("transitiveTagKeys", Any),
    ("externalId", Any),
];

const RESPONSE: [(&str, Member); 5] = [
    ("credentials", Object(&[("accessKeyId", Text(&["ASIAEXAMPLE"])), ("sessionToken", Long), ("expiration", Any)])),
    ("assumedRoleUser", Object(&[("arn", Text(&["arn:aws:sts::444455556666:assumed-role/etl/x"])), ("packedPolicySize", Count)])),
    ("packedPolicySize", Count),
    ("sessionTokenSize", Count),
    ("sessionTokenUtilization", Count),
];

const RESOURCE: [(&str, Member); 3] = [
    ("accountId", Text(&["444455556666"])),
    ("ARN", Text(&["arn:aws:iam::444455556666:policy/p", "arn:aws:iam::444455556666:role/among", "x:role/y"])),
    ("type", Text(&["AWS::IAM::Role"])),
];

/// The record that `bytes` writes. Where `hostile` does not hold, it is always JSON.
pub fn record(bytes: &[u8], hostile: bool) -> Vec<u8> {
    let mut writer = Writer::new(Program::new(bytes));
    writer.depth = 3;
    let style = writer.program.byte();
    writer.spaced = style & 1 == 1;
    writer.hostile = hostile && style & 2 == 2;
    let cut = hostile && style & 12 == 12;
    writer.space();
    members(&mut writer, &RECORD);
    writer.space();
    let Writer { mut program, mut out, .. } = writer;
    if cut {
        let at = program.far_below(out.len());
        match program.below(3) {
            0 => out.truncate(at),
            1 => out.insert(at, program.byte()),
            _ => drop(out.remove(at)),
        }
    }
    out
}

fn members(writer: &mut Writer<'_>, members: &'static [(&'static str, Member)]) {
    let first = writer.program.below(members.len());
    let mut begun = false;
    writer.put("{");
    for index in 0..members.len() {
        let (name, member) = members[(index + first) % members.len()];
        let how = writer.program.below(20);
        let mut one = |writer: &mut Writer<'_>, escapes: bool, write: &mut dyn FnMut(&mut Writer<'_>)| {
            if begun {
                writer.put(",");
            }
            begun = true;
            writer.space();
            writer.name(name, escapes);
            writer.colon();
            write(writer);
            writer.space();
        };
        match how {
            12 | 13 => {}
            14 => one(writer, false, &mut |writer| writer.value()),
            15 => {
                one(writer, false, &mut |writer| writer.value());
                one(writer, true, &mut |writer| value(writer, member));
            }
            16 => {
                one(writer, false, &mut |writer| value(writer, member));
                one(writer, false, &mut |writer| writer.value());
            }
            17 => one(writer, true, &mut |writer| value(writer, member)),
            18 => one(writer, false, &mut |writer| writer.put("null")),
            19 => one(writer, false, &mut |writer| writer.text()),
            _ => one(writer, false, &mut |writer| value(writer, member)),
        }
    }
    writer.put("}");
}

fn value(writer: &mut Writer<'_>, member: Member) {
    match member {
        Text(values) => {
            let value = writer.program.one_of(values);
            if value.is_ascii() {
                let escapes = writer.program.seldom(8);
                writer.name(value, escapes);
            } else {
                writer.name(value, false);
            }
        }
        Count => {
            let count = writer.program.one_of(&[
                "25",
                "0",
                "1024",
                "4096",
                "\"77\"",
                "99.5",
                "-1",
                "1e2",
                "\"1e1\"",
                "\"\"",
                "\" 5\"",
                "4294967296",
                "65536",
                "\"\\u0031\"",
                "\"inf\"",
                "-0",
                "0.30000000000000004",
                "18446744073709551616",
            ]);
            writer.put(count);
        }
        Object(inner) => members(writer, inner),
        Objects(inner) => {
            let elements = writer.program.below(4);
            writer.list(elements, |writer, _| if writer.program.seldom(6) { writer.value() } else { members(writer, inner) });
        }
        Tags => {
            let tags = writer.program.below(4);
            if writer.program.seldom(3) {
                writer.object(tags, |writer, _| {
                    tag_text(writer);
                    writer.colon();
                    if writer.program.seldom(6) { writer.value() } else { tag_text(writer) }
                });
            } else {
                writer.list(tags, |writer, _| match writer.program.below(6) {
                    5 => writer.value(),
                    4 => members(writer, &[("key", Text(&["team", ""])), ("value", Text(&["", "data"]))]),
                    key_first => {
                        for (index, name) in [["\"key\"", "\"value\""], ["\"value\"", "\"key\""]][key_first % 2].iter().enumerate() {
                            writer.put(if index == 0 { "{" } else { "," });
                            writer.put(name);
                            writer.colon();
                            tag_text(writer);
                        }
                        writer.put("}");
                    }
                });
            }
        }
        Long => match writer.program.below(4) {
            0 => {
                let length = 150 + 4 * writer.program.below(256);
                let text = "t".repeat(length);
                writer.name(&text, false);
            }
            1 => writer.put(r#""{\n  \"Version\": \"2012-10-17\", \"Statement\": []\n}""#),
            2 => writer.put("\"\""),
            _ => writer.text(),
        },
        Any => writer.value(),
    }
}

fn tag_text(writer: &mut Writer<'_>) {
    match writer.program.below(6) {
        0 => writer.put("\"team\""),
        1 => writer.put("\"data\""),
        2 => writer.put("\"\""),
        3 => writer.put("\"t\\u0065am\""),
        _ => writer.text(),
    }
}
