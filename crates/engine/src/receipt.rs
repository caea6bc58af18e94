//! Receipts: what a finished run can prove, and checking it later.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// SHA-256 of a file in lower-case hex.
///
/// # Errors
/// As reading the file.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(crate::journal::to_hex(sum.finish().as_ref())),
            n => sum.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}
