//! A real OpenSearch: one node, started from the jars that `scripts/opensearch/fetch.sh` fetches, or that `WHARF_TEST_OPENSEARCH` points at.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use http_pool::{Address, Call, Pool, Remote};
use serde_json::Value;

pub struct Node {
    folder: PathBuf,
    jars: PathBuf,
    ports: (u16, u16),
    child: Option<Child>,
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Node {
    /// A started node, or why there is none.
    pub async fn start(name: &str) -> Result<Self, String> {
        let jars = std::env::var_os("WHARF_TEST_OPENSEARCH")
            .map_or_else(|| root().join(".cache/opensearch/lib"), PathBuf::from);
        if !jars.is_dir() {
            return Err("no OpenSearch: scripts/opensearch/fetch.sh fetches it (needs maven)".to_owned());
        }
        if Command::new("java").arg("-version").stderr(Stdio::null()).status().is_err() {
            return Err("no java".to_owned());
        }
        let folder = std::env::temp_dir().join(format!("wharf-opensearch-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("config")).unwrap();
        let logging = "rootLogger.level=WARN\nrootLogger.appenderRef.c.ref=C\nappender.c.type=Console\nappender.c.name=C\nappender.c.layout.type=PatternLayout\n";
        std::fs::write(folder.join("log4j2.properties"), logging).unwrap();
        let mut node = Self { folder, jars, ports: (free_port(), free_port()), child: None };
        node.again().await;
        Ok(node)
    }

    /// Starts the process (again) and waits until it answers.
    pub async fn again(&mut self) {
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let child = Command::new("java")
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Dlog4j2.configurationFile={}/log4j2.properties", self.folder.display()))
            .arg("-cp")
            .arg(format!("{}/*", self.jars.display()))
            .arg(root().join("scripts/opensearch/Peer.java"))
            .arg(&self.folder)
            .args([self.ports.0.to_string(), self.ports.1.to_string()])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let end = Instant::now() + Duration::from_secs(120);
        while self.try_ask(Method::GET, "/_cluster/health", "").await.is_none() {
            assert!(Instant::now() < end, "{}", std::fs::read_to_string(self.folder.join("log")).unwrap());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.0)
    }

    async fn try_ask(&self, method: Method, path: &str, body: &str) -> Option<Value> {
        let address = Address::parse(&self.url()).unwrap();
        let time = Duration::from_secs(20);
        let pool = Pool::new(Remote { address, tls: None, authorization: None, connect: time, idle: time });
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer = pool.call(Call { method, path, headers: &headers, body, limit: 64 << 20 }).await.ok()?;
        answer.is_success().then(|| serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    pub async fn ask(&self, method: Method, path: &str, body: &str) -> Value {
        self.try_ask(method, path, body).await.unwrap_or_else(|| panic!("{path} failed"))
    }

    /// All documents of an index: id and source.
    pub async fn documents(&self, index: &str) -> std::collections::BTreeMap<String, Value> {
        self.ask(Method::POST, &format!("/{index}/_refresh"), "").await;
        let mut all = std::collections::BTreeMap::new();
        let mut page =
            self.ask(Method::POST, &format!("/{index}/_search?scroll=1m"), r#"{"size":5000}"#).await;
        loop {
            let hits = page["hits"]["hits"].as_array().unwrap().clone();
            if hits.is_empty() {
                return all;
            }
            for hit in hits {
                all.insert(hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone());
            }
            let next = serde_json::json!({"scroll": "1m", "scroll_id": page["_scroll_id"]}).to_string();
            page = self.ask(Method::POST, "/_search/scroll", &next).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
