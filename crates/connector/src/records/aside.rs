//! Error directories: files of records that could not go on, beside the destination.

use async_trait::async_trait;

use super::{Batch, Refused, Split};
use crate::{ErrorKind, Result};

/// Which records of a batch go aside, and why.
#[derive(Debug, Clone, Copy)]
pub enum Aside<'a> {
    /// These, each for its own reason; indexes rise.
    Some(&'a [Refused]),
    /// All of them: the destination could not take the batch for too long.
    All(ErrorKind, &'a str),
}

/// A directory of files of records that could not go on: their exact bytes, with a readable reason beside them.
///
/// It keeps no position. Whoever takes a split over at a mark calls [`begin`](Self::begin) first: what was put aside from
/// there on will be decided anew, so it is removed, and nothing lies there twice.
#[async_trait(?Send)]
pub trait ErrorDirectory {
    /// For people: `bucket http://host/name/prefix`. Never a secret.
    fn describe(&self) -> String;

    /// Removes what an earlier run of this pipeline put there of a split from a position on.
    ///
    /// # Errors
    /// `Denied`, `NotFound` no such bucket, `Unavailable`.
    async fn begin(&self, split: &Split, from: i64) -> Result<()>;

    /// Puts records of a batch. Durable when it returns; the same call again is harmless.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), and `Full`.
    async fn put(&self, batch: &Batch, which: Aside<'_>) -> Result<()>;
}
