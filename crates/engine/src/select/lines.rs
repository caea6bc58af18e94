//! Reads the files that name paths: plain lines, addresses, and `Name,Type` tables.

use std::sync::Arc;

use connector::{Entry, EntryKind, Error, ErrorKind, ListRequest, Result, Tree};
use tokio::sync::mpsc;

use super::{Listed, Place};
use crate::Lanes;

/// Longest line or row in bytes: a path of 1024 bytes, percent-encoded, with room for host and quotes.
const MAX_LINE: usize = 16 * 1024;
/// Names that are handed over at once.
const BATCH: usize = 1000;

type Names = mpsc::Sender<Result<Vec<Vec<u8>>>>;

/// Starts reading on a lane; the names come in batches.
pub(super) async fn start(lanes: &Lanes, listed: Listed) -> mpsc::Receiver<Result<Vec<Vec<u8>>>> {
    let (send, names) = mpsc::channel(4);
    let reading = lanes
        .start(0, move || {
            Box::pin(async move {
                if let Err(e) = read(&listed, &send).await {
                    let _ = send.send(Err(e)).await;
                }
            })
        })
        .await;
    // It ends by itself, or when nobody takes the names any more.
    drop(reading);
    names
}

async fn read(listed: &Listed, send: &Names) -> Result<()> {
    let prefix = match &listed.place {
        Place::Lines(path) => {
            let found = listed.tree.lane().stat(path).await?;
            let missing =
                || Error::new(ErrorKind::NotFound, format!("the list {} is not there", path.display()));
            let entry = found.ok_or_else(missing)?.entry;
            return read_file(listed, &entry, send, false).await;
        }
        Place::CsvBelow(prefix) => prefix.clone(),
    };
    let mut tables = 0_u64;
    let mut listing = listed.tree.list(ListRequest { prefix, ..ListRequest::default() });
    while let Some(page) = listing.next().await? {
        for entry in page.into_iter().flatten() {
            if entry.kind == EntryKind::File && entry.path.as_bytes().ends_with(b".csv") {
                tables += 1;
                read_file(listed, &entry, send, true).await?;
            }
        }
    }
    match tables {
        0 => Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no .csv file below {}", listed.tree.describe()),
        )),
        _ => Ok(()),
    }
}

async fn read_file(listed: &Listed, entry: &Entry, send: &Names, csv: bool) -> Result<()> {
    let tree: &Arc<dyn Tree> = &listed.tree;
    let mut body = tree.lane().open(entry, None).await?;
    let mut rows = Rows { csv, ..Rows::default() };
    let mut batch = Vec::new();
    loop {
        let chunk = body.next().await?;
        let over = chunk.is_none();
        match &chunk {
            Some(chunk) => rows.feed(chunk, &mut batch)?,
            None => rows.end(&mut batch),
        }
        if over || batch.len() >= BATCH {
            let names: Vec<_> =
                batch.drain(..).filter_map(|row: Vec<u8>| name_in(listed, &row, csv)).collect();
            if !names.is_empty() && send.send(Ok(names)).await.is_err() {
                return Ok(());
            }
        }
        if over {
            return Ok(());
        }
    }
}

/// Splits bytes into rows; a quoted CSV field may hold line ends.
#[derive(Default)]
struct Rows {
    csv: bool,
    quoted: bool,
    row: Vec<u8>,
}

