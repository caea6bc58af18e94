//! Runs pipelines: standing flows of records from a source through a transform to a sink.
//!
//! ```text
//! supervisor  claims pipelines from the store (attempt number = fencing token), one run each
//!   run       journals once a second (clerk), starts failed lanes anew with growing pauses, comes to rest when told so
//!     feed    a thread: polls the source, obeys its lane, holds no more than its window and its leases
//!     lane    a thread: stage (transform) → sink → settled marks → clerk, source
//!       host, keeper   rule on refused records, keep originals at the desk
//!       aside   puts what a failing destination could not take into an error directory
//!     replay  a lane whose source is the desk
//! ```
//!
//! **Only the destination counts.** A lane starts from the newest of the sink's own mark and the journal's. The journal follows what
//! a sink says is settled, by a second at most, and is never ahead. Any thread may be dropped at any await.
//!
//! **Every record has an outcome.** A mark carries the account of everything before it, and an account that does not balance stops
//! its lane (`lane::collect`).
//!
//! **Neighbours.** Pipelines share the byte budget, of which each lane has a small share, and the store. No lock, no thread.

mod aside;
mod chain;
mod clerk;
mod feed;
mod held;
mod host;
mod keeper;
mod lane;
mod live;
mod replay;
mod run;
mod seams;
mod stage;
mod step;
mod stored;
mod supervisor;
mod window;

pub use chain::ChainStep;
pub use live::{Live, Snapshot};
pub use seams::{Catalogue, DeadDesk, Ends, Entry, Pipelines, Queued, Trouble, Wish};
pub use step::{Emit, Step};
pub use stored::Stored;
pub use supervisor::{Pauses, Settings, Supervisor};
