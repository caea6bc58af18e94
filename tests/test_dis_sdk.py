"""Streams with Huawei's current SDK, unmodified: over the embedded broker and over a real Apache Kafka."""

from __future__ import annotations

import base64
import json
import re
import threading
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource
from huaweicloudsdkdis import v2

from harness import dis as world

ALL = 2**63


def create(client, name, partitions=1, **more):
    client.create_stream(v2.CreateStreamRequest(body=v2.CreateStreamReq(stream_name=name, partition_count=partitions, **more)))
    return world.running(client, name)


def show(client, name, **page):
    return client.show_stream(v2.ShowStreamRequest(stream_name=name, **page))


def put(client, name, records, **more):
    body = v2.PutRecordsRequest(stream_name=name, records=[v2.PutRecordsRequestEntry(**r) for r in records], **more)
    return client.send_records(v2.SendRecordsRequest(body=body))


def data(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def cursor(client, name, partition=0, kind="TRIM_HORIZON", **more):
    request = v2.ShowCursorRequest(stream_name=name, partition_id=str(partition), cursor_type=kind, **more)
    return client.show_cursor(request).partition_cursor


def get(client, at, **more):
    return client.consume_records(v2.ConsumeRecordsRequest(partition_cursor=at, **more))


def read(client, name, partition=0, count=None, at=None):
    """All records of a partition from a cursor on, until there is nothing more (or so many)."""
    at, found = at or cursor(client, name, partition), []
    while True:
        answer = get(client, at)
        found += answer.records
        at = answer.next_partition_cursor
        if not answer.records or (count and len(found) >= count):
            return found


def text(record):
    return base64.b64decode(record.data).decode()


def ranges(shown):
    """Hash ranges of the partitions that are open."""
    found = [re.fullmatch(r"\[(\d+) : (\d+)\]", p.hash_range).groups() for p in shown.partitions if p.status == "ACTIVE"]
    return [(int(a), int(b)) for a, b in found]


def whole(shown):
    edges = ranges(shown)
    assert edges[0][0] == 0 and edges[-1][1] == ALL - 1
    assert all(a[1] + 1 == b[0] for a, b in zip(edges, edges[1:]))
    return len(edges)


def states(shown):
    return [p.status for p in shown.partitions]


def test_a_stream_is_made_shown_changed_scaled_and_removed(dis):
    client = world.client(dis)
    schema = json.dumps({"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}]})
    shown = create(
        client, "events", 3, stream_type="ADVANCED", data_type="JSON", data_duration=48, data_schema=schema, auto_scale_enabled=True,
        auto_scale_min_partition_count=1, auto_scale_max_partition_count=6, compression_format="snappy",
        csv_properties=v2.CSVProperties(delimiter=";"), tags=[v2.Tag(key="k", value="v")],
        sys_tags=[v2.SysTag(key="_sys_enterprise_project_id", value="0")],
    )
    assert len(shown.stream_id) == 19 and shown.stream_id.isalnum()
    assert (shown.stream_type, shown.data_type, shown.retention_period, shown.status) == ("ADVANCED", "JSON", 48, "RUNNING")
    assert (shown.data_schema, shown.compression_format, shown.csv_properties.delimiter) == (schema, "snappy", ";")
    assert (shown.auto_scale_enabled, shown.auto_scale_min_partition_count, shown.auto_scale_max_partition_count) == (True, 1, 6)
    assert [(t.key, t.value) for t in shown.tags + shown.sys_tags] == [("k", "v"), ("_sys_enterprise_project_id", "0")]
    assert [p.partition_id for p in shown.partitions] == [f"shardId-{n:010}" for n in range(3)]
    assert whole(shown) == 3 and abs(shown.create_time / 1000 - time.time()) < 60
    admin = AdminClient({"bootstrap.servers": dis.boot})
    topic = admin.list_topics(dis.topic("events"), 30).topics[dis.topic("events")]
    assert len(topic.partitions) == 3

    def kept():
        resource = ConfigResource("topic", dis.topic("events"))
        [found] = admin.describe_configs([resource]).values()
        return int(found.result(30)["retention.ms"].value) // 3_600_000

    assert kept() == 48

    client.update_stream(v2.UpdateStreamRequest(stream_name="events", body=v2.UpdateStreamReq(
        stream_name="events", data_duration=72, data_type="CSV", auto_scale_enabled=False)))
    shown = show(client, "events")
    assert (shown.retention_period, shown.data_type, shown.auto_scale_enabled) == (72, "CSV", False)
    assert kept() == 72
    assert shown.last_modified_time >= shown.create_time

    def scale(n):
        body = v2.UpdatePartitionCountReq(stream_name="events", target_partition_count=n)
        client.update_partition_count(v2.UpdatePartitionCountRequest(stream_name="events", body=body))
        return show(client, "events")

    shown = scale(1)
    assert (states(shown), whole(shown)) == (["ACTIVE", "DELETED", "DELETED"], 1)
    assert (shown.writable_partition_count, shown.readable_partition_count) == (1, 3)
    shown = scale(4)
    assert (states(shown), whole(shown)) == (["ACTIVE"] * 4, 4)
    assert shown.partitions[3].parent_partitions == "shardId-0000000000"
    assert [(c.src_partition_count, c.target_partition_count, c.result_code) for c in shown.update_partition_counts] == [(3, 1, 0), (1, 4, 0)]
    assert not shown.has_more_partitions
    page = show(client, "events", start_partition_id="shardId-0000000000", limit_partitions=2)
    assert ([p.partition_id[-1] for p in page.partitions], page.has_more_partitions) == (["1", "2"], True)
    for bad in [0, 501, 4]:
        assert world.code(scale, bad) == "DIS.4200"

    client.delete_stream(v2.DeleteStreamRequest(stream_name="events"))
    assert world.code(show, client, "events") == "DIS.4301"
    assert world.code(client.delete_stream, v2.DeleteStreamRequest(stream_name="events")) == "DIS.4301"
    # The name is free at once, and nothing of the old one is left.
    shown = create(client, "events", 2)
    assert [p.sequence_number_range for p in shown.partitions] == ["[0 : 0]"] * 2


def test_streams_are_listed_by_name_and_are_the_accounts_own(dis):
    client, other = world.client(dis), world.client(dis, world.OTHER)
    for name in ["c", "a", "b"]:
        create(client, name)
    page = client.list_streams(v2.ListStreamsRequest(limit=2))
    assert (page.stream_names, page.total_number, page.has_more_streams) == (["a", "b"], 3, True)
    assert [(i.stream_name, i.partition_count, i.status) for i in page.stream_info_list] == [("a", 1, "RUNNING"), ("b", 1, "RUNNING")]
    page = client.list_streams(v2.ListStreamsRequest(limit=2, start_stream_name="b"))
    assert (page.stream_names, page.has_more_streams) == (["c"], False)
    assert world.code(create, client, "a") == "DIS.4307"
    assert world.code(create, client, "a b") == "DIS.4200"
    assert world.code(create, client, "x" * 65) == "DIS.4200"
    assert world.code(create, client, "d", data_duration=100) == "DIS.4200"
    assert world.code(create, client, "d", partitions=0) == "DIS.4200"
    assert world.code(create, client, "d", stream_type="HUGE") == "DIS.4200"
    assert world.code(create, client, "d", data_type="JSON", data_schema="{") == "DIS.4360"
    assert world.code(client.list_streams, v2.ListStreamsRequest(limit=101)) == "DIS.4200"
    assert other.list_streams(v2.ListStreamsRequest()).stream_names == []
    assert world.code(show, other, "a") == "DIS.4301"
    at = cursor(client, "a")
    assert world.code(get, other, at) == "DIS.4301", "a cursor is no key to another's stream"
    if "dis." in dis.topic("a"):
        for name in ["a", "b", "c"]:
            client.delete_stream(v2.DeleteStreamRequest(stream_name=name))


def test_records_go_where_partition_hash_and_key_say_and_come_back_in_order(dis):
    client = world.client(dis)
    shown = create(client, "s", 4)
    edges = ranges(shown)
    answer = put(client, "s", [
        {"data": data("by id"), "partition_id": "shardId-0000000002", "explicit_hash_key": "0", "partition_key": "k"},
        {"data": data("by number"), "partition_id": "3"},
        {"data": data("by hash"), "explicit_hash_key": str(edges[1][0]), "partition_key": "k"},
        {"data": data("by last hash"), "explicit_hash_key": str(ALL - 1)},
        {"data": data("nowhere"), "partition_id": "shardId-0000000009"},
        {"data": data("not a partition"), "partition_id": "first"},
    ])
    assert [r.partition_id and r.partition_id[-1] for r in answer.records] == ["2", "3", "1", "3", None, None]
    assert [r.sequence_number for r in answer.records] == ["0", "0", "0", "1", None, None]
    assert (answer.failed_record_count, answer.records[4].error_code, answer.records[5].error_code) == (2, "DIS.4302", "DIS.4302")
    assert answer.records[0].error_code is None
    # One key, one partition; without any, all get some.
    answer = put(client, "s", [{"data": data(f"k{i}"), "partition_key": "the same"} for i in range(50)])
    assert len({r.partition_id for r in answer.records}) == 1
    numbers = [int(r.sequence_number) for r in answer.records]
    assert numbers == list(range(numbers[0], numbers[0] + 50))
    keyed = int(answer.records[0].partition_id[-1])
    answer = put(client, "s", [{"data": data(f"r{i}")} for i in range(40)])
    assert {r.partition_id for r in answer.records} == {f"shardId-{n:010}" for n in range(4)}
    found = [r for r in read(client, "s", keyed) if r.partition_key == "the same"]
    assert [text(r) for r in found] == [f"k{i}" for i in range(50)]
    assert found[0].timestamp_type == "CreateTime" and abs(found[0].timestamp / 1000 - time.time()) < 60
    assert [r.partition_key for r in read(client, "s", 2)][:1] == ["k"]
    assert text(read(client, "s", 3)[0]) == "by number"
    # By id where the name says nothing.
    answer = put(client, "", [{"data": data("by stream id"), "partition_id": "0"}], stream_id=shown.stream_id)
    assert answer.failed_record_count == 0
    assert text(read(client, "s", 0)[-1]) == "by stream id"
    # Limits of a request.
    assert world.code(put, client, "none", [{"data": data("x")}]) == "DIS.4301"
    assert world.code(put, client, "s", []) == "DIS.4202"
    assert world.code(put, client, "s", [{"data": data("x")}] * 10_001) == "DIS.4200"
    assert world.code(put, client, "s", [{"data": data(b"x" * (2**20 + 1))}]) == "DIS.4200"
    assert world.code(put, client, "s", [{"data": "?"}]) == "DIS.4200"
    assert world.code(put, client, "s", [{"data": data("x"), "explicit_hash_key": str(ALL)}]) == "DIS.4200"
    assert put(client, "s", [{"data": data(b"x" * 2**20), "partition_id": "1"}] * 5).failed_record_count == 0


def test_cursors_of_all_five_types(dis):
    client = world.client(dis)
    create(client, "s", 1)
    assert get(client, cursor(client, "s", kind="LATEST")).records == []
    put(client, "s", [{"data": data(f"{i}")} for i in range(10)])
    time.sleep(0.05)
    middle = int(time.time() * 1000)
    put(client, "s", [{"data": data(f"{i}")} for i in range(10, 20)])

    def first(*arguments, **named):
        return [text(r) for r in get(client, cursor(client, "s", *arguments, **named)).records][:1]

    assert first(kind="TRIM_HORIZON") == ["0"]
    assert first(kind=None, starting_sequence_number="4") == ["4"]
    assert first(kind="AT_SEQUENCE_NUMBER", starting_sequence_number="4") == ["4"]
    assert first(kind="AFTER_SEQUENCE_NUMBER", starting_sequence_number="4") == ["5"]
    assert first(kind="AT_TIMESTAMP", timestamp=middle) == ["10"]
    assert first(kind="AT_TIMESTAMP", timestamp=middle + 3_600_000) == []
    assert first(kind="LATEST") == []
    assert first(kind="AT_SEQUENCE_NUMBER", starting_sequence_number="20") == []
    latest = cursor(client, "s", kind="LATEST")
    put(client, "s", [{"data": data("new")}])
    assert [text(r) for r in get(client, latest).records] == ["new"]
    # Fewer bytes than a record: nothing, and the cursor stays.
    put(client, "s", [{"data": data("x" * 1000)}] * 3)
    at = cursor(client, "s", kind="AT_SEQUENCE_NUMBER", starting_sequence_number="21")
    stuck = get(client, at, max_fetch_bytes=999)
    assert stuck.records == [] and get(client, stuck.next_partition_cursor, max_fetch_bytes=1000).records[0].sequence_number == "21"
    assert [r.sequence_number for r in get(client, at, max_fetch_bytes=2500).records] == ["21", "22"]

    def refused(kind, **more):
        return world.code(cursor, client, "s", kind=kind, **more)

    assert refused("SOMEWHERE") == "DIS.4215"
    assert refused("AT_SEQUENCE_NUMBER") == "DIS.4216"
    assert refused("AT_SEQUENCE_NUMBER", starting_sequence_number="-1") == "DIS.4216"
    assert refused("AT_SEQUENCE_NUMBER", starting_sequence_number="99") == "DIS.4224"
    assert refused("AFTER_SEQUENCE_NUMBER", starting_sequence_number="24") == "DIS.4224"
    assert refused("AT_TIMESTAMP") == "DIS.4200"
    assert world.code(cursor, client, "s", 7) == "DIS.4302"
    assert world.code(cursor, client, "s", "x") == "DIS.4201"
    assert world.code(cursor, client, "none") == "DIS.4301"
    for bad in ["rubbish", "", base64.b64encode(b"{}").decode(), at[:-8], "A" * 513]:
        assert world.code(get, client, bad) in ("DIS.4217", "DIS.4200"), bad
    # Its time can't be changed.
    inside = json.loads(base64.b64decode(at))
    inside["t"] += 1
    assert world.code(get, client, base64.b64encode(json.dumps(inside).encode()).decode()) == "DIS.4217"
    assert world.code(get, client, at, max_fetch_bytes=0) == "DIS.4200"


def test_what_is_gone_by_age_is_said(dis):
    client = world.client(dis)
    create(client, "s", 1)
    put(client, "s", [{"data": data(f"{i}")} for i in range(10)])
    old = cursor(client, "s", kind="AT_SEQUENCE_NUMBER", starting_sequence_number="3")
    admin = AdminClient({"bootstrap.servers": dis.boot})
    [f.result(30) for f in admin.delete_records([TopicPartition(dis.topic("s"), 0, 5)]).values()]
    assert world.code(cursor, client, "s", kind="AT_SEQUENCE_NUMBER", starting_sequence_number="4") == "DIS.4226"
    assert world.code(get, client, old) == "DIS.4226"
    assert [r.sequence_number for r in read(client, "s")] == ["5", "6", "7", "8", "9"]
    assert show(client, "s").partitions[0].sequence_number_range == "[5 : 10]"


def test_apps_and_how_far_they_have_read(dis):
    client = world.client(dis)
    create(client, "s", 2)
    put(client, "s", [{"data": data("x"), "partition_id": "0"}] * 5)

    def new(name):
        client.create_app(v2.CreateAppRequest(body=v2.CreateAppReq(app_name=name)))

    def commit(sequence, app="reader", partition="shardId-0000000000", stream="s", kind="LAST_READ", metadata=None):
        body = v2.CommitCheckpointReq(
            app_name=app, checkpoint_type=kind, stream_name=stream, partition_id=partition, sequence_number=str(sequence), metadata=metadata)
        client.commit_checkpoint(v2.CommitCheckpointRequest(body=body))

    def checkpoint(partition="0", app="reader"):
        return client.show_checkpoint(v2.ShowCheckpointRequest(
            stream_name="s", partition_id=partition, app_name=app, checkpoint_type="LAST_READ"))

    for name in ["reader", "b", "a"]:
        new(name)
    assert world.code(new, "a") == "DIS.4330"
    assert world.code(new, "a b") == "DIS.4200"
    page = client.list_app(v2.ListAppRequest(limit=2))
    assert ([a.app_name for a in page.apps], page.has_more_app, page.total_number) == (["a", "b"], True, 3)
    page = client.list_app(v2.ListAppRequest(start_app_name="b"))
    assert ([a.app_name for a in page.apps], page.has_more_app) == (["reader"], False)
    assert world.code(checkpoint) == "DIS.4375"
    commit(3, metadata="half way")
    at = checkpoint()
    assert (at.sequence_number, at.metadata) == ("3", "half way")
    commit(4)
    commit(0, partition="1")
    assert checkpoint("shardId-0000000000").sequence_number == "4"
    for refusal, arguments in [
        ("DIS.4224", {"sequence": 6}), ("DIS.4216", {"sequence": "x"}), ("DIS.4332", {"sequence": 1, "app": "nobody"}),
        ("DIS.4301", {"sequence": 1, "stream": "none"}), ("DIS.4302", {"sequence": 1, "partition": "7"}),
        ("DIS.4200", {"sequence": 1, "kind": "LAST_SEEN"}), ("DIS.4200", {"sequence": 1, "metadata": "x" * 1001}),
    ]:
        assert world.code(commit, **arguments) == refusal, arguments
    shown = client.show_app(v2.ShowAppRequest(app_name="reader"))
    assert (shown.app_name, shown.commit_checkpoint_stream_names) == ("reader", ["s"]) and shown.app_id
    assert [a.app_name for a in client.list_app(v2.ListAppRequest(stream_name="s")).apps] == ["reader"]
    state = client.show_consumer_state(v2.ShowConsumerStateRequest(app_name="reader", stream_name="s", checkpoint_type="LAST_READ"))
    found = [(p.partition_id[-1], p.sequence_number, p.earliest_offset, p.latest_offset, p.status) for p in state.partition_consuming_states]
    assert found == [("0", "4", 0, 5, "ACTIVE"), ("1", "0", 0, 0, "ACTIVE")]
    state = client.show_consumer_state(v2.ShowConsumerStateRequest(app_name="b", stream_name="s", checkpoint_type="LAST_READ", limit=1))
    assert (state.partition_consuming_states[0].sequence_number, state.has_more, state.app_name) == ("-1", True, "b")

    def forget(**more):
        client.delete_checkpoint(v2.DeleteCheckpointRequest(stream_name="s", app_name="reader", checkpoint_type="LAST_READ", **more))

    assert world.code(client.delete_app, v2.DeleteAppRequest(app_name="reader")) == "DIS.4331"
    forget(partition_id="0")
    assert world.code(checkpoint) == "DIS.4375" and checkpoint("1").sequence_number == "0"
    forget()
    client.delete_app(v2.DeleteAppRequest(app_name="reader"))
    assert world.code(client.show_app, v2.ShowAppRequest(app_name="reader")) == "DIS.4332"
    # They survive a restart, and go with their stream.
    commit(2, app="a")
    dis.restart()
    client = world.client(dis)
    assert client.show_checkpoint(v2.ShowCheckpointRequest(
        stream_name="s", partition_id="0", app_name="a", checkpoint_type="LAST_READ")).sequence_number == "2"
    client.delete_stream(v2.DeleteStreamRequest(stream_name="s"))
    assert client.show_app(v2.ShowAppRequest(app_name="a")).commit_checkpoint_stream_names == []


def test_figures_of_minutes(dis):
    client = world.client(dis)
    create(client, "s", 2)
    put(client, "s", [{"data": data("12345"), "partition_id": "0"}] * 7 + [{"data": data("123"), "partition_id": "1"}])
    read(client, "s", 0)
    start, end = int(time.time()) - 600, int(time.time()) + 60

    def stream(**labels):
        return client.show_stream_metrics(v2.ShowStreamMetricsRequest(stream_name="s", start_time=start, end_time=end, **labels))

    def total(label):
        metrics = stream(label=label).metrics
        assert metrics.label == label
        return sum(p.value for p in metrics.data_points)

    def of_partition(label, partition="0"):
        answer = client.show_partition_metrics(v2.ShowPartitionMetricsRequest(
            stream_name="s", partition_id=partition, start_time=start, end_time=end, label=label))
        return sum(p.value for p in answer.metrics.data_points)

    def all_of_them():
        assert total("total_put_records_per_stream") == 8 and total("total_put_bytes_per_stream") == 38
        assert total("total_get_records_per_stream") == 7 and total("total_get_bytes_per_stream") == 35
        assert total("total_put_req_suc_per_stream") == 1 and total("total_get_req_suc_per_stream") == 2
        assert total("traffic_control_put") == 0 and total("traffic_control_get") == 0
        assert of_partition("total_put_records_per_partition") == 7 and of_partition("total_put_bytes_per_partition", "1") == 3
        assert of_partition("total_get_records_per_partition") == 7 and of_partition("total_get_bytes_per_partition", "shardId-0000000001") == 0

    all_of_them()
    assert total("total_put_req_latency") >= 1 and total("total_get_req_latency") >= 1
    answer = stream(label="rubbish", label_list="total_put_records_per_stream,total_get_records_per_stream")
    assert [m.label for m in answer.metrics_list] == ["total_put_records_per_stream", "total_get_records_per_stream"]
    assert all(p.timestamp % 60 == 0 for p in answer.metrics_list[0].data_points)
    assert world.code(stream, label="rubbish") == "DIS.4209"
    start, now = start - 7 * 24 * 3600, start
    assert world.code(stream, label="traffic_control_put") == "DIS.4204"
    start = end + 1
    assert world.code(stream, label="traffic_control_put") == "DIS.4203"
    start = now
    dis.restart()
    client = world.client(dis)
    all_of_them()


def test_tags_and_resources_by_tags(dis):
    client = world.client(dis)
    ids = {name: create(client, name).stream_id for name in ["a", "b", "c"]}

    def tag(stream, key, value):
        client.create_tag(v2.CreateTagRequest(stream_id=ids[stream], body=v2.CreateTagReq(tag=v2.Tag(key=key, value=value))))

    def tags(stream):
        return {t.key: t.value for t in client.show_stream_tags(v2.ShowStreamTagsRequest(stream_id=ids[stream])).tags}

    def batch(stream, action, pairs):
        body = v2.BatchCreateTagsReq if action == "create" else v2.BatchDeleteTagsReq
        request = v2.BatchCreateTagsRequest if action == "create" else v2.BatchDeleteTagsRequest
        call = client.batch_create_tags if action == "create" else client.batch_delete_tags
        call(request(stream_id=ids[stream], body=body(action=action, tags=[v2.Tag(key=k, value=v) for k, v in pairs])))

    tag("a", "env", "prod")
    tag("b", "env", "test")
    batch("a", "create", [("team", "x"), ("level", "1")])
    batch("b", "create", [("team", "x")])
    assert tags("a") == {"env": "prod", "team": "x", "level": "1"}
    listed = {t.key: t.values for t in client.list_tags(v2.ListTagsRequest()).tags}
    assert listed == {"env": ["prod", "test"], "level": ["1"], "team": ["x"]}

    def find(action="filter", **filters):
        def of(pairs):
            return [v2.ListResourcesByTagsReqTags(key=k, values=v) for k, v in pairs] if hasattr(v2, "ListResourcesByTagsReqTags") else None

        model = v2.ListResourceInstancesReq
        kinds = {n: t for n, t in model.openapi_types.items()}
        given = {n: [getattr(v2, re.sub(r"list\[(.*)\]", r"\1", kinds[n]))(key=k, values=v) for k, v in pairs] for n, pairs in filters.items()}
        return client.list_resources_by_tags(v2.ListResourcesByTagsRequest(body=model(action=action, **given)))

    def names(**filters):
        return [r.resource_name for r in find(**filters).resources]

    assert names() == ["a", "b", "c"]
    assert names(tags=[("env", ["prod"]), ("team", [])]) == ["a"]
    assert names(tags_any=[("level", []), ("env", ["test"])]) == ["a", "b"]
    assert names(not_tags=[("env", ["prod"]), ("team", ["x"])]) == ["b", "c"]
    assert names(not_tags_any=[("team", [])]) == ["c"]
    assert find(action="count", tags=[("team", ["x"])]).total_count == 2
    found = find(tags=[("level", ["1"])]).resources[0]
    assert found.resource_id == ids["a"] and {t.key for t in found.tags} == {"env", "team", "level"}
    assert world.code(find, action="guess") == "DIS.4605"
    client.delete_tag(v2.DeleteTagRequest(stream_id=ids["a"], key="team"))
    assert world.code(client.delete_tag, v2.DeleteTagRequest(stream_id=ids["a"], key="team")) == "DIS.4604"
    batch("a", "delete", [("env", "prod"), ("level", "9")])
    assert tags("a") == {"level": "1"}
    assert world.code(batch, "a", "create", [(f"k{i}", "v") for i in range(10)]) == "DIS.4601"
    assert tags("a") == {"level": "1"}, "all or none"
    assert world.code(tag, "a", "k" * 37, "v") == "DIS.4200"
    assert world.code(tag, "a", "k", "v" * 44) == "DIS.4200"
    ids["none"] = "x" * 19
    assert world.code(tags, "none") == "DIS.4603"
    assert world.code(tag, "none", "k", "v") == "DIS.4603"
    rules = client.list_policies(v2.ListPoliciesRequest(stream_name="a"))
    assert (rules.stream_id, rules.rules) == (ids["a"], [])


def test_tokens_projects_and_the_gateways_words(dis):
    client = world.client(dis)
    create(client, "s")
    status, headers, body = world.raw(dis, "GET", "/streams/s")
    assert status == 200 and json.loads(body)["stream_name"] == "s" and headers["X-Request-Id"]
    status, _, body = world.raw(dis, "POST", "/records", {"stream_name": "s", "records": [{"data": data("by token")}]})
    assert status == 200 and json.loads(body)["failed_record_count"] == 0
    assert text(read(client, "s")[0]) == "by token"
    for token, code, answer in [("wrong-token-0123456789", 401, "APIGW.0301"), (None, 401, "APIGW.0301"), ("x", 401, "APIGW.0301")]:
        status, headers, body = world.raw(dis, "GET", "/streams", token=token)
        error = json.loads(body)
        assert (status, error["error_code"], error["errorCode"]) == (code, answer, answer)
        assert error["error_msg"] == error["message"] and headers["X-Request-Id"]
        assert not token or token == "x" or token not in body.decode()
    for path in ["/nothing", "/streams/s/nothing", "/files/1/state"]:
        status, _, body = world.raw(dis, "GET", path)
        assert (status, json.loads(body)["error_code"]) == (404, "APIGW.0101")
    status, _, body = world.raw(dis, "GET", "/streams", headers={"X-Project-Id": "another"})
    assert (status, json.loads(body)["error_code"]) == (400, "DIS.4117")
    status, _, body = world.raw(dis, "POST", "/streams", b"")
    assert (status, json.loads(body)["error_code"]) == (400, "DIS.4202")
    status, _, body = world.raw(dis, "POST", "/streams", b"{nonsense")
    assert (status, json.loads(body)["error_code"]) == (400, "DIS.4200")
    status, _, body = world.raw(dis, "POST", "/streams", {"stream_name": "x", "partition_count": 1, "colour": "red"})
    assert (status, json.loads(body)["error_code"]) == (400, "DIS.4200") and "colour" in body.decode()
    status, _, body = world.raw(dis, "POST", "/streams", {"stream_name": "created", "partition_count": 1})
    assert (status, body) == (201, b"")
    status, _, body = world.raw(dis, "PUT", "/streams/created/update", {"stream_name": "created", "data_duration": 48})
    assert status == 200 and show(client, "created").retention_period == 48
    status, _, body = world.raw(dis, "PUT", "/streams/created", {"stream_name": "s", "target_partition_count": 2})
    assert (status, json.loads(body)["error_code"]) == (400, "DIS.4200"), "path and body name different streams"
    status, _, body = world.raw(dis, "DELETE", "/streams/created/")
    assert (status, body) == (204, b"")
    log = dis.log.read_text()
    assert world.TOKEN not in log
    assert dis.command("account", "list", "--config", dis.config).stdout.count(world.TOKEN) == 0


def test_a_token_that_is_issued_works_until_it_is_revoked(tmp_path):
    made = {"name": "made"}
    wharf = world.start(tmp_path)
    try:
        account = json.loads(wharf.command("account", "create", "made", "--json", "--config", wharf.config).stdout)["account"]["id"]
        token = json.loads(wharf.command("account", "token", account, "--json", "--config", wharf.config).stdout)["token"]
        assert world.raw(wharf, "GET", "/streams", token=token)[0] == 200
        wharf.restart()
        assert world.raw(wharf, "GET", "/streams", token=token)[0] == 200
        assert token.encode() not in (wharf.data_dir / "wharf.db").read_bytes() and token not in wharf.log.read_text()
        wharf.command("account", "token", account, "--revoke", "--config", wharf.config)
        assert world.raw(wharf, "GET", "/streams", token=token)[0] == 401
        declared = wharf.command("account", "token", "test", "--config", wharf.config, check=False)
        assert declared.returncode != 0 and "wharf.toml" in declared.stderr
    finally:
        wharf.stop()
    assert made


def test_an_accounts_own_project(tmp_path):
    own = {**world.ACCOUNTS[0], "project_id": world.PROJECT}
    wharf = world.start(tmp_path, accounts=(own, world.OTHER))
    try:
        assert world.client(wharf).list_streams(v2.ListStreamsRequest()).total_number == 0
        assert world.code(world.client(wharf, project="f" * 32).list_streams, v2.ListStreamsRequest()) == "DIS.4117"
        assert world.client(wharf, world.OTHER, "f" * 32).list_streams(v2.ListStreamsRequest()).total_number == 0
        assert world.raw(wharf, "GET", "/streams", project="f" * 32)[0] == 400
    finally:
        wharf.stop()


def test_kafka_clients_read_what_was_put_and_the_other_way_round(dis):
    client = world.client(dis)
    create(client, "s", 3)
    put(client, "s", [{"data": data(f"d{i}"), "partition_key": f"k{i}", "partition_id": str(i % 3)} for i in range(30)])
    consumer = Consumer({"bootstrap.servers": dis.boot, "group.id": "g", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.assign([TopicPartition(dis.topic("s"), p, 0) for p in range(3)])
    found, end = [], time.monotonic() + 30
    while len(found) < 30 and time.monotonic() < end:
        found += [m for m in consumer.consume(100, 0.5) if not m.error()]
    consumer.close()
    assert {(m.partition(), m.key().decode(), m.value().decode()) for m in found} == {(i % 3, f"k{i}", f"d{i}") for i in range(30)}
    producer = Producer({"bootstrap.servers": dis.boot, "compression.type": "lz4", "linger.ms": 50})
    for i in range(100):
        producer.produce(dis.topic("s"), f"p{i}", f"key{i}", partition=1)
    producer.produce(dis.topic("s"), None, "a tombstone", partition=1)
    producer.produce(dis.topic("s"), "last", None, partition=1)
    assert producer.flush(30) == 0
    records = read(client, "s", 1)
    assert [(text(r), r.partition_key) for r in records[10:]] == [(f"p{i}", f"key{i}") for i in range(100)] + [("last", None)]
    assert [int(r.sequence_number) for r in records] == [*range(110), 111], "a tombstone is no record, and has its number"


def test_scaling_under_load_loses_nothing(dis):
    client = world.client(dis)
    create(client, "s", 2)
    stop, sent, problems = threading.Event(), [], []

    def load(worker):
        mine, n = world.client(dis), 0
        while not stop.is_set():
            values = [f"w{worker}-{n + i}" for i in range(50)]
            n += 50
            try:
                answer = put(mine, "s", [{"data": data(v), "partition_key": v} for v in values])
            except Exception as e:  # noqa: BLE001
                problems.append(repr(e))
                return
            sent.extend((v, r.partition_id, r.sequence_number) for v, r in zip(values, answer.records) if not r.error_code)
            problems.extend(r.error_code for r in answer.records if r.error_code)

    threads = [threading.Thread(target=load, args=(w,)) for w in range(2)]
    [t.start() for t in threads]
    for n in [4, 1, 3, 6, 2]:
        time.sleep(0.3)
        body = v2.UpdatePartitionCountReq(stream_name="s", target_partition_count=n)
        client.update_partition_count(v2.UpdatePartitionCountRequest(stream_name="s", body=body))
        assert whole(show(client, "s")) == n
    time.sleep(0.3)
    stop.set()
    [t.join() for t in threads]
    assert problems == [] and len(sent) > 200
    shown = show(client, "s")
    assert states(shown) == ["ACTIVE"] * 2 + ["DELETED"] * 4
    found = {}
    for p in range(6):
        for r in read(client, "s", p):
            found[(f"shardId-{p:010}", r.sequence_number)] = text(r)
    assert {(p, n): v for v, p, n in sent} == found
    assert put(client, "s", [{"data": data("x"), "partition_id": "5"}]).records[0].error_code == "DIS.4302"
    assert get(client, cursor(client, "s", 5)).records


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path):
    wharf = world.start(tmp_path)
    try:
        client = world.client(wharf)
        create(client, "s", 2)
        sent, n = {}, 0
        for _ in range(3):
            stop = threading.Event()

            def load():
                nonlocal n
                mine = world.client(wharf)
                while not stop.is_set():
                    values = [f"v{n + i}" for i in range(20)]
                    n += 20
                    try:
                        answer = put(mine, "s", [{"data": data(v)} for v in values])
                    except Exception:  # noqa: BLE001
                        return
                    sent.update({(r.partition_id, r.sequence_number): v for v, r in zip(values, answer.records) if not r.error_code})

            thread = threading.Thread(target=load)
            thread.start()
            time.sleep(0.7)
            wharf.kill9()
            stop.set()
            thread.join()
            wharf.start()
        client = world.client(wharf)
        assert len(sent) > 100
        found = {(f"shardId-{p:010}", r.sequence_number): text(r) for p in range(2) for r in read(client, "s", p)}
        assert {k: found.get(k) for k in sent} == sent
    finally:
        wharf.stop()


def test_the_products_limits_where_they_are_switched_on(tmp_path):
    wharf = world.start(tmp_path, product_limits=True)
    try:
        client = world.client(wharf)
        create(client, "s", 1)
        answers = [put(client, "s", [{"data": data("x")}] * 500) for _ in range(4)]
        codes = [r.error_code for a in answers for r in a.records if r.error_code]
        assert codes and set(codes) == {"DIS.4303"} and sum(a.failed_record_count for a in answers) == len(codes)
        assert 1000 <= 2000 - len(codes) < 2000
        taken = [r for a in answers for r in a.records if not r.error_code]
        assert len(read(client, "s", count=len(taken))) == len(taken)
        big = put(client, "s", [{"data": data(b"y" * 400_000), "partition_id": "0"}] * 10)
        assert 0 < big.failed_record_count < 10
        assert world.code(create, client, "t", partitions=50) == "DIS.4308"
        body = v2.UpdatePartitionCountReq(stream_name="s", target_partition_count=2)
        client.update_partition_count(v2.UpdatePartitionCountRequest(stream_name="s", body=body))
        body = v2.UpdatePartitionCountReq(stream_name="s", target_partition_count=3)
        again = v2.UpdatePartitionCountRequest(stream_name="s", body=body)
        assert world.code(client.update_partition_count, again) == "DIS.4303"
    finally:
        wharf.stop()


def test_without_a_log_the_server_says_so(tmp_path, wharf):
    running = wharf(accounts=world.ACCOUNTS)
    status, _, body = world.raw(running, "POST", "/streams", {"stream_name": "s", "partition_count": 1})
    assert (status, json.loads(body)["error_code"]) == (500, "DIS.5000")
    assert world.raw(running, "GET", "/streams")[0] == 200
