//! Digests of bodies while they pass, and the checksums that servers put into headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector::Digest;
use crc_fast::CrcAlgorithm;
use http::{HeaderMap, HeaderName};
use md5::{Digest as _, Md5};

pub(crate) const CRC64NVME: HeaderName = HeaderName::from_static("x-amz-checksum-crc64nvme");
pub(crate) const MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
const CRC32C: HeaderName = HeaderName::from_static("x-amz-checksum-crc32c");
const SHA256: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");
const KIND: HeaderName = HeaderName::from_static("x-amz-checksum-type");
const ENCRYPTION: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const CUSTOMER_KEY: HeaderName = HeaderName::from_static("x-amz-server-side-encryption-customer-algorithm");

/// The CRC-64/NVME (and on request the MD5) of what passes.
pub(crate) struct Running {
    crc64: crc_fast::Digest,
    md5: Option<Md5>,
    len: u64,
}

impl Running {
    pub(crate) fn new(with_md5: bool) -> Self {
        Self { crc64: crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme), md5: with_md5.then(Md5::new), len: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.crc64.update(bytes);
        if let Some(m) = &mut self.md5 {
            m.update(bytes);
        }
        self.len += bytes.len() as u64;
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest { crc64: self.crc64.finalize(), len: self.len }
    }

    /// The MD5 as an ETag spells it.
    pub(crate) fn md5_hex(self) -> Option<String> {
        self.md5.map(|m| hex(&m.finalize()))
    }
}

fn hex(b: &[u8]) -> String {
    let mut s = String::with_capacity(b.len() * 2);
    crate::escape::push_hex(&mut s, b);
    s
}

/// The MD5 of chunks as an ETag spells it.
pub(crate) fn md5_of(chunks: &[Bytes]) -> String {
    let mut m = Md5::new();
    for c in chunks {
        m.update(c);
    }
    hex(&m.finalize())
}

/// `Content-MD5` of a small body.
pub(crate) fn content_md5(body: &[u8]) -> String {
    STANDARD.encode(Md5::digest(body))
}

/// The checksum header's spelling of a digest.
pub(crate) fn crc64_header(d: Digest) -> String {
    STANDARD.encode(d.crc64.to_be_bytes())
}

/// Reads [`crc64_header`].
pub(crate) fn parse_crc64(text: &str) -> Option<u64> {
    let bytes: [u8; 8] = STANDARD.decode(text.trim()).ok()?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// Is this ETag the MD5 of the content (one part, no server-side key)?
pub(crate) fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What a whole answer must add up to.
pub(crate) enum Check {
    Crc64(crc_fast::Digest, u64),
    Crc32c(crc_fast::Digest, u32),
    Sha256(Box<ring::digest::Context>, Vec<u8>),
    Md5(Box<Md5>, Box<str>),
}

impl Check {
    /// The strongest check that the headers of a whole answer offer; `etag` only when it may be taken
    /// for an MD5, which one of an object under a key of KMS or of the customer is not. Checksums of parts
    /// are no use here.
    pub(crate) fn from_headers(headers: &HeaderMap, etag: Option<&str>) -> Option<Self> {
        if headers.get(&KIND).is_some_and(|k| k.as_bytes() == b"COMPOSITE") {
            return None;
        }
        let text = |n: &HeaderName| headers.get(n).and_then(|v| v.to_str().ok());
        if let Some(want) = text(&CRC64NVME).and_then(parse_crc64) {
            return Some(Self::Crc64(crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme), want));
        }
        if let Some(want) = text(&CRC32C).and_then(|t| STANDARD.decode(t).ok()?.try_into().ok()) {
            let want = u32::from_be_bytes(want);
            return Some(Self::Crc32c(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi), want));
        }
        if let Some(want) = text(&SHA256).and_then(|t| STANDARD.decode(t).ok()).filter(|w| w.len() == 32) {
            let context = ring::digest::Context::new(&ring::digest::SHA256);
            return Some(Self::Sha256(Box::new(context), want));
        }
        let under_key = headers.contains_key(&CUSTOMER_KEY)
            || headers.get(&ENCRYPTION).is_some_and(|v| v.as_bytes().starts_with(b"aws:kms"));
        let etag = etag.filter(|e| is_md5(e) && !under_key)?;
        Some(Self::Md5(Box::default(), etag.to_ascii_lowercase().into()))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc64(d, _) | Self::Crc32c(d, _) => d.update(bytes),
            Self::Sha256(c, _) => c.update(bytes),
            Self::Md5(m, _) => m.update(bytes),
        }
    }

    /// Does it add up? Otherwise the name of the check.
    pub(crate) fn finish(self) -> Result<(), &'static str> {
        let (right, name) = match self {
            Self::Crc64(d, want) => (d.finalize() == want, "CRC-64/NVME"),
            Self::Crc32c(d, want) => (d.finalize() == u64::from(want), "CRC-32C"),
            Self::Sha256(c, want) => (c.finish().as_ref() == want.as_slice(), "SHA-256"),
            Self::Md5(m, want) => (hex(&m.finalize()) == *want, "MD5"),
        };
        if right { Ok(()) } else { Err(name) }
    }

    /// The whole's CRC-64 as the server knows it.
    pub(crate) fn crc64(&self) -> Option<u64> {
        match self {
            Self::Crc64(_, want) => Some(*want),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(name: &'static str, value: &'static str, etag: Option<&str>) -> Option<Check> {
        let mut h = HeaderMap::new();
        h.insert(name, HeaderValue::from_static(value));
        Check::from_headers(&h, etag)
    }

    #[test]
    fn every_kind_is_told_right_from_wrong() {
        let md5 = Some("25f9e794323b453885f5181f1b624d0b");
        for (name, value, etag) in [
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg=", None),
            ("x-amz-checksum-crc32c", "4waSgw==", None),
            ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", None),
            ("x", "", md5),
        ] {
            let mut right = check(name, value, etag).unwrap();
            right.update(b"1234");
            right.update(b"56789");
            assert_eq!(right.finish(), Ok(()), "{name}");
            let mut wrong = check(name, value, etag).unwrap();
            wrong.update(b"12345678");
            assert!(wrong.finish().is_err(), "{name}");
        }
        assert!(check("x-amz-checksum-crc64nvme", "not base64", Some("abc-3")).is_none());
    }

    #[test]
    fn digests_run() {
        let mut r = Running::new(true);
        r.update(b"1234");
        r.update(b"56789");
        assert_eq!(r.digest(), Digest::of(b"123456789"));
        assert_eq!(parse_crc64(&crc64_header(r.digest())), Some(r.digest().crc64));
        assert_eq!(r.md5_hex().unwrap(), "25f9e794323b453885f5181f1b624d0b");
    }
}
