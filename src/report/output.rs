//! One table being written in all its forms, whole or a file a day.

use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, PolarsResult};

use super::columns::{Column, Table};
use super::frame::{Cell, Rows};
use super::place::{Written, key_of_day};
use super::{Format, Layout, ReportError, csv, json, parquet};

/// One form of one table being written.
pub(super) trait TableWriter {
    fn write(&mut self, frame: &DataFrame) -> PolarsResult<()>;
    fn finish(self: Box<Self>) -> PolarsResult<File>;
}

/// Rows a batch: a Parquet row group, some 10 MB while it is built.
const BATCH_ROWS: usize = 32_768;

/// One table in all its forms.
pub(super) struct Output {
    table: Table,
    formats: Vec<Format>,
    layout: Layout,
    /// Of a table with a file a day: the day being written, None before the first.
    by_day: bool,
    day: Option<i32>,
    /// What every file has at the start of a row and its path tells already: columns left out.
    left_out: usize,
    folder: PathBuf,
    batch: Rows,
    writers: Vec<(Box<dyn TableWriter>, Written)>,
    written: Vec<Written>,
}

impl Output {
    /// Opens the files of `table` in `folder`, but for those of single days.
    pub(super) fn create(folder: &Path, table: Table, formats: &[Format], layout: Layout) -> Result<Output, ReportError> {
        let by_day = layout == Layout::Hive && table.by_day;
        let left_out = usize::from(by_day && table.columns.first().is_some_and(|column| column.name == "day"));
        let columns: &'static [Column] = table.columns.get(left_out..).unwrap_or_default();
        let table = Table { columns, ..table };
        let mut output = Output {
            table,
            formats: formats.to_vec(),
            layout,
            by_day,
            day: None,
            left_out,
            folder: folder.to_owned(),
            batch: Rows::new(table),
            writers: Vec::new(),
            written: Vec::new(),
        };
        if !by_day {
            output.open()?;
        }
        Ok(output)
    }

    fn key(&self, format: Format) -> String {
        let name = self.table.name;
        match (self.layout, self.day) {
            (Layout::Flat, _) => format!("{name}.{}", format.extension()),
            (Layout::Hive, None) => format!("{name}/{name}.{}", format.extension()),
            (Layout::Hive, Some(day)) => key_of_day(name, day),
        }
    }

    fn open(&mut self) -> Result<(), ReportError> {
        for &format in &self.formats {
            let key = self.key(format);
            // One folder without folders in it: nothing that is written late can make one anew after it was removed.
            let path = self.folder.join(key.replace('/', "~"));
            let file = File::create(&path).map_err(|source| ReportError::Io { path: path.clone(), source })?;
            let writer: Box<dyn TableWriter> = match format {
                Format::Csv => Box::new(csv::Csv::new(file)),
                Format::Parquet => {
                    let empty = Rows::new(self.table).frame();
                    Box::new(empty.and_then(|empty| parquet::Parquet::new(file, &empty)).map_err(|source| self.broken(source))?)
                }
                Format::Json => Box::new(json::Json::new(file)),
            };
            self.writers.push((writer, Written { key, path }));
        }
        // An empty table still has its header.
        self.flush()
    }

    fn broken(&self, source: polars::prelude::PolarsError) -> ReportError {
        ReportError::Table { table: self.table.name, source }
    }

    fn push(&mut self, row: &[Cell<'_>]) -> Result<(), ReportError> {
        if self.by_day {
            let day = match row.first() {
                Some(&Cell::Time(Some(seconds))) => i32::try_from(seconds.div_euclid(86_400)).ok(),
                Some(&Cell::Date(day)) => day,
                _ => None,
            };
            if day != self.day {
                self.close()?;
                self.day = day;
                self.open()?;
            }
        }
        self.batch.push(row.get(self.left_out..).unwrap_or_default());
        if self.batch.len() == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        let frame = std::mem::replace(&mut self.batch, Rows::new(self.table)).frame().map_err(|source| self.broken(source))?;
        for at in 0..self.writers.len() {
            let done = self.writers.get_mut(at).map_or(Ok(()), |(writer, _)| writer.write(&frame));
            done.map_err(|source| self.broken(source))?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), ReportError> {
        if self.batch.len() > 0 {
            self.flush()?;
        }
        for (writer, written) in std::mem::take(&mut self.writers) {
            let file = writer.finish().map_err(|source| self.broken(source))?;
            file.sync_all().map_err(|source| ReportError::Io { path: written.path.clone(), source })?;
            self.written.push(written);
        }
        Ok(())
    }

    /// Takes the rows of the table, in order, and writes them in batches, so that memory does not grow with the table. Returns the files, complete.
    pub(super) fn fill(mut self, rows: impl FnOnce(&mut dyn FnMut(&[Cell<'_>]))) -> Result<Vec<Written>, ReportError> {
        let mut filled = Ok(());
        rows(&mut |row: &[Cell<'_>]| {
            if filled.is_ok() {
                filled = self.push(row);
            }
        });
        filled?;
        self.close()?;
        Ok(self.written)
    }
}
