//! A table as Parquet with real types, compressed by zstd.

use std::fs::File;

use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;

use super::output::TableWriter;

/// Writes batches of one table as row groups.
pub(super) struct Parquet {
    writer: BatchedWriter<File>,
}

impl Parquet {
    /// A writer into `file` for frames of the schema of `empty`.
    pub(super) fn new(file: File, empty: &DataFrame) -> PolarsResult<Parquet> {
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None)).batched(empty.schema())?;
        Ok(Parquet { writer })
    }
}

impl TableWriter for Parquet {
    fn write(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        self.writer.write_batch(frame)
    }

    fn finish(self: Box<Self>) -> PolarsResult<()> {
        self.writer.finish().map(drop)
    }
}
