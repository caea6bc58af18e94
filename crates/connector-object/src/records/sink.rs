//! The sink: gathers lines per split and hands them to the split's writer when they are due.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{
    Account, Books, Context, Endpoint, Mark, RecordSink, Settled, SharedHost, Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::format::Shape;
use super::learnt::Learnt;
use super::object::{MIN_PART, Open, Packing, Room};
use super::options::{self, Plan};
use super::parquet::ParquetFile;
use super::pointer::Pointer;
use super::store::Store;
use super::writer::{Job, Shared, Writer};
use super::{dump, errors};
use crate::client::Client;

/// Splits that are taken over at once.
const TAKE_OVER_AT_ONCE: usize = 8;
/// Parts of one object at most (the protocol allows 10,000).
const MAX_PARTS: u64 = 8000;
/// How long [`probe`] takes at most.
const PROBE: Duration = Duration::from_secs(5);

/// Is the bucket there, and may we see it?
///
/// # Errors
/// `NotFound`, `Denied`, `Unavailable`, `Unacceptable` bad options.
pub async fn probe(endpoint: &Endpoint) -> Result<()> {
    let (site, bucket) = if dump::wanted(&endpoint.options) {
        dump::place(endpoint)?
    } else if errors::wanted(&endpoint.options) {
        errors::place(endpoint)?
    } else {
        let (site, plan) = options::read(endpoint)?;
        (site, plan.place.bucket)
    };
    let client = Client::new(&site);
    match tokio::time::timeout(PROBE, client.head_bucket(&bucket)).await {
        Ok(answer) => Ok(answer.map(drop)?),
        Err(_) => Err(Error::new(ErrorKind::Unavailable, "the store gave no answer within 5 s")),
    }
}

/// A sink that writes objects of records.
///
/// # Errors
/// `Unacceptable` bad options.
pub fn sink(endpoint: &Endpoint, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
    if dump::wanted(&endpoint.options) {
        return dump::sink(endpoint, context, host);
    }
    let (site, plan) = options::read(endpoint)?;
    let part = (plan.max_bytes / MAX_PARTS).max(MIN_PART as u64);
    let client = Client::new(&site);
    let place = plan.place.clone();
    let store = Store { client, place, random: context.random.clone(), plain: Cell::new(false) };
    Ok(Box::new(BucketSink {
        plan,
        shared: Rc::new(Shared::new(store)),
        context: context.clone(),
        splits: HashMap::new(),
        taken: HashMap::new(),
        books: Books::default(),
        tried: false,
        part: usize::try_from(part).unwrap_or(MIN_PART),
        room: Room::new(context.budget.clone()),
    }))
}

struct State {
    writer: Writer,
    open: Option<Open>,
    /// The columns of the split's records, where objects have some.
    learnt: Option<Box<Learnt>>,
}

struct BucketSink {
    plan: Plan,
    shared: Rc<Shared>,
    context: Context,
    splits: HashMap<Split, State>,
    /// Pointers of splits that were asked for and are not open yet.
    taken: HashMap<Split, Pointer>,
    /// Marks of what was taken, ahead of what is settled.
    books: Books,
    tried: bool,
    part: usize,
    room: Room,
}

impl BucketSink {
    fn store(&self) -> &Store {
        &self.shared.store
    }

    async fn take_over(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        let store = self.store();
        let naming = &self.plan.naming;
        let pipeline = &self.context.pipeline;
        if !self.tried {
            store.try_conditions(&naming.trial(pipeline)).await?;
        }
        let one = |(split, mark): (Split, Option<Mark>)| {
            let key = naming.pointer(pipeline, &split);
            async move {
                let taken = Pointer::take_over(store, key, mark).await;
                taken.map(|(pointer, mark)| (split, pointer, mark))
            }
        };
        let taken: Vec<_> =
            stream::iter(known.iter().cloned()).map(one).buffered(TAKE_OVER_AT_ONCE).try_collect().await?;
        self.tried = true;
        self.room.prepare().await;
        let mut marks = Vec::with_capacity(taken.len());
        for (split, pointer, mark) in taken {
            self.taken.insert(split, pointer);
            marks.push(mark);
        }
        Ok(marks)
    }

