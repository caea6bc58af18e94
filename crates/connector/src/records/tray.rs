//! Units between being taken and being settled, for sinks that have several requests in flight.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Account, Books, Mark, Refused, Settled, SharedHost, Split, Unit};
use crate::{ErrorKind, Result};

/// Most bytes of a reason that are kept.
const MAX_REASON: usize = 1024;

/// Which unit; see [`Tray::take`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Held {
    unit: Unit,
    /// Pieces that are under way.
    open: usize,
    sealed: bool,
    refused: Vec<Refused>,
}

/// Units in flight. A sink takes a unit, adds a piece for whatever it sends of it, seals it when everything is added, and tells
/// the tray of each piece when it is done or refused, in any order. The tray settles split by split, in order, and has
/// the host rule on what was refused before a position moves.
#[derive(Debug, Default)]
pub struct Tray {
    books: Books,
    units: BTreeMap<Ticket, Held>,
    order: HashMap<Split, VecDeque<Ticket>>,
    next: u64,
    /// Marks since the last call of `settled`.
    moved: HashMap<Split, Mark>,
}

impl Tray {
    /// Takes splits over at marks.
    pub fn open(&mut self, splits: &[(Split, Mark)]) {
        for (split, mark) in splits {
            self.books.open(split.clone(), *mark);
            self.order.entry(split.clone()).or_default();
        }
    }

    /// Forgets splits and what is in flight of them.
    pub fn close(&mut self, splits: &[Split]) {
        for split in splits {
            for ticket in self.order.remove(split).unwrap_or_default() {
                self.units.remove(&ticket);
            }
            self.books.close(split);
            self.moved.remove(split);
        }
    }

    /// Takes a unit.
    pub fn take(&mut self, unit: Unit) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.order.entry(unit.batch.split().clone()).or_default().push_back(ticket);
        self.units.insert(ticket, Held { unit, open: 0, sealed: false, refused: Vec::new() });
        ticket
    }

    /// `n` more pieces of this unit are under way.
    pub fn add(&mut self, ticket: Ticket, n: usize) {
        if let Some(held) = self.units.get_mut(&ticket) {
            held.open += n;
        }
    }

    /// All pieces of this unit have been added.
    pub fn seal(&mut self, ticket: Ticket) {
        if let Some(held) = self.units.get_mut(&ticket) {
            held.sealed = true;
        }
    }

    /// `n` pieces of this unit are at the destination, or refused.
    pub fn done(&mut self, ticket: Ticket, n: usize) {
        if let Some(held) = self.units.get_mut(&ticket) {
            held.open = held.open.saturating_sub(n);
        }
    }

    /// A record of this unit is refused. Its piece, if it had one, is still to be reported done.
    pub fn refuse(&mut self, ticket: Ticket, index: usize, kind: ErrorKind, mut reason: String) {
        if let Some(held) = self.units.get_mut(&ticket) {
            let end = (0..=MAX_REASON.min(reason.len())).rev().find(|n| reason.is_char_boundary(*n));
            reason.truncate(end.unwrap_or_default());
            held.refused.push(Refused { index, kind, reason });
        }
    }

    /// The unit, while it is held.
    #[must_use]
    pub fn unit(&self, ticket: Ticket) -> Option<&Unit> {
        self.units.get(&ticket).map(|h| &h.unit)
    }

    /// Up to where a split is settled.
    #[must_use]
    pub fn mark(&self, split: &Split) -> Option<Mark> {
        self.books.mark(split)
    }

    /// Units that are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// None held?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Settles what can be settled.
    ///
    /// # Errors
    /// What the host says to refusals: nothing of their split has moved beyond them then.
    pub async fn settle(&mut self, host: &SharedHost) -> Result<()> {
        for (split, order) in &mut self.order {
            while let Some(ticket) = order.front() {
                let Some(held) = self.units.get_mut(ticket) else {
                    order.pop_front();
                    continue;
                };
                if !held.sealed || held.open > 0 {
                    break;
                }
                let account = rule(held, host).await?;
                let mark = self.books.after(&held.unit, &account);
                self.books.settle(split, mark);
                self.moved.insert(split.clone(), mark);
                self.units.remove(ticket);
                order.pop_front();
            }
        }
        Ok(())
    }

    /// What has moved since the last call.
    pub fn settled(&mut self) -> Vec<Settled> {
        self.moved.drain().map(|(split, mark)| Settled { split, mark }).collect()
    }
}

