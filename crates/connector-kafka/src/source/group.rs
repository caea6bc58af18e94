//! The source's membership, as a transactional sink needs it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector::records::Split;

use crate::raw::{Client, GroupMetadata};

/// Shared by a source and the sink that commits its offsets.
///
/// A sink shows the member's generation with each commit, and the coordinator refuses an old one. What it can't see is
/// whether the member still has the partitions: a member that lost all and has joined again shows a new generation with old records. So
/// splits are owned here until they are released or lost, and the source joins again only after that.
pub(crate) struct Group {
    client: Arc<Client>,
    id: String,
    owned: Mutex<HashSet<Split>>,
}

impl Group {
    pub(super) fn new(client: Arc<Client>, id: String) -> Self {
        Self { client, id, owned: Mutex::default() }
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Split>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn own(&self, split: &Split) {
        self.lock().insert(split.clone());
    }

    pub(super) fn disown(&self, splits: &[Split]) {
        let mut owned = self.lock();
        for split in splits {
            owned.remove(split);
        }
    }

    pub(super) fn disown_all(&self) {
        self.lock().clear();
    }

    pub(crate) fn owns(&self, split: &Split) -> bool {
        self.lock().contains(split)
    }

    /// What is to be shown with a commit for these splits; `None` when one of them is no longer the source's. Taken under the
    /// lock: a generation that is newer than the loss of a split is never shown for it.
    pub(crate) fn show<'a>(&self, mut splits: impl Iterator<Item = &'a Split>) -> Option<GroupMetadata> {
        let owned = self.lock();
        splits.all(|s| owned.contains(s)).then(|| GroupMetadata::of(&self.client)).flatten()
    }
}
