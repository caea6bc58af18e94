//! Avro schemas (JSON text) as Arrow schemas.
//!
//! Only the schema: data in Avro's binary form is not read here. A union may only say that something can be missing; the other unions have
//! no column. Aliases, docs and orders are passed over, and so are defaults: a field that is absent is null.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use serde_json::{Map, Value};

/// Longest text of a schema.
const MAX_TEXT: usize = 1024 * 1024;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// Most fields, all levels together; named types count each time they are used.
const MAX_FIELDS: usize = 10_000;

/// What is wrong with a schema, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// Names of the fields down to it.
    pub path: String,
    /// What is wrong, lower case.
    pub reason: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.path, self.reason)
        }
    }
}

impl std::error::Error for SchemaError {}

type Read<T> = Result<T, SchemaError>;

fn wrong(reason: impl Into<String>) -> SchemaError {
    SchemaError { path: String::new(), reason: reason.into() }
}

impl SchemaError {
    fn within(mut self, name: &str) -> Self {
        self.path = if self.path.is_empty() { name.to_owned() } else { format!("{name}.{}", self.path) };
        self
    }
}

/// The columns of records with this Avro schema, a record at the top.
///
/// # Errors
/// What is wrong with it.
pub fn avro_schema(text: &str) -> Result<Schema, SchemaError> {
    if text.len() > MAX_TEXT {
        return Err(wrong("the schema is longer than 1 MiB"));
    }
    let value: Value = serde_json::from_str(text).map_err(|e| wrong(format!("is not valid JSON: {e}")))?;
    let mut reader = Reader { named: HashMap::new(), fields: 0 };
    match reader.read(&value, "", MAX_DEPTH)? {
        (DataType::Struct(fields), false) => Ok(Schema::new(fields)),
        _ => Err(wrong("the top of the schema must be a record")),
    }
}

struct Reader {
    /// Types by full name; `None` while it is being read.
    named: HashMap<String, Option<DataType>>,
    fields: usize,
}

impl Reader {
    /// A type, and whether it may be missing.
    fn read(&mut self, value: &Value, space: &str, depth: usize) -> Read<(DataType, bool)> {
        let Some(depth) = depth.checked_sub(1) else { return Err(wrong("is nested too deeply")) };
        match value {
            Value::String(name) => self.by_name(name, space).map(|t| (t, false)),
            Value::Array(branches) => self.union(branches, space, depth),
            Value::Object(o) => self.complex(o, space, depth),
            _ => Err(wrong("is no type")),
        }
    }

    fn by_name(&mut self, name: &str, space: &str) -> Read<DataType> {
        if let Some(t) = primitive(name) {
            return Ok(t);
        }
        match self.named.get(&full_name(name, space)) {
            Some(Some(t)) => {
                self.fields += count(t);
                if self.fields > MAX_FIELDS {
                    return Err(wrong(format!("has more than {MAX_FIELDS} fields")));
                }
                Ok(t.clone())
            }
            Some(None) => Err(wrong(format!("{name} holds itself, which no table can"))),
            None => Err(wrong(format!("{name} is no type"))),
        }
    }

    fn union(&mut self, branches: &[Value], space: &str, depth: usize) -> Read<(DataType, bool)> {
        let is_null = |v: &Value| {
            let name = v.as_object().and_then(|o| o.get("type")).unwrap_or(v);
            name.as_str() == Some("null")
        };
        let optional = branches.iter().any(is_null);
        let mut rest = branches.iter().filter(|b| !is_null(b));
        match (rest.next(), rest.next()) {
            (Some(one), None) => {
                let (t, more) = self.read(one, space, depth)?;
                Ok((t, optional || more))
            }
            (None, _) => Err(wrong("a column that is always null has no type")),
            _ => Err(wrong("a union of several types besides null has no column")),
        }
    }

