//! The store's methods, one group per noun. Signatures first; bodies follow.

use model::{
    Account, AccountId, FileSystem, FileSystemId, Fileset, FilesetId, Flow, FlowId, ObjectStore, ObjectStoreId,
    Receipt, Task, TaskId, Timestamp, Transition,
};

use crate::{
    Checkpoint, Error, ErrorKind, Finish, FlowFilter, JournalEntry, Page, Result, SealKey, TaskFilter, Wish,
};

/// How to open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections for reading (SQLite) or altogether (PostgreSQL).
    pub connections: u32,
    /// Batch tasks of one flow that may run at once; 0 = no limit.
    pub tasks_per_flow: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 2, tasks_per_flow: 4 }
    }
}

/// The store. Clones share everything.
#[derive(Debug, Clone)]
pub struct Store {}

fn unbuilt<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Internal, "not built yet"))
}

#[allow(clippy::unused_async, unused_variables, clippy::missing_errors_doc, missing_docs)]
impl Store {
    /// `url`: `postgres://…`, `sqlite:<path>` or a path.
    pub async fn open(url: &str, key: &SealKey, options: Options) -> Result<Self> { unbuilt() }
    pub async fn close(&self) {}

    pub async fn insert_account(&self, a: &Account) -> Result<()> { unbuilt() }
    pub async fn update_account(&self, a: &Account) -> Result<()> { unbuilt() }
    pub async fn account(&self, id: &AccountId) -> Result<Option<Account>> { unbuilt() }
    pub async fn account_by_access_key(&self, id: &str) -> Result<Option<Account>> { unbuilt() }
    pub async fn accounts(&self) -> Result<Vec<Account>> { unbuilt() }

    pub async fn put_file_system(&self, f: &FileSystem) -> Result<()> { unbuilt() }
    pub async fn file_system(&self, id: &FileSystemId) -> Result<Option<FileSystem>> { unbuilt() }
    pub async fn file_systems(&self) -> Result<Vec<FileSystem>> { unbuilt() }
    pub async fn remove_file_system(&self, id: &FileSystemId) -> Result<bool> { unbuilt() }
    pub async fn put_object_store(&self, s: &ObjectStore) -> Result<()> { unbuilt() }
    pub async fn object_store(&self, id: &ObjectStoreId) -> Result<Option<ObjectStore>> { unbuilt() }
    pub async fn object_stores(&self) -> Result<Vec<ObjectStore>> { unbuilt() }
    pub async fn remove_object_store(&self, id: &ObjectStoreId) -> Result<bool> { unbuilt() }

    pub async fn insert_fileset(&self, f: &Fileset, limit: u32) -> Result<()> { unbuilt() }
    pub async fn update_fileset(&self, f: &Fileset) -> Result<()> { unbuilt() }
    pub async fn fileset(&self, id: &FilesetId) -> Result<Option<Fileset>> { unbuilt() }
    pub async fn filesets(&self, fs: &FileSystemId) -> Result<Vec<Fileset>> { unbuilt() }
    pub async fn remove_fileset(&self, id: &FilesetId) -> Result<bool> { unbuilt() }

    pub async fn insert_flow(&self, f: &Flow, per_file_system: u32) -> Result<()> { unbuilt() }
    pub async fn flow(&self, id: &FlowId) -> Result<Option<Flow>> { unbuilt() }
    pub async fn flows(&self, f: &FlowFilter, page: Page) -> Result<(Vec<Flow>, u64)> { unbuilt() }
    /// Reads, changes and writes back one flow; runs again when somebody else changed it meanwhile.
    pub async fn change_flow<E: Send>(&self, id: &FlowId, change: impl FnMut(&mut Flow) -> Result<(), E> + Send) -> Result<Result<Flow, E>> { unbuilt() }
    pub async fn remove_flow(&self, id: &FlowId) -> Result<bool> { unbuilt() }

    /// Stores a new task. `waiting`: tasks of the account that may be pending at once.
    pub async fn insert_task(&self, t: &Task, waiting: u32) -> Result<()> { unbuilt() }
    pub async fn task(&self, id: &TaskId) -> Result<Option<Task>> { unbuilt() }
    pub async fn tasks(&self, f: &TaskFilter, page: Page) -> Result<(Vec<Task>, u64)> { unbuilt() }
    /// What a user wants of a task (`Pause`, `Resume`, `Cancel`). `Conflict` when its state forbids it.
    pub async fn wish(&self, id: &TaskId, t: Transition, now: Timestamp) -> Result<Task> { unbuilt() }
    pub async fn remove_task(&self, id: &TaskId) -> Result<bool> { unbuilt() }
    pub async fn receipt(&self, id: &TaskId) -> Result<Option<Receipt>> { unbuilt() }

    /// Takes the oldest task that waits, or whose worker's lease has run out (`attempt` + 1): one worker
    /// only gets it. `worker` names this process run (unique per start). Streams are never given out.
    pub async fn claim_next(&self, worker: &str, now: Timestamp, lease_us: i64) -> Result<Option<(Task, Checkpoint)>> { unbuilt() }
    /// Frees the leases of a worker that is known to be gone, so that `claim_next` gives its tasks out at
    /// once; `None` = of every worker (a SQLite store has one process: call it at start). Returns how many.
    pub async fn release_leases(&self, worker: Option<&str>, now: Timestamp) -> Result<u64> { unbuilt() }
    /// Writes ledger, progress and checkpoint in one transaction and extends the lease. `Fenced` when
    /// `attempt` is not the task's current run.
    pub async fn journal(&self, id: &TaskId, attempt: u32, e: &JournalEntry) -> Result<Wish> { unbuilt() }
    /// Extends the lease alone. `Fenced` as above.
    pub async fn renew(&self, id: &TaskId, attempt: u32, now: Timestamp) -> Result<Wish> { unbuilt() }
    /// Ends a run. `Fenced` as above; `Unbalanced` when a ledger that does not balance, or has failures,
    /// was to be `Completed`.
    pub async fn finish(&self, id: &TaskId, attempt: u32, f: &Finish) -> Result<Task> { unbuilt() }
    pub async fn checkpoint(&self, id: &TaskId) -> Result<Checkpoint> { unbuilt() }

    /// Answer remembered for a client token: fingerprint and id.
    pub async fn remembered(&self, account: &AccountId, action: &str, token: &str, now: Timestamp) -> Result<Option<(Vec<u8>, String)>> { unbuilt() }
    pub async fn remember(&self, account: &AccountId, action: &str, token: &str, answer: (&[u8], &str), expires: Timestamp) -> Result<()> { unbuilt() }
    /// Forgets expired tokens. Returns how many.
    pub async fn forget_tokens(&self, now: Timestamp) -> Result<u64> { unbuilt() }
}
