//! What a task is (written once), its account (written with every checkpoint), how it ended, its receipt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use model::{
    Ledger, Precondition, Progress, Receipt, Reports, Selection, Tally, Task, Timestamp, TransferSpec,
};

use super::Record;
use super::flow::{CredentialsRecord, DirectoryEndRecord, ObjectEndRecord};
use super::words::{
    conflict_name, data_name, direction_name, metadata_dialect_name, parse_conflict, parse_data,
    parse_direction, parse_metadata_dialect,
};
use crate::Result;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SelectionRecord {
    All,
    Includes(Vec<String>),
    Entries(Vec<String>),
    CsvUnder(String),
    ListFile(String),
    ListUrl(String),
    One { from: String, to: String, mtime_ns: Option<i64>, size: Option<u64> },
}

impl SelectionRecord {
    fn of(s: &Selection) -> Self {
        match s.clone() {
            Selection::All => Self::All,
            Selection::Includes(v) => Self::Includes(v),
            Selection::Entries(v) => Self::Entries(v),
            Selection::CsvUnder(v) => Self::CsvUnder(v),
            Selection::ListFile(v) => Self::ListFile(v),
            Selection::ListUrl(v) => Self::ListUrl(v),
            Selection::One { from, to, condition: c } => {
                Self::One { from, to, mtime_ns: c.mtime_ns, size: c.size }
            }
        }
    }

    fn noun(self) -> Selection {
        match self {
            Self::All => Selection::All,
            Self::Includes(v) => Selection::Includes(v),
            Self::Entries(v) => Selection::Entries(v),
            Self::CsvUnder(v) => Selection::CsvUnder(v),
            Self::ListFile(v) => Selection::ListFile(v),
            Self::ListUrl(v) => Selection::ListUrl(v),
            Self::One { from, to, mtime_ns, size } => {
                Selection::One { from, to, condition: Precondition { mtime_ns, size } }
            }
        }
    }
}

/// What never changes of a task, beside its columns.
#[derive(Serialize, Deserialize)]
pub(crate) struct SpecRecord {
    direction: String,
    object: ObjectEndRecord,
    credentials: Option<CredentialsRecord>,
    directory: DirectoryEndRecord,
    selection: SelectionRecord,
    conflict: String,
    data: String,
    dialect: String,
    create_directory: bool,
    default_file_mode: u32,
    default_dir_mode: u32,
    attributes: BTreeMap<String, String>,
}

impl Record for SpecRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "task";
}

impl SpecRecord {
    pub(crate) fn of(t: &Task) -> Result<Self> {
        let s = &t.spec;
        Ok(Self {
            direction: direction_name(s.direction).into(),
            object: ObjectEndRecord::of(&s.object),
            credentials: s.credentials.as_ref().map(CredentialsRecord::of),
            directory: DirectoryEndRecord::of(&s.directory)?,
            selection: SelectionRecord::of(&s.selection),
            conflict: conflict_name(s.conflict).into(),
            data: data_name(s.data).into(),
            dialect: metadata_dialect_name(s.dialect).into(),
            create_directory: s.create_directory,
            default_file_mode: s.default_file_mode,
            default_dir_mode: s.default_dir_mode,
            attributes: t.attributes.clone(),
        })
    }

    pub(crate) fn nouns(self) -> Result<(TransferSpec, BTreeMap<String, String>)> {
        let spec = TransferSpec {
            direction: parse_direction(&self.direction)?,
            object: self.object.noun(),
            credentials: self.credentials.map(CredentialsRecord::noun).transpose()?,
            directory: self.directory.noun(),
            selection: self.selection.noun(),
            conflict: parse_conflict(&self.conflict)?,
            data: parse_data(&self.data)?,
            dialect: parse_metadata_dialect(&self.dialect)?,
            create_directory: self.create_directory,
            default_file_mode: self.default_file_mode,
            default_dir_mode: self.default_dir_mode,
        };
        Ok((spec, self.attributes))
    }
}

#[derive(Serialize, Deserialize, Clone, Copy, Default)]
#[serde(default)]
struct TallyRecord {
    read: u64,
    expanded: u64,
    written: u64,
    unchanged: u64,
    skipped: u64,
    filtered: u64,
    dead_lettered: u64,
    failed: u64,
}

