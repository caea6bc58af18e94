//! Derived signing keys, kept so that a busy client costs one HMAC per request and not four.

use crate::account::Secret;
use ring::hmac;
use std::collections::HashMap;
use std::sync::Mutex;

/// Keys that are kept at most; then all are forgotten (they are cheap to make again).
const MAX_KEYS: usize = 4096;

/// Derived keys by `access key/date/service`.
#[derive(Default)]
pub struct KeyCache {
    keys: Mutex<HashMap<String, (Secret, hmac::Key)>>,
}

impl KeyCache {
    /// The key for `scope`, derived from `secret` unless it is known. A changed secret is noticed.
    pub(crate) fn get(&self, scope: &str, secret: &Secret, derive: impl FnOnce() -> hmac::Key) -> hmac::Key {
        let Ok(mut keys) = self.keys.lock() else { return derive() };
        if let Some((known, key)) = keys.get(scope)
            && known == secret
        {
            return key.clone();
        }
        let key = derive();
        if keys.len() >= MAX_KEYS {
            keys.clear();
        }
        keys.insert(scope.to_owned(), (secret.clone(), key.clone()));
        key
    }
}

impl std::fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyCache")
    }
}
