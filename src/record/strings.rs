//! Where the strings of a JSON text end, found once for all of them.

use multiversion::multiversion;
use multiversion::target::match_target;

use super::blocks::{self, BLOCK, Masks, Rare};

/// In the place where a string ends: a backslash stands in it.
const ESCAPES: u32 = 1 << 31;

/// The strings of one text; used again for the next, so that its memory is.
#[derive(Debug, Default)]
pub struct Strings {
    /// Where the quotes stand, each string's first before its last, which has [`ESCAPES`] where it has any; behind those of the text what earlier ones left.
    quotes: Vec<u32>,
    /// Quotes of the text.
    count: usize,
}

/// A string of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of its first quote.
    pub start: usize,
    /// Offset of its last quote.
    pub end: usize,
    /// A backslash stands between them.
    pub escapes: bool,
}

impl Strings {
    /// Follows the strings of `text`. False where one of them does not end, has a control character or has an escape that JSON does not know; what stands between
    /// strings is not looked at. False for a text of 2 GiB, too.
    pub fn follow(&mut self, text: &str) -> bool {
        self.count = 0;
        u32::try_from(text.len()).is_ok_and(|bytes| bytes < ESCAPES) && follow(text.as_bytes(), self)
    }

    /// The string at that place among all of them, from 0.
    #[inline]
    pub fn get(&self, at: usize) -> Option<Span> {
        let (strings, _) = self.quotes.as_chunks::<2>();
        let &[start, end] = strings.get(at).filter(|_| at < self.count / 2)?;
        Some(Span { start: start as usize, end: (end & !ESCAPES) as usize, escapes: end & ESCAPES != 0 })
    }

    /// Room for the quotes of a block.
    #[inline(always)]
    fn room(&mut self) -> Option<&mut [u32; BLOCK]> {
        if self.quotes.len() < self.count + BLOCK {
            self.quotes.resize(self.count + 32 * BLOCK, 0);
        }
        self.quotes.get_mut(self.count..)?.first_chunk_mut()
    }

    /// Takes the quotes of a block that begin or end strings without backslashes.
    #[inline(always)]
    fn take(&mut self, offset: u32, mut quotes: u64) {
        let count = quotes.count_ones() as usize;
        let Some(room) = self.room() else { return };
        // Some more are written than there are, so that it is mostly the same number.
        let (fours, _) = room.as_chunks_mut::<4>();
        for four in fours.iter_mut().take(count.div_ceil(4)) {
            for place in four {
                *place = offset + quotes.trailing_zeros();
                quotes &= quotes.wrapping_sub(1);
            }
        }
        self.count += count;
    }

    /// Takes the quotes of a block with `backslashes`, or with one `before` it in the string that is open; whether one stands in the string that is open behind it.
    fn take_escapes(&mut self, offset: u32, mut quotes: u64, backslashes: u64, before: bool) -> bool {
        let (mut count, mut escapes) = (self.count, before);
        let Some(room) = self.room() else { return false };
        // What of the block lies in the string that is open, or behind the last one.
        let mut rest = u64::MAX;
        for place in room {
            if quotes == 0 {
                break;
            }
            let quote = quotes & quotes.wrapping_neg();
            quotes ^= quote;
            escapes |= backslashes & rest & (quote - 1) != 0;
            rest = !(quote | (quote - 1));
            let ends = count % 2 == 1;
            *place = (offset + quote.trailing_zeros()) | if ends && escapes { ESCAPES } else { 0 };
            escapes = false;
            count += 1;
        }
        self.count = count;
        count % 2 == 1 && (escapes || backslashes & rest != 0)
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq", "x86_64+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq"))]
fn follow(text: &[u8], strings: &mut Strings) -> bool {
    match_target! {
        "x86_64+avx512f+avx512bw+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq" => avx512(text, strings),
        "x86_64+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq" => avx2(text, strings),
        _ => portable(text, strings),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
fn avx512(text: &[u8], strings: &mut Strings) -> bool {
    use blocks::avx512::{masks, rare, within};
    each(text, strings, |block| masks(block, block), |block| rare(block), |quotes| within(quotes))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
fn avx2(text: &[u8], strings: &mut Strings) -> bool {
    use blocks::avx2::{masks, rare, within};
    each(text, strings, |block| masks(block, block), |block| rare(block), |quotes| within(quotes))
}

fn portable(text: &[u8], strings: &mut Strings) -> bool {
    use blocks::portable::{masks, rare, within};
    each(text, strings, |block| masks(block, block), rare, within)
}

/// Kept inline, so that it is compiled for the instructions of its caller.
#[inline(always)]
fn each(
    text: &[u8],
    strings: &mut Strings,
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    rare: impl Fn(&[u8; BLOCK]) -> Rare,
    within: impl Fn(u64) -> u64,
) -> bool {
    let (blocks, tail) = text.as_chunks::<BLOCK>();
    let mut last = [b' '; BLOCK];
    if let Some(bytes) = last.get_mut(..tail.len()) {
        bytes.copy_from_slice(tail);
    }
    // A backslash was met in the string that is open.
    let mut escapes = false;
    // All ones where the last block ended within a string; 1 where it ended with a backslash that escapes the next character.
    let (mut in_string, mut escaping) = (0_u64, 0_u64);
    let mut sound = true;
    for (block, offset) in blocks.iter().chain([&last]).zip((0_u32..).step_by(BLOCK)) {
        let seen = masks(block);
        let mut quotes = seen.quotes;
        let mut backslashes = 0;
        let mut controls = 0;
        if seen.rare | (escaping != 0) {
            let rare = rare(block);
            let escaped = blocks::escaped(rare.backslashes, &mut escaping);
            sound &= known(text, offset as usize, escaped & !(quotes | rare.backslashes));
            quotes &= !escaped;
            (backslashes, controls) = (rare.backslashes, rare.controls);
        }
        let inside = within(quotes) ^ in_string;
        in_string = (inside.cast_signed() >> 63).cast_unsigned();
        sound &= controls & inside == 0;
        if escapes | (backslashes != 0) {
            escapes = strings.take_escapes(offset, quotes, backslashes, escapes);
        } else if quotes != 0 {
            strings.take(offset, quotes);
        }
    }
    sound && in_string == 0
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

    /// The strings of a text one after another, by serde_json: where each begins and ends, whether it has escapes, and whether all are sound.
    fn holds(text: &str) {
        let mut strings = Strings::default();
        let sound = strings.follow(text);
        let mut other = Strings::default();
        assert_eq!(portable(text.as_bytes(), &mut other), sound, "{text}");
        assert_eq!(other.quotes[..other.count], strings.quotes[..strings.count], "{text}");
        let (mut at, mut number) = (0, 0);
        let mut all_sound = true;
        while let Some(start) = text[at..].find('"').map(|found| at + found) {
            if text[at..start].contains('\\') {
                // A backslash between strings is no JSON; whoever reads the text sees it.
                return;
            }
            let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<String>();
            let read = values.next();
            let Some(string) = strings.get(number) else {
                assert!(!sound && !matches!(read, Some(Ok(_))), "{text}");
                return;
            };
            assert_eq!(string.start, start, "{text}");
            assert_eq!(string.escapes, text[start..string.end].contains('\\'), "{text}");
            match read {
                Some(Ok(_)) => assert_eq!(start + values.byte_offset(), string.end + 1, "{text}"),
                _ => all_sound = false,
            }
            (at, number) = (string.end + 1, number + 1);
        }
        assert_eq!(strings.get(number), None);
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
