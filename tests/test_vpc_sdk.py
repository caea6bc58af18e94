"""The VPC door through Tencent's own SDK, unmodified, and tccli: every action, every signature.

What the records hold is `test_flow_logs.py`'s matter; here it is what a client is told.
"""

import json
import os
import subprocess

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from harness import lab as labs, peers
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.vpc.v20170312 import models

INSTANCE = "ckafka-7kd5rzza"
VPC = "vpc-12345678"


def call(client, action, **params):
    request = getattr(models, f"{action}Request")()
    request.from_json_string(json.dumps(params))
    answer = json.loads(getattr(client, action)(request).to_json_string())
    assert len(answer.pop("RequestId")) == 36
    return answer


def code(client, action, **params):
    with pytest.raises(TencentCloudSDKException) as caught:
        call(client, action, **params)
    assert caught.value.requestId, "a refusal carries the request's id"
    return caught.value.code


def request(**change):
    base = {"FlowLogName": "test", "ResourceType": "NETWORKINTERFACE", "ResourceId": "eni-12345678", "TrafficType": "ALL", "VpcId": VPC,
            "FlowLogDescription": "words", "StorageType": "ckafka", "FlowLogStorage": {"StorageId": INSTANCE, "StorageTopic": "flows"},
            "Tags": [{"Key": "city", "Value": "shanghai"}]}
    return {**base, **change}


@pytest.fixture
def lab():
    try:
        made = labs.Lab()
    except peers.Missing as e:
        pytest.skip(str(e))
    yield made
    made.stop()


@pytest.fixture
def server(wharf, lab):
    return serve(wharf, lab)


def serve(wharf, lab, other=None, networks=(), state=None, environment=None, ahead=(), **flow_logs):
    """A server with a catalogue over the lab, and the topic `flows`; `other`: a cluster beside its own, as `ckafka-other`; `networks`: more
    of the catalogue."""
    port = peers.free_port()
    more, networks = networks, [
        {"id": "eni-12345678", "vpc": VPC, "namespace": lab.inner, "devices": [lab.device]},
        {"id": "eni-away0001", "vpc": VPC, "namespace": lab.inner, "devices": ["nowhere0"]},
        {"id": "eni-foreign1", "accounts": ["somebody"], "namespace": lab.inner, "devices": [lab.device]},
        {"id": "subnet-12345678", "vpc": VPC, "namespace": lab.inner, "devices": [lab.device], "prefixes": ["10.77.0.0/24"]},
        {"id": VPC, "namespace": lab.inner, "subnets": ["subnet-12345678"]},
        {"id": "ccn-12345678", "listen": f"127.0.0.1:{peers.free_port()}"},
    ]
    networks.extend(more)
    extra = f'[[connection]]\nid = "{INSTANCE}"\nkind = "kafka"\nembedded = true\n'
    if other:
        extra += f'[[connection]]\nid = "ckafka-other"\nkind = "kafka"\nbootstrap = "{other}"\n'
    extra += "".join("[[network]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items()) for table in networks)
    sections = {"broker": {"address": f"127.0.0.1:{port}"}, "flow_logs": {"window_seconds": 1, **flow_logs}}
    if state:
        sections["state"] = state
    running = wharf(sections=sections, extra=extra, environment=environment, ahead=ahead)
    admin = AdminClient({"bootstrap.servers": other or f"127.0.0.1:{port}"})
    for future in admin.create_topics([NewTopic("flows", 1, 1)]).values():
        future.result(30)
    return running


def test_every_action_with_every_signature(server):
    for client in (server.vpc(), server.vpc(method="GET"), server.vpc(sign_method="HmacSHA256"), server.vpc(sign_method="HmacSHA1")):
        made = call(client, "CreateFlowLog", **request())["FlowLog"]
        assert len(made) == 1 and made[0]["CreatedTime"] == "0000-00-00 00:00:00" and made[0]["CloudLogState"] == ""
        assert made[0]["FlowLogDescription"] == "" and made[0]["Enable"] is True
        log = made[0]["FlowLogId"]
        assert code(client, "CreateFlowLog", **request()) == "UnsupportedOperation.FlowLogInstanceExisted"
        shown = call(client, "DescribeFlowLogs", FlowLogId=log)
        assert shown["TotalNum"] == 1
        assert shown["FlowLog"][0]["FlowLogDescription"] == "words" and shown["FlowLog"][0]["CloudLogState"] == "SUCCESS"
        assert shown["FlowLog"][0]["TagSet"] == [{"Key": "city", "Value": "shanghai"}]
        assert call(client, "DescribeFlowLog", VpcId=VPC, FlowLogId=log)["FlowLog"] == shown["FlowLog"]
        assert call(client, "DescribeFlowLogs", Filters={"Name": "tag:city", "Values": ["shanghai"]})["TotalNum"] == 1
        assert call(client, "DescribeFlowLogs", Filters={"Name": "tag-key", "Values": ["town"]})["TotalNum"] == 0
        call(client, "ModifyFlowLogAttribute", FlowLogId=log, VpcId=VPC, FlowLogName="other", FlowLogDescription="more")
        call(client, "DisableFlowLogs", FlowLogIds=[log])
        off = call(client, "DescribeFlowLogs", Limit=1, OrderField="flowLogName")["FlowLog"][0]
        assert (off["FlowLogName"], off["FlowLogDescription"], off["Enable"]) == ("other", "more", False)
        call(client, "EnableFlowLogs", FlowLogIds=[log])
        assert call(client, "DescribeFlowLogs")["FlowLog"][0]["Enable"] is True
        call(client, "DeleteFlowLog", FlowLogId=log, VpcId=VPC)
        assert call(client, "DescribeFlowLogs") == {"FlowLog": [], "TotalNum": 0}


def test_filters_may_be_a_list(server):
    from tencentcloud.common import credential
    from tencentcloud.common.common_client import CommonClient
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile

    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=server.address))
    keys = credential.Credential(server.access_key, server.secret_key)
    plain = CommonClient("vpc", "2017-03-12", keys, "ap-guangzhou", profile)
    call(server.vpc(), "CreateFlowLog", **request())
    for values, total in ((["shanghai"], 1), (["beijing"], 0)):
        filters = [{"Name": "tag-key", "Values": ["city"]}, {"Name": "tag:city", "Values": values}]
        assert plain.call_json("DescribeFlowLogs", {"Filters": filters})["Response"]["TotalNum"] == total


