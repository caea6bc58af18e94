//! Groups as a whole, and positions that are set from outside of them.

use std::time::Duration;

use connector::Result;
use connector::records::Endpoint;

use super::KafkaAdmin;
use crate::options::{SourceOptions, parse};
use crate::raw::{Client, List};

impl KafkaAdmin {
    /// Names of the cluster's consumer groups.
    ///
    /// # Errors
    /// `Unavailable`, `Denied`.
    pub fn groups(&self, wait: Duration) -> Result<Vec<String>> {
        self.client.groups(wait).map_err(|e| self.fail(e))
    }

    /// Sets positions of a group that nobody is in.
    ///
    /// # Errors
    /// `NotFound` no such topic, `Denied`, `Unavailable`; the cluster refuses a group with members.
    pub fn commit(&self, group: &str, topic: &str, offsets: &[(i32, i64)], wait: Duration) -> Result<()> {
        let mut settings = self.settings.clone();
        settings.set("group.id", group).set("enable.auto.commit", false);
        let client = Client::consumer(&settings).map_err(|e| self.fail(e))?;
        let mut list = List::new(offsets.len());
        for (partition, offset) in offsets {
            list.add(topic, *partition, *offset, None).map_err(|e| self.fail(e))?;
        }
        client.commit(&list, wait).map_err(|e| self.fail(e))
    }
}

/// How many partitions a source's options lead to now: as many lanes can have work. With a pattern, those of all topics.
///
/// # Errors
/// `Unavailable`, `Denied`, `Unacceptable` options. A topic that is not there has none.
pub fn splits(endpoint: &Endpoint, wait: Duration) -> Result<usize> {
    let options = parse("source", &endpoint.options, SourceOptions::problems)?;
    let admin = KafkaAdmin::new(endpoint)?;
    let mut partitions = 0;
    if options.topics.is_empty() {
        partitions = admin.topics(wait)?.iter().map(|t| t.partitions).sum();
    }
    for topic in &options.topics {
        partitions += admin.topic(topic, wait)?.map_or(0, |t| t.partitions);
    }
    Ok(usize::try_from(partitions).unwrap_or(0))
}
