//! Records: the contract between the pipeline engine and logs, indexes, tables and buckets.
//!
//! A [`RecordSource`] gives [`Batch`]es, each of one [`Split`] (a partition of a topic) in order of position. A
//! [`RecordSink`] takes them and says, split by split and in order, up to which position everything is
//! settled: written, or refused and ruled on by the [`Host`]. The position lives in the destination's own
//! atomic unit wherever it has one: a sink writes it, with the account that belongs to it (a
//! [`Mark`]), in the same transaction, object or commit as the records, and tells it at the next start through
//! [`RecordSink::committed`]. The engine's journal may be behind that, never ahead.
//!
//! Sources block and live on a thread of their own; sinks are asynchronous and live on one thread each
//! (their futures need not be `Send`). One lane of a pipeline is one source and one sink; lanes share nothing, and a
//! split is with one lane at a time. [`conformance`] is the suite that every sink runs.

mod aside;
mod batch;
mod book;
pub mod conformance;
mod sink;
mod source;
mod tray;

pub use aside::{Aside, ErrorDirectory};
pub use batch::{Batch, BatchBuilder, Headers, RecordRef, Split};
pub use book::{Account, Books, Mark, Unit};
pub use sink::{
    Context, Endpoint, Host, Lag, Problem, RecordSink, Refused, Ruling, Secret, Settled, SharedHost,
};
pub use source::{GroupToken, Polled, RecordSource};
pub use tray::{Ticket, Tray};
