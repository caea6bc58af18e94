//! What is to be done when something went wrong with an item: again, an outcome, or the end of the run.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use connector::{Error, ErrorKind};
use model::Outcome;

use super::Compare;
use super::body::Passed;
use super::item::{Fate, Item, What};
use super::slot::LaneCx;
use crate::decide::Known;

/// An error and the end it came from.
#[derive(Debug)]
pub(super) struct Fault {
    pub error: Error,
    pub at_source: bool,
}

impl Fault {
    pub fn source(error: Error) -> Self {
        Self { error, at_source: true }
    }

    pub fn destination(error: Error) -> Self {
        Self { error, at_source: false }
    }

    /// Of a write: the source's fault if it was the body that failed.
    pub fn after(error: Error, passed: &Passed) -> Self {
        Self { at_source: passed.failed().is_some_and(|k| k == error.kind()), error }
    }
}

/// What is to be done about a fault.
pub(super) enum Verdict {
    Again,
    Over(Fate),
    /// The run is stopping: leave the item unsettled.
    Drop,
}

/// What is to be done about a fault.
pub(super) async fn judge(cx: &LaneCx, item: &mut Item, fault: Fault) -> Verdict {
    let size = if let What::Entry(e) = &item.what { e.size } else { 0 };
    let kind = fault.error.kind();
    match kind {
        ErrorKind::Cancelled => return Verdict::Drop,
        ErrorKind::Full => {
            cx.run.fail(kind, fault.error.to_string());
            return Verdict::Drop;
        }
        ErrorKind::Changed if !item.relisted => return relist(cx, item, size).await,
        ErrorKind::NotFound if fault.at_source && !item.relisted => return relist(cx, item, size).await,
        k if k.is_transient() && item.tries + 1 < cx.run.options.attempts => {
            item.tries += 1;
            item.doubt = true;
            return match pause_before_retry(cx, &fault, item.tries).await {
                true => Verdict::Again,
                false => Verdict::Drop,
            };
        }
        _ => {}
    }
    // A file that can't be read says nothing of its directory's other files; a bucket that refuses does.
    let of_one_file = fault.at_source && cx.run.options.compare == Compare::Merge;
    if !of_one_file && cx.run.is_hopeless(kind, &fault.error) {
        return Verdict::Drop;
    }
    Verdict::Over(Fate::of(Outcome::Failed, size, format!("{}: {}", kind.name(), fault.error)))
}

/// The item is not what was listed: look again, once.
async fn relist(cx: &LaneCx, item: &mut Item, size: u64) -> Verdict {
    item.relisted = true;
    match cx.source.stat(item.path()).await {
        Ok(Some(found)) => {
            item.what = What::Entry(found.entry);
            item.known = Known::Nothing;
            Verdict::Again
        }
        Ok(None) => {
            Verdict::Over(Fate::of(Outcome::Skipped, size, "vanished from the source after it was listed"))
        }
        Err(e) => Verdict::Over(Fate::of(Outcome::Failed, size, format!("changed: {e}"))),
    }
}

/// Waits before attempt `tries + 1`; false when there is none, or the run is stopping.
pub(super) async fn pause_before_retry(cx: &LaneCx, fault: &Fault, tries: u32) -> bool {
    let options = &cx.run.options;
    if !fault.error.kind().is_transient() || tries >= options.attempts {
        return false;
    }
    if matches!(fault.error.kind(), ErrorKind::Throttled | ErrorKind::Unavailable) {
        cx.gate.refused();
    }
    cx.run.live.retries.fetch_add(1, Relaxed);
    cx.run.live.notes.retried(&fault.error);
    let ms = options.retry_ms.saturating_mul(1 << (tries - 1).min(8)).min(5000);
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(ms)) => true,
        () = cx.run.queue.closed() => false,
    }
}
