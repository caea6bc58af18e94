//! When and after how long a request is made again.
//!
//! Every retry takes from a budget that all users of an endpoint share, and only successes pay back:
//! a server that fails everything sees a burst and then one attempt per request, not a storm. The wait
//! doubles, is drawn at random from its upper half, and is never shorter than what `Retry-After` asks for.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use runtime::Random;

/// What a retry costs, in the unit that a success pays back.
const COST: i64 = 10;
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(20);
/// A `Retry-After` longer than this is not waited for.
pub const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// The shared budget.
#[derive(Debug)]
pub struct Budget {
    units: AtomicI64,
    full: i64,
}

impl Budget {
    /// A full one.
    #[must_use]
    pub fn new(retries: u32) -> Self {
        let full = i64::from(retries) * COST;
        Self { units: AtomicI64::new(full), full }
    }

    /// Takes the price of one retry, if it is there.
    pub fn take(&self) -> bool {
        self.units
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |u| (u >= COST).then(|| u - COST))
            .is_ok()
    }

    /// A success pays one unit. Costs nothing while the budget is full.
    pub fn pay(&self) {
        if self.units.load(Ordering::Relaxed) < self.full {
            self.units.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How long to wait before retry number `attempt` (from 0).
pub fn pause(attempt: u32, throttled: bool, asked: Option<Duration>, random: &Random) -> Duration {
    let base = if throttled { FIRST * 4 } else { FIRST };
    let longest = base.saturating_mul(1 << attempt.min(16)).min(LONGEST);
    let [a, b] = random.bytes::<2>();
    let part = longest.as_micros() as u64 / 2;
    let drawn = part + part * u64::from(u16::from_le_bytes([a, b])) / 65_536;
    Duration::from_micros(drawn).max(asked.unwrap_or_default())
}

/// Reads `Retry-After` in seconds; a date is not worth the trouble.
pub fn retry_after(value: Option<&http::HeaderValue>) -> Option<Duration> {
    value?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_runs_dry_and_successes_refill_it() {
        let b = Budget::new(2);
        assert!(b.take() && b.take() && !b.take());
        for _ in 0..COST {
            b.pay();
        }
        assert!(b.take() && !b.take());
    }

    #[test]
    fn pauses_grow_and_obey() {
        let r = Random::system();
        for attempt in 0..40 {
            let p = pause(attempt, true, None, &r);
            assert!(p >= FIRST * 2 && p <= LONGEST, "{p:?}");
        }
        assert!(pause(0, false, None, &r) <= FIRST);
        assert_eq!(pause(0, false, Some(Duration::from_secs(3)), &r), Duration::from_secs(3));
    }
}
