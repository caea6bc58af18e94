//! Telling a torn end from damage: is there a valid record anywhere behind a bad one?

use super::{apply, body};
use std::collections::BTreeMap;

/// Bytes that are summed up at most. What would take more was made to take long; then nothing is cut off.
const MOST_WORK: usize = 4 << 30;

/// Where the first valid record is behind the bad one that `bytes` begins with. Its length may be what is
/// bad, so every byte is looked at.
pub fn valid_after(bytes: &[u8]) -> Option<usize> {
    let mut work = 0_usize;
    for at in 1..bytes.len() {
        let rest = &bytes[at..];
        let Some(n) = plausible(rest) else { continue };
        work = work.saturating_add(n);
        let valid = body(rest).is_some_and(|b| apply(b, &mut BTreeMap::new()).is_ok());
        if valid || work > MOST_WORK {
            return Some(at);
        }
    }
    None
}

/// The length of a body that is worth to be summed up: the first key has room in it.
fn plausible(record: &[u8]) -> Option<usize> {
    let (n, key) = (field(record, 0)?, field(record, 8)?);
    (n <= record.len() - 8 && key.saturating_add(5) <= n).then_some(n)
}

fn field(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}
