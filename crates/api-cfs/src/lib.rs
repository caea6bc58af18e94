//! The Tencent CFS 2019-07-19 door: data flows, lifecycle tasks, migration tasks and the two lookups
//! that a user needs before any of them.
//!
//! Every action is one file under [`ops`]: its field table (which decodes, refuses and documents) and
//! the function that answers it. [`translate`] turns the product's words into the model's and back:
//! paths, states, times, counters. [`fault`] is the one place that says which of Tencent's codes a
//! refusal of `control` becomes. The door holds no state and keeps no secret: a `SecretKey` or
//! `Password` is sealed in the function that reads it, and there is no field that could return it.
//!
//! # What it is not
//! It does no I/O and moves no byte; it names no connector and no store. Signatures, request ids and
//! the envelope are the kit's (`api`); who may see what, limits and state machines are `control`'s.

mod fault;
mod ops;
mod request;
mod translate;

use api::{Call, Cloud, Operation, Outcome};
use async_trait::async_trait;
use control::Control;
use request::Ask;

/// How the door presents itself.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Base of the addresses of report files (`https://wharf.example:8080`, no trailing `/`). Without
    /// it the `Host` of the request is used, with the scheme of `tls`.
    pub public_url: Option<String>,
    /// The listener speaks TLS.
    pub tls: bool,
    /// Seconds east of Greenwich of the times in requests and answers, which carry no zone. The
    /// product shows Beijing's (28,800); here it is UTC unless the operator says otherwise.
    pub utc_offset_s: i32,
}

/// The CFS door.
#[derive(Clone)]
pub struct CfsDoor {
    control: Control,
    settings: Settings,
}

impl CfsDoor {
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
impl api::Door for CfsDoor {
    fn cloud(&self) -> Cloud {
        Cloud::Tencent
    }

    fn service(&self) -> &'static str {
        "cfs"
    }

    fn versions(&self) -> &'static [&'static str] {
        &["2019-07-19"]
    }

    fn actions(&self) -> &'static [&'static str] {
        ops::ACTIONS
    }

    async fn call(&self, mut call: Call) -> Outcome {
        lend_secret_id(&mut call);
        let ask = Ask::new(&self.control, &self.settings, &call);
        ops::answer(&ask).await
    }
}

/// With the older signatures the caller's own key id travels as the parameter `SecretId`: the name that
/// `CreateDataFlow` and `ModifyDataFlow` use for the bucket's key. Clients overwrite the one with the
/// other, so what they can say is only a `SecretKey` that belongs to the caller's own id. The kit has
/// taken the id off with the rest of the signature; here it is put back where it has that meaning.
fn lend_secret_id(call: &mut Call) {
    let older = call.flattened && !call.headers.contains_key("x-tc-action");
    let flow = matches!(call.action.as_str(), "CreateDataFlow" | "ModifyDataFlow");
    if let (true, true, Some(params)) = (older, flow, call.params.as_object_mut())
        && params.contains_key("SecretKey")
        && !params.contains_key("SecretId")
    {
        params.insert("SecretId".to_owned(), call.access_key.clone().into());
    }
}
