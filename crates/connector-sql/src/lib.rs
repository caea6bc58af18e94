//! Record sinks for PostgreSQL, MySQL and MariaDB: records become rows, and their position is a row beside them.
//!
//! **Exactly once.** A batch of units is one transaction: the rows, and for each split the row of `wharf_positions` (in the schema of the
//! target table; made when it is not there) with the next position and the [`Mark`](connector::records::Mark). That row is moved by
//! compare-and-set on its owner (a random word that [`committed`](connector::records::RecordSink::committed) writes) and its old
//! position, so an older owner's transaction fails as a whole. A commit whose answer is lost is looked up there, under the row's lock.
//! Tables of an engine without transactions (MyISAM, Aria) are refused.
//!
//! **Rows.** By `mapping`, or the top-level keys of a JSON object are the columns (exactly, else without regard to case). A key without a
//! column refuses the record: it would be lost silently. Columns come from the catalogue, which is read again when a key or the server
//! says that it is out of date. Values go to PostgreSQL as arrays of text that the server casts (one `INSERT … SELECT … FROM UNNEST` per set of
//! columns, whatever the number of rows), to MySQL as rows of bound text. What can be seen to be bad is refused before: numbers out of
//! range, words for numbers, `null` where nothing may be missing, NUL characters. Numbers for columns of time are epoch days, seconds, milli-,
//! micro- or nanoseconds by their size; times of MySQL are UTC. An absent column keeps its default.
//!
//! **Modes.** `insert`: since rows and position move together a record of ours can never be there already; so a duplicate key is somebody
//! else's row, or a second record with the same key: it is refused. `upsert`: by `key`, or the primary key; columns that a record does not have
//! stay as they are. `change_format` (Debezium, Canal): c, r, u are upserts and d deletes by key; a changed key deletes the old row first; tombstones and
//! statements (DDL) are skipped. Order: by key, as in the split.
//!
//! **Refusals.** What the server refuses is found by bisection with savepoints within the same transaction, and ruled on by the host before
//! the commit. Deadlocks and lost connections run the whole transaction again, a few times.
//!
//! **Memory.** A batch is at most 4,000 records or 4 MiB; what is built of it is under a lease of the byte budget and gone after the commit.
//!
//! TLS is rustls. MySQL's `caching_sha2_password` without TLS needs RSA, which is not built in: turn TLS on, or use another plug-in.

mod catalogue;
mod change;
mod fault;
mod link;
mod options;
mod position;
mod rows;
mod sink;
mod statement;
mod value;

pub use options::{check_connection, check_sink};
pub use sink::{probe, sink};
