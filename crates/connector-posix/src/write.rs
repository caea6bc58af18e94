//! Writing a whole item: a file, a symbolic link, a further name of a file, a directory.
//!
//! The way of a small file is: `openat(O_TMPFILE)`, `write`, `futimens`, `fsetxattr` (our mark),
//! `linkat`, `statx`, `close`. Nothing else is asked of the kernel unless the metadata calls for it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use bytes::Bytes;
use connector::{Body, Digest, Error, ErrorKind, Meta, Overwrite, Result, Stamp, Stored, Target, TreePath};

use crate::Durability;
use crate::dirs::{Dir, Dirs, Root, open_child, parent};
use crate::fault::{fault, is_blocked, is_gone};
use crate::meta::{Dressing, merge, version};
use crate::names::{TempNames, is_ours};
use crate::sparse::{HOLE, Holes, Writer};
use crate::sys::{self, Kind, Stat};
use crate::temp::{Temp, place};

/// Longest target of a symbolic link (Linux `PATH_MAX` without its NUL).
const MAX_LINK: usize = 4095;

/// What a lane writes with.
pub(crate) struct Pen<'a> {
    pub root: &'a Root,
    pub dirs: &'a Dirs,
    pub names: &'a TempNames,
}

/// Refuses names that the walk would hide and the sweep remove.
pub(crate) fn refuse_ours(path: &TreePath) -> Result<()> {
    if is_ours(path.name()) {
        let what = format!("{} has the shape of our own temporary files", path.display());
        return Err(Error::new(ErrorKind::Unacceptable, what));
    }
    Ok(())
}

/// Writes an item of any kind but a directory.
pub(crate) async fn put(pen: &Pen<'_>, target: &Target, mut body: Body) -> Result<Stored> {
    refuse_ours(&target.path)?;
    pen.names.belong_to(&target.stamp.run);
    let meta = merge(&target.meta, body.meta());
    if meta.symlink.is_some() || meta.hard_link.is_some() {
        let digest = drain(&mut body).await?;
        let dir = pen.dirs.make(pen.root, parent(&target.path))?;
        match &meta.symlink {
            Some(link) => put_symlink(pen, target, &dir, link, &meta)?,
            None => put_hard_link(pen, target, &dir, &meta)?,
        }
        return Ok(Stored { version: Some(version(&stat_name(&dir, &target.path)?)), digest });
    }
    // The first bytes come before the file does: a source that fails at once costs nothing here.
    let first = body.next().await?;
    put_file(pen, target, &meta, first, body).await
}

async fn drain(body: &mut Body) -> Result<Digest> {
    let mut running = crate::sparse::Running::new();
    while let Some(chunk) = body.next().await? {
        running.update(&chunk);
    }
    Ok(running.digest())
}

fn stat_name(dir: &Dir, path: &TreePath) -> Result<Stat> {
    sys::stat(dir.fd(), path.name()).map_err(|e| fault(e, format_args!("stat {}", path.display())))
}

/// A new temporary file in the target's directory.
fn create(pen: &Pen<'_>, path: &TreePath, mode: impl Fn(&Dir) -> u32) -> Result<(Rc<Dir>, Temp)> {
    let at = parent(path);
    let mut retried = false;
    loop {
        let dir = pen.dirs.make(pen.root, at)?;
        match Temp::create(pen.root, &dir, pen.names, mode(&dir)) {
            Ok(temp) => return Ok((dir, temp)),
            // The directory was removed behind our back.
            Err(_) if !retried && dir.is_removed() => {
                pen.dirs.forget(at);
                retried = true;
            }
            Err(e) => return Err(fault(e, format_args!("create {}", path.display()))),
        }
    }
}

