//! Control's accounts as the gate asks for them.

use api::{AccountKey, Accounts, AccountsError, Secret};
use async_trait::async_trait;
use control::Control;

/// See the module. Control caches; nothing is kept here.
pub struct Keys(pub Control);

#[async_trait]
impl Accounts for Keys {
    async fn by_access_key(&self, id: &str) -> Result<Option<AccountKey>, AccountsError> {
        let found = self.0.account_by_access_key(id).await.map_err(|e| AccountsError(e.to_string()))?;
        Ok(found.map(|(account, secret)| AccountKey {
            account: account.id.0,
            secret: Secret::new(secret),
            active: account.active,
            operator: account.operator,
            app_id: account.app_id,
        }))
    }

    /// A token signs nothing: there is no secret to it.
    async fn by_token(&self, token: &str) -> Result<Option<AccountKey>, AccountsError> {
        let found = self.0.account_by_token(token).await.map_err(|e| AccountsError(e.to_string()))?;
        Ok(found.map(|account| AccountKey {
            account: account.id.0,
            secret: Secret::new(""),
            active: account.active,
            operator: false,
            app_id: account.app_id,
        }))
    }
}
