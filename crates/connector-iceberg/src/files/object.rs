//! Files that are objects of a bucket.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use connector::{Error, ErrorKind, Result};
use connector_object::{Client, Condition, ListQuery, PartedUpload};
use iceberg::io::{FileRead, FileWrite};

use crate::fault::wrap;

/// Objects that are read as a whole (metadata, manifests) are no larger.
pub(super) const MAX_WHOLE: usize = 512 << 20;
/// Parts of an upload.
const PART: usize = 8 << 20;
/// Keys that a listing returns at most.
const MAX_LISTED: usize = 1_000_000;

/// Keys below a prefix.
pub(super) async fn list(client: &Client, bucket: &str, prefix: &str) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let query = ListQuery { prefix, token: token.as_deref(), ..ListQuery::default() };
        let page = client.list_objects(bucket, &query).await?;
        keys.extend(page.objects.into_iter().filter_map(|o| String::from_utf8(o.key).ok()));
        if keys.len() > MAX_LISTED {
            return Err(Error::new(
                ErrorKind::Other,
                format!("there are more than {MAX_LISTED} objects below {prefix}"),
            ));
        }
        match page.next {
            Some(next) => token = Some(next),
            None => return Ok(keys),
        }
    }
}

struct Reading(Client, Box<str>, Box<str>);

#[async_trait]
impl FileRead for Reading {
    async fn read(&self, range: std::ops::Range<u64>) -> iceberg::Result<Bytes> {
        let read = self.0.get_range(&self.1, &self.2, range.start, range.end).await;
        read.map_err(|f| wrap(f.into()))
    }
}

pub(super) fn reader(client: &Client, bucket: &str, key: &str) -> Box<dyn FileRead> {
    Box::new(Reading(client.clone(), bucket.into(), key.into()))
}

/// Holds less than a part and a write; small files go out as one object.
struct Writing {
    client: Client,
    bucket: Box<str>,
    key: Box<str>,
    buffer: BytesMut,
    upload: Option<PartedUpload>,
    closed: bool,
}

impl Writing {
    async fn part(&mut self, bytes: Bytes) -> Result<()> {
        if self.upload.is_none() {
            self.upload = Some(self.client.begin_upload(&self.bucket, &self.key).await?);
        }
        if let Some(upload) = &mut self.upload {
            upload.put(&self.client, bytes).await?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Err(Error::new(ErrorKind::Other, "the file is closed"));
        }
        let rest = std::mem::take(&mut self.buffer).freeze();
        if self.upload.is_none() {
            self.client.put_bytes(&self.bucket, &self.key, rest, Condition::None).await?;
            return Ok(());
        }
        if !rest.is_empty() {
            self.part(rest).await?;
        }
        match self.upload.take() {
            Some(upload) => Ok(upload.complete(&self.client).await?),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl FileWrite for Writing {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        self.buffer.extend_from_slice(&bytes);
        while self.buffer.len() >= PART {
            let part = self.buffer.split_to(PART).freeze();
            self.part(part).await.map_err(wrap)?;
        }
        Ok(())
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        self.end().await.map_err(wrap)
    }
}

pub(super) fn writer(client: &Client, bucket: &str, key: &str) -> Box<dyn FileWrite> {
    Box::new(Writing {
        client: client.clone(),
        bucket: bucket.into(),
        key: key.into(),
        buffer: BytesMut::new(),
        upload: None,
        closed: false,
    })
}
