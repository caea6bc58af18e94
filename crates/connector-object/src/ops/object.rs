//! Objects: head, get, put, copy, delete.

use bytes::Bytes;
use connector::{Digest, ErrorKind, Meta, Range, Source};
use http::{HeaderMap, HeaderName, Method, header};

use crate::checksum::{self, Running};
use crate::civil;
use crate::client::{Answer, Call, Client};
use crate::escape;
use crate::fault::Fault;
use crate::metadata::{self, UserMetadata};
use crate::xml::{self, Node};

const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const COPY_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
const DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-metadata-directive");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// Keys in one DeleteObjects request at most.
const DELETE_BATCH: usize = 1000;

/// On what a write depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition<'a> {
    /// Nothing.
    #[default]
    None,
    /// The key is free.
    IfAbsent,
    /// The key holds this ETag.
    IfMatch(&'a str),
}

impl Condition<'_> {
    pub(crate) fn add(self, call: &mut Call<'_>) -> Result<(), Fault> {
        match self {
            Self::None => Ok(()),
            Self::IfAbsent => call.header(header::IF_NONE_MATCH, "*"),
            Self::IfMatch(etag) => call.header(header::IF_MATCH, &format!("\"{etag}\"")),
        }
    }

    /// A failed condition in the contract's words.
    pub(crate) fn explain(self, f: Fault) -> Fault {
        if self == Self::IfAbsent && f.kind() == ErrorKind::Changed {
            f.with_kind(ErrorKind::Exists)
        } else {
            f
        }
    }
}

/// What HEAD says.
#[derive(Debug, Clone)]
pub struct ObjectHead {
    /// Bytes.
    pub size: u64,
    /// ETag without quotes.
    pub etag: Option<Box<str>>,
    /// `Last-Modified`, ns since the epoch; 0 when it can't be read.
    pub modified_ns: i64,
    pub(crate) headers: HeaderMap,
}

impl ObjectHead {
    pub(crate) fn of(answer: &Answer) -> Self {
        Self {
            size: answer.content_length().unwrap_or(0),
            etag: answer.etag(),
            modified_ns: answer.text(&header::LAST_MODIFIED).and_then(civil::parse_http).unwrap_or(0),
            headers: answer.headers.clone(),
        }
    }

    /// POSIX metadata in any of the dialects.
    #[must_use]
    pub fn metadata(&self) -> Meta {
        metadata::read_metadata(&self.headers)
    }

    /// The digest of the whole that the store keeps, if it keeps that one.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let crc64 = checksum::Check::from_headers(&self.headers, None)?.crc64()?;
        Some(Digest { crc64, len: self.size })
    }
}

/// What a successful write says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    /// ETag of the new object or part, without quotes.
    pub etag: Option<Box<str>>,
    /// The CRC-64/NVME that the server computed, if it tells.
    pub crc64: Option<u64>,
}

impl PutOutcome {
    pub(crate) fn of(answer: &Answer) -> Self {
        Self { etag: answer.etag(), crc64: answer.text(&checksum::CRC64NVME).and_then(checksum::parse_crc64) }
    }

    /// Compares what the server says with what was sent.
    pub(crate) fn verify(&self, digest: Digest, md5: Option<&str>) -> Result<(), Fault> {
        if self.crc64.is_some_and(|c| c != digest.crc64) {
            return Err(Fault::new(ErrorKind::Corrupt, "the server stored bytes with another CRC-64/NVME"));
        }
        let etag = self.etag.as_deref().filter(|e| checksum::is_md5(e));
        if let (Some(md5), Some(etag)) = (md5, etag)
            && !etag.eq_ignore_ascii_case(md5)
        {
            return Err(Fault::new(ErrorKind::Corrupt, "the server stored bytes with another MD5"));
        }
        Ok(())
    }
}

/// Where an object is and what goes with it into a write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Put<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) metadata: &'a UserMetadata,
    pub(crate) condition: Condition<'a>,
}

impl<'a> Put<'a> {
    fn call(self) -> Result<Call<'a>, Fault> {
        let mut call = Call::new(Method::PUT, self.bucket, self.key);
        call.headers.reserve(self.metadata.headers().len() + 2);
        call.headers.extend_from_slice(self.metadata.headers());
        self.condition.add(&mut call)?;
        Ok(call)
    }
}

impl Client {
    /// Size, ETag and metadata of an object.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Unavailable`.
    pub async fn head(&self, bucket: &str, key: &str) -> Result<ObjectHead, Fault> {
        let mut call = Call::new(Method::HEAD, bucket, key);
        if self.site().sends_checksums() {
            call.header(checksum::MODE, "ENABLED")?;
        }
        let answer = self.call(call).await?;
        Ok(ObjectHead::of(&answer))
    }

    /// Starts reading an object, or a range of it (never an empty one).
    pub(crate) async fn get(
        &self,
        bucket: &str,
        key: &str,
        range: Option<Range>,
        if_match: Option<&str>,
    ) -> Result<Answer, Fault> {
        let mut call = Call::new(Method::GET, bucket, key);
        match range {
            Some(r) => {
                call.header(header::RANGE, &format!("bytes={}-{}", r.start, r.end.saturating_sub(1)))?
            }
            None if self.site().sends_checksums() => call.header(checksum::MODE, "ENABLED")?,
            None => {}
        }
        if let Some(etag) = if_match {
            call.header(header::IF_MATCH, &format!("\"{etag}\""))?;
        }
        self.call(call).await
    }

    /// Reads an object that is no larger than `limit`.
    ///
    /// # Errors
    /// As [`Client::head`]; `Other` when it is larger.
    pub async fn get_small(&self, bucket: &str, key: &str, limit: usize) -> Result<Bytes, Fault> {
        self.get(bucket, key, None, None).await?.collect(limit).await
    }

