//! A bucket prefix as a tree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use connector::{EntryStream, Error, ErrorKind, Lane, ListRequest, Probe, Result, Sweep, Tree, TreePath};

use crate::client::Client;
use crate::endpoint::Site;
use crate::fault::Fault;
use crate::lane::ObjectLane;
use crate::listing::Listing;
use crate::mark;
use crate::metadata::MetadataDialect;
use crate::ops::list::ListQuery;
use crate::ops::multipart::{FoundPart, UploadRef};
use crate::ops::object::Condition;

/// Longest key of an S3 object, in bytes.
const MAX_KEY: usize = 1024;

/// The objects below a prefix of a bucket.
#[derive(Debug, Clone)]
pub struct ObjectTree(Arc<Place>);

/// Where the tree is; shared with its lanes.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) site: Arc<Site>,
    pub(crate) bucket: String,
    /// Empty or ending in `/`.
    pub(crate) prefix: String,
    pub(crate) dialect: MetadataDialect,
    pub(crate) dropped_xattrs: AtomicU64,
}

impl Place {
    /// The key of a path.
    pub(crate) fn key(&self, path: &TreePath) -> Result<String> {
        let unacceptable =
            |why: &str| Error::new(ErrorKind::Unacceptable, format!("{}: {why}", path.display()));
        let name = std::str::from_utf8(path.as_bytes())
            .map_err(|_| unacceptable("the name is not UTF-8, and object keys must be"))?;
        let mut key = String::with_capacity(self.prefix.len() + name.len() + 1);
        key.push_str(&self.prefix);
        key.push_str(name);
        if key.len() > MAX_KEY { Err(unacceptable("the key is longer than 1024 bytes")) } else { Ok(key) }
    }
}

impl ObjectTree {
    /// The tree below `prefix` (`""`, `a/b` or `a/b/`) of `bucket`.
    ///
    /// # Errors
    /// `Unacceptable`: the bucket's name or the prefix can't be one.
    pub fn new(site: &Arc<Site>, bucket: &str, prefix: &str) -> Result<Self> {
        let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if bucket.is_empty() || bucket.len() > 255 || !bucket.bytes().all(name) {
            let why = format!("{}: not a bucket name", bucket.escape_debug());
            return Err(Error::new(ErrorKind::Unacceptable, why));
        }
        let mut prefix = prefix.trim_start_matches('/').to_owned();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        if prefix.len() > MAX_KEY - 1 {
            return Err(Error::new(ErrorKind::Unacceptable, "the prefix is longer than a key can be"));
        }
        let place = Place {
            site: site.clone(),
            bucket: bucket.to_owned(),
            prefix,
            dialect: MetadataDialect::default(),
            dropped_xattrs: AtomicU64::new(0),
        };
        Ok(Self(Arc::new(place)))
    }

    /// Writes metadata in this dialect (read are all).
    #[must_use]
    pub fn with_metadata(self, dialect: MetadataDialect) -> Self {
        let p = &self.0;
        Self(Arc::new(Place {
            site: p.site.clone(),
            bucket: p.bucket.clone(),
            prefix: p.prefix.clone(),
            dialect,
            dropped_xattrs: AtomicU64::new(0),
        }))
    }

    /// Extended attributes that were not written since this tree was made, because they did not fit into
    /// user metadata or the dialect can't hold them.
    #[must_use]
    pub fn dropped_xattrs(&self) -> u64 {
        self.0.dropped_xattrs.load(Ordering::Relaxed)
    }

    fn client(&self) -> Client {
        Client::new(&self.0.site)
    }
}

#[async_trait]
impl Tree for ObjectTree {
    fn describe(&self) -> String {
        format!("s3://{}/{}", self.0.bucket, self.0.prefix)
    }

    async fn probe(&self, write: bool) -> Result<Probe> {
        let client = self.client();
        let query = ListQuery { prefix: &self.0.prefix, max_keys: 1, ..ListQuery::default() };
        let page = client.list_objects(&self.0.bucket, &query).await?;
        let mut probe = Probe { readable: true, writable: false, server: page.server.map(String::from) };
        if write {
            let key = format!("{}.wharf-probe-{}", self.0.prefix, self.0.site.random.hex(16));
            match client.put_bytes(&self.0.bucket, &key, Bytes::from_static(b"probe"), Condition::None).await
            {
                Ok(_) => {
                    client.delete(&self.0.bucket, &key).await?;
                    probe.writable = true;
                }
                Err(f) if f.kind() == ErrorKind::Denied => {}
                Err(f) => return Err(f.into()),
            }
        }
        Ok(probe)
    }

