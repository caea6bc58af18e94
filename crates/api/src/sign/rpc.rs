//! Alibaba's older RPC signature: HMAC-SHA1 over all parameters of query and form.

use super::{hmac1, same};
use crate::account::Secret;
use crate::encode::{base64, percent, query};

/// The signature of `params` (`Signature` among them is left out).
#[must_use]
pub fn sign(verb: &str, params: &[(String, String)], secret: &Secret) -> String {
    seal(&string_to_sign(verb, params), secret)
}

/// The string to sign.
pub(crate) fn string_to_sign(verb: &str, params: &[(String, String)]) -> String {
    let mut sorted: Vec<(String, String)> =
        params.iter().filter(|(k, _)| k != "Signature").cloned().collect();
    sorted.sort();
    format!("{verb}&%2F&{}", percent(&query(&sorted)))
}

/// Is `given` the signature of this string?
pub(crate) fn verify(given: &str, text: &str, secret: &Secret) -> bool {
    same(given, &seal(text, secret))
}

fn seal(text: &str, secret: &Secret) -> String {
    let key = [secret.reveal().as_bytes(), b"&"].concat();
    base64(hmac1(&key, text.as_bytes()).as_ref())
}
