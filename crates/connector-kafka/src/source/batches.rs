//! From messages to batches.

use connector::records::{Batch, BatchBuilder, Headers, RecordRef, Split};

use crate::raw::{Code, Fetched};

/// What a record costs in a batch beside its bytes.
const SLOT: usize = 48;

/// How many of the next messages go into one batch, and their bytes.
pub(super) fn run(fetched: &Fetched, room: usize) -> (usize, usize) {
    let Some(first) = fetched.peek(0) else { return (0, 0) };
    let (mut count, mut bytes) = (0, 0);
    while let Some(m) = fetched.peek(count) {
        let more = bytes + m.size();
        let fits = count == 0 || more + (count + 1) * SLOT <= room;
        if m.code() != Code::RD_KAFKA_RESP_ERR_NO_ERROR || !m.beside(&first) || !fits {
            break;
        }
        (count, bytes) = (count + 1, more);
    }
    (count, bytes)
}

/// Makes a batch of the next messages, and moves the position behind them.
pub(super) fn collect(
    fetched: &Fetched,
    split: Split,
    at: &mut i64,
    (count, bytes): (usize, usize),
) -> Batch {
    let mut batch = BatchBuilder::with_capacity(split, *at, count, bytes);
    for m in (0..count).filter_map(|i| fetched.peek(i)) {
        let offset = m.offset();
        if offset < *at {
            continue;
        }
        let record = RecordRef {
            offset,
            sub: 0,
            timestamp_ms: m.timestamp(),
            key: m.key(),
            value: m.value(),
            headers: Headers::none(),
        };
        // A batch has room for 4 GiB, more than a message can have.
        batch.push_with(&record, |_, put| m.headers(put));
        *at = offset + 1;
    }
    batch.finish(*at)
}
