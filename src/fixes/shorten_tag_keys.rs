//! A tag's key is packed like its value, byte for byte. Whoever reads the tag (`aws:PrincipalTag/key` in policies, the caller's rules,
//! reports) must learn the new key: needs review. Not for requests of more than [`super::MAX_TAGS`] tags, since each key is compared with each.

use super::{Change, Context, Effect, Proposal, State, counted, join, without_effect};
use crate::packing::{Asked, Request};

pub(super) fn rule(_context: &Context<'_>, state: &State) -> Option<Proposal> {
    let inherited_tags = &state.asked.request.inherited_tags;
    let mut changed = state.tags()?.to_vec();
    // Case does not tell keys apart; see `limits::same_key`.
    let inherited: Vec<String> = inherited_tags.iter().map(|(key, _)| key.to_lowercase()).collect();
    let mut lower: Vec<String> = changed.iter().map(|(key, _)| key.to_lowercase()).collect();
    let mut renamed = Vec::new();
    for (index, (key, _)) in changed.iter_mut().enumerate() {
        let taken = |short: &str| {
            let short = short.to_lowercase();
            let others = lower.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, key)| key);
            others.chain(&inherited).any(|other| *other == short)
        };
        let Some(short) = candidates(key).find(|short| short.len() < key.len() && !taken(short)) else { continue };
        renamed.push(format!("`{key}` to `{short}` ({} bytes less)", key.len() - short.len()));
        if let Some(place) = lower.get_mut(index) {
            *place = short.to_lowercase();
        }
        *key = short;
    }
    (!renamed.is_empty()).then(|| Proposal {
        change: Change {
            rule: "shorten-tag-keys",
            effect: Effect::NeedsReview,
            title: format!("shorten {}", counted(renamed.len(), "tag key")),
            detail: join([
                renamed.join(", "),
                "policies that read aws:PrincipalTag or aws:RequestTag must use the new keys".to_owned(),
                without_effect::letter_case(&state.asked.request).unwrap_or_default(),
            ]),
        },
        asked: Asked { request: Request { tags: changed, ..state.asked.request.clone() }, ..state.asked.clone() },
        documents: Vec::new(),
    })
}

/// Short keys for `key`, best first: the initials of its words (the first two letters of a single word), then with a number.
fn candidates(key: &str) -> impl Iterator<Item = String> + use<> {
    let words = words(key);
    let initials: String = match words.as_slice() {
        [word] => word.chars().take(2).collect(),
        many => many.iter().filter_map(|word| word.chars().next()).take(4).collect(),
    };
    let stem = if initials.is_empty() { "t".to_owned() } else { initials.to_lowercase() };
    std::iter::once(stem.clone()).chain((2..100).map(move |number| format!("{stem}{number}")))
}

fn words(key: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut after_lower_case = false;
    for character in key.chars() {
        let starts_word = !character.is_alphanumeric() || (character.is_uppercase() && after_lower_case);
        if starts_word && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_alphanumeric() {
            word.push(character);
        }
        after_lower_case = character.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_keys_come_from_the_words_of_the_key() {
        let first = |key| candidates(key).next().unwrap();
        assert_eq!(first("kubernetes-service-account"), "ksa");
        assert_eq!(first("CostCenter"), "cc");
        assert_eq!(first("department"), "de");
        assert_eq!(first("--"), "t");
        assert_eq!(candidates("team").nth(1).unwrap(), "te2");
    }
}
