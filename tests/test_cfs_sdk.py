"""The CFS door through Tencent's own SDK, unmodified, over a real S3 server: every action, every signature."""

import csv
import io
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
from harness import peers, server, tree_compare
from tencentcloud.cfs.v20190719 import models
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from trees import make_tree

FS = "cfs-44d53b63e"
SEED_BUCKET = "aileen-data-flow-1251000004"
SEED_ADDRESS = f"https://{SEED_BUCKET}.cos.ap-guangzhou.myqcloud.com"


def call(client, action, **params):
    """One action by the SDK's own models; the answer as a dict without RequestId."""
    request = getattr(models, f"{action}Request")()
    request.from_json_string(json.dumps(params))
    answer = json.loads(getattr(client, action)(request).to_json_string())
    assert len(answer.pop("RequestId")) == 36
    return answer


def refused(client, action, **params):
    """The code and message that an action is refused with."""
    with pytest.raises(TencentCloudSDKException) as caught:
        call(client, action, **params)
    assert caught.value.requestId, "a refusal carries the request's id"
    return caught.value.code, caught.value.message


def window():
    day = lambda t: time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(t))
    return {"StartTime": day(time.time() - 86_400), "EndTime": day(time.time() + 86_400)}


def lifecycle(client, task):
    return call(client, "DescribeLifecycleDataTask", TaskId=task, **window())["LifecycleDataTask"][0]


def migration(client, task):
    return call(client, "DescribeMigrationTasks", Filters=[{"Name": "taskId", "Values": [task]}])["MigrationTasks"][0]


def ended(client, task, want="finished"):
    """Waits for a lifecycle task and returns how it ended."""
    state = peers.wait_until(
        f"the end of {task}", lambda: (s := lifecycle(client, task))["TaskStatus"] in ("finished", "failed", "stopped") and s, 60
    )
    assert state["TaskStatus"] == want, state
    assert state["FileTotalCount"] == state["FileSuccessedCount"] + state["FileFailedCount"] or want == "stopped", state
    return state


def migrated(client, task, want=0):
    state = peers.wait_until(f"the end of {task}", lambda: (s := migration(client, task))["Status"] in (0, 4, 6) and s, 60)
    assert state["Status"] == want, state
    return state


def make_bucket(weed, name):
    s3 = weed.client()
    if name not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=name)
    for old in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=old["Key"])
    return s3


def keys(s3, bucket, prefix=""):
    return {o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])}


@pytest.fixture
def place(wharf, weed, tmp_path):
    """A server with one CFS file system and the seed document's bucket. Calling it again gives another server."""
    def start(name="wharf", **sections):
        root = tmp_path / f"{name}-fs"
        root.mkdir()
        s3 = make_bucket(weed, SEED_BUCKET)
        running = wharf(
            name,
            filesystems=[server.filesystem(FS, "cfs", root, version="v4.0", description="first", capacity_gib=100)],
            object_stores=[server.object_store("cos", weed.url, weed.access_key, weed.secret_key, region="us-east-1")],
            sections=sections or None,
        )
        key = {"SecretId": weed.access_key, "SecretKey": weed.secret_key}
        return SimpleNamespace(
            server=running, client=running.cfs(), root=root, s3=s3, key=key,
            source={"SrcSecretId": weed.access_key, "SrcSecretKey": weed.secret_key},
        )

    return start


def flow(place, target="/cfs/test11", source="test3", **more):
    params = {
        "FileSystemId": FS, "SourceStorageType": "S3_COS", "SourceStorageAddress": SEED_ADDRESS, "SourcePath": source,
        "TargetPath": target, **place.key, **more,
    }
    return call(place.client, "CreateDataFlow", **params)["DataFlowId"]


def task(place, kind, path="/cfs/test11", name="t", **more):
    if "ListPath" not in more:
        more["TaskPath"] = path
    return call(place.client, "CreateLifecycleDataTask", FileSystemId=FS, Type=kind, TaskName=name, **more)["TaskId"]


