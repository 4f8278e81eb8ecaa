//! Where the strings of a JSON text end, found once for all of them.

use multiversion::multiversion;
use multiversion::target::match_target;

use super::blocks::{self, BLOCK, Masks, Rare};

/// Marks of 64 bytes of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Marks {
    /// Quotes that begin or end a string.
    quotes: u64,
    backslashes: u64,
}

/// The strings of one text; used again for the next, so that its memory is.
#[derive(Debug, Default)]
pub struct Strings {
    marks: Vec<Marks>,
}

impl Strings {
    /// Follows the strings of `text`. False where one of them has a control character or an escape that JSON does not know; what stands between strings is
    /// not looked at.
    pub fn follow(&mut self, text: &str) -> bool {
        self.marks.clear();
        follow(text.as_bytes(), &mut self.marks)
    }

    /// Where the string ends whose text begins at `from`: the first quote there that is not escaped, and whether a backslash stands before it.
    #[inline]
    pub fn end(&self, from: usize) -> Option<(usize, bool)> {
        let marks = self.marks.get(from / BLOCK)?;
        let (quotes, backslashes) = (marks.quotes >> (from % BLOCK), marks.backslashes >> (from % BLOCK));
        if quotes == 0 {
            return self.later_end(from, backslashes != 0);
        }
        Some((from + quotes.trailing_zeros() as usize, backslashes & quotes.wrapping_sub(1) & !quotes != 0))
    }

    fn later_end(&self, from: usize, mut escapes: bool) -> Option<(usize, bool)> {
        let mut start = from / BLOCK * BLOCK;
        for marks in self.marks.get(from / BLOCK + 1..)? {
            start += BLOCK;
            if marks.quotes != 0 {
                escapes |= marks.backslashes & marks.quotes.wrapping_sub(1) & !marks.quotes != 0;
                return Some((start + marks.quotes.trailing_zeros() as usize, escapes));
            }
            escapes |= marks.backslashes != 0;
        }
        None
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq", "x86_64+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq"))]
fn follow(text: &[u8], marks: &mut Vec<Marks>) -> bool {
    match_target! {
        "x86_64+avx512f+avx512bw+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq" => avx512(text, marks),
        "x86_64+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq" => avx2(text, marks),
        _ => portable(text, marks),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
fn avx512(text: &[u8], marks: &mut Vec<Marks>) -> bool {
    use blocks::avx512::{masks, rare, within};
    each(text, marks, |block| masks(block, block), |block| rare(block), |quotes| within(quotes))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
fn avx2(text: &[u8], marks: &mut Vec<Marks>) -> bool {
    use blocks::avx2::{masks, rare, within};
    each(text, marks, |block| masks(block, block), |block| rare(block), |quotes| within(quotes))
}

fn portable(text: &[u8], marks: &mut Vec<Marks>) -> bool {
    use blocks::portable::{masks, rare, within};
    each(text, marks, |block| masks(block, block), rare, within)
}

/// Kept inline, so that it is compiled for the instructions of its caller.
#[inline(always)]
fn each(
    text: &[u8],
    marks: &mut Vec<Marks>,
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    rare: impl Fn(&[u8; BLOCK]) -> Rare,
    within: impl Fn(u64) -> u64,
) -> bool {
    let (blocks, tail) = text.as_chunks::<BLOCK>();
    marks.reserve(blocks.len() + 1);
    let mut last = [b' '; BLOCK];
    if let Some(bytes) = last.get_mut(..tail.len()) {
        bytes.copy_from_slice(tail);
    }
    // All ones where the last block ended within a string; 1 where it ended with a backslash that escapes the next character.
    let (mut in_string, mut escaping) = (0_u64, 0_u64);
    let mut sound = true;
    for (block, at) in blocks.iter().chain([&last]).zip((0..).step_by(BLOCK)) {
        let seen = masks(block);
        let mut quotes = seen.quotes;
        let mut backslashes = 0;
        let mut controls = 0;
        if seen.rare | (escaping != 0) {
            let rare = rare(block);
            let escaped = blocks::escaped(rare.backslashes, &mut escaping);
            sound &= known(text, at, escaped & !(quotes | rare.backslashes));
            quotes &= !escaped;
            (backslashes, controls) = (rare.backslashes, rare.controls);
        }
        let inside = within(quotes) ^ in_string;
        in_string = (inside.cast_signed() >> 63).cast_unsigned();
        sound &= controls & inside == 0;
        marks.push(Marks { quotes, backslashes });
    }
    sound
}

/// Whether JSON knows the escapes of these characters of the block at `offset`, which are neither quotes nor backslashes.
#[inline]
fn known(text: &[u8], offset: usize, mut escaped: u64) -> bool {
    while escaped != 0 {
        let at = offset + escaped.trailing_zeros() as usize;
        escaped &= escaped - 1;
        let known = match text.get(at) {
            Some(b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => text.get(at + 1..at + 5).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
            _ => false,
        };
        if !known {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The strings of a text one after another, by serde_json: where each ends, whether it has escapes, and whether all are sound.
    fn holds(text: &str) {
        let mut strings = Strings::default();
        let sound = strings.follow(text);
        let mut other = Vec::new();
        assert_eq!(portable(text.as_bytes(), &mut other), sound, "{text}");
        assert_eq!(other, strings.marks, "{text}");
        let mut at = 0;
        let mut all_sound = true;
        while let Some(start) = text[at..].find('"').map(|found| at + found) {
            if text[at..start].contains('\\') {
                // A backslash between strings is no JSON; whoever reads the text sees it.
                return;
            }
            assert_eq!(strings.end(at), Some((start, false)), "{text}");
            let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<String>();
            let read = values.next();
            let Some((end, escapes)) = strings.end(start + 1) else {
                assert!(!matches!(read, Some(Ok(_))), "{text}");
                return;
            };
            let inner = &text[start + 1..end];
            assert_eq!(escapes, inner.contains('\\'), "{text}");
            match read {
                Some(Ok(_)) => assert_eq!(start + values.byte_offset(), end + 1, "{text}"),
                _ => all_sound = false,
            }
            at = end + 1;
        }
        assert!(text[at..].contains('\\') || sound == all_sound, "{text}");
    }

    #[test]
    fn strings_end_where_they_end_at_whatever_place_of_a_block() {
        for padding in 0..70 {
            let padding = "p".repeat(padding);
            for string in
                [r#""""#, r#""a\"b""#, r#""\\""#, r#""\\\"\\\\""#, r#""\u00e9é\n\/""#, r#""\x""#, r#""\u12g4""#, "\"\t\"", "\"\u{7f}\""]
            {
                holds(&format!("{padding},{string} , [\"{padding}\", {string}]"));
            }
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_is_for_whoever_takes_the_escapes_out() {
        assert!(Strings::default().follow(r#""\ud800""#));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn strings_are_those_that_serde_json_reads(
            pieces in proptest::collection::vec(prop_oneof![
                8 => Just("\""), 2 => Just("\\"), 3 => Just("\\\""), 1 => Just("\\u00"), 1 => Just("\\u003d"), 1 => Just("e9"), 1 => Just("\\n"),
                3 => Just("a"), 1 => Just("é"), 1 => Just("\n"), 1 => Just("\u{1}"), 2 => Just(","), 3 => Just("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            ], 0..60),
        ) {
            holds(&pieces.concat());
        }
    }
}
