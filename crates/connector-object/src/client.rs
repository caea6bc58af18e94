//! Sending a request: sign it, find a connection, wait for the head of the answer, and make it again
//! when that may help.
//!
//! A client belongs to one lane or one listing and its runtime; it keeps the connections that are free
//! in a plain stack, so the warmest is used first. Requests whose body is in memory are retried here;
//! one whose body streams from a source is not, because the source can't be rewound: its error goes
//! to the caller, who opens the source again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use connector::{ErrorKind, Source};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::checksum::{CRC64NVME, Running};
use crate::endpoint::{Addressing, Site};
use crate::escape;
use crate::fault::Fault;
use crate::link::{Feed, Link, Nothing, Outgoing, Supplier, Supply};
use crate::retry;
use crate::sign::{CONTENT_SHA256, Signer, Subject, UNSIGNED};

/// An XML answer larger than this is refused.
pub(crate) const MAX_XML: usize = 8 * 1024 * 1024;
/// Of an error document not more than this is read.
const MAX_ERROR_BODY: usize = 64 * 1024;
/// Bodies up to this size go out as one frame.
const ONE_FRAME: usize = 256 * 1024;

/// Talks to one [`Site`]. Clones share connections; use it on the runtime that first used it.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    site: Arc<Site>,
    signer: Option<Mutex<Signer>>,
    /// Free connections with the bucket they were opened for (empty with path style).
    free: Mutex<Vec<(Box<str>, Box<Link>)>>,
    permits: Arc<Semaphore>,
}

/// A request. Headers of the protocol itself (host, date, signature, length) are added when it is sent.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    /// Sorted by name.
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: &'a [Bytes],
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, bucket: &'a str, key: &'a str) -> Self {
        Self { method, bucket, key, query: &[], headers: Vec::new(), body: &[] }
    }

    pub(crate) fn query(self, query: &'a [(&'a str, &'a str)]) -> Self {
        debug_assert!(query.is_sorted_by(|a, b| a.0 < b.0));
        Self { query, ..self }
    }

    pub(crate) fn header(&mut self, name: HeaderName, value: &str) -> Result<(), Fault> {
        let value = HeaderValue::try_from(value)
            .map_err(|e| Fault::new(ErrorKind::Unacceptable, format!("header {name}: {e}")))?;
        self.headers.push((name, value));
        Ok(())
    }

    fn context(&self, f: Fault) -> Fault {
        let key = connector_name(self.key);
        f.context(format_args!("{} {}/{key}", self.method, self.bucket))
    }

    fn has_checksum(&self) -> bool {
        self.headers.iter().any(|(n, _)| *n == CRC64NVME)
    }
}

