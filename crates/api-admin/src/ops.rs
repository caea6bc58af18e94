//! The actions, by group.

pub mod accounts;
pub mod dead;
pub mod flow_logs;
pub mod flows;
pub mod pipelines;
pub mod receipts;
pub mod resources;
pub mod tasks;

use serde::Deserialize;

/// A request that names one thing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Id {
    /// Identifier.
    pub id: String,
}
