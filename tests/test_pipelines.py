"""Pipelines from end to end: a real broker, real destinations, the official SDK; kills and poison in the middle."""

from __future__ import annotations

import gzip
import http.server
import json
import random
import subprocess
import threading
import time
from collections import Counter

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic
from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.ckafka.v20190819 import ckafka_client, models

from harness import peers, server

INSTANCE = "ckafka-7kd5rzza"


def client(wharf):
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=wharf.address, reqTimeout=60))
    keys = credential.Credential(wharf.access_key, wharf.secret_key)
    return ckafka_client.CkafkaClient(keys, "ap-guangzhou", profile)


def call(wharf, action, **fields):
    """One call of the SDK: its answer's `Result` as a dictionary."""
    request = getattr(models, f"{action}Request")()
    request.from_json_string(json.dumps(fields))
    answer = json.loads(getattr(client(wharf), action)(request).to_json_string())
    return answer.get("Result", answer)


_started = 0


def pytest_generate_tests(metafunc):
    """Each scenario with the embedded broker and beside Apache Kafka; those marked `both_stores` once more, with the embedded broker
    and the server's state in PostgreSQL."""
    if "stream" in metafunc.fixturenames:
        brokers = ["embedded", "apache"]
        if metafunc.definition.get_closest_marker("both_stores") and metafunc.config.getoption("--store") == "both":
            brokers.append("embedded-postgresql")
        metafunc.parametrize("stream", brokers, indirect=True)


@pytest.fixture
def stream(tmp_path, request):
    """`stream(connections=…)`: a server, with its own broker or beside a real Apache Kafka. `.boot` is where Kafka clients
    connect; `.name(topic)` is a topic of this test alone."""
    global _started
    _started += 1
    prefix, started = f"p{_started}", []
    apache = request.getfixturevalue("apache_kafka") if request.param == "apache" else None
    in_postgresql = request.param.endswith("postgresql") or request.config.getoption("--store") == "postgresql"

    def start(connections=(), **parts):
        port = peers.free_port()
        if apache:
            sections = {"streams": {"lanes": 2, "topics": INSTANCE}}
            tables = [{"id": INSTANCE, "kind": "kafka", "bootstrap": apache.boot}, *connections]
        else:
            sections = {"broker": {"address": f"127.0.0.1:{port}"}, "streams": {"lanes": 2}}
            tables = [{"id": INSTANCE, "kind": "kafka", "embedded": True}, *connections]
        extra = "".join(
            "[[connection]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items()) for table in tables
        )
        if in_postgresql:
            parts["database_url"] = request.getfixturevalue("postgres").database(f"{prefix}_state{len(started)}")
        running = server.Wharf(tmp_path / f"w{len(started)}", sections=sections, extra=extra, **parts)
        running.boot = apache.boot if apache else f"127.0.0.1:{port}"
        running.name = lambda topic: f"{prefix}-{topic}"
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop(20)


def topic(wharf, name, partitions=2, config=None):
    admin = AdminClient({"bootstrap.servers": wharf.boot})
    name = wharf.name(name)
    for future in admin.create_topics([NewTopic(name, partitions, 1, config=config or {})]).values():
        future.result(30)
    return name