def migrate(place, **more):
    params = {
        "TaskName": "m", "MigrationType": 0, "MigrationMode": 0, "FileSystemId": FS, "FsPath": "/in", "CoverType": 0,
        "SrcService": "COS", "BucketName": SEED_BUCKET, **place.source, **more,
    }
    return call(place.client, "CreateMigrationTask", **{k: v for k, v in params.items() if v is not None})["TaskId"]


@pytest.mark.both_stores
def test_the_seed_documents_example_as_written(place):
    """Only names are registered: the file system, the bucket, and the document's own key pair at the store."""
    p = place()
    request = models.CreateDataFlowRequest()
    request.from_json_string(json.dumps({
        "FileSystemId": "cfs-44d53b63e", "SourceStorageType": "S3_COS", "SourceStorageAddress": SEED_ADDRESS,
        "SourcePath": "test3", "TargetPath": "/cfs/test11", **p.key, "DataFlowName": "abctest",
    }))
    answer = p.client.CreateDataFlow(request)
    assert answer.DataFlowId.startswith("cfs-dataflow-") and len(answer.DataFlowId) == 21
    assert answer.RequestId
    shown = call(p.client, "DescribeDataFlow")
    assert shown["TotalCount"] == 1
    info = shown["DataFlows"][0]
    assert info["Status"] == "available" and info["DataFlowName"] == "abctest" and info["SourcePath"] == "test3"
    time.strptime(info["CreationTime"], "%Y-%m-%d %H:%M:%S")
    assert (p.root / "test11").is_dir()


def test_the_seed_documents_key_is_refused_where_the_store_does_not_know_it(place):
    p = place()
    params = {
        "FileSystemId": FS, "SourceStorageType": "S3_COS", "SourceStorageAddress": SEED_ADDRESS, "SourcePath": "test3",
        "TargetPath": "/cfs/test11", "SecretId": "AKIDbzzYj65vue75sC1yg8P4cyBHBpLk", "SecretKey": "onE8m9NN82ik6h3FCvXt2uc3Sjp",
    }
    code, message = refused(p.client, "CreateDataFlow", **params)
    assert code == "InvalidParameterValue.InvalidDataFlowSourceInfo"
    assert "onE8m9NN82ik6h3FCvXt2uc3Sjp" not in message


@pytest.mark.both_stores
def test_a_real_tree_goes_to_the_bucket_and_comes_back(place, tmp_path):
    p = place()
    flow(p)
    tree, kept = p.root / "test11", tmp_path / "kept"
    make_tree(tree, files=200, large=1, large_size=20 << 20)
    os.setxattr(tree / "odd names/plain+sign", "user.colour", b"blue")
    shutil.copytree(tree, kept, symlinks=True)
    before = tree_compare.snapshot(tree)
    sent = ended(p.client, task(p, "archive"))
    assert sent["FileFailedCount"] == 0 and sent["FileSuccessedSize"] == sent["FileTotalSize"] > 20 << 20
    assert len(keys(p.s3, SEED_BUCKET, "test3/")) > 200
    assert tree_compare.diff(before, tree_compare.snapshot(tree)) == [], "archiving leaves the hot copy alone"
    shutil.rmtree(tree)
    back = ended(p.client, task(p, "restore"))
    assert back["FileSuccessedCount"] == sent["FileSuccessedCount"] and back["FileSuccessedSize"] == back["FileTotalSize"]
    tree_compare.assert_alike(before, tree_compare.snapshot(tree), leave=("root", "dir_mtime", "xattrs"))
    assert os.getxattr(tree / "odd names/plain+sign", "user.colour") == b"blue"


