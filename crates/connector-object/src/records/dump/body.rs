//! What a file is made of.

use bytes::Bytes;
use connector::Result;
use connector::records::{Batch, Refused};

use super::columns::{Columns, ColumnsForm};
use crate::records::object::{Open, Packing};

/// How files are written.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// The records' values, joined by a delimiter. A newline also ends the last one.
    Text { delimiter: Box<str>, packing: Packing },
    /// Columns.
    Parquet(ColumnsForm),
}

/// The content of an open file that was not sent yet.
pub(super) enum Body {
    Text { open: Box<Open>, delimiter: Box<str>, records: u64 },
    Parquet(Box<Columns>),
}

impl Body {
    pub(super) fn new(form: &Form) -> Result<Self> {
        Ok(match form {
            Form::Text { delimiter, packing } => Self::Text {
                open: Box::new(Open::new(String::new(), 0, *packing)),
                delimiter: delimiter.clone(),
                records: 0,
            },
            Form::Parquet(form) => Self::Parquet(Box::new(Columns::new(form)?)),
        })
    }

    /// Appends records of a batch (indexes rise); returns those that it can't take.
    ///
    /// # Errors
    /// When the file can't be written at all.
    pub(super) fn append(&mut self, batch: &Batch, picked: &[usize]) -> Result<Vec<Refused>> {
        match self {
            Self::Text { open, delimiter, records } => {
                for record in picked.iter().filter_map(|i| batch.get(*i)) {
                    let ends = &**delimiter == "\n";
                    if *records > 0 && !ends {
                        open.text.extend_from_slice(delimiter.as_bytes());
                    }
                    open.text.extend_from_slice(record.value.unwrap_or_default());
                    if ends {
                        open.text.push(b'\n');
                    }
                    *records += 1;
                }
                open.pack(false);
                Ok(Vec::new())
            }
            Self::Parquet(columns) => columns.append(batch, picked),
        }
    }

    /// Has it any record?
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text { records, .. } => *records == 0,
            Self::Parquet(columns) => columns.is_empty(),
        }
    }

    /// Bytes that could be sent.
    pub(super) fn ready(&self) -> usize {
        match self {
            Self::Text { open, .. } => open.ready(),
            Self::Parquet(columns) => columns.ready(),
        }
    }

    /// Bytes of memory.
    pub(super) fn held(&self) -> u64 {
        match self {
            Self::Text { open, .. } => open.held(),
            Self::Parquet(columns) => columns.held(),
        }
    }

    /// Makes what it holds smaller. False: there is little to be won.
    pub(super) fn relieve(&mut self) -> Result<bool> {
        match self {
            Self::Text { open, .. } => Ok(open.relieve()),
            Self::Parquet(_) => Ok(false),
        }
    }

    /// Takes out what is ready to be sent.
    pub(super) fn take(&mut self) -> Bytes {
        match self {
            Self::Text { open, .. } => open.take(),
            Self::Parquet(columns) => columns.take(),
        }
    }

    /// Ends the file and takes out the rest of it.
    pub(super) fn finish(&mut self) -> Result<Bytes> {
        match self {
            Self::Text { open, .. } => {
                open.pack(true);
                Ok(open.take())
            }
            Self::Parquet(columns) => columns.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector::records::{BatchBuilder, Headers, RecordRef, Split};

    #[test]
    fn delimiters_join_and_newlines_end() {
        let mut b = BatchBuilder::new(Split::new("t", 0), 0);
        for (offset, value) in [(0, Some(&b"a"[..])), (1, None), (2, Some(b"c,\n"))] {
            let headers = Headers::none();
            assert!(b.push(&RecordRef { offset, sub: 0, timestamp_ms: 0, key: None, value, headers }));
        }
        let batch = b.finish(0);
        for (delimiter, wanted) in [(",", "a,,c,\n"), ("", "ac,\n"), ("\n", "a\n\nc,\n\n"), ("|", "a||c,\n")]
        {
            let form = Form::Text { delimiter: delimiter.into(), packing: Packing::None };
            let mut body = Body::new(&form).unwrap();
            assert!(body.is_empty());
            assert!(body.append(&batch, &[0, 1]).unwrap().is_empty());
            body.append(&batch, &[2]).unwrap();
            assert_eq!(body.finish().unwrap(), wanted.as_bytes(), "{delimiter:?}");
        }
    }
}
