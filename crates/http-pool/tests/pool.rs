//! The pool against a server that misbehaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/server.rs"]
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use connector::ErrorKind;
use http::Method;
use http_pool::{Address, Call, Pool, Remote, basic};
use server::{Reply, Request, Server};

fn pool(server: &Server, path: &str) -> Pool {
    let address = Address::parse(&format!("{}{path}", server.url())).unwrap();
    let time = Duration::from_millis(500);
    Pool::new(Remote { address, tls: None, authorization: basic("u", "p"), connect: time, idle: time })
}

fn post(body: Bytes) -> Call<'static> {
    Call { method: Method::POST, path: "/x?y=1", headers: &[], body, limit: 1000 }
}

/// A server with a list of replies, and what it was asked.
fn scripted(replies: Vec<Reply>) -> (Server, Arc<Mutex<Vec<Request>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, mut replies) = (seen.clone(), replies.into_iter());
    let server = Server::start(move |r| {
        log.lock().unwrap().push(r.clone());
        replies.next().unwrap_or(Reply::status(500))
    });
    (server, seen)
}

#[tokio::test]
async fn large_bodies_and_kept_connections() {
    let (server, seen) =
        scripted(vec![Reply::text(200, "a"), Reply::text(404, "b"), Reply::Hangup, Reply::text(200, "c")]);
    let pool = pool(&server, "/base/");
    let large: Bytes = (0..3_000_000u32).map(|n| n as u8).collect::<Vec<_>>().into();
    let answer = pool.call(post(large.clone())).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"a"[..]));
    assert_eq!(pool.call(post(Bytes::new())).await.unwrap().status, 404);
    // The kept connection is closed under our hands: the same request again on a new one.
    assert_eq!(pool.call(post(Bytes::from_static(b"z"))).await.unwrap().words(), "c");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen[0].body == large && seen[3].body == b"z");
    assert_eq!((seen[0].path.as_str(), seen[0].header("authorization")), ("/base/x?y=1", Some("basic dtpw")));
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    for (reply, kind) in [
        (Reply::Hangup, ErrorKind::Unavailable),
        (Reply::Half(200, b"half".to_vec()), ErrorKind::Unavailable),
        (Reply::Raw(b"SSH-2.0-nonsense\r\n\r\n".to_vec()), ErrorKind::Unavailable),
        (Reply::Slow(Duration::from_secs(2), Box::new(Reply::status(200))), ErrorKind::Unavailable),
        (Reply::Answer(200, String::new(), vec![b'x'; 2000]), ErrorKind::Other),
    ] {
        let (server, _) = scripted(vec![reply.clone()]);
        let error = pool(&server, "").call(post(Bytes::from_static(b"q"))).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{reply:?}: {error}");
    }
    let gone = {
        let (server, _) = scripted(Vec::new());
        pool(&server, "")
    };
    assert_eq!(gone.call(post(Bytes::new())).await.unwrap_err().kind(), ErrorKind::Unavailable);
}
