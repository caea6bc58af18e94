//! What a bucket holds: a sorted map in memory and the log that brings it back after a restart.
//!
//! The log has one JSON line per change and is only appended to; a torn last line is dropped. It is
//! not the truth: a file in the bucket's directory that the log doesn't know, or knows with another
//! size or time, is taken as it is (with an ETag made of size and time), and a line whose file is gone
//! is forgotten. So a crash between a rename and its line loses attributes, never bytes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Headers that come back with the object as they were given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `x-amz-meta-…`, names without that prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
}

/// One object as the index knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Object {
    pub size: u64,
    /// Modification time of its file, nanoseconds since the epoch.
    pub modified_ns: i64,
    pub etag: String,
    /// Checksums of the whole object by algorithm (`crc64nvme`, …), base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sums: BTreeMap<String, String>,
    #[serde(default)]
    pub attributes: Attributes,
    /// Name of its file in the side directory, when the key can't be a path in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<String>,
}

/// A line as it is read; without an object the key was deleted.
#[derive(Deserialize)]
struct Line {
    key: String,
    object: Option<Object>,
}

/// A line as it is written.
#[derive(Serialize)]
struct NewLine<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a Object>,
}

/// The sorted map and its log.
#[derive(Debug)]
pub(crate) struct Index {
    pub objects: BTreeMap<String, Arc<Object>>,
    log: File,
}

impl Index {
    /// Reads `log`, then lets `look` say what each file really is and adds the files that it finds in
    /// `dir`; writes the log anew when most of it is history.
    pub fn open(
        log: &Path,
        dir: &Path,
        look: impl Fn(&str, &Object) -> Option<(u64, i64)>,
    ) -> std::io::Result<Self> {
        let (known, lines) = read_log(log)?;
        let mut objects = BTreeMap::new();
        for (key, object) in known {
            // A side file is only ours; a plain one may have been changed by anybody.
            if look(&key, &object) == Some((object.size, object.modified_ns)) {
                objects.insert(key, object);
            }
        }
        adopt(dir, dir, &mut objects)?;
        if lines > objects.len() * 2 + 1000 {
            rewrite(log, &objects)?;
        }
        let log = File::options().create(true).append(true).open(log)?;
        Ok(Self { objects, log })
    }

    /// Puts an object in.
    pub fn put(&mut self, key: &str, object: Object) -> std::io::Result<Arc<Object>> {
        let object = Arc::new(object);
        self.write(&NewLine { key, object: Some(&object) })?;
        self.objects.insert(key.to_owned(), object.clone());
        Ok(object)
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &str) -> std::io::Result<()> {
        self.write(&NewLine { key, object: None })?;
        self.objects.remove(key);
        Ok(())
    }

    fn write(&mut self, line: &NewLine<'_>) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.log.write_all(&text)
    }
}

fn read_log(log: &Path) -> std::io::Result<(BTreeMap<String, Arc<Object>>, usize)> {
    let mut known = BTreeMap::new();
    let mut lines = 0;
    let file = match File::open(log) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((known, 0)),
        Err(e) => return Err(e),
    };
    for text in BufReader::new(file).split(b'\n') {
        // A line that can't be read was torn by a crash: its file is found by the walk.
        let Ok(line) = serde_json::from_slice::<Line>(&text?) else { continue };
        lines += 1;
        match line.object {
            Some(object) => known.insert(line.key, Arc::new(object)),
            None => known.remove(&line.key),
        };
    }
    Ok((known, lines))
}

fn rewrite(log: &Path, objects: &BTreeMap<String, Arc<Object>>) -> std::io::Result<()> {
    let fresh = log.with_extension("new");
    let mut out = BufWriter::new(File::create(&fresh)?);
    for (key, object) in objects {
        serde_json::to_writer(&mut out, &NewLine { key, object: Some(object) })?;
        out.write_all(b"\n")?;
    }
    out.into_inner()?.sync_all()?;
    std::fs::rename(fresh, log)
}

/// Adds the files under `at` that the index doesn't have. Symbolic links and names that aren't UTF-8
/// are no objects.
fn adopt(dir: &Path, at: &Path, objects: &mut BTreeMap<String, Arc<Object>>) -> std::io::Result<()> {
    let mut open: Vec<PathBuf> = vec![at.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            if kind.is_dir() {
                open.push(path);
                continue;
            }
            let Some(key) = path.strip_prefix(dir).ok().and_then(Path::to_str) else { continue };
            if !kind.is_file() || objects.contains_key(key) {
                continue;
            }
            let (size, modified_ns) = size_and_time(&entry.metadata()?);
            let etag = format!("{:016x}{:016x}-1", size, modified_ns);
            let (sums, attributes) = <_>::default();
            objects.insert(
                key.to_owned(),
                Arc::new(Object { size, modified_ns, etag, sums, attributes, side: None }),
            );
        }
    }
    Ok(())
}

/// Size in bytes and modification time in nanoseconds since the epoch.
pub(crate) fn size_and_time(meta: &std::fs::Metadata) -> (u64, i64) {
    use std::os::unix::fs::MetadataExt;
    (meta.len(), meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()))
}
