//! `ListAccounts`, `CreateAccount`, `SetAccountActive`.

use api::Fault;
use control::{Control, NewAccount};
use model::AccountId;
use serde::Deserialize;

use crate::fault::fault;
use crate::translate;
use crate::wire::{AccountView, Accounts, NewAccountView};

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
