//! What compressing the plain form gives: libdeflate, the candidate that fits the public points as well as any (see `docs/packing.md`),
//! and, with the feature `calibrate`, the other candidates that a fit to a user's own logs may choose.

use std::fmt;
use std::str::FromStr;

use libdeflater::{CompressionLvl, Compressor};

/// The codec a policy's plain form goes through, with its level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Codec {
    /// None: a policy takes its plain form.
    #[default]
    None,
    /// A raw deflate stream by libdeflate, level 1 to 12.
    Libdeflate(u8),
    /// A raw deflate stream by zlib (zlib-rs), level 1 to 9.
    #[cfg(feature = "calibrate")]
    Zlib(u8),
    /// A raw LZMA stream with its end marker.
    #[cfg(feature = "calibrate")]
    Lzma {
        /// The encoder's effort, 0 to 9.
        preset: u8,
        /// Bits of the byte before that literals are coded by (`lc`), 0 to 4.
        literal_context: u8,
        /// Bits of the position that everything is coded by (`pb`), 0 to 4.
        position: u8,
    },
    /// A zstd frame, level 1 to 22.
    #[cfg(feature = "calibrate")]
    Zstd(u8),
}

/// A text that names no codec, or one that this build does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no codec of this build: `{0}`")]
pub struct UnknownCodec(String);

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codec::None => f.write_str("none"),
            Codec::Libdeflate(level) => write!(f, "libdeflate {level}"),
            #[cfg(feature = "calibrate")]
            Codec::Zlib(level) => write!(f, "zlib {level}"),
            #[cfg(feature = "calibrate")]
            Codec::Lzma { preset, literal_context, position } => write!(f, "lzma {preset} lc={literal_context} pb={position}"),
            #[cfg(feature = "calibrate")]
            Codec::Zstd(level) => write!(f, "zstd {level}"),
        }
    }
}

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(text: &str) -> Result<Codec, UnknownCodec> {
        let unknown = || UnknownCodec(text.to_owned());
        let number = |text: &str, most: u8| text.parse().ok().filter(|level| (1..=most).contains(level)).ok_or_else(unknown);
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["none"] => Ok(Codec::None),
            ["libdeflate", level] => number(level, 12).map(Codec::Libdeflate),
            #[cfg(feature = "calibrate")]
            ["zlib", level] => number(level, 9).map(Codec::Zlib),
            #[cfg(feature = "calibrate")]
            ["zstd", level] => number(level, 22).map(Codec::Zstd),
            #[cfg(feature = "calibrate")]
            ["lzma", preset, literal_context, position] => {
                let bits = |text: &str, name: &str, most: u8| {
                    text.strip_prefix(name).and_then(|digits| digits.parse().ok()).filter(|&bits: &u8| bits <= most).ok_or_else(unknown)
                };
                let (preset, literal_context, position) =
                    (bits(preset, "", 9)?, bits(literal_context, "lc=", 4)?, bits(position, "pb=", 4)?);
                Ok(Codec::Lzma { preset, literal_context, position })
            }
            _ => Err(unknown()),
        }
    }
}

impl Codec {
    /// Every codec a fit chooses from, the simplest first.
    #[cfg(feature = "calibrate")]
    pub fn candidates() -> Vec<Codec> {
        let lzma = |preset, literal_context, position| Codec::Lzma { preset, literal_context, position };
        let mut candidates = vec![Codec::None];
        candidates.extend((1..=12).map(Codec::Libdeflate));
        candidates.extend((1..=9).map(Codec::Zlib));
        for preset in 0..=9 {
            candidates.extend([lzma(preset, 3, 2), lzma(preset, 3, 0), lzma(preset, 0, 0)]);
        }
        candidates.extend((1..=22).map(Codec::Zstd));
        candidates
    }
}

/// One codec with its buffers, kept between policies: a compressor is many times as dear to make as a policy to compress.
pub(super) struct Encoder {
    codec: Codec,
    kept: Kept,
    out: Vec<u8>,
}

