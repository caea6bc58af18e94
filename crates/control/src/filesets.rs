//! Filesets: directories with a name and a quota of their own.

use model::{FileSystemId, Fileset, FilesetId, FilesetStatus, Quota};

use crate::folder::Folder;
use crate::resources::below;
use crate::{Caller, Control, Error, ErrorKind, FilesetChange, NewFileset, Noun, Result};

/// Items that are looked at when a fileset is measured.
const MEASURED_ITEMS: u64 = 10_000_000;

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
        below(&fs, &path, |root, names| {
            let parents = names.split_last().map_or(&[][..], |(_, parents)| parents);
            match Folder::find(root, parents)? {
                Some(_) => Folder::make(root, names).map(drop),
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
            space_used: 0,
            files_used: 0,
            created: now,
            updated: now,
        };
        let limit = self.0.limits.filesets_per_file_system;
        self.0.store.insert_fileset(&fileset, limit).await.map_err(|e| match e.kind() {
            store::ErrorKind::Exists => {
                Error::new(ErrorKind::Exists(Noun::Fileset), "a fileset with this id or path exists already")
            }
            store::ErrorKind::NotFound => Error::new(ErrorKind::NotFound(Noun::FileSystem), e.message()),
            _ => e.into(),
        })?;
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
    /// `NotFound`, `InvalidState` when it is being removed or a new limit is below the present use.
    pub async fn update_fileset(&self, c: &Caller, id: &FilesetId, change: FilesetChange) -> Result<Fileset> {
        let mut f = match change.quota {
            Some(Some(_)) => self.measure_fileset(c, id).await?,
            _ => self.fileset(c, id).await?,
        };
        if f.status != FilesetStatus::Created {
            return Err(Error::new(
                ErrorKind::InvalidState,
                format!("fileset {id} is being made or removed"),
            ));
        }
        if let Some(Some(quota)) = change.quota {
            refuse_small(&f, quota)?;
        }
        f.quota = change.quota.unwrap_or(f.quota);
        f.description = change.description.unwrap_or(f.description);
        f.deletion_protection = change.deletion_protection.unwrap_or(f.deletion_protection);
        f.updated = self.now();
        self.0.store.update_fileset(&f).await?;
        Ok(f)
    }

    /// Removes a fileset. With `allow_destroy` of its file system its files go too; without it, only an
    /// empty one is removed.
    ///
    /// # Errors
    /// `NotFound`, `InvalidState` when it is protected, `InUse` when a flow is bound to it, `Denied` when
    /// it holds files and the operator does not allow to destroy them.
    pub async fn delete_fileset(&self, c: &Caller, fs: &FileSystemId, id: &FilesetId) -> Result<()> {
        let fs = self.file_system(fs).await?;
        let mut f = self.fileset(c, id).await?;
        if f.file_system != fs.id {
            return Err(Error::not_found(Noun::Fileset, id));
        }
        if f.deletion_protection {
            let message = format!("fileset {id} is protected against deletion");
            return Err(Error::new(ErrorKind::InvalidState, message));
        }
        let filter = store::FlowFilter { fileset: vec![id.clone()], ..Default::default() };
        if self.0.store.flows(&filter, store::Page { limit: 1, ..Default::default() }).await?.1 > 0 {
            return Err(Error::new(ErrorKind::InUse, format!("a flow is bound to fileset {id}")));
        }
        if !fs.allow_destroy && !matches!(self.directory_is_empty(&fs, &f.path).await, Ok(true)) {
            let gone = matches!(self.directory_exists(&fs, &f.path).await, Ok(false));
            if !gone {
                let message = "the fileset holds files, and the operator does not allow to destroy them";
                return Err(Error::new(ErrorKind::Denied, message));
            }
        }
        // Said before it is done, so that nobody is offered a fileset whose files are half gone.
        f.status = FilesetStatus::Releasing;
        f.updated = self.now();
        self.0.store.update_fileset(&f).await?;
        let destroy = fs.allow_destroy;
        below(&fs, &f.path, move |root, names| remove(root, names, destroy)).await?;
        self.0.store.remove_fileset(id).await.map_err(|e| match e.kind() {
            store::ErrorKind::Conflict => Error::new(ErrorKind::InUse, e.message()),
            _ => e.into(),
        })?;
        Ok(())
    }

    /// Counts what a fileset holds and stores the result.
    ///
    /// # Errors
    /// `NotFound`, `BadPath`, `Unreachable`.
    pub async fn measure_fileset(&self, c: &Caller, id: &FilesetId) -> Result<Fileset> {
        let mut f = self.fileset(c, id).await?;
        let fs = self.file_system(&f.file_system).await?;
        let (bytes, files) = below(&fs, &f.path, |root, names| match Folder::find(root, names)? {
            Some(folder) => folder.measure(MEASURED_ITEMS),
            None => Ok((0, 0)),
        })
        .await?;
        if (f.space_used, f.files_used) != (bytes, files) {
            (f.space_used, f.files_used) = (bytes, files);
            self.0.store.update_fileset(&f).await?;
        }
        Ok(f)
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

fn remove(root: &std::path::Path, names: &[&str], destroy: bool) -> Result<()> {
    let Some((name, parents)) = names.split_last() else { return Ok(()) };
    let Some(folder) = Folder::find(root, parents)? else { return Ok(()) };
    if destroy {
        return folder.remove_all(name);
    }
    match folder.remove_empty(name)? {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Denied, "the fileset has got files meanwhile")),
    }
}
