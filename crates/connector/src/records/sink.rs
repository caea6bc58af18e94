//! Where records go.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use runtime::{ByteBudget, Clock, Random};

use super::{GroupToken, Mark, Split, Unit};
use crate::{ErrorKind, Result};

/// A secret that does not print.
#[derive(Clone)]
pub struct Secret(pub Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One end of a pipeline as a connector gets it. Both texts are JSON objects that the connector's own types define and
/// check (`deny_unknown_fields`).
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// How to reach it: addresses, user name. No secret.
    pub connection: String,
    /// Password or secret key.
    pub secret: Option<Secret>,
    /// What to do there: topic, index, table, format.
    pub options: String,
}

/// Something wrong with an endpoint's connection or options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Field of the options (`topic`, `schema.0.type`).
    pub field: String,
    /// What is wrong with it, lower case, no full stop, no secret.
    pub reason: String,
}

/// What a connector may use.
#[derive(Clone)]
pub struct Context {
    /// Identity of the pipeline (`task-…`): names groups, transactions, objects, position rows. ASCII letters, digits, `-`.
    pub pipeline: String,
    /// Which lane of it, from 0.
    pub lane: u32,
    /// Time.
    pub clock: Clock,
    /// Randomness (back-off).
    pub random: Random,
    /// Bytes in flight, shared by everything in the process. What a sink buffers beyond its units is under a lease of it.
    pub budget: ByteBudget,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({}/{})", self.pipeline, self.lane)
    }
}

/// A record that the destination will not take as it is, now or ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Index in the unit's batch.
    pub index: usize,
    /// Why, as far as anybody has to act on it (`Unacceptable` mostly).
    pub kind: ErrorKind,
    /// The destination's own words, without secrets; at most 1 KiB is kept.
    pub reason: String,
}

/// What the host decided about a refused record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It is kept aside, durably, with its exact original bytes.
    Kept,
    /// It is dropped, as the task says.
    Dropped,
}

/// What the engine does for a sink.
#[async_trait(?Send)]
pub trait Host {
    /// Rules on records of a unit that the destination refused. When this returns, what is to be kept is durable: a sink
    /// calls it before it commits the position of the unit. Calling it again for the same records (after a crash or an
    /// error) is harmless. One ruling for all.
    ///
    /// # Errors
    /// The task does not allow to go on without the record (the sink returns this error from its call), or nothing could be kept.
    async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling>;
}

/// How far a split has come at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which.
    pub split: Split,
    /// Everything before `mark.next` is durable at the destination, or ruled on.
    pub mark: Mark,
}

/// How far behind the end of the source a split is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Which.
    pub split: Split,
    /// Records, about.
    pub records: u64,
}

/// A destination of records. Lives on one thread, inside a current-thread runtime with a `LocalSet`.
///
/// Exactly-once, where the destination can: position and account ([`Mark`]) are part of the same atomic unit as the records, and
/// [`committed`](Self::committed) reads them back. Where it can't, the same record written twice is one (deterministic
/// identity from split, position and sub), or the documentation says "at least once".
///
/// Order: the records of one split become visible in order of position, unless the destination has no order (an index by id).
/// Nothing is settled out of order.
///
/// Errors: transient ones (`Unavailable`, `Throttled`) are tried again inside the sink for a short while with growing pauses; what
/// is returned ends this run of the lane, and the engine builds a new sink later from what is committed. A sink must be
/// safe to drop at any moment: dropping equals a crash.
#[async_trait(?Send)]
pub trait RecordSink {
    /// For people: `elasticsearch http://host:9200/index`. Never a secret.
    fn describe(&self) -> String;

    /// What the destination itself knows of these splits, `None` where it knows nothing or keeps no positions. `known` is the
    /// engine's own journal, which may be behind: a sink whose units have deterministic names looks whether the units that follow
    /// it are there already. Also fences older owners of the splits, where that is possible.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>>;

    /// Takes these splits over at these marks. Always called before the first unit of a split, after `committed`.
    ///
    /// # Errors
    /// As `write`.
    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()>;

    /// Lets go of splits, after a `flush` (or without one, when they are lost: then what is not settled is forgotten).
    async fn close(&mut self, splits: &[Split]);

    /// Takes a unit. May return before it is durable; may wait for room. Units of a split come in order.
    ///
    /// # Errors
    /// `Denied`, `NotFound` (no such table, and it is not made), `Full`, `Unavailable`, `Throttled`; what the host said to a refusal.
    async fn write(&mut self, unit: Unit) -> Result<()>;

    /// Called often (about every 100 ms): writes what is due by the sink's own rules of size and time. Cheap when nothing is.
    ///
    /// # Errors
    /// As `write`.
    async fn tick(&mut self) -> Result<()>;

    /// Makes everything taken so far durable (a pause, a stop, a split that is taken away).
    ///
    /// # Errors
    /// As `write`.
    async fn flush(&mut self) -> Result<()>;

    /// What fills the lane's window is held by this sink, and nothing more can come: writes what it can, also what it would rather keep until
    /// more is there. Called again while that lasts.
    ///
    /// # Errors
    /// As `write`.
    async fn relieve(&mut self) -> Result<()> {
        self.flush().await
    }

    /// What has been settled since the last call: at most one entry for a split, the newest.
    fn settled(&mut self) -> Vec<Settled>;

    /// May units be refused after they were taken? Then the engine keeps their originals until they are settled.
    fn may_refuse(&self) -> bool {
        true
    }

    /// Hands over the source's group, for sinks that commit the source's offsets in their own transaction. Returns true when the
    /// sink does so: then the engine leaves the group's offsets alone.
    fn join(&mut self, _group: GroupToken) -> bool {
        false
    }
}

/// Shared by sinks and their engine on one thread.
pub type SharedHost = Rc<dyn Host>;
