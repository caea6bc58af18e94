//! Listings fetched ahead, taken up again after a passing error, and joined in key order.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use connector::{Entry, EntryKind, ErrorKind, ListRequest, Result, Tree};
use runtime::TaskKind;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Live;

/// Pages that are fetched ahead of their reader.
const AHEAD: usize = 3;
/// Times that a listing is taken up again without having come further.
const TRIES: u32 = 5;

type Page = Vec<Result<Entry>>;

/// A task that ends when its holder goes.
pub(super) struct Bound<T>(pub JoinHandle<T>);

impl<T> Drop for Bound<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The bytes that listings are sorted by: a directory's path ends in `/`.
pub(super) fn key_of(e: &Entry) -> Vec<u8> {
    let mut key = e.path.as_bytes().to_vec();
    if e.kind == EntryKind::Dir {
        key.push(b'/');
    }
    key
}

/// Compares two keys without building them.
pub(super) fn compare_keys(a: &Entry, b: &Entry) -> Ordering {
    fn tail(e: &Entry) -> &'static [u8] {
        if e.kind == EntryKind::Dir { b"/" } else { b"" }
    }
    let (x, y) = (a.path.as_bytes(), b.path.as_bytes());
    let n = x.len().min(y.len());
    x[..n].cmp(&y[..n]).then_with(|| {
        let x = x[n..].iter().chain(tail(a));
        x.cmp(y[n..].iter().chain(tail(b)))
    })
}

/// A listing that runs ahead of its reader in a task of its own.
pub(super) struct Listing {
    pages: mpsc::Receiver<Result<Page>>,
    _task: Bound<()>,
}

impl Listing {
    pub fn start(tree: Arc<dyn Tree>, request: ListRequest, live: Arc<Live>) -> Self {
        let (send, pages) = mpsc::channel(AHEAD);
        let task = runtime::spawn(TaskKind::ListAhead, list(tree, request, send, live));
        Self { pages, _task: Bound(task) }
    }

    /// The next page; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        self.pages.recv().await.transpose()
    }
}

async fn list(
    tree: Arc<dyn Tree>,
    mut request: ListRequest,
    send: mpsc::Sender<Result<Page>>,
    live: Arc<Live>,
) {
    let (mut tries, mut nameless, mut skip) = (0, 0usize, 0usize);
    let mut stream = tree.list(request.clone());
    loop {
        match stream.next().await {
            Ok(None) => return,
            Ok(Some(mut page)) => {
                live.notes.listing_moved();
                if skip > 0 {
                    page.retain(|e| {
                        let again = e.is_err() && skip > 0;
                        skip -= usize::from(again);
                        !again
                    });
                }
                for entry in &page {
                    match entry {
                        Ok(e) => {
                            request.after = Some(key_of(e));
                            (nameless, skip, tries) = (0, 0, 0);
                        }
                        Err(_) => nameless += 1,
                    }
                }
                if !page.is_empty() && send.send(Ok(page)).await.is_err() {
                    return;
                }
            }
            Err(e) if e.kind().is_transient() && tries < TRIES => {
                tries += 1;
                live.notes.listing_broke(&e);
                tracing::warn!(tree = tree.describe(), error = %e, tries, "the listing is taken up again");
                tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                skip = nameless;
                stream = tree.list(request.clone());
            }
            Err(e) => {
                let e = e.context(format!("list {}", tree.describe()));
                let _ = send.send(Err(e)).await;
                return;
            }
        }
    }
}

/// The destination's listing, read beside the source's.
pub(super) struct Beside {
    listing: Listing,
    page: std::vec::IntoIter<Result<Entry>>,
    current: Option<Entry>,
    over: bool,
}

impl Beside {
    pub fn start(tree: Arc<dyn Tree>, request: ListRequest, live: Arc<Live>) -> Self {
        let listing = Listing::start(tree, request, live);
        Self { listing, page: Vec::new().into_iter(), current: None, over: false }
    }

    /// The destination's entry with the very key of `wanted`. Keys must be asked for in order.
    pub async fn find(&mut self, wanted: &Entry) -> Result<Option<Entry>> {
        loop {
            if let Some(there) = &self.current {
                match compare_keys(there, wanted) {
                    Ordering::Less => {}
                    Ordering::Equal => return Ok(self.current.take()),
                    Ordering::Greater => return Ok(None),
                }
            }
            self.current = self.advance().await?;
            if self.current.is_none() {
                return Ok(None);
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Entry>> {
        while !self.over {
            // What has no usable key at the destination can't be the place of anything of ours.
            if let Some(entry) = self.page.by_ref().find_map(Result::ok) {
                return Ok(Some(entry));
            }
            match self.listing.next().await {
                Ok(Some(page)) => self.page = page.into_iter(),
                Ok(None) => self.over = true,
                // A destination that is not there yet has nothing in it.
                Err(e) if e.kind() == ErrorKind::NotFound => self.over = true,
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector::TreePath;

    fn entry(key: &[u8]) -> Entry {
        let kind = if key.ends_with(b"/") { EntryKind::Dir } else { EntryKind::File };
        Entry { path: TreePath::new(key).unwrap(), kind, size: 0, modified_ns: 0, version: None, meta: None }
    }

    proptest::proptest! {
        #[test]
        fn keys_compare_as_their_bytes(a in "[ab!/.]{1,6}", b in "[ab!/.]{1,6}") {
            let ok = |s: &String| TreePath::new(s.as_bytes()).is_ok();
            if ok(&a) && ok(&b) {
                let (x, y) = (entry(a.as_bytes()), entry(b.as_bytes()));
                proptest::prop_assert_eq!(compare_keys(&x, &y), key_of(&x).cmp(&key_of(&y)));
            }
        }
    }
}
