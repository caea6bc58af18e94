//! Schemas: of new tables, and changed ones.
//!
//! The crate can add and drop columns; widening a type is left to us, so both are done here on the schema itself. Field numbers of what is there
//! stay; what is new gets the next free ones, structs before what is in them.

use std::sync::Arc;

use columnar::{Change, DataType};
use connector::{Error, ErrorKind, Result};
use iceberg::arrow::{arrow_schema_to_schema_auto_assign_ids, schema_to_arrow_schema};
use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Transform, Type,
    UnboundPartitionSpec,
};

use crate::fault::unwrap;
use crate::options::Partition;

/// Columns of a table at most, nested ones included, when they come from records.
const MAX_FIELDS: usize = 2000;

/// Names that the format keeps for itself.
const RESERVED: [&str; 10] = [
    "_file",
    "_pos",
    "_deleted",
    "_spec_id",
    "_partition",
    "_change_type",
    "_change_ordinal",
    "_commit_snapshot_id",
    "_row_id",
    "_last_updated_sequence_number",
];

fn refuse(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unacceptable, what)
}

/// A table's columns for these Arrow columns. Milliseconds become microseconds, which is what Iceberg has.
pub(crate) fn of_arrow(schema: &columnar::Schema) -> Result<Schema> {
    let fields: Vec<_> = schema.fields().iter().map(|f| known_field(f)).collect();
    let known = columnar::Schema::new(fields);
    if let Some(field) = known.fields().iter().find(|f| RESERVED.contains(&f.name().as_str())) {
        return Err(refuse(format!("schema: {} is a name that Iceberg keeps for itself", field.name())));
    }
    arrow_schema_to_schema_auto_assign_ids(&known).map_err(|e| refuse(format!("schema: {}", e.message())))
}

fn known_field(field: &columnar::Field) -> columnar::Field {
    field.clone().with_data_type(known_type(field.data_type()))
}

fn known_type(t: &DataType) -> DataType {
    use columnar::TimeUnit::Microsecond;
    let one = |f: &Arc<columnar::Field>| Arc::new(known_field(f));
    match t {
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(Microsecond),
        DataType::Timestamp(_, zone) => DataType::Timestamp(Microsecond, zone.clone()),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(one).collect()),
        DataType::List(f) => DataType::List(one(f)),
        DataType::LargeList(f) => DataType::LargeList(one(f)),
        DataType::Map(entries, sorted) => DataType::Map(one(entries), *sorted),
        other => other.clone(),
    }
}

/// A table's columns in Arrow, with the field numbers that its files carry.
pub(crate) fn to_arrow(schema: &Schema) -> Result<columnar::Schema> {
    schema_to_arrow_schema(schema).map_err(|e| unwrap(e, "the table's schema"))
}

/// The partitioning of a new table.
pub(crate) fn spec(schema: &Schema, parts: &[Partition]) -> Result<UnboundPartitionSpec> {
    let mut builder = UnboundPartitionSpec::builder();
    for part in parts {
        let field = schema.field_by_name(&part.column);
        let field = field.ok_or_else(|| refuse(format!("partition: there is no column {}", part.column)))?;
        let name = match part.transform {
            Transform::Identity => part.column.replace('.', "_"),
            Transform::Bucket(_) => format!("{}_bucket", part.column.replace('.', "_")),
            Transform::Truncate(_) => format!("{}_trunc", part.column.replace('.', "_")),
            other => format!("{}_{other}", part.column.replace('.', "_")),
        };
        part.transform
            .result_type(&field.field_type)
            .map_err(|e| refuse(format!("partition: {}: {}", part.column, e.message())))?;
        let added = builder.add_partition_field(field.id, name, part.transform);
        builder = added.map_err(|e| refuse(format!("partition: {}", e.message())))?;
    }
    Ok(builder.build())
}

