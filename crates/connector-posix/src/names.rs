//! Names of our own temporary files: `.wharf-tmp-` and 16 hexadecimal digits, with `.data` or
//! `.parts` behind it for a write in parts. The first 6 digits of a whole file's name are its run's, so that
//! a resumed run can clear away what its killed attempt has left.
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

/// The digits of a run in its temporary names.
pub(crate) fn digits_of(run: &str) -> String {
    format!("{:06x}", Digest::of(run.as_bytes()).crc64 & 0xff_ffff)
}

/// Is this the name of a whole file's temporary of this run?
pub(crate) fn is_of_run(name: &[u8], run: &str) -> bool {
    is_ours(name)
        && name.len() == PREFIX.len() + DIGITS
        && name.get(PREFIX.len()..).is_some_and(|digits| digits.starts_with(digits_of(run).as_bytes()))
}

/// Gives a lane temporary names that nobody else has: the run's digits, and a random start, counted up.
#[derive(Debug)]
pub(crate) struct TempNames {
    run: Cell<u64>,
    next: Cell<u64>,
}

impl TempNames {
    /// Starts somewhere else every time.
    pub(crate) fn new() -> Self {
        let start = u64::from_le_bytes(runtime::Random::system().bytes());
        Self { run: Cell::new(0), next: Cell::new(start) }
    }

    /// Names from here on are this run's. A lane works for one run only.
    pub(crate) fn belong_to(&self, run: &str) {
        self.run.set(Digest::of(run.as_bytes()).crc64 & 0xff_ffff);
    }

    /// The next name.
    pub(crate) fn next(&self) -> String {
        let n = self.next.get();
        self.next.set(n.wrapping_add(1));
        format!("{PREFIX}{:06x}{:010x}", self.run.get(), n & 0xff_ffff_ffff)
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
        names.belong_to("task-1");
        let of_run = names.next();
        assert!(is_of_run(of_run.as_bytes(), "task-1") && !is_of_run(of_run.as_bytes(), "task-2"));
        assert!(!is_of_run(format!("{of_run}.data").as_bytes(), "task-1"));
    }
}
