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

mod error;
mod nouns;
mod seams;
#[rustfmt::skip]
#[allow(clippy::wildcard_imports)]
mod stubs;

use std::path::PathBuf;
use std::sync::Arc;

pub use error::{Error, ErrorKind, Noun, Result};
pub use nouns::{
    Caller, FilesetChange, FlowChange, Limits, NewFileset, NewFlow, NewTask, Plan, Usage, Verification,
};
pub use seams::{Dispatch, Trees};
pub use store::{FlowFilter, Page, Span, TaskFilter};

use model::Sealed;
use runtime::{Clock, Random};
use store::{Purpose, SealKey, Store};

/// An account to make. `None` = made up.
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    /// Name for people.
    pub name: String,
    /// Identifier (a number, as Tencent's `Uin`).
    pub id: Option<String>,
    /// Tencent's `AppId`.
    pub app_id: Option<String>,
    /// May use the operator's door.
    pub operator: bool,
    /// Access key id and secret that are given (configuration, demo).
    pub key: Option<GivenKey>,
}

/// An access key that is given rather than made.
#[derive(Clone)]
pub struct GivenKey {
    /// `SecretId` / `AccessKeyId`.
    pub access_key_id: String,
    /// The secret half, plain.
    pub secret: String,
}

impl std::fmt::Debug for GivenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GivenKey").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// What a round of upkeep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Upkeep {
    /// Tasks that left the history.
    pub tasks_forgotten: u64,
    /// Client tokens that expired.
    pub tokens_forgotten: u64,
    /// Flows that were asked again and changed their state.
    pub flows_changed: u64,
}

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
pub struct Control(Arc<Parts>);

impl Control {
    /// Puts the parts together. No I/O.
    #[must_use]
    pub fn open(parts: Parts) -> Self {
        Self(Arc::new(parts))
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
}
