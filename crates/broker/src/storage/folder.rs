//! New names of files are durable only when their folder is flushed too.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// Flushes a folder. Not every file system can; then there is nothing to do.
///
/// # Errors
/// When the disk refuses.
pub fn flush(folder: &File) -> std::io::Result<()> {
    match folder.sync_all() {
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

/// Makes the name of a file or folder durable.
///
/// # Errors
/// When the folder that it is in can't be opened, or the disk refuses.
pub fn sync_name(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    #[cfg(test)]
    tests::SYNCED.with_borrow_mut(|synced| synced.push(path.to_owned()));
    File::open(folder).and_then(|f| flush(&f)).map_err(|e| Error::storage(folder.display(), &e))
}

#[cfg(test)]
pub mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;

    thread_local! {
        /// What this thread has made durable.
        pub static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    }
}
