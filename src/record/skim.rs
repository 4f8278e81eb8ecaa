//! Passes over the records of a list that cannot be calls, without a closer look at any of them.
//!
//! One pass over the text, 64 bytes at a time, follows strings, escapes and brackets, and looks for what a call has. It stops at the first record that has it,
//! and says where that ends, or at one that is unusual in whatever way, which is for the exact reader. What it passes over, the exact reader would have passed over.

use multiversion::multiversion;
use multiversion::target::match_target;

use super::candidate::{self, STS, Sieve};

/// Bytes looked at in one step: one bit each in a `u64`.
const BLOCK: usize = 64;

/// What may be open at once; a record that may come to more is for the exact reader, which knows the limit.
const DEPTH: u32 = u64::BITS;

/// Where in [`STS`] its first `t` stands, and how far behind it the `z`: two letters at that distance are rarer in logs than any two that stand together.
const FIRST: usize = 1;
const APART: usize = 6;

/// What was passed over, and what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skimmed {
    /// Bytes up to the opening bracket of the record that needs a closer look.
    pub bytes: usize,
    /// Records in these bytes.
    pub records: u64,
    /// Length of the record that follows, where it may be a call and nothing else is unusual about it.
    pub call: Option<usize>,
    /// Something about the record that follows is unusual; false also where the text ends in it or behind it.
    pub unusual: bool,
    /// Control characters were met, as in text that was printed to be read: skimming the rest would stop at each record.
    pub controls: bool,
}

/// Passes over the records that `text` begins with, one after another with nothing but a comma between them.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq", "x86_64+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq"))]
pub fn skim(text: &[u8], sieve: &Sieve) -> Skimmed {
    match_target! {
        "x86_64+avx512f+avx512bw+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq" => avx512::skim(text, sieve),
        "x86_64+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq" => avx2::skim(text, sieve),
        _ => portable::skim(text, sieve),
    }
}

/// What stands where in a block, one bit for each byte.
struct Masks {
    quotes: u64,
    /// `{` and `[`.
    opening: u64,
    /// `}` and `]`.
    closing: u64,
    /// Braces among them, and other characters.
    braces: u64,
    /// A `t` with a `z` where [`STS`] has it.
    sts: u64,
    /// There is a backslash, a control character or a byte that is not ASCII.
    rare: bool,
}

