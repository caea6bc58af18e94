//! Runs transfers: plans them, moves them over lanes, keeps their account, survives being killed.
//!
//! [`transfer::run`] is the way of a byte, [`pipeline`] the way of a record. [`dispatch`] takes tasks from the store and runs
//! them, [`receipt`] has the proof of what was done.
//!
//! The engine knows trees, lanes and the ledger. It knows no HTTP and no SQL and names no connector.

pub mod decide;
pub mod dispatch;
pub mod flow_log;
pub mod journal;
pub mod lanes;
pub mod pipeline;
pub mod receipt;
pub mod select;
pub mod transfer;

pub use journal::{Journal, JournalEntry, JournalError, Steer, Wish};
pub use lanes::Lanes;
pub use select::Select;
