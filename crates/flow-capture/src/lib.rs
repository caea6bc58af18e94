//! Flows seen and dropped at network devices.
//!
//! A [`Capture`] observes one or several devices of one network namespace and hands over, window by window, what flows passed
//! them (ACCEPT) and what a netfilter rule dropped (REJECT): [`Options`] → [`Capture::start`] → [`Capture::next`] until
//! [`Next::Ended`]. Records and windows are those of `flow-record`.
//!
//! | way | counts | REJECT | needs |
//! |---|---|---|---|
//! | BPF (`program`, `bpf/flow.bpf.c`) | in the kernel, per flow | from the kernel's reason for a drop | CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON; kernel 6.6 |
//! | packets (`packets`) | in this process, from copied headers | only of rules that log to an NFLOG group | CAP_NET_RAW |
//! | connections (`nat`) | what a namespace's NAT translates, from connection tracking's own counts | no | CAP_NET_ADMIN |
//!
//! **Everything is counted or stated as lost.** A window's packets and its loss add up to what passed. A device that was away
//! and came back, or counts that could not be read, make a SKIPDATA record.
//!
//! **What belongs to whom.** A drop belongs to the device that the packet came in by, or, where that one isn't observed or the
//! packet was made here, to the one it would have left by. Packets that a bridge passes on and an address of the bridge then
//! drops belong to the bridge. Fragments count for the flow of their first one.
//!
//! Each capture has programs and maps of its own, so captures don't disturb each other; each of them looks at the
//! reason of every packet that the system drops.
//!
//! This crate knows no flow logs, stores or tasks.

mod btf;
mod capture;
mod devices;
mod links;
mod meter;
mod namespace;
mod nat;
mod netlink;
mod nflog;
mod options;
mod packets;
mod program;
mod sys;
mod worker;

pub mod conntrack;

pub use capture::{Capture, DeviceState, DeviceStatus, Next, State, Status};
pub use options::{Method, Namespace, Options};

/// Why a capture can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
    /// The process lacks rights.
    #[error(
        "no right to capture flows (BPF takes CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, copied packets CAP_NET_RAW): {0}"
    )]
    Rights(String),
    /// The system can't do it.
    #[error("flows can't be captured here: {0}")]
    Unsupported(String),
}

/// The outcome of a call.
pub type Result<T> = std::result::Result<T, Error>;
