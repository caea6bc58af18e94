//! The persisted formats: versioned JSON, apart from the model's nouns.
//!
//! Every record carries `v`. A version that this program doesn't know is refused, never guessed. Fields
//! are only added, with a default; anything else is a new version with its own struct and an upgrade
//! here. The files under `tests/golden` hold what was released: a test reads each of them and writes it
//! again.

mod dis;
mod flow;
mod flow_log;
#[cfg(test)]
#[allow(clippy::wildcard_imports)]
mod golden;
mod pipeline;
mod place;
mod task;
mod words;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use model::Sealed;

pub(crate) use dis::{DisAppRecord, DisStreamRecord};
pub(crate) use flow::FlowRecord;
pub(crate) use flow_log::{FlowLogRecord, FlowLogStateRecord};
pub(crate) use pipeline::{
    ConnectionRecord, DipTopicRecord, HeaderList, PipelineRecord, decode_headers, encode_headers,
};
pub(crate) use place::{AccountRecord, FileSystemRecord, FilesetRecord, ObjectStoreRecord};
pub(crate) use task::{AccountBook, OutcomeRecord, ReceiptRecord, SpecRecord};
pub(crate) use words::{
    dead_status_name, event_kind_name, originator_name, parse_dead_status, parse_door, parse_event_kind,
    parse_originator, parse_stage, parse_status, parse_task_kind, stage_name, task_kind_name,
};

use crate::{Error, ErrorKind, Result};

/// A persisted format of the present version.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// Version that is written.
    const VERSION: u32;
    /// For messages.
    const NAME: &'static str;
}

#[derive(Serialize)]
struct Versioned<'a, R> {
    v: u32,
    #[serde(flatten)]
    record: &'a R,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

/// The text of a record.
pub(crate) fn encode<R: Record>(record: &R) -> Result<String> {
    serde_json::to_string(&Versioned { v: R::VERSION, record })
        .map_err(|e| broken(format!("a {} record can't be written: {e}", R::NAME)))
}

/// Reads a record of a known version.
pub(crate) fn decode<R: Record>(text: &str) -> Result<R> {
    let head: Head =
        serde_json::from_str(text).map_err(|e| broken(format!("a {} record can't be read: {e}", R::NAME)))?;
    if head.v != R::VERSION {
        return Err(Error::new(
            ErrorKind::Version,
            format!("a {} record has version {}, this program knows {}", R::NAME, head.v, R::VERSION),
        ));
    }
    serde_json::from_str(text).map_err(|e| broken(format!("a {} record can't be read: {e}", R::NAME)))
}

pub(crate) fn broken(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, message)
}

/// Sealed bytes as base64.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SealedText(String);

impl SealedText {
    pub(crate) fn of(sealed: &Sealed) -> Self {
        use base64::Engine as _;
        Self(base64::engine::general_purpose::STANDARD.encode(&sealed.0))
    }

    pub(crate) fn sealed(&self) -> Result<Sealed> {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(&self.0);
        bytes.map(Sealed).map_err(|_| broken("a sealed secret is not base64"))
    }
}

/// A path as text. Roots of file systems are checked to be UTF-8 when they are declared.
fn path_text(path: &std::path::Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(
            ErrorKind::Conflict,
            format!("the directory {} has a name that is not utf-8", path.display()),
        )
    })
}
