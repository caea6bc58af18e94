"""Pipelines into Iceberg tables, read back by two foreign readers: pyiceberg and DuckDB, row by row."""

from __future__ import annotations

import decimal
import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from tencentcloud.ckafka.v20190819 import models

from harness import peers, server

pyiceberg = pytest.importorskip("pyiceberg")
duckdb = pytest.importorskip("duckdb")
duckdb_ext = pytest.importorskip("duckdb_ext")

from pyiceberg.catalog.sql import SqlCatalog  # noqa: E402
from pyiceberg.partitioning import PartitionField, PartitionSpec  # noqa: E402
from pyiceberg.schema import Schema  # noqa: E402
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform  # noqa: E402
from pyiceberg.types import (  # noqa: E402
    BooleanType, DecimalType, DoubleType, IntegerType, ListType, LongType, MapType, NestedField, StringType, StructType, TimestamptzType,
)

BROKER = "ckafka-7kd5rzza"
COLUMNS = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "region", StringType(), required=False),
    NestedField(3, "at", TimestamptzType(), required=False),
    NestedField(4, "price", DecimalType(12, 2), required=False),
    NestedField(5, "n", IntegerType(), required=False),
    NestedField(6, "tags", ListType(7, StringType(), element_required=False), required=False),
    NestedField(8, "inner", StructType(NestedField(9, "x", DoubleType(), required=False), NestedField(10, "ok", BooleanType(), required=False)), required=False),
    NestedField(11, "attrs", MapType(12, StringType(), 13, LongType(), value_required=False), required=False),
)


def record(i: int) -> dict:
    return {
        "id": i, "region": ["eu", "us", "ap", None][i % 4], "at": 1_790_000_000_000 + i * 977_000, "price": f"{i}.{i % 100:02}", "n": i % 1000 - 500,
        "tags": [f"t{i % 5}", None][: i % 3], "inner": None if i % 7 == 0 else {"x": i / 8, "ok": i % 2 == 0},
        "attrs": {f"k{j}": None if j == 2 else i * j for j in range(i % 4)},
    }


def wanted(i: int) -> dict:
    row = record(i)
    inner = row["inner"] and (row["inner"]["x"], row["inner"]["ok"])
    return (row["id"], row["region"], row["at"], decimal.Decimal(row["price"]), row["n"], tuple(row["tags"]), inner, tuple(sorted(row["attrs"].items())))


def same(row: dict):
    """A row of either reader in the shape of `wanted`."""
    attrs = row["attrs"].items() if isinstance(row["attrs"], dict) else (tuple(a) for a in row["attrs"])
    inner = row["inner"] and (row["inner"]["x"], row["inner"]["ok"])
    return (row["id"], row["region"], round(row["at"].timestamp() * 1000), row["price"], row["n"], tuple(row["tags"]), inner, tuple(sorted(attrs)))