def produce(wharf, name, values, key=lambda i: str(i % 17).encode(), headers=None):
    name = wharf.name(name)
    producer = Producer({"bootstrap.servers": wharf.boot, "linger.ms": 5, "enable.idempotence": True})
    for i, value in enumerate(values):
        while True:
            try:
                producer.produce(name, value, key(i), headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def consume(wharf, name, count, seconds=60, quiet=3):
    """Committed records of a topic: at least `count`, then until nothing comes for `quiet` seconds."""
    name = wharf.name(name)
    consumer = Consumer({"bootstrap.servers": wharf.boot, "group.id": f"t{random.random()}", "auto.offset.reset": "earliest",
                         "isolation.level": "read_committed", "enable.auto.commit": False})
    partitions = consumer.list_topics(name, 30).topics[name].partitions
    consumer.assign([TopicPartition(name, p, 0) for p in partitions])
    found, end, last = [], time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < end and not (len(found) >= count and time.monotonic() - last > quiet):
        for message in consumer.consume(1000, 0.2):
            assert message.error() is None, message.error()
            found.append(message)
            last = time.monotonic()
    consumer.close()
    return found


def task(wharf, name, target, source=None, **more):
    source = source or {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": wharf.name("in"), "OffsetType": "earliest"}}
    return call(wharf, "CreateDatahubTask", TaskName=name, TaskType="SINK", SourceResource=source, TargetResource=target, **more)["TaskId"]


def to_topic(wharf, name, **more):
    return {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": wharf.name(name), **more}}


def documents(count, size=60):
    return [json.dumps({"id": i, "name": f"n{i % 100}", "level": ["info", "warn"][i % 2], "text": "x" * (i % size)}).encode() for i in range(count)]


def shown(wharf, id):
    """`wharf pipeline show` as JSON."""
    return json.loads(wharf.command("pipeline", "show", id, "--json", "--config", wharf.config).stdout)


def settled(wharf, id, records, seconds=90):
    """Waits until the ledger has so many records read, and that it balances."""
    def done():
        items = shown(wharf, id)["ledger"]["items"]
        return items if items["read"] >= records else None

    items = peers.wait_until(f"{records} records of {id}", done, seconds)
    outcomes = ("written", "unchanged", "skipped", "filtered", "dead_lettered", "failed")
    assert items["read"] + items["expanded"] == sum(items[o] for o in outcomes), items
    return items


@pytest.mark.both_stores
def test_topic_to_topic_with_a_transform(stream):
    wharf = stream()
    topic(wharf, "in", 3), topic(wharf, "out", 3)
    produce(wharf, "in", documents(1000))
    id = task(wharf, "t1", to_topic(wharf, "out"), TransformsParam={
        "Content": "{}", "FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": [
            {"Key": "id", "Operate": "MAPPING", "Value": "id", "SchemeType": "INT64"},
            {"Key": "who", "Operate": "MAPPING", "Value": "name", "SchemeType": "STRING"},
            {"Key": "level", "Operate": "MAPPING", "Value": "level", "SchemeType": "STRING"},
            {"Key": "env", "Operate": "CUSTOMIZE", "Value": "prod", "SchemeType": "STRING"}]}],
        "FilterParam": [{"Key": "level", "MatchMode": "PREFIX", "Value": "w", "Type": "REGULAR"}],
        "FailureParam": {"Type": "DROP"}, "OutputFormat": "JSON"})
    found = [json.loads(m.value()) for m in consume(wharf, "out", 500)]
    assert Counter(f["id"] for f in found) == Counter(i for i in range(1000) if i % 2)
    assert all(f["who"] == f"n{f['id'] % 100}" and f["env"] == "prod" for f in found)
    items = settled(wharf, id, 1000)
    assert (items["written"], items["filtered"]) == (500, 500)
    seen = call(wharf, "DescribeDatahubTask", TaskId=id)
    assert seen["Status"] == 1 and seen["Connections"][0]["GroupId"]


@pytest.mark.both_stores
def test_killed_at_random_points_nothing_is_lost_and_nothing_comes_twice(stream):
    wharf = stream()
    topic(wharf, "in", 4), topic(wharf, "out", 4)
    id = task(wharf, "t1", to_topic(wharf, "out"))
    random.seed(7)
    total = 0
    for round in range(5):
        values = documents(3000)
        produce(wharf, "in", [v[:-1] + b',"round":%d}' % round for v in values])
        total += len(values)
        time.sleep(random.uniform(0.05, 1.5))
        wharf.kill9()
        wharf.start()
    found = Counter(m.value() for m in consume(wharf, "out", total, 120))
    assert sum(found.values()) == total and len(found) == total
    items = settled(wharf, id, total)
    assert items["written"] == total == items["read"]


def test_objects_in_a_bucket(stream, weed, bucket):
    store = server.object_store("weed", weed.url, weed.access_key, weed.secret_key)
    wharf = stream(object_stores=[store])
    topic(wharf, "in", 2)
    values = documents(5000)
    produce(wharf, "in", values)
    id = task(wharf, "t1", {"Type": "COS", "CosParam": {
        "BucketName": bucket, "Region": "ap-guangzhou", "ObjectKeyPrefix": "a/", "AggregateBatchSize": 1, "AggregateInterval": 1,
        "DirectoryTimeFormat": "%Y/%m/%d", "FormatOutputType": "json"}})
    # An hour is long: pausing completes what is open.
    time.sleep(5)
    call(wharf, "PauseDatahubTask", TaskId=id)
    peers.wait_until("the pause", lambda: call(wharf, "DescribeDatahubTask", TaskId=id)["Status"] == 6, 60)
    s3, lines = weed.client(), []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="a/"):
        for entry in page.get("Contents", []):
            if entry["Key"].endswith((".json", ".json.gz")):
                body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                lines += (gzip.decompress(body) if entry["Key"].endswith("gz") else body).splitlines()
    assert Counter(lines) == Counter(values)
    settled(wharf, id, 5000)


