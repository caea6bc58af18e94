//! Fields that several actions share.

use api::{Field, Ty};

/// A tag.
pub const TAG: &[Field] = &[Field::new("key", Ty::Str), Field::new("value", Ty::Str)];
/// A tag of a request.
pub const TAG_GIVEN: &[Field] = &[Field::new("key", Ty::Str).required(), Field::new("value", Ty::Str)];
/// Tags.
pub const TAGS: Ty = Ty::List(&Ty::Object(TAG));
/// How CSV is read.
pub const CSV_PROPERTIES: &[Field] = &[Field::new("delimiter", Ty::Str)];
/// Why the fields of a stream's data have no effect on putting and getting.
pub const FOR_DUMPS: &str = "kept and shown; dump tasks go by it, records are taken as they come";

/// A partition, as shown.
pub const PARTITION: &[Field] = &[
    Field::new("status", Ty::Str),
    Field::new("partition_id", Ty::Str),
    Field::new("hash_range", Ty::Str),
    Field::new("sequence_number_range", Ty::Str),
    Field::new("parent_partitions", Ty::Str),
];

/// A sum of a minute.
pub const DATA_POINT: &[Field] = &[Field::new("timestamp", Ty::Int), Field::new("value", Ty::Int)];
/// Sums with their label.
pub const METRICS: &[Field] =
    &[Field::new("dataPoints", Ty::List(&Ty::Object(DATA_POINT))), Field::new("label", Ty::Str)];

/// An app, as shown.
pub const APP: &[Field] = &[
    Field::new("app_name", Ty::Str),
    Field::new("app_id", Ty::Str),
    Field::new("create_time", Ty::Int),
    Field::new("commit_checkpoint_stream_names", Ty::List(&Ty::Str)),
];