    fn complex(&mut self, o: &Map<String, Value>, space: &str, depth: usize) -> Read<(DataType, bool)> {
        let Some(kind) = o.get("type") else { return Err(wrong("has no type")) };
        let Some(word) = kind.as_str() else { return self.read(kind, space, depth) };
        if let Some(t) = logical(word, o)? {
            if word == "fixed" {
                self.name(o, space, Some(t.clone()))?;
            }
            return Ok((t, false));
        }
        let t = match word {
            "record" | "error" => return self.record(o, space, depth).map(|t| (t, false)),
            "enum" => {
                let symbols = o.get("symbols").and_then(Value::as_array);
                if symbols.is_none_or(Vec::is_empty) {
                    return Err(wrong("an enum needs symbols"));
                }
                self.name(o, space, Some(DataType::Utf8))?;
                DataType::Utf8
            }
            "fixed" => {
                let size = o.get("size").and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
                let Some(size) = size.filter(|n| (1..=1_048_576).contains(n)) else {
                    return Err(wrong("a fixed needs a size of 1 to 1048576"));
                };
                self.name(o, space, Some(DataType::FixedSizeBinary(size)))?;
                DataType::FixedSizeBinary(size)
            }
            "array" => {
                let items = o.get("items").ok_or_else(|| wrong("an array needs items"))?;
                let (t, optional) = self.read(items, space, depth).map_err(|e| e.within("items"))?;
                DataType::List(Arc::new(Field::new("element", t, optional)))
            }
            "map" => {
                let values = o.get("values").ok_or_else(|| wrong("a map needs values"))?;
                let (t, optional) = self.read(values, space, depth).map_err(|e| e.within("values"))?;
                let pair: Fields =
                    vec![Field::new("key", DataType::Utf8, false), Field::new("value", t, optional)].into();
                DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(pair), false)), false)
            }
            name => self.by_name(name, space)?,
        };
        Ok((t, false))
    }

    /// Notes a named type; returns the name.
    fn name(&mut self, o: &Map<String, Value>, space: &str, t: Option<DataType>) -> Read<String> {
        let name = o.get("name").and_then(Value::as_str).ok_or_else(|| wrong("a named type needs a name"))?;
        let space = o.get("namespace").and_then(Value::as_str).unwrap_or(space);
        let full = full_name(name, space);
        let before = self.named.insert(full.clone(), t);
        if before.is_some_and(|t| t.is_some()) {
            return Err(wrong(format!("{full} is defined twice")));
        }
        Ok(full)
    }

    fn record(&mut self, o: &Map<String, Value>, space: &str, depth: usize) -> Read<DataType> {
        let full = self.name(o, space, None)?;
        let space = full.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        let fields =
            o.get("fields").and_then(Value::as_array).ok_or_else(|| wrong("a record needs fields"))?;
        let mut out: Vec<Field> = Vec::with_capacity(fields.len());
        for field in fields {
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return Err(wrong(format!("has more than {MAX_FIELDS} fields")));
            }
            let name = field.get("name").and_then(Value::as_str).filter(|n| is_name(n));
            let name = name.ok_or_else(|| wrong("a field needs a name of letters, digits and _"))?;
            if out.iter().any(|f| f.name() == name) {
                return Err(wrong("is there twice").within(name));
            }
            let t = field.get("type").ok_or_else(|| wrong("has no type").within(name))?;
            let read = match t.as_str() {
                // `{"name": "x", "type": "int", "logicalType": "date"}`: the words stand beside the type as often as inside.
                Some(_) => field.as_object().map(|o| self.complex(o, &space, depth)),
                None => Some(self.read(t, &space, depth)),
            };
            let (t, optional) =
                read.unwrap_or_else(|| Err(wrong("is no field"))).map_err(|e| e.within(name))?;
            out.push(Field::new(name, t, optional));
        }
        let t = DataType::Struct(out.into());
        self.named.insert(full, Some(t.clone()));
        Ok(t)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.chars().any(|c| c.is_control() || c == '.')
}

