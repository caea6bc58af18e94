"""The ends of pipelines that need a peer set up in a special way: TLS with a private authority, and two brokers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from harness import peers
from test_listener import authority, certificate
from test_pipelines import INSTANCE, call, documents, produce, settled, shown, topic

# The payload of the vendor's documents for `TransformsParam`.
SAMPLE = {
    "Content": "2024-01-01 00:00:00|GET|200",
    "FieldChain": [{"Analyse": {"Format": "DELIMITER", "Regex": "|"}, "SMT": [
        {"Key": "ts", "Operate": "MAPPING", "Value": "0", "SchemeType": "ORIGINAL", "ValueOperates": [
            {"Type": "DATE", "Date": {"Format": "yyyy-MM-dd HH:mm:ss", "TargetType": "unix", "TimeZone": "GMT+8"}}]},
        {"Key": "method", "Operate": "MAPPING", "Value": "1", "SchemeType": "STRING", "ValueOperates": [{"Type": "LOWERCASE", "Lowercase": {}}]},
        {"Key": "code", "Operate": "MAPPING", "Value": "2", "SchemeType": "INT64"},
        {"Key": "env", "Operate": "CUSTOMIZE", "Value": "prod", "SchemeType": "STRING"}]}],
    "FilterParam": [{"Key": "code", "MatchMode": "NUMBER", "Value": "200", "Type": "REGULAR"}],
    "FailureParam": {"Type": "DROP"}, "OutputFormat": "JSON", "KeepMetadata": False, "BatchAnalyse": {"Format": "ONE_BY_ONE"},
}


@pytest.fixture
def stream(wharf):
    """`stream(connections=…)`: a server with its own broker; `.boot` is where Kafka clients connect."""

    def start(connections=(), name="wharf", broker=None, **parts):
        port = peers.free_port()
        tables = [{"id": INSTANCE, "kind": "kafka", "embedded": True}, *connections]
        extra = "".join("[[connection]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in t.items()) for t in tables)
        sections = {"broker": {"address": f"127.0.0.1:{port}", **(broker or {})}, "streams": {"lanes": 2}}
        running = wharf(name, sections=sections, extra=extra, **parts)
        running.boot, running.name = f"127.0.0.1:{port}", lambda topic: topic
        return running

    return start


@pytest.fixture
def authorities(tmp_path):
    """Certificates of two private authorities, and a chain and key for 127.0.0.1 under the first."""
    ca, ca_key = authority(tmp_path, "ours")
    other, _ = authority(tmp_path, "other")
    return ca, other, certificate(tmp_path, ca, ca_key)


def source(topic="in", id=INSTANCE):
    return {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": id, "Topic": topic, "OffsetType": "earliest"}}


def make(wharf, name, target, source, **more):
    return call(wharf, "CreateDatahubTask", TaskName=name, TaskType="SINK", SourceResource=source, TargetResource=target, **more)["TaskId"]


def refused(wharf, name, target, source):
    """Why a task gets nowhere: it is not made at all, or says so."""
    try:
        id = make(wharf, name, target, source)
    except TencentCloudSDKException as e:
        return str(e)

    def why():
        said = call(wharf, "DescribeDatahubTask", TaskId=id)["ErrorMessage"]
        return said if "\u8fd0\u884c\u4e2d" not in said else None

    said = peers.wait_until("the reason", why, 60)
    assert shown(wharf, id)["ledger"]["items"]["written"] == 0
    return said


def test_the_documented_sample_is_tried_without_a_server(tmp_path):
    program, spec = peers.binary("WHARF_BIN", *peers.built("wharf")), tmp_path / "spec.json"

    def tried(*words, given=""):
        return subprocess.run([str(program), "transform", "try", "--spec", str(spec), *words], input=given, capture_output=True, text=True, timeout=30)

    # Alone, and inside the request that has it.
    for whole in (SAMPLE, {"TaskName": "t", "TransformsParam": SAMPLE}):
        spec.write_text(json.dumps(whole))
        done = tried("--json", "--value", SAMPLE["Content"])
        assert done.returncode == 0, done.stderr
        outputs = json.loads(done.stdout)["outputs"]
        assert [json.loads(o) if isinstance(o, str) else o for o in outputs] == [{"ts": 1704038400, "method": "get", "code": 200, "env": "prod"}]
    done = tried(given="2024-01-01 00:00:00|GET|200\n2024-01-01 00:00:00|GET|500\nno such record\n")
    assert done.returncode == 1 and done.stdout.count("! filtered") == 1 and done.stdout.count("! failed") == 1, done.stdout
    spec.write_text(json.dumps({**SAMPLE, "OutputFormat": "XML"}))
    done = tried("--value", "x")
    assert done.returncode == 2 and "OutputFormat" in done.stderr, done


def test_two_brokers_are_kept_in_step(stream, kafka_broker):
    """The three instance syncs: topics; topics and records; topics, records and positions of groups."""
    far, near = kafka_broker(), kafka_broker()
    wharf = stream([{"id": "ckafka-far", "kind": "kafka", "bootstrap": far.boot}, {"id": "ckafka-near", "kind": "kafka", "bootstrap": near.boot}])
    far.name = lambda topic: topic
    topic(far, "orders", 3, {"retention.ms": "7200000"}), topic(far, "other", 1)
    produce(far, "orders", [f"v{i}".encode() for i in range(900)])
    reader = Consumer({"bootstrap.servers": far.boot, "group.id": "billing", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    reader.subscribe(["orders"])
    seen = set()
    while len(seen) < 300:
        seen |= {m.value() for m in reader.consume(300 - len(seen), 5)}
    reader.commit(asynchronous=False)
    reader.close()

    meta = call(wharf, "CreateMetaSyncDatahubTask", TaskName="meta", SourceResourceId="ckafka-far", TargetResourceId="ckafka-near")["TaskId"]
    admin = AdminClient({"bootstrap.servers": near.boot})
    peers.wait_until("both topics", lambda: {"orders", "other"} <= set(admin.list_topics(timeout=10).topics), 60)
    assert len(admin.list_topics(timeout=10).topics["orders"].partitions) == 3
    call(wharf, "DeleteDatahubTask", TaskId=meta)

    for action, prefix in (("CreateMetaAndDataSyncDatahubTask", "data"), ("CreateMetaDataAndOffsetSyncDatahubTask", "all")):
        id = call(wharf, action, TaskName=prefix, SourceResourceId="ckafka-far", TargetResourceId="ckafka-near", OffsetType="earliest",
                  TopicList=["orders"], Prefix=prefix, Separator="-")["TaskId"]
        name = f"{prefix}-orders"
        consumer = Consumer({"bootstrap.servers": near.boot, "group.id": prefix, "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
        consumer.subscribe([name])
        found = []

        def all_there():
            found.extend(m for m in consumer.consume(1000, 0.3) if m.error() is None)
            return len(found) >= 900

        peers.wait_until(f"the records of {name}", all_there, 60)
        consumer.close()
        assert Counter(m.value() for m in found) == Counter(f"v{i}".encode() for i in range(900))
        assert {m.value(): m.partition() for m in found}.keys() and len({m.partition() for m in found}) == 3
        items = settled(wharf, id, 900)
        assert items["written"] == 900

    def positions():
        there = Consumer({"bootstrap.servers": near.boot, "group.id": "billing"})
        try:
            found = there.committed([TopicPartition("all-orders", n) for n in range(3)], 10)
            return found if any(p.offset >= 0 for p in found) else None
        finally:
            there.close()

    # The group goes on with the copy where it stood, and misses nothing.
    moved = peers.wait_until("the group's positions", positions, 60)
    there = Consumer({"bootstrap.servers": near.boot, "group.id": "billing", "enable.auto.commit": False, "isolation.level": "read_committed"})
    there.assign([TopicPartition(p.topic, p.partition, max(0, p.offset)) for p in moved])
    left, rest = {f"v{i}".encode() for i in range(900)} - seen, set()

    def nothing_missed():
        rest.update(m.value() for m in there.consume(1000, 0.3) if m.error() is None)
        return left <= rest

    peers.wait_until("what the group has not read", nothing_missed, 30)
    there.close()


def test_a_cluster_over_tls(stream, kafka_broker, authorities):
    ca, other, (chain, key) = authorities
    far = kafka_broker(users=[("app", "secret-1")], tls_certificate=str(chain), tls_key=str(key))
    secure = {"kind": "kafka", "bootstrap": far.boot, "security": "sasl_tls", "mechanism": "SCRAM-SHA-512", "user": "app", "password": "secret-1"}
    wharf = stream([{"id": "ckafka-secure", **secure, "ca_file": str(ca)}, {"id": "ckafka-strange", **secure, "ca_file": str(other)},
                    {"id": "ckafka-none", **secure}])
    topic(wharf, "in", 1)
    produce(wharf, "in", documents(200))
    to = lambda id: {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": id, "Topic": "out"}}  # noqa: E731
    admin = AdminClient({"bootstrap.servers": far.boot, "security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN", "sasl.username": "app",
                         "sasl.password": "secret-1", "ssl.ca.location": str(ca)})
    admin.create_topics([NewTopic("out", 1, 1)])["out"].result(30)
    id = make(wharf, "good", to("ckafka-secure"), source())
    assert settled(wharf, id, 200)["written"] == 200
    # And as a source.
    topic(wharf, "back", 1)
    back = {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": "back"}}
    assert settled(wharf, make(wharf, "back", back, source("out", "ckafka-secure")), 200)["written"] == 200
    for strange in ("ckafka-strange", "ckafka-none"):
        said = refused(wharf, strange, to(strange), source())
        assert said and "secret-1" not in said, said


def rows_over_tls(wharf, kind, connections, ask):
    """200 records through the connection `good`; none through the one that trusts another authority, or none."""
    param = {"POSTGRESQL": "PostgreSQLParam", "MARIADB": "MariaDBParam"}[kind]
    to = lambda id: {"Type": kind, param: {"Database": "wharf", "Table": "t", "Resource": id}}  # noqa: E731
    topic(wharf, "in", 1)
    produce(wharf, "in", [json.dumps({"id": i}).encode() for i in range(200)])
    good, *bad = connections
    id = make(wharf, "good", to(good), source())
    assert settled(wharf, id, 200)["written"] == 200 and ask() == "200"
    for strange in bad:
        said = refused(wharf, strange, to(strange), source())
        assert "certificate" in said.lower() or "tls" in said.lower() or "FailedOperation" in said, said
    assert ask() == "200"


def test_postgresql_over_tls(stream, postgres, authorities):
    ca, other, (chain, key) = authorities
    for file in (chain, key):
        shutil.copy(file, postgres.directory / file.name)
        if os.geteuid() == 0:
            shutil.chown(postgres.directory / file.name, "postgres")
        (postgres.directory / file.name).chmod(0o600)
    postgres.database("wharf")
    files = [f"ALTER SYSTEM SET ssl_cert_file='{postgres.directory / chain.name}'", f"ALTER SYSTEM SET ssl_key_file='{postgres.directory / key.name}'"]
    postgres.sql("wharf", *files, "ALTER SYSTEM SET ssl=on", "SELECT pg_reload_conf()", "CREATE TABLE t (id int)")
    try:
        peers.wait_until("TLS", lambda: postgres.sql("wharf", "SHOW ssl") == "on", 20)
        at = {"kind": "postgresql", "host": "127.0.0.1", "port": postgres.port, "user": "postgres", "tls": "verify"}
        wharf = stream([{"id": "pg-good", **at, "ca_file": str(ca)}, {"id": "pg-strange", **at, "ca_file": str(other)}, {"id": "pg-none", **at}])
        rows_over_tls(wharf, "POSTGRESQL", ["pg-good", "pg-strange", "pg-none"], lambda: postgres.sql("wharf", "SELECT count(*) FROM t"))
    finally:
        postgres.sql("postgres", "ALTER SYSTEM RESET ssl", "SELECT pg_reload_conf()")


def test_mariadb_over_tls(stream, authorities):
    ca, other, (chain, key) = authorities
    try:
        database = peers.MariaDb(f"--ssl-cert={chain}", f"--ssl-key={key}", f"--ssl-ca={ca}", "--require-secure-transport=ON")
    except peers.Missing as e:
        pytest.skip(str(e))
    try:
        database.sql("CREATE TABLE t (id int)")
        at = {"kind": "mariadb", "host": "127.0.0.1", "port": database.port, "user": "wharf", "password": database.password, "tls": "verify"}
        wharf = stream([{"id": "my-good", **at, "ca_file": str(ca)}, {"id": "my-strange", **at, "ca_file": str(other)}, {"id": "my-none", **at}])
        rows_over_tls(wharf, "MARIADB", ["my-good", "my-strange", "my-none"], lambda: database.sql("SELECT count(*) FROM t"))
    finally:
        database.stop()
