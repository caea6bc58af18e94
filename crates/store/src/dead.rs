//! The dead-letter desk: records that could not go on, with their exact bytes.
//!
//! A letter is named by where its record was read (pipeline, topic, partition, position, and which of the records that were made
//! from it), so keeping it twice keeps it once, whatever has become of it meanwhile. A pipeline may have a bounded number and size
//! of letters waiting ([`Options::dead_letters`](crate::Options)): beyond, [`Store::keep_dead`] refuses, and the pipeline stops
//! there. Nothing is dropped to make room; that is a person's decision. A letter that is done with loses its content at
//! once and is forgotten later.

use std::fmt;

use model::{AccountId, DeadLetter, DeadStatus, PipelineId, Stage, Timestamp};
use sqlx::AssertSqlSafe;

use crate::db::{Durability, Row, Tx, Value, values};
use crate::pipeline_runs::hold_pipeline;
use crate::pipelines::{lock, missing};
use crate::query::Conditions;
use crate::records::{
    HeaderList, dead_status_name, decode_headers, encode_headers, parse_dead_status, parse_stage, stage_name,
};
use crate::{Error, ErrorKind, Page, Result, Store};

/// Longest reason that is kept, in bytes.
const MAX_REASON: usize = 2048;

/// What a row of `dead_letters` holds beside the letter.
const ROOM: usize = 128;

/// Names a dead letter within its pipeline. Text form: `topic/partition/offset/sub`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadId {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Position.
    pub offset: i64,
    /// Which of the records that were made from it.
    pub sub: u32,
}

impl DeadId {
    /// The name of this letter.
    #[must_use]
    pub fn of(d: &DeadLetter) -> Self {
        Self { topic: d.topic.clone(), partition: d.partition, offset: d.offset, sub: d.sub }
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.rsplitn(4, '/');
        let (sub, offset, partition) = (words.next()?, words.next()?, words.next()?);
        let topic = words.next().filter(|t| !t.is_empty())?.to_owned();
        let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
        Some(Self { topic, partition, offset, sub: sub.parse().ok()? })
    }
}

impl fmt::Display for DeadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.topic, self.partition, self.offset, self.sub)
    }
}

/// Which dead letters. Conditions are joined by *and*; an empty list or `None` asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Of pipelines of this account. `control` sets it from the caller.
    pub account: Option<AccountId>,
    /// Of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Any of these.
    pub ids: Vec<DeadId>,
    /// Part of the reason, or of the kind of error.
    pub reason: Option<String>,
    /// Where they stood.
    pub stage: Option<Stage>,
    /// What has become of them.
    pub status: Option<DeadStatus>,
}

impl DeadFilter {
    fn conditions(&self) -> Conditions {
        let mut c = Conditions::default();
        if let Some(account) = &self.account {
            c.within("d.pipeline", "SELECT id FROM pipelines WHERE account =", account.as_str());
        }
        c.equal("d.pipeline", self.pipeline.as_ref().map(|p| p.as_str()));
        let id = "d.topic || '/' || d.part || '/' || d.at_offset || '/' || d.sub";
        c.any(id, self.ids.iter().map(DeadId::to_string));
        c.contains_any(&["d.reason", "d.kind"], self.reason.as_deref());
        c.equal("d.stage", self.stage.map(stage_name));
        c.equal("d.status", self.status.map(dead_status_name));
        c
    }
}

/// Letters of a pipeline that wait or are being replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeadTotals {
    /// How many.
    pub letters: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A letter in the line of replays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its place: from 1, never given twice in a pipeline.
    pub turn: i64,
    /// The letter.
    pub letter: DeadLetter,
}

macro_rules! select_letter {
    ($rest:literal) => {
        concat!(
            "SELECT d.pipeline, d.topic, d.part, d.at_offset, d.sub, d.stage, d.kind, d.reason, d.key, d.value, ",
            "d.headers, d.timestamp_ms, d.kept, d.status, d.turn FROM dead_letters d",
            $rest
        )
    };
}

fn letter(row: &Row) -> Result<DeadLetter> {
    Ok(DeadLetter {
        pipeline: row.text(0)?.into(),
        topic: row.text(1)?,
        partition: i32::try_from(row.int(2)?).unwrap_or(i32::MAX),
        offset: row.int(3)?,
        sub: u32::try_from(row.int(4)?).unwrap_or(u32::MAX),
        stage: parse_stage(&row.text(5)?)?,
        kind: row.text(6)?,
        reason: row.text(7)?,
        key: row.maybe_bytes(8)?,
        value: row.maybe_bytes(9)?,
        headers: row.maybe_bytes(10)?.map_or(Ok(HeaderList::new()), |b| decode_headers(&b))?,
        timestamp_ms: row.int(11)?,
        at: Timestamp(row.int(12)?),
        status: parse_dead_status(&row.text(13)?)?,
    })
}

