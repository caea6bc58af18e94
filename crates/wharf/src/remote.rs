//! The commands that speak to a server: `wharf flow`, `task`, `pipeline`, `connection`, `dead`, `resource`, `account`, `receipt`.

mod accounts;
mod dead;
mod events;
mod flow_logs;
mod flows;
mod pipelines;
mod receipts;
mod resources;
mod tasks;

use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::{Command, Server};
use crate::client::Client;
use crate::config;

/// What a command gives: text for people and the value for `--json`.
pub struct Answer {
    text: String,
    json: Value,
    ok: bool,
    /// It was printed on the way.
    said: bool,
}

impl Answer {
    /// An answer.
    fn new(text: String, value: &impl Serialize) -> Self {
        Self { text, json: serde_json::to_value(value).unwrap_or_default(), ok: true, said: false }
    }
}

/// Runs one of the commands.
pub fn run(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(r) => r,
        Err(e) => {
            complain!("can't start: {e}");
            return ExitCode::FAILURE;
        }
    };
    let server = server_of(&command).clone();
    let answer = runtime.block_on(async {
        let client = connect(&server)?;
        match command {
            Command::Flow(c) => flows::run(&client, c).await,
            Command::Task(c) => tasks::run(&client, c, server.json).await,
            Command::Pipeline(c) => pipelines::run(&client, c).await,
            Command::Connection(c) => pipelines::connections(&client, c).await,
            Command::Dead(c) => dead::run(&client, c).await,
            Command::FlowLog(c) => flow_logs::run(&client, c).await,
            Command::Resource(c) => resources::run(&client, c).await,
            Command::Account(c) => accounts::run(&client, c).await,
            Command::Receipt(c) => receipts::run(&client, c).await,
            _ => Err("not a command for a server".to_owned()),
        }
    });
    match answer {
        Ok(a) => {
            if a.said {
                // Nothing is left to say.
            } else if server.json {
                say!("{}", serde_json::to_string_pretty(&a.json).unwrap_or_default());
            } else {
                say!("{}", a.text);
            }
            if a.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            complain!("wharf: {message}");
            ExitCode::FAILURE
        }
    }
}

fn server_of(command: &Command) -> &Server {
    use crate::cli::{
        AccountCommand as A, FlowCommand as F, ReceiptCommand as P, ResourceCommand as R, TaskCommand as T,
    };
    match command {
        Command::Flow(
            F::List { server } | F::Show { server, .. } | F::Create { server, .. } | F::Delete { server, .. },
        )
        | Command::Task(
            T::List { server, .. }
            | T::Show { server, .. }
            | T::Events { server, .. }
            | T::Plan { server, .. }
            | T::Create { server, .. }
            | T::Watch { server, .. }
            | T::Pause { server, .. }
            | T::Resume { server, .. }
            | T::Cancel { server, .. },
        )
        | Command::Resource(
            R::List { server }
            | R::AddFilesystem { server, .. }
            | R::AddStore { server, .. }
            | R::Remove { server, .. },
        )
        | Command::Account(
            A::List { server }
            | A::Create { server, .. }
            | A::Disable { server, .. }
            | A::Enable { server, .. }
            | A::Token { server, .. },
        )
        | Command::Receipt(P::Show { server, .. } | P::Verify { server, .. }) => server,
        Command::Pipeline(c) => c.server(),
        Command::Connection(c) => c.server(),
        Command::Dead(c) => c.server(),
        Command::FlowLog(c) => c.server(),
        _ => unreachable!("only commands for a server come here"),
    }
}

/// Address and key from the environment, else from the configuration's first operator.
fn connect(server: &Server) -> Result<Client, String> {
    let from_env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let mut url = server.server.clone();
    let mut key = from_env("WHARF_ACCESS_KEY_ID").zip(from_env("WHARF_ACCESS_KEY_SECRET"));
    if url.is_none() || key.is_none() {
        let config = config::load(&server.config).map_err(|problems| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            format!(
                "no server is named: {first} (use --config, or --server with WHARF_ACCESS_KEY_ID and WHARF_ACCESS_KEY_SECRET)"
            )
        })?;
        if key.is_none() {
            let operator = config.accounts.iter().find(|a| a.operator);
            let operator = operator.ok_or("the configuration has no account with operator = true")?;
            key = Some((operator.access_key_id.clone(), crate::serve::reveal(&operator.secret)?));
        }
        if url.is_none() {
            url = Some(address(&config)?);
        }
    }
    match (url, key) {
        (Some(url), Some((id, secret))) => Client::new(&url, &id, &secret),
        _ => Err("no server is named".to_owned()),
    }
}

fn address(config: &config::Config) -> Result<String, String> {
    let mut address = config.listen.address;
    if address.port() == 0 {
        let file = config.data_dir.join("port");
        let port = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        address.set_port(port.trim().parse().map_err(|_| format!("{} holds no port", file.display()))?);
    }
    if address.ip().is_unspecified() {
        address.set_ip(std::net::IpAddr::from([127, 0, 0, 1]));
    }
    Ok(format!("{}://{address}", if config.listen.tls.is_some() { "https" } else { "http" }))
}

/// Calls the operator's door and reads its answer.
async fn call<T: DeserializeOwned>(client: &Client, action: &str, params: Value) -> Result<T, String> {
    let answer = client.operator(action, &params).await.map_err(|e| e.to_string())?;
    serde_json::from_value(answer).map_err(|e| format!("the server's answer to {action} can't be read: {e}"))
}

/// Calls the operator's door for an action without an answer.
async fn act(client: &Client, action: &str, params: Value) -> Result<(), String> {
    client.operator(action, &params).await.map(|_| ()).map_err(|e| e.to_string())
}
