//! SeaweedFS, if it is on this machine.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use connector_object::{Client, Endpoint, Site};

pub struct Weed {
    child: Option<Child>,
    _dir: Option<tempfile::TempDir>,
    url: String,
}

fn binary() -> Option<PathBuf> {
    if let Some(p) = std::env::var_os("WHARF_TEST_WEED") {
        return Some(p.into());
    }
    let mut dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    while dir.pop() {
        let weed = dir.join(".cache/venv/bin/weed");
        if weed.exists() {
            return Some(weed);
        }
    }
    None
}

fn free_port() -> u16 {
    // SeaweedFS adds 10,000 for its gRPC ports.
    for _ in 0..100 {
        let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let p = l.local_addr().unwrap().port();
        let p = p % 20_000 + 20_000;
        let free = |p: u16| std::net::TcpListener::bind(("127.0.0.1", p)).is_ok();
        if free(p) && free(p + 10_000) {
            return p;
        }
    }
    panic!("no free port");
}

impl Weed {
    /// Starts one, or says on stderr why not. `WHARF_TEST_S3` (a URL) names one that runs already, with
    /// the key pair of these tests.
    pub async fn start() -> Option<Self> {
        if let Ok(url) = std::env::var("WHARF_TEST_S3") {
            return Some(Self { child: None, _dir: None, url });
        }
        let Some(weed) = binary() else {
            eprintln!("SKIPPED: no SeaweedFS (weed) in .cache/venv and no WHARF_TEST_WEED or WHARF_TEST_S3");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("s3.json");
        let keys = format!(r#"{{"accessKey":"{}","secretKey":"{}"}}"#, super::ACCESS_KEY, super::SECRET_KEY);
        let text = format!(
            r#"{{"identities":[{{"name":"t","credentials":[{keys}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
        );
        std::fs::write(&config, text).unwrap();
        let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(weed)
            .arg("mini")
            .arg(format!("-dir={}", dir.path().display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false"])
            .arg(format!("-s3.config={}", config.display()))
            .arg(format!("-s3.port={}", ports[0]))
            .arg(format!("-master.port={}", ports[1]))
            .arg(format!("-volume.port={}", ports[2]))
            .arg(format!("-filer.port={}", ports[3]))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let weed =
            Self { child: Some(child), _dir: Some(dir), url: format!("http://127.0.0.1:{}", ports[0]) };
        for _ in 0..120 {
            if Client::new(&weed.site(|e| e.max_retries = 0)).create_bucket("ready").await.is_ok() {
                return Some(weed);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("SeaweedFS did not start");
    }

    pub fn site(&self, change: impl FnOnce(&mut Endpoint)) -> Arc<Site> {
        let mut e = Endpoint::new(self.url.clone(), "us-east-1", super::credentials());
        change(&mut e);
        e.check().unwrap()
    }

    /// A bucket that is new.
    pub async fn bucket(&self, name: &str) -> String {
        let name = format!("{name}-{}", runtime::Random::system().hex(8));
        Client::new(&self.site(|_| {})).create_bucket(&name).await.unwrap();
        name
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        if let Some(c) = &mut self.child {
            let _ = c.kill();
            let _ = c.wait();
        }
    }
}
