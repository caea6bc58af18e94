//! The transform's place in a lane: a batch becomes a unit, and every record of it has an outcome.
//!
//! Books so that `read + expanded = filtered + skipped + dead-lettered + what the unit carries` in both columns, batch by batch. The first
//! record made from an original has the original's weight, further ones weigh nothing.
//!
//! A transform is pure: the same record fails again the same way, so trying it again is left out.

use std::fmt;
use std::sync::Arc;

use connector::records::{Account, Batch, BatchBuilder, RecordRef, Unit};
use connector::{Error, ErrorKind, Result};
use model::OnFailure;

use super::{Emit, Step};

/// Longest reason that is kept, in bytes.
pub(super) const MAX_REASON: usize = 1024;

/// A record that can't be transformed and is to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Index in the original batch.
    pub index: usize,
    pub kind: &'static str,
    pub reason: String,
}

/// What a batch became.
pub(super) struct Made {
    pub unit: Unit,
    /// To be kept before the unit is written.
    pub failed: Vec<Failed>,
    /// The unit ends before a record that blocks the pipeline.
    pub blocked: Option<Error>,
}

/// Takes a batch through the transform.
pub(super) fn transform(
    step: &mut dyn Step,
    batch: &Batch,
    now_ms: i64,
    on_failure: &OnFailure,
) -> Result<Made> {
    let out =
        BatchBuilder::with_capacity(batch.split().clone(), batch.first(), batch.len(), batch.held() as usize);
    let mut c = Collector {
        batch,
        out,
        weights: Vec::with_capacity(batch.len()),
        before: Account::default(),
        seen: 0,
        sub: 0,
        failed: Vec::new(),
        on_failure,
        blocked: None,
        broken: None,
    };
    step.apply(batch, now_ms, &mut c);
    c.finish()
}

struct Collector<'a> {
    batch: &'a Batch,
    out: BatchBuilder,
    weights: Vec<u32>,
    before: Account,
    /// Originals that have an outcome.
    seen: usize,
    /// Records made from the last of them.
    sub: u32,
    failed: Vec<Failed>,
    on_failure: &'a OnFailure,
    blocked: Option<(i64, Error)>,
    broken: Option<&'static str>,
}

impl<'a> Collector<'a> {
    /// Books an original as read. `None` when it is not its turn, or nothing counts any more.
    fn read(&mut self, index: usize) -> Option<(RecordRef<'a>, u64)> {
        if self.blocked.is_some() {
            return None;
        }
        let batch = self.batch;
        let Some(original) = batch.get(index).filter(|_| index == self.seen) else {
            self.broken = Some("the transform lost its place");
            return None;
        };
        let weight = original.weight();
        self.before.add(Account::READ, 1, weight);
        self.seen += 1;
        self.sub = 0;
        Some((original, weight))
    }

    fn push(&mut self, record: &RecordRef<'_>, weight: u64) {
        if !self.out.push(record) {
            self.broken = Some("the transform made more than 4 GiB of one batch");
        }
        self.weights.push(u32::try_from(weight).unwrap_or(u32::MAX));
    }

    fn finish(self) -> Result<Made> {
        let split = self.batch.split();
        if let Some(what) = self.broken {
            return Err(Error::new(ErrorKind::Other, format!("{split} from {}: {what}", self.batch.first())));
        }
        if self.blocked.is_none() && self.seen != self.batch.len() {
            return Err(Error::new(ErrorKind::Other, format!("{split}: the transform left records out")));
        }
        let next = self.blocked.as_ref().map_or(self.batch.next(), |(offset, _)| *offset);
        let unit = Unit {
            batch: Arc::new(self.out.finish(next)),
            before: self.before,
            weights: Some(self.weights.into()),
        };
        Ok(Made { unit, failed: self.failed, blocked: self.blocked.map(|(_, e)| e) })
    }
}

