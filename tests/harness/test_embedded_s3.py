"""The embedded S3 endpoint against an unmodified client (boto3), attacked where file-backed servers go wrong."""

import base64
import concurrent.futures
import hashlib
import os
import socket
import threading
import time

import pytest
from botocore.exceptions import ClientError

from harness import peers

HARD_KEYS = [
    "a", "a/b", "a/b/", "a/b/c", "dir/", "dir//x", "/lead", "..", "../up", "x/../y", "./z", ".", "sp ace", "plus+&?#%41",
    "ümlaut/日本", "nl\nx", "tab\tx", "q'\"<>&", "long/" + "n" * 300, "deep/" + "/".join("d" * 60 for _ in range(15)),
    "tail.", "UPPER", "upper", "\u00e9", "e\u0301",
]


@pytest.fixture
def s3(embedded_s3, tmp_path):
    server = embedded_s3(tmp_path / "root")
    client = server.client()
    client.create_bucket(Bucket="bucket")
    client.server = server
    return client


def code(error):
    return error.value.response["Error"]["Code"], error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_every_key_is_kept_apart_and_survives_a_restart(s3):
    for key in HARD_KEYS:
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode(), Metadata={"k": "v1"})

    def check(client):
        listed = client.list_objects_v2(Bucket="bucket")["Contents"]
        assert [o["Key"] for o in listed] == sorted(HARD_KEYS, key=str.encode)
        for item in listed:
            got = client.get_object(Bucket="bucket", Key=item["Key"])
            assert got["Body"].read() == item["Key"].encode()
            assert got["ETag"] == item["ETag"] == '"%s"' % hashlib.md5(item["Key"].encode()).hexdigest()
            assert got["Metadata"] == {"k": "v1"} and item["Size"] == len(item["Key"].encode())

    check(s3)
    s3.server.kill9()
    s3.server.start()
    check(s3.server.client())
    for key in HARD_KEYS:
        s3.server.client().delete_object(Bucket="bucket", Key=key)
    assert "Contents" not in s3.server.client().list_objects_v2(Bucket="bucket")
    assert not list(s3.server.root.parent.glob("up*"))
    s3.server.client().delete_bucket(Bucket="bucket")


def test_paging_over_3000_keys(s3):
    keys = sorted([f"p/{i:05d}" for i in range(3000)] + [f"q/{i % 7}/{i:03d}" for i in range(200)] + ["r"])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: s3.put_object(Bucket="bucket", Key=k, Body=b""), keys))

    def walk(**options):
        names, token = [], {}
        while True:
            page = s3.list_objects_v2(Bucket="bucket", **options, **token)
            names += sorted([o["Key"] for o in page.get("Contents", [])] + [p["Prefix"] for p in page.get("CommonPrefixes", [])])
            assert page["KeyCount"] == len(page.get("Contents", [])) + len(page.get("CommonPrefixes", []))
            if not page["IsTruncated"]:
                return names
            token = {"ContinuationToken": page["NextContinuationToken"]}

    assert walk() == keys
    assert walk(MaxKeys=7, Prefix="q/") == [k for k in keys if k.startswith("q/")]
    assert walk(MaxKeys=1, Delimiter="/") == ["p/", "q/", "r"]
    assert walk(MaxKeys=3, Delimiter="/", Prefix="q/") == [f"q/{i}/" for i in range(7)]
    assert walk(StartAfter="p/02990", MaxKeys=5) == [k for k in keys if k > "p/02990"]
    assert walk(StartAfter="p/02990x", Prefix="p/") == [f"p/{i:05d}" for i in range(2991, 3000)]
    assert walk(Prefix="none/") == []
    marker, seen = "", []
    while True:  # the old listing
        page = s3.list_objects(Bucket="bucket", Marker=marker, Delimiter="/", MaxKeys=2)
        seen += [p["Prefix"] for p in page.get("CommonPrefixes", [])] + [o["Key"] for o in page.get("Contents", [])]
        if not page["IsTruncated"]:
            break
        marker = page["NextMarker"]
    assert seen == ["p/", "q/", "r"]


def test_conditions(s3):
    etag = s3.put_object(Bucket="bucket", Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as e:
        s3.put_object(Bucket="bucket", Key="k", Body=b"two", IfNoneMatch="*")
    assert code(e) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as e:
        s3.put_object(Bucket="bucket", Key="k", Body=b"two", IfMatch='"00"')
    assert code(e) == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"one"
    s3.put_object(Bucket="bucket", Key="k", Body=b"two", IfMatch=etag)
    with pytest.raises(ClientError) as e:
        s3.get_object(Bucket="bucket", Key="k", IfMatch=etag)
    assert code(e)[1] == 412
    etag = s3.head_object(Bucket="bucket", Key="k")["ETag"]
    for call in (s3.get_object, s3.head_object):
        with pytest.raises(ClientError) as e:
            call(Bucket="bucket", Key="k", IfNoneMatch=etag)
        assert code(e)[1] == 304
    # One winner among many.
    def race(i):
        try:
            s3.put_object(Bucket="bucket", Key="race", Body=b"%d" % i, IfNoneMatch="*")
            return 1
        except ClientError:
            return 0
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(race, range(32))) == 1


