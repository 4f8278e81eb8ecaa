//! Session policies as people and programs write them, drawn by a seed, and requests aimed at them.

#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Map, Value, json};

use crate::meaning::{Dice, Request};

/// Who writes a policy, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By hand: a few statements with Sids and lists of one.
    ByHand,
    /// Vended by a catalog: the same few actions on prefixes of a data lake, and `s3:prefix`.
    DataLake,
    /// Of a pipeline: long lists of the actions it once needed.
    Pipeline,
    /// By attributes: conditions and variables.
    Attributes,
    /// Broad rights with some denied.
    Admin,
}

pub const KINDS: [Kind; 5] = [Kind::ByHand, Kind::DataLake, Kind::Pipeline, Kind::Attributes, Kind::Admin];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::ByHand => "by hand, with Sids",
            Kind::DataLake => "data lake, vended",
            Kind::Pipeline => "pipeline, long lists",
            Kind::Attributes => "attributes and variables",
            Kind::Admin => "broad, with denials",
        }
    }
}

/// The policy with this number, at most the 2,048 characters that STS takes.
pub fn draw(kind: Kind, number: u64) -> String {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1) ^ (kind as u64 + 1) << 40 | 1);
    for _ in 0..20 {
        dice.roll(2);
    }
    loop {
        let statements = match kind {
            Kind::ByHand => by_hand(&mut dice),
            Kind::DataLake => data_lake(&mut dice),
            Kind::Pipeline => pipeline(&mut dice),
            Kind::Attributes => attributes(&mut dice),
            Kind::Admin => admin(&mut dice),
        };
        let policy = json!({ "Version": "2012-10-17", "Statement": statements });
        let text = if dice.roll(3) == 0 { serde_json::to_string_pretty(&policy).unwrap() } else { policy.to_string() };
        if text.len() <= 2048 {
            return text;
        }
    }
}

fn one<'a>(dice: &mut Dice, of: &[&'a str]) -> &'a str {
    of[dice.roll(of.len())]
}

/// So many of them, each once, in their order or mixed.
fn some(dice: &mut Dice, of: &[&str], count: usize) -> Vec<String> {
    between(dice, of, count, 1)
}

/// As [`some`], of `least` and up to `more` further ones less one.
fn between(dice: &mut Dice, of: &[&str], least: usize, more: usize) -> Vec<String> {
    let count = least + dice.roll(more);
    let mut left: Vec<&str> = of.to_vec();
    while left.len() > count {
        left.remove(dice.roll(left.len()));
    }
    if dice.roll(2) == 0 {
        for at in (1..left.len()).rev() {
            left.swap(at, dice.roll(at + 1));
        }
    }
    left.into_iter().map(str::to_owned).collect()
}

/// A text alone or a list of one, as people mix them.
fn values(dice: &mut Dice, texts: Vec<String>) -> Value {
    match texts.as_slice() {
        [one] if dice.roll(2) == 0 => json!(one),
        _ => json!(texts),
    }
}

const SIDS: [&str; 8] =
    ["AllowRead", "ReadOnlyBucketAccess", "Write", "VisualEditor0", "ListTheBucket", "AllowKmsDecrypt", "Stmt1580000000000", "QueueAccess"];
const BUCKETS: [&str; 5] = ["reports", "acme-prod-artifacts", "acme-dev-artifacts", "ledger-exports", "team-a-uploads"];
const READS: [&str; 6] = [
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:GetObjectTagging",
    "s3:ListBucket",
    "s3:GetBucketLocation",
    "s3:ListBucketMultipartUploads",
];
const WRITES: [&str; 5] =
    ["s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"];

