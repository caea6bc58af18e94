//! Receiving a body within bounds, and getting rid of one that is refused.

use crate::gate::Refusal;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use runtime::{ByteBudget, Lease, TaskKind};
use std::time::Duration;
use tokio::time::timeout;

/// Bodies up to this size are not counted against the budget.
const SMALL: u64 = 64 << 10;
/// A refused body is read away up to this many bytes …
const LINGER_BYTES: u64 = 256 << 20;
/// … and for this long.
const LINGER: Duration = Duration::from_secs(5);

/// What became of a body.
pub(super) enum Received {
    /// It is here, with its lease of the budget.
    Whole(Bytes, Option<Lease>),
    /// It is refused; the rest has not been read.
    Refused(Refusal, Incoming),
}

/// Receives at most `limit` bytes. A stated length over the limit is refused without reading anything.
pub(super) async fn receive(
    mut incoming: Incoming,
    limit: usize,
    time: Duration,
    budget: &ByteBudget,
) -> Received {
    if incoming.is_end_stream() {
        return Received::Whole(Bytes::new(), None);
    }
    let most = limit as u64;
    let expected = incoming.size_hint().exact();
    if expected.is_some_and(|n| n > most) {
        return Received::Refused(Refusal::TooLarge, incoming);
    }
    let reading = async {
        let need = expected.unwrap_or(most);
        let lease = if need > SMALL { Some(lease(budget, need, time).await?) } else { None };
        let body = collect(&mut incoming, limit).await?;
        Ok((body, lease))
    };
    match timeout(time, reading).await {
        Ok(Ok((body, lease))) => Received::Whole(body, lease),
        Ok(Err(refusal)) => Received::Refused(refusal, incoming),
        Err(_) => Received::Refused(Refusal::TooSlow, incoming),
    }
}

/// Waits for room for at most half of the body's time.
async fn lease(budget: &ByteBudget, need: u64, time: Duration) -> Result<Lease, Refusal> {
    timeout(time / 2, budget.lease(need)).await.map_err(|_| Refusal::Busy)
}

async fn collect(incoming: &mut Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| Refusal::BrokenOff)?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + more.len() + data.len() > limit {
            return Err(Refusal::TooLarge);
        }
        if first.is_empty() && more.is_empty() {
            // Most bodies come in one piece: no copy.
            first = data;
            continue;
        }
        if more.is_empty() {
            more.extend_from_slice(&first);
            first = Bytes::new();
        }
        more.extend_from_slice(&data);
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

/// Reads the rest of a refused body away beside the answer, keeping nothing.
pub(super) fn linger(mut rest: Incoming) {
    if rest.is_end_stream() {
        return;
    }
    let reading = async move {
        let mut seen = 0;
        while let Some(Ok(frame)) = rest.frame().await {
            seen += frame.data_ref().map_or(0, |d| d.len() as u64);
            if seen > LINGER_BYTES {
                break;
            }
        }
    };
    runtime::spawn(TaskKind::ServeConnection, async move {
        let _ = timeout(LINGER, reading).await;
    });
}
