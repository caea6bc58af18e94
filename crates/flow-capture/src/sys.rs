//! System calls that std has no word for. Each is a few lines around one call; nothing here decides anything.
#![allow(
    unsafe_code,
    reason = "calls into the system; every pointer is to a live local or slice of the length given"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

fn checked(code: libc::c_int) -> io::Result<libc::c_int> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// Nanoseconds of the clock that BPF programs read.
pub(crate) fn monotonic() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is valid for writing.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut t) };
    (t.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(t.tv_nsec as u64)
}

/// Moves this thread into a network namespace.
pub(crate) fn enter_namespace(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes two numbers.
    checked(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Returns when every BPF program that ran at the call has ended: this command is the kernel's `synchronize_rcu`.
pub(crate) fn wait_for_programs() -> io::Result<()> {
    const GLOBAL: libc::c_long = 1;
    // SAFETY: takes three numbers.
    let code = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    checked(code as libc::c_int).map(drop)
}

/// A counter in the kernel that a poll can wait for.
pub(crate) fn event() -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers; the descriptor is new and ours.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?)) }
}

/// Makes an event's poll return.
pub(crate) fn raise(event: &OwnedFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight valid bytes. It can only fail when the counter is full, and then the poll returns as well.
    unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), 8) };
}

/// Takes all that can be read from a descriptor that doesn't block; says whether there was something.
pub(crate) fn empty(fd: RawFd) -> bool {
    let mut some = false;
    let mut buffer = [0u8; 8192];
    // SAFETY: the buffer is valid for its length.
    while unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) } > 0 {
        some = true;
    }
    // A socket whose queue overflowed says so once (ENOBUFS): that is news as well.
    some || io::Error::last_os_error().raw_os_error() == Some(libc::ENOBUFS)
}

/// Waits until one of them can be read, or the time is over.
pub(crate) fn poll(fds: &[RawFd], wait: Duration) -> io::Result<()> {
    let mut set: Vec<_> =
        fds.iter().map(|fd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 }).collect();
    let millis = libc::c_int::try_from(wait.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the set is valid for its length.
    match checked(unsafe { libc::poll(set.as_mut_ptr(), set.len() as libc::nfds_t, millis) }) {
        Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
        _ => Ok(()),
    }
}

/// A netlink socket of this thread's namespace that listens to groups given as bits.
pub(crate) fn netlink(protocol: libc::c_int, groups: u32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes three numbers; the descriptor is new and ours.
    let socket = unsafe { OwnedFd::from_raw_fd(checked(libc::socket(libc::AF_NETLINK, kind, protocol))?) };
    // SAFETY: all zeros is a valid address.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = groups;
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is valid for its length.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) })?;
    Ok(socket)
}

/// Sends a message to the kernel.
pub(crate) fn send(socket: &OwnedFd, message: &[u8]) -> io::Result<()> {
    // SAFETY: the message is valid for its length.
    let sent = unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives one message; `None` when there is none.
pub(crate) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    if got >= 0 {
        return Ok(Some(got as usize));
    }
    match io::Error::last_os_error() {
        e if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        e => Err(e),
    }
}

/// Sets a socket's option to a value of plain bytes.
pub(crate) fn set_option(socket: &OwnedFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let len = value.len() as libc::socklen_t;
    // SAFETY: the value is valid for its length.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), len) })
        .map(drop)
}

/// Reads a socket's option into plain bytes.
pub(crate) fn get_option(socket: &OwnedFd, level: i32, name: i32, value: &mut [u8]) -> io::Result<()> {
    let mut len = value.len() as libc::socklen_t;
    // SAFETY: the value is valid for its length.
    checked(unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len)
    })
    .map(drop)
}

/// A device's number in this thread's namespace.
pub(crate) fn device_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: a C string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Kind of a device's link header (`ARPHRD_…`), in this thread's namespace.
pub(crate) fn link_kind(name: &str) -> io::Result<u16> {
    // SAFETY: takes three numbers; the descriptor is new and ours.
    let socket = unsafe {
        OwnedFd::from_raw_fd(checked(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?)
    };
    // SAFETY: all zeros is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().take(15).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the request is valid for reading and writing.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request) })?;
    // SAFETY: this call fills this member.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
}

/// A packet socket that is bound to nothing yet.
pub(crate) fn packet_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes three numbers; the descriptor is new and ours.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::socket(libc::AF_PACKET, kind, 0))?)) }
}

/// Binds a packet socket to all protocols of a device.
pub(crate) fn bind_packet(socket: &OwnedFd, index: u32) -> io::Result<()> {
    // SAFETY: all zeros is a valid address.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is valid for its length.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) }).map(drop)
}

