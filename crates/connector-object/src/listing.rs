//! A sorted listing of a tree.
//!
//! A task fetches pages ahead of the consumer through a channel of one page and ends with it. One walk
//! serves three modes: flat (one cursor without delimiter), by levels (a cursor with delimiter per
//! directory, for servers that list in directory order), and by ranges (the first level with delimiter,
//! flat cursors below). In the last two the cursors of the next few prefixes are started before they
//! are needed.
//!
//! Servers in directory order say `a/b` before `a-b` although `-` sorts before `/`. Within one level that
//! concerns only where a directory stands among its siblings, so a directory is held back until the level
//! has gone past `name/`; what is held is bounded by the depth of such nesting, not by the tree. Whatever
//! the mode, a key out of order ends the listing with an error instead of reaching a merge that trusts it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use connector::{Entry, EntryKind, EntryStream, Error, ErrorKind, ListRequest, Result, TreePath};
use runtime::TaskKind;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::endpoint::ListingMode;
use crate::fault::Fault;
use crate::ops::list::{ListPage, ListQuery, ListedObject};
use crate::tree::Place;

/// Cursors that are started before their turn.
const CURSORS_AHEAD: usize = 6;
/// Entries handed over together.
const BATCH: usize = 1000;

type Batch = Vec<Result<Entry>>;

/// The stream that the consumer holds.
pub(crate) struct Listing {
    begin: Option<(Arc<Place>, ListRequest)>,
    batches: Option<mpsc::Receiver<Result<Batch>>>,
    task: Option<JoinHandle<()>>,
}

impl Listing {
    pub(crate) fn new(place: Arc<Place>, request: ListRequest) -> Self {
        Self { begin: Some((place, request)), batches: None, task: None }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(t) = &self.task {
            t.abort();
        }
    }
}

#[async_trait]
impl EntryStream for Listing {
    async fn next(&mut self) -> Result<Option<Vec<Result<Entry>>>> {
        if let Some((place, request)) = self.begin.take() {
            let (out, batches) = mpsc::channel(1);
            self.batches = Some(batches);
            self.task = Some(runtime::spawn(TaskKind::ListAhead, async move {
                let problem = match Walk::new(place, &request, out.clone()) {
                    Ok(mut walk) => walk.run().await.err(),
                    Err(e) => Some(e),
                };
                if let Some(Stop::Failed(e)) = problem {
                    let _ = out.send(Err(e)).await;
                }
            }));
        }
        let Some(batches) = &mut self.batches else { return Ok(None) };
        match batches.recv().await {
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(e)) => {
                self.batches = None;
                Err(e)
            }
            None => Ok(None),
        }
    }
}

/// Why a walk ends early.
enum Stop {
    /// Nobody listens any more.
    Dropped,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

impl From<Fault> for Stop {
    fn from(f: Fault) -> Self {
        Self::Failed(f.into())
    }
}

/// Pages of one prefix, fetched ahead by a task of their own.
struct Cursor {
    pages: mpsc::Receiver<Result<ListPage, Fault>>,
    task: JoinHandle<()>,
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a cursor goes through what is below its prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Flat.
    Deep,
    /// One level.
    Shallow,
    /// Flat if all of it fits into one page, which the level then sorts; otherwise one level.
    DeepIfSmall,
}

struct CursorStart {
    client: Client,
    bucket: String,
    prefix: String,
    start_after: Option<String>,
    style: Style,
    first: Option<ListPage>,
}

impl CursorStart {
    fn start(self) -> Cursor {
        let (out, pages) = mpsc::channel(1);
        let task = runtime::spawn(TaskKind::ListAhead, async move {
            if let Err(f) = self.fetch(&out).await {
                let _ = out.send(Err(f)).await;
            }
        });
        Cursor { pages, task }
    }

