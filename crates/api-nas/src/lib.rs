//! The Alibaba NAS/CPFS 2017-06-26 door: 23 operations on data flows, their tasks, filesets and file systems.
//!
//! # Way through a call
//! The kit has routed and verified it. [`NasDoor`] finds the operation, holds the parameters against its
//! table and gives a `Request` to the operation's file under `ops`. There the product's rules are
//! checked in the order that the vendor documents, `control` is asked, and its answer goes back in the
//! product's words (`translate`); refusals are worded in `fault` alone.
//!
//! # Two products
//! General-purpose CPFS (`cpfs-…`) and CPFS for Lingjun (`bmcpfs-…`) share the API and differ in what
//! they take; `family` has the differences of versions, each operation its own of parameters.
//!
//! # What it is not
//! It moves no bytes and keeps no state: flows, tasks and client tokens are `control`'s.

mod family;
mod fault;
mod fields;
mod filters;
mod flow_view;
mod ops;
mod paging;
mod request;
mod rules;
mod task_order;
mod task_view;
mod translate;

use api::{Call, Cloud, Door, Operation, Outcome, Problem, decode};
use async_trait::async_trait;
use control::Control;

/// Every operation with its fields, for coverage pages and tests.
#[must_use]
pub fn operations() -> &'static [Operation] {
    ops::ALL
}

/// How clients reach this server, for the addresses of reports.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// `https://name[:port]` as clients see it. `None`: the request's own `Host` is used.
    pub public_url: Option<String>,
    /// The listener speaks TLS; decides the scheme where `public_url` is `None`.
    pub tls: bool,
}

/// The door.
#[derive(Clone)]
pub struct NasDoor {
    control: Control,
    links: Links,
}

impl NasDoor {
    /// A door to these use cases.
    #[must_use]
    pub fn new(control: Control, links: Links) -> Self {
        Self { control, links }
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    pub(crate) fn links(&self) -> &Links {
        &self.links
    }
}

#[async_trait]
impl Door for NasDoor {
    fn cloud(&self) -> Cloud {
        Cloud::Alibaba
    }

    fn service(&self) -> &'static str {
        "nas"
    }

    fn versions(&self) -> &'static [&'static str] {
        &["2017-06-26"]
    }

    fn actions(&self) -> &'static [&'static str] {
        ops::ACTIONS
    }

    async fn call(&self, call: Call) -> Outcome {
        let Some(operation) = ops::ALL.iter().find(|o| o.action == call.action) else {
            return Err(api::Fault::new(404, "InvalidApi.NotFound", "Specified api is not found."));
        };
        let p = match decode(operation, &call.params, call.flattened) {
            Ok(p) => p,
            Err(problem) => {
                // A wrong type may come from illegal characters; those have a code of their own.
                if problem.problem != Problem::Missing {
                    rules::legal_characters(&call.params)?;
                }
                return Err(problem.fault(Cloud::Alibaba));
            }
        };
        rules::legal_characters(&call.params)?;
        ops::run(&request::Request::new(self, &call, p)).await
    }
}
