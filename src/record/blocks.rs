//! What stands where in 64 bytes of JSON text, one bit for each byte, by the instructions that the machine has.
//!
//! Each module has the same functions. They are inlined into loops that are compiled for the same instructions, as [`super::skim`] and [`super::strings`] do.

/// Bytes looked at in one step: one bit each in a `u64`.
pub const BLOCK: usize = 64;

/// The marks of a block that brackets and strings are followed by.
pub struct Masks {
    pub quotes: u64,
    /// `{` and `[`.
    pub opening: u64,
    /// `}` and `]`.
    pub closing: u64,
    /// Braces among them, and other characters.
    pub braces: u64,
    /// A `t` with a `z` [`APART`] bytes behind it.
    pub sts: u64,
    /// There is a backslash, a control character or a byte that is not ASCII: [`Rare`] tells.
    pub rare: bool,
}

/// The marks that only some blocks have.
pub struct Rare {
    pub backslashes: u64,
    /// Control characters.
    pub controls: u64,
    /// Bytes that are not ASCII.
    pub wide: u64,
}

/// How far behind its first `t` the `z` of `sts.amazonaws.com` stands: two letters at that distance are rarer in logs than any two that stand together.
pub const APART: usize = 6;

/// How many bytes behind a block memory is asked for.
#[cfg(target_arch = "x86_64")]
const FETCHED: usize = 2048;

/// Bits that tell an opening bracket from a closing one, and braces from square brackets by the bit left out.
const FOLD: u8 = !BRACE;
const BRACE: u8 = 0x20;
const OPENING: u8 = b'[';
const CLOSING: u8 = b']';

/// The characters that a backslash before them escapes. `escaping` is 1 where the block before ended with such a backslash, and will be where this one does.
///
/// Each backslash that is not escaped itself escapes the next character. Found by one subtraction, which borrows through every run of backslashes: John Keiser
/// and Daniel Lemire's way in simdjson.
#[inline]
pub fn escaped(backslashes: u64, escaping: &mut u64) -> u64 {
    const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
    let open = backslashes & !*escaping;
    let ends = ((open << 1 | ODD).wrapping_sub(open)) ^ ODD;
    let escaped = ends ^ (backslashes | *escaping);
    *escaping = (ends & backslashes) >> 63;
    escaped
}

#[cfg(target_arch = "x86_64")]
pub mod avx512 {
    use core::arch::x86_64::*;

    use super::{BLOCK, BRACE, CLOSING, FOLD, Masks, OPENING, Rare};

    pub use super::avx2::{extract, fetch, within};

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
    pub fn masks(block: &[u8; BLOCK], ahead: &[u8; BLOCK]) -> Masks {
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

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn rare(block: &[u8; BLOCK]) -> Rare {
        let bytes = load(block);
        Rare {
            backslashes: equal(bytes, b'\\'),
            controls: _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)),
            wide: _mm512_movepi8_mask(bytes),
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub mod avx2 {
    use core::arch::x86_64::*;

    use super::{BLOCK, CLOSING, FETCHED, FOLD, Masks, OPENING, Rare};

    /// Each bit the exclusive or of itself and all lower bits: a product without carries.
    #[inline]
    #[target_feature(enable = "sse2,pclmulqdq")]
    pub fn within(quotes: u64) -> u64 {
        let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, quotes.cast_signed()), _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }

    /// Has memory behind `block` brought near while the blocks before it are looked at. The processor does so by itself, but begins anew with every page.
    #[inline]
    #[target_feature(enable = "sse")]
    pub fn fetch(block: &[u8; BLOCK]) {
        _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(FETCHED).cast());
    }

