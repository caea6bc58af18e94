//! Is everything there? For those who make tasks: what is missing is told apart.

use std::time::Duration;

use connector::records::Endpoint;
use connector::{Error, ErrorKind, Result};

use crate::options::{self, Plan};

/// How long [`look`] takes at most.
const LOOK: Duration = Duration::from_secs(5);

/// What an endpoint leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The table is there.
    Table,
    /// The database (namespace) is, the table is not.
    NoTable,
    /// Not even the database.
    NoDatabase,
}

/// Asks the catalogue for database and table, and the store for its bucket; makes neither.
///
/// # Errors
/// `Denied`, `Unavailable`, `Unacceptable` bad options, `NotFound` no bucket.
pub async fn look(endpoint: &Endpoint) -> Result<Found> {
    let (connection, plan) = options::read(endpoint)?;
    let files = connection.files()?;
    let catalogue = connection.catalogue(&files)?;
    let asking = async {
        if let Some(table) = catalogue.load(&plan.ident).await? {
            files.probe(table.metadata().location()).await?;
            return Ok(Found::Table);
        }
        if connection.warehouse().contains("://") {
            files.probe(connection.warehouse()).await?;
        }
        let there = catalogue.has_namespace(plan.ident.namespace()).await?;
        Ok(if there { Found::NoTable } else { Found::NoDatabase })
    };
    let none = |_| Error::new(ErrorKind::Unavailable, "the catalogue gave no answer within 5 s");
    tokio::time::timeout(LOOK, asking).await.map_err(none)?
}

/// Can records be written? A table that would be made need not be there.
///
/// # Errors
/// As [`look`]; `NotFound` with the words `no such database` or `no such table`.
pub async fn probe(endpoint: &Endpoint) -> Result<()> {
    let (_, plan) = options::read(endpoint)?;
    match look(endpoint).await? {
        Found::Table => Ok(()),
        Found::NoTable | Found::NoDatabase if plan.create.is_some() => Ok(()),
        missing => Err(absent(&plan, missing)),
    }
}

/// The error for what is missing.
pub(crate) fn absent(plan: &Plan, missing: Found) -> Error {
    let what = match missing {
        Found::NoDatabase => format!("no such database: {}", plan.ident.namespace()),
        _ => format!("no such table: {}", plan.ident),
    };
    Error::new(ErrorKind::NotFound, what)
}
