//! The client against a server that does as a script says: what real servers do on their bad days.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::scripted::{Reply, Server};
use common::{Chunks, entry, read_all, target};
use connector::{ErrorKind, Lane, Overwrite, Part, PartDone, Range, Tree};
use connector_object::{Client, Condition, Endpoint, ObjectTree};

fn endpoint(server: &Server) -> Endpoint {
    let mut e = Endpoint::new(server.url(), "us-east-1", common::credentials());
    e.max_retries = 3;
    e.timeouts.idle = Duration::from_millis(300);
    e
}

fn lane(server: &Server, change: impl FnOnce(&mut Endpoint)) -> Box<dyn Lane> {
    let mut e = endpoint(server);
    change(&mut e);
    ObjectTree::new(&e.check().unwrap(), "bkt", "").unwrap().lane()
}

const STAMPED: &str = "x-amz-meta-wharf: run-1;5;v1\r\n";

#[tokio::test]
async fn transient_answers_are_tried_again_and_others_are_not() {
    for status in ["500 x", "502 x", "503 x", "504 x", "429 x", "408 x"] {
        let server =
            Server::start(vec![Reply::status(status), Reply::status(status), Reply::ok("", b"hello")]).await;
        let client = Client::new(&endpoint(&server).check().unwrap());
        assert_eq!(client.get_small("bkt", "k", 100).await.unwrap(), "hello", "{status}");
        assert_eq!(server.seen().len(), 3, "{status}");
    }
    for (status, kind) in
        [("403 x", ErrorKind::Denied), ("404 x", ErrorKind::NotFound), ("412 x", ErrorKind::Changed)]
    {
        let server = Server::start(vec![Reply::status(status)]).await;
        let client = Client::new(&endpoint(&server).check().unwrap());
        assert_eq!(client.get_small("bkt", "k", 100).await.unwrap_err().kind(), kind);
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn retries_end_and_the_budget_is_shared() {
    let server = Server::start(vec![Reply::status("503 x"); 20]).await;
    let mut e = endpoint(&server);
    e.retry_budget = 2;
    let site = e.check().unwrap();
    for want in [3, 4, 5] {
        let f = Client::new(&site).get_small("bkt", "k", 100).await.unwrap_err();
        assert!(f.kind().is_transient());
        assert_eq!(server.seen().len(), want);
    }
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let slow = Reply::raw("HTTP/1.1 503 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", b"");
    let server = Server::start(vec![slow, Reply::ok("", b"x")]).await;
    let begun = Instant::now();
    Client::new(&endpoint(&server).check().unwrap()).get_small("bkt", "k", 9).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let never = Reply::raw("HTTP/1.1 503 Slow\r\nRetry-After: 99999\r\nContent-Length: 0\r\n\r\n", b"");
    let server = Server::start(vec![never]).await;
    assert!(Client::new(&endpoint(&server).check().unwrap()).get_small("bkt", "k", 9).await.is_err());
}

#[tokio::test]
async fn silence_and_slow_loris_end_in_time() {
    let server = Server::start(vec![Reply::Silence; 4]).await;
    let begun = Instant::now();
    let f = Client::new(&endpoint(&server).check().unwrap()).get_small("bkt", "k", 9).await.unwrap_err();
    assert_eq!(f.kind(), ErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(10));
    // A head that never ends is cut off by its size.
    let server = Server::start(vec![Reply::EndlessHead; 4]).await;
    let f = Client::new(&endpoint(&server).check().unwrap()).get_small("bkt", "k", 9).await.unwrap_err();
    assert_eq!(f.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn too_long_and_malformed_documents_are_refused() {
    let huge = vec![b' '; 9 * 1024 * 1024];
    let server =
        Server::start(vec![Reply::ok("", &huge), Reply::ok("", b"<ListBucketResult"), Reply::ok("", b"{}")])
            .await;
    let client = Client::new(&endpoint(&server).check().unwrap());
    for _ in 0..3 {
        let f = client.list_objects("bkt", &Default::default()).await.unwrap_err();
        assert_eq!(f.kind(), ErrorKind::Other, "{f}");
    }
}

#[tokio::test]
async fn a_read_that_breaks_goes_on_at_the_next_byte() {
    let first = Reply::raw("HTTP/1.1 200 OK\r\nETag: \"e1\"\r\nContent-Length: 10\r\n\r\n", b"01234");
    let rest = Reply::raw(
        "HTTP/1.1 206 P\r\nETag: \"e1\"\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\n",
        b"56789",
    );
    let server = Server::start(vec![first.and_close(), rest]).await;
    let lane = lane(&server, |_| {});
    let body = lane.open(&entry("k", 10, Some("e1")), None).await.unwrap();
    assert_eq!(read_all(body).await.unwrap(), b"0123456789");
    let seen = server.seen();
    assert!(seen[1].contains("range: bytes=5-9") && seen[1].contains("if-match: \"e1\""), "{}", seen[1]);
}

#[tokio::test]
async fn a_read_of_another_version_is_refused() {
    let head = |h: &str| Reply::raw(&format!("HTTP/1.1 {h}\r\n\r\n"), b"01234");
    for reply in [
        Reply::status("412 x"),
        head("200 OK\r\nETag: \"other\"\r\nContent-Length: 5"),
        head("200 OK\r\nETag: \"e1\"\r\nContent-Length: 6"),
    ] {
        let server = Server::start(vec![reply]).await;
        let opened = lane(&server, |_| {}).open(&entry("k", 5, Some("e1")), None).await;
        assert_eq!(opened.err().unwrap().kind(), ErrorKind::Changed);
    }
    let range = Some(Range { start: 1, end: 3 });
    for (reply, kind) in [
        (head("200 OK\r\nETag: \"e1\"\r\nContent-Length: 5"), ErrorKind::Unsupported),
        (head("206 P\r\nContent-Range: bytes 1-2/9\r\nContent-Length: 2"), ErrorKind::Changed),
        (head("206 P\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2"), ErrorKind::Corrupt),
        (Reply::status("416 x"), ErrorKind::Changed),
    ] {
        let server = Server::start(vec![reply]).await;
        let opened = lane(&server, |_| {}).open(&entry("k", 5, Some("e1")), range).await;
        assert_eq!(opened.err().unwrap().kind(), kind);
    }
}

#[tokio::test]
async fn bytes_that_do_not_match_their_checksum_are_corrupt() {
    let reply = |crc: &str| Reply::ok(&format!("x-amz-checksum-crc64nvme: {crc}\r\n"), b"123456789");
    let server = Server::start(vec![reply("rosUhgp5mIg="), reply("AAAAAAAAAAA=")]).await;
    let lane = lane(&server, |_| {});
    let good = lane.open(&entry("k", 9, None), None).await.unwrap();
    assert_eq!(good.expected().unwrap().crc64, 0xae8b_1486_0a79_9888);
    assert_eq!(read_all(good).await.unwrap(), b"123456789");
    let bad = lane.open(&entry("k", 9, None), None).await.unwrap();
    assert_eq!(read_all(bad).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(server.seen()[0].contains("x-amz-checksum-mode: ENABLED"));
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_no_duplicate_and_no_failure() {
    // The server takes the body and dies; the second attempt finds something there: it is ours.
    let server = Server::start(vec![
        Reply::Hangup,
        Reply::status("412 x"),
        Reply::raw(&format!("HTTP/1.1 200 OK\r\nETag: \"e9\"\r\n{STAMPED}Content-Length: 5\r\n\r\n"), b""),
    ])
    .await;
    let lane = lane(&server, |_| {});
    let stored = lane.put(&target("k", 5, Overwrite::Never), Chunks::of(&[b"hello"])).await.unwrap();
    assert_eq!(stored.version.as_deref(), Some("e9"));
    // The same without a lost answer is somebody else's object.
    let server = Server::start(vec![Reply::status("412 x")]).await;
    let lane = lane_of(&server);
    let e = lane.put(&target("k", 5, Overwrite::Never), Chunks::of(&[b"hello"])).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Exists);
}

/// Every dialect takes our words under S3's prefix, and answers them under its own: the stamp among them, by which a
/// write whose answer was lost is known.
#[tokio::test]
async fn each_dialect_is_written_as_s3_and_read_under_its_own_prefix() {
    use connector_object::Dialect;
    let dialects =
        [(Dialect::S3, "amz"), (Dialect::Cos, "cos"), (Dialect::Oss, "oss"), (Dialect::Obs, "obs")];
    for (dialect, word) in dialects {
        let stored = format!(
            "HTTP/1.1 200 OK\r\nETag: \"e9\"\r\nx-{word}-meta-wharf: run-1;5;v1\r\n\
             x-{word}-meta-file-permissions: 0100640\r\nx-{word}-meta-file-mtime: 7ns\r\nx-{word}-meta-Team: a b\r\nContent-Length: 5\r\n\r\n"
        );
        let head = Reply::raw(&stored, b"");
        let server = Server::start(vec![Reply::Hangup, Reply::status("412 x"), head.clone(), head]).await;
        let mut t = target("k", 5, Overwrite::Never);
        t.meta.mode = Some(0o640);
        t.meta.headers.push(("x-amz-meta-team".into(), "a b".into()));
        let kept = lane(&server, |e| e.dialect = dialect).put(&t, Chunks::of(&[b"hello"])).await.unwrap();
        assert_eq!(kept.version.as_deref(), Some("e9"), "{word}");
        let sent = server.seen()[0].to_ascii_lowercase();
        for part in
            ["x-amz-meta-wharf: run-1;5;v1", "x-amz-meta-file-permissions: 0100640", "x-amz-meta-team: a b"]
        {
            assert!(sent.contains(part), "{word}: {sent}");
        }
        for other in ["x-cos-meta", "x-oss-meta", "x-obs-meta"] {
            assert!(!sent.contains(other), "{word}: {sent}");
        }
        let signed = sent.split("signedheaders=").nth(1).unwrap();
        assert!(signed.contains("x-amz-meta-wharf"), "unsigned headers are refused: {signed}");
        let mut e = endpoint(&server);
        e.dialect = dialect;
        let read = Client::new(&e.check().unwrap()).head("bkt", "k").await.unwrap().metadata();
        assert_eq!((read.mode, read.mtime_ns), (Some(0o640), Some(7)), "{word}");
        assert_eq!(*read.headers, [("x-amz-meta-team".into(), "a b".into())], "{word}");
    }
}

fn lane_of(server: &Server) -> Box<dyn Lane> {
    lane(server, |_| {})
}

#[tokio::test]
async fn a_refused_checksum_header_is_learned() {
    let server = Server::start(vec![Reply::status("501 x"), Reply::ok("", b""), Reply::ok("", b"")]).await;
    let client = Client::new(&endpoint(&server).check().unwrap());
    for _ in 0..2 {
        client.put_bytes("bkt", "k", Bytes::from_static(b"x"), Condition::None).await.unwrap();
    }
    let with: Vec<_> = server.seen().iter().map(|r| r.contains("x-amz-checksum-crc64nvme")).collect();
    assert_eq!(with, [true, false, false]);
}

#[tokio::test]
async fn bodies_are_held_to_their_length() {
    for (chunks, size) in [(&[b"hell".as_slice()][..], 5), (&[b"hello!"], 5)] {
        let server = Server::start(vec![Reply::ok("", b"")]).await;
        let body = Chunks::announced(chunks, size);
        let e = lane_of(&server).put(&target("k", size, Overwrite::Always), body).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Changed);
    }
    let big = vec![7_u8; 700_000];
    for n in [2, 4] {
        let server = Server::start(vec![Reply::ok("", b"")]).await;
        let body = Chunks::announced(&vec![big.as_slice(); n], 2_100_000);
        let e = lane_of(&server).put(&target("k", 2_100_000, Overwrite::Always), body).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Changed);
    }
}

#[tokio::test]
async fn an_early_refusal_ends_a_streaming_put() {
    let server = Server::start(vec![Reply::Early("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")]).await;
    let big = vec![7_u8; 1_000_000];
    let body = Chunks::of(&vec![big.as_slice(); 20]);
    let e = lane_of(&server).put(&target("k", 20_000_000, Overwrite::Always), body).await.unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Denied | ErrorKind::Unavailable), "{e}");
}

fn parts() -> Vec<PartDone> {
    vec![PartDone {
        number: 1,
        etag: Some("e".into()),
        digest: Some(connector::Digest::of(b"hello")),
        len: 5,
    }]
}

fn upload() -> connector::Upload {
    connector::Upload { token: "u".into(), part_size: 5, done: Vec::new() }
}

#[tokio::test]
async fn an_error_inside_200_is_tried_again_and_a_lost_end_is_found() {
    let error = b"<Error><Code>InternalError</Code></Error>";
    let done = b"<CompleteMultipartUploadResult><ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>";
    let server = Server::start(vec![Reply::ok("", error), Reply::ok("", done)]).await;
    let t = target("k", 5, Overwrite::Always);
    let stored = lane_of(&server).finish(&t, &upload(), &parts(), &t.meta).await.unwrap();
    assert_eq!(stored.version.as_deref(), Some("e-1"));
    // The answer was lost, the upload is gone, the object carries our stamp.
    let gone = Reply::raw(
        "HTTP/1.1 404 N\r\nContent-Length: 43\r\n\r\n",
        b"<Error><Code>NoSuchUpload</Code></Error>   ",
    );
    let ours =
        Reply::raw(&format!("HTTP/1.1 200 OK\r\nETag: \"e-1\"\r\n{STAMPED}Content-Length: 5\r\n\r\n"), b"");
    let server = Server::start(vec![Reply::Hangup, gone.clone(), ours]).await;
    let stored = lane_of(&server).finish(&t, &upload(), &parts(), &t.meta).await.unwrap();
    assert_eq!(stored.version.as_deref(), Some("e-1"));
    // The upload is gone and what is there is not ours.
    let other = Reply::raw("HTTP/1.1 200 OK\r\nETag: \"e-1\"\r\nContent-Length: 5\r\n\r\n", b"");
    let server = Server::start(vec![gone, other]).await;
    assert!(lane_of(&server).finish(&t, &upload(), &parts(), &t.meta).await.is_err());
}

#[tokio::test]
async fn an_upload_found_again_sends_only_what_is_missing() {
    let uploads =
        b"<R><Upload><Key>k</Key><UploadId>u7</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>\
<Upload><Key>kk</Key><UploadId>u8</UploadId><Initiated>2026-01-02T00:00:00Z</Initiated></Upload></R>";
    let listed = b"<R><Part><PartNumber>1</PartNumber><ETag>\"5d41402abc4b2a76b9719d911017c592\"</ETag><Size>5</Size></Part>\
<Part><PartNumber>2</PartNumber><ETag>\"00000000000000000000000000000000\"</ETag><Size>5</Size></Part>\
<Part><PartNumber>10000</PartNumber><ETag>\"73bf9d8e75e50c0d160722bd310aed98\"</ETag><Size>200</Size></Part></R>";
    let server = Server::start(vec![
        Reply::ok("", uploads),
        Reply::ok("", listed),
        Reply::ok("", b""),
        Reply::raw("HTTP/1.1 200 OK\r\nETag: \"new\"\r\nContent-Length: 0\r\n\r\n", b""),
    ])
    .await;
    let lane = lane_of(&server);
    let t = target("k", 10, Overwrite::Always);
    let up = lane.begin(&t, 5).await.unwrap();
    assert_eq!((&*up.token, up.done.len()), ("u7", 2));
    let part =
        |n: u32| Part { number: n, range: Range { start: u64::from(n - 1) * 5, end: u64::from(n) * 5 } };
    let one = lane.put_part(&t, &up, part(1), Chunks::of(&[b"hel", b"lo"])).await.unwrap();
    assert_eq!(one.digest, Some(connector::Digest::of(b"hello")));
    assert!(server.seen()[2].starts_with("PUT /bkt/k?partNumber=10000&uploadId=u7"), "it is taken up");
    assert_eq!(server.seen().len(), 3, "part 1 is there already");
    let two = lane.put_part(&t, &up, part(2), Chunks::of(&[b"world"])).await.unwrap();
    assert_eq!(two.etag.as_deref(), Some("new"));
    assert!(server.seen()[3].starts_with("PUT /bkt/k?partNumber=2&uploadId=u7"));
}

/// The same parts in the same places, without our mark: another tool's.
#[tokio::test]
async fn an_upload_of_another_tool_is_left_alone() {
    let uploads =
        b"<R><Upload><Key>k</Key><UploadId>u7</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload></R>";
    for last in [
        "",
        "<Part><PartNumber>10000</PartNumber><ETag>\"0e4d6ea3a8ff2ea3a2c2b9dbd4a7ca0a\"</ETag><Size>200</Size></Part>",
    ] {
        let listed = format!(
            "<R><Part><PartNumber>1</PartNumber><ETag>\"5d41402abc4b2a76b9719d911017c592\"</ETag><Size>5</Size></Part>{last}</R>"
        );
        let begun = b"<R><UploadId>new</UploadId></R>";
        let server = Server::start(vec![
            Reply::ok("", uploads),
            Reply::ok("", listed.as_bytes()),
            Reply::ok("", begun),
            Reply::ok("", b""),
        ])
        .await;
        let up = lane_of(&server).begin(&target("k", 10, Overwrite::Always), 5).await.unwrap();
        assert_eq!((&*up.token, up.done.len()), ("new", 0));
    }
    // Nor does a sweep touch it.
    let listed = b"<R><Part><PartNumber>10000</PartNumber><ETag>\"e\"</ETag><Size>200</Size></Part></R>";
    let server = Server::start(vec![Reply::ok("", uploads), Reply::ok("", listed)]).await;
    let tree = connector_object::ObjectTree::new(&endpoint(&server).check().unwrap(), "bkt", "").unwrap();
    assert_eq!(connector::Tree::sweep(&tree, &connector::Sweep::idle(0)).await.unwrap(), 0);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_directory_marker_carries_its_metadata() {
    let server = Server::start(vec![Reply::ok("", b"")]).await;
    let mut t = target("d", 0, Overwrite::Never);
    t.meta.mode = Some(0o1755);
    t.meta.mtime_ns = Some(-1);
    lane_of(&server).put_dir(&t).await.unwrap();
    let seen = server.seen();
    for part in ["PUT /bkt/d/ HTTP", "x-amz-meta-file-permissions: 0041755", "x-amz-meta-file-mtime: -1ns"] {
        assert!(seen[0].contains(part), "{}", seen[0]);
    }
}

#[tokio::test]
async fn a_dead_address_is_unavailable() {
    let mut e = Endpoint::new("http://127.0.0.1:1", "us-east-1", None);
    e.max_retries = 1;
    let f = Client::new(&e.check().unwrap()).get_small("bkt", "k", 9).await.unwrap_err();
    assert_eq!(f.kind(), ErrorKind::Unavailable);
}
