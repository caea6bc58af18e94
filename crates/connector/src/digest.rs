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
        Self { crc64: times(shift_by(next.len), self.crc64) ^ next.crc64, len: self.len + next.len }
    }
}

// Joining is a multiplication of polynomials over GF(2) modulo that of CRC-64/NVME: the first value times
// x^(8 * length of the second), plus the second. A polynomial's highest power is in its lowest bit. With
// the table of squares it takes some microseconds; the matrices of `crc_fast` take half a millisecond,
// which is felt where every part of a large file is joined.

/// The polynomial of CRC-64/NVME without x^64.
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;
/// x^(2^k) for each k that the number of bits in 2^64 bytes can have.
const SQUARES: [u64; 67] = squares();

const fn squares() -> [u64; 67] {
    let mut table = [1 << 62; 67];
    let mut k = 1;
    while k < table.len() {
        table[k] = times(table[k - 1], table[k - 1]);
        k += 1;
    }
    table
}

const fn times(a: u64, mut b: u64) -> u64 {
    let (mut bit, mut product) = (1 << 63, 0);
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 0 { b >> 1 } else { (b >> 1) ^ POLYNOMIAL };
        bit >>= 1;
    }
    product
}

/// x^(8 * bytes).
fn shift_by(bytes: u64) -> u64 {
    let set = SQUARES[3..].iter().enumerate().filter(|(k, _)| bytes >> k & 1 == 1);
    set.fold(1 << 63, |power, (_, square)| times(*square, power))
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

        #[test]
        fn joining_agrees_with_the_library_at_any_length(a: u64, b: u64, len in 1_u64..u64::MAX / 2) {
            let ours = Digest { crc64: a, len: 1 }.then(Digest { crc64: b, len });
            let theirs = crc_fast::checksum_combine(crc_fast::CrcAlgorithm::Crc64Nvme, a, b, len);
            proptest::prop_assert_eq!(ours.crc64, theirs);
        }
    }
}
