//! librdkafka behind safe calls: clients, lists of partitions, messages, transactions, requests of administration.
//!
//! All of the crate's `unsafe` is in this module. It stands on the C library directly (`rdkafka-sys`) and not on the `rdkafka`
//! crate: batches of message pointers, transactions with the library's own verdict (try again, abort, fatal) and blocking
//! administration are the C calls themselves, while that crate wraps each message and answers in futures.
//!
//! Ownership: a [`Client`] is the library's handle; whatever hangs on one ([`Topic`], [`Queue`], [`Fetched`]) holds an `Arc` of
//! it, so the handle goes last. The library's handles may be used from several threads at once.

#![allow(unsafe_code, reason = "calls into the C library")]

mod client;
mod groups;
mod list;
mod messages;
mod producer;
mod queue;
mod request;

pub use client::live_clients;
pub(crate) use client::{Client, Failed, Settings};
pub(crate) use list::{List, Place};
pub(crate) use messages::Fetched;
pub(crate) use producer::{GroupMetadata, Outgoing, Topic};
pub(crate) use queue::{Event, Queue};
pub(crate) use request::NewTopic;

use std::ffi::{CStr, CString, c_char};

pub(crate) use rdkafka_sys::rd_kafka_resp_err_t as Code;

/// What the library says went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) text: String,
    /// This client can't go on.
    pub(crate) fatal: bool,
    /// The same call may be made again.
    pub(crate) retriable: bool,
    /// The transaction has to be aborted.
    pub(crate) abort: bool,
}

impl Fault {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), fatal: false, retriable: false, abort: false }
    }

    pub(crate) fn of(code: Code) -> Self {
        // Safety: a static text for any code.
        Self::new(code, unsafe { text(rdkafka_sys::rd_kafka_err2str(code)) })
    }

    /// Takes over an error object; `Ok` for none.
    fn check(error: *mut rdkafka_sys::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // Safety: the object is ours until it is destroyed here.
        unsafe {
            let fault = Self::read(error);
            rdkafka_sys::rd_kafka_error_destroy(error);
            Err(fault)
        }
    }

    /// Safety: `error` points to an error object.
    unsafe fn read(error: *const rdkafka_sys::rd_kafka_error_t) -> Self {
        // Safety: as the caller says.
        unsafe {
            Self {
                code: rdkafka_sys::rd_kafka_error_code(error),
                text: text(rdkafka_sys::rd_kafka_error_string(error)),
                fatal: rdkafka_sys::rd_kafka_error_is_fatal(error) != 0,
                retriable: rdkafka_sys::rd_kafka_error_is_retriable(error) != 0,
                abort: rdkafka_sys::rd_kafka_error_txn_requires_abort(error) != 0,
            }
        }
    }

    fn code(code: Code) -> Result<(), Self> {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(Self::of(code)) }
    }
}

/// Safety: `p` is null or points to a text that ends in a zero byte.
unsafe fn text(p: *const c_char) -> String {
    if p.is_null() {
        return String::new();
    }
    // Safety: as the caller says.
    unsafe { CStr::from_ptr(p) }.to_string_lossy().into_owned()
}

/// A C text. What has a zero byte in it is no name of anything.
fn c_text(text: &str) -> Result<CString, Fault> {
    CString::new(text)
        .map_err(|_| Fault::new(Code::RD_KAFKA_RESP_ERR__INVALID_ARG, "a name has a zero byte in it"))
}

/// Milliseconds for the library: at least one, so that nothing means "for ever".
fn millis(wait: std::time::Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}
