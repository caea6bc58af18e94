"""What carries records beside us in bench/pipelines.py: a script of confluent-kafka (the floor: nothing is looked at), rsyslog, mq-bridge and Kafka
Connect with the connectors that Maven Central has (MirrorMaker's source and the file sink). A carrier that isn't installed, or can't do a job, is
left out. Each takes the bench, its destination and whether the records are to be transformed, and gives what to run.
"""
import json
import os
import pathlib
import shutil
import sys

from harness import peers

ROOT = pathlib.Path(__file__).resolve().parent.parent

MQ_BRIDGE = r'''
import json, sys
from mq_bridge import Route
Route.from_config(json.loads(sys.argv[1])).run()
'''

FLOOR = r'''
import sys, urllib.parse
import urllib3
from confluent_kafka import Consumer
kind, boot, topic, count, group, where, name = sys.argv[1:8]
count = int(count)
c = Consumer({"bootstrap.servers": boot, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False})
c.subscribe([topic])
pool, done, number = urllib3.PoolManager(), 0, 0
if kind == "s3":
    sys.path.insert(0, sys.argv[8])
    from harness import peers
    s3 = peers.s3_client(where, peers.Weed.access_key, peers.Weed.secret_key)

def deliver(values):
    global number
    number += 1
    if kind == "bulk":
        head = b'{"index":{"_index":"' + name.encode() + b'"}}\n'
        body = b"".join(head + v + b"\n" for v in values)
        answer = pool.request("POST", where + "/_bulk", body=body, headers={"content-type": "application/x-ndjson"})
    elif kind == "clickhouse":
        query = urllib.parse.urlencode({"query": f"INSERT INTO bench.{name} FORMAT JSONEachRow"})
        answer = pool.request("POST", where + "/?" + query, body=b"\n".join(values))
    else:
        s3.put_object(Bucket="bench", Key=f"{name}{number}.json", Body=b"\n".join(values) + b"\n")
        return
    assert answer.status == 200, answer.data[:300]

at_once = {"bulk": 5_000, "clickhouse": 20_000, "s3": 100_000}[kind]
held = []
while done < count:
    batch = c.consume(min(5000, at_once), 1)
    held += [m.value() for m in batch]
    if len(held) >= at_once or done + len(held) >= count:
        deliver(held)
        done, held = done + len(held), []
        c.commit(asynchronous=True)
c.close()
import time
time.sleep(600)
'''

class Run:
    """A command, its environment, and how many records it has delivered, where the destination can't say."""

    def __init__(self, command, env=None, arrived=None):
        self.command, self.env, self.arrived = [str(c) for c in command], env, arrived


def floor(bench, kind, place):
    words = {"es": ("bulk", lambda: (place.url, place.index)), "opensearch": ("bulk", lambda: (place.url, place.index)),
             "ch": ("clickhouse", lambda: (place.url, place.table)), "s3": ("s3", lambda: (place.server.url, place.prefix))}.get(kind)
    if not words:
        return None
    where, name = words[1]()
    return Run([sys.executable, "-c", FLOOR, words[0], bench.boot, "in", bench.records, f"floor-{bench.number}", where, name, ROOT / "tests"])


def rsyslog(bench, kind, place):
    program = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
    if kind not in ("es", "opensearch") or not all(map(os.path.exists, (program, "/usr/lib/x86_64-linux-gnu/rsyslog/imkafka.so"))):
        return None
    folder = bench.folder / f"rsyslog{bench.number}"
    folder.mkdir()
    (folder / "conf").write_text(f'''
global(workDirectory="{folder}")
module(load="imkafka") module(load="omelasticsearch")
main_queue(queue.size="200000" queue.dequeueBatchSize="4096" queue.workerThreads="2")
input(type="imkafka" topic="in" broker=["{bench.boot}"] consumergroup="rsyslog{bench.number}" confParam=["auto.offset.reset=earliest"] ruleset="bulk")
template(name="raw" type="string" string="%msg%")
ruleset(name="bulk" queue.type="LinkedList" queue.size="200000" queue.dequeueBatchSize="4096" queue.workerThreads="2") {{
  action(type="omelasticsearch" server="127.0.0.1" serverport="{place.url.rsplit(":", 1)[1]}" template="raw" searchIndex="{place.index}" bulkmode="on" searchType="")
}}''')
    return Run([program, "-n", "-f", folder / "conf", "-i", folder / "pid"])


