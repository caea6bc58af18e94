//! The coordinator of transactions: producer ids, epochs, and the two steps in which a transaction ends.
//!
//! A transaction ends when its decision is in the journal; the markers in the partitions and the offsets
//! of the groups follow from it and are written again after a crash between the two. The log tells
//! whether a marker is still missing: the producer has an open transaction there. Rules: KIP-98,
//! Kafka's `TransactionCoordinator`.

mod store;

pub use store::{State, Txn, Txns};

use crate::core::Core;
use crate::error::{Error, Result};
use crate::groups::offsets::Spot;
use crate::storage::batch::Header;
use crate::storage::records;
use kafka_protocol::ResponseError;
use runtime::Shutdown;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// Longest time that a transaction may be open, as in Kafka.
const MOST_TIMEOUT_MS: i32 = 900_000;
/// After a failure it is tried again this much later, in milliseconds.
const RETRY_MS: i64 = 1000;
/// Longest id.
const LONGEST_ID: usize = 1024;

/// Who speaks for a transactional id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaker {
    /// Producer id.
    pub producer_id: i64,
    /// Epoch.
    pub epoch: i16,
}

fn fenced() -> Error {
    Error::new(
        ResponseError::ProducerFenced,
        "a newer producer with the same transactional id has taken over",
    )
}

fn check(txn: &Txn, who: Speaker) -> Result<()> {
    if txn.epoch < 0 || txn.producer_id != who.producer_id {
        return Err(ResponseError::InvalidProducerIdMapping.into());
    }
    if txn.epoch != who.epoch {
        return Err(fenced());
    }
    Ok(())
}