/// A key for messages: no control characters.
pub(crate) fn connector_name(key: &str) -> String {
    key.escape_debug().to_string()
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// A client without connections yet.
    #[must_use]
    pub fn new(site: &Arc<Site>) -> Self {
        let c = &site.config;
        Self(Arc::new(Inner {
            signer: c.credentials.clone().map(|k| Mutex::new(Signer::new(k, &c.region))),
            free: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(c.max_connections)),
            site: site.clone(),
        }))
    }

    /// The endpoint.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.0.site
    }

    /// Sends a request whose body is in memory, and again while that may help.
    pub(crate) async fn call(&self, mut call: Call<'_>) -> Result<Answer, Fault> {
        let site = self.site().clone();
        let mut attempt = 0;
        loop {
            let fault = match self.attempt(&call).await {
                Ok(answer) if answer.is_success() => {
                    site.budget.pay();
                    return Ok(answer);
                }
                Ok(answer) => answer.into_fault().await,
                Err(f) => f,
            };
            let fault = Fault { repeated: fault.repeated || attempt > 0, ..fault };
            let refused = matches!(fault.status, 400 | 501) && fault.kind() != ErrorKind::Corrupt;
            if refused && call.has_checksum() {
                site.checksum_was_refused();
                call.headers.retain(|(n, _)| *n != CRC64NVME);
                continue;
            }
            let asked = fault.retry_after;
            let hopeless = !fault.kind().is_transient() || asked.is_some_and(|a| a > retry::LONGEST_ASKED);
            if hopeless || attempt >= site.config.max_retries || !site.budget.take() {
                return Err(call.context(fault));
            }
            let pause = retry::pause(attempt, fault.kind() == ErrorKind::Throttled, asked, &site.random);
            tracing::debug!(%fault, ?pause, attempt, "request is made again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// One attempt on a kept connection, and if that turns out to be closed, on a new one.
    async fn attempt(&self, call: &Call<'_>) -> Result<Answer, Fault> {
        let len: usize = call.body.iter().map(Bytes::len).sum();
        let mut may_be_stale = true;
        loop {
            let (permit, mut link) = self.link(call.bucket, may_be_stale).await?;
            let (body, feed) = match call.body {
                _ if len == 0 => (Outgoing::Empty, None),
                [one] if len <= ONE_FRAME => (Outgoing::One(one.clone()), None),
                many => {
                    let feed = Feed::full(many);
                    (Outgoing::Fed(feed.clone()), Some(feed))
                }
            };
            let request = self.request(call, body, len as u64, true)?;
            match self.exchange(&mut link, request, &mut Nothing, feed.as_deref()).await {
                Ok(response) => {
                    let repeated = !may_be_stale;
                    return Ok(Answer { repeated, ..self.answer(call.bucket, link, permit, response) });
                }
                // Whatever is asked of a client is idempotent or checked afterwards, so a connection that
                // the server closed under our hands is no reason to wait.
                Err(_) if link.used && may_be_stale => may_be_stale = false,
                Err(f) => return Err(f),
            }
        }
    }

    /// Sends `source` as the body, once. The source's own error is returned as it is.
    pub(crate) async fn send(
        &self,
        call: Call<'_>,
        source: &mut dyn Source,
    ) -> Result<(Answer, Running), Fault> {
        let len = source.len();
        let feed = Feed::new(len);
        let mut running = Running::new(self.site().config.verify);
        let mut ended = false;
        let mut may_be_stale = true;
        loop {
            let (permit, mut link) = self.link(call.bucket, may_be_stale).await?;
            let request = self.request(&call, Outgoing::Fed(feed.clone()), len, false)?;
            let mut supply = Supply { source, feed: &feed, running: &mut running, len, ended, failed: false };
            let done = self.exchange(&mut link, request, &mut supply, Some(&feed)).await;
            ended = supply.ended;
            let source_failed = supply.failed;
            match done {
                Ok(response) => {
                    let answer = self.answer(call.bucket, link, permit, response);
                    if answer.is_success() {
                        self.site().budget.pay();
                        return Ok((answer, running));
                    }
                    return Err(call.context(answer.into_fault().await));
                }
                Err(f) if source_failed => return Err(f),
                Err(_) if link.used && may_be_stale && feed.taken() == 0 => may_be_stale = false,
                Err(f) => return Err(call.context(f)),
            }
        }
    }

    /// A connection: the last one given back, or a new one.
    async fn link(&self, bucket: &str, kept: bool) -> Result<(OwnedSemaphorePermit, Box<Link>), Fault> {
        let site = &self.0.site;
        let closed = |_| Fault::new(ErrorKind::Cancelled, "the client is closed");
        let permit = self.0.permits.clone().acquire_owned().await.map_err(closed)?;
        if kept {
            while let Some(mut link) = self.take_free(bucket) {
                link.used = true;
                if link.ready().await && link.is_open() {
                    return Ok((permit, link));
                }
            }
        }
        let host = site.host_name(bucket);
        let connecting = timeout(
            site.config.timeouts.connect,
            http_pool::connect(&host, site.address.port, site.tls.as_ref()),
        );
        let wire = match connecting.await {
            Ok(Ok(wire)) => wire,
            Ok(Err(e)) => {
                let what = format!("connecting to {}", site.address.authority);
                return Err(if e.kind() == std::io::ErrorKind::InvalidData {
                    Fault::new(ErrorKind::Other, format!("{what}: {e}"))
                } else {
                    Fault::broken(&what, e)
                });
            }
            Err(_) => {
                let what = format!("connecting to {} took too long", site.address.authority);
                return Err(Fault::new(ErrorKind::Unavailable, what));
            }
        };
        Ok((permit, Link::open(wire).await?))
    }

    fn take_free(&self, bucket: &str) -> Option<Box<Link>> {
        let mut free = lock(&self.0.free);
        let at = match self.0.site.config.addressing {
            Addressing::Path => free.len().checked_sub(1)?,
            Addressing::VirtualHost => free.iter().rposition(|(b, _)| **b == *bucket)?,
        };
        Some(free.swap_remove(at).1)
    }

    /// Waits for the head of the answer while something moves.
    async fn exchange<S: Supplier>(
        &self,
        link: &mut Link,
        request: Request<Outgoing>,
        supply: &mut S,
        feed: Option<&Feed>,
    ) -> Result<http::Response<Incoming>, Fault> {
        let idle = self.0.site.config.timeouts.idle;
        let mut exchange = std::pin::pin!(link.exchange(request, supply));
        let mut seen = 0;
        loop {
            if let Ok(r) = timeout(idle, exchange.as_mut()).await {
                return r.map_err(Fault::from);
            }
            let taken = feed.map_or(0, Feed::taken);
            if taken <= seen {
                return Err(Fault::new(
                    ErrorKind::Unavailable,
                    format!("no answer within {} s", idle.as_secs_f32()),
                ));
            }
            seen = taken;
        }
    }

    fn request(
        &self,
        call: &Call<'_>,
        body: Outgoing,
        len: u64,
        in_memory: bool,
    ) -> Result<Request<Outgoing>, Fault> {
        let site = &self.0.site;
        let invalid =
            |e: &dyn std::fmt::Display| Fault::new(ErrorKind::Unacceptable, format!("request: {e}"));
        let mut uri = String::with_capacity(call.bucket.len() + call.key.len() + 64);
        uri.push('/');
        if site.config.addressing == Addressing::Path && !call.bucket.is_empty() {
            escape::push_path(&mut uri, call.bucket);
            if !call.key.is_empty() {
                uri.push('/');
            }
        }
        escape::push_path(&mut uri, call.key);
        let path_len = uri.len();
        if !call.query.is_empty() {
            uri.push('?');
            uri.push_str(&escape::query(call.query));
        }
        let mut headers = HeaderMap::with_capacity(12 + call.headers.len());
        headers.insert(http::header::HOST, site.host_header(call.bucket).map_err(|e| invalid(&e))?);
        if call.method == Method::PUT || call.method == Method::POST {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(len));
        }
        for (name, value) in &call.headers {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(signer) = &self.0.signer {
            let hash = if site.config.sign_payload && in_memory { payload_hash(call.body) } else { UNSIGNED };
            headers.insert(CONTENT_SHA256, hash);
            let query = uri.get(path_len + 1..).unwrap_or_default();
            let subject = Subject { method: call.method.as_str(), path: &uri[..path_len], query };
            lock(signer).sign(subject, site.config.clock.now(), &mut headers);
        }
        let mut request = Request::new(body);
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = Uri::from_maybe_shared(Bytes::from(uri)).map_err(|e| invalid(&e))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn answer(
        &self,
        bucket: &str,
        link: Box<Link>,
        permit: OwnedSemaphorePermit,
        response: http::Response<Incoming>,
    ) -> Answer {
        let (head, body) = response.into_parts();
        let bucket = match self.0.site.config.addressing {
            Addressing::Path => Box::default(),
            Addressing::VirtualHost => bucket.into(),
        };
        let mut answer = Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            held: Some((bucket, link, permit)),
            client: self.clone(),
            repeated: false,
        };
        if answer.body.is_end_stream() {
            answer.give_back();
        }
        answer
    }
}

fn payload_hash(body: &[Bytes]) -> HeaderValue {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for b in body {
        context.update(b);
    }
    let mut hex = String::with_capacity(64);
    escape::push_hex(&mut hex, context.finish().as_ref());
    HeaderValue::try_from(hex).unwrap_or(UNSIGNED)
}

/// The head of an answer, and its body as it comes. Dropped early, it closes the connection.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    held: Option<(Box<str>, Box<Link>, OwnedSemaphorePermit)>,
    client: Client,
    /// The request was sent twice because the first connection broke.
    repeated: bool,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Content-Length`, if it is there and a number.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.text(&http::header::CONTENT_LENGTH)?.trim().parse().ok()
    }

    pub(crate) fn etag(&self) -> Option<Box<str>> {
        self.text(&http::header::ETAG).map(crate::xml::etag).filter(|e| !e.is_empty())
    }

    fn give_back(&mut self) {
        let Some((bucket, link, permit)) = self.held.take() else { return };
        if link.is_open() {
            lock(&self.client.0.free).push((bucket, link));
        }
        drop(permit);
    }

    /// The next bytes, `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some((_, link, _)) = &mut self.held else { return Ok(None) };
        let idle = self.client.0.site.config.timeouts.idle;
        let out = match timeout(idle, link.frame(&mut self.body)).await {
            Ok(out) => out.map_err(Fault::from),
            Err(_) => Err(stalled(idle)),
        };
        match &out {
            Ok(None) => self.give_back(),
            // Known at once when the length was: the connection is free before the caller asks again.
            Ok(Some(_)) if self.body.is_end_stream() => self.give_back(),
            Ok(Some(_)) => {}
            Err(_) => self.held = None,
        }
        out
    }

    /// The whole body, if it is no longer than `limit`.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<Bytes, Fault> {
        let too_long = || Fault::new(ErrorKind::Other, format!("the answer is longer than {limit} bytes"));
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else {
            return if first.len() > limit { Err(too_long()) } else { Ok(first) };
        };
        let mut all = BytesMut::with_capacity((first.len() + second.len()) * 2);
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(c) = self.chunk().await? {
            if all.len() + c.len() > limit {
                return Err(too_long());
            }
            all.extend_from_slice(&c);
        }
        if all.len() > limit { Err(too_long()) } else { Ok(all.freeze()) }
    }

    /// Reads the error document.
    pub(crate) async fn into_fault(self) -> Fault {
        let repeated = self.repeated;
        let (status, asked) = (self.status, retry::retry_after(self.headers.get(http::header::RETRY_AFTER)));
        let body = self.collect(MAX_ERROR_BODY).await.unwrap_or_default();
        Fault { repeated, ..Fault::answered(status, &body, asked) }
    }

    /// Reads an XML body.
    pub(crate) async fn xml(self) -> Result<Bytes, Fault> {
        self.collect(MAX_XML).await
    }
}

fn stalled(idle: Duration) -> Fault {
    Fault::new(ErrorKind::Unavailable, format!("the answer stopped coming for {} s", idle.as_secs_f32()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_cross_threads() {
        fn is_send<T: Send>(_: &T) {}
        let site = crate::Endpoint::new("http://127.0.0.1:1", "r", None).check().unwrap();
        let client = Client::new(&site);
        is_send(&client);
        is_send(&client.call(Call::new(Method::GET, "b", "k")));
    }
}
