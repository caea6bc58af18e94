//! Objects by name, for connectors that keep files of their own in a bucket (tables, dumps): ranges, copies, uploads in parts.

use bytes::Bytes;
use connector::{ErrorKind, Range};

use crate::client::Client;
use crate::fault::Fault;
use crate::metadata::UserMetadata;
use crate::ops::multipart::UploadRef;
use crate::ops::object::{Condition, Put};

/// An object that is written in parts. Nothing is there before [`complete`](Self::complete).
#[derive(Debug)]
pub struct PartedUpload {
    bucket: Box<str>,
    key: Box<str>,
    id: String,
    parts: Vec<(u32, String)>,
}

impl PartedUpload {
    fn as_ref(&self) -> UploadRef<'_> {
        UploadRef { bucket: &self.bucket, key: &self.key, id: &self.id }
    }

    /// Stores the next part (5 MiB at least, except the last).
    ///
    /// # Errors
    /// `Denied`, `Full`, `Unavailable`.
    pub async fn put(&mut self, client: &Client, bytes: Bytes) -> Result<(), Fault> {
        let number = u32::try_from(self.parts.len() + 1).unwrap_or(u32::MAX);
        let out = client.put_part(self.as_ref(), number, &[bytes]).await?;
        let none = || Fault::new(ErrorKind::Other, "the server stored a part without an ETag");
        self.parts.push((number, out.etag.ok_or_else(none)?.into()));
        Ok(())
    }

    /// Makes the object.
    ///
    /// # Errors
    /// As [`PartedUpload::put`].
    pub async fn complete(self, client: &Client) -> Result<(), Fault> {
        let parts: Vec<_> = self.parts.iter().map(|(n, etag)| (*n, etag.as_str())).collect();
        client.complete_upload(self.as_ref(), &parts, Condition::None).await.map(drop)
    }

    /// Forgets the parts.
    ///
    /// # Errors
    /// `Denied`, `Unavailable`.
    pub async fn abort(self, client: &Client) -> Result<(), Fault> {
        client.abort_upload(self.as_ref()).await
    }
}

impl Client {
    /// Bytes `start..end` of an object.
    ///
    /// # Errors
    /// As [`Client::head`]; `Corrupt` when fewer come.
    pub async fn get_range(&self, bucket: &str, key: &str, start: u64, end: u64) -> Result<Bytes, Fault> {
        if end <= start {
            return Ok(Bytes::new());
        }
        let want = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = self.get(bucket, key, Some(Range { start, end }), None).await?.collect(want).await?;
        if bytes.len() != want {
            let said = format!("{want} bytes were asked for, {} came", bytes.len());
            return Err(Fault::new(ErrorKind::Corrupt, said));
        }
        Ok(bytes)
    }

    /// Copies an object inside the server.
    ///
    /// # Errors
    /// As [`Client::head`].
    pub async fn copy_object(&self, from: (&str, &str), to: (&str, &str)) -> Result<(), Fault> {
        let (bucket, key) = to;
        let put = Put { bucket, key, metadata: &UserMetadata::default(), condition: Condition::None };
        self.copy(from, None, put).await
    }

    /// Begins an upload in parts.
    ///
    /// # Errors
    /// `Denied`, `NotFound` no bucket, `Unavailable`.
    pub async fn begin_upload(&self, bucket: &str, key: &str) -> Result<PartedUpload, Fault> {
        let put = Put { bucket, key, metadata: &UserMetadata::default(), condition: Condition::None };
        let id = self.create_upload(put).await?;
        Ok(PartedUpload { bucket: bucket.into(), key: key.into(), id, parts: Vec::new() })
    }

    /// Forgets all unfinished uploads of keys that begin with `prefix`.
    ///
    /// # Errors
    /// `Denied`, `Unavailable`.
    pub async fn abort_uploads(&self, bucket: &str, prefix: &str) -> Result<(), Fault> {
        for found in self.list_uploads(bucket, prefix).await? {
            let Ok(key) = std::str::from_utf8(&found.key) else { continue };
            if key.starts_with(prefix) {
                self.abort_upload(UploadRef { bucket, key, id: &found.id }).await?;
            }
        }
        Ok(())
    }
}
