//! The engine that fits itself, put to sizing functions it does not know.
//!
//! `cargo test --test calibration -- --nocapture` prints what the generator makes and a table of a few functions;
//! `cargo test --test calibration hundred -- --ignored --nocapture` the table of a hundred.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test")]

#[path = "sizing/mod.rs"]
mod sizing;

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use packtrail::packing::calibrate::{Calibration, Seen};
use packtrail::packing::{CallerKind, Operation, Profile, Regime, Request, Session, Sizing, pack, percent};
use serde_json::Value;
use sizing::hidden::{Hidden, Unseen};
use sizing::requests::{Group, Population};
use sizing::rng::Rng;
use sizing::score::{Score, quantile, score};
use sizing::trail::{Example, Logged, Outlier, Shape, trail};

/// A profile fitted to `examples`.
fn fit(examples: &[Example]) -> Profile {
    let mut calibration = Calibration::new();
    for Example { request, session, logged, .. } in examples {
        let Logged { regime, percent, token_bytes, refused, time } = *logged;
        calibration.add(request, session, &Seen { regime, percent, token_bytes, refused, time });
    }
    calibration.fit(&Profile::builtin())
}

/// How a fit to one trail of `hidden` does on another trail of the same organisation.
struct Row {
    seed: u64,
    hidden: Hidden,
    in_family: bool,
    /// Of the built-in profile and of the fitted one, by regime.
    builtin: [Score; 2],
    fitted: [Score; 2],
    chosen: [String; 2],
    /// Whose calls the fitted profile gets most wrong, by regime.
    worst: [String; 2],
    seconds: f64,
}

impl Row {
    fn new(seed: u64, in_family: bool) -> Row {
        let hidden = if in_family { Hidden::draw(seed) } else { Hidden::draw_strange(seed) };
        let population = Population::new(seed);
        // Most users have both regimes in equal parts, some hardly one of them.
        let new_percent = [50.0, 50.0, 50.0, 85.0, 15.0][seed as usize % 5];
        let train = trail(&hidden, &population, seed + 1_000, Shape { new_percent, ..Shape::default() });
        let test = trail(&hidden, &population, seed + 2_000, Shape { unseen: true, ..Shape::default() });
        let start = Instant::now();
        let profile = fit(&train);
        let seconds = start.elapsed().as_secs_f64();
        let scores = |profile: &Profile| Regime::ALL.map(|regime| score(profile, &test, regime));
        let chosen = Regime::ALL.map(|regime| profile.sizing(regime).codec.to_string());
        let worst = Regime::ALL.map(|regime| worst_callers(&profile, &test, regime));
        Row { seed, hidden, in_family, builtin: scores(&Profile::builtin()), fitted: scores(&profile), chosen, worst, seconds }
    }

    const HEAD: &str = "\
| seed | codec old / new | limit old / new | built-in error | error | p90 | error with outliers | coverage | width | chosen old / new | s |
|---:|---|---|---|---|---|---|---|---|---|---:|";

    fn print(&self) {
        let Row { seed, hidden, seconds, .. } = self;
        let both = |scores: &[Score; 2], figure: &dyn Fn(&Score) -> String| scores.each_ref().map(figure).join(" / ");
        println!(
            "| {seed}{} | {} / {} | {} / {} | {} | {} | {} | {} | {} | {} | {} | {seconds:.1} |",
            if self.in_family { "" } else { " outside" },
            hidden.old.content.codec,
            hidden.new.content.codec,
            hidden.old.limit,
            hidden.new.limit,
            both(&self.builtin, &|score| format!("{:.1}", score.error)),
            both(&self.fitted, &|score| format!("{:.2}", score.error)),
            both(&self.fitted, &|score| score.p90.to_string()),
            both(&self.fitted, &|score| format!("{:.2}", score.error_with_outliers)),
            both(&self.fitted, &|score| format!("{:.0}", score.coverage())),
            both(&self.fitted, &|score| format!("{:.1}", score.width)),
            self.chosen.join(" / "),
        );
    }

    /// What is asked of a fit: at most a point off in the mean, and honest ranges, in each trail and each regime. Planted outliers are among the calls.
    fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for ((regime, score), worst) in Regime::ALL.iter().zip(&self.fitted).zip(&self.worst) {
            if self.in_family && score.error > 1.0 {
                failures.push(format!("seed {}, {regime}: {:.2} points off; {worst}", self.seed, score.error));
            }
            if !(85.0..=99.0).contains(&score.coverage()) {
                failures.push(format!("seed {}, {regime}: {:.1} % covered", self.seed, score.coverage()));
            }
        }
        failures
    }
}

