//! An engine in small, a source with poison, and the two servers.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use connector::Result;
use connector::records::{
    Account, BatchBuilder, Context, Endpoint, Headers, Host, Mark, RecordRef, RecordSink, Refused, Ruling,
    Secret, Split, Unit,
};
use runtime::{ByteBudget, Clock, Micros, Random};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection, Row as _};

pub enum Server {
    Postgres(testkit::peers::Postgres),
    MariaDb(testkit::peers::MariaDb),
}

pub enum Admin {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

pub struct Db {
    pub server: Server,
    pub admin: Admin,
    pub port: u16,
}

fn skipped<T>(made: std::result::Result<T, String>) -> Option<T> {
    made.map_err(|why| eprintln!("SKIPPED: {why}")).ok()
}

impl Admin {
    async fn connect(server: &Server) -> Self {
        match server {
            Server::Postgres(p) => Self::Postgres(PgConnection::connect(&p.url).await.unwrap()),
            Server::MariaDb(m) => {
                let url = format!("mysql://wharf:{}@127.0.0.1:{}/wharf", m.password, m.port);
                Self::MariaDb(MySqlConnection::connect(&url).await.unwrap())
            }
        }
    }

    pub async fn try_run(&mut self, sql: &str) -> std::result::Result<(), String> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let done = match self {
            Self::Postgres(c) => sql.execute(c).await.map(drop),
            Self::MariaDb(c) => sql.execute(c).await.map(drop),
        };
        done.map_err(|e| e.to_string())
    }

    pub async fn run(&mut self, sql: &str) {
        self.try_run(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

impl Db {
    pub async fn postgres() -> Option<Self> {
        let server = skipped(testkit::peers::postgres())?;
        let port = server.port();
        let server = Server::Postgres(server);
        Some(Self { admin: Admin::connect(&server).await, server, port })
    }

    pub async fn mariadb() -> Option<Self> {
        let server = skipped(testkit::peers::mariadb())?;
        let port = server.port;
        let server = Server::MariaDb(server);
        Some(Self { admin: Admin::connect(&server).await, server, port })
    }

    pub async fn another(&self) -> Admin {
        Admin::connect(&self.server).await
    }

    pub async fn run(&mut self, sql: &str) {
        self.admin.run(sql).await;
    }

    pub async fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let sql = AssertSqlSafe(sql.to_owned());
        macro_rules! texts {
            ($c:expr, $db:ty) => {{
                let rows = sqlx::query::<$db>(sql).persistent(false).fetch_all($c).await.unwrap();
                rows.iter().map(|r| (0..r.len()).map(|i| r.get::<Option<String>, _>(i)).collect()).collect()
            }};
        }
        match &mut self.admin {
            Admin::Postgres(c) => texts!(c, sqlx::Postgres),
            Admin::MariaDb(c) => texts!(c, sqlx::MySql),
        }
    }

    pub async fn restart(&mut self) {
        match &mut self.server {
            Server::Postgres(p) => p.restart().unwrap(),
            Server::MariaDb(m) => m.restart().unwrap(),
        }
        self.admin = Admin::connect(&self.server).await;
    }
}

/// Keeps what is refused, by split and offset.
#[derive(Default, Debug)]
pub struct Desk {
    kept: RefCell<BTreeMap<(Split, i64), String>>,
    last: RefCell<Mark>,
}

impl Desk {
    pub fn reasons(&self) -> BTreeMap<(i32, i64), String> {
        self.kept.borrow().iter().map(|((s, o), why)| ((s.partition, *o), why.clone())).collect()
    }

    pub fn mark(&self) -> Mark {
        *self.last.borrow()
    }
}

#[async_trait(?Send)]
impl Host for Desk {
    async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        tokio::task::yield_now().await;
        for r in refused {
            let offset = unit.batch.get(r.index).unwrap().offset;
            self.kept.borrow_mut().insert((unit.batch.split().clone(), offset), r.reason);
        }
        Ok(Ruling::Kept)
    }
}

/// Poison, all of it for a table of [`Place::columns`]; `@` is the record's number.
pub const BAD: [&str; 9] = [
    "not json",
    "[]",
    r#"{"id":"@x","n":1}"#,
    r#"{"id":@,"n":99999999999}"#,
    r#"{"id":@,"word":"much too long for it"}"#,
    r#"{"id":@,"n":-7}"#,
    r#"{"id":1,"n":1}"#,
    r#"{"id":@,"at":"2026-02-30 00:00:00"}"#,
    r#"{"id":@,"other":1}"#,
];

pub struct Source {
    pub splits: i32,
    pub n: i64,
    /// Every so many records one is bad.
    pub poison: i64,
}

impl Source {
    fn id(&self, split: i32, i: i64) -> i64 {
        // 1 is taken by hand.
        2 + i64::from(split) * self.n + i
    }

