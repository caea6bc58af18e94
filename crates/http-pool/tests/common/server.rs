//! A scripted HTTP server for the tests of everything that uses the pool: a closure answers, and may answer badly. It stands in
//! for a peer's faults, not for the peer.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// As it came, lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[derive(Debug, Clone)]
pub enum Reply {
    /// Status, further header lines, body.
    Answer(u16, String, Vec<u8>),
    /// The request was read and is acted on; then the connection is closed without a word.
    Hangup,
    /// More is announced than comes.
    Half(u16, Vec<u8>),
    /// These bytes, whatever they are; then the connection is closed.
    Raw(Vec<u8>),
    /// After a while.
    Slow(Duration, Box<Reply>),
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Answer(status, String::new(), Vec::new())
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self::Answer(status, String::new(), body.as_bytes().to_vec())
    }
}

type Handler = Box<dyn FnMut(&Request) -> Reply + Send>;

pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Requests are answered one at a time, over as many connections as are made.
    pub fn start(handler: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let handler: Arc<Mutex<Handler>> = Arc::new(Mutex::new(Box::new(handler)));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let handler = handler.clone();
                std::thread::spawn(move || drop(serve(stream, &handler)));
            }
        });
        Self { address, stop, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        if let Some(t) = self.thread.take() {
            drop(t.join());
        }
    }
}

fn serve(mut stream: TcpStream, handler: &Mutex<Handler>) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            let n = stream.read(&mut chunk)?;
            if n == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(&chunk[..n]);
        };
        let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let mut words = text.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (method, path) = (method.to_owned(), path.to_owned());
        let head = text.to_ascii_lowercase();
        let mut request = Request { method, path, head, body: Vec::new() };
        let length = request.header("content-length").map_or(0, |l| l.parse().unwrap());
        while buffer.len() < end + length {
            let n = stream.read(&mut chunk)?;
            if n == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(&chunk[..n]);
        }
        request.body = buffer[end..end + length].to_vec();
        buffer.drain(..end + length);
        let reply = (handler.lock().unwrap())(&request);
        if !send(&mut stream, &request, reply)? {
            return Ok(());
        }
    }
}

/// Sends a reply. False: the connection is over.
fn send(stream: &mut TcpStream, request: &Request, reply: Reply) -> std::io::Result<bool> {
    match reply {
        Reply::Answer(status, headers, body) => {
            write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n", body.len())?;
            if request.method != "HEAD" {
                stream.write_all(&body)?;
            }
            Ok(true)
        }
        Reply::Hangup => Ok(false),
        Reply::Half(status, body) => {
            write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len() + 100)?;
            stream.write_all(&body)?;
            Ok(false)
        }
        Reply::Raw(bytes) => {
            stream.write_all(&bytes)?;
            Ok(false)
        }
        Reply::Slow(pause, reply) => {
            std::thread::sleep(pause);
            send(stream, request, *reply)
        }
    }
}
