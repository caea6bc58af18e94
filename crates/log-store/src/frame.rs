//! Frames: a mark, a kind, a length and a checksum before each piece of a file.
//!
//! Where a frame is broken, reading goes on at the next mark with a right checksum: damage costs what it hits and no more.

/// What each frame begins with.
const MARK: [u8; 4] = *b"WLf1";
/// Bytes before the payload: mark, kind, length, checksum.
pub(crate) const HEAD: usize = 13;
/// A longer payload is none.
pub(crate) const MAX_PAYLOAD: usize = 64 << 20;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Records, compressed.
    Block = 1,
    /// What is in which block.
    Directory = 2,
    /// What is in the whole segment; the last frame of a file.
    Summary = 3,
    /// The beginning of an open segment: how far the writers had come.
    Start = 4,
    /// A batch as it came.
    Batch = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Block, Self::Directory, Self::Summary, Self::Start, Self::Batch]
            .into_iter()
            .find(|k| *k as u8 == byte)
    }
}

/// A frame of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    /// Where it begins.
    pub(crate) at: usize,
    pub(crate) payload: &'a [u8],
}

/// Begins a frame; the payload is written behind it, then [`end`] is called with the same `at`.
pub(crate) fn begin(out: &mut Vec<u8>, kind: Kind) -> usize {
    let at = out.len();
    out.extend_from_slice(&MARK);
    out.push(kind as u8);
    out.extend_from_slice(&[0; 8]);
    at
}

/// Ends a frame.
pub(crate) fn end(out: &mut [u8], at: usize) {
    let Some(frame) = out.get_mut(at..) else { return };
    let Some((head, payload)) = frame.split_at_mut_checked(HEAD) else { return };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    if let (Some(kind), Some(room)) = (head.get(4).copied(), head.get_mut(5..)) {
        let (first, second) = room.split_at_mut(4);
        first.copy_from_slice(&length);
        second.copy_from_slice(&sum(kind, length, payload).to_le_bytes());
    }
}

/// A whole frame.
pub(crate) fn push(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    let at = begin(out, kind);
    out.extend_from_slice(payload);
    end(out, at);
}

fn sum(kind: u8, length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[kind]), &length), payload)
}

/// The frame that begins at the start of these bytes.
pub(crate) fn read(bytes: &[u8]) -> Option<(Kind, &[u8])> {
    let rest = bytes.strip_prefix(&MARK)?;
    let (kind, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*length) as usize;
    let payload = rest.get(..count).filter(|p| p.len() <= MAX_PAYLOAD)?;
    (sum(*kind, *length, payload) == u32::from_le_bytes(*check)).then_some((Kind::of(*kind)?, payload))
}

/// Goes through the frames of a file. `damaged` counts the stretches that were passed over.
#[derive(Debug, Clone)]
pub(crate) struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Stretches passed over that have a frame behind them.
    pub(crate) damaged: u64,
    /// Where the last good frame ended.
    pub(crate) end: usize,
}

impl<'a> Frames<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, damaged: 0, end: 0 }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut skipped = false;
        loop {
            let rest = self.bytes.get(self.at..).filter(|r| !r.is_empty())?;
            if let Some((kind, payload)) = read(rest) {
                let at = self.at;
                self.at += HEAD + payload.len();
                self.end = self.at;
                self.damaged += u64::from(skipped);
                return Some(Frame { kind, at, payload });
            }
            skipped = true;
            let next = rest.get(1..)?.windows(MARK.len()).position(|w| w == MARK)?;
            self.at += 1 + next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_costs_what_it_hits() {
        let mut file = Vec::new();
        for text in ["one", "two", "three", "four"] {
            push(&mut file, Kind::Batch, text.as_bytes());
        }
        let texts = |file: &[u8]| {
            let mut frames = Frames::of(file);
            let found: Vec<_> =
                frames.by_ref().map(|f| String::from_utf8(f.payload.to_vec()).unwrap()).collect();
            (found.join(" "), frames.damaged, frames.end)
        };
        assert_eq!(texts(&file), ("one two three four".into(), 0, file.len()));
        for at in 0..file.len() {
            let mut hit = file.clone();
            hit[at] ^= 0x40;
            let (found, damaged, _) = texts(&hit);
            assert_eq!(found.split(' ').count(), 3, "{at}: {found}");
            assert_eq!(damaged, u64::from(found.contains("four")), "what is torn at the end is no damage");
        }
        let torn = &file[..file.len() - 1];
        assert_eq!(texts(torn), ("one two three".into(), 0, file.len() - HEAD - 4));
    }
}
