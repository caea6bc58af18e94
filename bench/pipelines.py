#!/usr/bin/env python3
"""Pipelines from a topic to each kind of destination, beside mq-bridge, rsyslog and, as the floor, a script of confluent-kafka.

    bench/pipelines.py [--rounds 5] [--records 1000000] [--jobs es,es-transform,kafka,s3]

The broker is the embedded one in a process of its own (`wharf serve`); the pipelines run in another. What is read lies in the topic before anything
starts. Wall time is from the making of the task (the start of the peer's process) to the last record at the destination; CPU and memory are of the
process that carries the records. The bulk endpoint takes everything and says so, and so shows the carrier's own cost.
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# First of all: this folder's copy.py would be taken for the library's, which http.server wants.
sys.path[0] = str(ROOT / "tests")

import argparse  # noqa: E402
import http.server  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import shutil  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

os.environ.setdefault("WHARF_BIN", str(ROOT / "target" / "release" / "wharf"))

from harness import peers, server  # noqa: E402

PARTITIONS, INSTANCE = 4, "ckafka-bench"
TRANSFORM = {
    "Content": "{}", "FieldChain": [{"Analyse": {"Format": "JSON"}, "SMT": [
        {"Key": "ts", "Operate": "MAPPING", "Value": "time", "SchemeType": "ORIGINAL"},
        {"Key": "host", "Operate": "MAPPING", "Value": "host", "SchemeType": "STRING", "ValueOperates": [{"Type": "LOWERCASE", "Lowercase": {}}]},
        {"Key": "method", "Operate": "MAPPING", "Value": "method", "SchemeType": "STRING"},
        {"Key": "status", "Operate": "MAPPING", "Value": "status", "SchemeType": "INT64"},
        {"Key": "bytes", "Operate": "MAPPING", "Value": "bytes", "SchemeType": "INT64"},
        {"Key": "path", "Operate": "MAPPING", "Value": "path", "SchemeType": "STRING"},
        {"Key": "env", "Operate": "CUSTOMIZE", "Value": "prod", "SchemeType": "STRING"}]}],
    "FailureParam": {"Type": "DROP"}, "OutputFormat": "JSON",
}


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
    return (text[:-1] + f', "agent": "{"x" * max(0, size - len(text) - 13)}"}}').encode()


def fill(boot, topic, count, size):
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": boot})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": boot, "linger.ms": 20, "batch.size": 900_000, "queue.buffering.max.messages": 500_000})
    for i in range(count):
        while True:
            try:
                producer.produce(topic, document(i, size), partition=i % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(300) == 0


class NullBulk(http.server.ThreadingHTTPServer):
    """Counts the documents of bulk requests and agrees to everything."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.documents, self.lock = 0, threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with self.server.lock:
                self.server.documents += body.count(b"\n") // 2
            # An answer for each document, as a real server gives it: mq-bridge counts them.
            self.reply(ANSWERS[0] + b",".join([ANSWERS[1]] * (body.count(b"\n") // 2)) + b"]}")

        do_PUT = do_POST

        def do_GET(self):
            self.reply(b'{"version":{"number":"8.11.0","distribution":"null"},"tagline":"You Know, for Search"}')

        def reply(self, answer):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass


ANSWERS = b'{"took":1,"errors":false,"items":[', b'{"index":{"_index":"bench","status":201}}'

MQ_BRIDGE = r'''
import json, sys
from mq_bridge import Route
Route.from_config(json.loads(sys.argv[1])).run()
'''

FLOOR = r'''
import sys, urllib3
from confluent_kafka import Consumer
boot, topic, count, url = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
c = Consumer({"bootstrap.servers": boot, "group.id": "floor-" + sys.argv[5], "auto.offset.reset": "earliest", "enable.auto.commit": False})
c.subscribe([topic])
pool, done = urllib3.PoolManager(), 0
while done < count:
    batch = c.consume(5000, 1)
    if not batch:
        continue
    body = b"".join(b'{"index":{"_index":"bench"}}\n' + m.value() + b"\n" for m in batch)
    assert pool.request("POST", url + "/_bulk", body=body, headers={"content-type": "application/x-ndjson"}).status == 200
    c.commit(asynchronous=True)
    done += len(batch)
'''


class Bench:
    def __init__(self, records, size):
        self.records, self.size, self.number = records, size, 0
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-pipelines-"))
        port = peers.free_port()
        self.boot = f"127.0.0.1:{port}"
        self.broker = server.Wharf(self.folder / "broker", sections={"broker": {"address": self.boot}})
        fill(self.boot, "in", records, size)
        self.bulk = NullBulk()
        self.bulk_url = f"http://127.0.0.1:{self.bulk.server_port}"
        self.weed = peers.Weed()
        self.weed.client().create_bucket(Bucket="bench")

    def wharf(self, job):
        """One server for one run, so that its CPU is the run's."""
        extra = "".join("[[connection]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in t.items()) for t in (
            {"id": INSTANCE, "kind": "kafka", "bootstrap": self.boot}, {"id": "resource-bulk0001", "kind": "elastic", "url": self.bulk_url}))
        store = server.object_store("weed", self.weed.url, self.weed.access_key, self.weed.secret_key)
        running = server.Wharf(self.folder / f"w{self.number}", sections={"streams": {"topics": INSTANCE, "lanes": 2}}, extra=extra, object_stores=[store])
        before, began = cpu(running.process.pid), time.monotonic()
        target, more = self.target(job)
        client = running.ckafka()
        from tencentcloud.ckafka.v20190819 import models
        request = models.CreateDatahubTaskRequest()
        request.from_json_string(json.dumps({
            "TaskName": "bench", "TaskType": "SINK", "TargetResource": target,
            "SourceResource": {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": "in", "OffsetType": "earliest"}}, **more}))
        self.bulk.documents = 0
        task = json.loads(client.CreateDatahubTask(request).to_json_string())["Result"]["TaskId"]
        self.wait(job, running, task)
        result = time.monotonic() - began, cpu(running.process.pid) - before, peak(running.process.pid)
        running.stop()
        return result

    def target(self, job):
        self.number += 1
        more = {"TransformsParam": TRANSFORM} if job.endswith("-transform") else {}
        kind = job.split("-")[0]
        if kind == "es":
            return {"Type": "ES", "EsParam": {"Resource": "resource-bulk0001", "Index": "bench", "DropInvalidMessage": True}}, more
        if kind == "kafka":
            return {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": self.topic()}}, more
        return {"Type": "COS", "CosParam": {"BucketName": "bench", "Region": "r", "ObjectKeyPrefix": f"r{self.number}/", "AggregateBatchSize": 64,
                                            "AggregateInterval": 1, "FormatOutputType": "json"}}, more

    def wait(self, job, running, task):
        if job.startswith("es"):
            peers.wait_until("all documents", lambda: self.bulk.documents >= self.records, 600)
            return
        show = lambda: json.loads(running.command("pipeline", "show", task, "--json", "--config", running.config).stdout)  # noqa: E731
        if job.startswith("s3"):
            # Whole objects appear by size; the rest when the task is paused.
            peers.wait_until("most of it", lambda: show()["ledger"]["items"]["read"] >= self.records * 0.7, 600)
            running.command("pipeline", "pause", task, "--config", running.config, check=False)
        peers.wait_until("all of it", lambda: show()["ledger"]["items"]["read"] >= self.records or self.again(job, running, task, show), 600)

    @staticmethod
    def again(job, running, task, show):
        """A task that was paused before it had read everything goes on once more."""
        if job.startswith("s3") and show()["status"] == "paused":
            running.command("pipeline", "resume", task, "--config", running.config, check=False)
            time.sleep(2)
            running.command("pipeline", "pause", task, "--config", running.config, check=False)
        return False

    def floor(self):
        self.number += 1
        self.bulk.documents = 0
        return self.measured([sys.executable, "-c", FLOOR, self.boot, "in", str(self.records), self.bulk_url, str(self.number)])

    def rsyslog(self):
        program = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
        if not pathlib.Path(program).exists() or not pathlib.Path("/usr/lib/x86_64-linux-gnu/rsyslog/imkafka.so").exists():
            return None
        self.number += 1
        self.bulk.documents = 0
        folder = self.folder / f"rsyslog{self.number}"
        folder.mkdir()
        (folder / "conf").write_text(f'''
global(workDirectory="{folder}")
module(load="imkafka") module(load="omelasticsearch")
main_queue(queue.size="200000" queue.dequeueBatchSize="4096" queue.workerThreads="2")
input(type="imkafka" topic="in" broker=["{self.boot}"] consumergroup="rsyslog{self.number}" confParam=["auto.offset.reset=earliest"] ruleset="bulk")
template(name="raw" type="string" string="%msg%")
ruleset(name="bulk" queue.type="LinkedList" queue.size="200000" queue.dequeueBatchSize="4096" queue.workerThreads="2") {{
  action(type="omelasticsearch" server="127.0.0.1" serverport="{self.bulk.server_port}" template="raw" searchIndex="bench" bulkmode="on" searchType="")
}}''')
        return self.measured([program, "-n", "-f", str(folder / "conf"), "-i", str(folder / "pid")])

    def mq_bridge(self, job):
        """Its batches are of 2,000 records, as its own measurements have them."""
        python = ROOT / ".cache" / "bench-venv" / "bin" / "python"
        if not python.exists():
            return None
        self.number += 1
        self.bulk.documents = 0
        source = {"kafka": {"url": self.boot, "topic": "in", "group_id": f"mqb{self.number}", "consumer_options": [["auto.offset.reset", "earliest"]]}}
        env, done = dict(os.environ), None
        if job.startswith("es"):
            sink = {"elasticsearch": {"url": self.bulk_url, "index": "bench"}}
        elif job.startswith("kafka"):
            topic = self.topic()
            sink = {"kafka": {"url": self.boot, "topic": topic}}
            done = lambda: self.held(topic) >= self.records  # noqa: E731
        else:
            return None
        if job.endswith("-transform"):
            fields = {"ts": "time", "host": "host", "method": "method", "status": "status", "bytes": "bytes", "path": "path"}
            mapping = {k: f"$.{v}" for k, v in fields.items()} | {"env": {"path": "$.env", "default": "prod"}}
            sink["middlewares"] = [{"transform": {"mapping": mapping}}]
        route = {"input": source, "output": sink, "batch_size": 2000, "concurrency": 2}
        return self.measured([str(python), "-c", MQ_BRIDGE, json.dumps(route)], env=env, done=done)

    def topic(self):
        from confluent_kafka.admin import AdminClient, NewTopic
        admin, topic = AdminClient({"bootstrap.servers": self.boot}), f"out{self.number}"
        admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
        return topic

    def held(self, topic):
        """Records in a topic."""
        from confluent_kafka import Consumer, TopicPartition
        if not hasattr(self, "looker"):
            self.looker = Consumer({"bootstrap.servers": self.boot, "group.id": "looker", "log_level": 0})
        return sum(self.looker.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in range(PARTITIONS))

    def measured(self, command, env=None, done=None):
        done = done or (lambda: self.bulk.documents >= self.records)
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        while not done() and time.monotonic() - began < 300 and process.poll() is None:
            time.sleep(0.02)
        result = None
        if done() and process.poll() is None:
            result = time.monotonic() - began, cpu(process.pid), peak(process.pid)
        process.kill()
        process.wait()
        return result

    def stop(self):
        self.broker.stop()
        self.weed.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def peers_of(bench, job):
    """What runs beside us in a job: name and call."""
    if job == "es":
        yield "confluent-kafka script", bench.floor
        yield "rsyslog", bench.rsyslog
    yield "mq-bridge", lambda: bench.mq_bridge(job)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--size", type=int, default=280)
    options.add_argument("--jobs", default="es,es-transform,kafka,kafka-transform,s3")
    o = options.parse_args()
    bench, rows = Bench(o.records, o.size), {}
    try:
        for _ in range(o.rounds):
            for job in o.jobs.split(","):
                rows.setdefault((job, "wharf"), []).append(bench.wharf(job))
                for name, run in peers_of(bench, job):
                    if result := run():
                        rows.setdefault((job, name), []).append(result)
                print({k: [tuple(round(x, 2) for x in r) for r in v] for k, v in rows.items()}, flush=True)
    finally:
        bench.stop()
    lines = [
        f"### Pipelines: {o.records:,} records of {o.size} bytes", "",
        f"From {PARTITIONS} partitions of the embedded broker (another process), two lanes; medians of {o.rounds}, interleaved. CPU and memory are of the carrier alone.", "",
        "| job | carrier | wall s | records/s | CPU s | records per CPU s | peak RSS MiB |", "|---|---|---|---|---|---|---|",
    ]
    for (job, name), results in rows.items():
        wall, seconds, memory = (statistics.median(r[i] for r in results) for i in range(3))
        lines.append(f"| {job} | {name} | {wall:.1f} | {o.records / wall:,.0f} | {seconds:.2f} | {o.records / seconds:,.0f} | {memory:.0f} |")
    for job in o.jobs.split(","):
        best = [(statistics.median(r[1] for r in v), k[1]) for k, v in rows.items() if k[0] == job and k[1] not in ("wharf", "confluent-kafka script")]
        if best:
            seconds, name = min(best)
            ours = statistics.median(r[1] for r in rows[job, "wharf"])
            lines += ["", f"**Ratio** ({job}): {seconds / ours:.2f} × the records per CPU second of {name}."]
    write_section(f"pipelines-{o.size}", "\n".join(lines))


if __name__ == "__main__":
    main()
