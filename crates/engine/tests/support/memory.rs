//! A tree in memory, as a directory or as a bucket, with scripted faults and a log of its writes.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector::*;
use runtime::Clock;

/// Which manners the tree has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Parents are made, a file can't hold others, stamps are shown by stat.
    Directory,
    /// Flat keys, upload times.
    Bucket,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Before anything happens.
    Before(ErrorKind),
    /// After the effect: the answer is lost.
    After(ErrorKind),
    /// The body ends early.
    Truncated,
    /// Takes this many ms.
    Slow(u64),
    /// Somebody else is there just before it happens.
    MeddledBefore(Meddling),
    /// Somebody else is there right after it has happened.
    MeddledAfter(Meddling),
}

/// What somebody else does to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// Writes a file of so many bytes of the number.
    Write(u8, usize),
    /// Puts a link in its place.
    Link,
    Remove,
    /// Writes a file of so many bytes of the number beside it, under a name of its own.
    Add(u8, usize),
}

/// Where it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Open,
    Put,
    PutDir,
    Begin,
    PutPart,
    Finish,
    Stat,
    List,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    File(Vec<u8>),
    Dir,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Special,
}

#[derive(Debug, Clone)]
pub struct Node {
    pub what: What,
    pub meta: Meta,
    pub version: Box<str>,
    pub modified_ns: i64,
    pub stamp: Option<Stamp>,
    /// Of what was written together with the stamp.
    pub digest: Option<Digest>,
}

#[derive(Default)]
pub struct State {
    pub nodes: BTreeMap<Vec<u8>, Node>,
    pub mishaps: HashMap<(Op, Vec<u8>), VecDeque<Mishap>>,
    pub uploads: BTreeMap<String, Begun>,
    /// Paths in the order in which they became visible.
    pub writes: Vec<Vec<u8>>,
    pub parts: Vec<(Vec<u8>, u32)>,
    pub tick: i64,
    pub aborts: usize,
    /// Keys that the listing complains about.
    pub bad_keys: Vec<Vec<u8>>,
    pub settled: usize,
    /// Whoever holds it keeps the disk busy: settling waits.
    pub disk: Arc<Mutex<()>>,
    pub lists: usize,
    /// What somebody else did, in this order.
    pub meddled: Vec<(Vec<u8>, Meddling)>,
    /// What sweeps were asked for.
    pub sweeps: Vec<Sweep>,
}

pub struct Begun {
    path: Vec<u8>,
    version: Box<str>,
    part_size: u64,
    parts: BTreeMap<u32, Vec<u8>>,
}

#[derive(Clone)]
pub struct Memory {
    pub style: Style,
    pub clock: Clock,
    pub state: Arc<Mutex<State>>,
    pub page: usize,
}

impl Memory {
    pub fn new(style: Style, clock: &Clock) -> Self {
        Self { style, clock: clock.clone(), state: Arc::default(), page: 7 }
    }

