//! A door on a real `Control` over SQLite in a temporary folder; clusters, observers and engine are played.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use api::{Call, Caller, Cloud, Door as _, Fault, Reply};
use api_vpc::{Settings, VpcDoor};
use async_trait::async_trait;
use bytes::Bytes;
use connector::records::Problem;
use connector::{Error, ErrorKind, Tree};
use control::{
    Cluster, ClusterTopic, Control, Dispatch, FetchedRecord, GroupOffset, Limits, NewRecord, Observers,
    PartitionEnds, Parts, Produced, ReachedEnd, Streams, TopicConfig, Transformed, Trees, WantedNetwork,
};
use model::{
    Connection, ConnectionId, Credentials, DirectoryEnd, EndKind, FlowLogId, FlowLogState, MetadataDialect,
    ObjectEnd, ObjectStore, Origin, TaskId, Timestamp,
};
use runtime::{Clock, Micros, Random};
use serde_json::Value;
use store::{SealKey, Store};

/// 2023-11-14 22:13:20 UTC.
pub const NOW: i64 = 1_700_000_000;

fn no<T>() -> connector::Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "nothing here asks for that"))
}

/// Trees, engine, clusters, observers: all of them played.
#[derive(Default)]
pub struct Played {
    /// What becomes of the question whether a resource can be observed.
    pub observe: Mutex<Option<ErrorKind>>,
    /// The cluster does not answer.
    pub down: Mutex<bool>,
    pub live: Mutex<Option<FlowLogState>>,
}

#[async_trait]
impl Observers for Played {
    async fn check(&self, wanted: &WantedNetwork) -> connector::Result<()> {
        if let Some(kind) = *self.observe.lock().unwrap() {
            return Err(Error::new(kind, "it can't be observed"));
        }
        let known = ["eni-12345678", "subnet-1", "vpc-12345678", "nat-1", "ccn-1", "dcg-1"];
        if known.contains(&wanted.resource.as_str()) && ["", "vpc-12345678"].contains(&wanted.vpc.as_str()) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, "it is not in the catalogue"))
    }

    fn live(&self, _: &FlowLogId) -> Option<FlowLogState> {
        self.live.lock().unwrap().clone()
    }
}

impl Dispatch for Played {
    fn wake(&self) {}
    fn signal(&self, _: &TaskId) {}
}

#[async_trait]
impl Trees for Played {
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

#[async_trait]
impl Streams for Played {
    fn check_connection(&self, _: EndKind, _: &str) -> Vec<Problem> {
        Vec::new()
    }

    fn check_source(&self, _: EndKind, _: &str) -> Vec<Problem> {
        Vec::new()
    }

    fn check_sink(&self, _: EndKind, _: &str) -> Vec<Problem> {
        Vec::new()
    }

    fn check_transform(&self, _: &str) -> Vec<Problem> {
        Vec::new()
    }

    fn transform(&self, _: &str, _: &str, _: Vec<NewRecord>) -> connector::Result<Vec<Transformed>> {
        no()
    }

    async fn probe(&self, _: &ReachedEnd) -> connector::Result<()> {
        no()
    }

    fn own_address(&self) -> String {
        String::new()
    }

    async fn topics(&self, _: &Cluster, names: Option<&[String]>) -> connector::Result<Vec<ClusterTopic>> {
        if *self.down.lock().unwrap() {
            return Err(Error::new(ErrorKind::Unavailable, "the cluster does not answer"));
        }
        let there = |n: &&String| ["flows", "12345-flows"].contains(&n.as_str());
        let topic =
            |n: &String| ClusterTopic { name: n.clone(), partitions: 1, replicas: 1, internal: false };
        Ok(names.unwrap_or_default().iter().filter(there).map(topic).collect())
    }

    async fn create_topic(
        &self,
        _: &Cluster,
        _: &str,
        _: u32,
        _: &BTreeMap<String, String>,
    ) -> connector::Result<()> {
        no()
    }

    async fn grow_topic(&self, _: &Cluster, _: &str, _: u32) -> connector::Result<()> {
        no()
    }

    async fn delete_topic(&self, _: &Cluster, _: &str) -> connector::Result<()> {
        no()
    }

    async fn configure_topic(
        &self,
        _: &Cluster,
        _: &str,
        _: &BTreeMap<String, String>,
    ) -> connector::Result<()> {
        no()
    }

    async fn topic_configs(&self, _: &Cluster, _: &str) -> connector::Result<Vec<TopicConfig>> {
        no()
    }

    async fn ends(&self, _: &Cluster, _: &str) -> connector::Result<Vec<PartitionEnds>> {
        no()
    }

