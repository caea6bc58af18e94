//! Flow records as cloud products write them.
//!
//! A record says what one flow (addresses, ports, protocol) did in one window of time: packets, bytes, first and last second,
//! and whether it was let through. Whoever observes traffic (`flow-capture` on devices, `flow-collector` from exporters)
//! makes these values; whoever delivers them asks [`fields`] for names and values in the product's order.
//!
//! **Loss is part of the data.** Each window ends with a [`Window`] that says what was not accounted, and sources that lost
//! something carry a record with [`LogStatus::SkipData`], as the product's own logs do.
//!
//! This crate is values and one table: no I/O, no clock, no clouds' requests.

pub mod fields;
pub mod packet;
mod record;
mod table;

pub use record::{
    Action, Delivery, Direction, Extras, Flow, LogStatus, Loss, Record, Regions, SourceId, TrafficType,
    Tuple, Window, has_ports,
};
pub use table::{FlowTable, Observation};
