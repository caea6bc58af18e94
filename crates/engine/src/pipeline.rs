//! Runs pipelines: standing flows of records from a source through a transform to a sink.
//!
//! One claimed pipeline is one run: some lanes, each a source thread and a lane thread, a clerk that journals marks once a
//! second, and a supervisor that starts failed lanes anew. See the modules' essays from the outside in.

mod seams;
mod step;

pub use seams::{Catalogue, DeadDesk, Ends, Entry, Pipelines, Queued, Trouble, Wish};
pub use step::{Emit, Step};
