//! The text of a log file, inflated where needed, through a window that slides over it.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};
use memchr::memmem;

use super::Limits;
use super::damage::{Offset, Reason};

/// Bytes read from a file at a time where it is not read in one go.
const INPUT_BYTES: usize = 64 << 10;

/// Deflate cannot compress further than this.
const MAX_DEFLATE_RATIO: usize = 1032;

/// A gzip member ends with its checksum and the size of what it inflates to.
const TRAILER_BYTES: usize = 8;

/// Of these, the size.
const SIZE_BYTES: usize = 4;

/// Why reading stops: turned into damage once it is known how many records came before.
#[derive(Debug)]
pub struct Stop {
    pub reason: Reason,
    pub offset: Offset,
    /// How much of the text is sound; `None` where that is all there is of it.
    pub sound: Option<u64>,
}

/// The result of whatever may meet the damage in a file.
pub type Step<T> = Result<T, Stop>;

/// Memory that is used again for the next file.
#[derive(Default)]
pub struct Buffers {
    /// The file's bytes. All of it is initialised; how much of it holds something is for [`Text`] to know.
    input: Vec<u8>,
    /// The inflated text, likewise.
    text: Vec<u8>,
    whole: Option<libdeflater::Decompressor>,
    stream: Option<Decompress>,
}

impl Buffers {
    pub fn capacity_bytes(&self) -> usize {
        self.input.capacity() + self.text.capacity()
    }

    /// Gives back what an uncommonly large record took.
    pub fn shrink(&mut self, limits: &Limits) {
        let most = limits.whole_bytes.max(2 * limits.chunk_bytes);
        for buffer in [&mut self.input, &mut self.text] {
            if buffer.len() > most {
                buffer.truncate(most);
                buffer.shrink_to_fit();
            }
        }
    }
}

/// Where the text comes from, once what is in the window is used up.
enum Feed {
    /// Nothing follows.
    End,
    /// The file is text.
    Plain,
    /// Within a gzip member.
    Member,
    /// After a gzip member's data, before its checksum and size.
    Trailer,
    /// Before the first gzip member or after one: another one, or the end.
    Between,
    /// What was met when the window was last filled. The text before it is in the window.
    Stopped(Option<Stop>),
}

/// The text of one file: a window on it, and a position.
///
/// Positions are offsets into the whole text, so that they stay what they are when the window slides.
pub struct Text<'a> {
    buffers: &'a mut Buffers,
    limits: &'a Limits,
    content: &'a mut dyn Read,
    feed: Feed,
    gzip: bool,
    /// Bytes of the file, where that is known beforehand.
    file_bytes: Option<u64>,
    /// Bytes read from the file so far.
    read: u64,
    /// The part of the input buffer that is not yet used.
    input: std::ops::Range<usize>,
    input_ended: bool,
    /// Of what the current gzip member inflated to so far.
    checksum: libdeflater::Crc,
    member_bytes: u64,
    /// Bytes of the text buffer that are in the window.
    filled: usize,
    /// Position of the window's first byte.
    base: u64,
    position: u64,
    /// The window does not slide past this.
    hold: Option<u64>,
}

impl<'a> Text<'a> {
    /// Reads the first bytes of `content`, all of them where they are few, and tells whether they are gzip.
    pub fn open(buffers: &'a mut Buffers, limits: &'a Limits, content: &'a mut dyn Read, file_bytes: Option<u64>) -> Text<'a> {
        let mut text = Text {
            buffers,
            limits,
            content,
            feed: Feed::Plain,
            gzip: false,
            file_bytes,
            read: 0,
            input: 0..0,
            input_ended: false,
            checksum: libdeflater::Crc::new(),
            member_bytes: 0,
            filled: 0,
            base: 0,
            position: 0,
            hold: None,
        };
        if let Err(error) = text.start() {
            text.feed = Feed::Stopped(Some(Stop { reason: Reason::Io(error), offset: Offset::File(text.read), sound: None }));
        }
        text
    }

    fn start(&mut self) -> io::Result<()> {
        // One byte more than the file has, so that its end is seen before the buffer's.
        let whole = self.file_bytes.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes <= self.limits.whole_bytes);
        let wanted = whole.map_or(INPUT_BYTES, |bytes| bytes + 1).max(INPUT_BYTES);
        // The magic number takes two bytes, and a pipe may give one at a time.
        let least = if whole.is_some() { wanted } else { 2 };
        while self.input.end < least && !self.input_ended {
            self.read_input(wanted)?;
        }
        let Some(magic) = self.buffers.input.get(..self.input.end) else {
            return Ok(());
        };
        self.gzip = magic.starts_with(&[0x1f, 0x8b]);
        if self.gzip {
            self.feed = Feed::Between;
            if self.input_ended {
                self.inflate_whole();
            }
        } else if self.input_ended {
            std::mem::swap(&mut self.buffers.input, &mut self.buffers.text);
            self.filled = self.input.end;
            self.input = 0..0;
            self.feed = Feed::End;
        }
        Ok(())
    }

