//! `ListDead`, `GetDead`, `ReplayDead`, `DropDead`.

use api::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::{Caller, Control, DeadFilter, DeadId, Page, pipeline_of};
use model::{DeadLetter, DeadStatus, Stage};
use serde::Deserialize;

use crate::fault::fault;
use crate::wire::{DeadLetters, DeadView, Touched};

/// Letters that a list tells at most.
const MOST: u64 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    #[serde(default)]
    pipeline: Option<String>,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    stage: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    offset: u64,
    #[serde(default = "hundred")]
    limit: u64,
    #[serde(default)]
    oldest_first: bool,
}

fn hundred() -> u64 {
    100
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct One {
    pipeline: String,
    id: String,
}

/// Which letters of one pipeline. Without ids and a reason, all that wait; then `all` has to say so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    pipeline: String,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    all: bool,
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::tencent("Invalid", message.into())
}

fn id(text: &str) -> Result<DeadId, Fault> {
    DeadId::parse(text).ok_or_else(|| invalid(format!("{text:?} is not topic/partition/offset/sub")))
}

fn ids(list: &[String]) -> Result<Vec<DeadId>, Fault> {
    list.iter().map(|text| id(text)).collect()
}

pub async fn list(c: &Control, request: List) -> Result<DeadLetters, Fault> {
    let stage = match request.stage.as_deref() {
        None => None,
        Some("transform") => Some(Stage::Transform),
        Some("sink") => Some(Stage::Sink),
        Some(_) => return Err(invalid("stage must be transform or sink")),
    };
    let status = match request.status.as_deref() {
        None => None,
        Some(word) => Some(
            [DeadStatus::Waiting, DeadStatus::Replaying, DeadStatus::Replayed, DeadStatus::Dropped]
                .into_iter()
                .find(|s| status_word(*s) == word)
                .ok_or_else(|| invalid("status must be waiting, replaying, replayed or dropped"))?,
        ),
    };
    let filter = DeadFilter {
        account: None,
        pipeline: request.pipeline.as_deref().map(pipeline_of),
        ids: ids(&request.ids)?,
        reason: request.reason,
        stage,
        status,
    };
    let page =
        Page { offset: request.offset, limit: request.limit.min(MOST), newest_first: !request.oldest_first };
    let (found, total) = c.dead_letters(&Caller::operator(), &filter, page).await.map_err(fault)?;
    Ok(DeadLetters { letters: found.iter().map(|d| view(d, false)).collect(), total })
}

pub async fn get(c: &Control, request: One) -> Result<DeadView, Fault> {
    let found = c.dead_letter(&Caller::operator(), &pipeline_of(&request.pipeline), &id(&request.id)?).await;
    Ok(view(&found.map_err(fault)?, true))
}

fn which(request: Which) -> Result<DeadFilter, Fault> {
    if request.ids.is_empty() && request.reason.is_none() && !request.all {
        return Err(invalid("name letters by ids or reason, or say all"));
    }
    Ok(DeadFilter {
        pipeline: Some(pipeline_of(&request.pipeline)),
        ids: ids(&request.ids)?,
        reason: request.reason,
        ..DeadFilter::default()
    })
}

pub async fn replay(c: &Control, request: Which) -> Result<Touched, Fault> {
    let letters = c.replay_dead(&Caller::operator(), &which(request)?).await.map_err(fault)?;
    Ok(Touched { letters })
}

pub async fn drop_letters(c: &Control, request: Which) -> Result<Touched, Fault> {
    let letters = c.drop_dead(&Caller::operator(), &which(request)?).await.map_err(fault)?;
    Ok(Touched { letters })
}

fn status_word(s: DeadStatus) -> &'static str {
    match s {
        DeadStatus::Waiting => "waiting",
        DeadStatus::Replaying => "replaying",
        DeadStatus::Replayed => "replayed",
        DeadStatus::Dropped => "dropped",
    }
}

fn view(d: &DeadLetter, content: bool) -> DeadView {
    let text = |b: &Option<Vec<u8>>| b.as_ref().filter(|_| content).map(|b| STANDARD.encode(b));
    let size = |b: &Option<Vec<u8>>| b.as_ref().map_or(0, Vec::len) as u64;
    let headers = d.headers.iter().filter(|_| content);
    DeadView {
        id: DeadId::of(d).to_string(),
        pipeline: d.pipeline.to_string(),
        topic: d.topic.clone(),
        partition: d.partition,
        offset: d.offset,
        sub: d.sub,
        stage: match d.stage {
            Stage::Transform => "transform",
            Stage::Sink => "sink",
        }
        .to_owned(),
        kind: d.kind.clone(),
        reason: d.reason.clone(),
        status: status_word(d.status).to_owned(),
        timestamp_ms: d.timestamp_ms,
        kept: d.at.0,
        bytes: size(&d.key) + size(&d.value),
        key: text(&d.key),
        value: text(&d.value),
        headers: headers.map(|(k, v)| (STANDARD.encode(k), text(v))).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_no_content_and_one_letter_holds_its_exact_bytes() {
        let d = DeadLetter {
            pipeline: "task-1".into(),
            topic: "t".into(),
            partition: 1,
            offset: 2,
            sub: 3,
            stage: Stage::Sink,
            kind: "k".into(),
            reason: "r".into(),
            key: None,
            value: Some(vec![0, 255]),
            headers: vec![(vec![1], None)],
            timestamp_ms: 5,
            at: model::Timestamp(6),
            status: DeadStatus::Waiting,
        };
        let (short, long) = (view(&d, false), view(&d, true));
        assert_eq!((short.value.as_ref(), short.headers.len(), short.bytes), (None, 0, 2));
        assert_eq!(STANDARD.decode(long.value.unwrap()).unwrap(), [0, 255]);
        assert_eq!(long.headers, [("AQ==".to_owned(), None)]);
        assert_eq!(long.id, "t/1/2/3");
    }

    #[test]
    fn nothing_is_replayed_or_dropped_without_saying_which() {
        let ask = |json: serde_json::Value| which(serde_json::from_value(json).unwrap());
        assert!(ask(serde_json::json!({"pipeline": "task-1"})).is_err());
        assert!(ask(serde_json::json!({"pipeline": "task-1", "ids": ["nonsense"]})).is_err());
        assert!(ask(serde_json::json!({"pipeline": "task-1", "all": true})).is_ok());
        let one = ask(serde_json::json!({"pipeline": "datahub-1", "ids": ["t/0/1/0"]})).unwrap();
        assert_eq!((one.pipeline, one.ids.len()), (Some("task-1".into()), 1));
    }
}
