//! The catalogue: file systems and object stores, and what can be asked of them.

use std::time::Duration;

use model::{
    Credentials, FileSystem, FileSystemId, MetadataDialect, ObjectEnd, ObjectStore, ObjectStoreId, Origin,
};

use crate::addresses::{self, Address};
use crate::error::{from_connector, lost_call};
use crate::folder::{self, Folder};
use crate::{Control, Error, ErrorKind, Noun, Result, Usage};

impl Control {
    /// One file system.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn file_system(&self, id: &FileSystemId) -> Result<FileSystem> {
        self.0.store.file_system(id).await?.ok_or_else(|| Error::not_found(Noun::FileSystem, id))
    }

    /// All file systems, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn file_systems(&self) -> Result<Vec<FileSystem>> {
        Ok(self.0.store.file_systems().await?)
    }

    /// How full the disk behind a file system is.
    ///
    /// # Errors
    /// `NotFound`, `Unreachable`.
    pub async fn usage(&self, id: &FileSystemId) -> Result<Usage> {
        let fs = self.file_system(id).await?;
        runtime::blocking(move || folder::usage(&fs.root)).await.map_err(lost_call)?
    }

    /// One object store.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn object_store(&self, id: &ObjectStoreId) -> Result<ObjectStore> {
        self.0.store.object_store(id).await?.ok_or_else(|| Error::not_found(Noun::ObjectStore, id))
    }

    /// All object stores, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn object_stores(&self) -> Result<Vec<ObjectStore>> {
        Ok(self.0.store.object_stores().await?)
    }

    /// Adds a file system or replaces the one with this id (its age is kept). What `wharf.toml` declares is
    /// only replaced by what it declares (`origin` `Config`).
    ///
    /// # Errors
    /// `Denied`, `BadPath` when the root is not an absolute path of a directory, in UTF-8.
    pub async fn put_file_system(&self, mut f: FileSystem) -> Result<()> {
        check_id(f.id.as_str())?;
        if let Some(known) = self.0.store.file_system(&f.id).await? {
            refuse_declared(known.origin, f.origin, f.id.as_str())?;
            f.created = known.created;
        }
        let climbs = f.root.components().any(|c| matches!(c, std::path::Component::ParentDir));
        if !f.root.is_absolute() || climbs || f.root.to_str().is_none() {
            let message = format!("{} is not an absolute path in utf-8 without `..`", f.root.display());
            return Err(Error::new(ErrorKind::BadPath, message).field("root"));
        }
        let root = f.root.clone();
        let opened = runtime::blocking(move || Folder::root(&root).map(drop)).await.map_err(lost_call)?;
        opened.map_err(|e| Error::new(ErrorKind::BadPath, e.message).field("root"))?;
        Ok(self.0.store.put_file_system(&f).await?)
    }

    /// Adds an object store or replaces the one with this id (its age is kept), as above. The secret comes
    /// sealed ([`Control::seal`]).
    ///
    /// # Errors
    /// `Denied`, `Invalid` when the url is not `http(s)://host[:port]`.
    pub async fn put_object_store(&self, mut s: ObjectStore) -> Result<()> {
        check_id(s.id.as_str())?;
        if let Some(known) = self.0.store.object_store(&s.id).await? {
            refuse_declared(known.origin, s.origin, s.id.as_str())?;
            s.created = known.created;
        }
        if Address::parse(&s.url).is_none() {
            let message = "the url of an object store is http(s)://host[:port], without user and password";
            return Err(Error::new(ErrorKind::Invalid, message).field("url"));
        }
        Ok(self.0.store.put_object_store(&s).await?)
    }

    /// Removes a file system from the catalogue. Its files stay.
    ///
    /// # Errors
    /// `NotFound`, `Denied` when `wharf.toml` declares it, `InUse`.
    pub async fn remove_file_system(&self, id: &FileSystemId) -> Result<()> {
        refuse_declared(self.file_system(id).await?.origin, Origin::Registered, id.as_str())?;
        self.0.store.remove_file_system(id).await.map_err(in_use)?;
        Ok(())
    }

    /// Removes an object store from the catalogue.
    ///
    /// # Errors
    /// `NotFound`, `Denied` when `wharf.toml` declares it, `InUse`.
    pub async fn remove_object_store(&self, id: &ObjectStoreId) -> Result<()> {
        refuse_declared(self.object_store(id).await?.origin, Origin::Registered, id.as_str())?;
        self.0.store.remove_object_store(id).await.map_err(in_use)?;
        Ok(())
    }

    /// What `wharf.toml` no longer declares (neither of the two lists names it) becomes an ordinary entry,
    /// which the operator may change or remove. Called once at start, after the declared ones were put.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn release_undeclared(
        &self,
        file_systems: &[FileSystemId],
        object_stores: &[ObjectStoreId],
    ) -> Result<()> {
        for mut f in self.file_systems().await? {
            if f.origin == Origin::Config && !file_systems.contains(&f.id) {
                f.origin = Origin::Registered;
                self.0.store.put_file_system(&f).await?;
            }
        }
        for mut s in self.object_stores().await? {
            if s.origin == Origin::Config && !object_stores.contains(&s.id) {
                s.origin = Origin::Registered;
                self.0.store.put_object_store(&s).await?;
            }
        }
        Ok(())
    }

    /// The object store that answers for a bucket: its own name before a prefix before `*`.
    ///
    /// # Errors
    /// `NotFound(Bucket)`.
    pub async fn resolve_bucket(&self, bucket: &str) -> Result<ObjectStore> {
        let all = self.object_stores().await?;
        addresses::store_for_bucket(&all, bucket)
            .cloned()
            .ok_or_else(|| Error::not_found(Noun::Bucket, bucket))
    }

    /// The object store and bucket behind a vendor's address (`https://<bucket>.<host>`) or one of ours
    /// (`http://endpoint/<bucket>`).
    ///
    /// # Errors
    /// `Invalid` when it is no http(s) address, `NotFound(ObjectStore)` when no store has this host,
    /// `NotFound(Bucket)` when the store does not answer for the bucket.
    pub async fn resolve_address(&self, address: &str) -> Result<(ObjectStore, String)> {
        let parsed = Address::parse(address).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("{address:?} is not an http(s) address"))
        })?;
        let mut other = None;
        for store in self.object_stores().await? {
            match parsed.bucket_of(&store) {
                Some(bucket) if addresses::answers(&store, &bucket) => return Ok((store, bucket)),
                Some(bucket) => other = Some(bucket),
                None => {}
            }
        }
        Err(match other {
            Some(bucket) => Error::not_found(Noun::Bucket, bucket),
            None => Error::not_found(Noun::ObjectStore, address),
        })
    }

    /// The buckets that exist, that this key may list, and that the catalogue lets the store answer for.
    ///
    /// # Errors
    /// `BadCredentials`, `Unreachable`.
    pub async fn buckets(
        &self,
        store: &ObjectStore,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<String>> {
        let call = self.0.trees.buckets(store, credentials);
        let mut found = self.in_time(call, Noun::ObjectStore).await?;
        found.retain(|b| addresses::answers(store, b));
        Ok(found)
    }

    /// Asks whether the bucket is there and the key may list it. Takes a few seconds at most.
    ///
    /// # Errors
    /// `NotFound(Bucket)`, `BadCredentials`, `Unreachable`.
    pub async fn probe_source(&self, end: &ObjectEnd, credentials: Option<&Credentials>) -> Result<()> {
        let call = async {
            let tree = self.0.trees.object(end, credentials, MetadataDialect::Native).await?;
            tree.probe(false).await
        };
        self.in_time(call, Noun::Bucket).await.map(drop)
    }

    async fn in_time<T>(&self, call: impl Future<Output = connector::Result<T>>, missing: Noun) -> Result<T> {
        let limit = Duration::from_secs(self.0.limits.probe_seconds.max(1));
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => answer.map_err(|e| from_connector(&e, missing)),
            Err(_) => {
                let message = format!("the object store did not answer within {} s", limit.as_secs());
                Err(Error::new(ErrorKind::Unreachable, message))
            }
        }
    }

    /// Is there a directory at `path` below the root? Symbolic links are not followed.
    ///
    /// # Errors
    /// `BadPath` when the path climbs, crosses a link or a file; `Unreachable`.
    pub async fn directory_exists(&self, fs: &FileSystem, path: &str) -> Result<bool> {
        below(fs, path, |root, names| Ok(Folder::find(root, names)?.is_some())).await
    }

    /// Is the directory at `path` empty?
    ///
    /// # Errors
    /// As [`Control::directory_exists`], and `NotFound(Directory)`.
    pub async fn directory_is_empty(&self, fs: &FileSystem, path: &str) -> Result<bool> {
        below(fs, path, |root, names| match Folder::find(root, names)? {
            Some(folder) => folder.is_empty(),
            None => Err(Error::not_found(Noun::Directory, names.join("/"))),
        })
        .await
    }

    /// Makes the directory at `path` and what is missing above it. It may be there already.
    ///
    /// # Errors
    /// As [`Control::directory_exists`], and `Denied`.
    pub async fn make_directory(&self, fs: &FileSystem, path: &str) -> Result<()> {
        below(fs, path, |root, names| Folder::make(root, names).map(drop)).await
    }

    /// Reads a small file below the root.
    ///
    /// # Errors
    /// `NotFound(ListFile)`, `BadPath`, `LimitExceeded` when it is longer than `max_bytes`.
    pub async fn read_text_file(&self, fs: &FileSystem, path: &str, max_bytes: u64) -> Result<Vec<u8>> {
        below(fs, path, move |root, names| {
            let missing = || Error::not_found(Noun::ListFile, names.join("/"));
            let (name, parents) = names.split_last().ok_or_else(missing)?;
            Folder::find(root, parents)?.ok_or_else(missing)?.read(name, max_bytes)
        })
        .await
    }
}

/// Runs `look` on the names of `path` below the root of `fs`, off the reactor.
pub(crate) async fn below<T: Send + 'static>(
    fs: &FileSystem,
    path: &str,
    look: impl FnOnce(&std::path::Path, &[&str]) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (root, path) = (fs.root.clone(), path.to_owned());
    runtime::blocking(move || look(&root, &folder::names(&path)?)).await.map_err(lost_call)?
}

fn check_id(id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if (1..=64).contains(&id.len()) && id.bytes().all(plain) {
        return Ok(());
    }
    let message = format!("{id:?} is not an id: 1 to 64 letters, digits, `-`, `_` or `.` are expected");
    Err(Error::new(ErrorKind::Invalid, message).field("id"))
}

fn refuse_declared(known: Origin, new: Origin, id: &str) -> Result<()> {
    if known == Origin::Config && new != Origin::Config {
        let message = format!("{id} is declared in the configuration file and can only be changed there");
        return Err(Error::new(ErrorKind::Denied, message));
    }
    Ok(())
}

fn in_use(e: store::Error) -> Error {
    match e.kind() {
        store::ErrorKind::Conflict => Error::new(ErrorKind::InUse, e.message()),
        _ => e.into(),
    }
}
