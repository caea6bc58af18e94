//! One global byte budget. Whoever holds bytes in flight holds a lease for them.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Leases are counted in blocks of this many bytes.
const BLOCK: u64 = 1024;

/// A pool of bytes that may be in flight at once.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    blocks: Arc<Semaphore>,
    total: u32,
}

/// The right to hold some bytes; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Gives back what is beyond `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        let keep = usize::try_from(bytes.div_ceil(BLOCK).max(1)).unwrap_or(usize::MAX);
        let beyond = self.permit.num_permits().saturating_sub(keep);
        drop(self.permit.split(beyond));
    }
}

impl ByteBudget {
    /// A budget of `bytes` (at least one block).
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let total = u32::try_from((bytes / BLOCK).max(1)).unwrap_or(u32::MAX >> 4).min(u32::MAX >> 4);
        Self { blocks: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Total size in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        u64::from(self.total) * BLOCK
    }

    /// Bytes that are free now.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.blocks.available_permits() as u64 * BLOCK
    }

    /// Waits for room. A wish for more than the whole budget is granted when all of it is free, so
    /// that one large item can always pass. Fair: first come, first served.
    pub async fn lease(&self, bytes: u64) -> Lease {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK).max(1)).unwrap_or(self.total).min(self.total);
        match self.blocks.clone().acquire_many_owned(blocks).await {
            Ok(permit) => Lease { permit },
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_than_all_is_all() {
        let b = ByteBudget::new(10 * BLOCK);
        let l = b.lease(u64::MAX).await;
        assert_eq!(b.free(), 0);
        drop(l);
        assert_eq!(b.free(), 10 * BLOCK);
        let mut l = b.lease(8 * BLOCK).await;
        l.shrink(3 * BLOCK - 1);
        assert_eq!(b.free(), 7 * BLOCK);
        l.shrink(u64::MAX);
        assert_eq!(b.free(), 7 * BLOCK);
    }
}
