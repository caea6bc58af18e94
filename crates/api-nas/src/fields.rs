//! Fields that several operations share, so that the tables of `ops` read short.

use api::{Field, Ty};

/// The file system that an operation is about.
pub const FILE_SYSTEM_ID: Field = Field::new("FileSystemId", Ty::Str).required();
/// The flow that an operation is about.
pub const DATA_FLOW_ID: Field = Field::new("DataFlowId", Ty::Str).required();
/// The fileset that an operation is about.
pub const FSET_ID: Field = Field::new("FsetId", Ty::Str).required();
/// Makes a repeated request harmless.
pub const CLIENT_TOKEN: Field = Field::new("ClientToken", Ty::Str);
/// Checks without doing.
pub const DRY_RUN: Field = Field::new("DryRun", Ty::Bool);
/// Size of a page.
pub const MAX_RESULTS: Field = Field::new("MaxResults", Ty::Int);
/// Where the next page begins; in requests and responses.
pub const NEXT_TOKEN: Field = Field::new("NextToken", Ty::Str);
/// Conditions of a listing.
pub const FILTERS: Field =
    Field::new("Filters", Ty::List(&Ty::Object(&[Field::new("Key", Ty::Str), Field::new("Value", Ty::Str)])));
/// Whether changes of the bucket are followed.
pub const AUTO_REFRESH_POLICY: Field = Field::new("AutoRefreshPolicy", Ty::Str).stored(AUTO_REFRESH_NOTE);
/// Minutes between two looks at the bucket.
pub const AUTO_REFRESH_INTERVAL: Field = Field::new("AutoRefreshInterval", Ty::Int).stored(AUTO_REFRESH_NOTE);

/// What auto refresh does today.
pub const AUTO_REFRESH_NOTE: &str = "checked, kept and shown; refreshing itself is not done yet";
/// What a flow's throughput does.
pub const THROUGHPUT_NOTE: &str =
    "checked, kept and shown; the server's bandwidth limit is set by its configuration";

/// Limits of a fileset.
pub const QUOTA: &[Field] = &[Field::new("FileCountLimit", Ty::Int), Field::new("SizeLimit", Ty::Int)];

/// A fileset as it is shown.
pub const FILESET: &[Field] = &[
    Field::new("CreateTime", Ty::Str),
    Field::new("DeletionProtection", Ty::Bool),
    Field::new("Description", Ty::Str),
    Field::new("FileCountUsage", Ty::Int),
    Field::new("FileSystemId", Ty::Str),
    Field::new("FileSystemPath", Ty::Str),
    Field::new("FsetId", Ty::Str),
    Field::new("Quota", Ty::Object(QUOTA)),
    Field::new("SpaceUsage", Ty::Int),
    Field::new("Status", Ty::Str),
    Field::new("UpdateTime", Ty::Str),
];
