//! The one door to spawning, time, randomness, shutdown, the byte budget and the bandwidth limit.
//!
//! Everything that makes a run different from the last one comes through here, so that tests can
//! replace it and `grep` can find it. It knows nothing of data, flows or doors.

mod budget;
mod clock;
mod random;
mod rate;
mod shutdown;
mod spawn;

pub use budget::{ByteBudget, Lease};
pub use clock::{Clock, Micros};
pub use random::Random;
pub use rate::{Bandwidth, TokenBucket};
pub use shutdown::Shutdown;
pub use spawn::{TaskKind, aside, blocking, spawn, spawn_local, spawn_on};