def test_ranges_and_head(s3):
    body = os.urandom(3_500_000)
    s3.put_object(Bucket="bucket", Key="k", Body=body, ContentType="text/x-a", ContentEncoding="x-b", CacheControl="c")
    head = s3.head_object(Bucket="bucket", Key="k")
    assert head["ContentLength"] == len(body) and head["ContentType"] == "text/x-a" and head["ContentEncoding"] == "x-b"
    assert head["CacheControl"] == "c" and head["AcceptRanges"] == "bytes"
    for text, part in [
        ("bytes=0-0", body[:1]), ("bytes=5-9", body[5:10]), ("bytes=1048575-1048577", body[1048575:1048578]),
        ("bytes=100-", body[100:]), ("bytes=-7", body[-7:]), ("bytes=3499999-9999999", body[3499999:]),
        ("bytes=0-3499999", body),
    ]:
        got = s3.get_object(Bucket="bucket", Key="k", Range=text)
        assert got["Body"].read() == part, text
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206 and got["ContentRange"].endswith("/3500000")
    with pytest.raises(ClientError) as e:
        s3.get_object(Bucket="bucket", Key="k", Range="bytes=3500000-")
    assert code(e)[1] == 416
    s3.put_object(Bucket="bucket", Key="empty", Body=b"")
    assert s3.get_object(Bucket="bucket", Key="empty")["Body"].read() == b""
    for bucket, key, wanted in [("bucket", "no", "NoSuchKey"), ("nobucket", "k", "NoSuchBucket")]:
        with pytest.raises(ClientError) as e:
            s3.get_object(Bucket=bucket, Key=key)
        assert code(e) == (wanted, 404)


