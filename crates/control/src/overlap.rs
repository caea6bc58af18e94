//! Who else works where something is about to be destroyed: flows and unfinished tasks of any door, account
//! and file system, for two file systems of the catalogue may share a directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use model::{DirectoryEnd, FileSystem, TaskStatus};

use crate::error::lost_call;
use crate::{Control, Error, ErrorKind, FlowFilter, Page, Result, TaskFilter};

/// Tasks that are looked at in one go.
const TASKS: u64 = 500;

/// States of a task that still works, or may again.
pub(crate) const UNFINISHED: [TaskStatus; 5] = [
    TaskStatus::Pending,
    TaskStatus::Executing,
    TaskStatus::Pausing,
    TaskStatus::Paused,
    TaskStatus::Canceling,
];

/// A directory, and the roots as they are behind their links.
pub(crate) struct Place {
    at: PathBuf,
    real: HashMap<PathBuf, PathBuf>,
}

impl Place {
    pub(crate) async fn of(root: &Path, path: &str) -> Result<Self> {
        let mut place = Self { at: PathBuf::new(), real: HashMap::new() };
        place.at = place.real(root).await?.join(path.trim_matches('/'));
        Ok(place)
    }

    /// The root is the operator's word and may be a link, or gone; what is below it crosses none.
    async fn real(&mut self, root: &Path) -> Result<PathBuf> {
        if let Some(known) = self.real.get(root) {
            return Ok(known.clone());
        }
        let asked = root.to_owned();
        let found = runtime::blocking(move || asked.canonicalize().unwrap_or(asked)).await;
        let found = found.map_err(lost_call)?;
        self.real.insert(root.to_owned(), found.clone());
        Ok(found)
    }

    /// Is `end` this directory, in it or around it?
    pub(crate) async fn meets(&mut self, end: &DirectoryEnd) -> Result<bool> {
        let other = self.real(&end.root).await?.join(end.path.trim_matches('/'));
        Ok(other.starts_with(&self.at) || self.at.starts_with(&other))
    }
}

impl Control {
    /// Refuses to destroy what is at `path` when somebody else works there: a flow whose directory is this
    /// one, in it or around it, or a task that has not ended. Says nothing of whose they are.
    ///
    /// # Errors
    /// `InUse`.
    pub async fn refuse_shared(&self, fs: &FileSystem, path: &str) -> Result<()> {
        let mut place = Place::of(&fs.root, path).await?;
        let roots = self.0.store.file_systems().await?;
        let all = Page { offset: 0, limit: u64::MAX, newest_first: false };
        for f in self.0.store.flows(&FlowFilter::default(), all).await?.0 {
            let id = &f.directory.file_system;
            // Its next task works below the root of today.
            let today = roots.iter().find(|fs| fs.id == *id).map_or(&f.directory.root, |fs| &fs.root);
            let today = DirectoryEnd { root: today.clone(), ..f.directory.clone() };
            if place.meets(&f.directory).await? || place.meets(&today).await? {
                return Err(in_use("a data flow"));
            }
        }
        let mut filter = TaskFilter { statuses: UNFINISHED.to_vec(), ..Default::default() };
        let mut offset = 0;
        loop {
            let page = Page { offset, limit: TASKS, newest_first: false };
            let tasks = self.0.store.tasks(&filter, page).await?.0;
            for t in &tasks {
                if place.meets(&t.spec.directory).await? {
                    return Err(in_use("a task that has not ended"));
                }
            }
            let Some(last) = tasks.last().filter(|_| tasks.len() as u64 == TASKS) else { return Ok(()) };
            // By time, not by number: those that end meanwhile would move the others up.
            offset = if filter.created.0 == Some(last.created) { offset + TASKS } else { 0 };
            filter.created.0 = Some(last.created);
        }
    }
}

fn in_use(who: &str) -> Error {
    let message = format!("{who} works in the fileset's directory, below it or above it");
    Error::new(ErrorKind::InUse, message).field("fileset")
}
