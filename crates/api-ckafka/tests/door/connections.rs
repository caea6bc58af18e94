//! Connections: all types, their secrets, and what changes.

use crate::world::{OTHER, SECRET, World, merged};
use control::Limits;
use model::{Connection, ConnectionId, EndKind};
use serde_json::{Value, json};

const VALUE: &str = "InvalidParameterValue";
const EMPTY: &str = "InvalidParameterValue.NotAllowedEmpty";
const NO_INSTANCE: &str = "InvalidParameterValue.InstanceNotExist";

async fn stored(w: &World, id: &str) -> Connection {
    w.control.connection(&World::account(), &ConnectionId::from(id)).await.unwrap()
}

fn at() -> Value {
    json!({"Port": 1234, "UserName": "u", "Password": SECRET, "Resource": "inst-1", "ServiceVip": "10.0.0.7",
        "UniqVpcId": "vpc-1"})
}

#[tokio::test]
async fn every_type_is_kept_and_shown() {
    let w = World::new().await;
    let built = |change: Value| merged(at(), change);
    let sql = |engine: &str| json!({"engine": engine, "host": "10.0.0.7", "port": 1234, "user": "u"});
    let url = |scheme: &str| json!({"url": format!("{scheme}://10.0.0.7:1234"), "user": "u"});
    let dts = json!({"Port": 1, "GroupId": "g", "UserName": "u", "Password": SECRET, "Resource": "r", "Topic": "t"});
    let mqtt = built(json!({"Region": "r", "Ip": "i", "SelfBuilt": true}));
    let iceberg = json!({"Resource": "r", "AuthType": "KERBEROS", "EniIdList": ["e"], "CatalogType": "HIVE",
        "KeyTabContent": SECRET});
    let kafka = json!({"NetworkType": "VPC", "Resource": "lb-1", "UniqVpcId": "vpc-1", "ServiceVip": "10.0.0.7", "Port": 9092});
    for (i, (kind, param, fields, connector, address)) in [
        ("DTS", "DtsConnectParam", dts, None, Value::Null),
        ("MONGODB", "MongoDBConnectParam", built(json!({"SelfBuilt": true})), None, Value::Null),
        (
            "ES",
            "EsConnectParam",
            built(json!({"SelfBuilt": false, "Protocol": "https", "EsType": "CLUSTER"})),
            Some(EndKind::Elastic),
            url("https"),
        ),
        (
            "CLICKHOUSE",
            "ClickHouseConnectParam",
            built(json!({"SelfBuilt": true})),
            Some(EndKind::ClickHouse),
            url("http"),
        ),
        ("MYSQL", "MySQLConnectParam", built(json!({"ClusterId": "c"})), Some(EndKind::Sql), sql("mysql")),
        ("TDSQL_C_MYSQL", "MySQLConnectParam", at(), Some(EndKind::Sql), sql("mysql")),
        ("POSTGRESQL", "PostgreSQLConnectParam", at(), Some(EndKind::Sql), sql("postgresql")),
        ("TDSQL_C_POSTGRESQL", "PostgreSQLConnectParam", at(), Some(EndKind::Sql), sql("postgresql")),
        ("MARIADB", "MariaDBConnectParam", at(), Some(EndKind::Sql), sql("mariadb")),
        ("SQLSERVER", "SQLServerConnectParam", at(), None, Value::Null),
        ("DORIS", "DorisConnectParam", built(json!({"BePort": 8040})), None, Value::Null),
        ("KAFKA", "KafkaConnectParam", kafka, Some(EndKind::Kafka), json!({"bootstrap": "10.0.0.7:9092"})),
        ("MQTT", "MqttConnectParam", mqtt, None, Value::Null),
        ("ICEBERG", "IcebergConnectParam", iceberg, None, Value::Null),
        ("CTSDB", "", json!({}), None, Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let id = w.connect(&format!("c{i}"), kind, param, fields.clone()).await;
        assert!(id.strip_prefix("resource-").is_some_and(|x| x.len() == 8), "{id}");
        let c = stored(&w, &id).await;
        assert_eq!((c.kind, c.product.as_str()), (connector, kind));
        assert_eq!(serde_json::from_str(&c.address).unwrap_or(Value::Null), address, "{kind}");
        let secret = fields.to_string().contains(SECRET);
        assert_eq!(c.secret.as_ref().map(|s| w.open(s)), secret.then(|| SECRET.to_owned()), "{kind}");
        assert!(!format!("{c:?}").contains(SECRET));
        let shown = w.result("DescribeConnectResource", json!({ "ResourceId": id })).await;
        assert!(!shown.to_string().contains(SECRET), "{shown}");
        assert_eq!((&shown["Type"], &shown["Status"]), (&json!(kind), &json!(1)));
        assert_eq!((&shown["ErrorMessage"], &shown["CurrentStep"]), (&json!("RUNNING"), &json!("FINISH")));
        let params: Vec<&String> = shown
            .as_object()
            .unwrap()
            .iter()
            .filter(|(n, v)| n.ends_with("Param") && !v.is_null())
            .map(|(n, _)| n)
            .collect();
        let own = if param.is_empty() { "CtsdbConnectParam" } else { param };
        assert_eq!(params, [own], "every other parameter is null");
        for (name, value) in fields.as_object().unwrap() {
            let hidden = matches!(name.as_str(), "Password" | "KeyTabContent");
            assert_eq!(shown[own][name], if hidden { json!("") } else { value.clone() }, "{kind}.{name}");
        }
    }
    let all = w.result("DescribeConnectResources", json!({})).await;
    assert_eq!(all["TotalCount"], 15);
    assert!(!all.to_string().contains(SECRET));
}

#[tokio::test]
async fn clusters_by_address_or_by_name() {
    let w = World::new().await;
    let public = json!({"NetworkType": "PUBLIC", "BrokerAddress": "a.example:9092,b.example:9092"});
    let id = w.connect("p", "KAFKA", "KafkaConnectParam", public).await;
    assert_eq!(stored(&w, &id).await.address, r#"{"bootstrap":"a.example:9092,b.example:9092"}"#);
    let named = json!({"Resource": "ckafka-other", "SelfBuilt": false});
    let id = w.connect("n", "KAFKA", "KafkaConnectParam", named).await;
    assert_eq!(stored(&w, &id).await.address, OTHER, "what the operator has declared");
    w.connection("ckafka-embedded", Some(EndKind::Kafka), "KAFKA", "", json!({})).await;
    let own = json!({"Resource": "ckafka-embedded", "SelfBuilt": false});
    let id = w.connect("own", "KAFKA", "KafkaConnectParam", own).await;
    assert_eq!(stored(&w, &id).await.address, "", "the server's own cluster");
    let target =
        json!({"Type": "KAFKA", "KafkaParam": {"SelfBuilt": true, "Resource": id, "Topic": "12345-xxx"}});
    w.task(w.sink_request(target, json!({}))).await;
    let known = json!({"Port": 9200, "UserName": "u", "Password": "p", "Resource": "resource-test", "SelfBuilt": false});
    let id = w.connect("e", "ES", "EsConnectParam", known).await;
    let address: Value = serde_json::from_str(&stored(&w, &id).await.address).unwrap();
    assert_eq!(address, json!({"url": "http://10.0.0.3:9200", "user": "u"}));
    let own = json!({"Port": 3306, "UserName": "u", "Password": "p", "Resource": "db.example.com", "SelfBuilt": true});
    let id = w.connect("m", "MYSQL", "MySQLConnectParam", own).await;
    assert!(stored(&w, &id).await.address.contains(r#""host":"db.example.com""#));
    let serverless = json!({"Port": 80, "UserName": "u", "Password": "p", "Resource": "r", "SelfBuilt": false,
        "EsType": "SERVERLESS", "EndpointUrl": "https://es.example.com"});
    let id = w.connect("s", "ES", "EsConnectParam", serverless).await;
    assert!(stored(&w, &id).await.address.contains(r#""url":"https://es.example.com""#));
}

#[tokio::test]
async fn creation_refuses_in_the_vendors_words() {
    let w = World::new().await;
    let base = json!({"ResourceName": "c", "Type": "MYSQL", "MySQLConnectParam": at()});
    let db = |change: Value| json!({"MySQLConnectParam": merged(at(), change)});
    let kafka = |p: Value| json!({"Type": "KAFKA", "MySQLConnectParam": null, "KafkaConnectParam": p});
    let es = |change: Value| json!({"Type": "ES", "MySQLConnectParam": null, "EsConnectParam": merged(merged(at(), json!({"SelfBuilt": true})), change)});
    w.connect("taken", "CTSDB", "", json!({})).await;
    for (change, code) in [
        (json!({"ResourceName": null}), "MissingParameter"),
        (json!({"ResourceName": ""}), EMPTY),
        (json!({"ResourceName": "a b"}), VALUE),
        (json!({"ResourceName": "taken"}), "InvalidParameterValue.RepetitionValue"),
        (json!({"Type": ""}), EMPTY),
        (json!({"Type": "ORACLE"}), VALUE),
        (json!({"Type": "POSTGRESQL"}), VALUE),
        (json!({"MySQLConnectParam": null}), EMPTY),
        (json!({"Description": "x".repeat(129)}), VALUE),
        (json!({"CtsdbConnectParam": {}}), "UnknownParameter"),
        (db(json!({"Port": null})), "MissingParameter"),
        (db(json!({"Port": 0})), VALUE),
        (db(json!({"Port": -1})), VALUE),
        (db(json!({"ServiceVip": "a/b"})), VALUE),
        (db(json!({"ServiceVip": ""})), EMPTY),
        (db(json!({"ServiceVip": null, "Resource": ""})), EMPTY),
        (db(json!({"Password": "p".repeat(1025)})), VALUE),
        (kafka(json!({})), EMPTY),
        (kafka(json!({"Resource": "ckafka-unknown"})), NO_INSTANCE),
        (kafka(json!({"NetworkType": "MOON"})), VALUE),
        (kafka(json!({"NetworkType": "PUBLIC"})), EMPTY),
        (kafka(json!({"NetworkType": "VPC", "Port": 9092})), EMPTY),
        (kafka(json!({"NetworkType": "VPC", "ServiceVip": "10.0.0.1"})), VALUE),
        (kafka(json!({"NetworkType": "PUBLIC", "BrokerAddress": "nowhere"})), VALUE),
        (es(json!({"Protocol": "ftp"})), VALUE),
        (es(json!({"EndpointUrl": "http://user:pw@h"})), VALUE),
    ] {
        let fault = w.fault("CreateConnectResource", merged(base.clone(), change.clone())).await;
        assert_eq!(fault.code, code, "{change}: {}", fault.message);
    }
    assert_eq!(w.result("DescribeConnectResources", json!({})).await["TotalCount"], 1);
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let w = World::new().await;
    let mut ids = Vec::new();
    for (name, kind) in [("a-one", "CTSDB"), ("b-two", "MYSQL"), ("a-three", "MYSQL")] {
        w.clock.advance(1_000_000);
        let param = if kind == "MYSQL" { "MySQLConnectParam" } else { "" };
        ids.push(w.connect(name, kind, param, at()).await);
    }
    let far = json!({"ResourceName": "far", "Type": "KAFKA",
        "KafkaConnectParam": {"Resource": "ckafka-other", "Region": "ap-tokyo"}});
    w.clock.advance(1_000_000);
    ids.push(w.result("CreateConnectResource", far).await["ResourceId"].as_str().unwrap().to_owned());
    let list = async |filter: Value| {
        let found = w.result("DescribeConnectResources", filter).await;
        let all = found["ConnectResourceList"].as_array().unwrap().iter();
        let ids: Vec<String> = all.map(|t| t["ResourceId"].as_str().unwrap().to_owned()).collect();
        (found["TotalCount"].as_u64().unwrap(), ids)
    };
    let pick = |which: &[usize]| which.iter().map(|i| ids[*i].clone()).collect::<Vec<_>>();
    assert_eq!(list(json!({})).await, (4, pick(&[3, 2, 1, 0])), "the account's own, newest first");
    assert_eq!(list(json!({"Offset": 1, "Limit": 1})).await, (4, pick(&[2])));
    assert_eq!(list(json!({"Limit": 100_000})).await.0, 4);
    assert_eq!(list(json!({"Type": "MYSQL"})).await.1, pick(&[2, 1]));
    assert_eq!(list(json!({"SearchWord": "a-"})).await.1, pick(&[2, 0]));
    assert_eq!(list(json!({"ResourceRegion": "ap-tokyo"})).await, (1, pick(&[3])));
    assert_eq!(
        list(json!({"ResourceRegion": "ap-guangzhou", "Limit": 2, "Offset": 1})).await,
        (3, pick(&[1, 0]))
    );
    for bad in [json!({"Limit": 0}), json!({"Offset": -1}), json!({"Type": "x".repeat(256)})] {
        assert_eq!(w.code("DescribeConnectResources", bad).await, VALUE);
    }
    let stranger = w.ask_as("100002", "DescribeConnectResources", json!({}), false).await.unwrap();
    assert_eq!(stranger["Result"]["TotalCount"], 0);
    let other = w.ask_as("100002", "DescribeConnectResource", json!({"ResourceId": ids[0]}), false).await;
    assert_eq!(other.unwrap_err().code, NO_INSTANCE);
    let declared = w.result("DescribeConnectResource", json!({"ResourceId": "ckafka-other"})).await;
    assert_eq!(declared["KafkaConnectParam"]["Resource"], "ckafka-other");
}

#[tokio::test]
async fn user_and_password_change_and_the_place_does_not() {
    let w = World::new().await;
    let id = w.connect("c", "MYSQL", "MySQLConnectParam", at()).await;
    w.connect("taken", "CTSDB", "", json!({})).await;
    let with = |change: Value| merged(json!({ "ResourceId": id }), change);
    let db = |change: Value| {
        with(json!({"Type": "MYSQL", "MySQLConnectParam": merged(json!({"Resource": "inst-1"}), change)}))
    };
    let done =
        w.result("ModifyConnectResource", db(json!({"UserName": "v", "Password": "next-secret"}))).await;
    assert_eq!(done["ResourceId"], id.as_str());
    let c = stored(&w, &id).await;
    assert!(c.address.contains(r#""user":"v""#) && c.address.contains("10.0.0.7"), "{}", c.address);
    assert_eq!(w.open(c.secret.as_ref().unwrap()), "next-secret");
    w.result("ModifyConnectResource", db(json!({"Password": ""}))).await;
    assert_eq!(w.open(stored(&w, &id).await.secret.as_ref().unwrap()), "next-secret", "empty is not given");
    w.result("ModifyConnectResource", with(json!({"ResourceName": "renamed", "Description": "d"}))).await;
    let shown = w.result("DescribeConnectResource", with(json!({}))).await;
    assert_eq!((&shown["ResourceName"], &shown["Description"]), (&json!("renamed"), &json!("d")));
    assert_eq!(shown["MySQLConnectParam"]["UserName"], "v");
    for (request, code) in [
        (db(json!({"Port": 1})), VALUE),
        (db(json!({"Resource": "inst-2"})), VALUE),
        (db(json!({"ServiceVip": "10.0.0.8"})), VALUE),
        (with(json!({"MySQLConnectParam": {}})), "MissingParameter"),
        (with(json!({"Type": "ES"})), VALUE),
        (with(json!({"EsConnectParam": {"Resource": "r"}})), VALUE),
        (with(json!({"ResourceName": "taken"})), "InvalidParameterValue.RepetitionValue"),
        (with(json!({"ResourceId": "resource-none"})), NO_INSTANCE),
        (with(json!({"ResourceId": ""})), EMPTY),
        (with(json!({"ResourceId": "ckafka-other", "ResourceName": "x"})), "FailedOperation"),
    ] {
        let fault = w.fault("ModifyConnectResource", request.clone()).await;
        assert_eq!(fault.code, code, "{request}: {}", fault.message);
    }
    let ctsdb = w.connect("late", "CTSDB", "", json!({})).await;
    let param = json!({"ResourceId": ctsdb, "Type": "CTSDB", "CtsdbConnectParam": {"Port": 1, "Password": SECRET, "UserName": "u"}});
    w.result("ModifyConnectResource", param).await;
    let shown = w.result("DescribeConnectResource", json!({ "ResourceId": ctsdb })).await;
    assert_eq!(
        (&shown["CtsdbConnectParam"]["UserName"], &shown["CtsdbConnectParam"]["Password"]),
        (&json!("u"), &json!(""))
    );
}

#[tokio::test]
async fn one_that_is_used_stays() {
    let w = World::new().await;
    let id = w.connect("c", "MYSQL", "MySQLConnectParam", at()).await;
    let target = json!({"Type": "MYSQL", "MySQLParam": {"Database": "d", "Table": "t", "Resource": id}});
    let task = w.task(w.sink_request(target, json!({}))).await;
    let listed = w.result("DescribeConnectResources", json!({})).await;
    assert_eq!(listed["ConnectResourceList"][0]["DatahubTaskCount"], 1);
    assert_eq!(w.code("DeleteConnectResource", json!({ "ResourceId": id })).await, "FailedOperation");
    w.result("DeleteDatahubTask", json!({ "TaskId": task })).await;
    let gone = w.result("DeleteConnectResource", json!({ "ResourceId": id })).await;
    assert_eq!(gone["ResourceId"], id.as_str());
    for action in ["DeleteConnectResource", "DescribeConnectResource"] {
        assert_eq!(w.code(action, json!({ "ResourceId": id })).await, NO_INSTANCE);
        assert_eq!(w.code(action, json!({"ResourceId": "x".repeat(500)})).await, NO_INSTANCE);
        assert_eq!(w.code(action, json!({})).await, "MissingParameter");
    }
    assert_eq!(
        w.code("DeleteConnectResource", json!({"ResourceId": "ckafka-other"})).await,
        "FailedOperation"
    );
}

#[tokio::test]
async fn one_connection_too_many() {
    let w = World::with(Limits { connections_per_account: 1, ..Limits::default() }).await;
    w.connect("a", "CTSDB", "", json!({})).await;
    let second = json!({"ResourceName": "b", "Type": "CTSDB"});
    assert_eq!(w.code("CreateConnectResource", second).await, "FailedOperation");
}
