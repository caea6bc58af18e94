//! Whole items: written at once or not at all, read as they were listed.

use super::{Chunks, During, Profile, Verdict, content, fails_with, found, path, put, read_all, target};
use crate::{Digest, EntryKind, ErrorKind, Overwrite, Range, Tree};

/// What was put is there, whole and in ranges, with its stamp and digest; removing removes.
///
/// # Errors
/// The broken promise.
pub async fn whole_items(tree: &dyn Tree) -> Verdict {
    let lane = tree.lane();
    for size in [0, 1, 4096, 100_001] {
        let t = target(&format!("whole/of {size}"), size)?;
        let bytes = content(size, 1);
        let stored = put(&*lane, &t, &bytes).await?;
        ensure!(stored.digest == Digest::of(&bytes), "the digest of {size} bytes is {}", stored.digest);
        let f = lane.stat(&t.path).await.during("stat")?.ok_or("nothing is there after put")?;
        ensure!(f.entry.kind == EntryKind::File && f.entry.size == size as u64, "stat says {:?}", f.entry);
        ensure!(f.stamp.as_ref() == Some(&t.stamp), "the stamp is {:?}, not {:?}", f.stamp, t.stamp);
        ensure!(f.digest.is_none_or(|d| d == stored.digest), "stat tells the digest {:?}", f.digest);
        ensure!(
            stored.version.is_none() || stored.version == f.entry.version,
            "put gave version {:?}, stat gives {:?}",
            stored.version,
            f.entry.version
        );
        let body = lane.open(&f.entry, None).await.during("opening")?;
        ensure!(body.len() == size as u64, "the body of {size} bytes says it has {}", body.len());
        ensure!(read_all(body).await.during("reading")? == bytes, "{size} bytes came back different");
        ensure!(lane.remove(&t.path).await.during("removing")?, "removing what is there said it was not");
        ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "it is still there after remove");
    }
    let t = target("whole/ranges", 50_000)?;
    let bytes = content(50_000, 2);
    put(&*lane, &t, &bytes).await?;
    let entry = found(&*lane, &t.path).await?;
    for (start, end) in [(0u64, 1u64), (0, 50_000), (4095, 4097), (49_999, 50_000), (777, 40_001)] {
        let body = lane.open(&entry, Some(Range { start, end })).await.during("opening a range")?;
        ensure!(body.len() == end - start, "the range {start}..{end} says it has {} bytes", body.len());
        let got = read_all(body).await.during("reading a range")?;
        ensure!(got == bytes[start as usize..end as usize], "the range {start}..{end} is different");
    }
    Ok(())
}

/// Too few bytes, too many or a broken source make nothing visible.
///
/// # Errors
/// The broken promise.
pub async fn wrong_lengths(tree: &dyn Tree) -> Verdict {
    let lane = tree.lane();
    let t = target("lengths/item", 5000)?;
    for len in [0, 4999, 5001, 9000] {
        let body = Chunks::new(&content(len, 3), 1000).body();
        fails_with(&format!("putting {len} bytes for 5000"), ErrorKind::Changed, lane.put(&t, body)).await?;
        ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "{len} bytes for 5000 became visible");
    }
    let broken = Chunks::new(&content(2000, 3), 1000).failing().body();
    fails_with("putting from a broken source", ErrorKind::Unavailable, lane.put(&t, broken)).await?;
    ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "a broken body became visible");
    put(&*lane, &t, &content(5000, 3)).await?;
    let broken = Chunks::new(&content(2000, 4), 1000).failing().body();
    fails_with("replacing from a broken source", ErrorKind::Unavailable, lane.put(&t, broken)).await?;
    let entry = found(&*lane, &t.path).await?;
    let got = read_all(lane.open(&entry, None).await.during("opening")?).await.during("reading")?;
    ensure!(got == content(5000, 3), "a failed replacement changed what was there");
    Ok(())
}

/// `Always` replaces, `Never` does not.
///
/// # Errors
/// The broken promise.
pub async fn conditions(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let mut t = target("conditions/item", 10)?;
    put(&*lane, &t, &content(10, 5)).await?;
    put(&*lane, &t, &content(10, 6)).await?;
    let entry = found(&*lane, &t.path).await?;
    let got = read_all(lane.open(&entry, None).await.during("opening")?).await.during("reading")?;
    ensure!(got == content(10, 6), "a second put did not replace the first");
    if profile.conditional {
        t.overwrite = Overwrite::Never;
        let body = Chunks::new(&content(10, 7), 4).body();
        fails_with("putting over an item with `Never`", ErrorKind::Exists, lane.put(&t, body)).await?;
        ensure!(found(&*lane, &t.path).await? == entry, "a refused put changed the item");
        t.path = path(b"conditions/new")?;
        put(&*lane, &t, &content(10, 7)).await?;
    }
    Ok(())
}

/// An item that is no longer the listed one is not read.
///
/// # Errors
/// The broken promise.
pub async fn changed_items(tree: &dyn Tree) -> Verdict {
    let lane = tree.lane();
    let t = target("changed/item", 3000)?;
    put(&*lane, &t, &content(3000, 8)).await?;
    let old = found(&*lane, &t.path).await?;
    put(&*lane, &t, &content(3000, 9)).await?;
    let read = async { read_all(lane.open(&old, None).await?).await };
    fails_with("reading a replaced item", ErrorKind::Changed, read).await
}

/// What isn't there is not an error to ask for, and one to read.
///
/// # Errors
/// The broken promise.
pub async fn missing_items(tree: &dyn Tree) -> Verdict {
    let lane = tree.lane();
    let t = target("missing/item", 3)?;
    ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "something is where nothing was put");
    ensure!(!lane.remove(&t.path).await.during("removing")?, "removing nothing said it removed");
    put(&*lane, &t, &content(3, 1)).await?;
    let entry = found(&*lane, &t.path).await?;
    lane.remove(&t.path).await.during("removing")?;
    let read = async { read_all(lane.open(&entry, None).await?).await };
    fails_with("reading a removed item", ErrorKind::NotFound, read).await
}
