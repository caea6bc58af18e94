"""kill -9 at random points of export and import, 100 over SQLite and 10 over PostgreSQL: nothing lost, nothing twice, the ledger balances."""

import json
import random
import time

import pytest
from harness import server, tree_compare
from trees import WEED_LEAVES, make_tree

# For each direction. The store answers for the journal, not for the files: over PostgreSQL fewer show as much.
KILLS = {"sqlite": 50, "postgresql": 5}


def call(running, *words):
    done = running.command(*words, "--config", running.config, "--json", check=False)
    assert done.returncode in (0, 1) and done.stdout.startswith(("{", "[")), done.stdout + done.stderr
    return json.loads(done.stdout)


def run_and_kill(running, flow, way, kills, rng, path):
    """Starts a task and kills the server until `kills` are used up or the task is over; then lets it end."""
    task = call(running, "task", "create", "--flow", flow, way, "--path", path, "--conflict", "overwrite", "--detach")["id"]
    used = 0
    while used < kills:
        time.sleep(rng.uniform(0.02, 0.5))
        running.kill9()
        used += 1
        running.start()
        if call(running, "task", "show", task)["status"] == "completed":
            break
    deadline = time.time() + 120
    while time.time() < deadline:
        shown = call(running, "task", "show", task)
        if shown["status"] in ("completed", "failed", "canceled"):
            return shown, used
        time.sleep(0.2)
    pytest.fail(f"the task did not end: {shown}")


@pytest.mark.both_stores
@pytest.mark.parametrize("way", ["export", "import"])
def test_a_hundred_kills(wharf, weed, bucket, tmp_path, way):
    rng = random.Random(f"kill {way}")
    root = tmp_path / "root"
    source = make_tree(root / "first" / "tree", files=500, large=1, large_size=24 << 20)
    running = wharf(
        filesystems=[server.filesystem("bmcpfs-kill", "cpfs-lingjun", root)],
        object_stores=[server.object_store("weed", weed.url, weed.access_key, weed.secret_key)],
        # Slow enough that a task is under way for many kills.
        sections={"limits": {"bandwidth": "6MiB"}},
    )
    wanted = KILLS["postgresql" if running.database_url else "sqlite"]
    flow = call(running, "flow", "create", "--file-system", "bmcpfs-kill", "--directory", "/first", "--bucket", f"s3://{bucket}/")["id"]
    back = call(running, "flow", "create", "--file-system", "bmcpfs-kill", "--directory", "/", "--bucket", f"s3://{bucket}/")["id"]
    used = rounds = 0
    if way == "import":
        shown, _ = run_and_kill(running, flow, "export", 0, rng, "tree")
        assert shown["status"] == "completed", shown
    while used < wanted:
        rounds += 1
        kills = wanted - used
        if way == "export":
            # A new prefix for each round: everything is to be written.
            (root / "first" / "tree").rename(root / "first" / f"tree-{rounds}")
            shown, n = run_and_kill(running, flow, "export", kills, rng, f"tree-{rounds}")
            (root / "first" / f"tree-{rounds}").rename(root / "first" / "tree")
        else:
            shown, n = run_and_kill(running, back, "import", kills, rng, "tree")
        used += n
        assert shown["status"] == "completed", shown
        ledger = shown["ledger"]
        assert ledger["balanced"] and ledger["items"]["failed"] == 0, ledger
        assert ledger["items"]["written"] == ledger["items"]["read"], f"every item once, and once only: {ledger}"
        size = sum(f.stat().st_size for f in source.rglob("*") if f.is_file() and not f.is_symlink())
        assert ledger["bytes"]["written"] >= size, ledger
        verified = call(running, "receipt", "verify", shown["id"])
        assert verified["ok"], verified
        if way == "import":
            tree_compare.assert_alike(source, root / "tree", leave=WEED_LEAVES)
            (root / "tree").rename(tmp_path / f"done-{rounds}")
    if way == "export":
        (tmp_path / "downloaded").mkdir()
        done = running.command(
            "copy", f"s3://{bucket}/tree-{rounds}/", tmp_path / "downloaded", "--endpoint-url", weed.url, "--quiet",
            env={"AWS_ACCESS_KEY_ID": weed.access_key, "AWS_SECRET_ACCESS_KEY": weed.secret_key},
        )
        assert done.returncode == 0, done.stderr
        tree_compare.assert_alike(source, tmp_path / "downloaded", leave=WEED_LEAVES)
    assert used >= wanted
