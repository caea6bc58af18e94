//! Pipelines as users see them: made, found, changed, told what to do, forgotten. Who runs them is in `pipeline_runs`.

use std::sync::Arc;

use model::{AccountId, Ledger, OnFailure, Pipeline, PipelineEnd, PipelineId, PipelineStatus, Timestamp};

use crate::db::{Durability, Row, Tx, values};
use crate::pipeline_runs::PipelineMark;
use crate::places::refuse_if_full;
use crate::records::{AccountBook, PipelineRecord, broken, decode, encode};
use crate::{Error, ErrorKind, Result, Store};

/// Longest text of what is in a pipeline's way, in bytes.
const MAX_ERROR: usize = 2048;

/// What a new pipeline needs beside itself.
#[derive(Debug, Clone, Default)]
pub struct PipelineNeeds {
    /// A worker moves its records. Otherwise its states change at once, and it is never claimed.
    pub worked: bool,
    /// Topics of the products' API that it reads or writes: they can't be removed meanwhile.
    pub topics: Vec<String>,
    /// Pipelines that its account may have; 0 = no limit.
    pub per_account: u32,
    /// The stream (of the DIS API) that it dumps, and how many dumps a stream may have.
    pub stream: Option<(String, u32)>,
    /// Where it begins, where that is known before its first run.
    pub marks: Vec<PipelineMark>,
}

/// What a user wants of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineOrder {
    /// Come to rest, keep the positions.
    Pause,
    /// Go on.
    Resume,
    /// Come to rest and begin anew from the positions; forget what was in the way.
    Restart,
    /// End.
    Delete,
}

/// Columns that make a [`Pipeline`] but for its account, in the order of [`pipeline`].
macro_rules! select_pipeline {
    ($rest:literal) => {
        concat!("SELECT record, status, error, attempt, deleted FROM pipelines ", $rest)
    };
}

pub(crate) fn pipeline(row: &Row) -> Result<Pipeline> {
    let mut p = decode::<PipelineRecord>(&row.text(0)?)?.noun()?;
    p.status = parse(&row.text(1)?)?;
    p.error = row.maybe_text(2)?;
    p.attempt = u32::try_from(row.int(3)?).unwrap_or(u32::MAX);
    p.deleted = row.maybe_int(4)?.map(Timestamp);
    Ok(p)
}

pub(crate) fn parse(status: &str) -> Result<PipelineStatus> {
    PipelineStatus::named(status).ok_or_else(|| broken(format!("unknown status of a pipeline {status:?}")))
}

pub(crate) fn missing(id: &PipelineId) -> Error {
    Error::new(ErrorKind::NotFound, format!("pipeline {id} does not exist"))
}

pub(crate) fn ledger_of(text: &str) -> Result<Ledger> {
    Ok(decode::<AccountBook>(text)?.nouns().0)
}

pub(crate) fn ledger_text(ledger: &Ledger) -> Result<String> {
    encode(&AccountBook::of(ledger, &model::Progress::default()))
}

/// One pipeline with its account, as this transaction sees it.
pub(crate) async fn pipeline_in(tx: &mut Tx, id: &PipelineId) -> Result<Pipeline> {
    let row = tx.row(select_pipeline!("WHERE id = $1"), values![id.as_str()]).await?;
    let mut p = pipeline(&row.ok_or_else(|| missing(id))?)?;
    let row = tx.row("SELECT account FROM pipeline_state WHERE pipeline = $1", values![id.as_str()]).await?;
    if let Some(row) = row {
        p.ledger = ledger_of(&row.text(0)?)?;
    }
    Ok(p)
}

