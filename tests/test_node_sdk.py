"""The main actions of both doors through the clouds' own Node SDKs, unmodified and typed, over a real S3 server.

`tests/node` has a program for each door. It prints one line of what it saw, which is looked at here, with what arrived in
the bucket and in the file system. The SDKs are put into `.cache/node` by scripts/setup.sh.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from harness import server, tree_compare
from harness.peers import REPO
from trees import files_of, make_plain_tree

PROGRAMS, INSTALLED = Path(__file__).parent / "node", REPO / ".cache" / "node"
CFS, GENERAL, LINGJUN = "cfs-44d53b63e", "cpfs-test0001", "bmcpfs-test0001"
# So that a large file is on its way long enough to be stopped.
SLOW = {"limits": {"bandwidth": "1MiB"}}
BIG = 24 << 20


@pytest.fixture(scope="session")
def node():
    """The program `node` that the SDKs were installed for."""
    program = INSTALLED / "bin" / "node"
    if program.exists() and (INSTALLED / ".stamp").is_file():
        return program
    why = "the Node SDKs are not in .cache/node (scripts/setup.sh test says why)"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def saw(node, program, running, **settings):
    """Runs a program against a server; what it saw."""
    given = {"endpoint": running.address, "key": running.access_key, "secret": running.secret_key, **settings}
    environment = {
        "HOME": str(running.directory), "PATH": os.environ["PATH"], "NODE_PATH": str(INSTALLED / "node_modules"),
        **{f"WHARF_TEST_{k.upper()}": str(v) for k, v in given.items()},
    }
    done = subprocess.run([node, PROGRAMS / program], env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    assert not done.stderr, done.stderr
    for secret in (running.secret_key, settings.get("store_secret", running.secret_key)):
        assert secret not in done.stdout
    return json.loads(done.stdout)


def big_file(folder):
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(os.urandom(BIG))


def store(weed):
    return server.object_store("weed", weed.url, weed.access_key, weed.secret_key)


def counted(task, files):
    """A lifecycle task that moved all there was."""
    assert task["TaskStatus"] == "finished", task
    assert task["FileTotalCount"] == task["FileSuccessedCount"] >= len(files) and task["FileFailedCount"] == 0, task
    return task["Type"]


def check_cfs_refusals(got):
    refusal = got["refusal"]
    assert refusal["code"] == "ResourceNotFound.FileSystemNotFound" and refusal["message"]
    assert len(refusal["requestId"]) == 36
    assert got["wrong_key"] == "AuthFailure.SignatureFailure"


def check_cfs_flow(got):
    made, flow = got["made"], got["flows"]["DataFlows"][0]
    assert made["DataFlowId"].startswith("cfs-dataflow-") and len(made["RequestId"]) == 36
    assert (flow["DataFlowId"], flow["DataFlowName"], flow["Status"]) == (made["DataFlowId"], "renamed", "available")
    assert (flow["SourcePath"], flow["TargetPath"], got["flows"]["TotalCount"]) == ("from-node", "/cfs/tree", 1)
    assert len(got["signatures"]) == 6 and set(got["signatures"].values()) == {1}, got["signatures"]
    assert got["flows_left"] == 0


def check_cfs_stops(got):
    assert got["stopped"]["TaskStatus"] == "stopped" and got["again"] == "UnsupportedOperation.InvalidLifecycleDataTaskStatus"
    assert (got["migration_stop"]["Status"], got["migration_stopped"]["Status"]) == (3, 4)
    assert got["migration_stop"]["TaskId"] == got["migration_stopped"]["TaskId"]
    assert (got["deleted_again"], got["migrations_left"]) == ("ResourceNotFound", 0)


@pytest.mark.parametrize("method", ("POST", "GET"))
def test_tencents_typed_client_drives_flows_tasks_and_migrations(node, wharf, weed, bucket, tmp_path, method):
    root = tmp_path / "fs"
    small = root / "tree" / "small"
    files = make_plain_tree(small)
    big_file(root / "tree" / "big")
    before = tree_compare.snapshot(small)
    running = wharf(filesystems=[server.filesystem(CFS, "cfs", root, version="v4.0")], object_stores=[store(weed)], sections=SLOW)
    got = saw(
        node, "cfs.cjs", running, file_system=CFS, address=f"https://{bucket}.cos.ap-guangzhou.myqcloud.com", tree=small,
        store_key=weed.access_key, store_secret=weed.secret_key, sign="TC3-HMAC-SHA256", method=method,
    )
    assert [s["FileSystemId"] for s in got["systems"]["FileSystems"]] == [CFS] and got["systems"]["TotalCount"] == 1
    assert bucket in [b["Name"] for b in got["buckets"]["BucketList"]]
    check_cfs_refusals(got)
    check_cfs_flow(got)
    check_cfs_stops(got)
    assert (counted(got["archived"], files), counted(got["restored"], files)) == ("archive", "restore")
    migrated = got["migrated"]
    assert (migrated["Status"], migrated["FileFailedCount"]) == (0, 0)
    assert migrated["FileTotalCount"] == migrated["FileMigratedCount"] >= len(files)
    assert weed.stored(bucket, "from-node/small/") == files
    assert weed.stored(bucket, "from-node/big/") == weed.stored(bucket, "stopped/") == {}, "half an object never shows"
    tree_compare.assert_alike(before, tree_compare.snapshot(small), leave=("root", "dir_mtime", "xattrs"))
    assert files_of(root / "migrated") == files
    assert (root / "tree" / "big" / "file").stat().st_size == BIG


def check_nas_refusals(got):
    for what, status, code in (
        ("refusal", 404, "InvalidFileSystem.NotFound"), ("wrong_key", 400, "SignatureDoesNotMatch"),
        ("fileset_protected", 403, "OperationDenied.DeletionProtection"), ("not_stopped", 403, "OperationDenied.DataFlowNotSupported"),
        ("mismatch", 400, "IdempotentParameterMismatch"), ("cancelled_again", 403, "OperationDenied.InvalidState"),
    ):
        refusal = got[what]
        assert (refusal["statusCode"], refusal["code"]) == (status, code), refusal
        assert len(refusal["requestId"]) == 36 and refusal["requestId"] in refusal["message"], refusal


def check_filesets(got):
    fileset = got["filesets"][0]
    assert (len(got["filesets"]), got["filesets_left"]) == (1, 0)
    assert (fileset["fsetId"], fileset["description"], fileset["status"]) == (got["fset"], "from Node", "CREATED")
    assert fileset["quota"]["sizeLimit"] == 11 << 30 and fileset["deletionProtection"] is True


def check_nas_flows(got, bucket):
    flow = got["flows"][0]
    assert len(got["flows"]) == 1 and got["flow"] == got["flow_again"] == flow["dataFlowId"]
    assert (flow["status"], flow["sourceStorage"], flow["description"]) == ("Running", f"oss://{bucket}", "renamed")
    assert (got["general_states"], got["general_left"], got["flows_left"]) == (["Stopped", "Running"], 0, 0)


def check_progress(task, action, files):
    assert (task["taskAction"], task["status"], task["progress"]) == (action, "Completed", 100), task
    stats = task["progressStats"]
    assert stats["filesDone"] == stats["filesTotal"] >= len(files)
    assert stats["bytesDone"] == stats["bytesTotal"] == stats["actualBytes"] == sum(map(len, files.values()))


@pytest.mark.parametrize("signature", ("acs3", "rpc"))
def test_alibabas_typed_client_exports_and_imports(node, wharf, weed, bucket, tmp_path, signature):
    root, other = tmp_path / "fs", tmp_path / "general"
    files = make_plain_tree(root / "data" / "tree")
    big_file(root / "data" / "big")
    other.mkdir()
    systems = [server.filesystem(LINGJUN, "cpfs-lingjun", root, version="2.7.0"), server.filesystem(GENERAL, "cpfs", other, version="2.4.0")]
    running = wharf(filesystems=systems, object_stores=[store(weed)], sections=SLOW)
    got = saw(node, "nas.cjs", running, file_system=LINGJUN, general=GENERAL, source=f"oss://{bucket}", signature=signature)
    assert [s["fileSystemId"] for s in got["systems"]["fileSystems"]["fileSystem"]] == [LINGJUN] and got["systems"]["totalCount"] == 1
    check_nas_refusals(got)
    check_filesets(got)
    check_nas_flows(got, bucket)
    assert got["dry"]["requestId"] and not got["dry"].get("taskId") and got["tasks_after_dry_run"] == 0
    assert got["made"]["taskId"] == got["again"]["taskId"] == got["exported"]["taskId"]
    assert got["made"]["requestId"] != got["again"]["requestId"]
    check_progress(got["exported"], "Export", files)
    check_progress(got["imported"], "Import", files)
    assert got["cancelled"]["status"] == "Canceled"
    assert weed.stored(bucket, "in/up/") == files
    assert weed.stored(bucket, "in/elsewhere/") == weed.stored(bucket, "in/big/") == {}
    assert files_of(root / "data" / "back") == files
