"""The CFS door through Tencent's command line client."""

import json
import os
import subprocess
import time

import pytest
from harness import peers, server

FS = "cfs-44d53b63e"
BUCKET = "tccli-1251000004"


class Refused(Exception):
    """tccli ended with an error; holds what it said."""


@pytest.fixture
def tccli(wharf, weed, tmp_path):
    try:
        program = peers.binary("WHARF_TEST_TCCLI", peers.VENV / "tccli", "tccli")
    except peers.Missing as e:
        pytest.skip(str(e))
    root = tmp_path / "fs"
    root.mkdir()
    s3 = weed.client()
    if BUCKET not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    running = wharf(
        filesystems=[server.filesystem(FS, "cfs", root)],
        object_stores=[server.object_store("cos", weed.url, weed.access_key, weed.secret_key)],
    )
    home = tmp_path / "home"
    home.mkdir()

    def run(action, *words, **params):
        given = [w for name, value in params.items() for w in (f"--{name}", value if isinstance(value, str) else json.dumps(value))]
        done = subprocess.run(
            [
                str(program), "cfs", action, "--secretId", running.access_key, "--secretKey", running.secret_key,
                "--region", "ap-guangzhou", "--endpoint", running.url, *words, *given,
            ],
            capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(home)},
        )
        if done.returncode != 0:
            raise Refused(done.stdout + done.stderr)
        return json.loads(done.stdout)

    run.root, run.s3 = root, s3
    run.key = {"SecretId": weed.access_key, "SecretKey": weed.secret_key}
    run.source = {"SrcSecretId": weed.access_key, "SrcSecretKey": weed.secret_key}
    return run


def test_a_flow_from_the_command_line(tccli):
    made = tccli(
        "CreateDataFlow", FileSystemId=FS, SourceStorageType="S3_COS", SourceStorageAddress=f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com",
        SourcePath="/cos/test", TargetPath="/cfs/test11", DataFlowName="abctest", **tccli.key,
    )
    flow = made["DataFlowId"]
    shown = tccli("DescribeDataFlow", DataFlowId=flow)
    assert shown["TotalCount"] == 1 and shown["DataFlows"][0]["SourcePath"] == "/cos/test"
    assert tccli("ModifyDataFlow", DataFlowId=flow, FileSystemId=FS, DataFlowName="renamed")["DataFlowId"] == flow
    (tccli.root / "test11/f").write_text("x")
    task = tccli("CreateLifecycleDataTask", FileSystemId=FS, Type="archive", TaskName="t", TaskPath="/cfs/test11", IsOverwrite="true")["TaskId"]
    times = {"StartTime": "2000-01-01 00:00:00", "EndTime": "2100-01-01 00:00:00"}
    with pytest.raises(Refused, match="InvalidParameterValue"):
        tccli("DescribeLifecycleDataTask", **times)
    times["StartTime"] = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 3600))

    def finished():
        found = tccli("DescribeLifecycleDataTask", TaskId=task, Filters=[{"Name": "Type", "Values": ["archive"]}], **times)
        return found["LifecycleDataTask"][0]["TaskStatus"] == "finished"

    peers.wait_until("the end of the task", finished, 60)
    assert tccli.s3.get_object(Bucket=BUCKET, Key="cos/test/f")["Body"].read() == b"x"
    with pytest.raises(Refused, match="InvalidLifecycleDataTaskStatus"):
        tccli("StopLifecycleDataTask", TaskId=task)
    tccli("DeleteDataFlow", DataFlowId=flow, FileSystemId=FS)
    assert tccli("DescribeDataFlow")["TotalCount"] == 0


def test_a_migration_and_lookups_from_the_command_line(tccli):
    tccli.s3.put_object(Bucket=BUCKET, Key="in/a", Body=b"1")
    task = tccli(
        "CreateMigrationTask", TaskName="m", MigrationType="0", MigrationMode="0", FileSystemId=FS, FsPath="/in", CoverType="0",
        SrcService="COS", BucketName=BUCKET, BucketPath="/in", **tccli.source,
    )["TaskId"]

    def done():
        found = tccli("DescribeMigrationTasks", Filters=[{"Name": "taskId", "Values": [task]}])
        return found["MigrationTasks"][0]["Status"] == 0

    peers.wait_until("the end of the migration", done, 60)
    assert (tccli.root / "in/a").read_bytes() == b"1"
    with pytest.raises(Refused, match="ResourceInUse"):
        tccli("StopMigrationTask", TaskId=task)
    tccli("DeleteMigrationTask", TaskId=task)
    assert tccli("DescribeCfsFileSystems")["FileSystems"][0]["FileSystemId"] == FS
    buckets = tccli("DescribeBucketList", SrcService="COS", **tccli.source)
    assert BUCKET in [b["Name"] for b in buckets["BucketList"]]
    with pytest.raises(Refused, match="InvalidFileSystemId"):
        tccli("DescribeCfsFileSystems", FileSystemId="x")
