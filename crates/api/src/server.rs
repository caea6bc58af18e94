//! The socket around the gate: accept, TLS, HTTP/1, bodies with bounds, a stop that drains.
//!
//! Plain hyper over our own accept loop; there is no router because the gate is one. Every connection
//! holds a slot of a bounded number; a request's head, body and idle time have limits; large bodies take
//! their bytes from one budget before they are read. A body that is too large is answered first and then
//! read away for a moment without being kept: a client that sends all before it reads would otherwise
//! see a reset connection instead of our answer.
//!
//! A stop goes in three steps: no new connection, running requests get the grace, the rest is broken off.

mod body;
mod stall;
mod tls;

pub use tls::tls_from_pem;

use crate::account::Accounts;
use crate::call::Door;
use crate::gate::{Gate, GateConfig};
use crate::pages::{PageBody, PageRequest, Pages};
use body::Received;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use runtime::{ByteBudget, Clock, Shutdown, TaskKind};
use stall::Stall;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// hyper's own number of headers; another one costs an allocation per request.
const USUAL_HEADERS: usize = 100;
/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Pause after an accept that failed (no handles left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bounds of the listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// How requests are admitted.
    pub gate: GateConfig,
    /// Connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Longest time for a request's head, and longest idle time between requests.
    pub head_timeout: Duration,
    /// Longest time for a request's body.
    pub body_timeout: Duration,
    /// Longest time that a write may wait for a client that does not read.
    pub write_timeout: Duration,
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
            write_timeout: Duration::from_secs(30),
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
    /// When the listener has no address any more.
    pub async fn serve(self, listener: TcpListener, stop: Shutdown) -> std::io::Result<()> {
        let address = listener.local_addr()?;
        tracing::info!(%address, tls = self.tls.is_some(), "listening");
        let most =
            u32::try_from(self.config.max_connections).unwrap_or(u32::MAX >> 4).clamp(1, u32::MAX >> 4);
        let slots = Arc::new(Semaphore::new(most as usize));
        let house = Arc::new(self.house(stop.clone()));
        accept(&listener, &house, &slots).await;
        drop(listener);
        if timeout(house.config.drain_grace, slots.acquire_many(most)).await.is_err() {
            tracing::warn!("connections are still busy after the grace: breaking them off");
            house.abort.stop();
            let _ = timeout(Duration::from_secs(1), slots.acquire_many(most)).await;
        }
        Ok(())
    }

    fn house(self, stop: Shutdown) -> House {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.config.head_timeout)
            .max_buf_size(self.config.gate.limits.head_bytes.max(8192))
            .half_close(false);
        if self.config.gate.limits.headers != USUAL_HEADERS {
            http.max_headers(self.config.gate.limits.headers);
        }
        House {
            gate: Gate::new(self.config.gate.clone(), self.accounts, self.doors, self.clock),
            pages: self.pages,
            tls: self.tls.map(TlsAcceptor::from),
            bodies: ByteBudget::new(self.config.body_budget),
            config: self.config,
            http,
            stop,
            abort: Shutdown::new(),
        }
    }
}

/// What all connections share.
struct House {
    config: ServerConfig,
    gate: Gate,
    pages: Option<Arc<dyn Pages>>,
    tls: Option<TlsAcceptor>,
    bodies: ByteBudget,
    http: http1::Builder,
    stop: Shutdown,
    abort: Shutdown,
}

type Answer = Response<Either<Full<Bytes>, PageBody>>;

async fn accept(listener: &TcpListener, house: &Arc<House>, slots: &Arc<Semaphore>) {
    let mut stopped = house.stop.stopped();
    loop {
        let slot = tokio::select! {
            slot = slots.clone().acquire_owned() => slot,
            () = &mut stopped => return,
        };
        let Ok(slot) = slot else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                runtime::spawn(TaskKind::ServeConnection, connection(house.clone(), stream, peer, slot));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(house: Arc<House>, stream: TcpStream, peer: SocketAddr, _slot: OwnedSemaphorePermit) {
    let Some(tls) = house.tls.clone() else { return drive(house, stream, peer).await };
    let handshake = tokio::select! {
        handshake = timeout(HANDSHAKE, tls.accept(stream)) => handshake,
        () = house.stop.stopped() => return,
    };
    match handshake {
        Ok(Ok(stream)) => Box::pin(drive(house, stream, peer)).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "tls handshake failed"),
        Err(_) => tracing::debug!(%peer, "tls handshake took too long"),
    }
}

async fn drive(house: Arc<House>, stream: impl AsyncRead + AsyncWrite + Unpin, peer: SocketAddr) {
    let service = service_fn(|request| {
        let house = house.clone();
        async move { Ok::<_, Infallible>(answer(&house, request, peer).await) }
    });
    let stream = Stall::new(stream, house.config.write_timeout);
    let mut connection = pin!(house.http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = house.stop.stopped() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = house.abort.stopped() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection ended");
    }
}

async fn answer(house: &House, request: Request<Incoming>, peer: SocketAddr) -> Answer {
    let (head, incoming) = request.into_parts();
    if house.gate.is_page(&head) && matches!(head.method, Method::GET | Method::HEAD) {
        let request = PageRequest {
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers.clone(),
            source: Some(peer),
        };
        if let Some(pages) = &house.pages
            && let Some(page) = pages.get(request).await
        {
            return page.map(Either::Right);
        }
    }
    if house.gate.is_page(&head) {
        body::linger(incoming);
        return closing(house.gate.handle(head, Bytes::new(), Some(peer)).await);
    }
    let limit = house.gate.body_limit(&head);
    match body::receive(incoming, limit, house.config.body_timeout, &house.bodies).await {
        Received::Whole(body, _lease) => house.gate.handle(head, body, Some(peer)).await.map(full),
        Received::Refused(refusal, rest) => {
            body::linger(rest);
            closing(house.gate.refuse(&head, refusal))
        }
    }
}

/// An answer after which the connection ends.
fn closing(response: Response<Bytes>) -> Answer {
    let mut response = response.map(full);
    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    response
}

fn full(body: Bytes) -> Either<Full<Bytes>, PageBody> {
    Either::Left(Full::new(body))
}
