//! The mark on our own unfinished uploads.
//!
//! A server lists an unfinished upload by key, id and time and says nothing of who began it. So each of ours
//! carries one small part more, under the last number there is, that is never made a part of the object. What
//! it holds follows from the key and from its own length, and its ETag (the MD5) proves it; its length says
//! which run began the upload or took it up last (one of 65,536: enough to tell the few runs at one
//! place apart; a sweep of one run spares besides what is younger than its attempt). Putting it again, with the same or another length, is how a run takes an upload up, and a sign of
//! life. Servers whose ETags are no MD5 (some kinds of encryption) tell us nothing: there nothing is found
//! again, and nothing swept.

use bytes::Bytes;
use connector::Digest;

use crate::checksum;
use crate::escape::push_hex;
use crate::ops::multipart::FoundPart;

/// The number of the mark: items have 9,999 parts at most.
pub(crate) const NUMBER: u32 = 10_000;
const SHORTEST: u64 = 192;
const RUNS: u64 = 65_536;

/// What the mark of an upload of `key` by `run` holds.
pub(crate) fn of(key: &str, run: &str) -> Bytes {
    content(key, length(run))
}

/// Is this the mark of an upload of `key` of ours?
pub(crate) fn is_one(part: &FoundPart, key: &str) -> bool {
    part.number == NUMBER
        && (SHORTEST..SHORTEST + RUNS).contains(&part.size)
        && part.etag.eq_ignore_ascii_case(&checksum::md5_of(&[content(key, part.size)]))
}

/// Did this run put the mark?
pub(crate) fn is_of(part: &FoundPart, run: &str) -> bool {
    part.size == length(run)
}

fn length(run: &str) -> u64 {
    SHORTEST + Digest::of(run.as_bytes()).crc64 % RUNS
}

fn content(key: &str, len: u64) -> Bytes {
    let mut text = String::from("wharf: an unfinished upload of ours, of the key with this sha256: ");
    push_hex(&mut text, ring::digest::digest(&ring::digest::SHA256, key.as_bytes()).as_ref());
    let mut text = text.into_bytes();
    text.resize(usize::try_from(len).unwrap_or_default(), b'.');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &str, run: &str) -> FoundPart {
        let content = of(key, run);
        let etag = checksum::md5_of(std::slice::from_ref(&content)).into();
        FoundPart { number: NUMBER, size: content.len() as u64, etag, modified_ns: 0 }
    }

    #[test]
    fn a_mark_proves_whose_it_is() {
        let mark = found("a/key", "task-1");
        assert!(is_one(&mark, "a/key") && is_of(&mark, "task-1") && !is_of(&mark, "task-2"));
        assert!(!is_one(&mark, "a/other"));
        let lengths: std::collections::HashSet<_> = (0..1000).map(|n| length(&format!("task-{n}"))).collect();
        assert!(lengths.len() > 980, "few of a thousand runs share their mark: {}", lengths.len());
        assert!(!is_one(&FoundPart { number: 9999, ..mark.clone() }, "a/key"));
        assert!(!is_one(&FoundPart { size: mark.size + 1, ..mark.clone() }, "a/key"));
        assert!(!is_one(&FoundPart { etag: "d41d8cd98f00b204e9800998ecf8427e".into(), ..mark }, "a/key"));
    }
}
