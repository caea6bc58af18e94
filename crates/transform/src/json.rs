//! A JSON text as a tape: one small node for each value, spans instead of copies.
//!
//! A transform looks at a few fields and copies the rest, so nothing is decoded here. A string stays as it is written
//! until an operator wants its text, and a number stays text for good: 64-bit and longer numbers come out as they went in.
//! The parser checks everything (grammar, escapes, surrogates, depth), so that a span can be copied to an output
//! without another look. It keeps its own stack: an input of any depth is refused, never followed.
//! It is not a general JSON library: it has no floats, no maps and no writer beyond what the chain needs.

pub mod text;

use std::ops::Range;

/// Levels of nesting at most.
pub const MAX_DEPTH: usize = 128;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number; the span is its text.
    Number,
    /// A string without escapes; the span is what stands between the quotes.
    String,
    /// A string with escapes; the span is what stands between the quotes.
    Escaped,
    /// An array; its elements follow.
    Array,
    /// An object; its keys and values follow in turn.
    Object,
}

impl Kind {
    /// The kind in the words of a message.
    pub fn word(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::True | Self::False => "a boolean",
            Self::Number => "a number",
            Self::String | Self::Escaped => "a text",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// One value.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    start: u32,
    end: u32,
    next: u32,
}

impl Node {
    /// Where it stands in the text.
    pub fn span(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The node after this one and all that is in it.
    pub fn next(&self) -> usize {
        self.next as usize
    }
}

/// Why a text isn't JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// The byte at which it was seen.
    pub at: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not JSON: {} at byte {}", self.what, self.at)
    }
}

/// The nodes of one text, kept for the next one.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    open: Vec<u32>,
    spaced: bool,
}

impl Tape {
    /// Reads a text. The tape then belongs to that text.
    ///
    /// # Errors
    /// The first flaw.
    pub fn parse(&mut self, text: &str) -> Result<(), Flaw> {
        self.nodes.clear();
        self.open.clear();
        self.spaced = false;
        let mut reader = Reader { bytes: text.as_bytes(), at: 0, tape: self };
        let done = reader.document();
        if done.is_err() {
            self.nodes.clear();
        }
        done
    }

    /// The node at `index`. An index that isn't there reads as null.
    pub fn node(&self, index: usize) -> Node {
        const NOTHING: Node = Node { kind: Kind::Null, start: 0, end: 0, next: u32::MAX };
        self.nodes.get(index).copied().unwrap_or(NOTHING)
    }

    /// Is there white space between the tokens?
    pub fn spaced(&self) -> bool {
        self.spaced
    }
}

/// A value inside a text that was read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The text.
    pub text: &'a str,
    /// Its nodes.
    pub tape: &'a Tape,
    /// The value.
    pub root: usize,
}

impl<'a> View<'a> {
    /// The whole text.
    pub fn whole(text: &'a str, tape: &'a Tape) -> Self {
        Self { text, tape, root: 0 }
    }

    /// Another value of the same text.
    pub fn at(self, root: usize) -> Self {
        Self { root, ..self }
    }

    /// What the value is.
    pub fn kind(self) -> Kind {
        self.tape.node(self.root).kind
    }

