//! `CreateMetaDataAndOffsetSyncDatahubTask`: topics, records and positions of consumer groups of one Kafka cluster, copied to another.

use super::create_meta_sync_datahub_task::create;
use crate::request::Ask;
use crate::tables::{TAG, TASK_MADE};
use api::{Field, Operation, Outcome, Ty};
use control::SyncKind;

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "CreateMetaDataAndOffsetSyncDatahubTask",
    request: &[
        Field::new("TaskName", Ty::Str).required(),
        Field::new("SourceResourceId", Ty::Str).required(),
        Field::new("TargetResourceId", Ty::Str).required(),
        Field::new("Description", Ty::Str),
        Field::new("OffsetType", Ty::Str),
        Field::new("TopicRegularExpression", Ty::Str),
        Field::new("TopicList", Ty::List(&Ty::Str)),
        Field::new("Prefix", Ty::Str),
        Field::new("Separator", Ty::Str),
        Field::new("Tags", Ty::List(&Ty::Object(TAG))),
    ],
    response: TASK_MADE,
    note: "Topics are chosen by TopicList or TopicRegularExpression; without either all are. OffsetType timestamp is refused: \
           the request has no time.",
};

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    create(ask, &OPERATION, SyncKind::MetaDataAndOffset).await
}
