//! Writes in parts, and what is left of them.

use super::{Chunks, During, Profile, Verdict, content, fails_with, read_all, target};
use crate::{Digest, ErrorKind, Meta, Part, Range, Stamp, Sweep, Target, Tree};

/// Parts in any order and from two lanes make a whole; a later run finds them again.
///
/// # Errors
/// The broken promise.
pub async fn parts(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let (lane, other) = (tree.lane(), tree.lane());
    let size = profile.part_size as usize * 2 + 1234;
    let t = target("parts/large", size)?;
    let bytes = content(size, 11);
    let part = |number: u32| {
        let start = u64::from(number - 1) * profile.part_size;
        Part { number, range: Range { start, end: (start + profile.part_size).min(size as u64) } }
    };
    let body = |p: Part| Chunks::new(&bytes[p.range.start as usize..p.range.end as usize], 60_000).body();
    let upload = lane.begin(&t, profile.part_size).await.during("beginning")?;
    ensure!(upload.done.is_empty(), "a new upload has parts: {:?}", upload.done);
    lane.put_part(&t, &upload, part(3), body(part(3))).await.during("putting part 3")?;
    let short = Chunks::new(&bytes[..1000], 1000).body();
    fails_with("putting a short part", ErrorKind::Changed, lane.put_part(&t, &upload, part(2), short))
        .await?;
    other.put_part(&t, &upload, part(1), body(part(1))).await.during("putting part 1")?;
    ensure!(lane.stat(&t.path).await.during("stat")?.is_none(), "an unfinished upload is visible");
    drop((lane, other));
    let lane = tree.lane();
    let again = lane.begin(&t, profile.part_size).await.during("beginning again")?;
    let numbers: Vec<u32> = again.done.iter().map(|p| p.number).collect();
    ensure!(numbers == [1, 3], "the parts found again are {numbers:?}, not 1 and 3");
    let mut all = again.done.clone();
    all.push(lane.put_part(&t, &again, part(2), body(part(2))).await.during("putting part 2")?);
    all.sort_by_key(|p| p.number);
    let stored = lane.finish(&t, &again, &all, &Meta::default()).await.during("finishing")?;
    if all.iter().all(|p| p.digest.is_some()) {
        ensure!(stored.digest == Digest::of(&bytes), "the digest of the whole is {}", stored.digest);
    }
    let f = lane.stat(&t.path).await.during("stat")?.ok_or("nothing is there after finish")?;
    ensure!(f.stamp.as_ref() == Some(&t.stamp), "the stamp is {:?}", f.stamp);
    let got = read_all(lane.open(&f.entry, None).await.during("opening")?).await.during("reading")?;
    ensure!(got == bytes, "the parts came back different");
    Ok(())
}

/// An aborted upload is forgotten, a forgotten one is swept.
///
/// # Errors
/// The broken promise.
pub async fn leftovers(tree: &dyn Tree, profile: &Profile) -> Verdict {
    let lane = tree.lane();
    let size = profile.part_size as usize + 1;
    let t = target("leftovers/large", size)?;
    let bytes = content(size, 12);
    let part = Part { number: 1, range: Range { start: 0, end: profile.part_size } };
    let body = || Chunks::new(&bytes[..profile.part_size as usize], 65_536).body();
    let upload = lane.begin(&t, profile.part_size).await.during("beginning")?;
    lane.put_part(&t, &upload, part, body()).await.during("putting a part")?;
    lane.abort(&t, &upload).await.during("aborting")?;
    let upload = lane.begin(&t, profile.part_size).await.during("beginning after an abort")?;
    ensure!(upload.done.is_empty(), "an aborted upload was found again");
    lane.put_part(&t, &upload, part, body()).await.during("putting a part")?;
    let sweep = async |what: Sweep| tree.sweep(&what).await.during("sweeping");
    ensure!(sweep(Sweep::idle(3600)).await? == 0, "the sweep took a young upload");
    ensure!(sweep(Sweep::of_run(&t.stamp.run, 3600)).await? == 0, "the sweep of its run took a young upload");
    ensure!(sweep(Sweep::of_run("another run", 0)).await? == 0, "the sweep took another run's upload");
    ensure!(sweep(Sweep::of_run(&t.stamp.run, 0)).await? > 0, "the sweep of its run found nothing");
    let upload = lane.begin(&t, profile.part_size).await.during("beginning after a sweep")?;
    ensure!(upload.done.is_empty(), "a swept upload was found again");
    lane.put_part(&t, &upload, part, body()).await.during("putting a part")?;
    // Who finds it again has it from then on.
    let other = Target { stamp: Stamp { run: "another run".into(), ..t.stamp.clone() }, ..t.clone() };
    lane.begin(&other, profile.part_size).await.during("beginning for another run")?;
    ensure!(
        sweep(Sweep::of_run(&t.stamp.run, 0)).await? == 0,
        "the sweep took what another run goes on with"
    );
    ensure!(sweep(Sweep::idle(0)).await? > 0, "the sweep found nothing");
    let upload = lane.begin(&t, profile.part_size).await.during("beginning after a sweep")?;
    ensure!(upload.done.is_empty(), "a swept upload was found again");
    lane.abort(&t, &upload).await.during("aborting")
}
