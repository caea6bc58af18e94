//! Multipart uploads.

use std::fmt::Write as _;

use bytes::Bytes;
use connector::{Digest, ErrorKind, Source};
use http::Method;

use crate::checksum;
use crate::civil;
use crate::client::{Call, Client};
use crate::escape::{self, decode_listed};
use crate::fault::Fault;
use crate::ops::object::{Condition, Put, PutOutcome};
use crate::xml::{self, Node};

/// Pages of a listing of uploads or parts that are read at most.
const MAX_PAGES: usize = 100;

/// An unfinished upload as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundUpload {
    /// Key.
    pub key: Vec<u8>,
    /// Upload id.
    pub id: String,
    /// When it was begun, ns since the epoch; 0 when it can't be read.
    pub initiated_ns: i64,
}

/// A stored part of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundPart {
    /// 1-based number.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// ETag without quotes.
    pub etag: Box<str>,
    /// When it was stored, ns since the epoch; 0 when it can't be read.
    pub modified_ns: i64,
}

/// One upload of one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UploadRef<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) id: &'a str,
}

impl Client {
    /// Begins an upload and returns its id.
    pub(crate) async fn create_upload(&self, put: Put<'_>) -> Result<String, Fault> {
        let mut call = Call::new(Method::POST, put.bucket, put.key).query(&[("uploads", "")]);
        call.headers.extend_from_slice(put.metadata.headers());
        let body = self.call(call).await?.xml().await?;
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

    /// Stores a part from memory.
    pub(crate) async fn put_part(
        &self,
        upload: UploadRef<'_>,
        number: u32,
        body: &[Bytes],
    ) -> Result<PutOutcome, Fault> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", upload.id)];
        let mut call = Call::new(Method::PUT, upload.bucket, upload.key).query(&query);
        call.body = body;
        Ok(PutOutcome::of(&self.call(call).await?))
    }

