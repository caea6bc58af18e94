//! Whose a topic of the server's own Kafka cluster is.
//!
//! Accounts share that cluster, and its worker connects with all rights: what an account may name there is decided here, when a
//! pipeline is made and when somebody looks into a topic. A topic belongs to the account that made it, through the products' API or
//! through a pipeline that says `create`: both leave an entry, which stays when the pipeline goes. Others see no such topic. Names
//! that begin with `__` are the cluster's and the server's. A topic without an entry was made by a Kafka client, which belongs to no account:
//! everybody who may use the cluster may use it. A stream's topic (`dis.…`) belongs to the stream's account; such a name without a stream is nobody's. The operator may do everything.
//!
//! The cluster is meant by an end without a connection, and by the declared connection that stands for it (its address is
//! empty, or is the one that the configuration gives for the server's topics).

use model::{Pipeline, PipelineEnd};

use crate::ends::{KafkaSink, KafkaSource, copy_of, on_own_cluster};
use crate::{Caller, Cluster, ClusterTopic, Control, Error, ErrorKind, NewTopic, Noun, Result};

/// How long records are kept in a topic that a pipeline has made, in milliseconds: a week, as with Kafka itself.
const KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Most partitions of the products' topics.
const MAX_PARTITIONS: u32 = 500;

/// How the topics of streams begin; no other topic is made under such a name.
pub(crate) const STREAMS: &str = "dis.";

/// Names that belong to no account.
fn is_reserved(name: &str) -> bool {
    name.starts_with("__")
}

impl Control {
    /// The server's own cluster?
    pub(crate) fn is_own(&self, cluster: &Cluster) -> bool {
        self.0.streams.is_own(&cluster.connection)
    }

    /// Does this end lie on the server's own cluster, by whatever name?
    pub(crate) async fn lies_on_own(&self, c: &Caller, end: &PipelineEnd) -> Result<bool> {
        if end.kind != model::EndKind::Kafka {
            return Ok(false);
        }
        Ok(on_own_cluster(end) || self.is_own(&self.cluster_of(c, end).await?))
    }

    /// A pipeline on the server's own cluster says by name what it reads and writes there: a pattern or a prefix would meet other
    /// accounts' topics, also those that are made later.
    pub(crate) async fn refuse_unnamed(&self, c: &Caller, p: &Pipeline) -> Result<()> {
        let refuse = |message: &str, field| Err(Error::new(ErrorKind::Unsupported, message).field(field));
        if c.operator {
            return Ok(());
        }
        if self.lies_on_own(c, &p.source).await? {
            let source = KafkaSource::of(&p.source.options);
            if source.pattern.is_some() || source.topics.is_empty() {
                return refuse(
                    "a pattern needs another cluster: on the server's own lie topics of other accounts",
                    "source",
                );
            }
        }
        for (end, field) in sinks_of(p) {
            if self.lies_on_own(c, end).await? {
                let sink = KafkaSink::of(&end.options);
                if sink.prefix.is_some() || sink.separator.is_some() || sink.topics().is_empty() {
                    return refuse(
                        "a prefix needs another cluster: on the server's own lie topics of other accounts",
                        field,
                    );
                }
            }
        }
        Ok(())
    }

    /// Entries of topics that a pipeline needs. Those of other accounts are not there for the caller. What it makes itself is made
    /// here, as the caller's.
    pub(crate) async fn needed_topics(&self, c: &Caller, p: &Pipeline) -> Result<Vec<String>> {
        let mut needed = Vec::new();
        if self.lies_on_own(c, &p.source).await? {
            for name in KafkaSource::of(&p.source.options).topics {
                needed.extend(self.usable(c, &name).await.map_err(|e| e.field("source"))?);
            }
        }
        let mut made = Vec::new();
        for (end, field) in sinks_of(p) {
            if !self.lies_on_own(c, end).await? {
                continue;
            }
            let sink = KafkaSink::of(&end.options);
            for name in sink.topics() {
                match self.usable(c, &name).await.map_err(|e| e.field(field))? {
                    Some(entry) => needed.push(entry),
                    None if sink.create && !c.operator => made.push((name, sink.create_partitions, field)),
                    None => {}
                }
            }
        }
        // After everything was checked: a refused pipeline leaves no topics.
        for (name, partitions, field) in made {
            needed.extend(self.make_own(c, &name, partitions).await.map_err(|e| e.field(field))?);
        }
        Ok(needed)
    }

    /// The entry of a topic of the own cluster that the caller may use; `None` = it has none, and is everybody's.
    pub(crate) async fn usable(&self, c: &Caller, name: &str) -> Result<Option<String>> {
        if !self.may_use_stream(c, name).await? {
            return Err(Error::not_found(Noun::Topic, name));
        }
        match self.0.store.topic(name).await? {
            _ if is_reserved(name) && !c.operator => Err(Error::not_found(Noun::Topic, name)),
            // An id is no name there.
            Some(t) if t.name != name => Ok(None),
            Some(t) if !c.may_see(&t.account) => Err(Error::not_found(Noun::Topic, name)),
            found => Ok(found.map(|t| t.name)),
        }
    }

    /// Makes a topic that a pipeline says to create. One that a Kafka client has made stays what it is.
    async fn make_own(&self, c: &Caller, name: &str, partitions: Option<u32>) -> Result<Option<String>> {
        let new = NewTopic {
            name: name.to_owned(),
            note: String::new(),
            partitions: partitions.unwrap_or(1).clamp(1, MAX_PARTITIONS),
            retention_ms: KEPT_MS,
            tags: std::collections::BTreeMap::new(),
        };
        match self.create_topic(c, new).await {
            Ok(t) => Ok(Some(t.name)),
            // Here already: by a client, by another end of this pipeline, or by somebody who was quicker.
            Err(e) if e.kind == ErrorKind::Exists(Noun::Topic) => self.usable(c, name).await,
            Err(e) => Err(e),
        }
    }

    /// Takes out of a list of the own cluster's topics what is not there for the caller.
    pub(crate) async fn hide_foreign(&self, c: &Caller, found: &mut Vec<ClusterTopic>) -> Result<()> {
        if c.operator {
            return Ok(());
        }
        let entries = self.0.store.topics().await?;
        let foreign = |name: &str| entries.iter().any(|o| o.name == name && !c.may_see(&o.account));
        let streams = self.0.store.dis_streams().await?;
        let mine = |name: &str| streams.iter().any(|s| s.topic == name && c.may_see(&s.account));
        found.retain(|t| {
            !is_reserved(&t.name) && !foreign(&t.name) && (!t.name.starts_with(STREAMS) || mine(&t.name))
        });
        Ok(())
    }

    /// If this is a stream's topic: is it the caller's?
    async fn may_use_stream(&self, c: &Caller, name: &str) -> Result<bool> {
        if c.operator || !name.starts_with(STREAMS) {
            return Ok(true);
        }
        let all = self.0.store.dis_streams().await?;
        Ok(all.iter().any(|s| s.topic == name && c.may_see(&s.account)))
    }
}

/// Ends that a pipeline writes, with the names of their fields.
fn sinks_of(p: &Pipeline) -> impl Iterator<Item = (&PipelineEnd, &'static str)> {
    let ends = [
        (Some(&p.sink), "sink"),
        (copy_of(&p.on_failure), "on_failure"),
        (copy_of(&p.on_refusal), "on_refusal"),
    ];
    ends.into_iter().filter_map(|(end, field)| Some((end?, field)))
}
