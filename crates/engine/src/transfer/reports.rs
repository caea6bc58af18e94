//! The manifest and the lists of a run: files that only ever grow in listing order.
//!
//! The checkpoint holds their lengths. A resumed run cuts them back to these, so that every item stands
//! in them once however often the run was killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use model::Outcome;

use super::book::{Line, LineKind};
use super::content::Content;

/// One JSON object per item: path, size, what is known of the content, outcome. What was written or found
/// unchanged has a `digest`, or the `etag` of the version that was found, or is marked `size_only`.
pub const MANIFEST: &str = "manifest.jsonl";
/// Everything that was read: `path,size,outcome`.
pub const TOTAL: &str = "total.csv";
/// What was written or found unchanged: `path,size`.
pub const SUCCESSFUL: &str = "successful.csv";
/// What was left alone: `path,size,reason`.
pub const SKIPPED: &str = "skipped.csv";
/// What failed: `path,size,reason`.
pub const FAILED: &str = "failed.csv";

const FILES: [&str; 5] = [MANIFEST, TOTAL, SUCCESSFUL, SKIPPED, FAILED];
const HEADS: [&str; 5] =
    ["", "path,size,outcome\n", "path,size\n", "path,size,reason\n", "path,size,reason\n"];
/// Bytes that are collected before they are written.
const BUFFER: usize = 64 * 1024;

struct Out {
    file: Arc<File>,
    buffer: Vec<u8>,
    len: u64,
}

/// The open report files.
pub(super) struct Reports {
    outs: Vec<Out>,
}

impl Reports {
    /// Opens them in `folder`: anew, or cut back to `lengths`.
    pub fn open(folder: &Path, lengths: Option<&[u64]>) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut outs = Vec::with_capacity(FILES.len());
        for (i, name) in FILES.iter().enumerate() {
            let path = folder.join(name);
            let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            let len = lengths.and_then(|l| l.get(i)).copied().unwrap_or(0);
            if file.metadata()?.len() < len {
                return Err(io::Error::other(format!("{name} is shorter than the checkpoint says")));
            }
            file.set_len(len)?;
            file.seek(SeekFrom::Start(len))?;
            let mut out = Out { file: Arc::new(file), buffer: Vec::new(), len };
            if len == 0 {
                out.put(HEADS[i].as_bytes())?;
            }
            outs.push(out);
        }
        Ok(Self { outs })
    }

    /// Appends one line where it belongs.
    pub fn add(&mut self, line: &Line) -> io::Result<()> {
        let manifest = manifest_line(line);
        let mut row = Vec::with_capacity(line.path.len() + 48);
        csv_field(&mut row, line.shown().as_bytes());
        let _ = write!(row, ",{}", line.size);
        let plain = row.len();
        let _ = writeln!(row, ",{}", outcome_name(line.outcome));
        let (list, reason) = match line.outcome {
            Outcome::Written | Outcome::Unchanged => (2, None),
            Outcome::Skipped | Outcome::Filtered => (3, Some(&line.reason)),
            Outcome::Failed | Outcome::DeadLettered => (4, Some(&line.reason)),
        };
        self.put(0, &manifest)?;
        self.put(1, &row)?;
        row.truncate(plain);
        if let Some(reason) = reason {
            row.push(b',');
            csv_field(&mut row, reason.as_bytes());
        }
        row.push(b'\n');
        self.put(list, &row)
    }

    fn put(&mut self, i: usize, bytes: &[u8]) -> io::Result<()> {
        self.outs.get_mut(i).map_or(Ok(()), |out| out.put(bytes))
    }

    /// Hands everything to the system. Gives the files (for a sync elsewhere) and their lengths.
    pub fn flush(&mut self) -> io::Result<(Vec<Arc<File>>, Vec<u64>)> {
        for out in &mut self.outs {
            out.flush()?;
        }
        Ok((self.outs.iter().map(|o| o.file.clone()).collect(), self.outs.iter().map(|o| o.len).collect()))
    }
}

impl Out {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.file).write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

pub(crate) fn outcome_name(o: Outcome) -> &'static str {
    match o {
        Outcome::Written => "written",
        Outcome::Unchanged => "unchanged",
        Outcome::Skipped => "skipped",
        Outcome::Filtered => "filtered",
        Outcome::DeadLettered => "dead-lettered",
        Outcome::Failed => "failed",
    }
}