    fn list(&self, request: ListRequest) -> Box<dyn EntryStream> {
        Box::new(Listing::new(self.0.clone(), request))
    }

    fn lane(&self) -> Box<dyn Lane> {
        Box::new(ObjectLane::new(self.client(), self.0.clone()))
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    async fn sweep(&self, what: &Sweep) -> Result<u64> {
        let client = self.client();
        let idle = i64::try_from(what.idle_s).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
        let limit = Limit(match idle {
            0 => None,
            _ => Some(self.0.site.config.clock.now().0.saturating_mul(1000).saturating_sub(idle)),
        });
        let mut swept = 0;
        for u in client.list_uploads(&self.0.bucket, &self.0.prefix).await? {
            // An upload whose age can't be read is left alone.
            if u.initiated_ns == 0 || !limit.is_idle(u.initiated_ns) {
                continue;
            }
            let Ok(key) = std::str::from_utf8(&u.key) else { continue };
            let upload = UploadRef { bucket: &self.0.bucket, key, id: &u.id };
            match may_go(&client, upload, what, limit).await {
                Ok(true) => {
                    client.abort_upload(upload).await?;
                    swept += 1;
                }
                Ok(false) => {}
                // Finished meanwhile, or not ours to look into.
                Err(f) if matches!(f.kind(), ErrorKind::NotFound | ErrorKind::Denied) => {}
                Err(f) => return Err(f.into()),
            }
        }
        Ok(swept)
    }
}

/// What may go was touched at this time the last time, or before; `None` = whenever it was.
#[derive(Clone, Copy)]
struct Limit(Option<i64>);

impl Limit {
    /// What doesn't tell its time (0) may be as young as can be.
    fn is_idle(self, touched_ns: i64) -> bool {
        self.0.is_none_or(|limit| touched_ns != 0 && touched_ns <= limit)
    }
}

/// Is it ours, and does nobody need it?
async fn may_go(
    client: &Client,
    upload: UploadRef<'_>,
    what: &Sweep,
    limit: Limit,
) -> std::result::Result<bool, Fault> {
    let last = client.list_parts(upload, mark::NUMBER - 1).await?;
    let Some(mark) = last.iter().find(|p| mark::is_one(p, upload.key)) else { return Ok(false) };
    if what.run.as_ref().is_some_and(|run| !mark::is_of(mark, run)) || !limit.is_idle(mark.modified_ns) {
        return Ok(false);
    }
    let idle = |parts: Vec<FoundPart>| parts.iter().all(|p| limit.is_idle(p.modified_ns));
    Ok(what.idle_s == 0 || idle(client.list_parts(upload, 0).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_below_the_prefix() {
        let site = crate::Endpoint::new("http://127.0.0.1:1", "r", None).check().unwrap();
        let t = ObjectTree::new(&site, "bkt", "/a/b").unwrap();
        assert_eq!(t.describe(), "s3://bkt/a/b/");
        let key = |p: &[u8]| t.0.key(&TreePath::new(p).unwrap());
        assert_eq!(key(b"c d").unwrap(), "a/b/c d");
        assert_eq!(key(b"\xff").unwrap_err().kind(), ErrorKind::Unacceptable);
        assert_eq!(key(&b"x/".repeat(511)).unwrap_err().kind(), ErrorKind::Unacceptable);
        for bad in ["", "a/b", "a b", "ä"] {
            assert!(ObjectTree::new(&site, bad, "").is_err());
        }
    }

    #[test]
    fn what_does_not_tell_its_time_is_not_old() {
        let limit = Limit(Some(1000));
        assert!(limit.is_idle(1000) && !limit.is_idle(1001) && !limit.is_idle(0));
        assert!(Limit(None).is_idle(0) && Limit(None).is_idle(i64::MAX));
    }
}
