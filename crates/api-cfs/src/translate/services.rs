//! Which stores of the catalogue answer for a `SrcService`.
//!
//! A store belongs to a vendor when it is declared with one of the vendor's host names or speaks the
//! vendor's dialect. Where no store of the catalogue belongs to the vendor, the plain S3 stores that
//! belong to no vendor answer: somebody who has one MinIO must say one of the five words and means it.

use model::{Dialect, ObjectStore};

/// Stores asked in one request at most.
pub const MAX_STORES: usize = 16;

/// A vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// `SrcService`.
    pub name: &'static str,
    dialect: Option<Dialect>,
    domains: &'static [&'static str],
}

/// The product's five.
pub const SERVICES: [Service; 5] = [
    Service { name: "COS", dialect: Some(Dialect::Cos), domains: &["myqcloud.com", "tencentcos.cn"] },
    Service { name: "OSS", dialect: Some(Dialect::Oss), domains: &["aliyuncs.com"] },
    Service { name: "OBS", dialect: Some(Dialect::Obs), domains: &["myhuaweicloud.com", "myhuaweicloud.eu"] },
    Service { name: "BOS", dialect: None, domains: &["bcebos.com"] },
    Service { name: "TOS", dialect: None, domains: &["volces.com", "bytepluses.com"] },
];

impl Service {
    /// By its word.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SERVICES.iter().find(|s| s.name == name)
    }

    fn owns(&self, store: &ObjectStore) -> bool {
        self.dialect == Some(store.dialect) || store_hosts(store).any(|host| self.has_host(host))
    }

    fn has_host(&self, host: &str) -> bool {
        self.domains
            .iter()
            .any(|d| host.strip_suffix(d).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    }

    /// The stores that answer for it, those of `region` first.
    #[must_use]
    pub fn stores<'s>(&self, catalogue: &'s [ObjectStore], region: &str) -> Vec<&'s ObjectStore> {
        let mut found: Vec<_> = catalogue.iter().filter(|s| self.owns(s)).collect();
        if found.is_empty() {
            found = catalogue.iter().filter(|s| SERVICES.iter().all(|v| !v.owns(s))).collect();
        }
        found.sort_by_key(|s| s.region != region);
        found.truncate(MAX_STORES);
        found
    }

    /// The store among them that answers for a bucket: the one whose patterns fit it best.
    #[must_use]
    pub fn store_of<'s>(
        &self,
        catalogue: &'s [ObjectStore],
        bucket: &str,
        region: &str,
    ) -> Option<&'s ObjectStore> {
        control::store_for_bucket(self.stores(catalogue, region), bucket)
    }
}

/// Hosts of a store: its own, and those of vendors' addresses that mean it.
fn store_hosts(store: &ObjectStore) -> impl Iterator<Item = &str> {
    control::host_of(&store.url).into_iter().chain(store.hosts.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ObjectStoreId, Origin, Timestamp};

    fn store(id: &str, dialect: Dialect, hosts: &[&str], buckets: &[&str]) -> ObjectStore {
        ObjectStore {
            id: ObjectStoreId::from(id),
            url: "http://127.0.0.1:8333".into(),
            region: format!("region-{id}"),
            dialect,
            path_style: true,
            access_key_id: None,
            secret: None,
            buckets: buckets.iter().map(|s| (*s).to_owned()).collect(),
            hosts: hosts.iter().map(|s| (*s).to_owned()).collect(),
            ca_pem: None,
            origin: Origin::Config,
            created: Timestamp(0),
        }
    }

    fn ids(stores: &[&ObjectStore]) -> Vec<String> {
        stores.iter().map(|s| s.id.to_string()).collect()
    }

    #[test]
    fn vendors_own_stores_by_dialect_or_host_and_plain_ones_stand_in() {
        let all = [
            store("plain", Dialect::S3, &[], &[]),
            store("a", Dialect::S3, &["*.cos.ap-guangzhou.myqcloud.com"], &[]),
            store("b", Dialect::Cos, &[], &[]),
            store("c", Dialect::Oss, &[], &[]),
        ];
        let of = |name: &str, region: &str| ids(&Service::named(name).unwrap().stores(&all, region));
        assert_eq!(of("COS", ""), ["a", "b"]);
        assert_eq!(of("COS", "region-b"), ["b", "a"]);
        assert_eq!(of("OSS", ""), ["c"]);
        assert_eq!(of("BOS", ""), ["plain"]);
        assert!(Service::named("cos").is_none());
    }

    #[test]
    fn a_bucket_finds_the_store_that_names_it_best() {
        let all = [
            store("open", Dialect::Cos, &[], &["*"]),
            store("named", Dialect::Cos, &[], &["data-*", "logs"]),
            store("closed", Dialect::Cos, &[], &[]),
        ];
        let of = |bucket: &str| {
            Service::named("COS").unwrap().store_of(&all, bucket, "").map(|s| s.id.to_string())
        };
        assert_eq!(of("data-1").as_deref(), Some("named"));
        assert_eq!(of("logs").as_deref(), Some("named"));
        assert_eq!(of("logs2").as_deref(), Some("open"));
        assert_eq!(Service::named("COS").unwrap().store_of(&all[2..], "x", ""), None);
    }

    #[test]
    fn a_host_that_only_ends_alike_is_no_vendors() {
        assert!(!Service::named("COS").unwrap().has_host("evilmyqcloud.com"));
        assert!(Service::named("COS").unwrap().has_host("cos.ap-beijing.myqcloud.com"));
    }
}
