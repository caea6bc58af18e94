//! Producing, and the calls of a transaction.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use connector::records::Headers;
use rdkafka_sys as sys;

use super::{Client, Code, Fault, List, c_text, millis, text};

/// A topic as a producer knows it.
pub(crate) struct Topic {
    rkt: *mut sys::rd_kafka_topic_t,
    _client: Arc<Client>,
}

// Safety: the library's handles are for use from any thread.
unsafe impl Send for Topic {}
// Safety: as above.
unsafe impl Sync for Topic {}

/// A record to produce. The library copies it.
pub(crate) struct Outgoing<'a> {
    /// `None`: by the key, as the Java client does.
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) timestamp_ms: i64,
    pub(crate) headers: Headers<'a>,
    /// Comes back if it is not delivered.
    pub(crate) tag: usize,
}

/// What a member of a group has to show when it commits in a transaction.
pub(crate) struct GroupMetadata(*mut sys::rd_kafka_consumer_group_metadata_t);

// Safety: plain memory with one owner.
unsafe impl Send for GroupMetadata {}

impl Topic {
    pub(crate) fn new(client: &Arc<Client>, name: &str) -> Result<Self, Fault> {
        let name = c_text(name)?;
        // Safety: the configuration is the client's.
        let rkt = unsafe { sys::rd_kafka_topic_new(client.ptr(), name.as_ptr(), std::ptr::null_mut()) };
        if rkt.is_null() {
            return Err(Fault::of(Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION));
        }
        Ok(Self { rkt, _client: client.clone() })
    }

    pub(super) fn ptr(&self) -> *mut sys::rd_kafka_topic_t {
        self.rkt
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // Safety: ours, and the client lives.
        unsafe { sys::rd_kafka_topic_destroy(self.rkt) };
    }
}

impl GroupMetadata {
    /// As of now; `None` while the consumer is no member.
    pub(crate) fn of(consumer: &Client) -> Option<Self> {
        // Safety: the object is ours.
        unsafe {
            let got = sys::rd_kafka_consumer_group_metadata(consumer.ptr());
            if got.is_null() {
                return None;
            }
            let got = Self(got);
            let member = text(sys::rd_kafka_consumer_group_metadata_member_id(got.0));
            let generation = sys::rd_kafka_consumer_group_metadata_generation_id(got.0);
            // Without both the coordinator would not check who commits.
            (generation >= 0 && !member.is_empty()).then_some(got)
        }
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // Safety: ours.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0) };
    }
}

type Word = sys::rd_kafka_vu_s__bindgen_ty_1;

fn bytes(piece: Option<&[u8]>) -> Word {
    let (ptr, size) =
        piece.map_or((std::ptr::null_mut(), 0), |b| (b.as_ptr().cast_mut().cast::<c_void>(), b.len()));
    Word { mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size } }
}

impl Client {
    /// Takes a record to be sent. `_QUEUE_FULL`: poll and try again.
    pub(crate) fn produce(&self, topic: &Topic, record: &Outgoing<'_>) -> Result<(), Fault> {
        use sys::rd_kafka_vtype_t as T;
        let vu = |vtype, u| sys::rd_kafka_vu_s { vtype, u };
        let headers = headers(record.headers)?;
        let words = [
            vu(T::RD_KAFKA_VTYPE_RKT, Word { rkt: topic.ptr() }),
            vu(T::RD_KAFKA_VTYPE_PARTITION, Word { i32_: record.partition.unwrap_or(-1) }),
            vu(T::RD_KAFKA_VTYPE_MSGFLAGS, Word { i: sys::RD_KAFKA_MSG_F_COPY }),
            vu(T::RD_KAFKA_VTYPE_KEY, bytes(record.key)),
            vu(T::RD_KAFKA_VTYPE_VALUE, bytes(record.value)),
            // No time, or zero: the library takes the present one.
            vu(T::RD_KAFKA_VTYPE_TIMESTAMP, Word { i64_: record.timestamp_ms.max(0) }),
            vu(T::RD_KAFKA_VTYPE_OPAQUE, Word { ptr: record.tag as *mut c_void }),
            vu(T::RD_KAFKA_VTYPE_HEADERS, Word { headers }),
        ];
        let used = if headers.is_null() { words.len() - 1 } else { words.len() };
        // Safety: the pieces are copied; the headers are the library's if it takes the record, else still ours.
        unsafe {
            let done = Fault::check(sys::rd_kafka_produceva(self.ptr(), words.as_ptr(), used));
            if done.is_err() && !headers.is_null() {
                sys::rd_kafka_headers_destroy(headers);
            }
            done
        }
    }

    /// Waits until everything that was taken is delivered or has failed.
    pub(crate) fn flush(&self, wait: Duration) -> Result<(), Fault> {
        // Safety: a live handle.
        Fault::code(unsafe { sys::rd_kafka_flush(self.ptr(), millis(wait)) })
    }

    /// Gives up what has not been delivered.
    pub(crate) fn purge(&self) {
        // Safety: a live handle.
        unsafe {
            sys::rd_kafka_purge(self.ptr(), sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT)
        };
    }

    /// Fences older producers of the same transactional id, and ends what they left open.
    pub(crate) fn init_transactions(&self, wait: Duration) -> Result<(), Fault> {
        // Safety: a live handle.
        Fault::check(unsafe { sys::rd_kafka_init_transactions(self.ptr(), millis(wait)) })
            .map_err(|e| self.explain(e))
    }

    pub(crate) fn begin_transaction(&self) -> Result<(), Fault> {
        // Safety: a live handle.
        Fault::check(unsafe { sys::rd_kafka_begin_transaction(self.ptr()) })
    }

    pub(crate) fn send_offsets(
        &self,
        list: &List,
        group: &GroupMetadata,
        wait: Duration,
    ) -> Result<(), Fault> {
        // Safety: both are only read.
        Fault::check(unsafe {
            sys::rd_kafka_send_offsets_to_transaction(self.ptr(), list.ptr(), group.0, millis(wait))
        })
    }

    pub(crate) fn commit_transaction(&self, wait: Duration) -> Result<(), Fault> {
        // Safety: a live handle.
        Fault::check(unsafe { sys::rd_kafka_commit_transaction(self.ptr(), millis(wait)) })
    }

    pub(crate) fn abort_transaction(&self, wait: Duration) -> Result<(), Fault> {
        // Safety: a live handle.
        Fault::check(unsafe { sys::rd_kafka_abort_transaction(self.ptr(), millis(wait)) })
    }
}

/// Headers for the library; null for none.
fn headers(all: Headers<'_>) -> Result<*mut sys::rd_kafka_headers_t, Fault> {
    let count = all.count_left();
    if count == 0 {
        return Ok(std::ptr::null_mut());
    }
    // Safety: name and value are copied; on an error the headers are destroyed here.
    unsafe {
        let headers = sys::rd_kafka_headers_new(count as usize);
        for (name, value) in all {
            let (at, size) = value.map_or((std::ptr::null(), 0), |v| (v.as_ptr(), v.len()));
            let (name_size, size) = (name.len().cast_signed(), size.cast_signed());
            let code = sys::rd_kafka_header_add(headers, name.as_ptr().cast(), name_size, at.cast(), size);
            if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                sys::rd_kafka_headers_destroy(headers);
                return Err(Fault::of(code));
            }
        }
        Ok(headers)
    }
}
