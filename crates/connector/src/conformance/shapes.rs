//! What is not plain content: metadata, links, directories.

use super::{Chunks, During, Profile, Verdict, fails_with, found, list_all, path, put, target};
use crate::{EntryKind, ErrorKind, ListRequest, Meta, Tree};

/// Times and modes come back, whether the target or the source knew them; the target's count first.
///
/// # Errors
/// The broken promise.
pub async fn metadata(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let mut t = target("metadata/item", 4)?;
    t.meta = Meta { mtime_ns: Some(1_234_567_890_123_456_789), mode: Some(0o640), ..Meta::default() };
    let told = Meta { mtime_ns: Some(5), mode: Some(0o777), ..Meta::default() };
    lane.put(&t, Chunks::new(b"four", 4).with_meta(told).body()).await.during("putting")?;
    let entry = found(&*lane, &t.path).await?;
    let body = lane.open(&entry, None).await.during("opening")?;
    let meta = body.meta();
    ensure!(
        meta.mtime_ns == t.meta.mtime_ns && meta.mode == t.meta.mode,
        "the target's metadata came back as {meta:?}"
    );
    let mut s = target("metadata/from source", 4)?;
    s.meta = Meta::default();
    let told = Meta { mtime_ns: Some(1_111_111_111_000_000_001), mode: Some(0o600), ..Meta::default() };
    lane.put(&s, Chunks::new(b"four", 4).with_meta(told.clone()).body()).await.during("putting")?;
    let entry = found(&*lane, &s.path).await?;
    let body = lane.open(&entry, None).await.during("opening")?;
    let meta = body.meta();
    ensure!(
        meta.mtime_ns == told.mtime_ns && meta.mode == told.mode,
        "the source's metadata came back as {meta:?}"
    );
    if profile.posix {
        ensure!(entry.modified_ns == 1_111_111_111_000_000_001, "modified at {}", entry.modified_ns);
    }
    Ok(())
}

/// Symbolic links come back as what they hold.
///
/// # Errors
/// The broken promise.
pub async fn links(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let held: &[u8] = b"../some where/\xff";
    let mut t = target("links/link", held.len())?;
    t.meta.symlink = Some(held.into());
    put(&*lane, &t, held).await?;
    let entry = found(&*lane, &t.path).await?;
    ensure!(entry.size == held.len() as u64, "a link weighs {} bytes, not its target's", entry.size);
    if profile.posix {
        ensure!(entry.kind == EntryKind::Symlink { target: held.into() }, "the link is {:?}", entry.kind);
    }
    let body = lane.open(&entry, None).await.during("opening a link")?;
    ensure!(
        body.meta().symlink.as_deref() == Some(held),
        "the link's metadata says {:?}",
        body.meta().symlink
    );
    if profile.posix {
        let first = target("links/first", 7)?;
        put(&*lane, &first, b"content").await?;
        let mut second = target("links/second", 7)?;
        second.meta.hard_link = Some(first.path.clone());
        put(&*lane, &second, b"").await?;
        let entries =
            list_all(tree, ListRequest { prefix: b"links/".to_vec(), ..ListRequest::default() }).await?;
        let kind = entries.iter().find(|e| e.path == second.path).map(|e| &e.kind);
        ensure!(kind == Some(&EntryKind::HardLink { first: first.path }), "the second name is {kind:?}");
        second.path = path(b"links/third")?;
        second.meta.hard_link = Some(path(b"links/nowhere")?);
        let empty = Chunks::new(b"", 1).body();
        fails_with("linking what is not there", ErrorKind::NotFound, lane.put(&second, empty)).await?;
    }
    Ok(())
}

/// A directory that was put is listed as one; files and directories exclude each other where they do.
///
/// # Errors
/// The broken promise.
pub async fn directories(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let t = target("directories/empty", 0)?;
    lane.put_dir(&t).await.during("putting a directory")?;
    lane.put_dir(&t).await.during("putting a directory again")?;
    let entries =
        list_all(tree, ListRequest { prefix: t.path.as_bytes().to_vec(), ..ListRequest::default() }).await?;
    let kinds: Vec<_> = entries.iter().map(|e| (e.path.clone(), e.kind.clone())).collect();
    ensure!(kinds == [(t.path.clone(), EntryKind::Dir)], "the directory is listed as {kinds:?}");
    if profile.posix {
        let (a, ab) = (target("directories/a", 1)?, target("directories/a/b", 1)?);
        put(&*lane, &a, b"x").await?;
        let body = || Chunks::new(b"x", 1).body();
        fails_with("putting below a file", ErrorKind::Unacceptable, lane.put(&ab, body())).await?;
        fails_with("a directory over a file", ErrorKind::Unacceptable, lane.put_dir(&a)).await?;
        lane.remove(&a.path).await.during("removing")?;
        put(&*lane, &ab, b"x").await?;
        fails_with("putting over a directory", ErrorKind::Exists, lane.put(&a, body())).await?;
        ensure!(found(&*lane, &ab.path).await?.size == 1, "the file below the directory was lost");
    }
    Ok(())
}