/// Memory that a packet socket shares with the kernel.
#[derive(Debug)]
pub(crate) struct Ring {
    at: *mut u8,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone and goes with it from thread to thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps a socket's ring.
    pub(crate) fn map(socket: &OwnedFd, len: usize) -> io::Result<Self> {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), len, rights, libc::MAP_SHARED, socket.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { at: at.cast(), len }) }
    }

    /// The 32-bit word at an offset, read so that what the kernel wrote before it is seen after it.
    pub(crate) fn status(&self, offset: usize) -> u32 {
        self.word(offset).map_or(0, |w| w.load(std::sync::atomic::Ordering::Acquire))
    }

    /// Gives a block back to the kernel.
    pub(crate) fn release(&self, offset: usize) {
        if let Some(word) = self.word(offset) {
            word.store(0, std::sync::atomic::Ordering::Release);
        }
    }

    fn word(&self, offset: usize) -> Option<&std::sync::atomic::AtomicU32> {
        let fits = offset.is_multiple_of(4) && offset.checked_add(4)? <= self.len;
        // SAFETY: inside the mapping and aligned; both sides only access it as a whole.
        fits.then(|| unsafe { &*self.at.add(offset).cast() })
    }

    /// A block that the kernel has handed over.
    pub(crate) fn block(&self, offset: usize, len: usize) -> &[u8] {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return &[];
        }
        // SAFETY: inside the mapping; the kernel doesn't write to a block before it is released.
        unsafe { std::slice::from_raw_parts(self.at.add(offset), len) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: our own mapping; nothing borrowed from it outlives it.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

/// How a map operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    /// That many elements; there are more.
    More(usize),
    /// That many elements; they were the last.
    Last(usize),
    /// The buffers are smaller than one bucket of the map.
    TooSmall,
}

#[repr(C)]
#[derive(Default)]
struct ElementCall {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct BatchCall {
    cursor_in: u64,
    cursor_out: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

fn bpf<T>(command: libc::c_int, call: &mut T) -> io::Result<()> {
    // SAFETY: `call` is the form of the command, valid for its size.
    checked(unsafe { libc::syscall(libc::SYS_bpf, command, call as *mut T, size_of::<T>()) } as libc::c_int)
        .map(drop)
}

/// Writes a map's element. The caller knows the sizes of the map's keys and values.
pub(crate) fn map_update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let (key, value) = (key.as_ptr() as u64, value.as_ptr() as u64);
    bpf(2, &mut ElementCall { map: map.as_raw_fd() as u32, key, value, ..ElementCall::default() })
}

/// Reads a map's element.
pub(crate) fn map_lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<()> {
    let (key, value) = (key.as_ptr() as u64, value.as_mut_ptr() as u64);
    bpf(1, &mut ElementCall { map: map.as_raw_fd() as u32, key, value, ..ElementCall::default() })
}

/// Deletes a map's element.
pub(crate) fn map_delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<()> {
    let key = key.as_ptr() as u64;
    bpf(3, &mut ElementCall { map: map.as_raw_fd() as u32, key, ..ElementCall::default() })
}

/// Takes elements out of a map, `count` at most. The buffers hold `count` keys and values; `cursor` is `None` at the start.
pub(crate) fn map_take(
    map: BorrowedFd<'_>,
    cursor: &mut Option<u32>,
    keys: &mut [u8],
    values: &mut [u8],
    count: u32,
) -> io::Result<Batch> {
    let (before, mut after) = (cursor.unwrap_or(0), 0u32);
    let mut call = BatchCall {
        cursor_in: if cursor.is_some() { (&raw const before) as u64 } else { 0 },
        cursor_out: (&raw mut after) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count,
        map: map.as_raw_fd() as u32,
        ..BatchCall::default()
    };
    match bpf(25, &mut call) {
        Ok(()) => {
            *cursor = Some(after);
            Ok(Batch::More(call.count as usize))
        }
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(Batch::Last(call.count as usize)),
        Err(e) if e.raw_os_error() == Some(libc::ENOSPC) => Ok(Batch::TooSmall),
        Err(e) => Err(e),
    }
}

/// Keeps no more than the first bytes of each packet that a socket gets.
pub(crate) fn keep_beginning(socket: &OwnedFd, bytes: u32) -> io::Result<()> {
    let mut code = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: bytes }];
    let program = libc::sock_fprog { len: 1, filter: code.as_mut_ptr() };
    let len = size_of_val(&program) as libc::socklen_t;
    // SAFETY: the program and its code live through the call, which copies them.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            len,
        )
    })
    .map(drop)
}
