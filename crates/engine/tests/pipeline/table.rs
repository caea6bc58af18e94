//! A destination in memory that keeps records and marks in one step, or only records, and fails by script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use connector::records::{Books, Mark, RecordSink, Refused, Settled, SharedHost, Split, Unit};
use connector::{Error, ErrorKind, Result};

/// What a commit does besides its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    FailBefore,
    FailAfter,
    Panic,
    Slow,
}

/// A row: where it comes from, and its value.
pub type Row = (Split, i64, u32, Vec<u8>);

#[derive(Clone, Default)]
pub struct Table(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    marks: BTreeMap<Split, Mark>,
    owners: BTreeMap<Split, u64>,
    sinks: u64,
    faults: VecDeque<Fault>,
    commits: u64,
    flushes: u64,
    hold: bool,
    healed: bool,
    /// How often it is asked for its marks and does not say.
    mute: usize,
}

/// How a sink of a table works.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Marks are kept with the rows.
    pub keeps_marks: bool,
    /// Units that are taken before a commit.
    pub units: usize,
    /// Every commit takes this long.
    pub slow: Duration,
}

impl Default for Habits {
    fn default() -> Self {
        Self { keeps_marks: true, units: 3, slow: Duration::ZERO }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn rows(&self) -> Vec<Row> {
        let mut rows = self.lock().rows.clone();
        rows.sort();
        rows
    }

    /// Rows of a split as they came.
    pub fn order(&self, split: &Split) -> Vec<(i64, u32)> {
        self.lock().rows.iter().filter(|r| r.0 == *split).map(|r| (r.1, r.2)).collect()
    }

    pub fn mark(&self, split: &Split) -> Option<Mark> {
        self.lock().marks.get(split).copied()
    }

    pub fn marks(&self) -> BTreeMap<Split, Mark> {
        self.lock().marks.clone()
    }

    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    /// Nothing fails any more.
    pub fn clear(&self) {
        self.lock().faults.clear();
    }

    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    pub fn flushes(&self) -> u64 {
        self.lock().flushes
    }

    /// Commits wait until the table is let go.
    pub fn hold(&self, hold: bool) {
        self.lock().hold = hold;
    }

    /// It does not say its marks so often.
    pub fn mute(&self, times: usize) {
        self.lock().mute = times;
    }

    /// Nothing is refused any more.
    pub fn heal(&self) {
        self.lock().healed = true;
    }

    fn refuses(&self, value: &[u8]) -> bool {
        value.windows(POISON.len()).any(|w| w == POISON) && !self.lock().healed
    }

    pub fn sink(&self, habits: Habits, host: SharedHost) -> Box<dyn RecordSink> {
        let mut s = self.lock();
        s.sinks += 1;
        let (id, table) = (s.sinks, self.clone());
        let books = Books::default();
        Box::new(Writer { table, id, habits, host, books, taken: Vec::new(), settled: BTreeMap::new() })
    }
}

/// Values with this word are refused until the table is healed.
pub const POISON: &[u8] = b"poison";

struct Writer {
    table: Table,
    id: u64,
    habits: Habits,
    host: SharedHost,
    books: Books,
    taken: Vec<Unit>,
    settled: BTreeMap<Split, Mark>,
}

impl Writer {
    async fn commit(&mut self) -> Result<()> {
        if self.taken.is_empty() {
            return Ok(());
        }
        while self.table.lock().hold {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(self.habits.slow).await;
        let fault = self.table.lock().faults.pop_front();
        match fault {
            Some(Fault::FailBefore) => return Err(Error::new(ErrorKind::Unavailable, "failed before")),
            Some(Fault::Panic) => panic!("scripted"),
            Some(Fault::Slow) => tokio::time::sleep(Duration::from_millis(150)).await,
            Some(Fault::FailAfter) | None => {}
        }
        // Everything is worked out on a copy: a failure in between leaves the books as they were.
        let mut marks: BTreeMap<Split, Mark> = BTreeMap::new();
        let mut rows = Vec::new();
        for unit in &self.taken {
            let split = unit.batch.split();
            let mut out = Vec::new();
            for (i, r) in unit.batch.iter().enumerate() {
                let value = r.value.unwrap_or_default();
                if self.table.refuses(value) {
                    out.push(i);
                } else {
                    rows.push((split.clone(), r.offset, r.sub, value.to_vec()));
                }
            }
            let account = if out.is_empty() {
                unit.all_written()
            } else {
                let refused = |i: &usize| Refused {
                    index: *i,
                    kind: ErrorKind::Unacceptable,
                    reason: "it is poison".to_owned(),
                };
                let ruling = self.host.refuse(unit, out.iter().map(refused).collect()).await?;
                unit.written_but(&out, ruling)
            };
            let mut books = Books::default();
            let start = marks.get(split).copied().or(self.books.mark(split));
            books.open(split.clone(), start.expect("a split that is not open"));
            marks.insert(split.clone(), books.after(unit, &account));
        }
        {
            let mut s = self.table.lock();
            if marks.keys().any(|k| s.owners.get(k) != Some(&self.id)) {
                return Err(Error::new(ErrorKind::Unavailable, "another sink has this split"));
            }
            s.commits += 1;
            s.rows.extend(rows);
            if self.habits.keeps_marks {
                s.marks.extend(marks.clone());
            }
        }
        if fault == Some(Fault::FailAfter) {
            return Err(Error::new(ErrorKind::Unavailable, "failed after"));
        }
        self.taken.clear();
        for (split, mark) in marks {
            self.books.settle(&split, mark);
            self.settled.insert(split, mark);
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl RecordSink for Writer {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        let mut s = self.table.lock();
        if s.mute > 0 {
            s.mute -= 1;
            return Err(Error::new(ErrorKind::Unavailable, "it does not say its marks"));
        }
        for (split, _) in known {
            s.owners.insert(split.clone(), self.id);
        }
        Ok(known.iter().map(|(split, _)| s.marks.get(split).copied()).collect())
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        for (split, mark) in splits {
            assert!(self.books.mark(split).is_none(), "{split} is open already");
            self.books.open(split.clone(), *mark);
        }
        Ok(())
    }

    async fn close(&mut self, splits: &[Split]) {
        for split in splits {
            self.books.close(split);
            self.settled.remove(split);
        }
        self.taken.retain(|u| !splits.contains(u.batch.split()));
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        let mark = self.books.mark(unit.batch.split()).expect("a unit of a split that is not open");
        assert!(unit.batch.first() >= mark.next, "a unit behind the mark");
        self.taken.push(unit);
        if self.taken.len() >= self.habits.units { self.commit().await } else { Ok(()) }
    }

    async fn tick(&mut self) -> Result<()> {
        if self.habits.units > 1000 { Ok(()) } else { self.commit().await }
    }

    async fn flush(&mut self) -> Result<()> {
        self.table.lock().flushes += 1;
        self.commit().await
    }

    fn settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled).into_iter().map(|(split, mark)| Settled { split, mark }).collect()
    }
}
