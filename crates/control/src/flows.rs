//! Flows: standing bindings of a directory and a bucket prefix.

use model::{Flow, FlowId, FlowStatus};

use crate::{Caller, Control, Error, ErrorKind, FlowChange, FlowFilter, NewFlow, Noun, Page, Result};

/// Attributes of a flow or task: how many, and how long all together, in bytes.
const MAX_ATTRIBUTES: usize = 64;
const MAX_ATTRIBUTE_BYTES: usize = 256 * 1024;

impl Control {
    /// Makes a flow. It is stored as Starting; with `probe` the bucket is asked (a few seconds at most) and
    /// the flow comes back Running or Misconfigured, otherwise it is Running.
    ///
    /// # Errors
    /// `NotFound` (file system, object store, fileset, directory), `Exists` when the id is taken, `InUse`
    /// when the fileset has a flow, `InvalidState` when it could not be emptied ([`NewFlow::empty_fileset`]) or
    /// another request is at work on it, `LimitExceeded`, `BadPath`, `Invalid`.
    pub async fn create_flow(&self, c: &Caller, new: NewFlow) -> Result<Flow> {
        let (fileset, empty) = (new.fileset.clone(), new.empty_fileset);
        let mut flow = self.checked_flow(c, new).await?;
        // Held until the flow is stored: whoever comes later sees it.
        let held = match &fileset {
            Some(id) => {
                let fs = self.file_system(&flow.directory.file_system).await?;
                Some(self.ready_for_flow(c, &fs, id, empty).await?)
            }
            None => None,
        };
        let probe = flow.status == FlowStatus::Starting;
        let limit = self.0.limits.flows_per_file_system;
        self.0.store.insert_flow(&flow, limit).await.map_err(|e| match e.kind() {
            store::ErrorKind::Exists => {
                Error::new(ErrorKind::Exists(Noun::Flow), format!("flow {} exists already", flow.id))
            }
            store::ErrorKind::Conflict => Error::new(ErrorKind::InUse, e.message()).field("fileset"),
            store::ErrorKind::NotFound => Error::new(ErrorKind::NotFound(Noun::FileSystem), e.message()),
            _ => e.into(),
        })?;
        drop(held);
        if probe {
            flow = self.probe_flow(&flow).await?;
        }
        Ok(flow)
    }

    async fn checked_flow(&self, c: &Caller, new: NewFlow) -> Result<Flow> {
        check_word(new.id.as_str(), "id")?;
        check_attributes(&new.attributes)?;
        let fs = self.file_system(&new.directory.file_system).await?;
        self.object_store(&new.object.store).await?;
        check_prefix(&new.object.prefix)?;
        if let Some(id) = &new.fileset {
            let fileset = self.fileset(c, id).await?;
            if fileset.file_system != fs.id {
                return Err(Error::not_found(Noun::Fileset, id));
            }
        }
        let mut directory = new.directory;
        directory.path = inner_path(&directory.path)?;
        directory.root = fs.root.clone();
        if !self.directory_exists(&fs, &directory.path).await? {
            return Err(Error::not_found(Noun::Directory, &directory.path).field("path"));
        }
        let now = self.now();
        Ok(Flow {
            id: new.id,
            account: c.account.clone(),
            door: new.door,
            directory,
            fileset: new.fileset,
            object: new.object,
            credentials: new.credentials,
            status: if new.probe { FlowStatus::Starting } else { FlowStatus::Running },
            error: None,
            name: new.name,
            description: new.description,
            attributes: new.attributes,
            sealed_attributes: new.sealed_attributes,
            created: now,
            updated: now,
        })
    }

    /// Asks a flow's bucket and stores the result, unless its key was changed meanwhile.
    pub(crate) async fn probe_flow(&self, flow: &Flow) -> Result<Flow> {
        let answer = self.probe_source(&flow.object, flow.credentials.as_ref()).await;
        let (status, error) = match answer {
            Ok(()) => (FlowStatus::Running, None),
            Err(e) => (FlowStatus::Misconfigured, Some(e.message)),
        };
        let now = self.now();
        let written = self.0.store.change_flow(&flow.id, |f| {
            if f.credentials == flow.credentials && (f.status == status || f.status.may_become(status)) {
                f.updated = if f.status == status { f.updated } else { now };
                f.status = status;
                f.error.clone_from(&error);
            }
            Ok::<_, Error>(())
        });
        written.await.map_err(|e| gone(e, &flow.id))?
    }

