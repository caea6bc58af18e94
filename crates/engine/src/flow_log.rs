//! Flow logs at work: who observes, and how records reach their topic.
//!
//! ```text
//! supervisor   looks at the store: claims what is enabled and lies on this machine (attempt number = fencing token), ends what is not
//!   run        one flow log: a thread that reads the observer, and a task that writes
//!     observer   flow-capture on devices, or flow-collector for exporters: records, and the end of each window
//!     outbox     a bounded queue of messages and ends of windows; when it is full, records are thrown away and counted
//!     sink       the topic, acknowledged; a failed write is tried again with the same identifiers
//! ```
//!
//! **At least once.** A message goes when the topic has acknowledged it, and again after a failure. Its identifier (`<flow log>:<run>:<number>`,
//! in the header `id`) is the same each time, so a reader can drop repeats.
//!
//! **What is lost is said.** When the outbox is full a SKIPDATA record with the stretch of time comes as soon as there is room again. The end of
//! the last window that was written is kept; a run that begins later says the gap between (the server was down, or killed) with SKIPDATA.
//!
//! It knows no door and no connector: a [`Sink`] is plugged in.

mod networks;
mod observer;
mod outbox;
mod render;
mod run;
mod supervisor;

use async_trait::async_trait;
use model::FlowLog;

pub use flow_record::fields::Extra;
pub use networks::{Lookup, Network, Networks, Prefix, Refusal};
pub use outbox::Message;
pub use supervisor::{Settings, Supervisor};

/// Why messages could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkError {
    /// The topic is not there.
    Gone(String),
    /// Something else; later it may go.
    Failed(String),
}

/// Where records go.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Writes messages to the topic of a flow log, acknowledged; on an error some may be written and some not.
    async fn write(&self, log: &FlowLog, messages: &[Message]) -> Result<(), SinkError>;
}

/// Messages of one write at most.
const AT_ONCE: usize = 500;
