//! Names of our own temporary files: `.wharf-tmp-` and 16 hexadecimal digits, with `.data` or
//! `.parts` behind it for a write in parts.
//!
//! Only names of exactly this shape are ours: a user's file called `.wharf-tmp-notes` is listed and
//! copied like any other, while a key of this very shape is refused, because the walk would hide it
//! and the sweep remove it.

use std::cell::Cell;

use connector::{Digest, Target};

/// What every temporary name starts with.
pub(crate) const PREFIX: &str = ".wharf-tmp-";
const DIGITS: usize = 16;

/// Is this the name of a temporary file of ours?
pub(crate) fn is_ours(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX.as_bytes()) else { return false };
    let Some((digits, suffix)) = rest.split_at_checked(DIGITS) else { return false };
    digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && matches!(suffix, b"" | b".data" | b".parts")
}

/// Gives a lane temporary names that nobody else has: a random start, counted up.
#[derive(Debug)]
pub(crate) struct TempNames(Cell<u64>);

impl TempNames {
    /// Starts somewhere else every time.
    pub(crate) fn new() -> Self {
        Self(Cell::new(u64::from_le_bytes(runtime::Random::system().bytes())))
    }

    /// The next name.
    pub(crate) fn next(&self) -> String {
        let n = self.0.get();
        self.0.set(n.wrapping_add(1));
        format!("{PREFIX}{n:016x}")
    }
}

/// The stem of a write in parts: the same for the same target, source version, size and part size,
/// so that a later run finds what an interrupted one has left.
pub(crate) fn stem(target: &Target, part_size: u64) -> String {
    let mut id = Vec::with_capacity(target.path.as_bytes().len() + 64);
    id.extend_from_slice(format!("{} {part_size} {} ", target.size, target.stamp.version).as_bytes());
    id.extend_from_slice(target.path.as_bytes());
    format!("{PREFIX}{:016x}", Digest::of(&id).crc64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_shape_is_ours() {
        let names = TempNames::new();
        let (a, b) = (names.next(), names.next());
        assert_ne!(a, b);
        assert!(is_ours(a.as_bytes()) && is_ours(format!("{a}.parts").as_bytes()));
        for other in
            [".wharf-tmp-x", ".wharf-tmp-", ".wharf-tmp-0123456789abcdeX", "wharf-tmp-0123456789abcdef"]
        {
            assert!(!is_ours(other.as_bytes()), "{other}");
        }
        assert!(!is_ours(format!("{a}.bak").as_bytes()));
    }
}