    async fn fetch(mut self, out: &mpsc::Sender<Result<ListPage, Fault>>) -> Result<(), Fault> {
        let mut token: Option<String> = None;
        loop {
            let page = match self.first.take() {
                Some(p) => p,
                None => {
                    let query = ListQuery {
                        prefix: &self.prefix,
                        start_after: self.start_after.as_deref(),
                        token: token.as_deref(),
                        delimiter: (self.style == Style::Shallow).then_some("/"),
                        max_keys: 0,
                    };
                    self.client.list_objects(&self.bucket, &query).await?
                }
            };
            let next = page.next.clone();
            if self.style == Style::DeepIfSmall && next.is_some() {
                self.style = Style::Shallow;
                continue;
            }
            if next.is_some() && next == token {
                return Err(Fault::new(ErrorKind::Other, "the server's listing turns in a circle"));
            }
            if out.send(Ok(page)).await.is_err() || next.is_none() {
                return Ok(());
            }
            token = next;
        }
    }
}

/// One prefix on the way down.
struct Level {
    prefix: Vec<u8>,
    cursor: Cursor,
    /// Sorted items that were not passed on yet.
    held: VecDeque<Item>,
    /// Items up to this key may be passed on: nothing smaller can come any more.
    past: Vec<u8>,
    over: bool,
}

enum Item {
    Object(ListedObject),
    Prefix(Vec<u8>),
}

impl Item {
    fn key(&self) -> &[u8] {
        match self {
            Self::Object(o) => &o.key,
            Self::Prefix(p) => p,
        }
    }
}

impl Level {
    fn new(prefix: Vec<u8>, cursor: Cursor) -> Self {
        Self { prefix, cursor, held: VecDeque::new(), past: Vec::new(), over: false }
    }

    /// The next item in byte order, `None` at the end of the level.
    async fn next(&mut self) -> Result<Option<Item>, Stop> {
        loop {
            if self.held.front().is_some_and(|i| self.over || i.key() <= self.past.as_slice()) {
                return Ok(self.held.pop_front());
            }
            if self.over {
                return Ok(None);
            }
            match self.cursor.pages.recv().await {
                Some(page) => self.take(page?),
                None => self.over = true,
            }
        }
    }

    fn take(&mut self, page: ListPage) {
        self.over = page.next.is_none();
        for p in page.prefixes {
            // A prefix that doesn't lead further down would turn the walk in a circle.
            if p.len() > self.prefix.len() && p.starts_with(&self.prefix) {
                let name = p.strip_suffix(b"/").unwrap_or(&p);
                if name > self.past.as_slice() {
                    self.past = name.to_vec();
                }
                self.held.push_back(Item::Prefix(p));
            }
        }
        for o in page.objects {
            if o.key > self.past {
                self.past.clone_from(&o.key);
            }
            self.held.push_back(Item::Object(o));
        }
        let held = self.held.make_contiguous();
        if !held.is_sorted_by(|a, b| a.key() <= b.key()) {
            held.sort_by(|a, b| a.key().cmp(b.key()));
        }
    }
}

struct Walk {
    client: Client,
    place: Arc<Place>,
    /// Tree prefix and requested prefix together.
    prefix: String,
    /// The whole key after which to go on.
    after: Option<Vec<u8>>,
    out: mpsc::Sender<Result<Batch>>,
    batch: Batch,
    last: Vec<u8>,
    ahead: HashMap<Vec<u8>, Cursor>,
    mode: ListingMode,
}

impl Walk {
    fn new(place: Arc<Place>, request: &ListRequest, out: mpsc::Sender<Result<Batch>>) -> Result<Self, Stop> {
        let raw = std::str::from_utf8(&request.prefix)
            .map_err(|_| Error::new(ErrorKind::Unacceptable, "the prefix is not UTF-8"))?;
        let prefix = format!("{}{raw}", place.prefix);
        let after = request.after.as_ref().map(|a| [place.prefix.as_bytes(), a].concat());
        let client = Client::new(&place.site);
        let mode = place.site.listing();
        let (batch, last, ahead) = (Vec::new(), Vec::new(), HashMap::new());
        Ok(Self { client, place, prefix, after, out, batch, last, ahead, mode })
    }

    fn cursor(&self, prefix: &[u8], first: Option<ListPage>, root: bool) -> Result<Cursor, Stop> {
        let prefix = std::str::from_utf8(prefix)
            .map_err(|_| Error::new(ErrorKind::Other, "the server listed a prefix that is not UTF-8"))?;
        let style = match self.mode {
            ListingMode::Levels => Style::DeepIfSmall,
            ListingMode::Ranges if root => Style::Shallow,
            ListingMode::Ranges | ListingMode::Auto | ListingMode::Flat => Style::Deep,
        };
        // Servers in directory order skip too much with `start-after`; there the walk skips by itself.
        let usable = style == Style::Deep;
        let after = self.after.as_deref().filter(|_| usable).and_then(|a| std::str::from_utf8(a).ok());
        let start = CursorStart {
            client: self.client.clone(),
            bucket: self.place.bucket.clone(),
            prefix: prefix.to_owned(),
            start_after: after.filter(|a| *a > prefix).map(str::to_owned),
            style,
            first,
        };
        Ok(start.start())
    }

