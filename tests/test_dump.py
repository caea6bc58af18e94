"""Dump tasks: streams to files and tables, with both of Huawei's SDKs and as a raw request, over the embedded broker and a real
Apache Kafka. What arrives is read back by other readers (pyarrow, pyiceberg) and compared record by record."""

from __future__ import annotations

import json
import random
import re
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer
from huaweicloudsdkdis import v2
from pyiceberg.catalog.sql import SqlCatalog

from harness import dis as world
from harness import peers, server

SCHEMA = json.dumps({"type": "record", "name": "r", "fields": [
    {"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"], "default": None}]})
FILE = re.compile(r"(?P<stream>[\w-]+)_(?P<shard>shardId-\d{10})_(?P<first>\d{20})_(?P<time>\d{14})_(?P<task>\w+)\.(?P<kind>[\w.]+)")


@pytest.fixture(params=["embedded", "apache"])
def make(tmp_path, weed, request):
    """Makes a server with dump tasks that deliver each second; `.boot` and `.topic(stream)` lead to the stream's topic."""
    made = []

    def start(store=weed.url, twin=None, database=None, **dis):
        """`twin`: another server of the same state, in `database`."""
        number = random.randrange(10**9)
        account = twin.account if twin else {**world.ACCOUNTS[0], "name": f"dump{number}"}
        port = peers.free_port()
        sections, extra = {"dis": {"dump_interval_ms": 1000, **dis}}, ""
        if request.param == "apache":
            boot = request.getfixturevalue("apache_kafka").boot
            sections["streams"] = {"topics": "kafka-1"}
            extra = f'[[connection]]\nid = "kafka-1"\nkind = "kafka"\nbootstrap = "{boot}"\n'
        else:
            boot = f"127.0.0.1:{port}"
            sections["broker"] = {"address": boot}
        if database:
            sections["state"] = {"database_url": database}
        stores = [server.object_store("weed", store, weed.access_key, weed.secret_key)]
        try:
            running = server.Wharf(
                tmp_path / f"w{number}", sections=sections, extra=extra, accounts=(account, world.OTHER), object_stores=stores,
                environment={"WHARF_MASTER_KEY": "5a" * 32} if database else None)
        except peers.Missing as e:
            pytest.skip(str(e))
        running.boot, running.topic = boot, lambda stream: f"dis.{account['name']}.{stream}"
        running.account = account
        made.append(running)
        return running

    start.kafka = request.param
    yield start
    for running in made:
        running.stop()


def stream(client, name="s", partitions=2, **more):
    body = v2.CreateStreamReq(stream_name=name, partition_count=partitions, **more)
    client.create_stream(v2.CreateStreamRequest(body=body))
    world.running(client, name)


def obs(client, task, bucket, stream="s", **more):
    given = {"agency_name": "dis_admin_agency", "deliver_time_interval": 30, "consumer_strategy": "TRIM_HORIZON", **more}
    descriptor = v2.OBSDestinationDescriptorRequest(task_name=task, obs_bucket_path=bucket, **given)
    body = v2.CreateTransferTaskReq(destination_type="OBS", obs_destination_descriptor=descriptor)
    client.create_obs_transfer_task(v2.CreateObsTransferTaskRequest(stream_name=stream, body=body))


def dli(wharf, task, bucket, stream="s", **more):
    """The request of the product's document: a raw body with a token."""
    descriptor = {
        "task_name": task, "agency_name": "dis_admin_agency", "deliver_time_interval": 300, "consumer_strategy": "TRIM_HORIZON",
        "dli_database_name": "db", "dli_table_name": "tbl", "obs_bucket_path": bucket, "file_prefix": "a/b", "retry_duration": "1800", **more}
    body = {"destination_type": "DLI", "dli_destination_descriptor": descriptor}
    return world.raw(wharf, "POST", f"/streams/{stream}/transfer-tasks", body)


def show(wharf, task, stream="s"):
    status, _, body = world.raw(wharf, "GET", f"/streams/{stream}/transfer-tasks/{task}")
    assert status == 200, body
    return json.loads(body)


