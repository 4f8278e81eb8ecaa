//! One table being written in all its forms, whole or a file a day.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use polars::prelude::{DataFrame, PolarsError, PolarsResult};

use super::columns::{Column, Table};
use super::frame::{Cell, Rows};
use super::place::{Written, key_of_day};
use super::{Format, Layout, ReportError, csv, json, parquet};

/// A form of a table that is written from frames.
pub(super) trait TableWriter: Send {
    fn write(&mut self, frame: &DataFrame) -> PolarsResult<()>;
    fn finish(self: Box<Self>) -> PolarsResult<()>;
}

/// One form of one table being written.
enum Writer {
    /// From rows, as they come.
    Rows(csv::Csv),
    /// From frames, on a thread of its own, so that the next rows are made meanwhile.
    Frames(Background),
}

/// A writer that works on a thread of its own. At most one frame waits for it.
struct Background {
    frames: SyncSender<Arc<DataFrame>>,
    thread: JoinHandle<PolarsResult<()>>,
}

impl Background {
    fn new(mut writer: Box<dyn TableWriter>) -> io::Result<Background> {
        let (frames, waiting) = sync_channel::<Arc<DataFrame>>(1);
        let thread = thread::Builder::new().name("table".to_owned()).spawn(move || {
            while let Ok(frame) = waiting.recv() {
                writer.write(&frame)?;
            }
            writer.finish()
        })?;
        Ok(Background { frames, thread })
    }

    /// Whatever goes wrong on the thread ends it, and [`Background::finish`] tells.
    fn write(&self, frame: &Arc<DataFrame>) {
        let _ = self.frames.send(Arc::clone(frame));
    }

    fn finish(self) -> PolarsResult<()> {
        drop(self.frames);
        let broken = |_| Err(PolarsError::from(io::Error::other("the thread that writes a table ended before its time")));
        self.thread.join().unwrap_or_else(broken)
    }
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
    writers: Vec<(Writer, Written)>,
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
            let io = |source| ReportError::Io { path: path.clone(), source };
            let writer = match format {
                Format::Csv => Writer::Rows(csv::Csv::new(file, self.table.columns).map_err(io)?),
                Format::Parquet => {
                    let parquet = parquet::Parquet::new(file, &self.empty()?).map_err(|source| self.broken(source))?;
                    Writer::Frames(Background::new(Box::new(parquet)).map_err(io)?)
                }
                Format::Json => Writer::Frames(Background::new(Box::new(json::Json::new(file))).map_err(io)?),
            };
            self.writers.push((writer, Written { key, path }));
        }
        // A table without rows is a table too.
        let empty = self.empty()?;
        self.write(empty);
        Ok(())
    }

    fn empty(&self) -> Result<DataFrame, ReportError> {
        Rows::new(self.table).frame().map_err(|source| self.broken(source))
    }

    fn write(&self, frame: DataFrame) {
        let frame = Arc::new(frame);
        for (writer, _) in &self.writers {
            if let Writer::Frames(writer) = writer {
                writer.write(&frame);
            }
        }
    }

    /// Whether a form is written from frames, so that they have to be made.
    fn frames(&self) -> bool {
        self.formats.iter().any(|format| *format != Format::Csv)
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
        let row = row.get(self.left_out..).unwrap_or_default();
        for (writer, written) in &mut self.writers {
            if let Writer::Rows(csv) = writer {
                csv.row(row).map_err(|source| ReportError::Io { path: written.path.clone(), source })?;
            }
        }
        if self.frames() {
            self.batch.push(row);
        }
        if self.batch.len() == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        let frame = std::mem::replace(&mut self.batch, Rows::new(self.table)).frame().map_err(|source| self.broken(source))?;
        self.write(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), ReportError> {
        if self.batch.len() > 0 {
            self.flush()?;
        }
        for (writer, written) in std::mem::take(&mut self.writers) {
            match writer {
                Writer::Rows(csv) => csv.finish().map_err(|source| ReportError::Io { path: written.path.clone(), source })?,
                Writer::Frames(writer) => writer.finish().map_err(|source| self.broken(source))?,
            }
            self.written.push(written);
        }
        Ok(())
    }

    /// Takes the rows of the table, in order, and writes them in batches, so that memory does not grow with the table. Returns the files, complete but not yet
    /// safe from a loss of power.
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