    /// Formats a unit's records into the split's open object; returns the account of them.
    fn append(&mut self, unit: &Unit, begun_us: i64) -> Result<Account> {
        let plan = &self.plan;
        let split = unit.batch.split();
        let Some(state) = self.splits.get_mut(split) else { return Err(not_open(split)) };
        let mut skipped = (0, 0);
        let (mut items, mut bytes) = (0, 0);
        for (i, record) in unit.batch.iter().enumerate() {
            let weight = unit.weight(i);
            if !plan.format.writes(&record) {
                skipped.0 += 1;
                skipped.1 += weight;
                continue;
            }
            let open = state.open.get_or_insert_with(|| {
                let (at, ms) = (record.offset, record.timestamp_ms);
                let key = plan.naming.object(&self.context.pipeline, split, at, ms);
                let mut open = Open::new(key, begun_us, plan.packing);
                plan.format.begin(&mut open.text);
                open
            });
            plan.format.push(&mut open.text, &record);
            items += 1;
            bytes += weight;
        }
        let mut account = Account::default();
        account.add(Account::WRITTEN, items, bytes);
        account.add(Account::SKIPPED, skipped.0, skipped.1);
        Ok(account)
    }

    /// Adds a unit's records to the split's open Parquet file; returns the account of them. Where they need other columns than the
    /// file has, that one is completed first.
    async fn append_rows(&mut self, unit: &Unit, begun_us: i64) -> Result<Account> {
        let split = unit.batch.split();
        let (mut values, mut first, mut account) = (Vec::new(), None, Account::default());
        for (i, record) in unit.batch.iter().enumerate() {
            let weight = unit.weight(i);
            if !self.plan.format.writes(&record) {
                account.add(Account::SKIPPED, 1, weight);
                continue;
            }
            first.get_or_insert((record.offset, record.timestamp_ms));
            values.push(self.plan.format.value(&record));
            account.add(Account::WRITTEN, 1, weight);
        }
        let Some((at, ms)) = first else { return Ok(account) };
        let state = self.splits.get_mut(split).ok_or_else(|| not_open(split))?;
        let learnt = state.learnt.as_mut().ok_or_else(|| not_open(split))?;
        let (rows, changed) = learnt.rows(&values)?;
        let schema = learnt.schema();
        if changed {
            self.advance(split, true).await?;
        }
        let state = self.splits.get_mut(split).ok_or_else(|| not_open(split))?;
        let open = state.open.get_or_insert_with(|| {
            let key = self.plan.naming.object(&self.context.pipeline, split, at, ms);
            Open::new(key, begun_us, Packing::None)
        });
        let compression = match self.plan.packing {
            Packing::None => columnar::Compression::None,
            _ => columnar::Compression::Zstd,
        };
        let file = match open.columns.take() {
            Some(file) => file,
            None => Box::new(ParquetFile::new(schema, compression)?),
        };
        open.columns.insert(file).write(&rows)?;
        Ok(account)
    }

    /// Sends what a split has ready, and completes its object if that is due.
    async fn advance(&mut self, split: &Split, finish: bool) -> Result<()> {
        let Some(state) = self.splits.get_mut(split) else { return Ok(()) };
        let Some(open) = &mut state.open else { return Ok(()) };
        open.pack(finish);
        if finish || open.size() >= self.plan.max_bytes {
            open.end()?;
            let bytes = open.take();
            let (key, mark) = (open.key.clone(), open.mark);
            state.open = None;
            return state.writer.give(&self.shared, Job::Finish { key, bytes, mark }).await;
        }
        if open.ready() >= self.part {
            let bytes = open.take();
            let key = open.key.clone();
            return state.writer.give(&self.shared, Job::Part { key, bytes }).await;
        }
        Ok(())
    }

