//! `wharf receipt`

use api_admin::wire::{ReceiptView, VerificationView};
use serde_json::json;

use super::{Answer, call};
use crate::cli::ReceiptCommand;
use crate::client::Client;
use crate::words;

pub async fn run(client: &Client, command: ReceiptCommand) -> Result<Answer, String> {
    match command {
        ReceiptCommand::Show { task, .. } => {
            let r: ReceiptView = call(client, "GetReceipt", json!({ "id": task })).await?;
            let text = format!(
                "receipt of {}\n{}\nmanifest sha256 {}\nmanifest {}{}",
                r.task,
                words::ledger(&r.ledger),
                r.manifest_sha256,
                client.url(),
                r.manifest_path
            );
            Ok(Answer::new(text, &r))
        }
        ReceiptCommand::Verify { task, .. } => {
            let v: VerificationView = call(client, "VerifyReceipt", json!({ "id": task })).await?;
            let verdict = if v.ok { "the receipt holds" } else { "THE RECEIPT DOES NOT HOLD" };
            let mut text = format!(
                "{verdict}: {} items: {} by content ({} read again), {} by size only; \
                 {} missing, {} different, {} unreadable; manifest {}",
                words::count(v.items),
                words::count(v.by_content),
                words::size(v.bytes),
                words::count(v.by_size),
                v.missing,
                v.different,
                v.unreadable,
                if v.manifest_intact { "intact" } else { "CHANGED" }
            );
            for e in &v.examples {
                text.push_str(&format!("\n  {e}"));
            }
            let ok = v.ok;
            Ok(Answer { ok, ..Answer::new(text, &v) })
        }
    }
}
