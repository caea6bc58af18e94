//! Requests whose body and answer are held in memory.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use connector::{Error, ErrorKind, Result};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use crate::link::broken;
use crate::{Address, Feed, Link, Nothing, Outgoing, connect, retry};

/// Bodies up to this size go out as one frame; of larger ones it is known how far they have come.
const ONE_FRAME: usize = 256 * 1024;
/// Free connections that are kept at most.
const MAX_FREE: usize = 64;

/// A server: where it is, who we are there, how long to wait.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where.
    pub address: Address,
    /// Set when the address is `https`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The `Authorization` header.
    pub authorization: Option<HeaderValue>,
    /// For TCP and TLS to be there.
    pub connect: Duration,
    /// For the next byte to move, in either direction; so also how long the server may think.
    pub idle: Duration,
}

/// The `Authorization` header for a user and a password.
#[must_use]
pub fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {text}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A request.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Method.
    pub method: Method,
    /// Path and query, after the path of the remote itself; begins with a slash, escaped already. May be empty.
    pub path: &'a str,
    /// Further headers.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// Body.
    pub body: Bytes,
    /// The longest answer that is read.
    pub limit: usize,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, whole.
    pub body: Bytes,
}

impl Answer {
    /// 2xx?
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What `Retry-After` asks for, in seconds.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry::retry_after(self.headers.get(RETRY_AFTER))
    }

    /// The beginning of the body for people: one line, no control characters.
    #[must_use]
    pub fn words(&self) -> String {
        let head = self.body.get(..self.body.len().min(600)).unwrap_or_default();
        let text = String::from_utf8_lossy(head);
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// Connections to one server. Use it on the runtime that first used it.
pub struct Pool {
    remote: Remote,
    #[allow(
        clippy::vec_box,
        reason = "a link is large and moves between the stack and here with each request"
    )]
    free: Mutex<Vec<Box<Link>>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("remote", &self.remote).finish_non_exhaustive()
    }
}

impl Pool {
    /// Without connections yet.
    #[must_use]
    pub fn new(remote: Remote) -> Self {
        Self { remote, free: Mutex::new(Vec::new()) }
    }

    /// The server.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Makes a request. A kept connection that turns out to be closed is replaced by a new one and the request sent again, so
    /// a request may arrive twice: whatever is sent must bear that.
    ///
    /// # Errors
    /// `Unavailable` no connection, or it broke, or nothing came in time; `Other` an answer longer than the limit, or TLS
    /// that does not fit. An answer with an unhappy status is no error.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer> {
        let mut may_be_stale = true;
        loop {
            let mut link = self.link(may_be_stale).await?;
            match self.exchange(&mut link, &call).await {
                Ok(answer) => {
                    if link.is_open() {
                        self.keep(link);
                    }
                    return Ok(answer);
                }
                Err(e) if link.used && may_be_stale && e.kind() == ErrorKind::Unavailable => {
                    may_be_stale = false;
                }
                Err(e) => {
                    return Err(e.context(format_args!("{} {}", call.method, self.remote.address.authority)));
                }
            }
        }
    }

    fn keep(&self, mut link: Box<Link>) {
        link.used = true;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_FREE {
            free.push(link);
        }
    }

    async fn link(&self, kept: bool) -> Result<Box<Link>> {
        loop {
            let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut link) = free.filter(|_| kept) else { break };
            if link.ready().await && link.is_open() {
                return Ok(link);
            }
        }
        let address = &self.remote.address;
        let connecting = connect(&address.host, address.port, self.remote.tls.as_ref());
        let what = format!("connecting to {}", address.authority);
        match timeout(self.remote.connect, connecting).await {
            Ok(Ok(wire)) => Link::open(wire).await,
            // A peer that is not who it should be does not become so by asking again.
            Ok(Err(e)) if e.kind() == std::io::ErrorKind::InvalidData => {
                Err(Error::new(ErrorKind::Other, format!("{what}: {e}")))
            }
            Ok(Err(e)) => Err(broken(&what, e)),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, format!("{what} took too long"))),
        }
    }

    async fn exchange(&self, link: &mut Link, call: &Call<'_>) -> Result<Answer> {
        let (body, feed) = match call.body.len() {
            0 => (Outgoing::Empty, None),
            n if n <= ONE_FRAME => (Outgoing::One(call.body.clone()), None),
            _ => {
                let feed = Feed::full(std::slice::from_ref(&call.body));
                (Outgoing::Fed(feed.clone()), Some(feed))
            }
        };
        let request = self.request(call, body)?;
        let idle = self.remote.idle;
        let response = {
            let mut supply = Nothing;
            let mut exchange = std::pin::pin!(link.exchange(request, &mut supply));
            let mut seen = 0;
            loop {
                if let Ok(r) = timeout(idle, exchange.as_mut()).await {
                    break r?;
                }
                let taken = feed.as_deref().map_or(0, Feed::taken);
                if taken <= seen {
                    return Err(silent(idle));
                }
                seen = taken;
            }
        };
        let (head, mut incoming) = response.into_parts();
        let body = collect(link, &mut incoming, call.limit, idle).await?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    fn request(&self, call: &Call<'_>, body: Outgoing) -> Result<Request<Outgoing>> {
        let invalid = |e: &dyn fmt::Display| Error::new(ErrorKind::Unacceptable, format!("request: {e}"));
        let mut headers = HeaderMap::with_capacity(4 + call.headers.len());
        let host = HeaderValue::try_from(self.remote.address.authority.as_str()).map_err(|e| invalid(&e))?;
        headers.insert(HOST, host);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(call.body.len() as u64));
        if let Some(a) = &self.remote.authorization {
            headers.insert(AUTHORIZATION, a.clone());
        }
        for (name, value) in call.headers {
            headers.insert(name.clone(), value.clone());
        }
        let mut path = format!("{}{}", self.remote.address.path, call.path);
        if path.is_empty() {
            path.push('/');
        }
        let mut request = Request::new(body);
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = Uri::from_maybe_shared(Bytes::from(path)).map_err(|e| invalid(&e))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn silent(idle: Duration) -> Error {
    Error::new(ErrorKind::Unavailable, format!("no answer within {} s", idle.as_secs_f32()))
}

async fn collect(link: &mut Link, incoming: &mut Incoming, limit: usize, idle: Duration) -> Result<Bytes> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while !incoming.is_end_stream() {
        let frame = timeout(idle, link.frame(incoming)).await.map_err(|_| silent(idle))??;
        let Some(chunk) = frame else { break };
        if first.len() + all.len() + chunk.len() > limit {
            return Err(Error::new(ErrorKind::Other, format!("the answer is longer than {limit} bytes")));
        }
        if first.is_empty() && all.is_empty() {
            first = chunk;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&chunk);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
