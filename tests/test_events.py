"""What tasks tell of themselves: through the command line, over crashes, with hostile names, and no secret."""

import json
import subprocess
import time

import pytest
from harness import server
from trees import make_tree

CANARY = "canary-secret-73f1"


def call(running, *words, ok=True):
    done = running.command(*words, "--config", running.config, "--json", check=False)
    assert done.returncode == 0 or not ok, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else done


def start(wharf, url, weed, root, secret=None, **sections):
    return wharf(
        filesystems=[server.filesystem("bmcpfs-ev", "cpfs-lingjun", root), server.filesystem("cfs-ev123456", "cfs", root)],
        object_stores=[server.object_store("weed", url, weed.access_key, secret or weed.secret_key)],
        sections=sections or None,
    )


def flow_of(running, directory, bucket):
    words = ("--file-system", "bmcpfs-ev", "--directory", directory, "--bucket", f"s3://{bucket}/")
    return call(running, "flow", "create", *words)["id"]


def events(running, task):
    told = call(running, "task", "events", task)
    assert [e["seq"] for e in told["events"]] == list(range(told["dropped"] + 1, told["total"] + 1))
    assert [e["at"] for e in told["events"]] == sorted(e["at"] for e in told["events"])
    return told["events"]


def kinds(told, *leave):
    return [e["kind"] for e in told if e["kind"] not in ("progress", *leave)]


