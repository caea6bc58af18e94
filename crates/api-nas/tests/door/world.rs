//! A real `Control` over SQLite with file systems of both families, and buckets that answer by name.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::{Call, Caller, Cloud, Door as _, Fault, Outcome, Reply};
use api_nas::{Links, NasDoor};
use async_trait::async_trait;
use connector::{EntryStream, Error, ErrorKind, Lane, ListRequest, Probe, Tree};
use connector_posix::PosixTree;
use control::{Control, Dispatch, Limits, Parts, Trees};
use model::{
    Credentials, Dialect, DirectoryEnd, FileSystem, Ledger, MetadataDialect, ObjectEnd, ObjectStore, Origin,
    Outcome as Fate, Plan, Product, Progress, Reports, Selection, Task, TaskId, TaskStatus, Timestamp,
    TransferSpec,
};
use runtime::{Clock, Micros, Random};
use serde_json::{Map, Value};
use store::{Finish, SealKey, Store};

/// The account of most calls.
pub const ACCOUNT: &str = "100000000001";
/// Another one.
pub const STRANGER: &str = "100000000002";

/// Answers by the bucket's name.
struct Fake(String);

#[async_trait]
impl Tree for Fake {
    fn describe(&self) -> String {
        self.0.clone()
    }
    async fn probe(&self, _write: bool) -> connector::Result<Probe> {
        let refuse = |kind| Err(Error::new(kind, "refused by the test"));
        match self.0.as_str() {
            "bucket-gone" => refuse(ErrorKind::NotFound),
            "bucket-dark" => refuse(ErrorKind::Unavailable),
            "bucket-shut" => refuse(ErrorKind::Denied),
            _ => Ok(Probe { readable: true, writable: true, server: None }),
        }
    }
    fn list(&self, _request: ListRequest) -> Box<dyn EntryStream> {
        Box::new(Nothing)
    }
    fn lane(&self) -> Box<dyn Lane> {
        unreachable!("no bytes are moved in these tests")
    }
    fn settle(&self) -> connector::Result<()> {
        Ok(())
    }
    async fn sweep(&self, _what: &connector::Sweep) -> connector::Result<u64> {
        Ok(0)
    }
}

struct Nothing;

#[async_trait]
impl EntryStream for Nothing {
    async fn next(&mut self) -> connector::Result<Option<Vec<connector::Result<connector::Entry>>>> {
        Ok(None)
    }
}

struct Fakes;

#[async_trait]
impl Trees for Fakes {
    async fn object(
        &self,
        end: &ObjectEnd,
        _credentials: Option<&Credentials>,
        _dialect: MetadataDialect,
    ) -> connector::Result<Arc<dyn Tree>> {
        Ok(Arc::new(Fake(end.bucket.clone())))
    }
    fn directory(&self, _: &DirectoryEnd) -> connector::Result<Arc<dyn Tree>> {
        Ok(Arc::new(Fake("directory".to_owned())))
    }
    fn empty(&self, end: &DirectoryEnd) -> connector::Result<u64> {
        PosixTree::open_below(&end.root, end.path.as_bytes(), false, Default::default())?.empty()
    }
    fn count(&self, end: &DirectoryEnd) -> connector::Result<(u64, u64)> {
        PosixTree::open_below(&end.root, end.path.as_bytes(), false, Default::default())?.count()
    }
    async fn buckets(&self, _: &ObjectStore, _: Option<&Credentials>) -> connector::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

struct Asleep;

#[async_trait]
impl Dispatch for Asleep {
    fn wake(&self) {}
    fn signal(&self, _task: &TaskId) {}
    async fn plan(&self, spec: &TransferSpec, _: Duration) -> connector::Result<Option<Plan>> {
        match &spec.selection {
            Selection::CsvUnder(_) => Err(Error::new(ErrorKind::NotFound, "there is no list")),
            _ => Ok(Some(Plan { complete: true, ..Plan::default() })),
        }
    }
}

/// The door with everything behind it.
pub struct World {
    pub door: NasDoor,
    pub control: Control,
    pub store: Store,
    pub clock: Clock,
    pub dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SealKey::new(&[7; 32]).unwrap();
        let url = dir.path().join("wharf.db").display().to_string();
        let store = Store::open(&url, &key, store::Options::default()).await.unwrap();
        let clock = Clock::manual(Micros(1_795_343_052_000_000));
        let control = Control::open(Parts {
            store: store.clone(),
            clock: clock.clone(),
            random: Random::system(),
            trees: Arc::new(Fakes),
            dispatch: Arc::new(Asleep),
            limits: Limits::default(),
            data_dir: dir.path().join("data"),
            seal: key,
        });
        let door = NasDoor::new(control.clone(), Links::default());
        let world = Self { door, control, store, clock, dir };
        for id in [ACCOUNT, STRANGER] {
            let new = control::NewAccount { name: "x".into(), id: Some(id.into()), ..Default::default() };
            world.control.create_account(new).await.unwrap();
        }
        world.catalogue().await;
        world
    }

