#!/usr/bin/env python3
"""Pipelines from a topic to each kind of destination, beside mq-bridge, rsyslog, Kafka Connect and, as the floor, a script of confluent-kafka.

    bench/pipelines.py [--rounds 5] [--records 1000000] [--size 280] [--jobs es,es-transform,kafka,…] [--no-peers] [--bound 300]

Jobs: es (a bulk endpoint that takes everything), opensearch (a real one), kafka, s3, pg (PostgreSQL), ch (ClickHouse's engine); each also with `-transform`.
The broker is the embedded one in a process of its own (`wharf serve`); the pipelines run in another. What is read lies in the topic before anything
starts. Wall time is from the making of the task (the start of the peer's process) to the last record at the destination; CPU and memory are of the
process that carries the records. A run that takes longer than its bound is shown, with what the server says of it, and left out.
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# This folder comes last: its copy.py would be taken for the library's, which http.server wants.
sys.path[0] = str(ROOT / "tests")
sys.path.append(str(ROOT / "bench"))

import argparse  # noqa: E402
import json  # noqa: E402
import shutil  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

os.environ.setdefault("WHARF_BIN", str(ROOT / "target" / "release" / "wharf"))

import carriers  # noqa: E402
import destinations  # noqa: E402
from destinations import INSTANCE, PARTITIONS  # noqa: E402
from harness import peers, server  # noqa: E402
from results import write_section  # noqa: E402

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
# Counting rows in a database or asking a search engine costs it something: seldom, then.
PAUSE = {"es": 0.02, "kafka": 0.05, "s3": 0.2, "pg": 0.2, "ch": 0.2, "opensearch": 0.2}


class TooLong(Exception):
    """A run that its bound ended."""


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid):
    line = next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def document(i, size):
    """A line of an access log of `size` bytes; the time, the host, the status and so on take about 100, more where they must."""
    if size < 150:
        d = {"time": f"12:{i // 60 % 60:02}:{i % 60:02}", "host": f"W{i % 9}", "method": "GET", "status": 200, "bytes": i % 9, "path": "/a", "id": i, "agent": ""}
        return json.dumps(d, separators=(",", ":")).encode()
    d = {"time": f"2026-11-30T12:{i // 60 % 60:02}:{i % 60:02}Z", "host": f"Web-{i % 20}", "method": ["GET", "POST"][i % 2], "status": [200, 404][i % 7 == 0],
         "bytes": i * 7919 % 100000, "path": f"/articles/{i % 5000}", "id": i}
    text = json.dumps(d)
    return (text[:-1] + f', "agent": "{"x" * max(0, size - len(text) - 13)}"}}').encode()


def fill(boot, topic, count, size):
    """Fills a topic."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": boot})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": boot, "linger.ms": 20, "batch.size": 900_000, "queue.buffering.max.messages": 500_000})
    for i in range(count):
        value = document(i, size)
        while True:
            try:
                producer.produce(topic, value, partition=i % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(300) == 0


class Bench:
    def __init__(self, options):
        self.records, self.size, self.bound, self.number = options.records, options.size, options.bound, 0
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-pipelines-"))
        self.boot = f"127.0.0.1:{peers.free_port()}"
        self.broker = server.Wharf(self.folder / "broker", sections={"broker": {"address": self.boot}})
        fill(self.boot, "in", self.records, self.size)
        self.places = {}

    def place(self, kind):
        if kind not in self.places:
            self.places[kind] = destinations.KINDS[kind](self)
        return self.places[kind]

    def fresh(self, kind, transformed):
        self.number += 1
        self.place(kind).fresh(self.number, transformed)
        return self.place(kind)

    def wharf(self, kind, transformed):
        """One server for one run, so that its CPU is the run's."""
        place = self.fresh(kind, transformed)
        extra = destinations.words([{"id": INSTANCE, "kind": "kafka", "bootstrap": self.boot}, *place.tables()])
        stores = [server.object_store("weed", p.server.url, p.server.access_key, p.server.secret_key) for p in [place] if kind == "s3"]
        running = server.Wharf(self.folder / f"w{self.number}", sections={"streams": {"topics": INSTANCE, "lanes": 2}}, extra=extra, object_stores=stores)
        try:
            before, began = cpu(running.process.pid), time.monotonic()
            task = self.create(running, place, transformed)
            self.wait(kind, place, running, task)
            result = time.monotonic() - began, cpu(running.process.pid) - before, peak(running.process.pid)
            if kind == "s3":
                place.complete()
            return result
        finally:
            running.stop()

    def create(self, running, place, transformed):
        from tencentcloud.ckafka.v20190819 import models
        client, request = running.ckafka(), models.CreateDatahubTaskRequest()
        request.from_json_string(json.dumps({
            "TaskName": "bench", "TaskType": "SINK", "TargetResource": place.target(), **({"TransformsParam": TRANSFORM} if transformed else {}),
            "SourceResource": {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": "in", "OffsetType": "earliest"}}}))
        return json.loads(client.CreateDatahubTask(request).to_json_string())["Result"]["TaskId"]

    def wait(self, kind, place, running, task):
        """Until all records are at the destination, at most for the bound."""
        show = lambda: json.loads(running.command("pipeline", "show", task, "--json", "--config", running.config).stdout)  # noqa: E731
        end = time.monotonic() + self.bound
        if kind in ("kafka", "s3"):
            # A topic holds the transactions' own records too, and objects have no lines to count: our account says it.
            arrived = lambda: show()["ledger"]["items"]["read"]  # noqa: E731
        else:
            arrived = place.arrived
        # Whole objects appear by size; the rest when the task is paused.
        closing = Closing(running, task, show) if kind == "s3" else None
        while (seen := arrived()) < self.records:
            if time.monotonic() > end:
                shown = running.command("pipeline", "show", task, "--config", running.config, check=False)
                raise TooLong(f"{seen:,} of {self.records:,} records after {self.bound} s\n{shown.stdout}{shown.stderr}{tail(running.log)}")
            if closing:
                closing.step(seen, self.records)
            time.sleep(PAUSE[kind])

    def peer(self, run, place):
        """What a peer's process took, or nothing where it ended or did not get there within the bound."""
        arrived = run.arrived or place.arrived
        log, began = self.folder / f"peer{self.number}.log", time.monotonic()
        with open(log, "wb") as out:
            process = subprocess.Popen(run.command, stdout=out, stderr=subprocess.STDOUT, env=run.env)
        result, pause = None, next((PAUSE[k] for k, p in self.places.items() if p is place), 0.05)
        while not result and process.poll() is None:
            if self.has(arrived):
                result = time.monotonic() - began, cpu(process.pid), peak(process.pid)
            elif time.monotonic() - began > self.bound:
                break
            else:
                time.sleep(pause)
        process.kill()
        process.wait()
        if not result:
            print(f"left out: it ended, or took more than {self.bound} s\n{tail(log)}", file=sys.stderr, flush=True)
        return result

    def has(self, arrived):
        try:
            return arrived() >= self.records
        except Exception:  # an index or a topic that the peer has yet to make
            return False

    def stop(self):
        self.broker.stop()
        for place in self.places.values():
            place.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Closing:
    """Pauses a task when most of its records are settled, or none more are, so that it closes its objects; resumes one that was paused too early."""

    def __init__(self, running, task, show):
        self.running, self.task, self.show = running, task, show
        self.seen, self.since = 0, time.monotonic()

    def step(self, seen, records):
        if seen > self.seen:
            self.seen, self.since = seen, time.monotonic()
        still = time.monotonic() - self.since
        if not (seen >= records * 0.7 or still > 3):
            return
        status = self.show()["status"]
        if status == "running" and (still > 0.2 or seen >= records * 0.7):
            self.say("pause")
        elif status == "paused" and self.show()["ledger"]["items"]["read"] < records:
            self.say("resume")
            self.since = time.monotonic()

    def say(self, verb):
        done = self.running.command("pipeline", verb, self.task, "--config", self.running.config, check=False)
        if done.returncode:
            print(f"{verb}: {done.stderr.strip()}", file=sys.stderr, flush=True)


def tail(path):
    return path.read_text(errors="replace")[-1500:] if path.exists() else ""


def one(bench, job, with_peers, rows):
    """One round of one job."""
    kind, transformed = job.split("-")[0], job.endswith("-transform")
    try:
        rows.setdefault((job, "wharf"), []).append(bench.wharf(kind, transformed))
    except TooLong as e:
        print(f"{job}: {e}", file=sys.stderr, flush=True)
    if not with_peers:
        return
    for name, make in carriers.beside(bench, kind, bench.place(kind), transformed):
        place = bench.fresh(kind, transformed)
        run = make()
        if run and (result := bench.peer(run, place)):
            rows.setdefault((job, name), []).append(result)


def table(options, rows):
    lines = [
        f"### Pipelines: {options.records:,} records of {options.size} bytes", "",
        f"From {PARTITIONS} partitions of the embedded broker (another process), two lanes; medians of {options.rounds}, interleaved. CPU and memory are of the carrier alone.", "",
        "| job | carrier | wall s | records/s | CPU s | records per CPU s | peak RSS MiB |", "|---|---|---|---|---|---|---|",
    ]
    for (job, name), results in rows.items():
        if not results:
            continue
        wall, seconds, memory = (statistics.median(r[i] for r in results) for i in range(3))
        lines.append(f"| {job} | {name} | {wall:.1f} | {options.records / wall:,.0f} | {seconds:.2f} | {options.records / seconds:,.0f} | {memory:.0f} |")
    for job in options.jobs.split(","):
        others = [(statistics.median(r[1] for r in v), k[1]) for k, v in rows.items() if k[0] == job and v and k[1] not in ("wharf", "confluent-kafka script")]
        if others and rows.get((job, "wharf")):
            seconds, name = min(others)
            ours = statistics.median(r[1] for r in rows[job, "wharf"])
            lines += ["", f"**Ratio** ({job}): {seconds / ours:.2f} × the records per CPU second of {name}."]
    return "\n".join(lines)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--size", type=int, default=280)
    options.add_argument("--jobs", default="es,es-transform,kafka,kafka-transform,s3,s3-transform,pg,pg-transform,ch,ch-transform")
    options.add_argument("--bound", type=float, default=300, help="seconds that one run may take")
    options.add_argument("--no-peers", action="store_true")
    options.add_argument("--section", default="", help="name of the part of RESULTS.md; `-` writes none")
    o = options.parse_args()
    bench, rows = Bench(o), {}
    try:
        for _ in range(o.rounds):
            for job in o.jobs.split(","):
                one(bench, job, not o.no_peers, rows)
                print({k: [tuple(round(x, 2) for x in r) for r in v] for k, v in rows.items() if k[0] == job}, flush=True)
    finally:
        bench.stop()
    text = table(o, rows)
    print(text)
    if o.section != "-":
        write_section(o.section or f"pipelines-{o.size}", text)


if __name__ == "__main__":
    main()
