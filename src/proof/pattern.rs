//! Texts of a policy that stand for many texts of a request: wildcards and variables.

use super::Colons;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Piece {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `${key}` or `${key, 'default'}`; the key in lower case, since [keys have no letter case](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html).
    Variable {
        key: String,
        default: Option<String>,
    },
}

/// Reads a pattern. `wildcards`: whether `*` and `?` are any; `variables`: whether `${` begins a variable, as it does since
/// [version 2012-10-17](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html). None where a variable is of no form that page knows.
pub(super) fn read(text: &str, wildcards: bool, variables: bool) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if variables && let Some(inner) = rest.strip_prefix("${") {
            let (piece, after) = variable(inner)?;
            pieces.push(piece);
            rest = after;
            continue;
        }
        pieces.push(match character {
            '*' if wildcards => Piece::Many,
            '?' if wildcards => Piece::One,
            _ => Piece::Char(character),
        });
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    Some(pieces)
}

/// The variable whose text begins after `${`, and what follows it.
fn variable(inner: &str) -> Option<(Piece, &str)> {
    for escape in ['*', '?', '$'] {
        if let Some(rest) = inner.strip_prefix(escape) {
            return Some((Piece::Char(escape), rest.strip_prefix('}')?));
        }
    }
    let end = inner.find(|c| "${}',*?\"\\".contains(c))?;
    let (key, rest) = inner.split_at_checked(end)?;
    let key = key.trim();
    if key.is_empty() {
        return None;
    }
    let key = key.to_ascii_lowercase();
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((Piece::Variable { key, default: None }, rest));
    }
    let rest = rest.strip_prefix(',')?.trim_start().strip_prefix('\'')?;
    let (default, rest) = rest.split_once('\'')?;
    // Whether wildcards, quotes and variables within a default mean anything is not documented.
    if default.contains(|c| "${}*?".contains(c)) {
        return None;
    }
    let rest = rest.trim_start().strip_prefix('}')?;
    Some((Piece::Variable { key, default: Some(default.to_owned()) }, rest))
}

/// Whether a pattern has a variable.
pub(super) fn is_variable(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. }))
}

/// The least that matching needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Char {
        character: char,
        any_case: bool,
    },
    /// One character; `colon`: even a `:`.
    One {
        colon: bool,
    },
    /// Any number of characters; `colon`: even `:`.
    Many {
        colon: bool,
    },
}

impl Token {
    /// Whether the token may take this character.
    pub(super) fn takes(self, text: char) -> bool {
        match self {
            Token::Char { character, any_case } => character == text || any_case && character.eq_ignore_ascii_case(&text),
            Token::One { colon } | Token::Many { colon } => colon || text != ':',
        }
    }
}

/// Where patterns of a kind stand and how they treat letters and colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// In how many of the first segments between colons it is open whether wildcards cross a colon.
    pub segments: usize,
    /// Whether a pattern that is `*` matches everything whatever the reading.
    pub bare: bool,
    pub any_case: bool,
    pub colons: Colons,
}

/// A pattern under one reading. A variable takes any text, so a pattern that has one matches at most what its tokens match.
pub(super) fn tokens(pieces: &[Piece], manner: Manner) -> Vec<Token> {
    if manner.bare && pieces == [Piece::Many] {
        return vec![Token::Many { colon: true }];
    }
    let variable = is_variable(pieces);
    let mut before = 0;
    let mut tokens = Vec::with_capacity(pieces.len());
    for (place, piece) in pieces.iter().enumerate() {
        let free = variable || before >= manner.segments || manner.colons == Colons::Crossed;
        let last = matches!(pieces.get(place + 1), None | Some(Piece::Char(':')));
        tokens.push(match piece {
            Piece::Char(character) => Token::Char { character: *character, any_case: manner.any_case },
            Piece::One => Token::One { colon: free },
            Piece::Many => Token::Many { colon: free || last && manner.colons == Colons::CrossedAtEnds },
            Piece::Variable { .. } => Token::Many { colon: true },
        });
        before += usize::from(*piece == Piece::Char(':'));
    }
    tokens
}

/// Whether one text matches.
pub(super) fn matches(tokens: &[Token], text: &str) -> bool {
    if tokens.iter().all(|token| !matches!(token, Token::One { colon: false } | Token::Many { colon: false })) {
        matches_freely(tokens, text)
    } else {
        matches_anyhow(tokens, text)
    }
}

/// Where wildcards take everything: after a later `*` an earlier one need not be tried again.
fn matches_freely(tokens: &[Token], text: &str) -> bool {
    let (mut place, mut rest) = (0, text.chars());
    // Where to go on when what follows the last `*` fails.
    let mut retry = None;
    loop {
        let before = rest.clone();
        match (tokens.get(place), rest.next()) {
            (Some(Token::Many { .. }), _) => {
                place += 1;
                rest = before.clone();
                retry = Some((place, before));
                continue;
            }
            (Some(token), Some(character)) if token.takes(character) => {
                place += 1;
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        let Some((after, longer)) = &mut retry else { return false };
        if longer.next().is_none() {
            return false;
        }
        place = *after;
        rest = longer.clone();
    }
}

/// By all beginnings of the pattern that match what was read.
fn matches_anyhow(tokens: &[Token], text: &str) -> bool {
    let mut reached = vec![false; tokens.len() + 1];
    let skip = |reached: &mut Vec<bool>| {
        let mut carried = false;
        for (place, here) in reached.iter_mut().enumerate() {
            *here |= carried;
            carried = *here && matches!(tokens.get(place), Some(Token::Many { .. }));
        }
    };
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    skip(&mut reached);
    for character in text.chars() {
        let mut next = vec![false; tokens.len() + 1];
        for (place, token) in tokens.iter().enumerate() {
            if reached.get(place) == Some(&true) && token.takes(character) {
                let to = if matches!(token, Token::Many { .. }) { place } else { place + 1 };
                if let Some(slot) = next.get_mut(to) {
                    *slot = true;
                }
            }
        }
        skip(&mut next);
        reached = next;
    }
    reached.last() == Some(&true)
}
