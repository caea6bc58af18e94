//! The transform as the engine sees it: a pure function from records to records, filtered records and failures.

use connector::records::{Batch, RecordRef};

/// A transform. Knows no clock and does no I/O.
pub trait Step {
    /// Goes through the records of a batch in order. For each index the transform says exactly one of: one or more
    /// [`Emit::put`], [`Emit::filtered`], [`Emit::failed`] (before any `put` of that index).
    fn apply(&mut self, batch: &Batch, now_ms: i64, out: &mut dyn Emit);
}

/// Takes what a transform makes.
pub trait Emit {
    /// A record made from the one with this index. `offset` and `sub` are set by the engine whatever they say here.
    fn put(&mut self, from: usize, record: &RecordRef<'_>);

    /// The record is taken out by a filter.
    fn filtered(&mut self, from: usize);

    /// The record can't be transformed; `kind` is a short stable word.
    fn failed(&mut self, from: usize, kind: &'static str, reason: std::fmt::Arguments<'_>);
}
