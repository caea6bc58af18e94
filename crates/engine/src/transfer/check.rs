//! Is what was stored what the source holds?
//!
//! A write says which bytes it stored, and a source may know which it gave: these two always have to agree.
//! On demand ([`Options::verify`](super::Options::verify)) everything is read back too. What turns out wrong is
//! taken away before it is written again. A mark never stands for a check that did not come to its end.
//!
//! Others may write there meanwhile. What is not the very thing that this run stored is left alone, and the
//! item fails: nobody can say that it is what the source holds. No store removes on a condition, so between
//! the last look and the removal there is one round trip in which another's write is not seen.

use connector::{Digest, Entry, EntryKind, Error, ErrorKind, Found, Stored, Target};

use super::body::digest_of;
use super::fault::Fault;
use super::item::Fate;
use super::slot::LaneCx;

/// An earlier attempt wrote it, and its check may not have ended: reads both ends. `there` is what was found
/// with our mark.
pub(super) async fn again(cx: &LaneCx, entry: &Entry, target: &Target, there: &Entry) -> Result<Fate, Fault> {
    let body = cx.source.open(entry, None).await.map_err(Fault::source)?;
    let link = body.meta().symlink.is_some();
    let digest = digest_of(body).await.map_err(Fault::source)?;
    if !link {
        stored(cx, target, &Stored { version: there.version.clone(), digest }, None).await?;
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
    let found = cx.destination.stat(&target.path).await.map_err(Fault::destination)?;
    match found {
        Some(found) if !is_what(&found, target, stored) => {
            let what =
                format!("{} was replaced by somebody else after it was written", target.path.display());
            return Err(Fault::destination(Error::new(ErrorKind::Other, what)));
        }
        // Nothing wrong may stay where others would take it for right.
        Some(_) => drop(cx.destination.remove(&target.path).await),
        None => {}
    }
    let what = format!("what was stored as {} is not what the source holds", target.path.display());
    Err(Fault::destination(Error::new(ErrorKind::Corrupt, what)))
}

/// Is it the very thing that was stored? In doubt it is not.
fn is_what(found: &Found, target: &Target, stored: &Stored) -> bool {
    found.stamp.as_ref() == Some(&target.stamp)
        && stored.version.is_some()
        && found.entry.version == stored.version
}

async fn reads_back(cx: &LaneCx, target: &Target, want: Digest) -> Result<bool, Fault> {
    let found = cx.destination.stat(&target.path).await.map_err(Fault::destination)?;
    let Some(Found { entry, .. }) = found else { return Ok(false) };
    match &entry.kind {
        EntryKind::File | EntryKind::HardLink { .. } => {}
        // It has no content but its target, which is what was written if a link was.
        EntryKind::Symlink { target } => return Ok(Digest::of(target) == want),
        EntryKind::Dir | EntryKind::Special => return Ok(false),
    }
    let read = async { digest_of(cx.destination.open(&entry, None).await?).await };
    match read.await {
        Ok(digest) => Ok(digest == want),
        // The store itself finds other bytes than it was given, or somebody has written others.
        Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::Changed) => Ok(false),
        Err(e) => Err(Fault::destination(e)),
    }
}
