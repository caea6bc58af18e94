//! The value of one enumerator, out of the running kernel's type information.
//!
//! The kernel numbers its drop reasons anew from version to version, so the one for netfilter has to be asked for. The format
//! is `Documentation/bpf/btf.rst`; only the walk over types and the members of enums are read.

/// `SKB_DROP_REASON_NETFILTER_DROP` and its like in `/sys/kernel/btf/vmlinux`; `None` where the kernel has no such thing.
pub(crate) fn enumerator(name: &str) -> Option<u32> {
    find(&std::fs::read("/sys/kernel/btf/vmlinux").ok()?, name)
}

const ENUM: u32 = 6;

fn find(btf: &[u8], name: &str) -> Option<u32> {
    let word = |at: usize| Some(u32::from_ne_bytes(btf.get(at..at.checked_add(4)?)?.try_into().ok()?));
    if btf.get(..2)? != 0xeb9fu16.to_ne_bytes() {
        return None;
    }
    let header = word(4)? as usize;
    let types = header.checked_add(word(8)? as usize)?;
    let end = types.checked_add(word(12)? as usize)?;
    let strings = header.checked_add(word(16)? as usize)?;
    let named = |offset: u32| {
        let text = btf.get(strings.checked_add(offset as usize)?..)?;
        Some(text.get(..name.len())? == name.as_bytes() && text.get(name.len())? == &0)
    };
    let mut at = types;
    while at < end {
        let info = word(at + 4)?;
        let (count, kind) = ((info & 0xffff) as usize, info >> 24 & 0x1f);
        at += 12;
        if kind == ENUM {
            for member in 0..count {
                if named(word(at + member * 8)?)? {
                    return word(at + member * 8 + 4);
                }
            }
        }
        at = at.checked_add(tail(kind, count)?)?;
    }
    None
}

/// Bytes after a type's head, by its kind.
fn tail(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => count * 12,
        ENUM | 13 => count * 8,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_s_drop_reason() {
        if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
            println!("SKIPPED: this kernel has no BTF");
            return;
        }
        // By the kernel's own rule reasons follow each other, with "not specified" at 2.
        assert_eq!(enumerator("SKB_DROP_REASON_NOT_SPECIFIED"), Some(2));
        assert!(enumerator("SKB_DROP_REASON_NETFILTER_DROP").is_some_and(|n| n > 2));
        assert_eq!(enumerator("SKB_DROP_REASON_NO_SUCH_THING"), None);
    }

    #[test]
    fn broken_bytes_are_none() {
        let Ok(good) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
        assert_eq!(find(&[], "x"), None);
        for len in [1, 10, 23, 24, 1_000, 100_000] {
            assert_eq!(find(&good[..len.min(good.len())], "SKB_DROP_REASON_NETFILTER_DROP"), None, "{len}");
        }
        let mut bad = good;
        bad[8..12].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(find(&bad, "SKB_DROP_REASON_NETFILTER_DROP"), None);
    }
}
