//! One connection to a server of either kind.

use std::future::Future;
use std::time::Duration;

use connector::ErrorKind;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use crate::catalogue::{Column, Found, Table};
use crate::fault::Trouble;
use crate::options::{Connection, Engine, Plan, Tls};
use crate::rows::Group;
use crate::statement;

/// A statement that takes longer is given up, with its connection.
const LIMIT: Duration = Duration::from_secs(90);

/// Times are UTC; what waits for a lock gives up before we do; broken peers don't hold locks for ever.
const POSTGRES_SESSION: &str = "SET TIME ZONE 'UTC'; SET lock_timeout = '20s'; SET statement_timeout = '60s'; \
     SET idle_in_transaction_session_timeout = '300s'; SET standard_conforming_strings = on";
const MY_SQL_SESSION: &str = "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 20, sql_mode = \
     'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
     transaction_isolation = 'READ-COMMITTED'";
/// MariaDB's older name of the last one.
const MARIADB_SESSION: &str = "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 20, sql_mode = \
     'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
     tx_isolation = 'READ-COMMITTED'";

/// A connection.
pub(crate) enum Link {
    Postgres(Box<PgConnection>),
    MySql(Box<MySqlConnection>),
}

/// A row of text.
pub(crate) type TextRow = Vec<Option<String>>;

async fn limit<T>(future: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Trouble> {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Trouble::Broken(connector::Error::new(
            ErrorKind::Unavailable,
            format!("the server gave no answer within {} s", LIMIT.as_secs()),
        ))),
    }
}

impl Link {
    /// Connects and sets the session up.
    pub(crate) async fn connect(to: &Connection, database: &str, wait: Duration) -> Result<Self, Trouble> {
        let connecting = async {
            let mut link = match to.engine {
                Engine::Postgres => Self::Postgres(Box::new(postgres(to, database).connect().await?)),
                Engine::MySql => Self::MySql(Box::new(my_sql(to, database).connect().await?)),
            };
            match to.engine {
                Engine::Postgres => link.run(POSTGRES_SESSION).await?,
                Engine::MySql => {
                    if link.run(MY_SQL_SESSION).await.is_err() {
                        link.run(MARIADB_SESSION).await?;
                    }
                }
            }
            Ok(link)
        };
        let place = format!("{}:{}", to.host, to.port);
        match tokio::time::timeout(wait, connecting).await {
            Ok(Err(Trouble::Broken(e))) => {
                Err(Trouble::Broken(e.context(format_args!("connecting to {place}"))))
            }
            Ok(Err(Trouble::Fatal(e))) => {
                Err(Trouble::Fatal(e.context(format_args!("connecting to {place}"))))
            }
            Ok(done) => done,
            Err(_) => {
                let words = format!("connecting to {place} took longer than {} s", wait.as_secs());
                Err(Trouble::Broken(connector::Error::new(ErrorKind::Unavailable, words)))
            }
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::MySql(_) => Engine::MySql,
        }
    }

