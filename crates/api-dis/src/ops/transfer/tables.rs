//! Fields of dump tasks.

use api::{Field, Ty};

const AGENCY: Field = Field::new("agency_name", Ty::Str)
    .stored("kept and shown; checked where the configuration names agencies");
const NAME: Field = Field::new("task_name", Ty::Str).required();
const INTERVAL: Field = Field::new("deliver_time_interval", Ty::Int);
const STRATEGY: Field = Field::new("consumer_strategy", Ty::Str);
const BUCKET: Field = Field::new("obs_bucket_path", Ty::Str).required();
const PREFIX: Field = Field::new("file_prefix", Ty::Str);
const RETRY: Field = Field::new("retry_duration", Ty::Any);

const PROCESSING: &[Field] = &[
    Field::new("timestamp_name", Ty::Str).required(),
    Field::new("timestamp_type", Ty::Str).required(),
    Field::new("timestamp_format", Ty::Str),
];

const OBS: &[Field] = &[
    NAME,
    AGENCY,
    INTERVAL,
    STRATEGY,
    BUCKET,
    PREFIX,
    Field::new("partition_format", Ty::Str),
    Field::new("destination_file_type", Ty::Str),
    Field::new("processing_schema", Ty::Object(PROCESSING)),
    Field::new("record_delimiter", Ty::Str),
    Field::new("compression_format", Ty::Str),
    Field::new("carbon_properties", Ty::Any).stored("of no use without carbon files"),
    RETRY,
];

const DLI: &[Field] = &[
    NAME,
    AGENCY.required(),
    INTERVAL,
    STRATEGY,
    Field::new("dli_database_name", Ty::Str).required(),
    Field::new("dli_table_name", Ty::Str).required(),
    BUCKET,
    PREFIX,
    RETRY,
];

const UQUERY: &[Field] = &[
    NAME,
    AGENCY.required(),
    INTERVAL,
    STRATEGY,
    Field::new("uquery_database_name", Ty::Str).required(),
    Field::new("uquery_table_name", Ty::Str).required(),
    BUCKET,
    PREFIX,
    RETRY,
];

const CHECKED: &str = "checked; the destination is not supported";

const MRS: &[Field] = &[
    NAME,
    AGENCY,
    INTERVAL,
    STRATEGY,
    Field::new("mrs_cluster_name", Ty::Str).required().stored(CHECKED),
    Field::new("mrs_cluster_id", Ty::Str).required().stored(CHECKED),
    Field::new("mrs_hdfs_path", Ty::Str).required().stored(CHECKED),
    Field::new("hdfs_prefix_folder", Ty::Str).stored(CHECKED),
    BUCKET,
    PREFIX,
    RETRY,
];

const DWS: &[Field] = &[
    NAME,
    AGENCY,
    INTERVAL,
    STRATEGY,
    Field::new("dws_cluster_name", Ty::Str).required().stored(CHECKED),
    Field::new("dws_cluster_id", Ty::Str).required().stored(CHECKED),
    Field::new("dws_database_name", Ty::Str).required().stored(CHECKED),
    Field::new("dws_schema", Ty::Str).required().stored(CHECKED),
    Field::new("dws_table_name", Ty::Str).required().stored(CHECKED),
    Field::new("dws_delimiter", Ty::Str).required().stored(CHECKED),
    Field::new("user_name", Ty::Str).required().stored(CHECKED),
    Field::new("user_password", Ty::Str).required().stored("never kept"),
    Field::new("kms_user_key_name", Ty::Str).required().stored(CHECKED),
    Field::new("kms_user_key_id", Ty::Str).required().stored(CHECKED),
    Field::new("dws_table_columns", Ty::Str).stored(CHECKED),
    Field::new("options", Ty::Any).stored(CHECKED),
    BUCKET,
    PREFIX,
    RETRY,
];

const CLOUDTABLE: &[Field] = &[
    NAME,
    AGENCY,
    INTERVAL,
    STRATEGY,
    Field::new("cloudtable_cluster_name", Ty::Str).required().stored(CHECKED),
    Field::new("cloudtable_cluster_id", Ty::Str).required().stored(CHECKED),
    Field::new("cloudtable_table_name", Ty::Str).stored(CHECKED),
    Field::new("cloudtable_schema", Ty::Any).stored(CHECKED),
    Field::new("opentsdb_schema", Ty::Any).stored(CHECKED),
    Field::new("cloudtable_row_key_delimiter", Ty::Str).stored(CHECKED),
    Field::new("obs_backup_bucket_path", Ty::Str).stored(CHECKED),
    Field::new("backup_file_prefix", Ty::Str).stored(CHECKED),
    RETRY,
];

/// A task to make.
pub const CREATE: &[Field] = &[
    Field::new("stream_name", Ty::Str).required(),
    Field::new("destination_type", Ty::Str),
    Field::new("obs_destination_descriptor", Ty::Object(OBS)),
    Field::new("dli_destination_descriptor", Ty::Object(DLI)),
    Field::new("uquery_destination_descriptor", Ty::Object(UQUERY)),
    Field::new("mrs_destination_descriptor", Ty::Object(MRS)),
    Field::new("dws_destination_descriptor", Ty::Object(DWS)),
    Field::new("cloudtable_destination_descriptor", Ty::Object(CLOUDTABLE)),
    Field::new("opentsdb_destination_descriptor", Ty::Object(CLOUDTABLE)),
];

/// Tasks to start or stop.
pub const BATCH: &[Field] = &[
    Field::new("stream_name", Ty::Str).required(),
    Field::new("action", Ty::Str).required(),
    Field::new("tasks", Ty::List(&Ty::Object(&[Field::new("id", Ty::Str).required()]))).required(),
];

/// A task in a list.
pub const TASK: &[Field] = &[
    Field::new("task_name", Ty::Str),
    Field::new("state", Ty::Str),
    Field::new("destination_type", Ty::Str),
    Field::new("create_time", Ty::Int),
    Field::new("last_transfer_timestamp", Ty::Int),
];

const PART: &[Field] = &[
    Field::new("status", Ty::Str),
    Field::new("partition_id", Ty::Str),
    Field::new("hash_range", Ty::Str),
    Field::new("partitionId", Ty::Str),
    Field::new("state", Ty::Str),
    Field::new("discard", Ty::Int),
    Field::new("last_transfer_timestamp", Ty::Int),
    Field::new("last_transfer_offset", Ty::Int),
];

/// A task, as shown.
pub const SHOWN: &[Field] = &[
    Field::new("stream_id", Ty::Str),
    Field::new("stream_name", Ty::Str),
    Field::new("task_id", Ty::Str),
    Field::new("task_name", Ty::Str),
    Field::new("state", Ty::Str),
    Field::new("destination_type", Ty::Str),
    Field::new("create_time", Ty::Int),
    Field::new("last_transfer_timestamp", Ty::Int),
    Field::new("error_message", Ty::Str),
    Field::new("partitions", Ty::List(&Ty::Object(PART))),
    Field::new("obs_destination_description", Ty::Object(OBS)),
    Field::new("dli_destination_description", Ty::Object(DLI)),
];