impl Core {
    /// A producer begins its work with a transactional id: what an earlier one left open is aborted, and
    /// the earlier one is fenced. `who` is the producer's present identity, if it has one.
    ///
    /// # Errors
    /// When the id or timeout is not allowed, or `who` is fenced.
    pub async fn init_transactions(
        &self,
        id: &str,
        timeout_ms: i32,
        who: Option<Speaker>,
    ) -> Result<Speaker> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(ResponseError::InvalidRequest.into());
        }
        if !(1..=MOST_TIMEOUT_MS).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout.into());
        }
        let txn = self.txns.find_or_make(id)?;
        let mut txn = txn.lock().await;
        if let Some(who) = who {
            let fits = txn.producer_id == who.producer_id && txn.epoch == who.epoch;
            if txn.epoch >= 0 && !fits {
                return Err(fenced());
            }
        }
        match txn.state {
            State::Ongoing => {
                // The old producer is fenced in the partitions too: the markers carry the new epoch.
                let mut next = txn.clone();
                next.epoch = next.epoch.saturating_add(1);
                *txn = next;
                self.end(id, &mut txn, false).await?;
            }
            State::PrepareCommit | State::PrepareAbort => self.finish(id, &mut txn).await?,
            _ => {}
        }
        let mut next = txn.clone();
        if next.epoch < 0 || next.epoch >= i16::MAX - 2 {
            (next.producer_id, next.epoch) = (self.txns.new_producer_id()?, 0);
        } else {
            next.epoch += 1;
        }
        (next.state, next.timeout_ms) = (State::Empty, timeout_ms);
        self.txns.save(id, &mut next)?;
        *txn = next;
        Ok(Speaker { producer_id: txn.producer_id, epoch: txn.epoch })
    }

    /// Adds partitions or a group to the open transaction, which begins with the first of them.
    ///
    /// # Errors
    /// When the producer is fenced or unknown.
    pub async fn add_to_txn(
        &self,
        id: &str,
        who: Speaker,
        partitions: Vec<Spot>,
        group: Option<&str>,
    ) -> Result<()> {
        let txn = self.txns.find(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let mut txn = txn.lock().await;
        check(&txn, who)?;
        if matches!(txn.state, State::PrepareCommit | State::PrepareAbort) {
            return Err(ResponseError::ConcurrentTransactions.into());
        }
        let mut next = txn.clone();
        if next.state != State::Ongoing {
            next.state = State::Ongoing;
            next.started_ms = self.now_ms();
            next.partitions.clear();
            next.groups.clear();
        }
        next.partitions.extend(partitions);
        next.groups.extend(group.map(str::to_owned));
        let is_new = txn.state != State::Ongoing
            || next.partitions.len() != txn.partitions.len()
            || next.groups.len() != txn.groups.len();
        if is_new {
            self.txns.save(id, &mut next)?;
            *txn = next;
            self.txns.note_begun();
        }
        Ok(())
    }

    /// May this producer write to the partition as part of its transaction? The transaction can't end while
    /// what is returned is held: a record that came in after its marker would stay open for ever.
    ///
    /// # Errors
    /// When it is fenced, or has not added the partition.
    pub async fn check_transactional(
        &self,
        id: &str,
        header: &Header,
        spot: &Spot,
    ) -> Result<OwnedMutexGuard<Txn>> {
        let txn = self.txns.find(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let txn = txn.lock_owned().await;
        if txn.producer_id != header.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping.into());
        }
        if txn.epoch != header.producer_epoch {
            return Err(ResponseError::InvalidProducerEpoch.into());
        }
        if txn.state != State::Ongoing || !txn.partitions.contains(spot) {
            return Err(Error::new(
                ResponseError::InvalidTxnState,
                "the partition is not part of the transaction",
            ));
        }
        Ok(txn)
    }

    /// Checks that offsets may be sent to the open transaction, which can't end while what is returned is
    /// held.
    ///
    /// # Errors
    /// When the producer is fenced, or has not added the group.
    pub async fn check_txn_group(&self, id: &str, who: Speaker, group: &str) -> Result<OwnedMutexGuard<Txn>> {
        let txn = self.txns.find(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let txn = txn.lock_owned().await;
        check(&txn, who)?;
        if txn.state == State::Ongoing && txn.groups.contains(group) {
            Ok(txn)
        } else {
            Err(ResponseError::InvalidTxnState.into())
        }
    }

    /// The producer ends its transaction.
    ///
    /// # Errors
    /// When it is fenced, or there is nothing to end.
    pub async fn end_txn(&self, id: &str, who: Speaker, commit: bool) -> Result<()> {
        let txn = self.txns.find(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let mut txn = txn.lock().await;
        check(&txn, who)?;
        match (txn.state, commit) {
            (State::Ongoing, _) => self.end(id, &mut txn, commit).await,
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => self.finish(id, &mut txn).await,
            // The answer to the first try was lost.
            (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(()),
            _ => Err(ResponseError::InvalidTxnState.into()),
        }
    }

    async fn end(&self, id: &str, txn: &mut Txn, commit: bool) -> Result<()> {
        let mut next = txn.clone();
        next.state = if commit { State::PrepareCommit } else { State::PrepareAbort };
        self.txns.save(id, &mut next)?;
        *txn = next;
        let finished = self.finish(id, txn).await;
        if finished.is_err() {
            // Decided but not carried out: the watcher tries again, whether or not the producer does.
            self.txns.note_begun();
        }
        finished
    }

    /// Carries out what was decided: markers, offsets, and the note that all of it is done.
    async fn finish(&self, id: &str, txn: &mut Txn) -> Result<()> {
        let commit = txn.state == State::PrepareCommit;
        for spot in &txn.partitions {
            match self.mark(txn, spot, commit).await {
                // The topic was deleted in between: there is nothing to mark.
                Err(e) if e.is_not_found() => {}
                other => other?,
            }
        }
        for group in &txn.groups {
            self.groups.offsets.finish(txn.producer_id, group, commit)?;
        }
        let mut next = txn.clone();
        next.state = if commit { State::CompleteCommit } else { State::CompleteAbort };
        next.partitions.clear();
        next.groups.clear();
        self.txns.save(id, &mut next)?;
        *txn = next;
        Ok(())
    }

    async fn mark(&self, txn: &Txn, (topic, index): &Spot, commit: bool) -> Result<()> {
        let partition = self.topics.partition(topic, *index)?;
        let (open, epoch) = partition.with(|log| {
            Ok((log.producers().is_open(txn.producer_id), log.producers().epoch(txn.producer_id)))
        })?;
        // Without records there is nothing to mark, unless the marker has to fence an older producer.
        if !open && epoch.is_none_or(|e| e >= txn.epoch) {
            return Ok(());
        }
        let now = self.clock.now().millis();
        let batch = records::marker(txn.producer_id, txn.epoch, commit, now);
        let header = Header::parse(&batch).ok_or_else(|| Error::corrupt("a marker that is no batch"))?;
        partition.append(&header, &batch, now).await.map(drop)
    }

    /// Ends what a crash left between decision and markers.
    pub async fn finish_decided(&self) {
        for id in self.txns.ids() {
            let Some(txn) = self.txns.find(&id) else { continue };
            let mut txn = txn.lock().await;
            if matches!(txn.state, State::PrepareCommit | State::PrepareAbort)
                && let Err(e) = self.finish(&id, &mut txn).await
            {
                tracing::error!(transactional_id = id, "a transaction could not be finished: {e}");
            }
        }
    }

    /// Aborts transactions that are open for too long, and carries out what was decided and failed on its
    /// way, until `stop`.
    pub async fn watch_transactions(&self, stop: Shutdown) {
        loop {
            let next = self.look_after().await;
            let due = async {
                match next {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.txns.some_began() => {}
                () = stop.stopped() => return,
            }
        }
    }

    /// Finishes what was decided and aborts what is overdue; says when to look again.
    async fn look_after(&self) -> Option<Duration> {
        let mut next: Option<i64> = None;
        for id in self.txns.ids() {
            let Some(txn) = self.txns.find(&id) else { continue };
            let mut txn = txn.lock().await;
            if matches!(txn.state, State::PrepareCommit | State::PrepareAbort) {
                // Whoever decided it holds the lock until it is done: this one was left behind.
                if let Err(e) = self.finish(&id, &mut txn).await {
                    tracing::error!(transactional_id = id, "a transaction could not be finished: {e}");
                    next = Some(next.map_or(RETRY_MS, |n| n.min(RETRY_MS)));
                }
                continue;
            }
            if txn.state != State::Ongoing {
                continue;
            }
            let left = txn.started_ms + i64::from(txn.timeout_ms) - self.now_ms();
            if left > 0 {
                next = Some(next.map_or(left, |n| n.min(left)));
                continue;
            }
            tracing::info!(transactional_id = id, "a transaction was open for too long and is aborted");
            txn.epoch = txn.epoch.saturating_add(1);
            if let Err(e) = self.end(&id, &mut txn, false).await {
                tracing::error!(transactional_id = id, "a transaction could not be aborted: {e}");
                next = Some(next.map_or(RETRY_MS, |n| n.min(RETRY_MS)));
            }
        }
        // At least a little while, so that a clock that jumps can't make this spin.
        next.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0).clamp(20, 3_600_000)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::records::{Producer, Record};
    use crate::{Broker, Settings};
    use bytes::Bytes;
    use runtime::{Clock, Micros};

    fn batch(who: Speaker, sequence: i32) -> (Header, Bytes) {
        let attributes = crate::storage::batch::transactional_attributes(false);
        let producer = Producer { id: who.producer_id, epoch: who.epoch, sequence, attributes };
        let batch =
            records::encode(&[Record { timestamp: 1_700_000_000_000, ..Record::default() }], Some(producer));
        (Header::parse(&batch).unwrap(), batch)
    }

    async fn begin(broker: &Broker, id: &str) -> Speaker {
        let who = broker.0.init_transactions(id, 10_000, None).await.unwrap();
        let spot = ("t".to_owned(), 0);
        broker.0.add_to_txn(id, who, vec![spot.clone()], Some("g")).await.unwrap();
        let (header, bytes) = batch(who, 0);
        let held = broker.0.check_transactional(id, &header, &spot).await.unwrap();
        broker.0.topics.partition("t", 0).unwrap().append(&header, &bytes, 0).await.unwrap();
        drop(held);
        who
    }

    #[tokio::test]
    async fn a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Micros(1_700_000_000_000_000));
        let broker = Broker::open(Settings::new(dir.path()), clock.clone()).await.unwrap();
        broker.create_topic("t", 1, &[]).unwrap();
        let who = begin(&broker, "id").await;
        assert_eq!(broker.0.look_after().await, Some(Duration::from_secs(10)));
        assert_eq!(broker.positions("t", 0).unwrap().stable, 0);
        clock.advance(10_000_000);
        assert_eq!(broker.0.look_after().await, None);
        let at = broker.positions("t", 0).unwrap();
        assert_eq!((at.stable, at.end), (2, 2), "the record and its marker");
        let read = broker.read("t", 0, 0, 1000, Duration::ZERO).await.unwrap();
        assert_eq!((read.records.len(), read.next_offset), (0, 2), "{:?}", read);
        let late = broker.0.end_txn("id", who, true).await.unwrap_err();
        assert_eq!(late.kind(), ResponseError::ProducerFenced);
        // The partition itself refuses it too, whatever the coordinator says.
        let (header, bytes) = batch(who, 1);
        let partition = broker.0.topics.partition("t", 0).unwrap();
        let refused = partition.append(&header, &bytes, 0).await.unwrap_err();
        assert_eq!(refused.kind(), ResponseError::InvalidProducerEpoch);
    }

    /// The disk refuses a marker, and the producer never asks again: readers must not wait for ever.
    #[tokio::test]
    async fn what_was_decided_is_carried_out_after_a_failed_marker() {
        for commit in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let clock = Clock::manual(Micros(1_700_000_000_000_000));
            let broker = Broker::open(Settings::new(dir.path()), clock).await.unwrap();
            broker.create_topic("t", 1, &[]).unwrap();
            let who = begin(&broker, "id").await;
            let partition = broker.0.topics.partition("t", 0).unwrap();
            runtime::blocking(move || partition.close()).await.unwrap().unwrap();
            // The partition can't be opened: its folder is a file.
            let (folder, aside) = (dir.path().join("topics/t/0"), dir.path().join("aside"));
            std::fs::rename(&folder, &aside).unwrap();
            std::fs::write(&folder, "").unwrap();
            assert!(broker.0.end_txn("id", who, commit).await.is_err());
            assert_eq!(broker.0.look_after().await, Some(Duration::from_secs(1)), "soon again");
            std::fs::remove_file(&folder).unwrap();
            std::fs::rename(&aside, &folder).unwrap();
            assert_eq!(broker.0.look_after().await, None);
            let read = broker.read("t", 0, 0, 1000, Duration::ZERO).await.unwrap();
            assert_eq!((read.records.len(), read.positions.stable), (usize::from(commit), 2));
            let state = broker.0.txns.view("id").await.unwrap().state;
            assert_eq!(state, if commit { State::CompleteCommit } else { State::CompleteAbort });
        }
    }

    /// The decision is what counts: a crash before the markers changes nothing.
    #[tokio::test]
    async fn what_was_decided_is_carried_out_after_a_crash() {
        for commit in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let open = || Broker::open(Settings::new(dir.path()), Clock::system());
            let broker = open().await.unwrap();
            broker.create_topic("t", 1, &[]).unwrap();
            let who = begin(&broker, "id").await;
            {
                let txn = broker.0.txns.find("id").unwrap();
                let mut decided = txn.lock().await.clone();
                decided.state = if commit { State::PrepareCommit } else { State::PrepareAbort };
                broker.0.txns.save("id", &mut decided).unwrap();
            }
            broker.close().await;
            drop(broker);
            // The other handles of it end with their tasks.
            let mut again = open().await;
            while again.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
                again = open().await;
            }
            let broker = again.unwrap();
            let read = broker.read("t", 0, 0, 1000, Duration::ZERO).await.unwrap();
            assert_eq!(read.records.len(), usize::from(commit));
            assert_eq!(read.positions.stable, 2);
            assert!(broker.0.end_txn("id", who, commit).await.is_ok(), "asked again, it says the same");
            assert!(broker.0.end_txn("id", who, !commit).await.is_err());
            let next = broker.0.init_transactions("id", 10_000, Some(who)).await.unwrap();
            assert_eq!((next.producer_id, next.epoch), (who.producer_id, who.epoch + 1));
        }
    }
}
