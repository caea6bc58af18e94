//! Accounts, file systems, object stores and filesets: few, small, read all the time.

use std::sync::Arc;

use model::{Account, AccountId, FileSystem, FileSystemId, Fileset, FilesetId, ObjectStore, ObjectStoreId};

use crate::db::{Durability, Row, values};
use crate::records::{
    AccountRecord, FileSystemRecord, FilesetRecord, ObjectStoreRecord, Record, decode, encode,
};
use crate::{Error, ErrorKind, Result, Store};

fn nouns<R: Record, T>(rows: &[Row], noun: impl Fn(R) -> Result<T>) -> Result<Vec<T>> {
    rows.iter().map(|row| noun(decode(&row.text(0)?)?)).collect()
}

fn missing(what: &str, id: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("{what} {id} does not exist"))
}

impl Store {
    async fn all_accounts(&self) -> Result<Arc<Vec<Account>>> {
        let load = async {
            let rows = self.0.db.rows("SELECT record FROM accounts ORDER BY created, id", vec![]).await?;
            nouns(&rows, AccountRecord::noun)
        };
        self.0.accounts.all(load).await
    }

    /// Stores a new account.
    ///
    /// # Errors
    /// `Exists` when the id or the access key id is taken.
    pub async fn insert_account(&self, a: &Account) -> Result<()> {
        let _changing = self.0.accounts.changing();
        let record = encode(&AccountRecord::of(a))?;
        let sql = "INSERT INTO accounts (id, access_key, created, record) VALUES ($1, $2, $3, $4)";
        self.0.db.execute(sql, values![a.id.as_str(), &*a.access_key_id, a.created.0, record]).await?;
        Ok(())
    }

    /// Writes an account back.
    ///
    /// # Errors
    /// `NotFound`; `Exists` when the new access key id is taken.
    pub async fn update_account(&self, a: &Account) -> Result<()> {
        let _changing = self.0.accounts.changing();
        let record = encode(&AccountRecord::of(a))?;
        let sql = "UPDATE accounts SET access_key = $2, record = $3 WHERE id = $1";
        match self.0.db.execute(sql, values![a.id.as_str(), &*a.access_key_id, record]).await? {
            0 => Err(missing("account", &a.id)),
            _ => Ok(()),
        }
    }

