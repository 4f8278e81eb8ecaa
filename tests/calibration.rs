//! The engine that fits itself, put to sizing functions it does not know.
//!
//! `cargo test --test calibration -- --nocapture` prints what the generator makes and a table of a few functions;
//! `cargo test --test calibration hundred -- --ignored --nocapture` the table of a hundred.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test")]

#[path = "sizing/mod.rs"]
mod sizing;

use std::collections::{BTreeMap, HashSet};

use packtrail::packing::{CallerKind, Operation, Profile, Regime, Request, Session, pack, percent};
use serde_json::Value;
use sizing::hidden::{Hidden, Unseen};
use sizing::requests::Population;
use sizing::trail::{Example, Outlier, Shape, trail};

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted.get(((sorted.len() as f64 - 1.0) * share).round().max(0.0) as usize).copied().unwrap_or(f64::NAN)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

#[test]
fn trails_are_plausible() {
    println!(
        " seed codec            L old  L new   calls distinct labels refused outliers  old percent p10/50/90/max  new percent p10/50/90/max"
    );
    for seed in 0..12 {
        let hidden = Hidden::draw(seed);
        let trail = trail(&hidden, &Population::new(seed), seed + 1000, Shape::default());
        let of = |regime| sorted(trail.iter().filter(|one| one.logged.regime == regime).filter_map(|one| one.logged.percent));
        let distinct = trail.iter().map(|one| (&one.request, one.session.operation, one.session.caller_kind)).collect::<HashSet<_>>().len();
        let share = |test: &dyn Fn(&Example) -> bool| 100.0 * trail.iter().filter(|one| test(one)).count() as f64 / trail.len() as f64;
        let spread = |regime| {
            let values = of(regime);
            [0.1, 0.5, 0.9, 1.0].map(|at| format!("{:.0}", quantile(&values, at))).join("/")
        };
        let (refused, outliers) = (share(&|one| one.logged.refused), share(&|one| one.outlier.is_some_and(Outlier::is_hidden)));
        println!(
            "{seed:>5} {:<16} {:>5}  {:>5}  {:>6} {distinct:>8} {:>5.0}% {refused:>6.1}% {outliers:>7.1}%  {:<26} {}",
            hidden.old.content.codec,
            hidden.old.limit,
            hidden.new.limit,
            trail.len(),
            share(&|one| one.logged.token_bytes.is_some()),
            spread(Regime::PackedPolicy),
            spread(Regime::SessionToken),
        );
        assert!((300..=1000).contains(&distinct), "{distinct}");
        assert!(refused < 5.0 && (1.0..6.0).contains(&outliers));
    }
}

#[test]
fn policies_of_every_size_and_form_stand_in_a_trail() {
    let hidden = Hidden::builtin_like();
    let trail = trail(&hidden, &Population::new(3), 3, Shape { calls: 6000, ..Shape::default() });
    let texts: HashSet<&str> = trail.iter().filter_map(|one| one.request.policy.as_deref()).collect();
    let chars = sorted(texts.iter().map(|text| text.len() as f64));
    println!("policies: {} of {} to {} characters, median {}", texts.len(), chars[0], chars[chars.len() - 1], quantile(&chars, 0.5));
    for text in &texts {
        assert!(serde_json::from_str::<Value>(text).unwrap()["Statement"].is_array() || !text.contains("\"Statement\":["), "{text}");
        assert!(text.len() <= 2048);
    }
    for part in ["NotAction", "StringLike", "ForAllValues", "\n  ", "\", \"", "true", "3600", "Sid"] {
        assert!(texts.iter().any(|text| text.contains(part)), "{part}");
    }
    let mut groups = BTreeMap::new();
    trail.iter().for_each(|one| *groups.entry(one.group).or_insert(0) += 1);
    println!("{groups:?}");
    let any = |test: &dyn Fn(&Request) -> bool| trail.iter().any(|one| test(&one.request));
    assert!(any(&|request| request.policy_arns.len() == 10) && any(&|request| request.policy_arns.len() == 1 && request.policy.is_some()));
    assert!(any(&|request| request.tags.len() == 20) && any(&|request| request.tags.iter().any(|(_, value)| !value.is_ascii())));
    assert!(any(&|request| !request.inherited_tags.is_empty() && !request.tags.is_empty() && request.policy.is_some()));
}

/// Tags that AWS would take: no key twice, no key passed that is inherited.
#[test]
fn no_request_names_a_tag_twice() {
    for one in trail(&Hidden::draw(5), &Population::new(5), 5, Shape::default()) {
        let keys: Vec<&String> = one.request.tags.iter().chain(&one.request.inherited_tags).map(|(key, _)| key).collect();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "{keys:?}");
    }
}

#[test]
fn outliers_change_nothing_but_themselves() {
    let make = |outliers_percent| trail(&Hidden::draw(7), &Population::new(7), 7, Shape { outliers_percent, ..Shape::default() });
    let (clean, dirty) = (make(0.0), make(15.0));
    let mut odd = 0;
    for (clean, dirty) in clean.iter().zip(&dirty) {
        assert_eq!(clean.request, dirty.request);
        assert!(dirty.outlier.is_some() || clean.logged == dirty.logged);
        odd += usize::from(dirty.outlier.is_some());
    }
    assert!((180..270).contains(&odd), "{odd}");
}

/// Of all points of the engine's own evidence.
#[test]
fn the_oracle_with_the_engines_figures_sizes_the_public_points_as_the_engine_does() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/packing-points.json");
    let points: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let (hidden, profile) = (Hidden::builtin_like(), Profile::builtin());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for point in points.iter().filter(|point| point["regime"] == "packed-policy") {
        let request = Request {
            policy: point["policy"].as_str().map(str::to_owned),
            policy_arns: point["policy_arns"].as_array().unwrap().iter().map(text).collect(),
            tags: point["tags"].as_array().unwrap().iter().map(|tag| (text(&tag["key"]), text(&tag["value"]))).collect(),
            inherited_tags: Vec::new(),
        };
        let session = Session::new(Operation::AssumeRole, CallerKind::IamUser);
        let packed = hidden.old.content.bytes(&request);
        let oracle = hidden.size(Regime::PackedPolicy, &request, packed, &session, Unseen::default()).percent.unwrap();
        let parts = pack(&request, &profile);
        let engine = percent(&parts, &session, Regime::PackedPolicy, &profile).value.floor();
        println!("{:<14} observed {:>4}  oracle {oracle:>4}  engine {engine:>4}", text(&point["id"]), point["percent"]);
        assert_eq!((packed as u32, oracle as f64), (parts.packed_bytes(), engine), "{}", point["id"]);
    }
}
