"""The CKafka door through Tencent's own SDK, unmodified, over the embedded broker: every action, every signature.

What happens to the records on their way is `test_pipelines.py`'s matter; here it is what a client is told.
"""

from __future__ import annotations

import json

import pytest
import sdk_models
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from harness import peers, server
from tencentcloud.ckafka.v20190819 import models
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

INSTANCE = "ckafka-7kd5rzza"
APP_ID = server.ACCOUNT["app_id"]
SECRET = "very-secret-word"
ACCOUNT_2 = {"name": "second", "access_key_id": "AKIDSECOND", "access_key_secret": "sk-second-secret", "app_id": "1250000001"}


def call(client, action, **params):
    """One action by the SDK's own models; the answer as a dict without RequestId."""
    request = getattr(models, f"{action}Request")()
    request.from_json_string(json.dumps(params))
    answer = json.loads(getattr(client, action)(request).to_json_string())
    assert len(answer.pop("RequestId")) == 36
    return answer


def result(client, action, **params):
    return call(client, action, **params)["Result"]


def refused(client, action, **params):
    """The code and message that an action is refused with."""
    with pytest.raises(TencentCloudSDKException) as caught:
        call(client, action, **params)
    assert caught.value.requestId, "a refusal carries the request's id"
    assert SECRET not in caught.value.message
    return caught.value.code, caught.value.message


def code(client, action, **params):
    return refused(client, action, **params)[0]


def status(client, task):
    return result(client, "DescribeDatahubTask", TaskId=task)["Status"]


def wait_status(client, task, want, seconds=60):
    return peers.wait_until(f"status {want} of {task}", lambda: status(client, task) == want, seconds)


