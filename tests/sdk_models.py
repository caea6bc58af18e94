"""Every field of every action in scope, read from the models of the installed SDKs.

Used by the coverage tests and `make docs`: a door must honour or refuse, with a reason, each of these
fields. Paths are dotted; `[]` marks a list (`Filters[].Values[]`). Run as a program it prints JSON:
`{"cfs"|"ckafka"|"dis"|"nas"|"vpc": {action: {"request": [[path, type], …], "response": […]}}}`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import typing

CFS_ACTIONS = (
    "CreateDataFlow CreateLifecycleDataTask CreateMigrationTask DeleteDataFlow DeleteMigrationTask "
    "DescribeBucketList DescribeCfsFileSystems DescribeDataFlow DescribeLifecycleDataTask DescribeMigrationTasks "
    "ModifyDataFlow StopLifecycleDataTask StopMigrationTask"
).split()

CKAFKA_ACTIONS = (
    "CreateDatahubTask DescribeDatahubTask DescribeDatahubTasks ModifyDatahubTask "
    "PauseDatahubTask ResumeDatahubTask RestartDatahubTask DeleteDatahubTask "
    "CreateMetaSyncDatahubTask CreateMetaAndDataSyncDatahubTask CreateMetaDataAndOffsetSyncDatahubTask "
    "CreateConnectResource DescribeConnectResource DescribeConnectResources ModifyConnectResource DeleteConnectResource "
    "CreateDatahubTopic DescribeDatahubTopic DescribeDatahubTopics ModifyDatahubTopic DeleteDatahubTopic "
    "DescribeDatahubGroupOffsets FetchDatahubMessageByOffset FetchLatestDatahubMessageList SendMessage"
).split()

VPC_ACTIONS = (
    "CreateFlowLog DeleteFlowLog DescribeFlowLog DescribeFlowLogs DisableFlowLogs EnableFlowLogs ModifyFlowLogAttribute"
).split()

NAS_ACTIONS = (
    "CreateDataFlow DescribeDataFlows ModifyDataFlow DeleteDataFlow StartDataFlow StopDataFlow "
    "CreateDataFlowTask DescribeDataFlowTasks CancelDataFlowTask "
    "CreateDataFlowSubTask DescribeDataFlowSubTasks CancelDataFlowSubTask "
    "ApplyDataFlowAutoRefresh ModifyDataFlowAutoRefresh CancelDataFlowAutoRefresh "
    "CreateFileset DescribeFilesets GetFileset ModifyFileset DeleteFileset SetFilesetQuota CancelFilesetQuota "
    "DescribeFileSystems"
).split()

# Dump tasks are in `DIS_DUMP_ACTIONS`.
DIS_ACTIONS = (
    "CreateStream ListStreams ShowStream DeleteStream UpdatePartitionCount UpdateStream SendRecords ConsumeRecords ShowCursor "
    "CreateApp ListApp ShowApp DeleteApp ShowConsumerState CommitCheckpoint ShowCheckpoint DeleteCheckpoint "
    "ShowStreamMetrics ShowPartitionMetrics ListPolicies CreateTag DeleteTag BatchCreateTags BatchDeleteTags ShowStreamTags "
    "ListTags ListResourcesByTags"
).split()

DIS_DUMP_ACTIONS = (
    "CreateObsTransferTask ListTransferTasks ShowTransferTask DeleteTransferTask BatchStartTransferTask BatchStopTransferTask"
).split()

Field = tuple[str, str]
MAX_DEPTH = 8


def tencent_fields(module, name: str, prefix: str = "", depth: int = 0) -> typing.Iterator[Field]:
    """Fields of a Tencent model class; its constructor's docstring is the only place that names the types."""
    assert depth < MAX_DEPTH, f"{name} nests too deeply"
    doc = getattr(module, name).__init__.__doc__ or ""
    for field, kind in re.findall(r":type (\w+): (.+)", doc):
        many = kind.startswith("list of ")
        kind = re.sub(r"^list of ", "", kind).strip()
        kind = re.sub(r"^:class:`.*\.(\w+)`$", r"\1", kind)
        path = f"{prefix}{field}{'[]' if many else ''}"
        if inspect.isclass(getattr(module, kind, None)):
            yield path, "object"
            yield from tencent_fields(module, kind, f"{path}.", depth + 1)
        else:
            yield path, kind


