//! Files of tables: on the local disk, or in a bucket through our own S3 client.
//!
//! [`Files`] is what the `iceberg` crate calls a storage. It goes by the path: `s3://bucket/key` (also `s3a`, `obs`, `oss`, `cosn`) is an object,
//! `file:/…` or a plain absolute path is a file. What is written locally is on the disk (`fsync` of the file and its folder) when the call returns, because
//! the catalogue's pointer to it is: the crate's own local storage leaves that to chance. [`Staged`] writes the files below one prefix to another
//! place first.

mod local;
mod object;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector::{Error, ErrorKind, Result};
use connector_object::Client;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig,
    StorageFactory,
};
use serde::{Deserialize, Serialize};

use crate::fault::wrap;

/// Schemes of objects.
const OBJECTS: [&str; 6] = ["s3", "s3a", "s3n", "obs", "oss", "cosn"];

/// See the module.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Files {
    #[serde(skip)]
    client: Option<Client>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files(with objects: {})", self.client.is_some())
    }
}

/// Where a path leads.
enum Place<'a> {
    File(std::path::PathBuf),
    Object(&'a Client, &'a str, &'a str),
}

impl Files {
    pub(crate) fn new(client: Option<Client>) -> Self {
        Self { client }
    }

    /// These files as the crate takes them.
    pub(crate) fn io(&self) -> FileIO {
        FileIOBuilder::new(Arc::new(self.clone())).build()
    }

    fn place<'a>(&'a self, path: &'a str) -> Result<Place<'a>> {
        match path.split_once("://") {
            Some((scheme, rest)) if OBJECTS.contains(&scheme) => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                let none = || {
                    Error::new(ErrorKind::Unacceptable, "the connection names no S3 endpoint for s3:// paths")
                };
                Ok(Place::Object(self.client.as_ref().ok_or_else(none)?, bucket, key))
            }
            _ => local::path(path).map(Place::File),
        }
    }

    /// Paths of all files below a prefix that ends in a slash.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        match self.place(prefix)? {
            Place::File(dir) => local::list(&dir, prefix),
            Place::Object(client, bucket, key) => {
                let keys = object::list(client, bucket, key).await?;
                let root = prefix.strip_suffix(key).unwrap_or(prefix);
                Ok(keys.into_iter().map(|k| format!("{root}{k}")).collect())
            }
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Bytes> {
        match self.place(path)? {
            Place::File(file) => Ok(std::fs::read(&file)?.into()),
            Place::Object(client, bucket, key) => {
                Ok(client.get_small(bucket, key, object::MAX_WHOLE).await?)
            }
        }
    }

    pub(crate) async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        match self.place(path)? {
            Place::File(file) => local::write(&file, &bytes),
            Place::Object(client, bucket, key) => {
                Ok(client.put_bytes(bucket, key, bytes, connector_object::Condition::None).await.map(drop)?)
            }
        }
    }

    /// Puts a file from one place to another; it may stay at the first as well.
    pub(crate) async fn shift(&self, from: &str, to: &str) -> Result<()> {
        match (self.place(from)?, self.place(to)?) {
            (Place::File(from), Place::File(to)) => local::shift(&from, &to),
            (Place::Object(client, a, b), Place::Object(_, c, d)) => {
                Ok(client.copy_object((a, b), (c, d)).await?)
            }
            _ => self.put(to, self.get(from).await?).await,
        }
    }

    pub(crate) async fn remove(&self, path: &str) -> Result<()> {
        match self.place(path)? {
            Place::File(file) => match std::fs::remove_file(&file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
                _ => Ok(()),
            },
            Place::Object(client, bucket, key) => Ok(client.delete(bucket, key).await?),
        }
    }

    /// Removes everything below a prefix that ends in a slash.
    pub(crate) async fn remove_all(&self, prefix: &str) -> Result<()> {
        match self.place(prefix)? {
            Place::File(dir) => match std::fs::remove_dir_all(&dir) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
                _ => Ok(()),
            },
            Place::Object(client, bucket, key) => {
                client.abort_uploads(bucket, key).await?;
                let keys = object::list(client, bucket, key).await?;
                let keys: Vec<_> = keys.iter().map(String::as_str).collect();
                match client.delete_objects(bucket, &keys).await?.first() {
                    None => Ok(()),
                    Some((key, code)) => {
                        Err(Error::new(ErrorKind::Denied, format!("{key} was not deleted: {code}")))
                    }
                }
            }
        }
    }

    /// Can files be written there? Says `NotFound` for a bucket that isn't.
    pub(crate) async fn probe(&self, path: &str) -> Result<()> {
        match self.place(path)? {
            Place::File(_) => Ok(()),
            Place::Object(client, bucket, _) => Ok(client.head_bucket(bucket).await.map(drop)?),
        }
    }
}

#[async_trait]
#[typetag::serde(name = "WharfFiles")]
impl Storage for Files {
    async fn exists(&self, path: &str) -> iceberg::Result<bool> {
        let found = match self.place(path).map_err(wrap)? {
            Place::File(file) => return Ok(file.exists()),
            Place::Object(client, bucket, key) => client.head(bucket, key).await,
        };
        match found {
            Ok(_) => Ok(true),
            Err(f) if f.kind() == ErrorKind::NotFound => Ok(false),
            Err(f) => Err(wrap(f.into())),
        }
    }

    async fn metadata(&self, path: &str) -> iceberg::Result<FileMetadata> {
        let size = match self.place(path).map_err(wrap)? {
            Place::File(file) => std::fs::metadata(file).map_err(|e| wrap(e.into()))?.len(),
            Place::Object(client, bucket, key) => {
                client.head(bucket, key).await.map_err(|f| wrap(f.into()))?.size
            }
        };
        Ok(FileMetadata { size })
    }

