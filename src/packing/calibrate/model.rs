//! What a size is made of, as a sum of unknown figures: each label bounds one such sum.
//!
//! Everything but the codec and the plain form is linear: bytes of tags, ARNs, statements, the token's base. The percentage of the old regime says in which
//! hundredth of the (unknown) limit the packed bytes lie; the length of a token says in which three bytes its content, name, identity and base lie.

use std::collections::HashMap;

use super::super::{CallerKind, Compression, Operation, Regime, Rounding, Sizing, TokenBase};
use super::{Row, least};

/// What moves a window that holds its start and not its end to one that holds its end.
const CLOSE: f64 = 1e-6;

/// Where in the figures each stands; the bases of tokens follow.
pub(super) const TAG: usize = 0;
/// What an inherited tag takes more than one that is passed.
pub(super) const INHERITED: usize = 1;
pub(super) const ARN: usize = 2;
pub(super) const ARN_CHAR: usize = 3;
pub(super) const PLAIN_STATEMENT: usize = 4;
pub(super) const PLAIN_POLICY: usize = 5;
pub(super) const COMPRESSED_STATEMENT: usize = 6;
pub(super) const COMPRESSED_POLICY: usize = 7;
pub(super) const LIMIT: usize = 8;
pub(super) const NAME: usize = 9;
pub(super) const IDENTITY_CHAR: usize = 10;
pub(super) const IDENTITY: usize = 11;
pub(super) const BASES: usize = 12;

/// What a fit may leave at its prior, under the names of [`Sizing`]: the figures in their order, then what is no number.
pub(super) const FIGURES: [&str; 17] = [
    "tag_overhead_bytes",
    "inherited_tag_overhead_bytes",
    "policy_arn_bytes",
    "policy_arn_char_bytes",
    "plain_statement_bytes",
    "plain_policy_bytes",
    "compressed_statement_bytes",
    "compressed_policy_bytes",
    "limit_bytes",
    "session_name_factor",
    "source_identity_factor",
    "source_identity_overhead_bytes",
    "token_bases",
    "rounding",
    "plain_form",
    "codec",
    "compression",
];

/// How far from its prior a figure may well be: one standard deviation. Bytes, or what the figure is in.
fn prior_deviation(figure: usize, prior: f64) -> f64 {
    match figure {
        TAG => 4.0,
        INHERITED => 2.0,
        ARN => 15.0,
        ARN_CHAR => 0.5,
        PLAIN_STATEMENT | PLAIN_POLICY => 8.0,
        COMPRESSED_STATEMENT => 12.0,
        COMPRESSED_POLICY => 20.0,
        LIMIT => prior,
        NAME | IDENTITY_CHAR => 0.3,
        IDENTITY => 15.0,
        _ => 200.0,
    }
}

/// Whether a figure is likely to be a whole number.
pub(super) fn is_whole(figure: usize) -> bool {
    !matches!(figure, ARN_CHAR | NAME | IDENTITY_CHAR)
}

/// Whether a figure only refines another one.
pub(super) fn is_refining(figure: usize) -> bool {
    matches!(figure, INHERITED | ARN_CHAR | PLAIN_STATEMENT | PLAIN_POLICY | COMPRESSED_POLICY | NAME | IDENTITY_CHAR)
}

/// Who calls what: each has its own base of the token.
pub(super) type Group = (Operation, CallerKind, bool);

pub(super) fn group(row: &Row) -> Group {
    (row.session.operation, row.session.caller_kind, row.session.service_linked)
}

/// One bound of one row: a sum of figures that lies in a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// What counts whatever the figures: texts of tags.
    known: f64,
    tags: f64,
    inherited: f64,
    arns: f64,
    arn_chars: f64,
    /// Index of the policy; `usize::MAX` without one.
    pub policy: usize,
    name: f64,
    identity: Option<f64>,
    /// Index of the token's base; None for a percentage of packed content.
    pub group: Option<usize>,
    /// Middle of the window: bytes, or hundredths of the limit for a percentage.
    middle: f64,
    /// Half the width of the window, likewise.
    half: f64,
    /// Whether the window holds its end and not its start, as when percentages are rounded up.
    closed_above: bool,
    /// The part of the rows it belongs to.
    pub fold: u8,
}

