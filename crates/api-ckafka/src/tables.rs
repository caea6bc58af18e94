//! Fields that several actions share, as the vendor's model has them.

pub mod connections;
pub mod resources;
pub mod transforms;

use api::{Field, How, Ty};

const SELF_BUILT: &str = "kept and shown; Resource is looked up in the same way";
const SHOWN: &str = "kept and shown";
const NO_VPC: &str = "kept and shown; there are no private networks here";
const BY_BUCKET: &str = "kept and shown; the bucket's name finds its store";
const GENERATED: &str = "kept and shown; names of objects are generated";
const OF_SOURCES: &str =
    "kept and shown; it is for a database as the source, which this server can't be given yet";
const SAMPLE: &str = "kept and shown; it belongs to the console's preview";
const RETIRED: &str = "ignored; the product has retired it";
const SEALED: &str = "sealed at once; comes back empty";
const WITHOUT_CONNECTION: &str = "used where Resource names no connection";
const SEALED_HERE: &str = "sealed at once; used where Resource names no connection; comes back empty";
const LATER: &str = "kept and shown; this server can't use such a connection yet";
const NULL: &str = "always null";

/// The same fields, refused one and all.
const fn refused_all<const N: usize>(mut fields: [Field; N], reason: &'static str) -> [Field; N] {
    let mut i = 0;
    while i < N {
        fields[i].how = How::Refused(reason);
        i += 1;
    }
    fields
}

/// The same fields in an answer that never has them.
const fn always_null<const N: usize>(mut fields: [Field; N]) -> [Field; N] {
    let mut i = 0;
    while i < N {
        fields[i].how = How::Stored(NULL);
        i += 1;
    }
    fields
}

/// `Tag`.
pub const TAG: &[Field] =
    &[Field::new("TagKey", Ty::Str).required(), Field::new("TagValue", Ty::Str).required()];

/// `PrivateLinkParam`.
pub const PRIVATE_LINK: &[Field] = &[
    Field::new("ServiceVip", Ty::Str).required().stored(RETIRED),
    Field::new("UniqVpcId", Ty::Str).required().stored(RETIRED),
];

/// Why the private link itself is of no effect.
pub const PRIVATE_LINK_NOTE: &str = RETIRED;

/// `Result` of what makes a task.
pub const TASK_MADE: &[Field] =
    &[Field::new("Result", Ty::Object(&[Field::new("TaskId", Ty::Str), Field::new("DatahubId", Ty::Str)]))];

/// `Result` of what names a connection.
pub const RESOURCE_ID: &[Field] = &[Field::new("Result", Ty::Object(&[Field::new("ResourceId", Ty::Str)]))];

/// The one field of the actions on a task.
pub const TASK_ID: &[Field] = &[Field::new("TaskId", Ty::Str).required()];

/// `Result` of what changes or removes a topic.
pub const OPERATED: &[Field] = &[Field::new(
    "Result",
    Ty::Object(&[
        Field::new("ReturnCode", Ty::Str),
        Field::new("ReturnMessage", Ty::Str),
        Field::new(
            "Data",
            Ty::Object(&[
                Field::new("FlowId", Ty::Int).stored("always 0"),
                Field::new("RouteDTO", Ty::Object(&[Field::new("RouteId", Ty::Int).stored(NULL)]))
                    .stored(NULL),
            ]),
        ),
    ]),
)];

/// `ConsumerRecord`.
pub const RECORD: &[Field] = &[
    Field::new("Topic", Ty::Str),
    Field::new("Partition", Ty::Int),
    Field::new("Offset", Ty::Int),
    Field::new("Key", Ty::Str),
    Field::new("Value", Ty::Str),
    Field::new("Timestamp", Ty::Int),
    Field::new("Headers", Ty::Str),
];
