//! What the binary plugs in for flow logs: who knows the network's resources and observes them.

use async_trait::async_trait;
use model::{AccountId, FlowLogId, FlowLogState, LoggedTraffic, NetworkKind};

/// A resource that somebody wants to have observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedNetwork {
    /// Who wants it.
    pub account: AccountId,
    /// What kind of resource.
    pub kind: NetworkKind,
    /// Which one.
    pub resource: String,
    /// The virtual network that it is said to be in; empty where none is.
    pub vpc: String,
    /// Which traffic.
    pub traffic: LoggedTraffic,
}

/// Observes network resources for flow logs. Calls return at once, but for [`Observers::check`].
#[async_trait]
pub trait Observers: Send + Sync {
    /// Is the resource there, and can it be observed on this machine with the rights that the server has?
    ///
    /// # Errors
    /// `NotFound` the catalogue has no such resource (or not for this account, or not in this network); `Denied` rights are missing;
    /// `Unavailable` its device or namespace isn't there now; `Unsupported` the system can't observe it, or not this traffic of it.
    async fn check(&self, wanted: &WantedNetwork) -> connector::Result<()>;

    /// Flow logs were made, switched, changed or removed.
    fn wake(&self) {}

    /// What has become of a flow log that this process observes, as of this moment.
    fn live(&self, _id: &FlowLogId) -> Option<FlowLogState> {
        None
    }
}

/// Nobody observes: no resource is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObservers;

#[async_trait]
impl Observers for NoObservers {
    async fn check(&self, wanted: &WantedNetwork) -> connector::Result<()> {
        let message = format!("{} is not in the catalogue", wanted.resource);
        Err(connector::Error::new(connector::ErrorKind::NotFound, message))
    }
}
