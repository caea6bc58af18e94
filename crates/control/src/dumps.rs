//! Dump tasks of the DIS API: pipelines whose source is a stream's topic.
//!
//! A dump is a pipeline like any other, with a name of its own kind (`dump:<stream id>:<task name>`), one lane (a delivery is one snapshot, or
//! one file for each partition), and an error directory. A stream has a few dumps at most, counted where they are stored. Where it begins
//! is settled when it is made: with `LATEST` the ends of the partitions are its first marks, so that nothing is missed that comes
//! before its first run; partitions that open later begin at their first record, as with `TRIM_HORIZON`.

use connector::records::Mark;
use model::{
    DisStream, DisStreamId, EndKind, OnFailure, Pipeline, PipelineDirection, PipelineEnd, PipelineId,
    PipelineStatus, Timestamp,
};
use std::collections::BTreeMap;
use store::{PipelineMark, PipelineNeeds, PipelineOrder};

use crate::nouns::DUMP;
use crate::{Caller, Cluster, Control, Error, ErrorKind, NewPipeline, Noun, Result};

/// Dumps of a stream.
pub(crate) const PER_STREAM: u32 = 5;

/// A dump to make, or what one is to become.
#[derive(Debug, Clone)]
pub struct NewDump {
    /// Name of the task; one of its kind among the stream's.
    pub task: String,
    /// Begin at the oldest record; else with what comes from now on.
    pub from_start: bool,
    /// Where records go.
    pub sink: PipelineEnd,
    /// Where records go that can't go on.
    pub errors: PipelineEnd,
    /// Seconds that a failing destination is tried again; `None` = for ever.
    pub retry_s: Option<u64>,
    /// What only its door understands, without secrets.
    pub attributes: BTreeMap<String, String>,
}

/// How far a dump is in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpPart {
    /// Partition.
    pub partition: u32,
    /// The last record that was dealt with; `None` = none yet.
    pub last: Option<i64>,
    /// Records that were put aside or dropped.
    pub discarded: u64,
    /// When it moved last.
    pub moved: Option<Timestamp>,
}

/// The pipeline's name of a stream's task.
#[must_use]
pub fn dump_name(stream: &DisStreamId, task: &str) -> String {
    format!("dump:{stream}:{task}")
}

/// The name of the task that a pipeline is.
fn task_name(p: &Pipeline) -> &str {
    p.name.splitn(3, ':').nth(2).unwrap_or_default()
}

impl Control {
    /// Makes a dump. The destination has to be there.
    ///
    /// # Errors
    /// `Exists(Pipeline)`; `LimitExceeded` the stream has five; `NotFound(Bucket | Database | Table | Connection)`; `Unreachable` or
    /// `BadCredentials` the destination can't be asked; `Invalid`.
    pub async fn create_dump(&self, c: &Caller, stream: &DisStream, new: NewDump) -> Result<Pipeline> {
        let mut p = self.checked_pipeline(c, pipeline_of(stream, &new))?;
        p.attributes.insert(DUMP.to_owned(), stream.id.0.clone());
        self.check_ends(c, &p).await?;
        self.refuse_taken_pipeline(&p).await?;
        if self.dumps(c, &stream.id).await?.len() >= PER_STREAM as usize {
            let message = format!("a stream has {PER_STREAM} dump tasks at most");
            return Err(Error::new(ErrorKind::LimitExceeded, message));
        }
        self.probe_dump(c, &p).await?;
        let marks = if new.from_start { Vec::new() } else { self.ends_of(stream).await? };
        let stream = Some((stream.id.0.clone(), PER_STREAM));
        let needs = PipelineNeeds { stream, marks, ..self.needs() };
        self.store_pipeline(p, needs).await
    }

    /// Is the destination there, and the bucket of the error directory?
    async fn probe_dump(&self, c: &Caller, p: &Pipeline) -> Result<()> {
        let errors = match &p.on_refusal {
            OnFailure::Aside { to, .. } => Some(&**to),
            _ => None,
        };
        for end in [Some(&p.sink), errors].into_iter().flatten() {
            let reached = self.reach(c, end).await?;
            let missing = if end.kind == EndKind::Bucket { Noun::Bucket } else { Noun::Table };
            let asked = self.answered(self.0.streams.probe(&reached), missing).await;
            asked.map_err(what_is_missing)?;
        }
        Ok(())
    }

    /// The ends of a stream's partitions as marks.
    async fn ends_of(&self, stream: &DisStream) -> Result<Vec<PipelineMark>> {
        let cluster = Cluster::default();
        let ends = self.answered(self.0.streams.ends(&cluster, &stream.topic), Noun::Topic).await?;
        let mark = |e: &crate::PartitionEnds| PipelineMark {
            topic: stream.topic.clone(),
            partition: e.partition,
            next: e.next,
            text: Mark { next: e.next, ..Mark::default() }.to_text(),
        };
        Ok(ends.iter().map(mark).collect())
    }