def test_rows_in_postgresql(stream, postgres):
    database = f"pipelines{_started}"
    url = postgres.database(database)

    def sql(text):
        return subprocess.run([postgres.bindir / "psql", url, "-qAtc", text], check=True, capture_output=True, text=True).stdout.strip()

    sql("CREATE TABLE docs (id BIGINT PRIMARY KEY, name TEXT, level TEXT)")
    wharf = stream([{"id": "resource-database", "kind": "postgresql", "host": "127.0.0.1", "port": postgres.port, "user": "postgres", "password": "x"}])
    topic(wharf, "in", 2)
    values = documents(2000)
    values[77] = b'{"id":"seventy-seven","name":"bad","level":"x"}'
    produce(wharf, "in", values)
    id = task(wharf, "t1", {"Type": "POSTGRESQL", "PostgreSQLParam": {
        "Database": database, "Table": "public.docs", "Resource": "resource-database", "PluginName": "pgoutput",
        "DataTargetInsertMode": "UPSERT", "DataTargetPrimaryKeyField": "id", "DropInvalidMessage": True,
        "DataTargetRecordMapping": [{"JsonKey": k, "ColumnName": k} for k in ("id", "name", "level")]}})
    items = settled(wharf, id, 2000)
    assert sql("SELECT count(*), count(DISTINCT id) FROM docs") == "1999|1999"
    assert (items["written"], items["skipped"]) == (1999, 1)


@pytest.mark.both_stores
def test_what_cannot_be_transformed_waits_at_the_desk(stream):
    wharf = stream()
    topic(wharf, "in", 1), topic(wharf, "out", 1), topic(wharf, "dead", 1)
    values = documents(200)
    poison = {13: b"not json \xff\x00", 99: b'{"id":"x"', 150: b"[" * 10000}
    for i, bad in poison.items():
        values[i] = bad
    produce(wharf, "in", values, headers=[("h", b"1")])
    id = task(wharf, "t1", to_topic(wharf, "out"), TransformsParam={
        "Content": "{}", "FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": [
            {"Key": "id", "Operate": "MAPPING", "Value": "id", "SchemeType": "INT64"}]}],
        "FailureParam": {"Type": "DLQ", "DlqType": "CKAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": wharf.name("dead")},
                         "RetryInterval": 10, "MaxRetryAttempts": 1},
        "OutputFormat": "JSON"})
    items = settled(wharf, id, 200)
    assert (items["written"], items["dead_lettered"]) == (197, 3)
    assert sorted(m.value() for m in consume(wharf, "dead", 3)) == sorted(poison.values())
    letters = json.loads(wharf.command("dead", "list", id, "--json", "--config", wharf.config).stdout)
    letters = letters.get("letters", letters) if isinstance(letters, dict) else letters
    assert sorted(l["offset"] for l in letters) == sorted(poison)


