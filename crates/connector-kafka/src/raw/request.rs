//! Requests of administration: each is sent with a queue of its own and waited for.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka_sys as sys;

use super::{Client, Code, Fault, List, Place, c_text, list, millis, text};

/// A topic to make.
#[derive(Debug, Clone)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// `None`: as the broker has it set.
    pub(crate) partitions: Option<i32>,
    pub(crate) settings: Vec<(String, String)>,
}

/// A topic as the cluster describes it.
#[derive(Debug, Clone)]
pub(crate) struct TopicMetadata {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    /// Copies of the first partition.
    pub(crate) replicas: i32,
    pub(crate) code: Code,
}

/// An answer; destroyed when it is read.
struct Answer(*mut sys::rd_kafka_event_t);

impl Drop for Answer {
    fn drop(&mut self) {
        // Safety: ours.
        unsafe { sys::rd_kafka_event_destroy(self.0) };
    }
}

struct Options(*mut sys::rd_kafka_AdminOptions_t);

impl Drop for Options {
    fn drop(&mut self) {
        // Safety: ours.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.0) };
    }
}

struct ReplyQueue(*mut sys::rd_kafka_queue_t);

impl Drop for ReplyQueue {
    fn drop(&mut self) {
        // Safety: ours.
        unsafe { sys::rd_kafka_queue_destroy(self.0) };
    }
}

/// Items that a request takes, destroyed with it.
struct Items<T>(Vec<*mut T>, unsafe extern "C" fn(*mut T));

impl<T> Drop for Items<T> {
    fn drop(&mut self) {
        for item in &self.0 {
            // Safety: ours.
            unsafe { (self.1)(*item) };
        }
    }
}

impl<T> Items<T> {
    fn one(item: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Self, Fault> {
        if item.is_null() {
            return Err(Fault::of(Code::RD_KAFKA_RESP_ERR__INVALID_ARG));
        }
        Ok(Self(vec![item], destroy))
    }
}

type Op = sys::rd_kafka_admin_op_t;

impl Client {
    /// Sends a request and waits for its answer.
    fn request(
        &self,
        op: Op,
        wait: Duration,
        send: impl FnOnce(*const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    ) -> Result<Answer, Fault> {
        let mut words = [0 as c_char; 256];
        // Safety: options, queue and answer are ours and destroyed when they go out of scope.
        unsafe {
            let options = Options(sys::rd_kafka_AdminOptions_new(self.ptr(), op));
            let buffer = words.as_mut_ptr();
            sys::rd_kafka_AdminOptions_set_request_timeout(options.0, millis(wait), buffer, words.len());
            if matches!(
                op,
                Op::RD_KAFKA_ADMIN_OP_CREATETOPICS
                    | Op::RD_KAFKA_ADMIN_OP_DELETETOPICS
                    | Op::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS
            ) {
                sys::rd_kafka_AdminOptions_set_operation_timeout(
                    options.0,
                    millis(wait),
                    buffer,
                    words.len(),
                );
            }
            let queue = ReplyQueue(sys::rd_kafka_queue_new(self.ptr()));
            send(options.0, queue.0);
            let event = sys::rd_kafka_queue_poll(queue.0, millis(wait + Duration::from_millis(500)));
            if event.is_null() {
                return Err(self.explain(Fault::of(Code::RD_KAFKA_RESP_ERR__TIMED_OUT)));
            }
            let answer = Answer(event);
            let code = sys::rd_kafka_event_error(event);
            if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Ok(answer);
            }
            Err(self.explain(Fault::new(code, text(sys::rd_kafka_event_error_string(event)))))
        }
    }

