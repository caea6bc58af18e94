//! Who calls: access keys, and the one question that the kit asks of the outside.

use async_trait::async_trait;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// A secret text. It can't be printed, and it compares in constant time.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes a secret.
    pub fn new(secret: impl Into<Arc<str>>) -> Self {
        Self(secret.into())
    }

    /// The secret itself; call it where it is used, and keep it nowhere.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// An access key with its owner.
#[derive(Debug, Clone)]
pub struct AccountKey {
    /// Id of the account that owns the key.
    pub account: String,
    /// The signing secret.
    pub secret: Secret,
    /// Keys that are switched off are refused.
    pub active: bool,
    /// May it use the operator's door?
    pub operator: bool,
    /// The account's number as Tencent shows it (`AppId`).
    pub app_id: String,
}

/// Who calls, without the secret: what a door sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Id of the account.
    pub account: String,
    /// The account's number as Tencent shows it (`AppId`).
    pub app_id: String,
    /// May it use the operator's door?
    pub operator: bool,
}

impl From<&AccountKey> for Caller {
    fn from(key: &AccountKey) -> Self {
        Self { account: key.account.clone(), app_id: key.app_id.clone(), operator: key.operator }
    }
}

/// Why accounts could not be read. Logged; a client sees only "internal error".
#[derive(Debug, Clone)]
pub struct AccountsError(pub String);

impl fmt::Display for AccountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accounts can't be read: {}", self.0)
    }
}

impl std::error::Error for AccountsError {}

/// Where access keys are found. Called once per request: keep it quick, or wrap it in
/// [`CachedAccounts`].
#[async_trait]
pub trait Accounts: Send + Sync {
    /// The key with this id, or `None`. A key that is switched off is returned with `active: false`.
    ///
    /// # Errors
    /// When the store can't answer.
    async fn by_access_key(&self, id: &str) -> Result<Option<AccountKey>, AccountsError>;

    /// The owner of an access token (Huawei's `X-Auth-Token`), or `None`. Implementations compare in
    /// constant time or look up by a digest.
    ///
    /// # Errors
    /// When the store can't answer.
    async fn by_token(&self, token: &str) -> Result<Option<AccountKey>, AccountsError>;
}

/// Remembers found keys for a short time, so that a busy client costs no look-up per request.
///
/// A key that is removed or switched off works on for at most `ttl`; [`CachedAccounts::forget`] ends
/// it at once. Unknown keys and tokens are never remembered.
pub struct CachedAccounts<A> {
    inner: A,
    ttl: Duration,
    found: Mutex<HashMap<String, (Instant, AccountKey)>>,
}

/// Keys that are remembered at most.
const MAX_CACHED: usize = 4096;

impl<A: Accounts> CachedAccounts<A> {
    /// Remembers what `inner` finds for `ttl`.
    pub fn new(inner: A, ttl: Duration) -> Self {
        Self { inner, ttl, found: Mutex::default() }
    }

    /// Forgets everything: call it after keys were changed.
    pub fn forget(&self) {
        if let Ok(mut found) = self.found.lock() {
            found.clear();
        }
    }

    fn cached(&self, id: &str) -> Option<AccountKey> {
        let found = self.found.lock().ok()?;
        let (at, key) = found.get(id)?;
        (at.elapsed() < self.ttl).then(|| key.clone())
    }

    fn keep(&self, id: &str, key: &AccountKey) {
        let Ok(mut found) = self.found.lock() else { return };
        if found.len() >= MAX_CACHED {
            found.clear();
        }
        found.insert(id.to_owned(), (Instant::now(), key.clone()));
    }
}

#[async_trait]
impl<A: Accounts> Accounts for CachedAccounts<A> {
    async fn by_access_key(&self, id: &str) -> Result<Option<AccountKey>, AccountsError> {
        if let Some(key) = self.cached(id) {
            return Ok(Some(key));
        }
        let key = self.inner.by_access_key(id).await?;
        if let Some(key) = &key {
            self.keep(id, key);
        }
        Ok(key)
    }

    async fn by_token(&self, token: &str) -> Result<Option<AccountKey>, AccountsError> {
        self.inner.by_token(token).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(std::sync::atomic::AtomicU32);

    #[async_trait]
    impl Accounts for Counting {
        async fn by_access_key(&self, id: &str) -> Result<Option<AccountKey>, AccountsError> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok((id == "known").then(|| AccountKey {
                account: "a".into(),
                secret: Secret::new("s"),
                active: true,
                operator: false,
                app_id: "1".into(),
            }))
        }
        async fn by_token(&self, _: &str) -> Result<Option<AccountKey>, AccountsError> {
            Ok(None)
        }
    }

    #[tokio::test]
    async fn what_is_known_is_asked_once() {
        let cached = CachedAccounts::new(Counting(0.into()), Duration::from_secs(60));
        let asked = || cached.inner.0.load(std::sync::atomic::Ordering::Relaxed);
        for _ in 0..3 {
            assert!(cached.by_access_key("known").await.unwrap().is_some());
        }
        assert_eq!(asked(), 1);
        for _ in 0..3 {
            assert!(cached.by_access_key("unknown").await.unwrap().is_none());
        }
        assert_eq!(asked(), 4);
        cached.forget();
        assert!(cached.by_access_key("known").await.unwrap().is_some());
        assert_eq!(asked(), 5);
    }

    #[test]
    fn a_secret_does_not_print() {
        let key = AccountKey {
            account: "a".into(),
            secret: Secret::new("hush-hush"),
            active: true,
            operator: false,
            app_id: "1".into(),
        };
        assert!(!format!("{key:?}").contains("hush"));
    }
}
