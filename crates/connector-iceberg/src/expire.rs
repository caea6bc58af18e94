//! Old snapshots: taken out of the table's metadata, with the files that nothing else holds.
//!
//! An append's manifests live on in the lists of later snapshots, so what an old append leaves is its manifest list. Data files that were replaced by another
//! engine (a compaction) and are held by old snapshots only are left to that engine's own clean-up.

use std::sync::Arc;

use connector::Result;
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction as _, Transaction};

use crate::catalogue::{Catalogue, Refusal};
use crate::commit::Asked;
use crate::fault::unwrap;
use crate::files::Files;

/// Snapshots beyond the number to keep before anything is done: each expiry is a commit of its own.
const SLACK: usize = 10;

/// Keeps the newest `keep` snapshots of the present line, those that branches and tags name, and what is newer.
pub(crate) async fn expire(catalogue: &dyn Catalogue, files: &Files, table: &Table, keep: u32) -> Result<()> {
    let have = table.metadata().snapshots().len();
    if have < keep as usize + SLACK {
        return Ok(());
    }
    let asked = Asked::new(table.clone());
    let transaction = Transaction::new(table);
    let now = runtime::Clock::system().now().millis();
    let action = transaction.expire_snapshots().expire_older_than_ms(now).retain_last(keep as usize);
    let planned = async { action.apply(transaction)?.commit(&asked).await };
    planned.await.map_err(|e| unwrap(e, "expire snapshots"))?;
    let change = asked.take()?;
    let gone: Vec<i64> = change.updates.iter().flat_map(removed).collect();
    if gone.is_empty() {
        return Ok(());
    }
    match catalogue.commit(table, change).await {
        Ok(()) => {}
        // Next time.
        Err(Refusal::Conflict) => return Ok(()),
        Err(Refusal::Failed(e) | Refusal::Unknown(e)) => return Err(e),
    }
    for id in gone {
        let Some(snapshot) = table.metadata().snapshot_by_id(id) else { continue };
        files.remove(Arc::clone(snapshot).manifest_list()).await?;
    }
    Ok(())
}

fn removed(update: &iceberg::TableUpdate) -> Vec<i64> {
    match update {
        iceberg::TableUpdate::RemoveSnapshots { snapshot_ids } => snapshot_ids.clone(),
        _ => Vec::new(),
    }
}
