"""A server's task under attack: faults on the way, a full disk, changes behind its back, wrong keys."""

import json
import os
import subprocess
import threading
import time

import pytest
from harness import server, tree_compare
from trees import WEED_LEAVES, make_tree


def call(running, *words):
    done = running.command(*words, "--config", running.config, "--json", check=False)
    assert done.stdout.startswith(("{", "[")), done.stdout + done.stderr
    return json.loads(done.stdout)


def start(wharf, url, weed, root, **sections):
    return wharf(
        filesystems=[server.filesystem("bmcpfs-a", "cpfs-lingjun", root)],
        object_stores=[server.object_store("weed", url, weed.access_key, weed.secret_key)],
        sections=sections or None,
    )


def flow(running, directory, bucket):
    return call(running, "flow", "create", "--file-system", "bmcpfs-a", "--directory", directory, "--bucket", f"s3://{bucket}/")["id"]


@pytest.mark.parametrize("rule", ["every=5 do=status:500", "every=6 do=drop-response", "every=6 do=cut-response:100", "every=8 do=delay:400", "every=40 times=1 do=length:7", "every=9 do=reset",
                                  "every=7 do=cut-request:50"])
def test_faults_through_a_proxy(wharf, weed, bucket, fault_proxy, tmp_path, rule):
    proxy = fault_proxy(weed.url)
    source = make_tree(tmp_path / "root" / "a", files=120)
    running = start(wharf, proxy.url, weed, tmp_path / "root")
    up = flow(running, "/a", bucket)
    proxy.add(rule)
    task = call(running, "task", "create", "--flow", up, "export")
    assert task["status"] == "completed" and task["ledger"]["balanced"], task
    (tmp_path / "root" / "b").mkdir()
    down = flow(running, "/b", bucket)
    task = call(running, "task", "create", "--flow", down, "import")
    assert task["status"] == "completed" and task["ledger"]["balanced"], task
    assert sum(proxy.stats()["fired"]) > 0
    tree_compare.assert_alike(source, tmp_path / "root" / "b", leave=WEED_LEAVES)


def test_a_full_disk_fails_clearly_and_leaves_no_torn_file(wharf, weed, bucket, tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mount)], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not permitted")
    try:
        s3 = weed.client()
        for i in range(20):
            s3.put_object(Bucket=bucket, Key=f"f{i:02d}", Body=os.urandom(1 << 20))
        running = start(wharf, weed.url, weed, mount)
        task = call(running, "task", "create", "--flow", flow(running, "/", bucket), "import")
        assert task["status"] == "failed" and task["ledger"]["balanced"], task
        assert "full" in (task["error"] or "").lower() or "space" in (task["error"] or "").lower(), task
        for name in os.listdir(mount):
            if name.startswith("f"):
                assert os.path.getsize(mount / name) == 1 << 20, f"{name} is torn"
        running.stop()
    finally:
        subprocess.run(["umount", "-l", str(mount)])


def test_objects_that_change_during_the_run_are_never_torn(wharf, weed, bucket, tmp_path):
    s3 = weed.client()
    keys = [f"k{i:03d}" for i in range(150)]
    for k in keys:
        s3.put_object(Bucket=bucket, Key=k, Body=b"a" * 5000)
    (tmp_path / "root").mkdir()
    running = start(wharf, weed.url, weed, tmp_path / "root", limits={"bandwidth": "400KiB"})
    up = flow(running, "/", bucket)
    stop = threading.Event()

    def change():
        n = 0
        while not stop.is_set():
            n += 1
            s3.put_object(Bucket=bucket, Key=keys[n * 37 % len(keys)], Body=bytes([98 + n % 20]) * (4000 + n % 3000))
            time.sleep(0.003)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        task = call(running, "task", "create", "--flow", up, "import")
    finally:
        stop.set()
        thread.join()
    assert task["ledger"]["balanced"], task
    for name in keys:
        path = tmp_path / "root" / name
        if path.exists():
            assert len(set(path.read_bytes())) == 1, f"{name} mixes two versions"


def test_a_wrong_key_ends_the_task_with_the_reason(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root", files=5)
    running = wharf(
        filesystems=[server.filesystem("bmcpfs-a", "cpfs-lingjun", tmp_path / "root")],
        object_stores=[server.object_store("weed", weed.url, weed.access_key, "a-wrong-secret")],
    )
    done = running.command("flow", "create", "--file-system", "bmcpfs-a", "--directory", "/", "--bucket", f"s3://{bucket}/", "--config", running.config, "--json", check=False)
    text = done.stdout + done.stderr + running.log.read_text()
    assert "a-wrong-secret" not in text
    assert done.returncode == 1 or json.loads(done.stdout)["status"] == "misconfigured", text


@pytest.mark.both_stores
def test_a_tree_goes_out_and_comes_back_over_a_kill(wharf, weed, bucket, tmp_path):
    source = make_tree(tmp_path / "root" / "a", files=60)
    (tmp_path / "root" / "b").mkdir()
    running = start(wharf, weed.url, weed, tmp_path / "root")
    task = call(running, "task", "create", "--flow", flow(running, "/a", bucket), "export")
    assert task["status"] == "completed" and task["ledger"]["balanced"], task
    running.kill9()
    running.start()
    assert call(running, "task", "show", task["id"])["ledger"] == task["ledger"]
    task = call(running, "task", "create", "--flow", flow(running, "/b", bucket), "import")
    assert task["status"] == "completed", task
    tree_compare.assert_alike(source, tmp_path / "root" / "b", leave=WEED_LEAVES)
