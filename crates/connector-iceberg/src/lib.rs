//! Records appended to Apache Iceberg tables, exactly once.
//!
//! From the top: [`sink`](fn@sink) gathers rows per split in columns (`columnar`), writes them to Parquet files of an *interval* (`interval`), and makes them one
//! snapshot when the interval is over (`commit`). A [`catalogue`] says where the table is and swaps it; [`files`] are the local disk or a bucket.
//!
//! **Exactly once.** A snapshot's summary holds, beside the data, the marks (position and account) of all splits of the pipeline (`marks`). The swap of the table's
//! metadata is the atomic unit. [`committed`](connector::records::RecordSink::committed) reads the marks back, past snapshots of other writers. Before
//! each attempt the table is loaded and asked two things: is this commit there already (an answer was lost; the catalogue answered 500 and had done it),
//! and has anybody else moved one of our splits since we took it (then this sink is an older owner: `Changed`, its files are removed). The swap
//! compares with that very table, so nobody comes between. Foreign writers only cost another attempt.
//!
//! **Nothing is left behind.** Files of an interval are in a folder of their own, announced by a note; see `interval`. Without rows there is neither
//! file nor snapshot: a position that moved over refused or filtered records alone is settled at once and stands in the next snapshot.
//!
//! **Rows.** JSON, CSV, or raw bytes into one column, with columns for key, time, topic, partition and offset where the options name them; what is taken for what
//! is told in `columnar`. A record that does not fit is refused with the path of the field, and its neighbours are written. A field without a column:
//! `unknown_fields` is `refuse` (the default), `ignore`, or `evolve` (the column is added; int becomes long, float double, a decimal longer). What was
//! taken before a change is committed first.
//!
//! **Partitions.** Identity, bucket, truncate, year, month, day, hour, as the table's present spec says. Only appends: no upserts, no deletes.
//!
//! **Memory.** Columns up to 32 MiB (an eighth of the byte budget at most, under a lease), then the open row groups of the files, 32 MiB before encoding
//! for each, of at most 64 partitions at once; 8 MiB for each object on its way.
//!
//! Own catalogues and own storage, and not the crate's: see ADR 8.

mod catalogue;
mod commit;
mod expire;
mod fault;
mod files;
mod interval;
mod look;
mod marks;
mod options;
mod schema;
mod sink;
#[cfg(test)]
mod tests;

pub use look::{Found, look, probe};
pub use options::{check_connection, check_sink};
pub use sink::sink;