fn weight(d: &DeadLetter) -> usize {
    let len = |b: &Option<Vec<u8>>| b.as_ref().map_or(0, Vec::len);
    let headers: usize = d.headers.iter().map(|(k, v)| k.len() + len(v) + 8).sum();
    len(&d.key) + len(&d.value) + headers + d.reason.len().min(MAX_REASON) + ROOM
}

/// PostgreSQL's text holds no NUL.
fn words(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].replace('\0', " ")
}

impl Store {
    /// Keeps letters of one pipeline: durable, even over a power cut, when it returns. One that is there already stays as it is.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the pipeline's current run; `Limit` when it would have more waiting than it may: then
    /// none of them is kept.
    pub async fn keep_dead(
        &self,
        id: &PipelineId,
        attempt: u32,
        letters: &[DeadLetter],
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        hold_pipeline(&mut tx, id, attempt, now).await?;
        self.keep_in(&mut tx, id, letters).await?;
        tx.commit().await
    }

    /// The same for a pipeline that no worker has.
    ///
    /// # Errors
    /// `NotFound`, `Limit`.
    pub async fn keep_dead_unworked(&self, id: &PipelineId, letters: &[DeadLetter]) -> Result<()> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        lock(&mut tx, id).await?;
        self.keep_in(&mut tx, id, letters).await?;
        tx.commit().await
    }

    async fn keep_in(&self, tx: &mut Tx, id: &PipelineId, letters: &[DeadLetter]) -> Result<()> {
        let (mut count, mut bytes) = (0i64, 0i64);
        for d in letters {
            let weight = weight(d);
            if insert(tx, id, d, weight).await? {
                count += 1;
                bytes += i64::try_from(weight).unwrap_or(i64::MAX);
            }
        }
        let sql = "UPDATE pipeline_state SET letters = letters + $2, bytes = bytes + $3 WHERE pipeline = $1 \
                   RETURNING letters, bytes";
        let row = tx.row(sql, values![id.as_str(), count, bytes]).await?.ok_or_else(|| missing(id))?;
        let totals = totals(&row, 0)?;
        if count > 0 {
            self.refuse_full(id, &totals)?;
        }
        Ok(())
    }

    fn refuse_full(&self, id: &PipelineId, totals: &DeadTotals) -> Result<()> {
        let (most, most_bytes) = self.0.options.dead_letters;
        if totals.letters > most || totals.bytes > most_bytes {
            let message = format!(
                "the dead-letter desk of {id} is full ({most} letters or {most_bytes} bytes): replay or drop some"
            );
            return Err(Error::new(ErrorKind::Limit, message));
        }
        Ok(())
    }

    /// Is there room for these letters now? For whoever keeps them at the end of other work, with [`Store::keep_dead_unworked`].
    ///
    /// # Errors
    /// `NotFound`, `Limit` there is none.
    pub async fn dead_room(&self, id: &PipelineId, letters: &[DeadLetter]) -> Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let mut totals = self.dead_totals(id).await?;
        totals.letters = totals.letters.saturating_add(letters.len() as u64);
        let bytes: u64 = letters.iter().map(|d| weight(d) as u64).sum();
        totals.bytes = totals.bytes.saturating_add(bytes);
        self.refuse_full(id, &totals)
    }

    /// Letters in the line of replays behind `after`, in order: at most `most`, and about `bytes` (at least one).
    ///
    /// # Errors
    /// `Internal`.
    pub async fn queued_dead(
        &self,
        id: &PipelineId,
        after: i64,
        most: u64,
        bytes: u64,
    ) -> Result<Vec<Queued>> {
        let sql =
            "SELECT turn, weight FROM dead_letters WHERE pipeline = $1 AND turn > $2 ORDER BY turn LIMIT $3";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut last = after;
        let mut sum = 0u64;
        for row in self.0.db.rows(sql, values![id.as_str(), after, most]).await? {
            sum = sum.saturating_add(u64::try_from(row.int(1)?).unwrap_or(0));
            if last > after && sum > bytes {
                break;
            }
            last = row.int(0)?;
        }
        let sql = select_letter!(" WHERE d.pipeline = $1 AND d.turn > $2 AND d.turn <= $3 ORDER BY d.turn");
        let rows = self.0.db.rows(sql, values![id.as_str(), after, last]).await?;
        rows.iter().map(|row| Ok(Queued { turn: row.int(14)?, letter: letter(row)? })).collect()
    }

    /// Letters of a partition with a turn less than `before` have been replayed.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the pipeline's current run.
    pub async fn replayed_dead(
        &self,
        id: &PipelineId,
        attempt: u32,
        (topic, partition): (&str, i32),
        before: i64,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        hold_pipeline(&mut tx, id, attempt, now).await?;
        let mut c = Conditions::default();
        c.equal("d.pipeline", Some(id.as_str()));
        c.equal("d.topic", Some(topic));
        c.equal("d.part", Some(i64::from(partition)));
        c.between("d.turn", 1, before);
        done_with(&mut tx, c, DeadStatus::Replayed, now).await?;
        tx.commit().await
    }

    /// Replays that failed again (turn, kind, reason): the letters wait, without a turn. A turn that nobody has is passed over.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not the pipeline's current run.
    pub async fn dead_again(
        &self,
        id: &PipelineId,
        attempt: u32,
        failed: &[(i64, String, String)],
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        hold_pipeline(&mut tx, id, attempt, now).await?;
        for (turn, kind, reason) in failed.iter().filter(|(turn, ..)| *turn > 0) {
            let sql = "UPDATE dead_letters SET status = 'waiting', turn = 0, kind = $3, reason = $4 \
                       WHERE pipeline = $1 AND turn = $2";
            tx.execute(sql, values![id.as_str(), *turn, words(kind, 64), words(reason, MAX_REASON)]).await?;
        }
        tx.commit().await
    }

    /// A page of the letters that answer `filter`, and how many do. Oldest or newest first by when they were kept.
    ///
    /// # Errors
    /// `Limit` when more than 1,000 ids are named.
    pub async fn dead_letters(&self, filter: &DeadFilter, page: Page) -> Result<(Vec<DeadLetter>, u64)> {
        let conditions = filter.conditions();
        let (sql, values) = conditions.count("dead_letters d")?;
        let count = self.0.db.rows(AssertSqlSafe(sql), values).await?;
        let total = count.first().map(|row| row.int(0)).transpose()?.unwrap_or(0);
        let order =
            "d.kept {WAY}, d.pipeline {WAY}, d.topic {WAY}, d.part {WAY}, d.at_offset {WAY}, d.sub {WAY}";
        let (sql, values) = conditions.page(select_letter!(""), order, page)?;
        let rows = self.0.db.rows(AssertSqlSafe(sql), values).await?;
        Ok((rows.iter().map(letter).collect::<Result<_>>()?, u64::try_from(total).unwrap_or(0)))
    }

    /// Puts waiting letters of one pipeline into the line of replays, in order of position, but not those that were kept without their
    /// content. Returns how many.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when the pipeline is deleted or is being so; `Limit` when more than 1,000 ids are named.
    pub async fn replay_dead(&self, id: &PipelineId, filter: &DeadFilter) -> Result<u64> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        lock(&mut tx, id).await?;
        let row = tx.row("SELECT status FROM pipelines WHERE id = $1", values![id.as_str()]).await?;
        let status = row.ok_or_else(|| missing(id))?.text(0)?;
        if status.starts_with("delet") {
            return Err(Error::new(ErrorKind::Conflict, format!("pipeline {id} is {status}")));
        }
        let waiting =
            DeadFilter { status: Some(DeadStatus::Waiting), pipeline: Some(id.clone()), ..filter.clone() };
        let (text, mut values) = waiting.conditions().parts()?;
        values.push(Value::from(id.as_str()));
        let (me, bare) = (values.len(), DeadLetter::WITHOUT_CONTENT);
        let sql = format!(
            "UPDATE dead_letters SET status = 'replaying', turn = n.turn FROM (\
                SELECT d.topic, d.part, d.at_offset, d.sub, \
                (SELECT s.turn FROM pipeline_state s WHERE s.pipeline = ${me}) \
                + ROW_NUMBER() OVER (ORDER BY d.topic, d.part, d.at_offset, d.sub) AS turn \
                FROM dead_letters d{text} AND d.kind <> '{bare}') n \
             WHERE dead_letters.pipeline = ${me} AND dead_letters.topic = n.topic AND dead_letters.part = n.part \
             AND dead_letters.at_offset = n.at_offset AND dead_letters.sub = n.sub"
        );
        let n = tx.execute_built(sql, values).await?;
        let sql = "UPDATE pipeline_state SET turn = turn + $2 WHERE pipeline = $1";
        tx.execute(sql, values![id.as_str(), i64::try_from(n).unwrap_or(i64::MAX)]).await?;
        tx.commit().await?;
        Ok(n)
    }

    /// Waiting letters of one pipeline are done with (dropped, or replayed by other means): their content is gone. Returns how
    /// many.
    ///
    /// # Errors
    /// `NotFound`; `Limit` when more than 1,000 ids are named.
    pub async fn end_dead(
        &self,
        id: &PipelineId,
        filter: &DeadFilter,
        status: DeadStatus,
        now: Timestamp,
    ) -> Result<u64> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        lock(&mut tx, id).await?;
        let waiting =
            DeadFilter { status: Some(DeadStatus::Waiting), pipeline: Some(id.clone()), ..filter.clone() };
        let n = done_with(&mut tx, waiting.conditions(), status, now).await?;
        tx.commit().await?;
        Ok(n)
    }

    /// Forgets letters that were done with before `before`: of a pipeline, or of all. Returns how many.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn forget_dead(&self, of: Option<&PipelineId>, before: Timestamp) -> Result<u64> {
        match of {
            Some(id) => {
                let sql = "DELETE FROM dead_letters WHERE pipeline = $1 AND done < $2";
                self.0.db.execute(sql, values![id.as_str(), before.0]).await
            }
            None => self.0.db.execute("DELETE FROM dead_letters WHERE done < $1", values![before.0]).await,
        }
    }

    /// How many letters of a pipeline wait or are being replayed, and their bytes.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn dead_totals(&self, id: &PipelineId) -> Result<DeadTotals> {
        let sql = "SELECT letters, bytes FROM pipeline_state WHERE pipeline = $1";
        let row = self.0.db.row(sql, values![id.as_str()]).await?;
        totals(&row.ok_or_else(|| missing(id))?, 0)
    }
}

