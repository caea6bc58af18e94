//! From `errno` to the contract's error kinds.

use std::io;

use connector::{Error, ErrorKind};

/// The error of `what` (a verb and a path, for people).
pub(crate) fn fault(e: io::Error, what: impl std::fmt::Display) -> Error {
    let kind = kind_of(&e);
    Error::new(kind, what.to_string()).caused_by(e)
}

/// The kind alone.
pub(crate) fn kind_of(e: &io::Error) -> ErrorKind {
    match e.raw_os_error() {
        Some(libc::ENOENT) => ErrorKind::NotFound,
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => ErrorKind::Denied,
        Some(libc::ENOSPC | libc::EDQUOT) => ErrorKind::Full,
        Some(libc::EEXIST | libc::EISDIR) => ErrorKind::Exists,
        Some(libc::ELOOP | libc::ENOTDIR | libc::EXDEV | libc::ENAMETOOLONG | libc::EFBIG | libc::EILSEQ) => {
            ErrorKind::Unacceptable
        }
        Some(libc::EOPNOTSUPP | libc::ENOSYS) => ErrorKind::Unsupported,
        Some(libc::EAGAIN | libc::EBUSY | libc::ETXTBSY | libc::ESTALE | libc::EMFILE | libc::ENFILE) => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Other,
    }
}

/// Is the item simply not there?
pub(crate) fn is_gone(e: &io::Error) -> bool {
    e.raw_os_error() == Some(libc::ENOENT)
}

/// Is something else than a directory in the way (a file, or a link that is not followed)?
pub(crate) fn is_blocked(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP))
}