/// The schema with these changes; `None` when it has them all. `last` is the table's highest field number.
pub(crate) fn evolved(schema: &Schema, changes: &[Change], last: i32) -> Result<Option<Schema>> {
    let reserved = |c: &&Change| matches!(c, Change::Add { path, .. } if path.len() == 1 && RESERVED.contains(&path[0].as_str()));
    if let Some(change) = changes.iter().find(reserved) {
        return Err(refuse(format!("{change}: Iceberg keeps this name for itself")));
    }
    let mut work = Work { next: last, changed: false };
    let mut fields = schema.as_struct().fields().to_vec();
    for change in changes {
        let (path, rest) = match change {
            Change::Add { path, data_type } => (path, Step::Add(data_type)),
            Change::Widen { path, to } => (path, Step::Widen(to)),
        };
        fields = work.fields(&fields, path, &rest)?;
    }
    if !work.changed {
        return Ok(None);
    }
    if usize::try_from(work.next).unwrap_or(usize::MAX) > MAX_FIELDS.max(usize::try_from(last).unwrap_or(0)) {
        return Err(refuse(format!("the table would have more than {MAX_FIELDS} columns")));
    }
    let built = Schema::builder()
        .with_fields(fields)
        .with_identifier_field_ids(schema.identifier_field_ids())
        .build();
    built.map(Some).map_err(|e| refuse(format!("the schema can't be changed so: {}", e.message())))
}