    fn is_bad(&self, i: i64) -> bool {
        i % self.poison == self.poison / 2
    }

    fn value(&self, split: i32, i: i64) -> String {
        let id = self.id(split, i);
        if self.is_bad(i) {
            let kind = usize::try_from(i / self.poison + i64::from(split)).unwrap() % BAD.len();
            return BAD[kind].replace('@', &id.to_string());
        }
        format!(r#"{{"id":{id},"n":{i},"word":"w{}","at":"2026-11-22 10:11:12"}}"#, i % 100)
    }

    pub fn unit(&self, split: &Split, from: i64, most: i64) -> Unit {
        let end = self.n.min(from + most);
        let values: Vec<_> = (from..end).map(|i| self.value(split.partition, i)).collect();
        unit(split, from, &values.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// A unit of these values; an empty one is a tombstone.
pub fn unit(split: &Split, from: i64, values: &[&str]) -> Unit {
    let mut b = BatchBuilder::new(split.clone(), from);
    for (offset, value) in (from..).zip(values) {
        let value = (!value.is_empty()).then_some(value.as_bytes());
        assert!(b.push(&RecordRef {
            offset,
            sub: 0,
            timestamp_ms: 0,
            key: None,
            value,
            headers: Headers::none()
        }));
    }
    Unit::as_read(Arc::new(b.finish(from + values.len() as i64)))
}

pub struct Place {
    pub table: String,
    pub port: u16,
    pub host: Rc<Desk>,
    pub clock: Clock,
    engine: &'static str,
    user: &'static str,
    database: &'static str,
    secret: String,
    options: String,
}

pub type Journal = HashMap<Split, Mark>;

impl Place {
    pub fn new(db: &Db, options: &str) -> Self {
        let table = format!("t_{}", Random::system().hex(8));
        let (engine, user, database, secret) = match &db.server {
            Server::Postgres(_) => ("postgresql", "postgres", "postgres", "s3cret-w0rd".to_owned()),
            Server::MariaDb(m) => ("mariadb", "wharf", "wharf", m.password.clone()),
        };
        let options = format!(r#"{{"database":"{database}","table":"{table}",{options}}}"#);
        let clock = Clock::manual(Micros::from_seconds(1_800_000_000));
        Self { table, port: db.port, host: Rc::default(), clock, engine, user, database, secret, options }
    }

    pub fn is_postgres(&self) -> bool {
        self.engine == "postgresql"
    }

    pub fn columns(&self) -> &'static str {
        if self.is_postgres() {
            "id bigint PRIMARY KEY, n int CHECK (n >= 0), word varchar(10), at timestamp"
        } else {
            "id bigint PRIMARY KEY, n int CHECK (n >= 0), word varchar(10), at datetime"
        }
    }

    pub fn url(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self, port: u16) -> Endpoint {
        let connection = format!(
            r#"{{"engine":"{}","host":"127.0.0.1","port":{port},"user":"{}"}}"#,
            self.engine, self.user
        );
        assert_eq!(connector_sql::check_connection(&connection), []);
        assert_eq!(connector_sql::check_sink(&self.options), []);
        let secret = Some(Secret(self.secret.as_str().into()));
        Endpoint { connection, secret, options: self.options.clone() }
    }

    pub fn sink(&self, port: &u16) -> Box<dyn RecordSink> {
        let context = Context {
            pipeline: format!("task-{}", self.table.replace('_', "-")),
            lane: 0,
            clock: self.clock.clone(),
            random: Random::system(),
            budget: ByteBudget::new(8 << 20),
        };
        connector_sql::sink(&self.endpoint(*port), &context, self.host.clone()).unwrap()
    }

    /// Writes values as one unit and settles them.
    pub async fn write_all(&self, values: &[&str]) -> Result<Rc<Desk>> {
        let mut sink = self.sink(&self.port);
        let (split, _) = take(sink.as_mut(), &mut Journal::new(), 1).await?[0].clone();
        sink.write(unit(&split, 0, values)).await?;
        sink.flush().await?;
        let settled = sink.settled();
        assert_eq!(settled.len(), 1);
        *self.host.last.borrow_mut() = settled[0].mark;
        Ok(self.host.clone())
    }

    /// Exactly the good records are in the table, exactly the bad ones are on the desk, the books balance.
    pub async fn check(&self, db: &mut Db, source: &Source, journal: &Journal) {
        let id = if self.is_postgres() { "id::text" } else { "CAST(id AS CHAR)" };
        let n = if self.is_postgres() { "n::text" } else { "CAST(n AS CHAR)" };
        let rows = db
            .rows(&format!("SELECT {id}, {n}, word FROM {} AS t WHERE id > 1 ORDER BY t.id", self.table))
            .await;
        let got: Vec<_> =
            rows.into_iter().map(|r| r.into_iter().map(Option::unwrap).collect::<Vec<_>>()).collect();
        let mut wanted = Vec::new();
        let mut bad = Vec::new();
        for split in 0..source.splits {
            for i in 0..source.n {
                let kind = usize::try_from(i / source.poison + i64::from(split)).unwrap() % BAD.len();
                if !source.is_bad(i) {
                    wanted.push(vec![
                        source.id(split, i).to_string(),
                        i.to_string(),
                        format!("w{}", i % 100),
                    ]);
                } else if !BAD[kind].contains("\"id\":1,") {
                    // (The first one with id 1 is good; which one that is depends on the order of the splits.)
                    bad.push((split, i));
                }
            }
        }
        let differ = got.iter().zip(&wanted).find(|(a, b)| a != b);
        assert!(got == wanted, "{} rows instead of {}; {differ:?}", got.len(), wanted.len());
        let reasons = self.host.reasons();
        let missing: Vec<_> = bad.iter().filter(|b| !reasons.contains_key(b)).collect();
        assert!(missing.is_empty(), "not refused: {missing:?}");
        let extra: Vec<_> = reasons.iter().filter(|((_, i), _)| !source.is_bad(*i)).collect();
        assert!(extra.is_empty(), "refused though good: {extra:?}");
        balanced(journal, source);
    }
}

pub fn balanced(journal: &Journal, source: &Source) {
    assert_eq!(journal.len(), source.splits as usize);
    for mark in journal.values() {
        let a = mark.account;
        assert_eq!((mark.next, a.items[Account::READ]), (source.n, source.n as u64));
        for c in [a.items, a.bytes] {
            assert_eq!(c[Account::READ] + c[Account::EXPANDED], c[2..].iter().sum::<u64>());
        }
    }
}

/// Opens splits as the engine does: what the sink knows goes before the journal.
pub async fn take(
    sink: &mut dyn RecordSink,
    journal: &mut Journal,
    splits: i32,
) -> Result<Vec<(Split, i64)>> {
    let all: Vec<_> = (0..splits).map(|p| Split::new("top.ic", p)).collect();
    let known: Vec<_> = all.iter().map(|s| (s.clone(), journal.get(s).copied())).collect();
    let found = sink.committed(&known).await?;
    let marks: Vec<_> =
        known.iter().zip(found).map(|((s, k), f)| (s.clone(), f.or(*k).unwrap_or_default())).collect();
    sink.open(&marks).await?;
    journal.extend(marks.iter().cloned());
    Ok(marks.into_iter().map(|(s, m)| (s, m.next)).collect())
}

pub async fn life(place: &Place, source: &Source, journal: &mut Journal, units: u64) -> Result<bool> {
    life_at(place, place.port, source, journal, units).await
}

/// One life: takes over and writes until `units` were given (then dies), or to the end. True at the end.
pub async fn life_at(
    place: &Place,
    port: u16,
    source: &Source,
    journal: &mut Journal,
    mut units: u64,
) -> Result<bool> {
    let mut sink = place.sink(&port);
    let mut at = take(sink.as_mut(), journal, source.splits).await?;
    let mut step = 0;
    loop {
        let mut moved = false;
        for (split, next) in &mut at {
            if *next >= source.n {
                continue;
            }
            moved = true;
            step += 1;
            let unit = source.unit(split, *next, 1 + (step * 37 + *next) % 83);
            *next = unit.batch.next();
            sink.write(unit).await?;
            units -= 1;
            if units == 0 {
                return Ok(false);
            }
        }
        if step % 2 == 0 {
            place.clock.advance(250_000);
        }
        sink.tick().await?;
        if !moved {
            sink.flush().await?;
        }
        for s in sink.settled() {
            let old = journal.insert(s.split, s.mark);
            assert!(old.is_none_or(|o| o.next <= s.mark.next), "positions only grow");
        }
        if !moved {
            return Ok(true);
        }
    }
}

/// Polls a future so many times and then drops it.
pub async fn poll_some<F: Future>(future: F, mut polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        future.as_mut().poll(cx).map(Some)
    })
    .await
}