    /// One account.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn account(&self, id: &AccountId) -> Result<Option<Account>> {
        Ok(self.all_accounts().await?.iter().find(|a| a.id == *id).cloned())
    }

    /// The account with this access key id.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn account_by_access_key(&self, id: &str) -> Result<Option<Account>> {
        if let Some(all) = self.0.accounts.get() {
            return Ok(all.iter().find(|a| a.access_key_id == id).cloned());
        }
        let row = self.0.db.row("SELECT record FROM accounts WHERE access_key = $1", values![id]).await?;
        row.map(|row| decode::<AccountRecord>(&row.text(0)?)?.noun()).transpose()
    }

    /// The account with an access token that has this digest.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn account_by_token(&self, digest: &str) -> Result<Option<Account>> {
        Ok(self.all_accounts().await?.iter().find(|a| a.tokens.iter().any(|t| t == digest)).cloned())
    }

    /// All accounts, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        Ok(self.all_accounts().await?.to_vec())
    }

    async fn all_file_systems(&self) -> Result<Arc<Vec<FileSystem>>> {
        let load = async {
            let rows = self.0.db.rows("SELECT record FROM file_systems ORDER BY created, id", vec![]).await?;
            nouns(&rows, FileSystemRecord::noun)
        };
        self.0.file_systems.all(load).await
    }

    /// Stores a file system, or replaces the one with this id.
    ///
    /// # Errors
    /// `Conflict` when its root is not UTF-8.
    pub async fn put_file_system(&self, f: &FileSystem) -> Result<()> {
        let _changing = self.0.file_systems.changing();
        let record = encode(&FileSystemRecord::of(f)?)?;
        let sql = "INSERT INTO file_systems (id, created, record) VALUES ($1, $2, $3) \
                   ON CONFLICT (id) DO UPDATE SET record = excluded.record";
        self.0.db.execute(sql, values![f.id.as_str(), f.created.0, record]).await?;
        Ok(())
    }

    /// One file system.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn file_system(&self, id: &FileSystemId) -> Result<Option<FileSystem>> {
        Ok(self.all_file_systems().await?.iter().find(|f| f.id == *id).cloned())
    }

    /// All file systems, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn file_systems(&self) -> Result<Vec<FileSystem>> {
        Ok(self.all_file_systems().await?.to_vec())
    }

    /// Removes a file system that nothing uses. `false` = it was not there.
    ///
    /// # Errors
    /// `Conflict` when a flow, a fileset or a task that has not ended names it.
    pub async fn remove_file_system(&self, id: &FileSystemId) -> Result<bool> {
        let _changing = self.0.file_systems.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let used = "SELECT (SELECT COUNT(*) FROM flows WHERE file_system = $1) \
                    + (SELECT COUNT(*) FROM filesets WHERE file_system = $1) \
                    + (SELECT COUNT(*) FROM tasks WHERE file_system = $1 \
                       AND status NOT IN ('canceled', 'completed', 'failed'))";
        refuse_if_used(tx.row(used, values![id.as_str()]).await?, "file system", id)?;
        let n = tx.execute("DELETE FROM file_systems WHERE id = $1", values![id.as_str()]).await?;
        tx.commit().await?;
        Ok(n > 0)
    }

    async fn all_object_stores(&self) -> Result<Arc<Vec<ObjectStore>>> {
        let load = async {
            let rows =
                self.0.db.rows("SELECT record FROM object_stores ORDER BY created, id", vec![]).await?;
            nouns(&rows, ObjectStoreRecord::noun)
        };
        self.0.object_stores.all(load).await
    }

    /// Stores an object store, or replaces the one with this id.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn put_object_store(&self, s: &ObjectStore) -> Result<()> {
        let _changing = self.0.object_stores.changing();
        let record = encode(&ObjectStoreRecord::of(s))?;
        let sql = "INSERT INTO object_stores (id, created, record) VALUES ($1, $2, $3) \
                   ON CONFLICT (id) DO UPDATE SET record = excluded.record";
        self.0.db.execute(sql, values![s.id.as_str(), s.created.0, record]).await?;
        Ok(())
    }

    /// One object store.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn object_store(&self, id: &ObjectStoreId) -> Result<Option<ObjectStore>> {
        Ok(self.all_object_stores().await?.iter().find(|s| s.id == *id).cloned())
    }

    /// All object stores, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn object_stores(&self) -> Result<Vec<ObjectStore>> {
        Ok(self.all_object_stores().await?.to_vec())
    }

    /// Removes an object store that nothing uses. `false` = it was not there.
    ///
    /// # Errors
    /// `Conflict` when a flow or a task that has not ended names it.
    pub async fn remove_object_store(&self, id: &ObjectStoreId) -> Result<bool> {
        let _changing = self.0.object_stores.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let used = "SELECT (SELECT COUNT(*) FROM flows WHERE object_store = $1) \
                    + (SELECT COUNT(*) FROM tasks WHERE object_store = $1 \
                       AND status NOT IN ('canceled', 'completed', 'failed'))";
        refuse_if_used(tx.row(used, values![id.as_str()]).await?, "object store", id)?;
        let n = tx.execute("DELETE FROM object_stores WHERE id = $1", values![id.as_str()]).await?;
        tx.commit().await?;
        Ok(n > 0)
    }

    async fn all_filesets(&self) -> Result<Arc<Vec<Fileset>>> {
        let load = async {
            let rows = self.0.db.rows("SELECT record FROM filesets ORDER BY created, id", vec![]).await?;
            nouns(&rows, FilesetRecord::noun)
        };
        self.0.filesets.all(load).await
    }

    /// Stores a new fileset, if the file system has less than `limit` (0 = no limit) and none that lies in it
    /// or around it.
    ///
    /// # Errors
    /// `Exists` when the id is taken or the path meets another one's; `Limit`; `NotFound` when the file system is gone.
    pub async fn insert_fileset(&self, f: &Fileset, limit: u32) -> Result<()> {
        let _changing = self.0.filesets.changing();
        let record = encode(&FilesetRecord::of(f)?)?;
        let mut tx = self.0.db.begin(Durability::Power).await?;
        lock_file_system(&mut tx, &f.file_system).await?;
        let count =
            tx.row("SELECT COUNT(*) FROM filesets WHERE file_system = $1", values![f.file_system.as_str()]);
        refuse_if_full(count.await?, limit, "filesets", &f.file_system)?;
        let paths = "SELECT path FROM filesets WHERE file_system = $1";
        for row in tx.rows(paths, values![f.file_system.as_str()]).await? {
            let other = row.text(0)?;
            if other.starts_with(&f.path) || f.path.starts_with(&other) {
                return Err(Error::new(ErrorKind::Exists, format!("a fileset meets {} already", f.path)));
            }
        }
        let sql = "INSERT INTO filesets (id, file_system, path, created, record) VALUES ($1, $2, $3, $4, $5)";
        let row = values![f.id.as_str(), f.file_system.as_str(), &*f.path, f.created.0, record];
        tx.execute(sql, row).await?;
        tx.commit().await
    }

    /// Changes a fileset in one step (its path stays): `change` sees it as it is now, and may refuse.
    ///
    /// # Errors
    /// `NotFound`; inside, what `change` refuses.
    pub async fn change_fileset<E: Send>(
        &self,
        id: &FilesetId,
        change: impl FnOnce(&mut Fileset) -> Result<(), E> + Send,
    ) -> Result<Result<Fileset, E>> {
        let _changing = self.0.filesets.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let changed = change_fileset_in(&mut tx, id, change).await?;
        if changed.is_ok() {
            tx.commit().await?;
        }
        Ok(changed)
    }

    /// The same for a fileset that no flow uses: in this one step none is bound to it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when a flow is bound to it; inside, what `change` refuses.
    pub async fn change_unbound_fileset<E: Send>(
        &self,
        id: &FilesetId,
        change: impl FnOnce(&mut Fileset) -> Result<(), E> + Send,
    ) -> Result<Result<Fileset, E>> {
        let _changing = self.0.filesets.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        // Whoever binds one locks this first.
        let sql = "UPDATE file_systems SET created = created \
                   WHERE id = (SELECT file_system FROM filesets WHERE id = $1)";
        tx.execute(sql, values![id.as_str()]).await?;
        let changed = change_fileset_in(&mut tx, id, change).await?;
        if changed.is_ok() {
            let used = tx.row("SELECT COUNT(*) FROM flows WHERE fileset = $1", values![id.as_str()]).await?;
            refuse_if_used(used, "fileset", id)?;
            tx.commit().await?;
        }
        Ok(changed)
    }

    /// One fileset.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn fileset(&self, id: &FilesetId) -> Result<Option<Fileset>> {
        Ok(self.all_filesets().await?.iter().find(|f| f.id == *id).cloned())
    }

    /// The filesets of a file system, oldest first.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn filesets(&self, fs: &FileSystemId) -> Result<Vec<Fileset>> {
        Ok(self.all_filesets().await?.iter().filter(|f| f.file_system == *fs).cloned().collect())
    }

    /// Removes a fileset that no flow uses. `false` = it was not there.
    ///
    /// # Errors
    /// `Conflict` when a flow is bound to it.
    pub async fn remove_fileset(&self, id: &FilesetId) -> Result<bool> {
        let _changing = self.0.filesets.changing();
        let mut tx = self.0.db.begin(Durability::Power).await?;
        let used = tx.row("SELECT COUNT(*) FROM flows WHERE fileset = $1", values![id.as_str()]).await?;
        refuse_if_used(used, "fileset", id)?;
        let n = tx.execute("DELETE FROM filesets WHERE id = $1", values![id.as_str()]).await?;
        tx.commit().await?;
        Ok(n > 0)
    }
}

