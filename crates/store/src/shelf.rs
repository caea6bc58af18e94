//! A read cache for small tables that this process alone writes (SQLite).
//!
//! A describe call must cost a few µs, a trip to the SQLite thread costs several times that. So a whole
//! small table is kept as values and filtered in memory. Every write throws the copy away, also when its
//! future is dropped half-way ([`Shelf::changing`]); a copy that was loaded while a write was under way is
//! not kept. PostgreSQL may have other writers: there nothing is kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::Result;

/// A table with more rows than this is not kept.
pub(crate) const MAX_ROWS: usize = 10_000;

pub(crate) struct Shelf<T> {
    enabled: bool,
    changes: AtomicU64,
    copy: Mutex<Option<Arc<Vec<T>>>>,
}

/// Throws the copy away when it is dropped.
pub(crate) struct Changing<'a, T>(&'a Shelf<T>);

impl<T> Drop for Changing<'_, T> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

impl<T> Shelf<T> {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, changes: AtomicU64::new(0), copy: Mutex::new(None) }
    }

    /// To be held from before a write until after its commit.
    pub(crate) fn changing(&self) -> Changing<'_, T> {
        self.forget();
        Changing(self)
    }

    fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        if let Ok(mut copy) = self.copy.lock() {
            *copy = None;
        }
    }

    /// The copy, if there is one.
    pub(crate) fn get(&self) -> Option<Arc<Vec<T>>> {
        self.copy.lock().ok()?.clone()
    }

    /// The whole table: the copy, or what `load` reads.
    pub(crate) async fn all(&self, load: impl Future<Output = Result<Vec<T>>>) -> Result<Arc<Vec<T>>> {
        if let Some(copy) = self.get() {
            return Ok(copy);
        }
        let before = self.changes.load(Ordering::SeqCst);
        let rows = Arc::new(load.await?);
        if self.enabled
            && rows.len() <= MAX_ROWS
            && let Ok(mut copy) = self.copy.lock()
            && self.changes.load(Ordering::SeqCst) == before
        {
            *copy = Some(rows.clone());
        }
        Ok(rows)
    }
}
