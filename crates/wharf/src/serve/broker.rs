//! The embedded broker beside the doors: on threads of its own, so that neither waits for the other.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use broker::{Access, Broker};
use connector::records::{Endpoint, Secret};
use control::Control;
use runtime::{Clock, Random, TaskKind};
use tokio::net::TcpListener;

use super::streams::{Own, TopicUsers};
use crate::config::{BrokerConfig, Config};

/// The server's own user at its broker's inner port.
const INNER_USER: &str = "wharf-inner";

/// A broker that runs.
pub struct Running {
    broker: Broker,
    threads: Option<tokio::runtime::Runtime>,
    own: Own,
}

/// Who may log in: the accounts, if that is set, the broker's own users, and those of topics.
struct Users {
    control: Option<Control>,
    own: HashMap<String, String>,
    topics: TopicUsers,
}

/// The server's own way in: a port of its own on the loopback, so that it needs neither the certificate nor the address
/// that clients are told. Where names are asked for there is one name for it, with a password of this start.
struct Inner {
    access: Access,
    password: String,
}

#[async_trait]
impl broker::Users for Users {
    async fn password(&self, name: &str) -> Option<String> {
        if let Some(password) = self.own.get(name) {
            return Some(password.clone());
        }
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if topics.is_some() {
            return topics;
        }
        let found = self.control.as_ref()?.account_by_access_key(name).await;
        match found {
            Ok(found) => found.filter(|(account, _)| account.active).map(|(_, secret)| secret),
            Err(e) => {
                tracing::warn!("an account could not be looked up for the broker: {e}");
                None
            }
        }
    }
}

/// Starts the broker if the configuration has one.
///
/// # Errors
/// What could not be opened, in words.
pub async fn start(config: &Config, control: &Control) -> Result<Option<Running>, String> {
    let Some(wanted) = &config.broker else { return Ok(None) };
    let topics = TopicUsers::default();
    let access = access(wanted, control, topics.clone())?;
    let inner = inner(wanted);
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(5))
        .thread_name("broker")
        .enable_all()
        .build()
        .map_err(|e| format!("can't start the broker: {e}"))?;
    let (wanted, port_file) = (wanted.clone(), config.data_dir.join("broker-port"));
    let started = threads.spawn(async move { open(wanted, access, inner, &port_file).await }).await;
    match started {
        Ok(Ok((broker, own))) => {
            let own = Own { users: Some(topics), broker: Some(broker.clone()), ..own };
            Ok(Some(Running { broker, threads: Some(threads), own }))
        }
        failed => {
            threads.shutdown_background();
            Err(format!(
                "can't start the broker: {}",
                failed.map_or_else(|e| e.to_string(), |r| r.err().unwrap_or_default())
            ))
        }
    }
}

async fn open(
    wanted: BrokerConfig,
    mut access: Access,
    mut inner: Inner,
    port_file: &Path,
) -> Result<(Broker, Own), String> {
    let listener = TcpListener::bind(wanted.address)
        .await
        .map_err(|e| format!("can't listen on {}: {e}", wanted.address))?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    if access.advertised.1 == 0 {
        access.advertised.1 = port;
    }
    let within = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|e| e.to_string())?;
    inner.access.advertised.1 = within.local_addr().map_err(|e| e.to_string())?.port();
    let own = Own {
        endpoint: inner.endpoint(),
        address: format!("{}:{}", access.advertised.0, access.advertised.1),
        users: None,
        broker: None,
    };
    let broker = Broker::open(wanted.settings, Clock::system()).await.map_err(|e| e.to_string())?;
    std::fs::write(port_file, format!("{port}\n")).map_err(|e| format!("{}: {e}", port_file.display()))?;
    for (listener, access) in [(listener, access), (within, inner.access)] {
        let serving = broker.clone();
        runtime::spawn(TaskKind::Accept, async move {
            if let Err(e) = serving.serve(listener, access).await {
                tracing::error!("the broker's listener ended: {e}");
            }
        });
    }
    Ok((broker, own))
}

fn inner(wanted: &BrokerConfig) -> Inner {
    let password = Random::system().hex(32);
    let own = HashMap::from([(INNER_USER.to_owned(), password.clone())]);
    let users = Users { control: None, own, topics: TopicUsers::default() };
    let access = Access {
        advertised: (Ipv4Addr::LOCALHOST.to_string(), 0),
        tls: None,
        users: wanted.asks().then(|| Arc::new(users) as Arc<dyn broker::Users>),
    };
    Inner { access, password }
}

impl Inner {
    /// How the server's own clients come in.
    fn endpoint(&self) -> Endpoint {
        let (host, port) = &self.access.advertised;
        let bootstrap = format!("{host}:{port}");
        let (connection, secret) = if self.access.users.is_some() {
            let connection = serde_json::json!({
                "bootstrap": bootstrap, "security": "sasl_plaintext", "mechanism": "PLAIN", "user": INNER_USER,
            });
            (connection, Some(Secret(self.password.as_str().into())))
        } else {
            (serde_json::json!({ "bootstrap": bootstrap }), None)
        };
        Endpoint { connection: connection.to_string(), secret, options: String::new() }
    }
}

fn access(wanted: &BrokerConfig, control: &Control, topics: TopicUsers) -> Result<Access, String> {
    let mut own = HashMap::new();
    for (name, secret) in &wanted.users {
        own.insert(name.clone(), super::reveal(secret)?);
    }
    let users = Users { control: wanted.accounts.then(|| control.clone()), own, topics };
    let tls = match &wanted.tls {
        None => None,
        Some((certificate, key)) => {
            let read = |p: &Path| std::fs::read(p).map_err(|e| format!("{}: {e}", p.display()));
            let mut tls =
                rustls::ServerConfig::clone(&*api::server::tls_from_pem(&read(certificate)?, &read(key)?)?);
            // What this port speaks is not HTTP.
            tls.alpn_protocols.clear();
            Some(Arc::new(tls))
        }
    };
    let here = (wanted.address.ip().to_string(), wanted.address.port());
    Ok(Access {
        advertised: wanted.advertised.clone().unwrap_or(here),
        tls,
        users: wanted.asks().then(|| Arc::new(users) as Arc<dyn broker::Users>),
    })
}

impl Running {
    /// How the server itself uses it.
    pub fn own(&self) -> Own {
        self.own.clone()
    }

    /// Puts everything on the disk and ends the threads.
    pub async fn stop(mut self) {
        self.broker.close().await;
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A runtime that is dropped inside another one would panic.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}
