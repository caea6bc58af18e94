//! The network devices of this thread's namespace, as rtnetlink lists them.

use crate::netlink::{attribute, list_links, messages};
use crate::sys;
use std::time::Duration;

const NEW_LINK: u16 = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// The device that it is a part of: a bridge, a bond; 0 = none.
    pub(crate) master: u32,
    /// `bridge`, `bond`, `veth`, …; empty for hardware.
    pub(crate) kind: String,
}

/// All of them.
pub(crate) fn all() -> std::io::Result<Vec<Listed>> {
    let socket = sys::netlink(libc::NETLINK_ROUTE, 0)?;
    sys::send(&socket, &list_links())?;
    let (mut found, mut buffer, mut quiet) = (Vec::new(), vec![0; 64 << 10], 0);
    loop {
        let Some(got) = sys::receive(&socket, &mut buffer)? else {
            // The kernel answers within the call; a limit all the same.
            quiet += 1;
            if quiet > 10 {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        for (kind, body) in messages(buffer.get(..got).unwrap_or(&[])) {
            match kind {
                NLMSG_DONE => return Ok(found),
                NLMSG_ERROR => return Err(std::io::ErrorKind::Other.into()),
                NEW_LINK => found.extend(read(body)),
                _ => {}
            }
        }
    }
}

fn read(body: &[u8]) -> Option<Listed> {
    let word = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?));
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(bytes.get(..end).unwrap_or(&[])).into_owned()
    };
    let index = word(body.get(4..)?)?;
    let all = body.get(16..)?;
    Some(Listed {
        index,
        name: text(attribute(all, 3)?),
        master: attribute(all, 10).and_then(word).unwrap_or(0),
        kind: attribute(all, 18).and_then(|nested| attribute(nested, 1)).map(text).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_there() {
        let all = all().unwrap();
        assert!(all.iter().any(|l| l.name == "lo" && l.master == 0), "{all:?}");
        assert_eq!(read(&[0; 15]), None);
        assert_eq!(read(&[0; 16]), None);
    }
}
