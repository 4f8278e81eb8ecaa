//! One table being written in all its forms, whole or a file a day, over all cores.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, PolarsError};
use rayon::prelude::*;

use super::columns::{Column, Table};
use super::frame::{Cell, Rows};
use super::place::{Written, key_of_day};
use super::{Format, Layout, ReportError, csv, json, parquet};

/// Rows a batch: a Parquet row group, some 40 MB while it is made. While one is written the next is made.
const BATCH_ROWS: usize = 32_768;

/// Rows that one thread makes at a time.
const PART_ROWS: usize = 1024;

/// Rows that follow each other, in the forms asked for.
struct Part {
    csv: Option<Vec<u8>>,
    json: Option<json::Rows>,
    frame: Option<DataFrame>,
}

/// One form of one file being written.
enum Writer {
    Csv(csv::Csv),
    Json(json::Json),
    Parquet(Box<parquet::Parquet>),
}

/// The files of a table, or of one day of it.
struct Files(Vec<(Writer, Written)>);

/// Items of one table, or of one day of it, that become one row group.
#[derive(Clone, Copy)]
struct Group<'a, T> {
    day: Option<i32>,
    items: &'a [T],
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
    /// Files that further rows belong to.
    open: Option<Files>,
}

impl Output {
    /// Opens the files of `table` in `folder`, but for those of single days.
    pub(super) fn create(folder: &Path, table: Table, formats: &[Format], layout: Layout) -> Result<Output, ReportError> {
        let by_day = layout == Layout::Hive && table.by_day;
        let left_out = usize::from(by_day && table.columns.first().is_some_and(|column| column.name == "day"));
        let columns: &'static [Column] = table.columns.get(left_out..).unwrap_or_default();
        let table = Table { columns, ..table };
        let mut output = Output { table, formats: formats.to_vec(), layout, by_day, left_out, folder: folder.to_owned(), open: None };
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
                    let parquet = Rows::new(self.table, 0).frame().and_then(|empty| parquet::Parquet::new(file, &empty));
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

    /// The rows of `items`, at most [`PART_ROWS`].
    fn part<T>(&self, items: &[T], rows: &impl Fn(&[T], &mut dyn FnMut(&[Cell<'_>]))) -> Result<Part, ReportError> {
        let asked = |format| self.formats.contains(&format);
        let mut csv = asked(Format::Csv).then(|| Vec::with_capacity(items.len() * 256));
        let mut json = asked(Format::Json).then(|| json::Rows::new(self.table.columns));
        let mut frame = asked(Format::Parquet).then(|| Rows::new(self.table, items.len()));
        rows(items, &mut |row| {
            let row = row.get(self.left_out..).unwrap_or_default();
            if let Some(csv) = &mut csv {
                csv::write_row(csv, row);
            }
            if let Some(json) = &mut json {
                json.push(row);
            }
            if let Some(frame) = &mut frame {
                frame.push(row);
            }
        });
        let frame = frame.map(Rows::frame).transpose().map_err(|source| self.broken(source))?;
        Ok(Part { csv, json, frame })
    }

    /// The rows of each group of a batch.
    fn make<T: Sync>(
        &self,
        batch: &[Group<'_, T>],
        rows: &(impl Fn(&[T], &mut dyn FnMut(&[Cell<'_>])) + Sync),
    ) -> Result<Vec<Vec<Part>>, ReportError> {
        let parts = |group: &Group<'_, T>| group.items.par_chunks(PART_ROWS).map(|items| self.part(items, rows)).collect();
        batch.par_iter().map(parts).collect()
    }

    /// Writes one row group to its files: those that are open, or else those of its day. Returns them where `more` is to come, else what was written.
    fn write(
        &self,
        open: Option<Files>,
        day: Option<i32>,
        parts: &[Part],
        more: bool,
    ) -> Result<(Option<Files>, Vec<Written>), ReportError> {
        let mut files = open.map_or_else(|| self.files(day), Ok)?;
        files.0.par_iter_mut().with_max_len(1).try_for_each(|(writer, written)| {
            let io = |source: io::Error| ReportError::Io { path: written.path.clone(), source };
            match writer {
                Writer::Csv(csv) => parts.iter().filter_map(|part| part.csv.as_ref()).try_for_each(|rows| csv.write(rows)).map_err(io),
                Writer::Json(json) => parts.iter().filter_map(|part| part.json.as_ref()).try_for_each(|rows| json.write(rows)).map_err(io),
                Writer::Parquet(parquet) => {
                    let frames: Vec<&DataFrame> = parts.iter().filter_map(|part| part.frame.as_ref()).collect();
                    parquet.write(&frames).map_err(|source| self.broken(source))
                }
            }
        })?;
        if more { Ok((Some(files), Vec::new())) } else { Ok((None, self.close(files)?)) }
    }

    fn close(&self, files: Files) -> Result<Vec<Written>, ReportError> {
        let close = |(writer, written): (Writer, Written)| {
            match writer {
                Writer::Csv(_) => {}
                Writer::Json(json) => json.finish().map_err(|source| ReportError::Io { path: written.path.clone(), source })?,
                Writer::Parquet(parquet) => parquet.finish().map_err(|source| self.broken(source))?,
            }
            Ok(written)
        };
        files.0.into_iter().map(close).collect()
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
        let groups: Vec<Group<'_, T>> = if self.by_day {
            let days = items.chunk_by(|one, next| day(one) == day(next));
            days.flat_map(|items| {
                let day = items.first().and_then(&day);
                items.chunks(BATCH_ROWS).map(move |items| Group { day, items })
            })
            .collect()
        } else {
            items.chunks(BATCH_ROWS).map(|items| Group { day: None, items }).collect()
        };
        let mut rest = batches(&groups);
        let mut open = self.open.take();
        let mut written = Vec::new();
        let mut made = rest.next().map(|batch| self.make(batch, &rows).map(|parts| (batch, parts))).transpose()?;
        while let Some((batch, parts)) = made {
            let next = rest.next();
            // A day may go on in the next batch; a whole table is closed when all is written.
            let goes_on = |at| {
                at + 1 == batch.len()
                    && (!self.by_day || next.and_then(<[_]>::first).map(|group| group.day) == batch.last().map(|group| group.day))
            };
            let mut of_groups: Vec<_> =
                batch.iter().zip(&parts).enumerate().map(|(at, (group, parts))| (None, group.day, parts, goes_on(at))).collect();
            if let Some((first, ..)) = of_groups.first_mut() {
                *first = open.take();
            }
            let write = || {
                of_groups.into_par_iter().map(|(open, day, parts, more)| self.write(open, day, parts, more)).collect::<Result<Vec<_>, _>>()
            };
            let (done, next) = rayon::join(write, || next.map(|batch| self.make(batch, &rows).map(|parts| (batch, parts))).transpose());
            for (left, complete) in done? {
                open = left;
                written.extend(complete);
            }
            made = next?;
        }
        if let Some(files) = open {
            written.extend(self.close(files)?);
        }
        Ok(written)
    }
}

/// Groups that follow each other, together of at most [`BATCH_ROWS`] items: of each file one at most.
fn batches<'a, 'b, T>(groups: &'b [Group<'a, T>]) -> impl Iterator<Item = &'b [Group<'a, T>]> {
    let mut rest = groups;
    std::iter::from_fn(move || {
        let mut items = 0;
        let fits = |group: &&Group<'_, T>| {
            items += group.items.len();
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
                    Cell::Text(Some(&*text).filter(|_| number % 3 > 0)),
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

    /// More than a part, more than a batch, exactly one, and days that share one.
    const DAYS: [usize; 6] = [1, PART_ROWS + 1, BATCH_ROWS + 1, 5, BATCH_ROWS, 2];

    #[test]
    fn every_row_is_written_once_and_in_order_to_the_file_of_its_day() {
        let items = days(&DAYS);
        let text = |number: usize| if number % 3 > 0 { format!("the text of row {number}") } else { String::new() };
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
    fn parquet_has_the_rows_in_row_groups_of_one_batch_each() {
        let items = days(&DAYS);
        let [(_, file)] = &written(&items, Format::Parquet, Layout::Flat)[..] else { panic!("one file") };
        let mut reader = ParquetReader::new(io::Cursor::new(file));
        let groups: Vec<usize> = reader.get_metadata().unwrap().row_groups.iter().map(|group| group.num_rows()).collect();
        let (last, whole) = groups.split_last().unwrap();
        assert!(whole.iter().all(|&rows| rows == BATCH_ROWS) && *last == items.len() % BATCH_ROWS, "{groups:?}");
        let frame = reader.finish().unwrap();
        let (numbers, texts) = (frame.column("number").unwrap().i64().unwrap(), frame.column("text").unwrap().str().unwrap());
        let expected: Vec<String> = items.iter().map(|(_, number)| format!("the text of row {number}")).collect();
        assert!(numbers.iter().map(|number| usize::try_from(number.unwrap()).unwrap()).eq(0..items.len()));
        assert!((0..).zip(&expected).all(|(number, text)| texts.get(number) == Some(&**text).filter(|_| number % 3 > 0)));
    }

    #[test]
    fn json_is_one_array_with_a_row_a_line_and_a_table_without_rows_is_one_too() {
        let items = days(&[PART_ROWS + 1, BATCH_ROWS]);
        let [(_, file)] = &written(&items, Format::Json, Layout::Flat)[..] else { panic!("one file") };
        let rows: Vec<serde_json::Value> = serde_json::from_slice(file).unwrap();
        let expected = |&(day, number): &(i32, usize)| {
            let text = Some(format!("the text of row {number}")).filter(|_| number % 3 > 0);
            serde_json::json!({ "day": super::super::date_text(day), "number": number, "text": text })
        };
        assert!(rows.iter().eq(items.iter().map(expected).collect::<Vec<_>>().iter()));
        assert_eq!(file.iter().filter(|&&byte| byte == b'\n').count(), items.len() + 2);
        assert_eq!(written(&[], Format::Json, Layout::Flat)[0].1, b"[]\n");
        assert_eq!(written(&[], Format::Csv, Layout::Flat)[0].1, b"day,number,text\r\n");
    }
}
