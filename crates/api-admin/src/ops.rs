//! The actions, by group.

pub mod accounts;
pub mod flows;
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
