//! Migrations: one file each, in order, never changed once released.

use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::db::{Db, Durability, values};
use crate::{Error, ErrorKind, Purpose, Result, SealKey};

const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_events.sql"),
    include_str!("../migrations/0003_pipelines.sql"),
    include_str!("../migrations/0004_dis.sql"),
    include_str!("../migrations/0005_dumps.sql"),
    include_str!("../migrations/0006_flow_logs.sql"),
];

/// The plain text of the value that tells whether the master key is the right one.
const CHECK: &str = "wharf";

/// Brings an older or empty database to the present version; refuses a newer one untouched.
pub(crate) async fn migrate(db: &Db) -> Result<()> {
    let mut tx = db.begin(Durability::Power).await?;
    tx.alone().await?;
    tx.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)", vec![]).await?;
    let found = match tx.row("SELECT MAX(version) FROM schema_version", vec![]).await? {
        Some(row) => row.maybe_int(0)?.unwrap_or(0),
        None => 0,
    };
    let have = usize::try_from(found).unwrap_or(usize::MAX);
    if have > MIGRATIONS.len() {
        return Err(Error::new(
            ErrorKind::Version,
            format!(
                "the database has schema version {found}, this program knows {} at most: it was used by a newer version",
                MIGRATIONS.len()
            ),
        ));
    }
    for (i, sql) in MIGRATIONS.iter().enumerate().skip(have) {
        tx.script(AssertSqlSafe(db.schema_words(sql)).into_sql_str()).await?;
        let version = i64::try_from(i + 1).unwrap_or(i64::MAX);
        tx.execute("INSERT INTO schema_version (version) VALUES ($1)", values![version]).await?;
    }
    tx.commit().await
}

/// Refuses a master key that is not the one the database was made with.
pub(crate) async fn check_key(db: &Db, key: &SealKey) -> Result<()> {
    let sealed = key.seal(Purpose::Check, CHECK).0;
    let known = db.row("SELECT value FROM meta WHERE name = 'seal-check'", vec![]).await?;
    if known.is_none() {
        let sql = "INSERT INTO meta (name, value) VALUES ('seal-check', $1) ON CONFLICT (name) DO NOTHING";
        db.execute(sql, vec![crate::db::Value::Bytes(sealed)]).await?;
    }
    let known = db.row("SELECT value FROM meta WHERE name = 'seal-check'", vec![]).await?;
    let value = known.map(|row| row.bytes(0)).transpose()?.unwrap_or_default();
    match key.open(Purpose::Check, &model::Sealed(value)) {
        Ok(text) if text == CHECK => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Key,
            "the master key is not the one this database was made with; give the right key, or use another data folder",
        )),
    }
}
