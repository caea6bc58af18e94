//! Real servers for tests: started on free ports in a folder of their own, killed when dropped.
//!
//! A peer that isn't installed is an `Err(reason)`; a test prints `SKIPPED: {reason}` and returns. All
//! of it blocks; call it outside of async code or on the blocking pool.

mod mariadb;

pub use mariadb::{MariaDb, mariadb};

use crate::s3::{Client, Request};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A process that is killed, with its whole group, when dropped.
#[derive(Debug)]
struct Server {
    child: Child,
    // Dropped after the child was killed.
    dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            signal(-pid, libc::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Signals a process, or the group of one when the number is negative.
#[allow(unsafe_code, reason = "std can't do it; kill(2) takes two numbers")]
fn signal(pid: i32, number: i32) {
    unsafe {
        libc::kill(pid, number);
    }
}

impl Server {
    fn start(mut command: Command, dir: TempDir) -> Result<Self, String> {
        let log = std::fs::File::create(dir.path().join("server.log")).map_err(|e| e.to_string())?;
        let twin = log.try_clone().map_err(|e| e.to_string())?;
        let program = command.get_program().to_string_lossy().into_owned();
        let started = command.stdin(Stdio::null()).stdout(log).stderr(twin).process_group(0).spawn();
        Ok(Self { child: started.map_err(|e| format!("can't start {program}: {e}"))?, dir })
    }

    /// Starts another process in the place of one that has ended.
    fn again(&mut self, mut command: Command) -> Result<(), String> {
        let log = self.dir.path().join("server.log");
        let log = std::fs::File::options().append(true).open(log).map_err(|e| e.to_string())?;
        let twin = log.try_clone().map_err(|e| e.to_string())?;
        let started = command.stdin(Stdio::null()).stdout(log).stderr(twin).process_group(0).spawn();
        self.child = started.map_err(|e| format!("can't start it again: {e}"))?;
        Ok(())
    }

    /// Waits until `ready` says yes.
    fn wait(&mut self, what: &str, patience: Duration, ready: impl Fn() -> bool) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{what} ended with {status}: {}", self.last_words()));
            }
            if ready() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("{what} was not ready after {patience:?}: {}", self.last_words()))
    }

    fn last_words(&self) -> String {
        let log = std::fs::read(self.dir.path().join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(800)..]).into_owned()
    }
}

/// A SeaweedFS with its S3 gateway, signatures on.
#[derive(Debug)]
pub struct Seaweed {
    /// `http://127.0.0.1:port`
    pub url: String,
    /// Access key.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
    /// A client that is not the one under test.
    pub client: Client,
    _server: Server,
}

/// A SeaweedFS that also is an Iceberg REST catalogue, with the bucket `lake` for tables.
#[derive(Debug)]
pub struct Lake {
    /// The store.
    pub weed: Seaweed,
    /// `http://127.0.0.1:port` of the catalogue. The store's keys are a client's id and secret.
    pub catalogue: String,
}

/// Starts SeaweedFS: `WHARF_TEST_WEED`, or `weed` of the test environment in `.cache/venv`.
///
/// # Errors
/// Why there is none.
pub fn seaweedfs() -> Result<Seaweed, String> {
    weed(0).map(|(weed, _)| weed)
}

/// Starts SeaweedFS with its Iceberg catalogue.
///
/// # Errors
/// Why there is none.
pub fn seaweedfs_lake() -> Result<Lake, String> {
    let [port] = free_ports()?;
    let (weed, master) = weed(port)?;
    let program = program("WHARF_TEST_WEED", &[workspace().join(".cache/venv/bin/weed")])?;
    let mut shell = Command::new(program);
    shell.arg("shell").arg(format!("-master=127.0.0.1:{master}"));
    let mut shell = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    if let Some(mut stdin) = shell.stdin.take() {
        use std::io::Write as _;
        let text = "s3tables.bucket -create -name lake -account 000000000000\n";
        stdin.write_all(text.as_bytes()).map_err(|e| e.to_string())?;
    }
    shell.wait().map_err(|e| e.to_string())?;
    Ok(Lake { weed, catalogue: format!("http://127.0.0.1:{port}") })
}