@pytest.fixture
def stream(wharf):
    """`stream(connections=…)`: a server with its broker; `.boot` is where Kafka clients connect."""

    def start(connections=(), **parts):
        port = peers.free_port()
        tables = [
            {"id": INSTANCE, "kind": "kafka", "embedded": True},
            {"id": "ckafka-other", "kind": "kafka", "bootstrap": f"127.0.0.1:{port}"},
            {"id": "resource-test", "kind": "elastic", "url": f"http://127.0.0.1:{peers.free_port()}"},
            *connections,
        ]
        extra = "".join("[[connection]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items()) for table in tables)
        running = wharf(sections={"broker": {"address": f"127.0.0.1:{port}"}}, extra=extra, **parts)
        running.boot = f"127.0.0.1:{port}"
        return running

    return start


def make_topic(boot, name, partitions=1):
    # The client has to live until the answer is there.
    admin = AdminClient({"bootstrap.servers": boot})
    for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
        future.result(30)
    return name


def produce(boot, name, values):
    producer = Producer({"bootstrap.servers": boot, "enable.idempotence": True})
    for value in values:
        producer.produce(name, value)
    assert producer.flush(60) == 0


def consume(boot, name, count, seconds=60):
    consumer = Consumer({"bootstrap.servers": boot, "group.id": "test-reader", "auto.offset.reset": "earliest",
                         "isolation.level": "read_committed", "enable.auto.commit": False})
    consumer.subscribe([name])
    found = []

    def enough():
        for message in consumer.consume(100, 0.2):
            assert message.error() is None, message.error()
            found.append(message.value())
        return len(found) >= count

    peers.wait_until(f"{count} records of {name}", enough, seconds)
    consumer.close()
    return found


def kafka_end(topic, id=INSTANCE, **more):
    return {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": id, "Topic": topic, **more}}


SEED_ES = {"Type": "ES", "EsParam": {"Resource": "resource-test", "DropInvalidMessage": True, "Index": "index", "DropInvalidJsonMessage": False}}
SEED = {
    "event bus": {
        "SourceResource": kafka_end("topic-test", OffsetType="timestamp", StartTime=1635339533),
        "TargetResource": {"Type": "EB", "EventBusParam": {
            "Type": "COS", "SelfBuilt": False, "Resource": "target-resource", "Namespace": "default",
            "FunctionName": "ckafka-7kd5rzza_topic-0cus2p9z_task_1633501781881_schedule", "Qualifier": "$LATEST"}},
    },
    "ES": {"SourceResource": kafka_end("topic-test", OffsetType="earliest"), "TargetResource": SEED_ES},
    "DIP topic to ES": {
        "SourceResource": {"Type": "TOPIC", "TopicParam": {"Resource": "12345-xxx", "OffsetType": "earliest"}},
        "TargetResource": SEED_ES,
    },
}


@pytest.mark.parametrize("example", SEED)
def test_the_seed_documents_examples_run_as_written(stream, weed, bucket, example):
    store = server.object_store("weed", weed.url, weed.access_key, weed.secret_key)
    target = {"id": "target-resource", "kind": "bucket", "object_store": "weed", "bucket": bucket}
    running = stream([target], object_stores=[store], accounts=[{**server.ACCOUNT, "app_id": "12345"}])
    client = running.ckafka()
    make_topic(running.boot, "topic-test")
    result(client, "CreateDatahubTopic", Name="12345-xxx", PartitionNum=1, RetentionMs=3_600_000)
    made = result(client, "CreateDatahubTask", TaskName="MyTaskName", TaskType="SINK", **SEED[example])
    assert made["TaskId"].removeprefix("task-") == made["DatahubId"].removeprefix("datahub-")
    assert len(made["TaskId"]) == len("task-y9799wbn")
    wait_status(client, made["TaskId"], 1)
    shown = result(client, "DescribeDatahubTask", TaskId=made["TaskId"])
    for side, sent in SEED[example].items():
        for name, value in sent.items():
            if name == "Type":
                assert shown[side][name] == value
            else:
                assert {k: shown[side][name][k] for k in value} == value
        others = [v for k, v in shown[side].items() if k not in sent]
        assert len(others) == 17 and not any(others), "every other parameter is there, as null"


@pytest.mark.both_stores
def test_every_action(stream):
    running = stream()
    client, seen = running.ckafka(), set()

    def go(action, **params):
        seen.add(action)
        return call(client, action, **params).get("Result")

    name = f"{APP_ID}-in"
    made = go("CreateDatahubTopic", Name=name, PartitionNum=2, RetentionMs=3_600_000, Note="first", Tags=[{"TagKey": "k", "TagValue": "v"}])
    assert made["TopicName"] == name and made["TopicId"].startswith("topic-")
    shown = go("DescribeDatahubTopic", Name=name)
    assert (shown["PartitionNum"], shown["RetentionMs"], shown["Note"], shown["Status"]) == (2, 3_600_000, "first", 1)
    assert shown["UserName"] and shown["Password"] and ":" in shown["Address"]
    assert go("ModifyDatahubTopic", Name=name, RetentionMs=7_200_000)["ReturnCode"] == "0"
    listed = go("DescribeDatahubTopics", SearchWord="in")
    assert (listed["TotalCount"], listed["TopicList"][0]["RetentionMs"]) == (1, 7_200_000)
    assert go("DescribeDatahubTopics", QueryFromConnectResource=True, ConnectResourceId="ckafka-other")["TotalCount"] >= 1

    connection = go("CreateConnectResource", ResourceName="k", Type="KAFKA", KafkaConnectParam={
        "NetworkType": "PUBLIC", "BrokerAddress": running.boot})["ResourceId"]
    assert go("DescribeConnectResource", ResourceId=connection)["KafkaConnectParam"]["BrokerAddress"] == running.boot
    assert go("ModifyConnectResource", ResourceId=connection, ResourceName="renamed")["ResourceId"] == connection
    assert go("DescribeConnectResources", SearchWord="renamed")["TotalCount"] == 1

    push = go("CreateDatahubTask", TaskName="push", TaskType="SOURCE", SourceResource={"Type": "HTTP"},
              TargetResource={"Type": "TOPIC", "TopicParam": {"Resource": name}})
    wait_status(client, push["TaskId"], 1)
    seen.add("SendMessage")
    sent = call(client, "SendMessage", DataHubId=push["DatahubId"], Message=[{"Key": "k", "Body": f"m{i}"} for i in range(5)])["MessageId"]
    where = [bytes.fromhex(m).decode().split(":") for m in sent]
    assert all(m == m.lower() for m in sent) and all(w[:2] == [push["DatahubId"], name] for w in where)
    partition, offset = int(where[0][2]), int(where[0][3])
    record = go("FetchDatahubMessageByOffset", Name=name, Partition=partition, Offset=offset)
    assert (record["Topic"], record["Key"], record["Value"], record["Offset"]) == (name, "k", "m0", offset)
    latest = go("FetchLatestDatahubMessageList", Name=name, Partition=partition, MessageCount=2)
    assert [r["Value"] for r in latest] == ["m3", "m4"]

    out = make_topic(running.boot, "out")
    copy = go("CreateDatahubTask", TaskName="copy", TaskType="SINK", TargetResource=kafka_end(out, id=connection),
              SourceResource={"Type": "TOPIC", "TopicParam": {"Resource": name, "OffsetType": "earliest"}})["TaskId"]
    assert sorted(consume(running.boot, out, 5)) == [f"m{i}".encode() for i in range(5)]
    group = go("DescribeDatahubTask", TaskId=copy)["Connections"][0]
    assert group["TopicName"] == name and group["TopicId"] == made["TopicId"]

    def caught_up():
        found = go("DescribeDatahubGroupOffsets", Name=name, Group=group["GroupId"])["TopicList"]
        return bool(found) and sum(p["Lag"] for p in found[0]["Partitions"]) == 0

    peers.wait_until("the group to catch up", caught_up, 60)
    go("ModifyDatahubTask", TaskId=copy, TaskName="copied", Description="d", TasksMax=2, SyncThrottleLimit=20, AutoExpandFlag=False)
    shown = go("DescribeDatahubTask", TaskId=copy)
    assert [shown[k] for k in ("TaskName", "Description", "TaskMax", "SyncThrottleLimit", "AutoExpandFlag")] == ["copied", "d", 2, 20, False]
    wait_status(client, copy, 1)
    go("RestartDatahubTask", TaskId=copy)
    wait_status(client, copy, 1)
    go("PauseDatahubTask", TaskId=copy)
    wait_status(client, copy, 6)
    go("ResumeDatahubTask", TaskId=copy)
    wait_status(client, copy, 1)

    # Clusters that don't answer: what is copied is looked at in test_pipeline_ends.py.
    far = [go("CreateConnectResource", ResourceName=f"far{n}", Type="KAFKA", KafkaConnectParam={
        "NetworkType": "PUBLIC", "BrokerAddress": f"127.0.0.1:{peers.free_port()}"})["ResourceId"] for n in range(2)]
    for action in ("CreateMetaSyncDatahubTask", "CreateMetaAndDataSyncDatahubTask", "CreateMetaDataAndOffsetSyncDatahubTask"):
        more = {} if action == "CreateMetaSyncDatahubTask" else {"TopicList": [out], "Prefix": action, "Separator": "-"}
        sync = go(action, TaskName=action, SourceResourceId=far[0], TargetResourceId=far[1], **more)["TaskId"]
        wait_status(client, sync, 1)
        go("DeleteDatahubTask", TaskId=sync)
        wait_status(client, sync, 3)

    assert {t["TaskId"] for t in go("DescribeDatahubTasks", Limit=1000)["TaskList"]} == {push["TaskId"], copy}
    assert code(client, "DeleteConnectResource", ResourceId=connection) == "FailedOperation", "a task uses it"
    assert code(client, "DeleteDatahubTopic", Name=name) == "ResourceInUse"
    for task in (push["TaskId"], copy):
        go("DeleteDatahubTask", TaskId=task)
        wait_status(client, task, 3)
    assert go("DeleteConnectResource", ResourceId=connection)["ResourceId"] == connection
    assert go("DeleteDatahubTopic", Name=name)["Data"]["FlowId"] == 0
    assert seen == set(sdk_models.CKAFKA_ACTIONS)


@pytest.mark.parametrize("options", [
    {"sign_method": "TC3-HMAC-SHA256"}, {"sign_method": "TC3-HMAC-SHA256", "method": "GET"},
    {"sign_method": "HmacSHA256"}, {"sign_method": "HmacSHA1"}, {"sign_method": "HmacSHA256", "method": "GET"},
], ids=lambda o: "-".join(o.values()))
def test_every_signature_means_the_same(stream, options):
    running = stream()
    client = running.ckafka(**options)
    make_topic(running.boot, "in"), make_topic(running.boot, "out")
    request = {
        "TaskName": "flat", "TaskType": "SINK", "SourceResource": kafka_end("in", OffsetType="timestamp", StartTime=1635339533),
        "TargetResource": kafka_end("out", id="ckafka-other", KeepPartition=True, MsgMultiple=2),
        "TransformsParam": {
            "Content": "a b", "KeepMetadata": False, "OutputFormat": "JSON",
            "FieldChain": [{"Analyse": {"Format": "DELIMITER", "Regex": " "}, "SMT": [
                {"Key": "n", "Operate": "MAPPING", "Value": "0", "SchemeType": "INT64"}]}],
            "FailureParam": {"Type": "DROP"}},
        "Tags": [{"TagKey": "k", "TagValue": "v w"}],
    }
    task = result(client, "CreateDatahubTask", **request)["TaskId"]
    shown = result(running.ckafka(), "DescribeDatahubTask", TaskId=task)
    assert shown["SourceResource"]["KafkaParam"]["StartTime"] == 1635339533
    assert (shown["TargetResource"]["KafkaParam"]["KeepPartition"], shown["TargetResource"]["KafkaParam"]["MsgMultiple"]) == (True, 2)
    assert shown["TransformsParam"]["FieldChain"][0]["SMT"][0]["SchemeType"] == "INT64"
    assert shown["Tags"] == [{"TagKey": "k", "TagValue": "v w"}]
    produce(running.boot, "in", [b"7 x", b"seven x"])
    assert [json.loads(v) for v in consume(running.boot, "out", 2)] == [{"n": 7}, {"n": 7}], "twice each, but what can't be a number"
    assert code(running.ckafka(secret_key="wrong", **options), "DescribeDatahubTasks").startswith("AuthFailure")


CONNECTIONS = {
    "DTS": ("DtsConnectParam", {"Port": 1, "GroupId": "g", "UserName": "u", "Password": SECRET, "Resource": "r", "Topic": "t"}),
    "MONGODB": ("MongoDBConnectParam", {"SelfBuilt": True}),
    "ES": ("EsConnectParam", {"SelfBuilt": True, "Protocol": "https"}),
    "CLICKHOUSE": ("ClickHouseConnectParam", {"SelfBuilt": True}),
    "MYSQL": ("MySQLConnectParam", {}),
    "TDSQL_C_MYSQL": ("MySQLConnectParam", {"ClusterId": "c"}),
    "POSTGRESQL": ("PostgreSQLConnectParam", {}),
    "TDSQL_C_POSTGRESQL": ("PostgreSQLConnectParam", {}),
    "MARIADB": ("MariaDBConnectParam", {}),
    "SQLSERVER": ("SQLServerConnectParam", {}),
    "DORIS": ("DorisConnectParam", {"BePort": 8040}),
    "KAFKA": ("KafkaConnectParam", {"NetworkType": "VPC", "Resource": "lb-1", "UniqVpcId": "vpc-1", "ServiceVip": "10.0.0.7", "Port": 9092}),
    "MQTT": ("MqttConnectParam", {"Region": "r"}),
    "ICEBERG": ("IcebergConnectParam", {"Resource": "r", "AuthType": "KERBEROS", "CatalogType": "HIVE", "KeyTabContent": SECRET, "EniIdList": ["e"]}),
    "CTSDB": (None, {}),
}
SYSTEM = {"Port": 1234, "UserName": "u", "Password": SECRET, "Resource": "inst-1", "ServiceVip": "10.0.0.7", "UniqVpcId": "vpc-1"}


@pytest.mark.both_stores
def test_connections_of_every_type(stream):
    running = stream(accounts=[server.ACCOUNT, ACCOUNT_2])
    client = running.ckafka()
    ids = {}
    for kind, (param, fields) in CONNECTIONS.items():
        own = fields if kind in ("DTS", "KAFKA", "ICEBERG") else {**SYSTEM, **fields}
        more = {param: own} if param else {}
        ids[kind] = result(client, "CreateConnectResource", ResourceName=f"c-{kind}", Type=kind, Description="d", **more)["ResourceId"]
        shown = result(client, "DescribeConnectResource", ResourceId=ids[kind])
        assert (shown["Type"], shown["Status"], shown["ErrorMessage"], shown["CurrentStep"]) == (kind, 1, "RUNNING", "FINISH")
        assert SECRET not in json.dumps(shown)
        if param:
            hidden = {k: "" for k in own if k in ("Password", "KeyTabContent")}
            assert {k: shown[param][k] for k in own} == {**own, **hidden}
    everything = result(client, "DescribeConnectResources", Limit=1000)
    assert everything["TotalCount"] == len(CONNECTIONS) and SECRET not in json.dumps(everything)
    assert [c["ResourceId"] for c in result(client, "DescribeConnectResources", Type="ES")["ConnectResourceList"]] == [ids["ES"]]
    changed = {"Resource": "inst-1", "UserName": "v", "Password": "next-" + SECRET}
    result(client, "ModifyConnectResource", ResourceId=ids["MYSQL"], Type="MYSQL", MySQLConnectParam=changed)
    assert result(client, "DescribeConnectResource", ResourceId=ids["MYSQL"])["MySQLConnectParam"]["UserName"] == "v"
    moved = {**changed, "Port": 1}
    assert code(client, "ModifyConnectResource", ResourceId=ids["MYSQL"], Type="MYSQL", MySQLConnectParam=moved) == "InvalidParameterValue"
    assert code(client, "CreateConnectResource", ResourceName="c-ES", Type="CTSDB") == "InvalidParameterValue.RepetitionValue"
    stranger = running.ckafka(ACCOUNT_2["access_key_id"], ACCOUNT_2["access_key_secret"])
    assert result(stranger, "DescribeConnectResources")["TotalCount"] == 0
    assert code(stranger, "DeleteConnectResource", ResourceId=ids["ES"]) == "InvalidParameterValue.InstanceNotExist"
    # Passwords survive a restart, and are nowhere in the clear.
    running.restart()
    assert result(running.ckafka(), "DescribeConnectResources", Limit=1000)["TotalCount"] == len(CONNECTIONS)
    for file in [p for p in running.directory.rglob("*") if p.is_file()]:
        assert SECRET.encode() not in file.read_bytes(), file


def test_what_is_refused_says_what_and_why(stream):
    running = stream()
    client = running.ckafka()
    make_topic(running.boot, "in")
    base = {"TaskName": "t", "TaskType": "SINK", "SourceResource": kafka_end("in"), "TargetResource": SEED_ES}
    for change, want, field in [
        ({"TaskName": ""}, "InvalidParameterValue.NotAllowedEmpty", "TaskName"),
        ({"TaskName": "1"}, "InvalidParameterValue", "TaskName"),
        ({"TaskType": "BOTH"}, "InvalidParameterValue", "TaskType"),
        ({"SourceResource": kafka_end("in", id="ckafka-none")}, "ResourceNotFound", "Resource"),
        ({"SourceResource": kafka_end("in", id="resource-none")}, "InvalidParameterValue.InstanceNotExist", "Resource"),
        ({"SourceResource": kafka_end("missing")}, "ResourceNotFound", ""),
        ({"SourceResource": kafka_end("in", OffsetType="timestamp")}, "InvalidParameterValue.NotAllowedEmpty", "StartTime"),
        ({"TargetResource": {"Type": "CLS", "ClsParam": {"DecodeJson": True, "Resource": "r"}}}, "FailedOperation", "ClsParam"),
        ({"TargetResource": {"Type": "DORIS"}}, "FailedOperation", "DORIS"),
        ({"TargetResource": {"Type": "ES", "EsParam": {"Resource": "resource-test", "Index": "UPPER"}}}, "InvalidParameterValue", ""),
        ({"TransformsParam": {"Content": "", "FieldChain": [{"Analyse": {"Format": "XML"}}]}}, "InvalidParameterValue", ""),
    ]:
        got, message = refused(client, "CreateDatahubTask", **{**base, **change})
        assert got == want and field in message, (change, got, message)
    assert result(client, "DescribeDatahubTasks")["TotalCount"] == 0
    task = result(client, "CreateDatahubTask", **base)["TaskId"]
    assert code(client, "CreateDatahubTask", **base) == "InvalidParameterValue.RepetitionValue"
    assert code(client, "SendMessage", DataHubId=task.replace("task-", "datahub-"), Message=[{"Body": "x"}]).startswith("InvalidParameterValue")
    for action in ("DeleteDatahubTask", "PauseDatahubTask", "ResumeDatahubTask", "RestartDatahubTask", "ModifyDatahubTask"):
        assert code(client, action, TaskId="task-00000000") == "InvalidParameterValue.InstanceNotExist"
    assert code(client, "DescribeDatahubTask", TaskId="task-00000000") == "InvalidParameterValue"
    assert code(client, "FetchDatahubMessageByOffset", Name=f"{APP_ID}-none", Partition=0, Offset=0) == "FailedOperation"
    assert code(client, "DescribeDatahubTopic", Name=f"{APP_ID}-none") == "ResourceNotFound"
    assert code(client, "CreateDatahubTopic", Name="mine", PartitionNum=1, RetentionMs=60_000) == "InvalidParameter"


@pytest.mark.both_stores
def test_a_poller_sees_a_task_come_and_go_over_a_restart(stream):
    running = stream()
    client = running.ckafka()
    make_topic(running.boot, "in"), make_topic(running.boot, "out")
    task = result(client, "CreateDatahubTask", TaskName="t", TaskType="SINK", SourceResource=kafka_end("in"), TargetResource=kafka_end("out"))["TaskId"]
    assert status(client, task) in (0, 1)
    wait_status(client, task, 1)
    produce(running.boot, "in", [b"1"])
    assert consume(running.boot, "out", 1) == [b"1"]
    result(client, "PauseDatahubTask", TaskId=task)
    wait_status(client, task, 6)
    running.restart()
    client = running.ckafka()
    assert status(client, task) == 6, "a paused task stays so"
    result(client, "ResumeDatahubTask", TaskId=task)
    wait_status(client, task, 1)
    result(client, "DeleteDatahubTask", TaskId=task)
    wait_status(client, task, 3)
    running.restart()
    assert status(running.ckafka(), task) == 3, "and a deleted one is readable"