    /// Writes an object from memory. `digest` goes along as a checksum when the server takes it.
    pub(crate) async fn put(
        &self,
        put: Put<'_>,
        body: &[Bytes],
        digest: Digest,
    ) -> Result<PutOutcome, Fault> {
        let mut call = put.call()?;
        call.body = body;
        if self.site().sends_checksums() {
            call.header(checksum::CRC64NVME, &checksum::crc64_header(digest))?;
        }
        let answer = self.call(call).await.map_err(|f| put.condition.explain(f))?;
        let outcome = PutOutcome::of(&answer);
        let md5 = self.site().config.verify.then(|| checksum::md5_of(body));
        outcome.verify(digest, md5.as_deref())?;
        Ok(outcome)
    }

    /// Writes an object from memory without metadata.
    ///
    /// # Errors
    /// `Exists` or `Changed` by the condition, `Denied`, `NotFound` no bucket, `Full`, `Unavailable`.
    pub async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        body: Bytes,
        condition: Condition<'_>,
    ) -> Result<PutOutcome, Fault> {
        let digest = Digest::of(&body);
        let put = Put { bucket, key, metadata: &UserMetadata::default(), condition };
        self.put(put, &[body], digest).await
    }

    /// Writes an object as its bytes come from `source`.
    pub(crate) async fn put_from(
        &self,
        put: Put<'_>,
        source: &mut dyn Source,
    ) -> Result<(PutOutcome, Digest), Fault> {
        let sent = self.send(put.call()?, source).await;
        let (answer, running) = sent.map_err(|f| put.condition.explain(f))?;
        Self::streamed(&answer, running)
    }

    pub(crate) fn streamed(answer: &Answer, running: Running) -> Result<(PutOutcome, Digest), Fault> {
        let outcome = PutOutcome::of(answer);
        let digest = running.digest();
        outcome.verify(digest, running.md5_hex().as_deref())?;
        Ok((outcome, digest))
    }

    /// Copies an object inside the server onto `put`'s key with new metadata, if the source still has `etag`.
    pub(crate) async fn copy(
        &self,
        from: (&str, &str),
        etag: Option<&str>,
        put: Put<'_>,
    ) -> Result<(), Fault> {
        let mut call = put.call()?;
        let mut source = String::from("/");
        escape::push_path(&mut source, from.0);
        source.push('/');
        escape::push_path(&mut source, from.1);
        call.header(COPY_SOURCE, &source)?;
        call.header(DIRECTIVE, "REPLACE")?;
        if let Some(e) = etag {
            call.header(COPY_IF_MATCH, &format!("\"{e}\""))?;
        }
        let body = self.call(call).await?.xml().await?;
        match xml::parse_error(&body) {
            Some(_) => Err(Fault::answered(200, &body, None)),
            None => Ok(()),
        }
    }

    /// Deletes an object; one that isn't there is no error.
    ///
    /// # Errors
    /// `Denied`, `Unavailable`.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), Fault> {
        match self.call(Call::new(Method::DELETE, bucket, key)).await {
            Ok(_) => Ok(()),
            Err(f) if f.kind() == ErrorKind::NotFound && &*f.code != "NoSuchBucket" => Ok(()),
            Err(f) => Err(f),
        }
    }

    /// Deletes many objects; returns the keys that failed with the server's words.
    ///
    /// # Errors
    /// When a whole batch fails: `Denied`, `Unavailable`.
    pub async fn delete_objects(&self, bucket: &str, keys: &[&str]) -> Result<Vec<(String, String)>, Fault> {
        let mut failed = Vec::new();
        for batch in keys.chunks(DELETE_BATCH) {
            let mut xml = String::from("<Delete><Quiet>true</Quiet>");
            for key in batch {
                xml.push_str("<Object><Key>");
                escape::push_xml(&mut xml, key);
                xml.push_str("</Key></Object>");
            }
            xml.push_str("</Delete>");
            let body = [Bytes::from(xml)];
            let mut call = Call::new(Method::POST, bucket, "").query(&[("delete", "")]);
            call.header(CONTENT_MD5, &checksum::content_md5(&body[0]))?;
            call.body = &body;
            let answer = self.call(call).await?.xml().await?;
            read_failures(&answer, &mut failed)?;
        }
        Ok(failed)
    }
}

fn read_failures(body: &[u8], failed: &mut Vec<(String, String)>) -> Result<(), Fault> {
    xml::walk(body, |depth, node| match (depth, node) {
        (2, Node::Open("Error")) => failed.push(Default::default()),
        (3, Node::Close(name @ ("Key" | "Code"), text)) => {
            if let Some(f) = failed.last_mut() {
                text.clone_into(if name == "Key" { &mut f.0 } else { &mut f.1 });
            }
        }
        _ => {}
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_a_batch_are_read() {
        let xml = b"<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code><Message>m</Message></Error></DeleteResult>";
        let mut failed = Vec::new();
        read_failures(xml, &mut failed).unwrap();
        assert_eq!(failed, [("a".to_owned(), "AccessDenied".to_owned())]);
    }

    #[test]
    fn a_wrong_echo_is_corruption() {
        let d = Digest::of(b"x");
        let o = PutOutcome { etag: Some("9dd4e461268c8034f5c8564e155c67a6".into()), crc64: Some(d.crc64) };
        o.verify(d, Some("9dd4e461268c8034f5c8564e155c67a6")).unwrap();
        o.verify(d, None).unwrap();
        assert_eq!(o.verify(Digest::of(b"y"), None).unwrap_err().kind(), ErrorKind::Corrupt);
        let other = "0dd4e461268c8034f5c8564e155c67a6";
        assert_eq!(o.verify(d, Some(other)).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
