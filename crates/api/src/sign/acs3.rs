//! Alibaba's ACS3-HMAC-SHA256.

use super::{Authorization, canonical_headers, hmac256, same};
use crate::account::Secret;
use crate::encode::{EMPTY_SHA256, hex, iso8601, pairs, query, sha256_hex};
use http::request::Parts;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// What an Alibaba client wants to send, for signing.
#[derive(Clone)]
pub struct Acs3Request<'a> {
    /// Value of the `Host` header.
    pub host: &'a str,
    /// `x-acs-version`.
    pub version: &'a str,
    /// `x-acs-action`.
    pub action: &'a str,
    /// Flat parameters (`Filters.1.Key`); they go into the query.
    pub params: &'a [(String, String)],
    /// A nonce that was never used before.
    pub nonce: &'a str,
    /// Unix time in seconds.
    pub timestamp: i64,
}

/// Path with query, and headers (`host` and `authorization` included), of an ACS3 `POST` with an empty
/// body.
#[must_use]
pub fn acs3(
    request: &Acs3Request<'_>,
    access_key: &str,
    secret: &Secret,
) -> (String, Vec<(&'static str, String)>) {
    let mut sorted = request.params.to_vec();
    sorted.sort();
    let query = query(&sorted);
    let mut headers = vec![
        ("accept", "application/json".to_owned()),
        ("host", request.host.to_owned()),
        ("x-acs-action", request.action.to_owned()),
        ("x-acs-content-sha256", EMPTY_SHA256.to_owned()),
        ("x-acs-date", iso8601(request.timestamp).unwrap_or_default()),
        ("x-acs-signature-nonce", request.nonce.to_owned()),
        ("x-acs-version", request.version.to_owned()),
    ];
    let signed = headers.iter().map(|(k, _)| *k).collect::<Vec<_>>().join(";");
    let mut canonical = format!("POST\n/\n{query}\n");
    for (k, v) in &headers {
        canonical.push_str(k);
        canonical.push(':');
        canonical.push_str(v);
        canonical.push('\n');
    }
    canonical.push_str(&format!("\n{signed}\n{EMPTY_SHA256}"));
    let text = string_to_sign(canonical.as_bytes());
    let signature = hex(hmac256(secret.reveal().as_bytes(), text.as_bytes()).as_ref());
    let value = format!("{ALGORITHM} Credential={access_key},SignedHeaders={signed},Signature={signature}");
    headers.push(("authorization", value));
    (if query.is_empty() { "/".to_owned() } else { format!("/?{query}") }, headers)
}

/// The canonical request with this path; `None` when a signed header is absent.
pub(crate) fn canonical(
    head: &Parts,
    auth: &Authorization<'_>,
    path: &str,
    body_hash: &str,
) -> Option<Vec<u8>> {
    let mut sorted = pairs(head.uri.query().unwrap_or_default());
    sorted.sort();
    let mut out = format!("{}\n{path}\n{}\n", head.method, query(&sorted)).into_bytes();
    canonical_headers(&mut out, &head.headers, auth.signed_headers, |_, _| None)?;
    out.extend_from_slice(format!("\n{}\n{body_hash}", auth.signed_headers).as_bytes());
    Some(out)
}

/// The string to sign of a canonical request.
pub(crate) fn string_to_sign(canonical: &[u8]) -> String {
    format!("{ALGORITHM}\n{}", sha256_hex(canonical))
}

/// Is the given signature that of this string?
pub(crate) fn verify(auth: &Authorization<'_>, text: &str, secret: &Secret) -> bool {
    same(auth.signature, &hex(hmac256(secret.reveal().as_bytes(), text.as_bytes()).as_ref()))
}