/// Has the host rule on the refused records, those that the sink's options drop apart from the others, and makes the account.
async fn rule(held: &mut Held, host: &SharedHost) -> Result<Account> {
    // Several pieces of one record may have been refused: the first reason counts.
    held.refused.sort_by_key(|r| r.index);
    held.refused.dedup_by_key(|r| r.index);
    let mut account = held.unit.all_written();
    if held.refused.is_empty() {
        return Ok(account);
    }
    let (dropped, others): (Vec<_>, Vec<_>) =
        held.refused.iter().cloned().partition(|r| r.kind == ErrorKind::Corrupt);
    for group in [dropped, others].into_iter().filter(|g| !g.is_empty()) {
        let weight = group.iter().map(|r| held.unit.weight(r.index)).sum();
        let items = group.len() as u64;
        let ruling = host.refuse(&held.unit, group).await?;
        account.items[Account::WRITTEN] = account.items[Account::WRITTEN].saturating_sub(items);
        account.bytes[Account::WRITTEN] = account.bytes[Account::WRITTEN].saturating_sub(weight);
        account.rule(ruling, items, weight);
    }
    Ok(account)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::Error;
    use crate::records::{BatchBuilder, Headers, Host, RecordRef, Ruling};

    #[derive(Default)]
    struct Desk {
        seen: RefCell<Vec<(i64, Vec<Refused>)>>,
        closed: RefCell<bool>,
    }

    #[async_trait(?Send)]
    impl Host for Desk {
        async fn refuse(&self, unit: &Unit, refused: Vec<Refused>) -> Result<Ruling> {
            if *self.closed.borrow() {
                return Err(Error::new(ErrorKind::Unacceptable, "not allowed"));
            }
            let dropped = refused.iter().all(|r| r.kind == ErrorKind::Corrupt);
            self.seen.borrow_mut().push((unit.batch.first(), refused));
            Ok(if dropped { Ruling::Dropped } else { Ruling::Kept })
        }
    }

    fn unit(first: i64, n: i64) -> Unit {
        let mut b = BatchBuilder::new(Split::new("t", 0), first);
        for offset in first..first + n {
            let value = Some(&b"12345"[..]);
            assert!(b.push(&RecordRef {
                offset,
                sub: 0,
                timestamp_ms: 0,
                key: None,
                value,
                headers: Headers::none()
            }));
        }
        Unit::as_read(Arc::new(b.finish(first + n)))
    }

    #[tokio::test]
    async fn units_settle_in_order_whatever_ends_first() {
        let desk = Rc::new(Desk::default());
        let host: SharedHost = desk.clone();
        let mut tray = Tray::default();
        tray.open(&[(Split::new("t", 0), Mark::default())]);
        let (a, b) = (tray.take(unit(0, 3)), tray.take(unit(3, 2)));
        tray.add(a, 3);
        tray.add(b, 2);
        tray.seal(a);
        tray.seal(b);
        tray.done(b, 2);
        tray.settle(&host).await.unwrap();
        assert!(tray.settled().is_empty());
        tray.refuse(a, 1, ErrorKind::Unacceptable, "é".repeat(2000));
        tray.refuse(a, 1, ErrorKind::Unacceptable, "again".into());
        tray.refuse(a, 2, ErrorKind::Corrupt, "not JSON".into());
        tray.done(a, 3);
        *desk.closed.borrow_mut() = true;
        assert!(tray.settle(&host).await.is_err());
        assert!(tray.settled().is_empty());
        *desk.closed.borrow_mut() = false;
        tray.settle(&host).await.unwrap();
        let settled = tray.settled();
        assert_eq!((settled.len(), settled[0].mark.next), (1, 5));
        let account = settled[0].mark.account;
        assert_eq!(account.items, [5, 0, 3, 0, 1, 0, 1, 0]);
        assert_eq!(account.bytes, [25, 0, 15, 0, 5, 0, 5, 0]);
        assert_eq!(desk.seen.borrow().len(), 2);
        assert!(desk.seen.borrow()[1].1[0].reason.len() <= MAX_REASON);
        assert!(tray.is_empty());
    }

    #[tokio::test]
    async fn a_lost_split_is_forgotten_and_its_late_answers_are_nobodys() {
        let host: SharedHost = Rc::new(Desk::default());
        let mut tray = Tray::default();
        let a = tray.take(unit(0, 1));
        tray.add(a, 1);
        tray.seal(a);
        tray.close(&[Split::new("t", 0)]);
        tray.done(a, 1);
        tray.settle(&host).await.unwrap();
        assert!(tray.settled().is_empty() && tray.is_empty());
    }
}
