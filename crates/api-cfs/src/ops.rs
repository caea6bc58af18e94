//! One file per action.

mod create_data_flow;
mod create_lifecycle_data_task;
mod create_migration_task;
mod delete_data_flow;
mod delete_migration_task;
mod describe_bucket_list;
mod describe_cfs_file_systems;
mod describe_data_flow;
mod describe_lifecycle_data_task;
mod describe_migration_tasks;
mod modify_data_flow;
mod stop_lifecycle_data_task;
mod stop_migration_task;

use crate::request::Ask;
use api::{Fault, Operation, Outcome};

/// The tables, in the order of [`ACTIONS`].
pub const ALL: &[Operation] = &[
    create_data_flow::OPERATION,
    describe_data_flow::OPERATION,
    modify_data_flow::OPERATION,
    delete_data_flow::OPERATION,
    create_lifecycle_data_task::OPERATION,
    describe_lifecycle_data_task::OPERATION,
    stop_lifecycle_data_task::OPERATION,
    create_migration_task::OPERATION,
    describe_migration_tasks::OPERATION,
    stop_migration_task::OPERATION,
    delete_migration_task::OPERATION,
    describe_bucket_list::OPERATION,
    describe_cfs_file_systems::OPERATION,
];

/// The names, in the order of [`ALL`].
pub const ACTIONS: &[&str] = &[
    "CreateDataFlow",
    "DescribeDataFlow",
    "ModifyDataFlow",
    "DeleteDataFlow",
    "CreateLifecycleDataTask",
    "DescribeLifecycleDataTask",
    "StopLifecycleDataTask",
    "CreateMigrationTask",
    "DescribeMigrationTasks",
    "StopMigrationTask",
    "DeleteMigrationTask",
    "DescribeBucketList",
    "DescribeCfsFileSystems",
];

/// Answers a call by its action.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    // Boxed one by one: the largest of thirteen futures would otherwise be every call's size.
    match ask.call.action.as_str() {
        "CreateDataFlow" => Box::pin(create_data_flow::answer(ask)).await,
        "DescribeDataFlow" => Box::pin(describe_data_flow::answer(ask)).await,
        "ModifyDataFlow" => Box::pin(modify_data_flow::answer(ask)).await,
        "DeleteDataFlow" => Box::pin(delete_data_flow::answer(ask)).await,
        "CreateLifecycleDataTask" => Box::pin(create_lifecycle_data_task::answer(ask)).await,
        "DescribeLifecycleDataTask" => Box::pin(describe_lifecycle_data_task::answer(ask)).await,
        "StopLifecycleDataTask" => Box::pin(stop_lifecycle_data_task::answer(ask)).await,
        "CreateMigrationTask" => Box::pin(create_migration_task::answer(ask)).await,
        "DescribeMigrationTasks" => Box::pin(describe_migration_tasks::answer(ask)).await,
        "StopMigrationTask" => Box::pin(stop_migration_task::answer(ask)).await,
        "DeleteMigrationTask" => Box::pin(delete_migration_task::answer(ask)).await,
        "DescribeBucketList" => Box::pin(describe_bucket_list::answer(ask)).await,
        "DescribeCfsFileSystems" => Box::pin(describe_cfs_file_systems::answer(ask)).await,
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
