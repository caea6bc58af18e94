"""`wharf copy` against a real S3 server: what a user of s5cmd or rclone would try."""

import json
import os
import subprocess
import time

import pytest
from harness import peers, tree_compare
from trees import WEED_LEAVES, make_tree


@pytest.fixture
def copy(weed):
    program = peers.binary("WHARF_BIN", *peers.built("wharf"))

    def run(source, destination, *options, url=None, check=True, env=None, code=None, **more):
        keys = {"AWS_ACCESS_KEY_ID": weed.access_key, "AWS_SECRET_ACCESS_KEY": weed.secret_key}
        done = subprocess.run(
            [str(program), "copy", str(source), str(destination), "--json", "--endpoint-url", url or weed.url, *options],
            capture_output=True, text=True, timeout=300, env={**os.environ, **keys, **(env or {})}, **more,
        )
        answer = json.loads(done.stdout) if done.stdout.startswith("{") else None
        if code is not None:
            assert done.returncode == code, done.stdout + done.stderr
            return done
        if check:
            assert done.returncode == 0, done.stderr
            assert answer["ledger"]["balanced"], answer
        return answer or done

    return run


def items(answer):
    return answer["ledger"]["items"]


def same(a, b, leave=()):
    differences = tree_compare.diff(tree_compare.snapshot(a), tree_compare.snapshot(b), *([set(leave)] if leave else []))
    assert not differences, "\n".join(differences[:20])


def test_round_trip_keeps_everything(copy, bucket, tmp_path):
    source = make_tree(tmp_path / "source", large=1)
    os.setxattr(source / "odd names" / "-rf", "user.note", b"kept \x00 bytes")
    up = copy(source, f"s3://{bucket}/t/", "--xattrs")
    assert items(up)["failed"] == 0 and items(up)["written"] == items(up)["read"]
    down = copy(f"s3://{bucket}/t/", tmp_path / "back", "--xattrs", "--verify")
    assert items(down)["failed"] == 0
    same(source, tmp_path / "back", leave=WEED_LEAVES)


def test_round_trip_keeps_directories_too(copy, embedded_s3, tmp_path):
    """Everything, with modes and times of directories, over a store that keeps metadata on markers."""
    s3 = embedded_s3(tmp_path / "store")
    s3.client().create_bucket(Bucket="full")
    source = make_tree(tmp_path / "source", large=1, backslash=True)
    os.chmod(source / "d01", 0o700)
    os.setxattr(source / "odd names" / "-rf", "user.note", b"kept")
    keys = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}
    copy(source, "s3://full/t/", "--xattrs", url=s3.url, env=keys)
    copy("s3://full/t/", tmp_path / "back", "--xattrs", "--verify", url=s3.url, env=keys)
    same(source, tmp_path / "back", leave=("root",))
    for a, b in ((source, "s3://full/t/"), ("s3://full/t/", tmp_path / "back")):
        again = copy(a, b, "--xattrs", url=s3.url, env=keys)
        assert items(again)["written"] == 0, again


def test_a_second_run_moves_nothing(copy, bucket, tmp_path):
    source = make_tree(tmp_path / "source", files=120)
    time.sleep(4)  # SeaweedFS keeps no mark on directories: their time of upload must tell (whole seconds, margin 2 s)
    copy(source, f"s3://{bucket}/t/")
    again = copy(source, f"s3://{bucket}/t/")
    assert items(again)["written"] == 0, again
    copy(f"s3://{bucket}/t/", tmp_path / "back")
    again = copy(f"s3://{bucket}/t/", tmp_path / "back")
    assert items(again)["written"] == 0, again


def test_a_change_is_moved_and_nothing_else(copy, bucket, tmp_path):
    source = make_tree(tmp_path / "source", files=60)
    copy(source, f"s3://{bucket}/t/")
    (source / "d00" / "e0" / "file-00000.bin").write_bytes(b"changed")
    up = copy(source, f"s3://{bucket}/t/")
    assert up["ledger"]["bytes"]["written"] == 7, up