    /// Runs statements without values.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), Trouble> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Postgres(c) => limit(sql.execute(&mut **c)).await.map(drop),
            Self::MySql(c) => limit(sql.execute(&mut **c)).await.map(drop),
        }
    }

    /// Runs a statement with values of text; returns how many rows it met.
    pub(crate) async fn execute(&mut self, sql: &str, values: &[&str]) -> Result<u64, Trouble> {
        macro_rules! execute {
            ($c:expr, $db:ty) => {{
                let mut query = sqlx::query::<$db>(AssertSqlSafe(sql.to_owned()));
                for v in values {
                    query = query.bind((*v).to_owned());
                }
                Ok(limit(query.execute(&mut **$c)).await?.rows_affected())
            }};
        }
        match self {
            Self::Postgres(c) => execute!(c, sqlx::Postgres),
            Self::MySql(c) => execute!(c, sqlx::MySql),
        }
    }

    /// Asks for rows whose columns are all text.
    pub(crate) async fn rows(&mut self, sql: &str, values: &[&str]) -> Result<Vec<TextRow>, Trouble> {
        macro_rules! rows {
            ($c:expr, $db:ty) => {{
                let mut query = sqlx::query::<$db>(AssertSqlSafe(sql.to_owned())).persistent(false);
                for v in values {
                    query = query.bind((*v).to_owned());
                }
                let rows = limit(query.fetch_all(&mut **$c)).await?;
                let texts = rows.iter().map(|r| (0..r.len()).map(|i| r.try_get(i)).collect());
                Ok(texts.collect::<Result<Vec<TextRow>, sqlx::Error>>()?)
            }};
        }
        match self {
            Self::Postgres(c) => rows!(c, sqlx::Postgres),
            Self::MySql(c) => rows!(c, sqlx::MySql),
        }
    }

    /// Carries a group of rows out.
    pub(crate) async fn apply(
        &mut self,
        table: &Table,
        shape: &[usize],
        group: &Group<'_, '_>,
        upsert: bool,
    ) -> Result<(), Trouble> {
        match self {
            Self::Postgres(c) => {
                let sql = statement::postgres_sql(table, shape, group.delete, upsert);
                let values = statement::postgres_values(group, shape.len())?;
                limit(sqlx::query_with(AssertSqlSafe(sql), values).execute(&mut **c)).await?;
            }
            Self::MySql(c) => {
                let mut rest = group.rows.as_slice();
                while !rest.is_empty() {
                    let n = statement::my_sql_rows(rest, shape.len(), table.packet)?;
                    let (now, later) = rest.split_at(n.min(rest.len()));
                    let sql = statement::my_sql_sql(table, shape, group.delete, upsert, now.len());
                    let values = statement::my_sql_values(now)?;
                    limit(sqlx::query_with(AssertSqlSafe(sql), values).execute(&mut **c)).await?;
                    rest = later;
                }
            }
        }
        Ok(())
    }

    /// Reads the target table from the catalogue.
    pub(crate) async fn table(&mut self, plan: &Plan) -> Result<Table, Trouble> {
        match self.engine() {
            Engine::Postgres => self.postgres_table(plan).await,
            Engine::MySql => self.my_sql_table(plan).await,
        }
    }

    async fn postgres_table(&mut self, plan: &Plan) -> Result<Table, Trouble> {
        let engine = Engine::Postgres;
        let name = match &plan.schema {
            Some(s) => format!("{}.{}", engine.quote(s), engine.quote(&plan.table)),
            None => engine.quote(&plan.table),
        };
        let columns = self.rows(POSTGRES_COLUMNS, &[&name]).await?;
        let schema = columns.first().and_then(|r| text(r, 8));
        let Some(schema) = schema else { return Err(no_table(plan)) };
        let primary: Vec<_> =
            self.rows(POSTGRES_KEY, &[&name]).await?.iter().filter_map(|r| text(r, 0)).collect();
        let columns = columns.iter().map(|r| found(r).column(engine)).collect();
        Table::new((schema, plan.table.clone()), columns, &primary, plan)
    }

    async fn my_sql_table(&mut self, plan: &Plan) -> Result<Table, Trouble> {
        let schema = plan.schema.clone().unwrap_or_else(|| plan.database.clone());
        let place: [&str; 2] = [&schema, &plan.table];
        let kind = self.rows(MY_SQL_TABLE, &place).await?;
        let Some(row) = kind.first() else { return Err(no_table(plan)) };
        if text(row, 1).is_some_and(|t| t == "NO") {
            let engine = text(row, 0).unwrap_or_default();
            let words = format!("table {} is of engine {engine}, which has no transactions", plan.table);
            return Err(Trouble::fatal(ErrorKind::Unacceptable, words));
        }
        let columns = self.rows(MY_SQL_COLUMNS, &place).await?;
        let primary: Vec<_> = columns.iter().filter(|r| is(r, 8)).filter_map(|r| text(r, 0)).collect();
        let columns: Vec<Column> = columns.iter().map(|r| found(r).column(Engine::MySql)).collect();
        let packet = self.rows("SELECT CAST(@@max_allowed_packet AS CHAR)", &[]).await?;
        let packet = packet.first().and_then(|r| text(r, 0)).and_then(|t| t.trim().parse().ok());
        let mut table = Table::new((schema, plan.table.clone()), columns, &primary, plan)?;
        table.packet = packet.unwrap_or(table.packet);
        Ok(table)
    }
}

