//! Topics: those of the products' API, and what lies on a Kafka cluster.

use model::DipTopic;

use crate::{
    Caller, ClusterRef, ClusterTopic, Control, Error, ErrorKind, FetchedRecord, GroupOffset, NewTopic,
    Result, TopicChange, TopicFilter,
};

fn later<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "not built yet"))
}

impl Control {
    /// Makes a topic on the server's own cluster, with a user of its own.
    ///
    /// # Errors
    /// `Exists(Topic)`, `Invalid` (`name`, `partitions`, `retention_ms`, `note`), `LimitExceeded`, `Unreachable`.
    pub async fn create_topic(&self, _c: &Caller, _new: NewTopic) -> Result<DipTopic> {
        later()
    }

    /// A page of the caller's topics, newest first, and how many there are.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn topics(&self, _c: &Caller, _filter: &TopicFilter) -> Result<(Vec<DipTopic>, u64)> {
        later()
    }

    /// One topic of the caller's, by name or `topic-…`.
    ///
    /// # Errors
    /// `NotFound(Topic)`.
    pub async fn topic(&self, _c: &Caller, _name: &str) -> Result<DipTopic> {
        later()
    }

    /// The password of a topic's user. The product shows it; nothing else ever does.
    ///
    /// # Errors
    /// `Internal`.
    pub fn topic_password(&self, _topic: &DipTopic) -> Result<String> {
        later()
    }

    /// The address at which clients find the topics.
    #[must_use]
    pub fn topic_address(&self) -> String {
        self.0.streams.own_address()
    }

    /// Changes a topic, also on the cluster.
    ///
    /// # Errors
    /// `NotFound(Topic)`, `Invalid`, `Unreachable`.
    pub async fn change_topic(&self, _c: &Caller, _name: &str, _change: TopicChange) -> Result<DipTopic> {
        later()
    }

    /// Removes a topic with its records and its user.
    ///
    /// # Errors
    /// `NotFound(Topic)`, `InUse` a pipeline reads or writes it, `Unreachable`.
    pub async fn delete_topic(&self, _c: &Caller, _name: &str) -> Result<()> {
        later()
    }

    /// The topics of a cluster that are not the cluster's own, by name.
    ///
    /// # Errors
    /// `NotFound(Connection)`, `Unreachable`, `BadCredentials`.
    pub async fn kafka_topics(&self, _c: &Caller, _on: &ClusterRef) -> Result<Vec<ClusterTopic>> {
        later()
    }

    /// Where a consumer group stands in one of the caller's topics, or in one that a pipeline of the caller's uses.
    ///
    /// # Errors
    /// `NotFound(Topic)`, `Unreachable`.
    pub async fn group_offsets(&self, _c: &Caller, _topic: &str, _group: &str) -> Result<Vec<GroupOffset>> {
        later()
    }

    /// The record at a position.
    ///
    /// # Errors
    /// `NotFound(Topic)`; `NotFound(Record)` nothing is at this position, or no such partition; `Unreachable`.
    pub async fn fetch_record(
        &self,
        _c: &Caller,
        _topic: &str,
        _partition: i32,
        _offset: i64,
    ) -> Result<FetchedRecord> {
        later()
    }

    /// The latest `count` records of a partition, or so many from a position on; in order of position.
    ///
    /// # Errors
    /// As [`Control::fetch_record`], but that an empty partition is no error.
    pub async fn fetch_latest(
        &self,
        _c: &Caller,
        _topic: &str,
        _partition: i32,
        _offset: Option<i64>,
        _count: u32,
    ) -> Result<Vec<FetchedRecord>> {
        later()
    }
}
