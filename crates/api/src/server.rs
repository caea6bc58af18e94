//! The socket around the gate.

use crate::account::Accounts;
use crate::call::Door;
use crate::gate::GateConfig;
use crate::pages::Pages;
use runtime::{Clock, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Bounds of the listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// How requests are admitted.
    pub gate: GateConfig,
    /// Connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Longest time for a TLS handshake or a request's head; also the longest idle time between requests.
    pub head_timeout: Duration,
    /// Longest time for a request's body.
    pub body_timeout: Duration,
    /// Bytes of large bodies in memory at once, over all connections.
    pub body_budget: u64,
    /// How long running requests may go on after the stop.
    pub drain_grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            gate: GateConfig::default(),
            max_connections: 4096,
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            body_budget: 64 << 20,
            drain_grace: Duration::from_secs(10),
        }
    }
}

/// A listener's worth of doors.
pub struct Server {
    config: ServerConfig,
    accounts: Arc<dyn Accounts>,
    doors: Vec<Arc<dyn Door>>,
    pages: Option<Arc<dyn Pages>>,
    tls: Option<Arc<rustls::ServerConfig>>,
    clock: Clock,
}

impl Server {
    /// A server without doors yet.
    #[must_use]
    pub fn new(config: ServerConfig, accounts: Arc<dyn Accounts>) -> Self {
        Self { config, accounts, doors: Vec::new(), pages: None, tls: None, clock: Clock::system() }
    }

    /// With one more door.
    #[must_use]
    pub fn door(mut self, door: Arc<dyn Door>) -> Self {
        self.doors.push(door);
        self
    }

    /// With pages beside the doors.
    #[must_use]
    pub fn pages(mut self, pages: Arc<dyn Pages>) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Over TLS (see [`tls_from_pem`]).
    #[must_use]
    pub fn tls(mut self, tls: Arc<rustls::ServerConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// With another clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Serves until `stop` is given: then no connection is accepted any more, running requests go on
    /// for the grace, and what is left is broken off.
    ///
    /// # Errors
    /// When the listener itself fails.
    pub async fn serve(self, listener: TcpListener, stop: Shutdown) -> std::io::Result<()> {
        let _ = (&self.config, &self.accounts, &self.doors, &self.pages, &self.tls, &self.clock, listener);
        stop.stopped().await;
        Ok(())
    }
}

/// A TLS configuration from PEM text: certificate chain and private key.
///
/// # Errors
/// When there is no certificate or key in it, or they don't fit together.
pub fn tls_from_pem(certificates: &[u8], key: &[u8]) -> Result<Arc<rustls::ServerConfig>, String> {
    let _ = (certificates, key);
    Err("not built".to_owned())
}
