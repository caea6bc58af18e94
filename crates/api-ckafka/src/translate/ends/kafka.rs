//! `KAFKA` and `TOPIC`: topics of a cluster that a connection leads to, and those of the server's own.

use super::{Resource, Sink, Source, end, place, put};
use crate::fault;
use crate::request::{Ask, given, needed, one_of, path, ranged};
use api::{Fault, Params};
use control::{ClusterRef, SyncKind};
use model::{Connection, EndKind, OnFailure, PipelineDirection, PipelineEnd};
use serde_json::{Map, Value, json};

/// Topics of one task at most.
const MAX_TOPICS: usize = 1_000;
/// Bytes of a topic's name at most, as with Kafka itself.
const MAX_TOPIC: usize = 249;
/// Bytes of a regular expression at most.
const MAX_PATTERN: usize = 1_024;
/// Copies of each message at most.
const MAX_COPIES: u64 = 100;
/// Records a second that can be asked for at most.
const MAX_QPS: u64 = 10_000_000;
/// What `CompressionType` `open` is here.
const OPEN: &str = "lz4";
/// Milliseconds in a second.
const MS: u64 = 1_000;

/// The cluster that a request names.
///
/// # Errors
/// As [`place::connection`].
pub async fn cluster(ask: &Ask<'_>, at: &str, id: &str) -> Result<Connection, Fault> {
    place::connection(ask, at, id, EndKind::Kafka).await
}

/// `KAFKA` as a source.
///
/// # Errors
/// In the vendor's words.
pub async fn source(ask: &Ask<'_>, resource: &Resource<'_>) -> Result<Source, Fault> {
    let (p, at) = resource.param()?;
    let id = p.text("Resource");
    cluster(ask, &at, id).await?;
    let sync = sync(&p, &at)?;
    let mut options = match sync {
        Some(_) => selection_or_all(&p, &at)?,
        None => selection(&p, &at)?,
    };
    options.insert("start".to_owned(), start(&p, &at)?);
    Ok(Source {
        end: end(EndKind::Kafka, Some(id), options),
        word: id.to_owned(),
        records_per_s: qps(&p)?,
        tolerant: p.bool("EnableToleration").unwrap_or_default(),
        sync,
    })
}

/// `TOPIC` as a source.
///
/// # Errors
/// In the vendor's words.
pub async fn topic_source(ask: &Ask<'_>, resource: &Resource<'_>) -> Result<Source, Fault> {
    let (p, at) = resource.param()?;
    let name = own_topic(ask, &p, &at).await?;
    let mut options = Map::new();
    options.insert("topics".to_owned(), json!([name]));
    options.insert("start".to_owned(), start(&p, &at)?);
    Ok(Source {
        end: end(EndKind::Kafka, None, options),
        word: name,
        records_per_s: None,
        tolerant: false,
        sync: None,
    })
}

/// `KAFKA` as a destination.
///
/// # Errors
/// In the vendor's words.
pub async fn sink(
    ask: &Ask<'_>,
    resource: &Resource<'_>,
    direction: PipelineDirection,
    from: &str,
) -> Result<Sink, Fault> {
    let (p, at) = resource.param()?;
    let id = p.text("Resource");
    cluster(ask, &at, id).await?;
    let sync = sync(&p, &at)?;
    let mut options = target(&p, &at, sync)?;
    writing(&mut options, &p, &at, (direction, from))?;
    put(&mut options, "keep_partition", p.bool("KeepPartition"));
    let tolerant = p.bool("EnableToleration").unwrap_or_default();
    Ok(Sink {
        end: end(EndKind::Kafka, Some(id), options),
        word: id.to_owned(),
        records_per_s: qps(&p)?,
        on_refusal: if tolerant { kept() } else { OnFailure::Block },
        sync,
    })
}

