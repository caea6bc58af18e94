//! The Tencent CKafka 2019-08-19 door: tasks, connections and topics of the connector ("Datahub", DIP).
//!
//! Every action is one file under [`ops`]: its field table (which decodes, refuses and documents) and the function that
//! answers it. What actions share of the vendor's model stands in [`tables`]. [`translate`] turns the product's words into
//! the model's and back: each type of `DatahubResource` becomes an end of a pipeline, that is a kind of connector and the
//! JSON that this connector reads; each connection becomes an address. [`fault`] is the one place that says which of
//! Tencent's codes a refusal of `control` becomes. [`shape`] makes flattened requests plain and answers complete.
//!
//! A task keeps the request's own resources beside what they were turned into, so that a description shows a user's own
//! spelling. The door holds no state and keeps no secret: a password is sealed in the function that reads it, and no answer
//! has one but that of a topic, whose user the product itself made up.
//!
//! # What it is not
//! It does no I/O and moves no record; it names no connector, no store and no transform: what a connector's options or a
//! transform must be is checked by whoever reads them, through `control`. A type of end that the server can't run is
//! refused, never kept as if it would work.

mod fault;
mod ops;
mod request;
mod shape;
mod tables;
mod translate;

use api::{Call, Cloud, Operation, Outcome};
use async_trait::async_trait;
use control::Control;
use request::Ask;

/// How the door presents itself.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Seconds east of Greenwich of the times in answers, which carry no zone. The product shows Beijing's (28,800); here
    /// it is UTC unless the operator says otherwise.
    pub utc_offset_s: i32,
}

/// The CKafka door.
#[derive(Clone)]
pub struct CkafkaDoor {
    control: Control,
    settings: Settings,
}

impl CkafkaDoor {
    /// A door onto `control`.
    #[must_use]
    pub fn new(control: Control, settings: Settings) -> Self {
        Self { control, settings }
    }
}

/// The field tables of all actions, for the coverage pages and their tests.
#[must_use]
pub fn operations() -> &'static [Operation] {
    ops::ALL
}

#[async_trait]
impl api::Door for CkafkaDoor {
    fn cloud(&self) -> Cloud {
        Cloud::Tencent
    }

    fn service(&self) -> &'static str {
        "ckafka"
    }

    fn versions(&self) -> &'static [&'static str] {
        &["2019-08-19"]
    }

    fn actions(&self) -> &'static [&'static str] {
        ops::ACTIONS
    }

    async fn call(&self, call: Call) -> Outcome {
        let ask = Ask::new(&self.control, &self.settings, &call);
        ops::answer(&ask).await
    }
}
