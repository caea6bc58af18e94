//! Rates: requests per account, bytes per second over the whole server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Token buckets by key (an account, an action). A rate of 0 means no limit.
#[derive(Debug)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// Keys that are kept at most; beyond it full buckets are forgotten.
const MAX_KEYS: usize = 100_000;

impl TokenBucket {
    /// `rate` tokens a second, up to `burst` saved.
    #[must_use]
    pub fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst: burst.max(1.0), buckets: Mutex::default() }
    }

    /// Takes one token for `key` if there is one.
    pub fn take(&self, key: &str, now: Instant) -> bool {
        if self.rate <= 0.0 {
            return true;
        }
        let Ok(mut all) = self.buckets.lock() else { return true };
        if all.len() >= MAX_KEYS && !all.contains_key(key) {
            let (rate, burst) = (self.rate, self.burst);
            all.retain(|_, b| b.tokens + now.duration_since(b.at).as_secs_f64() * rate < burst);
        }
        let b = match all.get_mut(key) {
            Some(b) => b,
            None => all.entry(key.to_owned()).or_insert(Bucket { tokens: self.burst, at: now }),
        };
        b.tokens = (b.tokens + now.duration_since(b.at).as_secs_f64() * self.rate).min(self.burst);
        b.at = now;
        if b.tokens >= 1.0 {
            b.tokens -= 1.0;
            true
        } else {
            false
        }
    }
}

/// One bandwidth limit for everything that passes: a debt in time that whoever moves bytes pays off.
#[derive(Debug, Clone)]
pub struct Bandwidth(Option<Arc<Pace>>);

#[derive(Debug)]
struct Pace {
    bytes_per_s: f64,
    free_at: Mutex<Instant>,
}

impl Bandwidth {
    /// No limit.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// At most this many bytes a second (0 = no limit).
    #[must_use]
    pub fn limited(bytes_per_s: u64) -> Self {
        if bytes_per_s == 0 {
            return Self(None);
        }
        #[allow(clippy::cast_precision_loss)]
        let bytes_per_s = bytes_per_s as f64;
        Self(Some(Arc::new(Pace { bytes_per_s, free_at: Mutex::new(Instant::now()) })))
    }

    /// The limit in bytes a second, where there is one.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was made from a whole number"
    )]
    pub fn limit(&self) -> Option<u64> {
        self.0.as_ref().map(|pace| pace.bytes_per_s as u64)
    }

    /// Books `bytes` and waits until the pace allows them.
    pub async fn pass(&self, bytes: u64) {
        let Some(pace) = &self.0 else { return };
        let now = Instant::now();
        #[allow(clippy::cast_precision_loss)]
        let cost = Duration::from_secs_f64(bytes as f64 / pace.bytes_per_s);
        let until = match pace.free_at.lock() {
            Ok(mut free_at) => {
                let start = (*free_at).max(now);
                *free_at = start + cost;
                start
            }
            Err(_) => return,
        };
        if until > now {
            tokio::time::sleep(until - now).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills() {
        let t = TokenBucket::new(10.0, 2.0);
        let now = Instant::now();
        assert!(t.take("a", now) && t.take("a", now) && !t.take("a", now));
        assert!(t.take("b", now));
        assert!(t.take("a", now + Duration::from_millis(100)));
        assert!(!t.take("a", now + Duration::from_millis(100)));
    }
}
