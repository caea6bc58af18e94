"""The embedded broker with clients of several kinds and ages; where it says so, the same against a real Apache Kafka."""

import ast
import errno
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from harness import kafka, peers

SCRIPT = Path(__file__).parent / "broker" / "checks.py"
CHECKS = [n.name for n in ast.parse(SCRIPT.read_text()).body if isinstance(n, ast.FunctionDef) and n.decorator_list]


def run_check(boot, name, client=None):
    """Runs one check in a process of its own; `client` is a folder with another confluent-kafka."""
    environment = {**os.environ, **({"PYTHONPATH": str(client)} if client else {})}
    done = subprocess.run([sys.executable, SCRIPT, boot, name], env=environment, capture_output=True, text=True, timeout=240)
    last = (done.stdout.strip().splitlines() or ["FAIL without a word"])[-1]
    if last.startswith("SKIP"):
        pytest.skip(last.removeprefix("SKIP").strip())
    assert last.startswith("PASS"), f"{last}\n{done.stderr[-2000:]}"


def test_there_are_29_checks():
    assert len(CHECKS) == 29


@pytest.mark.parametrize("name", CHECKS)
def test_check(embedded_kafka, name):
    run_check(embedded_kafka.boot, name)


@pytest.mark.parametrize("name", CHECKS)
def test_check_with_librdkafka_2_0(embedded_kafka, name):
    if not (kafka.OLD_CLIENT / "confluent_kafka").is_dir():
        pytest.skip("no confluent-kafka 2.0.2 in .cache/rdkafka-2.0 (scripts/setup.sh puts it there)")
    run_check(embedded_kafka.boot, name, kafka.OLD_CLIENT)


@pytest.mark.parametrize("name", CHECKS)
def test_check_of_apache_kafka(apache_kafka, name):
    """What the checks ask for is what the real thing does."""
    run_check(apache_kafka.boot, name)


@pytest.fixture(params=["embedded", "apache"])
def boot(request):
    return request.getfixturevalue(f"{request.param}_kafka").boot


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4"])
def test_kcat(boot, codec):
    if not shutil.which("kcat"):
        pytest.skip("no kcat")
    topic, lines = fresh("kcat"), [f"line {n}" for n in range(1000)]
    subprocess.run(["kcat", "-b", boot, "-P", "-t", topic, "-p", "0", "-z", codec], input="\n".join(lines), text=True, check=True, timeout=60)
    read = ["kcat", "-b", boot, "-C", "-t", topic, "-p", "0", "-e", "-q", "-o"]
    assert subprocess.run([*read, "beginning"], capture_output=True, text=True, check=True, timeout=60).stdout.splitlines() == lines
    assert subprocess.run([*read, "-10"], capture_output=True, text=True, check=True, timeout=60).stdout.splitlines() == lines[-10:]


def test_kafka_python(boot):
    import kafka as kafka_python
    from kafka.admin import NewTopic

    topic, group = fresh("kp"), fresh("g")
    admin = kafka_python.KafkaAdminClient(bootstrap_servers=boot)
    admin.create_topics([NewTopic(topic, 3, 1)])
    producer = kafka_python.KafkaProducer(bootstrap_servers=boot, acks="all", compression_type="gzip", linger_ms=5)
    sent = [producer.send(topic, key=b"k%d" % n, value=b"v%d" % n, headers=[("h", b"x")], timestamp_ms=1700000000000 + n) for n in range(300)]
    producer.flush(30)
    assert all(s.succeeded() for s in sent)
    producer.close()
    for _ in range(2):
        reader = kafka_python.KafkaConsumer(
            topic, bootstrap_servers=boot, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False, consumer_timeout_ms=8000,
        )
        seen = []
        for message in reader:
            seen.append((message.key, message.value, message.timestamp))
            if len(seen) == 150:
                break
        reader.commit()
        at = {p: reader.position(p) for p in reader.assignment()}
        reader.close(autocommit=False)
        assert len(seen) == 150
    assert len(at) == 3
    assert group in {g[0] if isinstance(g, tuple) else getattr(g, "group_id", g) for g in list_groups(admin)}
    admin.delete_topics([topic])
    admin.close()


def list_groups(admin):
    """Its admin client has changed what it returns more than once."""
    listed = admin.list_groups() if hasattr(admin, "list_groups") else admin.list_consumer_groups()
    return [g.get("group_id") or g.get("group") if isinstance(g, dict) else g for g in listed]