def test_multipart(s3):
    parts = [os.urandom(5 << 20), os.urandom(5 << 20), b"tail"]
    id = s3.create_multipart_upload(Bucket="bucket", Key="big", Metadata={"m": "1"}, ContentType="a/b")["UploadId"]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket="bucket")["Uploads"]] == [id]
    etags = {}
    for n in (3, 1, 2):
        s3.upload_part(Bucket="bucket", Key="big", UploadId=id, PartNumber=n, Body=b"x" * 100)
        etags[n] = s3.upload_part(Bucket="bucket", Key="big", UploadId=id, PartNumber=n, Body=parts[n - 1])["ETag"]
    s3.server.kill9()
    s3.server.start()
    client = s3.server.client()
    page = client.list_parts(Bucket="bucket", Key="big", UploadId=id, MaxParts=2)
    assert page["IsTruncated"] and [p["PartNumber"] for p in page["Parts"]] == [1, 2]
    rest = client.list_parts(Bucket="bucket", Key="big", UploadId=id, PartNumberMarker=page["NextPartNumberMarker"])
    listed = page["Parts"] + rest["Parts"]
    assert [(p["PartNumber"], p["ETag"], p["Size"]) for p in listed] == [(n, etags[n], len(parts[n - 1])) for n in (1, 2, 3)]

    def complete(numbers, **options):
        named = [{"PartNumber": n, "ETag": etags[n]} for n in numbers]
        return client.complete_multipart_upload(Bucket="bucket", Key="big", UploadId=id, MultipartUpload={"Parts": named}, **options)

    for numbers, wanted in [((2, 1), "InvalidPartOrder"), ((1, 3, 2), "InvalidPartOrder")]:
        with pytest.raises(ClientError) as e:
            complete(numbers)
        assert code(e)[0] == wanted
    etags[4] = '"beef"'
    with pytest.raises(ClientError) as e:
        complete((1, 4))
    assert code(e)[0] == "InvalidPart"
    etag = complete((1, 2, 3), IfNoneMatch="*")["ETag"]
    md5s = b"".join(hashlib.md5(p).digest() for p in parts)
    assert etag == '"%s-3"' % hashlib.md5(md5s).hexdigest()
    got = client.get_object(Bucket="bucket", Key="big", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"".join(parts) and got["Metadata"] == {"m": "1"} and got["ContentType"] == "a/b"
    assert "ChecksumCRC64NVME" in got
    with pytest.raises(ClientError) as e:
        complete((1, 2, 3))
    assert code(e) == ("NoSuchUpload", 404)
    id = client.create_multipart_upload(Bucket="bucket", Key="gone")["UploadId"]
    client.upload_part(Bucket="bucket", Key="gone", UploadId=id, PartNumber=1, Body=b"1")
    client.abort_multipart_upload(Bucket="bucket", Key="gone", UploadId=id)
    with pytest.raises(ClientError) as e:
        client.list_parts(Bucket="bucket", Key="gone", UploadId=id)
    assert code(e)[0] == "NoSuchUpload"


def test_small_parts_are_refused(s3):
    id = s3.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
    named = [{"PartNumber": n, "ETag": s3.upload_part(Bucket="bucket", Key="k", UploadId=id, PartNumber=n, Body=b"s")["ETag"]} for n in (1, 2)]
    with pytest.raises(ClientError) as e:
        s3.complete_multipart_upload(Bucket="bucket", Key="k", UploadId=id, MultipartUpload={"Parts": named})
    assert code(e)[0] == "EntityTooSmall"


def test_sums(s3):
    body = b"some bytes"
    for name, sum in [("SHA256", hashlib.sha256(body)), ("SHA1", hashlib.sha1(body))]:
        given = {f"Checksum{name}": base64.b64encode(sum.digest()).decode()}
        assert s3.put_object(Bucket="bucket", Key="k", Body=body, **given)[f"Checksum{name}"] == given[f"Checksum{name}"]
        assert s3.head_object(Bucket="bucket", Key="k", ChecksumMode="ENABLED")[f"Checksum{name}"] == given[f"Checksum{name}"]
        with pytest.raises(ClientError) as e:
            s3.put_object(Bucket="bucket", Key="k", Body=b"other", **given)
        assert code(e)[0] == "BadDigest"
    with pytest.raises(ClientError) as e:
        s3.put_object(Bucket="bucket", Key="k", Body=body, ContentMD5=base64.b64encode(hashlib.md5(b"x").digest()).decode())
    assert code(e)[0] == "BadDigest"
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == body
    with pytest.raises(ClientError) as e:
        s3.put_object(Bucket="bucket", Key="k", Body=body, Metadata={"a": "x" * 2048})
    assert code(e)[0] == "MetadataTooLarge"


def test_copy(s3):
    s3.put_object(Bucket="bucket", Key="from", Body=b"body", Metadata={"a": "1"}, ContentType="x/y")
    s3.copy_object(Bucket="bucket", Key="to", CopySource="bucket/from")
    s3.copy_object(Bucket="bucket", Key="from", CopySource="bucket/from", Metadata={"b": "2"}, MetadataDirective="REPLACE")
    assert s3.head_object(Bucket="bucket", Key="to")["Metadata"] == {"a": "1"}
    got = s3.get_object(Bucket="bucket", Key="from")
    assert got["Metadata"] == {"b": "2"} and got["Body"].read() == b"body"


def test_wrong_keys_are_refused(s3):
    for access, secret, wanted in [("test", "wrong", "SignatureDoesNotMatch"), ("nobody", "x", None)]:
        with pytest.raises(ClientError) as e:
            peers.s3_client(s3.server.url, access, secret).list_objects_v2(Bucket="bucket")
        assert code(e)[1] in (400, 403) and wanted in (None, code(e)[0])
    import urllib.request
    import urllib.error
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(f"{s3.server.url}/bucket?list-type=2", timeout=5)
    assert e.value.code == 403


def test_a_reader_sees_one_version_and_a_broken_upload_leaves_nothing(s3):
    versions = [bytes([n]) * 2_500_000 for n in range(4)]
    s3.put_object(Bucket="bucket", Key="k", Body=versions[0])
    stop = threading.Event()

    def write():
        n = 0
        while not stop.is_set():
            n = (n + 1) % 4
            s3.put_object(Bucket="bucket", Key="k", Body=versions[n])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(40):
            got = s3.get_object(Bucket="bucket", Key="k")
            body = got["Body"].read()
            assert body in versions and got["ETag"].strip('"') == hashlib.md5(body).hexdigest()
    finally:
        stop.set()
        writer.join()
    url = s3.generate_presigned_url("put_object", {"Bucket": "bucket", "Key": "torn"})
    host, port = s3.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(f"PUT {url.removeprefix(s3.server.url)} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n\r\nabc".encode())
    time.sleep(0.3)
    with pytest.raises(ClientError) as e:
        s3.head_object(Bucket="bucket", Key="torn")
    assert code(e)[1] == 404
    assert not list((s3.server.root / ".embedded-s3" / "temp").iterdir())


def test_a_tree_that_was_copied_in_is_served(embedded_s3, tmp_path):
    root = tmp_path / "root"
    (root / "bucket" / "d").mkdir(parents=True)
    (root / "bucket" / "d" / "f").write_bytes(b"plain")
    server = embedded_s3(root)
    assert server.client().get_object(Bucket="bucket", Key="d/f")["Body"].read() == b"plain"
    server.client().put_object(Bucket="bucket", Key="d/g", Body=b"new", Metadata={"x": "y"})
    assert (root / "bucket" / "d" / "g").read_bytes() == b"new"
    server.stop()
    (root / "bucket" / "d" / "g").write_bytes(b"edited")
    server.start()
    got = server.client().get_object(Bucket="bucket", Key="d/g")
    assert got["Body"].read() == b"edited" and got["Metadata"] == {}
