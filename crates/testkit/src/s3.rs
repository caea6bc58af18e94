//! A small, blocking S3 client for tests: signs every request, sends it on a fresh connection, waits.
//!
//! It shares no code with the client under test, so that one can check the other.

use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};
use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A store and the key pair to reach it with.
#[derive(Clone)]
pub struct Client {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Access key.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
    /// Region that signatures name.
    pub region: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("addr", &self.addr)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header lines; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request without its signature.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// Bucket; empty for the list of buckets.
    pub bucket: &'a str,
    /// Key; empty for the bucket itself.
    pub key: &'a str,
    /// Query parameters, unencoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Further headers; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: &'a [u8],
}

impl Client {
    /// Sends a request.
    ///
    /// # Errors
    /// When the connection fails or the answer is no HTTP.
    pub fn send(&self, request: &Request<'_>) -> Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.addr, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        stream.write_all(self.signed(request).as_bytes())?;
        stream.write_all(request.body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        answer(&bytes)
    }

    /// Makes a bucket; one that is there already is no error.
    ///
    /// # Errors
    /// When it isn't there afterwards.
    pub fn create_bucket(&self, bucket: &str) -> Result<()> {
        let made = self.send(&Request { method: "PUT", bucket, ..Request::default() })?;
        if matches!(made.status, 200 | 409) { Ok(()) } else { Err(Error::other(made.text())) }
    }

    /// Writes an object.
    ///
    /// # Errors
    /// When the store doesn't say 200.
    pub fn put(&self, bucket: &str, key: &str, body: &[u8]) -> Result<()> {
        let put = self.send(&Request { method: "PUT", bucket, key, body, ..Request::default() })?;
        if put.status == 200 { Ok(()) } else { Err(Error::other(format!("{}: {}", put.status, put.text()))) }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// When the store doesn't say 200.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>> {
        let got = self.send(&Request { method: "GET", bucket, key, ..Request::default() })?;
        if got.status == 200 {
            Ok(got.body)
        } else {
            Err(Error::other(format!("{}: {}", got.status, got.text())))
        }
    }

    /// All keys that start with `prefix`, page by page.
    ///
    /// # Errors
    /// When the store doesn't say 200.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let (mut all, mut token) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("encoding-type", "url"), ("list-type", "2"), ("prefix", prefix)];
            query.extend(token.as_deref().map(|t| ("continuation-token", t)));
            let page = self.send(&Request { method: "GET", bucket, query: &query, ..Request::default() })?;
            let text = page.text();
            if page.status != 200 {
                return Err(Error::other(text));
            }
            all.extend(between(&text, "<Key>", "</Key>").map(|k| decode(&k.replace("&amp;", "&"))));
            token = between(&text, "<NextContinuationToken>", "</NextContinuationToken>")
                .next()
                .map(str::to_owned);
            if token.is_none() {
                return Ok(all);
            }
        }
    }

    /// The request's head with its signature.
    fn signed(&self, r: &Request<'_>) -> String {
        let (day, time) = stamp(runtime::Clock::system().now().seconds());
        let path = match (r.bucket, r.key) {
            ("", _) => "/".to_owned(),
            (bucket, "") => format!("/{bucket}"),
            (bucket, key) => format!("/{bucket}/{}", encode(key, "/")),
        };
        let mut query: Vec<_> =
            r.query.iter().map(|(k, v)| format!("{}={}", encode(k, ""), encode(v, ""))).collect();
        query.sort();
        let query = query.join("&");
        let hash = hex(digest(&SHA256, r.body).as_ref());
        let mut headers = vec![
            ("host", self.addr.to_string()),
            ("x-amz-content-sha256", hash.clone()),
            ("x-amz-date", time.clone()),
        ];
        headers.extend(r.headers.iter().map(|(n, v)| (*n, (*v).to_owned())));
        headers.sort();
        let names: Vec<_> = headers.iter().map(|h| h.0).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(n, v)| format!("{n}:{}\n", v.trim())).collect();
        let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{hash}", r.method);
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex(digest(&SHA256, canonical.as_bytes()).as_ref())
        );
        let first = mac(format!("AWS4{}", self.secret_key).as_bytes(), &day);
        let key = ["aws4_request", "s3", &self.region].iter().rev().fold(first, |key, word| mac(&key, word));
        let signature = hex(&mac(&key, &to_sign));
        let mark = if query.is_empty() { "" } else { "?" };
        let mut head = format!("{} {path}{mark}{query} HTTP/1.1\r\nconnection: close\r\n", r.method);
        for (name, value) in &headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(
            head,
            "content-length: {}\r\nauthorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, \
             Signature={signature}\r\n\r\n",
            r.body.len(),
            self.access_key
        );
        head
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn encode(text: &str, plain: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        let c = char::from(b);
        if c.is_ascii_alphanumeric() || "-_.~".contains(c) || plain.contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 16).ok());
        match (first, code) {
            (b'%', Some(b)) => {
                out.push(b);
                rest = &tail[2..];
            }
            // Some servers write a space so.
            (b'+', _) => {
                out.push(b' ');
                rest = tail;
            }
            (b, _) => {
                out.push(*b);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |part| part.split(close).next())
}

/// `YYYYMMDD` and `YYYYMMDDTHHMMSSZ` of seconds since the epoch.
fn stamp(seconds: i64) -> (String, String) {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to civil date, counted in eras of 400 years that begin in March.
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let date = format!("{year:04}{month:02}{day:02}");
    let time = format!("{date}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60);
    (date, time)
}

fn answer(bytes: &[u8]) -> Result<Answer> {
    let bad = || Error::from(ErrorKind::InvalidData);
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(bad)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).ok_or_else(bad)?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: bytes[end + 4..].to_vec() };
    if answer.header("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
        answer.body = unchunk(&answer.body).ok_or_else(bad)?;
    }
    Ok(answer)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 4 + size..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        assert_eq!(stamp(0).1, "19700101T000000Z");
        assert_eq!(stamp(1_795_343_051).1, "20261122T102411Z");
        assert_eq!(stamp(951_782_399).1, "20000228T235959Z");
        assert_eq!(stamp(951_782_400).0, "20000229");
        assert_eq!(stamp(4_107_542_400).0, "21000301");
    }

    #[test]
    fn answers_are_read() {
        let a = answer(
            b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
        )
        .unwrap();
        assert_eq!((a.status, a.header("a"), a.text().as_str()), (200, Some("b"), "abcd"));
        assert_eq!(decode(&encode("a b+ü/%", "/")), "a b+ü/%");
    }
}
