//! Work that waits for a slot: a part of a large item nobody is at work on, then what was released, then
//! the listing's, then parts of large items that already have somebody.
//!
//! One slot an item as long as there are items: writers of one file wait for each other in the kernel
//! (the inode's lock), and a reader that goes through a file in order is what disks read ahead for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::item::Work;
use super::large::Large;

/// What a slot gets.
pub(super) enum Taken {
    Item(Work),
    Part(Arc<Large>, u32),
}

#[derive(Default)]
struct State {
    large: VecDeque<Arc<Large>>,
    open: Vec<Arc<Large>>,
    released: VecDeque<Work>,
    items: VecDeque<Work>,
    closed: bool,
}

/// See the module. Its length is bounded by the book's window.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Notify,
    closing: Notify,
}

/// Most slots that one call wakes.
const WAKE: usize = 64;

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, items: Vec<Work>) {
        let n = items.len();
        self.lock().items.extend(items);
        self.wake(n);
    }

    pub fn push_released(&self, items: Vec<Work>) {
        let n = items.len();
        self.lock().released.extend(items);
        self.wake(n);
    }

    pub fn push_large(&self, large: &Arc<Large>) {
        let mut s = self.lock();
        s.large.push_back(large.clone());
        s.open.push(large.clone());
        drop(s);
        self.wake(WAKE);
    }

    fn wake(&self, n: usize) {
        for _ in 0..n.min(WAKE) {
            self.ready.notify_one();
        }
    }

    /// A large item is concluded.
    pub fn forget(&self, large: &Arc<Large>) {
        self.lock().open.retain(|l| !Arc::ptr_eq(l, large));
    }

    /// It is not concluded after all: the run stops first.
    pub fn keep_open(&self, large: &Arc<Large>) {
        self.lock().open.push(large.clone());
    }

    /// Large items that were begun and not concluded.
    pub fn open(&self) -> Vec<Arc<Large>> {
        self.lock().open.clone()
    }

    /// The next piece of work; `None` when the queue is closed.
    pub async fn take(&self) -> Option<Taken> {
        loop {
            let ready = self.ready.notified();
            tokio::pin!(ready);
            ready.as_mut().enable();
            {
                let mut s = self.lock();
                if s.closed {
                    return None;
                }
                if let Some(taken) = s.next() {
                    return Some(taken);
                }
            }
            ready.await;
        }
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// No more work is given out; what waits is dropped.
    pub fn close(&self) {
        let mut s = self.lock();
        s.closed = true;
        s.items.clear();
        s.released.clear();
        s.large.clear();
        drop(s);
        self.ready.notify_waiters();
        self.closing.notify_waiters();
    }

    /// Waits for [`Queue::close`].
    pub async fn closed(&self) {
        let closing = self.closing.notified();
        tokio::pin!(closing);
        closing.as_mut().enable();
        if !self.is_closed() {
            closing.await;
        }
    }
}

impl State {
    fn next(&mut self) -> Option<Taken> {
        while let Some((at, busy)) = self.least_busy() {
            if busy > 0
                && let Some(work) = self.released.pop_front().or_else(|| self.items.pop_front())
            {
                return Some(Taken::Item(work));
            }
            let large = self.large.get(at)?.clone();
            if let Some(n) = large.claim() {
                return Some(Taken::Part(large, n));
            }
            self.large.remove(at);
        }
        self.released.pop_front().or_else(|| self.items.pop_front()).map(Taken::Item)
    }

    /// The large item with the fewest slots at work, the eldest of several, and how many those are.
    fn least_busy(&self) -> Option<(usize, u32)> {
        let busy = self.large.iter().enumerate().map(|(at, l)| (at, l.at_work()));
        busy.min_by_key(|(_, n)| *n)
    }
}
