//! What a put, a walk, a read and a large write cost: CPU µs per item and MB/s.
//!
//! `cargo run --release -p connector-posix --example measure-posix -- <directory> [files]`;
//! `… -- walk <directory>` only walks what is there, in each way of reading ahead.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use connector::conformance::{Chunks, content, list_all};
use connector::{EntryKind, Lane, ListRequest, Meta, Overwrite, Part, Range, Stamp, Target, Tree, TreePath};
use connector_posix::{Options, PosixTree, ReadAhead};

/// CPU seconds of this process, user and system (10 ms steps).
fn cpu_s() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let rest: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |i: usize| rest[i].parse::<f64>().unwrap() / 100.0;
    (ticks(11), ticks(12))
}

fn report(what: &str, items: usize, from: (Instant, (f64, f64))) {
    let (user, sys) = cpu_s();
    let (user, sys) = (user - from.1.0, sys - from.1.1);
    let per = |s: f64| s * 1e6 / items as f64;
    let wall = from.0.elapsed().as_secs_f64();
    println!(
        "{what:<34} {:>7.2} µs user {:>7.2} µs system {:>7.2} µs wall per item",
        per(user),
        per(sys),
        per(wall)
    );
}

fn now() -> (Instant, (f64, f64)) {
    (Instant::now(), cpu_s())
}

fn target(path: &str, size: u64) -> Target {
    let version = "d41d8cd98f00b204e9800998ecf8427e";
    Target {
        path: TreePath::new(path.as_bytes()).unwrap(),
        size,
        meta: Meta { mtime_ns: Some(1_700_000_000_123_456_789), mode: Some(0o644), ..Meta::default() },
        stamp: Stamp { run: "task-0123456789abcdef".into(), version: version.into(), size },
        overwrite: Overwrite::Always,
    }
}

async fn puts(lane: &dyn Lane, files: usize, bytes: &[u8], again: &str) {
    for (what, per_dir) in [("put 4 KiB, 100 in a directory", 100), ("put 4 KiB, all in one", usize::MAX)] {
        let from = now();
        for i in 0..files {
            let t = target(&format!("p{per_dir}/d{:05}/file-{i:06}", i / per_dir), 4096);
            lane.put(&t, Chunks::new(bytes, 4096).body()).await.unwrap();
        }
        report(&format!("{what}{again}"), files, from);
    }
}

async fn large(lane: &dyn Lane, sparse: bool) {
    const PART: u64 = 16 << 20;
    let size = 1u64 << 30;
    let t = target(&format!("large-{sparse}"), size);
    let chunk = Bytes::from(content(256 * 1024, 7));
    let from = now();
    let upload = lane.begin(&t, PART).await.unwrap();
    let mut done = Vec::new();
    for number in 1..=u32::try_from(size / PART).unwrap() {
        let start = u64::from(number - 1) * PART;
        let part = Part { number, range: Range { start, end: start + PART } };
        let body = Repeat { meta: Meta::default(), chunk: chunk.clone(), left: PART };
        done.push(lane.put_part(&t, &upload, part, Box::new(body)).await.unwrap());
    }
    lane.finish(&t, &upload, &done, &Meta::default()).await.unwrap();
    report(&format!("1 GiB in parts, holes {sparse}, per MiB"), 1024, from);
    println!("{:<34} {:>7.0} MB/s", "", size as f64 / 1e6 / from.0.elapsed().as_secs_f64());
    let f = lane.stat(&t.path).await.unwrap().unwrap();
    let from = now();
    let mut body = lane.open(&f.entry, None).await.unwrap();
    while body.next().await.unwrap().is_some() {}
    report("1 GiB read, per MiB", 1024, from);
    lane.remove(&t.path).await.unwrap();
}

struct Repeat {
    meta: Meta,
    chunk: Bytes,
    left: u64,
}

#[async_trait::async_trait(?Send)]
impl connector::Source for Repeat {
    fn len(&self) -> u64 {
        self.left
    }
    fn meta(&self) -> &Meta {
        &self.meta
    }
    async fn next(&mut self) -> connector::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= self.chunk.len() as u64;
        Ok(Some(self.chunk.clone()))
    }
}

/// Walks with attributes, as a transfer does. `BEFORE` is a command that runs before each.
async fn walks(dir: &str) {
    for _ in 0..3 {
        for read_ahead in [ReadAhead::Never, ReadAhead::WhereSlow, ReadAhead::Always] {
            if let Ok(before) = std::env::var("BEFORE") {
                assert!(std::process::Command::new("sh").args(["-c", &before]).status().unwrap().success());
            }
            let tree = PosixTree::open(Path::new(dir), Options { read_ahead, ..Options::default() }).unwrap();
            let from = now();
            let mut stream = tree.list(ListRequest { xattrs: true, ..ListRequest::default() });
            let mut items = 0;
            while let Some(page) = stream.next().await.unwrap() {
                items += page.len();
            }
            report(&format!("walk of {items}, {read_ahead:?}"), items, from);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "/tmp".to_owned());
    if dir == "walk" {
        return walks(&args.next().unwrap()).await;
    }
    let files: usize = args.next().map_or(20_000, |n| n.parse().unwrap());
    let dir = tempfile::tempdir_in(Path::new(&dir)).unwrap();
    let tree = PosixTree::open(dir.path(), Options::default()).unwrap();
    let lane = tree.lane();
    let bytes = content(4096, 1);
    puts(&*lane, files, &bytes, "").await;
    puts(&*lane, files, &bytes, ", again").await;
    let from = now();
    let all = list_all(&tree, ListRequest::default()).await.unwrap();
    report("walk", all.len(), from);
    let from = now();
    for entry in &all {
        lane.stat(&entry.path).await.unwrap();
    }
    report("stat with mark", all.len(), from);
    let from = now();
    for entry in all.iter().filter(|e| e.kind == EntryKind::File) {
        let mut body = lane.open(entry, None).await.unwrap();
        while body.next().await.unwrap().is_some() {}
    }
    report("open and read 4 KiB", all.len(), from);
    for sparse in [false, true] {
        let options = Options { sparse, ..Options::default() };
        large(&*PosixTree::open(dir.path(), options).unwrap().lane(), sparse).await;
    }
    let from = now();
    tree.settle().unwrap();
    report("settle", 1, from);
}
