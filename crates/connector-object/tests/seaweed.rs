//! Everything against a real server: SeaweedFS, which lists in directory order, checks signatures and
//! checksums, and knows conditional writes and multipart uploads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use bytes::Bytes;
use common::weed::Weed;
use common::{Chunks, entry, read_all, target};
use connector::{
    Digest, Entry, EntryKind, ErrorKind, ListRequest, Meta, Overwrite, Part, Range, Tree, TreePath, Xattr,
};
use connector_object::{Client, Condition, ListingMode, ObjectTree, Secret};

async fn list(tree: &ObjectTree, request: ListRequest) -> Vec<connector::Result<Entry>> {
    let mut stream = tree.list(request);
    let mut all = Vec::new();
    while let Some(batch) = stream.next().await.unwrap() {
        assert!(!batch.is_empty() && batch.len() <= 1000);
        all.extend(batch);
    }
    all
}

fn keys(entries: &[connector::Result<Entry>]) -> Vec<String> {
    let key = |e: &Entry| {
        let slash = if e.kind == EntryKind::Dir { "/" } else { "" };
        format!("{}{slash}", String::from_utf8_lossy(e.path.as_bytes()))
    };
    entries.iter().filter_map(|e| e.as_ref().ok()).map(key).collect()
}

async fn fill(client: &Client, bucket: &str, keys: &[&str]) {
    for k in keys {
        client.put_bytes(bucket, k, Bytes::copy_from_slice(k.as_bytes()), Condition::None).await.unwrap();
    }
}

#[tokio::test]
async fn a_real_server() {
    let Some(weed) = Weed::start().await else { return };
    objects(&weed).await;
    odd_keys(&weed).await;
    byte_order(&weed).await;
    many_keys(&weed).await;
    conditions(&weed).await;
    streaming_and_ranges(&weed).await;
    multipart(&weed).await;
    metadata(&weed).await;
    wrong_keys(&weed).await;
}

