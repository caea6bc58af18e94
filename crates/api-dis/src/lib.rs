//! The Huawei DIS door: streams, records, applications, checkpoints, figures, tags.
//!
//! The product's API is REST: [`route`] finds the action by method and path, in all the spellings that its SDKs use. Each
//! action is one file under [`ops`]: its field table (which decodes, refuses and documents) and the function that answers
//! it. [`request`] puts path, query and body together into the one object that the table speaks of; [`fault`] is the one
//! place that says which of the product's codes a refusal of `control` becomes.
//!
//! Records are another matter: there are many, and their bytes must not become a tree of JSON values. [`records`] reads and
//! writes them directly, as JSON or protobuf, compressed or not, and has the cursors. [`memory`] bounds what is held of them at once.
//!
//! # What it is not
//! It keeps nothing and does no I/O. What it knows of the log is positions. It verifies no signature; that is the kit's.

mod fault;
mod memory;
mod ops;
mod records;
mod request;
mod route;
mod tables;

use std::collections::BTreeMap;

use api::{Call, Cloud, Operation, Outcome};
use async_trait::async_trait;
use control::Control;
use request::Ask;

/// How the door presents itself.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The project that an account's requests have to name. An account without one may name any.
    pub projects: BTreeMap<String, String>,
    /// How streams are dumped.
    pub dumps: DumpSettings,
}

/// How streams are dumped.
#[derive(Debug, Clone, Default)]
pub struct DumpSettings {
    /// The connection of the Iceberg catalogue that DLI's tables are in; `None` = the server's own lakehouse.
    pub catalogue: Option<String>,
    /// Rows are staged in the task's bucket.
    pub staging: bool,
    /// New fields become columns of DLI's tables.
    pub evolve: bool,
    /// Agencies that may be named; empty = any.
    pub agencies: Vec<String>,
    /// Seconds east of UTC of the directories' and file names' times.
    pub utc_offset_s: i32,
    /// Milliseconds between deliveries, whatever a task asks for. For tests.
    pub interval_ms: Option<u64>,
}

/// The DIS door.
#[derive(Clone)]
pub struct DisDoor {
    control: Control,
    settings: Settings,
    memory: memory::Memory,
}

impl DisDoor {
    /// A door onto `control`.
    #[must_use]
    pub fn new(control: Control, settings: Settings) -> Self {
        Self { control, settings, memory: memory::Memory::new() }
    }
}

/// The field tables of all actions, for the coverage pages and their tests.
#[must_use]
pub fn operations() -> &'static [Operation] {
    ops::ALL
}

#[async_trait]
impl api::Door for DisDoor {
    fn cloud(&self) -> Cloud {
        Cloud::Huawei
    }

    fn service(&self) -> &'static str {
        "dis"
    }

    fn versions(&self) -> &'static [&'static str] {
        &["v2", "v3"]
    }

    fn actions(&self) -> &'static [&'static str] {
        route::ACTIONS
    }

    fn route(&self, method: &http::Method, path: &str) -> Option<&'static str> {
        route::find(method, path).map(|found| found.action)
    }

    fn takes_raw(&self, action: &str) -> bool {
        action == "SendRecords"
    }

    async fn call(&self, call: Call) -> Outcome {
        let ask = Ask::new(&self.control, (&self.settings, &self.memory), &call)?;
        ops::answer(&ask).await
    }
}
