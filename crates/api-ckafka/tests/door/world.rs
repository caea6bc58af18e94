//! A door on a real `Control` over SQLite in a temporary folder; connectors, clusters and engine are played.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{Call, Caller, Cloud, Door as _, Fault, Reply};
use api_ckafka::{CkafkaDoor, Settings};
use async_trait::async_trait;
use bytes::Bytes;
use connector::{Error, ErrorKind, Tree};
use control::{Control, Dispatch, Limits, Parts, Trees};
use model::{
    AccountId, Connection, ConnectionId, Credentials, Dialect, DirectoryEnd, EndKind, MetadataDialect,
    ObjectEnd, ObjectStore, ObjectStoreId, Origin, Pipeline, PipelineId, TaskId, Timestamp,
};
use runtime::{Clock, Micros, Random};
use serde_json::{Value, json};
use store::{Purpose, SealKey, Store};

use crate::streams::Played;

/// 2023-11-14 22:13:20 UTC.
pub const NOW: i64 = 1_700_000_000;
pub const SECRET: &str = "very-secret-word";
/// The address of the cluster that the seed document names.
pub const CLUSTER: &str = r#"{"bootstrap":"10.0.0.1:9092"}"#;
pub const OTHER: &str = r#"{"bootstrap":"10.0.0.2:9092"}"#;

struct NoTrees;

fn no<T>() -> connector::Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "nothing here asks for that"))
}

#[async_trait]
impl Trees for NoTrees {
    async fn object(
        &self,
        _: &ObjectEnd,
        _: Option<&Credentials>,
        _: MetadataDialect,
    ) -> connector::Result<Arc<dyn Tree>> {
        no()
    }

    fn directory(&self, _: &DirectoryEnd) -> connector::Result<Arc<dyn Tree>> {
        no()
    }

    fn empty(&self, _: &DirectoryEnd) -> connector::Result<u64> {
        no()
    }

    fn count(&self, _: &DirectoryEnd) -> connector::Result<(u64, u64)> {
        no()
    }

    async fn buckets(&self, _: &ObjectStore, _: Option<&Credentials>) -> connector::Result<Vec<String>> {
        no()
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
    pub door: CkafkaDoor,
    pub streams: Arc<Played>,
    pub key: SealKey,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SealKey::new(&[7; 32]).unwrap();
        let url = folder.path().join("db").display().to_string();
        let store = Store::open(&url, &key, store::Options::default()).await.unwrap();
        let clock = Clock::manual(Micros::from_seconds(NOW));
        let streams = Played::new();
        let parts = Parts {
            store: store.clone(),
            clock: clock.clone(),
            random: Random::system(),
            trees: Arc::new(NoTrees),
            dispatch: Arc::new(Idle),
            limits,
            data_dir: folder.path().to_owned(),
            seal: key.clone(),
        };
        let control = Control::open_with(parts, streams.clone());
        let door = CkafkaDoor::new(control.clone(), Settings::default());
        let world = Self { control, store, clock, door, streams, key, _folder: folder };
        world.declare().await;
        world
    }

