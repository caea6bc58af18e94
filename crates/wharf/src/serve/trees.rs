//! The catalogue's ends as trees: the one place that names concrete connectors for the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use connector::{Error, ErrorKind, Result, Tree, TreePath};
use connector_object::{Addressing, Endpoint, ObjectTree, Secret, Site};
use connector_posix::{Durability, PosixTree};
use model::{
    Credentials, Dialect, Direction, DirectoryEnd, MetadataDialect, ObjectEnd, ObjectStore, TransferSpec,
};
use store::{Purpose, SealKey, Store};

use super::quota::Quotas;

/// Sites that are kept, so that what one run learned of an endpoint helps the next; beyond it they are made anew.
const MAX_SITES: usize = 256;

/// See the module.
pub struct Connectors {
    store: Store,
    key: SealKey,
    durability: Durability,
    sites: Mutex<HashMap<Vec<u8>, Arc<Site>>>,
    quotas: Quotas,
    /// Resolves addresses; set once it exists (it needs the engine, which needs the ends).
    pub control: OnceLock<control::Control>,
}

impl Connectors {
    /// Over this state; `key` opens sealed credentials.
    pub fn new(store: Store, key: SealKey, durability: Durability) -> Self {
        Self {
            store,
            key,
            durability,
            sites: Mutex::default(),
            quotas: Quotas::default(),
            control: OnceLock::new(),
        }
    }

    fn site(&self, s: &ObjectStore, credentials: Option<&Credentials>) -> Result<Arc<Site>> {
        let open = |sealed| {
            self.key.open(Purpose::Credentials, sealed).map_err(|_| {
                Error::new(ErrorKind::Denied, "the stored secret can't be opened with this master key")
            })
        };
        let pair = match (credentials, &s.access_key_id, &s.secret) {
            (Some(c), _, _) => Some((c.access_key_id.clone(), open(&c.secret)?)),
            (None, Some(id), Some(secret)) => Some((id.clone(), open(secret)?)),
            _ => None,
        };
        let fingerprint = fingerprint(s, pair.as_ref());
        if let Ok(sites) = self.sites.lock()
            && let Some(site) = sites.get(&fingerprint)
        {
            return Ok(site.clone());
        }
        let credentials = pair.map(|(id, secret)| connector_object::Credentials {
            access_key: id.into(),
            secret_key: Secret::new(secret),
            session_token: None,
        });
        let mut endpoint = Endpoint::new(s.url.clone(), s.region.clone(), credentials);
        endpoint.addressing = if s.path_style { Addressing::Path } else { Addressing::VirtualHost };
        endpoint.ca_pem = s.ca_pem.as_ref().map(|p| p.clone().into_bytes());
        endpoint.dialect = match s.dialect {
            Dialect::S3 => connector_object::Dialect::S3,
            Dialect::Cos => connector_object::Dialect::Cos,
            Dialect::Oss => connector_object::Dialect::Oss,
            Dialect::Obs => connector_object::Dialect::Obs,
        };
        let site = endpoint
            .check()
            .map_err(|p| Error::new(ErrorKind::Other, format!("{}: {}", s.id, p.join("; "))))?;
        if let Ok(mut sites) = self.sites.lock() {
            if sites.len() >= MAX_SITES {
                sites.clear();
            }
            sites.insert(fingerprint, site.clone());
        }
        Ok(site)
    }

    async fn bucket(
        &self,
        end: &ObjectEnd,
        credentials: Option<&Credentials>,
        dialect: MetadataDialect,
    ) -> Result<Arc<dyn Tree>> {
        let store = self
            .store
            .object_store(&end.store)
            .await
            .map_err(|e| Error::new(ErrorKind::Unavailable, e.to_string()))?;
        let Some(store) = store else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the catalogue has no object store {}", end.store),
            ));
        };
        let site = self.site(&store, credentials)?;
        let dialect = match dialect {
            MetadataDialect::Native => connector_object::MetadataDialect::Native,
            MetadataDialect::AlibabaLingjun => connector_object::MetadataDialect::AlibabaLingjun,
            MetadataDialect::AlibabaGeneral => connector_object::MetadataDialect::AlibabaGp,
            MetadataDialect::TencentCfs => connector_object::MetadataDialect::TencentCfs,
        };
        Ok(Arc::new(ObjectTree::new(&site, &end.bucket, &end.prefix)?.with_metadata(dialect)))
    }

    /// `make`: the directory and its parents are made where they are missing.
    fn folder(&self, end: &DirectoryEnd, file_mode: Option<u32>, make: bool) -> Result<Arc<dyn Tree>> {
        let options = connector_posix::Options {
            durability: self.durability,
            file_mode,
            ..connector_posix::Options::default()
        };
        Ok(Arc::new(PosixTree::open_below(&end.root, end.path.as_bytes(), make, options)?))
    }
}

impl Connectors {
    /// A directory that is there, for looking at it and emptying it.
    fn plain_folder(&self, end: &DirectoryEnd) -> Result<PosixTree> {
        let options = connector_posix::Options { durability: self.durability, ..Default::default() };
        PosixTree::open_below(&end.root, end.path.as_bytes(), false, options)
    }
}

