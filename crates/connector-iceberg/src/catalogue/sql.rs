//! The SQL catalogue: the two tables that Iceberg's JDBC catalogue, pyiceberg's `SqlCatalog` and others share, in SQLite or PostgreSQL.
//!
//! A commit writes a new metadata file beside the table's others, and then moves the row's pointer to it where it still is the old one. An
//! `UPDATE` that changed no row is a conflict; one whose answer is lost is looked at again by whoever asked.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use connector::records::Secret;
use connector::{Error, ErrorKind, Result};
use iceberg::io::FileIO;
use iceberg::spec::{TableMetadata, TableMetadataBuilder};
use iceberg::table::Table;
use iceberg::{MetadataLocation, NamespaceIdent, TableCreation, TableIdent};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::{Catalogue, Change, NewTable, Refusal, strange, table};
use crate::fault::unwrap;

/// How long a connection, or a lock of SQLite, is waited for.
const WAIT: Duration = Duration::from_secs(10);

const TABLES: &str = "CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL, table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000), iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name))";
const NAMESPACES: &str = "CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL, namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000), PRIMARY KEY (catalog_name, namespace, property_key))";

/// Table property: old metadata files are removed.
pub(crate) const DELETE_VERSIONS: &str = "write.metadata.delete-after-commit.enabled";

#[derive(Debug, Clone)]
enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs one text on either database, with texts as parameters.
macro_rules! run {
    ($db:expr, $call:ident, $sql:expr $(, $arg:expr)*) => {
        match $db {
            Db::Sqlite(pool) => sqlx::query($sql)$(.bind($arg))*.$call(pool).await.map(Into::into),
            Db::Postgres(pool) => sqlx::query($sql)$(.bind($arg))*.$call(pool).await.map(Into::into),
        }
    };
}

/// Rows that a statement changed.
struct Changed(u64);

impl From<sqlx::sqlite::SqliteQueryResult> for Changed {
    fn from(r: sqlx::sqlite::SqliteQueryResult) -> Self {
        Self(r.rows_affected())
    }
}

