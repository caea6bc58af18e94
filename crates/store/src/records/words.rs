//! The words that stand for the model's enumerations on disk. They never change.

use model::{
    ConflictPolicy, DataType, DeadStatus, Declared, Dialect, Direction, Door, EventKind, FilesetStatus,
    FlowStatus, MetadataDialect, Origin, Originator, PipelineDirection, Product, Stage, TaskKind, TaskStatus,
};

use super::broken;
use crate::Result;

macro_rules! words {
    ($name:ident, $parse:ident, $t:ident, $($variant:ident = $word:literal),* $(,)?) => {
        #[allow(dead_code, reason = "some names are the model's own; a test compares them")]
        pub(crate) fn $name(v: $t) -> &'static str {
            match v { $($t::$variant => $word),* }
        }

        pub(crate) fn $parse(word: &str) -> Result<$t> {
            match word {
                $($word => Ok($t::$variant),)*
                _ => Err(broken(format!("unknown {} {word:?}", stringify!($t)))),
            }
        }
    };
}

words!(door_name, parse_door, Door, Cfs = "cfs", Nas = "nas", Admin = "admin");
words!(
    product_name,
    parse_product,
    Product,
    Cfs = "cfs",
    CpfsGeneral = "cpfs-general",
    CpfsLingjun = "cpfs-lingjun",
);
words!(origin_name, parse_origin, Origin, Config = "config", Registered = "registered");
words!(declared_name, parse_declared, Declared, Never = "never", Now = "now", Before = "before");
words!(dialect_name, parse_dialect, Dialect, S3 = "s3", Cos = "cos", Oss = "oss", Obs = "obs");
words!(
    fileset_status_name,
    parse_fileset_status,
    FilesetStatus,
    Creating = "creating",
    Created = "created",
    Releasing = "releasing",
    Released = "released",
);
words!(
    flow_status_name,
    parse_flow_status,
    FlowStatus,
    Starting = "starting",
    Running = "running",
    Updating = "updating",
    Stopping = "stopping",
    Stopped = "stopped",
    Deleting = "deleting",
    Misconfigured = "misconfigured",
);
words!(
    task_kind_name,
    parse_task_kind,
    TaskKind,
    Transfer = "transfer",
    Stream = "stream",
    StreamFile = "stream-file",
);
words!(
    status_name,
    parse_status,
    TaskStatus,
    Pending = "pending",
    Executing = "executing",
    Pausing = "pausing",
    Paused = "paused",
    Canceling = "canceling",
    Canceled = "canceled",
    Completed = "completed",
    Failed = "failed",
);
words!(
    event_kind_name,
    parse_event_kind,
    EventKind,
    Created = "created",
    Queued = "queued",
    Started = "started",
    TakenOver = "taken-over",
    Listed = "listed",
    Progress = "progress",
    Retry = "retry",
    ItemFailed = "item-failed",
    PauseAsked = "pause-asked",
    ResumeAsked = "resume-asked",
    CancelAsked = "cancel-asked",
    Paused = "paused",
    Canceled = "canceled",
    Completed = "completed",
    Failed = "failed",
);
words!(originator_name, parse_originator, Originator, User = "user", System = "system");
words!(direction_name, parse_direction, Direction, Import = "import", Export = "export");
words!(
    conflict_name,
    parse_conflict,
    ConflictPolicy,
    Skip = "skip",
    KeepLatest = "keep-latest",
    Overwrite = "overwrite",
    IfChanged = "if-changed",
);
words!(data_name, parse_data, DataType, Metadata = "metadata", Data = "data", MetaAndData = "meta-and-data",);
words!(
    metadata_dialect_name,
    parse_metadata_dialect,
    MetadataDialect,
    Native = "native",
    AlibabaLingjun = "alibaba-lingjun",
    AlibabaGeneral = "alibaba-general",
    TencentCfs = "tencent-cfs",
);
words!(direction_word, parse_direction_word, PipelineDirection, Source = "source", Sink = "sink");
words!(stage_name, parse_stage, Stage, Transform = "transform", Sink = "sink");
words!(
    dead_status_name,
    parse_dead_status,
    DeadStatus,
    Waiting = "waiting",
    Replaying = "replaying",
    Replayed = "replayed",
    Dropped = "dropped",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_on_disk_are_those_that_people_see() {
        for s in ["pending", "executing", "pausing", "paused", "canceling", "canceled", "completed", "failed"]
        {
            let status = parse_status(s).unwrap();
            assert_eq!((status.name(), status_name(status)), (s, s));
        }
        for s in ["starting", "running", "updating", "stopping", "stopped", "deleting", "misconfigured"] {
            assert_eq!(parse_flow_status(s).unwrap().name(), s);
        }
        for s in [
            "created",
            "queued",
            "started",
            "taken-over",
            "listed",
            "progress",
            "retry",
            "item-failed",
            "pause-asked",
            "resume-asked",
            "cancel-asked",
            "paused",
            "canceled",
            "completed",
            "failed",
        ] {
            let kind = parse_event_kind(s).unwrap();
            assert_eq!((kind.name(), event_kind_name(kind)), (s, s));
        }
        for s in ["cfs", "nas", "admin"] {
            assert_eq!(parse_door(s).unwrap().name(), s);
        }
        assert!(parse_door("back").is_err());
    }
}
