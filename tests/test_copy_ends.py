"""What the two arguments of `wharf copy` may be, what is refused before anything moves, and what goes from object to object."""

import os
import time

import pytest
from harness import peers
from test_copy import copy, items, same  # noqa: F401 (a fixture)
from trees import make_tree

EVERY = {
    "ContentType": "text/css", "CacheControl": "max-age=60", "ContentEncoding": "gzip", "ContentDisposition": 'attachment; filename="x"',
    "ContentLanguage": "de", "Metadata": {"colour": "green", "mtime": "1700000000.25", "owner-name": "someone"},
}


@pytest.fixture
def store(embedded_s3, tmp_path):
    """An endpoint that makes no bucket by itself, and takes and gives everything as it is."""
    s3 = embedded_s3(tmp_path / "store")
    s3.options = {"url": s3.url, "env": {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}}
    s3.s3 = s3.client()
    s3.s3.create_bucket(Bucket="full")
    return s3


def test_one_object_into_a_directory_or_under_a_new_name(copy, store, tmp_path):  # noqa: F811
    store.s3.put_object(Bucket="full", Key="a/one", Body=b"content")
    store.s3.put_object(Bucket="full", Key="a/one/below", Body=b"other")
    (tmp_path / "dir").mkdir()
    for to, path in (("dir", "dir/one"), ("new/", "new/one"), ("dir/renamed", "dir/renamed"), ("name", "name")):
        done = copy("s3://full/a/one", f"{tmp_path}/{to}", "--verify", **store.options)
        assert items(done)["read"] == items(done)["written"] == 1 and (tmp_path / path).read_bytes() == b"content", to
    assert items(copy("s3://full/a/one", tmp_path / "dir", **store.options))["written"] == 0
    copy("s3://full/a/one", "s3://full/other", **store.options)
    copy("s3://full/a/one", "s3://full/into/", **store.options)
    copy(tmp_path / "name", "s3://full/b/named", **store.options)
    keys = {o["Key"] for o in store.s3.list_objects_v2(Bucket="full")["Contents"]}
    assert keys == {"a/one", "a/one/below", "other", "into/one", "b/named"}, keys
    # With a slash it is what lies below, object or not.
    copy("s3://full/a/one/", tmp_path / "below", **store.options)
    assert os.listdir(tmp_path / "below") == ["below"]


def test_a_large_object_and_one_that_is_not_there(copy, bucket, weed, tmp_path):  # noqa: F811
    body = os.urandom(40 << 20)
    weed.client().put_object(Bucket=bucket, Key="d/big", Body=body)
    copy(f"s3://{bucket}/d/big", tmp_path / "big", "--verify")
    assert (tmp_path / "big").read_bytes() == body
    done = copy(f"s3://{bucket}/d/bi", tmp_path / "x", code=1)
    assert "there is no object" in done.stderr


def test_a_tree_is_not_copied_into_itself(copy, store, tmp_path):  # noqa: F811
    source = make_tree(tmp_path / "a", files=20)
    (tmp_path / "link").symlink_to(source)
    before = sorted(p for p in source.rglob("*"))
    for to in (source, source / ".", source / "b", source / "d00" / "new" / "deep", tmp_path / "link", tmp_path / "link" / "x"):
        for more in ((), ("--dry-run",)):
            done = copy(source, to, *more, code=1, **store.options)
            assert "the same place" in done.stderr or "into itself" in done.stderr, done.stderr
    assert sorted(p for p in source.rglob("*")) == before
    file = source / "odd names" / "plain+sign"
    assert "onto itself" in copy(file, file.parent, code=1, **store.options).stderr
    copy(source, "s3://full/t/", **store.options)
    for to in ("s3://full/t", "s3://full/t/", "s3://full/t/d00/", "s3://full/t/new"):
        done = copy("s3://full/t/", to, code=1, **store.options)
        assert "the same place" in done.stderr or "into itself" in done.stderr, done.stderr
    copy("s3://full/t/", "s3://full/t2/", **store.options)


def one_line(done, *words):
    complaints = [line for line in done.stderr.splitlines() if line]
    assert len(complaints) == 1 and complaints[0].startswith("wharf copy: "), done.stderr
    assert all(w in complaints[0] for w in words), done.stderr


