//! Where a JSON object or array ends, found 64 bytes at a time and without parsing what it holds.

use wide::u8x16;

use super::damage::Reason;

/// Values nested deeper than this are damage; serde_json draws the line at the same depth.
pub const MAX_DEPTH: usize = 127;

/// Bytes looked at in one step: one bit each in a `u64`.
pub const BLOCK: usize = 64;

/// Finds the end of one object or array whose text arrives in pieces.
///
/// Strings and brackets are followed exactly; the grammar between them is the business of whoever parses the value.
#[derive(Debug, Default)]
pub struct Scanner {
    depth: usize,
    /// One bit for each open bracket, the innermost lowest: 1 for `{`.
    kinds: u128,
    /// All ones where the last block ended within a string.
    in_string: u64,
    /// 1 where the last block ended with a backslash that escapes the first character of the next.
    escaping: u64,
    /// A backslash was met, in the value or up to a block after it.
    pub backslash: bool,
    /// A byte that is not ASCII was met, in the value or up to a block after it.
    pub non_ascii: bool,
}

/// What scanning a piece of text came to.
#[derive(Debug)]
pub enum Scan {
    /// The value ends before this offset into the piece.
    End(usize),
    /// The value goes on after this many bytes, a multiple of [`BLOCK`]: scan again from there once there is more.
    More(usize),
    /// Something is wrong at this offset.
    Bad(usize, Reason),
}

impl Scanner {
    /// Goes on with `text`, whose first byte is the value's opening bracket or the byte after those already scanned.
    #[inline]
    pub fn scan(&mut self, text: &[u8]) -> Scan {
        let (blocks, _) = text.as_chunks::<BLOCK>();
        let mut offset = 0;
        for block in blocks {
            match self.block(block) {
                Scan::More(_) => offset += BLOCK,
                Scan::End(end) => return Scan::End(offset + end),
                Scan::Bad(at, reason) => return Scan::Bad(offset + at, reason),
            }
        }
        Scan::More(offset)
    }

    /// Ends with `tail`, the last bytes of the text, fewer than a block.
    pub fn scan_tail(&mut self, tail: &[u8]) -> Scan {
        let mut block = [b' '; BLOCK];
        for (to, from) in block.iter_mut().zip(tail) {
            *to = *from;
        }
        match self.block(&block) {
            Scan::More(_) => Scan::More(tail.len()),
            other => other,
        }
    }

    #[inline(always)]
    fn block(&mut self, block: &[u8; BLOCK]) -> Scan {
        let masks = Masks::of(block);
        self.non_ascii |= masks.non_ascii;
        let mut quotes = masks.quotes;
        let mut suspects = 0;
        if masks.rare | (self.escaping != 0) {
            let rare = Rare::of(block);
            quotes &= !self.escaped(rare.backslashes);
            suspects = rare.controls;
        }
        let in_string = prefix_xor(quotes) ^ self.in_string;
        self.in_string = ((in_string as i64) >> 63) as u64;
        // Where each bad control character stands: any in a string, all but white space outside.
        let bad = if suspects == 0 { 0 } else { suspects & (in_string | !white_space(block)) };

        let mut brackets = masks.brackets & !in_string;
        while brackets != 0 {
            let at = brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            let byte = block.get(at).copied().unwrap_or_default();
            let step = match byte {
                b'{' | b'[' if self.depth == MAX_DEPTH => Err(Reason::Depth(MAX_DEPTH)),
                b'{' | b'[' => {
                    self.depth += 1;
                    self.kinds = self.kinds << 1 | u128::from(byte == b'{');
                    Ok(())
                }
                b'}' | b']' if self.kinds & 1 != u128::from(byte == b'}') => Err(Reason::Bracket),
                b'}' | b']' => {
                    self.depth -= 1;
                    self.kinds >>= 1;
                    Ok(())
                }
                // No bracket: grammar, which is not checked here.
                _ => Ok(()),
            };
            if self.depth == 0 || step.is_err() {
                let before = bad & ((1 << at) - 1);
                return match step {
                    _ if before != 0 => Scan::Bad(before.trailing_zeros() as usize, Reason::Control),
                    Err(reason) => Scan::Bad(at, reason),
                    Ok(()) => Scan::End(at + 1),
                };
            }
        }
        if bad != 0 {
            return Scan::Bad(bad.trailing_zeros() as usize, Reason::Control);
        }
        Scan::More(BLOCK)
    }

