//! The values.

use std::net::IpAddr;

/// Which of its sources an observer saw a flow at: the place in its list of devices, or the number that it gave an exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// What identifies a flow. Ports are 0 where the protocol has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// Where the packets come from.
    pub src: IpAddr,
    /// Where they go.
    pub dst: IpAddr,
    /// Port of the source.
    pub src_port: u16,
    /// Port of the destination.
    pub dst_port: u16,
    /// IANA's number of the protocol.
    pub protocol: u8,
}

/// Whether a protocol has ports (TCP, UDP, DCCP, SCTP, UDP-Lite).
#[must_use]
pub fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// Which way a flow passed its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// It came in.
    In,
    /// It went out.
    Out,
}

/// Was the flow let through?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Yes.
    Accept,
    /// No: a rule dropped it.
    Reject,
}

impl Action {
    /// The word in a record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Reject => "REJECT",
        }
    }
}

/// Which actions are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficType {
    /// Only what was let through.
    Accept,
    /// Only what was dropped.
    Reject,
    /// Both.
    All,
}

impl TrafficType {
    /// Whether records with this action are wanted.
    #[must_use]
    pub fn wants(self, action: Action) -> bool {
        match self {
            Self::All => true,
            Self::Accept => action == Action::Accept,
            Self::Reject => action == Action::Reject,
        }
    }
}

/// How complete the log is at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStatus {
    /// A flow.
    Ok,
    /// The window had none.
    NoData,
    /// Something of the window was lost; [`Window::loss`] has the figures.
    SkipData,
}

impl LogStatus {
    /// The word in a record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::NoData => "NODATA",
            Self::SkipData => "SKIPDATA",
        }
    }
}

/// What is known of a flow beyond the product's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extras {
    /// Which way it passed, where that is known.
    pub direction: Option<Direction>,
    /// The TCP flags of all its packets, OR-ed.
    pub tcp_flags: u8,
    /// Why it was dropped, by the kernel's name for it.
    pub drop_reason: Option<&'static str>,
    /// The flow's other face, where its addresses or ports were translated: as its packets left.
    pub translated: Option<Tuple>,
}

/// The regions of a record between regions (the 16-field form); the observer's caller knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regions<'a> {
    /// The region that recorded it.
    pub recorded: &'a str,
    /// Where it comes from.
    pub src: &'a str,
    /// Where it goes.
    pub dst: &'a str,
}

/// The sums of one flow in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Which flow.
    pub tuple: Tuple,
    /// Packets as on the wire (an offloaded segment counts as the packets it becomes).
    pub packets: u64,
    /// Bytes from the network header on.
    pub bytes: u64,
    /// Was it let through?
    pub action: Action,
    /// What else is known.
    pub extras: Extras,
}

/// One line of a flow log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where it was seen.
    pub source: SourceId,
    /// The flow; none in records that only tell a status.
    pub flow: Option<Flow>,
    /// Unix second of the first packet, or of the window's start where there is no flow.
    pub start: i64,
    /// Unix second of the last packet, or of the window's end.
    pub end: i64,
    /// How complete the log is.
    pub status: LogStatus,
}

/// What a window did not account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// Packets of flows (or, from exporters, flow records) that were seen and found no room.
    pub packets: u64,
    /// Their bytes, where known.
    pub bytes: u64,
    /// Drops whose packets could not be booked as rejected: they stand as accepted, or are missing if they were going out.
    pub verdicts: u64,
    /// Packets or datagrams that the system dropped before the observer saw them.
    pub unseen: u64,
    /// Packets or datagrams that could not be read.
    pub malformed: u64,
}

impl Loss {
    /// Was anything of the flows lost?
    #[must_use]
    pub fn any(&self) -> bool {
        self.packets != 0 || self.verdicts != 0 || self.unseen != 0 || self.malformed != 0
    }

    /// Adds another window's.
    pub fn add(&mut self, other: &Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.verdicts = self.verdicts.saturating_add(other.verdicts);
        self.unseen = self.unseen.saturating_add(other.unseen);
        self.malformed = self.malformed.saturating_add(other.malformed);
    }
}

/// The end of a window, after all its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// 0, 1, 2, … since the observer started.
    pub number: u64,
    /// Unix second at which it began.
    pub start: i64,
    /// Unix second at which it ended. Longer after `start` than asked for when the reader of the records was slow.
    pub end: i64,
    /// Records of flows handed over for it.
    pub records: u64,
    /// Packets that these records, and those left out by the traffic type, stand for.
    pub packets: u64,
    /// Packets of other protocols than IP, which are no flows.
    pub other: u64,
    /// What was not accounted.
    pub loss: Loss,
}

/// What an observer hands to its reader: records, and after the last of a window its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Records of the window that is being handed over; never empty, at most some thousand.
    Records(Vec<Record>),
    /// All records of this window have been handed over.
    WindowEnd(Window),
}
