//! The databases that every test runs over: SQLite always, PostgreSQL where one can be had (the URL in
//! `WHARF_TEST_POSTGRES`, or a private cluster made with Debian's binaries).

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use store::{Options, SealKey, Store};
use tempfile::TempDir;

/// A fresh, empty database.
pub struct Database {
    pub url: String,
    pub name: &'static str,
    _dir: Option<TempDir>,
}

pub fn key() -> SealKey {
    SealKey::new(&[7; 32]).unwrap()
}

impl Database {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("state.db").display());
        Self { url, name: "sqlite", _dir: Some(dir) }
    }

    pub fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cluster = cluster()?;
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let made =
            Command::new("psql").arg(&cluster.url).args(["-qc", &format!("CREATE DATABASE {name}")]).status();
        assert!(made.unwrap().success(), "psql could not make a database");
        Some(Self {
            url: cluster.url.replacen("localhost/postgres", &format!("localhost/{name}"), 1),
            name: "postgresql",
            _dir: None,
        })
    }

    /// One of each kind that can be had.
    pub fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite()];
        all.extend(Self::postgres());
        all
    }

    pub async fn open(&self) -> Store {
        self.open_with(Options::default()).await
    }

    pub async fn open_with(&self, options: Options) -> Store {
        Store::open(&self.url, &key(), options).await.unwrap()
    }
}

struct Cluster {
    url: String,
    /// Its standard input ends with this process, which stops the server and removes its folder.
    _server: Option<Child>,
}

fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER
        .get_or_init(|| match start() {
            Ok(cluster) => Some(cluster),
            Err(why) => {
                println!("SKIPPED: postgresql: {why}");
                None
            }
        })
        .as_ref()
}

fn binaries() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|e| e.path().join("bin"))
        .filter(|p| p.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

fn start() -> Result<Cluster, String> {
    if let Ok(url) = std::env::var("WHARF_TEST_POSTGRES") {
        return Ok(Cluster { url, _server: None });
    }
    let bin = binaries().ok_or("no WHARF_TEST_POSTGRES and no /usr/lib/postgresql/*/bin")?;
    let dir = tempfile::Builder::new().prefix("wharf-pg-").tempdir().map_err(|e| e.to_string())?.keep();
    let script = script(&bin, &dir);
    let mut server = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut line = String::new();
    if let Some(out) = server.stdout.take() {
        let _ = BufReader::new(out).read_line(&mut line);
    }
    if line.trim() != "ready" {
        return Err(format!("no private cluster could be started in {}", dir.display()));
    }
    let url = format!("postgres://postgres@localhost/postgres?host={}", dir.display());
    Ok(Cluster { url, _server: Some(server) })
}

/// Makes a cluster, says `ready`, waits for the end of its input, stops and cleans up. PostgreSQL refuses
/// to run as root.
fn script(bin: &Path, dir: &Path) -> String {
    let (bin, dir) = (bin.display(), dir.display());
    format!(
        r#"
        as() {{ if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }}
        trap '' INT TERM
        cd / && {{ [ "$(id -u)" != 0 ] || chown postgres {dir}; }} &&
        as {bin}/initdb -D {dir}/data -A trust -U postgres --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null &&
        as {bin}/pg_ctl -D {dir}/data -w -l {dir}/log \
            -o "-k {dir} -c listen_addresses= -c fsync=off -c max_connections=200" start >/dev/null &&
        echo ready
        cat >/dev/null
        as {bin}/pg_ctl -D {dir}/data -m immediate stop >/dev/null
        rm -rf {dir}
        "#
    )
}

/// Runs statements behind the store's back.
pub async fn sql(url: &str, statements: &[&'static str]) {
    use sqlx::Connection;
    if url.starts_with("sqlite:") {
        let mut c = sqlx::SqliteConnection::connect(url).await.unwrap();
        for sql in statements {
            sqlx::query(*sql).execute(&mut c).await.unwrap();
        }
        c.close().await.unwrap();
    } else {
        let mut c = sqlx::PgConnection::connect(url).await.unwrap();
        for sql in statements {
            sqlx::query(*sql).execute(&mut c).await.unwrap();
        }
        c.close().await.unwrap();
    }
}
