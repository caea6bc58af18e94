//! Guards after the signature: nonces that were used, and how often an account calls.
//!
//! # The nonce memory never forgets too early
//! A nonce must be remembered for as long as its timestamp would pass the clock check. Memory is
//! bounded all the same: nonces lie in buckets by their timestamp, and when a key's memory is full its
//! *oldest* bucket goes and takes its timestamps with it, that is, requests as old as that are refused
//! as expired from then on. So a busy key narrows its own window of accepted clocks and no other's,
//! and a replay never passes. The bounds are [`PER_KEY`] and [`TOTAL`] nonces of about 16 bytes.

use crate::gate::GateConfig;
use runtime::TokenBucket;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::time::Instant;

/// Nonces that are remembered for one access key.
pub const PER_KEY: usize = 131_072;
/// Nonces that are remembered over all access keys (about 25 MiB).
pub const TOTAL: usize = 1_048_576;
/// Timestamps are put together by this many seconds.
const BUCKET_S: i64 = 10;

/// What the memory says to a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonce {
    /// Never seen; it is remembered now.
    Fresh,
    /// Seen before.
    Used,
    /// So old that it may have been seen and forgotten.
    TooOld,
}

/// Nonces that were used, by access key.
#[derive(Debug)]
pub struct NonceMemory {
    skew_s: i64,
    per_key: usize,
    total: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: HashMap<String, Key>,
    count: usize,
    swept_at: i64,
}

#[derive(Debug)]
struct Key {
    buckets: BTreeMap<i64, HashSet<u64>>,
    count: usize,
    /// Buckets up to this one were forgotten.
    floor: i64,
}

impl NonceMemory {
    /// A memory for requests whose clock may differ by `skew_s`.
    #[must_use]
    pub fn new(skew_s: i64) -> Self {
        Self::bounded(skew_s, PER_KEY, TOTAL)
    }

    /// The same with other bounds.
    #[must_use]
    pub fn bounded(skew_s: i64, per_key: usize, total: usize) -> Self {
        Self { skew_s, per_key: per_key.max(1), total: total.max(1), state: Mutex::default() }
    }

    /// Asks and remembers. `timestamp` and `now` are Unix seconds; the clock check was made before, and
    /// so was the signature's, or anybody could fill the memory.
    pub fn admit(&self, access_key: &str, nonce: &str, timestamp: i64, now: i64) -> Nonce {
        let Ok(mut state) = self.state.lock() else { return Nonce::TooOld };
        if now.saturating_sub(state.swept_at).abs() >= BUCKET_S {
            state.sweep(now.saturating_sub(self.skew_s), now);
        }
        let State { keys, count: total, .. } = &mut *state;
        if !keys.contains_key(access_key) {
            keys.insert(access_key.to_owned(), Key { buckets: BTreeMap::new(), count: 0, floor: i64::MIN });
        }
        let Some(key) = keys.get_mut(access_key) else { return Nonce::TooOld };
        let bucket = timestamp.div_euclid(BUCKET_S);
        if bucket <= key.floor {
            return Nonce::TooOld;
        }
        if !key.buckets.entry(bucket).or_default().insert(fingerprint(nonce)) {
            return Nonce::Used;
        }
        key.count += 1;
        *total += 1;
        while key.count > self.per_key || (*total > self.total && key.buckets.len() > 1) {
            let Some((oldest, gone)) = key.buckets.pop_first() else { break };
            key.floor = oldest;
            key.count -= gone.len();
            *total -= gone.len();
        }
        Nonce::Fresh
    }

    /// Nonces remembered now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().map_or(0, |s| s.count)
    }

    /// Is nothing remembered?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    /// Drops what the clock check refuses by now.
    fn sweep(&mut self, oldest_ok: i64, now: i64) {
        self.swept_at = now;
        let first = oldest_ok.div_euclid(BUCKET_S);
        for key in self.keys.values_mut() {
            key.buckets = key.buckets.split_off(&first);
            key.count = key.buckets.values().map(HashSet::len).sum();
        }
        self.keys.retain(|_, k| k.count > 0 || k.floor >= first);
        self.count = self.keys.values().map(|k| k.count).sum();
    }
}

/// 64 bits of SHA-256: with [`PER_KEY`] nonces a false "used" comes once in 10^14 requests.
fn fingerprint(nonce: &str) -> u64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, nonce.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

/// The guards of one gate.
#[derive(Debug)]
pub struct Guards {
    rate: TokenBucket,
    /// Alibaba's nonces.
    pub alibaba: NonceMemory,
    /// Tencent v1's nonces.
    pub tencent: NonceMemory,
}

impl Guards {
    /// As the configuration says.
    #[must_use]
    pub fn new(config: &GateConfig) -> Self {
        Self {
            rate: TokenBucket::new(config.rate_per_s, config.rate_burst),
            alibaba: NonceMemory::new(config.long_skew_s),
            tencent: NonceMemory::new(config.tencent_skew_s),
        }
    }

    /// May this account make one more request now?
    pub fn pace(&self, account: &str) -> bool {
        self.rate.take(account, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_once_per_key() {
        let m = NonceMemory::new(900);
        assert_eq!(m.admit("a", "n", 1000, 1000), Nonce::Fresh);
        assert_eq!(m.admit("a", "n", 1000, 1000), Nonce::Used);
        assert_eq!(m.admit("b", "n", 1000, 1000), Nonce::Fresh);
        // The same nonce with a clock that is ahead stays known as long as that clock would pass.
        assert_eq!(m.admit("a", "m", 1900, 1000), Nonce::Fresh);
        assert_eq!(m.admit("a", "m", 1900, 2799), Nonce::Used);
        m.admit("a", "x", 9000, 9000);
        assert_eq!(m.len(), 1, "what the clock refuses is forgotten");
    }

    #[test]
    fn a_full_memory_refuses_the_old_and_never_forgets() {
        let m = NonceMemory::bounded(900, 100, 1000);
        for i in 0..300 {
            assert_eq!(m.admit("a", &format!("n{i}"), 1000 + i, 1300), Nonce::Fresh);
            assert!(m.len() <= 100);
        }
        for i in 0..300 {
            assert_ne!(m.admit("a", &format!("n{i}"), 1000 + i, 1300), Nonce::Fresh, "{i}");
        }
        assert_eq!(m.admit("b", "n0", 1000, 1300), Nonce::Fresh, "another key keeps its window");
    }

    #[test]
    fn the_total_is_bounded() {
        let m = NonceMemory::bounded(900, 50, 100);
        for i in 0..400 {
            m.admit(&format!("k{}", i % 4), &format!("n{i}"), 1000 + i, 1400);
        }
        assert!(m.len() <= 100 + 4 * 3, "{}", m.len());
    }
}