async fn objects(weed: &Weed) {
    let bucket = weed.bucket("objects").await;
    let client = Client::new(&weed.site(|e| e.verify = true));
    assert!(client.list_buckets().await.unwrap().iter().any(|b| b.name == bucket && b.created_ns > 0));
    assert!(client.head_bucket(&bucket).await.unwrap().is_some());
    assert_eq!(client.head_bucket("no-such-bucket-here").await.unwrap_err().kind(), ErrorKind::NotFound);
    fill(&client, &bucket, &["a", "b", "c/d"]).await;
    let head = client.head(&bucket, "c/d").await.unwrap();
    assert!(head.size == 3 && head.etag.is_some_and(|e| e.len() == 32));
    assert_eq!(client.get_small(&bucket, "c/d", 10).await.unwrap(), "c/d");
    assert_eq!(client.delete_objects(&bucket, &["a", "c/d", "none"]).await.unwrap(), []);
    assert_eq!(client.head(&bucket, "a").await.unwrap_err().kind(), ErrorKind::NotFound);
    client.delete(&bucket, "never was").await.unwrap();
    let tree = ObjectTree::new(&weed.site(|_| {}), &bucket, "p").unwrap();
    let probe = tree.probe(true).await.unwrap();
    assert!(probe.readable && probe.writable && probe.server.is_some());
    let none = ObjectTree::new(&weed.site(|_| {}), "no-such-bucket-here", "").unwrap();
    assert_eq!(none.probe(false).await.unwrap_err().kind(), ErrorKind::NotFound);
    let mut listing = none.list(ListRequest::default());
    assert_eq!(listing.next().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(listing.next().await.unwrap().is_none());
}

async fn odd_keys(weed: &Weed) {
    let bucket = weed.bucket("odd").await;
    let tree = ObjectTree::new(&weed.site(|_| {}), &bucket, "pre fix+%").unwrap();
    let lane = tree.lane();
    let odd = [
        "a b",
        "a+b",
        "a%20b",
        "per%cent",
        "q?x=1&y",
        "#hash",
        "new\nline",
        "tab\tx",
        "quo\"te'",
        "\u{e4}\u{6587}",
        "<x>&amp;",
        "d r/f+",
        "~-._!*()",
    ];
    for name in odd {
        let t = target(name, name.len() as u64, Overwrite::Always);
        lane.put(&t, Chunks::of(&[name.as_bytes()])).await.unwrap();
    }
    let mut want: Vec<_> = odd.iter().map(|s| (*s).to_owned()).collect();
    want.sort();
    let entries = list(&tree, ListRequest::default()).await;
    assert_eq!(keys(&entries), want);
    for e in entries {
        let e = e.unwrap();
        let body = lane.open(&e, None).await.unwrap();
        assert_eq!(read_all(body).await.unwrap(), e.path.as_bytes());
        assert_eq!(lane.stat(&e.path).await.unwrap().unwrap().stamp.unwrap().size, e.size);
        assert!(lane.remove(&e.path).await.unwrap());
        assert!(!lane.remove(&e.path).await.unwrap());
    }
    let e = lane.put(&target("x", 0, Overwrite::Always), Chunks::of(&[])).await;
    assert_eq!(e.unwrap().digest, Digest::EMPTY);
}

/// (No `a/` beside `a`: this server keeps both in one place.)
const TREE: [&str; 13] =
    ["a", "a-b", "a.txt", "a/b", "a/c", "a/c-d", "a/c/e", "a0", "ab/x", "d/", "d/sub/x", "d/y", "z"];

async fn byte_order(weed: &Weed) {
    let bucket = weed.bucket("order").await;
    let client = Client::new(&weed.site(|_| {}));
    let under: Vec<String> = TREE.iter().map(|k| format!("t/{k}")).collect();
    fill(&client, &bucket, &under.iter().map(String::as_str).filter(|k| *k != "t/a").collect::<Vec<_>>())
        .await;
    client.put_bytes(&bucket, "t/a", Bytes::from_static(b"a"), Condition::None).await.unwrap();
    client.put_bytes(&bucket, "other", Bytes::from_static(b"a"), Condition::None).await.unwrap();
    for mode in [ListingMode::Auto, ListingMode::Levels] {
        let site = weed.site(|e| e.listing = mode);
        let tree = ObjectTree::new(&site, &bucket, "t/").unwrap();
        // Twice: the second time with what the first has learned.
        for _ in 0..2 {
            assert_eq!(keys(&list(&tree, ListRequest::default()).await), TREE, "{mode:?}");
        }
        for (i, after) in TREE.iter().enumerate() {
            let request = ListRequest { after: Some(after.as_bytes().to_vec()), ..ListRequest::default() };
            assert_eq!(keys(&list(&tree, request).await), TREE[i + 1..], "{mode:?} after {after}");
        }
        let request = ListRequest { prefix: b"a/".to_vec(), ..ListRequest::default() };
        assert_eq!(keys(&list(&tree, request).await), TREE[3..7]);
        let request =
            ListRequest { prefix: b"a".to_vec(), after: Some(b"a/c".to_vec()), ..ListRequest::default() };
        assert_eq!(keys(&list(&tree, request).await), TREE[5..9]);
    }
}

async fn many_keys(weed: &Weed) {
    let bucket = weed.bucket("many").await;
    let site = weed.site(|_| {});
    let client = Client::new(&site);
    let mut want: Vec<String> = (0..2_600).map(|i| format!("flat/{i}")).collect();
    want.extend((0..400).map(|i| format!("deep/{}/{}/{i}", i % 7, i % 11)));
    for k in &want {
        client.put_bytes(&bucket, k, Bytes::new(), Condition::None).await.unwrap();
    }
    want.sort();
    let tree = ObjectTree::new(&site, &bucket, "").unwrap();
    assert_eq!(keys(&list(&tree, ListRequest::default()).await), want);
    let after = want[1234].clone();
    let request = ListRequest { after: Some(after.into_bytes()), ..ListRequest::default() };
    assert_eq!(keys(&list(&tree, request).await), want[1235..]);
    let failed =
        client.delete_objects(&bucket, &want.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(failed, []);
}

async fn conditions(weed: &Weed) {
    let bucket = weed.bucket("cond").await;
    let tree = ObjectTree::new(&weed.site(|_| {}), &bucket, "").unwrap();
    let lane = tree.lane();
    let first = lane.put(&target("k", 3, Overwrite::Never), Chunks::of(&[b"one"])).await.unwrap();
    let again = lane.put(&target("k", 3, Overwrite::Never), Chunks::of(&[b"two"])).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Exists);
    lane.put(&target("k", 3, Overwrite::Always), Chunks::of(&[b"two"])).await.unwrap();
    let stale = lane.open(&entry("k", 3, first.version.as_deref()), None).await.err().unwrap();
    assert_eq!(stale.kind(), ErrorKind::Changed);
    let gone = lane.open(&entry("none", 3, None), None).await.err().unwrap();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let longer = lane.open(&entry("k", 4, None), None).await.err().unwrap();
    assert_eq!(longer.kind(), ErrorKind::Changed);
    assert!(lane.stat(&TreePath::new(b"none").unwrap()).await.unwrap().is_none());
}

fn noise(n: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    (0..n)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x.to_le_bytes()[0]
        })
        .collect()
}

