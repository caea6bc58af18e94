//! The suite against a sink in memory, right and wrong: a suite that finds nothing wrong proves nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::records::{Books, Settled};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sin {
    None,
    /// Settles before it writes.
    Early,
    /// Writes, and keeps the mark in a second step that a crash may leave out.
    TwoSteps,
    /// Does not ask about refused records.
    Silent,
    /// Settles although the host said no.
    Stubborn,
    /// Leaves out what was booked before.
    Forgetful,
    /// Settles splits that are closed.
    Undead,
    /// Writes the last record first.
    Backwards,
}

#[derive(Default)]
struct Place {
    rows: Vec<(Split, Vec<u8>)>,
    marks: BTreeMap<Split, Mark>,
}

struct Memory(Arc<Mutex<Place>>, Sin);

#[async_trait(?Send)]
impl Subject for Memory {
    async fn sink(&self, host: SharedHost) -> Result<Box<dyn RecordSink>> {
        let (place, sin) = (self.0.clone(), self.1);
        let books = Books::default();
        Ok(Box::new(Sink {
            place,
            sin,
            host,
            books,
            taken: Vec::new(),
            settled: BTreeMap::new(),
            closed: Vec::new(),
        }))
    }

    fn value(&self, n: usize) -> Vec<u8> {
        format!("value {n}").into_bytes()
    }

    fn refused(&self) -> Option<Vec<u8>> {
        Some(b"poison".to_vec())
    }

    async fn values(&self, split: &Split) -> Result<Vec<Vec<u8>>> {
        let place = self.0.lock().unwrap();
        Ok(place.rows.iter().filter(|(s, _)| s == split).map(|(_, v)| v.clone()).collect())
    }
}

struct Sink {
    place: Arc<Mutex<Place>>,
    sin: Sin,
    host: SharedHost,
    books: Books,
    taken: Vec<Unit>,
    settled: BTreeMap<Split, Mark>,
    closed: Vec<(Split, Mark)>,
}

impl Sink {
    async fn commit(&mut self, units: usize) -> Result<()> {
        while self.taken.len() >= units.max(1) {
            let unit = self.taken[0].clone();
            let split = unit.batch.split().clone();
            let bad: Vec<usize> = unit
                .batch
                .iter()
                .enumerate()
                .filter(|(_, r)| r.value == Some(b"poison"))
                .map(|(i, _)| i)
                .collect();
            let refused =
                |i: &usize| Refused { index: *i, kind: ErrorKind::Unacceptable, reason: "poison".to_owned() };
            if !bad.is_empty() && self.sin != Sin::Silent {
                let asked = self.host.refuse(&unit, bad.iter().map(refused).collect()).await;
                if self.sin != Sin::Stubborn {
                    asked?;
                }
            }
            let mut unit = unit;
            if self.sin == Sin::Forgetful && unit.batch.is_empty() {
                unit.before = Account::default();
            }
            let mark = self.books.after(&unit, &unit.written_but(&bad, Ruling::Kept));
            let mut rows: Vec<_> = unit.batch.iter().filter(|r| r.value != Some(b"poison")).collect();
            if self.sin == Sin::Backwards {
                rows.reverse();
            }
            let mut place = self.place.lock().unwrap();
            place.rows.extend(rows.iter().map(|r| (split.clone(), r.value.unwrap_or_default().to_vec())));
            if self.sin != Sin::TwoSteps {
                place.marks.insert(split.clone(), mark);
            }
            self.books.settle(&split, mark);
            self.settled.insert(split, mark);
            self.taken.remove(0);
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl RecordSink for Sink {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        let place = self.place.lock().unwrap();
        Ok(known.iter().map(|(s, _)| place.marks.get(s).copied()).collect())
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        splits.iter().for_each(|(s, m)| self.books.open(s.clone(), *m));
        Ok(())
    }

    async fn close(&mut self, splits: &[Split]) {
        for s in splits {
            if self.sin == Sin::Undead {
                self.closed.push((s.clone(), Mark::default()));
            }
            self.books.close(s);
            self.settled.remove(s);
        }
        self.taken.retain(|u| !splits.contains(u.batch.split()));
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        if self.sin == Sin::Early {
            let mark = self.books.after(&unit, &unit.all_written());
            self.settled.insert(unit.batch.split().clone(), mark);
        }
        self.taken.push(unit);
        self.commit(4).await
    }

    async fn tick(&mut self) -> Result<()> {
        if self.sin == Sin::TwoSteps { self.commit(1).await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        self.commit(1).await?;
        if self.sin == Sin::TwoSteps {
            let mut place = self.place.lock().unwrap();
            place.marks.extend(self.settled.clone());
        }
        Ok(())
    }

    fn settled(&mut self) -> Vec<Settled> {
        let undead = self.closed.drain(..);
        let mut all: Vec<_> = undead.map(|(split, mark)| Settled { split, mark }).collect();
        all.extend(
            std::mem::take(&mut self.settled).into_iter().map(|(split, mark)| Settled { split, mark }),
        );
        all
    }
}

async fn verdict(sin: Sin) -> Verdict {
    let memory = Memory(Arc::default(), sin);
    run(&memory, Profile { keeps_marks: true, idempotent: false, ordered: true }, "c").await
}

#[tokio::test]
async fn a_right_sink_passes() {
    assert_eq!(verdict(Sin::None).await, Ok(()));
}

#[tokio::test]
async fn each_sin_is_found() {
    for sin in
        [Sin::Early, Sin::TwoSteps, Sin::Silent, Sin::Stubborn, Sin::Forgetful, Sin::Undead, Sin::Backwards]
    {
        assert!(verdict(sin).await.is_err(), "{sin:?}");
    }
}