fn full_name(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

fn count(t: &DataType) -> usize {
    match t {
        DataType::Struct(fields) => fields.iter().map(|f| 1 + count(f.data_type())).sum(),
        DataType::List(f) | DataType::Map(f, _) => 1 + count(f.data_type()),
        _ => 1,
    }
}

fn primitive(name: &str) -> Option<DataType> {
    Some(match name {
        "boolean" => DataType::Boolean,
        "int" => DataType::Int32,
        "long" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "bytes" => DataType::Binary,
        "string" => DataType::Utf8,
        _ => return None,
    })
}

/// The logical type, if there is one that fits its type; others are passed over, as Avro's rules say.
fn logical(word: &str, o: &Map<String, Value>) -> Read<Option<DataType>> {
    let Some(logical) = o.get("logicalType").and_then(Value::as_str) else { return Ok(None) };
    let utc = || Some(Arc::from("+00:00"));
    Ok(Some(match (word, logical) {
        ("int", "date") => DataType::Date32,
        ("int", "time-millis") => DataType::Time32(TimeUnit::Millisecond),
        ("long", "time-micros") => DataType::Time64(TimeUnit::Microsecond),
        ("long", "timestamp-millis") => DataType::Timestamp(TimeUnit::Millisecond, utc()),
        ("long", "timestamp-micros") => DataType::Timestamp(TimeUnit::Microsecond, utc()),
        ("long", "local-timestamp-millis") => DataType::Timestamp(TimeUnit::Millisecond, None),
        ("long", "local-timestamp-micros") => DataType::Timestamp(TimeUnit::Microsecond, None),
        ("bytes" | "fixed", "decimal") => {
            let number = |key: &str| o.get(key).map_or(Some(0), Value::as_u64);
            let precision = number("precision").and_then(|n| u8::try_from(n).ok());
            let precision = precision.filter(|n| (1..=38).contains(n));
            let Some(precision) = precision else {
                return Err(wrong("a decimal needs a precision of 1 to 38"));
            };
            let scale = number("scale").and_then(|n| i8::try_from(n).ok());
            let Some(scale) = scale.filter(|n| *n >= 0 && n.unsigned_abs() <= precision) else {
                return Err(wrong("a decimal's scale must be 0 to its precision"));
            };
            DataType::Decimal128(precision, scale)
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &str) -> Read<Schema> {
        avro_schema(&format!(r#"{{"type":"record","name":"r","namespace":"n","fields":[{fields}]}}"#))
    }

    fn one(t: &str) -> Read<(DataType, bool)> {
        let schema = of(&format!(r#"{{"name":"f","type":{t}}}"#))?;
        let f = schema.field(0);
        Ok((f.data_type().clone(), f.is_nullable()))
    }

    #[test]
    fn types_are_read() {
        let ok = |t: &str| one(t).unwrap();
        assert_eq!(ok(r#""long""#), (DataType::Int64, false));
        assert_eq!(ok(r#"["null","string"]"#), (DataType::Utf8, true));
        assert_eq!(ok(r#"[{"type":"int","logicalType":"date"},"null"]"#), (DataType::Date32, true));
        let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":18,"scale":2}"#;
        assert_eq!(ok(decimal).0, DataType::Decimal128(18, 2));
        assert_eq!(ok(r#"{"type":"int","logicalType":"strange"}"#).0, DataType::Int32);
        assert_eq!(ok(r#"{"type":"enum","name":"e","symbols":["A"]}"#).0, DataType::Utf8);
        assert!(matches!(ok(r#"{"type":"array","items":["null","int"]}"#).0, DataType::List(_)));
        assert!(matches!(ok(r#"{"type":"map","values":"double"}"#).0, DataType::Map(..)));
        let beside = of(r#"{"name":"d","type":"int","logicalType":"date"}"#).unwrap();
        assert_eq!(beside.field(0).data_type(), &DataType::Date32);
    }

    #[test]
    fn names_lead_to_types() {
        let schema =
            of(r#"{"name":"a","type":{"type":"record","name":"P","fields":[{"name":"x","type":"int"}]}},
               {"name":"b","type":["null","P"]},{"name":"c","type":"n.P"}"#)
            .unwrap();
        assert_eq!(schema.field(0).data_type(), schema.field(2).data_type());
        assert!(schema.field(1).is_nullable());
    }

    #[test]
    fn what_has_no_column_is_refused_with_its_path() {
        for (t, path, word) in [
            (r#"["int","string"]"#, "f", "union"),
            (r#"{"type":"array","items":"nothing"}"#, "f.items", "no type"),
            (r#"{"type":"record","name":"s","fields":[{"name":"t","type":["null","s"]}]}"#, "f.t", "itself"),
            (r#"{"type":"bytes","logicalType":"decimal","precision":40}"#, "f", "precision"),
            (r#""null""#, "f", "no type"),
        ] {
            let e = one(t).unwrap_err();
            assert!(e.path == path && e.reason.contains(word), "{t}: {e}");
        }
        assert!(avro_schema(r#""int""#).is_err() && avro_schema("{").is_err());
        assert!(avro_schema(&"[".repeat(100_000)).is_err());
        assert!(of(r#"{"name":"a","type":"int"},{"name":"a","type":"int"}"#).is_err());
    }

    #[test]
    fn a_schema_that_doubles_itself_is_stopped() {
        let mut fields = r#"{"name":"f0","type":{"type":"record","name":"t0","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}}"#.to_owned();
        for i in 1..40 {
            let before = i - 1;
            fields.push_str(&format!(
                r#",{{"name":"f{i}","type":{{"type":"record","name":"t{i}","fields":[{{"name":"a","type":"t{before}"}},{{"name":"b","type":"t{before}"}}]}}}}"#
            ));
        }
        assert!(of(&fields).unwrap_err().reason.contains("fields"));
    }
}