def java(*words, feed=None):
    program = peers.binary("WHARF_TEST_JAVA", "java")
    done = subprocess.run([program, "-Xmx400m", "-cp", f"{kafka.JARS}/*", *map(str, words)], input=feed, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout


def test_java_client(boot, tmp_path):
    """The Java client of Kafka 4.1: producer with idempotence, consumer with a group, admin."""
    if not any(kafka.JARS.glob("kafka-tools-4*.jar")):
        pytest.skip("no Apache Kafka in .cache/kafka (scripts/kafka/fetch.sh)")
    topic, group = fresh("java"), fresh("g")
    tools = "org.apache.kafka.tools"
    java(f"{tools}.TopicCommand", "--bootstrap-server", boot, "--create", "--topic", topic, "--partitions", 2)
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        out = java(
            f"{tools}.ProducerPerformance", "--topic", topic, "--num-records", 2000, "--record-size", 200, "--throughput", -1, "--producer-props",
            f"bootstrap.servers={boot}", "acks=all", f"compression.type={codec}", "enable.idempotence=true",
        )
        assert "2000 records sent" in out, out
    read = [f"{tools}.consumer.ConsoleConsumer", "--bootstrap-server", boot, "--topic", topic, "--timeout-ms", 15000, "--group", group]
    out = java(*read, "--from-beginning", "--max-messages", 10000)
    assert len(out.splitlines()) == 10000
    shown = java(f"{tools}.consumer.group.ConsumerGroupCommand", "--bootstrap-server", boot, "--describe", "--group", group)
    assert shown.count(topic) == 2, shown
    transactions = java(
        f"{tools}.ProducerPerformance", "--topic", topic, "--num-records", 500, "--record-size", 50, "--throughput", -1, "--transactional-id", fresh("tid"),
        "--transaction-duration-ms", 50, "--producer-props", f"bootstrap.servers={boot}",
    )
    assert "500 records sent" in transactions, transactions
    out = java(*read[:-1], fresh("g"), "--from-beginning", "--max-messages", 10500, "--isolation-level", "read_committed")
    assert len(out.splitlines()) == 10500


def test_what_strangers_send_does_no_harm(embedded_kafka):
    """Lengths that lie, requests that are cut off or unknown, another protocol altogether."""
    attacks = [
        b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        # Two billion topics in a Metadata request; an API that nobody knows; a version that nobody knows.
        struct.pack(">ihhihi", 14, 3, 0, 1, -1, 0x7FFFFFFF), struct.pack(">ihhih", 10, 999, 0, 1, -1), struct.pack(">ihhih", 10, 0, 99, 1, -1),
        # A Metadata request of version 12 that claims a long array in its last byte.
        struct.pack(">ihhihB", 16, 3, 12, 1, -1, 0) + b"\xff\xff\xff\xff\x0f",
    ]
    port = int(embedded_kafka.boot.rsplit(":", 1)[1])
    for attack in attacks:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(5)
            s.sendall(attack)
            try:
                s.shutdown(socket.SHUT_WR)
                assert s.recv(100) == b"", attack
            except (ConnectionResetError, OSError) as error:
                assert error.errno in (errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE), error
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        # Newer than anything: an answer in the oldest form that says what is served.
        s.settimeout(5)
        request = struct.pack(">hhih", 18, 77, 5, -1)
        s.sendall(struct.pack(">i", len(request)) + request)
        size = struct.unpack(">i", s.recv(4, socket.MSG_WAITALL))[0]
        assert struct.unpack(">ih", s.recv(size, socket.MSG_WAITALL)[:6]) == (5, 35)
    assert kafka.answers(port)
    assert embedded_kafka.process.poll() is None
    assert "panicked" not in embedded_kafka.wharf.log.read_text()


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )
    return {"tls_certificate": str(folder / "cert.pem"), "tls_key": str(folder / "key.pem")}


