//! Passes over the records of a list that cannot be calls, without a closer look at any of them.
//!
//! One pass over the text, 64 bytes at a time, follows strings, escapes and brackets, and looks for what a call has. It stops at the first record that has it,
//! and says where that ends, or at one that is unusual in whatever way, which is for the exact reader. What it passes over, the exact reader would have passed over.

use multiversion::multiversion;
use multiversion::target::match_target;

use super::blocks::{self, BLOCK, Masks, Rare};
use super::candidate::{self, STS, Sieve};

/// Where in [`STS`] its first `t` stands.
const FIRST: usize = 1;

/// What is open where a record's `eventSource` stands, at most: the record, and what EventBridge or `lookup-events` put around it.
const SOURCE_DEPTH: u32 = 2;

/// What was passed over, and what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skimmed {
    /// Bytes up to the opening bracket of the record that needs a closer look.
    pub bytes: usize,
    /// Records in these bytes.
    pub records: u64,
    /// Length of the record that follows, where nothing is unusual about it: it may be a call, or is the list's last.
    pub record: Option<usize>,
    /// It may be a call.
    pub call: bool,
    /// Something about the record that follows is unusual; false also where the text ends in it or behind it.
    pub unusual: bool,
    /// Control characters were met, as in text that was printed to be read: skimming the rest would stop at each record.
    pub controls: bool,
}

/// Passes over the records that `text` begins with, one after another with nothing but a comma between them.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq", "x86_64+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq"))]
pub fn skim(text: &[u8], sieve: &Sieve, shapes: &mut Shapes) -> Skimmed {
    match_target! {
        "x86_64+avx512f+avx512bw+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq" => avx512(text, sieve, shapes),
        "x86_64+avx2+bmi1+bmi2+popcnt+lzcnt+pclmulqdq" => avx2(text, sieve, shapes),
        _ => portable(text, sieve, shapes),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
fn avx512(text: &[u8], sieve: &Sieve, shapes: &mut Shapes) -> Skimmed {
    use blocks::avx512::{extract, fetch, masks, rare, within};
    records(
        text,
        sieve,
        shapes,
        |block, ahead| {
            fetch(block);
            masks(block, ahead)
        },
        |block| rare(block),
        |quotes| within(quotes),
        |bits, mask| extract(bits, mask),
    )
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt,pclmulqdq")]
fn avx2(text: &[u8], sieve: &Sieve, shapes: &mut Shapes) -> Skimmed {
    use blocks::avx2::{extract, fetch, masks, rare, within};
    records(
        text,
        sieve,
        shapes,
        |block, ahead| {
            fetch(block);
            masks(block, ahead)
        },
        |block| rare(block),
        |quotes| within(quotes),
        |bits, mask| extract(bits, mask),
    )
}

fn portable(text: &[u8], sieve: &Sieve, shapes: &mut Shapes) -> Skimmed {
    use blocks::portable::{extract, masks, rare, within};
    records(text, sieve, shapes, masks, rare, within, extract)
}

/// Brackets in order, the first lowest.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Brackets {
    /// Two bits for each: in the lower half whether it opens, in the upper one whether it is a brace. A single word, so that the loop over blocks keeps it
    /// in one register.
    marks: u64,
    /// At most [`MOST`].
    count: u32,
}

/// Brackets that can wait to be looked at. More records than 98 in 100 have so few, and a block with more of them is unusual.
const MOST: u32 = 32;

impl Brackets {
    #[inline(always)]
    fn new(opening: u64, braces: u64, count: u32) -> Brackets {
        Brackets { marks: opening | braces << MOST, count }
    }

    /// The first `count` of them, and the others.
    #[inline]
    fn split(self, count: u32) -> (Brackets, Brackets) {
        let first = lowest(u64::MAX, count) & u64::from(u32::MAX);
        let first = first | first << MOST;
        let rest = Brackets { marks: (self.marks & !first) >> count, count: self.count - count };
        (Brackets { marks: self.marks & first, count }, rest)
    }

    /// These with `more` behind them: together at most [`MOST`].
    #[inline(always)]
    fn with(self, more: Brackets) -> Brackets {
        Brackets { marks: self.marks | more.marks << self.count, count: self.count + more.count }
    }
}

/// The lowest `count` bits, at most 64.
#[inline(always)]
fn lowest(bits: u64, count: u32) -> u64 {
    // Shifted in two steps, since all may be wanted.
    bits & !(u64::MAX << (count / 2) << (count - count / 2))
}

/// The open brackets of a record, as far as it was looked at.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Open {
    /// One bit each, the innermost lowest: 1 for a brace.
    braces: u64,
    depth: u32,
    /// One closed a bracket of the other kind or none, or more are open than there are bits for.
    wrong: bool,
}

impl Open {
    /// After `brackets`. Without a branch on what each one is, since nothing tells beforehand.
    fn after(self, brackets: Brackets) -> Open {
        let (mut open, Brackets { mut marks, count }) = (self, brackets);
        for _ in 0..count {
            let (opens, brace) = (marks & 1 == 1, marks >> MOST & 1);
            open.wrong |= if opens { open.depth == u64::BITS } else { open.depth == 0 || open.braces & 1 != brace };
            open.braces = if opens { open.braces << 1 | brace } else { open.braces >> 1 };
            open.depth = if opens { open.depth.wrapping_add(1) } else { open.depth.wrapping_sub(1) };
            marks >>= 1;
        }
        open
    }
}

/// Brackets that were found to match, as far as they were met lately: most records have those of another one.
pub struct Shapes([(Open, Brackets); 64]);

impl Default for Shapes {
    fn default() -> Shapes {
        Shapes([<(Open, Brackets)>::default(); 64])
    }
}

impl Shapes {
    /// Whether these are the last brackets of one value, each closed by its like.
    #[inline]
    fn match_up(&mut self, open: Open, brackets: Brackets) -> bool {
        let mixed = brackets.marks.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58;
        let Some(known) = self.0.get_mut(mixed as usize % 64) else { return false };
        // No value is without brackets, so that what stands there at first is none of them.
        if *known == (open, brackets) {
            return true;
        }
        let end = open.after(brackets);
        let sound = end.depth == 0 && !end.wrong;
        if sound {
            *known = (open, brackets);
        }
        sound
    }
}

/// What only some blocks need, apart from what all of them do, so that that stays in registers.
struct Run<'a> {
    text: &'a [u8],
    sieve: &'a Sieve,
    shapes: &'a mut Shapes,
    passed: Skimmed,
    /// Brackets of the record that no longer wait to be looked at.
    open: Open,
    /// Where the record first names STS as its source.
    named: usize,
}

