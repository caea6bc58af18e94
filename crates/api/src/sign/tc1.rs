//! Tencent's older signature: HMAC-SHA1 or HMAC-SHA256 over sorted, unencoded parameters.

use super::{hmac1, hmac256, same};
use crate::account::Secret;
use crate::encode::base64;

/// The hash of a v1 signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `HmacSHA1`, also when the parameter is absent.
    Sha1,
    /// `HmacSHA256`.
    Sha256,
}

impl Method {
    /// From the `SignatureMethod` parameter.
    #[must_use]
    pub fn of(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("" | "HmacSHA1") => Some(Self::Sha1),
            Some("HmacSHA256") => Some(Self::Sha256),
            Some(_) => None,
        }
    }
}

/// The signature of `params` (`Signature` among them is left out).
#[must_use]
pub fn sign(method: Method, verb: &str, host: &str, params: &[(String, String)], secret: &Secret) -> String {
    let text = source(verb, host, params);
    let key = secret.reveal().as_bytes();
    let tag = match method {
        Method::Sha1 => hmac1(key, text.as_bytes()),
        Method::Sha256 => hmac256(key, text.as_bytes()),
    };
    base64(tag.as_ref())
}

/// Is `given` the signature of these parameters?
pub(crate) fn verify(given: &str, right: &str) -> bool {
    same(given, right)
}

fn source(verb: &str, host: &str, params: &[(String, String)]) -> String {
    let mut sorted: Vec<(String, &str)> = params
        .iter()
        .filter(|(k, _)| k != "Signature")
        .map(|(k, v)| (k.replace('_', "."), v.as_str()))
        .collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text = format!("{verb}{host}/?");
    for (i, (k, v)) in sorted.iter().enumerate() {
        if i > 0 {
            text.push('&');
        }
        text.push_str(k);
        text.push('=');
        text.push_str(v);
    }
    text
}
