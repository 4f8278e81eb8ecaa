//! A table as CSV by RFC 4180.
//!
//! Written from the cells rather than from frames: a text is copied once, and a time or a number is never a text of its own. polars' CSV writer needs a frame in
//! which they are.

use std::fs::File;
use std::io::{self, Write};
use std::thread::{self, JoinHandle};

use chrono::{DateTime, SecondsFormat};

use super::alike::Common;
use super::columns::Column;
use super::date_text;
use super::rows::{Cell, hundredths, two_decimals};

/// Writes one table, the header first.
pub(super) struct Csv {
    file: File,
    safe: Safe,
}

impl Csv {
    pub(super) fn new(mut file: File, columns: &[Column]) -> io::Result<Csv> {
        let names: Vec<Cell<'_>> = columns.iter().map(|column| Cell::Text(Some(column.name))).collect();
        let mut header = Vec::new();
        write_row(&mut header, &names, None);
        file.write_all(&header)?;
        Ok(Csv { file, safe: Safe::default() })
    }

    /// Writes rows that [`write_row`] made.
    pub(super) fn write(&mut self, rows: &[u8]) -> io::Result<()> {
        self.file.write_all(rows)?;
        self.safe.wrote(&self.file, rows.len())
    }

    /// No error is lost of what was made safe on the way.
    pub(super) fn finish(self) -> io::Result<()> {
        self.safe.finish()
    }
}

/// Bytes that are left to the disk at once.
const SAFE_BYTES: usize = 32 << 20;