/// `TOPIC` as a destination. Whose a topic is that `UseAutoCreateTopic` names is control's to know.
///
/// # Errors
/// In the vendor's words.
pub async fn topic_sink(
    ask: &Ask<'_>,
    resource: &Resource<'_>,
    direction: PipelineDirection,
    from: &str,
) -> Result<Sink, Fault> {
    let (p, at) = resource.param()?;
    let made = p.bool("UseAutoCreateTopic").unwrap_or_default();
    let name =
        if made { given_topic(&p, &at, "Resource")?.to_owned() } else { own_topic(ask, &p, &at).await? };
    let mut options = Map::new();
    options.insert("topic".to_owned(), name.as_str().into());
    writing(&mut options, &p, &at, (direction, from))?;
    Ok(Sink {
        end: end(EndKind::Kafka, None, options),
        word: name,
        records_per_s: None,
        on_refusal: OnFailure::Block,
        sync: None,
    })
}

/// Where copies of dead letters go: `FailureParam.KafkaParam` or `.TopicParam`.
///
/// # Errors
/// In the vendor's words.
pub async fn dead_letters(ask: &Ask<'_>, failure: &Params<'_>, at: &str) -> Result<PipelineEnd, Fault> {
    let implied = if failure.has("TopicParam") && !failure.has("KafkaParam") { "TOPIC" } else { "CKAFKA" };
    let kind = given(failure, "DlqType").unwrap_or(implied);
    let name = match kind {
        "CKAFKA" => "KafkaParam",
        "TOPIC" => "TopicParam",
        _ => return Err(fault::value(format!("The parameter `{at}.DlqType` must be CKAFKA or TOPIC."))),
    };
    let at = path(at, name);
    let p = failure.object(name).ok_or_else(|| fault::empty(&at))?;
    let topic = match kind {
        "TOPIC" => own_topic(ask, &p, &at).await?,
        _ => given_topic(&p, &at, "Topic")?.to_owned(),
    };
    let mut options = Map::new();
    options.insert("topic".to_owned(), topic.into());
    put(&mut options, "compression", compression(&p, &at)?);
    if kind == "TOPIC" {
        return Ok(end(EndKind::Kafka, None, options));
    }
    let id = p.text("Resource");
    cluster(ask, &at, id).await?;
    Ok(end(EndKind::Kafka, Some(id), options))
}

/// A topic that a field names.
fn given_topic<'p>(p: &Params<'p>, at: &str, field: &str) -> Result<&'p str, Fault> {
    topic_name(needed(p, at, field)?, &path(at, field))
}

/// `TopicParam.Resource`: a topic of the product's on the server's own cluster, by name or id, or any other topic there that
/// nobody else has made. A cluster that does not answer now may do so when the task runs.
async fn own_topic(ask: &Ask<'_>, p: &Params<'_>, at: &str) -> Result<String, Fault> {
    let name = given_topic(p, at, "Resource")?;
    if let Ok(topic) = ask.control.topic(&ask.caller, name).await {
        return Ok(topic.name);
    }
    match ask.control.kafka_topics(&ask.caller, &ClusterRef::Own).await {
        Ok(all) if !all.iter().any(|t| t.name == name) => Err(fault::refuse(
            fault::NOT_FOUND,
            format!("The parameter `{at}.Resource` names the topic {name}, which does not exist."),
        )),
        _ => Ok(name.to_owned()),
    }
}

/// The source of an instance sync: fields of the request itself.
///
/// # Errors
/// In the vendor's words.
pub fn sync_source(p: &Params<'_>, id: &str) -> Result<PipelineEnd, Fault> {
    let mut options = selection_or_all(p, "")?;
    options.insert("start".to_owned(), start(p, "")?);
    Ok(end(EndKind::Kafka, Some(id), options))
}

/// Its destination.
///
/// # Errors
/// In the vendor's words.
pub fn sync_sink(p: &Params<'_>, id: &str) -> Result<PipelineEnd, Fault> {
    let mut options = renaming(p, "")?;
    options.insert("create".to_owned(), true.into());
    Ok(end(EndKind::Kafka, Some(id), options))
}

/// Records are kept in the dead-letter desk.
pub fn kept() -> OnFailure {
    OnFailure::Keep { copy: None, retries: 0, interval_ms: 0 }
}

