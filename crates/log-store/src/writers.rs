//! How far each writer has come. Kept with the records: in each open segment's start and in each sealed one's directory.

use std::collections::HashMap;

use crate::codec::{Cut, put, put_bytes, put_signed};

/// Writers that a topic remembers at most; those that wrote longest ago are forgotten first.
const MAX: usize = 10_000;

/// How far a writer has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The position after the last one that was taken.
    pub next: i64,
    /// What the writer noted with it.
    pub note: String,
}

/// All writers of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Writers(HashMap<String, (Progress, i64)>);

impl Writers {
    pub(crate) fn get(&self, writer: &str) -> Option<&Progress> {
        self.0.get(writer).map(|(p, _)| p)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A writer has come further, at this time.
    pub(crate) fn advance(&mut self, writer: &str, progress: Progress, now: i64) {
        self.0.insert(writer.to_owned(), (progress, now));
    }

    /// Forgets the oldest ones beyond the bound.
    pub(crate) fn tidy(&mut self) {
        let Some(over) = self.0.len().checked_sub(MAX).filter(|n| *n > 0) else { return };
        let mut ages: Vec<i64> = self.0.values().map(|(_, at)| *at).collect();
        ages.sort_unstable();
        let oldest = ages.get(over).copied().unwrap_or(i64::MAX);
        self.0.retain(|_, (_, at)| *at >= oldest);
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.0.len() as u64);
        for (writer, (progress, at)) in &self.0 {
            put_bytes(out, writer.as_bytes());
            put_signed(out, progress.next);
            put_bytes(out, progress.note.as_bytes());
            put_signed(out, *at);
        }
    }

    pub(crate) fn read(cut: &mut Cut<'_>) -> Option<Self> {
        let mut all = HashMap::new();
        for _ in 0..cut.number()? {
            let writer = cut.text()?.to_owned();
            let progress = Progress { next: cut.signed()?, note: cut.text()?.to_owned() };
            all.insert(writer, (progress, cut.signed()?));
        }
        Some(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_survive_their_bytes_and_the_oldest_go_first() {
        let mut w = Writers::default();
        for n in 0..(MAX as i64 + 5) {
            w.advance(&format!("w{n}"), Progress { next: n, note: "1:x".into() }, n);
        }
        w.tidy();
        assert_eq!((w.len(), w.get("w4"), w.get("w5").unwrap().next), (MAX, None, 5));
        let mut out = Vec::new();
        w.write(&mut out);
        assert_eq!(Writers::read(&mut Cut(&out)), Some(w));
        assert_eq!(Writers::read(&mut Cut(&out[..out.len() - 1])), None);
    }
}
