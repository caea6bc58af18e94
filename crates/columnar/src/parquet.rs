//! Parquet files out of batches: a thin cover over the `parquet` crate, so that there is one place for its settings.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// Zstandard, level 1: within a few percent of level 3 for a third less CPU.
    #[default]
    Zstd,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParquetOptions {
    /// Compression.
    pub compression: Compression,
    /// A row group ends when it holds so many rows.
    pub row_group_rows: usize,
    /// A row group ends when it takes about so many bytes of memory.
    pub row_group_bytes: usize,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self { compression: Compression::default(), row_group_rows: 1 << 20, row_group_bytes: 64 << 20 }
    }
}

impl ParquetOptions {
    /// The settings in the `parquet` crate's own words, for those who drive its writers themselves.
    #[must_use]
    pub fn properties(&self) -> WriterProperties {
        let codec = match self.compression {
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Snappy => Codec::SNAPPY,
            Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()),
        };
        let builder = WriterProperties::builder()
            .set_compression(codec)
            .set_max_row_group_row_count(Some(self.row_group_rows.max(1)))
            .set_max_row_group_bytes(Some(self.row_group_bytes.max(1)));
        builder.set_created_by(concat!("wharf ", env!("CARGO_PKG_VERSION")).to_owned()).build()
    }
}

/// Writes one file.
pub struct ParquetWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    rows: u64,
}

impl<W: Write + Send> std::fmt::Debug for ParquetWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParquetWriter({} rows)", self.rows)
    }
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// A type that Parquet doesn't have; what `to` says.
    pub fn new(to: W, schema: SchemaRef, options: &ParquetOptions) -> Result<Self> {
        let writer = ArrowWriter::try_new(to, schema, Some(options.properties()))?;
        Ok(Self { writer, rows: 0 })
    }

    /// Adds a batch. Row groups go out when they are full.
    ///
    /// # Errors
    /// What the destination says; a batch of another schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch)?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes that went out so far.
    #[must_use]
    pub fn written(&self) -> usize {
        self.writer.bytes_written()
    }

    /// Bytes of memory that the open row group takes, about.
    #[must_use]
    pub fn held(&self) -> usize {
        self.writer.memory_size()
    }

    /// About the size of the file if it ended now.
    #[must_use]
    pub fn size(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Ends the file; returns the destination.
    ///
    /// # Errors
    /// What the destination says.
    pub fn finish(self) -> Result<W, ParquetError> {
        self.writer.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch, StringArray};
    use arrow_schema::{DataType, Field, Schema};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let fields = vec![Field::new("n", DataType::Int64, false), Field::new("s", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(fields));
        let text: Vec<_> = (0..1000).map(|n| (n % 3 != 0).then(|| format!("text {n}"))).collect();
        let columns: Vec<arrow_array::ArrayRef> =
            vec![Arc::new(Int64Array::from_iter_values(0..1000)), Arc::new(StringArray::from(text))];
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
            let options = ParquetOptions { compression, row_group_rows: 300, ..ParquetOptions::default() };
            let mut writer = ParquetWriter::new(Vec::new(), schema.clone(), &options).unwrap();
            writer.write(&batch).unwrap();
            writer.write(&batch).unwrap();
            assert!(writer.rows() == 2000 && writer.size() > 0);
            let bytes = bytes::Bytes::from(writer.finish().unwrap());
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
            assert_eq!(reader.metadata().num_row_groups(), 7);
            let back: Vec<_> = reader.with_batch_size(1000).build().unwrap().map(Result::unwrap).collect();
            assert_eq!(back, [batch.clone(), batch.clone()]);
        }
    }
}
