//! The producer, and the blocking half of its transactions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::records::{Mark, Split};
use connector::{Error, Result};

use super::positions;
use crate::fault::during;
use crate::raw::{Client, Code, Failed, Fault, List, Settings, Topic};
use crate::source::Group;

/// A transaction that isn't ended after this time is aborted by the cluster. Shorter than the group's session, so that what a
/// member that hangs has written is gone before its partitions are another's.
pub(super) const TRANSACTION: Duration = Duration::from_millis(TRANSACTION_MS as u64);
const TRANSACTION_MS: u32 = 30_000;
/// How long a sink waits for the cluster to end one.
pub(super) const ENDING: Duration = Duration::from_secs(60);
/// Bytes of a batch, unless a topic takes less.
pub(super) const BATCH: u32 = 1_000_000;
/// The tag of a position record.
pub(super) const POSITION: usize = usize::MAX;

/// Where positions are kept.
#[derive(Clone)]
pub(super) enum Keeping {
    /// Nowhere: at least once.
    Nowhere,
    /// The offsets of the source's group, on the same cluster.
    Group(Arc<Group>),
    /// A topic of the destination.
    Topic {
        pipeline: String,
        topic: Option<Arc<Topic>>,
        /// The source's group, where it is one of another cluster: this one can't check it.
        source: Option<Arc<Group>>,
    },
}

/// What the end of a round came to.
pub(super) enum Trouble {
    /// Nothing of it is written (or, without transactions, something may be): it has to be done again.
    Again { fault: Fault, failed: Vec<Failed> },
    /// The lane can't go on.
    Over(Error),
}

/// Settings of a producer.
pub(super) fn settings(
    mut base: Settings,
    transactional: Option<&str>,
    compression: &str,
    batch: u32,
) -> Settings {
    base.set("enable.idempotence", true)
        .set("partitioner", "murmur2_random")
        .set("compression.type", compression)
        .set("linger.ms", 20)
        .set("batch.size", batch)
        // The topic's own bound is the one that counts.
        .set("message.max.bytes", 200_000_000)
        // The bound is the round.
        .set("queue.buffering.max.messages", 1_000_000)
        .set("queue.buffering.max.kbytes", 512u32 << 10)
        .set("delivery.report.only.error", true);
    match transactional {
        Some(id) => base.set("transactional.id", id).set("transaction.timeout.ms", TRANSACTION_MS),
        None => base.set("message.timeout.ms", 60_000),
    };
    base
}

/// Fences older owners of the transactional id. Blocks.
pub(super) fn fence(client: &Client) -> Result<()> {
    insist(ENDING, |wait| client.init_transactions(wait))
        .map_err(during("the producer's transactions can't be set up"))
}

/// Ends a round: everything that was produced, and the positions, become visible at once. Blocks.
pub(super) fn commit(client: &Client, keeping: &Keeping, marks: &[(Split, Mark)]) -> Result<(), Trouble> {
    if matches!(keeping, Keeping::Nowhere) {
        return flush(client);
    }
    let ended = deliver(client).and_then(|()| match keeping {
        Keeping::Nowhere => Ok(()),
        Keeping::Group(group) => commit_with_offsets(client, group, marks),
        Keeping::Topic { pipeline, topic, source } => {
            positions::note(client, pipeline, topic.as_deref(), marks)
                .and_then(|()| deliver(client))
                .and_then(|()| commit_owned(client, source.as_deref(), marks))
        }
    });
    ended.map_err(|fault| verdict(client, fault))
}

/// Waits until everything is delivered, or until the first failure: the library itself would wait for what comes behind
/// that one until the transaction has timed out.
pub(super) fn deliver(client: &Client) -> Result<(), Fault> {
    let until = Instant::now() + ENDING;
    loop {
        let done = client.flush(Duration::from_millis(50));
        if client.has_failed() {
            return Err(Fault { abort: true, ..Fault::of(Code::RD_KAFKA_RESP_ERR__STATE) });
        }
        match done {
            Err(e) if e.code == Code::RD_KAFKA_RESP_ERR__TIMED_OUT && Instant::now() < until => {}
            done => return done,
        }
    }
}

fn commit_with_offsets(client: &Client, group: &Group, marks: &[(Split, Mark)]) -> Result<(), Fault> {
    let mut list = List::new(marks.len());
    for (split, mark) in marks {
        list.add(&split.topic, split.partition, mark.next, Some(&mark.to_text()))?;
    }
    insist(ENDING, |wait| {
        let Some(member) = group.show(marks.iter().map(|(s, _)| s)) else {
            return Err(lost());
        };
        client.send_offsets(&list, &member, wait)
    })?;
    insist(ENDING, |wait| client.commit_transaction(wait))
}

/// Commits, unless the source no longer has what the transaction is of. Its group can't be asked by the destination; so this is
/// looked at as late as can be.
fn commit_owned(client: &Client, source: Option<&Group>, marks: &[(Split, Mark)]) -> Result<(), Fault> {
    insist(ENDING, |wait| {
        if source.is_some_and(|group| !marks.iter().all(|(s, _)| group.owns(s))) {
            return Err(lost());
        }
        client.commit_transaction(wait)
    })
}

fn lost() -> Fault {
    let words = "the source no longer has the partitions of this transaction";
    Fault::new(Code::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, words)
}

fn flush(client: &Client) -> Result<(), Trouble> {
    let done = client.flush(ENDING);
    let failed = client.take_failed();
    match (done, failed.first()) {
        (Err(fault), _) => Err(Trouble::Over(during("records can't be written")(client.explain(fault)))),
        (Ok(()), Some(first)) => Err(Trouble::Again { fault: Fault::of(first.code), failed }),
        (Ok(()), None) => Ok(()),
    }
}

/// Can a transaction that did not end well be done again?
fn verdict(client: &Client, fault: Fault) -> Trouble {
    let failed = client.take_failed();
    let fault = match failed.first() {
        Some(first) if fault.code == Code::RD_KAFKA_RESP_ERR__STATE => {
            Fault { abort: true, ..Fault::of(first.code) }
        }
        _ => fault,
    };
    // What the source has lost is left out the next time.
    let passes =
        matches!(fault.code, Code::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST | Code::RD_KAFKA_RESP_ERR__STATE);
    if fault.fatal || !(fault.abort || passes) {
        return Trouble::Over(during("a transaction can't be committed")(client.explain(fault)));
    }
    Trouble::Again { fault, failed }
}

/// Throws away what the open transaction holds. Blocks.
pub(super) fn abort(client: &Client) -> Result<()> {
    let done = insist(ENDING, |wait| client.abort_transaction(wait));
    // What was purged with it is no news.
    client.poll(Duration::ZERO);
    client.take_failed();
    done.map_err(|e| during("a transaction can't be aborted")(client.explain(e)))
}

/// Makes a call again while the library says that it may be made again.
pub(super) fn insist(
    for_long: Duration,
    mut call: impl FnMut(Duration) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let until = Instant::now() + for_long;
    let mut pause = Duration::from_millis(20);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match call(left.max(Duration::from_millis(100))) {
            Err(fault) if fault.retriable && !fault.fatal && !fault.abort && !left.is_zero() => {
                std::thread::sleep(pause.min(left));
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            done => return done,
        }
    }
}
