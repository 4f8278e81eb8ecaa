//! Policies that differ in values only: which texts of theirs may hold a variable, and where in them the values stand.
//!
//! IAM takes a variable in a resource behind the fifth colon of its ARN, and in what a condition compares as a text or an ARN; nowhere in an action, a partition, a service,
//! a region or an account. Its value is taken as it is: a `*` in it is no wildcard. So a place is one of a document without its wildcards and variables, which must be the same
//! in all. See [policy variables](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html).

use crate::policy::{Clause, Effect, Element, Json, Policy, Scalar, Scalars, Values};

/// A policy document in order, without `Sid`, `Id` and `Version`: what must be the same in all that share a template, and what may differ.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Part<'a> {
    /// Where an element begins, or how many texts follow.
    Mark(u8, usize),
    Text(&'a str),
    Effect(Effect),
    Other(&'a Json),
    Leaf(Leaf<'a>),
}

/// A text that may hold variables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Leaf<'a> {
    pub(super) text: &'a str,
    pub(super) place: Place<'a>,
}

/// Where a leaf stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Resource,
    /// Under this condition key.
    Condition {
        key: &'a str,
        /// Compared as an ARN.
        is_arn: bool,
    },
}

/// Whether conditions with `operator` take variables; Some(true) where they compare ARNs.
fn takes_variables(operator: &str) -> Option<bool> {
    let plain = operator.rsplit_once(':').map_or(operator, |(_, plain)| plain).to_ascii_lowercase();
    match plain.strip_suffix("ifexists").unwrap_or(&plain) {
        "stringequals" | "stringnotequals" | "stringequalsignorecase" | "stringnotequalsignorecase" | "stringlike" | "stringnotlike" => {
            Some(false)
        }
        "arnequals" | "arnnotequals" | "arnlike" | "arnnotlike" => Some(true),
        _ => None,
    }
}

/// The parts of `policy`. A text alone and a list of one are the same.
pub(super) fn parts(policy: &Policy) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for element in &policy.elements {
        match element {
            Element::Version(_) | Element::Id(_) => {}
            Element::Statement(statements) => {
                parts.push(Part::Mark(0, statements.as_slice().len()));
                for statement in statements.as_slice() {
                    parts.push(Part::Mark(1, 0));
                    for clause in &statement.clauses {
                        clause_parts(clause, &mut parts);
                    }
                }
            }
            Element::Other(name, value) => parts.extend([Part::Mark(2, 0), Part::Text(name), Part::Other(value)]),
        }
    }
    parts
}

fn clause_parts<'a>(clause: &'a Clause, parts: &mut Vec<Part<'a>>) {
    let mut texts = |mark: u8, values: &'a Values, part: fn(&'a str) -> Part<'a>| {
        let values = values.as_slice();
        parts.push(Part::Mark(mark, values.len()));
        parts.extend(values.iter().map(|text| part(text)));
    };
    match clause {
        Clause::Sid(_) => {}
        Clause::Effect(effect) => parts.push(Part::Effect(*effect)),
        Clause::Action(values) => texts(3, values, Part::Text),
        Clause::NotAction(values) => texts(4, values, Part::Text),
        Clause::NotResource(values) => texts(5, values, Part::Text),
        Clause::Resource(values) => texts(6, values, |text| Part::Leaf(Leaf { text, place: Place::Resource })),
        Clause::Condition(operators) => {
            parts.push(Part::Mark(7, operators.len()));
            for (operator, keys) in operators {
                parts.extend([Part::Text(operator), Part::Mark(8, keys.len())]);
                let is_arn = takes_variables(operator);
                for (key, scalars) in keys {
                    let scalars = scalars.as_slice();
                    parts.extend([Part::Text(key), Part::Mark(9, scalars.len())]);
                    parts.extend(scalars.iter().map(|scalar| match (scalar, is_arn) {
                        (Scalar::String(text), Some(is_arn)) => Part::Leaf(Leaf { text, place: Place::Condition { key, is_arn } }),
                        _ => Part::Text(scalar.text()),
                    }));
                }
            }
        }
        Clause::Other(name, value) => parts.extend([Part::Mark(10, 0), Part::Text(name), Part::Other(value)]),
    }
}