    /// Keeps within the sink's room and the process's budget.
    async fn keep_room(&mut self) -> Result<()> {
        loop {
            let open: u64 = self.splits.values().filter_map(|s| s.open.as_ref()).map(Open::held).sum();
            let sent = self.shared.in_flight();
            if self.room.has(open + sent) {
                return Ok(());
            }
            // What is on its way makes room by itself, if it is worth waiting for.
            if sent > open {
                self.shared.wait_one().await?;
                continue;
            }
            let largest = |(split, s): (&Split, &State)| Some((s.open.as_ref()?.held(), split.clone()));
            match self.splits.iter().filter_map(largest).max_by_key(|(n, _)| *n) {
                Some((_, split)) => self.push_out(split).await?,
                None if sent > 0 => self.shared.wait_one().await?,
                None => return Ok(()),
            }
        }
    }

    /// Makes a split's buffer smaller: compresses it, sends it as a part, or, when it is too small for one, completes its object early.
    async fn push_out(&mut self, split: Split) -> Result<()> {
        let Some(state) = self.splits.get_mut(&split) else { return Ok(()) };
        let Some(open) = &mut state.open else { return Ok(()) };
        if open.relieve() {
            return Ok(());
        }
        open.pack(true);
        if open.ready() < MIN_PART {
            return self.advance(&split, true).await;
        }
        let bytes = open.take();
        let key = open.key.clone();
        state.writer.give(&self.shared, Job::Part { key, bytes }).await
    }
}

fn not_open(split: &Split) -> Error {
    Error::new(ErrorKind::Other, format!("{split} was not opened"))
}

#[async_trait(?Send)]
impl RecordSink for BucketSink {
    fn describe(&self) -> String {
        let (url, place) = (&self.store().client.site().config().url, &self.plan.place);
        format!("bucket {url}/{}/{}", place.bucket, self.plan.naming.prefix)
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        self.take_over(known).await
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        for (split, mark) in splits {
            if !self.taken.contains_key(split) {
                self.take_over(&[(split.clone(), Some(*mark))]).await?;
            }
            let Some(pointer) = self.taken.remove(split) else { return Err(not_open(split)) };
            self.books.open(split.clone(), *mark);
            let writer = Writer::start(&self.shared, split.clone(), pointer, *mark);
            let learnt = match self.plan.format.shape {
                Shape::Parquet => Some(Box::new(Learnt::new()?)),
                _ => None,
            };
            self.splits.insert(split.clone(), State { writer, open: None, learnt });
        }
        Ok(())
    }

    async fn close(&mut self, splits: &[Split]) {
        for split in splits {
            self.splits.remove(split);
            self.taken.remove(split);
            self.books.close(split);
            self.shared.forget(split);
        }
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        self.shared.check()?;
        let now = self.context.clock.now().0;
        let account = match self.plan.format.shape {
            Shape::Parquet => self.append_rows(&unit, now).await?,
            _ => self.append(&unit, now)?,
        };
        let split = unit.batch.split();
        let mark = self.books.after(&unit, &account);
        self.books.settle(split, mark);
        let Some(state) = self.splits.get_mut(split) else { return Err(not_open(split)) };
        let Some(open) = &mut state.open else {
            return state.writer.give(&self.shared, Job::Settle(mark)).await;
        };
        open.mark = mark;
        self.advance(split, false).await?;
        self.keep_room().await
    }

    async fn tick(&mut self) -> Result<()> {
        self.shared.check()?;
        let now = self.context.clock.now().0;
        let longest = self.plan.max_micros;
        let mut due = Vec::new();
        for (split, state) in &mut self.splits {
            let Some(open) = &mut state.open else { continue };
            // The clock may have been set back.
            open.begun_us = open.begun_us.min(now);
            if now - open.begun_us >= longest {
                due.push(split.clone());
            }
        }
        for split in due {
            self.advance(&split, true).await?;
        }
        self.shared.check()
    }

    async fn flush(&mut self) -> Result<()> {
        let all: Vec<_> = self.splits.keys().cloned().collect();
        for split in all {
            self.advance(&split, true).await?;
        }
        self.shared.wait_all().await
    }

    fn settled(&mut self) -> Vec<Settled> {
        self.shared.take_settled()
    }

    fn may_refuse(&self) -> bool {
        false
    }
}