/// The three kinds of callers with the largest mean error.
fn worst_callers(profile: &Profile, examples: &[Example], regime: Regime) -> String {
    let mut callers: BTreeMap<_, Vec<&Example>> = BTreeMap::new();
    for one in examples {
        callers.entry((one.group, one.session.caller_kind)).or_default().push(one);
    }
    let mut errors: Vec<(f64, String)> = callers
        .into_iter()
        .map(|((group, kind), examples)| (score(profile, examples, regime).error, format!("{group:?} by {kind}")))
        .filter(|(error, _)| !error.is_nan())
        .collect();
    errors.sort_by(|a, b| b.0.total_cmp(&a.0));
    errors.iter().take(3).map(|(error, caller)| format!("{caller} {error:.1}")).collect::<Vec<_>>().join(", ")
}

/// Fits to functions of the family and outside it, on all cores, and says what is asked in vain.
fn table(in_family: u64, outside: u64) -> Vec<String> {
    println!("{}", Row::HEAD);
    let (next, done) = (AtomicU64::new(0), Mutex::new((BTreeMap::new(), Vec::new())));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= in_family + outside {
                        return;
                    }
                    let row = Row::new(seed, seed < in_family);
                    let (waiting, rows) = &mut *done.lock().unwrap();
                    waiting.insert(seed, row);
                    while let Some(row) = waiting.remove(&(rows.len() as u64)) {
                        row.print();
                        rows.push(row);
                    }
                }
            });
        }
    });
    let (_, rows) = done.into_inner().unwrap();
    let failures: Vec<String> = rows.iter().flat_map(Row::failures).collect();
    for (index, regime) in Regime::ALL.iter().enumerate() {
        for (in_family, family) in [(true, "of the family"), (false, "outside")] {
            let scores: Vec<&Score> = rows.iter().filter(|row| row.in_family == in_family).map(|row| &row.fitted[index]).collect();
            let all = |figure: &dyn Fn(&Score) -> f64| scores.iter().map(|score| figure(score)).collect::<Vec<f64>>();
            let calls = scores.iter().map(|score| score.calls).sum::<usize>();
            let coverage = 100.0 * scores.iter().map(|score| score.covered).sum::<usize>() as f64 / calls as f64;
            let (mut errors, mut coverages) = (all(&|score| score.error), all(&Score::coverage));
            println!(
                "{regime}, {} functions {family}, {calls} unseen calls: error median {:.2}, worst {:.2}; coverage {coverage:.1} %, \
                 of a trail {:.1} to {:.1} %; width median {:.1}",
                scores.len(),
                quantile(&mut errors, 0.5),
                quantile(&mut errors, 1.0),
                quantile(&mut coverages, 0.0),
                quantile(&mut coverages, 1.0),
                quantile(&mut all(&|score| score.width), 0.5),
            );
        }
    }
    failures
}

