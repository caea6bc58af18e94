//! Tencent's TC3-HMAC-SHA256.
//!
//! The canonical path is always `/`, whatever prefix the request came by. SDKs sign `content-type` and
//! `host`; the console's samples sign the action too, in lower case. The Node SDK (4.1.313,
//! `common/sign.js`) signs the host without the port that it sends, so there the port is not covered.

use super::{Authorization, KeyCache, canonical_headers, hmac256, prefixed, same};
use crate::account::Secret;
use crate::encode::{date, hex, sha256_hex};
use http::request::Parts;
use ring::hmac;

const ALGORITHM: &str = "TC3-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// What a client may have signed in place of a header's value; `None` is the value itself.
type Spelling = fn(&str, &[u8]) -> Option<Vec<u8>>;

/// The raw values first, then the action in lower case (the console's samples), then everything.
const SPELLINGS: [Spelling; 3] = [
    |_, _| None,
    |name, value| (name == "x-tc-action").then(|| value.to_ascii_lowercase()),
    |_, value| Some(value.to_ascii_lowercase()),
];

/// The Node SDK's. It never signs the action, so who does (the operator's door demands it) is held to the port.
const WITHOUT_PORT: Spelling = |name, value| (name == "host").then(|| without_port(value).to_vec());

/// What a client wants to send, for signing.
#[derive(Clone)]
pub struct Tc3Request<'a> {
    /// Value of the `Host` header.
    pub host: &'a str,
    /// Service in the credential scope (`cfs`, `wharf`).
    pub service: &'a str,
    /// `X-TC-Version`.
    pub version: &'a str,
    /// `X-TC-Action`.
    pub action: &'a str,
    /// `X-TC-Region`.
    pub region: Option<&'a str>,
    /// JSON body.
    pub body: &'a [u8],
    /// Unix time in seconds.
    pub timestamp: i64,
}

/// Headers of a TC3 `POST` with a JSON body, `host` and `authorization` included. The action is signed
/// too, as the operator's door demands.
#[must_use]
pub fn tc3(request: &Tc3Request<'_>, access_key: &str, secret: &Secret) -> Vec<(&'static str, String)> {
    let day = date(request.timestamp).unwrap_or_default();
    let signed = "content-type;host;x-tc-action";
    let lower = request.action.to_ascii_lowercase();
    let headers = format!("content-type:application/json\nhost:{}\nx-tc-action:{lower}\n", request.host);
    let canonical = format!("POST\n/\n\n{headers}\n{signed}\n{}", sha256_hex(request.body));
    let scope = format!("{day}/{}/tc3_request", request.service);
    let text = string_to_sign(&request.timestamp.to_string(), &scope, canonical.as_bytes());
    let signature = hex(hmac::sign(&derive(secret, &day, request.service), text.as_bytes()).as_ref());
    let credential = format!("{access_key}/{scope}");
    let mut out = vec![
        ("host", request.host.to_owned()),
        ("content-type", "application/json".to_owned()),
        ("x-tc-action", request.action.to_owned()),
        ("x-tc-version", request.version.to_owned()),
        ("x-tc-timestamp", request.timestamp.to_string()),
        (
            "authorization",
            format!("{ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}"),
        ),
    ];
    if let Some(region) = request.region {
        out.push(("x-tc-region", region.to_owned()));
    }
    out
}

/// What a TC3 authorization claims.
#[derive(Debug, Clone)]
pub(crate) struct Tc3Proof<'a> {
    pub authorization: Authorization<'a>,
    pub access_key: &'a str,
    pub date: &'a str,
    pub service: &'a str,
}

impl<'a> Tc3Proof<'a> {
    /// Takes the header apart; `None` when it is not TC3's, or lacks the headers that must be signed.
    pub fn parse(header: &'a str) -> Option<Self> {
        let authorization = Authorization::parse(header)?;
        let mut scope = authorization.credential?.split('/');
        let (access_key, date, service, end) = (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
        let right = authorization.algorithm == ALGORITHM
            && end == "tc3_request"
            && scope.next().is_none()
            && !access_key.is_empty()
            && authorization.signs("host")
            && authorization.signs("content-type");
        right.then_some(Self { authorization, access_key, date, service })
    }
}

/// Why a TC3 signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tc3Problem {
    /// A header that is said to be signed is not there.
    HeaderAbsent,
    /// The signature is another one.
    Wrong,
}

/// Verifies a TC3 request.
pub(crate) fn verify(
    head: &Parts,
    body: &[u8],
    proof: &Tc3Proof<'_>,
    secret: &Secret,
    keys: &KeyCache,
) -> Result<(), Tc3Problem> {
    let scope = format!("{}/{}/tc3_request", proof.date, proof.service);
    let cache = format!("tc3/{}/{}/{}", proof.access_key, proof.date, proof.service);
    let key = keys.get(&cache, secret, || derive(secret, proof.date, proof.service));
    let payload =
        if is_unsigned(head) { sha256_hex(UNSIGNED.as_bytes()) } else { sha256_hex(payload(head, body)) };
    let timestamp = head.headers.get("x-tc-timestamp").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let lax = (!proof.authorization.signs("x-tc-action")).then_some(WITHOUT_PORT);
    let mut tried: Vec<Vec<u8>> = Vec::with_capacity(1);
    for spelling in SPELLINGS.into_iter().chain(lax) {
        let canonical = canonical(head, proof, &payload, spelling).ok_or(Tc3Problem::HeaderAbsent)?;
        if tried.contains(&canonical) {
            continue;
        }
        let text = string_to_sign(timestamp.trim(), &scope, &canonical);
        let right = hex(hmac::sign(&key, text.as_bytes()).as_ref());
        if same(proof.authorization.signature, &right) {
            return Ok(());
        }
        tried.push(canonical);
    }
    Err(Tc3Problem::Wrong)
}

/// Did the client leave its payload unsigned?
pub(crate) fn is_unsigned(head: &Parts) -> bool {
    head.headers.get("x-tc-content-sha256").is_some_and(|v| v.as_bytes().trim_ascii() == UNSIGNED.as_bytes())
}

fn payload<'b>(head: &Parts, body: &'b [u8]) -> &'b [u8] {
    if head.method == http::Method::GET { b"" } else { body }
}

fn canonical(head: &Parts, proof: &Tc3Proof<'_>, payload: &str, spelling: Spelling) -> Option<Vec<u8>> {
    let signed = proof.authorization.signed_headers;
    let query = if head.method == http::Method::GET { head.uri.query().unwrap_or_default() } else { "" };
    let mut out = Vec::with_capacity(256 + query.len());
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.extend_from_slice(b"\n/\n");
    out.extend_from_slice(query.as_bytes());
    out.push(b'\n');
    canonical_headers(&mut out, &head.headers, signed, spelling)?;
    out.push(b'\n');
    out.extend_from_slice(signed.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload.as_bytes());
    Some(out)
}

/// `host:8480` is `host`; what ends in no port stays.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    let colon = host.iter().rposition(|b| *b == b':');
    let port = |at: &usize| host.len() > at + 1 && host[at + 1..].iter().all(u8::is_ascii_digit);
    &host[..colon.filter(port).unwrap_or(host.len())]
}

fn string_to_sign(timestamp: &str, scope: &str, canonical: &[u8]) -> String {
    format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", sha256_hex(canonical))
}

fn derive(secret: &Secret, date: &str, service: &str) -> hmac::Key {
    let day = hmac256(&prefixed("TC3", secret), date.as_bytes());
    let service = hmac256(day.as_ref(), service.as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, hmac256(service.as_ref(), b"tc3_request").as_ref())
}
