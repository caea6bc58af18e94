//! Flow logs: made, found, changed, switched, removed; and their runs.
//!
//! The rules of runs are those of pipelines (`pipeline_runs`): the attempt number is the fencing token, the lease only says when a
//! silent worker may be replaced. What differs: a worker asks for one by its id, since it can only observe the resources of its own
//! machine, and a run is over when its flow log is switched off or gone.

use std::sync::Arc;

use model::{FlowLog, FlowLogId, FlowLogState, Timestamp};

use crate::db::{Durability, Row, Tx, values};
use crate::pipelines::short_words;
use crate::places::refuse_if_full;
use crate::records::{FlowLogRecord, FlowLogStateRecord, decode, encode};
use crate::{Error, ErrorKind, Result, Store};

/// Columns that make a [`FlowLog`], in the order of [`flow_log`].
macro_rules! select_flow_log {
    ($rest:literal) => {
        concat!("SELECT record, state, enabled, attempt FROM flow_logs ", $rest)
    };
}

fn flow_log(row: &Row) -> Result<FlowLog> {
    let mut f = decode::<FlowLogRecord>(&row.text(0)?)?.noun()?;
    f.state = decode::<FlowLogStateRecord>(&row.text(1)?)?.noun();
    f.enabled = row.int(2)? != 0;
    f.attempt = u32::try_from(row.int(3)?).unwrap_or(u32::MAX);
    Ok(f)
}

fn missing(id: &FlowLogId) -> Error {
    Error::new(ErrorKind::NotFound, format!("flow log {id} does not exist"))
}

fn state_text(s: &FlowLogState) -> Result<String> {
    let mut record = s.clone();
    record.error = record.error.as_deref().map(short_words);
    encode(&FlowLogStateRecord::of(&record))
}

impl Store {
    /// Stores a new flow log, if its account has less than `per_account` (0 = no limit). The topic, where it has an entry, and the
    /// connection can't be removed meanwhile.
    ///
    /// # Errors
    /// `Exists` when the id is taken, or the account has a flow log of this resource; `Limit`; `Conflict` when the topic or connection
    /// is gone.
    pub async fn insert_flow_log(&self, f: &FlowLog, topic: Option<&str>, per_account: u32) -> Result<()> {
        let _changing = self.0.flow_logs.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        tx.hold_account("flow_logs", &f.account).await?;
        let count = tx.row("SELECT COUNT(*) FROM flow_logs WHERE account = $1", values![f.account.as_str()]);
        refuse_if_full(count.await?, per_account, "flow logs", &f.account)?;
        let sql = "INSERT INTO flow_logs (id, account, resource, enabled, created, attempt, worker, lease_us, lease_until, \
                   record, state) VALUES ($1, $2, $3, $4, $5, 0, NULL, 0, 0, $6, $7)";
        let (record, state) = (encode(&FlowLogRecord::of(f))?, state_text(&f.state)?);
        let enabled = i64::from(f.enabled);
        let row =
            values![f.id.as_str(), f.account.as_str(), &*f.resource, enabled, f.created.0, record, state];
        tx.execute(sql, row).await?;
        crate::pipelines::need(&mut tx, f.id.as_str(), ("connection", f.topic.connection.as_str())).await?;
        if let Some(topic) = topic {
            crate::pipelines::need(&mut tx, f.id.as_str(), ("topic", topic)).await?;
        }
        tx.commit().await
    }

