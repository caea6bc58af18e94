//! What is sent into a pipeline whose source is HTTP: through its transform, into its topic, before the answer.
//!
//! Nobody works on such a pipeline: each call carries its own messages. A call that was answered is in the topic (or filtered,
//! dropped, kept aside, as the pipeline says); one that was not may be, and is sent again by whoever got no answer. Messages of one
//! call keep their order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use model::{
    DeadLetter, DeadStatus, EndKind, Ledger, OnFailure, Outcome, Pipeline, PipelineId, PipelineStatus, Stage,
};
use runtime::Micros;

use crate::ends::{KafkaSink, copy_of};
use crate::{
    Caller, Cluster, Control, DeadFilter, Error, ErrorKind, NewRecord, Noun, Page, Produced, Result,
    Transformed,
};

/// Topic under which letters of messages are kept: they come from no topic.
const NO_TOPIC: &str = "http";
/// Letters that are replayed at once.
const REPLAYED_AT_ONCE: u64 = 500;
/// Pipelines whose rates are kept; beyond, the fullest are forgotten.
const MAX_RATES: usize = 10_000;

/// How many messages each pipeline may still take: by its `records_per_s`, a second's worth at most.
#[derive(Default)]
pub(crate) struct Rates(Mutex<HashMap<PipelineId, (f64, Micros)>>);

impl Rates {
    /// Takes `n` at once if there is anything left; more than that is a debt, which the next ones wait for.
    fn take(&self, id: &PipelineId, n: usize, per_s: u64, now: Micros) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let (n, most) = (n as f64, per_s as f64);
        let Ok(mut all) = self.0.lock() else { return true };
        if all.len() >= MAX_RATES && !all.contains_key(id) {
            all.retain(|_, (left, _)| *left < 0.0);
        }
        let (left, at) = all.entry(id.clone()).or_insert((most, now));
        #[allow(clippy::cast_precision_loss, reason = "a time")]
        let passed = now.0.saturating_sub(at.0).max(0) as f64 / 1e6;
        (*left, *at) = ((*left + passed * most).min(most), now);
        if *left <= 0.0 {
            return false;
        }
        *left -= n;
        true
    }
}

/// What becomes of one message.
enum Fate {
    /// These records are written.
    Written(Vec<NewRecord>),
    Filtered,
    Dropped,
    /// Kept aside, with the reason.
    Kept(String),
}

/// What becomes of the messages of one call.
#[derive(Default)]
struct Sorted {
    written: Vec<NewRecord>,
    letters: Vec<DeadLetter>,
    /// All but the letters, which `kept` accounts for.
    ledger: Ledger,
    kept: Ledger,
    /// For each message, the place of its first record in `written`.
    answers: Vec<Option<usize>>,
}

impl Control {
    /// Sends records into a pipeline whose source is HTTP, through its transform. One answer for each message; a message that
    /// a filter took out, or that was dropped or kept aside, has none.
    ///
    /// # Errors
    /// `NotFound(Pipeline)` (also one without an HTTP source), `InvalidState` it is paused, `Throttled` more than its `records_per_s`,
    /// `LimitExceeded` too many or too large, `Invalid` the transform can't take a record and the pipeline says to stop
    /// there, `NotFound(Topic)`, `Unreachable` the cluster did not take them.
    pub async fn send_messages(
        &self,
        c: &Caller,
        id: &PipelineId,
        messages: Vec<(Option<Vec<u8>>, Vec<u8>)>,
    ) -> Result<Vec<Option<Produced>>> {
        let p = self.taking(c, id).await?;
        self.check_size(&messages)?;
        if let Some(per_s) = p.records_per_s
            && !self.0.rates.take(id, messages.len(), per_s, self.0.clock.now())
        {
            let message = format!("pipeline {id} takes {per_s} messages a second");
            return Err(Error::new(ErrorKind::Throttled, message));
        }
        let records: Vec<NewRecord> = messages
            .into_iter()
            .map(|(key, value)| NewRecord { key, value: Some(value), ..NewRecord::default() })
            .collect();
        self.carry(c, &p, records).await
    }

    /// The pipeline, if it takes messages now.
    async fn taking(&self, c: &Caller, id: &PipelineId) -> Result<Pipeline> {
        use PipelineStatus as S;
        let p = self.pipeline_terms(c, id).await?;
        match p.status {
            _ if p.source.kind != EndKind::Http => Err(Error::not_found(Noun::Pipeline, id)),
            S::Deleting | S::Deleted => Err(Error::not_found(Noun::Pipeline, id)),
            S::Running | S::Creating | S::Resuming => Ok(p),
            S::Pausing | S::Paused => {
                Err(Error::new(ErrorKind::InvalidState, format!("pipeline {id} is paused")))
            }
        }
    }

