//! Answers: pages of records, counts over time, the most frequent values.
//!
//! All go through [`scan`]: it passes over what can't match or isn't worth it, and stops at the deadline.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::block::RecordRef;
use crate::query::{Compiled, Cursor, Order, Query, value_of};
use crate::segment::{Segment, read_block};
use crate::topic::{Open, Topic};
use crate::wal::{self, Wal};
use crate::{Error, Result};

/// Records of one answer at most.
const MAX_RECORDS: usize = 10_000;
/// Bytes of one answer at most, about.
const MAX_BYTES: usize = 8 << 20;
/// Stretches of a histogram at most.
const MAX_STRETCHES: i64 = 5000;
/// Values that are told apart; further ones are counted together.
const MAX_VALUES: usize = 100_000;
/// Bytes of these values at most.
const MAX_VALUE_BYTES: usize = 8 << 20;
/// Longest value that is told apart; of longer ones the beginning counts.
const MAX_VALUE: usize = 256;
/// Records between two looks at the clock.
const LOOK: u64 = 512;

/// A record as it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the topic, the same for ever.
    pub number: u64,
    /// µs since the epoch.
    pub time: i64,
    /// Where it comes from.
    pub stream: String,
    /// A JSON object.
    pub text: Vec<u8>,
}

/// A page of records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The records in order.
    pub records: Vec<Record>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Cursor>,
    /// False when the time ran out: records may be missing.
    pub complete: bool,
    /// Records that were looked at.
    pub scanned: u64,
    /// Blocks that could not be read.
    pub damaged: u64,
}

/// Counts over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// Where each stretch begins, and its records; none is left out.
    pub counts: Vec<(i64, u64)>,
    /// All records that match.
    pub total: u64,
    /// False when the time ran out.
    pub complete: bool,
    /// Records that were looked at; whole blocks are counted without.
    pub scanned: u64,
    /// Blocks that could not be read.
    pub damaged: u64,
}

/// The most frequent values of a field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Top {
    /// Values with their counts, the most frequent first.
    pub values: Vec<(String, u64)>,
    /// Records with other values.
    pub others: u64,
    /// Records without the field.
    pub without: u64,
    /// All records that match.
    pub total: u64,
    /// False when the time ran out, or there were too many values to tell apart: the counts are right then, but a value may be missing.
    pub complete: bool,
    /// Records that were looked at.
    pub scanned: u64,
    /// Blocks that could not be read.
    pub damaged: u64,
}

impl Topic {
    /// A page of records.
    ///
    /// # Errors
    /// `Invalid`, `Io`.
    pub fn query(&self, q: &Query, time: Duration) -> Result<Page> {
        if q.limit == 0 || q.limit > MAX_RECORDS {
            return Err(Error::Invalid(format!("an answer has 1 to {MAX_RECORDS} records")));
        }
        let compiled = Compiled::of(q)?;
        let mut best = Best::new(q);
        let state = scan(self, &compiled, q.order, time, &mut best)?;
        let full = best.kept.len() >= best.limit;
        let records = best.into_records();
        let last = records.last().map(|r| Cursor { time: r.time, number: r.number });
        let next = last.filter(|_| full && state.complete);
        let (scanned, damaged) = (state.scanned, state.damaged.len() as u64);
        Ok(Page { records, next, complete: state.complete, scanned, damaged })
    }

    /// How many records match in each stretch of `interval` µs.
    ///
    /// # Errors
    /// `Invalid`, `Io`.
    pub fn histogram(&self, q: &Query, interval: i64, time: Duration) -> Result<Histogram> {
        if interval <= 0 {
            return Err(Error::Invalid("the interval must be greater than nothing".to_owned()));
        }
        let mut q = q.clone();
        let Some((oldest, newest)) = self.stats().times else {
            return Ok(Histogram { complete: true, ..Histogram::default() });
        };
        if q.from == i64::MIN {
            q.from = oldest;
        }
        if q.to == i64::MAX {
            q.to = newest.saturating_add(1);
        }
        let (first, last) = (q.from.div_euclid(interval), q.to.saturating_sub(1).div_euclid(interval));
        let count = last.saturating_sub(first).saturating_add(1).max(0);
        if count > MAX_STRETCHES {
            let words = format!("a histogram has {MAX_STRETCHES} stretches at most: take a longer interval");
            return Err(Error::Invalid(words));
        }
        let compiled = Compiled::of(&q)?;
        let counts = vec![0; usize::try_from(count).unwrap_or(0)];
        let mut bars = Bars { interval, first, counts, q: &compiled };
        let state = scan(self, &compiled, Order::Oldest, time, &mut bars)?;
        let stretches = (first..).zip(&bars.counts);
        Ok(Histogram {
            total: bars.counts.iter().sum(),
            counts: stretches.map(|(n, c)| (n.saturating_mul(interval), *c)).collect(),
            complete: state.complete,
            scanned: state.scanned,
            damaged: state.damaged.len() as u64,
        })
    }

