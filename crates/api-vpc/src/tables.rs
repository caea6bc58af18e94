//! Fields that several actions share, as the vendor's model has them.

use api::{Field, Ty};

/// `Tag`.
pub const TAG: &[Field] = &[Field::new("Key", Ty::Str).required(), Field::new("Value", Ty::Str).required()];

/// `FlowLogStorage`.
pub const STORAGE: &[Field] =
    &[Field::new("StorageId", Ty::Str).required(), Field::new("StorageTopic", Ty::Str)];

/// `Filter`.
pub const FILTER: &[Field] =
    &[Field::new("Name", Ty::Str).required(), Field::new("Values", Ty::List(&Ty::Str)).required()];

/// `FlowLog`.
pub const FLOW_LOG: &[Field] = &[
    Field::new("VpcId", Ty::Str),
    Field::new("FlowLogId", Ty::Str),
    Field::new("FlowLogName", Ty::Str),
    Field::new("ResourceType", Ty::Str),
    Field::new("ResourceId", Ty::Str),
    Field::new("TrafficType", Ty::Str),
    Field::new("CloudLogId", Ty::Str).stored("kept and shown; there are no log topics here yet"),
    Field::new("CloudLogState", Ty::Str),
    Field::new("FlowLogDescription", Ty::Str),
    Field::new("CreatedTime", Ty::Str),
    Field::new("TagSet", Ty::List(&Ty::Object(TAG))),
    Field::new("Enable", Ty::Bool),
    Field::new("StorageType", Ty::Str),
    Field::new("FlowLogStorage", Ty::Object(STORAGE)),
    Field::new("CloudLogRegion", Ty::Str).stored("kept and shown; the topic's cluster is where it is"),
    Field::new("Period", Ty::Uint),
];

/// `FlowLog` in an answer.
pub const FLOW_LOGS: Field = Field::new("FlowLog", Ty::List(&Ty::Object(FLOW_LOG)));
