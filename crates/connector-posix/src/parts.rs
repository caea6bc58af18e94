//! Writing a file in parts, so that an interrupted run finds again what it had written.
//!
//! Beside the target lie two hidden files with the same stem, which follows from target path, source
//! version, size and part size: `<stem>.data` is the file itself, at full length from the start;
//! `<stem>.parts` is a log, one line per complete part, appended after the part's bytes were written:
//!
//! ```text
//! wharf-parts 1 <size> <part size> <boot id> <source version>
//! run <run>
//! part <number> <length> <crc64nvme>
//! ```
//!
//! A run that begins, or goes on with what it finds, says so with a line of its own: nobody sweeps what is
//! another's, and the line counts as a sign of life.
//!
//! After `kill -9` everything that was written is still in the page cache, so within one boot the log
//! can be believed. After a crash of the machine a line may have reached the disk before the bytes it
//! speaks of; then (the boot id differs) every part is read and compared with its digest before it
//! counts. That costs a read on that rare day, instead of an fdatasync per part on every other one.
//! A torn line never parses, and a new line is started behind it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use connector::{
    Body, Digest, Error, ErrorKind, Meta, Overwrite, Part, PartDone, Result, Stored, Target, Upload,
};

use crate::Durability;
use crate::dirs::{Dir, parent};
use crate::fault::{fault, is_gone};
use crate::meta::{Dressing, merge};
use crate::names::{is_ours, stem};
use crate::sparse::{Holes, Running, Writer};
use crate::sys::{self, Kind};
use crate::temp::move_into_place;
use crate::write::{Pen, finish_file, misplaced, refuse_ours, settle_mark, sync_dir};

const MAGIC: &str = "wharf-parts 1";
const RUN: &str = "run ";
/// Longest log that is read: 10,000 parts of the object world and room for repetitions.
const MAX_LOG: u64 = 16 * 1024 * 1024;
const OPEN: i32 = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Starts, or finds again.
pub(crate) fn begin(pen: &Pen<'_>, target: &Target, part_size: u64) -> Result<Upload> {
    refuse_ours(&target.path)?;
    if part_size == 0 {
        return Err(Error::new(ErrorKind::Other, "a part size of 0"));
    }
    let dir = pen.dirs.make(pen.root, parent(&target.path))?;
    match sys::stat(dir.fd(), target.path.name()) {
        Ok(s) if s.kind == Kind::Dir || target.overwrite == Overwrite::Never => {
            return Err(Error::new(ErrorKind::Exists, format!("{} is there already", target.path.display())));
        }
        _ => {}
    }
    let site = Site { dir, stem: stem(target, part_size), target };
    let done = match site.found(part_size) {
        Some(done) => done,
        None => site.start(part_size)?,
    };
    site.sign().map_err(|e| full_removes(&site, e, "sign"))?;
    Ok(Upload { token: site.stem.into(), part_size, done })
}

/// The two hidden files of a write in parts.
struct Site<'a> {
    dir: Rc<Dir>,
    stem: String,
    target: &'a Target,
}