/// Kept inline, so that it is compiled for the instructions of its caller.
#[inline(always)]
fn records(
    text: &[u8],
    sieve: &Sieve,
    masks: impl Fn(&[u8; BLOCK], &[u8; BLOCK]) -> Masks,
    backslashes: impl Fn(&[u8; BLOCK]) -> u64,
    within: impl Fn(u64) -> u64,
) -> Skimmed {
    let mut passed = Skimmed::default();
    let (blocks, _) = text.as_chunks::<BLOCK>();
    let (ahead, _) = text.get(APART..).unwrap_or_default().as_chunks::<BLOCK>();
    // All ones where the last block ended within a string; 1 where it ended with a backslash that escapes the next character.
    let (mut in_string, mut escaping) = (0_u64, 0_u64);
    let mut depth = 0_u32;
    let mut offset = 0_usize;
    // One bit for each open bracket, the innermost lowest: 1 for a brace.
    let mut kinds = 0_u64;
    // Where the record first names STS as its source.
    let mut named = usize::MAX;
    for (block, ahead) in blocks.iter().zip(ahead) {
        let masks = masks(block, ahead);
        let mut quotes = masks.quotes;
        if masks.rare | (escaping != 0) {
            let all = backslashes(block);
            let mut escaped = escaping;
            escaping = 0;
            let mut left = all & !escaped;
            while left != 0 {
                let backslash = left & left.wrapping_neg();
                let next = backslash << 1;
                escaped |= next;
                escaping = u64::from(next == 0);
                left &= !(backslash | next);
            }
            quotes &= !escaped;
            let mut control = false;
            let usual = block.iter().fold(true, |usual, byte| {
                control |= *byte < b' ';
                usual & byte.is_ascii()
            });
            passed.controls |= control;
            if control || !usual || hides(text, offset, all) {
                return Skimmed { unusual: true, ..passed };
            }
        }
        if masks.sts != 0 && named == usize::MAX {
            named = source(text, offset, masks.sts, passed.bytes);
        }
        let within = within(quotes) ^ in_string;
        in_string = (within.cast_signed() >> 63).cast_unsigned();
        let (mut opening, mut closing) = (masks.opening & !within, masks.closing & !within);
        if depth + opening.count_ones() > DEPTH {
            return Skimmed { unusual: true, ..passed };
        }
        // Without a branch on what each one is, since nothing tells beforehand.
        let (mut left, mut mismatched) = (opening | closing, 0_u64);
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let brace = u64::from(masks.braces & bit != 0);
            let opens = opening & bit != 0;
            mismatched |= if (kinds ^ brace) & u64::from(!opens) & 1 == 0 { 0 } else { bit };
            kinds = if opens { kinds << 1 | brace } else { kinds >> 1 };
        }
        if closing.count_ones() < depth {
            depth = depth + opening.count_ones() - closing.count_ones();
        } else {
            // The record may end in this block.
            loop {
                let at = closing.trailing_zeros();
                // Shifted in two steps, since there may be no closing bracket left.
                let before = opening & !(u64::MAX << (at / 2) << (at - at / 2));
                depth += before.count_ones();
                opening ^= before;
                if closing == 0 {
                    break;
                }
                closing &= closing - 1;
                let Some(inner) = depth.checked_sub(1) else { return Skimmed { unusual: true, ..passed } };
                depth = inner;
                if depth == 0 {
                    if mismatched & (u64::MAX >> (63 - at)) != 0 {
                        return Skimmed { unusual: true, ..passed };
                    }
                    let end = offset + at as usize + 1;
                    match text.get(end - 1..end + 2) {
                        Some(b"},{") => {}
                        Some(b"}]}") | None => return passed,
                        Some(_) => return Skimmed { unusual: true, ..passed },
                    }
                    if named < end {
                        if text.get(passed.bytes..end).is_some_and(|record| sieve.names_call(record)) {
                            return Skimmed { call: Some(end - passed.bytes), ..passed };
                        }
                        named = source(text, offset, masks.sts, end);
                    }
                    passed.records += 1;
                    passed.bytes = end + 1;
                }
            }
        }
        if mismatched != 0 {
            return Skimmed { unusual: true, ..passed };
        }
        offset += BLOCK;
    }
    passed
}

/// Whether one of these backslashes of the block at `offset` may begin an escape of a letter that a call to STS has.
#[inline]
fn hides(text: &[u8], offset: usize, mut backslashes: u64) -> bool {
    while backslashes != 0 {
        let at = offset + backslashes.trailing_zeros() as usize;
        backslashes &= backslashes - 1;
        match text.get(at + 1) {
            Some(b'u') => match text.get(at..at + 6) {
                Some(escape) if !candidate::hides(escape) => {}
                _ => return true,
            },
            Some(_) => {}
            None => return true,
        }
    }
    false
}

/// Where the first of these letters of the block at `offset` stands, not before `from`, that is one of [`STS`] as the value of a record's `eventSource`;
/// the largest number if none is.
#[inline]
fn source(text: &[u8], offset: usize, mut letters: u64, from: usize) -> usize {
    while letters != 0 {
        let at = offset + letters.trailing_zeros() as usize;
        letters &= letters - 1;
        if at >= from
            && let Some((before, name)) = at.checked_sub(FIRST).and_then(|start| text.split_at_checked(start))
            && name.starts_with(STS)
            && may_be_value(before)
        {
            return at;
        }
    }
    usize::MAX
}

/// Whether a text that follows `before` may be a value of the key `eventSource`, in a record or in one that is a string itself. A key that is spelt with
/// escapes has been met before.
#[inline]
fn may_be_value(before: &[u8]) -> bool {
    match before {
        [before @ .., b':', b'"'] => before.ends_with(b"\"eventSource\"") || !before.ends_with(b"\""),
        [.., b'\\' | b' ', b'"'] => true,
        _ => false,
    }
}

