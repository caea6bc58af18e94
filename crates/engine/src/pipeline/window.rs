//! How many bytes each lane may hold: a share that is always there, and a part of what all may borrow.
//!
//! A lane whose window is smaller than its sink's batch waits for the sink's patience at every window, so a lane that is alone should
//! have much. One whose sink stands still keeps what it has, so it must not be able to take what others live by. Both hold here:
//! every lane has the same share for itself, and may borrow up to half of what the other lanes leave of a common pool. However many
//! sinks stand still, the next lane gets its share, and half of what is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a lane may borrow at most.
const MOST: u64 = 16 << 20;

/// The windows of all lanes. Clones share the pool.
#[derive(Debug, Clone)]
pub(super) struct Windows(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    share: u64,
    pool: u64,
    lent: AtomicU64,
}

impl Windows {
    /// Windows for at most `lanes` lanes that hold `bytes` together, half of it as shares.
    pub fn new(bytes: u64, lanes: u64) -> Self {
        let share = (bytes / 2 / lanes.max(1)).clamp(64 << 10, MOST);
        Self(Arc::new(Inner { share, pool: bytes / 2, lent: AtomicU64::new(0) }))
    }

    /// The window at this moment of a lane that holds `used` bytes.
    pub fn of(&self, used: u64) -> u64 {
        let mine = used.saturating_sub(self.0.share);
        let others = self.0.lent.load(Ordering::Relaxed).saturating_sub(mine);
        self.0.share + (self.0.pool.saturating_sub(others) / 2).min(MOST)
    }

    /// A lane held `before` and holds `after`.
    pub fn moved(&self, before: u64, after: u64) {
        let borrowed = |used: u64| used.saturating_sub(self.0.share);
        let (before, after) = (borrowed(before), borrowed(after));
        if after >= before {
            self.0.lent.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.0.lent.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_stand_still_leave_something_to_the_next() {
        let windows = Windows::new(64 << 20, 64);
        let mut all = 0;
        let mut last = u64::MAX;
        for _ in 0..64 {
            let window = windows.of(0);
            assert!(window >= 512 << 10 && window <= last);
            windows.moved(0, window);
            assert_eq!(windows.of(window), window, "a lane's own bytes don't shrink its window");
            all += window;
            last = window;
        }
        assert!(all <= 64 << 20, "all windows together are {all}");
    }

    #[test]
    fn what_is_given_back_can_be_borrowed_again() {
        let windows = Windows::new(64 << 20, 64);
        let alone = windows.of(0);
        windows.moved(0, alone);
        assert!(windows.of(0) < alone);
        windows.moved(alone, 0);
        assert_eq!(windows.of(0), alone);
    }
}
