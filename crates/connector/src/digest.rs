//! Content digests. CRC-64/NVME is the everyday one: it runs at memory speed, S3 servers know it,
//! and the digests of parts combine into the digest of the whole.

use std::fmt;

/// Which function made a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestKind {
    /// CRC-64/NVME, 8 bytes, combinable.
    Crc64Nvme,
}

/// A digest of some bytes together with how many there were, so that neighbours can be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    /// CRC-64/NVME of the bytes.
    pub crc64: u64,
    /// How many bytes.
    pub len: u64,
}

impl Digest {
    /// The digest of nothing.
    pub const EMPTY: Self = Self { crc64: 0, len: 0 };

    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { crc64: crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes), len: bytes.len() as u64 }
    }

    /// Of our bytes followed by `next`'s.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        if self.len == 0 {
            return next;
        }
        if next.len == 0 {
            return self;
        }
        let crc64 =
            crc_fast::checksum_combine(crc_fast::CrcAlgorithm::Crc64Nvme, self.crc64, next.crc64, next.len);
        Self { crc64, len: self.len + next.len }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crc64nvme:{:016x}", self.crc64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value() {
        assert_eq!(Digest::of(b"123456789").crc64, 0xae8b_1486_0a79_9888);
        assert_eq!(Digest::EMPTY, Digest::of(b""));
    }

    proptest::proptest! {
        #[test]
        fn parts_combine_into_the_whole(a: Vec<u8>, b: Vec<u8>) {
            let whole = [a.as_slice(), b.as_slice()].concat();
            proptest::prop_assert_eq!(Digest::of(&a).then(Digest::of(&b)), Digest::of(&whole));
        }
    }
}