def _wire_names(model) -> dict[str, str]:
    """attribute -> name on the wire, from the generated `from_map`."""
    names, last = {}, None
    for line in inspect.getsource(model.from_map).splitlines():
        if m := re.search(r"if m\.get\('([^']+)'\)", line):
            last = m.group(1)
        elif last and (m := re.search(r"self\.(\w+)(?: = (?!\[\])|\.append)", line)):
            names[m.group(1)] = last
        elif last and (m := re.search(r"self\.(\w+)\[", line)):
            names[m.group(1)] = last
    return names


def alibaba_fields(module, model, prefix: str = "", depth: int = 0) -> typing.Iterator[Field]:
    """Fields of an Alibaba model class, with the names that go over the wire."""
    assert depth < MAX_DEPTH, f"{model} nests too deeply"
    wire = _wire_names(model)
    for attribute, parameter in list(inspect.signature(model.__init__).parameters.items())[1:]:
        kind = str(parameter.annotation)
        many = kind.startswith("List[")
        kind = re.sub(r"^List\[(.*)\]$", r"\1", kind).removeprefix("main_models.")
        path = f"{prefix}{wire[attribute]}{'[]' if many else ''}"
        nested = getattr(module, kind, None)
        if inspect.isclass(nested):
            yield path, "object"
            yield from alibaba_fields(module, nested, f"{path}.", depth + 1)
        else:
            yield path, kind


def huawei_fields(module, model, prefix: str = "", depth: int = 0) -> typing.Iterator[Field]:
    """Fields of a Huawei model class, with the names that go over the wire. A request's body is its fields."""
    assert depth < MAX_DEPTH, f"{model} nests too deeply"
    for attribute, kind in model.openapi_types.items():
        many = kind.startswith("list[")
        kind = re.sub(r"^list\[(.*)\]$", r"\1", kind)
        nested = getattr(module, kind, None)
        if attribute == "body" and inspect.isclass(nested):
            yield from huawei_fields(module, nested, prefix, depth + 1)
            continue
        path = f"{prefix}{model.attribute_map[attribute]}{'[]' if many else ''}"
        if inspect.isclass(nested):
            yield path, "object"
            yield from huawei_fields(module, nested, f"{path}.", depth + 1)
        else:
            yield path, kind


def all_fields() -> dict:
    cfs = importlib.import_module("tencentcloud.cfs.v20190719.models")
    ckafka = importlib.import_module("tencentcloud.ckafka.v20190819.models")
    vpc = importlib.import_module("tencentcloud.vpc.v20170312.models")
    nas = importlib.import_module("alibabacloud_nas20170626.models")
    dis = importlib.import_module("huaweicloudsdkdis.v2")
    return {
        "cfs": {
            action: {
                "request": list(tencent_fields(cfs, f"{action}Request")),
                "response": list(tencent_fields(cfs, f"{action}Response")),
            }
            for action in CFS_ACTIONS
        },
        "ckafka": {
            action: {
                "request": list(tencent_fields(ckafka, f"{action}Request")),
                "response": list(tencent_fields(ckafka, f"{action}Response")),
            }
            for action in CKAFKA_ACTIONS
        },
        "vpc": {
            action: {
                "request": list(tencent_fields(vpc, f"{action}Request")),
                "response": list(tencent_fields(vpc, f"{action}Response")),
            }
            for action in VPC_ACTIONS
        },
        "nas": {
            action: {
                "request": list(alibaba_fields(nas, getattr(nas, f"{action}Request"))),
                "response": list(alibaba_fields(nas, getattr(nas, f"{action}ResponseBody"))),
            }
            for action in NAS_ACTIONS
        },
        "dis": {
            action: {
                "request": list(huawei_fields(dis, getattr(dis, f"{action}Request"))),
                "response": list(huawei_fields(dis, getattr(dis, f"{action}Response"))),
            }
            for action in DIS_ACTIONS + DIS_DUMP_ACTIONS
        },
    }


if __name__ == "__main__":
    json.dump(all_fields(), sys.stdout, indent=1)
    print()