    /// What the operator of the seed document's server has registered, and a little more.
    async fn declare(&self) {
        for (id, kind, product, address, words) in [
            ("ckafka-7kd5rzza", EndKind::Kafka, "KAFKA", CLUSTER, json!({})),
            ("ckafka-other", EndKind::Kafka, "KAFKA", OTHER, json!({})),
            ("resource-test", EndKind::Elastic, "ES", r#"{"url":"http://10.0.0.3:9200"}"#, json!({})),
            (
                "target-resource",
                EndKind::Bucket,
                "COS",
                r#"{"url":"http://10.0.0.4","region":"r","dialect":"cos","path_style":true}"#,
                json!({"bucket": "events-1251000004", "prefix": "in/"}),
            ),
            (
                "es-bus",
                EndKind::Elastic,
                "ES",
                r#"{"url":"http://10.0.0.3:9200"}"#,
                json!({"index": "events"}),
            ),
            ("es-silent", EndKind::Elastic, "ES", r#"{"url":"http://10.0.0.3:9200"}"#, json!({})),
            ("scf", EndKind::Function, "SCF", r#"{"url":"http://10.0.0.5/call"}"#, json!({})),
            ("my-function", EndKind::Function, "SCF", r#"{"url":"http://10.0.0.6/call"}"#, json!({})),
        ] {
            self.connection(id, Some(kind), product, address, words).await;
        }
        for (cluster, topic) in [(CLUSTER, "topic-test"), (CLUSTER, "dead"), (OTHER, "copy")] {
            self.streams.topic(cluster, topic, 3);
        }
        let store = ObjectStore {
            id: ObjectStoreId::from("cos"),
            url: "http://127.0.0.1:1".into(),
            region: "ap-guangzhou".into(),
            dialect: Dialect::Cos,
            path_style: true,
            access_key_id: None,
            secret: None,
            buckets: vec!["*-1251000004".to_owned()],
            hosts: Vec::new(),
            ca_pem: None,
            origin: Origin::Config,
            created: Timestamp(0),
        };
        self.control.put_object_store(store).await.unwrap();
        self.ask(
            "CreateDatahubTopic",
            json!({"Name": "12345-xxx", "PartitionNum": 3, "RetentionMs": 3_600_000}),
        )
        .await
        .unwrap();
    }

    pub async fn connection(
        &self,
        id: &str,
        kind: Option<EndKind>,
        product: &str,
        address: &str,
        words: Value,
    ) {
        let words = words.as_object().unwrap().iter();
        let declared = Connection {
            id: ConnectionId::from(id),
            account: None,
            name: id.to_owned(),
            description: String::new(),
            kind,
            product: product.to_owned(),
            address: address.to_owned(),
            secret: None,
            attributes: words.map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect(),
            tags: BTreeMap::new(),
            origin: Origin::Config,
            created: Timestamp(NOW * 1_000_000),
        };
        self.control.declare_connection(declared).await.unwrap();
    }

    /// Asks as the first account.
    pub async fn ask(&self, action: &str, params: Value) -> Result<Value, Fault> {
        self.ask_as("100001", action, params, false).await
    }

    pub async fn ask_as(&self, who: &str, action: &str, params: Value, flat: bool) -> Result<Value, Fault> {
        let call = Call {
            cloud: Cloud::Tencent,
            service: "ckafka".into(),
            action: action.into(),
            version: "2019-08-19".into(),
            region: Some("ap-guangzhou".into()),
            caller: Caller { account: who.into(), app_id: "12345".into(), operator: false },
            access_key: "AKIDcaller".into(),
            params,
            flattened: flat,
            request_id: "r".into(),
            method: http::Method::POST,
            path: "/".into(),
            query: String::new(),
            headers: http::HeaderMap::new(),
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

    /// `Result` of an answer.
    pub async fn result(&self, action: &str, params: Value) -> Value {
        match self.ask(action, params.clone()).await {
            Ok(mut answer) => answer["Result"].take(),
            Err(fault) => panic!("{action} {params}: {} {}", fault.code, fault.message),
        }
    }

    /// The fault that a request is refused with.
    pub async fn fault(&self, action: &str, params: Value) -> Fault {
        match self.ask(action, params.clone()).await {
            Ok(answer) => panic!("{action} {params} was answered: {answer}"),
            Err(fault) => {
                assert_eq!(fault.http, 200);
                assert!(fault.message.ends_with('.') && !fault.message.contains(SECRET), "{fault:?}");
                fault
            }
        }
    }

    /// Its code.
    pub async fn code(&self, action: &str, params: Value) -> String {
        self.fault(action, params).await.code.into_owned()
    }

    /// A task from the seed's topic to `target`, with `change` laid over the request.
    pub fn sink_request(&self, target: Value, change: Value) -> Value {
        let base = json!({
            "TaskName": "MyTaskName",
            "TaskType": "SINK",
            "SourceResource": {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-7kd5rzza",
                "Topic": "topic-test", "OffsetType": "earliest"}},
            "TargetResource": target
        });
        merged(base, change)
    }

    /// A plain task from topic to topic.
    pub fn copy_request(&self, change: Value) -> Value {
        let target = json!({"Type": "KAFKA", "KafkaParam": {"SelfBuilt": false, "Resource": "ckafka-other",
            "Topic": "copy"}});
        self.sink_request(target, change)
    }

    /// Makes a task and gives its id.
    pub async fn task(&self, request: Value) -> String {
        let made = self.result("CreateDatahubTask", request).await;
        made["TaskId"].as_str().unwrap().to_owned()
    }

    pub async fn stored(&self, id: &str) -> Pipeline {
        self.control.pipeline(&Self::account(), &PipelineId::from(id)).await.unwrap()
    }

    /// The options of a stored task's destination.
    pub async fn sink_options(&self, id: &str) -> Value {
        serde_json::from_str(&self.stored(id).await.sink.options).unwrap()
    }

    /// Makes a connection and gives its id.
    pub async fn connect(&self, name: &str, kind: &str, param: &str, fields: Value) -> String {
        let mut request = json!({"ResourceName": name, "Type": kind});
        if !param.is_empty() {
            request[param] = fields;
        }
        let made = self.result("CreateConnectResource", request).await;
        made["ResourceId"].as_str().unwrap().to_owned()
    }

    /// Opens what was sealed.
    pub fn open(&self, sealed: &model::Sealed) -> String {
        self.key.open(Purpose::Credentials, sealed).unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0)
    }

    /// A worker takes everything that waits, and is at work.
    pub async fn work(&self) {
        while let Some(p) = self.store.claim_pipeline("w", self.now(), 60_000_000).await.unwrap() {
            self.store.pipeline_began(&p.id, p.attempt, self.now()).await.unwrap();
        }
    }

    /// The worker brings its pipeline to rest.
    pub async fn rest(&self, id: &str) {
        let p = self.stored(id).await;
        self.store.rest_pipeline(&p.id, p.attempt, self.now()).await.unwrap();
    }

    pub async fn status(&self, id: &str) -> i64 {
        self.result("DescribeDatahubTask", json!({ "TaskId": id })).await["Status"].as_i64().unwrap()
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
