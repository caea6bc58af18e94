//! The Tencent VPC 2017-03-12 door: flow logs.
//!
//! Every action is one file under [`ops`]: its field table (which decodes, refuses and documents) and the function that answers it.
//! [`request`] holds what several actions ask of a call, [`tables`] what they share of the vendor's model, [`translate`] the answers,
//! and [`fault`] is the one place that says which of Tencent's codes a refusal of `control` becomes.
//!
//! # What it is not
//! It observes nothing and writes no record. What a resource is on this machine, and whether it can be observed, is asked through
//! `control`; a flow log that could not see anything is refused with a code that says so.

mod fault;
mod ops;
mod request;
mod tables;
mod translate;

use api::{Call, Cloud, Operation, Outcome};
use async_trait::async_trait;
use control::Control;
use request::Ask;

/// How the door presents itself.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Seconds east of Greenwich of the times in answers, which carry no zone. The product shows Beijing's (28,800); here it is
    /// UTC unless the operator says otherwise.
    pub utc_offset_s: i32,
}

/// The VPC door.
#[derive(Clone)]
pub struct VpcDoor {
    control: Control,
    settings: Settings,
}

impl VpcDoor {
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
impl api::Door for VpcDoor {
    fn cloud(&self) -> Cloud {
        Cloud::Tencent
    }

    fn service(&self) -> &'static str {
        "vpc"
    }

    fn versions(&self) -> &'static [&'static str] {
        &["2017-03-12"]
    }

    fn actions(&self) -> &'static [&'static str] {
        ops::ACTIONS
    }

    async fn call(&self, call: Call) -> Outcome {
        let ask = Ask::new(&self.control, &self.settings, call);
        ops::answer(&ask).await
    }
}
