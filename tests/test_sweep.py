"""Leftovers of killed runs go, and nothing else does: not what a task may still go on with, not other tools' uploads and files."""

import json
import os
import subprocess
import time

import pytest
from harness import peers, server
from test_kill9 import call

PART = 8 << 20


def program():
    return str(peers.binary("WHARF_BIN", *peers.built("wharf")))


def keys(weed):
    return {**os.environ, "AWS_ACCESS_KEY_ID": weed.access_key, "AWS_SECRET_ACCESS_KEY": weed.secret_key}


def copy(weed, source, destination, *more):
    done = subprocess.run(
        [program(), "copy", str(source), str(destination), "--json", "--endpoint-url", weed.url, "--part-size", "8MiB", *more],
        capture_output=True, text=True, timeout=300, env=keys(weed),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def kill_when(weed, source, destination, seen):
    """Starts a slow copy and kills it once `seen`."""
    running = subprocess.Popen(
        [program(), "copy", str(source), str(destination), "--quiet", "--endpoint-url", weed.url, "--part-size", "8MiB", "--lanes", "1", "--bandwidth", "16MiB"],
        env=keys(weed),
    )
    peers.wait_until("a part", lambda: running.poll() is not None or seen(), 60)
    running.kill()
    running.wait()
    assert seen(), "it ended before it was killed"


def large(path, mib=120):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as f:
        for _ in range(mib // 8):
            f.write(os.urandom(8 << 20))
    return path


def uploads(s3, bucket):
    return {u["Key"]: u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])}


def has_part(s3, bucket, key):
    upload = uploads(s3, bucket).get(key)
    parts = s3.list_parts(Bucket=bucket, Key=key, UploadId=upload).get("Parts", []) if upload else []
    return any(p["PartNumber"] < 10_000 for p in parts)


