//! `[[network]]` and `[flow_logs]`: what the VPC door's resources are on this machine, and how they are observed.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use engine::flow_log::{Extra, Network, Networks, Prefix};
use flow_capture::Method;
use model::NetworkKind;

use super::reader::Section;

/// `[flow_logs]`
#[derive(Debug, Clone)]
pub struct FlowLogs {
    /// Length of a window where the flow log has none of its own.
    pub window: Duration,
    /// Flows that a window may hold.
    pub max_flows: u32,
    /// How to observe.
    pub method: Method,
    /// Fields beyond the product's.
    pub extras: Vec<Extra>,
    /// Bytes of records that one flow log keeps while its topic can't be written.
    pub buffer: usize,
}

impl Default for FlowLogs {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            max_flows: 262_144,
            method: Method::Best,
            extras: Vec::new(),
            buffer: 64 << 20,
        }
    }
}

impl FlowLogs {
    /// The catalogue as the engine takes it.
    pub fn networks(&self, list: &[Network], data_dir: &Path) -> Networks {
        Networks {
            list: list.to_vec(),
            window: self.window,
            max_flows: self.max_flows,
            method: self.method,
            extras: self.extras.clone(),
            data_dir: data_dir.to_owned(),
        }
    }
}

/// Reads `[flow_logs]`.
pub fn flow_logs(s: &mut Section<'_, '_, '_>, out: &mut FlowLogs) {
    if let Some(n) = s.integer("window_seconds", 1..=3600) {
        out.window = Duration::from_secs(n);
    }
    if let Some(n) = s.integer("max_flows", 1..=16_000_000) {
        out.max_flows = u32::try_from(n).unwrap_or(262_144);
    }
    match s.text("method").as_deref() {
        None | Some("best") => {}
        Some("bpf") => out.method = Method::Bpf,
        Some("packets") => out.method = Method::Packets,
        Some(_) => s.problem("method", "must be \"best\", \"bpf\" or \"packets\""),
    }
    for name in s.texts("extra_fields") {
        match Extra::ALL.into_iter().find(|e| e.name() == name) {
            Some(extra) => out.extras.push(extra),
            None => {
                let all = Extra::ALL.map(Extra::name).join(", ");
                s.problem("extra_fields", format!("`{name}` is none of {all}"));
            }
        }
    }
    if let Some(n) = s.size("buffer") {
        if !(64 << 10..=16 << 30).contains(&n) {
            s.problem("buffer", "must be from 64KiB to 16GiB");
        }
        out.buffer = usize::try_from(n).unwrap_or(64 << 20);
    }
}

/// Reads a `[[network]]`.
pub fn network(s: &mut Section<'_, '_, '_>) -> Network {
    let id = s.required("id");
    let kind = NetworkKind::of_id(&id);
    let rest = kind.and_then(|k| id.strip_prefix(k.prefix())).unwrap_or_default();
    let plain = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !id.is_empty() && (rest.is_empty() || !plain || id.len() > 128) {
        s.problem("id", "must be eni-, subnet-, vpc-, nat-, ccn- or dcg- followed by letters or digits");
    }
    let vpc = s.text("vpc");
    if vpc.as_deref().is_some_and(|v| !v.starts_with("vpc-")) {
        s.problem("vpc", "must start with vpc-");
    }
    let network = Network {
        id,
        vpc,
        accounts: s.texts("accounts"),
        namespace: s.text("namespace"),
        devices: s.texts("devices"),
        prefixes: prefixes(s, "prefixes"),
        subnets: s.texts("subnets"),
        listen: listen(s),
        exporters: exporters(s),
        region: s.text("region").unwrap_or_else(|| "local".to_owned()),
        regions: regions(s),
        reject_group: s.integer("reject_group", 0..=65535).and_then(|n| u16::try_from(n).ok()),
    };
    fits(s, &network, kind);
    network
}

/// Each kind of resource has what it needs, and nothing that it can't use.
fn fits(s: &mut Section<'_, '_, '_>, n: &Network, kind: Option<NetworkKind>) {
    let by_exporter = matches!(kind, Some(NetworkKind::Ccn | NetworkKind::Dcg));
    match kind {
        _ if by_exporter => {
            if n.listen.is_none() {
                s.problem("listen", "is missing: the address and port that exporters send to");
            }
            if !n.devices.is_empty() || n.namespace.is_some() {
                s.problem("devices", "a ccn or dcg has an address to listen on, and no devices or namespace");
            }
        }
        Some(NetworkKind::Interface) if n.devices.len() != 1 => {
            s.problem("devices", "an eni is one device: [\"eth0\"]");
        }
        Some(NetworkKind::Subnet) if n.devices.is_empty() && n.subnets.is_empty() => {
            s.problem("devices", "is missing (or subnets)");
        }
        Some(NetworkKind::Nat) if !n.devices.is_empty() || !n.subnets.is_empty() => {
            s.problem("devices", "a nat is what its namespace translates, and has no devices or subnets");
        }
        _ => {}
    }
    if !by_exporter && n.listen.is_some() {
        s.problem("listen", "is for ccn and dcg only");
    }
}

