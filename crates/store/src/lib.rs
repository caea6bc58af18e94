//! Durable records: what the server knows after a power cut.
//!
//! [`Store`] is one concrete type over SQLite (the default: one file in the data folder) or PostgreSQL.
//! Both run the very same SQL text; `db` is the only module that knows which is which.
//! Records are versioned JSON beside the few indexed columns that filters need, so that the nouns of
//! `model` may change without the disk noticing; see `records`.
//!
//! What it promises: a method that returned has been committed. A task is run by one worker at a time
//! ([`Store::claim_next`]), a worker that lost its task is fenced off ([`ErrorKind::Fenced`]), a
//! checkpoint, the ledger and the events that belong to it are written in one transaction, and a ledger
//! that does not balance can't be stored as Completed.
//!
//! What it is not: it knows no rule of the products (that is `control`) and never opens a secret
//! ([`Sealed`](model::Sealed) goes in and comes out sealed; [`SealKey`] is for whoever may).

mod connections;
mod db;
mod dead;
mod dis;
mod error;
mod events;
mod filter;
mod flow_logs;
mod flows;
mod journal;
mod pipeline_runs;
mod pipelines;
mod places;
mod query;
mod records;
mod runs;
mod schema;
mod seal;
mod shelf;
mod store;
mod tasks;
mod tokens;

pub use dead::{DeadFilter, DeadId, DeadTotals, Queued};
pub use dis::{DisMinute, WHOLE_STREAM};
pub use error::{Error, ErrorKind, Result};
pub use events::{EVENTS_KEPT, EventsFrom, TaskEvents};
pub use filter::{FlowFilter, Page, Span, TaskFilter};
pub use journal::{Checkpoint, Finish, JournalEntry, Wish};
pub use pipeline_runs::{PipelineEntry, PipelineMark, PipelineWish};
pub use pipelines::{PipelineNeeds, PipelineOrder};
pub use seal::{Purpose, SealKey};
pub use store::{Options, Store};
