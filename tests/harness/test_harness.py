"""The harness itself: what the scenario tests lean on must hold."""

import os
import shutil
import tomllib

import pytest
from botocore.exceptions import ClientError

import sdk_models
from harness import peers, server, tree_compare


def test_configuration_is_toml(tmp_path):
    text = server.configuration(
        tmp_path / 'odd "name"',
        filesystems=[server.filesystem("cfs-1", "cfs", tmp_path)],
        object_stores=[server.object_store("s", "http://x", "a", "b"), server.object_store("t", "http://y", "a", "b", buckets=["c"])],
        sections={"listen": {"max_connections": 7}, "limits": {"memory": "32MiB"}},
    )
    read = tomllib.loads(text)
    assert read["data_dir"].endswith('odd "name"') and read["listen"] == {"address": "127.0.0.1:0", "max_connections": 7}
    assert read["limits"] == {"memory": "32MiB"} and read["account"][0]["operator"] is True
    assert [o["buckets"] for o in read["object_store"]] == [["*"], ["c"]]


def test_tree_compare_sees_every_change(tmp_path):
    left = tmp_path / "left"
    (left / "d" / "empty").mkdir(parents=True)
    (left / "d" / "f").write_bytes(b"x" * 10)
    os.link(left / "d" / "f", left / "d" / "g")
    os.symlink("nowhere", left / "d" / "l")
    (left / os.fsdecode(b"odd\xff\nname")).write_bytes(b"")
    right = tmp_path / "right"

    def again():
        shutil.rmtree(right, ignore_errors=True)
        assert os.system(f"cp -a '{left}' '{right}'") == 0

    again()
    tree_compare.assert_alike(left, right)
    changes = {
        "content": lambda: (right / "d" / "f").write_bytes(b"y" * 10),
        "mtime": lambda: os.utime(right / "d" / "f", ns=(0, 12345)),
        "mode": lambda: os.chmod(right / "d" / "empty", 0o700),
        "only on the left": lambda: (right / "d" / "l").unlink(),
        "only on the right": lambda: (right / "new").write_bytes(b""),
        "links": lambda: ((right / "d" / "g").unlink(), shutil.copy2(right / "d" / "f", right / "d" / "g")),
    }
    for name, change in changes.items():
        again()
        change()
        found = "\n".join(tree_compare.diff(left, right, ["dir_mtime"]))
        assert found and (name in found or name == "content" and "digest" in found), (name, found)


def test_sdk_models_are_read_whole():
    fields = sdk_models.all_fields()
    assert len(fields["cfs"]) == 13 and len(fields["nas"]) == 23
    assert ["Filters[].Values[]", "str"] in [list(f) for f in fields["cfs"]["DescribeMigrationTasks"]["request"]]
    assert ["TaskInfo.Task[].FilesystemId", "str"] in [list(f) for f in fields["nas"]["DescribeDataFlowTasks"]["response"]]
    for service, actions in fields.items():
        for action, sides in actions.items():
            # What DIS says to a change is the status alone; one question of it has no parameters.
            assert sides["request"] and sides["response"] or service == "dis", action
    empty = [a for a, sides in fields["dis"].items() if not sides["response"]]
    assert len(fields["dis"]) == 33 and all(a.startswith(("Create", "Delete", "Update", "Commit", "Batch")) for a in empty), empty


def test_the_proxy_hurts_a_real_store(weed, bucket, fault_proxy):
    proxy = fault_proxy(weed.url)
    client = peers.s3_client(proxy.url, weed.access_key, weed.secret_key)
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    proxy.add("match=PUT do=status:503")
    with pytest.raises(ClientError) as e:
        client.put_object(Bucket=bucket, Key="k", Body=b"2")
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert weed.client().get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    proxy.only("match=PUT do=drop-response")
    with pytest.raises(Exception):
        client.put_object(Bucket=bucket, Key="k", Body=b"3")
    assert weed.client().get_object(Bucket=bucket, Key="k")["Body"].read() == b"3"
    assert proxy.stats()["fired"][0] >= 1


def test_postgres_makes_databases(postgres):
    assert postgres.database("harness").endswith("/harness")
