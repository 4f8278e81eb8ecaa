//! Session policies as vendors and people write them: templates with holes for tenants and tables.

use super::rng::Rng;

/// A policy with holes: `<tenant>`, `<table>` and what else [`Holes`] names.
pub struct Template {
    statements: Vec<Statement>,
    layout: Layout,
}

/// JSON text, and whether it stands once for each table.
struct Statement {
    text: String,
    each_table: bool,
}

/// White space, as the writer's library puts it.
#[derive(Clone, Copy)]
enum Layout {
    Compact,
    Spaced,
    Indented,
}

/// What fills the holes of a template.
pub struct Holes {
    pub tenant: String,
    pub prefix: String,
    pub tables: Vec<String>,
    pub key: String,
}

/// What a statement may be about.
struct Topic {
    actions: &'static [&'static str],
    resources: &'static [&'static str],
    /// Operator, key and values, as JSON.
    condition: &'static str,
    each_table: bool,
}

const fn topic(actions: &'static [&'static str], resources: &'static [&'static str], condition: &'static str, each_table: bool) -> Topic {
    Topic { actions, resources, condition, each_table }
}

const TOPICS: [Topic; 18] = [
    topic(&["s3:GetObject", "s3:GetObjectVersion"], &["arn:aws:s3:::<bucket>/<prefix>/<tenant>/<table>/*"], "", true),
    topic(
        &["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
        &["arn:aws:s3:::<bucket>/<prefix>/<tenant>/*"],
        r#"{"StringEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}"#,
        false,
    ),
    topic(
        &["s3:ListBucket"],
        &["arn:aws:s3:::<bucket>"],
        r#"{"StringLike":{"s3:prefix":["<prefix>/<tenant>/<table>","<prefix>/<tenant>/<table>/*"]}}"#,
        true,
    ),
    topic(&["s3:GetBucketLocation", "s3:GetEncryptionConfiguration", "s3:GetBucketVersioning"], &["arn:aws:s3:::<bucket>"], "", false),
    topic(
        &["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
        &["arn:aws:kms:eu-west-1:111122223333:key/<key>"],
        r#"{"StringEquals":{"kms:ViaService":"s3.eu-west-1.amazonaws.com","kms:EncryptionContext:tenant":"<tenant>"}}"#,
        false,
    ),
    topic(
        &["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"],
        &["arn:aws:dynamodb:eu-west-1:111122223333:table/<table>", "arn:aws:dynamodb:eu-west-1:111122223333:table/<table>/index/*"],
        r#"{"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":["<tenant>"]}}"#,
        true,
    ),
    topic(
        &["glue:GetTable", "glue:GetTables", "glue:GetPartitions", "glue:BatchGetPartition", "glue:GetDatabase"],
        &[
            "arn:aws:glue:eu-west-1:111122223333:catalog",
            "arn:aws:glue:eu-west-1:111122223333:database/<tenant>",
            "arn:aws:glue:eu-west-1:111122223333:table/<tenant>/<table>",
        ],
        "",
        false,
    ),
    topic(&["lakeformation:GetDataAccess"], &["*"], "", false),
    topic(
        &["athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults"],
        &["arn:aws:athena:eu-west-1:111122223333:workgroup/<tenant>"],
        "",
        false,
    ),
    topic(&["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage"], &["arn:aws:sqs:eu-west-1:111122223333:<tenant>-*"], "", false),
    topic(
        &["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
        &["arn:aws:secretsmanager:eu-west-1:111122223333:secret:<tenant>/<prefix>-??????"],
        r#"{"StringEquals":{"secretsmanager:ResourceTag/tenant":"<tenant>"}}"#,
        false,
    ),
    topic(
        &["ec2:DescribeInstances", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeVolumes"],
        &["*"],
        r#"{"StringEquals":{"aws:RequestedRegion":["eu-west-1","us-east-1"]}}"#,
        false,
    ),
    topic(
        &["ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances", "ec2:ModifyInstanceAttribute"],
        &["arn:aws:ec2:*:111122223333:instance/*"],
        r#"{"StringEquals":{"aws:ResourceTag/owner":"<tenant>"},"IpAddress":{"aws:SourceIp":["192.0.2.0/24","198.51.100.0/24"]}}"#,
        false,
    ),
    topic(
        &["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability"],
        &["arn:aws:ecr:eu-west-1:111122223333:repository/<tenant>/<table>"],
        "",
        true,
    ),
    topic(
        &["logs:CreateLogStream", "logs:PutLogEvents"],
        &["arn:aws:logs:*:111122223333:log-group:/app/<tenant>:*"],
        r#"{"Bool":{"aws:SecureTransport":true}}"#,
        false,
    ),
    topic(
        &["execute-api:Invoke"],
        &["arn:aws:execute-api:eu-west-1:111122223333:<key>/prod/GET/tenants/<tenant>/*"],
        r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":3600}}"#,
        false,
    ),
    topic(&["iot:Publish", "iot:Receive"], &["arn:aws:iot:eu-west-1:111122223333:topic/<prefix>/<tenant>/*"], "", false),
    topic(
        &["states:StartExecution", "states:DescribeExecution"],
        &["arn:aws:states:eu-west-1:111122223333:stateMachine:<table>"],
        "",
        false,
    ),
];

impl Template {
    /// A vendor's: one to eight statements.
    pub fn draw(rng: &mut Rng) -> Template {
        let named = rng.chance(40.0);
        let count = rng.whole(1, 8) as usize;
        // Vendors stay with their trade: neighbours in the list go together.
        let from = rng.whole(0, TOPICS.len() as i64 - 1) as usize;
        let topics = (0..count).map(|step| &TOPICS[(from + step) % TOPICS.len()]);
        let statements = topics.enumerate().map(|(index, topic)| statement(topic, named.then_some(index), rng)).collect();
        Template { statements, layout: *rng.pick(&[Layout::Compact, Layout::Compact, Layout::Spaced, Layout::Indented]) }
    }

    /// What somebody writes by hand.
    pub fn draw_small(rng: &mut Rng) -> Template {
        const WHOLE: [&str; 5] = [
            r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#,
            r#"{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":["*"]}"#,
            r#"{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}"#,
            r#"{"Effect":"Deny","NotAction":["iam:Get*","sts:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":"eu-west-1"}}}"#,
            r#"{"Sid":"ReadOnly","Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::<tenant>/*"}"#,
        ];
        let mut statements = vec![Statement { text: (*rng.pick(&WHOLE)).to_owned(), each_table: false }];
        if rng.chance(40.0) {
            statements.push(statement(rng.pick(&TOPICS), None, rng));
        }
        Template { statements, layout: *rng.pick(&[Layout::Compact, Layout::Spaced, Layout::Indented]) }
    }

    /// The policy, its holes filled.
    pub fn fill(&self, holes: &Holes) -> String {
        let mut statements = Vec::new();
        for statement in &self.statements {
            let tables = if statement.each_table { holes.tables.as_slice() } else { &holes.tables[..1] };
            statements.extend(tables.iter().enumerate().map(|(index, table)| {
                let text = statement.text.replace("<table>", table).replace("<tenant>", &holes.tenant).replace("<prefix>", &holes.prefix);
                text.replace("<key>", &holes.key).replace("<bucket>", "example-lake-prod-eu-west-1").replace("<index>", &index.to_string())
            }));
        }
        let list = if statements.len() == 1 { statements.remove(0) } else { format!("[{}]", statements.join(",")) };
        spaced(&format!(r#"{{"Version":"2012-10-17","Statement":{list}}}"#), self.layout)
    }
}

fn statement(topic: &Topic, index: Option<usize>, rng: &mut Rng) -> Statement {
    let list = |texts: &[&str], lone: bool| match texts {
        [one] if lone => format!("\"{one}\""),
        many => format!("[\"{}\"]", many.join("\",\"")),
    };
    let sid = index.map_or_else(String::new, |index| format!(r#""Sid":"Statement{index}n<index>","#));
    let take = rng.whole(1, topic.actions.len() as i64) as usize;
    let lone = rng.chance(60.0);
    let (effect, name) =
        *rng.pick(&[("Allow", "Action"), ("Allow", "Action"), ("Allow", "Action"), ("Allow", "Action"), ("Deny", "NotAction")]);
    let condition =
        if topic.condition.is_empty() || rng.chance(25.0) { String::new() } else { format!(r#","Condition":{}"#, topic.condition) };
    let actions = list(&topic.actions[..take], lone);
    let resources = list(topic.resources, lone);
    Statement {
        text: format!(r#"{{{sid}"Effect":"{effect}","{name}":{actions},"Resource":{resources}{condition}}}"#),
        each_table: topic.each_table,
    }
}

fn spaced(text: &str, layout: Layout) -> String {
    let mut out = String::new();
    let (mut in_text, mut depth) = (false, 0);
    for unit in text.chars() {
        in_text ^= unit == '"';
        let mut break_line = |out: &mut String, deeper: i32| {
            depth += deeper;
            if matches!(layout, Layout::Indented) {
                out.push('\n');
                out.extend(std::iter::repeat_n("  ", depth as usize));
            }
        };
        match unit {
            '{' | '[' if !in_text => {
                out.push(unit);
                break_line(&mut out, 1);
            }
            '}' | ']' if !in_text => {
                break_line(&mut out, -1);
                out.push(unit);
            }
            ',' if !in_text => {
                out.push(unit);
                if matches!(layout, Layout::Spaced) {
                    out.push(' ');
                }
                break_line(&mut out, 0);
            }
            ':' if !in_text => out.push_str(if matches!(layout, Layout::Compact) { ":" } else { ": " }),
            _ => out.push(unit),
        }
    }
    out
}
