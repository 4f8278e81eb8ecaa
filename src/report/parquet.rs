//! A table as Parquet with real types, compressed by zstd.

use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use polars::prelude::{ArrowDataType, CompatLevel, PolarsError, PolarsResult, SchemaExt};
use polars_parquet::write::{
    CompressedPage, CompressionOptions, DynIter, DynStreamingIterator, Encoding, FileWriter, Page, ParquetType, StatisticsOptions, Version,
    WriteOptions, array_to_columns, compress, fallible_streaming_iterator, get_dtype_encoding,
};
use rayon::prelude::*;

use super::alike::Common;
use super::columns::Table;
use super::rows::{self, Rows};

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
    parts: Vec<Arc<Rows>>,
}

impl Parquet {
    /// A writer into `file` for rows of `table`.
    pub(super) fn new(file: File, table: &Table) -> PolarsResult<Parquet> {
        // Pages and footer come partly a byte at a time.
        let file = BufWriter::with_capacity(64 << 10, file);
        let writer = FileWriter::try_new(file, rows::schema(table).to_arrow(CompatLevel::newest()), options())?;
        Ok(Parquet { writer, parts: Vec::new() })
    }

    /// Takes rows of the next row group.
    pub(super) fn push(&mut self, part: Arc<Rows>) {
        self.parts.push(part);
    }

