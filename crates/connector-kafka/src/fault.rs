//! What the library says → what the engine acts on.

use connector::{Error, ErrorKind};

use crate::raw::{Code, Fault};

/// The kind of an error code.
pub(crate) fn kind(code: Code) -> ErrorKind {
    use Code as C;
    match code {
        C::RD_KAFKA_RESP_ERR__AUTHENTICATION
        | C::RD_KAFKA_RESP_ERR__SSL
        | C::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
        | C::RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM
        | C::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
        | C::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
        | C::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
        | C::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED => ErrorKind::Denied,
        C::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        | C::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        | C::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
        | C::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID => ErrorKind::NotFound,
        C::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS => ErrorKind::Exists,
        C::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
        | C::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE
        | C::RD_KAFKA_RESP_ERR_INVALID_RECORD
        | C::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP
        | C::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION
        | C::RD_KAFKA_RESP_ERR_INVALID_PARTITIONS
        | C::RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR
        | C::RD_KAFKA_RESP_ERR_INVALID_CONFIG
        | C::RD_KAFKA_RESP_ERR_INVALID_REQUEST
        | C::RD_KAFKA_RESP_ERR_POLICY_VIOLATION
        | C::RD_KAFKA_RESP_ERR__INVALID_ARG => ErrorKind::Unacceptable,
        C::RD_KAFKA_RESP_ERR__FENCED
        | C::RD_KAFKA_RESP_ERR_PRODUCER_FENCED
        | C::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH => ErrorKind::Changed,
        C::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION
        | C::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE
        | C::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT => ErrorKind::Unsupported,
        C::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED => ErrorKind::Throttled,
        _ if may_pass(code) => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

/// Does it end by itself?
fn may_pass(code: Code) -> bool {
    use Code as C;
    matches!(
        code,
        C::RD_KAFKA_RESP_ERR__TIMED_OUT
            | C::RD_KAFKA_RESP_ERR__TRANSPORT
            | C::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
            | C::RD_KAFKA_RESP_ERR__RESOLVE
            | C::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT
            | C::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE
            | C::RD_KAFKA_RESP_ERR__WAIT_COORD
            | C::RD_KAFKA_RESP_ERR__PURGE_QUEUE
            | C::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
            | C::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST
            | C::RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED
            | C::RD_KAFKA_RESP_ERR__NOENT
            | C::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
            | C::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION
            | C::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT
            | C::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE
            | C::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE
            | C::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION
            | C::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS
            | C::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE
            | C::RD_KAFKA_RESP_ERR_NOT_COORDINATOR
            | C::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS
            | C::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | C::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION
            | C::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID
            | C::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS
            | C::RD_KAFKA_RESP_ERR_NOT_CONTROLLER
            | C::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS
            | C::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR
            | C::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT
            | C::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH
            | C::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH
    )
}

/// Is one record at fault, and not the call?
pub(crate) fn of_record(code: Code) -> bool {
    use Code as C;
    matches!(
        code,
        C::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
            | C::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE
            | C::RD_KAFKA_RESP_ERR_INVALID_RECORD
            | C::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP
            | C::RD_KAFKA_RESP_ERR_INVALID_MSG
    )
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let kind = match kind(fault.code) {
            ErrorKind::Other if fault.retriable => ErrorKind::Unavailable,
            kind => kind,
        };
        let words = if kind == ErrorKind::Changed {
            format!("a newer owner has taken over ({})", fault.text)
        } else {
            fault.text
        };
        Error::new(kind, words)
    }
}

/// Says what was being done.
pub(crate) fn during(what: &str) -> impl Fn(Fault) -> Error + '_ {
    move |fault| Error::from(fault).context(what)
}
