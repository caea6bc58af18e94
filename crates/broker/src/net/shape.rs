//! Walks over a request before it is decoded, and refuses one that says it holds more than it does.
//!
//! The codec reserves memory for as many elements as a length field says. A few bytes from a stranger
//! could so ask for gigabytes, and an allocation that fails ends the process. Here every length is held
//! against the bytes that are really there, and all elements of a request together against a bound.

use super::shapes::REQUESTS;
use bytes::Buf;

/// Elements (rows, entries, tags) of one request.
const MOST_ELEMENTS: usize = 200_000;

/// How a field is laid out.
#[derive(Debug)]
pub enum Field {
    /// So many bytes.
    Fixed(usize),
    /// A text.
    Text,
    /// Bytes.
    Blob,
    /// A list of one of the above.
    Many(&'static Field),
    /// A list of structures.
    Rows(&'static [Versioned]),
}

/// First and last version that have the field, and the field.
pub type Versioned = (i16, i16, Field);

/// The shape of a request.
#[derive(Debug)]
pub struct Request {
    /// Number of the API.
    pub key: i16,
    /// First and last version that are served.
    pub versions: (i16, i16),
    /// First version with compact lengths and tags.
    pub flexible: i16,
    /// Its fields.
    pub fields: &'static [Versioned],
}

/// All shapes.
pub fn all() -> &'static [Request] {
    REQUESTS
}

/// The shape of an API's requests.
pub fn of(key: i16) -> Option<&'static Request> {
    REQUESTS.iter().find(|r| r.key == key)
}

/// Does `body` have this shape from its start on? Says how many bytes it takes.
pub fn walk(request: &Request, version: i16, body: &[u8]) -> Option<usize> {
    let mut walker = Walker { rest: body, version, flexible: version >= request.flexible, elements: 0 };
    walker.row(request.fields)?;
    Some(body.len() - walker.rest.len())
}

struct Walker<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walker<'_> {
    fn skip(&mut self, n: usize) -> Option<()> {
        self.rest = self.rest.get(n..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<usize> {
        let mut n = 0_u64;
        for shift in (0..35).step_by(7) {
            let b = *self.rest.first()?;
            self.skip(1)?;
            n |= u64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                return usize::try_from(n).ok();
            }
        }
        None
    }

    /// A length; `Some(None)` where there is nothing (null).
    fn length(&mut self, wide: bool) -> Option<Option<usize>> {
        if self.flexible {
            return self.varint().map(|n| n.checked_sub(1));
        }
        let n = if wide {
            let n = i64::from((self.rest.get(..4)?).get_i32());
            self.skip(4)?;
            n
        } else {
            let n = i64::from((self.rest.get(..2)?).get_i16());
            self.skip(2)?;
            n
        };
        if n < -1 { None } else { Some(usize::try_from(n).ok()) }
    }

    fn count(&mut self, n: usize) -> Option<()> {
        self.elements = self.elements.checked_add(n)?;
        (n <= self.rest.len() && self.elements <= MOST_ELEMENTS).then_some(())
    }

    fn field(&mut self, field: &Field) -> Option<()> {
        match field {
            Field::Fixed(n) => self.skip(*n),
            Field::Text => self.length(false)?.map_or(Some(()), |n| self.skip(n)),
            Field::Blob => self.length(true)?.map_or(Some(()), |n| self.skip(n)),
            Field::Many(_) | Field::Rows(_) => {
                let Some(n) = self.length(true)? else { return Some(()) };
                self.count(n)?;
                for _ in 0..n {
                    match field {
                        Field::Many(one) => self.field(one)?,
                        Field::Rows(fields) => self.row(fields)?,
                        _ => {}
                    }
                }
                Some(())
            }
        }
    }

    fn row(&mut self, fields: &[Versioned]) -> Option<()> {
        for (from, to, field) in fields {
            if (*from..=*to).contains(&self.version) {
                self.field(field)?;
            }
        }
        if self.flexible { self.tags() } else { Some(()) }
    }

    fn tags(&mut self) -> Option<()> {
        let n = self.varint()?;
        self.count(n)?;
        for _ in 0..n {
            self.varint()?;
            let size = self.varint()?;
            self.skip(size)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_lies_is_refused() {
        let metadata = of(3).unwrap();
        // Two billion topics in four bytes.
        assert_eq!(walk(metadata, 0, &[0x7f, 0xff, 0xff, 0xff]), None);
        assert_eq!(walk(metadata, 9, &[0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0, 0]), None);
        // One topic "ab", as it should be.
        assert_eq!(walk(metadata, 0, &[0, 0, 0, 1, 0, 2, b'a', b'b']), Some(8));
        // More elements than the bound, all of them really there.
        let many = MOST_ELEMENTS + 1;
        let mut body = u32::try_from(many).unwrap().to_be_bytes().to_vec();
        body.resize(4 + many * 2, 0);
        assert_eq!(walk(metadata, 0, &body), None);
    }
}
