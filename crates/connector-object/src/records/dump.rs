//! The sink of dump tasks: at every interval one file for each split and directory, or none.
//!
//! **When.** The interval is the only trigger. It begins with the first record after a delivery; when it is over, all splits are
//! delivered. A split is delivered early only when its files grow huge (`max_bytes`, 5 GiB), when it has more than 256 directories
//! open, or when the process's byte budget is used up and nothing is left to be sent. An interval without records makes no file.
//!
//! **Where.** `<prefix><directories>/<stream>_<partition>_<first sequence number>_<yyyyMMddHHmmss>_<task>.<ext>`. The directories are those of
//! the time when the file was begun, or, with `time`, of a field of the record itself; then an interval makes as many files as there are
//! directories.
//!
//! **Exactly once.** A delivery has two phases. First all files of the split are uploaded in parts, and nothing can be seen of them. Then
//! the split's *pointer* (`<prefix>_wharf/<pipeline>/<topic>+<partition>`) is replaced by compare-and-set with one that names the uploads, their
//! parts and the mark that they lead to: that is the commit. Then the uploads are completed. Whoever takes a split over completes what a
//! pointer names, forgets all other uploads of this task, and writes his own word, so that an older owner's next commit fails. Files that
//! were completed are never touched again.
//!
//! **Refused records.** A record whose own time can't be read (with `time`), or that does not fit the schema of a Parquet file, is
//! refused: the host puts it into the error directory, and the rest of the batch goes on.

mod body;
mod columns;
mod options;
mod pointer;
mod sink;
mod time;

pub(super) use options::{check, place, wanted};
pub(super) use sink::{sink, split_word, task_word};
