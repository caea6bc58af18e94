//! The record sink of buckets: topics as objects of lines.
//!
//! Records of a split are gathered in one open object until it is large enough (`max_bytes`, as stored) or old enough (`max_seconds`),
//! and the split's position moves when that object is complete, never before. Objects are cut between units only.
//!
//! **Names.** `<prefix><directories>/<pipeline>+<topic>+<partition>+<offset of the first record>.<ext>`. The directories are
//! strftime of the first record's own timestamp (a record without one counts as 1970), so the same records make the same name again
//! after a crash, whatever the clock says. An object stays in the directory of its first record.
//!
//! **Exactly once.** Beside the objects there is a small one for each split, `<prefix>_wharf/<pipeline>/<topic>+<partition>`: the *pointer*. It says
//! who owns the split (a random word of this run), the mark up to which objects are complete, and which object is written
//! next with the mark that it leads to. It is replaced by compare-and-set (`If-Match`) before an object is begun and before it is completed;
//! the object itself is made under `If-None-Match: *` and carries the run's word. Whoever takes over reads the pointer, looks whether the
//! named object is there and by whose hand, adopts its mark or aborts its unfinished upload, and writes his own word, so that an
//! older owner's next step fails. Names beginning with `_` are what readers of such buckets (Hive, Spark, Trino, Athena) skip.
//! A store that takes no conditions (it is asked once) is looked at before each write instead: there, exactness rests on the engine, which gives a
//! split to one owner at a time.
//!
//! **What is written.** JSON lines: the value as it is, newlines between its tokens taken out; other text as it is (its own newlines
//! stay). A tombstone is `null`. CSV: the values of the top-level fields, nested ones as JSON text; in the order of `columns`, or of the
//! record where none are given; what is no JSON object goes in as it is. `header` (with `columns` only) begins each object with the names.
//! `source_format: debezium` takes `after`; a delete is its `before` (or its key) with a further field `"__deleted": "true"`, and the tombstone
//! behind a delete is skipped. Parquet (`format: parquet`): columns that are learnt from the records, and one for records that fit none
//! ([`learnt`]). Nothing is ever refused. Order: within a split, of position. Compressed objects are made of gzip
//! members or zstd frames of about 1 MiB, which every reader takes as one stream.
//!
//! **Memory.** Open objects hold only what is not sent: parts go out when they have 5 MiB. What is buffered or on its way is under leases of
//! the byte budget: a reserve (a sixteenth of the budget, 1 to 16 MiB) and more as long as there is some. When the budget or the sink's own
//! room (a quarter of the budget, 8 to 256 MiB) is used up, the largest open object is sent, or closed early when it is too small for a
//! part. So hundreds of quiet splits cost smaller objects rather than memory.
//!
//! Dump tasks have a sink of their own in [`dump`], and an error directory in [`errors`].

mod dump;
mod errors;
mod format;
mod learnt;
mod naming;
mod object;
mod options;
mod parquet;
mod pointer;
mod sink;
mod store;
mod writer;

pub use errors::error_directory;
pub use options::{check_connection, check_sink, site};
pub use sink::{probe, sink};
