//! A table as CSV by RFC 4180.
//!
//! Written row by row from the cells rather than from frames: a text is copied once, and a time or a number is never a text of its own. polars' CSV writer
//! needs a frame in which they are.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta};

use super::columns::Column;
use super::frame::{Cell, two_decimals};

/// Writes the rows of one table, the header first.
pub(super) struct Csv {
    file: BufWriter<File>,
    line: Vec<u8>,
}

impl Csv {
    pub(super) fn new(file: File, columns: &[Column]) -> io::Result<Csv> {
        let mut csv = Csv { file: BufWriter::with_capacity(64 << 10, file), line: Vec::new() };
        let names: Vec<Cell<'_>> = columns.iter().map(|column| Cell::Text(Some(column.name))).collect();
        csv.row(&names)?;
        Ok(csv)
    }

    pub(super) fn row(&mut self, row: &[Cell<'_>]) -> io::Result<()> {
        self.line.clear();
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                self.line.push(b',');
            }
            write_cell(&mut self.line, cell)?;
        }
        self.line.extend_from_slice(b"\r\n");
        self.file.write_all(&self.line)
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.file.into_inner().map(drop).map_err(io::IntoInnerError::into_error)
    }
}

/// A value; nothing for one that is unknown.
fn write_cell(line: &mut Vec<u8>, cell: &Cell<'_>) -> io::Result<()> {
    match *cell {
        Cell::Text(Some(text)) => write_text(line, text),
        Cell::Time(Some(seconds)) => line.extend_from_slice(rfc3339(seconds.saturating_mul(1_000_000)).as_bytes()),
        Cell::Date(Some(days)) => {
            let date = NaiveDate::default().checked_add_signed(TimeDelta::days(i64::from(days)));
            write!(line, "{}", date.map(|date| date.to_string()).unwrap_or_default())?;
        }
        Cell::Count(Some(number)) => line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        Cell::Decimal(Some(value)) => write_decimal(line, two_decimals(value))?,
        Cell::Flag(flag) => line.extend_from_slice(if flag { b"true" } else { b"false" }),
        Cell::Text(None) | Cell::Time(None) | Cell::Date(None) | Cell::Count(None) | Cell::Decimal(None) => {}
    }
    Ok(())
}

/// Quoted where it has to be, an empty one too, which is no unknown one; one that a spreadsheet would take for a formula stands behind a `'`.
fn write_text(line: &mut Vec<u8>, text: &str) {
    let guard: &[u8] = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { b"'" } else { b"" };
    let quoted = text.is_empty() || memchr::memchr3(b',', b'\n', b'\r', text.as_bytes()).is_some() || text.contains('"');
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

/// With two decimals. Up to here a number of hundredths is exact.
fn write_decimal(line: &mut Vec<u8>, value: f64) -> io::Result<()> {
    let hundredths = (value * 100.0).round();
    if hundredths.abs() < 9e15 {
        #[allow(clippy::cast_possible_truncation)] // in range, checked above
        let hundredths = hundredths as i64;
        let (whole, rest) = (hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
        line.extend_from_slice(if hundredths < 0 { b"-" } else { b"" });
        line.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        line.extend_from_slice(if rest < 10 { b".0" } else { b"." });
        line.extend_from_slice(itoa::Buffer::new().format(rest).as_bytes());
        return Ok(());
    }
    write!(line, "{value:.2}")
}

/// `2026-07-15T00:05:00Z` for microseconds since 1970-01-01 UTC; CloudTrail's times are whole seconds.
pub(super) fn rfc3339(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros).map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use polars::prelude::{CsvWriter, DataFrame, DataType, IntoColumn, NamedFrom, SerWriter, Series};
    use proptest::prelude::*;

    use super::*;
    use crate::report::columns::Kind;

    fn written(cell: Cell<'_>) -> String {
        let mut line = Vec::new();
        write_cell(&mut line, &cell).unwrap();
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

    proptest! {
        #[test]
        fn cells_are_written_as_polars_writes_them(
            texts in proptest::collection::vec(proptest::option::of("([a\", é'.][a\",\n\r é'.]{0,5})?"), 1..5),
            numbers in proptest::collection::vec(proptest::option::of(-1e7_f64..1e7), 1..5),
            days in proptest::collection::vec(proptest::option::of(-20_000_i32..40_000), 1..5),
        ) {
            let column = |name, kind| Column { name, kind, meaning: "" };
            let columns = [column("text", Kind::Text), column("number", Kind::Decimal), column("day", Kind::Date), column("count", Kind::Count)];
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("table.csv");
            let mut csv = Csv::new(File::create(&path).unwrap(), &columns).unwrap();
            let rows = texts.len().min(numbers.len()).min(days.len());
            for at in 0..rows {
                let count = days[at].map(i64::from);
                csv.row(&[Cell::Text(texts[at].as_deref()), Cell::Decimal(numbers[at]), Cell::Date(days[at]), Cell::Count(count)]).unwrap();
            }
            csv.finish().unwrap();

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
            prop_assert_eq!(String::from_utf8(std::fs::read(&path).unwrap()).unwrap(), String::from_utf8(expected).unwrap());
        }
    }
}
