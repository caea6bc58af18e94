//! The contract's suite against a directory, with every durability.
#![allow(missing_docs)]

use connector::conformance::{Profile, run};
use connector_posix::{Durability, Options, PosixTree};

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    for durability in [Durability::Batch, Durability::Each, Durability::None] {
        let dir = tempfile::tempdir().unwrap();
        let tree = PosixTree::open(dir.path(), Options { durability, ..Options::default() }).unwrap();
        run(&tree, &Profile::posix()).await.unwrap();
    }
}
