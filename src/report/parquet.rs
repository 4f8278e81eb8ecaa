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
}

impl Parquet {
    /// A writer into `file` for frames of the schema of `empty`.
    pub(super) fn new(file: File, empty: &DataFrame) -> PolarsResult<Parquet> {
        // Pages and footer come partly a byte at a time.
        let file = BufWriter::with_capacity(64 << 10, file);
        let writer = FileWriter::try_new(file, empty.schema().to_arrow(CompatLevel::newest()), options())?;
        Ok(Parquet { writer })
    }

    /// Writes `parts`, one after the other, as one row group.
    pub(super) fn write(&mut self, parts: &[&DataFrame]) -> PolarsResult<()> {
        let rows: usize = parts.iter().map(|part| part.height()).sum();
        if rows == 0 {
            return Ok(());
        }
        let encodings: Vec<Vec<Encoding>> = self.writer.schema().iter_values().map(|field| get_dtype_encoding(&field.dtype)).collect();
        let fields = self.writer.parquet_schema().fields();
        let columns = (0..encodings.len()).into_par_iter().zip(fields).zip(&encodings).with_max_len(1);
        let columns = columns.map(|((at, field), encodings)| column(parts, at, field, encodings)).collect::<PolarsResult<Vec<_>>>()?;
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
fn column(parts: &[&DataFrame], at: usize, field: &ParquetType, encodings: &[Encoding]) -> PolarsResult<Vec<CompressedPage>> {
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