def action(wharf, what, *tasks, stream="s"):
    body = {"action": what, "tasks": [{"id": t} for t in tasks]}
    status, _, answer = world.raw(wharf, "POST", f"/streams/{stream}/transfer-tasks/action", body)
    assert status == 200, answer


def code(answer):
    status, _, body = answer
    assert status == 400, body
    return json.loads(body)["error_code"]


def produce(wharf, values, stream="s", partitions=2):
    """Records by Kafka, round the partitions."""
    producer = Producer({"bootstrap.servers": wharf.boot, "linger.ms": 5})
    for i, value in enumerate(values):
        producer.produce(wharf.topic(stream), value, partition=i % partitions)
        if i % 1000 == 0:
            producer.poll(0)
    assert producer.flush(60) == 0


def objects(weed, bucket, prefix=""):
    s3, found = weed.client(), {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith("/") and "_wharf/" not in entry["Key"]:
                found[entry["Key"]] = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    return found


def files(weed, bucket, prefix=""):
    return {k: v for k, v in objects(weed, bucket, prefix).items() if "_error/" not in k}


def dead(weed, bucket, prefix=""):
    """Records in error directories with their reasons: (partition, sequence number) → (bytes, reason)."""
    all, found = objects(weed, bucket, prefix), {}
    for key, text in all.items():
        if not key.endswith(".reason.json"):
            continue
        why, data = json.loads(text), all[key.replace(".reason.json", ".dat")]
        for r in why["records"]:
            where = (why["partition"], int(r["sequence_number"]))
            assert where not in found, "twice"
            found[where] = (data[r["begin"]:r["begin"] + r["length"]], r["reason"])
    return found


def through(wharf, task, count, seconds=60, stream="s"):
    """Waits until a task has dealt with so many records; what is shown of it then."""
    def dealt():
        shown = show(wharf, task, stream)
        return shown if sum(p["last_transfer_offset"] + 1 for p in shown["partitions"]) >= count else None

    return peers.wait_until(f"{count} records", dealt, seconds, wharf.process, wharf.log)


def catalogue(wharf):
    lake = wharf.data_dir / "lakehouse"
    return SqlCatalog("wharf", uri=f"sqlite:///{lake}/catalog.db", warehouse=f"file://{lake}/warehouse")


def table(wharf, fields=None):
    cat = catalogue(wharf)
    cat.create_namespace_if_not_exists("db")
    fields = fields or [pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.string())]
    return cat.create_table("db.tbl", pa.schema(fields))


def rows(wharf):
    return sorted((r["id"], r["name"]) for r in catalogue(wharf).load_table("db.tbl").scan().to_arrow().to_pylist())


