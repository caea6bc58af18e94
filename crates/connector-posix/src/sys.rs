//! The system calls that `std` does not offer, each behind a safe function.
//!
//! The only module of this crate with `unsafe`: everything here takes borrowed descriptors and byte
//! slices and gives back owned ones, so that no caller can pass a dangling pointer or leak a
//! descriptor. There is no policy in it: no path is built, nothing is retried but `EINTR`.
#![allow(
    unsafe_code,
    reason = "openat2, statx, getdents64, renameat2 and the like have no safe counterpart in std"
)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use bytes::BytesMut;
use libc::c_int;

/// What is behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Symlink,
    Other,
}

/// The fields of `statx` that this crate reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub kind: Kind,
    /// Permission bits only.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub size: u64,
    pub dev: u64,
    pub ino: u64,
    pub mtime_ns: i64,
    pub atime_ns: i64,
    pub ctime_ns: i64,
    #[allow(dead_code, reason = "tests look at it")]
    pub blocks: u64,
}

/// Names up to this length are terminated on the stack.
const SHORT: usize = 320;

fn with_cstr<R>(bytes: &[u8], f: impl FnOnce(&CStr) -> io::Result<R>) -> io::Result<R> {
    let nul = |_| io::Error::from_raw_os_error(libc::EINVAL);
    if bytes.len() >= SHORT {
        return f(&CString::new(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?);
    }
    let mut buf = [0; SHORT];
    buf[..bytes.len()].copy_from_slice(bytes);
    f(CStr::from_bytes_with_nul(&buf[..=bytes.len()]).map_err(nul)?)
}

/// Runs a call until it is not interrupted; -1 becomes the error in `errno`.
fn call(mut f: impl FnMut() -> i64) -> io::Result<i64> {
    loop {
        let n = f();
        if n >= 0 {
            return Ok(n);
        }
        let e = io::Error::last_os_error();
        if e.kind() != io::ErrorKind::Interrupted {
            return Err(e);
        }
    }
}

fn owned(fd: i64) -> OwnedFd {
    // SAFETY: `fd` was just returned by a successful open call and belongs to nobody else; kernel
    // descriptors fit in c_int.
    #[allow(clippy::cast_possible_truncation)]
    unsafe {
        OwnedFd::from_raw_fd(fd as c_int)
    }
}

/// `openat`, always with `O_CLOEXEC`.
pub(crate) fn openat(dir: BorrowedFd<'_>, name: &[u8], flags: c_int, mode: u32) -> io::Result<OwnedFd> {
    with_cstr(name, |name| {
        // SAFETY: `name` is NUL-terminated and lives through the call; `dir` is open.
        let fd = call(|| {
            i64::from(unsafe { libc::openat(dir.as_raw_fd(), name.as_ptr(), flags | libc::O_CLOEXEC, mode) })
        })?;
        Ok(owned(fd))
    })
}

/// `openat2` beneath `dir`, through no symbolic link at any component.
pub(crate) fn open_beneath(dir: BorrowedFd<'_>, path: &[u8], flags: c_int) -> io::Result<OwnedFd> {
    openat2(dir, path, flags, libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS)
}

/// As [`open_beneath`], and onto no other mount (`EXDEV`): not another file system, not a bind mount.
pub(crate) fn open_on_mount(dir: BorrowedFd<'_>, path: &[u8], flags: c_int) -> io::Result<OwnedFd> {
    let resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
    openat2(dir, path, flags, resolve)
}

fn openat2(dir: BorrowedFd<'_>, path: &[u8], flags: c_int, resolve: u64) -> io::Result<OwnedFd> {
    with_cstr(path, |path| {
        // SAFETY: all-zero bytes are a valid `open_how`.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
        how.resolve = resolve;
        // SAFETY: `path` is NUL-terminated, `how` is valid for its own size, `dir` is open.
        let fd = call(|| unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        })?;
        Ok(owned(fd))
    })
}