    async fn read(&self, path: &str) -> iceberg::Result<Bytes> {
        self.get(path).await.map_err(|e| wrap(e.context(path)))
    }

    async fn reader(&self, path: &str) -> iceberg::Result<Box<dyn FileRead>> {
        match self.place(path).map_err(wrap)? {
            Place::File(file) => local::reader(&file).map_err(|e| wrap(e.context(path))),
            Place::Object(client, bucket, key) => Ok(object::reader(client, bucket, key)),
        }
    }

    async fn write(&self, path: &str, bytes: Bytes) -> iceberg::Result<()> {
        self.put(path, bytes).await.map_err(|e| wrap(e.context(path)))
    }

    async fn writer(&self, path: &str) -> iceberg::Result<Box<dyn FileWrite>> {
        match self.place(path).map_err(wrap)? {
            Place::File(file) => local::writer(&file).map_err(|e| wrap(e.context(path))),
            Place::Object(client, bucket, key) => Ok(object::writer(client, bucket, key)),
        }
    }

    async fn delete(&self, path: &str) -> iceberg::Result<()> {
        self.remove(path).await.map_err(wrap)
    }

    async fn delete_prefix(&self, path: &str) -> iceberg::Result<()> {
        self.remove_all(&format!("{}/", path.trim_end_matches('/'))).await.map_err(wrap)
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> iceberg::Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> iceberg::Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> iceberg::Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

#[typetag::serde(name = "WharfFiles")]
impl StorageFactory for Files {
    fn build(&self, _: &StorageConfig) -> iceberg::Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.clone()))
    }
}

/// Files below `from` are written below `to` instead; [`Staged::place`] says where. Everything else is as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Staged {
    files: Files,
    from: String,
    to: String,
}

impl Staged {
    /// Both prefixes end in a slash.
    pub(crate) fn new(files: Files, from: String, to: String) -> Self {
        Self { files, from, to }
    }

    pub(crate) fn io(&self) -> FileIO {
        FileIOBuilder::new(Arc::new(self.clone())).build()
    }

    /// Where a file is before it is put to its place.
    pub(crate) fn place(&self, path: &str) -> String {
        match path.strip_prefix(&self.from) {
            Some(rest) => format!("{}{rest}", self.to),
            None => path.to_owned(),
        }
    }
}

#[async_trait]
#[typetag::serde(name = "WharfStaged")]
impl Storage for Staged {
    async fn exists(&self, path: &str) -> iceberg::Result<bool> {
        self.files.exists(&self.place(path)).await
    }

    async fn metadata(&self, path: &str) -> iceberg::Result<FileMetadata> {
        self.files.metadata(&self.place(path)).await
    }

    async fn read(&self, path: &str) -> iceberg::Result<Bytes> {
        self.files.read(&self.place(path)).await
    }

    async fn reader(&self, path: &str) -> iceberg::Result<Box<dyn FileRead>> {
        self.files.reader(&self.place(path)).await
    }

    async fn write(&self, path: &str, bytes: Bytes) -> iceberg::Result<()> {
        self.files.write(&self.place(path), bytes).await
    }

    async fn writer(&self, path: &str) -> iceberg::Result<Box<dyn FileWrite>> {
        self.files.writer(&self.place(path)).await
    }

    async fn delete(&self, path: &str) -> iceberg::Result<()> {
        self.files.delete(&self.place(path)).await
    }

    async fn delete_prefix(&self, path: &str) -> iceberg::Result<()> {
        self.files.delete_prefix(&self.place(path)).await
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> iceberg::Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> iceberg::Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> iceberg::Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

#[typetag::serde(name = "WharfStaged")]
impl StorageFactory for Staged {
    fn build(&self, _: &StorageConfig) -> iceberg::Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn local_files_are_written_listed_shifted_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = format!("file://{}", dir.path().display());
        let files = Files::default();
        files.put(&format!("{root}/a/b/x"), Bytes::from_static(b"one")).await.unwrap();
        let mut w = files.writer(&format!("{root}/a/c")).await.unwrap();
        w.write(Bytes::from_static(b"two ")).await.unwrap();
        w.write(Bytes::from_static(b"three")).await.unwrap();
        w.close().await.unwrap();
        let mut all = files.list(&format!("{root}/a/")).await.unwrap();
        all.sort();
        assert_eq!(all, [format!("{root}/a/b/x"), format!("{root}/a/c")]);
        let bytes = files.reader(&all[1]).await.unwrap().read(2..6).await.unwrap();
        assert_eq!(&bytes[..], b"o th");
        files.shift(&all[1], &format!("{root}/z/c")).await.unwrap();
        assert_eq!(&files.get(&format!("{root}/z/c")).await.unwrap()[..], b"two three");
        files.remove_all(&format!("{root}/a/")).await.unwrap();
        files.remove(&format!("{root}/a/none")).await.unwrap();
        assert!(files.list(&format!("{root}/a/")).await.unwrap().is_empty());
        assert_eq!(files.get(&format!("{root}/q")).await.unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn odd_paths_are_refused() {
        let files = Files::default();
        for (path, kind) in [
            ("s3://b/k", ErrorKind::Unacceptable),
            ("relative/x", ErrorKind::Unacceptable),
            ("file:///a/../../etc/passwd", ErrorKind::Unacceptable),
            ("http://h/x", ErrorKind::Unacceptable),
        ] {
            assert_eq!(files.get(path).await.unwrap_err().kind(), kind, "{path}");
        }
    }
}
