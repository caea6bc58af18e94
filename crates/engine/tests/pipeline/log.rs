//! A log in memory with a consumer group that is fair, slow to hand over, and can be made to misbehave.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use connector::records::{Batch, BatchBuilder, Headers, Polled, RecordRef, RecordSource, Split};
use connector::{Error, ErrorKind, Result};

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    splits: BTreeMap<Split, Vec<Vec<u8>>>,
    committed: BTreeMap<Split, i64>,
    members: BTreeSet<u32>,
    next_member: u32,
    owners: BTreeMap<Split, u32>,
    lost: BTreeSet<(u32, Split)>,
    errors: VecDeque<ErrorKind>,
    per_batch: usize,
    polls_without_room: u64,
}

impl State {
    /// Who should have a split: they are dealt out in turn.
    fn target(&self, split: &Split) -> Option<u32> {
        let at = self.splits.keys().position(|s| s == split)?;
        let n = self.members.len();
        (n > 0).then(|| self.members.iter().nth(at % n).copied()).flatten()
    }

    fn leave(&mut self, member: u32) {
        self.members.remove(&member);
        self.owners.retain(|_, o| *o != member);
        self.lost.retain(|(m, _)| *m != member);
    }
}

impl Log {
    pub fn new(topic: &str, partitions: i32) -> Self {
        let log = Self::default();
        {
            let mut s = log.lock();
            s.per_batch = 7;
            s.splits = (0..partitions).map(|p| (Split::new(topic, p), Vec::new())).collect();
        }
        log
    }

    pub fn lock_batch(&self, records: usize) {
        self.lock().per_batch = records;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn push(&self, split: &Split, value: impl Into<Vec<u8>>) -> i64 {
        let mut s = self.lock();
        let records = s.splits.get_mut(split).unwrap();
        records.push(value.into());
        records.len() as i64 - 1
    }

    pub fn splits(&self) -> Vec<Split> {
        self.lock().splits.keys().cloned().collect()
    }

    pub fn records(&self) -> Vec<(Split, i64, Vec<u8>)> {
        let s = self.lock();
        let of = |(split, all): (&Split, &Vec<Vec<u8>>)| {
            let split = split.clone();
            all.iter().enumerate().map(move |(i, v)| (split.clone(), i as i64, v.clone())).collect::<Vec<_>>()
        };
        s.splits.iter().flat_map(of).collect()
    }

    pub fn end(&self, split: &Split) -> i64 {
        self.lock().splits[split].len() as i64
    }

    pub fn committed(&self, split: &Split) -> Option<i64> {
        self.lock().committed.get(split).copied()
    }

    pub fn members(&self) -> usize {
        self.lock().members.len()
    }

    pub fn polls_without_room(&self) -> u64 {
        self.lock().polls_without_room
    }

    /// The next polls of any member fail.
    pub fn fail(&self, kinds: impl IntoIterator<Item = ErrorKind>) {
        self.lock().errors.extend(kinds);
    }

    /// Every split is taken from its owner without a word.
    pub fn lose_all(&self) {
        let mut s = self.lock();
        let lost: Vec<_> = s.owners.iter().map(|(split, m)| (*m, split.clone())).collect();
        s.lost.extend(lost);
        s.owners.clear();
    }

    /// A member that takes its splits and does nothing with them.
    pub fn join(&self) -> u32 {
        let mut s = self.lock();
        s.next_member += 1;
        let me = s.next_member;
        s.members.insert(me);
        me
    }

    pub fn leave(&self, member: u32) {
        self.lock().leave(member);
    }

    pub fn source(&self) -> Box<dyn RecordSource> {
        let me = self.join();
        Box::new(Member { log: self.clone(), me, held: BTreeMap::new(), turn: 0 })
    }
}

struct Member {
    log: Log,
    me: u32,
    /// Splits that are held: the next position once started, and whether they are being given back.
    held: BTreeMap<Split, (Option<i64>, bool)>,
    turn: usize,
}

impl Member {
    fn membership(&mut self, s: &mut State) -> Option<Polled> {
        let lost: Vec<_> = s.lost.iter().filter(|(m, _)| *m == self.me).map(|(_, s)| s.clone()).collect();
        if !lost.is_empty() {
            for split in &lost {
                s.lost.remove(&(self.me, split.clone()));
                self.held.remove(split);
            }
            return Some(Polled::Lost(lost));
        }
        let mut gone = Vec::new();
        for (split, (_, leaving)) in &mut self.held {
            if !*leaving && s.target(split) != Some(self.me) {
                *leaving = true;
                gone.push(split.clone());
            }
        }
        if !gone.is_empty() {
            return Some(Polled::Revoked(gone));
        }
        let free = |split: &&Split| !s.owners.contains_key(*split) && s.target(split) == Some(self.me);
        let new: Vec<_> = s.splits.keys().filter(free).cloned().collect();
        for split in &new {
            s.owners.insert(split.clone(), self.me);
            self.held.insert(split.clone(), (None, false));
        }
        (!new.is_empty()).then_some(Polled::Assigned(new))
    }

