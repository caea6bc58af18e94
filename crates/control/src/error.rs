//! What a use case refuses, in words of no vendor. Each door maps kinds to its product's codes.

use std::fmt;

/// What a thing is that was not found or exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Noun {
    /// A file system of the catalogue.
    FileSystem,
    /// An object store of the catalogue.
    ObjectStore,
    /// A bucket.
    Bucket,
    /// A fileset.
    Fileset,
    /// A flow.
    Flow,
    /// A task or subtask.
    Task,
    /// An account.
    Account,
    /// A directory below a file system's root.
    Directory,
    /// A file below a file system's root that lists paths.
    ListFile,
    /// A task's receipt.
    Receipt,
    /// A pipeline.
    Pipeline,
    /// A connection.
    Connection,
    /// A topic.
    Topic,
    /// A record of a topic.
    Record,
    /// A dead letter.
    DeadLetter,
    /// A stream of the DIS API.
    Stream,
    /// A partition of a stream.
    Partition,
    /// An application that reads streams.
    App,
    /// A checkpoint of an application.
    Checkpoint,
    /// A tag.
    Tag,
    /// A database of tables.
    Database,
    /// A table.
    Table,
    /// A flow log.
    FlowLog,
    /// A network resource of the catalogue.
    Network,
}

impl Noun {
    /// For messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FileSystem => "file system",
            Self::ObjectStore => "object store",
            Self::Bucket => "bucket",
            Self::Fileset => "fileset",
            Self::Flow => "flow",
            Self::Task => "task",
            Self::Account => "account",
            Self::Directory => "directory",
            Self::ListFile => "list file",
            Self::Receipt => "receipt",
            Self::Pipeline => "pipeline",
            Self::Connection => "connection",
            Self::Topic => "topic",
            Self::Record => "record",
            Self::DeadLetter => "dead letter",
            Self::Stream => "stream",
            Self::Partition => "partition",
            Self::App => "app",
            Self::Checkpoint => "checkpoint",
            Self::Tag => "tag",
            Self::Database => "database",
            Self::Table => "table",
            Self::FlowLog => "flow log",
            Self::Network => "network resource",
        }
    }
}

/// Why a use case was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is no such thing, or the caller may not know of it.
    NotFound(Noun),
    /// There is one already.
    Exists(Noun),
    /// Its state does not allow it.
    InvalidState,
    /// Something else depends on it.
    InUse,
    /// One more would be too many.
    LimitExceeded,
    /// Too much at once; later it may be taken.
    Throttled,
    /// The operator's configuration forbids it.
    Denied,
    /// The source or destination can't be reached.
    Unreachable,
    /// The source or destination refuses the key.
    BadCredentials,
    /// A path that climbs, crosses a symbolic link or can't be a path.
    BadPath,
    /// Not built, or not for this kind of thing.
    Unsupported,
    /// The client token was used with other parameters.
    TokenMismatch,
    /// A parameter makes no sense.
    Invalid,
    /// Our own fault; details are in the log only.
    Internal,
}

/// A refusal: kind, message (lower case, no full stop, no secret) and the field it speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Kind.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
    /// Name of the field of our own structs that is at fault (`path`, `bucket`), where one is.
    pub field: Option<&'static str>,
}

/// Result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), field: None }
    }

    /// Nothing with this id.
    #[must_use]
    pub fn not_found(noun: Noun, id: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound(noun), format!("{} {id} does not exist", noun.name()))
    }

    /// Names the field.
    #[must_use]
    pub fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The store's refusals, where a use case has nothing better to say. What is our own fault is logged here,
/// once, and stays out of the answer.
impl From<store::Error> for Error {
    fn from(e: store::Error) -> Self {
        use store::ErrorKind as S;
        let kind = match e.kind() {
            S::Conflict | S::Fenced => ErrorKind::InvalidState,
            S::Limit => ErrorKind::LimitExceeded,
            _ => {
                tracing::error!(error = %e, "the store failed");
                return Self::new(ErrorKind::Internal, "the server's records can't be read or written now");
            }
        };
        Self::new(kind, e.message())
    }
}

/// What the other side of a transfer said to a question of ours.
pub(crate) fn from_connector(e: &connector::Error, missing: Noun) -> Error {
    use connector::ErrorKind as C;
    let kind = match e.kind() {
        C::NotFound => ErrorKind::NotFound(missing),
        C::Denied => ErrorKind::BadCredentials,
        C::Unacceptable => ErrorKind::BadPath,
        C::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Unreachable,
    };
    Error::new(kind, e.to_string())
}

/// A blocking call that panicked.
pub(crate) fn lost_call(why: impl fmt::Display) -> Error {
    tracing::error!(error = %why, "a blocking call failed");
    Error::new(ErrorKind::Internal, "the server failed to answer")
}
