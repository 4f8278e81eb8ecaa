//! How long a fit takes, by the number of distinct labelled requests.
//!
//! `cargo bench --no-default-features --features calibrate --bench calibrate [-- REQUESTS [CODEC]]`

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a bench")]

use std::time::Instant;

use packtrail::packing::calibrate::{Calibration, Seen};
use packtrail::packing::{CallerKind, Operation, Packer, Profile, Regime, Request, Session, Sizing, percent, token_bytes};

/// Spreads what differs over all bits.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A request like no other: two in three with a policy of one to five statements, some with tags.
fn request(state: &mut u64) -> Request {
    let tags = |count: u64, state: &mut u64| (0..count).map(|at| (format!("team-{at}"), format!("{:x}", random(state)))).collect();
    if random(state).is_multiple_of(3) {
        let count = 1 + random(state) % 8;
        return Request { tags: tags(count, state), ..Request::default() };
    }
    let statements: Vec<String> = (0..1 + random(state) % 5)
        .map(|at| {
            let (tenant, table) = (random(state), random(state) % 100_000);
            let actions = ["\"s3:GetObject\"", "[\"s3:GetObject\",\"s3:PutObject\"]", "[\"glue:GetTable\",\"glue:GetPartitions\"]"];
            let action = actions[(random(state) % 3) as usize];
            format!(
                "{{\"Sid\":\"S{at}\",\"Effect\":\"Allow\",\"Action\":{action},\"Resource\":\"arn:aws:s3:::lake-{tenant:x}/tables/t{table}/*\"}}"
            )
        })
        .collect();
    let policy = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}", statements.join(","));
    let count = random(state) % 3;
    Request { policy: Some(policy), tags: tags(count, state), ..Request::default() }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let most: usize = arguments.first().map_or(1_000_000, |text| text.parse().unwrap());
    let codec = arguments.get(1).map_or("zlib 6", String::as_str).parse().unwrap();
    println!("{:>10} {:>12} {:>10} {:>10}  codec found, errors of the held-out requests", "requests", "distinct", "take s", "fit s");
    for requests in [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|&requests| requests <= most) {
        let old = Sizing { codec, limit_bytes: 900, tag_overhead_bytes: 6, ..Profile::builtin().packed_policy };
        let new = Sizing { codec, tag_overhead_bytes: 6, ..Profile::builtin().session_token };
        let (mut state, mut packer, mut calibration, mut taken) = (1, Packer::new(), Calibration::new(), 0.0);
        for at in 0..requests {
            let request = request(&mut state);
            let session = Session { session_name_bytes: Some(20), ..Session::new(Operation::AssumeRole, CallerKind::AssumedRole) };
            let sizing = if at % 2 == 0 { &old } else { &new };
            let parts = packer.pack(&request, sizing);
            let seen = Seen {
                regime: sizing.regime,
                percent: Some(percent(&parts, &session, sizing).value.floor()),
                token_bytes: Some(token_bytes(&parts, &session, sizing).value as u32),
                refused: false,
                time: 0,
            };
            let start = Instant::now();
            calibration.add(&request, &session, &seen);
            taken += start.elapsed().as_secs_f64();
        }
        let start = Instant::now();
        let profile = calibration.fit(&Profile::builtin());
        let seconds = start.elapsed().as_secs_f64();
        let told: Vec<String> = Regime::ALL
            .map(|regime| profile.sizing(regime))
            .iter()
            .map(|sizing| {
                let error = sizing.basis.as_ref().and_then(packtrail::packing::Basis::mean_error_percent);
                format!("{} {:.2}", sizing.codec, error.unwrap_or(f64::NAN))
            })
            .collect();
        let distinct: u64 =
            Regime::ALL.iter().filter_map(|&regime| profile.sizing(regime).basis.as_ref()).map(|basis| basis.requests).sum();
        println!("{requests:>10} {distinct:>12} {taken:>10.2} {seconds:>10.2}  {}", told.join(", "));
    }
}
