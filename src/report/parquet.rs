//! A table as Parquet with real types, compressed by zstd.

use std::fs::File;
use std::io::BufWriter;

use polars::prelude::*;
use polars_parquet::write::{
    CompressedPage, CompressionOptions, DynIter, DynStreamingIterator, Encoding, FileWriter, Page, ParquetType, StatisticsOptions, Version,
    WriteOptions, array_to_columns, compress, fallible_streaming_iterator, get_dtype_encoding,
};
use rayon::prelude::*;

/// As polars writes Parquet when it is told nothing else.
fn options() -> WriteOptions {
    WriteOptions {
        statistics: StatisticsOptions::default(),
        version: Version::V1,
        compression: CompressionOptions::Zstd(None),
        data_page_size: None,
    }
}

/// Writes one table, a row group at a time. polars' own writer encodes the columns of a row group at once but compresses them one after the other.
pub(super) struct Parquet {
    writer: FileWriter<BufWriter<File>>,
    /// Rows of the next row group.
    parts: Vec<DataFrame>,
}

impl Parquet {
    /// A writer into `file` for frames of the schema of `empty`.
    pub(super) fn new(file: File, empty: &DataFrame) -> PolarsResult<Parquet> {
        // Pages and footer come partly a byte at a time.
        let file = BufWriter::with_capacity(64 << 10, file);
        let writer = FileWriter::try_new(file, empty.schema().to_arrow(CompatLevel::newest()), options())?;
        Ok(Parquet { writer, parts: Vec::new() })
    }

    /// Takes rows of the next row group.
    pub(super) fn push(&mut self, part: DataFrame) {
        self.parts.push(part);
    }

    /// Writes the rows taken as one row group.
    pub(super) fn write(&mut self) -> PolarsResult<()> {
        let parts = std::mem::take(&mut self.parts);
        let rows: usize = parts.iter().map(DataFrame::height).sum();
        let encodings: Vec<Vec<Encoding>> = self.writer.schema().iter_values().map(|field| get_dtype_encoding(&field.dtype)).collect();
        let fields = self.writer.parquet_schema().fields();
        let columns = (0..encodings.len()).into_par_iter().zip(fields).zip(&encodings).with_max_len(1);
        let columns = columns.map(|((at, field), encodings)| column(&parts, at, field, encodings)).collect::<PolarsResult<Vec<_>>>()?;
        let columns = DynIter::new(columns.iter().map(|pages| {
            let pages = fallible_streaming_iterator::convert(pages.iter().map(PolarsResult::Ok));
            Ok(DynStreamingIterator::new(pages))
        }));
        self.writer.write(rows as u64, columns)
    }

    /// Writes the footer; no error of the file is lost.
    pub(super) fn finish(mut self) -> PolarsResult<()> {
        self.writer.end(None)?;
        Ok(self.writer.into_inner().into_inner().map(drop).map_err(std::io::IntoInnerError::into_error)?)
    }
}

/// The pages of the column at `at` of `parts`, encoded as one array and compressed.
fn column(parts: &[DataFrame], at: usize, field: &ParquetType, encodings: &[Encoding]) -> PolarsResult<Vec<CompressedPage>> {
    let mut of_parts = parts.iter().filter_map(|part| part.columns().get(at)).map(Column::as_materialized_series);
    let Some(mut column) = of_parts.next().cloned() else { return Ok(Vec::new()) };
    for part in of_parts {
        column.append(part)?;
    }
    let array = column.rechunk().to_arrow(0, CompatLevel::newest());
    let encoded = array_to_columns(array, field.clone(), options(), encodings)?;
    let pages: Vec<Page> = encoded.into_iter().flatten().collect::<PolarsResult<_>>()?;
    let compressed = pages.into_par_iter().with_max_len(1).map(|page| compress(page, Vec::new(), options().compression));
    compressed.map(|page| page.map_err(PolarsError::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::columns::{Column, Kind, Table};
    use crate::report::frame::{Cell, Rows};

    const TABLE: Table = Table {
        name: "rows",
        rows: "",
        by_day: false,
        columns: &[
            Column { name: "time", kind: Kind::Time, meaning: "" },
            Column { name: "same", kind: Kind::Text, meaning: "" },
            Column { name: "few", kind: Kind::Text, meaning: "" },
            Column { name: "own", kind: Kind::Text, meaning: "" },
            Column { name: "count", kind: Kind::Count, meaning: "" },
            Column { name: "decimal", kind: Kind::Decimal, meaning: "" },
            Column { name: "day", kind: Kind::Date, meaning: "" },
            Column { name: "flag", kind: Kind::Flag, meaning: "" },
        ],
    };

    fn frame(numbers: std::ops::Range<i64>) -> DataFrame {
        let mut rows = Rows::new(TABLE, 0);
        for number in numbers {
            let own = format!("{number} {}", "a text of which no other row has one, and that is long ".repeat(3));
            // Some columns have unknown values in no part, some in one part, some in all.
            rows.push(&[
                Cell::Time(Some(1_790_000_000 + number)),
                Cell::Text(Some("AssumeRole")),
                Cell::Text((number > 2_000).then_some(["a role of which there are few", "another"][usize::from(number % 3 == 0)])),
                Cell::Text(Some(&own)),
                Cell::Count((number % 7 > 0).then_some(number * number)),
                Cell::Decimal(Some(0.37 * f64::from(u16::try_from(number % 900).unwrap()))),
                Cell::Date(None),
                Cell::Flag(number % 2 == 0),
            ]);
        }
        rows.frame().unwrap()
    }

    #[test]
    fn row_groups_made_of_parts_are_the_same_to_the_byte_as_polars_writes_whole_ones() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut parquet = Parquet::new(file.reopen().unwrap(), &frame(0..0)).unwrap();
        let mut expected = Vec::new();
        let mut polars =
            ParquetWriter::new(&mut expected).with_compression(ParquetCompression::Zstd(None)).batched(frame(0..0).schema()).unwrap();
        // The texts of the first row group fill more than one page.
        for parts in [&[0..1_000, 1_000..1_001, 1_001..8_000][..], &[8_000..8_100, 8_100..8_200]] {
            parts.iter().for_each(|part| parquet.push(frame(part.clone())));
            parquet.write().unwrap();
            polars.write_batch(&frame(parts[0].start..parts[parts.len() - 1].end)).unwrap();
        }
        parquet.finish().unwrap();
        polars.finish().unwrap();
        drop(polars);
        assert!(std::fs::read(file.path()).unwrap() == expected);
    }
}
