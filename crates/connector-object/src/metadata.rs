//! POSIX metadata in user metadata, in the spellings that are about.
//!
//! Written is one dialect (a vendor's together with the native one, so that nothing is lost on the way
//! back), read are all. When an object carries several, each field is taken from the
//! first of these that has it: native (`file-*`, as Amazon's file services write), `afm-*` (CPFS),
//! `alihbr-sync-mtime` (CPFS for Lingjun), then the plain `mtime`, `mode`, `uid`, `gid`, `atime` of rclone
//! and the COS and S3 FUSE clients. All are written under `x-amz-meta-`, which the S3 interfaces of
//! COS, OSS and OBS store under their own prefix; read is any of the four prefixes.
//!
//! What an object has beside these words (system headers, user metadata of other tools) goes along from object
//! to object as it is: [`Meta::headers`].
//!
//! Header values must be ASCII and header names lose their case, so paths are percent-encoded, the names
//! of extended attributes are hexadecimal and their values base64. User metadata may hold 2 KiB in all:
//! attributes that don't fit are left out and counted in [`UserMetadata::dropped_xattrs`]; an item whose
//! headers of other tools don't fit can't be written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector::{Meta, Stamp, TreePath, Xattr};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::civil;
use crate::escape::{ascii, from_ascii, from_hex, push_hex};

mod number;

use number::{float_seconds, guess_unit, mode_digits, seconds_ns};

/// Names and values of user metadata together may not be longer than this.
const LIMIT: usize = 2048;
const PREFIXES: [&str; 4] = ["x-amz-meta-", "x-cos-meta-", "x-oss-meta-", "x-obs-meta-"];
const OUR_PREFIX: usize = "x-amz-meta-".len();

const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

/// How metadata is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetadataDialect {
    /// `file-mtime: <ns>ns`, `file-atime`, `file-permissions` (octal `st_mode`), `file-owner`, `file-group`,
    /// and ours for what these lack: `wharf-hardlink`, `wharf-x-<hex>`.
    #[default]
    Native,
    /// `mtime: <seconds>.<ns>`, `mode` (octal `st_mode`), `uid`, `gid`, `atime`. No xattrs, no hard links.
    Rclone,
    /// `alihbr-sync-mtime`, in ns (the product's own unit for times elsewhere; read is any unit).
    AlibabaLingjun,
    /// `afm-mtime: <seconds>.<ns>`, `afm-mode` (octal), `afm-uid`, `afm-gid`. The product documents the
    /// prefix and which attributes travel, not their names; read are these.
    AlibabaGp,
    /// As the COS FUSE client: `mtime: <seconds>.<ns>`, `mode` (decimal `st_mode`), `uid`, `gid`.
    TencentCfs,
}

/// What an object is, for the type bits of its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    File,
    Dir,
}

/// User metadata ready to be sent.
#[derive(Debug, Clone, Default)]
pub struct UserMetadata {
    headers: Vec<(HeaderName, HeaderValue)>,
    used: usize,
    /// Extended attributes that did not fit into 2 KiB or that the dialect can't hold.
    pub dropped_xattrs: u32,
    /// The first word of another object that can't be written here.
    lost: Option<Box<str>>,
}

macro_rules! names {
    ($($name:ident = $text:literal;)*) => { $(const $name: HeaderName = HeaderName::from_static($text);)* };
}

names! {
    STAMP = "x-amz-meta-wharf";
    HARD_LINK = "x-amz-meta-wharf-hardlink";
    FILE_MTIME = "x-amz-meta-file-mtime";
    FILE_ATIME = "x-amz-meta-file-atime";
    FILE_MODE = "x-amz-meta-file-permissions";
    FILE_OWNER = "x-amz-meta-file-owner";
    FILE_GROUP = "x-amz-meta-file-group";
    MTIME = "x-amz-meta-mtime";
    ATIME = "x-amz-meta-atime";
    MODE = "x-amz-meta-mode";
    UID = "x-amz-meta-uid";
    GID = "x-amz-meta-gid";
    LINGJUN_MTIME = "x-amz-meta-alihbr-sync-mtime";
    AFM_MTIME = "x-amz-meta-afm-mtime";
    AFM_MODE = "x-amz-meta-afm-mode";
    AFM_UID = "x-amz-meta-afm-uid";
    AFM_GID = "x-amz-meta-afm-gid";
}

const XATTR: &str = "wharf-x-";
/// User metadata that [`Meta`]'s fields hold to the last bit, so that it is written from them.
const OURS: [&str; 7] =
    ["wharf", "wharf-hardlink", "file-mtime", "file-atime", "file-permissions", "file-owner", "file-group"];
/// System headers that travel from object to object.
const SYSTEM: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::EXPIRES,
];

