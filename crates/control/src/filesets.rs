//! Filesets: directories with a name and a quota of their own.
//!
//! What destroys files here is asked for in three places: by the caller (an action that does so in the
//! product), by the operator (`allow_destroy`), and of one request at a time ([`Held`]).

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{DirectoryEnd, FileSystem, FileSystemId, Fileset, FilesetId, FilesetStatus, Quota, Release};
use runtime::TaskKind;

use crate::error::lost_call;
use crate::folder::Folder;
use crate::resources::below;
use crate::{Caller, Control, Error, ErrorKind, FilesetChange, NewFileset, Noun, Result};

/// Filesets that are being bound, emptied or removed.
pub(crate) type AtWork = Arc<Mutex<HashSet<FilesetId>>>;

/// A fileset that no other request may bind, empty or remove meanwhile.
pub(crate) struct Held(AtWork, FilesetId);

impl Held {
    fn new(all: &AtWork, id: &FilesetId) -> Result<Self> {
        let new = all.lock().is_ok_and(|mut all| all.insert(id.clone()));
        if new {
            return Ok(Self(all.clone(), id.clone()));
        }
        let message = format!("fileset {id} is still being emptied or bound by another request");
        Err(Error::new(ErrorKind::InvalidState, message))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Ok(mut all) = self.0.lock() {
            all.remove(&self.1);
        }
    }
}

impl Control {
    /// Makes a fileset and its directory, if that is missing. Its parent must be there.
    ///
    /// # Errors
    /// `NotFound(FileSystem)`, `NotFound(Directory)` without a parent, `BadPath`, `Exists` when the id or
    /// path is taken or the path lies in or around another fileset, `LimitExceeded`.
    pub async fn create_fileset(&self, c: &Caller, new: NewFileset) -> Result<Fileset> {
        let fs = self.file_system(&new.file_system).await?;
        let path = normal(&new.path)?;
        for other in self.0.store.filesets(&fs.id).await? {
            if path.starts_with(&other.path) || other.path.starts_with(&path) {
                let message = format!("the path meets fileset {} at {}", other.id, other.path);
                return Err(Error::new(ErrorKind::Exists(Noun::Fileset), message).field("path"));
            }
        }
        let made = below(&fs, &path, |root, names| {
            let parents = names.split_last().map_or(&[][..], |(_, parents)| parents);
            match Folder::find(root, parents)? {
                Some(_) => Folder::make(root, names),
                None => Err(Error::not_found(Noun::Directory, parents.join("/")).field("path")),
            }
        })
        .await?;
        let now = self.now();
        let fileset = Fileset {
            id: new.id,
            account: c.account.clone(),
            file_system: fs.id,
            path,
            description: new.description,
            deletion_protection: new.deletion_protection,
            quota: new.quota,
            status: FilesetStatus::Created,
            release: None,
            space_used: 0,
            files_used: 0,
            // A directory that was just made is known to be empty.
            counted: made.then_some(now),
            created: now,
            updated: now,
        };
        let limit = self.0.limits.filesets_per_file_system;
        self.0.store.insert_fileset(&fileset, limit).await.map_err(|e| match e.kind() {
            store::ErrorKind::Exists => {
                let message = "a fileset with this id, or one that the path meets, exists already";
                Error::new(ErrorKind::Exists(Noun::Fileset), message)
            }
            store::ErrorKind::NotFound => Error::new(ErrorKind::NotFound(Noun::FileSystem), e.message()),
            _ => e.into(),
        })?;
        if fileset.counted.is_none() {
            // So that somebody who asks later need not wait.
            drop(self.begin_count(&fileset));
        }
        Ok(fileset)
    }

