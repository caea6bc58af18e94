//! Flow logs as the server runs them: the supervisor as control asks it, and topics as records reach them.

use std::sync::Arc;

use async_trait::async_trait;
use connector::{Error, ErrorKind};
use control::{Caller, Cluster, Control, NewRecord, Observers, Streams, WantedNetwork};
use engine::flow_log::{Lookup, Message, Refusal, Settings, Sink, SinkError, Supervisor};
use model::{FlowLog, FlowLogId, FlowLogState};
use runtime::{Clock, Random};
use store::Store;

use super::streams::Connectors;
use crate::config::Config;

/// Takes up what is enabled. Comes after the broker.
pub async fn start(
    config: &Config,
    control: &Control,
    connectors: Arc<Connectors>,
    store: Store,
) -> Result<Supervisor, String> {
    let settings = Settings {
        store,
        networks: config.flow_logs.networks(&config.networks, &config.data_dir),
        sink: Arc::new(Topics { control: control.clone(), connectors }),
        clock: Clock::system(),
        random: Random::system(),
        buffer: config.flow_logs.buffer,
        lease: engine::dispatch::Lease::default(),
    };
    let supervisor = Supervisor::start(settings).await;
    let supervisor = supervisor.map_err(|e| format!("can't start flow logs: {e}"))?;
    control.set_observers(Arc::new(Door(supervisor.clone())));
    Ok(supervisor)
}

/// The supervisor as control sees it.
struct Door(Supervisor);

#[async_trait]
impl Observers for Door {
    async fn check(&self, wanted: &WantedNetwork) -> connector::Result<()> {
        let (supervisor, wanted) = (self.0.clone(), wanted.clone());
        let tried = runtime::blocking(move || {
            supervisor.check(&Lookup {
                account: wanted.account.as_str(),
                resource: &wanted.resource,
                vpc: &wanted.vpc,
                traffic: wanted.traffic,
                window: None,
            })
        });
        tried.await.map_err(|e| Error::new(ErrorKind::Other, e))?.map_err(|refusal| match refusal {
            Refusal::Unknown(why) => Error::new(ErrorKind::NotFound, why),
            Refusal::Rights(why) => Error::new(ErrorKind::Denied, why),
            Refusal::Away(why) => Error::new(ErrorKind::Unavailable, why),
            Refusal::Unsupported(why) => Error::new(ErrorKind::Unsupported, why),
        })
    }

    fn wake(&self) {
        self.0.wake();
    }

    fn live(&self, id: &FlowLogId) -> Option<FlowLogState> {
        self.0.live(id)
    }
}

/// Kafka topics.
struct Topics {
    control: Control,
    connectors: Arc<Connectors>,
}

#[async_trait]
impl Sink for Topics {
    async fn write(&self, log: &FlowLog, messages: &[Message]) -> Result<(), SinkError> {
        let caller = Caller::account(log.account.clone());
        let connection = self.control.connection(&caller, &log.topic.connection).await;
        let connection = connection.map_err(|e| SinkError::Failed(e.to_string()))?;
        let cluster = Cluster { connection: connection.address, secret: connection.secret };
        let one = |m: &Message| NewRecord {
            key: Some(m.key.clone().into_bytes()),
            value: Some(m.value.clone()),
            headers: vec![(b"id".to_vec(), Some(m.id.clone().into_bytes()))],
            partition: None,
        };
        let records = messages.iter().map(one).collect();
        match self.connectors.produce(&cluster, &log.topic.topic, records).await {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(SinkError::Gone(e.to_string())),
            Err(e) => Err(SinkError::Failed(e.to_string())),
        }
    }
}