/// Starts it with a catalogue on this port, or none for 0. Also returns the master's port.
fn weed(catalogue: u16) -> Result<(Seaweed, u16), String> {
    let program = program("WHARF_TEST_WEED", &[workspace().join(".cache/venv/bin/weed")])?;
    let dir = tempfile::Builder::new().prefix("weed-").tempdir().map_err(|e| e.to_string())?;
    let (access_key, secret_key) = ("testkitkey".to_owned(), "testkitsecret".to_owned());
    let identities = format!(
        "{{\"identities\":[{{\"name\":\"test\",\"credentials\":[{{\"accessKey\":\"{access_key}\",\"secretKey\":\"{secret_key}\"}}],\
         \"actions\":[\"Admin\",\"Read\",\"Write\",\"List\",\"Tagging\"]}}]}}"
    );
    let config = dir.path().join("s3.json");
    std::fs::write(&config, identities).map_err(|e| e.to_string())?;
    let data = dir.path().join("data");
    std::fs::create_dir(&data).map_err(|e| e.to_string())?;
    let [master, volume, filer, port] = free_ports()?;
    let mut command = Command::new(program);
    command.arg("server").arg(format!("-dir={}", data.display())).current_dir(dir.path());
    command.args([
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-volume.max=100",
        "-master.volumeSizeLimitMB=256",
        "-filer",
        "-s3",
    ]);
    command.arg(format!("-master.port={master}")).arg(format!("-volume.port={volume}"));
    command.arg(format!("-filer.port={filer}")).arg(format!("-s3.port={port}"));
    command.arg(format!("-s3.config={}", config.display()));
    // Two catalogues listen on fixed ports unless switched off: a second server would end at once.
    command.arg(format!("-s3.port.iceberg={catalogue}")).arg("-s3.port.lance=0");
    let mut server = Server::start(command, dir)?;
    let client = Client {
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        access_key: access_key.clone(),
        secret_key: secret_key.clone(),
        region: "us-east-1".to_owned(),
    };
    server.wait("SeaweedFS", Duration::from_secs(90), || {
        // Listening isn't enough: volumes come later.
        client.create_bucket("probe").and_then(|()| client.put("probe", "up", b"1")).is_ok()
            && client.get("probe", "up").is_ok_and(|body| body == b"1")
            && client.send(&Request { method: "GET", ..Request::default() }).is_ok_and(|a| a.status == 200)
    })?;
    let url = format!("http://127.0.0.1:{port}");
    Ok((Seaweed { url, access_key, secret_key, client, _server: server }, master))
}

/// A private PostgreSQL cluster.
#[derive(Debug)]
pub struct Postgres {
    /// `postgres://postgres@127.0.0.1:port/postgres`
    pub url: String,
    port: u16,
    bin: PathBuf,
    server: Server,
}