/// Connections that a pipeline's ends name.
fn connections(p: &Pipeline) -> Vec<&str> {
    fn copy(f: &OnFailure) -> Option<&PipelineEnd> {
        match f {
            OnFailure::Keep { copy, .. } => copy.as_deref(),
            _ => None,
        }
    }
    let ends = [Some(&p.source), Some(&p.sink), copy(&p.on_failure), copy(&p.on_refusal)];
    let mut ids: Vec<&str> =
        ends.into_iter().flatten().filter_map(|e| e.connection.as_ref()).map(|c| c.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Store {
    /// All pipelines without their accounts; from memory where this process alone writes.
    async fn all_pipelines(&self) -> Result<Arc<Vec<Arc<Pipeline>>>> {
        let load = async {
            let rows = self.0.db.rows(select_pipeline!("ORDER BY created, id"), vec![]).await?;
            rows.iter().map(|row| pipeline(row).map(Arc::new)).collect()
        };
        self.0.pipelines.all(load).await
    }

    /// Stores a new pipeline.
    ///
    /// # Errors
    /// `Exists` when the id or, in this account, the name is taken; `Limit`; `Conflict` when a connection or topic that it needs is
    /// gone.
    pub async fn insert_pipeline(&self, p: &Pipeline, needs: &PipelineNeeds) -> Result<()> {
        let _changing = self.0.pipelines.changing();
        let record = encode(&PipelineRecord::of(p))?;
        let mut tx = self.0.db.begin(Durability::Power).await?;
        tx.hold_account("pipelines", &p.account).await?;
        let sql = "SELECT COUNT(*) FROM pipelines WHERE account = $1 AND name IS NOT NULL";
        let count = tx.row(sql, values![p.account.as_str()]).await?;
        refuse_if_full(count, needs.per_account, "pipelines", &p.account)?;
        let sql = "INSERT INTO pipelines (id, account, name, status, worked, restart, error, created, deleted, \
                   attempt, worker, lease_us, lease_until, record) \
                   VALUES ($1, $2, $3, $4, $5, 0, NULL, $6, NULL, 0, NULL, 0, 0, $7)";
        let worked = i64::from(needs.worked);
        let id = p.id.as_str();
        let row = values![id, p.account.as_str(), &*p.name, p.status.name(), worked, p.created.0, record];
        tx.execute(sql, row).await?;
        let sql =
            "INSERT INTO pipeline_state (pipeline, account, turn, letters, bytes) VALUES ($1, $2, 0, 0, 0)";
        tx.execute(sql, values![id, ledger_text(&p.ledger)?]).await?;
        for c in connections(p) {
            need(&mut tx, id, ("connection", c)).await?;
        }
        for t in &needs.topics {
            need(&mut tx, id, ("topic", t)).await?;
        }
        if let Some((stream, most)) = &needs.stream {
            need(&mut tx, id, ("stream", stream)).await?;
            let sql = "SELECT COUNT(*) FROM pipeline_uses u JOIN pipelines p ON p.id = u.pipeline \
                       WHERE u.kind = 'stream' AND u.name = $1 AND p.name IS NOT NULL AND p.id <> $2";
            let count = tx.row(sql, values![&**stream, id]).await?;
            refuse_if_full(count, *most, "dump tasks of a stream", &p.account)?;
        }
        for m in &needs.marks {
            let sql =
                "INSERT INTO pipeline_marks (pipeline, topic, part, next, mark) VALUES ($1, $2, $3, $4, $5)";
            tx.execute(sql, values![id, &*m.topic, i64::from(m.partition), m.next, &*m.text]).await?;
        }
        tx.commit().await
    }

    /// One pipeline; also one that was deleted and not yet forgotten.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn pipeline(&self, id: &PipelineId) -> Result<Option<Pipeline>> {
        let Some(mut p) = self.pipeline_terms(id).await? else { return Ok(None) };
        let sql = "SELECT account FROM pipeline_state WHERE pipeline = $1";
        match self.0.db.row(sql, values![id.as_str()]).await? {
            None => Ok(None),
            Some(row) => {
                p.ledger = ledger_of(&row.text(0)?)?;
                Ok(Some(p))
            }
        }
    }

    /// The same without its account (which is empty then): cheap.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn pipeline_terms(&self, id: &PipelineId) -> Result<Option<Pipeline>> {
        if self.0.db.is_ours_alone() {
            return Ok(self.all_pipelines().await?.iter().find(|p| p.id == *id).map(|p| (**p).clone()));
        }
        let row = self.0.db.row(select_pipeline!("WHERE id = $1"), values![id.as_str()]).await?;
        row.as_ref().map(pipeline).transpose()
    }

    /// Pipelines that are not deleted, oldest first, without their accounts: of an account, or all.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn pipelines(&self, of: Option<&AccountId>) -> Result<Vec<Arc<Pipeline>>> {
        let mine =
            |p: &&Arc<Pipeline>| of.is_none_or(|a| *a == p.account) && p.status != PipelineStatus::Deleted;
        Ok(self.all_pipelines().await?.iter().filter(mine).cloned().collect())
    }

    /// The account of a pipeline, as of its last journal entry.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn pipeline_ledger(&self, id: &PipelineId) -> Result<Ledger> {
        let sql = "SELECT account FROM pipeline_state WHERE pipeline = $1";
        let row = self.0.db.row(sql, values![id.as_str()]).await?;
        ledger_of(&row.ok_or_else(|| missing(id))?.text(0)?)
    }

    /// How many pipelines that are not deleted need this (`connection` or `topic`).
    ///
    /// # Errors
    /// `Internal`.
    pub async fn needed_by(&self, kind: &str, name: &str) -> Result<Vec<PipelineId>> {
        let sql = "SELECT pipeline FROM pipeline_uses WHERE kind = $1 AND name = $2 ORDER BY pipeline";
        let rows = self.0.db.rows(sql, values![kind, name]).await?;
        rows.iter().map(|row| Ok(row.text(0)?.into())).collect()
    }

    /// Changes a pipeline's name, words, limits, attributes, tags and the options of its ends in one step: `change` sees it as it is
    /// now, and may refuse. What it is connected to stays.
    ///
    /// # Errors
    /// `NotFound`; `Exists` when the new name is taken; inside, what `change` refuses.
    pub async fn change_pipeline<E: Send>(
        &self,
        id: &PipelineId,
        change: impl FnOnce(&mut Pipeline) -> Result<(), E> + Send,
    ) -> Result<Result<Pipeline, E>> {
        let _changing = self.0.pipelines.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        lock(&mut tx, id).await?;
        let mut p = pipeline_in(&mut tx, id).await?;
        if let Err(e) = change(&mut p) {
            return Ok(Err(e));
        }
        let record = encode(&PipelineRecord::of(&p))?;
        let sql = "UPDATE pipelines SET name = CASE WHEN name IS NULL THEN NULL ELSE $2 END, record = $3 WHERE id = $1";
        tx.execute(sql, values![id.as_str(), &*p.name, record]).await?;
        tx.commit().await?;
        Ok(Ok(p))
    }

    /// Tells a pipeline what a user wants. Where nobody works on it (no worker needed, or none has a live lease), it is
    /// carried out at once.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when its state does not allow it.
    pub async fn order_pipeline(
        &self,
        id: &PipelineId,
        order: PipelineOrder,
        now: Timestamp,
    ) -> Result<Pipeline> {
        let _changing = self.0.pipelines.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let (worked, lease) = lock(&mut tx, id).await?;
        let old = pipeline_in(&mut tx, id).await?;
        let alone = !worked || lease < now.0;
        let new = after(&old, order, worked, alone)?;
        let restart = i64::from(order == PipelineOrder::Restart && !alone);
        // Whoever may still be at work without a lease is fenced off where the state moved on without it.
        let fence = i64::from(alone && worked && !new.wants_a_worker());
        let forget = i64::from(matches!(order, PipelineOrder::Restart | PipelineOrder::Resume));
        let sql = "UPDATE pipelines SET status = $2, restart = CASE WHEN $3 = 1 THEN 1 ELSE restart END, \
                   attempt = attempt + $4, error = CASE WHEN $5 = 1 THEN NULL ELSE error END WHERE id = $1";
        tx.execute(sql, values![id.as_str(), new.name(), restart, fence, forget]).await?;
        if order == PipelineOrder::Delete {
            tx.execute("UPDATE pipelines SET name = NULL WHERE id = $1", values![id.as_str()]).await?;
        }
        if new == PipelineStatus::Deleted {
            ended(&mut tx, id, now).await?;
        }
        let p = pipeline_in(&mut tx, id).await?;
        tx.commit().await?;
        Ok(p)
    }

    /// Adds to the account of a pipeline that no worker journals.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn book_pipeline(&self, id: &PipelineId, more: &Ledger) -> Result<()> {
        let mut tx = self.0.db.begin(Durability::Process).await?;
        let sql = "UPDATE pipeline_state SET account = account WHERE pipeline = $1 RETURNING account";
        let row = tx.row(sql, values![id.as_str()]).await?.ok_or_else(|| missing(id))?;
        let mut ledger = ledger_of(&row.text(0)?)?;
        ledger.merge(more);
        let sql = "UPDATE pipeline_state SET account = $2 WHERE pipeline = $1";
        tx.execute(sql, values![id.as_str(), ledger_text(&ledger)?]).await?;
        tx.commit().await
    }

    /// Says what is in the way of a pipeline that no worker has anything to say of, or that nothing is any more.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn note_pipeline(&self, id: &PipelineId, error: Option<&str>) -> Result<()> {
        let _changing = self.0.pipelines.changing();
        let sql = "UPDATE pipelines SET error = $2 WHERE id = $1 AND worked = 0";
        self.0.db.execute(sql, values![id.as_str(), error.map(short_words)]).await?;
        Ok(())
    }

    /// Forgets pipelines that were deleted before `before`, with their marks and dead letters. Returns how many.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn forget_pipelines(&self, before: Timestamp) -> Result<u64> {
        let sql = "SELECT id FROM pipelines WHERE status = 'deleted' AND deleted < $1 ORDER BY id LIMIT 100";
        let old = self.0.db.rows(sql, values![before.0]).await?;
        if old.is_empty() {
            return Ok(0);
        }
        let _changing = self.0.pipelines.changing();
        for row in &old {
            let id = row.text(0)?;
            let mut tx = self.0.db.begin(Durability::Power).await?;
            for sql in [
                "DELETE FROM dead_letters WHERE pipeline = $1",
                "DELETE FROM pipeline_marks WHERE pipeline = $1",
                "DELETE FROM pipeline_state WHERE pipeline = $1",
                "DELETE FROM pipeline_uses WHERE pipeline = $1",
                "DELETE FROM pipelines WHERE id = $1",
            ] {
                tx.execute(sql, values![&*id]).await?;
            }
            tx.commit().await?;
        }
        Ok(old.len() as u64)
    }
}

