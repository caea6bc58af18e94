//! A client of a cluster: producer or consumer, and what it tells of itself.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka_sys as sys;

use super::{Code, Fault, List, c_text, millis, text};

/// Settings of a client by librdkafka's names. Never printed: a password is among them.
#[derive(Clone, Default)]
pub(crate) struct Settings(Vec<(&'static str, String)>);

impl Settings {
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        self.0.push((name, value.into().0));
        self
    }
}

/// The text of a setting.
pub(crate) struct Value(String);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(on: bool) -> Self {
        Self(on.to_string())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

/// A message that was not delivered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed {
    /// What it was produced with.
    pub(crate) tag: usize,
    pub(crate) code: Code,
}

/// What became of a message. Failures only, if the client is set so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivered {
    /// What it was produced with.
    pub(crate) tag: usize,
    /// Partition and offset.
    pub(crate) place: Result<(i32, i64), Code>,
}

/// What the library's callbacks leave behind; they come from the thread that polls.
#[derive(Default)]
struct Shared {
    delivered: Mutex<Vec<Delivered>>,
    error: Mutex<Option<Fault>>,
}

/// Handles that are there.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// How many clients of the library live in this process. Each has threads that may be inside OpenSSL, which clears itself away
/// when the process exits: that should wait until there is none.
#[must_use]
pub fn live_clients() -> usize {
    LIVE.load(Ordering::Acquire)
}

/// The library's handle.
pub(crate) struct Client {
    rk: *mut sys::rd_kafka_t,
    consumer: bool,
    shared: Box<Shared>,
    /// The library forgets that an assignment was lost when something is assigned or let go of. It is kept here until the
    /// consumer was told.
    lost: AtomicBool,
}

// Safety: librdkafka's handles are for use from any thread; `Shared` is behind locks.
unsafe impl Send for Client {}
// Safety: as above.
unsafe impl Sync for Client {}

impl Client {
    pub(crate) fn producer(settings: &Settings) -> Result<Arc<Self>, Fault> {
        Self::new(settings, sys::rd_kafka_type_t::RD_KAFKA_PRODUCER)
    }

    pub(crate) fn consumer(settings: &Settings) -> Result<Arc<Self>, Fault> {
        Self::new(settings, sys::rd_kafka_type_t::RD_KAFKA_CONSUMER)
    }