    /// One fileset of the caller's.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn fileset(&self, c: &Caller, id: &FilesetId) -> Result<Fileset> {
        let found = self.0.store.fileset(id).await?.filter(|f| c.may_see(&f.account));
        found.ok_or_else(|| Error::not_found(Noun::Fileset, id))
    }

    /// The caller's filesets of a file system, oldest first.
    ///
    /// # Errors
    /// `NotFound(FileSystem)`.
    pub async fn filesets(&self, c: &Caller, fs: &FileSystemId) -> Result<Vec<Fileset>> {
        self.file_system(fs).await?;
        let mut all = self.0.store.filesets(fs).await?;
        all.retain(|f| c.may_see(&f.account));
        Ok(all)
    }

    /// Changes a fileset.
    ///
    /// # Errors
    /// `NotFound`, `InvalidState` when it is being removed, or a new limit is below the use as it was last
    /// counted.
    pub async fn update_fileset(&self, c: &Caller, id: &FilesetId, change: FilesetChange) -> Result<Fileset> {
        match change.quota {
            Some(Some(_)) => drop(self.measure_fileset(c, id).await?),
            _ => drop(self.fileset(c, id).await?),
        }
        let now = self.now();
        let changed = self.0.store.change_fileset(id, |f| {
            if f.status != FilesetStatus::Created {
                let message = format!("fileset {id} is being made or removed");
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            if let Some(Some(quota)) = change.quota {
                refuse_small(f, quota)?;
            }
            f.quota = change.quota.unwrap_or(f.quota);
            f.description = change.description.unwrap_or_else(|| f.description.clone());
            f.deletion_protection = change.deletion_protection.unwrap_or(f.deletion_protection);
            f.updated = now;
            Ok(())
        });
        changed.await.map_err(|e| gone(e, id))?
    }

    /// Removes a fileset. With `allow_destroy` of its file system its files go too; without it, only an
    /// empty one is removed. Large ones take their time: after a few seconds the call returns, the fileset
    /// is `Releasing`, and goes when its last file has. What was allowed when it was asked for holds until
    /// then. One that could not be removed stays so, and may be deleted again; one that was to go empty and
    /// got a file meanwhile is `Created` as before.
    ///
    /// # Errors
    /// `NotFound`, `InvalidState` when it is protected, another request is at work on it, or something in it
    /// can't be removed; `InUse` when a flow is bound to it, or a flow or a task that has not ended works in its
    /// directory, below it or above it ([`Control::refuse_shared`]); `Denied` when it holds files and the operator
    /// does not allow to destroy them.
    pub async fn delete_fileset(&self, c: &Caller, fs: &FileSystemId, id: &FilesetId) -> Result<()> {
        let fs = self.file_system(fs).await?;
        let f = self.fileset(c, id).await?;
        if f.file_system != fs.id {
            return Err(Error::not_found(Noun::Fileset, id));
        }
        refuse_kept(&f)?;
        let held = Held::new(&self.0.at_work, id)?;
        self.refuse_bound(id).await?;
        self.refuse_shared(&fs, &f.path).await?;
        if !fs.allow_destroy && !matches!(self.directory_is_empty(&fs, &f.path).await, Ok(true)) {
            let gone = matches!(self.directory_exists(&fs, &f.path).await, Ok(false));
            if !gone {
                let message = "the fileset holds files, and the operator does not allow to destroy them";
                return Err(Error::new(ErrorKind::Denied, message));
            }
        }
        // Said before it is done, so that nobody is offered a fileset whose files are half gone.
        let now = self.now();
        let release = Release { root: fs.root.clone(), destroy: fs.allow_destroy };
        let said = self.0.store.change_unbound_fileset(id, |f| {
            // Somebody may have been quicker.
            refuse_kept(f)?;
            (f.status, f.updated) = (FilesetStatus::Releasing, now);
            f.release = Some(release);
            Ok::<_, Error>(())
        });
        let f = said.await.map_err(|e| match e.kind() {
            store::ErrorKind::Conflict => Error::new(ErrorKind::InUse, e.message()).field("fileset"),
            _ => gone(e, id),
        })??;
        let this = self.clone();
        let work = runtime::spawn(TaskKind::Housekeeping, async move { this.release(fs, f, held).await });
        let wait = Duration::from_secs(self.0.limits.empty_seconds);
        match tokio::time::timeout(wait, work).await {
            Ok(done) => done.map_err(lost_call)?,
            Err(_) => Ok(()),
        }
    }

    /// Removes the files, the directory and the record of a fileset that is `Releasing`, as its record says:
    /// what the catalogue allows by now, and where it looks, is no part of the request.
    async fn release(&self, mut fs: FileSystem, f: Fileset, held: Held) -> Result<()> {
        let destroy = match &f.release {
            Some(said) => {
                fs.root.clone_from(&said.root);
                said.destroy
            }
            None => false,
        };
        let full = destroy && self.directory_exists(&fs, &f.path).await?;
        if full {
            // Time may have passed since the request.
            self.refuse_shared(&fs, &f.path).await?;
        }
        let held = if full { self.emptied(&fs, &f.path, held).await? } else { held };
        if let Err(e) = below(&fs, &f.path, remove).await {
            if !destroy {
                // Still held: nobody else has begun to remove it.
                self.keep(&f.id).await?;
            }
            return Err(e);
        }
        let removed = self.0.store.remove_fileset(&f.id).await;
        self.forget_counts(&f.id);
        drop(held);
        removed.map(drop).map_err(|e| match e.kind() {
            store::ErrorKind::Conflict => Error::new(ErrorKind::InUse, e.message()),
            _ => e.into(),
        })
    }

    /// Takes a removal back that has removed nothing.
    async fn keep(&self, id: &FilesetId) -> Result<()> {
        let now = self.now();
        let kept = self.0.store.change_fileset(id, |f| {
            (f.status, f.updated, f.release) = (FilesetStatus::Created, now, None);
            Ok::<_, Error>(())
        });
        kept.await.map_err(|e| gone(e, id))?.map(drop)
    }

    /// Goes on with the filesets whose removal was interrupted.
    pub(crate) async fn release_again(&self) -> Result<()> {
        for fs in self.file_systems().await? {
            for f in self.0.store.filesets(&fs.id).await? {
                if f.status != FilesetStatus::Releasing {
                    continue;
                }
                let Ok(held) = Held::new(&self.0.at_work, &f.id) else { continue };
                let (this, fs) = (self.clone(), fs.clone());
                runtime::spawn(TaskKind::Housekeeping, async move {
                    let id = f.id.clone();
                    if let Err(e) = this.release(fs, f, held).await {
                        tracing::warn!(fileset = %id, error = %e, "a fileset is not removed yet");
                    }
                });
            }
        }
        Ok(())
    }

    /// Makes a fileset ready for a flow: nobody else binds or removes it while the answer is held, and with
    /// `empty` nothing is in it any more.
    ///
    /// # Errors
    /// `NotFound`; `InUse` a flow is bound to it, or to be emptied it would take files from another flow or a
    /// task; `InvalidState` it is not `Created`, another request is at
    /// work on it, it holds files that the operator does not allow to destroy or that can't be removed, or it
    /// takes longer than a request may: then it is emptied further, and the same request succeeds later.
    pub(crate) async fn ready_for_flow(
        &self,
        c: &Caller,
        fs: &FileSystem,
        id: &FilesetId,
        empty: bool,
    ) -> Result<Held> {
        let held = Held::new(&self.0.at_work, id)?;
        let f = self.fileset(c, id).await?;
        if f.status != FilesetStatus::Created {
            return Err(Error::new(
                ErrorKind::InvalidState,
                format!("fileset {id} is being made or removed"),
            ));
        }
        self.refuse_bound(id).await?;
        if !empty || self.directory_is_empty(fs, &f.path).await? {
            return Ok(held);
        }
        if !fs.allow_destroy {
            let message = "the fileset holds files, and the operator does not allow to destroy them";
            return Err(Error::new(ErrorKind::InvalidState, message));
        }
        self.refuse_shared(fs, &f.path).await?;
        tracing::info!(fileset = %id, "is emptied for a new flow");
        let (this, fs, path) = (self.clone(), fs.clone(), f.path);
        let work =
            runtime::spawn(TaskKind::Housekeeping, async move { this.emptied(&fs, &path, held).await });
        let wait = Duration::from_secs(self.0.limits.empty_seconds);
        match tokio::time::timeout(wait, work).await {
            Ok(done) => done.map_err(lost_call)?,
            Err(_) => {
                let message = format!("fileset {id} is still being emptied: ask again");
                Err(Error::new(ErrorKind::InvalidState, message))
            }
        }
    }

    async fn refuse_bound(&self, id: &FilesetId) -> Result<()> {
        let filter = store::FlowFilter { fileset: vec![id.clone()], ..Default::default() };
        let one = store::Page { limit: 1, ..Default::default() };
        match self.0.store.flows(&filter, one).await?.1 {
            0 => Ok(()),
            _ => {
                Err(Error::new(ErrorKind::InUse, format!("a flow is bound to fileset {id}")).field("fileset"))
            }
        }
    }

    /// Removes what a directory holds; gives back the hold that kept others away meanwhile.
    async fn emptied(&self, fs: &FileSystem, path: &str, held: Held) -> Result<Held> {
        let (trees, end) = (self.0.trees.clone(), end_of(fs, path));
        let (done, held) =
            runtime::aside("empty", move || (trees.empty(&end), held)).await.map_err(lost_call)?;
        match done {
            Ok(items) => tracing::info!(file_system = %fs.id, path, items, "emptied"),
            Err(e) => {
                tracing::warn!(file_system = %fs.id, path, error = %e, "not emptied");
                // Paths below the fileset help its owner; where it lies on this machine is not told.
                let text = e.to_string();
                let root = fs.root.display().to_string();
                let why = if text.contains(&root) { "its directory can't be opened" } else { &text };
                let message = format!("the fileset could not be emptied: {why}");
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
        }
        Ok(held)
    }
}

/// A fileset's directory as an end of a transfer.
pub(crate) fn end_of(fs: &FileSystem, path: &str) -> DirectoryEnd {
    let path = path.trim_start_matches('/').to_owned();
    DirectoryEnd { file_system: fs.id.clone(), root: fs.root.clone(), path }
}

pub(crate) fn gone(e: store::Error, id: &FilesetId) -> Error {
    match e.kind() {
        store::ErrorKind::NotFound => Error::not_found(Noun::Fileset, id),
        _ => e.into(),
    }
}

/// The path with one `/` before, between and after its names. The root itself can't be a fileset.
fn normal(path: &str) -> Result<String> {
    let names = crate::folder::names(path)?;
    if names.is_empty() {
        return Err(Error::new(ErrorKind::BadPath, "the root can't be a fileset").field("path"));
    }
    Ok(format!("/{}/", names.join("/")))
}

/// What may not be removed, now that it is looked at.
fn refuse_kept(f: &Fileset) -> Result<()> {
    let why = match f.status {
        _ if f.deletion_protection => "is protected against deletion",
        FilesetStatus::Created | FilesetStatus::Releasing => return Ok(()),
        FilesetStatus::Creating | FilesetStatus::Released => "is being made or removed",
    };
    Err(Error::new(ErrorKind::InvalidState, format!("fileset {} {why}", f.id)))
}

fn refuse_small(f: &Fileset, quota: Quota) -> Result<()> {
    let small = quota.size_limit.is_some_and(|n| n <= f.space_used)
        || quota.file_count_limit.is_some_and(|n| n <= f.files_used);
    if small {
        let message =
            format!("fileset {} holds {} bytes in {} files already", f.id, f.space_used, f.files_used);
        return Err(Error::new(ErrorKind::InvalidState, message).field("quota"));
    }
    Ok(())
}

fn remove(root: &std::path::Path, names: &[&str]) -> Result<()> {
    let Some((name, parents)) = names.split_last() else { return Ok(()) };
    let Some(folder) = Folder::find(root, parents)? else { return Ok(()) };
    match folder.remove_empty(name)? {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::InvalidState, "the fileset has got files meanwhile")),
    }
}
