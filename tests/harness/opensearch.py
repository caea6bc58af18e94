"""A real OpenSearch for the scenarios: one node, its jars from Maven Central (scripts/opensearch), without TLS and users."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

from harness import peers

JARS = Path(os.environ.get("WHARF_TEST_OPENSEARCH", peers.REPO / ".cache" / "opensearch" / "lib"))
PEER = peers.REPO / "scripts" / "opensearch" / "Peer.java"
LOGGING = "\n".join([
    "rootLogger.level=WARN", "rootLogger.appenderRef.c.ref=C", "appender.c.type=Console", "appender.c.name=C",
    "appender.c.layout.type=PatternLayout", "",
])


class OpenSearch:
    """`.url` is where clients connect; `start`, `kill9` and `start` again keep the documents."""

    def __init__(self, directory: Path | None = None):
        self.java = peers.binary("WHARF_TEST_JAVA", "java")
        if not any(JARS.glob("opensearch-[0-9]*.jar")):
            raise peers.Missing("no OpenSearch in .cache/opensearch: scripts/opensearch/fetch.sh fetches it (needs maven)")
        self.own = directory is None
        self.directory = Path(directory or tempfile.mkdtemp(prefix="opensearch-"))
        (self.directory / "config").mkdir(exist_ok=True)
        (self.directory / "log4j2.properties").write_text(LOGGING)
        self.log = self.directory / "opensearch.log"
        self.port, self.transport = peers.free_port(), peers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        command = [
            self.java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={self.directory}/log4j2.properties",
            "-cp", f"{JARS}/*", PEER, self.directory, str(self.port), str(self.transport),
        ]
        self.process = peers.spawn(command, self.log)
        peers.wait_until("OpenSearch", lambda: self.ask("/_cluster/health")["status"] in ("green", "yellow"), 120, self.process, self.log)
        return self

    def ask(self, path: str, body=None, method: str | None = None):
        """The answer to a request, read as JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def count(self, index: str) -> int:
        """Documents of an index, all of them."""
        self.ask(f"/{index}/_refresh", method="POST")
        return self.ask(f"/{index}/_count")["count"]

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process:
            peers.end(self.process, seconds=20)
        if self.own:
            shutil.rmtree(self.directory, ignore_errors=True)
