//! What the integration tests share: bodies, targets, and the servers they talk to.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod scripted;
pub mod weed;

use async_trait::async_trait;
use bytes::Bytes;
use connector::{Body, Entry, EntryKind, Meta, Overwrite, Result, Source, Stamp, Target, TreePath};
use connector_object::{Credentials, Secret};

pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

pub fn credentials() -> Option<Credentials> {
    Some(Credentials {
        access_key: ACCESS_KEY.into(),
        secret_key: Secret::new(SECRET_KEY),
        session_token: None,
    })
}

/// A body of given chunks.
pub struct Chunks {
    chunks: std::collections::VecDeque<Bytes>,
    len: u64,
    meta: Meta,
}

impl Chunks {
    pub fn of(chunks: &[&[u8]]) -> Body {
        Self::announced(chunks, chunks.iter().map(|c| c.len() as u64).sum())
    }

    /// With a length that may be a lie.
    pub fn announced(chunks: &[&[u8]], len: u64) -> Body {
        let chunks = chunks.iter().map(|c| Bytes::copy_from_slice(c)).collect();
        Box::new(Self { chunks, len, meta: Meta::default() })
    }

    pub fn shared(chunk: &Bytes, times: usize) -> Body {
        let chunks = vec![chunk.clone(); times].into();
        Box::new(Self { chunks, len: (chunk.len() * times) as u64, meta: Meta::default() })
    }
}

#[async_trait(?Send)]
impl Source for Chunks {
    fn len(&self) -> u64 {
        self.len
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.chunks.pop_front())
    }
}

pub async fn read_all(mut body: Body) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(c) = body.next().await? {
        all.extend_from_slice(&c);
    }
    Ok(all)
}

pub fn entry(path: &str, size: u64, version: Option<&str>) -> Entry {
    Entry {
        path: TreePath::new(path.as_bytes()).unwrap(),
        kind: EntryKind::File,
        size,
        modified_ns: 0,
        version: version.map(Into::into),
        meta: None,
    }
}

pub fn target(path: &str, size: u64, overwrite: Overwrite) -> Target {
    Target {
        path: TreePath::new(path.as_bytes()).unwrap(),
        size,
        meta: Meta::default(),
        stamp: Stamp { run: "run-1".into(), version: "v1".into(), size },
        overwrite,
    }
}
