//! Connections: systems that pipelines lead to or come from.

use model::{Connection, ConnectionId, PipelineEnd};

use crate::{
    Caller, Cluster, ClusterRef, ConnectionChange, ConnectionFilter, Control, Error, ErrorKind,
    NewConnection, ReachedEnd, Result,
};

fn later<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "not built yet"))
}

impl Control {
    /// Makes a connection.
    ///
    /// # Errors
    /// `Exists(Connection)` the name is taken; `Invalid` (all problems of the address); `LimitExceeded`; with `probe` also `Unreachable`,
    /// `BadCredentials`.
    pub async fn create_connection(&self, _c: &Caller, _new: NewConnection) -> Result<Connection> {
        later()
    }

    /// Stores what `wharf.toml` declares, everybody's, under the id that it gives.
    ///
    /// # Errors
    /// `Invalid`, `Exists(Connection)` when the id is a user's.
    pub async fn declare_connection(&self, _connection: Connection) -> Result<()> {
        later()
    }

    /// Declared connections that are not named here become ordinary entries without an owner, which the operator may remove.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn release_undeclared_connections(&self, _declared: &[ConnectionId]) -> Result<()> {
        later()
    }

    /// A page of the caller's own connections that answer the filter, newest first, and how many do. The operator sees all, and the
    /// declared ones.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn connections(
        &self,
        _c: &Caller,
        _filter: &ConnectionFilter,
    ) -> Result<(Vec<Connection>, u64)> {
        later()
    }

    /// One connection: the caller's own, or a declared one.
    ///
    /// # Errors
    /// `NotFound(Connection)`.
    pub async fn connection(&self, _c: &Caller, _id: &ConnectionId) -> Result<Connection> {
        later()
    }

    /// Changes a connection; with `restart` its pipelines are restarted.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Denied` it is declared in the configuration, `Exists(Connection)` the name is taken, `Invalid`.
    pub async fn change_connection(
        &self,
        _c: &Caller,
        _id: &ConnectionId,
        _change: ConnectionChange,
    ) -> Result<Connection> {
        later()
    }

    /// Removes a connection that no pipeline uses.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Denied` it is declared in the configuration, `InUse`.
    pub async fn delete_connection(&self, _c: &Caller, _id: &ConnectionId) -> Result<()> {
        later()
    }

    /// How many pipelines (that are not deleted) use a connection.
    ///
    /// # Errors
    /// `NotFound(Connection)`.
    pub async fn pipelines_of(&self, _c: &Caller, _id: &ConnectionId) -> Result<u64> {
        later()
    }

    /// Asks the system behind a connection; a few seconds at most.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Unreachable`, `BadCredentials`, `Unsupported` a product without a connector.
    pub async fn probe_connection(&self, _c: &Caller, _id: &ConnectionId) -> Result<()> {
        later()
    }

    /// An end with everything that its connector needs: its connection's address and secret, a bucket's object store from the
    /// catalogue. Also for the engine (as the operator), each time that it builds an end.
    ///
    /// # Errors
    /// `NotFound(Connection | Bucket)`, `Unsupported`, `Invalid` the connection is another connector's.
    pub async fn reach(&self, _c: &Caller, _end: &PipelineEnd) -> Result<ReachedEnd> {
        later()
    }

    /// The Kafka cluster that is meant.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Invalid` it is none of Kafka.
    pub async fn cluster(&self, _c: &Caller, _which: &ClusterRef) -> Result<Cluster> {
        later()
    }
}
