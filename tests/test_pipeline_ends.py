"""The ends of pipelines that need a peer set up in a special way: TLS with a private authority, two brokers, Parquet, and an account that wants
what is another's."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections import Counter

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from harness import kafka, peers, server
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


def test_parquet_objects_learn_their_columns(stream, weed, bucket):
    wharf = stream(object_stores=[server.object_store("weed", weed.url, weed.access_key, weed.secret_key)])
    topic(wharf, "in", 2)
    values = documents(2000) + [b'{"id":2000,"name":"late","price":1.5}', b"not json", b'{"id":"a text"}', b'{"id":2001,"price":3}']
    produce(wharf, "in", values)
    id = make(wharf, "t1", {"Type": "COS", "CosParam": {
        "BucketName": bucket, "Region": "r", "ObjectKeyPrefix": "p/", "AggregateInterval": 1, "FormatOutputType": "parquet"}}, source())
    read = lambda: shown(wharf, id)["ledger"]["items"]["read"]  # noqa: E731

    def paused():
        # What is open is completed by a pause; one that came too early is followed by another.
        wharf.command("pipeline", "pause", id, "--config", wharf.config, check=False)
        peers.wait_until("the pause", lambda: shown(wharf, id)["status"] == "paused", 30)
        if read() < len(values):
            wharf.command("pipeline", "resume", id, "--config", wharf.config, check=False)
        return read() >= len(values)

    peers.wait_until("all objects", paused, 90)
    rows = []
    for key, body in weed.stored(bucket, "p/").items():
        if not key.startswith("_wharf/"):
            assert key.endswith(".parquet")
            rows += pq.read_table(io.BytesIO(body)).to_pylist()
    aside = sorted(r.pop("_wharf_record") for r in rows if r["_wharf_record"] is not None)
    rows = [{k: v for k, v in r.items() if v is not None} for r in rows]
    assert aside == [b"not json", b'{"id":"a text"}']
    got = Counter(json.dumps(r, sort_keys=True) for r in rows if r)
    wanted = Counter(json.dumps(json.loads(v), sort_keys=True) for v in values if v not in aside)
    assert got == wanted or got == Counter(w.replace('"price": 3}', '"price": 3.0}') for w in wanted.elements())


OTHERS = [
    server.ACCOUNT,
    {"name": "alice", "access_key_id": "AKIDALICE", "access_key_secret": "sk-alice-secret", "app_id": "1250000001"},
    {"name": "mallory", "access_key_id": "AKIDMALLORY", "access_key_secret": "sk-mallory-secret", "app_id": "1250000002"},
]


def as_account(wharf, index):
    """The same server, seen by another account."""
    class Seen:
        address, access_key, secret_key = wharf.address, OTHERS[index]["access_key_id"], OTHERS[index]["access_key_secret"]
    return Seen


def connection_to(seen, boot, user="", password=""):
    param = {"NetworkType": "PUBLIC", "BrokerAddress": boot}
    return call(seen, "CreateConnectResource", ResourceName="k", Type="KAFKA", KafkaConnectParam=param)["ResourceId"]


def test_an_account_does_not_reach_anothers_topic_by_a_connection_of_its_own(stream):
    """Nobody is asked for a name at this broker; what the server itself connects to for its accounts is kept out all the same."""
    wharf = stream(accounts=OTHERS)
    alice, mallory = as_account(wharf, 1), as_account(wharf, 2)
    name = "1250000001-secret"
    call(alice, "CreateDatahubTopic", Name=name, PartitionNum=1, RetentionMs=3_600_000)
    produce(wharf, name, [b"the secret"])
    port = wharf.boot.rsplit(":", 1)[1]
    topic(wharf, "loot", 1)
    # Its address as clients are told, and another for the same place.
    for host in ("127.0.0.1", "localhost"):
        boot = f"{host}:{port}"
        try:
            id = connection_to(mallory, boot)
            looked = call(mallory, "DescribeDatahubTopics", QueryFromConnectResource=True, ConnectResourceId=id)
            assert name not in json.dumps(looked), boot
        except TencentCloudSDKException:
            pass
        try:
            task = make(mallory, "steal", {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": "loot"}}, source(name, id))
        except TencentCloudSDKException:
            continue
        said = lambda: call(mallory, "DescribeDatahubTask", TaskId=task)["ErrorMessage"]  # noqa: E731
        peers.wait_until(f"why {boot} is no way in", lambda: "\u8fd0\u884c\u4e2d" not in said(), 60)
        assert shown(wharf, task)["ledger"]["items"]["read"] == 0
        call(mallory, "DeleteDatahubTask", TaskId=task)
    # Its owner uses it as ever.
    assert call(alice, "FetchDatahubMessageByOffset", Name=name, Partition=0, Offset=0)["Value"] == "the secret"


def test_what_is_anothers_is_not_there_for_who_logs_in(stream):
    wharf = stream(accounts=OTHERS, broker={"accounts": True})
    alice = as_account(wharf, 1)
    name = "1250000001-secret"
    call(alice, "CreateDatahubTopic", Name=name, PartitionNum=1, RetentionMs=3_600_000)
    own = call(alice, "DescribeDatahubTopic", Name=name)

    def login(user, password):
        return {"bootstrap.servers": wharf.boot, "security.protocol": "sasl_plaintext", "sasl.mechanism": "SCRAM-SHA-256",
                "sasl.username": user, "sasl.password": password, "log_level": 0}

    def writes(who, topic):
        told, producer = [], Producer({**who, "message.timeout.ms": 4000, "enable.idempotence": True})
        producer.produce(topic, b"x", on_delivery=lambda e, _: told.append(e))
        producer.flush(10)
        return told == [None]

    def reads(who, topic):
        consumer = Consumer({**who, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(4)
        consumer.close()
        return message is not None and message.error() is None

    operator, owner, mallory = (login(a["access_key_id"], a["access_key_secret"]) for a in OTHERS)
    user = login(own["UserName"], own["Password"])
    assert writes(owner, name) and reads(owner, name) and reads(user, name) and writes(user, name) and reads(operator, name)
    assert not writes(mallory, name) and not reads(mallory, name)
    assert writes(mallory, "public") and reads(owner, "public") and not reads(user, "public")
    admin = AdminClient(mallory)
    listed = admin.list_topics(timeout=10).topics
    assert "public" in listed and name not in listed
    for attempt in (lambda: admin.delete_topics([name])[name], lambda: admin.list_topics(name, timeout=10) and None):
        try:
            future = attempt()
            if future:
                with pytest.raises(KafkaException):
                    future.result(10)
        except KafkaException:
            pass
    assert reads(owner, name), "it is still there"