    pub fn tree(&self) -> Arc<dyn Tree> {
        Arc::new(self.clone())
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something there behind everybody's back, `age_s` seconds old.
    pub fn set(&self, key: &[u8], what: What, age_s: i64) {
        let mut s = self.lock();
        let at = self.now(&mut s) - age_s * 1_000_000_000;
        let version = self.version(&mut s, &what, at);
        let meta = match self.style {
            Style::Directory => Meta { mtime_ns: Some(at), mode: Some(0o640), ..Meta::default() },
            Style::Bucket => Meta::default(),
        };
        if self.style == Style::Directory {
            for (i, _) in key.iter().enumerate().filter(|(i, b)| **b == b'/' && *i + 1 < key.len()) {
                s.nodes.entry(key[..=i].to_vec()).or_insert_with(|| Node {
                    what: What::Dir,
                    meta: Meta { mtime_ns: Some(at), mode: Some(0o750), ..Meta::default() },
                    version: format!("{i}-{at}").into(),
                    modified_ns: at,
                    stamp: None,
                    digest: None,
                });
            }
        }
        let node = Node { what, meta, version, modified_ns: at, stamp: None, digest: None };
        s.nodes.insert(key.to_vec(), node);
    }

    pub fn file(&self, key: &str, content: &[u8]) {
        self.set(key.as_bytes(), What::File(content.to_vec()), 3600);
    }

    pub fn script(&self, op: Op, key: &str, mishaps: &[Mishap]) {
        self.lock().mishaps.insert((op, key.as_bytes().to_vec()), mishaps.iter().copied().collect());
    }

    pub fn meddle(&self, key: &[u8], how: Meddling) {
        self.lock().meddled.push((key.to_vec(), how));
        match how {
            Meddling::Add(byte, len) => self.set(&[key, b"+"].concat(), What::File(vec![byte; len]), 0),
            Meddling::Write(byte, len) => self.set(key, What::File(vec![byte; len]), 0),
            Meddling::Link => self.set(key, What::Symlink(b"elsewhere".to_vec()), 0),
            Meddling::Remove => drop(self.lock().nodes.remove(key)),
        }
    }

    pub fn content(&self, key: &str) -> Option<Vec<u8>> {
        match &self.lock().nodes.get(key.as_bytes())?.what {
            What::File(c) => Some(c.clone()),
            _ => None,
        }
    }

    fn now(&self, s: &mut State) -> i64 {
        s.tick += 1;
        self.clock.now().0 * 1000 + s.tick
    }

    fn version(&self, s: &mut State, what: &What, at: i64) -> Box<str> {
        match (self.style, what) {
            (Style::Directory, _) => {
                s.tick += 1;
                format!("{}-{at}", s.tick).into()
            }
            (Style::Bucket, What::File(c)) => format!("e{:x}", Digest::of(c).crc64).into(),
            (Style::Bucket, _) => "marker".into(),
        }
    }

    async fn mishap(&self, op: Op, path: &[u8]) -> Result<Option<Mishap>> {
        let next = self.lock().mishaps.get_mut(&(op, path.to_vec())).and_then(VecDeque::pop_front);
        match next {
            Some(Mishap::Before(kind)) => Err(Error::new(kind, format!("scripted before {op:?}"))),
            Some(Mishap::MeddledBefore(how)) => {
                self.meddle(path, how);
                Ok(None)
            }
            Some(Mishap::Slow(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    fn entry(&self, key: &[u8], node: &Node) -> Entry {
        let kind = match &node.what {
            What::File(_) => EntryKind::File,
            What::Dir => EntryKind::Dir,
            What::Symlink(_) if self.style == Style::Bucket => EntryKind::File,
            What::Symlink(t) => EntryKind::Symlink { target: t.clone().into() },
            What::HardLink(_) if self.style == Style::Bucket => EntryKind::File,
            What::HardLink(first) => EntryKind::HardLink { first: TreePath::new(first).unwrap() },
            What::Special => EntryKind::Special,
        };
        let size = match &node.what {
            What::File(c) => c.len() as u64,
            What::Symlink(t) => t.len() as u64,
            _ => 0,
        };
        Entry {
            path: TreePath::new(key).unwrap(),
            kind,
            size,
            modified_ns: node.modified_ns,
            version: Some(node.version.clone()),
            meta: (self.style == Style::Directory).then(|| Box::new(node.meta.clone())),
        }
    }

    fn find(&self, s: &State, path: &TreePath) -> Option<(Vec<u8>, Node)> {
        let key = path.as_bytes().to_vec();
        let dir = [path.as_bytes(), b"/"].concat();
        [key, dir].into_iter().find_map(|k| s.nodes.get(&k).map(|n| (k, n.clone())))
    }

    /// Makes a node visible under the manners of the style.
    fn place(&self, s: &mut State, target: &Target, meta: Meta, what: What) -> Result<Stored> {
        let path = target.path.as_bytes();
        let digest = match &what {
            What::File(c) | What::Symlink(c) => Digest::of(c),
            _ => Digest::EMPTY,
        };
        let at = self.now(s);
        if self.style == Style::Directory {
            if s.nodes.contains_key(&[path, b"/"].concat()) {
                return Err(Error::new(ErrorKind::Exists, "a directory is in the way"));
            }
            self.parents(s, path, at)?;
        }
        if target.overwrite == Overwrite::Never && s.nodes.contains_key(path) {
            return Err(Error::new(ErrorKind::Exists, "exists"));
        }
        let version = self.version(s, &what, at);
        let stamped = !matches!(what, What::Symlink(_)) || self.style == Style::Bucket;
        let modified_ns = match self.style {
            Style::Directory => meta.mtime_ns.unwrap_or(at),
            Style::Bucket => at,
        };
        let stamp = stamped.then(|| target.stamp.clone());
        let kept = (self.style == Style::Directory && stamp.is_some()).then_some(digest);
        let node = Node { what, meta, version: version.clone(), modified_ns, stamp, digest: kept };
        s.nodes.insert(path.to_vec(), node);
        self.touch_parent(s, path, at);
        s.writes.push(path.to_vec());
        Ok(Stored { version: Some(version), digest })
    }

    fn parents(&self, s: &mut State, path: &[u8], at: i64) -> Result<()> {
        for (i, _) in path.iter().enumerate().filter(|(_, b)| **b == b'/') {
            if s.nodes.contains_key(&path[..i]) {
                return Err(Error::new(ErrorKind::Unacceptable, "a file is in the way"));
            }
            if s.nodes.contains_key(&path[..=i]) {
                continue;
            }
            let version = self.version(s, &What::Dir, at);
            let meta = Meta { mtime_ns: Some(at), mode: Some(0o755), ..Meta::default() };
            let node = Node { what: What::Dir, meta, version, modified_ns: at, stamp: None, digest: None };
            s.nodes.insert(path[..=i].to_vec(), node);
            self.touch_parent(s, &path[..i], at);
        }
        Ok(())
    }

    /// A file system's directory gets a new time when something is put into it.
    fn touch_parent(&self, s: &mut State, path: &[u8], at: i64) {
        let Some(i) = path.iter().rposition(|b| *b == b'/').filter(|_| self.style == Style::Directory) else {
            return;
        };
        let version = self.version(s, &What::Dir, at);
        if let Some(dir) = s.nodes.get_mut(&path[..=i]) {
            (dir.modified_ns, dir.meta.mtime_ns, dir.version) = (at, Some(at), version);
        }
    }
}

#[async_trait]
impl Tree for Memory {
    fn describe(&self) -> String {
        format!("memory {:?}", self.style)
    }

    async fn probe(&self, _write: bool) -> Result<Probe> {
        Ok(Probe { readable: true, writable: true, server: None })
    }

    fn list(&self, request: ListRequest) -> Box<dyn EntryStream> {
        self.lock().lists += 1;
        Box::new(Listing { memory: self.clone(), after: request.after.clone(), request, bad: false })
    }

    fn lane(&self) -> Box<dyn Lane> {
        Box::new(MemoryLane(self.clone()))
    }

    fn settle(&self) -> Result<()> {
        let disk = self.lock().disk.clone();
        let _free = disk.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().settled += 1;
        Ok(())
    }

    async fn sweep(&self, what: &Sweep) -> Result<u64> {
        self.lock().sweeps.push(what.clone());
        Ok(0)
    }
}

struct Listing {
    memory: Memory,
    request: ListRequest,
    after: Option<Vec<u8>>,
    bad: bool,
}

#[async_trait]
impl EntryStream for Listing {
    async fn next(&mut self) -> Result<Option<Vec<Result<Entry>>>> {
        self.memory.mishap(Op::List, b"").await?;
        tokio::task::yield_now().await;
        let s = self.memory.lock();
        let after = self.after.clone();
        let from = |k: &Vec<u8>| after.as_ref().is_none_or(|a| k > a);
        let page: Vec<_> = s
            .nodes
            .iter()
            .filter(|(k, _)| k.starts_with(&self.request.prefix) && from(k))
            .take(self.memory.page)
            .map(|(k, n)| (k.clone(), self.memory.entry(k, n)))
            .collect();
        let last = page.last().map(|(k, _)| k.clone());
        let mut out: Vec<Result<Entry>> = Vec::new();
        let mut bad: VecDeque<_> =
            s.bad_keys.iter().filter(|k| from(k) && last.as_ref().is_none_or(|l| *k < l)).cloned().collect();
        if last.is_none() && self.bad {
            bad.clear();
        }
        for (k, e) in page {
            while bad.front().is_some_and(|b| *b < k) {
                out.extend(
                    bad.pop_front().map(|b| Err(Error::new(ErrorKind::Unacceptable, display_bytes(&b)))),
                );
            }
            out.push(Ok(e));
        }
        out.extend(bad.into_iter().map(|b| Err(Error::new(ErrorKind::Unacceptable, display_bytes(&b)))));
        self.bad = last.is_none();
        self.after = last.or(after);
        Ok((!out.is_empty()).then_some(out))
    }
}

struct MemoryLane(Memory);

struct Content {
    meta: Meta,
    len: u64,
    expected: Option<Digest>,
    chunks: VecDeque<Bytes>,
    truncated: bool,
}

#[async_trait(?Send)]
impl Source for Content {
    fn len(&self) -> u64 {
        self.len
    }
    fn meta(&self) -> &Meta {
        &self.meta
    }
    fn expected(&self) -> Option<Digest> {
        self.expected
    }
    async fn next(&mut self) -> Result<Option<Bytes>> {
        tokio::task::yield_now().await;
        match self.chunks.pop_front() {
            Some(c) => Ok(Some(c)),
            None if self.truncated => Err(Error::new(ErrorKind::Corrupt, "the body ended early")),
            None => Ok(None),
        }
    }
}

impl MemoryLane {
    async fn write(&self, op: Op, target: &Target, meta: Meta, what: What) -> Result<Stored> {
        let mishap = self.0.mishap(op, target.path.as_bytes()).await?;
        tokio::task::yield_now().await;
        let stored = {
            let mut s = self.0.lock();
            let s = &mut *s;
            self.0.place(s, target, meta, what)?
        };
        match mishap {
            Some(Mishap::After(kind)) => Err(Error::new(kind, "scripted: the answer was lost")),
            Some(Mishap::MeddledAfter(how)) => {
                self.0.meddle(target.path.as_bytes(), how);
                Ok(stored)
            }
            _ => Ok(stored),
        }
    }
}

async fn drain(body: &mut Body) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

fn merged(target: &Meta, source: &Meta) -> Meta {
    Meta {
        mtime_ns: target.mtime_ns.or(source.mtime_ns),
        atime_ns: None,
        mode: target.mode.or(source.mode),
        uid: target.uid.or(source.uid),
        gid: target.gid.or(source.gid),
        xattrs: if target.xattrs.is_empty() { source.xattrs.clone() } else { target.xattrs.clone() },
        symlink: target.symlink.clone().or_else(|| source.symlink.clone()),
        hard_link: target.hard_link.clone().or_else(|| source.hard_link.clone()),
        headers: if target.headers.is_empty() { source.headers.clone() } else { target.headers.clone() },
    }
}

#[async_trait(?Send)]
impl Lane for MemoryLane {
    async fn stat(&self, path: &TreePath) -> Result<Option<Found>> {
        self.0.mishap(Op::Stat, path.as_bytes()).await?;
        let s = self.0.lock();
        Ok(self.0.find(&s, path).map(|(key, node)| {
            let mut entry = self.0.entry(&key, &node);
            if let What::HardLink(first) = &node.what
                && let Some(Node { what: What::File(c), .. }) = s.nodes.get(first)
            {
                (entry.kind, entry.size) = (EntryKind::File, c.len() as u64);
            }
            // A look at an object tells more than a listing.
            entry.meta.get_or_insert_with(|| Box::new(node.meta.clone()));
            Found { entry, stamp: node.stamp, digest: node.digest }
        }))
    }

    async fn open(&self, entry: &Entry, range: Option<Range>) -> Result<Body> {
        let mishap = self.0.mishap(Op::Open, entry.path.as_bytes()).await?;
        let s = self.0.lock();
        let (_, node) =
            self.0.find(&s, &entry.path).ok_or_else(|| Error::new(ErrorKind::NotFound, "gone"))?;
        if entry.version.as_ref().is_some_and(|v| *v != node.version) {
            return Err(Error::new(ErrorKind::Changed, "another version"));
        }
        let mut meta = node.meta.clone();
        let content = match node.what {
            What::File(c) => c,
            What::Symlink(t) => {
                meta.symlink = Some(t.clone().into());
                t
            }
            What::HardLink(first) => {
                if self.0.style == Style::Bucket {
                    meta.hard_link = Some(TreePath::new(&first).unwrap());
                }
                match s.nodes.get(&first) {
                    Some(Node { what: What::File(c), .. }) => c.clone(),
                    _ => return Err(Error::new(ErrorKind::NotFound, "no first name")),
                }
            }
            What::Dir | What::Special => Vec::new(),
        };
        let whole = Digest::of(&content);
        let range = range.unwrap_or(Range { start: 0, end: content.len() as u64 });
        let bytes = &content[range.start as usize..range.end as usize];
        let mut chunks: VecDeque<_> =
            bytes.chunks(5.max(bytes.len() / 64)).map(Bytes::copy_from_slice).collect();
        let truncated = mishap == Some(Mishap::Truncated);
        if truncated {
            chunks.truncate(chunks.len() / 2);
        }
        let expected = (self.0.style == Style::Bucket).then_some(whole);
        Ok(Box::new(Content { meta, len: range.len(), expected, chunks, truncated }))
    }

    async fn put(&self, target: &Target, mut body: Body) -> Result<Stored> {
        let meta = merged(&target.meta, body.meta());
        let content = drain(&mut body).await?;
        let what = match (&meta.symlink, &meta.hard_link) {
            (Some(t), _) => What::Symlink(t.to_vec()),
            (None, Some(first)) if self.0.style == Style::Directory => {
                let s = self.0.lock();
                match s.nodes.get(first.as_bytes()).map(|n| n.what.clone()) {
                    Some(What::File(c)) => What::File(c),
                    _ => return Err(Error::new(ErrorKind::NotFound, "no first name")),
                }
            }
            (None, Some(first)) => What::HardLink(first.as_bytes().to_vec()),
            (None, None) if content.len() as u64 != target.size => {
                return Err(Error::new(ErrorKind::Changed, "another length"));
            }
            (None, None) => What::File(content),
        };
        self.write(Op::Put, target, meta, what).await
    }

    async fn put_dir(&self, target: &Target) -> Result<()> {
        let mishap = self.0.mishap(Op::PutDir, target.path.as_bytes()).await?;
        let mut s = self.0.lock();
        let s = &mut *s;
        let at = self.0.now(s);
        let key = [target.path.as_bytes(), b"/"].concat();
        if self.0.style == Style::Directory {
            if s.nodes.contains_key(target.path.as_bytes()) {
                return Err(Error::new(ErrorKind::Unacceptable, "a file is in the way"));
            }
            self.0.parents(s, target.path.as_bytes(), at)?;
        }
        let version = self.0.version(s, &What::Dir, at);
        let stamp = (self.0.style == Style::Bucket).then(|| target.stamp.clone());
        let modified_ns = if self.0.style == Style::Bucket { at } else { target.meta.mtime_ns.unwrap_or(at) };
        if !s.nodes.contains_key(&key) {
            self.0.touch_parent(s, target.path.as_bytes(), at);
        }
        let (what, meta) = (What::Dir, target.meta.clone());
        s.nodes.insert(key, Node { what, meta, version, modified_ns, stamp, digest: None });
        match mishap {
            Some(Mishap::After(kind)) => Err(Error::new(kind, "scripted: the answer was lost")),
            _ => Ok(()),
        }
    }

    async fn begin(&self, target: &Target, part_size: u64) -> Result<Upload> {
        self.0.mishap(Op::Begin, target.path.as_bytes()).await?;
        let mut s = self.0.lock();
        let same = |b: &Begun| {
            b.path == target.path.as_bytes() && b.version == target.stamp.version && b.part_size == part_size
        };
        let again = s.uploads.iter().find(|(_, b)| same(b)).map(|(t, b)| {
            let done = b.parts.iter().map(|(n, c)| PartDone {
                number: *n,
                etag: None,
                digest: Some(Digest::of(c)),
                len: c.len() as u64,
            });
            Upload { token: t.as_str().into(), part_size, done: done.collect() }
        });
        if let Some(upload) = again {
            return Ok(upload);
        }
        s.tick += 1;
        let token = format!("u{}", s.tick);
        let begun = Begun {
            path: target.path.as_bytes().to_vec(),
            version: target.stamp.version.clone(),
            part_size,
            parts: BTreeMap::new(),
        };
        s.uploads.insert(token.clone(), begun);
        Ok(Upload { token: token.into(), part_size, done: Vec::new() })
    }

    async fn put_part(
        &self,
        target: &Target,
        upload: &Upload,
        part: Part,
        mut body: Body,
    ) -> Result<PartDone> {
        let content = drain(&mut body).await?;
        let mishap = self.0.mishap(Op::PutPart, target.path.as_bytes()).await?;
        let mut s = self.0.lock();
        s.parts.push((target.path.as_bytes().to_vec(), part.number));
        let digest = Digest::of(&content);
        let Some(begun) = s.uploads.get_mut(&*upload.token) else {
            return Err(Error::new(ErrorKind::NotFound, "no such upload"));
        };
        begun.parts.insert(part.number, content);
        match mishap {
            Some(Mishap::After(kind)) => Err(Error::new(kind, "scripted: the answer was lost")),
            _ => Ok(PartDone { number: part.number, etag: None, digest: Some(digest), len: digest.len }),
        }
    }

    async fn finish(
        &self,
        target: &Target,
        upload: &Upload,
        _parts: &[PartDone],
        meta: &Meta,
    ) -> Result<Stored> {
        let content = {
            let mut s = self.0.lock();
            let Some(begun) = s.uploads.remove(&*upload.token) else {
                return Err(Error::new(ErrorKind::NotFound, "no such upload"));
            };
            let all: Vec<u8> = begun.parts.values().flatten().copied().collect();
            if all.len() as u64 != target.size {
                return Err(Error::new(ErrorKind::Changed, "another length"));
            }
            all
        };
        self.write(Op::Finish, target, merged(&target.meta, meta), What::File(content)).await
    }

    async fn abort(&self, _target: &Target, upload: &Upload) -> Result<()> {
        let mut s = self.0.lock();
        s.aborts += usize::from(s.uploads.remove(&*upload.token).is_some());
        Ok(())
    }

    async fn remove(&self, path: &TreePath) -> Result<bool> {
        Ok(self.0.lock().nodes.remove(path.as_bytes()).is_some())
    }
}