impl From<Tally> for TallyRecord {
    fn from(t: Tally) -> Self {
        let Tally { read, expanded, written, unchanged, skipped, filtered, dead_lettered, failed } = t;
        Self { read, expanded, written, unchanged, skipped, filtered, dead_lettered, failed }
    }
}

impl From<TallyRecord> for Tally {
    fn from(t: TallyRecord) -> Self {
        let TallyRecord { read, expanded, written, unchanged, skipped, filtered, dead_lettered, failed } = t;
        Self { read, expanded, written, unchanged, skipped, filtered, dead_lettered, failed }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct LedgerRecord {
    items: TallyRecord,
    bytes: TallyRecord,
}

impl LedgerRecord {
    fn of(l: &Ledger) -> Self {
        Self { items: l.items.into(), bytes: l.bytes.into() }
    }

    fn noun(self) -> Ledger {
        Ledger { items: self.items.into(), bytes: self.bytes.into() }
    }
}

#[derive(Serialize, Deserialize)]
struct ProgressRecord {
    items_found: u64,
    bytes_found: u64,
    scan_done: bool,
    bytes_per_s: u64,
    remaining_s: Option<u64>,
}

/// Ledger and progress.
#[derive(Serialize, Deserialize)]
pub(crate) struct AccountBook {
    ledger: LedgerRecord,
    progress: ProgressRecord,
}

impl Record for AccountBook {
    const VERSION: u32 = 1;
    const NAME: &'static str = "ledger";
}

impl AccountBook {
    pub(crate) fn of(ledger: &Ledger, p: &Progress) -> Self {
        let progress = ProgressRecord {
            items_found: p.items_found,
            bytes_found: p.bytes_found,
            scan_done: p.scan_done,
            bytes_per_s: p.bytes_per_s,
            remaining_s: p.remaining_s,
        };
        Self { ledger: LedgerRecord::of(ledger), progress }
    }

    pub(crate) fn nouns(self) -> (Ledger, Progress) {
        let p = self.progress;
        let progress = Progress {
            items_found: p.items_found,
            bytes_found: p.bytes_found,
            scan_done: p.scan_done,
            bytes_per_s: p.bytes_per_s,
            remaining_s: p.remaining_s,
        };
        (self.ledger.noun(), progress)
    }
}

/// How a run came to rest.
#[derive(Serialize, Deserialize)]
pub(crate) struct OutcomeRecord {
    error: Option<String>,
    total: Option<String>,
    successful: Option<String>,
    skipped: Option<String>,
    failed: Option<String>,
}

impl Record for OutcomeRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "outcome";
}

impl OutcomeRecord {
    pub(crate) fn of(error: Option<&str>, r: &Reports) -> Self {
        Self {
            error: error.map(str::to_owned),
            total: r.total.clone(),
            successful: r.successful.clone(),
            skipped: r.skipped.clone(),
            failed: r.failed.clone(),
        }
    }

    pub(crate) fn nouns(self) -> (Option<String>, Reports) {
        let reports = Reports {
            total: self.total,
            successful: self.successful,
            skipped: self.skipped,
            failed: self.failed,
        };
        (self.error, reports)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ReceiptRecord {
    task: String,
    ledger: LedgerRecord,
    manifest: String,
    manifest_sha256: String,
    made_us: i64,
}

impl Record for ReceiptRecord {
    const VERSION: u32 = 1;
    const NAME: &'static str = "receipt";
}

impl ReceiptRecord {
    pub(crate) fn of(r: &Receipt) -> Self {
        Self {
            task: r.task.0.clone(),
            ledger: LedgerRecord::of(&r.ledger),
            manifest: r.manifest.clone(),
            manifest_sha256: r.manifest_sha256.clone(),
            made_us: r.made.0,
        }
    }

    pub(crate) fn noun(self) -> Receipt {
        Receipt {
            task: self.task.into(),
            ledger: self.ledger.noun(),
            manifest: self.manifest,
            manifest_sha256: self.manifest_sha256,
            made: Timestamp(self.made_us),
        }
    }
}