impl<'a> Site<'a> {
    /// Of an upload that was begun.
    fn of(pen: &Pen<'_>, target: &'a Target, upload: &Upload) -> Result<Self> {
        if !is_ours(upload.token.as_bytes()) {
            return Err(Error::new(ErrorKind::Other, "this upload was not begun here"));
        }
        let at = parent(&target.path);
        let dir = pen.dirs.find(pen.root, at)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("the directory of {} was removed", target.path.display()))
        })?;
        Ok(Self { dir, stem: upload.token.to_string(), target })
    }

    fn data(&self) -> String {
        format!("{}.data", self.stem)
    }

    fn log(&self) -> String {
        format!("{}.parts", self.stem)
    }

    fn open(&self, name: &str, flags: i32) -> io::Result<File> {
        sys::openat(self.dir.fd(), name.as_bytes(), flags, 0o600).map(OwnedFd::into)
    }

    fn fault(&self, e: io::Error, verb: &str) -> Error {
        fault(e, format_args!("{verb} a part of {}", self.target.path.display()))
    }

    fn remove(&self) -> io::Result<()> {
        for name in [self.log(), self.data()] {
            match sys::unlinkat(self.dir.fd(), name.as_bytes(), 0) {
                Err(e) if !is_gone(&e) => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    fn start(&self, part_size: u64) -> Result<Vec<PartDone>> {
        let new = OPEN | libc::O_CREAT | libc::O_EXCL;
        let make = || -> io::Result<()> {
            self.remove()?;
            self.open(&self.data(), new)?.set_len(self.target.size)?;
            let head = header(self.target, part_size);
            self.open(&self.log(), new | libc::O_APPEND)?.write_all(format!("{head}\n").as_bytes())
        };
        make().map(|()| Vec::new()).map_err(|e| {
            let _ = self.remove();
            self.fault(e, "start")
        })
    }

    /// This run is at work here.
    fn sign(&self) -> io::Result<()> {
        let append = libc::O_WRONLY | libc::O_APPEND | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let line = format!("{RUN}{}\n", self.target.stamp.run.escape_default());
        self.open(&self.log(), append)?.write_all(line.as_bytes())
    }

    /// What an interrupted run has left, if it can be used.
    fn found(&self, part_size: u64) -> Option<Vec<PartDone>> {
        let data = self.open(&self.data(), OPEN).ok()?;
        let mut log = self.open(&self.log(), OPEN | libc::O_APPEND).ok()?;
        let stat = sys::fstat(&data).ok()?;
        if self.target.stamp.version.is_empty() || stat.kind != Kind::File || stat.size != self.target.size {
            return None;
        }
        let len = log.metadata().ok()?.len();
        if len > MAX_LOG {
            return None;
        }
        let mut text = vec![0; usize::try_from(len).ok()?];
        log.read_exact_at(&mut text, 0).ok()?;
        let text = String::from_utf8_lossy(&text);
        let (head, lines) = text.split_once('\n')?;
        let same_boot = head == header(self.target, part_size);
        if !same_boot && !is_header_of_another_boot(head, self.target, part_size) {
            return None;
        }
        let mut parts = read_log(lines, self.target.size, part_size);
        if !same_boot {
            parts.retain(|_, part| part_is_true(&data, part, part_size));
            self.rewrite(part_size, parts.values()).ok()?;
        } else if !text.ends_with('\n') {
            log.write_all(b"\n").ok()?;
        }
        Some(parts.into_values().collect())
    }

    /// Starts the log of this boot with the parts that proved true.
    fn rewrite<'p>(&self, part_size: u64, parts: impl Iterator<Item = &'p PartDone>) -> io::Result<()> {
        let mut text = header(self.target, part_size) + "\n";
        for part in parts {
            text += &line(part);
        }
        let temp = self.stem.clone();
        let _ = sys::unlinkat(self.dir.fd(), temp.as_bytes(), 0);
        self.open(&temp, OPEN | libc::O_CREAT | libc::O_EXCL)?.write_all(text.as_bytes())?;
        sys::rename(self.dir.fd(), temp.as_bytes(), self.log().as_bytes(), 0)
    }
}

/// Is this a log that this run alone has worked on?
pub(crate) fn is_log_of(log: &File, run: &str) -> bool {
    use std::io::Read as _;
    let mut text = Vec::new();
    if io::Read::take(log, MAX_LOG).read_to_end(&mut text).is_err() {
        return false;
    }
    let text = String::from_utf8_lossy(&text);
    let (own, mut signed) = (run.escape_default().to_string(), false);
    text.starts_with(MAGIC)
        && text.lines().filter_map(|l| l.strip_prefix(RUN)).all(|of| {
            signed = true;
            of == own
        })
        && signed
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "-".to_owned(), |s| s.trim().to_owned())
}

/// A version may hold anything; in the log it stays on its line.
fn shown_version(target: &Target) -> String {
    target.stamp.version.escape_default().to_string()
}

fn header(target: &Target, part_size: u64) -> String {
    format!("{MAGIC} {} {part_size} {} {}", target.size, boot_id(), shown_version(target))
}

fn is_header_of_another_boot(head: &str, target: &Target, part_size: u64) -> bool {
    head.strip_prefix(&format!("{MAGIC} {} {part_size} ", target.size))
        .and_then(|rest| rest.split_once(' '))
        .is_some_and(|(_, version)| version == shown_version(target))
}

fn line(part: &PartDone) -> String {
    format!("part {} {} {:016x}\n", part.number, part.len, part.digest.unwrap_or(Digest::EMPTY).crc64)
}

/// The complete lines; a later line about the same part wins.
fn read_log(lines: &str, size: u64, part_size: u64) -> BTreeMap<u32, PartDone> {
    let mut parts = BTreeMap::new();
    for line in lines.split_inclusive('\n').filter_map(|l| l.strip_suffix('\n')) {
        let Some(part) = read_line(line) else { continue };
        let start = u64::from(part.number - 1).checked_mul(part_size);
        if start.is_some_and(|s| s < size && part.len == part_size.min(size - s)) {
            parts.insert(part.number, part);
        }
    }
    parts
}

fn read_line(line: &str) -> Option<PartDone> {
    let mut words = line.strip_prefix("part ")?.split(' ');
    let number: u32 = words.next()?.parse().ok().filter(|n| *n > 0)?;
    let len = words.next()?.parse().ok()?;
    let crc64 = words.next().filter(|w| w.len() == 16)?;
    let crc64 = u64::from_str_radix(crc64, 16).ok()?;
    words.next().is_none().then_some(PartDone {
        number,
        etag: None,
        digest: Some(Digest { crc64, len }),
        len,
    })
}

fn part_is_true(data: &File, part: &PartDone, part_size: u64) -> bool {
    let start = u64::from(part.number - 1) * part_size;
    digest_of(data, start, part.len).is_ok_and(|d| Some(d) == part.digest)
}

/// Reads a range back.
fn digest_of(data: &File, start: u64, len: u64) -> io::Result<Digest> {
    let mut running = Running::new();
    let mut buf = vec![0; usize::try_from(len.min(1 << 20)).unwrap_or(1 << 20)];
    let mut at = start;
    while at < start + len {
        let n = buf.len().min(usize::try_from(start + len - at).unwrap_or(buf.len()));
        data.read_exact_at(&mut buf[..n], at)?;
        running.update(&buf[..n]);
        at += n as u64;
    }
    Ok(running.digest())
}

