//! Runs of pipelines: who has one, for how long, and how far it is.
//!
//! The rules are those of tasks (`runs`): the attempt number is the fencing token, the lease only says when a silent worker may be
//! replaced. What differs: a pipeline has a mark for each split instead of one checkpoint, a mark never moves back, and a run has
//! no result, it only comes to rest.

use model::{Ledger, Pipeline, PipelineId, PipelineStatus, Timestamp};

use crate::db::{Durability, Tx, Value, values};
use crate::pipelines::{ended, ledger_text, parse, pipeline_in, short_words};
use crate::{Error, ErrorKind, Result, Store};

/// How far a pipeline is in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineMark {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The position to go on from.
    pub next: i64,
    /// Position and account in the engine's own form.
    pub text: String,
}

/// One journal entry of a pipeline: everything in it becomes durable together.
#[derive(Debug, Clone, Default)]
pub struct PipelineEntry {
    /// What moved since the entry before.
    pub marks: Vec<PipelineMark>,
    /// The account over all partitions, these marks included.
    pub ledger: Ledger,
}

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineWish {
    /// Work.
    Run,
    /// Work, and letters wait for their replay.
    Replay,
    /// Come to rest: then [`Store::rest_pipeline`].
    Rest,
}

/// Is there anything to take? A look costs no write lock.
const ANYTHING: &str = "SELECT 1 FROM pipelines WHERE worked = 1 AND status NOT IN ('paused', 'deleted') \
    AND lease_until < $1 LIMIT 1";

/// Takes the pipeline that nobody has had for the longest time.
const CLAIM: &str = "UPDATE pipelines SET attempt = attempt + 1, restart = 0, worker = $1, lease_us = $2, \
    lease_until = $3 WHERE lease_until < $4 AND id = (SELECT p.id FROM pipelines p \
        WHERE p.worked = 1 AND p.status NOT IN ('paused', 'deleted') AND p.lease_until < $4 \
        ORDER BY p.lease_until, p.created, p.id LIMIT 1) \
    RETURNING id";

impl Store {
    /// Takes a pipeline that wants a worker and has no live lease; one worker only gets it. `attempt` is one more than
    /// before. One that is pausing or deleting is given out too: its run brings it to rest.
    ///
    /// # Errors
    /// `Internal`, `Unavailable`.
    pub async fn claim_pipeline(
        &self,
        worker: &str,
        now: Timestamp,
        lease_us: i64,
    ) -> Result<Option<Pipeline>> {
        for _ in 0..3 {
            if self.0.db.rows(ANYTHING, vec![Value::Int(now.0)]).await?.is_empty() {
                return Ok(None);
            }
            let _changing = self.0.pipelines.changing();
            let mut tx = self.0.db.begin(Durability::Power).await?;
            let until = now.0.saturating_add(lease_us);
            let Some(row) = tx.row(CLAIM, values![worker, lease_us, until, now.0]).await? else {
                // Another one was quicker.
                continue;
            };
            let p = pipeline_in(&mut tx, &PipelineId(row.text(0)?)).await?;
            tx.commit().await?;
            return Ok(Some(p));
        }
        Ok(None)
    }

    /// Ends the leases of a worker that is known to be gone; `None` = of every worker (a SQLite file has one process:
    /// call it at start). Returns how many.
    ///
    /// # Errors
    /// `Internal`, `Unavailable`.
    pub async fn release_pipelines(&self, worker: Option<&str>, now: Timestamp) -> Result<u64> {
        let ended = now.0.saturating_sub(1);
        match worker {
            Some(worker) => {
                let sql = "UPDATE pipelines SET lease_until = $2 WHERE worker = $1 AND lease_until > $2";
                self.0.db.execute(sql, values![worker, ended]).await
            }
            None => {
                let sql =
                    "UPDATE pipelines SET lease_until = $1 WHERE worker IS NOT NULL AND lease_until > $1";
                self.0.db.execute(sql, values![ended]).await
            }
        }
    }

    /// The run is at work: creating and resuming become running.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the pipeline's current run.
    pub async fn pipeline_began(&self, id: &PipelineId, attempt: u32, now: Timestamp) -> Result<()> {
        let _changing = self.0.pipelines.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        hold_pipeline(&mut tx, id, attempt, now).await?;
        let sql =
            "UPDATE pipelines SET status = 'running' WHERE id = $1 AND status IN ('creating', 'resuming')";
        tx.execute(sql, values![id.as_str()]).await?;
        tx.commit().await
    }

