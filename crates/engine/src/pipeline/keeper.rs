//! Keeping records aside: at the desk, and, where the pipeline says so, in a topic.
//!
//! A letter is the original record to the byte, whatever the transform made of it. The desk keeps one letter for a position, so
//! keeping it again after a crash changes nothing; a copy in a topic may come twice. A record larger than [`MAX_CONTENT`] is kept without its
//! content: position, size and reason say where it lies and why. Both are durable when [`Keeper::keep`] returns.
//! Ends for copies are without transactions: two keepers of one lane would fence each other with them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{
    Batch, BatchBuilder, Context, Headers, Host, Mark, RecordRef, RecordSink, Refused, Ruling, SharedHost,
    Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use model::{DeadLetter, DeadStatus, OnFailure, PipelineEnd, Stage, Timestamp};
use tokio::sync::Mutex;

use super::clerk::{self, Clerk};
use super::stage::MAX_REASON;
use super::{DeadDesk, Ends, Trouble};

/// Letters that go to the desk at once.
const AT_ONCE: usize = 256;
/// Bytes of them, about.
const BYTES_AT_ONCE: u64 = 8 << 20;
/// Bytes of key, value and headers that a letter may have: a desk in a database is no place for more.
const MAX_CONTENT: u64 = 16 << 20;
/// Times that keeping is tried, at least and at most.
const TRIES: (u32, u32) = (3, 20);
/// Pause between, at least and at most.
const PAUSE_MS: (u64, u64) = (100, 5_000);

/// Keeps what failed at one stage of a lane.
pub(super) struct Keeper {
    stage: Stage,
    clerk: Arc<Clerk>,
    desk: Arc<dyn DeadDesk>,
    context: Context,
    copies: Option<Copies>,
    tries: u32,
    pause: Duration,
}

impl Keeper {
    /// For what `rule` says.
    pub fn new(
        (stage, rule): (Stage, &OnFailure),
        clerk: Arc<Clerk>,
        desk: Arc<dyn DeadDesk>,
        ends: Arc<dyn Ends>,
        context: &Context,
    ) -> Self {
        let (copy, retries, interval) = match rule {
            OnFailure::Keep { copy, retries, interval_ms } => (copy.as_deref(), *retries, *interval_ms),
            _ => (None, 0, 0),
        };
        let copies = copy.map(|to| Copies {
            ends,
            to: to.clone(),
            context: Context { pipeline: format!("{}-dead", context.pipeline), ..context.clone() },
            sink: Mutex::new(None),
        });
        let tries = retries.saturating_add(1).clamp(TRIES.0, TRIES.1);
        let pause = Duration::from_millis(interval.clamp(PAUSE_MS.0, PAUSE_MS.1));
        Self { stage, clerk, desk, context: context.clone(), copies, tries, pause }
    }

    /// Makes a letter of an original.
    pub fn letter(&self, split: &Split, original: &RecordRef<'_>, sub: u32, why: (&str, &str)) -> DeadLetter {
        let (kind, reason) = why;
        let reason = reason.get(..reason.floor_char_boundary(MAX_REASON)).unwrap_or_default();
        let size = original.weight();
        if size > MAX_CONTENT {
            let reason =
                format!("{size} bytes, not kept (a dead letter has {MAX_CONTENT} at most); {kind}: {reason}");
            let bare = RecordRef { key: None, value: None, headers: Headers::none(), ..*original };
            return self.letter(split, &bare, sub, (DeadLetter::WITHOUT_CONTENT, &reason));
        }
        DeadLetter {
            pipeline: self.clerk.id.clone(),
            topic: split.source_topic().to_owned(),
            partition: split.partition,
            offset: original.offset,
            sub,
            stage: self.stage,
            kind: kind.to_owned(),
            reason: reason.to_owned(),
            key: original.key.map(<[u8]>::to_vec),
            value: original.value.map(<[u8]>::to_vec),
            headers: original.headers.map(|(n, v)| (n.to_vec(), v.map(<[u8]>::to_vec))).collect(),
            timestamp_ms: original.timestamp_ms,
            at: Timestamp(self.context.clock.now().0),
            status: DeadStatus::Waiting,
        }
    }

