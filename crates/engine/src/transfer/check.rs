//! Is what was stored what the source holds?
//!
//! A write says which bytes it stored, and a source may know which it gave: these two always have to agree.
//! On demand ([`Options::verify`](super::Options::verify)) everything is read back too. What turns out wrong is
//! taken away before it is written again. A mark never stands for a check that did not come to its end.

use connector::{Digest, Entry, EntryKind, Error, ErrorKind, Found, Stored, Target};

use super::body::digest_of;
use super::fault::Fault;
use super::item::Fate;
use super::slot::LaneCx;

/// An earlier attempt wrote it, and its check may not have ended: reads both ends.
pub(super) async fn again(cx: &LaneCx, entry: &Entry, target: &Target) -> Result<Fate, Fault> {
    let body = cx.source.open(entry, None).await.map_err(Fault::source)?;
    let link = body.meta().symlink.is_some();
    let digest = digest_of(body).await.map_err(Fault::source)?;
    if !link {
        stored(cx, target, &Stored { version: None, digest }, None).await?;
    }
    cx.run.note_single(entry, Some(digest), None);
    Ok(Fate::written(entry.size, Some(digest)))
}

/// Compares what was stored with what the source promised, and on demand with what can be read back.
pub(super) async fn stored(
    cx: &LaneCx,
    target: &Target,
    stored: &Stored,
    expected: Option<Digest>,
) -> Result<(), Fault> {
    let wrong = expected.is_some_and(|e| e != stored.digest);
    let wrong = wrong || (cx.run.options.verify && !reads_back(cx, target, stored.digest).await?);
    if !wrong {
        return Ok(());
    }
    // Nothing wrong may stay where others would take it for right.
    let _ = cx.destination.remove(&target.path).await;
    let what = format!("what was stored as {} is not what the source holds", target.path.display());
    Err(Fault::destination(Error::new(ErrorKind::Corrupt, what)))
}

async fn reads_back(cx: &LaneCx, target: &Target, want: Digest) -> Result<bool, Fault> {
    let found = cx.destination.stat(&target.path).await.map_err(Fault::destination)?;
    let Some(Found { entry, .. }) = found else { return Ok(false) };
    if entry.kind != EntryKind::File {
        return Ok(true);
    }
    let read = async { digest_of(cx.destination.open(&entry, None).await?).await };
    match read.await {
        Ok(digest) => Ok(digest == want),
        // The store itself finds other bytes than it was given.
        Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Changed) => Ok(false),
        Err(e) => Err(Fault::destination(e)),
    }
}
