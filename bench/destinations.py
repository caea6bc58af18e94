"""Where the pipelines of bench/pipelines.py lead to. Each kind of destination says how a task of ours names it (`target`), and how many records have
arrived (`arrived`), which is what every carrier is measured by.
"""
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

from harness import opensearch, peers

ROOT = pathlib.Path(__file__).resolve().parent.parent
INSTANCE = "ckafka-bench"
PARTITIONS = 4
# Columns of a record as it is read, and as the transform of the benches leaves it.
PLAIN = [("time", "text"), ("host", "text"), ("method", "text"), ("status", "bigint"), ("bytes", "bigint"), ("path", "text"), ("id", "bigint"), ("agent", "text")]
MADE = [("ts", "text"), ("host", "text"), ("method", "text"), ("status", "bigint"), ("bytes", "bigint"), ("path", "text"), ("env", "text")]
ANSWERS = b'{"took":1,"errors":false,"items":[', b'{"index":{"_index":"bench","status":201}}'


def columns(transformed):
    return MADE if transformed else PLAIN


class NullBulk(http.server.ThreadingHTTPServer):
    """Counts the documents of bulk requests and agrees to everything."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.documents, self.lock = 0, threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """A carrier that was killed is what ends a run."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            documents = body.count(b"\n") // 2
            with self.server.lock:
                self.server.documents += documents
            # An answer for each document, as a real server gives it: mq-bridge counts them.
            self.reply(ANSWERS[0] + b",".join([ANSWERS[1]] * documents) + b"]}")

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


class Bulk:
    """A bulk endpoint that takes everything: what is left is the carrier's own cost."""
    connection = "resource-bulk0001"

    def __init__(self, _bench):
        self.server = NullBulk()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.index = "bench"

    def tables(self):
        return [{"id": self.connection, "kind": "elastic", "url": self.url}]

    def fresh(self, number, _transformed):
        self.server.documents = 0

    def target(self):
        return {"Type": "ES", "EsParam": {"Resource": self.connection, "Index": self.index, "DropInvalidMessage": True}}

    def arrived(self):
        return self.server.documents

    def stop(self):
        self.server.shutdown()


class Search(Bulk):
    """A real OpenSearch."""
    connection = "resource-search01"

    def __init__(self, _bench):
        self.server = opensearch.OpenSearch().start()
        self.url = self.server.url

    def fresh(self, number, _transformed):
        self.index = f"bench{number}"

    def arrived(self):
        try:
            found = self.server.ask(f"/{self.index}/_stats/indexing")
        except urllib.error.HTTPError:  # the first document makes it
            return 0
        return found["_all"]["primaries"]["indexing"]["index_total"]

    def stop(self):
        self.server.stop()


