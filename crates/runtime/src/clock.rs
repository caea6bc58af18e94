//! Wall-clock time as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

impl Micros {
    /// Whole seconds since the epoch.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole milliseconds since the epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// From seconds since the epoch.
    #[must_use]
    pub fn from_seconds(s: i64) -> Self {
        Self(s.saturating_mul(1_000_000))
    }
}

/// Where the time comes from: the system, or a hand that a test moves.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at `at` until it is moved.
    #[must_use]
    pub fn manual(at: Micros) -> Self {
        Self(Some(Arc::new(AtomicI64::new(at.0))))
    }

    /// Now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the door")]
    pub fn now(&self) -> Micros {
        match &self.0 {
            Some(at) => Micros(at.load(Ordering::Relaxed)),
            None => match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
                Ok(d) => Micros(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)),
                Err(_) => Micros(0),
            },
        }
    }

    /// Moves a manual clock by `micros`; the system's clock stays as it is.
    pub fn advance(&self, micros: i64) {
        if let Some(at) = &self.0 {
            at.fetch_add(micros, Ordering::Relaxed);
        }
    }
}
