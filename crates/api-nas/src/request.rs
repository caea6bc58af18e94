//! One call, decoded: its parameters and the questions that most operations ask first.

use std::pin::Pin;

use api::{Call, Fault, Outcome, Params, Reply};
use control::{Caller, Control, ErrorKind};
use model::{AccountId, Door, Fileset, FilesetId, Flow, FlowId, FlowStatus, Task, TaskId};
use serde_json::{Map, Value};

use crate::NasDoor;
use crate::family::Cpfs;
use crate::{fault, rules};

/// A call with its decoded parameters.
pub struct Request<'a> {
    /// The door.
    pub door: &'a NasDoor,
    /// The call.
    pub call: &'a Call,
    /// Parameters that the operation's table has let through.
    pub p: Params<'a>,
    /// Who asks. An operator's account has no further rights here.
    pub caller: Caller,
}

impl<'a> Request<'a> {
    /// Takes a decoded call.
    #[must_use]
    pub fn new(door: &'a NasDoor, call: &'a Call, p: Params<'a>) -> Self {
        let caller = Caller::account(AccountId::from(call.caller.account.as_str()));
        Self { door, call, p, caller }
    }

    /// The use cases.
    #[must_use]
    pub fn control(&self) -> &Control {
        self.door.control()
    }

    /// A text that must be there and not empty.
    ///
    /// # Errors
    /// `Missing<name>`.
    pub fn required(&self, name: &str) -> Result<&'a str, Fault> {
        self.given(name).ok_or_else(|| fault::missing(name))
    }

    /// A text that is there and not empty.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&'a str> {
        self.p.str(name).filter(|s| !s.is_empty())
    }

    /// Refuses parameters that this kind of file system does not have.
    ///
    /// # Errors
    /// `InvalidParameter`.
    pub fn none_of(&self, names: &[&str], whose: &str) -> Result<(), Fault> {
        match names.iter().find(|n| self.p.has(n)) {
            Some(name) => Err(fault::parameter(format_args!("{name} is not supported by {whose}"))),
            None => Ok(()),
        }
    }

    /// The file system of the request.
    ///
    /// # Errors
    /// `MissingFileSystemId`, `InvalidFileSystem.NotFound`.
    pub async fn file_system(&self) -> Result<Cpfs, Fault> {
        let id = self.required("FileSystemId")?;
        let fs = self.control().file_system(&id.into()).await.map_err(|e| fault::of(&e))?;
        Cpfs::new(fs).ok_or_else(fault::file_system_not_found)
    }

    /// The flow of the request, on this file system.
    ///
    /// # Errors
    /// `MissingDataFlowId`, `InvalidDataFlow.NotFound`.
    pub async fn flow(&self, on: &Cpfs) -> Result<Flow, Fault> {
        let id = FlowId::from(self.required("DataFlowId")?);
        let flow = self.control().flow(&self.caller, &id).await.map_err(|e| fault::of(&e))?;
        if flow.door != Door::Nas || flow.directory.file_system != on.fs.id {
            return Err(fault::flow_not_found());
        }
        Ok(flow)
    }

    /// The flow of the request, where it must be of general-purpose CPFS and in one of these states.
    ///
    /// # Errors
    /// Those of the two above, `OperationDenied.DataFlowNotSupported`, `OperationDenied.InvalidState`.
    pub async fn general_flow(&self, states: &[FlowStatus]) -> Result<(Cpfs, Flow), Fault> {
        let on = self.file_system().await?;
        on.general_only()?;
        let flow = self.flow(&on).await?;
        flow_in(&flow, states)?;
        Ok((on, flow))
    }

    /// The fileset of the request, on this file system.
    ///
    /// # Errors
    /// `MissingFsetId`, `InvalidFsetId.NotFound`.
    pub async fn fileset(&self, on: &Cpfs) -> Result<Fileset, Fault> {
        let id = FilesetId::from(self.required("FsetId")?);
        let fileset = self.control().fileset(&self.caller, &id).await.map_err(|e| fault::of(&e))?;
        if fileset.file_system != on.fs.id {
            return Err(fault::fileset_not_found());
        }
        Ok(fileset)
    }

    /// A task of this flow by its id, or `None`.
    ///
    /// # Errors
    /// Internal errors only.
    pub async fn task_of(&self, flow: &Flow, id: &str) -> Result<Option<Task>, Fault> {
        match self.control().task(&self.caller, &TaskId::from(id)).await {
            Ok(task) if task.door == Door::Nas && task.flow.as_ref() == Some(&flow.id) => Ok(Some(task)),
            Ok(_) => Ok(None),
            Err(e) if matches!(e.kind, ErrorKind::NotFound(_)) => Ok(None),
            Err(e) => Err(fault::of(&e)),
        }
    }

    /// Is there a directory at `path` of the file system? `name` is the parameter that named it.
    ///
    /// # Errors
    /// `Invalid<name>` when the path crosses a symbolic link or a file; `ServiceUnavailable`.
    pub async fn directory_there(&self, on: &Cpfs, name: &str, path: &str) -> Result<bool, Fault> {
        let answer = self.control().directory_exists(&on.fs, path).await;
        answer.map_err(|e| fault::of_directory(name, &e))
    }

    /// Is the directory at `path` of the file system empty?
    ///
    /// # Errors
    /// As [`Request::directory_there`].
    pub async fn directory_empty(&self, on: &Cpfs, name: &str, path: &str) -> Result<bool, Fault> {
        let answer = self.control().directory_is_empty(&on.fs, path).await;
        answer.map_err(|e| fault::of_directory(name, &e))
    }

    /// A fileset with its use, counted anew where that is due and quick.
    ///
    /// # Errors
    /// As [`Request::directory_there`].
    pub async fn measured(&self, fileset: &Fileset) -> Result<Fileset, Fault> {
        let answer = self.control().measure_fileset(&self.caller, &fileset.id).await;
        answer.map_err(|e| fault::of_directory("FsetId", &e))
    }

    /// Only checks wanted?
    #[must_use]
    pub fn dry_run(&self) -> bool {
        self.p.bool("DryRun").unwrap_or(false)
    }

    /// Runs an operation that changes something and answers with its id under `answer` (none: only the
    /// request id). A repeated client token gives the first answer; a dry run remembers nothing and
    /// gives no id.
    ///
    /// `act` (boxed: these futures are large) makes its checks, stops there when [`Request::dry_run`], and gives the id it made.
    ///
    /// # Errors
    /// `InvalidClientToken`, `IdempotentParameterMismatch`, and what `act` refuses.
    pub async fn change(
        &self,
        answer: Option<&str>,
        act: Pin<Box<dyn Future<Output = Result<String, Fault>> + Send + '_>>,
    ) -> Outcome {
        let token = self.given("ClientToken");
        token.map_or(Ok(()), rules::client_token)?;
        if self.dry_run() {
            return act.await.map(|_| Reply::empty());
        }
        let mut refusal = None;
        let fingerprint = self.fingerprint();
        let done = {
            let refusal = &mut refusal;
            let act = async move {
                act.await.map_err(|f| {
                    *refusal = Some(f);
                    control::Error::new(ErrorKind::Invalid, "refused by the door")
                })
            };
            let token = token.map(|t| (t, fingerprint.as_bytes()));
            self.control().once(&self.caller, &self.call.action, token, act).await
        };
        match (done, refusal) {
            (Ok((id, _)), _) => Ok(answer.map_or_else(Reply::empty, |name| {
                let mut fields = Map::new();
                fields.insert(name.to_owned(), Value::String(id));
                fields.into()
            })),
            (Err(_), Some(fault)) => Err(fault),
            (Err(e), None) => Err(fault::of(&e)),
        }
    }

    /// The parameters that a repeated token must repeat, in a fixed order (a map's keys are sorted).
    fn fingerprint(&self) -> String {
        let mut params = self.call.params.clone();
        if let Value::Object(fields) = &mut params {
            fields.retain(|name, _| name != "ClientToken" && name != "DryRun");
        }
        api::encode::sha256_hex(params.to_string().as_bytes())
    }
}

/// Refuses a flow that is in none of these states.
///
/// # Errors
/// `OperationDenied.InvalidState`.
pub fn flow_in(flow: &Flow, states: &[FlowStatus]) -> Result<(), Fault> {
    if states.contains(&flow.status) {
        return Ok(());
    }
    Err(fault::state(&format!("the data flow is {}", crate::translate::flow_status(flow.status))))
}