/// Reads, changes and writes back a fileset; the row stays locked where there may be other writers.
async fn change_fileset_in<E: Send>(
    tx: &mut crate::db::Tx,
    id: &FilesetId,
    change: impl FnOnce(&mut Fileset) -> Result<(), E> + Send,
) -> Result<Result<Fileset, E>> {
    let sql = "UPDATE filesets SET path = path WHERE id = $1 RETURNING record";
    let row = tx.row(sql, values![id.as_str()]).await?.ok_or_else(|| missing("fileset", id))?;
    let mut f = decode::<FilesetRecord>(&row.text(0)?)?.noun()?;
    if let Err(e) = change(&mut f) {
        return Ok(Err(e));
    }
    let record = encode(&FilesetRecord::of(&f)?)?;
    let sql = "UPDATE filesets SET record = $2 WHERE id = $1";
    tx.execute(sql, values![id.as_str(), record]).await?;
    Ok(Ok(f))
}

/// Keeps two requests from counting the same things of a file system at once.
pub(crate) async fn lock_file_system(tx: &mut crate::db::Tx, id: &FileSystemId) -> Result<()> {
    let sql = "UPDATE file_systems SET created = created WHERE id = $1";
    match tx.execute(sql, values![id.as_str()]).await? {
        0 => Err(missing("file system", id)),
        _ => Ok(()),
    }
}

pub(crate) fn refuse_if_full(
    count: Option<Row>,
    limit: u32,
    what: &str,
    id: impl std::fmt::Display,
) -> Result<()> {
    let have = count.map(|row| row.int(0)).transpose()?.unwrap_or(0);
    if limit > 0 && have >= i64::from(limit) {
        return Err(Error::new(ErrorKind::Limit, format!("{id} has {have} {what}, {limit} are allowed")));
    }
    Ok(())
}

fn refuse_if_used(count: Option<Row>, what: &str, id: impl std::fmt::Display) -> Result<()> {
    match count.map(|row| row.int(0)).transpose()?.unwrap_or(0) {
        0 => Ok(()),
        n => Err(Error::new(ErrorKind::Conflict, format!("{what} {id} is used by {n} others"))),
    }
}
