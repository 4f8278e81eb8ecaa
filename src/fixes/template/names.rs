//! What a hole of a template holds, guessed from what stands before it: the key of the tag that fills it.

use super::align::{Leaf, Piece, Place};

/// A guess at a hole's name; the better one is the greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Guess {
    rank: u8,
    pub(super) name: String,
}

/// Letters of a name: each is packed with every session.
const NAME_CHARS: usize = 16;

/// The name of the hole behind `before`, the pieces of `leaf` up to it.
pub(super) fn guess(leaf: &Leaf<'_>, before: &[Piece<'_>]) -> Guess {
    let text: String = before
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Hole(_) => "?",
        })
        .collect();
    let mut head = text.splitn(6, ':');
    let service = head.nth(2).filter(|_| text.starts_with("arn:"));
    let (service, path) = match (service, head.nth(2)) {
        (Some(service), Some(path)) => (service, path),
        _ => ("", text.as_str()),
    };
    let mut segments = path.rsplit(['/', ':']);
    let (own, previous) = (segments.next().unwrap_or_default(), segments.next());
    let in_bucket = service == "s3" && segments.next().is_none();
    let named = |rank, name: &str| Guess { rank, name: name.to_owned() };
    if let Some(word) = last_word(own) {
        return Guess { rank: 3, name: word };
    }
    match (service, previous, leaf.place) {
        ("s3", None, _) => named(2, "bucket"),
        ("s3", Some(_), _) if in_bucket => named(2, "prefix"),
        (_, Some(previous), _) if last_word(previous).is_some() => Guess { rank: 3, name: last_word(previous).unwrap_or_default() },
        ("sns", None, _) => named(2, "topic"),
        ("sqs", None, _) => named(2, "queue"),
        (_, _, Place::Condition { key, .. }) => match key.rsplit([':', '/']).next().and_then(last_word) {
            Some(word) => Guess { rank: 1, name: word },
            None => named(0, "value"),
        },
        _ => named(0, "value"),
    }
}

/// The last word of `text`, in lower case and in the singular; None where it ends in no word of two letters and more.
fn last_word(text: &str) -> Option<String> {
    let text = text.trim_end_matches(['-', '_', '.', '=', '@', '+', ' ']);
    let word = text.rsplit(|one: char| !one.is_ascii_alphabetic()).next().filter(|word| word.len() >= 2)?.to_ascii_lowercase();
    let singular = word.strip_suffix('s').filter(|one| one.len() >= 3 && !one.ends_with(['s', 'u', 'i']));
    Some(singular.unwrap_or(&word).chars().take(NAME_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(before: &str, place: Place<'_>) -> String {
        guess(&Leaf { text: "", place }, &[Piece::Text(before)]).name
    }

    #[test]
    fn a_hole_is_named_by_what_stands_before_it() {
        assert_eq!(named("arn:aws:s3:::", Place::Resource), "bucket");
        assert_eq!(named("arn:aws:s3:::data-", Place::Resource), "data");
        assert_eq!(named("arn:aws:s3:::data/", Place::Resource), "prefix");
        assert_eq!(named("arn:aws:s3:::data/tenants/", Place::Resource), "tenant");
        assert_eq!(named("arn:aws:dynamodb:eu-west-1:111122223333:table/", Place::Resource), "table");
        assert_eq!(named("arn:aws:sqs:eu-west-1:111122223333:", Place::Resource), "queue");
        assert_eq!(named("arn:aws:kms:eu-west-1:111122223333:key/42/", Place::Resource), "value");
        let condition = |key| Place::Condition { key, is_arn: false };
        assert_eq!(named("", condition("s3:prefix")), "prefix");
        assert_eq!(named("home/", condition("s3:prefix")), "home");
        assert_eq!(named("", condition("dynamodb:LeadingKeys")), "leadingkey");
        assert_eq!(named("", condition("1")), "value");
    }
}
