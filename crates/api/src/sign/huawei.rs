//! Huawei's SDK-HMAC-SHA256 (current and legacy layout) and V11-HMAC-SHA256.

use super::{Authorization, canonical_headers, hmac256, prefixed, same};
use crate::account::Secret;
use crate::encode::{hex, pairs, percent, query, sha256_hex, unpercent};
use http::request::Parts;

/// Which of the three layouts an authorization has.
#[derive(Debug, Clone)]
pub(crate) enum Scheme<'a> {
    /// `Access=…`: the raw secret is the key.
    Plain {
        /// Access key id.
        access_key: &'a str,
    },
    /// `Credential=ak/date/region/service/sdk_request`: a derived key.
    Scoped {
        /// Access key id.
        access_key: &'a str,
        /// `yyyymmdd`.
        date: &'a str,
        /// Region.
        region: &'a str,
        /// Service.
        service: &'a str,
        /// V11: the secret is first spread over the scope.
        spread: bool,
    },
}

impl<'a> Scheme<'a> {
    /// From a parsed authorization; `None` for other algorithms and forms.
    pub fn of(auth: &Authorization<'a>) -> Option<Self> {
        let spread = match auth.algorithm {
            "SDK-HMAC-SHA256" => false,
            "V11-HMAC-SHA256" => true,
            _ => return None,
        };
        match (auth.access, auth.credential) {
            (Some(access_key), None) if !spread => Some(Self::Plain { access_key }),
            (None, Some(credential)) => {
                let mut p = credential.split('/');
                let (access_key, date, region, service) = (p.next()?, p.next()?, p.next()?, p.next()?);
                let right = p.next() == Some("sdk_request") && p.next().is_none() && !access_key.is_empty();
                right.then_some(Self::Scoped { access_key, date, region, service, spread })
            }
            _ => None,
        }
    }

    /// The access key id.
    pub fn access_key(&self) -> &'a str {
        match self {
            Self::Plain { access_key } | Self::Scoped { access_key, .. } => access_key,
        }
    }

    /// The date in the scope, where there is one.
    pub fn date(&self) -> Option<&'a str> {
        match self {
            Self::Plain { .. } => None,
            Self::Scoped { date, .. } => Some(date),
        }
    }

    fn key(&self, secret: &Secret) -> Vec<u8> {
        let Self::Scoped { access_key, date, region, service, spread } = self else {
            return secret.reveal().as_bytes().to_vec();
        };
        let secret = if *spread {
            spread_secret(access_key, secret, &format!("{date}/{region}/{service}"))
        } else {
            secret.clone()
        };
        let mut key = hmac256(&prefixed("SDK", &secret), date.as_bytes());
        for part in [region, service, &"sdk_request"] {
            key = hmac256(key.as_ref(), part.as_bytes());
        }
        key.as_ref().to_vec()
    }

    fn scope_line(&self) -> String {
        match self {
            Self::Plain { .. } => String::new(),
            Self::Scoped { date, region, service, .. } => format!("{date}/{region}/{service}/sdk_request\n"),
        }
    }
}

/// One block of HKDF with the access key as salt.
fn spread_secret(access_key: &str, secret: &Secret, info: &str) -> Secret {
    let extracted = hmac256(access_key.as_bytes(), secret.reveal().as_bytes());
    let expanded = hmac256(extracted.as_ref(), &[info.as_bytes(), &[1]].concat());
    Secret::new(hex(expanded.as_ref()))
}

/// Verifies a request against `body_hash` (the header's word for it, or the body's real hash).
/// Host is tried as received and without its port, as the legacy SDKs sign it.
pub(crate) fn verify(
    head: &Parts,
    auth: &Authorization<'_>,
    scheme: &Scheme<'_>,
    secret: &Secret,
    body_hash: &str,
) -> bool {
    let key = scheme.key(secret);
    let date = head.headers.get("x-sdk-date").and_then(|v| v.to_str().ok()).unwrap_or_default().trim();
    let path = canonical_path(head.uri.path());
    let mut sorted = pairs(head.uri.query().unwrap_or_default());
    sorted.sort();
    let query = query(&sorted);
    for with_port in [true, false] {
        let mut canonical = format!("{}\n{path}\n{query}\n", head.method).into_bytes();
        let headers = canonical_headers(&mut canonical, &head.headers, auth.signed_headers, |name, value| {
            (!with_port && name == "host").then(|| without_port(value).to_vec())
        });
        if headers.is_none() {
            return false;
        }
        canonical.extend_from_slice(format!("\n{}\n{body_hash}", auth.signed_headers).as_bytes());
        let text = format!("{}\n{date}\n{}{}", auth.algorithm, scheme.scope_line(), sha256_hex(&canonical));
        if same(auth.signature, &hex(hmac256(&key, text.as_bytes()).as_ref())) {
            return true;
        }
    }
    false
}

fn canonical_path(path: &str) -> String {
    let decoded = unpercent(path);
    let mut out = String::from("/");
    for part in decoded.split('/').filter(|p| !p.is_empty()) {
        out.push_str(&percent(part));
        out.push('/');
    }
    out
}

fn without_port(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|b| *b == b':') {
        Some(at) if host[at + 1..].iter().all(u8::is_ascii_digit) => &host[..at],
        _ => host,
    }
}
