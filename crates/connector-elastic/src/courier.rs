//! Brings one bulk to its end: sent, sent again, halved, with a word for every action that is refused.

use std::io::Write;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use connector::{Error, ErrorKind, Result};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use http_pool::{Answer, Call, Pool, retry};
use runtime::Random;

use crate::answer::{self, Verdict};
use crate::bulk::Sealed;

/// Attempts in a row without any progress.
const MAX_ATTEMPTS: u32 = 6;
/// Of an answer: this much, and this much more for each action.
const ANSWER: (usize, usize) = (1 << 20, 4 << 10);

/// Takes bulks to the server.
pub(crate) struct Courier {
    pub(crate) pool: Pool,
    pub(crate) path: String,
    pub(crate) gzip: bool,
    pub(crate) random: Random,
}

/// A bulk that has come to its end.
pub(crate) struct Delivered {
    pub(crate) bulk: Sealed,
    /// Actions that were refused, and why.
    pub(crate) refused: Vec<(usize, String)>,
    /// Whether the others are at the destination.
    pub(crate) result: Result<()>,
}

/// What became of a request.
enum Sent {
    /// Every action has its verdict; none: all is well.
    Judged(Option<Vec<Verdict>>),
    /// The request as a whole is not acceptable: which of its actions is to blame has to be found out.
    Unfit(String),
    /// Later perhaps.
    Again(Error, Option<Duration>),
}

impl Courier {
    pub(crate) async fn deliver(&self, bulk: Sealed) -> Delivered {
        let mut refused = Vec::new();
        let result = self.halves(&bulk, &mut refused).await;
        Delivered { bulk, refused, result }
    }

    /// The whole, and where that is refused as a whole, its halves in order: an earlier action on a document goes before a later one.
    async fn halves(&self, bulk: &Sealed, refused: &mut Vec<(usize, String)>) -> Result<()> {
        let mut ranges = vec![(0, bulk.items.len())];
        while let Some((start, end)) = ranges.pop() {
            let range = start..end;
            let Some(why) = self.range(bulk, range.clone(), refused).await? else { continue };
            if range.len() <= 1 {
                refused.push((range.start, why));
                continue;
            }
            let middle = range.start + range.len() / 2;
            ranges.push((middle, end));
            ranges.push((start, middle));
        }
        Ok(())
    }

    /// Sends a range of actions until each is done or refused. Returns why the server will not have the range as a whole.
    async fn range(
        &self,
        bulk: &Sealed,
        range: Range<usize>,
        refused: &mut Vec<(usize, String)>,
    ) -> Result<Option<String>> {
        let mut left: Vec<usize> = range.collect();
        let mut attempt = 0;
        while !left.is_empty() {
            let (error, asked) = match self.send(bulk.body_of(&left), left.len()).await? {
                Sent::Judged(None) => return Ok(None),
                Sent::Unfit(why) => return Ok(Some(why)),
                Sent::Again(error, asked) => (error, asked),
                Sent::Judged(Some(verdicts)) => {
                    let before = left.len();
                    let Some(error) = sort_out(bulk, &mut left, verdicts, refused)? else { return Ok(None) };
                    if left.len() < before {
                        attempt = 0;
                    }
                    (error, None)
                }
            };
            attempt += 1;
            if attempt >= MAX_ATTEMPTS || asked.is_some_and(|a| a > retry::LONGEST_ASKED) {
                return Err(error);
            }
            let throttled = error.kind() == ErrorKind::Throttled;
            let pause = retry::pause(attempt - 1, throttled, asked, &self.random);
            tracing::debug!(%error, ?pause, attempt, actions = left.len(), "bulk is sent again");
            tokio::time::sleep(pause).await;
        }
        Ok(None)
    }

    /// One request.
    async fn send(&self, body: Bytes, n: usize) -> Result<Sent> {
        const TYPE: (HeaderName, HeaderValue) =
            (CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        const GZIP: (HeaderName, HeaderValue) = (CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let (body, headers) = if self.gzip { (gzip(&body)?, &[TYPE, GZIP][..]) } else { (body, &[TYPE][..]) };
        let limit = ANSWER.0 + n.saturating_mul(ANSWER.1);
        let call = Call { method: Method::POST, path: &self.path, headers, body, limit };
        match self.pool.call(call).await {
            Ok(answer) if answer.is_success() => Ok(match answer::read(&answer.body, n) {
                Ok(verdicts) => Sent::Judged(verdicts),
                // Whatever stands there: the actions can be sent again, so they are.
                Err(what) => Sent::Again(Error::new(ErrorKind::Unavailable, what), None),
            }),
            Ok(answer) => unhappy(&answer),
            Err(e) if e.kind() == ErrorKind::Unavailable => Ok(Sent::Again(e, None)),
            Err(e) => Err(e),
        }
    }
}

/// Takes what is done and what is refused out of `left`; the rest is to be sent again because of the error that is returned.
fn sort_out(
    bulk: &Sealed,
    left: &mut Vec<usize>,
    verdicts: Vec<Verdict>,
    refused: &mut Vec<(usize, String)>,
) -> Result<Option<Error>> {
    let (mut done, mut again, mut why) = (Vec::new(), Vec::new(), None);
    for (item, verdict) in left.iter().zip(verdicts) {
        match verdict {
            Verdict::Done => done.push(*item),
            Verdict::Refused(reason) => refused.push((*item, reason)),
            Verdict::Over(error) => return Err(error),
            Verdict::Again(kind, reason) => {
                again.push(*item);
                why = Some(Error::new(kind, reason));
            }
        }
    }
    // What a later action has replaced already must not come back.
    again.retain(|item| !bulk.overtaken(*item, &done));
    *left = again;
    Ok(why.filter(|_| !left.is_empty()))
}

fn unhappy(answer: &Answer) -> Result<Sent> {
    let said = format!("the server answered {} {}", answer.status, answer.words());
    match answer.status {
        400 => Ok(Sent::Unfit(said)),
        413 => Ok(Sent::Unfit("the document is larger than the server takes (413)".to_owned())),
        401 | 403 => Err(Error::new(ErrorKind::Denied, said)),
        404 => Err(Error::new(ErrorKind::NotFound, said)),
        429 => Ok(Sent::Again(Error::new(ErrorKind::Throttled, said), answer.retry_after())),
        408 | 500 | 502..=599 => {
            Ok(Sent::Again(Error::new(ErrorKind::Unavailable, said), answer.retry_after()))
        }
        _ => Err(Error::new(ErrorKind::Other, said)),
    }
}

fn gzip(body: &[u8]) -> Result<Bytes> {
    let mut writer =
        flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    writer.write_all(body)?;
    Ok(Bytes::from(writer.finish()?))
}
