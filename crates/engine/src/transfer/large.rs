//! Items that are written in parts, by as many slots as are free.
//!
//! Whoever brings the number of parts at work to zero when nothing is left to do, or when one of them
//! failed, concludes the item. A run that rests between two parts leaves the upload as it is: the next
//! attempt's `begin` finds it again and only the missing parts are sent.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector::{
    Digest, Entry, Error, ErrorKind, Meta, Overwrite, Part, PartDone, Range, Stored, Target, Upload,
};

use super::body::{Crc64Xz, Metered, Passed};
use super::check;
use super::fault::{self, Fault, Verdict};
use super::item::{self, Did, Fate, Item};
use super::slot::LaneCx;

/// Most parts of one item, as [`connector::Lane::begin`] has it.
pub(super) const MAX_PARTS: u64 = 9_999;
/// Part sizes are multiples of this.
const STEP: u64 = 1 << 20;

/// An item is cut into about this many parts before they get larger than the smallest size.
const FEW: u64 = 16;
/// How much larger, while [`MAX_PARTS`] doesn't ask for more: a restart repeats a part per slot.
const GROWTH: u64 = 4;

/// The part size for an item: `smallest`; more for a larger item, because every part costs both sides a
/// request and a look at where it begins; and as much as keeps the number of parts in bounds. It
/// depends on nothing else, so that a later attempt finds the same parts.
pub(super) fn part_size(size: u64, smallest: u64) -> u64 {
    let smallest = smallest.max(1);
    let few = smallest.saturating_mul(size.div_ceil(FEW).div_ceil(smallest).clamp(1, GROWTH));
    let needed = size.div_ceil(MAX_PARTS);
    if needed <= few { few } else { needed.div_ceil(STEP) * STEP }
}

/// A large item at work.
pub(super) struct Large {
    item: Mutex<Option<Box<Item>>>,
    entry: Entry,
    target: Target,
    upload: Upload,
    count: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u32,
    done: BTreeMap<u32, PartDone>,
    at_work: u32,
    fault: Option<Fault>,
    meta: Option<Meta>,
    expected: Option<Digest>,
    sums: BTreeMap<u32, Crc64Xz>,
    concluded: bool,
}

impl Large {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a part that nobody has taken yet.
    pub fn claim(&self) -> Option<u32> {
        let mut s = self.lock();
        if s.fault.is_some() {
            return None;
        }
        while s.next < self.count {
            s.next += 1;
            let n = s.next;
            if !s.done.contains_key(&n) {
                s.at_work += 1;
                return Some(n);
            }
        }
        None
    }

    /// Slots that are writing a part of it.
    pub fn at_work(&self) -> u32 {
        self.lock().at_work
    }

    fn range(&self, n: u32) -> Range {
        let start = u64::from(n - 1) * self.upload.part_size;
        Range { start, end: (start + self.upload.part_size).min(self.target.size) }
    }

