//! Lists of partitions with offsets.

use std::ffi::CStr;

use rdkafka_sys as sys;

use super::{Code, Fault, c_text};

/// A list of partitions.
pub(crate) struct List(*mut sys::rd_kafka_topic_partition_list_t);

// Safety: plain memory with one owner.
unsafe impl Send for List {}

/// One entry of a list.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) metadata: Option<String>,
    pub(crate) code: Code,
}

impl List {
    pub(crate) fn new(room: usize) -> Self {
        let room = i32::try_from(room).unwrap_or(16).max(1);
        // Safety: a new list.
        Self(unsafe { sys::rd_kafka_topic_partition_list_new(room) })
    }

    /// Safety: `list` is null or points to a list.
    pub(super) unsafe fn copy(list: *const sys::rd_kafka_topic_partition_list_t) -> Self {
        if list.is_null() {
            return Self::new(1);
        }
        // Safety: as the caller says.
        Self(unsafe { sys::rd_kafka_topic_partition_list_copy(list) })
    }

    pub(super) fn ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0
    }

    pub(crate) fn add(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        metadata: Option<&str>,
    ) -> Result<(), Fault> {
        let topic = c_text(topic)?;
        // Safety: the entry lives as long as the list is not added to; its metadata is memory of `malloc`, which
        // the list frees.
        unsafe {
            let entry = &mut *sys::rd_kafka_topic_partition_list_add(self.0, topic.as_ptr(), partition);
            entry.offset = offset;
            if let Some(words) = metadata {
                let copy = libc::malloc(words.len().max(1));
                if copy.is_null() {
                    return Err(Fault::of(Code::RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE));
                }
                copy.cast::<u8>().copy_from_nonoverlapping(words.as_ptr(), words.len());
                (entry.metadata, entry.metadata_size) = (copy, words.len());
            }
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        // Safety: a live list.
        usize::try_from(unsafe { (*self.0).cnt }).unwrap_or(0)
    }

    pub(crate) fn places(&self) -> Vec<Place> {
        // Safety: a live list.
        (0..self.len()).map(|i| unsafe { read(&*(*self.0).elems.add(i)) }).collect()
    }
}

/// Reads an entry.
///
/// Safety: its pointers are valid.
pub(super) unsafe fn read(entry: &sys::rd_kafka_topic_partition_t) -> Place {
    // Safety: as the caller says.
    unsafe {
        let metadata = (!entry.metadata.is_null()).then(|| {
            let bytes = std::slice::from_raw_parts(entry.metadata.cast::<u8>(), entry.metadata_size);
            String::from_utf8_lossy(bytes).into_owned()
        });
        Place {
            topic: CStr::from_ptr(entry.topic).to_string_lossy().into_owned(),
            partition: entry.partition,
            offset: entry.offset,
            metadata,
            code: entry.err,
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // Safety: ours.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.0) };
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.places()).finish()
    }
}