    /// Stores a part as its bytes come from `source`.
    pub(crate) async fn put_part_from(
        &self,
        upload: UploadRef<'_>,
        number: u32,
        source: &mut dyn Source,
    ) -> Result<(PutOutcome, Digest), Fault> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", upload.id)];
        let call = Call::new(Method::PUT, upload.bucket, upload.key).query(&query);
        let (answer, running) = self.send(call, source).await?;
        Self::streamed(&answer, running)
    }

    /// Makes the object of the parts. Errors inside a 200 answer are errors; transient ones are tried again.
    pub(crate) async fn complete_upload(
        &self,
        upload: UploadRef<'_>,
        parts: &[(u32, &str)],
        condition: Condition<'_>,
    ) -> Result<PutOutcome, Fault> {
        let mut xml = String::with_capacity(64 + parts.len() * 96);
        xml.push_str("<CompleteMultipartUpload>");
        for (number, etag) in parts {
            let _ = write!(xml, "<Part><PartNumber>{number}</PartNumber><ETag>&quot;");
            escape::push_xml(&mut xml, etag);
            xml.push_str("&quot;</ETag></Part>");
        }
        xml.push_str("</CompleteMultipartUpload>");
        let body = [Bytes::from(xml)];
        let query = [("uploadId", upload.id)];
        let mut attempt = 0;
        loop {
            let mut call = Call::new(Method::POST, upload.bucket, upload.key).query(&query);
            condition.add(&mut call)?;
            call.body = &body;
            let answer = self.call(call).await.map_err(|f| condition.explain(f));
            let fault = match answer {
                // The body may break off after the head said 200: then nobody knows, and asking again tells.
                Ok(answer) => match answer.xml().await.and_then(|b| read_completed(&b)) {
                    Ok(done) => return Ok(done),
                    Err(f) => condition.explain(f),
                },
                Err(f) => return Err(Fault { repeated: f.repeated || attempt > 0, ..f }),
            };
            let site = self.site();
            if !fault.kind().is_transient() || attempt >= site.config.max_retries || !site.budget.take() {
                return Err(Fault { repeated: true, ..fault });
            }
            tokio::time::sleep(crate::retry::pause(attempt, false, None, &site.random)).await;
            attempt += 1;
        }
    }

    /// Forgets an upload and its parts; one that isn't there is no error.
    pub(crate) async fn abort_upload(&self, upload: UploadRef<'_>) -> Result<(), Fault> {
        let query = [("uploadId", upload.id)];
        match self.call(Call::new(Method::DELETE, upload.bucket, upload.key).query(&query)).await {
            Ok(_) => Ok(()),
            Err(f) if f.kind() == ErrorKind::NotFound && &*f.code != "NoSuchBucket" => Ok(()),
            Err(f) => Err(f),
        }
    }

    /// Unfinished uploads of keys that start with `prefix` (at most 100,000).
    ///
    /// # Errors
    /// `NotFound` no such bucket, `Denied`, `Unsupported`, `Unavailable`.
    pub async fn list_uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<FoundUpload>, Fault> {
        let (mut all, mut key_marker, mut id_marker) = (Vec::new(), String::new(), String::new());
        for _ in 0..MAX_PAGES {
            let mut query = vec![("encoding-type", "url")];
            if !key_marker.is_empty() {
                query.push(("key-marker", &key_marker));
            }
            query.push(("prefix", prefix));
            if !id_marker.is_empty() {
                query.push(("upload-id-marker", &id_marker));
            }
            query.push(("uploads", ""));
            let body = self.call(Call::new(Method::GET, bucket, "").query(&query)).await?.xml().await?;
            let page = read_uploads(&body)?;
            all.extend(page.items);
            match page.next {
                Some((key, id)) if (&key, &id) != (&key_marker, &id_marker) => {
                    (key_marker, id_marker) = (key, id)
                }
                _ => break,
            }
        }
        Ok(all)
    }

    /// The stored parts of an upload with larger numbers than `after`, sorted by number.
    pub(crate) async fn list_parts(
        &self,
        upload: UploadRef<'_>,
        after: u32,
    ) -> Result<Vec<FoundPart>, Fault> {
        let mut all = Vec::new();
        let mut marker = if after > 0 { after.to_string() } else { String::new() };
        for _ in 0..MAX_PAGES {
            let mut query = Vec::with_capacity(2);
            if !marker.is_empty() {
                query.push(("part-number-marker", marker.as_str()));
            }
            query.push(("uploadId", upload.id));
            let call = Call::new(Method::GET, upload.bucket, upload.key).query(&query);
            let body = self.call(call).await?.xml().await?;
            let page = read_parts(&body)?;
            all.extend(page.items);
            match page.next {
                Some(next) if next != marker => marker = next,
                _ => break,
            }
        }
        all.sort_by_key(|p: &FoundPart| p.number);
        all.dedup_by_key(|p| p.number);
        Ok(all)
    }
}

struct Page<T, N> {
    items: Vec<T>,
    next: Option<N>,
}

fn read_completed(body: &[u8]) -> Result<PutOutcome, Fault> {
    let (mut root, mut done) = (String::new(), PutOutcome { etag: None, crc64: None });
    xml::walk(body, |depth, node| match (depth, node) {
        (1, Node::Open(name)) => name.clone_into(&mut root),
        (2, Node::Close("ETag", t)) => done.etag = Some(xml::etag(t)).filter(|e| !e.is_empty()),
        (2, Node::Close("ChecksumCRC64NVME", t)) => done.crc64 = checksum::parse_crc64(t),
        _ => {}
    })
    .map_err(|e| Fault::broken("the end of the upload is not known", e))?;
    match root.as_str() {
        "CompleteMultipartUploadResult" => Ok(done),
        "Error" => {
            let f = Fault::answered(200, body, None);
            // 200 says nothing; a code that we don't know is a failure on their side.
            Err(if f.kind() == ErrorKind::Other { f.with_kind(ErrorKind::Unavailable) } else { f })
        }
        _ => Err(Fault::new(ErrorKind::Other, "the server's answer to the end of an upload can't be read")),
    }
}

