//! Records into Elasticsearch (7, 8, 9) and OpenSearch (1, 2, 3) by their bulk interface.
//!
//! **Delivery.** A document's `_id` is `topic-partition-offset` (and `-sub` where a transform made several of one), or what
//! `id_path` points at (where it points at nothing: the position). So a record that is written twice is one document: after a crash the
//! engine goes on from its journal and the rest is written over itself. The servers have no transactions; there is no
//! position at the destination, and `committed` knows nothing.
//!
//! **Order.** Documents with ids by position have none among each other. With ids of their own (`id_path`, `change_format`) the last
//! record of an id wins: an id always goes through the same slot, a slot has one request on its way, the actions of a request
//! are carried out in order, and an action that has to be sent again is not when a later one on the same document got
//! through. External versions (`version_type`) are not used: offsets of two partitions, or of a topic that was made anew, can't be
//! compared, and a wrong comparison loses documents silently. What stays open: a request that the server carries out after its
//! connection was given up for dead (60 s of silence) and sent again.
//!
//! **Documents.** Bytes pass as they are, after a check in one pass (`json-text`); only options that need a field look for it.
//! `@timestamp` is added where the document has none: the value of `date_path`, else the record's time (`"timestamp": false`
//! leaves it out). A `mapping` lists the fields of the document; others are left out. `date_suffix` makes `index_2026-11-30` of the
//! same time, in UTC plus `utc_offset_s`. With `change_format` (Debezium, Canal) the row goes under its `primary_key`, deletes delete, a change
//! of the key deletes the old document; tombstones and changes of the schema are dropped (refused as `Corrupt`).
//!
//! **Refusals.** What is no JSON object is wrapped (`raw_key`), dropped (`drop_not_json`) or refused before it is sent. The bulk
//! answer has a status for each action: 400 and its like are refused with the server's words; 429, 409 and 5xx are sent again, those
//! actions only, with growing pauses. A whole bulk that is too large (413) or malformed (400) is halved until the single guilty
//! document is found. 401, 403, a blocked index and a full disk end the run of the lane.
//!
//! **Memory.** `in_flight` requests of `bulk_bytes` on their way and one being filled (one for each slot with ids of their own), under a
//! lease of the byte budget: a sixteenth of it at most, so the bulks are smaller where memory is short. Units stay until they are settled.
//!
//! It makes no index and no mapping: the server does when it is allowed to (`mapping_mode: existing`: [`probe`] wants the index to be
//! there). Data streams, which take `create` only, are not served.

mod answer;
mod bulk;
mod change;
mod config;
mod courier;
mod encode;
mod names;
mod sink;

use std::time::Duration;

use bytes::Bytes;
use connector::records::{Context, Endpoint, Problem, RecordSink, SharedHost};
use connector::{Error, ErrorKind, Result};
use http::Method;
use http_pool::{Answer, Call, Pool};

/// How long [`probe`] may take.
const PROBE: Duration = Duration::from_secs(5);

/// What is wrong with a connection; nothing is reached for.
#[must_use]
pub fn check_connection(connection: &str) -> Vec<Problem> {
    config::remote(connection, None).err().unwrap_or_default()
}

/// What is wrong with the options of a sink; nothing is reached for.
#[must_use]
pub fn check_sink(options: &str) -> Vec<Problem> {
    config::plan(options).err().unwrap_or_default()
}

/// Is the server there, does it know us, and is the index there or can it be made?
///
/// # Errors
/// `Unavailable`, `Denied`, `NotFound`, or `Unsupported` with all problems of the texts.
pub async fn probe(endpoint: &Endpoint) -> Result<()> {
    let (remote, plan) = config::read(endpoint)?;
    let pool = Pool::new(remote);
    let asking = async {
        let root = ask(&pool, Method::GET, "").await?;
        // Whoever may only write to one index may not ask for the server's name.
        if !root.is_success() && root.status != 403 {
            return Err(unhappy(&root));
        }
        let Some(index) = plan.only_index() else { return Ok(()) };
        let found = ask(&pool, Method::HEAD, &format!("/{}", sink::escape(index))).await?;
        match found.status {
            200..300 => Ok(()),
            404 if plan.existing => Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no index {index}, and it is not to be made"),
            )),
            404 => Ok(()),
            _ => Err(unhappy(&found)),
        }
    };
    let late = || Error::new(ErrorKind::Unavailable, format!("no answer within {} s", PROBE.as_secs()));
    tokio::time::timeout(PROBE, asking).await.map_err(|_| late())?
}

async fn ask(pool: &Pool, method: Method, path: &str) -> Result<Answer> {
    pool.call(Call { method, path, headers: &[], body: Bytes::new(), limit: 1 << 20 }).await
}

fn unhappy(answer: &Answer) -> Error {
    let kind = match answer.status {
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        429 => ErrorKind::Throttled,
        500.. => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    };
    Error::new(kind, format!("the server answered {} {}", answer.status, answer.words()))
}

/// A sink. It must live inside a `LocalSet`: requests go on while the lane reads.
///
/// # Errors
/// `Unsupported` with all problems of the texts.
pub fn sink(endpoint: &Endpoint, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
    sink::build(endpoint, context, host)
}