fn by_hand(dice: &mut Dice) -> Vec<Value> {
    let count = 1 + dice.roll(4);
    (0..count)
        .map(|number| {
            let bucket = format!("arn:aws:s3:::{}", one(dice, &BUCKETS));
            let (actions, resources) = match dice.roll(5) {
                0 => (some(dice, &READS, 3), vec![bucket.clone(), format!("{bucket}/*")]),
                1 => (some(dice, &WRITES, 2), vec![format!("{bucket}/*")]),
                2 => (
                    some(dice, &["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], 2),
                    vec!["arn:aws:sqs:eu-west-1:111122223333:orders".to_owned()],
                ),
                3 => (
                    some(dice, &["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"], 2),
                    vec!["arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".to_owned()],
                ),
                _ => (vec!["s3:Get*".to_owned(), one(dice, &READS).to_owned()], vec![format!("{bucket}/*"), format!("{bucket}/in/*")]),
            };
            let mut statement = Map::new();
            if dice.roll(4) > 0 {
                statement.insert("Sid".to_owned(), json!(format!("{}{number}", one(dice, &SIDS))));
            }
            statement.insert("Effect".to_owned(), json!("Allow"));
            statement.insert("Action".to_owned(), values(dice, actions));
            statement.insert("Resource".to_owned(), values(dice, resources));
            Value::Object(statement)
        })
        .collect()
}

fn data_lake(dice: &mut Dice) -> Vec<Value> {
    let bucket = one(dice, &["lake-prod", "acme-data-lake-eu-west-1", "warehouse"]);
    let area = one(dice, &["sales", "finance/ledger", "warehouse/db"]);
    let tables = between(dice, &["orders", "customers", "payments", "refunds", "invoices", "shipments", "returns", "stock"], 2, 5);
    let hashed = dice.roll(3) == 0;
    let prefixes: Vec<String> = tables
        .iter()
        .map(|table| match hashed {
            true => format!("{area}/{table}/{:08x}{:08x}", dice.roll(1 << 30), dice.roll(1 << 30)),
            false => format!("{area}/{table}"),
        })
        .collect();
    let objects = |prefixes: &[String]| prefixes.iter().map(|prefix| format!("arn:aws:s3:::{bucket}/{prefix}/*")).collect::<Vec<_>>();
    let mut statements = vec![
        json!({ "Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": objects(&prefixes) }),
        json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{bucket}"),
            "Condition": { "StringLike": { "s3:prefix": prefixes.iter().map(|prefix| format!("{prefix}/*")).collect::<Vec<_>>() } } }),
        json!({ "Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": [format!("arn:aws:s3:::{bucket}")] }),
    ];
    if dice.roll(2) == 0 {
        let written = &prefixes[..1 + dice.roll(prefixes.len())];
        statements.insert(0, json!({ "Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": objects(written) }));
    }
    if dice.roll(3) == 0 {
        for prefix in &prefixes {
            statements.push(json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{bucket}"),
                "Condition": { "StringLike": { "s3:prefix": format!("{prefix}/*") } } }));
        }
    }
    statements
}

const EC2: [&str; 22] = [
    "ec2:DescribeInstances",
    "ec2:DescribeImages",
    "ec2:DescribeVpcs",
    "ec2:DescribeSubnets",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeVolumes",
    "ec2:RunInstances",
    "ec2:TerminateInstances",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:CreateSecurityGroup",
    "ec2:DeleteSecurityGroup",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:CreateVolume",
    "ec2:DeleteVolume",
    "ec2:AttachVolume",
    "ec2:DetachVolume",
    "ec2:CreateTags",
    "ec2:DeleteTags",
    "ec2:ModifyInstanceAttribute",
];
const DEPLOY: [&str; 22] = [
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
    "ecr:BatchGetImage",
    "ecs:DescribeServices",
    "ecs:UpdateService",
    "ecs:RegisterTaskDefinition",
    "ecs:DeregisterTaskDefinition",
    "ecs:DescribeTaskDefinition",
    "cloudformation:CreateStack",
    "cloudformation:UpdateStack",
    "cloudformation:DeleteStack",
    "cloudformation:DescribeStacks",
    "cloudformation:DescribeStackEvents",
    "lambda:UpdateFunctionCode",
    "lambda:UpdateFunctionConfiguration",
    "lambda:PublishVersion",
    "lambda:GetFunction",
    "iam:PassRole",
];

