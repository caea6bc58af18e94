"""The main actions of both doors through the clouds' own Go SDKs, unmodified, over a real S3 server.

Three programs of `tests/go` are built and run: Tencent's common client; Alibaba's first generation with its typed NAS
package (RPC signature, a general flow); the core of Alibaba's present generation (ACS3 signature, a Lingjun flow). Each
prints one line of what it saw; what arrived in the bucket is looked at here. Only the middle one has the generated structs
of its service: the module proxy serves neither the CFS module nor the present NAS one.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import server
from trees import make_plain_tree

SOURCE = Path(__file__).parent / "go"
CFS, GENERAL, LINGJUN = "cfs-44d53b63e", "cpfs-test0001", "bmcpfs-test0001"


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The folder of the built programs."""
    go = shutil.which("go")
    if not go:
        pytest.skip("go is not installed")
    built = tmp_path_factory.mktemp("go")
    environment = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}

    def run(seconds, *words):
        return subprocess.run([go, *words], cwd=SOURCE, env=environment, capture_output=True, text=True, timeout=seconds)

    try:
        fetched = run(180, "mod", "download")
    except subprocess.TimeoutExpired:
        pytest.skip("the Go modules can't be had: no answer in time")
    assert "checksum mismatch" not in fetched.stderr, fetched.stderr
    if fetched.returncode:
        pytest.skip(f"the Go modules can't be had: {fetched.stderr.strip()[-300:]}")
    build = run(360, "build", "-o", f"{built}/", "./cfs", "./nas", "./openapi")
    assert build.returncode == 0, build.stderr
    return built


def saw(program, running, **settings):
    """Runs a program against a server; what it saw."""
    given = {"endpoint": running.address, "key": running.access_key, "secret": running.secret_key, **settings}
    environment = {
        "HOME": str(running.directory), "PATH": os.environ["PATH"], **{f"WHARF_TEST_{k.upper()}": str(v) for k, v in given.items()}
    }
    done = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    return json.loads(done.stdout)


def store(weed):
    return server.object_store("weed", weed.url, weed.access_key, weed.secret_key)


def test_tencents_common_client_archives_a_tree(programs, wharf, weed, bucket, tmp_path):
    root = tmp_path / "fs"
    files = make_plain_tree(root / "tree")
    running = wharf(filesystems=[server.filesystem(CFS, "cfs", root, version="v4.0")], object_stores=[store(weed)])
    got = saw(
        programs / "cfs", running, file_system=CFS, address=f"https://{bucket}.cos.ap-guangzhou.myqcloud.com",
        store_key=weed.access_key, store_secret=weed.secret_key,
    )
    assert got["refusal"] == "ResourceNotFound.FileSystemNotFound"
    assert got["flow"].startswith("cfs-dataflow-") and len(got["request_id"]) == 36
    task = got["task"]
    assert (task["TaskId"], task["TaskStatus"], task["Type"]) == (got["task_id"], "finished", "archive")
    assert task["FileTotalCount"] == task["FileSuccessedCount"] >= len(files) and task["FileFailedCount"] == 0
    assert [(f["DataFlowId"], f["Status"], f["SourcePath"]) for f in got["flows"]] == [(got["flow"], "available", "from-go")]
    assert got["flows_left"] == 0
    assert weed.stored(bucket, "from-go/") == files


def check_export(got, bucket):
    """What both Alibaba programs have to have seen."""
    assert (got["status"], got["refusal"]) == (404, "InvalidFileSystem.NotFound")
    assert got["dry_request"] and not got["dry_task"] and got["tasks_after_dry_run"] == 0
    task = got["task"]
    assert (task["TaskId"], task["Status"], task["TaskAction"], task["Progress"]) == (got["task_id"], "Completed", "Export", 100)
    shown = [(f["DataFlowId"], f["Status"], f["SourceStorage"]) for f in got["flows"]]
    assert shown == [(got["flow"], "Running", f"oss://{bucket}")]
    assert got["flows_left"] == 0


def test_alibabas_typed_client_exports_a_general_flow(programs, wharf, weed, bucket, tmp_path):
    root = tmp_path / "fs"
    root.mkdir()
    running = wharf(filesystems=[server.filesystem(GENERAL, "cpfs", root, version="2.4.0")], object_stores=[store(weed)])
    # A general flow wants an empty fileset, so the program moves the tree there once the flow is made.
    files = make_plain_tree(tmp_path / "prepared")
    place = {"tree": tmp_path / "prepared", "place": root / "set" / "tree"}
    got = saw(programs / "nas", running, file_system=GENERAL, source=f"oss://{bucket}", **place)
    check_export(got, bucket)
    assert got["task"]["FilesystemId"] == GENERAL
    assert weed.stored(bucket, "tree/") == files


def test_alibabas_openapi_core_exports_a_lingjun_flow(programs, wharf, weed, bucket, tmp_path):
    root = tmp_path / "fs"
    files = make_plain_tree(root / "data" / "tree")
    running = wharf(filesystems=[server.filesystem(LINGJUN, "cpfs-lingjun", root, version="2.7.0")], object_stores=[store(weed)])
    got = saw(programs / "openapi", running, file_system=LINGJUN, source=f"oss://{bucket}")
    check_export(got, bucket)
    stats = got["task"]["ProgressStats"]
    assert stats["FilesDone"] == stats["FilesTotal"] >= len(files)
    assert stats["BytesDone"] == stats["BytesTotal"] == sum(map(len, files.values()))
    assert weed.stored(bucket, "in/up/") == files
