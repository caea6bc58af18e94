//! The form of netlink messages, as far as netfilter's subsystems need it.

/// A message's parts: its type and what follows the 16 bytes of its head.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        let body = bytes.get(16..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, body))
    })
}

/// Attributes: number (without its flags) and value.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The attribute of a number.
pub(crate) fn attribute(bytes: &[u8], number: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == number).map(|(_, value)| value)
}

/// A request of one of netfilter's subsystems, with one attribute.
pub(crate) fn request(kind: u16, resource: u16, attribute: u16, value: &[u8]) -> Vec<u8> {
    const REQUEST: u16 = 1;
    let mut body = vec![0, 0];
    body.extend(resource.to_be_bytes());
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(attribute.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
    let mut message = (16 + body.len() as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// A request for the list of all that one of netfilter's subsystems has.
pub(crate) fn list_request(kind: u16) -> Vec<u8> {
    const REQUEST_LIST: u16 = 0x301;
    let mut message = 20u32.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST_LIST.to_ne_bytes());
    // Sequence and port, then family (any), version and resource.
    message.extend([0; 12]);
    message
}

/// A request for the list of the network devices.
pub(crate) fn list_links() -> Vec<u8> {
    const GET_LINK: u16 = 18;
    const REQUEST_LIST: u16 = 0x301;
    let mut message = 32u32.to_ne_bytes().to_vec();
    message.extend(GET_LINK.to_ne_bytes());
    message.extend(REQUEST_LIST.to_ne_bytes());
    // Sequence and port, then an empty `ifinfomsg`.
    message.extend([0; 24]);
    message
}

/// Numbers in attributes are in network order.
pub(crate) fn be16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?))
}

/// The same, 32 bits.
pub(crate) fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// The same, 64 bits.
pub(crate) fn be64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let message = request(0x0401, 7, 2, &[1, 2, 3, 4, 5, 6]);
        let (kind, body) = messages(&message).next().unwrap();
        assert_eq!(
            (kind, be16(&body[2..]), attribute(&body[4..], 2)),
            (0x0401, Some(7), Some(&[1, 2, 3, 4, 5, 6][..]))
        );
        assert_eq!(attribute(&body[4..], 3), None);
    }

    #[test]
    fn broken_lengths_end_the_walk() {
        for len in [0u16, 1, 3, 5, 60_000] {
            let mut bytes = len.to_ne_bytes().to_vec();
            bytes.extend([1, 0, 9]);
            assert!(attributes(&bytes).count() <= 1, "{len}");
        }
        assert_eq!(messages(&[0; 40]).count(), 0);
    }
}
