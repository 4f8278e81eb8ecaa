//! All patterns of a kind read a text at once: every set of them that some text matches, with a short text for each.
//!
//! A state is the set of places reached in all patterns. In a state only the characters that some pattern waits for differ from one another; all others
//! do the same, so that one of them stands for the rest. Patterns such as `*a*b*c*` can have exponentially many states, hence the bounds.

use std::collections::HashMap;

use super::Doubt;
use super::pattern::Token;

/// States of one automaton.
const MAX_STATES: usize = 20_000;

/// Places in all states together: what bounds time.
const MAX_PLACES: usize = 400_000;

/// Characters tried, in this order, where any will do that no pattern waits for.
const OTHERS: &str = "xyz0123456789abcdefghijklmnopqrstuvwABCDEFGHIJKLMNOPQRSTUVWXYZ-_/.@+=,~#$%&()";

/// The texts that match the same patterns.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// The patterns that match, by number, ascending.
    pub matched: Vec<usize>,
    /// One of the texts.
    pub example: String,
}

struct State {
    places: Vec<u32>,
    parent: usize,
    by: char,
}

/// Every set of patterns that some text matches exactly.
pub(super) fn classes(patterns: &[Vec<Token>], what: &'static str) -> Result<Vec<Class>, Doubt> {
    // Places are numbered through all patterns; the place after a pattern's last token is its end.
    let mut tokens: Vec<Option<Token>> = Vec::new();
    let mut ends: HashMap<u32, usize> = HashMap::new();
    let mut start = Vec::new();
    for (number, pattern) in patterns.iter().enumerate() {
        start.push(tokens.len() as u32);
        tokens.extend(pattern.iter().copied().map(Some));
        ends.insert(tokens.len() as u32, number);
        tokens.push(None);
    }
    let token = |place: u32| tokens.get(place as usize).copied().flatten();
    let close = |places: &mut Vec<u32>| {
        let mut at = 0;
        while let Some(&place) = places.get(at) {
            if matches!(token(place), Some(Token::Many { .. })) {
                places.push(place + 1);
            }
            at += 1;
        }
        places.sort_unstable();
        places.dedup();
    };
    close(&mut start);
    let mut known = HashMap::from([(start.clone(), 0)]);
    let mut states = vec![State { places: start, parent: 0, by: ' ' }];
    let mut classes: HashMap<Vec<usize>, (usize, usize)> = HashMap::new();
    // The empty text is an example only where there is no other: a character that leads back to the start.
    let mut around = None;
    let mut total = 0;
    let mut at = 0;
    while let Some(state) = states.get(at) {
        let matched: Vec<usize> = state.places.iter().filter_map(|place| ends.get(place).copied()).collect();
        let order = classes.len();
        let (_, example) = classes.entry(matched).or_insert((order, at));
        if *example == 0 {
            *example = at;
        }
        for by in successors(&state.places, token) {
            let Some(state) = states.get(at) else { break };
            let mut places: Vec<u32> = Vec::with_capacity(state.places.len());
            for &place in &state.places {
                match token(place) {
                    Some(token) if token.takes(by) => places.push(if matches!(token, Token::Many { .. }) { place } else { place + 1 }),
                    _ => {}
                }
            }
            close(&mut places);
            if at == 0 && places == state.places && around.is_none() {
                around = Some(by);
            }
            if !known.contains_key(&places) {
                total += places.len();
                if states.len() >= MAX_STATES || total > MAX_PLACES {
                    return Err(Doubt::TooMany(what));
                }
                known.insert(places.clone(), states.len());
                states.push(State { places, parent: at, by });
            }
        }
        at += 1;
    }
    let mut classes: Vec<(usize, Class)> = classes
        .into_iter()
        .map(|(matched, (order, state))| {
            let example = if state == 0 { around.map(String::from).unwrap_or_default() } else { text(&states, state) };
            (order, Class { matched, example })
        })
        .collect();
    classes.sort_unstable_by_key(|&(order, _)| order);
    Ok(classes.into_iter().map(|(_, class)| class).collect())
}

/// The characters that lead to states of their own: those waited for, a colon where some wildcard stops at it, and one for all others.
fn successors(places: &[u32], token: impl Fn(u32) -> Option<Token>) -> Vec<char> {
    let mut characters = Vec::new();
    let mut colon = false;
    for &place in places {
        match token(place) {
            Some(Token::Char { character, any_case }) => {
                characters.push(character);
                if any_case && character.is_ascii_alphabetic() {
                    characters.push(character.to_ascii_lowercase());
                    characters.push(character.to_ascii_uppercase());
                }
            }
            Some(Token::One { colon: crosses } | Token::Many { colon: crosses }) => {
                colon |= !crosses;
            }
            None => {}
        }
    }
    if colon {
        characters.push(':');
    }
    let mut seen = Vec::with_capacity(characters.len() + 1);
    for character in characters {
        if !seen.contains(&character) {
            seen.push(character);
        }
    }
    let other = OTHERS.chars().chain('\u{a1}'..).find(|other| !seen.contains(other));
    seen.extend(other);
    seen
}

fn text(states: &[State], mut at: usize) -> String {
    let mut characters = Vec::new();
    while at != 0
        && let Some(state) = states.get(at)
    {
        characters.push(state.by);
        at = state.parent;
    }
    characters.iter().rev().collect()
}
