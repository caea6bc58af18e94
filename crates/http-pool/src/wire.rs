//! The byte stream under a connection: TCP, or TLS over it.
//!
//! An enum rather than a trait object, so that the plain case has no indirection and vectored writes go
//! through to the socket.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// An open stream.
pub enum Wire {
    /// TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to a host (a name or an address, no brackets), with TLS where a configuration for it is given.
///
/// # Errors
/// `InvalidData` when the peer is not who it should be (TLS), else the system's.
pub async fn connect(host: &str, port: u16, tls: Option<&Arc<rustls::ClientConfig>>) -> io::Result<Wire> {
    let tcp = dial(host, port).await?;
    tcp.set_nodelay(true)?;
    let Some(config) = tls else { return Ok(Wire::Plain(tcp)) };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, format!("tls name {host}: {e}")))?;
    let tls = tokio_rustls::TlsConnector::from(config.clone()).connect(name, tcp).await?;
    Ok(Wire::Tls(Box::new(tls)))
}

/// `localhost` and every name below it is this machine (RFC 6761), whether a resolver knows it or not: so a
/// local store can be spoken to with `bucket.localhost`.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    if host == "localhost" || host.ends_with(".localhost") {
        let loopback = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        return TcpStream::connect::<&[SocketAddr]>(&loopback).await;
    }
    TcpStream::connect((host, port)).await
}

macro_rules! each {
    ($self:ident, $s:ident => $e:expr) => {
        match $self.get_mut() {
            Wire::Plain($s) => {
                let $s = Pin::new($s);
                $e
            }
            Wire::Tls($s) => {
                let $s = Pin::new($s.as_mut());
                $e
            }
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, s => s.poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, s => s.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, s => s.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(s) => s.is_write_vectored(),
            Self::Tls(s) => s.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => s.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, s => s.poll_shutdown(cx))
    }
}
