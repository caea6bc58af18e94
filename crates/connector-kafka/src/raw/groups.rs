//! Consumer groups of a cluster.

use std::ffi::CStr;
use std::ptr;
use std::time::Duration;

use rdkafka_sys as sys;

use super::{Client, Fault};

/// Groups that one answer names, at most.
const GROUPS: usize = 100_000;

impl Client {
    /// The names of all groups.
    pub(crate) fn groups(&self, wait: Duration) -> Result<Vec<String>, Fault> {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let mut list: *const sys::rd_kafka_group_list = ptr::null();
        // Safety: the answer is ours, read while it lives, and destroyed here.
        unsafe {
            let code = sys::rd_kafka_list_groups(self.ptr(), ptr::null(), &raw mut list, millis);
            let names = if list.is_null() {
                Vec::new()
            } else {
                let count = usize::try_from((*list).group_cnt).unwrap_or(0).min(GROUPS);
                let name = |i| {
                    let group = &*(*list).groups.add(i);
                    CStr::from_ptr(group.group).to_string_lossy().into_owned()
                };
                let names = (0..count).map(name).collect();
                sys::rd_kafka_group_list_destroy(list);
                names
            };
            Fault::code(code).map_err(|e| self.explain(e))?;
            Ok(names)
        }
    }
}
