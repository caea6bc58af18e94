//! `wharf account`

use api_admin::wire::{AccountView, Accounts, NewAccountView, RevokedTokens, TokenView};
use serde_json::json;

use super::{Answer, call};
use crate::cli::AccountCommand;
use crate::client::Client;
use crate::words;

pub async fn run(client: &Client, command: AccountCommand) -> Result<Answer, String> {
    match command {
        AccountCommand::List { .. } => {
            let a: Accounts = call(client, "ListAccounts", json!({})).await?;
            Ok(Answer::new(table(&a.accounts), &a))
        }
        AccountCommand::Create { name, app_id, operator, .. } => {
            let params = json!({ "name": name, "app_id": app_id, "operator": operator });
            let a: NewAccountView = call(client, "CreateAccount", params).await?;
            let text = format!(
                "account           {}\naccess key id     {}\naccess key secret {}\nThe secret is not shown again.",
                a.account.id, a.account.access_key_id, a.access_key_secret
            );
            Ok(Answer::new(text, &a))
        }
        AccountCommand::Disable { id, .. } => switch(client, &id, false).await,
        AccountCommand::Enable { id, .. } => switch(client, &id, true).await,
        AccountCommand::Token { id, revoke: true, .. } => {
            let a: RevokedTokens = call(client, "RevokeTokens", json!({ "id": id })).await?;
            Ok(Answer::new(format!("{} tokens are worthless now.", a.revoked), &a))
        }
        AccountCommand::Token { id, .. } => {
            let a: TokenView = call(client, "IssueToken", json!({ "id": id })).await?;
            Ok(Answer::new(format!("token {}\nIt is not shown again.", a.token), &a))
        }
    }
}

async fn switch(client: &Client, id: &str, active: bool) -> Result<Answer, String> {
    let a: AccountView = call(client, "SetAccountActive", json!({ "id": id, "active": active })).await?;
    Ok(Answer::new(table(std::slice::from_ref(&a)), &a))
}

fn table(accounts: &[AccountView]) -> String {
    let rows = accounts.iter().map(|a| {
        let state = if a.active { "active" } else { "off" };
        let role = if a.operator { "operator" } else { "user" };
        vec![
            a.id.clone(),
            a.name.clone(),
            a.access_key_id.clone(),
            a.app_id.clone(),
            role.to_owned(),
            state.to_owned(),
        ]
    });
    words::table(&["ACCOUNT", "NAME", "ACCESS KEY", "APP ID", "ROLE", "STATE"], rows.collect())
}
