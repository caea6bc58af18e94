//! Blocks: some hundred records by time, compressed, with what is known of them without looking.

use std::collections::BTreeMap;

use crate::codec::{Cut, put, put_bytes, put_signed};
use crate::query::Compiled;
use crate::words::{Words, fields};
use crate::{Error, Result, bloom};

/// Bytes of records in a block, about.
pub(crate) const BYTES: usize = 512 << 10;
/// Records in a block at most.
pub(crate) const RECORDS: usize = 4096;
/// A block that claims to be larger is broken.
const MAX_BYTES: usize = 16 << 20;
/// Names of fields that are kept for a block at most; beyond it nothing is known of them.
const MAX_FIELDS: usize = 256;
/// How hard it is compressed.
const LEVEL: i32 = 3;

/// A record where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordRef<'a> {
    /// Its number in the topic: it says which came first, and is the same for ever.
    pub(crate) number: u64,
    /// µs since the epoch.
    pub(crate) time: i64,
    pub(crate) stream: &'a str,
    /// A JSON object.
    pub(crate) text: &'a [u8],
}

/// What is known of a field in a block: the least and greatest value where all are whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range(pub(crate) Option<(i64, i64)>);

/// What is known of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) at: u64,
    pub(crate) length: u64,
    pub(crate) records: u64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// Fields that occur; `None` = unknown.
    pub(crate) fields: Option<BTreeMap<String, Range>>,
    /// Of the words; empty = unknown.
    pub(crate) words: Vec<u8>,
}

/// Makes a block of records, which are sorted by time: its payload, and what is known of it but its place.
pub(crate) fn build(records: &[RecordRef<'_>]) -> Result<(Vec<u8>, Meta)> {
    let (min, max) = (records.first().map_or(0, |r| r.time), records.last().map_or(0, |r| r.time));
    let mut raw = Vec::with_capacity(records.iter().map(|r| r.text.len() + r.stream.len() + 24).sum());
    let mut known = Known::default();
    for r in records {
        put(&mut raw, r.number);
        put_signed(&mut raw, r.time.saturating_sub(min));
        put_bytes(&mut raw, r.stream.as_bytes());
        put_bytes(&mut raw, r.text);
        known.add(r);
    }
    let packed = zstd::bulk::compress(&raw, LEVEL).map_err(Error::from)?;
    let mut payload = Vec::with_capacity(packed.len() + 40);
    put(&mut payload, records.len() as u64);
    put_signed(&mut payload, min);
    put_signed(&mut payload, max);
    put(&mut payload, raw.len() as u64);
    payload.extend_from_slice(&packed);
    let (fields, words) = known.finish();
    let meta = Meta { at: 0, length: 0, records: records.len() as u64, min, max, fields, words };
    Ok((payload, meta))
}

/// Number of records and stretch of time, from the beginning of a payload, with what follows.
fn head(payload: &[u8]) -> Option<(u64, i64, i64, usize, &[u8])> {
    let mut cut = Cut(payload);
    let (records, min, max, raw) = (cut.number()?, cut.signed()?, cut.signed()?, cut.length()?);
    Some((records, min, max, raw, cut.0))
}

/// What the block itself tells, where its directory is lost.
pub(crate) fn unknown(payload: &[u8], at: u64, length: u64) -> Option<Meta> {
    let (records, min, max, _, _) = head(payload)?;
    Some(Meta { at, length, records, min, max, fields: None, words: Vec::new() })
}

/// The records of a block, unpacked; `None` for what is none.
pub(crate) fn unpack(payload: &[u8]) -> Option<Unpacked> {
    let (records, min, _, raw, packed) = head(payload)?;
    let raw = zstd::bulk::decompress(packed, Some(raw).filter(|n| *n <= MAX_BYTES)?).ok()?;
    Some(Unpacked { raw, min, records })
}

/// See [`unpack`].
pub(crate) struct Unpacked {
    raw: Vec<u8>,
    min: i64,
    records: u64,
}

impl Unpacked {
    /// The records in order; an iterator that ends early met something broken.
    pub(crate) fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        let (mut cut, mut left) = (Cut(&self.raw), self.records);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let (number, time) = (cut.number()?, self.min.saturating_add(cut.signed()?));
            Some(RecordRef { number, time, stream: cut.text()?, text: cut.bytes()? })
        })
    }
}

