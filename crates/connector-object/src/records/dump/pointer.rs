//! The pointer of a split of a dump: who owns it, how far it is, and which uploads the last delivery completes.

use bytes::Bytes;
use connector::records::Mark;
use connector::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::ops::multipart::UploadRef;
use crate::records::pointer::later;
use crate::records::store::{MAX_POINTER, Store};

/// How often an owner that is at work may get in between.
const CONTESTS: usize = 8;

/// A file whose parts are all there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) key: String,
    pub(super) upload: String,
    /// ETags.
    pub(super) parts: Vec<String>,
}

/// The pointer's text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Text {
    /// The owner's word.
    run: String,
    /// Everything before this mark was in complete files before the last delivery.
    mark: Option<String>,
    /// What the last delivery leads to. It counts from the moment that it stands here.
    after: Option<String>,
    /// The files of the last delivery.
    #[serde(default)]
    files: Vec<Ready>,
}

/// A pointer in our hands.
#[derive(Debug)]
pub(super) struct Pointer {
    key: String,
    etag: Option<Box<str>>,
    run: String,
    bytes: Bytes,
}

impl Pointer {
    /// Takes a split over: completes what an older owner committed, finds out how far it is, and writes our word.
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
        let (text, etag, bytes) = match store.read(&key).await? {
            None => (Text::default(), None, Bytes::new()),
            Some((bytes, etag)) => {
                let text: Text = serde_json::from_slice(&bytes)
                    .map_err(|e| Error::new(ErrorKind::Other, format!("{key} is no pointer of ours: {e}")))?;
                (text, etag, bytes)
            }
        };
        let mut best = later(known, text.mark.as_deref().and_then(Mark::parse));
        if let Some(after) = text.after.as_deref().and_then(Mark::parse)
            && best.is_none_or(|b| b.next < after.next)
            && roll_forward(store, &text).await?
        {
            best = Some(after);
        }
        let mut pointer = Self { key, etag, run: text.run, bytes };
        let ours =
            Text { run: store.random.hex(16), mark: best.map(Mark::to_text), after: None, files: Vec::new() };
        pointer.write(store, &ours).await?;
        Ok((pointer, best))
    }

    /// The owner's word.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Commits: from now on these files are part of the stream's dump, whoever completes them.
    pub(super) async fn commit(
        &mut self,
        store: &Store,
        from: Mark,
        to: Mark,
        files: &[Ready],
    ) -> Result<()> {
        let text = Text {
            run: self.run.clone(),
            mark: Some(from.to_text()),
            after: Some(to.to_text()),
            files: files.to_vec(),
        };
        self.write(store, &text).await
    }

    async fn write(&mut self, store: &Store, text: &Text) -> Result<()> {
        let bytes = serde_json::to_vec(text).map_err(|e| Error::new(ErrorKind::Other, e.to_string()))?;
        if bytes.len() > MAX_POINTER {
            // Whoever came next could not read it.
            let what = format!("{}: a delivery of {} files is too long", self.key, text.files.len());
            return Err(Error::new(ErrorKind::Other, what));
        }
        let bytes = Bytes::from(bytes);
        if store.plain.get() && store.read(&self.key).await?.is_some_and(|(there, _)| there != self.bytes) {
            return Err(self.lost());
        }
        match store.replace(&self.key, self.etag.as_deref(), bytes.clone()).await {
            Ok(etag) => self.etag = etag,
            // Ours, with the answer lost, or somebody else's?
            Err(f) if matches!(f.kind(), ErrorKind::Changed | ErrorKind::NotFound) || f.status == 409 => {
                match store.read(&self.key).await? {
                    Some((there, etag)) if there == bytes => self.etag = etag,
                    _ => return Err(self.lost()),
                }
            }
            Err(f) => return Err(f.into()),
        }
        self.bytes = bytes;
        text.run.clone_into(&mut self.run);
        Ok(())
    }

    fn lost(&self) -> Error {
        Error::new(ErrorKind::Changed, format!("{}: another owner has taken the split over", self.key))
    }
}

/// Completes a file. Anybody may, and more than once.
pub(super) async fn complete(store: &Store, file: &Ready) -> Result<(), Fault> {
    if store.run_of(&file.key).await?.is_some() {
        return Ok(());
    }
    match store.complete_parts(&file.key, &file.upload, &file.parts).await {
        Ok(()) => Ok(()),
        // Somebody else was faster, or the answer was lost.
        Err(f) => match store.run_of(&file.key).await? {
            Some(_) => Ok(()),
            None => Err(f),
        },
    }
}

/// Completes a delivery that was committed. False: an upload is gone that nobody completed (a rule of the bucket removes unfinished ones);
/// then the delivery is taken back as a whole and its records are written anew.
async fn roll_forward(store: &Store, text: &Text) -> Result<bool> {
    for file in &text.files {
        match complete(store, file).await {
            Ok(()) => {}
            Err(f) if f.kind() == ErrorKind::NotFound && &*f.code != "NoSuchBucket" => {
                tracing::warn!(key = %file.key, "an upload of a committed delivery is gone: its records are written anew");
                for file in &text.files {
                    store.client.delete(&store.place.bucket, &file.key).await?;
                }
                return Ok(false);
            }
            Err(f) => return Err(f.into()),
        }
    }
    Ok(true)
}

/// Forgets uploads under a prefix whose keys are ours and that nothing will complete.
pub(super) async fn sweep(store: &Store, prefix: &str, ours: impl Fn(&str) -> bool) -> Result<()> {
    let found = match store.client.list_uploads(&store.place.bucket, prefix).await {
        Ok(found) => found,
        // Not every store and not every key may list uploads.
        Err(f) if matches!(f.kind(), ErrorKind::Unsupported | ErrorKind::Denied) => {
            tracing::debug!(fault = %f, "unfinished uploads can't be listed");
            return Ok(());
        }
        Err(f) => return Err(f.into()),
    };
    for upload in found {
        let Ok(key) = std::str::from_utf8(&upload.key) else { continue };
        if ours(key) {
            let upload = UploadRef { bucket: &store.place.bucket, key, id: &upload.id };
            store.client.abort_upload(upload).await?;
        }
    }
    Ok(())
}
