//! What the client costs: CPU and wall time per small object and per GiB against a running S3 server.
//!
//! `measure-object http://127.0.0.1:8333 [objects] [MiB]` with the credentials in `WHARF_MEASURE_ACCESS_KEY` and
//! `WHARF_MEASURE_SECRET_KEY`. One thread, 32 requests at a time; it makes a bucket of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use connector::{
    Entry, EntryKind, Lane, ListRequest, Meta, Overwrite, Part, Range, Source, Stamp, Target, Tree, TreePath,
};
use connector_object::{Client, Credentials, Endpoint, ObjectTree, Secret};
use runtime::TaskKind;

const AT_A_TIME: usize = 32;
const PART: u64 = 8 << 20;

struct Given {
    chunks: VecDeque<Bytes>,
    len: u64,
    meta: Meta,
}

#[async_trait(?Send)]
impl Source for Given {
    fn len(&self) -> u64 {
        self.len
    }
    fn meta(&self) -> &Meta {
        &self.meta
    }
    async fn next(&mut self) -> connector::Result<Option<Bytes>> {
        Ok(self.chunks.pop_front())
    }
}

fn given(chunk: &Bytes, times: u64) -> Box<Given> {
    let chunks: VecDeque<_> = (0..times).map(|_| chunk.clone()).collect();
    Box::new(Given { chunks, len: chunk.len() as u64 * times, meta: Meta::default() })
}

/// CPU of this thread in ns, and user and system time of the process in ticks of 10 ms.
fn cpu() -> (u64, u64, u64) {
    let ns = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (ns.split(' ').next().unwrap().parse().unwrap(), f[11].parse().unwrap(), f[12].parse().unwrap())
}

