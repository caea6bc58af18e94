//! How much the door holds at once. A small compressed body may become a large one, and the answer to a small request may be
//! large and stay until its client has read it: both are leased from a budget first, and whoever does not get room in time is
//! told to come again.

use std::time::Duration;

use api::Fault;
use bytes::Bytes;
use runtime::{ByteBudget, Lease};

use crate::fault::refuse;

/// Bytes that all bodies take together, and bytes that all answers take together.
const TOTAL: u64 = 64 << 20;
/// Longest wait for room.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module. Two budgets: slow readers don't keep anybody from putting.
#[derive(Debug, Clone)]
pub struct Memory {
    puts: ByteBudget,
    gets: ByteBudget,
}

impl Memory {
    /// With nothing held.
    #[must_use]
    pub fn new() -> Self {
        Self { puts: ByteBudget::new(TOTAL), gets: ByteBudget::new(TOTAL) }
    }

    /// Room for a body of this size and what is made of it.
    ///
    /// # Errors
    /// `DIS.4303` there is none in time.
    pub async fn to_put(&self, bytes: usize) -> Result<Lease, Fault> {
        lease(&self.puts, bytes.saturating_mul(2)).await
    }

    /// Room for records of this size and the answer that has them.
    ///
    /// # Errors
    /// `DIS.4303` there is none in time.
    pub async fn to_get(&self, bytes: usize) -> Result<Lease, Fault> {
        lease(&self.gets, bytes.saturating_mul(3)).await
    }
}

async fn lease(budget: &ByteBudget, bytes: usize) -> Result<Lease, Fault> {
    let busy =
        |_| refuse("DIS.4303", "Exceeded traffic control limit. The server holds too many large requests.");
    tokio::time::timeout(PATIENCE, budget.lease(bytes as u64)).await.map_err(busy)
}

/// An answer with its lease, which ends when the client has it.
struct Held {
    body: Vec<u8>,
    _lease: Lease,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Puts the lease to the answer; what it does not need goes back at once.
#[must_use]
pub fn held(body: Vec<u8>, mut lease: Lease) -> Bytes {
    lease.shrink(body.len() as u64);
    Bytes::from_owner(Held { body, _lease: lease })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_its_room_until_it_is_gone() {
        let memory = Memory::new();
        let whole = usize::try_from(TOTAL).unwrap();
        let lease = memory.to_get(whole).await.unwrap();
        assert_eq!(memory.to_get(1).await.unwrap_err().code, "DIS.4303");
        assert!(memory.to_put(1).await.is_ok(), "puts have room of their own");
        let body = held(vec![7; 10_000], lease);
        let copy = body.slice(5..);
        drop(body);
        assert_eq!(memory.gets.free(), TOTAL - 10 * 1024);
        assert_eq!(copy[0], 7);
        drop(copy);
        assert_eq!(memory.gets.free(), TOTAL);
    }
}