/// The brackets of a block that begins with `depth` open ones, and where they stand.
#[derive(Clone, Copy)]
struct Block {
    offset: usize,
    depth: u32,
    opening: u64,
    closing: u64,
    sts: u64,
}

impl Run<'_> {
    /// Whether a block with such characters is unusual.
    fn is_unusual(&mut self, offset: usize, rare: &Rare) -> bool {
        self.passed.controls |= rare.controls != 0;
        (rare.controls | rare.wide) != 0 || hides(self.text, offset, rare.backslashes)
    }

    /// Notes where STS is named as the source of the record that `from` lies in.
    #[inline(never)]
    fn name(&mut self, block: &Block, from: usize) {
        self.named = self.named.min(block.source(self.text, from));
    }

    /// Ends the records that end in this block; how many are open behind it, and those of them that wait. None where skimming ends.
    #[inline(never)]
    fn end(&mut self, block: &Block, mut own: Brackets, mut waiting: Brackets) -> Option<(u32, Brackets)> {
        let Block { offset, mut depth, mut opening, mut closing, .. } = *block;
        if own.count > MOST {
            return self.unusual();
        }
        loop {
            let at = closing.trailing_zeros();
            // All that are left, where no closing one is.
            let before = lowest(opening, at);
            depth += before.count_ones();
            opening ^= before;
            if closing == 0 {
                return Some((depth, self.wait(waiting, own)));
            }
            closing &= closing - 1;
            let Some(inner) = depth.checked_sub(1) else { return self.unusual() };
            depth = inner;
            if depth > 0 {
                continue;
            }
            let (last, next) = own.split(own.count - (opening | closing).count_ones());
            let last = self.wait(waiting, last);
            if !self.shapes.match_up(self.open, last) {
                return self.unusual();
            }
            (own, waiting, self.open) = (next, Brackets::default(), Open::default());
            let end = offset + at as usize + 1;
            let is_last = match self.text.get(end - 1..end + 2) {
                Some(b"},{") => false,
                Some(b"}]}") => true,
                None => return None,
                Some(_) => return self.unusual(),
            };
            let names_sts = self.named < end;
            self.passed.call = names_sts && self.text.get(self.passed.bytes..end).is_some_and(|record| self.sieve.names_call(record));
            if self.passed.call || is_last {
                self.passed.record = Some(end - self.passed.bytes);
                return None;
            }
            if names_sts {
                self.named = block.source(self.text, end);
            }
            self.passed.records += 1;
            self.passed.bytes = end + 1;
        }
    }

    /// Those that wait with `more` behind them.
    fn wait(&mut self, mut waiting: Brackets, more: Brackets) -> Brackets {
        if waiting.count + more.count > MOST {
            self.open = self.open.after(waiting);
            waiting = Brackets::default();
        }
        waiting.with(more)
    }

    fn unusual<T>(&mut self) -> Option<T> {
        self.passed.unusual = true;
        None
    }
}