struct Meter(&'static str, (u64, u64, u64), Instant);

impl Meter {
    fn start(name: &'static str) -> Self {
        Self(name, cpu(), Instant::now())
    }

    fn end(&self, n: u64, unit: &str) {
        let (c, u, s) = cpu();
        let each = (c - self.1.0) as f64 / 1000.0 / n as f64;
        println!(
            "{:<12} {each:9.2} us CPU/{unit}  total {:6.2} s CPU ({:5.2} user {:5.2} sys) {:7.2} s wall",
            self.0,
            (c - self.1.0) as f64 / 1e9,
            (u - self.1.1) as f64 / 100.0,
            (s - self.1.2) as f64 / 100.0,
            self.2.elapsed().as_secs_f64()
        );
    }
}

/// Runs `work(0..n)`, some at a time.
async fn each<F: Future<Output = ()>>(n: u64, at_a_time: usize, work: impl Fn(u64) -> F + Clone + 'static) {
    let next = Rc::new(Cell::new(0));
    let workers: Vec<_> = (0..at_a_time)
        .map(|_| {
            let (next, work) = (next.clone(), work.clone());
            runtime::spawn_local(TaskKind::LaneWork, async move {
                while next.get() < n {
                    let i = next.replace(next.get() + 1);
                    work(i).await;
                }
            })
        })
        .collect();
    for w in workers {
        w.await.unwrap();
    }
}

fn target(path: &str, size: u64) -> Target {
    Target {
        path: TreePath::new(path.as_bytes()).unwrap(),
        size,
        meta: Meta {
            mtime_ns: Some(1_700_000_000_123_456_789),
            mode: Some(0o644),
            uid: Some(0),
            gid: Some(0),
            ..Meta::default()
        },
        stamp: Stamp { run: "".into(), version: "123456-1700000000123456789".into(), size },
        overwrite: Overwrite::Always,
    }
}

fn small(i: u64) -> String {
    format!("d{}/file-{i}", i % 220)
}

async fn run(url: &str, objects: u64, mib: u64) {
    let key = |n| std::env::var(n).unwrap();
    let credentials = Credentials {
        access_key: key("WHARF_MEASURE_ACCESS_KEY").into(),
        secret_key: Secret::new(key("WHARF_MEASURE_SECRET_KEY")),
        session_token: None,
    };
    let site = Endpoint::new(url, "us-east-1", Some(credentials)).check().unwrap();
    let bucket = format!("measure-{}", runtime::Random::system().hex(8));
    Client::new(&site).create_bucket(&bucket).await.unwrap();
    let tree = ObjectTree::new(&site, &bucket, "p").unwrap();
    let lane: Rc<dyn Lane> = tree.lane().into();
    let body = Bytes::from(vec![7_u8; 4096]);
    small_ones(&tree, &lane, &body, objects).await;
    large_one(&lane, mib).await;
}

async fn small_ones(tree: &ObjectTree, lane: &Rc<dyn Lane>, body: &Bytes, objects: u64) {
    let m = Meter::start("PUT 4 KiB");
    let (l, b) = (lane.clone(), body.clone());
    each(objects, AT_A_TIME, move |i| {
        let (l, b) = (l.clone(), b.clone());
        async move {
            l.put(&target(&small(i), 4096), given(&b, 1)).await.unwrap();
        }
    })
    .await;
    m.end(objects, "object");
    let m = Meter::start("LIST");
    let mut stream = tree.list(ListRequest::default());
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(batch) = stream.next().await.unwrap() {
        entries.extend(batch.into_iter().map(Result::unwrap));
    }
    assert_eq!(entries.len() as u64, objects);
    m.end(objects, "key");
    let m = Meter::start("GET 4 KiB");
    let (l, entries) = (lane.clone(), Rc::new(entries));
    each(objects, AT_A_TIME, move |i| {
        let (l, entries) = (l.clone(), entries.clone());
        async move {
            let mut body = l.open(&entries[usize::try_from(i).unwrap()], None).await.unwrap();
            while body.next().await.unwrap().is_some() {}
        }
    })
    .await;
    m.end(objects, "object");
}

async fn large_one(lane: &Rc<dyn Lane>, mib: u64) {
    let size = mib << 20;
    let parts = size / PART;
    let t = Rc::new(target("big", size));
    let chunk = Bytes::from(vec![9_u8; 1 << 20]);
    let m = Meter::start("PUT large");
    let upload = Rc::new(lane.begin(&t, PART).await.unwrap());
    let done = Rc::new(std::cell::RefCell::new(Vec::new()));
    let (l, d, t2) = (lane.clone(), done.clone(), t.clone());
    let u = upload.clone();
    each(parts, 4, move |i| {
        let (l, d, t, u, chunk) = (l.clone(), d.clone(), t2.clone(), u.clone(), chunk.clone());
        async move {
            let part = Part {
                number: u32::try_from(i).unwrap() + 1,
                range: Range { start: i * PART, end: (i + 1) * PART },
            };
            let p = l.put_part(&t, &u, part, given(&chunk, PART >> 20)).await.unwrap();
            d.borrow_mut().push(p);
        }
    })
    .await;
    let mut done = done.take();
    done.sort_by_key(|p| p.number);
    let stored = lane.finish(&t, &upload, &done, &t.meta).await.unwrap();
    m.end(mib, "MiB");
    let entry = Rc::new(Entry {
        path: t.path.clone(),
        kind: EntryKind::File,
        size,
        modified_ns: 0,
        version: stored.version,
        meta: None,
    });
    for (name, at_a_time, step) in [("GET ranges", 4, PART), ("GET whole", 1, size)] {
        let m = Meter::start(name);
        let (l, e) = (lane.clone(), entry.clone());
        each(size / step, at_a_time, move |i| {
            let (l, e) = (l.clone(), e.clone());
            async move {
                let mut body =
                    l.open(&e, Some(Range { start: i * step, end: (i + 1) * step })).await.unwrap();
                while body.next().await.unwrap().is_some() {}
            }
        })
        .await;
        m.end(mib, "MiB");
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |i: usize, default| args.get(i).map_or(default, |a| a.parse().unwrap());
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let set = tokio::task::LocalSet::new();
    set.block_on(&rt, run(&args[1], number(2, 20_000), number(3, 1024)));
}
