//! The catalogue of network resources: what an identifier of the products is on this machine.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use flow_capture::{Method, Namespace};
use flow_record::fields::Extra;
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
    /// Fields beyond the product's.
    pub extras: Vec<Extra>,
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
    Devices(Box<DevicePlan>),
    Exporters(Box<ExporterPlan>),
}

/// Devices of a namespace, or its connections.
pub(super) struct DevicePlan {
    pub(super) options: flow_capture::Options,
    /// The resource: the interface of what has none of its own.
    pub(super) id: String,
    /// Devices of the namespace that have an identifier of their own.
    pub(super) enis: Vec<(String, String)>,
    /// Only flows with an end in one of these; none = all.
    pub(super) prefixes: Vec<Prefix>,
    /// The same for each device of the options: those of its subnets.
    pub(super) parts: Vec<Vec<Prefix>>,
    pub(super) extras: Vec<Extra>,
}

/// Exporters that send to a port.
pub(super) struct ExporterPlan {
    pub(super) options: flow_collector::Options,
    pub(super) network: Network,
    pub(super) extras: Vec<Extra>,
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
            Some(NetworkKind::Nat) => self.capture(found, l, (Vec::new(), Vec::new()), |o| {
                o.method = Method::Connections;
            }),
            Some(NetworkKind::Vpc) if found.devices.is_empty() && found.subnets.is_empty() => {
                self.capture(found, l, (Vec::new(), Vec::new()), |o| o.every_device = true)
            }
            Some(NetworkKind::Vpc | NetworkKind::Subnet) => {
                self.capture(found, l, self.members(found, l.account)?, |o| o.bridge_ports = true)
            }
            _ => self.capture(found, l, self.members(found, l.account)?, |_| {}),
        }
    }

    /// The devices of a resource and its subnets, and the prefixes that count at each of them.
    fn members(&self, found: &Network, account: &str) -> Result<(Vec<String>, Vec<Vec<Prefix>>), Refusal> {
        let mut parts: Vec<(String, Vec<Prefix>)> =
            found.devices.iter().map(|d| (d.clone(), Vec::new())).collect();
        for id in &found.subnets {
            let Some(member) = self.list.iter().find(|n| n.id == *id) else { continue };
            if !member.accounts.is_empty() && !member.accounts.iter().any(|a| a == account) {
                return Err(Refusal::Unknown(format!("{} is not in the catalogue", found.id)));
            }
            if member.namespace != found.namespace {
                let message = format!("{id} lies in another network namespace than {}", found.id);
                return Err(Refusal::Unsupported(message));
            }
            for device in &member.devices {
                match parts.iter_mut().find(|(d, _)| d == device) {
                    None => parts.push((device.clone(), member.prefixes.clone())),
                    // One subnet takes all of it.
                    Some((_, all)) if all.is_empty() || member.prefixes.is_empty() => all.clear(),
                    Some((_, some)) => some.extend(&member.prefixes),
                }
            }
        }
        Ok(parts.into_iter().unzip())
    }

    fn capture(
        &self,
        found: &Network,
        l: &Lookup<'_>,
        (devices, parts): (Vec<String>, Vec<Vec<Prefix>>),
        change: impl FnOnce(&mut flow_capture::Options),
    ) -> Result<Plan, Refusal> {
        let eni = |n: &Network| match &n.devices[..] {
            [one] if n.id.starts_with("eni-") && n.namespace == found.namespace => {
                Some((one.clone(), n.id.clone()))
            }
            _ => None,
        };
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
        change(&mut options);
        options.check().map_err(|p| Refusal::Unsupported(p.join("; ")))?;
        let mut extras = self.extras.clone();
        if options.method == Method::Connections {
            extras.push(Extra::Translated);
        }
        Ok(Plan::Devices(Box::new(DevicePlan {
            options,
            id: found.id.clone(),
            enis: self.list.iter().filter_map(eni).collect(),
            prefixes: found.prefixes.clone(),
            parts,
            extras,
        })))
    }

    fn exporters(&self, found: &Network, l: &Lookup<'_>) -> Result<Plan, Refusal> {
        let none = || Refusal::Unsupported(format!("{} has no address to listen on", found.id));
        let mut options = flow_collector::Options::new(found.listen.ok_or_else(none)?);
        options.allowed.clone_from(&found.exporters);
        options.traffic = traffic(l.traffic);
        options.window = l.window.unwrap_or(self.window);
        options.max_flows = self.max_flows;
        options.templates = Some(self.data_dir.join(format!("templates-{}", found.id)));
        let (network, extras) = (found.clone(), self.extras.clone());
        Ok(Plan::Exporters(Box::new(ExporterPlan { options, network, extras })))
    }

    /// Can it be observed now, with the rights that this process has? May take a moment: it is tried.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, l: &Lookup<'_>, clock: &runtime::Clock) -> Result<(), Refusal> {
        let Plan::Devices(plan) = self.plan(l)? else { return Ok(()) };
        let mut options = plan.options;
        let only_rejected = options.traffic == flow_record::TrafficType::Reject;
        let group = options.reject_group;
        let named = !options.devices.is_empty();
        let by_connections = options.method == Method::Connections;
        options.max_flows = 16;
        options.max_rejected = 16;
        let capture = flow_capture::Capture::start(options, clock.clone()).map_err(|e| refusal(&e))?;
        let status = capture.status();
        drop(capture);
        match status.state {
            flow_capture::State::NoNamespace(why) if by_connections => {
                return Err(Refusal::Unsupported(format!("{}: {why}", l.resource)));
            }
            flow_capture::State::NoNamespace(why) => {
                return Err(Refusal::Away(format!("the network namespace of {}: {why}", l.resource)));
            }
            flow_capture::State::Denied(why) => return Err(Refusal::Rights(why)),
            _ => {}
        }
        if only_rejected && status.method == Method::Packets && group.is_none() {
            let message = "dropped packets can't be seen here without BPF or an NFLOG group";
            return Err(Refusal::Unsupported(message.into()));
        }
        let is_there =
            |d: &flow_capture::DeviceStatus| matches!(d.state, flow_capture::DeviceState::Attached(_));
        if !named || status.devices.iter().any(is_there) {
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

    fn network(id: &str, devices: &[&str], subnets: &[&str], prefixes: &[&str]) -> Network {
        let texts = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
        Network {
            id: id.into(),
            vpc: None,
            accounts: Vec::new(),
            namespace: None,
            devices: texts(devices),
            prefixes: prefixes.iter().filter_map(|p| Prefix::parse(p)).collect(),
            subnets: texts(subnets),
            listen: None,
            exporters: Vec::new(),
            region: String::new(),
            regions: Vec::new(),
            reject_group: None,
        }
    }

    fn plan_of(list: Vec<Network>, resource: &str) -> DevicePlan {
        let networks = Networks {
            list,
            window: Duration::from_secs(60),
            max_flows: 10,
            method: Method::Best,
            extras: vec![Extra::TcpFlags],
            data_dir: PathBuf::new(),
        };
        let lookup = Lookup { account: "a", resource, vpc: "", traffic: LoggedTraffic::All, window: None };
        match networks.plan(&lookup) {
            Ok(Plan::Devices(plan)) => *plan,
            Ok(Plan::Exporters(_)) => panic!("exporters"),
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    #[test]
    fn each_device_of_a_vpc_has_the_prefixes_of_its_subnets() {
        let list = vec![
            network("vpc-1", &[], &["subnet-1", "subnet-2", "subnet-3"], &[]),
            network("subnet-1", &["br0", "eth0"], &[], &["10.1.0.0/16"]),
            network("subnet-2", &["br0"], &[], &["10.2.0.0/16"]),
            network("subnet-3", &["eth0"], &[], &[]),
            network("eni-1", &["eth0"], &[], &[]),
        ];
        let plan = plan_of(list, "vpc-1");
        assert_eq!(plan.options.devices, ["br0", "eth0"]);
        assert_eq!((plan.parts[0].len(), plan.parts[1].len()), (2, 0), "subnet-3 takes all of eth0");
        assert_eq!(plan.enis, [("eth0".to_owned(), "eni-1".to_owned())]);
        assert!(plan.options.bridge_ports && !plan.options.every_device);
    }

    /// A network doesn't open a subnet that is another account's.
    #[test]
    fn a_vpc_shows_no_foreign_subnet() {
        let mut list =
            vec![network("vpc-1", &[], &["subnet-1"], &[]), network("subnet-1", &["eth0"], &[], &[])];
        list[1].accounts = vec!["b".into()];
        let networks = Networks {
            list,
            window: Duration::from_secs(60),
            max_flows: 10,
            method: Method::Best,
            extras: Vec::new(),
            data_dir: PathBuf::new(),
        };
        for (account, refused) in [("a", true), ("b", false)] {
            let lookup =
                Lookup { account, resource: "vpc-1", vpc: "", traffic: LoggedTraffic::All, window: None };
            assert_eq!(matches!(networks.plan(&lookup), Err(Refusal::Unknown(_))), refused, "{account}");
        }
    }

    #[test]
    fn a_vpc_may_be_a_namespace_and_a_nat_is_its_connections() {
        let list = vec![network("vpc-1", &[], &[], &[]), network("nat-1", &[], &[], &[])];
        let whole = plan_of(list.clone(), "vpc-1");
        assert!(whole.options.every_device && whole.options.devices.is_empty());
        assert_eq!(whole.extras, [Extra::TcpFlags]);
        let nat = plan_of(list, "nat-1");
        assert_eq!(nat.options.method, Method::Connections);
        assert_eq!(nat.extras, [Extra::TcpFlags, Extra::Translated]);
    }

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
