//! The use cases: what may be asked of the server, whoever asks.
//!
//! Doors translate a product's words into these calls and the answers back. The rules that belong to
//! no vendor live here: identifiers are unique, states follow the model's machines, what is in use is
//! not removed, counts have limits, a client token acts once, a path stays below its file system's root
//! without crossing a symbolic link, secrets are sealed before they are stored and never come out
//! again, history ends.
//!
//! Control names no connector and no engine: the binary plugs them in through [`Trees`] and
//! [`Dispatch`]. It speaks no HTTP and no SQL.

mod accounts;
mod addresses;
mod connections;
mod dead;
mod dis;
mod dumps;
mod ends;
mod error;
mod filesets;
mod flow_logs;
mod flows;
mod folder;
mod housekeeping;
mod idempotency;
mod messages;
mod nouns;
mod overlap;
mod pipelines;
mod plan;
mod receipts;
mod resources;
mod seams;
mod sweep;
mod sync;
mod tasks;
mod topics;
mod usage;
mod verify;
mod whose;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

pub use addresses::{host_of, store_for_bucket};
pub use dis::{DisChange, DisLimits, DisPlace, DisRecord, DisRefusal, NewDisStream};
pub use dumps::{DumpPart, NewDump, dump_name};
pub use error::{Error, ErrorKind, Noun, Result};
pub use model::Plan;
pub use nouns::{
    Caller, ClusterRef, ConnectionChange, ConnectionFilter, FetchedRecord, FilesetChange, FlowChange,
    FlowLogChange, FlowLogFilter, FlowLogOrder, GivenKey, GivenToken, GroupOffset, Limits, Live, NewAccount,
    NewConnection, NewFileset, NewFlow, NewFlowLog, NewPipeline, NewRecord, NewTask, NewTopic,
    PipelineChange, PipelineFilter, Produced, SyncKind, TagFilter, TopicChange, TopicFilter, Transformed,
    Upkeep, Usage, Verification,
};
pub use pipelines::{datahub_id, pipeline_of};
pub use receipts::ReportAccess;
pub use seams::{
    Cluster, ClusterTopic, Dispatch, LogPiece, LogRecord, NoObservers, NoStreams, Observers, PartitionEnds,
    ReachedEnd, Streams, TopicConfig, Trees, WantedNetwork,
};
pub use store::{DeadFilter, DeadId, DeadTotals, EventsFrom, FlowFilter, Page, Span, TaskEvents, TaskFilter};
pub use sync::Synced;

use model::{Sealed, Timestamp};
use runtime::{Clock, Random};
use store::{Purpose, SealKey, Store};

/// What a [`Control`] is made of.
pub struct Parts {
    /// Records.
    pub store: Store,
    /// Time.
    pub clock: Clock,
    /// Identifiers and keys.
    pub random: Random,
    /// Connectors.
    pub trees: Arc<dyn Trees>,
    /// Engine.
    pub dispatch: Arc<dyn Dispatch>,
    /// Bounds.
    pub limits: Limits,
    /// Data folder; reports lie below `reports/`.
    pub data_dir: PathBuf,
    /// Master key.
    pub seal: SealKey,
}

/// The use cases. Clones share everything.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    parts: Parts,
    streams: Arc<dyn Streams>,
    /// Known once they are up.
    observers: OnceLock<Arc<dyn Observers>>,
    keys: accounts::Keys,
    tokens: idempotency::Tokens,
    at_work: filesets::AtWork,
    counts: usage::Counts,
    plans: tokio::sync::Semaphore,
    rates: messages::Rates,
    dis: dis::Desk,
    /// When syncs were looked after last.
    synced: std::sync::Mutex<Timestamp>,
    verifications: Arc<tokio::sync::Semaphore>,
    swept: sweep::Swept,
}

impl Inner {
    fn observers(&self) -> &dyn Observers {
        match self.observers.get() {
            Some(observers) => observers.as_ref(),
            None => &NoObservers,
        }
    }
}

impl std::ops::Deref for Inner {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Control {
    /// Puts the parts together, without connectors of records. No I/O.
    #[must_use]
    pub fn open(parts: Parts) -> Self {
        Self::open_with(parts, Arc::new(NoStreams))
    }

    /// Puts the parts together. No I/O.
    #[must_use]
    pub fn open_with(parts: Parts, streams: Arc<dyn Streams>) -> Self {
        Self(Arc::new(Inner {
            parts,
            streams,
            observers: OnceLock::new(),
            keys: accounts::Keys::default(),
            tokens: idempotency::Tokens::default(),
            at_work: filesets::AtWork::default(),
            counts: usage::Counts::default(),
            plans: tokio::sync::Semaphore::new(plan::AT_ONCE),
            rates: messages::Rates::default(),
            dis: dis::Desk::default(),
            synced: std::sync::Mutex::default(),
            verifications: Arc::new(tokio::sync::Semaphore::new(verify::AT_ONCE_OF_ALL)),
            swept: sweep::Swept::default(),
        }))
    }

    /// Tells who observes network resources. The first word counts; without it no resource is known.
    pub fn set_observers(&self, observers: Arc<dyn Observers>) {
        let _ = self.0.observers.set(observers);
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Randomness.
    #[must_use]
    pub fn random(&self) -> &Random {
        &self.0.random
    }

    /// Bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Seals a secret that came with a request (a key, a password).
    #[must_use]
    pub fn seal(&self, plain: &str) -> Sealed {
        self.0.seal.seal(Purpose::Credentials, plain)
    }

    /// Vouches for a text that a client keeps for us (a cursor): a tag that only this server's master key makes.
    #[must_use]
    pub fn tag(&self, usage: &'static str, text: &[u8]) -> Vec<u8> {
        ring::hmac::sign(&self.0.seal.mac_key(usage), text).as_ref().to_vec()
    }

    /// Is this the tag of the text? Compared in constant time.
    #[must_use]
    pub fn check_tag(&self, usage: &'static str, text: &[u8], tag: &[u8]) -> bool {
        ring::hmac::verify(&self.0.seal.mac_key(usage), text, tag).is_ok()
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.0.clock.now().0)
    }
}
