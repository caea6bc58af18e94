//! An S3 endpoint in the process, for the demo and tests only.
//!
//! Requests are decoded and their signatures checked by `s3s`; what is stored and how is ours. Buckets
//! are directories under a root and objects are plain files in them, so a tree that was moved here can
//! be looked at with `ls` and `diff`, and a tree that was copied in before the start is served.
//!
//! Why not `s3s-fs`: it walks the whole bucket for every page of a listing, lists no ETags and no
//! `dir/` markers, gives unsorted parts without ETags, keeps a metadata file per object under a name
//! that grows with the key (keys over some 150 bytes can't be stored), and loses one of two keys that
//! collide as paths (`a` and `a/b`). Here a sorted index in memory answers listings and conditions.
//!
//! What this is not: durable (no fsync), versioned, made for many millions of keys (the index is in
//! memory), or for more than one process per root.

mod body;
mod disk;
mod fields;
mod index;
mod listing;
mod multipart;
mod object;
mod service;

use hyper_util::rt::{TokioIo, TokioTimer};
use runtime::{Shutdown, TaskKind};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections that are served at once; more of them wait to be accepted.
const MAX_CONNECTIONS: usize = 512;
/// A connection has this long to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The endpoint's starter.
#[derive(Debug)]
pub struct EmbeddedS3;

/// An endpoint that runs until the `Shutdown` it was started with is given.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; holds the real port when port 0 was asked for.
    pub addr: SocketAddr,
    store: Arc<disk::Store>,
}

impl EmbeddedS3 {
    /// Reads what is under `root` (made if missing) and serves it on `listen` for one key pair.
    ///
    /// # Errors
    /// When `root` can't be made or read, or `listen` can't be bound.
    pub async fn start(
        root: &Path,
        listen: SocketAddr,
        access_key: &str,
        secret_key: &str,
        shutdown: Shutdown,
    ) -> std::io::Result<Running> {
        let root = root.to_owned();
        let store =
            runtime::blocking(move || disk::Store::open(&root)).await.map_err(std::io::Error::other)??;
        let store = Arc::new(store);
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let mut builder = S3ServiceBuilder::new(service::Service::new(store.clone()));
        builder.set_auth(SimpleAuth::from_single(access_key, secret_key));
        runtime::spawn(TaskKind::Accept, accept(listener, builder.build(), shutdown));
        Ok(Running { addr, store })
    }
}

impl Running {
    /// Makes a bucket unless it is there already.
    ///
    /// # Errors
    /// When the name is no bucket name or its directory can't be made.
    pub async fn create_bucket(&self, name: &str) -> std::io::Result<()> {
        let (store, name) = (self.store.clone(), name.to_owned());
        runtime::blocking(move || store.create_bucket(&name))
            .await
            .map_err(std::io::Error::other)?
            .map(|_| ())
    }
}

async fn accept(listener: TcpListener, service: S3Service, shutdown: Shutdown) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let stream = tokio::select! {
            () = shutdown.stopped() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    tracing::warn!(error = %e, "embedded s3 can't accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // Small answers must not wait for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let (service, shutdown) = (service.clone(), shutdown.clone());
        runtime::spawn(TaskKind::ServeConnection, async move {
            let _place = place;
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                ended = connection.as_mut() => log_end(ended),
                () = shutdown.stopped() => {
                    connection.as_mut().graceful_shutdown();
                    log_end(connection.await);
                }
            }
        });
    }
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(e) = ended {
        tracing::debug!(error = %e, "embedded s3 connection ended early");
    }
}