    fn check_size(&self, messages: &[(Option<Vec<u8>>, Vec<u8>)]) -> Result<()> {
        let (most, most_bytes) = self.0.limits.messages_per_call;
        let bytes: usize = messages.iter().map(|(k, v)| k.as_ref().map_or(0, Vec::len) + v.len()).sum();
        if messages.len() > most as usize || bytes as u64 > most_bytes {
            let message = format!("{most} messages of {most_bytes} bytes all together can be sent at once");
            return Err(Error::new(ErrorKind::LimitExceeded, message).field("messages"));
        }
        if messages.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "there is no message").field("messages"));
        }
        Ok(())
    }

    /// Carries records to their end, and books each part when it is there. Letters come last: a call that fails before them is sent again
    /// as a whole, and must not leave a letter each time.
    async fn carry(
        &self,
        c: &Caller,
        p: &Pipeline,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Option<Produced>>> {
        let sorted = self.sort(p, &records)?;
        // A full desk is found before anything is written, or each repetition would write the others once more.
        self.0.store.dead_room(&p.id, &sorted.letters).await?;
        let produced = self.write_records(c, p, sorted.written).await?;
        self.book(p, &sorted.ledger).await;
        self.keep_letters(c, p, &sorted.letters).await?;
        self.book(p, &sorted.kept).await;
        let place = |i: Option<usize>| i.and_then(|i| produced.get(i).cloned());
        Ok(sorted.answers.into_iter().map(place).collect())
    }

    fn sort(&self, p: &Pipeline, records: &[NewRecord]) -> Result<Sorted> {
        let mut s = Sorted::default();
        for (record, fate) in records.iter().zip(self.fates(p, records)?) {
            let weight = weight(record);
            let answer = match fate {
                Fate::Written(made) => {
                    let first = s.written.len();
                    s.ledger.book(Outcome::Written, weight);
                    let more = made.len().saturating_sub(1) as u64;
                    s.ledger.items.expanded += more;
                    s.ledger.items.written += more;
                    s.written.extend(made);
                    Some(first)
                }
                Fate::Filtered => {
                    s.ledger.book(Outcome::Filtered, weight);
                    None
                }
                Fate::Dropped => {
                    s.ledger.book(Outcome::Skipped, weight);
                    None
                }
                Fate::Kept(reason) => {
                    s.kept.book(Outcome::DeadLettered, weight);
                    s.letters.push(self.letter_of(p, record, reason));
                    None
                }
            };
            s.answers.push(answer);
        }
        Ok(s)
    }

    async fn book(&self, p: &Pipeline, ledger: &Ledger) {
        if ledger.items.read == 0 {
            return;
        }
        if let Err(e) = self.0.store.book_pipeline(&p.id, ledger).await {
            // They are where they belong: an error would have them sent again.
            tracing::warn!(pipeline = %p.id, error = %e, "messages could not be booked");
        }
    }

    /// What the transform and the pipeline's policy make of each record.
    fn fates(&self, p: &Pipeline, records: &[NewRecord]) -> Result<Vec<Fate>> {
        let Some(transform) = &p.transform else {
            return Ok(records.iter().map(|r| Fate::Written(vec![r.clone()])).collect());
        };
        let made = self.0.streams.transform(transform, NO_TOPIC, records.to_vec());
        let made = made.map_err(|e| Error::new(ErrorKind::Invalid, e.to_string()).field("transform"))?;
        if made.len() != records.len() {
            return Err(Error::new(ErrorKind::Internal, "the transform lost records"));
        }
        let fate = |(record, made): (&NewRecord, Transformed)| match made {
            Transformed::Made(made) => Ok(Fate::Written(made)),
            Transformed::Filtered => Ok(Fate::Filtered),
            Transformed::Failed(reason) => match p.on_failure {
                OnFailure::Aside { .. } | OnFailure::Block => {
                    let message = format!("the transform can't take a message: {reason}");
                    Err(Error::new(ErrorKind::Invalid, message).field("messages"))
                }
                OnFailure::Drop => Ok(Fate::Dropped),
                OnFailure::Pass => Ok(Fate::Written(vec![record.clone()])),
                OnFailure::Keep { .. } => Ok(Fate::Kept(reason)),
            },
        };
        records.iter().zip(made).map(fate).collect()
    }

    fn letter_of(&self, p: &Pipeline, r: &NewRecord, reason: String) -> DeadLetter {
        // A message has no position: it gets one that nothing else has.
        let offset = i64::from_le_bytes(self.0.random.bytes()) & i64::MAX;
        let now = self.now();
        DeadLetter {
            pipeline: p.id.clone(),
            topic: NO_TOPIC.to_owned(),
            partition: 0,
            offset,
            sub: 0,
            stage: Stage::Transform,
            kind: "transform".to_owned(),
            reason,
            key: r.key.clone(),
            value: r.value.clone(),
            headers: r.headers.clone(),
            timestamp_ms: now.millis(),
            at: now,
            status: DeadStatus::Waiting,
        }
    }

    /// Writes the copies of letters where the pipeline wants some, and keeps the letters.
    async fn keep_letters(&self, c: &Caller, p: &Pipeline, letters: &[DeadLetter]) -> Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        if let Some(copy) = copy_of(&p.on_failure) {
            let cluster = self.cluster_of(c, copy).await?;
            let records = letters.iter().map(record_of).collect();
            self.produce(&cluster, &KafkaSink::of(&copy.options), records).await?;
        }
        Ok(self.0.store.keep_dead_unworked(&p.id, letters).await?)
    }

    async fn write_records(
        &self,
        c: &Caller,
        p: &Pipeline,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Produced>> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let cluster = self.cluster_of(c, &p.sink).await?;
        self.produce(&cluster, &KafkaSink::of(&p.sink.options), records).await
    }

    /// Writes records into the topic, which is made first where the options say so.
    async fn produce(
        &self,
        on: &Cluster,
        sink: &KafkaSink,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Produced>> {
        let topic = sink.topics().into_iter().next().unwrap_or_default();
        if topic.is_empty() {
            return Err(Error::new(ErrorKind::Unsupported, "the destination names no topic").field("sink"));
        }
        let streams = &self.0.streams;
        let again = if sink.create { records.clone() } else { Vec::new() };
        match self.answered(streams.produce(on, &topic, records), Noun::Topic).await {
            Err(e) if e.kind == ErrorKind::NotFound(Noun::Topic) && sink.create => {
                let partitions = sink.create_partitions.unwrap_or(0);
                let none = BTreeMap::new();
                let made = streams.create_topic(on, &topic, partitions, &none);
                match made.await {
                    Err(e) if e.kind() != connector::ErrorKind::Exists => {
                        return Err(crate::error::from_connector(&e, Noun::Topic));
                    }
                    _ => {}
                }
                self.answered(streams.produce(on, &topic, again), Noun::Topic).await
            }
            other => other,
        }
    }

    /// Replays waiting letters of a pipeline that nobody works on, here and now.
    pub(crate) async fn replay_messages(&self, c: &Caller, p: &Pipeline, filter: &DeadFilter) -> Result<u64> {
        let waiting = DeadFilter {
            status: Some(DeadStatus::Waiting),
            pipeline: Some(p.id.clone()),
            account: None,
            ..filter.clone()
        };
        let mut n = 0;
        loop {
            let page = Page { offset: 0, limit: REPLAYED_AT_ONCE, newest_first: false };
            let (letters, _) = self.0.store.dead_letters(&waiting, page).await?;
            if letters.is_empty() {
                return Ok(n);
            }
            // One that fails again ends it: whoever asked is told, and it waits as before.
            let strict = Pipeline { on_failure: OnFailure::Block, ..p.clone() };
            let records: Vec<NewRecord> = letters.iter().map(record_of).collect();
            let mut made = Vec::new();
            for fate in self.fates(&strict, &records)? {
                if let Fate::Written(records) = fate {
                    made.extend(records);
                }
            }
            self.write_records(c, p, made).await?;
            let ids = letters.iter().map(crate::DeadId::of).collect();
            let these = DeadFilter { ids, pipeline: Some(p.id.clone()), ..DeadFilter::default() };
            n += self.0.store.end_dead(&p.id, &these, DeadStatus::Replayed, self.now()).await?;
        }
    }
}

fn record_of(d: &DeadLetter) -> NewRecord {
    NewRecord { key: d.key.clone(), value: d.value.clone(), headers: d.headers.clone(), partition: None }
}

fn weight(r: &NewRecord) -> u64 {
    let len = |b: &Option<Vec<u8>>| b.as_ref().map_or(0, Vec::len) as u64;
    let headers: u64 = r.headers.iter().map(|(k, v)| k.len() as u64 + len(v)).sum();
    len(&r.key) + len(&r.value) + headers
}