def test_parts_of_a_tree_by_path_and_by_list(place):
    p = place()
    flow(p)
    base = p.root / "test11"
    for name in ("a.txt", "dir/b.txt", "dir/sub/c.txt", "dirx", "other/d.txt"):
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)

    def files():
        return {str(f.relative_to(base)) for f in base.rglob("*") if f.is_file()} if base.exists() else set()

    def sent():
        return {k.removeprefix("test3/") for k in keys(p.s3, SEED_BUCKET, "test3/") if not k.endswith("/")}

    ended(p.client, task(p, "archive", "/cfs/test11/dir/b.txt"))
    assert sent() == {"dir/b.txt"}
    ended(p.client, task(p, "archive", "/cfs/test11/dir"))
    assert sent() == {"dir/b.txt", "dir/sub/c.txt"}
    (p.root / "lists").mkdir()
    (p.root / "lists/l.txt").write_text("/cfs/test11/a.txt\n/cfs/test11/other/\n/cfs/test11/dirx\n")
    state = ended(p.client, task(p, "archive", ListPath="/cfs/lists/l.txt"))
    assert (state["ListPath"], state["TaskPath"]) == ("/cfs/lists/l.txt", "")
    assert sent() == {"a.txt", "dir/b.txt", "dir/sub/c.txt", "dirx", "other/d.txt"}
    shutil.rmtree(base)
    ended(p.client, task(p, "restore", "/cfs/test11/a.txt"))
    assert files() == {"a.txt"}
    ended(p.client, task(p, "restore", "/cfs/test11/dir"))
    assert files() == {"a.txt", "dir/b.txt", "dir/sub/c.txt"}, "a directory that is in the bucket only"
    ended(p.client, task(p, "restore", ListPath="/cfs/lists/l.txt"))
    assert files() == {"a.txt", "dir/b.txt", "dir/sub/c.txt", "dirx", "other/d.txt"}
    assert (base / "dir/sub/c.txt").read_text() == "dir/sub/c.txt"


def test_overwriting_is_asked_for(place):
    p = place()
    flow(p)
    local = p.root / "test11/f"
    local.write_text("local one")
    p.s3.put_object(Bucket=SEED_BUCKET, Key="test3/f", Body=b"remote")
    ended(p.client, task(p, "archive"))
    assert p.s3.get_object(Bucket=SEED_BUCKET, Key="test3/f")["Body"].read() == b"remote"
    ended(p.client, task(p, "restore"))
    assert local.read_text() == "local one"
    ended(p.client, task(p, "restore", IsOverwrite=True))
    assert local.read_text() == "remote"
    local.write_text("local two!")
    state = ended(p.client, task(p, "archive", IsOverwrite=True))
    assert state["IsOverwrite"] is True
    assert p.s3.get_object(Bucket=SEED_BUCKET, Key="test3/f")["Body"].read() == b"local two!"


@pytest.mark.both_stores
def test_failures_are_counted_and_listed(place):
    p = place()
    flow(p)
    p.s3.put_object(Bucket=SEED_BUCKET, Key="test3/good", Body=b"12345")
    p.s3.put_object(Bucket=SEED_BUCKET, Key="test3/blocked/by", Body=b"123")
    (p.root / "test11/blocked").write_text("a file where a directory should be")
    state = ended(p.client, task(p, "restore"), "failed")
    assert (state["FileTotalCount"], state["FileSuccessedCount"], state["FileFailedCount"]) == (2, 1, 1)
    assert (p.root / "test11/good").read_bytes() == b"12345"

    def rows(url):
        with urllib.request.urlopen(url, timeout=10) as answer:
            return list(csv.DictReader(io.StringIO(answer.read().decode())))

    assert [r["path"] for r in rows(state["FileSuccessedList"])] == ["good"]
    assert len(rows(state["FileTotalList"])) == 2
    failed = rows(state["FileFailedList"])
    assert len(failed) == 1 and failed[0]["reason"]
    for bad in (state["FileFailedList"].split("?")[0], state["FileFailedList"][:-1] + "0", state["FileFailedList"].replace("failed.csv", "total.csv")):
        if bad == state["FileFailedList"]:
            continue
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(bad, timeout=10)
        assert caught.value.code == 404, "a list is only given to who has its address"