/// May a run make the directory? An export reads it; making it would hide a mistake.
fn may_make(spec: &TransferSpec) -> bool {
    spec.create_directory && spec.direction == Direction::Import
}

/// What makes two endpoints the same, without keeping the secret: a digest.
fn fingerprint(s: &ObjectStore, pair: Option<&(String, String)>) -> Vec<u8> {
    let mut text = format!("{}\0{}\0{:?}\0{}\0", s.url, s.region, s.dialect, s.path_style);
    for part in [s.ca_pem.as_deref(), pair.map(|p| p.0.as_str()), pair.map(|p| p.1.as_str())] {
        text.push_str(part.unwrap_or_default());
        text.push('\0');
    }
    ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

#[async_trait]
impl control::Trees for Connectors {
    async fn object(
        &self,
        end: &ObjectEnd,
        credentials: Option<&Credentials>,
        dialect: MetadataDialect,
    ) -> Result<Arc<dyn Tree>> {
        self.bucket(end, credentials, dialect).await
    }

    fn directory(&self, end: &DirectoryEnd) -> Result<Arc<dyn Tree>> {
        self.folder(end, None, false)
    }

    fn empty(&self, end: &DirectoryEnd) -> Result<u64> {
        self.plain_folder(end)?.empty()
    }

    fn count(&self, end: &DirectoryEnd) -> Result<(u64, u64)> {
        self.plain_folder(end)?.count()
    }

    async fn buckets(&self, store: &ObjectStore, credentials: Option<&Credentials>) -> Result<Vec<String>> {
        let client = connector_object::Client::new(&self.site(store, credentials)?);
        let buckets = client.list_buckets().await.map_err(Error::from)?;
        Ok(buckets.into_iter().map(|b| b.name).collect())
    }
}

/// A whole file system or bucket, and whatever an address names: where lists of names may lie.
impl Connectors {
    fn whole(spec: &TransferSpec) -> ObjectEnd {
        ObjectEnd { prefix: String::new(), ..spec.object.clone() }
    }
}

#[async_trait]
impl engine::dispatch::Ends for Connectors {
    async fn object(&self, spec: &TransferSpec) -> Result<Arc<dyn Tree>> {
        self.bucket(&spec.object, spec.credentials.as_ref(), spec.dialect).await
    }

    async fn directory(&self, spec: &TransferSpec) -> Result<Arc<dyn Tree>> {
        let tree = self.folder(&spec.directory, Some(spec.default_file_mode), may_make(spec))?;
        match spec.direction {
            Direction::Import => self.quotas.hold(tree, &spec.directory, &self.store).await,
            Direction::Export => Ok(tree),
        }
    }

    fn present_directory(&self, spec: &TransferSpec) -> Result<Option<Arc<dyn Tree>>> {
        match self.folder(&spec.directory, Some(spec.default_file_mode), false) {
            Ok(there) => Ok(Some(there)),
            Err(e) if e.kind() == ErrorKind::NotFound && may_make(spec) => Ok(None),
            Err(e) => Err(e),
        }
    }

    async fn bucket(&self, spec: &TransferSpec) -> Result<Arc<dyn Tree>> {
        Connectors::bucket(self, &Self::whole(spec), spec.credentials.as_ref(), spec.dialect).await
    }

    fn file_system(&self, spec: &TransferSpec) -> Result<Arc<dyn Tree>> {
        self.folder(&DirectoryEnd { path: String::new(), ..spec.directory.clone() }, None, false)
    }

    async fn address(&self, spec: &TransferSpec, url: &str) -> Result<(Arc<dyn Tree>, TreePath)> {
        // What stands behind `?` (a presigned address has its signature there) is neither part of the key nor
        // to be repeated: we sign ourselves.
        let url = url.split('?').next().unwrap_or(url);
        let not_found =
            |why: String| Error::new(ErrorKind::NotFound, format!("{}: {why}", model::presentable(url, 500)));
        // The key may hold escapes; the list's own address is taken as it is written.
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (host, path) = rest.split_once('/').ok_or_else(|| not_found("no key in it".to_owned()))?;
        let scheme = url.split_once("://").map_or("https", |(scheme, _)| scheme);
        let control = self.control.get().ok_or_else(|| not_found("the catalogue is not ready".to_owned()))?;
        // `https://bucket.host/key`, else `https://host/bucket/key`.
        let tries = [
            (format!("{scheme}://{host}"), path),
            match path.split_once('/') {
                Some((bucket, key)) => (format!("{scheme}://{host}/{bucket}"), key),
                None => (String::new(), ""),
            },
        ];
        for (address, key) in tries.iter().filter(|(a, k)| !a.is_empty() && !k.is_empty()) {
            if let Ok((store, bucket)) = control.resolve_address(address).await {
                let end = ObjectEnd { store: store.id, bucket, prefix: String::new() };
                let tree = Connectors::bucket(self, &end, spec.credentials.as_ref(), spec.dialect).await?;
                let key = TreePath::new(key.as_bytes()).map_err(|p| not_found(p.reason().to_owned()))?;
                return Ok((tree, key));
            }
        }
        Err(not_found("no object store of the catalogue answers for it".to_owned()))
    }
}