/// Writes one part where it belongs, and then its line.
pub(crate) async fn put_part(
    pen: &Pen<'_>,
    target: &Target,
    upload: &Upload,
    part: Part,
    mut body: Body,
) -> Result<PartDone> {
    let site = Site::of(pen, target, upload)?;
    let want = part.range.len();
    if part.number == 0 || part.range.end > target.size {
        return Err(Error::new(ErrorKind::Other, format!("part {} lies outside of the item", part.number)));
    }
    let wrong = |how| {
        let what = format!("part {} of {}: {how} than {want} bytes came", part.number, target.path.display());
        Error::new(ErrorKind::Changed, what)
    };
    let mut next = body.next().await?;
    let data = site.open(&site.data(), OPEN).map_err(|e| site.fault(e, "open"))?;
    let holes = if pen.root.options.sparse { Holes::Punch } else { Holes::Never };
    let mut writer = Writer::new(&data, part.range.start, holes);
    while let Some(chunk) = next {
        if writer.taken() + chunk.len() as u64 > want {
            return Err(wrong("more"));
        }
        writer.write(&chunk).map_err(|e| full_removes(&site, e, "write"))?;
        next = body.next().await?;
    }
    if writer.taken() != want {
        return Err(wrong("fewer"));
    }
    let digest = writer.finish().map_err(|e| full_removes(&site, e, "write"))?;
    let done = PartDone { number: part.number, etag: None, digest: Some(digest), len: want };
    let append = libc::O_WRONLY | libc::O_APPEND | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let logged = site.open(&site.log(), append).and_then(|mut log| log.write_all(line(&done).as_bytes()));
    logged.map_err(|e| full_removes(&site, e, "record"))?;
    Ok(done)
}

/// On a full disk the unfinished file is given up, so that others find room.
fn full_removes(site: &Site<'_>, e: io::Error, verb: &str) -> Error {
    let e = site.fault(e, verb);
    if e.kind() == ErrorKind::Full {
        let _ = site.remove();
    }
    e
}

/// Makes a complete file visible.
pub(crate) fn finish(
    pen: &Pen<'_>,
    target: &Target,
    upload: &Upload,
    parts: &[PartDone],
    meta: &Meta,
) -> Result<Stored> {
    let site = Site::of(pen, target, upload)?;
    let data = site.open(&site.data(), OPEN).map_err(|e| site.fault(e, "open"))?;
    let digest = whole(target, upload, parts, &data)?;
    let meta = merge(&target.meta, meta);
    let dressing = Dressing { root: pen.root, path: &target.path, meta: &meta };
    let stat = sys::fstat(&data).map_err(|e| dressing.fault(e, "stat"))?;
    if stat.size != target.size {
        return Err(Error::new(ErrorKind::Corrupt, format!("{} lost its length", target.path.display())));
    }
    if dressing.mode().is_none() {
        // The hidden file was private; now it gets what a new file would have had.
        dressing.chmod(std::os::fd::AsFd::as_fd(&data), 0o666 & !pen.root.umask)?;
    }
    let mark = (&target.stamp, digest);
    finish_file(&dressing, &data, (stat.uid, stat.gid), true, mark)?;
    move_into_place(&site.dir, site.data().as_bytes(), target.path.name(), target.overwrite)
        .map_err(|e| misplaced(e, &target.path))?;
    // A log without data is nothing; the sweep would take it too.
    let _ = sys::unlinkat(site.dir.fd(), site.log().as_bytes(), 0);
    if pen.root.options.durability == Durability::Each {
        sync_dir(&site.dir, &target.path)?;
    }
    settle_mark(&dressing, &data, mark).map(|version| Stored { version: Some(version), digest })
}

/// Checks that the parts make up the whole, and joins their digests.
fn whole(target: &Target, upload: &Upload, parts: &[PartDone], data: &File) -> Result<Digest> {
    let mut all = Digest::EMPTY;
    for (i, part) in parts.iter().enumerate() {
        let full = part.len == upload.part_size || i + 1 == parts.len();
        if part.number as usize != i + 1 || !full {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("part {} is missing or has a wrong length", i + 1),
            ));
        }
        let digest = match part.digest {
            Some(d) => d,
            None => digest_of(data, all.len, part.len)
                .map_err(|e| fault(e, format_args!("read back {}", target.path.display())))?,
        };
        all = all.then(digest);
    }
    if all.len != target.size {
        let what =
            format!("the parts of {} hold {} bytes, not {}", target.path.display(), all.len, target.size);
        return Err(Error::new(ErrorKind::Corrupt, what));
    }
    Ok(all)
}

/// Forgets an upload.
pub(crate) fn abort(pen: &Pen<'_>, target: &Target, upload: &Upload) -> Result<()> {
    match Site::of(pen, target, upload) {
        Ok(site) => site.remove().map_err(|e| site.fault(e, "abort")),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
