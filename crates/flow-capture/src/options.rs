//! What to capture, and the limits on it.

use flow_record::TrafficType;
use std::path::PathBuf;
use std::time::Duration;

/// Where the devices are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespace {
    /// The namespace of this process.
    Own,
    /// A namespace by its name, as `ip netns` gives it.
    Named(String),
    /// A namespace's file, such as `/proc/<pid>/ns/net`.
    File(PathBuf),
}

/// How to observe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// BPF; copied packets where BPF isn't allowed or the kernel lacks something.
    #[default]
    Best,
    /// BPF or nothing.
    Bpf,
    /// Copied packet headers (`AF_PACKET`).
    Packets,
    /// No devices: what the namespace's NAT translates, out of its connection tracking.
    Connections,
}

/// What to capture.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the devices are.
    pub namespace: Namespace,
    /// Names of the devices; a record's source is the place in this list, and after it in that of [`Status`](crate::Status).
    pub devices: Vec<String>,
    /// All devices of the namespace but its loopback, as they come and go.
    pub every_device: bool,
    /// Where a device is a bridge: also what it passes on between its ports.
    pub bridge_ports: bool,
    /// Which actions are wanted.
    pub traffic: TrafficType,
    /// Length of a window. Windows begin at multiples of it, by the wall clock.
    pub window: Duration,
    /// Flows that a window may hold; packets of further ones are counted as lost.
    pub max_flows: u32,
    /// Dropped flows that a window may hold, besides.
    pub max_rejected: u32,
    /// How to observe.
    pub method: Method,
    /// Where packets are copied: the NFLOG group to which the rule set sends what it drops (`log group N drop`).
    pub reject_group: Option<u16>,
    /// Deliveries that may wait for their reader.
    pub queue: usize,
}

impl Options {
    /// The usual limits: windows of a minute with 131,072 flows. More room costs memory in the kernel from the start (32 bytes a
    /// flow) and CPU per packet, because the table of flows spreads over more pages: with room for a million and 5,000 flows about
    /// half as much again.
    #[must_use]
    pub fn new(namespace: Namespace, devices: Vec<String>) -> Self {
        Self {
            namespace,
            devices,
            every_device: false,
            bridge_ports: false,
            traffic: TrafficType::All,
            window: Duration::from_secs(60),
            max_flows: 131_072,
            max_rejected: 65_536,
            method: Method::Best,
            reject_group: None,
            queue: 64,
        }
    }

    /// All that is wrong with them.
    ///
    /// # Errors
    /// The problems, at least one.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let count = self.devices.len();
        match self.method {
            Method::Connections if count != 0 || self.every_device => {
                problems.push("connections are those of a namespace, and of no devices".into());
            }
            Method::Connections => {}
            _ if count > 256 || (count == 0 && !self.every_device) => {
                problems.push(format!("{count} devices: there must be 1 to 256"));
            }
            _ => {}
        }
        for name in &self.devices {
            // The kernel's own rule (dev_valid_name).
            let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0';
            if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.contains(odd) {
                problems.push(format!("{name:?} is no name of a network device"));
            }
        }
        if let Namespace::Named(name) = &self.namespace
            && (name.is_empty() || name.len() > 255 || name.contains(['/', '\0']) || name.starts_with('.'))
        {
            problems.push(format!("{name:?} is no name of a network namespace"));
        }
        if self.window < Duration::from_millis(100) || self.window > Duration::from_secs(3_600) {
            problems.push(format!("a window of {:?}: it must be 100 ms to an hour", self.window));
        }
        for (name, value) in [("max_flows", self.max_flows), ("max_rejected", self.max_rejected)] {
            if !(1..=16_000_000).contains(&value) {
                problems.push(format!("{name} is {value}: it must be 1 to 16,000,000"));
            }
        }
        if !(1..=4_096).contains(&self.queue) {
            problems.push(format!("queue is {}: it must be 1 to 4,096", self.queue));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_at_once() {
        let mut options =
            Options::new(Namespace::Named("../x".into()), vec!["eth0".into(), "a/b".into(), String::new()]);
        options.window = Duration::from_millis(1);
        options.max_flows = 0;
        options.queue = 0;
        assert_eq!(options.check().unwrap_err().len(), 6);
        assert!(Options::new(Namespace::Own, vec!["eth0".into()]).check().is_ok());
        let none = || Options::new(Namespace::Own, Vec::new());
        assert!(none().check().is_err());
        assert!(Options { every_device: true, ..none() }.check().is_ok());
        assert!(Options { method: Method::Connections, ..none() }.check().is_ok());
        let both = Options::new(Namespace::Own, vec!["eth0".into()]);
        assert!(Options { method: Method::Connections, ..both }.check().is_err());
    }
}
