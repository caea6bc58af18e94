//! Connections: systems that pipelines lead to or come from.

use std::time::Duration;

use model::{Connection, ConnectionId, Origin, PipelineStatus};
use store::PipelineOrder;

use crate::ends::{check_name, check_words, page_of, refuse_problems, taken};
use crate::error::from_connector;
use crate::flows::check_attributes;
use crate::{
    Caller, ConnectionChange, ConnectionFilter, Control, Error, ErrorKind, NewConnection, Noun, ReachedEnd,
    Result,
};

/// Longest name, in bytes.
const MAX_NAME: usize = 256;

/// How long the system behind a connection, or a cluster, may take to answer.
pub(crate) const ANSWERS: Duration = Duration::from_secs(10);

impl Control {
    /// Makes a connection.
    ///
    /// # Errors
    /// `Exists(Connection)` the name is taken; `Invalid` (all problems of the address); `LimitExceeded`; with `probe` also `Unreachable`,
    /// `BadCredentials`.
    pub async fn create_connection(&self, c: &Caller, new: NewConnection) -> Result<Connection> {
        let probe = new.probe;
        let mut made = Connection {
            id: ConnectionId(format!("resource-{}", self.0.random.base36(8))),
            account: Some(c.account.clone()),
            name: new.name,
            description: new.description,
            kind: new.kind,
            product: new.product,
            address: new.address,
            secret: new.secret,
            attributes: new.attributes,
            tags: new.tags,
            origin: Origin::Registered,
            created: self.now(),
        };
        self.check_connection(&made)?;
        self.refuse_taken_name(&made).await?;
        if probe {
            self.ask_connection(&made).await?;
        }
        let limit = self.0.limits.connections_per_account;
        for _ in 0..4 {
            match self.0.store.insert_connection(&made, limit).await {
                Ok(()) => return Ok(made),
                // The name was free: either somebody else was quicker, or the id is taken.
                Err(e) if e.kind() == store::ErrorKind::Exists => {
                    self.refuse_taken_name(&made).await?;
                    made.id = ConnectionId(format!("resource-{}", self.0.random.base36(8)));
                }
                Err(e) => return Err(e.into()),
            }
        }
        Err(Error::new(ErrorKind::Internal, "no free id was found"))
    }

    fn check_connection(&self, made: &Connection) -> Result<()> {
        check_name(&made.name, MAX_NAME, "name")?;
        check_words(&made.description, "description")?;
        check_attributes(&made.attributes)?;
        check_attributes(&made.tags)?;
        match made.kind {
            Some(kind) => {
                let problems = self.0.streams.check_connection(kind, &made.address);
                refuse_problems(&problems, "address")
            }
            None => Ok(()),
        }
    }

    async fn refuse_taken_name(&self, made: &Connection) -> Result<()> {
        let all = self.0.store.connections().await?;
        if all.iter().any(|o| o.account == made.account && o.name == made.name && o.id != made.id) {
            let message = format!("a connection with the name {} exists already", made.name);
            return Err(Error::new(ErrorKind::Exists(Noun::Connection), message).field("name"));
        }
        Ok(())
    }

    /// Stores what `wharf.toml` declares, everybody's, under the id that it gives.
    ///
    /// # Errors
    /// `Invalid`, `Exists(Connection)` when the id is a user's.
    pub async fn declare_connection(&self, connection: Connection) -> Result<()> {
        let mut declared = Connection { account: None, origin: Origin::Config, ..connection };
        crate::flows::check_word(declared.id.as_str(), "id")?;
        self.check_connection(&declared)?;
        let Some(known) = self.0.store.connection(&declared.id).await? else {
            let inserted = self.0.store.insert_connection(&declared, 0).await;
            return inserted.map_err(|e| taken(e, Noun::Connection, declared.id.as_str()));
        };
        if known.account.is_some() {
            let message = format!(
                "connection {} belongs to account {}",
                known.id,
                known.account.unwrap_or_else(|| "".into())
            );
            return Err(Error::new(ErrorKind::Exists(Noun::Connection), message));
        }
        declared.created = known.created;
        let changed = self.0.store.change_connection(&declared.id, |c| {
            *c = declared.clone();
            Ok::<_, Error>(())
        });
        changed.await??;
        Ok(())
    }