@pytest.mark.both_stores
def test_a_refused_record_is_replayed_once_the_cause_is_mended(stream):
    wharf = stream()
    topic(wharf, "in", 1), topic(wharf, "out", 1, {"max.message.bytes": "2000"})
    values = documents(50)
    values[20] = json.dumps({"id": 20, "text": "".join(random.choices("abcdefgh", k=9000))}).encode()
    produce(wharf, "in", values)
    id = task(wharf, "t1", to_topic(wharf, "out", EnableToleration=True))
    items = settled(wharf, id, 50)
    assert (items["written"], items["dead_lettered"]) == (49, 1)
    admin = AdminClient({"bootstrap.servers": wharf.boot})
    entry = ConfigEntry("max.message.bytes", "1000000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, wharf.name("out"), incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)
    wharf.command("dead", "replay", id, "--all", "--config", wharf.config)

    def replayed():
        items = shown(wharf, id)["ledger"]["items"]
        return items["dead_lettered"] == 0 and items

    assert peers.wait_until("the replay", replayed, 60)["written"] == 50
    assert Counter(m.value() for m in consume(wharf, "out", 50)) == Counter(values)


def test_one_pipelines_dead_sink_leaves_its_neighbours_alone(stream):
    dead = f"http://127.0.0.1:{peers.free_port()}"
    wharf = stream([{"id": "resource-search01", "kind": "elastic", "url": dead}])
    topic(wharf, "in", 2), topic(wharf, "out", 2)
    produce(wharf, "in", documents(500))
    bad = task(wharf, "bad", {"Type": "ES", "EsParam": {"Resource": "resource-search01", "Index": "logs", "DropInvalidMessage": True}})
    good = task(wharf, "good", to_topic(wharf, "out"))
    assert len(consume(wharf, "out", 500)) == 500
    settled(wharf, good, 500)
    seen = peers.wait_until("the reason", lambda: (lambda d: d if "运行中" != d["ErrorMessage"] else None)(
        call(wharf, "DescribeDatahubTask", TaskId=bad)), 60)
    assert seen["ErrorMessage"] and "sk-test-secret" not in seen["ErrorMessage"]
    call(wharf, "DeleteDatahubTask", TaskId=bad)
    peers.wait_until("the end", lambda: call(wharf, "DescribeDatahubTask", TaskId=bad)["Status"] == 3, 60)


@pytest.mark.both_stores
def test_messages_over_http(stream):
    wharf = stream()
    topic(wharf, "in", 2)
    made = call(wharf, "CreateDatahubTask", TaskName="t1", TaskType="SOURCE", SourceResource={"Type": "HTTP"},
                TargetResource={"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": wharf.name("in")}})
    peers.wait_until("running", lambda: call(wharf, "DescribeDatahubTask", TaskId=made["TaskId"])["Status"] == 1, 30)
    sent = call(wharf, "SendMessage", DataHubId=made["DatahubId"], Message=[{"Key": "k", "Body": f"m{i}"} for i in range(20)])
    words = [bytes.fromhex(m).decode().split(":") for m in sent["MessageId"]]
    assert all(w[0] == made["DatahubId"] and w[1] == wharf.name("in") for w in words) and len(words) == 20
    assert sorted(m.value() for m in consume(wharf, "in", 20)) == sorted(f"m{i}".encode() for i in range(20))
    call(wharf, "PauseDatahubTask", TaskId=made["TaskId"])
    peers.wait_until("paused", lambda: call(wharf, "DescribeDatahubTask", TaskId=made["TaskId"])["Status"] == 6, 30)
    with pytest.raises(TencentCloudSDKException) as refused:
        call(wharf, "SendMessage", DataHubId=made["DatahubId"], Message=[{"Body": "x"}])
    assert refused.value.code == "OperationDenied.ResourceTaskPaused"


def test_documents_in_a_real_search_engine(stream, opensearch):
    wharf = stream([{"id": "resource-search01", "kind": "elastic", "url": opensearch.url}])
    topic(wharf, "in", 2)
    values = documents(1000)
    values[5], values[500] = b"not json", b'{"id":{"a":1},"name":"an object where a number was"}'
    produce(wharf, "in", values, key=lambda i: b"one")
    index = wharf.name("logs")
    id = task(wharf, "t1", {"Type": "ES", "EsParam": {
        "Resource": "resource-search01", "Index": index, "DocumentIdField": "", "DropInvalidMessage": True, "DropInvalidJsonMessage": True}})
    items = settled(wharf, id, 1000)
    assert (items["written"], items["skipped"]) == (998, 2)
    assert opensearch.count(index) == 998


class Function(http.server.ThreadingHTTPServer):
    """A function that is called: keeps the bodies, and fails when told so."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.bodies, self.fail = [], 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            failing, self.server.fail = self.server.fail > 0, max(0, self.server.fail - 1)
            if not failing:
                self.server.bodies.append(json.loads(body))
            self.send_response(503 if failing else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass


def test_a_function_is_called_with_batches(stream):
    function = Function()
    function.fail = 2
    wharf = stream([{"id": "scf", "kind": "function", "url": f"http://127.0.0.1:{function.server_port}/"}])
    topic(wharf, "in", 1)
    produce(wharf, "in", documents(100))
    id = task(wharf, "t1", {"Type": "SCF", "ScfParam": {"FunctionName": "f1", "BatchSize": 30, "MaxRetries": 5}})
    settled(wharf, id, 100)
    assert sum(len(b) if isinstance(b, list) else len(b["Records"]) for b in function.bodies) == 100
    function.shutdown()