def round_trip(boot, **options):
    """Writes and reads with librdkafka; says what went wrong, if anything did."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    errors = []
    options = {"bootstrap.servers": boot, "error_cb": lambda e: errors.append(str(e)), **options}
    topic = fresh("secure")
    producer = Producer({**options, "message.timeout.ms": 2000})
    delivered = []
    producer.produce(topic, b"hello", on_delivery=lambda e, m: delivered.append(str(e) if e else ""))
    producer.flush(8)
    if delivered != [""]:
        return errors or delivered or ["not delivered"]
    reader = Consumer({**options, "group.id": topic})
    reader.assign([TopicPartition(topic, 0, 0)])
    message = reader.poll(10)
    reader.close()
    assert message is not None and message.value() == b"hello"
    return None


def test_tls(kafka_broker, tmp_path):
    broker = kafka_broker(**certificate(tmp_path))
    assert round_trip(broker.boot, **{"security.protocol": "ssl", "ssl.ca.location": str(tmp_path / "cert.pem")}) is None
    assert round_trip(broker.boot, **{"security.protocol": "ssl"}), "a certificate that nobody vouches for is refused by the client"
    assert round_trip(broker.boot), "plaintext is not understood"


MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def sasl(name, password, mechanism, protocol="sasl_plaintext"):
    return {"security.protocol": protocol, "sasl.mechanism": mechanism, "sasl.username": name, "sasl.password": password}


def test_who_may_come_in(kafka_broker):
    users = [("app", "pa=ss,w\u00f6rd"), ("other", "other-password")]
    broker = kafka_broker(users=users, accounts=True)
    for mechanism in MECHANISMS:
        for name, password in (*users, (broker.wharf.access_key, broker.wharf.secret_key)):
            if password.isascii():
                assert round_trip(broker.boot, **sasl(name, password, mechanism)) is None, (mechanism, name)
        for name, password in (("app", "wrong"), ("app", "other-password"), ("nobody", "x"), ("nobody", ""), ("", "")):
            if not (name and password):
                continue  # librdkafka itself refuses to send these
            refused = round_trip(broker.boot, **sasl(name, password, mechanism))
            assert refused and any("uthentication" in r for r in refused), (mechanism, name, refused)
    assert round_trip(broker.boot), "nobody comes in without a name"
    assert round_trip(broker.boot, **sasl("app", "x", "OAUTHBEARER")), "an unknown mechanism"
    log = broker.wharf.log.read_text()
    assert "panicked" not in log and "other-password" not in log and broker.wharf.secret_key not in log


def test_sasl_over_tls_with_other_clients(kafka_broker, tmp_path):
    broker = kafka_broker(users=[("app", "secret-1")], **certificate(tmp_path))
    for mechanism in MECHANISMS:
        options = sasl("app", "secret-1", mechanism, "sasl_ssl")
        assert round_trip(broker.boot, **options, **{"ssl.ca.location": str(tmp_path / "cert.pem")}) is None, mechanism
        import kafka as kafka_python

        producer = kafka_python.KafkaProducer(
            bootstrap_servers=broker.boot, security_protocol="SASL_SSL", ssl_cafile=str(tmp_path / "cert.pem"), sasl_mechanism=mechanism,
            sasl_plain_username="app", sasl_plain_password="secret-1",
        )
        producer.send("secure-kp", b"x").get(20)
        producer.close()


def plain_frames(s, *frames):
    answers = []
    for frame in frames:
        s.sendall(struct.pack(">i", len(frame)) + frame)
        size = s.recv(4, socket.MSG_WAITALL)
        answers.append(s.recv(struct.unpack(">i", size)[0], socket.MSG_WAITALL) if len(size) == 4 else None)
        if answers[-1] is None:
            break
    return answers


def test_clients_of_before_sasl_authenticate(kafka_broker):
    """The first form of SASL in Kafka: a handshake of version 0, then bare messages."""
    broker = kafka_broker(users=[("app", "secret-1")])
    port = int(broker.boot.rsplit(":", 1)[1])
    handshake = struct.pack(">hhihh", 17, 0, 1, -1, 5) + b"PLAIN"
    metadata = struct.pack(">hhihi", 3, 0, 2, -1, 0)
    for password, lets_in in ((b"secret-1", True), (b"secret-2", False)):
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(10)
            answers = plain_frames(s, handshake, b"\0app\0" + password, metadata)
        assert (len(answers) == 3 and answers[1] == b"" and answers[2] is not None) == lets_in, answers
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.settimeout(10)
        assert plain_frames(s, metadata) == [None], "nothing is answered before the name"


def test_topics_and_offsets_survive_an_orderly_restart(kafka_broker):
    from confluent_kafka import Consumer, Producer, TopicPartition

    broker = kafka_broker(fsync="each")
    topic, group = fresh("restart"), fresh("g")
    producer = Producer({"bootstrap.servers": broker.boot, "enable.idempotence": True})
    for n in range(1000):
        producer.produce(topic, b"%d" % n)
    assert producer.flush(20) == 0
    options = {"bootstrap.servers": broker.boot, "group.id": group, "enable.auto.commit": False}
    reader = Consumer(options)
    reader.commit(offsets=[TopicPartition(topic, 0, 123)], asynchronous=False)
    began = time.monotonic()
    broker.wharf.restart()
    assert time.monotonic() - began < 10
    # The same producer goes on: its sequence numbers are known.
    for n in range(1000, 2000):
        producer.produce(topic, b"%d" % n)
    assert producer.flush(20) == 0
    assert reader.committed([TopicPartition(topic, 0)], timeout=20)[0].offset == 123
    reader.assign([TopicPartition(topic, 0, 0)])
    values = []
    while len(values) < 2000:
        message = reader.poll(10)
        assert message is not None and not message.error(), message and message.error()
        values.append(int(message.value()))
    assert values == list(range(2000))
    reader.close()


def test_two_brokers_do_not_share_a_folder(kafka_broker, tmp_path):
    broker = kafka_broker(data_dir=str(tmp_path / "shared"))
    with pytest.raises(AssertionError, match="another process uses this folder"):
        kafka_broker(data_dir=str(tmp_path / "shared"))
    assert kafka.answers(broker.port)