/// `statx` of a name in `dir`, following no link; an empty name means `dir` itself.
pub(crate) fn stat(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Stat> {
    let flags = libc::AT_SYMLINK_NOFOLLOW
        | libc::AT_NO_AUTOMOUNT
        | libc::AT_STATX_DONT_SYNC
        | if name.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    with_cstr(name, |name| {
        // SAFETY: all-zero bytes are a valid `statx`.
        let mut x: libc::statx = unsafe { std::mem::zeroed() };
        // SAFETY: `name` is NUL-terminated, `x` is writable and of the right type, `dir` is open.
        call(|| {
            i64::from(unsafe {
                libc::statx(dir.as_raw_fd(), name.as_ptr(), flags, libc::STATX_BASIC_STATS, &raw mut x)
            })
        })?;
        Ok(from_statx(&x))
    })
}

/// `statx` of an open descriptor.
pub(crate) fn fstat(fd: impl AsFd) -> io::Result<Stat> {
    stat(fd.as_fd(), b"")
}

fn from_statx(x: &libc::statx) -> Stat {
    let ns = |t: &libc::statx_timestamp| {
        t.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(t.tv_nsec))
    };
    let mode = u32::from(x.stx_mode);
    Stat {
        kind: match mode & libc::S_IFMT {
            libc::S_IFREG => Kind::File,
            libc::S_IFDIR => Kind::Dir,
            libc::S_IFLNK => Kind::Symlink,
            _ => Kind::Other,
        },
        mode: mode & 0o7777,
        uid: x.stx_uid,
        gid: x.stx_gid,
        nlink: x.stx_nlink,
        size: x.stx_size,
        dev: u64::from(x.stx_dev_major) << 32 | u64::from(x.stx_dev_minor),
        ino: x.stx_ino,
        mtime_ns: ns(&x.stx_mtime),
        atime_ns: ns(&x.stx_atime),
        ctime_ns: ns(&x.stx_ctime),
        blocks: x.stx_blocks,
    }
}

