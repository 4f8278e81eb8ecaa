//! What compressing the plain form gives: deflate, the candidate that fits the public points as well as any (see `docs/packing.md`).

use libdeflater::{CompressionLvl, Compressor};

/// A deflate compressor with its buffers, kept between policies.
pub(super) struct Deflate {
    level: i32,
    compressor: Compressor,
    out: Vec<u8>,
}

impl Deflate {
    pub(super) fn new(level: u8) -> Deflate {
        let level = i32::from(level);
        let lvl = CompressionLvl::new(level).unwrap_or_default();
        Deflate { level, compressor: Compressor::new(lvl), out: Vec::new() }
    }

    /// Whether this compressor is one of `level`.
    pub(super) fn has_level(&self, level: u8) -> bool {
        self.level == i32::from(level)
    }

    /// Length of `input` as a raw deflate stream, in bytes: no header, no checksum.
    pub(super) fn compressed_bytes(&mut self, input: &[u8]) -> usize {
        let bound = self.compressor.deflate_compress_bound(input.len());
        if self.out.len() < bound {
            self.out.resize(bound, 0);
        }
        // A buffer of the bound's length is never too short, the only error there is.
        self.compressor.deflate_compress(input, &mut self.out).unwrap_or(input.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_cost_little_and_noise_costs_its_length() {
        let mut deflate = Deflate::new(3);
        assert!(deflate.compressed_bytes(&[b'a'; 500]) < 12);
        let noise: Vec<u8> = (0..200u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert!((200..=206).contains(&deflate.compressed_bytes(&noise)));
    }

    #[test]
    fn a_level_that_does_not_exist_falls_back_to_the_default() {
        assert!(Deflate::new(99).compressed_bytes(&[b'a'; 500]) < 12);
    }
}
