//! A cluster to test against: the embedded broker in this process, or the one that `WHARF_TEST_KAFKA` names.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use broker::{Access, Broker, Settings};
use connector::records::{Context, Endpoint, Secret};
use connector_kafka::{KafkaAdmin, TopicSpec};
use runtime::{ByteBudget, Clock, Random, TaskKind};

pub const WAIT: Duration = Duration::from_secs(10);

pub struct Cluster {
    pub boot: String,
    embedded: Option<Embedded>,
}

struct Embedded {
    dir: tempfile::TempDir,
    running: Option<(tokio::runtime::Runtime, Broker)>,
    users: HashMap<String, String>,
}

struct Users(HashMap<String, String>);

#[async_trait]
impl broker::Users for Users {
    async fn password(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

impl Cluster {
    /// Any cluster.
    pub fn any() -> Self {
        match std::env::var("WHARF_TEST_KAFKA") {
            Ok(boot) => Self { boot, embedded: None },
            Err(_) => Self::embedded(&[]),
        }
    }

    /// The embedded broker, whatever is set.
    pub fn embedded(users: &[(&str, &str)]) -> Self {
        let users = users.iter().map(|(n, p)| ((*n).to_owned(), (*p).to_owned())).collect();
        let mut embedded = Embedded { dir: tempfile::tempdir().unwrap(), running: None, users };
        let port = embedded.start(0);
        Self { boot: format!("127.0.0.1:{port}"), embedded: Some(embedded) }
    }

    /// Stops the broker, and starts it again on the same port.
    pub fn restart(&mut self) {
        let port = self.boot.rsplit_once(':').unwrap().1.parse().unwrap();
        let embedded = self.embedded.as_mut().unwrap();
        embedded.stop();
        embedded.start(port);
    }

    /// Deletes the records before `offset`, if the broker is the embedded one.
    pub fn delete_before(&self, topic: &str, offset: i64) -> bool {
        let broker = self.embedded.as_ref().and_then(|e| e.running.as_ref()).map(|(_, broker)| broker);
        broker.map(|b| b.delete_before(topic, 0, offset).unwrap()).is_some()
    }

    /// Where the broker keeps its records, if it is the embedded one.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.embedded.as_ref().map(|e| e.dir.path())
    }

    pub fn endpoint(&self, options: &str) -> Endpoint {
        let connection = format!(r#"{{"bootstrap":"{}"}}"#, self.boot);
        Endpoint { connection, secret: None, options: options.to_owned() }
    }

    pub fn login(&self, mechanism: &str, user: &str, password: &str, options: &str) -> Endpoint {
        let connection = format!(
            r#"{{"bootstrap":"{}","security":"sasl_plaintext","mechanism":"{mechanism}","user":"{user}"}}"#,
            self.boot
        );
        Endpoint { connection, secret: Some(Secret(password.into())), options: options.to_owned() }
    }

    pub fn admin(&self) -> KafkaAdmin {
        KafkaAdmin::new(&self.endpoint("")).unwrap()
    }

    /// Makes a topic, and waits until it is seen.
    pub fn make(&self, spec: &TopicSpec) {
        let admin = self.admin();
        admin.create_topic(spec, WAIT).unwrap();
        while admin.topic(&spec.name, WAIT).unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes a topic whose name nobody else has.
    pub fn topic(&self, start: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
        let name = unique(start);
        let settings = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let spec = TopicSpec { name: name.clone(), partitions: Some(partitions), settings };
        self.make(&spec);
        name
    }
}

impl Embedded {
    fn start(&mut self, port: u16) -> u16 {
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (data, users) = (self.dir.path().to_owned(), self.users.clone());
        let (broker, port) = threads.block_on(async move {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let users = (!users.is_empty()).then(|| Arc::new(Users(users)) as Arc<dyn broker::Users>);
            let access = Access { advertised: ("127.0.0.1".into(), port), tls: None, users };
            let broker = Broker::open(Settings::new(data), Clock::system()).await.unwrap();
            let serving = broker.clone();
            runtime::spawn(TaskKind::Accept, async move { serving.serve(listener, access).await });
            (broker, port)
        });
        self.running = Some((threads, broker));
        port
    }

    fn stop(&mut self) {
        if let Some((threads, broker)) = self.running.take() {
            threads.block_on(broker.close());
            drop(broker);
            threads.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(embedded) = &mut self.embedded {
            embedded.stop();
        }
    }
}

pub fn unique(start: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{start}-{}-{number}", std::process::id())
}

pub fn context(pipeline: &str, lane: u32) -> Context {
    Context {
        pipeline: pipeline.to_owned(),
        lane,
        clock: Clock::system(),
        random: Random::system(),
        budget: ByteBudget::new(64 << 20),
    }
}
