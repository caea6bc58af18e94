//! Plans: what a transfer would do, without doing it.
//!
//! Both ends are listed in key order and merged, within a bound of items and time; what was seen by then
//! is the answer, marked as incomplete. The comparison is by size and time alone, since listings carry no
//! marks: a file that the run itself will find unchanged by its mark may be counted as a conflict here.
//! Not the engine's decision, an estimate of it.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use connector::{Entry, EntryKind, EntryStream, ListRequest, Tree};
use model::{ConflictPolicy, DataType, Direction, Selection, TransferSpec};

use crate::error::from_connector;
use crate::{Control, Error, ErrorKind, Noun, Plan, Result};

/// Objects above this size move in parts of about this size.
const PART: u64 = 16 << 20;
/// Keys of one listing page.
const PAGE: u64 = 1000;
/// What a plan assumes: files and bytes a second on an ordinary machine and network.
const FILES_PER_S: u64 = 1000;
const BYTES_PER_S: u64 = 100_000_000;

/// A stretch of the source that is meant.
struct Stretch {
    prefix: Vec<u8>,
    /// Only the item of this very name.
    exact: bool,
    /// Where it goes, when that is another name.
    to: Option<Vec<u8>>,
}

impl Control {
    /// Walks both ends and tells what a transfer would do. Nothing is changed.
    ///
    /// # Errors
    /// `NotFound` (file system, object store, bucket, directory of the source), `BadCredentials`,
    /// `Unreachable`, `Unsupported` for a plan of metadata alone.
    pub async fn plan(&self, spec: &TransferSpec) -> Result<Plan> {
        let mut spec = spec.clone();
        let fs = self.file_system(&spec.directory.file_system).await?;
        spec.directory.root = fs.root;
        self.object_store(&spec.object.store).await?;
        if spec.data != DataType::MetaAndData && spec.direction == Direction::Export {
            return Err(Error::new(ErrorKind::Unsupported, "metadata alone can't be exported"));
        }
        let mut plan = Plan::default();
        let limit = Duration::from_secs(self.0.limits.plan_seconds.max(1));
        match tokio::time::timeout(limit, self.walk(&spec, &mut plan)).await {
            Ok(done) => done?,
            Err(_) => plan.complete = false,
        }
        plan.requests += plan.items.div_ceil(PAGE);
        plan.estimated_s =
            (plan.files / FILES_PER_S).max(plan.bytes / BYTES_PER_S) + u64::from(plan.files > 0);
        tracing::info!(?plan, direction = ?spec.direction, bucket = %spec.object.bucket, "planned a transfer");
        Ok(plan)
    }

    async fn walk(&self, spec: &TransferSpec, plan: &mut Plan) -> Result<()> {
        let credentials = spec.credentials.as_ref();
        let object = self.0.trees.object(&spec.object, credentials, spec.dialect).await;
        let object = object.map_err(|e| from_connector(&e, Noun::Bucket))?;
        let directory = self.0.trees.directory(&spec.directory, Some(spec));
        let (source, target, missing) = match spec.direction {
            Direction::Import => match directory {
                Ok(d) => (object, Some(d), Noun::Bucket),
                Err(e) if e.kind() == connector::ErrorKind::NotFound => (object, None, Noun::Bucket),
                Err(e) => return Err(from_connector(&e, Noun::Directory)),
            },
            Direction::Export => {
                let d = directory.map_err(|e| from_connector(&e, Noun::Directory))?;
                (d, Some(object), Noun::Directory)
            }
        };
        source.probe(false).await.map_err(|e| from_connector(&e, missing))?;
        let Some(stretches) = stretches(&spec.selection) else { return Ok(()) };
        let mut left = self.0.limits.plan_items;
        for stretch in &stretches {
            merge(spec.conflict, [Some(&source), target.as_ref()], stretch, &mut left, plan)
                .await
                .map_err(|e| from_connector(&e, missing))?;
            if left == 0 {
                return Ok(());
            }
        }
        plan.complete = true;
        Ok(())
    }
}

