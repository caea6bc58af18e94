//! One file per action; those on tags, which are a few lines each, share one.

mod commit_checkpoint;
mod consume_records;
mod create_app;
mod create_stream;
mod delete_app;
mod delete_checkpoint;
mod delete_stream;
mod list_app;
mod list_policies;
mod list_resources_by_tags;
mod list_streams;
mod send_records;
mod show_app;
mod show_checkpoint;
mod show_consumer_state;
mod show_cursor;
mod show_partition_metrics;
mod show_stream;
mod show_stream_metrics;
mod tags;
mod transfer;
mod update_partition_count;
mod update_stream;

use crate::request::Ask;
use crate::route::{BATCH_TAGS, BATCH_TASKS};
use api::{Fault, Operation, Outcome, Reply};

/// The tables.
pub const ALL: &[Operation] = &[
    create_stream::OPERATION,
    list_streams::OPERATION,
    show_stream::OPERATION,
    delete_stream::OPERATION,
    update_partition_count::OPERATION,
    update_stream::OPERATION,
    send_records::OPERATION,
    consume_records::OPERATION,
    show_cursor::OPERATION,
    create_app::OPERATION,
    list_app::OPERATION,
    show_app::OPERATION,
    delete_app::OPERATION,
    show_consumer_state::OPERATION,
    commit_checkpoint::OPERATION,
    show_checkpoint::OPERATION,
    delete_checkpoint::OPERATION,
    show_stream_metrics::OPERATION,
    show_partition_metrics::OPERATION,
    list_policies::OPERATION,
    tags::CREATE,
    tags::DELETE,
    tags::BATCH_CREATE,
    tags::BATCH_DELETE,
    tags::SHOW,
    tags::LIST,
    list_resources_by_tags::OPERATION,
    transfer::CREATE,
    transfer::LIST,
    transfer::SHOW,
    transfer::DELETE,
    transfer::START,
    transfer::STOP,
    transfer::UPDATE,
];

/// Answers a call by its action.
///
/// # Errors
/// In the product's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    // Boxed one by one: the largest of all futures would otherwise be every call's size.
    match ask.call.action.as_str() {
        "CreateStream" => Box::pin(create_stream::answer(ask)).await,
        "ListStreams" => Box::pin(list_streams::answer(ask)).await,
        "ShowStream" => Box::pin(show_stream::answer(ask)).await,
        "DeleteStream" => Box::pin(delete_stream::answer(ask)).await,
        "UpdatePartitionCount" => Box::pin(update_partition_count::answer(ask)).await,
        "UpdateStream" => Box::pin(update_stream::answer(ask)).await,
        "SendRecords" => Box::pin(send_records::answer(ask)).await,
        "ConsumeRecords" => Box::pin(consume_records::answer(ask)).await,
        "ShowCursor" => Box::pin(show_cursor::answer(ask)).await,
        "CreateApp" => Box::pin(create_app::answer(ask)).await,
        "ListApp" => Box::pin(list_app::answer(ask)).await,
        "ShowApp" => Box::pin(show_app::answer(ask)).await,
        "DeleteApp" => Box::pin(delete_app::answer(ask)).await,
        "ShowConsumerState" => Box::pin(show_consumer_state::answer(ask)).await,
        "CommitCheckpoint" => Box::pin(commit_checkpoint::answer(ask)).await,
        "ShowCheckpoint" => Box::pin(show_checkpoint::answer(ask)).await,
        "DeleteCheckpoint" => Box::pin(delete_checkpoint::answer(ask)).await,
        "ShowStreamMetrics" => Box::pin(show_stream_metrics::answer(ask)).await,
        "ShowPartitionMetrics" => Box::pin(show_partition_metrics::answer(ask)).await,
        "ListPolicies" => Box::pin(list_policies::answer(ask)).await,
        "ListResourcesByTags" => Box::pin(list_resources_by_tags::answer(ask)).await,
        "CreateTag" => Box::pin(tags::create(ask)).await,
        "DeleteTag" => Box::pin(tags::delete(ask)).await,
        BATCH_TAGS => Box::pin(tags::batch(ask)).await,
        "ShowStreamTags" => Box::pin(tags::show(ask)).await,
        "ListTags" => Box::pin(tags::list(ask)).await,
        "CreateObsTransferTask" => Box::pin(transfer::create(ask)).await,
        "UpdateTransferTask" => Box::pin(transfer::update(ask)).await,
        "ListTransferTasks" => Box::pin(transfer::list(ask)).await,
        "ShowTransferTask" => Box::pin(transfer::show(ask)).await,
        "DeleteTransferTask" => Box::pin(transfer::delete(ask)).await,
        BATCH_TASKS => Box::pin(transfer::batch(ask)).await,
        _ => Err(Fault::new(404, "APIGW.0101", "The API does not exist or is not published.")),
    }
}

/// An answer without a body.
pub fn done(status: u16) -> Reply {
    Reply::Rest { status, content_type: "", body: bytes::Bytes::new() }
}
