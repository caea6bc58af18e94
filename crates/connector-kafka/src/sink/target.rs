//! Topics that are written to, and what they take.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use connector::{Error, ErrorKind, Result};

use crate::fault::{during, kind};
use crate::raw::{Client, Code, Fault, NewTopic, Topic};

const ANSWER: Duration = Duration::from_secs(10);

/// What a record costs on the wire beside key and value, at most, and its batch with it.
const OVERHEAD: usize = 128;

/// A topic that is written to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) topic: Arc<Topic>,
    pub(super) rules: Rules,
}

/// What a topic takes, as far as the cluster tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) partitions: i32,
    /// Bytes of a batch at most.
    pub(super) max_bytes: Option<usize>,
    /// A compacted topic takes no records without a key.
    pub(super) keyed: bool,
}

/// How to make a topic that is missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making {
    pub(super) allowed: bool,
    pub(super) partitions: Option<i32>,
}

/// The topics that this producer has met.
pub(super) struct Targets(HashMap<String, Target>);

/// Why a topic does not take a record, if it is known to.
pub(super) fn objection(rules: &Rules, weight: usize, has_key: bool, compressed: bool) -> Option<String> {
    if rules.keyed && !has_key {
        return Some("a compacted topic takes no record without a key".to_owned());
    }
    match rules.max_bytes {
        Some(max) if !compressed && weight + OVERHEAD > max => {
            Some(format!("{weight} bytes are more than the topic takes ({max})"))
        }
        _ => None,
    }
}

/// Might only the broker be able to tell whether it takes a record of this weight?
pub(super) fn doubtful(rules: &Rules, weight: usize) -> bool {
    rules.max_bytes.is_none_or(|max| weight + OVERHEAD > max)
}

impl Targets {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Target> {
        self.0.get(name)
    }

    pub(super) fn insert(&mut self, name: &str, target: Target) {
        self.0.insert(name.to_owned(), target);
    }

    /// Forgets what was known, and gives the names.
    pub(super) fn clear(&mut self) -> Vec<String> {
        self.0.drain().map(|(name, _)| name).collect()
    }

    /// The smallest batch that one of the topics takes.
    pub(super) fn smallest(&self) -> Option<u32> {
        let bounds = self.0.values().filter_map(|t| t.rules.max_bytes);
        bounds.map(|max| u32::try_from(max).unwrap_or(u32::MAX)).min()
    }
}

/// Asks for a topic and makes it where it is missing and may be made. Blocks.
pub(super) fn look_up(client: &Arc<Client>, name: &str, making: Making, at_least: i32) -> Result<Target> {
    let doing = format!("topic {name}");
    let doing = during(&doing);
    let mut partitions = match partitions(client, name).map_err(&doing)? {
        Some(n) => n,
        None if making.allowed => make(client, name, making, at_least)?,
        None => return Err(Error::new(ErrorKind::NotFound, format!("there is no topic {name}"))),
    };
    if making.allowed && partitions < at_least {
        client.grow_topic(name, at_least, ANSWER).map_err(&doing)?;
        partitions = at_least;
    }
    let settings = match client.topic_settings(name, ANSWER) {
        Ok(settings) => settings,
        // Whoever may write need not be allowed to see settings.
        Err(e) if matches!(kind(e.code), ErrorKind::Denied | ErrorKind::Unsupported) => Default::default(),
        Err(e) => return Err(doing(e)),
    };
    let rules = Rules {
        partitions,
        max_bytes: settings.get("max.message.bytes").and_then(|v| v.parse().ok()),
        keyed: settings.get("cleanup.policy").is_some_and(|v| v.contains("compact")),
    };
    Ok(Target { topic: Arc::new(Topic::new(client, name).map_err(&doing)?), rules })
}

/// Partitions of a topic; `None` where there is none of that name.
pub(super) fn partitions(client: &Client, name: &str) -> Result<Option<i32>, Fault> {
    use Code as C;
    for _ in 0..20 {
        let found = client.metadata(Some(name), ANSWER)?;
        let Some(topic) = found.into_iter().find(|t| t.name == name) else { return Ok(None) };
        match topic.code {
            C::RD_KAFKA_RESP_ERR_NO_ERROR if topic.partitions > 0 => return Ok(Some(topic.partitions)),
            C::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | C::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC => {
                return Ok(None);
            }
            C::RD_KAFKA_RESP_ERR_NO_ERROR | C::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE => {}
            code => return Err(Fault::of(code)),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Fault::of(C::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE))
}

fn make(client: &Client, name: &str, making: Making, at_least: i32) -> Result<i32> {
    let wanted = making.partitions.map(|n| n.max(at_least)).or((at_least > 1).then_some(at_least));
    let topic = NewTopic { name: name.to_owned(), partitions: wanted, settings: Vec::new() };
    match client.create_topic(&topic, ANSWER) {
        Err(e) if kind(e.code) != ErrorKind::Exists => return Err(during("the topic can't be made")(e)),
        _ => {}
    }
    // Other brokers of a cluster hear of it a little later.
    for _ in 0..50 {
        if let Some(n) = partitions(client, name).map_err(during("the new topic"))? {
            return Ok(n);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Error::new(ErrorKind::Unavailable, format!("topic {name} was made, but is not seen yet")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_topic_does_not_take_is_known_beforehand() {
        let rules = Rules { partitions: 1, max_bytes: Some(1000), keyed: false };
        assert_eq!(objection(&rules, 800, false, false), None);
        assert!(objection(&rules, 1000, true, false).is_some());
        assert_eq!(objection(&rules, 1000, true, true), None);
        assert!(doubtful(&rules, 1000) && !doubtful(&rules, 800));
        let keyed = Rules { keyed: true, ..rules };
        assert!(objection(&keyed, 1, false, false).is_some());
        assert_eq!(objection(&keyed, 1, true, false), None);
    }
}