fn manifest_line(line: &Line) -> Vec<u8> {
    let mut v = Vec::with_capacity(line.path.len() + 112);
    v.extend_from_slice(b"{\"");
    match std::str::from_utf8(&line.path) {
        Ok(path) => {
            v.extend_from_slice(b"path\":");
            // Writing a string into a vector can't fail.
            let _ = serde_json::to_writer(&mut v, path);
        }
        Err(_) => {
            let path = base64::engine::general_purpose::STANDARD.encode(&line.path);
            let _ = write!(v, "path_b64\":\"{path}\"");
        }
    }
    let _ = write!(v, ",\"size\":{}", line.size);
    match line.kind {
        LineKind::File | LineKind::Nameless => {}
        LineKind::Dir => v.extend_from_slice(b",\"kind\":\"dir\""),
        LineKind::Link => v.extend_from_slice(b",\"kind\":\"link\""),
    }
    content_fields(&mut v, line);
    let _ = writeln!(v, ",\"outcome\":\"{}\"}}", outcome_name(line.outcome));
    v
}

/// What a later check can hold the destination to.
fn content_fields(v: &mut Vec<u8>, line: &Line) {
    let there = matches!(line.outcome, Outcome::Written | Outcome::Unchanged);
    match &line.content {
        Content::Digest(digest) => {
            let _ = write!(v, ",\"digest\":\"{digest}\"");
        }
        Content::Version(etag) => {
            v.extend_from_slice(b",\"etag\":");
            let _ = serde_json::to_writer(v, etag);
        }
        Content::Unknown if there && line.kind != LineKind::Dir => {
            v.extend_from_slice(b",\"size_only\":true")
        }
        Content::Unknown => {}
    }
}

/// RFC 4180.
fn csv_field(v: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.iter().any(|b| matches!(b, b'"' | b',' | b'\n' | b'\r')) {
        return v.extend_from_slice(bytes);
    }
    v.push(b'"');
    for b in bytes {
        if *b == b'"' {
            v.push(b'"');
        }
        v.push(*b);
    }
    v.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector::Digest;

    fn line(path: &[u8], outcome: Outcome) -> Line {
        Line {
            path: path.into(),
            kind: LineKind::File,
            size: 3,
            outcome,
            content: Content::Digest(Digest::of(b"abc")),
            reason: "no, \"never\"".into(),
        }
    }

    #[test]
    fn lines_have_their_persisted_form() {
        assert_eq!(
            String::from_utf8(manifest_line(&line(b"a \"b", Outcome::Written))).unwrap(),
            format!(
                "{{\"path\":\"a \\\"b\",\"size\":3,\"digest\":\"{}\",\"outcome\":\"written\"}}\n",
                Digest::of(b"abc")
            )
        );
        let odd = Line { content: Content::Unknown, kind: LineKind::Link, ..line(b"\xff", Outcome::Failed) };
        assert_eq!(
            String::from_utf8(manifest_line(&odd)).unwrap(),
            "{\"path_b64\":\"/w==\",\"size\":3,\"kind\":\"link\",\"outcome\":\"failed\"}\n"
        );
    }

    #[test]
    fn what_is_there_says_what_it_can_be_held_to() {
        let tail = |content, kind, outcome| {
            let text = manifest_line(&Line { content, kind, ..line(b"a", outcome) });
            String::from_utf8(text).unwrap().split_once("3,").map(|(_, tail)| tail.to_owned())
        };
        let version = || Content::Version("d41d\"-2".into());
        for (content, kind, want) in [
            (version(), LineKind::File, "\"etag\":\"d41d\\\"-2\",\"outcome\":\"unchanged\"}\n"),
            (Content::Unknown, LineKind::File, "\"size_only\":true,\"outcome\":\"unchanged\"}\n"),
            (Content::Unknown, LineKind::Dir, "\"kind\":\"dir\",\"outcome\":\"unchanged\"}\n"),
        ] {
            assert_eq!(tail(content, kind, Outcome::Unchanged).unwrap(), want);
        }
        let skipped = tail(Content::Unknown, LineKind::File, Outcome::Skipped).unwrap();
        assert_eq!(skipped, "\"outcome\":\"skipped\"}\n");
    }

    #[test]
    fn a_resumed_report_is_cut_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut r = Reports::open(dir.path(), None).unwrap();
        r.add(&line(b"a", Outcome::Failed)).unwrap();
        let (_, lengths) = r.flush().unwrap();
        r.add(&line(b"b", Outcome::Failed)).unwrap();
        r.flush().unwrap();
        let mut r = Reports::open(dir.path(), Some(&lengths)).unwrap();
        r.add(&line(b"c,d", Outcome::Failed)).unwrap();
        r.flush().unwrap();
        let failed = std::fs::read_to_string(dir.path().join(FAILED)).unwrap();
        assert_eq!(failed, "path,size,reason\na,3,\"no, \"\"never\"\"\"\n\"c,d\",3,\"no, \"\"never\"\"\"\n");
    }
}