    async fn offsets_at(
        &self,
        _: &Cluster,
        _: &str,
        _: &[(i32, i64)],
    ) -> connector::Result<Vec<Option<i64>>> {
        no()
    }

    async fn groups(&self, _: &Cluster) -> connector::Result<Vec<String>> {
        no()
    }

    async fn group_offsets(&self, _: &Cluster, _: &str, _: &str) -> connector::Result<Vec<GroupOffset>> {
        no()
    }

    async fn commit_offsets(&self, _: &Cluster, _: &str, _: &str, _: &[(i32, i64)]) -> connector::Result<()> {
        no()
    }

    async fn fetch(
        &self,
        _: &Cluster,
        _: &str,
        _: (i32, i64),
        _: u32,
    ) -> connector::Result<Vec<FetchedRecord>> {
        no()
    }

    async fn produce(&self, _: &Cluster, _: &str, _: Vec<NewRecord>) -> connector::Result<Vec<Produced>> {
        no()
    }
}

pub struct World {
    pub control: Control,
    pub store: Store,
    pub clock: Clock,
    pub played: Arc<Played>,
    door: VpcDoor,
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
        let played = Arc::new(Played::default());
        let parts = Parts {
            store: store.clone(),
            clock: clock.clone(),
            random: Random::system(),
            trees: played.clone(),
            dispatch: played.clone(),
            limits,
            data_dir: folder.path().to_owned(),
            seal: key,
        };
        let control = Control::open_with(parts, played.clone());
        control.set_observers(played.clone());
        for (id, kind) in [("ckafka-1", EndKind::Kafka), ("es-1", EndKind::Elastic)] {
            let declared = Connection {
                id: ConnectionId::from(id),
                account: None,
                name: id.to_owned(),
                description: String::new(),
                kind: Some(kind),
                product: String::new(),
                address: String::new(),
                secret: None,
                attributes: BTreeMap::new(),
                tags: BTreeMap::new(),
                origin: Origin::Config,
                created: Timestamp(0),
            };
            control.declare_connection(declared).await.unwrap();
        }
        let door = VpcDoor::new(control.clone(), Settings::default());
        Self { control, store, clock, played, door, _folder: folder }
    }

    /// Asks as the first account; the answer and its header.
    pub async fn reply(&self, who: &str, action: &str, params: Value, flat: bool) -> Result<Reply, Fault> {
        let call = Call {
            cloud: Cloud::Tencent,
            service: "vpc".into(),
            action: action.into(),
            version: "2017-03-12".into(),
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
        self.door.call(call).await
    }

    pub async fn ask_as(&self, who: &str, action: &str, params: Value, flat: bool) -> Result<Value, Fault> {
        Ok(match self.reply(who, action, params, flat).await? {
            Reply::Noted { reply, .. } => fields(*reply),
            reply => fields(reply),
        })
    }

    pub async fn ask(&self, action: &str, params: Value) -> Result<Value, Fault> {
        self.ask_as("100001", action, params, false).await
    }

    pub async fn ok(&self, action: &str, params: Value) -> Value {
        match self.ask(action, params.clone()).await {
            Ok(answer) => answer,
            Err(fault) => panic!("{action} {params}: {} {}", fault.code, fault.message),
        }
    }

    /// The code that a request is refused with.
    pub async fn code(&self, action: &str, params: Value) -> String {
        match self.ask(action, params.clone()).await {
            Ok(answer) => panic!("{action} {params} was answered: {answer}"),
            Err(fault) => {
                assert!(fault.http == 200 && fault.message.ends_with('.'), "{fault:?}");
                fault.code.into_owned()
            }
        }
    }

    /// Makes a flow log and gives its id.
    pub async fn log(&self, change: Value) -> String {
        let made = self.ok("CreateFlowLog", request(change)).await;
        made["FlowLog"][0]["FlowLogId"].as_str().unwrap().to_owned()
    }
}

fn fields(reply: Reply) -> Value {
    match reply {
        Reply::Raw(text) => serde_json::from_slice(&text).unwrap(),
        Reply::Fields(fields) => Value::Object(fields),
        Reply::Rest { .. } | Reply::Noted { .. } => unreachable!("not of this door"),
    }
}

/// A request for a flow log of a device, with `change` laid over it; null removes a field.
pub fn request(change: Value) -> Value {
    let mut all = serde_json::json!({
        "FlowLogName": "test", "ResourceType": "NETWORKINTERFACE", "ResourceId": "eni-12345678", "TrafficType": "ALL",
        "VpcId": "vpc-12345678", "FlowLogDescription": "words", "StorageType": "ckafka",
        "FlowLogStorage": {"StorageId": "ckafka-1", "StorageTopic": "flows"},
        "Tags": [{"Key": "city", "Value": "shanghai"}],
    });
    let fields = all.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    all
}