/// `getdents64` into `buf`; returns how many bytes hold records, 0 at the end.
pub(crate) fn getdents(dir: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buf` is writable for its length; `dir` is open.
    let n = call(|| unsafe {
        libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buf.as_mut_ptr(), buf.len())
    })?;
    Ok(usize::try_from(n).unwrap_or(0))
}

/// Lets the next [`getdents`] begin at the first entry again.
pub(crate) fn rewind(dir: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain numbers and an open descriptor.
    call(|| unsafe { libc::lseek(dir.as_raw_fd(), 0, libc::SEEK_SET) }).map(drop)
}

/// `mkdirat`.
pub(crate) fn mkdirat(dir: BorrowedFd<'_>, name: &[u8], mode: u32) -> io::Result<()> {
    with_cstr(name, |name| {
        // SAFETY: `name` is NUL-terminated; `dir` is open.
        call(|| i64::from(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) })).map(drop)
    })
}

/// `unlinkat`; `flags` is 0 or `AT_REMOVEDIR`.
pub(crate) fn unlinkat(dir: BorrowedFd<'_>, name: &[u8], flags: c_int) -> io::Result<()> {
    with_cstr(name, |name| {
        // SAFETY: `name` is NUL-terminated; `dir` is open.
        call(|| i64::from(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), flags) })).map(drop)
    })
}

/// `renameat2` inside one directory; `flags` is 0 or `RENAME_NOREPLACE`.
pub(crate) fn rename(dir: BorrowedFd<'_>, from: &[u8], to: &[u8], flags: u32) -> io::Result<()> {
    with_cstr(from, |from| {
        with_cstr(to, |to| {
            let d = dir.as_raw_fd();
            // SAFETY: both names are NUL-terminated; `dir` is open.
            call(|| unsafe { libc::syscall(libc::SYS_renameat2, d, from.as_ptr(), d, to.as_ptr(), flags) })
                .map(drop)
        })
    })
}

/// `linkat` of a name; a symbolic link would itself be linked, never followed.
pub(crate) fn link(from_dir: BorrowedFd<'_>, from: &[u8], dir: BorrowedFd<'_>, to: &[u8]) -> io::Result<()> {
    link_with(from_dir, from, dir, to, 0)
}

/// Gives an `O_TMPFILE` file its name.
pub(crate) fn link_unnamed(file: &File, dir: BorrowedFd<'_>, to: &[u8]) -> io::Result<()> {
    match link_with(file.as_fd(), b"", dir, to, libc::AT_EMPTY_PATH) {
        // Without CAP_DAC_READ_SEARCH older kernels say ENOENT to the empty path.
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            link_with(dir, path.as_bytes(), dir, to, libc::AT_SYMLINK_FOLLOW)
        }
        r => r,
    }
}

fn link_with(
    from_dir: BorrowedFd<'_>,
    from: &[u8],
    dir: BorrowedFd<'_>,
    to: &[u8],
    flags: c_int,
) -> io::Result<()> {
    with_cstr(from, |from| {
        with_cstr(to, |to| {
            // SAFETY: both names are NUL-terminated; both directories are open.
            call(|| {
                i64::from(unsafe {
                    libc::linkat(from_dir.as_raw_fd(), from.as_ptr(), dir.as_raw_fd(), to.as_ptr(), flags)
                })
            })
            .map(drop)
        })
    })
}

/// `symlinkat`.
pub(crate) fn symlink(target: &[u8], dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    with_cstr(target, |target| {
        with_cstr(name, |name| {
            // SAFETY: both strings are NUL-terminated; `dir` is open.
            call(|| i64::from(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), name.as_ptr()) }))
                .map(drop)
        })
    })
}

/// `readlinkat`.
pub(crate) fn readlink(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Box<[u8]>> {
    let mut buf = [0u8; libc::PATH_MAX as usize];
    let n = with_cstr(name, |name| {
        // SAFETY: `name` is NUL-terminated, `buf` is writable for its length, `dir` is open.
        call(|| unsafe {
            libc::readlinkat(dir.as_raw_fd(), name.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) as i64
        })
    })?;
    Ok(buf[..usize::try_from(n).unwrap_or(0)].into())
}

/// `fchownat` of a name without following it; an empty name means the descriptor itself.
pub(crate) fn chown(dir: BorrowedFd<'_>, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    let flags = libc::AT_SYMLINK_NOFOLLOW | if name.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    with_cstr(name, |name| {
        // SAFETY: `name` is NUL-terminated; `dir` is open.
        call(|| i64::from(unsafe { libc::fchownat(dir.as_raw_fd(), name.as_ptr(), uid, gid, flags) }))
            .map(drop)
    })
}

/// `fchmod`.
pub(crate) fn fchmod(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    // SAFETY: `fd` is open.
    call(|| i64::from(unsafe { libc::fchmod(fd.as_raw_fd(), mode) })).map(drop)
}

fn timespec(ns: Option<i64>) -> libc::timespec {
    match ns {
        Some(ns) => {
            libc::timespec { tv_sec: ns.div_euclid(1_000_000_000), tv_nsec: ns.rem_euclid(1_000_000_000) }
        }
        None => libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT },
    }
}

/// `futimens`; `None` leaves a time as it is.
pub(crate) fn futimens(fd: BorrowedFd<'_>, atime_ns: Option<i64>, mtime_ns: Option<i64>) -> io::Result<()> {
    let times = [timespec(atime_ns), timespec(mtime_ns)];
    // SAFETY: `times` holds two valid timespecs; `fd` is open.
    call(|| i64::from(unsafe { libc::futimens(fd.as_raw_fd(), times.as_ptr()) })).map(drop)
}

/// `utimensat` of a name without following it.
pub(crate) fn utimens(
    dir: BorrowedFd<'_>,
    name: &[u8],
    atime_ns: Option<i64>,
    mtime_ns: Option<i64>,
) -> io::Result<()> {
    let times = [timespec(atime_ns), timespec(mtime_ns)];
    with_cstr(name, |name| {
        // SAFETY: `times` holds two valid timespecs, `name` is NUL-terminated, `dir` is open.
        call(|| {
            i64::from(unsafe {
                libc::utimensat(dir.as_raw_fd(), name.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)
            })
        })
        .map(drop)
    })
}

/// `fsetxattr`.
pub(crate) fn set_xattr(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> io::Result<()> {
    with_cstr(name, |name| {
        // SAFETY: `name` is NUL-terminated, `value` is readable for its length, `fd` is open.
        call(|| {
            i64::from(unsafe {
                libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
            })
        })
        .map(drop)
    })
}

/// `fgetxattr` into `buf`; returns the length, `None` when there is no such attribute.
pub(crate) fn get_xattr(fd: BorrowedFd<'_>, name: &[u8], buf: &mut [u8]) -> io::Result<Option<usize>> {
    let r = with_cstr(name, |name| {
        // SAFETY: `name` is NUL-terminated, `buf` is writable for its length, `fd` is open.
        call(|| unsafe {
            libc::fgetxattr(fd.as_raw_fd(), name.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) as i64
        })
    });
    match r {
        Ok(n) => Ok(usize::try_from(n).ok()),
        Err(e) if e.raw_os_error() == Some(libc::ENODATA) => Ok(None),
        Err(e) => Err(e),
    }
}

/// `flistxattr` into `buf`; returns how many bytes of NUL-terminated names there are.
pub(crate) fn list_xattr(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buf` is writable for its length; `fd` is open.
    let n = call(|| unsafe { libc::flistxattr(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) as i64 })?;
    Ok(usize::try_from(n).unwrap_or(0))
}