def until(running, task, is_it, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shown = call(running, "task", "show", task, ok=False)
        if is_it(shown):
            return shown
        time.sleep(0.05)
    pytest.fail(f"it did not come to that: {shown}")


def ended(shown):
    return shown["status"] in ("completed", "failed", "canceled")


@pytest.mark.both_stores
def test_a_killed_server_tells_of_the_crash(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root" / "data", files=300, large=1, large_size=8 << 20)
    running = start(wharf, weed.url, weed, tmp_path / "root", limits={"bandwidth": "3MiB"})
    task = call(running, "task", "create", "--flow", flow_of(running, "/data", bucket), "export", "--detach")["id"]
    for _ in range(2):
        before = call(running, "task", "show", task)["ledger"]["items"]["read"]
        until(running, task, lambda s: s["ledger"]["items"]["read"] > before or ended(s))
        running.kill9()
        running.start()
    shown = until(running, task, ended)
    assert shown["status"] == "completed", shown
    told = events(running, task)
    taken = [e for e in told if e["kind"] == "taken-over"]
    assert len(taken) == shown["attempt"] - 1 >= 1, told
    assert all("went silent" in e["message"] and "goes on from its checkpoint" in e["message"] for e in taken), taken
    assert f"attempt {shown['attempt']} on " in taken[-1]["message"]
    names = kinds(told, "listed", "taken-over")
    assert names == ["created", "queued", "started", "completed"], told
    account = told[-1]["message"]
    items = shown["ledger"]["items"]
    assert f"{items['read']} items read = {items['written']} written" in account, account
    # An orderly restart loses nothing and invents nothing.
    running.restart()
    assert events(running, task) == told
    assert [e["seq"] for e in shown["events"]["events"]] == [e["seq"] for e in told[-5:]]


def test_who_paused_resumed_and_cancelled(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root" / "data", files=200, large=1, large_size=20 << 20)
    running = start(wharf, weed.url, weed, tmp_path / "root", limits={"bandwidth": "1MiB"})
    flow = flow_of(running, "/data", bucket)
    me = next(a["id"] for a in call(running, "account", "list")["accounts"] if a["operator"])
    task = call(running, "task", "create", "--flow", flow, "export", "--detach")["id"]
    until(running, task, lambda s: s["ledger"]["items"]["read"] > 0)
    call(running, "task", "pause", task)
    until(running, task, lambda s: s["status"] == "paused")
    call(running, "task", "resume", task)
    until(running, task, lambda s: s["status"] == "executing")
    running.restart()
    until(running, task, lambda s: s["status"] == "executing")
    call(running, "task", "cancel", task)
    until(running, task, ended)
    told = events(running, task)
    assert kinds(told, "listed") == [
        "created", "queued", "started", "pause-asked", "paused", "resume-asked", "queued", "started",
        "queued", "started", "cancel-asked", "canceled",
    ], told
    for e in told:
        if e["kind"].endswith("-asked"):
            assert e["message"] == f"by operator {me}", e
    assert f"by account {me} through the admin door" in told[0]["message"]

    # A cloud's user is told apart from the operator.
    pytest.importorskip("alibabacloud_nas20170626")
    from alibabacloud_nas20170626 import models as m

    c = running.nas()
    ids = {"file_system_id": "bmcpfs-ev"}
    flow = c.create_data_flow(m.CreateDataFlowRequest(
        **ids, source_storage=f"oss://{bucket}", file_system_path="/data/", source_storage_path="/n/",
    )).body.data_flow_id
    ids["data_flow_id"] = flow
    request = m.CreateDataFlowTaskRequest(**ids, task_action="Export", conflict_policy="OVERWRITE_EXISTING")
    task = c.create_data_flow_task(request).body.task_id
    c.cancel_data_flow_task(m.CancelDataFlowTaskRequest(**ids, task_id=task))
    until(running, task, ended)
    told = events(running, task)
    assert "through the nas door" in told[0]["message"], told
    assert [e["message"] for e in told if e["kind"] == "cancel-asked"] == [f"by account {me}"]


def test_a_follower_sees_all_to_the_end(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root" / "data", files=150, large=1, large_size=6 << 20)
    running = start(wharf, weed.url, weed, tmp_path / "root", limits={"bandwidth": "3MiB"})
    task = call(running, "task", "create", "--flow", flow_of(running, "/data", bucket), "export", "--detach")["id"]
    words = [str(running.program), "task", "events", task, "--follow", "--json", "--config", str(running.config)]
    following = subprocess.run(words, capture_output=True, text=True, timeout=90, env=running.environment)
    assert following.returncode == 0, following.stderr
    lines = [json.loads(line) for line in following.stdout.splitlines()]
    told = events(running, task)
    assert lines == told and lines[-1]["kind"] == "completed"
    later = call(running, "task", "events", task, "--after", str(told[2]["seq"]))
    assert later["events"] == told[3:]
    text = running.command("task", "events", task, "--follow", "--config", running.config).stdout.splitlines()
    assert len(text) == len(told) and text[0].split()[2] == "created", text
    shown = running.command("task", "show", task, "--config", running.config).stdout
    assert f"the last 5 of {told[-1]['seq']}" in shown and text[-1] in shown, shown
    missing = call(running, "task", "events", "task-none", ok=False)
    assert missing.returncode == 1 and "NotFound" in missing.stderr


def test_hostile_names_and_secrets_stay_out(wharf, weed, embedded_s3, tmp_path):
    s3 = embedded_s3(tmp_path / "store")
    client = s3.client()
    client.create_bucket(Bucket="hostile")
    # Names that can't be paths, with what steers a terminal, what hides, and what looks like a presigned address.
    bad = ["a//\x1b[2Jb", "a//" + "n" * 900, "a//https://h/k?X-Amz-Signature=" + CANARY, "a//\u202egpj.exe", "a//line\nbreak"]
    for key in bad + [f"b//{i:03d}" for i in range(40)]:
        client.put_object(Bucket="hostile", Key=key, Body=b"x")
    (tmp_path / "root" / "in").mkdir(parents=True)
    running = wharf(
        filesystems=[server.filesystem("bmcpfs-ev", "cpfs-lingjun", tmp_path / "root")],
        object_stores=[server.object_store("weed", s3.url, s3.access_key, s3.secret_key)],
    )
    task = call(running, "task", "create", "--flow", flow_of(running, "/in", "hostile"), "import", ok=False)
    assert task["status"] == "failed" and task["ledger"]["items"]["failed"] == 45, task
    told = events(running, task["id"])
    failed = [e["message"] for e in told if e["kind"] == "item-failed"]
    assert len(failed) == 21 and "failed list" in failed[-1], failed
    assert all("empty component" in m for m in failed[:-1]), "each with its reason"
    text = running.command("task", "events", task["id"], "--config", running.config).stdout
    shown = running.command("task", "show", task["id"], "--config", running.config, check=False).stdout
    for e in told:
        assert len(e["message"]) < 1100 and e["message"].isprintable(), e
    for out in (json.dumps(told), text):
        assert CANARY not in out and s3.secret_key not in out
        assert "\x1b" not in out and "\u202e" not in out
    assert s3.secret_key not in shown


def test_no_key_and_no_presigned_address_is_told(wharf, weed, bucket, fault_proxy, tmp_path):
    """A wrong key and a list behind a presigned address: the errors are told, the secrets are not."""
    pytest.importorskip("tencentcloud.cfs")
    from tencentcloud.cfs.v20190719 import models as m

    (tmp_path / "root" / "in").mkdir(parents=True)
    proxy = fault_proxy(weed.url)
    running = start(wharf, proxy.url, weed, tmp_path / "root")
    weed.client().put_object(Bucket=bucket, Key="k", Body=b"x")
    flow = flow_of(running, "/in", bucket)
    proxy.add("match=list-type do=status:403")
    task = call(running, "task", "create", "--flow", flow, "import", ok=False)
    assert task["status"] == "failed", task
    told = events(running, task["id"])
    assert told[-1]["kind"] == "failed" and "denied" in told[-1]["message"], told
    proxy.only("match=list-type times=2 do=status:503")
    task = call(running, "task", "create", "--flow", flow, "import")
    proxy.clear()
    request = m.CreateMigrationTaskRequest()
    request._deserialize({
        "TaskName": "list", "FileSystemId": "cfs-ev123456", "MigrationType": 1, "MigrationMode": 0, "SrcSecretId": weed.access_key,
        "SrcSecretKey": weed.secret_key, "FsPath": "/in/", "CoverType": 1, "SrcService": "COS",
        "BucketRegion": "ap-guangzhou", "BucketAddress": f"{proxy.url}/{bucket}",
        "ListAddress": f"{proxy.url}/{bucket}/none.txt?X-Amz-Signature={CANARY}",
    })
    made = json.loads(running.cfs().CreateMigrationTask(request).to_json_string())["TaskId"]
    shown = until(running, made, ended)
    assert shown["status"] == "failed", shown
    out = json.dumps(events(running, made)) + json.dumps(told) + json.dumps(shown) + running.log.read_text()
    for secret in (CANARY, weed.secret_key, running.secret_key):
        assert secret not in out