    async fn catalogue(&self) {
        for (id, product, version) in [
            ("cpfs-1", Product::CpfsGeneral, "2.2.0"),
            ("cpfs-old", Product::CpfsGeneral, "2.1.9"),
            ("cpfs-burn", Product::CpfsGeneral, "2.2.0"),
            ("bmcpfs-1", Product::CpfsLingjun, "2.7.0"),
            ("bmcpfs-24", Product::CpfsLingjun, "2.4.0"),
            ("bmcpfs-23", Product::CpfsLingjun, "2.3.0"),
            ("cfs-1", Product::Cfs, "v4.0"),
            ("cpfs-odd", Product::CpfsLingjun, "2.7.0"),
        ] {
            let root = self.dir.path().join(id);
            std::fs::create_dir_all(root.join("data")).unwrap();
            let fs = FileSystem {
                id: id.into(),
                product,
                root,
                version: version.into(),
                description: format!("about {id}"),
                capacity_gib: 3600,
                bandwidth_mbps: 2000,
                region: "cn-hangzhou".into(),
                zone: "cn-hangzhou-b".into(),
                allow_destroy: id == "cpfs-burn",
                origin: Origin::Config,
                created: Timestamp(1),
            };
            self.control.put_file_system(fs).await.unwrap();
        }
        let object = ObjectStore {
            id: "store".into(),
            url: "http://127.0.0.1:1".into(),
            region: "us-east-1".into(),
            dialect: Dialect::S3,
            path_style: true,
            access_key_id: None,
            secret: None,
            buckets: vec!["bucket*".into()],
            hosts: Vec::new(),
            ca_pem: None,
            origin: Origin::Config,
            created: Timestamp(1),
        };
        self.control.put_object_store(object).await.unwrap();
    }

    /// A path below a file system's root.
    pub fn at(&self, fs: &str, path: &str) -> std::path::PathBuf {
        self.dir.path().join(fs).join(path)
    }

    pub async fn call(&self, account: &str, action: &str, params: Value) -> Outcome {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::HOST, http::HeaderValue::from_static("nas.test:8080"));
        self.door
            .call(Call {
                cloud: Cloud::Alibaba,
                service: "nas".into(),
                action: action.into(),
                version: "2017-06-26".into(),
                region: None,
                caller: Caller { account: account.into(), app_id: String::new(), operator: false },
                access_key: "AK".into(),
                params,
                flattened: false,
                request_id: "r".into(),
                method: http::Method::POST,
                path: "/".into(),
                query: String::new(),
                headers,
                body: bytes::Bytes::new(),
                language: None,
                source: None,
            })
            .await
    }

    /// The fields of a good answer.
    pub async fn ask(&self, action: &str, params: Value) -> Map<String, Value> {
        self.noted(action, params).await.0
    }

    /// The fields of a good answer, and the value of a header of ours.
    pub async fn noted(&self, action: &str, params: Value) -> (Map<String, Value>, Option<String>) {
        match self.call(ACCOUNT, action, params.clone()).await {
            Ok(Reply::Fields(fields)) => (fields, None),
            Ok(Reply::Noted { reply, value, .. }) => match *reply {
                Reply::Fields(fields) => (fields, Some(value)),
                other => panic!("{action} {params}: {other:?}"),
            },
            other => panic!("{action} {params}: {other:?}"),
        }
    }

    /// The refusal.
    pub async fn refused(&self, action: &str, params: Value) -> Fault {
        match self.call(ACCOUNT, action, params.clone()).await {
            Err(fault) => fault,
            Ok(reply) => panic!("{action} {params} was answered: {reply:?}"),
        }
    }

    pub async fn id(&self, action: &str, params: Value, name: &str) -> String {
        let fields = self.ask(action, params).await;
        fields.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{action}: {fields:?}")).to_owned()
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0)
    }

    /// Takes the next waiting task as the engine would.
    pub async fn claim(&self) -> Task {
        self.store.claim_next("w", self.now(), 60_000_000).await.unwrap().unwrap().0
    }

    /// Ends a claimed task: two files moved, one skipped.
    pub async fn finish(&self, task: &Task, status: TaskStatus) {
        let mut ledger = Ledger::default();
        ledger.book(Fate::Written, 100);
        ledger.book(Fate::Written, 50);
        ledger.book(Fate::Skipped, 7);
        let file = |name: &str| Some(format!("{name}.csv"));
        let finish = Finish {
            status,
            error: (status == TaskStatus::Failed).then(|| "it broke".to_owned()),
            ledger,
            progress: Progress { items_found: 3, bytes_found: 157, scan_done: true, ..Default::default() },
            checkpoint: None,
            receipt: None,
            reports: Reports {
                total: file("total"),
                successful: file("success"),
                skipped: file("skipped"),
                failed: file("failed"),
            },
            events: Vec::new(),
            at: self.now(),
        };
        self.store.finish(&task.id, task.attempt, &finish).await.unwrap();
    }
}

pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
