"""29 checks of a Kafka-compatible broker with librdkafka: `checks.py HOST:PORT CHECK` runs one and prints PASS, SKIP or FAIL with a reason.

Each runs in a process of its own, so that another librdkafka can be put in its way (PYTHONPATH) and one that hangs takes nothing with it.
The reference is a real Apache Kafka: `test_broker.py` runs the same checks against both.
"""

import os
import subprocess
import sys
import threading
import time
import uuid

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

BOOT = sys.argv[1] if len(sys.argv) > 1 else ""
CHECKS = {}


class TooOld(Exception):
    """This client can't ask for what the check is about."""


def check(function):
    CHECKS[function.__name__] = function
    return function


def needs(name, module=confluent_kafka.admin):
    found = getattr(module, name, None)
    if found is None:
        raise TooOld(f"confluent-kafka {confluent_kafka.version()[0] if callable(confluent_kafka.version) else ''} has no {name}")
    return found


_admin = []


def admin():
    if not _admin:
        _admin.append(AdminClient({"bootstrap.servers": BOOT}))
    return _admin[0]


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def topic(prefix, partitions=1, config=None):
    name = fresh(prefix)
    made = admin().create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})], request_timeout=20)
    made[name].result(30)
    return name


def producer(**more):
    return Producer({"bootstrap.servers": BOOT, "acks": "all", "message.timeout.ms": 30000, **more})


def consumer(group, **more):
    return Consumer({
        "bootstrap.servers": BOOT, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000, **more,
    })


def put(name, count, using=None, partition=None, prefix=b"v", **fields):
    using = using or producer()
    errors, stored = [], []

    def report(error, message):
        (errors if error else stored).append(str(error) if error else (message.partition(), message.offset()))

    for n in range(count):
        message = {"value": prefix + b"%d" % n, "key": b"k%d" % n, "on_delivery": report, **fields}
        if partition is not None:
            message["partition"] = partition
        while True:
            try:
                using.produce(name, **message)
                break
            except BufferError:
                using.poll(0.1)
        using.poll(0)
    left = using.flush(40)
    assert not errors and left == 0 and len(stored) == count, f"{left} left, {len(stored)} stored, {errors[:2]}"
    return stored


def drain(reader, count, seconds=30):
    messages, end = [], time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < end:
        message = reader.poll(0.5)
        if message is None:
            continue
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                continue
            raise KafkaException(message.error())
        messages.append(message)
    return messages


def read(name, count, seconds=30, **options):
    reader = consumer(fresh("g"), **options)
    reader.subscribe([name])
    messages = drain(reader, count, seconds)
    reader.close()
    return messages


