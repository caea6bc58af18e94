//! The origin mark: xattr `user.wharf.origin` on every file that we wrote.
//!
//! It has to fit beside the inode: ext4 with 256-byte inodes has room for about 60 bytes of value
//! there, and a longer one costs a block of 4 KiB per file. So the value is binary, and versions, which are mostly hexadecimal ETags, are packed two digits to a byte.
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | format, `2` (`1`: the same without the digest) |
//! | 8 | mtime of the file in ns when we finished it, little endian |
//! | 8 | CRC-64/NVME of the content that we wrote, little endian |
//! | 1–10 | size, LEB128 |
//! | 1 + n | run |
//! | 1 + n | how many bytes of packed lower-case hexadecimal digits, and these |
//! | rest | the rest of the version as it is |

use connector::{Digest, Stamp};

/// Name of the attribute.
pub(crate) const NAME: &[u8] = b"user.wharf.origin";
/// Our own attributes; they never travel.
pub(crate) const NAMESPACE: &[u8] = b"user.wharf.";
/// More than any value we write; a longer one isn't ours.
pub(crate) const MAX_LEN: usize = 1024;
const FORMAT: u8 = 2;
const WITHOUT_DIGEST: u8 = 1;

/// A mark as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub stamp: Stamp,
    /// mtime of the file when we finished it.
    pub mtime_ns: i64,
    /// Of the content that we wrote; older marks have none.
    pub digest: Option<Digest>,
}

/// Packs a stamp; `None` if it is longer than any sensible one.
pub(crate) fn encode(stamp: &Stamp, mtime_ns: i64, digest: Digest) -> Option<Vec<u8>> {
    let version = stamp.version.as_bytes();
    let hex = version.iter().take_while(|b| digit(**b).is_some()).count().min(2 * 255) & !1;
    let mut v = Vec::with_capacity(32 + stamp.run.len() + version.len());
    v.push(FORMAT);
    v.extend_from_slice(&mtime_ns.to_le_bytes());
    v.extend_from_slice(&digest.crc64.to_le_bytes());
    let mut n = stamp.size;
    while n >= 0x80 {
        v.push(u8::try_from(n & 0x7f).unwrap_or(0) | 0x80);
        n >>= 7;
    }
    v.push(u8::try_from(n).unwrap_or(0));
    v.push(u8::try_from(stamp.run.len()).ok()?);
    v.extend_from_slice(stamp.run.as_bytes());
    v.push(u8::try_from(hex / 2).ok()?);
    v.extend(
        version[..hex].chunks_exact(2).map(|p| digit(p[0]).unwrap_or(0) << 4 | digit(p[1]).unwrap_or(0)),
    );
    v.extend_from_slice(&version[hex..]);
    (v.len() <= MAX_LEN).then_some(v)
}

/// Unpacks a stamp and what goes with it; `None` for anything that isn't one.
pub(crate) fn decode(value: &[u8]) -> Option<Mark> {
    let (format, rest) = value.split_first()?;
    let (mtime, mut rest) = rest.split_first_chunk::<8>()?;
    let crc64 = match *format {
        FORMAT => {
            let (crc64, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            Some(u64::from_le_bytes(*crc64))
        }
        WITHOUT_DIGEST => None,
        _ => return None,
    };
    let mut size = 0u64;
    for shift in (0..64).step_by(7) {
        let (b, tail) = rest.split_first()?;
        rest = tail;
        size |= u64::from(b & 0x7f).checked_shl(shift)?;
        if b & 0x80 == 0 {
            break;
        }
    }
    let (run, rest) = counted(rest)?;
    let (packed, tail) = counted(rest)?;
    let mut version = String::with_capacity(packed.len() * 2 + tail.len());
    for b in packed {
        version.extend([b >> 4, b & 15].map(|d| char::from(b"0123456789abcdef"[usize::from(d)])));
    }
    version.push_str(std::str::from_utf8(tail).ok()?);
    let run = std::str::from_utf8(run).ok()?.into();
    Some(Mark {
        stamp: Stamp { run, version: version.into(), size },
        mtime_ns: i64::from_le_bytes(*mtime),
        digest: crc64.map(|crc64| Digest { crc64, len: size }),
    })
}

fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (n, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*n))
}

fn digit(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values() {
        let stamp = Stamp { run: "t1".into(), version: "0fa5-2".into(), size: 300 };
        let digest = Digest { crc64: 0x0102_0304_0506_0708, len: 300 };
        let tail = [0xac, 2, 2, b't', b'1', 2, 0x0f, 0xa5, b'-', b'2'];
        let mtime = [5, 0, 0, 0, 0, 0, 0, 0];
        let want = [&[2][..], &mtime, &[8, 7, 6, 5, 4, 3, 2, 1], &tail].concat();
        assert_eq!(encode(&stamp, 5, digest).unwrap(), want);
        let mark = Mark { stamp, mtime_ns: 5, digest: Some(digest) };
        assert_eq!(decode(&want), Some(mark.clone()));
        let older = [&[1][..], &mtime, &tail].concat();
        assert_eq!(decode(&older), Some(Mark { digest: None, ..mark }));
        assert_eq!(decode(&[&[3][..], &mtime, &tail].concat()), None);
    }

    #[test]
    fn an_etag_and_a_task_id_fit_into_the_inode() {
        let stamp = Stamp {
            run: "task-0123456789abcdef".into(),
            version: "d41d8cd98f00b204e9800998ecf8427e".into(),
            size: 4096,
        };
        assert!(encode(&stamp, i64::MAX, Digest::EMPTY).unwrap().len() <= 60);
    }

    proptest::proptest! {
        #[test]
        fn what_goes_in_comes_out(run in "[ -~]{0,40}", version in "[0-9a-f]{0,40}[ -~]{0,40}", size: u64, mtime_ns: i64, crc64: u64) {
            let stamp = Stamp { run: run.into(), version: version.into(), size };
            let digest = Digest { crc64, len: size };
            let v = encode(&stamp, mtime_ns, digest).unwrap();
            proptest::prop_assert_eq!(decode(&v), Some(Mark { stamp, mtime_ns, digest: Some(digest) }));
        }

        #[test]
        fn garbage_is_no_stamp_and_no_panic(v: Vec<u8>) {
            let _ = decode(&v);
        }
    }
}
