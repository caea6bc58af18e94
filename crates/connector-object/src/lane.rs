//! The working end of an [`ObjectTree`](crate::ObjectTree): the contract's calls as S3 requests.
//!
//! A small item is collected and goes out as one PUT that can be repeated and carries its checksum; a
//! larger one streams. Our stamp is one short header beside the POSIX metadata. A repeated conditional
//! write that finds "something" in its place looks whether that something is its own first attempt.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use connector::{
    Body, Digest, Entry, EntryKind, Error, ErrorKind, Found, Lane, Meta, Overwrite, Part, PartDone, Range,
    Result, Source, Stored, Target, TreePath, Upload,
};

use crate::checksum::Running;
use crate::client::Client;
use crate::fault::Fault;
use crate::metadata::{ObjectKind, UserMetadata, read_stamp};
use crate::ops::object::{Condition, ObjectHead, Put};
use crate::source::{self, MAX_LINK};
use crate::tree::Place;
use crate::upload;

/// Items up to this size are collected before they are sent.
const COLLECTED: u64 = 1024 * 1024;

/// A lane of an object tree.
pub(crate) struct ObjectLane {
    pub(crate) client: Client,
    pub(crate) place: Arc<Place>,
}

impl ObjectLane {
    pub(crate) fn new(client: Client, place: Arc<Place>) -> Self {
        Self { client, place }
    }

    /// Metadata and stamp as headers; attributes that don't fit are counted, of other words none may be lost.
    pub(crate) fn user_metadata(
        &self,
        target: &Target,
        meta: &Meta,
        kind: ObjectKind,
    ) -> Result<UserMetadata> {
        let out = self.place.dialect.write(meta, kind, Some(&target.stamp));
        if let Some(word) = out.lost() {
            let path = target.path.display();
            let what = format!("{path}: its metadata can't be kept here ({word}; there is room for 2 KiB)");
            return Err(Error::new(ErrorKind::Unacceptable, what));
        }
        if out.dropped_xattrs > 0 {
            self.place.dropped_xattrs.fetch_add(u64::from(out.dropped_xattrs), Ordering::Relaxed);
        }
        Ok(out)
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Option<ObjectHead>, Fault> {
        match self.client.head(&self.place.bucket, key).await {
            Ok(h) => Ok(Some(h)),
            Err(f) if f.kind() == ErrorKind::NotFound => Ok(None),
            Err(f) => Err(f),
        }
    }

    /// Is what lies at `key` what `target` wanted there?
    pub(crate) async fn is_ours(&self, key: &str, target: &Target, size: u64) -> Option<ObjectHead> {
        let head = self.head(key).await.ok().flatten()?;
        let ours = head.size == size && read_stamp(&head.headers).as_ref() == Some(&target.stamp);
        ours.then_some(head)
    }

    async fn put_collected(
        &self,
        put: Put<'_>,
        chunks: &[Bytes],
        digest: Digest,
        target: &Target,
    ) -> Result<Stored> {
        match self.client.put(put, chunks, digest).await {
            Ok(out) => Ok(Stored { version: out.etag, digest }),
            // The first attempt may have been carried out and its answer lost.
            Err(f) if f.kind() == ErrorKind::Exists && f.repeated => {
                match self.is_ours(put.key, target, digest.len).await {
                    Some(head) => Ok(Stored { version: head.etag, digest }),
                    None => Err(f.into()),
                }
            }
            Err(f) => Err(f.into()),
        }
    }

    async fn found(&self, path: &TreePath, key: &str, head: ObjectHead, dir: bool) -> Result<Found> {
        let (meta, digest) = (head.metadata(), head.digest());
        let kind = match (&meta.hard_link, &meta.symlink) {
            _ if dir => EntryKind::Dir,
            (Some(first), _) => EntryKind::HardLink { first: first.clone() },
            (None, Some(_)) => {
                let target = self.client.get_small(&self.place.bucket, key, MAX_LINK).await?;
                EntryKind::Symlink { target: target.as_ref().into() }
            }
            (None, None) => EntryKind::File,
        };
        let entry = Entry {
            path: path.clone(),
            kind,
            size: if dir { 0 } else { head.size },
            modified_ns: head.modified_ns,
            version: head.etag,
            meta: Some(Box::new(meta)),
        };
        Ok(Found { entry, stamp: read_stamp(&head.headers), digest })
    }
}

/// Metadata of the target, completed by what the source said.
pub(crate) fn complete(target: &Meta, source: &Meta) -> Meta {
    Meta {
        mtime_ns: target.mtime_ns.or(source.mtime_ns),
        atime_ns: target.atime_ns.or(source.atime_ns),
        mode: target.mode.or(source.mode),
        uid: target.uid.or(source.uid),
        gid: target.gid.or(source.gid),
        xattrs: if target.xattrs.is_empty() { source.xattrs.clone() } else { target.xattrs.clone() },
        symlink: target.symlink.clone().or_else(|| source.symlink.clone()),
        hard_link: target.hard_link.clone().or_else(|| source.hard_link.clone()),
        headers: if target.headers.is_empty() { source.headers.clone() } else { target.headers.clone() },
    }
}

pub(crate) fn condition(overwrite: Overwrite) -> Condition<'static> {
    match overwrite {
        Overwrite::Always => Condition::None,
        Overwrite::Never => Condition::IfAbsent,
    }
}