    /// The `most` most frequent values of a field.
    ///
    /// # Errors
    /// `Invalid`, `Io`.
    pub fn top(&self, q: &Query, field: &str, most: usize, time: Duration) -> Result<Top> {
        if most == 0 || most > MAX_RECORDS || field.is_empty() {
            return Err(Error::Invalid(format!("a field and 1 to {MAX_RECORDS} values can be asked for")));
        }
        let compiled = Compiled::of(q)?;
        let mut tally = Tally { field, ..Tally::default() };
        let state = scan(self, &compiled, Order::Newest, time, &mut tally)?;
        let mut values: Vec<(String, u64)> = tally.values.into_iter().collect();
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let beyond: u64 = values.iter().skip(most).map(|(_, n)| n).sum();
        let with: u64 = values.iter().map(|(_, n)| n).sum::<u64>() + tally.untold;
        values.truncate(most);
        Ok(Top {
            values,
            others: beyond + tally.untold,
            without: tally.without,
            total: with + tally.without,
            complete: state.complete && tally.untold == 0,
            scanned: state.scanned,
            damaged: state.damaged.len() as u64,
        })
    }
}

/// What becomes of matching records.
trait Taker {
    /// May records of this stretch of time (or with these numbers, where they are known) still count?
    fn worth(&self, _times: (i64, i64), _numbers: Option<(u64, u64)>) -> bool {
        true
    }

    /// Takes a block by its number of records, if that is all that is wanted.
    fn whole(&mut self, _times: (i64, i64), _records: u64) -> bool {
        false
    }

    fn take(&mut self, r: &RecordRef<'_>);
}

/// How a scan went.
struct State {
    complete: bool,
    scanned: u64,
    damaged: Vec<(u64, u64)>,
}

enum Source {
    Open(Open),
    Sealed(Arc<Segment>),
}

impl Source {
    fn times(&self) -> (i64, i64) {
        match self {
            Self::Open(o) => o.times,
            Self::Sealed(s) => (s.summary.min, s.summary.max),
        }
    }

    fn numbers(&self) -> (u64, u64) {
        match self {
            Self::Open(o) => o.numbers,
            Self::Sealed(s) => s.summary.numbers,
        }
    }
}

struct Scan<'a> {
    q: &'a Compiled,
    order: Order,
    until: i64,
    topic: &'a Topic,
    state: State,
}

fn scan(topic: &Topic, q: &Compiled, order: Order, time: Duration, taker: &mut dyn Taker) -> Result<State> {
    let view = topic.view()?;
    let mut sources: Vec<Source> = view.segments.into_iter().map(Source::Sealed).collect();
    sources.extend(view.open.map(Source::Open));
    match order {
        Order::Newest => sources.sort_by_key(|s| std::cmp::Reverse(s.times().1)),
        Order::Oldest => sources.sort_by_key(|s| s.times().0),
        Order::Arrival => sources.sort_by_key(|s| s.numbers().0),
    }
    let until = topic.clock.now().0.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    let state = State { complete: true, scanned: 0, damaged: Vec::new() };
    let mut scan = Scan { q, order, until, topic, state };
    for source in &sources {
        let (min, max) = source.times();
        if max < q.from || min >= q.to || !taker.worth((min, max), Some(source.numbers())) {
            continue;
        }
        let goes_on = match source {
            Source::Open(open) => scan.open(open, taker)?,
            Source::Sealed(segment) => scan.sealed(segment, taker)?,
        };
        if !goes_on {
            scan.state.complete = false;
            break;
        }
    }
    topic.found_damaged(&scan.state.damaged);
    Ok(scan.state)
}