    /// Inflates the file in one go if it is sure to be one gzip member of moderate size; else leaves it to be inflated piece by piece.
    fn inflate_whole(&mut self) {
        let Some(input) = self.buffers.input.get(self.input.clone()) else {
            return;
        };
        // The last bytes of a member are the size of what it inflates to. They may lie, and may belong to a later member than the first.
        let Some(trailer) = input.last_chunk::<SIZE_BYTES>() else {
            return;
        };
        let Ok(size) = usize::try_from(u32::from_le_bytes(*trailer)) else {
            return;
        };
        if size == 0 || size > self.limits.whole_bytes || size / MAX_DEFLATE_RATIO > input.len() {
            return;
        }
        // libdeflate stops after the first member and does not say where that was. But it makes sure that the checksum and the size of what it inflates stand behind it:
        // where that size stands nowhere but at the end of the file, nothing follows, be it sound or damaged. Where it stands elsewhere by chance, inflating
        // piece by piece is right as well.
        if memmem::find(input, trailer) != Some(input.len() - SIZE_BYTES) {
            return;
        }
        if self.buffers.text.len() < size {
            self.buffers.text.resize(size, 0);
        }
        let Some(output) = self.buffers.text.get_mut(..size) else {
            return;
        };
        let inflater = self.buffers.whole.get_or_insert_with(libdeflater::Decompressor::new);
        if inflater.gzip_decompress(input, output).is_ok_and(|inflated| inflated == size) {
            self.filled = size;
            self.input.start = self.input.end;
            self.feed = Feed::End;
        }
    }

    /// Reads more of the file behind what the input buffer holds, up to `most` bytes in all.
    fn read_input(&mut self, most: usize) -> io::Result<()> {
        if self.buffers.input.len() < most {
            self.buffers.input.resize(most, 0);
        }
        let Some(free) = self.buffers.input.get_mut(self.input.end..) else {
            return Ok(());
        };
        let bytes = read_some(self.content, free)?;
        self.input.end += bytes;
        self.read += bytes as u64;
        self.input_ended = bytes == 0;
        Ok(())
    }