    /// Keeps letters of one split, in order of position.
    ///
    /// # Errors
    /// When they can't be made durable.
    pub async fn keep(&self, letters: Vec<DeadLetter>) -> Result<()> {
        for chunk in chunks(&letters) {
            for left in (0..self.tries).rev() {
                match self.once(chunk).await {
                    Ok(()) => break,
                    Err(e) if left == 0 || e.kind() == ErrorKind::Cancelled => return Err(e),
                    Err(e) => tracing::debug!("dead letters can't be kept yet: {e}"),
                }
                tokio::time::sleep(self.pause).await;
            }
        }
        Ok(())
    }

    async fn once(&self, letters: &[DeadLetter]) -> Result<()> {
        if let Some(copies) = &self.copies {
            copies.write(letters).await?;
        }
        let (desk, id, attempt) = (self.desk.clone(), self.clerk.id.clone(), self.clerk.attempt);
        let letters = letters.to_vec();
        let kept = self.clerk.at_home(async move { desk.keep(&id, attempt, letters).await });
        kept.await.map_err(|t: Trouble| clerk::error("dead letters can't be kept", t))
    }
}

/// Letters in groups that are kept at once.
fn chunks(letters: &[DeadLetter]) -> impl Iterator<Item = &[DeadLetter]> {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let mut n = 0;
        for l in rest.iter().take(AT_ONCE) {
            bytes += [&l.key, &l.value].into_iter().flatten().map(|b| b.len() as u64).sum::<u64>();
            if n > 0 && bytes > BYTES_AT_ONCE {
                break;
            }
            n += 1;
        }
        let (chunk, left) = rest.split_at(n);
        rest = left;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Copies of letters on their way to a topic.
struct Copies {
    ends: Arc<dyn Ends>,
    to: PipelineEnd,
    context: Context,
    /// Made when it is first needed, and made again after an error.
    sink: Mutex<Option<Box<dyn RecordSink>>>,
}

impl Copies {
    async fn write(&self, letters: &[DeadLetter]) -> Result<()> {
        let Some(batch) = copies_of(letters) else { return Ok(()) };
        let mut place = self.sink.lock().await;
        let mut sink = match place.take() {
            Some(sink) => sink,
            None => self.ends.copy(&self.to, &self.context, Rc::new(Strict) as SharedHost)?,
        };
        let split = batch.split().clone();
        let what = |e: Error| e.context("copies of dead letters can't be written");
        // Positions of letters may fall from one call to the next, so each call opens the split anew.
        sink.committed(&[(split.clone(), None)]).await.map_err(what)?;
        let mark = Mark { next: batch.first(), ..Mark::default() };
        sink.open(&[(split.clone(), mark)]).await.map_err(what)?;
        sink.write(Unit::as_read(Arc::new(batch))).await.map_err(what)?;
        sink.flush().await.map_err(what)?;
        let _ = sink.settled();
        sink.close(&[split]).await;
        *place = Some(sink);
        Ok(())
    }
}

/// The originals with headers that say what happened.
fn copies_of(letters: &[DeadLetter]) -> Option<Batch> {
    let first = letters.first()?;
    let mut batch = BatchBuilder::new(Split::new(&first.topic, first.partition), first.offset);
    for l in letters {
        let record = RecordRef {
            offset: l.offset,
            sub: l.sub,
            timestamp_ms: l.timestamp_ms,
            key: l.key.as_deref(),
            value: l.value.as_deref(),
            headers: Headers::none(),
        };
        let stage = if l.stage == Stage::Transform { "transform" } else { "sink" };
        let notes: [(&str, &str); 8] = [
            ("wharf-pipeline", &l.pipeline.0),
            ("wharf-topic", &l.topic),
            ("wharf-partition", &l.partition.to_string()),
            ("wharf-offset", &l.offset.to_string()),
            ("wharf-sub", &l.sub.to_string()),
            ("wharf-stage", stage),
            ("wharf-kind", &l.kind),
            ("wharf-reason", &l.reason),
        ];
        batch.push_with(&record, |_, put| {
            for (name, value) in &l.headers {
                put(name, value.as_deref());
            }
            for (name, value) in notes {
                put(name.as_bytes(), Some(value.as_bytes()));
            }
        });
    }
    Some(batch.finish(0))
}

/// The host of a sink that may refuse nothing.
struct Strict;

#[async_trait(?Send)]
impl Host for Strict {
    async fn refuse(&self, _: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        let why = refused.first().map_or("", |r| r.reason.as_str());
        Err(Error::new(ErrorKind::Unacceptable, format!("the topic for dead letters refuses one: {why}")))
    }
}
