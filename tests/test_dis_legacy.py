"""Streams with Huawei's older SDK, unmodified: its signatures, its paths, protobuf; and what the Java SDK sends besides."""

from __future__ import annotations

import json

import pytest
from dis_sdk_python.com.huaweicloud.dis.sdk.python.proto import record_pb2
from dis_sdk_python.com.huaweicloud.dis.sdk.python.models.disexception import DisException

from harness import dis as world

PROTOBUF = "application/x-protobuf;charset=utf-8"


@pytest.fixture(params=["json", "protobuf", "plain-key"])
def client(dis, request):
    return world.legacy(dis, request.param == "protobuf", request.param != "plain-key")


def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except DisException as e:
        return str(e)
    raise AssertionError("not refused")


def test_every_call(dis, client):
    assert client.createStream("s", 2, "BLOB", "COMMON", 24).statusCode == 201
    assert "DIS.4307" in refused(client.createStream, "s", 2, "BLOB", "COMMON")
    assert client.listStream().stream_names == ["s"]
    shown = client.describeStream("s")
    assert (shown.streamName, shown.status, shown.currentPartitionCount, shown.hasMorePartitions) == ("s", "RUNNING", 2, False)
    id = shown.body["stream_id"]
    assert client.describeStream("none", streamId=id).streamName == "s"
    records = [{"data": f"d{i}", "partition_id": "shardId-0000000000", "partition_key": f"k{i}"} for i in range(5)]
    sent = client.put_records("s", "", records)
    assert sent.failedRecordCount == 0
    assert [(r["partition_id"], r["sequence_number"]) for r in sent.recordResult] == [("shardId-0000000000", str(i)) for i in range(5)]
    assert client.put_records("", id, [{"data": "by id", "partition_id": "1"}]).failedRecordCount == 0
    cursor = client.getCursor("s", "shardId-0000000000", "AT_SEQUENCE_NUMBER", "1").cursor
    assert client.getCursor("", "0", "TRIM_HORIZON", streamId=id).cursor
    got = client.getRecords(cursor, limit=3)
    def plain(d):
        return d.decode() if isinstance(d, bytes) else d

    assert [(plain(r["data"]), r["partitionKey"], r["sequence_number"]) for r in got.recordResult] == [(f"d{i}", f"k{i}", str(i)) for i in (1, 2, 3)]
    assert [plain(r["data"]) for r in client.getRecords(got.nextPartitionCursor).recordResult] == ["d4"]
    assert "DIS.4217" in refused(client.getRecords, "rubbish")

    assert client.createApp("reader").statusCode == 201
    assert client.describeApp("reader").body["app_name"] == "reader"
    assert [a["app_name"] for a in client.listApp("").apps] == ["reader"]
    assert client.commitCheckpoint("s", "reader", "shardId-0000000000", "3", "words").statusCode == 201
    assert client.commitCheckpoint("", "reader", "1", "0", streamId=id).statusCode == 201
    assert client.getCheckpoint("s", "reader", "0").seqNumber == "3"
    assert client.getCheckpoint("", "reader", "1", streamId=id).seqNumber == "0"
    states = client.streamConsume("s", "reader").partition_consuming_states
    assert [s["sequence_number"] for s in states] == ["3", "0"]
    assert client.streamConsume("", "reader", streamId=id).stream_name == "s"
    assert client.deleteCheckpoint("s", "reader").statusCode == 204
    assert client.deleteApp("reader").statusCode == 204

    import time
    now = int(time.time())
    metrics = client.streamMonitor("s", "total_put_records_per_stream", now - 300, now + 60)
    assert sum(p["value"] for p in metrics.dataPoints) == 6
    metrics = client.partitionMonitor("s", "0", "total_put_records_per_partition", now - 300, now + 60)
    assert sum(p["value"] for p in metrics.dataPoints) == 5

    # A thousand for each partition in one request.
    sent = client.putRecords("s", [{"data": f"m{i}", "partition_key": str(i)} for i in range(2500)])
    assert sent.failedRecordCount == 0 and len(sent.recordResult) == 2500 and all(r["sequence_number"] for r in sent.recordResult)

    assert client.changepartitionQuantity("s", 3).statusCode == 200
    assert client.describeStream("s", startPartitionId="shardId-0000000001", limitPartitions=10).currentPartitionCount == 1
    assert client.deleteStream("s").statusCode == 204
    assert "DIS.4301" in refused(client.describeStream, "s")


def put(dis, body, **headers):
    kind = {"Content-Type": PROTOBUF, **headers}
    status, answered, body = world.raw(dis, "POST", "/records/", body, headers=kind)
    return status, answered, body