#[test]
fn a_fit_recomputes_unseen_calls_of_a_few_unknown_functions() {
    let failures = table(6, 3);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Takes minutes: `.ci/run` calls it by name.
#[test]
#[ignore = "minutes long"]
fn a_fit_recomputes_unseen_calls_of_a_hundred_unknown_functions() {
    let failures = table(100, 20);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn trails_are_plausible() {
    println!(
        " seed codec            L old  L new   calls distinct labels refused outliers  old percent p10/50/90/max  new percent p10/50/90/max"
    );
    for seed in 0..12 {
        let hidden = Hidden::draw(seed);
        let trail = trail(&hidden, &Population::new(seed), seed + 1000, Shape::default());
        let of = |regime| trail.iter().filter(move |one| one.logged.regime == regime).filter_map(|one| one.logged.percent);
        let distinct = trail.iter().map(|one| (&one.request, one.session.operation, one.session.caller_kind)).collect::<HashSet<_>>().len();
        let share = |test: &dyn Fn(&Example) -> bool| 100.0 * trail.iter().filter(|one| test(one)).count() as f64 / trail.len() as f64;
        let spread = |regime| {
            let mut values: Vec<f64> = of(regime).collect();
            [0.1, 0.5, 0.9, 1.0].map(|at| format!("{:.0}", quantile(&mut values, at))).join("/")
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
    let mut chars: Vec<f64> = texts.iter().map(|text| text.len() as f64).collect();
    println!("policies: {}, characters {:?}", texts.len(), [0.0, 0.1, 0.5, 0.9, 1.0].map(|at| quantile(&mut chars, at)));
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
        let parts = pack(&request, &profile.packed_policy);
        let engine = percent(&parts, &session, &profile.packed_policy).value.floor();
        println!("{:<14} observed {:>4}  oracle {oracle:>4}  engine {engine:>4}", text(&point["id"]), point["percent"]);
        assert_eq!((packed as u32, oracle as f64), (parts.packed_bytes(), engine), "{}", point["id"]);
    }
}

#[test]
fn a_profile_that_is_right_scores_no_error_and_covers_all_but_outliers() {
    let trail = trail(&Hidden::builtin_like(), &Population::new(9), 9, Shape::default());
    let score = score(&Profile::builtin(), &trail, Regime::PackedPolicy);
    println!("{score:?}");
    assert!(score.calls > 500 && score.error == 0.0 && score.p90 == 0.0);
    assert!(score.error_with_outliers > 0.2 && (94.0..99.5).contains(&score.coverage()));
}

/// The labelled calls of a builtin-like organisation to fit to.
fn usual(seed: u64, shape: Shape) -> Vec<Example> {
    trail(&Hidden::draw(seed), &Population::new(seed), seed, shape)
}

/// The figures alone: without ranges, bounds and what they rest on.
fn figures(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    for sizing in [&mut profile.packed_policy, &mut profile.session_token] {
        (sizing.ranges, sizing.basis) = (Vec::new(), None);
        for base in &mut sizing.token_bases {
            (base.low_bytes, base.high_bytes, base.source) = (0, 0, String::new());
        }
    }
    profile
}

fn at_prior(profile: &Profile, regime: Regime) -> &[String] {
    profile.sizing(regime).basis.as_ref().map_or(&[], |basis| &basis.at_prior)
}

fn shuffled(examples: &[Example], seed: u64) -> Vec<Example> {
    let (mut rng, mut shuffled) = (Rng::new(seed), examples.to_vec());
    for index in (1..shuffled.len()).rev() {
        shuffled.swap(index, rng.whole(0, index as i64) as usize);
    }
    shuffled
}

#[test]
fn the_same_calls_in_any_order_and_on_any_thread_give_the_same_profile() {
    let examples = usual(21, Shape::default());
    let expected = fit(&examples).to_json().to_string();
    let others: Vec<String> = std::thread::scope(|scope| {
        let fits: Vec<_> = (0..3)
            .map(|seed| shuffled(&examples, seed))
            .map(|examples| scope.spawn(move || fit(&examples).to_json().to_string()))
            .collect();
        fits.into_iter().map(|fit| fit.join().unwrap()).collect()
    });
    assert!(others.iter().all(|other| *other == expected));
}

#[test]
fn equal_requests_count_once() {
    let examples = usual(22, Shape { calls: 600, ..Shape::default() });
    let thrice: Vec<Example> = examples.iter().chain(&examples).chain(&examples).cloned().collect();
    let (once, thrice) = (fit(&examples), fit(&thrice));
    assert_eq!(figures(&once), figures(&thrice));
    for regime in Regime::ALL {
        let (once, thrice) = (once.sizing(regime), thrice.sizing(regime));
        assert_eq!(once.ranges, thrice.ranges);
        let (once, thrice) = (once.basis.as_ref().unwrap(), thrice.basis.as_ref().unwrap());
        assert_eq!((3 * once.calls, once.requests), (thrice.calls, thrice.requests));
    }
}

#[test]
fn a_handful_of_calls_leaves_the_prior_and_says_so() {
    let profile = fit(&usual(23, Shape { calls: 8, ..Shape::default() }));
    assert_eq!(figures(&profile), figures(&Profile::builtin()));
    for regime in Regime::ALL {
        for figure in ["limit_bytes", "codec", "tag_overhead_bytes"] {
            assert!(at_prior(&profile, regime).iter().any(|name| name == figure), "{regime}: {figure}");
        }
    }
    assert_eq!(figures(&fit(&[])), figures(&Profile::builtin()));
}

#[test]
fn a_figure_that_no_call_shows_keeps_its_prior_and_is_named() {
    let mut examples = usual(24, Shape::default());
    examples.retain(|one| one.request.policy_arns.is_empty() && one.request.inherited_tags.is_empty());
    let (profile, prior) = (fit(&examples), Profile::builtin());
    for regime in Regime::ALL {
        let (sizing, prior) = (profile.sizing(regime), prior.sizing(regime));
        assert_eq!(sizing.policy_arn_bytes, prior.policy_arn_bytes);
        for figure in ["policy_arn_bytes", "inherited_tag_overhead_bytes"] {
            assert!(at_prior(&profile, regime).iter().any(|name| name == figure), "{regime}: {figure}: {:?}", at_prior(&profile, regime));
        }
        assert!(!at_prior(&profile, regime).iter().any(|name| name == "tag_overhead_bytes"));
    }
}

#[test]
fn a_regime_without_calls_keeps_its_limit_and_claims_no_basis() {
    let profile = fit(&usual(25, Shape { new_percent: 100.0, ..Shape::default() }));
    let (old, prior) = (&profile.packed_policy, Profile::builtin().packed_policy);
    assert_eq!((old.limit_bytes, old.rounding, &old.ranges, &old.basis), (prior.limit_bytes, prior.rounding, &prior.ranges, &None));
    assert!(profile.session_token.basis.is_some());
}

#[test]
fn calls_without_a_label_change_nothing() {
    let examples = usual(26, Shape { calls: 600, ..Shape::default() });
    let mut more = examples.clone();
    for one in usual(27, Shape { calls: 300, ..Shape::default() }) {
        more.push(Example { logged: Logged { percent: None, token_bytes: None, ..one.logged }, ..one });
    }
    assert_eq!(fit(&examples), fit(&more));
}

/// Codecs that hardly differ may change places; limits, tags and token bases may not, nor may sizes.
#[test]
fn outliers_do_not_move_the_fit() {
    for seed in 30..33 {
        let odd = usual(seed, Shape { outliers_percent: 15.0, ..Shape::default() });
        let (clean, dirty) = (fit(&usual(seed, Shape { outliers_percent: 0.0, ..Shape::default() })), fit(&odd));
        let unseen = trail(&Hidden::draw(seed), &Population::new(seed), seed + 2_000, Shape { calls: 600, ..Shape::default() });
        for regime in Regime::ALL {
            let (clean, dirty) = (clean.sizing(regime), dirty.sizing(regime));
            let certain =
                |sizing: &Sizing| (sizing.limit_bytes, sizing.rounding, sizing.tag_overhead_bytes, sizing.inherited_tag_overhead_bytes);
            assert_eq!(certain(clean), certain(dirty), "seed {seed}, {regime}");
            for (clean, dirty) in clean.token_bases.iter().zip(&dirty.token_bases) {
                assert!(clean.bytes.abs_diff(dirty.bytes) <= 2, "seed {seed}, {regime}: {clean:?}, {dirty:?}");
            }
            let value = |one: &Example, sizing| percent(&pack(&one.request, sizing), &one.session, sizing).value;
            let moved = unseen.iter().map(|one| (value(one, clean) - value(one, dirty)).abs()).sum::<f64>() / unseen.len() as f64;
            assert!(moved < 0.25, "seed {seed}, {regime}: {moved} points");
            let planted = |is: &dyn Fn(Outlier) -> bool| {
                let odd = odd.iter().filter(|one| one.logged.regime == regime && one.outlier.is_some_and(is));
                odd.map(|one| (&one.request, one.session.session_name_bytes)).collect::<HashSet<_>>().len() as u64
            };
            let (hidden, padded) = (planted(&Outlier::is_hidden), planted(&|outlier| !outlier.is_hidden()));
            let basis = dirty.basis.as_ref().unwrap();
            let (above, below) = (basis.outliers_above, basis.outliers_below);
            println!(
                "seed {seed}, {regime}: {moved:.3} points, {above} above and {below} below of {hidden}, {} of {padded} padded",
                basis.padded
            );
            // The smallest hide in a window of one percent.
            assert!(above > hidden / 3 && above <= 2 * hidden && below < hidden / 4, "{regime}: {above} and {below} of {hidden} outliers");
            assert!(basis.padded <= padded && basis.padded >= padded / 3, "{regime}: {} of {padded} padded", basis.padded);
        }
    }
}

/// GetSessionToken and AssumeRoot pass nothing: a user's calls are one request, made again and again.
#[test]
fn calls_that_are_all_alike_teach_the_base_of_their_tokens() {
    for seed in 40..43 {
        let profile = fit(&usual(seed, Shape::default()));
        let mut unseen = trail(&Hidden::draw(seed), &Population::new(seed), seed + 2_000, Shape::default());
        unseen.retain(|one| matches!(one.group, Group::SessionToken | Group::Root));
        let worst = worst_callers(&profile, &unseen, Regime::SessionToken);
        let score = score(&profile, &unseen, Regime::SessionToken);
        assert!(score.calls > 5 && score.error <= 0.5, "seed {seed}: {:.1} points off; {worst}", score.error);
    }
}

#[test]
fn a_fitted_profile_survives_its_json() {
    let profile = fit(&usual(28, Shape::default()));
    assert_eq!(Profile::from_json(&profile.to_json().to_string()).unwrap(), profile);
}
