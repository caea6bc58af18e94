//! Reading numbers off the front of bytes.

/// Bytes of which the rest is still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn u8(self) -> Option<(u8, Self)> {
        let (first, rest) = self.0.split_first()?;
        Some((*first, Self(rest)))
    }

    pub(super) fn u16(self) -> Option<(u16, Self)> {
        let (first, rest) = self.0.split_first_chunk()?;
        Some((u16::from_be_bytes(*first), Self(rest)))
    }

    pub(super) fn u32(self) -> Option<(u32, Self)> {
        let (first, rest) = self.0.split_first_chunk()?;
        Some((u32::from_be_bytes(*first), Self(rest)))
    }

    pub(super) fn take(self, len: usize) -> Option<(&'a [u8], Self)> {
        let (first, rest) = self.0.split_at_checked(len)?;
        Some((first, Self(rest)))
    }
}

/// A number of up to eight bytes; of a longer one the last eight.
#[inline]
pub(super) fn number(bytes: &[u8]) -> u64 {
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_be_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_be_bytes([a, b, c, d])),
        _ => bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)),
    }
}