/// The leaves of `policy` in the order of [`parts`], to change in place.
pub(super) fn leaves_mut(policy: &mut Policy) -> Vec<&mut String> {
    let mut leaves: Vec<&mut String> = Vec::new();
    for clause in policy.statements_mut().flat_map(|statement| &mut statement.clauses) {
        match clause {
            Clause::Resource(Values::One(text)) => leaves.push(text),
            Clause::Resource(Values::Many(texts)) => leaves.extend(texts),
            Clause::Condition(operators) => {
                for (_, keys) in operators.iter_mut().filter(|(operator, _)| takes_variables(operator).is_some()) {
                    for (_, scalars) in keys {
                        let scalars = match scalars {
                            Scalars::One(scalar) => std::slice::from_mut(scalar),
                            Scalars::Many(scalars) => scalars,
                        };
                        leaves.extend(scalars.iter_mut().filter_map(|scalar| match scalar {
                            Scalar::String(text) => Some(text),
                            _ => None,
                        }));
                    }
                }
            }
            _ => {}
        }
    }
    leaves
}

/// A document as its leaves, cut into stretches.
#[derive(Clone)]
pub(super) struct Document<'a> {
    /// The stretches of all leaves, one after the other.
    pub(super) tokens: Vec<Token<'a>>,
}

impl<'a> Document<'a> {
    /// The document of `parts`, with the leaves and how many stretches each has.
    pub(super) fn of(parts: &[Part<'a>]) -> (Document<'a>, Vec<(Leaf<'a>, usize)>) {
        let (mut tokens, mut leaves) = (Vec::new(), Vec::new());
        for part in parts {
            if let Part::Leaf(leaf) = part {
                let before = tokens.len();
                leaf.tokens(&mut tokens);
                leaves.push((*leaf, tokens.len() - before));
            }
        }
        (Document { tokens }, leaves)
    }

    /// The document of `other`, if it is that of `own`, whose stretches are these, but for values.
    pub(super) fn align(&self, own: &[Part<'_>], other: &[Part<'a>]) -> Option<Document<'a>> {
        if own.len() != other.len() {
            return None;
        }
        let mut tokens = Vec::with_capacity(self.tokens.len());
        for (own, other) in own.iter().zip(other) {
            match (own, other) {
                (Part::Leaf(own), Part::Leaf(other)) if own.place == other.place => {
                    let before = tokens.len();
                    other.tokens(&mut tokens);
                    let (own, other) = (self.tokens.get(before..tokens.len())?, tokens.get(before..)?);
                    own.iter().zip(other).all(|(own, other)| own.may_be(other)).then_some(())?;
                }
                (own, other) => (own == other).then_some(())?,
            }
        }
        (tokens.len() == self.tokens.len()).then_some(Document { tokens })
    }

    /// Whether the values of two documents that align have the same segments.
    pub(super) fn has_segments_of(&self, other: &Document<'_>) -> bool {
        self.tokens.iter().zip(&other.tokens).all(|pair| match pair {
            (Token::Open(one), Token::Open(other)) => same_segments(one, other),
            _ => true,
        })
    }
}

fn same_segments(one: &str, other: &str) -> bool {
    let ends = |text: &'_ str| {
        text.bytes()
            .filter(|&byte| is_segment_end(byte))
            .fold((0_u32, 0_u64), |(count, seen), byte| (count + 1, seen.wrapping_mul(3).wrapping_add(1 + u64::from(byte == b'/'))))
    };
    one == other || ends(one) == ends(other)
}

/// A stretch of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Must be the same in all: the head of an ARN, a wildcard, a variable.
    Fixed(&'a str),
    /// May differ; never empty.
    Open(&'a str),
}

impl<'a> Leaf<'a> {
    /// Its stretches in order.
    fn tokens(&self, tokens: &mut Vec<Token<'a>>) {
        let mut rest = self.text;
        if matches!(self.place, Place::Resource | Place::Condition { is_arn: true, .. }) {
            let head = arn_head(rest).unwrap_or(rest.len());
            let (fixed, tail) = rest.split_at_checked(head).unwrap_or((rest, ""));
            tokens.push(Token::Fixed(fixed));
            rest = tail;
        }
        while !rest.is_empty() {
            let open = rest.find(['*', '?', '$']).unwrap_or(rest.len());
            let (text, tail) = rest.split_at_checked(open).unwrap_or((rest, ""));
            if !text.is_empty() {
                tokens.push(Token::Open(text));
            }
            let end = if tail.starts_with("${") { tail.find('}').map_or(tail.len(), |end| end + 1) } else { tail.len().min(1) };
            let (fixed, tail) = tail.split_at_checked(end).unwrap_or((tail, ""));
            if !fixed.is_empty() {
                tokens.push(Token::Fixed(fixed));
            }
            rest = tail;
        }
    }
}

impl Token<'_> {
    /// Whether two stretches may stand in the same place of a template.
    fn may_be(&self, other: &Token<'_>) -> bool {
        matches!((self, other), (Token::Open(_), Token::Open(_))) || self == other
    }
}

