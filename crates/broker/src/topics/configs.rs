//! The settings of a topic: which there are, what they may be, and which of them act.
//!
//! Some settings of Kafka mean nothing on one machine (replicas) or in this log. Clients and
//! tools set them all the same, so they are stored and shown; their documentation says that they do nothing.

use crate::error::{Error, Result};
use crate::settings::TopicDefaults;
use crate::storage::compact::Policy;
use crate::storage::log::LogSettings;
use kafka_protocol::ResponseError;
use std::collections::BTreeMap;

/// What a value looks like; the numbers are those of the protocol's `ConfigType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean = 1,
    /// One of some words, or a list of them.
    Text = 2,
    /// 32 bits.
    Int = 3,
    /// 64 bits.
    Long = 5,
    /// Words with commas between them.
    List = 7,
    /// A fraction.
    Double = 6,
}

/// One setting.
#[derive(Debug)]
pub struct Config {
    /// Name.
    pub name: &'static str,
    /// Form.
    pub kind: Kind,
    /// Smallest number that is allowed.
    least: i64,
    /// Words that are allowed; empty = any.
    words: &'static [&'static str],
    default: &'static str,
    /// What it does here.
    pub documentation: &'static str,
}

const fn number(
    name: &'static str,
    kind: Kind,
    least: i64,
    default: &'static str,
    doc: &'static str,
) -> Config {
    Config { name, kind, least, words: &[], default, documentation: doc }
}

const fn words(
    name: &'static str,
    kind: Kind,
    words: &'static [&'static str],
    default: &'static str,
    doc: &'static str,
) -> Config {
    Config { name, kind, least: 0, words, default, documentation: doc }
}

const STORED: &str = "Stored and shown; does nothing on this broker.";
const BOOL: &[&str] = &["true", "false"];

/// Every setting of a topic, by name. Source: Kafka's topic configs.
pub const CONFIGS: &[Config] = &[
    words(
        "cleanup.policy",
        Kind::List,
        &["delete", "compact"],
        "delete",
        "delete: old segments are removed. compact: of each key the newest record stays, in closed segments.",
    ),
    words(
        "compression.type",
        Kind::Text,
        &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"],
        "producer",
        "Batches are always kept as the producer compressed them.",
    ),
    number(
        "delete.retention.ms",
        Kind::Long,
        0,
        "86400000",
        "How long a tombstone stays after it was first compacted.",
    ),
    number("file.delete.delay.ms", Kind::Long, 0, "60000", STORED),
    number("flush.messages", Kind::Long, 1, "9223372036854775807", STORED),
    number("flush.ms", Kind::Long, 0, "9223372036854775807", STORED),
    number("index.interval.bytes", Kind::Int, 0, "4096", STORED),
    number("max.compaction.lag.ms", Kind::Long, 1, "9223372036854775807", STORED),
    number("max.message.bytes", Kind::Int, 0, "", "Largest record batch."),
    words("message.format.version", Kind::Text, &[], "3.0-IV1", STORED),
    number("message.timestamp.difference.max.ms", Kind::Long, 0, "9223372036854775807", STORED),
    number("message.timestamp.after.max.ms", Kind::Long, 0, "9223372036854775807", STORED),
    number("message.timestamp.before.max.ms", Kind::Long, 0, "9223372036854775807", STORED),
    words(
        "message.timestamp.type",
        Kind::Text,
        &["CreateTime", "LogAppendTime"],
        "CreateTime",
        "Whether records keep their producer's time or get the time at which they are stored.",
    ),
    words(
        "min.cleanable.dirty.ratio",
        Kind::Double,
        &[],
        "0.5",
        "A compacted topic is compacted when this part of its closed segments is new.",
    ),
    number(
        "min.compaction.lag.ms",
        Kind::Long,
        0,
        "0",
        "Segments with records younger than this are not compacted.",
    ),
    number("min.insync.replicas", Kind::Int, 1, "1", STORED),
    words("preallocate", Kind::Boolean, BOOL, "false", STORED),
    number(
        "retention.bytes",
        Kind::Long,
        -1,
        "",
        "Bytes that a partition keeps, give or take a segment; -1 = no limit.",
    ),
    number("retention.ms", Kind::Long, -1, "", "How long records are kept; -1 = for ever."),
    number("segment.bytes", Kind::Int, 1 << 14, "", "Size of a segment."),
    number("segment.index.bytes", Kind::Int, 4, "10485760", STORED),
    number("segment.jitter.ms", Kind::Long, 0, "0", STORED),
    number("segment.ms", Kind::Long, 1, "604800000", "A segment is closed at this age."),
    words("unclean.leader.election.enable", Kind::Boolean, BOOL, "false", STORED),
    words("remote.storage.enable", Kind::Boolean, &["false"], "false", STORED),
];

