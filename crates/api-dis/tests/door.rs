//! What only a clock that can be moved shows: cursors and partitions that grow too old.
#![allow(clippy::large_futures, clippy::panic, clippy::unwrap_used, clippy::wildcard_imports)]

#[path = "../../control/tests/control/streams.rs"]
mod streams;

use std::sync::Arc;

use api::{Call, Caller, Cloud, Door as _, Fault, Reply};
use api_dis::{DisDoor, Settings};
use async_trait::async_trait;
use bytes::Bytes;
use connector::{Error, ErrorKind, Tree};
use control::{Control, Dispatch, Limits, Parts, Trees};
use http::Method;
use model::*;
use runtime::{Clock, Micros, Random};
use serde_json::{Value, json};
use store::{SealKey, Store};

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

struct World {
    door: DisDoor,
    clock: Clock,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SealKey::new(&[7; 32]).unwrap();
        let url = folder.path().join("db").display().to_string();
        let store = Store::open(&url, &key, store::Options::default()).await.unwrap();
        let clock = Clock::manual(Micros::from_seconds(1_700_000_000));
        let parts = Parts {
            store,
            clock: clock.clone(),
            random: Random::system(),
            trees: Arc::new(NoTrees),
            dispatch: Arc::new(Idle),
            limits: Limits::default(),
            data_dir: folder.path().to_owned(),
            seal: key,
        };
        let control = Control::open_with(parts, Arc::new(streams::FakeStreams::default()));
        Self { door: DisDoor::new(control, Settings::default()), clock, _folder: folder }
    }

    async fn ask(&self, method: Method, path: &str, query: &str, body: Value) -> Result<Value, Fault> {
        let path = format!("/v2/project/{path}");
        let action = self.door.route(&method, &path).unwrap();
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let call = Call {
            cloud: Cloud::Huawei,
            service: "dis".into(),
            action: action.into(),
            version: "v2".into(),
            region: None,
            caller: Caller { account: "me".into(), app_id: "1".into(), operator: false },
            access_key: String::new(),
            params: if body.is_object() && !self.door.takes_raw(action) { body } else { json!({}) },
            flattened: false,
            request_id: "r".into(),
            method,
            path,
            query: query.into(),
            headers: http::HeaderMap::new(),
            body: Bytes::from(text),
            language: None,
            source: None,
        };
        match self.door.call(call).await? {
            Reply::Fields(fields) => Ok(Value::Object(fields)),
            Reply::Raw(text) => Ok(serde_json::from_slice(&text).unwrap()),
            Reply::Rest { status, body, .. } if body.is_empty() => Ok(status.into()),
            Reply::Rest { body, .. } => Ok(serde_json::from_slice(&body).unwrap()),
            Reply::Noted { .. } => panic!("the door has no notes"),
        }
    }

    async fn cursor(&self, partition: u32) -> Result<String, Fault> {
        let query = format!("stream-name=s&partition-id={partition}&cursor-type=TRIM_HORIZON");
        let shown = self.ask(Method::GET, "cursors", &query, Value::Null).await?;
        Ok(shown["partition_cursor"].as_str().unwrap().to_owned())
    }

    async fn get(&self, cursor: &str) -> Result<Value, Fault> {
        let query = format!("partition-cursor={}", api::encode::percent(cursor));
        self.ask(Method::GET, "records", &query, Value::Null).await
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_five_minutes() {
    let w = World::new().await;
    let made = w.ask(Method::POST, "streams", "", json!({"stream_name": "s", "partition_count": 1})).await;
    assert_eq!(made.unwrap(), 201);
    let put = json!({"stream_name": "s", "records": [{"data": "aGk=", "partition_id": "0"}]});
    assert_eq!(w.ask(Method::POST, "records", "", put).await.unwrap()["failed_record_count"], 0);
    let cursor = w.cursor(0).await.unwrap();
    w.clock.advance(300_000_000);
    let got = w.get(&cursor).await.unwrap();
    assert_eq!(got["records"][0]["data"], "aGk=");
    w.clock.advance(1_000_000);
    assert_eq!(w.get(&cursor).await.unwrap_err().code, "DIS.4225");
    // The next one counts from when it was given.
    assert_eq!(w.get(got["next_partition_cursor"].as_str().unwrap()).await.unwrap()["records"], json!([]));
    assert!(cursor.len() <= 512);
}

#[tokio::test]
async fn a_partition_that_expired_gives_nothing() {
    let w = World::new().await;
    w.ask(Method::POST, "streams", "", json!({"stream_name": "s", "partition_count": 2})).await.unwrap();
    w.ask(Method::PUT, "streams/s", "", json!({"stream_name": "s", "target_partition_count": 1}))
        .await
        .unwrap();
    assert!(w.cursor(1).await.is_ok(), "it is closed and can be read");
    w.clock.advance(24 * 3_600_000_000 - 1_000_000);
    let last = w.cursor(1).await.unwrap();
    w.clock.advance(1_000_000);
    assert_eq!(w.cursor(1).await.unwrap_err().code, "DIS.4319");
    assert_eq!(w.get(&last).await.unwrap_err().code, "DIS.4319");
    let shown = w.ask(Method::GET, "streams/s", "", Value::Null).await.unwrap();
    assert_eq!(shown["partitions"][1]["status"], "EXPIRED");
    assert_eq!(
        (&shown["writable_partition_count"], &shown["readable_partition_count"]),
        (&1.into(), &1.into())
    );
}
