"""kill -9 of the broker at random points: nothing that was acknowledged is lost or changed, transactions are whole."""

import random
import threading
import time
import uuid

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROUNDS = 20


def make_topic(boot, partitions, **config):
    name = f"k9-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": boot})
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(30)
    return name


def read_all(boot, topic, partitions, isolation="read_uncommitted"):
    reader = Consumer({"bootstrap.servers": boot, "group.id": topic, "enable.auto.commit": False, "isolation.level": isolation, "enable.partition.eof": True})
    reader.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    found, ended, end = {}, set(), time.monotonic() + 120
    while len(ended) < partitions and time.monotonic() < end:
        for message in reader.consume(1000, 1.0):
            if message.error():
                ended.add(message.partition())
            else:
                found[(message.partition(), message.offset())] = message.value()
    reader.close()
    assert len(ended) == partitions, f"only {ended} were read to their ends"
    return found


class Kills:
    """Kills the broker after a random while, and starts it again."""

    def __init__(self, broker, rng, longest):
        self.broker, self.wait = broker, rng.uniform(0.1, longest)
        self.thread = threading.Thread(target=self.run)

    def run(self):
        time.sleep(self.wait)
        self.broker.kill9()
        self.broker.start()

    def __enter__(self):
        self.thread.start()
        return self.thread

    def __exit__(self, *_):
        self.thread.join()


@pytest.mark.parametrize("idempotent", [False, True])
def test_no_acknowledged_record_is_lost(kafka_broker, idempotent):
    rng = random.Random(f"records {idempotent}")
    broker = kafka_broker()
    # Small segments, so that kills meet segments being closed too.
    topic = make_topic(broker.boot, 3, **{"segment.bytes": "200000"})
    acknowledged, failed, sent = {}, [], 0

    def report(error, message):
        if error:
            failed.append(str(error))
        else:
            acknowledged[(message.partition(), message.offset())] = message.value()

    offsets = Consumer({"bootstrap.servers": broker.boot, "group.id": "kept", "enable.auto.commit": False})
    for round in range(ROUNDS):
        producer = Producer({
            "bootstrap.servers": broker.boot, "acks": "all", "linger.ms": 2, "enable.idempotence": idempotent, "message.timeout.ms": 20000,
            "reconnect.backoff.max.ms": 200,
        })
        with Kills(broker, rng, 0.8) as kill:
            while kill.is_alive():
                try:
                    producer.produce(topic, f"{round}-{sent}".encode() * 20, on_delivery=report)
                    sent += 1
                except BufferError:
                    producer.poll(0.01)
                if sent % 50 == 0:
                    producer.poll(0.002)
        assert producer.flush(30) == 0
        offsets.commit(offsets=[TopicPartition(topic, p, round * 3 + p) for p in range(3)], asynchronous=False)
    kept = offsets.committed([TopicPartition(topic, p) for p in range(3)], timeout=20)
    offsets.close()
    found = read_all(broker.boot, topic, 3)
    lost = [spot for spot in acknowledged if spot not in found]
    changed = [spot for spot in acknowledged if spot in found and found[spot] != acknowledged[spot]]
    assert not lost and not changed, f"of {len(acknowledged)} acknowledged {len(lost)} are lost and {len(changed)} changed"
    assert [p.offset for p in kept] == [(ROUNDS - 1) * 3 + p for p in range(3)]
    assert len(acknowledged) > 5000
    if idempotent:
        assert not failed, failed[:3]
        values = sorted(found.values())
        assert len(values) == sent and len(set(values)) == sent, f"{sent} sent, {len(values)} found: every one once"


def test_transactions_are_whole_or_not_there(kafka_broker):
    rng = random.Random("transactions")
    broker = kafka_broker()
    source, sink = make_topic(broker.boot, 1), make_topic(broker.boot, 2)
    committed, unknown, number = set(), set(), 0
    for _ in range(ROUNDS):
        producer = Producer({"bootstrap.servers": broker.boot, "transactional.id": "k9", "transaction.timeout.ms": 20000, "reconnect.backoff.max.ms": 200})
        with Kills(broker, rng, 0.6) as kill:
            try:
                producer.init_transactions(30)
                while kill.is_alive():
                    number += 1
                    unknown.add(number)
                    producer.begin_transaction()
                    for part in range(6):
                        producer.produce(sink, f"{number}/{part}".encode(), partition=part % 2)
                    if number % 5 == 0:
                        producer.abort_transaction(30)
                        unknown.discard(number)
                        continue
                    producer.commit_transaction(30)
                    committed.add(number)
                    unknown.discard(number)
            except KafkaException:
                pass  # it ends somehow; what counts is what is readable then
        del producer
    # Whoever comes last ends what the killed ones left open.
    Producer({"bootstrap.servers": broker.boot, "transactional.id": "k9"}).init_transactions(30)
    parts = {}
    for value in read_all(broker.boot, sink, 2, "read_committed").values():
        n, part = value.decode().split("/")
        parts.setdefault(int(n), []).append(int(part))
    torn = {n: p for n, p in parts.items() if sorted(p) != list(range(6))}
    assert not torn, f"transactions in pieces: {torn}"
    assert committed <= set(parts), f"committed and not there: {committed - set(parts)}"
    extra = set(parts) - committed - unknown
    assert not extra, f"aborted and still there: {extra}"
    assert len(committed) > 50, len(committed)
    assert read_all(broker.boot, source, 1) == {}
