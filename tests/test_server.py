"""The binary as an operator meets it: init, check, serve, the catalogue, accounts, secrets, bad requests."""

import json
import os
import re
import socket
import subprocess
import time

import pytest
from harness import peers, server
from trees import make_tree


def call(running, *words, ok=True, **options):
    done = running.command(*words, "--config", running.config, "--json", check=False, **options)
    if ok:
        assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done


@pytest.fixture
def program():
    return str(peers.binary("WHARF_BIN", *peers.built("wharf")))


def test_init_check_and_serve(program, tmp_path):
    file = tmp_path / "wharf.toml"
    subprocess.run([program, "init", file], check=True, capture_output=True)
    assert file.stat().st_mode & 0o077 == 0, "it holds a secret"
    assert subprocess.run([program, "init", file], capture_output=True).returncode == 1, "it does not overwrite"
    subprocess.run([program, "check", file], check=True, capture_output=True)
    text = file.read_text().replace("127.0.0.1:8480", "127.0.0.1:0")
    file.write_text(text + '\n[[filesystem]]\nid = "cfs-1"\nproduct = "cpfs"\nroot = "rel"\n[nonsense]\n')
    done = subprocess.run([program, "check", file], capture_output=True, text=True)
    assert done.returncode == 1
    for what in ("filesystem[0].id", "filesystem[0].root", "nonsense", "problems"):
        assert what in done.stderr, done.stderr
    file.write_text(text)
    serving = subprocess.Popen([program, "serve", "--config", file], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.time() + 20
        while not (tmp_path / "wharf-data" / "port").exists() and time.time() < deadline:
            time.sleep(0.05)
        shown = subprocess.run([program, "resource", "list", "--config", file, "--json"], capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
    finally:
        serving.terminate()
        _, log = serving.communicate(timeout=30)
    secret = re.search(r'access_key_secret = "([^"]+)"', text).group(1)
    assert secret not in log and serving.returncode == 0, log
    for folder, _, names in os.walk(tmp_path / "wharf-data"):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                assert secret.encode() not in f.read(), f"{name} holds the secret in the clear"


def test_a_flow_and_its_tasks_from_the_command_line(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root" / "data", files=80)
    time.sleep(4)  # SeaweedFS keeps no mark on directories: their time of upload must tell (whole seconds, margin 2 s)
    running = wharf(
        filesystems=[server.filesystem("bmcpfs-cli", "cpfs-lingjun", tmp_path / "root")],
        object_stores=[server.object_store("weed", weed.url, weed.access_key, weed.secret_key)],
    )
    flow = call(running, "flow", "create", "--file-system", "bmcpfs-cli", "--directory", "/data", "--bucket", f"s3://{bucket}/x/", "--name", "mine")
    assert flow["status"] == "running"
    plan = call(running, "task", "create", "--flow", flow["id"], "export", "--dry-run")
    assert plan["files_to_write"] >= 80 and plan["requests"] > 0 and plan["complete"]
    task = call(running, "task", "create", "--flow", flow["id"], "export")
    assert task["status"] == "completed" and task["ledger"]["balanced"]
    again = call(running, "task", "create", "--flow", flow["id"], "export")
    assert again["ledger"]["items"]["written"] == 0, again["ledger"]
    assert call(running, "receipt", "verify", task["id"])["ok"]
    victim = next(o["Key"] for o in weed.client().list_objects_v2(Bucket=bucket)["Contents"] if o["Size"] > 100)
    weed.client().put_object(Bucket=bucket, Key=victim, Body=b"tampered")
    broken = call(running, "receipt", "verify", task["id"], ok=False)
    assert not broken["ok"] and broken["different"] == 1, broken
    assert len(call(running, "task", "list", "--flow", flow["id"])["tasks"]) == 2
    text = running.command("task", "list", "--config", running.config).stdout
    assert task["id"] in text and "completed" in text
    refused = call(running, "resource", "remove", "bmcpfs-cli", ok=False)
    assert refused.returncode == 1 and refused.stderr
    call(running, "flow", "delete", flow["id"])
    assert call(running, "flow", "list")["total"] == 0


def test_the_catalogue_from_the_command_line(wharf, weed, bucket, tmp_path):
    """A server that knows nothing gets a directory and a store, works with them over a restart, and gives them up when no flow needs them."""
    make_tree(tmp_path / "root" / "data", files=5)
    running = wharf()
    call(running, "resource", "add-filesystem", "bmcpfs-late", tmp_path / "root", "--description", "added late")
    words = ("resource", "add-store", "late", weed.url, "--access-key-id", weed.access_key, "--bucket", bucket)
    call(running, *words, input=weed.secret_key + "\n")
    running.kill9()
    running.start()
    listed = running.command("resource", "list", "--config", running.config).stdout
    assert "bmcpfs-late" in listed and weed.url in listed and weed.secret_key not in listed
    assert weed.secret_key not in json.dumps(call(running, "resource", "list"))
    flow = call(running, "flow", "create", "--file-system", "bmcpfs-late", "--directory", "/data", "--bucket", f"s3://{bucket}/x/")
    task = call(running, "task", "create", "--flow", flow["id"], "export")
    assert task["status"] == "completed" and task["ledger"]["balanced"], task
    for needed in ("bmcpfs-late", "late"):
        assert call(running, "resource", "remove", needed, ok=False).returncode == 1
    call(running, "flow", "delete", flow["id"])
    for free in ("bmcpfs-late", "late"):
        call(running, "resource", "remove", free)
    left = call(running, "resource", "list")
    assert "late" not in [e["id"] for e in left["object_stores"]] and not any(e["id"] == "bmcpfs-late" for e in left["file_systems"]), left


def test_pause_resume_cancel(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root" / "data", files=200, large=1, large_size=20 << 20)
    running = wharf(
        filesystems=[server.filesystem("bmcpfs-cli", "cpfs-lingjun", tmp_path / "root")],
        object_stores=[server.object_store("weed", weed.url, weed.access_key, weed.secret_key)],
        sections={"limits": {"bandwidth": "8MiB"}},
    )
    flow = call(running, "flow", "create", "--file-system", "bmcpfs-cli", "--directory", "/data", "--bucket", f"s3://{bucket}/x/")["id"]
    task = call(running, "task", "create", "--flow", flow, "export", "--detach")["id"]
    time.sleep(0.7)
    call(running, "task", "pause", task)

    def wait_for(status):
        deadline = time.time() + 60
        while time.time() < deadline:
            shown = call(running, "task", "show", task, ok=False)
            if shown["status"] == status:
                return shown
            time.sleep(0.1)
        pytest.fail(f"not {status}: {shown}")

    wait_for("paused")
    running.restart()
    assert wait_for("paused")["ledger"]["balanced"]
    call(running, "task", "resume", task)
    done = wait_for("completed")
    assert done["ledger"]["balanced"] and done["ledger"]["items"]["written"] == done["ledger"]["items"]["read"]
    task = call(running, "task", "create", "--flow", flow, "export", "--conflict", "overwrite", "--detach")["id"]
    time.sleep(0.4)
    call(running, "task", "cancel", task)
    assert wait_for("canceled")["ledger"]["balanced"]


def test_accounts(wharf, nas_client):
    running = wharf()
    made = call(running, "account", "create", "second")
    key, secret = made["account"]["access_key_id"], made["access_key_secret"]
    assert secret not in json.dumps(call(running, "account", "list"))
    from alibabacloud_nas20170626 import models as m

    running.nas(key, secret).describe_file_systems(m.DescribeFileSystemsRequest())
    call(running, "account", "disable", made["account"]["id"])
    with pytest.raises(Exception, match="InvalidAccessKeyId"):
        running.nas(key, secret).describe_file_systems(m.DescribeFileSystemsRequest())
    # A user is no operator.
    other = call(running, "account", "create", "third")
    env = {"WHARF_ACCESS_KEY_ID": other["account"]["access_key_id"], "WHARF_ACCESS_KEY_SECRET": other["access_key_secret"]}
    done = running.command("flow", "list", "--server", running.url, check=False, env=env)
    assert done.returncode == 1, done.stdout


def test_rubbish_and_huge_bodies_leave_it_standing(wharf):
    running = wharf()
    host, port = running.address.split(":")
    for rubbish in (b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nX-TC-Action: DescribeDataFlow\r\nContent-Length: 5\r\n\r\n{{{{{",
                    b"POST /?Action=X&AccessKeyId=a&Signature=b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"POST /v2/p/streams HTTP/1.1\r\nHost: x\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=10) as s:
            s.sendall(rubbish)
            s.settimeout(5)
            try:
                s.recv(4096)
            except TimeoutError:
                pass
    before = _rss(running.process.pid)
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-TC-Action: DescribeDataFlow\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n")
        try:
            for _ in range(100):
                s.sendall(b"x" * (1 << 20))
        except OSError:
            pass
    assert _rss(running.process.pid) - before < 30 << 20, "the body was held in memory"
    call(running, "flow", "list")


def _rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * 4096


def test_an_idle_server_is_small_and_starts_quickly(wharf):
    running = wharf()
    time.sleep(0.5)
    assert _rss(running.process.pid) < 64 << 20  # the debug build; RESULTS.md has the release build's figure
