#!/usr/bin/env python3
"""Records of a topic into an Iceberg table on the local disk: wharf's DLI dump task, a loop of confluent-kafka and pyiceberg, and the Apache Iceberg
sink for Kafka Connect.

    bench/iceberg.py [--rounds 3] [--records 1000000] [--jobs 300,150] [--carriers wharf,loop,sink] [--interval 10] [--print-only]

A job is the size of the records (JSON, bytes). What is read lies in a topic of the embedded broker (a process of its own) before anything starts.
Each carrier appends to a table of its own with the same columns in a SQLite catalogue. Wall time is from the moment when the carrier is ready to work (the
task is made; the interpreter has loaded its modules; the connector's task runs) to the snapshot with the last record, and so ends with an interval;
CPU is counted over the same time, so nobody's start-up is in it. "records/s" is what the full intervals came to: all snapshots but the last one, where
there are several. The sink says RUNNING before it reads, so that some of its own start-up is in the figures; its CPU from the start of the process is said as well.
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# First of all: this folder's copy.py would be taken for the library's.
sys.path[0] = str(ROOT / "tests")

import argparse  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import shutil  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import urllib.request  # noqa: E402

os.environ.setdefault("WHARF_BIN", str(ROOT / "target" / "release" / "wharf"))

import pyarrow as pa  # noqa: E402
from confluent_kafka import Producer  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from pyiceberg.catalog.sql import SqlCatalog  # noqa: E402

from harness import dis, kafka, peers, server  # noqa: E402

PARTITIONS, STREAM, TOPIC = 4, "s", "dis.test.s"
SINK_JARS = ROOT / ".cache" / "iceberg-sink" / "lib"
COLUMNS = pa.schema([
    ("time", pa.string()), ("host", pa.string()), ("method", pa.string()), ("status", pa.int64()), ("bytes", pa.int64()), ("path", pa.string()),
    ("id", pa.int64()), ("agent", pa.string())])
NAMES = {"wharf": "wharf, DLI dump task", "loop": "confluent-kafka and pyiceberg, a loop", "sink": "Apache Iceberg sink, Kafka Connect"}

LOOP = r'''
import io, sys, time
import pyarrow as pa, pyarrow.json as pj
from confluent_kafka import Consumer
from pyiceberg.catalog.sql import SqlCatalog

boot, topic, count, lake, interval, group = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]), sys.argv[6]
table = SqlCatalog("loop", uri=f"sqlite:///{lake}/catalog.db", warehouse=f"file://{lake}/warehouse").load_table("db.t")
small = {pa.large_string(): pa.string()}
schema = pa.schema([(f.name, small.get(f.type, f.type)) for f in table.schema().as_arrow()])
parse, read = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"), pj.ReadOptions(block_size=16 << 20)
consumer = Consumer({"bootstrap.servers": boot, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False})
consumer.subscribe([topic])
print("ready", flush=True)
done, lines, begun = 0, [], None
while done < count:
    for m in consumer.consume(10_000, 0.5):
        lines.append(m.value())
    if lines and begun is None:
        begun = time.monotonic()
    if lines and (len(lines) >= 100_000 or done + len(lines) >= count or time.monotonic() - begun >= interval):
        table.append(pj.read_json(io.BytesIO(b"\n".join(lines)), parse_options=parse, read_options=read))
        consumer.commit(asynchronous=False)
        done, lines, begun = done + len(lines), [], None
time.sleep(600)
'''


def write_section(name, text):
    specification = importlib.util.spec_from_file_location("results", ROOT / "bench" / "results.py")
    results = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(results)
    results.write_section(name, text)


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid):
    line = next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def document(i, size):
    """A line of an access log of about `size` bytes."""
    d = {"time": f"2026-11-30T12:{i // 60 % 60:02}:{i % 60:02}Z", "host": f"Web-{i % 20}", "method": ["GET", "POST"][i % 2], "status": [200, 404][i % 7 == 0],
         "bytes": i * 7919 % 100000, "path": f"/articles/{i % 5000}", "id": i}
    text = json.dumps(d)
    agent = f"Mozilla/5.0 (X11; Linux x86_64) build {i * 2654435761 % 2**32:08x} " * 5
    return (text[:-1] + f', "agent": "{agent[:max(0, size - len(text) - 13)]}"}}').encode()


def fill(boot, count, size):
    producer = Producer({"bootstrap.servers": boot, "linger.ms": 20, "batch.size": 900_000, "queue.buffering.max.messages": 500_000})
    for i in range(count):
        while True:
            try:
                producer.produce(TOPIC, document(i, size), partition=i % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(300) == 0


class Lake:
    """A SQLite catalogue with a table for a carrier."""

    def __init__(self, folder, catalogue, table="t"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.catalogue = SqlCatalog(catalogue, uri=f"sqlite:///{self.folder}/catalog.db", warehouse=f"file://{self.folder}/warehouse")
        self.catalogue.create_namespace_if_not_exists("db")
        self.name = f"db.{table}"
        self.catalogue.create_table(self.name, COLUMNS)

    def snapshots(self):
        """(seconds since 1970, records in the table) of each."""
        return [(s.timestamp_ms / 1000, int(s.summary["total-records"])) for s in self.catalogue.load_table(self.name).snapshots()]

    def check(self, records):
        ids = self.catalogue.load_table(self.name).scan(selected_fields=("id",)).to_arrow()["id"]
        assert len(ids) == records and len(ids.unique()) == records, f"{len(ids)} rows for {records} records"


class Bench:
    def __init__(self, records, size, interval, broker="embedded"):
        self.records, self.size, self.interval, self.number = records, size, interval, 0
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-iceberg-"))
        if broker == "apache":
            self.broker = kafka.Apache()
            self.boot = self.broker.boot
        else:
            self.boot = f"127.0.0.1:{peers.free_port()}"
            self.broker = server.Wharf(self.folder / "broker", sections={"broker": {"address": self.boot}})
        self.weed = peers.Weed()
        self.weed.client().create_bucket(Bucket="bench")
        first = self.streams()
        body = {"stream_name": STREAM, "partition_count": PARTITIONS, "stream_type": "COMMON", "data_type": "JSON"}
        assert dis.raw(first, "POST", "/streams", body)[0] == 201
        peers.wait_until("the stream", lambda: json.loads(dis.raw(first, "GET", f"/streams/{STREAM}")[2])["status"] == "RUNNING")
        first.stop()
        fill(self.boot, records, size)

    def streams(self):
        """A server with the DIS door, over the broker. Its data stay from round to round; its CPU is the round's."""
        store = server.object_store("weed", self.weed.url, self.weed.access_key, self.weed.secret_key)
        return server.Wharf(
            self.folder / "dis", sections={"dis": {"dump_interval_ms": int(self.interval * 1000)}, "streams": {"topics": "kafka-1"}},
            extra=f'[[connection]]\nid = "kafka-1"\nkind = "kafka"\nbootstrap = "{self.boot}"\n', accounts=dis.ACCOUNTS, object_stores=[store])

    def wharf(self):
        self.number += 1
        running, task = self.streams(), f"t{self.number}"
        try:
            lake = Lake(running.data_dir / "lakehouse", "wharf", task)
            time.sleep(2)
            before = cpu(running.process.pid)
            descriptor = {"task_name": task, "agency_name": "dis_admin_agency", "consumer_strategy": "TRIM_HORIZON", "dli_database_name": "db",
                          "dli_table_name": task, "obs_bucket_path": "bench", "file_prefix": task}
            began = time.time()
            body = {"destination_type": "DLI", "dli_destination_descriptor": descriptor}
            status, _, answer = dis.raw(running, "POST", f"/streams/{STREAM}/transfer-tasks", body)
            assert status == 201, answer
            done = self.measured(running.process, lake, began, before)
            dis.raw(running, "DELETE", f"/streams/{STREAM}/transfer-tasks/{task}")
            return done
        finally:
            running.stop()

    def loop(self):
        self.number += 1
        lake = Lake(self.folder / f"loop{self.number}", "loop")
        command = [sys.executable, "-c", LOOP, self.boot, TOPIC, str(self.records), str(lake.folder), str(self.interval), f"loop{self.number}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout.readline() == "ready\n"
            return self.measured(process, lake, time.time(), cpu(process.pid))
        finally:
            process.kill()
            process.wait()

    def sink(self):
        why = missing()
        if why:
            print(f"SKIPPED: the Apache Iceberg sink: {why}", flush=True)
            return None
        self.number += 1
        lake, port = Lake(self.folder / f"sink{self.number}", "sink"), peers.free_port()
        log = lake.folder / "connect.log"
        # Its coordinator and its workers speak over this one, and wait where nobody makes it.
        control = f"control-{self.number}"
        AdminClient({"bootstrap.servers": self.boot}).create_topics([NewTopic(control, 1, 1)])[control].result(30)
        process = peers.spawn(self.connect(lake, port), log)
        try:
            status = f"http://127.0.0.1:{port}/connectors/iceberg{self.number}/status"

            def running():
                with urllib.request.urlopen(status, timeout=5) as answer:
                    tasks = json.load(answer)["tasks"]
                assert all(t["state"] != "FAILED" for t in tasks), tasks
                return tasks and tasks[0]["state"] == "RUNNING"

            peers.wait_until("the connector", running, 120, process, log)
            before = cpu(process.pid)
            return self.measured(process, lake, time.time(), before, log)
        finally:
            peers.end(process, seconds=5)

    def connect(self, lake, port):
        """The command of a Kafka Connect with this sink as its one connector."""
        plugins = lake.folder / "plugins"
        plugins.mkdir()
        (plugins / "iceberg").symlink_to(SINK_JARS)
        (lake.folder / "worker.properties").write_text("\n".join([
            f"bootstrap.servers={self.boot}", f"plugin.path={plugins}", f"offset.storage.file.filename={lake.folder}/offsets",
            f"listeners=http://127.0.0.1:{port}", "key.converter=org.apache.kafka.connect.storage.StringConverter",
            "value.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable=false",
            # As much at once as the others take.
            "consumer.max.poll.records=10000", "consumer.auto.offset.reset=earliest", ""]))
        (lake.folder / "sink.properties").write_text("\n".join([
            f"name=iceberg{self.number}", "connector.class=org.apache.iceberg.connect.IcebergSinkConnector", "tasks.max=1", f"topics={TOPIC}",
            "iceberg.tables=db.t", f"iceberg.control.topic=control-{self.number}", f"iceberg.control.commit.interval-ms={int(self.interval * 1000)}",
            "iceberg.catalog=sink", "iceberg.catalog.catalog-impl=org.apache.iceberg.jdbc.JdbcCatalog",
            f"iceberg.catalog.uri=jdbc:sqlite:{lake.folder}/catalog.db?busy_timeout=10000", f"iceberg.catalog.warehouse=file://{lake.folder}/warehouse", ""]))
        (lake.folder / "log4j2.properties").write_text(
            "rootLogger.level=WARN\nrootLogger.appenderRef.c.ref=C\nappender.c.type=Console\nappender.c.name=C\nappender.c.layout.type=PatternLayout\n"
            "appender.c.layout.pattern=%p %c %m%n\n")
        java = peers.binary("WHARF_TEST_JAVA", "java")
        return [java, "-Xmx1g", f"-Dlog4j2.configurationFile={lake.folder}/log4j2.properties", "-cp", f"{kafka.JARS}/*",
                "org.apache.kafka.connect.cli.ConnectStandalone", lake.folder / "worker.properties", lake.folder / "sink.properties"]

    def measured(self, process, lake, began, before, log=None):
        """Waits for the last record; wall s, records/s of full intervals, CPU s, peak MiB, CPU s from the start of the process."""
        end, found = time.time() + 900, []
        while time.time() < end and process.poll() is None:
            found = lake.snapshots()
            if found and found[-1][1] >= self.records:
                break
            time.sleep(0.25)
        total, memory = cpu(process.pid), peak(process.pid)
        if not found or found[-1][1] < self.records:
            tail = log.read_text(errors="replace")[-3000:] if log else ""
            raise AssertionError(f"only {found[-1:]} of {self.records} records arrived\n{tail}")
        lake.check(self.records)
        at, count = found[-2] if len(found) > 1 else found[-1]
        return found[-1][0] - began, count / max(at - began, 0.001), total - before, memory, total

    def stop(self):
        self.broker.stop()
        self.weed.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def missing():
    """Why the sink can't run here; nothing where it can."""
    if not any(SINK_JARS.glob("iceberg-kafka-connect-*.jar")):
        return "no jars in .cache/iceberg-sink: scripts/iceberg-sink/fetch.sh fetches them (needs maven)"
    if not any(kafka.JARS.glob("connect-runtime-*.jar")):
        return "no Kafka Connect in .cache/kafka: scripts/kafka/fetch.sh fetches it (needs maven)"
    return None if shutil.which("java") else "no java"


def table(rows, o):
    lines = [
        f"### Dump into an Iceberg table: {o.records:,} JSON records, a snapshot each {o.interval:g} s", "",
        f"From {PARTITIONS} partitions of the {o.broker} broker (another process) into a table on the local disk, one task each; medians of {o.rounds}, interleaved. Every table was",
        "read by pyiceberg afterwards and had each record once. CPU and memory are of the carrier alone, start-up left out. The loop appends 100,000 rows at a time.", "",
        "| record bytes | carrier | wall s | records/s in full intervals | CPU s | records per CPU s | peak RSS MiB |", "|---|---|---|---|---|---|---|"]
    middle = {key: [statistics.median(r[i] for r in found) for i in range(5)] for key, found in rows.items()}
    for (size, name), (wall, rate, seconds, memory, _) in middle.items():
        lines.append(f"| {size} | {NAMES[name]} | {wall:.1f} | {rate:,.0f} | {seconds:.2f} | {o.records / seconds:,.0f} | {memory:.0f} |")
    for size in o.jobs.split(","):
        ours = middle.get((size, "wharf"))
        for name in ("loop", "sink"):
            theirs = middle.get((size, name))
            if ours and theirs:
                more = f" ({theirs[4] / ours[4]:.1f} × with both processes' start-up)" if name == "sink" else ""
                lines += ["", f"**Ratio** ({size} bytes): {theirs[2] / ours[2]:.1f} × the records per CPU second of the {name}{more}."]
    if why := missing():
        lines += ["", f"The Apache Iceberg sink was not run: {why}."]
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--jobs", default="300,150", help="sizes of records")
    options.add_argument("--carriers", default="wharf,loop,sink")
    options.add_argument("--interval", type=float, default=10, help="seconds between snapshots")
    options.add_argument("--broker", choices=["embedded", "apache"], default="embedded")
    options.add_argument("--print-only", action="store_true")
    o = options.parse_args()
    rows = {}
    for size in o.jobs.split(","):
        bench = Bench(o.records, int(size), o.interval, o.broker)
        try:
            for _ in range(o.rounds):
                for name in o.carriers.split(","):
                    if result := getattr(bench, name)():
                        rows.setdefault((size, name), []).append(result)
                        print(size, name, [round(x, 2) for x in result], flush=True)
        finally:
            bench.stop()
    text = table(rows, o)
    print(text)
    if not o.print_only:
        write_section("iceberg", text)


if __name__ == "__main__":
    main()
