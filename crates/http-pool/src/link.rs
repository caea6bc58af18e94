//! One HTTP/1.1 connection, driven by whoever uses it.
//!
//! The connection's state machine is polled inside the future that waits for an answer or for body bytes:
//! no task per connection, no hand-over between tasks, back-pressure by not polling, and a dropped
//! future takes the connection with it. Between requests nobody polls; a connection that the server
//! closed meanwhile is noticed when it is used next.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use connector::{Error, ErrorKind, Result};
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::wire::Wire;

/// Read buffer of a connection at most, so also the longest head. Larger ones save few calls and make the
/// allocator map and unmap.
const READ_BUFFER: usize = 64 * 1024;
/// Bytes of a request that may wait between the source and the socket.
const FEED_AHEAD: usize = 256 * 1024;

/// The body of a request.
pub enum Outgoing {
    /// None.
    Empty,
    /// One piece.
    One(Bytes),
    /// Piece by piece.
    Fed(Arc<Feed>),
}

/// A body that is handed over chunk by chunk; shared by the connection, which takes, and the
/// request's future, which gives.
pub struct Feed {
    state: Mutex<FeedState>,
    /// Bytes that the connection has taken: tells slow from stuck.
    taken: AtomicU64,
}

struct FeedState {
    chunks: VecDeque<Bytes>,
    waiting: usize,
    /// Bytes of the whole body that the connection has not seen yet.
    remaining: u64,
    broken: bool,
}

impl Feed {
    /// An empty one for a body of this length.
    #[must_use]
    pub fn new(len: u64) -> Arc<Self> {
        let state = FeedState { chunks: VecDeque::new(), waiting: 0, remaining: len, broken: false };
        Arc::new(Self { state: Mutex::new(state), taken: AtomicU64::new(0) })
    }

    /// With everything in it from the start.
    #[must_use]
    pub fn full(chunks: &[Bytes]) -> Arc<Self> {
        let feed = Self::new(chunks.iter().map(|c| c.len() as u64).sum());
        for c in chunks {
            let mut rest = c.clone();
            while !rest.is_empty() {
                let n = rest.len().min(FEED_AHEAD);
                feed.push(rest.split_to(n));
            }
        }
        feed
    }

    fn with<T>(&self, f: impl FnOnce(&mut FeedState) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Hands a piece over.
    pub fn push(&self, chunk: Bytes) {
        self.with(|s| {
            s.waiting += chunk.len();
            s.chunks.push_back(chunk);
        });
    }

    /// Is there room for more?
    pub fn wants_more(&self) -> bool {
        self.with(|s| s.waiting < FEED_AHEAD)
    }

    /// The rest of the body can't be had: the request breaks off.
    pub fn fail(&self) {
        self.with(|s| s.broken = true);
    }

    /// Bytes that the connection has taken.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::One(b) => {
                let b = std::mem::take(b);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(b))))
            }
            // Pending without a waker is right here: the giver polls the connection after it gave.
            Self::Fed(feed) => feed.with(|s| {
                if s.broken {
                    return Poll::Ready(Some(Err(std::io::ErrorKind::BrokenPipe.into())));
                }
                let Some(c) = s.chunks.pop_front() else {
                    return if s.remaining == 0 { Poll::Ready(None) } else { Poll::Pending };
                };
                s.waiting -= c.len();
                s.remaining = s.remaining.saturating_sub(c.len() as u64);
                feed.taken.fetch_add(c.len() as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(c))))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::One(b) => b.is_empty(),
            Self::Fed(f) => f.with(|s| s.remaining == 0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Empty => 0,
            Self::One(b) => b.len() as u64,
            Self::Fed(f) => f.with(|s| s.remaining),
        })
    }
}

/// A connection.
pub struct Link {
    send: http1::SendRequest<Outgoing>,
    conn: http1::Connection<TokioIo<Wire>, Outgoing>,
    /// It has carried a request before, so the server may have closed it meanwhile.
    pub used: bool,
    over: bool,
}