/// Name, base type, cast, array, nullable, default, generated, identity, schema.
const POSTGRES_COLUMNS: &str = "SELECT a.attname::text, \
     CASE WHEN t.typtype = 'd' THEN b.typname ELSE t.typname END::text, format_type(a.atttypid, -1)::text, \
     (COALESCE(b.typcategory, t.typcategory) = 'A')::text, (NOT a.attnotnull)::text, a.atthasdef::text, \
     (a.attgenerated <> '')::text, (a.attidentity <> '')::text, n.nspname::text \
     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd' \
     WHERE a.attrelid = to_regclass($1)::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

const POSTGRES_KEY: &str = "SELECT a.attname::text FROM pg_index i JOIN pg_attribute a \
     ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) \
     WHERE i.indrelid = to_regclass($1)::oid AND i.indisprimary ORDER BY array_position(i.indkey, a.attnum)";

const MY_SQL_TABLE: &str = "SELECT CAST(t.engine AS CHAR), CAST(e.transactions AS CHAR) \
     FROM information_schema.tables t LEFT JOIN information_schema.engines e ON e.engine = t.engine \
     WHERE t.table_schema = ? AND t.table_name = ?";

/// As for PostgreSQL, and last: in the primary key.
const MY_SQL_COLUMNS: &str = "SELECT CAST(column_name AS CHAR), LOWER(CAST(data_type AS CHAR)), \
     LOWER(CAST(column_type AS CHAR)), 'false', IF(is_nullable = 'YES', 'true', 'false'), \
     IF(column_default IS NOT NULL AND CAST(column_default AS CHAR) <> 'NULL' OR extra LIKE '%auto_increment%' \
        OR extra LIKE '%DEFAULT_GENERATED%', 'true', 'false'), \
     IF(extra LIKE '%VIRTUAL%' OR extra LIKE '%STORED%' OR extra LIKE '%PERSISTENT%', 'true', 'false'), 'false', \
     IF(column_key = 'PRI', 'true', 'false') \
     FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";

fn text(row: &TextRow, index: usize) -> Option<String> {
    row.get(index).cloned().flatten()
}

fn is(row: &TextRow, index: usize) -> bool {
    row.get(index).and_then(Option::as_deref) == Some("true")
}

fn found(row: &TextRow) -> Found {
    Found {
        name: text(row, 0).unwrap_or_default(),
        base: text(row, 1).unwrap_or_default(),
        full: text(row, 2).unwrap_or_default(),
        array: is(row, 3),
        nullable: is(row, 4),
        has_default: is(row, 5),
        generated: is(row, 6),
        identity: is(row, 7),
    }
}

fn no_table(plan: &Plan) -> Trouble {
    let words = format!("there is no table {} in database {}", plan.table, plan.database);
    Trouble::fatal(ErrorKind::NotFound, words)
}

fn postgres(to: &Connection, database: &str) -> PgConnectOptions {
    let mode = match to.tls {
        Tls::Off => PgSslMode::Disable,
        Tls::On => PgSslMode::Require,
        Tls::Verify => PgSslMode::VerifyFull,
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&to.host)
        .port(to.port)
        .username(&to.user)
        .database(database)
        .application_name("wharf")
        .ssl_mode(mode);
    if let Some(secret) = &to.secret {
        options = options.password(&secret.0);
    }
    if let Some(pem) = &to.ca_pem {
        options = options.ssl_root_cert_from_pem(pem.clone().into_bytes());
    }
    options.disable_statement_logging()
}

fn my_sql(to: &Connection, database: &str) -> MySqlConnectOptions {
    let mode = match to.tls {
        Tls::Off => MySqlSslMode::Disabled,
        Tls::On => MySqlSslMode::Required,
        Tls::Verify => MySqlSslMode::VerifyIdentity,
    };
    let mut options = MySqlConnectOptions::new()
        .host(&to.host)
        .port(to.port)
        .username(&to.user)
        .database(database)
        .ssl_mode(mode)
        .pipes_as_concat(false)
        .no_engine_substitution(false);
    if let Some(secret) = &to.secret {
        options = options.password(&secret.0);
    }
    if let Some(pem) = &to.ca_pem {
        options = options.ssl_ca_from_pem(pem.clone().into_bytes());
    }
    options.disable_statement_logging()
}