def test_text_files_with_the_current_sdk(make, weed, bucket):
    wharf = make()
    client = world.client(wharf)
    stream(client)
    obs(client, "t1", bucket, file_prefix="a/b", partition_format="yyyy/MM/dd", record_delimiter="\n")
    assert world.code(obs, client, "t1", bucket) == "DIS.4355"
    values = [f"value {i}" for i in range(2000)]
    produce(wharf, values)
    shown = through(wharf, "t1", 2000)
    found = files(weed, bucket)
    lines = []
    for key, body in found.items():
        assert re.match(r"a/b/\d{4}/\d\d/\d\d/" + FILE.pattern + "$", key), key
        assert body.endswith(b"\n")
        lines += body.decode().splitlines()
    assert sorted(lines) == sorted(values)
    again = client.show_transfer_task(v2.ShowTransferTaskRequest(stream_name="s", task_name="t1"))
    assert (again.state, again.destination_type, again.stream_name) == ("RUNNING", "OBS", "s")
    assert again.obs_destination_description.record_delimiter == "\n"
    assert [(p["partitionId"], p["last_transfer_offset"], p["discard"]) for p in shown["partitions"]] == [
        (f"shardId-{n:010}", 999, 0) for n in range(2)]
    assert all(abs(p["last_transfer_timestamp"] / 1000 - time.time()) < 60 for p in shown["partitions"])
    listed = client.list_transfer_tasks(v2.ListTransferTasksRequest(stream_name="s"))
    assert (listed.total_number, listed.tasks[0].task_name, listed.tasks[0].state) == (1, "t1", "RUNNING")

    # No record, no file.
    before = sorted(found)
    time.sleep(2.5)
    assert sorted(files(weed, bucket)) == before

    tasks = [v2.BatchTransferTask(id=shown["task_id"])]
    stop = v2.BatchStopTransferTaskReq(action="stop", tasks=tasks)
    client.batch_stop_transfer_task(v2.BatchStopTransferTaskRequest(stream_name="s", body=stop))
    peers.wait_until("the pause", lambda: show(wharf, "t1")["state"] == "PAUSED", 30)
    time.sleep(1)
    produce(wharf, ["later"] * 10)
    time.sleep(3)
    assert sorted(files(weed, bucket)) == before
    start = v2.BatchStartTransferTaskReq(action="start", tasks=tasks)
    client.batch_start_transfer_task(v2.BatchStartTransferTaskRequest(stream_name="s", body=start))
    through(wharf, "t1", 2010)
    assert sum(b.count(b"later") for b in files(weed, bucket).values()) == 10
    client.delete_transfer_task(v2.DeleteTransferTaskRequest(stream_name="s", task_name="t1"))
    gone = v2.ShowTransferTaskRequest(stream_name="s", task_name="t1")
    assert world.code(client.show_transfer_task, gone) == "DIS.4354"
    assert client.list_transfer_tasks(v2.ListTransferTasksRequest(stream_name="s")).total_number == 0
    obs(client, "t1", bucket, file_prefix="again")


def test_directories_by_the_records_own_time_and_parquet(make, weed, bucket):
    wharf = make()
    client = world.client(wharf)
    stream(client, data_type="JSON", data_schema=SCHEMA)
    times = v2.ProcessingSchema(timestamp_name="at", timestamp_type="String", timestamp_format="yyyy-MM-dd HH:mm:ss")
    obs(client, "days", bucket, file_prefix="days", partition_format="yyyy/MM/dd", record_delimiter="\n", processing_schema=times)
    obs(client, "columns", bucket, file_prefix="columns", destination_file_type="parquet")
    values = [json.dumps({"id": i, "name": None if i % 3 else f"n{i}", "at": f"2026-11-{1 + i % 5:02} 23:59:59"}) for i in range(500)]
    poison = ["no json", json.dumps({"id": "x", "at": "2026-11-01 00:00:00"})]
    produce(wharf, values + poison)
    assert sum(p["discard"] for p in through(wharf, "days", 502)["partitions"]) == 1
    assert sum(p["discard"] for p in through(wharf, "columns", 502)["partitions"]) == 2
    found = files(weed, bucket, "days/")
    assert {k.split("/")[3] for k in found} == {f"{d:02}" for d in range(1, 6)}
    lines = []
    for key, body in found.items():
        day = "-".join(key.split("/")[1:4])
        lines += body.decode().splitlines()
        assert all(day in line for line in body.decode().splitlines())
    assert sorted(lines) == sorted([*values, poison[1]])
    got = []
    for key, body in files(weed, bucket, "columns/").items():
        assert key.endswith(".parquet")
        got += pq.read_table(pa.BufferReader(body)).to_pylist()
    wanted = [{k: v for k, v in json.loads(v).items() if k != "at"} for v in values]
    assert sorted(got, key=lambda r: r["id"]) == wanted
    assert sorted(b for b, _ in dead(weed, bucket, "columns/obs_error/").values()) == sorted(p.encode() for p in poison)
    assert [b for b, _ in dead(weed, bucket, "days/obs_error/").values()] == [b"no json"]