impl Block {
    /// Where the first of the letters of [`Masks::sts`] stands, not before `from`, that is one of [`STS`] as the value of a record's `eventSource`; the largest
    /// number if none is.
    fn source(&self, text: &[u8], from: usize) -> usize {
        let mut letters = self.sts;
        while letters != 0 {
            let bit = letters.trailing_zeros();
            let at = self.offset + bit as usize;
            letters &= letters - 1;
            let depth = (self.depth + lowest(self.opening, bit).count_ones()).saturating_sub(lowest(self.closing, bit).count_ones());
            if at >= from
                && depth <= SOURCE_DEPTH
                && let Some((before, name)) = at.checked_sub(FIRST).and_then(|start| text.split_at_checked(start))
                && name.starts_with(STS)
                && may_be_value(before)
            {
                return at;
            }
        }
        usize::MAX
    }
}

/// Where the blocks so far end.
#[derive(Clone, Copy, Default)]
struct State {
    offset: usize,
    /// All ones within a string.
    in_string: u64,
    /// 1 behind a backslash that escapes the next character.
    escaping: u64,
    depth: u32,
    waiting: Brackets,
}

/// Kept inline, so that it is compiled for the instructions of its caller.
#[inline(always)]
fn records(
    text: &[u8],
    sieve: &Sieve,
    shapes: &mut Shapes,
    masks: impl Fn(&[u8; BLOCK], &[u8; BLOCK]) -> Masks,
    rare: impl Fn(&[u8; BLOCK]) -> Rare,
    within: impl Fn(u64) -> u64,
    extract: impl Fn(u64, u64) -> u64,
) -> Skimmed {
    let mut run = Run { text, sieve, shapes, passed: Skimmed::default(), open: Open::default(), named: usize::MAX };
    let ways = (masks, rare, within, extract);
    if let Some(state) = look_through(&mut run, text, State::default(), &ways) {
        // What is left is no window, but with white space behind it.
        let mut rest = [b' '; BLOCK + WINDOW];
        let bytes = text.get(state.offset..).unwrap_or_default();
        rest.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
        let windows = bytes.len().div_ceil(BLOCK) * BLOCK + blocks::APART;
        if look_through(&mut run, rest.get(..windows).unwrap_or_default(), state, &ways).is_none() {
            // What the text ends in may look unusual for that alone.
            run.passed.unusual = false;
        }
    }
    run.passed
}

/// Looks at the blocks of `text`, which what `before` tells of comes before. None where skimming ends in one of them.
#[inline(always)]
fn look_through(
    run: &mut Run<'_>,
    text: &[u8],
    before: State,
    (masks, rare, within, extract): &(
        impl Fn(&[u8; BLOCK], &[u8; BLOCK]) -> Masks,
        impl Fn(&[u8; BLOCK]) -> Rare,
        impl Fn(u64) -> u64,
        impl Fn(u64, u64) -> u64,
    ),
) -> Option<State> {
    let State { mut in_string, mut escaping, mut depth, mut waiting, .. } = before;
    let mut at = 0;
    while let Some((block, ahead)) = text.get(at..at + WINDOW).and_then(block_and_ahead) {
        let offset = before.offset + at;
        let masks = masks(block, ahead);
        let mut quotes = masks.quotes;
        if masks.rare | (escaping != 0) {
            let rare = rare(block);
            quotes &= !blocks::escaped(rare.backslashes, &mut escaping);
            if run.is_unusual(offset, &rare) {
                return run.unusual();
            }
        }
        let within = within(quotes) ^ in_string;
        in_string = (within.cast_signed() >> 63).cast_unsigned();
        let (opening, closing) = (masks.opening & !within, masks.closing & !within);
        if masks.sts != 0 {
            run.name(&Block { offset, depth, opening, closing, sts: masks.sts }, run.passed.bytes);
        }
        let all = opening | closing;
        let own = Brackets::new(extract(opening, all), extract(masks.braces, all), all.count_ones());
        let opened = opening.count_ones();
        if (own.count - opened < depth) & (waiting.count + own.count <= MOST) {
            depth = depth + 2 * opened - own.count;
            waiting = waiting.with(own);
        } else {
            // The record may end in this block, or more brackets wait than can.
            (depth, waiting) = run.end(&Block { offset, depth, opening, closing, sts: masks.sts }, own, waiting)?;
        }
        at += BLOCK;
    }
    Some(State { offset: before.offset + at, in_string, escaping, depth, waiting })
}

/// A block with what is looked at behind it.
const WINDOW: usize = BLOCK + blocks::APART;