impl From<sqlx::postgres::PgQueryResult> for Changed {
    fn from(r: sqlx::postgres::PgQueryResult) -> Self {
        Self(r.rows_affected())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sql {
    db: Db,
    name: String,
    warehouse: String,
    io: FileIO,
    /// The two tables are known to be there.
    ready: AtomicBool,
}

/// What an error of the database means.
#[allow(clippy::needless_pass_by_value, reason = "it goes where errors are mapped")]
fn fault(e: sqlx::Error) -> Error {
    let kind = match &e {
        sqlx::Error::Database(d) => match d.code().as_deref() {
            Some("28P01" | "28000" | "42501") => ErrorKind::Denied,
            // SQLITE_READONLY, SQLITE_FULL, disk full, too many connections, shutting down.
            Some("8") => ErrorKind::Denied,
            Some("13" | "53100") => ErrorKind::Full,
            Some("5" | "6" | "53300" | "57P01" | "57P02" | "57P03" | "40001" | "40P01") => {
                ErrorKind::Unavailable
            }
            Some("3D000" | "14") => ErrorKind::NotFound,
            _ => ErrorKind::Other,
        },
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    };
    Error::new(kind, format!("the catalogue's database: {e}"))
}

impl Sql {
    /// A catalogue at `uri` (`sqlite:<path>` or `postgres://…`), not connected yet.
    pub(crate) fn new(
        uri: &str,
        secret: Option<&Secret>,
        name: &str,
        warehouse: &str,
        io: FileIO,
    ) -> Result<Self> {
        let bad = |e: sqlx::Error| Error::new(ErrorKind::Unacceptable, format!("uri: {e}"));
        let db = if uri.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(uri).map_err(bad)?;
            let options = options.create_if_missing(true).busy_timeout(WAIT);
            let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(WAIT);
            Db::Sqlite(pool.connect_lazy_with(options))
        } else {
            let mut options = PgConnectOptions::from_str(uri).map_err(bad)?;
            if let Some(secret) = secret {
                options = options.password(&secret.0);
            }
            let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(WAIT);
            Db::Postgres(pool.connect_lazy_with(options))
        };
        Ok(Self {
            db,
            name: name.to_owned(),
            warehouse: warehouse.to_owned(),
            io,
            ready: AtomicBool::new(false),
        })
    }

    /// Makes the two tables where they are not: who may only write to them need not be allowed to make some.
    async fn prepare(&self) -> Result<()> {
        if self.ready.load(Ordering::Relaxed) {
            return Ok(());
        }
        let look = "SELECT 1 FROM iceberg_tables t, iceberg_namespace_properties n WHERE t.table_name = n.namespace AND 1 = 0";
        let found: Result<Changed, sqlx::Error> = run!(&self.db, execute, look);
        match found {
            Ok(_) => {}
            Err(sqlx::Error::Database(_)) => self.make_tables().await?,
            Err(e) => return Err(fault(e)),
        }
        self.ready.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn make_tables(&self) -> Result<()> {
        for text in [TABLES, NAMESPACES] {
            let done: Result<Changed, sqlx::Error> = run!(&self.db, execute, text);
            match done {
                Ok(_) => {}
                // Two made it at once.
                Err(sqlx::Error::Database(d)) if matches!(d.code().as_deref(), Some("23505" | "42P07")) => {}
                Err(e) => return Err(fault(e)),
            }
        }
        Ok(())
    }

    async fn pointer(&self, ident: &TableIdent) -> Result<Option<String>> {
        const TEXT: &str = "SELECT metadata_location FROM iceberg_tables
            WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3";
        let (space, table) = (ident.namespace().join("."), ident.name());
        let found: Result<Option<String>, sqlx::Error> = match &self.db {
            Db::Sqlite(pool) => {
                let q = sqlx::query_scalar(TEXT).bind(&self.name).bind(&space).bind(table);
                q.fetch_optional(pool).await.map(Option::flatten)
            }
            Db::Postgres(pool) => {
                let q = sqlx::query_scalar(TEXT).bind(&self.name).bind(&space).bind(table);
                q.fetch_optional(pool).await.map(Option::flatten)
            }
        };
        found.map_err(fault)
    }

    async fn write(&self, metadata: &TableMetadata, location: &MetadataLocation) -> Result<()> {
        metadata.write_to(&self.io, location).await.map_err(|e| unwrap(e, "write the table's metadata"))
    }

    /// Removes metadata files that have just gone from the log, where the table says so. (A REST catalogue does it itself.)
    async fn forget_versions(&self, before: &TableMetadata, after: &TableMetadata) {
        if after.properties().get(DELETE_VERSIONS).is_none_or(|v| !v.eq_ignore_ascii_case("true")) {
            return;
        }
        let kept = |file: &str| after.metadata_log().iter().any(|l| l.metadata_file == file);
        for gone in before.metadata_log().iter().filter(|l| !kept(&l.metadata_file)) {
            if let Err(e) = self.io.delete(&gone.metadata_file).await {
                tracing::info!(error = %e, "an old metadata file stays");
            }
        }
    }

    fn new_metadata(&self, new: NewTable) -> Result<TableMetadata> {
        let NewTable { ident, schema, spec, properties } = new;
        let folder = ident.namespace().as_ref().join("/");
        let location = format!("{}/{folder}/{}", self.warehouse.trim_end_matches('/'), ident.name());
        let creation = TableCreation::builder()
            .name(ident.name().to_owned())
            .location(location)
            .schema(schema)
            .partition_spec(spec)
            .properties(properties)
            .build();
        let built = TableMetadataBuilder::from_table_creation(creation).and_then(TableMetadataBuilder::build);
        built
            .map(|b| b.metadata)
            .map_err(|e| Error::new(ErrorKind::Unacceptable, format!("a new table: {}", e.message())))
    }
}

#[async_trait]
impl Catalogue for Sql {
    async fn has_namespace(&self, namespace: &NamespaceIdent) -> Result<bool> {
        self.prepare().await?;
        let space = namespace.join(".");
        // Tables make their namespace, and so do the namespaces below it.
        let below = format!("{}.%", space.replace('!', "!!").replace('%', "!%").replace('_', "!_"));
        for text in [
            "SELECT 1 FROM iceberg_namespace_properties WHERE catalog_name = $1 AND (namespace = $2 OR namespace LIKE $3 ESCAPE '!') LIMIT 1",
            "SELECT 1 FROM iceberg_tables WHERE catalog_name = $1 AND (table_namespace = $2 OR table_namespace LIKE $3 ESCAPE '!') LIMIT 1",
        ] {
            let found: Result<bool, sqlx::Error> = match &self.db {
                Db::Sqlite(pool) => {
                    let q = sqlx::query(text).bind(&self.name).bind(&space).bind(&below);
                    q.fetch_optional(pool).await.map(|r| r.is_some())
                }
                Db::Postgres(pool) => {
                    let q = sqlx::query(text).bind(&self.name).bind(&space).bind(&below);
                    q.fetch_optional(pool).await.map(|r| r.is_some())
                }
            };
            if found.map_err(fault)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn create_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        self.prepare().await?;
        let text =
            "INSERT INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value)
            VALUES ($1, $2, 'exists', 'true') ON CONFLICT DO NOTHING";
        let done: Result<Changed, sqlx::Error> =
            run!(&self.db, execute, text, &self.name, namespace.join("."));
        done.map(drop).map_err(fault)
    }

    async fn load(&self, ident: &TableIdent) -> Result<Option<Table>> {
        self.prepare().await?;
        let Some(location) = self.pointer(ident).await? else { return Ok(None) };
        let metadata = TableMetadata::read_from(&self.io, &location).await;
        let metadata = metadata.map_err(|e| unwrap(e, "read the table's metadata"))?;
        table(ident, self.io.clone(), &location, metadata).map(Some)
    }

    async fn create(&self, new: NewTable) -> Result<Table> {
        let ident = new.ident.clone();
        let metadata = self.new_metadata(new)?;
        let location = MetadataLocation::new_with_metadata(metadata.location(), &metadata);
        self.prepare().await?;
        self.write(&metadata, &location).await?;
        let text = "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location)
            VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        let (space, path) = (ident.namespace().join("."), location.to_string());
        let done: Result<Changed, sqlx::Error> =
            run!(&self.db, execute, text, &self.name, &space, ident.name(), &path);
        if done.map_err(fault)?.0 == 0 {
            // Somebody was faster.
            let _ = self.io.delete(&path).await;
        }
        self.load(&ident).await?.ok_or_else(|| strange(format!("{ident} was made and is not there")))
    }

    async fn commit(&self, base: &Table, change: Change) -> Result<(), Refusal> {
        let refuse = |e: iceberg::Error| Refusal::Failed(unwrap(e, "commit"));
        if change.requirements.iter().any(|r| r.check(Some(base.metadata())).is_err()) {
            return Err(Refusal::Conflict);
        }
        let old = base.metadata_location_result().map_err(refuse)?;
        let mut builder = base.metadata().clone().into_builder(Some(old.to_owned()));
        for update in change.updates {
            builder = update.apply(builder).map_err(refuse)?;
        }
        let metadata = builder.build().map_err(refuse)?.metadata;
        let location = old.parse::<MetadataLocation>().map_err(refuse)?;
        let location = location.with_next_version().with_new_metadata(&metadata);
        self.write(&metadata, &location).await.map_err(Refusal::Failed)?;
        let text = "UPDATE iceberg_tables SET metadata_location = $1, previous_metadata_location = $2
            WHERE catalog_name = $3 AND table_namespace = $4 AND table_name = $5 AND metadata_location = $6";
        let (space, path) = (base.identifier().namespace().join("."), location.to_string());
        let name = base.identifier().name();
        let done: Result<Changed, sqlx::Error> =
            run!(&self.db, execute, text, &path, old, &self.name, &space, name, old);
        match done {
            Ok(Changed(1..)) => {
                self.forget_versions(base.metadata(), &metadata).await;
                Ok(())
            }
            Ok(Changed(0)) => {
                let _ = self.io.delete(&path).await;
                Err(Refusal::Conflict)
            }
            // The metadata file stays: the row may point to it already.
            Err(e) => Err(Refusal::Unknown(fault(e))),
        }
    }
}
