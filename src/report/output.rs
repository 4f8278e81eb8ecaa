//! One table being written in all its forms, whole or a file a day, over all cores.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polars::prelude::PolarsError;
use rayon::prelude::*;

use super::alike::Common;
use super::columns::{Column, Table};
use super::place::{Written, key_of_day};
use super::rows::{Cell, Rows};
use super::{Format, Layout, ReportError, csv, json, parquet};

/// Rows of a Parquet row group: some 20 MB until it is written.
const ROW_GROUP_ROWS: usize = 32_768;

/// Rows made at once, while those before them are written; row groups consist of whole batches.
const BATCH_ROWS: usize = 8_192;

/// Rows that one thread makes at a time.
const PART_ROWS: usize = 512;

/// Rows that follow each other, in the forms asked for.
struct Part {
    csv: Option<Vec<u8>>,
    json: Option<json::Rows>,
    columns: Option<Arc<Rows>>,
}

/// One form of one file being written.
enum Writer {
    Csv(csv::Csv),
    Json(json::Json),
    Parquet(Box<parquet::Parquet>),
}

/// The files of a table, or of one day of it.
struct Files(Vec<(Writer, Written)>);

/// Items of one file that follow each other, at most a batch of them.
#[derive(Clone, Copy)]
struct Stretch<'a, T> {
    day: Option<i32>,
    items: &'a [T],
    ends_row_group: bool,
    ends_file: bool,
}