async fn put_file(
    pen: &Pen<'_>,
    target: &Target,
    meta: &Meta,
    first: Option<Bytes>,
    mut body: Body,
) -> Result<Stored> {
    let dressing = Dressing { root: pen.root, path: &target.path, meta };
    let (dir, temp) = create(pen, &target.path, |dir| dressing.create_mode(dir).0)?;
    let holes = if pen.root.options.sparse && target.size >= HOLE { Holes::Skip } else { Holes::Never };
    let mut writer = Writer::new(&temp.file, 0, holes);
    let mut next = first;
    while let Some(chunk) = next {
        if writer.taken() + chunk.len() as u64 > target.size {
            return Err(wrong_length(target, "more"));
        }
        writer.write(&chunk).map_err(|e| dressing.fault(e, "write"))?;
        next = body.next().await?;
    }
    if writer.taken() != target.size {
        return Err(wrong_length(target, "fewer"));
    }
    let digest = writer.finish().map_err(|e| dressing.fault(e, "write"))?;
    if holes != Holes::Never {
        temp.file.set_len(target.size).map_err(|e| dressing.fault(e, "set the length of"))?;
    }
    let mode_is_open = dressing.create_mode(&dir).1;
    let mark = (&target.stamp, digest);
    finish_file(&dressing, &temp.file, (pen.root.ids.0, dir.new_gid), mode_is_open, mark)?;
    let file = temp.publish(pen.names, target.path.name(), target.overwrite).map_err(|e| {
        pen.dirs.forget(parent(&target.path));
        misplaced(e, &target.path)
    })?;
    if pen.root.options.durability == Durability::Each {
        sync_dir(&dir, &target.path)?;
    }
    settle_mark(&dressing, &file, mark).map(|version| Stored { version: Some(version), digest })
}

fn wrong_length(target: &Target, how: &str) -> Error {
    let what =
        format!("{}: {how} than the {} bytes that were listed came", target.path.display(), target.size);
    Error::new(ErrorKind::Changed, what)
}

/// Errors of making something visible.
pub(crate) fn misplaced(e: io::Error, path: &TreePath) -> Error {
    if is_gone(&e) {
        // The directory went away while the bytes came; the same call can work again.
        return Error::new(
            ErrorKind::Unavailable,
            format!("the directory of {} was removed", path.display()),
        );
    }
    fault(e, format_args!("put {} in its place", path.display()))
}

/// Puts metadata and our mark on a complete file, and fsyncs it where each file is.
pub(crate) fn finish_file(
    dressing: &Dressing<'_>,
    file: &File,
    owner: (u32, u32),
    set_mode: bool,
    (stamp, digest): (&Stamp, Digest),
) -> Result<()> {
    let fd = file.as_fd();
    dressing.own(fd, owner)?;
    if let (true, Some(mode)) = (set_mode, dressing.mode()) {
        dressing.chmod(fd, mode)?;
    }
    if !dressing.meta.xattrs.is_empty() {
        dressing.set_xattrs(fd)?;
    }
    dressing.set_times(fd)?;
    let mtime_ns = match dressing.meta.mtime_ns {
        Some(t) => t,
        None => sys::fstat(file).map_err(|e| dressing.fault(e, "stat"))?.mtime_ns,
    };
    dressing.mark(fd, stamp, digest, mtime_ns);
    if dressing.root.options.durability == Durability::Each {
        file.sync_all().map_err(|e| dressing.fault(e, "sync"))?;
    }
    Ok(())
}

/// The version of a published file. Where the file system keeps coarser or fewer times than we set,
/// the mark is made to agree with what it kept.
pub(crate) fn settle_mark(
    dressing: &Dressing<'_>,
    file: &File,
    (stamp, digest): (&Stamp, Digest),
) -> Result<Box<str>> {
    let stat = |file: &File| sys::fstat(file).map_err(|e| dressing.fault(e, "stat"));
    let now = stat(file)?;
    match dressing.meta.mtime_ns {
        Some(wanted) if wanted != now.mtime_ns => {
            dressing.mark(file.as_fd(), stamp, digest, now.mtime_ns);
            Ok(version(&stat(file)?))
        }
        _ => Ok(version(&now)),
    }
}

pub(crate) fn sync_dir(dir: &Dir, path: &TreePath) -> Result<()> {
    let sync = dir.fd().try_clone_to_owned().and_then(|fd| File::from(fd).sync_all());
    sync.map_err(|e| fault(e, format_args!("sync the directory of {}", path.display())))
}

