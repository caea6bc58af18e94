//! How many slots of a lane may work: a climber that goes up while that pays and halves on refusals.
//!
//! Little's law leaves no better rule without knowing the other side: more requests in flight help
//! until its queue is what grows, and then throughput stops rising. So the gate compares the rate of
//! two measuring stretches, goes up by two while the rate rises, down by one where it fell, and halves
//! at once when the other side says that it is overloaded.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Shortest measuring stretch.
const STRETCH: Duration = Duration::from_millis(200);
/// Bytes that weigh as much as one request.
const BYTES_PER_REQUEST: f64 = 65_536.0;
/// A change of the rate below this is noise.
const NOISE: f64 = 0.03;

/// The gate of one lane of one run.
pub(super) struct Gate {
    limit: Cell<usize>,
    max: usize,
    work: Cell<f64>,
    since: Cell<Instant>,
    rate: Cell<f64>,
    rising: Cell<bool>,
    /// Slots beyond the limit wait here.
    pub opened: Notify,
}

impl Gate {
    pub fn new(start: usize, max: usize) -> Self {
        Self {
            limit: Cell::new(start.clamp(1, max.max(1))),
            max: max.max(1),
            work: Cell::new(0.0),
            since: Cell::new(Instant::now()),
            rate: Cell::new(0.0),
            rising: Cell::new(true),
            opened: Notify::new(),
        }
    }

    /// How many slots may work.
    pub fn limit(&self) -> usize {
        self.limit.get()
    }

    /// A slot finished something of this many bytes.
    #[allow(clippy::cast_precision_loss)]
    pub fn finished(&self, bytes: u64) {
        self.work.set(self.work.get() + 1.0 + bytes as f64 / BYTES_PER_REQUEST);
        let took = self.since.get().elapsed();
        if took >= STRETCH && self.work.get() >= 4.0 {
            self.adapt(self.work.get() / took.as_secs_f64());
        }
    }

    /// The other side asked for less, or failed.
    pub fn refused(&self) {
        self.limit.set((self.limit.get() / 2).max(1));
        self.rising.set(false);
        self.restart(0.0);
    }

    fn adapt(&self, rate: f64) {
        let before = self.rate.get();
        let limit = self.limit.get();
        if rate > before * (1.0 + NOISE) {
            let step = if self.rising.get() { 2 } else { 1 };
            self.limit.set((limit + step).min(self.max));
            self.rising.set(true);
        } else if rate < before * (1.0 - NOISE) {
            self.limit.set(if self.rising.get() { limit.saturating_sub(2).max(1) } else { limit.max(1) });
            self.rising.set(false);
        }
        self.restart(rate);
        self.opened.notify_waiters();
    }

    fn restart(&self, rate: f64) {
        self.rate.set(rate);
        self.work.set(0.0);
        self.since.set(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_climbs_while_that_pays_and_halves_on_refusals() {
        let g = Gate::new(8, 32);
        g.adapt(100.0);
        g.adapt(120.0);
        assert_eq!(g.limit(), 12);
        g.adapt(120.0);
        assert_eq!(g.limit(), 12);
        g.adapt(90.0);
        assert_eq!(g.limit(), 10);
        g.refused();
        assert_eq!(g.limit(), 5);
        for _ in 0..9 {
            g.refused();
        }
        assert_eq!(g.limit(), 1);
        for n in 1..99 {
            g.adapt(f64::from(n) * 1000.0);
        }
        assert_eq!(g.limit(), 32);
    }
}
