//! The nouns of the server and their state machines: pure values.
//!
//! No I/O, no clock (time is an argument), no serialisation: wire types stay in the doors, records in
//! `store`. Secrets appear only as [`Sealed`] bytes.

mod dis;
mod event;
mod flow;
mod flow_log;
mod ids;
mod ledger;
mod pipeline;
mod place;
mod plan;
mod task;
mod transfer;

pub use dis::{
    AutoScale, CHANGES_KEPT, DisApp, DisCheckpoint, DisCounts, DisData, DisKind, DisPartition, DisStatus,
    DisStream, DisStreamId, MAX_HASH, PartitionChange, PartitionState, hash_of,
};
pub use event::{Event, EventKind, MAX_MESSAGE, TaskEvent, presentable};
pub use flow::{Flow, FlowStatus};
pub use flow_log::{FlowLog, FlowLogState, LogTopic, LoggedTraffic, NetworkKind};
pub use ids::{
    AccountId, ConnectionId, FileSystemId, FilesetId, FlowId, FlowLogId, ObjectStoreId, PipelineId, TaskId,
    Timestamp,
};
pub use ledger::{Imbalance, Ledger, Outcome, Tally};
pub use pipeline::{
    Connection, DeadLetter, DeadStatus, DipTopic, EndKind, OnFailure, Pipeline, PipelineDirection,
    PipelineEnd, PipelineStatus, Stage,
};
pub use place::{
    Account, Declared, Dialect, FileSystem, Fileset, FilesetStatus, ObjectStore, Origin, Product, Quota,
    Release, Sealed,
};
pub use plan::Plan;
pub use task::{Door, Originator, Progress, Receipt, Reports, Task, TaskKind, TaskStatus, Transition};
pub use transfer::{
    ConflictPolicy, Credentials, DataType, Direction, DirectoryEnd, MetadataDialect, ObjectEnd, Precondition,
    Selection, TransferSpec,
};