class Topic:
    """A topic on the broker that is read from."""

    def __init__(self, bench):
        self.boot, self.looker = bench.boot, None

    def tables(self):
        return []

    def fresh(self, number, _transformed):
        from confluent_kafka.admin import AdminClient, NewTopic
        self.topic = f"out{number}"
        admin = AdminClient({"bootstrap.servers": self.boot})
        admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)])[self.topic].result(30)

    def target(self):
        return {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": INSTANCE, "Topic": self.topic}}

    def arrived(self):
        from confluent_kafka import Consumer, TopicPartition
        if not self.looker:
            self.looker = Consumer({"bootstrap.servers": self.boot, "group.id": "looker", "log_level": 0})
        try:
            return sum(self.looker.get_watermark_offsets(TopicPartition(self.topic, p), timeout=10)[1] for p in range(PARTITIONS))
        except Exception:  # a client that has met no topic of this name remembers that
            self.looker = None
            return 0

    def stop(self):
        pass


class Bucket:
    """A bucket of SeaweedFS. Lines can't be counted from outside: what the others bring is measured by the bytes that we brought, less a
    hundredth (an object of theirs may lack its last newline)."""

    def __init__(self, bench):
        self.server, self.bench, self.whole = peers.Weed(), bench, {}
        self.server.client().create_bucket(Bucket="bench")

    def tables(self):
        return []

    def fresh(self, number, transformed):
        self.prefix, self.transformed = f"r{number}/", transformed

    def target(self):
        # Objects of such a size that they close all along, whatever the number of records.
        megabytes = max(1, min(64, self.bench.records * self.bench.size // 10_000_000))
        return {"Type": "COS", "CosParam": {"BucketName": "bench", "Region": "r", "ObjectKeyPrefix": self.prefix, "AggregateBatchSize": megabytes,
                                            "AggregateInterval": 1, "FormatOutputType": "json"}}

    def bytes(self):
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket="bench", Prefix=self.prefix)
        return sum(o["Size"] for page in pages for o in page.get("Contents", ()) if "_wharf/" not in o["Key"])

    def complete(self):
        """All records are here as it is now."""
        self.whole[self.transformed] = self.bytes() * 0.99

    def arrived(self):
        whole = self.whole.get(self.transformed)
        return self.bench.records if whole and self.bytes() >= whole else 0

    def stop(self):
        self.server.stop()


class Postgres:
    """A table of Debian's PostgreSQL."""
    connection = "resource-pg000001"

    def __init__(self, _bench):
        self.server = peers.Postgres()
        self.url = self.server.database("bench")

    def tables(self):
        return [{"id": self.connection, "kind": "postgresql", "host": "127.0.0.1", "port": self.server.port, "user": "postgres"}]

    def sql(self, text):
        command = [self.server.bindir / "psql", "-qAtX", "-h", "127.0.0.1", "-p", str(self.server.port), "-U", "postgres", "bench", "-c", text]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def fresh(self, number, transformed):
        self.table = f"t{number}"
        self.sql(f"CREATE TABLE {self.table} ({', '.join(f'{name} {kind}' for name, kind in columns(transformed))})")

    def target(self):
        return {"Type": "POSTGRESQL", "PostgreSQLParam": {"Database": "bench", "Table": f"public.{self.table}", "Resource": self.connection, "DropInvalidMessage": False}}

    def arrived(self):
        return int(self.sql(f"SELECT count(*) FROM {self.table}"))

    def stop(self):
        self.server.stop()


class ClickHouse:
    """ClickHouse's own engine behind the HTTP front of our tests: it costs more than the server's own would, but not the carrier."""
    connection = "resource-ch000001"

    def __init__(self, _bench):
        python = ROOT / ".cache" / "chdb" / "bin" / "python"
        if not python.exists():
            raise peers.Missing("no ClickHouse engine in .cache/chdb")
        self.folder = tempfile.TemporaryDirectory(prefix="bench-chdb-")
        front = ROOT / "crates" / "connector-clickhouse" / "tests" / "chdb_front.py"
        self.process = subprocess.Popen([python, front, self.folder.name], stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.sql("CREATE DATABASE IF NOT EXISTS bench")

    def tables(self):
        return [{"id": self.connection, "kind": "clickhouse", "url": self.url, "user": "default"}]

    def sql(self, text):
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/?" + urllib.parse.urlencode({}), text.encode()), timeout=120) as answer:
            return answer.read().decode().strip()

    @staticmethod
    def type(kind):
        return {"text": "String", "bigint": "Int64"}[kind]

    def fresh(self, number, transformed):
        self.table, self.columns = f"t{number}", columns(transformed)
        made = ", ".join(f"{name} {self.type(kind)}" for name, kind in self.columns)
        self.sql(f"CREATE TABLE bench.{self.table} ({made}) ENGINE = MergeTree ORDER BY tuple() SETTINGS non_replicated_deduplication_window = 1000")

    def target(self):
        schema = [{"ColumnName": name, "JsonKey": name, "Type": self.type(kind), "AllowNull": False} for name, kind in self.columns]
        return {"Type": "CLICKHOUSE", "ClickHouseParam": {"Cluster": "", "Database": "bench", "Table": self.table, "Schema": schema, "Resource": self.connection,
                                                          "BatchSize": 20_000, "ConsumerFetchMinBytes": 8_000_000, "DropInvalidMessage": False}}

    def arrived(self):
        return int(self.sql(f"SELECT count() FROM bench.{self.table}"))

    def stop(self):
        peers_end(self.process)
        self.folder.cleanup()


def peers_end(process):
    process.kill()
    process.wait()


KINDS = {"es": Bulk, "opensearch": Search, "kafka": Topic, "s3": Bucket, "pg": Postgres, "ch": ClickHouse}


def words(tables):
    """`[[connection]]` tables as TOML."""
    return "".join("[[connection]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in t.items()) for t in tables)