impl Link {
    /// Makes a connection of an open stream.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn open(wire: Wire) -> Result<Box<Self>> {
        let shaken = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(TokioIo::new(wire)).await;
        let (send, conn) = shaken.map_err(|e| broken("the connection could not be set up", e))?;
        Ok(Box::new(Self { send, conn, used: false, over: false }))
    }

    /// Lets the connection work. It ends when the server closes it or breaks the protocol.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.over && Pin::new(&mut self.conn).poll(cx).is_ready() {
            self.over = true;
        }
    }

    /// May it carry another request?
    pub fn is_open(&self) -> bool {
        !self.over && !self.send.is_closed()
    }

    /// Waits until the last exchange is through. False: the connection is of no more use.
    pub async fn ready(&mut self) -> bool {
        poll_fn(|cx| {
            if let Poll::Ready(r) = self.send.poll_ready(cx) {
                return Poll::Ready(r.is_ok());
            }
            self.drive(cx);
            match self.send.poll_ready(cx) {
                Poll::Ready(r) => Poll::Ready(r.is_ok()),
                Poll::Pending if self.over => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Sends a request and waits for the head of the answer. The supply is asked for
    /// the rest of the body meanwhile; an answer that comes early ends that.
    ///
    /// # Errors
    /// `Unavailable` when the connection breaks; what the supply says.
    pub async fn exchange<S: Supplier>(
        &mut self,
        request: Request<Outgoing>,
        supply: &mut S,
    ) -> Result<Response<Incoming>> {
        let mut answer = pin!(self.send.try_send_request(request));
        let mut step =
            |conn: &mut http1::Connection<TokioIo<Wire>, Outgoing>, over: &mut bool, cx: &mut Context<'_>| {
                if let Poll::Ready(r) = answer.as_mut().poll(cx) {
                    return Poll::Ready(r);
                }
                if !*over && Pin::new(conn).poll(cx).is_ready() {
                    *over = true;
                }
                answer.as_mut().poll(cx)
            };
        loop {
            let answered = if supply.wants() {
                let mut pull = pin!(supply.pull());
                let first = poll_fn(|cx| {
                    if let Poll::Ready(r) = step(&mut self.conn, &mut self.over, cx) {
                        return Poll::Ready(Ok(r));
                    }
                    pull.as_mut().poll(cx).map(Err)
                });
                match first.await {
                    Ok(answered) => answered,
                    Err(pulled) => {
                        pulled?;
                        continue;
                    }
                }
            } else {
                let out = poll_fn(|cx| match step(&mut self.conn, &mut self.over, cx) {
                    Poll::Ready(r) => Poll::Ready(Some(r)),
                    Poll::Pending if supply.wants() => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                });
                match out.await {
                    Some(answered) => answered,
                    None => continue,
                }
            };
            return answered.map_err(|e| broken("no answer", e.into_error()));
        }
    }

    /// The next bytes of a body, `None` at its end.
    ///
    /// # Errors
    /// `Unavailable` when the answer breaks off.
    pub async fn frame(&mut self, body: &mut Incoming) -> Result<Option<Bytes>> {
        loop {
            let frame = poll_fn(|cx| {
                if let Poll::Ready(f) = Pin::new(&mut *body).poll_frame(cx) {
                    return Poll::Ready(f);
                }
                self.drive(cx);
                Pin::new(&mut *body).poll_frame(cx)
            })
            .await;
            match frame {
                None => return Ok(None),
                Some(Err(e)) => return Err(broken("the answer broke off", e)),
                Some(Ok(f)) => {
                    if let Ok(data) = f.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// The connection broke or nothing came in time.
pub(crate) fn broken(what: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Unavailable, what).caused_by(cause)
}

/// Who gives the rest of a request's body while it is being sent.
#[allow(
    async_fn_in_trait,
    reason = "used with concrete types only, so their futures are Send where they can be"
)]
pub trait Supplier {
    /// Is there room and something left?
    fn wants(&self) -> bool;
    /// Moves some more into the body.
    ///
    /// # Errors
    /// The supplier's own: it ends the request.
    async fn pull(&mut self) -> Result<()>;
}

/// The body is complete from the start.
pub struct Nothing;

impl Supplier for Nothing {
    fn wants(&self) -> bool {
        false
    }

    async fn pull(&mut self) -> Result<()> {
        Ok(())
    }
}