    /// The value as it is written; a string without its quotes.
    pub fn written(self) -> &'a str {
        self.text.get(self.tape.node(self.root).span()).unwrap_or_default()
    }

    /// The members of an object as pairs of nodes, in order; nothing for another kind.
    pub fn members(self) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let node = self.tape.node(self.root);
        let end = if node.kind == Kind::Object { node.next() } else { 0 };
        let mut at = self.root + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let pair = (at, at + 1);
                at = self.tape.node(at + 1).next();
                pair
            })
        })
    }

    /// The elements of an array, in order; nothing for another kind.
    pub fn elements(self) -> impl Iterator<Item = usize> + use<'a> {
        let node = self.tape.node(self.root);
        let end = if node.kind == Kind::Array { node.next() } else { 0 };
        let mut at = self.root + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let element = at;
                at = self.tape.node(at).next();
                element
            })
        })
    }

    /// The member of that name; of several the last.
    pub fn member(self, name: &str) -> Option<usize> {
        self.members().filter(|(key, _)| self.at(*key).is(name)).last().map(|(_, value)| value)
    }

    /// Is it a string with that text?
    pub fn is(self, text: &str) -> bool {
        let written = self.written();
        match self.kind() {
            Kind::String => written == text,
            Kind::Escaped => text::decoded(written) == text,
            _ => false,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    tape: &'a mut Tape,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<(), Flaw> {
        if u32::try_from(self.bytes.len()).is_err() {
            return Err(self.flaw("longer than 4 GiB"));
        }
        self.white();
        loop {
            self.value()?;
            while self.closed()? {}
            if self.tape.open.is_empty() {
                break;
            }
        }
        self.white();
        if self.at < self.bytes.len() { Err(self.flaw("text after the value")) } else { Ok(()) }
    }

    /// Reads openings of containers up to the first value that is complete.
    fn value(&mut self) -> Result<(), Flaw> {
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(b'{') => {
                    self.open(Kind::Object)?;
                    if self.peek() == Some(b'}') {
                        self.close();
                    } else {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(Kind::Array)?;
                    if self.peek() == Some(b']') {
                        self.close();
                    } else {
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word("true", Kind::True)?,
                Some(b'f') => self.word("false", Kind::False)?,
                Some(b'n') => self.word("null", Kind::Null)?,
                Some(_) => return Err(self.flaw("a value is expected")),
                None if self.bytes.is_empty() => return Err(self.flaw("it is empty")),
                None => return Err(self.flaw("it ends too early")),
            }
            return Ok(());
        }
    }

    /// Reads what follows a value inside a container: true when the container was closed by it.
    fn closed(&mut self) -> Result<bool, Flaw> {
        let Some(&container) = self.tape.open.last() else { return Ok(false) };
        self.white();
        let kind = self.tape.node(container as usize).kind;
        match (self.peek(), kind) {
            (Some(b','), Kind::Object) => {
                self.at += 1;
                self.white();
                self.key()?;
                Ok(false)
            }
            (Some(b','), _) => {
                self.at += 1;
                self.white();
                Ok(false)
            }
            (Some(b'}'), Kind::Object) | (Some(b']'), Kind::Array) => {
                self.close();
                Ok(true)
            }
            (None, _) => Err(self.flaw("it ends too early")),
            _ => Err(self.flaw("a comma or the end of the container is expected")),
        }
    }

    fn open(&mut self, kind: Kind) -> Result<(), Flaw> {
        if self.tape.open.len() >= MAX_DEPTH {
            return Err(self.flaw("nested deeper than 128 levels"));
        }
        self.tape.open.push(self.tape.nodes.len() as u32);
        self.push(kind, self.at, self.at);
        self.at += 1;
        self.white();
        Ok(())
    }

    /// Ends the container that is open. The caller has seen its last byte.
    fn close(&mut self) {
        self.at += 1;
        let next = self.tape.nodes.len() as u32;
        if let Some(index) = self.tape.open.pop()
            && let Some(node) = self.tape.nodes.get_mut(index as usize)
        {
            node.end = self.at as u32;
            node.next = next;
        }
    }

    fn key(&mut self) -> Result<(), Flaw> {
        if self.peek() != Some(b'"') {
            return Err(self.flaw("a key in quotes is expected"));
        }
        self.string()?;
        self.white();
        if self.peek() != Some(b':') {
            return Err(self.flaw("a colon is expected"));
        }
        self.at += 1;
        self.white();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Flaw> {
        let start = self.at + 1;
        let mut at = start;
        let mut kind = Kind::String;
        loop {
            at = text::next_special(self.bytes, at);
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    kind = Kind::Escaped;
                    at = text::escape_end(self.bytes, at).map_err(|what| Flaw { at, what })?;
                }
                Some(_) => return Err(Flaw { at, what: "a control character in a text" }),
                None => return Err(Flaw { at, what: "a text without end" }),
            }
        }
        self.push(kind, start, at);
        self.at = at + 1;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        match text::number_end(self.bytes, start) {
            Some(end) => {
                self.push(Kind::Number, start, end);
                self.at = end;
                Ok(())
            }
            None => Err(self.flaw("a malformed number")),
        }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<(), Flaw> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word.as_bytes()) {
            return Err(self.flaw("a value is expected"));
        }
        self.push(kind, self.at, end);
        self.at = end;
        Ok(())
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.tape.nodes.len() as u32 + 1;
        self.tape.nodes.push(Node { kind, start: start as u32, end: end as u32, next });
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn white(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.tape.spaced = true;
            self.at += 1;
        }
    }

    fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { at: self.at, what }
    }
}

#[cfg(test)]
mod tests;
