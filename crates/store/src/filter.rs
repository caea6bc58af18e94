//! What can be asked of flows and tasks. Conditions are joined by *and*; an empty list or `None` asks nothing.

use model::{
    AccountId, Door, FileSystemId, FilesetId, FlowId, FlowStatus, Originator, TaskId, TaskKind, TaskStatus,
    Timestamp,
};

/// Which stretch of a sorted answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Records to pass over.
    pub offset: u64,
    /// Records to return at most.
    pub limit: u64,
    /// Latest first; otherwise oldest first. Equal times are ordered by id.
    pub newest_first: bool,
}

impl Default for Page {
    fn default() -> Self {
        Self { offset: 0, limit: 100, newest_first: true }
    }
}

/// Both ends included; `None` = open.
pub type Span = (Option<Timestamp>, Option<Timestamp>);

/// Which flows. `*_like` = contains this text, letter case as given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Owner. `control` sets it from the caller.
    pub account: Option<AccountId>,
    /// Any of these ids.
    pub ids: Vec<FlowId>,
    /// Door that made it.
    pub door: Option<Door>,
    /// File system.
    pub file_system: Option<FileSystemId>,
    /// Any of these filesets.
    pub fileset: Vec<FilesetId>,
    /// Any of these states.
    pub statuses: Vec<FlowStatus>,
    /// Bucket, exactly.
    pub bucket: Option<String>,
    /// Part of the directory's path.
    pub path_like: Option<String>,
    /// Part of the object prefix.
    pub prefix_like: Option<String>,
    /// Part of the description.
    pub description_like: Option<String>,
    /// Part of the name.
    pub name_like: Option<String>,
    /// Attributes: key, any of these values.
    pub attributes: Vec<(String, Vec<String>)>,
}

/// Which tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Owner. `control` sets it from the caller.
    pub account: Option<AccountId>,
    /// Any of these ids.
    pub ids: Vec<TaskId>,
    /// Door that made it.
    pub door: Option<Door>,
    /// Any of these kinds.
    pub kinds: Vec<TaskKind>,
    /// Any of these flows.
    pub flows: Vec<FlowId>,
    /// Stream it belongs to.
    pub parent: Option<TaskId>,
    /// Any of these streams (for answers over several).
    pub parents: Vec<TaskId>,
    /// File system.
    pub file_system: Option<FileSystemId>,
    /// Any of these states.
    pub statuses: Vec<TaskStatus>,
    /// Part of the name.
    pub name_like: Option<String>,
    /// The name, exactly.
    pub name: Option<String>,
    /// Who caused it.
    pub originator: Option<Originator>,
    /// When it was made.
    pub created: Span,
    /// When it first ran.
    pub started: Span,
    /// When it ended.
    pub ended: Span,
    /// Attributes: key, any of these values.
    pub attributes: Vec<(String, Vec<String>)>,
}