    pub(crate) fn create_topic(&self, wanted: &NewTopic, wait: Duration) -> Result<(), Fault> {
        let name = c_text(&wanted.name)?;
        let mut words = [0 as c_char; 256];
        // Safety: the item is ours; the results are read while the answer lives.
        unsafe {
            let partitions = wanted.partitions.unwrap_or(-1);
            let item =
                sys::rd_kafka_NewTopic_new(name.as_ptr(), partitions, -1, words.as_mut_ptr(), words.len());
            if item.is_null() {
                return Err(Fault::new(Code::RD_KAFKA_RESP_ERR__INVALID_ARG, text(words.as_ptr())));
            }
            let mut items = Items::one(item, sys::rd_kafka_NewTopic_destroy)?;
            for (name, value) in &wanted.settings {
                let (name, value) = (c_text(name)?, c_text(value)?);
                Fault::code(sys::rd_kafka_NewTopic_set_config(item, name.as_ptr(), value.as_ptr()))?;
            }
            let answer = self.request(Op::RD_KAFKA_ADMIN_OP_CREATETOPICS, wait, |options, queue| {
                sys::rd_kafka_CreateTopics(self.ptr(), items.0.as_mut_ptr(), 1, options, queue);
            })?;
            let mut count = 0;
            let result = sys::rd_kafka_event_CreateTopics_result(answer.0);
            topic_result(sys::rd_kafka_CreateTopics_result_topics(result, &raw mut count), count)
        }
    }

    pub(crate) fn delete_topic(&self, name: &str, wait: Duration) -> Result<(), Fault> {
        let name = c_text(name)?;
        // Safety: as in `create_topic`.
        unsafe {
            let mut items =
                Items::one(sys::rd_kafka_DeleteTopic_new(name.as_ptr()), sys::rd_kafka_DeleteTopic_destroy)?;
            let answer = self.request(Op::RD_KAFKA_ADMIN_OP_DELETETOPICS, wait, |options, queue| {
                sys::rd_kafka_DeleteTopics(self.ptr(), items.0.as_mut_ptr(), 1, options, queue);
            })?;
            let mut count = 0;
            let result = sys::rd_kafka_event_DeleteTopics_result(answer.0);
            topic_result(sys::rd_kafka_DeleteTopics_result_topics(result, &raw mut count), count)
        }
    }

    pub(crate) fn grow_topic(&self, name: &str, partitions: i32, wait: Duration) -> Result<(), Fault> {
        let (name, mut words) = (c_text(name)?, [0 as c_char; 256]);
        let total = usize::try_from(partitions).unwrap_or(0);
        // Safety: as in `create_topic`.
        unsafe {
            let item = sys::rd_kafka_NewPartitions_new(name.as_ptr(), total, words.as_mut_ptr(), words.len());
            let mut items = Items::one(item, sys::rd_kafka_NewPartitions_destroy)?;
            let answer = self.request(Op::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, wait, |options, queue| {
                sys::rd_kafka_CreatePartitions(self.ptr(), items.0.as_mut_ptr(), 1, options, queue);
            })?;
            let mut count = 0;
            let result = sys::rd_kafka_event_CreatePartitions_result(answer.0);
            topic_result(sys::rd_kafka_CreatePartitions_result_topics(result, &raw mut count), count)
        }
    }

    /// A topic's settings as they hold, defaults included.
    pub(crate) fn topic_settings(
        &self,
        name: &str,
        wait: Duration,
    ) -> Result<BTreeMap<String, String>, Fault> {
        // Safety: as in `create_topic`.
        unsafe {
            let mut items = topic_resource(&c_text(name)?)?;
            let answer = self.request(Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, wait, |options, queue| {
                sys::rd_kafka_DescribeConfigs(self.ptr(), items.0.as_mut_ptr(), 1, options, queue);
            })?;
            let (mut count, mut found) = (0, BTreeMap::new());
            let result = sys::rd_kafka_event_DescribeConfigs_result(answer.0);
            let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
            for i in 0..count {
                let resource = *resources.add(i);
                resource_result(resource)?;
                let mut entries = 0;
                let list = sys::rd_kafka_ConfigResource_configs(resource, &raw mut entries);
                for k in 0..entries {
                    let entry = *list.add(k);
                    if sys::rd_kafka_ConfigEntry_is_sensitive(entry) == 0 {
                        let name = text(sys::rd_kafka_ConfigEntry_name(entry));
                        found.insert(name, text(sys::rd_kafka_ConfigEntry_value(entry)));
                    }
                }
            }
            Ok(found)
        }
    }