/// `None`: which items are meant stands in a list that a plan does not read.
fn stretches(selection: &Selection) -> Option<Vec<Stretch>> {
    let below = |p: &String| Stretch { prefix: p.clone().into(), exact: !p.ends_with('/'), to: None };
    match selection {
        Selection::All => Some(vec![Stretch { prefix: Vec::new(), exact: false, to: None }]),
        Selection::Includes(dirs) => {
            Some(dirs.iter().map(|d| Stretch { exact: false, ..below(d) }).collect())
        }
        Selection::Entries(entries) => Some(entries.iter().map(below).collect()),
        Selection::One { from, to, .. } => {
            Some(vec![Stretch { prefix: from.clone().into(), exact: true, to: Some(to.clone().into()) }])
        }
        Selection::CsvUnder(_) | Selection::ListFile(_) | Selection::ListUrl(_) => None,
    }
}

/// A listing, one entry at a time.
struct Walk {
    stream: Option<Box<dyn EntryStream>>,
    page: VecDeque<connector::Result<Entry>>,
}

impl Walk {
    fn of(tree: Option<&Arc<dyn Tree>>, prefix: &[u8]) -> Self {
        let request = ListRequest { prefix: prefix.to_vec(), ..ListRequest::default() };
        Self { stream: tree.map(|t| t.list(request)), page: VecDeque::new() }
    }

    /// The next entry; `Err` inside is about one name.
    async fn next(&mut self) -> connector::Result<Option<connector::Result<Entry>>> {
        while self.page.is_empty() {
            let Some(stream) = &mut self.stream else { return Ok(None) };
            match stream.next().await? {
                Some(page) => self.page.extend(page),
                None => self.stream = None,
            }
        }
        Ok(self.page.pop_front())
    }

    /// The next entry that can be one; a destination that isn't there has none.
    async fn next_good(&mut self) -> connector::Result<Option<Entry>> {
        loop {
            match self.next().await {
                Ok(Some(Ok(entry))) => return Ok(Some(entry)),
                Ok(Some(Err(_))) => {}
                Ok(None) => return Ok(None),
                Err(e) if e.kind() == connector::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }
}

fn key(e: &Entry) -> Vec<u8> {
    let mut key = e.path.as_bytes().to_vec();
    if e.kind == EntryKind::Dir {
        key.push(b'/');
    }
    key
}

async fn merge(
    policy: ConflictPolicy,
    [source, target]: [Option<&Arc<dyn Tree>>; 2],
    stretch: &Stretch,
    left: &mut u64,
    plan: &mut Plan,
) -> connector::Result<()> {
    let to = stretch.to.as_deref();
    let mut source = Walk::of(source, &stretch.prefix);
    let mut target = Walk::of(target, to.unwrap_or(&stretch.prefix));
    let mut there = target.next_good().await?;
    while let Some(entry) = source.next().await? {
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        let entry = match entry {
            Ok(entry) => entry,
            Err(_) if stretch.exact => continue,
            Err(_) => {
                plan.items += 1;
                plan.refused += 1;
                continue;
            }
        };
        if stretch.exact && entry.path.as_bytes() != stretch.prefix {
            return Ok(());
        }
        let wanted = to.map_or_else(|| key(&entry), <[u8]>::to_vec);
        while there.as_ref().is_some_and(|t| key(t).cmp(&wanted) == Ordering::Less) {
            there = target.next_good().await?;
        }
        let found = there.as_ref().filter(|t| key(t) == wanted);
        count(policy, &entry, found, plan);
    }
    Ok(())
}

fn count(policy: ConflictPolicy, e: &Entry, found: Option<&Entry>, plan: &mut Plan) {
    plan.items += 1;
    match e.kind {
        EntryKind::Dir => return,
        EntryKind::Special => {
            plan.refused += 1;
            return;
        }
        _ => {}
    }
    if let Some(there) = found {
        let same = there.size == e.size && there.modified_ns >= e.modified_ns;
        match policy {
            ConflictPolicy::IfChanged if same => {
                plan.unchanged += 1;
                return;
            }
            ConflictPolicy::Skip => {
                plan.skipped += 1;
                plan.conflicts += u64::from(!same);
                return;
            }
            ConflictPolicy::KeepLatest if there.modified_ns >= e.modified_ns => {
                plan.skipped += 1;
                plan.conflicts += u64::from(!same);
                return;
            }
            _ => plan.conflicts += 1,
        }
    }
    plan.files += 1;
    plan.bytes += e.size;
    plan.requests += if e.size > PART { e.size.div_ceil(PART) + 2 } else { 1 };
}