/// Makes a long file safe from a loss of power while it grows, on a thread of its own, so that little is left to wait for at its end.
#[derive(Default)]
struct Safe {
    /// Written since the last time.
    bytes: usize,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Safe {
    /// After `bytes` more were written to `file`.
    fn wrote(&mut self, file: &File, bytes: usize) -> io::Result<()> {
        self.bytes += bytes;
        if self.bytes < SAFE_BYTES || self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        std::mem::take(self).finish()?;
        let file = file.try_clone()?;
        self.thread = Some(thread::Builder::new().name("sync".to_owned()).spawn(move || file.sync_data())?);
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        let broken = |_| Err(io::Error::other("the thread that makes a table safe ended before its time"));
        self.thread.map_or(Ok(()), |thread| thread.join().unwrap_or_else(broken))
    }
}

/// A row with the end of its line.
pub(super) fn write_row(rows: &mut Vec<u8>, row: &[Cell<'_>], common: Option<&Common>) {
    write_cells(rows, row, common);
    rows.extend_from_slice(b"\r\n");
}

/// Cells with commas between them.
pub(super) fn write_cells(line: &mut Vec<u8>, cells: &[Cell<'_>], common: Option<&Common>) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        write_cell(line, cell, common);
    }
}

/// A value; nothing for one that is unknown.
fn write_cell(line: &mut Vec<u8>, cell: &Cell<'_>, common: Option<&Common>) {
    match *cell {
        Cell::Text(Some(text)) => write_text(line, text),
        Cell::Time(Some(seconds)) => match time_text(seconds) {
            Some(text) => line.extend_from_slice(&text),
            None => line.extend_from_slice(rfc3339(seconds).as_bytes()),
        },
        Cell::Date(Some(days)) => line.extend_from_slice(date_text(days).as_bytes()),
        Cell::Count(Some(number)) => line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Cell::Decimal(Some(value)) => write_decimal(line, value),
        Cell::Flag(flag) => line.extend_from_slice(if flag { b"true" } else { b"false" }),
        Cell::Common(number) => {
            debug_assert!(common.is_some(), "a row has cells in common with none");
            line.extend_from_slice(common.map_or(&[][..], |common| common.csv(number)));
        }
        Cell::Text(None) | Cell::Time(None) | Cell::Date(None) | Cell::Count(None) | Cell::Decimal(None) => {}
    }
}

/// Quoted where it has to be, an empty one too, which is no unknown one; one that a spreadsheet would take for a formula stands behind a `'`.
fn write_text(line: &mut Vec<u8>, text: &str) {
    let guard: &[u8] = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { b"'" } else { b"" };
    // Over every byte, without an early end: for texts of this length that is one pass of a few vectors.
    let special = text.bytes().fold(false, |special, byte| special | matches!(byte, b',' | b'\n' | b'\r' | b'"'));
    let quoted = text.is_empty() || special;
    if !quoted {
        line.extend_from_slice(guard);
        line.extend_from_slice(text.as_bytes());
        return;
    }
    line.push(b'"');
    line.extend_from_slice(guard);
    for (at, piece) in text.split('"').enumerate() {
        if at > 0 {
            line.extend_from_slice(b"\"\"");
        }
        line.extend_from_slice(piece.as_bytes());
    }
    line.push(b'"');
}

/// With two decimals.
fn write_decimal(line: &mut Vec<u8>, value: f64) {
    let Some(hundredths) = hundredths(value) else {
        line.extend_from_slice(format!("{:.2}", two_decimals(value)).as_bytes());
        return;
    };
    let (whole, rest) = (hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
    line.extend_from_slice(if hundredths < 0 { b"-" } else { b"" });
    line.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    line.extend_from_slice(if rest < 10 { b".0" } else { b"." });
    line.extend_from_slice(itoa::Buffer::new().format(rest).as_bytes());
}

/// `2026-07-15T00:05:00Z` for seconds since 1970-01-01 UTC; CloudTrail's times are whole seconds. Nothing for a time that has no date.
pub(super) fn rfc3339(seconds: i64) -> String {
    let time = DateTime::from_timestamp_micros(seconds.saturating_mul(1_000_000));
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
}

/// The first second of the year 10000, whose text is longer.
const YEAR_10000: i64 = 253_402_300_800;

/// What [`rfc3339`] says of a time from 1970 to 9999, without chrono; None for others.
fn time_text(seconds: i64) -> Option<[u8; 20]> {
    if !(0..YEAR_10000).contains(&seconds) {
        return None;
    }
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // By years that begin in March, so that a leap day is the last of one: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let digits = |number: i64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below 100
        let number = number as u8;
        [b'0' + number / 10, b'0' + number % 10]
    };
    let ([a, b], [c, d], [e, f], [g, h]) = (digits(year / 100), digits(year % 100), digits(month), digits(day));
    let ([i, j], [k, l], [m, n]) = (digits(second / 3_600), digits(second / 60 % 60), digits(second % 60));
    Some([a, b, c, d, b'-', e, f, b'-', g, h, b'T', i, j, b':', k, l, b':', m, n, b'Z'])
}

#[cfg(test)]
mod tests {
    use polars::prelude::{CsvWriter, DataFrame, DataType, IntoColumn, NamedFrom, SerWriter, Series};
    use proptest::prelude::*;

    use super::*;
    use crate::report::columns::Kind;

    fn written(cell: Cell<'_>) -> String {
        let mut line = Vec::new();
        write_cell(&mut line, &cell, None);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn texts_a_spreadsheet_would_run_are_guarded_and_others_are_not() {
        for formula in ["=1+1", "+1", "-1", "@A1", "\t=1"] {
            assert_eq!(written(Cell::Text(Some(formula))), format!("'{formula}"));
        }
        assert_eq!(written(Cell::Text(Some("\r=1"))), "\"'\r=1\"");
        for text in ["arn:aws:iam::111122223333:role/a=b", "a-b", " =1", "'=1"] {
            assert_eq!(written(Cell::Text(Some(text))), text);
        }
    }

    #[test]
    fn a_file_made_safe_on_the_way_is_whole_and_tells_what_went_wrong() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let rows = vec![b'x'; SAFE_BYTES / 3 + 1];
        let mut csv = Csv::new(file.reopen().unwrap(), &[]).unwrap();
        (0..7).for_each(|_| csv.write(&rows).unwrap());
        assert!(csv.safe.thread.is_some());
        csv.finish().unwrap();
        assert_eq!(file.as_file().metadata().unwrap().len(), 2 + 7 * rows.len() as u64);
        // What cannot be made safe: Linux says so of a pipe.
        #[cfg(target_os = "linux")]
        {
            let (_reader, writer) = io::pipe().unwrap();
            let mut safe = Safe::default();
            safe.wrote(&File::from(std::os::fd::OwnedFd::from(writer)), SAFE_BYTES).unwrap();
            assert!(safe.finish().is_err());
        }
    }

    proptest! {
        #[test]
        fn times_are_written_as_chrono_writes_them(
            second in prop_oneof![-10_i64..YEAR_10000 + 10, any::<i64>()],
            day in 0_i64..2_932_897,
            of_day in 0_i64..86_400,
        ) {
            for second in [second, day * 86_400 + of_day, day * 86_400, day * 86_400 - 1] {
                prop_assert_eq!(written(Cell::Time(Some(second))), rfc3339(second));
                prop_assert_eq!(time_text(second).is_some(), (0..YEAR_10000).contains(&second));
            }
        }

        #[test]
        fn cells_are_written_as_polars_writes_them(
            texts in proptest::collection::vec(proptest::option::of("([a\", é'.][a\",\n\r é'.]{0,5})?"), 1..5),
            numbers in proptest::collection::vec(proptest::option::of(-1e7_f64..1e7), 1..5),
            days in proptest::collection::vec(proptest::option::of(-20_000_i32..40_000), 1..5),
        ) {
            let column = |name, kind| Column { name, kind, meaning: "" };
            let columns = [column("text", Kind::Text), column("number", Kind::Decimal), column("day", Kind::Date), column("count", Kind::Count)];
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut csv = Csv::new(file.reopen().unwrap(), &columns).unwrap();
            let mut written = Vec::new();
            let rows = texts.len().min(numbers.len()).min(days.len());
            for at in 0..rows {
                let count = days[at].map(i64::from);
                write_row(&mut written, &[Cell::Text(texts[at].as_deref()), Cell::Decimal(numbers[at]), Cell::Date(days[at]), Cell::Count(count)], None);
            }
            csv.write(&written).unwrap();

            let numbers: Vec<Option<f64>> = numbers[..rows].iter().map(|number| number.map(two_decimals)).collect();
            let counts: Vec<Option<i64>> = days[..rows].iter().map(|days| days.map(i64::from)).collect();
            let columns = vec![
                Series::new("text".into(), &texts[..rows]).into_column(),
                Series::new("number".into(), numbers).into_column(),
                Series::new("day".into(), &days[..rows]).cast(&DataType::Date).unwrap().into_column(),
                Series::new("count".into(), counts).into_column(),
            ];
            let mut expected = Vec::new();
            CsvWriter::new(&mut expected)
                .with_line_terminator("\r\n".into())
                .with_float_precision(Some(2))
                .finish(&mut DataFrame::new(rows, columns).unwrap())
                .unwrap();
            prop_assert_eq!(String::from_utf8(std::fs::read(file.path()).unwrap()).unwrap(), String::from_utf8(expected).unwrap());
        }
    }
}
