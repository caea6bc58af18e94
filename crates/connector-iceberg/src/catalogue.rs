//! Catalogues: where a table's current metadata is, and how that is swapped.
//!
//! [`Catalogue`] is smaller than the crate's own trait, and says one thing more: whether a commit that failed may have been carried out
//! ([`Refusal`]). Everything in this connector rests on that difference.

mod rest;
mod sql;

use std::collections::HashMap;

use async_trait::async_trait;
use connector::{Error, ErrorKind, Result};
use iceberg::io::FileIO;
use iceberg::spec::{Schema, TableMetadata, UnboundPartitionSpec};
use iceberg::table::Table;
use iceberg::{NamespaceIdent, Runtime, TableIdent, TableRequirement, TableUpdate};

pub(crate) use rest::{Login, Rest};
pub(crate) use sql::{DELETE_VERSIONS, Sql};

/// A table to be made.
#[derive(Debug)]
pub(crate) struct NewTable {
    pub(crate) ident: TableIdent,
    pub(crate) schema: Schema,
    pub(crate) spec: UnboundPartitionSpec,
    pub(crate) properties: HashMap<String, String>,
}

/// What is to happen to a table, and under which conditions.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) requirements: Vec<TableRequirement>,
    pub(crate) updates: Vec<TableUpdate>,
}

/// Why a commit did not succeed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The table is no longer what the change was made for. Nothing was changed.
    Conflict,
    /// It will not be taken. Nothing was changed.
    Failed(Error),
    /// Nobody knows whether it was carried out, or will be.
    Unknown(Error),
}

/// See the module.
#[async_trait]
pub(crate) trait Catalogue: Send + Sync {
    /// Is the namespace there?
    async fn has_namespace(&self, namespace: &NamespaceIdent) -> Result<bool>;

    /// Makes a namespace; one that is there is no error.
    async fn create_namespace(&self, namespace: &NamespaceIdent) -> Result<()>;

    /// The table as it is now.
    async fn load(&self, ident: &TableIdent) -> Result<Option<Table>>;

    /// Makes a table; one that is there is loaded.
    async fn create(&self, new: NewTable) -> Result<Table>;

    /// Changes a table that was loaded, if it is still the same.
    async fn commit(&self, table: &Table, change: Change) -> Result<(), Refusal>;
}

/// A table of these parts, on the present runtime.
fn table(ident: &TableIdent, io: FileIO, location: &str, metadata: TableMetadata) -> Result<Table> {
    let runtime = Runtime::try_current().map_err(|e| crate::fault::unwrap(e, "runtime"))?;
    let built = Table::builder()
        .identifier(ident.clone())
        .file_io(io)
        .metadata_location(location)
        .metadata(metadata)
        // What is read of a table here is read once.
        .disable_cache()
        .runtime(runtime)
        .build();
    built.map_err(|e| crate::fault::unwrap(e, "table"))
}

/// An answer that makes no sense.
fn strange(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Other, what)
}
