//! The catalogue of network resources: what an identifier of the products is on this machine.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use flow_capture::{Method, Namespace};
use model::{LoggedTraffic, NetworkKind};

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

impl Prefix {
    /// `10.0.0.0/8`, `fd00::/8`, or a lone address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |b| b.parse().ok().filter(|b| *b <= most))?;
        Some(Self { address, bits })
    }

    /// Does an address lie in it?
    #[must_use]
    pub fn holds(&self, other: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// A resource of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Identifier; its prefix says the kind.
    pub id: String,
    /// The virtual network that it is in; `None` = any that is asked for.
    pub vpc: Option<String>,
    /// Accounts that may observe it; none = all.
    pub accounts: Vec<String>,
    /// Network namespace: a name, or a path (`/proc/<pid>/ns/net`); `None` = the server's own.
    pub namespace: Option<String>,
    /// Devices.
    pub devices: Vec<String>,
    /// Only flows with an end in one of these; none = all.
    pub prefixes: Vec<Prefix>,
    /// Other resources whose devices (and prefixes) belong to it.
    pub subnets: Vec<String>,
    /// Where exporters send to.
    pub listen: Option<SocketAddr>,
    /// Whose datagrams count; none = everybody's.
    pub exporters: Vec<IpAddr>,
    /// The region that it records in.
    pub region: String,
    /// Which addresses lie in which region.
    pub regions: Vec<(String, Prefix)>,
    /// NFLOG group of dropped packets, where packets are copied.
    pub reject_group: Option<u16>,
}

/// All resources, and how to observe them.
#[derive(Debug, Clone)]
pub struct Networks {
    /// The resources.
    pub list: Vec<Network>,
    /// Length of a window where the flow log has none of its own.
    pub window: Duration,
    /// Flows that a window may hold.
    pub max_flows: u32,
    /// How to observe.
    pub method: Method,
    /// Where collectors keep templates.
    pub data_dir: PathBuf,
}

/// What is asked of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// Who asks.
    pub account: &'a str,
    /// Which resource.
    pub resource: &'a str,
    /// The virtual network that it is said to be in, or nothing.
    pub vpc: &'a str,
    /// Which traffic.
    pub traffic: LoggedTraffic,
    /// Length of a window.
    pub window: Option<Duration>,
}

/// Why a resource can't be observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is none for this account.
    Unknown(String),
    /// Rights are missing.
    Rights(String),
    /// It isn't there now.
    Away(String),
    /// It can't be done here.
    Unsupported(String),
}

/// What to observe.
pub(super) enum Plan {
    Devices { options: flow_capture::Options, interfaces: Vec<String>, prefixes: Vec<Prefix> },
    Exporters { options: Box<flow_collector::Options>, network: Box<Network> },
}

impl Networks {
    /// How a resource is observed.
    pub(super) fn plan(&self, l: &Lookup<'_>) -> Result<Plan, Refusal> {
        let unknown = || Refusal::Unknown(format!("{} is not in the catalogue", l.resource));
        let found = self.list.iter().find(|n| n.id == l.resource).ok_or_else(unknown)?;
        let allowed = found.accounts.is_empty() || found.accounts.iter().any(|a| a == l.account);
        let inside = l.vpc.is_empty() || found.vpc.as_deref().is_none_or(|v| v == l.vpc);
        if !allowed || !inside {
            return Err(unknown());
        }
        match NetworkKind::of_id(&found.id) {
            Some(NetworkKind::Ccn | NetworkKind::Dcg) => self.exporters(found, l),
            Some(NetworkKind::Nat) => Err(Refusal::Unsupported(
                "flow logs of NAT gateways are not built yet: log the gateway's devices as eni-… instead"
                    .into(),
            )),
            _ => self.devices(found, l),
        }
    }

