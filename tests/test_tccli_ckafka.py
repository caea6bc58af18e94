"""The CKafka door through Tencent's command line client."""

import json
import os
import subprocess

import pytest
from harness import peers, server

INSTANCE = "ckafka-7kd5rzza"
NAME = f"{server.ACCOUNT['app_id']}-in"


class Refused(Exception):
    """tccli ended with an error; holds what it said."""


@pytest.fixture
def tccli(wharf, tmp_path):
    try:
        program = peers.binary("WHARF_TEST_TCCLI", peers.VENV / "tccli", "tccli")
    except peers.Missing as e:
        pytest.skip(str(e))
    extra = f'[[connection]]\nid = "{INSTANCE}"\nkind = "kafka"\nembedded = true\n'
    running = wharf(sections={"broker": {"address": f"127.0.0.1:{peers.free_port()}"}}, extra=extra)
    home = tmp_path / "home"
    home.mkdir()

    def run(action, **params):
        given = [w for name, value in params.items() for w in (f"--{name}", value if isinstance(value, str) else json.dumps(value))]
        done = subprocess.run(
            [
                str(program), "ckafka", action, "--secretId", running.access_key, "--secretKey", running.secret_key,
                "--region", "ap-guangzhou", "--endpoint", running.url, *given,
            ],
            capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(home)},
        )
        if done.returncode != 0:
            raise Refused(done.stdout + done.stderr)
        return json.loads(done.stdout)

    return run


def test_topics_and_messages_from_the_command_line(tccli):
    assert tccli("CreateDatahubTopic", Name=NAME, PartitionNum="1", RetentionMs="3600000")["Result"]["TopicName"] == NAME
    assert tccli("ModifyDatahubTopic", Name=NAME, RetentionMs="7200000")["Result"]["ReturnCode"] == "0"
    assert tccli("DescribeDatahubTopic", Name=NAME)["Result"]["RetentionMs"] == 7_200_000
    assert tccli("DescribeDatahubTopics", SearchWord=NAME)["Result"]["TotalCount"] == 1
    made = tccli("CreateDatahubTask", TaskName="push", TaskType="SOURCE", SourceResource={"Type": "HTTP"},
                 TargetResource={"Type": "TOPIC", "TopicParam": {"Resource": NAME}})["Result"]
    running = lambda: tccli("DescribeDatahubTask", TaskId=made["TaskId"])["Result"]["Status"] == 1
    peers.wait_until("the task", running, 60)
    sent = tccli("SendMessage", DataHubId=made["DatahubId"], Message=[{"Key": "k", "Body": "hello"}])["MessageId"]
    assert bytes.fromhex(sent[0]).decode() == f"{made['DatahubId']}:{NAME}:0:0"
    assert tccli("FetchDatahubMessageByOffset", Name=NAME, Partition="0", Offset="0")["Result"]["Value"] == "hello"
    assert len(tccli("FetchLatestDatahubMessageList", Name=NAME, Partition="0")["Result"]) == 1
    assert tccli("DescribeDatahubTasks", SourceType="HTTP")["Result"]["TotalCount"] == 1
    assert "TopicList" in tccli("DescribeDatahubGroupOffsets", Name=NAME, Group="nobody")["Result"]
    tccli("ModifyDatahubTask", TaskId=made["TaskId"], TaskName="renamed")
    tccli("RestartDatahubTask", TaskId=made["TaskId"])
    peers.wait_until("the task again", running, 60)
    tccli("PauseDatahubTask", TaskId=made["TaskId"])
    with pytest.raises(Refused, match="OperationDenied.ResourceTaskPaused"):
        tccli("SendMessage", DataHubId=made["DatahubId"], Message=[{"Body": "x"}])
    tccli("ResumeDatahubTask", TaskId=made["TaskId"])
    with pytest.raises(Refused, match="ResourceInUse"):
        tccli("DeleteDatahubTopic", Name=NAME)
    tccli("DeleteDatahubTask", TaskId=made["TaskId"])
    gone = lambda: tccli("DescribeDatahubTask", TaskId=made["TaskId"])["Result"]["Status"] == 3
    peers.wait_until("the end of the task", gone, 60)
    assert tccli("DeleteDatahubTopic", Name=NAME)["Result"]["ReturnCode"] == "0"


def test_syncs_from_the_command_line(tccli):
    """Both clusters have names only: that nobody answers there is for the task to say."""
    here, there = (tccli("CreateConnectResource", ResourceName=name, Type="KAFKA", KafkaConnectParam={
        "NetworkType": "PUBLIC", "BrokerAddress": f"127.0.0.1:{peers.free_port()}"})["Result"]["ResourceId"] for name in ("near", "far"))
    for action in ("CreateMetaSyncDatahubTask", "CreateMetaAndDataSyncDatahubTask", "CreateMetaDataAndOffsetSyncDatahubTask"):
        id = tccli(action, TaskName=action, SourceResourceId=there, TargetResourceId=here)["Result"]["TaskId"]
        tccli("DeleteDatahubTask", TaskId=id)


def test_connections_from_the_command_line(tccli):
    param = {"Port": 3306, "UserName": "u", "Password": "very-secret-word", "Resource": "cdb-1", "ServiceVip": "10.0.0.7"}
    id = tccli("CreateConnectResource", ResourceName="db", Type="MYSQL", MySQLConnectParam=param)["Result"]["ResourceId"]
    shown = tccli("DescribeConnectResource", ResourceId=id)["Result"]
    assert shown["MySQLConnectParam"]["Port"] == 3306 and "very-secret-word" not in json.dumps(shown)
    tccli("ModifyConnectResource", ResourceId=id, ResourceName="renamed")
    assert tccli("DescribeConnectResources")["Result"]["ConnectResourceList"][0]["ResourceName"] == "renamed"
    tccli("DeleteConnectResource", ResourceId=id)
    with pytest.raises(Refused, match="InvalidParameterValue.InstanceNotExist"):
        tccli("DescribeConnectResource", ResourceId=id)
