"""Filesets as the product has them: emptied where the operator says so, counted in time, held to their quotas."""

import json
import os
import threading
import time

import pytest
from alibabacloud_nas20170626 import models as m
from alibabacloud_tea_openapi.exceptions import ClientException
from harness import peers, server

GENERAL, LINGJUN = "cpfs-sets", "bmcpfs-sets"
GIB = 1 << 30


def call(running, *words):
    done = running.command(*words, "--config", running.config, "--json", check=False)
    assert done.stdout.startswith(("{", "[")), done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def world(wharf, weed, tmp_path):
    for name in ("general", "lingjun"):
        (tmp_path / name).mkdir()

    def start(allow):
        return wharf(
            filesystems=[server.filesystem(GENERAL, "cpfs", tmp_path / "general", allow_destroy=allow),
                         server.filesystem(LINGJUN, "cpfs-lingjun", tmp_path / "lingjun")],
            object_stores=[server.object_store("weed", weed.url, weed.access_key, weed.secret_key)],
        )

    return start


def fill(at, directories, files):
    for d in range(directories):
        (at / f"d{d:03d}").mkdir(parents=True)
        for f in range(files):
            (at / f"d{d:03d}" / f"f{f:03d}").touch()


def outside_of(tmp_path, inside):
    """Something precious that the fileset points to in every way."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep me")
    os.symlink(outside, inside / "link")
    os.symlink("../../outside/precious", inside / "relative")
    os.link(outside / "precious", inside / "twin")
    return outside


def fileset(running, path="/set/", fs=GENERAL, **more):
    return running.nas().create_fileset(m.CreateFilesetRequest(file_system_id=fs, file_system_path=path, **more)).body.fset_id


def create_flow(running, fset, bucket):
    request = m.CreateDataFlowRequest(file_system_id=GENERAL, source_storage=f"oss://{bucket}", fset_id=fset, throughput=600)
    return running.nas().create_data_flow(request).body.data_flow_id


def flows(running, fs=GENERAL):
    return running.nas().describe_data_flows(m.DescribeDataFlowsRequest(file_system_id=fs)).body.data_flow_info.data_flow


def refused(code, act, *words, **more):
    with pytest.raises(ClientException) as e:
        act(*words, **more)
    assert e.value.code == code, e.value.message
    return e.value.message


@pytest.mark.both_stores
def test_a_flow_on_a_full_fileset_is_refused_and_where_allowed_empties_it(world, bucket, tmp_path):
    inside = tmp_path / "general" / "set"
    fill(inside, 3, 10)
    outside = outside_of(tmp_path, inside)
    running = world(allow=False)
    fset = fileset(running)
    message = refused("OperationDenied.InvalidState", create_flow, running, fset, bucket)
    assert "not configured to allow" in message and not flows(running)
    assert len(os.listdir(inside)) == 6
    running.configure(**{**running.parts, "filesystems": [{**f, "allow_destroy": True} for f in running.parts["filesystems"]]})
    running.restart()
    flow = create_flow(running, fset, bucket)
    assert [f.data_flow_id for f in flows(running)] == [flow]
    assert os.listdir(inside) == [] and (outside / "precious").read_text() == "keep me"
    assert os.stat(outside / "precious").st_nlink == 1


def test_a_server_that_is_killed_while_it_empties_makes_no_flow_and_the_next_request_does(world, bucket, tmp_path):
    inside = tmp_path / "general" / "set"
    fill(inside, 300, 100)
    outside = outside_of(tmp_path, inside)
    running = world(allow=True)
    fset = fileset(running)
    errors = []

    def ask():
        try:
            create_flow(running, fset, bucket)
        except Exception as e:
            errors.append(e)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 60
    while len(os.listdir(inside)) > 250 and time.monotonic() < deadline:
        pass
    running.kill9()
    left = len(os.listdir(inside))
    thread.join()
    assert 0 < left <= 250, f"the kill came too late or too early: {left}"
    assert errors, "nobody answered"
    running.start()
    assert not flows(running), "no flow on a fileset that is half gone"
    flow = create_flow(running, fset, bucket)
    assert [f.data_flow_id for f in flows(running)] == [flow]
    assert os.listdir(inside) == [] and (outside / "precious").read_text() == "keep me"


def test_a_fileset_whose_removal_was_killed_is_deleted_again(world, tmp_path):
    inside = tmp_path / "general" / "set"
    fill(inside, 300, 100)
    outside = outside_of(tmp_path, inside)
    running = world(allow=True)
    fset = fileset(running)
    request = m.DeleteFilesetRequest(file_system_id=GENERAL, fset_id=fset)

    def ask():
        try:
            running.nas().delete_fileset(request)
        except Exception:
            pass

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 60
    while len(os.listdir(inside)) > 250 and time.monotonic() < deadline:
        pass
    running.kill9()
    thread.join()
    assert 0 < len(os.listdir(inside)) <= 250
    running.start()
    shown = running.nas().get_fileset(m.GetFilesetRequest(file_system_id=GENERAL, fset_id=fset)).body.data
    assert shown.status == "RELEASING"
    running.nas().delete_fileset(request)
    assert not inside.exists() and (outside / "precious").read_text() == "keep me"
    refused("InvalidFsetId.NotFound", running.nas().get_fileset, m.GetFilesetRequest(file_system_id=GENERAL, fset_id=fset))


def test_use_is_counted_and_the_answer_says_when(world, tmp_path):
    running = world(allow=False)
    fset = fileset(running, "/counted/", LINGJUN)
    fill(tmp_path / "lingjun" / "counted", 20, 50)
    (tmp_path / "lingjun" / "counted" / "big").write_bytes(b"x" * 12345)
    answer = running.nas().get_fileset(m.GetFilesetRequest(file_system_id=LINGJUN, fset_id=fset))
    assert (answer.body.data.file_count_usage, answer.body.data.space_usage) == (1001, 12345)
    counted = answer.headers["x-wharf-usage-counted"]
    assert counted.endswith("Z") and counted[:4].isdigit()
    # A new count at once would only cost: the answer is the last one's, and says so.
    (tmp_path / "lingjun" / "counted" / "later").touch()
    again = running.nas().get_fileset(m.GetFilesetRequest(file_system_id=LINGJUN, fset_id=fset))
    assert again.headers["x-wharf-usage-counted"] >= counted

    def seen():
        answer = running.nas().get_fileset(m.GetFilesetRequest(file_system_id=LINGJUN, fset_id=fset))
        return answer.body.data.file_count_usage == 1002 and answer.headers["x-wharf-usage-counted"] > counted

    peers.wait_until("the next count", seen)


def task(running, flow, action, fs=LINGJUN, **more):
    request = m.CreateDataFlowTaskRequest(file_system_id=fs, data_flow_id=flow, task_action=action, conflict_policy="OVERWRITE_EXISTING", **more)
    id = running.nas().create_data_flow_task(request).body.task_id

    def ended():
        filters = [m.DescribeDataFlowTasksRequestFilters(key="TaskIds", value=id)]
        shown = running.nas().describe_data_flow_tasks(m.DescribeDataFlowTasksRequest(file_system_id=fs, filters=filters)).body.task_info.task[0]
        return shown.status not in ("Pending", "Executing") and shown

    return peers.wait_until("the task's end", ended, 120)


def used(directory):
    return sum(os.lstat(os.path.join(at, n)).st_size for at, _, names in os.walk(directory) for n in names)


def test_an_import_over_the_quota_fails_as_on_a_full_disk_and_its_ledger_balances(world, weed, bucket, tmp_path):
    s3 = weed.client()
    for i in range(6):
        s3.put_object(Bucket=bucket, Key=f"in/f{i}", Body=os.urandom(1 << 20))
    s3.put_object(Bucket=bucket, Key="in/zz-large", Body=os.urandom(20 << 20))
    running = world(allow=False)
    nas, inside = running.nas(), tmp_path / "lingjun" / "set"
    fset = fileset(running, "/set/", LINGJUN, quota=m.CreateFilesetRequestQuota(size_limit=10 * GIB))
    # A hole weighs what it says: 2.5 MiB are left.
    with open(inside / "hole", "wb") as f:
        f.truncate(10 * GIB - (5 << 19))
    request = m.CreateDataFlowRequest(file_system_id=LINGJUN, source_storage=f"oss://{bucket}", file_system_path="/", source_storage_path="/in/")
    flow = nas.create_data_flow(request).body.data_flow_id
    # Into the fileset from a flow that begins above it.
    done = task(running, flow, "Import", directory="/", dst_directory="/set/")
    assert done.status == "Failed" and fset in done.error_msg and "quota" in done.error_msg, done
    ledger = call(running, "task", "show", done.task_id)["ledger"]
    assert ledger["balanced"] and ledger["items"]["written"] <= 2, ledger
    assert used(inside) <= 10 * GIB
    for name in os.listdir(inside):
        assert name == "hole" or os.path.getsize(inside / name) == 1 << 20, f"{name} is torn or half there"
    # Beside the fileset there is no limit, and a raised one lets the rest in.
    (tmp_path / "lingjun" / "beside").mkdir()
    assert task(running, flow, "Import", directory="/", dst_directory="/beside/").status == "Completed"
    nas.set_fileset_quota(m.SetFilesetQuotaRequest(file_system_id=LINGJUN, fset_id=fset, size_limit=11 * GIB))
    done = task(running, flow, "Import", directory="/", dst_directory="/set/")
    assert done.status == "Completed", done.error_msg
    ledger = call(running, "task", "show", done.task_id)["ledger"]
    assert ledger["balanced"] and used(inside) == 10 * GIB - (5 << 19) + (26 << 20)
    # The same again replaces files by files of the same size: that costs nothing.
    os.unlink(inside / "hole")
    with open(inside / "hole", "wb") as f:
        f.truncate(11 * GIB - (26 << 20))
    assert task(running, flow, "Import", directory="/", dst_directory="/set/").status == "Completed"
    full = m.GetFilesetRequest(file_system_id=LINGJUN, fset_id=fset)
    peers.wait_until("the next count", lambda: nas.get_fileset(full).body.data.space_usage == 11 * GIB)
    message = refused("InvalidSizeLimit", nas.set_fileset_quota, m.SetFilesetQuotaRequest(file_system_id=LINGJUN, fset_id=fset, size_limit=10 * GIB))
    assert "exceed" in message, message