/// Bits that tell an opening bracket from a closing one, and braces from square brackets by the bit left out.
const FOLD: u8 = !BRACE;
const BRACE: u8 = 0x20;
const OPENING: u8 = b'[';
const CLOSING: u8 = b']';

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use core::arch::x86_64::*;

    use super::{BLOCK, BRACE, CLOSING, FOLD, Masks, OPENING, Sieve, Skimmed};

    #[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
    pub fn skim(text: &[u8], sieve: &Sieve) -> Skimmed {
        super::records(
            text,
            sieve,
            |block, ahead| masks(block, ahead),
            |block| equal(load(block), b'\\'),
            |quotes| super::avx2::within(quotes),
        )
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load(block: &[u8; BLOCK]) -> __m512i {
        // A single load, once compiled.
        let (words, _) = block.as_chunks::<8>();
        let [a, b, c, d, e, f, g, h] = std::array::from_fn(|at| words.get(at).map_or(0, |word| i64::from_le_bytes(*word)));
        _mm512_set_epi64(h, g, f, e, d, c, b, a)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn equal(bytes: __m512i, byte: u8) -> u64 {
        _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte.cast_signed()))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn masks(block: &[u8; BLOCK], ahead: &[u8; BLOCK]) -> Masks {
        let bytes = load(block);
        let folded = _mm512_and_si512(bytes, _mm512_set1_epi8(FOLD.cast_signed()));
        // Bytes that are not ASCII are negative.
        let low = _mm512_cmplt_epi8_mask(bytes, _mm512_set1_epi8(0x20));
        Masks {
            quotes: equal(bytes, b'"'),
            opening: equal(folded, OPENING),
            closing: equal(folded, CLOSING),
            braces: _mm512_test_epi8_mask(bytes, _mm512_set1_epi8(BRACE.cast_signed())),
            sts: _mm512_mask_cmpeq_epi8_mask(equal(bytes, b't'), load(ahead), _mm512_set1_epi8(b'z'.cast_signed())),
            rare: (equal(bytes, b'\\') | low) != 0,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use core::arch::x86_64::*;

    use super::{BLOCK, CLOSING, FOLD, Masks, OPENING, Sieve, Skimmed};

    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
    pub fn skim(text: &[u8], sieve: &Sieve) -> Skimmed {
        super::records(text, sieve, |block, ahead| masks(block, ahead), |block| backslashes(block), |quotes| within(quotes))
    }

    /// Each bit the exclusive or of itself and all lower bits: a product without carries.
    #[inline]
    #[target_feature(enable = "sse2,pclmulqdq")]
    pub fn within(quotes: u64) -> u64 {
        let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, quotes.cast_signed()), _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(block: &[u8; BLOCK]) -> [__m256i; 2] {
        let (words, _) = block.as_chunks::<8>();
        let [a, b, c, d, e, f, g, h] = std::array::from_fn(|at| words.get(at).map_or(0, |word| i64::from_le_bytes(*word)));
        [_mm256_set_epi64x(d, c, b, a), _mm256_set_epi64x(h, g, f, e)]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn equal(bytes: __m256i, byte: u8) -> __m256i {
        _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte.cast_signed()))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn bits([low, high]: [__m256i; 2]) -> u64 {
        let half = |bytes| u64::from(_mm256_movemask_epi8(bytes).cast_unsigned());
        half(low) | half(high) << 32
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn backslashes(block: &[u8; BLOCK]) -> u64 {
        let [low, high] = load(block);
        bits([equal(low, b'\\'), equal(high, b'\\')])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn masks(block: &[u8; BLOCK], ahead: &[u8; BLOCK]) -> Masks {
        let ([low, high], [low_ahead, high_ahead]) = (load(block), load(ahead));
        let fold = |bytes| _mm256_and_si256(bytes, _mm256_set1_epi8(FOLD.cast_signed()));
        let (low_folded, high_folded) = (fold(low), fold(high));
        // Bytes that are not ASCII are negative.
        let rare = |bytes| _mm256_or_si256(equal(bytes, b'\\'), _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes));
        let sts = |bytes, ahead| _mm256_and_si256(equal(bytes, b't'), equal(ahead, b'z'));
        Masks {
            quotes: bits([equal(low, b'"'), equal(high, b'"')]),
            opening: bits([equal(low_folded, OPENING), equal(high_folded, OPENING)]),
            closing: bits([equal(low_folded, CLOSING), equal(high_folded, CLOSING)]),
            // The bit, moved to where a byte's sign stands.
            braces: bits([_mm256_slli_epi16::<2>(low), _mm256_slli_epi16::<2>(high)]),
            sts: bits([sts(low, low_ahead), sts(high, high_ahead)]),
            rare: _mm256_movemask_epi8(_mm256_or_si256(rare(low), rare(high))) != 0,
        }
    }
}

mod portable {
    use wide::u8x16;

    use super::super::structure::prefix_xor;
    use super::{BLOCK, BRACE, CLOSING, FOLD, Masks, OPENING, Sieve, Skimmed};

    pub fn skim(text: &[u8], sieve: &Sieve) -> Skimmed {
        super::records(text, sieve, masks, |block| bits(block, |bytes| equal(bytes, b'\\')), prefix_xor)
    }

    #[inline(always)]
    fn equal(bytes: u8x16, byte: u8) -> u8x16 {
        bytes.simd_eq(u8x16::splat(byte))
    }

    #[inline(always)]
    fn bits(block: &[u8; BLOCK], test: impl Fn(u8x16) -> u8x16) -> u64 {
        let (quarters, _) = block.as_chunks::<16>();
        let bits = |quarter: &[u8; 16]| u64::from(test(u8x16::new(*quarter)).to_bitmask());
        quarters.iter().rev().fold(0, |mask, quarter| mask << 16 | bits(quarter))
    }

    #[inline(always)]
    fn masks(block: &[u8; BLOCK], ahead: &[u8; BLOCK]) -> Masks {
        let fold = |bytes| bytes & u8x16::splat(FOLD);
        // The mask takes the highest bit of each byte, which only other bytes than ASCII have.
        let rare = |bytes: u8x16| bytes | equal(bytes, b'\\') | bytes.simd_eq(bytes.min(u8x16::splat(0x1f)));
        Masks {
            quotes: bits(block, |bytes| equal(bytes, b'"')),
            opening: bits(block, |bytes| equal(fold(bytes), OPENING)),
            closing: bits(block, |bytes| equal(fold(bytes), CLOSING)),
            braces: bits(block, |bytes| equal(bytes & u8x16::splat(BRACE), BRACE)),
            sts: bits(block, |bytes| equal(bytes, b't')) & bits(ahead, |bytes| equal(bytes, b'z')),
            rare: bits(block, rare) != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::structure::{Scan, Scanner};
    use super::*;

    /// Where the value ends that `text` begins with, and whether it may be a call, by the exact scanner.
    fn exact(text: &[u8]) -> Option<(usize, bool)> {
        let mut scanner = Scanner::default();
        let end = match scanner.scan(text) {
            Scan::End(end) => end,
            Scan::More(scanned) => match scanner.scan_tail(&text[scanned..]) {
                Scan::End(end) => scanned + end,
                _ => return None,
            },
            Scan::Bad(..) => return None,
        };
        Some((end, Sieve::default().lets_through(&text[..end], true)))
    }

    /// What is passed over are records that the exact scanner finds as well, and no calls among them; all ways of skimming agree.
    fn holds(text: &[u8]) -> Skimmed {
        let sieve = Sieve::default();
        let passed = skim(text, &sieve);
        assert_eq!(passed, portable::skim(text, &sieve));
        let (mut at, mut records) = (0, 0);
        while at < passed.bytes {
            let (end, call) = exact(&text[at..]).unwrap_or_else(|| panic!("not sound at {at}: {}", String::from_utf8_lossy(text)));
            assert!(!call || !is_source(&text[at..at + end]), "a call at {at}: {}", String::from_utf8_lossy(text));
            assert_eq!(text[at + end], b',');
            (at, records) = (at + end + 1, records + 1);
        }
        assert_eq!((at, records), (passed.bytes, passed.records), "{}", String::from_utf8_lossy(text));
        if let Some(length) = passed.call {
            assert_eq!(exact(&text[at..]), Some((length, true)), "{}", String::from_utf8_lossy(text));
        }
        passed
    }

    /// Whether STS stands in `record` where the value of `eventSource` may.
    fn is_source(record: &[u8]) -> bool {
        let text = String::from_utf8_lossy(record);
        let unescaped = text.replace(['\\', ' '], "");
        unescaped.contains("\"eventSource\":\"sts.amazonaws.com")
    }

    #[test]
    fn skimming_stops_at_calls_and_at_what_is_unusual_and_nowhere_else() {
        let usual = r#"{"a":{"b":["{]\\\"}",{"c":"\u003d"}]},"d":"x.amazonaws.com"}"#;
        let ends = format!("{{\"x\":1}}]}}{}", " ".repeat(100));
        let call = r#"{"eventName":"AssumeRole","eventSource":"sts.amazonaws.com"}"#;
        for (odd, unusual, is_call) in [
            (usual, false, false),
            (call, false, true),
            (r#"{"eventSource" : "sts.amazonaws.com.cn", "eventName":"GetSessionToken"}"#, false, true),
            (r#"{"CloudTrailEvent":"{\"eventSource\":\"sts.amazonaws.com\",\"eventName\":\"AssumeRoot\"}"}"#, false, true),
            (r#"{"detail":{"eventSource":"sts.amazonaws.com","eventName":"GetFederationToken"}}"#, false, true),
            (r#"{"eventName":"GetCallerIdentity","eventSource":"sts.amazonaws.com"}"#, false, false),
            (r#"{"eventName":"AssumeRole","invokedBy":"sts.amazonaws.com"}"#, false, false),
            (r#"{"eventName":"AssumeRole","eventSource":"ssts.amazonaws.com"}"#, false, false),
            (r#"{"eventName":"AssumeRole","eventSource":"\u0073ts.amazonaws.com"}"#, true, false),
            (r#"{"eventName":"AssumeRole","event\u0053ource":"sts.amazonaws.com"}"#, true, false),
            (r#"{"a":"\\u007ats.amazonaws.com"}"#, true, false),
            (r#"{"a":"\u0027"}"#, false, false),
            (r#"{"a":"\u00\u0030"}"#, true, false),
            (r#"{"a":"é"}"#, true, false),
            ("{\"a\":\t1}", true, false),
            (&format!("{}{}", "[".repeat(120), "]".repeat(120)), true, false),
            (r#"{"a":"b]"#, true, false),
            (r#"{"a":[1,2}}"#, true, false),
        ] {
            for padding in 0..70 {
                let text = format!("{usual},{{\"p\":\"{}\"}},{odd},{usual},{ends}", "p".repeat(padding));
                let passed = holds(text.as_bytes());
                assert_eq!((passed.unusual, passed.call.is_some()), (unusual, is_call), "{text}");
                let records = if is_call {
                    2..=2
                } else if unusual {
                    1..=2
                } else {
                    4..=4
                };
                assert!(records.contains(&passed.records), "{} of {text}", passed.records);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_is_skimmed_is_what_the_exact_scanner_finds(
            pieces in proptest::collection::vec(prop_oneof![
                4 => Just("{"), 4 => Just("}"), 4 => Just("},{"), 8 => Just("\""), 2 => Just("\\"), 2 => Just("\\\""), 2 => Just("\\u00"), 1 => Just("\\u003d"), 1 => Just("\\u0073"),
                4 => Just("\"a\":"), 2 => Just("{\"b\":{}}"), 2 => Just("sts.amazonaws.com"), 2 => Just("ts.amaz"), 1 => Just("s3.amazonaws.com"), 4 => Just("\"eventSource\":\"sts.amazonaws.com\""), 1 => Just("\"eventSource\" : \"sts.amazonaws.com\""), 3 => Just("AssumeRole"), 3 => Just(","), 1 => Just("é"), 1 => Just("\n"),
                4 => Just("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), 4 => Just("zzzzzzz"),
            ], 0..60),
        ) {
            let text = format!("{{{}", pieces.concat());
            holds(text.as_bytes());
        }
    }
}