impl Rows {
    fn feed(&mut self, chunk: &[u8], out: &mut Vec<Vec<u8>>) -> Result<()> {
        for &b in chunk {
            if self.csv && b == b'"' {
                self.quoted = !self.quoted;
            }
            if b == b'\n' && !self.quoted {
                self.end(out);
                continue;
            }
            if self.row.len() >= MAX_LINE {
                let what = format!("a line of the list is longer than {MAX_LINE} bytes");
                return Err(Error::new(ErrorKind::Unacceptable, what));
            }
            self.row.push(b);
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<Vec<u8>>) {
        self.quoted = false;
        let mut row = std::mem::take(&mut self.row);
        if row.last() == Some(&b'\r') {
            row.pop();
        }
        if !row.is_empty() {
            out.push(row);
        }
    }
}

/// The path in a row, relative to the source; `None` for a heading.
fn name_in(listed: &Listed, row: &[u8], csv: bool) -> Option<Vec<u8>> {
    let row = row.strip_prefix(b"\xef\xbb\xbf").unwrap_or(row);
    let mut name = if csv { csv_name(row)? } else { row.to_vec() };
    if !csv && let Some(key) = key_of_address(&name, &listed.bucket) {
        name = key;
    }
    let bare = name.strip_prefix(b"/").unwrap_or(&name);
    let bare = bare.strip_prefix(listed.strip.as_slice()).unwrap_or(bare);
    Some(if bare.is_empty() { b"/".to_vec() } else { bare.to_vec() })
}

fn csv_name(row: &[u8]) -> Option<Vec<u8>> {
    let mut fields = vec![Vec::new()];
    let mut quoted = false;
    let mut bytes = row.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        match b {
            b'"' if quoted && bytes.peek() == Some(&b'"') => {
                bytes.next();
                fields.last_mut()?.push(b'"');
            }
            b'"' => quoted = !quoted,
            b',' if !quoted => fields.push(Vec::new()),
            _ => fields.last_mut()?.push(b),
        }
    }
    let kind = fields.get(1).map(|k| k.trim_ascii().to_ascii_lowercase()).unwrap_or_default();
    let mut name = fields.swap_remove(0);
    if kind == b"type" && name.eq_ignore_ascii_case(b"name") {
        return None;
    }
    if kind == b"dir" && !name.ends_with(b"/") {
        name.push(b'/');
    }
    Some(name)
}

/// The key in `http(s)://bucket.host/key` or `http(s)://host/bucket/key`.
fn key_of_address(line: &[u8], bucket: &str) -> Option<Vec<u8>> {
    let rest = line.strip_prefix(b"https://").or_else(|| line.strip_prefix(b"http://"))?;
    let slash = rest.iter().position(|b| *b == b'/')?;
    let (host, path) = (&rest[..slash], &rest[slash + 1..]);
    let path = path.split(|b| *b == b'?').next().unwrap_or(path);
    let mut key = percent_decoded(path);
    let in_host = host.strip_prefix(bucket.as_bytes()).is_some_and(|h| h.starts_with(b"."));
    if !in_host && let Some(k) = key.strip_prefix(bucket.as_bytes()).and_then(|k| k.strip_prefix(b"/")) {
        key = k.to_vec();
    }
    Some(key)
}

fn percent_decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut i = 0;
    while let Some(&b) = path.get(i) {
        let digits = path.get(i + 1..i + 3).and_then(|d| std::str::from_utf8(d).ok());
        match digits.filter(|_| b == b'%').and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(x) => {
                out.push(x);
                i += 3;
            }
            None => {
                out.push(b);
                i += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_names() {
        assert_eq!(csv_name(b"Name,Type"), None);
        assert_eq!(csv_name(b"a/b,dir"), Some(b"a/b/".to_vec()));
        assert_eq!(csv_name(b"\"x,\"\"y\",file"), Some(b"x,\"y".to_vec()));
        let mut rows = Rows { csv: true, ..Rows::default() };
        let mut out = Vec::new();
        rows.feed(b"a,file\r\n\"b\nc\",file\n\nd", &mut out).unwrap();
        rows.end(&mut out);
        assert_eq!(out, [&b"a,file"[..], b"\"b\nc\",file", b"d"]);
        assert!(rows.feed(&vec![b'x'; MAX_LINE + 1], &mut out).is_err());
    }

    #[test]
    fn addresses_give_their_keys() {
        let key = |a: &str| key_of_address(a.as_bytes(), "bkt-1");
        assert_eq!(key("https://bkt-1.cos.x.com/a%20b/c?sign=1"), Some(b"a b/c".to_vec()));
        assert_eq!(key("http://127.0.0.1:1/bkt-1/a"), Some(b"a".to_vec()));
        assert_eq!(key("a/b"), None);
    }
}
