//! JSON as bytes, for sinks that pass documents on and must not pay for parsing them.
//!
//! [`check`] says in one pass whether some bytes are one JSON value (RFC 8259, UTF-8, at most [`MAX_DEPTH`] deep), of which kind, and
//! whether it holds line breaks between its tokens. [`Path`] finds a value in checked JSON and gives its raw bytes. [`Fields`]
//! walks over the members of an object. The writers make JSON strings.
//!
//! It builds no tree, keeps no state and allocates only where text has to be unescaped. It does not care for duplicate
//! keys (the first counts) nor for the range of numbers: that is the reader's business at the other end. Why not a general parser: a tree
//! of a document of 280 bytes costs microseconds, and what is needed costs a tenth of one.

mod check;
mod path;
mod walk;
mod write;

pub use check::{Checked, Kind, MAX_DEPTH, Wrong, check};
pub use path::Path;
pub use walk::{Fields, Items, kind_of, members, text, trim};
pub use write::{push_joined, push_string, string};