    /// The characters that a backslash before them escapes. Each backslash that is not escaped itself escapes the next character.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        self.backslash |= backslashes != 0;
        let mut escaped = self.escaping;
        self.escaping = 0;
        let mut left = backslashes & !escaped;
        while left != 0 {
            let backslash = left & left.wrapping_neg();
            let next = backslash << 1;
            escaped |= next;
            self.escaping = u64::from(next == 0);
            left &= !(backslash | next);
        }
        escaped
    }
}

/// What stands where in a block, one bit for each byte.
struct Masks {
    quotes: u64,
    /// And a few other characters.
    brackets: u64,
    /// There is a backslash or a control character.
    rare: bool,
    non_ascii: bool,
}

impl Masks {
    #[inline(always)]
    fn of(block: &[u8; BLOCK]) -> Masks {
        let (quarters, _) = block.as_chunks::<16>();
        let (mut quotes, mut brackets) = (0, 0);
        let (mut backslash, mut least, mut any) = (u8x16::ZERO, u8x16::MAX, u8x16::ZERO);
        for (quarter, shift) in quarters.iter().zip([0, 16, 32, 48]) {
            let bytes = u8x16::new(*quarter);
            quotes |= u64::from(bytes.simd_eq(u8x16::splat(b'"')).to_bitmask()) << shift;
            // The bits that the four brackets share. `Y`, `_`, `y` and DEL share them as well, and are passed over: none of these stands outside strings in sound JSON.
            let bracket = (bytes & u8x16::splat(0xd9)).simd_eq(u8x16::splat(0x59));
            brackets |= u64::from(bracket.to_bitmask()) << shift;
            backslash |= bytes.simd_eq(u8x16::splat(b'\\'));
            least = least.min(bytes);
            any |= bytes;
        }
        let rare = backslash | least.simd_eq(least.min(u8x16::splat(0x1f)));
        // The mask takes the highest bit of each byte, which only other bytes than ASCII have.
        Masks { quotes, brackets, rare: rare.to_bitmask() != 0, non_ascii: any.to_bitmask() != 0 }
    }
}

/// What only some blocks have.
struct Rare {
    backslashes: u64,
    controls: u64,
}

impl Rare {
    fn of(block: &[u8; BLOCK]) -> Rare {
        let (quarters, _) = block.as_chunks::<16>();
        let (mut backslashes, mut controls) = (0, 0);
        for (quarter, shift) in quarters.iter().zip([0, 16, 32, 48]) {
            let bytes = u8x16::new(*quarter);
            backslashes |= u64::from(bytes.simd_eq(u8x16::splat(b'\\')).to_bitmask()) << shift;
            controls |= u64::from(bytes.simd_eq(bytes.min(u8x16::splat(0x1f))).to_bitmask()) << shift;
        }
        Rare { backslashes, controls }
    }
}

/// Tabs, line feeds and carriage returns. Spaces are no control characters.
fn white_space(block: &[u8; BLOCK]) -> u64 {
    let (quarters, _) = block.as_chunks::<16>();
    let mut mask = 0;
    for (quarter, shift) in quarters.iter().zip([0, 16, 32, 48]) {
        let bytes = u8x16::new(*quarter);
        let white = bytes.simd_eq(u8x16::splat(b'\n')) | bytes.simd_eq(u8x16::splat(b'\r')) | bytes.simd_eq(u8x16::splat(b'\t'));
        mask |= u64::from(white.to_bitmask()) << shift;
    }
    mask
}

/// Each bit the exclusive or of itself and all lower bits: from the quotes of a block, what lies within strings, opening quotes included.
#[inline(always)]
pub fn prefix_xor(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    bits
}
