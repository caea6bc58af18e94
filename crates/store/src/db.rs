//! The two databases behind one narrow door: text with `$1` placeholders, values in, rows out.
//!
//! Everything above this module is written once. SQLite has one writing connection (so that writers
//! queue here and not in `SQLITE_BUSY`) and a few reading ones; PostgreSQL has one pool. What differs
//! beyond that is said by [`Db::schema_words`] and nowhere else.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite, Transaction};

use crate::{Error, ErrorKind, Options, Result};

/// A value to bind.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    MaybeText(Option<String>),
    Int(i64),
    MaybeInt(Option<i64>),
    Bytes(Vec<u8>),
    MaybeBytes(Option<Vec<u8>>),
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}

impl From<String> for Value {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}

impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}

impl From<u32> for Value {
    fn from(v: u32) -> Self {
        Self::Int(i64::from(v))
    }
}

impl From<Option<String>> for Value {
    fn from(v: Option<String>) -> Self {
        Self::MaybeText(v)
    }
}

impl From<Option<i64>> for Value {
    fn from(v: Option<i64>) -> Self {
        Self::MaybeInt(v)
    }
}

/// Values for the placeholders, in order.
macro_rules! values {
    ($($v:expr),* $(,)?) => { vec![$($crate::db::Value::from($v)),*] };
}
pub(crate) use values;

/// A row of either database; columns by position.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! column {
    ($name:ident, $t:ty) => {
        pub(crate) fn $name(&self, i: usize) -> Result<$t> {
            Ok(match self {
                Self::Sqlite(r) => r.try_get(i)?,
                Self::Postgres(r) => r.try_get(i)?,
            })
        }
    };
}

impl Row {
    column!(text, String);
    column!(maybe_text, Option<String>);
    column!(int, i64);
    column!(maybe_int, Option<i64>);
    column!(bytes, Vec<u8>);
    column!(maybe_bytes, Option<Vec<u8>>);
}

/// How much a commit has to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A crash of the process; a power cut may take back the last commits, as a whole and in order.
    Process,
    /// A power cut.
    Power,
}

#[derive(Clone)]
pub(crate) enum Db {
    Sqlite(Arc<SqliteDb>),
    Postgres(PgPool),
}

pub(crate) struct SqliteDb {
    writer: SqlitePool,
    readers: SqlitePool,
    /// What `PRAGMA synchronous` of the writer was set to last: a [`Durability`] as a number.
    level: AtomicU8,
    /// Held as long as the database is open: one process only, which is what makes caching sound.
    lock: Mutex<Option<File>>,
}

/// A write transaction. Dropped without [`Tx::commit`], it never happened.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

macro_rules! bound {
    ($sql:expr, $values:expr) => {{
        let mut q = sqlx::query($sql);
        for v in $values {
            q = match v {
                Value::Text(v) => q.bind(v),
                Value::MaybeText(v) => q.bind(v),
                Value::Int(v) => q.bind(v),
                Value::MaybeInt(v) => q.bind(v),
                Value::Bytes(v) => q.bind(v),
                Value::MaybeBytes(v) => q.bind(v),
            };
        }
        q
    }};
}

macro_rules! all_rows {
    ($kind:path, $on:expr, $sql:expr, $values:expr) => {
        bound!($sql, $values).fetch_all($on).await?.into_iter().map($kind).collect()
    };
}

