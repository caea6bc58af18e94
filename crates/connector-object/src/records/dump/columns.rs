//! The content of a Parquet file: rows are gathered in columns, row groups go out when they are full.

use std::sync::Arc;

use bytes::Bytes;
use columnar::{Compression, Decoder, Format, Options, Record, Reject, Schema, Unknown};
use connector::records::{Batch, Refused};
use connector::{ErrorKind, Result};

use crate::records::parquet::{ParquetFile, broken};

/// Bytes of columns that are gathered before they are encoded.
const GATHERED: usize = 4 << 20;

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
    file: ParquetFile,
    rows: u64,
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
        let decoder = Decoder::new(form.schema.clone(), &form.options()).map_err(broken)?;
        let file = ParquetFile::new(form.schema.clone(), form.compression)?;
        Ok(Self { decoder, file, rows: 0 })
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
        self.file.write(&batch)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn ready(&self) -> usize {
        self.file.ready()
    }

    pub(super) fn held(&self) -> u64 {
        (self.decoder.bytes() + self.file.held()) as u64
    }

    pub(super) fn take(&mut self) -> Bytes {
        self.file.take()
    }

    pub(super) fn finish(&mut self) -> Result<Bytes> {
        self.encode()?;
        self.file.end()?;
        Ok(self.take())
    }
}
