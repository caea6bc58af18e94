//! A path inside a tree: bytes, relative, `/`-separated, checked once so that nobody has to ask again.
//!
//! Object keys may hold any bytes; file names may hold any byte but NUL and `/`. Whatever can't be
//! both is a [`PathProblem`] and is reported, never written elsewhere.

use std::fmt;

/// Longest path that is taken, in bytes (S3's key limit).
pub const MAX_PATH: usize = 1024;
/// Longest single name, in bytes (Linux `NAME_MAX`).
pub const MAX_NAME: usize = 255;

/// Why a key can't be a path in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathProblem {
    /// Nothing at all.
    Empty,
    /// Starts with `/`, or has `//` inside: a name of no bytes.
    EmptyName,
    /// A `.` or `..` component: it would climb or alias.
    DotName,
    /// A NUL byte.
    Nul,
    /// A component of more than 255 bytes.
    NameTooLong,
    /// More than 1024 bytes.
    PathTooLong,
}

impl PathProblem {
    /// Words for reports.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "the key is empty",
            Self::EmptyName => "the key has an empty component (leading or double slash)",
            Self::DotName => "the key has a `.` or `..` component",
            Self::Nul => "the key holds a NUL byte",
            Self::NameTooLong => "a component of the key is longer than 255 bytes",
            Self::PathTooLong => "the key is longer than 1024 bytes",
        }
    }
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// A checked relative path. Ordered bytewise. Never ends with `/`; whether it is a directory is the
/// entry's kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Box<[u8]>);

impl TreePath {
    /// Checks `bytes`; one trailing `/` (a directory marker) is taken off first.
    ///
    /// # Errors
    /// The first [`PathProblem`] found.
    pub fn new(bytes: &[u8]) -> Result<Self, PathProblem> {
        let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
        if bytes.is_empty() {
            return Err(PathProblem::Empty);
        }
        if bytes.len() > MAX_PATH {
            return Err(PathProblem::PathTooLong);
        }
        for name in bytes.split(|b| *b == b'/') {
            match name {
                b"" => return Err(PathProblem::EmptyName),
                b"." | b".." => return Err(PathProblem::DotName),
                n if n.len() > MAX_NAME => return Err(PathProblem::NameTooLong),
                n if n.contains(&0) => return Err(PathProblem::Nul),
                _ => {}
            }
        }
        Ok(Self(bytes.into()))
    }

    /// The bytes, without leading or trailing `/`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path below another one: `base/self`.
    ///
    /// # Errors
    /// [`PathProblem::PathTooLong`] when the sum is.
    pub fn below(&self, base: &TreePath) -> Result<Self, PathProblem> {
        let mut v = Vec::with_capacity(base.0.len() + 1 + self.0.len());
        v.extend_from_slice(&base.0);
        v.push(b'/');
        v.extend_from_slice(&self.0);
        if v.len() > MAX_PATH { Err(PathProblem::PathTooLong) } else { Ok(Self(v.into())) }
    }

    /// Everything before the last `/`, if there is one.
    #[must_use]
    pub fn parent(&self) -> Option<&[u8]> {
        self.0.iter().rposition(|b| *b == b'/').map(|i| &self.0[..i])
    }

    /// The last component.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.iter().rposition(|b| *b == b'/').map_or(&self.0[..], |i| &self.0[i + 1..])
    }

    /// For people: UTF-8 as it is, other bytes as `\xNN`.
    #[must_use]
    pub fn display(&self) -> String {
        display_bytes(&self.0)
    }
}

/// Bytes for people and reports: UTF-8 kept, control characters and other bytes as `\xNN`.
#[must_use]
pub fn display_bytes(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                let mut b = [0; 4];
                for x in c.encode_utf8(&mut b).bytes() {
                    let _ = write!(out, "\\x{x:02x}");
                }
            } else {
                out.push(c);
            }
        }
        for x in chunk.invalid() {
            let _ = write!(out, "\\x{x:02x}");
        }
    }
    out
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_climb_or_alias_are_refused() {
        for (key, want) in [
            (&b""[..], PathProblem::Empty),
            (b"/", PathProblem::Empty),
            (b"/etc/passwd", PathProblem::EmptyName),
            (b"a//b", PathProblem::EmptyName),
            (b"a//", PathProblem::EmptyName),
            (b"../x", PathProblem::DotName),
            (b"a/../b", PathProblem::DotName),
            (b"a/.", PathProblem::DotName),
            (b"a\0b", PathProblem::Nul),
        ] {
            assert_eq!(TreePath::new(key), Err(want), "{}", display_bytes(key));
        }
        assert_eq!(TreePath::new(&[b'x'; 256]), Err(PathProblem::NameTooLong));
        assert_eq!(TreePath::new(&b"x/".repeat(600)), Err(PathProblem::PathTooLong));
    }

    #[test]
    fn odd_but_legal_names_are_kept() {
        for key in [&b"a b"[..], b"...", b"a\nb", b"\xff\xfe", b"-rf", "\u{6587}/\u{4ef6}".as_bytes()] {
            assert_eq!(TreePath::new(key).unwrap().as_bytes(), key);
        }
        assert_eq!(TreePath::new(b"dir/").unwrap().as_bytes(), b"dir");
    }
}