impl Emit for Collector<'_> {
    fn put(&mut self, from: usize, record: &RecordRef<'_>) {
        if self.blocked.is_some() {
            return;
        }
        if from + 1 == self.seen && self.sub > 0 {
            let Some(offset) = self.batch.get(from).map(|r| r.offset) else { return };
            let record = RecordRef { offset, sub: self.sub, ..*record };
            self.before.add(Account::EXPANDED, 1, 0);
            self.push(&record, 0);
        } else if let Some((original, weight)) = self.read(from) {
            self.push(&RecordRef { offset: original.offset, sub: 0, ..*record }, weight);
        }
        self.sub += 1;
    }

    fn filtered(&mut self, from: usize) {
        if let Some((_, weight)) = self.read(from) {
            self.before.add(Account::FILTERED, 1, weight);
        }
    }

    fn failed(&mut self, from: usize, kind: &'static str, reason: fmt::Arguments<'_>) {
        if let (OnFailure::Block | OnFailure::Aside { .. }, Some(r), None) =
            (self.on_failure, self.batch.get(from), &self.blocked)
        {
            let text = format!("{} offset {} can't be transformed: {reason}", self.batch.split(), r.offset);
            self.blocked = Some((r.offset, Error::new(ErrorKind::Unacceptable, text)));
            return;
        }
        let Some((original, weight)) = self.read(from) else { return };
        match self.on_failure {
            // An error directory takes nothing that a transform had a hand in: control refuses the two together.
            OnFailure::Block | OnFailure::Aside { .. } => {}
            OnFailure::Drop => self.before.add(Account::SKIPPED, 1, weight),
            OnFailure::Pass => self.push(&original, weight),
            OnFailure::Keep { .. } => {
                self.before.add(Account::DEAD, 1, weight);
                let mut reason = reason.to_string();
                reason.truncate(reason.floor_char_boundary(MAX_REASON));
                self.failed.push(Failed { index: from, kind, reason });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector::records::{Headers, Split};

    /// By the first letter: `f` filter, `x` fail, `3` three records, else the same.
    struct ByLetter;

    impl Step for ByLetter {
        fn apply(&mut self, batch: &Batch, _: i64, out: &mut dyn Emit) {
            for (i, r) in batch.iter().enumerate() {
                match r.value.and_then(|v| v.first()) {
                    Some(b'f') => out.filtered(i),
                    Some(b'x') => out.failed(i, "bad", format_args!("an x")),
                    Some(b'3') => (0..3).for_each(|_| out.put(i, &r)),
                    _ => out.put(i, &RecordRef { value: Some(b"longer than it was"), ..r }),
                }
            }
        }
    }

    fn batch(values: &[&str]) -> Batch {
        let mut b = BatchBuilder::new(Split::new("t", 0), 10);
        for (i, v) in values.iter().enumerate() {
            let r = RecordRef {
                offset: 10 + i as i64,
                sub: 0,
                timestamp_ms: 0,
                key: None,
                value: Some(v.as_bytes()),
                headers: Headers::none(),
            };
            assert!(b.push(&r));
        }
        b.finish(20)
    }

    fn balanced(made: &Made) -> bool {
        let mut a = made.unit.before;
        a.merge(&made.unit.all_written());
        let holds = |c: &[u64; 8]| c[0] + c[1] == c[2..].iter().sum::<u64>();
        holds(&a.items) && holds(&a.bytes)
    }

    #[test]
    fn every_record_has_an_outcome_and_the_books_balance() {
        let keep = OnFailure::Keep { copy: None, retries: 0, interval_ms: 0 };
        let b = batch(&["a", "ff", "xxx", "3333", ""]);
        for (rule, records, failed) in [(keep, 5, 1), (OnFailure::Drop, 5, 0), (OnFailure::Pass, 6, 0)] {
            let made = transform(&mut ByLetter, &b, 0, &rule).unwrap();
            assert!(balanced(&made), "{rule:?}");
            assert_eq!((made.unit.batch.len(), made.failed.len()), (records, failed));
            assert_eq!((made.unit.batch.first(), made.unit.batch.next()), (10, 20));
            assert_eq!(made.unit.before.bytes[Account::READ], 10);
            let subs: Vec<_> = made.unit.batch.iter().filter(|r| r.offset == 13).map(|r| r.sub).collect();
            assert_eq!(subs, [0, 1, 2]);
        }
    }

    #[test]
    fn a_blocking_record_lets_pass_what_is_before_it() {
        let made = transform(&mut ByLetter, &batch(&["a", "f", "x", "a"]), 0, &OnFailure::Block).unwrap();
        assert!(balanced(&made));
        assert_eq!((made.unit.batch.len(), made.unit.batch.next()), (1, 12));
        assert!(made.blocked.unwrap().to_string().contains("t-0 offset 12"));
    }

    struct Forgetful;

    impl Step for Forgetful {
        fn apply(&mut self, batch: &Batch, _: i64, out: &mut dyn Emit) {
            out.filtered(batch.len() - 1);
        }
    }

    #[test]
    fn a_transform_that_loses_records_is_found_out() {
        assert!(transform(&mut Forgetful, &batch(&["a", "b"]), 0, &OnFailure::Drop).is_err());
        assert!(transform(&mut Forgetful, &batch(&["a"]), 0, &OnFailure::Drop).is_ok());
    }
}
