//! `DescribeConnectResources`: the account's own connections, newest first.

use crate::fault;
use crate::request::{Ask, given, page};
use crate::shape;
use crate::tables::{TAG, connections as t};
use crate::translate::{attributes as words, connects};
use api::{Fault, Field, Operation, Outcome, Params, Reply, Ty};
use control::{ConnectionFilter, Page};
use model::Connection;
use serde_json::{Value, json};

/// Its fields.
pub const OPERATION: Operation = Operation {
    action: "DescribeConnectResources",
    request: &[
        Field::new("Type", Ty::Str),
        Field::new("SearchWord", Ty::Str),
        Field::new("Offset", Ty::Int),
        Field::new("Limit", Ty::Int),
        Field::new("ResourceRegion", Ty::Str),
    ],
    response: &[Field::new("Result", Ty::Object(RESULT))],
    note: "A Limit above 1000 is 1000. ResourceRegion is the region in the connection's parameter, or else that of the \
           request which made it.",
};

const RESULT: &[Field] = &[
    Field::new("TotalCount", Ty::Int),
    Field::new("ConnectResourceList", Ty::List(&Ty::Object(CONNECTION))),
];

const CONNECTION: &[Field] = &[
    Field::new("ResourceId", Ty::Str),
    Field::new("ResourceName", Ty::Str),
    Field::new("Description", Ty::Str),
    Field::new("Type", Ty::Str),
    Field::new("Status", Ty::Int).stored("always 1: a connection is made at once"),
    Field::new("CreateTime", Ty::Str),
    Field::new("ErrorMessage", Ty::Str).stored("always RUNNING; what is in the way stands in the tasks"),
    Field::new("DatahubTaskCount", Ty::Int),
    Field::new("CurrentStep", Ty::Str),
    Field::new("TaskProgress", Ty::Float).stored("always 100"),
    Field::new("StepList", Ty::List(&Ty::Str)),
    Field::new("DtsConnectParam", Ty::Object(t::DTS_CONNECT_PARAM)),
    Field::new("MongoDBConnectParam", Ty::Object(t::MONGODB_CONNECT_PARAM)),
    Field::new("EsConnectParam", Ty::Object(t::ES_CONNECT_PARAM)),
    Field::new("ClickHouseConnectParam", Ty::Object(t::CLICKHOUSE_CONNECT_PARAM)),
    Field::new("MySQLConnectParam", Ty::Object(t::MYSQL_CONNECT_PARAM)),
    Field::new("PostgreSQLConnectParam", Ty::Object(t::POSTGRESQL_CONNECT_PARAM)),
    Field::new("MariaDBConnectParam", Ty::Object(t::MARIADB_CONNECT_PARAM)),
    Field::new("SQLServerConnectParam", Ty::Object(t::SQL_SERVER_CONNECT_PARAM)),
    Field::new("CtsdbConnectParam", Ty::Object(t::CTSDB_CONNECT_PARAM)),
    Field::new("DorisConnectParam", Ty::Object(t::DORIS_CONNECT_PARAM)),
    Field::new("KafkaConnectParam", Ty::Object(t::KAFKA_CONNECT_PARAM)),
    Field::new("MqttConnectParam", Ty::Object(t::MQTT_CONNECT_PARAM)),
    Field::new("IcebergConnectParam", Ty::Object(t::ICEBERG_CONNECT_PARAM)),
    Field::new("Tags", Ty::List(&Ty::Object(TAG))),
];

/// Connections in one answer at most.
const MOST: u64 = 1_000;
/// Bytes of a word to look for at most.
const MAX_WORD: usize = 255;

/// Answers.
///
/// # Errors
/// In the vendor's words.
pub async fn answer(ask: &Ask<'_>) -> Outcome {
    let v = ask.read(&OPERATION)?;
    let p = Params::unchecked(&v, false);
    let (found, total) = find(ask, &p).await?;
    let mut list = Vec::with_capacity(found.len());
    for c in &found {
        let tasks = ask.control.pipelines_of(&ask.caller, &c.id).await.map_err(|e| ask.fault(&e))?;
        let mut fields = connects::shown(ask, c);
        fields.insert("DatahubTaskCount".to_owned(), tasks.into());
        fields.insert("TaskProgress".to_owned(), 100.0.into());
        list.push(shape::complete(CONNECTION, &Value::Object(fields)));
    }
    Ok(Reply::from(json!({"Result": {"TotalCount": total, "ConnectResourceList": list}})))
}

async fn find(ask: &Ask<'_>, p: &Params<'_>) -> Result<(Vec<Connection>, u64), Fault> {
    for name in ["Type", "SearchWord", "ResourceRegion"] {
        if p.text(name).len() > MAX_WORD {
            return Err(fault::value(format!("The parameter `{name}` may have {MAX_WORD} bytes.")));
        }
    }
    let page = page(p, 20, MOST, fault::VALUE)?;
    let region = given(p, "ResourceRegion");
    let filter = ConnectionFilter {
        search: given(p, "SearchWord").map(str::to_owned),
        product: given(p, "Type").map(str::to_owned),
        kind: None,
        // The region is known to this door only; an account has fewer connections than one answer holds.
        page: if region.is_some() { Page { offset: 0, limit: MOST, newest_first: true } } else { page },
    };
    let (mut found, total) =
        ask.control.connections(&ask.caller, &filter).await.map_err(|e| ask.fault(&e))?;
    let Some(region) = region else { return Ok((found, total)) };
    found.retain(|c| c.attributes.get(words::REGION).is_some_and(|r| r == region));
    let total = found.len() as u64;
    let (offset, limit) = (usize::try_from(page.offset), usize::try_from(page.limit));
    let stretch = found.into_iter().skip(offset.unwrap_or(usize::MAX)).take(limit.unwrap_or(usize::MAX));
    Ok((stretch.collect(), total))
}