def test_conflict_rules(copy, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    source.mkdir(), back.mkdir()
    (source / "f").write_text("from the bucket")
    copy(source, f"s3://{bucket}/t/")
    (back / "f").write_text("local")
    copy(f"s3://{bucket}/t/", back, "--conflict", "skip")
    assert (back / "f").read_text() == "local"
    copy(f"s3://{bucket}/t/", back, "--conflict", "latest")
    assert (back / "f").read_text() == "local", "the local file is newer"
    os.utime(back / "f", (1, 1))
    copy(f"s3://{bucket}/t/", back, "--conflict", "latest")
    assert (back / "f").read_text() == "from the bucket"
    (back / "f").write_text("local")
    copy(f"s3://{bucket}/t/", back, "--conflict", "overwrite")
    assert (back / "f").read_text() == "from the bucket"


def test_the_latest_content_wins_not_the_latest_upload(copy, bucket, tmp_path):
    """An old file that was uploaded today does not replace a newer one, and a newer one replaces it."""
    old, new, third = tmp_path / "old", tmp_path / "new", tmp_path / "third"
    for folder, text, at in ((old, "old content", 1_577_000_000), (new, "newer content", 1_735_000_000)):
        folder.mkdir()
        (folder / "f").write_text(text)
        os.utime(folder / "f", (at, at))
    copy(old, f"s3://{bucket}/t/")
    copy(f"s3://{bucket}/t/", new, "--conflict", "latest")
    assert (new / "f").read_text() == "newer content"
    copy(new, f"s3://{bucket}/t/", "--conflict", "latest")
    copy(f"s3://{bucket}/t/", third)
    assert (third / "f").read_text() == "newer content"
    # A copy of the same content, time kept, is the same: nothing moves in either direction.
    subprocess.run(["cp", "-a", str(new), str(tmp_path / "twin")], check=True)
    assert items(copy(f"s3://{bucket}/t/", tmp_path / "twin"))["written"] == 0


def test_a_change_during_the_upload_is_seen_by_the_next_run(copy, bucket, weed, fault_proxy, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_bytes(b"AAAA")
    proxy = fault_proxy(weed.url)
    proxy.add("match=PUT do=delay:3500")
    program = peers.binary("WHARF_BIN", *peers.built("wharf"))
    keys = {"AWS_ACCESS_KEY_ID": weed.access_key, "AWS_SECRET_ACCESS_KEY": weed.secret_key}
    up = subprocess.Popen([str(program), "copy", str(source), f"s3://{bucket}/t/", "--quiet", "--endpoint-url", proxy.url], env={**os.environ, **keys})
    time.sleep(1)
    (source / "f").write_bytes(b"BBBB")
    up.wait()
    copy(source, f"s3://{bucket}/t/")
    assert weed.client().get_object(Bucket=bucket, Key="t/f")["Body"].read() == b"BBBB"


def test_a_mistyped_source_is_no_success(copy, bucket, tmp_path):
    done = copy(f"s3://{bucket}/no-such-prefix/", tmp_path / "back", code=1)
    assert "nothing below" in done.stderr


def test_one_file(copy, bucket, weed, tmp_path):
    source = make_tree(tmp_path / "source", files=5)
    up = copy(source / "odd names" / "plain+sign", f"s3://{bucket}/one/")
    assert items(up)["read"] == 1 and items(up)["written"] == 1
    assert weed.client().get_object(Bucket=bucket, Key="one/plain+sign")["Body"].read() == b"plain+sign"


def test_dry_run_changes_nothing(copy, bucket, weed, tmp_path):
    source = make_tree(tmp_path / "source", files=30)
    plan = copy(source, f"s3://{bucket}/t/", "--dry-run")
    assert items(plan)["written"] > 30
    assert weed.client().list_objects_v2(Bucket=bucket).get("KeyCount", 0) == 0
    copy(source, f"s3://{bucket}/t/")
    copy(f"s3://{bucket}/t/", tmp_path / "back", "--dry-run", check=False)
    assert not (tmp_path / "back").exists() or not os.listdir(tmp_path / "back")


def test_keys_that_cannot_be_paths_are_reported_and_written_nowhere(copy, embedded_s3, tmp_path):
    """Over a store that takes any key as it is."""
    store = embedded_s3(tmp_path / "store")
    s3 = store.client()
    s3.create_bucket(Bucket="hostile")
    s3.put_object(Bucket="hostile", Key="t/good", Body=b"good")
    bad = ["t/a//b", "t/" + "n" * 300, "t/../../climbed", "t/./dot"]
    for key in bad:
        s3.put_object(Bucket="hostile", Key=key, Body=b"bad")
    keys = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
    done = copy("s3://hostile/t/", tmp_path / "deep" / "back", code=1, url=store.url, env=keys)
    answer = json.loads(done.stdout)
    assert answer["ledger"]["balanced"] and items(answer)["failed"] == len(bad), answer
    outside = {p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".log" and not p.is_relative_to(tmp_path / "store")}
    assert outside == {tmp_path / "deep" / "back" / "good"}, outside

def test_a_symlink_in_the_target_is_not_followed(copy, bucket, weed, tmp_path):
    outside = tmp_path / "outside"
    back = tmp_path / "back"
    outside.mkdir(), back.mkdir()
    (back / "dir").symlink_to(outside)
    (back / "file").symlink_to(outside / "victim")
    (outside / "victim").write_text("untouched")
    s3 = weed.client()
    s3.put_object(Bucket=bucket, Key="t/dir/inner", Body=b"climbed")
    s3.put_object(Bucket=bucket, Key="t/file", Body=b"replaced")
    copy(f"s3://{bucket}/t/", back, check=False)
    assert os.listdir(outside) == ["victim"] and (outside / "victim").read_text() == "untouched"
    assert (back / "file").read_bytes() == b"replaced" and not (back / "file").is_symlink()


def test_faults_on_the_way(copy, bucket, weed, fault_proxy, tmp_path):
    source = make_tree(tmp_path / "source", files=150)
    proxy = fault_proxy(weed.url)
    proxy.add("match=PUT every=7 do=status:503")
    proxy.add("match=PUT every=11 do=drop-response")
    copy(source, f"s3://{bucket}/t/", url=proxy.url)
    proxy.clear()
    proxy.add("match=GET every=9 do=status:500")
    proxy.add("match=GET every=13 do=cut-response:10")
    copy(f"s3://{bucket}/t/", tmp_path / "back", url=proxy.url)
    assert sum(proxy.stats()["fired"]) > 0
    same(source, tmp_path / "back", leave=WEED_LEAVES)


def test_wrong_keys_are_one_clear_error_without_the_secret(copy, bucket, tmp_path):
    source = make_tree(tmp_path / "source", files=5)
    done = copy(source, f"s3://{bucket}/t/", code=1, env={"AWS_SECRET_ACCESS_KEY": "wrong-and-secret"})
    assert "SignatureDoesNotMatch" in done.stderr and "wrong-and-secret" not in done.stdout + done.stderr


def test_a_killed_upload_finds_its_parts_again(copy, bucket, weed, tmp_path):
    program = peers.binary("WHARF_BIN", *peers.built("wharf"))
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "big", "wb") as f:
        for _ in range(15):
            f.write(os.urandom(8 << 20))
    keys = {"AWS_ACCESS_KEY_ID": weed.access_key, "AWS_SECRET_ACCESS_KEY": weed.secret_key}
    argv = [str(program), "copy", str(source), f"s3://{bucket}/t/", "--quiet", "--endpoint-url", weed.url, "--part-size", "8MiB"]
    p = subprocess.Popen([*argv, "--lanes", "1", "--bandwidth", "16MiB"], env={**os.environ, **keys})
    s3 = weed.client()

    def stored():
        uploads = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        parts = s3.list_parts(Bucket=bucket, Key="t/big", UploadId=uploads[0]["UploadId"]).get("Parts", []) if uploads else []
        return {part["PartNumber"]: part["LastModified"] for part in parts if part["PartNumber"] < 10_000}  # without our mark

    while not stored() and p.poll() is None:
        time.sleep(0.02)
    p.kill()
    p.wait()
    before = stored()
    assert before, "no part was stored before the kill"
    copy(source, f"s3://{bucket}/t/", "--part-size", "8MiB")
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads"), "the old upload was finished, not left behind"
    assert s3.head_object(Bucket=bucket, Key="t/big")["ContentLength"] == 120 << 20
    copy(f"s3://{bucket}/t/", tmp_path / "back")
    same(source, tmp_path / "back", leave=WEED_LEAVES)


def each_store(embedded_s3, weed, bucket, tmp_path):
    """Options of `copy`, a client and a bucket: of SeaweedFS, and of our own endpoint, which takes any key as it is."""
    own = embedded_s3(tmp_path / "store")
    own.client().create_bucket(Bucket="keys")
    keys = {"AWS_ACCESS_KEY_ID": own.access_key, "AWS_SECRET_ACCESS_KEY": own.secret_key}
    return {"seaweedfs": ({}, weed.client(), bucket), "own": ({"url": own.url, "env": keys}, own.client(), "keys")}


@pytest.mark.parametrize("store", ("seaweedfs", "own"))
def test_objects_whose_key_ends_in_a_slash(copy, embedded_s3, weed, bucket, tmp_path, store):
    """Without content it is a directory. With content it can be no file and no directory: it fails and is named, alone."""
    options, s3, bucket = each_store(embedded_s3, weed, bucket, tmp_path)[store]
    s3.put_object(Bucket=bucket, Key="t/empty/", Body=b"")
    s3.put_object(Bucket=bucket, Key="t/held/", Body=b"")
    s3.put_object(Bucket=bucket, Key="t/held/file", Body=b"in it")
    down = copy(f"s3://{bucket}/t/", tmp_path / "back", **options)
    assert items(down)["failed"] == 0, down
    assert (tmp_path / "back" / "empty").is_dir() and (tmp_path / "back" / "held" / "file").read_bytes() == b"in it"
    assert items(copy(f"s3://{bucket}/t/", tmp_path / "back", **options))["written"] == 0
    s3.put_object(Bucket=bucket, Key="t/odd/", Body=b"with content")
    listed = {o["Key"]: o["Size"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="t/").get("Contents", [])}
    if listed.get("t/odd/") != len(b"with content"):
        # SeaweedFS has only a directory under such a name: nothing of the content can be asked for.
        assert store == "seaweedfs", listed
        assert items(copy(f"s3://{bucket}/t/", tmp_path / "other", **options))["failed"] == 0
        return
    done = copy(f"s3://{bucket}/t/", tmp_path / "other", code=1, **options)
    answer = json.loads(done.stdout)
    assert answer["ledger"]["balanced"] and items(answer)["failed"] == 1, answer
    assert "odd/" in done.stdout + done.stderr and "12 bytes" in done.stdout + done.stderr
    assert not (tmp_path / "other" / "odd").is_file() and (tmp_path / "other" / "held" / "file").exists()


@pytest.mark.parametrize("store", ("seaweedfs", "own"))
def test_a_key_that_is_a_directory_of_another(copy, embedded_s3, weed, bucket, tmp_path, store):
    """`a` beside `a/b`: into a directory the first in key order is written and the other fails; between buckets both go."""
    options, s3, bucket = each_store(embedded_s3, weed, bucket, tmp_path)[store]
    content = {"t/a": b"a file", "t/a/b": b"below it", "t/z": b"beside"}
    refused = set()
    for key, body in content.items():
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        except Exception:
            refused.add(key)
    there = {o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="t/").get("Contents", []) if not o["Key"].endswith("/")}
    if there != set(content):
        # SeaweedFS holds files and directories: it has one of the two. What it has comes over.
        assert store == "seaweedfs" and there < set(content), (there, refused)
        copy(f"s3://{bucket}/t/", tmp_path / "back", **options)
        assert {f"t/{p.relative_to(tmp_path / 'back')}" for p in (tmp_path / "back").rglob("*") if p.is_file()} == there
        return
    for _ in range(2):  # The second run says the same.
        done = copy(f"s3://{bucket}/t/", tmp_path / "back", code=1, **options)
        answer = json.loads(done.stdout)
        assert answer["ledger"]["balanced"] and items(answer)["failed"] == 1, answer
        assert "a/b" in done.stdout + done.stderr
        assert (tmp_path / "back" / "a").read_bytes() == b"a file" and (tmp_path / "back" / "z").read_bytes() == b"beside"
    copied = copy(f"s3://{bucket}/t/", f"s3://{bucket}/u/", **options)
    assert items(copied)["failed"] == 0 and items(copied)["read"] == 3, copied
    for key, body in content.items():
        assert s3.get_object(Bucket=bucket, Key="u" + key[1:])["Body"].read() == body, key