@pytest.mark.both_stores
def test_migrations_both_ways_and_by_list(place):
    p = place()
    for key, body in (("in/a", b"1"), ("in/b/c", b"22"), ("elsewhere", b"333"), ("lists/l.txt", f"{SEED_ADDRESS}/in/a\nin/b/c\n".encode())):
        p.s3.put_object(Bucket=SEED_BUCKET, Key=key, Body=body)
    state = migrated(p.client, migrate(p, BucketPath="/in", TaskName="way in", FsName="mine"))
    assert (p.root / "in/b/c").read_bytes() == b"22" and not (p.root / "in/elsewhere").exists()
    assert (state["FileTotalCount"], state["FileMigratedCount"], state["FileFailedCount"], state["FileMigratedSize"]) == (2, 2, 0, 3)
    assert state["EndTime"] >= state["CreateTime"] > 1_600_000_000_000
    assert (state["BucketPath"], state["FsPath"], state["FsName"], state["SrcService"]) == ("/in", "/in", "mine", "COS")
    (p.root / "in/b/c").write_bytes(b"changed here")
    migrated(p.client, migrate(p, BucketPath="/in", CoverType=2))
    assert (p.root / "in/b/c").read_bytes() == b"changed here"
    os.utime(p.root / "in/b/c", (2_000_000_000, 2_000_000_000))
    migrated(p.client, migrate(p, BucketPath="/in", CoverType=0))
    assert (p.root / "in/b/c").read_bytes() == b"changed here", "the later time wins"
    migrated(p.client, migrate(p, BucketPath="/in", CoverType=1))
    assert (p.root / "in/b/c").read_bytes() == b"22"
    (p.root / "out").mkdir()
    (p.root / "out/new").write_bytes(b"from the file system")
    migrated(p.client, migrate(p, Direction=1, FsPath="out", BucketPath="/back", BucketName=None, BucketAddress=SEED_ADDRESS))
    assert p.s3.get_object(Bucket=SEED_BUCKET, Key="back/new")["Body"].read() == b"from the file system"
    listed = migrate(p, MigrationType=1, ListAddress=f"{SEED_ADDRESS}/lists/l.txt", BucketName=None, FsPath="/listed")
    state = migrated(p.client, listed)
    assert state["FileMigratedCount"] == 2 and (p.root / "listed/in/b/c").read_bytes() == b"22"
    assert call(p.client, "DescribeMigrationTasks", Filters=[{"Name": "taskName", "Values": ["way"]}])["TotalCount"] == 1
    assert call(p.client, "DeleteMigrationTask", TaskId=listed) == {}
    assert refused(p.client, "DeleteMigrationTask", TaskId=listed)[0] == "ResourceNotFound"