/// Bytes of an ARN up to its fifth colon; None for other texts.
fn arn_head(text: &str) -> Option<usize> {
    if !text.starts_with("arn:") {
        return None;
    }
    text.match_indices(':').nth(4).map(|(at, _)| at + 1)
}

fn is_segment_end(byte: u8) -> bool {
    matches!(byte, b'/' | b':')
}

/// A stretch of a template's leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// The value that each policy has here.
    Hole(Vec<&'a str>),
}

/// The pieces of the stretches `from..to` of documents that align. What differs is a hole.
pub(super) fn pieces<'a>(documents: &[&Document<'a>], from: usize, to: usize) -> Vec<Piece<'a>> {
    let Some((first, _)) = documents.split_first() else { return Vec::new() };
    let mut pieces = Vec::new();
    for at in from..to {
        match first.tokens.get(at) {
            Some(Token::Fixed(text)) => pieces.push(Piece::Text(text)),
            Some(Token::Open(_)) => {
                let value = |document: &&Document<'a>| match document.tokens.get(at) {
                    Some(Token::Open(text)) => Some(*text),
                    _ => None,
                };
                segments(documents.iter().filter_map(value).collect(), &mut pieces);
            }
            None => {}
        }
    }
    pieces
}

/// Segment by segment where all have the same, else as one.
fn segments<'a>(mut values: Vec<&'a str>, pieces: &mut Vec<Piece<'a>>) {
    let Some(&first) = values.first() else { return };
    if values.iter().all(|value| *value == first) {
        pieces.push(Piece::Text(first));
        return;
    }
    if !values.iter().all(|value| same_segments(first, value)) {
        return shrink(&values, pieces);
    }
    let mut column = Vec::with_capacity(values.len());
    while values.first().is_some_and(|rest| !rest.is_empty()) {
        column.clear();
        for rest in &mut values {
            let end = rest.bytes().position(is_segment_end).map_or(rest.len(), |at| at + 1);
            let (segment, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
            column.push(segment);
            *rest = tail;
        }
        shrink(&column, pieces);
    }
    // Where the first ends in a delimiter and others go on.
    if values.iter().any(|rest| !rest.is_empty()) {
        shrink(&values, pieces);
    }
}

/// A hole for the middle that differs, from boundary to boundary.
fn shrink<'a>(values: &[&'a str], pieces: &mut Vec<Piece<'a>>) {
    let Some(&first) = values.first() else { return };
    if values.iter().all(|value| *value == first) {
        pieces.push(Piece::Text(first));
        return;
    }
    let shortest = values.iter().map(|value| value.len()).min().unwrap_or(0);
    let front = front_bytes(values, first);
    let back = back_bytes(values, first, front);
    let (front, back) = if shortest > front + back {
        (front, back)
    } else {
        // Something must be left for the hole in each.
        let back = back_bytes(values, first, 0);
        (0, if shortest > back { back } else { 0 })
    };
    let text = |from: usize, to: usize| first.get(from..to).filter(|text| !text.is_empty()).map(Piece::Text);
    pieces.extend(text(0, front));
    pieces.push(Piece::Hole(values.iter().map(|value| value.get(front..value.len() - back).unwrap_or_default()).collect()));
    pieces.extend(text(first.len() - back, first.len()));
}

/// Bytes that all begin with, up to the last boundary.
fn front_bytes(values: &[&str], first: &str) -> usize {
    let agreed = |value: &str, most: usize| first.bytes().zip(value.bytes()).take(most).take_while(|(one, other)| one == other).count();
    let mut front = values.iter().fold(first.len(), |most, value| agreed(value, most));
    while front > 0 {
        let before = first.get(..front).unwrap_or_default();
        let word = before.rsplit(is_delimiter).next().unwrap_or_default();
        let is_word = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let before_digit = || values.iter().all(|value| value.as_bytes().get(front).is_some_and(u8::is_ascii_digit));
        // Behind a delimiter, or where digits follow a word in all.
        if before.ends_with(is_delimiter) || (is_word && before_digit()) {
            break;
        }
        front -= 1;
    }
    front
}

/// Bytes that all end with, from a delimiter on, `front` bytes left out.
fn back_bytes(values: &[&str], first: &str, front: usize) -> usize {
    let agreed = |value: &str, most: usize| {
        first.bytes().rev().zip(value.bytes().rev()).take(most.min(value.len() - front)).take_while(|(one, other)| one == other).count()
    };
    let mut back = values.iter().fold(first.len() - front, |most, value| agreed(value, most));
    while back > 0 && !first.get(first.len() - back..).is_some_and(|tail| tail.starts_with(is_delimiter)) {
        back -= 1;
    }
    back
}