def test_a_table_gets_every_record_and_poison_goes_aside(make, weed, bucket):
    wharf = make()
    client = world.client(wharf)
    stream(client, data_type="JSON", data_schema=SCHEMA)
    assert code(dli(wharf, "t1", bucket)) == "DIS.4337"
    catalogue(wharf).create_namespace("db")
    assert code(dli(wharf, "t1", bucket)) == "DIS.4338"
    table(wharf)
    assert code(dli(wharf, "t1", "no-such-bucket")) == "DIS.4306"
    status, _, body = dli(wharf, "t1", bucket)
    assert (status, body) == (201, b"")
    assert code(dli(wharf, "t1", bucket)) == "DIS.4355"
    values = [{"id": i, "name": None if i % 7 == 0 else f"name {i}"} for i in range(5000)]
    poison = [b'{"id": "text"}', b"\xff\x00\n not json"]
    produce(wharf, [json.dumps(v) for v in values] + poison)
    shown = through(wharf, "t1", 5002)
    assert rows(wharf) == [(v["id"], v["name"]) for v in values]
    assert sum(p["discard"] for p in shown["partitions"]) == 2
    assert shown["dli_destination_description"]["dli_table_name"] == "tbl"
    aside = dead(weed, bucket, "a/b/dli_error/")
    assert sorted(b for b, _ in aside.values()) == sorted(poison) and all(why for _, why in aside.values())
    snapshots = len(catalogue(wharf).load_table("db.tbl").snapshots())
    time.sleep(2.5)
    assert len(catalogue(wharf).load_table("db.tbl").snapshots()) == snapshots, "no record, no snapshot"


def test_what_a_table_can_not_take_for_too_long_goes_aside_exactly(make, weed, bucket):
    wharf = make()
    client = world.client(wharf)
    stream(client, data_type="JSON", data_schema=SCHEMA)
    table(wharf)
    assert dli(wharf, "t1", bucket, retry_duration="3")[0] == 201
    produce(wharf, [json.dumps({"id": i}) for i in range(100)])
    through(wharf, "t1", 100)
    catalogue(wharf).drop_table("db.tbl")
    lost = [json.dumps({"id": i, "name": "lost"}).encode() for i in range(100, 200)]
    produce(wharf, lost)
    peers.wait_until("the trouble", lambda: show(wharf, "t1")["state"] == "ABNORMAL", 60)
    shown = through(wharf, "t1", 200, 120)
    aside = dead(weed, bucket, "a/b/dli_error/")
    assert sorted(b for b, _ in aside.values()) == sorted(lost)
    assert sum(p["discard"] for p in shown["partitions"]) == 100
    table(wharf)
    produce(wharf, [json.dumps({"id": i}) for i in range(200, 300)])
    through(wharf, "t1", 300, 120)
    later = [b for b, _ in dead(weed, bucket, "a/b/dli_error/").values()]
    got = {r[0] for r in rows(wharf)}
    assert got | {json.loads(b)["id"] for b in later} == set(range(100, 300)), "each record is in one of the two places"
    assert len(got) + len(later) == 200
    peers.wait_until("the end of the trouble", lambda: show(wharf, "t1")["state"] == "RUNNING", 60)


def test_a_store_that_is_down_is_waited_for(make, weed, bucket, fault_proxy):
    proxy = fault_proxy(weed.url)
    wharf = make(store=proxy.url)
    client = world.client(wharf)
    stream(client)
    obs(client, "t1", bucket, record_delimiter="\n")
    produce(wharf, [f"a{i}" for i in range(100)])
    through(wharf, "t1", 100)
    proxy.add("do=status:503")
    produce(wharf, [f"b{i}" for i in range(100)])
    peers.wait_until("the trouble", lambda: show(wharf, "t1")["state"] == "ABNORMAL", 120)
    assert sum(p["discard"] for p in show(wharf, "t1")["partitions"]) == 0
    proxy.clear()
    through(wharf, "t1", 200, 180)
    lines = [line for body in files(weed, bucket).values() for line in body.decode().splitlines()]
    assert sorted(lines) == sorted([f"a{i}" for i in range(100)] + [f"b{i}" for i in range(100)])
    peers.wait_until("the end of the trouble", lambda: show(wharf, "t1")["state"] == "RUNNING", 60)