/// Gathers what is known of a block.
#[derive(Default)]
struct Known {
    fields: BTreeMap<String, Range>,
    too_many: bool,
    hashes: Vec<u64>,
}

impl Known {
    fn add(&mut self, r: &RecordRef<'_>) {
        fields(r.text, &mut |name, value| {
            let number: Option<i64> = value.parse().ok();
            let has_room = self.fields.len() < MAX_FIELDS;
            match self.fields.get_mut(name) {
                Some(Range(range)) => {
                    *range = range.zip(number).map(|((min, max), n)| (min.min(n), max.max(n)));
                }
                None if has_room => {
                    self.fields.insert(name.to_owned(), Range(number.map(|n| (n, n))));
                }
                None => self.too_many = true,
            }
            self.hashes.extend(Words(&value).map(bloom::hash));
            true
        });
        self.hashes.extend(Words(r.stream).map(bloom::hash));
        if self.hashes.len() > 1 << 20 {
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
    }

    fn finish(mut self) -> (Option<BTreeMap<String, Range>>, Vec<u8>) {
        self.tidy();
        ((!self.too_many).then_some(self.fields), bloom::build(&self.hashes))
    }
}

impl Meta {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.at);
        put(out, self.length);
        put(out, self.records);
        put_signed(out, self.min);
        put_signed(out, self.max);
        put_bytes(out, &self.words);
        let Some(fields) = &self.fields else { return put(out, 0) };
        put(out, fields.len() as u64 + 1);
        for (name, Range(range)) in fields {
            put_bytes(out, name.as_bytes());
            out.push(u8::from(range.is_some()));
            if let Some((min, max)) = range {
                put_signed(out, *min);
                put_signed(out, *max);
            }
        }
    }

    pub(crate) fn read(cut: &mut Cut<'_>) -> Option<Self> {
        let (at, length, records) = (cut.number()?, cut.number()?, cut.number()?);
        let (min, max, words) = (cut.signed()?, cut.signed()?, cut.bytes()?.to_vec());
        let fields = match cut.number()? {
            0 => None,
            n => Some((1..n).map(|_| range(cut)).collect::<Option<_>>()?),
        };
        Some(Self { at, length, records, min, max, fields, words })
    }

    /// May a record of the block match? False is certain.
    pub(crate) fn may_match(&self, q: &Compiled) -> bool {
        self.min < q.to
            && self.max >= q.from
            && q.needed.iter().all(|h| bloom::may_have(&self.words, *h))
            && q.filters.iter().all(|f| match &self.fields {
                Some(fields) if !f.is_of_stream() => f.may_match(fields.get(f.field()).copied()),
                _ => true,
            })
    }
}

fn range(cut: &mut Cut<'_>) -> Option<(String, Range)> {
    let name = cut.text()?.to_owned();
    let range = match cut.byte()? {
        0 => None,
        _ => Some((cut.signed()?, cut.signed()?)),
    };
    Some((name, Range(range)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_records_and_what_is_known_of_them() {
        let texts = [r#"{"n":1,"m":"x y"}"#, r#"{"n":-5,"m":"z","o":{"p":2}}"#, r#"{"n":"3","m":7}"#];
        let records: Vec<_> = (0..)
            .zip(&texts)
            .map(|(n, t)| RecordRef { number: n, time: 100 + n as i64, stream: "s-1", text: t.as_bytes() })
            .collect();
        let (payload, meta) = build(&records).unwrap();
        assert_eq!(unpack(&payload).unwrap().records().collect::<Vec<_>>(), records);
        assert_eq!((meta.records, meta.min, meta.max), (3, 100, 102));
        let fields = meta.fields.clone().unwrap();
        assert_eq!(fields["n"], Range(Some((-5, 3))));
        assert_eq!((fields["m"], fields["o.p"]), (Range(None), Range(Some((2, 2)))));
        for word in ["x", "Y", "z", "s", "1"] {
            assert!(bloom::may_have(&meta.words, bloom::hash(word)), "{word}");
        }
        let mut out = Vec::new();
        meta.write(&mut out);
        assert_eq!(Meta::read(&mut Cut(&out)), Some(meta));
        assert!(unpack(&payload[..payload.len() - 3]).is_none() && unpack(b"").is_none());
    }
}