/// The block that `text` begins with, and the one [`blocks::APART`] bytes behind it.
#[inline(always)]
fn block_and_ahead(text: &[u8]) -> Option<(&[u8; BLOCK], &[u8; BLOCK])> {
    text.first_chunk().zip(text.last_chunk())
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
        let mut shapes = Shapes::default();
        let passed = skim(text, &sieve, &mut shapes);
        assert_eq!(passed, portable(text, &sieve, &mut Shapes::default()));
        assert_eq!(passed, skim(text, &sieve, &mut shapes));
        let (mut at, mut records) = (0, 0);
        while at < passed.bytes {
            let (end, call) = exact(&text[at..]).unwrap_or_else(|| panic!("not sound at {at}: {}", String::from_utf8_lossy(text)));
            assert!(!call || !is_source(&text[at..at + end]), "a call at {at}: {}", String::from_utf8_lossy(text));
            assert_eq!(text[at + end], b',');
            (at, records) = (at + end + 1, records + 1);
        }
        assert_eq!((at, records), (passed.bytes, passed.records), "{}", String::from_utf8_lossy(text));
        if let Some(length) = passed.record {
            let (end, call) = exact(&text[at..]).unwrap_or_else(|| panic!("not sound at {at}: {}", String::from_utf8_lossy(text)));
            assert_eq!(end, length, "{}", String::from_utf8_lossy(text));
            if passed.call {
                assert!(call, "{}", String::from_utf8_lossy(text));
            } else {
                assert!(!call || !is_source(&text[at..at + end]), "a call at {at}: {}", String::from_utf8_lossy(text));
                assert!(text[at + end..].starts_with(b"]}"), "{}", String::from_utf8_lossy(text));
            }
        }
        assert!(!passed.call || passed.record.is_some());
        passed
    }

    /// Whether STS stands in `record` where the value of `eventSource` may: in the record itself, in an object in it, or in a text of these.
    fn is_source(record: &[u8]) -> bool {
        let (mut depth, mut in_string, mut escaped) = (0, false, false);
        let mut shallow = String::new();
        for character in String::from_utf8_lossy(record).chars() {
            depth += i32::from(!in_string && "{[".contains(character)) - i32::from(!in_string && "}]".contains(character));
            in_string ^= character == '"' && !escaped;
            escaped = in_string && character == '\\' && !escaped;
            if depth <= 2 {
                shallow.push(character);
            }
        }
        let unescaped = shallow.replace(['\\', ' '], "");
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
            (r#"{"detail":{"value":{"eventSource":"sts.amazonaws.com","eventName":"AssumeRole"}}}"#, false, false),
            (
                r#"{"requestParameters":{"tags":[{"value":"\"eventSource\":\"sts.amazonaws.com\",\"eventName\":\"AssumeRole\""}]}}"#,
                false,
                false,
            ),
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
                assert_eq!((passed.unusual, passed.call), (unusual, is_call), "{text}");
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

    #[test]
    fn the_last_record_of_a_list_is_found_however_short_what_follows() {
        let call = r#"{"eventSource":"sts.amazonaws.com","eventName":"AssumeRole"}"#;
        for (padding, last, is_call) in (0..140).flat_map(|padding| [(padding, r#"{"a":{}}"#, false), (padding, call, true)]) {
            let first = format!("{{\"p\":\"{}\"}}", "p".repeat(padding));
            for behind in ["]}", "]} "] {
                let passed = holds(format!("{first},{last}{behind}").as_bytes());
                assert_eq!((passed.records, passed.record, passed.call), (1, Some(last.len()), is_call), "{padding} {last}");
            }
            // What follows may yet come.
            for behind in ["", "]", " ]}"] {
                assert_eq!(holds(format!("{first},{last}{behind}").as_bytes()).record, None, "{padding} {last}{behind}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_is_skimmed_is_what_the_exact_scanner_finds(
            pieces in proptest::collection::vec(prop_oneof![
                4 => Just("{"), 4 => Just("}"), 2 => Just("["), 2 => Just("]"), 4 => Just("},{"), 8 => Just("\""), 2 => Just("\\"), 2 => Just("\\\""), 2 => Just("\\u00"), 1 => Just("\\u003d"), 1 => Just("\\u0073"),
                4 => Just("\"a\":"), 2 => Just("{\"b\":{}}"), 2 => Just("sts.amazonaws.com"), 2 => Just("ts.amaz"), 1 => Just("s3.amazonaws.com"), 4 => Just("\"eventSource\":\"sts.amazonaws.com\""), 1 => Just("\"eventSource\" : \"sts.amazonaws.com\""), 3 => Just("AssumeRole"), 3 => Just(","), 1 => Just("é"), 1 => Just("\n"),
                4 => Just("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), 4 => Just("zzzzzzz"),
            ], 0..60),
        ) {
            let text = format!("{{{}", pieces.concat());
            holds(text.as_bytes());
        }
    }
}