def mq_bridge(bench, kind, place, transformed):
    """Its batches are of 2,000 records, as its own measurements have them."""
    python = ROOT / ".cache" / "bench-venv" / "bin" / "python"
    if not python.exists():
        return None
    env, size = dict(os.environ), 2000
    if kind in ("es", "opensearch"):
        sink = {"elasticsearch": {"url": place.url, "index": place.index}}
    elif kind == "kafka":
        sink = {"kafka": {"url": bench.boot, "topic": place.topic}}
    elif kind == "s3":
        weed = place.server
        env |= {"AWS_ACCESS_KEY_ID": weed.access_key, "AWS_SECRET_ACCESS_KEY": weed.secret_key, "AWS_REGION": weed.region, "AWS_ENDPOINT": weed.url,
                "AWS_ENDPOINT_URL": weed.url, "AWS_ALLOW_HTTP": "true"}
        # An object is a batch: as many records as an object of ours has.
        sink, size = {"object_store": {"url": f"s3://bench/{place.prefix}", "format": "raw"}}, 50_000
    elif kind == "pg":
        sink = {"sqlx": {"url": place.url, "table": place.table, "bulk_copy": True, "columns": "auto"}}
    else:
        sink, size = {"clickhouse": {"url": place.url, "database": "bench", "table": place.table, "username": "default"}}, 20_000
    if transformed:
        fields = {"ts": "time", "host": "host", "method": "method", "status": "status", "bytes": "bytes", "path": "path"}
        mapping = {k: f"$.{v}" for k, v in fields.items()} | {"env": {"path": "$.env", "default": "prod"}}
        sink["middlewares"] = [{"transform": {"mapping": mapping}}]
    source = {"kafka": {"url": bench.boot, "topic": "in", "group_id": f"mqb{bench.number}", "consumer_options": [["auto.offset.reset", "earliest"]]}}
    return Run([python, "-c", MQ_BRIDGE, json.dumps({"input": source, "output": sink, "batch_size": size, "concurrency": 2})], env)


def properties(path, table):
    path.write_text("".join(f"{key}={value}\n" for key, value in table.items()))
    return path


def connect(bench, kind, place, transformed):
    """MirrorMaker's connector from the topic to a topic beside it; or, for the null bulk endpoint, which Maven Central has no connector for, the
    file sink, which spares it the HTTP. Its CPU has the start of a JVM in it."""
    jars = ROOT / ".cache" / "connect" / "lib"
    if not any(jars.glob("connect-runtime-*.jar")) or not shutil.which("java") or (kind, transformed) not in (("kafka", False), ("es", False), ("es", True)):
        return None
    folder, number = bench.folder / f"connect{bench.number}", bench.number
    folder.mkdir()
    text, json_ = "org.apache.kafka.connect.storage.StringConverter", "org.apache.kafka.connect.json.JsonConverter"
    converter = "org.apache.kafka.connect.converters.ByteArrayConverter" if kind == "kafka" else json_ if transformed else text
    worker = properties(folder / "worker", {
        "bootstrap.servers": bench.boot, "key.converter": converter if kind == "kafka" else text, "value.converter": converter,
        "value.converter.schemas.enable" if transformed else "header.converter.unused": "false", "offset.storage.file.filename": folder / "offsets",
        "offset.flush.interval.ms": 1000, "listeners": f"http://127.0.0.1:{peers.free_port()}", "consumer.max.poll.records": 5000, "producer.linger.ms": 20,
        "producer.batch.size": 900000, "consumer.fetch.min.bytes": 100000})
    out = folder / "out"
    if kind == "kafka":
        connector = {"name": f"mirror{number}", "connector.class": "org.apache.kafka.connect.mirror.MirrorSourceConnector", "tasks.max": 2, "topics": "in",
                     "source.cluster.alias": f"c{number}", "target.cluster.alias": "here", "source.cluster.bootstrap.servers": bench.boot,
                     "target.cluster.bootstrap.servers": bench.boot, "replication.factor": 1, "offset-syncs.topic.replication.factor": 1,
                     "sync.topic.acls.enabled": "false", "sync.topic.configs.enabled": "false", "refresh.topics.enabled": "false",
                     "source.consumer.max.poll.records": 5000, "source.consumer.auto.offset.reset": "earliest"}
        place.topic = f"c{number}.in"
    else:
        connector = {"name": f"file{number}", "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": 1, "topics": "in", "file": out}
        if transformed:
            smt = "org.apache.kafka.connect.transforms"
            connector |= {"transforms": "pick,cast,env", "transforms.pick.type": f"{smt}.ReplaceField$Value",
                          "transforms.pick.include": "time,host,method,status,bytes,path", "transforms.pick.renames": "time:ts",
                          "transforms.cast.type": f"{smt}.Cast$Value", "transforms.cast.spec": "status:int32,bytes:int64",
                          "transforms.env.type": f"{smt}.InsertField$Value", "transforms.env.static.field": "env", "transforms.env.static.value": "prod"}
    task = properties(folder / "connector", connector)
    java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*"]
    return Run([*java, "org.apache.kafka.connect.cli.ConnectStandalone", worker, task], arrived=None if kind == "kafka" else Lines(out))


class Lines:
    """How many lines a growing file has: what is new is read and counted."""

    def __init__(self, path):
        self.path, self.seen, self.lines = pathlib.Path(path), 0, 0

    def __call__(self):
        if not self.path.exists():
            return 0
        with open(self.path, "rb") as file:
            file.seek(self.seen)
            while part := file.read(1 << 20):
                self.seen, self.lines = self.seen + len(part), self.lines + part.count(b"\n")
        return self.lines


def beside(bench, kind, place, transformed):
    """What runs beside us in a job: name, and what makes the run once the destination is fresh."""
    if not transformed:
        yield "confluent-kafka script", lambda: floor(bench, kind, place)
        yield "rsyslog", lambda: rsyslog(bench, kind, place)
    yield "mq-bridge", lambda: mq_bridge(bench, kind, place, transformed)
    yield ("Kafka Connect, to a file" if kind == "es" else "Kafka Connect"), lambda: connect(bench, kind, place, transformed)
