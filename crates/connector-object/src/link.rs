//! A source as the body of a request. The connection itself is `http_pool::Link`.

use bytes::Bytes;
use connector::{Error, ErrorKind, Source};
pub(crate) use http_pool::{Feed, Link, Nothing, Outgoing, Supplier};

use crate::checksum::Running;

/// A source on its way into a request's body.
pub(crate) struct Supply<'a> {
    pub(crate) source: &'a mut dyn Source,
    pub(crate) feed: &'a Feed,
    pub(crate) running: &'a mut Running,
    pub(crate) len: u64,
    pub(crate) ended: bool,
    /// The source broke its word or failed: the error is its own, not the destination's.
    pub(crate) failed: bool,
}

impl Supplier for Supply<'_> {
    fn wants(&self) -> bool {
        !self.ended && self.feed.wants_more()
    }

    async fn pull(&mut self) -> connector::Result<()> {
        let chunk = self.source.next().await;
        self.take(chunk)
    }
}

impl Supply<'_> {
    /// Passes a chunk on. The length that was announced is kept or the request fails.
    fn take(&mut self, chunk: connector::Result<Option<Bytes>>) -> connector::Result<()> {
        let problem = match chunk {
            Ok(Some(c)) if self.running.len() + c.len() as u64 <= self.len => {
                self.running.update(&c);
                self.feed.push(c);
                return Ok(());
            }
            Ok(Some(_)) => Error::new(ErrorKind::Changed, "the source gave more bytes than it had announced"),
            Ok(None) if self.running.len() == self.len => {
                self.ended = true;
                return Ok(());
            }
            Ok(None) => Error::new(ErrorKind::Changed, "the source gave fewer bytes than it had announced"),
            Err(e) => e,
        };
        self.feed.fail();
        self.failed = true;
        Err(problem)
    }
}
