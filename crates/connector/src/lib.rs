//! The contract between the engine and whatever holds data.
//!
//! A [`Tree`] is one end of a transfer: a bucket prefix or a directory. The engine lists it in key
//! order and then works on it through [`Lane`]s. A lane belongs to one OS thread with its own
//! reactor and its own connections, so lanes share nothing hot and their futures need not be `Send`;
//! blocking file calls stall that lane's other transfers only.
//!
//! Records (topics, indexes, tables) have a contract of their own: [`records`].
//!
//! This crate knows no flow, no task and no door. Connectors implement it, the engine calls it, and
//! [`conformance`] is the suite that every implementation runs.

pub mod conformance;
mod digest;
mod entry;
mod error;
mod nowhere;
mod path;
pub mod records;
mod tree;

pub use digest::{Digest, DigestKind};
pub use entry::{Entry, EntryKind, Meta, Stamp, Xattr};
pub use error::{Error, ErrorKind, Result};
pub use nowhere::Nowhere;
pub use path::{PathProblem, TreePath, display_bytes};
pub use tree::{
    Body, EntryStream, Found, Lane, ListRequest, Overwrite, Part, PartDone, Probe, Range, Source, Stored,
    Sweep, Target, Tree, Upload,
};