impl Drop for Postgres {
    /// Asks the postmaster to stop at once: killed by force it leaves shared memory behind.
    fn drop(&mut self) {
        let file =
            std::fs::read_to_string(self.server.dir.path().join("data/postmaster.pid")).unwrap_or_default();
        let Some(pid) = file.lines().next().and_then(|l| l.parse().ok()).filter(|p| *p > 1) else { return };
        signal(pid, libc::SIGINT);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) && matches!(self.server.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Postgres {
    /// Makes an empty database and returns its URL.
    ///
    /// # Errors
    /// What `createdb` says.
    pub fn database(&self, name: &str) -> Result<String, String> {
        let mut command = Command::new(self.bin.join("createdb"));
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string(), name]);
        run(command)?;
        Ok(format!("postgres://postgres@127.0.0.1:{}/{name}", self.port))
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as a crash would and starts it again on its data.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart(&self) -> Result<(), String> {
        let dir = self.server.dir.path();
        let program = self.bin.join("pg_ctl");
        let mut command = if is_root() { Command::new("runuser") } else { Command::new(&program) };
        if is_root() {
            command.args(["-u", "postgres", "--"]).arg(&program);
        }
        command.current_dir("/").arg("-D").arg(dir.join("data")).arg("-l").arg(dir.join("again.log"));
        command.args(["-m", "immediate", "-w", "-t", "30", "restart"]);
        run(command)
    }
}

/// Starts PostgreSQL from `WHARF_TEST_POSTGRES` (a folder of programs) or Debian's version 15; as the
/// user `postgres` when we are root, since it refuses to run as root. No fsync: it is for tests.
///
/// # Errors
/// Why there is none.
pub fn postgres() -> Result<Postgres, String> {
    let named = std::env::var_os("WHARF_TEST_POSTGRES").map(PathBuf::from);
    let bin = named.unwrap_or_else(|| PathBuf::from("/usr/lib/postgresql/15/bin"));
    if !bin.join("initdb").is_file() {
        return Err(format!(
            "no PostgreSQL in {} (WHARF_TEST_POSTGRES may name another folder)",
            bin.display()
        ));
    }
    let dir = tempfile::Builder::new().prefix("wharf-pg-").tempdir().map_err(|e| e.to_string())?;
    let root = is_root();
    if root {
        let mut command = Command::new("chown");
        command.arg("postgres").arg(dir.path());
        run(command)?;
    }
    let as_user = |program: &str| {
        let mut command = if root { Command::new("runuser") } else { Command::new(bin.join(program)) };
        if root {
            command.args(["-u", "postgres", "--"]).arg(bin.join(program));
        }
        command.current_dir("/");
        command
    };
    let data = dir.path().join("data");
    let mut init = as_user("initdb");
    init.arg("-D").arg(&data).args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"]);
    run(init)?;
    let [port] = free_ports()?;
    let mut command = as_user("postgres");
    command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    command.args(["-c", "fsync=off", "-c", "max_connections=60"]);
    command.arg("-c").arg(format!("unix_socket_directories={}", dir.path().display()));
    let mut server = Server::start(command, dir)?;
    server.wait("PostgreSQL", Duration::from_secs(60), || {
        let mut ready = Command::new(bin.join("pg_isready"));
        ready.args(["-q", "-U", "postgres", "-h", "127.0.0.1", "-p", &port.to_string()]);
        ready.status().is_ok_and(|s| s.success())
    })?;
    Ok(Postgres { url: format!("postgres://postgres@127.0.0.1:{port}/postgres"), port, bin, server })
}

fn run(mut command: Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let out = command.stdin(Stdio::null()).output().map_err(|e| format!("can't run {program}: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    Err(format!("{program} failed: {words}"))
}

#[allow(unsafe_code, reason = "std has no geteuid")]
fn is_root() -> bool {
    unsafe { libc::geteuid() == 0 }
}

/// A program that a variable names, or the first candidate that is there.
fn program(variable: &str, candidates: &[PathBuf]) -> Result<PathBuf, String> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let found = named.iter().chain(candidates).find(|p| p.is_file());
    found.cloned().ok_or_else(|| {
        let all: Vec<_> = candidates.iter().map(|c| c.display().to_string()).collect();
        format!("{} is not there ({variable} may name one)", all.join(", "))
    })
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Different free ports. SeaweedFS listens 10,000 higher too, so they are kept low enough for that.
fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    let mut held: Vec<(TcpListener, u16)> = Vec::new();
    let mut ports = [0; N];
    let mut found = 0;
    while found < N {
        if held.len() > 1000 {
            return Err("no free ports".to_owned());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        if port < 55_000 && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 10_000)).is_ok() {
            ports[found] = port;
            found += 1;
        }
        held.push((listener, port));
    }
    Ok(ports)
}

/// Does something answer there?
#[must_use]
pub fn listens(addr: SocketAddr) -> bool {
    TcpStream::connect_timeout(&addr, Duration::from_millis(500)).is_ok()
}
