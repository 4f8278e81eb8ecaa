//! A table as Parquet with real types, compressed by zstd.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;

use super::output::TableWriter;

/// Writes batches of one table as row groups.
pub(super) struct Parquet {
    writer: BatchedWriter<Shared>,
    file: Shared,
}

/// A file that polars writes, some of it a byte at a time, and that is flushed here when it is complete, so that no error is lost.
#[derive(Clone)]
struct Shared(Arc<Mutex<BufWriter<File>>>);

impl Shared {
    fn file(&self) -> MutexGuard<'_, BufWriter<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Parquet {
    /// A writer into `file` for frames of the schema of `empty`.
    pub(super) fn new(file: File, empty: &DataFrame) -> PolarsResult<Parquet> {
        let file = Shared(Arc::new(Mutex::new(BufWriter::with_capacity(64 << 10, file))));
        let writer = ParquetWriter::new(file.clone()).with_compression(ParquetCompression::Zstd(None)).batched(empty.schema())?;
        Ok(Parquet { writer, file })
    }
}

impl TableWriter for Parquet {
    fn write(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        self.writer.write_batch(frame)
    }

    fn finish(self: Box<Self>) -> PolarsResult<()> {
        self.writer.finish()?;
        Ok(self.file.file().flush()?)
    }
}
