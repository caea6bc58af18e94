//! A server that gives the replies of a script, one per request, over as many connections as are made.

use std::sync::{Arc, Mutex};

use runtime::TaskKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
pub enum Reply {
    /// These bytes; then the connection stays, or is closed.
    Bytes { bytes: Vec<u8>, close: bool },
    /// The request is read, then the connection is closed without a word.
    Hangup,
    /// The request is read and never answered.
    Silence,
    /// Headers without end.
    EndlessHead,
    /// Answered after the head of the request, before its body was read.
    Early(&'static str),
}

impl Reply {
    pub fn raw(head: &str, body: &[u8]) -> Self {
        Self::Bytes { bytes: [head.as_bytes(), body].concat(), close: false }
    }

    pub fn status(status: &str) -> Self {
        Self::raw(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"), b"")
    }

    pub fn ok(headers: &str, body: &[u8]) -> Self {
        Self::raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n", body.len()), body)
    }

    pub fn and_close(self) -> Self {
        match self {
            Self::Bytes { bytes, .. } => Self::Bytes { bytes, close: true },
            other => other,
        }
    }
}

pub struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start(script: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script.into_iter()));
        let requests = seen.clone();
        let task = runtime::spawn(TaskKind::Test, async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (script.clone(), requests.clone());
                runtime::spawn(TaskKind::Test, async move {
                    let _ = serve(stream, &script, &seen).await;
                });
            }
        });
        Self { port, seen, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Heads of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    script: &Mutex<std::vec::IntoIter<Reply>>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let head_len = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..head_len]).to_ascii_lowercase();
        seen.lock().unwrap().push(String::from_utf8_lossy(&buffer[..head_len]).into_owned());
        let length = head.split("content-length: ").nth(1).and_then(|r| r.split("\r\n").next()?.parse().ok());
        let total: usize = head_len + length.unwrap_or(0);
        let Some(reply) = script.lock().unwrap().next() else { return Ok(()) };
        if let Reply::Early(text) = reply {
            stream.write_all(text.as_bytes()).await?;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            return Ok(());
        }
        while buffer.len() < total {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..total);
        match reply {
            Reply::Bytes { bytes, close } => {
                stream.write_all(&bytes).await?;
                if close {
                    return Ok(());
                }
            }
            Reply::Hangup | Reply::Early(_) => return Ok(()),
            Reply::Silence => std::future::pending().await,
            Reply::EndlessHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                loop {
                    stream.write_all(b"x-more: and more and more and more\r\n").await?;
                }
            }
        }
    }
}