async fn streaming_and_ranges(weed: &Weed) {
    let bucket = weed.bucket("stream").await;
    let tree = ObjectTree::new(&weed.site(|e| e.verify = true), &bucket, "").unwrap();
    let lane = tree.lane();
    let data = noise(9_000_001);
    let chunks: Vec<&[u8]> = data.chunks(77_777).collect();
    let stored =
        lane.put(&target("big", data.len() as u64, Overwrite::Never), Chunks::of(&chunks)).await.unwrap();
    assert_eq!(stored.digest, Digest::of(&data));
    let version = stored.version.as_deref();
    let again =
        lane.put(&target("big", data.len() as u64, Overwrite::Never), Chunks::of(&chunks)).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Exists);
    let whole = entry("big", data.len() as u64, version);
    assert_eq!(read_all(lane.open(&whole, None).await.unwrap()).await.unwrap(), data);
    for (start, end) in [(0, 1), (5, 5), (8_999_000, 9_000_001), (1_000_000, 7_000_000), (0, 9_000_001)] {
        let body = lane.open(&whole, Some(Range { start, end })).await.unwrap();
        assert_eq!(body.len(), end - start);
        let (a, b) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
        assert_eq!(read_all(body).await.unwrap(), data[a..b]);
    }
    // A body that is dropped half-read harms nobody.
    let mut body = lane.open(&whole, None).await.unwrap();
    body.next().await.unwrap();
    drop(body);
    assert_eq!(read_all(lane.open(&whole, None).await.unwrap()).await.unwrap().len(), data.len());
}

async fn multipart(weed: &Weed) {
    let bucket = weed.bucket("multi").await;
    let tree = ObjectTree::new(&weed.site(|_| {}), &bucket, "m").unwrap();
    let lane = tree.lane();
    let part_size = 5 * 1024 * 1024;
    let data = noise(2 * part_size + 12_345);
    let mut t = target("big", data.len() as u64, Overwrite::Never);
    t.meta = Meta { mtime_ns: Some(1_700_000_000_123_456_789), mode: Some(0o640), ..Meta::default() };
    let part = |n: usize| Part {
        number: u32::try_from(n).unwrap() + 1,
        range: Range { start: (n * part_size) as u64, end: (data.len().min((n + 1) * part_size)) as u64 },
    };
    let body = |n: usize| {
        let chunks: Vec<&[u8]> =
            data[n * part_size..data.len().min((n + 1) * part_size)].chunks(100_000).collect();
        Chunks::of(&chunks)
    };
    let first = lane.begin(&t, part_size as u64).await.unwrap();
    lane.put_part(&t, &first, part(1), body(1)).await.unwrap();
    // Interrupted; another lane of another run, with another stamp, finds the part.
    let lane = tree.lane();
    t.stamp.version = "v2".into();
    let upload = lane.begin(&t, part_size as u64).await.unwrap();
    assert_eq!((&upload.token, upload.done.len()), (&first.token, 1));
    let mut parts = Vec::new();
    for n in 0..3 {
        parts.push(lane.put_part(&t, &upload, part(n), body(n)).await.unwrap());
    }
    assert!(lane.stat(&t.path).await.unwrap().is_none(), "nothing is visible yet");
    let stored = lane.finish(&t, &upload, &parts, &t.meta).await.unwrap();
    assert_eq!(stored.digest, Digest::of(&data));
    let found = lane.stat(&t.path).await.unwrap().unwrap();
    assert_eq!(found.stamp.as_ref(), Some(&t.stamp), "the older run's stamp was replaced");
    assert_eq!((found.entry.size, found.entry.version.clone()), (data.len() as u64, stored.version));
    let seen = found.entry.meta.as_deref().map(|m| Meta { headers: Vec::new(), ..m.clone() });
    assert_eq!(seen.as_ref(), Some(&t.meta));
    assert_eq!(read_all(lane.open(&found.entry, None).await.unwrap()).await.unwrap(), data);
    // The end once more (its answer was lost): the same result.
    let again = lane
        .finish(&connector::Target { overwrite: Overwrite::Always, ..t.clone() }, &upload, &parts, &t.meta)
        .await;
    assert_eq!(again.unwrap().digest, stored.digest);
    never_over_something(lane.as_ref(), &t).await;
    // Sweeping removes what nobody finished.
    let t2 = target("left", data.len() as u64, Overwrite::Always);
    let left = lane.begin(&t2, part_size as u64).await.unwrap();
    assert_eq!(tree.sweep(&connector::Sweep::idle(3600)).await.unwrap(), 0);
    assert_eq!(tree.sweep(&connector::Sweep::idle(0)).await.unwrap(), 1);
    lane.abort(&t2, &left).await.unwrap();
    assert_eq!(tree.sweep(&connector::Sweep::idle(0)).await.unwrap(), 0);
}

