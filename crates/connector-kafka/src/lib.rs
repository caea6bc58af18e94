//! Kafka: [`KafkaSource`], [`KafkaSink`] and [`KafkaAdmin`], on librdkafka.
//!
//! **Delivery.** Exactly once by default, also from one cluster to another: the sink writes in transactions, and the positions it
//! has come to are part of them. Where source and destination are the same cluster they are the group's own offsets (a
//! [`Mark`](connector::records::Mark) is their metadata), so the group coordinator also refuses what a member writes that has
//! lost its partitions. Else they are records of a compacted topic of the destination, `__wharf_positions`. Readers have to read with
//! `isolation.level=read_committed`.
//!
//! **A window** stays between two clusters. The destination can't ask the source's group who has a partition, so the sink looks
//! itself, just before it commits. A lane that hangs longer than the group's session (45 s) finds its open transaction aborted (after
//! 30 s); but what it begins when it wakes, and commits before its source is told of the loss (a heartbeat, 3 s, or the end of
//! a commit that is under way), may be written by the new owner as well. Within one cluster there is no such window.
//!
//! `"exactly_once": false` is a plain idempotent producer: at least once, and a little cheaper.
//!
//! **Order.** Records of one split and key keep their order. Without keys, and unless the partition is kept, Kafka spreads them.
//!
//! **Refused, one by one.** A record that is larger than the topic takes, and one that no table route is for. What a
//! topic takes is asked for beforehand, so that the transaction with its neighbours does not fail; with compression, where only
//! the broker can tell, the large ones are tried alone in a transaction that is aborted.
//!
//! **Memory.** A source fetches ahead about 8 MiB and what one fetch brings (4 MiB, or one batch if that is larger). A
//! sink holds one transaction (4 MiB, or one unit) in the library's queue, and as much again in units that came while it
//! was being committed.
//!
//! **Sources** are members of the pipeline's consumer group with cooperative rebalancing: what a member keeps goes on
//! without a new assignment, only what moves is settled and handed over. librdkafka pauses the members while partitions move.
//!
//! Why the C library: it costs about a sixth of the CPU of the Rust clients that have groups and transactions, and it
//! knows every broker since 0.11. OpenSSL comes with it, as it has no other TLS; nothing else here uses that.

mod admin;
mod fault;
mod options;
mod probe;
mod raw;
mod sink;
mod source;

pub use admin::{Found, GroupOffset, KafkaAdmin, OffsetsFor, TopicInfo, TopicSpec, splits};
pub use options::{check_connection, check_sink, check_source};
pub use probe::probe;
pub use raw::live_clients;
pub use sink::{KafkaSink, sink};
pub use source::{KafkaSource, source};
