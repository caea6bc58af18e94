//! Signature schemes, both sides: servers verify, our clients and tests sign.
//!
//! Every scheme builds one canonical text from a request and compares a MAC of it. The pieces that they
//! share stand here: the authorization header's parts, canonical headers, HMAC, the cache of derived
//! keys. Signatures are compared in constant time. What a scheme demands beyond a right signature
//! (clock, nonces, which headers must be signed) is the gate's business.

mod acs3;
mod huawei;
mod keys;
mod rpc;
mod tc1;
mod tc3;

pub use acs3::{Acs3Request, acs3};
pub(crate) use acs3::{
    canonical as acs3_canonical, string_to_sign as acs3_string_to_sign, verify as verify_acs3,
};
pub(crate) use huawei::{Scheme as HuaweiScheme, verify as verify_huawei};
pub use keys::KeyCache;
pub use rpc::sign as rpc;
pub(crate) use rpc::{string_to_sign as rpc_string_to_sign, verify as verify_rpc};
pub(crate) use tc1::verify as verify_tc1;
pub use tc1::{Method as Tc1Method, sign as tc1};
pub(crate) use tc3::{Tc3Problem, Tc3Proof, is_unsigned as tc3_unsigned, verify as verify_tc3, without_port};
pub use tc3::{Tc3Request, tc3};

use crate::account::Secret;
use http::HeaderMap;
use ring::hmac;
use subtle::ConstantTimeEq;

/// Longest authorization header that is looked at.
const MAX_AUTHORIZATION: usize = 8192;
/// Most header names in `SignedHeaders`.
const MAX_SIGNED: usize = 100;

/// The parts of `Authorization: <algorithm> Credential=…, SignedHeaders=…, Signature=…`.
#[derive(Debug, Clone)]
pub(crate) struct Authorization<'a> {
    /// Algorithm name.
    pub algorithm: &'a str,
    /// `Credential=`.
    pub credential: Option<&'a str>,
    /// `Access=` (Huawei).
    pub access: Option<&'a str>,
    /// `SignedHeaders=`, as it stands.
    pub signed_headers: &'a str,
    /// `Signature=`.
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Takes a header apart; `None` when it is not of this form.
    pub fn parse(header: &'a str) -> Option<Self> {
        if header.len() > MAX_AUTHORIZATION {
            return None;
        }
        let (algorithm, rest) = header.trim().split_once(' ')?;
        let (mut credential, mut access, mut signed, mut signature) = (None, None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            let slot = match name {
                "Credential" => &mut credential,
                "Access" => &mut access,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return None,
            };
            if value.is_empty() || slot.replace(value).is_some() {
                return None;
            }
        }
        let signed_headers = signed?;
        let sane =
            signed_headers.split(';').count() <= MAX_SIGNED && !signed_headers.split(';').any(str::is_empty);
        sane.then_some(Self { algorithm, credential, access, signed_headers, signature: signature? })
    }

    /// Is this header among the signed ones?
    pub fn signs(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|h| h.eq_ignore_ascii_case(name))
    }
}

/// Appends `name:value\n` for every signed header, values trimmed; `change` may replace a value. `None`
/// when a signed header is not in the request.
pub(crate) fn canonical_headers(
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    signed: &str,
    change: impl Fn(&str, &[u8]) -> Option<Vec<u8>>,
) -> Option<()> {
    for name in signed.split(';') {
        let lower = name.to_ascii_lowercase();
        out.extend_from_slice(lower.as_bytes());
        out.push(b':');
        let mut values = headers.get_all(lower.as_str()).iter();
        let mut value = values.next()?;
        loop {
            let trimmed = value.as_bytes().trim_ascii();
            match change(&lower, trimmed) {
                Some(changed) => out.extend_from_slice(&changed),
                None => out.extend_from_slice(trimmed),
            }
            match values.next() {
                Some(next) => {
                    out.push(b',');
                    value = next;
                }
                None => break,
            }
        }
        out.push(b'\n');
    }
    Some(())
}

/// HMAC-SHA256.
pub(crate) fn hmac256(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

/// HMAC-SHA1, for the schemes that still use it.
pub(crate) fn hmac1(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key), text)
}

/// Equal, in constant time.
pub(crate) fn same(given: &str, right: &str) -> bool {
    given.as_bytes().ct_eq(right.as_bytes()).into()
}

/// Some text before a secret, for key derivation.
pub(crate) fn prefixed(prefix: &str, secret: &Secret) -> Vec<u8> {
    [prefix.as_bytes(), secret.reveal().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_authorization_has_its_parts() {
        let a = Authorization::parse("X Credential=a/b, SignedHeaders=host;x-a,Signature=ff==").unwrap();
        assert_eq!((a.algorithm, a.credential, a.signature), ("X", Some("a/b"), "ff=="));
        assert!(a.signs("x-a") && !a.signs("x"));
        for bad in [
            "SKIP",
            "",
            "X",
            "X Credential=a",
            "X SignedHeaders=a,Signature=",
            "X SignedHeaders=a;;b,Signature=f",
            "X SignedHeaders=a,SignedHeaders=b,Signature=f",
            "X Other=1,SignedHeaders=a,Signature=f",
        ] {
            assert!(Authorization::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_a_panic(s in ".*") {
            let _ = Authorization::parse(&s);
            let _ = Authorization::parse(&format!("TC3-HMAC-SHA256 {s}"));
        }
    }
}
