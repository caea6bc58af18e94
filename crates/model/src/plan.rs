//! What a transfer would do: the account that its run would end with, found out without moving anything.

use std::fmt;

use crate::Ledger;

/// A dry run's findings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The account that the run would end with, as far as that can be told without writing.
    pub ledger: Ledger,
    /// Files and links among the written items; the others are directories.
    pub files: u64,
    /// Files and links that the destination has with other content and that would be written over.
    pub overwritten: u64,
    /// Files and links that the destination has and that policy leaves alone.
    pub kept: u64,
    /// Requests to the object store, about: listing, looking, and moving.
    pub requests: u64,
    /// Seconds, about.
    pub estimated_s: u64,
    /// Both sides were gone through to the end; otherwise the figures are what was seen in time.
    pub complete: bool,
    /// The first items that could not be moved, with reasons: a few.
    pub problems: Vec<String>,
}

impl Plan {
    /// Names that both sides have and that are not known to be the same.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.overwritten + self.kept
    }
}

/// One line for logs.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (items, bytes) = (&self.ledger.items, &self.ledger.bytes);
        write!(
            f,
            "{}{} items read: {} to write ({} files, {} bytes), {} unchanged, {} skipped, {} can't be moved; \
             {} conflicts ({} written over, {} left alone); about {} requests, {} s",
            if self.complete { "" } else { "partial, at least " },
            items.read,
            items.written,
            self.files,
            bytes.written,
            items.unchanged,
            items.skipped + items.filtered,
            items.failed + items.dead_lettered,
            self.conflicts(),
            self.overwritten,
            self.kept,
            self.requests,
            self.estimated_s
        )
    }
}
