//! One client: frames in, frames out, one request at a time and in order.

use crate::core::Core;
use crate::error::{Error, Result};
use crate::net::dispatch::{self, Answer, Session};
use crate::settings::Access;
use bytes::{Buf, BytesMut};
use runtime::TaskKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

/// Pause after an accept that failed (no handles left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection that asks nothing for this long is closed, as in Kafka.
const IDLE: Duration = Duration::from_secs(600);
/// One that has not said who it is by then, too.
const STRANGER: Duration = Duration::from_secs(30);
/// A request that has begun has to come, and an answer has to be taken, within this time …
const STALL: Duration = Duration::from_secs(60);
/// … and a second for each of these many bytes: who is slower holds memory that others wait for.
const SLOWEST: usize = 64 << 10;
/// Largest request before the client has said who it is.
const STRANGERS_BYTES: usize = 64 << 10;
/// Requests up to this size are not counted against the memory of all.
const SMALL: usize = 32 << 10;

/// Accepts clients until the broker stops.
pub async fn accept(core: Arc<Core>, listener: TcpListener, access: Access) -> Result<()> {
    let address = listener.local_addr().map_err(|e| Error::storage("the listener", &e))?;
    tracing::info!(%address, ?access, "the broker is listening");
    let slots = Arc::new(Semaphore::new(core.settings.limits.connections));
    let access = Arc::new(access);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = core.stop.stopped() => return Ok(()),
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            tracing::warn!(%peer, "too many connections: one is refused");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (core, access) = (core.clone(), access.clone());
        runtime::spawn(TaskKind::ServeConnection, async move {
            let ended = match access.tls.clone() {
                None => serve(core, access, stream, peer).await,
                Some(tls) => match timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await {
                    Ok(Ok(stream)) => Box::pin(serve(core, access, stream, peer)).await,
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("the TLS handshake took too long".to_owned()),
                },
            };
            if let Err(why) = ended {
                tracing::debug!(%peer, "connection ended: {why}");
            }
            drop(slot);
        });
    }
}

async fn serve(
    core: Arc<Core>,
    access: Arc<Access>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    peer: SocketAddr,
) -> std::result::Result<(), String> {
    let mut session = Session::new(core.clone(), access, peer);
    let served = async {
        loop {
            let patience = if session.is_let_in() { IDLE } else { STRANGER };
            let length = match timeout(patience, stream.read_u32()).await {
                Ok(Ok(n)) => n as usize,
                Ok(Err(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Ok(Err(e)) => return Err(e.to_string()),
                Err(_) => return Ok(()),
            };
            let most = if session.is_let_in() { core.settings.limits.request_bytes } else { STRANGERS_BYTES };
            if length > most {
                return Err(format!("a request of {length} bytes, more than {most}"));
            }
            let lease = if length > SMALL { Some(core.memory.lease(length as u64).await) } else { None };
            let frame = read_frame(&mut stream, length).await?;
            let answer = dispatch::answer(&mut session, frame.freeze()).await?;
            drop(lease);
            if let Some(Answer { bytes, lease }) = answer {
                write_all(&mut stream, bytes).await?;
                drop(lease);
            }
        }
    };
    tokio::select! {
        ended = served => ended,
        () = core.stop.stopped() => Ok(()),
    }
}

fn end_for(bytes: usize) -> Instant {
    Instant::now() + STALL + Duration::from_secs((bytes / SLOWEST) as u64)
}

async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    length: usize,
) -> std::result::Result<BytesMut, String> {
    let end = end_for(length);
    // The memory is only touched as bytes arrive.
    let mut frame = BytesMut::with_capacity(length);
    let mut rest = stream.take(length as u64);
    while frame.len() < length {
        match timeout_at(end, rest.read_buf(&mut frame)).await {
            Ok(Ok(0)) => return Err("a request was cut off".to_owned()),
            Ok(Ok(_)) => {}
            Ok(Err(e)) => return Err(e.to_string()),
            Err(_) => return Err("a request came too slowly".to_owned()),
        }
    }
    Ok(frame)
}

async fn write_all(
    stream: &mut (impl AsyncWrite + Unpin),
    mut answer: BytesMut,
) -> std::result::Result<(), String> {
    let end = end_for(answer.len());
    while answer.has_remaining() {
        match timeout_at(end, stream.write_buf(&mut answer)).await {
            Ok(Ok(0)) => return Err("the client takes nothing".to_owned()),
            Ok(Ok(_)) => {}
            Ok(Err(e)) => return Err(e.to_string()),
            Err(_) => return Err("the client did not take its answer".to_owned()),
        }
    }
    timeout(STALL, stream.flush()).await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}
