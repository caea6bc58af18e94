//! Signature schemes, both sides.

use crate::account::Secret;

/// What a client wants to send, for signing.
#[derive(Debug, Clone)]
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

/// Headers of a TC3 `POST` with a JSON body, `host` and `authorization` included. The action is signed too.
#[must_use]
pub fn tc3(request: &Tc3Request<'_>, access_key: &str, secret: &Secret) -> Vec<(&'static str, String)> {
    let _ = (request, access_key, secret);
    Vec::new()
}

/// What an Alibaba client wants to send, for signing.
#[derive(Debug, Clone)]
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

/// Path with query, and headers (`host` and `authorization` included), of an ACS3 `POST` with an empty body.
#[must_use]
pub fn acs3(request: &Acs3Request<'_>, access_key: &str, secret: &Secret) -> (String, Vec<(&'static str, String)>) {
    let _ = (request, access_key, secret);
    (String::new(), Vec::new())
}

/// Derived signing keys.
#[derive(Default)]
pub struct KeyCache;