/// One table in all its forms.
pub(super) struct Output {
    table: Table,
    formats: Vec<Format>,
    layout: Layout,
    by_day: bool,
    /// What every file has at the start of a row and its path tells already: columns left out.
    left_out: usize,
    folder: PathBuf,
    /// What rows have in common.
    common: Option<Common>,
    /// Files that further rows belong to.
    open: Option<Files>,
    /// Memory of rows that were written: fresh memory costs as much as to fill it.
    spare: Mutex<Vec<Vec<u8>>>,
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
            left_out,
            folder: folder.to_owned(),
            common: None,
            open: None,
            spare: Mutex::default(),
        };
        if !by_day {
            output.open = Some(output.files(None)?);
        }
        Ok(output)
    }

    fn key(&self, format: Format, day: Option<i32>) -> String {
        let name = self.table.name;
        match (self.layout, day) {
            (Layout::Flat, _) => format!("{name}.{}", format.extension()),
            (Layout::Hive, None) => format!("{name}/{name}.{}", format.extension()),
            (Layout::Hive, Some(day)) => key_of_day(name, day),
        }
    }

    /// Opens the files of `day`, or of the whole table.
    fn files(&self, day: Option<i32>) -> Result<Files, ReportError> {
        let open = |&format: &Format| {
            let key = self.key(format, day);
            // One folder without folders in it: nothing that is written late can make one anew after it was removed.
            let path = self.folder.join(key.replace('/', "~"));
            let file = File::create(&path).map_err(|source| ReportError::Io { path: path.clone(), source })?;
            let writer = match format {
                Format::Csv => {
                    let csv = csv::Csv::new(file, self.table.columns);
                    Writer::Csv(csv.map_err(|source| ReportError::Io { path: path.clone(), source })?)
                }
                Format::Parquet => {
                    let parquet = parquet::Parquet::new(file, &self.table);
                    Writer::Parquet(Box::new(parquet.map_err(|source| self.broken(source))?))
                }
                Format::Json => Writer::Json(json::Json::new(file)),
            };
            Ok((writer, Written { key, path }))
        };
        self.formats.iter().map(open).collect::<Result<_, _>>().map(Files)
    }

    fn broken(&self, source: PolarsError) -> ReportError {
        ReportError::Table { table: self.table.name, source }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of `items`, at most [`PART_ROWS`].
    fn part<T>(&self, items: &[T], rows: &impl Fn(&[T], &mut dyn FnMut(&[Cell<'_>]))) -> Part {
        let asked = |format| self.formats.contains(&format);
        let mut csv = asked(Format::Csv).then(|| self.spare().pop().unwrap_or_default());
        let mut json = asked(Format::Json).then(|| json::Rows::new(self.table.columns));
        let mut columns = asked(Format::Parquet).then(|| Rows::new(self.table, items.len(), self.common.as_ref()));
        rows(items, &mut |row| {
            let row = row.get(self.left_out..).unwrap_or_default();
            if let Some(csv) = &mut csv {
                csv::write_row(csv, row, self.common.as_ref());
            }
            if let Some(json) = &mut json {
                json.push(row);
            }
            if let Some(columns) = &mut columns {
                columns.push(row);
            }
        });
        Part { csv, json, columns: columns.map(Arc::new) }
    }

    /// The rows of each stretch of a batch.
    fn make<T: Sync>(&self, batch: &[Stretch<'_, T>], rows: &(impl Fn(&[T], &mut dyn FnMut(&[Cell<'_>])) + Sync)) -> Vec<Vec<Part>> {
        let parts = |stretch: &Stretch<'_, T>| stretch.items.par_chunks(PART_ROWS).map(|items| self.part(items, rows)).collect();
        batch.par_iter().map(parts).collect()
    }

    /// Writes the rows of one stretch to its files: those that are open, or else those of its day. Returns them where more is to come, else what was written.
    fn write<T: Sync>(
        &self,
        open: Option<Files>,
        stretch: &Stretch<'_, T>,
        parts: Vec<Part>,
    ) -> Result<(Option<Files>, Vec<Written>), ReportError> {
        let mut files = open.map_or_else(|| self.files(stretch.day), Ok)?;
        files.0.par_iter_mut().with_max_len(1).try_for_each(|(writer, written)| {
            let io = |source: io::Error| ReportError::Io { path: written.path.clone(), source };
            match writer {
                Writer::Csv(csv) => parts.iter().filter_map(|part| part.csv.as_ref()).try_for_each(|rows| csv.write(rows)).map_err(io),
                Writer::Json(json) => parts.iter().filter_map(|part| part.json.as_ref()).try_for_each(|rows| json.write(rows)).map_err(io),
                Writer::Parquet(parquet) => {
                    parts.iter().filter_map(|part| part.columns.clone()).for_each(|part| parquet.push(part));
                    let common = self.common.as_ref();
                    if stretch.ends_row_group { parquet.write(common).map_err(|source| self.broken(source)) } else { Ok(()) }
                }
            }
        })?;
        self.spare().extend(parts.into_iter().filter_map(|part| part.csv).map(|mut rows| {
            rows.clear();
            rows
        }));
        if stretch.ends_file { Ok((None, self.close(files)?)) } else { Ok((Some(files), Vec::new())) }
    }

    fn close(&self, files: Files) -> Result<Vec<Written>, ReportError> {
        let close = |(writer, written): (Writer, Written)| {
            match writer {
                Writer::Csv(csv) => csv.finish().map_err(|source| ReportError::Io { path: written.path.clone(), source })?,
                Writer::Json(json) => json.finish().map_err(|source| ReportError::Io { path: written.path.clone(), source })?,
                Writer::Parquet(parquet) => parquet.finish().map_err(|source| self.broken(source))?,
            }
            Ok(written)
        };
        files.0.into_iter().map(close).collect()
    }

    /// Whether rows may have a [`Cell::Common`]: objects of JSON have their cells by name.
    pub(super) fn may_share(&self) -> bool {
        !self.formats.contains(&Format::Json) && self.left_out == 0
    }

    /// With what the numbers of each [`Cell::Common`] stand for.
    pub(super) fn with_common(self, common: Common) -> Output {
        Output { common: Some(common), ..self }
    }

    /// Writes the rows of `items`, one each, in order; `rows` makes those of some items that follow each other, `day` tells the day of one. Makes them in
    /// batches, so that memory does not grow with the table, each over all cores while the one before is written. Returns the files, complete but not yet safe
    /// from a loss of power.
    pub(super) fn fill<T: Sync>(
        mut self,
        items: &[T],
        day: impl Fn(&T) -> Option<i32>,
        rows: impl Fn(&[T], &mut dyn FnMut(&[Cell<'_>])) + Sync,
    ) -> Result<Vec<Written>, ReportError> {
        let stretches = if self.by_day {
            let days = items.chunk_by(|one, next| day(one) == day(next));
            days.flat_map(|items| stretches(items.first().and_then(&day), items)).collect()
        } else {
            stretches(None, items)
        };
        let mut open = self.open.take();
        let make = |batch| (batch, self.make(batch, &rows));
        let mut written = Vec::new();
        let mut batches = batches(&stretches);
        let mut made = batches.next().map(make);
        while let Some((batch, parts)) = made {
            let mut work: Vec<_> = batch.iter().zip(parts).map(|(stretch, parts)| (None, stretch, parts)).collect();
            if let Some((first, ..)) = work.first_mut() {
                *first = open.take();
            }
            let write =
                || work.into_par_iter().map(|(open, stretch, parts)| self.write(open, stretch, parts)).collect::<Result<Vec<_>, _>>();
            let next = batches.next();
            let (done, next) = rayon::join(write, || next.map(make));
            for (still_open, complete) in done? {
                open = still_open;
                written.extend(complete);
            }
            made = next;
        }
        // Of a table without rows.
        if let Some(files) = open {
            written.extend(self.close(files)?);
        }
        Ok(written)
    }
}

/// The stretches of one file.
fn stretches<T>(day: Option<i32>, items: &[T]) -> Vec<Stretch<'_, T>> {
    let row_groups = items.chunks(ROW_GROUP_ROWS);
    let mut stretches: Vec<_> = row_groups
        .flat_map(|items| {
            let last = items.len().div_ceil(BATCH_ROWS);
            (1..).zip(items.chunks(BATCH_ROWS)).map(move |(at, items)| Stretch { day, items, ends_row_group: at == last, ends_file: false })
        })
        .collect();
    if let Some(last) = stretches.last_mut() {
        last.ends_file = true;
    }
    stretches
}

/// Stretches that follow each other, together of at most [`BATCH_ROWS`] items: of each file one at most, since only its last is shorter.
fn batches<'a, 'b, T>(stretches: &'b [Stretch<'a, T>]) -> impl Iterator<Item = &'b [Stretch<'a, T>]> {
    let mut rest = stretches;
    std::iter::from_fn(move || {
        let mut items = 0;
        let fits = |stretch: &&Stretch<'_, T>| {
            items += stretch.items.len();
            items <= BATCH_ROWS
        };
        let (batch, after) = rest.split_at(rest.iter().take_while(fits).count());
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use polars::prelude::{ParquetReader, SerReader};

    use super::*;
    use crate::report::columns::Kind;

    const TABLE: Table = Table {
        name: "rows",
        rows: "",
        by_day: true,
        columns: &[
            Column { name: "day", kind: Kind::Date, meaning: "" },
            Column { name: "number", kind: Kind::Count, meaning: "" },
            Column { name: "text", kind: Kind::Text, meaning: "" },
        ],
    };

    fn written(items: &[(i32, usize)], format: Format, layout: Layout) -> Vec<(String, Vec<u8>)> {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::create(folder.path(), TABLE, &[format], layout).unwrap();
        let rows = |items: &[(i32, usize)], row: &mut dyn FnMut(&[Cell<'_>])| {
            for &(day, number) in items {
                let text = format!("the text of row {number}");
                row(&[
                    Cell::Date(Some(day)),
                    Cell::Count(Some(i64::try_from(number).unwrap())),
                    Cell::Text(Some(&*text).filter(|_| !number.is_multiple_of(3))),
                ]);
            }
        };
        let files = output.fill(items, |&(day, _)| Some(day), rows).unwrap();
        files.into_iter().map(|file| (file.key, fs::read(file.path).unwrap())).collect()
    }

    /// Days of so many rows, from 1970-01-01, the rows numbered through.
    fn days(rows: &[usize]) -> Vec<(i32, usize)> {
        let days = (0..).zip(rows).flat_map(|(day, &rows)| std::iter::repeat_n(day, rows));
        days.enumerate().map(|(number, day)| (day, number)).collect()
    }

    /// More than a part, more than a row group, exactly a batch, and days that share one.
    const DAYS: [usize; 6] = [1, PART_ROWS + 1, ROW_GROUP_ROWS + 1, 5, BATCH_ROWS, 2];

    #[test]
    fn every_row_is_written_once_and_in_order_to_the_file_of_its_day() {
        let items = days(&DAYS);
        let text = |number: usize| if !number.is_multiple_of(3) { format!("the text of row {number}") } else { String::new() };
        let expected = items.chunk_by(|one, next| one.0 == next.0).map(|items| {
            let rows = items.iter().map(|&(_, number)| format!("{number},{}\r\n", text(number)));
            (key_of_day("rows", items[0].0), format!("number,text\r\n{}", rows.collect::<String>()).into_bytes())
        });
        assert!(written(&items, Format::Csv, Layout::Hive) == expected.collect::<Vec<_>>());

        let rows = items.iter().map(|&(day, number)| format!("{},{number},{}\r\n", super::super::date_text(day), text(number)));
        let expected = format!("day,number,text\r\n{}", rows.collect::<String>()).into_bytes();
        assert!(written(&items, Format::Csv, Layout::Flat) == [("rows.csv".to_owned(), expected)]);
    }

    #[test]
    fn parquet_has_the_rows_in_row_groups_of_one_size() {
        let items = days(&DAYS);
        let [(_, file)] = &written(&items, Format::Parquet, Layout::Flat)[..] else { panic!("one file") };
        let mut reader = ParquetReader::new(io::Cursor::new(file));
        let groups: Vec<usize> = reader.get_metadata().unwrap().row_groups.iter().map(|group| group.num_rows()).collect();
        let (last, whole) = groups.split_last().unwrap();
        assert!(whole == [ROW_GROUP_ROWS] && *last == items.len() - ROW_GROUP_ROWS, "{groups:?}");
        let frame = reader.finish().unwrap();
        let (numbers, texts) = (frame.column("number").unwrap().i64().unwrap(), frame.column("text").unwrap().str().unwrap());
        let expected: Vec<String> = items.iter().map(|(_, number)| format!("the text of row {number}")).collect();
        assert!(numbers.iter().map(|number| usize::try_from(number.unwrap()).unwrap()).eq(0..items.len()));
        assert!((0..).zip(&expected).all(|(number, text)| texts.get(number) == Some(&**text).filter(|_| !number.is_multiple_of(3))));
    }

    #[test]
    fn json_is_one_array_with_a_row_a_line_and_a_table_without_rows_is_one_too() {
        let items = days(&[PART_ROWS + 1, BATCH_ROWS]);
        let [(_, file)] = &written(&items, Format::Json, Layout::Flat)[..] else { panic!("one file") };
        let rows: Vec<serde_json::Value> = serde_json::from_slice(file).unwrap();
        let expected = |&(day, number): &(i32, usize)| {
            let text = Some(format!("the text of row {number}")).filter(|_| !number.is_multiple_of(3));
            serde_json::json!({ "day": super::super::date_text(day), "number": number, "text": text })
        };
        assert!(rows.iter().eq(items.iter().map(expected).collect::<Vec<_>>().iter()));
        assert_eq!(file.iter().filter(|&&byte| byte == b'\n').count(), items.len() + 2);
        assert_eq!(written(&[], Format::Json, Layout::Flat)[0].1, b"[]\n");
        assert_eq!(written(&[], Format::Csv, Layout::Flat)[0].1, b"day,number,text\r\n");
    }
}
