//! Calls of an organisation and what a hidden sizing function logs of them.

use packtrail::packing::{Operation, Regime, Request, Session};

use super::hidden::{Hidden, Packed, Unseen};
use super::requests::{Group, Pattern, Population};
use super::rng::Rng;

/// What STS logged of one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logged {
    pub regime: Regime,
    pub percent: Option<f64>,
    pub token_bytes: Option<u32>,
    pub refused: bool,
    /// Seconds since 1970-01-01 UTC.
    pub time: i64,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Example {
    pub group: Group,
    pub request: Request,
    pub session: Session,
    pub logged: Logged,
    pub outlier: Option<Outlier>,
}

/// Why a call is not as large as its record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlier {
    /// Tags inherited that the record does not show.
    HiddenTags,
    /// What the console adds to a token.
    Console,
    /// `minimumSessionTokenSize`: the record does show it.
    Padded,
}

impl Outlier {
    /// Whether nobody could know from the record.
    pub fn is_hidden(self) -> bool {
        self != Outlier::Padded
    }
}

/// What a trail is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub calls: usize,
    pub outliers_percent: f64,
    /// Calls after the change of regime.
    pub new_percent: f64,
    /// Whether templates occur that [`Shape::default`] keeps for later.
    pub unseen: bool,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { calls: 1500, outliers_percent: 4.0, new_percent: 50.0, unseen: false }
    }
}

/// When the regime changed: 2026-09-11 at 17:00 UTC.
const CHANGE: i64 = 1_789_146_000;
const DAYS: i64 = 45;
/// Different requests of each group, at most.
const PATTERNS: i64 = 90;

/// Calls in the order of time, the same for the same seed. Only the outliers differ between shapes that differ in `outliers_percent` alone.
pub fn trail(hidden: &Hidden, population: &Population, seed: u64, shape: Shape) -> Vec<Example> {
    let packed = [Packed::new(&hidden.old.content), Packed::new(&hidden.new.content)];
    let (mut rng, mut outliers) = (Rng::new(seed), Rng::new(!seed));
    let mut examples: Vec<Example> = (0..shape.calls)
        .map(|_| {
            let regime = if rng.chance(shape.new_percent) { Regime::SessionToken } else { Regime::PackedPolicy };
            let packed = |request: &Request| packed[regime as usize].bytes(request);
            let pattern = fitting_pattern(hidden, regime, &packed, || next_pattern(population, seed, shape.unseen, &mut rng));
            let mut session = pattern.session;
            session.session_name_bytes = name_bytes(&session, &mut rng);
            let outlier = outlier(regime, shape.outliers_percent, &mut outliers);
            let mut unseen = Unseen::default();
            match outlier {
                Some((Outlier::HiddenTags, bytes)) => unseen.content = bytes,
                Some((Outlier::Console, bytes)) => unseen.token = bytes,
                Some((Outlier::Padded, bytes)) => session.minimum_token_bytes = Some(bytes as u16),
                None => {}
            }
            let size = hidden.size(regime, &pattern.request, packed(&pattern.request), &session, unseen);
            // The new regime logs the size beside the token.
            let redacted = pattern.redacted && regime == Regime::PackedPolicy;
            let away = rng.whole(0, DAYS * 86_400);
            let logged = Logged {
                regime,
                percent: size.percent.map(|percent| percent as f64),
                token_bytes: (!size.refused && !redacted).then_some(size.token as u32),
                refused: size.refused,
                time: if regime == Regime::PackedPolicy { CHANGE - away } else { CHANGE + away },
            };
            Example { group: pattern.group, request: pattern.request, session, logged, outlier: outlier.map(|(kind, _)| kind) }
        })
        .collect();
    examples.sort_by_key(|example| example.logged.time);
    examples
}

fn next_pattern(population: &Population, seed: u64, unseen: bool, rng: &mut Rng) -> Pattern {
    let group = Group::draw(rng);
    // Some patterns are used all day, most seldom.
    let number = (rng.unit() * rng.unit() * PATTERNS as f64) as i64;
    population.pattern(group, number, seed, unseen)
}

/// People do not go on sending what STS refuses: most patterns that are too large are passed over.
fn fitting_pattern(hidden: &Hidden, regime: Regime, packed: &dyn Fn(&Request) -> usize, mut next: impl FnMut() -> Pattern) -> Pattern {
    for round in 0.. {
        let pattern = next();
        let size = hidden.size(regime, &pattern.request, packed(&pattern.request), &pattern.session, Unseen::default());
        if !size.refused || round % 8 == 7 {
            return pattern;
        }
    }
    unreachable!()
}

fn name_bytes(session: &Session, rng: &mut Rng) -> Option<u16> {
    let named = !matches!(session.operation, Operation::GetSessionToken | Operation::AssumeRoot);
    let usual = *rng.pick(&[11, 16, 19, 20, 32, 36]);
    named.then(|| if rng.chance(50.0) { usual } else { rng.whole(2, 64) as u16 })
}

/// What is odd about a call, and by how many bytes.
fn outlier(regime: Regime, percent: f64, rng: &mut Rng) -> Option<(Outlier, usize)> {
    let drawn = (rng.chance(percent), rng.whole(0, 2), rng.whole(20, 200), rng.whole(200, 1024));
    let (true, kind, more, fours) = drawn else { return None };
    match kind {
        0 if regime == Regime::SessionToken => Some((Outlier::Padded, 4 * fours as usize)),
        1 => Some((Outlier::Console, more as usize / 2)),
        _ => Some((Outlier::HiddenTags, more as usize)),
    }
}