@pytest.mark.both_stores
def test_stopping_what_runs(place):
    p = place(limits={"bandwidth": "1MiB"})
    own = flow(p)
    with open(p.root / "test11/large", "wb") as f:
        f.write(os.urandom(24 << 20))
    running = task(p, "archive")
    peers.wait_until("the task at work", lambda: lifecycle(p.client, running)["TaskStatus"] == "running", 20)
    code, _ = refused(p.client, "DeleteDataFlow", DataFlowId=own)
    assert code == "UnsupportedOperation.InvalidLifecycleDataTaskStatus"
    assert call(p.client, "StopLifecycleDataTask", TaskId=running) == {}
    assert lifecycle(p.client, running)["TaskStatus"] in ("stopping", "stopped")
    ended(p.client, running, "stopped")
    assert keys(p.s3, SEED_BUCKET, "test3/large") == set(), "half an object never shows"
    assert refused(p.client, "StopLifecycleDataTask", TaskId=running)[0] == "UnsupportedOperation.InvalidLifecycleDataTaskStatus"
    moving = migrate(p, Direction=1, FsPath="/test11", BucketPath="/m")
    peers.wait_until("the migration at work", lambda: migration(p.client, moving)["Status"] == 2, 20)
    assert refused(p.client, "DeleteMigrationTask", TaskId=moving)[0] == "ResourceInUse"
    assert call(p.client, "StopMigrationTask", TaskId=moving) == {"TaskId": moving, "Status": 3}
    migrated(p.client, moving, 4)
    assert refused(p.client, "StopMigrationTask", TaskId=moving)[0] == "ResourceInUse"
    assert call(p.client, "DeleteDataFlow", DataFlowId=own, FileSystemId=FS) == {}
    assert call(p.client, "DescribeDataFlow")["TotalCount"] == 0
    assert (p.root / "test11/large").stat().st_size == 24 << 20


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("sign", ["TC3-HMAC-SHA256", "HmacSHA256", "HmacSHA1"])
def test_every_signature_and_method(place, sign, method):
    """The older signatures carry the caller's id as `SecretId`, which the SDK writes over CreateDataFlow's own: what
    arrives is a key of the caller's id, and the store does not know that one."""
    p = place()
    name, newest = "\u6570\u636e_1", p.client
    p.client = older = p.server.cfs(sign_method=sign)
    p.client.profile.httpProfile.reqMethod = method
    if sign != "TC3-HMAC-SHA256":
        with pytest.raises(TencentCloudSDKException) as caught:
            flow(p)
        assert caught.value.code == "InvalidParameterValue.InvalidDataFlowSourceInfo"
        p.client = newest
    own = flow(p, DataFlowName=name, AutoRefresh=0)
    p.client = older
    listed = call(p.client, "DescribeDataFlow", Limit=10, Offset=0, FileSystemId=FS)
    assert listed["DataFlows"][0]["DataFlowName"] == "\u6570\u636e_1"
    (p.root / "test11/f").write_text("x")
    done = task(p, "archive", IsOverwrite=True, name="a b+c&d=e")
    ended(p.client, done)
    filters = [{"Name": "TaskName", "Values": ["other", "a b+c&d=e"]}, {"Name": "Type", "Values": ["archive"]}]
    found = call(p.client, "DescribeLifecycleDataTask", Filters=filters, **window())
    assert [t["TaskId"] for t in found["LifecycleDataTask"]] == [done]
    tags = call(p.client, "DescribeCfsFileSystems", Tags=[{"TagKey": "k", "TagValue": "v"}])
    assert tags["TotalCount"] == 0
    assert call(p.client, "DescribeMigrationTasks", Limit=5)["TotalCount"] == 0
    assert refused(p.client, "DescribeDataFlow", Limit=101)[0] == "InvalidParameterValue"
    stranger = p.server.cfs(secret_key="wrong-secret", sign_method=sign)
    stranger.profile.httpProfile.reqMethod = method
    assert refused(stranger, "DescribeDataFlow")[0] == "AuthFailure.SignatureFailure"
    unknown = p.server.cfs(access_key="AKIDnobody", sign_method=sign)
    unknown.profile.httpProfile.reqMethod = method
    assert refused(unknown, "DescribeDataFlow")[0] == "AuthFailure.SecretIdNotFound"
    assert call(p.client, "DeleteDataFlow", DataFlowId=own) == {}


def test_lookups(place):
    p = place()
    buckets = call(p.client, "DescribeBucketList", SrcService="COS", **p.source)
    assert {"Name": SEED_BUCKET, "Region": "us-east-1"} in buckets["BucketList"]
    assert buckets["TotalCount"] == len(buckets["BucketList"])
    bad = {"SrcSecretId": p.source["SrcSecretId"], "SrcSecretKey": "wrong"}
    assert refused(p.client, "DescribeBucketList", SrcService="COS", **bad)[0] == "AuthFailure.GetRoleFailed"
    systems = call(p.client, "DescribeCfsFileSystems", Filters=[{"Name": "Protocol", "Values": ["TURBO"]}])
    assert systems["TotalCount"] == 1
    fs = systems["FileSystems"][0]
    assert (fs["FileSystemId"], fs["LifeCycleState"], fs["Version"], fs["Capacity"]) == (FS, "available", "v4.0", 100)
    assert fs["SizeByte"] > 0 and fs["AppId"] == 1250000000


@pytest.mark.both_stores
def test_modifying_a_flow(place):
    p = place()
    own = flow(p)
    base = {"DataFlowId": own, "FileSystemId": FS}
    wrong = {"SecretId": p.key["SecretId"], "SecretKey": "wrong"}
    assert refused(p.client, "ModifyDataFlow", **base, **wrong)[0] == "InvalidParameterValue.InvalidDataFlowSourceInfo"
    kafka = {"UserKafkaTopic": "1251000004-e37d", "ServerAddr": "kafkaconsumer-ap-beijing.cls.tencentyun.com:9095", "UserName": "name"}
    answer = call(p.client, "ModifyDataFlow", **base, DataFlowName="renamed", AutoRefresh=1, Password="pass-word-2", **kafka, **p.key)
    assert answer == {"DataFlowId": own}
    shown = call(p.client, "DescribeDataFlow", DataFlowId=own)["DataFlows"][0]
    assert (shown["DataFlowName"], shown["AutoRefresh"], shown["AutoRefreshStatus"]) == ("renamed", 1, "pending")
    assert {k: shown[k] for k in kafka} == kafka and shown["Status"] == "available"
    (p.root / "test11/f").write_text("x")
    ended(p.client, task(p, "archive"))


