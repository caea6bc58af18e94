//! Accounts, file systems, filesets, object stores.

use serde::{Deserialize, Serialize};

use model::{Account, Declared, FileSystem, Fileset, ObjectStore, Quota, Release, Timestamp};

use super::words::{
    declared_name, dialect_name, fileset_status_name, origin_name, parse_declared, parse_dialect,
    parse_fileset_status, parse_origin, parse_product, product_name,
};
use super::{Record, SealedText, path_text};
use crate::Result;

#[derive(Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    id: String,
    name: String,
    access_key_id: String,
    secret: SealedText,
    app_id: String,
    operator: bool,
    active: bool,
    /// Records of accounts that were made by command have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declared: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<String>,
    created_us: i64,
}

impl Record for AccountRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "account";
}

impl AccountRecord {
    pub(crate) fn of(a: &Account) -> Self {
        Self {
            id: a.id.0.clone(),
            name: a.name.clone(),
            access_key_id: a.access_key_id.clone(),
            secret: SealedText::of(&a.secret),
            app_id: a.app_id.clone(),
            operator: a.operator,
            active: a.active,
            declared: (a.declared != Declared::Never).then(|| declared_name(a.declared).to_owned()),
            tokens: a.tokens.clone(),
            created_us: a.created.0,
        }
    }

    pub(crate) fn noun(self) -> Result<Account> {
        Ok(Account {
            id: self.id.into(),
            name: self.name,
            access_key_id: self.access_key_id,
            secret: self.secret.sealed()?,
            app_id: self.app_id,
            operator: self.operator,
            active: self.active,
            declared: self.declared.map_or(Ok(Declared::Never), |word| parse_declared(&word))?,
            tokens: self.tokens,
            created: Timestamp(self.created_us),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct FileSystemRecord {
    id: String,
    product: String,
    root: String,
    version: String,
    description: String,
    capacity_gib: u64,
    bandwidth_mbps: u64,
    region: String,
    zone: String,
    allow_destroy: bool,
    origin: String,
    created_us: i64,
}

impl Record for FileSystemRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "file system";
}

impl FileSystemRecord {
    pub(crate) fn of(f: &FileSystem) -> Result<Self> {
        Ok(Self {
            id: f.id.0.clone(),
            product: product_name(f.product).into(),
            root: path_text(&f.root)?,
            version: f.version.clone(),
            description: f.description.clone(),
            capacity_gib: f.capacity_gib,
            bandwidth_mbps: f.bandwidth_mbps,
            region: f.region.clone(),
            zone: f.zone.clone(),
            allow_destroy: f.allow_destroy,
            origin: origin_name(f.origin).into(),
            created_us: f.created.0,
        })
    }

    pub(crate) fn noun(self) -> Result<FileSystem> {
        Ok(FileSystem {
            id: self.id.into(),
            product: parse_product(&self.product)?,
            root: self.root.into(),
            version: self.version,
            description: self.description,
            capacity_gib: self.capacity_gib,
            bandwidth_mbps: self.bandwidth_mbps,
            region: self.region,
            zone: self.zone,
            allow_destroy: self.allow_destroy,
            origin: parse_origin(&self.origin)?,
            created: Timestamp(self.created_us),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct QuotaRecord {
    size_limit: Option<u64>,
    file_count_limit: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct ReleaseRecord {
    root: String,
    destroy: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct FilesetRecord {
    id: String,
    account: String,
    file_system: String,
    path: String,
    description: String,
    deletion_protection: bool,
    quota: Option<QuotaRecord>,
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseRecord>,
    space_used: u64,
    files_used: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counted_us: Option<i64>,
    created_us: i64,
    updated_us: i64,
}

impl Record for FilesetRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "fileset";
}

impl FilesetRecord {
    pub(crate) fn of(f: &Fileset) -> Result<Self> {
        let release = match &f.release {
            Some(r) => Some(ReleaseRecord { root: path_text(&r.root)?, destroy: r.destroy }),
            None => None,
        };
        let quota =
            f.quota.map(|q| QuotaRecord { size_limit: q.size_limit, file_count_limit: q.file_count_limit });
        Ok(Self {
            id: f.id.0.clone(),
            account: f.account.0.clone(),
            file_system: f.file_system.0.clone(),
            path: f.path.clone(),
            description: f.description.clone(),
            deletion_protection: f.deletion_protection,
            quota,
            status: fileset_status_name(f.status).into(),
            release,
            space_used: f.space_used,
            files_used: f.files_used,
            counted_us: f.counted.map(|t| t.0),
            created_us: f.created.0,
            updated_us: f.updated.0,
        })
    }

    pub(crate) fn noun(self) -> Result<Fileset> {
        let quota =
            self.quota.map(|q| Quota { size_limit: q.size_limit, file_count_limit: q.file_count_limit });
        Ok(Fileset {
            id: self.id.into(),
            account: self.account.into(),
            file_system: self.file_system.into(),
            path: self.path,
            description: self.description,
            deletion_protection: self.deletion_protection,
            quota,
            status: parse_fileset_status(&self.status)?,
            release: self.release.map(|r| Release { root: r.root.into(), destroy: r.destroy }),
            space_used: self.space_used,
            files_used: self.files_used,
            counted: self.counted_us.map(Timestamp),
            created: Timestamp(self.created_us),
            updated: Timestamp(self.updated_us),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ObjectStoreRecord {
    id: String,
    url: String,
    region: String,
    dialect: String,
    path_style: bool,
    access_key_id: Option<String>,
    secret: Option<SealedText>,
    buckets: Vec<String>,
    hosts: Vec<String>,
    ca_pem: Option<String>,
    origin: String,
    created_us: i64,
}

impl Record for ObjectStoreRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "object store";
}

impl ObjectStoreRecord {
    pub(crate) fn of(s: &ObjectStore) -> Self {
        Self {
            id: s.id.0.clone(),
            url: s.url.clone(),
            region: s.region.clone(),
            dialect: dialect_name(s.dialect).into(),
            path_style: s.path_style,
            access_key_id: s.access_key_id.clone(),
            secret: s.secret.as_ref().map(SealedText::of),
            buckets: s.buckets.clone(),
            hosts: s.hosts.clone(),
            ca_pem: s.ca_pem.clone(),
            origin: origin_name(s.origin).into(),
            created_us: s.created.0,
        }
    }

    pub(crate) fn noun(self) -> Result<ObjectStore> {
        Ok(ObjectStore {
            id: self.id.into(),
            url: self.url,
            region: self.region,
            dialect: parse_dialect(&self.dialect)?,
            path_style: self.path_style,
            access_key_id: self.access_key_id,
            secret: self.secret.map(|s| s.sealed()).transpose()?,
            buckets: self.buckets,
            hosts: self.hosts,
            ca_pem: self.ca_pem,
            origin: parse_origin(&self.origin)?,
            created: Timestamp(self.created_us),
        })
    }
}