fn is_delimiter(character: char) -> bool {
    matches!(character, '/' | ':' | '-' | '.' | '_' | '=' | '+' | '@' | ' ')
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn documents<'a>(texts: &[&'a str], place: Place<'a>) -> Vec<Document<'a>> {
        texts.iter().map(|text| Document::of(&[Part::Leaf(Leaf { text, place })]).0).collect()
    }

    fn of_documents<'a>(documents: &[Document<'a>]) -> Vec<Piece<'a>> {
        let documents: Vec<&Document<'a>> = documents.iter().collect();
        pieces(&documents, 0, documents[0].tokens.len())
    }

    fn of_texts<'a>(texts: &[&'a str], place: Place<'a>) -> String {
        let documents = documents(texts, place);
        of_documents(&documents)
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => (*text).to_owned(),
                Piece::Hole(values) => format!("<{}>", values.join("|")),
            })
            .collect()
    }

    const PREFIX: Place<'_> = Place::Condition { key: "s3:prefix", is_arn: false };

    #[test]
    fn a_hole_shrinks_to_what_differs_from_boundary_to_boundary() {
        assert_eq!(
            of_texts(&["arn:aws:s3:::b/tenant-42/*", "arn:aws:s3:::b/tenant-43/*"], Place::Resource),
            "arn:aws:s3:::b/tenant-<42|43>/*"
        );
        assert_eq!(of_texts(&["t/42/set/9", "t/7/set/10"], PREFIX), "t/<42|7>/set/<9|10>");
        assert_eq!(of_texts(&["tenant41", "tenant42", "tenant5"], PREFIX), "tenant<41|42|5>");
        assert_eq!(of_texts(&["acme-prod", "apex-prod"], PREFIX), "<acme|apex>-prod");
        assert_eq!(of_texts(&["a/b", "a/b/c"], PREFIX), "a/<b|b/c>");
        assert_eq!(of_texts(&["x-a", "x-a-b"], PREFIX), "x-<a|a-b>");
        assert_eq!(of_texts(&["x-", "x-a"], PREFIX), "<x-|x-a>");
        assert_eq!(of_texts(&["é1/ü", "è1/ü"], PREFIX), "<é1|è1>/ü");
    }

    #[test]
    fn heads_of_arns_wildcards_and_variables_are_never_in_a_hole() {
        let part = |text| [Part::Leaf(Leaf { text, place: Place::Resource })];
        let skeleton = |one, other| Document::of(&part(one)).0.align(&part(one), &part(other)).is_some();
        assert!(skeleton("arn:aws:sqs:eu-west-1:111122223333:a", "arn:aws:sqs:eu-west-1:111122223333:b"));
        assert!(!skeleton("arn:aws:sqs:eu-west-1:111122223333:a", "arn:aws:sqs:eu-west-2:111122223333:a"));
        assert!(!skeleton("arn:aws:s3:::a/*", "arn:aws:s3:::a/?"));
        assert!(!skeleton("arn:aws:s3:::a*", "arn:aws:s3:::*"));
        assert!(!skeleton("arn:aws:s3:::${aws:username}", "arn:aws:s3:::${aws:userid}"));
        assert!(skeleton("arn:aws:s3:::a/${aws:username}", "arn:aws:s3:::b/${aws:username}"));
        assert!(!skeleton("*", "arn:aws:s3:::b"));
        assert_eq!(
            Document::of(&part("arn:aws:s3:::a${b")).0.tokens,
            [Token::Fixed("arn:aws:s3:::"), Token::Open("a"), Token::Fixed("${b")]
        );
    }

    #[test]
    fn variables_go_where_texts_and_arns_are_compared() {
        assert_eq!(takes_variables("ForAnyValue:StringLikeIfExists"), Some(false));
        assert_eq!(takes_variables("ArnLike"), Some(true));
        for operator in ["IpAddress", "NumericEquals", "Bool", "Null", "DateLessThan", "BinaryEquals"] {
            assert_eq!(takes_variables(operator), None);
        }
    }

    proptest! {
        #[test]
        fn a_template_with_its_values_gives_each_text(texts in vec("[ab1é]{1,3}([-/:][ab1é]{1,2}){0,3}", 1..6), star in any::<bool>()) {
            let texts: Vec<String> = texts.into_iter().map(|text| if star { format!("{text}*") } else { text }).collect();
            let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
            let pieces = of_documents(&documents(&borrowed, PREFIX));
            for (index, text) in texts.iter().enumerate() {
                let back: String = pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => *text,
                    Piece::Hole(values) => values[index],
                }).collect();
                prop_assert_eq!(&back, text);
            }
            for piece in &pieces {
                if let Piece::Hole(values) = piece {
                    prop_assert!(values.iter().all(|value| !value.is_empty() && !value.contains('*')));
                }
            }
        }
    }
}