def test_killed_at_any_moment_every_record_arrives_once(make, weed, bucket):
    wharf = make(dump_interval_ms=300)
    client = world.client(wharf)
    stream(client, data_type="JSON", data_schema=SCHEMA)
    table(wharf)
    obs(client, "files", bucket, record_delimiter="\n", file_prefix="files")
    assert dli(wharf, "table", bucket)[0] == 201
    total, chance = 12_000, random.Random(7)
    poison = {i for i in range(total) if i % 997 == 5}
    values = ["no json %d" % i if i in poison else json.dumps({"id": i}) for i in range(total)]
    rounds = 4 if make.kafka == "apache" else 8  # a group's members are waited for after each kill: 10 s there
    for round in range(rounds):
        part = values[round * total // rounds:(round + 1) * total // rounds]
        produce(wharf, part)
        time.sleep(chance.random() * 2)
        wharf.kill9()
        wharf.start()
    for task in ("files", "table"):
        through(wharf, task, total, 180)
    lines = [line for body in files(weed, bucket, "files/").values() for line in body.decode().splitlines()]
    assert sorted(lines) == sorted(values)
    assert [r[0] for r in rows(wharf)] == [i for i in range(total) if i not in poison]
    aside = sorted(b.decode() for b, _ in dead(weed, bucket, "a/b/dli_error/").values())
    assert aside == sorted(v for i, v in enumerate(values) if i in poison)


def test_a_table_follows_its_records_in_mid_interval_and_a_stream_that_is_scaled(make, weed, bucket):
    wharf = make(dli_evolve=True)
    client = world.client(wharf)
    stream(client, data_type="JSON", data_schema=SCHEMA)
    table(wharf, [pa.field("id", pa.int32()), pa.field("name", pa.string())])
    assert dli(wharf, "t1", bucket)[0] == 201
    # All in one interval: a new column, a wider type, and what fits no type.
    values = [{"id": i, "name": f"n{i}"} for i in range(100)] + [{"id": i, "more": {"x": i}} for i in range(100, 200)]
    values += [{"id": 5_000_000_000 + i} for i in range(100)]
    produce(wharf, [*(json.dumps(v) for v in values), '{"id": "text", "never": 1}'])
    shown = through(wharf, "t1", 301)
    got = catalogue(wharf).load_table("db.tbl").scan().to_arrow().to_pylist()
    assert sorted(r["id"] for r in got) == sorted(v["id"] for v in values)
    assert {r["id"]: r["more"] for r in got if r["more"]} == {i: {"x": i} for i in range(100, 200)} and "never" not in got[0]
    assert sum(p["discard"] for p in shown["partitions"]) == 1
    if make.kafka == "apache":
        return  # New partitions are noticed there too, but only after the better part of a minute.
    # The stream is scaled up and down while the task runs.
    for count in (4, 1):
        body = v2.UpdatePartitionCountReq(stream_name="s", target_partition_count=count)
        client.update_partition_count(v2.UpdatePartitionCountRequest(stream_name="s", body=body))
        world.running(client, "s")
        at = 10_000 * count
        produce(wharf, [json.dumps({"id": at + i}) for i in range(200)], partitions=count)
    wanted = {v["id"] for v in values} | {at + i for at in (40_000, 10_000) for i in range(200)}

    def there():
        ids = [r["id"] for r in catalogue(wharf).load_table("db.tbl").scan(selected_fields=("id",)).to_arrow().to_pylist()]
        assert len(ids) == len(set(ids)), "twice"
        return set(ids) == wanted

    peers.wait_until("all records of all partitions", there, 120, wharf.process, wharf.log)


def test_csv_and_blobs_become_rows(make, bucket):
    wharf = make()
    client = world.client(wharf)
    cat = catalogue(wharf)
    cat.create_namespace_if_not_exists("db")
    cat.create_table("db.csv", pa.schema([("id", pa.int64()), ("name", pa.string())]))
    cat.create_table("db.blob", pa.schema([("value", pa.binary())]))
    stream(client, "c", 1, data_type="CSV", csv_properties=v2.CSVProperties(delimiter=";"), data_schema=SCHEMA)
    stream(client, "b", 1)
    for name, kind in (("c", "csv"), ("b", "blob")):
        assert dli(wharf, "t", bucket, name, dli_table_name=kind)[0] == 201
    produce(wharf, [f'{i};"n; {i}"' for i in range(50)] + ["x;y"], "c", 1)
    blobs = [bytes([i, 0, 255, 10]) for i in range(50)]
    produce(wharf, blobs, "b", 1)
    assert through(wharf, "t", 51, stream="c")["partitions"][0]["discard"] == 1
    through(wharf, "t", 50, stream="b")
    rows = lambda name: cat.load_table(f"db.{name}").scan().to_arrow().to_pylist()  # noqa: E731
    assert sorted((r["id"], r["name"]) for r in rows("csv")) == [(i, f"n; {i}") for i in range(50)]
    assert sorted(r["value"] for r in rows("blob")) == blobs


def test_latest_begins_when_the_task_is_made(make, weed, bucket):
    wharf = make()
    client = world.client(wharf)
    stream(client)
    produce(wharf, ["old"] * 50)
    obs(client, "t1", bucket, consumer_strategy="LATEST")
    produce(wharf, ["new"] * 50)
    through(wharf, "t1", 100)
    bodies = files(weed, bucket).values()
    # The SDK's own delimiter.
    assert sorted(w for b in bodies for w in b.decode().split(",")) == ["new"] * 50


def test_what_is_refused_and_what_is_not_supported(make, bucket):
    wharf = make(agencies=["dis_admin_agency"])
    client = world.client(wharf)
    stream(client, "s", 1)

    def refused(kind, **descriptor):
        given = {"task_name": "t", "agency_name": "dis_admin_agency", "obs_bucket_path": bucket, **descriptor}
        given = {k: v for k, v in given.items() if v is not None}
        body = {"destination_type": kind, f"{kind.lower()}_destination_descriptor": given}
        return code(world.raw(wharf, "POST", "/streams/s/transfer-tasks", body))

    for more in (
        {"task_name": "a b"}, {"task_name": "x" * 65}, {"deliver_time_interval": 29}, {"deliver_time_interval": 901},
        {"consumer_strategy": "EARLIEST"}, {"file_prefix": "/a"}, {"file_prefix": "ä"}, {"file_prefix": "x" * 51},
        {"partition_format": "yyyy-MM"}, {"record_delimiter": "x"}, {"destination_file_type": "orc"}, {"retry_duration": "7201"},
        {"obs_bucket_path": None}, {"processing_schema": {"timestamp_name": "a", "timestamp_type": "String"}}, {"nonsense": 1},
    ):
        assert refused("OBS", **more) == "DIS.4200", more
    assert refused("OBS", agency_name="other") == "DIS.4335"
    assert refused("OBS", destination_file_type="parquet") == "DIS.4360"
    assert refused("OBS", destination_file_type="carbon") == "DIS.4605"
    assert refused("OBS", obs_bucket_path="no-such-bucket-here") == "DIS.4306"
    mrs = {"mrs_cluster_name": "c", "mrs_cluster_id": "i", "mrs_hdfs_path": "/app"}
    assert refused("MRS", **mrs) == "DIS.4605"
    assert refused("MRS", **{**mrs, "mrs_hdfs_path": "app"}) == "DIS.4336"
    assert refused("MRS", **{**mrs, "mrs_cluster_id": None}) == "DIS.4200"
    dws = {n: "x" for n in ("dws_cluster_name", "dws_cluster_id", "dws_database_name", "dws_schema", "dws_table_name", "user_name",
                            "user_password", "kms_user_key_name", "kms_user_key_id")}
    assert refused("DWS", dws_delimiter="|", **dws) == "DIS.4605"
    assert refused("DWS", dws_delimiter="x", **dws) == "DIS.4200"
    cloud = {"cloudtable_cluster_name": "c", "cloudtable_cluster_id": "i", "obs_bucket_path": None}
    schema = {"row_key": [{"value": "a", "type": "String"}], "columns": []}
    assert refused("CLOUDTABLE", cloudtable_table_name="t", cloudtable_schema=schema, **cloud) == "DIS.4605"
    assert refused("CLOUDTABLE", **cloud) == "DIS.4345"
    assert code(world.raw(wharf, "POST", "/streams/s/transfer-tasks", {"destination_type": "NOWHERE"})) == "DIS.4200"
    assert code(world.raw(wharf, "POST", "/streams/none/transfer-tasks", {"destination_type": "OBS"})) in ("DIS.4301", "DIS.4200")
    assert code(world.raw(wharf, "DELETE", "/streams/s/transfer-tasks/none")) == "DIS.4354"
    for i in range(5):
        obs(client, f"t{i}", bucket, file_prefix=f"p{i}")
    assert world.code(obs, client, "t5", bucket) == "DIS.4357"
    made = []

    def racer(i):
        body = {"destination_type": "OBS", "obs_destination_descriptor": {"task_name": f"r{i}", "obs_bucket_path": bucket}}
        made.append(world.raw(wharf, "POST", "/streams/s/transfer-tasks", body)[0])

    client.delete_transfer_task(v2.DeleteTransferTaskRequest(stream_name="s", task_name="t0"))
    racers = [threading.Thread(target=racer, args=(i,)) for i in range(8)]
    [r.start() for r in racers]
    [r.join() for r in racers]
    assert sorted(made) == [201] + [400] * 7


def test_the_older_sdk(make, weed, bucket):
    wharf = make()
    stream(world.client(wharf), "s", 1)
    client = world.legacy(wharf)
    descriptor = {"agency_name": "dis_admin_agency", "deliver_time_interval": 30, "consumer_strategy": "TRIM_HORIZON",
                  "obs_bucket_path": bucket, "file_prefix": "old", "record_delimiter": "|", "retry_duration": 60}
    assert client.add_dump_task("s", "t1", "OBS", descriptor).statusCode == 201
    assert client.put_records("s", "", [{"data": f"d{i}", "partition_id": "0"} for i in range(5)]).failedRecordCount == 0
    through(wharf, "t1", 5)
    assert list(files(weed, bucket).values()) == [b"d0|d1|d2|d3|d4"]
    listed = client.list_dump_task("s")
    assert listed.statusCode == 200
    shown = client.describe_dump_task("s", "t1")
    assert shown.statusCode == 200
    # What the Java SDK sends besides.
    change = {"destination_type": "OBS", "obs_destination_descriptor": {**descriptor, "task_name": "t1", "file_prefix": "new"}}
    assert world.raw(wharf, "PUT", "/streams/s/transfer-tasks", change)[0] == 200

    def moved():
        client.put_records("s", "", [{"data": "later", "partition_id": "0"}])
        time.sleep(1)
        return files(weed, bucket, "new/")

    assert set(b"|".join(peers.wait_until("the change", moved, 60).values()).split(b"|")) == {b"later"}
    assert client.delete_dump_task("s", "t1").statusCode == 204
    assert "Password" not in wharf.log.read_text()


def test_two_servers_on_one_task(make, weed, bucket, postgres):
    if make.kafka != "apache":
        pytest.skip("an embedded broker is one server's own")
    database = postgres.database(f"dumps{random.randrange(10**9)}")
    first = make(database=database, dump_interval_ms=300)
    second = make(database=database, dump_interval_ms=300, twin=first)
    client = world.client(first)
    stream(client)
    obs(client, "t1", bucket, record_delimiter="\n")
    values = [f"value {i}" for i in range(4000)]
    produce(first, values[:1000])
    through(second, "t1", 1000)
    servers = [first, second]
    for i in range(1, 4):
        # Whoever has the task: one of the two dies, the other takes over when the lease has run out.
        produce(first, values[i * 1000:(i + 1) * 1000])
        dies = servers[i % 2]
        dies.kill9()
        through(servers[(i + 1) % 2], "t1", (i + 1) * 1000, 180)
        dies.start()
    lines = [line for body in files(weed, bucket).values() for line in body.decode().splitlines()]
    assert sorted(lines) == sorted(values)
