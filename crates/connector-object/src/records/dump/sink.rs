//! The sink: gathers files by split and directory, and delivers them when the interval is over.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use async_trait::async_trait;
use bytes::Bytes;
use connector::records::{
    Account, Books, Context, Endpoint, Mark, RecordSink, Refused, Ruling, Settled, SharedHost, Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::body::Body;
use super::options::{self, Plan};
use super::pointer::{self, Pointer, Ready};
use super::time::Moment;
use crate::civil;
use crate::client::Client;
use crate::records::object::{MIN_PART, Room};
use crate::records::store::Store;

/// Splits that are worked on at once.
const AT_ONCE: usize = 8;
/// Bytes of a part.
const PART: usize = 8 * 1024 * 1024;
/// Directories of a split that are open at once.
const MAX_FILES: usize = 256;
/// Parts of one delivery: the pointer names each.
const MAX_PARTS: usize = 8000;

/// A dump sink.
///
/// # Errors
/// `Unacceptable` bad options.
pub(in crate::records) fn sink(
    endpoint: &Endpoint,
    context: &Context,
    host: SharedHost,
) -> Result<Box<dyn RecordSink>> {
    let (site, plan) = options::read(endpoint)?;
    let (client, place) = (Client::new(&site), plan.place.clone());
    let store = Store { client, place, random: context.random.clone(), plain: Cell::new(false) };
    Ok(Box::new(DumpSink {
        store,
        plan,
        room: Room::new(context.budget.clone()),
        context: context.clone(),
        host,
        splits: HashMap::new(),
        taken: HashMap::new(),
        books: Books::default(),
        settled: HashMap::new(),
        tried: false,
        due_us: None,
    }))
}

/// The name that a task's files carry, without its kind: `task-abc` is `abc`.
pub(in crate::records) fn task_word(pipeline: &str) -> &str {
    pipeline.strip_prefix("task-").unwrap_or(pipeline)
}

/// `<stream>_<partition>_`: what the names of all files of a split begin with.
pub(in crate::records) fn split_word(stream: Option<&str>, split: &Split) -> String {
    format!("{}_shardId-{:010}_", stream.unwrap_or_else(|| split.source_topic()), split.partition)
}

struct DumpSink {
    store: Store,
    plan: Plan,
    room: Room,
    context: Context,
    host: SharedHost,
    splits: HashMap<Split, State>,
    /// Pointers of splits that were asked for and are not open yet.
    taken: HashMap<Split, Pointer>,
    /// Marks of what was taken, ahead of what is delivered.
    books: Books,
    settled: HashMap<Split, Mark>,
    tried: bool,
    /// When the interval ends, by the clock; `None` = it has not begun.
    due_us: Option<i64>,
}

struct State {
    pointer: Pointer,
    /// What is delivered.
    mark: Mark,
    /// By directory.
    files: BTreeMap<String, File>,
}

struct File {
    key: String,
    body: Body,
    upload: Option<(String, Vec<String>)>,
    size: u64,
}

impl DumpSink {
    fn pointer_key(&self, split: &Split) -> String {
        format!("{}_wharf/{}/{}+{}", self.plan.prefix, self.context.pipeline, split.topic, split.partition)
    }

    async fn take_over(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        let store = &self.store;
        if !self.tried {
            let trial = format!("{}_wharf/{}/conditions", self.plan.prefix, self.context.pipeline);
            store.try_conditions(&trial).await?;
            self.tried = true;
        }
        let one = |(split, mark): &(Split, Option<Mark>)| {
            let (split, mark, key) = (split.clone(), *mark, self.pointer_key(split));
            async move {
                let (pointer, mark) = Pointer::take_over(store, key, mark).await?;
                Ok::<_, Error>((split, pointer, mark))
            }
        };
        let taken: Vec<_> = stream::iter(known.iter().map(one)).buffered(AT_ONCE).try_collect().await?;
        self.sweep(known).await?;
        self.room.prepare().await;
        let mut marks = Vec::with_capacity(taken.len());
        for (split, pointer, mark) in taken {
            self.taken.insert(split, pointer);
            marks.push(mark);
        }
        Ok(marks)
    }

    /// Forgets what an older owner had begun to upload of these splits.
    async fn sweep(&self, splits: &[(Split, Option<Mark>)]) -> Result<()> {
        let words: Vec<_> = splits.iter().map(|(s, _)| split_word(self.plan.stream.as_deref(), s)).collect();
        let end = format!("_{}.{}", task_word(&self.context.pipeline), self.plan.extension);
        let ours = |key: &str| {
            let name = key.rsplit('/').next().unwrap_or(key);
            name.ends_with(&end) && words.iter().any(|w| name.starts_with(w))
        };
        pointer::sweep(&self.store, &self.plan.prefix, ours).await
    }

    /// Which directories the records of a unit go to (indexes), and those that have no time.
    fn sort(&self, unit: &Unit, now_ms: i64) -> (BTreeMap<String, Vec<usize>>, Vec<Refused>) {
        let plan = &self.plan;
        let mut picked: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let Some(time) = &plan.time else {
            if !unit.batch.is_empty() {
                picked.insert(self.directory(Moment::Epoch(now_ms)), (0..unit.batch.len()).collect());
            }
            return (picked, Vec::new());
        };
        let mut refused = Vec::new();
        let mut last: Option<(i64, String)> = None;
        for (index, record) in unit.batch.iter().enumerate() {
            let moment = match time.read(record.value) {
                Ok(moment) => moment,
                Err(reason) => {
                    refused.push(Refused { index, kind: ErrorKind::Unacceptable, reason });
                    continue;
                }
            };
            let minute = match moment {
                Moment::Epoch(ms) | Moment::Wall(ms) => ms.div_euclid(60_000),
            };
            if last.as_ref().is_none_or(|(m, _)| *m != minute) {
                last = Some((minute, self.directory(moment)));
            }
            let Some((_, directory)) = &last else { continue };
            match picked.get_mut(directory) {
                Some(list) => list.push(index),
                None => drop(picked.insert(directory.clone(), vec![index])),
            }
        }
        (picked, refused)
    }

    fn directory(&self, moment: Moment) -> String {
        let (ms, offset_s) = match moment {
            Moment::Epoch(ms) => (ms, self.plan.offset_s),
            Moment::Wall(ms) => (ms, 0),
        };
        let mut out = String::new();
        self.plan.directories.render(&mut out, ms, offset_s);
        out
    }

    fn key(&self, split: &Split, directory: &str, offset: i64, now_ms: i64) -> String {
        let c = civil::from_seconds(now_ms.div_euclid(1000) + i64::from(self.plan.offset_s));
        let mut key = String::from(&*self.plan.prefix);
        key.push_str(directory);
        if !key.is_empty() && !key.ends_with('/') {
            key.push('/');
        }
        let word = split_word(self.plan.stream.as_deref(), split);
        let task = task_word(&self.context.pipeline);
        // Writing to a string can't fail.
        let _ = write!(key, "{word}{offset:020}_{:04}{:02}{:02}", c.year, c.month, c.day);
        let _ = write!(key, "{:02}{:02}{:02}_{task}.{}", c.hour, c.minute, c.second, self.plan.extension);
        key
    }

    /// Puts a unit's records into the split's files; returns what is refused.
    fn append(&mut self, unit: &Unit) -> Result<Vec<Refused>> {
        let split = unit.batch.split();
        let now_ms = self.context.clock.now().millis();
        let (picked, mut refused) = self.sort(unit, now_ms);
        for (directory, indexes) in picked {
            let first = indexes.first().and_then(|i| unit.batch.get(*i)).map_or(0, |r| r.offset);
            let known = self.splits.get(split).is_some_and(|s| s.files.contains_key(&directory));
            if !known {
                let key = self.key(split, &directory, first, now_ms);
                let file = File { key, body: Body::new(&self.plan.form)?, upload: None, size: 0 };
                let state = self.splits.get_mut(split).ok_or_else(|| not_open(split))?;
                state.files.insert(directory.clone(), file);
            }
            let state = self.splits.get_mut(split).ok_or_else(|| not_open(split))?;
            if let Some(file) = state.files.get_mut(&directory) {
                refused.extend(file.body.append(&unit.batch, &indexes)?);
            }
        }
        refused.sort_unstable_by_key(|r| r.index);
        Ok(refused)
    }

    /// Has the host rule on refused records; the account of the whole unit.
    async fn rule(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Account> {
        if refused.is_empty() {
            return Ok(unit.all_written());
        }
        let indexes: Vec<_> = refused.iter().map(|r| r.index).collect();
        let ruling: Ruling = self.host.refuse(unit, refused).await?;
        Ok(unit.written_but(&indexes, ruling))
    }

    /// Sends what a split has ready in parts.
    async fn advance(&mut self, split: &Split) -> Result<()> {
        let Some(state) = self.splits.get_mut(split) else { return Ok(()) };
        let mut parts = 0;
        for file in state.files.values_mut() {
            if file.body.ready() >= PART {
                let bytes = file.body.take();
                file.part(&self.store, state.pointer.run(), bytes).await?;
            }
            parts += file.upload.as_ref().map_or(1, |(_, p)| p.len() + 1);
        }
        let huge = state.files.values().any(|f| f.size >= self.plan.max_bytes);
        if huge || parts >= MAX_PARTS || state.files.len() > MAX_FILES {
            self.deliver(std::slice::from_ref(split)).await?;
        }
        Ok(())
    }

    /// Delivers splits. After an error the sink is of no more use.
    async fn deliver(&mut self, splits: &[Split]) -> Result<()> {
        let (store, books) = (&self.store, &self.books);
        let mut work = Vec::new();
        for (split, state) in self.splits.iter_mut().filter(|(s, _)| splits.contains(s)) {
            if state.files.is_empty() {
                continue;
            }
            let (split, to) = (split.clone(), books.mark(split).unwrap_or_default());
            work.push(async move {
                state.deliver(store, to).await.map_err(|e| e.context(&split))?;
                Ok::<_, Error>((split, to))
            });
        }
        let done: Vec<_> = stream::iter(work).buffer_unordered(AT_ONCE).try_collect().await?;
        self.settled.extend(done);
        if self.splits.values().all(|s| s.files.is_empty()) {
            self.due_us = None;
        }
        Ok(())
    }

    async fn deliver_all(&mut self) -> Result<()> {
        let all: Vec<_> = self.splits.keys().cloned().collect();
        self.deliver(&all).await
    }

    /// Keeps within the sink's room and the process's budget.
    async fn keep_room(&mut self) -> Result<()> {
        loop {
            let files = |s: &State| s.files.values().map(|f| f.body.held()).sum::<u64>();
            let held: u64 = self.splits.values().map(files).sum();
            if self.room.has(held) || held == 0 {
                return Ok(());
            }
            let largest = self.splits.iter().max_by_key(|(_, s)| files(s));
            let Some(split) = largest.map(|(s, _)| s.clone()) else { return Ok(()) };
            let Some(state) = self.splits.get_mut(&split) else { return Ok(()) };
            let Some(file) = state.files.values_mut().max_by_key(|f| f.body.held()) else { return Ok(()) };
            if file.body.relieve()? {
                continue;
            }
            if file.body.ready() >= MIN_PART {
                let bytes = file.body.take();
                file.part(&self.store, state.pointer.run(), bytes).await?;
            } else {
                self.deliver(&[split]).await?;
            }
        }
    }
}

impl File {
    /// Sends a part.
    async fn part(&mut self, store: &Store, run: &str, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() && self.upload.is_some() {
            return Ok(());
        }
        if self.upload.is_none() {
            self.upload = Some((store.begin(&self.key, run).await?, Vec::new()));
        }
        let Some((id, parts)) = &mut self.upload else { return Ok(()) };
        let number = u32::try_from(parts.len() + 1).unwrap_or(u32::MAX);
        self.size += bytes.len() as u64;
        parts.push(store.part(&self.key, id, number, bytes).await?);
        Ok(())
    }
}

impl State {
    /// Both phases. The files are gone from here afterwards.
    async fn deliver(&mut self, store: &Store, to: Mark) -> Result<()> {
        let mut ready = Vec::with_capacity(self.files.len());
        for file in self.files.values_mut() {
            if file.body.is_empty() {
                continue;
            }
            let rest = file.body.finish()?;
            file.part(store, self.pointer.run(), rest).await?;
            let Some((upload, parts)) = file.upload.take() else { continue };
            ready.push(Ready { key: file.key.clone(), upload, parts });
        }
        self.files.clear();
        if !ready.is_empty() {
            self.pointer.commit(store, self.mark, to, &ready).await?;
            for file in &ready {
                pointer::complete(store, file).await?;
            }
        }
        self.mark = to;
        Ok(())
    }
}

fn not_open(split: &Split) -> Error {
    Error::new(ErrorKind::Other, format!("{split} was not opened"))
}

#[async_trait(?Send)]
impl RecordSink for DumpSink {
    fn describe(&self) -> String {
        let url = &self.store.client.site().config().url;
        format!("bucket {url}/{}/{}", self.plan.place.bucket, self.plan.prefix)
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
            self.splits.insert(split.clone(), State { pointer, mark: *mark, files: BTreeMap::new() });
        }
        Ok(())
    }

    async fn close(&mut self, splits: &[Split]) {
        for split in splits {
            self.splits.remove(split);
            self.taken.remove(split);
            self.books.close(split);
            self.settled.remove(split);
        }
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        let split = unit.batch.split().clone();
        let refused = self.append(&unit)?;
        let account = self.rule(&unit, refused).await?;
        let mark = self.books.after(&unit, &account);
        self.books.settle(&split, mark);
        let state = self.splits.get_mut(&split).ok_or_else(|| not_open(&split))?;
        // A file whose records were all refused is none.
        state.files.retain(|_, f| !f.body.is_empty());
        if state.files.is_empty() {
            state.mark = mark;
            self.settled.insert(split, mark);
            return Ok(());
        }
        if self.due_us.is_none() {
            self.due_us = Some(self.context.clock.now().0.saturating_add(self.plan.interval_us));
        }
        self.advance(&split).await?;
        self.keep_room().await
    }

    async fn tick(&mut self) -> Result<()> {
        let Some(due) = self.due_us else { return Ok(()) };
        let now = self.context.clock.now().0;
        // The clock may have been set back.
        let due = due.min(now.saturating_add(self.plan.interval_us));
        self.due_us = Some(due);
        if now >= due { self.deliver_all().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        self.deliver_all().await
    }

    /// Nothing of a unit is held here: its text is under leases of its own.
    async fn relieve(&mut self) -> Result<()> {
        Ok(())
    }

    fn settled(&mut self) -> Vec<Settled> {
        self.settled.drain().map(|(split, mark)| Settled { split, mark }).collect()
    }
}