/// `pread` of at most `max` bytes into the spare room of `buf`, which it never grows.
pub(crate) fn read_into(file: &File, buf: &mut BytesMut, max: usize, offset: u64) -> io::Result<usize> {
    let at = i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let fd = file.as_raw_fd();
    let len = buf.len();
    let spare = buf.spare_capacity_mut();
    let room = spare.len().min(max);
    // SAFETY: `spare` is writable for `room` bytes; the kernel only writes there.
    let n = call(|| unsafe { libc::pread64(fd, spare.as_mut_ptr().cast(), room, at) as i64 })?;
    let n = usize::try_from(n).unwrap_or(0).min(room);
    // SAFETY: the kernel has initialised the `n` bytes after `len`, and `len + n` is within the capacity.
    unsafe { buf.set_len(len + n) };
    Ok(n)
}

/// Frees the blocks of a range, so that it reads as zeros.
pub(crate) fn punch_hole(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let invalid = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let (at, len) = (i64::try_from(offset).map_err(invalid)?, i64::try_from(len).map_err(invalid)?);
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: plain numbers and an open descriptor.
    call(|| i64::from(unsafe { libc::fallocate64(file.as_raw_fd(), mode, at, len) })).map(drop)
}

/// Tells the kernel that a file will be read from front to back. Advice only.
pub(crate) fn advise_sequential(file: &File) {
    // SAFETY: plain numbers and an open descriptor; the answer does not matter.
    unsafe { libc::posix_fadvise64(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_SEQUENTIAL) };
}

/// Writes back everything of the file system that `fd` is on.
pub(crate) fn syncfs(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: `fd` is open.
    call(|| i64::from(unsafe { libc::syncfs(fd.as_raw_fd()) })).map(drop)
}

/// Effective user and group of this process.
pub(crate) fn effective_ids() -> (u32, u32) {
    // SAFETY: these calls have no arguments and can't fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}
