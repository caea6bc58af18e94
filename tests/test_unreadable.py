"""Files that the user may not read: each is named, none of them ends the run."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness import peers

NOBODY = 65534


def test_many_unreadable_files_are_named_and_the_others_are_copied(weed, bucket):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    program = peers.binary("WHARF_BIN", *peers.built("wharf"))
    place = Path(tempfile.mkdtemp(prefix="wharf-unreadable-"))
    try:
        os.chmod(place, 0o755)
        tree = place / "tree"
        (tree / "locked").mkdir(parents=True)
        (tree / "open").mkdir()
        for i in range(200):
            (tree / "locked" / f"f{i:03d}").write_text("closed")
            os.chmod(tree / "locked" / f"f{i:03d}", 0o600)
        for i in range(20):
            (tree / "open" / f"f{i:03d}").write_text("open")
        shutil.copy(program, place / "wharf")
        os.chmod(place / "wharf", 0o755)
        env = {"PATH": os.environ["PATH"], "HOME": "/", "AWS_ACCESS_KEY_ID": weed.access_key, "AWS_SECRET_ACCESS_KEY": weed.secret_key}
        done = subprocess.run(
            [place / "wharf", "copy", tree, f"s3://{bucket}/x/", "--endpoint-url", weed.url, "--json"],
            capture_output=True, text=True, env=env, user=NOBODY, group=NOBODY, extra_groups=[], timeout=120,
        )
        assert done.returncode == 1, done.stdout + done.stderr
        answer = json.loads(done.stdout)
        text = json.dumps(answer) + done.stderr
        assert "denied" in text.lower() and "locked/f0" in text, text
        keys = {o["Key"] for o in weed.client().list_objects_v2(Bucket=bucket)["Contents"]}
        assert {f"x/open/f{i:03d}" for i in range(20)} <= keys and not any("locked/f" in k for k in keys), keys
    finally:
        shutil.rmtree(place)
