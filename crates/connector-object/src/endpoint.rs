//! Where a bucket lives and how to talk to it: raw configuration ([`Endpoint`]) and its checked form ([`Site`]).
//!
//! Checking does no I/O and reports every problem. A [`Site`] is shared by all lanes: it holds what they
//! learn together (does the server take our checksum header, in which order does it list) and the retry
//! budget, so that a dying server is left alone by all of them at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http_pool::{Address, tls_config};
use runtime::{Clock, Random};

use crate::retry::Budget;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps it.
    #[must_use]
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(value.into())
    }

    /// The value, for the signature only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// An access key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub access_key: Box<str>,
    /// The secret half.
    pub secret_key: Secret,
    /// Session token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// Whose product the endpoint is. All are spoken to through their S3-compatible interface with
/// Signature V4; what differs is the prefix of the user metadata that they answer with, and all four
/// prefixes are always understood.
///
/// Written is `x-amz-meta-` to all of them. The signature says which interface a request is meant for, and
/// the interface which prefix it takes: under an S3 signature each of the three stores `x-amz-meta-NAME` as what its own
/// interface calls `x-cos-meta-NAME`, `x-oss-meta-NAME` or `x-obs-meta-NAME`. Huawei's own SDKs switch the prefix of
/// all headers to `x-amz-` with the signature, and S3 tools keep their times that way on all three (rclone's
/// providers Alibaba, TencentCOS and HuaweiOBS). No vendor documents its own prefix under an S3 signature, and
/// a header that is silently not stored would take the stamp along, and with it what a second run leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Amazon S3 and whatever speaks like it.
    #[default]
    S3,
    /// Tencent COS.
    Cos,
    /// Alibaba OSS.
    Oss,
    /// Huawei OBS.
    Obs,
}

/// Where the bucket's name goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// `https://endpoint/bucket/key`.
    #[default]
    Path,
    /// `https://bucket.endpoint/key`.
    VirtualHost,
}

/// How to get a listing in byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListingMode {
    /// Flat, unless the server is known (by its `Server` header) or seen to list in another order.
    #[default]
    Auto,
    /// One flat listing; an answer out of order is an error.
    Flat,
    /// Level by level with a delimiter, merged into byte order, with the next levels fetched ahead. For
    /// servers that list in directory order (SeaweedFS), whatever the depth.
    Levels,
    /// The first level with a delimiter, and everything below each common prefix flat, several ahead.
    /// Faster than `Flat` over a distance when the tree is wide.
    Ranges,
}

/// Time limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For TCP and TLS to be there.
    pub connect: Duration,
    /// For the next byte to move, in either direction.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), idle: Duration::from_secs(60) }
    }
}

/// Configuration of an endpoint, unchecked.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `http://host[:port]` or `https://host[:port]`.
    pub url: String,
    /// Region for the signature (`us-east-1` when the server doesn't care).
    pub region: String,
    /// Whose product it is.
    pub dialect: Dialect,
    /// Path or virtual-host style.
    pub addressing: Addressing,
    /// `None`: requests are not signed.
    pub credentials: Option<Credentials>,
    /// Further certificate authorities, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Retries of one request at most.
    pub max_retries: u32,
    /// Retries that may be under way over all requests before successes have paid for more.
    pub retry_budget: u32,
    /// Connections of one lane at most.
    pub max_connections: usize,
    /// Send `x-amz-checksum-crc64nvme` with bodies that are in memory (until the server refuses it), and
    /// ask for checksums on reads.
    pub checksums: bool,
    /// Also compare plain ETags with the MD5 of what was read or written. Costs about 2 ms of CPU per MiB.
    pub verify: bool,
    /// Sign the SHA-256 of in-memory bodies instead of `UNSIGNED-PAYLOAD`.
    pub sign_payload: bool,
    /// How to list.
    pub listing: ListingMode,
    /// Where the time for signatures comes from.
    pub clock: Clock,
}

impl Endpoint {
    /// An endpoint with the usual settings.
    #[must_use]
    pub fn new(url: impl Into<String>, region: impl Into<String>, credentials: Option<Credentials>) -> Self {
        Self {
            url: url.into(),
            region: region.into(),
            dialect: Dialect::S3,
            addressing: Addressing::Path,
            credentials,
            ca_pem: None,
            timeouts: Timeouts::default(),
            max_retries: 5,
            retry_budget: 100,
            max_connections: 256,
            checksums: true,
            verify: false,
            sign_payload: false,
            listing: ListingMode::Auto,
            clock: Clock::system(),
        }
    }