CODES = [
    ("CreateDataFlow", {"FileSystemId": "x"}, "InvalidParameterValue.InvalidFileSystemId"),
    ("CreateDataFlow", {"FileSystemId": "cfs-unknown1"}, "ResourceNotFound.FileSystemNotFound"),
    ("CreateDataFlow", {"SourceStorageType": "S3"}, "InvalidParameterValue.InvalidDataFlowSourceStorageType"),
    ("CreateDataFlow", {"SourceStorageAddress": "https://elsewhere.example.com"}, "InvalidParameterValue.InvalidDataFlowSourceInfo"),
    ("CreateDataFlow", {"SourceStorageAddress": "https://no-such-bucket-1.cos.ap-guangzhou.myqcloud.com"}, "InvalidParameterValue.InvalidDataFlowSourceInfo"),
    ("CreateDataFlow", {"SecretKey": "wrong"}, "InvalidParameterValue.InvalidDataFlowSourceInfo"),
    ("CreateDataFlow", {"TargetPath": "/cfs/../../etc"}, "InvalidParameterValue.InvalidDataFlowTargetPath"),
    ("CreateDataFlow", {"TargetPath": "/test11"}, "InvalidParameterValue.InvalidDataFlowTargetPath"),
    ("CreateDataFlow", {"DataFlowName": "a b"}, "InvalidParameterValue.InvalidDataFlowName"),
    ("CreateDataFlow", {"TargetPath": None}, "MissingParameter"),
    ("CreateDataFlow", {"AutoRefresh": 1}, "MissingParameter"),
    ("ModifyDataFlow", {"DataFlowId": "cfs-dataflow-00000000", "FileSystemId": FS}, "InvalidParameterValue.InvalidDataFlowId"),
    ("DeleteDataFlow", {"DataFlowId": "cfs-dataflow-00000000"}, "InvalidParameterValue.InvalidDataFlowId"),
    ("DescribeDataFlow", {"CfsVersion": "v9"}, "InvalidParameterValue.InvalidCfsVersionValue"),
    ("CreateLifecycleDataTask", {"Type": "metaload"}, "UnsupportedOperation"),
    ("CreateLifecycleDataTask", {"Type": "release"}, "UnsupportedOperation"),
    ("CreateLifecycleDataTask", {"Type": "x"}, "InvalidParameterValue.InvalidLifecycleDataTaskType"),
    ("CreateLifecycleDataTask", {"ListPath": "/cfs/l"}, "InvalidParameter.ListPathAndTaskPathConflict"),
    ("CreateLifecycleDataTask", {"TaskPath": None, "ListPath": "/l"}, "InvalidParameter.ListPathInvalidPrefix"),
    ("CreateLifecycleDataTask", {"TaskPath": None, "ListPath": "/cfs/l"}, "InvalidParameterValue.ListPathFileNotFound"),
    ("CreateLifecycleDataTask", {"TaskPath": "/cfs/other"}, "InvalidParameterValue.InvalidDataFlowTargetPath"),
    ("CreateLifecycleDataTask", {"DataFlowId": "x"}, "InvalidParameterValue.InvalidDataFlowId"),
    ("DescribeLifecycleDataTask", {"StartTime": "x", "EndTime": "y"}, "InvalidParameterValue"),
    ("StopLifecycleDataTask", {"TaskId": "task-0000000000000000"}, "InvalidParameterValue.InvalidLifecycleTaskId"),
    ("CreateMigrationTask", {"SrcService": "S3"}, "InvalidParameterValue"),
    ("CreateMigrationTask", {"BucketName": "no-such-bucket-1"}, "InvalidParameterValue"),
    ("CreateMigrationTask", {"SrcSecretKey": "wrong"}, "InvalidParameterValue"),
    ("CreateMigrationTask", {"FsPath": "/cfs/x"}, "InvalidParameterValue"),
    ("StopMigrationTask", {"TaskId": "cfsmigrate-00000000"}, "ResourceNotFound"),
    ("DeleteMigrationTask", {"TaskId": "cfsmigrate-00000000"}, "ResourceNotFound"),
    ("DescribeMigrationTasks", {"Filters": [{"Name": "x", "Values": ["y"]}]}, "InvalidParameterValue"),
    ("DescribeBucketList", {"SrcService": "S3", "SrcSecretId": "a", "SrcSecretKey": "b"}, "InvalidParameterValue"),
    ("DescribeCfsFileSystems", {"FileSystemId": "x"}, "InvalidParameterValue.InvalidFileSystemId"),
]


