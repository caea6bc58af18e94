//! The transform chain of a pipeline: one record in, none to many values out.
//!
//! It is the data processing of Tencent's CKafka connector ("DIP"): take a message apart (JSON, separators, a regular
//! expression), build an object from what was found, in one step or several, filter it, write it as JSON or as a row.
//! What the vendor leaves open is chosen and written down in `docs/doors/ckafka-transforms.md`; a test runs its examples.
//!
//! **Pure.** No clock, no I/O, no task: time is an argument, so the preview of the API, `wharf transform try` and a
//! pipeline are the very same code. A [`Spec`] is what was asked for, checked; a [`Chain`] is compiled and can be
//! shared by threads; an [`Output`] is a thread's own, and holds every buffer. In the usual case a record costs no
//! allocation.
//!
//! **Untrusted on both sides.** Records and specifications come from outside. Nothing here panics, recursion and sizes
//! have limits (depth 128, 64 MiB of output, 100,000 values of one record, 1 MiB for a compiled expression), and
//! expressions run in linear time.
//!
//! **It reports, it doesn't act.** A record that can't be transformed is [`Outcome::Failed`] with the stage and a reason;
//! what becomes of it is the pipeline's to do, by [`Chain::on_failure`]. A record fails as a whole: an array with one bad
//! element gives nothing.
//!
//! Read `spec` (what can be asked), `json` (how a text is read), `step` (how one step works), `chain` (how all of it runs).

mod chain;
mod compile;
mod filter;
mod json;
mod operate;
mod path;
mod preview;
mod problem;
mod row;
pub mod spec;
mod step;
mod value;

pub use chain::{Chain, Failure, Outcome, Output, Record, Stage};
pub use operate::date::Target;
pub use operate::zone::offset as zone_offset;
pub use preview::{Found, Preview, StepPreview};
pub use problem::Problem;
pub use spec::{DeadLetterTopic, OnFailure, Spec};
