"""Receipts: what was moved, and what was found unchanged, is held to its content later."""

import json
import os

from harness import server
from trees import make_tree


def call(running, *words):
    done = running.command(*words, "--config", running.config, "--json", check=False)
    assert done.stdout.startswith(("{", "[")), done.stdout + done.stderr
    return json.loads(done.stdout)


def start(wharf, weed, root):
    return wharf(
        filesystems=[server.filesystem("bmcpfs-r", "cpfs-lingjun", root)],
        object_stores=[server.object_store("weed", weed.url, weed.access_key, weed.secret_key)],
    )


def flow(running, directory, bucket):
    return call(running, "flow", "create", "--file-system", "bmcpfs-r", "--directory", directory, "--bucket", f"s3://{bucket}/")["id"]


def task(running, flow, way):
    done = call(running, "task", "create", "--flow", flow, way)
    assert done["status"] == "completed" and done["ledger"]["balanced"], done
    return done


def manifest(running, task):
    lines = (running.data_dir / "reports" / task["id"] / "manifest.jsonl").read_text().splitlines()
    return {line["path"]: line for line in map(json.loads, lines) if "path" in line}


def flip(path):
    """One bit of a file; size and modification time stay."""
    before = os.stat(path)
    with open(path, "r+b") as f:
        first = f.read(1)[0]
        f.seek(0)
        f.write(bytes([first ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(path)
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def files_and_links(ledger_items, tree):
    directories = sum(len(names) for _, names, _ in os.walk(tree)) - sum(
        os.path.islink(os.path.join(at, n)) for at, names, _ in os.walk(tree) for n in names)
    return ledger_items - directories


def test_an_unchanged_file_that_was_tampered_with_is_named(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root" / "a", files=60, large=1, large_size=20 << 20)
    (tmp_path / "root" / "b").mkdir()
    running = start(wharf, weed, tmp_path / "root")
    task(running, flow(running, "/a", bucket), "export")
    down = flow(running, "/b", bucket)
    first = task(running, down, "import")
    second = task(running, down, "import")
    # SeaweedFS keeps no mark on directories: they may be dressed again, files never are.
    assert second["ledger"]["bytes"]["written"] == 0, second["ledger"]
    listed = manifest(running, second)
    assert {line["outcome"] for line in listed.values() if line.get("kind") != "dir"} == {"unchanged"}
    assert all("digest" in line for line in listed.values() if line.get("kind") != "dir"), listed
    written = manifest(running, first)
    assert all(line["digest"] == written[path]["digest"] for path, line in listed.items() if "digest" in line)
    proof = call(running, "receipt", "verify", second["id"])
    assert proof["ok"] and proof["by_size"] == 0 and proof["by_content"] == files_and_links(proof["items"], tmp_path / "root" / "b"), proof

    small = next(p for p, line in listed.items() if line["size"] == 4096)
    flip(tmp_path / "root" / "b" / small)
    flip(tmp_path / "root" / "b" / "large-0.bin")
    broken = call(running, "receipt", "verify", second["id"])
    assert not broken["ok"] and sorted(broken["examples"]) == sorted([f"different: {small}", "different: large-0.bin"]), broken
    # A third run sees nothing (size and time are the same), and its receipt shows it all the same.
    third = task(running, down, "import")
    assert manifest(running, third)[small]["outcome"] == "unchanged"
    broken = call(running, "receipt", "verify", third["id"])
    assert sorted(broken["examples"]) == sorted([f"different: {small}", "different: large-0.bin"]), broken
    text = running.command("receipt", "verify", third["id"], "--config", running.config, check=False)
    assert text.returncode == 1 and "by content" in text.stdout and "by size only" in text.stdout, text.stdout


def test_an_unchanged_object_that_was_replaced_is_named(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root" / "a", files=60, large=1, large_size=20 << 20)
    running = start(wharf, weed, tmp_path / "root")
    up = flow(running, "/a", bucket)
    task(running, up, "export")
    second = task(running, up, "export")
    assert second["ledger"]["bytes"]["written"] == 0, second["ledger"]
    listed = manifest(running, second)
    for path, line in listed.items():
        if line.get("kind") != "dir":
            assert line["outcome"] == "unchanged" and ("digest" in line or "etag" in line), line
    proof = call(running, "receipt", "verify", second["id"])
    # An object in parts has an ETag that is no digest, and SeaweedFS keeps none of its own.
    assert proof["ok"] and proof["by_size"] == 1, proof
    assert proof["by_content"] == files_and_links(proof["items"], tmp_path / "root" / "a") - 1, proof

    s3 = weed.client()
    victim = next(p for p, line in listed.items() if line["size"] == 4096)
    there = s3.get_object(Bucket=bucket, Key=victim)
    body = bytearray(there["Body"].read())
    body[1000] ^= 1
    s3.put_object(Bucket=bucket, Key=victim, Body=bytes(body), Metadata=there["Metadata"])
    broken = call(running, "receipt", "verify", second["id"])
    assert not broken["ok"] and broken["examples"] == [f"different: {victim}"], broken


def test_links_weigh_the_same_in_both_ledgers(wharf, weed, bucket, tmp_path):
    make_tree(tmp_path / "root" / "a", files=30)
    for i in range(20):
        os.symlink("x" * (i + 1), tmp_path / "root" / "a" / f"link-{i}")
    (tmp_path / "root" / "b").mkdir()
    running = start(wharf, weed, tmp_path / "root")
    out = task(running, flow(running, "/a", bucket), "export")["ledger"]
    back = task(running, flow(running, "/b", bucket), "import")["ledger"]
    # SeaweedFS keeps no mark on directories: what became of them differs, not how many there are.
    assert out["bytes"] == back["bytes"] and out["items"]["read"] == back["items"]["read"], (out, back)
    weight = 0
    for at, names, files in os.walk(tmp_path / "root" / "a"):
        weight += sum(os.lstat(os.path.join(at, n)).st_size for n in files)
        weight += sum(os.lstat(os.path.join(at, n)).st_size for n in names if os.path.islink(os.path.join(at, n)))
    assert out["bytes"]["read"] == weight
