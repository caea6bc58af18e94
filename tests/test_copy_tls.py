"""`wharf copy` over HTTPS with a private authority and with virtual hosts, against a real SeaweedFS; and `--verify` against bytes that change."""

import json
import os
import subprocess
import threading
import time

import pytest
from harness import peers, tree_compare
from test_copy import items
from test_listener import authority, certificate
from trees import WEED_LEAVES, make_tree


@pytest.fixture
def run(tmp_path):
    program = str(peers.binary("WHARF_BIN", *peers.built("wharf")))

    def start(store, source, destination, *options, url, code=0):
        keys = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
        done = subprocess.run(
            [program, "copy", str(source), str(destination), "--json", "--endpoint-url", url, *map(str, options)],
            capture_output=True, text=True, timeout=200, env={**os.environ, **keys},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.startswith("{") else None, done.stderr

    return start


class SecureWeed(peers.Weed):
    """SeaweedFS that speaks HTTPS on a port of its own, for `s3.localhost` and its buckets below that name."""

    def __init__(self, directory, certificate, key):
        directory.mkdir()
        self.https = peers.free_port()
        super().__init__(directory, f"-s3.cert.file={certificate}", f"-s3.key.file={key}", f"-s3.port.https={self.https}", "-s3.domainName=s3.localhost")


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    at = tmp_path_factory.mktemp("tls")
    ca, ca_key = authority(at, "ours")
    leaf, key = certificate(at, ca, ca_key, names="DNS:s3.localhost,DNS:*.s3.localhost,IP:127.0.0.1")
    try:
        weed = SecureWeed(at / "weed", leaf, key)
    except peers.Missing as e:
        pytest.skip(str(e))
    weed.ca, weed.other_ca = ca, authority(at, "theirs")[0]
    yield weed
    weed.stop()


@pytest.mark.parametrize("style", ["path", "virtual host"])
def test_a_tree_goes_over_https_and_back(secure, run, tmp_path, style):
    bucket = "tls-" + style.replace(" ", "-")
    secure.client().create_bucket(Bucket=bucket)
    source = make_tree(tmp_path / "source", files=60, large=1)
    host = "127.0.0.1" if style == "path" else "s3.localhost"
    url = f"https://{host}:{secure.https}"
    options = ["--ca-file", secure.ca, *(["--virtual-host"] if style != "path" else [])]
    up, _ = run(secure, source, f"s3://{bucket}/t/", *options, url=url)
    assert items(up)["written"] == items(up)["read"]
    run(secure, f"s3://{bucket}/t/", tmp_path / "back", "--verify", *options, url=url)
    tree_compare.assert_alike(source, tmp_path / "back", leave=WEED_LEAVES)
    # One object, and from bucket to bucket.
    secure.client().create_bucket(Bucket=f"{bucket}-2")
    run(secure, f"s3://{bucket}/t/", f"s3://{bucket}-2/t/", *options, url=url)
    run(secure, f"s3://{bucket}-2/t/d00/e0/file-00000.bin", tmp_path / "one", *options, url=url)
    assert (tmp_path / "one").read_bytes() == (source / "d00" / "e0" / "file-00000.bin").read_bytes()


def test_who_is_not_trusted_gets_nothing_and_says_so_at_once(secure, run, tmp_path):
    secure.client().create_bucket(Bucket="tls-none")
    (tmp_path / "f").write_text("secret")
    began = time.monotonic()
    for options, host in ((["--ca-file", secure.other_ca], "127.0.0.1"), ([], "127.0.0.1"), (["--ca-file", secure.ca], "localhost")):
        _, said = run(secure, tmp_path / "f", "s3://tls-none/f", *options, url=f"https://{host}:{secure.https}", code=1)
        assert "certificate" in said.lower() and len(said.splitlines()) == 1, said
    _, said = run(secure, tmp_path / "f", "s3://tls-none/f", "--ca-file", tmp_path / "f", url=f"https://127.0.0.1:{secure.https}", code=1)
    assert "ca: no certificate in it" in said
    assert secure.client().list_objects_v2(Bucket="tls-none").get("KeyCount", 0) == 0
    assert time.monotonic() - began < 60


def test_a_byte_that_flips_before_the_check_is_found(run, embedded_s3, fault_proxy, tmp_path):
    """On the store's own disk, between the write and the reading back; small, and in parts."""
    store = embedded_s3(tmp_path / "store")
    store.client().create_bucket(Bucket="flip")
    proxy = fault_proxy(store.url)
    for name, size in (("small", 5000), ("large", 40 << 20)):
        source = tmp_path / name
        source.mkdir()
        content = os.urandom(size)
        (source / "f").write_bytes(content)
        proxy.only(f"match=GET match=/{name}/f do=delay:1500")
        flipped, count = threading.Event(), []

        def flip(content=content, name=name, flipped=flipped, count=count):
            path, middle = tmp_path / "store" / "flip" / name / "f", len(content) // 2
            while not flipped.wait(0.05):
                # Every time it is written again.
                try:
                    if path.read_bytes() == content:
                        with open(path, "r+b") as f:
                            f.seek(middle)
                            f.write(bytes([content[middle] ^ 1]))
                        count.append(1)
                except OSError:  # not there yet, or removed
                    pass

        harm = threading.Thread(target=flip)
        harm.start()
        try:
            answer, said = run(store, source, f"s3://flip/{name}/", "--verify", url=proxy.url, code=1)
        finally:
            flipped.set()
            harm.join()
        assert count, "nothing was flipped"
        assert items(answer)["failed"] == 1 and items(answer)["written"] == 0 and answer["ledger"]["balanced"], answer
        assert "corrupt" in said, said
        assert store.client().list_objects_v2(Bucket="flip", Prefix=f"{name}/").get("KeyCount", 0) == 0, "nothing wrong stays for right"
    # Without --verify nobody looks.
    proxy.clear()
    answer, _ = run(store, tmp_path / "small", "s3://flip/unseen/", url=proxy.url)
    assert items(answer)["written"] == 1


def test_a_byte_that_flips_on_the_way_back_is_mended(run, weed, bucket, fault_proxy, tmp_path):
    """What was read back wrong once is written again, and then is right."""
    source = tmp_path / "source"
    source.mkdir()
    content = os.urandom(20 << 20)
    (source / "f").write_bytes(content)
    proxy = fault_proxy(weed.url)
    proxy.add("match=GET match=/t/f times=1 do=flip:1000000")
    answer, _ = run(weed, source, f"s3://{bucket}/t/", "--verify", url=proxy.url)
    assert proxy.stats()["fired"] == [1] and items(answer)["written"] == 1
    assert weed.client().get_object(Bucket=bucket, Key="t/f")["Body"].read() == content
