//! Room for the buffers of a sink.

use runtime::{ByteBudget, Lease};

/// A sink takes this part of the budget at most: half of it belongs to the units in flight, and several lanes share the rest.
const PART: u64 = 16;
/// And leaves this part of it alone: what is in flight has to find room.
const SPARED: u64 = 8;
/// A buffer is not made smaller than this.
const LEAST: usize = 64 * 1024;

/// Takes room for `count` buffers of `bytes` each, for as long as a sink lives; smaller ones where the budget is small or
/// nearly taken. It never waits, so that sinks can't wait for each other for good: the smallest buffers are given even where
/// the budget has no room for them any more. Returns the size of one buffer.
pub async fn share(budget: &ByteBudget, bytes: usize, count: usize) -> (usize, Lease) {
    let count = count.max(1);
    let spare = budget.free().saturating_sub(budget.total() / SPARED) / 4;
    let one = usize::try_from((budget.total() / PART).min(spare)).unwrap_or(usize::MAX) / count;
    let one = bytes.min(one.max(LEAST));
    (one, budget.lease((one as u64 * count as u64).min(spare)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_sinks_get_smaller_buffers_and_nobody_waits() {
        let budget = ByteBudget::new(128 << 20);
        let mut held = Vec::new();
        for n in 0..100 {
            let (one, lease) = share(&budget, 4 << 20, 5).await;
            assert!(if n == 0 { one > 1 << 20 } else { one >= LEAST });
            held.push(lease);
        }
        assert!(budget.free() > 15 << 20);
    }
}
