//! The embedded Kafka-compatible broker: a durable, partitioned log on one machine.
//!
//! ```text
//! socket ─ net::connection   TLS, frames within bounds, one request at a time
//!        ─ net::shape        does the request hold what its lengths say?
//!        ─ net::dispatch     SASL first where it is asked for; decode, call, encode
//!        ─ api::*            one file per group of requests, Kafka's words and error codes
//!        ─ core::Core        topics · groups · transactions
//!        ─ storage           segments of batches as they arrived, index, producers' state, journals
//! ```
//!
//! **What it is.** Unmodified Kafka clients of any age talk to it; acknowledged records survive kill -9
//! always and a power cut as [`Fsync`] says. A batch is checked (header, checksum, sequence number) and
//! stored as it came; nothing is decompressed or decoded on its way in or out.
//!
//! **What it is not.** A cluster: there is one copy of everything. Whoever needs more points the server at
//! a real Kafka, and nothing else changes. It has no ACLs (who may log in may do everything), no
//! quotas, no share groups.
//!
//! **In the process.** [`Broker`] is also a handle to the same log without a socket, for the parts of
//! the server that produce or consume streams themselves:
//!
//! ```no_run
//! # async fn example() -> broker::Result<()> {
//! use broker::{Broker, Record, Settings};
//! let broker = Broker::open(Settings::new("data"), runtime::Clock::system()).await?;
//! broker.create_topic("events", 4, &[("retention.ms", "3600000")])?;
//! let record = Record { timestamp: 1_700_000_000_000, value: Some("hello".into()), ..Record::default() };
//! let at = broker.append("events", 0, &[record]).await?;
//! let read = broker.read("events", 0, at, 1 << 20, std::time::Duration::ZERO).await?;
//! assert_eq!(read.records[0].0, at);
//! broker.commit("my-group", "events", 0, read.next_offset)?;
//! # Ok(()) }
//! ```

mod api;
mod core;
mod error;
mod groups;
mod local;
mod net;
mod partition;
mod sasl;
mod settings;
mod storage;
mod topics;
mod txns;

pub use crate::core::Broker;
pub use error::{Error, Result};
pub use local::{Batches, Records, TopicInfo};
pub use partition::Positions;
pub use settings::{Access, Fsync, Limits, Settings, TopicDefaults, Users};
pub use storage::records::Record;
