//! Attacks on what `connector-posix` promises.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod empty;
mod escape;
mod parts;
mod read;
mod walk;
mod write;

use connector::conformance::Chunks;
use connector::{Lane, Meta, Overwrite, Result, Stamp, Stored, Target, TreePath};
use connector_posix::{Options, PosixTree};
use std::path::Path;

fn tree(at: &Path) -> PosixTree {
    PosixTree::open(at, Options::default()).unwrap()
}

fn path(text: impl AsRef<[u8]>) -> TreePath {
    TreePath::new(text.as_ref()).unwrap()
}

fn target(at: impl AsRef<[u8]>, size: u64) -> Target {
    Target {
        path: path(at),
        size,
        meta: Meta::default(),
        stamp: Stamp { run: "r".into(), version: "v1".into(), size },
        overwrite: Overwrite::Always,
    }
}

async fn put(lane: &dyn Lane, at: impl AsRef<[u8]>, bytes: &[u8]) -> Result<Stored> {
    lane.put(&target(at, bytes.len() as u64), Chunks::new(bytes, 64 * 1024).body()).await
}
