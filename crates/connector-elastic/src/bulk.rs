//! A bulk: lines of actions and documents, and which record each belongs to.

use std::ops::Range;

use bytes::Bytes;
use connector::records::Ticket;
use tokio::time::Instant;

/// One action of a bulk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) ticket: Ticket,
    /// Index of its record in the unit.
    pub(crate) index: u32,
    start: u32,
    /// Same id, same key; 0 where nothing else has the id.
    key: u64,
}

/// Actions on their way into one request.
#[derive(Debug, Default)]
pub(crate) struct Bulk {
    pub(crate) body: Vec<u8>,
    pub(crate) items: Vec<Item>,
    /// When its first action was added.
    pub(crate) since: Option<Instant>,
}

impl Bulk {
    /// Adds the action whose bytes begin at `start`.
    pub(crate) fn push(&mut self, ticket: Ticket, index: u32, start: usize, key: Option<u64>) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
        }
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        self.items.push(Item { ticket, index, start, key: key.map_or(0, |k| k.max(1)) });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.body.clear();
        self.items.clear();
        self.since = None;
    }

    /// Keeps only what passes.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Item) -> bool) {
        if self.items.iter().all(&mut keep) {
            return;
        }
        let old = std::mem::take(self);
        for (n, item) in old.items.iter().enumerate().filter(|(_, i)| keep(i)) {
            let start = self.body.len() as u32;
            self.body
                .extend_from_slice(old.body.get(piece(&old.items, old.body.len(), n)).unwrap_or_default());
            self.items.push(Item { start, ..*item });
        }
        self.since = old.since.filter(|_| !self.items.is_empty());
    }

    /// Nothing more is added.
    pub(crate) fn seal(self) -> Sealed {
        Sealed { body: Bytes::from(self.body), items: self.items }
    }
}

/// Where the bytes of an action are.
fn piece(items: &[Item], end: usize, item: usize) -> Range<usize> {
    let start = |n: usize| items.get(n).map_or(end, |i| i.start as usize);
    start(item)..start(item + 1)
}

/// A bulk that is on its way.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) body: Bytes,
    pub(crate) items: Vec<Item>,
}

impl Sealed {
    /// The bytes of an action.
    fn bytes(&self, item: usize) -> &[u8] {
        self.body.get(piece(&self.items, self.body.len(), item)).unwrap_or_default()
    }

    /// The body for some of the actions, in order.
    pub(crate) fn body_of(&self, items: &[usize]) -> Bytes {
        if items.len() == self.items.len() {
            return self.body.clone();
        }
        let mut body = Vec::new();
        items.iter().for_each(|i| body.extend_from_slice(self.bytes(*i)));
        Bytes::from(body)
    }

    /// The buffers for the next one, when nobody else holds them any more.
    pub(crate) fn recycle(self) -> Bulk {
        let body = self.body.try_into_mut().map(Vec::from).unwrap_or_default();
        let mut bulk = Bulk { body, items: self.items, since: None };
        bulk.clear();
        bulk
    }

    /// Does an action later than `item` in the sorted list `done` speak of the same document? Then this one has nothing more to say:
    /// every action sets the whole document or removes it.
    pub(crate) fn overtaken(&self, item: usize, done: &[usize]) -> bool {
        let Some(this) = self.items.get(item).filter(|i| i.key != 0) else { return false };
        let later = done.partition_point(|d| *d <= item);
        done.get(later..).unwrap_or_default().iter().any(|d| {
            self.items.get(*d).is_some_and(|o| o.key == this.key) && self.target(*d) == self.target(item)
        })
    }

    /// The action's line without the verb: index and id.
    fn target(&self, item: usize) -> &[u8] {
        let line = self.bytes(item).split(|b| *b == b'\n').next().unwrap_or_default();
        let colon = line.iter().position(|b| *b == b':').unwrap_or_default();
        line.get(colon..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connector::records::{BatchBuilder, Split, Tray, Unit};

    use super::*;

    #[test]
    fn only_later_actions_on_the_same_document_overtake() {
        let ticket =
            Tray::default().take(Unit::as_read(Arc::new(BatchBuilder::new(Split::new("t", 0), 0).finish(0))));
        let mut bulk = Bulk::default();
        // The last two have the same key by accident.
        for (key, line) in [
            (7, "{\"index\":{\"_id\":\"a\"}}\n{}\n"),
            (8, "{\"index\":{\"_id\":\"b\"}}\n{}\n"),
            (7, "{\"delete\":{\"_id\":\"a\"}}\n"),
            (9, "{\"index\":{\"_id\":\"c\"}}\n{}\n"),
            (9, "{\"index\":{\"_id\":\"d\"}}\n{}\n"),
        ] {
            let start = bulk.body.len();
            bulk.body.extend_from_slice(line.as_bytes());
            bulk.push(ticket, 0, start, Some(key));
        }
        bulk.retain(|_| true);
        let sealed = bulk.seal();
        assert!(sealed.overtaken(0, &[1, 2]));
        assert!(!sealed.overtaken(2, &[0, 1]));
        assert!(!sealed.overtaken(1, &[0, 2, 3, 4]));
        assert!(!sealed.overtaken(3, &[4]));
        assert_eq!(
            sealed.body_of(&[1, 2]),
            "{\"index\":{\"_id\":\"b\"}}\n{}\n{\"delete\":{\"_id\":\"a\"}}\n"
        );
        let mut again = Bulk { body: sealed.body.to_vec(), items: sealed.items, since: None };
        let mut n = 0;
        let first = again.items[0].start;
        again.retain(|i| {
            n += 1;
            i.start != first
        });
        assert_eq!(again.items.len(), 4);
        assert!(again.body.starts_with(b"{\"index\":{\"_id\":\"b\"}}\n{}\n{\"delete\""));
    }
}
