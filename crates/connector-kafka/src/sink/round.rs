//! What is written together: the units of one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use connector::Result;
use connector::records::{Account, Books, Host, Mark, Refused, Ruling, Split, Unit};

/// A round is ended when it is this old…
const LINGER: Duration = Duration::from_millis(250);
/// …or holds this much. A transaction costs about six requests, whatever is in it.
pub(super) const BYTES: u64 = 4 << 20;
const RECORDS: usize = 100_000;

/// Units that are written together, in the order in which they came.
#[derive(Default)]
pub(super) struct Round {
    pub(super) units: Vec<Unit>,
    /// What is not written, by unit and record.
    pub(super) refused: HashMap<usize, BTreeMap<usize, Refused>>,
    /// Only these are still to be written (tags); `None` = all.
    pub(super) only: Option<HashSet<usize>>,
    bytes: u64,
    records: usize,
    since: Option<Instant>,
}

/// Names a record of a round.
pub(super) fn tag(unit: usize, record: usize) -> usize {
    (unit << 32) | (record & 0xffff_ffff)
}

/// What a tag names.
pub(super) fn named(tag: usize) -> (usize, usize) {
    (tag >> 32, tag & 0xffff_ffff)
}

impl Round {
    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES || self.records >= RECORDS
    }

    pub(super) fn is_due(&self) -> bool {
        self.is_full() || self.since.is_some_and(|at| at.elapsed() >= LINGER)
    }

    /// Takes a unit, and says which number it has.
    pub(super) fn push(&mut self, unit: Unit) -> usize {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += unit.batch.held();
        self.records += unit.batch.len();
        self.units.push(unit);
        self.units.len() - 1
    }

    /// Is this record still to be written?
    pub(super) fn wants(&self, unit: usize, record: usize) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&tag(unit, record)))
            && !self.refused.get(&unit).is_some_and(|r| r.contains_key(&record))
    }

    pub(super) fn refuse(&mut self, unit: usize, refused: Refused) {
        self.refused.entry(unit).or_default().insert(refused.index, refused);
    }

    /// Keeps the units of splits that `keep` wants. The numbers of the others change, so verdicts on them are forgotten.
    pub(super) fn retain(&mut self, keep: impl Fn(&Split) -> bool) {
        let before = self.units.len();
        self.units.retain(|u| keep(u.batch.split()));
        if self.units.len() != before {
            self.refused.clear();
            self.only = None;
        }
    }

    /// Has refused records ruled on, and says how far each split comes with this round.
    pub(super) async fn marks(&self, books: &Books, host: &dyn Host) -> Result<Vec<(Split, Mark)>> {
        let (mut after, mut order) = (Books::default(), Vec::new());
        for (i, unit) in self.units.iter().enumerate() {
            let split = unit.batch.split();
            if after.mark(split).is_none() {
                after.open(split.clone(), books.mark(split).unwrap_or_default());
                order.push(split.clone());
            }
            let account = self.account(i, unit, host).await?;
            let mark = after.after(unit, &account);
            after.settle(split, mark);
        }
        Ok(order.into_iter().filter_map(|s| after.mark(&s).map(|m| (s, m))).collect())
    }

    async fn account(&self, index: usize, unit: &Unit, host: &dyn Host) -> Result<Account> {
        let Some(refused) = self.refused.get(&index).filter(|r| !r.is_empty()) else {
            return Ok(unit.all_written());
        };
        let ruling: Ruling = host.refuse(unit, refused.values().cloned().collect()).await?;
        let indexes: Vec<usize> = refused.keys().copied().collect();
        Ok(unit.written_but(&indexes, ruling))
    }
}
