//! The content of a Parquet file: rows are gathered in columns, row groups go out when they are full.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use columnar::{
    Compression, Decoder, Format, Options, ParquetOptions, ParquetWriter, Record, Reject, Schema, Unknown,
};
use connector::records::{Batch, Refused};
use connector::{Error, ErrorKind, Result};

/// Bytes of columns that are gathered before they are encoded.
const GATHERED: usize = 4 << 20;
/// Bytes of memory of a row group.
const ROW_GROUP: usize = 32 << 20;

/// How Parquet files are written.
#[derive(Debug, Clone)]
pub(super) struct ColumnsForm {
    pub(super) schema: Arc<Schema>,
    pub(super) format: Format,
    pub(super) compression: Compression,
}

/// An open file.
pub(super) struct Columns {
    decoder: Decoder,
    writer: Option<ParquetWriter<Shared>>,
    out: Shared,
    rows: u64,
}

/// What the writer has put out so far.
#[derive(Clone, Default)]
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

#[allow(clippy::needless_pass_by_value, reason = "it maps errors")]
fn broken(e: impl ToString) -> Error {
    Error::new(ErrorKind::Other, format!("the Parquet file can't be written: {}", e.to_string()))
}

impl ColumnsForm {
    /// Can records be read so at all?
    pub(super) fn check(&self) -> Result<(), String> {
        Decoder::new(self.schema.clone(), &self.options()).map(drop)
    }

    fn options(&self) -> Options {
        let mut options = Options::new(self.format.clone());
        // The schema says what is dumped: a field that it does not have is not asked for.
        options.unknown = Unknown::Ignore;
        options
    }
}

impl Columns {
    pub(super) fn new(form: &ColumnsForm) -> Result<Self> {
        let (schema, out) = (form.schema.clone(), Shared::default());
        let decoder = Decoder::new(schema.clone(), &form.options()).map_err(broken)?;
        let options = ParquetOptions {
            compression: form.compression,
            row_group_bytes: ROW_GROUP,
            ..ParquetOptions::default()
        };
        let writer = ParquetWriter::new(out.clone(), schema, &options).map_err(broken)?;
        Ok(Self { decoder, writer: Some(writer), out, rows: 0 })
    }

    /// Appends records; returns those that do not fit the schema.
    pub(super) fn append(&mut self, batch: &Batch, picked: &[usize]) -> Result<Vec<Refused>> {
        let (split, mut refused) = (batch.split(), Vec::new());
        for index in picked {
            let Some(r) = batch.get(*index) else { continue };
            let record = Record {
                value: r.value,
                key: r.key,
                timestamp_ms: r.timestamp_ms,
                partition: split.partition,
                offset: r.offset,
                topic: split.source_topic(),
            };
            match self.decoder.push(&record) {
                Ok(()) => self.rows += 1,
                Err(why) => {
                    let reason = match why {
                        Reject::Bad(why) => why.to_string(),
                        Reject::Drift(_) => "the record does not fit the schema".to_owned(),
                    };
                    refused.push(Refused { index: *index, kind: ErrorKind::Unacceptable, reason });
                }
            }
        }
        if self.decoder.bytes() >= GATHERED {
            self.encode()?;
        }
        Ok(refused)
    }

    fn encode(&mut self) -> Result<()> {
        if self.decoder.is_empty() {
            return Ok(());
        }
        let batch = self.decoder.finish().map_err(broken)?;
        match &mut self.writer {
            Some(writer) => writer.write(&batch).map_err(broken),
            None => Err(broken("it has ended")),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn ready(&self) -> usize {
        self.out.with(|out| out.len())
    }

    pub(super) fn held(&self) -> u64 {
        let open = self.writer.as_ref().map_or(0, ParquetWriter::held);
        (self.decoder.bytes() + open + self.out.with(|out| out.capacity())) as u64
    }

    pub(super) fn take(&mut self) -> Bytes {
        self.out.with(std::mem::take).into()
    }

    pub(super) fn finish(&mut self) -> Result<Bytes> {
        self.encode()?;
        if let Some(writer) = self.writer.take() {
            writer.finish().map_err(broken)?;
        }
        Ok(self.take())
    }
}
