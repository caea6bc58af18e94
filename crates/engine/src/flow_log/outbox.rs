//! The bounded queue between observing and writing.
//!
//! The reader of the observer never waits here: a sink that is down must not make windows longer for ever. When the queue is full,
//! records are thrown away and counted until it is half empty again; then the loss is stated before anything else goes in.

use std::collections::VecDeque;

use model::Timestamp;

/// Bytes that a message costs beside its text.
const OVERHEAD: usize = 96;

/// A record on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Key: the interface.
    pub key: String,
    /// The record as JSON.
    pub value: Vec<u8>,
    /// The same whenever it is written.
    pub id: String,
    /// Packets and bytes that it stands for.
    pub stands_for: (u64, u64),
}

/// What waits to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Message(Message),
    /// Everything up to here was observed and queued, or stated as lost.
    Covered(Timestamp),
}

/// What was thrown away and is not stated yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) records: u64,
    pub(super) packets: u64,
    /// Unix seconds.
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Outbox {
    items: VecDeque<Item>,
    bytes: usize,
    limit: usize,
    dropped: Option<Dropped>,
}

impl Outbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { items: VecDeque::new(), bytes: 0, limit, dropped: None }
    }

    /// Queues a message, or throws it away. `span`: the seconds that it is about.
    pub(super) fn push(&mut self, message: Message, span: (i64, i64)) {
        let weight = weight(&message);
        if self.dropped.is_some() || self.bytes + weight > self.limit {
            let d = self.dropped.get_or_insert(Dropped { records: 0, packets: 0, from: span.0, to: span.1 });
            d.records += 1;
            d.packets = d.packets.saturating_add(message.stands_for.0);
            d.from = d.from.min(span.0);
            d.to = d.to.max(span.1);
            return;
        }
        self.bytes += weight;
        self.items.push_back(Item::Message(message));
    }

    /// The loss that is to be stated now: there is room again.
    pub(super) fn take_dropped(&mut self) -> Option<Dropped> {
        if self.bytes > self.limit / 2 { None } else { self.dropped.take() }
    }

    /// Queues a statement whatever the room: it is small, and few.
    pub(super) fn state(&mut self, message: Message) {
        self.bytes += weight(&message);
        self.items.push_back(Item::Message(message));
    }

    /// Marks that everything up to a time was queued or stated. While something waits to be stated, nothing is covered.
    pub(super) fn covered(&mut self, at: Timestamp) {
        if self.dropped.is_none() {
            self.items.push_back(Item::Covered(at));
        }
    }

    /// The first messages, up to so many and not past an end of a window.
    pub(super) fn front(&self, most: usize) -> Vec<Message> {
        let messages = self.items.iter().map_while(|i| match i {
            Item::Message(m) => Some(m.clone()),
            Item::Covered(_) => None,
        });
        messages.take(most).collect()
    }

    /// The first so many messages are written.
    pub(super) fn written(&mut self, count: usize) {
        for item in self.items.drain(..count.min(self.items.len())) {
            if let Item::Message(m) = item {
                self.bytes = self.bytes.saturating_sub(weight(&m));
            }
        }
    }

    /// The end of a window, if it is what comes first.
    pub(super) fn pass_covered(&mut self) -> Option<Timestamp> {
        let Some(Item::Covered(at)) = self.items.front() else { return None };
        let at = *at;
        self.items.pop_front();
        Some(at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.dropped.is_none()
    }
}

fn weight(m: &Message) -> usize {
    m.value.len() + m.key.len() + m.id.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: u64) -> Message {
        Message { key: "k".into(), value: vec![0; 100], id: n.to_string(), stands_for: (n, 0) }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_stated_once_there_is_room() {
        let mut o = Outbox::new(1000);
        for n in 1..=10 {
            o.push(message(n), (10 + i64::try_from(n).unwrap(), 20));
        }
        let kept = o.front(100).len();
        assert!((2..10).contains(&kept), "{kept}");
        o.covered(Timestamp(1));
        assert_eq!(o.take_dropped(), None, "no room yet");
        o.written(kept);
        assert_eq!(o.pass_covered(), None, "a window with a loss that isn't stated is not covered");
        let d = o.take_dropped().unwrap();
        let lost = 10 - kept as u64;
        assert_eq!((d.records, d.packets), (lost, (kept as u64 + 1..=10).sum()));
        assert_eq!((d.from, d.to), (11 + i64::try_from(kept).unwrap(), 20));
        o.state(message(11));
        o.covered(Timestamp(2));
        assert_eq!(o.front(100).len(), 1);
        o.written(1);
        assert_eq!(o.pass_covered(), Some(Timestamp(2)));
        assert!(o.is_empty() && o.bytes == 0);
    }
}
