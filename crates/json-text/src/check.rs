//! Is it JSON? One pass, no recursion, eight bytes of a string at a time.

use std::fmt;

/// Arrays and objects inside each other at most; deeper ones are refused, as most servers do at 1,000.
pub const MAX_DEPTH: usize = 1024;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`
    Null,
}

/// What the check found out on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Of the whole value.
    pub kind: Kind,
    /// There are line breaks between tokens (inside strings there can't be any).
    pub breaks: bool,
    /// A key of the outermost object begins with `@` (or with an escape).
    pub at_key: bool,
    /// Where the value begins and ends: white space around it is outside.
    pub start: usize,
    /// See `start`.
    pub end: usize,
}

/// Why it is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Not UTF-8 from this byte on.
    Text(usize),
    /// Not JSON from this byte on.
    Syntax(usize),
    /// It ends too early.
    Short,
    /// Deeper than [`MAX_DEPTH`].
    Deep,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(at) => write!(f, "not UTF-8 at byte {at}"),
            Self::Syntax(at) => write!(f, "not JSON at byte {at}"),
            Self::Short => f.write_str("JSON that ends too early"),
            Self::Deep => write!(f, "JSON more than {MAX_DEPTH} levels deep"),
        }
    }
}

/// Checks that the bytes are one JSON value.
///
/// # Errors
/// What is wrong.
pub fn check(bytes: &[u8]) -> Result<Checked, Wrong> {
    if let Err(e) = std::str::from_utf8(bytes) {
        return Err(Wrong::Text(e.valid_up_to()));
    }
    let mut s = Scan { bytes, at: 0, breaks: false };
    s.space();
    let start = s.at;
    s.breaks = false;
    let mut at_key = false;
    let kind = s.document(&mut at_key)?;
    let (end, breaks) = (s.at, s.breaks);
    s.space();
    if s.at != bytes.len() {
        return Err(Wrong::Syntax(s.at));
    }
    Ok(Checked { kind, breaks, at_key, start, end })
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    breaks: bool,
}

/// Which arrays and objects are open: a bit each, 1 for objects.
struct Stack {
    bits: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Stack {
    fn push(&mut self, object: bool) -> Result<(), Wrong> {
        let word = self.bits.get_mut(self.depth / 64).ok_or(Wrong::Deep)?;
        let bit = 1 << (self.depth % 64);
        *word = if object { *word | bit } else { *word & !bit };
        self.depth += 1;
        Ok(())
    }

    /// Is the innermost one an object?
    fn object(&self) -> bool {
        let top = self.depth.wrapping_sub(1);
        self.bits.get(top / 64).is_some_and(|w| w >> (top % 64) & 1 == 1)
    }
}

impl Scan<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b) = self.peek() {
            match b {
                b' ' | b'\t' => {}
                b'\n' | b'\r' => self.breaks = true,
                _ => return,
            }
            self.at += 1;
        }
    }

    fn wrong<T>(&self) -> Result<T, Wrong> {
        Err(if self.at < self.bytes.len() { Wrong::Syntax(self.at) } else { Wrong::Short })
    }

    fn document(&mut self, at_key: &mut bool) -> Result<Kind, Wrong> {
        let mut stack = Stack { bits: [0; MAX_DEPTH / 64], depth: 0 };
        let outer = match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            _ => return self.scalar(),
        };
        self.at += 1;
        stack.push(outer == Kind::Object)?;
        let mut fresh = true;
        loop {
            // Here an element, or the end of the innermost array or object, begins.
            self.space();
            let object = stack.object();
            match self.peek() {
                Some(b'}') if object && fresh => self.close(&mut stack),
                Some(b']') if !object && fresh => self.close(&mut stack),
                _ => {
                    if object {
                        self.key(stack.depth == 1, at_key)?;
                    }
                    match self.peek() {
                        Some(b @ (b'{' | b'[')) => {
                            self.at += 1;
                            stack.push(b == b'{')?;
                            fresh = true;
                            continue;
                        }
                        _ => self.scalar()?,
                    };
                }
            }
            fresh = false;
            // A value has ended: close what ends with it, until a comma calls for the next.
            loop {
                if stack.depth == 0 {
                    return Ok(outer);
                }
                self.space();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        break;
                    }
                    Some(b'}') if stack.object() => self.close(&mut stack),
                    Some(b']') if !stack.object() => self.close(&mut stack),
                    _ => return self.wrong(),
                }
            }
        }
    }

    fn close(&mut self, stack: &mut Stack) {
        self.at += 1;
        stack.depth -= 1;
    }

    #[inline]
    fn key(&mut self, outermost: bool, at_key: &mut bool) -> Result<(), Wrong> {
        if self.peek() != Some(b'"') {
            return self.wrong();
        }
        if outermost && matches!(self.bytes.get(self.at + 1), Some(b'@' | b'\\')) {
            *at_key = true;
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return self.wrong();
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    #[inline]
    fn scalar(&mut self) -> Result<Kind, Wrong> {
        match self.peek() {
            Some(b'"') => self.string().map(|()| Kind::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Kind::Number),
            Some(b't') => self.word(b"true").map(|()| Kind::Bool),
            Some(b'f') => self.word(b"false").map(|()| Kind::Bool),
            Some(b'n') => self.word(b"null").map(|()| Kind::Null),
            _ => self.wrong(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Wrong> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.wrong();
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.wrong() } else { Ok(()) }
    }

    #[inline]
    fn number(&mut self) -> Result<(), Wrong> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// From one quote to the other.
    #[inline]
    fn string(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        loop {
            self.at += plain(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return self.wrong(),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return self.wrong();
                    }
                    self.at += 1;
                }
            }
            _ => return self.wrong(),
        }
        Ok(())
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes from the start of `rest` on need no attention inside a string: no quote, no backslash, no control character.
#[inline]
pub(crate) fn plain(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = rest.get(at..at + 8).and_then(|c| <[u8; 8]>::try_from(c).ok()) {
        let word = u64::from_le_bytes(chunk);
        let zero = |x: u64| x.wrapping_sub(ONES) & !x & HIGH;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let slash = zero(word ^ (ONES * u64::from(b'\\')));
        // Less than 0x20: the top three bits are 0. A borrow may only mark bytes after a true hit.
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hit = quote | slash | control;
        if hit != 0 {
            return at + (hit.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while rest.get(at).is_some_and(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests;
