//! `ListAccounts`, `CreateAccount`, `SetAccountActive`, `IssueToken`, `RevokeTokens`.

use api::Fault;
use control::{Control, NewAccount};
use model::AccountId;
use serde::Deserialize;

use crate::fault::fault;
use crate::translate;
use crate::wire::{AccountView, Accounts, NewAccountView, RevokedTokens, TokenView};

pub async fn list(c: &Control) -> Result<Accounts, Fault> {
    let accounts = c.accounts().await.map_err(fault)?;
    Ok(Accounts { accounts: accounts.iter().map(translate::account).collect() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    name: String,
    #[serde(default)]
    app_id: Option<String>,
    #[serde(default)]
    operator: bool,
}

pub async fn create(c: &Control, request: Create) -> Result<NewAccountView, Fault> {
    let new = NewAccount {
        name: request.name,
        id: None,
        app_id: request.app_id,
        operator: request.operator,
        key: None,
        tokens: Vec::new(),
    };
    let (account, access_key_secret) = c.create_account(new).await.map_err(fault)?;
    Ok(NewAccountView { account: translate::account(&account), access_key_secret })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetActive {
    id: String,
    active: bool,
}

pub async fn set_active(c: &Control, request: SetActive) -> Result<AccountView, Fault> {
    let account = c.set_account_active(&AccountId(request.id), request.active).await.map_err(fault)?;
    Ok(translate::account(&account))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    id: String,
}

pub async fn issue_token(c: &Control, request: Which) -> Result<TokenView, Fault> {
    let token = c.issue_token(&AccountId(request.id.clone())).await.map_err(fault)?;
    Ok(TokenView { id: request.id, token })
}

pub async fn revoke_tokens(c: &Control, request: Which) -> Result<RevokedTokens, Fault> {
    let revoked = c.revoke_tokens(&AccountId(request.id.clone())).await.map_err(fault)?;
    Ok(RevokedTokens { id: request.id, revoked })
}
