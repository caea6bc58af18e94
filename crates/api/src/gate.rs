//! From a received request to an answer: route, verify, guard, call the door, put it in the envelope.
//!
//! The gate has no socket. [`crate::server`] gives it heads and bodies; tests give it both directly.
//! One file per cloud says in which order that cloud's gateway looks at things and with which words
//! it refuses.

use crate::account::Accounts;
use crate::call::{Cloud, Door};
use crate::guard::Guards;
use crate::sign::KeyCache;
use bytes::Bytes;
use http::request::Parts;
use runtime::{Clock, Random};
use std::net::SocketAddr;
use std::sync::Arc;

/// Bounds on what a request may be.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest Tencent or operator body in bytes.
    pub tencent_body: usize,
    /// Largest Alibaba body in bytes.
    pub alibaba_body: usize,
    /// Largest Huawei body in bytes.
    pub huawei_body: usize,
    /// Deepest JSON nesting.
    pub json_depth: usize,
    /// Most headers of a request.
    pub headers: usize,
    /// Most bytes of a request's head.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tencent_body: 10 << 20,
            alibaba_body: 8 << 20,
            huawei_body: 6 << 20,
            json_depth: 64,
            headers: 100,
            head_bytes: 128 << 10,
        }
    }
}

/// How strictly the gate admits.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Bounds on requests.
    pub limits: Limits,
    /// Requests a second that one account may make (0: no limit).
    pub rate_per_s: f64,
    /// Requests that an account may make at once after a pause.
    pub rate_burst: f64,
    /// Clock difference allowed to Tencent's clients, in seconds.
    pub tencent_skew_s: i64,
    /// Clock difference allowed to Alibaba's and Huawei's clients, in seconds.
    pub long_skew_s: i64,
    /// Accept `X-TC-Content-SHA256: UNSIGNED-PAYLOAD` and Huawei's like (the protocols allow it; the
    /// body then is not protected by the signature).
    pub unsigned_payload: bool,
    /// Base URL of Alibaba's `Recommend` field; the code is added as `?q=…`. Empty: the field is empty.
    pub recommend: String,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            rate_per_s: 0.0,
            rate_burst: 100.0,
            tencent_skew_s: 300,
            long_skew_s: 900,
            unsigned_payload: true,
            recommend: String::new(),
        }
    }
}

/// Admits requests and answers them.
pub struct Gate {
    config: GateConfig,
    doors: Vec<Arc<dyn Door>>,
    accounts: Arc<dyn Accounts>,
    guards: Guards,
    keys: KeyCache,
    clock: Clock,
    random: Random,
}

impl Gate {
    /// A gate with these doors.
    #[must_use]
    pub fn new(config: GateConfig, accounts: Arc<dyn Accounts>, doors: Vec<Arc<dyn Door>>, clock: Clock) -> Self {
        let guards = Guards::new(&config);
        Self { config, doors, accounts, guards, keys: KeyCache::default(), clock, random: Random::system() }
    }

    /// Which cloud a request's head belongs to; `None` for pages, for no one, and for forms whose body
    /// must be seen first.
    #[must_use]
    pub fn cloud_of(&self, _head: &Parts) -> Option<Cloud> {
        None
    }

    /// Answers one whole request.
    pub async fn handle(&self, _head: Parts, _body: Bytes, _source: Option<SocketAddr>) -> http::Response<Bytes> {
        let _ = (&self.doors, &self.accounts, &self.guards, &self.keys, &self.clock, &self.random);
        http::Response::new(Bytes::new())
    }
}