impl UserMetadata {
    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// What of the source's metadata can't go along: nobody may take an object without it for a copy.
    pub(crate) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    fn push(&mut self, name: HeaderName, value: String) -> bool {
        if self.has(&name) {
            return true;
        }
        let cost = name.as_str().len() - OUR_PREFIX + value.len();
        let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(value)) else { return false };
        if self.used + cost > LIMIT {
            return false;
        }
        self.used += cost;
        self.headers.push((name, value));
        true
    }

    /// What another object had. It comes before everything of ours: none of it may be lost.
    fn carry(&mut self, headers: &[(Box<str>, Box<str>)]) {
        for (word, value) in headers {
            let kept = match (HeaderName::try_from(&**word), HeaderValue::from_bytes(value.as_bytes())) {
                (Ok(name), Ok(_)) if name.as_str().starts_with(PREFIXES[0]) => {
                    self.push(name, value.to_string())
                }
                (Ok(name), Ok(value)) => {
                    self.headers.push((name, value));
                    true
                }
                _ => false,
            };
            if !kept {
                self.lost.get_or_insert_with(|| word.clone());
            }
        }
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.headers.iter().any(|(n, _)| n == name)
    }

    fn number(&mut self, name: HeaderName, value: Option<u32>) {
        if let Some(v) = value {
            self.push(name, v.to_string());
        }
    }

    fn xattrs(&mut self, xattrs: &[Xattr]) {
        for x in xattrs {
            let mut name = String::from("x-amz-meta-wharf-x-");
            push_hex(&mut name, &x.name);
            let pushed = HeaderName::try_from(name).is_ok_and(|n| self.push(n, STANDARD.encode(&x.value)));
            self.dropped_xattrs += u32::from(!pushed);
        }
    }
}

impl MetadataDialect {
    /// Spells `meta` and our stamp. The stamp comes before everything but what another object's headers hold:
    /// only beside these may it find no room, and then the next run compares times instead.
    pub(crate) fn write(self, meta: &Meta, kind: ObjectKind, stamp: Option<&Stamp>) -> UserMetadata {
        let mut out = UserMetadata::default();
        out.carry(&meta.headers);
        if let Some(s) = stamp {
            let text = format!("{};{};{}", ascii(s.run.as_bytes()), s.size, ascii(s.version.as_bytes()));
            out.push(STAMP, text);
        }
        let mode = st_mode(meta, kind);
        match self {
            Self::Native => native(&mut out, meta, mode),
            Self::Rclone => {
                plain(&mut out, meta, mode.map(|m| format!("{m:o}")));
                if let Some(ns) = meta.atime_ns {
                    out.push(ATIME, float_seconds(ns));
                }
            }
            Self::TencentCfs => plain(&mut out, meta, mode.map(|m| m.to_string())),
            Self::AlibabaLingjun => {
                if let Some(ns) = meta.mtime_ns {
                    out.push(LINGJUN_MTIME, ns.to_string());
                }
            }
            Self::AlibabaGp => {
                if let Some(ns) = meta.mtime_ns {
                    out.push(AFM_MTIME, float_seconds(ns));
                }
                if let Some(m) = mode {
                    out.push(AFM_MODE, format!("{m:o}"));
                }
                out.number(AFM_UID, meta.uid);
                out.number(AFM_GID, meta.gid);
            }
        }
        // A vendor's own words carry part of it at best. Ours stand beside them, so that nothing is lost
        // on the way back; the vendor's tools read theirs and leave ours alone.
        if self != Self::Native && self != Self::Rclone {
            native(&mut out, meta, mode);
        } else if self == Self::Rclone {
            out.dropped_xattrs += u32::try_from(meta.xattrs.len()).unwrap_or(u32::MAX);
        }
        out
    }
}

fn st_mode(meta: &Meta, kind: ObjectKind) -> Option<u32> {
    if meta.symlink.is_some() {
        return Some(SYMLINK | meta.mode.unwrap_or(0o777) & 0o7777);
    }
    let kind = if kind == ObjectKind::Dir { DIRECTORY } else { REGULAR };
    meta.mode.map(|m| kind | m & 0o7777)
}

fn native(out: &mut UserMetadata, meta: &Meta, mode: Option<u32>) {
    if let Some(m) = mode {
        out.push(FILE_MODE, format!("{m:07o}"));
    }
    if let Some(ns) = meta.mtime_ns {
        out.push(FILE_MTIME, format!("{ns}ns"));
    }
    if let Some(ns) = meta.atime_ns {
        out.push(FILE_ATIME, format!("{ns}ns"));
    }
    out.number(FILE_OWNER, meta.uid);
    out.number(FILE_GROUP, meta.gid);
    if let Some(first) = &meta.hard_link {
        out.push(HARD_LINK, ascii(first.as_bytes()));
    }
    out.xattrs(&meta.xattrs);
}

fn plain(out: &mut UserMetadata, meta: &Meta, mode: Option<String>) {
    if let Some(ns) = meta.mtime_ns {
        out.push(MTIME, float_seconds(ns));
    }
    if let Some(m) = mode {
        out.push(MODE, m);
    }
    out.number(UID, meta.uid);
    out.number(GID, meta.gid);
}

/// The part of a header's name after a vendor's prefix for user metadata.
fn user_name(name: &HeaderName) -> Option<&str> {
    let n = name.as_str();
    PREFIXES.iter().find_map(|p| n.strip_prefix(p))
}