/// Sizes of policies under one plain form and codec.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    /// Plain form, compressed, statements; None for a text that is no policy.
    pub of: Vec<Option<(f64, f64, f64)>>,
}

impl Sizes {
    /// Equal for equal sizes.
    pub(super) fn key(&self) -> Vec<u64> {
        self.of.iter().map(|sizes| sizes.map_or(u64::MAX, |(_, compressed, _)| compressed.to_bits())).collect()
    }
}

/// Which of a policy's two forms counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Plain,
    Smaller,
    Always,
}

impl Mode {
    pub(super) fn compression(self) -> Compression {
        match self {
            Mode::Always => Compression::Always,
            Mode::Plain | Mode::Smaller => Compression::WhenSmaller,
        }
    }
}

/// The labelled rows of one regime as bounds.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub bounds: Vec<Bound>,
    pub groups: Vec<Group>,
    pub prior: Vec<f64>,
    pub deviation: Vec<f64>,
}

/// The coefficients of a bound, figure and factor: written again and again into one place, since a fit asks for them millions of times.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    of: [(usize, f64); 11],
    used: usize,
}

impl Terms {
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, f64)> {
        self.of.iter().take(self.used).copied()
    }

    fn add(&mut self, figure: usize, factor: f64) {
        if factor != 0.0
            && let Some(slot) = self.of.get_mut(self.used)
        {
            *slot = (figure, factor);
            self.used += 1;
        }
    }

    /// The sum that these `figures` make.
    fn sum(&self, figures: &[f64]) -> f64 {
        self.iter().map(|(figure, factor)| factor * figures.get(figure).copied().unwrap_or_default()).sum()
    }
}

impl Model {
    /// The bounds of `rows`; `policies` gives the index of a policy's hash, and rows with another policy are left out.
    pub(super) fn new(
        rows: &[Row],
        folds: &[u8],
        policies: &HashMap<u64, usize>,
        prior: &Sizing,
        rounding: Rounding,
        token_limit: u32,
    ) -> Model {
        let mut groups: Vec<Group> = rows.iter().map(group).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut bounds = Vec::new();
        for (row, &fold) in rows.iter().zip(folds).filter(|(row, _)| !row.is_ambiguous()) {
            let policy = match row.policy {
                None => usize::MAX,
                Some(hash) => match policies.get(&hash) {
                    Some(&at) => at,
                    None => continue,
                },
            };
            let bound = Bound {
                known: f64::from(row.tag_text_bytes) + f64::from(row.inherited_text_bytes),
                tags: f64::from(row.tags) + f64::from(row.inherited_tags),
                inherited: row.inherited_tags.into(),
                arns: row.policy_arns.into(),
                arn_chars: row.policy_arn_chars.into(),
                policy,
                name: row.session.session_name_bytes.filter(|_| row.session.operation.names_its_session()).map_or(0.0, f64::from),
                identity: row.session.source_identity_bytes.map(f64::from),
                group: None,
                middle: 0.0,
                half: 0.0,
                closed_above: false,
                fold,
            };
            let token = Bound { group: groups.binary_search(&group(row)).ok(), ..bound };
            let may_tell_token = !row.is_padded() && !row.is_without_name();
            match (prior.regime, row.percent, row.token_bytes) {
                (Regime::PackedPolicy, Some(percent), _) => {
                    let closed_above = rounding == Rounding::Up;
                    bounds.push(Bound { middle: (least(rounding, percent) + 0.5) / 100.0, half: 0.005, closed_above, ..bound });
                }
                // Without its length a token is known to a hundredth of the limit.
                (Regime::SessionToken, Some(percent), None) if may_tell_token => {
                    let one_percent = 0.75 * f64::from(token_limit) / 100.0;
                    let middle = (least(rounding, percent) + 0.5) * one_percent - 1.0;
                    bounds.push(Bound { middle, half: one_percent / 2.0 + 1.5, ..token });
                }
                _ => {}
            }
            if let Some(bytes) = row.token_bytes.filter(|_| may_tell_token) {
                // Four characters for three bytes, or for one or two and padding.
                bounds.push(Bound { middle: 0.75 * f64::from(bytes) - 1.0, half: 1.5, ..token });
            }
        }
        let mut model = Model { bounds, groups, prior: figures(prior), deviation: Vec::new() };
        let bases = model.groups.iter().map(|&(operation, caller_kind, service_linked)| {
            prior.token_base(operation, caller_kind, service_linked).map_or(500.0, |base| f64::from(base.bytes))
        });
        model.prior.extend(bases.collect::<Vec<_>>());
        model.deviation = model.prior.iter().enumerate().map(|(figure, &value)| prior_deviation(figure, value)).collect();
        model
    }