    /// Bytes read from the file so far.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Bytes of text so far.
    pub fn bytes_inflated(&self) -> u64 {
        self.base + self.filled as u64
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes to `position`, which must lie in the window.
    pub fn go_to(&mut self, position: u64) {
        self.position = position;
    }

    /// Keeps the text from here on in the window until [`Text::release`]. False where text from further back is held already.
    pub fn hold(&mut self) -> bool {
        let free = self.hold.is_none();
        if free {
            self.hold = Some(self.position);
        }
        free
    }

    pub fn release(&mut self) {
        self.hold = None;
    }

    /// The text that is held, as far as it was read and is sound.
    pub fn held(&self, stop: &Stop) -> Option<&[u8]> {
        self.hold.map(|hold| self.between(hold, stop.sound.unwrap_or(u64::MAX).min(self.bytes_inflated())))
    }

    /// What the window has from `position` on.
    pub fn from(&self, position: u64) -> &[u8] {
        let start = usize::try_from(position.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.buffers.text.get(start..self.filled).unwrap_or_default()
    }

    /// The text from `start` to `end`, both in the window.
    pub fn between(&self, start: u64, end: u64) -> &[u8] {
        let bytes = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        self.from(start).get(..bytes).unwrap_or_default()
    }

    /// The byte at the position; `None` at the end of the text.
    #[inline]
    pub fn peek(&mut self) -> Step<Option<u8>> {
        loop {
            if let Some(byte) = self.from(self.position).first() {
                return Ok(Some(*byte));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// What is wrong at `position` of the text.
    pub fn stop_at(&self, position: u64, reason: Reason) -> Stop {
        let offset = if self.gzip { Offset::Text(position) } else { Offset::File(position) };
        Stop { reason, offset, sound: Some(position) }
    }

    /// Meets `stop` again later, if it is the file's and not the text's: what is wrong with the text will be found again.
    pub fn put_back(&mut self, stop: Stop) {
        let again = matches!(
            stop.reason,
            Reason::Io(_) | Reason::GzipTruncated | Reason::GzipDamaged | Reason::GzipTrailer | Reason::GzipBomb { .. }
        );
        if again {
            self.feed = Feed::Stopped(Some(stop));
        }
    }

    /// Slides the window on and fills it; false at the end of the text.
    pub fn more(&mut self) -> Step<bool> {
        match &mut self.feed {
            Feed::End => return Ok(false),
            Feed::Stopped(stop) => return stop.take().map_or(Ok(false), Err),
            Feed::Plain | Feed::Member | Feed::Trailer | Feed::Between => {}
        }
        let keep_from = self.hold.unwrap_or(self.position).min(self.bytes_inflated());
        let drop = usize::try_from(keep_from.saturating_sub(self.base)).unwrap_or(self.filled);
        if drop > 0 {
            self.buffers.text.copy_within(drop..self.filled, 0);
            self.filled -= drop;
            self.base = keep_from;
        }
        if self.filled > self.limits.value_bytes {
            return Err(self.stop_at(self.base, Reason::Long(self.limits.value_bytes)));
        }
        let wanted = self.filled + self.limits.chunk_bytes;
        if self.buffers.text.len() < wanted {
            // In steps that grow, so that a long record is not copied over and over.
            let most = self.limits.value_bytes + self.limits.chunk_bytes;
            let length = wanted.max((self.buffers.text.len() * 3 / 2).min(most));
            self.buffers.text.reserve_exact(length - self.buffers.text.len());
            self.buffers.text.resize(length, 0);
        }
        let before = self.filled;
        let filled = match self.feed {
            Feed::Plain => self.copy(wanted),
            _ => self.inflate(wanted),
        };
        if let Err(stop) = filled {
            if self.filled == before {
                return Err(stop);
            }
            self.feed = Feed::Stopped(Some(stop));
        }
        Ok(self.filled > before)
    }

    /// Fills the window from a plain file, up to `end` of its buffer.
    fn copy(&mut self, end: usize) -> Step<()> {
        let Some(free) = self.buffers.text.get_mut(self.filled..end) else {
            return Ok(());
        };
        let mut rest = self.buffers.input.get(self.input.clone()).unwrap_or_default();
        let bytes = if rest.is_empty() { read_some(self.content, free) } else { rest.read(free) };
        match bytes {
            Ok(0) => self.feed = Feed::End,
            Ok(bytes) => {
                if self.input.is_empty() {
                    self.read += bytes as u64;
                } else {
                    self.input.start += bytes;
                }
                self.filled += bytes;
            }
            Err(error) => {
                return Err(Stop { reason: Reason::Io(error), offset: Offset::File(self.read), sound: None });
            }
        }
        Ok(())
    }

    /// Fills the window from a gzip file, up to `end` of its buffer.
    fn inflate(&mut self, end: usize) -> Step<()> {
        let before = self.filled;
        while self.filled == before {
            match self.feed {
                Feed::Between => {
                    let follows = self.next_member()?;
                    self.feed = if follows { Feed::Member } else { Feed::End };
                    if !follows {
                        return Ok(());
                    }
                }
                Feed::Trailer => self.trailer()?,
                _ => self.member(end)?,
            }
        }
        Ok(())
    }

    /// Inflates some of a member. Its framing is read here rather than by the library because libdeflate's checksum is many times as fast.
    fn member(&mut self, end: usize) -> Step<()> {
        self.need_input(1)?;
        let Some(inflater) = &mut self.buffers.stream else {
            return Ok(());
        };
        let input = self.buffers.input.get(self.input.clone()).unwrap_or_default();
        let output = self.buffers.text.get_mut(self.filled..end).unwrap_or_default();
        let (in_before, out_before) = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress(input, output, FlushDecompress::None);
        let used = usize::try_from(inflater.total_in() - in_before).unwrap_or_default();
        let made = usize::try_from(inflater.total_out() - out_before).unwrap_or_default();
        self.checksum.update(output.get(..made).unwrap_or_default());
        self.member_bytes += made as u64;
        self.input.start += used;
        self.filled += made;
        match status {
            Ok(Status::StreamEnd) => self.feed = Feed::Trailer,
            Ok(Status::Ok | Status::BufError) if used > 0 || made > 0 => {}
            Ok(Status::Ok | Status::BufError) if self.input.is_empty() && self.input_ended => {
                return Err(self.stop_in_file(Reason::GzipTruncated));
            }
            // Neither used nor made anything though it had both input and room: it never will.
            Ok(Status::Ok | Status::BufError) | Err(_) => {
                return Err(self.stop_in_file(Reason::GzipDamaged));
            }
        }
        let inflated = self.bytes_inflated();
        let compressed = self.file_bytes.unwrap_or_default().max(self.read);
        if inflated > self.limits.bomb_bytes && inflated > compressed.saturating_mul(self.limits.bomb_ratio) {
            return Err(self.stop_in_file(Reason::GzipBomb { ratio: self.limits.bomb_ratio }));
        }
        Ok(())
    }

    /// Compares a member's checksum and size with what it inflated to.
    fn trailer(&mut self) -> Step<()> {
        self.need_input(TRAILER_BYTES)?;
        let input = self.buffers.input.get(self.input.clone()).unwrap_or_default();
        let Some((checksum, rest)) = input.split_first_chunk::<4>() else {
            return Err(self.truncated());
        };
        let Some(size) = rest.first_chunk::<4>() else {
            return Err(self.truncated());
        };
        let sound =
            u32::from_le_bytes(*checksum) == self.checksum.sum() && u64::from(u32::from_le_bytes(*size)) == self.member_bytes & 0xffff_ffff;
        if !sound {
            return Err(self.stop_in_file(Reason::GzipDamaged));
        }
        self.input.start += TRAILER_BYTES;
        self.feed = Feed::Between;
        Ok(())
    }

    /// Whether another gzip member follows, of which the header is then read. Zeros up to the end are padding, anything else is damage.
    fn next_member(&mut self) -> Step<bool> {
        self.need_input(2)?;
        if self.unused_input().starts_with(&[0x1f, 0x8b]) {
            let mut wanted = 10;
            let bytes = loop {
                self.need_input(wanted)?;
                match header_bytes(self.unused_input()) {
                    Ok(Some(bytes)) => break bytes,
                    Ok(None) if self.unused_input().len() < wanted => return Err(self.truncated()),
                    Ok(None) if wanted < INPUT_BYTES => wanted = (wanted * 2).min(INPUT_BYTES),
                    Ok(None) | Err(NoGzip) => return Err(self.stop_in_file(Reason::GzipDamaged)),
                }
            };
            self.input.start += bytes;
            self.checksum = libdeflater::Crc::new();
            self.member_bytes = 0;
            match &mut self.buffers.stream {
                Some(inflater) => inflater.reset(false),
                None => self.buffers.stream = Some(Decompress::new(false)),
            }
            return Ok(true);
        }
        loop {
            if let Some(other) = self.unused_input().iter().position(|byte| *byte != 0) {
                self.input.start += other;
                return Err(self.stop_in_file(Reason::GzipTrailer));
            }
            self.input.start = self.input.end;
            self.need_input(1)?;
            if self.input.is_empty() {
                return Ok(false);
            }
        }
    }

    fn unused_input(&self) -> &[u8] {
        self.buffers.input.get(self.input.clone()).unwrap_or_default()
    }

    /// Reads until at least `bytes` bytes of input are unused, or the file ends.
    fn need_input(&mut self, bytes: usize) -> Step<()> {
        while self.input.len() < bytes && !self.input_ended {
            self.buffers.input.copy_within(self.input.clone(), 0);
            self.input = 0..self.input.len();
            if let Err(error) = self.read_input(INPUT_BYTES) {
                return Err(self.stop_in_file(Reason::Io(error)));
            }
        }
        Ok(())
    }

    /// The file ends within a gzip member.
    fn truncated(&mut self) -> Stop {
        self.input.start = self.input.end;
        self.stop_in_file(Reason::GzipTruncated)
    }

    /// What is wrong at the first byte of the file that is not yet used.
    fn stop_in_file(&self, reason: Reason) -> Stop {
        Stop { reason, offset: Offset::File(self.read - self.input.len() as u64), sound: None }
    }
}

/// Reads once, again where a signal came in between.
fn read_some(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Not the header of a gzip member.
struct NoGzip;

/// Length of the gzip header that `input` begins with (RFC 1952, section 2.3); `None` where more of it is needed to tell.
fn header_bytes(input: &[u8]) -> Result<Option<usize>, NoGzip> {
    const CHECKSUM: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0b1110_0000;
    let Some(fixed) = input.first_chunk::<10>() else {
        return Ok(None);
    };
    let [0x1f, 0x8b, 8, flags, ..] = *fixed else {
        return Err(NoGzip);
    };
    if flags & RESERVED != 0 {
        return Err(NoGzip);
    }
    let mut bytes = fixed.len();
    if flags & EXTRA != 0 {
        let Some(length) = input.get(bytes..).and_then(<[u8]>::first_chunk::<2>) else {
            return Ok(None);
        };
        bytes += 2 + usize::from(u16::from_le_bytes(*length));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let Some(end) = input.get(bytes..).and_then(|rest| memchr::memchr(0, rest)) else {
                return Ok(None);
            };
            bytes += end + 1;
        }
    }
    if flags & CHECKSUM != 0 {
        bytes += 2;
    }
    Ok((bytes <= input.len()).then_some(bytes))
}