/// One field with the rank of the dialect it came from.
struct Ranked<T>(Option<(u8, T)>);

impl<T> Ranked<T> {
    fn offer(&mut self, rank: u8, value: Option<T>) {
        if let Some(v) = value
            && self.0.as_ref().is_none_or(|(r, _)| rank < *r)
        {
            self.0 = Some((rank, v));
        }
    }

    fn get(self) -> Option<T> {
        self.0.map(|(_, v)| v)
    }
}

/// Reads POSIX metadata from an answer's headers, whatever dialect they are in. What can't be read is
/// as if it weren't there. A symbolic link is told by its mode: `symlink` is then `Some` and empty, since
/// the target is the object's body.
#[must_use]
pub fn read_metadata(headers: &HeaderMap) -> Meta {
    let mut meta = Meta::default();
    let (mut mtime, mut atime, mut mode) = (Ranked(None), Ranked(None), Ranked(None));
    let (mut uid, mut gid) = (Ranked(None), Ranked(None));
    for (header, value) in headers {
        let Ok(text) = std::str::from_utf8(value.as_bytes()).map(str::trim) else { continue };
        let Some(name) = user_name(header) else {
            if SYSTEM.contains(header) {
                keep_system(&mut meta, header, text);
            }
            continue;
        };
        if !OURS.contains(&name) && !name.starts_with(XATTR) {
            meta.headers.push((format!("{}{name}", PREFIXES[0]).into(), text.into()));
        }
        match name {
            "file-mtime" => mtime.offer(0, nanos(text)),
            "afm-mtime" => mtime.offer(1, seconds_ns(text)),
            "alihbr-sync-mtime" => mtime.offer(2, guess_unit(text)),
            "mtime" => mtime.offer(3, seconds_ns(text).or_else(|| civil::parse_iso(text))),
            "file-atime" => atime.offer(0, nanos(text)),
            "atime" => atime.offer(3, seconds_ns(text).or_else(|| civil::parse_iso(text))),
            "file-permissions" => mode.offer(0, u32::from_str_radix(text, 8).ok()),
            "afm-mode" => mode.offer(1, u32::from_str_radix(text, 8).ok()),
            "mode" => mode.offer(3, mode_digits(text)),
            "file-owner" => uid.offer(0, text.parse().ok()),
            "afm-uid" => uid.offer(1, text.parse().ok()),
            "uid" => uid.offer(3, text.parse().ok()),
            "file-group" => gid.offer(0, text.parse().ok()),
            "afm-gid" => gid.offer(1, text.parse().ok()),
            "gid" => gid.offer(3, text.parse().ok()),
            "wharf-hardlink" => meta.hard_link = TreePath::new(&from_ascii(text)).ok(),
            _ => {
                if let Some(x) = name.strip_prefix(XATTR).and_then(|hex| read_xattr(hex, text)) {
                    meta.xattrs.push(x);
                }
            }
        }
    }
    meta.xattrs.sort_by(|a, b| a.name.cmp(&b.name));
    meta.headers.sort_unstable();
    meta.mtime_ns = mtime.get();
    meta.atime_ns = atime.get();
    (meta.uid, meta.gid) = (uid.get(), gid.get());
    if let Some(m) = mode.get() {
        meta.mode = Some(m & 0o7777);
        meta.symlink = (m & FILE_TYPE == SYMLINK).then(Box::default);
    }
    meta
}

/// Keeps a system header. `aws-chunked` is how the bytes once travelled and not what they are.
fn keep_system(meta: &mut Meta, name: &HeaderName, text: &str) {
    let plain: String;
    let text = if *name == header::CONTENT_ENCODING && text.contains("aws-chunked") {
        let codings = text.split(',').map(str::trim).filter(|c| !c.is_empty() && *c != "aws-chunked");
        plain = codings.collect::<Vec<_>>().join(",");
        plain.as_str()
    } else {
        text
    };
    if !text.is_empty() {
        meta.headers.push((name.as_str().into(), text.into()));
    }
}

fn nanos(text: &str) -> Option<i64> {
    match text.strip_suffix("ns") {
        Some(n) => n.parse().ok(),
        None => guess_unit(text),
    }
}

fn read_xattr(hex: &str, value: &str) -> Option<Xattr> {
    let name = from_hex(hex).filter(|n| !n.is_empty() && !n.contains(&0))?;
    Some(Xattr { name: name.into(), value: STANDARD.decode(value).ok()?.into() })
}

/// Reads our stamp.
pub(crate) fn read_stamp(headers: &HeaderMap) -> Option<Stamp> {
    let named = |(n, _): &(&HeaderName, &HeaderValue)| user_name(n) == Some("wharf");
    let text = headers.iter().find(named)?.1.to_str().ok()?;
    let mut parts = text.trim().splitn(3, ';');
    let (run, size, version) = (parts.next()?, parts.next()?, parts.next()?);
    let plain = |t| String::from_utf8(from_ascii(t)).ok();
    Some(Stamp { run: plain(run)?.into(), size: size.parse().ok()?, version: plain(version)?.into() })
}

#[cfg(test)]
mod tests;
