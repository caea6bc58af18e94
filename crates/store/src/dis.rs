//! Streams of the DIS API, the applications that read them, their checkpoints, and sums of minutes.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{AccountId, DisApp, DisCheckpoint, DisCounts, DisStream, DisStreamId};

use crate::db::{Durability, Row, values};
use crate::places::refuse_if_full;
use crate::records::{DisAppRecord, DisStreamRecord, decode, encode};
use crate::{Error, ErrorKind, Result, Store};

/// In place of a partition's number: the whole stream.
pub const WHOLE_STREAM: i64 = -1;

/// Minutes that one question answers at most: somewhat more than a week's.
const MOST_MINUTES: i64 = 11_000;

/// What happened in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisMinute {
    /// Stream.
    pub stream: DisStreamId,
    /// Partition, or [`WHOLE_STREAM`].
    pub part: i64,
    /// Minutes since the epoch.
    pub minute: i64,
    /// Sums.
    pub counts: DisCounts,
}

fn missing(id: &DisStreamId) -> Error {
    Error::new(ErrorKind::NotFound, format!("stream {id} does not exist"))
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Store {
    /// All streams, by account and name.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_streams(&self) -> Result<Arc<Vec<Arc<DisStream>>>> {
        let load = async {
            let sql = "SELECT record FROM dis_streams ORDER BY account, name";
            let rows = self.0.db.rows(sql, vec![]).await?;
            rows.iter().map(|row| Ok(Arc::new(decode::<DisStreamRecord>(&row.text(0)?)?.noun()?))).collect()
        };
        self.0.dis_streams.all(load).await
    }

    /// Stores a new stream, if its account has less than `per_account` (0 = no limit).
    ///
    /// # Errors
    /// `Exists` when the id or, in this account, the name is taken; `Limit`.
    pub async fn insert_dis_stream(&self, s: &DisStream, per_account: u32) -> Result<()> {
        let _changing = self.0.dis_streams.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        tx.hold_account("dis-streams", &s.account).await?;
        let sql = "SELECT COUNT(*) FROM dis_streams WHERE account = $1";
        let count = tx.row(sql, values![s.account.as_str()]).await?;
        refuse_if_full(count, per_account, "streams", &s.account)?;
        let record = encode(&DisStreamRecord::of(s))?;
        let sql = "INSERT INTO dis_streams (id, account, name, created, record) VALUES ($1, $2, $3, $4, $5)";
        let row = values![s.id.as_str(), s.account.as_str(), &*s.name, s.created.0, record];
        tx.execute(sql, row).await?;
        tx.commit().await
    }

    /// Changes a stream in one step (id, account, name and age stay).
    ///
    /// # Errors
    /// `NotFound`; inside, what `change` refuses.
    pub async fn change_dis_stream<E: Send>(
        &self,
        id: &DisStreamId,
        change: impl FnOnce(&mut DisStream) -> Result<(), E> + Send,
    ) -> Result<Result<Arc<DisStream>, E>> {
        let _changing = self.0.dis_streams.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let sql = "UPDATE dis_streams SET created = created WHERE id = $1 RETURNING record";
        let row = tx.row(sql, values![id.as_str()]).await?.ok_or_else(|| missing(id))?;
        let mut s = decode::<DisStreamRecord>(&row.text(0)?)?.noun()?;
        if let Err(e) = change(&mut s) {
            return Ok(Err(e));
        }
        let record = encode(&DisStreamRecord::of(&s))?;
        tx.execute("UPDATE dis_streams SET record = $2 WHERE id = $1", values![id.as_str(), record]).await?;
        tx.commit().await?;
        Ok(Ok(Arc::new(s)))
    }

    /// Forgets a stream with its checkpoints and minutes. `false` = it was not there.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn remove_dis_stream(&self, id: &DisStreamId) -> Result<bool> {
        let _changing = self.0.dis_streams.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let n = tx.execute("DELETE FROM dis_streams WHERE id = $1", values![id.as_str()]).await?;
        tx.execute("DELETE FROM dis_checkpoints WHERE stream = $1", values![id.as_str()]).await?;
        tx.execute("DELETE FROM dis_minutes WHERE stream = $1", values![id.as_str()]).await?;
        tx.commit().await?;
        Ok(n > 0)
    }

    /// Stores a new app, if its account has less than `per_account` (0 = no limit).
    ///
    /// # Errors
    /// `Exists` when, in this account, the name is taken; `Limit`.
    pub async fn insert_dis_app(&self, a: &DisApp, per_account: u32) -> Result<()> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        tx.hold_account("dis-apps", &a.account).await?;
        let sql = "SELECT COUNT(*) FROM dis_apps WHERE account = $1";
        let count = tx.row(sql, values![a.account.as_str()]).await?;
        refuse_if_full(count, per_account, "apps", &a.account)?;
        let record = encode(&DisAppRecord::of(a))?;
        let sql = "INSERT INTO dis_apps (id, account, name, created, record) VALUES ($1, $2, $3, $4, $5)";
        tx.execute(sql, values![&*a.id, a.account.as_str(), &*a.name, a.created.0, record]).await?;
        tx.commit().await
    }

    /// An account's apps, by name.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_apps(&self, account: &AccountId) -> Result<Vec<DisApp>> {
        let sql = "SELECT record FROM dis_apps WHERE account = $1 ORDER BY name";
        let rows = self.0.db.rows(sql, values![account.as_str()]).await?;
        rows.iter().map(|row| Ok(decode::<DisAppRecord>(&row.text(0)?)?.noun())).collect()
    }

    /// One app.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_app(&self, account: &AccountId, name: &str) -> Result<Option<DisApp>> {
        let sql = "SELECT record FROM dis_apps WHERE account = $1 AND name = $2";
        let row = self.0.db.row(sql, values![account.as_str(), name]).await?;
        row.map(|row| Ok(decode::<DisAppRecord>(&row.text(0)?)?.noun())).transpose()
    }

    /// Forgets an app that has no checkpoint. `false` = it was not there.
    ///
    /// # Errors
    /// `Conflict` when it has one.
    pub async fn remove_dis_app(&self, id: &str) -> Result<bool> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        // Holds its row: nobody commits a checkpoint meanwhile.
        tx.execute("UPDATE dis_apps SET created = created WHERE id = $1", values![id]).await?;
        let sql = "SELECT COUNT(*) FROM dis_checkpoints WHERE app = $1";
        let used = tx.row(sql, values![id]).await?.map(|row| row.int(0)).transpose()?.unwrap_or(0);
        if used > 0 {
            return Err(Error::new(ErrorKind::Conflict, format!("app {id} has {used} checkpoints")));
        }
        let n = tx.execute("DELETE FROM dis_apps WHERE id = $1", values![id]).await?;
        tx.commit().await?;
        Ok(n > 0)
    }

    /// Identifiers of the streams that each app of an account has checkpoints of.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_app_streams(&self, account: &AccountId) -> Result<BTreeSet<(String, DisStreamId)>> {
        let sql = "SELECT DISTINCT c.app, c.stream FROM dis_checkpoints c \
                   JOIN dis_apps a ON a.id = c.app WHERE a.account = $1";
        let rows = self.0.db.rows(sql, values![account.as_str()]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, DisStreamId(row.text(1)?)))).collect()
    }

    /// Writes down how far an app has read a partition.
    ///
    /// # Errors
    /// `NotFound` when the app or the stream is gone.
    pub async fn put_dis_checkpoint(&self, app: &str, stream: &DisStreamId, c: &DisCheckpoint) -> Result<()> {
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let held = tx.execute("UPDATE dis_apps SET created = created WHERE id = $1", values![app]).await?;
        let sql = "UPDATE dis_streams SET created = created WHERE id = $1";
        if held == 0 || tx.execute(sql, values![stream.as_str()]).await? == 0 {
            return Err(missing(stream));
        }
        let sql = "INSERT INTO dis_checkpoints (app, stream, part, sequence, metadata) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (app, stream, part) DO UPDATE SET sequence = excluded.sequence, metadata = excluded.metadata";
        tx.execute(sql, values![app, stream.as_str(), c.partition, c.sequence, &*c.metadata]).await?;
        tx.commit().await
    }

    /// How far an app has read a stream, by partition.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_checkpoints(&self, app: &str, stream: &DisStreamId) -> Result<Vec<DisCheckpoint>> {
        let sql = "SELECT part, sequence, metadata FROM dis_checkpoints WHERE app = $1 AND stream = $2 ORDER BY part";
        let rows = self.0.db.rows(sql, values![app, stream.as_str()]).await?;
        let one = |row: &Row| {
            let partition = u32::try_from(row.int(0)?).unwrap_or(u32::MAX);
            Ok(DisCheckpoint { partition, sequence: row.int(1)?, metadata: row.text(2)? })
        };
        rows.iter().map(one).collect()
    }

    /// Forgets an app's checkpoints of a stream, or of one partition of it. Says how many there were.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn remove_dis_checkpoints(
        &self,
        app: &str,
        stream: &DisStreamId,
        partition: Option<u32>,
    ) -> Result<u64> {
        let sql = "DELETE FROM dis_checkpoints WHERE app = $1 AND stream = $2 AND ($3 < 0 OR part = $3)";
        let part = partition.map_or(-1, i64::from);
        self.0.db.execute(sql, values![app, stream.as_str(), part]).await
    }

    /// Adds to the sums of minutes. A crash may lose the last ones: they are figures for people.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn add_dis_minutes(&self, minutes: &[DisMinute]) -> Result<()> {
        let sql = "INSERT INTO dis_minutes (stream, part, minute, put_bytes, put_records, get_bytes, get_records, puts, \
                   put_us, gets, get_us, put_refused, get_refused) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
                   ON CONFLICT (stream, part, minute) DO UPDATE SET put_bytes = dis_minutes.put_bytes + excluded.put_bytes, \
                   put_records = dis_minutes.put_records + excluded.put_records, \
                   get_bytes = dis_minutes.get_bytes + excluded.get_bytes, \
                   get_records = dis_minutes.get_records + excluded.get_records, puts = dis_minutes.puts + excluded.puts, \
                   put_us = dis_minutes.put_us + excluded.put_us, gets = dis_minutes.gets + excluded.gets, \
                   get_us = dis_minutes.get_us + excluded.get_us, \
                   put_refused = dis_minutes.put_refused + excluded.put_refused, \
                   get_refused = dis_minutes.get_refused + excluded.get_refused";
        let mut tx = self.0.db.begin(Durability::Process).await?;
        for m in minutes {
            let c = &m.counts;
            let row = values![
                m.stream.as_str(),
                m.part,
                m.minute,
                number(c.put_bytes),
                number(c.put_records),
                number(c.get_bytes),
                number(c.get_records),
                number(c.puts),
                number(c.put_us),
                number(c.gets),
                number(c.get_us),
                number(c.put_refused),
                number(c.get_refused)
            ];
            tx.execute(sql, row).await?;
        }
        tx.commit().await
    }

    /// The minutes of a stream or a partition from `minutes.0` to `minutes.1`, both included; those without anything are left
    /// out.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_minutes(
        &self,
        stream: &DisStreamId,
        part: i64,
        (first, last): (i64, i64),
    ) -> Result<Vec<(i64, DisCounts)>> {
        let sql = "SELECT minute, put_bytes, put_records, get_bytes, get_records, puts, put_us, gets, get_us, \
                   put_refused, get_refused FROM dis_minutes WHERE stream = $1 AND part = $2 AND minute >= $3 \
                   AND minute <= $4 ORDER BY minute LIMIT $5";
        let rows = self.0.db.rows(sql, values![stream.as_str(), part, first, last, MOST_MINUTES]).await?;
        let one = |row: &Row| {
            let n = |i| row.int(i).map(|n| u64::try_from(n).unwrap_or(0));
            let counts = DisCounts {
                put_bytes: n(1)?,
                put_records: n(2)?,
                get_bytes: n(3)?,
                get_records: n(4)?,
                puts: n(5)?,
                put_us: n(6)?,
                gets: n(7)?,
                get_us: n(8)?,
                put_refused: n(9)?,
                get_refused: n(10)?,
            };
            Ok((row.int(0)?, counts))
        };
        rows.iter().map(one).collect()
    }

    /// Forgets minutes before this one.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn forget_dis_minutes(&self, before: i64) -> Result<u64> {
        self.0.db.execute("DELETE FROM dis_minutes WHERE minute < $1", values![before]).await
    }
}