    /// Declared connections that are not named here become ordinary entries without an owner, which the operator may remove.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn release_undeclared_connections(&self, declared: &[ConnectionId]) -> Result<()> {
        for c in self.0.store.connections().await? {
            if c.origin == Origin::Config && !declared.contains(&c.id) {
                let changed = self.0.store.change_connection(&c.id, |c| {
                    c.origin = Origin::Registered;
                    Ok::<_, Error>(())
                });
                changed.await??;
            }
        }
        Ok(())
    }

    /// A page of the caller's own connections that answer the filter, newest first, and how many do. The operator sees all, and the
    /// declared ones.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn connections(&self, c: &Caller, f: &ConnectionFilter) -> Result<(Vec<Connection>, u64)> {
        let mut all = self.0.store.connections().await?;
        all.retain(|o| {
            (c.operator || o.account.as_ref() == Some(&c.account))
                && f.search.as_ref().is_none_or(|s| o.name.contains(s.as_str()))
                && f.product.as_ref().is_none_or(|p| *p == o.product)
                && f.kind.is_none_or(|k| o.kind == Some(k))
        });
        Ok(page_of(&all, f.page))
    }

    /// One connection: the caller's own, or a declared one.
    ///
    /// # Errors
    /// `NotFound(Connection)`.
    pub async fn connection(&self, c: &Caller, id: &ConnectionId) -> Result<Connection> {
        let found = self.0.store.connection(id).await?;
        let mine = found.filter(|o| o.account.as_ref().is_none_or(|a| c.may_see(a)));
        mine.ok_or_else(|| Error::not_found(Noun::Connection, id))
    }

    /// A connection that the caller may change.
    async fn own_connection(&self, c: &Caller, id: &ConnectionId) -> Result<Connection> {
        let found = self.connection(c, id).await?;
        if found.origin == Origin::Config {
            let message = format!("{id} is declared in the configuration file and can only be changed there");
            return Err(Error::new(ErrorKind::Denied, message));
        }
        if found.account.is_none() && !c.operator {
            return Err(Error::new(ErrorKind::Denied, format!("{id} is the operator's")));
        }
        Ok(found)
    }

    /// Changes a connection; with `restart` its pipelines are restarted.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Denied` it is declared in the configuration, `Exists(Connection)` the name is taken, `Invalid`.
    pub async fn change_connection(
        &self,
        c: &Caller,
        id: &ConnectionId,
        change: ConnectionChange,
    ) -> Result<Connection> {
        self.own_connection(c, id).await?;
        let (restart, name) = (change.restart, change.name.clone().unwrap_or_default());
        let changed = self.0.store.change_connection(id, |found| {
            apply(found, change);
            self.check_connection(found)
        });
        let changed = changed.await.map_err(|e| match e.kind() {
            store::ErrorKind::NotFound => Error::not_found(Noun::Connection, id),
            _ => taken(e, Noun::Connection, &name),
        })??;
        if restart {
            self.restart_all(id).await?;
        }
        Ok(changed)
    }

    /// Restarts the pipelines on a connection. One that rests takes the change when it goes on.
    async fn restart_all(&self, id: &ConnectionId) -> Result<()> {
        for pipeline in self.0.store.needed_by("connection", id.as_str()).await? {
            let Some(p) = self.0.store.pipeline_terms(&pipeline).await? else { continue };
            if !matches!(
                p.status,
                PipelineStatus::Creating | PipelineStatus::Running | PipelineStatus::Resuming
            ) {
                continue;
            }
            match self.0.store.order_pipeline(&pipeline, PipelineOrder::Restart, self.now()).await {
                Ok(_) => self.0.dispatch.signal_pipeline(&pipeline),
                Err(e) if matches!(e.kind(), store::ErrorKind::Conflict | store::ErrorKind::NotFound) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Removes a connection that no pipeline uses.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Denied` it is declared in the configuration, `InUse`.
    pub async fn delete_connection(&self, c: &Caller, id: &ConnectionId) -> Result<()> {
        self.own_connection(c, id).await?;
        match self.0.store.remove_connection(id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::not_found(Noun::Connection, id)),
            Err(e) if e.kind() == store::ErrorKind::Conflict => {
                Err(Error::new(ErrorKind::InUse, e.message()))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// How many pipelines (that are not deleted) use a connection.
    ///
    /// # Errors
    /// `NotFound(Connection)`.
    pub async fn pipelines_of(&self, c: &Caller, id: &ConnectionId) -> Result<u64> {
        self.connection(c, id).await?;
        Ok(self.0.store.needed_by("connection", id.as_str()).await?.len() as u64)
    }

    /// Asks the system behind a connection; a few seconds at most.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Unreachable`, `BadCredentials`, `Unsupported` a product without a connector.
    pub async fn probe_connection(&self, c: &Caller, id: &ConnectionId) -> Result<()> {
        let found = self.connection(c, id).await?;
        self.ask_connection(&found).await
    }

    async fn ask_connection(&self, c: &Connection) -> Result<()> {
        let Some(kind) = c.kind else {
            let message = format!("{} can't be used here", c.product);
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let (connection, secret) = (c.address.clone(), c.secret.clone());
        let end = ReachedEnd { kind, connection, secret, options: "{}".to_owned() };
        self.answered(self.0.streams.probe(&end), Noun::Connection).await
    }

    /// Waits for another system's answer, but not for ever.
    pub(crate) async fn answered<T>(
        &self,
        call: impl Future<Output = connector::Result<T>>,
        missing: Noun,
    ) -> Result<T> {
        match tokio::time::timeout(ANSWERS, call).await {
            Ok(answer) => answer.map_err(|e| from_connector(&e, missing)),
            Err(_) => {
                let message = format!("it did not answer within {} s", ANSWERS.as_secs());
                Err(Error::new(ErrorKind::Unreachable, message))
            }
        }
    }
}

fn apply(c: &mut Connection, change: ConnectionChange) {
    if let Some(name) = change.name {
        c.name = name;
    }
    if let Some(description) = change.description {
        c.description = description;
    }
    if let Some(address) = change.address {
        c.address = address;
    }
    if let Some(secret) = change.secret {
        c.secret = Some(secret);
    }
    for (key, value) in change.attributes {
        match value {
            Some(value) => c.attributes.insert(key, value),
            None => c.attributes.remove(&key),
        };
    }
}
