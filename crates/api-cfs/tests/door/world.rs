//! A door on a real `Control` over SQLite in a temporary folder; object stores and engine are played.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use api::{Call, Caller, Cloud, Door as _, Fault, Reply};
use api_cfs::{CfsDoor, Settings};
use async_trait::async_trait;
use bytes::Bytes;
use connector::{Entry, EntryKind, EntryStream, Error, ErrorKind, Lane, ListRequest, Probe, Tree, TreePath};
use control::{Control, Dispatch, Limits, Parts, Trees};
use model::{
    AccountId, Credentials, Dialect, DirectoryEnd, FileSystem, FileSystemId, MetadataDialect, ObjectEnd,
    ObjectStore, ObjectStoreId, Origin, Product, Task, TaskId, Timestamp,
};
use runtime::{Clock, Micros, Random};
use serde_json::Value;
use store::{Finish, Purpose, SealKey, Store};

/// 2023-11-14 22:13:20 UTC.
pub const NOW: i64 = 1_700_000_000;
pub const KEY: &str = "AKIDgood";
pub const SECRET: &str = "very-secret-key";
pub const BUCKET: &str = "aileen-data-flow-1251000004";

/// Object stores by what their bucket or key is called.
struct Played;

/// Keys of every bucket.
const KEYS: [&str; 4] = ["test3/a.txt", "test3/dir/b.txt", "test3/dir/c.txt", "test3/dirx"];

#[async_trait]
impl Trees for Played {
    async fn object(
        &self,
        end: &ObjectEnd,
        credentials: Option<&Credentials>,
        _: MetadataDialect,
    ) -> connector::Result<Arc<dyn Tree>> {
        let problem = match credentials {
            Some(c) if c.access_key_id == "AKIDbad" => Some(ErrorKind::Denied),
            _ if end.bucket.starts_with("gone") => Some(ErrorKind::NotFound),
            _ if end.bucket.starts_with("down") => Some(ErrorKind::Unavailable),
            _ => None,
        };
        let silent = end.bucket.starts_with("silent");
        Ok(Arc::new(PlayedTree { problem, silent, prefix: end.prefix.clone() }))
    }

    fn directory(&self, _: &DirectoryEnd) -> connector::Result<Arc<dyn Tree>> {
        Err(Error::new(ErrorKind::NotFound, "played directories are empty"))
    }

    fn empty(&self, _: &DirectoryEnd) -> connector::Result<u64> {
        Err(Error::new(ErrorKind::Unsupported, "nothing here asks for that"))
    }

    fn count(&self, _: &DirectoryEnd) -> connector::Result<(u64, u64)> {
        Err(Error::new(ErrorKind::Unsupported, "nothing here asks for that"))
    }

    async fn buckets(
        &self,
        store: &ObjectStore,
        key: Option<&Credentials>,
    ) -> connector::Result<Vec<String>> {
        match key {
            Some(c) if c.access_key_id == "AKIDbad" => Err(Error::new(ErrorKind::Denied, "no such key")),
            _ if store.region == "down" => Err(Error::new(ErrorKind::Unavailable, "no answer")),
            _ => Ok(vec![BUCKET.to_owned(), "hidden".to_owned()]),
        }
    }
}

struct PlayedTree {
    problem: Option<ErrorKind>,
    silent: bool,
    prefix: String,
}

struct PlayedStream(Option<Vec<connector::Result<Entry>>>);

#[async_trait]
impl EntryStream for PlayedStream {
    async fn next(&mut self) -> connector::Result<Option<Vec<connector::Result<Entry>>>> {
        Ok(self.0.take().filter(|page| !page.is_empty()))
    }
}

#[async_trait]
impl Tree for PlayedTree {
    fn describe(&self) -> String {
        "played".to_owned()
    }

    async fn probe(&self, _: bool) -> connector::Result<Probe> {
        if self.silent {
            std::future::pending::<()>().await;
        }
        match self.problem {
            Some(kind) => Err(Error::new(kind, "the played store refuses")),
            None => Ok(Probe { readable: true, ..Probe::default() }),
        }
    }

    fn list(&self, request: ListRequest) -> Box<dyn EntryStream> {
        let entry = |path: &str| Entry {
            path: TreePath::new(path.as_bytes()).unwrap(),
            kind: EntryKind::File,
            size: 1,
            modified_ns: 0,
            version: None,
            meta: None,
        };
        let found = KEYS.iter().filter_map(|key| key.strip_prefix(self.prefix.as_str()));
        let found = found.filter(|path| path.as_bytes().starts_with(&request.prefix));
        Box::new(PlayedStream(Some(found.map(|path| Ok(entry(path))).collect())))
    }

    fn lane(&self) -> Box<dyn Lane> {
        unreachable!("nothing is moved here")
    }

    fn settle(&self) -> connector::Result<()> {
        Ok(())
    }

    async fn sweep(&self, _: &connector::Sweep) -> connector::Result<u64> {
        Ok(0)
    }
}

struct Idle;

impl Dispatch for Idle {
    fn wake(&self) {}
    fn signal(&self, _: &TaskId) {}
}

