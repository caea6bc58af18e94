//! AWS Signature Version 4 in the `Authorization` header.
//!
//! The signing key depends on the day only and is kept; the date's spelling is kept for a second. The
//! canonical request is built in one buffer that is used again. Signed are `host`, `content-md5` and
//! every `x-amz-*` header, as the scheme demands. A value may be UTF-8, as user metadata of some tools is.

use http::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac::{HMAC_SHA256, Key, sign};
use runtime::Micros;

use crate::civil;
use crate::endpoint::Credentials;
use crate::escape::push_hex;

/// What the payload's hash says when it isn't one.
pub(crate) const UNSIGNED: HeaderValue = HeaderValue::from_static("UNSIGNED-PAYLOAD");
pub(crate) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// What is signed besides the headers. Path and query are canonical already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
}

/// Signs for one key pair, region and service `s3`.
pub(crate) struct Signer {
    credentials: Credentials,
    region: String,
    second: i64,
    stamp: HeaderValue,
    /// `20261122/us-east-1/s3/aws4_request`
    scope: String,
    key: Key,
    text: String,
    names: String,
}

impl Signer {
    pub(crate) fn new(credentials: Credentials, region: &str) -> Self {
        Self {
            credentials,
            region: region.to_owned(),
            second: i64::MIN,
            stamp: HeaderValue::from_static(""),
            scope: String::new(),
            key: Key::new(HMAC_SHA256, &[]),
            text: String::with_capacity(1024),
            names: String::with_capacity(256),
        }
    }

    fn set_time(&mut self, now: Micros) {
        let second = now.seconds();
        if second == self.second {
            return;
        }
        self.second = second;
        let c = civil::from_seconds(second);
        let day = format!("{:04}{:02}{:02}", c.year, c.month, c.day);
        let stamp = format!("{day}T{:02}{:02}{:02}Z", c.hour, c.minute, c.second);
        self.stamp = HeaderValue::try_from(stamp).unwrap_or(HeaderValue::from_static(""));
        if !self.scope.starts_with(&day) || self.scope.is_empty() {
            let secret = format!("AWS4{}", self.credentials.secret_key.expose());
            let mut k = sign(&Key::new(HMAC_SHA256, secret.as_bytes()), day.as_bytes());
            for part in [self.region.as_str(), "s3", "aws4_request"] {
                k = sign(&Key::new(HMAC_SHA256, k.as_ref()), part.as_bytes());
            }
            self.key = Key::new(HMAC_SHA256, k.as_ref());
            self.scope = format!("{day}/{}/s3/aws4_request", self.region);
        }
    }

    /// Adds date, token and authorization to `headers`, which must already hold `host` and
    /// `x-amz-content-sha256`.
    pub(crate) fn sign(&mut self, subject: Subject<'_>, now: Micros, headers: &mut HeaderMap) {
        self.set_time(now);
        headers.insert(DATE, self.stamp.clone());
        if let Some(t) = &self.credentials.session_token
            && let Ok(v) = HeaderValue::try_from(t.expose())
        {
            headers.insert(TOKEN, v);
        }
        self.canonical(subject, headers);
        let hash = ring::digest::digest(&ring::digest::SHA256, self.text.as_bytes());
        self.text.clear();
        self.text.push_str("AWS4-HMAC-SHA256\n");
        self.text.push_str(self.stamp.to_str().unwrap_or_default());
        self.text.push('\n');
        self.text.push_str(&self.scope);
        self.text.push('\n');
        push_hex(&mut self.text, hash.as_ref());
        let signature = sign(&self.key, self.text.as_bytes());
        let mut out = String::with_capacity(160 + self.scope.len() + self.names.len());
        out.push_str("AWS4-HMAC-SHA256 Credential=");
        out.push_str(&self.credentials.access_key);
        out.push('/');
        out.push_str(&self.scope);
        out.push_str(",SignedHeaders=");
        out.push_str(&self.names);
        out.push_str(",Signature=");
        push_hex(&mut out, signature.as_ref());
        if let Ok(v) = HeaderValue::from_maybe_shared(bytes::Bytes::from(out)) {
            headers.insert(http::header::AUTHORIZATION, v);
        }
    }

    /// Leaves the canonical request in `text` and the signed headers' names in `names`.
    fn canonical(&mut self, subject: Subject<'_>, headers: &HeaderMap) {
        let mut signed: Vec<(&str, &HeaderValue)> = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let n = name.as_str();
            if n.starts_with("x-amz-") || n == "host" || n == "content-md5" {
                signed.push((n, value));
            }
        }
        signed.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let text = &mut self.text;
        text.clear();
        self.names.clear();
        for part in [subject.method, subject.path, subject.query] {
            text.push_str(part);
            text.push('\n');
        }
        for (name, value) in signed {
            if !self.names.is_empty() {
                self.names.push(';');
            }
            self.names.push_str(name);
            text.push_str(name);
            text.push(':');
            push_trimmed(text, std::str::from_utf8(value.as_bytes()).unwrap_or_default());
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.names);
        text.push('\n');
        text.push_str(headers.get(CONTENT_SHA256).and_then(|v| v.to_str().ok()).unwrap_or_default());
    }
}

/// The canonical form of a header's value: outer spaces gone, inner runs of spaces made one.
fn push_trimmed(out: &mut String, value: &str) {
    let value = value.trim();
    if !value.contains("  ") {
        return out.push_str(value);
    }
    let mut before = ' ';
    for c in value.chars() {
        if c != ' ' || before != ' ' {
            out.push(c);
        }
        before = c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Secret;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn signer() -> Signer {
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session_token: None,
        };
        Signer::new(credentials, "us-east-1")
    }

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut h = HeaderMap::new();
        h.insert("host", HeaderValue::from_static("examplebucket.s3.amazonaws.com"));
        h.insert("x-amz-content-sha256", HeaderValue::from_static(EMPTY));
        for (n, v) in of {
            h.insert(*n, HeaderValue::from_static(v));
        }
        h
    }

    /// 2013-05-24T00:00:00Z, the date of Amazon's published examples.
    const WHEN: Micros = Micros(1_369_353_600_000_000);

    fn signature(subject: Subject<'_>, of: &[(&'static str, &'static str)]) -> String {
        let mut h = headers(of);
        signer().sign(subject, WHEN, &mut h);
        let auth = h["authorization"].to_str().unwrap().to_owned();
        auth.rsplit('=').next().unwrap().to_owned()
    }

    #[test]
    fn the_published_examples() {
        let lifecycle = Subject { method: "GET", path: "/", query: "lifecycle=" };
        assert_eq!(
            signature(lifecycle, &[]),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        let list = Subject { method: "GET", path: "/", query: "max-keys=2&prefix=J" };
        assert_eq!(signature(list, &[]), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }

    #[test]
    fn the_key_changes_with_the_day_and_spaces_are_folded() {
        let mut s = signer();
        let subject = Subject { method: "GET", path: "/", query: "lifecycle=" };
        let mut later = headers(&[]);
        s.sign(subject, Micros(WHEN.0 + 86_400_000_000), &mut later);
        let mut then = headers(&[]);
        s.sign(subject, WHEN, &mut then);
        assert_ne!(later["authorization"], then["authorization"]);
        assert!(
            then["authorization"]
                .to_str()
                .unwrap()
                .ends_with("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
        );
        let mut out = String::new();
        push_trimmed(&mut out, "  a   b c ");
        assert_eq!(out, "a b c");
    }
}