    /// The bits of `bits` that stand where `mask` has one, side by side.
    #[inline]
    #[target_feature(enable = "bmi2")]
    pub fn extract(bits: u64, mask: u64) -> u64 {
        _pext_u64(bits, mask)
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
    pub fn masks(block: &[u8; BLOCK], ahead: &[u8; BLOCK]) -> Masks {
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

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn rare(block: &[u8; BLOCK]) -> Rare {
        let [low, high] = load(block);
        let control = |bytes| _mm256_cmpeq_epi8(bytes, _mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)));
        Rare {
            backslashes: bits([equal(low, b'\\'), equal(high, b'\\')]),
            controls: bits([control(low), control(high)]),
            wide: bits([low, high]),
        }
    }
}

pub mod portable {
    use wide::u8x16;

    use super::{BLOCK, BRACE, CLOSING, FOLD, Masks, OPENING, Rare};

    pub use super::super::structure::prefix_xor as within;

    /// The bits of `bits` that stand where `mask` has one, side by side.
    #[inline(always)]
    pub fn extract(bits: u64, mut mask: u64) -> u64 {
        let (mut extracted, mut to) = (0, 1);
        while mask != 0 {
            let bit = mask & mask.wrapping_neg();
            mask ^= bit;
            extracted |= if bits & bit == 0 { 0 } else { to };
            to <<= 1;
        }
        extracted
    }

    #[inline(always)]
    fn equal(bytes: u8x16, byte: u8) -> u8x16 {
        bytes.simd_eq(u8x16::splat(byte))
    }

    /// The mask takes the highest bit of each byte.
    #[inline(always)]
    fn bits(block: &[u8; BLOCK], test: impl Fn(u8x16) -> u8x16) -> u64 {
        let (quarters, _) = block.as_chunks::<16>();
        let bits = |quarter: &[u8; 16]| u64::from(test(u8x16::new(*quarter)).to_bitmask());
        quarters.iter().rev().fold(0, |mask, quarter| mask << 16 | bits(quarter))
    }

    #[inline(always)]
    fn control(bytes: u8x16) -> u8x16 {
        bytes.simd_eq(bytes.min(u8x16::splat(0x1f)))
    }

    #[inline(always)]
    pub fn masks(block: &[u8; BLOCK], ahead: &[u8; BLOCK]) -> Masks {
        let fold = |bytes| bytes & u8x16::splat(FOLD);
        Masks {
            quotes: bits(block, |bytes| equal(bytes, b'"')),
            opening: bits(block, |bytes| equal(fold(bytes), OPENING)),
            closing: bits(block, |bytes| equal(fold(bytes), CLOSING)),
            braces: bits(block, |bytes| equal(bytes & u8x16::splat(BRACE), BRACE)),
            sts: bits(block, |bytes| equal(bytes, b't')) & bits(ahead, |bytes| equal(bytes, b'z')),
            rare: bits(block, |bytes| bytes | equal(bytes, b'\\') | control(bytes)) != 0,
        }
    }

    #[inline(always)]
    pub fn rare(block: &[u8; BLOCK]) -> Rare {
        Rare { backslashes: bits(block, |bytes| equal(bytes, b'\\')), controls: bits(block, control), wide: bits(block, |bytes| bytes) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escaped_characters_are_those_behind_an_odd_run_of_backslashes(backslashes in any::<u64>(), more in any::<u64>(), before in any::<bool>()) {
            let backslashes = backslashes | more;
            let (mut expected, mut escaping) = (0_u64, before);
            for at in 0..64 {
                if escaping {
                    expected |= 1 << at;
                    escaping = false;
                } else {
                    escaping = backslashes >> at & 1 == 1;
                }
            }
            let mut carried = u64::from(before);
            prop_assert_eq!(escaped(backslashes, &mut carried), expected);
            prop_assert_eq!(carried, u64::from(escaping));
        }

        #[test]
        fn bits_are_extracted_in_order(bits in any::<u64>(), mask in any::<u64>()) {
            let expected = (0..64).filter(|at| mask >> at & 1 == 1).enumerate().fold(0, |all, (to, at)| all | (bits >> at & 1) << to);
            prop_assert_eq!(portable::extract(bits, mask), expected);
        }
    }
}
