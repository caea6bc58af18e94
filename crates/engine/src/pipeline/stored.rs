//! The store as the runner's records and desk.

use std::time::Duration;

use async_trait::async_trait;
use connector::records::{Mark, Split};
use model::{DeadLetter, Pipeline, PipelineId, Timestamp};
use runtime::Clock;
use store::{ErrorKind, PipelineEntry, PipelineMark, PipelineWish, Store};

use super::{DeadDesk, Entry, Pipelines, Queued, Trouble, Wish};

/// [`Store`] with the time that its calls want.
#[derive(Clone)]
pub struct Stored {
    store: Store,
    clock: Clock,
}

impl Stored {
    /// Over a store.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0)
    }
}

type Done<T> = Result<T, Trouble>;

#[allow(clippy::needless_pass_by_value, reason = "it maps errors")]
fn trouble(e: store::Error) -> Trouble {
    if e.kind() == ErrorKind::Fenced { Trouble::Fenced } else { Trouble::Failed(e.to_string()) }
}

fn wish(w: PipelineWish) -> Wish {
    match w {
        PipelineWish::Run => Wish::Run,
        PipelineWish::Replay => Wish::Replay,
        PipelineWish::Rest => Wish::Rest,
    }
}

#[async_trait]
impl Pipelines for Stored {
    async fn release(&self) -> Done<()> {
        if self.store.is_single_process() {
            self.store.release_pipelines(None, self.now()).await.map_err(trouble)?;
        }
        Ok(())
    }

    async fn claim(&self, worker: &str, lease: Duration) -> Done<Option<Pipeline>> {
        let lease = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
        self.store.claim_pipeline(worker, self.now(), lease).await.map_err(trouble)
    }

    async fn began(&self, id: &PipelineId, attempt: u32) -> Done<()> {
        self.store.pipeline_began(id, attempt, self.now()).await.map_err(trouble)
    }

    async fn get(&self, id: &PipelineId) -> Done<Option<Pipeline>> {
        self.store.pipeline(id).await.map_err(trouble)
    }

    async fn marks(&self, id: &PipelineId) -> Done<Vec<(Split, Mark)>> {
        let all = self.store.pipeline_marks(id).await.map_err(trouble)?;
        let read = |m: PipelineMark| {
            let mark = Mark::parse(&m.text).filter(|mark| mark.next == m.next);
            let bad = || Trouble::Failed(format!("the mark of {}-{} can't be read", m.topic, m.partition));
            Ok((Split::new(&m.topic, m.partition), mark.ok_or_else(bad)?))
        };
        all.into_iter().map(read).collect()
    }

    async fn journal(&self, id: &PipelineId, attempt: u32, entry: &Entry) -> Done<Wish> {
        let mark = |(split, mark): &(Split, Mark)| PipelineMark {
            topic: split.topic.to_string(),
            partition: split.partition,
            next: mark.next,
            text: mark.to_text(),
        };
        let entry = PipelineEntry { marks: entry.marks.iter().map(mark).collect(), ledger: entry.ledger };
        self.store.journal_pipeline(id, attempt, &entry, self.now()).await.map(wish).map_err(trouble)
    }

    async fn renew(&self, id: &PipelineId, attempt: u32) -> Done<Wish> {
        self.store.renew_pipeline(id, attempt, self.now()).await.map(wish).map_err(trouble)
    }

    async fn explain(&self, id: &PipelineId, attempt: u32, error: Option<&str>) -> Done<()> {
        self.store.explain_pipeline(id, attempt, error, self.now()).await.map_err(trouble)
    }

    async fn rest(&self, id: &PipelineId, attempt: u32) -> Done<()> {
        self.store.rest_pipeline(id, attempt, self.now()).await.map(drop).map_err(trouble)
    }
}

#[async_trait]
impl DeadDesk for Stored {
    async fn keep(&self, id: &PipelineId, attempt: u32, letters: Vec<DeadLetter>) -> Done<()> {
        self.store.keep_dead(id, attempt, &letters, self.now()).await.map_err(trouble)
    }

    async fn queued(&self, id: &PipelineId, after: i64, letters: usize, bytes: u64) -> Done<Vec<Queued>> {
        let all = self.store.queued_dead(id, after, letters as u64, bytes).await.map_err(trouble)?;
        Ok(all.into_iter().map(|q| Queued { turn: q.turn, letter: q.letter }).collect())
    }

    async fn replayed(&self, id: &PipelineId, attempt: u32, split: &Split, before: i64) -> Done<()> {
        let place = (&*split.topic, split.partition);
        self.store.replayed_dead(id, attempt, place, before, self.now()).await.map_err(trouble)
    }

    async fn again(&self, id: &PipelineId, attempt: u32, failed: Vec<(i64, String, String)>) -> Done<()> {
        self.store.dead_again(id, attempt, &failed, self.now()).await.map_err(trouble)
    }
}