impl Scan<'_> {
    /// Is there time left?
    fn has_time(&self) -> bool {
        self.topic.clock.now().0 < self.until
    }

    fn look(&mut self, r: &RecordRef<'_>, taker: &mut dyn Taker) -> bool {
        self.state.scanned += 1;
        if self.q.matches(r) {
            taker.take(r);
        }
        !self.state.scanned.is_multiple_of(LOOK) || self.has_time()
    }

    fn open(&mut self, open: &Open, taker: &mut dyn Taker) -> Result<bool> {
        let bytes = Wal::read(&open.file, open.bytes)?;
        for entry in wal::entries(&bytes) {
            for r in entry.records() {
                if !self.look(&r, taker) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn sealed(&mut self, segment: &Segment, taker: &mut dyn Taker) -> Result<bool> {
        let file = match File::open(&segment.path) {
            Ok(file) => file,
            // It went the way of old records meanwhile.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            Err(e) => return Err(e.into()),
        };
        let mut blocks = segment.blocks(&file)?;
        if self.order == Order::Newest {
            blocks.reverse();
        }
        for meta in blocks {
            let times = (meta.min, meta.max);
            if !meta.may_match(self.q) || !taker.worth(times, None) {
                continue;
            }
            if self.q.takes_all(meta.min, meta.max) && taker.whole(times, meta.records) {
                continue;
            }
            if !self.has_time() {
                return Ok(false);
            }
            let Some(block) = read_block(&file, &meta) else {
                self.state.damaged.push((segment.sequence, meta.at));
                continue;
            };
            for r in block.records() {
                if !self.look(&r, taker) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// The first records in an order.
struct Best {
    order: Order,
    after: Option<Cursor>,
    limit: usize,
    kept: BTreeMap<Cursor, Record>,
    bytes: usize,
}

impl Best {
    fn new(q: &Query) -> Self {
        Self { order: q.order, after: q.after, limit: q.limit, kept: BTreeMap::new(), bytes: 0 }
    }

    /// What it is sorted by.
    fn key(&self, c: Cursor) -> Cursor {
        if self.order == Order::Arrival { Cursor { time: 0, number: c.number } } else { c }
    }

    /// Does it come after the cursor?
    fn is_new(&self, key: Cursor) -> bool {
        self.after.is_none_or(|after| match self.order {
            Order::Newest => key < after,
            Order::Oldest => key > after,
            Order::Arrival => key > self.key(after),
        })
    }

    /// The key that goes when a better one comes.
    fn worst(&self) -> Option<Cursor> {
        let end = if self.order == Order::Newest { self.kept.keys().next() } else { self.kept.keys().last() };
        end.copied()
    }

    fn is_better(&self, key: Cursor, than: Cursor) -> bool {
        if self.order == Order::Newest { key > than } else { key < than }
    }

    fn into_records(self) -> Vec<Record> {
        let records = self.kept.into_values();
        if self.order == Order::Newest { records.rev().collect() } else { records.collect() }
    }
}

impl Taker for Best {
    fn worth(&self, (min, max): (i64, i64), numbers: Option<(u64, u64)>) -> bool {
        // The best that may be there.
        let best = match (self.order, numbers) {
            (Order::Newest, _) => Cursor { time: max, number: u64::MAX },
            (Order::Oldest, _) => Cursor { time: min, number: 0 },
            (Order::Arrival, Some((first, _))) => Cursor { time: 0, number: first },
            (Order::Arrival, None) => return true,
        };
        let is_old = self.after.is_some_and(|after| match (self.order, numbers) {
            (Order::Newest, _) => min > after.time,
            (Order::Oldest, _) => max < after.time,
            (Order::Arrival, Some((_, next))) => next <= after.number.saturating_add(1),
            (Order::Arrival, None) => false,
        });
        let is_full = self.kept.len() >= self.limit;
        !(is_old || is_full && self.worst().is_some_and(|w| !self.is_better(best, w)))
    }

    fn take(&mut self, r: &RecordRef<'_>) {
        let key = self.key(Cursor { time: r.time, number: r.number });
        let is_full = self.kept.len() >= self.limit;
        if !self.is_new(key) || (is_full && self.worst().is_some_and(|w| !self.is_better(key, w))) {
            return;
        }
        let record =
            Record { number: r.number, time: r.time, stream: r.stream.to_owned(), text: r.text.to_vec() };
        self.bytes += r.text.len();
        self.kept.insert(key, record);
        while self.kept.len() > self.limit || (self.bytes > MAX_BYTES && self.kept.len() > 1) {
            let Some(gone) = self.worst().and_then(|w| self.kept.remove(&w)) else { break };
            self.bytes = self.bytes.saturating_sub(gone.text.len());
            // From here on there is no room for more: a page that had a hole would be none.
            self.limit = self.limit.min(self.kept.len().max(1));
        }
    }
}

struct Bars<'a> {
    interval: i64,
    first: i64,
    counts: Vec<u64>,
    q: &'a Compiled,
}

impl Bars<'_> {
    fn add(&mut self, time: i64, records: u64) {
        let at = usize::try_from(time.div_euclid(self.interval) - self.first);
        if let Some(count) = at.ok().and_then(|at| self.counts.get_mut(at)) {
            *count += records;
        }
    }
}

impl Taker for Bars<'_> {
    fn whole(&mut self, (min, max): (i64, i64), records: u64) -> bool {
        let one = min.div_euclid(self.interval) == max.div_euclid(self.interval);
        if one && self.q.takes_all(min, max) {
            self.add(min, records);
        }
        one
    }

    fn take(&mut self, r: &RecordRef<'_>) {
        self.add(r.time, 1);
    }
}

#[derive(Default)]
struct Tally<'a> {
    field: &'a str,
    values: HashMap<String, u64>,
    bytes: usize,
    untold: u64,
    without: u64,
}

impl Taker for Tally<'_> {
    fn take(&mut self, r: &RecordRef<'_>) {
        let Some(value) = value_of(r, self.field) else {
            self.without += 1;
            return;
        };
        let end = (0..=MAX_VALUE.min(value.len())).rev().find(|n| value.is_char_boundary(*n)).unwrap_or(0);
        let value = value.get(..end).unwrap_or_default();
        let has_room = self.values.len() < MAX_VALUES && self.bytes < MAX_VALUE_BYTES;
        match self.values.get_mut(value) {
            Some(count) => *count += 1,
            None if has_room => {
                self.bytes += value.len();
                self.values.insert(value.to_owned(), 1);
            }
            None => self.untold += 1,
        }
    }
}
