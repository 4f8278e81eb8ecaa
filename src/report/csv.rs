//! A table as CSV by RFC 4180.

use std::fs::File;
use std::io::BufWriter;

use chrono::DateTime;
use polars::prelude::*;

use super::output::TableWriter;

/// Writes batches of one table as CSV, the header first.
pub(super) struct Csv {
    file: BufWriter<File>,
    header: bool,
}

impl Csv {
    pub(super) fn new(file: File) -> Csv {
        Csv { file: BufWriter::new(file), header: true }
    }
}

impl TableWriter for Csv {
    fn write(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        let mut guarded = DataFrame::new(frame.height(), frame.columns().iter().map(as_written).collect::<PolarsResult<Vec<_>>>()?)?;
        CsvWriter::new(&mut self.file)
            .include_header(std::mem::take(&mut self.header))
            .with_line_terminator("\r\n".into())
            .with_float_precision(Some(2))
            .finish(&mut guarded)
    }

    fn finish(self: Box<Self>) -> PolarsResult<File> {
        self.file.into_inner().map_err(|error| PolarsError::from(error.into_error()))
    }
}

/// Times as RFC 3339, and texts that a spreadsheet would take for a formula behind a `'`.
fn as_written(column: &Column) -> PolarsResult<Column> {
    let name = column.name().clone();
    Ok(match column.dtype() {
        DataType::String => {
            let guarded: StringChunked = column.str()?.iter().map(|text| text.map(guard)).collect();
            guarded.with_name(name).into_column()
        }
        DataType::Datetime(_, _) => {
            let physical = column.to_physical_repr();
            let text: StringChunked = physical.i64()?.iter().map(|micros| micros.map(rfc3339)).collect();
            text.with_name(name).into_column()
        }
        _ => column.clone(),
    })
}

/// `2026-07-15T00:05:00Z` for microseconds since 1970-01-01 UTC; CloudTrail's times are whole seconds.
pub(super) fn rfc3339(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros).map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

fn guard(text: &str) -> std::borrow::Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::guard;

    #[test]
    fn texts_a_spreadsheet_would_run_are_guarded_and_others_are_not() {
        for formula in ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1"] {
            assert_eq!(guard(formula), format!("'{formula}"));
        }
        for text in ["", "arn:aws:iam::111122223333:role/a=b", "a-b", " =1", "'=1"] {
            assert_eq!(guard(text), text);
        }
    }
}
