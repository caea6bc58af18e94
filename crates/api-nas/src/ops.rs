//! One file per operation; this one only lists them.

use api::{Operation, Outcome};

use crate::request::Request;

macro_rules! operations {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*

        /// Every operation.
        pub static ALL: &[Operation] = &[$($module::OPERATION),*];

        /// Their names.
        pub static ACTIONS: &[&str] = &[$($module::OPERATION.action),*];

        /// Answers a decoded request.
        ///
        /// # Errors
        /// What the operation refuses.
        pub async fn run(r: &Request<'_>) -> Outcome {
            match r.call.action.as_str() {
                $(action if action == $module::OPERATION.action => Box::pin($module::run(r)).await,)*
                _ => Err(api::Fault::new(404, "InvalidApi.NotFound", "Specified api is not found.")),
            }
        }
    };
}

operations! {
    create_data_flow,
    describe_data_flows,
    modify_data_flow,
    delete_data_flow,
    start_data_flow,
    stop_data_flow,
    create_data_flow_task,
    describe_data_flow_tasks,
    cancel_data_flow_task,
    create_data_flow_sub_task,
    describe_data_flow_sub_tasks,
    cancel_data_flow_sub_task,
    apply_data_flow_auto_refresh,
    modify_data_flow_auto_refresh,
    cancel_data_flow_auto_refresh,
    create_fileset,
    describe_filesets,
    get_fileset,
    modify_fileset,
    delete_fileset,
    set_fileset_quota,
    cancel_fileset_quota,
    describe_file_systems,
}