pub struct World {
    pub control: Control,
    pub store: Store,
    pub clock: Clock,
    pub door: CfsDoor,
    pub root: PathBuf,
    pub key: SealKey,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Limits { probe_seconds: 1, plan_seconds: 2, ..Limits::default() }).await
    }

    pub async fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("fs");
        std::fs::create_dir_all(&root).unwrap();
        let key = SealKey::new(&[7; 32]).unwrap();
        let url = folder.path().join("db").display().to_string();
        let store = Store::open(&url, &key, store::Options::default()).await.unwrap();
        let clock = Clock::manual(Micros::from_seconds(NOW));
        let control = Control::open(Parts {
            store: store.clone(),
            clock: clock.clone(),
            random: Random::system(),
            trees: Arc::new(Played),
            dispatch: Arc::new(Idle),
            limits,
            data_dir: folder.path().to_owned(),
            seal: key.clone(),
        });
        let door = CfsDoor::new(control.clone(), Settings::default());
        let world = Self { control, store, clock, door, root: root.clone(), key, _folder: folder };
        world.file_system("cfs-44d53b63e", Product::Cfs, root).await;
        world.object_store("cos", Dialect::Cos, "*.cos.ap-guangzhou.myqcloud.com", &["*-1251000004"]).await;
        world
    }

    pub async fn file_system(&self, id: &str, product: Product, root: PathBuf) {
        let fs = FileSystem {
            id: FileSystemId::from(id),
            product,
            root,
            version: "v4.0".into(),
            description: "first".into(),
            capacity_gib: 100,
            bandwidth_mbps: 200,
            region: "ap-guangzhou".into(),
            zone: "ap-guangzhou-3".into(),
            allow_destroy: false,
            origin: Origin::Config,
            created: Timestamp(NOW * 1_000_000),
        };
        self.control.put_file_system(fs).await.unwrap();
    }

    pub async fn object_store(&self, id: &str, dialect: Dialect, host: &str, buckets: &[&str]) {
        let s = ObjectStore {
            id: ObjectStoreId::from(id),
            url: "http://127.0.0.1:1".into(),
            region: if id == "down" { "down" } else { "ap-guangzhou" }.into(),
            dialect,
            path_style: true,
            access_key_id: None,
            secret: None,
            buckets: buckets.iter().map(|b| (*b).to_owned()).collect(),
            hosts: vec![host.to_owned()],
            ca_pem: None,
            origin: Origin::Config,
            created: Timestamp(0),
        };
        self.control.put_object_store(s).await.unwrap();
    }

    /// Asks as the first account.
    pub async fn ask(&self, action: &str, params: Value) -> Result<Value, Fault> {
        self.ask_as("100001", action, params, false).await
    }

    pub async fn ask_as(&self, who: &str, action: &str, params: Value, flat: bool) -> Result<Value, Fault> {
        let mut headers = http::HeaderMap::new();
        headers.insert("host", http::HeaderValue::from_static("127.0.0.1:8480"));
        let call = Call {
            cloud: Cloud::Tencent,
            service: "cfs".into(),
            action: action.into(),
            version: "2019-07-19".into(),
            region: Some("ap-guangzhou".into()),
            caller: Caller { account: who.into(), app_id: "1251000004".into(), operator: false },
            access_key: "AKIDcaller".into(),
            params,
            flattened: flat,
            request_id: "r".into(),
            method: http::Method::POST,
            path: "/".into(),
            query: String::new(),
            headers,
            body: Bytes::new(),
            language: None,
            source: None,
        };
        assert!(self.door.actions().contains(&action));
        Ok(match self.door.call(call).await? {
            Reply::Raw(text) => serde_json::from_slice(&text).unwrap(),
            Reply::Fields(fields) => Value::Object(fields),
            Reply::Rest { .. } | Reply::Noted { .. } => unreachable!("not of this door"),
        })
    }

    /// The code that a request is refused with.
    pub async fn code(&self, action: &str, params: Value) -> String {
        match self.ask(action, params.clone()).await {
            Ok(answer) => panic!("{action} {params} was answered: {answer}"),
            Err(fault) => {
                assert_eq!(fault.http, 200);
                assert!(fault.message.ends_with(['.', ')']) && !fault.message.contains(SECRET), "{fault:?}");
                fault.code.into_owned()
            }
        }
    }

    /// The seed document's request with `change` laid over it; null takes a field away.
    pub fn flow_request(&self, change: Value) -> Value {
        let base = serde_json::json!({
            "FileSystemId": "cfs-44d53b63e",
            "SourceStorageType": "S3_COS",
            "SourceStorageAddress": format!("https://{BUCKET}.cos.ap-guangzhou.myqcloud.com"),
            "SourcePath": "test3",
            "TargetPath": "/cfs/test11",
            "SecretId": KEY,
            "SecretKey": SECRET,
            "DataFlowName": "abctest"
        });
        merged(base, change)
    }

    pub async fn flow(&self, change: Value) -> String {
        let made = self.ask("CreateDataFlow", self.flow_request(change)).await.unwrap();
        made["DataFlowId"].as_str().unwrap().to_owned()
    }

    pub async fn stored(&self, id: &str) -> Task {
        self.store.task(&TaskId::from(id)).await.unwrap().unwrap()
    }

    /// Opens what was sealed.
    pub fn open(&self, sealed: &model::Sealed) -> String {
        self.key.open(Purpose::Credentials, sealed).unwrap()
    }

    /// A worker takes the next task.
    pub async fn claim(&self) -> Task {
        let now = Timestamp(self.clock.now().0);
        self.store.claim_next("w", now, 60_000_000).await.unwrap().unwrap().0
    }

    /// The worker ends it.
    pub async fn finish(&self, task: &Task, finish: Finish) -> Task {
        self.store.finish(&task.id, task.attempt, &finish).await.unwrap()
    }

    pub fn account() -> control::Caller {
        control::Caller::account(AccountId::from("100001"))
    }
}

/// `base` with the fields of `change`; null removes one.
pub fn merged(base: Value, change: Value) -> Value {
    let (Value::Object(base), Value::Object(change)) = (base, change) else { panic!("two objects") };
    let mut all: BTreeMap<String, Value> = base.into_iter().collect();
    for (name, value) in change {
        if value.is_null() {
            all.remove(&name);
        } else {
            all.insert(name, value);
        }
    }
    all.into_iter().collect()
}
