//! Reading an object (or a range of it) as a [`Source`].
//!
//! What is read is the version that was listed: `If-Match` asks for it, and ETag, length and
//! `Content-Range` of the answer are compared in case the server doesn't. A connection that breaks in the
//! middle is replaced by one that goes on at the next byte of the same version. A whole object is checked
//! against the checksum that the server has for it.

use async_trait::async_trait;
use bytes::Bytes;
use connector::{Body, Digest, Entry, EntryKind, Error, ErrorKind, Meta, Range, Result, Source};

use crate::checksum::Check;
use crate::client::{Answer, Client};
use crate::fault::Fault;
use crate::metadata::read_metadata;

/// A symbolic link's target is not longer than this.
pub(crate) const MAX_LINK: usize = 4096;

/// Opens what `entry` named, at `key` of `bucket`; with `md5` a plain ETag is compared too.
pub(crate) async fn open(
    client: &Client,
    at: (&str, &str),
    entry: &Entry,
    (range, md5): (Option<Range>, bool),
) -> Result<Body> {
    let (bucket, key) = at;
    let nothing = range.is_some_and(|r| r.start >= r.end);
    if entry.kind == EntryKind::Dir || nothing {
        let head = client.head(bucket, key).await?;
        return Ok(Box::new(Kept { len: 0, meta: head.metadata(), body: None }));
    }
    if range.is_some_and(|r| r.end > entry.size) {
        return Err(Error::new(ErrorKind::Changed, "the range lies beyond the end of the object"));
    }
    let range = range.filter(|r| r.start > 0 || r.end < entry.size);
    let version = entry.version.as_deref().filter(|v| is_plain(v));
    let answer = client.get(bucket, key, range, version).await?;
    let whole = Range { start: 0, end: entry.size };
    check_answer(&answer, range, entry.size, version)?;
    let mut meta = read_metadata(&answer.headers);
    if meta.symlink.is_some() {
        if entry.size > MAX_LINK as u64 {
            return Err(Error::new(
                ErrorKind::Unacceptable,
                "a symbolic link with a target of more than 4096 bytes",
            ));
        }
        let target = answer.collect(MAX_LINK).await?;
        meta.symlink = Some(target.as_ref().into());
        return Ok(Box::new(Kept { len: target.len() as u64, meta, body: Some(target) }));
    }
    let etag = answer.etag();
    let md5 = etag.as_deref().filter(|_| md5);
    let check = if range.is_none() { Check::from_headers(&answer.headers, md5) } else { None };
    let crc64 = check.as_ref().and_then(Check::crc64);
    Ok(Box::new(ObjectSource {
        expected: crc64.map(|crc64| Digest { crc64, len: entry.size }),
        client: client.clone(),
        bucket: bucket.into(),
        key: key.into(),
        range: range.unwrap_or(whole),
        size: entry.size,
        got: 0,
        retries: 0,
        answer,
        meta,
        check,
        etag,
    }))
}

/// An ETag that can stand in a header as it is.
fn is_plain(etag: &str) -> bool {
    !etag.is_empty() && etag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn check_answer(answer: &Answer, range: Option<Range>, size: u64, version: Option<&str>) -> Result<()> {
    let changed = |what: &str| Err(Error::new(ErrorKind::Changed, format!("the object has changed: {what}")));
    if let (Some(want), Some(is)) = (version, answer.etag())
        && want != &*is
    {
        return changed("another ETag");
    }
    let Some(range) = range else {
        return match answer.content_length() {
            Some(n) if n != size => changed("another length"),
            _ => Ok(()),
        };
    };
    if answer.status != 206 {
        return Err(Error::new(ErrorKind::Unsupported, "the server does not read ranges"));
    }
    match answer.text(&http::header::CONTENT_RANGE).and_then(content_range) {
        Some((_, total)) if total.is_some_and(|t| t != size) => changed("another length"),
        Some((is, _)) if is != range => Err(Error::new(ErrorKind::Corrupt, "the server sent another range")),
        _ => Ok(()),
    }
}

/// Reads `bytes 0-9/100`.
fn content_range(text: &str) -> Option<(Range, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let end = last.parse::<u64>().ok()?.checked_add(1)?;
    Some((Range { start: first.parse().ok()?, end }, total.parse().ok()))
}

/// A body in memory.
struct Kept {
    len: u64,
    meta: Meta,
    body: Option<Bytes>,
}

#[async_trait(?Send)]
impl Source for Kept {
    fn len(&self) -> u64 {
        self.len
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.body.take().filter(|b| !b.is_empty()))
    }
}

struct ObjectSource {
    client: Client,
    bucket: Box<str>,
    key: Box<str>,
    /// What is read of the object.
    range: Range,
    /// Size of the object.
    size: u64,
    got: u64,
    retries: u32,
    answer: Answer,
    meta: Meta,
    expected: Option<Digest>,
    check: Option<Check>,
    etag: Option<Box<str>>,
}

impl ObjectSource {
    fn end(&mut self) -> Result<()> {
        if self.got < self.range.len() {
            return Err(Error::new(ErrorKind::Corrupt, "the answer was too short"));
        }
        match self.check.take().map(Check::finish) {
            Some(Err(name)) => Err(Error::new(
                ErrorKind::Corrupt,
                format!("the bytes that came do not have the object's {name}"),
            )),
            _ => Ok(()),
        }
    }

    /// After `fault`, goes on at the next byte, if that is possible and allowed.
    async fn resume(&mut self, fault: Fault) -> Result<()> {
        let site = self.client.site().clone();
        let Some(etag) = self.etag.as_deref().filter(|e| is_plain(e)) else { return Err(fault.into()) };
        if fault.kind() != ErrorKind::Unavailable
            || self.retries >= site.config.max_retries
            || self.got >= self.range.len()
            || !site.budget.take()
        {
            return Err(fault.into());
        }
        tokio::time::sleep(crate::retry::pause(self.retries, false, None, &site.random)).await;
        self.retries += 1;
        let rest = Range { start: self.range.start + self.got, end: self.range.end };
        let answer = self.client.get(&self.bucket, &self.key, Some(rest), Some(etag)).await?;
        check_answer(&answer, Some(rest), self.size, Some(etag))?;
        tracing::debug!(%fault, at = rest.start, "the read goes on over another connection");
        self.answer = answer;
        Ok(())
    }
}

#[async_trait(?Send)]
impl Source for ObjectSource {
    fn len(&self) -> u64 {
        self.range.len()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn expected(&self) -> Option<Digest> {
        self.expected
    }

    fn is_checked(&self) -> bool {
        self.check.is_some()
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.answer.chunk().await {
                Ok(Some(c)) => {
                    self.got += c.len() as u64;
                    if self.got > self.range.len() {
                        return Err(Error::new(ErrorKind::Corrupt, "the answer was too long"));
                    }
                    if let Some(check) = &mut self.check {
                        check.update(&c);
                    }
                    return Ok(Some(c));
                }
                Ok(None) => return self.end().map(|()| None),
                Err(f) => self.resume(f).await?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 0-9/100"), Some((Range { start: 0, end: 10 }, Some(100))));
        assert_eq!(content_range("bytes 5-5/*"), Some((Range { start: 5, end: 6 }, None)));
        for bad in ["", "bytes */5", "bytes 1/2", "bytes 0-18446744073709551615/1", "items 0-1/2"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_plain_etags_become_conditions() {
        assert!(is_plain("5d41402abc4b2a76b9719d911017c592-12"));
        for odd in ["", "a\"b", "a b", "ä"] {
            assert!(!is_plain(odd));
        }
    }
}
