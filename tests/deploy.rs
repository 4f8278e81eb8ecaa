//! What a machine can check of `deploy/`: that every form of the job runs the same command, with options that exist, in files that parse.
//! `tests/deploy.py` reads the YAML.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use packtrail::policy::{Clause, Effect, Policy, Scalars};
use serde_json::Value;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).unwrap()
}

/// Fenced blocks of the page in this language.
fn blocks(language: &str) -> Vec<String> {
    let page = read("README.md");
    let start = format!("```{language}\n");
    page.split(&start).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The words of every call of packtrail in a text of shell commands, from the name of the subcommand on, quotes and redirections aside.
fn calls(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines().filter(|line| !line.trim_start().starts_with('#')) {
        for (at, _) in line.match_indices("packtrail ") {
            let rest = &line[at + "packtrail ".len()..];
            if ["analyze ", "schema ", "estimate "].iter().any(|subcommand| rest.starts_with(subcommand)) {
                let words = rest.split_whitespace().take_while(|word| !["|", "||", "2>>", ">"].contains(word));
                found.push(words.map(str::to_owned).collect());
            }
        }
    }
    found
}

/// The arguments of the container, `--name=value` as two words.
fn container() -> Vec<String> {
    let yaml = read("cronjob.yaml");
    let (_, rest) = yaml.split_once("args:\n").unwrap();
    let arguments = rest.lines().map_while(|line| line.trim().strip_prefix("- "));
    arguments
        .flat_map(|argument| match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => vec![name.to_owned(), value.to_owned()],
            _ => vec![argument.to_owned()],
        })
        .collect()
}

#[test]
fn every_form_of_the_job_runs_the_same_command() {
    let page = calls(&blocks("sh")[0]);
    assert_eq!(page.len(), 1);
    assert_eq!(calls(&read("crontab")), page);
    assert_eq!(calls(&read("packtrail.service")), page);
    assert_eq!(container(), page[0]);
}

#[test]
fn every_option_named_is_one_the_command_has() {
    let mut named = vec![container()];
    for text in [read("README.md"), read("crontab"), read("packtrail.service")] {
        named.extend(calls(&text));
    }
    assert!(named.len() > 5);
    for words in &named {
        let help = Command::new(env!("CARGO_BIN_EXE_packtrail")).args([&words[0], "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let known: BTreeSet<&str> = help.split([' ', '\n', '[']).filter(|word| word.starts_with("--")).collect();
        for word in words.iter().filter(|word| word.starts_with("--")) {
            assert!(known.contains(word.as_str()), "{} has no {word}", words[0]);
        }
    }
}

#[test]
fn shell_commands_are_valid_shell() {
    let check = |script: &str| {
        let mut shell = Command::new("sh").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
        shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success(), "{script}");
    };
    for block in blocks("sh") {
        check(&block);
    }
    let crontab = read("crontab");
    for line in crontab.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once('=').filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase())) {
            assert!(["SHELL", "PATH", "MAILTO"].contains(&name), "{line}");
            continue;
        }
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        for (field, range) in fields.iter().zip([0..=59, 0..=23, 1..=31, 1..=12, 0..=7]) {
            assert!(*field == "*" || range.contains(&field.parse::<u32>().unwrap()), "{line}");
        }
        assert!(!fields[5].contains('%'), "cron would end the command there");
        check(fields[5]);
    }
}

#[test]
fn units_have_keys_that_systemd_knows() {
    let service = "Description Wants After Type ExecStart EnvironmentFile SuccessExitStatus TimeoutStartSec Nice MemoryMax DynamicUser PrivateTmp \
                   ProtectSystem ProtectHome ProtectKernelTunables ProtectKernelModules ProtectControlGroups PrivateDevices NoNewPrivileges \
                   CapabilityBoundingSet RestrictAddressFamilies RestrictNamespaces LockPersonality MemoryDenyWriteExecute SystemCallArchitectures \
                   SystemCallFilter";
    let timer = "Description OnCalendar RandomizedDelaySec Persistent WantedBy";
    for (name, keys, sections) in
        [("packtrail.service", service, &["[Unit]", "[Service]"][..]), ("packtrail.timer", timer, &["[Unit]", "[Timer]", "[Install]"])]
    {
        let text = read(name).replace("\\\n", " ");
        let mut seen = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('[') {
                seen.push(line);
            } else {
                let (key, _) = line.split_once('=').unwrap();
                assert!(keys.split_whitespace().any(|known| known == key), "{name}: {key}");
            }
        }
        assert_eq!(seen, sections);
    }
}

#[test]
fn the_policy_allows_what_is_needed_where_it_is_needed_and_nothing_else() {
    let policy = Policy::parse(&read("iam-policy.json")).unwrap();
    let mut allowed = Vec::new();
    for statement in policy.statements() {
        let (mut actions, mut resources, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
        for clause in &statement.clauses {
            match clause {
                Clause::Sid(_) => {}
                Clause::Effect(effect) => assert_eq!(*effect, Effect::Allow),
                Clause::Action(values) => actions.extend(values.as_slice()),
                Clause::Resource(values) => resources.extend(values.as_slice()),
                Clause::Condition(operators) => {
                    for (operator, keys) in operators {
                        assert_eq!(operator, "StringLike");
                        for (key, values) in keys {
                            let texts = match values {
                                Scalars::One(value) => vec![value.text()],
                                Scalars::Many(values) => values.iter().map(|value| value.text()).collect(),
                            };
                            conditions.push(format!("{key}={}", texts.join(",")));
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(resources.len(), 1);
        allowed.push(format!("{:?} on {} {}", actions, resources[0], conditions.join(" ")));
    }
    assert_eq!(
        allowed,
        [
            r#"["s3:ListBucket"] on arn:aws:s3:::example-trail s3:prefix=AWSLogs,AWSLogs/*"#,
            r#"["s3:GetObject"] on arn:aws:s3:::example-trail/AWSLogs/* "#,
            r#"["kms:Decrypt"] on arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555 kms:ViaService=s3.*.amazonaws.com"#,
            r#"["s3:ListBucket"] on arn:aws:s3:::example-reports s3:prefix=packtrail,packtrail/*"#,
            r#"["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"] on arn:aws:s3:::example-reports/packtrail/* "#,
            r#"["sts:AssumeRole"] on arn:aws:iam::444455556666:role/audit-trail-reader "#,
        ]
    );
}

#[test]
fn the_page_names_every_file_and_shows_the_last_line_as_it_is() {
    let page = read("README.md");
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("README") && !name.ends_with("ignore") {
            assert!(page.contains(&format!("({name})")), "{name} is linked");
        }
    }
    let out = tempfile::tempdir().unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_packtrail"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["analyze", "samples", "--log-format", "json", "--fail-on", "critical", "--out"])
        .arg(out.path())
        .output()
        .unwrap();
    let without_time = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for field in ["time", "read_seconds", "seconds"] {
            assert!(!line[field].take().is_null(), "{field}");
        }
        line.to_string()
    };
    assert_eq!(without_time(&blocks("json")[0]), without_time(&String::from_utf8(ran.stderr).unwrap()));
}