/// What is in a pipeline's way, as much of it as is kept. PostgreSQL's text holds no NUL.
pub(crate) fn short_words(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_ERROR)].replace('\0', " ")
}

/// Locks a pipeline for this transaction: does a worker move its records, and until when does its lease run?
pub(crate) async fn lock(tx: &mut Tx, id: &PipelineId) -> Result<(bool, i64)> {
    let sql = "UPDATE pipelines SET worked = worked WHERE id = $1 RETURNING worked, lease_until";
    let row = tx.row(sql, values![id.as_str()]).await?.ok_or_else(|| missing(id))?;
    Ok((row.int(0)? != 0, row.int(1)?))
}

/// A deleted pipeline needs nothing any more, and nobody replays its letters.
pub(crate) async fn ended(tx: &mut Tx, id: &PipelineId, now: Timestamp) -> Result<()> {
    let sql = "UPDATE pipelines SET deleted = $2, worker = NULL, lease_until = 0, restart = 0 WHERE id = $1";
    tx.execute(sql, values![id.as_str(), now.0]).await?;
    tx.execute("DELETE FROM pipeline_uses WHERE pipeline = $1", values![id.as_str()]).await?;
    let sql =
        "UPDATE dead_letters SET status = 'waiting', turn = 0 WHERE pipeline = $1 AND status = 'replaying'";
    tx.execute(sql, values![id.as_str()]).await?;
    Ok(())
}

