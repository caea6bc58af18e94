//! Flow records from exporters: routers, switches and probes that send NetFlow v5, NetFlow v9, IPFIX or sFlow v5 over UDP.
//!
//! A [`Collector`] listens on one port, reads whatever of the four comes, sums it up per exporter and flow, and hands over one
//! window after the other, in the form that `flow-capture` uses: [`Options`] → [`Collector::start`] → [`Collector::next`].
//! A record's source is an exporter; [`Collector::exporter`] tells its address.
//!
//! **Straight to sums.** [`decode`] goes from the bytes of a datagram to the row of the table, without a value per field in
//! between: a template is turned once into the places of the dozen fields that count.
//!
//! **Sampling is undone**: packets and bytes are multiplied by the exporter's rate. **Templates are kept** in a file, so that
//! data is understood at once after a restart. **Loss is counted**: datagrams that the system dropped (SO_RXQ_OVFL) or that never
//! came (gaps in the exporters' numbers), and what could not be read.
//!
//! UDP tells nothing of who really sent a datagram: [`Options::allowed`] names the exporters, a firewall has to hold others off.
//!
//! This crate knows no flow logs, stores or tasks.

mod collector;
pub mod decode;
mod socket;
mod worker;

pub use collector::{Collector, ExporterStatus, Next, Options, Status};

/// Why a collector can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
    /// The system refuses it.
    #[error("flow records can't be collected here: {0}")]
    System(String),
}

/// The outcome of a call.
pub type Result<T> = std::result::Result<T, Error>;
