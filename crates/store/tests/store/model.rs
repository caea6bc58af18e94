//! Random sequences of calls, made on the store and on a few lines of plain memory: both must agree on
//! every answer.

use std::collections::BTreeMap;

use model::*;
use proptest::prelude::*;
use store::*;

use crate::backends::Database;
use crate::samples::{at, entry, finish, ledger, task};

const LEASE: i64 = 50;

#[derive(Debug, Clone)]
enum Op {
    Insert(u8),
    Wish(u8, Transition),
    Claim,
    Journal(u8, u32, u8),
    Finish(u8, u32, TaskStatus, bool),
    Remove(u8),
    Wait(i64),
    ReleaseAll,
}

fn op() -> impl Strategy<Value = Op> {
    use Transition as T;
    let id = 0..4_u8;
    let behind = prop_oneof![4 => Just(0_u32), 1 => Just(1_u32)];
    prop_oneof![
        2 => id.clone().prop_map(Op::Insert),
        3 => (id.clone(), prop_oneof![Just(T::Pause), Just(T::Resume), Just(T::Cancel)])
            .prop_map(|(i, t)| Op::Wish(i, t)),
        5 => Just(Op::Claim),
        4 => (id.clone(), behind.clone(), 0..9_u8).prop_map(|(i, b, n)| Op::Journal(i, b, n)),
        3 => (id.clone(), behind, status(), any::<bool>()).prop_map(|(i, b, s, ok)| Op::Finish(i, b, s, ok)),
        1 => id.prop_map(Op::Remove),
        2 => (1..80_i64).prop_map(Op::Wait),
        1 => Just(Op::ReleaseAll),
    ]
}

fn status() -> impl Strategy<Value = TaskStatus> {
    use TaskStatus as S;
    prop_oneof![Just(S::Completed), Just(S::Failed), Just(S::Canceled), Just(S::Paused), Just(S::Pending)]
}

#[derive(Debug, Clone)]
struct Known {
    status: TaskStatus,
    attempt: u32,
    created: i64,
    lease_until: i64,
    owned: bool,
    n: u64,
    checkpoint: Vec<u8>,
}

#[derive(Default)]
struct Memory {
    now: i64,
    tasks: BTreeMap<u8, Known>,
}

fn running(s: TaskStatus) -> bool {
    matches!(s, TaskStatus::Executing | TaskStatus::Pausing | TaskStatus::Canceling)
}

impl Memory {
    fn insert(&mut self, i: u8) -> Result<(), ErrorKind> {
        if self.tasks.contains_key(&i) {
            return Err(ErrorKind::Exists);
        }
        let new = Known {
            status: TaskStatus::Pending,
            attempt: 0,
            created: self.now,
            lease_until: 0,
            owned: false,
            n: 0,
            checkpoint: vec![],
        };
        self.tasks.insert(i, new);
        Ok(())
    }

    fn wish(&mut self, i: u8, t: Transition) -> Result<TaskStatus, ErrorKind> {
        let k = self.tasks.get_mut(&i).ok_or(ErrorKind::NotFound)?;
        k.status = k.status.after(t).ok_or(ErrorKind::Conflict)?;
        if k.status.is_final() {
            k.checkpoint.clear();
        }
        Ok(k.status)
    }

    fn claim(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let now = self.now;
        let silent = |k: &Known| running(k.status) && k.lease_until < now;
        for k in self.tasks.values_mut().filter(|k| silent(k)) {
            match k.status {
                TaskStatus::Pausing => (k.status, k.owned) = (TaskStatus::Paused, false),
                TaskStatus::Canceling => (k.status, k.owned) = (TaskStatus::Canceled, false),
                _ => {}
            }
        }
        let first = |want: &dyn Fn(&Known) -> bool| {
            self.tasks.iter().filter(|(_, k)| want(k)).min_by_key(|(i, k)| (k.created, **i)).map(|(i, _)| *i)
        };
        let i = first(&silent).or_else(|| first(&|k| k.status == TaskStatus::Pending))?;
        let k = self.tasks.get_mut(&i)?;
        (k.status, k.owned) = (TaskStatus::Executing, true);
        k.attempt += 1;
        k.lease_until = now + LEASE;
        Some((i, k.attempt, k.checkpoint.clone()))
    }

    fn hold(&mut self, i: u8, behind: u32) -> Result<(&mut Known, u32), ErrorKind> {
        let now = self.now;
        let k = self.tasks.get_mut(&i).ok_or(ErrorKind::Fenced)?;
        let attempt = k.attempt.saturating_sub(behind);
        if attempt != k.attempt || !running(k.status) {
            return Err(ErrorKind::Fenced);
        }
        k.lease_until = now + LEASE;
        Ok((k, attempt))
    }