    /// One part less at work. True when the caller has to conclude the item.
    fn left(&self, result: Result<(), Fault>) -> bool {
        let mut s = self.lock();
        s.at_work -= 1;
        if let Err(fault) = result {
            s.fault.get_or_insert(fault);
        }
        let over = s.at_work == 0 && (s.fault.is_some() || s.done.len() as u64 == u64::from(self.count));
        over && !std::mem::replace(&mut s.concluded, true)
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn upload(&self) -> &Upload {
        &self.upload
    }
}

/// Begins (or finds again) the upload of an item and offers its parts to all slots.
pub(super) async fn begin(cx: &LaneCx, mut item: Box<Item>, entry: Entry, target: Target) {
    let size = part_size(target.size, cx.run.options.part_size);
    let upload = loop {
        match cx.destination.begin(&target, size).await {
            Ok(upload) => break upload,
            Err(e) if e.kind() == ErrorKind::Exists && target.overwrite == Overwrite::Never => {
                let fate = item::met(cx, &entry, &target).await;
                return item::settle(cx, item, fate);
            }
            Err(e) => match fault::judge(cx, &mut item, Fault::destination(e)).await {
                Verdict::Again => {}
                Verdict::Over(fate) => return item::settle(cx, item, fate),
                Verdict::Drop => return,
            },
        }
    };
    let count = u32::try_from(target.size.div_ceil(upload.part_size.max(1))).unwrap_or(u32::MAX);
    // A part whose digest nobody can tell is put again: the destination compares it with what it has, and
    // takes no bytes for one that is the same.
    let done: BTreeMap<_, _> = upload
        .done
        .iter()
        .filter(|p| p.number >= 1 && p.number <= count && p.digest.is_some())
        .map(|p| (p.number, p.clone()))
        .collect();
    let complete = done.len() as u64 == u64::from(count);
    let state = Mutex::new(State { done, concluded: complete, ..State::default() });
    let large = Arc::new(Large { item: Mutex::new(Some(item)), entry, target, upload, count, state });
    cx.run.queue.push_large(&large);
    if complete {
        conclude(cx, &large).await;
    }
}

/// Writes one part.
pub(super) async fn work(cx: &Rc<LaneCx>, large: &Arc<Large>, n: u32) {
    let mut tries = 0;
    let result = loop {
        let done = tokio::select! {
            done = part(cx, large, n) => done,
            // Left as it is: nobody concludes the item, and its upload is aborted when the lanes are still.
            () = cx.run.halt.stopped() => return,
        };
        match done {
            Ok(()) => break Ok(()),
            Err(fault) => {
                tries += 1;
                if !fault::pause_before_retry(cx, &fault, tries).await {
                    break Err(fault);
                }
            }
        }
    };
    if large.left(result) {
        conclude(cx, large).await;
    }
}

async fn part(cx: &LaneCx, large: &Large, number: u32) -> Result<(), Fault> {
    let run = &cx.run;
    let range = large.range(number);
    // A part streams: however long it is, not more of it than the smallest part is in memory at a time.
    // One that an earlier run has left may be collected, to be compared before it is sent.
    let found = large.upload.done.iter().any(|p| p.number == number);
    let held = if found { range.len() } else { range.len().min(run.options.part_size) };
    let _lease = run.budget.lease(held).await;
    let body = cx.source.open(&large.entry, Some(range)).await.map_err(Fault::source)?;
    {
        let mut s = large.lock();
        s.expected = s.expected.or_else(|| body.expected());
        s.meta.get_or_insert_with(|| body.meta().clone());
    }
    let passed = Passed::new(run.options.crc64_xz);
    let (live, bandwidth) = (run.live.clone(), run.bandwidth.clone());
    let body = Box::new(Metered { inner: body, live, bandwidth, passed: passed.clone(), unlinked: None });
    let part = Part { number, range };
    let done = cx
        .destination
        .put_part(&large.target, &large.upload, part, body)
        .await
        .map_err(|e| Fault::after(e, &passed))?;
    cx.gate.finished(range.len());
    run.live.parts.fetch_add(1, Relaxed);
    let mut s = large.lock();
    s.done.insert(number, done);
    if let Some(sum) = passed.xz() {
        s.sums.insert(number, sum);
    }
    Ok(())
}

/// Finishes the item, or says why it can't be.
async fn conclude(cx: &LaneCx, large: &Arc<Large>) {
    let Some(mut item) = large.item.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let fault = large.lock().fault.take();
    let result = match fault {
        Some(fault) => Err(fault),
        None => finish(cx, large).await,
    };
    cx.run.queue.forget(large);
    let fault = match result {
        Ok(stored) => {
            let fate = written(cx, large, &stored);
            return item::settle(cx, item, fate);
        }
        Err(fault) => lost_upload(fault),
    };
    let verdict = match fault.error.kind() {
        ErrorKind::Exists if large.target.overwrite == Overwrite::Never => {
            Verdict::Over(item::met(cx, &large.entry, &large.target).await)
        }
        _ => fault::judge(cx, &mut item, fault).await,
    };
    match verdict {
        // Looks first whether it is there after all; then `begin` finds the parts again.
        Verdict::Again => {
            if item.relisted {
                let _ = cx.destination.abort(&large.target, &large.upload).await;
            }
            Box::pin(item::work(cx, item)).await;
        }
        Verdict::Over(fate) => {
            let _ = cx.destination.abort(&large.target, &large.upload).await;
            item::settle(cx, item, fate);
        }
        Verdict::Drop => cx.run.queue.keep_open(large),
    }
}

/// An upload that is not there any more (swept, expired, or finished by a call whose answer was lost) is
/// begun anew: a passing fault.
fn lost_upload(fault: Fault) -> Fault {
    if fault.at_source || fault.error.kind() != ErrorKind::NotFound {
        return fault;
    }
    Fault::destination(Error::new(ErrorKind::Unavailable, format!("the upload is gone: {}", fault.error)))
}

async fn finish(cx: &LaneCx, large: &Large) -> Result<Stored, Fault> {
    let (parts, meta, expected) = {
        let s = large.lock();
        (s.done.values().cloned().collect::<Vec<_>>(), s.meta.clone(), s.expected)
    };
    let meta = match meta {
        Some(meta) => meta,
        // Every part was found again: nothing was opened yet. Also checks that the source is still the same.
        None => {
            let first = Some(Range { start: 0, end: 1.min(large.target.size) });
            cx.source.open(&large.entry, first).await.map_err(Fault::source)?.meta().clone()
        }
    };
    let stored = cx
        .destination
        .finish(&large.target, &large.upload, &parts, &meta)
        .await
        .map_err(Fault::destination)?;
    check::stored(cx, &large.target, &stored, expected).await?;
    Ok(stored)
}

fn written(cx: &LaneCx, large: &Large, stored: &Stored) -> Fate {
    let s = large.lock();
    let whole = s.sums.len() as u64 == u64::from(large.count);
    let xz = s.sums.values().fold(Crc64Xz::default(), |a, b| a.then(*b));
    cx.run.note_single(
        &large.entry,
        Some(stored.digest),
        (whole && cx.run.options.crc64_xz).then_some(xz.crc),
    );
    Fate::written(large.target.size, Some(stored.digest))
}

impl From<Fate> for Did {
    fn from(fate: Fate) -> Self {
        Self::Settled(fate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_so_that_their_number_suffices() {
        assert_eq!(part_size(100 << 20, 16 << 20), 16 << 20);
        assert_eq!(part_size(1 << 30, 16 << 20), 64 << 20);
        assert_eq!(part_size(100 << 30, 16 << 20), 64 << 20);
        assert_eq!(part_size(300, 16), 32);
        assert_eq!(part_size(100, 0), 4);
        for size in [200 << 30, 5_u64 << 40, 50 << 40] {
            let p = part_size(size, 16 << 20);
            assert!(size.div_ceil(p) <= MAX_PARTS && p.is_multiple_of(STEP), "{size}");
        }
    }
}
