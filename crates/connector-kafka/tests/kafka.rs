//! The connector against a real broker: the embedded one, or the one that `WHARF_TEST_KAFKA` names (`host:port`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "kafka/admin.rs"]
mod admin;
#[path = "kafka/attacks.rs"]
mod attacks;
#[path = "kafka/cluster.rs"]
mod cluster;
#[path = "kafka/lane.rs"]
mod lane;
#[path = "kafka/refused.rs"]
mod refused;
#[path = "kafka/sink.rs"]
mod sink;
#[path = "kafka/source.rs"]
mod source;