def eventually(what, condition, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come about in {seconds} s")


@check
def create_describe():
    name = topic("cd", 3)
    assert len(admin().list_topics(name, timeout=10).topics[name].partitions) == 3


@check
def create_partitions():
    name = topic("cp", 2)
    admin().create_partitions([NewPartitions(name, 5)], request_timeout=15)[name].result(20)
    eventually("five partitions", lambda: len(admin().list_topics(name, timeout=10).topics[name].partitions) == 5)


@check
def topic_configs():
    entry, operation = needs("ConfigEntry"), needs("AlterConfigOpType")
    name = topic("tc", 1, {"retention.ms": "3600000", "cleanup.policy": "delete"})

    def retention():
        return list(admin().describe_configs([ConfigResource("TOPIC", name)]).values())[0].result(10)["retention.ms"].value

    assert retention() == "3600000"
    change = entry("retention.ms", "7200000", incremental_operation=operation.SET)
    list(admin().incremental_alter_configs([ConfigResource("TOPIC", name, incremental_configs=[change])]).values())[0].result(10)
    eventually("the new retention", lambda: retention() == "7200000")


@check
def produce_consume_headers_timestamps():
    name = topic("pc")
    put(name, 500, headers=[("h", b"1"), ("h", b"2")], timestamp=1700000000123)
    messages = read(name, 500)
    assert [m.offset() for m in messages] == list(range(500))
    seventh = messages[7]
    assert seventh.key() == b"k7" and seventh.value() == b"v7" and seventh.headers() == [("h", b"1"), ("h", b"2")]
    assert seventh.timestamp()[1] == 1700000000123, seventh.timestamp()


@check
def null_key_value():
    name, using = topic("nk"), producer()
    using.produce(name, value=None, key=b"tomb")
    using.produce(name, value=b"x", key=None)
    using.produce(name, value=b"", key=b"")
    assert using.flush(20) == 0
    assert [(m.key(), m.value()) for m in read(name, 3)] == [(b"tomb", None), (None, b"x"), (b"", b"")]


@check
def compression():
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        name = topic("z" + codec)
        put(name, 300, producer(**{"compression.type": codec, "linger.ms": 50}), prefix=b"x" * 500)
        got = read(name, 300, 15)
        assert [m.value() for m in got] == [b"x" * 500 + b"%d" % n for n in range(300)], (codec, len(got))


@check
def list_offsets_by_timestamp():
    start = 1700000000000
    for codec in ("none", "gzip", "zstd"):
        name, using = topic("lo"), producer(**{"compression.type": codec, "linger.ms": 20})
        for n in range(100):
            using.produce(name, b"x" * 100, timestamp=start + n * 1000)
            if n % 25 == 0:
                assert using.flush(20) == 0
        assert using.flush(20) == 0
        reader = consumer(fresh("g"))

        def at(timestamp):
            return reader.offsets_for_times([TopicPartition(name, 0, timestamp)], timeout=10)[0].offset

        assert at(start + 50000) == 50, (codec, at(start + 50000))
        assert at(start + 50500) == 51, (codec, at(start + 50500))
        assert at(start + 10**11) == -1
        assert reader.get_watermark_offsets(TopicPartition(name, 0), timeout=10) == (0, 100)
        reader.close()


@check
def commit_resume():
    name, group = topic("cr"), fresh("g")
    put(name, 100)
    first = consumer(group)
    first.subscribe([name])
    messages = drain(first, 40)
    first.commit(offsets=[TopicPartition(name, 0, messages[39].offset() + 1, metadata="meta")], asynchronous=False)
    first.close()
    second = consumer(group)
    second.subscribe([name])
    messages = drain(second, 60)
    assert messages[0].offset() == 40 and len(messages) == 60, (messages[0].offset(), len(messages))
    assert second.committed([TopicPartition(name, 0)], timeout=10)[0].offset == 40
    second.close()


class Members:
    """Consumers in threads that come and go, with what each owns and everything that was seen."""

    def __init__(self, name, options):
        self.name, self.options, self.group = name, options, fresh("g")
        self.own, self.seen, self.errors, self.stops, self.threads, self.lock = {}, {}, [], {}, {}, threading.Lock()

    def run(self, i):
        reader = Consumer({"bootstrap.servers": BOOT, "group.id": self.group, "auto.offset.reset": "earliest", "enable.auto.commit": False, **self.options})
        reader.subscribe([self.name])
        while not self.stops[i].is_set():
            message = reader.poll(0.2)
            self.own[i] = sorted(p.partition for p in reader.assignment())
            if message is None:
                continue
            if message.error():
                self.errors.append(str(message.error())[:100])
                continue
            with self.lock:
                spot = (message.partition(), message.offset())
                self.seen[spot] = self.seen.get(spot, 0) + 1
            try:
                reader.commit(message=message, asynchronous=True)
            except KafkaException as error:
                self.errors.append(str(error)[:80])
        self.own[i] = []
        reader.close()

    def start(self, i):
        self.stops[i], self.own[i] = threading.Event(), []
        self.threads[i] = threading.Thread(target=self.run, args=(i,))
        self.threads[i].start()

    def wait(self, members, seconds=60):
        def balanced():
            own = [p for p in self.own.values() if p]
            return len(own) == members and sorted(sum(own, [])) == list(range(6))

        began = time.monotonic()
        try:
            eventually(f"balance among {members}", balanced, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.own} {self.errors[:3]}") from None
        return round(time.monotonic() - began, 1)

    def end(self):
        for stop in self.stops.values():
            stop.set()
        for thread in self.threads.values():
            thread.join(20)


def rebalance(options):
    name = topic("rb", 6)
    members, using, total, took = Members(name, options), producer(), 0, []
    try:
        for step, count in ((lambda: members.start(0), 1), (lambda: members.start(1), 2), (lambda: members.start(2), 3), (lambda: members.stops[1].set(), 2)):
            step()
            took.append(members.wait(count))
            for partition in range(6):
                put(name, 50, using, partition=partition)
                total += 50
        eventually(f"all of {total} records", lambda: len(members.seen) == total, 30)
    finally:
        members.end()
    return f"seconds to balance 1, 2, 3, leave: {took}; {sum(n - 1 for n in members.seen.values())} seen twice"


@check
def rebalance_range():
    return rebalance({"partition.assignment.strategy": "range", "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000})


@check
def rebalance_cooperative():
    return rebalance({"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000})


@check
def rebalance_kip848():
    if confluent_kafka.libversion()[1] < 0x020A0000:
        raise TooOld("the consumer protocol came with librdkafka 2.10")
    return rebalance({"group.protocol": "consumer"})


@check
def static_membership():
    name, group = topic("sm", 2), fresh("g")
    put(name, 10)
    first = consumer(group, **{"group.instance.id": "i1"})
    first.subscribe([name])
    drain(first, 10)
    first.commit(asynchronous=False)
    first.close()
    second, began = consumer(group, **{"group.instance.id": "i1"}), time.monotonic()
    second.subscribe([name])
    while not second.assignment() and time.monotonic() - began < 25:
        second.poll(0.2)
    owned = len(second.assignment())
    second.close()
    assert owned == 2, owned
    return f"joined again in {time.monotonic() - began:.1f} s"


@check
def member_crash_expiry():
    name, group = topic("mc", 2), fresh("g")
    put(name, 10)
    victim = subprocess.Popen([sys.executable, __file__, BOOT, "--member", name, group], stdout=subprocess.PIPE)
    line = victim.stdout.readline()
    victim.kill()
    victim.wait()
    began, reader = time.monotonic(), consumer(group)
    reader.subscribe([name])
    while len(reader.assignment()) < 2 and time.monotonic() - began < 60:
        reader.poll(0.2)
    owned = len(reader.assignment())
    reader.close()
    assert owned == 2, (owned, line)
    return f"took over in {time.monotonic() - began:.1f} s of a 6 s session"


@check
def idempotent():
    name = topic("id", 3)
    put(name, 2000, producer(**{"enable.idempotence": True, "linger.ms": 5}))
    assert len(read(name, 2000)) == 2000


def transactional(**more):
    using = producer(**{"transactional.id": fresh("tid"), "transaction.timeout.ms": 60000, **more})
    using.init_transactions(20)
    return using


@check
def transaction_commit_abort():
    name, using = topic("tx", 2), transactional()
    using.begin_transaction()
    put(name, 20, using, partition=0, prefix=b"A")
    using.abort_transaction(20)
    using.begin_transaction()
    put(name, 20, using, partition=0, prefix=b"C")
    using.commit_transaction(20)
    committed = [m.value()[:1] for m in read(name, 21, 8, **{"isolation.level": "read_committed"})]
    assert committed == [b"C"] * 20, committed
    everything = read(name, 41, 8, **{"isolation.level": "read_uncommitted"})
    assert len(everything) == 40, len(everything)


@check
def transaction_open_invisible():
    name, using = topic("to"), transactional()
    using.begin_transaction()
    put(name, 5, using)
    reader = consumer(fresh("g"), **{"isolation.level": "read_committed"})
    reader.subscribe([name])
    early = drain(reader, 1, 6)
    assert not early, len(early)
    using.commit_transaction(20)
    assert len(drain(reader, 5, 10)) == 5
    reader.close()


@check
def transaction_fencing():
    name, tid = topic("tf"), fresh("tid")
    old = transactional(**{"transactional.id": tid})
    old.begin_transaction()
    old.produce(name, b"z")
    old.flush(10)
    transactional(**{"transactional.id": tid})
    try:
        old.commit_transaction(10)
    except KafkaException as error:
        assert "FENCED" in str(error) or "INVALID_PRODUCER_EPOCH" in str(error), error
        return str(error)[:60]
    raise AssertionError("the old producer was not fenced")


@check
def transaction_send_offsets():
    source, sink, group = topic("ti"), topic("tj"), fresh("g")
    put(source, 10)
    reader = consumer(group)
    reader.subscribe([source])
    messages = drain(reader, 10)
    using = transactional()
    for outcome, expected in (("abort", -1001), ("commit", 10)):
        using.begin_transaction()
        for message in messages:
            using.produce(sink, message.value())
        using.send_offsets_to_transaction([TopicPartition(source, 0, 10)], reader.consumer_group_metadata(), 20)
        getattr(using, f"{outcome}_transaction")(20)
        committed = reader.committed([TopicPartition(source, 0)], timeout=10)[0].offset
        assert committed == expected, (outcome, committed)
    reader.close()


@check
def groups_admin():
    partitions_of = needs("ConsumerGroupTopicPartitions", confluent_kafka)
    name, group = topic("ga", 2), fresh("g")
    put(name, 10)
    reader = consumer(group)
    reader.subscribe([name])
    drain(reader, 10)
    reader.commit(asynchronous=False)
    assert group in [g.group_id for g in admin().list_consumer_groups().result(10).valid]
    shown = admin().describe_consumer_groups([group])[group].result(10)
    assert len(shown.members) == 1 and str(shown.state).upper().endswith("STABLE"), (shown.state, len(shown.members))
    assert sorted(p.partition for p in shown.members[0].assignment.topic_partitions) == [0, 1]
    reader.close()
    offsets = admin().list_consumer_group_offsets([partitions_of(group)])[group].result(10)
    assert sum(p.offset for p in offsets.topic_partitions) == 10, offsets.topic_partitions


def group_with_offsets():
    name, group = topic("ag"), fresh("g")
    put(name, 10)
    reader = consumer(group)
    reader.subscribe([name])
    drain(reader, 10)
    reader.commit(asynchronous=False)
    reader.close()
    return name, group


@check
def alter_group_offsets():
    partitions_of = needs("ConsumerGroupTopicPartitions", confluent_kafka)
    name, group = group_with_offsets()
    admin().alter_consumer_group_offsets([partitions_of(group, [TopicPartition(name, 0, 3)])])[group].result(15)
    reader = consumer(group)
    assert reader.committed([TopicPartition(name, 0)], timeout=10)[0].offset == 3
    reader.close()


@check
def delete_group():
    _, group = group_with_offsets()
    admin().delete_consumer_groups([group])[group].result(10)
    eventually("the group's end", lambda: group not in [g.group_id for g in admin().list_consumer_groups().result(10).valid])


@check
def delete_records():
    needs("delete_records", AdminClient)
    name = topic("dr")
    put(name, 100)
    list(admin().delete_records([TopicPartition(name, 0, 40)]).values())[0].result(15)
    reader = consumer(fresh("g"))
    assert reader.get_watermark_offsets(TopicPartition(name, 0), timeout=10) == (40, 100)
    reader.close()


@check
def delete_topic():
    name = topic("dt", 2)
    put(name, 10)
    admin().delete_topics([name])[name].result(15)
    eventually("the topic's end", lambda: name not in admin().list_topics(timeout=10).topics)


@check
def list_offsets_admin():
    spec = needs("OffsetSpec")
    name = topic("la")
    put(name, 10, timestamp=1700000000000)
    put(name, 1, timestamp=1700000005000)
    put(name, 5, timestamp=1700000001000)
    for asked, expected in ((spec.latest(), 16), (spec.earliest(), 0), (spec.max_timestamp(), 10)):
        found = list(admin().list_offsets({TopicPartition(name, 0): asked}).values())[0].result(10).offset
        assert found == expected, (asked, found)


@check
def large_message():
    name = topic("lm")
    put(name, 3, producer(**{"message.max.bytes": 5000000}), value=b"z" * 900_000)
    assert [len(m.value()) for m in read(name, 3)] == [900_000] * 3
    larger = topic("lm", 1, {"max.message.bytes": "12000000"})
    put(larger, 2, producer(**{"message.max.bytes": 12_000_000}), value=b"z" * 10_000_000)
    assert [len(m.value()) for m in read(larger, 2)] == [10_000_000] * 2


@check
def fetch_long_poll():
    name = topic("ll")
    reader = consumer(fresh("g"), **{"fetch.wait.max.ms": 10000, "socket.timeout.ms": 20000})
    reader.subscribe([name])
    put(name, 1)
    drain(reader, 1)
    using, took = producer(**{"linger.ms": 0}), []
    for _ in range(30):
        began = time.monotonic()
        using.produce(name, b"x")
        using.poll(0)
        assert drain(reader, 1, 10)
        took.append((time.monotonic() - began) * 1000)
        using.flush(5)
    reader.close()
    took.sort()
    # With a wait of 10 s, a broker that sleeps instead of waking up could not do thirty in a row.
    return f"produce to consume: median {took[15]:.0f} ms, longest {took[-1]:.0f} ms"


@check
def auto_create():
    put(fresh("ac"), 1)


@check
def describe_cluster():
    needs("describe_cluster", AdminClient)
    shown = admin().describe_cluster().result(10)
    assert len(shown.nodes) == 1
    return f"controller {shown.controller and shown.controller.id}"


@check
def many_topics():
    began, names = time.monotonic(), [fresh("mt") for _ in range(50)]
    for made in admin().create_topics([NewTopic(n, 4, 1) for n in names], request_timeout=60).values():
        made.result(60)
    took = time.monotonic() - began
    eventually("all of them", lambda: set(names) <= set(admin().list_topics(timeout=20).topics))
    return f"50 topics of 4 partitions in {took:.1f} s"


def member(name, group):
    """The process that `member_crash_expiry` kills."""
    reader = consumer(group)
    reader.subscribe([name])
    print(len(drain(reader, 10)), flush=True)
    time.sleep(100)


def main():
    if sys.argv[2] == "--member":
        return member(*sys.argv[3:])
    try:
        said = CHECKS[sys.argv[2]]()
        print("PASS", said or "", flush=True)
    except TooOld as error:
        print("SKIP", error, flush=True)
    except BaseException as error:  # whatever it is, it is the outcome
        print("FAIL", type(error).__name__, str(error)[:400].replace("\n", " "), flush=True)
    # Consumers that still hang must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