fn prefixes(s: &mut Section<'_, '_, '_>, key: &'static str) -> Vec<Prefix> {
    let mut out = Vec::new();
    for text in s.texts(key) {
        match Prefix::parse(&text) {
            Some(prefix) => out.push(prefix),
            None => s.problem(key, format!("`{text}` is no prefix (try \"10.0.0.0/16\")")),
        }
    }
    out
}

fn listen(s: &mut Section<'_, '_, '_>) -> Option<SocketAddr> {
    let text = s.text("listen")?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        s.problem("listen", format!("`{text}` is not address:port (try \"0.0.0.0:2055\")"));
    }
    parsed
}

fn exporters(s: &mut Section<'_, '_, '_>) -> Vec<IpAddr> {
    let mut out = Vec::new();
    for text in s.texts("exporters") {
        match text.parse() {
            Ok(address) => out.push(address),
            Err(_) => s.problem("exporters", format!("`{text}` is no address")),
        }
    }
    out
}

/// `["ap-guangzhou=10.0.0.0/16", …]`
fn regions(s: &mut Section<'_, '_, '_>) -> Vec<(String, Prefix)> {
    let mut out = Vec::new();
    for text in s.texts("regions") {
        let pair = text.split_once('=').map(|(name, prefix)| (name.trim(), Prefix::parse(prefix.trim())));
        match pair {
            Some((name, Some(prefix))) if !name.is_empty() => out.push((name.to_owned(), prefix)),
            _ => s.problem("regions", format!("`{text}` is not region=prefix")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::config::check;
    use std::path::Path;

    #[test]
    fn resources_are_read() {
        let text = "[flow_logs]\nwindow_seconds=1\nmethod='bpf'\nextra_fields=['tcp-flags','device']\n\
                    [[network]]\nid='eni-1'\nvpc='vpc-1'\nnamespace='blue'\ndevices=['veth0']\n\
                    [[network]]\nid='vpc-1'\nnamespace='blue'\nsubnets=['subnet-1']\n\
                    [[network]]\nid='subnet-1'\nnamespace='blue'\ndevices=['br0']\nprefixes=['10.0.0.0/24']\n\
                    [[network]]\nid='vpc-2'\n[[network]]\nid='nat-1'\nnamespace='blue'\n\
                    [[network]]\nid='ccn-1'\nlisten='0.0.0.0:2055'\nexporters=['10.0.0.9']\nregions=['a=10.0.0.0/8']\n";
        let config = check(text, Path::new("/etc")).unwrap_or_else(|p| panic!("{p:?}"));
        assert_eq!(config.networks.len(), 6);
        assert_eq!(config.flow_logs.extras.len(), 2);
        assert_eq!(config.flow_logs.window.as_secs(), 1);
        assert_eq!(config.networks[5].regions[0].0, "a");
    }

    #[test]
    fn every_problem_is_named() {
        let text = "[flow_logs]\nmethod='guess'\nbuffer='1KiB'\nextra_fields=['rtt']\n[[network]]\nid='ins-1'\n\
                    [[network]]\nid='eni-2'\ndevices=['a','b']\nlisten='x'\n[[network]]\nid='ccn-1'\nexporters=['y']\n\
                    [[network]]\nid='vpc-1'\nprefixes=['10/99']\nregions=['z']\n[[network]]\nid='subnet-1'\nsubnets=['subnet-9']\n\
                    [[network]]\nid='subnet-2'\n[[network]]\nid='nat-1'\ndevices=['a']\n";
        let problems = check(text, Path::new("/etc")).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        for want in [
            "flow_logs.method",
            "flow_logs.buffer",
            "network[0].id",
            "network[1].devices",
            "network[1].listen",
            "network[2].listen",
            "network[2].exporters",
            "flow_logs.extra_fields",
            "network[5].devices",
            "network[6].devices",
            "network[3].prefixes",
            "network[3].regions",
            "network",
        ] {
            assert!(keys.contains(&want), "{want} not in {keys:?}");
        }
    }
}
