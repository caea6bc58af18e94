//! A small binary form for state files: big-endian numbers, texts with a length, a checksum at the end.

use crate::error::{Error, Result};
use bytes::{Buf, BufMut};

/// Writes a text with its length before it.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u32(u32::try_from(text.len()).unwrap_or(0));
    out.put_slice(text.as_bytes());
}

/// Reads numbers and texts; every call says when there is nothing left.
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn need(&self, n: usize) -> Result<()> {
        if self.0.len() < n { Err(Error::corrupt("a state file ends too early")) } else { Ok(()) }
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        self.need(1)?;
        Ok(self.0.get_u8())
    }

    /// Two bytes.
    pub fn i16(&mut self) -> Result<i16> {
        self.need(2)?;
        Ok(self.0.get_i16())
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Result<i32> {
        self.need(4)?;
        Ok(self.0.get_i32())
    }

    /// A count, as four bytes.
    pub fn count(&mut self) -> Result<usize> {
        self.need(4)?;
        Ok(self.0.get_u32() as usize)
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> Result<i64> {
        self.need(8)?;
        Ok(self.0.get_i64())
    }

    /// Eight bytes, unsigned.
    pub fn u64(&mut self) -> Result<u64> {
        self.need(8)?;
        Ok(self.0.get_u64())
    }

    /// A text.
    pub fn text(&mut self) -> Result<String> {
        let n = self.count()?;
        self.need(n)?;
        let (text, rest) = self.0.split_at(n);
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(|_| Error::corrupt("a text in a state file is not UTF-8"))
    }
}

/// Adds the checksum.
#[must_use]
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes);
    bytes.put_u32(crc);
    bytes
}

/// What is before the checksum, when that is right.
#[must_use]
pub fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.len().checked_sub(4)?;
    let (body, crc) = bytes.split_at(at);
    (crc == crc32c::crc32c(body).to_be_bytes()).then_some(body)
}
