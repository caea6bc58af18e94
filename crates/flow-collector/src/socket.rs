//! The socket: many datagrams with one call, and how many the system dropped.
#![allow(
    unsafe_code,
    reason = "recvmmsg and its control messages; every pointer is into a buffer of this value"
)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

const BATCH: usize = 64;
/// Larger ones are no datagrams that exporters send: they are cut, and counted as malformed.
const SIZE: usize = 9_216;
const CONTROL: usize = 64;

/// A bound socket with its buffers.
pub(crate) struct Socket {
    socket: UdpSocket,
    data: Vec<u8>,
    control: Vec<u8>,
    names: Vec<libc::sockaddr_storage>,
    lens: Vec<(usize, bool)>,
    drops: u32,
}

impl Socket {
    /// Binds it. The system's buffer is made as large as it allows, up to `buffer` bytes.
    pub(crate) fn bind(address: SocketAddr, buffer: u32) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let size = buffer.min(i32::MAX as u32) as i32;
        // Past the system's limit only with CAP_NET_ADMIN; else up to it.
        if set(&socket, libc::SO_RCVBUFFORCE, size).is_err() {
            set(&socket, libc::SO_RCVBUF, size)?;
        }
        set(&socket, libc::SO_RXQ_OVFL, 1)?;
        // SAFETY: all zeros is a valid address.
        let name: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Ok(Self {
            socket,
            data: vec![0; BATCH * SIZE],
            control: vec![0; BATCH * CONTROL],
            names: vec![name; BATCH],
            lens: Vec::with_capacity(BATCH),
            drops: 0,
        })
    }

    /// Where it is bound.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits until there is a datagram, or the time is over.
    pub(crate) fn wait(&self, time: Duration) {
        let mut set = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = libc::c_int::try_from(time.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one valid element.
        unsafe { libc::poll(&raw mut set, 1, millis) };
    }

    /// Takes in what has come; says how many datagrams, and how many the system has dropped since the last call.
    pub(crate) fn receive(&mut self) -> io::Result<(usize, u64)> {
        self.lens.clear();
        let mut pieces: Vec<libc::iovec> = self
            .data
            .chunks_exact_mut(SIZE)
            .map(|b| libc::iovec { iov_base: b.as_mut_ptr().cast(), iov_len: b.len() })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(BATCH);
        for ((piece, name), control) in
            pieces.iter_mut().zip(&mut self.names).zip(self.control.chunks_exact_mut(CONTROL))
        {
            // SAFETY: all zeros is a valid header.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_iov = piece;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
            headers.push(header);
        }
        let (fd, count) = (self.socket.as_raw_fd(), headers.len() as libc::c_uint);
        // SAFETY: the headers and all that they point to live through the call.
        let got = unsafe {
            libc::recvmmsg(fd, headers.as_mut_ptr(), count, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        if got < 0 {
            let e = io::Error::last_os_error();
            let quiet = matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            return if quiet { Ok((0, 0)) } else { Err(e) };
        }
        let mut drops = self.drops;
        for header in headers.iter().take(got as usize) {
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            self.lens.push((header.msg_len as usize, cut));
            drops = overflow(&header.msg_hdr).unwrap_or(drops);
        }
        let lost = u64::from(drops.wrapping_sub(self.drops));
        self.drops = drops;
        Ok((self.lens.len(), lost))
    }

    /// A datagram of the last call: who sent it, and its bytes, unless they are cut.
    pub(crate) fn datagram(&self, n: usize) -> Option<(IpAddr, Option<&[u8]>)> {
        let (len, cut) = *self.lens.get(n)?;
        let bytes = self.data.get(n * SIZE..n * SIZE + len.min(SIZE))?;
        Some((sender(self.names.get(n)?)?, (!cut).then_some(bytes)))
    }
}

fn set(socket: &UdpSocket, name: i32, value: i32) -> io::Result<()> {
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: one valid number.
    let code = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, (&raw const value).cast(), len)
    };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The count of dropped datagrams that came with one.
fn overflow(header: &libc::msghdr) -> Option<u32> {
    // SAFETY: the kernel filled the control buffer and gave its length; these walk inside it.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(c) = control.as_ref() {
            if c.cmsg_level == libc::SOL_SOCKET && c.cmsg_type == libc::SO_RXQ_OVFL {
                return Some(libc::CMSG_DATA(control).cast::<u32>().read_unaligned());
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    None
}

fn sender(name: &libc::sockaddr_storage) -> Option<IpAddr> {
    let at = std::ptr::from_ref(name);
    match i32::from(name.ss_family) {
        // SAFETY: the family says what it is, and the storage is large enough and aligned for it.
        libc::AF_INET => Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(unsafe {
            (*at.cast::<libc::sockaddr_in>()).sin_addr.s_addr
        })))),
        // SAFETY: as above.
        libc::AF_INET6 => {
            Some(IpAddr::V6(Ipv6Addr::from(unsafe { (*at.cast::<libc::sockaddr_in6>()).sin6_addr.s6_addr })))
        }
        _ => None,
    }
}
