//! `[broker]`: the embedded Kafka-compatible broker. It runs when the section is there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::Section;
use super::sections::{SecretSource, required_secret, unique};

/// `[broker]`
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Address and port; port 0 takes a free one and writes it to `<data_dir>/broker-port`.
    pub address: SocketAddr,
    /// Host and port that clients are told; default: the address.
    pub advertised: Option<(String, u16)>,
    /// PEM files of certificate chain and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// May accounts log in with their key pairs?
    pub accounts: bool,
    /// Further users.
    pub users: Vec<(String, SecretSource)>,
    /// Everything else.
    pub settings: broker::Settings,
}

impl BrokerConfig {
    /// Does it ask for a name and password?
    pub fn asks(&self) -> bool {
        self.accounts || !self.users.is_empty()
    }
}

/// Reads the section; `None` when it is absent or switched off.
pub fn read(s: &mut Section<'_, '_, '_>, base: &Path, data_dir: &Path) -> Option<BrokerConfig> {
    let is_there = s.is_there();
    let enabled = s.boolean("enabled").unwrap_or(is_there);
    let folder = s.text("data_dir").map_or_else(|| data_dir.join("broker"), |d| base.join(d));
    let mut config = BrokerConfig {
        address: SocketAddr::from(([127, 0, 0, 1], 9092)),
        advertised: None,
        tls: None,
        accounts: s.boolean("accounts").unwrap_or(false),
        users: Vec::new(),
        settings: broker::Settings::new(folder),
    };
    listen(s, &mut config, base);
    topics(s, &mut config.settings);
    limits(s, &mut config.settings.limits);
    config.settings.fsync = fsync(s);
    s.sections("user", |s| {
        let name = s.required("name");
        if name.bytes().any(|b| b == 0 || b == b',' || b == b'=') {
            s.problem("name", "must not hold a comma, an equals sign or NUL");
        }
        let secret = required_secret(s, ["password", "password_file", "password_env"], base);
        config.users.push((name, secret));
    });
    unique(s, "user", config.users.iter().map(|(name, _)| name.as_str()));
    enabled.then_some(config)
}

fn listen(s: &mut Section<'_, '_, '_>, out: &mut BrokerConfig, base: &Path) {
    if let Some(address) = s.text("address") {
        match address.parse() {
            Ok(a) => out.address = a,
            Err(_) => {
                s.problem("address", format!("`{address}` is not address:port (try \"127.0.0.1:9092\")"))
            }
        }
    }
    match s.text("advertised") {
        Some(text) => match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) if !host.is_empty() && port > 0 => {
                out.advertised = Some((host.to_owned(), port));
            }
            _ => s.problem("advertised", format!("`{text}` is not host:port")),
        },
        None if out.address.ip().is_unspecified() => {
            s.problem("advertised", "is needed: clients can't be told to connect to an address of zeros");
        }
        None => {}
    }
    match (s.text("tls_certificate"), s.text("tls_key")) {
        (Some(c), Some(k)) => out.tls = Some((base.join(c), base.join(k))),
        (None, None) => {}
        (Some(_), None) => s.problem("tls_certificate", "needs tls_key beside it"),
        (None, Some(_)) => s.problem("tls_key", "needs tls_certificate beside it"),
    }
}

fn topics(s: &mut Section<'_, '_, '_>, out: &mut broker::Settings) {
    let topics = &mut out.topics;
    if let Some(n) = s.integer("partitions", 1..=1000) {
        topics.partitions = i32::try_from(n).unwrap_or(1);
    }
    if let Some(hours) = s.integer("retention_hours", 0..=1_000_000) {
        topics.retention_ms = if hours == 0 { -1 } else { i64::try_from(hours).unwrap_or(1) * 3_600_000 };
    }
    if let Some(bytes) = s.size("retention_bytes") {
        topics.retention_bytes = if bytes == 0 { -1 } else { i64::try_from(bytes).unwrap_or(i64::MAX) };
    }
    if let Some(bytes) = s.size("segment") {
        if !(1 << 14..=2 << 30).contains(&bytes) {
            s.problem("segment", "must be from 16KiB to 2GiB");
        }
        topics.segment_bytes = bytes;
    }
    if let Some(bytes) = s.size("max_message") {
        if !(1024..=90 << 20).contains(&bytes) {
            s.problem("max_message", "must be from 1KiB to 90MiB");
        }
        topics.max_message_bytes = usize::try_from(bytes).unwrap_or(1 << 20);
    }
    if let Some(seconds) = s.integer("upkeep_seconds", 1..=86_400) {
        out.upkeep = Duration::from_secs(seconds);
    }
    if let Some(create) = s.boolean("auto_create_topics") {
        out.auto_create_topics = create;
    }
}

fn limits(s: &mut Section<'_, '_, '_>, out: &mut broker::Limits) {
    if let Some(n) = s.integer("max_connections", 1..=100_000) {
        out.connections = usize::try_from(n).unwrap_or(1000);
    }
    if let Some(n) = s.integer("max_partitions", 1..=1_000_000) {
        out.partitions = usize::try_from(n).unwrap_or(10_000);
    }
    if let Some(bytes) = s.size("memory") {
        if bytes < 16 << 20 {
            s.problem("memory", "must be at least 16MiB");
        }
        out.memory = bytes;
    }
}

fn fsync(s: &mut Section<'_, '_, '_>) -> broker::Fsync {
    let interval = s.integer("fsync_interval_ms", 1..=3_600_000).unwrap_or(1000);
    match s.text("fsync").as_deref() {
        None | Some("interval") => broker::Fsync::Interval(Duration::from_millis(interval)),
        Some("each") => broker::Fsync::Each,
        Some("none") => broker::Fsync::Never,
        Some(_) => {
            s.problem("fsync", "must be \"each\", \"interval\" or \"none\"");
            broker::Fsync::Each
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use std::path::Path;
    use std::time::Duration;

    #[test]
    fn it_runs_when_its_section_is_there() {
        let of = |text: &str| check(text, Path::new("/etc")).unwrap_or_else(|p| panic!("{p:?}")).broker;
        assert!(of("").is_none());
        assert!(of("[broker]\nenabled = false\n").is_none());
        let config = of("[broker]\n").unwrap();
        assert_eq!(config.settings.data_dir, Path::new("/etc/wharf-data/broker"));
        assert_eq!(config.settings.fsync, broker::Fsync::Interval(Duration::from_secs(1)));
        assert!(!config.asks());
        let text = "[broker]\nfsync = 'each'\nretention_hours = 0\n[[broker.user]]\nname = 'u'\npassword = 'p-p-p'\n";
        let config = of(text).unwrap();
        assert!(config.asks() && config.settings.topics.retention_ms == -1);
        assert!(!format!("{config:?}").contains("p-p-p"));
    }

    #[test]
    fn every_problem_is_named() {
        let text = "[broker]\naddress = '0.0.0.0:9092'\nfsync = 'often'\nsegment = '1KiB'\ntls_key = 'k'\n\
                    [[broker.user]]\nname = 'a,b'\n";
        let problems = check(text, Path::new("/etc")).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        for want in ["advertised", "fsync", "segment", "tls_key"] {
            assert!(keys.contains(&format!("broker.{want}").as_str()), "{want} not in {keys:?}");
        }
        for want in ["name", "password"] {
            assert!(keys.contains(&format!("broker.user[0].{want}").as_str()), "{want} not in {keys:?}");
        }
    }
}
