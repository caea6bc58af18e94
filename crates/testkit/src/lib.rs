//! Test doubles and attackers: a fault proxy, full comparison of trees, starters of real peers and a
//! small S3 client that shares no code with ours.
//!
//! Used by tests only; no crate that is shipped depends on it.

pub mod peers;
pub mod proxy;
pub mod s3;
pub mod tree;

pub use proxy::{Mode, Proxy};