    /// Sets some of a topic's settings and leaves the others alone.
    pub(crate) fn set_topic(
        &self,
        name: &str,
        settings: &[(String, String)],
        wait: Duration,
    ) -> Result<(), Fault> {
        // Safety: as in `create_topic`.
        unsafe {
            let mut items = topic_resource(&c_text(name)?)?;
            for (name, value) in settings {
                let (name, value) = (c_text(name)?, c_text(value)?);
                let set = sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
                for item in &items.0 {
                    Fault::check(sys::rd_kafka_ConfigResource_add_incremental_config(
                        *item,
                        name.as_ptr(),
                        set,
                        value.as_ptr(),
                    ))?;
                }
            }
            let answer =
                self.request(Op::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, wait, |options, queue| {
                    sys::rd_kafka_IncrementalAlterConfigs(
                        self.ptr(),
                        items.0.as_mut_ptr(),
                        1,
                        options,
                        queue,
                    );
                })?;
            let mut count = 0;
            let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(answer.0);
            let resources = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
            (0..count).try_for_each(|i| resource_result(*resources.add(i)))
        }
    }

    /// Offsets of places: −1 the end, −2 the beginning, else the first record of that time or later (−1 where there is none).
    pub(crate) fn list_offsets(
        &self,
        wanted: &List,
        committed: bool,
        wait: Duration,
    ) -> Result<Vec<Place>, Fault> {
        if wanted.len() == 0 {
            return Ok(Vec::new());
        }
        // Safety: the list is copied; the results are read while the answer lives.
        unsafe {
            let answer = self.request(Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS, wait, |options, queue| {
                use sys::rd_kafka_IsolationLevel_t as I;
                let level = if committed {
                    I::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
                } else {
                    I::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
                };
                // The options are ours until the call returns.
                let _ =
                    Fault::check(sys::rd_kafka_AdminOptions_set_isolation_level(options.cast_mut(), level));
                sys::rd_kafka_ListOffsets(self.ptr(), wanted.ptr(), options, queue);
            })?;
            let mut count = 0;
            let result = sys::rd_kafka_event_ListOffsets_result(answer.0);
            let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            let place = |i| list::read(&*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(i)));
            Ok((0..count).map(place).collect())
        }
    }

    /// Commits offsets of the consumer's own group, and waits for the answer.
    pub(crate) fn commit(&self, list: &List, wait: Duration) -> Result<(), Fault> {
        // Safety: the list is copied; queue and answer are ours and destroyed when they go out of scope.
        unsafe {
            let queue = ReplyQueue(sys::rd_kafka_queue_new(self.ptr()));
            Fault::code(sys::rd_kafka_commit_queue(self.ptr(), list.ptr(), queue.0, None, ptr::null_mut()))?;
            let event = sys::rd_kafka_queue_poll(queue.0, millis(wait));
            if event.is_null() {
                return Err(self.explain(Fault::of(Code::RD_KAFKA_RESP_ERR__TIMED_OUT)));
            }
            let answer = Answer(event);
            Fault::code(sys::rd_kafka_event_error(answer.0))
        }
    }