enum Kept {
    Nothing,
    Libdeflate(Compressor),
    #[cfg(feature = "calibrate")]
    Zlib(Box<flate2::Compress>),
    #[cfg(feature = "calibrate")]
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Encoder {
    pub(super) fn new(codec: Codec) -> Encoder {
        let kept = match codec {
            Codec::None => Kept::Nothing,
            Codec::Libdeflate(level) => Kept::Libdeflate(Compressor::new(CompressionLvl::new(i32::from(level)).unwrap_or_default())),
            #[cfg(feature = "calibrate")]
            Codec::Zlib(level) => Kept::Zlib(Box::new(flate2::Compress::new(flate2::Compression::new(u32::from(level)), false))),
            #[cfg(feature = "calibrate")]
            Codec::Lzma { .. } => Kept::Nothing,
            #[cfg(feature = "calibrate")]
            Codec::Zstd(level) => zstd::bulk::Compressor::new(i32::from(level)).map_or(Kept::Nothing, |kept| Kept::Zstd(Box::new(kept))),
        };
        Encoder { codec, kept, out: Vec::new() }
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Length of `input` compressed, in bytes; its own where it is not.
    pub(super) fn compressed_bytes(&mut self, input: &[u8]) -> usize {
        #[cfg(feature = "calibrate")]
        if let Codec::Lzma { preset, literal_context, position } = self.codec {
            return lzma_bytes(input, preset, literal_context, position).unwrap_or(input.len());
        }
        let out = &mut self.out;
        let written = match &mut self.kept {
            Kept::Nothing => None,
            Kept::Libdeflate(compressor) => {
                let bound = compressor.deflate_compress_bound(input.len());
                if out.len() < bound {
                    out.resize(bound, 0);
                }
                // A buffer of the bound's length is never too short, the only error there is.
                compressor.deflate_compress(input, out).ok()
            }
            #[cfg(feature = "calibrate")]
            Kept::Zlib(compress) => {
                compress.reset();
                out.clear();
                // Stored blocks, the worst case, take five bytes for each 16 KiB.
                out.reserve(input.len() + input.len() / 1000 + 64);
                let done = compress.compress_vec(input, out, flate2::FlushCompress::Finish);
                matches!(done, Ok(flate2::Status::StreamEnd)).then_some(out.len())
            }
            #[cfg(feature = "calibrate")]
            Kept::Zstd(compressor) => {
                let bound = zstd::zstd_safe::compress_bound(input.len());
                if out.len() < bound {
                    out.resize(bound, 0);
                }
                compressor.compress_to_buffer(input, out.as_mut_slice()).ok()
            }
        };
        written.unwrap_or(input.len())
    }
}

#[cfg(feature = "calibrate")]
fn lzma_bytes(input: &[u8], preset: u8, literal_context: u8, position: u8) -> Option<usize> {
    use std::io::Write;

    /// Counts what is written.
    struct Count(usize);

    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut options = lzma_rust2::LzmaOptions::with_preset(u32::from(preset));
    // The least there is, and more than any policy: a larger one would be cleared for each.
    options.dict_size = 4096;
    options.lc = u32::from(literal_context);
    options.pb = u32::from(position);
    let mut writer = lzma_rust2::LzmaWriter::new_no_header(Count(0), &options, true).ok()?;
    writer.write_all(input).ok()?;
    writer.finish().ok().map(|count| count.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codecs() -> Vec<Codec> {
        #[cfg(feature = "calibrate")]
        return Codec::candidates();
        #[cfg(not(feature = "calibrate"))]
        return vec![Codec::None, Codec::Libdeflate(3), Codec::Libdeflate(12)];
    }

    #[test]
    fn every_codec_has_a_name_that_names_it() {
        for codec in codecs() {
            assert_eq!(codec.to_string().parse(), Ok(codec));
        }
        for text in ["", "zip 3", "libdeflate", "libdeflate 0", "libdeflate 13", "libdeflate 3 ", "zstd 23", "lzma 3", "lzma 3 lc=9 pb=0"] {
            assert_eq!(text.parse::<Codec>(), Err(UnknownCodec(text.to_owned())));
        }
    }

    #[test]
    fn repeats_cost_little_noise_costs_its_length_and_no_call_leaves_a_trace() {
        let noise: Vec<u8> = (0..200u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for codec in codecs() {
            let mut encoder = Encoder::new(codec);
            let first = encoder.compressed_bytes(&[b'a'; 500]);
            assert_eq!(first < 30, codec != Codec::None, "{codec}: {first}");
            assert!((180..=235).contains(&encoder.compressed_bytes(&noise)), "{codec}");
            assert_eq!(encoder.compressed_bytes(&[b'a'; 500]), first, "{codec}");
        }
    }
}
