//! The objects on disk. All of it blocks; the service calls it on the blocking pool.
//!
//! ```text
//! root/<bucket>/<key>                  the object, when the key can be a path there
//! root/.embedded-s3/<bucket>/log       the index
//! root/.embedded-s3/<bucket>/side/…    objects whose key can't: `dir/`, `a//b`, `..`, `a` beside `a/b`
//! root/.embedded-s3/<bucket>/uploads/  multipart uploads
//! root/.embedded-s3/temp/              what is being written; emptied at the start
//! ```
//! Nothing is ever written in place: bytes go to `temp` and are renamed under the bucket's lock.

use crate::body::Io as _;
use crate::index::{Attributes, Index, Object, size_and_time};
use s3s::crypto::{Checksum as _, Sha256};
use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

const OWN: &str = ".embedded-s3";

/// Everything under one root.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    temp_count: AtomicU64,
    buckets: Mutex<BTreeMap<String, Arc<Bucket>>>,
}

/// One bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    dir: PathBuf,
    own: PathBuf,
    index: Mutex<Index>,
}

/// Bytes that were written to a temporary file and wait for their place.
#[derive(Debug)]
pub(crate) struct Staged {
    pub path: PathBuf,
    pub size: u64,
    pub etag: String,
    pub sums: BTreeMap<String, String>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already when it was renamed into its place.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// `If-Match` and `If-None-Match` of a write.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
}

impl Condition {
    fn check(&self, present: Option<&Object>) -> S3Result<()> {
        match (&self.if_match, present) {
            (Some(_), None) => return Err(s3_error!(NoSuchKey)),
            (Some(wanted), Some(object)) if !matches(wanted, &object.etag) => {
                return Err(s3_error!(PreconditionFailed));
            }
            _ => {}
        }
        match (&self.if_none_match, present) {
            (Some(unwanted), Some(object)) if matches(unwanted, &object.etag) => {
                Err(s3_error!(PreconditionFailed))
            }
            _ => Ok(()),
        }
    }
}

/// Does the condition name this ETag?
pub(crate) fn matches(condition: &ETagCondition, etag: &str) -> bool {
    condition.as_etag().is_none_or(|wanted| wanted.value() == etag)
}

impl Store {
    /// Opens a root, making it if needed, and reads every bucket's index.
    pub fn open(root: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let temp = root.join(OWN).join("temp");
        match std::fs::remove_dir_all(&temp) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => std::fs::create_dir_all(&temp)?,
        }
        let store = Self { root, temp_count: AtomicU64::new(0), buckets: Mutex::default() };
        for entry in std::fs::read_dir(&store.root)? {
            let entry = entry?;
            let name = entry.file_name();
            if let (true, Some(name)) = (entry.file_type()?.is_dir(), name.to_str())
                && s3s::path::check_bucket_name(name)
            {
                let bucket = Bucket::open(&store.root, name)?;
                lock(&store.buckets).insert(name.to_owned(), Arc::new(bucket));
            }
        }
        Ok(store)
    }

    /// Makes a bucket; `false` when it was there.
    pub fn create_bucket(&self, name: &str) -> std::io::Result<bool> {
        if !s3s::path::check_bucket_name(name) {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "not a bucket name"));
        }
        let mut all = lock(&self.buckets);
        if all.contains_key(name) {
            return Ok(false);
        }
        all.insert(name.to_owned(), Arc::new(Bucket::open(&self.root, name)?));
        Ok(true)
    }

    /// Removes an empty bucket.
    pub fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let bucket = self.bucket(name)?;
        let mut all = lock(&self.buckets);
        if !bucket.index().objects.is_empty() || prune(&bucket.dir).is_err() {
            return Err(s3_error!(BucketNotEmpty));
        }
        std::fs::remove_dir_all(&bucket.own).io()?;
        all.remove(name);
        Ok(())
    }

    /// Finds a bucket.
    pub fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        lock(&self.buckets).get(name).cloned().ok_or_else(|| s3_error!(NoSuchBucket))
    }

    /// Names of all buckets, with the times at which they were made or last changed.
    pub fn bucket_names(&self) -> Vec<(String, i64)> {
        let all = lock(&self.buckets);
        all.iter()
            .map(|(name, b)| (name.clone(), b.own.metadata().map_or(0, |m| size_and_time(&m).1)))
            .collect()
    }

    /// A new temporary file.
    pub fn temp(&self) -> std::io::Result<(PathBuf, File)> {
        let name = self.temp_count.fetch_add(1, Ordering::Relaxed).to_string();
        let path = self.root.join(OWN).join("temp").join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        Ok((path, file))
    }
}

