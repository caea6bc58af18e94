//! What the record sink asks of a store: writes under a condition, with the owner's word on the object.

use std::cell::Cell;

use bytes::Bytes;
use connector::{Digest, ErrorKind};
use http::{HeaderMap, HeaderName, Method, header};
use runtime::Random;

use super::options::Place;
use crate::checksum;
use crate::client::{Call, Client};
use crate::endpoint::Dialect;
use crate::fault::Fault;
use crate::ops::multipart::UploadRef;
use crate::ops::object::{Condition, PutOutcome};
use crate::xml::{self, Node};

const RUN: HeaderName = HeaderName::from_static("x-amz-meta-wharf-run");
/// How the vendors' own interfaces spell it when they answer.
const RUN_READ: [&str; 4] =
    ["x-amz-meta-wharf-run", "x-cos-meta-wharf-run", "x-oss-meta-wharf-run", "x-obs-meta-wharf-run"];
const MARK: HeaderName = HeaderName::from_static("x-amz-meta-wharf-mark");
const STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
/// The own words of two vendors for "only if nothing is there", sent beside the standard condition.
const COS_FORBID: HeaderName = HeaderName::from_static("x-cos-forbid-overwrite");
const OSS_FORBID: HeaderName = HeaderName::from_static("x-oss-forbid-overwrite");
/// A pointer larger than this is none. It names the files of one delivery, and a batch of 1 MiB may lead to one for each of its records.
pub(super) const MAX_POINTER: usize = 32 * 1024 * 1024;

/// A bucket as the sink sees it.
pub(super) struct Store {
    pub(super) client: Client,
    pub(super) place: Place,
    pub(super) random: Random,
    /// The store takes no conditions: it is looked at before each write.
    pub(super) plain: Cell<bool>,
}

