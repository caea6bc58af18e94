"""Kafka brokers that the same checks run against: ours inside `wharf serve`, and a real Apache Kafka in KRaft mode."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

from harness import peers, server

JARS = peers.REPO / ".cache" / "kafka" / "lib"
OLD_CLIENT = peers.REPO / ".cache" / "rdkafka-2.0"


def answers(port: int) -> bool:
    """Does somebody there answer ApiVersions?"""
    with socket.create_connection(("127.0.0.1", port), 2) as s:
        s.settimeout(5)
        request = struct.pack(">hhih", 18, 0, 7, -1)
        s.sendall(struct.pack(">i", len(request)) + request)
        size = struct.unpack(">i", s.recv(4, socket.MSG_WAITALL))[0]
        body = s.recv(size, socket.MSG_WAITALL)
        return struct.unpack(">ih", body[:6]) == (7, 0)


class Embedded:
    """`wharf serve` with its broker: `.boot` is where clients connect."""

    def __init__(self, directory: Path, users=(), environment=None, **options):
        self.port = peers.free_port()
        self.boot = f"127.0.0.1:{self.port}"
        section = {"address": self.boot, **options}
        # Sub-tables have to come after the section's own keys.
        self.wharf = server.Wharf(directory, environment, sections={"broker": section}, extra="".join(
            f'[[broker.user]]\nname = "{name}"\npassword = "{password}"\n' for name, password in users
        ))

    @property
    def process(self):
        return self.wharf.process

    def start(self):
        self.wharf.start()

    def kill9(self):
        self.wharf.kill9()

    def stop(self):
        self.wharf.stop()


class Apache:
    """One node of Apache Kafka, broker and controller in one, with the settings that one node needs."""

    def __init__(self, directory: Path | None = None):
        java = peers.binary("WHARF_TEST_JAVA", "java")
        if not any(JARS.glob("kafka_2*.jar")):
            raise peers.Missing("no Apache Kafka in .cache/kafka: scripts/kafka/fetch.sh fetches it (needs maven)")
        self.own = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix="kafka-"))
        self.log = self.directory / "kafka.log"
        self.port, controller = peers.free_port(), peers.free_port()
        self.boot = f"127.0.0.1:{self.port}"
        properties = self.directory / "server.properties"
        properties.write_text("\n".join([
            "process.roles=broker,controller", "node.id=1", f"controller.quorum.voters=1@127.0.0.1:{controller}",
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}", "controller.listener.names=CONTROLLER",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}", f"log.dirs={self.directory}/data", "num.partitions=1",
            "offsets.topic.replication.factor=1", "offsets.topic.num.partitions=4", "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1", "transaction.state.log.num.partitions=4", "share.coordinator.state.topic.replication.factor=1",
            "share.coordinator.state.topic.min.isr=1", "group.initial.rebalance.delay.ms=0", "message.max.bytes=20000000", "",
        ]))
        (self.directory / "log4j2.properties").write_text("rootLogger.level=WARN\nrootLogger.appenderRef.c.ref=C\nappender.c.type=Console\nappender.c.name=C\nappender.c.layout.type=PatternLayout\n")
        self.java = [java, "-Xmx700m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={self.directory}/log4j2.properties", "-cp", f"{JARS}/*"]
        made = subprocess.run(
            [*self.java, "kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", properties], capture_output=True, text=True,
        )
        if made.returncode != 0:
            raise peers.Missing(f"Apache Kafka could not be set up: {(made.stderr or made.stdout).strip()[-300:]}")
        self.process = peers.spawn([*self.java, "kafka.Kafka", properties], self.log)
        peers.wait_until("Apache Kafka", lambda: answers(self.port), 120, self.process, self.log)

    def stop(self):
        peers.end(self.process, seconds=20)
        if self.own:
            shutil.rmtree(self.directory, ignore_errors=True)
