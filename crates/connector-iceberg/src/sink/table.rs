//! The sink's table: loaded, made, taken over as others change it, and changed for records.

use std::sync::Arc;
use std::time::Duration;

use columnar::{Change as SchemaChange, Decoder};
use connector::{Error, ErrorKind, Result};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use super::{IcebergSink, Target};
use crate::catalogue::{Change, DELETE_VERSIONS, NewTable, Refusal};
use crate::interval::Places;
use crate::look::{Found, absent};
use crate::options::Create;
use crate::schema;

/// Table property: how many old metadata files there are.
const MOST_VERSIONS: &str = "write.metadata.previous-versions-max";
/// Attempts to change a table's schema.
const EVOLVE_ATTEMPTS: u32 = 8;

impl IcebergSink {
    /// Loads the table; makes it where the options say how.
    pub(super) async fn load(&mut self) -> Result<()> {
        let table = match (self.catalogue.load(&self.plan.ident).await?, &self.plan.create) {
            (Some(table), _) => table,
            (None, Some(create)) => self.create(create).await?,
            (None, None) => {
                let there = self.catalogue.has_namespace(self.plan.ident.namespace()).await?;
                return Err(absent(&self.plan, if there { Found::NoTable } else { Found::NoDatabase }));
            }
        };
        self.adopt(table)
    }

    async fn create(&self, create: &Create) -> Result<Table> {
        let namespace = self.plan.ident.namespace();
        if !self.catalogue.has_namespace(namespace).await? {
            self.catalogue.create_namespace(namespace).await?;
        }
        let schema = schema::of_arrow(&create.schema)?;
        let spec = schema::spec(&schema, &create.partition)?;
        let mut properties = create.properties.clone();
        // A version of the metadata for each snapshot: nobody wants them all.
        properties.entry(DELETE_VERSIONS.to_owned()).or_insert_with(|| "true".to_owned());
        properties.entry(MOST_VERSIONS.to_owned()).or_insert_with(|| "20".to_owned());
        let table = self
            .catalogue
            .create(NewTable { ident: self.plan.ident.clone(), schema, spec, properties })
            .await?;
        tracing::info!(table = %self.plan.ident, "made an Iceberg table");
        Ok(table)
    }

    /// Works with this table from now on. Columns must be empty if its schema is another.
    pub(super) fn adopt(&mut self, table: Table) -> Result<()> {
        let metadata = table.metadata();
        let columns = Arc::new(schema::to_arrow(metadata.current_schema())?);
        let places = Places::new(metadata, self.plan.staging.as_deref(), &self.context.pipeline);
        let same = self.target.as_ref().is_some_and(|t| t.columns == columns);
        self.target = Some(Target { table, columns, places });
        if !same {
            for split in self.lines.keys().cloned().collect::<Vec<_>>() {
                let decoder = self.decoder()?;
                if let Some(line) = self.lines.get_mut(&split) {
                    line.decoder = decoder;
                }
            }
        }
        Ok(())
    }

    pub(super) fn decoder(&self) -> Result<Decoder> {
        let columns = self.target()?.columns.clone();
        let made = Decoder::new(columns, &self.plan.records);
        made.map_err(|e| Error::new(ErrorKind::Unacceptable, format!("{}: {e}", self.plan.ident)))
    }

    /// Changes the table's schema so that these fit.
    pub(super) async fn evolve(&mut self, changes: &[SchemaChange]) -> Result<()> {
        for _ in 0..EVOLVE_ATTEMPTS {
            let loaded = self.catalogue.load(&self.plan.ident).await?;
            let table = loaded.ok_or_else(|| absent(&self.plan, Found::NoTable))?;
            let metadata = table.metadata();
            let last = metadata.last_column_id();
            let Some(next) = schema::evolved(metadata.current_schema(), changes, last)? else {
                return self.adopt(table);
            };
            let requirements = vec![
                TableRequirement::UuidMatch { uuid: metadata.uuid() },
                TableRequirement::CurrentSchemaIdMatch { current_schema_id: metadata.current_schema_id() },
                TableRequirement::LastAssignedFieldIdMatch { last_assigned_field_id: last },
            ];
            let updates = vec![
                TableUpdate::AddSchema { schema: next },
                TableUpdate::SetCurrentSchema { schema_id: -1 },
            ];
            match self.catalogue.commit(&table, Change { requirements, updates }).await {
                Ok(()) => {
                    let words: Vec<_> = changes.iter().map(ToString::to_string).collect();
                    tracing::info!(table = %self.plan.ident, changes = words.join(", "), "changed a table's schema");
                }
                Err(Refusal::Failed(e)) => return Err(e),
                // Loading it again tells.
                Err(Refusal::Conflict | Refusal::Unknown(_)) => {
                    tokio::time::sleep(Duration::from_millis(100)).await
                }
            }
        }
        Err(Error::new(ErrorKind::Throttled, "other writers keep changing the table's schema"))
    }
}

/// Why no schema takes these changes, by the table as it was loaded last. It costs no commit and no load: a producer can send such
/// records by the thousand.
pub(super) fn beyond_help(target: Option<&Target>, changes: &[SchemaChange]) -> Option<String> {
    let metadata = target?.table.metadata();
    match schema::evolved(metadata.current_schema(), changes, metadata.last_column_id()) {
        Err(e) if e.kind() == ErrorKind::Unacceptable => Some(e.to_string()),
        _ => None,
    }
}