class Lake:
    """A server with a broker and a connection `lake`, and the readers."""

    def __init__(self, directory, object_stores=(), **connection):
        self.port = peers.free_port()
        tables = [{"id": BROKER, "kind": "kafka", "embedded": True}, {"id": "lake", "kind": "iceberg", "interval_seconds": 1, **connection}]
        extra = "".join("[[connection]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items()) for table in tables)
        sections = {"broker": {"address": f"127.0.0.1:{self.port}"}, "streams": {"lanes": 2}}
        self.wharf = server.Wharf(directory, sections=sections, extra=extra, object_stores=object_stores)
        self.boot = f"127.0.0.1:{self.port}"

    def catalog(self, **more):
        own = self.wharf.data_dir / "lakehouse"
        own.mkdir(parents=True, exist_ok=True)
        return SqlCatalog("wharf", **{"uri": f"sqlite:///{own}/catalog.db", "warehouse": f"file://{own}/warehouse", **more})

    def topic(self, name, partitions=3):
        admin = AdminClient({"bootstrap.servers": self.boot})
        for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
            future.result(30)

    def produce(self, name, values):
        producer = Producer({"bootstrap.servers": self.boot, "linger.ms": 5, "enable.idempotence": True})
        for i, value in enumerate(values):
            producer.produce(name, value, str(i % 17).encode())
            if i % 1000 == 0:
                producer.poll(0)
        assert producer.flush(60) == 0

    def call(self, action, **fields):
        request = getattr(models, f"{action}Request")()
        request.from_json_string(json.dumps(fields))
        answer = json.loads(getattr(self.wharf.ckafka(), action)(request).to_json_string())
        return answer.get("Result", answer)

    def task(self, name, table, topic="in", **more):
        source = {"Type": "KAFKA", "KafkaParam": {"SelfBuilt": False, "Resource": BROKER, "Topic": topic, "OffsetType": "earliest"}}
        target = {"Type": "ICEBERG", "IcebergParam": {"Resource": "lake", "Database": "db", "TableName": table, "SchemeType": "JSON", **more}}
        return self.call("CreateDatahubTask", TaskName=name, TaskType="SINK", SourceResource=source, TargetResource=target)["TaskId"]

    def shown(self, id):
        return json.loads(self.wharf.command("pipeline", "show", id, "--json", "--config", self.wharf.config).stdout)

    def settled(self, id, records, seconds=90):
        def done():
            items = self.shown(id)["ledger"]["items"]
            return items if items["read"] >= records else None

        items = peers.wait_until(f"{records} records of {id}", done, seconds)
        outcomes = ("written", "unchanged", "skipped", "filtered", "dead_lettered", "failed")
        assert items["read"] + items["expanded"] == sum(items[o] for o in outcomes), items
        return items


@pytest.fixture
def lake(tmp_path):
    started = []

    def start(**parts):
        started.append(Lake(tmp_path / f"w{len(started)}", **parts))
        return started[-1]

    yield start
    for one in started:
        one.wharf.stop(20)


def by_duckdb(table):
    """All rows as DuckDB's own Iceberg reader sees them."""
    with duckdb.connect() as db:
        for name in ("avro", "iceberg"):
            db.execute(f"LOAD '{duckdb_ext.get_extension_dir()}/v{duckdb.__version__}/linux_amd64/{name}.duckdb_extension'")
        cursor = db.execute(f"SELECT * FROM iceberg_scan('{table.metadata_location}')")
        names = [c[0] for c in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def rows_of(table):
    table = table.refresh()
    return table.scan().to_arrow().to_pylist()


SPEC = PartitionSpec(
    PartitionField(2, 1000, IdentityTransform(), "region"), PartitionField(3, 1001, DayTransform(), "at_day"),
    PartitionField(1, 1002, BucketTransform(2), "id_bucket"),
)


@pytest.mark.parametrize("spec", [PartitionSpec(), SPEC], ids=["plain", "partitioned"])
def test_two_foreign_readers_see_every_row_once(lake, spec):
    one = lake()
    catalog = one.catalog()
    catalog.create_namespace("db")
    table = catalog.create_table("db.t", COLUMNS, partition_spec=spec)
    one.topic("in")
    one.produce("in", [json.dumps(record(i)).encode() for i in range(2000)])
    id = one.task("t1", "t")
    assert one.settled(id, 2000)["written"] == 2000
    one.produce("in", [json.dumps(record(i)).encode() for i in range(2000, 2500)])
    one.settled(id, 2500)
    want = sorted((wanted(i) for i in range(2500)), key=lambda r: r[0])
    assert sorted((same(r) for r in rows_of(table)), key=lambda r: r[0]) == want
    assert sorted((same(r) for r in by_duckdb(table)), key=lambda r: r[0]) == want
    if spec.fields:
        # Pruning goes by our partition values and column bounds: a filter finds the same rows with fewer files.
        files = lambda f: len(list(table.scan(row_filter=f).plan_files()))
        assert files("region = 'eu'") < files("id >= 0")
        assert {r["id"] for r in table.scan(row_filter="region = 'eu'").to_arrow().to_pylist()} == {i for i in range(2500) if i % 4 == 0}
    summary = table.current_snapshot().summary
    marks = json.loads(summary[f"wharf.marks.{id}"])
    assert sum(int(mark.split(":")[1]) for mark in marks.values()) == 2500 and len(marks) == 3
    # An interval without records makes no snapshot.
    count = len(table.snapshots())
    time.sleep(3)
    assert len(table.refresh().snapshots()) == count


def test_killed_at_random_points_rows_are_there_once(lake):
    one = lake()
    catalog = one.catalog()
    catalog.create_namespace("db")
    table = catalog.create_table("db.t", COLUMNS)
    one.topic("in", 4)
    id = one.task("t1", "t")
    random.seed(11)
    total = 0
    for _ in range(4):
        one.produce("in", [json.dumps(record(i)).encode() for i in range(total, total + 3000)])
        total += 3000
        time.sleep(random.uniform(0.3, 2.5))
        one.wharf.kill9()
        one.wharf.start()
    items = one.settled(id, total, 120)
    assert items["written"] == total, items
    found = Counter(r["id"] for r in rows_of(table))
    assert found == Counter(range(total))
    # What lies beside the table's own files is gone after the next commit.
    one.produce("in", [json.dumps(record(total)).encode()])
    one.settled(id, total + 1)
    location = table.location().removeprefix("file://")
    held = {t.file.file_path.removeprefix("file://") for t in table.refresh().scan().plan_files()}
    there = {str(p) for p in Path(location).rglob("*.parquet")}
    assert there == held and not [p for p in Path(location, "metadata", "staging").rglob("*") if p.is_file()]


def test_the_table_follows_its_records_and_refuses_what_it_can_not_take(lake):
    one = lake()
    catalog = one.catalog()
    catalog.create_namespace("db")
    table = catalog.create_table("db.t", COLUMNS)
    one.topic("in", 1)
    one.produce("in", [json.dumps(record(i)).encode() for i in range(10)])
    id = one.task("t1", "t", EnableFieldExtension=True)
    one.settled(id, 10)
    new = {**record(10), "n": 5_000_000_000, "added": {"a": [1, 2]}, "inner": {"x": 1.0, "ok": True, "more": "text"}}
    one.produce("in", [json.dumps(new).encode()])
    one.settled(id, 11)
    rows = {r["id"]: r for r in rows_of(table)}
    assert len(rows) == 11 and rows[10]["n"] == 5_000_000_000 and rows[10]["added"] == {"a": [1, 2]} and rows[10]["inner"]["more"] == "text"
    assert rows[3]["added"] is None and rows[3]["inner"]["more"] is None and rows[3]["n"] == record(3)["n"]
    seen = {r["id"]: r for r in by_duckdb(table)}
    assert len(seen) == 11 and seen[10]["n"] == 5_000_000_000 and seen[10]["added"] == {"a": [1, 2]} and seen[3]["added"] is None
    # Without the option: refused, and the task says where.
    strict = catalog.create_table("db.strict", COLUMNS)
    blocked = one.task("t2", "strict")
    error = peers.wait_until("the error", lambda: one.shown(blocked).get("error"), 60)
    assert "in-0 offset 10: n: 5000000000 is no whole number of 32 bits" in error, error
    assert len(rows_of(strict)) <= 10


def test_missing_tables_and_upserts_are_told(lake):
    one = lake()
    one.topic("in", 1)
    with pytest.raises(Exception, match="appended to"):
        one.task("t0", "t", UpsertMode="UPSERT", PrimaryKeys="id")
    one.produce("in", [json.dumps(record(1)).encode()])
    id = one.task("t1", "none")
    error = peers.wait_until("the error", lambda: one.shown(id).get("error"), 60)
    assert "no such database: db" in error, error
    catalog = one.catalog()
    catalog.create_namespace("db")
    table = catalog.create_table("db.none", COLUMNS)
    one.settled(id, 1, 120)
    assert len(rows_of(table)) == 1


def test_a_warehouse_in_s3(lake):
    try:
        weed = peers.Weed()
    except peers.Missing as why:
        pytest.skip(f"SKIPPED: {why}")
    try:
        weed.client().create_bucket(Bucket="lake")
        store = server.object_store("weed", weed.url, weed.access_key, weed.secret_key)
        one = lake(object_stores=[store], warehouse="s3://lake/warehouse", object_store="weed")
        keys = {"s3.endpoint": weed.url, "s3.access-key-id": weed.access_key, "s3.secret-access-key": weed.secret_key, "s3.region": weed.region}
        catalog = one.catalog(warehouse="s3://lake/warehouse", **keys)
        catalog.create_namespace("db")
        table = catalog.create_table("db.t", COLUMNS, partition_spec=SPEC)
        one.topic("in")
        one.produce("in", [json.dumps(record(i)).encode() for i in range(500)])
        id = one.task("t1", "t")
        one.settled(id, 500)
        assert sorted(same(r)[0] for r in rows_of(table)) == list(range(500))
        assert not weed.stored("lake", "warehouse/db/t/metadata/staging/")
    finally:
        weed.stop()
