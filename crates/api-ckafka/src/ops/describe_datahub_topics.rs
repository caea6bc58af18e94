//! `DescribeDatahubTopics`: the account's topics, or those of a Kafka cluster that a connection leads to.

use crate::fault::{PARAMETER, refuse};
use crate::request::{Ask, given, page};
use crate::translate::states;
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::{ClusterRef, ClusterTopic, Page, TopicFilter};
use model::{ConnectionId, DipTopic};
use regex::{Regex, RegexBuilder};
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeDatahubTopics",
    request: &[
        Field::new("SearchWord", Ty::Str),
        Field::new("Offset", Ty::Uint),
        Field::new("Limit", Ty::Uint),
        Field::new("QueryFromConnectResource", Ty::Bool),
        Field::new("ConnectResourceId", Ty::Str),
        Field::new("TopicRegularExpression", Ty::Str),
    ],
    response: &[Field::new("Result", Ty::Object(RESULT))],
    note: "With QueryFromConnectResource the topics of the cluster behind ConnectResourceId, which have no id, note or \
           retention here. A Limit above 100 is 100.",
};

const RESULT: &[Field] =
    &[Field::new("TotalCount", Ty::Uint), Field::new("TopicList", Ty::List(&Ty::Object(TOPIC)))];

const TOPIC: &[Field] = &[
    Field::new("Name", Ty::Str),
    Field::new("TopicName", Ty::Str),
    Field::new("TopicId", Ty::Str),
    Field::new("PartitionNum", Ty::Uint),
    Field::new("RetentionMs", Ty::Uint),
    Field::new("Note", Ty::Str),
    Field::new("Status", Ty::Uint).stored("always 1: in use"),
];

/// Bytes of a word or expression at most.
const MAX_WORD: usize = 1_024;
/// Bytes of a compiled expression at most.
const MAX_COMPILED: usize = 1 << 20;
/// Topics of one account that are read to be sifted.
const MOST: u64 = 10_000;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let page = page(&p, 20, 100, PARAMETER)?;
    let sieve = Sieve::of(&p)?;
    let (list, total) = if p.bool("QueryFromConnectResource").unwrap_or_default() {
        let id = given(&p, "ConnectResourceId")
            .ok_or_else(|| refuse(PARAMETER, "The parameter `ConnectResourceId` may not be empty."))?;
        of_cluster(ask, id, &sieve, page).await?
    } else {
        own(ask, &sieve, page).await?
    };
    Ok(Reply::from(json!({"Result": {"TotalCount": total, "TopicList": list}})))
}

/// What a topic's name must be.
struct Sieve {
    word: Option<String>,
    expression: Option<Regex>,
}

impl Sieve {
    fn of(p: &Params<'_>) -> Result<Self, Fault> {
        for name in ["SearchWord", "TopicRegularExpression", "ConnectResourceId"] {
            if p.text(name).len() > MAX_WORD {
                return Err(refuse(PARAMETER, format!("The parameter `{name}` may have {MAX_WORD} bytes.")));
            }
        }
        let expression = given(p, "TopicRegularExpression")
            .map(|text| RegexBuilder::new(text).size_limit(MAX_COMPILED).build())
            .transpose()
            .map_err(|_| {
                refuse(PARAMETER, "The parameter `TopicRegularExpression` is no regular expression.")
            })?;
        Ok(Self { word: given(p, "SearchWord").map(str::to_owned), expression })
    }

    fn passes(&self, name: &str, id: &str) -> bool {
        self.word.as_deref().is_none_or(|w| name.contains(w) || id.contains(w))
            && self.expression.as_ref().is_none_or(|e| e.is_match(name))
    }
}

async fn own(ask: &Ask<'_>, sieve: &Sieve, page: Page) -> Result<(Vec<Value>, u64), Fault> {
    let plain = sieve.word.is_none() && sieve.expression.is_none();
    let whole = Page { offset: 0, limit: MOST, newest_first: true };
    let filter = TopicFilter { search: None, page: if plain { page } else { whole } };
    let (mut found, mut total) = ask.control.topics(&ask.caller, &filter).await.map_err(|e| ask.fault(&e))?;
    if !plain {
        found.retain(|t| sieve.passes(&t.name, &t.id));
        total = found.len() as u64;
        found = stretch(found, page);
    }
    Ok((found.iter().map(shown).collect(), total))
}

async fn of_cluster(ask: &Ask<'_>, id: &str, sieve: &Sieve, page: Page) -> Result<(Vec<Value>, u64), Fault> {
    let cluster = ClusterRef::Connection(ConnectionId::from(id));
    let mut found = ask.control.kafka_topics(&ask.caller, &cluster).await.map_err(|e| ask.fault(&e))?;
    found.retain(|t| sieve.passes(&t.name, ""));
    let total = found.len() as u64;
    Ok((stretch(found, page).iter().map(shown_of_cluster).collect(), total))
}

fn stretch<T>(all: Vec<T>, page: Page) -> Vec<T> {
    let (offset, limit) = (usize::try_from(page.offset), usize::try_from(page.limit));
    all.into_iter().skip(offset.unwrap_or(usize::MAX)).take(limit.unwrap_or(usize::MAX)).collect()
}

fn shown(t: &DipTopic) -> Value {
    json!({"Name": t.name, "TopicName": t.name, "TopicId": t.id, "PartitionNum": t.partitions,
        "RetentionMs": t.retention_ms, "Note": t.note, "Status": states::TOPIC_IN_USE})
}

fn shown_of_cluster(t: &ClusterTopic) -> Value {
    json!({"Name": t.name, "TopicName": t.name, "TopicId": null, "PartitionNum": t.partitions,
        "RetentionMs": null, "Note": null, "Status": states::TOPIC_IN_USE})
}
