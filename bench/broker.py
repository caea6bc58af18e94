#!/usr/bin/env python3
"""Produce and consume through the embedded broker, and through Apache Kafka on the same machine: MB/s, and CPU seconds of the broker for each 100 MB.

    bench/broker.py [--rounds 3] [--megabytes 300]

The client is librdkafka (confluent-kafka) in a process of its own; it takes more of the machine than the embedded broker does, so the wall figures are
a lower bound and the CPU of the broker is the figure to look at. Rounds are interleaved; each is a new topic of four partitions with 1 KiB records.
"""
import argparse
import importlib.util
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# In the place of this folder, whose copy.py would be taken for the library's.
sys.path[0] = str(ROOT / "tests")
os.environ.setdefault("WHARF_BIN", str(ROOT / "target" / "release" / "wharf"))

from harness import kafka, peers  # noqa: E402

SIZE, PARTITIONS = 1024, 4


def write_section(name, text):
    specification = importlib.util.spec_from_file_location("results", ROOT / "bench" / "results.py")
    results = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(results)
    results.write_section(name, text)


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid, key):
    line = next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def client(boot, topic, way, count):
    """The other process: says how long it took."""
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    if way.startswith("produce"):
        admin = AdminClient({"bootstrap.servers": boot})
        admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
        value, failed = os.urandom(SIZE // 2) + b"abcd" * (SIZE // 8), []
        producer = Producer({
            "bootstrap.servers": boot, "acks": "all", "linger.ms": 20, "batch.size": 900_000, "queue.buffering.max.messages": 200_000,
            "enable.idempotence": way == "produce-idempotent", "message.timeout.ms": 120_000,
        })
        began = time.monotonic()
        for n in range(count):
            while True:
                try:
                    producer.produce(topic, value, partition=n // 500 % PARTITIONS, on_delivery=lambda e, m: e and failed.append(e))
                    break
                except BufferError:
                    producer.poll(0.02)
            if n % 1000 == 0:
                producer.poll(0)
        assert producer.flush(300) == 0 and not failed, failed[:1]
    else:
        reader = Consumer({
            "bootstrap.servers": boot, "group.id": topic, "enable.auto.commit": False, "fetch.max.bytes": 52428800, "max.partition.fetch.bytes": 10485760,
            "queued.max.messages.kbytes": 65536, "check.crcs": False,
        })
        reader.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
        began, n = time.monotonic(), 0
        while n < count:
            messages = reader.consume(min(2000, count - n), 10)
            assert messages, f"only {n} of {count} came"
            n += sum(1 for m in messages if not m.error())
    print(time.monotonic() - began)


def measure(boot, pid, topic, way, count):
    before = cpu(pid)
    done = subprocess.run([sys.executable, __file__, "--client", boot, topic, way, str(count)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    # What is flushed a second later is part of the price.
    time.sleep(2.5)
    megabytes = count * SIZE / 1e6
    return megabytes / float(done.stdout), (cpu(pid) - before) / megabytes * 100


def brokers(folder):
    """Name, and how to start it."""
    yield "wharf", lambda: kafka.Embedded(folder / "interval")
    yield "wharf, fsync = \"each\"", lambda: kafka.Embedded(folder / "each", fsync="each")
    if any(kafka.JARS.glob("kafka_2*.jar")):
        yield "Apache Kafka 4.1", kafka.Apache


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--client":
        return client(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--megabytes", type=int, default=300)
    arguments = arguments.parse_args()
    count = arguments.megabytes * 1_000_000 // SIZE
    ways = ("produce", "produce-idempotent", "consume")
    with tempfile.TemporaryDirectory(prefix="bench-broker-", dir=ROOT / ".cache") as folder:
        running = {}
        for name, start in brokers(pathlib.Path(folder)):
            began = time.monotonic()
            running[name] = start()
            print(f"{name}: up in {time.monotonic() - began:.2f} s, {memory(running[name].process.pid, 'VmRSS'):.0f} MiB")
        try:
            rows = table(running, ways, arguments.rounds, count)
        finally:
            for broker in running.values():
                broker.stop()
    write_section("broker", rows)


def table(running, ways, rounds, count):
    idle = {name: memory(b.process.pid, "VmRSS") for name, b in running.items()}
    measured = {name: {way: [] for way in ways} for name in running}
    for n in range(rounds):
        for name, broker in running.items():
            for way in ways:
                topic = f"bench-{n}-{way if way != 'consume' else ways[0]}"
                measured[name][way].append(measure(broker.boot, broker.process.pid, topic, way, count))
                print(name, way, "%.0f MB/s, %.3f CPU s for 100 MB" % measured[name][way][-1], flush=True)
    lines = [
        "### The embedded broker", "",
        f"1 KiB records, {PARTITIONS} partitions, librdkafka 2.16 with acks=all, medians of {rounds} rounds of {count * SIZE // 1_000_000} MB. CPU: user + system of the",
        "broker for 100 MB; wanted: at least 100 MB/s each way at no more than 0.2 CPU s.", "",
        "| broker | produce MB/s | CPU s | idempotent MB/s | CPU s | consume MB/s | CPU s | idle RSS MiB | peak RSS MiB |", "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, broker in running.items():
        cells = []
        for way in ways:
            speeds, costs = zip(*measured[name][way])
            cells += [f"{statistics.median(speeds):.0f}", f"{statistics.median(costs):.2f}"]
        peak = memory(broker.process.pid, "VmHWM")
        lines.append(f"| {name} | {' | '.join(cells)} | {idle[name]:.0f} | {peak:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