impl Db {
    pub(crate) async fn open(url: &str, options: &Options) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Self::open_postgres(url, options).await;
        }
        let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(url);
        Self::open_sqlite(Path::new(path), options).await
    }

    async fn open_postgres(url: &str, options: &Options) -> Result<Self> {
        // The URL may hold a password: it is never repeated.
        let bad = |e: sqlx::Error| Error::new(ErrorKind::Unavailable, format!("postgresql: {e}"));
        let connect = PgConnectOptions::from_str(url)
            .map_err(|_| Error::new(ErrorKind::Unavailable, "the postgresql url can't be read"))?
            .application_name("wharf")
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(2))
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(connect)
            .await
            .map_err(bad)?;
        Ok(Self::Postgres(pool))
    }

    async fn open_sqlite(path: &Path, options: &Options) -> Result<Self> {
        let lock = lock_for(path)?;
        make_private(path)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(false)
            // 512 KiB of pages a connection: our rows are small and the kernel caches the file.
            .pragma("cache_size", "-512")
            .pragma("temp_store", "memory")
            .statement_cache_capacity(64)
            .disable_statement_logging();
        let pool = |n: u32| {
            SqlitePoolOptions::new()
                .max_connections(n)
                .acquire_timeout(Duration::from_secs(30))
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1).connect_with(connect.clone().thread_name(|_| "state-write".into())).await?;
        let readers = pool(options.connections.max(1))
            .min_connections(0)
            .connect_lazy_with(connect.thread_name(|i| format!("state-read-{i}")));
        let level = AtomicU8::new(Durability::Power as u8);
        Ok(Self::Sqlite(Arc::new(SqliteDb { writer, readers, level, lock: Mutex::new(Some(lock)) })))
    }

    /// Does this process alone write here?
    pub(crate) fn is_ours_alone(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(db) => {
                db.readers.close().await;
                db.writer.close().await;
                // Clones of the store may live on; the file is free all the same.
                drop(db.lock.lock().map(|mut lock| lock.take()));
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// Fills the words in which the two differ into the text of a migration.
    pub(crate) fn schema_words(&self, sql: &str) -> String {
        match self {
            Self::Sqlite(_) => sql.replace("{KEY}", "TEXT").replace("{BYTES}", "BLOB"),
            Self::Postgres(_) => sql.replace("{KEY}", "TEXT COLLATE \"C\"").replace("{BYTES}", "BYTEA"),
        }
    }

    pub(crate) async fn rows(&self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Vec<Row>> {
        let sql = sql.into_sql_str();
        Ok(match self {
            Self::Sqlite(db) => all_rows!(Row::Sqlite, &db.readers, sql, values),
            Self::Postgres(pool) => all_rows!(Row::Postgres, pool, sql, values),
        })
    }

    pub(crate) async fn row(&self, sql: &'static str, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(match self {
            Self::Sqlite(db) => bound!(sql, values).fetch_optional(&db.readers).await?.map(Row::Sqlite),
            Self::Postgres(pool) => bound!(sql, values).fetch_optional(pool).await?.map(Row::Postgres),
        })
    }

    /// One statement in a transaction of its own that survives a power cut. Returns the rows touched.
    pub(crate) async fn execute(&self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        let mut tx = self.begin(Durability::Power).await?;
        let n = tx.execute(sql, values).await?;
        tx.commit().await?;
        Ok(n)
    }

    pub(crate) async fn begin(&self, durability: Durability) -> Result<Tx> {
        match self {
            Self::Sqlite(db) => {
                let mut connection = db.writer.acquire().await?;
                if db.level.load(Ordering::Relaxed) != durability as u8 {
                    // Unknown until it is done: should this future be dropped in between, it is done again.
                    db.level.store(u8::MAX, Ordering::Relaxed);
                    let sql = match durability {
                        Durability::Process => "PRAGMA synchronous = NORMAL",
                        Durability::Power => "PRAGMA synchronous = FULL",
                    };
                    sqlx::query(sql).execute(&mut *connection).await?;
                    db.level.store(durability as u8, Ordering::Relaxed);
                }
                Ok(Tx::Sqlite(Transaction::begin(connection, Some("BEGIN IMMEDIATE".into_sql_str())).await?))
            }
            Self::Postgres(pool) => Ok(Tx::Postgres(pool.begin().await?)),
        }
    }
}

impl Tx {
    pub(crate) async fn row(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(match self {
            Self::Sqlite(tx) => bound!(sql, values).fetch_optional(&mut **tx).await?.map(Row::Sqlite),
            Self::Postgres(tx) => bound!(sql, values).fetch_optional(&mut **tx).await?.map(Row::Postgres),
        })
    }

    pub(crate) async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        Ok(match self {
            Self::Sqlite(tx) => all_rows!(Row::Sqlite, &mut **tx, sql, values),
            Self::Postgres(tx) => all_rows!(Row::Postgres, &mut **tx, sql, values),
        })
    }

    pub(crate) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        Ok(match self {
            Self::Sqlite(tx) => bound!(sql, values).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => bound!(sql, values).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// Several statements without values.
    pub(crate) async fn script(&mut self, sql: SqlStr) -> Result<()> {
        match self {
            Self::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ())?,
            Self::Postgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Keeps other servers from changing the schema until this transaction ends.
    pub(crate) async fn alone(&mut self) -> Result<()> {
        if let Self::Postgres(tx) = self {
            sqlx::query("SELECT pg_advisory_xact_lock(7741002017)").execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// Keeps two requests from counting the same things of an account at once.
    pub(crate) async fn hold_account(&mut self, what: &str, account: &model::AccountId) -> Result<()> {
        if let Self::Postgres(tx) = self {
            sqlx::query("SELECT pg_advisory_xact_lock(7741, hashtext($1))")
                .bind(format!("{what}/{account}"))
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    /// A statement whose text was put together ([`Conditions`](crate::query::Conditions)).
    pub(crate) async fn execute_built(&mut self, sql: String, values: Vec<Value>) -> Result<u64> {
        let sql = sqlx::AssertSqlSafe(sql).into_sql_str();
        Ok(match self {
            Self::Sqlite(tx) => bound!(sql, values).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => bound!(sql, values).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// A question whose text was put together.
    pub(crate) async fn rows_built(&mut self, sql: String, values: Vec<Value>) -> Result<Vec<Row>> {
        let sql = sqlx::AssertSqlSafe(sql).into_sql_str();
        Ok(match self {
            Self::Sqlite(tx) => all_rows!(Row::Sqlite, &mut **tx, sql, values),
            Self::Postgres(tx) => all_rows!(Row::Postgres, &mut **tx, sql, values),
        })
    }

    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// Takes the lock file beside the database.
fn lock_for(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let cant = |e: std::io::Error| {
        Error::new(ErrorKind::Unavailable, format!("{} can't be opened: {e}", name.display()))
    };
    let file = File::options().write(true).create(true).truncate(false).open(&name).map_err(cant)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Error::new(ErrorKind::Locked, format!("{} is open in another process", path.display())))
        }
        Err(std::fs::TryLockError::Error(e)) => Err(cant(e)),
    }
}

/// Makes the file, if it is not there, readable for its owner only. The journal files take its mode over.
fn make_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::new(ErrorKind::Unavailable, format!("{} can't be made: {e}", path.display()))),
    }
}
