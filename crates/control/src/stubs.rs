use crate::*;
use model::*;
use std::path::PathBuf;
fn unbuilt<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Internal, "not built yet"))
}
#[allow(clippy::unused_async, unused_variables, clippy::missing_errors_doc, missing_docs)]
impl Control {
    // accounts
    pub async fn account_by_access_key(&self, id: &str) -> Result<Option<(Account, String)>> { unbuilt() }
    pub async fn accounts(&self) -> Result<Vec<Account>> { unbuilt() }
    pub async fn create_account(&self, new: NewAccount) -> Result<(Account, String)> { unbuilt() }
    pub async fn set_account_active(&self, id: &AccountId, active: bool) -> Result<Account> { unbuilt() }
    // resources
    pub async fn file_system(&self, id: &FileSystemId) -> Result<FileSystem> { unbuilt() }
    pub async fn file_systems(&self) -> Result<Vec<FileSystem>> { unbuilt() }
    pub async fn usage(&self, id: &FileSystemId) -> Result<Usage> { unbuilt() }
    pub async fn object_store(&self, id: &ObjectStoreId) -> Result<ObjectStore> { unbuilt() }
    pub async fn object_stores(&self) -> Result<Vec<ObjectStore>> { unbuilt() }
    /// `origin` Config: the binary at start; Registered: the operator. A Config entry is never replaced by a Registered one (Denied).
    pub async fn put_file_system(&self, f: FileSystem) -> Result<()> { unbuilt() }
    pub async fn put_object_store(&self, s: ObjectStore) -> Result<()> { unbuilt() }
    pub async fn remove_file_system(&self, id: &FileSystemId) -> Result<()> { unbuilt() }
    pub async fn remove_object_store(&self, id: &ObjectStoreId) -> Result<()> { unbuilt() }
    pub async fn resolve_bucket(&self, bucket: &str) -> Result<ObjectStore> { unbuilt() }
    pub async fn resolve_address(&self, address: &str) -> Result<(ObjectStore, String)> { unbuilt() }
    pub async fn buckets(&self, store: &ObjectStore, creds: Option<&Credentials>) -> Result<Vec<String>> { unbuilt() }
    pub async fn probe_source(&self, end: &ObjectEnd, creds: Option<&Credentials>) -> Result<()> { unbuilt() }
    pub async fn directory_exists(&self, fs: &FileSystem, path: &str) -> Result<bool> { unbuilt() }
    pub async fn directory_is_empty(&self, fs: &FileSystem, path: &str) -> Result<bool> { unbuilt() }
    pub async fn make_directory(&self, fs: &FileSystem, path: &str) -> Result<()> { unbuilt() }
    pub async fn read_text_file(&self, fs: &FileSystem, path: &str, max_bytes: u64) -> Result<Vec<u8>> { unbuilt() }
    // filesets
    pub async fn create_fileset(&self, c: &Caller, new: NewFileset) -> Result<Fileset> { unbuilt() }
    pub async fn fileset(&self, c: &Caller, id: &FilesetId) -> Result<Fileset> { unbuilt() }
    pub async fn filesets(&self, c: &Caller, fs: &FileSystemId) -> Result<Vec<Fileset>> { unbuilt() }
    pub async fn update_fileset(&self, c: &Caller, id: &FilesetId, change: FilesetChange) -> Result<Fileset> { unbuilt() }
    pub async fn delete_fileset(&self, c: &Caller, fs: &FileSystemId, id: &FilesetId) -> Result<()> { unbuilt() }
    pub async fn measure_fileset(&self, c: &Caller, id: &FilesetId) -> Result<Fileset> { unbuilt() }
    // flows
    pub async fn create_flow(&self, c: &Caller, new: NewFlow) -> Result<Flow> { unbuilt() }
    pub async fn flow(&self, c: &Caller, id: &FlowId) -> Result<Flow> { unbuilt() }
    pub async fn flows(&self, c: &Caller, f: &FlowFilter, page: Page) -> Result<(Vec<Flow>, u64)> { unbuilt() }
    pub async fn update_flow(&self, c: &Caller, id: &FlowId, change: FlowChange) -> Result<Flow> { unbuilt() }
    pub async fn set_flow_status(&self, c: &Caller, id: &FlowId, to: FlowStatus) -> Result<Flow> { unbuilt() }
    pub async fn delete_flow(&self, c: &Caller, id: &FlowId) -> Result<()> { unbuilt() }
    // tasks
    pub async fn create_task(&self, c: &Caller, new: NewTask) -> Result<Task> { unbuilt() }
    pub async fn plan(&self, spec: &TransferSpec) -> Result<Plan> { unbuilt() }
    pub async fn task(&self, c: &Caller, id: &TaskId) -> Result<Task> { unbuilt() }
    pub async fn tasks(&self, c: &Caller, f: &TaskFilter, page: Page) -> Result<(Vec<Task>, u64)> { unbuilt() }
    pub async fn cancel_task(&self, c: &Caller, id: &TaskId) -> Result<Task> { unbuilt() }
    pub async fn pause_task(&self, c: &Caller, id: &TaskId) -> Result<Task> { unbuilt() }
    pub async fn resume_task(&self, c: &Caller, id: &TaskId) -> Result<Task> { unbuilt() }
    pub async fn delete_task(&self, c: &Caller, id: &TaskId) -> Result<Task> { unbuilt() }
    // receipts
    pub async fn receipt(&self, c: &Caller, id: &TaskId) -> Result<Receipt> { unbuilt() }
    pub async fn verify_receipt(&self, c: &Caller, id: &TaskId) -> Result<Verification> { unbuilt() }
    pub fn report_path(&self, task: &TaskId, file: &str) -> Option<PathBuf> { None }
    pub fn report_token(&self, task: &TaskId, file: &str) -> String { String::new() }
    pub fn check_report_token(&self, task: &TaskId, file: &str, token: &str) -> bool { false }
    // idempotence
    pub async fn remembered(&self, c: &Caller, action: &str, token: &str, fingerprint: &[u8]) -> Result<Option<String>> { unbuilt() }
    pub async fn remember(&self, c: &Caller, action: &str, token: &str, fingerprint: &[u8], id: &str) -> Result<()> { unbuilt() }
    /// Prefer this to the two above: holds the token while `act` runs, so that two simultaneous requests act once.
    /// `token` None = always acts. Returns the id and whether it was remembered.
    pub async fn once<F: Future<Output = Result<String>> + Send>(&self, c: &Caller, action: &str, token: Option<(&str, &[u8])>, act: F) -> Result<(String, bool)> { unbuilt() }
    /// Upkeep, every few minutes: history, tokens, flows that wait for their probe.
    pub async fn housekeeping(&self) -> Result<Upkeep> { unbuilt() }
}