    /// The same model with the bounds that `keep` keeps.
    pub(super) fn with(&self, keep: impl Fn(&Bound) -> bool) -> Model {
        self.of(self.bounds.iter().copied().filter(|bound| keep(bound)).collect())
    }

    /// The same model with other bounds.
    pub(super) fn of(&self, bounds: Vec<Bound>) -> Model {
        Model { bounds, groups: self.groups.clone(), prior: self.prior.clone(), deviation: self.deviation.clone() }
    }
}

/// The figures of a sizing in their order, without the bases of tokens.
fn figures(sizing: &Sizing) -> Vec<f64> {
    let mut figures = vec![0.0; BASES];
    let all = [
        (TAG, f64::from(sizing.tag_overhead_bytes)),
        (INHERITED, f64::from(sizing.inherited_tag_overhead_bytes) - f64::from(sizing.tag_overhead_bytes)),
        (ARN, f64::from(sizing.policy_arn_bytes)),
        (ARN_CHAR, f64::from(sizing.policy_arn_char_bytes)),
        (PLAIN_STATEMENT, f64::from(sizing.plain_statement_bytes)),
        (PLAIN_POLICY, f64::from(sizing.plain_policy_bytes)),
        (COMPRESSED_STATEMENT, f64::from(sizing.compressed_statement_bytes)),
        (COMPRESSED_POLICY, f64::from(sizing.compressed_policy_bytes)),
        (LIMIT, f64::from(sizing.limit_bytes)),
        (NAME, f64::from(sizing.session_name_factor)),
        (IDENTITY_CHAR, f64::from(sizing.source_identity_factor)),
        (IDENTITY, f64::from(sizing.source_identity_overhead_bytes)),
    ];
    for (figure, value) in all {
        if let Some(slot) = figures.get_mut(figure) {
            *slot = value;
        }
    }
    figures
}

/// Figures as a sizing: `prior` with what was fitted in its place.
pub(super) fn sizing(prior: &Sizing, figures: &[f64]) -> Sizing {
    let figure = |at: usize| figures.get(at).copied().unwrap_or_default();
    let whole = |value: f64| value.round().clamp(0.0, 1e9) as u32;
    // Fitted to a thousandth of a byte at most.
    #[allow(clippy::cast_possible_truncation)]
    let short = |value: f64| ((value * 1000.0).round() / 1000.0 + 0.0).clamp(-90_000.0, 90_000.0) as f32;
    Sizing {
        tag_overhead_bytes: whole(figure(TAG)),
        inherited_tag_overhead_bytes: whole(figure(TAG) + figure(INHERITED)),
        policy_arn_bytes: short(figure(ARN).max(0.0)),
        policy_arn_char_bytes: short(figure(ARN_CHAR).max(0.0)),
        plain_statement_bytes: short(figure(PLAIN_STATEMENT)),
        plain_policy_bytes: short(figure(PLAIN_POLICY)),
        compressed_statement_bytes: short(figure(COMPRESSED_STATEMENT)),
        compressed_policy_bytes: short(figure(COMPRESSED_POLICY)),
        limit_bytes: if prior.regime == Regime::PackedPolicy { whole(figure(LIMIT)).max(1) } else { prior.limit_bytes },
        session_name_factor: short(figure(NAME).max(0.0)),
        source_identity_factor: short(figure(IDENTITY_CHAR).max(0.0)),
        source_identity_overhead_bytes: whole(figure(IDENTITY)),
        ..prior.clone()
    }
}

/// The token bases fitted, before those of the prior, which serve the calls of which none was seen.
pub(super) fn token_bases(prior: &Sizing, fitted: Vec<TokenBase>) -> Vec<TokenBase> {
    let is_fitted = |one: &TokenBase| {
        fitted
            .iter()
            .any(|base| (base.operation, base.caller_kind, base.service_linked) == (one.operation, one.caller_kind, one.service_linked))
    };
    let others: Vec<TokenBase> = prior.token_bases.iter().filter(|one| !is_fitted(one)).cloned().collect();
    fitted.into_iter().chain(others).collect()
}

