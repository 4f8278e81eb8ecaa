//! What a hidden sizing function may compress with.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;

use flate2::{Compress, Compression, FlushCompress};

use super::rng::Rng;

/// A codec, and what it is set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Codec {
    /// Nothing is compressed.
    None,
    /// libdeflate, level 1 to 12.
    Libdeflate(i32),
    /// zlib-rs, level 1 to 9, without header.
    Zlib(u32),
    /// A raw LZMA stream with an end marker: preset, `lc`, `pb`.
    Lzma(u32, u32, u32),
    /// zstd, level 1 to 22.
    Zstd(i32),
    /// Deflate at level 9 that begins with words of policies in its window.
    Words,
    /// brotli, quality 5 or 11.
    Brotli(u32),
    /// bzip2 at its best.
    Bzip2,
    /// As many bits as each byte's frequency in the text deserves, and a byte for each different one.
    Entropy,
}

/// What [`Codec::Words`] knows before the first byte.
const WORDS: &[u8] = b"dynamodb:GetItemdynamodb:Querykms:Decryptkms:GenerateDataKeyaws:PrincipalTag/aws:ResourceTag/StringEqualsStringLike\
s3:prefixs3:GetBucketLocations3:DeleteObjects3:ListBuckets3:PutObjects3:GetObjectVersions3:GetObjectarn:aws:s3:::arn:aws:iam::2012-10-17";

impl Codec {
    /// One of those a fit may find.
    pub fn draw(rng: &mut Rng) -> Codec {
        match rng.whole(0, 9) {
            0 => Codec::None,
            1..=3 => Codec::Libdeflate(rng.whole(1, 12) as i32),
            4 | 5 => Codec::Zlib(rng.whole(1, 9) as u32),
            6 | 7 => {
                let (literal_context, position) = *rng.pick(&[(3, 2), (3, 0), (0, 0)]);
                Codec::Lzma(rng.whole(0, 9) as u32, literal_context, position)
            }
            _ => Codec::Zstd(rng.whole(1, 22) as i32),
        }
    }

    /// Bytes that `plain` takes.
    pub fn bytes(self, plain: &[u8]) -> usize {
        match self {
            Codec::None => plain.len(),
            Codec::Libdeflate(level) => libdeflate(plain, level),
            Codec::Zlib(level) => zlib(plain, level, &[]),
            Codec::Lzma(preset, literal_context, position) => {
                let mut options = lzma_rust2::LzmaOptions::with_preset(preset);
                (options.dict_size, options.lc, options.pb) = (4096, literal_context, position);
                let mut writer = lzma_rust2::LzmaWriter::new_no_header(Vec::new(), &options, true).unwrap();
                writer.write_all(plain).unwrap();
                writer.finish().unwrap().len()
            }
            Codec::Zstd(level) => zstd::bulk::compress(plain, level).unwrap().len(),
            Codec::Words => zlib(plain, 9, WORDS),
            Codec::Brotli(quality) => {
                let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, quality, 16);
                writer.write_all(plain).unwrap();
                writer.into_inner().len()
            }
            Codec::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap().len()
            }
            Codec::Entropy => entropy(plain),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Codec::Libdeflate(level) => format!("libdeflate {level}"),
            Codec::Zlib(level) => format!("zlib {level}"),
            Codec::Lzma(preset, literal_context, position) => format!("lzma {preset} lc={literal_context} pb={position}"),
            Codec::Zstd(level) => format!("zstd {level}"),
            Codec::Brotli(quality) => format!("brotli {quality}"),
            other => format!("{other:?}").to_lowercase(),
        };
        f.pad(&name)
    }
}

fn libdeflate(plain: &[u8], level: i32) -> usize {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).unwrap());
    let mut out = vec![0; compressor.deflate_compress_bound(plain.len())];
    compressor.deflate_compress(plain, &mut out).unwrap()
}

/// With `words` in the window a deflate stream begins with a flush, so that they can be cut off again.
fn zlib(plain: &[u8], level: u32, words: &[u8]) -> usize {
    thread_local! {
        static COMPRESS: RefCell<Option<(u32, Compress)>> = const { RefCell::new(None) };
    }
    COMPRESS.with_borrow_mut(|kept| {
        let (_, compress) = match kept.take() {
            Some((same, mut compress)) if same == level => {
                compress.reset();
                kept.insert((level, compress))
            }
            _ => kept.insert((level, Compress::new(Compression::new(level), false))),
        };
        let mut out = vec![0; plain.len() + words.len() + 200];
        if !words.is_empty() {
            compress.compress(words, &mut out, FlushCompress::Sync).unwrap();
        }
        let before = compress.total_out();
        compress.compress(plain, &mut out, FlushCompress::Finish).unwrap();
        (compress.total_out() - before) as usize
    })
}

fn entropy(plain: &[u8]) -> usize {
    let mut counts = [0u32; 256];
    plain.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let seen = counts.iter().filter(|count| **count > 0);
    let bits: f64 = seen.clone().map(|count| f64::from(*count) * (plain.len() as f64 / f64::from(*count)).log2()).sum();
    (bits / 8.0).ceil() as usize + seen.count()
}