fn put_symlink(pen: &Pen<'_>, target: &Target, dir: &Rc<Dir>, link: &[u8], meta: &Meta) -> Result<()> {
    if link.is_empty() || link.len() > MAX_LINK || link.contains(&0) {
        let what = format!("{} is a link whose target no file system takes", target.path.display());
        return Err(Error::new(ErrorKind::Unacceptable, what));
    }
    let keeps_owner = pen.root.options.owner && pen.root.is_superuser();
    place(dir, pen.names, target.path.name(), target.overwrite, |temp| {
        sys::symlink(link, dir.fd(), temp)?;
        if let (true, Some(uid)) = (keeps_owner, meta.uid) {
            sys::chown(dir.fd(), temp, uid, meta.gid.unwrap_or(dir.new_gid))?;
        }
        if meta.mtime_ns.is_some() || meta.atime_ns.is_some() {
            sys::utimens(dir.fd(), temp, meta.atime_ns, meta.mtime_ns)?;
        }
        Ok(())
    })
    .map_err(|e| fault(e, format_args!("put link {}", target.path.display())))?;
    if pen.root.options.durability == Durability::Each { sync_dir(dir, &target.path) } else { Ok(()) }
}

fn put_hard_link(pen: &Pen<'_>, target: &Target, dir: &Rc<Dir>, meta: &Meta) -> Result<()> {
    let Some(first) = &meta.hard_link else { return Ok(()) };
    let missing = || {
        let what = format!("{} is not there to be linked as {}", first.display(), target.path.display());
        Error::new(ErrorKind::NotFound, what)
    };
    let from = pen.dirs.find(pen.root, parent(first))?.ok_or_else(missing)?;
    match sys::stat(from.fd(), first.name()) {
        Ok(stat) if stat.kind == Kind::File => {}
        _ => return Err(missing()),
    }
    let (fd, name) = (dir.fd(), target.path.name());
    let linked = match sys::link(from.fd(), first.name(), fd, name) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && target.overwrite == Overwrite::Always => {
            place(dir, pen.names, name, Overwrite::Always, |temp| {
                sys::link(from.fd(), first.name(), fd, temp)
            })
        }
        r => r,
    };
    match linked {
        Ok(()) if pen.root.options.durability == Durability::Each => sync_dir(dir, &target.path),
        Ok(()) => Ok(()),
        Err(e) if is_gone(&e) => Err(missing()),
        Err(e) => Err(fault(e, format_args!("link {} as {}", first.display(), target.path.display()))),
    }
}

/// Makes a directory or finds it, and puts metadata on it.
pub(crate) fn put_dir(pen: &Pen<'_>, target: &Target) -> Result<()> {
    let (path, at) = (&target.path, parent(&target.path));
    refuse_ours(path)?;
    let dir = pen.dirs.make(pen.root, at)?;
    let made = match sys::mkdirat(dir.fd(), path.name(), 0o777) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
        Err(e) if is_gone(&e) => {
            pen.dirs.forget(at);
            return Err(misplaced(e, path));
        }
        Err(e) => return Err(fault(e, format_args!("make directory {}", path.display()))),
    };
    if made && pen.root.options.durability == Durability::Each {
        sync_dir(&dir, path)?;
    }
    let meta = &target.meta;
    let fd = open_child(dir.fd(), path.name()).map_err(|e| {
        if is_blocked(&e) {
            let what = format!("a file or a symbolic link is in the way of the directory {}", path.display());
            return Error::new(ErrorKind::Unacceptable, what);
        }
        fault(e, format_args!("open directory {}", path.display()))
    })?;
    // Its kept descriptor may know another mode, group or default ACL.
    pen.dirs.forget(path.as_bytes());
    let dressing = Dressing { root: pen.root, path, meta };
    if pen.root.options.owner && (meta.uid.is_some() || meta.gid.is_some()) {
        let has = sys::fstat(&fd).map_err(|e| dressing.fault(e, "stat"))?;
        dressing.own(fd.as_fd(), (has.uid, has.gid))?;
    }
    if let Some(mode) = meta.mode {
        // Who is not root needs to write below it first; the second call sets the true mode.
        let open = if made && !pen.root.is_superuser() { 0o700 } else { 0 };
        dressing.chmod(fd.as_fd(), mode & 0o7777 | open)?;
    }
    dressing.set_xattrs(fd.as_fd())?;
    dressing.set_times(fd.as_fd())
}
