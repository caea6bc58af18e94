//! Randomness, from the operating system.

use ring::rand::{SecureRandom, SystemRandom};

/// Source of random identifiers and keys.
#[derive(Debug, Clone)]
pub struct Random(SystemRandom);

impl Default for Random {
    fn default() -> Self {
        Self::system()
    }
}

impl Random {
    /// From the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self(SystemRandom::new())
    }

    /// `N` random bytes. A system without randomness can't run a server: this ends the process.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut b = [0; N];
        if self.0.fill(&mut b).is_err() {
            std::process::abort();
        }
        b
    }

    /// `n` characters of `0-9a-f`.
    #[must_use]
    pub fn hex(&self, n: usize) -> String {
        self.letters(n, b"0123456789abcdef")
    }

    /// `n` characters of `0-9a-z`.
    #[must_use]
    pub fn base36(&self, n: usize) -> String {
        self.letters(n, b"0123456789abcdefghijklmnopqrstuvwxyz")
    }

    /// `n` characters of `0-9A-Za-z`.
    #[must_use]
    pub fn alphanumeric(&self, n: usize) -> String {
        self.letters(n, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    }

    /// A random (version 4) UUID in lower case.
    #[must_use]
    pub fn uuid(&self) -> String {
        let mut b: [u8; 16] = self.bytes();
        b[6] = b[6] & 0x0f | 0x40;
        b[8] = b[8] & 0x3f | 0x80;
        let mut s = String::with_capacity(36);
        for (i, x) in b.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                s.push('-');
            }
            s.push(char::from(b"0123456789abcdef"[usize::from(x >> 4)]));
            s.push(char::from(b"0123456789abcdef"[usize::from(x & 15)]));
        }
        s
    }

    fn letters(&self, n: usize, alphabet: &[u8]) -> String {
        let limit = 256 - 256 % alphabet.len();
        let mut s = String::with_capacity(n);
        while s.len() < n {
            for x in self.bytes::<32>() {
                if usize::from(x) < limit && s.len() < n {
                    s.push(char::from(alphabet[usize::from(x) % alphabet.len()]));
                }
            }
        }
        s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_shape() {
        let u = Random::system().uuid();
        assert_eq!(u.len(), 36);
        assert_eq!(&u[14..15], "4");
        assert_ne!(u, Random::system().uuid());
    }
}
