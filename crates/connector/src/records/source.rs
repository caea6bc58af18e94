//! Where records come from.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Batch, Split};
use crate::Result;

/// What a poll gave.
#[derive(Debug)]
pub enum Polled {
    /// Records of one split, in order, beginning where the last batch of that split (or its start) ended.
    Batch(Batch),
    /// These splits may be worked on from now on. Nothing of them is given before [`RecordSource::start`].
    Assigned(Vec<Split>),
    /// These splits are going to be taken away. Nothing of them is given any more; the source waits with handing
    /// them over until [`RecordSource::release`] (for as long as its group allows).
    Revoked(Vec<Split>),
    /// These splits are gone already (the group did not wait): nothing may be committed for them.
    Lost(Vec<Split>),
    /// Nothing within the time.
    Idle,
}

/// What a transactional sink needs of the source's group, so that an older owner's commit is fenced. Only the two
/// halves of one connector look into it.
#[derive(Clone)]
pub struct GroupToken(pub Arc<dyn Any + Send + Sync>);

impl fmt::Debug for GroupToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupToken")
    }
}

/// A stream of records in splits. All calls block and come from one thread.
pub trait RecordSource: Send {
    /// For people: `kafka://host/topic`. Never a secret.
    fn describe(&self) -> String;

    /// Waits for up to `wait`. A batch holds about `room` bytes at most (at least one record). `room` 0: gives no batch,
    /// but keeps the membership of the group alive and tells what happens to splits; call it so while nothing can be
    /// taken, at least every few seconds.
    ///
    /// # Errors
    /// `Unavailable` the cluster can't be reached (call again later), `Denied`, `NotFound` no such topic.
    fn poll(&mut self, wait: Duration, room: usize) -> Result<Polled>;

    /// Begins to give records of assigned splits: from this position, or, with `None`, from what the group committed or
    /// else from what the options say.
    ///
    /// # Errors
    /// As `poll`.
    fn start(&mut self, splits: &[(Split, Option<i64>)]) -> Result<()>;

    /// What is in flight of these revoked splits is settled and committed: hands them over.
    ///
    /// # Errors
    /// As `poll`.
    fn release(&mut self, splits: &[Split]) -> Result<()>;

    /// Notes positions where the source's users look for them (the group's offsets), with a text of at most 1 KiB each.
    /// Not what exactness rests on.
    ///
    /// # Errors
    /// As `poll`.
    fn commit(&mut self, positions: &[(Split, i64, String)]) -> Result<()>;

    /// The end of a split (the position after its last record), where that is known without asking.
    fn end(&self, split: &Split) -> Option<i64>;

    /// For transactional sinks.
    fn group(&self) -> Option<GroupToken> {
        None
    }
}
