//! An open Parquet file: batches go in, encoded bytes come out as row groups get full.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use columnar::{Compression, ParquetOptions, ParquetWriter, RecordBatch, SchemaRef};
use connector::{Error, ErrorKind, Result};

/// Bytes of memory of a row group.
const ROW_GROUP: usize = 32 << 20;

/// An open file.
#[derive(Debug)]
pub(super) struct ParquetFile {
    writer: Option<ParquetWriter<Shared>>,
    out: Shared,
    /// Bytes that were taken out.
    sent: usize,
}

/// What the writer has put out so far.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn with<T>(&self, f: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.with(|out| out.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Why a file can't be written.
#[allow(clippy::needless_pass_by_value, reason = "it maps errors")]
pub(super) fn broken(e: impl ToString) -> Error {
    Error::new(ErrorKind::Other, format!("the Parquet file can't be written: {}", e.to_string()))
}

impl ParquetFile {
    pub(super) fn new(schema: SchemaRef, compression: Compression) -> Result<Self> {
        let out = Shared::default();
        let options = ParquetOptions { compression, row_group_bytes: ROW_GROUP, ..ParquetOptions::default() };
        let writer = ParquetWriter::new(out.clone(), schema, &options).map_err(broken)?;
        Ok(Self { writer: Some(writer), out, sent: 0 })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write(batch).map_err(broken),
            None => Err(broken("it has ended")),
        }
    }

    /// Bytes that could be sent.
    pub(super) fn ready(&self) -> usize {
        self.out.with(|out| out.len())
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> usize {
        self.writer.as_ref().map_or(0, ParquetWriter::held) + self.out.with(|out| out.capacity())
    }

    /// About the size of the file if it ended now.
    pub(super) fn size(&self) -> usize {
        self.writer.as_ref().map_or_else(|| self.sent + self.ready(), ParquetWriter::size)
    }

    /// Takes out what is ready to be sent.
    pub(super) fn take(&mut self) -> Bytes {
        let bytes = self.out.with(std::mem::take);
        self.sent += bytes.len();
        bytes.into()
    }

    /// Ends the file: all of the rest is ready then.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.writer.take() {
            Some(writer) => writer.finish().map(drop).map_err(broken),
            None => Ok(()),
        }
    }
}