    /// What a group committed.
    pub(crate) fn group_offsets(
        &self,
        group: &str,
        wanted: &List,
        wait: Duration,
    ) -> Result<Vec<Place>, Fault> {
        let group = c_text(group)?;
        // Safety: as in `create_topic`.
        unsafe {
            let item = sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), wanted.ptr());
            let mut items = Items::one(item, sys::rd_kafka_ListConsumerGroupOffsets_destroy)?;
            let answer =
                self.request(Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, wait, |options, queue| {
                    sys::rd_kafka_ListConsumerGroupOffsets(
                        self.ptr(),
                        items.0.as_mut_ptr(),
                        1,
                        options,
                        queue,
                    );
                })?;
            let mut count = 0;
            let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(answer.0);
            let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
            let mut found = Vec::new();
            for i in 0..count {
                let group = *groups.add(i);
                let error = sys::rd_kafka_group_result_error(group);
                if !error.is_null() {
                    return Err(Fault::read(error));
                }
                found.extend(List::copy(sys::rd_kafka_group_result_partitions(group)).places());
            }
            Ok(found)
        }
    }

    /// Topics and their partitions: one, or all.
    pub(crate) fn metadata(&self, topic: Option<&str>, wait: Duration) -> Result<Vec<TopicMetadata>, Fault> {
        // Safety: the topic's handle and the answer are ours and destroyed here.
        unsafe {
            let rkt = match topic {
                None => ptr::null_mut(),
                Some(name) => {
                    let rkt = sys::rd_kafka_topic_new(self.ptr(), c_text(name)?.as_ptr(), ptr::null_mut());
                    if rkt.is_null() {
                        return Err(Fault::of(Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION));
                    }
                    rkt
                }
            };
            let mut answer = ptr::null();
            let code = sys::rd_kafka_metadata(
                self.ptr(),
                i32::from(topic.is_none()),
                rkt,
                &raw mut answer,
                millis(wait),
            );
            if !rkt.is_null() {
                sys::rd_kafka_topic_destroy(rkt);
            }
            Fault::code(code).map_err(|e| self.explain(e))?;
            let all = &*answer;
            let topics =
                (0..usize::try_from(all.topic_cnt).unwrap_or(0)).map(|i| topic_metadata(&*all.topics.add(i)));
            let topics = topics.collect();
            sys::rd_kafka_metadata_destroy(answer);
            Ok(topics)
        }
    }
}

/// Safety: an entry of a live answer.
unsafe fn topic_metadata(topic: &sys::rd_kafka_metadata_topic) -> TopicMetadata {
    // Safety: as the caller says.
    unsafe {
        let replicas = if topic.partition_cnt > 0 { (*topic.partitions).replica_cnt } else { 0 };
        TopicMetadata { name: text(topic.topic), partitions: topic.partition_cnt, replicas, code: topic.err }
    }
}

/// Safety: `count` results of a live answer.
unsafe fn topic_result(results: *mut *const sys::rd_kafka_topic_result_t, count: usize) -> Result<(), Fault> {
    for i in 0..count {
        // Safety: as the caller says.
        unsafe {
            let result = *results.add(i);
            let code = sys::rd_kafka_topic_result_error(result);
            if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                let words = text(sys::rd_kafka_topic_result_error_string(result));
                return Err(if words.is_empty() { Fault::of(code) } else { Fault::new(code, words) });
            }
        }
    }
    Ok(())
}

/// Safety: a resource of a live answer.
unsafe fn resource_result(resource: *const sys::rd_kafka_ConfigResource_t) -> Result<(), Fault> {
    // Safety: as the caller says.
    unsafe {
        let code = sys::rd_kafka_ConfigResource_error(resource);
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        let words = text(sys::rd_kafka_ConfigResource_error_string(resource));
        Err(if words.is_empty() { Fault::of(code) } else { Fault::new(code, words) })
    }
}

fn topic_resource(name: &CString) -> Result<Items<sys::rd_kafka_ConfigResource_t>, Fault> {
    let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    // Safety: the name is copied.
    let item = unsafe { sys::rd_kafka_ConfigResource_new(kind, name.as_ptr()) };
    Items::one(item, sys::rd_kafka_ConfigResource_destroy)
}