def message(values, name="s"):
    m = record_pb2.PutRecordsRequest(streamName=name, streamId="")
    for v in values:
        m.records.add(data=v, partitionId="0", partitionKey="k")
    return m.SerializeToString()


def test_protobuf_by_hand(dis):
    assert world.raw(dis, "POST", "/streams", {"stream_name": "s", "partition_count": 1})[0] == 201
    status, headers, body = put(dis, message([b"\x00\xff", b""]))
    assert status == 200 and "protobuf" in headers["Content-Type"]
    result = record_pb2.PutRecordsResult.FromString(body)
    assert (result.failedRecordCount, [r.sequenceNumber for r in result.records]) == (0, ["0", "1"])
    cursor = json.loads(world.raw(dis, "GET", "/cursors/?stream-name=s&partition-id=0&cursor-type=TRIM_HORIZON")[2])["partition_cursor"]
    from urllib.parse import quote
    status, headers, body = world.raw(dis, "GET", f"/records/?partition-cursor={quote(cursor)}", headers={"Content-Type": PROTOBUF})
    got = record_pb2.GetRecordsResult.FromString(body)
    assert status == 200 and [(r.data, r.partitionKey, r.timestampType) for r in got.records] == [(b"\x00\xff", "k", "CreateTime"), (b"", "k", "CreateTime")]
    assert got.nextShardIterator
    # Whatever comes: an answer, and the server goes on.
    whole = message([b"abc"] * 3)
    for bad in [whole[:n] for n in range(1, len(whole), 3)] + [b"\xff" * 50, b"\x12\xff\xff\xff\xff\x7f", b"\x00", b"\x0a\x01s"]:
        status, _, body = put(dis, bad)
        assert status in (200, 400), body
        assert status == 200 or b"DIS.4" in body
    assert put(dis, message([b"x"] * 10_001))[0] == 400
    assert put(dis, message([b"still here"]))[0] == 200


def test_compressed_bodies_and_bombs(dis):
    """Bodies were compressed by the codecs' reference libraries; see the comments."""
    assert world.raw(dis, "POST", "/streams", {"stream_name": "s", "partition_count": 1})[0] == 201
    plain = json.dumps({"stream_name": "s", "records": [{"data": "aGVsbG8=", "partition_id": "0"}]}).encode()

    def literal_lz4(body):
        # One sequence of literals only.
        extra, n = b"", len(body)
        token = min(n, 15) << 4
        if n >= 15:
            n -= 15
            extra = b"\xff" * (n // 255) + bytes([n % 255])
        return bytes([token]) + extra + body

    def literal_snappy(body):
        length, n = b"", len(body)
        while n >= 0x80:
            length, n = length + bytes([n & 0x7F | 0x80]), n >> 7
        return length + bytes([n]) + bytes([61 << 2]) + (len(body) - 1).to_bytes(2, "little") + body

    def raw_zstd(body):
        # A frame of one raw block, its content's size given.
        return b"\x28\xb5\x2f\xfd\x60" + (len(body) - 256).to_bytes(2, "little") + (len(body) << 3 | 1).to_bytes(3, "little") + body

    plain = plain + b" " * (300 - len(plain))
    for encoding, body in [("lz4", literal_lz4(plain)), ("snappy", literal_snappy(plain)), ("zstd", raw_zstd(plain))]:
        headers = {"Content-Encoding": encoding, f"x-dis-{encoding}-content-length": str(len(plain))}
        status, _, answer = world.raw(dis, "POST", "/records", body, headers=headers)
        assert status == 200, (encoding, answer)
        assert json.loads(answer)["failed_record_count"] == 0
        # It says that it is huge, or is.
        status, _, answer = world.raw(dis, "POST", "/records", body[:40], headers=headers)
        assert status == 400 and b"DIS.4200" in answer
    zeros = 200 << 20
    rle = b"\x28\xb5\x2f\xfd\x00\x68" + b"".join(
        ((128 << 10) << 3 | 2 | (i == 799)).to_bytes(3, "little") + b"\0" for i in range(800))
    for encoding, bomb in [
        ("lz4", literal_lz4(b"x") + b"\x1f" + b"\x01\x00" + b"\xff" * 100_000),
        ("snappy", b"\x80\x80\x80\x64" + b"\xfe\x01\x00" * 50_000),
        ("zstd", rle),
    ]:
        status, _, answer = world.raw(dis, "POST", "/records", bomb, headers={"Content-Encoding": encoding, "x-dis-lz4-content-length": str(zeros)})
        assert status == 400 and b"DIS.4200" in answer, (encoding, answer)
        assert b"large" in answer, (encoding, answer)
    assert world.raw(dis, "POST", "/records", plain, headers={"Content-Encoding": "br"})[0] == 400
