//! HTTP/1.1 message by message: enough to know where a request and its answer begin and end.
//!
//! Strict where it must be to stay in step, deaf to everything else: heads pass byte for byte, except
//! that `Expect` is answered here and a false `Content-Length` is put in when a rule asks for it.

use super::script::Action;
use super::{FOREVER, Shared, reset};
use bytes::{Buf as _, BytesMut};
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest head that is understood, bytes.
const MAX_HEAD: usize = 256 << 10;

/// A socket and what was read of it too far.
struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunked,
    /// With the connection.
    UntilClose,
}

/// What is done to a body on its way.
#[derive(Debug, Clone, Copy, Default)]
struct Harm {
    /// Stop after so many bytes.
    cut: Option<u64>,
    /// Flip the lowest bit of this byte.
    flip: Option<u64>,
    /// Bytes a second.
    rate: Option<u64>,
    /// Bytes that have passed.
    passed: u64,
}

struct Head {
    text: Vec<u8>,
    first: String,
    body: Body,
    expects: bool,
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(64 << 10) }
    }

    /// Reads more; `false` at the end.
    async fn fill(&mut self) -> Result<bool> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Reads up to and with `end`; `None` at the end of the stream.
    async fn until(&mut self, end: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut from = 0;
        loop {
            if let Some(at) = self.buffer[from..].windows(end.len()).position(|w| w == end) {
                return Ok(Some(self.buffer.split_to(from + at + end.len()).to_vec()));
            }
            from = self.buffer.len().saturating_sub(end.len() - 1);
            if self.buffer.len() > MAX_HEAD {
                return Err(Error::new(ErrorKind::InvalidData, "a head or line is too long"));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    async fn head(&mut self) -> Result<Option<Head>> {
        Ok(self.until(b"\r\n\r\n").await?.map(Head::read))
    }

    /// Passes a body on. `Ok(false)` when a harm cut it.
    async fn pass(&mut self, to: Option<&mut TcpStream>, body: Body, harm: &mut Harm) -> Result<bool> {
        let mut to = to;
        match body {
            Body::Length(n) => self.pass_bytes(&mut to, n, harm).await,
            Body::UntilClose => loop {
                if self.buffer.is_empty() && !self.fill().await? {
                    return Ok(true);
                }
                let n = self.buffer.len() as u64;
                if !self.pass_bytes(&mut to, n, harm).await? {
                    return Ok(false);
                }
            },
            Body::Chunked => loop {
                let line = self.until(b"\r\n").await?.ok_or(ErrorKind::UnexpectedEof)?;
                let text = String::from_utf8_lossy(&line);
                let size = text.trim().split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(size, 16).map_err(|_| Error::from(ErrorKind::InvalidData))?;
                send(&mut to, &line).await?;
                if size > 0 {
                    if !self.pass_bytes(&mut to, size, harm).await? {
                        return Ok(false);
                    }
                    let mut end = Harm::default();
                    self.pass_bytes(&mut to, 2, &mut end).await?;
                    continue;
                }
                // Trailers, up to the empty line.
                loop {
                    let line = self.until(b"\r\n").await?.ok_or(ErrorKind::UnexpectedEof)?;
                    send(&mut to, &line).await?;
                    if line == b"\r\n" {
                        return Ok(true);
                    }
                }
            },
        }
    }

    async fn pass_bytes(
        &mut self,
        to: &mut Option<&mut TcpStream>,
        count: u64,
        harm: &mut Harm,
    ) -> Result<bool> {
        let mut left = count;
        while left > 0 {
            if self.buffer.is_empty() && !self.fill().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let mut n = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)).min(16 << 10);
            if let Some(cut) = harm.cut {
                n = n.min(usize::try_from(cut.saturating_sub(harm.passed)).unwrap_or(usize::MAX));
                if n == 0 {
                    return Ok(false);
                }
            }
            if let Some(at) =
                harm.flip.and_then(|at| at.checked_sub(harm.passed)).and_then(|at| usize::try_from(at).ok())
                && at < n
            {
                self.buffer[at] ^= 1;
            }
            send(to, &self.buffer[..n]).await?;
            self.buffer.advance(n);
            left -= n as u64;
            harm.passed += n as u64;
            if let Some(rate) = harm.rate {
                tokio::time::sleep(Duration::from_millis(n as u64 * 1000 / rate)).await;
            }
        }
        Ok(true)
    }
}

async fn send(to: &mut Option<&mut TcpStream>, bytes: &[u8]) -> Result<()> {
    match to {
        Some(stream) => stream.write_all(bytes).await,
        None => Ok(()),
    }
}

