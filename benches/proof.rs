//! How long one comparison of two policies takes on one core: `cargo bench --bench proof --no-default-features --features fixes`.
//!
//! Policies of about the 2,048 characters that STS takes, against themselves rewritten: actions as lists, statements split or merged, one pattern changed.

#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use packtrail::policy::ActionList;
use packtrail::proof::{Actions, Comparison, compare};

const RUNS: usize = 31;

fn main() {
    let list = ActionList::shipped();
    let names = list.all();
    println!("milliseconds a comparison, median of {RUNS} runs, one core; {} known actions", names.len());
    for (what, before, after) in pairs() {
        for (kind, actions) in [("any action", Actions::Any), ("known actions", Actions::Known(names))] {
            let mut millis: Vec<f64> = (0..RUNS)
                .map(|_| {
                    let start = Instant::now();
                    black_box(compare(black_box(&before), black_box(&after), actions));
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            millis.sort_by(f64::total_cmp);
            let verdict = match compare(&before, &after, actions) {
                Comparison::Same => "same".to_owned(),
                Comparison::Differs(_) => "differs".to_owned(),
                Comparison::Undecided(why) => format!("undecided: {}", why.chars().take(60).collect::<String>()),
            };
            let median = millis.get(RUNS / 2).copied().unwrap_or(f64::NAN);
            println!("{what:<34} {:>5} chars  {kind:<14} {median:>8.3}  {verdict}", before.len());
        }
    }
}

fn policy(statements: &[String]) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

fn pairs() -> Vec<(&'static str, String, String)> {
    let tenant = |number: usize| {
        let actions = [r#"["s3:GetObject","s3:PutObject"]"#, r#""s3:List*""#, r#"["sqs:SendMessage","sqs:Get*"]"#];
        format!(r#"{{"Effect":"Allow","Action":{},"Resource":"arn:aws:s3:::tenant-{number}/*"}}"#, actions.get(number % 3).unwrap())
    };
    let many: Vec<String> = (0..20).map(tenant).collect();
    let reversed: Vec<String> = many.iter().rev().map(|one| one.replace(r#"/*""#, r#"/*","Sid":"x""#)).collect();
    let changed: Vec<String> =
        many.iter().enumerate().map(|(number, one)| if number == 19 { one.replace("tenant", "tenants") } else { one.clone() }).collect();
    let by_actions = |actions: &str, turn: usize| {
        let resources: Vec<String> =
            (0..20).filter(|number| number % 3 == turn).map(|number| format!(r#""arn:aws:s3:::tenant-{number}/*""#)).collect();
        format!(r#"{{"Effect":"Allow","Action":{actions},"Resource":[{}]}}"#, resources.join(","))
    };
    let merged = policy(&[
        by_actions(r#"["s3:GetObject","s3:PutObject"]"#, 0),
        by_actions(r#""s3:List*""#, 1),
        by_actions(r#"["sqs:SendMessage","sqs:Get*"]"#, 2),
    ]);
    let conditions = |split: bool| {
        let one = |keys: &str| {
            format!(
                r#"{{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:Query"],"Resource":"arn:aws:dynamodb:*:111122223333:table/t","Condition":{{"ForAllValues:StringLike":{{"dynamodb:LeadingKeys":[{keys}]}},"StringNotEquals":{{"aws:PrincipalTag/team":["a","b"]}}}}}}"#
            )
        };
        let mut statements: Vec<String> = (0..5).map(|number| one(&format!(r#""k{number}*","j{number}""#))).collect();
        if split {
            statements.push(one(r#""k0*""#));
        }
        policy(&statements)
    };
    let scattered = |extra: &str| {
        let patterns: Vec<String> = (0..20)
            .map(|number: u8| {
                let letter = |shift: u8| char::from(b'a' + (number * 7 + shift) % 26);
                format!(r#""arn:aws:s3:::*{}*{}*{}*""#, letter(0), letter(3), letter(11))
            })
            .collect();
        policy(&[format!(r#"{{"Effect":"Allow","Action":"s3:*","Resource":[{}{extra}]}}"#, patterns.join(","))])
    };
    vec![
        ("20 statements in another order", policy(&many), policy(&reversed)),
        ("20 statements merged to 3", policy(&many), merged),
        ("20 statements, the last changed", policy(&many), policy(&changed)),
        ("conditions, one statement covered", conditions(true), conditions(false)),
        ("20 resources `*a*b*c*`", scattered(r#","x""#), scattered("")),
    ]
}
