//! A record sink for servers that take or refuse a request as a whole.
//!
//! Records of one split are put into a [`Parcel`] until it is large or old enough. A split has one parcel on its way, so its order holds; several splits
//! have theirs at once. A parcel that is refused as a whole is halved, in order, until the records that are to blame stand alone.
//!
//! A carrier that needs the same records in the same request after a crash ([`Carrier::repeats`]: so that the server can tell a repetition) writes
//! down where each parcel ends before it is sent ([`Carrier::announce`]), and says so after the crash ([`Carrier::cuts`]): the parcels are then cut at the
//! same positions. That holds only when a run begins where a parcel began. So such a sink tells marks at the ends of parcels only, and
//! ends its parcels with a unit where it can. A parcel that must end further on than the lane's window reaches (it was larger before the crash) is
//! sent early, as a new one, rather than never: there it is at least once.

mod sink;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{Mark, RecordRef, Split, Ticket};
use connector::{Error, ErrorKind, Result};
use runtime::Random;
use tokio::time::Instant;

use crate::retry;

pub use sink::ParcelSink;

/// Why a record can't be sent at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `Corrupt`: the options say that such a record is dropped; else `Unacceptable`.
    pub kind: ErrorKind,
    /// Why.
    pub reason: String,
}

/// When a parcel is sent, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// With this many records.
    pub records: usize,
    /// With this many bytes.
    pub bytes: usize,
    /// At this age.
    pub linger: Duration,
    /// Parcels on their way at most (of one split: one).
    pub in_flight: usize,
    /// Attempts of one request.
    pub attempts: u32,
}

/// A record in a parcel.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    ticket: Ticket,
    index: usize,
    start: usize,
    /// Position.
    pub offset: i64,
    /// Which of the records made from the one there.
    pub sub: u32,
}

/// Records on their way.
#[derive(Debug)]
pub struct Parcel {
    split: Split,
    body: Vec<u8>,
    pieces: Vec<Piece>,
    since: Option<Instant>,
    /// It ends with a unit.
    whole: bool,
}

impl Parcel {
    fn new(split: Split) -> Self {
        Self { split, body: Vec::new(), pieces: Vec::new(), since: None, whole: false }
    }

    /// Where they come from.
    #[must_use]
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The records.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What the carrier wrote for some of them.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        let at = |n: usize| self.pieces.get(n).map_or(self.body.len(), |p| p.start);
        self.body.get(at(range.start)..at(range.end)).unwrap_or_default()
    }

    fn last(&self) -> Option<i64> {
        self.pieces.last().map(|p| p.offset)
    }
}

/// What is known before a parcel is sent for the first time.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Of this split.
    pub split: Split,
    /// Everything before is settled, and a parcel began here.
    pub mark: Mark,
    /// The last position of each parcel since then, this one's and those that are known already to follow included.
    pub cuts: Vec<i64>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Posted {
    /// It was taken.
    Done,
    /// It was not, and never will be as it is.
    Unfit(String),
    /// Perhaps later; not before this time.
    Again(Error, Option<Duration>),
}

/// A product behind a [`ParcelSink`].
#[async_trait(?Send)]
pub trait Carrier: 'static {
    /// For people.
    fn describe(&self) -> String;

    /// Appends what is sent of a record.
    ///
    /// # Errors
    /// It can't be sent; nothing was appended.
    fn encode(&self, split: &Split, record: &RecordRef<'_>, out: &mut Vec<u8>) -> Result<(), Refusal>;

    /// See [`committed`](connector::records::RecordSink::committed).
    ///
    /// # Errors
    /// As there.
    async fn committed(&self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        Ok(vec![None; known.len()])
    }

    /// Must parcels be the same after a crash?
    fn repeats(&self) -> bool {
        false
    }

    /// Where the next parcels of a split end that were announced before and may have been taken.
    fn cuts(&self, _split: &Split) -> Vec<i64> {
        Vec::new()
    }

    /// Notes durably what is about to be sent.
    ///
    /// # Errors
    /// It can't: the parcel is not sent, and the run of the lane ends.
    async fn announce(&self, _what: &Announcement) -> Result<()> {
        Ok(())
    }

    /// Sends some records of a parcel.
    ///
    /// # Errors
    /// What ends the run of the lane.
    async fn post(&self, parcel: &Parcel, range: Range<usize>) -> Result<Posted>;
}

struct Delivered {
    parcel: Parcel,
    refused: Vec<(usize, String)>,
    result: Result<()>,
}

/// Announces a parcel and sends it: the whole, and where that is refused, its halves in order.
async fn deliver<C: Carrier>(
    carrier: &C,
    (parcel, announcement): (&Parcel, &Announcement),
    refused: &mut Vec<(usize, String)>,
    (limits, random): (&Limits, &Random),
) -> Result<()> {
    carrier.announce(announcement).await?;
    let mut ranges = vec![(0, parcel.pieces.len())];
    while let Some((start, end)) = ranges.pop() {
        let mut attempt = 0;
        let why = loop {
            match carrier.post(parcel, start..end).await? {
                Posted::Done => break None,
                Posted::Unfit(why) => break Some(why),
                Posted::Again(error, asked) => {
                    attempt += 1;
                    if attempt >= limits.attempts || asked.is_some_and(|a| a > retry::LONGEST_ASKED) {
                        return Err(error);
                    }
                    let pause =
                        retry::pause(attempt - 1, error.kind() == ErrorKind::Throttled, asked, random);
                    tracing::debug!(%error, ?pause, attempt, "request is made again");
                    tokio::time::sleep(pause).await;
                }
            }
        };
        let Some(why) = why else { continue };
        if end - start <= 1 {
            refused.push((start, why));
        } else {
            let middle = start + (end - start) / 2;
            ranges.push((middle, end));
            ranges.push((start, middle));
        }
    }
    Ok(())
}