/// Which topics a source reads: by name or by expression, one of them.
fn selection(p: &Params<'_>, at: &str) -> Result<Map<String, Value>, Fault> {
    let chosen = selection_or_all(p, at)?;
    if chosen.get("pattern").is_some_and(|v| v == ALL) && given(p, "TopicRegularExpression").is_none() {
        return Err(fault::empty(&path(at, "Topic")));
    }
    Ok(chosen)
}

/// All topics.
const ALL: &str = "^.*";

/// The same; none of them means all topics.
fn selection_or_all(p: &Params<'_>, at: &str) -> Result<Map<String, Value>, Fault> {
    let comma = p.text("Topic").split(',').map(str::trim);
    let mut names: Vec<&str> = comma.chain(p.strs("TopicList")).filter(|t| !t.is_empty()).collect();
    let mut options = Map::new();
    match given(p, "TopicRegularExpression") {
        Some(_) if !names.is_empty() => {
            return Err(fault::value(format!(
                "The parameter `{}` excludes names of topics.",
                path(at, "TopicRegularExpression")
            )));
        }
        Some(pattern) if pattern.len() > MAX_PATTERN => {
            return Err(fault::value(format!(
                "The parameter `{}` may have {MAX_PATTERN} bytes.",
                path(at, "TopicRegularExpression")
            )));
        }
        Some(pattern) => {
            let anchored = if pattern.starts_with('^') { pattern.to_owned() } else { format!("^{pattern}") };
            options.insert("pattern".to_owned(), anchored.into());
        }
        None if names.is_empty() => {
            options.insert("pattern".to_owned(), ALL.into());
        }
        None => {
            if names.len() > MAX_TOPICS {
                return Err(fault::value(format!("A task may read {MAX_TOPICS} topics.")));
            }
            for name in &names {
                topic_name(name, &path(at, "Topic"))?;
            }
            names.sort_unstable();
            names.dedup();
            options.insert("topics".to_owned(), json!(names));
        }
    }
    Ok(options)
}

/// Where a source begins. The product does not say what an absent `OffsetType` means; nothing is lost with the earliest.
fn start(p: &Params<'_>, at: &str) -> Result<Value, Fault> {
    let kind = one_of(p, at, "OffsetType", &["earliest", "latest", "timestamp"])?;
    if kind != "timestamp" {
        return Ok(kind.into());
    }
    if !p.has("StartTime") && at.is_empty() {
        // The requests of instance syncs have no time to begin at.
        return Err(fault::value("The parameter `OffsetType` can't be timestamp: there is no StartTime."));
    }
    let seconds = p.u64("StartTime").ok_or_else(|| fault::empty(&path(at, "StartTime")))?;
    let ms = seconds.checked_mul(MS).filter(|ms| i64::try_from(*ms).is_ok());
    let ms = ms
        .ok_or_else(|| fault::value(format!("The parameter `{}` is out of range.", path(at, "StartTime"))))?;
    Ok(json!({ "timestamp_ms": ms }))
}

/// Which topic a destination writes: one, one by each table, or the source's own with a prefix.
fn target(p: &Params<'_>, at: &str, sync: Option<SyncKind>) -> Result<Map<String, Value>, Fault> {
    let mut options = Map::new();
    let same = p.text("ConnectorSyncType") == DATA_SYNC || given(p, "Prefix").is_some() || sync.is_some();
    let tables = p.bool("UseTableMapping").unwrap_or_default();
    if tables {
        let routes = routes(p, at)?;
        options.insert("tables".to_owned(), routes);
    } else if p.has("TableMappings") && !p.list("TableMappings").is_empty() {
        return Err(fault::value(format!("The parameter `{at}.TableMappings` needs UseTableMapping.")));
    }
    match given(p, "Topic") {
        Some(_) if given(p, "Prefix").is_some() => {
            return Err(fault::value(format!(
                "The parameters `{at}.Topic` and `{at}.Prefix` exclude each other."
            )));
        }
        Some(topic) => {
            options.insert("topic".to_owned(), topic_name(topic, &path(at, "Topic"))?.into());
        }
        None if same => options.extend(renaming(p, at)?),
        None if tables => {}
        None => return Err(fault::empty(&path(at, "Topic"))),
    }
    Ok(options)
}

