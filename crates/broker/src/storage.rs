//! What is on the disk: batches in segments, their index, the state of producers, and small journals.
//!
//! A partition is a directory of segments. A segment is a file of record batches exactly as the clients
//! sent them, with the base offset filled in; nothing is decoded on the way in but the header, and
//! nothing on the way out. Only compaction looks into them. Everything else can be made anew from the batches and is only kept so that a
//! start doesn't have to.

pub mod batch;
pub mod bin;
pub mod compact;
pub mod compress;
pub mod folder;
pub mod journal;
pub mod log;
pub mod producers;
pub mod records;
mod recover;
pub mod segment;
