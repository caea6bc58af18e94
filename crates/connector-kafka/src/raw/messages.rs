//! Messages as the library fetched them: pointers, read where they are.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka_sys as sys;

use super::{Client, Code, Queue, millis};

/// Messages that were taken off a queue and not yet read.
pub(crate) struct Fetched {
    messages: Vec<*mut sys::rd_kafka_message_t>,
    at: usize,
    /// Messages hold on to the client's memory.
    _client: Arc<Client>,
}

// Safety: messages may be read and freed by any one thread.
unsafe impl Send for Fetched {}

/// Is called with name and value.
pub(crate) type EachHeader<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// A message, or an error in the place of one.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    message: *const sys::rd_kafka_message_t,
    life: PhantomData<&'a Fetched>,
}

impl Fetched {
    pub(crate) fn new(client: &Arc<Client>) -> Self {
        Self { messages: Vec::new(), at: 0, _client: client.clone() }
    }

    /// Messages that are left.
    pub(crate) fn left(&self) -> usize {
        self.messages.len() - self.at
    }

    /// Takes up to `most` off the queue when none is left: waits for the first one only.
    pub(crate) fn refill(&mut self, queue: &Queue, wait: Duration, most: usize) {
        if self.left() > 0 {
            return;
        }
        self.messages.clear();
        self.at = 0;
        self.messages.reserve(most);
        self.take(queue, Duration::ZERO, most);
        if self.messages.is_empty() && !wait.is_zero() {
            self.take(queue, wait, 1);
            self.take(queue, Duration::ZERO, most.saturating_sub(1));
        }
    }

    fn take(&mut self, queue: &Queue, wait: Duration, most: usize) {
        let have = self.messages.len();
        let room = most.min(self.messages.capacity() - have);
        // Safety: at most `room` pointers are written into spare capacity, and as many as the answer says are valid.
        unsafe {
            let end = self.messages.as_mut_ptr().add(have);
            let got = sys::rd_kafka_consume_batch_queue(queue.ptr(), millis(wait), end, room);
            self.messages.set_len(have + usize::try_from(got).unwrap_or(0).min(room));
        }
    }

    /// The message this far from the next one.
    pub(crate) fn peek(&self, ahead: usize) -> Option<Message<'_>> {
        self.messages.get(self.at + ahead).map(|m| Message { message: *m, life: PhantomData })
    }

    /// Lets go of the messages that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(Message<'_>) -> bool) {
        let left: Vec<_> = self.messages.drain(..).skip(std::mem::take(&mut self.at)).collect();
        for message in left {
            if keep(Message { message, life: PhantomData }) {
                self.messages.push(message);
            } else {
                // Safety: ours, and not used again.
                unsafe { sys::rd_kafka_message_destroy(message) };
            }
        }
    }

    /// Lets go of the next `n`.
    pub(crate) fn skip(&mut self, n: usize) {
        let end = (self.at + n).min(self.messages.len());
        for message in self.messages.get(self.at..end).unwrap_or_default() {
            // Safety: ours, and not used again.
            unsafe { sys::rd_kafka_message_destroy(*message) };
        }
        self.at = end;
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.skip(self.left());
    }
}

impl<'a> Message<'a> {
    fn get(&self) -> &'a sys::rd_kafka_message_t {
        // Safety: the message lives until `Fetched` lets go of it.
        unsafe { &*self.message }
    }

    pub(crate) fn code(&self) -> Code {
        self.get().err
    }

    /// What an error says.
    pub(crate) fn error_text(&self) -> String {
        // Safety: the message is one with an error; the text lives as long.
        unsafe { super::text(sys::rd_kafka_message_errstr(self.message)) }
    }

    pub(crate) fn topic(&self) -> &'a str {
        let rkt = self.get().rkt;
        if rkt.is_null() {
            return "";
        }
        // Safety: the name lives as long as the topic's handle, which the message holds.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(rkt)) }.to_str().unwrap_or_default()
    }

    pub(crate) fn partition(&self) -> i32 {
        self.get().partition
    }

    /// Are these two of one partition?
    pub(crate) fn beside(&self, other: &Message<'_>) -> bool {
        let (a, b) = (self.get(), other.get());
        a.rkt == b.rkt && a.partition == b.partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.get().offset
    }

    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        // Safety: pointer and length are the library's.
        unsafe { slice(self.get().key, self.get().key_len) }
    }

    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        // Safety: as above.
        unsafe { slice(self.get().payload, self.get().len) }
    }

    /// Bytes of key and value.
    pub(crate) fn size(&self) -> usize {
        self.get().key_len + self.get().len
    }

    /// Milliseconds since the epoch, −1 for none.
    pub(crate) fn timestamp(&self) -> i64 {
        // Safety: the kind of time is not asked for.
        unsafe { sys::rd_kafka_message_timestamp(self.message, ptr::null_mut()) }
    }

    /// Calls `each` with every header in order.
    pub(crate) fn headers(&self, each: &mut EachHeader<'_>) {
        let mut headers = ptr::null_mut();
        // Safety: the headers belong to the message; name and value live as long.
        unsafe {
            if sys::rd_kafka_message_headers(self.message, &raw mut headers)
                != Code::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                return;
            }
            for i in 0.. {
                let (mut name, mut value, mut size) = (ptr::null(), ptr::null::<c_void>(), 0);
                let code =
                    sys::rd_kafka_header_get_all(headers, i, &raw mut name, &raw mut value, &raw mut size);
                if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return;
                }
                each(CStr::from_ptr(name).to_bytes(), slice(value.cast_mut(), size));
            }
        }
    }
}

/// Safety: `p` is null or points to `len` bytes that live as long as is said.
unsafe fn slice<'a>(p: *mut c_void, len: usize) -> Option<&'a [u8]> {
    // Safety: as the caller says.
    (!p.is_null()).then(|| unsafe { std::slice::from_raw_parts(p.cast::<u8>(), len) })
}