    fn finish(&mut self, i: u8, behind: u32, said: TaskStatus, ok: bool) -> Result<TaskStatus, ErrorKind> {
        use TaskStatus as S;
        if said == S::Completed && !ok {
            return Err(ErrorKind::Unbalanced);
        }
        let before = self.tasks.get(&i).cloned();
        let (k, _) = self.hold(i, behind)?;
        let new = match (k.status, said) {
            (_, S::Completed | S::Failed) => Some(said),
            (S::Canceling, _) => Some(S::Canceled),
            (_, S::Canceled) => None,
            (S::Pausing, _) => Some(S::Paused),
            _ => Some(S::Pending),
        };
        match new {
            Some(new) => {
                (k.status, k.owned, k.n, k.lease_until) = (new, false, 3, 0);
                if new.is_final() {
                    k.checkpoint.clear();
                }
                Ok(new)
            }
            None => {
                self.tasks.extend(before.map(|k| (i, k)));
                Err(ErrorKind::Conflict)
            }
        }
    }
}

fn id(i: u8) -> TaskId {
    TaskId(format!("t-{i}"))
}

fn kind<T>(r: Result<T>) -> Result<T, ErrorKind> {
    r.map_err(|e| e.kind())
}

async fn step(s: &Store, m: &mut Memory, op: &Op) {
    match *op {
        Op::Insert(i) => {
            let t = Task { created: at(m.now), ..task(&id(i).0, None) };
            assert_eq!(kind(s.insert_task(&t, 0).await), m.insert(i));
        }
        Op::Wish(i, t) => {
            assert_eq!(
                kind(s.wish(&id(i), t, "by somebody", at(m.now)).await.map(|t| t.status)),
                m.wish(i, t)
            );
        }
        Op::Claim => {
            let got = s.claim_next("w", at(m.now), LEASE).await.unwrap();
            assert_eq!(got.map(|(t, c)| (t.id, t.attempt, c.0)), m.claim().map(|(i, a, c)| (id(i), a, c)));
        }
        Op::Journal(i, behind, n) => {
            let attempt = m.tasks.get(&i).map_or(1, |k| k.attempt).saturating_sub(behind);
            let e = JournalEntry { checkpoint: Some(Checkpoint(vec![n])), ..entry(n.into(), m.now) };
            let want = m.hold(i, behind).map(|(k, _)| {
                (k.n, k.checkpoint) = (n.into(), vec![n]);
                match k.status {
                    TaskStatus::Pausing => Wish::Pause,
                    TaskStatus::Canceling => Wish::Cancel,
                    _ => Wish::Run,
                }
            });
            assert_eq!(kind(s.journal(&id(i), attempt, &e).await), want);
        }
        Op::Finish(i, behind, status, ok) => {
            let attempt = m.tasks.get(&i).map_or(1, |k| k.attempt).saturating_sub(behind);
            let mut account = ledger(3);
            account.items.read += u64::from(!ok);
            let f = finish(status, account, m.now);
            assert_eq!(
                kind(s.finish(&id(i), attempt, &f).await.map(|t| t.status)),
                m.finish(i, behind, status, ok)
            );
        }
        Op::Remove(i) => {
            let want = match m.tasks.get(&i).map(|k| k.status.is_final()) {
                None => Ok(false),
                Some(false) => Err(ErrorKind::Conflict),
                Some(true) => Ok(m.tasks.remove(&i).is_some()),
            };
            assert_eq!(kind(s.remove_task(&id(i)).await), want);
        }
        Op::Wait(n) => m.now += n,
        Op::ReleaseAll => {
            s.release_leases(None, at(m.now)).await.unwrap();
            for k in m.tasks.values_mut().filter(|k| k.owned) {
                k.lease_until = k.lease_until.min(m.now - 1);
            }
        }
    }
}

async fn compare(s: &Store, m: &Memory) {
    for i in 0..4 {
        let stored = s.task(&id(i)).await.unwrap();
        let want = m.tasks.get(&i);
        assert_eq!(stored.as_ref().map(|t| (t.status, t.attempt)), want.map(|k| (k.status, k.attempt)));
        if let (Some(t), Some(k)) = (stored, want) {
            assert_eq!(t.ledger.items.written, k.n);
            assert_eq!(t.ended.is_some(), k.status.is_final());
            assert_eq!(s.checkpoint(&t.id).await.unwrap().0, k.checkpoint);
            let told = s.events(&t.id, EventsFrom::After(0), EVENTS_KEPT).await.unwrap();
            assert!(told.events.iter().map(|e| e.seq).eq(1..=told.total), "{told:?}");
            // At rest, the last line tells of the state.
            let last = told.events.last().map(|e| e.kind.name());
            match t.status {
                TaskStatus::Pending => assert_eq!(last, Some("queued")),
                TaskStatus::Executing | TaskStatus::Pausing | TaskStatus::Canceling => {}
                rests => assert_eq!(last, Some(rests.name())),
            }
        }
    }
}

fn play(db: &Database, ops: &[Op]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let s = db.open().await;
        let mut m = Memory { now: 1000, ..Memory::default() };
        for op in ops {
            step(&s, &mut m, op).await;
        }
        compare(&s, &m).await;
        s.close().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn sqlite_agrees_with_memory(ops in proptest::collection::vec(op(), 1..60)) {
        play(&Database::sqlite(), &ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn postgresql_agrees_with_memory(ops in proptest::collection::vec(op(), 1..60)) {
        if let Some(db) = Database::postgres() {
            play(&db, &ops);
        }
    }
}
