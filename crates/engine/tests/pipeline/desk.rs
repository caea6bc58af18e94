//! Pipelines and dead letters in memory, with the rules of the real store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connector::records::{Mark, Split};
use engine::pipeline::{DeadDesk, Entry, Pipelines, Queued, Trouble, Wish};
use model::{DeadLetter, DeadStatus, Ledger, Pipeline, PipelineId, PipelineStatus};

use super::table::Table;

type Done<T> = Result<T, Trouble>;
type Key = (String, i32, i64, u32);

#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    pipelines: BTreeMap<PipelineId, Entry2>,
    letters: BTreeMap<(PipelineId, Key), (DeadLetter, i64)>,
    turns: i64,
    fail: bool,
}

struct Entry2 {
    pipeline: Pipeline,
    lease: Option<Instant>,
    length: Duration,
    restart: bool,
    marks: BTreeMap<Split, Mark>,
    /// The journal may not be ahead of this.
    table: Option<Table>,
    journals: u64,
    errors: Vec<Option<String>>,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn add(&self, pipeline: Pipeline, table: Option<Table>) {
        let e = Entry2 {
            lease: None,
            length: Duration::ZERO,
            restart: false,
            marks: BTreeMap::new(),
            table,
            journals: 0,
            errors: Vec::new(),
            pipeline,
        };
        self.lock().pipelines.insert(e.pipeline.id.clone(), e);
    }

    pub fn pipeline(&self, id: &PipelineId) -> Pipeline {
        self.lock().pipelines[id].pipeline.clone()
    }

    pub fn order(&self, id: &PipelineId, status: PipelineStatus) {
        let mut s = self.lock();
        let e = s.pipelines.get_mut(id).unwrap();
        assert!(e.pipeline.status.may_become(status), "{:?} → {status:?}", e.pipeline.status);
        e.pipeline.status = status;
    }

    pub fn restart(&self, id: &PipelineId) {
        self.lock().pipelines.get_mut(id).unwrap().restart = true;
    }

    /// As if another server had taken it over and lost it again.
    pub fn fence(&self, id: &PipelineId) {
        let mut s = self.lock();
        let e = s.pipelines.get_mut(id).unwrap();
        e.pipeline.attempt += 1;
        e.lease = None;
    }

    /// As if another server had it from now on.
    pub fn take_away(&self, id: &PipelineId) {
        let mut s = self.lock();
        let e = s.pipelines.get_mut(id).unwrap();
        e.pipeline.attempt += 1;
        e.lease = Some(Instant::now() + Duration::from_secs(3600));
    }

    pub fn broken(&self, broken: bool) {
        self.lock().fail = broken;
    }

    pub fn mark(&self, id: &PipelineId, split: &Split) -> Option<Mark> {
        self.lock().pipelines[id].marks.get(split).copied()
    }

    pub fn ledger(&self, id: &PipelineId) -> Ledger {
        self.lock().pipelines[id].pipeline.ledger
    }

    pub fn journals(&self, id: &PipelineId) -> u64 {
        self.lock().pipelines[id].journals
    }

    pub fn errors(&self, id: &PipelineId) -> Vec<Option<String>> {
        self.lock().pipelines[id].errors.clone()
    }

    pub fn letters(&self) -> Vec<DeadLetter> {
        self.lock().letters.values().map(|(l, _)| l.clone()).collect()
    }

    /// Asks for a replay of everything that waits.
    pub fn replay_all(&self) -> usize {
        let mut s = self.lock();
        let mut turns = s.turns;
        let mut n = 0;
        for (l, turn) in s.letters.values_mut() {
            if l.status == DeadStatus::Waiting && *turn == 0 {
                turns += 1;
                *turn = turns;
                n += 1;
            }
        }
        s.turns = turns;
        n
    }

    fn hold<T>(&self, id: &PipelineId, attempt: u32, f: impl FnOnce(&mut State) -> T) -> Done<T> {
        let mut s = self.lock();
        if s.fail {
            return Err(Trouble::Failed("the store is away".to_owned()));
        }
        let e = s.pipelines.get_mut(id).unwrap();
        if e.pipeline.attempt != attempt || e.lease.is_none() {
            return Err(Trouble::Fenced);
        }
        e.lease = Some(Instant::now() + e.length);
        Ok(f(&mut s))
    }
}

fn wish(s: &State, id: &PipelineId) -> Wish {
    let e = &s.pipelines[id];
    if e.restart || matches!(e.pipeline.status, PipelineStatus::Pausing | PipelineStatus::Deleting) {
        return Wish::Rest;
    }
    let waits = s.letters.iter().any(|((p, _), (_, turn))| p == id && *turn > 0);
    if waits { Wish::Replay } else { Wish::Run }
}

#[async_trait]
impl Pipelines for Store {
    async fn release(&self) -> Done<()> {
        self.lock().pipelines.values_mut().for_each(|e| e.lease = None);
        Ok(())
    }

