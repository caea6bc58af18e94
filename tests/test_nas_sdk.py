"""Alibaba's unmodified NAS SDK drives every data-flow action against a running server and a real SeaweedFS."""

import os
import time
import urllib.request

import pytest

from harness import server, tree_compare
from trees import make_tree

pytest.importorskip("alibabacloud_nas20170626")
from alibabacloud_nas20170626 import models as m  # noqa: E402
from alibabacloud_tea_openapi.exceptions import ClientException  # noqa: E402

GENERAL, LINGJUN, BURN = "cpfs-test0001", "bmcpfs-test0001", "cpfs-burn0001"
SIGNATURES = (None, "v2")  # ACS3-HMAC-SHA256 and the older RPC HMAC-SHA1


class World:
    """One server with a file system of each family, and the SDK's client."""

    def __init__(self, wharf, weed, tmp_path, signature=None):
        self.weed, self.roots = weed, {}
        systems = []
        for id, product, more in (
            (GENERAL, "cpfs", {"version": "2.4.0"}),
            (LINGJUN, "cpfs-lingjun", {"version": "2.7.0"}),
            (BURN, "cpfs", {"version": "2.4.0", "allow_destroy": True}),
        ):
            self.roots[id] = tmp_path / id
            self.roots[id].mkdir()
            systems.append(server.filesystem(id, product, self.roots[id], **more))
        stores = [server.object_store("weed", weed.url, weed.access_key, weed.secret_key)]
        self.wharf = wharf(filesystems=systems, object_stores=stores)
        self.client = self.wharf.nas(signature_algorithm=signature)

    def flow(self, bucket, path="/data/", source="/in/", **more):
        (self.roots[LINGJUN] / path.strip("/")).mkdir(parents=True, exist_ok=True)
        request = m.CreateDataFlowRequest(
            file_system_id=LINGJUN, source_storage=f"oss://{bucket}", file_system_path=path, source_storage_path=source, **more
        )
        return self.client.create_data_flow(request).body.data_flow_id

    def general_flow(self, bucket, path="/set/", **more):
        fset = self.client.create_fileset(m.CreateFilesetRequest(file_system_id=GENERAL, file_system_path=path)).body.fset_id
        request = m.CreateDataFlowRequest(
            file_system_id=GENERAL, source_storage=f"oss://{bucket}", fset_id=fset, throughput=600, **more
        )
        return self.client.create_data_flow(request).body.data_flow_id, fset

    def task(self, flow, action, fs=LINGJUN, **more):
        if fs == LINGJUN:
            more.setdefault("conflict_policy", "OVERWRITE_EXISTING")
        request = m.CreateDataFlowTaskRequest(file_system_id=fs, data_flow_id=flow, task_action=action, **more)
        return self.client.create_data_flow_task(request).body.task_id

    def tasks(self, fs=LINGJUN, **filters):
        request = m.DescribeDataFlowTasksRequest(
            file_system_id=fs, filters=[m.DescribeDataFlowTasksRequestFilters(key=k, value=v) for k, v in filters.items()]
        )
        return self.client.describe_data_flow_tasks(request).body.task_info.task

    def done(self, task, fs=LINGJUN, wanted="Completed", seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.tasks(fs, TaskIds=task)[0]
            if shown.status not in ("Pending", "Executing", "Canceling"):
                assert shown.status == wanted, f"{shown.status}: {shown.error_msg}"
                return shown
            assert 0 <= shown.progress <= 100
            time.sleep(0.1)
        raise AssertionError(f"{task} did not end in {seconds} s")

    def subtask_done(self, subtask, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.subtasks(DataFlowSubTaskIds=subtask)[0]
            if shown.status not in ("CREATED", "RUNNING", "CANCELING"):
                return shown
            time.sleep(0.1)
        raise AssertionError(f"{subtask} did not end in {seconds} s")

    def subtasks(self, **filters):
        request = m.DescribeDataFlowSubTasksRequest(
            file_system_id=LINGJUN, filters=[m.DescribeDataFlowSubTasksRequestFilters(key=k, value=v) for k, v in filters.items()]
        )
        return self.client.describe_data_flow_sub_tasks(request).body.data_flow_sub_task.data_flow_sub_task

    def flows(self, fs=LINGJUN, **filters):
        request = m.DescribeDataFlowsRequest(
            file_system_id=fs, filters=[m.DescribeDataFlowsRequestFilters(key=k, value=v) for k, v in filters.items()]
        )
        return self.client.describe_data_flows(request).body.data_flow_info.data_flow


@pytest.fixture
def world(wharf, weed, tmp_path):
    return World(wharf, weed, tmp_path)


@pytest.fixture(params=SIGNATURES, ids=("acs3", "rpc"))
def any_signature(request, wharf, weed, tmp_path):
    return World(wharf, weed, tmp_path, request.param)


def refused(status, code, call, request):
    with pytest.raises(ClientException) as e:
        call(request)
    assert (e.value.status_code, e.value.code) == (status, code), e.value.message
    return e.value


def keys(world, bucket):
    pages = world.weed.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {o["Key"]: o["Size"] for page in pages for o in page.get("Contents", ())}


def without_links(tree):
    """A tree of plain files, for counts that need no explanation."""
    for odd in ("link", "dangling", "zz-hard-link"):
        os.unlink(os.path.join(tree, "odd names", odd))


def test_a_lingjun_flow_from_making_to_deleting(any_signature, bucket):
    w, c = any_signature, any_signature.client
    systems = c.describe_file_systems(m.DescribeFileSystemsRequest(file_system_type="bmcpfs", page_size=100)).body
    assert [s.file_system_id for s in systems.file_systems.file_system] == [LINGJUN] and systems.total_count == 1
    flow = w.flow(bucket, description="a flow of * many/odd words & signs", client_token="one")
    assert w.flow(bucket, description="a flow of * many/odd words & signs", client_token="one") == flow
    shown = w.flows(DataFlowIds=flow)[0]
    assert (shown.status, shown.source_storage, shown.file_system_path) == ("Running", f"oss://{bucket}", "/data/")
    c.modify_data_flow(m.ModifyDataFlowRequest(file_system_id=LINGJUN, data_flow_id=flow, description="other words"))
    assert w.flows(Description="other")[0].description == "other words"
    for action, request in ((c.start_data_flow, m.StartDataFlowRequest), (c.stop_data_flow, m.StopDataFlowRequest)):
        refused(403, "OperationDenied.DataFlowNotSupported", action, request(file_system_id=LINGJUN, data_flow_id=flow))
    c.delete_data_flow(m.DeleteDataFlowRequest(file_system_id=LINGJUN, data_flow_id=flow))
    assert not w.flows()


def test_refusals_have_status_code_and_words(any_signature, bucket):
    w, c = any_signature, any_signature.client
    request = m.CreateDataFlowTaskRequest
    e = refused(400, "MissingFileSystemId", c.create_data_flow_task, request())
    assert "FileSystemId is mandatory for this action." in e.message
    flow = w.flow(bucket)
    ids = {"file_system_id": LINGJUN, "data_flow_id": flow, "task_action": "Import", "conflict_policy": "SKIP_THE_FILE"}
    refused(404, "InvalidDataFlow.NotFound", c.create_data_flow_task, request(**{**ids, "data_flow_id": "df-0"}))
    refused(404, "InvalidParameter.InvalidFormat", c.create_data_flow_task, request(**ids, entry_list="/a"))
    refused(404, "InvalidTaskAction.NotSupported", c.create_data_flow_task, request(**{**ids, "task_action": "Evict"}))
    refused(404, "InvalidDataType.NotSupported", c.create_data_flow_task, request(**ids, data_type="Metadata"))
    refused(404, "InvalidSrcTaskId.TaskIdInvalid", c.create_data_flow_task, request(**ids, src_task_id="x"))
    refused(400, "IllegalCharacters", c.create_data_flow_task, request(**ids, directory="/a\x00/"))
    refused(404, "InvalidFileSystem.NotFound", c.describe_data_flows, m.DescribeDataFlowsRequest(file_system_id="cpfs-0"))


@pytest.mark.both_stores
def test_export_and_import_of_a_tree(world, bucket, tmp_path):
    w = world
    source = make_tree(w.roots[LINGJUN] / "data" / "src", files=120)
    without_links(source)
    flow = w.flow(bucket)
    out = w.done(w.task(flow, "Export", directory="/src/", dst_directory="/up/"))
    stats = out.progress_stats
    files = sum(len(names) for _, _, names in os.walk(source))
    assert (out.progress, out.filesystem_id, out.originator) == (100, LINGJUN, "User")
    assert stats.bytes_done == stats.bytes_total == stats.actual_bytes > 0
    assert stats.files_done == stats.files_total >= files and stats.actual_files >= files
    stored = keys(w, bucket)
    assert stored["in/up/odd names/plain+sign"] == len("plain+sign")

    back = w.task(flow, "Import", directory="/up/", dst_directory="/dst/", create_dir_if_not_exist=True)
    shown = w.done(back)
    assert shown.progress_stats.actual_bytes == stats.actual_bytes
    leave = ("mode", "owner", "dir_mtime", "empty_dirs", "root", "xattrs")  # Lingjun keeps mtime only
    tree_compare.assert_alike(source, w.roots[LINGJUN] / "data" / "dst", leave)
    reports = {r.name: r.path for r in shown.reports.report}
    assert set(reports) <= {"FailedFilesReport", "SkippedFilesReport", "SuccessFilesReport"} and "SuccessFilesReport" in reports
    with urllib.request.urlopen(reports["SuccessFilesReport"], timeout=10) as answer:
        assert answer.status == 200 and answer.read()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(reports["SuccessFilesReport"].split("?")[0], timeout=10)

    again = w.done(w.task(flow, "Import", directory="/up/", dst_directory="/dst/", conflict_policy="SKIP_THE_FILE"))
    assert again.progress_stats.actual_bytes == 0 and again.progress_stats.files_done >= files


@pytest.mark.both_stores
def test_entries_includes_lists_and_source_tasks(world, bucket):
    w, s3 = world, world.weed.client()
    for key in ("in/a/1", "in/a/2", "in/b/3", "in/b/deep/4", "in/c/5"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.put_object(Bucket=bucket, Key="lists/one.csv", Body=b"Name,Type\nc/5,file\n")
    data = w.roots[LINGJUN] / "data"
    flow = w.flow(bucket)

    def there():
        found = {str(p.relative_to(data)) for p in data.rglob("*") if p.is_file()}
        for p in found:
            (data / p).unlink()
        return found

    first = w.task(flow, "Import", entry_list='["/a/1", "/b/deep/4"]', data_type="Data")
    w.done(first)
    assert there() == {"a/1", "b/deep/4"}
    w.done(w.task(flow, None, src_task_id=first))
    assert there() == {"a/1", "b/deep/4"}
    w.done(w.task(flow, "Import", directory="/b/", dst_directory="/", includes='["/deep/"]'))
    assert there() == {"deep/4"}
    w.done(w.task(flow, "Import", transfer_file_list_path="/lists/"))
    assert there() == {"c/5"}
    failed = w.done(w.task(flow, "Import", entry_list='["/none"]'), wanted="Failed")
    assert failed.error_msg


@pytest.mark.both_stores
def test_dry_run_and_client_token(world, bucket):
    w, c = world, world.client
    flow = w.flow(bucket)
    ids = {"file_system_id": LINGJUN, "data_flow_id": flow, "task_action": "Import", "conflict_policy": "SKIP_THE_FILE"}
    dry = c.create_data_flow_task(m.CreateDataFlowTaskRequest(**ids, dry_run=True)).body
    assert dry.request_id and not dry.task_id
    assert not w.tasks()
    first = c.create_data_flow_task(m.CreateDataFlowTaskRequest(**ids, client_token="t")).body
    second = c.create_data_flow_task(m.CreateDataFlowTaskRequest(**ids, client_token="t")).body
    assert first.task_id == second.task_id and first.request_id != second.request_id
    other = m.CreateDataFlowTaskRequest(**{**ids, "conflict_policy": "KEEP_LATEST"}, client_token="t")
    refused(400, "IdempotentParameterMismatch", c.create_data_flow_task, other)


@pytest.mark.both_stores
def test_pages_and_filters_of_tasks(world, bucket):
    w, c = world, world.client
    flow = w.flow(bucket)
    made = [w.task(flow, "Import") for _ in range(12)]
    page = m.DescribeDataFlowTasksRequest(file_system_id=LINGJUN, max_results=10)
    one = c.describe_data_flow_tasks(page).body
    page.next_token = one.next_token
    two = c.describe_data_flow_tasks(page).body
    assert (len(one.task_info.task), len(two.task_info.task), two.next_token) == (10, 2, "")
    assert {t.task_id for t in one.task_info.task + two.task_info.task} == set(made)
    page.next_token = "nonsense"
    refused(400, "InvalidParameter", c.describe_data_flow_tasks, page)
    for task in made:
        w.done(task)
    assert len(w.tasks(Status="Completed", TaskActions="Import")) == 12
    bare = m.DescribeDataFlowTasksRequest(file_system_id=LINGJUN, with_reports=False)
    assert not any(t.reports.report for t in c.describe_data_flow_tasks(bare).body.task_info.task)
    refused(
        403, "OperationDenied.InvalidState", c.cancel_data_flow_task,
        m.CancelDataFlowTaskRequest(file_system_id=LINGJUN, data_flow_id=flow, task_id=made[0]),
    )


def test_streams(any_signature, bucket):
    w, c = any_signature, any_signature.client
    body = os.urandom(100_000)
    w.weed.client().put_object(Bucket=bucket, Key="in/s/file", Body=body)
    flow = w.flow(bucket)
    ids = {"file_system_id": LINGJUN, "data_flow_id": flow}
    stream = w.task(flow, "StreamImport", directory="/s/", dst_directory="/d/", create_dir_if_not_exist=True)
    assert w.tasks(TaskIds=stream)[0].status == "Executing"

    def push(source, target, **condition):
        request = m.CreateDataFlowSubTaskRequest(
            **ids, data_flow_task_id=stream, src_file_path=source, dst_file_path=target,
            condition=m.CreateDataFlowSubTaskRequestCondition(**condition) if condition else None,
        )
        return c.create_data_flow_sub_task(request).body.data_flow_sub_task_id

    shown = w.subtask_done(push("/file", "/new/name", size=len(body)))
    assert (shown.status, shown.progress, shown.data_flow_task_id) == ("COMPLETE", 10000, stream), shown.error_msg
    assert (w.roots[LINGJUN] / "data/d/new/name").read_bytes() == body
    assert shown.file_detail.size == len(body) and shown.progress_stats.actual_bytes == len(body)
    wrong = w.subtask_done(push("/file", "/other", size=len(body) + 1))
    assert wrong.status == "FAILED" and wrong.error_msg
    assert not (w.roots[LINGJUN] / "data/d/other").exists()
    done = m.CancelDataFlowSubTaskRequest(**ids, data_flow_task_id=stream, data_flow_sub_task_id=shown.data_flow_sub_task_id)
    refused(403, "OperationDenied.InvalidState", c.cancel_data_flow_sub_task, done)

    out = w.task(flow, "StreamExport", directory="/d/", dst_directory="/out/")
    request = m.CreateDataFlowSubTaskRequest(**ids, data_flow_task_id=out, src_file_path="/new/name", dst_file_path="/copy")
    sub = c.create_data_flow_sub_task(request).body.data_flow_sub_task_id
    assert w.subtask_done(sub).status == "COMPLETE"
    assert w.weed.client().get_object(Bucket=bucket, Key="in/out/copy")["Body"].read() == body
    for task in (stream, out):
        c.cancel_data_flow_task(m.CancelDataFlowTaskRequest(**ids, task_id=task))
        assert w.done(task, wanted="Canceled")
    assert len(w.subtasks(DataFlowTaskIds=stream)) == 2


@pytest.mark.both_stores
def test_what_streams_tell_of_a_file(world, bucket):
    w, c = world, world.client
    w.weed.client().put_object(Bucket=bucket, Key="in/f", Body=b"123456789")
    flow = w.flow(bucket)
    stream = w.task(flow, "StreamImport")
    request = m.CreateDataFlowSubTaskRequest(
        file_system_id=LINGJUN, data_flow_id=flow, data_flow_task_id=stream, src_file_path="/f", dst_file_path="/f"
    )
    shown = w.subtask_done(c.create_data_flow_sub_task(request).body.data_flow_sub_task_id)
    detail = shown.file_detail
    # 0x995dc9bbdf1939fa is the check value of CRC-64/XZ, which OSS calls crc64.
    assert (detail.size, detail.checksum) == (9, f"crc64:{0x995DC9BBDF1939FA}")
    assert abs(detail.modify_time - time.time_ns()) < 10**12


def test_a_general_flow_and_its_auto_refresh(any_signature, bucket):
    w, c = any_signature, any_signature.client
    flow, fset = w.general_flow(bucket, description="general")
    for name in ("x", "y"):
        (w.roots[GENERAL] / "set" / name).mkdir()
    ids = {"file_system_id": GENERAL, "data_flow_id": flow}
    paths = [m.ApplyDataFlowAutoRefreshRequestAutoRefreshs(refresh_path=f"/{n}/") for n in ("x", "y")]
    c.apply_data_flow_auto_refresh(
        m.ApplyDataFlowAutoRefreshRequest(**ids, auto_refreshs=paths, auto_refresh_policy="ImportChanged", auto_refresh_interval=30)
    )
    c.modify_data_flow_auto_refresh(m.ModifyDataFlowAutoRefreshRequest(**ids, auto_refresh_interval=60))
    c.cancel_data_flow_auto_refresh(m.CancelDataFlowAutoRefreshRequest(**ids, refresh_path="/x/"))
    shown = w.flows(GENERAL)[0]
    assert [p.refresh_path for p in shown.auto_refresh.auto_refresh] == ["/y/"]
    assert (shown.auto_refresh_policy, shown.auto_refresh_interval, shown.fset_id) == ("ImportChanged", 60, fset)
    c.stop_data_flow(m.StopDataFlowRequest(**ids))
    assert w.flows(GENERAL, Status="Stopped")
    refused(403, "OperationDenied.InvalidState", c.create_data_flow_task, m.CreateDataFlowTaskRequest(**ids, task_action="Import"))
    c.start_data_flow(m.StartDataFlowRequest(**ids))
    c.modify_data_flow(m.ModifyDataFlowRequest(**ids, throughput=1200))
    assert w.flows(GENERAL, ThroughputList="1200")[0].status == "Running"


def test_general_export_keeps_modes_and_second_run_moves_nothing(world, bucket):
    w = world
    flow, _ = w.general_flow(bucket)
    source = w.roots[GENERAL] / "set" / "src"
    make_tree(source, files=60)
    without_links(source)
    out = w.done(w.task(flow, "Export", GENERAL, directory="/src/"), GENERAL)
    assert {r.name for r in out.reports.report} == {"TotalFilesReport"} and out.report_path
    again = w.done(w.task(flow, "Export", GENERAL, directory="/src/"), GENERAL)
    assert again.progress_stats.actual_bytes == 0
    before = tree_compare.snapshot(source)
    for folder, _, names in os.walk(source, topdown=False):
        for name in names:
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
    w.done(w.task(flow, "Import", GENERAL, directory="/src/"), GENERAL)
    leave = ("dir_mtime", "empty_dirs", "root", "xattrs")
    tree_compare.assert_alike(before, tree_compare.snapshot(source), leave)


@pytest.mark.both_stores
def test_filesets_and_quotas(any_signature):
    w, c = any_signature, any_signature.client
    limits = m.CreateFilesetRequestQuota(size_limit=10 << 30, file_count_limit=10_000)
    create = m.CreateFilesetRequest(file_system_id=LINGJUN, file_system_path="/set/", description="a set", quota=limits, deletion_protection=True)
    fset = c.create_fileset(create).body.fset_id
    ids = {"file_system_id": LINGJUN, "fset_id": fset}
    (w.roots[LINGJUN] / "set" / "file").write_bytes(b"12345")
    data = c.get_fileset(m.GetFilesetRequest(**ids)).body.data
    assert (data.space_usage, data.file_count_usage, data.quota.size_limit, data.status) == (5, 1, 10 << 30, "CREATED")
    c.set_fileset_quota(m.SetFilesetQuotaRequest(**ids, size_limit=11 << 30))
    shown = c.describe_filesets(m.DescribeFilesetsRequest(file_system_id=LINGJUN, order_by_field="SizeLimit", sort_order="desc")).body
    assert shown.entries.entrie[0].quota.size_limit == 11 << 30 and shown.file_system_id == LINGJUN
    c.cancel_fileset_quota(m.CancelFilesetQuotaRequest(**ids))
    refused(403, "OperationDenied.DeletionProtection", c.delete_fileset, m.DeleteFilesetRequest(**ids))
    c.modify_fileset(m.ModifyFilesetRequest(**ids, deletion_protection=False, description="free"))
    refused(403, "OperationDenied.InvalidState", c.delete_fileset, m.DeleteFilesetRequest(**ids))
    assert (w.roots[LINGJUN] / "set" / "file").exists()
    (w.roots[LINGJUN] / "set" / "file").unlink()
    c.delete_fileset(m.DeleteFilesetRequest(**ids))
    assert not c.describe_filesets(m.DescribeFilesetsRequest(file_system_id=LINGJUN)).body.entries.entrie


@pytest.mark.both_stores
def test_destruction_only_where_the_operator_allows_it(world, bucket):
    w, c = world, world.client
    for fs in (GENERAL, BURN):
        folder = w.roots[fs] / "set"
        folder.mkdir()
        (folder / "file").write_bytes(b"precious")
        fset = c.create_fileset(m.CreateFilesetRequest(file_system_id=fs, file_system_path="/set/")).body.fset_id
        flow = m.CreateDataFlowRequest(file_system_id=fs, source_storage=f"oss://{bucket}", fset_id=fset, throughput=600)
        delete = m.DeleteFilesetRequest(file_system_id=fs, fset_id=fset)
        if fs == BURN:
            made = c.create_data_flow(flow).body.data_flow_id
            assert folder.is_dir() and not list(folder.iterdir())
            (folder / "file").write_bytes(b"precious")
            c.delete_data_flow(m.DeleteDataFlowRequest(file_system_id=fs, data_flow_id=made))
            assert (folder / "file").exists()
            c.delete_fileset(delete)
            assert not folder.exists()
        else:
            refused(403, "OperationDenied.InvalidState", c.create_data_flow, flow)
            refused(403, "OperationDenied.InvalidState", c.delete_fileset, delete)
            assert (folder / "file").exists()


def test_an_unreachable_source_makes_a_misconfigured_flow(wharf, weed, tmp_path):
    root = tmp_path / "fs"
    (root / "data").mkdir(parents=True)
    running = wharf(
        filesystems=[server.filesystem(LINGJUN, "cpfs-lingjun", root, version="2.7.0")],
        object_stores=[server.object_store("dark", "http://127.0.0.1:9", "k", "s", buckets=["dark*"])],
    )
    c = running.nas()
    request = m.CreateDataFlowRequest(file_system_id=LINGJUN, source_storage="oss://dark-1", file_system_path="/data/", source_storage_path="/")
    flow = c.create_data_flow(request).body.data_flow_id
    shown = c.describe_data_flows(m.DescribeDataFlowsRequest(file_system_id=LINGJUN)).body.data_flow_info.data_flow[0]
    assert (shown.data_flow_id, shown.status, shown.error_message) == (flow, "Misconfigured", "SourceStorageUnreachable")
    request.source_storage = "oss://nobody"
    refused(404, "InvalidSourceStorage.NotFound", c.create_data_flow, request)
    task = m.CreateDataFlowTaskRequest(file_system_id=LINGJUN, data_flow_id=flow, task_action="Import", conflict_policy="SKIP_THE_FILE")
    refused(403, "OperationDenied.InvalidState", c.create_data_flow_task, task)


def test_wrong_keys_are_refused(any_signature):
    w = any_signature
    signature = w.client._signature_algorithm
    request = m.DescribeFileSystemsRequest()
    with pytest.raises(ClientException) as e:
        w.wharf.nas(secret_key="wrong", signature_algorithm=signature).describe_file_systems(request)
    assert e.value.code == "SignatureDoesNotMatch"
    with pytest.raises(ClientException) as e:
        w.wharf.nas(access_key="nobody", signature_algorithm=signature).describe_file_systems(request)
    assert e.value.code == "InvalidAccessKeyId.NotFound"