fn routes(p: &Params<'_>, at: &str) -> Result<Value, Fault> {
    let at = path(at, "TableMappings");
    let given = p.objects("TableMappings");
    if given.is_empty() {
        return Err(fault::empty(&at));
    }
    if given.len() > MAX_TOPICS {
        return Err(fault::value(format!("The parameter `{at}` may have {MAX_TOPICS} entries.")));
    }
    let mut routes = Vec::with_capacity(given.len());
    for route in given {
        let topic = topic_name(needed(&route, &at, "Topic")?, &path(&at, "Topic"))?;
        routes.push(
            json!({"database": needed(&route, &at, "Database")?, "table": needed(&route, &at, "Table")?,
            "topic": topic}),
        );
    }
    Ok(routes.into())
}

/// `Prefix` and `Separator`.
fn renaming(p: &Params<'_>, at: &str) -> Result<Map<String, Value>, Fault> {
    let prefix = p.text("Prefix");
    let separator = p.text("Separator");
    if !matches!(separator, "" | "." | "-" | "_") {
        return Err(fault::value(format!(
            "The parameter `{}` must be one of `.`, `-` and `_`.",
            path(at, "Separator")
        )));
    }
    if !prefix.is_empty() {
        topic_name(prefix, &path(at, "Prefix"))?;
    }
    let mut options = Map::new();
    options.insert("prefix".to_owned(), prefix.into());
    // Without a prefix there is nothing to part.
    options.insert("separator".to_owned(), if prefix.is_empty() { "" } else { separator }.into());
    Ok(options)
}

/// What `KafkaParam` and `TopicParam` share as destinations.
fn writing(
    options: &mut Map<String, Value>,
    p: &Params<'_>,
    at: &str,
    (direction, from): (PipelineDirection, &str),
) -> Result<(), Fault> {
    put(options, "compression", compression(p, at)?);
    if let Some(copies) = ranged(p, "MsgMultiple", (0, MAX_COPIES), fault::VALUE)?.filter(|n| *n > 1) {
        if !matches!(from, "KAFKA" | "TOPIC") {
            return Err(fault::value(format!(
                "The parameter `{at}.MsgMultiple` is for tasks from Kafka to Kafka."
            )));
        }
        options.insert("copies".to_owned(), copies.into());
    }
    if p.bool("UseAutoCreateTopic").unwrap_or_default() {
        if direction != PipelineDirection::Source {
            return Err(fault::value(format!(
                "The parameter `{at}.UseAutoCreateTopic` is for SOURCE tasks."
            )));
        }
        options.insert("create".to_owned(), true.into());
        let partitions = ranged(p, "PartitionNum", (0, 500), fault::VALUE)?.filter(|n| *n > 0);
        put(options, "create_partitions", partitions);
    }
    Ok(())
}

