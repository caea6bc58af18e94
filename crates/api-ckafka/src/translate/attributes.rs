//! Names under which this door keeps its own words on tasks and connections.
//!
//! They are part of what lies on disk: a name is never given another meaning. Values are as the request wrote them, in the
//! JSON form and without secrets, so that answers show a user's own spelling.

/// Task: what its source is called (an instance, connection or topic); `control` looks here for the filter `Resource`.
pub const SOURCE: &str = "Source";
/// Task: what its destination is called.
pub const TARGET: &str = "Target";
/// Task: `SourceResource.Type`.
pub const SOURCE_TYPE: &str = "SourceType";
/// Task: `TargetResource.Type`.
pub const TARGET_TYPE: &str = "TargetType";
/// Task: `SourceResource`.
pub const SOURCE_RESOURCE: &str = "SourceResource";
/// Task: `TargetResource`.
pub const TARGET_RESOURCE: &str = "TargetResource";
/// Task: `TransformParam`.
pub const TRANSFORM: &str = "TransformParam";
/// Task: `TransformsParam`.
pub const TRANSFORMS: &str = "TransformsParam";
/// Task: `SchemaId`.
pub const SCHEMA_ID: &str = "SchemaId";
/// Task: `AutoExpandFlag`, `true` or `false`.
pub const AUTO_EXPAND: &str = "AutoExpandFlag";

/// Connection: its `<X>ConnectParam`.
pub const PARAM: &str = "ConnectParam";
/// Connection: `Region`, for the filter `ResourceRegion`.
pub const REGION: &str = "Region";

/// A declared connection that is an event bus's target: the bucket.
pub const BUCKET: &str = "bucket";
/// The same: in front of the objects' names.
pub const PREFIX: &str = "prefix";
/// The same: what objects are made of (`json`, `csv`, `parquet`).
pub const FORMAT: &str = "format";
/// The same: the index.
pub const INDEX: &str = "index";