def test_what_can_not_be_ends_at_once_with_one_line(copy, store, tmp_path):  # noqa: F811
    source = make_tree(tmp_path / "source", files=200)
    began = time.monotonic()
    for more in ((), ("--dry-run",)):
        one_line(copy(source, "s3://nowhere/t/", *more, code=1, **store.options), "there is no bucket nowhere")
        one_line(copy("s3://nowhere/t/", tmp_path / "back", *more, code=1, **store.options), "there is no bucket nowhere")
        one_line(copy("s3://full/t/", "s3://nowhere/t/", *more, code=1, **store.options), "there is no bucket nowhere")
        one_line(copy(source / "odd names" / "plain+sign", "s3://nowhere/t/", *more, code=1, **store.options), "there is no bucket nowhere")
        one_line(copy("s3://nowhere/t/one", tmp_path / "back", *more, code=1, **store.options), "there is no bucket nowhere")
    for name, word in (("AWS_ACCESS_KEY_ID", "403"), ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch")):
        wrong = {**store.options, "env": {**store.options["env"], name: "wrong-and-secret"}}
        for a, b in ((source, "s3://full/t/"), ("s3://full/t/", tmp_path / "back"), ("s3://full/t/one", tmp_path / "back"), (source / "odd names" / "plain+sign", "s3://full/t/")):
            done = copy(a, b, code=1, **wrong)
            one_line(done, word)
            assert "wrong-and-secret" not in done.stdout + done.stderr
    nobody = {**store.options, "url": f"http://127.0.0.1:{peers.free_port()}"}
    one_line(copy(source, "s3://full/t/", code=1, **nobody), "onnection refused")
    one_line(copy("s3://full/t/one", tmp_path / "back", code=1, **nobody), "onnection refused")
    assert time.monotonic() - began < 60, "some of it waited for what does not come"
    assert store.s3.list_objects_v2(Bucket="full").get("KeyCount", 0) == 0 and not (tmp_path / "back").exists()


def test_objects_keep_their_headers_and_metadata(copy, store, tmp_path):  # noqa: F811
    store.s3.put_object(Bucket="full", Key="t/small", Body=b"small", **EVERY)
    body = os.urandom(20 << 20)
    store.s3.put_object(Bucket="full", Key="t/large", Body=body, **EVERY)
    store.s3.put_object(Bucket="full", Key="t/bare", Body=b"bare")
    store.s3.create_bucket(Bucket="second")
    copy("s3://full/t/", "s3://second/t/", "--verify", **store.options)
    for key in ("t/small", "t/large"):
        head = store.s3.head_object(Bucket="second", Key=key)
        assert {**EVERY, "Metadata": {}} == {k: head[k] for k in EVERY} | {"Metadata": {}}, head
        assert EVERY["Metadata"].items() <= head["Metadata"].items(), head
    assert store.s3.get_object(Bucket="second", Key="t/large")["Body"].read() == body
    again = copy("s3://full/t/", "s3://second/t/", **store.options)
    assert items(again)["written"] == 0, again


def test_a_large_object_is_not_copied_onto_itself(copy, bucket, weed, fault_proxy, tmp_path):  # noqa: F811
    """Its metadata goes into the beginning of the upload, not into one more copy of the whole (which ends at 5 GiB)."""
    s3 = weed.client()
    s3.put_object(Bucket=bucket, Key="a/large", Body=os.urandom(20 << 20), Expires=1893456000, **EVERY)
    proxy = fault_proxy(weed.url)
    # Every PUT is a part: anything else that writes to the key itself would be the copy.
    proxy.add("match=PUT match=partNumber do=pass")
    proxy.add("match=PUT do=status:403")
    copy(f"s3://{bucket}/a/", f"s3://{bucket}/b/", url=proxy.url)
    assert proxy.stats()["fired"][1] == 0, proxy.stats()
    before, after = (s3.head_object(Bucket=bucket, Key=f"{prefix}/large") for prefix in "ab")
    assert before["ContentType"] == after["ContentType"] == "text/css" and "Expires" in before
    for name in (*EVERY, "Expires"):
        assert name == "Metadata" or after.get(name) == before.get(name), (name, before, after)
    assert EVERY["Metadata"].items() <= after["Metadata"].items(), after
