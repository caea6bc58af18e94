//! Which object store of the catalogue answers for a bucket's name, or for a vendor's address of it.
//! Pure functions, for the doors too.

use model::ObjectStore;

/// Does `pattern` (`*` = any run of characters) match all of `text`? Letter case does not count.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (p, t) = (pattern.as_bytes(), text.as_bytes());
    let (mut i, mut j, mut star) = (0, 0, None);
    while j < t.len() {
        match p.get(i) {
            Some(b'*') => {
                star = Some((i, j));
                i += 1;
            }
            Some(c) if c.eq_ignore_ascii_case(&t[j]) => {
                i += 1;
                j += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    i = at + 1;
                    j = from + 1;
                }
                None => return false,
            },
        }
    }
    p[i.min(p.len())..].iter().all(|c| *c == b'*')
}

/// How well a store's patterns fit a bucket: the name itself beats a prefix, a longer prefix a shorter.
fn fit(store: &ObjectStore, bucket: &str) -> Option<usize> {
    let one = |p: &String| matches(p, bucket).then(|| if p == bucket { usize::MAX } else { p.len() });
    store.buckets.iter().filter_map(one).max()
}

/// Does `store` answer for `bucket`?
pub(crate) fn answers(store: &ObjectStore, bucket: &str) -> bool {
    fit(store, bucket).is_some()
}

/// The store that fits a bucket best: its own name before a pattern, a longer pattern before a shorter; the
/// first of equals.
pub fn store_for_bucket<'a>(
    stores: impl IntoIterator<Item = &'a ObjectStore>,
    bucket: &str,
) -> Option<&'a ObjectStore> {
    let mut best: Option<(usize, &ObjectStore)> = None;
    for store in stores {
        if let Some(n) = fit(store, bucket)
            && best.is_none_or(|(m, _)| n > m)
        {
            best = Some((n, store));
        }
    }
    best.map(|(_, store)| store)
}

/// The host of an `http(s)` address, without its port; `None` when it is none.
#[must_use]
pub fn host_of(address: &str) -> Option<&str> {
    Address::parse(address).map(|a| a.host())
}

/// What an address says.
pub(crate) struct Address<'a> {
    /// Host, and port if there is one.
    authority: &'a str,
    /// First component of the path, may be empty.
    first: &'a str,
}

impl<'a> Address<'a> {
    /// Takes `http(s)://authority[/path]` apart.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.strip_prefix('/').unwrap_or("");
        let first = path.split(['/', '?', '#']).next().unwrap_or("");
        (!authority.is_empty() && !authority.contains('@')).then_some(Self { authority, first })
    }

    fn host(&self) -> &'a str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => self.authority,
        }
    }

    /// The bucket that this address means, if it is one of `store`'s.
    pub(crate) fn bucket_of(&self, store: &ObjectStore) -> Option<String> {
        let by_pattern = store.hosts.iter().find_map(|p| {
            if p.starts_with('*') {
                leading(p, self.host()).or_else(|| leading(p, self.authority))
            } else {
                None
            }
        });
        if let Some(bucket) = by_pattern {
            return Some(bucket.to_owned());
        }
        let own = Address::parse(&store.url)?.authority;
        let same = |host: &str| host.eq_ignore_ascii_case(own);
        let named = store.hosts.iter().any(|p| matches(p, self.authority) || matches(p, self.host()));
        if (same(self.authority) || named) && !self.first.is_empty() {
            return Some(self.first.to_owned());
        }
        let (bucket, rest) = self.authority.split_once('.')?;
        (same(rest) && !bucket.is_empty()).then(|| bucket.to_owned())
    }
}

/// The shortest run that the pattern's leading `*` can stand for.
fn leading<'a>(pattern: &str, host: &'a str) -> Option<&'a str> {
    let rest = pattern.strip_prefix('*')?;
    (1..host.len())
        .filter(|i| host.is_char_boundary(*i))
        .find(|i| matches(rest, &host[*i..]))
        .map(|i| &host[..i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Dialect, ObjectStoreId, Origin, Timestamp};

    fn store(id: &str, url: &str, buckets: &[&str], hosts: &[&str]) -> ObjectStore {
        ObjectStore {
            id: ObjectStoreId::from(id),
            url: url.into(),
            region: "r".into(),
            dialect: Dialect::S3,
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

    #[test]
    fn patterns() {
        for (p, t, want) in [
            ("*", "", true),
            ("a*", "abc", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("*.cos.*.myqcloud.com", "b-1.cos.ap-x.myqcloud.com", true),
            ("", "", true),
            ("", "a", false),
            ("*-125", "x-125", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("ab*b", "ab", false),
            ("a", "A", true),
        ] {
            assert_eq!(matches(p, t), want, "{p} {t}");
        }
    }

    #[test]
    fn the_closest_pattern_wins() {
        let all = [
            store("any", "http://a", &["*"], &[]),
            store("logs", "http://b", &["logs-*"], &[]),
            store("one", "http://c", &["logs-1"], &[]),
        ];
        let id = |b| store_for_bucket(&all, b).map(|s| s.id.as_str());
        assert_eq!((id("x"), id("logs-2"), id("logs-1")), (Some("any"), Some("logs"), Some("one")));
        assert!(store_for_bucket(&all[1..], "x").is_none());
    }

    #[test]
    fn vendors_addresses_and_our_own() {
        let s =
            store("s", "http://127.0.0.1:8333", &["*"], &["*.cos.ap-guangzhou.myqcloud.com", "oss.local"]);
        let bucket = |a: &str| Address::parse(a).and_then(|a| a.bucket_of(&s));
        assert_eq!(bucket("https://data-125.cos.ap-guangzhou.myqcloud.com").as_deref(), Some("data-125"));
        assert_eq!(bucket("https://data-125.cos.ap-guangzhou.myqcloud.com/x/y").as_deref(), Some("data-125"));
        assert_eq!(bucket("http://127.0.0.1:8333/b2/k").as_deref(), Some("b2"));
        assert_eq!(bucket("http://b3.127.0.0.1:8333").as_deref(), Some("b3"));
        assert_eq!(bucket("http://oss.local/b4").as_deref(), Some("b4"));
        for bad in [
            "https://x.cos.eu.myqcloud.com",
            "ftp://127.0.0.1:8333/b",
            "127.0.0.1:8333/b",
            "http://127.0.0.1:8333",
        ] {
            assert_eq!(bucket(bad), None, "{bad}");
        }
        assert!(Address::parse("http://user:pw@127.0.0.1:8333/b").is_none());
    }
}