impl Store {
    fn upload<'a>(&'a self, key: &'a str, id: &'a str) -> UploadRef<'a> {
        UploadRef { bucket: &self.place.bucket, key, id }
    }

    fn put<'a>(&'a self, key: &'a str) -> Call<'a> {
        Call::new(Method::PUT, &self.place.bucket, key)
    }

    fn condition<'c>(&self, wanted: Condition<'c>) -> Condition<'c> {
        if self.plain.get() { Condition::None } else { wanted }
    }

    /// Headers that an object of records carries; `run` is the owner's word.
    fn dress(&self, call: &mut Call<'_>, run: &str, mark: Option<&str>) -> Result<(), Fault> {
        call.header(header::CONTENT_TYPE, self.place.content_type)?;
        call.header(RUN, run)?;
        if let Some(m) = mark {
            call.header(MARK, m)?;
        }
        if let Some(class) = &self.place.storage_class {
            call.header(STORAGE_CLASS, class)?;
        }
        match self.client.site().config().dialect {
            Dialect::Cos => call.header(COS_FORBID, "true"),
            Dialect::Oss => call.header(OSS_FORBID, "true"),
            Dialect::S3 | Dialect::Obs => Ok(()),
        }
    }

    /// Writes a whole object where nothing is.
    pub(super) async fn put_new(&self, key: &str, bytes: Bytes, run: &str, mark: &str) -> Result<(), Fault> {
        if self.plain.get() && self.run_of(key).await?.is_some() {
            return Err(Fault::new(ErrorKind::Exists, "something is there"));
        }
        let mut call = self.put(key);
        self.dress(&mut call, run, Some(mark))?;
        let condition = self.condition(Condition::IfAbsent);
        condition.add(&mut call)?;
        let digest = Digest::of(&bytes);
        if self.client.site().sends_checksums() {
            call.header(checksum::CRC64NVME, &checksum::crc64_header(digest))?;
        }
        let body = [bytes];
        call.body = &body;
        let answer = self.client.call(call).await.map_err(|f| condition.explain(f))?;
        PutOutcome::of(&answer).verify(digest, None)
    }

    /// Begins an upload.
    pub(super) async fn begin(&self, key: &str, run: &str) -> Result<String, Fault> {
        let mut call = Call::new(Method::POST, &self.place.bucket, key).query(&[("uploads", "")]);
        self.dress(&mut call, run, None)?;
        let body = self.client.call(call).await?.xml().await?;
        let mut id = String::new();
        xml::walk(&body, |depth, node| {
            if let (2, Node::Close("UploadId", t)) = (depth, node) {
                t.trim().clone_into(&mut id);
            }
        })?;
        if id.is_empty() {
            return Err(Fault::new(ErrorKind::Other, "the server began an upload without an id"));
        }
        Ok(id)
    }

    /// Stores a part; returns its ETag.
    pub(super) async fn part(&self, key: &str, id: &str, number: u32, bytes: Bytes) -> Result<String, Fault> {
        let digest = Digest::of(&bytes);
        let out = self.client.put_part(self.upload(key, id), number, &[bytes]).await?;
        out.verify(digest, None)?;
        let none = || Fault::new(ErrorKind::Other, "the server stored a part without an ETag");
        out.etag.map(Into::into).ok_or_else(none)
    }

    /// Makes the object of its parts where nothing is.
    pub(super) async fn complete(
        &self,
        key: &str,
        id: &str,
        parts: &[String],
        digest: Digest,
    ) -> Result<(), Fault> {
        if self.run_of(key).await?.is_some() {
            return Err(Fault::new(ErrorKind::Exists, "something is there"));
        }
        let list: Vec<_> = (1..).zip(parts.iter().map(String::as_str)).collect();
        let condition = self.condition(Condition::IfAbsent);
        let out = self.client.complete_upload(self.upload(key, id), &list, condition).await?;
        out.verify(digest, None)
    }

    /// Makes the object of parts that are stored already.
    pub(super) async fn complete_parts(&self, key: &str, id: &str, parts: &[String]) -> Result<(), Fault> {
        let list: Vec<_> = (1..).zip(parts.iter().map(String::as_str)).collect();
        let condition = self.condition(Condition::IfAbsent);
        self.client.complete_upload(self.upload(key, id), &list, condition).await.map(drop)
    }

    /// Whose object is at a key: the owner's word (empty when it is none of ours), `None` when nothing is there.
    pub(super) async fn run_of(&self, key: &str) -> Result<Option<String>, Fault> {
        match self.client.head(&self.place.bucket, key).await {
            Ok(head) => Ok(Some(run_in(&head.headers))),
            Err(f) if f.kind() == ErrorKind::NotFound && &*f.code != "NoSuchBucket" => Ok(None),
            Err(f) => Err(f),
        }
    }

    /// Forgets all unfinished uploads of a key.
    pub(super) async fn abort(&self, key: &str) -> Result<(), Fault> {
        for found in self.client.list_uploads(&self.place.bucket, key).await? {
            if found.key == key.as_bytes() {
                self.client.abort_upload(self.upload(key, &found.id)).await?;
            }
        }
        Ok(())
    }

    /// A small object and its ETag.
    pub(super) async fn read(&self, key: &str) -> Result<Option<(Bytes, Option<Box<str>>)>, Fault> {
        let answer = match self.client.get(&self.place.bucket, key, None, None).await {
            Ok(answer) => answer,
            Err(f) if f.kind() == ErrorKind::NotFound && &*f.code != "NoSuchBucket" => return Ok(None),
            Err(f) => return Err(f),
        };
        let etag = answer.etag();
        Ok(Some((answer.collect(MAX_POINTER).await?, etag)))
    }

    /// Replaces a small object whose ETag is known, or makes it where it is not there.
    pub(super) async fn replace(
        &self,
        key: &str,
        etag: Option<&str>,
        body: Bytes,
    ) -> Result<Option<Box<str>>, Fault> {
        let mut call = self.put(key);
        call.header(header::CONTENT_TYPE, "application/json")?;
        let condition = self.condition(etag.map_or(Condition::IfAbsent, Condition::IfMatch));
        condition.add(&mut call)?;
        let body = [body];
        call.body = &body;
        Ok(PutOutcome::of(&self.client.call(call).await?).etag)
    }

    /// Does the store keep conditions? Asked on a key of its own, which is there afterwards.
    pub(super) async fn try_conditions(&self, key: &str) -> Result<(), Fault> {
        for _ in 0..2 {
            match self.replace(key, None, Bytes::from_static(b"{}")).await {
                Ok(_) => {}
                Err(f) if matches!(f.status, 409 | 412) => return Ok(()),
                Err(f) if f.status == 501 || &*f.code == "NotImplemented" => break,
                Err(f) => return Err(f),
            }
        }
        tracing::warn!(bucket = %self.place.bucket, "the store takes no conditional writes; it is looked at before each write instead");
        self.plain.set(true);
        Ok(())
    }
}

fn run_in(headers: &HeaderMap) -> String {
    let found = RUN_READ.iter().find_map(|n| headers.get(*n)?.to_str().ok());
    found.unwrap_or_default().to_owned()
}