    /// One flow of the caller's.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn flow(&self, c: &Caller, id: &FlowId) -> Result<Flow> {
        let found = self.0.store.flow(id).await?.filter(|f| c.may_see(&f.account));
        found.ok_or_else(|| Error::not_found(Noun::Flow, id))
    }

    /// A page of the caller's flows that answer the filter, and how many do.
    ///
    /// # Errors
    /// `LimitExceeded` when a list of the filter is too long.
    pub async fn flows(&self, c: &Caller, f: &FlowFilter, page: Page) -> Result<(Vec<Flow>, u64)> {
        if c.operator {
            return Ok(self.0.store.flows(f, page).await?);
        }
        let own = FlowFilter { account: Some(c.account.clone()), ..f.clone() };
        Ok(self.0.store.flows(&own, page).await?)
    }

    /// Changes a flow that is Running, Stopped or Misconfigured. With new credentials the bucket is asked
    /// again.
    ///
    /// # Errors
    /// `NotFound`, `InvalidState`, `Invalid`.
    pub async fn update_flow(&self, c: &Caller, id: &FlowId, change: FlowChange) -> Result<Flow> {
        self.flow(c, id).await?;
        let (now, ask) = (self.now(), change.credentials.is_some());
        let written = self.0.store.change_flow(id, |f| {
            use FlowStatus as S;
            if !matches!(f.status, S::Running | S::Stopped | S::Misconfigured) {
                let message = format!("flow {} is {}", f.id, f.status.name());
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            apply(f, change.clone());
            f.updated = now;
            check_attributes(&f.attributes)
        });
        let flow = written.await.map_err(|e| gone(e, id))??;
        if ask && flow.status != FlowStatus::Stopped { self.probe_flow(&flow).await } else { Ok(flow) }
    }

    /// Moves a flow to another state.
    ///
    /// # Errors
    /// `NotFound`, `InvalidState` when the model forbids it.
    pub async fn set_flow_status(&self, c: &Caller, id: &FlowId, to: FlowStatus) -> Result<Flow> {
        self.flow(c, id).await?;
        let now = self.now();
        let written = self.0.store.change_flow(id, |f| {
            if !f.status.may_become(to) {
                let message = format!("flow {} is {}: it can't become {}", f.id, f.status.name(), to.name());
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
            f.status = to;
            f.updated = now;
            if to == FlowStatus::Running {
                f.error = None;
            }
            Ok(())
        });
        written.await.map_err(|e| gone(e, id))?
    }

    /// Removes a flow. Neither files nor objects are touched.
    ///
    /// # Errors
    /// `NotFound`, `InUse` when a task of it has not ended.
    pub async fn delete_flow(&self, c: &Caller, id: &FlowId) -> Result<()> {
        self.flow(c, id).await?;
        match self.0.store.remove_flow(id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::not_found(Noun::Flow, id)),
            Err(e) if e.kind() == store::ErrorKind::Conflict => {
                Err(Error::new(ErrorKind::InUse, e.message()))
            }
            Err(e) => Err(e.into()),
        }
    }
}

impl Caller {
    pub(crate) fn may_see(&self, owner: &model::AccountId) -> bool {
        self.operator || self.account == *owner
    }
}

fn gone(e: store::Error, id: &FlowId) -> Error {
    match e.kind() {
        store::ErrorKind::NotFound => Error::not_found(Noun::Flow, id),
        _ => e.into(),
    }
}

fn apply(f: &mut Flow, change: FlowChange) {
    if let Some(name) = change.name {
        f.name = name;
    }
    if let Some(description) = change.description {
        f.description = description;
    }
    if let Some(credentials) = change.credentials {
        f.credentials = Some(credentials);
    }
    for (key, value) in change.attributes {
        match value {
            Some(value) => f.attributes.insert(key, value),
            None => f.attributes.remove(&key),
        };
    }
    for (key, value) in change.sealed_attributes {
        match value {
            Some(value) => f.sealed_attributes.insert(key, value),
            None => f.sealed_attributes.remove(&key),
        };
    }
}

/// A path below the root in the model's form: empty, or names and a `/` at the end.
pub(crate) fn inner_path(path: &str) -> Result<String> {
    let names = crate::folder::names(path)?;
    Ok(if names.is_empty() { String::new() } else { format!("{}/", names.join("/")) })
}

/// A key prefix in the model's form.
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    let fine = prefix.is_empty() || (prefix.ends_with('/') && !prefix.starts_with('/'));
    if !fine || prefix.len() > 1024 || prefix.contains('\0') {
        let message =
            "a key prefix is empty, or does not start with `/`, ends with `/` and has 1024 bytes at most";
        return Err(Error::new(ErrorKind::BadPath, message).field("prefix"));
    }
    Ok(())
}

pub(crate) fn check_word(id: &str, field: &'static str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if (1..=128).contains(&id.len()) && id.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, format!("{id:?} can't be an id")).field(field))
}

pub(crate) fn check_attributes(a: &std::collections::BTreeMap<String, String>) -> Result<()> {
    let bytes: usize = a.iter().map(|(k, v)| k.len() + v.len()).sum();
    if a.len() > MAX_ATTRIBUTES || bytes > MAX_ATTRIBUTE_BYTES || a.values().any(|v| v.contains('\0')) {
        return Err(Error::new(ErrorKind::Invalid, "too many or too long attributes").field("attributes"));
    }
    Ok(())
}
