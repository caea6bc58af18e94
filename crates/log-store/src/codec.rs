//! Numbers and texts as bytes: variable-length integers, lengths in front. Reading never goes beyond what is there.

/// Writes a number.
pub(crate) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Writes a number that may be negative.
pub(crate) fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, ((n << 1) ^ (n >> 63)) as u64);
}

/// Writes bytes with their length in front.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the functions above have written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut<'a>(pub(crate) &'a [u8]);

impl<'a> Cut<'a> {
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    pub(crate) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (piece, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(piece)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_cut() {
        let mut out = Vec::new();
        for n in [0, 1, 127, 128, u64::MAX] {
            put(&mut out, n);
        }
        for n in [0, -1, i64::MIN, i64::MAX] {
            put_signed(&mut out, n);
        }
        put_bytes(&mut out, "é".as_bytes());
        let mut cut = Cut(&out);
        assert_eq!([0; 5].map(|_| cut.number().unwrap()), [0, 1, 127, 128, u64::MAX]);
        assert_eq!([0; 4].map(|_| cut.signed().unwrap()), [0, -1, i64::MIN, i64::MAX]);
        assert_eq!((cut.text(), cut.number()), (Some("é"), None));
        assert_eq!(Cut(&[0xff; 11]).number(), None);
        assert_eq!(Cut(&[9, 1]).bytes(), None);
    }
}