    async fn claim(&self, _: &str, lease: Duration) -> Done<Option<Pipeline>> {
        let mut s = self.lock();
        let now = Instant::now();
        let free =
            |e: &&mut Entry2| e.pipeline.status.wants_a_worker() && e.lease.is_none_or(|until| until < now);
        let Some(e) = s.pipelines.values_mut().find(free) else { return Ok(None) };
        e.pipeline.attempt += 1;
        (e.lease, e.length, e.restart) = (Some(now + lease), lease, false);
        Ok(Some(e.pipeline.clone()))
    }

    async fn began(&self, id: &PipelineId, attempt: u32) -> Done<()> {
        self.hold(id, attempt, |s| {
            let p = &mut s.pipelines.get_mut(id).unwrap().pipeline;
            if matches!(p.status, PipelineStatus::Creating | PipelineStatus::Resuming) {
                p.status = PipelineStatus::Running;
            }
        })
    }

    async fn get(&self, id: &PipelineId) -> Done<Option<Pipeline>> {
        Ok(self.lock().pipelines.get(id).map(|e| e.pipeline.clone()))
    }

    async fn marks(&self, id: &PipelineId) -> Done<Vec<(Split, Mark)>> {
        Ok(self.lock().pipelines[id].marks.iter().map(|(s, m)| (s.clone(), *m)).collect())
    }

    async fn journal(&self, id: &PipelineId, attempt: u32, entry: &Entry) -> Done<Wish> {
        self.hold(id, attempt, |s| {
            assert_eq!(entry.ledger.balance(), Ok(()), "the journal's account does not balance");
            let e = s.pipelines.get_mut(id).unwrap();
            e.journals += 1;
            for (split, mark) in &entry.marks {
                if let Some(there) = e.table.as_ref().map(|t| t.mark(split)) {
                    assert!(there.is_some_and(|t| t.next >= mark.next), "the journal is ahead of the table");
                }
                let known = e.marks.entry(split.clone()).or_insert(*mark);
                if known.next <= mark.next {
                    *known = *mark;
                }
            }
            e.pipeline.ledger = entry.ledger;
            wish(s, id)
        })
    }

    async fn renew(&self, id: &PipelineId, attempt: u32) -> Done<Wish> {
        self.hold(id, attempt, |s| wish(s, id))
    }

    async fn explain(&self, id: &PipelineId, attempt: u32, error: Option<&str>) -> Done<()> {
        self.hold(id, attempt, |s| {
            let e = s.pipelines.get_mut(id).unwrap();
            e.pipeline.error = error.map(str::to_owned);
            e.errors.push(e.pipeline.error.clone());
        })
    }

    async fn rest(&self, id: &PipelineId, attempt: u32) -> Done<()> {
        self.hold(id, attempt, |s| {
            let e = s.pipelines.get_mut(id).unwrap();
            e.pipeline.status = match e.pipeline.status {
                PipelineStatus::Pausing => PipelineStatus::Paused,
                PipelineStatus::Deleting => PipelineStatus::Deleted,
                other => other,
            };
            (e.lease, e.restart) = (None, false);
        })
    }
}

fn key(l: &DeadLetter) -> (PipelineId, Key) {
    (l.pipeline.clone(), (l.topic.clone(), l.partition, l.offset, l.sub))
}

#[async_trait]
impl DeadDesk for Store {
    async fn keep(&self, id: &PipelineId, attempt: u32, letters: Vec<DeadLetter>) -> Done<()> {
        self.hold(id, attempt, |s| {
            for l in letters {
                s.letters.entry(key(&l)).or_insert((l, 0));
            }
        })
    }

    async fn queued(&self, id: &PipelineId, after: i64, letters: usize, _: u64) -> Done<Vec<Queued>> {
        let s = self.lock();
        let mine = s.letters.iter().filter(|((p, _), (_, turn))| p == id && *turn > after);
        let mut all: Vec<_> = mine.map(|(_, (l, turn))| Queued { turn: *turn, letter: l.clone() }).collect();
        all.sort_by_key(|q| q.turn);
        all.truncate(letters.min(3));
        Ok(all)
    }

    async fn replayed(&self, id: &PipelineId, attempt: u32, split: &Split, before: i64) -> Done<()> {
        self.hold(id, attempt, |s| {
            for ((p, _), (l, turn)) in &mut s.letters {
                let of_split = p == id && l.topic == *split.topic && l.partition == split.partition;
                if of_split && *turn > 0 && *turn < before {
                    (l.status, *turn) = (DeadStatus::Replayed, 0);
                }
            }
        })
    }

    async fn again(&self, id: &PipelineId, attempt: u32, failed: Vec<(i64, String, String)>) -> Done<()> {
        self.hold(id, attempt, |s| {
            for (turn, kind, reason) in failed {
                if let Some((l, t)) = s.letters.values_mut().find(|(_, t)| *t == turn && turn > 0) {
                    (l.kind, l.reason, *t) = (kind, reason, 0);
                }
            }
        })
    }
}
