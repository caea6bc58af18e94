//! Which items of the source a run is about.
//!
//! A selection is a row of *segments*: a prefix to list, or one path to look up. The checkpoint names
//! a segment and a key in it, so the row must come out the same when it is made again.

use std::sync::Arc;

use connector::{Tree, TreePath};
use model::Precondition;

/// A selection.
#[derive(Clone, Default)]
pub enum Select {
    /// The whole tree.
    #[default]
    All,
    /// Everything whose path starts with one of these bytes; overlaps are taken once.
    Prefixes(Vec<Vec<u8>>),
    /// These paths; one that ends with `/` means the directory and everything below it.
    Entries(Vec<Vec<u8>>),
    /// Paths named in a file or in several.
    Listed(Listed),
    /// One file, under another name at the destination.
    One {
        /// At the source.
        from: TreePath,
        /// At the destination.
        to: TreePath,
        /// What the source must be.
        condition: Precondition,
    },
}

/// Paths that stand in files.
#[derive(Clone)]
pub struct Listed {
    /// Tree that holds the files.
    pub tree: Arc<dyn Tree>,
    /// The file, or the prefix below which all `*.csv` files count.
    pub place: Place,
    /// Taken off the front of every line where it stands there (a bucket prefix, a directory).
    pub strip: Vec<u8>,
    /// Bucket name: taken off the path of addresses that name it (`https://host/bucket/key`).
    pub bucket: String,
}

/// Where the lists are.
#[derive(Debug, Clone)]
pub enum Place {
    /// One file: a path or an address per line, `/` at the end = a directory.
    Lines(TreePath),
    /// Every `*.csv` below this prefix (empty = all of the tree): columns `Name,Type`, `Type` is `dir` or `file`.
    CsvBelow(Vec<u8>),
}

mod lines;
mod segments;

pub(crate) use segments::{Segment, Segments};