/// The state that an order leads to.
fn after(p: &Pipeline, order: PipelineOrder, worked: bool, alone: bool) -> Result<PipelineStatus> {
    use PipelineStatus as S;
    let wanted = match order {
        PipelineOrder::Pause => S::Pausing,
        PipelineOrder::Resume => S::Resuming,
        PipelineOrder::Delete => S::Deleting,
        PipelineOrder::Restart if p.status == S::Paused => S::Resuming,
        PipelineOrder::Restart => {
            return match p.status {
                S::Creating | S::Running | S::Resuming => Ok(p.status),
                other => Err(refused(p, other)),
            };
        }
    };
    if !p.status.may_become(wanted) {
        return Err(refused(p, wanted));
    }
    Ok(match wanted {
        S::Pausing if alone => S::Paused,
        S::Deleting if alone => S::Deleted,
        S::Resuming if !worked => S::Running,
        other => other,
    })
}

fn refused(p: &Pipeline, wanted: PipelineStatus) -> Error {
    let message = format!("pipeline {} is {}: it can't become {}", p.id, p.status.name(), wanted.name());
    Error::new(ErrorKind::Conflict, message)
}

/// Notes what a pipeline (or a flow log) needs, if it is there; its row stays locked until the pipeline is stored.
pub(crate) async fn need(tx: &mut Tx, id: &str, what: (&str, &str)) -> Result<()> {
    let sql = match what.0 {
        "connection" => "UPDATE connections SET created = created WHERE id = $1",
        "stream" => "UPDATE dis_streams SET created = created WHERE id = $1",
        _ => "UPDATE dip_topics SET created = created WHERE name = $1",
    };
    if tx.execute(sql, values![what.1]).await? == 0 {
        return Err(Error::new(ErrorKind::Conflict, format!("{} {} does not exist", what.0, what.1)));
    }
    let sql = "INSERT INTO pipeline_uses (pipeline, kind, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    tx.execute(sql, values![id, what.0, what.1]).await?;
    Ok(())
}
