//! Records into ClickHouse by its HTTP interface (`INSERT … FORMAT JSONEachRow`).
//!
//! **Delivery.** A block goes with `insert_deduplication_token` = pipeline, topic, partition, first and last position, so a block that is
//! sent again (no answer, a connection that broke) is dropped by the server. That needs a table that keeps tokens: `Replicated…MergeTree` always does,
//! `MergeTree` with the setting `non_replicated_deduplication_window` (say 1000); any other table gets such a block twice.
//!
//! After a crash the very same block has to be formed again. So before a block is sent, the sink writes a row into `wharf_positions` (in the same
//! database, made when it is missing): the settled mark and the positions where the blocks since then end. The next run begins at that mark, cuts its
//! blocks at the same positions, and the server drops those it has. **Exactly once**, then, when all of this holds: the table keeps tokens, as many
//! as there are blocks between two marks and a crash; the row could be written (else: at least once, a warning says so); the pipeline's
//! transform makes the same of the same records; the lane's window still holds a whole block; and the topic still has them. **At least once** otherwise.
//!
//! **Order.** A partition has one block on its way. ClickHouse itself keeps no order but that of the table's key.
//!
//! **Columns.** A column gets the value at its `json_key` (a key of the outermost object, or `$.a.b`). Types are checked as far as it is cheap,
//! so that a wrong value does not cost a round trip: whole numbers and their range, numbers, booleans, null and missing values; numbers, booleans, arrays
//! and objects for a `String` are written as their JSON text. Dates and the rest are the server's business (`best_effort`).
//!
//! **Refusals.** A value that fits no column is refused before it is sent. A block that the server can't read is halved, under tokens of its own, until
//! the guilty row stands alone; it is refused with the server's words. Wrong credentials, a missing table or column, a full disk end the
//! run of the lane; too many parts, too many queries and no memory are waited for.
//!
//! **Memory.** One block of `batch_bytes` for each partition that is being filled and each of the `in_flight` ones on their way; smaller
//! ones where the byte budget is short.
//!
//! It makes no table but its own, and knows no native protocol.

mod config;
mod rows;
mod server;

use std::time::Duration;

use connector::records::{Context, Endpoint, Problem, RecordSink, SharedHost};
use connector::{Error, ErrorKind, Result};
use http_pool::{ParcelSink, Pool};

use crate::server::Server;

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

/// Is the server there, does it know us, and has the table these columns?
///
/// # Errors
/// `Unavailable`, `Denied`, `NotFound`, or `Unsupported` with all problems of the texts.
pub async fn probe(endpoint: &Endpoint) -> Result<()> {
    let (remote, plan) = config::read(endpoint)?;
    let pool = Pool::new(remote);
    let sql = format!("SELECT {} FROM {} LIMIT 0", plan.column_list(), plan.table());
    let asking = server::query(&pool, &sql);
    let late = || Error::new(ErrorKind::Unavailable, format!("no answer within {} s", PROBE.as_secs()));
    tokio::time::timeout(PROBE, asking).await.map_err(|_| late())?.map(drop)
}

/// A sink. It must live inside a `LocalSet`.
///
/// # Errors
/// `Unsupported` with all problems of the texts.
pub fn sink(endpoint: &Endpoint, context: &Context, host: SharedHost) -> Result<Box<dyn RecordSink>> {
    let (remote, plan) = config::read(endpoint)?;
    let limits = plan.limits;
    Ok(Box::new(ParcelSink::new(Server::new(Pool::new(remote), plan, context), limits, context, host)))
}
