//! Bodies on their way through the engine: counted, paced, and empty ones.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use async_trait::async_trait;
use bytes::Bytes;
use connector::{Body, Digest, ErrorKind, Meta, Result, Source};
use runtime::Bandwidth;

use super::Live;

/// What became of a body that a destination has taken over.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed {
    bytes: Rc<Cell<u64>>,
    failed: Rc<Cell<Option<ErrorKind>>>,
    xz: Option<Rc<RefCell<Crc64Xz>>>,
}

impl Passed {
    pub fn new(xz: bool) -> Self {
        Self { xz: xz.then(Rc::default), ..Self::default() }
    }

    /// Bytes that came out of the source.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The source's error, if it was the source that failed.
    pub fn failed(&self) -> Option<ErrorKind> {
        self.failed.get()
    }

    /// CRC-64/XZ of what passed, when it was asked for.
    pub fn xz(&self) -> Option<Crc64Xz> {
        self.xz.as_ref().map(|x| *x.borrow())
    }
}

/// CRC-64/XZ of some bytes, with their number so that neighbours can be joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Crc64Xz {
    pub crc: u64,
    pub len: u64,
}

impl Crc64Xz {
    const KIND: crc_fast::CrcAlgorithm = crc_fast::CrcAlgorithm::Crc64Xz;

    pub fn of(bytes: &[u8]) -> Self {
        Self { crc: crc_fast::checksum(Self::KIND, bytes), len: bytes.len() as u64 }
    }

    pub fn then(self, next: Self) -> Self {
        match (self.len, next.len) {
            (0, _) => next,
            (_, 0) => self,
            _ => Self {
                crc: crc_fast::checksum_combine(Self::KIND, self.crc, next.crc, next.len),
                len: self.len + next.len,
            },
        }
    }
}

/// Counts and paces what passes.
pub(super) struct Metered {
    pub inner: Body,
    pub live: Arc<Live>,
    pub bandwidth: Bandwidth,
    pub passed: Passed,
    /// Metadata to show instead of the source's own (without its hard link).
    pub unlinked: Option<Meta>,
}

#[async_trait(?Send)]
impl Source for Metered {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn meta(&self) -> &Meta {
        self.unlinked.as_ref().unwrap_or_else(|| self.inner.meta())
    }

    fn expected(&self) -> Option<Digest> {
        self.inner.expected()
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.inner.next().await {
            Ok(Some(chunk)) => {
                let n = chunk.len() as u64;
                self.bandwidth.pass(n).await;
                self.passed.bytes.set(self.passed.bytes.get() + n);
                self.live.bytes_moved.fetch_add(n, Relaxed);
                if let Some(xz) = &self.passed.xz {
                    let joined = xz.borrow().then(Crc64Xz::of(&chunk));
                    *xz.borrow_mut() = joined;
                }
                Ok(Some(chunk))
            }
            Ok(None) => Ok(None),
            Err(e) => {
                self.passed.failed.set(Some(e.kind()));
                Err(e)
            }
        }
    }
}

/// No bytes, but metadata: links.
pub(super) struct Empty(pub Meta);

#[async_trait(?Send)]
impl Source for Empty {
    fn len(&self) -> u64 {
        0
    }

    fn meta(&self) -> &Meta {
        &self.0
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(None)
    }
}

/// Reads a body to its end for the digest alone.
pub(super) async fn digest_of(mut body: Body) -> Result<Digest> {
    let mut sum = Digest::EMPTY;
    while let Some(chunk) = body.next().await? {
        sum = sum.then(Digest::of(&chunk));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xz_combines_and_has_its_check_value() {
        assert_eq!(Crc64Xz::of(b"123456789").crc, 0x995d_c9bb_df19_39fa);
        assert_eq!(Crc64Xz::of(b"12345").then(Crc64Xz::of(b"6789")), Crc64Xz::of(b"123456789"));
    }
}
