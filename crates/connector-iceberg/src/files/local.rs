//! Files on the local disk, durable when a call returns.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use connector::{Error, ErrorKind, Result};
use iceberg::io::{FileRead, FileWrite};

use crate::fault::wrap;

/// Files that a listing returns at most.
const MAX_LISTED: usize = 1_000_000;

/// The file that a path names.
pub(super) fn path(text: &str) -> Result<PathBuf> {
    let plain = text.strip_prefix("file:").map_or(text, |rest| rest.strip_prefix("//").unwrap_or(rest));
    let path = PathBuf::from(plain);
    let up = path.components().any(|c| matches!(c, Component::ParentDir));
    if !path.is_absolute() || up || plain.contains("://") {
        let what = format!("{text} is neither an s3:// path nor that of a file");
        return Err(Error::new(ErrorKind::Unacceptable, what));
    }
    Ok(path)
}

fn sync_folder(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn create(file: &Path) -> std::io::Result<File> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create(file)
}

/// Writes a whole file.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let mut open = create(file)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    Ok(sync_folder(file)?)
}

/// Renames a file, or copies it where that can't be.
pub(super) fn shift(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::rename(from, to) {
        Ok(()) => Ok(sync_folder(to)?),
        Err(e) if e.kind() == std::io::ErrorKind::CrossesDevices => {
            fs::copy(from, to)?;
            File::open(to)?.sync_all()?;
            Ok(sync_folder(to)?)
        }
        Err(e) => Err(e.into()),
    }
}

/// All files below a folder, as paths that begin with `prefix`.
pub(super) fn list(dir: &Path, prefix: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![(dir.to_owned(), prefix.to_owned())];
    while let Some((dir, prefix)) = open.pop() {
        let entries = match fs::read_dir(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                open.push((entry.path(), format!("{name}/")));
            } else if found.len() < MAX_LISTED {
                found.push(name);
            }
        }
    }
    Ok(found)
}

struct Reading(File);

#[async_trait]
impl FileRead for Reading {
    async fn read(&self, range: std::ops::Range<u64>) -> iceberg::Result<Bytes> {
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        self.0.read_exact_at(&mut bytes, range.start).map_err(|e| wrap(e.into()))?;
        Ok(bytes.into())
    }
}

pub(super) fn reader(file: &Path) -> Result<Box<dyn FileRead>> {
    Ok(Box::new(Reading(File::open(file)?)))
}

struct Writing(Option<File>, PathBuf);

impl Writing {
    fn done(&mut self) -> Result<()> {
        let Some(file) = self.0.take() else {
            return Err(Error::new(ErrorKind::Other, "the file is closed"));
        };
        file.sync_all()?;
        Ok(sync_folder(&self.1)?)
    }
}

#[async_trait]
impl FileWrite for Writing {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        let Some(file) = &mut self.0 else {
            return Err(wrap(Error::new(ErrorKind::Other, "the file is closed")));
        };
        file.write_all(&bytes).map_err(|e| wrap(e.into()))
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        self.done().map_err(wrap)
    }
}

pub(super) fn writer(file: &Path) -> Result<Box<dyn FileWrite>> {
    Ok(Box::new(Writing(Some(create(file)?), file.to_owned())))
}