    fn new(settings: &Settings, kind: sys::rd_kafka_type_t) -> Result<Arc<Self>, Fault> {
        let consumer = kind == sys::rd_kafka_type_t::RD_KAFKA_CONSUMER;
        let shared = Box::<Shared>::default();
        // Safety: a new configuration; `rd_kafka_new` takes it over if it succeeds, else it is destroyed here. The opaque
        // pointer is the boxed state, which lives until after `rd_kafka_destroy`.
        unsafe {
            let conf = sys::rd_kafka_conf_new();
            if let Err(e) = fill(conf, settings) {
                sys::rd_kafka_conf_destroy(conf);
                return Err(e);
            }
            sys::rd_kafka_conf_set_opaque(conf, ptr::from_ref::<Shared>(&shared).cast_mut().cast());
            sys::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            if consumer {
                let events = sys::RD_KAFKA_EVENT_REBALANCE | sys::RD_KAFKA_EVENT_ERROR;
                sys::rd_kafka_conf_set_events(conf, events);
            } else {
                sys::rd_kafka_conf_set_error_cb(conf, Some(on_error));
                sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(on_delivery));
            }
            let mut words = [0 as c_char; 512];
            let rk = sys::rd_kafka_new(kind, conf, words.as_mut_ptr(), words.len());
            if rk.is_null() {
                sys::rd_kafka_conf_destroy(conf);
                return Err(Fault::new(Code::RD_KAFKA_RESP_ERR__INVALID_ARG, text(words.as_ptr())));
            }
            if consumer {
                sys::rd_kafka_poll_set_consumer(rk);
            }
            LIVE.fetch_add(1, Ordering::AcqRel);
            Ok(Arc::new(Self { rk, consumer, shared, lost: AtomicBool::new(false) }))
        }
    }

    pub(super) fn ptr(&self) -> *mut sys::rd_kafka_t {
        self.rk
    }

    /// Keeps an error that came as an event.
    pub(super) fn note(&self, fault: &Fault) {
        note(&self.shared, fault);
    }

    /// Lets callbacks run.
    pub(crate) fn poll(&self, wait: Duration) {
        if !self.consumer {
            // Safety: a live handle.
            unsafe { sys::rd_kafka_poll(self.rk, millis(wait)) };
        }
    }

    /// Messages that were not delivered, since the last call.
    pub(crate) fn take_failed(&self) -> Vec<Failed> {
        let all = self.take_delivered().into_iter();
        all.filter_map(|d| d.place.err().map(|code| Failed { tag: d.tag, code })).collect()
    }

    /// Was a message not delivered, since failures were taken?
    pub(crate) fn has_failed(&self) -> bool {
        lock(&self.shared.delivered).iter().any(|d| d.place.is_err())
    }

    /// What became of messages, since the last call.
    pub(crate) fn take_delivered(&self) -> Vec<Delivered> {
        std::mem::take(&mut lock(&self.shared.delivered))
    }

    /// Puts the reason that the client itself gave (a refused password, a name that isn't found) in the place of one that
    /// only says that nobody answered.
    pub(crate) fn explain(&self, fault: Fault) -> Fault {
        use Code as C;
        // A consumer's errors are events: what came with them is noted already.
        self.poll(Duration::ZERO);
        let vague = matches!(
            fault.code,
            C::RD_KAFKA_RESP_ERR__TIMED_OUT
                | C::RD_KAFKA_RESP_ERR__TRANSPORT
                | C::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
                | C::RD_KAFKA_RESP_ERR__WAIT_COORD
                | C::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT
        );
        match lock(&self.shared.error).clone() {
            Some(reason) if vague => {
                Fault { fatal: fault.fatal, retriable: fault.retriable, abort: fault.abort, ..reason }
            }
            _ => fault,
        }
    }

    /// The cluster's id; `None` where none can be had in time.
    pub(crate) fn cluster_id(&self, wait: Duration) -> Option<String> {
        // Safety: the text is ours until it is freed here.
        unsafe {
            let id = sys::rd_kafka_clusterid(self.rk, millis(wait));
            if id.is_null() {
                return None;
            }
            let words = text(id);
            sys::rd_kafka_mem_free(self.rk, id.cast());
            Some(words)
        }
    }

    // ---- consumers

    pub(crate) fn subscribe(&self, topics: &[String]) -> Result<(), Fault> {
        let mut list = List::new(topics.len());
        for topic in topics {
            list.add(topic, -1, 0, None)?;
        }
        // Safety: the list is copied.
        Fault::code(unsafe { sys::rd_kafka_subscribe(self.rk, list.ptr()) })
    }

    fn cooperative(&self) -> bool {
        // Safety: a static text.
        unsafe { text(sys::rd_kafka_rebalance_protocol(self.rk)) == "COOPERATIVE" }
    }

    /// Is the assignment lost, as far as the library remembers?
    pub(crate) fn loses(&self) -> bool {
        // Safety: a live handle.
        unsafe { sys::rd_kafka_assignment_lost(self.rk) != 0 }
    }

    /// Was the assignment lost, and the consumer not told yet?
    pub(crate) fn has_lost(&self) -> bool {
        if self.loses() {
            self.lost.store(true, Ordering::Release);
        }
        self.lost.load(Ordering::Acquire)
    }

    /// The consumer was told.
    pub(crate) fn forget_lost(&self) {
        self.lost.store(false, Ordering::Release);
    }

    /// Adds partitions to what is read, each from its offset.
    pub(crate) fn assign_more(&self, list: &List) -> Result<(), Fault> {
        self.has_lost();
        // Safety: the list is copied.
        unsafe {
            if self.cooperative() {
                Fault::check(sys::rd_kafka_incremental_assign(self.rk, list.ptr()))
            } else {
                Fault::code(sys::rd_kafka_assign(self.rk, list.ptr()))
            }
        }
    }

    /// Takes partitions off what is read.
    pub(crate) fn unassign(&self, list: &List) -> Result<(), Fault> {
        self.has_lost();
        // Safety: the list is copied.
        unsafe {
            if self.cooperative() {
                Fault::check(sys::rd_kafka_incremental_unassign(self.rk, list.ptr()))
            } else {
                Fault::code(sys::rd_kafka_assign(self.rk, ptr::null()))
            }
        }
    }

    /// Reads exactly these partitions, without a group's help.
    pub(crate) fn assign(&self, list: &List) -> Result<(), Fault> {
        // Safety: the list is copied.
        Fault::code(unsafe { sys::rd_kafka_assign(self.rk, list.ptr()) })
    }

    /// What the group committed: fills in offsets and metadata.
    pub(crate) fn committed(&self, list: &List, wait: Duration) -> Result<(), Fault> {
        // Safety: as above.
        Fault::code(unsafe { sys::rd_kafka_committed(self.rk, list.ptr(), millis(wait)) })
            .map_err(|e| self.explain(e))
    }

    /// Where the next message will be taken from: fills in offsets.
    pub(crate) fn positions(&self, list: &List) -> Result<(), Fault> {
        // Safety: the list is written to by the library while the call lasts.
        Fault::code(unsafe { sys::rd_kafka_position(self.rk, list.ptr()) })
    }

    /// Low and high end of a partition as of the last fetch.
    pub(crate) fn watermarks(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let name = c_text(topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // Safety: two numbers are written.
        let code = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.rk,
                name.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (code == Code::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some((low, high))
    }

    /// Asks the cluster for both ends of a partition.
    pub(crate) fn query_watermarks(
        &self,
        topic: &str,
        partition: i32,
        wait: Duration,
    ) -> Result<(i64, i64), Fault> {
        let name = c_text(topic)?;
        let (mut low, mut high) = (-1, -1);
        // Safety: two numbers are written.
        let code = unsafe {
            sys::rd_kafka_query_watermark_offsets(
                self.rk,
                name.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
                millis(wait),
            )
        };
        Fault::code(code).map(|()| (low, high)).map_err(|e| self.explain(e))
    }

    /// Leaves the group.
    pub(crate) fn close(&self) {
        if self.consumer {
            // Safety: may be called again; then it says that it is closed.
            unsafe { sys::rd_kafka_consumer_close(self.rk) };
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Safety: the last owner; topics, queues and messages hold an `Arc` and are gone.
        unsafe { sys::rd_kafka_destroy(self.rk) };
        LIVE.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Safety: `conf` is a configuration.
unsafe fn fill(conf: *mut sys::rd_kafka_conf_t, settings: &Settings) -> Result<(), Fault> {
    for (name, value) in &settings.0 {
        let (c_name, c_value) = (c_text(name)?, c_text(value)?);
        let mut words = [0 as c_char; 256];
        // Safety: texts and a buffer that live through the call.
        let done = unsafe {
            sys::rd_kafka_conf_set(conf, c_name.as_ptr(), c_value.as_ptr(), words.as_mut_ptr(), words.len())
        };
        if done != sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
            // The library's words may hold the value.
            let words = format!("the client does not take the value of {name}");
            return Err(Fault::new(Code::RD_KAFKA_RESP_ERR__INVALID_ARG, words));
        }
    }
    Ok(())
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the reason that says most: a refused password is not replaced by "all brokers are down".
fn note(shared: &Shared, fault: &Fault) {
    use Code as C;
    let telling = |f: &Fault| {
        matches!(
            f.code,
            C::RD_KAFKA_RESP_ERR__AUTHENTICATION | C::RD_KAFKA_RESP_ERR__SSL | C::RD_KAFKA_RESP_ERR__RESOLVE
        )
    };
    let mut last = lock(&shared.error);
    if telling(fault) || !last.as_ref().is_some_and(telling) {
        *last = Some(fault.clone());
    }
}

unsafe extern "C" fn on_error(
    _rk: *mut sys::rd_kafka_t,
    err: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    use Code as C;
    let known = [
        C::RD_KAFKA_RESP_ERR__AUTHENTICATION,
        C::RD_KAFKA_RESP_ERR__SSL,
        C::RD_KAFKA_RESP_ERR__RESOLVE,
        C::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
        C::RD_KAFKA_RESP_ERR__FATAL,
    ];
    let code = known.into_iter().find(|c| *c as c_int == err).unwrap_or(C::RD_KAFKA_RESP_ERR__TRANSPORT);
    // Safety: the opaque pointer is the client's state; the reason is a text.
    unsafe { note(&*opaque.cast::<Shared>(), &Fault::new(code, text(reason))) };
}

unsafe extern "C" fn on_delivery(
    _rk: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // Safety: a message while the call lasts; the opaque pointer is the client's state.
    unsafe {
        let message = &*message;
        let place = match message.err {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok((message.partition, message.offset)),
            code => Err(code),
        };
        let delivered = Delivered { tag: message._private as usize, place };
        lock(&(*opaque.cast::<Shared>()).delivered).push(delivered);
    }
}

unsafe extern "C" fn on_log(
    _rk: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // Safety: texts while the call lasts.
    let (facility, line) =
        unsafe { (CStr::from_ptr(facility).to_string_lossy(), CStr::from_ptr(line).to_string_lossy()) };
    // Syslog's levels: 4 is a warning. Connections that come and go are no news.
    if level <= 4 && facility != "FAIL" {
        tracing::warn!(target: "connector_kafka::librdkafka", "{facility}: {line}");
    } else {
        tracing::debug!(target: "connector_kafka::librdkafka", "{facility}: {line}");
    }
}