def test_refusals_are_the_sdks_exceptions(place):
    p = place()
    flow(p)
    base = {
        "CreateDataFlow": {
            "FileSystemId": FS, "SourceStorageType": "S3_COS", "SourceStorageAddress": SEED_ADDRESS, "SourcePath": "test3",
            "TargetPath": "/cfs/second", **p.key,
        },
        "CreateLifecycleDataTask": {"FileSystemId": FS, "Type": "archive", "TaskName": "t", "TaskPath": "/cfs/test11"},
        "CreateMigrationTask": {
            "TaskName": "m", "MigrationType": 0, "MigrationMode": 0, "FileSystemId": FS, "FsPath": "/in", "CoverType": 0,
            "SrcService": "COS", "BucketName": SEED_BUCKET, **p.source,
        },
    }
    got = []
    for action, change, _ in CODES:
        params = {**base.get(action, {}), **change}
        got.append((action, change, refused(p.client, action, **{k: v for k, v in params.items() if v is not None})[0]))
    assert got == CODES


def test_secrets_appear_nowhere(place, weed):
    """Not in an answer, not in the log, not in any file of the server's."""
    p = place(log={"level": "debug"})
    answers = []
    said = "pass-word-never-shown"
    own = flow(p, AutoRefresh=1, UserKafkaTopic="t", ServerAddr="h:9095", UserName="n", Password=said)
    (p.root / "test11/f").write_text("x")
    ended(p.client, task(p, "archive"))
    moved = migrate(p)
    migrated(p.client, moved)
    call(p.client, "ModifyDataFlow", DataFlowId=own, FileSystemId=FS, **p.key)
    for action, params in (
        ("DescribeDataFlow", {}), ("DescribeLifecycleDataTask", window()), ("DescribeMigrationTasks", {}), ("DescribeCfsFileSystems", {}),
        ("DescribeBucketList", {"SrcService": "COS", **p.source}),
    ):
        answers.append(json.dumps(call(p.client, action, **params)))
    answers.append(refused(p.client, "DescribeBucketList", SrcService="COS", SrcSecretId="a", SrcSecretKey=said)[1])
    p.server.stop()
    secrets = [weed.secret_key, said, p.server.secret_key]
    texts = {"answers": "\n".join(answers).encode(), "log": p.server.log.read_bytes()}
    texts |= {str(f): f.read_bytes() for f in p.server.data_dir.rglob("*") if f.is_file()}
    leaks = [(where, secret) for where, text in texts.items() for secret in secrets if secret.encode() in text]
    assert leaks == []


@pytest.mark.both_stores
def test_flows_and_tasks_survive_a_restart(place):
    p = place()
    own = flow(p)
    (p.root / "test11/f").write_text("x")
    done = ended(p.client, task(p, "archive"))
    p.server.kill9()
    p.server.start()
    p.client = p.server.cfs()
    assert call(p.client, "DescribeDataFlow")["DataFlows"][0]["DataFlowId"] == own
    again = lifecycle(p.client, done["TaskId"])
    lists = [n for n in again if n.endswith("List")]
    assert {k: v for k, v in again.items() if k not in lists} == {k: v for k, v in done.items() if k not in lists}
    (p.root / "test11/g").write_text("y")
    ended(p.client, task(p, "archive"))
    assert keys(p.s3, SEED_BUCKET, "test3/") >= {"test3/f", "test3/g"}