    /// Checks everything that can be checked without I/O.
    ///
    /// # Errors
    /// All problems, each in words.
    pub fn check(self) -> Result<Arc<Site>, Vec<String>> {
        let mut problems = Vec::new();
        let address = match Address::parse(&self.url) {
            Ok(a) if a.path.is_empty() => Some(a),
            Ok(_) => {
                problems.push("url: must have no path".to_owned());
                None
            }
            Err(p) => {
                problems.push(p);
                None
            }
        };
        let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_graphic());
        if !plain(&self.region) || self.region.contains('/') {
            problems.push("region: must be a plain word such as us-east-1".to_owned());
        }
        if let Some(c) = &self.credentials {
            if !plain(&c.access_key) || c.access_key.contains('/') {
                problems.push("access key: must be printable ASCII without spaces or `/`".to_owned());
            }
            if c.secret_key.expose().is_empty() {
                problems.push("secret key: must not be empty".to_owned());
            }
            if c.session_token.as_ref().is_some_and(|t| !plain(t.expose())) {
                problems.push("session token: must be printable ASCII".to_owned());
            }
        }
        if self.max_connections == 0 {
            problems.push("max connections: must be at least 1".to_owned());
        }
        if self.timeouts.connect.is_zero() || self.timeouts.idle.is_zero() {
            problems.push("timeouts: must be more than 0".to_owned());
        }
        let tls = match tls_config(self.ca_pem.as_deref()) {
            Ok(c) => address.as_ref().filter(|a| a.secure).map(|_| c),
            Err(p) => {
                problems.push(p);
                None
            }
        };
        match address {
            Some(address) if problems.is_empty() => Ok(Arc::new(Site {
                budget: Budget::new(self.retry_budget),
                checksum_refused: AtomicBool::new(false),
                learned_listing: AtomicU8::new(0),
                random: Random::system(),
                address,
                tls,
                config: self,
            })),
            _ => Err(problems),
        }
    }
}

/// A checked endpoint together with what all its users learn and share.
pub struct Site {
    pub(crate) config: Endpoint,
    pub(crate) address: Address,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) budget: Budget,
    pub(crate) random: Random,
    checksum_refused: AtomicBool,
    learned_listing: AtomicU8,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Site {
    /// The configuration it came from.
    #[must_use]
    pub fn config(&self) -> &Endpoint {
        &self.config
    }

    pub(crate) fn sends_checksums(&self) -> bool {
        self.config.checksums && !self.checksum_refused.load(Ordering::Relaxed)
    }

    pub(crate) fn checksum_was_refused(&self) {
        if !self.checksum_refused.swap(true, Ordering::Relaxed) {
            tracing::info!(endpoint = %self.address.authority, "the server refuses checksum headers, going on without");
        }
    }

    /// How to list: what is configured, else what was learned, else `Auto`.
    pub(crate) fn listing(&self) -> ListingMode {
        match (self.config.listing, self.learned_listing.load(Ordering::Relaxed)) {
            (ListingMode::Auto, 1) => ListingMode::Flat,
            (ListingMode::Auto, 2) => ListingMode::Levels,
            (mode, _) => mode,
        }
    }

    pub(crate) fn learn_listing(&self, in_order: bool) {
        self.learned_listing.store(if in_order { 1 } else { 2 }, Ordering::Relaxed);
    }

    /// The `Host` header for a bucket (or for no bucket).
    pub(crate) fn host_header(&self, bucket: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        if self.config.addressing == Addressing::VirtualHost && !bucket.is_empty() {
            HeaderValue::try_from(format!("{bucket}.{}", self.address.authority))
        } else {
            HeaderValue::try_from(self.address.authority.as_str())
        }
    }

    /// The host to connect to, and its name for TLS.
    pub(crate) fn host_name(&self, bucket: &str) -> String {
        if self.config.addressing == Addressing::VirtualHost && !bucket.is_empty() {
            format!("{bucket}.{}", self.address.host)
        } else {
            self.address.host.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> Option<Credentials> {
        Some(Credentials { access_key: "AK".into(), secret_key: Secret::new(secret), session_token: None })
    }

    #[test]
    fn all_problems_come_at_once_and_no_secret_is_printed() {
        let mut e = Endpoint::new("ftp://x/y", "no region", keys("s3cr3t"));
        e.max_connections = 0;
        e.ca_pem = Some(b"nothing".to_vec());
        assert!(!format!("{e:?}").contains("s3cr3t"));
        assert_eq!(e.check().unwrap_err().len(), 4);
        let site = Endpoint::new("https://[::1]:8443", "us-east-1", keys("s3cr3t")).check().unwrap();
        assert!(!format!("{site:?}").contains("s3cr3t"));
        assert_eq!((site.address.host.as_str(), site.address.port), ("::1", 8443));
        assert_eq!(site.address.authority, "[::1]:8443");
        assert!(site.tls.is_some());
    }

    #[test]
    fn virtual_hosts_carry_the_bucket() {
        let mut e = Endpoint::new("http://s3.test", "r", None);
        e.addressing = Addressing::VirtualHost;
        let site = e.check().unwrap();
        assert_eq!(site.host_header("b").unwrap(), "b.s3.test");
        assert_eq!(site.host_header("").unwrap(), "s3.test");
    }
}