    /// The dumps of a stream of the caller's, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dumps(&self, c: &Caller, stream: &DisStreamId) -> Result<Vec<Pipeline>> {
        let all = self.0.store.pipelines(None).await?;
        let mine = |p: &&std::sync::Arc<Pipeline>| {
            c.may_see(&p.account)
                && p.status != PipelineStatus::Deleting
                && p.attributes.get(DUMP).is_some_and(|s| s == stream.as_str())
        };
        Ok(all.iter().filter(mine).map(|p| Pipeline::clone(p)).collect())
    }

    /// One dump of a stream, by its task's name or else its id.
    ///
    /// # Errors
    /// `NotFound(Pipeline)`.
    pub async fn dump(&self, c: &Caller, stream: &DisStreamId, task: &str) -> Result<Pipeline> {
        let all = self.dumps(c, stream).await?;
        let found = all.iter().find(|p| task_name(p) == task).or_else(|| all.iter().find(|p| p.id.0 == task));
        let found = found.ok_or_else(|| Error::not_found(Noun::Pipeline, task))?;
        self.pipeline(c, &found.id).await
    }

    /// How far a dump is, by partition.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dump_parts(&self, id: &PipelineId) -> Result<Vec<DumpPart>> {
        let marks = self.0.store.pipeline_marks(id).await?;
        let moves = self.0.store.pipeline_moves(id).await?;
        let one = |m: &PipelineMark| {
            let account = Mark::parse(&m.text).unwrap_or_default().account;
            let read = account.items[connector::records::Account::READ];
            let discarded = account.items[connector::records::Account::DEAD]
                .saturating_add(account.items[connector::records::Account::SKIPPED]);
            let moved = moves.iter().find(|(t, n, _)| *t == m.topic && *n == m.partition).map(|(.., at)| *at);
            DumpPart {
                partition: u32::try_from(m.partition).unwrap_or(0),
                last: (read > 0).then_some(m.next.saturating_sub(1)),
                discarded,
                moved,
            }
        };
        Ok(marks.iter().map(one).collect())
    }

    /// Changes where a dump goes and how. It is restarted in place and keeps its positions.
    ///
    /// # Errors
    /// As [`Control::create_dump`].
    pub async fn change_dump(&self, c: &Caller, stream: &DisStream, new: NewDump) -> Result<Pipeline> {
        let old = self.dump(c, &stream.id, &new.task).await?;
        if old.sink.kind != new.sink.kind {
            let message = "the kind of a task's destination stays";
            return Err(Error::new(ErrorKind::Invalid, message).field("destination_type"));
        }
        let p = self.checked_pipeline(c, pipeline_of(stream, &new))?;
        self.check_ends(c, &p).await?;
        self.probe_dump(c, &p).await?;
        let changed = self.0.store.change_pipeline(&old.id, |now| {
            (now.sink, now.on_refusal) = (p.sink, p.on_refusal);
            now.attributes = p.attributes;
            now.attributes.insert(DUMP.to_owned(), stream.id.0.clone());
            Ok::<_, Error>(())
        });
        let changed = changed.await??;
        if changed.status == PipelineStatus::Paused {
            return Ok(changed);
        }
        self.order(&old.id, PipelineOrder::Restart).await
    }

    /// Ends all dumps of a stream that goes away.
    pub(crate) async fn drop_dumps(&self, stream: &DisStreamId) -> Result<()> {
        for p in self.dumps(&Caller::operator(), stream).await? {
            match self.order(&p.id, PipelineOrder::Delete).await {
                Ok(_) => {}
                Err(e) if matches!(e.kind, ErrorKind::NotFound(_) | ErrorKind::InvalidState) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// What a probe did not find, by the words of the table's connector. A name in them may be any word.
fn what_is_missing(e: Error) -> Error {
    match e.kind {
        ErrorKind::NotFound(Noun::Table) if e.message.starts_with("no such database: ") => {
            Error { kind: ErrorKind::NotFound(Noun::Database), ..e }
        }
        ErrorKind::NotFound(Noun::Table) if e.message.starts_with("no such table: ") => e,
        // The catalogue itself, or the bucket of its warehouse.
        ErrorKind::NotFound(Noun::Table) => Error { kind: ErrorKind::Unreachable, ..e },
        _ => e,
    }
}

fn pipeline_of(stream: &DisStream, new: &NewDump) -> NewPipeline {
    let source = serde_json::json!({ "topics": [stream.topic], "start": "earliest" });
    NewPipeline {
        name: dump_name(&stream.id, &new.task),
        description: String::new(),
        direction: PipelineDirection::Sink,
        source: PipelineEnd {
            kind: EndKind::Kafka,
            connection: None,
            address: String::new(),
            secret: None,
            options: source.to_string(),
        },
        sink: new.sink.clone(),
        transform: None,
        on_failure: OnFailure::Block,
        on_refusal: OnFailure::Aside { to: Box::new(new.errors.clone()), retry_s: new.retry_s },
        lanes: Some(1),
        bytes_per_s: None,
        records_per_s: None,
        sync: None,
        attributes: new.attributes.clone(),
        tags: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_does_not_hang_on_a_name() {
        let kind =
            |message: &str| what_is_missing(Error::new(ErrorKind::NotFound(Noun::Table), message)).kind;
        for (message, wanted) in [
            ("no such database: lake", ErrorKind::NotFound(Noun::Database)),
            ("no such table: lake.orders_database", ErrorKind::NotFound(Noun::Table)),
            ("unable to open the database file", ErrorKind::Unreachable),
            ("NoSuchBucket", ErrorKind::Unreachable),
        ] {
            assert_eq!(kind(message), wanted, "{message}");
        }
    }
}
