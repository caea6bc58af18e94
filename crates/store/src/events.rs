//! Events of tasks: a bounded list of dated lines beside each task.
//!
//! An event is written in the transaction that it tells of (a journal entry, a claim, a wish, an end), so
//! it is there if and only if that happened. Whoever writes one holds the task's row, which is what keeps
//! the numbers without gaps. What is beyond the latest [`EVENTS_KEPT`] is dropped in the same transaction.

use model::{Event, EventKind, Ledger, TaskEvent, TaskId, Timestamp};

use crate::db::{Row, Tx, values};
use crate::records::{event_kind_name, parse_event_kind};
use crate::{Result, Store};

/// Events that are kept of a task.
pub const EVENTS_KEPT: u64 = 500;

/// Which stretch of a task's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventsFrom {
    /// Those with a greater number, from the oldest on; 0 = from the first that is kept.
    After(u64),
    /// The latest.
    Latest,
}

/// A stretch of a task's events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskEvents {
    /// The events.
    pub events: Vec<TaskEvent>,
    /// How many the task ever had: the number of the latest.
    pub total: u64,
    /// How many of them were dropped, all older than what is kept.
    pub dropped: u64,
}

impl Store {
    /// Events of a task, at most `limit`. A task that is not there has none.
    ///
    /// # Errors
    /// `Internal`, `Unavailable`.
    pub async fn events(&self, id: &TaskId, from: EventsFrom, limit: u64) -> Result<TaskEvents> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = match from {
            EventsFrom::After(seq) => {
                let sql = "SELECT seq, at, kind, message FROM task_events WHERE task = $1 AND seq > $2 \
                           ORDER BY seq LIMIT $3";
                let seq = i64::try_from(seq).unwrap_or(i64::MAX);
                self.0.db.rows(sql, values![id.as_str(), seq, limit]).await?
            }
            EventsFrom::Latest => {
                let sql = "SELECT seq, at, kind, message FROM task_events WHERE task = $1 \
                           ORDER BY seq DESC LIMIT $2";
                self.0.db.rows(sql, values![id.as_str(), limit]).await?
            }
        };
        if from == EventsFrom::Latest {
            rows.reverse();
        }
        let sql = "SELECT MIN(seq), MAX(seq) FROM task_events WHERE task = $1";
        let (first, last) = match self.0.db.row(sql, values![id.as_str()]).await? {
            Some(row) => (row.maybe_int(0)?.unwrap_or(1), row.maybe_int(1)?.unwrap_or(0)),
            None => (1, 0),
        };
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(TaskEvents {
            events: rows.iter().map(event).collect::<Result<_>>()?,
            total: count(last),
            dropped: count(first - 1),
        })
    }
}

fn event(row: &Row) -> Result<TaskEvent> {
    Ok(TaskEvent {
        seq: u64::try_from(row.int(0)?).unwrap_or(0),
        at: Timestamp(row.int(1)?),
        kind: parse_event_kind(&row.text(2)?)?,
        message: row.text(3)?,
    })
}

/// Adds events to a task whose row this transaction holds, and drops what is too old.
pub(crate) async fn append(tx: &mut Tx, id: &TaskId, at: Timestamp, events: &[Event]) -> Result<()> {
    let mut last = 0;
    for e in events {
        let sql = "INSERT INTO task_events (task, seq, at, kind, message) \
                   SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4 FROM task_events WHERE task = $1 \
                   RETURNING seq";
        let row = tx.row(sql, values![id.as_str(), at.0, event_kind_name(e.kind), e.message()]).await?;
        last = row.map(|row| row.int(0)).transpose()?.unwrap_or(0);
    }
    let old = last - i64::try_from(EVENTS_KEPT).unwrap_or(i64::MAX);
    if old > 0 {
        tx.execute("DELETE FROM task_events WHERE task = $1 AND seq <= $2", values![id.as_str(), old])
            .await?;
    }
    Ok(())
}

/// One event.
pub(crate) async fn tell(
    tx: &mut Tx,
    id: &TaskId,
    at: Timestamp,
    kind: EventKind,
    message: &str,
) -> Result<()> {
    append(tx, id, at, &[Event::new(kind, message)]).await
}

/// An account in words.
pub(crate) fn account_words(l: &Ledger) -> String {
    let (i, b) = (&l.items, &l.bytes);
    format!(
        "{} items read = {} written + {} unchanged + {} skipped + {} failed; {} of {} bytes written",
        i.read + i.expanded,
        i.written,
        i.unchanged,
        i.skipped + i.filtered,
        i.failed + i.dead_lettered,
        b.written,
        b.read + b.expanded
    )
}