fn totals(row: &Row, from: usize) -> Result<DeadTotals> {
    let number = |i| Ok::<_, Error>(u64::try_from(row.int(i)?).unwrap_or(0));
    Ok(DeadTotals { letters: number(from)?, bytes: number(from + 1)? })
}

/// Stores a letter; `false` = it was there.
async fn insert(tx: &mut Tx, id: &PipelineId, d: &DeadLetter, weight: usize) -> Result<bool> {
    let sql = "INSERT INTO dead_letters (pipeline, topic, part, at_offset, sub, stage, kind, reason, key, value, \
               headers, weight, timestamp_ms, kept, status, turn, done) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'waiting', 0, NULL) \
               ON CONFLICT (pipeline, topic, part, at_offset, sub) DO NOTHING";
    let row = vec![
        Value::from(id.as_str()),
        Value::from(&*d.topic),
        Value::Int(i64::from(d.partition)),
        Value::Int(d.offset),
        Value::from(d.sub),
        Value::from(stage_name(d.stage)),
        Value::from(words(&d.kind, 64)),
        Value::from(words(&d.reason, MAX_REASON)),
        Value::MaybeBytes(d.key.clone()),
        Value::MaybeBytes(d.value.clone()),
        Value::MaybeBytes(Some(encode_headers(&d.headers))),
        Value::Int(i64::try_from(weight).unwrap_or(i64::MAX)),
        Value::Int(d.timestamp_ms),
        Value::Int(d.at.0),
    ];
    Ok(tx.execute(sql, row).await? == 1)
}

/// Ends letters: takes their content away and gives their room back. Returns how many.
async fn done_with(tx: &mut Tx, which: Conditions, status: DeadStatus, now: Timestamp) -> Result<u64> {
    let (text, mut values) = which.parts()?;
    let sums = format!(
        "SELECT d.pipeline, COUNT(*), CAST(SUM(d.weight) AS BIGINT) FROM dead_letters d{text} GROUP BY d.pipeline"
    );
    for row in tx.rows_built(sums, values.clone()).await? {
        let sql = "UPDATE pipeline_state SET letters = letters - $2, bytes = bytes - $3 WHERE pipeline = $1";
        tx.execute(sql, values![row.text(0)?, row.int(1)?, row.int(2)?]).await?;
    }
    values.push(Value::from(dead_status_name(status)));
    values.push(Value::Int(now.0));
    let (word, time) = (values.len() - 1, values.len());
    let sql = format!(
        "UPDATE dead_letters AS d SET status = ${word}, done = ${time}, turn = 0, key = NULL, value = NULL, \
         headers = NULL{text}"
    );
    tx.execute_built(sql, values).await
}
