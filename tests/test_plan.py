"""Plans against a real SeaweedFS: what they say is what the task then does, and they change nothing."""

import json
import os
import re
import time

import pytest
from harness import server
from trees import make_tree

LINGJUN = "bmcpfs-plan"


def call(running, *words, ok=True):
    done = running.command(*words, "--config", running.config, "--json", check=False)
    assert done.returncode == 0 or not ok, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else done


def start(wharf, weed, root, url=None):
    return wharf(
        filesystems=[server.filesystem(LINGJUN, "cpfs-lingjun", root)],
        object_stores=[server.object_store("weed", url or weed.url, weed.access_key, weed.secret_key)],
    )


def flow_of(running, directory, bucket, prefix=""):
    words = ("--file-system", LINGJUN, "--directory", directory, "--bucket", f"s3://{bucket}/{prefix}")
    return call(running, "flow", "create", *words)["id"]


def everything(root):
    """All that a write would change, of every name: also the time of a directory, and the inode's own."""
    found = {}
    for folder, dirs, files in os.walk(root):
        for name in [".", *dirs, *files]:
            path = os.path.join(folder, name)
            s = os.lstat(path)
            content = open(path, "rb").read() if os.path.isfile(path) and not os.path.islink(path) else b""
            found[path] = (s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, content)
    return found


