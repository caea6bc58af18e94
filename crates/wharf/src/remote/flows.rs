//! `wharf flow`

use api_admin::wire::{FlowView, Flows};
use serde_json::json;

use super::{Answer, act, call};
use crate::cli::FlowCommand;
use crate::client::Client;
use crate::words;

pub async fn run(client: &Client, command: FlowCommand) -> Result<Answer, String> {
    match command {
        FlowCommand::List { .. } => {
            let flows: Flows = call(client, "ListFlows", json!({ "limit": 1000 })).await?;
            Ok(Answer::new(table(&flows.flows), &flows))
        }
        FlowCommand::Show { id, .. } => {
            let flow: FlowView = call(client, "GetFlow", json!({ "id": id })).await?;
            Ok(Answer::new(table(std::slice::from_ref(&flow)), &flow))
        }
        FlowCommand::Create { file_system, directory, bucket, name, .. } => {
            let rest =
                bucket.strip_prefix("s3://").or_else(|| bucket.strip_prefix("oss://")).unwrap_or(&bucket);
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let params = json!({
                "file_system": file_system, "directory": directory, "bucket": bucket, "prefix": prefix, "name": name,
            });
            let flow: FlowView = call(client, "CreateFlow", params).await?;
            Ok(Answer::new(table(std::slice::from_ref(&flow)), &flow))
        }
        FlowCommand::Delete { id, .. } => {
            act(client, "DeleteFlow", json!({ "id": id })).await?;
            Ok(Answer::new(
                format!("{id} is gone; its files and objects are where they were"),
                &json!({ "id": id }),
            ))
        }
    }
}

fn table(flows: &[FlowView]) -> String {
    let rows = flows.iter().map(|f| {
        let status = match &f.error {
            Some(e) => format!("{} ({e})", f.status),
            None => f.status.clone(),
        };
        vec![
            f.id.clone(),
            f.door.clone(),
            format!("{}:{}", f.file_system, f.directory),
            f.bucket.clone(),
            status,
            f.name.clone(),
        ]
    });
    words::table(&["FLOW", "DOOR", "DIRECTORY", "BUCKET", "STATUS", "NAME"], rows.collect())
}
