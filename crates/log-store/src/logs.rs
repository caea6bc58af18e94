//! All topics of a server. A topic is opened when it is first used.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::Clock;

use crate::topic::{Settings, Topic};
use crate::{Error, Result};

/// The topics. Clones share everything.
#[derive(Debug, Clone)]
pub struct Logs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    clock: Clock,
    declared: BTreeMap<String, Settings>,
    open: Mutex<HashMap<String, Arc<Topic>>>,
}

impl Logs {
    /// These topics, each in a folder of its own below `folder`. Nothing is read yet.
    #[must_use]
    pub fn new(folder: PathBuf, declared: BTreeMap<String, Settings>, clock: Clock) -> Self {
        Self(Arc::new(Inner { folder, clock, declared, open: Mutex::default() }))
    }

    /// A topic.
    ///
    /// # Errors
    /// `NotFound`, and what opening it says.
    pub fn topic(&self, id: &str) -> Result<Arc<Topic>> {
        let unknown = || Error::NotFound(id.to_owned());
        let settings = self.0.declared.get(id).filter(|_| is_name(id)).ok_or_else(unknown)?;
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = open.get(id) {
            return Ok(topic.clone());
        }
        let topic = Arc::new(Topic::open(&self.0.folder.join(id), *settings, self.0.clock.clone())?);
        open.insert(id.to_owned(), topic.clone());
        Ok(topic)
    }

    /// How a topic is kept.
    #[must_use]
    pub fn settings(&self, id: &str) -> Option<Settings> {
        self.0.declared.get(id).copied()
    }

    /// Seals and takes away what is due, in all topics that have a folder.
    pub fn maintain(&self) {
        for id in self.0.declared.keys().filter(|id| self.0.folder.join(id).exists()) {
            if let Err(e) = self.topic(id).and_then(|t| t.maintain()) {
                tracing::warn!(topic = %id, "upkeep of a log topic: {e}");
            }
        }
    }
}

/// A name that is a folder's too.
fn is_name(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !id.is_empty() && id.len() <= 128 && id.bytes().all(plain)
}