fn compression(p: &Params<'_>, at: &str) -> Result<Option<&'static str>, Fault> {
    match one_of(p, at, "CompressionType", &["none", "open", "gzip", "snappy", "lz4"])? {
        "none" => Ok(None),
        "open" => Ok(Some(OPEN)),
        other => Ok(Some(other)),
    }
}

const DATA_SYNC: &str = "DATA_SYNC_TYPE";

/// `ConnectorSyncType`. Messages of chosen topics are an ordinary task.
fn sync(p: &Params<'_>, at: &str) -> Result<Option<SyncKind>, Fault> {
    match p.text("ConnectorSyncType") {
        "" | DATA_SYNC => Ok(None),
        "META_SYNC_INSTANCE_TYPE" => Ok(Some(SyncKind::Meta)),
        "META_AND_DATA_SYNC_INSTANCE_TYPE" => Ok(Some(SyncKind::MetaAndData)),
        _ => Err(fault::value(format!("The parameter `{at}.ConnectorSyncType` is none of the product's."))),
    }
}

fn qps(p: &Params<'_>) -> Result<Option<u64>, Fault> {
    Ok(ranged(p, "QpsLimit", (0, MAX_QPS), fault::VALUE)?.filter(|n| *n > 0))
}

/// A topic's name as Kafka allows it.
fn topic_name<'t>(name: &'t str, field: &str) -> Result<&'t str, Fault> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if name.len() <= MAX_TOPIC && name.bytes().all(word) && !matches!(name, "." | "..") && !name.is_empty() {
        return Ok(name);
    }
    Err(fault::value(format!(
        "The parameter `{field}` has a name that no topic can have: up to {MAX_TOPIC} letters, digits, `.`, `-` and `_`."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "reads better")]
    fn with<T>(v: Value, read: impl Fn(&Params<'_>) -> Result<T, Fault>) -> Result<T, String> {
        read(&Params::unchecked(&v, false)).map_err(|f| f.code.into_owned())
    }

    #[test]
    fn topics_by_name_or_expression() {
        let read = |v: Value| with(v, |p| selection(p, "K")).map(Value::Object);
        assert_eq!(read(json!({"Topic": "b, a,b"})).unwrap(), json!({"topics": ["a", "b"]}));
        assert_eq!(read(json!({"TopicList": ["a"]})).unwrap(), json!({"topics": ["a"]}));
        assert_eq!(read(json!({"TopicRegularExpression": "a.*"})).unwrap(), json!({"pattern": "^a.*"}));
        assert_eq!(read(json!({"TopicRegularExpression": "^.*"})).unwrap(), json!({"pattern": "^.*"}));
        assert_eq!(read(json!({"Topic": " ,"})).unwrap_err(), fault::EMPTY);
        assert_eq!(read(json!({"Topic": "a", "TopicRegularExpression": "a"})).unwrap_err(), fault::VALUE);
        assert_eq!(read(json!({"Topic": "a/b"})).unwrap_err(), fault::VALUE);
        let all = with(json!({}), |p| selection_or_all(p, "")).map(Value::Object);
        assert_eq!(all.unwrap(), json!({"pattern": "^.*"}));
    }

    #[test]
    fn where_a_source_begins() {
        let read = |v: Value| with(v, |p| start(p, "K"));
        assert_eq!(read(json!({})).unwrap(), "earliest");
        assert_eq!(read(json!({"OffsetType": "latest"})).unwrap(), "latest");
        let at = read(json!({"OffsetType": "timestamp", "StartTime": 1_635_339_533})).unwrap();
        assert_eq!(at, json!({"timestamp_ms": 1_635_339_533_000_u64}));
        assert_eq!(read(json!({"OffsetType": "timestamp"})).unwrap_err(), fault::EMPTY);
        assert_eq!(
            read(json!({"OffsetType": "timestamp", "StartTime": u64::MAX})).unwrap_err(),
            fault::VALUE
        );
        assert_eq!(read(json!({"OffsetType": "middle"})).unwrap_err(), fault::VALUE);
    }

    #[test]
    fn where_a_destination_writes() {
        let read = |v: Value| with(v, |p| target(p, "K", None)).map(Value::Object);
        assert_eq!(read(json!({"Topic": "t"})).unwrap(), json!({"topic": "t"}));
        let routed = json!({"UseTableMapping": true,
            "TableMappings": [{"Database": "d", "Table": "x", "Topic": "dx", "TopicId": "topic-1"}]});
        assert_eq!(
            read(routed).unwrap(),
            json!({"tables": [{"database": "d", "table": "x", "topic": "dx"}]})
        );
        assert_eq!(
            read(json!({"Prefix": "p", "Separator": "."})).unwrap(),
            json!({"prefix": "p", "separator": "."})
        );
        assert_eq!(
            read(json!({"ConnectorSyncType": "DATA_SYNC_TYPE"})).unwrap(),
            json!({"prefix": "", "separator": ""})
        );
        assert_eq!(read(json!({})).unwrap_err(), fault::EMPTY);
        assert_eq!(read(json!({"UseTableMapping": true})).unwrap_err(), fault::EMPTY);
        assert_eq!(read(json!({"Prefix": "p", "Separator": "/"})).unwrap_err(), fault::VALUE);
        let unused = json!({"Topic": "t", "TableMappings": [{"Database": "d", "Table": "x", "Topic": "y"}]});
        assert_eq!(read(unused).unwrap_err(), fault::VALUE);
    }
}
