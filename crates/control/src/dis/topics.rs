//! What is done with a stream's topic, and in whose turn.
//!
//! The name of a topic outlives a stream: the next stream of the name has the same. So nobody touches a topic by a picture of its
//! stream that was read earlier. Whoever has the turn of the name reads the row again, and acts on what it says then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{DisStatus, DisStream};
use runtime::TaskKind;
use store::Turn;

use crate::connections::ANSWERS;
use crate::{Cluster, Control, Error, ErrorKind, Noun, Result};

/// Largest batch that a stream's topic takes: a whole request to one partition.
const MAX_BATCH: &str = "9028608";
/// A new piece of the log begins after this time, so that what is too old goes within it.
const SEGMENT_MS: &str = "3600000";
/// How often it is asked whether a topic is ready, and how long it is waited in between.
const READY_TRIES: u32 = 100;
const READY_PAUSE: Duration = Duration::from_millis(50);

impl Control {
    /// The right to take steps with a topic. Whoever has it reads the stream again: what was read before is old.
    pub(super) async fn turn_of(&self, topic: &str) -> Result<Turn> {
        let turn = self.0.store.turn(topic, ANSWERS * 2).await?;
        let words = "another call is at work on the stream";
        turn.ok_or_else(|| Error::new(ErrorKind::Unreachable, words))
    }

    /// Lets a step on the cluster come to its end, also when nobody waits for it any more: until then nobody else has the turn.
    async fn step(
        &self,
        turn: Turn,
        call: impl Future<Output = connector::Result<()>> + Send + 'static,
    ) -> (connector::Result<()>, Option<Turn>) {
        let done = runtime::spawn(TaskKind::ClusterStep, async move { (call.await, turn) });
        match tokio::time::timeout(ANSWERS, done).await {
            Ok(Ok((answer, turn))) => (answer, Some(turn)),
            Ok(Err(_)) => {
                (Err(connector::Error::new(connector::ErrorKind::Other, "the step broke off")), None)
            }
            Err(_) => {
                let words = format!("it did not answer within {} s", ANSWERS.as_secs());
                (Err(connector::Error::new(connector::ErrorKind::Unavailable, words)), None)
            }
        }
    }

    pub(super) async fn finish_creating(&self, s: &DisStream, turn: Turn) -> Result<Arc<DisStream>> {
        let configs = BTreeMap::from([
            retention(s),
            ("max.message.bytes".to_owned(), MAX_BATCH.to_owned()),
            ("segment.ms".to_owned(), SEGMENT_MS.to_owned()),
        ]);
        let partitions = u32::try_from(s.partitions.len()).unwrap_or(u32::MAX);
        let (streams, topic) = (self.0.streams.clone(), s.topic.clone());
        let call =
            async move { streams.create_topic(&Cluster::default(), &topic, partitions, &configs).await };
        let (answer, _turn) = self.step(turn, call).await;
        match answer {
            Ok(()) => {}
            // A turn before this one made it.
            Err(e) if e.kind() == connector::ErrorKind::Exists => {}
            Err(e) => {
                use connector::ErrorKind as C;
                if matches!(e.kind(), C::Unacceptable | C::Denied | C::Unsupported | C::Full) {
                    self.0.store.remove_dis_stream(&s.id).await?;
                }
                return Err(crate::error::from_connector(&e, Noun::Stream));
            }
        }
        self.wait_for_partitions(&s.topic, s.partitions.len()).await?;
        let running = |s: &mut DisStream| {
            if s.status == DisStatus::Creating {
                s.status = DisStatus::Running;
            }
            Ok::<_, Error>(())
        };
        self.changed(&s.id, running).await
    }

    /// A cluster says that a topic is made, or has grown, before it is ready to take records.
    pub(super) async fn wait_for_partitions(&self, topic: &str, wanted: usize) -> Result<()> {
        let own = Cluster::default();
        let mut last = Ok(Vec::new());
        for _ in 0..READY_TRIES {
            last = self.answered(self.0.streams.ends(&own, topic), Noun::Stream).await;
            if last.as_ref().is_ok_and(|ends| ends.len() >= wanted) {
                return Ok(());
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
        let words = match last {
            Ok(_) => format!("the topic {topic} does not have its partitions yet"),
            Err(e) => e.message,
        };
        Err(Error::new(ErrorKind::Unreachable, words))
    }

    /// A cluster says that a topic is removed before its name is free.
    async fn wait_until_gone(&self, topic: &str) -> Result<()> {
        let (own, names) = (Cluster::default(), [topic.to_owned()]);
        for _ in 0..READY_TRIES {
            let found = self.answered(self.0.streams.topics(&own, Some(&names)), Noun::Topic).await?;
            if found.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
        Err(Error::new(ErrorKind::Unreachable, format!("the topic {topic} is not gone yet")))
    }

    /// A running stream as it is at this moment.
    pub(super) async fn again(&self, s: &DisStream) -> Result<DisStream> {
        let row = self
            .0
            .store
            .dis_stream_row(&s.id)
            .await?
            .ok_or_else(|| Error::not_found(Noun::Stream, &s.name))?;
        match row.status {
            DisStatus::Running => Ok(row),
            _ => Err(Error::new(ErrorKind::InvalidState, "the stream is not running")),
        }
    }

    pub(super) async fn finish_removing(&self, s: &DisStream, turn: Turn) -> Result<()> {
        self.drop_dumps(&s.id).await?;
        let (streams, topic) = (self.0.streams.clone(), s.topic.clone());
        let call = async move { streams.delete_topic(&Cluster::default(), &topic).await };
        let (answer, _turn) = self.step(turn, call).await;
        match answer.map_err(|e| crate::error::from_connector(&e, Noun::Topic)) {
            Ok(()) | Err(Error { kind: ErrorKind::NotFound(_), .. }) => {}
            Err(e) => return Err(e),
        }
        self.wait_until_gone(&s.topic).await?;
        self.0.store.remove_dis_stream(&s.id).await?;
        self.0.dis.forget(&s.id);
        Ok(())
    }

    /// Finishes what was interrupted, writes the sums of minutes down, scales what is to scale by itself.
    pub(crate) async fn look_after_dis(&self) -> Result<()> {
        if let Err(e) = self.write_minutes().await {
            tracing::warn!(error = %e, "the sums of minutes are not written down");
        }
        for s in self.0.store.dis_streams().await?.iter() {
            if let Err(e) = self.look_after_stream(s).await {
                tracing::warn!(stream = %s.id, error = %e, "a stream could not be looked after");
            }
        }
        Ok(())
    }

    async fn look_after_stream(&self, seen: &DisStream) -> Result<()> {
        if seen.status == DisStatus::Running {
            return self.scale_by_itself(seen).await;
        }
        // Where another call is at work, it is looked after already.
        let Some(turn) = self.0.store.turn(&seen.topic, Duration::ZERO).await? else { return Ok(()) };
        let Some(s) = self.0.store.dis_stream_row(&seen.id).await? else { return Ok(()) };
        match s.status {
            DisStatus::Creating => self.finish_creating(&s, turn).await.map(drop),
            DisStatus::Terminating => self.finish_removing(&s, turn).await,
            DisStatus::Running => Ok(()),
        }
    }
}

/// How long a topic keeps records, as one of its settings.
pub(super) fn retention(s: &DisStream) -> (String, String) {
    ("retention.ms".to_owned(), s.retention_ms().to_string())
}