fn read_uploads(body: &[u8]) -> Result<Page<FoundUpload, (String, String)>, Fault> {
    let mut items: Vec<FoundUpload> = Vec::new();
    let (mut truncated, mut encoded, mut next) = (false, false, (String::new(), String::new()));
    xml::walk(body, |depth, node| match (depth, node) {
        (2, Node::Open("Upload")) => items.push(FoundUpload::default()),
        (2, Node::Close("IsTruncated", t)) => truncated = t.trim() == "true",
        (2, Node::Close("EncodingType", t)) => encoded = t.trim() == "url",
        (2, Node::Close("NextKeyMarker", t)) => t.clone_into(&mut next.0),
        (2, Node::Close("NextUploadIdMarker", t)) => t.clone_into(&mut next.1),
        (3, Node::Close(name, t)) => {
            let Some(u) = items.last_mut() else { return };
            match name {
                "Key" => u.key = t.as_bytes().to_vec(),
                "UploadId" => t.trim().clone_into(&mut u.id),
                "Initiated" => u.initiated_ns = civil::parse_iso(t.trim()).unwrap_or(0),
                _ => {}
            }
        }
        _ => {}
    })?;
    if encoded {
        next.0 = String::from_utf8_lossy(&decode_listed(&next.0)).into_owned();
        for u in &mut items {
            u.key = decode_listed(&String::from_utf8_lossy(&u.key));
        }
    }
    items.retain(|u| !u.id.is_empty());
    Ok(Page { items, next: truncated.then_some(next) })
}

fn read_parts(body: &[u8]) -> Result<Page<FoundPart, String>, Fault> {
    let mut items: Vec<FoundPart> = Vec::new();
    let (mut truncated, mut next) = (false, String::new());
    xml::walk(body, |depth, node| match (depth, node) {
        (2, Node::Open("Part")) => items.push(FoundPart::default()),
        (2, Node::Close("IsTruncated", t)) => truncated = t.trim() == "true",
        (2, Node::Close("NextPartNumberMarker", t)) => t.trim().clone_into(&mut next),
        (3, Node::Close(name, t)) => {
            let Some(p) = items.last_mut() else { return };
            match name {
                "PartNumber" => p.number = t.trim().parse().unwrap_or(0),
                "Size" => p.size = t.trim().parse().unwrap_or(0),
                "ETag" => p.etag = xml::etag(t),
                "LastModified" => p.modified_ns = civil::parse_iso(t.trim()).unwrap_or(0),
                _ => {}
            }
        }
        _ => {}
    })?;
    items.retain(|p| p.number > 0 && !p.etag.is_empty());
    Ok(Page { items, next: truncated.then_some(next).filter(|n| !n.is_empty()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_inside_200_is_an_error() {
        let f =
            read_completed(b"<Error><Code>InternalError</Code><Message>again</Message></Error>").unwrap_err();
        assert_eq!(f.kind(), ErrorKind::Unavailable);
        let f = read_completed(b"<Error><Code>NoSuchUpload</Code></Error>").unwrap_err();
        assert_eq!(f.kind(), ErrorKind::NotFound);
        assert_eq!(read_completed(b"<CompleteMultip").unwrap_err().kind(), ErrorKind::Unavailable);
        let done = b"<CompleteMultipartUploadResult><ETag>\"a-1\"</ETag><ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME></CompleteMultipartUploadResult>";
        let done = read_completed(done).unwrap();
        assert_eq!((done.etag.as_deref(), done.crc64), (Some("a-1"), Some(0xae8b_1486_0a79_9888)));
    }

    #[test]
    fn uploads_and_parts_are_read() {
        let xml = b"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType><NextKeyMarker>a%2Fb</NextKeyMarker>\
<NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>a%20b</Key><UploadId>u</UploadId><Initiated>1970-01-01T00:00:01Z</Initiated></Upload></ListMultipartUploadsResult>";
        let page = read_uploads(xml).unwrap();
        assert_eq!(
            page.items,
            [FoundUpload { key: b"a b".to_vec(), id: "u".into(), initiated_ns: 1_000_000_000 }]
        );
        assert_eq!(page.next, Some(("a/b".into(), "u".into())));
        let xml = b"<ListPartsResult><Part><PartNumber>2</PartNumber><ETag>\"e\"</ETag><Size>7</Size></Part></ListPartsResult>";
        assert_eq!(
            read_parts(xml).unwrap().items,
            [FoundPart { number: 2, size: 7, etag: "e".into(), modified_ns: 0 }]
        );
    }
}