    /// Writes the rows taken as one row group; `common` has what theirs stand for.
    pub(super) fn write(&mut self, common: Option<&Common>) -> PolarsResult<()> {
        let parts = std::mem::take(&mut self.parts);
        let rows: usize = parts.iter().map(|part| part.len()).sum();
        let dtypes: Vec<&ArrowDataType> = self.writer.schema().iter_values().map(|field| &field.dtype).collect();
        let fields = self.writer.parquet_schema().fields();
        let columns = dtypes.into_par_iter().enumerate().zip(fields).with_max_len(1);
        let columns = columns.map(|((at, dtype), field)| column(&parts, common, at, dtype, field)).collect::<PolarsResult<Vec<_>>>()?;
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
fn column(
    parts: &[Arc<Rows>],
    common: Option<&Common>,
    at: usize,
    dtype: &ArrowDataType,
    field: &ParquetType,
) -> PolarsResult<Vec<CompressedPage>> {
    let encoding = get_dtype_encoding(dtype).first().copied().unwrap_or(Encoding::Plain);
    let Some((array, encoding)) = rows::array(parts.iter().map(|part| &**part), common, at, dtype.clone(), encoding) else {
        return Ok(Vec::new());
    };
    let encoded = array_to_columns(array, field.clone(), options(), &[encoding])?;
    let pages: Vec<Page> = encoded.into_iter().flatten().collect::<PolarsResult<_>>()?;
    let compressed = pages.into_par_iter().with_max_len(1).map(|page| compress(page, Vec::new(), options().compression));
    compressed.map(|page| page.map_err(PolarsError::from)).collect()
}

#[cfg(test)]
mod tests {
    use polars::prelude::{DataFrame, DataType, IntoColumn, NamedFrom, ParquetCompression, ParquetWriter, Series, TimeUnit, TimeZone};
    use proptest::prelude::*;

    use super::*;
    use crate::report::columns::{Column, Kind};
    use crate::report::rows::Cell;

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

    /// Those rows as packtrail takes them and as a frame.
    fn rows(numbers: std::ops::Range<i64>) -> (Rows, DataFrame) {
        let mut rows = Rows::new(TABLE, 0, None);
        // Some columns have unknown values in no part, some in one part, some in all.
        let same = |_| Some("AssumeRole".to_owned());
        let few =
            |number: i64| (number > 2_000).then(|| ["a role of which there are few", "another"][usize::from(number % 3 == 0)].to_owned());
        let own = |number: i64| Some(format!("{number} {}", "a text of which no other row has one, and that is long ".repeat(3)));
        let count = |number: i64| (number % 7 > 0).then_some(number * number);
        let decimal = |number: i64| (number % 11 > 0).then(|| (37 * (number % 900)) as f64 / 100.0);
        for number in numbers.clone() {
            rows.push(&[
                Cell::Time(Some(1_790_000_000 + number / 5)),
                Cell::Text(same(number).as_deref()),
                Cell::Text(few(number).as_deref()),
                Cell::Text(own(number).as_deref()),
                Cell::Count(count(number)),
                Cell::Decimal(decimal(number)),
                Cell::Date(None),
                Cell::Flag(number % 2 == 0),
            ]);
        }
        let text = |name: &str, text: &dyn Fn(i64) -> Option<String>| {
            polars::prelude::Column::new(name.into(), numbers.clone().map(text).collect::<Vec<_>>())
        };
        let of =
            |name: &str, values: Vec<Option<i64>>, dtype: DataType| Series::new(name.into(), values).cast(&dtype).unwrap().into_column();
        let columns = vec![
            of(
                "time",
                numbers.clone().map(|number| Some((1_790_000_000 + number / 5) * 1_000_000)).collect(),
                DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
            ),
            text("same", &same),
            text("few", &few),
            text("own", &own),
            of("count", numbers.clone().map(count).collect(), DataType::Int64),
            polars::prelude::Column::new("decimal".into(), numbers.clone().map(decimal).collect::<Vec<_>>()),
            of("day", numbers.clone().map(|_| None).collect(), DataType::Date),
            polars::prelude::Column::new("flag".into(), numbers.clone().map(|number| number % 2 == 0).collect::<Vec<_>>()),
        ];
        (rows, DataFrame::new_infer_height(columns).unwrap())
    }

    /// What is written of row groups, each of some parts.
    fn written(table: &Table, row_groups: Vec<Vec<Rows>>) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut parquet = Parquet::new(file.reopen().unwrap(), table).unwrap();
        for parts in row_groups {
            parts.into_iter().for_each(|part| parquet.push(Arc::new(part)));
            parquet.write(None).unwrap();
        }
        parquet.finish().unwrap();
        std::fs::read(file.path()).unwrap()
    }

    /// What polars writes of row groups of `table`.
    fn written_by_polars(table: &Table, row_groups: &[DataFrame]) -> Vec<u8> {
        let mut written = Vec::new();
        let mut polars = ParquetWriter::new(&mut written)
            .with_compression(ParquetCompression::Zstd(None))
            .with_row_group_size(Some(1 << 20))
            .batched(&rows::schema(table))
            .unwrap();
        row_groups.iter().for_each(|rows| polars.write_batch(rows).unwrap());
        polars.finish().unwrap();
        drop(polars);
        written
    }

    #[test]
    fn row_groups_made_of_parts_are_the_same_to_the_byte_as_polars_writes_whole_ones() {
        // The texts of the first row group fill more than one page.
        let row_groups = [&[0..1_000, 1_000..1_001, 1_001..8_000][..], &[8_000..8_100, 8_100..8_200], &[8_200..8_201, 8_201..8_201]];
        let parts = row_groups.iter().map(|parts| parts.iter().map(|part| rows(part.clone()).0).collect()).collect();
        let whole: Vec<DataFrame> = row_groups.iter().map(|parts| rows(parts[0].start..parts[parts.len() - 1].end).1).collect();
        assert!(written(&TABLE, parts) == written_by_polars(&TABLE, &whole));
    }

    const TEXTS: Table =
        Table { name: "texts", rows: "", by_day: false, columns: &[Column { name: "text", kind: Kind::Text, meaning: "" }] };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]
        #[test]
        fn texts_are_written_as_polars_writes_them_however_often_they_repeat(
            rows in prop_oneof![1_usize..300, 125_usize..132, 300_usize..4_000],
            part_rows in prop_oneof![1_usize..200, Just(512)],
            distinct_share in prop_oneof![
                0.0_f64..1.0, 0.45_f64..0.55, 0.7_f64..0.8, 0.9_f64..1.0, Just(0.0), Just(0.5), Just(0.75), Just(0.95), Just(1.0)
            ],
            null_share in prop_oneof![Just(0.0_f64), 0.0_f64..0.1, 0.0_f64..1.0, Just(1.0)],
            chars in prop_oneof![0_usize..3, 8_usize..16, 30_usize..80],
            shuffled in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let mut state = seed;
            let mut below = |end: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                usize::try_from(state >> 33).unwrap() % end.max(1)
            };
            let distinct = ((rows as f64 * distinct_share) as usize).max(1);
            let texts: Vec<Option<String>> = (0..rows)
                .map(|row| {
                    let number = if shuffled { below(distinct) } else { row % distinct };
                    // The first text may be the empty one.
                    let text = if number == 0 { "é".repeat(chars / 4) } else { format!("{number:chars$}") };
                    Some(text).filter(|_| below(1_000) as f64 >= null_share * 1_000.0)
                })
                .collect();
            let parts = texts.chunks(part_rows).map(|texts| {
                let mut rows = Rows::new(TEXTS, 0, None);
                texts.iter().for_each(|text| rows.push(&[Cell::Text(text.as_deref())]));
                rows
            });
            let whole = DataFrame::new_infer_height(vec![polars::prelude::Column::new("text".into(), &texts)]).unwrap();
            prop_assert!(written(&TEXTS, vec![parts.collect()]) == written_by_polars(&TEXTS, &[whole]));
        }
    }
}