def objects(weed, bucket):
    """The bucket's listing and its unfinished uploads."""
    s3 = weed.client()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    listed = {o["Key"]: (o["Size"], o["ETag"], o["LastModified"]) for page in pages for o in page.get("Contents", ())}
    return listed, [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


class Untouched:
    """Nothing on either side, and none of the server's own tasks and reports, changes inside."""

    def __init__(self, weed, bucket, running, root):
        def look():
            reports = os.path.join(running.data_dir, "reports")
            tasks = call(running, "task", "list")["total"]
            return everything(root), objects(weed, bucket), sorted(os.listdir(reports)), tasks

        self.look = look

    def __enter__(self):
        self.before = self.look()

    def __exit__(self, *_):
        assert self.look() == self.before


def in_the_way(folder, tree):
    """Makes `folder` meet the tree with the same, the other, and things of another kind."""
    for path in ("d00/e0", "d01", "d02/e2"):
        (folder / path).mkdir(parents=True)
    names = sorted(p for p in (tree / "d00" / "e0").iterdir())
    for i, path in enumerate(names):
        copy = folder / "d00" / "e0" / path.name
        copy.write_bytes(path.read_bytes() if i % 3 else b"other")
        stamp = path.stat().st_mtime_ns + (0, 10**9, -(10**9))[i % 3]
        os.utime(copy, ns=(stamp, stamp))
    # A directory where a file is to come, a file and a link where a directory is to come, the very same link.
    first = next((tree / "d02" / "e2").iterdir())
    (folder / "d02" / "e2" / first.name).mkdir()
    (folder / "d03").write_text("a file")
    (folder / "elsewhere").mkdir()
    (folder / "d04").symlink_to("elsewhere")
    (folder / "odd names").mkdir()
    (folder / "odd names" / "link").symlink_to("../odd names/-rf")
    stamp = os.lstat(tree / "odd names" / "link").st_mtime_ns
    os.utime(folder / "odd names" / "link", ns=(stamp, stamp), follow_symlinks=False)


POLICIES = ("skip", "latest", "overwrite", "if-changed")


@pytest.mark.parametrize("conflict", POLICIES)
def test_the_plan_of_an_export_is_what_the_task_does(wharf, weed, bucket, tmp_path, conflict):
    root = tmp_path / "root"
    tree = make_tree(root / "data", files=120, large=1, large_size=20 << 20)
    running = start(wharf, weed, root)
    flow = flow_of(running, "/data", bucket, "x/")
    s3 = weed.client()
    for i, path in enumerate(sorted(p for p in (tree / "d00" / "e0").iterdir())):
        body = path.read_bytes() if i % 2 else b"other"
        s3.put_object(Bucket=bucket, Key=f"x/d00/e0/{path.name}", Body=body)
    later = time.time_ns() + 3600 * 10**9  # one file is newer than its object
    os.utime(path, ns=(later, later))
    words = ("--flow", flow, "export", "--conflict", conflict)
    with Untouched(weed, bucket, running, root):
        plan = call(running, "task", "plan", *words)
    assert plan["complete"] and plan["requests"] > plan["files_to_write"] and plan["estimated_s"] >= 1
    assert (plan["overwritten"] > 0) == (conflict in ("overwrite", "if-changed", "latest")), plan
    assert (plan["skipped"] > 0) == (conflict in ("skip", "latest")), plan
    task = call(running, "task", "create", *words)
    assert plan["ledger"] == task["ledger"]
    plan = call(running, "task", "plan", *words)
    assert plan["ledger"] == call(running, "task", "create", *words)["ledger"]
    assert conflict == "overwrite" or plan["bytes_to_write"] == 0, plan


@pytest.mark.parametrize("conflict", POLICIES)
def test_the_plan_of_an_import_is_what_the_task_does(wharf, weed, bucket, tmp_path, conflict):
    root = tmp_path / "root"
    tree = make_tree(root / "data", files=120, large=1, large_size=20 << 20)
    running = start(wharf, weed, root)
    call(running, "task", "create", "--flow", flow_of(running, "/data", bucket), "export")
    (root / "back").mkdir()
    flow = flow_of(running, "/back", bucket)
    # A destination that is missing is not made by a plan; everything would be written.
    missing = ("--flow", flow, "import", "--path", "d05")
    with Untouched(weed, bucket, running, root):
        plan = call(running, "task", "plan", *missing)
    # SeaweedFS keeps nothing on directory markers, so the directories that files bring along need nothing more.
    told = plan["ledger"]["items"]
    assert plan["files_to_write"] > 0 and told["written"] + told["unchanged"] == plan["items"], plan
    assert plan["ledger"] == call(running, "task", "create", *missing)["ledger"]

    in_the_way(root / "back", tree)
    words = ("--flow", flow, "import", "--conflict", conflict)
    with Untouched(weed, bucket, running, root):
        plan = call(running, "task", "plan", *words)
    task = call(running, "task", "create", *words, ok=False)
    assert plan["ledger"] == task["ledger"], (plan, task)
    assert task["status"] == "failed" and plan["refused"] > 2 and plan["problems"], "what is in the way was foreseen"
    # The same again, where nothing is in the way any more: marks tell what is there.
    with Untouched(weed, bucket, running, root):
        plan = call(running, "task", "plan", *words)
    assert plan["ledger"] == call(running, "task", "create", *words, ok=False)["ledger"]


def test_marks_and_content_decide(wharf, weed, bucket, tmp_path):
    root, s3 = tmp_path / "root", weed.client()
    (root / "data").mkdir(parents=True)
    names = ("same", "touched", "changed", "grown")
    for name in names:
        (root / "data" / name).write_bytes(b"12345")
        os.utime(root / "data" / name, ns=(10**18, 10**18))
    running = start(wharf, weed, root)
    flow = flow_of(running, "/data", bucket)
    assert call(running, "task", "create", "--flow", flow, "export")["ledger"]["items"]["written"] == 4
    os.utime(root / "data" / "touched", ns=(10**18 + 1, 10**18 + 1))
    (root / "data" / "changed").write_bytes(b"54321")
    (root / "data" / "grown").write_bytes(b"123456")
    with Untouched(weed, bucket, running, root):
        plan = call(running, "task", "plan", "--flow", flow, "export")
    assert (plan["files_to_write"], plan["overwritten"], plan["unchanged"]) == (3, 3, 1), plan
    assert plan["ledger"] == call(running, "task", "create", "--flow", flow, "export")["ledger"]

    (root / "back").mkdir()
    back = flow_of(running, "/back", bucket)
    call(running, "task", "create", "--flow", back, "import")
    for name, body in (("touched", b"12345"), ("changed", b"abcde"), ("grown", b"1234567")):
        s3.put_object(Bucket=bucket, Key=name, Body=body)
    with Untouched(weed, bucket, running, root):
        plan = call(running, "task", "plan", "--flow", back, "import")
    # An object's version is its content: the same bytes uploaded anew are the same.
    assert (plan["files_to_write"], plan["unchanged"]) == (2, 2), plan
    assert plan["ledger"] == call(running, "task", "create", "--flow", back, "import")["ledger"]


def test_a_listing_that_breaks_off_gives_an_error(wharf, weed, bucket, fault_proxy, tmp_path):
    s3, proxy = weed.client(), fault_proxy(weed.url)
    for i in range(60):
        s3.put_object(Bucket=bucket, Key=f"d{i % 6}/{i:02d}", Body=b"x")
    for i in range(1100):  # more than a page: the walk goes down level by level
        s3.put_object(Bucket=bucket, Key=f"d6/{i:04d}", Body=b"")
    (tmp_path / "root" / "in").mkdir(parents=True)
    running = start(wharf, weed, tmp_path / "root", proxy.url)
    flow = flow_of(running, "/in", bucket)
    whole = call(running, "task", "plan", "--flow", flow, "import")
    assert whole["complete"] and whole["items"] >= 1160, whole
    proxy.add("match=list-type after=4 do=status:403")
    refused = call(running, "task", "plan", "--flow", flow, "import", ok=False)
    assert refused.returncode == 1 and "BadCredentials" in refused.stderr, refused.stdout + refused.stderr
    assert proxy.stats()["fired"][0] > 0
    proxy.clear()
    assert call(running, "task", "plan", "--flow", flow, "import") == {**whole, "estimated_s": pytest.approx(whole["estimated_s"], abs=20)}
    assert not os.listdir(tmp_path / "root" / "in")


def logged(running, request_id):
    """The figures of a dry run's plan from the server's log."""
    line = next(x for x in running.log.read_text().splitlines() if request_id in x and "dry run: " in x)
    return {k: int(v) for k, v in re.findall(r"\b(\w+)=(\d+)\b", line)}, line


CASES = (
    ("Import", {"entry_list": '["/a/1", "/b/", "/none"]'}, "SKIP_THE_FILE"),
    ("Import", {"transfer_file_list_path": "/lists/"}, "OVERWRITE_EXISTING"),
    ("Import", {"directory": "/b/", "dst_directory": "/new/", "create_dir_if_not_exist": True}, "KEEP_LATEST"),
    ("Import", {"directory": "/", "dst_directory": "/", "includes": '["/a/", "/c/"]'}, "KEEP_LATEST"),
    ("Import", {}, "OVERWRITE_EXISTING"),
    ("Export", {"entry_list": '["/a/", "/b/3"]'}, "SKIP_THE_FILE"),
    ("Export", {"transfer_file_list_path": "/lists/"}, "KEEP_LATEST"),
    ("Export", {"directory": "/", "dst_directory": "/", "includes": '["/a/"]'}, "OVERWRITE_EXISTING"),
)


def test_dry_runs_through_the_clouds_own_sdk(wharf, weed, bucket, tmp_path):
    pytest.importorskip("alibabacloud_nas20170626")
    from alibabacloud_nas20170626 import models as m

    root, s3 = tmp_path / "root", weed.client()
    data = root / "data"
    running = start(wharf, weed, root) if data.mkdir(parents=True) is None else None
    c = running.nas()
    flow = c.create_data_flow(m.CreateDataFlowRequest(
        file_system_id=LINGJUN, source_storage=f"oss://{bucket}", file_system_path="/data/", source_storage_path="/in/",
    )).body.data_flow_id
    s3.put_object(Bucket=bucket, Key="lists/one.csv", Body=b"Name,Type\nc/5,file\nb,dir\nnope,file\n")
    for action, more, policy in CASES:
        for key in ("a/1", "a/2", "b/3", "b/deep/4", "c/5"):
            s3.put_object(Bucket=bucket, Key=f"in/{key}", Body=f"{key} {action} {policy}".encode())
            path = data / key
            path.parent.mkdir(parents=True, exist_ok=True)
            if key != "b/deep/4":
                path.write_text(f"{key} here")
        (data / "b" / "deep" / "4").unlink(missing_ok=True)
        time.sleep(1.1)  # the store's times are whole seconds
        request = {"file_system_id": LINGJUN, "data_flow_id": flow, "task_action": action, "conflict_policy": policy, **more}
        with Untouched(weed, bucket, running, root):
            dry = c.create_data_flow_task(m.CreateDataFlowTaskRequest(**request, dry_run=True)).body
        assert dry.request_id and not dry.task_id
        plan, line = logged(running, dry.request_id)
        assert "complete=true" in line and plan["items"] > 0, line
        task = c.create_data_flow_task(m.CreateDataFlowTaskRequest(**request)).body.task_id
        done = call(running, "task", "watch", task, ok=False)
        items, bytes_ = done["ledger"]["items"], done["ledger"]["bytes"]
        told = {k: plan[k] for k in ("items", "written", "unchanged", "skipped", "failed", "bytes")}
        assert told == {
            "items": items["read"], "written": items["written"], "unchanged": items["unchanged"],
            "skipped": items["skipped"], "failed": items["failed"], "bytes": bytes_["written"],
        }, (action, more, policy, line)
    # A list that is not there is refused by the dry run in the vendor's words.
    from alibabacloud_tea_openapi.exceptions import ClientException

    request = m.CreateDataFlowTaskRequest(
        file_system_id=LINGJUN, data_flow_id=flow, task_action="Import", conflict_policy="SKIP_THE_FILE",
        transfer_file_list_path="/no-lists/", dry_run=True,
    )
    with pytest.raises(ClientException) as e:
        c.create_data_flow_task(request)
    assert e.value.status_code == 404 and "TransferFileListPath" in e.value.code, e.value


def test_people_read_it(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root" / "data", files=20)
    running = start(wharf, weed, tmp_path / "root")
    flow = flow_of(running, "/data", bucket)
    text = running.command("task", "plan", "--flow", flow, "export", "--config", running.config).stdout
    for words in ("items at the source", "would write", "conflicts", "requests"):
        assert words in text, text
    assert text == running.command("task", "create", "--dry-run", "--flow", flow, "export", "--config", running.config).stdout