impl Config {
    /// The setting of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CONFIGS.iter().find(|c| c.name == name)
    }

    /// What it is when a topic doesn't set it.
    pub fn default_value(&self, defaults: &TopicDefaults) -> String {
        match self.name {
            "max.message.bytes" => defaults.max_message_bytes.to_string(),
            "retention.bytes" => defaults.retention_bytes.to_string(),
            "retention.ms" => defaults.retention_ms.to_string(),
            "segment.bytes" => defaults.segment_bytes.to_string(),
            _ => self.default.to_owned(),
        }
    }

    /// Is this value allowed?
    ///
    /// # Errors
    /// What would be right.
    pub fn check(&self, value: &str) -> Result<()> {
        let fits = match self.kind {
            Kind::Int => value.parse::<i32>().is_ok_and(|n| i64::from(n) >= self.least),
            Kind::Long => value.parse::<i64>().is_ok_and(|n| n >= self.least),
            Kind::Double => value.parse::<f64>().is_ok_and(|n| (0.0..=1.0).contains(&n)),
            Kind::List => value.split(',').all(|w| self.words.contains(&w.trim())),
            Kind::Boolean | Kind::Text => self.words.is_empty() || self.words.contains(&value),
        };
        if fits {
            return Ok(());
        }
        let want = if self.words.is_empty() {
            format!("a number of at least {}", self.least)
        } else {
            self.words.join(", ")
        };
        let words = format!("invalid value {value:?} for configuration {}: must be {want}", self.name);
        Err(Error::new(ResponseError::InvalidConfig, words))
    }
}

/// Checks a topic's settings and gives what the log needs of them.
///
/// # Errors
/// When one is unknown or not allowed.
pub fn log_settings(defaults: &TopicDefaults, overrides: &BTreeMap<String, String>) -> Result<LogSettings> {
    for (name, value) in overrides {
        let config = Config::named(name).ok_or_else(|| {
            Error::new(ResponseError::InvalidConfig, format!("unknown topic configuration {name:?}"))
        })?;
        config.check(value)?;
    }
    let number =
        |name: &str, default: i64| overrides.get(name).and_then(|v| v.parse::<i64>().ok()).unwrap_or(default);
    let segment = number("segment.bytes", i64::try_from(defaults.segment_bytes).unwrap_or(i64::MAX));
    let message = number("max.message.bytes", i64::try_from(defaults.max_message_bytes).unwrap_or(i64::MAX));
    let deletes = overrides.get("cleanup.policy").is_none_or(|p| p.contains("delete"));
    let retain = |name: &str, default: i64| if deletes { number(name, default) } else { -1 };
    Ok(LogSettings {
        segment_bytes: u64::try_from(segment).unwrap_or(u64::MAX),
        segment_ms: number("segment.ms", 7 * 24 * 3600 * 1000),
        retention_ms: retain("retention.ms", defaults.retention_ms),
        retention_bytes: retain("retention.bytes", defaults.retention_bytes),
        max_message_bytes: usize::try_from(message).unwrap_or(usize::MAX),
        compaction: compaction(overrides),
        append_time: overrides.get("message.timestamp.type").is_some_and(|t| t == "LogAppendTime"),
    })
}

fn compaction(overrides: &BTreeMap<String, String>) -> Option<Policy> {
    let is_asked_for = overrides.get("cleanup.policy")?.split(',').any(|w| w.trim() == "compact");
    let number = |name: &str, default| overrides.get(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    let ratio: f64 = overrides.get("min.cleanable.dirty.ratio").and_then(|v| v.parse().ok()).unwrap_or(0.5);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1")]
    let dirty_permille = (ratio.clamp(0.0, 1.0) * 1000.0) as u64;
    is_asked_for.then(|| Policy {
        dirty_permille,
        lag_ms: number("min.compaction.lag.ms", 0),
        tombstones_ms: number("delete.retention.ms", 24 * 3600 * 1000),
    })
}