impl Head {
    fn read(text: Vec<u8>) -> Self {
        let words = String::from_utf8_lossy(&text).into_owned();
        let mut lines = words.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let (mut body, mut expects) = (None, false);
        for (name, value) in lines.filter_map(|l| l.split_once(':')) {
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "content-length" if body.is_none() => body = value.parse().ok().map(Body::Length),
                "transfer-encoding" if value.to_ascii_lowercase().contains("chunked") => {
                    body = Some(Body::Chunked)
                }
                "expect" => expects = true,
                _ => {}
            }
        }
        // A request without a length has no body; an answer is looked at again by its reader.
        Self { text, first, body: body.unwrap_or(Body::Length(0)), expects }
    }

    /// How an answer to `method` ends.
    fn answer_body(&self, method: &str) -> Body {
        let status = self.status();
        if method == "HEAD" || (100..200).contains(&status) || status == 204 || status == 304 {
            return Body::Length(0);
        }
        let words = String::from_utf8_lossy(&self.text).to_ascii_lowercase();
        let told = words.contains("\r\ncontent-length:") || words.contains("\r\ntransfer-encoding:");
        if told { self.body } else { Body::UntilClose }
    }

    fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    /// The head without the lines called `name`, and with `line` added.
    fn with(&self, name: &str, line: Option<&str>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len());
        let is = |l: &[u8]| {
            l.len() > name.len()
                && l[name.len()] == b':'
                && l[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        };
        let end = self.text.len().saturating_sub(2);
        for l in self.text[..end].split_inclusive(|b| *b == b'\n').filter(|l| !is(l)) {
            out.extend_from_slice(l);
        }
        if let Some(line) = line {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}

/// Serves one client connection until either side ends it or a rule does.
pub(super) async fn serve(client: TcpStream, shared: Shared) -> Result<()> {
    let mut client = Wire::new(client);
    let mut upstream: Option<Wire> = None;
    while let Some(head) = client.head().await? {
        let mut words = head.first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let action = shared.decide(&format!("{method} {}", words.next().unwrap_or_default()));
        if !one(&mut client, &mut upstream, &shared, &head, &method, action).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// One request; `Ok(false)` when the connection is over.
async fn one(
    client: &mut Wire,
    upstream: &mut Option<Wire>,
    shared: &Shared,
    head: &Head,
    method: &str,
    action: Action,
) -> Result<bool> {
    match action {
        Action::Delay(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Action::Reset => {
            reset(&client.stream);
            return Ok(false);
        }
        Action::BlackHole => {
            // Swallow what comes, so that the client waits for the answer, not for the socket.
            let mut harm = Harm::default();
            let swallow = client.pass(None, Body::UntilClose, &mut harm);
            let _ = tokio::time::timeout(FOREVER, swallow).await;
            return Ok(false);
        }
        _ => {}
    }
    if head.expects {
        client.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if let Action::Status(code) = action {
        client.pass(None, head.body, &mut Harm::default()).await?;
        client.stream.write_all(refusal(code, method).as_bytes()).await?;
        return Ok(true);
    }
    let upstream = match upstream {
        Some(upstream) => upstream,
        None => {
            let stream = TcpStream::connect(shared.upstream).await?;
            stream.set_nodelay(true)?;
            upstream.insert(Wire::new(stream))
        }
    };
    let rate = if let Action::Rate(rate) = action { Some(rate) } else { None };
    let mut harm = Harm { rate, ..Harm::default() };
    if let Action::CutRequest(n) = action {
        harm.cut = Some(n);
    }
    upstream.stream.write_all(&head.with("expect", None)).await?;
    match client.pass(Some(&mut upstream.stream), head.body, &mut harm).await {
        Ok(true) => {}
        Ok(false) => {
            reset(&client.stream);
            return Ok(false);
        }
        // The upstream may have answered and closed before it read everything: its answer is worth passing on.
        Err(_) if harm.passed > 0 => {}
        Err(e) => return Err(e),
    }
    answer(client, upstream, method, &action, rate).await
}

async fn answer(
    client: &mut Wire,
    upstream: &mut Wire,
    method: &str,
    action: &Action,
    rate: Option<u64>,
) -> Result<bool> {
    let head = loop {
        let head = upstream.head().await?.ok_or(ErrorKind::UnexpectedEof)?;
        // Interim answers were given here already.
        if !(100..200).contains(&head.status()) {
            break head;
        }
    };
    let body = head.answer_body(method);
    let mut harm = Harm { rate, ..Harm::default() };
    match action {
        Action::DropResponse => {
            upstream.pass(None, body, &mut harm).await?;
            reset(&client.stream);
            return Ok(false);
        }
        Action::CutResponse(n) => harm.cut = Some(*n),
        Action::Flip(at) => harm.flip = Some(*at),
        _ => {}
    }
    let mut text = head.text.clone();
    if let (Action::Length(by), Body::Length(n)) = (action, body) {
        let n = n.saturating_add_signed(*by);
        text = head.with("content-length", Some(&format!("content-length: {n}")));
    }
    client.stream.write_all(&text).await?;
    let whole = upstream.pass(Some(&mut client.stream), body, &mut harm).await?;
    let says_close =
        String::from_utf8_lossy(&head.text).to_ascii_lowercase().contains("\r\nconnection: close");
    Ok(whole && body != Body::UntilClose && !says_close && !matches!(action, Action::Length(_)))
}

fn refusal(code: u16, method: &str) -> String {
    let word = match code {
        500 => "InternalError",
        503 => "SlowDown",
        403 => "AccessDenied",
        404 => "NoSuchKey",
        _ => "Refused",
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{word}</Code><Message>refused by a rule</Message></Error>"
    );
    let shown = if method == "HEAD" { "" } else { &body };
    format!(
        "HTTP/1.1 {code} {word}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n{shown}",
        body.len()
    )
}