    fn batch(&mut self, s: &State, room: usize) -> Option<Batch> {
        for _ in 0..self.held.len() {
            self.turn += 1;
            let at = self.turn % self.held.len().max(1);
            let (split, (next, leaving)) = self.held.iter_mut().nth(at)?;
            let Some(at) = next.filter(|_| !*leaving) else { continue };
            let records = &s.splits[split];
            let mut b = BatchBuilder::new(split.clone(), at);
            for (i, value) in records.iter().enumerate().skip(usize::try_from(at).unwrap()).take(s.per_batch)
            {
                if !b.is_empty() && b.bytes() + value.len() > room {
                    break;
                }
                let r = RecordRef {
                    offset: i as i64,
                    sub: 0,
                    timestamp_ms: 1,
                    key: Some(b"key"),
                    value: Some(value),
                    headers: Headers::none(),
                };
                assert!(b.push_with(&r, |_, put| put(b"h", Some(b"1"))));
            }
            if !b.is_empty() {
                let batch = b.finish(0);
                *next = Some(batch.next());
                return Some(batch);
            }
        }
        None
    }
}

impl RecordSource for Member {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn poll(&mut self, wait: Duration, room: usize) -> Result<Polled> {
        let log = self.log.clone();
        let mut s = log.lock();
        if let Some(kind) = s.errors.pop_front() {
            return Err(Error::new(kind, "the log is broken"));
        }
        if let Some(told) = self.membership(&mut s) {
            return Ok(told);
        }
        if room == 0 {
            s.polls_without_room += 1;
        } else if let Some(batch) = self.batch(&s, room) {
            return Ok(Polled::Batch(batch));
        }
        drop(s);
        std::thread::sleep(wait.min(Duration::from_millis(5)));
        Ok(Polled::Idle)
    }

    fn start(&mut self, splits: &[(Split, Option<i64>)]) -> Result<()> {
        let s = self.log.lock();
        for (split, at) in splits {
            if let Some((next, _)) = self.held.get_mut(split) {
                let committed = s.committed.get(split).copied();
                *next = Some(at.or(committed).unwrap_or(0));
            }
        }
        Ok(())
    }

    fn release(&mut self, splits: &[Split]) -> Result<()> {
        let mut s = self.log.lock();
        for split in splits {
            if self.held.remove(split).is_some() && s.owners.get(split) == Some(&self.me) {
                s.owners.remove(split);
            }
        }
        Ok(())
    }

    fn commit(&mut self, positions: &[(Split, i64, String)]) -> Result<()> {
        let mut s = self.log.lock();
        for (split, next, text) in positions {
            assert!(text.len() <= 1024);
            if s.owners.get(split) == Some(&self.me) {
                s.committed.insert(split.clone(), *next);
            }
        }
        Ok(())
    }

    fn end(&self, split: &Split) -> Option<i64> {
        Some(self.log.end(split))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Ok(mut s) = self.log.0.lock() {
            s.leave(self.me);
        }
    }
}