fn pipeline(dice: &mut Dice) -> Vec<Value> {
    let mut statements = vec![json!({ "Sid": "Deploy", "Effect": "Allow", "Action": between(dice, &DEPLOY, 8, 12), "Resource": "*" })];
    if dice.roll(2) == 0 {
        statements.push(json!({ "Sid": "Machines", "Effect": "Allow", "Action": between(dice, &EC2, 5, 14), "Resource": ["*"] }));
    }
    if dice.roll(2) == 0 {
        statements.push(json!({ "Sid": "Artifacts", "Effect": "Allow", "Action": some(dice, &WRITES, 3),
            "Resource": ["arn:aws:s3:::acme-prod-artifacts/*", "arn:aws:s3:::acme-prod-artifacts"] }));
        statements.push(json!({ "Sid": "ArtifactsRead", "Effect": "Allow", "Action": some(dice, &READS, 3),
            "Resource": ["arn:aws:s3:::acme-prod-artifacts", "arn:aws:s3:::acme-prod-artifacts/*"] }));
    }
    statements
}

fn attributes(dice: &mut Dice) -> Vec<Value> {
    let tag = one(dice, &["team", "project", "cost-center"]);
    let value = one(dice, &["payments", "ledger", "platform"]);
    let equals = json!({ "StringEquals": { format!("aws:ResourceTag/{tag}"): format!("${{aws:PrincipalTag/{tag}}}") } });
    let mut statements = vec![
        json!({ "Sid": "OwnMachines", "Effect": "Allow", "Action": between(dice, &EC2, 3, 6), "Resource": "*", "Condition": equals }),
        json!({ "Sid": "Home", "Effect": "Allow", "Action": some(dice, &["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], 2),
            "Resource": ["arn:aws:s3:::homes/${aws:username}/*"] }),
        json!({ "Sid": "ListHome", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::homes"],
            "Condition": { "StringLike": { "s3:prefix": ["", "${aws:username}/*"] } } }),
    ];
    for region in between(dice, &["eu-west-1", "eu-central-1", "us-east-1"], 0, 3) {
        statements.push(json!({ "Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:Query"], "Resource": "*",
            "Condition": { "StringEquals": { "aws:RequestedRegion": region, format!("aws:ResourceTag/{tag}"): value } } }));
    }
    if dice.roll(2) == 0 {
        statements.push(json!({ "Sid": "OnlyTls", "Effect": "Deny", "Action": "*", "Resource": "*",
            "Condition": { "Bool": { "aws:SecureTransport": ["false"] } } }));
    }
    if dice.roll(2) == 0 {
        statements.push(json!({ "Sid": "Tags", "Effect": "Allow", "Action": ["ec2:CreateTags"], "Resource": ["*"],
            "Condition": { "ForAllValues:StringEquals": { "aws:TagKeys": ["team", "project", "team"] } } }));
    }
    statements
}

fn admin(dice: &mut Dice) -> Vec<Value> {
    let mut statements = vec![match dice.roll(3) {
        0 => json!({ "Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*" }),
        1 => {
            json!({ "Sid": "AllButIam", "Effect": "Allow", "NotAction": some(dice, &["iam:*", "organizations:*", "account:*"], 2), "Resource": "*" })
        }
        _ => {
            json!({ "Sid": "Broad", "Effect": "Allow", "Action": ["ec2:*", "s3:*", "rds:*", "iam:Get*", "iam:List*", "iam:GetUser"], "Resource": "*" })
        }
    }];
    let denied = [
        json!({ "Sid": "NoKeys", "Effect": "Deny", "Action": ["iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:UpdateAccessKey"], "Resource": "*" }),
        json!({ "Sid": "NoTrail", "Effect": "Deny", "Action": ["cloudtrail:StopLogging", "cloudtrail:DeleteTrail", "cloudtrail:UpdateTrail"], "Resource": "*" }),
        json!({ "Sid": "NoLeaving", "Effect": "Deny", "Action": ["organizations:LeaveOrganization"], "Resource": ["*"] }),
        json!({ "Sid": "NoDeletes", "Effect": "Deny", "Action": ["s3:DeleteBucket", "s3:DeleteObject", "s3:Delete*"], "Resource": "arn:aws:s3:::ledger-exports*" }),
        json!({ "Sid": "Regions", "Effect": "Deny", "NotAction": ["iam:*", "sts:*", "support:*"], "Resource": "*",
            "Condition": { "StringNotEquals": { "aws:RequestedRegion": ["eu-west-1", "eu-central-1"] } } }),
        json!({ "Sid": "NoUsers", "Effect": "Deny", "Action": ["iam:CreateUser", "iam:Get*"], "Resource": "*" }),
    ];
    for statement in denied {
        if dice.roll(2) == 0 {
            statements.push(statement);
        }
    }
    statements
}

/// What requests on two documents are aimed at: what stands in them.
pub struct Aim {
    actions: Vec<String>,
    resources: Vec<String>,
    keys: Vec<(String, Vec<String>)>,
}

impl Aim {
    pub fn at(documents: [&Value; 2]) -> Aim {
        let mut aim = Aim {
            actions: vec!["iam:GetUser".to_owned(), "s3:GetObject".to_owned()],
            resources: vec!["arn:aws:s3:::else/x".to_owned()],
            keys: ["aws:username", "aws:principaltag/team", "aws:principaltag/project", "aws:principaltag/cost-center"]
                .map(|key| (key.to_owned(), vec!["anna".to_owned(), "payments".to_owned()]))
                .to_vec(),
        };
        for document in documents {
            let alone = std::slice::from_ref(&document["Statement"]);
            for statement in document["Statement"].as_array().map_or(alone, Vec::as_slice) {
                for (name, value) in statement.as_object().unwrap() {
                    match name.as_str() {
                        "Action" | "NotAction" => aim.actions.extend(texts(value)),
                        "Resource" | "NotResource" => aim.resources.extend(texts(value)),
                        "Condition" => value.as_object().unwrap().values().for_each(|keys| aim.add(keys)),
                        _ => {}
                    }
                }
            }
        }
        aim
    }

    fn add(&mut self, keys: &Value) {
        for (key, values) in keys.as_object().unwrap() {
            let key = key.to_lowercase();
            match self.keys.iter_mut().find(|(name, _)| *name == key) {
                Some((_, known)) => known.extend(texts(values)),
                None => self.keys.push((key, texts(values))),
            }
        }
    }

    pub fn request(&self, dice: &mut Dice) -> Request {
        let mut context = Vec::new();
        for (key, patterns) in &self.keys {
            let count = [0, 1, 1, 1, 1, 2][dice.roll(6)];
            if count > 0 {
                context.push((key.clone(), (0..count).map(|_| filled(dice, patterns)).collect()));
            }
        }
        Request { action: filled(dice, &self.actions), resource: filled(dice, &self.resources), context }
    }
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value.as_array().map_or_else(|| vec![text(value)], |many| many.iter().map(text).collect())
}

/// One of the patterns with something in the place of its wildcards and variables, sometimes with other letters.
fn filled(dice: &mut Dice, patterns: &[String]) -> String {
    let mut text = patterns[dice.roll(patterns.len())].clone();
    while let Some((before, rest)) = text.clone().split_once("${") {
        let after = rest.split_once('}').map_or("", |(_, after)| after);
        text = format!("{before}{}{after}", ["anna", "payments", ""][dice.roll(3)]);
    }
    while text.contains('*') {
        let inside = ["", "x", "Object", "a/b", "1:2", "eu"][dice.roll(6)];
        text = text.replacen('*', inside, 1);
    }
    text = text.replace('?', "q");
    match dice.roll(8) {
        0 => text.push('s'),
        1 => {
            text.pop();
        }
        2 => text = text.to_uppercase(),
        _ => {}
    }
    text
}