impl Bound {
    /// What the policy takes, and the figures that count in it.
    fn policy(&self, figures: &[f64], sizes: &Sizes, mode: Mode) -> Option<(f64, f64, bool)> {
        let &(plain, compressed, statements) = sizes.of.get(self.policy)?.as_ref()?;
        let figure = |at: usize| figures.get(at).copied().unwrap_or_default();
        let plain_all = plain + figure(PLAIN_STATEMENT) * statements + figure(PLAIN_POLICY);
        let compressed_all = compressed + figure(COMPRESSED_STATEMENT) * statements + figure(COMPRESSED_POLICY);
        let is_compressed = match mode {
            Mode::Plain => false,
            Mode::Smaller => compressed_all < plain_all,
            Mode::Always => true,
        };
        Some((if is_compressed { compressed } else { plain }, statements, is_compressed))
    }

    /// False where the policy's size is not known.
    pub(super) fn is_measured(&self, sizes: &Sizes) -> bool {
        self.policy == usize::MAX || sizes.of.get(self.policy).is_some_and(Option::is_some)
    }

    /// The bound as `terms . figures + known` with its window: writes the terms, gives known less the middle, and half the window.
    pub(super) fn terms(&self, figures: &[f64], sizes: &Sizes, mode: Mode, terms: &mut Terms) -> (f64, f64) {
        terms.used = 0;
        let mut known = self.known;
        terms.add(TAG, self.tags);
        terms.add(INHERITED, self.inherited);
        terms.add(ARN, self.arns);
        terms.add(ARN_CHAR, self.arn_chars);
        if let Some((bytes, statements, is_compressed)) = self.policy(figures, sizes, mode) {
            known += bytes;
            let (each, all) = if is_compressed { (COMPRESSED_STATEMENT, COMPRESSED_POLICY) } else { (PLAIN_STATEMENT, PLAIN_POLICY) };
            terms.add(each, statements);
            terms.add(all, 1.0);
        }
        match self.group {
            Some(group) => {
                terms.add(NAME, self.name);
                if let Some(identity) = self.identity {
                    terms.add(IDENTITY, 1.0);
                    terms.add(IDENTITY_CHAR, identity);
                }
                terms.add(BASES + group, 1.0);
                (known - self.middle, self.half)
            }
            None => {
                terms.add(LIMIT, -self.middle);
                let limit = figures.get(LIMIT).copied().unwrap_or_default();
                (known, self.half * limit)
            }
        }
    }

    /// How far the sum is from the middle of its window, and half the width of that, both in bytes.
    pub(super) fn residual(&self, figures: &[f64], sizes: &Sizes, mode: Mode) -> (f64, f64) {
        let mut terms = Terms::default();
        let (known, half) = self.terms(figures, sizes, mode, &mut terms);
        (known + terms.sum(figures), half)
    }

    /// The window of one figure that puts the sum into its own, the others given; None where the figure does not count.
    pub(super) fn window(&self, figure: usize, figures: &[f64], sizes: &Sizes, mode: Mode) -> Option<(f64, f64)> {
        let mut terms = Terms::default();
        let (known, half) = self.terms(figures, sizes, mode, &mut terms);
        let (_, factor) = terms.iter().find(|&(one, _)| one == figure)?;
        let value = figures.get(figure).copied()?;
        let sum = known + terms.sum(figures);
        if figure == LIMIT {
            // The window itself is of hundredths of the limit.
            let packed = sum + self.middle * value;
            let (least, most) = (self.middle - self.half, self.middle + self.half);
            // Dividing turns the window round, so that it holds the other end.
            let shift = if self.closed_above { 0.0 } else { CLOSE };
            return (most > 0.0).then(|| (packed / most + shift, if least > 0.0 { packed / least + shift } else { f64::INFINITY }));
        }
        let rest = sum - factor * value;
        let (from, to) = ((-half - rest) / factor, (half - rest) / factor);
        let shift = if self.closed_above { CLOSE } else { 0.0 };
        Some((from.min(to) + shift, from.max(to) + shift))
    }
}
