//! A byte-for-byte comparison of two trees.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What was found.
#[derive(Default)]
pub struct Comparison {
    /// Items of the first tree.
    pub items: u64,
    /// Content bytes that were compared.
    pub bytes: u64,
    /// In words, at most 20.
    pub differences: Vec<String>,
    /// Modification times that differ (the product's own metadata may not carry all of them).
    pub times: u64,
    /// Permission bits that differ.
    pub modes: u64,
}

/// Compares names, types, contents and link targets; counts differing times and modes.
pub fn compare(a: &Path, b: &Path) -> std::io::Result<Comparison> {
    let mut c = Comparison::default();
    folder(a, b, &mut c)?;
    Ok(c)
}

fn names(folder: &Path) -> std::io::Result<BTreeMap<OsString, fs::Metadata>> {
    fs::read_dir(folder)?
        .map(|e| e.and_then(|e| Ok((e.file_name(), fs::symlink_metadata(e.path())?))))
        .collect()
}

fn folder(a: &Path, b: &Path, c: &mut Comparison) -> std::io::Result<()> {
    let (left, right) = (names(a)?, names(b)?);
    for name in right.keys().filter(|n| !left.contains_key(*n)) {
        differ(c, &b.join(name), "is only in the copy");
    }
    for (name, meta) in &left {
        c.items += 1;
        let (from, to) = (a.join(name), b.join(name));
        let Some(other) = right.get(name) else {
            differ(c, &from, "is missing in the copy");
            continue;
        };
        if meta.file_type() != other.file_type() {
            differ(c, &from, "has another type in the copy");
        } else if meta.is_dir() {
            folder(&from, &to, c)?;
        } else if meta.is_symlink() {
            if fs::read_link(&from)? != fs::read_link(&to)? {
                differ(c, &from, "points elsewhere in the copy");
            }
            continue;
        } else {
            c.bytes += meta.len();
            if fs::read(&from)? != fs::read(&to)? {
                differ(c, &from, "has other content in the copy");
            }
        }
        c.modes += u64::from(meta.mode() != other.mode());
        c.times += u64::from((meta.mtime(), meta.mtime_nsec()) != (other.mtime(), other.mtime_nsec()));
    }
    Ok(())
}

fn differ(c: &mut Comparison, path: &Path, how: &str) {
    if c.differences.len() < 20 {
        c.differences.push(format!("{} {how}", path.display()));
    }
}