impl Bucket {
    fn open(root: &Path, name: &str) -> std::io::Result<Self> {
        let (dir, own) = (root.join(name), root.join(OWN).join(name));
        std::fs::create_dir_all(&dir)?;
        std::fs::create_dir_all(own.join("side"))?;
        std::fs::create_dir_all(own.join("uploads"))?;
        let look = |key: &str, object: &Object| {
            let meta = place(&dir, &own, key, object.side.as_deref())?.symlink_metadata().ok()?;
            meta.is_file().then(|| size_and_time(&meta))
        };
        let index = Index::open(&own.join("log"), &dir, look)?;
        Ok(Self { index: Mutex::new(index), dir, own })
    }

    /// The index, locked.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// Where the multipart uploads of this bucket are.
    pub fn uploads(&self) -> PathBuf {
        self.own.join("uploads")
    }

    /// An object and its open file.
    pub fn open_object(&self, key: &str) -> S3Result<(Arc<Object>, File)> {
        // Under the lock, so that the file is the one the index speaks of.
        let index = self.index();
        let object = index.objects.get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey))?;
        let path =
            place(&self.dir, &self.own, key, object.side.as_deref()).ok_or_else(|| s3_error!(NoSuchKey))?;
        let file = File::open(path).io()?;
        Ok((object, file))
    }

    /// Gives staged bytes their key.
    pub fn put(
        &self,
        key: &str,
        staged: &Staged,
        attributes: Attributes,
        when: &Condition,
    ) -> S3Result<Arc<Object>> {
        let mut index = self.index();
        let before = index.objects.get(key).cloned();
        when.check(before.as_deref())?;
        let side = self.settle(key, &staged.path).io()?;
        let path =
            place(&self.dir, &self.own, key, side.as_deref()).ok_or_else(|| s3_error!(InternalError))?;
        let (size, modified_ns) = size_and_time(&path.metadata().io()?);
        if let (Some(old), None) = (before.as_ref().and_then(|b| b.side.as_deref()), &side) {
            let _ = std::fs::remove_file(self.own.join("side").join(old));
        }
        let (etag, sums) = (staged.etag.clone(), staged.sums.clone());
        index.put(key, Object { size, modified_ns, etag, sums, attributes, side }).io()
    }

    /// Renames a temporary file to the key's path or, where that is taken by a directory or a file on
    /// the way, to a side file whose name is returned.
    fn settle(&self, key: &str, temp: &Path) -> std::io::Result<Option<String>> {
        if let Some(path) = place(&self.dir, &self.own, key, None) {
            let parent = path.parent().unwrap_or(&self.dir);
            let done = match std::fs::rename(temp, &path) {
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    std::fs::create_dir_all(parent).and_then(|()| std::fs::rename(temp, &path))
                }
                done => done,
            };
            match done {
                Ok(()) => return Ok(None),
                Err(e) if collides(&e) => {}
                Err(e) => return Err(e),
            }
        }
        let mut hash = Sha256::new();
        hash.update(key.as_bytes());
        let name = hex(hash.finalize().as_ref());
        std::fs::rename(temp, self.own.join("side").join(&name))?;
        Ok(Some(name))
    }

    /// Removes an object; one that isn't there is no error.
    pub fn delete(&self, key: &str) -> S3Result<()> {
        let mut index = self.index();
        let Some(object) = index.objects.get(key).cloned() else { return Ok(()) };
        let Some(path) = place(&self.dir, &self.own, key, object.side.as_deref()) else { return Ok(()) };
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e).io(),
            _ => index.remove(key).io()?,
        }
        if object.side.is_none() {
            // Directories have no meaning of their own here: they go with their last object.
            let mut parent = path.parent();
            while let Some(dir) = parent.filter(|d| *d != self.dir && std::fs::remove_dir(d).is_ok()) {
                parent = dir.parent();
            }
        }
        Ok(())
    }
}

/// The path of a key, or `None` when it can't be one below `dir`.
fn place(dir: &Path, own: &Path, key: &str, side: Option<&str>) -> Option<PathBuf> {
    if let Some(name) = side {
        return Some(own.join("side").join(name));
    }
    let fits = |segment: &str| {
        !matches!(segment, "" | "." | "..") && segment.len() <= 255 && !segment.contains('\0')
    };
    key.split('/').all(fits).then(|| dir.join(key))
}

fn collides(e: &std::io::Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::InvalidFilename
    )
}

/// Removes a tree of directories; fails, leaving the rest, when a file is met.
fn prune(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        prune(&entry.path())?;
    }
    std::fs::remove_dir(dir)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Locks, going on after a panic elsewhere: every change under these locks is a single insert or remove.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
