//! A TCP proxy that does harm on command.
//!
//! In `Mode::Http` it follows the messages of HTTP/1.1 and can harm single requests: answer them
//! itself, lose the answer after the write happened, cut or falsify bodies. In `Mode::Raw` it copies
//! bytes and can harm connections. What it does is said by rules (see [`script`]) that can be changed
//! while it runs, from the test's process or over a control socket with one command a line:
//!
//! ```text
//! add match=PUT every=3 do=status:503     → ok 0
//! clear                                   → ok
//! seed 7                                  → ok
//! stats                                   → one line per rule "index seen fired text", then "requests N", then "ok"
//! ```
//! The same rules, seed and order of requests give the same faults.

mod http;
mod raw;
pub mod script;

use script::{Action, Rule, Script};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the proxy understands of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// HTTP/1.1; rules meet requests.
    Http,
    /// Bytes; rules meet connections, as the request `CONNECT`.
    Raw,
}

/// How long a black hole keeps a connection.
const FOREVER: Duration = Duration::from_secs(600);

/// A running proxy. Stops, with all its connections' listeners, when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients connect.
    pub addr: SocketAddr,
    shared: Shared,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone)]
pub(crate) struct Shared {
    upstream: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to this request (`METHOD path`).
    fn decide(&self, request: &str) -> Action {
        self.script().decide(request)
    }
}

impl Proxy {
    /// Starts on `listen` (port 0 for any) in front of `upstream`, without rules.
    ///
    /// # Errors
    /// When `listen` can't be bound.
    pub async fn start(listen: SocketAddr, upstream: SocketAddr, mode: Mode) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let shared = Shared { upstream, script: Arc::default() };
        let accepting = runtime::spawn(runtime::TaskKind::Test, accept(listener, shared.clone(), mode));
        Ok(Self { addr, shared, accepting })
    }

    /// Adds a rule; earlier rules go first. Text as in [`Rule::parse`].
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn add(&self, rule: &str) -> Result<(), String> {
        self.shared.script().add(Rule::parse(rule)?);
        Ok(())
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.shared.script().clear();
    }

    /// Restarts the chances from this seed.
    pub fn seed(&self, seed: u64) {
        self.shared.script().seed(seed);
    }

    /// How often each rule fired, in their order.
    #[must_use]
    pub fn fired(&self) -> Vec<u64> {
        self.shared.script().rules().iter().map(|r| r.fired).collect()
    }

    /// Requests (or connections, in raw mode) so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.script().requests
    }

    /// Listens for control connections.
    ///
    /// # Errors
    /// When `listen` can't be bound.
    pub async fn control(&self, listen: SocketAddr) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let shared = self.shared.clone();
        runtime::spawn(runtime::TaskKind::Test, async move {
            while let Ok((stream, _)) = listener.accept().await {
                runtime::spawn(runtime::TaskKind::Test, obey(stream, shared.clone()));
            }
        });
        Ok(addr)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Shared, mode: Mode) {
    while let Ok((client, _)) = listener.accept().await {
        let _ = client.set_nodelay(true);
        let shared = shared.clone();
        runtime::spawn(runtime::TaskKind::ServeConnection, async move {
            // What goes wrong with a connection is what its two ends see.
            let _ = match mode {
                Mode::Http => http::serve(client, shared).await,
                Mode::Raw => raw::serve(client, shared).await,
            };
        });
    }
}

async fn obey(stream: TcpStream, shared: Shared) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = command(&line, &shared).unwrap_or_else(|e| format!("error {e}"));
        if write.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn command(line: &str, shared: &Shared) -> Result<String, String> {
    let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let mut script = shared.script();
    match word {
        "add" => Ok(format!("ok {}", script.add(Rule::parse(rest)?))),
        "clear" => {
            script.clear();
            Ok("ok".to_owned())
        }
        "seed" => {
            script.seed(rest.parse().map_err(|_| "seed takes a number")?);
            Ok("ok".to_owned())
        }
        "stats" => {
            let mut text = String::new();
            for (n, rule) in script.rules().iter().enumerate() {
                text.push_str(&format!("{n} {} {} {}\n", rule.seen, rule.fired, rule.text));
            }
            Ok(format!("{text}requests {}\nok", script.requests))
        }
        _ => Err(format!("unknown command {word:?}; one of add, clear, seed, stats")),
    }
}

/// Ends a connection with a reset instead of an orderly close.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
