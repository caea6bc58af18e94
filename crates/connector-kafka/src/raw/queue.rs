//! Queues of a client, and what a consumer is told through its own.

use std::sync::Arc;
use std::time::Duration;

use rdkafka_sys as sys;

use super::{Client, Code, Fault, List, c_text, millis, text};

/// A queue of a client.
pub(crate) struct Queue {
    q: *mut sys::rd_kafka_queue_t,
    client: Arc<Client>,
}

// Safety: queues have locks of their own.
unsafe impl Send for Queue {}

/// What a consumer is told.
#[derive(Debug)]
pub(crate) enum Event {
    Assign(List),
    Revoke {
        list: List,
        lost: bool,
    },
    Error(Fault),
    /// A message came through the wrong queue.
    Astray(String, i32),
    Other,
}

impl Queue {
    /// A queue of its own.
    pub(crate) fn new(client: &Arc<Client>) -> Self {
        // Safety: a live handle.
        Self { q: unsafe { sys::rd_kafka_queue_new(client.ptr()) }, client: client.clone() }
    }

    /// The one that a consumer's events come through.
    pub(crate) fn consumer(client: &Arc<Client>) -> Result<Self, Fault> {
        // Safety: a live handle.
        let q = unsafe { sys::rd_kafka_queue_get_consumer(client.ptr()) };
        if q.is_null() {
            return Err(Fault::of(Code::RD_KAFKA_RESP_ERR__UNKNOWN_GROUP));
        }
        Ok(Self { q, client: client.clone() })
    }

    pub(super) fn ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.q
    }

    /// Lets the messages of a partition come here instead of to the consumer's queue.
    pub(crate) fn take_partition(&self, topic: &str, partition: i32) -> Result<(), Fault> {
        let name = c_text(topic)?;
        // Safety: the partition's queue is ours until it is destroyed here; the library keeps a reference to this one.
        unsafe {
            let from = sys::rd_kafka_queue_get_partition(self.client.ptr(), name.as_ptr(), partition);
            if from.is_null() {
                return Err(Fault::of(Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION));
            }
            sys::rd_kafka_queue_forward(from, self.q);
            sys::rd_kafka_queue_destroy(from);
        }
        Ok(())
    }

    /// Waits for what a consumer is told.
    pub(crate) fn event(&self, wait: Duration) -> Option<Event> {
        // Safety: the event is ours until it is destroyed here; the list in it is copied.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.q, millis(wait));
            if event.is_null() {
                return None;
            }
            let read = match sys::rd_kafka_event_type(event) {
                sys::RD_KAFKA_EVENT_REBALANCE => {
                    let list = List::copy(sys::rd_kafka_event_topic_partition_list(event));
                    if sys::rd_kafka_event_error(event) == Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
                        Event::Assign(list)
                    } else {
                        Event::Revoke { list, lost: self.client.has_lost() }
                    }
                }
                sys::RD_KAFKA_EVENT_ERROR => {
                    let fault = read_error(event);
                    self.client.note(&fault);
                    Event::Error(fault)
                }
                sys::RD_KAFKA_EVENT_FETCH => astray(event),
                _ => Event::Other,
            };
            sys::rd_kafka_event_destroy(event);
            Some(read)
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Safety: ours.
        unsafe { sys::rd_kafka_queue_destroy(self.q) };
    }
}

/// Safety: an event with a message.
unsafe fn astray(event: *mut sys::rd_kafka_event_t) -> Event {
    // Safety: as the caller says.
    unsafe {
        let message = sys::rd_kafka_event_message_next(event);
        if message.is_null() || (*message).rkt.is_null() {
            return Event::Other;
        }
        Event::Astray(text(sys::rd_kafka_topic_name((*message).rkt)), (*message).partition)
    }
}

/// Safety: an error event.
unsafe fn read_error(event: *mut sys::rd_kafka_event_t) -> Fault {
    // Safety: as the caller says.
    unsafe {
        let mut fault =
            Fault::new(sys::rd_kafka_event_error(event), text(sys::rd_kafka_event_error_string(event)));
        fault.fatal = sys::rd_kafka_event_error_is_fatal(event) != 0;
        fault
    }
}
