//! The topics as one client may see them.
//!
//! Requests look topics up through here and nowhere else. A topic that the client's user may not use is not there: it is in no list, it can't be
//! read, written, changed or removed, and its name can't be taken. So nothing tells it from one that does not exist, but that its name is refused.

use crate::error::{Error, Result};
use crate::partition::Partition;
use crate::settings::{TopicDefaults, Users};
use crate::topics::{Topic, Topics};
use kafka_protocol::ResponseError;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// See the module.
#[derive(Clone, Copy)]
pub struct Seen<'s> {
    topics: &'s Topics,
    who: Option<(&'s dyn Users, &'s str)>,
}

impl<'s> Seen<'s> {
    /// For a user; `None` sees everything.
    pub fn new(topics: &'s Topics, who: Option<(&'s dyn Users, &'s str)>) -> Self {
        Self { topics, who }
    }

    fn may_use(&self, topic: &str) -> bool {
        self.who.is_none_or(|(users, name)| users.may_use(name, topic))
    }

    fn require(&self, topic: &str) -> Result<()> {
        if self.may_use(topic) {
            return Ok(());
        }
        Err(Error::new(ResponseError::UnknownTopicOrPartition, format!("there is no topic {topic:?}")))
    }

    /// A topic by its name.
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.get(name).filter(|t| self.may_use(&t.name))
    }

    /// A topic by its identity.
    pub fn by_id(&self, id: &Uuid) -> Option<Arc<Topic>> {
        self.topics.by_id(id).filter(|t| self.may_use(&t.name))
    }

    /// All topics, by name.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        let mut all = self.topics.all();
        all.retain(|t| self.may_use(&t.name));
        all
    }

    /// One partition.
    ///
    /// # Errors
    /// When there is no such topic or partition.
    pub fn partition(&self, topic: &str, index: i32) -> Result<Arc<Partition>> {
        self.require(topic)?;
        self.topics.partition(topic, index)
    }

    /// What topics are like by default.
    pub fn defaults(&self) -> &'s TopicDefaults {
        self.topics.defaults()
    }

    /// As [`Topics::create`].
    ///
    /// # Errors
    /// The same, and a name that is not this user's to take.
    pub fn create(
        &self,
        name: &str,
        partitions: i32,
        overrides: BTreeMap<String, String>,
        only_check: bool,
    ) -> Result<Arc<Topic>> {
        if !self.may_use(name) {
            let words = format!("the name {name:?} is not for this user");
            return Err(Error::new(ResponseError::TopicAuthorizationFailed, words));
        }
        self.topics.create(name, partitions, overrides, only_check)
    }

    /// As [`Topics::grow`].
    ///
    /// # Errors
    /// The same.
    pub fn grow(&self, name: &str, partitions: i32, only_check: bool) -> Result<Arc<Topic>> {
        self.require(name)?;
        self.topics.grow(name, partitions, only_check)
    }

    /// As [`Topics::configure`].
    ///
    /// # Errors
    /// The same.
    pub fn configure(
        &self,
        name: &str,
        only_check: bool,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<()>,
    ) -> Result<()> {
        self.require(name)?;
        self.topics.configure(name, only_check, change)
    }

    /// As [`Topics::delete`].
    ///
    /// # Errors
    /// The same.
    pub fn delete(&self, name: &str) -> Result<Uuid> {
        self.require(name)?;
        self.topics.delete(name)
    }
}