    /// The newest marks of all partitions.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn pipeline_marks(&self, id: &PipelineId) -> Result<Vec<PipelineMark>> {
        let sql =
            "SELECT topic, part, next, mark FROM pipeline_marks WHERE pipeline = $1 ORDER BY topic, part";
        let rows = self.0.db.rows(sql, values![id.as_str()]).await?;
        let mark = |row: &crate::db::Row| {
            Ok(PipelineMark {
                topic: row.text(0)?,
                partition: i32::try_from(row.int(1)?).unwrap_or(i32::MAX),
                next: row.int(2)?,
                text: row.text(3)?,
            })
        };
        rows.iter().map(mark).collect()
    }

    /// When each mark was written down last, by topic and partition; none = never since the pipeline was made.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn pipeline_moves(&self, id: &PipelineId) -> Result<Vec<(String, i32, Timestamp)>> {
        let sql = "SELECT topic, part, moved FROM pipeline_marks WHERE pipeline = $1 AND moved > 0";
        let rows = self.0.db.rows(sql, values![id.as_str()]).await?;
        let one = |row: &crate::db::Row| {
            Ok((row.text(0)?, i32::try_from(row.int(1)?).unwrap_or(i32::MAX), Timestamp(row.int(2)?)))
        };
        rows.iter().map(one).collect()
    }

    /// Writes marks and account in one transaction, extends the lease, and tells what is wanted. A mark that is behind the stored
    /// one is left out.
    ///
    /// Survives a crash of the process at once. A power cut may take the last entries back, whole and in order.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the pipeline's current run.
    pub async fn journal_pipeline(
        &self,
        id: &PipelineId,
        attempt: u32,
        e: &PipelineEntry,
        now: Timestamp,
    ) -> Result<PipelineWish> {
        let mut tx = self.0.db.begin(Durability::Process).await?;
        let held = hold_pipeline(&mut tx, id, attempt, now).await?;
        for m in &e.marks {
            let sql = "INSERT INTO pipeline_marks (pipeline, topic, part, next, mark, moved) \
                       VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (pipeline, topic, part) DO UPDATE \
                       SET next = excluded.next, mark = excluded.mark, moved = excluded.moved \
                       WHERE pipeline_marks.next <= excluded.next";
            let row = values![id.as_str(), &*m.topic, i64::from(m.partition), m.next, &*m.text, now.0];
            tx.execute(sql, row).await?;
        }
        let sql = "UPDATE pipeline_state SET account = $2 WHERE pipeline = $1";
        tx.execute(sql, values![id.as_str(), ledger_text(&e.ledger)?]).await?;
        let wish = held.wish(&mut tx, id).await?;
        tx.commit().await?;
        Ok(wish)
    }

    /// Extends the lease alone, and tells what is wanted.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the pipeline's current run.
    pub async fn renew_pipeline(
        &self,
        id: &PipelineId,
        attempt: u32,
        now: Timestamp,
    ) -> Result<PipelineWish> {
        let mut tx = self.0.db.begin(Durability::Process).await?;
        let held = hold_pipeline(&mut tx, id, attempt, now).await?;
        let wish = held.wish(&mut tx, id).await?;
        tx.commit().await?;
        Ok(wish)
    }

    /// Says what is in a pipeline's way, or that nothing is any more.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the pipeline's current run.
    pub async fn explain_pipeline(
        &self,
        id: &PipelineId,
        attempt: u32,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let _changing = self.0.pipelines.changing();
        let mut tx = self.0.db.begin(Durability::Process).await?;
        hold_pipeline(&mut tx, id, attempt, now).await?;
        let error = error.map(short_words);
        tx.execute("UPDATE pipelines SET error = $2 WHERE id = $1", values![id.as_str(), error]).await?;
        tx.commit().await
    }

    /// The run has come to rest: its lease ends; pausing becomes paused, deleting becomes deleted, in other states it may be claimed
    /// again at once.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the pipeline's current run.
    pub async fn rest_pipeline(&self, id: &PipelineId, attempt: u32, now: Timestamp) -> Result<Pipeline> {
        let _changing = self.0.pipelines.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let held = hold_pipeline(&mut tx, id, attempt, now).await?;
        let status = match held.status {
            PipelineStatus::Pausing => PipelineStatus::Paused,
            PipelineStatus::Deleting => PipelineStatus::Deleted,
            other => other,
        };
        let sql =
            "UPDATE pipelines SET status = $2, worker = NULL, lease_until = 0, restart = 0 WHERE id = $1";
        tx.execute(sql, values![id.as_str(), status.name()]).await?;
        if status == PipelineStatus::Deleted {
            ended(&mut tx, id, now).await?;
        }
        let p = pipeline_in(&mut tx, id).await?;
        tx.commit().await?;
        Ok(p)
    }
}

/// What a run that holds its pipeline learns of it.
pub(crate) struct Held {
    status: PipelineStatus,
    restart: bool,
}

impl Held {
    async fn wish(&self, tx: &mut Tx, id: &PipelineId) -> Result<PipelineWish> {
        if self.restart || matches!(self.status, PipelineStatus::Pausing | PipelineStatus::Deleting) {
            return Ok(PipelineWish::Rest);
        }
        let sql = "SELECT 1 FROM dead_letters WHERE pipeline = $1 AND turn > 0 LIMIT 1";
        let waits = tx.row(sql, values![id.as_str()]).await?.is_some();
        Ok(if waits { PipelineWish::Replay } else { PipelineWish::Run })
    }
}

/// Locks the pipeline for this transaction if `attempt` is its current run, and extends the lease.
pub(crate) async fn hold_pipeline(
    tx: &mut Tx,
    id: &PipelineId,
    attempt: u32,
    now: Timestamp,
) -> Result<Held> {
    let sql = "UPDATE pipelines SET lease_until = $3 + lease_us WHERE id = $1 AND attempt = $2 \
               AND worker IS NOT NULL AND status NOT IN ('paused', 'deleted') RETURNING status, restart";
    match tx.row(sql, values![id.as_str(), attempt, now.0]).await? {
        Some(row) => Ok(Held { status: parse(&row.text(0)?)?, restart: row.int(1)? != 0 }),
        None => Err(Error::new(
            ErrorKind::Fenced,
            format!("run {attempt} of pipeline {id} is no longer the current one"),
        )),
    }
}
