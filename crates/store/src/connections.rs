//! Connections, and topics that were made through the products' API: few, small, read all the time.

use std::sync::Arc;

use model::{Connection, ConnectionId, DipTopic};

use crate::db::{Durability, values};
use crate::places::refuse_if_full;
use crate::records::{ConnectionRecord, DipTopicRecord, decode, encode};
use crate::{Error, ErrorKind, Result, Store};

impl Store {
    async fn all_connections(&self) -> Result<Arc<Vec<Connection>>> {
        let load = async {
            let rows = self.0.db.rows("SELECT record FROM connections ORDER BY created, id", vec![]).await?;
            rows.iter().map(|row| decode::<ConnectionRecord>(&row.text(0)?)?.noun()).collect()
        };
        self.0.connections.all(load).await
    }

    /// Stores a new connection, if its account has less than `per_account` (0 = no limit).
    ///
    /// # Errors
    /// `Exists` when the id or, in this account, the name is taken; `Limit`.
    pub async fn insert_connection(&self, c: &Connection, per_account: u32) -> Result<()> {
        let _changing = self.0.connections.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        if let Some(account) = &c.account {
            tx.hold_account("connections", account).await?;
            let count =
                tx.row("SELECT COUNT(*) FROM connections WHERE account = $1", values![account.as_str()]);
            refuse_if_full(count.await?, per_account, "connections", account)?;
        }
        let account = c.account.as_ref().map(|a| a.0.clone());
        let record = encode(&ConnectionRecord::of(c))?;
        let sql = "INSERT INTO connections (id, account, name, created, record) VALUES ($1, $2, $3, $4, $5)";
        tx.execute(sql, values![c.id.as_str(), account, &*c.name, c.created.0, record]).await?;
        tx.commit().await
    }

    /// Changes a connection in one step (id, account and age stay): `change` sees it as it is now, and may refuse.
    ///
    /// # Errors
    /// `NotFound`; `Exists` when the new name is taken; inside, what `change` refuses.
    pub async fn change_connection<E: Send>(
        &self,
        id: &ConnectionId,
        change: impl FnOnce(&mut Connection) -> Result<(), E> + Send,
    ) -> Result<Result<Connection, E>> {
        let _changing = self.0.connections.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let sql = "UPDATE connections SET created = created WHERE id = $1 RETURNING record";
        let row = tx.row(sql, values![id.as_str()]).await?.ok_or_else(|| missing(id))?;
        let mut c = decode::<ConnectionRecord>(&row.text(0)?)?.noun()?;
        if let Err(e) = change(&mut c) {
            return Ok(Err(e));
        }
        let sql = "UPDATE connections SET name = $2, account = $3, record = $4 WHERE id = $1";
        let account = c.account.as_ref().map(|a| a.0.clone());
        let record = encode(&ConnectionRecord::of(&c))?;
        tx.execute(sql, values![id.as_str(), &*c.name, account, record]).await?;
        tx.commit().await?;
        Ok(Ok(c))
    }

