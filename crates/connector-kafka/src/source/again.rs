//! Starting a partition again while it is read: a message was lost on its way, or its position is out of range.
//!
//! The library's seek needs a partition that is being read, so the partition is let go of and taken again. In the middle of a
//! rebalance that is dangerous: the library takes any letting go for the answer to a revocation that waits, and the group would go on
//! while records of the revoked splits are under way. Taking again makes it forget that an assignment was lost. So a
//! split is only noted here, gives nothing more, and is started again when no revocation is known and none waits in the queue. One
//! that comes in between all the same is found right after, and taken for a loss, since the group may not have waited.

use std::time::Instant;

use connector::Result;
use connector::records::Split;

use super::{KafkaSource, SLICE};
use crate::fault::during;
use crate::raw::List;

impl KafkaSource {
    /// A message came as an event, and is gone: the library has made the partition's queue anew (its topic was not
    /// seen for a moment) and forgotten where messages are to go.
    pub(super) fn fetch_again(&mut self, split: &Split) {
        let Some(at) = self.positions.get(split).copied() else { return };
        tracing::debug!("{split}: fetched again from {at}");
        self.restart(split, at);
    }

    /// Notes that a split is to be started again at `at`.
    pub(super) fn restart(&mut self, split: &Split, at: i64) {
        self.fetched.retain(|m| m.partition() != split.partition || m.topic() != &*split.topic);
        self.unsure.insert(split.clone());
        self.unheard.insert(split.clone());
        self.again.insert(split.clone(), at);
    }

    /// Starts again what is noted, when nobody waits for this member. Called when the queue of events was just empty.
    pub(super) fn start_again(&mut self) -> Result<()> {
        if self.again.is_empty() || self.revoked.is_some() || self.client.loses() {
            return Ok(());
        }
        let doing = during("a partition can't be started again");
        let mut list = List::new(self.again.len());
        for (split, at) in &self.again {
            list.add(&split.topic, split.partition, *at, None).map_err(&doing)?;
        }
        self.doubtful = true;
        self.client.unassign(&list).map_err(&doing)?;
        self.direct(&list).map_err(&doing)?;
        self.client.assign_more(&list).map_err(&doing)?;
        self.direct(&list).map_err(&doing)?;
        self.again.clear();
        Ok(())
    }

    fn direct(&self, list: &List) -> std::result::Result<(), crate::raw::Fault> {
        list.places().iter().try_for_each(|p| self.data.take_partition(&p.topic, p.partition))
    }

    /// Says once more where messages go, of splits that none has come of. The library stops a partition on a thread of its own
    /// when it is let go of, and forgets then where its messages go, even if the partition was taken again meanwhile: they
    /// would pile up where nobody looks. Saying it twice changes nothing.
    pub(super) fn direct_again(&mut self) {
        if self.directed.elapsed() < SLICE {
            return;
        }
        self.directed = Instant::now();
        for split in &self.unheard {
            if let Err(fault) = self.data.take_partition(&split.topic, split.partition) {
                tracing::debug!("{split}: its messages can't be directed again: {}", fault.text);
            }
        }
        if !self.unsure.is_empty() {
            tracing::debug!("{}: waits for messages of {} splits", self.describe, self.unsure.len());
        }
    }

    /// For tests: as if a message of this split had gone astray.
    #[doc(hidden)]
    pub fn disturb(&mut self, split: &Split) {
        self.fetch_again(split);
    }
}