    fn devices(&self, found: &Network, l: &Lookup<'_>) -> Result<Plan, Refusal> {
        let mut devices = found.devices.clone();
        let mut prefixes = found.prefixes.clone();
        for id in &found.subnets {
            let Some(member) = self.list.iter().find(|n| n.id == *id) else { continue };
            if member.namespace != found.namespace {
                let message = format!("{id} lies in another network namespace than {}", found.id);
                return Err(Refusal::Unsupported(message));
            }
            devices.extend(member.devices.iter().filter(|d| !found.devices.contains(d)).cloned());
            prefixes.extend(&member.prefixes);
        }
        devices.dedup();
        // A device's own identifier, where the catalogue has one.
        let interface = |device: &String| {
            let is = |n: &&Network| {
                n.id.starts_with("eni-") && n.namespace == found.namespace && n.devices == [device.clone()]
            };
            self.list.iter().find(is).map_or_else(|| found.id.clone(), |n| n.id.clone())
        };
        let interfaces = devices.iter().map(interface).collect();
        let namespace = match found.namespace.as_deref() {
            None => Namespace::Own,
            Some(path) if path.starts_with('/') => Namespace::File(path.into()),
            Some(name) => Namespace::Named(name.into()),
        };
        let mut options = flow_capture::Options::new(namespace, devices);
        options.traffic = traffic(l.traffic);
        options.window = l.window.unwrap_or(self.window);
        options.max_flows = self.max_flows;
        options.max_rejected = self.max_flows.min(options.max_rejected);
        options.method = self.method;
        options.reject_group = found.reject_group;
        options.check().map_err(|p| Refusal::Unsupported(p.join("; ")))?;
        Ok(Plan::Devices { options, interfaces, prefixes })
    }

    fn exporters(&self, found: &Network, l: &Lookup<'_>) -> Result<Plan, Refusal> {
        let none = || Refusal::Unsupported(format!("{} has no address to listen on", found.id));
        let mut options = flow_collector::Options::new(found.listen.ok_or_else(none)?);
        options.allowed.clone_from(&found.exporters);
        options.traffic = traffic(l.traffic);
        options.window = l.window.unwrap_or(self.window);
        options.max_flows = self.max_flows;
        options.templates = Some(self.data_dir.join(format!("templates-{}", found.id)));
        Ok(Plan::Exporters { options: Box::new(options), network: Box::new(found.clone()) })
    }

    /// Can it be observed now, with the rights that this process has? May take a moment: it is tried.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, l: &Lookup<'_>, clock: &runtime::Clock) -> Result<(), Refusal> {
        let Plan::Devices { mut options, .. } = self.plan(l)? else { return Ok(()) };
        let only_rejected = options.traffic == flow_record::TrafficType::Reject;
        let group = options.reject_group;
        options.max_flows = 16;
        options.max_rejected = 16;
        let capture = flow_capture::Capture::start(options, clock.clone()).map_err(|e| refusal(&e))?;
        let status = capture.status();
        drop(capture);
        if let flow_capture::State::NoNamespace(why) = status.state {
            return Err(Refusal::Away(format!("the network namespace of {}: {why}", l.resource)));
        }
        if only_rejected && status.method == Method::Packets && group.is_none() {
            let message = "dropped packets can't be seen here without BPF or an NFLOG group";
            return Err(Refusal::Unsupported(message.into()));
        }
        let is_there =
            |d: &flow_capture::DeviceStatus| matches!(d.state, flow_capture::DeviceState::Attached(_));
        if status.devices.iter().any(is_there) {
            return Ok(());
        }
        let names: Vec<_> = status.devices.iter().map(|d| d.name.as_str()).collect();
        Err(Refusal::Away(format!("there is no device {} now", names.join(", "))))
    }
}

/// A capture's refusal.
pub(super) fn refusal(e: &flow_capture::Error) -> Refusal {
    match e {
        flow_capture::Error::Rights(_) => Refusal::Rights(e.to_string()),
        _ => Refusal::Unsupported(e.to_string()),
    }
}

fn traffic(t: LoggedTraffic) -> flow_record::TrafficType {
    match t {
        LoggedTraffic::Accept => flow_record::TrafficType::Accept,
        LoggedTraffic::Reject => flow_record::TrafficType::Reject,
        LoggedTraffic::All => flow_record::TrafficType::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (prefix, address, want) in [
            ("10.0.0.0/8", "10.9.9.9", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "10.0.0.1", false),
        ] {
            let prefix = Prefix::parse(prefix).unwrap();
            assert_eq!(prefix.holds(address.parse().unwrap()), want, "{prefix:?} {address}");
        }
        for bad in ["", "10.0.0.0/33", "x/8", "10.0.0.0/-1", "::/129"] {
            assert_eq!(Prefix::parse(bad), None, "{bad}");
        }
    }
}