enum Step<'a> {
    Add(&'a DataType),
    Widen(&'a DataType),
}

struct Work {
    next: i32,
    changed: bool,
}

impl Work {
    fn number(&mut self) -> i32 {
        self.next += 1;
        self.next
    }

    fn fields(
        &mut self,
        fields: &[NestedFieldRef],
        path: &[String],
        step: &Step<'_>,
    ) -> Result<Vec<NestedFieldRef>> {
        let Some((name, rest)) = path.split_first() else { return Err(refuse("a change of nothing")) };
        let mut all = fields.to_vec();
        match (all.iter().position(|f| f.name == *name), step) {
            (None, Step::Add(t)) if rest.is_empty() => {
                let id = self.number();
                let t = self.new_type(t)?;
                all.push(Arc::new(NestedField::optional(id, name, t)));
                self.changed = true;
            }
            // Somebody was faster.
            (Some(_), Step::Add(_)) if rest.is_empty() => {}
            (Some(at), _) => {
                if let Some(field) = all.get_mut(at) {
                    *field = self.field(field, rest, step)?;
                }
            }
            (None, _) => return Err(refuse(format!("there is no column {name}"))),
        }
        Ok(all)
    }

    fn field(&mut self, field: &NestedFieldRef, path: &[String], step: &Step<'_>) -> Result<NestedFieldRef> {
        let t = match (&*field.field_type, path.split_first()) {
            (Type::Primitive(p), None) => match step {
                Step::Widen(to) => Type::Primitive(self.wider(&field.name, p, to)?),
                Step::Add(_) => return Ok(field.clone()),
            },
            (Type::Struct(s), Some(_)) => {
                Type::Struct(StructType::new(self.fields(s.fields(), path, step)?))
            }
            (Type::List(l), Some((word, rest))) if word == "element" => {
                Type::List(ListType::new(self.field(&l.element_field, rest, step)?))
            }
            (Type::Map(m), Some((word, rest))) if word == "value" => {
                Type::Map(MapType::new(m.key_field.clone(), self.field(&m.value_field, rest, step)?))
            }
            _ => return Err(refuse(format!("{} can't be changed so", field.name))),
        };
        let mut changed = (**field).clone();
        changed.field_type = Box::new(t);
        Ok(Arc::new(changed))
    }

    /// What Iceberg lets a type become without rewriting files.
    fn wider(&mut self, name: &str, from: &PrimitiveType, to: &DataType) -> Result<PrimitiveType> {
        let wide = match (from, to) {
            (PrimitiveType::Int, DataType::Int64) => PrimitiveType::Long,
            (PrimitiveType::Float, DataType::Float64) => PrimitiveType::Double,
            (PrimitiveType::Decimal { precision, scale }, DataType::Decimal128(p, s))
                if i64::from(*scale) == i64::from(*s) =>
            {
                PrimitiveType::Decimal { precision: (*precision).max(u32::from(*p)), scale: *scale }
            }
            // Somebody was faster.
            (PrimitiveType::Long, DataType::Int64) | (PrimitiveType::Double, DataType::Float64) => {
                from.clone()
            }
            _ => return Err(refuse(format!("{name}: {from} can't become {to}"))),
        };
        self.changed |= wide != *from;
        Ok(wide)
    }

    fn new_type(&mut self, t: &DataType) -> Result<Type> {
        let primitive = |p| Ok(Type::Primitive(p));
        match t {
            DataType::Boolean => primitive(PrimitiveType::Boolean),
            DataType::Int32 => primitive(PrimitiveType::Int),
            DataType::Int64 => primitive(PrimitiveType::Long),
            DataType::Float32 => primitive(PrimitiveType::Float),
            DataType::Float64 => primitive(PrimitiveType::Double),
            DataType::Utf8 => primitive(PrimitiveType::String),
            DataType::Struct(fields) => {
                let numbered: Vec<_> = fields.iter().map(|f| (self.number(), f)).collect();
                let fields = numbered.into_iter().map(|(id, f)| {
                    Ok(Arc::new(NestedField::optional(id, f.name(), self.new_type(f.data_type())?)))
                });
                Ok(Type::Struct(StructType::new(fields.collect::<Result<_>>()?)))
            }
            DataType::List(f) => {
                let id = self.number();
                let element = NestedField::list_element(id, self.new_type(f.data_type())?, false);
                Ok(Type::List(ListType::new(Arc::new(element))))
            }
            other => Err(refuse(format!("a column of type {other} can't be added"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let text = r#"{"type":"record","name":"r","fields":[{"name":"id","type":"int"},{"name":"f","type":["null","float"]},
            {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
            {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}},
            {"name":"l","type":["null",{"type":"array","items":{"type":"record","name":"e","fields":[{"name":"x","type":"int"}]}}]}]}"#;
        of_arrow(&columnar::avro_schema(text).unwrap()).unwrap()
    }

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn changes_keep_numbers_and_add_new_ones() {
        let schema = schema();
        let last = schema.highest_field_id();
        let inner = DataType::List(Arc::new(columnar::Field::new("element", DataType::Int64, true)));
        let made = DataType::Struct(vec![columnar::Field::new("a", inner, true)].into());
        let changes = [
            Change::Widen { path: path("id"), to: DataType::Int64 },
            Change::Widen { path: path("f"), to: DataType::Float64 },
            Change::Widen { path: path("d"), to: DataType::Decimal128(9, 2) },
            Change::Widen { path: path("l.element.x"), to: DataType::Int64 },
            Change::Add { path: path("l.element.y"), data_type: DataType::Utf8 },
            Change::Add { path: path("new"), data_type: made },
        ];
        let next = evolved(&schema, &changes, last).unwrap().unwrap();
        for name in ["id", "f", "d", "l", "l.element.x"] {
            assert_eq!(
                next.field_by_name(name).unwrap().id,
                schema.field_by_name(name).unwrap().id,
                "{name}"
            );
        }
        assert_eq!(next.field_by_name("d").unwrap().field_type.to_string(), "decimal(9, 2)");
        assert_eq!(next.field_by_name("l.element.x").unwrap().field_type.to_string(), "long");
        assert_eq!(next.field_by_name("l.element.y").unwrap().id, last + 1);
        assert_eq!(next.field_by_name("new.a.element").unwrap().id, last + 4);
        assert!(!next.field_by_name("new").unwrap().required);
        // Once more is nothing.
        assert!(evolved(&next, &changes, last + 4).unwrap().is_none());
    }

    #[test]
    fn what_iceberg_does_not_allow_is_refused() {
        let schema = schema();
        for change in [
            Change::Widen { path: path("id"), to: DataType::Float64 },
            Change::Widen { path: path("d"), to: DataType::Decimal128(9, 3) },
            Change::Widen { path: path("l"), to: DataType::Int64 },
            Change::Add { path: path("id.x"), data_type: DataType::Int64 },
            Change::Add { path: path("z.x"), data_type: DataType::Int64 },
            Change::Add { path: path("_partition"), data_type: DataType::Int64 },
        ] {
            let e = evolved(&schema, &[change], 10).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Unacceptable, "{e}");
        }
        let many = (0..3000).map(|n| Change::Add { path: vec![format!("c{n}")], data_type: DataType::Int64 });
        assert!(evolved(&schema, &many.collect::<Vec<_>>(), 10).is_err());
    }

    #[test]
    fn partitions_are_checked() {
        let schema = schema();
        let part = |column: &str, transform| Partition { column: column.to_owned(), transform };
        let good =
            [part("t", Transform::Day), part("id", Transform::Bucket(4)), part("f", Transform::Identity)];
        let made = spec(&schema, &good).unwrap();
        let names: Vec<_> = made.fields().iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["t_day", "id_bucket", "f"]);
        assert!(spec(&schema, &[part("f", Transform::Day)]).is_err());
        assert!(spec(&schema, &[part("nope", Transform::Day)]).is_err());
    }
}