def test_what_is_refused(server):
    client = server.vpc()
    for change, want in [
        ({"ResourceId": "eni-unknown1"}, "ResourceNotFound"),
        ({"ResourceId": "eni-foreign1"}, "ResourceNotFound"),
        ({"VpcId": "vpc-other"}, "ResourceNotFound"),
        ({"ResourceId": "eni-away0001"}, "UnsupportedOperation.FlowLogsNotSupportNullInstanceEni"),
        ({"StorageType": "cls", "CloudLogId": "99991111-2222"}, "UnsupportedOperation"),
        ({"FlowLogStorage": {"StorageId": INSTANCE, "StorageTopic": "none"}}, "ResourceNotFound"),
        ({"FlowLogStorage": {"StorageId": "ckafka-none", "StorageTopic": "flows"}}, "ResourceNotFound"),
        ({"TrafficType": "SOME"}, "InvalidParameterValue.Range"),
        ({"Period": 60}, "InvalidParameterValue.Range"),
    ]:
        assert code(client, "CreateFlowLog", **request(**change)) == want, change
    ccn = {"ResourceType": "CCN", "ResourceId": "ccn-12345678", "VpcId": None}
    made = call(client, "CreateFlowLog", **request(**ccn, Period=300))["FlowLog"][0]
    assert made["Period"] == 300
    wrong = {"FlowLogId": made["FlowLogId"], "VpcId": VPC, "FlowLogName": "n"}
    assert code(client, "ModifyFlowLogAttribute", **wrong) == "InvalidParameterValue.VpcIdNotNeededForFlowLog"
    for kind, resource in (("VPC", VPC), ("SUBNET", "subnet-12345678")):
        call(client, "CreateFlowLog", **request(ResourceType=kind, ResourceId=resource))
    assert call(client, "DescribeFlowLogs", VpcId=VPC)["TotalNum"] == 2


def test_flow_logs_from_the_command_line(server, tmp_path):
    try:
        program = peers.binary("WHARF_TEST_TCCLI", peers.VENV / "tccli", "tccli")
    except peers.Missing as e:
        pytest.skip(str(e))
    home = tmp_path / "home"
    home.mkdir()

    def tccli(action, **params):
        given = [w for k, v in params.items() if v is not None for w in (f"--{k}", v if isinstance(v, str) else json.dumps(v))]
        done = subprocess.run(
            [str(program), "vpc", action, "--secretId", server.access_key, "--secretKey", server.secret_key, "--region", "ap-guangzhou",
             "--endpoint", server.url, *given],
            capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(home)},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    log = tccli("CreateFlowLog", **request())["FlowLog"][0]["FlowLogId"]
    assert tccli("DescribeFlowLogs", FlowLogId=log)["FlowLog"][0]["FlowLogName"] == "test"
    tccli("DisableFlowLogs", FlowLogIds=[log])
    tccli("DeleteFlowLog", FlowLogId=log, VpcId=VPC)