/// Reads a body to its end and holds it to its length.
pub(crate) async fn collect(body: &mut dyn Source) -> Result<(Vec<Bytes>, Digest)> {
    let wrong =
        || Error::new(ErrorKind::Changed, "the source gave another number of bytes than it had announced");
    let len = body.len();
    let mut chunks = Vec::with_capacity(1);
    let mut running: Option<Running> = None;
    let mut got = 0;
    while let Some(c) = body.next().await? {
        got += c.len() as u64;
        if got > len {
            return Err(wrong());
        }
        if c.is_empty() {
            continue;
        }
        if chunks.is_empty() && got == len {
            // The usual small item comes as one chunk.
            chunks.push(c);
            continue;
        }
        running.get_or_insert_with(|| Running::new(false)).update(&c);
        chunks.push(c);
    }
    if got != len {
        return Err(wrong());
    }
    let digest = match (running, chunks.as_slice()) {
        (Some(r), _) => r.digest(),
        (None, [one]) => Digest::of(one),
        (None, _) => Digest::EMPTY,
    };
    Ok((chunks, digest))
}

#[async_trait(?Send)]
impl Lane for ObjectLane {
    async fn stat(&self, path: &TreePath) -> Result<Option<Found>> {
        let mut key = self.place.key(path)?;
        if let Some(head) = self.head(&key).await? {
            return self.found(path, &key, head, false).await.map(Some);
        }
        key.push('/');
        match self.head(&key).await? {
            Some(head) => self.found(path, &key, head, true).await.map(Some),
            None => Ok(None),
        }
    }

    async fn open(&self, entry: &Entry, range: Option<Range>) -> Result<Body> {
        let mut key = self.place.key(&entry.path)?;
        if entry.kind == EntryKind::Dir {
            key.push('/');
        }
        let md5 = self.client.site().config.verify;
        source::open(&self.client, (&self.place.bucket, &key), entry, (range, md5)).await
    }

    async fn open_checked(&self, entry: &Entry) -> Result<Body> {
        let key = self.place.key(&entry.path)?;
        source::open(&self.client, (&self.place.bucket, &key), entry, (None, true)).await
    }

    async fn put(&self, target: &Target, mut body: Body) -> Result<Stored> {
        let key = self.place.key(&target.path)?;
        let meta = complete(&target.meta, body.meta());
        let metadata = self.user_metadata(target, &meta, ObjectKind::File)?;
        let put = Put {
            bucket: &self.place.bucket,
            key: &key,
            metadata: &metadata,
            condition: condition(target.overwrite),
        };
        // A further name carries the whole content: whoever reads the object without knowing our words
        // must find what is in the file.
        if let Some(link) = &meta.symlink {
            let chunk = Bytes::copy_from_slice(link);
            let digest = Digest::of(&chunk);
            return self.put_collected(put, &[chunk], digest, target).await;
        }
        if body.len() != target.size {
            return Err(Error::new(ErrorKind::Changed, "the source has another size than was listed"));
        }
        if body.len() <= COLLECTED {
            let (chunks, digest) = collect(body.as_mut()).await?;
            return self.put_collected(put, &chunks, digest, target).await;
        }
        let (out, digest) = self.client.put_from(put, body.as_mut()).await?;
        Ok(Stored { version: out.etag, digest })
    }

    async fn put_dir(&self, target: &Target) -> Result<()> {
        let mut key = self.place.key(&target.path)?;
        key.push('/');
        let metadata = self.user_metadata(target, &target.meta, ObjectKind::Dir)?;
        let put =
            Put { bucket: &self.place.bucket, key: &key, metadata: &metadata, condition: Condition::None };
        self.client.put(put, &[], Digest::EMPTY).await?;
        Ok(())
    }

    async fn begin(&self, target: &Target, part_size: u64) -> Result<Upload> {
        upload::begin(self, target, part_size).await
    }

    async fn put_part(&self, target: &Target, upload: &Upload, part: Part, body: Body) -> Result<PartDone> {
        upload::put_part(self, target, upload, part, body).await
    }

    async fn finish(
        &self,
        target: &Target,
        upload: &Upload,
        parts: &[PartDone],
        meta: &Meta,
    ) -> Result<Stored> {
        upload::finish(self, target, upload, parts, meta).await
    }

    async fn abort(&self, target: &Target, upload: &Upload) -> Result<()> {
        upload::abort(self, target, upload).await
    }

    async fn remove(&self, path: &TreePath) -> Result<bool> {
        let mut key = self.place.key(path)?;
        if self.head(&key).await?.is_none() {
            key.push('/');
            if self.head(&key).await?.is_none() {
                return Ok(false);
            }
        }
        self.client.delete(&self.place.bucket, &key).await?;
        Ok(true)
    }
}