    async fn run(&mut self) -> Result<(), Stop> {
        let first = if self.mode == ListingMode::Auto { self.learn().await? } else { None };
        let prefix = self.prefix.clone().into_bytes();
        let mut stack = vec![Level::new(prefix.clone(), self.cursor(&prefix, first, true)?)];
        while let Some(level) = stack.last_mut() {
            match level.next().await? {
                None => drop(stack.pop()),
                Some(Item::Object(o)) => self.object(o).await?,
                Some(Item::Prefix(p)) => {
                    if self.is_behind(&p) {
                        continue;
                    }
                    self.look_ahead(&level.held)?;
                    let cursor = match self.ahead.remove(&p) {
                        Some(c) => c,
                        None => self.cursor(&p, None, false)?,
                    };
                    stack.push(Level::new(p, cursor));
                }
            }
        }
        self.flush().await
    }

    /// Everything below `prefix` was passed on by an earlier run.
    fn is_behind(&self, prefix: &[u8]) -> bool {
        self.after.as_deref().is_some_and(|a| prefix <= a && !a.starts_with(prefix))
    }

    fn look_ahead(&mut self, held: &VecDeque<Item>) -> Result<(), Stop> {
        let next = held.iter().filter_map(|i| match i {
            Item::Prefix(p) => Some(p),
            Item::Object(_) => None,
        });
        for p in next.take(CURSORS_AHEAD) {
            if self.ahead.len() >= CURSORS_AHEAD {
                break;
            }
            if !self.is_behind(p) && !self.ahead.contains_key(p) {
                let cursor = self.cursor(p, None, false)?;
                self.ahead.insert(p.clone(), cursor);
            }
        }
        Ok(())
    }

    /// Fetches the first page flat and learns from it how this server lists. The page is returned when
    /// the walk can go on with it.
    async fn learn(&mut self) -> Result<Option<ListPage>, Stop> {
        let query = ListQuery { prefix: &self.prefix, ..ListQuery::default() };
        let page = self.client.list_objects(&self.place.bucket, &query).await?;
        let sorted = page.objects.is_sorted_by(|a, b| a.key <= b.key);
        let by_directory = page.server.as_deref().is_some_and(|s| s.starts_with("SeaweedFS"));
        let in_order = sorted && !by_directory;
        self.place.site.learn_listing(in_order);
        if page.next.is_none() {
            // All of it is here; the level sorts it.
            return Ok(Some(page));
        }
        self.mode = if in_order { ListingMode::Flat } else { ListingMode::Levels };
        Ok(Some(page).filter(|_| in_order && self.after.is_none()))
    }

    async fn object(&mut self, o: ListedObject) -> Result<(), Stop> {
        if o.key == self.last || !o.key.starts_with(self.prefix.as_bytes()) {
            return Ok(());
        }
        if o.key < self.last {
            self.place.site.learn_listing(false);
            let why = "the server does not list in byte order; listing by levels is needed";
            return Err(Error::new(ErrorKind::Unavailable, why).into());
        }
        self.last.clone_from(&o.key);
        if self.after.as_deref().is_some_and(|a| o.key.as_slice() <= a) {
            return Ok(());
        }
        let relative = o.key.get(self.place.prefix.len()..).unwrap_or_default();
        if relative.is_empty() {
            // The marker of the tree's own root.
            return Ok(());
        }
        let entry = entry(relative, &o);
        self.batch.push(entry);
        if self.batch.len() >= BATCH { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Stop> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.out.send(Ok(batch)).await.map_err(|_| Stop::Dropped)
    }
}

fn entry(relative: &[u8], o: &ListedObject) -> Result<Entry> {
    let key = || connector::display_bytes(relative);
    let path = TreePath::new(relative)
        .map_err(|p| Error::new(ErrorKind::Unacceptable, format!("{}: {}", key(), p.reason())))?;
    let dir = relative.ends_with(b"/");
    if dir && o.size > 0 {
        let why = format!("{}: a directory marker with {} bytes in it", key(), o.size);
        return Err(Error::new(ErrorKind::Unacceptable, why));
    }
    Ok(Entry {
        path,
        kind: if dir { EntryKind::Dir } else { EntryKind::File },
        size: o.size,
        modified_ns: o.modified_ns,
        version: o.etag.clone(),
        meta: None,
    })
}