    /// One connection.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>> {
        Ok(self.all_connections().await?.iter().find(|c| c.id == *id).cloned())
    }

    /// All connections, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn connections(&self) -> Result<Vec<Connection>> {
        Ok(self.all_connections().await?.to_vec())
    }

    /// Removes a connection that no pipeline uses. `false` = it was not there.
    ///
    /// # Errors
    /// `Conflict` when a pipeline that is not deleted uses it.
    pub async fn remove_connection(&self, id: &ConnectionId) -> Result<bool> {
        let _changing = self.0.connections.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        // Whoever makes a pipeline on it locks this row first.
        let sql = "UPDATE connections SET created = created WHERE id = $1";
        tx.execute(sql, values![id.as_str()]).await?;
        refuse_if_needed(&mut tx, "connection", id.as_str()).await?;
        let n = tx.execute("DELETE FROM connections WHERE id = $1", values![id.as_str()]).await?;
        tx.commit().await?;
        Ok(n > 0)
    }

    async fn all_topics(&self) -> Result<Arc<Vec<DipTopic>>> {
        let load = async {
            let rows = self.0.db.rows("SELECT record FROM dip_topics ORDER BY created, name", vec![]).await?;
            rows.iter().map(|row| decode::<DipTopicRecord>(&row.text(0)?)?.noun()).collect()
        };
        self.0.topics.all(load).await
    }

    /// Stores a new topic, if its account has less than `per_account` (0 = no limit).
    ///
    /// # Errors
    /// `Exists` when the id or the name is taken; `Limit`.
    pub async fn insert_topic(&self, t: &DipTopic, per_account: u32) -> Result<()> {
        let _changing = self.0.topics.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        tx.hold_account("topics", &t.account).await?;
        let count = tx.row("SELECT COUNT(*) FROM dip_topics WHERE account = $1", values![t.account.as_str()]);
        refuse_if_full(count.await?, per_account, "topics", &t.account)?;
        let record = encode(&DipTopicRecord::of(t))?;
        let sql = "INSERT INTO dip_topics (name, id, account, created, record) VALUES ($1, $2, $3, $4, $5)";
        tx.execute(sql, values![&*t.name, &*t.id, t.account.as_str(), t.created.0, record]).await?;
        tx.commit().await
    }

    /// Changes a topic in one step (id, account, name and age stay).
    ///
    /// # Errors
    /// `NotFound`; inside, what `change` refuses.
    pub async fn change_topic<E: Send>(
        &self,
        name: &str,
        change: impl FnOnce(&mut DipTopic) -> Result<(), E> + Send,
    ) -> Result<Result<DipTopic, E>> {
        let _changing = self.0.topics.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let sql = "UPDATE dip_topics SET created = created WHERE name = $1 RETURNING record";
        let row = tx.row(sql, values![name]).await?.ok_or_else(|| missing(name))?;
        let mut t = decode::<DipTopicRecord>(&row.text(0)?)?.noun()?;
        if let Err(e) = change(&mut t) {
            return Ok(Err(e));
        }
        let record = encode(&DipTopicRecord::of(&t))?;
        tx.execute("UPDATE dip_topics SET record = $2 WHERE name = $1", values![name, record]).await?;
        tx.commit().await?;
        Ok(Ok(t))
    }

    /// All topics, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn topics(&self) -> Result<Vec<DipTopic>> {
        Ok(self.all_topics().await?.to_vec())
    }

    /// One topic, by name or id.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn topic(&self, name: &str) -> Result<Option<DipTopic>> {
        Ok(self.all_topics().await?.iter().find(|t| t.name == name || t.id == name).cloned())
    }

    /// Removes a topic that no pipeline uses. `false` = it was not there.
    ///
    /// # Errors
    /// `Conflict` when a pipeline that is not deleted uses it.
    pub async fn remove_topic(&self, name: &str) -> Result<bool> {
        let _changing = self.0.topics.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        tx.execute("UPDATE dip_topics SET created = created WHERE name = $1", values![name]).await?;
        refuse_if_needed(&mut tx, "topic", name).await?;
        let n = tx.execute("DELETE FROM dip_topics WHERE name = $1", values![name]).await?;
        tx.commit().await?;
        Ok(n > 0)
    }
}

fn missing(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("{what} does not exist"))
}

async fn refuse_if_needed(tx: &mut crate::db::Tx, kind: &str, name: &str) -> Result<()> {
    let sql = "SELECT COUNT(*) FROM pipeline_uses WHERE kind = $1 AND name = $2";
    match tx.row(sql, values![kind, name]).await?.map(|row| row.int(0)).transpose()?.unwrap_or(0) {
        0 => Ok(()),
        n => Err(Error::new(ErrorKind::Conflict, format!("{name} is used by {n} pipelines or flow logs"))),
    }
}