def foreign_upload(s3, bucket, key, parts=(1, 10_000)):
    """Another tool's, with parts where ours would be."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    for number in parts:
        s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=os.urandom(PART if number == 1 else 700))
    return upload


def test_a_copy_sweeps_old_uploads_of_ours_and_no_others(weed, bucket, tmp_path):
    s3 = weed.client()
    source, other = tmp_path / "source", tmp_path / "other"
    large(source / "big")
    other.mkdir()
    (other / "f").write_text("small")
    kill_when(weed, source, f"s3://{bucket}/t/", lambda: has_part(s3, bucket, "t/big"))
    foreign = {key: foreign_upload(s3, bucket, key) for key in ("t/foreign", "t/f")}
    ours = {"t/big": uploads(s3, bucket)["t/big"]}
    copy(weed, other, f"s3://{bucket}/t/")
    assert uploads(s3, bucket) == {**foreign, **ours}, "a young one stays for who goes on with it"
    copy(weed, other, f"s3://{bucket}/t/", "--sweep-after", "never")
    copy(weed, other, f"s3://{bucket}/elsewhere/", "--sweep-after", "0s")
    assert uploads(s3, bucket) == {**foreign, **ours}
    copy(weed, other, f"s3://{bucket}/t/", "--sweep-after", "0s", "--dry-run")
    assert uploads(s3, bucket) == {**foreign, **ours}
    _, said = copy(weed, other, f"s3://{bucket}/t/", "--sweep-after", "0s")
    assert "removed 1 unfinished" in said
    assert uploads(s3, bucket) == foreign


def test_another_tools_upload_of_the_same_key_is_not_taken_over(weed, bucket, tmp_path):
    """It has the very part that we would send, and is not ours to finish."""
    s3 = weed.client()
    source = large(tmp_path / "source" / "big", 32)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="t/big")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="t/big", UploadId=upload, PartNumber=1, Body=source.read_bytes()[:PART])
    copy(weed, source.parent, f"s3://{bucket}/t/", "--sweep-after", "0s")
    assert uploads(s3, bucket) == {"t/big": upload}
    assert s3.get_object(Bucket=bucket, Key="t/big")["Body"].read() == source.read_bytes()


def test_a_copy_sweeps_old_files_of_ours_and_no_others(weed, bucket, tmp_path):
    s3 = weed.client()
    source, back = tmp_path / "source", tmp_path / "back"
    large(source / "d" / "big")
    copy(weed, source, f"s3://{bucket}/t/")
    kill_when(weed, f"s3://{bucket}/t/", back, lambda: any(p.stat().st_size > 100 for p in back.rglob(".wharf-tmp-*.parts")))
    s3.put_object(Bucket=bucket, Key="t/d/big", Body=b"another version: nobody goes on with the first")
    foreign = back / "d" / ".wharf-tmp-notes", back / ".wharf-tmp-0123456789abcdef.bak", back / ".wharf-tmp-0123456789abcdef" / "inside"
    foreign[2].parent.mkdir()
    for f in foreign:
        f.write_text("the user's own")
    ours = sorted(p.name for p in (back / "d").glob(".wharf-tmp-*.*"))
    assert len(ours) == 2, ours
    copy(weed, f"s3://{bucket}/t/", back)
    assert sorted(p.name for p in (back / "d").glob(".wharf-tmp-*.*")) == ours, "young ones stay"
    copy(weed, f"s3://{bucket}/t/", back, "--sweep-after", "0s")
    assert sorted(p for p in back.rglob("*") if p.is_file()) == sorted([*foreign, back / "d" / "big"])


@pytest.fixture
def slow(wharf, weed, bucket, tmp_path):
    """A server that sweeps what is two seconds old, slowly at work between a tree and a bucket."""
    root = tmp_path / "root"
    large(root / "tree" / "d" / "big")
    running = wharf(
        filesystems=[server.filesystem("bmcpfs-sweep", "cpfs-lingjun", root)],
        object_stores=[server.object_store("weed", weed.url, weed.access_key, weed.secret_key)],
        sections={"limits": {"bandwidth": "8MiB"}, "transfer": {"sweep_after_seconds": 2, "lanes": 1}},
    )
    running.flow = call(running, "flow", "create", "--file-system", "bmcpfs-sweep", "--directory", "/tree", "--bucket", f"s3://{bucket}/t/")["id"]
    running.big = root / "tree" / "d" / "big"
    return running


def create(running, way, path=""):
    return call(running, "task", "create", "--flow", running.flow, way, "--path", path, "--conflict", "overwrite", "--detach")["id"]


def ends(running, task, *states, seconds=120):
    states = states or ("completed", "failed", "canceled")
    return peers.wait_until(f"{task} {states}", lambda: (shown := call(running, "task", "show", task))["status"] in states and shown, seconds)


def test_a_task_takes_away_what_its_killed_attempt_left(slow, weed, bucket):
    s3 = weed.client()
    task = create(slow, "export")
    peers.wait_until("an upload", lambda: "t/d/big" in uploads(s3, bucket), 60)
    slow.kill9()
    left = uploads(s3, bucket)["t/d/big"]
    foreign = foreign_upload(s3, bucket, "t/foreign")
    # Another version: the upload that was begun is of no use any more.
    large(slow.big, 40)
    slow.configure(**{**slow.parts, "sections": {"transfer": {"sweep_after_seconds": 0}}})
    time.sleep(7)  # by so much more than the margin it is older than the next attempt
    slow.start()
    assert ends(slow, task)["status"] == "completed"
    assert uploads(s3, bucket) == {"t/foreign": foreign}, f"not {left}"
    # The same into the directory, whole file by whole file and in parts.
    task = create(slow, "import")
    assert ends(slow, task)["status"] == "completed"
    assert not list(slow.big.parent.glob(".wharf-tmp-*"))


def test_housekeeping_sweeps_what_is_old_and_leaves_what_a_task_needs(slow, weed, bucket, tmp_path):
    s3 = weed.client()
    small = slow.big.parent.parent / "e" / "small"
    small.parent.mkdir()
    small.write_text("small")
    slow.big.rename(tmp_path / "later")
    # A killed copy's upload; then a task over the whole place, which ends; then one that rests with an upload of its own.
    other = large(tmp_path / "other" / "old")
    kill_when(weed, other.parent, f"s3://{bucket}/t/", lambda: has_part(s3, bucket, "t/old"))
    foreign = foreign_upload(s3, bucket, "t/foreign")
    time.sleep(7)  # by so much more than the margin it is older than the next tasks
    ended = create(slow, "export")
    assert ends(slow, ended)["status"] == "completed"
    (tmp_path / "later").rename(slow.big)
    resting = create(slow, "export", "d")
    peers.wait_until("an upload", lambda: "t/d/big" in uploads(s3, bucket), 60)
    call(slow, "task", "pause", resting)
    ends(slow, resting, "paused")
    kept = uploads(s3, bucket)["t/d/big"]
    peers.wait_until("the sweep", lambda: "t/old" not in uploads(s3, bucket), 60)
    time.sleep(6)
    assert uploads(s3, bucket) == {"t/d/big": kept, "t/foreign": foreign}
    call(slow, "task", "resume", resting)
    assert ends(slow, resting)["status"] == "completed"
    assert uploads(s3, bucket) == {"t/foreign": foreign}
    assert s3.get_object(Bucket=bucket, Key="t/d/big")["Body"].read() == slow.big.read_bytes()
