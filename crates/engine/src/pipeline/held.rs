//! What a lane's sink still holds, and what it was made from.
//!
//! A unit's memory is in use as long as somebody holds its batch, and a sink can only refuse records of a unit it still has. So the
//! lane keeps one handle of each unit's batch: when it is the last one, lease and original go. No sink has to say so.

use std::collections::VecDeque;
use std::sync::Arc;

use connector::records::Batch;
use runtime::Lease;

/// What a unit was made from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// The unit's records are the original ones.
    Same,
    /// A transform made it from this batch.
    Made(Arc<Batch>),
    /// Nobody will ask.
    Forgotten,
}

#[derive(Debug)]
struct Item {
    unit: Arc<Batch>,
    origin: Origin,
    charge: u64,
    _lease: Lease,
}

/// Units on their way, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held(VecDeque<Item>);

impl Held {
    /// Takes a unit in.
    pub fn put(&mut self, unit: Arc<Batch>, origin: Origin, charge: u64, lease: Lease) {
        self.0.push_back(Item { unit, origin, charge, _lease: lease });
    }

    /// The batch with the original records of a unit.
    pub fn original(&self, unit: &Arc<Batch>) -> Option<Arc<Batch>> {
        let same = |i: &&Item| Arc::ptr_eq(&i.unit, unit);
        // A sink may ask with a part of a unit (it halves one to find the guilty record).
        let part = |i: &&Item| {
            i.unit.split() == unit.split() && i.unit.first() <= unit.first() && unit.next() <= i.unit.next()
        };
        let item = self.0.iter().find(same).or_else(|| self.0.iter().find(part))?;
        match &item.origin {
            Origin::Same => Some(item.unit.clone()),
            Origin::Made(batch) => Some(batch.clone()),
            Origin::Forgotten => None,
        }
    }

    /// Lets go of what nobody else holds any more; returns how many bytes of the window that were. Looks at the oldest only, or, with `all`,
    /// at all of them.
    pub fn sweep(&mut self, all: bool) -> u64 {
        let mut freed = 0;
        while let Some(item) = self.0.front()
            && Arc::strong_count(&item.unit) == 1
        {
            freed += item.charge;
            self.0.pop_front();
        }
        if all {
            self.0.retain(|item| {
                let gone = Arc::strong_count(&item.unit) == 1;
                freed += if gone { item.charge } else { 0 };
                !gone
            });
        }
        freed
    }

    /// Nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
