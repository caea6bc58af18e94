//! Real tables: the contract's suite on local disk, PostgreSQL and a real S3 server, and attacks on every promise.

mod attacks;
mod harm;
mod rows;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type};
use async_trait::async_trait;
use connector::records::conformance::{self, Profile, Subject};
use connector::records::{
    Account, BatchBuilder, Context, Endpoint, Headers, Host, Mark, RecordRef, RecordSink, Refused, Ruling,
    Secret, SharedHost, Split, Unit,
};
use connector::{ErrorKind, Result};
use futures_util::TryStreamExt as _;
use iceberg::table::Table;
use runtime::{ByteBudget, Clock, Micros, Random};
use tokio::task::LocalSet;

use crate::options;

/// Columns of the tests' tables.
const COLUMNS: &str = r#"{"type":"record","name":"r","fields":[{"name":"n","type":"long"},{"name":"s","type":["null","string"]}]}"#;
const META: &str = r#""partition_column":"part","offset_column":"off","topic_column":"topic""#;

/// A place with a table, and a clock of its own.
pub(super) struct World {
    pub(super) connection: String,
    pub(super) secret: Option<String>,
    pub(super) options: String,
    pub(super) clock: Clock,
    pub(super) pipeline: String,
    _dir: Option<tempfile::TempDir>,
}