async fn never_over_something(lane: &dyn connector::Lane, t: &connector::Target) {
    let small = target("big", 5, Overwrite::Never);
    let upload = lane.begin(&small, 5).await.unwrap();
    let part = Part { number: 1, range: Range { start: 0, end: 5 } };
    let done = lane.put_part(&small, &upload, part, Chunks::of(&[b"small"])).await.unwrap();
    let e = lane.finish(&small, &upload, &[done], &small.meta).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Exists);
    lane.abort(&small, &upload).await.unwrap();
    assert_eq!(lane.stat(&t.path).await.unwrap().unwrap().entry.size, t.size);
}

async fn metadata(weed: &Weed) {
    let bucket = weed.bucket("meta").await;
    let tree = ObjectTree::new(&weed.site(|_| {}), &bucket, "").unwrap();
    let lane = tree.lane();
    let full = Meta {
        mtime_ns: Some(-1_500_000_001),
        atime_ns: Some(1_700_000_000_000_000_001),
        mode: Some(0o4755),
        uid: Some(1000),
        gid: Some(4_294_967_294),
        xattrs: vec![Xattr { name: b"user.\xc3\xa4 X".as_slice().into(), value: vec![0, 255, 10].into() }],
        symlink: None,
        hard_link: None,
        headers: Vec::new(),
    };
    // The server tells a content type of its own.
    let plain = |m: &Meta| Meta { headers: Vec::new(), ..m.clone() };
    let mut t = target("file", 4, Overwrite::Always);
    t.meta = full.clone();
    lane.put(&t, Chunks::of(&[b"body"])).await.unwrap();
    let found = lane.stat(&t.path).await.unwrap().unwrap();
    let seen = found.entry.meta.as_deref().map(plain);
    assert_eq!((seen.as_ref(), found.stamp), (Some(&full), Some(t.stamp.clone())));
    assert_eq!(plain(lane.open(&found.entry, None).await.unwrap().meta()), full);
    let mut dir = target("dir", 0, Overwrite::Always);
    dir.meta = Meta { xattrs: Vec::new(), ..full.clone() };
    lane.put_dir(&dir).await.unwrap();
    let found = lane.stat(&dir.path).await.unwrap().unwrap();
    // This server keeps no user metadata on directory markers; `scripted.rs` sees that they are sent.
    assert_eq!(found.entry.kind, EntryKind::Dir);
    assert!(lane.open(&found.entry, None).await.unwrap().is_empty());
    let mut link = target("link", 0, Overwrite::Always);
    link.meta.symlink = Some(b"../ta rget\xff".as_slice().into());
    lane.put(&link, Chunks::of(&[])).await.unwrap();
    let found = lane.stat(&link.path).await.unwrap().unwrap();
    assert_eq!(found.entry.kind, EntryKind::Symlink { target: b"../ta rget\xff".as_slice().into() });
    assert_eq!(lane.open(&found.entry, None).await.unwrap().meta().symlink, link.meta.symlink);
    let mut hard = target("hard", 4, Overwrite::Always);
    hard.meta.hard_link = Some(TreePath::new("fi le\u{e4}".as_bytes()).unwrap());
    lane.put(&hard, Chunks::of(&[b"body"])).await.unwrap();
    let found = lane.stat(&hard.path).await.unwrap().unwrap();
    assert_eq!(found.entry.size, 4, "a further name holds the content");
    assert_eq!(found.entry.kind, EntryKind::HardLink { first: hard.meta.hard_link.unwrap() });
}

async fn wrong_keys(weed: &Weed) {
    let mut wrong = common::credentials().unwrap();
    wrong.secret_key = Secret::new("wrong");
    let site = weed.site(|e| e.credentials = Some(wrong));
    let f = Client::new(&site).list_buckets().await.unwrap_err();
    assert_eq!((f.kind(), &*f.code), (ErrorKind::Denied, "SignatureDoesNotMatch"));
    assert!(!f.to_string().contains("wrong"));
}
