//! The fault proxy between a plain client and a plain server: each harm does what it says and no more.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::{Mode, Proxy};

/// Answers every request with its body (or 20 bytes) and counts them.
fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, counter) = (stream.unwrap(), counter.clone());
            std::thread::spawn(move || talk(stream, &counter));
        }
    });
    (addr, count)
}

fn talk(stream: TcpStream, counter: &AtomicUsize) -> Option<()> {
    let mut read = BufReader::new(stream.try_clone().ok()?);
    let mut write = stream;
    loop {
        let (mut length, mut chunked, mut head) = (0, false, String::new());
        loop {
            let mut line = String::new();
            if read.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().ok()?;
            }
            chunked |= line.to_lowercase().starts_with("transfer-encoding: chunked");
            head += &line;
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        read.read_exact(&mut body).ok()?;
        while chunked {
            let mut line = String::new();
            read.read_line(&mut line).ok()?;
            let n = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut part = vec![0; n + 2];
            read.read_exact(&mut part).ok()?;
            body.extend_from_slice(&part[..n]);
            chunked = n > 0;
        }
        counter.fetch_add(1, Ordering::SeqCst);
        if body.is_empty() {
            body = b"12345678901234567890".to_vec();
        }
        let answer = if head.contains("/chunked") {
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                body.len(),
                String::from_utf8(body).ok()?
            )
        } else {
            let shown = if head.starts_with("HEAD") { "" } else { std::str::from_utf8(&body).ok()? };
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{shown}", body.len())
        };
        write.write_all(answer.as_bytes()).ok()?;
    }
}

/// Sends text, reads until the other side is silent for a moment or closes.
fn say(stream: &mut TcpStream, text: &str) -> String {
    if stream.write_all(text.as_bytes()).is_err() {
        return "<reset>".to_owned();
    }
    stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let (mut out, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => out.extend_from_slice(&buffer[..n]),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                break;
            }
            Err(_) => {
                out.extend_from_slice(b"<reset>");
                break;
            }
        }
    }
    String::from_utf8(out).unwrap()
}

struct Scene {
    proxy: Proxy,
    done: Arc<AtomicUsize>,
}

impl Scene {
    async fn new(mode: Mode) -> Self {
        let (upstream, done) = server();
        Self { proxy: Proxy::start("127.0.0.1:0".parse().unwrap(), upstream, mode).await.unwrap(), done }
    }

    /// A request on a connection of its own.
    async fn ask(&self, text: &str) -> String {
        let (addr, text) = (self.proxy.addr, text.to_owned());
        runtime::blocking(move || say(&mut TcpStream::connect(addr).unwrap(), &text)).await.unwrap()
    }

    fn only(&self, rule: &str) {
        self.proxy.clear();
        self.proxy.add(rule).unwrap();
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }
}

const PUT: &str = "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
const GET: &str = "GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn without_rules_everything_passes() {
    let s = Scene::new(Mode::Http).await;
    assert!(s.ask(PUT).await.ends_with("\r\n\r\nhello"));
    let both = s.ask(&format!("{PUT}{GET}HEAD /x HTTP/1.1\r\n\r\n{PUT}")).await;
    assert_eq!(both.matches("HTTP/1.1 200").count(), 4, "{both}");
    let chunks =
        "PUT /chunked HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = s.ask(&format!("{chunks}{GET}")).await;
    assert!(answer.contains("5\r\nabcde\r\n0\r\n\r\nHTTP/1.1 200"), "{answer}");
    let expects = s.ask("PUT /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab").await;
    assert!(expects.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), "{expects}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_harm_does_what_it_says() {
    let s = Scene::new(Mode::Http).await;
    s.only("match=PUT every=2 do=status:503");
    let answers = s.ask(&format!("{PUT}{PUT}{PUT}{GET}")).await;
    let codes: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|a| &a[..3]).collect();
    assert_eq!(codes, ["503", "200", "503", "200"]);
    assert_eq!((s.done(), s.proxy.fired()), (2, vec![2]));

    s.only("do=drop-response");
    assert_eq!(s.ask(PUT).await, "<reset>");
    assert_eq!(s.done(), 3, "the write happened");

    s.only("do=cut-request:3");
    assert_eq!(s.ask(PUT).await, "<reset>");
    assert_eq!(s.done(), 3, "the write did not happen");

    s.only("do=cut-response:7");
    let answer = s.ask(GET).await;
    assert!(answer.contains("Content-Length: 20") && answer.ends_with("\r\n\r\n1234567"), "{answer}");

    s.only("do=length:-5");
    let answer = s.ask(GET).await;
    assert!(answer.contains("content-length: 15") && answer.ends_with("67890"), "{answer}");

    s.only("do=flip:1");
    assert!(s.ask(GET).await.ends_with("\r\n\r\n13345678901234567890"));

    s.only("do=reset");
    assert_eq!(s.ask(GET).await, "<reset>");
    let before = s.done();
    s.only("do=black-hole");
    assert_eq!(s.ask(PUT).await, "");
    assert_eq!(s.done(), before);

    s.only("do=delay:200");
    let began = Instant::now();
    assert!(s.ask(GET).await.contains("200 OK"));
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_connections_can_be_harmed_too() {
    let s = Scene::new(Mode::Raw).await;
    assert!(s.ask(GET).await.contains("200 OK"));
    s.only("do=cut-response:10");
    assert!(s.ask(GET).await.starts_with("HTTP/1.1 2"));
    s.only("times=1 do=reset");
    assert_eq!(s.ask(GET).await, "<reset>");
    assert!(s.ask(GET).await.contains("200 OK"));
    assert_eq!(s.proxy.requests(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_socket_obeys() {
    let s = Scene::new(Mode::Http).await;
    let control = s.proxy.control("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let words = "add match=GET do=status:500\nadd nonsense\nseed 3\n";
    let answer =
        runtime::blocking(move || say(&mut TcpStream::connect(control).unwrap(), words)).await.unwrap();
    assert!(answer.starts_with("ok 0\nerror ") && answer.ends_with("ok\n"), "{answer}");
    assert!(s.ask(GET).await.starts_with("HTTP/1.1 500"));
    let stats = runtime::blocking(move || say(&mut TcpStream::connect(control).unwrap(), "stats\nclear\n"))
        .await
        .unwrap();
    assert_eq!(stats, "0 1 1 match=GET do=status:500\nrequests 1\nok\nok\n");
    assert!(s.ask(GET).await.starts_with("HTTP/1.1 200"));
}
