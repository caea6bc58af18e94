//! The operations, grouped by what they work on.

pub(crate) mod bucket;
pub(crate) mod list;
pub(crate) mod multipart;
pub(crate) mod object;
pub(crate) mod whole;
