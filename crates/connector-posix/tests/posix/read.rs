//! Reads: ranges, links, files that change under the reader.

use std::fs;
use std::io::{Seek, Write};

use connector::conformance::{content, list_all, read_all};
use connector::{ErrorKind, ListRequest, Range, Tree};

use crate::{path, tree};

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_gives_no_whole_body() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("f");
    let bytes = content(1 << 20, 1);
    fs::write(&at, &bytes).unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    let change: [&dyn Fn(); 4] = [
        &|| fs::OpenOptions::new().append(true).open(&at).unwrap().write_all(b"x").unwrap(),
        &|| {
            let mut f = fs::OpenOptions::new().write(true).open(&at).unwrap();
            f.seek(std::io::SeekFrom::Start(900_000)).unwrap();
            f.write_all(b"y").unwrap();
        },
        &|| fs::OpenOptions::new().write(true).open(&at).unwrap().set_len(500_000).unwrap(),
        // The bytes are the same, the mode is not: the listed state is gone all the same.
        &|| {
            let mut p = fs::metadata(&at).unwrap().permissions();
            p.set_readonly(!p.readonly());
            fs::set_permissions(&at, p).unwrap();
        },
    ];
    for (i, change) in change.iter().enumerate() {
        fs::remove_file(&at).unwrap();
        fs::write(&at, &bytes).unwrap();
        let entry = lane.stat(&path("f")).await.unwrap().unwrap().entry;
        let mut body = lane.open(&entry, None).await.unwrap();
        body.next().await.unwrap().unwrap();
        change();
        assert_eq!(read_all(body).await.unwrap_err().kind(), ErrorKind::Changed, "change {i}");
        assert_eq!(lane.open(&entry, None).await.err().unwrap().kind(), ErrorKind::Changed, "change {i}");
    }
}

#[tokio::test]
async fn links_read_as_what_they_hold_and_further_names_as_content() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), b"content").unwrap();
    fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
    std::os::unix::fs::symlink("some/where", dir.path().join("l")).unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    for entry in list_all(&t, ListRequest::default()).await.unwrap() {
        let body = lane.open(&entry, None).await.unwrap();
        let want: &[u8] = if entry.path.name() == b"l" { b"some/where" } else { b"content" };
        assert_eq!(body.len(), want.len() as u64);
        assert!(body.meta().hard_link.is_none());
        assert_eq!(read_all(body).await.unwrap(), want);
    }
}

#[tokio::test]
async fn a_range_past_the_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), b"content").unwrap();
    let t = tree(dir.path());
    let lane = t.lane();
    let entry = lane.stat(&path("a")).await.unwrap().unwrap().entry;
    for (start, end) in [(0, 8), (5, 3), (9, 9)] {
        let r = lane.open(&entry, Some(Range { start, end })).await;
        assert_eq!(r.err().unwrap().kind(), ErrorKind::Changed, "{start}..{end}");
    }
}
