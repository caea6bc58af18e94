//! Sums of minutes: counted in memory, written down by the upkeep, kept for a week.

use std::collections::HashMap;

use model::{DisCounts, DisStream, DisStreamId};
use runtime::Micros;
use store::{DisMinute, WHOLE_STREAM};

use super::streams::may_scale;
use super::{Desk, pace};
use crate::{Control, Result};

/// Minutes that are kept: a week.
const KEPT: i64 = 7 * 24 * 60;
/// Sums in memory at most; what comes beyond before they are written down is not counted.
const MOST: usize = 100_000;

/// Sums that are not written down yet.
#[derive(Default)]
pub(super) struct Meter(HashMap<(DisStreamId, i64, i64), DisCounts>);

impl Meter {
    fn add(&mut self, stream: &DisStreamId, part: i64, minute: i64, counts: &DisCounts) {
        let key = (stream.clone(), part, minute);
        if self.0.len() < MOST || self.0.contains_key(&key) {
            self.0.entry(key).or_default().add(counts);
        }
    }
}

fn minute_of(at: Micros) -> i64 {
    at.seconds().div_euclid(60)
}

impl Desk {
    /// Counts for partitions and, with `whole`, for their stream.
    pub(super) fn count(
        &self,
        stream: &DisStreamId,
        at: Micros,
        mut whole: DisCounts,
        parts: &[(i64, DisCounts)],
    ) {
        let Ok(mut meter) = self.meter.lock() else { return };
        let minute = minute_of(at);
        for (part, counts) in parts {
            meter.add(stream, *part, minute, counts);
            whole.add(counts);
        }
        meter.add(stream, WHOLE_STREAM, minute, &whole);
    }

    /// A stream is gone.
    pub(super) fn forget(&self, stream: &DisStreamId) {
        if let Ok(mut meter) = self.meter.lock() {
            meter.0.retain(|(s, ..), _| s != stream);
        }
        if let Ok(mut buckets) = self.buckets.lock() {
            buckets.retain(|(s, _), _| s != stream);
        }
    }
}

impl Control {
    /// What happened in each minute of a stream, or of one of its partitions, by minute since the epoch; both ends included.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn dis_minutes(
        &self,
        s: &DisStream,
        partition: Option<u32>,
        (first, last): (i64, i64),
    ) -> Result<Vec<(i64, DisCounts)>> {
        let part = partition.map_or(WHOLE_STREAM, i64::from);
        let mut found: std::collections::BTreeMap<i64, DisCounts> =
            self.0.store.dis_minutes(&s.id, part, (first, last)).await?.into_iter().collect();
        if let Ok(meter) = self.0.dis.meter.lock() {
            let here = meter
                .0
                .iter()
                .filter(|((id, p, at), _)| *id == s.id && *p == part && (first..=last).contains(at));
            here.for_each(|((.., at), counts)| found.entry(*at).or_default().add(counts));
        }
        Ok(found.into_iter().collect())
    }

    /// Writes the sums down and forgets those that are too old. To be called also before the server stops.
    ///
    /// # Errors
    /// `Internal`.
    pub async fn write_minutes(&self) -> Result<()> {
        let taken = match self.0.dis.meter.lock() {
            Ok(mut meter) => std::mem::take(&mut meter.0),
            Err(_) => return Ok(()),
        };
        let minute = minute_of(self.0.clock.now());
        if !taken.is_empty() {
            let minutes: Vec<_> = taken
                .into_iter()
                .map(|((stream, part, minute), counts)| DisMinute { stream, part, minute, counts })
                .collect();
            self.0.store.add_dis_minutes(&minutes).await?;
        }
        self.0.store.forget_dis_minutes(minute - KEPT).await?;
        Ok(())
    }

    /// Scales a stream that is to scale by itself by what the last whole minute had: up when records were refused and more than
    /// 80 % of the partitions' bytes came in, down when both ways were below 30 %. Only where the product's limits hold, for
    /// without them a partition has no measure.
    pub(super) async fn scale_by_itself(&self, s: &DisStream) -> Result<()> {
        let now = self.now();
        if !s.auto_scale.enabled || !self.0.limits.dis.product || !may_scale(&s.changes, now) {
            return Ok(());
        }
        let minute = minute_of(self.0.clock.now()) - 1;
        let Some((_, sum)) = self.dis_minutes(s, None, (minute, minute)).await?.pop() else { return Ok(()) };
        let Some(target) = wanted(s, &sum) else { return Ok(()) };
        tracing::info!(stream = %s.id, from = s.open_count(), to = target, "scales by itself");
        let _turn = self.0.dis.scaling.lock().await;
        self.rescale(s, target, true).await.map(drop)
    }
}

/// How many partitions a stream wants after a minute like this; `None` = as many as it has.
fn wanted(s: &DisStream, sum: &DisCounts) -> Option<u32> {
    let open = s.open_count();
    let p = pace(s.kind);
    let full = |bytes: u64| bytes.saturating_mul(u64::from(open)).saturating_mul(60).max(1);
    let (put, get) = (sum.put_bytes.saturating_mul(100), sum.get_bytes.saturating_mul(100));
    let target = if sum.put_refused > 0 && put / full(p.bytes_in) > 80 {
        // A sixth more than what the load needs at 60 %: ceil(n / 0.6).
        open.saturating_mul(5).div_ceil(3).min(s.auto_scale.most)
    } else if put / full(p.bytes_in) < 30 && get / full(p.bytes_out) < 30 && sum.put_refused == 0 {
        (open / 2).max(s.auto_scale.least)
    } else {
        open
    };
    (target != open && target >= 1 && (target > open) == (sum.put_refused > 0)).then_some(target)
}
