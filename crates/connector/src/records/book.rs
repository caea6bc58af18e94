//! The account that travels with a position into the destination's own atomic unit.
//!
//! A position alone would leave a gap after a crash: what was written between the engine's last journal entry and
//! the destination's position was counted nowhere. So a sink stores a [`Mark`] (position and account together), and
//! the account is right again from there.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Batch, Ruling, Split};

/// What became of the records of a split, since its beginning. `read + expanded = written + unchanged + skipped +
/// filtered + dead_lettered + failed` holds in both columns at every settled position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Records; see the ledger's columns.
    pub items: [u64; 8],
    /// Bytes, the same columns.
    pub bytes: [u64; 8],
}

impl Account {
    /// Column: read from the source.
    pub const READ: usize = 0;
    /// Column: more outputs than inputs (never bytes: see [`Unit::weight`]).
    pub const EXPANDED: usize = 1;
    /// Column: written to the destination.
    pub const WRITTEN: usize = 2;
    /// Column: found there already, the same.
    pub const UNCHANGED: usize = 3;
    /// Column: left alone by policy (invalid records that the task says to drop).
    pub const SKIPPED: usize = 4;
    /// Column: taken out by a filter.
    pub const FILTERED: usize = 5;
    /// Column: kept aside with bytes and reason.
    pub const DEAD: usize = 6;
    /// Column: lost to an error that nobody ruled on. Always 0 in a healthy task.
    pub const FAILED: usize = 7;

    /// Books `items` and `bytes` in a column.
    pub fn add(&mut self, column: usize, items: u64, bytes: u64) {
        if let (Some(i), Some(b)) = (self.items.get_mut(column), self.bytes.get_mut(column)) {
            *i = i.saturating_add(items);
            *b = b.saturating_add(bytes);
        }
    }

    /// Adds another account.
    pub fn merge(&mut self, other: &Self) {
        for (a, b) in self.items.iter_mut().zip(other.items) {
            *a = a.saturating_add(b);
        }
        for (a, b) in self.bytes.iter_mut().zip(other.bytes) {
            *a = a.saturating_add(b);
        }
    }

    /// Books `items` and `bytes` as what a ruling makes of them.
    pub fn rule(&mut self, ruling: Ruling, items: u64, bytes: u64) {
        let column = match ruling {
            Ruling::Kept => Self::DEAD,
            Ruling::Dropped => Self::SKIPPED,
        };
        self.add(column, items, bytes);
    }
}

/// A position and the account that belongs to it: what a sink keeps in its atomic unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The position to go on from.
    pub next: i64,
    /// The account up to there.
    pub account: Account,
}

impl Mark {
    /// Text form, 1 line of ASCII without spaces (`1:next:i0,i1,…:b0,b1,…`); fits into Kafka's commit metadata, a row, an
    /// object's user metadata, a snapshot property.
    #[must_use]
    pub fn to_text(self) -> String {
        let list = |l: &[u64; 8]| l.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        format!("1:{}:{}:{}", self.next, list(&self.account.items), list(&self.account.bytes))
    }

    /// Reads the text form; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("1:")?.split(':');
        let next = parts.next()?.parse().ok()?;
        let mut list = || {
            let mut out = [0; 8];
            let mut words = parts.next()?.split(',');
            for slot in &mut out {
                *slot = words.next()?.parse().ok()?;
            }
            words.next().is_none().then_some(out)
        };
        let account = Account { items: list()?, bytes: list()? };
        parts.next().is_none().then_some(Self { next, account })
    }
}

/// A batch on its way to a sink, with what happened to its records before (read, expanded, filtered, kept aside).
#[derive(Debug, Clone)]
pub struct Unit {
    /// The records to write.
    pub batch: Arc<Batch>,
    /// Everything of this batch that is settled without the sink; the records in `batch` are in it as `READ` and
    /// `EXPANDED` only.
    pub before: Account,
    /// What each record weighs in the ledger; `None` = its own bytes. Ledgers count the bytes of what was read, so a record that a
    /// transform made has the weight of its original, the second and later of an original 0.
    pub weights: Option<Arc<[u32]>>,
}

impl Unit {
    /// A unit of records as they were read.
    #[must_use]
    pub fn as_read(batch: Arc<Batch>) -> Self {
        let mut before = Account::default();
        let bytes = batch.iter().map(|r| r.weight()).sum();
        before.add(Account::READ, batch.len() as u64, bytes);
        Self { batch, before, weights: None }
    }

    /// Bytes that a record counts in ledgers.
    #[must_use]
    pub fn weight(&self, index: usize) -> u64 {
        match &self.weights {
            Some(w) => w.get(index).copied().map_or(0, u64::from),
            None => self.batch.get(index).map_or(0, |r| r.weight()),
        }
    }

    /// The account of a unit whose records were all written but for these (indexes, each once), which were ruled on.
    #[must_use]
    pub fn written_but(&self, refused: &[usize], ruling: Ruling) -> Account {
        let all: u64 = (0..self.batch.len()).map(|i| self.weight(i)).sum();
        let out: u64 = refused.iter().map(|i| self.weight(*i)).sum();
        let mut account = Account::default();
        let items = (self.batch.len() as u64).saturating_sub(refused.len() as u64);
        account.add(Account::WRITTEN, items, all.saturating_sub(out));
        account.rule(ruling, refused.len() as u64, out);
        account
    }

    /// The account of a unit whose records were all written.
    #[must_use]
    pub fn all_written(&self) -> Account {
        self.written_but(&[], Ruling::Kept)
    }
}

/// The running marks of the splits that a sink holds: one for each, moved on unit by unit.
#[derive(Debug, Default)]
pub struct Books(HashMap<Split, Mark>);

impl Books {
    /// Takes a split over at a mark.
    pub fn open(&mut self, split: Split, mark: Mark) {
        self.0.insert(split, mark);
    }

    /// Lets go of a split.
    pub fn close(&mut self, split: &Split) {
        self.0.remove(split);
    }

    /// The present mark.
    #[must_use]
    pub fn mark(&self, split: &Split) -> Option<Mark> {
        self.0.get(split).copied()
    }

    /// The mark as it will be when `unit` is settled with this further account (written, refused), without moving to it.
    #[must_use]
    pub fn after(&self, unit: &Unit, more: &Account) -> Mark {
        let mut mark = self.mark(unit.batch.split()).unwrap_or_default();
        mark.next = mark.next.max(unit.batch.next());
        mark.account.merge(&unit.before);
        mark.account.merge(more);
        mark
    }

    /// Moves on to a mark.
    pub fn settle(&mut self, split: &Split, mark: Mark) {
        self.0.insert(split.clone(), mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives_its_text() {
        let mut account = Account::default();
        account.add(Account::READ, 7, u64::MAX);
        account.rule(Ruling::Kept, 2, 9);
        let mark = Mark { next: 42, account };
        assert_eq!(Mark::parse(&mark.to_text()), Some(mark));
        for bad in
            ["", "1:", "2:1:0,0,0,0,0,0,0,0:0,0,0,0,0,0,0,0", "1:x:0:0", "1:1:0,0,0,0,0,0,0:0,0,0,0,0,0,0,0"]
        {
            assert_eq!(Mark::parse(bad), None);
        }
    }
}
