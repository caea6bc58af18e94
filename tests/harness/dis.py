"""Servers with the DIS door, and Huawei's own clients for it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from harness import peers, server

PROJECT = "0123456789abcdef0123456789abcdef"
TOKEN = "a-token-of-the-first-account-0123456789"
OTHER = {"name": "other", "access_key_id": "AKIDOTHER", "access_key_secret": "sk-other-secret", "app_id": "1250000001"}
ACCOUNTS = ({**server.ACCOUNT, "tokens": [TOKEN]}, OTHER)


def start(directory, apache=None, accounts=ACCOUNTS, **dis):
    """A server whose streams lie on its own broker, or on a real Apache Kafka. `.boot`: where Kafka clients connect;
    `.topic(stream)`: the stream's topic."""
    port = peers.free_port()
    sections = {"dis": dis}
    if apache:
        sections["streams"] = {"topics": "kafka-1"}
        extra = f'[[connection]]\nid = "kafka-1"\nkind = "kafka"\nbootstrap = "{apache.boot}"\n'
    else:
        sections["broker"] = {"address": f"127.0.0.1:{port}"}
        extra = ""
    running = server.Wharf(directory, sections=sections, extra=extra, accounts=accounts)
    running.boot = apache.boot if apache else f"127.0.0.1:{port}"
    running.topic = lambda stream, account="test": f"dis.{account}.{stream}"
    return running


def client(wharf, account=server.ACCOUNT, project=PROJECT):
    """The current SDK's client."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkdis.v2 import DisClient

    keys = BasicCredentials(account["access_key_id"], account["access_key_secret"], project)
    return DisClient.new_builder().with_credentials(keys).with_endpoint(wharf.url).build()


def legacy(wharf, protobuf=False, derived=True):
    """The older SDK's client."""
    from dis_sdk_python import disclient

    return disclient(
        endpoint=wharf.url, ak=wharf.access_key, sk=wharf.secret_key, projectid=PROJECT, region="cn-north-1",
        bodySerializeType="protobuf" if protobuf else "", derivationKeySwitch=derived,
    )


def code(call, *arguments, **named):
    """The error code that a call of the current SDK is refused with."""
    from huaweicloudsdkcore.exceptions.exceptions import ServiceResponseException

    try:
        answer = call(*arguments, **named)
    except ServiceResponseException as e:
        assert e.request_id, "every answer has an id"
        assert e.error_msg
        return e.error_code
    raise AssertionError(f"not refused: {answer}")


def raw(wharf, method, path, body=None, token=TOKEN, headers=None, project=PROJECT):
    """(status, headers, body) of a request with a token: no SDK, no signature."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    given = {"Content-Type": "application/json", **({"X-Auth-Token": token} if token else {}), **(headers or {})}
    request = urllib.request.Request(f"{wharf.url}/v2/{project}{path}", body, given, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


def running(client, name, seconds=30):
    """Waits until a stream takes records."""
    from huaweicloudsdkdis.v2 import ShowStreamRequest

    end = time.monotonic() + seconds
    while True:
        shown = client.show_stream(ShowStreamRequest(stream_name=name))
        if shown.status == "RUNNING" or time.monotonic() > end:
            assert shown.status == "RUNNING", shown
            return shown
        time.sleep(0.1)
