//! The pointer of a split: who owns it, how far it is, and which object is being written.

use bytes::Bytes;
use connector::records::Mark;
use connector::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::store::Store;
use crate::fault::Fault;

/// Of earlier owners whose object may still appear this many are remembered.
const MAX_RIVALS: usize = 8;

/// How often an owner that is at work may get in between.
const CONTESTS: usize = 8;

/// The pointer's text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Text {
    /// The owner's word.
    run: String,
    /// Everything before this mark is in complete objects.
    mark: Option<String>,
    /// The object that is written next.
    object: Option<String>,
    /// The mark that this object leads to, once that is known.
    after: Option<String>,
    /// What the object leads to if it turns out to be of an earlier owner's hand.
    #[serde(default)]
    rivals: Vec<(String, String)>,
}

impl Text {
    fn bytes(&self) -> Result<Bytes, Fault> {
        let made = serde_json::to_vec(self).map_err(|e| Fault::new(ErrorKind::Other, e.to_string()))?;
        Ok(made.into())
    }

    /// The mark that the object leads to when it was made by `run`.
    fn mark_of(&self, run: &str) -> Option<Mark> {
        let text = if run == self.run {
            self.after.as_deref()
        } else {
            self.rivals.iter().rev().find(|(r, _)| r == run).map(|(_, m)| m.as_str())
        };
        Mark::parse(text?)
    }
}

/// A pointer in our hands.
#[derive(Debug)]
pub(super) struct Pointer {
    key: String,
    etag: Option<Box<str>>,
    text: Text,
}

/// The mark that is further on.
pub(super) fn later(a: Option<Mark>, b: Option<Mark>) -> Option<Mark> {
    match (a, b) {
        (Some(a), Some(b)) if b.next > a.next => Some(b),
        (None, b) => b,
        (a, _) => a,
    }
}

impl Pointer {
    /// Takes a split over: finds out how far it is, ends what an older owner left unfinished, and writes our word. An
    /// older owner that is still at work may move the pointer meanwhile; then it is looked at again.
    pub(super) async fn take_over(
        store: &Store,
        key: String,
        known: Option<Mark>,
    ) -> Result<(Self, Option<Mark>)> {
        for _ in 0..CONTESTS {
            match Self::contest(store, key.clone(), known).await {
                Err(e) if e.kind() == ErrorKind::Changed => {}
                done => return done,
            }
        }
        Self::contest(store, key, known).await
    }

    async fn contest(store: &Store, key: String, known: Option<Mark>) -> Result<(Self, Option<Mark>)> {
        let found = store.read(&key).await?;
        let (mut text, etag) = match &found {
            None => (Text::default(), None),
            Some((bytes, etag)) => {
                let text: Text = serde_json::from_slice(bytes)
                    .map_err(|e| Error::new(ErrorKind::Other, format!("{key} is no pointer of ours: {e}")))?;
                (text, etag.clone())
            }
        };
        let mut best = later(known, text.mark.as_deref().and_then(Mark::parse));
        if let Some(object) = text.object.take() {
            match whose(store, &object).await? {
                Some(run) => {
                    let Some(mark) = text.mark_of(&run) else { return Err(strange(&object)) };
                    best = later(best, Some(mark));
                    text.rivals.clear();
                }
                None => {
                    if let Some(after) = text.after.take() {
                        text.rivals.push((std::mem::take(&mut text.run), after));
                    }
                    let surplus = text.rivals.len().saturating_sub(MAX_RIVALS);
                    text.rivals.drain(..surplus);
                    text.object = Some(object);
                }
            }
        }
        text.run = store.random.hex(16);
        text.after = None;
        text.mark = best.map(Mark::to_text);
        let mut pointer = Self { key, etag, text: Text::default() };
        pointer.write(store, text).await?;
        Ok((pointer, best))
    }

    /// The owner's word: made new at each take-over, so that nothing of before is taken for ours.
    pub(super) fn run(&self) -> &str {
        &self.text.run
    }

    /// Says that `object` is written next, on top of `mark`, and leads to `after`.
    pub(super) async fn intend(
        &mut self,
        store: &Store,
        object: &str,
        mark: Mark,
        after: Option<Mark>,
    ) -> Result<()> {
        let text = Text {
            run: self.text.run.clone(),
            mark: Some(mark.to_text()),
            object: Some(object.to_owned()),
            after: after.map(Mark::to_text),
            rivals: self.text.rivals.clone(),
        };
        self.write(store, text).await
    }

    /// The intended object is there: earlier owners have nothing more to say.
    pub(super) fn done(&mut self) {
        self.text.rivals.clear();
    }

    async fn write(&mut self, store: &Store, text: Text) -> Result<()> {
        if store.plain.get() {
            self.look(store).await?;
        }
        let bytes = text.bytes()?;
        match store.replace(&self.key, self.etag.as_deref(), bytes.clone()).await {
            Ok(etag) => self.etag = etag,
            // Ours, with the answer lost, or somebody else's?
            Err(f)
                if f.kind() == ErrorKind::Changed || f.kind() == ErrorKind::NotFound || f.status == 409 =>
            {
                match store.read(&self.key).await? {
                    Some((there, etag)) if there == bytes => self.etag = etag,
                    _ => return Err(self.lost()),
                }
            }
            Err(f) => return Err(f.into()),
        }
        self.text = text;
        Ok(())
    }

    /// Without conditions a look is all there is.
    async fn look(&self, store: &Store) -> Result<()> {
        let Some((bytes, _)) = store.read(&self.key).await? else { return Ok(()) };
        let there: Text = serde_json::from_slice(&bytes).unwrap_or_default();
        let first = self.text.run.is_empty();
        if first || there.run == self.text.run { Ok(()) } else { Err(self.lost()) }
    }

    fn lost(&self) -> Error {
        Error::new(ErrorKind::Changed, format!("{}: another owner has taken the split over", self.key))
    }
}

/// The run that made an object; with its unfinished uploads ended when there is none.
async fn whose(store: &Store, object: &str) -> Result<Option<String>> {
    if let Some(run) = store.run_of(object).await? {
        return Ok(Some(run));
    }
    match store.abort(object).await {
        Ok(()) => {}
        // Not every store and not every key may list uploads.
        Err(f) if matches!(f.kind(), ErrorKind::Unsupported | ErrorKind::Denied) => {
            tracing::debug!(fault = %f, "unfinished uploads can't be listed");
        }
        Err(f) => return Err(f.into()),
    }
    Ok(store.run_of(object).await?)
}

/// An object of an unknown hand is in the place of the next one.
pub(super) fn strange(object: &str) -> Error {
    Error::new(ErrorKind::Exists, format!("{object}: something that is not of this task is there"))
}