impl World {
    /// On the local disk. `more` are further options, each with a comma behind it.
    pub(super) fn local(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        let connection = format!(r#"{{"uri":"sqlite:{at}/catalog.db","warehouse":"file://{at}/warehouse"}}"#);
        Self { _dir: Some(dir), ..Self::at(&connection, None, more) }
    }

    pub(super) fn at(connection: &str, secret: Option<&str>, more: &str) -> Self {
        let create = if more.contains("\"create\"") {
            String::new()
        } else {
            format!(r#""create":{{"schema":{COLUMNS},"properties":{{"a":"b"}}}},"#)
        };
        let options = format!(r#"{{"database":"db","table":"t","interval_ms":60000,{create}{more}{META}}}"#);
        Self {
            connection: connection.to_owned(),
            secret: secret.map(str::to_owned),
            options,
            clock: Clock::manual(Micros::from_seconds(1_790_000_000)),
            pipeline: "task-abc".to_owned(),
            _dir: None,
        }
    }

    pub(super) fn root(&self) -> String {
        format!("file://{}", self._dir.as_ref().unwrap().path().display())
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint {
            connection: self.connection.clone(),
            secret: self.secret.as_deref().map(|s| Secret(s.into())),
            options: self.options.clone(),
        }
    }

    pub(super) fn context(&self) -> Context {
        Context {
            pipeline: self.pipeline.clone(),
            lane: 0,
            clock: self.clock.clone(),
            random: Random::system(),
            budget: ByteBudget::new(64 << 20),
        }
    }

    pub(super) fn sink(&self, host: SharedHost) -> Box<dyn RecordSink> {
        crate::sink(&self.endpoint(), &self.context(), host).unwrap()
    }

    pub(super) async fn table(&self) -> Option<Table> {
        let (connection, plan) = options::read(&self.endpoint()).unwrap();
        let files = connection.files().unwrap();
        connection.catalogue(&files).unwrap().load(&plan.ident).await.unwrap()
    }

    pub(super) async fn batches(&self) -> Vec<RecordBatch> {
        let Some(table) = self.table().await else { return Vec::new() };
        // The crate does not read structs that have grown; foreign readers do, in tests/test_iceberg.py.
        let scan = table.scan().select(["n", "topic", "part", "off"]);
        scan.build().unwrap().to_arrow().await.unwrap().try_collect().await.unwrap()
    }

    /// `n` of all rows, with topic, partition and offset, sorted.
    pub(super) async fn numbers(&self) -> Vec<(String, i32, i64, i64)> {
        let mut all = Vec::new();
        for b in self.batches().await {
            let topic = b.column_by_name("topic").unwrap().as_string::<i32>();
            let partition = b.column_by_name("part").unwrap().as_primitive::<Int32Type>();
            let offset = b.column_by_name("off").unwrap().as_primitive::<Int64Type>();
            let n = b.column_by_name("n").unwrap().as_primitive::<Int64Type>();
            for i in 0..b.num_rows() {
                all.push((topic.value(i).to_owned(), partition.value(i), offset.value(i), n.value(i)));
            }
        }
        all.sort();
        all
    }

    pub(super) async fn snapshots(&self) -> usize {
        self.table().await.map_or(0, |t| t.metadata().snapshots().len())
    }

    /// All files below the root, without the catalogue, as paths from there.
    pub(super) async fn files(&self) -> Vec<String> {
        let root = format!("{}/warehouse/", self.root());
        let all = crate::files::Files::default().list(&root).await.unwrap();
        let mut all: Vec<_> = all.into_iter().map(|f| f.replace(&root, "")).collect();
        all.sort();
        all
    }
}

#[async_trait(?Send)]
impl Subject for World {
    async fn sink(&self, host: SharedHost) -> Result<Box<dyn RecordSink>> {
        Ok(World::sink(self, host))
    }

    fn value(&self, n: usize) -> Vec<u8> {
        format!(r#"{{"n":{n},"s":"text {n}"}}"#).into_bytes()
    }

    fn refused(&self) -> Option<Vec<u8>> {
        Some(br#"{"n":"poison"}"#.to_vec())
    }

    async fn values(&self, split: &Split) -> Result<Vec<Vec<u8>>> {
        let all = self.numbers().await;
        let ours = all.into_iter().filter(|(t, p, ..)| **t == *split.topic && *p == split.partition);
        Ok(ours.map(|(.., n)| self.value(usize::try_from(n).unwrap())).collect())
    }
}

/// A host that keeps everything and remembers why.
#[derive(Default)]
pub(super) struct Desk(pub(super) RefCell<Vec<(i64, String)>>);

#[async_trait(?Send)]
impl Host for Desk {
    async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
        for r in refused {
            self.0.borrow_mut().push((unit.batch.get(r.index).unwrap().offset, r.reason));
        }
        Ok(Ruling::Kept)
    }
}

pub(super) fn desk() -> Rc<Desk> {
    Rc::default()
}

pub(super) fn split(partition: i32) -> Split {
    Split::new("topic", partition)
}

pub(super) fn unit(split: &Split, first: i64, values: &[&str]) -> Unit {
    let mut b = BatchBuilder::new(split.clone(), first);
    for (offset, value) in (first..).zip(values) {
        let value = Some(value.as_bytes());
        let record = RecordRef {
            offset,
            sub: 0,
            timestamp_ms: 1_790_000_000_000,
            key: None,
            value,
            headers: Headers::none(),
        };
        assert!(b.push(&record));
    }
    Unit::as_read(Arc::new(b.finish(0)))
}

/// Rows `first..first + n` of a split, each with its own position as `n`.
pub(super) fn numbered(split: &Split, first: i64, n: i64) -> Unit {
    let values: Vec<_> = (first..first + n).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    unit(split, first, &values.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Asks and opens as a lane does; returns the marks.
pub(super) async fn take_over(sink: &mut dyn RecordSink, splits: &[Split]) -> Result<Vec<Mark>> {
    let known: Vec<_> = splits.iter().map(|s| (s.clone(), None)).collect();
    let theirs = sink.committed(&known).await?;
    let open: Vec<_> = splits.iter().cloned().zip(theirs).map(|(s, m)| (s, m.unwrap_or_default())).collect();
    sink.open(&open).await?;
    Ok(open.into_iter().map(|(_, m)| m).collect())
}

pub(super) fn run(f: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(f));
}

const PROFILE: Profile = Profile { keeps_marks: true, idempotent: false, ordered: false };

async fn conforms(world: &World, name: &str) {
    assert_eq!(conformance::run(world, PROFILE, name).await, Ok(()));
    // Nothing is left beside data and metadata.
    let table = world.table().await.unwrap();
    let (connection, _) = options::read(&world.endpoint()).unwrap();
    let staging = format!("{}/metadata/staging/", table.metadata().location());
    let left = connection.files().unwrap().list(&staging).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_contract_on_the_local_disk() {
    run(async { conforms(&World::local(""), "plain").await });
}

#[test]
fn the_contract_with_partitions_and_staging() {
    run(async {
        let create = format!(
            r#""create":{{"schema":{COLUMNS},"partition":[{{"column":"n","transform":"bucket[3]"}},{{"column":"s","transform":"truncate[6]"}}]}},"#
        );
        let mut world = World::local(&create);
        let staging = format!("{}/staged", world.root());
        world.options = world.options.replacen('{', &format!(r#"{{"staging":"{staging}","#), 1);
        conforms(&world, "partitioned").await;
        let left = crate::files::Files::default().list(&format!("{staging}/")).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn the_contract_on_postgresql_and_s3() {
    let weed = match testkit::peers::seaweedfs() {
        Ok(weed) => weed,
        Err(why) => return eprintln!("SKIPPED: {why}"),
    };
    let postgres = match testkit::peers::postgres() {
        Ok(postgres) => postgres,
        Err(why) => return eprintln!("SKIPPED: {why}"),
    };
    weed.client.create_bucket("lake").unwrap();
    let connection = format!(
        r#"{{"uri":"{}","warehouse":"s3://lake/warehouse","s3":{{"url":"{}","access_key_id":"{}"}}}}"#,
        postgres.url, weed.url, weed.access_key
    );
    run(async {
        let world = World::at(&connection, Some(&weed.secret_key), "");
        conforms(&world, "lake").await;
        // Staged through another bucket of the same store.
        weed.client.create_bucket("dump").unwrap();
        let staged = World::at(&connection, Some(&weed.secret_key), r#""staging":"s3://dump/a/b","#);
        let staged = World { options: staged.options.replace("\"t\"", "\"t2\""), ..staged };
        conforms(&staged, "staged").await;
        let wrong = World::at(&connection, Some("wrong-word"), "");
        let error = crate::look(&wrong.endpoint()).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Denied && !error.to_string().contains("wrong-word"), "{error}");
    });
}

/// A REST catalogue that hands out tokens; and between us and it, one that makes commits and loses their answers.
#[test]
fn the_contract_on_a_rest_catalogue() {
    let lake = match testkit::peers::seaweedfs_lake() {
        Ok(lake) => lake,
        Err(why) => return eprintln!("SKIPPED: {why}"),
    };
    let connection = |uri: &str| {
        format!(
            r#"{{"uri":"{uri}","client_id":"{key}","warehouse":"lake","s3":{{"url":"{}","access_key_id":"{key}"}}}}"#,
            lake.weed.url,
            key = lake.weed.access_key
        )
    };
    let secret = format!(r#"{{"catalog":"{key}","s3":"{key}"}}"#, key = lake.weed.secret_key);
    // This store takes nothing but data and metadata below a table.
    lake.weed.client.create_bucket("dump").unwrap();
    let staging = r#""staging":"s3://dump/on-its-way","#;
    run(async {
        let world = World::at(&connection(&lake.catalogue), Some(&secret), staging);
        conforms(&world, "rest").await;
        let listen = "127.0.0.1:0".parse().unwrap();
        let to = lake.catalogue.trim_start_matches("http://").parse().unwrap();
        let proxy = testkit::Proxy::start(listen, to, testkit::Mode::Http).await.unwrap();
        let lossy = World::at(&connection(&format!("http://{}", proxy.addr)), Some(&secret), staging);
        let lossy = World { options: lossy.options.replace("\"t\"", "\"t2\""), ..lossy };
        let mut sink = lossy.sink(desk());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        proxy.add("match=POST match=/tables/t2 every=2 do=drop-response").unwrap();
        proxy.add("match=POST match=/tables/t2 every=3 do=status:500").unwrap();
        for round in 0..6 {
            sink.write(numbered(&split(0), round * 5, 5)).await.unwrap();
            sink.flush().await.unwrap();
        }
        assert!(proxy.fired().iter().all(|n| *n > 0), "{:?}", proxy.fired());
        let rows: Vec<_> = lossy.numbers().await.into_iter().map(|r| r.3).collect();
        assert_eq!((rows, lossy.snapshots().await), ((0..30).collect(), 6));
        let wrong = World::at(&connection(&lake.catalogue), Some(r#"{"catalog":"wrong-word","s3":"x"}"#), "");
        let error = crate::look(&wrong.endpoint()).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Denied && !error.to_string().contains("wrong-word"), "{error}");
    });
}

#[test]
fn what_is_missing_is_told_apart() {
    run(async {
        let world = World::local("");
        let bare = |options: &str| Endpoint { options: options.to_owned(), ..world.endpoint() };
        let missing = bare(r#"{"database":"db","table":"t"}"#);
        assert_eq!(crate::look(&missing).await.unwrap(), crate::Found::NoDatabase);
        let error = crate::probe(&missing).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "no such database: db"));
        crate::probe(&world.endpoint()).await.unwrap();
        let mut sink = world.sink(desk());
        take_over(&mut *sink, &[split(0)]).await.unwrap();
        assert_eq!(crate::look(&missing).await.unwrap(), crate::Found::Table);
        let other = bare(r#"{"database":"db","table":"other"}"#);
        assert_eq!(crate::look(&other).await.unwrap(), crate::Found::NoTable);
        assert_eq!(crate::probe(&other).await.unwrap_err().message(), "no such table: db.other");
        let mut none = crate::sink(&other, &world.context(), desk()).unwrap();
        assert_eq!(take_over(&mut *none, &[split(0)]).await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

pub(super) fn balanced(mark: &Mark) {
    let items = mark.account.items;
    assert_eq!(items[Account::READ] + items[Account::EXPANDED], items[2..].iter().sum::<u64>());
}
