//! One file per action.

mod create_connect_resource;
mod create_datahub_task;
mod create_datahub_topic;
mod create_meta_and_data_sync_datahub_task;
mod create_meta_data_and_offset_sync_datahub_task;
mod create_meta_sync_datahub_task;
mod delete_connect_resource;
mod delete_datahub_task;
mod delete_datahub_topic;
mod describe_connect_resource;
mod describe_connect_resources;
mod describe_datahub_group_offsets;
mod describe_datahub_task;
mod describe_datahub_tasks;
mod describe_datahub_topic;
mod describe_datahub_topics;
mod fetch_datahub_message_by_offset;
mod fetch_latest_datahub_message_list;
mod modify_connect_resource;
mod modify_datahub_task;
mod modify_datahub_topic;
mod pause_datahub_task;
mod restart_datahub_task;
mod resume_datahub_task;
mod send_message;

use crate::request::Ask;
use api::{Fault, Operation, Outcome};

/// The tables, in the order of [`ACTIONS`].
pub const ALL: &[Operation] = &[
    create_datahub_task::OPERATION,
    describe_datahub_task::OPERATION,
    describe_datahub_tasks::OPERATION,
    modify_datahub_task::OPERATION,
    pause_datahub_task::OPERATION,
    resume_datahub_task::OPERATION,
    restart_datahub_task::OPERATION,
    delete_datahub_task::OPERATION,
    create_meta_sync_datahub_task::OPERATION,
    create_meta_and_data_sync_datahub_task::OPERATION,
    create_meta_data_and_offset_sync_datahub_task::OPERATION,
    create_connect_resource::OPERATION,
    describe_connect_resource::OPERATION,
    describe_connect_resources::OPERATION,
    modify_connect_resource::OPERATION,
    delete_connect_resource::OPERATION,
    create_datahub_topic::OPERATION,
    describe_datahub_topic::OPERATION,
    describe_datahub_topics::OPERATION,
    modify_datahub_topic::OPERATION,
    delete_datahub_topic::OPERATION,
    describe_datahub_group_offsets::OPERATION,
    fetch_datahub_message_by_offset::OPERATION,
    fetch_latest_datahub_message_list::OPERATION,
    send_message::OPERATION,
];

/// The names, in the order of [`ALL`].
pub const ACTIONS: &[&str] = &[
    "CreateDatahubTask",
    "DescribeDatahubTask",
    "DescribeDatahubTasks",
    "ModifyDatahubTask",
    "PauseDatahubTask",
    "ResumeDatahubTask",
    "RestartDatahubTask",
    "DeleteDatahubTask",
    "CreateMetaSyncDatahubTask",
    "CreateMetaAndDataSyncDatahubTask",
    "CreateMetaDataAndOffsetSyncDatahubTask",
    "CreateConnectResource",
    "DescribeConnectResource",
    "DescribeConnectResources",
    "ModifyConnectResource",
    "DeleteConnectResource",
    "CreateDatahubTopic",
    "DescribeDatahubTopic",
    "DescribeDatahubTopics",
    "ModifyDatahubTopic",
    "DeleteDatahubTopic",
    "DescribeDatahubGroupOffsets",
    "FetchDatahubMessageByOffset",
    "FetchLatestDatahubMessageList",
    "SendMessage",
];

/// Answers a call by its action.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    // Boxed one by one: the largest of all futures would otherwise be every call's size.
    match ask.call.action.as_str() {
        "CreateDatahubTask" => Box::pin(create_datahub_task::answer(ask)).await,
        "DescribeDatahubTask" => Box::pin(describe_datahub_task::answer(ask)).await,
        "DescribeDatahubTasks" => Box::pin(describe_datahub_tasks::answer(ask)).await,
        "ModifyDatahubTask" => Box::pin(modify_datahub_task::answer(ask)).await,
        "PauseDatahubTask" => Box::pin(pause_datahub_task::answer(ask)).await,
        "ResumeDatahubTask" => Box::pin(resume_datahub_task::answer(ask)).await,
        "RestartDatahubTask" => Box::pin(restart_datahub_task::answer(ask)).await,
        "DeleteDatahubTask" => Box::pin(delete_datahub_task::answer(ask)).await,
        "CreateMetaSyncDatahubTask" => Box::pin(create_meta_sync_datahub_task::answer(ask)).await,
        "CreateMetaAndDataSyncDatahubTask" => {
            Box::pin(create_meta_and_data_sync_datahub_task::answer(ask)).await
        }
        "CreateMetaDataAndOffsetSyncDatahubTask" => {
            Box::pin(create_meta_data_and_offset_sync_datahub_task::answer(ask)).await
        }
        "CreateConnectResource" => Box::pin(create_connect_resource::answer(ask)).await,
        "DescribeConnectResource" => Box::pin(describe_connect_resource::answer(ask)).await,
        "DescribeConnectResources" => Box::pin(describe_connect_resources::answer(ask)).await,
        "ModifyConnectResource" => Box::pin(modify_connect_resource::answer(ask)).await,
        "DeleteConnectResource" => Box::pin(delete_connect_resource::answer(ask)).await,
        "CreateDatahubTopic" => Box::pin(create_datahub_topic::answer(ask)).await,
        "DescribeDatahubTopic" => Box::pin(describe_datahub_topic::answer(ask)).await,
        "DescribeDatahubTopics" => Box::pin(describe_datahub_topics::answer(ask)).await,
        "ModifyDatahubTopic" => Box::pin(modify_datahub_topic::answer(ask)).await,
        "DeleteDatahubTopic" => Box::pin(delete_datahub_topic::answer(ask)).await,
        "DescribeDatahubGroupOffsets" => Box::pin(describe_datahub_group_offsets::answer(ask)).await,
        "FetchDatahubMessageByOffset" => Box::pin(fetch_datahub_message_by_offset::answer(ask)).await,
        "FetchLatestDatahubMessageList" => Box::pin(fetch_latest_datahub_message_list::answer(ask)).await,
        "SendMessage" => Box::pin(send_message::answer(ask)).await,
        _ => Err(Fault::tencent("InvalidAction", "The action does not exist.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tables_go_together() {
        assert_eq!(ALL.len(), ACTIONS.len());
        for (op, action) in ALL.iter().zip(ACTIONS) {
            assert_eq!(op.action, *action);
        }
    }
}
