//! S3-compatible object stores: client, dialects, and the tree view of a bucket prefix.
//!
//! From the bottom up: [`Endpoint`] is the configuration and [`Site`] its checked form; [`Client`] signs,
//! sends and retries requests over plain HTTP/1.1 connections that it drives itself; the operations are
//! grouped under `ops`; [`ObjectTree`] and its lane speak the contract of the `connector` crate.
//!
//! Why an own client: a mover of many small objects pays per request, and what it needs (conditional
//! writes, checksums, sorted listings by key range, bodies that stream from one endpoint into another) is
//! what general clients hide. A connection has no task of its own: whoever waits for an answer polls the
//! connection meanwhile, so a request costs one wake-up per packet and a dropped future closes its
//! connection. Credentials never reach a log, a message or a `Debug`.
//!
//! It knows no flow, no task and no door.

mod checksum;
mod civil;
mod client;
mod endpoint;
mod escape;
mod fault;
mod lane;
mod link;
mod listing;
mod mark;
mod metadata;
mod ops;
pub mod records;
mod sign;
mod source;
mod tree;
mod upload;
mod xml;

use http_pool::retry;

pub use client::Client;
pub use endpoint::{Addressing, Credentials, Dialect, Endpoint, ListingMode, Secret, Site, Timeouts};
pub use fault::Fault;
pub use metadata::{MetadataDialect, UserMetadata, read_metadata};
pub use ops::bucket::Bucket;
pub use ops::list::{ListPage, ListQuery, ListedObject};
pub use ops::multipart::{FoundPart, FoundUpload};
pub use ops::object::{Condition, ObjectHead, PutOutcome};
pub use ops::whole::PartedUpload;
pub use records::{check_connection, check_sink, error_directory, probe, sink, site};
pub use tree::ObjectTree;