    /// All flow logs, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn flow_logs(&self) -> Result<Arc<Vec<FlowLog>>> {
        let load = async {
            let rows = self.0.db.rows(select_flow_log!("ORDER BY created, id"), vec![]).await?;
            rows.iter().map(flow_log).collect()
        };
        self.0.flow_logs.all(load).await
    }

    /// One flow log.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn flow_log(&self, id: &FlowLogId) -> Result<Option<FlowLog>> {
        Ok(self.flow_logs().await?.iter().find(|f| f.id == *id).cloned())
    }

    /// Changes a flow log's name, words, period and tags in one step: `change` sees it as it is now, and may refuse.
    ///
    /// # Errors
    /// `NotFound`; inside, what `change` refuses.
    pub async fn change_flow_log<E: Send>(
        &self,
        id: &FlowLogId,
        change: impl FnOnce(&mut FlowLog) -> Result<(), E> + Send,
    ) -> Result<Result<FlowLog, E>> {
        let _changing = self.0.flow_logs.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let mut f = hold(&mut tx, id).await?;
        if let Err(e) = change(&mut f) {
            return Ok(Err(e));
        }
        let record = encode(&FlowLogRecord::of(&f))?;
        tx.execute("UPDATE flow_logs SET record = $2 WHERE id = $1", values![id.as_str(), record]).await?;
        tx.commit().await?;
        Ok(Ok(f))
    }

    /// Switches flow logs on or off, all of them or none. What was not recorded while one was off is no loss.
    ///
    /// # Errors
    /// `NotFound` names the first that isn't there.
    pub async fn switch_flow_logs(&self, ids: &[FlowLogId], on: bool) -> Result<()> {
        let _changing = self.0.flow_logs.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        for id in ids {
            let mut f = hold(&mut tx, id).await?;
            if f.enabled == on {
                continue;
            }
            // A run that is still at work is fenced off: nothing that it says later counts.
            f.state.covered = None;
            f.state.error = None;
            let sql = "UPDATE flow_logs SET enabled = $2, attempt = attempt + 1, worker = NULL, lease_until = 0, state = $3 \
                       WHERE id = $1";
            tx.execute(sql, values![id.as_str(), i64::from(on), state_text(&f.state)?]).await?;
        }
        tx.commit().await
    }

    /// Removes a flow log. `false` = it was not there.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn remove_flow_log(&self, id: &FlowLogId) -> Result<bool> {
        let _changing = self.0.flow_logs.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        tx.execute("DELETE FROM pipeline_uses WHERE pipeline = $1", values![id.as_str()]).await?;
        let n = tx.execute("DELETE FROM flow_logs WHERE id = $1", values![id.as_str()]).await?;
        tx.commit().await?;
        Ok(n > 0)
    }

    /// Takes a flow log that is enabled and has no live lease; one worker only gets it.
    ///
    /// # Errors
    /// `Internal`, `Unavailable`.
    pub async fn claim_flow_log(
        &self,
        id: &FlowLogId,
        worker: &str,
        now: Timestamp,
        lease_us: i64,
    ) -> Result<Option<FlowLog>> {
        let _changing = self.0.flow_logs.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let sql = "UPDATE flow_logs SET attempt = attempt + 1, worker = $2, lease_us = $3, lease_until = $4 \
                   WHERE id = $1 AND enabled = 1 AND lease_until < $5 RETURNING record, state, enabled, attempt";
        let until = now.0.saturating_add(lease_us);
        let row = tx.row(sql, values![id.as_str(), worker, lease_us, until, now.0]).await?;
        let claimed = row.as_ref().map(flow_log).transpose()?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Ends the leases of every worker (a SQLite file has one process: call it at start). Several servers over one PostgreSQL wait for
    /// the leases of one that is gone.
    ///
    /// # Errors
    /// `Internal`, `Unavailable`.
    pub async fn release_flow_logs(&self) -> Result<()> {
        if self.0.db.is_ours_alone() {
            let _changing = self.0.flow_logs.changing();
            self.0.db.execute("UPDATE flow_logs SET worker = NULL, lease_until = 0", vec![]).await?;
        }
        Ok(())
    }

    /// Writes what has become of a flow log and extends the lease. With `last` the run is over: the lease ends.
    ///
    /// # Errors
    /// `Fenced` when `attempt` is not its current run: it was switched off, removed, or taken over.
    pub async fn journal_flow_log(
        &self,
        id: &FlowLogId,
        attempt: u32,
        state: &FlowLogState,
        (now, last): (Timestamp, bool),
    ) -> Result<()> {
        let _changing = self.0.flow_logs.changing();
        let mut tx = self.0.db.begin(Durability::Process).await?;
        let sql = "UPDATE flow_logs SET state = $3, lease_until = CASE WHEN $5 = 1 THEN 0 ELSE $4 + lease_us END, \
                   worker = CASE WHEN $5 = 1 THEN NULL ELSE worker END \
                   WHERE id = $1 AND attempt = $2 AND worker IS NOT NULL AND enabled = 1";
        let row = values![id.as_str(), attempt, state_text(state)?, now.0, i64::from(last)];
        if tx.execute(sql, row).await? == 0 {
            let message = format!("run {attempt} of flow log {id} is no longer the current one");
            return Err(Error::new(ErrorKind::Fenced, message));
        }
        tx.commit().await
    }
}

/// Locks a flow log for this transaction.
async fn hold(tx: &mut Tx, id: &FlowLogId) -> Result<FlowLog> {
    let sql =
        "UPDATE flow_logs SET created = created WHERE id = $1 RETURNING record, state, enabled, attempt";
    let row = tx.row(sql, values![id.as_str()]).await?;
    flow_log(&row.ok_or_else(|| missing(id))?)
}
